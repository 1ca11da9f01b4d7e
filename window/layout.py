"""Where everything stands: bars at top and bottom, pages in the middle, panels around them; sizes follow the window.

::

    +------------------------------------------------------------+
    | run control                                                |
    +--------------------------------------+---------------------+
    | board  compare  detail  voices       | curves              |
    |                                      +---------------------+
    |  (one page of the four)              | voice map           |
    |                                      |                     |
    +--------------------------------------+---------------------+
    | lineage                              | log                 |
    +--------------------------------------+---------------------+
    | replay                                                     |
    +------------------------------------------------------------+
    | status                                                     |
    +------------------------------------------------------------+
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import dearpygui.dearpygui as dpg

from experiments.board.board import Board
from window.panel import Desk, Item, Panel, Place

PLACES: tuple[Place, ...] = typing.get_args(Place)
_TITLES: Mapping[Place, str] = MappingProxyType(
    {"board": "Board", "compare": "Compare", "detail": "Detail", "voices": "Voices"}
)
_BARS = ("control", "status")
_GAP = 8
_TABS = 34


@dataclass(frozen=True)
class Rect:
    """A place in the window, in real pixels."""

    x: int
    y: int
    width: int
    height: int


def places_of(width: int, height: int, px: Callable[[float], int]) -> dict[str, Rect]:
    """Where every region stands in a window of a size; all rectangles are at least 1 x 1."""
    gap, top, bottom = px(_GAP), px(46), px(27)
    replay = px(36)
    right = min(max(int(width * 0.29), px(300)), px(520))
    left = width - right - 3 * gap
    inner = height - top - bottom - replay - 2 * gap  # between run control and replay
    tree = min(max(int(inner * 0.30), px(150)), px(320))
    page = inner - tree - gap
    column = inner - tree - gap
    curves = int((column - gap) * 0.46)
    below = top + gap + page + gap
    rects = {
        "control": Rect(0, 0, width, top),
        "tabs": Rect(gap, top + gap, left, px(_TABS)),
        "page": Rect(gap, top + gap + px(_TABS), left, page - px(_TABS)),
        "curves": Rect(left + 2 * gap, top + gap, right, curves),
        "voice_map": Rect(left + 2 * gap, top + gap + curves + gap, right, column - curves - gap),
        "lineage": Rect(gap, below, left, tree),
        "log": Rect(left + 2 * gap, below, right, tree),
        "replay": Rect(0, height - bottom - replay, width, replay),
        "status": Rect(0, height - bottom, width, bottom),
    }
    return {name: Rect(one.x, one.y, max(one.width, 1), max(one.height, 1)) for name, one in rects.items()}


class Layout:
    """The window's regions and the panels in them.

    Args:
        panels: By region or page; a region without a panel is not there.
    """

    def __init__(self, panels: Mapping[str, Panel]) -> None:
        self._panels = dict(panels)
        self.page: Place = "board"
        self._boxes: dict[str, Item] = {}
        self._desk: Desk | None = None

    def build(self, root: Item, desk: Desk) -> None:
        """Creates every region inside the root window and every panel in its region."""
        self._desk = desk
        with dpg.child_window(parent=root, tag="layout.tabs", no_scrollbar=True, no_scroll_with_mouse=True):
            for place in PLACES:
                if place in self._panels:
                    button = dpg.add_button(
                        label=_TITLES[place],
                        tag=f"layout.{place}",
                        pos=(0, 0),
                        height=desk.px(28),
                        user_data=place,
                        callback=lambda _sender, _data, place: desk.turn_to(place),
                    )
                    dpg.bind_item_font(button, desk.font(_TITLES[place], "title"))
        dpg.bind_item_theme("layout.tabs", desk.theme("bare"))
        for name, panel in self._panels.items():
            box = dpg.add_child_window(
                parent=root, tag=f"layout.at.{name}", no_scrollbar=True, no_scroll_with_mouse=True, border=True
            )
            self._boxes[name] = box
            theme = "bar" if name in ("control", "status", "replay") else "bare" if name in PLACES else "panel"
            dpg.bind_item_theme(box, desk.theme(theme))
            panel.build(box, desk)
        self.turn_to(self.page)

    def turn_to(self, page: Place) -> None:
        """Shows one page of the middle."""
        assert self._desk is not None
        if page not in self._panels:
            return
        self.page = page
        for place in PLACES:
            if place in self._panels:
                dpg.configure_item(self._boxes[place], show=place == page)
                dpg.bind_item_theme(f"layout.{place}", self._desk.theme("quiet.on" if place == page else "quiet"))

    def resize(self, width: int, height: int) -> None:
        """Gives every region its place."""
        assert self._desk is not None
        px = self._desk.px
        rects = places_of(width, height, px)
        for name, panel in self._panels.items():
            rect = rects["page" if name in PLACES else name]
            dpg.configure_item(self._boxes[name], pos=(rect.x, rect.y), width=rect.width, height=rect.height)
            border = 0 if name in (*PLACES, "control", "status", "replay") else 2
            panel.resize(max(rect.width - border, 1), max(rect.height - border, 1))
        tabs = rects["tabs"]
        dpg.configure_item("layout.tabs", pos=(tabs.x, tabs.y), width=tabs.width, height=tabs.height)
        x = 0
        for place in PLACES:
            if place in self._panels:
                dpg.configure_item(f"layout.{place}", pos=(x, 0), width=px(92))
                x += px(96)

    def show(self, board: Board) -> None:
        """Brings every panel that can be seen up to the board."""
        for name, panel in self._panels.items():
            if name not in PLACES or name == self.page:
                panel.show(board)

    def panel(self, name: str) -> Panel:
        """The panel of a region or page."""
        return self._panels[name]
