"""A clip's outline as a drawing, with a playhead: one vertical line for each moment, moved in place."""

from __future__ import annotations

import dearpygui.dearpygui as dpg

from experiments.board.waves import MOMENTS, Outline
from window.palette import Colour, faded
from window.panel import Desk, Item


class Wave:
    """The drawing.

    Args:
        parent: Where it stands.
        desk: Colours and lengths.
        tag: Of the drawlist.

    Attributes:
        item: The drawlist, for handlers.
    """

    def __init__(self, parent: Item, desk: Desk, tag: str) -> None:
        self._at = dpg.add_group(parent=parent)  # a drawing cannot be placed, a group can
        self.item = dpg.add_drawlist(parent=self._at, width=10, height=10, tag=tag)
        self._axis = dpg.draw_line((0, 0), (0, 0), parent=self.item, color=desk.palette.line)
        self._lines = [dpg.draw_line((0, 0), (0, 0), parent=self.item) for _ in range(MOMENTS)]
        self._head = dpg.draw_line((0, 0), (0, 0), parent=self.item, color=desk.palette.text, show=False)
        self._px = desk.px
        self._width = self._height = 1
        self._bright: Colour = desk.palette.faint
        self._reached = 0
        self._known = False

    def move(self, x: int, y: int, width: int, height: int) -> None:
        """Its place in real pixels; `show` has to follow."""
        self._width, self._height = max(width, 8), max(height, 8)
        dpg.configure_item(self._at, pos=(x, y))
        dpg.configure_item(self.item, width=self._width, height=self._height)

    def show(self, outline: Outline | None, colour: Colour) -> None:
        """Draws an outline, or only the axis where there is none yet."""
        self._bright, self._known, self._reached = colour, outline is not None, 0
        middle = self._height / 2
        dpg.configure_item(self._axis, p1=(0, middle), p2=(self._width, middle))
        if outline is None:
            for line in self._lines:
                dpg.configure_item(line, show=False)
            return
        peak = max(float(outline.high.max()), -float(outline.low.min()), 1e-3)
        reach = middle * min(1.0, 0.35 + 0.65 * peak) / peak  # quiet clips stay visible, loud ones stay larger
        step = self._width / MOMENTS
        thickness = max(1.0, min(step * 0.62, self._px(3.0)))
        high, low = (outline.high * reach).tolist(), (outline.low * reach).tolist()
        for number, line in enumerate(self._lines):
            x = (number + 0.5) * step
            p1, p2 = (x, middle - high[number] - 0.5), (x, middle - low[number] + 0.5)
            dpg.configure_item(line, p1=p1, p2=p2, color=colour, thickness=thickness, show=True)

    def play(self, share: float | None) -> None:
        """How far the clip is, from 0 to 1, with what is still to come dimmed; None: it does not play."""
        if share is None:
            dpg.configure_item(self._head, show=False)
            if self._reached and self._known:
                for line in self._lines:
                    dpg.configure_item(line, color=self._bright)
            self._reached = 0
            return
        if not self._known:
            return
        x = share * self._width
        dpg.configure_item(self._head, p1=(x, 0), p2=(x, self._height), show=True)
        reached = int(share * MOMENTS) + 1
        if self._reached == 0 or reached < self._reached:
            for line in self._lines[reached:]:
                dpg.configure_item(line, color=faded(self._bright, 105))
            for line in self._lines[:reached]:
                dpg.configure_item(line, color=self._bright)
        for line in self._lines[self._reached : reached]:
            dpg.configure_item(line, color=self._bright)
        self._reached = reached
