"""Executors: whatever a candidate does costs that candidate only, and nothing depends on who evaluated it."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import fake_evaluators
import psutil
import pytest
from fake_evaluators import FakeEvaluator, jobs, outcome

from bark_infinity.error_handling import BarkError
from experiments.evaluation import Evaluated, Executor, Rendered
from experiments.executors import frames
from experiments.executors.gpus import one_gpu_each
from experiments.executors.in_process import InProcess
from experiments.executors.in_words import in_words
from experiments.executors.process_pool import ProcessPool, threads_for_each

ROOT = Path(__file__).resolve().parents[1]
DIED = "worker died (signal 9) twice on this candidate"

Open = Callable[..., Executor]


@pytest.fixture
def pool() -> Iterator[Callable[..., ProcessPool]]:
    """Makes pools, and sees that they leave no process and no thread behind."""
    made: list[ProcessPool] = []

    def make(factory=FakeEvaluator, workers=1, batch_size=4, timeout_s=20.0, **others) -> ProcessPool:
        made.append(ProcessPool(factory, workers, batch_size, timeout_s, **others))
        return made[-1]

    yield make
    for one in made:
        one.close()
    assert psutil.Process().children() == []


def finished(executor: Executor, within_s: float = 30.0) -> dict[int, Evaluated]:
    """All outcomes, by birth, in the order they came in."""
    deadline = time.monotonic() + within_s
    found: dict[int, Evaluated] = {}
    while executor.waiting():
        assert time.monotonic() < deadline, executor.status()
        for one in executor.collect(0.2):
            assert one.candidate.birth not in found
            found[one.candidate.birth] = one
    return found


def reasons(found: dict[int, Evaluated]) -> dict[int, str | None]:
    return {birth: one.score.reason for birth, one in sorted(found.items())}


# -- both -------------------------------------------------------------------------------------------------------


def test_outcomes_are_the_same_wherever_and_in_whatever_batches(pool):
    work = jobs("fine 0.5", "raise in judge", "a", "raise in render", "b", "c", "leave", "d", "unsendable")[:8]
    expected = None
    for executor in (
        InProcess(FakeEvaluator, 1, overlap=False),
        InProcess(FakeEvaluator, 3, overlap=True),
        pool(workers=1, batch_size=16),
        pool(workers=2, batch_size=3),
        pool(workers=3, batch_size=1),
    ):
        executor.submit(work)
        outcomes = {birth: outcome(one) for birth, one in finished(executor).items()}
        executor.close()
        assert sorted(outcomes) == list(range(1, 9))
        expected = expected or outcomes
        assert outcomes == expected
    assert {birth: expected[birth][2:4] for birth in (1, 2, 4, 7)} == {
        1: ("ok", None),
        2: ("failed", "judging: ValueError: a planted error"),
        4: ("failed", "rendering: ValueError: a planted error"),
        7: ("failed", "rendering: SystemExit: 4"),
    }


def test_closed_executors_say_so_and_close_again(pool):
    for executor in (InProcess(FakeEvaluator, 2), pool()):
        executor.submit(jobs("a"))
        finished(executor)
        executor.close()
        executor.close()
        for call in (lambda one: one.submit(jobs("b")), lambda one: one.collect(1)):
            with pytest.raises(BarkError, match="closed"):
                call(executor)


def test_an_executor_without_work_waits_and_brings_nothing(pool):
    for executor in (InProcess(FakeEvaluator, 2), pool()):
        began = time.monotonic()
        assert executor.collect(0.1) == []
        assert 0.09 < time.monotonic() - began < 5
        assert executor.waiting() == 0
        executor.close()


@pytest.mark.parametrize("numbers", [{"batch_size": 0}, {"workers": 0}, {"timeout_s": 0}, {"timeout_s": float("nan")}])
def test_impossible_numbers_are_refused(pool, numbers):
    with pytest.raises(BarkError, match=f"{next(iter(numbers))} is "):
        pool(**numbers)
    if "batch_size" in numbers:
        with pytest.raises(BarkError, match="batch_size is 0"):
            InProcess(FakeEvaluator, 0)


# -- in this process --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("overlap", [True, False])
def test_results_come_in_the_order_of_submission(overlap):
    executor = InProcess(FakeEvaluator, 2, overlap=overlap)
    executor.submit(jobs("slow 0.05", "raise in render", "a", "slow 0.03", "b"))
    assert list(finished(executor)) == [1, 2, 3, 4, 5]
    executor.close()


def test_the_next_batch_is_rendered_while_one_is_judged():
    class Slow(FakeEvaluator):
        def judge(self, rendered):
            self.cancelled.wait(0.2)
            return super().judge(rendered)

    seconds = {}
    for overlap in (True, False):
        executor = InProcess(Slow, 1, overlap=overlap)
        began = time.monotonic()
        executor.submit(jobs(*["slow 0.2"] * 4))
        finished(executor)
        seconds[overlap] = time.monotonic() - began
        executor.close()
    assert seconds[False] >= 1.6
    assert seconds[True] < 1.4  # 1.0 and what a busy machine adds


def test_a_batch_that_needs_too_much_memory_is_done_one_by_one():
    class Small(FakeEvaluator):
        def render(self, jobs):
            if len(jobs) > 1 or jobs[0].candidate.birth == 3:
                raise MemoryError
            return super().render(jobs)

    executor = InProcess(Small, 4)
    executor.submit(jobs("a", "b", "c", "d"))
    found = finished(executor)
    assert [one.score.status for one in found.values()] == ["ok", "ok", "failed", "ok"]
    assert "not enough memory" in found[3].score.reason
    executor.close()


def test_an_evaluator_that_mixes_up_its_answers_is_not_believed():
    class Wrong(FakeEvaluator):
        def judge(self, rendered: list[Rendered]) -> list[Evaluated]:
            return super().judge(rendered)[::-1] if len(rendered) > 1 else []

    executor = InProcess(Wrong, 2)
    executor.submit(jobs("a", "b"))
    assert "expected [1]" in reasons(finished(executor))[1]
    executor.close()


def test_models_that_cannot_be_loaded_end_the_run_with_their_own_message(pool):
    for executor in (InProcess(fake_evaluators.broken_factory, 2), pool(fake_evaluators.broken_factory, workers=2)):
        executor.submit(jobs("a", "b", "c"))
        for _ in range(2):  # and say so again
            with pytest.raises(BarkError, match="no model in a/b; give another folder"):
                executor.collect(20)
        executor.close()


def test_closing_cancels_a_batch_and_lets_the_models_go():
    evaluator = FakeEvaluator()
    executor = InProcess(lambda: evaluator, 2)
    executor.submit(jobs("slow 60", "a", "b"))
    assert executor.collect(0.1) == []
    assert executor.status()["workers"][0]["births"] == [1, 2]
    began = time.monotonic()
    executor.close()
    assert time.monotonic() - began < 2
    assert evaluator.closed


# -- processes --------------------------------------------------------------------------------------------------


def test_dying_and_hanging_candidates_fail_and_their_neighbours_do_not(pool, tmp_path):
    deeds = ["a", "signal 9", "b", "exit 3", "hang", "crash", "c", "hang in judge"]
    executor = pool(functools.partial(FakeEvaluator, str(tmp_path)), workers=2, batch_size=2, timeout_s=0.5)
    executor.submit(jobs(*deeds))
    found = finished(executor)
    assert reasons(found) == {
        1: None,
        2: DIED,
        3: None,
        4: "worker died (exit code 3) twice on this candidate",
        5: "took longer than 0.5 s twice on this candidate",
        6: f"worker died (signal {int(signal.SIGSEGV)}) twice on this candidate",
        7: None,
        8: "took longer than 0.5 s twice on this candidate",
    }
    tries = {int(path.stem): path.read_text().split() for path in tmp_path.iterdir()}
    assert max(map(len, tries.values())) == 2  # never a third worker for one candidate
    assert all(len(set(workers)) == len(workers) for workers in tries.values())
    assert executor.status()["restarts"] == 9  # four batches, and five once more on their own
    assert "births" in executor.status()["trouble"]


def test_what_a_killer_is_called_does_not_depend_on_its_batch(pool):
    for batch_size in (1, 3):
        executor = pool(batch_size=batch_size)
        executor.submit(jobs("a", "signal 9", "exit 3"))
        assert reasons(finished(executor)) == {
            1: None,
            2: DIED,
            3: "worker died (exit code 3) twice on this candidate",
        }


@pytest.mark.parametrize("batch_size", [4, 6])  # 6: never full, as the steps of a swarm may be smaller than a batch
def test_batches_that_are_too_large_become_smaller(pool, batch_size):
    executor = pool(batch_size=batch_size, timeout_s=0.7)
    work = jobs(*["slow 0.2"] * 8)
    executor.submit(work[:4])
    assert set(reasons(finished(executor)).values()) == {None}
    assert executor.slots == batch_size  # once may be chance
    executor.submit(work[4:])
    assert set(reasons(finished(executor)).values()) == {None}
    assert (executor.slots, executor.status()["batch_size"]) == (2, 2)  # 0.8 s is too long, 0.4 s is not
    assert executor.status()["restarts"] == 2


def test_the_time_limit_begins_when_a_worker_begins(pool):
    executor = pool(batch_size=1, timeout_s=0.5)
    executor.submit(jobs(*["slow 0.2"] * 5))
    assert set(reasons(finished(executor)).values()) == {None}
    assert executor.status()["restarts"] == 0


def test_a_frozen_worker_is_killed_though_it_cannot_keep_its_own_limit(pool, monkeypatch):
    monkeypatch.setattr("experiments.executors.process_pool._GRACE_S", 0.3)
    executor = pool(timeout_s=0.3)
    executor.submit(jobs(f"signal {int(signal.SIGSTOP)}"))
    assert reasons(finished(executor)) == {1: "took longer than 0.3 s twice on this candidate"}


def test_time_in_which_nobody_looks_is_not_held_against_a_worker(pool, monkeypatch):
    monkeypatch.setattr("experiments.executors.process_pool._GRACE_S", -1.0)  # limit 2 s of looking, 3 s of its own
    executor = pool(timeout_s=3.0)
    executor.submit(jobs("a"))
    finished(executor)
    executor.submit(jobs("slow 2.4"))
    time.sleep(2.2)
    assert reasons(finished(executor)) == {1: None}


def test_memory_beyond_a_limit_fails_the_candidate_only(pool):
    executor = pool(fake_evaluators.hungry_factory, batch_size=3)
    executor.submit(jobs("a", "eat 8", "b"))
    found = reasons(finished(executor))
    assert (found[1], found[3]) == (None, None)
    assert "not enough memory" in found[2]
    assert executor.status()["restarts"] == 0


def test_an_outcome_that_cannot_be_sent_fails_alone(pool):
    executor = pool()
    executor.submit(jobs("a", "unsendable", "b"))
    found = reasons(finished(executor))
    assert "cannot be sent" in found.pop(2)
    assert found == {1: None, 3: None}


@pytest.fixture
def short_of_processes(monkeypatch) -> list[OSError]:
    """Errors that the next attempts to start a process meet; the system has room when they are used up."""
    errors: list[OSError] = []
    really = subprocess.Popen

    def popen(*args, **options):
        if errors:
            raise errors.pop()
        return really(*args, **options)

    monkeypatch.setattr("experiments.executors.worker_process.subprocess.Popen", popen)
    return errors


class Hurried:
    """A clock on which a second is a hundred."""

    def __call__(self) -> float:
        return time.monotonic() * 100


def test_a_shortage_that_passes_ends_no_run(pool, short_of_processes, caplog):
    caplog.set_level("INFO")
    short_of_processes += [BlockingIOError(11, "Resource temporarily unavailable")] * 6
    executor = pool(workers=1, clock=Hurried())
    executor.submit(jobs("a", "b"))
    assert "Resource temporarily unavailable; attempt 2 of 10 in 1 s" in executor.status()["trouble"]
    began = time.monotonic()
    assert reasons(finished(executor)) == {1: None, 2: None}
    assert time.monotonic() - began >= (1 + 2 + 4 + 8 + 15 + 30) / 100
    assert executor.status()["trouble"] == "worker 1 has started after 6 failed attempts"
    assert [int(line.split("in ")[-1].removesuffix(" s")) for line in caplog.messages if "attempt " in line] == [
        1, 2, 4, 8, 15, 30,
    ]  # fmt: skip


def test_a_shortage_in_the_middle_of_a_run_costs_one_worker_for_a_while(pool, short_of_processes):
    executor = pool(workers=2, batch_size=1, clock=Hurried())
    executor.submit(jobs("slow 0.3", "slow 0.3", *"abcdef"))
    while not all(worker["state"] == "busy" for worker in executor.status()["workers"]):
        executor.collect(0.05)
    short_of_processes += [OSError(12, "Cannot allocate memory")] * 2
    os.kill(executor.status()["workers"][0]["pid"], signal.SIGKILL)
    assert set(reasons(finished(executor)).values()) == {None}


def test_a_shortage_that_lasts_ends_the_run_after_minutes_and_says_what_to_do(pool, short_of_processes):
    short_of_processes += [OSError(12, "Cannot allocate memory")] * 100
    executor = pool(workers=2, clock=Hurried())
    executor.submit(jobs("a", "b"))
    began = time.monotonic()
    with pytest.raises(BarkError, match=r"Cannot allocate memory \(10 attempts in a row\).*memory, processes.*resume"):
        finished(executor)
    assert time.monotonic() - began >= 3.0  # 300 s on its clock
    assert len(short_of_processes) == 100 - 2 * 10


def test_what_waits_for_a_worker_is_taken_back_and_what_is_begun_is_finished(pool):
    executor = pool(workers=1, batch_size=1)
    executor.submit(jobs("slow 0.3", "a", "b"))
    while executor.status()["workers"][0]["state"] != "busy":
        executor.collect(0.05)
    waiting = executor.withdraw()
    assert [job.candidate.birth for job in waiting] == [2, 3]
    assert executor.waiting() == 1
    assert reasons(finished(executor)) == {1: None}
    executor.submit(waiting)
    assert reasons(finished(executor)) == {2: None, 3: None}


def test_a_machine_without_a_thread_to_spare_leaves_no_process_behind(pool, monkeypatch):
    really, refused = threading.Thread.start, []

    def start(thread):
        if "_read" in thread.name and len(refused) < 2:
            refused.append(thread.name)
            raise RuntimeError("can't start new thread")
        really(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    executor = pool(clock=Hurried())
    executor.submit(jobs("a"))
    assert psutil.Process().children() == []
    assert "can't start new thread" in executor.status()["trouble"]
    assert reasons(finished(executor)) == {1: None}


def test_workers_that_die_while_loading_end_the_run(pool, monkeypatch):
    monkeypatch.setattr("experiments.executors.process_pool._PAUSES_S", (0.0, 0.1))
    executor = pool(fake_evaluators.dying_factory, workers=2)
    executor.submit(jobs("a", "b"))
    with pytest.raises(BarkError, match=r"no worker can be started: worker died \(signal 9\), while it was loading"):
        finished(executor)


def test_loading_has_a_limit_of_its_own(pool):
    executor = pool(fake_evaluators.hanging_factory, start_timeout_s=0.3, clock=Hurried())
    executor.submit(jobs("a"))
    with pytest.raises(BarkError, match=r"took longer than 0\.3 s, while it was loading"):
        finished(executor)


def test_a_machine_on_which_nothing_survives_ends_the_run(pool):
    executor = pool(workers=2, batch_size=1)
    executor.submit(jobs(*["signal 9"] * 20))
    with pytest.raises(BarkError, match=r"12 workers in a row ended without a result.*signal 9"):
        finished(executor)


def test_a_worker_killed_from_outside_costs_nothing(pool):
    executor = pool(workers=2, batch_size=1)
    executor.submit(jobs("slow 0.4", "slow 0.4", "a", "b"))
    while not all(worker["state"] == "busy" for worker in executor.status()["workers"]):
        executor.collect(0.05)
    status = executor.status()
    assert sorted(worker["births"] for worker in status["workers"]) == [[1], [2]]
    assert all(worker["resident_bytes"] > 1e6 for worker in status["workers"])
    os.kill(status["workers"][0]["pid"], signal.SIGKILL)
    executor.submit(jobs())
    deadline = time.monotonic() + 20
    statuses = []
    while executor.waiting() and time.monotonic() < deadline:
        statuses += [one.score.status for one in executor.collect(0.2)]
    assert statuses == ["ok"] * 4
    assert executor.status()["restarts"] == 1


def test_a_batch_that_a_dead_worker_never_began_is_not_held_against_it(pool):
    executor = pool(batch_size=2)
    executor.submit(jobs("a"))
    finished(executor)
    [worker] = executor.status()["workers"]
    os.kill(worker["pid"], signal.SIGKILL)
    deadline = time.monotonic() + 20
    while psutil.Process(worker["pid"]).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
    executor.submit(jobs("slow 0.4", "slow 0.4"))  # nobody has read yet that it is gone
    while (now := executor.status()["workers"][0])["pid"] in (worker["pid"], None) or now["state"] != "busy":
        assert time.monotonic() < deadline
        assert executor.collect(0.02) == []
    assert now["births"] == [1, 2]  # not one by one, as suspects are
    assert reasons(finished(executor)) == {1: None, 2: None}


def test_closing_is_quick_whatever_the_workers_do(pool):
    executor = pool(workers=3, batch_size=1)
    executor.submit(jobs("hang", f"signal {int(signal.SIGSTOP)}", "slow 60"))
    while not all(worker["state"] == "busy" for worker in executor.status()["workers"]):
        executor.collect(0.05)
    pids = [worker["pid"] for worker in executor.status()["workers"]]
    began = time.monotonic()
    executor.close()
    assert time.monotonic() - began < 3
    assert not any(psutil.pid_exists(pid) for pid in pids)  # not even as zombies


def test_what_libraries_print_goes_to_the_log(pool, caplog, capfd):
    caplog.set_level("INFO")
    executor = pool()
    executor.submit(jobs("print", "a"))
    assert set(reasons(finished(executor)).values()) == {None}
    executor.close()
    assert "worker 1: something a library says" in caplog.text
    assert ("a.library", 30, "worker 1: a warning of a library") in caplog.record_tuples
    assert capfd.readouterr().out == ""


def test_workers_share_the_cores(pool, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "64")
    cores = len(os.sched_getaffinity(0))
    assert (threads_for_each(1), threads_for_each(10_000)) == (cores, 1)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert threads_for_each(1) == 1
    executor = pool(environments=[{"CUDA_VISIBLE_DEVICES": "7"}])
    executor.submit(jobs("a"))
    finished(executor)
    environment = psutil.Process(executor.status()["workers"][0]["pid"]).environ()
    assert (environment["OMP_NUM_THREADS"], environment["CUDA_VISIBLE_DEVICES"]) == ("1", "7")


def test_workers_have_a_gpu_each_where_there_are_several(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert one_gpu_each("auto") == [{"CUDA_VISIBLE_DEVICES": "0"}, {"CUDA_VISIBLE_DEVICES": "1"}]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4, 6")
    assert one_gpu_each("cuda") == [{"CUDA_VISIBLE_DEVICES": "4"}, {"CUDA_VISIBLE_DEVICES": "6"}]
    assert one_gpu_each("cuda:1") == one_gpu_each("cpu") == []
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    assert one_gpu_each("auto") == []


def test_a_status_is_told_in_words():
    loading = {"pid": 1, "state": "loading", "births": []}
    assert in_words({"workers": [loading], "restarts": 2}) == ""
    at_work = [{"state": "rendering", "births": [5, 6]}, {"state": "judging", "births": [4]}]
    assert in_words({"workers": at_work}, "coarse 30/90") == "rendering 5, 6 (coarse 30/90); judging 4"
    pooled = [loading, {"state": "busy", "births": [7]}]
    assert in_words({"workers": pooled, "restarts": 1}) == "evaluating 7; 1 restart"


def test_a_factory_that_cannot_travel_is_refused_at_once(pool):
    with pytest.raises(BarkError, match="cannot be sent to a worker process"):
        pool(lambda: FakeEvaluator())


PARENT = """
import os, signal
from fake_evaluators import FakeEvaluator, jobs
from experiments.executors.process_pool import ProcessPool
signal.signal(signal.SIGINT, lambda *_: os.write(1, b"interrupted\\n"))
pool = ProcessPool(FakeEvaluator, 2, 1, 100.0)
pool.submit(jobs("hang", "slow 1"))
while not all(one["state"] == "busy" for one in pool.status()["workers"]):
    pool.collect(0.05)
