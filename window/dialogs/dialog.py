"""What every dialog is: a modal window in the middle, made when it is opened and deleted when it is closed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import dearpygui.dearpygui as dpg

from window.panel import Item
from window.presenter import Presenter


class Dialog:
    """A dialog.

    Args:
        presenter: What it acts on.
        tag: Of its window; tags of its widgets begin with it.
        title: What is written above it.
        size: In design pixels.
    """

    def __init__(self, presenter: Presenter, tag: str, title: str, size: tuple[int, int]) -> None:
        self.presenter = presenter
        self.tag, self.title, self.size = tag, title, size
        self.closed: Callable[[], None] = lambda: None

    @property
    def is_open(self) -> bool:
        """Whether it is on the screen."""
        return bool(dpg.does_item_exist(self.tag)) and bool(dpg.is_item_shown(self.tag))

    def open(self) -> None:
        """Makes it and shows it."""
        self.close()
        px = self.presenter.px
        screen = dpg.get_viewport_client_width(), dpg.get_viewport_client_height()
        width = min(px(self.size[0]), max(screen[0] - px(40), px(200)))
        height = min(px(self.size[1]), max(screen[1] - px(40), px(160)))
        pos = (max((screen[0] - width) // 2, 0), max((screen[1] - height) // 3, 0))
        with dpg.window(
            tag=self.tag,
            label=self.title,
            modal=True,
            no_resize=True,
            no_collapse=True,
            no_saved_settings=True,
            width=width,
            height=height,
            pos=pos,
            on_close=self.close,
        ):
            self.fill(width - px(36), height)
        dpg.bind_item_theme(self.tag, self.presenter.theme("dialog"))

    def fill(self, width: int, height: int) -> None:
        """Makes its widgets; ``width`` is what they have, in real pixels."""
        raise NotImplementedError

    def close(self) -> None:
        """Takes it down."""
        if dpg.does_item_exist(self.tag):
            dpg.delete_item(self.tag)

    # -- what they are made of ----------------------------------------------------------------------------------

    def caption(self, text: str) -> Item:
        """A quiet line above a field."""
        item: Item = dpg.add_text(text, color=self.presenter.palette.muted)
        dpg.bind_item_font(item, self.presenter.font(text, "small"))
        return item

    def button(
        self, label: str, name: str, callback: Callable[..., None], *, accent: bool = False, width: int = 110
    ) -> Item:
        """A button of the row at the bottom."""
        px = self.presenter.px
        item: Item = dpg.add_button(
            label=label, tag=f"{self.tag}.{name}", callback=callback, width=px(width), height=px(30)
        )
        if accent:
            dpg.bind_item_theme(item, self.presenter.theme("accent"))
        return item

    @contextmanager
    def row(self) -> Iterator[None]:
        """Widgets side by side."""
        with dpg.group(horizontal=True):
            yield

    def space(self, height: float = 8) -> None:
        """Room between groups."""
        dpg.add_spacer(height=self.presenter.px(height))

    def follow_script(self, item: Item, text: str) -> None:
        """Binds the font that a field's text needs, which changes while it is typed."""
        dpg.bind_item_font(item, self.presenter.font(text))
