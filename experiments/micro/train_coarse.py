"""Trains the coarse stage: semantic tokens and a voice to the first two codebooks.

Rows are cut exactly as at use, a random window of a random utterance, six in seven with a history by the same
speaker. Histories are whole, cropped anywhere, or spliced. Up to seven in ten of the codec frames in the input are
replaced: without that the model trusts its own past too much and drifts when it runs free.
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from experiments.micro import codes as coding
from experiments.micro import corpus, gpt, layout, windows
from experiments.micro.training import Progress, Schedule, Trainer, bfloat16_on, device_of

log = logging.getLogger(__name__)
BATCH = 6
HISTORY_SHARE = 0.85
CORRUPTION_FROM_STEP = 400
LARGEST_CORRUPTION = 0.7
FIRST = layout.COARSE_SEMANTIC_BLOCK + 1  # position of the first coarse id
N_COARSE_IDS = layout.COARSE_BLOCK - FIRST


def build() -> gpt.CausalGpt:
    """An untrained coarse model with its clock."""
    model = gpt.CausalGpt(gpt.COARSE, layout.COARSE_TABLE, layout.COARSE_BLOCK)
    times = torch.arange(layout.COARSE_BLOCK).float() + 0.5
    flat = torch.arange(layout.COARSE_BLOCK - FIRST + 1)  # the id that position FIRST - 1 + n predicts
    times[FIRST - 1 :] = (flat // layout.N_COARSE + 0.5) * layout.SEMANTIC_RATE_HZ / layout.COARSE_RATE_HZ
    gpt.start_clock(model, times, shortest=2.0, level=0.12, gain=1.0)
    return model


class Material:
    """Utterances as tokens, and training rows cut from them."""

    def __init__(self, utterances: list[coding.Coded]):
        self.utterances = utterances
        members: dict[int, list[int]] = {}
        for index, utterance in enumerate(utterances):
            members.setdefault(utterance.session, []).append(index)
        self.partners = {i: [j for j in group if j != i] for group in members.values() for i in group}

    def _piece(self, index: int, rng: np.random.Generator, length: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """The end of an utterance, or with a length any piece of it; even semantic frames."""
        u = self.utterances[index]
        end = len(u.semantic)
        if rng.random() < 0.4:
            end = 2 * int(rng.integers(min(10, end // 2), end // 2 + 1))
        start = 0 if length is None else max(0, end - length)
        return u.semantic[start:end], u.codes[:, start * 3 // 2 : end * 3 // 2]

    def history(self, index: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """A voice for utterance ``index``: semantic (S,) and codes (8, T) of its speaker."""
        semantic, codes = self._piece(int(rng.choice(self.partners[index])), rng)
        kind = rng.random()
        if kind < 0.3:  # spliced with another piece by the same speaker, sometimes begun by somebody else
            other = int(rng.choice(self.partners[index])) if kind < 0.22 else int(rng.integers(len(self.utterances)))
            keep = 2 * int(rng.integers(15, 40))
            semantic, codes = semantic[-keep:], codes[:, -keep * 3 // 2 :]
            before, before_codes = self._piece(other, rng, 80)
            semantic, codes = np.concatenate([before, semantic]), np.concatenate([before_codes, codes], 1)
        return semantic, codes

    def row(self, index: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Inputs and targets (COARSE_BLOCK,); targets are -100 but for coarse ids."""
        u = self.utterances[index]
        history = windows.NO_HISTORY
        if rng.random() < HISTORY_SHARE:
            history = windows.coarse_history(*self.history(index, rng))
        flat = coding.flatten(u.codes)
        n_windows = -(-len(flat) // layout.COARSE_WINDOW)
        made = layout.COARSE_WINDOW * int(rng.integers(n_windows))
        prompt = windows.coarse_prompt(history, u.semantic.astype(np.int64), flat[:made])
        ids = np.concatenate([prompt, flat[made : made + layout.COARSE_WINDOW]])
        inputs = np.full(layout.COARSE_BLOCK, layout.COARSE_PAD)
        inputs[: len(ids)] = ids
        target = np.full(layout.COARSE_BLOCK, -100)
        target[FIRST - 1 : len(ids) - 1] = ids[FIRST:]
        return inputs, target

    def batch(self, rng: np.random.Generator, size: int = BATCH) -> tuple[np.ndarray, np.ndarray]:
        """Inputs and targets (B, COARSE_BLOCK)."""
        rows = [self.row(int(i), rng) for i in rng.integers(len(self.utterances), size=size)]
        return np.stack([r[0] for r in rows]), np.stack([r[1] for r in rows])


def materials(out: Path) -> tuple[Material, Material]:
    """What a run directory has to learn from, and its validation shard."""
    coded = out / "codes"
    numbers = [n for n in coding.numbers_on_disk(coded) if n != corpus.VALIDATION_SHARD]
    learned, held_out = (coding.load(out / "corpus", coded, shards) for shards in (numbers, [corpus.VALIDATION_SHARD]))
    return Material(learned), Material(held_out)


def corrupt(inputs: np.ndarray, rng: np.random.Generator, largest: float = LARGEST_CORRUPTION) -> np.ndarray:
    """Replaces codec frames by others of the row or by noise; the rate is drawn per row (B, T)."""
    inputs = inputs.copy()
    frames = inputs[:, FIRST:].reshape(len(inputs), -1, layout.N_COARSE)  # (B, N, 2), a view
    n_rows, n_frames, _ = frames.shape
    real = frames[:, :, 0] < layout.COARSE_PAD
    hit = rng.random((n_rows, n_frames)) < rng.random((n_rows, 1)) * largest
    follow = np.roll(hit, 1, 1) & (rng.random((n_rows, n_frames)) < 0.5)  # runs, as real mistakes come
    hit = (hit | follow) & real
    elsewhere = frames[np.arange(n_rows)[:, None], rng.integers(n_frames, size=(n_rows, n_frames))]
    noise = rng.integers(layout.CODEBOOK, size=frames.shape) + layout.COARSE_OFFSET
    noise += layout.CODEBOOK * np.arange(layout.N_COARSE)
    use_noise = (rng.random((n_rows, n_frames)) < 0.5) | (elsewhere[:, :, 0] >= layout.COARSE_PAD)
    replaced = np.where(use_noise[:, :, None], noise, elsewhere)
    frames[:] = np.where(hit[:, :, None], replaced, frames)
    return inputs


def losses(model: gpt.CausalGpt, inputs: np.ndarray, target: np.ndarray) -> list[torch.Tensor]:
    """Mean cross-entropy of each codebook, over that codebook's ids only, as it is sampled."""
    device = device_of(model)
    goal = torch.from_numpy(target[:, FIRST - 1 : -1]).to(device)
    with bfloat16_on(device):
        hidden = model.hidden(model.input_embeds_layer(torch.from_numpy(inputs).to(device)))[:, FIRST - 1 : -1]
    result = []
    for book in range(layout.N_COARSE):
        low = layout.COARSE_OFFSET + book * layout.CODEBOOK
        with bfloat16_on(device):
            logits = F.linear(hidden[:, book :: layout.N_COARSE], model.lm_head.weight[low : low + layout.CODEBOOK])
        wanted = goal[:, book :: layout.N_COARSE]
        wanted = torch.where(wanted >= 0, wanted - low, wanted)
        result.append(F.cross_entropy(logits.float().flatten(0, 1), wanted.flatten(), ignore_index=-100))
    return result


def train(out: Path, schedule: Schedule, seed: int, restart: bool = False, device: str = "cpu") -> None:
    """Trains on every encoded shard but the one for validation."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    material, held_out = materials(out)
    model = build().to(device)
    trainer = Trainer("coarse", model, schedule, out / "checkpoints", seed + 300)
    trainer.resume(restart)
    checks = [held_out.batch(np.random.default_rng(i), 8) for i in range(8)]

    def step(progress: Progress, rng: np.random.Generator) -> tuple[torch.Tensor, dict[str, float]]:
        inputs, target = material.batch(rng)
        if progress.step >= CORRUPTION_FROM_STEP:
            inputs = corrupt(inputs, rng)
        first, second = losses(model, inputs, target)
        return first + second, {"cb0": first.item(), "cb1": second.item()}

    def validate() -> dict[str, float]:
        results = [losses(model, *check) for check in checks]
        return {f"cb{book}": float(np.mean([r[book].item() for r in results])) for book in range(layout.N_COARSE)}

    trainer.run(step, validate)
