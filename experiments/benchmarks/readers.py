"""Does looking on disturb a run: one process records births while another reads status, tree and events in a loop.

    python -m experiments.benchmarks.readers [--seconds 60] [--directory FOLDER]

The writer records whole steps as fast as it can, a hundred times faster than any run; the reader opens the file anew
for every look, as commands do, and follows the run in between, as a window does. Short stretches with and without the
reader alternate, there and back again, so that neither the growing file nor other work on the
machine favours one side. In a third kind of stretch the reader looks at another file: what it costs then is the price
of sharing a machine, not a file. A step's processor time is the median over its kind; by the clock it is the tenth
percentile, because on a shared machine other programs interrupt most steps.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import statistics
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Literal

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
_RUN = 1
Kind = Literal["alone", "elsewhere", "watched"]
_ROUND: tuple[Kind, ...] = ("alone", "elsewhere", "watched", "watched", "elsewhere", "alone")
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
    """What steps cost, and what was seen meanwhile.

    Attributes:
        steps: By kind of stretch, seconds of every step: by the clock, and of the writer's processor time.
        births: Recorded in all.
        wal_bytes: The largest that the write-ahead log was.
        looks: What the reader saw.
    """

    steps: Mapping[Kind, Sequence[tuple[float, float]]]
    births: int
    wal_bytes: int
    looks: Looks

    def cost_s(self, kind: Kind, of: Literal["clock", "processor"]) -> float:
        """Seconds of a step: the median of processor time; by the clock the tenth percentile, see above."""
        if of == "processor":
            return statistics.median(processor for _, processor in self.steps[kind])
        return statistics.quantiles((clock for clock, _ in self.steps[kind]), n=10)[0]

    def slowdown(self, of: Literal["clock", "processor"]) -> float:
        """What a step costs while its file is read, over what it costs while another file is read."""
        return self.cost_s("watched", of) / self.cost_s("elsewhere", of)


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


def measure(path: Path, seconds: float, stretch_s: float = 0.5, steps_before: int = 250) -> Measured:
    """Writes and reads a new file for some seconds.

    Args:
        path: The file; another one is made beside it.
        seconds: How long.
        stretch_s: Length of a stretch.
        steps_before: Recorded in both files first.
    """
    context = multiprocessing.get_context("spawn")
    looking, resting, over, here = context.Event(), context.Event(), context.Event(), context.Event()
    answer, question = context.Pipe(duplex=False)
    other = path.with_name(f"other-{path.name}")
    with Lineage.write(other, who="the readers benchmark") as lineage:
        _Writer(lineage).steps(steps_before)
    with Lineage.write(path, who="the readers benchmark") as lineage:
        writer = _Writer(lineage)
        writer.steps(steps_before)
        arguments = (str(path), str(other), looking, resting, over, here, question)
        reader = context.Process(target=_read, args=arguments, daemon=True)
        reader.start()
        if not _until(resting.is_set, reader, _START_S):
            raise RuntimeError("the reader's process did not begin")
        steps: dict[Kind, list[tuple[float, float]]] = {kind: [] for kind in _ROUND}
        wal = path.with_name(f"{path.name}-wal")
        largest, end = 0, time.monotonic() + seconds
        kinds = itertools.cycle(_ROUND)
        while time.monotonic() < end and reader.is_alive():
            kind = next(kinds)
            looking.clear()
            _until(resting.is_set, reader, _START_S)
            if kind != "alone":
                (here.set if kind == "watched" else here.clear)()
                looking.set()
            until = time.monotonic() + stretch_s
            while time.monotonic() < until:
                steps[kind].append(writer.step())
            largest = max(largest, wal.stat().st_size)
        lineage.set_state(writer.run_id, "done")
    over.set()  # the writer is gone; the reader looks once more
    looking.set()
    looks = answer.recv() if answer.poll(_START_S) else Looks(trouble="the reader ended without a word")
    reader.join(_START_S)
    return Measured(steps, writer.births, largest, looks)


def _until(reached: Callable[[], bool], reader: multiprocessing.process.BaseProcess, limit_s: float) -> bool:
    end = time.monotonic() + limit_s
    while not reached() and reader.is_alive() and time.monotonic() < end:
        time.sleep(0.002)
    return reached()


# -- the reader -------------------------------------------------------------------------------------------------


def _read(
    path: str, other: str, looking: Event, resting: Event, over: Event, here: Event, question: Connection
) -> None:
    """Looks while it may, here or elsewhere, until all is over; sends what it saw here."""
    looks = Looks()
    try:
        with Lineage.view(path) as lineage, Lineage.view(other) as lineage_elsewhere:
            follower = Follower(lineage, _RUN)
            while not over.is_set():
                if not looking.is_set():
                    resting.set()
                    looking.wait()
                    resting.clear()
                if here.is_set():
                    _look(looks, path, follower)
                else:
                    _look(Looks(), other, Follower(lineage_elsewhere, _RUN))
            while news := follower.poll(2_000):
                looks.told += sum(isinstance(event, Told) for event in news)
            _look(looks, path, follower)
    except Exception:
        looks.trouble = traceback.format_exc()
    resting.set()
    question.send(looks)


def _look(looks: Looks, path: str, follower: Follower) -> None:
    verbs: dict[str, Callable[[], int]] = {
        "status": lambda: _status(path),
        "tree": lambda: _tree(path),
        "follower": lambda: sum(isinstance(event, Told) for event in follower.poll()),
    }
    for name, verb in verbs.items():
        began = time.perf_counter()
        told = verb()
        took = time.perf_counter() - began
        looks.told += told
        looks.looks[name] = looks.looks.get(name, 0) + 1
        looks.longest_s[name] = max(took, looks.longest_s.get(name, 0.0))


def _status(path: str) -> int:
    with Lineage.view(path) as lineage:
        lineage.runs()
        browse.counts(lineage, _RUN)
        browse.operator_statistics(lineage, _RUN)
        for birth, _ in browse.best(lineage, _RUN, count=5):
            lineage.outcome(_RUN, birth)
        list(lineage.lives(_RUN, max(lineage.last_birth(_RUN) - 50, 1)))
    return 0


def _tree(path: str) -> int:
    with Lineage.view(path) as lineage:
        last = lineage.last_birth(_RUN)
        browse.cards(lineage, _RUN, ancestry.ancestors(lineage, _RUN, last, limit=200))
        ancestry.primary_line(lineage, _RUN, last)
        with lineage.turn("reading the tree"):
            lineage.query("SELECT * FROM lineage_tree LIMIT 100")
    return 0


# -- the writer -------------------------------------------------------------------------------------------------


class _Writer:
    """Records steps as a run does: births together, results one by one, and what became of the step."""

    def __init__(self, lineage: Lineage) -> None:
        self.births = 0
        self.run_id = lineage.begin_run("watched", weights=dict.fromkeys(_TERMS, 1.0)).run_id
        lineage.set_state(self.run_id, "running")
        self._lineage = lineage
        self._rng = np.random.default_rng(0)
        self._voices = [_voice(self._rng) for _ in range(32)]
        self._living: list[int] = []
        self._steps = 0

    def steps(self, count: int) -> None:
        """Records several."""
        for _ in range(count):
            self.step()

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
        self._lineage.record_asked(self.run_id, candidates)
        for candidate, score, rendering in results[:-1]:
            self._lineage.record_told(self.run_id, candidate, score, rendering)
        with self._lineage.transaction("recording a result"):
            self._lineage.record_told(self.run_id, *results[-1])
            self._lineage.record_event(self.run_id, "committed", payload | {"generation_best": 0.5}, birth=born[0])
            self._lineage.record_died(self.run_id, left, born[-1])
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
    measures: tuple[tuple[str, Literal["clock", "processor"]], ...] = (
        ("by the clock", "clock"),
        ("of processor time", "processor"),
    )
    for name, of in measures:
        told = {kind: f"{found.cost_s(kind, of) / _STEP * 1e6:.0f} us" for kind in found.steps}
        lines.append(
            f"{name:<22} a birth costs {told['alone']} alone, {told['elsewhere']} while another file is read, "
            f"{told['watched']} while its own is: {found.slowdown(of):.3f} times"
        )
    lines.append(f"steps                  {', '.join(f'{len(each):,} {kind}' for kind, each in found.steps.items())}")
    for name, count in found.looks.looks.items():
        lines.append(f"{name:<22} {count:,} looks, the longest took {found.looks.longest_s[name] * 1e3:.0f} ms")
    lines.append(f"heard by the follower  {found.looks.told:,} of {found.births:,} results")
    lines.append(f"write-ahead log        at most {found.wal_bytes / 2**20:.0f} MB")
    lines.append(f"errors                 {found.looks.trouble or 'none'}")
    return lines


if __name__ == "__main__":
    sys.exit(main())
