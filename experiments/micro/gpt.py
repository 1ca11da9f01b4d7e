"""The three transformers, with transformers' parameter names, and how they start.

Bark's stages are pre-norm GPTs without biases. The modules below carry the names of Hugging Face's ``BarkModel``, so
that packing is a copy. Three things help small models learn in minutes and leave no trace in the architecture:

* *clock*: the position table starts as sinusoids of time, on one clock for text, semantic and coarse positions, and
  the first head of the first two layers starts as a matcher of equal times;
* *factored tables* (`FactoredTable`): while training, a semantic row is phone + frames remaining + pitch + residual,
  and a phone in the text starts from the same vector as the phone spoken;
* *guide*: one head's attention is asked to look where the text is being spoken (see `train_semantic`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from experiments.micro import layout

Cache = list[torch.Tensor]  # empty, then keys and values (B, H, T, D / H)


@dataclass(frozen=True)
class Shape:
    """Size of one transformer."""

    layers: int = 4
    heads: int = 4
    width: int = 160


SEMANTIC = Shape()
COARSE = Shape()
FINE = Shape(layers=3, width=128)


@dataclass
class Guide:
    """Where head 0 of one layer should look: queries from ``first`` on at ``allowed`` (B, Q, K0) of the first K0 keys.

    ``penalty`` (B, Q) is filled in by the layer: minus the log of the attention mass inside.
    """

    layer: int
    first: int
    allowed: torch.Tensor
    penalty: torch.Tensor | None = None


QUERIES_PER_STRIP = 104


def _attend_in_strips(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, is_causal: bool) -> torch.Tensor:
    """Attention (B, H, T, D/H), a strip of queries at a time, in causal stages over the keys up to the strip's end.

    On a CPU, forwards and backwards at these sizes, it takes 0.4 of the time of PyTorch's fused kernel in bfloat16.
    """
    q = q * (1 / math.sqrt(q.shape[-1]))
    n_steps = q.shape[2]
    strips = []
    for first in range(0, n_steps, QUERIES_PER_STRIP):
        end = min(n_steps, first + QUERIES_PER_STRIP)
        seen = end if is_causal else n_steps
        scores = q[:, :, first:end] @ k[:, :, :seen].transpose(2, 3)
        if is_causal:
            scores = scores + torch.full((end - first, seen), -torch.inf, dtype=scores.dtype).triu_(first + 1)
        strips.append(torch.softmax(scores, -1) @ v[:, :, :seen])
    return torch.cat(strips, 2)


class Attention(nn.Module):
    """Multi-head self-attention without biases."""

    def __init__(self, shape: Shape, causal: bool):
        super().__init__()
        self.heads = shape.heads
        self.causal = causal
        self.att_proj = nn.Linear(shape.width, 3 * shape.width, bias=False)
        self.out_proj = nn.Linear(shape.width, shape.width, bias=False)

    def forward(self, x: torch.Tensor, cache: Cache | None = None, guide: Guide | None = None) -> torch.Tensor:
        """Attends in x (B, T, D), after what the cache holds; a causal step with a cache takes one position."""
        n_batch, n_steps, width = x.shape
        q, k, v = (
            part.view(n_batch, n_steps, self.heads, width // self.heads).transpose(1, 2)  # (B, H, T, D/H)
            for part in self.att_proj(x).split(width, dim=2)
        )
        if cache is not None:
            if cache:
                k, v = torch.cat([cache[0], k], 2), torch.cat([cache[1], v], 2)
            cache[:] = [k, v]
        causal = self.causal and n_steps > 1
        if cache is None and q.dtype is torch.bfloat16 and q.device.type == "cpu":
            y = _attend_in_strips(q, k, v, causal)
        else:
            y = F.scaled_dot_product_attention(q, k, v, is_causal=causal)
        if guide is not None:
            guide.penalty = self._penalty(q[:, 0], k[:, 0], guide)
        attended: torch.Tensor = self.out_proj(y.transpose(1, 2).reshape(n_batch, n_steps, width))
        return attended

    @staticmethod
    def _penalty(q: torch.Tensor, k: torch.Tensor, guide: Guide) -> torch.Tensor:
        scores = q[:, guide.first :].float() @ k.float().transpose(1, 2) / math.sqrt(q.shape[-1])  # (B, Q, T)
        queries = torch.arange(scores.shape[1], device=q.device) + guide.first
        future = torch.arange(scores.shape[2], device=q.device)[None] > queries[:, None]
        scores = scores.masked_fill(future[None], -1e9)
        n_keys = guide.allowed.shape[2]
        inside = scores[:, :, :n_keys].masked_fill(~guide.allowed, -1e9)
        return torch.logsumexp(scores, 2) - torch.logsumexp(inside, 2)


class FeedForward(nn.Module):
    """Two projections with an exact GELU between them."""

    def __init__(self, width: int):
        super().__init__()
        self.in_proj = nn.Linear(width, 4 * width, bias=False)
        self.out_proj = nn.Linear(4 * width, width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, T, D) to (B, T, D)."""
        projected: torch.Tensor = self.out_proj(F.gelu(self.in_proj(x)))
        return projected


