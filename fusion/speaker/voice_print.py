"""Whose voice is it? A print of a clip's voice, the distance of two, and whether one clip holds two speakers.

The embedded print is the mean of mel cepstra 1 to 19 over the loud frames, those within `LOUD_RANGE_DB` of the loudest
(c0 is loudness and says nothing about the voice; quiet frames are the room's), and the median pitch in semitones. The
cepstra are of the bands below 7.6 kHz, so that clips recorded at 16 kHz compare with others, and of at most
`BAND_RANGE_DB`, so that the noise between harmonics does not count. The distance of two prints is, with differences d
in units of `REFERENCE_SCALE`

    sqrt(0.8 mean(min(d_timbre^2, 16)) + 0.2 min(d_pitch^2, 16))

`REFERENCE_SCALE` is what parts of one speaker's sentences differ by (1.4826 times the median absolute difference of
parts of 0.75 s), frozen from synthetic speech by ``python -m experiments.calibrate_gates``. The cap keeps one wild
coefficient or an octave error of the pitch tracker from deciding. The print tells apart voices of different timbre or
pitch, but no near relatives: for those take an encoder trained on speakers, any Hugging Face one by id.
"""

from __future__ import annotations

import bisect
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bark_infinity.error_handling import BarkError
from fusion.features.spectra import VOICED_PERIODICITY, Frames
from fusion.gates.thresholds import THRESHOLDS, Thresholds
from fusion.gates.verdict import GateVerdict

VERSION = 1  # of the print and its distance
REFERENCE_SCALE: tuple[float, ...] = (
    14.584, 10.375, 13.385, 7.718, 8.817, 8.266, 8.43, 7.832, 5.508, 6.499, 4.809, 7.301, 3.419, 4.472, 4.196, 4.044,
    3.174, 3.15, 3.291, 2.266,
)  # fmt: skip
SAME_OR_NOT = 0.95  # distance at which one voice and two are equally likely

PITCH_WEIGHT = 0.2
MAX_SQUARE = 16.0  # 4 scales
LOUD_RANGE_DB = 25.0
N_BANDS = 112  # of the 128 mel bands: those centred below 7.6 kHz
BAND_RANGE_DB = 50.0  # below the loudest band of a frame
N_CEPSTRA = 19
MIN_VOICED_FRAMES = 10  # fewer give no pitch: 0.2 s
PART_FRAMES = 35  # loud ones, 0.75 s: shorter parts say too little about their speaker
_MAX_PLACES = 128  # tried in one clip
_STEP_FRAMES = 4

Float64Array = NDArray[np.float64]


@dataclass(frozen=True)
class VoicePrint:
    """What a voice sounds like, whatever it says.

    Attributes:
        timbre: (19,) mean cepstra 1 to 19.
        pitch_st: Median pitch in semitones above 100 Hz; None for whispers.
    """

    timbre: tuple[float, ...]
    pitch_st: float | None


def voice_print(frames: Frames) -> VoicePrint:
    """The print of a clip.

    Raises:
        BarkError: When the clip holds no sound.
    """
    if not frames.sound.any():
        raise BarkError("a clip without sound has no voice to print; gate silent clips first")
    return _loud(frames).print_of(slice(None))


def voice_distance(a: VoicePrint, b: VoicePrint) -> float:
    """0 for equal prints, about 0.7 for one voice saying other words, 2 for different voices; at most 4."""
    pitch = math.nan if a.pitch_st is None or b.pitch_st is None else a.pitch_st - b.pitch_st
    return float(_distances(np.subtract(a.timbre, b.timbre)[None], np.array([pitch]))[0])


@dataclass(frozen=True)
class VoiceChange:
    """The moment in a clip before and after which the voices differ most.

    Attributes:
        distance: Of the two parts' prints, in units of what chance would give for parts of their length.
        at_frame: First frame of the second part.
    """

    distance: float
    at_frame: int


