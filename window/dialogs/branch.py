"""A new run that begins with a birth of the one that is shown."""

from __future__ import annotations

from collections.abc import Callable

import dearpygui.dearpygui as dpg

from window.dialogs.dialog import Dialog
from window.presenter import Presenter


class BranchDialog(Dialog):
    """Asks for its name.

    Args:
        presenter: What it acts on.
        birth: What it begins with.
        begin: Given birth and name.
    """

    def __init__(self, presenter: Presenter, birth: int, begin: Callable[[int, str], None]) -> None:
        super().__init__(presenter, "branch", f"A new run from #{birth}", (460, 230))
        self._birth, self._begin = birth, begin

    def fill(self, width: int, height: int) -> None:
        """See `Dialog`."""
        self.caption("It is kept in the same lineage file and has the same settings.")
        self.space(4)
        self.caption("Name")
        name = f"{self.presenter.present.run_state.name or 'run'}, from {self._birth}"
        dpg.add_input_text(tag="branch.name", default_value=name, width=width, on_enter=True, callback=self._go)
        self.space(10)
        with self.row():
            self.button("Start", "start", self._go, accent=True)
            self.button("Cancel", "cancel", self.close)

    def _go(self) -> None:
        name = dpg.get_value("branch.name").strip()
        self.close()
        self._begin(self._birth, name)
