"""Evaluation on threads of this process: the next batch is rendered while the last one is judged.

torch lets other threads run while it computes, so on more than one core, or with a GPU, the two overlap. pocketsphinx
does not (it keeps the interpreter for about a second per clip), so where it listens, threads gain nothing and processes
do. Only one rendered batch waits for its judgement, so memory holds three batches at most. Results come in the order of
submission.

Nothing here can be killed: an evaluation that hangs holds the run up, one that crashes takes the program with it.
`process_pool` is for those.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from bark_infinity.error_handling import BarkError
from experiments.evaluation import Evaluated, Evaluator, EvaluatorFactory, Job, Rendered
from experiments.executors import attempts

logger = logging.getLogger(__name__)

_PATIENCE_S = 10.0  # for a batch under way to be cancelled

_Batch = list[Rendered | Evaluated]


class InProcess:
    """Runs jobs on threads of this process; an `Executor`.

    Args:
        factory: Makes the evaluator, on the thread that renders, as soon as there is a job.
        batch_size: The most jobs rendered at once.
        overlap: Judge a batch on a second thread while the next one is rendered.

    Raises:
        BarkError: When the batch size is out of range.
    """

    def __init__(self, factory: EvaluatorFactory, batch_size: int, *, overlap: bool = True) -> None:
        if batch_size < 1:
            raise BarkError(f"batch_size is {batch_size}, expected at least 1")
        self._factory, self._batch_size, self._overlap = factory, batch_size, overlap
        self._changed = threading.Condition()  # guards what follows
        self._new: deque[Job] = deque()
        self._finished: list[Evaluated] = []
        self._submitted = 0
        self._doing: dict[str, tuple[float, list[int]]] = {}
        self._broken: str | None = None
        self._closed = False
        self._evaluator: Evaluator | None = None
        self._rendered: queue.Queue[_Batch | None] = queue.Queue(maxsize=1)
        self._threads: list[threading.Thread] = []

    @property
    def slots(self) -> int:
        """Jobs under way at once: one batch, and another one that is judged meanwhile."""
        return self._batch_size * (2 if self._overlap else 1)

    @property
    def evaluator(self) -> Evaluator | None:
        """What renders and judges, once it is loaded; None after `close`."""
        return None if self._closed else self._evaluator

    def submit(self, jobs: Sequence[Job]) -> None:
        """Takes jobs; returns at once. The first ones load the models.

        Raises:
            BarkError: After `close`.
        """
        with self._changed:
            self._require_open()
            self._new.extend(jobs)
            self._submitted += len(jobs)
            if not self._threads:
                self._start()
            self._changed.notify_all()

    def collect(self, timeout_s: float) -> list[Evaluated]:
        """See `Executor.collect`.

        Raises:
            BarkError: When the models cannot be loaded, with the reason. Also after `close`.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._finished or self._broken or self._closed, timeout_s)
            self._require_open()
            done, self._finished = self._finished, []
            self._submitted -= len(done)
            if not done and self._broken:
                raise BarkError(self._broken)
            return done

    def waiting(self) -> int:
        """Jobs submitted and not collected."""
        with self._changed:
            return self._submitted

    def withdraw(self) -> list[Job]:
        """None: this process is the worker, and has begun."""
        return []

    def status(self) -> Mapping[str, Any]:
        """What is being rendered and judged, as of one worker: this process."""
        with self._changed:
            now = time.monotonic()
            doing = [
                {"pid": os.getpid(), "state": what, "births": births, "seconds": round(now - since, 1), "restarts": 0}
                for what, (since, births) in self._doing.items()
            ]
            return {
                "kind": "this process",
                "workers": doing,
                "batch_size": self._batch_size,
                "waiting": self._submitted,
                "queued": len(self._new),
                "restarts": 0,
                "trouble": self._broken or "",
                "engine": getattr(self._evaluator, "runs_on", ""),
            }

    def close(self) -> None:
        """Cancels what is under way where the evaluator can (a ``cancel`` method), and lets the models go."""
        with self._changed:
            self._closed = True
            self._new.clear()
            cancel = getattr(self._evaluator, "cancel", None)
            self._changed.notify_all()
        if cancel is not None:
            cancel()
        deadline = time.monotonic() + _PATIENCE_S
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        if any(thread.is_alive() for thread in self._threads):
            logger.warning("a batch is still being evaluated %g s after it was cancelled; left behind", _PATIENCE_S)

    # -- threads ------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        targets = {"render": self._render_all} | ({"judge": self._judge_all} if self._overlap else {})
        self._threads = [threading.Thread(target=work, name=name, daemon=True) for name, work in targets.items()]
        for thread in self._threads:
            thread.start()

    def _render_all(self) -> None:
        evaluator: Evaluator | None = None
        try:
            self._note("loading", [])
            self._evaluator = evaluator = self._factory()
            self._note("loading", None)
            while (jobs := self._next_batch()) is not None:
                self._note("rendering", [job.candidate.birth for job in jobs])
                batch = attempts.render(evaluator, jobs)
                self._note("rendering", None)
                if self._overlap:
                    self._rendered.put(batch)
                else:
                    self._judge(evaluator, batch)
        except BaseException as error:
            logger.info("where it broke:", exc_info=True)
            what = "the models cannot be loaded" if evaluator is None else "evaluating broke down"
            self._give_up(f"{what}: {attempts.explained(error)}")
        finally:
            if self._overlap:
                self._rendered.put(None)
                self._threads[1].join()
            if evaluator is not None:
                evaluator.close()

    def _judge_all(self) -> None:
        while (batch := self._rendered.get()) is not None:
            assert self._evaluator is not None
            try:
                self._judge(self._evaluator, batch)
            except BaseException as error:
                self._give_up(f"judging broke down: {attempts.explained(error)}")  # and keep taking, see _render_all

    def _judge(self, evaluator: Evaluator, batch: _Batch) -> None:
        if self._closed:
            return
        self._note("judging", [one.candidate.birth for one in batch])
        outcomes = attempts.judge(evaluator, batch)
        self._note("judging", None)
        with self._changed:
            self._finished.extend(outcomes)
            self._changed.notify_all()

    def _next_batch(self) -> list[Job] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._new or self._closed)
            if self._closed:
                return None
            return [self._new.popleft() for _ in range(min(self._batch_size, len(self._new)))]

    def _note(self, what: str, births: list[int] | None) -> None:
        with self._changed:
            if births is None:
                self._doing.pop(what, None)
            else:
                self._doing[what] = (time.monotonic(), births)

    def _give_up(self, why: str) -> None:
        with self._changed:
            self._broken = why
            self._doing.clear()
            self._changed.notify_all()

    def _require_open(self) -> None:
        if self._closed:
            raise BarkError("this executor is closed; make another one")
