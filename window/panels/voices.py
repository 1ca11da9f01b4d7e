"""The voice library: search, listen, tag, compare, import, export, and bring into the run."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import dearpygui.dearpygui as dpg

from bark_infinity.audio import read_audio, safe_stem, unique_path
from bark_infinity.error_handling import BarkError
from bark_infinity.voices.catalogue import LANGUAGES
from bark_infinity.voices.history import VoiceHistory
from digital_evolution import Genome
from evolution.interventions import Plant
from experiments.audition import TEXT
from experiments.board.board import Board
from experiments.board.genome_diff import VoiceDiff, voice_diff
from experiments.board.library import ORDERS, Library
from experiments.board.sound_picture import draw_sound
from experiments.board.text import shortened
from experiments.cloning import Kept, keep_clone
from experiments.events import Clip, Intervene
from experiments.voice_shelf import Imported, ShelfVoice, VoiceShelf
from window.canvas import place_for
from window.panel import Desk, Item

T = TypeVar("T")

_SOUNDS = (".wav", ".flac", ".ogg", ".mp3", ".aiff")
_HOW_CLONED = (
    "The codec makes the recording's codes; the model says its words, and the tokens of that are laid onto the "
    "recording where the same sounds are heard. So the words matter: with others the voice is less like it. Take "
    "1 to 14 seconds of one person, no music. Clone only voices whose owners agree."
)
_ROW = 26
_MOST_ROWS = 40
_COLUMNS = (("language", 0.46), ("length", 0.61), ("pitch", 0.71), ("tags", 0.81))  # and where they begin


class VoicesPanel:
    """The list at the left; the chosen voice, and the one beside it, at the right."""

    def build(self, parent: Item, desk: Desk) -> None:
        """See `Panel`."""
        self._desk = desk
        self._width = self._height = 0
        self._library: Library | None = None
        self._shown: tuple[object, ...] = ()
        self._first = 0
        self._shelf = VoiceShelf()
        self._audition = desk.audition
        self._speaking: tuple[str, ...] = ()
        self._turns: deque[Callable[[], None]] = deque()  # the first one is under way
        self._cloning = False
        self._wanted = ""
        self._checkpoint = ""
        self._diff: tuple[tuple[str, ...], VoiceDiff | None] = ((), None)
        self._details = ""  # whose tags are in the field
        p = desk.palette
        self._left = dpg.add_child_window(parent=parent, no_scrollbar=True, no_scroll_with_mouse=True)
        self._right = dpg.add_child_window(parent=parent)  # scrolls where the window is low
        for box in (self._left, self._right):
            dpg.bind_item_theme(box, desk.theme("panel"))
        self._query = dpg.add_input_text(
            parent=self._left, tag="voices.search", hint="search names, tags, languages", callback=self._search
        )
        self._order = dpg.add_combo(
            list(ORDERS), parent=self._left, tag="voices.order", default_value="name", callback=self._sort
        )
        self._file = dpg.add_button(
            label="import file", parent=self._left, tag="voices.import", callback=self._import, user_data=False
        )
        self._folder = dpg.add_button(
            label="folder", parent=self._left, tag="voices.import_folder", callback=self._import, user_data=True
        )
        self._heads = {}
        for name, _ in _COLUMNS:
            self._heads[name] = dpg.add_text(name, parent=self._left, color=p.faint)
            dpg.bind_item_font(self._heads[name], desk.font(name, "small"))
        self._list = place_for(self._left, desk)
        self._rows = [self._build_row(number) for number in range(_MOST_ROWS)]
        self._said = dpg.add_text("", parent=self._left, color=p.muted)
        dpg.bind_item_font(self._said, desk.font("0", "small"))
        self._back = dpg.add_button(label="‹", parent=self._left, tag="voices.back", callback=self._turn, user_data=-1)
        self._next = dpg.add_button(label="›", parent=self._left, tag="voices.next", callback=self._turn, user_data=1)
        for item in (self._back, self._next):
            dpg.bind_item_theme(item, desk.theme("quiet"))
        self._build_right()

    def _build_row(self, number: int) -> tuple[Item, Item, Item, list[Item]]:
        desk = self._desk
        play = dpg.add_button(
            label="▶", parent=self._list, tag=f"voices.{number}.play", callback=self._play, user_data="", show=False
        )
        name = dpg.add_selectable(
            parent=self._list, tag=f"voices.{number}", callback=self._choose, user_data="", show=False
        )
        beside = dpg.add_button(
            label="vs", parent=self._list, tag=f"voices.{number}.beside", callback=self._beside, show=False
        )
        dpg.bind_item_font(play, desk.font("▶"))
        for item in (play, beside):
            dpg.bind_item_theme(item, desk.theme("quiet"))
        texts = [dpg.add_text("", parent=self._list, show=False) for _ in _COLUMNS]
        return play, name, beside, texts

    def _build_right(self) -> None:
        desk, p, box, px = self._desk, self._desk.palette, self._right, self._desk.px
        self._title = dpg.add_text("", parent=box, tag="voices.title")
        self._facts = dpg.add_text("", parent=box, color=p.muted)
        self._tags_word = dpg.add_text("tags, with commas", parent=box, color=p.muted)
        self._tags = dpg.add_input_text(parent=box, tag="voices.tags", on_enter=True, callback=self._tag)
        self._text_word = dpg.add_text("audition", parent=box, color=p.muted)
        self._text = dpg.add_input_text(parent=box, tag="voices.text", default_value=TEXT)
        self._speak = dpg.add_button(label="▶ speak", parent=box, tag="voices.speak", callback=self._speak_chosen)
        dpg.bind_item_font(self._speak, desk.font("▶ speak"))
        dpg.bind_item_theme(self._speak, desk.theme("accent"))
        self._export = dpg.add_button(label="export .npz", parent=box, tag="voices.export", callback=self._save)
        self._plant = dpg.add_button(label="bring into the run", parent=box, tag="voices.plant", callback=self._bring)
        with dpg.tooltip(self._plant, delay=0.4):
            dpg.add_text("a founder with this voice, saying the audition text, is born in the next step", wrap=px(300))
        self._words_word = dpg.add_text("clone a recording: its words, one sentence or two", parent=box, color=p.muted)
        self._words = dpg.add_input_text(
            parent=box, tag="voices.words", hint="what is said in the recording, word for word"
        )
        self._clone = dpg.add_button(
            label="choose the recording", parent=box, tag="voices.clone", callback=self._record
        )
        with dpg.tooltip(self._clone, delay=0.4):
            dpg.add_text(_HOW_CLONED, wrap=px(340))
        self._beside_title = dpg.add_text("", parent=box)
        self._compared = dpg.add_text("", parent=box, color=p.muted)
        for item in (self._tags_word, self._text_word, self._facts, self._words_word, self._compared):
            dpg.bind_item_font(item, desk.font("0", "small"))
        self._beside_play = dpg.add_button(label="▶ speak", parent=box, tag="voices.speak_beside",
                                           callback=self._speak_beside, show=False)  # fmt: skip
        dpg.bind_item_font(self._beside_play, desk.font("▶ speak"))

    # -- sizes --------------------------------------------------------------------------------------------------

    def resize(self, width: int, height: int) -> None:
        """See `Panel`."""
        self._width, self._height = width, height
        self._shown = ()
        px = self._desk.px
        left = self._inner = int(width * 0.6)
        right_x = left + px(8)
        tall = max(height - px(4), 1)
        dpg.configure_item(self._left, pos=(0, px(4)), width=max(left, 1), height=tall)
        dpg.configure_item(self._right, pos=(right_x, px(4)), width=max(width - right_x, 1), height=tall)
        x = left - px(10)
        for item, wide in ((self._folder, 58), (self._file, 86), (self._order, 84)):
            x -= px(wide)
            dpg.configure_item(item, pos=(x, px(9)), width=px(wide))
            x -= px(6)
        dpg.configure_item(self._query, pos=(px(10), px(9)), width=max(x - px(10), px(40)))
        for head, share in _COLUMNS:
            dpg.configure_item(self._heads[head], pos=(int(left * share), px(40)))
        self._fit = min(max((tall - px(58 + 30)) // px(_ROW), 1), _MOST_ROWS)
        dpg.configure_item(self._list, pos=(px(4), px(58)), width=max(left - px(8), 1), height=self._fit * px(_ROW))
        for number, (play, name, beside, texts) in enumerate(self._rows):
            y = number * px(_ROW)
            dpg.configure_item(play, pos=(px(4), y), width=px(28), height=px(24))
            dpg.configure_item(name, pos=(px(38), y + px(3)), width=max(int(left * 0.40) - px(44), 1), height=px(19))
            dpg.configure_item(beside, pos=(int(left * 0.40), y), width=px(30), height=px(24))
            for text, (_, share) in zip(texts, _COLUMNS, strict=True):
                dpg.configure_item(text, pos=(int(left * share) - px(4), y + px(3)))
        dpg.configure_item(self._said, pos=(px(14), tall - px(25)))
        for item, offset in ((self._back, 60), (self._next, 34)):
            dpg.configure_item(item, pos=(left - px(offset), tall - px(28)), width=px(24), height=px(23))
        self._arrange_right(max(width - right_x - px(36), 1))  # it may have a scroll bar

    def _arrange_right(self, inner: int) -> None:
        px = self._desk.px
        self._right_inner = inner
        dpg.configure_item(self._title, pos=(px(12), px(10)))
        dpg.configure_item(self._facts, pos=(px(12), px(36)), wrap=px(12) + inner)
        y = px(100 if inner > px(280) else 116)  # in a narrow one the facts need a line more
        for word, field in ((self._tags_word, self._tags), (self._text_word, self._text)):
            dpg.configure_item(word, pos=(px(12), y))
            dpg.configure_item(field, pos=(px(12), y + px(19)), width=inner)
            y += px(52)
        x = px(12)
        for item, wide in ((self._speak, 84), (self._export, 92), (self._plant, 132)):
            if x > px(12) and x + px(wide) > px(12) + inner:
                x, y = px(12), y + px(33)
            dpg.configure_item(item, pos=(x, y), width=px(wide), height=px(27))
            x += px(wide + 6)
        y += px(42)
        dpg.configure_item(self._beside_title, pos=(px(12), y))
        dpg.configure_item(self._beside_play, pos=(inner - px(70), y - px(3)), width=px(84), height=px(25))
        dpg.configure_item(self._compared, pos=(px(12), y + px(26)), wrap=px(12) + inner)
        y = max(self._height - px(96), y + px(84))
        dpg.configure_item(self._words_word, pos=(px(12), y))
        dpg.configure_item(self._words, pos=(px(12), y + px(19)), width=inner)
        dpg.configure_item(self._clone, pos=(px(12), y + px(50)), height=px(27))

    # -- showing ------------------------------------------------------------------------------------------------

    def show(self, board: Board) -> None:
        """See `Panel`."""
        library = self._library = board.library
        model = board.run_state.config.get("model")
        self._checkpoint = str(model.get("checkpoint", "")) if isinstance(model, dict) else ""
        if not library.loaded and not self._shown:
            self._look()
        now = (library.revision, self._first, self._speaking, self._cloning, self._diff, board.run_state.controls.judge)
        if now == self._shown or self._width <= 1:
            return
        self._shown = now
        voices = library.shown()
        self._first = min(self._first, max(len(voices) - 1, 0) // self._fit * self._fit)
        for number, row in enumerate(self._rows):
            place = self._first + number
            self._show_row(row, voices[place] if number < self._fit and place < len(voices) else None)
        dpg.set_value(self._said, library.sentence)
        dpg.configure_item(self._back, show=len(voices) > self._fit, enabled=self._first > 0)
        dpg.configure_item(self._next, show=len(voices) > self._fit, enabled=self._first + self._fit < len(voices))
        self._show_right(library, steers=board.run_state.controls.judge)

    def _show_row(self, row: tuple[Item, Item, Item, list[Item]], one: ShelfVoice | None) -> None:
        play, name, beside, texts = row
        for item in (play, name, beside, *texts):
            dpg.configure_item(item, show=one is not None)
        if one is None or self._library is None:
            return
        desk, p = self._desk, self._desk.palette
        entry = one.entry
        chosen = entry.name in self._library.chosen
        usable = entry.problem is None
        label = shortened(entry.name, int(self._inner * 0.40) - desk.px(56), desk.width)
        dpg.configure_item(name, label=label, user_data=entry.name)
        dpg.bind_item_font(name, desk.font(label))
        dpg.set_value(name, chosen)
        speaking = entry.name in self._speaking
        dpg.configure_item(play, user_data=entry.name, enabled=usable and not speaking, label="…" if speaking else "▶")
        dpg.configure_item(beside, user_data=entry.name, enabled=usable and bool(self._library.chosen))
        pitch = "" if one.note.pitch_hz is None else f"{one.note.pitch_hz:.0f} Hz"
        length = "" if entry.duration_s is None else f"{entry.duration_s:.1f} s"
        values = (LANGUAGES.get(entry.language or "", ""), length, pitch, ", ".join(one.note.tags))
        if not usable:
            values = ("cannot be used", "", "", "")
        rooms = [b - a for (_, a), b in zip(_COLUMNS, [*(share for _, share in _COLUMNS[1:]), 1.0], strict=True)]
        for text, value, room in zip(texts, values, rooms, strict=True):
            wide = int(self._inner * room) - desk.px(10)
            said = shortened(value, wide, lambda word, script: desk.width(word, script, "small"))
            desk.set_text(text, said, "small")
            dpg.configure_item(text, color=p.muted if usable else p.warn)

    def _show_right(self, library: Library, *, steers: bool) -> None:
        desk, px = self._desk, self._desk.px
        one = library.voice(library.chosen[0]) if library.chosen else None
        other = library.voice(library.chosen[1]) if len(library.chosen) > 1 else None
        usable = one is not None and one.entry.problem is None
        for item in (self._speak, self._export):
            dpg.configure_item(item, enabled=usable)
        dpg.configure_item(self._speak, label="speaking…" if self._speaking else "▶ speak")
        dpg.configure_item(
            self._clone, enabled=not self._cloning, label="cloning…" if self._cloning else "choose the recording"
        )
        dpg.configure_item(self._plant, enabled=usable and steers)
        dpg.configure_item(self._tags, enabled=usable)
        title = "Choose a voice" if one is None else one.entry.name
        desk.set_text(self._title, shortened(title, self._right_inner, lambda w, s: desk.width(w, s, "title")), "title")
        facts = "" if one is None else one.entry.problem or self._whole(one)
        dpg.set_value(self._facts, facts)
        dpg.configure_item(self._facts, color=desk.palette.muted if usable or one is None else desk.palette.warn)
        name = "" if one is None else one.entry.name
        if name != self._details:
            self._details = name
            dpg.set_value(self._tags, "" if one is None else ", ".join(one.note.tags))
        dpg.configure_item(self._beside_play, show=other is not None, enabled=not self._speaking)
        if other is None:
            hint = "" if one is None else "vs beside another voice compares the two"
            desk.set_text(self._beside_title, hint, "small")
            dpg.configure_item(self._beside_title, color=desk.palette.faint)
            dpg.set_value(self._compared, "")
            return
        beside = shortened(f"beside {other.entry.name}", self._right_inner - px(100), desk.width)
        desk.set_text(self._beside_title, beside)
        dpg.configure_item(self._beside_title, color=desk.palette.text)
        dpg.set_value(self._compared, f"{_facts(other)}\n{self._comparison(library.chosen)}")

    def _whole(self, one: ShelfVoice) -> str:
        """Its facts, and the end of its path: the beginning is the same for most."""
        desk, path = self._desk, str(one.entry.path)
        shown = path
        while len(shown) > 12 and desk.width(shown, "latin", "small") > self._right_inner:
            path = path[max(1, len(path) // 40) :]
            shown = f"…{path}"
        return f"{_facts(one)}\nsha256 {(one.entry.sha256 or '')[:16]}\n{shown}"

    def _comparison(self, chosen: tuple[str, ...]) -> str:
        of, diff = self._diff
        if of != chosen or diff is None:
            self._compare(chosen)
            return "comparing tokens…"
        if diff.same:
            return "the same tokens: one voice under two names"
        if diff.semantic is None or diff.frames is None:
            return ""
        return f"{diff.semantic:.0%} of semantic tokens and {diff.frames:.0%} of codec frames in common"

    # -- on a worker thread -------------------------------------------------------------------------------------

    def _look(self, *_: object) -> None:
        self._shown = (None,)
        self._desk.background(self._shelf.voices, self._found, self._lost)

    def _found(self, voices: Sequence[ShelfVoice]) -> None:
        if self._library is not None:
            self._library.fill(voices)
            if self._library.voice(self._wanted) is not None:  # just cloned
                self._library.choose(self._wanted)
                self._wanted = ""

    def _lost(self, why: str) -> None:
        self._desk.say(f"the voices cannot be listed: {why}", "warning")
        self._found(())

    def _compare(self, chosen: tuple[str, ...]) -> None:
        if self._diff[0] == chosen:
            return
        self._diff = chosen, None

        def work() -> VoiceDiff:
            one, other = (self._shelf.load(name) for name in chosen)
            return voice_diff(other, one)

        def done(diff: VoiceDiff) -> None:
            if self._diff[0] == chosen:
                self._diff = chosen, diff

        self._desk.background(work, done)

    def _say(self, name: str) -> None:
        """Renders the audition text with a voice, plays it, and notes its pitch."""
        one = None if self._library is None else self._library.voice(name)
        if one is None or one.entry.problem is not None or name in self._speaking:
            return
        self._speaking = (*self._speaking, name)
        text, checkpoint = str(dpg.get_value(self._text)), self._checkpoint

        def work() -> Clip:
            clip = self._audition.speak(self._shelf.load(name), text, checkpoint)
            pitch = draw_sound(clip).median_hz
            if pitch is not None and one.entry.sha256:
                self._shelf.annotate(one.entry.sha256, pitch_hz=pitch)
            return clip

        def done(clip: Clip) -> None:
            self._speaking = tuple(other for other in self._speaking if other != name)
            self._desk.play_clip(clip, safe_stem(name))
            self._look()

        def failed(why: str) -> None:
            self._speaking = tuple(other for other in self._speaking if other != name)
            self._desk.say(why, "warning")

        self._in_turn(work, done, failed)

    def _in_turn(self, work: Callable[[], T], done: Callable[[T], None], failed: Callable[[str], None]) -> None:
        """Engine work one after the other: it waits for the run's batch, and the window has few workers."""

        def begin() -> None:
            self._desk.background(work, lambda made: over(lambda: done(made)), lambda why: over(lambda: failed(why)))

        def over(tell: Callable[[], None]) -> None:
            self._turns.popleft()
            if self._turns:
                self._turns[0]()
            tell()

        self._turns.append(begin)
        if len(self._turns) == 1:
            begin()

    # -- acting -------------------------------------------------------------------------------------------------

    def _search(self, _sender: Item, query: str) -> None:
        if self._library is not None:
            self._first = 0
            self._library.search(query)

    def _sort(self, _sender: Item, order: str) -> None:
        if self._library is not None and order in ORDERS:
            self._library.search(self._library.query, order)

    def _turn(self, _sender: Item, _data: object, pages: int) -> None:
        count = 0 if self._library is None else len(self._library.shown())
        self._first = min(max(self._first + pages * self._fit, 0), max(count - 1, 0) // self._fit * self._fit)

    def _choose(self, _sender: Item, _data: object, name: str) -> None:
        if self._library is not None:
            self._library.choose(name)  # which also changes its revision: the row's own mark is set again

    def _beside(self, _sender: Item, _data: object, name: str) -> None:
        if self._library is not None:
            self._library.choose(name, beside=True)

    def _play(self, _sender: Item, _data: object, name: str) -> None:
        self._say(name)

    def _speak_chosen(self) -> None:
        if self._library is not None and self._library.chosen:
            self._say(self._library.chosen[0])

    def _speak_beside(self) -> None:
        if self._library is not None and len(self._library.chosen) > 1:
            self._say(self._library.chosen[1])

    def _tag(self, _sender: Item, typed: str) -> None:
        library = self._library
        one = library.voice(library.chosen[0]) if library is not None and library.chosen else None
        if one is None or one.entry.sha256 is None:
            return
        sha256 = one.entry.sha256
        self._desk.background(lambda: self._shelf.annotate(sha256, tags=typed.split(",")), self._look)

    def _import(self, _sender: Item, _data: object, folder: bool) -> None:
        title = "Import all voices of a folder" if folder else "Import a voice"

        def chosen(path: Path) -> None:
            self._desk.background(lambda: self._shelf.take_in([path]), done)

        def done(imported: Imported) -> None:
            self._desk.say(imported.sentence, "warning" if imported.refused else "info")
            self._look()

        self._desk.ask_for_path(title, chosen, endings=() if folder else (".npz",), folder=folder)

    def _record(self) -> None:
        words = str(dpg.get_value(self._words))
        if not words.strip():
            self._desk.say("type what is said in the recording first, word for word", "warning")
            return
        self._desk.ask_for_path(
            "A recording of one voice, one sentence or two", lambda path: self._clone_from(path, words), endings=_SOUNDS
        )

    def _clone_from(self, path: Path, words: str) -> None:
        """Makes a voice of a recording, lets it speak, and says how near its pitch comes."""
        self._cloning = True
        checkpoint, text = self._checkpoint, str(dpg.get_value(self._text))

        def work() -> Kept:
            says = text if text.strip() else words
            recording = Clip(*read_audio(path))
            return keep_clone(
                self._audition, self._shelf, recording, words, path.stem, checkpoint=checkpoint, says=says
            )

        def done(kept: Kept) -> None:
            self._cloning = False
            if kept.said is not None:
                self._desk.play_clip(kept.said, safe_stem(kept.name))
            made = f"{path.name} is the voice {kept.name} now"
            if kept.trouble:
                self._desk.say(f"{made}, but {kept.trouble}", "warning")
            else:
                self._desk.say(f"{made}: {kept.pitches}" if kept.pitches else made)
            self._wanted = kept.name
            self._look()

        def failed(why: str) -> None:
            self._cloning = False
            self._desk.say(f"{path.name} was not cloned: {why}", "warning")

        self._in_turn(work, done, failed)

    def _save(self) -> None:
        if self._library is None or not self._library.chosen:
            return
        name, folder = self._library.chosen[0], self._desk.output_folder / "voices"

        def work() -> Path:
            folder.mkdir(parents=True, exist_ok=True)
            return self._shelf.load(name).save(unique_path(folder, safe_stem(name), ".npz"))

        self._desk.background(work, lambda path: self._desk.say(f"voice saved as {path}"))

    def _bring(self) -> None:
        if self._library is None or not self._library.chosen:
            return
        name, text = self._library.chosen[0], str(dpg.get_value(self._text))

        def done(voice: VoiceHistory) -> None:
            try:
                plant = Plant(Genome(text, voice))
            except BarkError as error:
                self._desk.say(str(error), "warning")
                return
            if self._desk.send(Intervene(plant)):
                self._desk.say(f"{name} will be born as a founder in the next step that is planned")

        self._desk.background(lambda: self._shelf.load(name), done)


def _facts(one: ShelfVoice) -> str:
    entry = one.entry
    words = [
        LANGUAGES.get(entry.language or "", ""),
        "" if entry.duration_s is None else f"{entry.duration_s:.2f} s",
        "pitch unknown until it speaks" if one.note.pitch_hz is None else f"{one.note.pitch_hz:.0f} Hz",
        f"for {entry.family or 'unknown'} checkpoints",
    ]
    return " · ".join(word for word in words if word)
