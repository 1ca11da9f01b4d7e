"""A birth's genome in fields: change words, settings or voice by hand, and let it be born as its child."""

from __future__ import annotations

import dearpygui.dearpygui as dpg

from bark_infinity.voices.history import VoiceHistory
from experiments.board.board import Board
from experiments.board.genome_diff import voice_label
from experiments.board.genome_draft import SETTING_FIELDS, GenomeDraft
from experiments.board.text import shortened
from experiments.events import Intervene
from window.panel import Desk, Item, Recalled

_OWN = "its own"
_NONE = "none: the model chooses"
_SPOKEN = "what it said, as a voice"


class EditForm:
    """Fields with their messages below them; nothing can be sent while one is wrong."""

    def __init__(self, parent: Item, desk: Desk) -> None:
        self._desk = desk
        self._draft: GenomeDraft | None = None
        self._board: Board | None = None
        self._voices: dict[str, VoiceHistory | None] = {}
        p, px = desk.palette, desk.px
        self._box = dpg.add_child_window(parent=parent, border=False, show=False)
        dpg.bind_item_theme(self._box, desk.theme("bare"))
        self._problems: dict[str, Item] = {}

        def caption(text: str) -> Item:
            item: Item = dpg.add_text(text, parent=self._box, color=p.muted)
            dpg.bind_item_font(item, desk.font("0", "small"))
            return item

        def problem(name: str) -> Item:
            item: Item = dpg.add_text("", parent=self._box, color=p.bad, tag=f"detail.edit.problem.{name}")
            dpg.bind_item_font(item, desk.font("0", "small"))
            self._problems[name] = item
            return item

        self._prompt_word = caption("prompt")
        self._prompt = dpg.add_input_text(
            parent=self._box, tag="detail.edit.prompt", multiline=True, callback=self._typed, user_data="prompt"
        )
        problem("prompt")
        self._fields: dict[str, tuple[Item, Item]] = {}
        for one in SETTING_FIELDS:
            word = caption(one.title)
            field = dpg.add_input_text(
                parent=self._box, tag=f"detail.edit.{one.name}", callback=self._typed, user_data=one.name,
                hint="off" if one.optional else "",
            )  # fmt: skip
            with dpg.tooltip(field, delay=0.4):
                dpg.add_text(f"{one.name}: {one.doc}", wrap=px(300))
            problem(one.name)
            self._fields[one.name] = word, field
        self._voice_word = caption("voice")
        self._voice = dpg.add_combo([], parent=self._box, tag="detail.edit.voice", callback=self._chose)
        self._lock = dpg.add_checkbox(
            label="keep words", parent=self._box, tag="detail.edit.lock", callback=self._locked
        )
        with dpg.tooltip(self._lock, delay=0.4):
            dpg.add_text("operators may change how its children say it, not what they say", wrap=px(300))
        problem("form")
        self._plant = dpg.add_button(
            label="born as its child", parent=self._box, tag="detail.edit.plant", callback=self._send
        )
        dpg.bind_item_theme(self._plant, desk.theme("accent"))
        self._breed = dpg.add_button(
            label="breed it as it is", parent=self._box, tag="detail.edit.breed", callback=self._breeding
        )
        self._undo = dpg.add_button(label="start over", parent=self._box, tag="detail.edit.undo", callback=self._again)
        dpg.bind_item_theme(self._undo, desk.theme("quiet"))
        with dpg.tooltip(self._breed, delay=0.4):
            dpg.add_text("the swarm varies it by an operator of its own choice", wrap=px(300))

    # -- as a side of the page ----------------------------------------------------------------------------------

    def move(self, x: int, y: int, width: int, height: int) -> None:
        """See `Side`."""
        px = self._desk.px
        dpg.configure_item(self._box, pos=(x, y), width=width, height=height)
        inner, row = max(width - px(16), 1), px(41)
        dpg.configure_item(self._prompt_word, pos=(px(4), 0))
        dpg.configure_item(self._prompt, pos=(px(4), px(19)), width=inner, height=px(54))
        dpg.configure_item(self._problems["prompt"], pos=(px(4), px(74)))
        column, top = inner // 2, px(94)
        for number, (name, (word, field)) in enumerate(self._fields.items()):
            left, line = px(4) + number % 2 * column, top + number // 2 * row
            dpg.configure_item(word, pos=(left, line + px(3)))
            dpg.configure_item(field, pos=(left + px(98), line), width=max(column - px(112), px(30)))
            dpg.configure_item(self._problems[name], pos=(left, line + px(23)))
        line = top + (len(self._fields) + 1) // 2 * row
        dpg.configure_item(self._voice_word, pos=(px(4), line + px(3)))
        dpg.configure_item(self._voice, pos=(px(4 + 98), line), width=max(inner - px(98 + 130), px(30)))
        dpg.configure_item(self._lock, pos=(inner - px(116), line))
        dpg.configure_item(self._problems["form"], pos=(px(4), line + px(28)))
        line += px(49)
        dpg.configure_item(self._plant, pos=(px(4), line), width=px(132), height=px(27))
        dpg.configure_item(self._breed, pos=(px(142), line), width=px(128), height=px(27))
        dpg.configure_item(self._undo, pos=(px(276), line), height=px(27))
        self._room = inner

    def appear(self, shown: bool) -> None:
        """See `Side`."""
        dpg.configure_item(self._box, show=shown)

    def show(self, board: Board, birth: int) -> None:
        """See `Side`; typing is never overwritten."""
        self._board = board
        if self._draft is None or self._draft.birth != birth:
            dpg.configure_item(self._plant, enabled=False)

    # -- what it holds ------------------------------------------------------------------------------------------

    def forget(self) -> None:
        """Another birth is looked at: its genome is not there yet."""
        self._draft = None
        self._voices = {}

    def offer(self, recalled: Recalled) -> None:
        """Fills the fields with a birth's genome; what was typed for the same birth stays."""
        candidate = recalled.candidate
        if self._draft is not None and self._draft.birth == candidate.birth:
            return
        self._draft = GenomeDraft.of(candidate.genome, candidate.birth)
        self._voices = {_OWN: candidate.genome.voice, _NONE: None}
        own = candidate.genome.voice
        spoken = recalled.spoken
        if spoken is not None and own is not None and spoken.fine.size:
            self._voices[_SPOKEN] = VoiceHistory(spoken.semantic, spoken.coarse, spoken.fine, space=own.space)
        for parent in recalled.parents:
            if parent.genome.voice is not None:
                self._voices[f"of #{parent.birth}: {voice_label(parent.genome.voice)}"] = parent.genome.voice
        self._fill()

    def _fill(self) -> None:
        draft = self._draft
        if draft is None:
            return
        dpg.set_value(self._prompt, draft.prompt)
        dpg.bind_item_font(self._prompt, self._desk.font(draft.prompt))
        for name, (_, field) in self._fields.items():
            dpg.set_value(field, draft.settings.get(name, ""))
        dpg.configure_item(self._voice, items=list(self._voices))
        dpg.set_value(self._voice, _OWN if draft.origin.voice is not None else _NONE)
        dpg.set_value(self._lock, draft.content_lock)
        self._check()

    def _check(self) -> None:
        draft, desk = self._draft, self._desk
        problems = {} if draft is None else dict(draft.problems())
        hints = {} if draft is None else draft.hints()
        room = self._room // 2 - desk.px(8)
        for name, item in self._problems.items():
            wide = self._room if name in ("prompt", "form") else room
            said = problems.get(name, hints.get(name, ""))
            said = shortened(said, wide, lambda one, script: desk.width(one, script, "small"))
            desk.set_text(item, said, "small")
            unchanged = name == "form" and "nothing is changed" in problems.get(name, "")
            tone = desk.palette.faint if unchanged or name not in problems else desk.palette.bad
            dpg.configure_item(item, color=tone)
            field = self._prompt if name == "prompt" else self._fields[name][1] if name in self._fields else None
            if field is not None:
                dpg.bind_item_theme(field, desk.theme("field.bad") if name in problems else 0)
        dpg.configure_item(self._plant, enabled=draft is not None and not problems)

    # -- acting -------------------------------------------------------------------------------------------------

    def _typed(self, _sender: Item, value: str, name: str) -> None:
        if self._draft is None:
            return
        if name == "prompt":
            self._draft.prompt = value
            dpg.bind_item_font(self._prompt, self._desk.font(value))
        else:
            self._draft.settings[name] = value
        self._check()

    def _chose(self, _sender: Item, label: str) -> None:
        if self._draft is not None and label in self._voices:
            self._draft.voice = self._voices[label]
            self._check()

    def _locked(self, _sender: Item, value: bool) -> None:
        if self._draft is not None:
            self._draft.content_lock = value
            self._check()

    def _send(self) -> None:
        if self._draft is None or self._draft.problems():
            return
        if self._desk.send(Intervene(self._draft.plant())):
            self._desk.say(f"a child of #{self._draft.birth} by hand will be born in the next step that is planned")

    def _breeding(self) -> None:
        if self._draft is not None:
            self._desk.breed((self._draft.birth,))

    def _again(self) -> None:
        if self._draft is not None:
            self._draft = GenomeDraft.of(self._draft.origin, self._draft.birth)
            self._fill()
