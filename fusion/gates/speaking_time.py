"""How long a text takes to say: per script, from its letters, for deciding whether a clip is far too short or long.

Numbers are timed as the English words for them, or digit by digit where that is shorter: other languages take about as
long, and a billion is not ten words.

Light module: `bark_infinity.prompts` and `bark_infinity.text_normalisation` only.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from bark_infinity.prompts.pieces import SONG_MARKS, TAG
from bark_infinity.text_normalisation import normalise

_NUMBER = re.compile(r"\d(?:[\d.,:/]*\d)?")
_MUSIC = re.compile(f"[{SONG_MARKS}]")

# Seconds per character at an ordinary pace. Alphabets: 150 words a minute of 4.5 letters, pauses included (the 14 to
# 17 characters a second that people quote count spaces); syllabic scripts: 3.5 (Han) to 7 (kana) a second.
_SECONDS = {"HANGUL": 0.20, "CJK": 0.28, "HIRAGANA": 0.14, "KATAKANA": 0.14, "DEVANAGARI": 0.14}
_LETTER_S = 0.085
_DIGIT_S = 0.35  # of a digit said as a word of its own
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
    usual = sum(_number_s(number) for number in _NUMBER.findall(spoken))
    usual += sum(_character_s(character) for character in _NUMBER.sub(" ", spoken))
    slack = TAG_SLACK_S * len(TAG.findall(text))
    if _MUSIC.search(text):
        slack += (SONG_SLOWER - 1) * usual
    return SpeakingTime(usual, slack)


def _number_s(number: str) -> float:
    words, _ = normalise(number, lambda _word: True)
    digits = sum(character.isdigit() for character in number)
    return min(_LETTER_S * sum(character.isalpha() for character in words), _DIGIT_S * digits)


def _character_s(character: str) -> float:
    if character.isdigit():
        return _DIGIT_S
    if not character.isalpha():
        return 0.0
    if character.isascii():
        return _LETTER_S
    return _SECONDS.get(unicodedata.name(character, "").split(" ")[0], _LETTER_S)
