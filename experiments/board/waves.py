"""Outlines of clips for drawing: the highest and lowest sample of each of a fixed number of moments.

A birth's outline never changes, so all boards of a window share one store; it forgets the oldest when it is full, and
can be filled again from the lineage.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.board.model import Model, Shared
from experiments.events import Clip, Event, Told

MOMENTS = 96
KEPT = 256  # outlines, about 1 KB each


@dataclass(frozen=True, eq=False)
class Outline:
    """A clip as it is drawn.

    Attributes:
        low: (MOMENTS,) lowest sample, at least -1.
        high: (MOMENTS,) highest sample, at most 1.
        duration_s: Length of the clip.
    """

    low: NDArray[np.float32]
    high: NDArray[np.float32]
    duration_s: float


def outline(clip: Clip) -> Outline:
    """The outline of a clip of any length; silence where there are no samples. Samples that are NaN count as 0."""
    audio = np.nan_to_num(np.asarray(clip.audio, np.float32).ravel(), posinf=1.0, neginf=-1.0)  # (S,)
    duration_s = len(audio) / max(clip.sample_rate, 1)
    if not len(audio):
        flat = np.zeros(MOMENTS, np.float32)
        return Outline(flat, flat, 0.0)
    begins = np.minimum(np.arange(MOMENTS) * len(audio) // MOMENTS, len(audio) - 1)
    low = np.minimum.reduceat(audio, begins).clip(-1, 1)
    high = np.maximum.reduceat(audio, begins).clip(-1, 1)
    return Outline(low, high, duration_s)


class Waves(Model, Shared):
    """Outlines by birth number."""

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[int, Outline] = {}
        self._never: set[int] = set()

    def apply(self, event: Event) -> None:
        """Takes in clips that come with a judgement."""
        if isinstance(event, Told) and event.clip is not None:
            self.put(event.candidate.birth, outline(event.clip))

    def adopt(self, before: Waves) -> None:
        """Shares the other's outlines."""
        self._known, self._never = before._known, before._never
        self.changed()

    def __getitem__(self, birth: int) -> Outline | None:
        return self._known.get(birth)

    def put(self, birth: int, made: Outline | None) -> None:
        """Keeps an outline; None: this birth cannot be heard, do not ask again."""
        if made is None:
            self._never.add(birth)
            return
        while len(self._known) >= KEPT:
            del self._known[next(iter(self._known))]
        self._known[birth] = made
        self.changed()

    def forget(self) -> None:
        """Another run: births have other sounds."""
        self._known, self._never = {}, set()
        self.changed()

    def missing(self, births: Iterable[int]) -> list[int]:
        """Those whose outline is not known and can still be asked for."""
        return [birth for birth in births if birth not in self._known and birth not in self._never]
