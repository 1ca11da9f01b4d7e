"""Which voices there are, and the way from a name to one of them.

Voices lie in folders: the user's own, the embedded model's, and Suno's presets where the Hugging Face cache of this
machine already holds them. A voice is called by its path inside its folder without ``.npz``, as Suno does
(``v2/en_speaker_6``). Names are only ever compared with what a scan of the folders found, so that no name, wherever it
comes from, can lead to another file. Nothing here loads torch or asks the network.
"""

from __future__ import annotations

import dataclasses
import difflib
import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from bark_infinity.error_handling import BarkError, VoiceFormatError
from bark_infinity.tokens import TokenSpace
from bark_infinity.voices import bounded_npz
from bark_infinity.voices.history import VoiceHistory
from bark_infinity.voices.rules import TOKEN_KEYS

logger = logging.getLogger(__name__)

VOICES_VARIABLE = "BARK_VOICES"
HUB_REPOSITORIES = ("suno/bark", "suno/bark-small")
MAX_FILES_PER_FOLDER = 50_000  # a folder given by mistake, such as a whole disk, should not take minutes
MIN_HASH_DIGITS = 6
HASH_PREFIX = "sha256:"

LANGUAGES: Mapping[str, str] = MappingProxyType(
    {
        "de": "German",
        "en": "English",
        "es": "Spanish",
        "fr": "French",
        "hi": "Hindi",
        "it": "Italian",
        "ja": "Japanese",
        "ko": "Korean",
        "pl": "Polish",
        "pt": "Portuguese",
        "ru": "Russian",
        "tr": "Turkish",
        "zh": "Chinese",
    }
)

_LANGUAGE_IN_NAME = re.compile(rf"(?:.*/)?({'|'.join(LANGUAGES)})_", re.ASCII)
_SUNO_PRESET = re.compile(r"(?:v2/)?[a-z]{2}_speaker_\d", re.ASCII)
_NUMBERS = re.compile(r"(\d+)")


@dataclass(frozen=True)
class VoiceEntry:
    """One voice of the catalogue.

    Attributes:
        name: What `VoiceCatalogue.resolve` knows it by.
        path: Its file; of a hub preset, which is three files, the semantic one.
        language: Two-letter code, by its metadata or its name; None when neither tells.
        duration_s: Length in seconds; None, as are the next three, when there is a problem.
        space: Token space.
        family: Family of checkpoints it was made for.
        sha256: Hash of its tokens.
        problem: Why it cannot be used; None when it can.
        shadowed: Files of the same name in folders that are searched later.
    """

    name: str
    path: Path
    language: str | None
    duration_s: float | None = None
    space: TokenSpace | None = None
    family: str | None = None
    sha256: str | None = None
    problem: str | None = None
    shadowed: tuple[Path, ...] = ()


@dataclass
class _Found:
    """What the scan knows of a name: the one .npz file, or a preset's .npy file by key."""

    files: dict[str, Path]
    problem: str | None = None
    shadowed: tuple[Path, ...] = ()

    @property
    def path(self) -> Path:
        return next(iter(self.files.values()))


