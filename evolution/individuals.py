"""What came of a birth: an evaluation, the individual that an ok one makes, and what became of it.

**Failures are never numbers.** DEAP lets NaN win and pyribs gives up a batch for one; here only finite, ok results
become an `Individual`, and selectors see nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType
from typing import Literal

from bark_infinity.error_handling import BarkError
from evolution.genome import Candidate

LARGEST = 1e100  # differences and weighted sums of larger objectives overflow

Status = Literal["ok", "rejected", "failed"]


@dataclass(frozen=True)
class Evaluation:
    """What came of a candidate: numbers when it is ``ok``, none when a gate ``rejected`` it or anything ``failed``."""

    status: Status
    objectives: tuple[float, ...] = ()  # more is better; a NaN or infinity among them makes it a failure
    measures: Mapping[str, float] = field(default_factory=dict)  # for maps and novelty; only finite ones are kept

    def __post_init__(self) -> None:
        if self.status not in ("ok", "rejected", "failed"):
            raise BarkError(f"an evaluation's status is {self.status!r}, expected ok, rejected or failed")
        objectives = tuple(float(value) for value in self.objectives)
        if self.status == "ok" and not all(abs(value) <= LARGEST for value in objectives):  # not for NaN either
            object.__setattr__(self, "status", "failed")
        object.__setattr__(self, "objectives", objectives if self.status == "ok" else ())
        measures = {name: float(value) for name, value in self.measures.items() if math.isfinite(value)}
        object.__setattr__(self, "measures", MappingProxyType(measures))


@dataclass(frozen=True)
class Individual:
    """A candidate that was judged ok, with its weighted mean objective; all that selectors ever see."""

    candidate: Candidate
    evaluation: Evaluation
    fitness: float

    def __post_init__(self) -> None:
        if self.evaluation.status != "ok" or not math.isfinite(self.fitness):
            raise BarkError(f"birth {self.birth} is {self.evaluation.status}, fitness {self.fitness}; keep it out of "
                            "selection, which is for ok and finite results only")  # fmt: skip

    @property
    def birth(self) -> int:
        """Its number in the run."""
        return self.candidate.birth


class AddStatus(IntEnum):
    """What became of a told candidate; true when it was taken in."""

    WAITING = -1  # kept until all births of its step are told
    NOT_ADDED = 0
    IMPROVE_EXISTING = 1  # it took another's place
    NEW = 2  # there was room: an empty cell, or a population that was not full

    def __bool__(self) -> bool:
        return self > 0
