"""The swarm: one lineage for any batch size and order of tells, rebuilt from what it was told, failures and all."""

from __future__ import annotations

import dataclasses
import itertools
import math
import random
import time
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import CROSS, FLIP, OPERATORS, REFUSE, genome, one_max, random_genomes
from swarm_builders import ALGORITHMS, founders, lineage, make, run, voice

from bark_infinity.error_handling import BarkError
from bark_infinity.requests import RenderRequest
from bark_infinity.variation import Child, Operator
from bark_infinity.voices.history import VoiceHistory
from digital_evolution import (
    AddStatus,
    Candidate,
    CategoryAxis,
    Evaluation,
    Genome,
    GridAxis,
    Individual,
    Islands,
    MapElites,
    MuPlusLambda,
    Novelty,
    Parent,
    Stop,
    Swarm,
    SwarmSettings,
    remake,
)

# -- the rule of steps ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("lag", [0, 2])
def test_batch_sizes_1_4_and_16_give_the_same_lineage(algorithm, lag):
    recorded = []
    for batch in (1, 4, 16):
        swarm = make(algorithm, lag=lag)
        recorded.append(lineage(swarm, run(swarm, 60, batch)))
        assert swarm.committed == 60
    assert recorded[0] == recorded[1] == recorded[2]


@given(order=st.integers(0, 2**32), batch=st.integers(1, 20), lag=st.integers(0, 2))
@settings(max_examples=40, deadline=None)
def test_any_order_of_tells_gives_the_same_lineage(order, batch, lag):
    shuffle = random.Random(order)

    def shuffled(pending: Sequence[Candidate]) -> list[Candidate]:
        return shuffle.sample(list(pending), len(pending))

    straight, mixed = make("islands", lag=lag), make("islands", lag=lag)
    log = run(mixed, 36, batch, shuffled)
    # With a lag, one result may complete two steps at once.
    assert lineage(straight, run(straight, mixed.committed, 1)) == lineage(mixed, log)


def test_a_step_waits_for_its_last_result_and_the_lag_lets_the_next_begin():
    for lag in (0, 1):
        swarm = make(lag=lag)
        asked = swarm.ask(100)
        assert [one.birth for one in asked] == list(range(1, 6 * (lag + 1) + 1))
        for one in asked[1:6]:
            assert swarm.tell(one, one_max(one)) is AddStatus.WAITING
        assert swarm.ask(100) == []
        assert swarm.tell(asked[0], one_max(asked[0])) is not AddStatus.WAITING
        assert [one.birth for one in swarm.ask(100)] == list(range(6 * (lag + 1) + 1, 6 * (lag + 2) + 1))


def test_telling_again_changes_nothing():
    once, twice = make(), make()
    log = run(once, 30, 4)
    for candidate, evaluation in log:
        twice.tell(candidate, evaluation)
        twice.tell(candidate, Evaluation("ok", (1.0,), {"ones": 0.0}))  # a second worker, with another opinion
    assert lineage(twice, log) == lineage(once, log)
    assert twice.tell(*log[0]) == once.status(1)


def test_every_birth_has_its_own_seed_and_another_run_has_others():
    seeds = [one.seed for seed in (1, 2) for one, _ in run(make(seed=seed), 60, 6)]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)  # SQLite's integers


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@given(told=st.integers(0, 40), order=st.integers(0, 2**32))
@settings(max_examples=8, deadline=None)
def test_a_replayed_swarm_goes_on_as_the_first_one_would(algorithm, told, order):
    whole = make(algorithm, lag=1)
    log = run(whole, 60, 5)
    kept = log[:told]
    random.Random(order).shuffle(kept)
    resumed = make(algorithm, lag=1).replay(kept)
    rest = run(resumed, 60, 7)
    assert lineage(resumed, kept + rest) == lineage(whole, log)
    assert resumed.statistics == whole.statistics
    assert resumed.operator_probabilities() == whole.operator_probabilities()
    assert {one.birth for one, _ in kept}.isdisjoint(one.birth for one, _ in rest)


