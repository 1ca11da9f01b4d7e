"""The presenter, the panels' desk: events go onto the board; what people do becomes commands, sound and files.

It has no widgets of its own. What it needs of the window, the loop, the layout and the dialogs, it is given.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import queue
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, TypeVar

import dearpygui.dearpygui as dpg
import psutil

from bark_infinity.audio import safe_stem, unique_path
from bark_infinity.error_handling import BarkError
from bark_infinity.voices.history import VoiceHistory
from evolution.interventions import Breed
from experiments.audition import Audition
from experiments.board.board import Board
from experiments.board.log import Level
from experiments.board.text import Script, script_of, spelled_out
from experiments.board.waves import outline
from experiments.events import Begun, Clip, Command, Event, Intervene, Progress, StateChanged, Told
from experiments.replay.boards import Boards
from window.fonts import Fonts
from window.loop import Loop
from window.palette import Palette
from window.panel import Item, Place, Recalled, Role
from window.player import Player
from window.settings import Settings
from window.sources import NoSource, Recap, Source
from window.theme import Themes

logger = logging.getLogger(__name__)

T = TypeVar("T")
CLIPS_KEPT = 48  # clips in memory, about 0.3 MB each
RECAP_S = 0.1  # of one frame, for events of the past: nobody waits for the picture then
RECALLS = 2  # births read back at the same time
_MIB = 2**20


class Presenter:
    """What panels may do (`window.panel.Desk`), and what events do.

    Args:
        loop: Frames and jobs.
        settings: What is remembered.
        remember: Keeps changed settings.
        player: Plays clips; None makes one.
    """

    def __init__(
        self,
        loop: Loop,
        settings: Settings,
        remember: Callable[[Settings], str],
        player: Player | None = None,
    ) -> None:
        self._loop = loop
        self.settings = settings
        self._remember = remember
        self.source: Source = NoSource()
        self.present = Board()
        self.board = self.present
        self._past = Boards(self.source.recording)
        self.player = player or Player(lambda: self.output_folder)
        self.audition = Audition(  # outlives the panels: new looks load no second engine
            lambda: self.source.engine(),
            lambda: self.settings.device,
            say=lambda said: loop.call(lambda: self.say(said)),
        )
        self._clips: OrderedDict[int, Clip] = OrderedDict()
        self._asked: set[int] = set()
        self._folder: Path | None = None
        self._memory = (0, "")
        self._process = psutil.Process()
        self.dialogs: dict[str, Callable[[], None]] = {}
        self.turned: Callable[[Place], None] = lambda _place: None
        self.resumed: Callable[[], None] = lambda: None
        self.branched: Callable[[int], None] = lambda _birth: None
        self.asked_for_path: Callable[..., None] = lambda *_arguments, **_named: None
        self.present.cards.show(count=settings.density)

    def dress(self, palette: Palette, scale: float, fonts: Fonts, themes: Themes) -> None:
        """Gives it the looks that panels ask for."""
        self.palette, self._scale, self._fonts, self._themes = palette, scale, fonts, themes

    # -- events -------------------------------------------------------------------------------------------------

    def open(self, source: Source) -> None:
        """Shows another source from its beginning, and starts it; the one before has to be closed."""
        self.stop_sound()
        self.source = source
        before = self.present
        shown = before.run_state
        if (source.opened.path, source.opened.run) != (shown.opened.path, shown.opened.run or shown.name):
            self.turned("board")  # another run: what was looked at is none of its births
        self.present = Board()
        self.present.adopt(before)
        self.present.selection.select(None)
        self.present.selection.mark(())
        self.present.waves.forget()
        self.present.scores.forget()
        self.present.run_state.open(source.opened)
        self._past = Boards(source.recording)
        self.board = self.present
        self._clips.clear()
        self._asked.clear()
        if source.opened.path:
            self.remember(lineage=str(Path(source.opened.path).absolute()))
        source.start()

    def drain(self, budget_s: float) -> bool:
        """Takes in events for so long; says whether there were any."""
        clock = self._loop.now
        if not self.present.log.recording:
            budget_s = RECAP_S
        end, found = clock() + budget_s, False
        while clock() < end:
            try:
                event = self.source.events.get_nowait()
            except queue.Empty:
                break
            if isinstance(event, Recap):
                self.present.log.recording = event.over
                if event.over and (told := self.present.run_state.told):
                    self.say(f"{self.present.run_state.name}: {told} births were told before")
            else:
                self.take_in(event)
            found = True
        return found

    def take_in(self, event: Event) -> None:
        """One event: onto the present's board."""
        if isinstance(event, Told) and event.clip is not None:
            self._keep_clip(event.candidate.birth, event.clip)
        self._past.watch(event, self.present)
        self.present.apply(event)
        if self.board is not self.present:
            if isinstance(event, Begun):
                self.travel(None)
            elif isinstance(event, StateChanged | Progress):
                self.board.run_state.apply(event)

    def show_waves(self) -> None:
        """Asks for outlines and judgements that the visible cards miss, a few at a time."""
        if isinstance(self.source, NoSource) or len(self._asked) >= RECALLS:
            return
        for birth in self._missing()[: RECALLS - len(self._asked)]:
            if birth not in self._asked:
                self._recall_quietly(birth)

    def waiting(self) -> bool:
        """Whether something that visible cards show is still to come."""
        return bool(self._missing()) or bool(self._asked)

    def _missing(self) -> list[int]:
        """Births on visible cards whose outline or judgement is not at hand."""
        board = self.board
        shown = [one for one in board.cards.shown() if one in board.births]
        audible = [one for one in shown if board.births[one].status in ("ok", "rejected")]
        missing = {*board.waves.missing(audible), *board.scores.missing(audible)}
        return [one for one in audible if one in missing]

    def _recall_quietly(self, birth: int) -> None:
        source = self.source
        self._asked.add(birth)

        def came(recalled: Recalled) -> None:
            if source is not self.source:
                return
            self._asked.discard(birth)
            self.board.scores.put(birth, recalled.score)
            if recalled.clip is None:
                self.board.waves.put(birth, None)
            else:
                self._keep_clip(birth, recalled.clip)
                self.board.waves.put(birth, outline(recalled.clip))

        def failed(why: str) -> None:
            if source is self.source:
                self._asked.discard(birth)
                self.board.scores.put(birth, None)
                self.board.waves.put(birth, None)
                logger.info("the outline of birth %d cannot be drawn: %s", birth, why)

        self._loop.background(lambda: source.recall(birth), came, failed)

    def _keep_clip(self, birth: int, clip: Clip) -> None:
        self._clips[birth] = clip
        self._clips.move_to_end(birth)
        while len(self._clips) > CLIPS_KEPT:
            self._clips.popitem(last=False)

    # -- how it looks -------------------------------------------------------------------------------------------

    def px(self, length: float) -> int:
        """See `Desk`."""
        return round(length * self._scale)

    def font(self, text: str, role: Role = "body") -> Item:
        """See `Desk`."""
        return self._fonts.of(script_of(text), role)

    def font_of(self, script: Script, role: Role = "body") -> Item:
        """See `Desk`."""
        return self._fonts.of(script, role)

    def width(self, text: str, script: Script = "latin", role: Role = "body") -> float:
        """See `Desk`."""
        return self._fonts.width(text, script, role)

    def drop(self, script: Script, role: Role = "body") -> int:
        """See `Desk`."""
        return self._fonts.drop(script, role)

    def set_text(self, item: Item, text: str, role: Role = "body") -> None:
        """See `Desk`."""
        drawable = "\n".join(map(spelled_out, text.split("\n")))
        dpg.set_value(item, drawable)
        dpg.bind_item_font(item, self._fonts.of(script_of(drawable), role))

    def theme(self, name: str) -> Item:
        """See `Desk`."""
        return self._themes[name]

    # -- what people do -----------------------------------------------------------------------------------------

    def send(self, command: Command) -> bool:
        """See `Desk`."""
        if self.source.send(command):
            self._loop.wake()
            return True
        source = self.present.run_state.opened.source
        if source == "none":
            self.say("nothing is open: start a run, or open a lineage", "warning")
        elif source == "file":
            self.say("this run is only watched here; resume it in this window to judge and steer it", "warning")
        else:
            self.say("the run has ended; resume it to go on", "warning")
        return False

    def select(self, birth: int | None) -> None:
        """See `Desk`."""
        self.board.selection.select(birth)
        self._loop.wake()

    def open_detail(self, birth: int) -> None:
        """See `Desk`."""
        self.select(birth)
        self.turn_to("detail")

    def turn_to(self, place: Place) -> None:
        """See `Desk`."""
        self.turned(place)
        self._loop.wake()

    def play(self, birth: int, *, match: bool = False) -> None:
        """See `Desk`."""
        clip = self._clips.get(birth)
        if clip is not None:
            self._play(birth, clip, match)
            return

        def came(recalled: Recalled) -> None:
            if recalled.clip is None:
                self.say(f"#{birth} has no sound: {self._why_silent(birth)}", "warning")
            else:
                self._keep_clip(birth, recalled.clip)
                self.board.waves.put(birth, outline(recalled.clip))
                self._play(birth, recalled.clip, match)

        self.recall(birth, came)

    def _why_silent(self, birth: int) -> str:
        known = self.board.births.get(birth)
        return (known.reason if known else "") or "it was not kept"

    def _play(self, birth: int, clip: Clip, match: bool) -> None:
        self.select(birth)
        result = self.player.play(clip, self._name_of(birth), match=match)
        self.board.selection.play(birth if result.outcome == "playing" else None)
        self.say(result.sentence, "warning" if result.outcome == "failed" else "info")

    def play_clip(self, clip: Clip, name: str) -> None:
        """See `Desk`."""
        self.board.selection.play(None)
        result = self.player.play(clip, name)
        self.say(result.sentence, "warning" if result.outcome == "failed" else "info")

    def stop_sound(self) -> None:
        """See `Desk`."""
        self.player.stop()
        self.board.selection.play(None)

    def playhead(self) -> tuple[int | None, float]:
        """See `Desk`."""
        birth = self.board.selection.playing
        if birth is None:
            return None, 0.0
        share = self.player.progress()
        if share is None:
            self.board.selection.play(None)
            return None, 0.0
        self._loop.wake()
        return birth, share

    def breed(self, births: tuple[int, ...]) -> None:
        """See `Desk`."""
        try:
            command = Intervene(Breed(births))
        except BarkError as error:
            self.say(str(error), "warning")
            return
        if self.send(command):
            names = " × ".join(f"#{birth}" for birth in births)
            self.say(f"a child of {names} will be born in the next step that is planned")

    def travel(self, birth: int | None) -> None:
        """See `Desk`."""
        before = self.board
        place = None if birth is None else self.present.births.register.place(birth)
        if place is None:
            if before is not self.present:
                self.present.adopt(before)
                self.board = self.present
                self._past.rest()
            self.board.run_state.go_to(None)
        else:
            try:
                self.board = self._past.at(place + 1, before)
            except BarkError as error:
                self.say(f"the run as it was at #{birth} cannot be read: {error}", "warning")
                return
            self.board.run_state.of_present(self.present.run_state)
            self.board.run_state.go_to(birth)
        self._loop.wake()

    def moments(self) -> Sequence[int]:
        """See `Desk`."""
        return self.present.births.register.told

    def branch(self, birth: int) -> None:
        """See `Desk`."""
        self.branched(birth)

    def resume(self) -> None:
        """See `Desk`."""
        self.resumed()

    def open_dialog(self, name: Literal["new run", "open", "settings"]) -> None:
        """See `Desk`."""
        if name in self.dialogs:
            self.dialogs[name]()

    def compare_as(self, birth: int, place: int) -> None:
        """See `Desk`."""
        self.board.compare.put(birth, place)
        self.turn_to("compare")

    def save_clip(self, birth: int) -> None:
        """See `Desk`."""

        def came(recalled: Recalled) -> None:
            if recalled.clip is None:
                self.say(f"#{birth} has no sound: {self._why_silent(birth)}", "warning")
                return
            result = self.player.save(recalled.clip, self._name_of(birth))
            self.say(result.sentence, "info" if result.outcome == "saved" else "warning")

        clip = self._clips.get(birth)
        if clip is not None:
            result = self.player.save(clip, self._name_of(birth))
            self.say(result.sentence, "info" if result.outcome == "saved" else "warning")
        else:
            self.recall(birth, came)

    def save_voice(self, birth: int) -> None:
        """See `Desk`."""
        folder, name = self.output_folder / "voices", self._name_of(birth)

        def came(recalled: Recalled) -> None:
            voice = voice_of(recalled)
            if voice is None:
                self.say(f"#{birth} is no voice: its tokens were not kept, and it has no history", "warning")
                return
            self._loop.background(lambda: save(voice), lambda path: self.say(f"voice saved as {path}"))

        def save(voice: VoiceHistory) -> Path:
            folder.mkdir(parents=True, exist_ok=True)
            path = unique_path(folder, safe_stem(name), ".npz")
            dataclasses.replace(voice, name=safe_stem(name, max_bytes=60)).save(path)
            return path

        self.recall(birth, came)

    def _name_of(self, birth: int) -> str:
        return f"{self.present.run_state.name or 'run'}-{birth}"

    def remember(self, **settings: object) -> None:
        """See `Desk`."""
        self.settings = dataclasses.replace(self.settings, **settings)  # type: ignore[arg-type]
        if said := self._remember(self.settings):
            self.say(said, "warning")

    @property
    def output_folder(self) -> Path:
        """See `Desk`."""
        return self.settings.folder

    # -- what takes time ----------------------------------------------------------------------------------------

    def recall(self, birth: int, then: Callable[[Recalled], None]) -> None:
        """See `Desk`."""
        source = self.source

        def came(recalled: Recalled) -> None:
            if source is self.source:
                if recalled.score is not None:
                    self.board.scores.put(birth, recalled.score)
                then(recalled)

        self._loop.background(
            lambda: source.recall(birth), came, lambda why: self.say(f"#{birth} cannot be read back: {why}", "warning")
        )

    def background(
        self, work: Callable[[], T], then: Callable[[T], None], failed: Callable[[str], None] | None = None
    ) -> None:
        """See `Desk`."""
        self._loop.background(work, then, failed)

    def later(self, callback: Callable[[], None], frames: int = 1) -> None:
        """See `Desk`."""
        self._loop.later(callback, frames)

    def every_frame(self, callback: Callable[[], None]) -> None:
        """See `Desk`."""
        self._loop.every_frame(callback)

    def say(self, text: str, level: Level = "info") -> None:
        """See `Desk`."""
        self.present.log.say(text, level)
        if self.board is not self.present:
            self.board.log.changed()  # the lines are shared
        self._loop.wake()

    def ask_for_path(
        self, title: str, then: Callable[[Path], None], *, endings: tuple[str, ...] = (), folder: bool = False
    ) -> None:
        """See `Desk`."""
        self.asked_for_path(title, then, endings=endings, folder=folder)

    def last_folder(self) -> Path:
        """Where a file was chosen last, or where runs are kept."""
        wanted = self._folder or (Path(self.settings.lineage).parent if self.settings.lineage else self.output_folder)
        return next((one for one in (wanted, *wanted.parents) if one.is_dir()), Path.home())

    def remember_folder(self, folder: Path) -> None:
        """A file was chosen there."""
        self._folder = folder

    def _used(self) -> int:
        """Bytes of this process and of its workers."""
        used = int(self._process.memory_info().rss)
        for worker in self._process.children(recursive=True):
            with contextlib.suppress(psutil.Error):  # it may have ended meanwhile
                used += int(worker.memory_info().rss)
        return used

    def facts(self) -> tuple[str, ...]:
        """See `Desk`."""
        if self._loop.frames >= self._memory[0]:
            self._memory = (self._loop.frames + 60, f"{self._used() / _MIB:.0f} MB")
        return (self._memory[1], "clips are saved" if self.player.silent else "sound on")


def voice_of(recalled: Recalled) -> VoiceHistory | None:
    """What a birth sounds like as a voice to continue: what it said, or else the history it spoke with."""
    tokens, own = recalled.spoken, recalled.candidate.genome.voice
    if tokens is None or tokens.fine is None or not tokens.fine.size:
        return own
    if own is not None:
        return VoiceHistory(tokens.semantic, tokens.coarse, tokens.fine, space=own.space)
    return VoiceHistory(tokens.semantic, tokens.coarse, tokens.fine)
