"""What happened, in short lines, newest last."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from experiments.board.model import Model, Shared
from experiments.events import Committed, Event, Notice, StateChanged, Told

Level = Literal["info", "warning", "error"]

KEPT = 300  # lines


@dataclass(frozen=True)
class Line:
    """One line: seconds since 1970, how bad, what."""

    at: float
    level: Level
    text: str


class _Lines(Shared):
    """Lines are about the sitting, not about the moment that is shown."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.said: deque[Line] = deque(maxlen=KEPT)


class Log(Model):
    """The latest lines.

    Args:
        clock: Seconds since 1970.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__()
        self.recording = True  # False while what happened long ago is told again
        self._lines = _Lines(clock)
        self._steps = 0

    @property
    def lines(self) -> deque[Line]:
        """Oldest first."""
        return self._lines.said

    def apply(self, event: Event) -> None:
        """Notes changes of state, steps, failures and notices."""
        if isinstance(event, Committed):
            self._steps += 1
        if not self.recording:
            return
        match event:
            case StateChanged():
                self.say(f"{event.state}: {event.reason}" if event.reason else event.state,
                         "error" if event.state == "failed" else "info")  # fmt: skip
            case Notice():
                self.say(event.text, event.level)
            case Committed():
                best = "no birth was ok yet" if event.best is None else f"best is #{event.best}"
                taken = sum(map(bool, event.became.values()))
                self.say(f"step {self._steps}: {taken} of {len(event.became)} taken in, {best}")
            case Told() if event.score.status == "failed":
                self.say(f"#{event.candidate.birth} failed: {event.score.reason}", "warning")

    @property
    def last(self) -> Line | None:
        """The newest line; None before the first."""
        return self.lines[-1] if self.lines else None

    def adopt(self, before: Log) -> None:
        """Goes on with the other's lines."""
        self._lines = before._lines
        self.changed()

    def say(self, text: str, level: Level = "info") -> None:
        """Adds a line."""
        self.lines.append(Line(self._lines.clock(), level, text))
        self.changed()
