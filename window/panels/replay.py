"""The bar that moves through the run: slider, play, speed, back to the present, branch from here."""

from __future__ import annotations

import time

import dearpygui.dearpygui as dpg

from experiments.board.board import Board
from experiments.board.replaying import SPEEDS, Replaying, place_of
from experiments.board.text import shortened
from window.panel import Desk, Item

_NOTHING = 1_000  # moments of an empty slider, whose grab is then no half of it


class ReplayPanel:
    """Everything else in the window shows the moment that this bar is at."""

    def build(self, parent: Item, desk: Desk) -> None:
        """See `Panel`."""
        self._desk = desk
        self._width = self._height = 0
        self._board: Board | None = None
        self._state = Replaying()
        self._sent: int | None = None  # the birth that was travelled to last
        self._clock = time.perf_counter()
        self._shown: tuple[object, ...] = ()
        self._play = dpg.add_button(label="▶", parent=parent, tag="replay.play", callback=self._toggle)
        dpg.bind_item_font(self._play, desk.font("▶"))
        with dpg.tooltip(self._play, delay=0.4):
            dpg.add_text("see the run again from its first birth")
        self._slider = dpg.add_slider_int(
            parent=parent, tag="replay.slider", callback=self._slide, min_value=0, max_value=1, format="", clamped=True,
            no_input=True,
        )  # fmt: skip
        self._speeds = {
            speed: dpg.add_button(
                label=f"{speed:g}", parent=parent, tag=f"replay.speed.{speed:g}", callback=self._hurry, user_data=speed
            )
            for speed in SPEEDS
        }
        for speed, item in self._speeds.items():
            with dpg.tooltip(item, delay=0.4):
                dpg.add_text(f"{speed:g} births per second")
        self._said = dpg.add_text("", parent=parent, color=desk.palette.muted)
        dpg.bind_item_font(self._said, desk.font("0", "small"))
        self._now = dpg.add_button(label="present", parent=parent, tag="replay.now", callback=self._return)
        self._branch = dpg.add_button(
            label="branch from here", parent=parent, tag="replay.branch", callback=self._branch_here
        )
        with dpg.tooltip(self._branch, delay=0.4):
            dpg.add_text("a new run that begins with the birth that is looked at, else with the best of this moment")
        desk.every_frame(self._advance)

    def resize(self, width: int, height: int) -> None:
        """See `Panel`."""
        self._width, self._height = width, height
        self._shown = ()
        px = self._desk.px
        y, tall = px(5), px(26)
        dpg.configure_item(self._play, pos=(px(10), y), width=px(34), height=tall)
        x = width - px(10)
        for item, wide in ((self._branch, 142), (self._now, 70)):
            x -= px(wide)
            dpg.configure_item(item, pos=(x, y), width=px(wide), height=tall)
            x -= px(6)
        x -= px(6)
        for item in reversed(self._speeds.values()):
            x -= px(38)
            dpg.configure_item(item, pos=(x, y), width=px(36), height=tall)
        said = min(px(250), width // 5)
        x -= said + px(10)
        self._said_room = said
        dpg.configure_item(self._said, pos=(x + px(4), px(10)))
        dpg.configure_item(self._slider, pos=(px(52), px(6)), width=max(x - px(62), px(40)))

    def show(self, board: Board) -> None:
        """See `Panel`."""
        self._board = board
        moments = self._desk.moments()
        at = board.run_state.at
        if at != self._sent:  # somebody else travelled, or another run was opened
            self._sent = at
            self._state = Replaying(place_of(at, moments), False, self._state.speed)
        trunk = _trunk(board)
        now = (len(moments), self._state.place, self._state.playing, self._state.speed, len(board.births), trunk)
        if now == self._shown or self._width <= 1:
            return
        self._shown = now
        count, place = len(moments), self._state.place
        desk = self._desk
        dpg.configure_item(self._slider, max_value=count or _NOTHING, enabled=bool(count))
        dpg.set_value(self._slider, count if place is None else place)
        dpg.configure_item(self._play, label="❚❚" if self._state.playing else "▶", enabled=bool(count))
        dpg.configure_item(self._now, enabled=place is not None)
        label = "branch from here" if trunk is None else f"branch from #{trunk}"
        dpg.configure_item(self._branch, enabled=trunk is not None, label=label)
        for speed, item in self._speeds.items():
            dpg.bind_item_theme(item, desk.theme("quiet.on" if speed == self._state.speed else "quiet"))
        if not count:
            said = "nothing to replay yet"
        elif place is None:
            said = f"present, {count} births"
        else:
            birth = self._state.birth(moments)
            facts = board.births.get(birth or 0)
            generation = "" if facts is None else f", gen {facts.generation}"
            said = f"{place} of {count}, #{birth}{generation}"
        said = shortened(said, self._said_room, lambda one, script: desk.width(one, script, "small"))
        dpg.set_value(self._said, said)
        dpg.configure_item(self._said, color=desk.palette.muted if place is None else desk.palette.accent)

    # -- acting -------------------------------------------------------------------------------------------------

    def _advance(self) -> None:
        now = time.perf_counter()
        seconds, self._clock = now - self._clock, now
        if self._state.playing:
            self._go(self._state.after(seconds, len(self._desk.moments())))

    def _go(self, state: Replaying) -> None:
        self._state = state
        birth = state.birth(self._desk.moments())
        if birth != self._sent:
            self._sent = birth
            self._desk.travel(birth)

    def _toggle(self) -> None:
        self._go(self._state.toggled(len(self._desk.moments())))

    def _slide(self, _sender: Item, place: int) -> None:
        self._go(self._state.moved(place, len(self._desk.moments())))

    def _hurry(self, _sender: Item, _data: object, speed: float) -> None:
        self._state = self._state.at_speed(speed)

    def _return(self) -> None:
        self._go(Replaying(None, False, self._state.speed))

    def _branch_here(self) -> None:
        birth = None if self._board is None else _trunk(self._board)
        if birth is not None:
            self._desk.branch(birth)


def _trunk(board: Board) -> int | None:
    """The birth that a branch would begin with; None while nothing fit is born."""
    chosen = board.births.get(board.selection.birth or 0)
    return chosen.number if chosen is not None and chosen.status == "ok" else board.births.best
