"""The loop that every stage shares: a schedule in CPU time, checkpoints that survive a kill, one progress line.

Deadlines count this process's CPU time, so a paused process loses nothing. Every step draws from a generator seeded
by (seed, step), so there is no generator state to keep: a resumed run sees the very batches that the uninterrupted
one would have seen. With ``max_steps`` the learning rate counts steps too, and the weights are equal to the bit.
A checkpoint (model, optimiser, step, CPU seconds) is written beside the old one and renamed over it; a polite kill
(SIGTERM) writes one first.
"""

from __future__ import annotations

import logging
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to learn.

    Attributes:
        cpu_seconds: Length of the cosine in CPU time of this process.
        learning_rate: Peak of the first schedule.
        restart_rate: Peak of every later one, which begins from trained weights.
        warm_up_steps: Linear rise from zero.
        floor: Final learning rate as a share of the peak.
        betas: AdamW's moving averages.
        weight_decay: AdamW's.
        clip: Largest gradient norm.
        max_steps: If set, the schedule counts steps instead of CPU time and a run is exactly reproducible.
        save_every_s: CPU seconds between checkpoints.
        average_decay: Decay of the moving average of the weights, 0.0 for none.
    """

    cpu_seconds: float
    learning_rate: float
    restart_rate: float | None = None
    warm_up_steps: int = 60
    floor: float = 0.03
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 0.02
    clip: float = 1.0
    max_steps: int | None = None
    save_every_s: float = 90.0
    average_decay: float = 0.0


@dataclass
class Progress:
    """Where a run stands. ``share`` is the done part of the schedule, from 0 to 1."""

    step: int = 0
    cpu_seconds: float = 0.0
    schedules_done: int = 0
    share: float = 0.0
    sums: dict[str, float] = field(default_factory=dict)


StepFunction = Callable[[Progress, np.random.Generator], tuple[torch.Tensor, dict[str, float]]]


def device_of(module: nn.Module) -> torch.device:
    """Where a module's parameters are."""
    return next(module.parameters()).device


def bfloat16_on(device: torch.device) -> torch.autocast:
    """The autocast that the transformers train under."""
    return torch.autocast(device.type, torch.bfloat16)


def load_weights(module: nn.Module, tensors: dict[str, torch.Tensor], source: Path) -> None:
    """Loads trained weights; only tensors that are made from others may be missing (see `snapshot`).

    Raises:
        ValueError: When the tensors are another model's.
    """
    derived = ("lm_heads.", "body.lm_heads.", "body.input_embeds_layer.", "body.lm_head.", "encoder.", "quantizer.")
    result = module.load_state_dict(tensors, strict=False)
    missing = [name for name in result.missing_keys if not name.startswith(derived)]
    if missing or result.unexpected_keys:
        raise ValueError(
            f"{source} belongs to another model: missing {missing[:3]}, unexpected {result.unexpected_keys[:3]}; "
            "remove it to train from the start"
        )


@contextmanager
def _stop_signals() -> Iterator[list[int]]:
    """A list that a SIGTERM is put into, where signals can be caught; the former handler comes back."""
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    former = signal.signal(signal.SIGTERM, lambda number, _: received.append(number))
    try:
        yield received
    finally:
        signal.signal(signal.SIGTERM, former)


