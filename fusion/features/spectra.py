"""One pass over a clip: everything that features, gates and speaker comparison need of its frames.

All spectral measures come from one STFT and one mel spectrogram at one rate, so that clips of different sample rates
compare. They are librosa's definitions, computed once; `tests/test_features.py` holds them to librosa's own calls.
Frames are centred, 2048 samples wide and 512 apart (21 ms) at 24 kHz.
"""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bark_infinity.audio import checked_mono, resample
from bark_infinity.error_handling import BarkError
from fusion.features.pitch import track_pitch

Float32Array = NDArray[np.float32]

RATE = 24_000  # Hz; everything is analysed at Bark's own rate
N_FFT = 2_048
HOP = 512
FRAME_RATE_HZ = RATE / HOP
N_MFCC = 20
N_CONTRAST = 7  # octave bands: below 200 Hz, then up to 12 kHz
ROLLOFF_SHARE = 0.85

SOUND_RANGE_DB = 40.0  # a frame this far below the loudest is silence...
SOUND_FLOOR_DB = -60.0  # ...and so is one below this, however quiet the rest
VOICED_PERIODICITY = 0.5  # white noise reaches 0.1, steady vowels exceed 0.9
DB_FLOOR = -120.0  # what digital silence is called

MAX_DURATION_S = 3_600.0
_BLOCK_FRAMES = 128  # looked at together: small enough for the cache, and for clips of any length
MAX_PEAK = 100.0  # times full scale; beyond it squares stop being numbers worth having


@dataclass(frozen=True, eq=False)
class Frames:
    """A clip, frame by frame; F is the number of frames, and N of those with sound.

    Attributes:
        n_samples: Of the clip, at ``sample_rate``.
        sample_rate: Hz, as it came.
        samples: (S,) as they came, offset included.
        offset: Mean of the samples; removed before all that follows.
        rms_db: (F,) dBFS, at least `DB_FLOOR`.
        sound: (F,) bool: louder than `SOUND_FLOOR_DB` and within `SOUND_RANGE_DB` of the loudest frame.
        onsets: Frames where something begins, as `librosa.onset.onset_detect` finds them.
        mel_db: (128, F) power in dB, limited to 80 dB below its maximum.
        mfcc: (N_MFCC, N) of the frames with sound, and so are all below.
        centroid_hz: (N,)
        bandwidth_hz: (N,)
        rolloff_hz: (N,) `ROLLOFF_SHARE` of the magnitude lies below.
        flatness: (N,) 0 for a tone, 1 for white noise.
        contrast_db: (N_CONTRAST, N) peaks above valleys per octave.
        mean_power: (1 + N_FFT / 2,) mean power spectrum.
        f0_hz: (N,) see `fusion.features.pitch`; a guess where the periodicity is low.
        periodicity: (N,)
    """

    n_samples: int
    sample_rate: int
    samples: Float32Array
    offset: float
    rms_db: Float32Array
    sound: NDArray[np.bool_]
    onsets: NDArray[np.int64]
    mel_db: Float32Array
    mfcc: Float32Array
    centroid_hz: NDArray[np.float64]
    bandwidth_hz: NDArray[np.float64]
    rolloff_hz: NDArray[np.float64]
    flatness: Float32Array
    contrast_db: NDArray[np.float64]
    mean_power: NDArray[np.float64]
    f0_hz: Float32Array
    periodicity: Float32Array


