"""How the run went, step by step: best, median, diversity, coverage, the control arm, credit of operators.

Curves say what was known at each step; when a preference model has learned and totals change, the past stays as it was
drawn and `Curves.rescored` says where. The comparison with the control arm is by equal budget: the best of the first n
births of each arm, by the totals of today.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from experiments.board.births import Births
from experiments.board.measures import Measures
from experiments.board.model import Model
from experiments.board.voice_map import VoiceMap
from experiments.events import Begun, Committed, Event, Rescored, Told

Float64Array = NDArray[np.float64]

MOST_POINTS = 800  # of a curve that is drawn; more than a plot is wide helps nobody
_LIVING_SAMPLED = 512  # members whose measures diversity looks at


@dataclass(frozen=True, eq=False)
class Curve:
    """Points to draw, at most `MOST_POINTS`; finite.

    Attributes:
        name: What it shows.
        births: (N,) number of births by then.
        values: (N,)
    """

    name: str
    births: Float64Array
    values: Float64Array


@dataclass(frozen=True)
class OperatorCredit:
    """What came of an operator's children.

    Attributes:
        name: Of the operator; also ``founder``, ``immigrant``, ``control``, ``by hand``.
        births: That were told.
        ok: Of them, judged fit.
        improved: Of those with parents and ok, better than the first parent.
        compared: Those with parents and ok, whose parent is ok too.
        gain: Mean total less the first parent's; None when nothing could be compared.
        mean_total: Of the ok ones; None when there is none.
        taken_in: Taken into the population.
    """

    name: str
    births: int
    ok: int
    improved: int
    compared: int
    gain: float | None
    mean_total: float | None
    taken_in: int

    @property
    def improved_share(self) -> float:
        """Of those that could be compared."""
        return self.improved / self.compared if self.compared else 0.0


@dataclass
class _Tally:
    births: int = 0
    ok: int = 0
    improved: int = 0
    compared: int = 0
    gain: float = 0.0
    total: float = 0.0
    taken_in: int = 0

    def add(self, total: float | None, parent: float | None) -> None:
        self.births += 1
        if total is None:
            return
        self.ok += 1
        self.total += total
        if parent is not None:
            self.compared += 1
            self.gain += total - parent
            self.improved += total > parent


@dataclass(frozen=True)
class Contest:
    """Evolution against chance under equal budget.

    Attributes:
        births: Of each arm.
        evolved: Best total of that many evolved births; None when none was ok.
        control: Best total of that many births of the control arm; None when none was ok.
    """

    births: int
    evolved: float | None
    control: float | None

    @property
    def sentence(self) -> str:
        """In words."""
        if not self.births:
            return "no births to compare yet"
        told = f"after {self.births} births each"
        if self.evolved is None or self.control is None:
            missing = [arm for arm, best in (("evolved", self.evolved), ("control", self.control)) if best is None]
            return f"no fit birth in {' and '.join(missing)} {told}"
        lead = self.evolved - self.control
        word = "evolution leads" if lead > 0 else "chance leads" if lead < 0 else "even"
        return f"{word} by {abs(lead):.3f} {told}: best {self.evolved:.3f}, control {self.control:.3f}"


class Curves(Model):
    """Everything that is drawn against births.

    Attributes:
        births: Facts of births.
        rescored: Numbers of births by which totals were changed.
    """

    def __init__(self, births: Births, measures: Measures, voice_map: VoiceMap) -> None:
        super().__init__()
        self.births = births
        self._measures = measures
        self._map = voice_map
        self._clear()

    def _clear(self) -> None:
        self.rescored: list[int] = []
        self._steps = 0
        self._told = 0
        self._tallies: dict[str, _Tally] = {}

    def apply(self, event: Event) -> None:
        """Takes in results and steps."""
        match event:
            case Begun():
                self._clear()
            case Told():
                self._tell(event)
            case Committed():
                self._step(event)
            case Rescored():
                self._rescore()
            case _:
                return
        self.changed()

    def curve(self, name: str) -> Curve:
        """``best``, ``median`` of the living, ``step best``, ``diversity`` or ``coverage``; without unknown points."""
        register = self.births.register
        return _thinned(name, register.points("births", self._steps), register.points(name, self._steps))

    def arms(self) -> tuple[Curve, Curve]:
        """Best so far of the evolved and of the control arm, each against the births of that arm."""
        return self._best_of(False, "evolved"), self._best_of(True, "control")

    def control(self) -> Curve:
        """The control arm's best so far, against the births of the run."""
        numbers, totals = self._arm(True)
        return _thinned("control", numbers, _best_so_far(totals))

    def contest(self) -> Contest:
        """The two arms under equal budget."""
        arms = [self._arm(control)[1] for control in (False, True)]
        births = min(map(len, arms))
        totals = [arm[:births] for arm in arms]
        best = [None if np.isnan(arm).all() else float(np.nanmax(arm)) for arm in totals]
        return Contest(births, best[0], best[1])

    def credits(self) -> tuple[OperatorCredit, ...]:
        """All operators, the one with the most births first."""
        made = []
        for name, tally in self._tallies.items():
            gain = tally.gain / tally.compared if tally.compared else None
            mean = tally.total / tally.ok if tally.ok else None
            made.append(OperatorCredit(name, tally.births, tally.ok, tally.improved, tally.compared, gain, mean,
                                       tally.taken_in))  # fmt: skip
        return tuple(sorted(made, key=lambda one: (-one.births, one.name)))

    def _arm(self, control: bool) -> tuple[Float64Array, Float64Array]:
        """Numbers and totals of today in the order of birth, which does not depend on the number of workers."""
        chosen = self.births.register.control(0, self.births.told) == control
        numbers, totals = self.births.numbers()[chosen].astype(np.float64), self.births.totals()[chosen]
        order = np.argsort(numbers)
        return numbers[order], totals[order]

    def _tell(self, event: Told) -> None:
        if self.births.told > self._told:
            self._told = self.births.told
            tally = self._tallies.setdefault(event.candidate.operator, _Tally())
            tally.add(event.total, self._parent_total(event.candidate.birth))

    def _parent_total(self, birth: int) -> float | None:
        parent = self.births.register.first_parent(birth)
        return self.births.total(parent) if parent in self.births else None

    def _step(self, event: Committed) -> None:
        for birth, became in event.became.items():
            if became and birth in self.births:
                self._tallies.setdefault(self.births[birth].operator, _Tally()).taken_in += 1
        known = [self.births.total(one) for one in event.population if one in self.births]
        totals = [total for total in known if total is not None]
        best = None if event.best is None or event.best not in self.births else self.births.total(event.best)
        points = {
            "births": float(self._told),
            "best": np.nan if best is None else best,
            "median": float(np.median(totals)) if totals else np.nan,
            "step best": np.nan if event.generation_best is None else event.generation_best,
            "diversity": self._diversity(event.population),
            "coverage": self._map.coverage(),
        }
        self.births.register.draw(self._steps, points)
        self._steps += 1

    def _diversity(self, population: Sequence[int]) -> float:
        """Spread of the living against the spread of all births, over all measures; about 1 before selection acts."""
        rows = self._measures.rows(tuple(population[:: max(1, len(population) // _LIVING_SAMPLED)]))
        if len(rows) < 2:
            return float("nan")
        table = self._measures.table(rows).astype(np.float64)
        deviation = self._measures.deviations()
        whole = ~np.isnan(table).any(axis=0) & (deviation > 1e-9)
        if not whole.any():
            return float("nan")
        return float(np.mean(table[:, whole].std(axis=0) / deviation[whole]))

    def _rescore(self) -> None:
        self.rescored.append(self._told)
        register, count = self.births.register, self.births.told
        numbers, totals = self.births.numbers(), self.births.totals()
        by_number = np.full(int(numbers.max(initial=0)) + 1, np.nan)
        by_number[numbers] = totals
        parents = register.first_parents(0, count)
        gains = totals - by_number[np.where(parents < len(by_number), parents, 0)]  # nobody is number 0
        for name, own in register.operators(0, count).items():
            tally = self._tallies.setdefault(name, _Tally())
            ok, compared = own & ~np.isnan(totals), own & ~np.isnan(gains)
            tally.births, tally.ok, tally.compared = int(own.sum()), int(ok.sum()), int(compared.sum())
            tally.improved = int((gains[compared] > 0).sum())
            tally.gain, tally.total = float(gains[compared].sum()), float(totals[ok].sum())

    def _best_of(self, control: bool, name: str) -> Curve:
        _, totals = self._arm(control)
        return _thinned(name, np.arange(1.0, len(totals) + 1), _best_so_far(totals))


def _best_so_far(totals: Float64Array) -> Float64Array:
    if not totals.size:
        return totals
    best = np.maximum.accumulate(np.where(np.isnan(totals), -np.inf, totals))
    return np.where(np.isinf(best), np.nan, best)


def _thinned(name: str, births: Float64Array, values: Float64Array) -> Curve:
    known = np.isfinite(values)
    births, values = births[known], values[known]
    if len(births) > MOST_POINTS:
        chosen = np.unique(np.linspace(0, len(births) - 1, MOST_POINTS).astype(int))
        births, values = births[chosen], values[chosen]
    return Curve(name, births.copy(), values.copy())


Ranking = Callable[[OperatorCredit], float]
RANKINGS: Mapping[str, Ranking] = MappingProxyType(
    {
        "births": lambda one: float(one.births),
        "improved share": lambda one: one.improved_share,
        "mean gain": lambda one: one.gain or 0.0,
    }
)
"""What the bars of operators show, by name."""
