"""A checkpoint as the engine sees it: its numbers now, its tensors when a stage asks for them.

Whatever wrote the files (transformers, suno, this project), tensors come out under transformers' names without
the stage's prefix, complete, and of exactly the shapes that the configuration states. Files are data: nothing in
them is executed, and anything odd is a `CheckpointError` that names it.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from bark_infinity.bark_config import BarkConfig, GPTConfig
from bark_infinity.checkpoint_sources import (
    CheckpointLocation,
    front_end_of,
    locate,
    read_json,
    require_file,
    sibling,
)
from bark_infinity.error_handling import CheckpointError
from bark_infinity.legacy_checkpoint import KNOWN_MD5, legacy_config, read_legacy_tensors, read_pickle
from bark_infinity.text_front_end import TextFrontEnd

logger = logging.getLogger(__name__)

WeightStage = Literal["semantic", "coarse", "fine", "codec"]
State = dict[str, torch.Tensor]

_PREFIXES: dict[str, str] = {
    "semantic": "semantic.",
    "coarse": "coarse_acoustics.",
    "fine": "fine_acoustics.",
    "codec": "codec_model.",
}
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
_MAX_SIZE = 2**31 - 1
_MAX_LAYERS = 4_096
_LORA_KEY = re.compile(r"lora_|(^|\.)lm_heads?(\.\d+)?\.0\.weight$")
_BLOB_SHA256 = re.compile(r"[0-9a-f]{64}")
_VERIFIED_AT_LOAD_BYTES = 64 * 2**20  # larger files are hashed only by `Checkpoint.verify`


@dataclass(frozen=True)
class CheckpointFile:
    """One file of a checkpoint.

    Attributes:
        name: File name inside the checkpoint.
        path: Where it lies.
        expected_sha256: What it should hash to, where that is known: the name of a Hugging Face cache blob, or a
            line of ``SHA256SUMS`` beside it.
    """

    name: str
    path: Path
    expected_sha256: str | None = None

    @property
    def sha256(self) -> str:
        """SHA-256 of the content, in hex; computed when first asked for (seconds for gigabytes)."""
        return self._digest("sha256")

    @property
    def md5(self) -> str:
        """MD5 of the content, to compare with what suno once published."""
        return self._digest("md5")

    def _digest(self, algorithm: str) -> str:
        status = require_file(self.path).stat()
        return _digest(self.path, algorithm, status.st_size, status.st_mtime_ns)


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A checkpoint that was found and whose configuration fits together; tensors are read stage by stage.

    Attributes:
        source: What was asked for.
        family: Short name for reports.
        config: All its numbers.
        front_end: Turns text into ids; None when requests must bring ``text_ids``.
        files: The files it is made of; empty for weights made in memory.
        codec_config: Fields of transformers' ``EncodecConfig``; None without an HF-format codec.
        original_codec_file: Suno's own ``.th`` codec, when that is the one that was found.
        notices: What the user should know.
    """

    source: str
    family: str
    config: BarkConfig
    front_end: TextFrontEnd | None
    files: tuple[CheckpointFile, ...]
    codec_config: Mapping[str, Any] | None
    read_stage: Callable[[WeightStage], State]
    original_codec_file: Path | None = None
    notices: tuple[str, ...] = ()

    @property
    def has_codec(self) -> bool:
        """Whether tokens can be decoded to audio."""
        return self.codec_config is not None or self.original_codec_file is not None

    def load_stage(self, stage: WeightStage) -> State:
        """Reads one stage's tensors, and no other's.

        Args:
            stage: ``semantic``, ``coarse``, ``fine`` or ``codec``.

        Returns:
            Tensors on the CPU in the precision they are stored in, maybe memory-mapped, by transformers' names
            without the stage's prefix. Tied heads of the fine stage are filled in and share memory with their table.

        Raises:
            CheckpointError: When a tensor is missing, unexpected or of another shape, or a file is damaged.
        """
        state = self.read_stage(stage)
        if stage == "codec":
            if not state:
                raise CheckpointError(f"'{self.source}' holds no codec weights; decode with another checkpoint's codec")
            return {name: _plain(tensor, name, self.source) for name, tensor in state.items()}
        gpt = {"semantic": self.config.semantic_gpt, "coarse": self.config.coarse_gpt, "fine": self.config.fine_gpt}
        return check_state(state, gpt[stage], f"the {stage} stage of '{self.source}'")

    def verify(self) -> tuple[str, ...]:
        """Hashes every file whose hash is known (seconds for gigabytes).

        Returns:
            Notices about legacy files that differ from what suno once published; they may have been replaced.

        Raises:
            CheckpointError: When a file differs from its recorded SHA-256.
        """
        notices = []
        for file in self.files:
            _check_hash(file)
            known = KNOWN_MD5.get(file.name)
            if known is not None and file.md5 != known:
                notices.append(f"{file.name} has MD5 {file.md5}, suno once published {known}; it may be a newer file")
        return tuple(notices)


