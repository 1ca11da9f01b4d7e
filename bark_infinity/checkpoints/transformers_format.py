"""Directories that transformers' ``BarkModel.save_pretrained`` wrote: their numbers, and their tensors by stage.

Weights are safetensors, whole or in shards, or the ``pytorch_model.bin`` that suno's own Hub repositories hold.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from bark_infinity.bark_config import BarkConfig
from bark_infinity.checkpoints.legacy import read_pickle
from bark_infinity.checkpoints.sources import read_json, require_file, sibling
from bark_infinity.checkpoints.state_shapes import State, check_sizes
from bark_infinity.error_handling import CheckpointError

# transformers leaves a field out of config.json when it has the class's default.
_TRANSFORMERS_DEFAULTS = {
    "block_size": 1_024,
    "input_vocab_size": 10_048,
    "output_vocab_size": 10_048,
    "num_layers": 12,
    "num_heads": 12,
    "hidden_size": 768,
    "bias": True,
}
_FINE_DEFAULTS = {"n_codes_total": 8, "n_codes_given": 1}
# (input ids, output ids) of the three GPTs: what tells Suno's own vocabulary from another.
_SUNO_VOCABULARIES = ((129_600, 10_048), (12_096, 12_096), (1_056, 1_056))


def transformers_config(config_json: Mapping[str, Any], directory: Path) -> BarkConfig:
    """Numbers of a directory's checkpoint.

    Args:
        config_json: Content of its ``config.json``.
        directory: Where ``generation_config.json`` lies. It may be absent when the vocabularies are Suno's.

    Raises:
        CheckpointError: When numbers are missing, damaged, or do not fit together.
    """
    completed = dict(config_json)
    vocabularies = []
    for stage in ("semantic_config", "coarse_acoustics_config", "fine_acoustics_config"):
        shape = completed.get(stage)
        if isinstance(shape, Mapping):
            shape = {**_TRANSFORMERS_DEFAULTS, **(_FINE_DEFAULTS if stage.startswith("fine") else {}), **shape}
            vocabularies.append((shape["input_vocab_size"], shape["output_vocab_size"]))
            completed[stage] = shape
    generation_file = directory / "generation_config.json"
    if os.path.lexists(generation_file):
        generation = read_json(generation_file)
    elif tuple(vocabularies) == _SUNO_VOCABULARIES:
        generation = {}
    else:
        raise CheckpointError(
            f"{directory} has no generation_config.json, and its vocabularies {vocabularies} are not Suno's "
            f"{list(_SUNO_VOCABULARIES)}, so pads and offsets are unknown; copy the file from where the checkpoint came"
        )
    try:
        config = BarkConfig.from_transformers(completed, generation)
        check_sizes(config, str(directory))
    except (TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise CheckpointError(
            f"config.json and generation_config.json in {directory} are damaged ({error}); fetch them again"
        ) from error
    return config


def find_weights(directory: Path) -> Path:
    """The one file of weights in the directory of a single model, such as an EnCodec.

    Raises:
        CheckpointError: When there is none.
    """
    names = ("model.safetensors", "pytorch_model.bin")
    path = next((directory / name for name in names if (directory / name).exists()), None)
    if path is None:
        raise CheckpointError(f"{directory} has a config.json but none of {', '.join(names)}; fetch it again")
    return path


def weight_files(weights: Path) -> list[Path]:
    """All files of weights, given the one file or the index of a sharded set.

    Raises:
        CheckpointError: When one is missing or the index is damaged or leads out of its directory.
    """
    if not weights.name.endswith(".index.json"):
        return [require_file(weights)]
    return [require_file(path) for path in dict.fromkeys(_shard_of(weights).values())]


def _shard_of(index: Path) -> dict[str, Path]:
    """Key to the file that holds it, for a sharded checkpoint; mask buffers are of no interest."""
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, Mapping) or not weight_map:
        raise CheckpointError(f"{index} has no object 'weight_map' that says which file holds which tensor")
    return {
        key: sibling(index.parent, name, index) for key, name in weight_map.items() if not key.endswith(".attn.bias")
    }


def read_tensors(weights: Path, prefix: str) -> State:
    """Reads the tensors whose names begin with ``prefix``, and strips it.

    Args:
        weights: The one file, or the index of a sharded set; only shards that hold such tensors are opened.
        prefix: May be empty.

    Raises:
        CheckpointError: When a file is missing, damaged, or asks to run code.
    """
    if not weights.name.endswith(".index.json"):
        return dict(_read_file(weights, prefix))
    shards = _shard_of(weights)
    state: State = {}
    for path in dict.fromkeys(path for key, path in shards.items() if key.startswith(prefix)):
        held = dict(_read_file(path, prefix))
        state.update({name: tensor for name, tensor in held.items() if shards.get(prefix + name) == path})
    lost = sorted(key for key in shards if key.startswith(prefix) and key.removeprefix(prefix) not in state)
    if lost:
        raise CheckpointError(f"{shards[lost[0]]} does not hold '{lost[0]}', which {weights.name} says it does")
    return state


def _read_file(path: Path, prefix: str) -> Iterator[tuple[str, torch.Tensor]]:
    require_file(path)
    if path.suffix == ".bin":
        content = read_pickle(path)
        if not isinstance(content, Mapping):
            raise CheckpointError(f"{path} holds a {type(content).__name__}, expected a dictionary of tensors")
        for key, tensor in content.items():
            if isinstance(key, str) and key.startswith(prefix):
                yield key.removeprefix(prefix), tensor
        return
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            for key in file.keys():  # noqa: SIM118 - not a dict
                if key.startswith(prefix) and not key.endswith(".attn.bias"):
                    yield key.removeprefix(prefix), file.get_tensor(key)
    except (SafetensorError, OSError, ValueError, KeyError, RuntimeError, AttributeError) as error:
        raise CheckpointError(
            f"{path} could not be read as safetensors ({error}); it may be cut short or damaged, fetch it again"
        ) from error
