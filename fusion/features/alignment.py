"""Two clips of the same words, moment by moment: where one says what the other is saying (dynamic time warping).

Cepstra without their first coefficient, each normalised over its clip, so that neither loudness nor the speaker's
average spectrum decides (Sakoe and Chiba 1978 for the warping; Davis and Mermelstein 1980 for the cepstra).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fusion.features.spectra import FRAME_RATE_HZ, N_MFCC, RATE, analyse

MAX_ALIGNED_S = 30.0  # the table of all pairs of frames grows with the product of both lengths


def same_moments(
    one: NDArray[np.floating], other: NDArray[np.floating], sample_rate: int, at_s: NDArray[np.floating]
) -> NDArray[np.float64]:
    """When ``one`` says what ``other`` says at some moments.

    Args:
        one: (S1,) samples, at most `MAX_ALIGNED_S`.
        other: (S2,) samples of the same words, at most `MAX_ALIGNED_S`.
        sample_rate: Of both, in Hz.
        at_s: (N,) rising moments of ``other``, in seconds.

    Returns:
        (N,) moments of ``one`` in seconds, never falling.

    Raises:
        BarkError: When a clip is none; see `analyse`.
    """
    from librosa.sequence import dtw

    most = round(MAX_ALIGNED_S * sample_rate)
    _, path = dtw(_cepstra(one[:most], sample_rate), _cepstra(other[:most], sample_rate))  # (pairs, 2), last pair first
    frames = np.zeros(path[0, 1] + 1, np.int64)
    frames[path[::-1, 1]] = path[::-1, 0]  # of several frames of one, the last
    wanted = np.clip((np.asarray(at_s) * FRAME_RATE_HZ).astype(np.int64), 0, len(frames) - 1)
    moments: NDArray[np.float64] = np.maximum.accumulate(frames[wanted]) / FRAME_RATE_HZ
    return moments


def _cepstra(audio: NDArray[np.floating], sample_rate: int) -> NDArray[np.float32]:
    from librosa.feature import mfcc

    found = mfcc(S=analyse(audio, sample_rate).mel_db, sr=RATE, n_mfcc=N_MFCC)[1:]  # (coefficients, F)
    normal: NDArray[np.float32] = (found - found.mean(1, keepdims=True)) / (found.std(1, keepdims=True) + 1e-3)
    return normal
