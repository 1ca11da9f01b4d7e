"""Settings operators: every child is in range, differs where the model notices, and repeats from its record."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import statistics
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from bark_infinity.error_handling import BarkError
from bark_infinity.requests import RenderSettings
from bark_infinity.settings_edits import HERITABLE, SETTINGS_OPERATORS, setting_ranges, settings_operators
from bark_infinity.tokens import SUNO_TOKENS, TokenSpace
from bark_infinity.variation import NotApplicable
from digital_evolution import (
    Candidate,
    Evaluation,
    Genome,
    MuPlusLambda,
    Stop,
    Swarm,
    SwarmSettings,
    remake,
    vary,
)

SMALL = TokenSpace(60, 32, 4, 5, 20.0, 33.0)
CHECKPOINTS = {
    space: (setting_ranges(space), settings_operators(space)) for space in (SUNO_TOKENS, TokenSpace(1_792, 512), SMALL)
}
RANGES = {setting: limits for group in setting_ranges().values() for setting, limits in group.items()}
MANY = settings(
    max_examples=10_000,
    deadline=None,
    database=None,
    derandomize=True,
    phases=(Phase.generate,),  # a seed does not shrink to anything simpler
    suppress_health_check=list(HealthCheck),
)


def some_settings(rng: np.random.Generator) -> RenderSettings:
    """What people set: defaults, ranges, greedy stages, filters, and values outside of every range."""

    def either(*values):
        return values[int(rng.integers(len(values)))]

    return RenderSettings(
        semantic_temp=either(0.7, 0.0, round(float(rng.uniform(0.05, 2)), 3)),
        semantic_top_k=either(None, 1, int(rng.integers(1, 9_000))),
        semantic_top_p=either(None, 1.0, round(float(rng.uniform(0.05, 1)), 3)),
        semantic_min_eos_p=either(None, 0.2, round(float(rng.uniform(0.001, 1)), 4)),
        semantic_allow_early_stop=either(True, True, False),
        semantic_max_tokens=either(None, 50),
        coarse_temp=either(0.7, 0.0, round(float(rng.uniform(0.05, 2)), 3)),
        coarse_top_k=either(None, int(rng.integers(1, 1_024))),
        coarse_top_p=either(None, round(float(rng.uniform(0.05, 1)), 3)),
        fine_temp=either(0.5, None, 0.0, round(float(rng.uniform(0.05, 2)), 3)),
    )


def what_the_model_notices(one: RenderSettings) -> tuple:
    """Settings as the stages use them: a greedy stage has no filters, an utterance without an end no threshold."""
    semantic = (one.semantic_temp, one.semantic_top_k, one.semantic_top_p) if one.semantic_temp else 0
    coarse = (one.coarse_temp, one.coarse_top_k, one.coarse_top_p) if one.coarse_temp else 0
    end = one.semantic_min_eos_p if one.semantic_allow_early_stop else None
    return semantic, coarse, one.fine_temp or 0, end, one.semantic_max_tokens, one.semantic_allow_early_stop


made_by: Counter[str] = Counter()


@MANY
@given(st.integers(0, 2**64 - 1))
def test_every_operator_makes_settings_in_range_that_the_model_notices_and_records_them(seed):
    rng = np.random.default_rng(seed)
    ranges, operators = list(CHECKPOINTS.values())[int(rng.integers(3))]
    operator = list(operators.values())[int(rng.integers(len(operators)))]
    for _ in range(60):
        parents = [some_settings(rng) for _ in range(operator.arity)]
        try:
            parameters = operator.draw(parents, rng)
            break
        except NotApplicable:
            continue
    child = operator.apply(parents, parameters)
    again = SETTINGS_OPERATORS[operator.name].apply(parents, json.loads(json.dumps(dict(parameters))))
    made_by[operator.name] += 1

    assert (child.operator, child.version, child.render) == (operator.name, operator.version, None)
    assert again.material == child.material
    assert isinstance(child.material, RenderSettings)
    assert child.material not in parents
    fixed = {field.name for field in dataclasses.fields(RenderSettings)} - set(HERITABLE)
    assert all(getattr(child.material, name) == getattr(parents[0], name) for name in fixed)
    changed = [name for name in HERITABLE if getattr(child.material, name) != getattr(parents[0], name)]
    if operator.name == "settings_crossover":
        assert changed == [name for name in HERITABLE if name in parameters["from_second"]]
        assert all(getattr(child.material, name) == getattr(parents[1], name) for name in changed)
        return
    (name,) = changed
    assert what_the_model_notices(child.material) != what_the_model_notices(parents[0])
    limits, before, after = ranges[operator.name][name], getattr(parents[0], name), getattr(child.material, name)
    if after is None:
        assert limits.filters
    elif before is None:
        assert limits.low <= after <= limits.high
    else:
        assert min(limits.low, before) - 1e-4 <= after <= max(limits.high, before) + 1e-4  # a record has four digits
    assert after is None or not limits.whole or type(after) is int


def test_all_operators_took_part_in_the_ten_thousand_cases():
    if sum(made_by.values()) == 0:
        pytest.skip("run together with the test that counts")
    assert sum(made_by.values()) >= 10_000
    assert set(made_by) == set(SETTINGS_OPERATORS)
    assert min(made_by.values()) > 400


def walk(name: str, steps: int, start: RenderSettings = RenderSettings()) -> list[RenderSettings]:  # noqa: B008
    rng = np.random.default_rng(7)
    line = [start]
    for _ in range(steps):
        child = SETTINGS_OPERATORS[name]([line[-1]], rng).material
        assert child is not None
        line.append(child)
    return line


@pytest.mark.parametrize("name", [name for name in SETTINGS_OPERATORS if name != "settings_crossover"])
def test_long_lines_stay_in_range_and_reach_most_of_it(name):
    line = walk(name, 3_000)
    for setting, limits in setting_ranges()[name].items():
        values = [getattr(one, setting) for one in line]
        known = [value for value in values if value is not None]
        width = limits.high - limits.low
        assert limits.low <= min(known) < limits.low + 0.1 * width
        assert limits.high - 0.1 * width < max(known) <= limits.high
        if limits.filters:
            assert 0.1 < values.count(None) / len(values) < 0.4  # on more often than off


def test_steps_of_temperatures_are_log_normal():
    rng = np.random.default_rng(0)
    limits = RANGES["semantic_temp"]
    steps = np.log([limits.drifted(0.6, rng) / 0.6 for _ in range(4_000)])
    assert abs(steps.mean()) < 0.01
    assert abs(steps.std() - limits.step) < 0.01


def test_what_a_person_put_out_of_range_goes_no_further():
    hot = [one.semantic_temp for one in walk("temperature", 400, RenderSettings(semantic_temp=1.8))]
    assert max(hot) == 1.8
    assert hot[-1] <= 1.1
    for before, after in itertools.pairwise(hot):
        assert after <= max(before, 1.1)


def test_choices_that_are_no_values_stay():
    frozen = RenderSettings(semantic_temp=0.0, coarse_temp=0.0, fine_temp=None, semantic_min_eos_p=None)
    for name in ("temperature", "top_k", "top_p", "min_eos_p"):
        with pytest.raises(NotApplicable):
            SETTINGS_OPERATORS[name]([frozen], np.random.default_rng(0))
    endless = RenderSettings(semantic_allow_early_stop=False)  # there is no end to have a threshold
    with pytest.raises(NotApplicable):
        SETTINGS_OPERATORS["min_eos_p"]([endless], np.random.default_rng(0))
    coarse_only = walk("top_k", 50, RenderSettings(semantic_temp=0.0))
    assert {one.semantic_top_k for one in coarse_only} == {None}


def test_crossing_takes_some_of_what_differs_from_the_second_and_all_else_from_the_first():
    first = RenderSettings(semantic_max_tokens=40)
    second = RenderSettings(semantic_temp=0.9, coarse_top_k=50, fine_temp=0.3, semantic_max_tokens=80)
    children = {SETTINGS_OPERATORS["settings_crossover"]([first, second], np.random.default_rng(n)).material
                for n in range(60)}  # fmt: skip
    assert len(children) == 2**3 - 2
    assert {one.semantic_max_tokens for one in children if one} == {40}
    for other in (first, dataclasses.replace(first, semantic_temp=0.9)):
        with pytest.raises(NotApplicable, match="fewer than two"):
            SETTINGS_OPERATORS["settings_crossover"]([first, other], np.random.default_rng(0))


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("temperature", {}),
        ("temperature", {"setting": "semantic_top_k", "to": 30}),
        ("temperature", {"setting": "semantic_temp", "to": "off"}),
        ("temperature", {"setting": "semantic_temp", "to": "0.5"}),
        ("temperature", {"setting": "semantic_temp", "to": True}),
        ("temperature", {"setting": "semantic_temp", "to": float("nan")}),
        ("temperature", {"setting": "semantic_temp", "to": 0.7}),
        ("temperature", {"setting": ["semantic_temp"], "to": 0.7}),
        ("top_k", {"setting": "coarse_top_k", "to": 30.5}),
        ("top_k", {"setting": "coarse_top_k", "to": 0}),
        ("top_k", {"setting": "coarse_top_k", "to": "off"}),
        ("top_p", {"setting": "coarse_top_p", "to": 1.5}),
        ("settings_crossover", {"from_second": "semantic_temp"}),
        ("settings_crossover", {"from_second": ["semantic_max_tokens"]}),
        ("settings_crossover", {"from_second": [["fine_temp"]]}),
        ("settings_crossover", {"from_second": []}),
    ],
)
def test_a_foreign_record_is_refused(name, parameters):
    operator = SETTINGS_OPERATORS[name]
    parents = [RenderSettings(), RenderSettings(fine_temp=0.4)][: operator.arity]
    with pytest.raises(BarkError):
        operator.apply(parents, parameters)
    with pytest.raises(BarkError, match="parents, got"):
        operator.apply([], parameters)


def test_more_edits_go_further_so_that_a_heritable_rate_is_a_strength():
    only = Genome("Hello.", settings=RenderSettings(semantic_temp=0.55, coarse_temp=0.0, fine_temp=None))
    temperature = SETTINGS_OPERATORS["temperature"]
    spread = {}
    for times in (1, 4):
        drafts = [vary("settings", temperature, [only], np.random.default_rng(seed), times) for seed in range(600)]
        for draft in drafts[:50]:
            assert remake("settings", temperature, [only], draft.parameters).genome == draft.genome
        spread[times] = np.std(np.log([draft.genome.settings.semantic_temp for draft in drafts]))
    assert 1.7 < spread[4] / spread[1] < 2.1  # the root of 4, less what the range cuts off


def test_a_swarm_finds_settings_that_are_wanted():
    wanted = {"semantic_temp": 0.45, "coarse_temp": 0.85, "fine_temp": 0.35}

    def nearness(candidate: Candidate) -> Evaluation:
        settings = candidate.genome.settings
        apart = [abs(math.log(getattr(settings, name) / value)) for name, value in wanted.items()]
        return Evaluation("ok", (1 - sum(apart) / 3,))

    reached = []
    for seed in range(8):
        swarm = Swarm([Genome("Hello.")], {"settings": SETTINGS_OPERATORS}, MuPlusLambda(6), SwarmSettings(seed=seed))
        swarm.evolve(nearness, Stop(evaluations=200))
        assert swarm.best is not None
        reached.append(swarm.best.fitness)
        assert swarm.statistics["settings_crossover"]["births"] > 0
    assert nearness(Candidate(1, Genome("Hello."))).objectives[0] < 0.7
    assert min(reached) > 0.8
    assert statistics.fmean(reached) > 0.92


def test_the_module_loads_nothing_heavy():
    program = "import sys, bark_infinity.settings_edits; print({'torch', 'scipy', 'librosa'} & set(sys.modules))"
    root = Path(__file__).resolve().parents[1]
    found = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
