"""What goes wrong in a night: bad candidates cost themselves, and bad machines end the run in words, losing nothing."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from made_up_studio import made_up_studio
from runner_builders import config, in_process, micro_space, run_at_once
from sabotaged_studio import sabotaged_studio

from bark_infinity.error_handling import BarkError
from experiments import events, runner
from experiments.evaluation import Evaluated, Executor, Job
from experiments.executors.in_process import InProcess
from experiments.executors.process_pool import ProcessPool
from experiments.lineage import Lineage
from experiments.lineage.verification import content_sha256, verify
from experiments.recorded_run import RecordedRun
from experiments.runner import MakeExecutor, Runner

ROOT = Path(__file__).resolve().parents[1]

DEEDS: Mapping[int, str] = {
    2: "kill", 3: "nan", 5: "raise", 6: "hang", 8: "exit", 11: "nan measure", 14: "memory", 15: "crash"
}  # fmt: skip
REASONS = {
    2: "worker died (signal 9) twice on this candidate",
    3: "judging: term intelligibility is nan, expected a number from 0 to 1",
    5: "rendering: ZeroDivisionError: a planted error",
    6: "took longer than 1.5 s twice on this candidate",
    8: "worker died (exit code 3) twice on this candidate",
    11: "judging: measures f0_median_hz: not finite; leave out what could not be measured",
    14: "rendering: not enough memory (MemoryError); take a smaller batch_size or fewer workers",
    15: f"worker died (signal {int(signal.SIGSEGV)}) twice on this candidate",
}


def sabotaged(deeds: Mapping[int, str], model: Path | None = None, timeout_s: float = 1.5) -> MakeExecutor:
    """Executors of sabotaged studios, in this process or in others as a configuration says."""
    from experiments.config import RunConfig

    def make(config: RunConfig, base: Path, say: Callable[[str], None]) -> Executor:
        factory = partial(sabotaged_studio, micro_space(), dict(deeds), model)
        execution = config.execution
        if execution.workers == 0:
            return InProcess(factory, execution.batch_size)
        return ProcessPool(factory, execution.workers, execution.batch_size, timeout_s)

    return make


class Night:
    """A run that somebody watches."""

    def __init__(self, path: Path, make: MakeExecutor = in_process, **tables: Any) -> None:
        self.path, self.make, self.tables = path, make, tables
        self.said: list[events.Event] = []
        self.at: dict[int, Callable[[], None]] = {}  # done when so many births are told

    def hear(self, event: events.Event) -> None:
        self.said.append(event)
        if isinstance(event, events.Told) and len(self.told) in self.at:
            self.at.pop(len(self.told))()

    @property
    def told(self) -> dict[int, events.Told]:
        return {event.candidate.birth: event for event in self.said if isinstance(event, events.Told)}

    def begin(self) -> Runner:
        return self._run(Runner.begin(self.path, config(**self.tables), self.hear, make_executor=self.make))

    def resume(self, **conduct: Any) -> Runner:
        return self._run(Runner.resume(self.path, "made up", self.hear, make_executor=self.make, conduct=conduct))

    def _run(self, one: Runner) -> Runner:
        one.run()
        last = [event for event in self.said if isinstance(event, events.StateChanged)][-1]
        assert (last.state, last.reason) == (one.state, one.reason)  # whoever watches knows
        return one

    def require_nothing_lost(self) -> None:
        """Everything that was acknowledged is in the file, as it was told."""
        with Lineage.view(self.path) as lineage:
            assert verify(lineage) == []
            outcomes = lineage.outcomes(1, list(self.told))
            for birth, told in self.told.items():
                assert outcomes[birth].score.status == told.score.status
                assert outcomes[birth].total == told.total


def content(path: Path) -> str:
    with Lineage.view(path) as lineage:
        assert verify(lineage) == []
        return content_sha256(lineage, order=False)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("night") / "whole.db"
    with Lineage.write(path) as lineage:
        run_at_once(RecordedRun.begin(lineage, config()))
    return content(path)


# -- candidates -------------------------------------------------------------------------------------------------


def test_candidates_that_go_wrong_never_win_and_never_stop_the_run(tmp_path):
    hashes = set()
    for number, (workers, batch_size) in enumerate([(2, 3), (3, 1)]):
        night = Night(
            tmp_path / f"{number}.db", sabotaged(DEEDS), execution={"workers": workers, "batch_size": batch_size}
        )
        assert night.begin().state == "done", night.said[-1]
        reasons = {birth: told.score.reason for birth, told in night.told.items() if birth in REASONS}
        assert reasons == REASONS
        assert all(night.told[birth].score.status == "failed" for birth in REASONS)
        assert all(night.told[birth].total is None for birth in DEEDS)
        for committed in (event for event in night.said if isinstance(event, events.Committed)):
            assert not set(committed.population) & set(REASONS)
            assert committed.best not in REASONS
        parents = {parent.birth for told in night.told.values() for parent in told.candidate.parents}
        assert not parents & {birth for birth in REASONS if birth > 3}  # founders breed while nobody lives
        night.require_nothing_lost()
        with Lineage.view(night.path) as lineage:
            kept = {birth: one.score.reason for birth, one in lineage.outcomes(1, list(REASONS)).items()}
        assert kept == REASONS
        hashes.add(content(night.path))
    assert len(hashes) == 1  # neither workers nor batches decide who is blamed


def test_in_this_process_exceptions_and_memory_cost_a_candidate_only(tmp_path):
    deeds = {birth: deed for birth, deed in DEEDS.items() if deed in ("nan", "raise", "memory", "nan measure")}
    night = Night(tmp_path / "run.db", sabotaged(deeds))
    assert night.begin().state == "done"
    assert {birth: night.told[birth].score.reason for birth in deeds} == {birth: REASONS[birth] for birth in deeds}


def test_workers_that_die_are_seen_and_told_of(tmp_path):
    night = Night(tmp_path / "run.db", sabotaged({3: "kill"}), execution={"workers": 2, "batch_size": 2})
    assert night.begin().state == "done"
    notices = [event.text for event in night.said if isinstance(event, events.Notice)]
    assert any(text.endswith("died (signal 9) over births 3 and is replaced") for text in notices), notices
    doing = {event.rendering for event in night.said if isinstance(event, events.Progress)}
    assert any(text.startswith("evaluating ") for text in doing), doing
    assert any(text.endswith("2 restarts") for text in doing), doing


def test_when_no_worker_survives_the_run_fails_and_can_go_on_elsewhere(tmp_path, uninterrupted):
    night = Night(
        tmp_path / "run.db",
        sabotaged(dict.fromkeys(range(5, 100), "kill")),
        execution={"workers": 2, "batch_size": 2},
    )
    one = night.begin()
    assert one.state == "failed"
    assert "12 workers in a row ended without a result" in one.reason
    assert "take fewer workers" in one.reason
    assert sorted(night.told)[:4] == [1, 2, 3, 4]
    night.require_nothing_lost()
    with Lineage.view(night.path) as lineage:
        assert (lineage.run(1).state, lineage.run(1).reason) == ("failed", one.reason)


def test_a_stop_ends_the_waiting_for_workers_at_once_and_loses_nothing(tmp_path, uninterrupted, monkeypatch):
    pools: list[ProcessPool] = []

    def make(config: object, base: Path, say: object) -> ProcessPool:
        factory = partial(made_up_studio, micro_space())
        pools.append(ProcessPool(factory, 1, 2, 20.0, clock=lambda: 0.0))  # so no pause between attempts ever ends
        return pools[-1]

    def full(*_: object, **__: object) -> None:
        raise OSError(12, "Cannot allocate memory")

    def no_room() -> None:
        monkeypatch.setattr("experiments.executors.worker_process.subprocess.Popen", full)
        os.kill(pools[0].status()["workers"][0]["pid"], signal.SIGKILL)

    class Impatient(Night):
        def hear(self, event: events.Event) -> None:
            super().hear(event)
            if isinstance(event, events.Notice) and "did not start" in event.text:
                one.send(events.StopRun("stopped by Ctrl-C"))

    night = Impatient(tmp_path / "run.db")
    night.at[6] = no_room
    one = Runner.begin(night.path, config(), night.hear, make_executor=make)
    one.start()
    assert one.join(60)
    assert (one.state, one.reason) == ("stopped", "stopped by Ctrl-C")
    assert 6 <= len(night.told) < 24
    night.require_nothing_lost()
    night.make = in_process
    assert night.resume().state == "done"
    assert content(night.path) == uninterrupted


def test_who_changes_their_mind_while_a_run_stops_gets_what_was_taken_back(tmp_path, uninterrupted):
    class Full(InProcess):
        """Has room only when its jobs were taken back, which makes somebody change their mind."""

        def __init__(self) -> None:
            super().__init__(partial(made_up_studio, micro_space()), 2)
            self.has_room, self.kept = False, []

        def submit(self, jobs: Sequence[Job]) -> None:
            if self.has_room:
                super().submit(jobs)
            else:
                self.kept.extend(jobs)

        def waiting(self) -> int:
            return super().waiting() + len(self.kept)

        def collect(self, timeout_s: float) -> list[Evaluated]:
            if self.kept:
                one.send(events.StopRun())
            return super().collect(timeout_s)

        def withdraw(self) -> list[Job]:
            taken, self.kept = self.kept, []
            if not self.has_room:
                self.has_room = True
                one.send(events.Continue())
            return taken

    night = Night(tmp_path / "run.db")
    one = Runner.begin(night.path, config(), night.hear, make_executor=lambda *_: Full())
    assert one.run() == "done", one.reason
    assert content(night.path) == uninterrupted


# -- machines ---------------------------------------------------------------------------------------------------


def test_a_full_disk_ends_the_run_and_it_goes_on_once_there_is_room(tmp_path, uninterrupted, monkeypatch):
    held: list[Lineage] = []

    class Disk(Lineage):
        @classmethod
        def write(cls, path, **how):
            held.append(Lineage.write(path, **how))
            return held[-1]

    monkeypatch.setattr(runner, "Lineage", Disk)
    night = Night(tmp_path / "run.db")

    def fill() -> None:
        with held[0].turn("filling the disk"):
            [(pages,)] = held[0].query("PRAGMA page_count")
            held[0].query(f"PRAGMA max_page_count = {pages + 1}")

    night.at[7] = fill
    one = night.begin()
    assert one.state == "failed"
    assert "the disk is full" in one.reason
    assert "free some space and resume" in one.reason
    assert 7 <= len(night.told) < 24
    night.require_nothing_lost()
    assert night.resume().state == "done"
    night.require_nothing_lost()
    assert content(night.path) == uninterrupted


@pytest.mark.skipif(sys.platform == "win32", reason="limits a process's files")
def test_a_disk_that_takes_no_more_in_earnest(tmp_path, uninterrupted):
    """A process whose files may not grow beyond so many bytes, wherever it writes."""
    program = """
