"""Comparisons as arrays, as the models of choices read them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bark_infinity.error_handling import BarkError
from fusion.preference.candidates import Array
from fusion.preference.judgements import CandidateId, Comparison

OUTCOMES = ("first", "second", "tie", "both_bad")


@dataclass(frozen=True)
class Raters:
    """Who answers, and which answers they are known to use.

    Attributes:
        names: In order of appearance.
        ties: Those who have said ``tie``.
        refusals: Those who have said ``both_bad``.
    """

    names: tuple[str, ...] = ()
    ties: frozenset[str] = frozenset()
    refusals: frozenset[str] = frozenset()

    def having_said(self, comparisons: Sequence[Comparison]) -> Raters:
        """The same with those who said more."""
        return Raters(
            tuple(dict.fromkeys((*self.names, *(one.rater for one in comparisons)))),
            self.ties | {one.rater for one in comparisons if one.outcome == "tie"},
            self.refusals | {one.rater for one in comparisons if one.outcome == "both_bad"},
        )


@dataclass(frozen=True, eq=False)
class Pairs:
    """Comparisons as arrays, all (n,) except ``raters``.

    Attributes:
        first: Row of the candidate shown first.
        second: Row of the other.
        outcome: Position in `OUTCOMES`.
        rater: Position in ``raters``.
        weight: In whole answers.
        may_tie: Whether its rater is known to use ``tie``, and could.
        may_refuse: Whether its rater is known to use ``both_bad``, and could.
        raters: Names.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    outcome: NDArray[np.int64]
    rater: NDArray[np.int64]
    weight: Array
    may_tie: NDArray[np.bool_]
    may_refuse: NDArray[np.bool_]
    raters: tuple[str, ...]

    @classmethod
    def of(cls, comparisons: Sequence[Comparison], rows: dict[CandidateId, int], known: Raters | None = None) -> Pairs:
        """Looks candidates up in ``rows``.

        Args:
            comparisons: What was said.
            rows: Of every candidate.
            known: Raters of earlier comparisons; None: there were none.

        Raises:
            BarkError: When a judged candidate has no row.
        """
        unknown = {c for one in comparisons for c in one.pair if c not in rows}
        if unknown:
            raise BarkError(
                f"{len(unknown)} judged candidates have no features, such as {next(iter(unknown))!r}; "
                "give features of every candidate that was judged"
            )
        # Whoever never says "tie" or "both bad" may not know or have that answer: their silence is no evidence.
        raters = (known or Raters()).having_said(comparisons)
        number = {name: i for i, name in enumerate(raters.names)}
        return cls(
            np.array([rows[one.first.candidate] for one in comparisons], np.int64),
            np.array([rows[one.second.candidate] for one in comparisons], np.int64),
            np.array([OUTCOMES.index(one.outcome) for one in comparisons], np.int64),
            np.array([number[one.rater] for one in comparisons], np.int64),
            np.array([one.weight for one in comparisons], np.float64),
            np.array([not one.forced and one.rater in raters.ties for one in comparisons], np.bool_),
            np.array([not one.forced and one.rater in raters.refusals for one in comparisons], np.bool_),
            raters.names,
        )

    def __len__(self) -> int:
        return len(self.first)

    def where(self, kept: NDArray[np.bool_]) -> Pairs:
        """The comparisons that are kept; raters keep their numbers."""
        return Pairs(
            self.first[kept], self.second[kept], self.outcome[kept], self.rater[kept],
            self.weight[kept], self.may_tie[kept], self.may_refuse[kept], self.raters,
        )  # fmt: skip