def test_stepping_while_births_are_out_elsewhere_says_so():
    swarm = make()
    swarm.ask(6)
    with pytest.raises(BarkError, match="births from 1 on were asked for elsewhere"):
        swarm.step(one_max)


def test_a_log_of_another_run_is_refused():
    log = run(make(), 12, 6)
    with pytest.raises(BarkError, match=r"birth \d+ was planned as .* changed since this run began"):
        make(seed=6).replay(log)
    with pytest.raises(BarkError, match="results that they depend on are missing"):
        make().replay(log[6:])
    with pytest.raises(BarkError, match="birth 99 is not planned"):
        make().tell(dataclasses.replace(log[0][0], birth=99), log[0][1])


def test_a_birth_costs_the_same_late_as_early():
    swarm = Swarm(founders(3, 64), OPERATORS, MuPlusLambda(8), SwarmSettings(), immigrate=random_genomes(64))
    times = []
    for block in range(8):
        before = time.process_time()
        swarm.evolve(one_max, Stop(evaluations=400 * (block + 1)))
        times.append(time.process_time() - before)
    assert min(times[-3:]) < 2 * min(times[1:4]), times  # generous: the machine may be busy


# -- what is born -----------------------------------------------------------------------------------------------


def test_founders_come_first_then_immigrants_then_children_and_controls_throughout():
    swarm = make(control_share=0.25, immigrant_share=0.0)
    log = run(swarm, 60, 6)
    by_birth = {one.birth: one for one, _ in log}
    controls = [birth for birth, one in by_birth.items() if one.operator == "control"]
    assert sorted(controls) == list(range(4, 61, 4))
    bred = [by_birth[birth] for birth in sorted(by_birth) if birth not in controls]
    assert [one.operator for one in bred[:8]] == ["founder"] * 3 + ["immigrant"] * 5
    assert {one.operator for one in bred[8:] if one.parents} == {"flip", "cross"}
    parents = {parent.birth for one, _ in log for parent in one.parents}
    assert parents.isdisjoint(controls)


def test_children_name_their_parents_and_are_one_generation_younger():
    log = run(make(), 90, 6)
    by_birth = {one.birth: one for one, _ in log}
    children = [one for one, _ in log if one.parents]
    assert children
    for one in children:
        assert [parent.role for parent in one.parents] == ["first", "second"][: len(one.parents)]
        assert all(parent.birth < one.birth for parent in one.parents)
        assert one.generation == 1 + max(by_birth[parent.birth].generation for parent in one.parents)
        assert len({parent.birth for parent in one.parents}) == len(one.parents)


def test_every_child_can_be_made_again_from_its_record():
    log = run(make(rate=3.0, rate_drift=1.0), 200, 6)
    by_birth = {one.birth: one for one, _ in log}
    children = [one for one, _ in log if one.parents]
    for one in children:
        operator = {"flip": FLIP, "cross": CROSS}[one.operator]
        parents = [by_birth[parent.birth].genome for parent in one.parents]
        assert remake("prompt", operator, parents, one.parameters).genome == one.genome
    assert {one.parameters.get("edits", 1) for one in children} >= {1, 2, 3}  # rates differ, and tell


def test_no_genome_is_born_twice_while_there_are_new_ones():
    births = Counter(one.genome.sha256 for one, _ in run(make(control_share=0.0, immigrant_share=0.0), 150, 6))
    assert max(births.values()) == 1


def test_a_space_without_new_genomes_does_not_stop_the_swarm():
    swarm = Swarm([genome("01")], OPERATORS, MuPlusLambda(2), SwarmSettings(), immigrate=random_genomes(2))
    assert swarm.evolve(one_max, Stop(evaluations=64)) == "64 evaluations are done"
    assert swarm.best is not None
    assert swarm.best.candidate.genome.prompt == "11"


