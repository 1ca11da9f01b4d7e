"""What the window costs: processor time for a frame, from an event to its card, and memory over a simulated run.

    xvfb-run -a -s "-screen 0 1600x1000x24 +extension GLX" python -m experiments.benchmarks.window [--minutes 10]

The whole board at 1600 x 1000 with the lineage of 200 births, OpenGL in software (llvmpipe), so nearly all of it is
filling pixels that a graphics card would fill. Figures are processor time of this process, all its threads together.

The run is made up in another process, which records it in a lineage file, so what grows here is the window's. Most of
its births are without sound; cards recall what they miss from the file. When the simulated minutes are over, the run is
gone through from end to end.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import os
import pickle
import queue
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SIZE = (1600, 1000)
FRAMES = 60
SOUNDING = 200  # births that all have clips; of later ones three in ten
BIRTHS_A_MINUTE = 240  # far more than a laptop renders
MIB = 2**20


class _Simulated:
    """A run that another process makes up and records."""

    def __init__(self, path: Path) -> None:
        from experiments.board.run_state import Opened

        self.opened = Opened("own", str(path), "synthetic")
        self.events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._archive = importlib.import_module("window.sources").Archive(path, "synthetic")
        command = [sys.executable, "-m", "experiments.benchmarks.window", "--simulate", str(path)]
        self._maker = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)

    def made(self) -> Iterator[Any]:
        """Events as they were recorded; the other process waits until they are wanted."""
        assert self._maker.stdout is not None
        while True:
            yield pickle.load(self._maker.stdout)

    def start(self) -> None:
        """It goes on by itself."""

    def send(self, command: object) -> bool:
        """Takes everything."""
        return True

    def recall(self, birth: int) -> Any:
        """Reads it from the file."""
        return self._archive.recall(birth)

    def recording(self) -> Any:
        """What is in the file."""
        return self._archive.recording()

    def close(self, timeout_s: float) -> bool:
        """Ends the other process."""
        self._archive.close()
        self._maker.kill()
        self._maker.wait(timeout_s)
        return True


def _simulate(path: Path) -> None:
    """Makes up a run of 20,000 births, records it and tells it on standard output."""
    from experiments.lineage import Lineage

    events = importlib.import_module("board_events")
    recorder_of = importlib.import_module("board_recorded").Recorder
    with Lineage.write(path, who="the window's benchmark") as lineage:
        recorder = recorder_of(lineage)
        sounding = 0
        for event in events.synthetic_run(20_000, 1, clip_share=1.0):
            sent = recorder.record(event)
            if getattr(event, "clip", None) is not None:
                sounding += 1
                if sounding > SOUNDING and sounding % 10 > 2:
                    sent = dataclasses.replace(sent, clip=None)
            events.pack(sent, sys.stdout.buffer)
            sys.stdout.buffer.flush()


def main(arguments: list[str] | None = None) -> int:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--minutes", type=float, default=1.0, help="of the simulated run, for memory (1)")
    parser.add_argument("--simulate", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    sys.path.insert(0, str(ROOT / "tests"))  # the synthetic runs that tests use
    if options.simulate:
        _simulate(options.simulate)
        return 0
    os.environ.setdefault("LIBGL_ALWAYS_SOFTWARE", "1")
    # The layers point the other way: this drives the window, so it finds it by name.
    app_module = importlib.import_module("window.app")
    settings = importlib.import_module("window.settings").Settings
    with TemporaryDirectory() as folder:
        app = app_module.App(settings(scale=1.0, output_folder=folder), size=SIZE, vsync=False)
        try:
            _measure(app, Path(folder) / "run.db", options.minutes)
        finally:
            app.close()
    return 0


def _measure(app: Any, path: Path, minutes: float) -> None:
    import psutil

    from experiments.events import Told

    process = psutil.Process()
    source = _Simulated(path)
    made = source.made()
    first = next(made)
    running = (event for event in made if type(event).__name__ != "StateChanged")
    app.show()
    app.open(source)
    source.events.put(first)
    for event in running:
        source.events.put(event)
        if isinstance(event, Told) and event.candidate.birth == SOUNDING:
            break
    while not source.events.empty():
        app.loop.frame()
    for _ in range(20):
        app.loop.frame()
    board = app.presenter.board
    app.presenter.select(board.births.best)
    app.loop.frame()
    _say("idle: nothing changes", _frames(app, iter(())))
    _say("running: one event each frame", _frames(app, running, source))
    waits = []
    for event in running:
        if isinstance(event, Told):
            began = time.perf_counter()
            source.events.put(event)
            while event.candidate.birth not in app.presenter.board.cards.places:
                app.loop.frame()
            waits.append((time.perf_counter() - began) * 1e3)
            if len(waits) == 40:
                break
        else:
            source.events.put(event)
    print(f"event to card, loop awake: median {statistics.median(waits):.0f} ms, most {max(waits):.0f} ms of wall time")
    loop = importlib.import_module("window.loop")
    print(f"event to card, loop waiting: {(1 / loop.BUSY_FPS + loop.LOOK_S) * 1e3:.0f} ms more at most")
    births, before = 0, 0.0
    for minute in range(1, max(1, round(minutes)) + 1):
        for event in running:
            source.events.put(event)
            births += isinstance(event, Told)
            app.loop.frame()
            if births == minute * BIRTHS_A_MINUTE:
                break
        used = process.memory_info().rss / MIB
        before = before or used
        print(f"memory after {minute} min, {births} births: {used:.1f} MiB, {used - before:+.1f}", flush=True)
    _go_back(app, board.births.told)


def _go_back(app: Any, told: int) -> None:
    """All over the run, as the slider does."""
    moments = app.presenter.moments()
    taken = []
    for share in (0.99, 0.01, 0.5, 0.25, 0.75, 0.1, 0.9, 0.6, 0.4, 0.8):
        began = time.perf_counter()
        app.presenter.travel(moments[int(share * told)])
        taken.append((time.perf_counter() - began) * 1e3)
    print(f"another moment of {told} births: median {statistics.median(taken):.0f}, most {max(taken):.0f} ms")
    begin, taken = int(0.8 * told), []
    for place in range(begin + 1, begin + 100):
        began = time.perf_counter()
        app.presenter.travel(moments[place])
        taken.append((time.perf_counter() - began) * 1e3)
    print(f"the next birth: median {statistics.median(taken):.1f}, most {max(taken):.1f} ms")
    app.presenter.travel(None)


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


if __name__ == "__main__":
    sys.exit(main())
