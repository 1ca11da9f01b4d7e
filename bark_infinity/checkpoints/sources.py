"""Where a checkpoint's files are: from the name a user types to paths on disk, without loading any weights.

Light module (no torch), so that a dry run can count tokens. Four kinds of source exist: a Hugging Face id, a
directory saved by ``BarkModel.save_pretrained``, a directory of suno's ``.pt`` files, and the names ``micro``,
``random-tiny`` and ``suno-legacy``. Nothing here touches the network unless a Hub id is not in the local cache
and going online was not switched off.
"""

from __future__ import annotations

import json
import logging
import math
import os
import re
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from bark_infinity.error_handling import CheckpointError
from bark_infinity.text_front_end import TextFrontEnd

logger = logging.getLogger(__name__)

MICRO_DIRECTORY = Path(__file__).parents[1] / "assets" / "micro"
TOKENIZER_FILES = ("tokenizer.json", "vocab.txt")
LEGACY_STAGES = {"semantic": "text", "coarse": "coarse", "fine": "fine"}  # stage -> suno's file stem; large adds _2
SUNO_TEXT_INPUT_VOCAB = 129_600  # input ids of a stage 1 that reads bert-base-multilingual-cased

_WEIGHT_CANDIDATES = (
    "model.safetensors.index.json",
    "model.safetensors",
    "pytorch_model.bin.index.json",
    "pytorch_model.bin",
)
_BERT_REPOS = ("google-bert/bert-base-multilingual-cased", "bert-base-multilingual-cased")
_HUB_FILES = ("config.json", "generation_config.json", "pytorch_model.bin", *TOKENIZER_FILES)  # in suno's own repos
_ENCODEC_REPO = "facebook/encodec_24khz"
_ENCODEC_FILE = "encodec_24khz-d7cc33bc.th"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_MAX_JSON_BYTES = 32 * 2**20  # of the index of a very large model; nothing honest comes near

Kind = Literal["transformers", "legacy", "random-tiny"]


@dataclass(frozen=True)
class CheckpointLocation:
    """Where one checkpoint lies.

    Attributes:
        source: What the user asked for.
        family: Short name for reports: a Hub id, ``micro``, ``random-tiny``, or the directory's name.
        kind: How its files are read.
        directory: Folder of the files; None for weights that are made in memory.
        weights: The one file of weights, or the index of a sharded set (kind ``transformers``).
        stage_files: Stage name to ``.pt`` file (kind ``legacy``).
        codec: HF-format directory or original ``.th`` file of the EnCodec that goes with legacy stages.
        notices: What the user should know.
    """

    source: str
    family: str
    kind: Kind
    directory: Path | None = None
    weights: Path | None = None
    stage_files: Mapping[str, Path] = field(default_factory=dict)
    codec: Path | None = None
    notices: tuple[str, ...] = ()


def locate(source: str | Path, *, offline: bool | None = None, prefer_small: bool = False) -> CheckpointLocation:
    """Finds a checkpoint's files, downloading a Hub id's when they are not cached and that is allowed.

    Args:
        source: Hub id, directory, ``micro``, ``random-tiny`` or ``suno-legacy``.
        offline: True never uses the network; None follows ``HF_HUB_OFFLINE``.
        prefer_small: Of a legacy directory that holds both sizes of a stage, take the small one.

    Raises:
        CheckpointError: When nothing usable is there; says what is missing and the command that fetches it.
    """
    name = str(source)
    if name == "random-tiny":
        return CheckpointLocation(name, name, "random-tiny")
    if name == "micro":
        if not _is_file(MICRO_DIRECTORY / "config.json"):
            raise CheckpointError(
                "the embedded model 'micro' is not part of this installation (bark_infinity/assets/micro holds no "
                "config.json); install a version that ships it, or name another source, e.g. 'suno/bark-small', or "
                "'random-tiny' for a test signal"
            )
        return _locate_directory(MICRO_DIRECTORY, name, "micro", prefer_small)
    if name == "suno-legacy":
        directory = suno_cache_directory()
        if not directory.is_dir():
            raise CheckpointError(
                f"source 'suno-legacy' is the folder {directory} of the original bark package, which does not exist; "
                f"fetch the files with: {_legacy_command(directory)}"
            )
        return _locate_directory(directory, name, name, prefer_small)
    path = Path(source)
    if os.path.isdir(path):  # unlike Path.is_dir, says no to names that no file can have
        return _locate_directory(path, name, path.resolve().name, prefer_small)
    if os.path.exists(path):
        raise CheckpointError(
            f"{path} is a file, expected the directory that holds the checkpoint; pass {path.parent} instead"
        )
    if isinstance(source, str) and _HUB_ID.fullmatch(name):
        snapshot = _hub_snapshot(name, is_offline(offline))
        if not is_offline(offline) and not _has_front_end(snapshot) and _cached_bert_directory() is None:
            _download_first(name, TOKENIZER_FILES)
        return _locate_directory(snapshot, name, name, prefer_small)
    raise CheckpointError(
        f"no checkpoint '{name}': expected an existing directory, a Hugging Face id such as 'suno/bark-small', "
        "'micro', 'random-tiny' or 'suno-legacy'"
    )


