"""A run from its first birth to its last: recorded, resumed, steered, and the same however it was carried out."""

from __future__ import annotations

import os
import queue
import random
import signal
import time
from pathlib import Path

import pytest
from made_up_studio import MadeUpStudio, made_up_voice
from runner_builders import config, in_process, in_processes, micro_space, run_at_once

from bark_infinity.error_handling import BarkError
from digital_evolution import Genome, Stop
from evolution.interventions import Breed, Pin, Plant
from experiments import events
from experiments.lineage import Lineage, LineageError, browse, people
from experiments.lineage.verification import content_sha256, verify
from experiments.recorded_run import AUDIT, RecordedRun
from experiments.runner import Runner


def content(path: Path, *, order: bool = True) -> str:
    with Lineage.view(path) as lineage:
        assert verify(lineage) == []
        return content_sha256(lineage, order=order)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("run") / "whole.db"
    with Lineage.write(path) as lineage:
        run_at_once(RecordedRun.begin(lineage, config()))
    return content(path)


def run_whole(path: Path, **how: object) -> list[events.Event]:
    said: list[events.Event] = []
    runner = Runner.begin(path, config(**how), said.append, make_executor=in_process)
    assert runner.run() == "done", runner.reason
    return said


def test_a_run_tells_everything_in_order(tmp_path: Path, uninterrupted: str):
    said = run_whole(tmp_path / "run.db")
    kinds = [type(event) for event in said]
    assert kinds.index(events.Begun) < kinds.index(events.Asked) < kinds.index(events.Told)
    told = [event.candidate.birth for event in said if isinstance(event, events.Told)]
    assert told == list(range(1, 25))
    committed = [event for event in said if isinstance(event, events.Committed)]
    assert [birth for event in committed for birth in event.became] == told
    assert said[-1] == events.StateChanged("done", "24 evaluations are done")
    assert content(tmp_path / "run.db") == uninterrupted  # thread, executor and batches change nothing
    with Lineage.view(tmp_path / "run.db") as lineage:
        assert lineage.run("made up").state == "done"


@pytest.mark.parametrize(("workers", "batch_size"), [(0, 1), (0, 4), (0, 16), (1, 2), (2, 1), (7, 1)])
def test_workers_and_batches_change_nothing(tmp_path: Path, uninterrupted: str, workers: int, batch_size: int):
    path = tmp_path / "run.db"
    execution = {"workers": workers, "batch_size": batch_size}
    make = in_processes if workers else in_process
    runner = Runner.begin(path, config(execution=execution), lambda event: None, make_executor=make)
    assert runner.run() == "done", runner.reason
    with Lineage.write(tmp_path / "other.db") as lineage:
        run_at_once(RecordedRun.begin(lineage, config()))
    assert content(path, order=False) == content(tmp_path / "other.db", order=False)


@pytest.mark.parametrize("lag", [0, 2])
def test_stopped_and_resumed_run_has_the_same_lineage(tmp_path: Path, lag: int):
    how = {"breeding": {"lag": lag}}
    with Lineage.write(tmp_path / "whole.db") as lineage:
        run_at_once(RecordedRun.begin(lineage, config(**how)))
    path = tmp_path / "pieces.db"
    for births in (3, 4, 1, 6, None):
        with Lineage.write(path) as lineage:
            new = not lineage.runs()
            run = RecordedRun.begin(lineage, config(**how)) if new else RecordedRun.resume(lineage, "made up")
            run_at_once(run, births)
    assert content(path) == content(tmp_path / "whole.db")


def test_results_that_come_out_of_turn_survive_a_stop(tmp_path: Path):
    """With a lag, later steps may be told before an earlier one is whole."""
    how = {"breeding": {"lag": 1}}
    path = tmp_path / "run.db"
    with Lineage.write(path) as lineage:
        run = RecordedRun.begin(lineage, config(**how))
        run.ask()
        studio = MadeUpStudio(micro_space())
        for evaluated in reversed(studio.judge(studio.render(list(run.jobs)[1:]))):
            assert len(run.tell(evaluated)) == 1  # told, and nothing is committed while the first is missing
    with Lineage.write(path) as lineage:
        run_at_once(RecordedRun.resume(lineage, "made up"))
    with Lineage.write(tmp_path / "whole.db") as lineage:
        run_at_once(RecordedRun.begin(lineage, config(**how)))
    assert content(path, order=False) == content(tmp_path / "whole.db", order=False)


