"""Drawings and plots with a place.

Dear PyGui ignores a drawlist's own position, and a plot that has one forgets its size, so that it is never hovered or
clicked. Both stand in child windows, which can be placed.
"""

from __future__ import annotations

import dearpygui.dearpygui as dpg

from window.palette import Colour
from window.panel import Desk, Item


def place_for(parent: Item, desk: Desk) -> Item:
    """An empty child window that can be placed and sized, and is not seen itself."""
    box: Item = dpg.add_child_window(
        parent=parent, border=False, no_scrollbar=True, no_scroll_with_mouse=True, width=1, height=1
    )
    dpg.bind_item_theme(box, desk.theme("bare"))
    return box


class Canvas:
    """A drawlist of the size of its place, never larger, and text in the small font.

    Args:
        parent: Where it stands.
        desk: Fonts and themes.
        tag: Of the drawlist.
        show: Whether it is seen at first.
    """

    def __init__(self, parent: Item, desk: Desk, tag: str, *, show: bool = True) -> None:
        self._desk = desk
        self.box = place_for(parent, desk)
        self.show(show)
        self.item = dpg.add_drawlist(parent=self.box, tag=tag, width=1, height=1)
        dpg.bind_item_font(self.item, desk.font("0", "small"))
        self.width = self.height = 1
        self._text_px = 0.0

    def move(self, x: int, y: int, width: int, height: int) -> None:
        """Its place in the parent, in real pixels."""
        self.width, self.height = max(width, 1), max(height, 1)
        dpg.configure_item(self.box, pos=(x, y), width=self.width, height=self.height)
        dpg.configure_item(self.item, width=self.width, height=self.height)

    def show(self, shown: bool) -> None:
        """Whether it is seen."""
        dpg.configure_item(self.box, show=shown)

    def clear(self) -> None:
        """Takes everything away."""
        dpg.delete_item(self.item, children_only=True)

    def text(self, x: float, y: float, text: str, colour: Colour, *, parent: Item = 0, middle: bool = False) -> None:
        """Latin text in the small font, its left top at (x, y), or its top middle."""
        if not self._text_px:
            measured = dpg.get_text_size("0", font=self._desk.font("0", "small"))
            self._text_px = float(measured[1]) if measured else 0.0
        if middle:
            x -= self._desk.width(text, "latin", "small") / 2
        size = self._text_px or self._desk.px(16)
        dpg.draw_text((x, y), text, parent=parent or self.item, color=colour, size=size)

    def mouse(self) -> tuple[float, float]:
        """Where the mouse is in it."""
        x, y = dpg.get_mouse_pos(local=False)
        left, top = dpg.get_item_rect_min(self.item)
        return x - left, y - top

    def hovered(self) -> bool:
        """Whether the mouse is over it, and nothing in front."""
        return bool(dpg.is_item_hovered(self.item))
