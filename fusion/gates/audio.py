"""Gates on sound: silence, offset, static, tones, clipping, long tails, loops, cut ends, and times that fit no text.

All of them read one analysis of the clip (`fusion.features.spectra.analyse`) and its features, so they cost little
more than the features do. They do not know what a good voice is; they only know what is certainly none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fusion.features.features import AcousticFeatures
from fusion.features.spectra import DB_FLOOR, FRAME_RATE_HZ, Frames
from fusion.gates.speaking_time import speaking_time
from fusion.gates.thresholds import THRESHOLDS, Thresholds
from fusion.gates.tokens import repeats_itself
from fusion.gates.verdict import GateVerdict

END_S = 0.02  # of the clip, whose level says whether it was cut
FLAT_TOP_SAMPLES = 4  # in a row; smooth peaks hold fewer
FLAT_TOP_FROM = 0.999  # of the peak
CHANGE_FRAMES = 5  # about 100 ms
REPEAT_BANDS = 32  # mel bands, of 128 in fours
REPEAT_WINDOW = 20  # frames, 0.43 s
REPEAT_MIN_LAG = 4  # frames, 85 ms: nearer frames share samples
REPEAT_MAX_LAG_S = 10.0
_REPEAT_BLOCK = 512  # frames looked at together: memory follows the block, not the clip
REPEAT_LIKENESS = 0.9  # mean cosine over a window; different words stay under 0.6
SHORT_TEXT_S = 0.5  # what a clip of a few words may take beside them


@dataclass(frozen=True)
class AudioMeasures:
    """What the audio gates measure beyond the features.

    Attributes:
        loudest_db: Level of the loudest frame, dBFS.
        sound_s: Time with sound.
        flat_top_share: Samples in runs of `FLAT_TOP_SAMPLES` within 0.1 % of the peak.
        change_db: Median change of a mel band over `CHANGE_FRAMES`, where there is sound.
        repeated_share: Frames with sound that lie in a window which sounds like an earlier one.
        end_level_db: Last `END_S` against the 90th percentile of frames with sound.
        spoken_s: From first to last sound.
    """

    loudest_db: float
    sound_s: float
    flat_top_share: float
    change_db: float
    repeated_share: float
    end_level_db: float
    spoken_s: float


def measure_audio(frames: Frames, features: AcousticFeatures) -> AudioMeasures:
    """Measures what the audio gates go by.

    Args:
        frames: `fusion.features.spectra.analyse` of the clip.
        features: `fusion.features.features.summarise` of the same frames.
    """
    return AudioMeasures(
        loudest_db=float(frames.rms_db.max()),
        sound_s=float(np.count_nonzero(frames.sound)) / FRAME_RATE_HZ,
        flat_top_share=_flat_top_share(frames.samples),
        change_db=_change_db(frames),
        repeated_share=repeated_share(frames),
        end_level_db=_end_level_db(frames),
        spoken_s=max(0.0, features.duration_s - features.leading_silence_s - features.trailing_silence_s),
    )


def judge_audio(
    frames: Frames, features: AcousticFeatures, *, text: str | None = None, thresholds: Thresholds = THRESHOLDS
) -> tuple[GateVerdict, ...]:
    """Asks every audio gate; the first rejection names the plainest fault.

    In this order: ``dc_offset``, ``silent``, ``static``, ``tone``, ``clipped``, ``trailing_silence``, ``too_short``,
    ``too_long``, ``looping_sound``, ``cut_off``.

    Args:
        frames: `fusion.features.spectra.analyse` of the clip.
        features: `fusion.features.features.summarise` of the same frames.
        text: What it should say; without it ``too_short`` and ``too_long`` cannot judge.
        thresholds: Limits.
    """
    measures = measure_audio(frames, features)
    return (
        _dc_offset(features, thresholds),
        _silent(measures, thresholds),
        _static(features, measures, thresholds),
        _tone(features, measures, thresholds),
        _clipped(features, measures, thresholds),
        _trailing_silence(features, thresholds),
        *_against_text(measures, text, thresholds),
        _looping_sound(measures, text, thresholds),
        _cut_off(measures, thresholds),
    )


def _verdict(gate: str, reason: str | None, evidence: dict[str, float]) -> GateVerdict:
    return GateVerdict(reason is None, gate, reason, evidence)


def _dc_offset(features: AcousticFeatures, limits: Thresholds) -> GateVerdict:
    offset = features.dc_offset
    found = abs(offset) > limits.max_dc_offset
    reason = f"its mean is {offset:.2f} of full scale instead of 0" if found else None
    return _verdict("dc_offset", reason, {"dc_offset": offset, "dc_offset_limit": limits.max_dc_offset})


def _silent(measures: AudioMeasures, limits: Thresholds) -> GateVerdict:
    reason = None
    if measures.loudest_db < limits.min_loudest_db:
        reason = f"its loudest moment has {measures.loudest_db:.0f} dBFS: nothing can be heard"
    elif measures.sound_s < limits.min_sound_s:
        reason = f"there is sound for {measures.sound_s:.2f} s only, shorter than any word"
    return _verdict(
        "silent",
        reason,
        {
            "loudest_db": measures.loudest_db,
            "loudest_db_limit": limits.min_loudest_db,
            "sound_s": measures.sound_s,
            "sound_s_limit": limits.min_sound_s,
        },
    )


def _static(features: AcousticFeatures, measures: AudioMeasures, limits: Thresholds) -> GateVerdict:
    steady = features.rms_range_db < limits.min_level_range_db and measures.change_db >= limits.min_change_db
    reason = None
    if features.flatness > limits.max_flatness:
        reason = f"its spectrum is as flat as noise ({features.flatness:.2f})"
    elif steady and features.sound_share:
        reason = f"it hisses evenly: its level stays within {features.rms_range_db:.1f} dB"
    return _verdict(
        "static",
        reason,
        {
            "flatness": features.flatness,
            "flatness_limit": limits.max_flatness,
            "rms_range_db": features.rms_range_db,
            "rms_range_db_limit": limits.min_level_range_db,
        },
    )


def _tone(features: AcousticFeatures, measures: AudioMeasures, limits: Thresholds) -> GateVerdict:
    found = features.sound_share > 0 and measures.change_db < limits.min_change_db
    reason = f"it is one standing sound: it changes by {measures.change_db:.1f} dB in 100 ms" if found else None
    return _verdict("tone", reason, {"change_db": measures.change_db, "change_db_limit": limits.min_change_db})


def _clipped(features: AcousticFeatures, measures: AudioMeasures, limits: Thresholds) -> GateVerdict:
    reason = None
    if features.clipped_share > limits.max_clipped_share:
        reason = f"{features.clipped_share:.1%} of its samples are at full scale"
    elif measures.flat_top_share > limits.max_flat_top_share:
        reason = f"its peaks are cut flat: {measures.flat_top_share:.1%} of its samples"
    return _verdict(
        "clipped",
        reason,
        {
            "clipped_share": features.clipped_share,
            "clipped_share_limit": limits.max_clipped_share,
            "flat_top_share": measures.flat_top_share,
            "flat_top_share_limit": limits.max_flat_top_share,
        },
    )


def _trailing_silence(features: AcousticFeatures, limits: Thresholds) -> GateVerdict:
    silence_s = features.trailing_silence_s
    found = silence_s > limits.max_trailing_silence_s
    reason = f"the last {silence_s:.1f} s are silent" if found else None
    evidence = {"trailing_silence_s": silence_s, "trailing_silence_s_limit": limits.max_trailing_silence_s}
    return _verdict("trailing_silence", reason, evidence)


def _against_text(measures: AudioMeasures, text: str | None, limits: Thresholds) -> tuple[GateVerdict, GateVerdict]:
    time = None if text is None else speaking_time(text)
    if time is None or time.usual_s == 0:
        why = "not judged: there is no text" if time is None else "not judged: nothing in the text is spoken"
        return GateVerdict(True, "too_short", why), GateVerdict(True, "too_long", why)
    shortest_s = limits.min_time_ratio * time.usual_s
    longest_s = limits.max_time_ratio * time.usual_s + time.slack_s + SHORT_TEXT_S
    evidence = {"spoken_s": measures.spoken_s, "shortest_s_limit": shortest_s, "longest_s_limit": longest_s}
    told = f"it speaks for {measures.spoken_s:.1f} s, its text takes about {time.usual_s:.1f} s"
    return (
        _verdict("too_short", told if measures.spoken_s < shortest_s else None, evidence),
        _verdict("too_long", told if measures.spoken_s > longest_s else None, evidence),
    )


def _looping_sound(measures: AudioMeasures, text: str | None, limits: Thresholds) -> GateVerdict:
    evidence = {"repeated_share": measures.repeated_share, "repeated_share_limit": limits.max_repeated_share}
    if measures.repeated_share <= limits.max_repeated_share:
        return GateVerdict(True, "looping_sound", evidence=evidence)
    if text is not None and repeats_itself(text):
        return GateVerdict(True, "looping_sound", "not judged: the text repeats itself", evidence)
    return _verdict("looping_sound", f"{measures.repeated_share:.0%} of it sounds like what was there before", evidence)


def _cut_off(measures: AudioMeasures, limits: Thresholds) -> GateVerdict:
    found = measures.end_level_db > limits.max_end_level_db
    reason = (
        f"it ends in the middle of a sound, {measures.end_level_db:+.0f} dB beside its loud parts" if found else None
    )
    return _verdict(
        "cut_off",
        reason,
        {"end_level_db": measures.end_level_db, "end_level_db_limit": limits.max_end_level_db},
    )


def _flat_top_share(samples: NDArray[np.float32]) -> float:
    magnitude = np.abs(samples)
    peak = float(magnitude.max())
    if not peak:
        return 0.0
    at_top = np.concatenate([[False], magnitude >= FLAT_TOP_FROM * peak, [False]])
    edges = np.flatnonzero(at_top[1:] != at_top[:-1])
    lengths = edges[1::2] - edges[::2]
    return float(lengths[lengths >= FLAT_TOP_SAMPLES].sum()) / len(samples)


def _change_db(frames: Frames) -> float:
    both = frames.sound[CHANGE_FRAMES:] & frames.sound[:-CHANGE_FRAMES]
    if not both.any():
        return 0.0
    return float(np.median(np.abs(frames.mel_db[:, CHANGE_FRAMES:] - frames.mel_db[:, :-CHANGE_FRAMES])[:, both]))


def _end_level_db(frames: Frames) -> float:
    if not frames.sound.any():
        return DB_FLOOR
    last = frames.samples[-max(1, round(END_S * frames.sample_rate)) :].astype(np.float64) - frames.offset
    level = 10 * np.log10(max(float(np.mean(np.square(last))), 1e-12))
    return float(level - np.percentile(frames.rms_db[frames.sound], 90))


def repeated_share(frames: Frames) -> float:
    """Share of frames with sound that lie in a window which sounds like one at least `REPEAT_MIN_LAG` earlier.

    Frames are compared by the cosine of their mel spectra in dB, less the clip's mean spectrum.
    """
    n_sound = int(np.count_nonzero(frames.sound))
    n_frames = frames.sound.size
    if not n_sound or n_frames <= REPEAT_WINDOW + REPEAT_MIN_LAG:
        return 0.0
    bands = frames.mel_db.reshape(REPEAT_BANDS, -1, n_frames).mean(axis=1).T  # (F, bands)
    shape = bands - bands[frames.sound].mean(axis=0)
    shape /= np.maximum(np.linalg.norm(shape, axis=1, keepdims=True), 1e-6)
    shape[~frames.sound] = 0  # silence is like nothing
    max_lag = min(n_frames - REPEAT_WINDOW, round(REPEAT_MAX_LAG_S * FRAME_RATE_HZ))
    repeated = np.zeros(n_frames, bool)
    before = max_lag + REPEAT_WINDOW - 1
    padded = np.pad(shape, ((before, 0), (0, 0)))  # nothing is like what was before the clip
    for first in range(0, n_frames, _REPEAT_BLOCK):
        # A block of windows' ends, and everything that their windows and the earlier ones reach back to.
        reach = padded[first : first + before + _REPEAT_BLOCK]
        here = reach[max_lag:]
        likeness = here @ reach.T  # (frames, earlier frames)
        rows, columns = likeness.strides
        lags = np.lib.stride_tricks.as_strided(
            likeness[:, max_lag - REPEAT_MIN_LAG :],
            (max_lag - REPEAT_MIN_LAG + 1, len(here)),
            (-columns, rows + columns),
            writeable=False,
        )  # (lags, frames) from REPEAT_MIN_LAG up
        total = np.cumsum(lags, axis=1, dtype=np.float64)
        total[:, REPEAT_WINDOW:] -= total[:, :-REPEAT_WINDOW].copy()
        alike = total[:, REPEAT_WINDOW - 1 :] > REPEAT_LIKENESS * REPEAT_WINDOW  # by lag and last frame
        ends = first + np.arange(alike.shape[1])
        begins = ends - np.arange(REPEAT_MIN_LAG, max_lag + 1)[:, None] - (REPEAT_WINDOW - 1)
        for end in ends[(alike & (begins >= 0)).any(axis=0)]:
            repeated[max(0, end - REPEAT_WINDOW + 1) : end + 1] = True
    return float(np.count_nonzero(repeated & frames.sound)) / n_sound
