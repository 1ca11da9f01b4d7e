"""Prompts as people should see them: split by meaning, so that tags can be coloured, and by script, so that fonts fit.

Dear PyGui binds one font to one widget and never looks for a sign in another font. So a prompt is cut into runs of one
script, signs that no font has are spelled out (``[U+1F3B5]``), and runs are laid out into lines here.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from bark_infinity.prompts.pieces import SPEAKERS, TAG

Script = Literal["latin", "symbols", "cjk", "devanagari"]
Kind = Literal["plain", "tag", "song", "speaker", "added", "removed"]  # the last two: against a parent
Measure = Callable[[str, Script], float]  # width of a text in its script's font, in pixels

_CJK = ((0x1100, 0x11FF), (0x2E80, 0x9FFF), (0xAC00, 0xD7AF), (0xF900, 0xFAFF), (0xFE30, 0xFE4F), (0xFF00, 0xFFEF))
_DEVANAGARI = (0x0900, 0x097F)
_SYMBOLS = (0x2190, 0x2BFF)  # arrows, geometric shapes, musical notes, dingbats
_SONG = "♪♫♬"
_WORD = re.compile(rf"{TAG.pattern}|[{_SONG}]+|\s+|[^\s\[\]{_SONG}]+|[\[\]]")
ELLIPSIS = "…"


@dataclass(frozen=True)
class Run:
    """Part of a prompt: one meaning, one script."""

    text: str
    kind: Kind
    script: Script


@dataclass(frozen=True)
class Placed:
    """A run in its place: pixels from the left, and a line from 0."""

    text: str
    kind: Kind
    script: Script
    x: float
    line: int


def script_of_sign(sign: str) -> Script | None:
    """The script of one sign; None for what every font has: spaces, digits, punctuation."""
    code = ord(sign)
    if any(low <= code <= high for low, high in _CJK):
        return "cjk"
    if _DEVANAGARI[0] <= code <= _DEVANAGARI[1]:
        return "devanagari"
    if _SYMBOLS[0] <= code <= _SYMBOLS[1]:
        return "symbols"
    return "latin" if sign.isalpha() else None


def script_of(text: str) -> Script:
    """The script whose font shows most of a text that has to be one widget; the rarer font decides."""
    found = {script_of_sign(sign) for sign in text}
    for script in ("devanagari", "cjk", "symbols"):
        if script in found:
            return script
    return "latin"


def spelled_out(text: str) -> str:
    """A text with what cannot be drawn spelled out: pictures as their code, invisible signs left out."""
    return "".join(_drawable(sign) for sign in text)


def _drawable(sign: str) -> str:
    code = ord(sign)
    if sign in "\n\t":
        return " "
    if code in (0xFE0E, 0xFE0F, 0x200D):  # how a picture is to be drawn
        return ""
    category = unicodedata.category(sign)
    if category in ("Cc", "Cf"):
        return ""
    if code >= 0x1F000 or category in ("Cs", "Co", "Cn"):
        return f"[U+{code:X}]"
    return sign


def runs(prompt: str) -> list[Run]:
    """A prompt in runs, in order; joined, their texts are the prompt with drawable signs."""
    found: list[Run] = []
    for match in _WORD.finditer(spelled_out(prompt)):
        word = match.group()
        if word.isspace() and found:
            found.append(Run(word, "plain", found[-1].script))  # every font has it
        else:
            found += [Run(text, _kind(word), script) for text, script in _by_script(word)]
    return found


def _kind(word: str) -> Kind:
    if word in SPEAKERS:
        return "speaker"
    if TAG.fullmatch(word) and not word.startswith("[U+"):
        return "tag"
    return "song" if word[0] in _SONG else "plain"


def _by_script(word: str) -> list[tuple[str, Script]]:
    parts: list[tuple[str, Script]] = []
    for sign in word:
        script = script_of_sign(sign)
        if parts and script in (None, parts[-1][1]):
            parts[-1] = (parts[-1][0] + sign, parts[-1][1])
        elif parts and parts[-1][1] == "latin" and not any(map(str.isalpha, parts[-1][0])):
            parts[-1] = (parts[-1][0] + sign, script or "latin")  # punctuation goes with what follows
        else:
            parts.append((sign, script or "latin"))
    return parts


def lay_out(parts: Sequence[Run], width: float, lines: int, measure: Measure) -> list[Placed]:
    """Runs in lines of a width, broken at spaces (anywhere in Chinese, Japanese and long words).

    Neighbours of one kind and script are joined, so that few widgets are needed. What does not fit ends in an ellipsis.
    """
    placed: list[Placed] = []
    x, line = 0.0, 0
    for run in parts:
        for text in _breakable(run, width, measure):
            wide = measure(text, run.script)
            if x + wide > width and x > 0 and not text.isspace():
                x, line = 0.0, line + 1
            if line >= lines:
                return _shortened(placed, lines - 1, width, measure)
            last = placed[-1] if placed and placed[-1].line == line else None
            if text.isspace():
                if last is not None and x > 0:  # a space goes with what stands before it
                    placed[-1] = replace(last, text=last.text + " ")
                    x = last.x + measure(placed[-1].text, last.script)
            elif last is not None and (last.kind, last.script) == (run.kind, run.script):
                placed[-1] = replace(last, text=last.text + text)
                x = last.x + measure(placed[-1].text, last.script)
            else:
                placed.append(Placed(text, run.kind, run.script, x, line))
                x += wide
    return placed


def _breakable(run: Run, width: float, measure: Measure) -> list[str]:
    if run.script == "cjk" and not any(0xAC00 <= ord(sign) <= 0xD7AF for sign in run.text):
        return list(run.text)
    if measure(run.text, run.script) <= width:
        return [run.text]
    return list(run.text)


def _shortened(placed: list[Placed], line: int, width: float, measure: Measure) -> list[Placed]:
    if not placed:
        return []
    last = placed[-1]
    if last.line != line:
        return placed
    text = last.text.rstrip()
    while text and last.x + measure(text + ELLIPSIS, last.script) > width:
        text = text[:-1].rstrip()
    return [*placed[:-1], Placed(text + ELLIPSIS, last.kind, last.script, last.x, last.line)]


def shortened(text: str, width: float, measure: Measure) -> str:
    """One line of a text that is at most so wide; what is left out becomes an ellipsis."""
    script = script_of(text)
    if measure(text, script) <= width:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if measure(text[:middle].rstrip() + ELLIPSIS, script) <= width:
            low = middle
        else:
            high = middle - 1
    return text[:low].rstrip() + ELLIPSIS


def in_lines(text: str, width: float, lines: int, measure: Measure) -> str:
    """A text broken at spaces into lines of a width, joined by line breaks; the last one is shortened."""
    script, rest = script_of(text), text
    done: list[str] = []
    while rest and len(done) < lines - 1 and measure(rest, script) > width:
        words = rest.split(" ")
        count = 1
        while count < len(words) and measure(" ".join(words[: count + 1]), script) <= width:
            count += 1
        done.append(shortened(" ".join(words[:count]), width, measure))
        rest = " ".join(words[count:])
    return "\n".join([*done, shortened(rest, width, measure)] if rest else done)