def analyse(audio: NDArray[np.floating], sample_rate: int) -> Frames:
    """Looks at a clip once.

    Args:
        audio: (S,) floats, full scale 1.0.
        sample_rate: Hz.

    Raises:
        BarkError: When the clip is empty, not mono floats, not finite, longer than `MAX_DURATION_S` or louder
            than `MAX_PEAK` times full scale.
    """
    import librosa
    from librosa.onset import onset_detect, onset_strength

    samples = _checked(audio, sample_rate)
    offset = float(samples.mean(dtype=np.float64))
    signal = analysed_signal(samples, sample_rate)

    rms_db = 20 * np.log10(np.maximum(_rms(signal), 10 ** (DB_FLOOR / 20)))  # (F,)
    sound = (rms_db > rms_db.max() - SOUND_RANGE_DB) & (rms_db > SOUND_FLOOR_DB)

    padded = np.pad(signal, N_FFT // 2)
    blocks = []
    for first in range(0, len(sound), _BLOCK_FRAMES):
        heard = sound[first : first + _BLOCK_FRAMES]
        blocks.append(_Block.of(padded[first * HOP : (first + len(heard) - 1) * HOP + N_FFT], heard))
    mel_db = librosa.power_to_db(np.concatenate([block.mel for block in blocks], axis=1))  # (128, F)
    envelope = onset_strength(S=mel_db, sr=RATE, hop_length=HOP)
    onsets = onset_detect(onset_envelope=envelope, sr=RATE, hop_length=HOP)
    peaks = np.concatenate([block.peaks for block in blocks], axis=1)
    valleys = np.concatenate([block.valleys for block in blocks], axis=1)
    pitch = track_pitch(signal, RATE, HOP, np.flatnonzero(sound))
    return Frames(
        n_samples=len(samples),
        sample_rate=sample_rate,
        samples=samples,
        offset=offset,
        rms_db=rms_db.astype(np.float32),
        sound=sound,
        onsets=np.asarray(onsets, np.int64),
        mel_db=mel_db,
        mfcc=librosa.feature.mfcc(S=mel_db[:, sound], sr=RATE, n_mfcc=N_MFCC),
        centroid_hz=np.concatenate([block.centroid_hz for block in blocks]),
        bandwidth_hz=np.concatenate([block.bandwidth_hz for block in blocks]),
        rolloff_hz=np.concatenate([block.rolloff_hz for block in blocks]),
        flatness=np.concatenate([block.flatness for block in blocks]),
        contrast_db=librosa.power_to_db(peaks) - librosa.power_to_db(valleys) if sound.any() else peaks,
        mean_power=np.sum([block.power for block in blocks], axis=0) / max(1, np.count_nonzero(sound)),
        f0_hz=pitch.f0_hz,
        periodicity=pitch.periodicity,
    )


@dataclass(frozen=True, eq=False)
class _Block:
    """Some frames of a clip: (128, frames) mel power, and of the n frames with sound what `Frames` holds."""

    mel: Float32Array
    centroid_hz: NDArray[np.float64]
    bandwidth_hz: NDArray[np.float64]
    rolloff_hz: NDArray[np.float64]
    flatness: Float32Array
    valleys: Float32Array  # (N_CONTRAST, n)
    peaks: Float32Array  # (N_CONTRAST, n)
    power: NDArray[np.float64]  # (bins,) summed over frames

    @classmethod
    def of(cls, part: Float32Array, sound: NDArray[np.bool_]) -> _Block:
        import librosa

        spectrum = librosa.stft(part, n_fft=N_FFT, hop_length=HOP, center=False)  # (bins, frames)
        power = np.square(spectrum.real) + np.square(spectrum.imag)
        heard = power.T[sound]  # (n, bins): frames lie together in memory, as librosa leaves them
        magnitude = np.sqrt(heard)
        centroid, bandwidth = _moments(magnitude)
        valleys, peaks = _valleys_and_peaks(magnitude)
        return cls(
            mel=_mel_filters() @ power,
            centroid_hz=centroid,
            bandwidth_hz=bandwidth,
            rolloff_hz=_rolloff(magnitude),
            flatness=librosa.feature.spectral_flatness(S=heard.T, power=1.0)[0],
            valleys=valleys,
            peaks=peaks,
            power=heard.sum(axis=0, dtype=np.float64),
        )


def analysed_signal(samples: Float32Array, sample_rate: int) -> Float32Array:
    """The clip without offset, at `RATE`, and not shorter than one frame."""
    centred = samples - np.float32(samples.mean(dtype=np.float64))
    signal = resample(centred, sample_rate, RATE)
    return np.pad(signal, (0, max(0, N_FFT - len(signal))))


def bin_frequencies() -> NDArray[np.float64]:
    """Centre of every STFT bin in Hz."""
    return np.arange(1 + N_FFT // 2, dtype=np.float64) * (RATE / N_FFT)


def _checked(audio: NDArray[np.floating], sample_rate: int) -> Float32Array:
    samples = checked_mono(audio, "clip")
    if not 1_000 <= sample_rate <= 192_000:
        raise BarkError(f"clip: its sample rate is {sample_rate}, expected 1000 to 192000 Hz; check its file")
    if len(samples) > MAX_DURATION_S * sample_rate:
        raise BarkError(
            f"clip: it lasts {len(samples) / sample_rate:.0f} s, expected at most {MAX_DURATION_S:.0f} s; cut it first"
        )
    peak = float(np.abs(samples).max())
    if peak > MAX_PEAK:
        raise BarkError(f"clip: its peak is {peak:.3g}, expected about 1; divide integers by their full scale")
    return samples


@functools.cache
def _mel_filters() -> Any:
    """librosa's (128, bins) mel filters, sparse: 98 % of them are 0."""
    import scipy.sparse
    from librosa.filters import mel

    return scipy.sparse.csr_array(np.asarray(mel(sr=RATE, n_fft=N_FFT), np.float32))


def _moments(magnitude: Float32Array) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Centroid and bandwidth (N,) in Hz: mean and deviation of frequency, weighted by magnitude."""
    frequency = bin_frequencies()
    powers = np.stack([np.ones_like(frequency), frequency, np.square(frequency)])
    mass, first, second = powers @ magnitude.astype(np.float64).T  # (N,) each
    mass = np.maximum(mass, np.finfo(np.float64).tiny)
    centroid = first / mass
    return centroid, np.sqrt(np.maximum(second / mass - np.square(centroid), 0))


def _rolloff(magnitude: Float32Array) -> NDArray[np.float64]:
    """(N,) the first bin, in Hz, up to which `ROLLOFF_SHARE` of the magnitude lies."""
    n, bins = magnitude.shape
    groups = magnitude.reshape(n, 41, bins // 41)  # 41 * 25 bins: summing groups first is five times faster
    until_group = np.cumsum(groups.sum(axis=2), axis=1)  # (N, groups)
    threshold = np.float32(ROLLOFF_SHARE) * until_group[:, -1:]
    group = np.minimum(np.count_nonzero(until_group < threshold, axis=1), 40)
    rows = np.arange(n)
    before = np.where(group > 0, until_group[rows, group - 1], 0)
    within = np.cumsum(groups[rows, group], axis=1) + before[:, None]
    below = group * groups.shape[2] + np.count_nonzero(within < threshold, axis=1)
    return np.asarray(bin_frequencies()[np.minimum(below, bins - 1)], np.float64)


def _valleys_and_peaks(magnitude: Float32Array) -> tuple[Float32Array, Float32Array]:
    """(N_CONTRAST, N) means of the lowest and highest 2 % of every octave band, as `librosa.feature.spectral_contrast`.

    librosa goes on to decibels limited to 80 below the clip's maximum, so that is left to who has the whole clip.
    """
    frequency = bin_frequencies()
    edges = [0.0, *(200.0 * 2.0**octave for octave in range(N_CONTRAST))]  # Hz
    valleys, peaks = np.zeros((2, N_CONTRAST, len(magnitude)), np.float32)
    for band, (low, high) in enumerate(itertools.pairwise(edges)):
        inside = np.flatnonzero((frequency >= low) & (frequency <= high))
        first, last = int(inside[0]), int(inside[-1])
        if band > 0:
            first -= 1  # neighbouring bands share a bin
        if band == N_CONTRAST - 1:
            last = len(frequency) - 1
        n_extreme = max(1, round(0.02 * (last + 1 - first)))
        ordered = np.sort(magnitude[:, first : last + (band == N_CONTRAST - 1)], axis=1)
        valleys[band] = ordered[:, :n_extreme].mean(axis=1)
        peaks[band] = ordered[:, -n_extreme:].mean(axis=1)
    return valleys, peaks


def _rms(signal: Float32Array) -> Float32Array:
    """(F,) as `librosa.feature.rms`, from sums over hops instead of frames."""
    padded = np.pad(signal, (N_FFT // 2, N_FFT // 2))
    hops = padded[: len(padded) // HOP * HOP].reshape(-1, HOP)
    energy = np.einsum("hs,hs->h", hops, hops)
    frames = np.lib.stride_tricks.sliding_window_view(energy, N_FFT // HOP).sum(axis=1)
    return np.asarray(np.sqrt(frames / N_FFT), np.float32)
