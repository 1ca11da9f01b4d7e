"""Everything the window shows of a run, as values: one `apply` for events, no widgets, no files, no models.

The same events in the same order give the same board, whoever sends them: a runner, a file that is read back, a test.
So replay is a fresh board that is given fewer events.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from experiments.board.births import Births
from experiments.board.cards import Cards
from experiments.board.compare import Compare
from experiments.board.curves import Curves
from experiments.board.detail import Detail
from experiments.board.library import Library
from experiments.board.log import Log
from experiments.board.measures import Measures
from experiments.board.model import Model
from experiments.board.run_state import RunState
from experiments.board.selection import Selection
from experiments.board.tree import Tree
from experiments.board.voice_map import VoiceMap
from experiments.board.waves import Waves
from experiments.events import Event


class Board:
    """All parts. Facts of births are taken in first, so that every other part finds them.

    Args:
        clock: Seconds since 1970; for the log.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.births = Births()
        self.selection = Selection()
        self.run_state = RunState()
        self.waves = Waves()
        self.log = Log(self.births, clock)
        self.cards = Cards(self.births, self.selection)
        self.compare = Compare(self.births)
        self.measures = Measures(self.births)
        self.voice_map = VoiceMap(self.births, self.measures)
        self.curves = Curves(self.births, self.measures, self.voice_map)
        self.tree = Tree(self.births)
        self.detail = Detail(self.births, self.measures)
        self.library = Library()
        self.parts: tuple[Model, ...] = (
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
        """Takes over from another board what people chose; give it events after that."""
        for part, other in zip(self.parts, before.parts, strict=True):
            part.adopt(other)
