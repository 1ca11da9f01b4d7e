"""What the window costs: processor time for a frame, from an event to its card, and memory over a simulated run.

    xvfb-run -a -s "-screen 0 1600x1000x24 +extension GLX" python -m experiments.benchmarks.window [--minutes 10]

The whole board at 1600 x 1000 with the lineage of 200 births, OpenGL in software (llvmpipe), so nearly all of it is
filling pixels that a graphics card would fill. Figures are processor time of this process, all its threads together.
"""

from __future__ import annotations

import argparse
import importlib
import os
import queue
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SIZE = (1600, 1000)
FRAMES = 60
BIRTHS_A_MINUTE = 240  # far more than a laptop renders
MIB = 2**20


class _Told:
    """A source that holds what it was given."""

    def __init__(self) -> None:
        from experiments.board.run_state import Opened

        self.opened = Opened("own", "", "synthetic")
        self.events: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def start(self) -> None:
        """Nothing to do."""

    def send(self, command: object) -> bool:
        """Takes everything."""
        return True

    def recall(self, birth: int) -> Any:
        """Knows nothing."""
        raise LookupError(birth)

    def close(self, timeout_s: float) -> bool:
        """Nothing to end."""
        return True


def main(arguments: list[str] | None = None) -> int:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--minutes", type=float, default=1.0, help="of the simulated run, for memory (1)")
    minutes = parser.parse_args(arguments).minutes
    os.environ.setdefault("LIBGL_ALWAYS_SOFTWARE", "1")
    sys.path.insert(0, str(ROOT / "tests"))  # the synthetic runs that tests use
    synthetic_run = importlib.import_module("board_events").synthetic_run
    # The layers point the other way: this drives the window, so it finds it by name.
    app_module = importlib.import_module("window.app")
    settings = importlib.import_module("window.settings").Settings
    with TemporaryDirectory() as folder:
        app = app_module.App(settings(scale=1.0, output_folder=folder), size=SIZE, vsync=False)
        try:
            _measure(app, synthetic_run, minutes)
        finally:
            app.close()
    return 0


def _measure(app: Any, synthetic_run: Any, minutes: float) -> None:
    import psutil

    from experiments.events import Told

    process = psutil.Process()
    source = _Told()
    app.show()
    app.open(source)
    for event in synthetic_run(200, 1, clip_share=1.0):
        source.events.put(event)
    while not source.events.empty():
        app.loop.frame()
    for _ in range(20):
        app.loop.frame()
    board = app.presenter.board
    app.presenter.select(board.births.best)
    app.loop.frame()
    _say("idle: nothing changes", _frames(app, iter(())))
    running = (event for event in _endless(synthetic_run) if not _begins(event))
    _say("running: one event each frame", _frames(app, running, source))
    waits = []
    for event in running:
        if isinstance(event, Told):
            began = time.perf_counter()
            source.events.put(event)
            app.loop.frame()
            assert event.candidate.birth in app.presenter.board.cards.places
            waits.append((time.perf_counter() - began) * 1e3)
            if len(waits) == 40:
                break
        else:
            source.events.put(event)
    print(f"event to card, loop awake: median {statistics.median(waits):.0f} ms, most {max(waits):.0f} ms of wall time")
    loop = importlib.import_module("window.loop")
    print(f"event to card, loop waiting: {(1 / loop.BUSY_FPS + loop.LOOK_S) * 1e3:.0f} ms more at most")
    births, before = 0, 0.0
    for minute in range(max(1, round(minutes * 4))):  # quarters of a minute
        for event in running:
            source.events.put(event)
            births += isinstance(event, Told)
            app.loop.frame()
            if isinstance(event, Told) and births % (BIRTHS_A_MINUTE // 4) == 0:
                break
        used = process.memory_info().rss / MIB
        before = before or used
        if minute % 4 == 3 or minute == 0:
            print(f"memory after {births} births: {used:.0f} MiB")
    grown = (process.memory_info().rss / MIB - before) * 1024 / max(births - BIRTHS_A_MINUTE // 4, 1)
    print(f"growth: {grown:.1f} KiB a birth (the board keeps what is known of every birth)")


def _frames(app: Any, events: Iterator[Any], source: Any = None) -> list[float]:
    taken = []
    for _ in range(FRAMES):
        event = next(events, None)
        if event is not None:
            source.events.put(event)
        began = time.process_time()
        app.loop.frame()
        taken.append((time.process_time() - began) * 1e3)
    return taken


def _say(what: str, taken: list[float]) -> None:
    ordered = sorted(taken)
    most = ordered[int(len(ordered) * 0.95)]
    print(f"{what}: median {statistics.median(taken):.1f}, 95 % under {most:.1f} CPU ms a frame")


def _endless(synthetic_run: Any) -> Iterator[Any]:
    """More births of the run that is shown, with other numbers."""
    yield from (event for event in synthetic_run(20_000, 1, clip_share=0.3) if _number(event) > 200)


def _number(event: Any) -> int:
    if hasattr(event, "candidate"):
        return int(event.candidate.birth)
    if hasattr(event, "candidates"):
        return int(event.candidates[0].birth)
    if hasattr(event, "became"):
        return int(max(event.became))
    return 10**9 if hasattr(event, "committed") and event.committed > 200 else 0


def _begins(event: Any) -> bool:
    return type(event).__name__ in ("Begun", "StateChanged")


if __name__ == "__main__":
    sys.exit(main())
