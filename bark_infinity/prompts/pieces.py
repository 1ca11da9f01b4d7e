"""A prompt as pieces (what stands between spaces; a tag is never torn), and which of it is spoken.

Bark writes prompts as plain text in which ``[laughs]`` is a sound, ``♪`` asks for song and ``—`` for hesitation. What
is left of a piece without those and without punctuation is a spoken word.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

SONG = "♪"
DASHES = ("—", "–", "-", "--")
SPEAKERS = ("[MAN]", "[WOMAN]")

TAG = re.compile(r"\[[^\[\]\n]{1,60}\]")  # what a tag is: here, for front ends, and for those who judge renderings
SONG_MARKS = "♪♫♬"
_PIECE = re.compile(rf"(?:{TAG.pattern}|\S)+")
# Control characters that are no white space, lone surrogates, and characters of no width and no meaning to a tokenizer.
_UNSEEN = re.compile("[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u200b\u2060\ufeff\ud800-\udfff]")
_PAUSES = '.,!?;:…—–"“”„«»()¡¿。，！？；：、।'
_NOT_SPOKEN = re.compile(rf"{TAG.pattern}|[{SONG_MARKS}]|\.\.+|[…—–]|--+")
_END_OF_CLAUSE = tuple(".,!?;:…—–。，！？；：、।")
_SAID_SYMBOLS = "&%@#"  # punctuation by category, but read aloud


def canonical_prompt(text: str) -> str:
    """The prompt that a checkpoint cannot tell from this one: single spaces, valid Unicode, nothing invisible."""
    return " ".join(_UNSEEN.sub("", text).split())


def pieces(prompt: str) -> list[str]:
    """The pieces of a prompt; joined by spaces they are its canonical form."""
    return _PIECE.findall(canonical_prompt(prompt))


def spoken_words(prompt: str) -> tuple[str, ...]:
    """The words that are to be heard, in order; content-locked operators never change them.

    Case, tags, song marks, hesitations and the punctuation around words do not count; what stands inside a word does
    (``3.14``, ``o'clock``).
    """
    text = unicodedata.normalize("NFC", _NOT_SPOKEN.sub(" ", canonical_prompt(prompt)))
    cores = (part.strip(_PAUSES) for part in text.split())
    return tuple(core.casefold() for core in cores if core[:1].isalnum() or any(map(_is_said, core)))


def is_tag(piece: str) -> bool:
    """Whether a piece is one tag and nothing else."""
    return TAG.fullmatch(piece) is not None


def is_word(piece: str) -> bool:
    """Whether a piece is words and punctuation only: no tag, no song mark."""
    return not any(mark in piece for mark in f"[]{SONG_MARKS}") and bool(spoken_words(piece))


def around_word(piece: str) -> tuple[str, str, str]:
    """Punctuation before the word of a piece, the word, and punctuation after it."""
    bare = piece.lstrip(_PAUSES)
    core = bare.rstrip(_PAUSES)
    return piece[: len(piece) - len(bare)], core, bare[len(core) :]


def clauses(parts: Sequence[str]) -> list[tuple[int, int]]:
    """Start and stop of every clause, in pieces; a clause ends with punctuation or before nothing more."""
    stops = [index + 1 for index, part in enumerate(parts) if part.endswith(_END_OF_CLAUSE) or part in DASHES]
    if not stops or stops[-1] != len(parts):
        stops.append(len(parts))
    return list(zip([0, *stops], stops, strict=False))


def _is_said(char: str) -> bool:
    return unicodedata.category(char)[0] in "LNS" or char in _SAID_SYMBOLS
