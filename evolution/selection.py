"""Who survives and who has children: the algorithms that a `Swarm` can breed by.

Each keeps a population of individuals, all of them with finite results, and changes it in `commit` only, in the order
of births, so that a run can be replayed. DEAP sorts the Pareto fronts. The map is our own: pyribs (0.12) needs pandas,
numba and scikit-learn, mixes no categories with measured axes, and gives up a batch for one NaN.

Light module: numpy and deap, no torch, no files.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np

from bark_infinity.error_handling import BarkError
from evolution.genome import Genome, Rng
from evolution.individuals import AddStatus, Individual


class Algorithm:
    """Who lives, and who has children. Its state changes between steps only, so that a run can be replayed."""

    n_islands = 1
    tournament = 2  # parents are the best of so many random members; 1 chooses at random

    def __init__(self) -> None:
        self._ranked: list[Individual] = []  # best first, where there is a best
        self._pinned: dict[int, Individual] = {}

    def commit(self, step: Sequence[Individual]) -> list[AddStatus]:
        """Takes in a step's ok individuals, in birth order, and says what became of each."""
        raise NotImplementedError

    def parents(self, count: int, rng: Rng, island: int) -> list[Individual]:
        """Chooses different members; fewer than ``count`` when fewer live.

        Those who live only because they are pinned stand in no ranking: each is chosen as often as others on average.
        """
        guests = self._guests()
        everyone = len(self._ranked) + len(guests)
        chosen: dict[int, Individual] = {}
        while len(chosen) < min(count, everyone):
            place = int(rng.integers(everyone)) if guests else 0
            if place < len(self._ranked):
                place = int(rng.integers(len(self._ranked), size=self.tournament).min())
            chosen[place] = self._ranked[place] if place < len(self._ranked) else guests[place - len(self._ranked)]
        return list(chosen.values())

    def members(self) -> Sequence[Individual]:
        """Everyone alive."""
        return [*self._ranked, *self._guests()]

    def pin(self, individual: Individual) -> None:
        """Keeps it alive, and a possible parent, whatever selection says."""
        self._pinned[individual.birth] = individual

    def unpin(self, birth: int) -> None:
        """Leaves it to selection again; nothing happens when it is not pinned."""
        self._pinned.pop(birth, None)

    def revise(self, anew: Mapping[int, Individual]) -> None:
        """Puts members who were scored anew, by birth, in their own places, and selects among all members again."""
        members = [anew.get(one.birth, one) for one in self.members()]
        self._pinned = {birth: anew.get(birth, one) for birth, one in self._pinned.items()}
        self._ranked = []
        self.commit(members)

    def _guests(self) -> list[Individual]:
        """Those who live only because they are pinned."""
        ranked = {one.birth for one in self._ranked} if self._pinned else set()
        return [one for birth, one in self._pinned.items() if birth not in ranked]

    def _kept(self, step: Sequence[Individual], added: AddStatus) -> list[AddStatus]:
        alive = {one.birth for one in self._ranked}
        return [added if one.birth in alive else AddStatus.NOT_ADDED for one in step]


def at_least(name: str, value: int, least: int) -> int:
    """The value; a BarkError when it is smaller."""
    if value < least:
        raise BarkError(f"{name} is {value}, expected at least {least}")
    return value


def _fittest(members: Iterable[Individual]) -> list[Individual]:
    return sorted(members, key=lambda one: (one.fitness, one.birth), reverse=True)


def _once(members: Iterable[Individual]) -> list[Individual]:
    return list({one.birth: one for one in members}.values())  # a migrant may come home


def _unlike(members: Iterable[Individual]) -> list[Individual]:
    """One of all that were measured alike to the last digit, the youngest: they sound the same.

    An edit that changes nothing to be heard would else fill a population with copies of its best.
    """
    heard: dict[object, Individual] = {}
    for one in sorted(members, key=lambda one: one.birth):
        measures = one.evaluation.measures
        heard[(one.evaluation.objectives, tuple(sorted(measures.items()))) if measures else one.birth] = one
    return list(heard.values())