import resource, signal, sys
from pathlib import Path
from made_up_studio import made_up_studio
from runner_builders import config, in_process
from experiments.runner import Runner
from experiments import events
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
def hear(event):
    if isinstance(event, events.Told):
        print(event.candidate.birth, flush=True)
runner = Runner.begin(Path(sys.argv[1]), config(), hear, make_executor=in_process)
print(runner.run(), runner.reason)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "tests")))}
    path = tmp_path / "run.db"
    command = [sys.executable, "-c", program, str(path), str(400_000)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    *births, last = done.stdout.splitlines()
    assert last.startswith("failed "), last
    assert "then resume" in last or "and resume" in last, last
    assert 0 < len(births) < 24
    night = Night(path)
    with Lineage.view(path) as lineage:
        assert verify(lineage) == []
        assert set(lineage.outcomes(1, range(1, 25))) >= {int(birth) for birth in births}
    assert night.resume().state == "done"
    assert content(path) == uninterrupted


def test_a_locked_database_ends_the_run_and_it_goes_on_when_it_is_free(tmp_path, uninterrupted, monkeypatch):
    monkeypatch.setattr("experiments.lineage.opening._BUSY_S", 0.05)
    night = Night(tmp_path / "run.db")
    browsers: list[sqlite3.Connection] = []

    def lock() -> None:
        browsers.append(sqlite3.connect(night.path, isolation_level=None, check_same_thread=False))
        browsers[0].execute("BEGIN IMMEDIATE")

    night.at[5] = lock
    one = night.begin()
    assert one.state == "failed"
    assert "close the other program" in one.reason
    assert "and resume" in one.reason
    assert len(night.told) >= 5
    browsers[0].execute("ROLLBACK")
    browsers[0].close()
    night.require_nothing_lost()
    assert night.resume().state == "done"
    assert content(night.path) == uninterrupted


@pytest.mark.skipif(sys.platform == "win32", reason="open files cannot be moved there")
@pytest.mark.parametrize("impostor", [False, True])
def test_a_lineage_that_was_moved_ends_the_run_before_anything_is_lost(tmp_path, uninterrupted, impostor):
    """SQLite would go on writing beside the file, and what it acknowledged could be found by nobody."""
    night = Night(tmp_path / "run.db")

    def tidy_up() -> None:
        night.path.rename(tmp_path / "tidied.db")
        if impostor:
            night.path.write_bytes(b"something else")

    night.at[8] = tidy_up
    one = night.begin()
    assert one.state == "failed"
    assert "moved, renamed or deleted" in one.reason
    assert "Put it back where it was, beside run.db-wal" in one.reason
    assert 8 <= len(night.told) < 24
    (tmp_path / "tidied.db").replace(night.path)
    night.require_nothing_lost()
    assert night.resume().state == "done"
    assert content(night.path) == uninterrupted


def test_a_second_writer_is_refused_with_the_name_of_the_first(tmp_path):
    with Lineage.write(tmp_path / "run.db", who="the first"):
        night = Night(tmp_path / "run.db")
        one = night.begin()
        assert one.state == "failed"
        assert "the first" in one.reason
        assert night.told == {}


def test_a_model_that_vanished_is_named_and_the_run_goes_on_when_it_is_back(tmp_path, monkeypatch):
    from bark_infinity.checkpoints.checkpoint import load_checkpoint

    monkeypatch.setattr("experiments.executors.process_pool._PAUSES_S", (0.0,) * 2)  # it does not come back by itself

    source = load_checkpoint("micro").files[0].path.parent
    model = tmp_path / "my model"
    shutil.copytree(source, model)
    how = {"model": {"checkpoint": str(model)}, "founders": {"voices": ["micro/adam", "micro/klara", "micro/max"]}}
    whole = Night(tmp_path / "whole.db", **how)
    assert whole.begin().state == "done"

    night = Night(tmp_path / "run.db", sabotaged({}, model), **how, execution={"workers": 1, "batch_size": 2})

    def vanish() -> None:
        model.rename(tmp_path / "elsewhere")
        for child in psutil_children():
            child.kill()  # the next worker has to load it again

    night.at[6] = vanish
    one = night.begin()
    assert one.state == "failed"
    assert "no worker can be started" in one.reason
    assert "my model" in one.reason
    night.require_nothing_lost()
    known = len(night.told)

    one = night.resume()
    assert one.state == "failed"
    assert "my model" in one.reason
    assert len(night.told) == known
    with Lineage.view(night.path) as lineage:
        assert lineage.run(1).state == "failed"

    (tmp_path / "elsewhere").rename(model)
    assert night.resume().state == "done"
    assert content(night.path) == content(whole.path)


def psutil_children():
    import psutil

    return psutil.Process().children()


def test_memory_that_runs_out_in_the_runner_itself_loses_nothing(tmp_path, uninterrupted, monkeypatch):
    night = Night(tmp_path / "run.db")

    def run_out() -> None:
        def no_memory(*given: object, **named: object) -> None:
            monkeypatch.undo()
            raise MemoryError

        monkeypatch.setattr(Lineage, "record_told", no_memory)

    night.at[9] = run_out
    one = night.begin()
    assert one.state == "failed"
    assert "smaller batch_size" in one.reason
    assert "resume" in one.reason
    night.require_nothing_lost()
    assert night.resume().state == "done"
    assert content(night.path) == uninterrupted


@pytest.mark.parametrize(
    ("path", "told"),
    [("no folder/run.db", "check the path"), ("folder", "check the path"), ("text.db", "no SQLite database")],
)
def test_files_that_cannot_be_lineages_are_refused_in_words(tmp_path, path, told):
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.db").write_text("not a database, " * 100)
    one = Night(tmp_path / path).begin()
    assert one.state == "failed"
    assert told in one.reason
    assert path in one.reason
    assert (tmp_path / "text.db").read_text() == "not a database, " * 100


def test_an_error_nobody_thought_of_is_recorded_and_the_run_goes_on_after_it(tmp_path, uninterrupted):
    class Broken:
        def __init__(self) -> None:
            self.closed = False

        slots = 4

        def submit(self, jobs: object) -> None: ...

        def waiting(self) -> int:
            return 1

        def collect(self, timeout_s: float) -> list[object]:
            raise KeyError("something nobody thought of")

        def status(self) -> dict[str, object]:
            return {}

        def close(self) -> None:
            self.closed = True

    broken = Broken()
    night = Night(tmp_path / "run.db", lambda *given: broken)
    one = night.begin()
    assert (one.state, broken.closed) == ("failed", True)
    assert "something nobody thought of" in one.reason
    night.make = in_process
    assert night.resume().state == "done"
    assert content(night.path) == uninterrupted


def test_models_that_do_not_load_fail_the_run_with_their_own_message(tmp_path):
    def refuse(*given: object) -> None:
        raise BarkError("no GPU of that name; give device = 'cpu'")

    one = Night(tmp_path / "run.db", refuse).begin()
    assert (one.state, one.reason) == ("failed", "no GPU of that name; give device = 'cpu'")
    for workers in (0, 1):
        night = Night(tmp_path / f"{workers}.db", sabotaged({}, tmp_path / "nowhere"), execution={"workers": workers})
        one = night.begin()
        assert one.state == "failed"
        assert "nowhere; bring it back, or give another one" in one.reason
        night.require_nothing_lost()
