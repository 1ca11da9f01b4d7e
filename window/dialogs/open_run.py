"""Opening a lineage file: which file, which of its runs, to watch it or to go on with it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import dearpygui.dearpygui as dpg

from bark_infinity.error_handling import BarkError
from experiments.board.text import shortened
from experiments.lineage import Lineage, Run
from window.dialogs.dialog import Dialog
from window.panel import Item
from window.presenter import Presenter

ENDINGS = (".db", ".sqlite", ".lineage")
_STATES = {"new": "never started", "running": "running, or was cut off", "paused": "stopped", "done": "done",
           "failed": "failed"}  # fmt: skip


class OpenDialog(Dialog):
    """Runs of one file, to choose from.

    Args:
        presenter: What it acts on.
        path: The file.
        runs: Its runs.
        watch: Shows one of them.
        resume: Goes on with one of them.
    """

    def __init__(
        self,
        presenter: Presenter,
        path: Path,
        runs: tuple[Run, ...],
        watch: Callable[[Path, str], None],
        resume: Callable[[Path, str], None],
    ) -> None:
        super().__init__(presenter, "open", f"Runs of {path.name}", (620, 440))
        self._path, self._runs, self._watch, self._resume = path, runs, watch, resume
        self._chosen = runs[-1].name

    def fill(self, width: int, height: int) -> None:
        """See `Dialog`."""
        px = self.presenter.px
        self.caption(
            shortened(str(self._path), width, lambda text, script: self.presenter.width(text, script, "small"))
        )
        self._items = {}
        with dpg.child_window(tag="open.list", width=width, height=height - px(130)):
            for run in reversed(self._runs):
                began = time.strftime("%Y-%m-%d %H:%M", time.localtime(run.created_at))
                label = f"{run.name}    {_STATES.get(run.state, run.state)}, begun {began}"
                label = shortened(label, width - px(30), self.presenter.width)
                item = dpg.add_selectable(
                    label=label, callback=self._pick, user_data=run.name, default_value=run.name == self._chosen
                )
                dpg.bind_item_font(item, self.presenter.font(label))
                self._items[run.name] = item
        with self.row():
            self.button("Look at it", "watch", self._look, accent=True)
            self.button("Go on with it", "resume", self._go_on, width=130)
            self.button("Cancel", "cancel", self.close)

    def _pick(self, _sender: Item, _value: object, name: str) -> None:
        self._chosen = name
        for run, item in self._items.items():
            dpg.set_value(item, run == name)

    def _look(self) -> None:
        self.close()
        self._watch(self._path, self._chosen)

    def _go_on(self) -> None:
        self.close()
        self._resume(self._path, self._chosen)


def runs_of(path: Path) -> tuple[Run, ...]:
    """All runs of a file.

    Raises:
        BarkError: When it is no lineage, or holds no run.
    """
    with Lineage.view(path) as lineage:
        runs = lineage.runs()
    if not runs:
        raise BarkError(f"{path} holds no run yet")
    return runs
