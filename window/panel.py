"""The contract between panels and the window: what a panel is, and all that it may do.

A panel builds its widgets once and later shows boards. It keeps the revisions of the parts it has drawn
(`experiments.board.model`) and touches only what differs. It never keeps a board, never calls the runner, never opens
files and never starts threads: it asks the desk. Everything here runs on the one thread that touches Dear PyGui, so
nothing needs a lock; callbacks may raise, the loop reports it and goes on.

Tags of widgets are namespaced by panel: ``curves.plot``, ``board.3.play``. Tests click on them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeVar

from bark_infinity.tokens import BarkTokens
from digital_evolution import Candidate
from experiments.audition import Audition
from experiments.board.board import Board
from experiments.board.log import Level
from experiments.board.text import Script
from experiments.events import Clip, Command
from fusion.score import Score
from window.palette import Palette

T = TypeVar("T")
Item = int | str  # a Dear PyGui item: id or tag
Role = Literal["body", "small", "title", "mono"]
Place = Literal["board", "compare", "detail", "voices"]  # the pages of the middle


@dataclass(frozen=True, eq=False)
class Recalled:
    """A birth in full, read back from its lineage.

    Attributes:
        candidate: With its voice, where it has one.
        score: None while it is waiting.
        clip: What people hear; None when nothing was rendered.
        spoken: Tokens of what is heard; None when they were not kept.
        parents: Its parents' candidates, in order.
    """

    candidate: Candidate
    score: Score | None
    clip: Clip | None
    spoken: BarkTokens | None
    parents: tuple[Candidate, ...]


class Panel(Protocol):
    """One panel of the window."""

    def build(self, parent: Item, desk: Desk) -> None:
        """Creates all widgets, once, inside ``parent``: an empty child window without padding of its own."""

    def resize(self, width: int, height: int) -> None:
        """The parent's inner size in real pixels, after `build` and whenever it changes; never smaller than 1."""

    def show(self, board: Board) -> None:
        """Brings the widgets up to a board; called often, so cheap when no revision differs."""


class Desk(Protocol):
    """What panels may do.

    Attributes:
        palette: Colours by meaning.
    """

    palette: Palette

    # -- how it looks

    def px(self, length: float) -> int:
        """A length of the design in real pixels, at the scale that was chosen."""
        ...

    def font(self, text: str, role: Role = "body") -> Item:
        """The font for a text's script; for `set_font`, and for widgets that measure."""
        ...

    def font_of(self, script: Script, role: Role = "body") -> Item:
        """The font of a script, for runs of a prompt (`experiments.board.text.runs`)."""
        ...

    def width(self, text: str, script: Script = "latin", role: Role = "body") -> float:
        """Width of a text in real pixels; an estimate before the first frame."""
        ...

    def drop(self, script: Script, role: Role = "body") -> int:
        """How much lower a text of a script is placed, in real pixels, to stand on the line of Latin text."""
        ...

    def set_text(self, item: Item, text: str, role: Role = "body") -> None:
        """Sets a text widget's value, with unsupported signs spelled out, and binds the font that its script needs."""
        ...

    def theme(self, name: str) -> Item:
        """A theme of `window.theme` to bind to one item: ``accent``, ``quiet``, ``danger``, ``card``, ``line.0`` ..."""
        ...

    # -- what people do

    def send(self, command: Command) -> bool:
        """Gives a command to the run; False, and a line in the status bar, where no run takes commands."""
        ...

    def select(self, birth: int | None) -> None:
        """Looks at a birth, in all panels."""
        ...

    def open_detail(self, birth: int) -> None:
        """Looks at a birth and turns to its detail page."""
        ...

    def turn_to(self, place: Place) -> None:
        """Shows a page of the middle."""
        ...

    def play(self, birth: int, *, match: bool = False) -> None:
        """Plays a birth's clip, or saves it where nothing can be played; the status bar says which.

        With ``match`` it is played as loud as all others, so that nobody prefers the louder one.
        """
        ...

    def play_clip(self, clip: Clip, name: str) -> None:
        """Plays audio that is no birth, such as a library voice's; ``name`` is for its file and the status bar."""
        ...

    def stop_sound(self) -> None:
        """Quiet."""
        ...

    def playhead(self) -> tuple[int | None, float]:
        """The birth that plays now, None when it is quiet, and how far it is, from 0 to 1."""
        ...

    def breed(self, births: tuple[int, ...]) -> None:
        """Asks the run for a child of these, first parent first."""
        ...

    def travel(self, birth: int | None) -> None:
        """Shows the run as it was when this birth was told; None returns to the present."""
        ...

    def moments(self) -> Sequence[int]:
        """Births of the whole run in the order of telling: where `travel` can go."""
        ...

    def branch(self, birth: int) -> None:
        """Starts a new run from this birth; asks for what it needs to know."""
        ...

    def save_voice(self, birth: int) -> None:
        """Saves a birth's sound as a voice (.npz) that others can continue."""
        ...

    def save_clip(self, birth: int) -> None:
        """Saves a birth's clip (.wav)."""
        ...

    def compare_as(self, birth: int, place: int) -> None:
        """Puts a birth into a place of the compare page, 0 for A."""
        ...

    def remember(self, **settings: object) -> None:
        """Keeps fields of `window.settings.Settings` for the next start."""
        ...

    def facts(self) -> tuple[str, ...]:
        """Short facts of the sitting for the bar at the bottom: memory, sound."""
        ...

    def open_dialog(self, name: Literal["new run", "open", "settings"]) -> None:
        """Opens one of the window's dialogs."""
        ...

    def resume(self) -> None:
        """Goes on with the run of the file that is shown, in this window."""
        ...

    # -- what takes time

    def recall(self, birth: int, then: Callable[[Recalled], None]) -> None:
        """Reads a birth in full from the lineage, in the background; ``then`` runs later on this thread.

        Where it cannot be read, the status bar says why and ``then`` is not called.
        """
        ...

    def background(
        self, work: Callable[[], T], then: Callable[[T], None], failed: Callable[[str], None] | None = None
    ) -> None:
        """Runs ``work`` on a worker thread, where no widget may be touched, then ``then`` with its result on this one.

        An exception goes to ``failed`` as a sentence, or to the status bar.
        """
        ...

    def later(self, callback: Callable[[], None], frames: int = 1) -> None:
        """Runs something after so many frames: sizes of widgets are known only then."""
        ...

    def every_frame(self, callback: Callable[[], None]) -> None:
        """Runs something before every frame; for what moves, such as a playhead. Keep it under 0.1 ms when idle."""
        ...

    def say(self, text: str, level: Level = "info") -> None:
        """A line in the status bar and the log."""
        ...

    @property
    def audition(self) -> Audition:
        """What lets voices speak, on the engine of the run where that is in this process; any thread may ask it."""
        ...

    def ask_for_path(
        self, title: str, then: Callable[[Path], None], *, endings: tuple[str, ...] = (), folder: bool = False
    ) -> None:
        """Asks for a file with one of the endings, such as ``.npz``, or a folder; a cancelled question is forgotten."""
        ...

    @property
    def output_folder(self) -> Path:
        """Where clips and voices are saved."""
        ...
