"""Settings of the window: looks, device, output folder, name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import dearpygui.dearpygui as dpg

from experiments.board.cards import DENSITIES
from window.dialogs.dialog import Dialog
from window.presenter import Presenter
from window.settings import SCALES

_DESKTOP = "as the desktop"
_DEVICES = ("auto", "cpu", "cuda", "mps")


class SettingsDialog(Dialog):
    """Everything that is remembered.

    Args:
        presenter: What it acts on.
        rebuild: Makes the window again in other looks.
    """

    def __init__(self, presenter: Presenter, rebuild: Callable[[], None]) -> None:
        super().__init__(presenter, "settings", "Settings", (560, 420))
        self._rebuild = rebuild

    def fill(self, width: int, height: int) -> None:
        """See `Dialog`."""
        now, px = self.presenter.settings, self.presenter.px
        half = px(240)
        scale = _DESKTOP if not now.scale else f"{now.scale:g}"
        with self.row():
            with dpg.group():
                self.caption("Theme")
                dpg.add_radio_button(("dark", "light"), tag="settings.theme", default_value=now.theme, horizontal=True)
                self.space()
                self.caption("Size of everything")
                dpg.add_combo(
                    (_DESKTOP, *(f"{one:g}" for one in SCALES)), tag="settings.scale", default_value=scale, width=half
                )
            dpg.add_spacer(width=px(16))
            with dpg.group():
                self.caption("Cards on the board")
                dpg.add_radio_button(
                    tuple(map(str, DENSITIES)), tag="settings.density", default_value=str(now.density), horizontal=True
                )
                self.space()
                self.caption("Device for new and resumed runs")
                dpg.add_combo(_DEVICES, tag="settings.device", default_value=now.device, width=half)
        self.space()
        self.caption("Folder for clips, voices and new lineages")
        with self.row():
            dpg.add_input_text(tag="settings.folder", default_value=str(now.folder), width=width - px(100))
            dpg.add_button(label="Choose", callback=self._choose, width=px(88))
        self.space()
        self.caption(f"Sound: {self.presenter.player.silent or 'plays through the sound card'}")
        self.caption("Kept for the next start in the folder for settings of this system.")
        dpg.add_text("", tag="settings.said", color=self.presenter.palette.bad, wrap=width)
        with self.row():
            self.button("Apply", "apply", self._apply, accent=True)
            self.button("Cancel", "cancel", self.close)

    def _choose(self) -> None:
        self.close()  # a second modal over a modal never shows

        def chosen(path: Path) -> None:
            self.presenter.remember(output_folder=str(path))
            self.open()

        self.presenter.ask_for_path("Folder for clips and voices", chosen, folder=True)

    def _apply(self) -> None:
        before = self.presenter.settings
        folder = dpg.get_value("settings.folder").strip()
        if folder and not Path(folder).expanduser().is_absolute():
            dpg.set_value("settings.said", f"{folder} is no full path; begin it at the root or with ~")
            return
        scale = dpg.get_value("settings.scale")
        density = int(dpg.get_value("settings.density"))
        self.presenter.remember(
            theme=dpg.get_value("settings.theme"),
            scale=0.0 if scale == _DESKTOP else float(scale),
            density=density,
            device=dpg.get_value("settings.device"),
            output_folder=before.output_folder if folder == str(before.folder) else folder,
        )
        self.close()
        self.presenter.board.cards.show(count=density)
        now = self.presenter.settings
        if (now.theme, now.scale) != (before.theme, before.scale):
            self.presenter.later(self._rebuild)
