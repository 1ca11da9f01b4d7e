"""A recorded run played like a tape: at any speed, by births or by recorded time, with pause and seek.

A `Recording` has any stretch of a run at hand: it keeps the latest pages of events in memory, and reads others again.
A `Player` hands out events; what they are applied to is the caller's. Going back begins with nothing, or with the
nearest state that the caller has kept::

    jump = player.seek(1200, kept=[0, 520, 1040])
    board = board if jump.begin is None else boards[jump.begin]
    for event in jump.events:
        board.apply(event)

`boards.Boards` does that for the window; the command line prints the events.
"""

from __future__ import annotations

import time
from array import array
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from bark_infinity.error_handling import BarkError
from experiments.events import Event, StateChanged
from experiments.lineage.reading import LineageReader
from experiments.replay.history import PIECE, History, Moment, event_of_birth, state_of

By = Literal["births", "time"]
NOTHING = -1  # before `Begun`
_KEYFRAME = 16  # who lives is remembered at every so many pages


class Recording:
    """A run's events by number.

    Args:
        lineage: The file; another process may be writing it.
        run_id: The run.
        pages: How many pages of `history.PIECE` events are kept in memory.

    Raises:
        LineageError: ``missing`` when there is no such run.
    """

    def __init__(self, lineage: LineageReader, run_id: int, *, pages: int = 64) -> None:
        self._lineage, self._run_id = lineage, run_id
        self.begun = History(lineage, run_id).begun()
        self.last = 0  # number of the last event
        self._most = max(pages, 1)
        self._pages: OrderedDict[int, list[Moment]] = OrderedDict()
        self._living: dict[int, frozenset[int]] = {0: frozenset()}  # after some events
        self._given: Mapping[int, Sequence[int]] = {}  # the same, from `know_living`
        self._tells = array("Q")  # numbers of the events that told a result, rising
        self.refresh()

    @property
    def births(self) -> int:
        """How many were told."""
        return len(self._tells)

    def refresh(self) -> bool:
        """Looks for what was recorded meanwhile; says whether there is anything."""
        with self._lineage.turn("reading events"):
            [(last,)] = self._lineage.query(
                "SELECT coalesce(max(seq), 0) FROM events WHERE run_id = ?", (self._run_id,)
            )
            found = self._lineage.query(
                "SELECT seq FROM events WHERE run_id = ? AND seq > ? AND seq <= ? AND kind = 'told' ORDER BY seq",
                (self._run_id, self.last, last),
            )
        if last == self.last:
            return False
        self._pages.pop(self.last // PIECE, None)  # it may have been half a page
        self.last = last
        self._tells.extend(seq for (seq,) in found)
        return True

    def told_by(self, seq: int) -> int:
        """How many births had been told after an event."""
        return bisect_right(self._tells, seq)

    def settled(self, count: int) -> int:
        """Number of the last event before the ``count + 1``-th result: the step of the ``count``-th may be over."""
        return self._tells[count] - 1 if count < len(self._tells) else self.last

    def event_of(self, birth: int) -> int | None:
        """Number of the event that told a birth; None while it is pending."""
        return event_of_birth(self._lineage, self._run_id, birth)

    def state(self) -> StateChanged:
        """What the run is doing now."""
        return state_of(self._lineage, self._run_id)

    def between(self, after: int, upto: int) -> Iterator[Moment]:
        """Moments with ``after < seq <= upto``."""
        for page in range(after // PIECE, (upto - 1) // PIECE + 1):
            yield from (moment for moment in self._page(page) if after < moment.seq <= upto)

    def know_living(self, living: Mapping[int, Sequence[int]]) -> None:
        """Somebody knows who lived after these events: not all steps before them have to be read."""
        self._given = living

    def forget_pages(self) -> None:
        """Keeps no events in memory; they are read again when somebody wants them."""
        self._pages.clear()
        self._given = {}

    def _page(self, number: int) -> list[Moment]:
        """Moments ``number * PIECE + 1`` to ``(number + 1) * PIECE``."""
        if number in self._pages:
            self._pages.move_to_end(number)
            return self._pages[number]
        known = max(seq for seq in (*self._living, *self._given) if seq <= number * PIECE)
        living = self._living[known] if known in self._living else frozenset(self._given[known])
        history = History(self._lineage, self._run_id, number * PIECE, (known, living))
        if number % _KEYFRAME == 0:
            self._living[number * PIECE] = history.living
        page: list[Moment] = []
        while piece := history.piece(min((number + 1) * PIECE, self.last)):
            page += piece
        self._pages[number] = page
        while len(self._pages) > self._most:
            self._pages.popitem(last=False)
        return page


@dataclass(frozen=True)
class Jump:
    """What to do to be elsewhere.

    Attributes:
        begin: With what to begin: the state that was kept at the event of this number; `NOTHING`; None for the state
            that is there.
        events: Then apply all of these.
    """

    begin: int | None
    events: Iterator[Event]


class Player:
    """Plays a recording; it is paused at first, before everything.

    Args:
        recording: What is played. When it is at its end and more was recorded meanwhile, that is played too.
        speed: Births per second, or recorded seconds per second.
        by: Which of the two.
        clock: Seconds, of whoever looks on.
        longest_gap_s: Of playing by time: longer pauses in the recording, such as nights, take only so many of its
            seconds.

    Attributes:
        playing: Whether `poll` moves on.
        speed: Births or recorded seconds per second.
        by: Which of the two.
        at: When what was handed out last was recorded, in seconds since 1970.
    """

    def __init__(
        self,
        recording: Recording,
        *,
        speed: float = 20.0,
        by: By = "births",
        clock: Callable[[], float] = time.monotonic,
        longest_gap_s: float = 10.0,
    ) -> None:
        self.recording = recording
        self.playing = False
        self.at = recording.begun.at
        self._clock, self._longest_gap_s = clock, longest_gap_s
        self._seq = NOTHING  # the last event that was handed out
        self._looked_at = clock()
        self._due = 0.0  # births, or recorded seconds, that have been earned and not played
        self._state: StateChanged | None = None  # the last that was told
        self.by = by
        self.set_speed(speed)

    @property
    def birth(self) -> int:
        """How many births have been told up to here."""
        return self.recording.told_by(max(self._seq, 0))

    @property
    def at_end(self) -> bool:
        """Whether everything was handed out that was recorded when last looked."""
        return self._seq >= self.recording.last

    def set_speed(self, speed: float, by: By | None = None) -> None:
        """Plays faster or slower from now on.

        Raises:
            BarkError: When the speed is not a number above 0.
        """
        if not 0 < speed < float("inf"):
            raise BarkError(f"the speed is {speed}, expected a number above 0; pause to stand still")
        if by is not None and by != self.by:
            self.by, self._due = by, 0.0
        self.speed = speed

    def play(self) -> None:
        """Goes on."""
        self.playing, self._looked_at = True, self._clock()

    def pause(self) -> None:
        """Stands still."""
        self.playing = False

    def poll(self) -> list[Event]:
        """What has happened since the last call, by the clock; nothing while paused."""
        if not self.playing:
            return []
        now = self._clock()
        self._due += max(now - self._looked_at, 0.0) * self.speed
        self._looked_at = now
        events = [] if self._seq > NOTHING else list(self._begin())
        if self.at_end:
            self.recording.refresh()
        if self.by == "births":
            whole, self._due = divmod(self._due, 1.0)
            births = min(self.birth + int(whole), self.recording.births)
            if whole or births == self.recording.births:
                events += self._advance(self.recording.settled(births))
        else:
            events += self._elapsed()
        if self.at_end:
            self._due = 0.0
        return events

    def seek(self, birth: int, kept: Sequence[int] = ()) -> Jump:
        """Goes to where a birth had just been told, and what follows until the next result; 0 is the beginning.

        A birth that was never told leads to the end. All of the jump's events have to be applied before the next call.

        Args:
            birth: Which.
            kept: Numbers of events, rising, whose states the caller has kept.
        """
        if birth < 0:
            raise BarkError(f"birth {birth} was asked for, expected 0 or more")
        self.recording.refresh()
        told = self.recording.event_of(birth) if birth else 0
        target = self.recording.last if told is None else self.recording.settled(self.recording.told_by(told))
        return self._jump(target, kept)

    def seek_place(self, place: int, kept: Sequence[int] = ()) -> Jump:
        """As `seek`, to where so many births had been told, as far as the recording was read."""
        return self._jump(self.recording.settled(place), kept)

    def _jump(self, target: int, kept: Sequence[int]) -> Jump:
        self._due, self._looked_at = 0.0, self._clock()
        before = bisect_right(kept, target)
        begin = kept[before - 1] if before else NOTHING
        if self._seq > NOTHING and begin <= self._seq <= target:
            return Jump(None, self._advance(target))
        self._seq, self._state = begin, None
        return Jump(begin, self._advance(target))

    def _begin(self) -> Iterator[Event]:
        self._seq, self.at = 0, self.recording.begun.at
        yield self.recording.begun.event

    def _advance(self, target: int) -> Iterator[Event]:
        if self._seq == NOTHING:
            yield from self._begin()
        for moment in self.recording.between(self._seq, target):
            self._seq, self.at = moment.seq, max(moment.at, self.at)
            yield moment.event
        self._seq = target
        yield from self._news_of_state()

    def _elapsed(self) -> Iterator[Event]:
        for moment in self.recording.between(self._seq, self.recording.last):
            gap = min(max(moment.at - self.at, 0.0), self._longest_gap_s)
            if gap > self._due:
                return
            self._due -= gap
            self._seq, self.at = moment.seq, max(moment.at, self.at)
            yield moment.event
        self._seq = self.recording.last
        yield from self._news_of_state()

    def _news_of_state(self) -> Iterator[Event]:
        if self.at_end:
            state = self.recording.state()
            if state != self._state:
                self._state = state
                yield state
