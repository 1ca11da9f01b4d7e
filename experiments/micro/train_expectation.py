"""Learns what can be known of codebooks 3 to 8, so that the fine stage is asked for that and no more.

Two codebooks and a voice determine about a fifth of what the other six add to the codec's latent; the rest is the
phase and noise of one recording. The likeliest code of such a codebook is a guess that costs words: a decoder does
better with the expected sum of the codes. A network of the fine stage's shape learns that sum, and `codes_of` writes
it as codes again, the way a residual quantiser would. These are what the fine stage learns to say.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn
from transformers import EncodecModel

from experiments.micro import codec, fine_rows, gpt, layout
from experiments.micro.train_coarse import materials
from experiments.micro.training import Progress, Schedule, Trainer, bfloat16_on, device_of, load_weights

BATCH = 6
CHECKED = 64


class Expectation(nn.Module):
    """Predicts the sum of the embeddings of codebooks 3 to 8, in the codec's latent of width D."""

    def __init__(self, shape: gpt.Shape = gpt.FINE) -> None:
        super().__init__()
        self.body = gpt.FineGpt(shape)
        self.head = nn.Linear(shape.width, codec.config().hidden_size)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        """Expected sums (B, T, D) of known codes (B, T, 8), padding where they are not known."""
        with bfloat16_on(given.device):
            expected: torch.Tensor = self.head(self.body.hidden(layout.N_FINE - 1, given))
        return expected.float()


def codebooks(model: EncodecModel) -> torch.Tensor:
    """The codec's embeddings (C, K, D)."""
    return torch.stack([layer.codebook.embed.detach() for layer in model.quantizer.layers[: layout.N_FINE]])


def sums_of(books: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
    """Sums (B, T, D) of the embeddings of codebooks 3 to 8 in codes (B, T, 8); padding counts as the last code."""
    codes = codes.clamp(max=layout.CODEBOOK - 1)
    return torch.stack([books[book][codes[:, :, book]] for book in fine_rows.BOOKS]).sum(0)


def codes_of(books: torch.Tensor, sums: torch.Tensor) -> torch.Tensor:
    """Codes (B, T, 6) whose embeddings come nearest to sums (B, T, D), one codebook after the other."""
    found = []
    for book in fine_rows.BOOKS:
        nearest = (2 * sums @ books[book].T - books[book].square().sum(1)).argmax(2)
        sums = sums - books[book][nearest]
        found.append(nearest)
    return torch.stack(found, 2)


def load(out: Path) -> Expectation:
    """The trained network of a run directory.

    Raises:
        FileNotFoundError: When it was not trained yet.
    """
    path = out / "checkpoints" / "expectation.pt"
    if not path.exists():
        raise FileNotFoundError(
            f"{path} does not exist; run: python -m experiments.micro train-expectation --out {out}"
        )
    model = Expectation()
    load_weights(model, torch.load(path, map_location="cpu", weights_only=True)["model"], path)
    return model.eval()


def train(out: Path, schedule: Schedule, seed: int, restart: bool = False, device: str = "cpu") -> None:
    """Trains on every encoded shard but the one for validation."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    material, held_out = materials(out)
    books = codebooks(codec.load(out)).to(device)
    model = Expectation().to(device)
    trainer = Trainer("expectation", model, schedule, out / "checkpoints", seed + 600)
    trainer.resume(restart)
    check = fine_rows.rows(held_out, np.random.default_rng(0), CHECKED)
    wanted = sums_of(books, torch.from_numpy(check[0]).to(device))
    variance = wanted[torch.from_numpy(check[2])].var(0).sum()

    def unexplained(true: np.ndarray, given: np.ndarray, asked: np.ndarray) -> torch.Tensor:
        on = device_of(model)
        error = model(torch.from_numpy(given).to(on)) - sums_of(books, torch.from_numpy(true).to(on))
        share: torch.Tensor = error[torch.from_numpy(asked)].square().sum(1).mean() / variance
        return share

    def step(progress: Progress, rng: np.random.Generator) -> tuple[torch.Tensor, dict[str, float]]:
        true, given, asked = fine_rows.rows(material, rng, BATCH)
        loss = unexplained(true, fine_rows.corrupted(given, rng) if rng.random() < 0.5 else given, asked)
        return loss, {"unexplained": loss.item()}

    trainer.run(step, lambda: {"unexplained": unexplained(*check).item()}, log_every=120, validate_every=600)
