"""The GPTs of Bark: a causal one for text and coarse tokens, a non-causal one for fine tokens.

A Bark stage is a GPT-2 style transformer: learned positions, LayerNorm before each part (eps 1e-5), one fused
query-key-value projection, exact GELU, MLP four times as wide, untied head (tied in the fine model). Facts from
suno-ai/bark ``bark/model.py`` and ``model_fine.py``; parameter names are those of transformers' BarkModel.

Shapes: B rows, T positions, H heads, D width, K codes of a codebook, C codebooks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from bark_infinity.bark_config import GPTConfig
from bark_infinity.stages.linear import Linear, make_linear

State = Mapping[str, Tensor]


@dataclass(frozen=True)
class LayerNorm:
    """Normalisation of the last axis, computed in float32 whatever the weights' precision."""

    weight: Tensor
    bias: Tensor | None

    def __call__(self, x: Tensor) -> Tensor:
        """Normalises (..., D)."""
        return functional.layer_norm(x, self.weight.shape, self.weight, self.bias, eps=1e-5)


@dataclass(frozen=True)
class Layer:
    """One transformer layer's parameters."""

    before_attention: LayerNorm
    query_key_value: Linear  # (rows, D) -> (rows, 3 D), in this order
    attention_out: Linear
    before_mlp: LayerNorm
    mlp_in: Linear
    mlp_out: Linear

    def mlp(self, x: Tensor) -> Tensor:
        """Residual MLP of x (rows, D)."""
        return x + self.mlp_out(functional.gelu(self.mlp_in(self.before_mlp(x))))


class KeyValueCache:
    """Keys and values of every layer, preallocated once; rows are filled, copied and let go in place."""

    def __init__(self, config: GPTConfig, rows: int, positions: int, device: torch.device, dtype: torch.dtype):
        head_width = config.hidden_size // config.num_heads
        shape = (2, rows, config.num_heads, positions, head_width)
        self.layers = [torch.empty(shape, device=device, dtype=dtype) for _ in range(config.num_layers)]

    @staticmethod
    def bytes_per_position(config: GPTConfig, bytes_per_value: int) -> int:
        """Memory that one position of one row takes."""
        return 2 * config.num_layers * config.hidden_size * bytes_per_value

    def copy_row(self, source: int, target: int, length: int) -> None:
        """Copies the first ``length`` positions of one row onto another."""
        for layer in self.layers:
            layer[:, target, :, :length] = layer[:, source, :, :length]


class _Transformer:
    """What both GPTs share: positions, layers, final norm."""

    def __init__(self, config: GPTConfig, state: State, device: torch.device, dtype: torch.dtype) -> None:
        self.config, self.device, self.dtype = config, device, dtype
        self.positions = self._table(state["position_embeds_layer.weight"])
        self.layers = [self._layer(state, f"layers.{i}") for i in range(config.num_layers)]
        self.final_norm = self._norm(state, "layernorm_final")

    @property
    def rows_per_pass(self) -> int:
        """Rows that whole-sequence passes should take together.

        Such passes are limited by arithmetic: batching gains nothing on CPU, and one row alone always has one shape.
        """
        return 1 if self.device.type == "cpu" else 64

    def _table(self, weight: Tensor) -> Tensor:
        # Embeddings are read, not multiplied: half precision saves their memory, the sum is formed in float32.
        return weight.to(device=self.device, dtype=self.dtype)

    def _norm(self, state: State, name: str) -> LayerNorm:
        bias = state.get(f"{name}.bias")
        return LayerNorm(
            state[f"{name}.weight"].to(self.device, torch.float32),
            None if bias is None else bias.to(self.device, torch.float32),
        )

    def _linear(self, state: State, name: str) -> Linear:
        return make_linear(state[f"{name}.weight"], state.get(f"{name}.bias"), self.device, self.dtype)

    def _layer(self, state: State, name: str) -> Layer:
        return Layer(
            before_attention=self._norm(state, f"{name}.layernorm_1"),
            query_key_value=self._linear(state, f"{name}.attn.att_proj"),
            attention_out=self._linear(state, f"{name}.attn.out_proj"),
            before_mlp=self._norm(state, f"{name}.layernorm_2"),
            mlp_in=self._linear(state, f"{name}.mlp.in_proj"),
            mlp_out=self._linear(state, f"{name}.mlp.out_proj"),
        )

    def _split_heads(self, fused: Tensor, rows: int, length: int) -> tuple[Tensor, Tensor, Tensor]:
        """(rows * length, 3 D) -> three of (rows, H, length, D / H)."""
        heads = self.config.num_heads
        q, k, v = fused.view(rows, length, 3, heads, -1).permute(2, 0, 3, 1, 4)
        return q, k, v


