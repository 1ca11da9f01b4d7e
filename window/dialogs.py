"""The window's dialogs: at most one is open; keys belong to it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import dearpygui.dearpygui as dpg

from window.presenter import Presenter

if TYPE_CHECKING:
    from window.app import App


class Dialogs:
    """All dialogs, made when they are first opened.

    Args:
        presenter: What they act on.
        app: What makes the looks.
    """

    def __init__(self, presenter: Presenter, app: App) -> None:
        self._presenter, self._app = presenter, app
        self._open: set[str] = set()

    def openers(self) -> dict[str, Callable[[], None]]:
        """By name, what opens each."""
        return {}

    def any_open(self) -> bool:
        """Whether one is open."""
        return any(dpg.does_item_exist(name) and dpg.is_item_shown(name) for name in self._open)

    def show(self) -> None:
        """Brings an open dialog up to date."""

    def ask_for_path(
        self, title: str, then: Callable[[Path], None], *, endings: tuple[str, ...] = (), folder: bool = False
    ) -> None:
        """See `Desk.ask_for_path`."""

    def delete(self) -> None:
        """Takes all of them down."""
