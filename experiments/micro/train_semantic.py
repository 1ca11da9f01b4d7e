"""Trains the semantic stage: text ids (and a short history) to count-down semantic tokens.

Onset frames weigh more than the frames that only count down. One phone in ten is replaced in the input, whole, so
that the model learns to go on after its own mistakes. A guide asks one attention head to look at the text token
being spoken. Three batches in ten carry a history of the same speaker, laid over the padding of the text.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from experiments.micro import corpus, gpt, labels, layout
from experiments.micro.training import Progress, Schedule, Trainer, bfloat16_on, device_of

POSITIONS_PER_BATCH = 2800
ONSET_WEIGHT, REPEAT_WEIGHT = 4.0, 0.3
CORRUPTED_PHONES = 0.10
SPOKEN_SHARE = 0.25  # batches rows spelled by espeak's own phones instead of the dictionary's
HISTORY_SHARE = 0.30
GUIDE_WIDTH, GUIDE_FIRST, GUIDE_LAST = 1.2, 0.5, 0.1
GUIDE_LAYER = 1


class SemanticTrainee(torch.nn.Module):
    """The semantic stage with factored tables, which `plain` folds into Bark's layout."""

    def __init__(self, shape: gpt.Shape = gpt.SEMANTIC):
        super().__init__()
        self.body = gpt.CausalGpt(shape, layout.SEMANTIC_TABLE, layout.SEMANTIC_BLOCK)
        self.body.input_embeds_layer.weight.requires_grad_(False)  # the factored tables stand for these two
        self.body.lm_head.weight.requires_grad_(False)
        self.embedding = gpt.FactoredTable(layout.SEMANTIC_TABLE, shape.width)
        self.head = gpt.FactoredTable(layout.SEMANTIC_TABLE, shape.width)

    def forward(
        self, text: torch.Tensor, history: torch.Tensor, tokens: torch.Tensor, guide: gpt.Guide | None = None
    ) -> torch.Tensor:
        """Logits (B, T + 1, V') for every token and the end; V' is the semantic vocabulary and the end."""
        table = self.embedding()
        prefix = F.embedding(text, table) + F.embedding(history, table)
        infer = table[layout.SEMANTIC_INFER].expand(len(text), 1, -1)
        embedded = torch.cat([prefix, infer, F.embedding(tokens, table)], 1)
        hidden = self.body.hidden(embedded, guide=guide)
        return F.linear(hidden[:, layout.TEXT_BLOCK :], self.head()[: layout.SEMANTIC_PAD + 1])

    @torch.no_grad()
    def start(self, frames_per_text_token: float) -> None:
        """Clock, and shared vectors for the phones of the text and the phones spoken."""
        times = torch.arange(layout.SEMANTIC_BLOCK).float()
        of_text = (times + 0.5) * frames_per_text_token
        times = torch.where(times < layout.TEXT_BLOCK, of_text, times - layout.TEXT_BLOCK)
        gpt.start_clock(self.body, times, shortest=10.0, level=0.06, gain=0.6)
        for phone, folded in enumerate(labels.FOLDED_BY_ID):
            if folded:
                text_row = self.embedding.rest[layout.TEXT_OFFSET + labels.TEXT_ID[folded[0]]]
                self.embedding.phone[phone] = text_row + torch.randn_like(text_row) * 0.006
            self.head.phone[phone] = self.embedding.phone[phone]

    @torch.no_grad()
    def plain(self) -> gpt.CausalGpt:
        """The same function as a plain model in Bark's layout."""
        self.body.input_embeds_layer.weight.copy_(self.embedding())
        self.body.lm_head.weight.copy_(self.head())
        return self.body


@dataclass(frozen=True)
class Batch:
    """One batch; see `make_batch`."""

    text: torch.Tensor  # (B, TEXT_BLOCK)
    history: torch.Tensor  # (B, TEXT_BLOCK)
    tokens: torch.Tensor  # (B, T) inputs, some phones wrong
    target: torch.Tensor  # (B, T + 1), -100 where padded
    onset: torch.Tensor  # (B, T + 1)
    guide: torch.Tensor  # (B, T + 1, TEXT_BLOCK)

    def to(self, device: torch.device) -> Batch:
        """The same batch elsewhere."""
        return Batch(*(getattr(self, field.name).to(device) for field in fields(self)))


