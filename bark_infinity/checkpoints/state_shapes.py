"""What a stage's tensors must be: names and shapes that follow from the configuration, and nothing else.

Both are of foreign origin. Sizes are held to sane bounds before any loop trusts them, tensors to the sizes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import torch

from bark_infinity.bark_config import BarkConfig, GPTConfig
from bark_infinity.error_handling import CheckpointError

State = dict[str, torch.Tensor]

_MAX_SIZE = 2**31 - 1
_MAX_LAYERS = 4_096
_LORA_KEY = re.compile(r"lora_|(^|\.)lm_heads?(\.\d+)?\.0\.weight$")


def check_sizes(config: BarkConfig, where: str) -> None:
    """Refuses sizes that no model has, before loops and allocations trust them.

    Raises:
        CheckpointError: Names the number and its bounds.
    """
    for stage in ("semantic_gpt", "coarse_gpt", "fine_gpt"):
        gpt: GPTConfig = getattr(config, stage)
        for name in ("num_layers", "num_heads", "hidden_size", "block_size", "input_vocab_size", "output_vocab_size"):
            limit = _MAX_LAYERS if name == "num_layers" else _MAX_SIZE
            _check_range(getattr(gpt, name), 1, limit, f"{where}: {name} of {stage}")
    fine = config.fine_gpt
    _check_range(fine.n_codes_total, 1, _MAX_LAYERS, f"{where}: n_codes_total of fine_gpt")
    _check_range(fine.n_codes_given, 1, fine.n_codes_total, f"{where}: n_codes_given of fine_gpt")
    for part in (config.semantic, config.coarse, config.fine):
        for name, value in vars(part).items():
            # Rates divide, and block lengths or codebook counts of zero would make loops that never end.
            may_be_zero = name.endswith(("_token", "_id", "_offset", "_start", "_history_length"))
            least = 0 if may_be_zero else 1e-3 if name.endswith("_hz") else 1
            _check_range(value, least, _MAX_SIZE, f"{where}: {name}")
    _check_range(config.codebook_size, 1, _MAX_SIZE, f"{where}: codebook_size")
    _check_range(config.sample_rate, 1, _MAX_SIZE, f"{where}: sample_rate")


def _check_range(value: float, least: float, most: float, name: str) -> None:
    if not (math.isfinite(value) and least <= value <= most):
        raise CheckpointError(f"{name} is {value}, expected {least:g} to {most:g}; the file may be damaged")


def expected_shapes(gpt: GPTConfig) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor that a GPT of this configuration has; tied heads included."""
    width, fine = gpt.hidden_size, gpt.n_codes_total > 0
    shapes: dict[str, tuple[int, ...]] = {}
    if fine:
        for index in range(gpt.n_codes_total):
            shapes[f"input_embeds_layers.{index}.weight"] = (gpt.input_vocab_size, width)
        for index in range(gpt.n_codes_total - gpt.n_codes_given):
            shapes[f"lm_heads.{index}.weight"] = (gpt.output_vocab_size, width)
    else:
        shapes["input_embeds_layer.weight"] = (gpt.input_vocab_size, width)
        shapes["lm_head.weight"] = (gpt.output_vocab_size, width)
    shapes["position_embeds_layer.weight"] = (gpt.block_size, width)
    norms = [f"layers.{n}.layernorm_{i}" for n in range(gpt.num_layers) for i in (1, 2)]
    for norm in (*norms, "layernorm_final"):
        shapes[f"{norm}.weight"] = (width,)
        if gpt.bias or fine:  # the fine model's norms always have one
            shapes[f"{norm}.bias"] = (width,)
    for layer in range(gpt.num_layers):
        for name, rows, columns in (
            ("attn.att_proj", 3 * width, width),
            ("attn.out_proj", width, width),
            ("mlp.in_proj", 4 * width, width),
            ("mlp.out_proj", width, 4 * width),
        ):
            shapes[f"layers.{layer}.{name}.weight"] = (rows, columns)
            if gpt.bias:
                shapes[f"layers.{layer}.{name}.bias"] = (rows,)
    return shapes


