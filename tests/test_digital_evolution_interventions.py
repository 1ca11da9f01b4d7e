"""What people do to a running swarm is part of its lineage, whenever within a step it was done; and it works."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import CROSS, FLIP, OPERATORS, REFUSE, genome, one_max, random_bits
from swarm_builders import ALGORITHMS, founders, lineage, make, moody, run, voice

from bark_infinity.error_handling import BarkError
from bark_infinity.requests import RenderRequest, RenderSettings
from bark_infinity.variation import Child, Operator
from bark_infinity.voices.history import VoiceHistory
from digital_evolution import (
    Breed,
    Candidate,
    Evaluation,
    Genome,
    Intervention,
    MapElites,
    MuPlusLambda,
    Parent,
    Pin,
    Plant,
    Revise,
    Swarm,
    SwarmSettings,
    Unpin,
)
from evolution.interventions import from_json, to_json

Log = list[tuple[Candidate, Evaluation]]


def anything(chance: random.Random, planned: int) -> Intervention:
    """Something a person might do, to births of all fates."""
    some = chance.sample(range(1, planned + 1), min(planned, chance.choice([1, 2, 2, 3])))
    bits = "".join(chance.choice("01") for _ in range(12))
    return chance.choice(
        [
            Plant(genome(bits)),
            Plant(genome(bits), tuple(some)),
            Breed(tuple(some)),
            Pin(some[0]),
            Pin(some[0]),
            Unpin(some[0]),
            Revise({birth: (chance.random(),) for birth in chance.sample(range(1, planned + 1), planned // 2)}),
        ]
    )


def play(swarm: Swarm, births: int, chance: random.Random, given: Mapping[int, Sequence[Intervention]] | None = None):
    """Runs with people at work, in any batches.

    Args:
        given: What is done, by step, as soon as its step is the next; None does anything, at any time, and tells in
            any order.

    Returns:
        What was told, and what was done, by step.
    """
    log: Log = []
    pending: list[Candidate] = []
    done: dict[int, list[Intervention]] = {}

    def do(intervention: Intervention) -> int:
        step = swarm.intervene(intervention, [told for told in log if told[0].birth in intervention.births])
        done.setdefault(step, []).append(intervention)
        return step

    seen = 0
    while swarm.committed < births:
        if given is None:
            for _ in range(chance.choice([0, 0, 0, 1, 2])):
                do(anything(chance, swarm.planned))
        elif swarm.planned > seen:
            seen = swarm.planned
            for intervention in given.get(seen // 6 + 1, ()):
                assert do(intervention) == seen // 6 + 1
        pending += swarm.ask(chance.randrange(1, 9))
        # Out of order, one result may complete two steps at once: nothing could be given for the second.
        candidate = pending.pop(chance.randrange(len(pending)) if given is None else 0)
        log.append((candidate, moody(candidate)))
        swarm.tell(*log[-1])
    return log, done


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("lag", [0, 2])
@given(seed=st.integers(0, 2**32), told=st.integers(0, 60))
@settings(max_examples=4, deadline=None)
def test_whatever_people_do_the_same_steps_give_the_same_lineage(algorithm, lag, seed, told):
    first = make(algorithm, lag=lag)
    log, done = play(first, 36, random.Random(seed))
    again = make(algorithm, lag=lag)
    other_log, _ = play(again, first.committed, random.Random(seed + 1), done)
    assert lineage(again, other_log) == lineage(first, log)
    kept = sorted(log[:told], key=lambda one: one[0].birth, reverse=True)  # the rest was lost with its workers
    resumed = make(algorithm, lag=lag).replay(kept, done)
    rest = run(resumed, first.committed, 5)
    assert lineage(resumed, kept + rest) == lineage(first, log)
    assert resumed.statistics == first.statistics
    assert resumed.operator_probabilities() == first.operator_probabilities()


def test_a_planted_genome_is_born_in_the_next_step():
    swarm = make()
    log = run(swarm, 12, 6)
    guest = genome("111111111110")
    step = swarm.intervene(Plant(guest))
    log += run(swarm, 30, 6)
    born = [one for one, _ in log if one.genome == guest]
    assert [(one.operator, one.parents, (one.birth + 5) // 6) for one in born] == [("founder", (), step)]
    assert lineage(make().replay(log, {step: [Plant(guest)]}), log) == lineage(swarm, log)


def test_an_edited_genome_names_the_births_it_was_edited_from():
    swarm = make()
    log = run(swarm, 12, 6)
    edited = genome("000000000001")
    swarm.intervene(Plant(edited, (3, 9, 5)), log)
    log += run(swarm, 24, 6)
    (born,) = [one for one, _ in log if one.genome == edited]
    assert born.operator == "by hand"
    assert born.parents == (Parent(3, "first"), Parent(9, "second"), Parent(5, "donor"))
    assert born.generation == 1 + max(one.generation for one, _ in log if one.birth in (3, 9, 5))
    assert swarm.statistics["by hand"]["births"] == 1
    assert swarm.primary_line(born.birth)[1] == 3


def test_more_wishes_than_a_step_holds_are_born_in_the_next():
    swarm = make()
    guests = [genome(f"{number:012b}") for number in range(16)]
    steps = {swarm.intervene(Plant(guest)) for guest in guests}
    log = run(swarm, 48, 6)
    assert [one.genome for one, _ in sorted(log, key=lambda told: told[0].birth) if one.genome in guests][:16] == guests
    plants = {steps.pop(): [Plant(guest) for guest in guests]}
    assert lineage(make().replay(log, plants), log) == lineage(swarm, log)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("pair", [(2, 3), (3, 1), (7,), (1, 3, 9)])
def test_bred_children_have_those_parents_even_dead_ones(algorithm, pair):
    swarm = make(algorithm)
    log = run(swarm, 18, 6)
    assert swarm.intervene(Breed(pair), log) == 5  # step 4 was planned when step 3 was told
    log += run(swarm, 30, 6)
    # No operator takes three: the last is left out.
    wanted = tuple(Parent(birth, role) for birth, role in zip(pair[:2], ("first", "second"), strict=False))
    children = [one for one, _ in log if one.birth > 24 and one.parents == wanted]
    assert [one.operator for one in children] == ["cross" if len(wanted) == 2 else "flip"]


def test_births_that_are_still_being_judged_can_be_bred_and_pinned():
    swarm = make(lag=1)
    asked = swarm.ask(12)
    assert [one.birth for one in asked] == list(range(1, 13))
    assert swarm.intervene(Breed((2, 5))) == 3
    assert swarm.intervene(Breed((5, 8))) == 4  # the step that is planned with the result of 8
    assert swarm.intervene(Pin(8)) == 4
    assert swarm.interventions == {3: [Breed((2, 5))], 4: [Breed((5, 8)), Pin(8)]}
    for one in asked:
        swarm.tell(one, one_max(one))
    born = {one.parents for one in swarm.ask(12)}
    assert (Parent(2, "first"), Parent(5, "second")) in born
    assert (Parent(5, "first"), Parent(8, "second")) in born
    assert 8 in {one.birth for one in swarm.algorithm.members()}
    assert swarm.interventions == {}


def test_parents_that_no_operator_can_vary_give_another_take_of_the_first():
    for operators in ({}, {"prompt": {"refuse": REFUSE}}, {"prompt": {"cross": CROSS}}):
        swarm = Swarm(founders(3), operators, MuPlusLambda(4), SwarmSettings(step_size=4, control_share=0))
        swarm.intervene(Breed((2,)))
        for one in swarm.ask(4):
            swarm.tell(one, one_max(one))
        first = swarm.ask(4)[0]
        assert (first.operator, first.parents) == ("by hand", (Parent(2, "first"),))
        assert first.genome == founders(3)[1]


def test_the_content_lock_holds_for_wishes_too():
    locked = [Genome(one.prompt) for one in founders(3)]
    swarm = Swarm(locked, OPERATORS, MuPlusLambda(4), SwarmSettings(step_size=4, control_share=0), keeps_words={"flip"})
    swarm.intervene(Breed((2, 3)))
    for one in swarm.ask(4):
        swarm.tell(one, one_max(one))
    first = swarm.ask(1)[0]
    assert (first.operator, first.parents) == ("flip", (Parent(2, "first"),))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_pinned_live_and_breed_whatever_selection_says(algorithm):
    swarm = make(algorithm, control_share=0.0)
    log = run(swarm, 60, 6)
    alive = {one.birth for one in swarm.algorithm.members()}
    values = {one.birth: came.objectives[0] for one, came in log if came.status == "ok"}
    worst = min(values.keys() - alive, key=lambda birth: (values[birth], birth))
    swarm.intervene(Pin(worst), log)
    later: Log = []
    while swarm.committed < 342:
        later += run(swarm, swarm.committed + 6, 6)
        assert worst in {one.birth for one in swarm.algorithm.members()}
    assert any(parent.birth == worst for one, _ in later for parent in one.parents)
    swarm.intervene(Unpin(worst))
    run(swarm, 354, 6)
    assert worst not in {one.birth for one in swarm.algorithm.members()}


def test_a_pinned_one_that_selection_has_dropped_breeds_as_often_as_others_on_average():
    swarm = make(control_share=0.0, immigrant_share=0.0)
    log = run(swarm, 48, 6)
    dead = next(one.birth for one, came in log if came.status == "ok" and swarm.status(one.birth) == 0)
    swarm.intervene(Pin(dead), log)
    children = [one for one, _ in run(swarm, 648, 6)]
    share = sum(one.parents[0].birth == dead for one in children if one.parents) / len(children)
    assert 0.1 < share < 0.3  # of four survivors and itself


def test_failures_cannot_be_pinned():
    swarm = make()
    log = run(swarm, 12, 6)
    failed = [one.birth for one, came in log if came.status != "ok"]
    for birth in failed:
        swarm.intervene(Pin(birth), log)
    run(swarm, 24, 6)
    assert failed
    assert set(failed).isdisjoint(one.birth for one in swarm.algorithm.members())


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_living_are_ranked_anew_and_the_best_and_stagnation_with_them(algorithm):
    swarm = make(algorithm)
    log = run(swarm, 36, 6)
    members = {one.birth: one for one in swarm.algorithm.members()}
    turned = {birth: (1 - one.fitness,) for birth, one in members.items()}
    swarm.intervene(Revise(turned))
    assert {one.birth: one.fitness for one in swarm.algorithm.members()} == {
        birth: one.fitness for birth, one in members.items()
    }  # not before the next step is planned
    pending = swarm.ask(6)
    for one in pending[:-1]:
        swarm.tell(one, Evaluation("failed"))
    swarm.tell(pending[-1], Evaluation("failed"))
    now = {one.birth: one.fitness for one in swarm.algorithm.members()}
    assert now == {birth: turned[birth][0] for birth in members}
    if "novelty" not in algorithm and "islands" not in algorithm:  # their best may be dead already
        assert swarm.best is not None
        assert swarm.best.fitness == max(now.values())
    assert swarm.stagnation == 0
    if algorithm in ("mu plus lambda", "one plus one"):
        fitnesses = [one.fitness for one in swarm.algorithm.members()]
        assert fitnesses == sorted(fitnesses, reverse=True)
    if isinstance(swarm.algorithm, MapElites):
        assert all(swarm.algorithm.cell(one) == cell for cell, one in swarm.algorithm.elites.items())
    assert len(log) >= 36


def test_a_revised_run_goes_on_from_the_new_numbers():
    swarm = make(control_share=0.25)
    log = run(swarm, 48, 6)
    ok = {one.birth: came.objectives[0] for one, came in log if came.status == "ok"}
    swarm.intervene(Revise({birth: (value / 10,) for birth, value in ok.items()}))
    controls = {one.birth for one, _ in log if one.operator == "control"}
    for one in swarm.ask(6):
        swarm.tell(one, Evaluation("failed"))  # the step after this one is planned with the new numbers
    births_each, evolved, control = swarm.against_control()
    assert evolved == max(value / 10 for birth, value in ok.items() if birth not in controls and birth <= 16)
    assert control == max(value / 10 for birth, value in ok.items() if birth in controls)
    assert births_each == 13  # of 54, every fourth
    for one in swarm.ask(6):
        swarm.tell(one, Evaluation("ok", (0.5,), {"ones": 1.0}))
    assert swarm.best is not None
    assert swarm.best.fitness == 0.5  # a record by the new numbers, not by the old


NOT_NUMBERS = [math.nan, math.inf, -math.inf, 1e200]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("value", NOT_NUMBERS)
def test_what_is_not_a_finite_number_revises_nothing(algorithm, value):
    swarm = make(algorithm)
    log = run(swarm, 24, 6)
    before = lineage(swarm, log)
    with pytest.raises(BarkError, match="expected finite numbers"):
        swarm.intervene(Revise({one.birth: (value,) for one in swarm.algorithm.members()}))
    assert lineage(swarm, log) == before
    assert swarm.interventions == {}


def test_a_revised_failure_stays_one():
    swarm = make()
    log = run(swarm, 12, 6)
    swarm.intervene(Revise({one.birth: (9.0,) for one, came in log if came.status != "ok"}))
    run(swarm, 24, 6)
    assert swarm.best is not None
    assert swarm.best.fitness <= 1
    assert swarm.against_control()[1] <= 1


def test_births_that_are_unknown_are_refused_before_anything_changes():
    swarm = make()
    log = run(swarm, 24, 6)
    living = {one.birth for one in swarm.algorithm.members()}
    dead = next(one.birth for one, _ in log if one.birth not in living)
    for wrong in (Breed((1, 99)), Pin(99), Unpin(99), Plant(genome("01"), (99,)), Revise({99: (0.5,)})):
        with pytest.raises(BarkError, match="birth 99 is not planned"):
            swarm.intervene(wrong)
    for wrong in (Breed((dead,)), Pin(dead), Plant(genome("01"), (dead,))):
        with pytest.raises(BarkError, match=f"birth {dead} is not alive"):
            swarm.intervene(wrong)
    with pytest.raises(BarkError, match="given 2 objectives, expected 1"):
        swarm.intervene(Revise({1: (0.5, 0.5)}))
    assert swarm.interventions == {}
    rest = run(swarm, 36, 6)
    assert lineage(make().replay(log + rest), log + rest) == lineage(swarm, log + rest)


def test_interventions_of_another_run_are_refused_by_replay():
    for step, wrong in ((1, Plant(genome("01"))), (2, Pin(7)), (3, Breed((1, 99)))):
        with pytest.raises(BarkError, match="use the step that intervene returned"):
            make().replay([], {step: [wrong]})


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Breed(()),
        lambda: Breed((3, 3)),
        lambda: Pin(0),
        lambda: Pin("7"),
        lambda: Unpin(True),
        lambda: Plant(genome("01"), (1.5,)),
        lambda: Revise({-1: (0.5,)}),
    ],
)
def test_what_names_no_births_is_refused(wrong):
    with pytest.raises(BarkError, match=r"expected (different whole numbers|one or more births)"):
        wrong()


def _continue(parents: Sequence[VoiceHistory], parameters: object) -> Child[VoiceHistory]:
    return Child(None, RenderRequest(text="Once more.", voice=parents[0] if parents else None), "", 1, {})


def render(candidate: Candidate) -> tuple[Candidate, Evaluation]:
    """The same request, the same voice; now and then none comes of it."""
    if candidate.seed % 5 == 0:
        return candidate, Evaluation("failed")
    if candidate.render_first is not None:
        candidate = candidate.with_voice(voice(candidate.render_first.seed % 2**32))
    assert candidate.genome.voice is not None
    return candidate, Evaluation("ok", (candidate.genome.voice.semantic[0] / 10_000,))


def test_voices_that_were_rendered_since_are_bred_planted_and_pinned_and_replay():
    operators = {
        "voice": {
            "continuation": Operator("continuation", 1, 1, "generate", lambda parents, rng: {}, _continue),
            "immigrant": Operator("immigrant", 1, 0, "generate", lambda parents, rng: {}, _continue),
        }
    }

    def fresh() -> Swarm:
        return Swarm([Genome("Hello.", voice(1))], operators, MuPlusLambda(2), SwarmSettings(step_size=4, lag=1))

    for seed in range(6):
        chance, swarm, log, done = random.Random(seed), fresh(), [], {}
        asked: list[Candidate] = []
        while swarm.committed < 60:
            asked += swarm.ask(3)
            some = chance.sample(range(1, swarm.planned + 1), 2)
            known = [one for one, _ in log if one.genome.voice is not None]
            wish = chance.choice([Breed(tuple(some)), Breed((some[0],)), Pin(some[0]), Plant(Genome("Hi.", voice(9)))])
            if known and chance.random() < 0.3:
                one = chance.choice(known)
                wish = Plant(Genome("By hand.", one.genome.voice), (one.birth,))
            told = [(one, came) for one, came in log if one.birth in wish.births]
            if chance.random() < 0.3:
                done.setdefault(swarm.intervene(wish, told), []).append(wish)
            log.append(render(asked.pop(0)))
            swarm.tell(*log[-1])
        voices = {one.genome.voice.sha256: one.genome.voice for one, _ in log if one.genome.voice is not None}
        voices[voice(9).sha256] = voice(9)
        recorded = json.loads(json.dumps({step: [to_json(one) for one in given] for step, given in done.items()}))
        read = {int(step): [from_json(one, voices.__getitem__) for one in given] for step, given in recorded.items()}
        assert lineage(fresh().replay(log, read), log) == lineage(swarm, log)
        by_birth = {one.birth: one for one, _ in log}
        for one in by_birth.values():
            if one.operator == "continuation" and one.genome.voice is not None:
                assert by_birth[one.parents[0].birth].genome.voice is not None
            if one.operator == "by hand" and one.genome.prompt == "Hello.":
                assert one.render_first is None or one.render_first.seed == one.seed
        assert sum(one.operator == "by hand" for one in by_birth.values()) > 0


EXAMPLES = [
    Plant(Genome("[laughs] Grüße ♪", voice(3), RenderSettings(semantic_temp=0.1 + 0.2, semantic_top_k=50), False)),
    Plant(Genome("Hello."), (4, 2)),
    Breed((9, 1)),
    Pin(3),
    Unpin(3),
    Revise({12: (0.1 + 0.2, 1e-300), 7: (0.0, 1.0)}),
]


@pytest.mark.parametrize("intervention", EXAMPLES)
def test_an_intervention_comes_back_from_json_as_it_was(intervention):
    voices = {voice(3).sha256: voice(3)}
    text = json.dumps(to_json(intervention), allow_nan=False)
    assert from_json(json.loads(text), voices.__getitem__) == intervention


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
fields = st.sampled_from(["kind", "birth", "parents", "objectives", "genome", "prompt", "voice", "settings"])
kinds = st.sampled_from(["plant", "breed", "pin", "unpin", "revise", "other"])


@given(
    st.dictionaries(fields, json_values | kinds, max_size=5),
    kinds,
    st.dictionaries(st.sampled_from(["prompt", "voice", "settings", "content_lock", "semantic_temp"]), json_values),
)
@settings(max_examples=300, deadline=None)
def test_a_foreign_record_is_an_intervention_or_a_named_error(obj, kind, told):
    for tried in (obj, {**obj, "kind": kind}, {"kind": "plant", "genome": told, "parents": []}, list(obj)):
        try:
            made = from_json(tried, {}.__getitem__)
        except BarkError:
            continue
        assert from_json(json.loads(json.dumps(to_json(made))), {}.__getitem__) == made


def test_a_genome_is_planted_as_often_as_it_is_wished():
    swarm = make()
    twin = genome(random_bits(np.random.default_rng(3), 12))
    for _ in range(2):
        swarm.intervene(Plant(twin))
    log = run(swarm, 24, 6)
    assert sum(one.genome == twin for one, _ in log) == 2
    assert FLIP.arity == 1