class MuPlusLambda(Algorithm):
    """Keeps the ``mu`` fittest of parents and children that differ; lambda is the swarm's ``step_size``.

    Among equals the younger stay, so that a population drifts across a plateau. ``MuPlusLambda(1)`` is the (1+lambda)
    strategy, with a step size of 1 the (1+1).
    """

    def __init__(self, mu: int, tournament: int = 2) -> None:
        super().__init__()
        self.mu = at_least("mu", mu, 1)
        self.tournament = at_least("tournament", tournament, 1)

    def commit(self, step: Sequence[Individual]) -> list[AddStatus]:
        """See `Algorithm`."""
        added = AddStatus.NEW if len(self._ranked) < self.mu else AddStatus.IMPROVE_EXISTING
        self._ranked = self._survivors(_unlike(_once((*self._ranked, *step))))
        return self._kept(step, added)

    def _survivors(self, pool: list[Individual]) -> list[Individual]:
        return _fittest(pool)[: self.mu]


class NSGA2(MuPlusLambda):
    """Keeps ``mu`` members by Pareto front and crowding (Deb et al. 2002); parents win tournaments of that order."""

    def _survivors(self, pool: list[Individual]) -> list[Individual]:
        kept = [one for _, _, one in pareto_ranking(pool)][: self.mu]
        return [one for _, _, one in pareto_ranking(kept)]  # by the distances among those who are left

    def front(self) -> list[Individual]:
        """Members that no other member dominates."""
        return [one for rank, _, one in pareto_ranking(self._ranked) if rank == 0]


def pareto_ranking(individuals: Sequence[Individual]) -> list[tuple[int, float, Individual]]:
    """(front, crowding distance, individual), best first, by DEAP's sorting; front 0 is dominated by nobody.

    What it is given are individuals, so no NaN can reach DEAP, which would put it into front 0.
    """
    from deap import base
    from deap.tools import emo  # here, so that a plain import stays quick

    weights = (1.0,) * (len(individuals[0].evaluation.objectives) if individuals else 1)
    maximised = type("Maximised", (base.Fitness,), {"weights": weights})
    entries = [SimpleNamespace(one=one, fitness=maximised(one.evaluation.objectives)) for one in individuals]
    ranking: list[tuple[int, float, Individual]] = []
    for rank, front in enumerate(emo.sortNondominated(entries, len(entries))):
        emo.assignCrowdingDist(front)
        front.sort(key=lambda entry: (entry.fitness.crowding_dist, entry.one.birth), reverse=True)
        ranking += [(rank, entry.fitness.crowding_dist, entry.one) for entry in front]
    return ranking


@dataclass(frozen=True)
class GridAxis:
    """A map's axis over a measure: ``cells`` equal parts of [low, high]; what lies outside is in the outermost ones."""

    measure: str
    low: float
    high: float
    cells: int

    def __post_init__(self) -> None:
        if not (-math.inf < self.low < self.high < math.inf and self.cells >= 1):
            raise BarkError(f"{self} is no axis; expected rising numbers low and high, and at least 1 cell")

    def cell(self, individual: Individual) -> int | None:
        """Index of its cell, from 0; None when the measure is missing."""
        value = individual.evaluation.measures.get(self.measure)
        if value is None:
            return None
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return min(int(share * self.cells), self.cells - 1)


@dataclass(frozen=True)
class CategoryAxis:
    """A map's axis over a property of the genome, such as its language or tag; None keeps it off the map."""

    name: str
    of: Callable[[Genome], Hashable | None]

    def cell(self, individual: Individual) -> Hashable | None:
        """The category itself."""
        return self.of(individual.candidate.genome)


class MapElites(Algorithm):
    """Keeps the fittest of every cell of a map; parents are elites drawn at random (Mouret and Clune 2015)."""

    tournament = 1

    def __init__(self, axes: Sequence[GridAxis | CategoryAxis]) -> None:
        super().__init__()
        at_least("number of axes", len(axes), 1)
        self.axes = tuple(axes)
        self._places: dict[tuple[Hashable, ...], int] = {}

    @property
    def elites(self) -> dict[tuple[Hashable, ...], Individual]:
        """By cell, in order of discovery."""
        return {cell: self._ranked[place] for cell, place in self._places.items()}

    def cell(self, individual: Individual) -> tuple[Hashable, ...] | None:
        """Where it belongs; None when a measure or category is missing."""
        cell = tuple(axis.cell(individual) for axis in self.axes)
        return None if None in cell else cell

    def commit(self, step: Sequence[Individual]) -> list[AddStatus]:
        """See `Algorithm`; among equals the first stays."""
        return [self._add(individual) for individual in step]

    def revise(self, anew: Mapping[int, Individual]) -> None:
        """See `Algorithm`."""
        self._places.clear()
        super().revise(anew)

    def _add(self, individual: Individual) -> AddStatus:
        cell = self.cell(individual)
        if cell is None:
            return AddStatus.NOT_ADDED
        place = self._places.setdefault(cell, len(self._ranked))
        if place == len(self._ranked):
            self._ranked.append(individual)
            return AddStatus.NEW
        if individual.fitness <= self._ranked[place].fitness:
            return AddStatus.NOT_ADDED
        self._ranked[place] = individual
        return AddStatus.IMPROVE_EXISTING