print(*(one["pid"] for one in pool.status()["workers"]), flush=True)
while True:
    for one in pool.collect(0.1):
        print(one.score.status, flush=True)
"""


@pytest.fixture
def parent() -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """A program with a pool of two busy workers, in a process group of its own, and their process ids."""
    path = os.pathsep.join((str(ROOT), str(ROOT / "tests")))
    with subprocess.Popen(
        [sys.executable, "-c", PARENT],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        process_group=0,
    ) as process:
        assert process.stdout is not None
        yield process, [int(pid) for pid in process.stdout.readline().split()]
        process.kill()


def test_workers_end_when_their_parent_is_killed(parent):
    process, pids = parent
    process.kill()
    process.wait()
    _gone, alive = psutil.wait_procs([psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)], timeout=5)
    assert alive == []


def test_ctrl_c_and_a_service_managers_signals_are_the_parents_business(parent):
    process, pids = parent
    for pid in pids:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(pid, number)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    assert {process.stdout.readline(), process.stdout.readline()} == {"interrupted\n", "ok\n"}
    assert all(psutil.pid_exists(pid) for pid in pids)


def test_messages_keep_read_only_mappings_and_end_where_the_writer_died(tmp_path):
    one = fake_evaluators.FakeEvaluator().judge(FakeEvaluator().render(jobs("fine 0.5")))[0]
    again = frames.unpacked(frames.packed(one))
    assert outcome(again) == outcome(one)
    assert type(again.score.terms) is type(one.score.terms)
    whole = tmp_path / "whole"
    with whole.open("wb") as file:
        frames.write(file, b"12345")
    data = whole.read_bytes()
    for length in range(len(data) + 1):
        whole.write_bytes(data[:length])
        with whole.open("rb") as file:
            assert frames.read(file) == (b"12345" if length == len(data) else None)
