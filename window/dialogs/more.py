"""A run that is done goes on: up to how many births."""

from __future__ import annotations

from collections.abc import Callable

import dearpygui.dearpygui as dpg

from window.dialogs.dialog import Dialog
from window.presenter import Presenter


class MoreDialog(Dialog):
    """Asks for another limit.

    Args:
        presenter: What it acts on.
        told: Births so far.
        go_on: Given the births after which it is over.
    """

    def __init__(self, presenter: Presenter, told: int, go_on: Callable[[int], None]) -> None:
        super().__init__(presenter, "more", "This run is done", (440, 240))
        self._told, self._go_on = told, go_on

    def fill(self, width: int, height: int) -> None:
        """See `Dialog`."""
        self.caption(f"It has {self._told} births. It can go on where it is.")
        self.space(4)
        self.caption("Births in all, instead of its other limits")
        dpg.add_input_int(tag="more.births", default_value=2 * self._told, min_value=1, width=width, step=8)
        dpg.add_text("", tag="more.said", color=self.presenter.palette.bad, wrap=width)
        with self.row():
            self.button("Go on", "go", self._go, accent=True)
            self.button("Cancel", "cancel", self.close)

    def _go(self) -> None:
        births = int(dpg.get_value("more.births"))
        if births <= self._told:
            dpg.set_value("more.said", f"give more than the {self._told} that it has")
            return
        self.close()
        self._go_on(births)
