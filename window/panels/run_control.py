"""The bar at the top: which run, what it is doing, and what to do with it."""

from __future__ import annotations

import dearpygui.dearpygui as dpg

from experiments.board.board import Board
from experiments.board.run_state import Shown
from experiments.board.text import in_lines, shortened
from experiments.events import Continue, Pause, StepOnce, StopRun
from window.panel import Desk, Item

_STATES: dict[Shown, tuple[str, str]] = {
    "idle": ("idle", "faint"),
    "loading": ("loading", "tag"),
    "running": ("running", "good"),
    "pausing": ("pausing", "warn"),
    "paused": ("paused", "warn"),
    "stopping": ("stopping", "warn"),
    "done": ("done", "accent"),
    "stopped": ("stopped", "muted"),
    "failed": ("failed", "bad"),
}
_BUTTONS = (
    ("go", "▶ run", 78, "start, go on, or pause after what is under way"),
    ("step", "one step", 76, "one more step of the swarm, then pause"),
    ("stop", "■ stop", 70, "finish the step under way, record it and end; it can be resumed"),
)


class RunControlPanel:
    """Name and state of the run, buttons, progress."""

    def build(self, parent: Item, desk: Desk) -> None:
        """See `Panel`."""
        self._desk = desk
        self._board: Board | None = None
        self._width = self._height = 0
        self._shown: object = None
        p = desk.palette
        self._name = dpg.add_text("Victor Bark Fusion", parent=parent, tag="control.name")
        dpg.bind_item_font(self._name, desk.font("V", "title"))
        self._new = dpg.add_button(
            label="New run", parent=parent, tag="control.new", callback=self._open, user_data="new run"
        )
        self._file = dpg.add_button(
            label="Open", parent=parent, tag="control.open", callback=self._open, user_data="open"
        )
        self._buttons = {}
        for name, label, _wide, hint in _BUTTONS:
            item = dpg.add_button(label=label, parent=parent, tag=f"control.{name}", callback=getattr(self, f"_{name}"))
            dpg.bind_item_font(item, desk.font("▶"))
            with dpg.tooltip(item, delay=0.4):
                dpg.add_text(hint)
            self._buttons[name] = item
        dpg.bind_item_theme(self._buttons["stop"], desk.theme("danger"))
        self._plot_at = dpg.add_group(parent=parent)  # a drawing cannot be placed, a group can
        self._plot = dpg.add_drawlist(parent=self._plot_at, width=10, height=10)
        self._dot = dpg.draw_circle((0, 0), desk.px(4), parent=self._plot, color=(0, 0, 0, 0), fill=p.faint)
        self._track = dpg.draw_line((0, 0), (1, 0), parent=self._plot, color=p.raised, thickness=desk.px(4))
        self._bar = dpg.draw_line((0, 0), (1, 0), parent=self._plot, color=p.accent, thickness=desk.px(4))
        self._state = dpg.add_text("", parent=parent, tag="control.state")
        self._said = dpg.add_text("", parent=parent, color=p.muted)
        dpg.bind_item_font(self._said, desk.font("0", "small"))
        with dpg.tooltip(self._said, delay=0.3):
            self._whole = dpg.add_text("", wrap=desk.px(560))
        self._settings = dpg.add_button(
            label="⚙", parent=parent, tag="control.settings", callback=self._open, user_data="settings"
        )
        dpg.bind_item_font(self._settings, desk.font("⚙"))
        dpg.bind_item_theme(self._settings, desk.theme("quiet"))
        with dpg.tooltip(self._settings, delay=0.4):
            dpg.add_text("settings")

    def resize(self, width: int, height: int) -> None:
        """See `Panel`."""
        self._width, self._height = width, height
        self._shown = None

    # -- showing ------------------------------------------------------------------------------------------------

    def show(self, board: Board) -> None:
        """See `Panel`."""
        self._board = board
        state, births = board.run_state, board.births
        now = (state.revision, births.best, len(births))
        if now == self._shown or self._width <= 1:
            return
        self._shown = now
        desk, px, p = self._desk, self._desk.px, self._desk.palette
        middle, tall = px(10), px(27)
        name = state.name or "Victor Bark Fusion"
        name = shortened(name, px(230), lambda one, script: desk.width(one, script, "title"))
        desk.set_text(self._name, name, "title")
        dpg.configure_item(self._name, pos=(px(14), px(13)))
        x = px(14) + int(desk.width(name, "latin", "title")) + px(20)
        for item, wide in ((self._new, 76), (self._file, 58)):
            dpg.configure_item(item, pos=(x, middle), width=px(wide), height=tall)
            x += px(wide + 6)
        x += px(12)
        for key, _label, wide, _hint in _BUTTONS:
            dpg.configure_item(self._buttons[key], pos=(x, middle), width=px(wide), height=tall)
            x += px(wide + 6)
        self._show_buttons(board)
        x += px(14)
        word, tone = _STATES[state.state]
        colour = getattr(p, tone)
        right = self._width - px(46)
        dpg.configure_item(self._settings, pos=(right, middle), width=px(32), height=tall)
        dpg.configure_item(self._plot_at, pos=(x, 0))
        dpg.configure_item(self._plot, width=max(right - x - px(16), 1), height=self._height)
        half = self._height / 2
        dpg.configure_item(self._dot, center=(px(5), half), fill=colour)
        at = "" if state.at is None else f"as it was at #{state.at}"
        dpg.set_value(self._state, at or word)
        dpg.configure_item(self._state, pos=(x + px(16), px(13)), color=p.accent if at else colour)
        x2 = px(16) + int(desk.width(at or word)) + px(18)
        room = right - x - px(16)
        limit = state.limit
        track = min(px(260), max((room - x2) // 3, px(40)))
        share = min(1.0, state.told / limit) if limit else 0.0
        failed = state.state == "failed"  # why, and what to do, needs the room
        visible = bool(limit) and state.opened.source != "none" and not failed
        dpg.configure_item(self._track, p1=(x2, half), p2=(x2 + track, half), show=visible)
        dpg.configure_item(
            self._bar, p1=(x2, half), p2=(x2 + max(share * track, 0.1), half), show=visible and share > 0
        )
        said = self._words(board)
        begin = x2 + (track + px(14) if visible else 0)
        dpg.set_value(self._whole, said)
        said = in_lines(said, room - begin, 2 if failed else 1, lambda one, script: desk.width(one, script, "small"))
        desk.set_text(self._said, said, "small")
        down = px(7 if "\n" in said else 15)
        dpg.configure_item(self._said, pos=(x + begin, down), show=bool(said), color=p.bad if failed else p.muted)

    def _words(self, board: Board) -> str:
        state, births = board.run_state, board.births
        if state.state in ("failed", "loading") and state.reason:
            path = state.opened.path  # its folder is known, and long
            return state.reason.replace(path, path.replace("\\", "/").rsplit("/", 1)[-1]) if path else state.reason
        if state.opened.source == "none":
            return "no run is open"
        words = [f"{state.told} of {state.limit} births" if state.limit else f"{state.told} births"]
        if births.best is not None and births.best in births:
            best = births[births.best]
            words.append(
                f"best {best.total:.3f} (#{best.number})" if best.total is not None else f"best #{best.number}"
            )
        if state.reason:
            words.append(state.reason)
        elif state.progress is not None and state.state in ("running", "pausing", "stopping"):
            words.append(state.progress.rendering)
        return "   ".join(words)

    def _show_buttons(self, board: Board) -> None:
        can, state = board.run_state.controls, board.run_state.state
        go = self._buttons["go"]
        labels = (
            (can.pause, "❚❚ pause"),
            (can.resume, "▶ more" if state == "done" else "▶ resume"),
            (can.proceed, "▶ go on"),
        )
        label = next((words for possible, words in labels if possible), "▶ start")
        dpg.configure_item(go, label=label, enabled=can.pause or can.proceed or can.resume or can.start)
        calls = state in ("paused", "stopped", "failed", "done") and (can.proceed or can.resume)
        dpg.bind_item_theme(go, self._desk.theme("accent") if calls else 0)
        dpg.configure_item(self._buttons["step"], enabled=can.step)
        dpg.configure_item(self._buttons["stop"], enabled=can.stop)

    # -- acting -------------------------------------------------------------------------------------------------

    def _open(self, _sender: Item, _data: object, name: str) -> None:
        self._desk.open_dialog(name)  # type: ignore[arg-type]

    def _go(self) -> None:
        if self._board is None:
            return
        can = self._board.run_state.controls
        if can.pause:
            self._desk.send(Pause())
        elif can.proceed:
            self._desk.send(Continue())
        elif can.resume:
            self._desk.resume()
        elif can.start:
            self._desk.open_dialog("new run")

    def _step(self) -> None:
        self._desk.send(StepOnce())

    def _stop(self) -> None:
        self._desk.send(StopRun())