def load_front_end(source: str | Path, *, offline: bool | None = None) -> TextFrontEnd | None:
    """Loads what turns text into ids for a source, and none of its weights.

    Args:
        source: As for `locate`. Of a Hub id only the tokenizer files are fetched.
        offline: As for `locate`.

    Returns:
        None when the checkpoint brings no tokenizer and none that fits is cached: requests then need ``text_ids``.

    Raises:
        CheckpointError: When the source does not exist or its front end's files are damaged.
    """
    name = str(source)
    if isinstance(source, str) and not os.path.isdir(source) and _HUB_ID.fullmatch(name):
        cached = _cached_first(name, TOKENIZER_FILES)
        if cached is None and not is_offline(offline):
            cached = _download_first(name, TOKENIZER_FILES)
        if cached is not None:
            return front_end_of(CheckpointLocation(name, name, "transformers", cached.parent))
        config = _cached_first(name, ("config.json",))
        suno = name.startswith("suno/") or (config is not None and _reads_suno_text(config.parent))
        return _cached_bert() if suno else None
    return front_end_of(locate(source, offline=offline))


def front_end_of(location: CheckpointLocation) -> TextFrontEnd | None:
    """The front end of a located checkpoint; see `load_front_end`."""
    if location.kind == "random-tiny":
        from bark_infinity.checkpoints.random_tiny import BytesFrontEnd

        return BytesFrontEnd()
    directory = location.directory
    assert directory is not None
    choice = directory / "text_front_end.json"
    if os.path.lexists(choice):
        kind = read_json(choice).get("type")
        if kind != "phones":
            raise CheckpointError(f"{choice} asks for a text front end {kind!r}, expected 'phones'; update the program")
        from bark_infinity.phones import PhoneFrontEnd

        front_end: TextFrontEnd = PhoneFrontEnd.load(directory)
        return front_end
    if any(_is_file(directory / name) for name in TOKENIZER_FILES):
        from bark_infinity.bert_front_end import BertFrontEnd

        return BertFrontEnd.load(directory)
    if location.kind == "legacy" or _reads_suno_text(directory):
        return _cached_bert()
    return None


def is_offline(offline: bool | None) -> bool:
    """Whether the network is off limits: the caller's word, else ``HF_HUB_OFFLINE`` or ``TRANSFORMERS_OFFLINE``."""
    if offline is not None:
        return offline
    switches = (os.environ.get(name, "") for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"))
    return any(value.strip().upper() in {"1", "ON", "YES", "TRUE"} for value in switches)


def suno_cache_directory() -> Path:
    """Where the original bark package keeps its ``.pt`` files."""
    return _user_cache() / "suno" / "bark_v0"


def read_json(path: Path) -> dict[str, Any]:
    """Reads a JSON object from a file of foreign origin.

    Raises:
        CheckpointError: When the file is missing, too large, not JSON, not an object, or holds a number that is
            not finite.
    """

    def finite(text: str) -> float:
        value = float(text)
        if not math.isfinite(value):
            raise ValueError(f"number {text} is not finite")
        return value

    require_file(path)
    try:
        if path.stat().st_size > _MAX_JSON_BYTES:
            raise ValueError(f"it has {path.stat().st_size} bytes, at most {_MAX_JSON_BYTES} are read")
        content = json.loads(path.read_bytes(), parse_float=finite, parse_constant=finite)
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path} could not be read as JSON ({error}); expected the file of a Bark checkpoint, fetch it again"
        ) from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds a JSON {type(content).__name__}, expected an object; fetch it again")
    return content