def test_an_operator_that_is_never_applicable_shows_in_the_statistics_and_stops_nothing():
    operators = {"prompt": {"flip": FLIP, "refuse": REFUSE}}
    swarm = Swarm(founders(2), operators, MuPlusLambda(3), SwarmSettings(), immigrate=random_genomes(12))
    swarm.evolve(one_max, Stop(evaluations=80))
    assert swarm.statistics["refuse"]["inapplicable"] > 0
    assert swarm.statistics["refuse"]["births"] == 0
    assert swarm.statistics["flip"]["births"] > 20


def test_nobody_alive_means_founders_are_varied():
    swarm = make(control_share=0.0, immigrant_share=0.0)
    asked = []
    while swarm.committed < 60:
        for one in swarm.ask(6):
            asked.append(one)
            swarm.tell(one, Evaluation("failed"))
    children = [one for one in asked if one.parents]
    assert {parent.birth for one in children for parent in one.parents} <= {1, 2, 3}
    assert {one.generation for one in children} == {1}


def test_content_lock_allows_only_operators_that_keep_the_words():
    locked = [dataclasses.replace(one, content_lock=True) for one in founders(3)]
    swarm = Swarm(locked, OPERATORS, MuPlusLambda(4), SwarmSettings(), keeps_words={"flip"})
    operators = Counter(one.operator for one, _ in run(swarm, 64, 8))
    assert operators["flip"] > 0
    assert operators["cross"] == 0


def test_rates_are_inherited_and_drift():
    swarm = make(rate=2.0, rate_drift=0.3)
    log = run(swarm, 300, 6)
    rates = {one.rate for one, _ in log if one.parents}
    assert len(rates) > 50
    assert all(1 <= rate <= 4 for rate in rates)
    fixed = {one.rate for one, _ in run(make(rate=2.0, rate_drift=0.0), 60, 6)}
    assert fixed == {2.0}


# -- voices -----------------------------------------------------------------------------------------------------


def _continue(parents: Sequence[VoiceHistory], parameters: object) -> Child[VoiceHistory]:
    return Child(None, RenderRequest(text="Once more.", voice=parents[0] if parents else None), "", 1, {})


CONTINUE = Operator("continuation", 1, 1, "generate", lambda parents, rng: {}, _continue)
IMMIGRANT = Operator("immigrant", 1, 0, "generate", lambda parents, rng: {}, _continue)


def speaking_swarm(founder: Genome) -> Swarm:
    operators = {"voice": {"continuation": CONTINUE, "immigrant": IMMIGRANT}}
    return Swarm([founder], operators, MuPlusLambda(3), SwarmSettings(step_size=4))


def develop(candidate: Candidate) -> tuple[Candidate, Evaluation]:
    """A renderer: the same request, the same voice."""
    if candidate.render_first is not None:
        candidate = candidate.with_voice(voice(candidate.render_first.seed % 2**32))
    elif candidate.genome.voice is None:
        candidate = candidate.with_voice(voice(candidate.seed % 2**32))  # it is heard with the voice that came up
    assert candidate.genome.voice is not None
    return candidate, Evaluation("ok", (candidate.genome.voice.semantic[0] / 10_000,))


def test_a_voice_that_must_be_rendered_first_is_inherited_once_it_is():
    swarm = speaking_swarm(Genome("Hello.", voice(1)))
    log = []
    swarm.evolve(lambda one: log.append(develop(one)) or log[-1], Stop(evaluations=40))
    by_birth = {one.birth: one for one, _ in log}
    assert {one.operator for one in by_birth.values()} >= {"founder", "continuation", "control"}
    swarm.ask(8)
    for planned in (one for one, _ in log):
        assert planned.genome.voice is not None
    again = speaking_swarm(Genome("Hello.", voice(1))).replay(log)
    assert lineage(again, log) == lineage(swarm, log)


