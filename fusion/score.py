"""What a judgement is: a status first, and numbers only where the status says that there are any.

Selection libraries let NaN win (DEAP) or drop a whole batch for it (pyribs), so a failure must never be a number:
a `Score` that is not ``ok`` has no terms, and asking it for a value is an error.
"""

from __future__ import annotations

import math
import typing
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

NEUTRAL = 0.5
"""What selection and totals take for a term that could not be judged: unknown is neither good nor bad."""

_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Term:
    """One aspect of a judgement.

    Attributes:
        name: What is judged, such as ``intelligibility`` or ``f0_median_hz``.
        value: In [0, 1]; a monotone function of how good the measure is, 1 is best.
        version: Of the definition; values of different versions are never compared.
        measure: What was measured, in ``unit``, finite; None for terms without one number behind them.
        unit: Of the measure, such as ``Hz`` or ``word error rate``.

    Raises:
        BarkError: When the value is not in [0, 1] or the measure is not finite.
    """

    name: str
    value: float
    version: int
    measure: float | None = None
    unit: str = ""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.value) and 0 <= self.value <= 1):
            raise BarkError(f"term {self.name} is {self.value}, expected a number from 0 to 1")
        if self.measure is not None and not math.isfinite(self.measure):
            raise BarkError(f"term {self.name} was measured as {self.measure}, expected a finite number, or None")


@dataclass(frozen=True)
class Score:
    """The judgement of one rendering. Mappings are copied and cannot be changed afterwards.

    Attributes:
        status: Whether there are numbers at all.
        terms: By name, in the order they were asked for; empty unless the status is ``ok``.
        reason: Why it was rejected or failed, in plain words.
        evidence: Numbers behind the reason; finite.
        measures: Everything measured on the way, by name; finite.
        unknown: Terms that were asked for and could not be judged, each with why; unknown is not bad.

    Raises:
        BarkError: When the status is none, does not fit reason or terms, or a number is not finite.
    """

    status: Status
    terms: Mapping[str, Term] = field(default_factory=lambda: _NOTHING)
    reason: str | None = None
    evidence: Mapping[str, float] = field(default_factory=lambda: _NOTHING)
    measures: Mapping[str, float] = field(default_factory=lambda: _NOTHING)
    unknown: Mapping[str, str] = field(default_factory=lambda: _NOTHING)

    def __post_init__(self) -> None:
        if self.status not in typing.get_args(Status):
            raise BarkError(f"a score's status is {self.status!r}, expected {', '.join(typing.get_args(Status))}")
        for name in ("terms", "evidence", "measures", "unknown"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))
        if (self.status == "ok") != (self.reason is None):
            raise BarkError(f"a score with status {self.status} has reason {self.reason!r}; only ok has none")
        if self.status != "ok" and self.terms:
            raise BarkError(f"a score with status {self.status} has terms {', '.join(self.terms)}; only ok has any")
        for what, numbers in (("measures", self.measures), ("evidence", self.evidence)):
            bad = [name for name, value in numbers.items() if not math.isfinite(value)]
            if bad:
                raise BarkError(f"{what} {', '.join(bad)}: not finite; leave out what could not be measured")

    def objectives(self, names: Sequence[str]) -> tuple[float, ...]:
        """Values of the named terms, for selection; `NEUTRAL` for those that could not be judged.

        Raises:
            BarkError: When there are none, because the status is not ``ok``, or a term was not asked for.
        """
        if self.status != "ok":
            raise BarkError(f"a {self.status} rendering has no objectives ({self.reason}); keep it out of selection")
        missing = [name for name in names if name not in self.terms and name not in self.unknown]
        if missing:
            raise BarkError(f"terms {', '.join(missing)} were not asked for; judged were {', '.join(self.terms)}")
        return tuple(self.terms[name].value if name in self.terms else NEUTRAL for name in names)

    def total(self, weights: Mapping[str, float]) -> float:
        """Weighted mean of terms in [0, 1], for display and for single-objective search.

        Raises:
            BarkError: As `objectives`, and when a weight is negative or not finite, or all are zero.
        """
        mass = sum(weights.values())  # not finite when any weight is not
        if not (0 < mass < math.inf and all(weight >= 0 for weight in weights.values())):
            raise BarkError(f"weights are {dict(weights)}, expected finite numbers of at least 0 that are not all 0")
        values = self.objectives(list(weights))
        # Recorded totals are verified to the last bit, so this order of operations is part of what they mean.
        total = sum(weight * value for weight, value in zip(weights.values(), values, strict=True)) / mass
        return min(1.0, total)
