"""Where a window's events come from and its commands go to.

A source works on a thread of its own and puts events into a queue, which the loop empties. Nothing else is shared. An
`OwnRun` runs in this process and takes commands; a `WatchedRun` reads a lineage file that is finished or that another
process is writing.
"""

from __future__ import annotations

import functools
import logging
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bark_infinity.error_handling import BarkError
from bark_infinity.tokens import Int64Array, TokenSpace
from experiments.board.run_state import Opened
from experiments.events import Begun, Clip, Command, Event, StateChanged, StopRun
from experiments.lineage import Lineage, LineageError, Run
from experiments.replay.following import Follower
from experiments.replay.history import PIECE, events_of
from experiments.replay.pace import pace_of
from experiments.replay.player import Recording
from experiments.replay.regenerating import decode
from experiments.replay.settings import run_config
from experiments.trusted_engines import named, opened_by, require_run_trusted, require_trusted
from window.panel import Recalled

if TYPE_CHECKING:
    from bark_infinity.engine import BarkEngine
    from experiments.runner import Runner

logger = logging.getLogger(__name__)

MOST_WAITING = 2_000  # events of the past that wait for the window; of a long run there are far more
BREATH_S = 0.02
LOOK_S = 0.25  # between two looks at a file that another process writes
PAGES = 4  # of events of the past in memory, about 2 MB each
LAST_WORDS_S = 3.0  # for a run that is abandoned to let go of its file


@dataclass(frozen=True)
class Recap:
    """What comes now happened before; when it is ``over``, events happen now again."""

    over: bool


News = Event | Recap
Begin = Callable[[Callable[[Event], None]], "Runner"]
"""Makes the runner, given what it tells its events to."""


class Source(Protocol):
    """A run that is shown.

    Attributes:
        opened: What it is.
        events: Filled by the source, emptied by the window.
    """

    opened: Opened
    events: queue.SimpleQueue[News]

    def start(self) -> None:
        """Begins to work."""
        ...

    def send(self, command: Command) -> bool:
        """Gives a command; False where nobody takes any."""
        ...

    def recall(self, birth: int) -> Recalled:
        """Reads a birth back; called on background threads, and slow.

        Raises:
            BarkError: When it cannot be read.
        """
        ...

    def recording(self) -> Recording:
        """What is recorded of the run, for going back in it.

        Raises:
            BarkError: When it cannot be read.
        """
        ...

    def engine(self) -> BarkEngine | None:
        """What renders it in this process, for others to use as well; None where there is none."""
        ...

    def working(self) -> bool:
        """Whether it computes something that closing would have to wait for."""
        ...

    def close(self, timeout_s: float) -> bool:
        """Ends: a run of this window finishes its step within the time, or is ended at once; it can be resumed.

        Returns:
            Whether its thread has ended.
        """
        ...


class NoSource:
    """Nothing is open."""

    def __init__(self) -> None:
        self.opened = Opened()
        self.events: queue.SimpleQueue[News] = queue.SimpleQueue()

    def start(self) -> None:
        """Nothing to do."""

    def send(self, command: Command) -> bool:
        """Nobody takes commands."""
        return False

    def recall(self, birth: int) -> Recalled:
        """There are no births."""
        raise BarkError(f"there is no birth {birth}: nothing is open")

    def recording(self) -> Recording:
        """There is no run."""
        raise BarkError("there is no run to go back in: nothing is open")

    def engine(self) -> BarkEngine | None:
        """Nothing renders."""
        return None

    def working(self) -> bool:
        """It does nothing."""
        return False

    def close(self, timeout_s: float) -> bool:
        """Nothing to end."""
        return True