def test_render_requests_carry_the_candidates_seed_and_its_first_parents_voice():
    swarm = speaking_swarm(Genome("Hello.", voice(1)))
    told: dict[int, Candidate] = {}
    while swarm.committed < 40:
        for planned in swarm.ask(4):
            if planned.render_first is not None:
                assert planned.genome.voice is None
                assert planned.render_first.seed == planned.seed
                parent = told[planned.parents[0].birth].genome.voice if planned.parents else None
                assert planned.render_first.voice == parent
            whole, evaluation = develop(planned)
            told[whole.birth] = whole
            swarm.tell(whole, evaluation)


def test_ok_without_the_rendered_voice_is_an_error_but_failure_is_not():
    swarm = speaking_swarm(Genome("Hello.", voice(1)))
    unborn = next(one for _ in range(9) for one in _tell_all(swarm) if one.render_first is not None)
    with pytest.raises(BarkError, match="told ok without its voice"):
        swarm.tell(unborn, Evaluation("ok", (0.5,)))
    swarm.tell(unborn, Evaluation("failed"))


def _tell_all(swarm: Swarm) -> list[Candidate]:
    """Asks for a step, tells what can be told and returns what needs a rendering."""
    asked = swarm.ask(4)
    for one in asked:
        if one.render_first is None:
            swarm.tell(*develop(one))
    return [one for one in asked if one.render_first is not None]


def test_voice_operators_wait_for_parents_with_a_voice():
    swarm = speaking_swarm(Genome("Hello."))
    log = []
    swarm.evolve(lambda one: log.append(develop(one)) or log[-1], Stop(evaluations=40))
    assert swarm.statistics["continuation"]["births"] > 0  # the founder inherits the voice it was heard with


# -- survivors --------------------------------------------------------------------------------------------------


def individual(birth: int, *objectives: float, island: int = 0, prompt: str = "x", **measured: float) -> Individual:
    evaluation = Evaluation("ok", objectives, measured)
    candidate = Candidate(birth, Genome(prompt), island=island)
    return Individual(candidate, evaluation, sum(objectives) / len(objectives))


def births(members: Sequence[Individual]) -> list[int]:
    return [one.birth for one in members]


def test_mu_plus_lambda_keeps_the_fittest_and_among_equals_the_youngest():
    algorithm = MuPlusLambda(2)
    assert algorithm.commit([individual(1, 0.5), individual(2, 0.2)]) == [AddStatus.NEW, AddStatus.NEW]
    assert algorithm.commit([individual(3, 0.1), individual(4, 0.5)]) == [
        AddStatus.NOT_ADDED,
        AddStatus.IMPROVE_EXISTING,
    ]
    assert births(algorithm.members()) == [4, 1]


def test_map_cells_are_those_computed_by_hand():
    axes = [GridAxis("f0_hz", 50.0, 450.0, 4), CategoryAxis("tag", lambda one: one.prompt.split()[0])]
    archive = MapElites(axes)
    expected = {50.0: 0, 149.999: 0, 150.0: 1, 249.0: 1, 349.0: 2, 350.0: 3, 450.0: 3, 20.0: 0, 9e9: 3, -9e9: 0}
    for value, cell in expected.items():
        assert archive.cell(individual(1, 0.5, prompt="[sighs] hm", f0_hz=value)) == (cell, "[sighs]")
    assert archive.cell(individual(1, 0.5, brightness=1.0)) is None
    assert archive.cell(individual(1, 0.5, f0_hz=math.nan)) is None


