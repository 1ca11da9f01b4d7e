"""Everything the window shows of a run, as values: one `apply` for events, no widgets, no files, no models.

The same events in the same order give the same board, whoever sends them: a runner, a file that is read back, a test.
So replay is a board that is given fewer events. A board can be laid by as it is at a moment, and taken up there again:
what all moments share (`model.Shared`) is not copied, so a board is laid by in 3 to 4 bytes a birth, and about 8
more for one that was scored anew.
"""

from __future__ import annotations

import io
import pickle
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from experiments.board.births import Births
from experiments.board.cards import Cards
from experiments.board.compare import Compare
from experiments.board.curves import Curves
from experiments.board.detail import Detail
from experiments.board.library import Library
from experiments.board.log import Log
from experiments.board.measures import Measures
from experiments.board.model import Model, Shared
from experiments.board.run_state import RunState
from experiments.board.scores import Scores
from experiments.board.selection import Selection
from experiments.board.tree import Tree
from experiments.board.voice_map import VoiceMap
from experiments.board.waves import Waves
from experiments.events import Event


@dataclass(frozen=True)
class Laid:
    """A board as it was at a moment; only for `Board.taken_up`, in the program that laid it by.

    Attributes:
        moment: What that moment decides, pickled and compressed.
        shared: What it shares with other moments.
    """

    moment: bytes
    shared: tuple[Shared, ...]


class Board:
    """All parts. Facts of births are taken in first, so that every other part finds them.

    Args:
        clock: Seconds since 1970; for the log.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.scores = Scores()
        self.births = Births(self.scores)
        self.selection = Selection()
        self.run_state = RunState()
        self.waves = Waves()
        self.log = Log(clock)
        self.cards = Cards(self.births, self.selection)
        self.compare = Compare(self.births)
        self.measures = Measures(self.births)
        self.voice_map = VoiceMap(self.births, self.measures)
        self.curves = Curves(self.births, self.measures, self.voice_map)
        self.tree = Tree(self.births)
        self.detail = Detail(self.births, self.measures)
        self.library = Library()
        self.parts: tuple[Model, ...] = (
            self.scores,
            self.births,
            self.selection,
            self.run_state,
            self.waves,
            self.log,
            self.cards,
            self.compare,
            self.measures,
            self.voice_map,
            self.curves,
            self.tree,
            self.detail,
            self.library,
        )

    def apply(self, event: Event) -> None:
        """Takes in one event; a few microseconds for most, so that thousands are replayed at once."""
        for part in self.parts:
            part.apply(event)

    def adopt(self, before: Board) -> None:
        """Takes over from another board what people chose."""
        for part, other in zip(self.parts, before.parts, strict=True):
            part.adopt(other)
            part.changed()

    def laid_by(self) -> Laid:
        """This board as it is now."""
        out = io.BytesIO()
        shared: dict[int, Shared] = {}
        _Pickler(out, shared).dump(self)
        return Laid(zlib.compress(out.getvalue(), 1), tuple(shared.values()))

    @staticmethod
    def taken_up(laid: Laid) -> Board:
        """A board as it was laid by; what happened in between is told to nobody again, so it writes no log."""
        board = _Unpickler(io.BytesIO(zlib.decompress(laid.moment)), laid.shared).load()
        assert isinstance(board, Board)
        board.log.recording = False
        return board


class _Pickler(pickle.Pickler):
    def __init__(self, out: io.BytesIO, shared: dict[int, Shared]) -> None:
        super().__init__(out, protocol=5)
        self._shared = shared

    def persistent_id(self, obj: object) -> int | None:
        if not isinstance(obj, Shared):
            return None
        self._shared.setdefault(id(obj), obj)
        return list(self._shared).index(id(obj))


class _Unpickler(pickle.Unpickler):
    """Reads what this program has just written: pickles from elsewhere never come here."""

    def __init__(self, source: io.BytesIO, shared: tuple[Shared, ...]) -> None:
        super().__init__(source)
        self._shared = shared

    def persistent_load(self, pid: int) -> Shared:
        return self._shared[pid]
