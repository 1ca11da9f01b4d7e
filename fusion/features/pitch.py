"""Fundamental frequency and periodicity of speech, frame by frame.

The pitch is YIN as `librosa.yin` computes it, to rounding, at a fraction of its cost. Frames overlap, so their
autocorrelations are put together from pieces one hop long that are transformed once, and only for the lags that a
voice can have. The lag that YIN finds also gives, almost for free, how alike the signal is one period later, which
tells voiced from unvoiced and clear from hoarse.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float32Array = NDArray[np.float32]
Int64Array = NDArray[np.int64]

FMIN_HZ = 60.0  # the lowest speaking voices
FMAX_HZ = 500.0  # children; above it octave errors cost more than they bring
TROUGH_THRESHOLD = 0.1  # step 4 of the paper, and librosa's default
HOPS_PER_FRAME = 4
_BLOCK_FRAMES = 128  # looked at together: small enough for the cache, and for clips of any length

_TINY = np.finfo(np.float32).tiny


@dataclass(frozen=True)
class PitchTrack:
    """What was found in N frames.

    Attributes:
        f0_hz: (N,) from `FMIN_HZ` to `FMAX_HZ`, give or take the last lag's interpolation; a guess where the
            periodicity is low.
        periodicity: (N,) correlation of the frame with itself one period later, in [0, 1].
    """

    f0_hz: Float32Array
    periodicity: Float32Array


def track_pitch(signal: Float32Array, sample_rate: int, hop: int, wanted: Int64Array) -> PitchTrack:
    """YIN (de Cheveigné and Kawahara, JASA 111(4), 2002), on frames centred every ``hop`` samples.

    Args:
        signal: (S,) float32 without offset; zeros are taken to surround it.
        sample_rate: Hz.
        hop: Samples between frames; a frame is `HOPS_PER_FRAME` hops wide, and a hop longer than a period of
            `FMIN_HZ`.
        wanted: (N,) which frames, from 0 to S // hop.
    """
    shortest = int(np.floor(sample_rate / FMAX_HZ))  # lags in samples
    longest = int(np.ceil(sample_rate / FMIN_HZ))
    assert longest + 1 < hop, f"hops of {hop} samples are shorter than a period of {longest}"
    half = HOPS_PER_FRAME // 2 * hop
    padded = np.pad(signal, (half, half + hop))
    hops = padded[: len(padded) // hop * hop].reshape(-1, hop)
    tracks = [PitchTrack(np.zeros(0, np.float32), np.zeros(0, np.float32))]
    for first in range(0, len(hops) - HOPS_PER_FRAME + 1, _BLOCK_FRAMES):
        inside = wanted[(wanted >= first) & (wanted < first + _BLOCK_FRAMES)]
        if inside.size:
            block = hops[first : first + _BLOCK_FRAMES + HOPS_PER_FRAME - 1]
            tracks.append(_track_block(block, inside - first, shortest, longest))
    return PitchTrack(
        np.concatenate([track.f0_hz for track in tracks]) * np.float32(sample_rate),
        np.concatenate([track.periodicity for track in tracks]),
    )


def _track_block(hops: Float32Array, wanted: Int64Array, shortest: int, longest: int) -> PitchTrack:
    """`track_pitch` of frames that begin at the ``wanted`` rows of ``hops``; pitch in cycles per sample."""
    acf = _autocorrelation(hops, longest + 2)[wanted]  # (N, lags from 0)
    energy_until = np.cumsum(np.square(hops), axis=-1)  # (hops, hop): of each hop's first k + 1 samples
    # The difference function (eq. 7) is librosa's: it takes off the energy of a frame's first `lag` samples, but not
    # that of the last ones, which makes long lags dearer, and with them octave errors.
    difference = 2 * (acf[:, :1] - acf[:, 1 : longest + 1]) - energy_until[wanted, :longest]
    mean_so_far = np.cumsum(difference, axis=-1)[:, shortest - 1 :]
    mean_so_far /= np.arange(shortest, longest + 1, dtype=np.float32)
    normalised = difference[:, shortest - 1 :] / (mean_so_far + _TINY)  # eq. 8, (N, candidate lags)

    found = _first_trough(normalised)
    rows = np.arange(len(wanted))
    inner = np.clip(found, 1, normalised.shape[1] - 2)
    shift, _ = _parabola_top(*(normalised[rows, inner + step] for step in (-1, 0, 1)))
    f0 = 1 / (shortest + found + np.where(inner == found, shift, 0))

    last = energy_until[wanted + HOPS_PER_FRAME - 1]

    def correlation(lag: Int64Array) -> Float32Array:
        early = acf[:, 0] - (last[:, -1] - last[rows, -lag - 1])
        late = acf[:, 0] - energy_until[wanted, lag - 1]
        both = np.maximum(early, 0) * np.maximum(late, 0)
        return np.asarray(acf[rows, lag] / np.sqrt(np.maximum(both, _TINY)), np.float32)

    lag = shortest + found
    _, top = _parabola_top(*(correlation(lag + step) for step in (-1, 0, 1)))
    return PitchTrack(f0.astype(np.float32), np.clip(top, 0, 1).astype(np.float32))


def _autocorrelation(hops: Float32Array, n_lags: int) -> Float32Array:
    """(F, n_lags) of all frames, each `HOPS_PER_FRAME` rows of ``hops`` long and one row after the one before.

    A product x[n] x[n + lag] belongs to the hop that n is in; n + lag may lie in the next. So a frame's
    autocorrelation is the sum, over its hops, of the hop's correlation with itself and its successor; the last hop's
    successor is outside the frame. All of that is a sum of products of the hops' transforms, at twice a hop's length
    so that nothing wraps around; a shift by half of that length multiplies bin m by (-1)**m.
    """
    import scipy.fft

    n_fft = 2 * hops.shape[1]
    spectra = scipy.fft.rfft(hops, n_fft, axis=-1)  # (hops, bins)
    alone = np.square(spectra.real) + np.square(spectra.imag)
    onward = spectra[1:] * np.where(np.arange(spectra.shape[1]) % 2, -1, 1).astype(np.float32)
    onward *= spectra[:-1].conj()
    onward += alone[:-1]
    n_frames = len(hops) - HOPS_PER_FRAME + 1
    frames = onward[:n_frames].copy()
    for offset in range(1, HOPS_PER_FRAME - 1):
        frames += onward[offset : offset + n_frames]
    frames += alone[HOPS_PER_FRAME - 1 :]
    return np.asarray(scipy.fft.irfft(frames, n_fft, axis=-1)[:, :n_lags], np.float32)


def _first_trough(normalised: Float32Array) -> Int64Array:
    """(N,) the first local minimum below the threshold, or the lowest point where there is none."""
    falling = normalised[:, 1:] < normalised[:, :-1]
    trough = normalised < TROUGH_THRESHOLD
    trough[:, 1:] &= falling
    trough[:, :-1] &= ~falling
    found = np.where(trough.any(axis=-1), trough.argmax(axis=-1), normalised.argmin(axis=-1))
    return np.asarray(found, np.int64)


def _parabola_top(before: Float32Array, at: Float32Array, after: Float32Array) -> tuple[Float32Array, Float32Array]:
    """Where, in steps from the middle, and how high a parabola through three points turns; the middle if far off."""
    curvature = after + before - 2 * at
    slope = (after - before) / 2
    near = np.abs(slope) < np.abs(curvature)
    shift = np.where(near, -slope / np.where(near, curvature, 1), 0).astype(np.float32)
    return shift, np.asarray(at + slope * shift / 2, np.float32)
