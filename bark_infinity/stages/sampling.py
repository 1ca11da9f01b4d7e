"""Drawing tokens: Suno's filters, one counter-based random number per row and step, and no global state.

A token is the inverse of the cumulative distribution at a uniform number that depends on (seed, stage, step) only,
so a row draws the same token whoever shares its batch, and a stage can be re-rolled alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_STAGE_KEYS = {
    "semantic": 1,
    "coarse": 2,
    "fine": 3,
}  # part of the recorded meaning of a seed: never renumber


def stage_uniforms(seed: int, stage: str, count: int) -> NDArray[np.float32]:
    """The first ``count`` uniform numbers in [0, 1) of a seed's stage.

    Philox, keyed by (seed, stage) and counted by step: asking for more never changes the earlier ones.
    """
    bits = np.random.Philox(key=np.array([seed, _STAGE_KEYS[stage]], np.uint64))
    return np.random.Generator(bits).random(count, np.float32)


@dataclass(frozen=True)
class Filters:
    """What one row does to its logits before drawing.

    Attributes:
        temperature: 0 takes the likeliest token.
        top_k: Keep tokens at least as likely as the k-th.
        top_p: Keep the likeliest tokens up to and including the one that crosses this probability.
    """

    temperature: float
    top_k: int | None = None
    top_p: float | None = None


@dataclass(frozen=True)
class Draw:
    """Tokens drawn for B rows.

    Attributes:
        tokens: (B,) indices into the logits' last axis.
        log_prob: (B,) natural log of each token's probability after filters and temperature.
        last_prob: (B,) probability of the last column (stage 1: the end of the utterance), likewise.
    """

    tokens: Tensor
    log_prob: Tensor
    last_prob: Tensor


class Sampler:
    """Draws for rows with different filters at once; rows can leave. One filter alone serves any number of rows."""

    def __init__(self, filters: Sequence[Filters], device: torch.device) -> None:
        self._filters = list(filters)
        self._device = device
        self._prepare()

    @property
    def rows(self) -> int:
        """Rows it draws for."""
        return len(self._filters)

    def keep(self, rows: Sequence[int]) -> None:
        """Goes on with these rows, in this order."""
        self._filters = [self._filters[row] for row in rows]
        self._prepare()

    def _prepare(self) -> None:
        temperatures = [f.temperature for f in self._filters]
        self._greedy = torch.tensor([t == 0 for t in temperatures], device=self._device)
        self._all_greedy = all(t == 0 for t in temperatures)
        self._temperature = self._column([t or 1.0 for t in temperatures])
        with_p = [i for i, f in enumerate(self._filters) if f.top_p is not None]
        with_k = [i for i, f in enumerate(self._filters) if f.top_k is not None]
        self._p_rows = torch.tensor(with_p, device=self._device, dtype=torch.int64)
        self._k_rows = torch.tensor(with_k, device=self._device, dtype=torch.int64)
        self._top_p = self._column([self._filters[i].top_p or 1.0 for i in with_p])
        ks = [self._filters[i].top_k or 1 for i in with_k]
        self._most_k = max(ks, default=0)
        self._kth = torch.tensor(ks, device=self._device, dtype=torch.int64)[:, None] - 1

    def _column(self, values: Sequence[float]) -> Tensor:
        return torch.tensor(values, device=self._device, dtype=torch.float32)[:, None]

    def __call__(self, logits: Tensor, uniforms: Tensor) -> Draw:
        """Draws one token per row.

        Args:
            logits: (B, V) float32; -inf is never drawn.
            uniforms: (B,) in [0, 1).
        """
        logits = self._filtered(logits)
        best = logits.argmax(dim=-1)
        if self._all_greedy:
            last = best == logits.shape[1] - 1
            return Draw(best, torch.zeros_like(logits[:, 0]), last.float())
        probs = torch.softmax(logits / self._temperature, dim=-1)
        drawn = _inverse_cumulative(probs, uniforms)
        tokens = torch.where(self._greedy, best, drawn)
        log_prob = probs.gather(1, tokens[:, None])[:, 0].log()
        last_prob = torch.where(self._greedy, (best == logits.shape[1] - 1).float(), probs[:, -1])
        return Draw(tokens, torch.where(self._greedy, 0.0, log_prob), last_prob)

    def _filtered(self, logits: Tensor) -> Tensor:
        """Suno's order: top_p first, then top_k."""
        if len(self._p_rows):
            logits = logits.index_copy(0, self._p_rows, _top_p(logits[self._p_rows], self._top_p))
        if self._most_k:
            logits = logits.index_copy(0, self._k_rows, _top_k(logits[self._k_rows], self._most_k, self._kth))
        return logits


def _top_p(logits: Tensor, top_p: Tensor) -> Tensor:
    order = logits.argsort(dim=-1, descending=True, stable=True)
    cumulative = torch.softmax(logits.gather(1, order), dim=-1).cumsum(dim=-1)
    # Shifted by one, so that the token that crosses the mass stays, and the likeliest always does.
    remove = torch.zeros_like(cumulative, dtype=torch.bool)
    remove[:, 1:] = cumulative[:, :-1] > top_p
    return logits.scatter(1, order, logits.gather(1, order).masked_fill(remove, -torch.inf))


def _top_k(logits: Tensor, most: int, kth: Tensor) -> Tensor:
    """Keeps tokens at least as likely as the one at ``kth`` (rows, 1), counted from 0; ``most`` is the largest k."""
    largest = logits.topk(min(most, logits.shape[1]), dim=-1).values
    return logits.masked_fill(logits < largest.gather(1, kth.clamp(max=largest.shape[1] - 1)), -torch.inf)


def _inverse_cumulative(probs: Tensor, uniforms: Tensor) -> Tensor:
    """First index whose cumulative probability exceeds u: (B, V), (B,) -> (B,)."""
    cumulative = probs.cumsum(dim=-1)
    total = cumulative[:, -1:].contiguous()
    index = torch.searchsorted(cumulative, uniforms[:, None] * total, right=True)
    # u * total may round up to the total; the last token with any probability is then the answer.
    return torch.minimum(index, torch.searchsorted(cumulative, total)).squeeze(1)
