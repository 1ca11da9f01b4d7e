"""A prompt on the screen: coloured by meaning, each run in the font of its script, broken into lines."""

from __future__ import annotations

import dearpygui.dearpygui as dpg

from experiments.board.text import Kind, lay_out, runs
from window.palette import Colour
from window.panel import Desk, Item

LINE = 19  # design pixels from one line to the next


class PromptText:
    """Some text widgets that show one prompt after the other.

    Args:
        parent: Where they stand.
        desk: Fonts and colours.
        pieces: How many runs of one colour, font and line can be shown.

    Attributes:
        items: The widgets, for handlers.
    """

    def __init__(self, parent: Item, desk: Desk, pieces: int = 12) -> None:
        self._desk = desk
        self.items = [dpg.add_text("", parent=parent, show=False) for _ in range(pieces)]

    def show(self, prompt: str, x: int, y: int, width: int, lines: int) -> int:
        """Shows a prompt at a place, in at most so many lines; returns how many it has."""
        desk, p = self._desk, self._desk.palette
        colours: dict[Kind, Colour] = {"plain": p.text, "tag": p.tag, "speaker": p.tag, "song": p.accent}
        placed = lay_out(runs(prompt), width, lines, desk.width)[: len(self.items)]
        for item, piece in zip(self.items, placed, strict=False):
            dpg.bind_item_font(item, desk.font_of(piece.script))
            dpg.set_value(item, piece.text)
            top = y + piece.line * desk.px(LINE) + desk.drop(piece.script)
            dpg.configure_item(item, show=True, pos=(x + round(piece.x), top), color=colours[piece.kind])
        for item in self.items[len(placed) :]:
            dpg.configure_item(item, show=False)
        return placed[-1].line + 1 if placed else 0

    def hide(self) -> None:
        """Shows nothing."""
        for item in self.items:
            dpg.configure_item(item, show=False)
