"""Where a window's events come from and its commands go to: the contract, and what is kept between thread and window.

A source works on its own thread and puts events into a queue; the loop takes them out. Nothing else is shared.
"""

from __future__ import annotations

import queue
from typing import Protocol

from experiments.board.run_state import Opened
from experiments.events import Command, Event
from window.panel import Recalled


class Source(Protocol):
    """A run that is shown: this window's own, or one that is only watched.

    Attributes:
        opened: What it is.
        events: Filled by the source, emptied by the window.
    """

    opened: Opened
    events: queue.SimpleQueue[Event]

    def send(self, command: Command) -> bool:
        """Gives a command; False where nobody takes any."""
        ...

    def recall(self, birth: int) -> Recalled:
        """Reads a birth back; called on background threads, and slow.

        Raises:
            BarkError: When it cannot be read, or nothing is left of its sound.
        """
        ...

    def close(self, timeout_s: float) -> bool:
        """Ends: a run of this window finishes what is under way and can be resumed. False when that took too long."""
        ...


class NoSource:
    """Nothing is open."""

    def __init__(self) -> None:
        self.opened = Opened()
        self.events: queue.SimpleQueue[Event] = queue.SimpleQueue()

    def send(self, command: Command) -> bool:
        """Nobody takes commands."""
        return False

    def recall(self, birth: int) -> Recalled:
        """There are no births."""
        raise LookupError(f"there is no birth {birth}: nothing is open")

    def close(self, timeout_s: float) -> bool:
        """Nothing to end."""
        return True
