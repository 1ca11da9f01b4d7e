"""The application: viewport, looks, regions, loop, put together and taken apart in the right order."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import dearpygui.dearpygui as dpg

from bark_infinity import prepared_shapes
from window import settings as settings_file
from window.dialogs import Dialogs
from window.fonts import Fonts
from window.keyboard import Keyboard
from window.layout import Layout
from window.loop import Loop
from window.palette import PALETTES
from window.panel import Panel
from window.panels.board import BoardPanel
from window.panels.compare import ComparePanel
from window.panels.curves import CurvesPanel
from window.panels.detail import DetailPanel
from window.panels.lineage import LineagePanel
from window.panels.log import LogPanel
from window.panels.replay import ReplayPanel
from window.panels.run_control import RunControlPanel
from window.panels.status import StatusPanel
from window.panels.voice_map import VoiceMapPanel
from window.panels.voices import VoicesPanel
from window.player import Player
from window.presenter import Presenter
from window.screen import desktop_scale
from window.settings import Settings
from window.sources import Source
from window.theme import Themes

logger = logging.getLogger(__name__)

CLOSING_S = 30.0  # a run may take so long to finish its step before the window stops waiting
_LOOSE = ("mvAppItemType::mvItemHandlerRegistry", "mvAppItemType::mvTheme")  # of widgets, but in no window
Panels = Callable[[], Mapping[str, Panel]]


def all_panels() -> dict[str, Panel]:
    """One of each, by region or page."""
    return {
        "control": RunControlPanel(),
        "board": BoardPanel(),
        "compare": ComparePanel(),
        "detail": DetailPanel(),
        "voices": VoicesPanel(),
        "replay": ReplayPanel(),
        "curves": CurvesPanel(),
        "voice_map": VoiceMapPanel(),
        "lineage": LineagePanel(),
        "log": LogPanel(),
        "status": StatusPanel(),
    }


class App:
    """The window.

    Args:
        settings: What was remembered.
        remember: Keeps changed settings; returns a sentence when that failed.
        size: Of the viewport, in real pixels.
        player: Plays clips; None makes one.
        panels: Makes one of each panel.
        vsync: Whether frames wait for the screen.
    """

    def __init__(
        self,
        settings: Settings,
        remember: Callable[[Settings], str] = lambda _settings: "",
        *,
        size: tuple[int, int] = (1600, 1000),
        player: Player | None = None,
        panels: Panels = all_panels,
        vsync: bool = True,
    ) -> None:
        self._panels = panels
        self.closing_s = CLOSING_S
        self.loop = Loop(lambda said: self.presenter.say(said, "warning"))
        self.presenter = Presenter(self.loop, settings, remember, player)
        os.environ.setdefault("__GLVND_DISALLOW_PATCHING", "1")  # NVIDIA's driver otherwise crashes on textures
        prepared_shapes.keep_few()
        dpg.create_context()
        dpg.configure_app(manual_callback_management=True)
        width, height = size
        dpg.create_viewport(
            title="Victor Bark Fusion", width=width, height=height, x_pos=0, y_pos=0, vsync=vsync, min_width=900,
            min_height=600,
        )  # fmt: skip
        self._fonts: dict[float, Fonts] = {}
        self._size = (0, 0)
        self._root: int | str = 0
        self._build()
        dpg.setup_dearpygui()
        for notice in self._fonts[self._scale].notices:
            self.presenter.say(notice, "warning")
        self.loop.drain = self._drain
        self.loop.pending = lambda: not self.presenter.source.events.empty()

    # -- looks --------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        settings = self.presenter.settings
        self._scale = settings.scale or desktop_scale()
        palette = PALETTES[settings.theme]
        if self._scale not in self._fonts:
            self._fonts[self._scale] = Fonts(self._scale)  # never deleted: fonts are few, and widgets may hold them
        fonts = self._fonts[self._scale]
        fonts.bind()
        themes = Themes(palette, lambda length: round(length * self._scale))
        dpg.bind_theme(themes.everything)
        dpg.set_viewport_clear_color(list(palette.ground))
        presenter = self.presenter
        presenter.dress(palette, self._scale, fonts, themes)
        panels = self._panels()
        self.layout = Layout(panels)
        self._root = dpg.add_window(
            no_scrollbar=True, no_scroll_with_mouse=True, no_title_bar=True, no_move=True, no_resize=True,
            no_bring_to_front_on_focus=True,
        )  # fmt: skip
        self.layout.build(self._root, presenter)
        self.dialogs = Dialogs(presenter, self)
        presenter.turned = self.layout.turn_to
        presenter.dialogs = self.dialogs.openers()
        presenter.resumed = self.dialogs.resume_shown
        presenter.branched = self.dialogs.ask_to_branch
        presenter.asked_for_path = self.dialogs.ask_for_path
        cards, compare = panels.get("board"), panels.get("compare")
        assert isinstance(cards, BoardPanel)
        assert isinstance(compare, ComparePanel)
        self._keyboard = Keyboard(presenter, lambda: self.layout.page, cards, compare, self.dialogs.any_open)
        with dpg.handler_registry(tag="attention"):
            dpg.add_mouse_move_handler(callback=self.loop.wake)
            dpg.add_mouse_wheel_handler(callback=self.loop.wake)

    def rebuild(self) -> None:
        """Makes every widget again, in the looks that the settings say."""
        page = self.layout.page
        self.loop.forget_jobs()
        self.dialogs.close()
        dpg.delete_item("keyboard")
        dpg.delete_item("attention")
        loose = [one for one in dpg.get_all_items() if dpg.get_item_type(one) in _LOOSE]
        dpg.delete_item(self._root)
        for item in [one for one in dpg.get_windows() if dpg.get_item_alias(one) == "board.menu"]:
            dpg.delete_item(item)
        self._build()
        for item in loose:  # their callbacks would keep every panel that ever was
            dpg.delete_item(item)
        dpg.set_primary_window(self._root, True)
        self.presenter.turn_to(page)
        self._size = (0, 0)
        self._settle()

    # -- the loop -----------------------------------------------------------------------------------------------

    def show(self) -> None:
        """Opens the viewport."""
        dpg.show_viewport()
        dpg.set_primary_window(self._root, True)
        self._settle()

    def _settle(self) -> None:
        """Places everything again once texts can be measured: before the first frame their widths are guesses."""
        self.loop.later(lambda: setattr(self, "_size", (0, 0)), 2)

    def run(self) -> None:
        """Frames until the window is closed."""
        self.loop.run()

    def _drain(self, budget_s: float) -> bool:
        found = self.presenter.drain(budget_s)
        size = (dpg.get_viewport_client_width(), dpg.get_viewport_client_height())
        if size != self._size and min(size) > 1:
            self._size = size
            self.layout.resize(*size)
        self.loop.guarded(lambda: self.layout.show(self.presenter.board))
        self.presenter.show_waves()
        return found

    def open(self, source: Source) -> None:
        """Shows a source; the one before ends first."""
        self.presenter.source.close(self.closing_s)
        self.presenter.open(source)

    def stop(self) -> None:
        """Ends the loop after this frame, as closing the window does."""
        dpg.stop_dearpygui()

    def close(self) -> bool:
        """Ends the run cleanly, so that it can be resumed, and takes the window down; False when the run hung."""
        self.presenter.player.stop()
        self.loop.close()
        dpg.destroy_context()  # the window is gone at once, the run ends after it
        return self.presenter.source.close(self.closing_s)


def remembering(path: Path) -> Callable[[Settings], str]:
    """Keeps settings in a file."""
    return lambda settings: settings_file.save(settings, path)
