"""Acoustic features of a clip, in physical units.

`AcousticFeatures` is one float32 vector and its named view. A feature that has no meaning for a clip (the pitch of a
whisper, the rate of speech without its text) is 0 in the vector and listed in `AcousticFeatures.unknown`, so every
number stays finite and no reader mistakes the 0 for a measurement.

Voice measures (spectrum, MFCC, pitch) are taken over the frames that hold sound, so pauses do not change them; the
offset is removed before everything but the sample statistics.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from bark_infinity.error_handling import BarkError
from bark_infinity.prompts.pieces import TAG
from fusion.features.spectra import (
    DB_FLOOR,
    FRAME_RATE_HZ,
    N_CONTRAST,
    N_MFCC,
    VOICED_PERIODICITY,
    Frames,
    analyse,
    bin_frequencies,
)

Float32Array = NDArray[np.float32]

CLIPPED_FROM = 0.99  # of full scale
PAUSE_FROM_S = 0.15  # shorter silences belong to stop consonants
HIGH_BAND_FROM_HZ = 4_000.0
TILT_BAND_HZ = (100.0, 8_000.0)
LEAST_STEP_ST = 1e-6  # so that 0 can mean unknown
HARMONIC_PERCENTILE = 80.0  # in every voice tried, more than a fifth of the frames are voiced
TRUE_PEAK_OVERSAMPLING = 4  # ITU-R BS.1770-5, annex 2

_UNITS = {
    "s": "s", "hz": "Hz", "db": "dB", "st": "semitones", "cps": "characters per second", "share": "share",
    "octave": "dB per octave", "count": "",
}  # fmt: skip


@dataclass(frozen=True)
class AcousticFeatures:
    """What a clip sounds like.

    Attributes:
        duration_s: Of the whole clip.
        sound_share: Frames with sound (`fusion.features.spectra.Frames.sound`) of all frames.
        pause_share: Time in pauses of at least `PAUSE_FROM_S` of the time from first to last sound.
        pause_count: Such pauses.
        pause_longest_s: The longest of them.
        leading_silence_s: Before the first sound; the whole clip if there is none.
        trailing_silence_s: After the last sound; the whole clip if there is none.
        rms_db: dBFS of the whole clip; a full-scale square wave has 0.
        rms_std_db: Deviation of the level over frames with sound.
        rms_range_db: 95th minus 5th percentile of that level.
        peak_db: Largest sample, dBFS.
        true_peak_db: Largest value between samples, dBFS, by `TRUE_PEAK_OVERSAMPLING` times oversampling.
        clipped_share: Samples of at least `CLIPPED_FROM`.
        dc_offset: Mean sample.
        zero_crossing_rate_hz: Sign changes per second.
        f0_median_hz: Pitch of voiced frames: with sound, and periodic by `VOICED_PERIODICITY`.
        f0_iqr_hz: Its interquartile range.
        f0_iqr_st: The same in semitones, comparable between low and high voices.
        f0_step_st: Median change from one voiced frame to the next: unsteadiness; unknown when no two voiced frames
            are neighbours, and at least `LEAST_STEP_ST` otherwise.
        voiced_share: Voiced frames of those with sound.
        harmonicity_db: Harmonics to noise that a fifth of the frames with sound reach: 10 log10(r / (1 - r)) of the
            periodicity r (Boersma 1993); from -20 to 40 dB. Over all of them, voiced or not: noise drowns the weakest
            frames first, and a mean of those that are still voiced would rise with it.
        centroid_hz: Mean over frames, as are the spectral measures below.
        centroid_std_hz: Deviation over frames.
        bandwidth_hz: Spread around the centroid.
        bandwidth_std_hz: Deviation over frames.
        rolloff_hz: 85 % of the magnitude lies below.
        rolloff_std_hz: Deviation over frames.
        flatness: 0 for a tone, 1 for white noise.
        flatness_std: Deviation over frames.
        high_band_share: Power above `HIGH_BAND_FROM_HZ`.
        tilt_db_per_octave: Slope of the mean power spectrum in `TILT_BAND_HZ`, every octave weighing the same.
        onset_rate_hz: Onsets (about one per syllable) per second from first to last sound.
        speaking_rate_cps: Letters and digits of the text, tags left out, per second from first to last sound.
        contrast_db: Peaks above valleys in 7 octave bands.
        mfcc_mean: 20 coefficients; the first is loudness.
        mfcc_std: Their deviation over frames.
    """

    SCHEMA: ClassVar[int] = 2  # rises when a definition, a name or the order changes
    NAMES: ClassVar[tuple[str, ...]]  # of the vector's entries

    duration_s: float
    sound_share: float
    pause_share: float
    pause_count: float
    pause_longest_s: float
    leading_silence_s: float
    trailing_silence_s: float
    rms_db: float
    rms_std_db: float
    rms_range_db: float
    peak_db: float
    true_peak_db: float
    clipped_share: float
    dc_offset: float
    zero_crossing_rate_hz: float
    f0_median_hz: float
    f0_iqr_hz: float
    f0_iqr_st: float
    f0_step_st: float
    voiced_share: float
    harmonicity_db: float
    centroid_hz: float
    centroid_std_hz: float
    bandwidth_hz: float
    bandwidth_std_hz: float
    rolloff_hz: float
    rolloff_std_hz: float
    flatness: float
    flatness_std: float
    high_band_share: float
    tilt_db_per_octave: float
    onset_rate_hz: float
    speaking_rate_cps: float
    contrast_db: tuple[float, ...]
    mfcc_mean: tuple[float, ...]
    mfcc_std: tuple[float, ...]

    def vector(self) -> Float32Array:
        """(len(NAMES),) float32, in the order of `NAMES`."""
        return np.concatenate([np.atleast_1d(getattr(self, f.name)) for f in fields(self)], dtype=np.float32)

    def known_vector(self) -> Float32Array:
        """(len(NAMES),) as `vector`, but NaN for what is unknown: for models that tell a missing number from a 0."""
        unknown = self.unknown
        return np.where([name in unknown for name in self.NAMES], np.float32(np.nan), self.vector())

    @classmethod
    def known_from_measures(cls, measures: Mapping[str, float]) -> Float32Array:
        """(len(NAMES),) as `known_vector`, from the measures of a score: NaN for what is not among them."""
        return np.array([measures.get(name, np.nan) for name in cls.NAMES], np.float32)

    @classmethod
    def from_vector(cls, vector: NDArray[np.floating]) -> AcousticFeatures:
        """The named view of a vector made by `vector`.

        Raises:
            BarkError: When its length is another schema's, or a number is not finite.
        """
        array = np.asarray(vector, np.float32)
        if array.shape != (len(cls.NAMES),):
            raise BarkError(
                f"a feature vector of schema {cls.SCHEMA} has shape ({len(cls.NAMES)},), got {array.shape}; "
                "measure the clip again"
            )
        bad = [name for name, value in zip(cls.NAMES, array, strict=True) if not np.isfinite(value)]
        if bad:
            raise BarkError(f"features {', '.join(bad)} are not finite; measure the clip again")
        values = iter(array.tolist())
        taken: dict[str, float | tuple[float, ...]] = {}
        for f in fields(cls):
            size = _SIZES.get(f.name)
            taken[f.name] = next(values) if size is None else tuple(next(values) for _ in range(size))
        return cls(**taken)  # type: ignore[arg-type]

    def named(self) -> dict[str, float]:
        """Every entry of the vector by its name."""
        return dict(zip(self.NAMES, self.vector().tolist(), strict=True))

    @property
    def unknown(self) -> frozenset[str]:
        """Names whose 0 means that there was nothing to measure."""
        names: set[str] = set()
        if not self.sound_share:
            names |= _OF_SOUND | _OF_VOICE | {"speaking_rate_cps"}
        if not self.voiced_share:
            names |= _OF_VOICE
        if not self.f0_step_st:
            names.add("f0_step_st")
        if not self.speaking_rate_cps:
            names.add("speaking_rate_cps")
        return frozenset(names)


_SIZES = {"contrast_db": N_CONTRAST, "mfcc_mean": N_MFCC, "mfcc_std": N_MFCC}


def _names() -> Iterator[str]:
    for f in fields(AcousticFeatures):
        size = _SIZES.get(f.name)
        yield from [f.name] if size is None else [f"{f.name}_{index:02d}" for index in range(size)]


AcousticFeatures.NAMES = tuple(_names())
_OF_VOICE = frozenset({"f0_median_hz", "f0_iqr_hz", "f0_iqr_st", "f0_step_st"})
_ALSO_OF_SOUND = {
    "voiced_share", "harmonicity_db", "pause_share", "pause_count", "pause_longest_s", "onset_rate_hz",
    "rms_std_db", "rms_range_db", "high_band_share", "tilt_db_per_octave",
}  # fmt: skip
_OF_SOUND = frozenset(
    name
    for name in AcousticFeatures.NAMES
    if name.startswith(("centroid", "bandwidth", "rolloff", "flatness", "contrast", "mfcc")) or name in _ALSO_OF_SOUND
)


def unit_of(name: str) -> str:
    """The unit of a feature: ``Hz``, ``dB``, ...; empty for plain numbers."""
    stem = re.sub(r"_\d+$", "", name)
    return _UNITS.get(stem.rsplit("_", 1)[-1], "")


def measure(audio: NDArray[np.floating], sample_rate: int, *, text: str | None = None) -> AcousticFeatures:
    """Measures one clip.

    Args:
        audio: (S,) floats, full scale 1.0. Silence, one sample and a constant are fine.
        sample_rate: Hz; analysis is at 24 kHz whatever it is.
        text: What the clip should say, for the speaking rate.

    Raises:
        BarkError: When the clip is empty, not mono floats, holds NaN or infinity, or is beyond all scale.
    """
    return summarise(analyse(audio, sample_rate), text=text)


def spoken_characters(text: str) -> int:
    """Letters and digits of a text; what stands in [brackets] is not spoken."""
    return sum(character.isalnum() for character in TAG.sub(" ", text))


def summarise(frames: Frames, *, text: str | None = None) -> AcousticFeatures:
    """Features of a clip that `fusion.features.spectra.analyse` has looked at already."""
    parts = _of_samples(frames) | _of_time(frames, text) | _of_spectrum(frames) | _of_pitch(frames)
    ordered = [np.atleast_1d(parts[f.name]) for f in fields(AcousticFeatures)]
    return AcousticFeatures.from_vector(np.concatenate(ordered, dtype=np.float32))


def _of_samples(frames: Frames) -> dict[str, float]:
    samples = frames.samples
    centred = samples.astype(np.float64) - frames.offset
    negative = np.signbit(centred)
    magnitude = np.abs(samples)
    return {
        "duration_s": frames.n_samples / frames.sample_rate,
        "rms_db": _db(float(np.sqrt(centred @ centred / len(centred)))),
        "peak_db": _db(float(magnitude.max())),
        "true_peak_db": _db(true_peak(samples)),
        "clipped_share": float(np.mean(magnitude >= np.float32(CLIPPED_FROM))),
        "dc_offset": frames.offset,
        "zero_crossing_rate_hz": np.count_nonzero(negative[1:] != negative[:-1]) * frames.sample_rate / len(samples),
    }


def _of_time(frames: Frames, text: str | None) -> dict[str, float]:
    duration_s = frames.n_samples / frames.sample_rate
    heard = np.flatnonzero(frames.sound)
    if not heard.size:
        silent = dict.fromkeys(
            ("sound_share", "pause_share", "pause_count", "pause_longest_s", "onset_rate_hz", "speaking_rate_cps",
             "rms_std_db", "rms_range_db"), 0.0
        )  # fmt: skip
        return silent | {"leading_silence_s": duration_s, "trailing_silence_s": duration_s}
    first, last = int(heard[0]), int(heard[-1])
    span_s = (last + 1 - first) / FRAME_RATE_HZ
    gaps_s = (np.diff(heard) - 1) / FRAME_RATE_HZ
    pauses_s = gaps_s[gaps_s >= PAUSE_FROM_S]
    level = frames.rms_db[frames.sound]
    low, high = np.percentile(level, (5, 95))
    n_onsets = np.count_nonzero((frames.onsets >= first) & (frames.onsets <= last))
    return {
        "sound_share": heard.size / frames.sound.size,
        "pause_share": float(pauses_s.sum()) / span_s,
        "pause_count": float(pauses_s.size),
        "pause_longest_s": float(pauses_s.max(initial=0.0)),
        "leading_silence_s": first / FRAME_RATE_HZ,
        "trailing_silence_s": max(0.0, duration_s - (last + 1) / FRAME_RATE_HZ),
        "rms_std_db": float(level.std()),
        "rms_range_db": float(high - low),
        "onset_rate_hz": n_onsets / span_s,
        "speaking_rate_cps": 0.0 if text is None else spoken_characters(text) / span_s,
    }


def _of_spectrum(frames: Frames) -> dict[str, float | NDArray[np.floating]]:
    tracks: dict[str, tuple[str, NDArray[np.floating]]] = {
        "centroid": ("_hz", frames.centroid_hz), "bandwidth": ("_hz", frames.bandwidth_hz),
        "rolloff": ("_hz", frames.rolloff_hz), "flatness": ("", frames.flatness),
    }  # fmt: skip
    some = frames.sound.any()
    parts: dict[str, float | NDArray[np.floating]] = {}
    for name, (unit, track) in tracks.items():
        parts[f"{name}{unit}"] = float(track.mean(dtype=np.float64)) if some else 0.0
        parts[f"{name}_std{unit}"] = float(track.std(dtype=np.float64)) if some else 0.0
    parts["contrast_db"] = frames.contrast_db.mean(axis=1) if some else np.zeros(N_CONTRAST)
    parts["mfcc_mean"] = frames.mfcc.mean(axis=1, dtype=np.float64) if some else np.zeros(N_MFCC)
    parts["mfcc_std"] = frames.mfcc.std(axis=1, dtype=np.float64) if some else np.zeros(N_MFCC)

    frequency = bin_frequencies()
    total = float(frames.mean_power.sum())
    high = float(frames.mean_power[frequency >= HIGH_BAND_FROM_HZ].sum())
    parts["high_band_share"] = high / total if total else 0.0
    band = (frequency >= TILT_BAND_HZ[0]) & (frequency <= TILT_BAND_HZ[1])
    parts["tilt_db_per_octave"] = _tilt(frequency[band], frames.mean_power[band]) if some else 0.0
    return parts


def _tilt(frequency: NDArray[np.float64], power: NDArray[np.float64]) -> float:
    """Slope of power in dB over octaves; bins weigh 1 / frequency, so octaves weigh the same."""
    octave = np.log2(frequency)
    level = 10 * np.log10(np.maximum(power, 1e-12))
    weight = 1 / frequency
    weight /= weight.sum()
    octave -= weight @ octave
    return float((weight * octave) @ level / ((weight * octave) @ octave))


def _of_pitch(frames: Frames) -> dict[str, float]:
    if not frames.periodicity.size:
        return dict.fromkeys((*_OF_VOICE, "voiced_share", "harmonicity_db"), 0.0)
    r = float(np.percentile(frames.periodicity, HARMONIC_PERCENTILE))
    r = min(max(r, 1e-2), 1 - 1e-4)
    harmonicity_db = 10 * math.log10(r / (1 - r))
    voiced = frames.periodicity >= VOICED_PERIODICITY  # (N,)
    if not voiced.any():
        return dict.fromkeys((*_OF_VOICE, "voiced_share"), 0.0) | {"harmonicity_db": harmonicity_db}
    f0 = frames.f0_hz[voiced].astype(np.float64)
    semitones = 12 * np.log2(f0)
    # Only steps between frames that were neighbours in the clip, not across a pause or an unvoiced sound.
    neighbours = np.diff(np.flatnonzero(frames.sound)[voiced]) == 1
    steps = np.abs(np.diff(semitones))[neighbours]
    low_hz, median_hz, high_hz = np.percentile(f0, (25, 50, 75))
    low_st, high_st = np.percentile(semitones, (25, 75))
    return {
        "f0_median_hz": float(median_hz),
        "f0_iqr_hz": float(high_hz - low_hz),
        "f0_iqr_st": float(high_st - low_st),
        "f0_step_st": max(LEAST_STEP_ST, float(np.median(steps))) if steps.size else 0.0,
        "voiced_share": float(voiced.mean()),
        "harmonicity_db": harmonicity_db,
    }


def true_peak(samples: Float32Array) -> float:
    """Largest magnitude of the band-limited signal, by 4 times oversampling (ITU-R BS.1770-5, annex 2).

    Equals the peak of `scipy.signal.resample_poly(samples, 4, 1)`, but looks only where the samples are loud enough
    for their interpolation to exceed the largest sample.
    """
    import scipy.signal

    taps, overshoot = _interpolator()
    block, reach = 64, len(taps) // (2 * TRUE_PEAK_OVERSAMPLING)  # samples that the filter sees on each side
    peak = float(np.abs(samples).max())
    padded = np.pad(samples, (reach, reach + -len(samples) % block))
    pieces = np.lib.stride_tricks.sliding_window_view(padded, block + 2 * reach)[::block]
    loud = np.maximum(pieces.max(axis=1), -pieces.min(axis=1)) * overshoot > peak
    fine = scipy.signal.upfirdn(taps, pieces[loud], TRUE_PEAK_OVERSAMPLING, axis=1)
    start = 2 * reach * TRUE_PEAK_OVERSAMPLING  # the filter delays by `reach`, and the piece begins that much early
    inner = fine[:, start : start + block * TRUE_PEAK_OVERSAMPLING]
    return max(peak, float(np.abs(inner).max(initial=0.0)))


@functools.cache
def _interpolator() -> tuple[Float32Array, float]:
    """The filter that resample_poly designs, and by how much it can exceed the loudest sample it sees."""
    import scipy.signal

    up = TRUE_PEAK_OVERSAMPLING
    taps = (up * scipy.signal.firwin(20 * up + 1, 1 / up, window=("kaiser", 5.0))).astype(np.float32)
    return taps, max(float(np.abs(taps[phase::up]).sum()) for phase in range(up))


def _db(amplitude: float) -> float:
    return max(DB_FLOOR, 20 * float(np.log10(max(amplitude, 1e-30))))