class VoiceCatalogue:
    """The voices of several folders; of two with the same name, the first folder's is meant.

    Folders are scanned anew by every call, so that voices saved meanwhile are there.
    """

    def __init__(self, directories: Iterable[str | os.PathLike[str]] | None = None) -> None:
        """Takes the folders to search.

        Args:
            directories: Searched in this order, missing ones are skipped; None takes `default_directories`.
        """
        chosen = default_directories() if directories is None else tuple(Path(folder) for folder in directories)
        self.directories: tuple[Path, ...] = tuple(dict.fromkeys(chosen))

    def names(self) -> Sequence[str]:
        """All names, sorted, without opening the files."""
        return sorted(self._scan(), key=_natural)

    def list(self) -> Sequence[VoiceEntry]:
        """All voices, sorted by name; those that cannot be used tell why."""
        found = self._scan()
        return [_entry(name, found[name]) for name in sorted(found, key=_natural)]

    def resolve(
        self, name_or_path: str | os.PathLike[str], *, space: TokenSpace | None = None, repair: bool = False
    ) -> VoiceHistory:
        """Loads a voice that a user named.

        Args:
            name_or_path: Path of a .npz file, or a name as in `find`. Paths lead anywhere: where the name comes from
                somebody else than the user of this machine, take `find`.
            space: See `VoiceHistory.load`.
            repair: See `VoiceHistory.load`.

        Raises:
            VoiceFormatError: When the file is missing or is no valid voice.
            BarkError: When no voice has this name.
        """
        if not isinstance(name_or_path, str):
            return VoiceHistory.load(name_or_path, space=space, repair=repair)
        if name_or_path.endswith(".npz") and (_is_file(name_or_path) or not _is_name(name_or_path)):
            return VoiceHistory.load(name_or_path, space=space, repair=repair)
        return self.find(name_or_path, space=space, repair=repair)

    def find(self, name: str, *, space: TokenSpace | None = None, repair: bool = False) -> VoiceHistory:
        """Loads a voice by its name alone, never by a path.

        Args:
            name: Such as ``v2/en_speaker_6``; its last part if only one voice has it (``en_speaker_6``); or
                ``sha256:`` with the first digits of the hash.
            space: See `VoiceHistory.load`.
            repair: See `VoiceHistory.load`.

        Returns:
            The voice; its ``origin`` is its name in the catalogue.

        Raises:
            VoiceFormatError: When the file is no valid voice.
            BarkError: When no voice, or more than one, has this name; the nearest names are given.
        """
        found = self._scan()
        if name.startswith(HASH_PREFIX):
            return self._by_hash(name, found, space)
        if not _is_name(name):
            raise BarkError(
                f"{name[:80]!r} is no voice name, expected one such as v2/en_speaker_6, without '..' or a leading "
                "slash; bark_perform --list_speakers shows all names"
            )
        wanted = name.replace("\\", "/").removesuffix(".npz")
        if wanted not in found:
            same_end = [other for other in found if other.rpartition("/")[2] == wanted]
            if len(same_end) > 1:
                raise BarkError(
                    f"several voices are called {wanted!r}: {', '.join(sorted(same_end))}; name one of them"
                )
            if not same_end:
                raise self._unknown(wanted, found)
            wanted = same_end[0]
        return _load(wanted, found[wanted], space, repair)

    def _by_hash(self, name: str, found: Mapping[str, _Found], space: TokenSpace | None) -> VoiceHistory:
        digits = name.removeprefix(HASH_PREFIX).lower()
        if not re.fullmatch(rf"[0-9a-f]{{{MIN_HASH_DIGITS},64}}", digits):
            raise BarkError(f"{name[:80]!r} is no voice hash, expected sha256: and {MIN_HASH_DIGITS} to 64 hex digits")
        matching: dict[str, VoiceHistory] = {}
        for candidate in sorted(found, key=_natural):
            try:
                voice = _load(candidate, found[candidate], space, repair=False)
            except VoiceFormatError:
                continue
            if voice.sha256.startswith(digits):
                matching.setdefault(voice.sha256, voice)
        if len(matching) > 1:
            names = ", ".join(f"{voice.origin} ({key[:16]})" for key, voice in matching.items())
            raise BarkError(f"several voices have a hash that begins with {digits}: {names}; give more digits")
        if not matching:
            raise BarkError(f"no voice has a hash that begins with {digits}; {self._searched()}")
        return next(iter(matching.values()))

    def _unknown(self, name: str, found: Mapping[str, _Found]) -> BarkError:
        ends = {other.rpartition("/")[2]: other for other in sorted(found, key=_natural, reverse=True)}
        close = difflib.get_close_matches(name, [*found, *ends], n=6, cutoff=0.4)
        nearest = list(dict.fromkeys(ends.get(other, other) for other in close))[:3]
        hint = f"did you mean {', '.join(nearest)}" if nearest else "no name is near it"
        if _SUNO_PRESET.match(name):
            hint += f'? Suno\'s presets are fetched with: hf download suno/bark --include "speaker_embeddings/{name}_*"'
        return BarkError(f"there is no voice {name!r}, {hint}; {self._searched()}")

    def _searched(self) -> str:
        there = [str(folder) + ("" if folder.is_dir() else " (not there)") for folder in self.directories]
        return f"searched: {', '.join(there) or 'no folder'}"

    def _scan(self) -> dict[str, _Found]:
        merged: dict[str, _Found] = {}
        for root in self.directories:
            for name, found in _scan_folder(root).items():
                if name in merged:
                    merged[name].shadowed += (found.path,)
                else:
                    merged[name] = found
        return merged


def default_directories() -> tuple[Path, ...]:
    """Where voices are looked for: what the user says first, what came with the program and Suno's presets last.

    The folders of ``BARK_VOICES``, ``custom_speakers`` in the current folder, the user's data folder, the embedded
    model's voices, and presets in the local Hugging Face cache.
    """
    asked = [_home_path(part) for part in os.environ.get(VOICES_VARIABLE, "").split(os.pathsep) if part.strip()]
    packaged = Path(__file__).parents[1] / "assets"
    return (*asked, Path("custom_speakers"), user_voice_directory(), packaged, *hub_directories())


def user_voice_directory() -> Path:
    """The folder for voices of one's own, by the platform's custom; it need not exist yet."""
    import platformdirs

    return platformdirs.user_data_path("victor-bark-fusion", appauthor=False) / "voices"


