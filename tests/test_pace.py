"""How far a run is and where it runs, told by the runner and, for those who only watch, from its file."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lineage_builders import evolve
from made_up_studio import MadeUpStudio
from runner_builders import config, micro_space

from experiments.board.run_state import Opened, RunState
from experiments.events import Begun, Progress, Told
from experiments.executors.in_process import InProcess
from experiments.executors.process_pool import ProcessPool
from experiments.lineage import Lineage
from experiments.replay.pace import pace_of
from experiments.runner import Runner
from window.sources import WatchedRun


class Placed(MadeUpStudio):
    """A studio that knows where it computes."""

    runs_on = "cuda:1, bf16"


def placed() -> Placed:
    return Placed(micro_space())


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[object]]:
    path = tmp_path_factory.mktemp("pace") / "run.db"
    said: list[object] = []
    runner = Runner.begin(path, config(), said.append, make_executor=lambda *_: InProcess(placed, 2))
    assert runner.run() == "done", runner.reason
    return path, said


def test_the_runner_says_where_it_really_runs_and_the_config_stays_as_it_was(whole):
    _path, said = whole
    last = [event for event in said if isinstance(event, Progress)][-1]
    assert last.engine == "cuda:1, bf16"
    state = RunState()
    [begun] = [event for event in said if isinstance(event, Begun)]
    state.apply(begun)
    assert state.engine == "micro", "auto says nothing before the models are loaded"
    state.apply(last)
    assert state.engine == "micro on cuda:1, bf16"
    assert begun.config["execution"]["device"] == "auto"


def test_worker_processes_say_where_they_run():
    pool = ProcessPool(partial(_everywhere, "cpu, fp32"), 1, 1, timeout_s=60.0)
    try:
        assert pool.status()["engine"] == ""
        pool.submit(_jobs())
        while not pool.collect(5.0):
            pass
        assert pool.status()["engine"] == "cpu, fp32"
    finally:
        pool.close()


def _everywhere(where: str) -> MadeUpStudio:
    studio = MadeUpStudio(micro_space())
    studio.runs_on = where  # type: ignore[attr-defined]
    return studio


def _jobs():
    from digital_evolution import Candidate, Genome
    from experiments.evaluation import Job, Trial

    return [Job(Candidate(1, Genome("Hello."), (), "founder", 0, 1), (Trial("Hello.", 1),))]


def test_whoever_watches_hears_hours_speed_and_place_as_the_runner_told_them(whole):
    path, said = whole
    source = WatchedRun(path)
    source.start()
    assert source.caught_up.wait(20)
    source.close(5)
    heard = [source.events.get() for _ in range(source.events.qsize())]
    [pace] = [event for event in heard if isinstance(event, Progress)]
    told = [event for event in said if isinstance(event, Progress)][-1]
    assert (pace.told, pace.engine, pace.eta_hours) == (24, told.engine, 0.0)
    assert pace.hours == pytest.approx(told.hours, rel=0.2)
    assert pace.births_per_hour == pytest.approx(24 / pace.hours)


def test_hours_and_limits_tell_what_is_to_come(tmp_path):
    with Lineage.write(tmp_path / "a.db") as lineage:
        run = _evolved(lineage)
        told = pace_of(lineage, run).told
        lineage.set_execution(run, {"worked_s": 3600.0, "stop": {"evaluations": 3 * told, "hours": 10.0}})
        pace = pace_of(lineage, run)
        assert (pace.hours, pace.births_per_hour) == (1.0, told)
        assert pace.eta_hours == pytest.approx(2.0), "the limit that is reached first"
        lineage.set_execution(run, {"worked_s": 3600.0, "stop": {"evaluations": 3 * told, "hours": 1.5}})
        assert pace_of(lineage, run).eta_hours == pytest.approx(0.5)
        lineage.set_execution(run, {"worked_s": 3600.0, "stop": {}})
        assert pace_of(lineage, run).eta_hours is None
        state = RunState()
        state.open(Opened("file", "a.db", "run"))
        state.state = "running"
        lineage.set_execution(run, {"worked_s": 3600.0, "stop": {"hours": 3.0}, "engine": "cpu, fp32"})
        state.apply(Begun(run, "run", 1, {"model": {"checkpoint": "suno/bark"}}, (), ()))
        state.apply(pace_of(lineage, run))
        assert state.facts() == ("bark on cpu, fp32", f"{told} births/h", "1 h 00 min of work", "2 h 00 min to go")


def test_a_run_whose_steps_are_not_over_is_timed_by_its_births(tmp_path):
    with Lineage.write(tmp_path / "a.db") as lineage:
        pace = pace_of(lineage, _evolved(lineage))
        assert pace.hours == 0
        assert pace.births_per_hour > 0


def _evolved(lineage: Lineage) -> int:
    evolve(lineage, 12)
    return lineage.runs()[0].run_id


_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def foreign(tmp_path_factory):
    with Lineage.write(tmp_path_factory.mktemp("foreign") / "a.db") as lineage:
        _evolved(lineage)
        yield lineage


@settings(deadline=None, max_examples=60)
@given(worked=_ANY, stop=_ANY | st.fixed_dictionaries({"evaluations": _ANY, "hours": _ANY}), engine=_ANY)
def test_whatever_a_file_says_of_its_conduct_the_pace_is_sensible(foreign, worked, stop, engine):
    execution = {"worked_s": worked, "stop": stop, "engine": engine}
    foreign.set_execution(1, json.loads(json.dumps(execution)))
    pace = pace_of(foreign, 1)
    assert pace.hours >= 0
    assert pace.births_per_hour >= 0
    assert pace.eta_hours is None or pace.eta_hours >= 0
    assert isinstance(pace.engine, str)


def test_the_last_word_of_a_run_counts_only_births_that_were_told(whole):
    path, said = whole
    with Lineage.view(path) as lineage:
        assert pace_of(lineage, 1).told == sum(isinstance(event, Told) for event in said)
