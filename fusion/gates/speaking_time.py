"""How long a text takes to say: per script, from its letters, for deciding whether a clip is far too short or long.

Light module: `bark_infinity.prompts` only.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from bark_infinity.prompts.pieces import TAG

_MUSIC = re.compile(r"[♪♫♬]")

# Seconds per character at an ordinary pace. Alphabets: 150 words a minute of 4.5 letters, pauses included (the 14 to
# 17 characters a second that people quote count spaces); syllabic scripts: 3.5 (Han) to 7 (kana) a second.
_SECONDS = {"HANGUL": 0.20, "CJK": 0.28, "HIRAGANA": 0.14, "KATAKANA": 0.14, "DEVANAGARI": 0.14}
_LETTER_S = 0.085
_DIGIT_S = 0.35  # a digit is said as a word of its own, more or less
TAG_SLACK_S = 2.5  # a laugh or a sigh may take this long, or nothing
SONG_SLOWER = 2.0  # at most


@dataclass(frozen=True)
class SpeakingTime:
    """Time a text takes at an ordinary pace, and what tags and song may add to it."""

    usual_s: float
    slack_s: float


def speaking_time(text: str) -> SpeakingTime:
    """Estimates the time from first to last sound.

    Args:
        text: Any script; [tags] are not spoken, ♪ is sung.
    """
    spoken = TAG.sub(" ", text)
    usual = sum(_character_s(character) for character in spoken)
    slack = TAG_SLACK_S * len(TAG.findall(text))
    if _MUSIC.search(text):
        slack += (SONG_SLOWER - 1) * usual
    return SpeakingTime(usual, slack)


def _character_s(character: str) -> float:
    if character.isdigit():
        return _DIGIT_S
    if not character.isalpha():
        return 0.0
    if character.isascii():
        return _LETTER_S
    return _SECONDS.get(unicodedata.name(character, "").split(" ")[0], _LETTER_S)
