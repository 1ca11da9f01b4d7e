"""The bar at the bottom: the last thing that was said, and the facts of the sitting."""

from __future__ import annotations

import dearpygui.dearpygui as dpg

from experiments.board.board import Board
from experiments.board.text import shortened
from window.panel import Desk, Item

_FACTS = 6


class StatusPanel:
    """One line: a message at the left, facts at the right."""

    def build(self, parent: Item, desk: Desk) -> None:
        """See `Panel`."""
        self._desk = desk
        self._width = self._height = 0
        self._revisions: tuple[object, ...] = ()
        self._message = dpg.add_text("", parent=parent, tag="status.message")
        self._facts = [dpg.add_text("", parent=parent, color=desk.palette.muted) for _ in range(_FACTS)]
        for item in self._facts:
            dpg.bind_item_font(item, desk.font("0", "small"))

    def resize(self, width: int, height: int) -> None:
        """See `Panel`."""
        self._width, self._height = width, height
        self._revisions = ()

    def show(self, board: Board) -> None:
        """See `Panel`."""
        desk, px = self._desk, self._desk.px
        facts = (*board.run_state.facts(), *desk.facts())
        last = board.log.last
        now = (last, facts)
        if now == self._revisions or self._width <= 1:
            return
        self._revisions = now
        y = px(5)
        right = self._width - px(12)
        shown = facts[:_FACTS]
        for item, fact in zip(self._facts, (*reversed(shown), *[""] * _FACTS), strict=False):
            if fact:
                right -= int(desk.width(fact, "latin", "small"))
                dpg.configure_item(item, pos=(right, y), show=True)
                dpg.set_value(item, fact)
                right -= px(22)
            else:
                dpg.configure_item(item, show=False)
        if last is None:
            dpg.set_value(self._message, "")
            return
        said = shortened(last.text, right - px(24), lambda one, script: desk.width(one, script, "small"))
        desk.set_text(self._message, said, "small")
        colour = {"info": desk.palette.text, "warning": desk.palette.warn, "error": desk.palette.bad}[last.level]
        dpg.configure_item(self._message, pos=(px(12), y), color=colour)
