"""A folder of .npz voices as founders: what can be read is stored, what cannot is told, nothing is executed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bark_infinity.tokens import TokenSpace
from bark_infinity.voices.catalogue import VoiceCatalogue
from bark_infinity.voices.history import VoiceHistory
from experiments.lineage.errors import LineageError
from experiments.lineage.store import Lineage


@dataclass(frozen=True)
class Imported:
    """What became of a folder.

    Attributes:
        voices: Different voices by the name they have below the folder, in its order.
        duplicates: Names of voices that say the same as an earlier one.
        problems: Why a file was left out, by name.
    """

    voices: dict[str, VoiceHistory]
    duplicates: tuple[str, ...]
    problems: dict[str, str]


def import_voices(lineage: Lineage, folder: Path, *, space: TokenSpace | None = None) -> Imported:
    """Stores every voice below a folder, for a swarm to begin with.

    Args:
        lineage: Opened for writing.
        folder: With .npz files, in folders or not.
        space: Only voices of this token space; None takes any.

    Raises:
        LineageError: ``missing`` when there is no such folder, or no voice in it.
    """
    if not folder.is_dir():
        raise LineageError(f"{folder} is no folder; name one that holds .npz voices", "missing")
    voices: dict[str, VoiceHistory] = {}
    duplicates: list[str] = []
    problems: dict[str, str] = {}
    seen: set[str] = set()
    catalogue = VoiceCatalogue([folder])
    for entry in catalogue.list():
        if entry.problem is not None:
            problems[entry.name] = entry.problem
            continue
        if space is not None and entry.space != space:
            problems[entry.name] = "it was made for another family of checkpoints"
            continue
        voice = catalogue.find(entry.name)
        if voice.sha256 in seen:
            duplicates.append(entry.name)
            continue
        seen.add(lineage.keep_voice(voice))
        voices[entry.name] = voice
    if not voices:
        told = "; ".join(f"{name}: {problem}" for name, problem in list(problems.items())[:3]) or "it holds none"
        raise LineageError(f"{folder} has no voice to begin with ({told})", "missing")
    return Imported(voices, tuple(duplicates), problems)