class _Decoder:
    """A codec that is loaded when the first clip was not kept as a file."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._guard = threading.Lock()

    @functools.cached_property
    def _engine(self) -> BarkEngine:
        from bark_infinity.engine import BarkEngine  # loads torch

        config = run_config(self._run)
        require_trusted(config.model.checkpoint, f"run {self._run.name!r}")
        return BarkEngine.load(config.model.checkpoint, precision=config.model.precision, offload="on")

    @property
    def sample_rate(self) -> int:
        with self._guard:
            return self._engine.sample_rate

    @property
    def space(self) -> TokenSpace:
        with self._guard:
            return self._engine.space

    def decode(self, codes: Sequence[Int64Array]) -> list[NDArray[np.float32]]:
        with self._guard:
            return self._engine.decode(codes)


class Archive:
    """Reads births of one run of a file back; any thread may ask.

    Args:
        path: The lineage file.
        run: Name or number of the run.
    """

    def __init__(self, path: Path, run: str | int) -> None:
        self._path, self._which = path, run
        self._guard = threading.Lock()
        self._lineage: Lineage | None = None
        self._run: Run | None = None
        self._decoder: _Decoder | None = None

    def _opened(self) -> tuple[Lineage, Run, _Decoder]:
        with self._guard:
            if self._lineage is None or self._run is None or self._decoder is None:
                self._lineage = Lineage.view(self._path)
                self._run = self._lineage.run(self._which)
                self._decoder = _Decoder(self._run)
            return self._lineage, self._run, self._decoder

    def recall(self, birth: int) -> Recalled:
        """See `Source`."""
        lineage, run, decoder = self._opened()
        candidate = lineage.candidate(run.run_id, birth)
        outcome = lineage.outcome(run.run_id, birth)
        clip = spoken = None
        if outcome is not None:
            rendering = lineage.rendering(run.run_id, birth)
            spoken = None if rendering is None else rendering.tokens
            try:
                clip = Clip(*decode(lineage, run.run_id, birth, decoder))
            except LineageError as error:
                if error.trouble != "missing":
                    raise
        parents = lineage.candidates(run.run_id, [one.birth for one in candidate.parents])
        return Recalled(candidate, None if outcome is None else outcome.score, clip, spoken, tuple(parents))

    def recording(self) -> Recording:
        """See `Source`."""
        lineage, run, _ = self._opened()
        return Recording(lineage, run.run_id, pages=PAGES)

    def close(self) -> None:
        """Lets go of the file."""
        with self._guard:
            if self._lineage is not None:
                self._lineage.close()
                self._lineage = None


class WatchedRun:
    """A run in a file, looked at while it grows, or after it has ended.

    Args:
        path: The lineage file.
        run: Name or number; None takes the latest.
    """

    def __init__(self, path: Path, run: str | int | None = None) -> None:
        self.path = path
        self.events: queue.SimpleQueue[News] = queue.SimpleQueue()
        with Lineage.view(path) as lineage:
            runs = lineage.runs()
            if run is None and not runs:
                raise BarkError(f"{path} holds no run yet; wait until one has begun, or start one")
            chosen = lineage.run(run) if run is not None else runs[-1]
        self.run = chosen.name
        self.opened = Opened("file", str(path), chosen.name)
        self.caught_up = threading.Event()  # everything that was recorded at the start is in the queue
        self._archive = Archive(path, chosen.run_id)
        self._run_id = chosen.run_id
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watching", daemon=True)

    def start(self) -> None:
        """See `Source`."""
        self._thread.start()

    def _watch(self) -> None:
        try:
            with Lineage.view(self.path) as lineage:
                follower = Follower(lineage, self._run_id)
                self.events.put(Recap(over=False))
                while not self._ended.is_set():
                    news = follower.poll()
                    for event in news:
                        self.events.put(event)
                    while self.events.qsize() > MOST_WAITING and not self._ended.is_set():
                        self._ended.wait(BREATH_S)
                    if news and len(news) < PIECE:  # caught up: a runner would say how far it is
                        self._say_pace(lineage)
                    if not news:
                        if not self.caught_up.is_set():
                            self.events.put(Recap(over=True))
                            self.caught_up.set()
                        self._ended.wait(LOOK_S)
        except (BarkError, OSError) as error:
            self._fail(str(error))
        except Exception as error:  # the window shows it; it must not end silently
            logger.exception("watching %s failed", self.path)
            self._fail(f"{type(error).__name__}: {error}")
        finally:
            self.caught_up.set()

    def _fail(self, why: str) -> None:
        if not self.caught_up.is_set():
            self.events.put(Recap(over=True))  # this happens now, and belongs into the log
        self.events.put(StateChanged("failed", why))

    def _say_pace(self, lineage: Lineage) -> None:
        try:
            self.events.put(pace_of(lineage, self._run_id))
        except LineageError as error:
            if error.trouble != "locked":  # the next news brings the next chance
                raise

    def send(self, command: Command) -> bool:
        """Nobody here takes commands."""
        return False

    def recall(self, birth: int) -> Recalled:
        """See `Source`."""
        return self._archive.recall(birth)

    def recording(self) -> Recording:
        """See `Source`."""
        return self._archive.recording()

    def engine(self) -> BarkEngine | None:
        """Another process renders."""
        return None

    def working(self) -> bool:
        """It only looks on."""
        return False

    def close(self, timeout_s: float) -> bool:
        """See `Source`."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        self._archive.close()
        return not self._thread.is_alive()


