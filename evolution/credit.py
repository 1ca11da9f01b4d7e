"""Which operator is next: a bandit that gives more children to operators whose children were taken in lately."""

from __future__ import annotations

from collections.abc import Iterable

_PRIOR = 0.5  # credit of one child that every operator is thought to have had


class OperatorCredit:
    """Discounted mean credit of every operator, and how likely that makes it.

    Args:
        names: Of the operators.
        floor: Least probability of every operator, at most half of an equal share.
        discount: What past credit is worth after one more child.
    """

    def __init__(self, names: Iterable[str], floor: float, discount: float) -> None:
        self._credit = {name: (0.0, 0.0) for name in names}  # discounted sum of credit, and of children
        self._floor = min(floor, 0.5 / max(len(self._credit), 1))
        self._discount = discount

    def reward(self, name: str, credit: float) -> None:
        """Credits one child, with 0 to 1; names that are no operator's are passed over."""
        if name in self._credit:
            gain, children = (self._discount * past for past in self._credit[name])
            self._credit[name] = (gain + credit, children + 1)

    def probabilities(self) -> dict[str, float]:
        """A floor for all, the rest in proportion to recent mean credit."""
        means = {name: (gain + _PRIOR) / (children + 1) for name, (gain, children) in self._credit.items()}
        rest = (1 - self._floor * len(means)) / max(sum(means.values()), 1e-12)
        return {name: self._floor + rest * mean for name, mean in means.items()}