def voice_change(frames: Frames) -> VoiceChange | None:
    """Looks for a change of speaker: every place is tried that leaves `PART_FRAMES` loud frames on both sides.

    The longer the parts, the less they should differ by chance, so the distance of parts of a and b frames is
    weighted by sqrt(a b / (a + b) / `PART_FRAMES`), as in a test of two means.

    Returns:
        None when the clip is too short to tell.
    """
    loud = _loud(frames)
    n = loud.at.size
    places = np.arange(PART_FRAMES, n - PART_FRAMES + 1, max(_STEP_FRAMES, n // _MAX_PLACES))
    if not places.size:
        return None
    until = np.cumsum(loud.cepstra, axis=0)
    before = until[places - 1] / places[:, None]
    after = (until[-1] - until[places - 1]) / (n - places)[:, None]
    weight = np.sqrt(places * (n - places) / n / PART_FRAMES)
    pitch = _pitches_until(loud, places) - _pitches_until(loud.reversed(), n - places[::-1])[::-1]
    distances = _distances((before - after) * weight[:, None], pitch * weight)
    furthest = int(np.argmax(distances))
    return VoiceChange(float(distances[furthest]), int(loud.at[places[furthest]]))


def judge_speaker(frames: Frames, *, thresholds: Thresholds = THRESHOLDS) -> GateVerdict:
    """The gate ``speaker_switch``: one voice from beginning to end; clips too short to tell pass."""
    change = voice_change(frames)
    if change is None:
        return GateVerdict(True, "speaker_switch", "not judged: the clip is too short to hold two voices")
    at_s = change.at_frame / frames.sound.size * frames.n_samples / frames.sample_rate
    evidence = {
        "voice_change": change.distance,
        "voice_change_limit": thresholds.max_voice_change,
        "voice_change_at_s": at_s,
    }
    if change.distance <= thresholds.max_voice_change:
        return GateVerdict(True, "speaker_switch", evidence=evidence)
    return GateVerdict(False, "speaker_switch", f"another voice speaks after {at_s:.1f} s", evidence)


def measured_scale(same_voice: list[tuple[VoicePrint, VoicePrint, float]]) -> tuple[float, ...]:
    """The scale that `REFERENCE_SCALE` freezes: how much prints of one voice differ, robustly.

    Args:
        same_voice: Pairs of prints of one speaker, with the weight of their lengths as in `voice_change`.

    Returns:
        (20,) scales: of 19 coefficients and of the pitch.
    """
    timbre = np.array([np.subtract(a.timbre, b.timbre) * weight for a, b, weight in same_voice])
    pitch = [
        (a.pitch_st - b.pitch_st) * weight
        for a, b, weight in same_voice
        if a.pitch_st is not None and b.pitch_st is not None
    ]
    scales = [*np.median(np.abs(timbre), axis=0), np.median(np.abs(pitch))]
    return tuple(round(1.4826 * float(scale), 3) for scale in scales)


def halves(frames: Frames) -> list[tuple[VoicePrint, VoicePrint, float]]:
    """Prints of the two sides of a clip cut at a third, a half and two thirds, with their weights."""
    loud = _loud(frames)
    n = loud.at.size
    cuts = [place for place in (n // 3, n // 2, 2 * n // 3) if PART_FRAMES <= place <= n - PART_FRAMES]
    return [
        (loud.print_of(slice(0, k)), loud.print_of(slice(k, n)), math.sqrt(k * (n - k) / n / PART_FRAMES)) for k in cuts
    ]


@dataclass(frozen=True, eq=False)
class _Loud:
    """Loud frames of a clip: their places (n,), cepstra (n, 19), pitch (n,) and whether they are voiced (n,)."""

    at: NDArray[np.int64]
    cepstra: NDArray[np.float64]
    f0_hz: NDArray[np.float32]
    voiced: NDArray[np.bool_]

    def reversed(self) -> _Loud:
        """The same from the end."""
        return _Loud(self.at[::-1], self.cepstra[::-1], self.f0_hz[::-1], self.voiced[::-1])

    def print_of(self, part: slice) -> VoicePrint:
        """The print of some of them, at least one."""
        voiced = self.voiced[part]
        pitch = None
        if np.count_nonzero(voiced) >= MIN_VOICED_FRAMES:
            pitch = 12 * math.log2(float(np.median(self.f0_hz[part][voiced])) / 100)
        return VoicePrint(tuple(self.cepstra[part].mean(axis=0).tolist()), pitch)


def _loud(frames: Frames) -> _Loud:
    import scipy.fft

    level = frames.rms_db[frames.sound]
    loud = np.flatnonzero(level > level.max(initial=-np.inf) - LOUD_RANGE_DB)
    at = np.flatnonzero(frames.sound)[loud]
    bands = frames.mel_db[:N_BANDS, at].T.astype(np.float64)  # (n, bands)
    if at.size:
        bands = np.maximum(bands, bands.max(axis=1, keepdims=True) - BAND_RANGE_DB)
    cepstra = scipy.fft.dct(bands, norm="ortho", axis=1)[:, 1 : N_CEPSTRA + 1] if at.size else np.zeros((0, N_CEPSTRA))
    voiced = frames.periodicity[loud] >= VOICED_PERIODICITY
    return _Loud(at, cepstra, frames.f0_hz[loud], voiced)


def _pitches_until(loud: _Loud, places: NDArray[np.int64]) -> Float64Array:
    """(P,) median pitch in semitones above 100 Hz of the frames before each place, ascending; NaN for too few."""
    found = np.full(len(places), np.nan)
    ordered: list[float] = []
    done = 0
    for index, place in enumerate(places.tolist()):
        for pitch in loud.f0_hz[done:place][loud.voiced[done:place]].tolist():
            bisect.insort(ordered, pitch)
        done = place
        if len(ordered) >= MIN_VOICED_FRAMES:
            found[index] = (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
    return np.asarray(12 * np.log2(found / 100))


def _distances(timbre: Float64Array, pitch_st: Float64Array) -> Float64Array:
    """(P,) distances of prints that differ by (P, 19) coefficients and (P,) semitones, NaN where one is a whisper."""
    scale: Float64Array = np.asarray(REFERENCE_SCALE)
    of_timbre = np.minimum(np.square(timbre / scale[:-1]), MAX_SQUARE).mean(axis=1)
    of_pitch = np.minimum(np.square(pitch_st / scale[-1]), MAX_SQUARE)
    both = (1 - PITCH_WEIGHT) * of_timbre + PITCH_WEIGHT * of_pitch
    return np.asarray(np.sqrt(np.where(np.isnan(of_pitch), of_timbre, both)))  # whispers are compared by timbre alone