def check_state(state: Mapping[str, Any], gpt: GPTConfig, where: str) -> State:
    """Drops mask buffers, fills in tied heads, and holds the rest to the shapes of the configuration.

    Raises:
        CheckpointError: Names the first tensor that is missing, unexpected, of another shape or not a plain one.
    """
    kept = {name: tensor for name, tensor in state.items() if not name.endswith(".attn.bias")}
    expected = expected_shapes(gpt)
    _tie_heads(kept, gpt)
    unexpected = sorted(kept.keys() - expected.keys())
    lora = [name for name in unexpected if _LORA_KEY.search(name)]
    if lora:
        raise CheckpointError(
            f"{where} holds '{lora[0]}': it is a LoRA fine-tune, expected plain weights; merge the adapters into the "
            "base weights with the program that made it"
        )
    missing = [name for name in expected if name not in kept]
    if missing:
        raise CheckpointError(
            f"{where} lacks the tensor '{missing[0]}' of shape {expected[missing[0]]}"
            + (f" and {len(missing) - 1} more" if len(missing) > 1 else "")
            + (f", and holds the unknown '{unexpected[0]}'" if unexpected else "")
            + "; the weights and config.json must come from the same checkpoint"
        )
    if unexpected:
        raise CheckpointError(
            f"{where} holds '{unexpected[0]}'"
            + (f" and {len(unexpected) - 1} more tensors" if len(unexpected) > 1 else "")
            + " that its configuration has no place for; the weights and config.json must come from the same checkpoint"
        )
    checked = {}
    for name, shape in expected.items():
        tensor = plain_tensor(kept[name], name, where)
        if tuple(tensor.shape) != shape:
            raise CheckpointError(
                f"{where}: the tensor '{name}' has shape {tuple(tensor.shape)}, expected {shape} by its configuration; "
                "the weights and config.json must come from the same checkpoint"
            )
        if not tensor.is_floating_point():
            raise CheckpointError(f"{where}: the tensor '{name}' is of type {tensor.dtype}, expected floating point")
        checked[name] = tensor
    return checked


def _tie_heads(state: State, gpt: GPTConfig) -> None:
    """Head i of the fine model is table i + 1: filled in when not stored, shared when stored twice."""
    for index in range(gpt.n_codes_total - gpt.n_codes_given):
        head, table = f"lm_heads.{index}.weight", state.get(f"input_embeds_layers.{index + 1}.weight")
        if not isinstance(table, torch.Tensor) or gpt.input_vocab_size != gpt.output_vocab_size:
            continue
        stored = state.get(head)
        if stored is None or (isinstance(stored, torch.Tensor) and _equal(stored, table)):
            state[head] = table


def _equal(first: torch.Tensor, second: torch.Tensor) -> bool:
    return (
        _is_plain(first)
        and _is_plain(second)
        and first.dtype == second.dtype
        and first.shape == second.shape
        and torch.equal(first, second)
    )


def _is_plain(tensor: object) -> bool:
    """Dense, on the CPU, and backed by as many bytes as its shape says: a few bytes may claim to be terabytes."""
    return (
        isinstance(tensor, torch.Tensor)
        and tensor.layout is torch.strided
        and tensor.device.type == "cpu"
        and not tensor.is_quantized
        and tensor.untyped_storage().nbytes() >= tensor.numel() * tensor.element_size()
    )


def plain_tensor(tensor: object, name: str, where: str) -> torch.Tensor:
    """Returns the tensor, detached, when it is a dense one that is really there.

    Raises:
        CheckpointError: When it is anything else.
    """
    if not isinstance(tensor, torch.Tensor) or not _is_plain(tensor):
        hollow = "sparse, quantised or hollow tensor"
        kind = hollow if isinstance(tensor, torch.Tensor) else type(tensor).__name__
        raise CheckpointError(f"{where}: '{name}' is a {kind}, expected a plain tensor; fetch the file again")
    return tensor.detach()