class Trainer:
    """Runs a stage's step function until its schedule ends.

    Args:
        name: Stage name; the checkpoint is ``<directory>/<name>.pt``.
        model: What learns.
        schedule: See `Schedule`.
        directory: Where checkpoints go.
        seed: Every step's generator comes from this and the step's number.
        parameters: What to train; the whole model by default.
    """

    def __init__(
        self,
        name: str,
        model: nn.Module,
        schedule: Schedule,
        directory: Path,
        seed: int,
        parameters: list[nn.Parameter] | None = None,
    ):
        self.name = name
        self.model = model
        self.schedule = schedule
        self.path = directory / f"{name}.pt"
        self.seed = seed
        self.progress = Progress()
        self.trained = list(model.parameters()) if parameters is None else parameters
        self.optimiser = torch.optim.AdamW(
            self.trained, schedule.learning_rate, betas=schedule.betas, weight_decay=schedule.weight_decay
        )
        self.average: dict[str, torch.Tensor] = {}

    def resume(self, restart: bool = False) -> bool:
        """Continues from the checkpoint if there is one.

        Args:
            restart: Keep the weights but begin a new schedule, with a fresh optimiser.

        Returns:
            Whether there was a checkpoint.
        """
        if not self.path.exists():
            return False
        state = torch.load(self.path, map_location=device_of(self.model), weights_only=True)
        load_weights(self.model, state["model"], self.path)
        self.average = state["average"]
        if restart or state["optimiser"] is None:
            self.progress = Progress(step=state["step"], schedules_done=state["schedules_done"] + 1)
        else:
            self.optimiser.load_state_dict(state["optimiser"])
            self.progress = Progress(state["step"], state["cpu_seconds"], state["schedules_done"])
        log.info("%s: continues at step %d, %.0f CPU-s", self.name, self.progress.step, self.progress.cpu_seconds)
        return True

    def save(self) -> None:
        """Writes the checkpoint; a kill at any instant leaves the old or the new one whole."""
        state: dict[str, Any] = {
            "model": self.model.state_dict(),
            "average": self.average,
            "optimiser": self.optimiser.state_dict(),
            "step": self.progress.step,
            "cpu_seconds": self.progress.cpu_seconds,
            "schedules_done": self.progress.schedules_done,
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_suffix(".partial")
        torch.save(state, partial)
        os.replace(partial, self.path)

    def _learning_rate(self, steps_here: int) -> float:
        s = self.schedule
        peak = s.restart_rate if s.restart_rate is not None and self.progress.schedules_done else s.learning_rate
        cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, self.progress.share)))
        return peak * min(1.0, (steps_here + 1) / s.warm_up_steps) * ((1 - s.floor) * cosine + s.floor)

    def run(
        self,
        step: StepFunction,
        validate: Callable[[], dict[str, float]] | None = None,
        validate_every: int = 500,
        log_every: int = 100,
    ) -> None:
        """Trains to the end of the schedule; validation does not count towards it."""
        with _stop_signals() as asked_to_stop:
            self._steps(step, validate, validate_every, log_every, asked_to_stop)
        if validate is not None:
            self._report(validate)
        self.save()

    def _steps(
        self,
        step: StepFunction,
        validate: Callable[[], dict[str, float]] | None,
        validate_every: int,
        log_every: int,
        asked_to_stop: list[int],
    ) -> None:
        p, s = self.progress, self.schedule
        started_at, steps_here = p.cpu_seconds, 0
        clock, paused, saved = time.process_time(), 0.0, time.process_time()
        while True:
            p.cpu_seconds = started_at + time.process_time() - clock - paused
            p.share = p.step / s.max_steps if s.max_steps else p.cpu_seconds / s.cpu_seconds
            if p.share >= 1:
                break
            if asked_to_stop:
                self.save()
                raise SystemExit(128 + asked_to_stop[0])
            for group in self.optimiser.param_groups:
                group["lr"] = self._learning_rate(p.step if s.max_steps else steps_here)
            loss, figures = step(p, np.random.default_rng((self.seed, p.step)))
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(self.trained, s.clip)
            self.optimiser.step()
            self._average()
            p.step += 1
            steps_here += 1
            for key, value in figures.items():
                p.sums[key] = p.sums.get(key, 0.0) + value
            if p.step % log_every == 0:
                means = " ".join(f"{k} {v / log_every:.4f}" for k, v in p.sums.items())
                p.sums.clear()
                left = (1 - p.share) * s.cpu_seconds / 60
                log.info("%s %d %s | %.0f%% done, %.0f CPU-min left", self.name, p.step, means, 100 * p.share, left)
            if time.process_time() - saved > s.save_every_s:
                self.save()
                saved = time.process_time()
            if validate is not None and p.step % validate_every == 0:
                before = time.process_time()
                self._report(validate)
                paused += time.process_time() - before

    def _report(self, validate: Callable[[], dict[str, float]]) -> None:
        self.model.eval()
        with torch.no_grad():
            figures = validate()
        self.model.train()
        shown = " ".join(f"{k} {v:.4f}" for k, v in figures.items())
        log.info("%s %d VALIDATION %s", self.name, self.progress.step, shown)

    @torch.no_grad()
    def _average(self) -> None:
        decay = self.schedule.average_decay
        if not decay:
            return
        for key, value in self.model.state_dict().items():
            if key not in self.average:
                self.average[key] = value.detach().clone()
            elif value.is_floating_point():
                self.average[key].lerp_(value, 1 - decay)
