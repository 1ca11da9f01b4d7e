"""Trains the fine stage: codebooks 3 to 8 from the first two.

Rows are Suno's windows: known history, frames to fill, padding, and where windows overlap the earlier prediction.
Inputs are corrupted a little, because at use they come from the coarse stage and from this one.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from experiments.micro import codes as coding
from experiments.micro import corpus, gpt, layout, windows
from experiments.micro.train_coarse import Material
from experiments.micro.training import Progress, Schedule, Trainer, bfloat16_on, device_of

BATCH = 6
HISTORY_SHARE = 0.6
GIVEN = layout.N_COARSE


def row(material: Material, rng: np.random.Generator, clean: bool = False) -> tuple[np.ndarray, np.ndarray, int]:
    """One window: true codes (FINE_BLOCK, 8), input codes likewise, and the first frame to predict."""
    index = int(rng.integers(len(material.utterances)))
    target = material.utterances[index].codes.astype(np.int64)
    known = np.zeros((layout.N_FINE, 0), np.int64)
    if rng.random() < HISTORY_SHARE:
        known = material.history(index, rng)[1][:, -layout.FINE_HISTORY :].astype(np.int64)
    n_history, n_frames = known.shape[1], target.shape[1]
    buffer = np.concatenate([known, target], 1)
    buffer = np.pad(buffer, ((0, 0), (0, max(0, layout.FINE_BLOCK - buffer.shape[1]))), constant_values=layout.FINE_PAD)
    schedule = windows.fine_windows(n_history, n_frames)
    number = int(rng.integers(len(schedule)))
    window = schedule[number]
    true = buffer[:, window.start : window.start + layout.FINE_BLOCK].T
    given = true.copy()
    filled = schedule[number - 1].start + layout.FINE_BLOCK - window.start if number else 0
    given[max(window.first, filled) :, GIVEN:] = layout.FINE_PAD
    if not clean:
        noise = rng.integers(layout.CODEBOOK, size=given.shape)
        rate = np.where(np.arange(layout.N_FINE) < GIVEN, 0.1, 0.4) * rng.random()
        real = given < layout.FINE_PAD
        given = np.where((rng.random(given.shape) < rate) & real, noise, given)
    return true, given, window.first


def batch(
    material: Material, rng: np.random.Generator, book: int, size: int = BATCH, clean: bool = False
) -> tuple[torch.Tensor, torch.Tensor]:
    """Input codes (B, T, 8) and targets (B, T) of one codebook."""
    inputs, targets = [], []
    for _ in range(size):
        true, given, first = row(material, rng, clean)
        below = slice(GIVEN, book)  # codebooks already filled in by the time this one is predicted
        noise = rng.integers(layout.CODEBOOK, size=true[first:, below].shape)
        wrong = rng.random(noise.shape) < (0.0 if clean else 0.4 * rng.random())
        given[first:, below] = np.where(wrong & (true[first:, below] < layout.FINE_PAD), noise, true[first:, below])
        goal = np.where(true[:, book] < layout.FINE_PAD, true[:, book], -100)
        goal[:first] = -100
        inputs.append(given)
        targets.append(goal)
    return torch.from_numpy(np.stack(inputs)), torch.from_numpy(np.stack(targets))


def loss_of(model: gpt.FineGpt, book: int, inputs: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy."""
    device = device_of(model)
    with bfloat16_on(device):
        logits = model(book, inputs.to(device))[:, :, : layout.CODEBOOK]
    return F.cross_entropy(logits.float().flatten(0, 1), target.to(device).flatten(), ignore_index=-100)


def train(out: Path, schedule: Schedule, seed: int, restart: bool = False, device: str = "cpu") -> None:
    """Trains on every encoded shard but the one for validation."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    coded = out / "codes"
    numbers = [n for n in coding.numbers_on_disk(coded) if n != corpus.VALIDATION_SHARD]
    material = Material(coding.load(out / "corpus", coded, numbers))
    held_out = Material(coding.load(out / "corpus", coded, [corpus.VALIDATION_SHARD]))
    model = gpt.FineGpt().to(device)
    trainer = Trainer("fine", model, schedule, out / "checkpoints", seed + 400)
    trainer.resume(restart)
    books = range(GIVEN, layout.N_FINE)
    checks = {book: batch(held_out, np.random.default_rng(book), book, 16, clean=True) for book in books}

    def step(progress: Progress, rng: np.random.Generator) -> tuple[torch.Tensor, dict[str, float]]:
        book = GIVEN + progress.step % len(books)
        loss = loss_of(model, book, *batch(material, rng, book))
        return loss, {"loss": loss.item()}

    def validate() -> dict[str, float]:
        return {f"cb{book}": loss_of(model, book, *check).item() for book, check in checks.items()}

    trainer.run(step, validate, log_every=120, validate_every=600)
