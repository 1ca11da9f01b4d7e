"""`Runner`: a run going on. Commands go in, events come out; one thread does everything in between.

Ask, evaluate, tell, record, again: the swarm decides what is born, an executor renders and judges it, and
`RecordedRun` writes it down. A failure of one candidate is a row of the lineage. What makes going on impossible, a full
disk or a checkpoint that is gone, ends this sitting with a state that says what to do; whatever was acknowledged is in
the file, and `Runner.resume` takes it up there.
"""

from __future__ import annotations

import contextlib
import logging
import math
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, Protocol

from bark_infinity.error_handling import BarkError
from bark_infinity.requests import RenderProgress
from digital_evolution import Genome
from experiments.config.run_config import RunConfig
from experiments.config.tables import plain
from experiments.evaluation import Executor
from experiments.events import (
    ChangeStop,
    ChooseWorst,
    Command,
    Continue,
    Event,
    JudgePair,
    Notice,
    Pause,
    Progress,
    Rate,
    State,
    StateChanged,
    StepOnce,
    StopRun,
    TakeBack,
)
from experiments.executors.in_words import in_words
from experiments.lineage import Lineage, LineageError
from experiments.lineage.records import RunState
from experiments.recorded_run import RecordedRun
from experiments.sitting import Sitting

if TYPE_CHECKING:
    from bark_infinity.engine import BarkEngine

logger = logging.getLogger(__name__)

_RECORDED: Mapping[State, RunState] = MappingProxyType({"done": "done", "stopped": "paused"})
_WAIT_S = 0.2  # between two looks at the commands while nothing is done
_PROGRESS_S = 1.0  # between two progress events while nothing is done


class MakeExecutor(Protocol):
    """Makes what renders and judges."""

    def __call__(self, config: RunConfig, base: Path, say: Callable[[str], None]) -> Executor:
        """Makes it; ``say`` is told in a few words what the engine is doing."""


@dataclass(frozen=True)
class _Begin:
    config: RunConfig
    base: Path
    founders: tuple[Genome, ...] | None
    branched_from: tuple[int, int] | None


@dataclass(frozen=True)
class _Resume:
    name: str | int
    conduct: Mapping[str, Any]


