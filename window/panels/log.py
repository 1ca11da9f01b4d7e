"""What happened: the latest lines, warnings and errors in their colours."""

from __future__ import annotations

import time

import dearpygui.dearpygui as dpg

from experiments.board.board import Board
from experiments.board.text import shortened
from window.panel import Desk, Item

_LINES = 40
_TALL = 18


class LogPanel:
    """As many of the latest lines as fit; the newest is at the bottom."""

    def build(self, parent: Item, desk: Desk) -> None:
        """See `Panel`."""
        self._desk = desk
        self._width = self._height = 0
        self._revision = 0
        caption = dpg.add_text("Log", parent=parent, color=desk.palette.muted, pos=(desk.px(12), desk.px(8)))
        dpg.bind_item_font(caption, desk.font("Log", "small"))
        self._lines = [
            (
                dpg.add_text("", parent=parent, color=desk.palette.faint, show=False),
                dpg.add_text("", parent=parent, show=False),
            )
            for _ in range(_LINES)
        ]
        for at, _ in self._lines:
            dpg.bind_item_font(at, desk.font("0", "small"))

    def resize(self, width: int, height: int) -> None:
        """See `Panel`."""
        self._width, self._height = width, height
        self._revision = 0

    def show(self, board: Board) -> None:
        """See `Panel`."""
        if board.log.revision == self._revision or self._width <= 1:
            return
        self._revision = board.log.revision
        desk, px = self._desk, self._desk.px
        colours = {"info": desk.palette.muted, "warning": desk.palette.warn, "error": desk.palette.bad}
        fit = min(max((self._height - px(34)) // px(_TALL), 1), _LINES)
        lines = list(board.log.lines)[-fit:]
        left, indent = px(12), px(62)
        for number, (at, text) in enumerate(self._lines):
            if number >= len(lines):
                dpg.configure_item(at, show=False)
                dpg.configure_item(text, show=False)
                continue
            line = lines[number]
            y = px(30) + number * px(_TALL)
            dpg.set_value(at, time.strftime("%H:%M:%S", time.localtime(line.at)))
            dpg.configure_item(at, show=True, pos=(left, y))
            said = shortened(line.text, self._width - indent - 2 * left,
                             lambda one, script: desk.width(one, script, "small"))  # fmt: skip
            desk.set_text(text, said, "small")
            dpg.configure_item(text, show=True, pos=(left + indent, y), color=colours[line.level])
