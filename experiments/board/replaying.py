"""Moving through a recorded run: which moment is shown, how fast it goes on, and the words for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

SPEEDS: tuple[float, ...] = (2.0, 8.0, 32.0, 128.0)  # births per second
LONGEST_FRAME_S = 0.5  # after a pause of the program, replay does not leap


@dataclass(frozen=True)
class Replaying:
    """Where replay is.

    Attributes:
        place: Births shown, from 1; None for the present.
        playing: Whether it goes on by itself.
        speed: Births per second.
        part: Of the next birth, from 0 to 1.
    """

    place: int | None = None
    playing: bool = False
    speed: float = SPEEDS[1]
    part: float = 0.0

    def toggled(self, count: int) -> Replaying:
        """Starts, from the beginning when it is at the end or in the present; or stops."""
        if self.playing or not count:
            return Replaying(self.place, False, self.speed)
        begin = 1 if self.place is None or self.place >= count else self.place
        return Replaying(begin, True, self.speed)

    def moved(self, place: int, count: int) -> Replaying:
        """Goes to a moment and stays there."""
        return Replaying(min(max(place, 1), count) if count else None, False, self.speed)

    def at_speed(self, speed: float) -> Replaying:
        """The same at another speed."""
        return Replaying(self.place, self.playing, speed, self.part)

    def after(self, seconds: float, count: int) -> Replaying:
        """Some time later; stops at the last birth."""
        if not self.playing or self.place is None:
            return self
        gone = self.part + min(max(seconds, 0.0), LONGEST_FRAME_S) * self.speed
        place = self.place + int(gone)
        if place >= count:
            return Replaying(count or None, False, self.speed)
        return Replaying(place, True, self.speed, gone - int(gone))

    def birth(self, moments: Sequence[int]) -> int | None:
        """The birth whose telling is the last that is shown; None for the present."""
        if self.place is None or not moments:
            return None
        return moments[min(self.place, len(moments)) - 1]


def place_of(birth: int | None, moments: Sequence[int]) -> int | None:
    """The place of a birth among the moments; None for the present or an unknown birth."""
    if birth is None:
        return None
    for place in range(len(moments), 0, -1):
        if moments[place - 1] == birth:
            return place
    return None
