"""What an objective compares with: a recording, a voice, a folder of known clips; found, checked and read once.

A reference is named in a recipe by a path or, for voices, by a name of the catalogue. Checking one opens no more than
needed to know that it can be used; reading it gives sound and the hash of its content, so that a judge with another
reference behind the same name is known to be another judge.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bark_infinity.audio import read_audio
from bark_infinity.error_handling import BarkError
from bark_infinity.voices.catalogue import VoiceCatalogue
from bark_infinity.voices.history import VoiceHistory

Decode = Callable[[VoiceHistory], tuple[NDArray[np.float32], int]]
"""Makes a stored voice audible: (S,) samples and their rate in Hz. What has an engine gives this to what has none."""

SOUND_SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".mp3", ".aiff", ".aif"})
VOICE_SUFFIX = ".npz"
MOST_HEARD_S = 60.0  # of a reference: a minute says whose voice it is
FEWEST_CLIPS, MOST_CLIPS = 2, 5_000


@dataclass(frozen=True, eq=False)
class Recording:
    """A reference as sound.

    Attributes:
        audio: (S,) samples, at most `MOST_HEARD_S`.
        sample_rate: Hz.
        sha256: Of the file, or of the voice's tokens.
        called: As the recipe calls it.
    """

    audio: NDArray[np.float32]
    sample_rate: int
    sha256: str
    called: str


def content_sha256(name: str, base: Path) -> str:
    """Hash of what a reference holds now: a file's bytes, a folder's files with their names, a voice's tokens.

    Raises:
        BarkError: When it is not there.
    """
    folder = base / Path(name).expanduser()
    if folder.is_dir():
        files = [one for one in sorted(folder.rglob("*")) if one.is_file()]
        listed = [f"{one.relative_to(folder)} {hashlib.sha256(one.read_bytes()).hexdigest()}" for one in files]
        return hashlib.sha256("\n".join(listed).encode()).hexdigest()
    path = _path_of(name, base)
    if path is None:
        return VoiceCatalogue().find(name).sha256
    return hashlib.sha256(_present(path, name).read_bytes()).hexdigest()


def check_recording(name: str, base: Path) -> None:
    """Makes sure that a recording or voice is there; see `read_recording`.

    Raises:
        BarkError: When it is not; says what is near.
    """
    path = _path_of(name, base)
    if path is None:
        VoiceCatalogue().find(name)
    elif path.suffix.lower() == VOICE_SUFFIX:
        VoiceHistory.load(_present(path, name))
    else:
        _present(path, name)


def read_recording(name: str, base: Path, decode: Decode | None) -> Recording:
    """Reads a recording, or makes a voice audible.

    Args:
        name: Path of a sound file or of a ``.npz`` voice, or a name of the voice catalogue.
        base: What relative paths start from.
        decode: For voices.

    Raises:
        BarkError: When it is missing, cannot be read, or is a voice that nobody can decode.
    """
    path = _path_of(name, base)
    if path is None:
        return _spoken(VoiceCatalogue().find(name), name, decode)
    if path.suffix.lower() == VOICE_SUFFIX:
        return _spoken(VoiceHistory.load(_present(path, name)), name, decode)
    audio, rate = read_audio(_present(path, name))
    return Recording(audio[: round(MOST_HEARD_S * rate)], rate, hashlib.sha256(path.read_bytes()).hexdigest(), name)


def check_folder(name: str, base: Path) -> None:
    """Makes sure that a folder holds enough sound files; see `read_folder`.

    Raises:
        BarkError: When there is no such folder, or it holds too few or too many.
    """
    _sound_files(name, base)


def read_folder(name: str, base: Path) -> Iterator[Recording]:
    """Reads every sound file of a folder and of the folders in it, one at a time, in order of their paths.

    Raises:
        BarkError: As `check_folder`, and when a file cannot be read.
    """
    return (read_recording(str(path), base, None) for path in _sound_files(name, base))


def _spoken(voice: VoiceHistory, name: str, decode: Decode | None) -> Recording:
    if decode is None:
        raise BarkError(
            f"the voice {name!r} is tokens and has to be made audible first, and no engine was given for it; "
            "give `decode`, or name a recording (wav, flac)"
        )
    audio, rate = decode(voice)
    return Recording(audio[: round(MOST_HEARD_S * rate)], rate, voice.sha256, name)


def _path_of(name: str, base: Path) -> Path | None:
    """The path that a reference names; None for names of the catalogue."""
    path = base / Path(name).expanduser()
    return path if path.suffix.lower() in {*SOUND_SUFFIXES, VOICE_SUFFIX} or path.is_file() else None


def _present(path: Path, name: str) -> Path:
    if path.is_file():
        return path
    beside = [one.name for one in path.parent.iterdir()] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, beside, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else "relative paths start from the recipe's folder"
    raise BarkError(f"there is no file {name!r} to compare with ({path}); {hint}")


def _sound_files(name: str, base: Path) -> list[Path]:
    folder = base / Path(name).expanduser()
    if not folder.is_dir():
        raise BarkError(
            f"there is no folder {name!r} of known clips ({folder}); relative paths start from the recipe's"
        )
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SOUND_SUFFIXES and path.is_file())
    if not FEWEST_CLIPS <= len(found) <= MOST_CLIPS:
        raise BarkError(
            f"{folder} holds {len(found)} sound files, expected {FEWEST_CLIPS} to {MOST_CLIPS} known clips to be unlike"
        )
    return found
