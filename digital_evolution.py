"""Evolution of voices and prompts: genomes, candidates, and the swarm that breeds them.

A `Swarm` is a population of individuals with heritable genomes. It asks for candidates to be rendered and judged
elsewhere, and is told what came of them::

    swarm = Swarm([Genome("Good morning.")], {"prompt": operators}, MuPlusLambda(8))
    for candidate in swarm.ask(4):
        swarm.tell(candidate, Evaluation("ok", (0.7,)))

**The rule of steps** makes a run the same for every batch size, number of workers and order of tells. Births are
numbered from 1 and belong to steps of ``step_size``. A step is planned as a whole at one fixed point: when all births
of the step ``lag + 1`` before it are told. Results are applied step by step, in birth order, and only then. Asking
hands out what is planned and decides nothing. All randomness of a birth comes from the run's seed and its number, so
no generator's state can be lost: telling a fresh swarm the same results rebuilds it (`Swarm.replay`).

The parts are in `evolution`, and can all be imported from here. Light module: numpy, no torch, no files.
"""

from __future__ import annotations

import dataclasses
import logging
import math
import re
from array import array
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from bark_infinity.error_handling import BarkError
from bark_infinity.variation import Operator
from evolution.genome import Candidate, Draft, Gene, Genome, Parent, Rng, Role, short_hash
from evolution.individuals import AddStatus, Evaluation, Individual, Status
from evolution.selection import (
    NSGA2,
    Algorithm,
    CategoryAxis,
    GridAxis,
    Islands,
    MapElites,
    MuPlusLambda,
    Novelty,
    at_least,
    pareto_ranking,
)
from evolution.variation import Immigrate, immigrants, remake, vary

__all__ = [
    "NSGA2",
    "AddStatus",
    "Algorithm",
    "Candidate",
    "CategoryAxis",
    "Draft",
    "Evaluate",
    "Evaluation",
    "Gene",
    "Genome",
    "GridAxis",
    "Immigrate",
    "Individual",
    "Islands",
    "MapElites",
    "MuPlusLambda",
    "Novelty",
    "Parent",
    "Role",
    "Status",
    "Stop",
    "Swarm",
    "SwarmSettings",
    "immigrants",
    "pareto_ranking",
    "remake",
    "vary",
]

logger = logging.getLogger(__name__)

_OWN = ("founder", "immigrant", "control")  # what candidates without parents are made by
_SEED, _VARIATION = 0, 1  # what a birth's random numbers are for
_MOST_EDITS = 4.0
_RANGES = (
    *(("seed", 0, 2**63), ("step_size", 1, 1e6), ("lag", 0, 100), ("initial", 0, 1e6), ("attempts", 1, 1000)),
    *((name, 0, 1) for name in ("control_share", "immigrant_share", "floor", "discount", "rate_drift")),
    ("rate", 1, _MOST_EDITS),
)


@dataclass(frozen=True)
class SwarmSettings:
    """What decides a run besides founders, operators and algorithm."""

    seed: int = 0
    step_size: int = 8  # births planned at once; with lag 0 the most that can be evaluated at the same time
    lag: int = 0  # steps under way besides the oldest: 1 keeps workers busy while a step's last results come in
    weights: tuple[float, ...] = (1.0,)  # of the objectives, for the one number `fitness`
    initial: int = 0  # births before variation begins: founders, then immigrants up to this number
    control_share: float = 0.2  # of all births: the control arm, immigrants that never breed
    immigrant_share: float = 0.05  # of the other births: immigrants that may breed
    floor: float = 0.03  # least probability of every operator, at most half of an equal share
    discount: float = 0.98  # what an operator's credit is worth after one more child of it
    rate: float = 1.25  # mean number of times that an edit is applied to a founder's children
    rate_drift: float = 0.3  # standard deviation of ln(child's rate / parent's rate); 0 keeps the rate
    attempts: int = 8  # to make a child that was not born before

    def __post_init__(self) -> None:
        for name, least, most in _RANGES:
            if not least <= getattr(self, name) <= most:
                raise BarkError(f"{name} is {getattr(self, name)}, expected a number from {least:g} to {most:g}")
        if not self.weights or not min(self.weights) >= 0 or not 0 < sum(self.weights) < math.inf:
            raise BarkError(f"weights are {self.weights}, expected numbers of at least 0 that are not all 0")