class Novelty(Algorithm):
    """Novelty search (Lehman and Stanley 2011): parents are those whose measures lie far from their neighbours'.

    The archive is bounded, so that a birth costs the same for ever: over ``capacity``, the less fit of the two closest
    members goes. ``scales`` names the measures that count, each with a difference that matters equally; novelty is the
    mean distance to the ``k`` nearest others.
    """

    def __init__(self, scales: Mapping[str, float], k: int = 15, capacity: int = 128) -> None:
        super().__init__()
        if not scales or not all(0 < scale < math.inf for scale in scales.values()):
            raise BarkError(f"scales of novelty are {dict(scales)}, expected a number above 0 for every measure")
        self.scales, self.k, self.capacity = dict(scales), at_least("k", k, 1), at_least("capacity", capacity, 2)

    def commit(self, step: Sequence[Individual]) -> list[AddStatus]:
        """See `Algorithm`; nobody is taken in without all measures."""
        added = AddStatus.NEW if len(self._ranked) < self.capacity else AddStatus.IMPROVE_EXISTING
        pool = _once((*self._ranked, *(one for one in step if set(self.scales) <= set(one.evaluation.measures))))
        if not pool:
            return [AddStatus.NOT_ADDED] * len(step)
        points = np.array([[one.evaluation.measures[name] / self.scales[name] for name in self.scales] for one in pool])
        distances = np.linalg.norm(points[:, None] - points[None], axis=2)
        np.fill_diagonal(distances, np.inf)
        alive = set(range(len(pool)))
        while len(alive) > self.capacity:
            closest = divmod(int(np.argmin(distances)), len(pool))
            leaving = min(closest, key=lambda at: (pool[at].fitness, pool[at].birth))
            distances[leaving] = distances[:, leaving] = np.inf
            alive.remove(leaving)
        nearest = np.sort(distances, axis=1)[:, : max(min(self.k, len(alive) - 1), 1)].mean(axis=1)
        self._ranked = [pool[at] for at in sorted(alive, key=lambda at: (nearest[at], pool[at].birth), reverse=True)]
        return self._kept(step, added)


class Islands(Algorithm):
    """Populations that breed apart; every few steps the fittest of each settle on the next of the ring as well."""

    def __init__(self, populations: Sequence[Algorithm], migrate_every: int = 5, migrants: int = 1) -> None:
        super().__init__()
        self.populations = tuple(populations)
        self.n_islands = at_least("number of islands", len(self.populations), 1)
        self.migrate_every = at_least("migrate_every", migrate_every, 1)
        self.migrants = at_least("migrants", migrants, 0)
        self._steps = 0

    def commit(self, step: Sequence[Individual]) -> list[AddStatus]:
        """See `Algorithm`."""
        became: dict[int, AddStatus] = {}
        for island, population in enumerate(self.populations):
            own = [one for one in step if one.candidate.island == island]
            became |= dict(zip((one.birth for one in own), population.commit(own), strict=True))
        self._steps += 1
        if self.n_islands > 1 and self._steps % self.migrate_every == 0:
            leaving = [_fittest(population.members())[: self.migrants] for population in self.populations]
            for island, population in enumerate(self.populations):
                population.commit(leaving[island - 1])
        return [became[one.birth] for one in step]

    def parents(self, count: int, rng: Rng, island: int) -> list[Individual]:
        """From the island; while nobody lives there, from the next inhabited one."""
        away = (
            self.populations[(island + i) % self.n_islands].parents(count, rng, island) for i in range(self.n_islands)
        )
        return next(filter(None, away), [])

    def members(self) -> Sequence[Individual]:
        """Everyone once, island by island."""
        return _once(one for population in self.populations for one in population.members())

    def pin(self, individual: Individual) -> None:
        """See `Algorithm`; it is kept on the island where it was born."""
        self.populations[individual.candidate.island].pin(individual)

    def unpin(self, birth: int) -> None:
        """See `Algorithm`."""
        for population in self.populations:
            population.unpin(birth)

    def revise(self, anew: Mapping[int, Individual]) -> None:
        """See `Algorithm`."""
        for population in self.populations:
            population.revise(anew)
