"""Trains the fine stage: of codebooks 3 to 8, what the first two and the voice tell about them.

What is asked for are not the recording's codes but those of their expectation (`train_expectation`), which make
clearer speech. Inputs are corrupted a little, because at use they come from the coarse stage and from this one.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from experiments.micro import codec, fine_rows, gpt, layout, train_expectation
from experiments.micro.fine_rows import BOOKS, GIVEN
from experiments.micro.train_coarse import Material, materials
from experiments.micro.training import Progress, Schedule, Trainer, bfloat16_on, device_of

BATCH = 6


class Questions:
    """What the fine stage is asked: windows cut as at use, answered by the expectation's codes."""

    def __init__(self, material: Material, expectation: train_expectation.Expectation, books: torch.Tensor):
        self._material, self._expectation, self._books = material, expectation, books

    def batch(
        self, rng: np.random.Generator, book: int, size: int = BATCH, clean: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Input codes (B, T, 8) and targets (B, T) of one codebook."""
        true, given, asked = fine_rows.rows(self._material, rng, size)
        answers = true.copy()
        answers[:, :, GIVEN:][asked] = self._answers(given)[asked]
        below = answers
        if not clean:
            given = fine_rows.corrupted(given, rng)
            wrong = rng.random(answers.shape) < 0.15 * rng.random((size, 1, 1))
            below = np.where(wrong, rng.integers(layout.CODEBOOK, size=answers.shape), answers)
        inputs = given.copy()
        inputs[:, :, GIVEN:book][asked] = below[:, :, GIVEN:book][asked]  # filled in before this one is predicted
        return torch.from_numpy(inputs), torch.from_numpy(np.where(asked, answers[:, :, book], -100))

    @torch.no_grad()
    def _answers(self, given: np.ndarray) -> np.ndarray:
        device = self._books.device
        answers: np.ndarray = (
            train_expectation.codes_of(self._books, self._expectation(torch.from_numpy(given).to(device))).cpu().numpy()
        )
        return answers


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
    expectation = train_expectation.load(out).to(device)
    books = train_expectation.codebooks(codec.load(out)).to(device)
    questions, held_out = (Questions(material, expectation, books) for material in materials(out))
    model = gpt.FineGpt().to(device)
    trainer = Trainer("fine", model, schedule, out / "checkpoints", seed + 400)
    trainer.resume(restart)
    checks = {book: held_out.batch(np.random.default_rng(book), book, 16, clean=True) for book in BOOKS}

    def step(progress: Progress, rng: np.random.Generator) -> tuple[torch.Tensor, dict[str, float]]:
        book = GIVEN + progress.step % len(BOOKS)
        loss = loss_of(model, book, *questions.batch(rng, book))
        return loss, {"loss": loss.item()}

    def validate() -> dict[str, float]:
        return {f"cb{book}": loss_of(model, book, *check).item() for book, check in checks.items()}

    trainer.run(step, validate, log_every=120, validate_every=600)
