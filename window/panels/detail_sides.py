"""What stands at the right of the detail page: measures against all births, and the primary line."""

from __future__ import annotations

from typing import Protocol

import dearpygui.dearpygui as dpg

from experiments.board.board import Board
from experiments.board.measures import measure_title
from experiments.board.text import shortened
from window.canvas import Canvas
from window.palette import faded
from window.panel import Desk, Item

_ROW = 20
_LINE_ROW = 24
_MOST_LINES = 40


class Side(Protocol):
    """One of the pages at the right."""

    def move(self, x: int, y: int, width: int, height: int) -> None:
        """Its place, in real pixels."""

    def appear(self, shown: bool) -> None:
        """Whether it is seen."""

    def show(self, board: Board, birth: int) -> None:
        """Brings it up to a birth."""


class _Pages:
    """Which rows of many are shown, and two buttons to turn."""

    def __init__(self, parent: Item, desk: Desk, tag: str) -> None:
        self.first = 0
        self._desk = desk
        self._back = dpg.add_button(label="‹", parent=parent, tag=f"{tag}.back", callback=self._turn, user_data=-1)
        self._next = dpg.add_button(label="›", parent=parent, tag=f"{tag}.next", callback=self._turn, user_data=1)
        for item in (self._back, self._next):
            dpg.bind_item_theme(item, desk.theme("quiet"))
        self._fit = 1
        self._count = 0
        self.turned = False

    def show(self, count: int, fit: int, x: int, y: int) -> range:
        """Rows to show now."""
        px = self._desk.px
        self._count, self._fit = count, max(fit, 1)
        self.first = min(self.first, max(count - 1, 0) // self._fit * self._fit)
        many = count > self._fit
        for item, left in ((self._back, x - px(52)), (self._next, x - px(26))):
            dpg.configure_item(item, show=many, pos=(left, y), width=px(24), height=px(22))
        dpg.configure_item(self._back, enabled=self.first > 0)
        dpg.configure_item(self._next, enabled=self.first + self._fit < count)
        self.turned = False
        return range(self.first, min(self.first + self._fit, count))

    def hide(self) -> None:
        """Takes the buttons away."""
        for item in (self._back, self._next):
            dpg.configure_item(item, show=False)

    def _turn(self, _sender: Item, _data: object, pages: int) -> None:
        self.first = min(max(self.first + pages * self._fit, 0), max(self._count - 1, 0) // self._fit * self._fit)
        self.turned = True


class MeasuresSide:
    """Terms as bars from 0 to 1; measures as a mark on the range of all births."""

    def __init__(self, parent: Item, desk: Desk) -> None:
        self._desk = desk
        self._canvas = Canvas(parent, desk, "detail.measures")
        self._pages = _Pages(parent, desk, "detail.measures")
        self._at = (0, 0, 1, 1)
        self._last: tuple[Board, int] | None = None
        desk.every_frame(self._turned)

    def move(self, x: int, y: int, width: int, height: int) -> None:
        """See `Side`."""
        self._at = x, y, width, height
        self._canvas.move(x, y, width, height)

    def appear(self, shown: bool) -> None:
        """See `Side`."""
        self._canvas.show(shown)
        if not shown:
            self._pages.hide()

    def _turned(self) -> None:
        if self._pages.turned and self._last is not None:
            self.show(*self._last)

    def show(self, board: Board, birth: int) -> None:
        """See `Side`."""
        self._last = board, birth
        canvas, px, p, desk = self._canvas, self._desk.px, self._desk.palette, self._desk
        canvas.clear()
        score = board.births[birth].score
        name_wide, value_wide = int(canvas.width * 0.36), px(58)
        left = name_wide + px(8)
        wide = max(canvas.width - left - value_wide, 1)
        y = 0

        def row(title: str, value: str, tone: tuple[int, int, int, int]) -> None:
            said = shortened(title, name_wide, lambda one, script: desk.width(one, script, "small"))
            canvas.text(px(4), y, said, tone)
            canvas.text(left + wide + px(8), y, value, p.text)

        terms = [] if score is None else list(score.terms.values())
        for term in terms:
            row(measure_title(term.name), f"{term.value:.3f}", p.text)
            middle = y + px(9)
            dpg.draw_line((left, middle), (left + wide, middle), parent=canvas.item, color=p.raised, thickness=px(5))
            end = left + max(term.value * wide, 1)
            dpg.draw_line((left, middle), (end, middle), parent=canvas.item, color=p.ramp(term.value), thickness=px(5))
            y += px(_ROW)
        for name, why in [] if score is None else list(score.unknown.items())[:4]:
            row(measure_title(name), "?", p.faint)
            said = shortened(why, wide, lambda one, script: desk.width(one, script, "small"))
            canvas.text(left, y, said, p.faint)
            y += px(_ROW)
        bars = board.detail.bars(birth)
        if not bars and not terms:
            canvas.text(px(4), 0, "nothing was measured yet" if score is None else "nothing could be measured", p.muted)
            self._pages.hide()
            return
        y += px(6)
        canvas.text(px(4), y, "its place among all births, lowest to highest", p.faint)
        y += px(_ROW)
        x, top, width, _ = self._at
        fit = max((canvas.height - y - px(26)) // px(_ROW), 1)
        for number in self._pages.show(len(bars), fit, x + width, top + canvas.height - px(22)):
            bar = bars[number]
            row(bar.title, _number(bar.value), p.muted)
            middle = y + px(9)
            dpg.draw_line((left, middle), (left + wide, middle), parent=canvas.item, color=p.raised, thickness=px(3))
            half = left + wide / 2
            dpg.draw_line((half, middle - px(3)), (half, middle + px(3)), parent=canvas.item, color=p.faint)
            tone = p.accent if bar.unusual else p.series[1]
            at = left + bar.percentile * wide
            dpg.draw_line((half, middle), (at, middle), parent=canvas.item, color=faded(tone, 120), thickness=px(3))
            dpg.draw_circle((at, middle), px(4), parent=canvas.item, color=(0, 0, 0, 0), fill=tone, segments=12)
            y += px(_ROW)


class LineSide:
    """Child, parent, grandparent: what each one changed and gained; a click goes there."""

    def __init__(self, parent: Item, desk: Desk) -> None:
        self._desk = desk
        self._box = dpg.add_child_window(
            parent=parent, border=False, no_scrollbar=True, no_scroll_with_mouse=True, show=False
        )
        dpg.bind_item_theme(self._box, desk.theme("bare"))
        self._rows = []
        for number in range(_MOST_LINES):
            button = dpg.add_button(
                parent=self._box, tag=f"detail.line.{number}", callback=self._go, user_data=0, show=False
            )
            dpg.bind_item_theme(button, desk.theme("quiet"))
            texts = [dpg.add_text("", parent=self._box, show=False) for _ in range(4)]
            self._rows.append((button, texts))
        self._pages = _Pages(self._box, desk, "detail.line")
        self._at = (0, 0, 1, 1)
        self._last: tuple[Board, int] | None = None
        desk.every_frame(self._turned)

    def move(self, x: int, y: int, width: int, height: int) -> None:
        """See `Side`."""
        self._at = x, y, width, height
        dpg.configure_item(self._box, pos=(x, y), width=width, height=height)

    def appear(self, shown: bool) -> None:
        """See `Side`."""
        dpg.configure_item(self._box, show=shown)

    def _turned(self) -> None:
        if self._pages.turned and self._last is not None:
            self.show(*self._last)

    def show(self, board: Board, birth: int) -> None:
        """See `Side`."""
        if self._last is None or self._last[1] != birth:
            self._pages.first = 0
        self._last = board, birth
        desk, px, p = self._desk, self._desk.px, self._desk.palette
        line = board.detail.primary_line(birth)
        _, _, width, height = self._at
        fit = min((height - px(28)) // px(_LINE_ROW), _MOST_LINES)
        shown = list(self._pages.show(len(line), fit, width, height - px(24)))
        for row, (button, texts) in enumerate(self._rows):
            here = row < len(shown)
            dpg.configure_item(button, show=here)
            for text in texts:
                dpg.configure_item(text, show=here)
            if not here:
                continue
            one = line[shown[row]]
            y = row * px(_LINE_ROW)
            dpg.configure_item(
                button, label=f"#{one.birth}", user_data=one.birth, pos=(0, y), width=px(66), height=px(22)
            )
            gain = "" if one.gain is None else f"{one.gain:+.3f}"
            tone = p.good if (one.gain or 0) > 0 else p.muted
            total = "-" if one.total is None else f"{one.total:.3f}"
            columns = (
                (total, px(74), px(48), p.text),
                (gain, px(122), px(54), tone),
                (one.operator.replace("_", " "), px(178), px(110), p.muted),
                (one.prompt, px(292), max(width - px(296), 1), p.faint),
            )
            for text, (value, x, room, colour) in zip(texts, columns, strict=True):
                said = shortened(value, room, lambda word, script: desk.width(word, script, "small"))
                desk.set_text(text, said, "small")
                dpg.configure_item(text, pos=(x, y + px(3)), color=colour)

    def _go(self, _sender: Item, _data: object, birth: int) -> None:
        self._desk.select(birth)


def _number(value: float) -> str:
    """Three or four figures."""
    size = abs(value)
    digits = 0 if size >= 100 else 1 if size >= 10 else 2
    return f"{value:.{digits}f}" if size >= 0.1 or size == 0 else f"{value:.3g}"