def killed_and_resumed(path: Path, instants: random.Random, kills: int, longest_s: float) -> int:
    """Runs in child processes that are killed with SIGKILL at random instants; returns how often it was resumed."""
    sittings = 0
    while True:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                known = path.exists() and bool(_runs(path))
                make = {"make_executor": in_process}
                runner = (
                    Runner.resume(path, "made up", lambda event: None, **make)
                    if known
                    else Runner.begin(path, config(), lambda event: None, **make)
                )
                status = 0 if runner.run() == "done" else 3
            finally:
                os._exit(status)
        if sittings < kills:
            time.sleep(instants.uniform(0.0, longest_s))
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        sittings += 1
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0
            return sittings


def _runs(path: Path) -> tuple[object, ...]:
    try:
        with Lineage.view(path) as lineage:
            return lineage.runs()
    except LineageError:
        return ()  # killed while the file was made


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a forked process")
def test_killed_run_resumes_to_the_same_lineage(tmp_path: Path, uninterrupted: str):
    path = tmp_path / "killed.db"
    resumed = killed_and_resumed(path, random.Random(1), 12, 0.15)
    assert resumed > 3
    assert content(path) == uninterrupted


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a forked process")
def test_run_killed_at_500_instants_resumes_to_the_same_lineage(tmp_path: Path, uninterrupted: str):
    instants, kills, number = random.Random(2), 0, 0
    while kills < 500:
        number += 1
        path = tmp_path / f"killed {number}.db"
        kills += killed_and_resumed(path, instants, 40, 0.25) - 1
        assert content(path) == uninterrupted


def sat(path: Path, *commands: events.Command, paused: bool = True) -> tuple[Runner, list[events.Event]]:
    """Begins a run that is paused, says something, and lets it end by itself."""
    said: list[events.Event] = []
    runner = Runner.begin(path, config(), said.append, make_executor=in_process, paused=paused)
    for command in commands:
        runner.send(command)
    runner.run()
    return runner, said


def test_pause_step_and_stop(tmp_path: Path):
    said: queue.Queue[events.Event] = queue.Queue()
    runner = Runner.begin(tmp_path / "run.db", config(), said.put, make_executor=in_process, paused=True)
    runner.start()

    def wait_for(state: str) -> list[events.Event]:
        seen: list[events.Event] = []
        while not seen or not (isinstance(seen[-1], events.StateChanged) and seen[-1].state == state):
            seen.append(said.get(timeout=30))
        return seen

    assert not any(isinstance(event, events.Told) for event in wait_for("paused"))
    runner.send(events.StepOnce())
    seen = wait_for("paused")
    assert sum(isinstance(event, events.Committed) for event in seen) == 1
    assert sum(isinstance(event, events.Told) for event in seen) == 4
    runner.send(events.StopRun("enough"))
    wait_for("stopped")
    assert runner.join(30)
    with Lineage.view(tmp_path / "run.db") as lineage:
        assert (lineage.run(1).state, lineage.run(1).reason) == ("paused", "enough")


def test_what_people_do_takes_effect_and_survives_a_stop(tmp_path: Path):
    path = tmp_path / "run.db"
    with Lineage.write(path) as lineage:
        run = RecordedRun.begin(lineage, config())
        run_at_once(run, 8)
        voice = made_up_voice(micro_space(), "planted")
        run.intervene(Plant(Genome("Planted words.", voice)))
        alive = sorted(one.birth for one in run.swarm.algorithm.members())
        run.intervene(Breed(tuple(alive[:2])))
        run.intervene(Pin(alive[0]))
        with pytest.raises(BarkError, match="birth 99 is not planned"):
            run.intervene(Pin(99))
    with Lineage.write(path) as lineage:
        run = RecordedRun.resume(lineage, "made up")
        run_at_once(run)
        assert alive[0] in {one.birth for one in run.swarm.algorithm.members()}
        last = lineage.last_birth(1)
        candidates = lineage.candidates(1, range(1, last + 1))
    assert [one.genome.prompt for one in candidates].count("Planted words.") >= 1
    assert any(tuple(parent.birth for parent in one.parents) == tuple(alive[:2]) for one in candidates)
    assert content(path)


