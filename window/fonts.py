"""Fonts: one for each script and role, because Dear PyGui looks for a sign in one font only.

Files are searched where systems keep them. Only outline fonts on this list are loaded: a bitmap font such as
NotoColorEmoji crashes the process once one of its signs is drawn. What is not found is replaced by the Latin font, and
that by Dear PyGui's own, with one sentence for the log.
"""

from __future__ import annotations

import logging
import struct
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import dearpygui.dearpygui as dpg

from experiments.board.text import Script
from window.panel import Item, Role

logger = logging.getLogger(__name__)

_LINUX = Path("/usr/share/fonts")
_MAC = Path("/System/Library/Fonts")
_WINDOWS = Path("C:/Windows/Fonts")
_FILES: Mapping[str, tuple[Path, ...]] = MappingProxyType(
    {
        "latin": (
            _LINUX / "truetype/noto/NotoSans-Regular.ttf",
            _LINUX / "noto/NotoSans-Regular.ttf",
            _LINUX / "truetype/dejavu/DejaVuSans.ttf",
            _LINUX / "TTF/DejaVuSans.ttf",
            _LINUX / "dejavu-sans-fonts/DejaVuSans.ttf",
            _WINDOWS / "segoeui.ttf",
            _MAC / "HelveticaNeue.ttc",
            _MAC / "Supplemental/Arial Unicode.ttf",
        ),
        "bold": (
            _LINUX / "truetype/noto/NotoSans-Bold.ttf",
            _LINUX / "noto/NotoSans-Bold.ttf",
            _LINUX / "truetype/dejavu/DejaVuSans-Bold.ttf",
            _LINUX / "TTF/DejaVuSans-Bold.ttf",
            _WINDOWS / "segoeuib.ttf",
            _MAC / "Supplemental/Arial Bold.ttf",
        ),
        "symbols": (
            _LINUX / "truetype/dejavu/DejaVuSans.ttf",
            _LINUX / "TTF/DejaVuSans.ttf",
            _LINUX / "dejavu-sans-fonts/DejaVuSans.ttf",
            _WINDOWS / "seguisym.ttf",
            _MAC / "Supplemental/Arial Unicode.ttf",
        ),
        "cjk": (
            _LINUX / "opentype/noto/NotoSansCJK-Regular.ttc",
            _LINUX / "noto-cjk/NotoSansCJK-Regular.ttc",
            _LINUX / "google-noto-cjk/NotoSansCJK-Regular.ttc",
            _WINDOWS / "malgun.ttf",
            _WINDOWS / "msyh.ttc",
            _MAC / "AppleSDGothicNeo.ttc",
            _MAC / "Supplemental/Arial Unicode.ttf",
        ),
        "devanagari": (
            _LINUX / "truetype/noto/NotoSansDevanagari-Regular.ttf",
            _LINUX / "noto/NotoSansDevanagari-Regular.ttf",
            _WINDOWS / "Nirmala.ttf",
            _WINDOWS / "Nirmala.ttc",
            _MAC / "Supplemental/Devanagari Sangam MN.ttc",
        ),
        "mono": (
            _LINUX / "truetype/dejavu/DejaVuSansMono.ttf",
            _LINUX / "TTF/DejaVuSansMono.ttf",
            _WINDOWS / "consola.ttf",
            _MAC / "Menlo.ttc",
        ),
    }
)
_NAMES = {"latin": "Latin, Cyrillic and Greek", "symbols": "signs such as ♪", "cjk": "Korean, Chinese and Japanese",
          "devanagari": "Hindi"}  # fmt: skip
EM = MappingProxyType({"body": 13.5, "small": 12.0, "title": 15.0, "mono": 12.0})  # design pixels
"""Height of the letters' em square by role; all fonts of a role look equally large."""

_SIGNS = 0.92  # the font with the signs has wide letters; they stand beside those of the Latin font


def find_files() -> dict[str, Path]:
    """The font file of each family that this machine has."""
    found = {}
    for family, paths in _FILES.items():
        path = next((path for path in paths if path.is_file()), None)
        if path is not None:
            found[family] = path
    return found


