"""Does evolution beat chance on micro-Bark? Half of all births evolve, half are the control arm: equal budgets.

``python -m experiments.benchmarks.evolution --births 120 --seeds 3`` runs two problems:

* *pitch*: voices are to speak at 130 Hz, begun from voices that speak higher;
* *recording*: voices are to resemble a voice that is among nobody's founders, by the embedded voice print.

For each it prints the best of both arms after equal budgets, as the objective's value and as what was measured (Hz off,
distance), and how far each operator's children were from their parents. No recogniser is used.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bark_infinity.audio import write_audio
from bark_infinity.engine import BarkEngine
from bark_infinity.voices.catalogue import VoiceCatalogue
from experiments.config import RunConfig
from experiments.lineage import Lineage, browse
from experiments.runner import Runner

_TEXT = "I am a very small voice, and I can speak."
_HIGH = ("micro/helen", "micro/klara", "micro/lena", "micro/olga")
_OTHERS = ("micro/adam", "micro/carl", "micro/greta", "micro/klara", "micro/max", "micro/nils")
_PROBLEMS = ("pitch", "recording")
_SOUGHT = "micro/helen"


def config_of(problem: str, births: int, seed: int, recording: Path) -> RunConfig:
    """Both arms half; a candidate is heard twice, so that luck counts less."""
    pitch = problem == "pitch"
    return RunConfig.from_json(
        {
            "name": f"{problem} {seed}",
            "seed": seed,
            "founders": {"prompts": [_TEXT], "voices": list(_HIGH if pitch else _OTHERS)},
            "algorithm": {"population": 8},
            "breeding": {"step_size": 8, "control_share": 0.5, "immigrant_share": 0.3},
            "judge": {
                "objectives": ["f0_median_hz = 130 ± 20" if pitch else f"similarity to {recording}"],
                "gates": ["tokens", "sound"],
                "recogniser": "none",
            },
            "trials": {"seeds": 2},
            "stop": {"evaluations": births},
            "execution": {"batch_size": 8, "clips": "none"},
        }
    )


def bests(lineage: Lineage, run_id: int, name: str) -> dict[str, tuple[float, float, int]]:
    """Of each arm, after equally many births: best value, what was measured there, and the births."""
    last = lineage.last_birth(run_id)
    arms: dict[str, list[tuple[float, float]]] = {"evolved": [], "control": []}
    for life in lineage.lives(run_id, 1, last):
        arm = "control" if life.candidate.operator == "control" else "evolved"
        term = life.outcome.score.terms.get(name) if life.outcome is not None else None
        arms[arm].append((-1.0, np.nan) if term is None else (term.value, term.measure or 0.0))
    budget = min(map(len, arms.values()))
    return {arm: (*max(values[:budget]), budget) for arm, values in arms.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(prog="python -m experiments.benchmarks.evolution", description=__doc__)
    parser.add_argument("--births", type=int, default=120, help="of both arms together")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--problems", nargs="+", choices=_PROBLEMS, default=list(_PROBLEMS))
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        recording = Path(folder) / "sought.wav"
        engine = BarkEngine.load("micro")
        write_audio(recording, engine.decode([VoiceCatalogue().find(_SOUGHT).fine])[0], engine.sample_rate)
        engine.close()
        for problem in options.problems:
            path = Path(folder) / f"{problem}.db"
            for seed in range(1, options.seeds + 1):
                config = config_of(problem, options.births, seed, recording)
                runner = Runner.begin(path, config, lambda event: None)
                if runner.run() != "done":
                    raise SystemExit(f"{problem}, seed {seed}: {runner.reason}")
            _report(path, problem)


def _report(path: Path, problem: str) -> None:
    with Lineage.view(path) as lineage:
        wins = 0
        for run in lineage.runs():
            [name] = run.weights
            found = bests(lineage, run.run_id, name)
            (evolved, off, budget), (control, control_off, _) = found["evolved"], found["control"]
            wins += evolved > control
            print(
                f"{problem}, seed {run.seed}: after {budget} births each, evolved {evolved:.3f} ({off:.1f}), "
                f"control {control:.3f} ({control_off:.1f})",
                flush=True,
            )
        print(f"{problem}: evolution ahead in {wins} of {len(lineage.runs())} runs")
        by_operator: dict[str, list[browse.OperatorStatistics]] = {}
        for run in lineage.runs():
            for one in browse.operator_statistics(lineage, run.run_id):
                if one.compared:
                    by_operator.setdefault(one.operator, []).append(one)
        for operator, rows in sorted(by_operator.items()):
            children = sum(row.compared for row in rows)
            better = sum(row.better for row in rows) / children
            gain = sum((row.mean_gain or 0.0) * row.compared for row in rows) / children
            print(f"  {operator:18} {children:4} children  better than the parent {better:4.0%}  mean gain {gain:+.3f}")


if __name__ == "__main__":
    main()
