"""A checkpoint as the engine sees it: its numbers now, its tensors when a stage asks for them.

Whatever wrote the files (transformers, suno, this project), tensors come out under transformers' names without
the stage's prefix, complete, and of exactly the shapes that the configuration states. Files are data: nothing in
them is executed, and anything odd is a `CheckpointError` that names it.
"""

from __future__ import annotations

import dataclasses
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bark_infinity.bark_config import BarkConfig
from bark_infinity.checkpoints import digests
from bark_infinity.checkpoints.legacy import KNOWN_MD5, legacy_config, read_legacy_tensors
from bark_infinity.checkpoints.sources import CheckpointLocation, front_end_of, locate, read_json
from bark_infinity.checkpoints.state_shapes import State, check_state, plain_tensor
from bark_infinity.checkpoints.transformers_format import (
    find_weights,
    read_tensors,
    transformers_config,
    weight_files,
)
from bark_infinity.error_handling import CheckpointError
from bark_infinity.text_front_end import TextFrontEnd

logger = logging.getLogger(__name__)

WeightStage = Literal["semantic", "coarse", "fine", "codec"]

_PREFIXES: dict[str, str] = {
    "semantic": "semantic.",
    "coarse": "coarse_acoustics.",
    "fine": "fine_acoustics.",
    "codec": "codec_model.",
}
_SHA256 = re.compile(r"[0-9a-f]{64}")
_HASH_IN_NAME = re.compile(r"-([0-9a-f]{8,64})\.th$")  # torch.hub's files carry the beginning of theirs


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
        """SHA-256 of the content as it was measured, in hex (seconds for gigabytes; large files are remembered)."""
        return digests.STORE.digest(self.path, "sha256")

    @property
    def md5(self) -> str:
        """MD5 of the content, to compare with what suno once published."""
        return digests.STORE.digest(self.path, "md5")


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
            return {name: plain_tensor(tensor, name, self.source) for name, tensor in state.items()}
        gpt = {"semantic": self.config.semantic_gpt, "coarse": self.config.coarse_gpt, "fine": self.config.fine_gpt}
        return check_state(state, gpt[stage], f"the {stage} stage of '{self.source}'")

    def verify(self) -> tuple[str, ...]:
        """Holds every file whose hash is known to it, of whatever size; `load_checkpoint` does this.

        Gigabytes take seconds the first time, and none while the files stay as they are.

        Returns:
            Notices about legacy files that differ from what suno once published; they may have been replaced.

        Raises:
            CheckpointError: When a file differs from its recorded SHA-256.
        """
        notices = []
        for file in self.files:
            _check_hash(file, file.expected_sha256)
            in_name = _HASH_IN_NAME.search(file.name)
            _check_hash(file, in_name[1] if in_name else None)
            known = KNOWN_MD5.get(file.name)
            if known is not None and file.md5 != known:
                notices.append(f"{file.name} has MD5 {file.md5}, suno once published {known}; it may be a newer file")
        return tuple(notices)


def load_checkpoint(source: str | Path, *, offline: bool | None = None, prefer_small: bool = False) -> Checkpoint:
    """Finds a checkpoint, holds its files to the hashes that are known, and reads its configuration.

    Weights stay on disk until a stage is loaded. Notices are logged as warnings.

    Args:
        source: Hugging Face id, directory saved by ``BarkModel.save_pretrained``, directory of suno's ``.pt`` files,
            ``micro``, ``random-tiny`` or ``suno-legacy``.
        offline: True never uses the network; None follows ``HF_HUB_OFFLINE``.
        prefer_small: Of a legacy directory that holds both sizes of a stage, take the small one.

    Raises:
        CheckpointError: When it is missing, incomplete, damaged, not to be trusted, or differs from a known hash.
    """
    checkpoint = find_checkpoint(source, offline=offline, prefer_small=prefer_small)
    checkpoint = dataclasses.replace(checkpoint, notices=checkpoint.notices + checkpoint.verify())
    for notice in checkpoint.notices:
        logger.warning("%s", notice)
    return checkpoint