def load_checkpoint(
    source: str | Path, *, offline: bool | None = None, prefer_small: bool = False
) -> Checkpoint:
    """Finds a checkpoint and reads its configuration; weights stay on disk until a stage is loaded.

    Args:
        source: Hugging Face id, directory saved by ``BarkModel.save_pretrained``, directory of suno's ``.pt`` files,
            ``micro``, ``random-tiny`` or ``suno-legacy``.
        offline: True never uses the network; None follows ``HF_HUB_OFFLINE``.
        prefer_small: Of a legacy directory that holds both sizes of a stage, take the small one.

    Raises:
        CheckpointError: When it is missing, incomplete, damaged or not to be trusted.
    """
    location = locate(source, offline=offline, prefer_small=prefer_small)
    if location.kind == "random-tiny":
        from bark_infinity.random_tiny import random_tiny_checkpoint

        return random_tiny_checkpoint()
    checkpoint = _load_legacy(location) if location.kind == "legacy" else _load_transformers(location)
    for file in checkpoint.files:
        if file.expected_sha256 is not None and file.path.stat().st_size <= _VERIFIED_AT_LOAD_BYTES:
            _check_hash(file)
    for notice in checkpoint.notices:
        logger.info("%s", notice)
    return checkpoint


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


def check_state(state: Mapping[str, torch.Tensor], gpt: GPTConfig, where: str) -> State:
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
        tensor = _plain(kept[name], name, where)
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


def _plain(tensor: object, name: str, where: str) -> torch.Tensor:
    if not isinstance(tensor, torch.Tensor) or not _is_plain(tensor):
        kind = type(tensor).__name__ if not isinstance(tensor, torch.Tensor) else "sparse, quantised or hollow tensor"
        raise CheckpointError(f"{where}: '{name}' is a {kind}, expected a plain tensor; fetch the file again")
    return tensor.detach()


def _load_legacy(location: CheckpointLocation) -> Checkpoint:
    assert location.directory is not None
    config = legacy_config(location.stage_files)
    _check_sizes(config, str(location.directory))
    codec_config: Mapping[str, Any] | None = None
    codec, original, codec_weights, notices = location.codec, None, None, location.notices
    if codec is None:
        notices += (
            f"no EnCodec was found for '{location.source}', so it yields tokens but no audio; fetch one with: "
            f"hf download facebook/encodec_24khz config.json model.safetensors --local-dir {location.directory}/encodec",
        )
    elif codec.is_dir():
        codec_config = read_json(codec / "config.json")
        codec_weights = _find_weights(codec)
    else:
        original = codec
    paths = [*location.stage_files.values(), *([codec_weights] if codec_weights else []), *([original] if original else [])]

    def read_stage(stage: WeightStage) -> State:
        if stage == "codec":
            return _read_prefixed(codec_weights, "") if codec_weights is not None else {}
        return read_legacy_tensors(location.stage_files[stage])

    return Checkpoint(
        source=location.source,
        family=location.family,
        config=config,
        front_end=front_end_of(location),
        files=_files(paths),
        codec_config=codec_config,
        read_stage=read_stage,
        original_codec_file=original,
        notices=notices,
    )


def _load_transformers(location: CheckpointLocation) -> Checkpoint:
    assert location.directory is not None
    assert location.weights is not None
    weights = location.weights
    config_file = location.directory / "config.json"
    config_json = read_json(config_file)
    config = _transformers_config(config_json, location.directory)
    codec_config = config_json.get("codec_config")
    if codec_config is not None and not isinstance(codec_config, Mapping):
        raise CheckpointError(f"{config_file}: codec_config is {codec_config!r}, expected an object")
    generation_file = location.directory / "generation_config.json"
    others = [path for path in (config_file, generation_file) if path.exists()]

    def read_stage(stage: WeightStage) -> State:
        return _read_prefixed(weights, _PREFIXES[stage])

    return Checkpoint(
        source=location.source,
        family=location.family,
        config=config,
        front_end=front_end_of(location),
        files=_files([*others, *_weight_files(weights)]),
        codec_config=codec_config,
        read_stage=read_stage,
        notices=location.notices,
    )


