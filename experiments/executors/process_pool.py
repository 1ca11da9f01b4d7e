"""Evaluation in worker processes: crashes, kills and hangs cost a candidate, never the run.

Every worker makes its own evaluator and gets one batch at a time. One that dies, or takes longer than its limit, is
replaced. Nobody knows which job of its batch was to blame, so each is tried once more alone; one that ends its worker a
second time comes back failed. Innocent neighbours come back as if nothing had happened, so that outcomes depend neither
on the number of workers nor on the batch size. When all of them are innocent, twice in a row, batches are too large for
the memory or for the time limit, and half as large from then on.

A worker that cannot be started (no memory, no free process, a GPU that something else fills) is tried again after
pauses that grow, for five minutes in all: most shortages of a night pass. Meanwhile its jobs wait, and can be taken
back; what others have finished is handed out.

Nothing happens on its own: `ProcessPool.collect` hands out batches and looks at limits. Time in which nobody looks (a
paused run, a stopped or sleeping machine) is not held against a worker.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from bark_infinity.error_handling import BarkError
from experiments.evaluation import Evaluated, EvaluatorFactory, Job, failed
from experiments.executors import frames
from experiments.executors.worker_process import Message, WorkerProcess

logger = logging.getLogger(__name__)

_TICK_S = 0.5  # between two looks at limits
_GRACE_S = 5.0  # a worker ends itself at its limit and says where it hung; so much later it is killed
_PAUSES_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 90.0, 90.0)  # between attempts to start a worker: 5 minutes in all
_STARTS = 3  # attempts where it is no shortage: loading hangs, or its program ends with an error
_DEATHS_PER_WORKER = 4  # in a row and without any result, before the pool gives up
_MOST_DEATHS = 12  # the same, for small pools


@dataclass
class _Incident:
    """A worker came to an end over a batch; its candidates are tried alone."""

    size: int
    left: int  # candidates of it that are not done yet
    guilty: bool = False  # one of them did it again


@dataclass(frozen=True)
class _Task:
    """A job on its way."""

    job: Job
    suspect_of: _Incident | None = None


@dataclass
class _Seat:
    """The place of a worker; processes come and go."""

    number: int
    worker: WorkerProcess | None = None
    state: Literal["loading", "idle", "busy", "empty"] = "empty"
    batch: tuple[_Task, ...] = ()
    begun: bool = False  # the worker has read its batch
    limit_s: float = 0.0
    since: float = 0.0  # on the monotonic clock
    watched_s: float = 0.0  # of that, while somebody looked
    failed_starts: int = 0  # in a row
    given_up: bool = False  # it could not be started for too long
    next_start: float = 0.0  # not before, on the pool's clock
    restarts: int = 0
    runs_on: str = ""  # in words, once it is ready
    environment: Mapping[str, str] = field(default_factory=dict)


class ProcessPool:
    """Runs jobs in worker processes; an `Executor`.

    Args:
        factory: Makes a worker's evaluator there; a function or class of a module, or a `functools.partial` of one.
        workers: Processes.
        batch_size: The most jobs a worker renders at once.
        timeout_s: Time limit for a batch, and for each of its candidates when they are tried alone; it begins when a
            worker gets the batch.
        start_timeout_s: Time limit for starting a worker and loading its models.
        environments: Variables set in the first, second, ... worker, such as ``{"CUDA_VISIBLE_DEVICES": "1"}``; used
            round and round.
        clock: Seconds, never going back; the pauses between attempts to start a worker are measured by it.

    Raises:
        BarkError: When a number is out of range or the factory cannot be sent to a process.
    """

    def __init__(
        self,
        factory: EvaluatorFactory,
        workers: int,
        batch_size: int,
        timeout_s: float,
        *,
        start_timeout_s: float = 900.0,
        environments: Sequence[Mapping[str, str]] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        for name, value in (("workers", workers), ("batch_size", batch_size)):
            if value < 1:
                raise BarkError(f"{name} is {value}, expected at least 1")
        for name, seconds in (("timeout_s", timeout_s), ("start_timeout_s", start_timeout_s)):
            if not 0 < seconds < 1e7:
                raise BarkError(f"{name} is {seconds}, expected a number of seconds above 0 and below 10 million")
        try:
            self._factory = frames.packed(factory)
        except Exception as error:
            raise BarkError(
                f"the evaluator factory {factory!r} cannot be sent to a worker process ({error}); give a function or "
                "class of a module, or functools.partial of one with plain values"
            ) from error
        self._batch_size, self._timeout_s, self._start_timeout_s = batch_size, timeout_s, start_timeout_s
        self._clock = clock
        self._inbox: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._todo: deque[tuple[_Task, ...]] = deque()  # batches that must stay as they are, before anything new
        self._new: deque[_Task] = deque()
        self._finished: list[Evaluated] = []
        self._submitted = 0
        self._deaths_in_a_row = 0
        self._unexplained = 0  # incidents in a row over large batches in which every candidate was innocent
        self._in_question = 1  # the largest of these batches; one as large that is done was not too large
        self._ever_ready = False
        self._trouble = ""
        self._broken: str | None = None
        self._closed = False
        self._lock = threading.RLock()
        threads = {"OMP_NUM_THREADS": str(threads_for_each(workers))}
        self._seats = [
            _Seat(number, environment=threads | dict(environments[number % len(environments)] if environments else {}))
            for number in range(workers)
        ]

    # -- the contract of executors ------------------------------------------------------------------------------

    @property
    def slots(self) -> int:
        """Jobs that all workers have at once when all are busy."""
        return len(self._seats) * self._batch_size

    def submit(self, jobs: Sequence[Job]) -> None:
        """Takes jobs; returns at once. The first ones start the workers.

        Raises:
            BarkError: After `close`.
        """
        with self._lock:
            if self._closed:
                raise BarkError("this pool is closed; make another one")
            self._new.extend(_Task(job) for job in jobs)
            self._submitted += len(jobs)
            self._keep_busy()

    def collect(self, timeout_s: float) -> list[Evaluated]:
        """See `Executor.collect`. Results come in the order in which they are finished.

        Raises:
            BarkError: When no worker can be started for minutes, or they die one after the other without a single
                result; it carries what the last one said. Also after `close`.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            looked = time.monotonic()
            remaining = max(0.0, min(deadline - looked, _TICK_S))
            with self._lock:
                if self._closed:
                    raise BarkError("this pool is closed; make another one")
                self._read_inbox()
                self._keep_busy()
                if self._finished or self._broken or looked >= deadline:
                    done, self._finished = self._finished, []
                    self._submitted -= len(done)
                    if not done and self._broken:
                        raise BarkError(self._broken)
                    return done
            try:
                message = self._inbox.get(timeout=remaining)
            except queue.Empty:
                message = None
            with self._lock:
                if message is not None:
                    self._hear(message)
                self._read_inbox()  # first what was said in time, then who is late
                self._look_at_limits(min(time.monotonic() - looked, 2 * _TICK_S))

    def waiting(self) -> int:
        """Jobs submitted and not collected."""
        with self._lock:
            return self._submitted

    def withdraw(self) -> list[Job]:
        """See `Executor.withdraw`. Those of a batch that ended its worker are among them: nobody works on them now."""
        with self._lock:
            tasks = [*(task for batch in self._todo for task in batch), *self._new]
            self._todo.clear()
            self._new.clear()
            self._submitted -= len(tasks)
            return [task.job for task in tasks]

    def status(self) -> Mapping[str, Any]:
        """What the workers do: state, births, seconds, memory, restarts; and the last trouble there was."""
        with self._lock:
            now = time.monotonic()
            workers = [
                {
                    "pid": None if seat.worker is None else seat.worker.pid,
                    "state": seat.state,
                    "births": [task.job.candidate.birth for task in seat.batch],
                    "seconds": 0.0 if seat.worker is None else round(now - seat.since, 1),
                    "resident_bytes": 0 if seat.worker is None else seat.worker.resident_bytes(),
                    "restarts": seat.restarts,
                }
                for seat in self._seats
            ]
            return {
                "kind": "processes",
                "workers": workers,
                "batch_size": self._batch_size,
                "waiting": self._submitted,
                "queued": len(self._new) + sum(map(len, self._todo)),
                "restarts": sum(seat.restarts for seat in self._seats),
                "trouble": self._trouble,
                "engine": " and ".join(sorted({seat.runs_on for seat in self._seats} - {""})),
            }

    def close(self) -> None:
        """Kills the workers, whatever they do; safe to repeat and to call from any thread."""
        with self._lock:
            self._closed = True
            workers = [seat.worker for seat in self._seats if seat.worker is not None]
            for seat in self._seats:
                seat.worker, seat.state, seat.batch = None, "empty", ()
            self._inbox.put(None)  # wakes whoever collects
        for worker in workers:
            worker.kill()  # all of them first, so that they go at the same time
        for worker in workers:
            worker.end()

    # -- workers ------------------------------------------------------------------------------------------------

    def _keep_busy(self) -> None:
        """Starts the workers that are needed, and gives batches to those that are free."""
        if self._broken or not (self._todo or self._new):
            return
        wanted = len(self._todo) + len(self._new)
        starting = sum(seat.state in ("loading", "idle") for seat in self._seats)
        now = self._clock()
        for seat in self._seats:
            if seat.state == "empty" and not seat.given_up and now >= seat.next_start and starting < wanted:
                self._start(seat)
                starting += 1
        free = [seat for seat in self._seats if seat.state == "idle"]
        for position, seat in enumerate(free):
            if self._todo:
                self._give(seat, self._todo.popleft())
            elif self._new:
                share = -(-len(self._new) // (len(free) - position))
                size = min(share, self._batch_size)
                self._give(seat, tuple(self._new.popleft() for _ in range(size)))

    def _start(self, seat: _Seat) -> None:
        try:
            seat.worker = WorkerProcess(
                f"worker {seat.number + 1}", self._factory, self._start_timeout_s, seat.environment, self._inbox
            )
        except (OSError, MemoryError) as error:  # no more processes, threads, files or memory
            why = str(error) or "the memory is used up"
            self._start_failed(seat, f"a process cannot be started: {why}", attempts=len(_PAUSES_S) + 1)
            return
        self._enter(seat, "loading", (), self._start_timeout_s)

    def _give(self, seat: _Seat, batch: tuple[_Task, ...]) -> None:
        assert seat.worker is not None
        self._enter(seat, "busy", batch, self._timeout_s)
        seat.worker.send(([task.job for task in batch], self._timeout_s))

    def _enter(
        self,
        seat: _Seat,
        state: Literal["loading", "idle", "busy", "empty"],
        batch: tuple[_Task, ...] = (),
        limit_s: float = 0.0,
    ) -> None:
        seat.state, seat.batch, seat.begun, seat.limit_s = state, batch, False, limit_s
        seat.since, seat.watched_s = time.monotonic(), 0.0

    # -- what workers say ---------------------------------------------------------------------------------------

    def _read_inbox(self) -> None:
        while True:
            try:
                message = self._inbox.get_nowait()
            except queue.Empty:
                return
            if message is not None:
                self._hear(message)

    def _hear(self, message: Message) -> None:
        seat = next((one for one in self._seats if one.worker is message.worker), None)
        if seat is None:
            return  # of a worker that was given up
        match message.kind:
            case "ready":
                self._ever_ready = True
                if seat.failed_starts:
                    self._trouble = f"worker {seat.number + 1} has started after {seat.failed_starts} failed attempts"
                    logger.info("%s", self._trouble)
                for one in self._seats:  # there is room again, so others may try too
                    one.failed_starts, one.given_up = 0, False
                seat.runs_on = str(message.content or "")
                self._enter(seat, "idle")
            case "begun":
                seat.begun = True
            case "done":
                self._deaths_in_a_row = 0
                self._finished.extend(map(frames.unpacked, message.content))
                if len(seat.batch) >= self._in_question:
                    self._unexplained, self._in_question = 0, 1
                for task in seat.batch:
                    self._close_case(task.suspect_of)
                self._enter(seat, "idle")
            case "broken":
                self._end(seat)
                # Models that have loaded before fail for something that may pass, such as memory or a network disk.
                attempts = len(_PAUSES_S) + 1 if self._ever_ready else 1
                self._start_failed(seat, str(message.content), attempts=attempts)
            case _:
                self._lost(seat, hung=False)

    def _look_at_limits(self, seconds: float) -> None:
        for seat in self._seats:
            if seat.state in ("busy", "loading"):
                seat.watched_s += seconds
                if seat.watched_s > seat.limit_s + _GRACE_S:
                    self._lost(seat, hung=True)

    def _lost(self, seat: _Seat, *, hung: bool) -> None:
        """A worker is gone, or has to go."""
        assert seat.worker is not None
        name, elapsed_s = seat.worker.name, time.monotonic() - seat.since
        code, wrote = self._end(seat)
        # A worker that reaches its own limit exits with 1.
        hung = hung or (code == 1 and seat.limit_s > 0 and elapsed_s >= seat.limit_s)
        end = f"took longer than {seat.limit_s:g} s" if hung else f"worker died ({_how(code)})"
        if seat.state == "loading":
            if code is not None and code > 0 and wrote and not hung:
                end = f"{end}: {wrote[-1]}"  # where an exception's traceback has its point
            killed = code is not None and code < 0 and not hung  # as the system does when memory is short
            attempts = len(_PAUSES_S) + 1 if killed else _STARTS
            self._start_failed(seat, f"{end}, while it was loading its models", attempts=attempts)
            return
        batch, begun = seat.batch, seat.begun
        self._enter(seat, "empty")
        seat.restarts += 1
        births = ", ".join(str(task.job.candidate.birth) for task in batch) or "none"
        self._trouble = f"{name} {end.removeprefix('worker ')} over births {births} and is replaced"
        logger.info("%s", self._trouble)
        if not batch:
            return
        self._deaths_in_a_row += 1
        if self._deaths_in_a_row >= max(_MOST_DEATHS, _DEATHS_PER_WORKER * len(self._seats)):
            self._broken = (
                f"{self._deaths_in_a_row} workers in a row ended without a result, the last one: {end}; "
                "take fewer workers or a smaller batch_size if memory is short, or workers = 0 to evaluate in this "
                "process and see the error itself"
            )
        if not begun:  # it was gone before: its batch has done nothing and is given to another as it is
            self._todo.appendleft(batch)
            return
        incident = _Incident(len(batch), len(batch))
        for task in reversed(batch):
            if task.suspect_of is None:
                self._todo.appendleft((_Task(task.job, incident),))
            else:  # in words that do not tell what shared its first batch
                self._finished.append(failed(task.job.candidate, f"{end} twice on this candidate"))
                task.suspect_of.guilty = True
                self._close_case(task.suspect_of)

    def _close_case(self, incident: _Incident | None) -> None:
        """One more candidate of an incident is done."""
        if incident is None:
            return
        incident.left -= 1
        if incident.left or incident.guilty or not 1 < incident.size <= self._batch_size:
            return
        self._unexplained, self._in_question = self._unexplained + 1, max(self._in_question, incident.size)
        if self._unexplained > 1:  # once may be chance, such as a worker that somebody killed
            size, self._unexplained, self._in_question = self._in_question, 0, 1
            self._batch_size = size // 2
            self._trouble = f"batches of {size} were too large; they are of {self._batch_size} from now on"
            logger.info("%s", self._trouble)

    def _start_failed(self, seat: _Seat, why: str, *, attempts: int) -> None:
        """Sets a seat's next attempt after a pause; gives it up after so many ``attempts`` in a row."""
        self._enter(seat, "empty")
        seat.failed_starts += 1
        seat.given_up = seat.failed_starts >= attempts
        self._trouble = f"worker {seat.number + 1} did not start: {why}"
        if not seat.given_up:
            pause_s = _PAUSES_S[seat.failed_starts - 1]
            seat.next_start = self._clock() + pause_s
            self._trouble += f"; attempt {seat.failed_starts + 1} of {attempts} in {pause_s:g} s"
        logger.info("%s", self._trouble)
        if attempts == 1:
            self._broken = f"no worker can be started: {why}"
        elif all(one.state == "empty" and one.given_up for one in self._seats):
            self._broken = (
                f"no worker can be started: {why} ({seat.failed_starts} attempts in a row). What was recorded is safe: "
                "make room (memory, processes) or take fewer workers, then resume"
            )

    def _end(self, seat: _Seat) -> tuple[int | None, tuple[str, ...]]:
        worker, seat.worker = seat.worker, None
        assert worker is not None
        code = worker.end()
        return code, worker.last_lines()


def threads_for_each(workers: int) -> int:
    """Threads that each of some workers may compute with, so that together they have as many as there are cores."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    most = int(wanted) if wanted.isdecimal() and int(wanted) > 0 else cores
    return max(1, min(most, cores // workers))


def _how(code: int | None) -> str:
    if code is None:
        return "and cannot be removed"
    return f"signal {-code}" if code < 0 else f"exit code {code}"
