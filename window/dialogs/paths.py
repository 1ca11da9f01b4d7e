"""Asking for a file or a folder: typed, pasted, or chosen from a list."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import dearpygui.dearpygui as dpg

from experiments.board.text import shortened
from window.dialogs.dialog import Dialog
from window.panel import Item
from window.presenter import Presenter

_MOST = 400  # entries that are listed; the rest is reached by typing


class PathDialog(Dialog):
    """A field for the path, and below it what is in its folder.

    Args:
        presenter: What it acts on.
        title: What is asked for.
        then: Given the answer.
        endings: Of files that may be chosen; none: all.
        folder: Whether a folder is asked for.
        new: Whether a file may be named that is not there yet.
    """

    def __init__(
        self,
        presenter: Presenter,
        title: str,
        then: Callable[[Path], None],
        *,
        endings: tuple[str, ...] = (),
        folder: bool = False,
        new: bool = False,
    ) -> None:
        super().__init__(presenter, "paths", title, (640, 520))
        self._then, self._endings, self._folder, self._new = then, endings, folder, new
        self._place = presenter.last_folder()

    def fill(self, width: int, height: int) -> None:
        """See `Dialog`."""
        px = self.presenter.px
        self.caption("Path" + (f" ({', '.join(self._endings)})" if self._endings else ""))
        dpg.add_input_text(
            tag="paths.path", width=width, default_value=str(self._place), on_enter=True, callback=self._entered
        )
        dpg.add_child_window(tag="paths.list", width=width, height=height - px(210))
        dpg.add_text("", tag="paths.said", color=self.presenter.palette.warn, wrap=width)
        with self.row():
            self.button("Choose", "choose", self._entered, accent=True)
            self.button("Cancel", "cancel", self.close)
        self._list()

    def _list(self) -> None:
        dpg.delete_item("paths.list", children_only=True)
        dpg.set_value("paths.path", str(self._place))
        width = dpg.get_item_width("paths.list") - self.presenter.px(30)
        self._entry("..", self._place.parent, True, width)
        try:
            entries = sorted(os.scandir(self._place), key=lambda one: (not one.is_dir(), one.name.casefold()))
        except OSError as error:
            dpg.set_value("paths.said", f"{self._place} cannot be listed: {error.strerror}")
            return
        shown = [one for one in entries if not one.name.startswith(".") and (one.is_dir() or self._wanted(one.name))]
        for one in shown[:_MOST]:
            self._entry(one.name, Path(one.path), one.is_dir(), width)
        dpg.set_value("paths.said", f"{len(shown) - _MOST} more; type the name" if len(shown) > _MOST else "")

    def _wanted(self, name: str) -> bool:
        return not self._folder and (not self._endings or name.casefold().endswith(self._endings))

    def _entry(self, name: str, path: Path, is_folder: bool, width: int) -> None:
        label = shortened(
            f"{name}/" if is_folder else name, width, lambda text, script: self.presenter.width(text, script)
        )
        item = dpg.add_selectable(label=label, parent="paths.list", callback=self._picked, user_data=(path, is_folder))
        dpg.bind_item_font(item, self.presenter.font(label))

    def _picked(self, sender: Item, _value: object, entry: tuple[Path, bool]) -> None:
        path, is_folder = entry
        if is_folder:
            self._place = path
            self._list()
        else:
            dpg.set_value(sender, False)
            dpg.set_value("paths.path", str(path))
            self._entered()

    def _entered(self) -> None:
        path = Path(dpg.get_value("paths.path").strip()).expanduser()
        if path.is_dir() and not self._folder:
            self._place = path
            self._list()
            return
        if self._folder and not path.is_dir():
            dpg.set_value("paths.said", f"{path} is no folder")
            return
        if not self._folder and not self._new and not path.is_file():
            dpg.set_value("paths.said", f"there is no file {path}")
            return
        self.close()
        self.presenter.remember_folder(path if self._folder else path.parent)
        self._then(path)
