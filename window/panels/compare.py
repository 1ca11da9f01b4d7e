"""Comparing by ear: two clips of equal loudness, or four of which the worst is chosen, and what was learned from it.

Totals are not shown here: what the judge thinks should not sway the listener.
"""

from __future__ import annotations

import time

import dearpygui.dearpygui as dpg

from experiments.board.board import Board
from experiments.board.compare import Answer, Mode
from experiments.board.text import shortened
from experiments.events import Command, TakeBack
from window.panel import Desk, Item
from window.prompt import LINE, PromptText
from window.wave import Wave

_LETTERS = "ABCD"
_GAP = 8
_SIDE = 320  # width of the column that says what was learned
_SENTENCES = 7
_GIVEN = 8


class _Clip:
    """One of the clips of a question."""

    def __init__(self, place: int, parent: Item, desk: Desk, panel: ComparePanel) -> None:
        self.place, self._desk = place, desk
        self.birth: int | None = None
        self._width = self._height = 0
        tag = f"compare.{_LETTERS[place].lower()}"
        self.root = dpg.add_child_window(
            parent=parent, tag=tag, no_scrollbar=True, no_scroll_with_mouse=True, show=False
        )
        dpg.bind_item_theme(self.root, desk.theme("card"))
        self._letter = dpg.add_text(_LETTERS[place], parent=self.root, color=desk.palette.accent)
        dpg.bind_item_font(self._letter, desk.font("A", "title"))
        self._title = dpg.add_text("", parent=self.root, color=desk.palette.muted)
        dpg.bind_item_font(self._title, desk.font("#", "small"))
        self._heard = dpg.add_text("heard", parent=self.root, color=desk.palette.good, show=False)
        dpg.bind_item_font(self._heard, desk.font("heard", "small"))
        self._prompt = PromptText(self.root, desk, 16)
        self.wave = Wave(self.root, desk, f"{tag}.wave")
        self.play = dpg.add_button(
            label="▶ play", parent=self.root, tag=f"{tag}.play", callback=panel.play, user_data=place
        )
        dpg.bind_item_font(self.play, desk.font("▶"))
        self.choose = dpg.add_button(parent=self.root, tag=f"{tag}.choose", callback=panel.chosen, user_data=place)
        dpg.bind_item_theme(self.choose, desk.theme("accent"))

    def move(self, x: int, y: int, width: int, height: int) -> None:
        dpg.configure_item(self.root, pos=(x, y), width=width, height=height)
        self._width, self._height = width, height

    def show(self, board: Board, birth: int, mode: Mode) -> None:
        """Shows a birth that is asked about."""
        px, desk = self._desk.px, self._desk
        self.birth = birth
        known = board.births[birth]
        pad, inner = px(16), self._width - 2 * px(16)
        dpg.configure_item(self.root, show=True)
        dpg.configure_item(self._letter, pos=(pad, px(12)))
        dpg.set_value(self._title, f"#{birth}")
        dpg.configure_item(self._title, pos=(pad + px(18), px(15)))
        heard = int(desk.width("heard", "latin", "small"))
        dpg.configure_item(self._heard, pos=(self._width - pad - heard, px(14)), show=birth in board.compare.heard)
        lines = 3 if self._height > px(230) else 2
        self._prompt.show(known.prompt, pad, px(40), inner, lines)
        top = px(40) + lines * px(LINE) + px(6)
        below = self._height - px(44)
        self.wave.move(pad, top, inner, max(below - top - px(10), px(10)))
        self.wave.show(board.waves[birth], desk.palette.accent if birth in board.compare.heard else desk.palette.muted)
        playing = board.selection.playing == birth
        self.wave.play(0.0 if playing else None)
        wide = px(96)
        dpg.configure_item(
            self.play, pos=(pad, below), width=wide, height=px(30), label="■ stop" if playing else "▶ play"
        )
        letter = _LETTERS[self.place]
        label = f"{letter} is better" if mode == "pair" else f"{letter} is the worst"
        dpg.configure_item(
            self.choose, pos=(pad + wide + px(8), below), width=inner - wide - px(8), height=px(30), label=label
        )

    def hide(self) -> None:
        """Shows nothing."""
        self.birth = None
        dpg.configure_item(self.root, show=False)


