"""The board of cards: a population to look at and listen to."""

from __future__ import annotations

from typing import Literal

import dearpygui.dearpygui as dpg

from evolution.interventions import Pin, Unpin
from experiments.board.board import Board
from experiments.board.cards import DENSITIES, FILTERS, GRIDS, facts
from experiments.board.explaining import explained
from experiments.board.text import shortened
from experiments.events import Intervene, Rate, TakeBack
from window.panel import Desk, Item
from window.panels.card import Card

_BAR = 36
_GAP = 8
_LEAST = (172, 122)  # a card is never smaller; where they do not fit there are fewer in a row, and the board scrolls
_ROOMY = 640  # width from which the bar has room for the number of cards
_MENU = (
    ("voice", "Save its voice (.npz)"),
    ("clip", "Save its clip (.wav)"),
    ("detail", "Open in detail"),
    ("a", "Compare: as A  (A)"),
    ("b", "Compare: as B  (B)"),
    ("branch", "Start a new run from here"),
)
_WELCOME = "Evolve voices and prompts by ear"
_NAMES = {"newest": "Newest", "best": "Best", "population": "Population", "liked": "Liked"}


class BoardPanel:
    """Filter bar, and up to 24 cards in a grid."""

    def build(self, parent: Item, desk: Desk) -> None:
        """See `Panel`."""
        self._desk = desk
        self._board: Board | None = None
        self._parent = parent
        self._width = self._height = 0
        self._revisions: tuple[int, ...] = ()
        self._menu_birth = 0
        self._shown_count = 0
        self._filters: dict[str, Item] = {}
        for chosen in FILTERS:
            self._filters[chosen] = dpg.add_button(
                label=_NAMES[chosen],
                parent=parent,
                tag=f"board.filter.{chosen}",
                callback=self._filter,
                user_data=chosen,
            )
        self._count = dpg.add_text("", parent=parent, color=desk.palette.muted)
        dpg.bind_item_font(self._count, desk.font("0", "small"))
        self._back = dpg.add_button(label="‹", parent=parent, tag="board.back", callback=self._turn, user_data=-1)
        self._next = dpg.add_button(label="›", parent=parent, tag="board.next", callback=self._turn, user_data=1)
        self._breed = dpg.add_button(parent=parent, tag="board.breed", callback=self._breed_marked, show=False)
        dpg.bind_item_theme(self._breed, desk.theme("accent"))
        self._unmark = dpg.add_button(
            label="clear", parent=parent, tag="board.unmark", callback=self._clear, show=False
        )
        self._densities = {
            count: dpg.add_button(
                label=str(count), parent=parent, tag=f"board.density.{count}", callback=self._density, user_data=count
            )
            for count in DENSITIES
        }
        self._cards_word = dpg.add_text("cards", parent=parent, color=desk.palette.muted)
        dpg.bind_item_font(self._cards_word, desk.font("cards", "small"))
        for item in (*self._densities.values(), self._back, self._next, self._unmark):
            dpg.bind_item_theme(item, desk.theme("quiet"))
        self._area = dpg.add_child_window(parent=parent, tag="board.area", border=False)
        dpg.bind_item_theme(self._area, desk.theme("bare"))
        self._cards = [Card(place, self._area, desk, self._act) for place in range(max(DENSITIES))]
        self.columns = GRIDS[DENSITIES[0]][0]
        self._looked: int | None = None
        self._empty = dpg.add_text("", parent=parent, color=desk.palette.muted, show=False)
        self._welcome = dpg.add_text(_WELCOME, parent=parent, show=False)
        dpg.bind_item_font(self._welcome, desk.font(_WELCOME, "title"))
        self._begin = []
        for label, tag, name in (("New run", "new", "new run"), ("Open a lineage", "open", "open")):
            button = dpg.add_button(label=label, parent=parent, tag=f"board.begin.{tag}", show=False, user_data=name)
            dpg.configure_item(button, callback=self._ask)
            self._begin.append(button)
        dpg.bind_item_theme(self._begin[0], desk.theme("accent"))
        with dpg.window(popup=True, show=False, tag="board.menu", no_title_bar=True, min_size=(10, 10)):
            dpg.add_spacer(height=desk.px(3))
            for name, label in _MENU:
                item = dpg.add_selectable(
                    label=label, tag=f"board.menu.{name}", callback=self._choose, user_data=name, width=desk.px(220)
                )
                dpg.configure_item(item, indent=desk.px(10))
            dpg.add_spacer(height=desk.px(3))
        desk.every_frame(self._move_head)

    # -- sizes --------------------------------------------------------------------------------------------------

    def resize(self, width: int, height: int) -> None:
        """See `Panel`."""
        self._width, self._height = width, height
        self._revisions = ()
        for card in self._cards:
            card.forget()
        px = self._desk.px
        x = 0
        for item, wide in zip(self._filters.values(), (76, 58, 92, 60), strict=True):
            dpg.configure_item(item, pos=(x, px(4)), width=px(wide), height=px(25))
            x += px(wide + 4)
        dpg.configure_item(self._count, pos=(x + px(8), px(7)))
        x += px(96)
        for item in (self._back, self._next):
            dpg.configure_item(item, pos=(x, px(4)), width=px(24), height=px(25))
            x += px(26)
        right = width - px(4)
        roomy = width >= px(_ROOMY)
        for item in reversed(self._densities.values()):
            right -= px(34) if roomy else 0
            dpg.configure_item(item, pos=(right, px(4)), width=px(32), height=px(25), show=roomy)
        self._breed_width = max(min(right - x - px(76), px(182)), px(60))
        dpg.configure_item(self._breed, pos=(x + px(10), px(4)), width=self._breed_width, height=px(25))
        dpg.configure_item(self._unmark, pos=(x + px(14) + self._breed_width, px(4)), width=px(48), height=px(25))
        wordy = right - x > px(14 + 182 + 56 + 48)
        dpg.configure_item(self._cards_word, pos=(right - px(40), px(7)), show=wordy)
        dpg.configure_item(self._area, pos=(0, px(_BAR)), width=width, height=max(height - px(_BAR), 1))

    def _arrange(self, count: int) -> None:
        px = self._desk.px
        columns, rows = GRIDS[count]
        gap, height = px(_GAP), self._height - px(_BAR)
        width = self._width
        self.columns = max(1, min(columns, (width + gap) // (px(_LEAST[0]) + gap)))
        rows = -(-count // self.columns)
        tall = (height - gap * (rows - 1)) / rows
        if tall < px(_LEAST[1]):
            tall, width = px(_LEAST[1]), width - px(12)  # the bar that scrolls
        wide = (width - gap * (self.columns - 1)) / self.columns
        for card in self._cards:
            if card.place >= count:
                card.hide()
                continue
            row, column = divmod(card.place, self.columns)
            x, y = round(column * (wide + gap)), round(row * (tall + gap))
            card.move(x, y, max(round((column + 1) * (wide + gap) - gap) - x, 1), max(int(tall), 1))

    def _scroll_to(self, place: int) -> None:
        """Brings a card into sight."""
        top, tall = self._cards[place].extent()
        now, seen = dpg.get_y_scroll(self._area), self._height - self._desk.px(_BAR)
        if top < now or top + tall > now + seen:
            dpg.set_y_scroll(self._area, max(top + (tall - seen) / 2, 0))

    # -- showing ------------------------------------------------------------------------------------------------

    def show(self, board: Board) -> None:
        """See `Panel`."""
        self._board = board
        cards, births, selection = board.cards, board.births, board.selection
        revisions = (
            cards.revision,
            births.revision,
            selection.revision,
            board.waves.revision,
            board.run_state.revision,
            board.scores.revision,
        )
        if revisions == self._revisions or self._width <= 1:
            return
        if not self._revisions or cards.count != self._shown_count:
            self._shown_count = cards.count
            self._arrange(cards.count)
        self._revisions = revisions
        for place, card in enumerate(self._cards[: cards.count]):
            birth = cards.places[place]
            if birth is None or birth not in births:
                card.show(None, None, at=False, marked=False, playing=False)
                continue
            known = births[birth]
            card.show(
                facts(known, births),
                board.waves[birth],
                at=birth == selection.birth,
                marked=birth in selection.marked,
                playing=birth == selection.playing,
            )
            judged = (birth, id(known.score), known.total)
            if judged != card.explained:
                card.explained = judged
                dpg.set_value(card.explanation, explained(known, births))
        if selection.birth != self._looked:
            self._looked = selection.birth
            if selection.birth in cards.places:
                self._scroll_to(cards.places.index(selection.birth))
        self._show_bar(board)
        nothing = not cards.shown()
        dpg.configure_item(self._empty, show=nothing)
        if nothing:
            said = _empty_words(board)
            dpg.set_value(self._empty, said)
            self._centre(self._empty, self._desk.width(said), 0.42)
        self._show_welcome(board.run_state.opened.source == "none")
        for card in self._cards[: cards.count]:
            dpg.configure_item(card.root, show=not nothing)

    def _centre(self, item: Item, wide: float, down: float) -> None:
        dpg.configure_item(item, pos=(max(int((self._width - wide) / 2), 0), int(self._height * down)))

    def _show_welcome(self, shown: bool) -> None:
        desk, px = self._desk, self._desk.px
        dpg.configure_item(self._welcome, show=shown)
        for item in self._begin:
            dpg.configure_item(item, show=shown)
        for item in (*self._filters.values(), self._count, self._back, self._next, self._cards_word):
            dpg.configure_item(item, show=not shown)
        for item in self._densities.values():
            dpg.configure_item(item, show=not shown and self._width >= px(_ROOMY))
        if shown:
            self._centre(self._welcome, desk.width(_WELCOME, "latin", "title"), 0.36)
            left = (self._width - px(150 + 150 + 10)) // 2
            for number, item in enumerate(self._begin):
                y = int(self._height * 0.42) + px(34)
                dpg.configure_item(item, pos=(left + number * px(160), y), width=px(150), height=px(32))

    def _show_bar(self, board: Board) -> None:
        cards, desk = board.cards, self._desk
        for name, item in self._filters.items():
            dpg.bind_item_theme(item, desk.theme("quiet.on" if name == cards.filter else "quiet"))
        for count, item in self._densities.items():
            dpg.bind_item_theme(item, desk.theme("quiet.on" if count == cards.count else "quiet"))
        shown, matches = len(cards.shown()), cards.matches
        first = cards.page * cards.count + 1
        dpg.set_value(self._count, f"{first}–{first + shown - 1} of {matches}" if shown else "none")
        dpg.configure_item(self._back, enabled=cards.page > 0)
        dpg.configure_item(self._next, enabled=cards.page + 1 < cards.pages)
        marked = board.selection.marked
        dpg.configure_item(self._breed, show=bool(marked))
        dpg.configure_item(self._unmark, show=bool(marked))
        if marked:
            names = " × ".join(f"#{birth}" for birth in marked[:3]) + (" …" if len(marked) > 3 else "")
            room = self._breed_width - desk.px(16)
            dpg.configure_item(self._breed, label=shortened(f"breed {names}", room, desk.width))

    def _move_head(self) -> None:
        birth, share = self._desk.playhead()
        if birth is None:
            return
        for card in self._cards:
            if card.birth == birth:
                card.move_head(share)

    # -- acting -------------------------------------------------------------------------------------------------

    def _act(self, name: str, place: int) -> None:
        birth, board, desk = self._cards[place].birth, self._board, self._desk
        if birth is None or board is None or birth not in board.births:
            return
        known = board.births[birth]
        match name:
            case "play":
                if board.selection.playing == birth:
                    desk.stop_sound()
                else:
                    desk.play(birth)
            case "like":
                judge(desk, board, birth, 1.0)
            case "dislike":
                judge(desk, board, birth, 0.0)
            case "pin":
                desk.send(Intervene(Unpin(birth) if known.pinned else Pin(birth)))
            case "breed":
                board.selection.toggle_mark(birth)
            case "select":
                desk.select(birth)
            case "detail":
                desk.open_detail(birth)
            case "more":
                desk.select(birth)
                self._menu_birth = birth
                x, y = dpg.get_mouse_pos(local=False)
                dpg.configure_item("board.menu", show=True, pos=(int(x), int(y)))

    def _choose(self, sender: Item, _value: object, name: str) -> None:
        dpg.set_value(sender, False)
        dpg.configure_item("board.menu", show=False)
        birth, desk = self._menu_birth, self._desk
        match name:
            case "voice":
                desk.save_voice(birth)
            case "clip":
                desk.save_clip(birth)
            case "detail":
                desk.open_detail(birth)
            case "a" | "b":
                desk.compare_as(birth, 0 if name == "a" else 1)
            case "branch":
                desk.branch(birth)

    def _ask(self, _sender: Item, _data: object, name: Literal["new run", "open"]) -> None:
        self._desk.open_dialog(name)

    def _filter(self, _sender: Item, _data: object, name: str) -> None:
        if self._board is not None:
            self._board.cards.show(name)  # type: ignore[arg-type]

    def _turn(self, _sender: Item, _data: object, pages: int) -> None:
        if self._board is not None:
            self._board.cards.show(page=self._board.cards.page + pages)

    def _density(self, _sender: Item, _data: object, count: int) -> None:
        if self._board is not None:
            self._board.cards.show(count=count)
            self._desk.remember(density=count)

    def _breed_marked(self) -> None:
        if self._board is not None and self._board.selection.marked:
            self._desk.breed(self._board.selection.marked)
            self._board.selection.mark(())

    def _clear(self) -> None:
        if self._board is not None:
            self._board.selection.mark(())


def judge(desk: Desk, board: Board, birth: int, value: float) -> None:
    """Rates a birth; the same rating again takes it back."""
    known = board.births[birth]
    if known.rating == value and known.rated_by is not None:
        desk.send(TakeBack(known.rated_by))
    else:
        desk.send(Rate(birth, value))


def _empty_words(board: Board) -> str:
    state, cards = board.run_state, board.cards
    if state.opened.source == "none":
        return "A population speaks; you like, dislike and breed; every birth is kept and can be heard again."
    if cards.filter == "liked":
        return "Nothing is liked or pinned yet. Press L on a card that you like."
    if cards.filter == "population" and board.births:
        return "Nobody lives yet: no birth has passed the gates so far."
    if cards.filter == "best" and board.births:
        return "No birth has passed the gates so far."
    if state.state == "loading":
        return f"Loading {state.reason or 'the model'} …"
    if state.state in ("paused", "stopped"):
        return f"{state.state.capitalize()} before the first birth was heard."
    if state.state == "failed":
        return "It failed before a birth could be shown; the bar at the top says why, and what to do."
    return "The first births are on their way."