class CausalGPT(_Transformer):
    """Stages 1 and 2: reads a prefix, then one token at a time.

    Args:
        config: Shape.
        state: Parameters by transformers' names.
        heads: For each output head, the vocabulary rows that can be sampled there: nothing else is computed.
        device: Where it runs.
        dtype: Precision of the weights; the residual stream is float32.
    """

    def __init__(
        self,
        config: GPTConfig,
        state: State,
        heads: Sequence[Sequence[int]],
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        super().__init__(config, state, device, dtype)
        self.tokens = self._table(state["input_embeds_layer.weight"])
        head_weight = state["lm_head.weight"]
        self.heads = [make_linear(head_weight[list(rows)], None, device, dtype) for rows in heads]
        # On CPU, float32 keys even for bfloat16 weights: one-query attention in bfloat16 is many times slower there.
        self.cache_dtype = torch.float32 if device.type == "cpu" else dtype

    def new_cache(self, rows: int, positions: int) -> KeyValueCache:
        """An empty cache for B rows of at most ``positions`` positions each."""
        return KeyValueCache(self.config, rows, positions, self.device, self.cache_dtype)

    def embed(self, ids: Tensor) -> Tensor:
        """Token embeddings in float32: (...) -> (..., D)."""
        return functional.embedding(ids, self.tokens).float()

    def prefill(self, x: Tensor, cache: KeyValueCache, first_row: int = 0) -> Tensor:
        """Reads whole prefixes and fills the cache's rows from ``first_row`` on.

        Args:
            x: (B, T, D) token embeddings; positions are added here.
            cache: Receives keys and values at positions 0..T-1.
            first_row: Cache row of x's first row.

        Returns:
            (B, D) normalised hidden state of the last position.
        """
        rows, length, width = x.shape
        x = (x + self.positions[:length].float()).view(rows * length, width)
        for index, (layer, kept) in enumerate(zip(self.layers, cache.layers, strict=True)):
            q, k, v = self._split_heads(layer.query_key_value(layer.before_attention(x)), rows, length)
            kept[0, first_row : first_row + rows, :, :length] = k
            kept[1, first_row : first_row + rows, :, :length] = v
            if index == len(self.layers) - 1:
                # Only the last position is read afterwards; its query may look at everything.
                seen = _attend_one(q[:, :, -1:], k, v)
                x = x.view(rows, length, width)[:, -1]
            else:
                seen = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + layer.attention_out(seen.transpose(1, 2).reshape(-1, width))
            x = layer.mlp(x)
        return self.final_norm(x)

    def decode(self, x: Tensor, cache: KeyValueCache, position: int) -> Tensor:
        """Reads one token per row at the same position of every row.

        Args:
            x: (B, D) token embeddings.
            cache: Its first B rows hold positions 0..position-1 and receive this one.
            position: Position of the token.

        Returns:
            (B, D) normalised hidden state.
        """
        rows, width = x.shape
        x = x + self.positions[position].float()
        for layer, kept in zip(self.layers, cache.layers, strict=True):
            q, k, v = self._split_heads(layer.query_key_value(layer.before_attention(x)), rows, 1)
            kept[0, :rows, :, position : position + 1] = k
            kept[1, :rows, :, position : position + 1] = v
            seen = _attend_one(q, kept[0, :rows, :, : position + 1], kept[1, :rows, :, : position + 1])
            x = x + layer.attention_out(seen.reshape(rows, width))
            x = layer.mlp(x)
        return self.final_norm(x)

    def logits(self, hidden: Tensor, head: int) -> Tensor:
        """(B, D) -> (B, V) float32 over the rows given for ``head``."""
        return self.heads[head](hidden).float()


def _attend_one(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attention of one query per row, q (B, H, 1, W), over k and v (B, H, T, W)."""
    if q.device.type != "cpu":
        return functional.scaled_dot_product_attention(q.to(k.dtype), k, v)
    # torch's fused CPU kernel splits the keys by thread count for a single query, so its last bits depend on it;
    # written out, the products are as fast and give the same bits for any batch and any number of threads.
    scores = torch.matmul(q.to(k.dtype), k.transpose(-1, -2)) * q.shape[-1] ** -0.5
    return torch.matmul(torch.softmax(scores, dim=-1), v)


class FineGPT(_Transformer):
    """Stage 3: predicts one codebook at all positions from the sum of the embeddings of itself and those below it.

    Args:
        config: Shape, with n_codes_total input tables and n_codes_given codebooks that are never predicted.
        state: Parameters by transformers' names.
        codebook_size: Codes K that can be sampled; the pad above them is never computed.
        device: Where it runs.
        dtype: Precision of the weights.
    """

    def __init__(
        self, config: GPTConfig, state: State, codebook_size: int, device: torch.device, dtype: torch.dtype
    ) -> None:
        super().__init__(config, state, device, dtype)
        self.tables = [self._table(state[f"input_embeds_layers.{i}.weight"]) for i in range(config.n_codes_total)]
        self.heads = [
            make_linear(state[f"lm_heads.{i}.weight"][:codebook_size], None, device, dtype)
            for i in range(config.n_codes_total - config.n_codes_given)
        ]

    def hidden(self, codes: Tensor, codebook: int) -> Tensor:
        """Hidden states from which ``codebook`` is predicted.

        Args:
            codes: (B, C, T) with the pad where nothing is known; row ``codebook`` is read as it stands.
            codebook: Which one is predicted.

        Returns:
            (B, T, D) normalised hidden states.
        """
        rows, _, length = codes.shape
        x = functional.embedding(codes[:, 0], self.tables[0]).float()
        for below in range(1, codebook + 1):
            x = x + functional.embedding(codes[:, below], self.tables[below])
        x = (x + self.positions[:length].float()).view(rows * length, -1)
        for layer in self.layers:
            q, k, v = self._split_heads(layer.query_key_value(layer.before_attention(x)), rows, length)
            seen = functional.scaled_dot_product_attention(q, k, v)
            x = x + layer.attention_out(seen.transpose(1, 2).reshape(rows * length, -1))
            x = layer.mlp(x)
        return self.final_norm(x).view(rows, length, -1)

    def logits(self, hidden: Tensor, codebook: int) -> Tensor:
        """(N, D) -> (N, K) float32 for the codes of ``codebook``."""
        return self.heads[codebook - self.config.n_codes_given](hidden).float()