@dataclass(frozen=True)
class Stop:
    """When a run is over: as soon as one of these limits is reached, by its complete steps; None is no limit."""

    evaluations: int | None = None  # results, failures and the control arm included
    hours: float | None = None  # on the clock of whoever runs it
    target: float | None = None  # fitness of the best evolved individual
    stagnation: int | None = None  # evolved ok individuals in a row that were no better than the best; not failures

    def reason(self, swarm: Swarm, hours: float = 0.0) -> str | None:
        """Why the run is over; None while it is not."""
        best = -math.inf if swarm.best is None else swarm.best.fitness
        reached = (
            (swarm.committed, self.evaluations, "evaluations are done"),
            (hours, self.hours, "hours are over"),
            (best, self.target, "is the fitness that was wanted"),
            (swarm.stagnation, self.stagnation, "individuals in a row were no better than the best"),
        )
        return next((f"{limit:g} {what}" for now, limit, what in reached if limit is not None and now >= limit), None)


Evaluate = Callable[[Candidate], "Evaluation | tuple[Candidate, Evaluation]"]  # with what its voice was rendered to


@dataclass(frozen=True)
class _Birth:
    candidate: Candidate
    reference: float | None = None  # its first parent's fitness


class Swarm:
    """A population that evolves by the rule of steps above.

    Args:
        founders: Born first, in this order; equal ones once.
        operators: By the gene they vary, then by name. Voice operators wait for parents that have a voice; those of
            no parents make immigrants.
        algorithm: A fresh one.
        settings: None takes the defaults.
        immigrate: Makes immigrants and the control arm; None takes `immigrants` of these founders and operators.
        keeps_words: Names of the prompt operators that genomes with a content lock allow.

    Raises:
        BarkError: When founders are missing or two operators share a name.
    """

    def __init__(
        self,
        founders: Sequence[Genome],
        operators: Mapping[Gene, Mapping[str, Operator[Any]]],
        algorithm: Algorithm,
        settings: SwarmSettings | None = None,
        *,
        immigrate: Immigrate | None = None,
        keeps_words: Collection[str] = (),
    ) -> None:
        at_least("number of founders", len(founders), 1)
        self.settings = settings or SwarmSettings()
        self.algorithm = algorithm
        self.best: Individual | None = None  # of the evolved
        self.stagnation = 0  # evolved ok individuals since then
        self.committed = 0  # births whose results are applied
        given = [(gene, operator) for gene, group in operators.items() for operator in group.values()]
        self._operators = {operator.name: (gene, operator) for gene, operator in given if operator.arity}
        if len({one.name for _, one in given}) < len(given) or set(self._operators) & set(_OWN):
            raise BarkError(f"operators are called {[one.name for _, one in given]}, expected unique names, not {_OWN}")
        self.statistics: dict[str, Counter[str]] = {name: Counter() for name in (*_OWN, *self._operators)}
        self._credit = {name: (0.0, 0.0) for name in self._operators}  # discounted sum of credit, and of children
        self._founders = list({genome.sha256: genome for genome in founders}.values())
        self._immigrate = immigrate or immigrants(self._founders, [one for one in given if not one[1].arity])
        self._keeps_words = frozenset(keeps_words)
        self._planned: dict[int, _Birth] = {}  # births that are not committed, whole steps of them
        self._told: dict[int, tuple[Candidate, Evaluation]] = {}  # of those
        self._unasked: deque[int] = deque()
        self._planted: dict[int, list[Genome]] = {}  # by step
        self._adults: dict[int, Candidate] = {}  # founders, the parents while nobody lives
        self._curves = {"evolved": array("d"), "control": array("d")}  # best fitness by birth; -inf before the first
        self._seen: set[int] = set()  # genomes, by 60 bits of their hashes
        self._statuses = array("b")  # of committed births
        self._lines = array("Q")  # first parents of planned births, 0 for none
        self._steps = 0  # planned
        for _ in range(self.settings.lag + 1):
            self._plan_step()

    # -- asking and telling -------------------------------------------------------------------------------------

    def ask(self, n: int) -> list[Candidate]:
        """The next candidates to evaluate, at most n; none while the next step waits for results of this one."""
        asked: list[Candidate] = []
        while self._unasked and len(asked) < n:
            birth = self._unasked.popleft()
            if birth in self._planned and birth not in self._told:
                asked.append(self._planned[birth].candidate)
        return asked

    def tell(self, candidate: Candidate, evaluation: Evaluation) -> AddStatus:
        """Takes a result, in any order; telling a birth again changes nothing.

        Args:
            candidate: As asked for; when it had no voice, it may have the one that was rendered for it.
            evaluation: What came of it.

        Returns:
            ``WAITING`` until all of the birth's step are told, then what became of it. The last of a step to be told
            commits the step; `status` knows the others.

        Raises:
            BarkError: When this candidate was not planned, is told ok without the voice that it should have by now, or
                without one objective for every weight. Nothing is changed then.
        """
        birth = candidate.birth
        if birth not in self._planned or birth in self._told:
            return self.status(birth)
        planned = self._planned[birth].candidate
        voice = candidate.genome.voice if planned.genome.voice is None else None
        whole = planned if voice is None else planned.with_voice(voice)
        if candidate.genome.sha256 != whole.genome.sha256 or candidate.operator != planned.operator:
            raise BarkError(f"birth {birth} was planned as {planned.operator} {planned.genome.sha256[:12]}, told was "
                            f"{candidate.operator} {candidate.genome.sha256[:12]}; were founders, settings or "
                            "operators changed since this run began?")  # fmt: skip
        if evaluation.status == "ok" and whole.render_first is not None:
            raise BarkError(f"birth {birth} is told ok without its voice; render render_first, tell its with_voice()")
        if evaluation.status == "ok" and len(evaluation.objectives) != len(self.settings.weights):
            raise BarkError(f"birth {birth} has {len(evaluation.objectives)} objectives, expected "
                            f"{len(self.settings.weights)}, one per weight")  # fmt: skip
        self._told[birth] = (whole, evaluation)
        while all(first in self._told for first in self._oldest_step()):
            self._commit(self._oldest_step())
        return self.status(birth)

    def status(self, birth: int) -> AddStatus:
        """What became of a birth.

        Raises:
            BarkError: When it is not planned yet.
        """
        if not 0 < birth <= len(self._lines):
            raise BarkError(f"birth {birth} is not planned; planned are 1 to {len(self._lines)}")
        return AddStatus(self._statuses[birth - 1]) if birth <= self.committed else AddStatus.WAITING

    def plant(self, genome: Genome) -> int:
        """Lets a person's genome be born as a founder in the next step that is planned.

        Returns:
            The number of that step, from 1, which `replay` needs.
        """
        self._planted.setdefault(self._steps + 1, []).append(genome)
        return self._steps + 1

    def replay(
        self,
        told: Iterable[tuple[Candidate, Evaluation]],
        planted: Mapping[int, Sequence[Genome]] = MappingProxyType({}),
    ) -> Swarm:
        """Brings a fresh swarm of the same arguments to where another was when it had been told all this, in any order.

        What was asked but not told is asked again: its worker may be dead. ``planted`` holds genomes by step.

        Raises:
            BarkError: When a result does not belong to this run.
        """
        for step, genomes in planted.items():
            self._planted.setdefault(step, []).extend(genomes)
        waiting = {candidate.birth: (candidate, evaluation) for candidate, evaluation in told}
        while ready := [waiting.pop(birth) for birth in list(self._planned) if birth in waiting]:
            for candidate, evaluation in ready:
                self.tell(candidate, evaluation)
        if waiting:
            raise BarkError(f"births {sorted(waiting)[:5]} were told, but results that they depend on are missing")
        return self

    # -- watching -----------------------------------------------------------------------------------------------

    def against_control(self) -> tuple[int, float, float]:
        """(births of each arm, best evolved fitness, best of control) under equal budget; -inf where none was ok."""
        births = min(map(len, self._curves.values()))
        evolved, control = (curve[births - 1] if births else -math.inf for curve in self._curves.values())
        return births, evolved, control

    def primary_line(self, birth: int) -> list[int]:
        """The birth, its first parent, that one's first parent, and so on to a founder or immigrant."""
        line = [birth]
        while parent := self._lines[line[-1] - 1]:
            line.append(parent)
        return line

    def trait_distribution(self) -> dict[str, Counter[str]]:
        """How many of those alive have which operator, generation, island, voice, prompt tag."""
        traits: dict[str, Counter[str]] = {
            name: Counter() for name in ("operator", "generation", "island", "voice", "tag")
        }
        for one in (individual.candidate for individual in self.algorithm.members()):
            traits["voice"]["none" if one.genome.voice is None else one.genome.voice.label] += 1
            traits["tag"].update(set(re.findall(r"\[[^\[\]]+\]|♪", one.genome.prompt)))
            for name in ("operator", "generation", "island"):
                traits[name][str(getattr(one, name))] += 1
        return traits

    def operator_probabilities(self) -> dict[str, float]:
        """How likely each operator is next: a floor for all, the rest in proportion to recent mean credit."""
        floor = min(self.settings.floor, 0.5 / max(len(self._credit), 1))
        means = {name: (gain + 0.5) / (children + 1) for name, (gain, children) in self._credit.items()}
        rest = (1 - floor * len(means)) / max(sum(means.values()), 1e-12)
        return {name: floor + rest * mean for name, mean in means.items()}

    # -- evolving in one call -----------------------------------------------------------------------------------

    def step(self, evaluate: Evaluate) -> None:
        """Evaluates all that can be asked for now; an exception in ``evaluate`` is a failed candidate."""
        candidates = self.ask(self.settings.step_size * (self.settings.lag + 1))
        if not candidates:
            raise BarkError(f"births from {self.committed + 1} on were asked for elsewhere; tell them, then step again")
        for candidate in candidates:
            try:
                came = evaluate(candidate)
            except Exception:
                logger.exception("birth %d could not be evaluated", candidate.birth)
                came = Evaluation("failed")
            self.tell(*(came if isinstance(came, tuple) else (candidate, came)))

    def evolve(self, evaluate: Evaluate, stop: Stop, clock: Callable[[], float] = lambda: 0.0) -> str:
        """Steps until ``stop`` says why it is over, which is returned; ``clock`` tells the hours."""
        while (reason := stop.reason(self, clock())) is None:
            self.step(evaluate)
        return reason

    # -- the state, which only changes here ---------------------------------------------------------------------

    def _oldest_step(self) -> range:
        return range(self.committed + 1, self.committed + 1 + self.settings.step_size)

    def _commit(self, births: Iterable[int]) -> None:
        own = [(self._planned.pop(birth), *self._told.pop(birth)) for birth in births]
        judged = [self._judged(candidate, evaluation) for _, candidate, evaluation in own]
        bred = [one for one in judged if one is not None and one.candidate.operator != "control"]
        became = dict(zip((one.birth for one in bred), self.algorithm.commit(bred), strict=True))
        for (planned, candidate, evaluation), individual in zip(own, judged, strict=True):
            status = became.get(candidate.birth, AddStatus.NOT_ADDED)
            better = individual is not None and planned.reference is not None and individual.fitness > planned.reference
            counts = self.statistics[candidate.operator]
            counts[evaluation.status] += 1
            counts["added"] += bool(status)
            counts["improved"] += better
            self._reward(candidate.operator, (bool(status) + (bool(status) and better)) / 2)
            curve = self._curves["control" if candidate.operator == "control" else "evolved"]
            before = curve[-1] if curve else -math.inf
            curve.append(before if individual is None else max(before, individual.fitness))
            if individual is not None and candidate.operator != "control":
                record = individual.fitness > before
                self.best, self.stagnation = (individual, 0) if record else (self.best, self.stagnation + 1)
            if candidate.birth in self._adults:
                self._adults[candidate.birth] = candidate
            if candidate.render_first is None:
                self._seen.add(short_hash(candidate.genome))  # its voice may have been rendered since
            self._statuses.append(status)
            self.committed += 1
        self._plan_step()

    def _reward(self, name: str, credit: float) -> None:
        if name in self._credit:
            gain, children = (self.settings.discount * past for past in self._credit[name])
            self._credit[name] = (gain + credit, children + 1)

    def _judged(self, candidate: Candidate, evaluation: Evaluation) -> Individual | None:
        if evaluation.status != "ok":
            return None
        weights = self.settings.weights
        total = math.fsum(weight * value for weight, value in zip(weights, evaluation.objectives, strict=True))
        return Individual(candidate, evaluation, total / math.fsum(weights))

    def _plan_step(self) -> None:
        self._steps += 1
        planted = deque(self._planted.pop(self._steps, ()))
        for birth in range(len(self._lines) + 1, len(self._lines) + 1 + self.settings.step_size):
            planned = self._plan(birth, planted)
            candidate = planned.candidate
            self.statistics[candidate.operator]["births"] += 1
            if candidate.birth in self._adults:
                self._adults[candidate.birth] = candidate
            if candidate.render_first is None:
                self._seen.add(short_hash(candidate.genome))
            self._planned[birth] = planned
            self._lines.append(candidate.parents[0].birth if candidate.parents else 0)
            self._unasked.append(birth)
        if planted:  # more than a step can hold
            self._planted[self._steps + 1] = [*planted, *self._planted.get(self._steps + 1, ())]

    def _plan(self, birth: int, planted: deque[Genome]) -> _Birth:
        rng = self._rng(birth, _VARIATION)
        controls = math.floor(birth * self.settings.control_share)
        bred = birth - controls  # its number among those that are not of the control arm
        born: dict[str, Any] = {"birth": birth, "island": bred % self.algorithm.n_islands, "rate": self.settings.rate}
        born["seed"] = int(self._rng(birth, _SEED).integers(2**63))
        if controls > math.floor((birth - 1) * self.settings.control_share):
            return _Birth(_born(self._immigrate(rng), operator="control", **born))
        if bred <= len(self._founders) or planted:
            genome = self._founders[bred - 1] if bred <= len(self._founders) else planted.popleft()
            self._adults[birth] = _born(Draft(genome), operator="founder", **born)
            return _Birth(self._adults[birth])
        if bred > self.settings.initial and rng.random() >= self.settings.immigrant_share:
            unfit: set[str] = set()
            for attempt in range(self.settings.attempts):
                if child := self._child(rng, born, unfit, attempt // 2):  # all around was born: go further away
                    return child
        return _Birth(_born(self._immigrate(rng), operator="immigrant", **born))

    def _child(self, rng: Rng, born: dict[str, Any], unfit: set[str], further: int) -> _Birth | None:
        """One attempt; None when it repeats a birth, or when an operator (now ``unfit``) cannot vary these parents."""
        most = max((operator.arity for _, operator in self._operators.values()), default=1)
        living = self.algorithm.parents(most, rng, born["island"])
        parents = [one.candidate for one in living]
        if not self.algorithm.members():
            # A voice that is still to come cannot be inherited.
            adults = [
                one for one in self._adults.values() if one.birth <= self.committed or one.genome.voice is not None
            ]
            parents = [adults[int(at)] for at in rng.permutation(len(adults))[:most]]
        odds = {name: p for name, p in self.operator_probabilities().items() if name not in unfit}
        odds = {name: p for name, p in odds.items() if self._may_vary(name, [parent.genome for parent in parents])}
        if not odds:
            return None
        name = str(rng.choice(list(odds), p=np.array(list(odds.values())) / sum(odds.values())))
        gene, operator = self._operators[name]
        parents = parents[: operator.arity]
        rate = parents[0].rate * math.exp(self.settings.rate_drift * rng.standard_normal())
        rate = min(max(rate, 1.0), _MOST_EDITS)
        times = 1 + int(rng.poisson(rate - 1)) + further
        try:
            draft = vary(gene, operator, [parent.genome for parent in parents], rng, times)
        except BarkError:
            self.statistics[name]["inapplicable"] += 1
            unfit.add(name)
            return None
        if draft.render_first is None and short_hash(draft.genome) in self._seen:
            self.statistics[name]["duplicates"] += 1
            self._reward(name, 0.0)
            return None
        roles: tuple[Role, ...] = ("first", "second")
        line = tuple(Parent(one.birth, roles[i] if i < 2 else "donor") for i, one in enumerate(parents))
        generation = 1 + max(parent.generation for parent in parents)
        made = {"operator": name, "operator_version": operator.version, "parents": line, "generation": generation}
        return _Birth(_born(draft, **{**born, "rate": rate, **made}), living[0].fitness if living else None)

    def _may_vary(self, name: str, parents: Sequence[Genome]) -> bool:
        gene, operator = self._operators[name]
        if len(parents) < operator.arity or (gene == "voice" and any(one.voice is None for one in parents)):
            return False
        return gene != "prompt" or name in self._keeps_words or not parents[0].content_lock

    def _rng(self, birth: int, purpose: int) -> Rng:
        return np.random.default_rng(np.random.SeedSequence(self.settings.seed, spawn_key=(birth, purpose)))


def _born(draft: Draft, *, seed: int, **facts: Any) -> Candidate:
    render = draft.render_first and dataclasses.replace(draft.render_first, seed=seed)
    return Candidate(genome=draft.genome, render_first=render, parameters=draft.parameters, seed=seed, **facts)
