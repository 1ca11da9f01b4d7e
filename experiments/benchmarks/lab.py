"""What the laboratory itself costs per candidate: planning, recording, telling, learning; everything but models.

``python -m experiments.benchmarks.lab`` runs the recorded swarm of a recipe with results that cost nothing to make, and
prints milliseconds per candidate for the first and the last births, so that a growth with the history is seen.
``--model micro`` also renders and judges some candidates in the same process and prints the laboratory's share.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from bark_infinity.requests import Rendering
from bark_infinity.tokens import BarkTokens, TokenSpace
from digital_evolution import Candidate
from experiments.config import RunConfig, load_recipe
from experiments.evaluation import Evaluated, Job
from experiments.lineage import Lineage
from experiments.recorded_run import RecordedRun
from fusion.features.features import AcousticFeatures
from fusion.score import Score, Term

_WINDOWS = 5


def made_up(job: Job, space: TokenSpace, names: tuple[str, ...], rng: np.random.Generator) -> Evaluated:
    """A result of the usual size: two seconds of tokens and audio, all measures."""
    n_semantic = 100
    fine = rng.integers(0, space.codebook_size, (space.n_fine_codebooks, space.frames_for(n_semantic)))
    tokens = BarkTokens(rng.integers(0, space.semantic_vocab_size, n_semantic), fine[: space.n_coarse_codebooks], fine)
    audio = rng.uniform(-0.1, 0.1, 48_000).astype(np.float32)
    rendering = Rendering(tokens, "eos", audio, voice_space=space)
    candidate: Candidate = job.candidate
    if candidate.render_first is not None:
        candidate = candidate.with_voice(rendering.as_voice())
    terms = {name: Term(name, float(rng.random()), 1, 1.0) for name in names}
    measures = {name: float(rng.random()) for name in AcousticFeatures.NAMES}
    return Evaluated(candidate, Score("ok", terms, measures=measures), rendering)


def laboratory_ms(config: RunConfig, births: int, path: Path) -> list[float]:
    """Milliseconds per candidate of the laboratory, in equal parts of the run."""
    rng = np.random.default_rng(1)
    seconds: list[float] = []
    with Lineage.write(path) as lineage:
        run = RecordedRun.begin(lineage, config)
        space = run.species.checkpoint.config.space
        names = config.judge.term_names
        began = time.perf_counter()
        run.ask()
        spent = time.perf_counter() - began
        while len(seconds) < births:
            evaluated = made_up(run.jobs.popleft(), space, names, rng)
            began = time.perf_counter()
            run.tell(evaluated)
            run.ask()
            seconds.append(spent + time.perf_counter() - began)
            spent = 0.0
    return [1000 * float(np.mean(part)) for part in np.array_split(np.array(seconds), _WINDOWS)]


def models_ms(config: RunConfig, births: int) -> float:
    """Milliseconds per candidate of rendering and judging, alone in this process."""
    from experiments.studio import Studio

    with tempfile.TemporaryDirectory() as folder, Lineage.write(Path(folder) / "run.db") as lineage:
        run = RecordedRun.begin(lineage, config)
        run.ask()
        studio = Studio.open(config.to_json())
        size = config.execution.batch_size
        began, done = time.perf_counter(), 0
        while done < births:
            jobs = [run.jobs.popleft() for _ in range(min(size, len(run.jobs)))]
            for evaluated in studio.judge(studio.render(jobs)):
                run.tell(evaluated)
                done += 1
        return 1000 * (time.perf_counter() - began) / done


def main(arguments: list[str] | None = None) -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(prog="python -m experiments.benchmarks.lab", description=__doc__)
    parser.add_argument("--recipe", default="demo")
    parser.add_argument("--births", type=int, default=2000)
    parser.add_argument("--clips", default="none", help="all, elites or none")
    parser.add_argument("--model", action="store_true", help="also render and judge 16 candidates")
    options = parser.parse_args(arguments)
    config = load_recipe(
        options.recipe, [f"stop.evaluations={options.births + 1000}", f"execution.clips={options.clips}"]
    )
    with tempfile.TemporaryDirectory() as folder:
        parts = laboratory_ms(config, options.births, Path(folder) / "run.db")
    print(f"laboratory, {options.recipe}, {options.births} births, clips {options.clips}: ms per candidate")
    print("  " + "  ".join(f"{part:.2f}" for part in parts) + f"   last / first {parts[-1] / parts[0]:.2f}")
    if options.model:
        whole = models_ms(config, 16)
        print(f"rendering and judging with it: {whole:.0f} ms per candidate; laboratory {parts[0] / whole:.2%}")


if __name__ == "__main__":
    main()
