"""Does looking on disturb a run: one process records births while another reads status, tree and events in a loop.

    python -m experiments.benchmarks.readers [--seconds 60] [--directory FOLDER]

The writer records whole steps as fast as it can, a hundred times faster than any run; the reader opens the file anew
for every look, as commands do, and follows the run in between, as a window does. Short stretches with and without the
reader alternate, in the order with, without, without, with, so that neither the growing file nor other work on the
machine favours one side. What a step costs is taken as the median over its kind.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from pathlib import Path

import numpy as np

from bark_infinity.requests import Rendering, StageStats
from bark_infinity.tokens import SUNO_TOKENS, BarkTokens
from bark_infinity.voices.history import VoiceHistory
from digital_evolution import Candidate, Genome, Parent
from experiments.events import Told
from experiments.lineage import Lineage, ancestry, browse
from experiments.replay.following import Follower
from fusion.score import Score, Term

_STEP = 8  # births
_LIVING = 24
_TERMS = ("intelligibility", "cleanliness", "expressiveness")
_START_S = 60.0  # the reader's process may take so long to begin


@dataclass
class Looks:
    """What the reader saw.

    Attributes:
        looks: How often each thing was read.
        longest_s: The longest that each took.
        told: Results that the follower heard of.
        trouble: The error that ended it; empty when there was none.
    """

    looks: dict[str, int] = field(default_factory=dict)
    longest_s: dict[str, float] = field(default_factory=dict)
    told: int = 0
    trouble: str = ""


@dataclass(frozen=True)
class Measured:
    """Seconds of each step, without and with a reader, by the clock and of the writer's processor time.

    Attributes:
        alone: (clock, processor) of every step without.
        watched: With.
        births: Recorded in all.
        wal_bytes: The largest that the write-ahead log was.
        looks: What the reader saw.
    """

    alone: list[tuple[float, float]]
    watched: list[tuple[float, float]]
    births: int
    wal_bytes: int
    looks: Looks

    def slowdown(self, of: int) -> float:
        """Median step with a reader, over the median without; ``of`` 0 by the clock, 1 of processor time."""
        return statistics.median(step[of] for step in self.watched) / statistics.median(step[of] for step in self.alone)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the benchmark and prints its table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--directory", type=Path, help="where to put the file; it is removed again")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(dir=options.directory) as folder:
        found = measure(Path(folder) / "births.db", options.seconds)
    sys.stdout.write("\n".join(_lines(found)) + "\n")
    return 1 if found.looks.trouble else 0


def measure(path: Path, seconds: float, stretch_s: float = 0.5) -> Measured:
    """Writes and reads a new file for some seconds."""
    context = multiprocessing.get_context("spawn")
    looking, resting, over = context.Event(), context.Event(), context.Event()
    here, there = context.Pipe(duplex=False)
    with Lineage.write(path, who="the readers benchmark") as lineage:
        run_id = lineage.begin_run("watched", weights=dict.fromkeys(_TERMS, 1.0)).run_id
        writer = _Writer(lineage, run_id)
        writer.step()
        lineage.set_state(run_id, "running")
        reader = context.Process(target=_read, args=(str(path), run_id, looking, resting, over, there), daemon=True)
        reader.start()
        looking.set()
        if not _until(resting.is_set, reader, _START_S):  # it has looked once
            raise RuntimeError("the reader's process did not begin")
        alone: list[tuple[float, float]] = []
        watched: list[tuple[float, float]] = []
        wal = path.with_name(f"{path.name}-wal")
        largest, stretch, end = 0, 0, time.monotonic() + seconds
        while time.monotonic() < end and reader.is_alive():
            kind = watched if stretch % 4 in (0, 3) else alone
            (looking.set if kind is watched else looking.clear)()
            if kind is alone:
                _until(resting.is_set, reader, _START_S)
            until = time.monotonic() + stretch_s
            while time.monotonic() < until:
                kind.append(writer.step())
            largest, stretch = max(largest, wal.stat().st_size), stretch + 1
        lineage.set_state(run_id, "done")
    over.set()  # the writer is gone; the reader looks once more
    looking.set()
    looks = here.recv() if here.poll(_START_S) else Looks(trouble="the reader ended without a word")
    reader.join(_START_S)
    return Measured(alone, watched, writer.births, largest, looks)


def _until(reached: Callable[[], bool], reader: multiprocessing.process.BaseProcess, limit_s: float) -> bool:
    end = time.monotonic() + limit_s
    while not reached() and reader.is_alive() and time.monotonic() < end:
        time.sleep(0.002)
    return reached()


# -- the reader -------------------------------------------------------------------------------------------------


def _read(path: str, run_id: int, looking: Event, resting: Event, over: Event, answer: Connection) -> None:
    """Looks while it may, until all is over; sends what it saw."""
    looks = Looks()
    try:
        with Lineage.view(path) as lineage:
            follower = Follower(lineage, run_id)
            while not over.is_set():
                resting.set()
                looking.wait()
                resting.clear()
                _look(looks, path, run_id, follower)
            _look(looks, path, run_id, follower)
            while news := follower.poll(2_000):
                looks.told += sum(isinstance(event, Told) for event in news)
    except Exception:
        looks.trouble = traceback.format_exc()
    resting.set()
    answer.send(looks)


def _look(looks: Looks, path: str, run_id: int, follower: Follower) -> None:
    verbs: dict[str, Callable[[], int]] = {
        "status": lambda: _status(path, run_id),
        "tree": lambda: _tree(path, run_id),
        "follower": lambda: sum(isinstance(event, Told) for event in follower.poll()),
    }
    for name, verb in verbs.items():
        began = time.perf_counter()
        told = verb()
        took = time.perf_counter() - began
        looks.told += told
        looks.looks[name] = looks.looks.get(name, 0) + 1
        looks.longest_s[name] = max(took, looks.longest_s.get(name, 0.0))


def _status(path: str, run_id: int) -> int:
    with Lineage.view(path) as lineage:
        lineage.runs()
        browse.counts(lineage, run_id)
        browse.operator_statistics(lineage, run_id)
        for birth, _ in browse.best(lineage, run_id, count=5):
            lineage.outcome(run_id, birth)
        list(lineage.lives(run_id, max(lineage.last_birth(run_id) - 50, 1)))
    return 0


def _tree(path: str, run_id: int) -> int:
    with Lineage.view(path) as lineage:
        last = lineage.last_birth(run_id)
        browse.cards(lineage, run_id, ancestry.ancestors(lineage, run_id, last, limit=200))
        ancestry.primary_line(lineage, run_id, last)
        with lineage.turn("reading the tree"):
            lineage.query("SELECT * FROM lineage_tree LIMIT 100")
    return 0


# -- the writer -------------------------------------------------------------------------------------------------


class _Writer:
    """Records steps as a run does: births together, results one by one, and what became of the step."""

    def __init__(self, lineage: Lineage, run_id: int) -> None:
        self.births = 0
        self._lineage, self._run_id = lineage, run_id
        self._rng = np.random.default_rng(0)
        self._voices = [_voice(self._rng) for _ in range(32)]
        self._living: list[int] = []
        self._steps = 0

    def step(self) -> tuple[float, float]:
        """Records one step; returns its seconds, by the clock and of processor time."""
        candidates = [self._candidate(birth) for birth in range(self.births + 1, self.births + _STEP + 1)]
        results = [(one, self._score(), self._rendering()) for one in candidates]
        self.births += _STEP
        self._steps += 1
        born = [one.birth for one in candidates]
        left = self._living[: max(len(self._living) + _STEP - _LIVING, 0)]
        self._living = self._living[len(left) :] + born
        payload = {"step": self._steps, "became": [2] * _STEP, "in": born, "out": left, "best": born[0]}
        began, worked = time.perf_counter(), time.process_time()
        self._lineage.record_asked(self._run_id, candidates)
        for candidate, score, rendering in results[:-1]:
            self._lineage.record_told(self._run_id, candidate, score, rendering)
        with self._lineage.transaction("recording a result"):
            self._lineage.record_told(self._run_id, *results[-1])
            self._lineage.record_event(self._run_id, "committed", payload | {"generation_best": 0.5}, birth=born[0])
            self._lineage.record_died(self._run_id, left, born[-1])
        return time.perf_counter() - began, time.process_time() - worked

    def _candidate(self, birth: int) -> Candidate:
        genome = Genome("Good morning. ♪", self._voices[int(self._rng.integers(len(self._voices)))])
        if not self._living:
            return Candidate(birth, genome, seed=birth)
        first, second = (int(one) for one in self._rng.choice(self._living, 2, replace=False))
        parents = (Parent(first, "first"), Parent(second, "second"))
        drawn = {"at": int(self._rng.integers(300))}
        return Candidate(birth, genome, parents, "splice", 1, drawn, self._steps + 1, seed=birth)

    def _score(self) -> Score:
        terms = {name: Term(name, float(self._rng.random()), 1) for name in _TERMS}
        return Score("ok", terms, measures={f"measure {i}": float(self._rng.random()) for i in range(30)})

    def _rendering(self) -> Rendering:
        made = self._voices[int(self._rng.integers(len(self._voices)))]
        stats = {"semantic": StageStats(made.semantic.size, 90, 3, -1.25)}
        return Rendering(BarkTokens(made.semantic, made.coarse, made.fine), "eos", stats=stats)


def _voice(rng: np.random.Generator, n_semantic: int = 150) -> VoiceHistory:
    fine = rng.integers(0, SUNO_TOKENS.codebook_size, (8, SUNO_TOKENS.frames_for(n_semantic)))  # (C, T)
    return VoiceHistory(rng.integers(0, SUNO_TOKENS.semantic_vocab_size, n_semantic), fine[:2], fine)


def _lines(found: Measured) -> list[str]:
    lines = [f"births                 {found.births:,}, in steps of {_STEP}"]
    for name, of in (("by the clock", 0), ("of processor time", 1)):
        alone, watched = (
            statistics.median(step[of] for step in kind) / _STEP * 1e6 for kind in (found.alone, found.watched)
        )
        lines.append(
            f"{name:<22} {alone:.0f} us a birth alone, {watched:.0f} us with a reader: {found.slowdown(of):.3f} times"
        )
    lines.append(f"steps                  {len(found.alone):,} alone, {len(found.watched):,} with a reader")
    for name, count in found.looks.looks.items():
        lines.append(f"{name:<22} {count:,} looks, the longest took {found.looks.longest_s[name] * 1e3:.0f} ms")
    lines.append(f"heard by the follower  {found.looks.told:,} of {found.births:,} results")
    lines.append(f"write-ahead log        at most {found.wal_bytes / 2**20:.0f} MB")
    lines.append(f"errors                 {found.looks.trouble or 'none'}")
    return lines


if __name__ == "__main__":
    sys.exit(main())