class Block(nn.Module):
    """Pre-norm block. The layer norms of causal stages have no bias, those of the fine stage do, as in Bark."""

    def __init__(self, shape: Shape, causal: bool):
        super().__init__()
        self.layernorm_1 = nn.LayerNorm(shape.width, bias=not causal)
        self.layernorm_2 = nn.LayerNorm(shape.width, bias=not causal)
        self.attn = Attention(shape, causal)
        self.mlp = FeedForward(shape.width)

    def forward(self, x: torch.Tensor, cache: Cache | None = None, guide: Guide | None = None) -> torch.Tensor:
        """(B, T, D) to (B, T, D)."""
        x = x + self.attn(self.layernorm_1(x), cache, guide)
        x = x + self.mlp(self.layernorm_2(x))
        return x


def _initialise(model: nn.Module, n_layers: int) -> None:
    for name, parameter in model.named_parameters():
        if parameter.dim() == 2:
            nn.init.normal_(parameter, 0, 0.02 / (math.sqrt(2 * n_layers) if "out_proj" in name else 1))


class CausalGpt(nn.Module):
    """The semantic and the coarse stage."""

    def __init__(self, shape: Shape, n_ids: int, block: int):
        super().__init__()
        self.shape = shape
        self.input_embeds_layer = nn.Embedding(n_ids, shape.width)
        self.position_embeds_layer = nn.Embedding(block, shape.width)
        self.layers = nn.ModuleList(Block(shape, causal=True) for _ in range(shape.layers))
        self.layernorm_final = nn.LayerNorm(shape.width, bias=False)
        self.lm_head = nn.Linear(shape.width, n_ids, bias=False)
        _initialise(self, shape.layers)

    def hidden(
        self,
        embedded: torch.Tensor,
        start: int = 0,
        caches: list[Cache] | None = None,
        guide: Guide | None = None,
    ) -> torch.Tensor:
        """Normalised last hidden states (B, T, D) of embedded inputs (B, T, D) that begin at position ``start``."""
        x = embedded + self.position_embeds_layer.weight[start : start + embedded.shape[1]][None]
        for number, block in enumerate(self.layers):
            guided = guide if guide is not None and guide.layer == number else None
            x = block(x, None if caches is None else caches[number], guided)
        normalised: torch.Tensor = self.layernorm_final(x)
        return normalised

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Logits (B, T, V) of ids (B, T)."""
        logits: torch.Tensor = self.lm_head(self.hidden(self.input_embeds_layer(ids)))
        return logits


class FineGpt(nn.Module):
    """The fine stage: sums the embeddings of codebooks 0..k and predicts codebook k; heads tied as in Bark."""

    def __init__(self, shape: Shape = FINE):
        super().__init__()
        self.shape = shape
        self.input_embeds_layers = nn.ModuleList(
            nn.Embedding(layout.FINE_TABLE, shape.width) for _ in range(layout.N_FINE)
        )
        self.position_embeds_layer = nn.Embedding(layout.FINE_BLOCK, shape.width)
        self.layers = nn.ModuleList(Block(shape, causal=False) for _ in range(shape.layers))
        self.layernorm_final = nn.LayerNorm(shape.width)
        self.lm_heads = nn.ModuleList(
            nn.Linear(shape.width, layout.FINE_TABLE, bias=False) for _ in range(layout.N_FINE - 1)
        )
        _initialise(self, shape.layers)
        for book, head in enumerate(self.lm_heads):
            head.weight = self.input_embeds_layers[book + 1].weight

    def hidden(self, book: int, codes: torch.Tensor) -> torch.Tensor:
        """Normalised last hidden states (B, T, D) of codes (B, T, 8), codebooks 0 to ``book`` of them."""
        x = self.position_embeds_layer.weight[: codes.shape[1]][None]
        x = x + sum(self.input_embeds_layers[i](codes[:, :, i]) for i in range(book + 1))
        for block in self.layers:
            x = block(x)
        normalised: torch.Tensor = self.layernorm_final(x)
        return normalised

    def forward(self, book: int, codes: torch.Tensor) -> torch.Tensor:
        """Logits (B, T, V) for codebook ``book`` (1 to 7) of codes (B, T, 8)."""
        logits: torch.Tensor = self.lm_heads[book - 1](self.hidden(book, codes))
        return logits


class FactoredTable(nn.Module):
    """A table whose semantic rows are residual + phone + frames remaining + pitch; other rows are plain."""

    def __init__(self, n_ids: int, width: int):
        super().__init__()
        self.rest = nn.Parameter(torch.randn(n_ids, width) * 0.02)
        with torch.no_grad():
            self.rest[: layout.SEMANTIC_VOCAB] *= 0.25
        self.phone = nn.Parameter(torch.randn(layout.N_PHONES, width) * 0.02)
        self.remaining = nn.Parameter(torch.randn(layout.N_REMAINING, width) * 0.02)
        self.pitch = nn.Parameter(torch.randn(layout.N_PITCH, width) * 0.01)

    def forward(self) -> torch.Tensor:
        """The plain table (V, D)."""
        rows = self.phone[:, None, None] + self.remaining[None, :, None] + self.pitch[None, None]
        rows = rows.reshape(layout.SEMANTIC_VOCAB, -1)
        return torch.cat([self.rest[: layout.SEMANTIC_VOCAB] + rows, self.rest[layout.SEMANTIC_VOCAB :]])


def sinusoids(times: torch.Tensor, width: int, shortest: float, longest: float) -> torch.Tensor:
    """Sines and cosines (T, width) of times, periods spread geometrically."""
    periods = shortest * (longest / shortest) ** (torch.arange(width // 2) / (width // 2 - 1))
    angle = times[:, None] * (2 * math.pi / periods)[None]
    return torch.cat([angle.sin(), angle.cos()], 1)


@torch.no_grad()
def start_clock(model: CausalGpt, times: torch.Tensor, shortest: float, level: float, gain: float) -> None:
    """Writes the clock into a causal model.

    Args:
        model: Freshly initialised.
        times: For every position, the time (in semantic frames) that it is about (T,).
        shortest: Shortest period of the sinusoids, in frames.
        level: Amplitude of the sinusoids in the position table.
        gain: Scale of the identity in the matching heads.
    """
    width = model.shape.width // model.shape.heads
    model.position_embeds_layer.weight[:, :width] = sinusoids(times, width, shortest, 600.0) * level
    for layer in model.layers[:2]:
        assert isinstance(layer, Block)
        projection = layer.attn.att_proj.weight
        for offset in (0, model.shape.width):  # queries, then keys
            projection[offset : offset + width] = 0
            projection[offset : offset + width, :width] = torch.eye(width) * gain
