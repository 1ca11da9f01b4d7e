"""Keys: everything on the board can be done without the mouse.

=====================  =========================================================
``1`` ... ``9``        play or stop the card in that place
arrows                 look at the card beside, above, below
``L``, ``D``           like, dislike the card that is looked at
``P``, ``M``           pin it; mark it as a parent
space                  stop the sound; play the card that is looked at
``A``, ``B``           put it into that place of the compare page; there: prefer it
``Enter``              open it in detail
``Ctrl+Z``             take the latest judgement back
``Esc``                look at nothing; back to the board
=====================  =========================================================

While a text is being typed, or a dialog is open, keys belong to them.
"""

from __future__ import annotations

from collections.abc import Callable

import dearpygui.dearpygui as dpg

from evolution.interventions import Pin, Unpin
from experiments.events import Intervene
from window.panels.board import BoardPanel, judge
from window.panels.compare import ComparePanel
from window.presenter import Presenter

_TYPED = {"mvInputText", "mvInputInt", "mvInputFloat", "mvInputDouble", "mvDragFloat", "mvDragInt"}
_STEPS = {dpg.mvKey_Left: (-1, 0), dpg.mvKey_Right: (1, 0), dpg.mvKey_Up: (0, -1), dpg.mvKey_Down: (0, 1)}


def typing() -> bool:
    """Whether keys belong to a text that is being typed."""
    item = dpg.get_focused_item()
    if not item or not dpg.does_item_exist(item):
        return False
    kind = dpg.get_item_type(item).rsplit("::", 1)[-1]
    return kind in _TYPED and dpg.is_item_active(item)


class Keyboard:
    """Key presses as doings of the presenter.

    Args:
        presenter: Does them.
        page: Which page of the middle is shown.
        cards: The page of cards.
        compare: The compare page.
        blocked: Whether a dialog is open.
    """

    def __init__(
        self,
        presenter: Presenter,
        page: Callable[[], str],
        cards: BoardPanel,
        compare: ComparePanel,
        blocked: Callable[[], bool],
    ) -> None:
        self._presenter, self._page, self._cards = presenter, page, cards
        self._compare, self._blocked = compare, blocked
        with dpg.handler_registry(tag="keyboard"):
            dpg.add_key_press_handler(callback=self._pressed)

    def _pressed(self, _sender: int | str, key: int) -> None:
        if typing() or self._blocked():
            return
        control = dpg.is_key_down(dpg.mvKey_LControl) or dpg.is_key_down(dpg.mvKey_RControl)
        if control:
            if key == dpg.mvKey_Z:
                self._compare.undo()
            return
        if key == dpg.mvKey_Escape:
            self._presenter.select(None)
            self._presenter.turn_to("board")
        elif self._page() == "compare":
            self._compare.pressed(key)
        else:
            self._on_board(key)

    def _on_board(self, key: int) -> None:
        presenter = self._presenter
        board = presenter.board
        places, birth = board.cards.places, board.selection.birth
        if dpg.mvKey_1 <= key <= dpg.mvKey_9:
            chosen = places[key - dpg.mvKey_1] if key - dpg.mvKey_1 < len(places) else None
            if chosen is not None:
                self._play(chosen)
            return
        if key in _STEPS:
            self._move(*_STEPS[key])
            return
        if birth is None or birth not in board.births:
            if key == dpg.mvKey_Spacebar:
                presenter.stop_sound()
            return
        if key == dpg.mvKey_Spacebar:
            if board.selection.playing is not None:
                presenter.stop_sound()
            else:
                presenter.play(birth)
        elif key in (dpg.mvKey_L, dpg.mvKey_D):
            judge(presenter, board, birth, float(key == dpg.mvKey_L))
        elif key == dpg.mvKey_P:
            presenter.send(Intervene(Unpin(birth) if board.births[birth].pinned else Pin(birth)))
        elif key == dpg.mvKey_M:
            board.selection.toggle_mark(birth)
        elif key in (dpg.mvKey_A, dpg.mvKey_B):
            presenter.compare_as(birth, int(key == dpg.mvKey_B))
        elif key == dpg.mvKey_Return:
            presenter.open_detail(birth)

    def _play(self, birth: int) -> None:
        if self._presenter.board.selection.playing == birth:
            self._presenter.stop_sound()
        else:
            self._presenter.select(birth)
            self._presenter.play(birth)

    def _move(self, right: int, down: int) -> None:
        cards, selection = self._presenter.board.cards, self._presenter.board.selection
        columns = self._cards.columns
        at = cards.places.index(selection.birth) if selection.birth in cards.places else None
        if at is None or selection.birth is None:
            target = 0
        else:
            target = at + right + down * columns
            if not 0 <= target < len(cards.places) or (right and target // columns != at // columns):
                return
        if cards.places[target] is not None:
            self._presenter.select(cards.places[target])
