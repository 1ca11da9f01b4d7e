"""A lineage file of an older version of this program: brought up to date, when a person says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import dearpygui.dearpygui as dpg

from window.dialogs.dialog import Dialog
from window.presenter import Presenter


class OlderDialog(Dialog):
    """Says what is to be done, and that a copy is kept.

    Args:
        presenter: What it acts on.
        path: The file.
        renew: Brings it up to date.
    """

    def __init__(self, presenter: Presenter, path: Path, renew: Callable[[], None]) -> None:
        super().__init__(presenter, "older", "An older file", (520, 230))
        self._path, self._renew = path, renew

    def fill(self, width: int, height: int) -> None:
        """See `Dialog`."""
        said = dpg.add_text(
            f"{self._path.name} was written by an older version of this program. It has to be brought up to date "
            "before it can be shown. Nothing of it is lost, and a copy as it is now stays beside it.",
            wrap=width,
        )
        dpg.bind_item_font(said, self.presenter.font(self._path.name))
        with self.row():
            self.button("Bring up to date", "renew", self._go, width=150, accent=True)
            self.button("Cancel", "cancel", self.close)

    def _go(self) -> None:
        self.close()
        self._renew()