def test_answers_decide_who_lives_where_a_recipe_says_so(tmp_path: Path):
    from experiments.sitting import Sitting

    path = tmp_path / "run.db"
    with Lineage.write(path) as lineage:
        run = RecordedRun.begin(lineage, config(judge={"objectives": ["intelligibility", "cleanliness", "preference"]}))
        sitting = Sitting(run)
        run_at_once(run, 12)
        ok = [one.birth for one in run.swarm.algorithm.members()]
        for _ in range(4):
            for other in ok[1:]:
                said = sitting.hear(events.JudgePair(ok[0], other))
        assert isinstance(said[-1], events.Taught)
        assert said[-1].learned.answers == 4 * len(ok[1:])
        assert any(isinstance(event, events.Rescored) for event in said)
        with pytest.raises(BarkError, match="no result yet"):
            sitting.hear(events.Rate(24, 1.0))
        assert len(people.judgements(lineage, 1)) == 4 * len(ok[1:])
        sitting.hear(events.TakeBack())
        assert len(people.judgements(lineage, 1)) == 4 * len(ok[1:]) - 1
        run_at_once(run, 4)
        after = {one.birth: one.fitness for one in run.swarm.algorithm.members()}
        hashed = content_sha256(lineage, order=True)
    with Lineage.write(path) as lineage:
        run = RecordedRun.resume(lineage, "made up")
        assert {one.birth: one.fitness for one in run.swarm.algorithm.members()} == after
        assert content_sha256(lineage, order=True) == hashed


def test_bad_commands_are_answered_and_the_run_goes_on(tmp_path: Path):
    runner, said = sat(tmp_path / "run.db", events.Rate(7, 2.0), events.Intervene(Pin(900)), events.Continue())
    assert runner.state == "done"
    notices = [event.text for event in said if isinstance(event, events.Notice)]
    assert len(notices) == 2
    assert "900" in notices[1]


def test_a_stopping_limit_can_be_moved_while_it_runs(tmp_path: Path):
    runner, said = sat(tmp_path / "run.db", events.ChangeStop(Stop(evaluations=8)), events.Continue())
    assert runner.reason == "8 evaluations are done"
    assert sum(isinstance(event, events.Told) for event in said) == 8


def test_resuming_with_another_checkpoint_is_refused(tmp_path: Path):
    path = tmp_path / "run.db"
    with Lineage.write(path) as lineage:
        run_at_once(RecordedRun.begin(lineage, config()), 4)
        with lineage.transaction("pretending") as write:
            write.execute('UPDATE runs SET checkpoints = \'{"model.safetensors": "00"}\'')
    runner = Runner.resume(path, "made up", lambda event: None, make_executor=in_process)
    assert runner.run() == "failed"
    assert "another checkpoint" in runner.reason
    assert "branch a new run" in runner.reason


def test_two_runs_of_one_name_get_numbers(tmp_path: Path):
    with Lineage.write(tmp_path / "run.db") as lineage:
        names = [RecordedRun.begin(lineage, config()).run.name for _ in range(3)]
    assert names == ["made up", "made up 2", "made up 3"]


def test_the_best_are_audited_on_held_out_texts_once(tmp_path: Path):
    path = tmp_path / "run.db"
    trials = {"held_out": ["Never heard before.", "Nor this."]}
    said: list[events.Event] = []
    runner = Runner.begin(path, config(trials=trials), said.append, make_executor=in_process)
    assert runner.run() == "done"
    audited = [event for event in said if isinstance(event, events.Audited)]
    with Lineage.view(path) as lineage:
        leading = [birth for birth, _ in browse.best(lineage, 1, count=12)]
        evolved = [birth for birth in leading if lineage.candidate(1, birth).operator != "control"]
        assert [event.birth for event in audited] == evolved[:5]
        for event in audited:
            [first, second] = [lineage.outcome(1, event.birth, AUDIT + number) for number in (1, 2)]
            assert first is not None
            assert second is not None
            assert first.output_sha256 != second.output_sha256
    again: list[events.Event] = []
    assert Runner.resume(path, 1, again.append, make_executor=in_process).run() == "done"
    assert not any(isinstance(event, events.Audited) for event in again)
    assert content(path)
