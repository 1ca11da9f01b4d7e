"""Full judgements (terms, evidence, what is unknown) of the births that people may be looking at.

A judgement weighs some kilobytes, so only those of the births that were told or looked at last are kept; others are
recalled from where the run is stored. A judgement never changes, so all boards of a window share them.
"""

from __future__ import annotations

from collections.abc import Iterable

from experiments.board.model import Model, Shared
from experiments.events import Begun, Event
from fusion.score import Score

KEPT = 256


class Scores(Model, Shared):
    """Judgements by birth number."""

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[int, Score] = {}  # what was wanted last is last
        self._never: set[int] = set()

    def apply(self, event: Event) -> None:
        """Another run has other judgements; `Births` puts them in, before any part looks for them."""
        if isinstance(event, Begun):
            self.forget()

    def __getitem__(self, birth: int) -> Score | None:
        score = self._known.pop(birth, None)
        if score is not None:
            self._known[birth] = score
        return score

    def put(self, birth: int, score: Score | None) -> None:
        """Keeps a judgement; None: this one cannot be read, do not ask again."""
        if score is None:
            self._never.add(birth)
            return
        self._known.pop(birth, None)
        while len(self._known) >= KEPT:
            del self._known[next(iter(self._known))]
        self._known[birth] = score
        self.changed()

    def forget(self) -> None:
        """Another run."""
        self._known, self._never = {}, set()
        self.changed()

    def adopt(self, before: Scores) -> None:
        """Shares the other's."""
        self._known, self._never = before._known, before._never
        self.changed()

    def missing(self, births: Iterable[int]) -> list[int]:
        """Those whose judgement is not at hand and can still be asked for."""
        return [birth for birth in births if birth not in self._known and birth not in self._never]
