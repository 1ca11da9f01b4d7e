"""What a judgement is: a status first, and numbers only where the status says that there are any.

Selection libraries let NaN win (DEAP) or drop a whole batch for it (pyribs), so a failure must never be a number:
a `Score` that is not ``ok`` has no terms, and asking it for a value is an error.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from bark_infinity.error_handling import BarkError

Status = Literal[
    "ok",  # judged: every asked term that could be judged has a value
    "rejected",  # a gate found it unfit, and says why
    "failed",  # it could not be rendered or judged
]

_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Term:
    """One aspect of a judgement.

    Attributes:
        name: What is judged, such as ``intelligibility`` or ``f0_median_hz``.
        value: In [0, 1]; a monotone function of how good the measure is, 1 is best.
        version: Of the definition; values of different versions are never compared.
        measure: What was measured, in ``unit``; None for terms without one number behind them.
        unit: Of the measure, such as ``Hz`` or ``word error rate``.
    """

    name: str
    value: float
    version: int
    measure: float | None = None
    unit: str = ""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.value) and 0 <= self.value <= 1):
            raise BarkError(f"term {self.name} is {self.value}, expected a number from 0 to 1")


@dataclass(frozen=True)
class Score:
    """The judgement of one rendering.

    Attributes:
        status: Whether there are numbers at all.
        terms: By name, in the order they were asked for; empty unless the status is ``ok``.
        reason: Why it was rejected or failed, in plain words.
        evidence: Numbers behind the reason.
        measures: Everything measured on the way, by name; finite.
        unknown: Terms that were asked for and could not be judged, each with why; unknown is not bad.
    """

    status: Status
    terms: Mapping[str, Term] = field(default_factory=lambda: _NOTHING)
    reason: str | None = None
    evidence: Mapping[str, float] = field(default_factory=lambda: _NOTHING)
    measures: Mapping[str, float] = field(default_factory=lambda: _NOTHING)
    unknown: Mapping[str, str] = field(default_factory=lambda: _NOTHING)

    def __post_init__(self) -> None:
        if (self.status == "ok") != (self.reason is None):
            raise BarkError(f"a score with status {self.status} has reason {self.reason!r}; only ok has none")
        if self.status != "ok" and self.terms:
            raise BarkError(f"a score with status {self.status} has terms {', '.join(self.terms)}; only ok has any")
        bad = [name for name, value in self.measures.items() if not math.isfinite(value)]
        if bad:
            raise BarkError(f"measures {', '.join(bad)} are not finite; leave out what could not be measured")

    def objectives(self, names: Sequence[str]) -> tuple[float, ...]:
        """Values of the named terms, for selection.

        Raises:
            BarkError: When there are none, because the status is not ``ok``, or a term was not judged.
        """
        if self.status != "ok":
            raise BarkError(f"a {self.status} rendering has no objectives ({self.reason}); keep it out of selection")
        missing = [name for name in names if name not in self.terms]
        if missing:
            raise BarkError(f"terms {', '.join(missing)} were not judged; judged were {', '.join(self.terms)}")
        return tuple(self.terms[name].value for name in names)

    def total(self, weights: Mapping[str, float]) -> float:
        """Weighted mean of terms in [0, 1], for display and for single-objective search.

        Raises:
            BarkError: As `objectives`, and when the weights are negative or all zero.
        """
        mass = sum(weights.values())
        if mass <= 0 or min(weights.values()) < 0:
            raise BarkError(f"weights are {dict(weights)}, expected numbers of at least 0 that are not all 0")
        values = self.objectives(list(weights))
        return sum(weight * value for weight, value in zip(weights.values(), values, strict=True)) / mass