class ComparePanel:
    """A question, its answers, and what they have taught."""

    def build(self, parent: Item, desk: Desk) -> None:
        """See `Panel`."""
        self._desk = desk
        self._board: Board | None = None
        self._width = self._height = 0
        self._shown: tuple[int, ...] = ()
        self._asked_at = time.monotonic()
        self._question: tuple[int, ...] = ()
        p = desk.palette
        self._modes: dict[Mode, Item] = {}
        modes: tuple[tuple[Mode, str], ...] = (("pair", "Which is better?"), ("worst", "Which of four is worst?"))
        for mode, label in modes:
            self._modes[mode] = dpg.add_button(
                label=label, parent=parent, tag=f"compare.mode.{mode}", callback=self._mode, user_data=mode
            )
        self._why = dpg.add_text("", parent=parent, color=p.muted)
        dpg.bind_item_font(self._why, desk.font("x", "small"))
        self._clips = [_Clip(place, parent, desk, self) for place in range(4)]
        self._answers = {
            name: dpg.add_button(
                label=label, parent=parent, tag=f"compare.{name}", callback=self._answer, user_data=name
            )
            for name, label in (
                ("tie", "about equal  (T)"),
                ("bad", "all bad  (X)"),
                ("skip", "skip  (S)"),
                ("undo", "undo  (Ctrl+Z)"),
            )
        }
        self._nothing = dpg.add_text("", parent=parent, color=p.muted, show=False)
        self._side = dpg.add_child_window(parent=parent, tag="compare.learned", no_scrollbar=True)
        dpg.bind_item_theme(self._side, desk.theme("panel"))
        self._heads = [dpg.add_text(text, parent=self._side) for text in ("What was learned", "How sure", "Answers")]
        for item in self._heads:
            dpg.bind_item_font(item, desk.font("W", "title"))
        self._sentences = [dpg.add_text("", parent=self._side, wrap=1, show=False) for _ in range(_SENTENCES)]
        self._sure = dpg.add_progress_bar(parent=self._side, height=desk.px(5), width=10)
        self._sure_words = dpg.add_text("", parent=self._side, color=p.muted)
        dpg.bind_item_font(self._sure_words, desk.font("x", "small"))
        self._given = [dpg.add_text("", parent=self._side, color=p.muted, show=False) for _ in range(_GIVEN)]
        for item in (*self._sentences, *self._given):
            dpg.bind_item_font(item, desk.font("x", "small"))
        desk.every_frame(self._move_head)

    def resize(self, width: int, height: int) -> None:
        """See `Panel`."""
        self._width, self._height = width, height
        self._shown = ()

    # -- showing ------------------------------------------------------------------------------------------------

    def show(self, board: Board) -> None:
        """See `Panel`."""
        self._board = board
        compare = board.compare
        shown = (compare.revision, board.selection.revision, board.waves.revision, board.run_state.revision)
        if shown == self._shown or self._width <= 1:
            return
        self._shown = shown
        question = tuple(birth for birth in compare.question if birth in board.births)
        if question != self._question:
            self._question, self._asked_at = question, time.monotonic()
        self._arrange(compare.mode, len(question))
        for clip, birth in zip(self._clips, (*question, *[None] * 4), strict=False):
            if birth is None:
                clip.hide()
            else:
                clip.show(board, birth, compare.mode)
        self._show_side(board)
        desk = self._desk
        for mode, item in self._modes.items():
            dpg.bind_item_theme(item, desk.theme("quiet.on" if mode == compare.mode else "quiet"))
        dpg.set_value(self._why, compare.why)
        dpg.configure_item(self._nothing, show=not question)
        if not question:
            few = "Two births" if compare.mode == "pair" else "Four births"
            said = f"{few} that passed the gates are needed before anything can be compared."
            dpg.set_value(self._nothing, said)
            middle = (self._width - desk.px(_SIDE)) / 2 - desk.width(said) / 2
            dpg.configure_item(self._nothing, pos=(max(int(middle), 0), self._height // 3))
        for name, item in self._answers.items():
            dpg.configure_item(item, enabled=bool(question) or name == "undo")
        dpg.configure_item(self._answers["tie"], show=compare.mode == "pair")
        dpg.configure_item(self._answers["bad"], label="both bad  (X)" if compare.mode == "pair" else "all bad  (X)")

    def _arrange(self, mode: Mode, count: int) -> None:
        px = self._desk.px
        gap, top, bottom = px(_GAP), px(36), px(44)
        x = 0
        for item, wide in zip(self._modes.values(), (136, 178), strict=True):
            dpg.configure_item(item, pos=(x, px(4)), width=px(wide), height=px(25))
            x += px(wide + 4)
        dpg.configure_item(self._why, pos=(x + px(10), px(8)))
        side = min(px(_SIDE), self._width // 3)
        inner = self._width - side - gap
        tall = self._height - top - bottom
        rows = 1 if mode == "pair" else 2
        wide, high = (inner - gap) // 2, (tall - gap * (rows - 1)) // rows
        if mode == "pair":
            high = min(high, px(430))
        for place, clip in enumerate(self._clips):
            row, column = divmod(place, 2)
            clip.move(column * (wide + gap), top + row * (high + gap), max(wide, 1), max(high, 1))
        y = top + rows * high + (rows - 1) * gap + px(10)
        x = 0
        for name, item in self._answers.items():
            if name == "tie" and mode != "pair":
                continue
            dpg.configure_item(item, pos=(x, y), width=px(130), height=px(28))
            x += px(138)
        dpg.configure_item(self._side, pos=(inner + gap, top), width=side, height=max(self._height - top, 1))

    def _show_side(self, board: Board) -> None:
        desk, px = self._desk, self._desk.px
        compare = board.compare
        pad = px(14)
        wide = dpg.get_item_width(self._side) - 2 * pad
        y = px(12)
        dpg.configure_item(self._heads[0], pos=(pad, y))
        y += px(26)
        learned = compare.learned
        sentences = learned.sentences() if learned is not None else _before(board)
        for item, said in zip(self._sentences, (*sentences, *[""] * _SENTENCES), strict=False):
            dpg.configure_item(item, show=bool(said), pos=(pad, y), wrap=wide)
            if said:
                desk.set_text(item, said, "small")
                lines = -(-int(desk.width(said, "latin", "small") * 1.06) // max(wide, 1))
                y += lines * px(17) + px(5)
        y += px(10)
        accuracy = None if learned is None else learned.accuracy
        dpg.configure_item(self._heads[1], pos=(pad, y))
        y += px(28)
        dpg.configure_item(self._sure, pos=(pad, y), width=wide)
        dpg.set_value(self._sure, accuracy or 0.0)
        dpg.bind_item_theme(self._sure, desk.theme("bar.9"))
        y += px(9)
        words = (
            "not tested yet; a coin would have 50 %"
            if accuracy is None or learned is None
            else f"{accuracy:.0%} of {learned.choices} unheard choices; a coin has 50 %"
        )
        dpg.set_value(self._sure_words, words)
        dpg.configure_item(self._sure_words, pos=(pad, y))
        y += px(30)
        dpg.configure_item(self._heads[2], pos=(pad, y))
        dpg.set_value(self._heads[2], f"Answers  {compare.answers}")
        y += px(26)
        for item, given in zip(self._given, (*compare.given, *[None] * _GIVEN), strict=False):
            dpg.configure_item(item, show=given is not None, pos=(pad, y))
            if given is not None:
                said = shortened(given.words, wide, lambda text, script: desk.width(text, script, "small"))
                dpg.set_value(item, said)
                y += px(18)

    def _move_head(self) -> None:
        birth, share = self._desk.playhead()
        if birth is not None:
            for clip in self._clips:
                if clip.birth == birth:
                    clip.wave.play(share)

    # -- acting -------------------------------------------------------------------------------------------------

    def play(self, _sender: Item, _data: object, place: int) -> None:
        """Plays a clip of the question, as loud as the others, or stops it."""
        board = self._board
        if board is None or not 0 <= place < len(board.compare.question):
            return
        birth = board.compare.question[place]
        if board.selection.playing == birth:
            self._desk.stop_sound()
            return
        self._desk.play(birth, match=True)
        board.compare.listen(birth)

    def chosen(self, _sender: Item, _data: object, place: int) -> None:
        """A clip was chosen as the better, or as the worst."""
        board = self._board
        if board is None:
            return
        if board.compare.mode == "worst":
            self._send(board.compare.worst(place))
        elif place < 2:
            answers: tuple[Answer, Answer] = ("first", "second")
            self._send(board.compare.answer(answers[place], self._latency()))

    def _latency(self) -> float:
        return round(time.monotonic() - self._asked_at, 2)

    def _send(self, commands: tuple[Command, ...]) -> None:
        if not all([self._desk.send(command) for command in commands]) and self._board is not None:
            self._board.compare.took_back()

    def _mode(self, _sender: Item, _data: object, mode: Mode) -> None:
        if self._board is not None:
            self._board.compare.choose_mode(mode)

    def _answer(self, _sender: Item, _data: object, name: str) -> None:
        board = self._board
        if board is None:
            return
        match name:
            case "tie":
                self._send(board.compare.answer("tie", self._latency()))
            case "bad":
                self._send(board.compare.bad())
            case "skip":
                board.compare.skip()
            case "undo":
                self.undo()

    def undo(self) -> None:
        """Takes the latest judgement of this sitting back."""
        self._desk.send(TakeBack())

    def pressed(self, key: int) -> None:
        """A key on this page: 1 to 4 play, A to D choose, T tie, X bad, S skip, space stops."""
        board = self._board
        if board is None:
            return
        if dpg.mvKey_1 <= key <= dpg.mvKey_4:
            self.play("", None, key - dpg.mvKey_1)
        elif key in (dpg.mvKey_A, dpg.mvKey_B) or (key in (dpg.mvKey_C, dpg.mvKey_D) and board.compare.mode == "worst"):
            self.chosen("", None, key - dpg.mvKey_A)
        elif key == dpg.mvKey_T:
            self._answer("", None, "tie")
        elif key == dpg.mvKey_X:
            self._answer("", None, "bad")
        elif key == dpg.mvKey_S:
            self._answer("", None, "skip")
        elif key == dpg.mvKey_Spacebar:
            self._desk.stop_sound()


def _before(board: Board) -> list[str]:
    """What stands there before the run's learner has said anything."""
    if board.run_state.opened.source == "file":
        return ["This run is only watched here. Resume it in this window to answer."]
    if board.compare.answers:
        return [f"{board.compare.answers} answers were given before. One more, and what they teach is said here."]
    return ["Nobody has judged yet in this sitting: the other objectives decide.",
            "Answers are compared with features of the clips; a model of them may speak once it predicts choices "
            "that it has not heard better than the objectives do."]  # fmt: skip