def test_map_elites_fills_replaces_and_refuses():
    archive = MapElites([GridAxis("x", 0.0, 10.0, 5)])
    step = [
        individual(1, 0.5, x=1.0),
        individual(2, 0.5, x=1.5),  # same cell, no better
        individual(3, 0.6, x=1.9),
        individual(4, 0.1, x=2.0),  # next cell
        individual(5, 0.9),  # not measured
    ]
    assert archive.commit(step) == [
        AddStatus.NEW,
        AddStatus.NOT_ADDED,
        AddStatus.IMPROVE_EXISTING,
        AddStatus.NEW,
        AddStatus.NOT_ADDED,
    ]
    assert {cell: one.birth for cell, one in archive.elites.items()} == {(0,): 3, (1,): 4}


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 4)), max_size=40))
def test_map_elites_hold_the_best_of_every_cell(points):
    archive = MapElites([GridAxis("x", 0.0, 10.0, 10)])
    archive.commit([individual(i + 1, float(value), x=float(x)) for i, (x, value) in enumerate(points)])
    best = {x: max(value for other, value in points if other == x) for x, _ in points}
    assert {cell[0]: one.fitness for cell, one in archive.elites.items()} == best


def test_novelty_is_the_mean_distance_to_the_nearest_and_crowds_lose_their_weakest():
    algorithm = Novelty({"x": 2.0}, k=2, capacity=4)
    algorithm.commit([individual(i + 1, 0.1 * i, x=x) for i, x in enumerate((0.0, 2.0, 4.0, 20.0))])
    # Distances over 2, in scales of 2: birth 4: (8 + 9)/2, birth 1: (1 + 2)/2, births 2 and 3: (1 + 1)/2, (1 + 2)/2.
    assert births(algorithm.members()) == [4, 3, 1, 2]
    assert algorithm.commit([individual(5, 0.9, x=3.9), individual(6, 0.9)]) == [
        AddStatus.IMPROVE_EXISTING,
        AddStatus.NOT_ADDED,
    ]
    assert sorted(births(algorithm.members())) == [1, 2, 4, 5]  # 3 was next to 5, and less fit


def test_islands_breed_apart_until_the_fittest_migrate_to_the_next():
    islands = Islands([MuPlusLambda(2), MuPlusLambda(2), MuPlusLambda(2)], migrate_every=2, migrants=1)
    rng = np.random.default_rng(0)
    islands.commit([individual(1, 0.9, island=0), individual(2, 0.5, island=1), individual(3, 0.1, island=1)])
    assert births(islands.populations[1].members()) == [2, 3]
    assert births(islands.parents(1, rng, 0)) == [1]
    assert births(islands.parents(2, rng, 2)) == [1]  # nobody lives there yet
    islands.commit([])
    assert [births(one.members()) for one in islands.populations] == [[1], [1, 2], [2]]
    assert sorted(births(islands.members())) == [1, 2]


def test_islands_share_births_evenly():
    log = run(make("islands", control_share=0.25), 120, 6)
    shares = Counter(one.island for one, _ in log if one.operator != "control")
    assert max(shares.values()) - min(shares.values()) <= 1


# -- credit, comparison, stopping -------------------------------------------------------------------------------


def test_the_operator_that_helps_is_used_more_and_none_less_than_the_floor():
    def useless(parents: Sequence[str], parameters: object) -> Child[str]:
        return Child("0" * 15 + parents[0][15:-1] + "01"[parents[0][-1] == "0"], None, "wreck", 1, {})

    wreck = Operator("wreck", 1, 1, "edit", lambda parents, rng: {"salt": int(rng.integers(1000))}, useless)
    operators = {"prompt": {"flip": FLIP, "wreck": wreck}}
    swarm = Swarm([genome("01" * 30)], operators, MuPlusLambda(5), SwarmSettings(floor=0.1))
    assert swarm.operator_probabilities() == {"flip": 0.5, "wreck": 0.5}
    swarm.evolve(one_max, Stop(evaluations=400))
    odds = swarm.operator_probabilities()
    assert odds["flip"] > 2 * odds["wreck"]
    assert odds["wreck"] >= 0.1
    assert sum(odds.values()) == pytest.approx(1)