class Material:
    """The labelled utterances, in batches of similar length."""

    def __init__(self, utterances: list[corpus.Utterance]):
        self.utterances = utterances
        self.onsets = [labels.onsets(u.semantic) for u in utterances]
        self.lengths = np.array([len(u.semantic) for u in utterances])
        self.order = np.argsort(self.lengths, kind="stable")
        self.partners: dict[int, list[int]] = {}
        for members in corpus.sessions(utterances):
            for index in members:
                self.partners[index] = [m for m in members if m != index]

    def frames_per_text_token(self) -> float:
        """Mean pace, for the clock of the text positions."""
        return float(self.lengths.sum() / sum(len(u.spelled_ids) for u in self.utterances))

    def choose(self, rng: np.random.Generator) -> np.ndarray:
        """Indices of utterances of about one length, so that little is padded."""
        start = int(rng.integers(len(self.order)))
        near = self.order[max(0, start - 64) : start + 64]
        longest = int(self.lengths[near].max())
        size = max(4, POSITIONS_PER_BATCH // (layout.TEXT_BLOCK + 1 + longest))
        return rng.choice(near, min(size, len(near)), replace=False)

    def make_batch(self, indices: np.ndarray, rng: np.random.Generator, clean: bool = False) -> Batch:
        """Builds a batch; ``clean`` leaves out corruption, histories and espeak's spelling."""
        n, longest = len(indices), int(self.lengths[indices].max())
        text = np.full((n, layout.TEXT_BLOCK), layout.TEXT_PAD)
        history = np.full((n, layout.TEXT_BLOCK), layout.SEMANTIC_PAD)
        tokens = np.full((n, longest), layout.SEMANTIC_PAD)
        target = np.full((n, longest + 1), -100)
        onset = np.zeros((n, longest + 1), bool)
        guide = np.zeros((n, longest + 1, layout.TEXT_BLOCK), bool)
        columns = np.arange(layout.TEXT_BLOCK)
        with_history = not clean and rng.random() < HISTORY_SHARE
        for row, index in enumerate(indices):
            u, length = self.utterances[index], int(self.lengths[index])
            if not clean and rng.random() < SPOKEN_SHARE:
                ids, at = u.spoken_ids, u.spoken_at
            else:
                ids, at = u.spelled_ids, u.spelled_at
            text[row, : len(ids)] = ids.astype(np.int64) + layout.TEXT_OFFSET
            right = u.semantic.astype(np.int64)
            given = right if clean else _corrupt(right, self.onsets[index], rng)
            tokens[row, :length] = given
            target[row, :length] = np.where(self.onsets[index], right, given)
            target[row, length] = layout.SEMANTIC_PAD
            onset[row, :length] = self.onsets[index]
            onset[row, length] = True
            index_spoken = np.append(at.astype(np.float32), len(ids) - 1)
            guide[row, : length + 1] = np.abs(columns[None] - index_spoken[:, None]) <= GUIDE_WIDTH
            guide[row, length + 1 :, 0] = True
            if with_history:
                partner = self.utterances[int(rng.choice(self.partners[index]))].semantic
                end = len(partner)
                if end > layout.HISTORY_FRAMES and rng.random() < 0.3:  # histories may be cropped anywhere
                    end = int(rng.integers(layout.HISTORY_FRAMES, end + 1))
                tail = partner[max(0, end - layout.HISTORY_FRAMES) : end]
                history[row, layout.HISTORY_START : layout.HISTORY_START + len(tail)] = tail
        return Batch(*(torch.from_numpy(a) for a in (text, history, tokens, target, onset, guide)))


def _corrupt(tokens: np.ndarray, onset: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Replaces whole phones; inside such a phone the count-down goes on as if it were meant."""
    phone_number = np.cumsum(onset) - 1
    n_phones = int(phone_number[-1]) + 1
    wrong = (rng.random(n_phones) < CORRUPTED_PHONES)[phone_number]
    other = rng.integers(0, layout.N_PHONES, n_phones)[phone_number]
    return np.where(wrong, other * layout.TOKENS_PER_PHONE + tokens % layout.TOKENS_PER_PHONE, tokens)


def losses(model: SemanticTrainee, batch: Batch) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Weighted token loss, guide penalty, and the share of onsets whose phone is the likeliest."""
    device = device_of(model)
    batch = batch.to(device)
    guide = gpt.Guide(GUIDE_LAYER, layout.TEXT_BLOCK, batch.guide)
    with bfloat16_on(device):
        logits = model(batch.text, batch.history, batch.tokens, guide)
    valid = batch.target >= 0
    flat = F.cross_entropy(logits.float().flatten(0, 1), batch.target.flatten(), ignore_index=-100, reduction="none")
    weight = torch.where(batch.onset, ONSET_WEIGHT, REPEAT_WEIGHT) * valid
    count = valid.sum()
    loss = (flat.view_as(weight) * weight).sum() / count
    assert guide.penalty is not None
    penalty = (guide.penalty * valid).sum() / count
    with torch.no_grad():
        likeliest = logits.argmax(-1) // layout.TOKENS_PER_PHONE
        judged = batch.onset & valid
        judged[:, 0] = False
        right = likeliest == batch.target.clamp(min=0) // layout.TOKENS_PER_PHONE
        accuracy = float((right & judged).sum() / judged.sum())
    return loss, penalty, accuracy


def train(out: Path, schedule: Schedule, seed: int, restart: bool = False, device: str = "cpu") -> None:
    """Trains on every labelled shard but the one for validation."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    directory = out / "corpus"
    numbers = [n for n in corpus.available(directory) if n != corpus.VALIDATION_SHARD]
    material = Material(corpus.load(directory, numbers))
    held_out = Material(corpus.load(directory, [corpus.VALIDATION_SHARD])[:160])
    model = SemanticTrainee()
    model.start(material.frames_per_text_token())
    model.to(device)
    trained = [p for p in model.parameters() if p.requires_grad]
    trainer = Trainer("semantic", model, schedule, out / "checkpoints", seed, trained)
    trainer.resume(restart)
    slices = np.array_split(np.arange(len(held_out.utterances)), max(1, len(held_out.utterances) // 16))
    checks = [held_out.make_batch(s, np.random.default_rng(i), clean=True) for i, s in enumerate(slices)]

    def step(progress: Progress, rng: np.random.Generator) -> tuple[torch.Tensor, dict[str, float]]:
        loss, penalty, accuracy = losses(model, material.make_batch(material.choose(rng), rng))
        guide_weight = max(GUIDE_LAST, GUIDE_FIRST * (1 - 1.5 * progress.share))
        if trainer.progress.schedules_done:
            guide_weight = GUIDE_LAST
        return loss + guide_weight * penalty, {"loss": loss.item(), "guide": penalty.item(), "onset": accuracy}

    def validate() -> dict[str, float]:
        results = [losses(model, check) for check in checks]
        return {
            "loss": float(np.mean([r[0].item() for r in results])),
            "guide": float(np.mean([r[1].item() for r in results])),
            "onset": float(np.mean([r[2] for r in results])),
        }

    trainer.run(step, validate)