class OwnRun:
    """A run in this process.

    Args:
        path: Its lineage file.
        begin: Makes its runner.
        run: Its name, when it is resumed; its history is shown first.
    """

    def __init__(self, path: Path, begin: Begin, run: str = "") -> None:
        self.path = path
        self.opened = Opened("own", str(path), run)
        self.events: queue.SimpleQueue[News] = queue.SimpleQueue()
        self._resumes = run
        self._runner = begin(self._tell)
        self._archive: Archive | None = Archive(path, run) if run else None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="runner", daemon=True)

    def start(self) -> None:
        """See `Source`."""
        self._thread.start()

    def _work(self) -> None:
        self._runner.run(self._tell_history if self._resumes else None)

    def _tell_history(self) -> None:
        self.events.put(Recap(over=False))
        try:
            with Lineage.view(self.path) as lineage:
                for event in events_of(lineage, lineage.run(self._resumes).run_id):
                    if not isinstance(event, StateChanged):
                        self.events.put(event)
                    while self.events.qsize() > MOST_WAITING and not self._closing.is_set():
                        self._closing.wait(BREATH_S)
                    if self._closing.is_set():  # nobody looks any more; what was said to the run is still heard
                        break
        finally:
            self.events.put(Recap(over=True))

    def _tell(self, event: Event) -> None:
        if isinstance(event, Begun):
            if self._archive is None:
                self._archive = Archive(self.path, event.run_id)
            if self._resumes:
                return  # its history, which begins with the same, was told already
        self.events.put(event)

    def send(self, command: Command) -> bool:
        """See `Source`."""
        if not self._thread.is_alive():
            return False
        return self._runner.send(command)

    def recall(self, birth: int) -> Recalled:
        """See `Source`."""
        if self._archive is None:
            raise BarkError(f"birth {birth} cannot be read yet: the run has not begun")
        return self._archive.recall(birth)

    def recording(self) -> Recording:
        """See `Source`."""
        if self._archive is None:
            raise BarkError("the run cannot be read yet: it has not begun")
        return self._archive.recording()

    def engine(self) -> BarkEngine | None:
        """See `Source`."""
        return self._runner.engine()

    def working(self) -> bool:
        """See `Source`."""
        return self._thread.is_alive()

    def close(self, timeout_s: float) -> bool:
        """See `Source`."""
        self._closing.set()
        if self._thread.is_alive():
            self._runner.send(StopRun("its window was closed, or shows another run now"))
            self._thread.join(timeout_s)
        if self._thread.is_alive():
            self._runner.abandon()
            self._thread.join(LAST_WORDS_S)
        if self._archive is not None:
            self._archive.close()
        return not self._thread.is_alive()


def new_run(path: Path, config: Any, *, base: Path, paused: bool = False) -> OwnRun:
    """A run that begins with a configuration (`experiments.config.RunConfig`)."""
    from experiments.runner import Runner  # loads torch: when a run begins, not when the window opens

    path.parent.mkdir(parents=True, exist_ok=True)
    named(opened_by(config, base))
    return OwnRun(path, lambda tell: Runner.begin(path, config, tell, base=base, paused=paused))


def resumed_run(path: Path, run: str, *, device: str = "auto", births: int | None = None) -> OwnRun:
    """A run that goes on from its file, on this window's device.

    Args:
        path: The lineage file.
        run: Its name.
        device: Where the engine runs; ``auto`` leaves it as it was.
        births: After how many births it is over now, instead of its limits; None leaves them as they were.

    Raises:
        BarkError: When nobody but the file has named something that it opens: a checkpoint, a judge, a recording.
    """
    from experiments.runner import Runner

    with Lineage.view(path) as lineage:
        recorded = lineage.run(run)
    base = Path(str(recorded.execution.get("base", ".")))
    require_run_trusted(run_config(recorded), base, f"run {run!r}")
    conduct: dict[str, Any] = {} if device == "auto" else {"execution": {"device": device}}
    if births is not None:
        conduct["stop"] = {"evaluations": births, "hours": None, "target": None, "stagnation": None}
    return OwnRun(path, lambda tell: Runner.resume(path, run, tell, conduct=conduct), run)


def branched_run(path: Path, run: str, birth: int, name: str = "", *, paused: bool = True) -> OwnRun:
    """A run that begins with a birth of another run of the same file.

    Raises:
        BarkError: When there is no such birth, or it has no voice yet; or as `resumed_run`.
    """
    from experiments.replay.branching import branch
    from experiments.runner import Runner

    with Lineage.view(path) as lineage:
        made = branch(lineage, lineage.run(run).run_id, birth, name)
    require_run_trusted(made.config, made.base, f"run {run!r}")

    def begin(tell: Callable[[Event], None]) -> Runner:
        return Runner.begin(
            path,
            made.config,
            tell,
            base=made.base,
            founders=made.founders,
            branched_from=made.branched_from,
            paused=paused,
        )

    return OwnRun(path, begin)