def test_the_contest_with_the_control_arm_is_over_equal_budgets():
    swarm = make(control_share=0.5, immigrant_share=0.0)
    log = run(swarm, 60, 6)
    ordered = sorted(log, key=lambda told: told[0].birth)
    arms: dict[bool, list[float]] = {True: [], False: []}
    for one, evaluation in ordered:
        arms[one.operator == "control"].append(max(evaluation.objectives, default=-math.inf))
    births_each, evolved, control = swarm.against_control()
    assert births_each == 30
    assert (evolved, control) == (max(arms[False][:30]), max(arms[True][:30]))


def test_stopping_rules_name_what_was_reached():
    swarm = make()
    assert Stop().reason(swarm) is None
    run(swarm, 60, 6)
    assert swarm.best is not None
    assert Stop(evaluations=60).reason(swarm) == "60 evaluations are done"
    assert Stop(evaluations=61).reason(swarm) is None
    assert Stop(hours=2.5).reason(swarm, 2.5) == "2.5 hours are over"
    assert Stop(hours=2.5).reason(swarm, 2.4) is None
    assert Stop(target=0.25).reason(swarm) == "0.25 is the fitness that was wanted"
    assert Stop(target=2).reason(swarm) is None
    assert Stop(stagnation=swarm.stagnation + 1, target=2, evaluations=99).reason(swarm) is None
    assert "no better" in str(Stop(stagnation=swarm.stagnation, target=2).reason(swarm))


def test_evolve_takes_hours_from_the_clock_it_is_given():
    clock = iter([0.0, 0.5, 1.0, 1.5])
    assert make().evolve(one_max, Stop(hours=1.2), lambda: next(clock)) == "1.2 hours are over"


def test_an_exception_in_evaluation_is_a_failed_candidate():
    swarm = make()

    def fragile(candidate: Candidate) -> Evaluation:
        if candidate.birth % 2:
            raise RuntimeError("the engine fell over")
        return one_max(candidate)

    swarm.evolve(fragile, Stop(evaluations=24))
    assert sum(counts["failed"] for counts in swarm.statistics.values()) == 12
    assert all(one.birth % 2 == 0 for one in swarm.algorithm.members())


def test_traits_are_counted_among_the_living():
    swarm = Swarm([Genome("[laughs] Hi. ♪ la ♪", voice(1))], {}, MuPlusLambda(3), SwarmSettings(step_size=1))
    (first,) = swarm.ask(1)
    swarm.tell(first, Evaluation("ok", (1.0,)))
    traits = swarm.trait_distribution()
    assert traits["tag"] == {"[laughs]": 1, "♪": 1}
    assert traits["operator"] == {"founder": 1}
    assert sum(traits["voice"].values()) == 1


def test_the_primary_line_leads_to_a_founder_or_immigrant():
    swarm = make()
    by_birth = {one.birth: one for one, _ in run(swarm, 90, 6)}
    youngest = max(by_birth.values(), key=lambda one: one.generation)
    line = swarm.primary_line(youngest.birth)
    for child, parent in itertools.pairwise(line):
        assert by_birth[child].parents[0] == Parent(parent, "first")
    assert by_birth[line[-1]].parents == ()


def test_bad_settings_are_named():
    for bad in ({"step_size": 0}, {"control_share": 1.5}, {"weights": ()}, {"weights": (math.nan,)}, {"rate": 0.5}):
        with pytest.raises(BarkError, match=next(iter(bad))):
            SwarmSettings(**bad)
    with pytest.raises(BarkError, match="founders"):
        Swarm([], OPERATORS, MuPlusLambda(1))
    with pytest.raises(BarkError, match="unique names"):
        Swarm(founders(1), {"prompt": {"a": FLIP, "b": FLIP}}, MuPlusLambda(1))
    swarm = make()
    (first,) = swarm.ask(1)
    with pytest.raises(BarkError, match="2 objectives, expected 1"):
        swarm.tell(first, Evaluation("ok", (0.1, 0.2)))
