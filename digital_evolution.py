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
no generator's state can be lost: telling a fresh swarm the same results rebuilds it (`Swarm.replay`). What people do
to it (`Swarm.intervene`) takes effect when a step is planned, too.

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
from evolution.contest import Contest
from evolution.credit import OperatorCredit
from evolution.genome import Candidate, Draft, Gene, Genome, Parent, Rng, Role, short_hash
from evolution.individuals import AddStatus, Evaluation, Individual, Status
from evolution.interventions import Breed, Intervention, Pin, Plant, Revise, Unpin
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
    "Breed",
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
    "Intervention",
    "Islands",
    "MapElites",
    "MuPlusLambda",
    "Novelty",
    "Parent",
    "Pin",
    "Plant",
    "Revise",
    "Role",
    "Status",
    "Stop",
    "Swarm",
    "SwarmSettings",
    "Unpin",
    "immigrants",
    "pareto_ranking",
    "remake",
    "vary",
]

logger = logging.getLogger(__name__)

_BY_HAND = "by hand"
_OWN = ("founder", "immigrant", "control", _BY_HAND)  # what candidates that no operator made are made by
_SEED, _VARIATION = 0, 1  # what a birth's random numbers are for
_MOST_EDITS = 4.0
_RANGES = (
    *(("seed", 0, 2**64 - 1), ("step_size", 1, 1e6), ("lag", 0, 100), ("initial", 0, 1e6), ("attempts", 1, 1000)),
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


class Swarm:
    """A population that evolves by the rule of steps above.

    Args:
        founders: Born first, in this order; equal ones once.
        operators: By the gene they vary, then by name. Voice operators wait for parents that have a voice; those of
            no parents make immigrants. Where there are none of these, edits of founders do.
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
        self.stagnation = 0  # evolved ok individuals since then, or since all were scored anew
        self.committed = 0  # births whose results are applied
        given = [(gene, operator) for gene, group in operators.items() for operator in group.values()]
        self._operators = {operator.name: (gene, operator) for gene, operator in given if operator.arity}
        if len({one.name for _, one in given}) < len(given) or set(self._operators) & set(_OWN):
            raise BarkError(f"operators are called {[one.name for _, one in given]}, expected unique names, not {_OWN}")
        self.statistics: dict[str, Counter[str]] = {name: Counter() for name in (*_OWN, *self._operators)}
        self._credit = OperatorCredit(self._operators, self.settings.floor, self.settings.discount)
        self._contest = Contest(self.settings.control_share)
        self._founders = list({genome.sha256: genome for genome in founders}.values())
        self._keeps_words = frozenset(keeps_words)
        makers = [one for one in given if not one[1].arity]
        edits = [one for one in given if one[1].arity == 1 and one[1].cost == "edit"]
        self._immigrate = immigrate or immigrants(self._founders, makers, edits, self._may_vary)
        self._planned: dict[int, Candidate] = {}  # births that are not committed, whole steps of them
        self._told: dict[int, tuple[Candidate, Evaluation]] = {}  # of those
        self._unasked: deque[int] = deque()
        self._interventions: dict[int, list[Intervention]] = {}  # by the step in whose planning they take effect
        self._needed: Counter[int] = Counter()  # births that these name, and need
        self._held: dict[int, tuple[Candidate, Evaluation]] = {}  # of those, the committed
        self._wanted: deque[tuple[Plant | Breed, list[Candidate]]] = deque()  # to be born as soon as there is room
        self._revised: dict[int, tuple[float, ...]] = {}  # objectives of births that were scored anew
        self._adults: dict[int, Candidate] = {}  # founders, the parents while nobody lives
        self._seen: set[int] = set()  # genomes, by 60 bits of their hashes
        self._statuses = array("b")  # of committed births
        self._lines = array("Q")  # first parents of planned births, 0 for none
        self._steps = 0  # planned
        for _ in range(self.settings.lag + 1):
            self._plan_step()

    @property
    def planned(self) -> int:
        """Births planned so far, whole steps of them."""
        return len(self._lines)

    # -- asking and telling -------------------------------------------------------------------------------------

    def ask(self, n: int) -> list[Candidate]:
        """The next candidates to evaluate, at most n; none while the next step waits for results of this one."""
        asked: list[Candidate] = []
        while self._unasked and len(asked) < n:
            birth = self._unasked.popleft()
            if birth in self._planned and birth not in self._told:
                asked.append(self._planned[birth])
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
        planned = self._planned[birth]
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
        if not 0 < birth <= self.planned:
            raise BarkError(f"birth {birth} is not planned; planned are 1 to {self.planned}")
        return AddStatus(self._statuses[birth - 1]) if birth <= self.committed else AddStatus.WAITING

    def intervene(self, intervention: Intervention, told: Iterable[tuple[Candidate, Evaluation]] = ()) -> int:
        """Lets a person change the course of the run.

        Args:
            intervention: What to do. Births of the control arm may be named as well: a person's choice is not chance.
            told: Births that it names and that are dead, as they were told; read only when there are such.

        Returns:
            The number of the step, from 1, in whose planning it takes effect: the next one, or the first that is
            planned with the results of all births that it names. `replay` needs it.

        Raises:
            BarkError: When it names a birth that is not planned yet, or dead and not in ``told``, or does not give
                one objective for every weight. Nothing is changed then.
        """
        latest = max(intervention.births, default=0)
        if latest > self.planned:
            raise BarkError(f"birth {latest} is not planned; planned are 1 to {self.planned}")
        step = max(self._steps + 1, self._first_step_after(latest))
        self._require_objectives(intervention)
        known = {one.birth: (one.candidate, one.evaluation) for one in self.algorithm.members()}
        needed = [birth for birth in _needed(intervention) if birth <= self.committed and birth not in self._held]
        if not known.keys() >= set(needed):
            known = {candidate.birth: (candidate, evaluation) for candidate, evaluation in told} | known
        for birth in needed:
            if birth not in known:
                raise BarkError(f"birth {birth} is not alive; give its candidate and what came of it, as it was told")
        self._held |= {birth: known[birth] for birth in needed}
        self._schedule(step, intervention)
        return step

    def replay(
        self,
        told: Iterable[tuple[Candidate, Evaluation]],
        interventions: Mapping[int, Sequence[Intervention]] = MappingProxyType({}),
    ) -> Swarm:
        """Brings a fresh swarm of the same arguments to where another was when it had been told all this, in any order.

        What was asked but not told is asked again: its worker may be dead.

        Args:
            told: Births and what came of them.
            interventions: By the step that `intervene` returned, in the order they were given.

        Raises:
            BarkError: When a result or an intervention does not belong to this run.
        """
        for step, given in interventions.items():
            for intervention in given:
                self._require_objectives(intervention)
                if step <= self._steps or step < self._first_step_after(max(intervention.births, default=0)):
                    raise BarkError(f"{type(intervention).__name__} of births {intervention.births} cannot take effect "
                                    f"in step {step}: they have no results by then; use the step that intervene "
                                    "returned, with a fresh swarm")  # fmt: skip
        for step, given in interventions.items():
            for intervention in given:
                self._schedule(step, intervention)
        waiting: dict[int, tuple[Candidate, Evaluation]] = {}
        for candidate, evaluation in told:
            if candidate.birth <= self.planned:
                self.tell(candidate, evaluation)  # at once: a long run need not be in memory as a whole
            else:
                waiting[candidate.birth] = (candidate, evaluation)
        while ready := [waiting.pop(birth) for birth in list(self._planned) if birth in waiting]:
            for candidate, evaluation in ready:
                self.tell(candidate, evaluation)
        if waiting:
            raise BarkError(f"births {sorted(waiting)[:5]} were told, but results that they depend on are missing")
        return self

    # -- watching -----------------------------------------------------------------------------------------------

    def against_control(self) -> tuple[int, float, float]:
        """(births of each arm, best evolved fitness, best of control) under equal budget; -inf where none was ok."""
        return self._contest.standing()

    @property
    def interventions(self) -> Mapping[int, Sequence[Intervention]]:
        """Those that have not taken effect yet, by step."""
        return MappingProxyType(self._interventions)

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
        return self._credit.probabilities()

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
        own = [(self._planned.pop(birth), *self._told.pop(birth))[1:] for birth in births]
        judged = [self._judged(candidate, evaluation) for candidate, evaluation in own]
        bred = [one for one in judged if one is not None and one.candidate.operator != "control"]
        became = dict(zip((one.birth for one in bred), self.algorithm.commit(bred), strict=True))
        for (candidate, evaluation), individual in zip(own, judged, strict=True):
            status = became.get(candidate.birth, AddStatus.NOT_ADDED)
            first = self._contest.fitness(self._lines[candidate.birth - 1]) if candidate.parents else None
            better = individual is not None and first is not None and individual.fitness > first
            counts = self.statistics[candidate.operator]
            counts[evaluation.status] += 1
            counts["added"] += bool(status)
            counts["improved"] += better
            self._credit.reward(candidate.operator, (bool(status) + (bool(status) and better)) / 2)
            self._contest.add(None if individual is None else individual.fitness)
            if individual is not None and candidate.operator != "control":
                record = self.best is None or individual.fitness > self.best.fitness
                self.best, self.stagnation = (individual, 0) if record else (self.best, self.stagnation + 1)
            if candidate.birth in self._needed:
                self._held[candidate.birth] = (candidate, evaluation)
            if candidate.birth in self._adults:
                self._adults[candidate.birth] = candidate
            if candidate.render_first is None and candidate.operator != "control":
                self._seen.add(short_hash(candidate.genome))  # its voice may have been rendered since
            self._statuses.append(status)
            self.committed += 1
        self._plan_step()

    def _judged(self, candidate: Candidate, evaluation: Evaluation) -> Individual | None:
        if evaluation.status != "ok":
            return None
        if candidate.birth in self._revised:
            evaluation = dataclasses.replace(evaluation, objectives=self._revised[candidate.birth])
        return Individual(candidate, evaluation, self._fitness(evaluation.objectives))

    def _fitness(self, objectives: Sequence[float]) -> float:
        weights = self.settings.weights
        total = math.fsum(weight * value for weight, value in zip(weights, objectives, strict=True))
        return total / math.fsum(weights)

    def _plan_step(self) -> None:
        self._steps += 1
        for intervention in self._interventions.pop(self._steps, ()):
            self._take_effect(intervention)
        for birth in range(len(self._lines) + 1, len(self._lines) + 1 + self.settings.step_size):
            candidate = self._plan(birth)
            self.statistics[candidate.operator]["births"] += 1
            if candidate.birth in self._adults:
                self._adults[candidate.birth] = candidate
            if candidate.render_first is None and candidate.operator != "control":  # which stands in nobody's way
                self._seen.add(short_hash(candidate.genome))
            self._planned[birth] = candidate
            self._lines.append(candidate.parents[0].birth if candidate.parents else 0)
            self._unasked.append(birth)

    def _plan(self, birth: int) -> Candidate:
        rng = self._rng(birth, _VARIATION)
        bred = birth - self._contest.controls(birth)  # its number among those that are not of the control arm
        born: dict[str, Any] = {"birth": birth, "island": bred % self.algorithm.n_islands, "rate": self.settings.rate}
        born["seed"] = int(self._rng(birth, _SEED).integers(2**63))
        if self._contest.is_control(birth):
            return _born(self._immigrate(rng), operator="control", **born)
        if bred <= len(self._founders):
            self._adults[birth] = _born(Draft(self._founders[bred - 1]), operator="founder", **born)
            return self._adults[birth]
        if self._wanted:
            match self._wanted.popleft():
                case Plant(genome), parents:
                    self._adults[birth] = _by_hand(Draft(genome), parents, born)
                    return self._adults[birth]
                case _, parents:
                    return self._bred(parents, rng, born)
        if bred > self.settings.initial and rng.random() >= self.settings.immigrant_share:
            unfit: set[str] = set()
            for attempt in range(self.settings.attempts):
                if child := self._child(rng, born, unfit, attempt // 2):  # all around was born: go further away
                    return child
        return _born(self._immigrate(rng), operator="immigrant", **born)

    def _bred(self, parents: list[Candidate], rng: Rng, born: dict[str, Any]) -> Candidate:
        """A child of parents that a person chose."""
        for count in range(len(parents), 0, -1):
            unfit = {name for name, (_, operator) in self._operators.items() if operator.arity != count}
            for attempt in range(self.settings.attempts):
                if child := self._varied(parents[:count], rng, born, unfit, attempt // 2):
                    return child
        logger.info("births %s cannot be bred; the first is born again", [one.birth for one in parents])
        return _by_hand(Draft(parents[0].genome, parents[0].render_first), parents[:1], born)

    def _child(self, rng: Rng, born: dict[str, Any], unfit: set[str], further: int) -> Candidate | None:
        """One attempt; see `_varied`."""
        most = max((operator.arity for _, operator in self._operators.values()), default=1)
        parents = [one.candidate for one in self.algorithm.parents(most, rng, born["island"])]
        if not self.algorithm.members():
            # A voice that is still to come cannot be inherited.
            adults = [
                one for one in self._adults.values() if one.birth <= self.committed or one.genome.voice is not None
            ]
            parents = [adults[int(at)] for at in rng.permutation(len(adults))[:most]]
        return self._varied(parents, rng, born, unfit, further)

    def _varied(
        self, parents: list[Candidate], rng: Rng, born: dict[str, Any], unfit: set[str], further: int
    ) -> Candidate | None:
        """A child; None when it repeats a birth, or when an operator (now ``unfit``) cannot vary these parents."""
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
            self._credit.reward(name, 0.0)
            return None
        made = {"operator": name, "operator_version": operator.version, **_descent(parents)}
        return _born(draft, **{**born, "rate": rate, **made})

    def _may_vary(self, name: str, parents: Sequence[Genome]) -> bool:
        gene, operator = self._operators[name]
        if len(parents) < operator.arity or (gene == "voice" and any(one.voice is None for one in parents)):
            return False
        return gene != "prompt" or name in self._keeps_words or not parents[0].content_lock

    # -- what people do -----------------------------------------------------------------------------------------

    def _first_step_after(self, birth: int) -> int:
        """The first step that is planned when a birth is committed."""
        return -(-birth // self.settings.step_size) + self.settings.lag + 1 if birth else 0

    def _require_objectives(self, intervention: Intervention) -> None:
        for birth, values in intervention.objectives.items() if isinstance(intervention, Revise) else ():
            if len(values) != len(self.settings.weights):
                raise BarkError(f"birth {birth} is given {len(values)} objectives, expected "
                                f"{len(self.settings.weights)}, one per weight")  # fmt: skip

    def _schedule(self, step: int, intervention: Intervention) -> None:
        self._interventions.setdefault(step, []).append(intervention)
        self._needed.update(_needed(intervention))

    def _take_effect(self, intervention: Intervention) -> None:
        held = [self._held[birth] for birth in _needed(intervention)]
        self._needed.subtract(_needed(intervention))
        for birth in _needed(intervention):
            if not self._needed[birth]:
                del self._needed[birth], self._held[birth]
        match intervention:
            case Plant() | Breed():
                self._wanted.append((intervention, [candidate for candidate, _ in held]))
            case Pin():
                for individual in filter(None, (self._judged(*one) for one in held)):
                    self.algorithm.pin(individual)
            case Unpin(birth):
                self.algorithm.unpin(birth)
            case Revise(objectives):
                self._revise(objectives)

    def _revise(self, objectives: Mapping[int, tuple[float, ...]]) -> None:
        known = {birth: values for birth, values in objectives.items() if self._contest.fitness(birth) is not None}
        self._revised |= known
        self._contest.revise({birth: self._fitness(values) for birth, values in known.items()})
        members = self.algorithm.members()
        evolved = [one for one in members if not self._contest.is_control(one.birth)]
        if self.best is not None and all(one.birth != self.best.birth for one in evolved):
            evolved.append(self.best)
        judged = (self._judged(one.candidate, one.evaluation) for one in (*members, *evolved) if one.birth in known)
        anew = {one.birth: one for one in judged if one is not None}
        self.algorithm.revise(anew)
        if anew:  # older numbers are no measure of what comes
            again = (anew.get(one.birth, one) for one in evolved)
            self.best = max(again, key=lambda one: (one.fitness, -one.birth), default=None)
            self.stagnation = 0

    def _rng(self, birth: int, purpose: int) -> Rng:
        return np.random.default_rng(np.random.SeedSequence(self.settings.seed, spawn_key=(birth, purpose)))


def _needed(intervention: Intervention) -> tuple[int, ...]:
    """Births that it needs to know all of."""
    return () if isinstance(intervention, Unpin | Revise) else intervention.births


def _by_hand(draft: Draft, parents: Sequence[Candidate], born: dict[str, Any]) -> Candidate:
    if not parents:
        return _born(draft, operator="founder", **born)
    return _born(draft, **{**born, "rate": parents[0].rate, "operator": _BY_HAND, **_descent(parents)})


def _descent(parents: Sequence[Candidate]) -> dict[str, Any]:
    roles: tuple[Role, ...] = ("first", "second")
    line = tuple(Parent(one.birth, roles[i] if i < 2 else "donor") for i, one in enumerate(parents))
    return {"parents": line, "generation": 1 + max(parent.generation for parent in parents)}


def _born(draft: Draft, *, seed: int, **facts: Any) -> Candidate:
    render = draft.render_first and dataclasses.replace(draft.render_first, seed=seed)
    return Candidate(genome=draft.genome, render_first=render, parameters=draft.parameters, seed=seed, **facts)
