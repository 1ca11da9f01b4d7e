"""Text of many scripts and meanings in a place: one widget per run of one font and colour, made once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import dearpygui.dearpygui as dpg

from experiments.board.genome_diff import Words
from experiments.board.text import Kind, Run, lay_out, runs
from window.palette import Colour, Palette
from window.panel import Desk, Item, Role


class Passage:
    """A prompt, or the difference of two.

    Args:
        parent: Where its widgets go.
        desk: Fonts and colours.
        pieces: Widgets at most; text that needs more is cut.
        role: Size of the letters.
    """

    def __init__(self, parent: Item, desk: Desk, pieces: int = 24, role: Role = "body") -> None:
        self._desk, self._role = desk, role
        self._items = [dpg.add_text("", parent=parent, show=False) for _ in range(pieces)]

    def show(self, text: Sequence[Run], x: int, y: int, width: int, lines: int) -> int:
        """Lays it out from (x, y); returns its height in real pixels."""
        desk = self._desk
        tall = self.line_px
        placed = lay_out(text, max(width, 1), lines, lambda one, script: desk.width(one, script, self._role))
        tones = tones_of(desk.palette)
        for item, piece in zip(self._items, placed, strict=False):
            dpg.set_value(item, piece.text)
            dpg.bind_item_font(item, desk.font_of(piece.script, self._role))
            dpg.configure_item(
                item, pos=(x + round(piece.x), y + piece.line * tall), color=tones[piece.kind], show=True
            )
        for item in self._items[len(placed) :]:
            dpg.configure_item(item, show=False)
        return (placed[-1].line + 1) * tall if placed else 0

    @property
    def line_px(self) -> int:
        """Height of a line."""
        return self._desk.px(19 if self._role == "body" else 17)

    def hide(self) -> None:
        """Shows nothing."""
        for item in self._items:
            dpg.configure_item(item, show=False)


def tones_of(palette: Palette) -> Mapping[Kind, Colour]:
    """A colour for each meaning."""
    p = palette
    return {"plain": p.text, "tag": p.tag, "song": p.accent, "speaker": p.warn, "added": p.good, "removed": p.bad}


def diff_runs(words: Sequence[Words]) -> list[Run]:
    """A word diff as runs: what is new and what is gone in their own colours."""
    made: list[Run] = []
    for part in words:
        for run in runs(part.text + " "):
            kind: Kind = run.kind if part.kind == "same" else part.kind
            made.append(Run(run.text, kind, run.script))
    return made
