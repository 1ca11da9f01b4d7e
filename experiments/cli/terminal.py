"""What reaches the terminal: every text made harmless first, then cut to the width, coloured where that is wanted.

Prompts, names and reasons come from files that may be anyone's. A terminal obeys what it is sent, so a prompt with
escape sequences could retitle it, hide lines or fake output; here such characters are shown as what they are called
in Python (``\\x1b``). Colours are for terminals only, and not for those who set NO_COLOR (https://no-color.org).
"""

from __future__ import annotations

import json
import math
import os
import shutil
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TextIO

Style = Literal["bold", "dim", "good", "warn", "bad", "accent"]

_CODES: Mapping[Style, str] = {
    "bold": "1",
    "dim": "2",
    "good": "32",
    "warn": "33",
    "bad": "31",
    "accent": "36",
}
# Controls, invisible formatting (marks that turn the reading direction among them), lone surrogates, private and
# unassigned characters, and the two separators that some terminals break lines at.
_UNSHOWN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_JOINERS = frozenset("\u200c\u200d")  # in names of emoji and in words of several scripts
_NO_WIDTH = frozenset({"Mn", "Me", "Cf"})
_PLAIN_WIDTH = 80


@dataclass(frozen=True)
class Painted:
    """A text in a style."""

    text: str
    style: Style


Part = str | Painted


def printable(text: str) -> str:
    """The text with everything that a terminal might obey, or nobody can see, written out as an escape."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        char if unicodedata.category(char) not in _UNSHOWN or char in _JOINERS else ascii(char)[1:-1] for char in text
    )


def width_of(text: str) -> int:
    """Columns that a printable text takes: two for wide characters, none for marks on others."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.category(char) in _NO_WIDTH else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )


def fitted(text: str, width: int) -> str:
    """A printable text of at most ``width`` columns; what was longer ends with an ellipsis."""
    if width_of(text) <= width:
        return text
    kept, used = [], 0
    for char in text:
        used += width_of(char)
        if used > width - 1:
            break
        kept.append(char)
    return "".join(kept) + "…" if width > 0 else ""


@dataclass(frozen=True)
class Terminal:
    """Where a command's lines go.

    Attributes:
        out: The stream.
        width: Columns; a file or a pipe has no limit (0).
        colours: Whether to send any.
        boxes: Whether the stream's encoding has box drawing and other marks.
    """

    out: TextIO
    width: int = 0
    colours: bool = False
    boxes: bool = True

    @classmethod
    def of(cls, stream: TextIO, environ: Mapping[str, str] = os.environ) -> Terminal:
        """As a stream and the environment allow."""
        is_terminal = stream.isatty()
        colours = is_terminal and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
        width = shutil.get_terminal_size((_PLAIN_WIDTH, 24)).columns if is_terminal or environ.get("COLUMNS") else 0
        try:
            "│├└─…♪█".encode(stream.encoding or "utf-8")  # no encoding: it keeps text as text
            boxes = True
        except (UnicodeEncodeError, LookupError):
            boxes = False
        return cls(stream, width, colours, boxes)

    @property
    def is_terminal(self) -> bool:
        """Whether a person reads along."""
        return self.out.isatty()

    def paint(self, part: Part) -> str:
        """A part as it is sent: harmless, and coloured where wanted."""
        if isinstance(part, str):
            return printable(part)
        text = printable(part.text)
        return f"\x1b[{_CODES[part.style]}m{text}\x1b[0m" if self.colours and text else text

    def say(self, *parts: Part, cut: bool = False) -> None:
        """Prints one line.

        Args:
            parts: Put one after the other; line breaks in them are shown as escapes.
            cut: Keep it within the width.
        """
        shown: list[Part] = list(parts)
        if cut and self.width:
            shown, left = [], self.width
            for part in parts:
                text = printable(part if isinstance(part, str) else part.text)
                piece = fitted(text, left)
                shown.append(piece if isinstance(part, str) else Painted(piece, part.style))
                left -= width_of(piece)
                if piece != text:
                    break
        print("".join(map(self.paint, shown)), file=self.out)

    def table(
        self, headers: Sequence[str], rows: Sequence[Sequence[Part]], *, right: frozenset[int] = frozenset()
    ) -> None:
        """Prints columns; the last one is cut where the line would be too long.

        Args:
            headers: Of the columns.
            rows: Of cells.
            right: Columns that are flush right, such as numbers.
        """
        cells = [[Painted(header, "bold") for header in headers], *rows]
        texts = [[printable(cell if isinstance(cell, str) else cell.text) for cell in row] for row in cells]
        widths = [max(width_of(row[column]) for row in texts) for column in range(len(headers))]
        last = len(headers) - 1
        for row, row_texts in zip(cells, texts, strict=True):
            line: list[Part] = []
            for column, (cell, text) in enumerate(zip(row, row_texts, strict=True)):
                gap = " " * (widths[column] - width_of(text))
                shown: Part = text if isinstance(cell, str) else Painted(text, cell.style)
                before, after = (gap, "") if column in right else ("", "" if column == last else gap)
                line += [before, shown, after, "" if column == last else "  "]
            self.say(*line, cut=True)

    def write(self, text: str) -> int:
        """Sends a text for programs as it is; harmless, where it is a person's terminal that receives it."""
        shown = "\n".join(map(printable, text.split("\n"))) if self.is_terminal else text
        return self.out.write(shown)

    def json(self, value: Any) -> None:
        """Prints one JSON object for programs: ASCII, and null for what is no number."""
        print(json.dumps(finite(value), indent=2, allow_nan=False, default=str), file=self.out)

    def json_line(self, value: Any) -> None:
        """Prints one JSON object on one line, of a stream of them."""
        print(json.dumps(finite(value), allow_nan=False, default=str), file=self.out)


def finite(value: Any) -> Any:
    """The value with null in place of NaN and infinities, which JSON does not have."""
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def counted(count: int, what: str) -> str:
    """A number of things: ``1 birth``, ``2,000 births``."""
    return f"{count:,} {what}" + ("" if count == 1 else "s")


def duration(seconds: float) -> str:
    """A time span in the two units that matter: ``42 s``, ``3 min 5 s``, ``2 h 10 min``, ``3 d 4 h``."""
    whole = max(0, round(seconds))
    for unit, size, smaller, part in (("d", 86_400, "h", 3_600), ("h", 3_600, "min", 60), ("min", 60, "s", 1)):
        if whole >= size:
            rest = whole % size // part
            return f"{whole // size} {unit}" + (f" {rest} {smaller}" if rest else "")
    return f"{whole} s"


def size(n_bytes: float) -> str:
    """Bytes in the unit that fits: ``512 B``, ``1.4 MB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if n_bytes < 1_000:
            return f"{n_bytes:.0f} B" if unit == "B" else f"{n_bytes:.1f} {unit}"
        n_bytes /= 1_000
    return f"{n_bytes:.1f} TB"