def _transformers_config(config_json: Mapping[str, Any], directory: Path) -> BarkConfig:
    completed = dict(config_json)
    vocabularies = []
    for stage in ("semantic_config", "coarse_acoustics_config", "fine_acoustics_config"):
        shape = completed.get(stage)
        if isinstance(shape, Mapping):
            shape = {**_TRANSFORMERS_DEFAULTS, **(_FINE_DEFAULTS if stage.startswith("fine") else {}), **shape}
            vocabularies.append((shape["input_vocab_size"], shape["output_vocab_size"]))
            completed[stage] = shape
    generation_file = directory / "generation_config.json"
    if generation_file.exists():
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
        _check_sizes(config, str(directory))
    except (TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise CheckpointError(
            f"config.json and generation_config.json in {directory} are damaged ({error}); fetch them again"
        ) from error
    return config


def _check_sizes(config: BarkConfig, where: str) -> None:
    """Refuses sizes that no model has, before loops and allocations trust them."""
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
            # Rates divide; block lengths and codebook counts of zero would make loops that never end.
            least = 0 if name.endswith(("_token", "_id", "_offset", "_start", "_history_length")) else 1e-3
            _check_range(value, least, _MAX_SIZE, f"{where}: {name}")
    _check_range(config.codebook_size, 1, _MAX_SIZE, f"{where}: codebook_size")
    _check_range(config.sample_rate, 1, _MAX_SIZE, f"{where}: sample_rate")


def _check_range(value: float, least: float, most: float, name: str) -> None:
    if not (math.isfinite(value) and least <= value <= most):
        raise CheckpointError(f"{name} is {value}, expected {least:g} to {most:g}; the file may be damaged")


def _find_weights(directory: Path) -> Path:
    names = ("model.safetensors", "pytorch_model.bin")
    path = next((directory / name for name in names if (directory / name).exists()), None)
    if path is None:
        raise CheckpointError(f"{directory} has a config.json but none of {', '.join(names)}; fetch it again")
    return path


def _weight_files(weights: Path) -> list[Path]:
    if not weights.name.endswith(".index.json"):
        return [require_file(weights)]
    return [require_file(path) for path in dict.fromkeys(_shard_of(weights).values())]


def _shard_of(index: Path) -> dict[str, Path]:
    """Key to the file that holds it, for a sharded checkpoint."""
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, Mapping) or not weight_map:
        raise CheckpointError(f"{index} has no object 'weight_map' that says which file holds which tensor")
    return {key: sibling(index.parent, name, index) for key, name in weight_map.items()}


def _read_prefixed(weights: Path, prefix: str) -> State:
    """Reads the tensors whose names begin with ``prefix``, and strips it."""
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


def _files(paths: list[Path]) -> tuple[CheckpointFile, ...]:
    return tuple(CheckpointFile(path.name, path, _expected_sha256(path)) for path in paths)


def _expected_sha256(path: Path) -> str | None:
    """What the file should hash to: the Hugging Face cache names its large blobs by their SHA-256."""
    if path.is_symlink():
        blob = path.resolve()
        if blob.parent.name == "blobs" and _BLOB_SHA256.fullmatch(blob.name):
            return blob.name
    sums = path.parent / "SHA256SUMS"
    if sums.is_file() and sums.stat().st_size < 2**20:
        for line in sums.read_text("utf-8", errors="replace").splitlines():
            digest, _, name = line.partition(" ")
            if name.strip().removeprefix("*") == path.name and _BLOB_SHA256.fullmatch(digest):
                return digest
    return None


def _check_hash(file: CheckpointFile) -> None:
    if file.expected_sha256 is not None and file.sha256 != file.expected_sha256:
        raise CheckpointError(
            f"{file.path} has SHA-256 {file.sha256}, expected {file.expected_sha256}; it was damaged or changed after "
            "it was published, fetch it again"
        )


@functools.lru_cache(maxsize=256)
def _digest(path: Path, algorithm: str, size: int, mtime_ns: int) -> str:
    """Digest of a file as it was at this size and time of change, which only key the cache."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()
