"""Does a clip say its text? Substituted, missing and invented words, tags read aloud, and an error rate.

Nobody who understands the language, no recogniser or no text gives "unknown" with its reason: never an error rate,
neither 0 nor 1. The gate goes by the letter error rate, because a small recogniser often mishears a word by a sound or
two: pocketsphinx has a word error of a third on clear synthetic speech, and one of nine tenths on another text.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bark_infinity.error_handling import BarkError
from fusion.gates.thresholds import THRESHOLDS, Thresholds
from fusion.gates.verdict import GateVerdict
from fusion.words.alignment import Alignment, align, letter_error
from fusion.words.recognisers import Recogniser
from fusion.words.spoken import UNKNOWN, SpokenWords, guess_language, spoken_words

VERSION = 1  # of how a text and what was heard of it are normalised and compared
_SHOWN = 12  # words of a transcript in a reason


@dataclass(frozen=True)
class TextReading:
    """How well a clip says its text.

    Attributes:
        unknown: Why nobody could tell; None when somebody could, and only then the rest means something.
        error: Letter error rate: wrong, missing and invented letters per letter; 0 is perfect; None when unknown.
        word_error: The same over words.
        alignment: Word by word; None when unknown.
        tags_read: Words of tags, such as ``laughs``, that were said aloud.
        heard: What the recogniser wrote.
        recogniser: Its name.
    """

    unknown: str | None
    error: float | None = None
    word_error: float | None = None
    alignment: Alignment | None = None
    tags_read: tuple[str, ...] = ()
    heard: str = ""
    recogniser: str = ""

    def __post_init__(self) -> None:
        if (self.unknown is None) != (self.error is not None):
            raise BarkError("a reading has either an error rate or the reason why it is unknown")


def compare(text: str, heard: str, recogniser: str = "") -> TextReading:
    """Compares an English text with what a recogniser wrote.

    Args:
        text: What should have been said; tags are not expected.
        heard: What was heard.
        recogniser: Whose words these are.
    """
    expected, got = spoken_words(text), spoken_words(heard).words
    if not expected.words:
        return TextReading("nothing in the text is spoken", heard=heard, recogniser=recogniser)
    alignment = align(expected.words, got)
    return TextReading(
        unknown=None,
        error=letter_error(expected.words, got),
        word_error=alignment.word_error,
        alignment=alignment,
        tags_read=_tags_read(expected, alignment),
        heard=heard,
        recogniser=recogniser,
    )


def _tags_read(expected: SpokenWords, alignment: Alignment) -> tuple[str, ...]:
    """Words of tags among those that were heard beyond the text, or in place of it; each once."""
    beyond = {*alignment.invented, *(got for _, got in alignment.substituted)}
    return tuple(dict.fromkeys(word for word in expected.tags if word in beyond))


@dataclass(frozen=True)
class TextReader:
    """Reads clips with one recogniser; what `fusion.critic.Critic` takes as its reader.

    Attributes:
        recogniser: None when there is none: every reading is unknown then.
        language: Two-letter code of the texts; None guesses it from each, and takes none for English without evidence.
    """

    recogniser: Recogniser | None
    language: str | None = None

    @property
    def name(self) -> str:
        """Who reads, and in which language, for records: scores of other readers are never compared."""
        language = self.language or "guessed"
        return "none" if self.recogniser is None else f"{self.recogniser.name}, language {language}, words {VERSION}"

    def __call__(self, audio: NDArray[np.float32], sample_rate: int, text: str | None) -> TextReading:
        """Whether (S,) samples at ``sample_rate`` Hz say ``text``.

        Raises:
            BarkError: When the samples are empty or not finite.
        """
        if self.recogniser is None:
            return TextReading("there is no recogniser; install one with: pip install 'victor-bark-fusion[asr]'")
        if text is None:
            return TextReading("no text says what the clip should say")
        language = self.language or guess_language(text)
        if language is None:
            return TextReading("nothing in the text is spoken")
        if language == UNKNOWN:
            return TextReading("the language of the text is unknown; state it as the reader's language")
        if language != "en":
            return TextReading(f"the text is not English but '{language}'; its words cannot be compared yet")
        known = self.recogniser.languages
        if known is not None and language not in known:
            return TextReading(f"the recogniser {self.recogniser.name} does not understand '{language}'")
        transcript = self.recogniser.transcribe(audio, sample_rate)
        return compare(text, transcript.text, transcript.recogniser)


def judge_reading(reading: TextReading | None, *, thresholds: Thresholds = THRESHOLDS) -> GateVerdict:
    """The gate ``intelligibility``: lets pass what is unknown, and says so."""
    if reading is None or reading.error is None:
        why = "there is no recogniser or no text" if reading is None else reading.unknown
        return GateVerdict(True, "intelligibility", f"not judged: {why}")
    evidence = {"letter_error": reading.error, "letter_error_limit": thresholds.max_letter_error}
    if reading.word_error is not None:
        evidence["word_error"] = reading.word_error
    if reading.error <= thresholds.max_letter_error:
        return GateVerdict(True, "intelligibility", evidence=evidence)
    words = reading.heard.split()
    shown = " ".join(words[:_SHOWN]) + (" ..." if len(words) > _SHOWN else "")
    reason = f"the recogniser heard {shown!r}" if words else "the recogniser heard no words"
    return GateVerdict(False, "intelligibility", f"it does not say its text: {reason}", evidence)
