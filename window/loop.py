"""The loop: the only thread that touches Dear PyGui, frame by frame.

Callbacks are managed by hand (`manual_callback_management`), so they, the run's events and the results of background
work all arrive here, between two frames. Each job is guarded: one that fails is reported, and the rest of its batch is
done. Frames come 30 times a second while anything moves and 10 times when nothing does; the first news after a frame
without any is drawn at once.
"""

from __future__ import annotations

import inspect
import logging
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import dearpygui.dearpygui as dpg

logger = logging.getLogger(__name__)

T = TypeVar("T")
Job = Callable[[], None]

BUSY_FPS, IDLE_FPS = 30, 10
LOOK_S = 0.003  # between two looks for news while it waits for the next frame
CALM_AFTER_S = 0.6  # without input, events or sound
DRAIN_S = 0.008  # spent on events in one frame, so that a flood of them does not stop the picture


class Loop:
    """Frames, and everything that happens between them.

    Args:
        report: Told, in one sentence, about jobs that failed.
        clock: Seconds that only go up.

    Attributes:
        now: The same clock.
        frames: How many were drawn.
        deaf: Whether clicks and keys are ignored: a picture of a run is nobody's business but its own.
        pending: Whether there are events; then the next frame comes at once.
        failed: Told of every job that raised.
        drain: Takes in events, for at most so many seconds; says whether there were any.
    """

    def __init__(self, report: Callable[[str], None], clock: Callable[[], float] = time.perf_counter) -> None:
        self._report, self.now = report, clock
        self._later: list[tuple[int, Job]] = []
        self._each: list[Job] = []
        self._done: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._workers = ThreadPoolExecutor(2, "window-work")
        self._closed = threading.Event()
        self._awake_until = 0.0
        self._told_news = False  # the last frame
        self.frames = 0
        self.drain: Callable[[float], bool] = lambda _budget_s: False
        self.deaf = False
        self.pending: Callable[[], bool] = lambda: False
        self.failed: Callable[[str], None] = lambda _why: None

    # -- jobs ---------------------------------------------------------------------------------------------------

    def later(self, job: Job, frames: int = 1) -> None:
        """Runs a job after so many frames."""
        self._later.append((self.frames + max(frames, 1), job))

    def every_frame(self, job: Job) -> None:
        """Runs a job before every frame."""
        self._each.append(job)

    def forget_jobs(self) -> None:
        """Drops what was to be done later or every frame: its widgets are gone."""
        self._later.clear()
        self._each.clear()

    def background(
        self, work: Callable[[], T], then: Callable[[T], None], failed: Callable[[str], None] | None = None
    ) -> None:
        """Runs work on another thread, then hands its result over on this one."""

        def run() -> None:
            try:
                result = work()
            except Exception as error:
                logger.info("background work failed", exc_info=True)
                sentence = str(error) or type(error).__name__
                self._done.put(lambda: (failed or self._report)(sentence))
            else:
                self._done.put(lambda: then(result))

        if not self._closed.is_set():
            self._workers.submit(run)

    def call(self, job: Job) -> None:
        """Runs a job on this thread soon; any thread may ask."""
        self._done.put(job)

    def wake(self) -> None:
        """Something moves: frames come quickly for a while."""
        self._awake_until = self.now() + CALM_AFTER_S

    # -- frames -------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Frames until the window is closed."""
        while dpg.is_dearpygui_running():
            began = self.now()
            self.frame()
            awake = self.now() < self._awake_until
            while not frame_due(self.now() - began, awake=awake, news=self._news_waits(), in_stream=self._told_news):
                time.sleep(LOOK_S)

    def _news_waits(self) -> bool:
        return self.pending() or not self._done.empty()

    def frame(self) -> None:
        """Everything that waits, then one picture."""
        self._told_news = self.drain(DRAIN_S) or not self._done.empty()
        if self._told_news:
            self.wake()
        for queued in dpg.get_callback_queue() or ():
            if self.deaf:
                continue
            self.guarded(lambda queued=queued: _called(*queued))  # type: ignore[misc]
            self.wake()
        for _ in range(self._done.qsize()):
            self.guarded(self._done.get_nowait())
            self.wake()
        due = [job for at, job in self._later if at <= self.frames]
        self._later = [one for one in self._later if one[0] > self.frames]
        for job in (*due, *self._each):
            self.guarded(job)
        dpg.render_dearpygui_frame()
        self.frames += 1

    def guarded(self, job: Job) -> None:
        """Runs a job; whatever it raises is reported and does not end the window."""
        try:
            job()
        except Exception as error:
            # Dear PyGui's own errors say what was wrong only in their cause.
            cause = error.__cause__ or error
            logger.exception("a job of the window failed: %s", cause)
            self.failed(str(cause))
            self._report(f"that did not work: {cause}")

    def photograph(self, path: Path, frames: int = 8) -> bool:
        """Draws some frames, writes the last as a PNG, and says whether the file is there."""
        path.unlink(missing_ok=True)
        dpg.output_frame_buffer(str(path))
        for _ in range(frames):
            self.frame()
            if path.is_file() and path.stat().st_size:
                return True
            time.sleep(0.02)
        return False

    def close(self) -> None:
        """Starts nothing more; what is under way in the background is not waited for long."""
        self._closed.set()
        self._workers.shutdown(wait=False, cancel_futures=True)


def frame_due(waited_s: float, *, awake: bool, news: bool, in_stream: bool) -> bool:
    """Whether the next frame is to be drawn now.

    Args:
        waited_s: Since the last one began.
        awake: Whether something moves.
        news: Whether something is there to be told.
        in_stream: Whether the last frame told something too; then frames keep their pace, whatever comes.
    """
    if news and (not in_stream or waited_s >= 1 / BUSY_FPS):
        return True
    return waited_s >= 1 / (BUSY_FPS if awake else IDLE_FPS)


def _called(callback: Callable[..., Any] | None, *arguments: Any) -> None:
    """Calls a callback with as many of (sender, app_data, user_data) as it takes."""
    if callback is None:
        return
    try:
        parameters = inspect.signature(callback).parameters.values()
    except (TypeError, ValueError):
        callback(*arguments)
        return
    if any(one.kind is one.VAR_POSITIONAL for one in parameters):
        callback(*arguments)
        return
    takes = sum(one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD) for one in parameters)
    callback(*arguments[:takes])
