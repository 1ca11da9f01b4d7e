"""Suno's original ``.pt`` files, read without ever trusting them.

A ``.pt`` file is a pickle, and a pickle is a program. It is read only by torch's restricted unpickler, which
builds tensors and plain containers and refuses everything else. Suno's files hold one more thing, a numpy scalar
(``best_val_loss``); the names it needs are answered by inert stand-ins, so that no numpy code runs either.
"""

from __future__ import annotations

import re
import struct
import threading
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from bark_infinity.bark_config import BarkConfig, GPTConfig
from bark_infinity.checkpoints.sources import require_file
from bark_infinity.checkpoints.state_shapes import State, check_sizes
from bark_infinity.error_handling import CheckpointError

KNOWN_MD5 = {  # once pinned by suno-ai/bark; the files may have been replaced since
    "text.pt": "b3e42bcbab23b688355cd44128c4cdd3",
    "coarse.pt": "5fe964825e3b0321f9d5f3857b89194d",
    "fine.pt": "5428d1befe05be2ba32195496e58dc90",
    "text_2.pt": "54afa89d65e318d4f5f80e8e8799026a",
    "coarse_2.pt": "8a98094e5e3a255a5c9c0ab7efe8fd28",
    "fine_2.pt": "59d184ed44e3650774a2f0503a48a97b",
}

_RENAMED = (  # nanoGPT's names to transformers'; order matters: "transformer." goes first
    (re.compile(r"^_orig_mod\."), ""),
    (re.compile(r"^transformer\."), ""),
    (re.compile(r"^h\."), "layers."),
    (re.compile(r"\.c_attn\."), ".att_proj."),
    (re.compile(r"\.c_proj\."), ".out_proj."),
    (re.compile(r"\.c_fc\."), ".in_proj."),
    (re.compile(r"(^|\.)ln_1\."), r"\1layernorm_1."),
    (re.compile(r"(^|\.)ln_2\."), r"\1layernorm_2."),
    (re.compile(r"^ln_f\."), "layernorm_final."),
    (re.compile(r"^wpe\."), "position_embeds_layer."),
    (re.compile(r"^wte\."), "input_embeds_layer."),
    (re.compile(r"^wtes\."), "input_embeds_layers."),
)
_REFUSED_GLOBAL = re.compile(r"GLOBAL ([\w.]+)")
_allow_list_lock = threading.Lock()  # torch keeps its allow-list in a process-wide variable


class _ScalarType:
    """Stands in for ``numpy.dtype`` in a pickle: remembers its code and builds nothing."""

    def __init__(self, code: object = "", *_: object) -> None:
        self.code = code

    def __setstate__(self, state: object) -> None:
        """Byte order and flags; suno's scalars are little-endian and the value is only a training record."""


def _read_scalar(kind: object = None, raw: object = b"", *_: object) -> float | None:
    """Stands in for numpy's scalar constructor: a float where the bytes are one, else nothing."""
    formats = {"f8": "<d", "f4": "<f", "f2": "<e"}
    code = kind.code if isinstance(kind, _ScalarType) else None
    layout = formats.get(code) if isinstance(code, str) else None
    if layout is None or not isinstance(raw, bytes) or len(raw) != struct.calcsize(layout):
        return None
    value: float = struct.unpack(layout, raw)[0]
    return value


_STAND_INS: list[Any] = [
    (_read_scalar, "numpy.core.multiarray.scalar"),  # pickled by numpy 1
    (_read_scalar, "numpy._core.multiarray.scalar"),  # by numpy 2
    (_ScalarType, "numpy.dtype"),
]


def read_pickle(path: Path) -> Any:
    """Reads a torch file as data: tensors (memory-mapped where the format allows) and plain containers.

    Raises:
        CheckpointError: When the file is missing or damaged, or asks for anything that could run code; names it.
    """
    require_file(path)
    try:
        with _allow_list_lock, torch.serialization.safe_globals(_STAND_INS):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except Exception as error:  # foreign bytes: torch raises whatever its parsers meet
        refused = _REFUSED_GLOBAL.search(str(error))
        if refused:
            raise CheckpointError(
                f"{path} was refused: its pickle asks for '{refused[1].rstrip('.')}', which could run code, and a "
                "checkpoint needs only tensors; nothing was run. Fetch the file from its publisher again"
            ) from error
        reason = str(error).strip().split("\n")[0][:200]
        raise CheckpointError(
            f"{path} could not be read as a torch checkpoint ({type(error).__name__}: {reason}); "
            "it may be cut short or damaged, fetch it again"
        ) from error


def read_legacy_shape(path: Path, stage: str) -> GPTConfig:
    """Shape of one stage as its file states it.

    Raises:
        CheckpointError: As `read_pickle`, or when ``model_args`` is missing or incomplete.
    """
    return _shape(_sections(path)[0], path, stage)


def read_legacy_tensors(path: Path) -> State:
    """Tensors of one stage's file under transformers' names, not yet checked against a shape.

    Raises:
        CheckpointError: As `read_pickle`, or when two keys mean the same tensor.
    """
    renamed: State = {}
    for key, tensor in _sections(path)[1].items():
        name = str(key)
        for pattern, replacement in _RENAMED:
            name = pattern.sub(replacement, name)
        if name in renamed:
            raise CheckpointError(f"{path} holds '{key}' twice under different prefixes; fetch the file again")
        renamed[name] = tensor
    return renamed


def legacy_config(stage_files: Mapping[str, Path]) -> BarkConfig:
    """Configuration of a legacy checkpoint: shapes from the files, every other number Suno's.

    Raises:
        CheckpointError: As `read_legacy_shape`, or when the vocabularies are not Suno's.
    """
    shapes = {stage: read_legacy_shape(path, stage) for stage, path in stage_files.items()}
    config = BarkConfig(semantic_gpt=shapes["semantic"], coarse_gpt=shapes["coarse"], fine_gpt=shapes["fine"])
    check_sizes(config, ", ".join(path.name for path in stage_files.values()))
    return config


def _sections(path: Path) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    content = read_pickle(path)
    sections = []
    for name in ("model_args", "model"):
        section = content.get(name) if isinstance(content, Mapping) else None
        if not isinstance(section, Mapping):
            raise CheckpointError(
                f"{path} has no dictionary '{name}'; expected one of suno's .pt files with 'model_args' and 'model'"
            )
        sections.append(section)
    return sections[0], sections[1]


def _shape(arguments: Mapping[str, Any], path: Path, stage: str) -> GPTConfig:
    def whole(name: str, default: int | None = None) -> int:
        value = arguments.get(name, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise CheckpointError(
                f"{path}: model_args.{name} is {value!r}, expected a positive integer; fetch the file again"
            )
        return value

    both = arguments.get("vocab_size")  # older files name one vocabulary for both sides
    fine = stage == "fine"
    return GPTConfig(
        num_layers=whole("n_layer"),
        num_heads=whole("n_head"),
        hidden_size=whole("n_embd"),
        block_size=whole("block_size"),
        input_vocab_size=whole("input_vocab_size", both),
        output_vocab_size=whole("output_vocab_size", both),
        bias=bool(arguments.get("bias", False)),
        n_codes_total=whole("n_codes_total", 8) if fine else 0,
        n_codes_given=whole("n_codes_given", 1) if fine else 0,
    )
