"""What a learner knows of the births it was told of: a bounded number at hand, the others asked for again.

Births that were judged stay, because every fit needs them, and so do the latest that were told of or looked at: the
living, and those that come up as questions. Whoever has the record of the run can bring any other back, as it was
told; where nobody has one, none is let go.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bark_infinity.error_handling import BarkError

AT_HAND = 2_048  # besides those that were judged; 0.8 KB each


@dataclass(frozen=True, eq=False)
class Birth:
    """One birth as features, texts and relatives.

    Attributes:
        row: (features,) NaN where unknown.
        composite: Weighted mean of its other terms; NaN without weights.
        experts: (WIDTH,) by name of the expert.
        text: What it says.
        parent: The primary one; None for a founder or an immigrant.
    """

    row: NDArray[np.float32]
    composite: float
    experts: Mapping[str, NDArray[np.float32]]
    text: str = ""
    parent: int | None = None

    def measures_like(self, other: Birth) -> bool:
        """Whether every number is the same."""
        mine = [self.row, np.array(self.composite), *self.experts.values()]
        theirs = [other.row, np.array(other.composite), *other.experts.values()]
        return all(np.array_equal(a, b, equal_nan=True) for a, b in zip(mine, theirs, strict=True))


class Births:
    """The births of one run.

    Args:
        recall: Brings back what was let go, as it was told of, or None when it has no result; without it nothing is.
    """

    def __init__(self, recall: Callable[[int], Birth | None] | None = None) -> None:
        self._recall = recall
        self._judged: dict[int, Birth] = {}
        self._latest: dict[int, Birth] = {}  # the one looked at last at the end

    def __len__(self) -> int:
        """Births at hand."""
        return len(self._judged) + len(self._latest)

    def put(self, birth: int, known: Birth) -> None:
        """Takes note of one."""
        if birth in self._judged:
            self._judged[birth] = known
            return
        self._latest.pop(birth, None)
        self._latest[birth] = known
        while self._recall is not None and len(self._latest) > AT_HAND:
            del self._latest[next(iter(self._latest))]

    def judged(self, birth: int) -> bool:
        """Whether somebody judged it."""
        return birth in self._judged

    def find(self, birth: int) -> Birth | None:
        """One of them; None when it was never told of."""
        known = self._judged.get(birth) or self._latest.get(birth)
        if known is None and self._recall is not None:
            known = self._recall(birth)
        if known is not None and birth not in self._judged:
            self.put(birth, known)
        return known

    def get(self, birth: int) -> Birth:
        """One of them.

        Raises:
            BarkError: When it was never told of.
        """
        known = self.find(birth)
        if known is None:
            raise BarkError(f"birth {birth} was never heard, so nothing is known of it; tell of it by `hear` first")
        return known

    def judge(self, birth: int) -> None:
        """Keeps one for good, because somebody judged it.

        Raises:
            BarkError: As `get`.
        """
        self._judged[birth] = self.get(birth)
        self._latest.pop(birth, None)
