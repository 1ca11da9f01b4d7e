"""What is not a number never wins: the traps of selection in DEAP itself, and every selector here beside them.

DEAP 1.4.4's ``Fitness.__gt__`` is ``not __le__``, so that NaN is greater than everything and smaller too.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Sequence
from types import SimpleNamespace

import numpy as np
import pytest
from deap import base, tools
from deap.tools import emo
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import OPERATORS, genome, measures, one_max, random_bits, random_genomes, two_ends

from bark_infinity.error_handling import BarkError
from digital_evolution import (
    NSGA2,
    AddStatus,
    Algorithm,
    Breed,
    Candidate,
    Evaluation,
    Genome,
    GridAxis,
    Individual,
    Islands,
    MapElites,
    MuPlusLambda,
    Novelty,
    Pin,
    Revise,
    Stop,
    Swarm,
    SwarmSettings,
    pareto_ranking,
)

SELECTORS: dict[str, Callable[[], Algorithm]] = {
    "one plus one": lambda: MuPlusLambda(1),
    "mu plus lambda": lambda: MuPlusLambda(4),
    "mu plus lambda, any parent": lambda: MuPlusLambda(4, tournament=1),
    "nsga2": lambda: NSGA2(4),
    "map-elites": lambda: MapElites([GridAxis("ones", 0, 12, 6)]),
    "novelty": lambda: Novelty({"ones": 2.0}, k=3, capacity=8),
    "islands": lambda: Islands([MuPlusLambda(2), NSGA2(2)], migrate_every=2),
}
NO_NUMBERS = [
    Evaluation("ok", (math.nan,), {"ones": 3.0}),
    Evaluation("ok", (math.inf,), {"ones": 3.0}),
    Evaluation("ok", (-math.inf,), {"ones": 3.0}),
    Evaluation("ok", (1e200,), {"ones": 3.0}),
    Evaluation("rejected", (0.99,), {"ones": 3.0}),
    Evaluation("failed", (0.99,), {"ones": 3.0}),
]


class Maximised(base.Fitness):
    weights = (1.0,)


def deap_population(values: Sequence[float]) -> list[SimpleNamespace]:
    return [SimpleNamespace(value=value, fitness=Maximised((value,))) for value in values]


def individual(birth: int, *objectives: float) -> Individual:
    return Individual(Candidate(birth, Genome("x")), Evaluation("ok", objectives), sum(objectives) / len(objectives))


# -- the traps, in DEAP -----------------------------------------------------------------------------------------


def test_in_deap_nan_is_greater_and_smaller_than_everything():
    nan, one = Maximised((math.nan,)), Maximised((1.0,))
    assert nan > one
    assert one > nan


def test_in_deap_the_hall_of_fame_and_sel_best_crown_nan():
    hall = tools.HallOfFame(3)
    hall.update(deap_population([*map(float, range(19)), math.nan]))
    assert math.isnan(hall[0].value)
    best = tools.selBest(deap_population([math.nan, *map(float, range(19))]), 3)
    assert math.isnan(best[0].value)


def test_in_deap_nan_wins_tournaments_far_more_often_than_the_last_one_should():
    random.seed(1)  # DEAP knows no other generator
    population = deap_population([*map(float, range(19)), math.nan])
    wins = sum(math.isnan(one.value) for one in tools.selTournament(population, 20_000, 3)) / 20_000
    assert wins > 0.03  # the last of 20 should win (1/20)**3 of them


def test_in_deap_nsga2_puts_nan_into_the_first_front():
    fronts = emo.sortNondominated(deap_population([*map(float, range(19)), math.nan]), 20)
    assert any(math.isnan(one.value) for one in fronts[0])


# -- the same, here ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("evaluation", NO_NUMBERS)
def test_what_is_not_a_finite_ok_result_has_no_objectives_and_becomes_no_individual(evaluation):
    assert evaluation.status in ("rejected", "failed")
    assert evaluation.objectives == ()
    with pytest.raises(BarkError, match="keep it out of selection"):
        Individual(Candidate(1, Genome("x")), evaluation, 0.5)


def test_measures_that_are_not_finite_are_left_out():
    assert dict(Evaluation("ok", (1.0,), {"a": math.nan, "b": math.inf, "c": 2.0}).measures) == {"c": 2.0}


def test_a_nan_fitness_is_refused_even_for_an_ok_result():
    with pytest.raises(BarkError, match="fitness nan"):
        Individual(Candidate(1, Genome("x")), Evaluation("ok", (1.0,)), math.nan)


@pytest.mark.parametrize("selector", SELECTORS)
@pytest.mark.parametrize("position", ["first", "middle", "last"])
def test_failures_never_live_breed_or_lead_wherever_they_stand(selector, position):
    swarm = Swarm(
        [genome(random_bits(np.random.default_rng(seed), 12)) for seed in range(4)],
        OPERATORS,
        SELECTORS[selector](),
        SwarmSettings(step_size=6, seed=3),
        immigrate=random_genomes(12),
    )
    offset = {"first": 0, "middle": 3, "last": 5}[position]
    broken, parents, kind = set(), set(), itertools.cycle(NO_NUMBERS)
    while swarm.committed < 120:
        for place, one in enumerate(swarm.ask(6)):
            parents |= {parent.birth for parent in one.parents}
            if place == offset:
                broken.add(one.birth)
                status = swarm.tell(one, next(kind))
                assert not status
            else:
                swarm.tell(one, one_max(one))
        assert broken.isdisjoint(member.birth for member in swarm.algorithm.members())
        assert swarm.best is None or swarm.best.birth not in broken
    alive_once_founded = parents - {1, 2, 3, 4}  # unjudged founders may be parents while nobody lives
    assert broken.isdisjoint(alive_once_founded)
    assert all(swarm.status(birth) is AddStatus.NOT_ADDED for birth in broken)
    assert math.isfinite(swarm.against_control()[1])


@pytest.mark.parametrize("selector", SELECTORS)
@pytest.mark.parametrize("evaluation", NO_NUMBERS)
def test_a_run_of_nothing_but_failures_goes_on_to_its_budget(selector, evaluation):
    swarm = Swarm([genome("0101")], OPERATORS, SELECTORS[selector](), immigrate=random_genomes(4))
    stop = Stop(evaluations=40, target=-1e9, stagnation=1)
    assert swarm.evolve(lambda candidate: evaluation, stop) == "40 evaluations are done"
    assert swarm.best is None
    assert list(swarm.algorithm.members()) == []
    assert swarm.against_control()[1:] == (-math.inf, -math.inf)


@pytest.mark.parametrize("selector", SELECTORS)
@pytest.mark.parametrize("position", [0, 3, 5])
@pytest.mark.parametrize("evaluation", NO_NUMBERS)
def test_one_failure_costs_the_others_of_its_step_nothing(selector, position, evaluation):
    """pyribs gives up a whole batch for one NaN."""
    founders = [genome(random_bits(np.random.default_rng(seed), 12)) for seed in range(6)]
    swarm = Swarm(founders, OPERATORS, SELECTORS[selector](), SwarmSettings(step_size=6, control_share=0))
    asked = swarm.ask(6)
    told = [evaluation if place == position else one_max(one) for place, one in enumerate(asked)]
    for one, came in zip(asked, told, strict=True):
        swarm.tell(one, came)
    alone = SELECTORS[selector]()
    alone.commit(
        [
            Individual(one, came, came.objectives[0])
            for one, came in zip(asked, told, strict=True)
            if came.status == "ok"
        ]
    )
    assert list(swarm.algorithm.members()) == list(alone.members())
    assert len(alone.members()) > 0


@pytest.mark.parametrize("selector", SELECTORS)
def test_failures_that_people_pin_breed_and_score_anew_still_never_live_or_lead(selector):
    founders = [genome(random_bits(np.random.default_rng(seed), 12)) for seed in range(4)]
    settings_ = SwarmSettings(step_size=6, seed=3)
    swarm = Swarm(founders, OPERATORS, SELECTORS[selector](), settings_, immigrate=random_genomes(12))
    kind, broken = itertools.cycle(NO_NUMBERS), []
    while swarm.committed < 120:
        for place, one in enumerate(swarm.ask(6)):
            if place == 2:
                broken.append(one.birth)
                swarm.intervene(Pin(one.birth))
                swarm.intervene(Revise({one.birth: (0.99,)}))
                swarm.intervene(Breed((one.birth,)))
                swarm.tell(one, next(kind))
            else:
                swarm.tell(one, one_max(one))
        assert set(broken).isdisjoint(member.birth for member in swarm.algorithm.members())
        assert swarm.best is None or swarm.best.birth not in broken
        assert all(math.isfinite(member.fitness) for member in swarm.algorithm.members())
    with pytest.raises(BarkError, match="expected finite numbers"):
        Revise({1: (math.nan,)})


@pytest.mark.parametrize("selector", ["map-elites", "novelty"])
def test_without_its_measures_nobody_enters_a_map_or_an_archive(selector):
    algorithm = SELECTORS[selector]()
    blind = Individual(Candidate(1, Genome("x")), Evaluation("ok", (1.0,), {"ones": math.nan}), 1.0)
    assert algorithm.commit([blind]) == [AddStatus.NOT_ADDED]
    assert list(algorithm.members()) == []


# -- DEAP as the oracle for what it does well -------------------------------------------------------------------

points = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=24)


def dominates(a: Sequence[float], b: Sequence[float]) -> bool:
    return all(x >= y for x, y in zip(a, b, strict=True)) and tuple(a) != tuple(b)


@given(points)
@settings(deadline=None)
def test_fronts_are_those_of_the_definition(values):
    ranks = {one.birth: rank for rank, _, one in pareto_ranking([individual(i, *v) for i, v in enumerate(values)])}
    for i, value in enumerate(values):
        above = [ranks[j] for j, other in enumerate(values) if dominates(other, value)]
        assert ranks[i] == (max(above) + 1 if above else 0)


@given(points, st.integers(1, 24))
@settings(deadline=None)
def test_survivors_lie_on_the_fronts_that_deaps_nsga2_selects(values, mu):
    class TwoMaximised(base.Fitness):
        weights = (1.0, 1.0)

    algorithm = NSGA2(mu)
    algorithm.commit([individual(i, *value) for i, value in enumerate(values)])
    entries = [SimpleNamespace(birth=i, fitness=TwoMaximised(value)) for i, value in enumerate(values)]
    fronts = emo.sortNondominated(entries, len(entries))
    rank = {one.birth: front for front, found in enumerate(fronts) for one in found}
    chosen = emo.selNSGA2(entries, mu)
    ours = sorted(rank[one.birth] for one in algorithm.members())
    assert ours == sorted(rank[one.birth] for one in chosen)
    # Which of equally crowded ones stay is a matter of order; how crowded the chosen are is not.
    distance = {one.birth: one.fitness.crowding_dist for one in entries if hasattr(one.fitness, "crowding_dist")}
    assert sorted(distance[one.birth] for one in algorithm.members()) == sorted(distance[one.birth] for one in chosen)


def test_the_front_of_two_goals_that_pull_apart_is_kept_wide():
    swarm = Swarm(
        [genome(random_bits(np.random.default_rng(1), 16))],
        OPERATORS,
        NSGA2(12),
        SwarmSettings(weights=(1.0, 1.0), step_size=12, initial=12),
        immigrate=random_genomes(16),
    )
    swarm.evolve(two_ends, Stop(evaluations=900))
    assert isinstance(swarm.algorithm, NSGA2)
    front = {one.evaluation.objectives for one in swarm.algorithm.front()}
    assert len(front) >= 6
    assert not any(dominates(a, b) for a in front for b in front)
    assert max(sum(one) for one in front) > 0.9  # leading ones and trailing zeros together fill a string


def test_bits_are_measured_as_the_problems_say():
    assert measures("0110") == {"ones": 2.0}


@pytest.mark.parametrize("make", [lambda: MuPlusLambda(3), lambda: NSGA2(3)], ids=["mu plus lambda", "nsga2"])
def test_copies_that_sound_the_same_take_one_place(make: Callable[[], Algorithm]):
    def sounding(birth: int, pitch: float) -> Individual:
        return Individual(Candidate(birth, Genome("x")), Evaluation("ok", (0.9,), {"pitch": pitch}), 0.9)

    algorithm = make()
    algorithm.commit([sounding(1, 100.0), individual(2, 0.2), individual(3, 0.1)])
    became = algorithm.commit([sounding(4, 100.0), sounding(5, 100.0), sounding(6, 101.0)])
    assert sorted(one.birth for one in algorithm.members()) == [2, 5, 6]
    assert [bool(status) for status in became] == [False, True, True]