def require_file(path: Path) -> Path:
    """Returns the path when a regular file lies there (through symbolic links, as in the Hugging Face cache).

    Raises:
        CheckpointError: When nothing is there, or a folder, pipe or device, or a link that leads nowhere.
    """
    if not _is_file(path):
        state = "is not a regular file" if os.path.lexists(path) else "does not exist"
        raise CheckpointError(f"{path} {state}, expected a file of the checkpoint; fetch the checkpoint again")
    return path


def sibling(directory: Path, name: object, named_by: Path) -> Path:
    """Path of a file that another file names; it must lie in the same directory.

    Raises:
        CheckpointError: When the name is not a plain file name, so that it could lead out of the directory.
    """
    plain = isinstance(name, str) and name not in ("", ".", "..") and not set(name) & set("/\\:\0")
    if not plain:
        raise CheckpointError(f"{named_by} names the file {name!r}, expected a plain file name inside {directory}")
    return directory / str(name)


def _locate_directory(directory: Path, source: str, family: str, prefer_small: bool) -> CheckpointLocation:
    weights = next((directory / name for name in _WEIGHT_CANDIDATES if os.path.lexists(directory / name)), None)
    if weights is not None:
        require_file(directory / "config.json")
        one_size = f"small models were asked for, but '{source}' holds one size only, and that is what is loaded"
        return CheckpointLocation(
            source,
            family,
            "transformers",
            directory,
            weights=require_file(weights),
            notices=(one_size,) if prefer_small else (),
        )
    stage_files, missing, notices = _legacy_files(directory, prefer_small)
    if stage_files and not missing:
        return CheckpointLocation(
            source,
            family,
            "legacy",
            directory,
            stage_files=stage_files,
            codec=_legacy_codec(directory),
            notices=notices,
        )
    if stage_files:
        raise CheckpointError(
            f"{directory} holds {', '.join(p.name for p in stage_files.values())} but no {' nor '.join(missing)}; "
            f"fetch them with: {_legacy_command(directory)}"
        )
    raise CheckpointError(
        f"{directory} holds no Bark checkpoint: expected config.json with one of {', '.join(_WEIGHT_CANDIDATES)}, or "
        "suno's text.pt, coarse.pt and fine.pt (text_2.pt, coarse_2.pt, fine_2.pt of the large models); "
        f"fetch one with: hf download suno/bark-small {' '.join(_HUB_FILES)} --local-dir {directory}"
    )


def _legacy_files(directory: Path, prefer_small: bool) -> tuple[dict[str, Path], list[str], tuple[str, ...]]:
    found: dict[str, Path] = {}
    missing: list[str] = []
    both: list[str] = []
    only_large: list[str] = []
    for stage, stem in LEGACY_STAGES.items():
        sizes = [directory / f"{stem}.pt", directory / f"{stem}_2.pt"]  # small, large
        present = [path for path in sizes if _is_file(path)]
        if not present:
            missing.append(f"{stem}.pt or {stem}_2.pt")
            continue
        found[stage] = present[0] if prefer_small else present[-1]
        if len(present) == 2:
            both.append(found[stage].name)
        elif prefer_small and present[0] == sizes[1]:
            only_large.append(present[0].name)
    notices = []
    if both:
        notices.append(f"{directory.name} holds both sizes of some stages; taken: {', '.join(both)}")
    if only_large:
        large = ", ".join(only_large)
        notices.append(f"small models were asked for, but {directory.name} holds only the large {large}")
    return found, missing, tuple(notices)


def _legacy_codec(directory: Path) -> Path | None:
    """The EnCodec that legacy stages speak through: beside them, or where its own packages cache it."""
    folder = directory / "encodec"
    if _is_file(folder / "config.json"):
        return folder
    if _is_file(directory / _ENCODEC_FILE):
        return directory / _ENCODEC_FILE
    config = _cached_first(_ENCODEC_REPO, ("config.json",))
    if config is not None and any(_is_file(config.parent / name) for name in _WEIGHT_CANDIDATES):
        return config.parent
    torch_home = Path(os.environ.get("TORCH_HOME") or _user_cache() / "torch")
    original = torch_home / "hub" / "checkpoints" / _ENCODEC_FILE
    return original if _is_file(original) else None


def _legacy_command(directory: Path) -> str:
    return f"hf download suno/bark text.pt coarse.pt fine.pt --local-dir {directory}"


def _user_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def _reads_suno_text(directory: Path) -> bool:
    shape = read_json(directory / "config.json").get("semantic_config")
    return isinstance(shape, Mapping) and shape.get("input_vocab_size") == SUNO_TEXT_INPUT_VOCAB


