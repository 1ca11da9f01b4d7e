"""A pool's hold on one worker process: starting it, sending it batches, hearing from it, ending it.

Processes are started anew (never forked: torch's threads do not survive that) as a plain `subprocess`, so the program's
main module is not run again in them, there is nothing shared and nothing to leak. Threads do all reading and writing,
so that a frozen worker never holds its parent up; whatever happens arrives in the pool's inbox.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import psutil

from experiments.executors import frames

logger = logging.getLogger(__name__)

_LAST_LINES = 40  # of what a worker wrote: enough for a traceback
_LONGEST_LINE = 1000
_PATIENCE_S = 5.0  # for a killed process to be gone


@dataclass(frozen=True)
class Message:
    """Something a worker said: ``ready``, ``broken``, ``begun``, ``done``; or that it is ``gone``."""

    worker: WorkerProcess
    kind: str
    content: Any = None


class WorkerProcess:
    """One worker process.

    Args:
        name: How the log calls it.
        factory: The packed evaluator factory.
        start_limit_s: It ends itself when loading takes longer.
        environment: Set in the process on top of this one's.
        inbox: Where its messages go.

    Raises:
        OSError: When there is no room for another process or its threads; nothing of it is left then.
    """

    def __init__(
        self,
        name: str,
        factory: bytes,
        start_limit_s: float,
        environment: Mapping[str, str],
        inbox: queue.SimpleQueue[Message | None],
    ) -> None:
        self.name = name
        self._inbox = inbox
        self._outbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._last_lines: deque[str] = deque(maxlen=_LAST_LINES)
        # With -P nothing in the current folder can pose as a module; imports are found where this process finds them.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "experiments.executors.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": _import_path(), **environment},
            **_own_group(),
        )
        self._threads = [
            threading.Thread(target=target, args=(pipe,), name=f"{name} {target.__name__}", daemon=True)
            for target, pipe in (
                (self._write, self._process.stdin),
                (self._read, self._process.stdout),
                (self._read_log, self._process.stderr),
            )
        ]
        try:
            for thread in self._threads:
                thread.start()
        except RuntimeError as error:  # Python's word for a system that has no thread to spare
            self._threads = [thread for thread in self._threads if thread.is_alive()]
            self.end()
            raise OSError(str(error)) from error
        self.send((logger.getEffectiveLevel(), factory, start_limit_s))

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def send(self, message: Any) -> None:
        """Sends a message, sooner or later; returns at once."""
        self._outbox.put(frames.packed(message))

    def resident_bytes(self) -> int:
        """Memory it holds now; 0 when that cannot be known."""
        try:
            return int(psutil.Process(self.pid).memory_info().rss)
        except psutil.Error:
            return 0

    def kill(self) -> None:
        """Kills the process with all it has started, and does not wait."""
        if self._process.returncode is not None:  # it is reaped, so the number may be somebody else's
            return
        if sys.platform == "win32":
            self._process.kill()
        else:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def end(self) -> int | None:
        """Kills it and clears up after it. Never hangs; safe to repeat.

        Returns:
            Its return code (negative: the signal that ended it); None when it cannot even be killed.
        """
        self.kill()
        code = None
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = self._process.wait(_PATIENCE_S)
        self._outbox.put(None)
        deadline = time.monotonic() + _PATIENCE_S
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        if any(thread.is_alive() for thread in self._threads):
            logger.warning("%s (process %d) left something running that holds its pipes", self.name, self.pid)
            return code  # closing a pipe that a thread reads would wait for the thread
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):  # what was not written is not wanted
                    pipe.close()
        return code

    def last_lines(self) -> tuple[str, ...]:
        """The end of what it wrote to its standard error, such as a crash's traceback."""
        return tuple(self._last_lines)

    # -- threads ------------------------------------------------------------------------------------------------

    def _write(self, pipe: BinaryIO) -> None:
        while (data := self._outbox.get()) is not None:
            try:
                frames.write(pipe, data)
            except OSError:
                return  # it is dead; the reading thread says so

    def _read(self, pipe: BinaryIO) -> None:
        while (data := frames.read(pipe)) is not None:
            kind, content = frames.unpacked(data)
            if kind == "log":
                name, level, text = content
                logging.getLogger(name).log(level, "%s: %s", self.name, text)
            else:
                self._inbox.put(Message(self, kind, content))
        self._inbox.put(Message(self, "gone"))

    def _read_log(self, pipe: BinaryIO) -> None:
        # In pieces: progress bars may write for hours without ending a line.
        while piece := pipe.readline(_LONGEST_LINE):
            line = piece.decode("utf-8", "replace").rstrip()
            if line:
                self._last_lines.append(line)
                logger.info("%s: %s", self.name, line)


def _import_path() -> str:
    return os.pathsep.join(str(Path(entry or ".").resolve()) for entry in sys.path)


def _own_group() -> dict[str, Any]:
    """A process group of its own: a terminal's Ctrl-C does not reach it, and it is killed with what it started."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    return {"process_group": 0}