def line_metrics(path: Path) -> tuple[float, float] | None:
    """Ascent and height of a font's line in em, from its ``hhea`` table; None where the file is no outline font.

    Dear PyGui sizes fonts by line height, which differs by a third between families, and draws lines from the top. By
    these, letters are equally large, and stand on one line.
    """
    try:
        with path.open("rb") as file:
            begin = 0
            if file.read(4) == b"ttcf":
                file.seek(12)
                [begin] = struct.unpack(">I", file.read(4))
            file.seek(begin + 4)
            [count] = struct.unpack(">H", file.read(2))
            file.seek(begin + 12)
            records = (struct.unpack(">4sIII", file.read(16)) for _ in range(min(count, 64)))
            tables = {tag: offset for tag, _, offset, _ in records}
            file.seek(tables[b"head"] + 18)
            [units] = struct.unpack(">H", file.read(2))
            file.seek(tables[b"hhea"] + 4)
            ascent, descent = struct.unpack(">hh", file.read(4))
        above, height = ascent / units, (ascent - descent) / units
    except (OSError, struct.error, KeyError, ZeroDivisionError):
        return None
    return (above, height) if 0.8 < height < 2.5 and 0 < above <= height else None


class Fonts:
    """All fonts at one scale.

    Args:
        scale: Real pixels per pixel of the design.

    Attributes:
        notices: What people should know, one sentence each.
    """

    def __init__(self, scale: float) -> None:
        self.notices: list[str] = []
        self._fonts: dict[tuple[str, Role], int] = {}
        self._above: dict[tuple[str, Role], float] = {}  # from the top of a line to where letters stand
        files = find_files()
        with dpg.font_registry():
            for family in _FILES:
                path = files.get(family)
                if path is None:
                    continue
                metrics = line_metrics(path)
                if metrics is None:
                    logger.warning("font %s cannot be read and is left out", path)
                    continue
                above, height = metrics
                roles: tuple[Role, ...] = ("title",) if family == "bold" else ("body", "small", "title")
                for role in ("mono",) if family == "mono" else roles:
                    em = EM[role] * (_SIGNS if family == "symbols" else 1.0) * scale
                    self._load(family, role, path, round(em * height))
                    self._above[family, role] = em * above
        missing = [name for family, name in _NAMES.items() if not self._has(family)]
        if missing:
            hint = "; apt install fonts-dejavu-core fonts-noto-core fonts-noto-cjk" if sys.platform == "linux" else ""
            self.notices.append(f"no font for {', '.join(missing)} was found: such text shows boxes{hint}")
        self._default = self._fonts.get(("latin", "body")) or self._fonts.get(("symbols", "body")) or 0

    def bind(self) -> None:
        """Makes the body font that of all widgets without their own."""
        if self._default:
            dpg.bind_font(self._default)

    def _load(self, family: str, role: Role, path: Path, size: int) -> None:
        try:
            self._fonts[family, role] = int(dpg.add_font(str(path), max(size, 6)))
        except SystemError as error:  # the file is there, but is no font
            logger.warning("font %s cannot be used: %s", path, error.__cause__ or error)

    def _has(self, family: str) -> bool:
        return (family, "body") in self._fonts

    def of(self, script: Script, role: Role = "body") -> Item:
        """The font for a script; 0, which binds none, where there is no font at all."""
        found = self._found(script, role)
        return self._default if found is None else self._fonts[found]

    def _found(self, script: Script, role: Role) -> tuple[str, Role] | None:
        family: str = script
        if script == "latin" and role in ("title", "mono"):
            family = "bold" if role == "title" else "mono"
        if role == "mono" and family != "mono":
            role = "small"
        return next((key for name in (family, "latin", "symbols") if (key := (name, role)) in self._fonts), None)

    def drop(self, script: Script, role: Role = "body") -> int:
        """How much lower a text of a script is placed, in pixels, to stand on the line of Latin text."""
        latin, found = self._found("latin", role), self._found(script, role)
        if latin is None or found is None:
            return 0
        return round(self._above[latin] - self._above[found])

    def width(self, text: str, script: Script, role: Role = "body") -> float:
        """Width of a text in pixels; an estimate before the first frame, when nothing is measured yet."""
        size = dpg.get_text_size(text, font=self.of(script, role))
        if size is None:
            return len(text) * 7.0
        return float(size[0])
