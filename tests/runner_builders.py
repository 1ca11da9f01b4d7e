"""Runs without models: configurations and executors for the studio of `made_up_studio`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from made_up_studio import MadeUpStudio, made_up_studio

from bark_infinity.tokens import TokenSpace
from experiments.config import RunConfig
from experiments.evaluation import Executor
from experiments.executors.in_process import InProcess
from experiments.executors.process_pool import ProcessPool
from experiments.recorded_run import RecordedRun

RECIPE: dict[str, Any] = {
    "name": "made up",
    "seed": 3,
    "founders": {"prompts": ["I can speak."], "voices": ["micro/adam", "micro/klara", "micro/max"]},
    "variation": {"genes": ["voice", "settings"]},
    "algorithm": {"population": 5},
    "breeding": {"step_size": 4, "control_share": 0.25},
    "judge": {"objectives": ["intelligibility", "cleanliness"]},
    "stop": {"evaluations": 24},
    "execution": {"workers": 0, "batch_size": 2, "clips": "none"},
}


def config(**tables: Any) -> RunConfig:
    """`RECIPE` with other tables."""
    merged = {
        key: {**value, **tables.get(key, {})} if isinstance(value, dict) else value for key, value in RECIPE.items()
    }
    return RunConfig.from_json({**merged, **{key: value for key, value in tables.items() if key not in merged}})


def micro_space() -> TokenSpace:
    from bark_infinity.checkpoints.checkpoint import load_checkpoint

    return load_checkpoint("micro").config.space


def in_process(config: RunConfig, base: Path, say: Callable[[str], None]) -> Executor:
    return InProcess(partial(made_up_studio, micro_space()), config.execution.batch_size)


def in_processes(config: RunConfig, base: Path, say: Callable[[str], None]) -> Executor:
    execution = config.execution
    return ProcessPool(partial(made_up_studio, micro_space()), execution.workers, execution.batch_size, timeout_s=60.0)


def run_at_once(run: RecordedRun, births: int | None = None) -> None:
    """Evaluates in this thread until the run is over, or so many births are told."""
    studio = MadeUpStudio(run.species.checkpoint.config.space)
    told = 0
    run.lineage.set_state(run.run.run_id, "running")
    while run.over() is None:
        run.ask()
        while run.jobs:
            if births is not None and told >= births:
                return
            [evaluated] = studio.judge(studio.render([run.jobs.popleft()]))
            run.tell(evaluated)
            told += 1
    run.lineage.set_state(run.run.run_id, "done", run.over())
