"""What a report says of a run, as numbers: both arms under equal budget, operators, generations, reasons, winners.

The control arm are random immigrants that never breed. A birth costs the same in either arm, so the arms are compared
after equally many births of their own; whatever the larger arm found later does not count in that comparison.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.lineage import browse
from experiments.lineage.columns import Columns, columns
from experiments.lineage.reading import LineageReader
from experiments.lineage.records import Run
from experiments.lineage.tallies import TOTAL

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CONTROL = "control"
# Quotations, and numbers: reasons that differ in nothing else are one.
_PARTICULARS = re.compile(
    r"(?<!\w)'(?:[^'\\]|\\.|(?<=\w)'(?=\w))*'(?!\w)|\"(?:[^\"\\]|\\.)*\"|(?<![\w.])[-+−]?\d+(?:[.,]\d+)*(?:e[-+]?\d+)?"
)
MAX_TERMS = 12  # that have curves of their own
_CONFIDENCE = 1.96  # standard errors on either side: 95 % of a normal distribution
_LEAST_FOR_INTERVAL = 5  # values; the interval of fewer would be a guess


@dataclass(frozen=True, eq=False)
class Arm:
    """The told births of one arm, in order; n of them.

    Attributes:
        births: (n,) birth numbers.
        values: (n,) NaN where a birth was not ok.
        best: (n,) best value so far; NaN before the first.
    """

    births: Ints
    values: Floats
    best: Floats

    def __len__(self) -> int:
        return len(self.births)

    @property
    def mean(self) -> float | None:
        """Of all values."""
        return None if np.isnan(self.values).all() else float(np.nanmean(self.values))

    def best_after(self, count: int) -> float | None:
        """Best value of the first births; None when none of them was ok."""
        value = self.best[count - 1] if 0 < count <= len(self) else math.nan
        return None if math.isnan(value) else float(value)

    def best_birth(self) -> int | None:
        """The earliest birth that has the best value."""
        return None if self.mean is None else int(self.births[np.nanargmax(self.values)])


@dataclass(frozen=True)
class Credit:
    """What an operator's children came to.

    Attributes:
        name: Of the operator.
        asked: Births, of which ``ok``, ``rejected`` and ``failed`` are known by now.
        compared: Ok children whose parents were ok too, of which ``better`` improved on the best parent.
        mean_gain: Mean difference of these to the best parent.
        mean: Of the ok children's values.
        half_width: Of the mean's 95 % interval; None for fewer than five values.
        best: Of the values.
    """

    name: str
    asked: int
    ok: int
    rejected: int
    failed: int
    compared: int
    better: int
    mean_gain: float | None
    mean: float | None
    half_width: float | None
    best: float | None


@dataclass(frozen=True, eq=False)
class Generations:
    """Evolved births by generation, where any was ok; best and mean of each, in rising order."""

    generations: Ints
    best: Floats
    mean: Floats


@dataclass(frozen=True)
class Cause:
    """Why births came to nothing: one reason, its numbers and quotations left out."""

    status: str
    reason: str
    count: int
    example: int  # the first such birth


@dataclass(frozen=True, eq=False)
class Findings:
    """A run's numbers.

    Attributes:
        run: The run.
        counts: Of its births.
        table: Its births.
        shown: Name of the value that ranks births: the total, or a term where the run has no weights; None without.
        values: (N,) that value; NaN where there is none, as where a term of the total could not be judged.
        evolved: Every birth but the control arm's.
        control: The control arm.
        budget: Births of each arm in the comparison under equal budget.
        credits: By operator, the best mean first; the control arm is among them.
        generations: Of ``shown``.
        by_term: Generations of every term, when there are several.
        causes: Of rejections and failures, the most frequent first.
        seconds: Of work, as the runner counts it; where it did not, from the beginning to the last result, pauses and
            all. None before.
    """

    run: Run
    counts: browse.Counts
    table: Columns
    shown: str | None
    values: Floats
    evolved: Arm
    control: Arm
    budget: int
    credits: tuple[Credit, ...]
    generations: Generations
    by_term: Mapping[str, Generations]
    causes: tuple[Cause, ...]
    seconds: float | None

    def advantage(self) -> tuple[float, float] | None:
        """Best of the evolved arm and of the control arm under equal budget; None when one has none."""
        evolved, control = self.evolved.best_after(self.budget), self.control.best_after(self.budget)
        return None if evolved is None or control is None else (evolved, control)


def find(lineage: LineageReader, run_id: int, *, measures: Sequence[str] = ()) -> Findings:
    """Reads a run's numbers.

    Args:
        lineage: The file.
        run_id: The run.
        measures: Names of measures that are needed besides.

    Raises:
        LineageError: ``missing`` when there is no such run.
    """
    run = lineage.run(run_id)
    names = browse.terms(lineage, run_id)
    terms = [name for name in names if name != TOTAL][:MAX_TERMS]
    shown = TOTAL if TOTAL in names else terms[0] if terms else None
    table = columns(lineage, run_id, terms=terms, measures=measures)
    values = np.full(len(table), np.nan)
    if shown is not None:
        values = table.totals if shown == TOTAL else np.asarray(table.terms[shown])
    control = table.made_by(CONTROL)
    told = ~table.is_status("pending")
    arms = [_arm(table, values, told & ~control), _arm(table, values, told & control)]
    return Findings(
        run=run,
        counts=browse.counts(lineage, run_id),
        table=table,
        shown=shown,
        values=values,
        evolved=arms[0],
        control=arms[1],
        budget=min(map(len, arms)),
        credits=_credits(lineage, run_id, table, values, shown),
        generations=_generations(table, values, ~control),
        by_term={name: _generations(table, table.terms[name], ~control) for name in terms} if len(terms) > 1 else {},
        causes=_causes(lineage, run_id),
        seconds=_seconds(run, table),
    )


def best_births(findings: Findings, count: int, *, arm: str = "evolved") -> list[int]:
    """The births of an arm with the best values, best first, the earlier before the later."""
    of = findings.control if arm == CONTROL else findings.evolved
    known = np.flatnonzero(~np.isnan(of.values))
    ranked = known[np.argsort(-of.values[known], kind="stable")][:count]
    return [int(birth) for birth in of.births[ranked]]


def _arm(table: Columns, values: Floats, members: NDArray[np.bool_]) -> Arm:
    own = values[members]
    running = np.maximum.accumulate(np.where(np.isnan(own), -np.inf, own))
    return Arm(table.births[members], own, np.where(np.isinf(running), np.nan, running))


def _credits(
    lineage: LineageReader, run_id: int, table: Columns, values: Floats, shown: str | None
) -> tuple[Credit, ...]:
    kept = browse.operator_statistics(lineage, run_id, shown or TOTAL)
    credits = []
    for index, name in enumerate(table.operator_names):
        own = values[table.operators == index]
        own = own[~np.isnan(own)]
        versions = [one for one in kept if one.operator == name]
        compared = sum(one.compared for one in versions)
        gain = sum((one.mean_gain or 0.0) * one.compared for one in versions)
        spread = len(own) >= _LEAST_FOR_INTERVAL
        credits.append(
            Credit(
                name,
                asked=sum(one.counts.asked for one in versions),
                ok=sum(one.counts.ok for one in versions),
                rejected=sum(one.counts.rejected for one in versions),
                failed=sum(one.counts.failed for one in versions),
                compared=compared,
                better=sum(one.better for one in versions),
                mean_gain=gain / compared if compared else None,
                mean=float(own.mean()) if len(own) else None,
                half_width=_CONFIDENCE * float(own.std(ddof=1)) / math.sqrt(len(own)) if spread else None,
                best=float(own.max()) if len(own) else None,
            )
        )
    return tuple(sorted(credits, key=lambda one: -math.inf if one.mean is None else one.mean, reverse=True))


def _generations(table: Columns, values: Floats, members: NDArray[np.bool_]) -> Generations:
    known = members & ~np.isnan(values)
    numbers, place = np.unique(table.generations[known], return_inverse=True)
    best = np.full(len(numbers), -np.inf)
    np.maximum.at(best, place, values[known])
    sums = np.bincount(place, values[known], minlength=len(numbers))
    return Generations(numbers, best, sums / np.maximum(np.bincount(place, minlength=len(numbers)), 1))


def _seconds(run: Run, table: Columns) -> float | None:
    worked = run.execution.get("worked_s")
    if isinstance(worked, (int, float)) and 0 < worked < math.inf:
        return float(worked)
    return None if np.isnan(table.told_at).all() else float(np.nanmax(table.told_at)) - run.created_at


def _causes(lineage: LineageReader, run_id: int) -> tuple[Cause, ...]:
    grouped: dict[tuple[str, str], Cause] = {}
    for status, reason, count, first in browse.reasons(lineage, run_id):
        plain = _PARTICULARS.sub("…", reason[:400])
        before = grouped.get((status, plain))
        total = count + (0 if before is None else before.count)
        example = first if before is None else min(first, before.example)
        grouped[status, plain] = Cause(status, plain, total, example)
    return tuple(sorted(grouped.values(), key=lambda one: (-one.count, one.example)))
