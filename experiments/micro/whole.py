"""The whole recipe in order, two processes at a time, every one of them resumable."""

from __future__ import annotations

import importlib
import logging
import subprocess
import sys
from pathlib import Path

from experiments.micro import snapshot
from experiments.micro.training import Schedule

log = logging.getLogger(__name__)

# (peak learning rate, on a warm restart, warm-up steps, betas, weight decay)
_SETTINGS: dict[str, tuple[float, float, int, tuple[float, float], float]] = {
    "codec": (1e-3, 5e-4, 100, (0.8, 0.99), 1e-3),
    "semantic": (2.5e-3, 1.5e-3, 60, (0.9, 0.98), 0.02),
    "coarse": (2.5e-3, 1.2e-3, 100, (0.9, 0.98), 0.02),
    "fine": (2.5e-3, 1.6e-3, 100, (0.9, 0.98), 0.02),
    "decoder": (5e-4, 4e-4, 50, (0.8, 0.99), 1e-3),
}
# Rounds of two stages side by side with their shares of the hours; all codes are fixed before the second round.
_ROUNDS: tuple[tuple[tuple[str, float], tuple[str, float]], ...] = (
    (("codec", 0.35), ("semantic", 0.35)),
    (("coarse", 0.45), ("fine", 0.35)),
    (("coarse", 0.60), ("decoder", 0.15)),
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


def _wait(processes: list[tuple[str, subprocess.Popen[bytes]]]) -> None:
    for name, process in processes:
        if process.wait():
            raise RuntimeError(f"{name} ended with status {process.returncode}, see above; run again to resume")


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

    def minutes(share: float) -> tuple[str, str, str, str]:
        return "--cpu-minutes", f"{share * hours * 60:.2f}", "--device", device

    for number, pair in enumerate(_ROUNDS):
        if number == 1:
            subprocess.run(_command(out, seed, "encode"), check=True)
        running = []
        for stage, share in pair:
            if stage == "codec" and (out / "checkpoints" / "coarse.pt").exists():
                log.info("train: the codec stays as it is, the coarse stage has learned its codes")
                continue
            log.info("train: %s for %.0f CPU-minutes", stage, share * hours * 60)
            command = [*_command(out, seed, f"train-{stage}"), *minutes(share)]
            running.append((stage, subprocess.Popen(command)))
        _wait(running)
    subprocess.run([*_command(out, seed, "pack"), "--asset", str(asset)], check=True)
