"""What a long history costs the window: opening it, its memory, any moment of it, the next birth.

    python -m experiments.benchmarks.replay [--births 100000] [--directory FOLDER]

A made-up run (ten measures a birth, steps of eight) is written into a lineage by another process; then its events are
taken in as the window does, without drawing, and moments all over the run are made again. Times are processor time of
this process.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[2]
MIB = 2**20
_MOMENTS = (0.5, 0.99, 0.01, 0.25, 0.75, 0.1, 0.9, 0.6, 0.4, 0.8)  # of the run
_NEXT = 200  # births gone through one by one


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--births", type=int, default=100_000)
    parser.add_argument("--directory", type=Path, help="where to put the file; it is removed again")
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.write:
        _write(options.write, options.births)
        return 0
    with TemporaryDirectory(dir=options.directory) as folder:
        path = Path(folder) / "run.db"
        command = [sys.executable, "-m", "experiments.benchmarks.replay", "--births", str(options.births)]
        subprocess.run([*command, "--write", str(path)], cwd=ROOT, check=True)
        sys.stdout.write("\n".join(_measure(path)) + "\n")
    return 0


def _write(path: Path, births: int) -> None:
    from experiments.lineage import Lineage

    sys.path.insert(0, str(ROOT / "tests"))  # the made-up runs that tests use
    events = importlib.import_module("board_events")
    recorder_of = importlib.import_module("board_recorded").Recorder
    with Lineage.write(path, who="the replay benchmark") as lineage:
        recorder = recorder_of(lineage)
        recorded = recorder.all(events.synthetic_run(births, 1, judgements=False))
        more = True
        while more:
            with lineage.transaction("writing a run"):
                more = any([True for _ in islice(recorded, 5_000)])


def _measure(path: Path) -> list[str]:
    import psutil

    from experiments.board.board import Board
    from experiments.lineage import Lineage
    from experiments.replay.boards import Boards
    from experiments.replay.following import Follower
    from experiments.replay.player import Recording

    process = psutil.Process()
    with Lineage.view(path) as lineage:
        present, past = Board(), Boards(lambda: Recording(lineage, 1, pages=4))
        present.log.recording = False
        follower = Follower(lineage, 1)
        gc.collect()
        before, began = process.memory_info().rss, time.process_time()
        while news := follower.poll():
            for event in news:
                past.watch(event, present)
                present.apply(event)
        told = present.births.told
        lines = [f"opening {told} births: {time.process_time() - began:.1f} s"]
        del news
        gc.collect()
        grown = process.memory_info().rss - before
        lines.append(f"memory: {grown / MIB:.0f} MiB, {grown / told:.0f} bytes a birth")
        taken = []
        for share in _MOMENTS:
            began = time.process_time()
            past.at(int(share * told), present)
            taken.append((time.process_time() - began) * 1e3)
        lines.append(f"another moment: median {statistics.median(taken):.0f}, most {max(taken):.0f} ms")
        board, taken = past.at(told // 2, present), []
        for place in range(told // 2 + 1, told // 2 + _NEXT):
            began = time.process_time()
            board = past.at(place, board)
            taken.append((time.process_time() - began) * 1e3)
        lines.append(f"the next birth: median {statistics.median(taken):.2f}, most {max(taken):.0f} ms")
    return lines


if __name__ == "__main__":
    sys.exit(main())