def find_checkpoint(source: str | Path, *, offline: bool | None = None, prefer_small: bool = False) -> Checkpoint:
    """As `load_checkpoint`, but hashes and tells nothing: for a look at a checkpoint's numbers before any work."""
    location = locate(source, offline=offline, prefer_small=prefer_small)
    if location.kind == "random-tiny":
        from bark_infinity.checkpoints.random_tiny import random_tiny_checkpoint

        return random_tiny_checkpoint()
    return _load_legacy(location) if location.kind == "legacy" else _load_transformers(location)


def _load_legacy(location: CheckpointLocation) -> Checkpoint:
    assert location.directory is not None
    paths = list(location.stage_files.values())
    notices = location.notices
    codec, original = location.codec, None
    codec_config: Mapping[str, Any] | None = None
    codec_weights: Path | None = None
    if codec is None:
        notices += (
            f"no EnCodec was found for '{location.source}', so it yields tokens but no audio; fetch one with: "
            "hf download facebook/encodec_24khz config.json model.safetensors "
            f"--local-dir {location.directory / 'encodec'}",
        )
    elif codec.is_dir():
        codec_config, codec_weights = read_json(codec / "config.json"), find_weights(codec)
        paths.append(codec_weights)
    else:
        original = codec
        paths.append(codec)

    def read_stage(stage: WeightStage) -> State:
        if stage == "codec":
            return {} if codec_weights is None else read_tensors(codec_weights, "")
        return read_legacy_tensors(location.stage_files[stage])

    config = legacy_config(location.stage_files)
    return _checkpoint(location, config, paths, codec_config, read_stage, original, notices)


def _load_transformers(location: CheckpointLocation) -> Checkpoint:
    assert location.directory is not None
    assert location.weights is not None
    weights = location.weights
    config_file = location.directory / "config.json"
    config_json = read_json(config_file)
    config = transformers_config(config_json, location.directory)
    codec_config = config_json.get("codec_config")
    if codec_config is not None and not isinstance(codec_config, Mapping):
        raise CheckpointError(f"{config_file}: codec_config is {codec_config!r}, expected an object; fetch it again")
    generation_file = location.directory / "generation_config.json"
    paths = [path for path in (config_file, generation_file) if path.exists()] + weight_files(weights)

    def read_stage(stage: WeightStage) -> State:
        return read_tensors(weights, _PREFIXES[stage])

    return _checkpoint(location, config, paths, codec_config, read_stage, None, location.notices)


def _checkpoint(
    location: CheckpointLocation,
    config: BarkConfig,
    paths: list[Path],
    codec_config: Mapping[str, Any] | None,
    read_stage: Callable[[WeightStage], State],
    original_codec_file: Path | None,
    notices: tuple[str, ...],
) -> Checkpoint:
    front_end = front_end_of(location)
    if front_end is None:
        notices += (
            f"no tokenizer was found for '{location.source}', so requests need text_ids; if it reads Suno's text, "
            f"fetch one with: hf download suno/bark-small tokenizer.json --local-dir {location.directory}",
        )
    return Checkpoint(
        source=location.source,
        family=location.family,
        config=config,
        front_end=front_end,
        files=tuple(CheckpointFile(path.name, path, _expected_sha256(path)) for path in paths),
        codec_config=codec_config,
        read_stage=read_stage,
        original_codec_file=original_codec_file,
        notices=notices,
    )


def _expected_sha256(path: Path) -> str | None:
    """What the file should hash to: the Hugging Face cache names its large blobs by their SHA-256."""
    if path.is_symlink():
        blob = path.resolve()
        if blob.parent.name == "blobs" and _SHA256.fullmatch(blob.name):
            return blob.name
    sums = path.parent / "SHA256SUMS"
    if sums.is_file() and sums.stat().st_size < 2**20:
        for line in sums.read_text("utf-8", errors="replace").splitlines():
            digest, _, name = line.partition(" ")
            if name.strip().removeprefix("*") == path.name and _SHA256.fullmatch(digest):
                return digest
    return None


def _check_hash(file: CheckpointFile, beginning: str | None) -> None:
    if beginning is not None and not file.sha256.startswith(beginning):
        raise CheckpointError(
            f"{file.path} has SHA-256 {file.sha256}, expected {beginning}; it was damaged or changed after it was "
            "published, fetch it again"
        )
