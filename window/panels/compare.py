"""Comparing by ear."""

from __future__ import annotations

import dearpygui.dearpygui as dpg

from experiments.board.board import Board
from window.panel import Desk, Item


class ComparePanel:
    """Two clips side by side, or four of which the worst is chosen."""

    def build(self, parent: Item, desk: Desk) -> None:
        """See `Panel`."""
        dpg.add_text("compare", parent=parent)

    def resize(self, width: int, height: int) -> None:
        """See `Panel`."""

    def show(self, board: Board) -> None:
        """See `Panel`."""

    def pressed(self, key: int) -> None:
        """A key on this page."""
