"""How far raters agree with themselves and with each other, counted answer by answer.

Only answers to a pair that was heard side by side count: nobody is held to what the worst of several, or two ratings,
say about a pair. No model can be expected to agree with people more than they do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fusion.preference.judgements import CandidateId, Comparison


@dataclass(frozen=True)
class Consistency:
    """How often answers to the same pair were the same.

    Attributes:
        same: Repeated answers that agree.
        asked: Repeated answers.
    """

    same: int
    asked: int

    @property
    def share(self) -> float | None:
        """Agreement in [0, 1]; None when no pair was repeated."""
        return self.same / self.asked if self.asked else None

    def interval(self, z: float = 1.96) -> tuple[float, float]:
        """Wilson's score interval of the share, (0, 1) when no pair was repeated (Wilson 1927, JASA 22:209)."""
        if not self.asked:
            return 0.0, 1.0
        n, p = self.asked, self.same / self.asked
        middle = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return max(0.0, middle - half), min(1.0, middle + half)


class Tally:
    """Counts of equal answers; one more answer costs as much as there are raters, however many answers there were."""

    def __init__(self) -> None:
        self._last: dict[str, dict[frozenset[CandidateId], CandidateId | str]] = {}
        self._own: dict[str, Consistency] = {}
        self._between: dict[frozenset[str], Consistency] = {}

    def add(self, comparison: Comparison) -> None:
        """Counts one more."""
        rater, pair = comparison.rater, comparison.pair
        last = self._last.setdefault(rater, {})
        if comparison.forced:
            return
        answer = comparison.outcome if comparison.winner is None else comparison.winner
        before = last.get(pair)
        if before is not None:
            self._own[rater] = _counted(self.own(rater), before == answer)
        for other, theirs in self._last.items():
            if other == rater or pair not in theirs:
                continue
            both = self.between(rater, other)
            if before is not None:  # only the last answer of each counts
                both = Consistency(both.same - (before == theirs[pair]), both.asked - 1)
            self._between[frozenset((rater, other))] = _counted(both, answer == theirs[pair])
        last[pair] = answer

    @property
    def raters(self) -> tuple[str, ...]:
        """Everyone, in order of appearance."""
        return tuple(self._last)

    def own(self, rater: str) -> Consistency:
        """How often a rater answered a repeated pair as they did the time before, in whatever order it was shown."""
        return self._own.get(rater, Consistency(0, 0))

    def between(self, rater: str, other: str) -> Consistency:
        """How often two raters' last answers to the same pair are the same."""
        return self._between.get(frozenset((rater, other)), Consistency(0, 0))


def _counted(before: Consistency, same: bool) -> Consistency:
    return Consistency(before.same + same, before.asked + 1)