def _cached_bert() -> TextFrontEnd | None:
    """Suno's tokenizer, when the Hugging Face cache holds it."""
    directory = _cached_bert_directory()
    if directory is None:
        return None
    from bark_infinity.bert_front_end import BertFrontEnd

    return BertFrontEnd.load(directory)


def _cached_bert_directory() -> Path | None:
    """Cached folder with the files of Suno's tokenizer, under any of the names it is published by."""
    for repo in (*_BERT_REPOS, "suno/bark", "suno/bark-small"):
        cached = _cached_first(repo, TOKENIZER_FILES)
        if cached is not None:
            return cached.parent
    return None


def _has_front_end(directory: Path) -> bool:
    return any(_is_file(directory / name) for name in ("text_front_end.json", *TOKENIZER_FILES))


def _cached_first(repo: str, names: Iterable[str]) -> Path | None:
    """First of the files that the local Hugging Face cache holds for a repository."""
    from huggingface_hub import try_to_load_from_cache

    for name in names:
        path = try_to_load_from_cache(repo, name)
        if isinstance(path, str) and _is_file(Path(path)):
            return Path(path)
    return None


def _hub_snapshot(repo: str, offline: bool) -> Path:
    """Folder of a Hub repository's files, complete enough to load."""
    config = _cached_first(repo, ("config.json",))
    if config is not None:
        weights = next((config.parent / n for n in _WEIGHT_CANDIDATES if _is_file(config.parent / n)), None)
        legacy, missing, _ = _legacy_files(config.parent, prefer_small=False)
        if weights is not None or (legacy and not missing):
            if weights is None or not weights.name.endswith(".index.json") or _shards_present(weights):
                return config.parent
            lacking = "shards of the weights"
        else:
            lacking = "the weights"
    else:
        lacking = "config.json and the weights"
    fetch = f"hf download {repo}" + (f" {' '.join(_HUB_FILES)}" if repo.startswith("suno/") else "")
    if offline:
        raise CheckpointError(
            f"'{repo}' is not complete in the local Hugging Face cache ({lacking} missing) and the network is switched "
            f"off; fetch it once on a connected machine with: {fetch}"
        )
    return _download_checkpoint(repo, fetch)


def _shards_present(index: Path) -> bool:
    shards = read_json(index).get("weight_map")
    return isinstance(shards, Mapping) and all(
        _is_file(sibling(index.parent, name, index)) for name in set(map(str, shards.values()))
    )


def _download_checkpoint(repo: str, fetch: str) -> Path:
    """Downloads what loading needs and nothing else: suno/bark also holds 12 GB of ``.pt`` files."""
    import huggingface_hub

    logger.info("downloading %s from the Hugging Face Hub", repo)
    try:
        offered = set(huggingface_hub.list_repo_files(repo))
        weights = next((name for name in _WEIGHT_CANDIDATES if name in offered), None)
        if weights is None or "config.json" not in offered:
            raise CheckpointError(
                f"the Hub repository '{repo}' offers no Bark checkpoint: expected config.json and one of "
                f"{', '.join(_WEIGHT_CANDIDATES)}"
            )
        config = Path(huggingface_hub.hf_hub_download(repo, "config.json"))
        extras = ("generation_config.json", "text_front_end.json", *TOKENIZER_FILES)
        for name in (*(n for n in extras if n in offered), weights):
            huggingface_hub.hf_hub_download(repo, name)
        if weights.endswith(".index.json"):
            index = config.parent / weights
            for shard in sorted(set(map(str, (read_json(index).get("weight_map") or {}).values()))):
                huggingface_hub.hf_hub_download(repo, sibling(index.parent, shard, index).name)
    except CheckpointError:
        raise
    except Exception as error:  # the Hub client raises its own, its HTTP library's and the system's errors
        raise CheckpointError(
            f"'{repo}' could not be downloaded ({type(error).__name__}: {error}); check the name and the connection, "
            f"or fetch it with: {fetch}"
        ) from error
    return config.parent


def _download_first(repo: str, names: Iterable[str]) -> Path | None:
    """Downloads the first of the files that the repository offers; None when it cannot be reached."""
    import huggingface_hub

    for name in names:
        try:
            return Path(huggingface_hub.hf_hub_download(repo, name))
        except Exception as error:  # as above; a front end is optional, the caller says what follows
            logger.info("%s of %s could not be fetched: %s", name, repo, error)
    return None


def _is_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (OSError, ValueError):
        return False
