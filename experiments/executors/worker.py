"""What runs in a worker process: an evaluator, and a loop that evaluates one batch after the other.

Started by `worker_process` as ``python -m experiments.executors.worker`` with pipes as its standard input and output.
It moves them out of the way at once, so that whatever a library prints goes to the log and not between messages.

It ends with its parent: a thread waits at the input pipe and exits the process as soon as the other end is gone, even
while a batch is being evaluated. It also keeps its own time limits: the watchdog of `faulthandler`, which needs no
interpreter and so works when native code hangs, writes where it hangs and ends the process.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import queue
import signal
import sys
import threading
from collections.abc import Sequence
from typing import Any, BinaryIO

from bark_infinity import prepared_shapes
from experiments.evaluation import Evaluated, Evaluator, Job, failed
from experiments.executors import attempts, frames


class Replies:
    """The way back to the parent, for the thread that evaluates and all threads that log."""

    def __init__(self, pipe: BinaryIO) -> None:
        self._pipe = pipe
        self._one_at_a_time = threading.Lock()

    def send(self, kind: str, content: Any) -> None:
        """Sends a message; ends the process when nobody reads it."""
        data = frames.packed((kind, content))
        try:
            with self._one_at_a_time:
                frames.write(self._pipe, data)
        except OSError:
            os._exit(0)


class LogToParent(logging.Handler):
    """Hands log records to the parent's logging."""

    def __init__(self, replies: Replies) -> None:
        super().__init__()
        self._replies = replies
        self.setFormatter(logging.Formatter("%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Sends the record's logger, level and text."""
        try:
            self._replies.send("log", (record.name, record.levelno, self.format(record)))
        except Exception:
            self.handleError(record)


def main() -> None:
    """Serves until the parent is gone."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # a service manager sends them to all: the parent decides how to end
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    prepared_shapes.keep_few()
    requests, answers = _take_standard_pipes()
    replies = Replies(answers)
    faulthandler.enable()
    inbox: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(requests, inbox), name="parent", daemon=True).start()

    level, factory, start_limit_s = frames.unpacked(inbox.get())
    logging.basicConfig(level=level, handlers=[LogToParent(replies)])
    try:
        faulthandler.dump_traceback_later(start_limit_s, exit=True)
        evaluator: Evaluator = frames.unpacked(factory)()
        faulthandler.cancel_dump_traceback_later()
    except (Exception, SystemExit) as error:
        logging.getLogger(__name__).debug("loading failed", exc_info=True)
        replies.send("broken", attempts.explained(error))
        return
    replies.send("ready", getattr(evaluator, "runs_on", ""))
    while True:
        jobs, limit_s = frames.unpacked(inbox.get())
        replies.send("begun", None)  # whoever dies before this has not died of the batch
        _evaluate(evaluator, jobs, limit_s, replies)


def _evaluate(evaluator: Evaluator, jobs: Sequence[Job], limit_s: float, replies: Replies) -> None:
    faulthandler.dump_traceback_later(limit_s, exit=True)
    outcomes = attempts.evaluate(evaluator, jobs)
    faulthandler.cancel_dump_traceback_later()
    replies.send("done", [_sendable(one) for one in outcomes])


def _sendable(outcome: Evaluated) -> bytes:
    try:
        return frames.packed(outcome)
    except Exception as error:  # one that does not pickle
        return frames.packed(failed(outcome.candidate, f"its outcome cannot be sent: {attempts.explained(error)}"))


def _receive(requests: BinaryIO, inbox: queue.SimpleQueue[bytes]) -> None:
    while (data := frames.read(requests)) is not None:
        inbox.put(data)
    os._exit(0)  # no clean-up: other threads may be in the middle of anything


def _take_standard_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Keeps the pipes under other handles; 0 reads nothing and 1 writes where 2 does from now on."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return requests, replies


if __name__ == "__main__":
    main()
