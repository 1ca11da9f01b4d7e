"""The whole recipe in order, two processes at a time, every one of them resumable."""

from __future__ import annotations

import importlib
import logging
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from experiments.micro import snapshot
from experiments.micro.training import Schedule

log = logging.getLogger(__name__)

# (peak learning rate, on a warm restart, warm-up steps, betas, weight decay)
_SETTINGS: dict[str, tuple[float, float, int, tuple[float, float], float]] = {
    "codec": (1e-3, 5e-4, 100, (0.8, 0.99), 1e-3),
    "semantic": (2.5e-3, 1.5e-3, 60, (0.9, 0.98), 0.02),
    "coarse": (2.5e-3, 1.2e-3, 100, (0.9, 0.98), 0.02),
    "expectation": (1.5e-3, 1e-3, 60, (0.9, 0.98), 0.02),
    "fine": (2.5e-3, 1.6e-3, 100, (0.9, 0.98), 0.02),
    "decoder": (5e-4, 4e-4, 50, (0.8, 0.99), 1e-3),
}
Column = tuple[tuple[str, float], ...]  # stages one after the other, with their shares of the hours
# Two columns side by side; all codes are fixed before the second round.
_ROUNDS: tuple[tuple[Column, Column], ...] = (
    ((("codec", 0.35),), (("semantic", 0.35),)),
    ((("coarse", 0.65),), (("expectation", 0.06), ("fine", 0.34), ("decoder", 0.25))),
)


def schedule(stage: str, cpu_minutes: float) -> Schedule:
    """The schedule of one stage."""
    rate, restart_rate, warm_up, betas, decay = _SETTINGS[stage]
    return Schedule(cpu_minutes * 60, rate, restart_rate, warm_up, betas=betas, weight_decay=decay)


def train_stage(
    stage: str, out: Path, cpu_minutes: float, seed: int, restart: bool = False, device: str = "cpu"
) -> None:
    """Trains one stage in this process.

    Raises:
        ValueError: When the device is not there.
    """
    module = importlib.import_module(f"experiments.micro.train_{stage}")
    module.train(out, schedule(stage, cpu_minutes), seed, restart, device)


def _command(out: Path, seed: int, *step: str) -> list[str]:
    return [sys.executable, "-m", "experiments.micro", *step, "--out", str(out), "--seed", str(seed)]


def train(out: Path, hours: float, seed: int, device: str, asset: Path) -> None:
    """Runs the recipe: two columns of stages side by side, then packs.

    Args:
        out: Directory of the run; an earlier run there is continued.
        hours: Wall-clock time on two free cores. Deadlines count CPU time, so a busy machine takes longer.
        seed: Of data and training.
        device: cpu or cuda.
        asset: Where the result is packed.

    Raises:
        RuntimeError: When a step fails.
    """
    out.mkdir(parents=True, exist_ok=True)
    snapshot.restore(out)
    subprocess.run(_command(out, seed, "corpus"), check=True)

    def run(column: Column) -> None:
        for stage, share in column:
            if stage == "codec" and (out / "checkpoints" / "coarse.pt").exists():
                log.info("train: the codec stays as it is, the coarse stage has learned its codes")
                continue
            log.info("train: %s for %.0f CPU-minutes", stage, share * hours * 60)
            length = f"{share * hours * 60:.2f}"
            command = [*_command(out, seed, f"train-{stage}"), "--cpu-minutes", length, "--device", device]
            status = subprocess.run(command, check=False).returncode
            if status:
                raise RuntimeError(f"{stage} ended with status {status}, see above; run again to resume")

    for number, columns in enumerate(_ROUNDS):
        if number == 1:
            subprocess.run(_command(out, seed, "encode"), check=True)
        with ThreadPoolExecutor(len(columns)) as two:
            list(two.map(run, columns))
    subprocess.run([*_command(out, seed, "pack"), "--asset", str(asset)], check=True)
