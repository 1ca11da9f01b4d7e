"""The board of any moment of a run: the nearest one that was laid by, and the events that were recorded since.

While a run goes on, its board is laid by every so many births, just before the next one is told. What is between two
of those is read from the lineage, where everything is. So a moment of a long run costs as much as one of a short one,
the next birth costs its own events, and next to nothing of the past is in memory.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass

from experiments.board.board import Board, Laid
from experiments.events import Begun, Event, StateChanged, Taught, Told
from experiments.replay.player import NOTHING, Player, Recording

MOST = 64  # boards that are laid by; beyond it, every second one goes
_CLOSEST = 64  # births between two of them
_BEFORE = 8  # of those before a moment, whose populations spare reading steps


@dataclass(frozen=True, eq=False)
class _Stop:
    board: Laid
    living: array[int]


class Boards:
    """Boards of one run at any moment.

    Args:
        record: Opens what is recorded of the run; called when somebody goes back for the first time.
    """

    def __init__(self, record: Callable[[], Recording]) -> None:
        self._record = record
        self._begin()

    def _begin(self) -> None:
        self._player: Player | None = None
        self._shown = Board()  # what the player's events go to
        self._stops: dict[int, _Stop] = {}  # by births told
        self._every = _CLOSEST
        self._taught: dict[int, Taught] = {}  # by births told; it is not recorded

    def watch(self, event: Event, present: Board) -> None:
        """Sees what comes next, before the present's board takes it in."""
        told = present.births.told
        match event:
            case Begun():
                self._begin()
            case Taught():
                self._taught[told] = event
            case Told() if told % self._every == 0 and told not in self._stops:
                self._stops[told] = _Stop(present.laid_by(), array("I", present.births.population))
                if len(self._stops) > MOST:
                    self._every *= 2
                    self._stops = {place: stop for place, stop in self._stops.items() if place % self._every == 0}

    def at(self, place: int, like: Board) -> Board:
        """The board when ``place`` births had been told, and all had happened that did before the next one was.

        Args:
            place: How many, at least 1.
            like: What people chose is taken over from it.

        Returns:
            The board that was returned last, where it only has to go on; otherwise another.

        Raises:
            LineageError: When the run cannot be read.
        """
        if self._player is None:
            self._player = Player(self._record())
        player, self._player = self._player, None  # when anything fails, the next one begins anew
        recording = player.recording
        recording.refresh()
        places = sorted(self._stops)
        kept = [recording.settled(one) for one in places]
        near = bisect_right(places, place)
        before = range(max(near - _BEFORE, 0), near)
        recording.know_living({kept[index]: self._stops[places[index]].living for index in before})
        jump = player.seek_place(place, kept)
        if jump.begin is not None:
            self._shown = Board() if jump.begin == NOTHING else Board.taken_up(self._stops[places[near - 1]].board)
            self._shown.log.recording = False
        board = self._shown
        if board is not like:
            board.adopt(like)
        for event in jump.events:
            if not isinstance(event, StateChanged):
                board.apply(event)
        taught = [one for one in self._taught if one <= place]
        if taught:
            board.apply(self._taught[taught[-1]])
        self._player = player
        return board

    def rest(self) -> None:
        """Nobody looks at the past for now."""
        if self._player is not None:
            self._player.recording.forget_pages()
