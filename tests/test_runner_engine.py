"""A run with a real engine: killed, resumed, and evaluated in other batches, it speaks the same tokens."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from experiments import events
from experiments.config import RunConfig
from experiments.evaluation import Executor
from experiments.executors.in_process import InProcess
from experiments.lineage import Lineage, LineageError
from experiments.lineage.verification import content_sha256, verify
from experiments.runner import Runner
from experiments.studio import Studio

RECIPE = {
    "name": "tiny",
    "model": {"checkpoint": "random-tiny", "precision": "fp32"},
    "founders": {"prompts": ["One two."], "voices": []},
    "variation": {"genes": ["voice", "settings"], "carrier_texts": ["Three four."]},
    "algorithm": {"population": 4},
    "breeding": {"step_size": 4, "control_share": 0.25, "initial": 3},
    "judge": {"objectives": ["centroid_hz = 4000 ± 2000"], "gates": [], "recogniser": "none"},
    "stop": {"evaluations": 16},
    "execution": {"workers": 0, "clips": "none", "device": "cpu"},
}


def config(batch_size: int = 2) -> RunConfig:
    recipe = {**RECIPE, "execution": {**RECIPE["execution"], "batch_size": batch_size}}
    return RunConfig.from_json(recipe)


def content(path: Path, *, order: bool = True) -> str:
    with Lineage.view(path) as lineage:
        assert verify(lineage) == []
        return content_sha256(lineage, order=order)


def runner_of(path: Path, batch_size: int = 2, make: Callable[..., Executor] | None = None) -> Runner:
    try:
        with Lineage.view(path) as lineage:
            known = bool(lineage.runs())
    except LineageError:
        known = False
    if known:
        return Runner.resume(path, "tiny", lambda event: None, make_executor=make)
    return Runner.begin(path, config(batch_size), lambda event: None, make_executor=make)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("engine") / "whole.db"
    runner = runner_of(path)
    assert runner.run() == "done", runner.reason
    return path


def test_a_run_speaks_with_a_real_engine(whole: Path):
    with Lineage.view(whole) as lineage:
        outcomes = lineage.outcomes(1, range(1, 17))
        assert len(outcomes) == 16
        assert {one.score.status for one in outcomes.values()} == {"ok"}
        assert len({one.output_sha256 for one in outcomes.values()}) > 8
        operators = {one.operator for one in lineage.candidates(1, range(1, 17))}
        assert len(operators) > 4


@pytest.mark.parametrize("batch_size", [1, 7])
def test_other_batches_speak_the_same(whole: Path, tmp_path: Path, batch_size: int):
    path = tmp_path / "run.db"
    assert runner_of(path, batch_size).run() == "done"
    assert content(path, order=False) == content(whole, order=False)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a forked process")
def test_run_with_a_real_engine_killed_20_times_resumes_to_the_same_lineage(whole: Path, tmp_path: Path):
    path, instants, kills = tmp_path / "killed.db", random.Random(5), 0
    studio = Studio.open(config().to_json())  # loaded once, before the forks

    def in_this_process(config: RunConfig, base: Path, say: Callable[[str], None]) -> Executor:
        return InProcess(lambda: studio, config.execution.batch_size)

    while True:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                status = 0 if runner_of(path, make=in_this_process).run() == "done" else 3
            finally:
                os._exit(status)
        if kills < 20:
            time.sleep(instants.uniform(0.05, 0.6))
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0
            if kills >= 20:
                break
            path.rename(tmp_path / f"done {kills}.db")  # it was over before the kills were
            for leftover in tmp_path.glob("killed.db*"):
                leftover.unlink()
        kills += 1
    assert content(path) == content(whole)


def test_a_checkpoint_that_vanished_ends_the_sitting_and_says_so(tmp_path: Path):
    said: list[events.Event] = []
    recipe = {**RECIPE, "model": {"checkpoint": str(tmp_path / "gone")}}
    runner = Runner.begin(tmp_path / "run.db", RunConfig.from_json(recipe), said.append)
    assert runner.run() == "failed"
    assert "gone" in runner.reason
    assert said[-1] == events.StateChanged("failed", runner.reason)
