"""One card of the board: its widgets are made once, and show one birth after the other."""

from __future__ import annotations

from collections.abc import Callable

import dearpygui.dearpygui as dpg

from experiments.board.cards import CardFacts
from experiments.board.text import script_of, shortened
from experiments.board.waves import Outline
from window.panel import Desk, Item
from window.prompt import LINE, PromptText
from window.theme import BARS
from window.wave import Wave

Act = Callable[[str, int], None]  # what was asked for, and in which place

_PAD = 10
_BUTTONS = (
    ("like", "♥", "like  (L)"),
    ("dislike", "✖", "dislike  (D)"),
    ("pin", "⚑", "keep in the population"),
    ("breed", "⚭", "mark as a parent"),
    ("more", "⋯", "save, compare, branch"),
)


class Card:
    """A place on the board.

    Args:
        place: From 0.
        parent: Where its widgets go.
        desk: The window.
        act: Told what the person wants.
    """

    def __init__(self, place: int, parent: Item, desk: Desk, act: Act) -> None:
        self.place, self._desk, self._act = place, desk, act
        self.birth: int | None = None
        self.explained: object = None  # what the explanation is of
        self._width = self._height = self._top = 0
        self._shown: tuple[object, ...] = ()
        self._play_words = ("▶ play", "■ stop")
        tag = f"board.{place}"
        self.root = dpg.add_child_window(
            parent=parent, tag=tag, no_scrollbar=True, no_scroll_with_mouse=True, show=False
        )
        p = desk.palette
        self._key = dpg.add_text(str(place + 1) if place < 9 else "", parent=self.root, color=p.faint)
        dpg.bind_item_font(self._key, desk.font("1", "small"))
        self._title = dpg.add_text("", parent=self.root, tag=f"{tag}.title")
        dpg.bind_item_font(self._title, desk.font("#", "title"))
        self._line = dpg.add_text("", parent=self.root, color=p.muted)
        dpg.bind_item_font(self._line, desk.font("gen", "small"))
        self._badges = [dpg.add_text("", parent=self.root, show=False) for _ in range(2)]
        self._prompt = PromptText(self.root, desk)
        self._wave = Wave(self.root, desk, f"{tag}.wave")
        self._bar = dpg.add_progress_bar(parent=self.root, tag=f"{tag}.bar", height=desk.px(5), width=10)
        self._total = dpg.add_text("", parent=self.root)
        self._verdict = dpg.add_text("", parent=self.root, show=False)
        dpg.bind_item_font(self._verdict, desk.font("x", "small"))
        self._play = dpg.add_button(
            label="▶ play", parent=self.root, tag=f"{tag}.play", callback=self._pressed, user_data="play"
        )
        dpg.bind_item_font(self._play, desk.font("▶"))
        self._buttons: dict[str, Item] = {}
        for name, sign, _hint in _BUTTONS:
            button = dpg.add_button(
                label=sign, parent=self.root, tag=f"{tag}.{name}", callback=self._pressed, user_data=name
            )
            dpg.bind_item_font(button, desk.font("♥"))
            dpg.bind_item_theme(button, desk.theme("quiet"))
            self._buttons[name] = button
        for name, _sign, hint in _BUTTONS:
            with dpg.tooltip(self._buttons[name], delay=0.4):
                dpg.add_text(hint)
        with dpg.tooltip(self._total, delay=0.2):
            self.explanation = dpg.add_text("", wrap=desk.px(460))
        for item in (self._bar, self._verdict):
            with dpg.tooltip(item, delay=0.2):
                dpg.add_text("", source=self.explanation, wrap=desk.px(460))
        with dpg.item_handler_registry() as handlers:
            dpg.add_item_clicked_handler(callback=self._clicked, user_data="select")
            dpg.add_item_double_clicked_handler(callback=self._clicked, user_data="detail")
        for item in (self._wave.item, self._title, self._line, *self._prompt.items):
            dpg.bind_item_handler_registry(item, handlers)

    def _pressed(self, _sender: Item, _data: object, name: str) -> None:
        self._act(name, self.place)

    def _clicked(self, _sender: Item, _data: object, name: str) -> None:
        self._act(name, self.place)

    # -- sizes --------------------------------------------------------------------------------------------------

    def move(self, x: int, y: int, width: int, height: int) -> None:
        """Gives the card its place and size."""
        dpg.configure_item(self.root, pos=(x, y), width=width, height=height, show=True)
        self._top = y
        if (width, height) == (self._width, self._height):
            return
        self._width, self._height = width, height
        px = self._desk.px
        pad, button = px(_PAD), px(25)
        inner = width - 2 * pad
        below = height - button - px(8)
        dpg.configure_item(self._key, pos=(width - pad - px(7), below + px(4)))
        dpg.configure_item(self._title, pos=(pad, px(7)))
        play = min(px(76), max(inner - 5 * px(29), px(30)))
        dpg.configure_item(self._play, pos=(pad, below), width=play, height=button)
        self._play_words = ("▶ play", "■ stop") if play >= px(70) else ("▶", "■")
        dpg.configure_item(self._play, label=self._play_words[0])
        step = min(px(30), max((inner - play - px(12)) // len(_BUTTONS), px(18)))
        for number, name in enumerate(self._buttons):
            dpg.configure_item(
                self._buttons[name], pos=(pad + play + px(6) + number * step, below), width=step - px(2), height=button
            )
        self._shown = ()

    def forget(self) -> None:
        """Shows everything again next time: fonts or sizes may have changed."""
        self._shown = ()
        self._width = self._height = 0

    def extent(self) -> tuple[int, int]:
        """How far down it begins, and how tall it is, in real pixels."""
        return self._top, self._height

    def hide(self) -> None:
        """Takes the card off the board."""
        dpg.configure_item(self.root, show=False)

    # -- contents -----------------------------------------------------------------------------------------------

    def show(self, facts: CardFacts | None, outline: Outline | None, *, at: bool, marked: bool, playing: bool) -> None:
        """Shows a birth, or an empty place; touches only what differs."""
        now = (facts, outline, at, marked, playing)
        if now == self._shown:
            return
        before = self._shown or (object(),) * len(now)
        self._shown = now
        self.birth = None if facts is None else facts.birth
        if facts is None:
            self._clear()
            return
        if facts != before[0]:
            self._show_facts(facts)
        if outline is not before[1] or facts != before[0]:
            self._show_outline(facts, outline)
        if at != before[2] or before[0] is None:
            dpg.bind_item_theme(self.root, self._desk.theme("card.at" if at else "card"))
        if marked != before[3]:
            dpg.bind_item_theme(self._buttons["breed"], self._desk.theme("quiet.on" if marked else "quiet"))
        if playing != before[4]:
            dpg.configure_item(self._play, label=self._play_words[playing])
            dpg.bind_item_theme(self._play, self._desk.theme("accent") if playing else 0)
            self._wave.play(0.0 if playing else None)

    def _clear(self) -> None:
        self._prompt.hide()
        for item in (*self._badges, self._verdict, self._total, self._bar):
            dpg.configure_item(item, show=False)
        dpg.set_value(self._title, "")
        dpg.set_value(self._line, "")
        dpg.bind_item_theme(self.root, self._desk.theme("card.empty"))
        for item in (self._play, *self._buttons.values(), self._wave.item, self._key):
            dpg.configure_item(item, show=False)

    def _show_facts(self, facts: CardFacts) -> None:
        desk, px = self._desk, self._desk.px
        p, pad = desk.palette, px(_PAD)
        inner = self._width - 2 * pad
        for item in (self._play, *self._buttons.values(), self._wave.item, self._key):
            dpg.configure_item(item, show=True)
        dpg.set_value(self._title, f"#{facts.birth}")
        right = self._width - pad
        for item, badge in zip(self._badges, facts.badges[:2] + (None,) * 2, strict=False):
            if badge is None:
                dpg.configure_item(item, show=False)
                continue
            script = script_of(badge.text)
            dpg.bind_item_font(item, desk.font(badge.text, "small"))
            right -= int(desk.width(badge.text, script, "small"))
            y = px(9) + desk.drop(script, "small")
            dpg.configure_item(item, show=True, pos=(right, y), color=getattr(p, badge.tone))
            dpg.set_value(item, badge.text)
            right -= px(8)
        after = pad + int(desk.width(f"#{facts.birth}", "latin", "title")) + px(7)
        line = shortened(facts.line, right - after - px(4), lambda text, script: desk.width(text, script, "small"))
        dpg.set_value(self._line, line if right - after > px(30) else "")
        dpg.configure_item(self._line, pos=(after, px(9)))
        top = px(30)
        lines = 2 if self._height > px(165) else 1
        self._prompt.show(facts.prompt, pad, top, inner, lines)
        below = self._height - px(25) - px(8)
        wave_top = top + lines * px(LINE) + px(4)
        width, height = inner, max(below - wave_top - px(20), px(8))
        self._wave.move(pad, wave_top, width, height)
        measure = px(38)
        y = height + px(9)
        share = 0.0 if facts.total is None else facts.total
        judged = facts.total is not None
        dpg.configure_item(self._bar, show=judged, pos=(pad, wave_top + y - px(2)), width=width - measure)
        dpg.set_value(self._bar, share)
        dpg.bind_item_theme(self._bar, desk.theme(f"bar.{min(int(share * BARS), BARS - 1)}"))
        dpg.configure_item(self._total, show=judged, pos=(pad + width - px(30), wave_top + y - px(11)))
        dpg.set_value(self._total, f"{share:.2f}")
        dpg.configure_item(
            self._verdict, show=not judged, pos=(pad, wave_top + y - px(9)), color=getattr(p, facts.tone)
        )
        said = shortened(facts.verdict, inner, lambda text, script: desk.width(text, script, "small"))
        dpg.set_value(self._verdict, said)
        liked = facts.rating is not None and facts.rating > 0.5
        disliked = facts.rating is not None and facts.rating <= 0.5
        for name, theme in (
            ("like", "good" if liked else "quiet"),
            ("dislike", "bad" if disliked else "quiet"),
            ("pin", "quiet.on" if facts.pinned else "quiet"),
        ):
            dpg.bind_item_theme(self._buttons[name], desk.theme(theme))
        dpg.configure_item(self._play, enabled=facts.audible)

    def _show_outline(self, facts: CardFacts, outline: Outline | None) -> None:
        p = self._desk.palette
        self._wave.show(outline, p.faint if facts.total is None else p.ramp(facts.total))

    def move_head(self, share: float) -> None:
        """Shows how far the clip is that plays."""
        self._wave.play(share)