def hub_directories() -> Sequence[Path]:
    """Folders of Suno's presets in the local Hugging Face cache, each repository's current snapshot first."""
    folders: list[Path] = []
    for repository in HUB_REPOSITORIES:
        home = _hub_cache() / f"models--{repository.replace('/', '--')}"
        try:
            snapshots = sorted((home / "snapshots").iterdir())
        except OSError:
            continue
        try:
            current = (home / "refs" / "main").read_text("utf-8").strip()
        except (OSError, ValueError):
            current = ""
        snapshots.sort(key=lambda snapshot: snapshot.name != current)
        folders += [snapshot / "speaker_embeddings" for snapshot in snapshots]
    return [folder for folder in folders if folder.is_dir()]


def _hub_cache() -> Path:
    """Where huggingface_hub keeps its files, by the rules of its documentation, without importing it."""
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if os.environ.get(variable):
            return _home_path(os.environ[variable])
    if os.environ.get("HF_HOME"):
        return _home_path(os.environ["HF_HOME"]) / "hub"
    return _home_path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface" / "hub"


def _home_path(text: str) -> Path:
    return Path(os.path.expanduser(text.strip()))  # unlike Path.expanduser, no error where there is no home


def _scan_folder(root: Path) -> dict[str, _Found]:
    """Voices below one folder by name: .npz files, and presets of three .npy files as transformers saves them."""
    inside = _bounds(root)
    whole: dict[str, _Found] = {}
    parts: dict[str, dict[str, Path]] = {}
    problems: dict[str, str] = {}
    for path in _files(root):
        name = _name(path.relative_to(root).with_suffix(""))
        key = next((key for key in TOKEN_KEYS if path.suffix == ".npy" and name.endswith(f"_{key}")), None)
        if path.suffix == ".npy" and key is None:
            continue
        problem = None
        if path.is_symlink() and not path.resolve().is_relative_to(inside):
            problem = f"{path}: the link leads out of {root}, expected a file inside it; copy the voice there"
        if key is None:
            whole[name] = _Found({"": path}, problem)
            continue
        preset = name.removesuffix(f"_{key}")
        parts.setdefault(preset, {})[key] = path
        if problem is not None:
            problems[preset] = problem
    for preset, files in parts.items():
        ordered = {key: files[key] for key in TOKEN_KEYS if key in files}
        whole.setdefault(preset, _Found(ordered, problems.get(preset)))
    return whole


def _bounds(root: Path) -> Path:
    """The folder that links must stay in; a Hugging Face snapshot's links lead to the blobs beside it."""
    for folder in (root, *root.parents):
        if folder.name == "snapshots" and folder.parent.name.startswith("models--"):
            return folder.parent.resolve()
    return root.resolve()


def _files(root: Path) -> Iterator[Path]:
    count = 0
    for folder, subfolders, names in os.walk(root):  # links to folders are not followed
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in sorted(names):
            count += 1
            if count > MAX_FILES_PER_FOLDER:
                logger.warning("%s holds more than %d files, the rest is not searched", root, MAX_FILES_PER_FOLDER)
                return
            if name.endswith((".npz", ".npy")) and not name.startswith("."):
                yield Path(folder, name)


def _name(relative: Path) -> str:
    """A voice's name; folders called ``voices`` only say what everything here is."""
    parts = [part for part in relative.parts[:-1] if part != "voices"]
    name = "/".join([*parts, relative.name])
    return name if name.isprintable() else ascii(name)


def _is_name(text: str) -> bool:
    parts = text.replace("\\", "/").split("/")
    return text.isprintable() and all(part not in ("", ".", "..") for part in parts) and ":" not in text


def _is_file(path: str) -> bool:
    try:
        return os.path.isfile(path)
    except ValueError:  # a NUL in it
        return False


def _natural(name: str) -> list[tuple[int, str]]:
    """Sorts speaker_2 before speaker_10."""
    return [(int(part), "") if part.isdecimal() and part.isascii() else (0, part) for part in _NUMBERS.split(name)]


def _load(name: str, found: _Found, space: TokenSpace | None, repair: bool) -> VoiceHistory:
    if found.problem is not None:
        raise VoiceFormatError(found.problem)
    if "" in found.files:
        voice = VoiceHistory.load(found.files[""], space=space, repair=repair)
    else:
        arrays = {
            key: bounded_npz.read_npy(bounded_npz.file_bytes(path), str(path)) for key, path in found.files.items()
        }
        voice = VoiceHistory.from_arrays(arrays, source=str(found.path.parent / name), space=space, repair=repair)
    return dataclasses.replace(voice, origin=name)


def _entry(name: str, found: _Found) -> VoiceEntry:
    named = _LANGUAGE_IN_NAME.match(name)
    language = named[1] if named else None
    try:
        voice = _load(name, found, None, repair=False)
    except VoiceFormatError as error:
        return VoiceEntry(name, found.path, language, problem=str(error), shadowed=found.shadowed)
    told = voice.metadata.get("language")
    return VoiceEntry(
        name,
        found.path,
        told if isinstance(told, str) else language,
        duration_s=voice.duration_s,
        space=voice.space,
        family=voice.family,
        sha256=voice.sha256,
        shadowed=found.shadowed,
    )
