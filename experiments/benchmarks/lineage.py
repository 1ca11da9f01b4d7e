"""A million synthetic births in one lineage file: what a birth costs, how large it is, how fast questions are answered.

    python -m experiments.benchmarks.lineage [--births 1000000] [--directory FOLDER]

A steady-state population of 50 with two parents, one parent and immigrants; a third of the children have a prompt of
their own; six terms and thirty measures each. Births are asked for in batches of 16, in one transaction, and told one
by one, in one each, as a run does it. Voices come from a small pool, and their tokens are counted apart. Costs are
processor time of the lineage's calls, which a busy machine changes least.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from bark_infinity.requests import Rendering, RenderSettings, StageStats
from bark_infinity.tokens import SUNO_TOKENS, BarkTokens
from bark_infinity.voices.history import VoiceHistory
from digital_evolution import Candidate, Genome, Parent
from experiments.lineage import Lineage, ancestry, browse, verification
from fusion.score import Score, Term

_BATCH = 16
_POPULATION = 50
_POOL = 64
_OPERATORS = ("splice", "crop", "rerender", "chimera", "tempo", "clause_crossover", "caps", "hesitation")
_TERMS = (
    ("intelligibility", "word error rate"),
    ("naturalness", ""),
    ("likeness", "cosine"),
    ("pitch", "Hz"),
    ("rate", "syllables/s"),
    ("level", "dB"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the benchmark and prints its table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--births", type=int, default=1_000_000)
    parser.add_argument("--directory", type=Path, help="where to put the file; it is removed again")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(dir=options.directory) as folder:
        path = Path(folder) / "births.db"
        lines = _write(path, options.births)
        lines += _size(path, options.births)
        lines += _questions(path, options.births)
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def _write(path: Path, births: int) -> list[str]:
    rng = np.random.default_rng(0)
    pool = [_voice(rng) for _ in range(_POOL)]
    population: list[Candidate] = []
    costs: list[float] = []  # s of one batch, per birth
    began = time.perf_counter()
    with Lineage.write(path, who="the lineage benchmark") as lineage:
        weights = {name: 1.0 for name, _ in _TERMS}
        run_id = lineage.begin_run("synthetic", seed=0, weights=weights).run_id
        for first in range(1, births + 1, _BATCH):
            batch = [
                _candidate(birth, population, pool, rng) for birth in range(first, min(first + _BATCH, births + 1))
            ]
            results = [(candidate, _score(rng), _rendering(pool, rng)) for candidate in batch]
            start = time.process_time()
            lineage.record_asked(run_id, batch)
            for candidate, score, rendering in results:
                lineage.record_told(run_id, candidate, score, rendering)
            costs.append((time.process_time() - start) / len(batch))
            for candidate in batch:
                if len(population) < _POPULATION:
                    population.append(candidate)
                else:
                    population[int(rng.integers(_POPULATION))] = candidate
    tenth = max(len(costs) // 10, 1)
    early, late = statistics.median(costs[:tenth]), statistics.median(costs[-tenth:])
    mean_early, mean_late = statistics.fmean(costs[:tenth]), statistics.fmean(costs[-tenth:])
    return [
        f"births                          {births:,}, in {time.perf_counter() - began:,.0f} s with making them up",
        f"insertion                       {1 / statistics.fmean(costs):,.0f} births per second of processor time",
        f"cost of a birth, first tenth    median {early * 1e6:,.0f} us, mean {mean_early * 1e6:,.0f} us",
        f"cost of a birth, last tenth     median {late * 1e6:,.0f} us, mean {mean_late * 1e6:,.0f} us",
        f"growth of the cost              {late / early:.2f} of medians, {mean_late / mean_early:.2f} of means",
    ]


def _size(path: Path, births: int) -> list[str]:
    with Lineage.view(path) as lineage, lineage.turn("measuring"):
        [(tokens,)] = lineage.query("SELECT sum(length(tokens)) FROM voices")
    return [f"bytes of a birth                {(path.stat().st_size - tokens) / births:,.0f} without tokens"]


def _questions(path: Path, births: int) -> list[str]:
    middle = births // 2
    with Lineage.view(path) as lineage:
        last = browse.page(lineage, 1, after=births - 1)[0]
        questions: dict[str, Callable[[], object]] = {
            "10,000 latest ancestors of the last birth": lambda: ancestry.ancestors(lineage, 1, births, limit=10_000),
            "primary line of the last birth": lambda: ancestry.primary_line(lineage, 1, births),
            "10,000 descendants of birth 1": lambda: ancestry.descendants(lineage, 1, 1, limit=10_000),
            "common ancestor of the last two births": lambda: ancestry.common_ancestor(
                lineage, 1, [births, births - 1]
            ),
            "common ancestor of the last and the middle": lambda: ancestry.common_ancestor(
                lineage, 1, [births, middle]
            ),
            "page of 50 of the last generation": lambda: browse.page(lineage, 1, generation=last.generation),
            "page of 50 in the middle": lambda: browse.page(lineage, 1, after=middle),
            "operator statistics": lambda: browse.operator_statistics(lineage, 1),
            "curve of the total": lambda: browse.curve(lineage, 1),
            "curve of the total, at most 1,000 points": lambda: browse.curve(lineage, 1, most=1_000),
            "the ten best": lambda: browse.best(lineage, 1),
            "one candidate": lambda: lineage.candidate(1, middle),
        }
        lines = [_timed(name, question) for name, question in questions.items()]
        start = time.perf_counter()
        verification.content_sha256(lineage)
        lines.append(f"{'content sha256':<44}{time.perf_counter() - start:9.1f} s")
    return lines


def _timed(name: str, question: Callable[[], object]) -> str:
    spans, answer = [], None
    for _ in range(5):
        start = time.perf_counter()
        answer = question()
        spans.append(1e3 * (time.perf_counter() - start))
    size = f", {len(answer):,} found" if isinstance(answer, list) else ""
    return f"{name:<44}{min(spans):9.2f} ms (first {spans[0]:.2f}){size}"


def _voice(rng: np.random.Generator) -> VoiceHistory:
    n_semantic = 40
    fine = rng.integers(0, SUNO_TOKENS.codebook_size, (8, SUNO_TOKENS.frames_for(n_semantic)))  # (C, T)
    return VoiceHistory(rng.integers(0, SUNO_TOKENS.semantic_vocab_size, n_semantic), fine[:2], fine)


def _candidate(
    birth: int, population: Sequence[Candidate], pool: Sequence[VoiceHistory], rng: np.random.Generator
) -> Candidate:
    drawn = float(rng.random())
    voice = pool[int(rng.integers(len(pool)))]
    seed = int(rng.integers(2**63))
    if birth <= _POPULATION or drawn < 0.05:
        operator = "founder" if birth <= _POPULATION else "immigrant"
        return Candidate(birth, Genome(f"Hello, my name is number {birth % 100}.", voice), operator=operator, seed=seed)
    chosen = [population[int(place)] for place in rng.choice(len(population), 2 if drawn < 0.7 else 1, replace=False)]
    roles = ("first", "second")
    prompt = chosen[0].genome.prompt
    if drawn < 0.35:
        prompt = f"Hello ... my name is number {birth}, [laughs] and I like pizza. But I also have other interests."
    return Candidate(
        birth,
        Genome(prompt, voice, RenderSettings(semantic_temp=round(0.5 + 0.05 * int(rng.integers(10)), 2))),
        tuple(Parent(one.birth, role) for one, role in zip(chosen, roles, strict=False)),  # type: ignore[arg-type]
        _OPERATORS[int(rng.integers(len(_OPERATORS)))],
        1,
        {"begin": int(rng.integers(500)), "length": int(rng.integers(500)), "codebooks": (0, 1, 2)},
        1 + max(one.generation for one in chosen),
        seed,
    )


def _score(rng: np.random.Generator) -> Score:
    if rng.random() < 0.1:
        return Score("rejected", reason="it does not end", evidence={"longest_run": float(rng.integers(500))})
    values = rng.random(2 * len(_TERMS) + 30).tolist()
    terms = {name: Term(name, values.pop(), 1, values.pop() * 100 if unit else None, unit) for name, unit in _TERMS}
    measures = {f"measure_{number}": value for number, value in enumerate(values[:30])}
    return Score("ok", terms, measures=measures)


def _rendering(pool: Sequence[VoiceHistory], rng: np.random.Generator) -> Rendering:
    voice = pool[int(rng.integers(len(pool)))]
    stats = {
        stage: StageStats(count, int(rng.integers(1, count)), 3, -float(rng.random()))
        for stage, count in (("semantic", 350), ("coarse", 1052), ("fine", 4208))
    }
    return Rendering(BarkTokens(voice.semantic, voice.coarse, voice.fine), "eos", stats=stats)


if __name__ == "__main__":
    sys.exit(main())
