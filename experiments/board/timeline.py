"""All events of a run, light enough to keep, so that the board of any moment can be made again."""

from __future__ import annotations

import dataclasses

from digital_evolution import Candidate
from experiments.board.board import Board
from experiments.events import Asked, Begun, Event, Progress, Told


def slim(event: Event) -> Event:
    """The event without voices and sound, which are read from the lineage when somebody wants them."""
    if isinstance(event, Told):
        return dataclasses.replace(event, candidate=_voiceless(event.candidate), clip=None)
    if isinstance(event, Asked):
        return Asked(tuple(_voiceless(one) for one in event.candidates))
    return event


def _voiceless(candidate: Candidate) -> Candidate:
    genome = dataclasses.replace(candidate.genome, voice=None)
    return dataclasses.replace(candidate, genome=genome, render_first=None)


class Timeline:
    """The events of one run in order."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._after: dict[int, int] = {}  # birth: how many events there were when it was told
        self.told: list[int] = []  # births in the order of telling

    def record(self, event: Event) -> None:
        """Takes in the next event; a run that begins makes the timeline empty."""
        if isinstance(event, Begun):
            self.__init__()  # type: ignore[misc]
        if isinstance(event, Progress):
            return  # of the present only
        self._events.append(slim(event))
        if isinstance(event, Told):
            self.told.append(event.candidate.birth)
            self._after[event.candidate.birth] = len(self._events)

    def __len__(self) -> int:
        return len(self._events)

    def until(self, birth: int) -> int:
        """How many events there were when a birth was told; all of them when it never was."""
        return self._after.get(birth, len(self._events))

    def board(self, at: int, like: Board) -> Board:
        """The board after so many events, with what people chose on another."""
        made = Board()
        made.adopt(like)
        made.log.recording = False
        made.run_state.open(like.run_state.opened)
        self.advance(made, 0, at)
        return made

    def advance(self, board: Board, begin: int, end: int) -> None:
        """Gives a board the events from ``begin`` to before ``end``."""
        for event in self._events[begin:end]:
            board.apply(event)
