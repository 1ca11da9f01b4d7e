"""Whatever people do, and whenever a run is taken up again: the file says exactly where it was."""

from __future__ import annotations

import contextlib
import random
from pathlib import Path
from typing import Any

import pytest
from made_up_studio import MadeUpStudio, made_up_voice
from runner_builders import config, micro_space

from bark_infinity.error_handling import BarkError
from digital_evolution import Genome
from evolution.interventions import Breed, Pin, Plant, Unpin, to_json
from experiments import events
from experiments.config import RunConfig
from experiments.evaluation import Job
from experiments.lineage import Lineage
from experiments.lineage.verification import verify
from experiments.recorded_run import RecordedRun
from experiments.sitting import Sitting

ALGORITHMS: dict[str, dict[str, Any]] = {
    "mu-plus-lambda": {"population": 2},
    "nsga2": {"population": 5},
    "islands": {"population": 2, "islands": 2, "migrate_every": 2},
    "map-elites": {"axes": [{"measure": "f0_median_hz", "low": 80.0, "high": 300.0, "cells": 4}]},
    "novelty": {"population": 5, "scales": {"f0_median_hz": 50.0}},
}


def state(run: RecordedRun) -> dict[str, Any]:
    """All of a run that decides what comes."""
    swarm = run.swarm
    return {
        "planned": {
            birth: (one.genome.sha256, one.operator, one.parents, one.seed, one.rate, one.island)
            for birth, one in swarm._planned.items()
        },
        "members": {one.birth: (one.fitness, one.evaluation.objectives) for one in swarm.algorithm.members()},
        "best": swarm.best and (swarm.best.birth, swarm.best.fitness),
        "counts": (swarm.committed, swarm.stagnation, run.steps, run.told, run.over(), swarm.against_control()),
        "odds": swarm.operator_probabilities(),
        "to come": {step: list(map(to_json, given)) for step, given in swarm.interventions.items()},
        "answers": run._listeners.taught(list(swarm.algorithm.members())).learned.answers,
    }


def drawn_config(rng: random.Random, kind: str) -> RunConfig:
    preference = ["preference"] if rng.random() < 0.7 else []
    return config(
        algorithm={"kind": kind, **ALGORITHMS[kind]},
        breeding={"lag": rng.choice([0, 1, 2]), "step_size": rng.choice([1, 3, 4]), "immigrant_share": 0.2},
        judge={"objectives": ["intelligibility", "cleanliness", *preference]},
        founders=rng.choice([{}, {"voices": []}]),
        trials={"seeds": rng.choice([1, 2]), "held_out": rng.choice([[], ["Never heard before."]])},
        stop={"evaluations": rng.choice([8, 20])},
    )


def do_something(rng: random.Random, run: RecordedRun, sitting: Sitting) -> None:
    """Something that a person may do, or that is refused."""

    def birth() -> int:
        return rng.randint(1, run.swarm.planned)

    def some(least: int) -> tuple[int, ...]:
        return tuple({birth() for _ in range(rng.randint(least, 3))})

    voice = rng.choice([None, made_up_voice(micro_space(), rng.random())])
    doing: list[events.Command] = [
        events.JudgePair(birth(), birth(), equal=rng.random() < 0.2, bad=rng.random() < 0.2),
        events.Rate(birth(), rng.random()),
        events.TakeBack(),
        events.Intervene(Plant(Genome(f"Words {rng.random()}.", voice), some(0))),
        events.Intervene(Breed(some(1))),
        events.Intervene(Pin(birth())),
        events.Intervene(Unpin(birth())),
    ]
    with contextlib.suppress(BarkError):
        sitting.hear(rng.choice(doing))
    if rng.random() < 0.1:
        run.conduct({"stop": {"evaluations": run.swarm.committed + rng.randint(1, 12)}})


@pytest.mark.parametrize("kind", ALGORITHMS)
def test_a_run_that_is_taken_up_at_any_moment_is_where_it_was(tmp_path: Path, kind: str):
    rng, studio, path = random.Random(kind), MadeUpStudio(micro_space()), tmp_path / "run.db"
    lineage = Lineage.write(path)
    run = RecordedRun.begin(lineage, drawn_config(rng, kind))
    sitting, under_way, resumed = Sitting(run), list[Job](), 0
    for _ in range(70):
        chance = rng.random()
        if chance < 0.55:
            run.ask()
            while run.jobs and len(under_way) < 5:
                under_way.append(run.jobs.popleft())
            if under_way:  # in any order, as from many workers
                [evaluated] = studio.judge(studio.render([under_way.pop(rng.randrange(len(under_way)))]))
                run.tell(evaluated)
        elif chance < 0.9:
            do_something(rng, run, sitting)
        else:  # killed: what was under way is lost
            before = state(run)
            lineage.close()
            lineage = Lineage.write(path)
            run = RecordedRun.resume(lineage, 1)
            sitting, under_way, resumed = Sitting(run), [], resumed + 1
            assert state(run) == before
    assert resumed > 2
    assert verify(lineage) == []
    lineage.close()
