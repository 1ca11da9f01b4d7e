"""Every limit of every gate, in one versioned table: value, unit, and why it is what it is.

``python -m experiments.calibrate_gates`` measures good and degenerate clips anew and prints the room on both sides of
each limit. A changed number or definition needs a new `VERSION`: verdicts of different versions are not comparable.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from bark_infinity.error_handling import BarkError

VERSION = 2


def _limit(value: float, unit: str, reason: str) -> Any:
    return dataclasses.field(default=value, metadata={"unit": unit, "reason": reason})


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """Limits of the gates; what lies beyond one is rejected.

    Raises:
        BarkError: When a limit is not a finite number.
    """

    # -- tokens ---------------------------------------------------------------------------------------------
    min_semantic_s: float = _limit(
        0.2, "s of semantic tokens", "the shortest word ('a', 'no') takes about 0.2 s; less holds nothing"
    )
    max_adjacent_repeats: float = _limit(
        0.60,
        "share of semantic tokens",
        "published voices reach 0.41 (95 % of 271 stay under 0.43); the stuck fr_speaker_2 has 0.80",
    )
    max_run_s: float = _limit(
        2.2,
        "s of one semantic token",
        "published voices reach 1.1 s, and a longer pause is a fault of its own; fr_speaker_2 holds one for 8.6 s",
    )
    max_frame_repeats: float = _limit(
        0.50,
        "share of codec frames",
        "frames equal to the one before in all coarse codebooks: good voices reach 0.29, fr_speaker_2 has 0.74",
    )
    max_loop_share: float = _limit(
        0.60,
        "share of the tokens",
        "tokens in half a second that was said before: published voices reach 0.16, micro-Bark, whose tokens count "
        "frames of a sound, 0.52 in good speech; loops begin at 0.70",
    )

    # -- samples --------------------------------------------------------------------------------------------
    min_loudest_db: float = _limit(
        -50.0, "dBFS of the loudest frame", "quiet speech (peak 0.06) has -39, a codec's silence stays under -60"
    )
    min_sound_s: float = _limit(
        0.12, "s with sound", "a click fills 0.085 s of frames, the shortest good clip, 'No.', has 0.77 s"
    )
    max_dc_offset: float = _limit(0.02, "mean sample", "good speech stays under 0.0013; the degenerate begin at 0.05")
    max_clipped_share: float = _limit(1e-3, "share of samples", "good clips have none, clipped ones from 0.05 on")
    max_flat_top_share: float = _limit(
        5e-3,
        "share of samples",
        "runs of 4 samples within 0.1 % of the peak: clipped, then made quieter: 0.04 there, 0 in good clips",
    )

    # -- frames ---------------------------------------------------------------------------------------------
    max_flatness: float = _limit(
        0.37, "spectral flatness", "good speech reaches 0.24, noise and speech buried in it begin at 0.51"
    )
    min_level_range_db: float = _limit(
        6.0,
        "dB, 95th minus 5th percentile of level",
        "speech has at least 14.8, brown noise 4.3, white 0.5",
    )
    min_change_db: float = _limit(
        1.0, "dB, median change of a mel band in 100 ms", "a tone has 0, even noise 1.9, speech from 3.1 on"
    )
    max_repeated_share: float = _limit(
        0.40,
        "share of frames with sound",
        "frames in 0.43 s that sound like an earlier 0.43 s: good clips reach 0.30, a clip said twice has 0.50",
    )
    max_trailing_silence_s: float = _limit(
        2.0, "s", "good clips have up to 1.0; the tails that users of Bark complain of last 6"
    )
    max_end_level_db: float = _limit(
        -4.0,
        "dB, last 20 ms against the loud frames",
        "whole clips of espeak-ng end below -25; 96 % of micro-Bark's, which stops within 20 ms of the last sound, "
        "below -4; cut ones above -3.8",
    )

    # -- against the text -----------------------------------------------------------------------------------
    min_time_ratio: float = _limit(
        0.40, "of the time its text should take", "220 words a minute give 0.60; a clip played 4 times as fast 0.33"
    )
    max_time_ratio: float = _limit(
        2.5, "of the time its text should take", "120 words a minute give 1.5; a clip 4 times as slow 2.7"
    )
    max_letter_error: float = _limit(
        0.72,
        "letter error rate of the recogniser",
        "pocketsphinx: 62 of 64 clear clips stay below with their text, 63 of 64 exceed it with another text",
    )

    # -- voice ----------------------------------------------------------------------------------------------
    max_voice_change: float = _limit(
        2.26,
        "scales of one voice, see fusion.speaker.voice_print",
        "one speaker: 95 % under 1.6, at most 2.2; a man and a woman: 2.7 with a sentence each, 2.3 with half of one",
    )

    min_part_cosine: float = _limit(
        0.3,
        "cosine of two parts' speaker vectors",
        "only where a recipe names a speaker encoder; not calibrated, for none was at hand",
    )

    def __post_init__(self) -> None:
        for f in dataclasses.fields(self):
            value = getattr(self, f.name)
            if not math.isfinite(value):
                raise BarkError(f"the threshold {f.name} is {value}, expected a finite number of {f.metadata['unit']}")


THRESHOLDS = Thresholds()


def unit_of(name: str) -> str:
    """Unit of a threshold."""
    return str(_field(name).metadata["unit"])


def reason_of(name: str) -> str:
    """Why a threshold is what it is."""
    return str(_field(name).metadata["reason"])


def _field(name: str) -> dataclasses.Field[Any]:
    found = {f.name: f for f in dataclasses.fields(Thresholds)}
    if name not in found:
        raise BarkError(f"there is no threshold {name}, expected one of {', '.join(found)}")
    return found[name]