class Runner:
    """One sitting of a run. Make it with `begin` or `resume`, then `start` a thread or `run` in this one."""

    def __init__(
        self,
        path: str | Path,
        origin: _Begin | _Resume,
        on_event: Callable[[Event], None],
        make_executor: MakeExecutor | None,
        clock: Callable[[], float],
        paused: bool,
    ) -> None:
        self.path = Path(path)
        self.state: State = "loading"
        self.reason = ""
        self.run_name = ""
        self._origin, self._on_event, self._clock = origin, on_event, clock
        self._make_executor = make_executor or executor_of
        self._commands: queue.SimpleQueue[Command] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._heard: deque[Command] = deque()
        self._executor: Executor | None = None
        self._open = threading.RLock()  # a signal may say something while this very thread is closing
        self._closed = False
        self._abandoned = threading.Event()
        self._goal: Literal["running", "paused", "stopping"] = "paused" if paused else "running"
        self._steps_left: int | None = None  # until it pauses by itself
        self._rendering = ""  # how far the engine is, where it runs in this process
        self._loaded = False
        self._trouble: tuple[object, ...] = (0, "")  # of workers, as told last
        self._told_progress_at = -math.inf
        self._worked_before, self._committed_before = 0.0, 0  # in earlier sittings

    @classmethod
    def begin(
        cls,
        path: str | Path,
        config: RunConfig,
        on_event: Callable[[Event], None],
        *,
        base: Path = Path("."),
        founders: tuple[Genome, ...] | None = None,
        branched_from: tuple[int, int] | None = None,
        make_executor: MakeExecutor | None = None,
        clock: Callable[[], float] = time.monotonic,
        paused: bool = False,
    ) -> Runner:
        """A new run.

        Args:
            path: The lineage file; made when it is not there.
            config: All settings.
            on_event: Told everything that happens, on the runner's thread; must be quick. Its errors are logged.
            base: Relative paths of the configuration begin here.
            founders: Instead of the configuration's, for a branch.
            branched_from: Run and birth of this file that it begins with.
            make_executor: None takes `executor_of`.
            clock: Seconds, never going back.
            paused: Wait for `Continue` before the first birth is evaluated.
        """
        return cls(path, _Begin(config, base, founders, branched_from), on_event, make_executor, clock, paused)

    @classmethod
    def resume(
        cls,
        path: str | Path,
        name: str | int,
        on_event: Callable[[Event], None],
        *,
        conduct: Mapping[str, Any] | None = None,
        make_executor: MakeExecutor | None = None,
        clock: Callable[[], float] = time.monotonic,
        paused: bool = False,
    ) -> Runner:
        """A run that was begun before; ``conduct`` changes how it is carried out, see `RunConfig.conduct`."""
        return cls(path, _Resume(name, conduct or {}), on_event, make_executor, clock, paused)

    # -- for other threads --------------------------------------------------------------------------------------

    def start(self) -> None:
        """Runs on a thread of its own."""
        self._thread = threading.Thread(target=self.run, name="runner")
        self._thread.start()

    def send(self, command: Command) -> bool:
        """Says something to the run; heard within a fraction of a second.

        Returns:
            True: it is done, or a notice says why not, even if the run ends in this moment. False: the run has ended,
            and nothing is done.
        """
        with self._open:
            if not self._closed:
                self._commands.put(command)
            return not self._closed

    def abandon(self) -> None:
        """Ends at once: what is being rendered is thrown away, what was told or said is in the file."""
        self._abandoned.set()

    def engine(self) -> BarkEngine | None:
        """What renders this run, to be lent, where that is in this process and loaded; its calls take turns."""
        engine: BarkEngine | None = getattr(getattr(self._executor, "evaluator", None), "engine", None)
        return engine

    def join(self, timeout_s: float | None = None) -> bool:
        """Waits for the end; returns whether it has come."""
        if self._thread is None:
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    # -- the sitting --------------------------------------------------------------------------------------------

    def run(self, before: Callable[[], None] | None = None) -> State:
        """Runs to the end in this thread.

        Args:
            before: Is done first. When it fails, so does the run, and what was said to it meanwhile is answered.

        Returns:
            ``done``, ``stopped`` or ``failed``; `reason` says why. Raises nothing for what can go wrong in a night.
        """
        try:
            if before is not None:
                before()
            self._sit()
        except (BarkError, OSError, MemoryError) as error:
            self._fail(error)
        except Exception as error:
            logger.exception("the run failed")
            self._fail(error)
        for command in self._unheard():
            self._refuse(command, "the run has ended")
        return self.state

    def _sit(self) -> None:
        self._enter("loading", "opening the lineage")
        begins = isinstance(self._origin, _Begin)
        who = "bark-lab, which begins a run" if begins else "bark-lab, which resumes a run"
        with Lineage.write(self.path, who=who) as lineage:
            run = self._opened(lineage)
            if run.config.execution.power_safe:
                lineage.wait_for_disk()
            self.run_name = run.run.name
            self._worked_before, self._committed_before = run.worked_s, run.swarm.committed
            self._tell([run.begun(), *run.cautions(), *run.taught()])
            sitting = Sitting(run)
            try:
                with contextlib.closing(self._make_executor(run.config, run.base, self._say)) as executor:
                    self._executor = executor
                    lineage.set_state(run.run.run_id, "running")
                    self._enter("loading", "loading the models") if self._goal == "running" else self._enter("paused")
                    state, reason = self._go_on(run, sitting, executor)
                    while not self._close_if_quiet():  # somebody said something meanwhile: it counts as said before
                        state, reason = self._go_on(run, sitting, executor)
                run.remember_time()
                lineage.set_state(run.run.run_id, _RECORDED[state], reason)
            except BaseException as error:
                self._leave_a_note(run, error)
                self._write_down(sitting)
                raise
        self._enter(state, reason)

    def _opened(self, lineage: Lineage) -> RecordedRun:
        self._enter("loading", "finding the checkpoint, the voices and what was recorded")
        if isinstance(self._origin, _Resume):
            return RecordedRun.resume(lineage, self._origin.name, self._origin.conduct)
        begin = self._origin
        return RecordedRun.begin(
            lineage, begin.config, base=begin.base, founders=begin.founders, branched_from=begin.branched_from
        )

    def _go_on(self, run: RecordedRun, sitting: Sitting, executor: Executor) -> tuple[Literal["done", "stopped"], str]:
        """Until the run is over, or somebody asks to stop; returns the final state and why."""
        while True:
            self._obey(run, sitting)
            if self._goal == "running":
                self._tell(run.ask())
            elif self._goal == "stopping":  # what no worker does is for the next sitting, or for `Continue`
                run.jobs.extendleft(reversed(executor.withdraw()))
            room = min(executor.slots - executor.waiting(), len(run.jobs))
            if self._goal == "running" and room > 0:
                executor.submit([run.jobs.popleft() for _ in range(room)])  # at once, so that they can share a batch
            if self._abandoned.is_set():
                return "stopped", "ended at once"
            if executor.waiting():
                self._collect(run, executor)
            elif self._goal == "stopping":
                return "stopped", self.reason
            elif self._goal == "paused":
                self._enter("paused")
                self._await_command()
            elif not run.jobs and (over := run.over()) is not None:
                return "done", over

    def _tell(self, events: Iterable[Event]) -> None:
        for event in events:
            self._emit(event)

    def _emit(self, event: Event) -> None:
        """A window that is in trouble must not end a night's work."""
        try:
            self._on_event(event)
        except Exception:
            logger.exception("%s could not be told", type(event).__name__)

    def _collect(self, run: RecordedRun, executor: Executor) -> None:
        """Waits for results, and takes them in one by one; a step that is over lets the next one begin."""
        began = self._clock()
        done = executor.collect(_WAIT_S)
        run.worked_s += self._clock() - began
        doing = self._watch(run, executor)
        if self.state == "loading" and (done or doing):
            self._loaded = True
            self._enter("running")
        for evaluated in done:
            began, steps = self._clock(), run.steps
            self._tell(run.tell(evaluated))
            run.worked_s += self._clock() - began
            if run.steps > steps:
                run.remember_time()
                self._count(run.steps - steps)
        now = self._clock()
        if done or now - self._told_progress_at >= _PROGRESS_S:
            self._told_progress_at = now
            self._emit(self._progress(run, doing))

    def _watch(self, run: RecordedRun, executor: Executor) -> str:
        """What the executor does, in a few words; tells of workers that had to be replaced."""
        status = executor.status()
        trouble = (status.get("restarts", 0), status.get("trouble", ""))
        if trouble != self._trouble and trouble[1]:
            self._emit(Notice(str(trouble[1]), "warning"))
        self._trouble = trouble
        run.engine = str(status.get("engine") or run.engine)
        return in_words(status, self._rendering)

    def _count(self, steps: int) -> None:
        if self._steps_left is not None:
            self._steps_left -= steps
            if self._steps_left <= 0 and self._goal == "running":
                self._goal, self._steps_left = "paused", None
                self._enter("pausing")

    def _progress(self, run: RecordedRun, doing: str) -> Progress:
        hours = run.worked_s / 3600
        here = max(run.worked_s - self._worked_before, 1e-6) / 3600
        rate = max(run.swarm.committed - self._committed_before, 0) / here
        stop, left = run.config.stop, []
        if stop.evaluations is not None and rate:
            left.append(max(0, stop.evaluations - run.swarm.committed) / rate)
        if stop.hours is not None:
            left.append(max(0.0, stop.hours - hours))
        return Progress(run.swarm.committed, run.told, hours, rate, min(left, default=None), doing, run.engine)

    # -- commands -----------------------------------------------------------------------------------------------

    def _await_command(self) -> None:
        with contextlib.suppress(queue.Empty):
            self._heard.append(self._commands.get(timeout=_WAIT_S))

    def _obey(self, run: RecordedRun, sitting: Sitting) -> None:
        """Does what people said meanwhile, in order; what cannot be done is answered with a notice."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._heard.append(self._commands.get_nowait())
        while self._heard:
            try:
                self._do(self._heard[0], run, sitting)
            except LineageError as error:
                if error.trouble not in ("invalid", "missing", "conflict"):
                    raise  # a disk or a lock, not a mistake in the command, which keeps its place and gets its answer
                self._emit(Notice(str(error), "error"))
            except BarkError as error:
                self._emit(Notice(str(error), "error"))
            self._heard.popleft()

    def _close_if_quiet(self) -> bool:
        """Takes no more commands, unless there are some still."""
        with self._open:
            self._closed = self._commands.empty() and not self._heard
            return self._closed

    def _unheard(self) -> list[Command]:
        """Takes no more commands; returns those that nobody has listened to."""
        with self._open:
            self._closed = True
            with contextlib.suppress(queue.Empty):
                while True:
                    self._heard.append(self._commands.get_nowait())
        unheard = list(self._heard)
        self._heard.clear()
        return unheard

    def _write_down(self, sitting: Sitting) -> None:
        """Records what people had just said when the run failed, for the next sitting to learn from."""
        for command in self._unheard():
            try:
                self._tell(sitting.write_down(command))
            except (BarkError, OSError) as error:
                self._refuse(command, str(error))

    def _refuse(self, command: Command, why: str) -> None:
        if not isinstance(command, Pause | Continue | StepOnce | StopRun):  # an ended run needs no such thing
            self._emit(Notice(f"{type(command).__name__} came too late and was not recorded: {why}", "error"))

    def _do(self, command: Command, run: RecordedRun, sitting: Sitting) -> None:
        match command:
            case Pause():
                self._goal = "paused"
                self._enter("pausing")
            case Continue() | StepOnce():
                self._goal, self._steps_left = "running", 1 if isinstance(command, StepOnce) else None
                self._enter("running" if self._loaded else "loading")
            case StopRun(reason):
                self._goal = "stopping"
                self._enter("stopping", reason)
            case ChangeStop(stop):
                run.conduct({"stop": plain(stop)})
            case JudgePair() | Rate() | ChooseWorst() | TakeBack() if self._abandoned.is_set():
                self._tell(sitting.write_down(command))  # learning from many takes long; the next sitting does it
            case _:
                self._tell(sitting.hear(command))

    def _say(self, rendering: str) -> None:
        self._rendering = rendering

    # -- states -------------------------------------------------------------------------------------------------

    def _enter(self, state: State, reason: str = "") -> None:
        if (state, reason) != (self.state, self.reason):
            self.state, self.reason = state, reason
            self._emit(StateChanged(state, reason))

    def _fail(self, error: BaseException) -> None:
        self._enter("failed", _why(error))

    def _leave_a_note(self, run: RecordedRun, error: BaseException) -> None:
        """Records why the run failed, if the file still takes anything."""
        try:
            run.remember_time()
            run.lineage.set_state(run.run.run_id, "failed", _why(error))
        except (LineageError, OSError):
            logger.warning("the lineage could not take the reason why the run failed", exc_info=True)


def _why(error: BaseException) -> str:
    if isinstance(error, MemoryError):
        return "the memory is used up; take a smaller batch_size, fewer workers, or offload = 'on', then resume"
    if isinstance(error, BarkError):
        return str(error)
    return f"{type(error).__name__}: {error}"


def executor_of(config: RunConfig, base: Path, say: Callable[[str], None]) -> Executor:
    """The executor that a configuration asks for, with studios in it.

    Args:
        config: The run.
        base: Relative paths of the configuration begin here.
        say: Told what the engine is doing, where it runs in this process.
    """
    from experiments.executors.gpus import one_gpu_each
    from experiments.executors.in_process import InProcess
    from experiments.executors.process_pool import ProcessPool
    from experiments.studio import Studio

    plain_config = config.to_json()
    execution = config.execution
    if execution.workers == 0:
        tell = partial(_say_progress, say)
        return InProcess(partial(Studio.open, plain_config, str(base), tell), execution.batch_size)
    return ProcessPool(
        partial(Studio.open, plain_config, str(base)),
        execution.workers,
        execution.batch_size,
        timeout_s=execution.time_limit_s,
        environments=one_gpu_each(execution.device),
    )


def _say_progress(say: Callable[[str], None], progress: RenderProgress) -> None:
    say(f"{progress.stage} {progress.done}/{progress.total}")
