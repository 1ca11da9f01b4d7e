"""The voices of this machine as a collection: found in all folders, imported from files, with tags and measured pitch.

Voices themselves stay the .npz files that every other tool reads. What people say of them (tags) and what was measured
once (pitch) is kept beside them in one JSON file, by content hash, so that it survives renaming.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import math
import os
import secrets
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from bark_infinity.audio import safe_stem
from bark_infinity.error_handling import BarkError, VoiceFormatError
from bark_infinity.voices.catalogue import MAX_FILES_PER_FOLDER, VoiceCatalogue, VoiceEntry, user_voice_directory
from bark_infinity.voices.history import VoiceHistory

logger = logging.getLogger(__name__)

NOTES_NAME = "notes.json"
MAX_NOTES_BYTES = 16_000_000
MAX_TAG = 40  # characters


@dataclass(frozen=True)
class Note:
    """What is known of a voice beside its tokens.

    Attributes:
        tags: In alphabetical order.
        pitch_hz: Median pitch of an audition; None before there was one.
    """

    tags: tuple[str, ...] = ()
    pitch_hz: float | None = None


@dataclass(frozen=True)
class ShelfVoice:
    """One voice and its note."""

    entry: VoiceEntry
    note: Note = field(default_factory=Note)
    own: bool = False  # in the user's own folder: can be deleted there


@dataclass(frozen=True)
class Imported:
    """What came of an import.

    Attributes:
        saved: New files in the user's folder.
        known: Sources whose tokens were there already.
        refused: Source and reason.
    """

    saved: tuple[Path, ...] = ()
    known: tuple[str, ...] = ()
    refused: tuple[tuple[str, str], ...] = ()

    @property
    def sentence(self) -> str:
        """In words."""
        parts = [f"{len(self.saved)} imported"]
        parts += [f"{len(self.known)} known already"] if self.known else []
        parts += [f"{len(self.refused)} refused ({self.refused[0][1]})"] if self.refused else []
        return ", ".join(parts)


class VoiceShelf:
    """Finds, imports and annotates; every method reads the disk, so call it on a worker thread.

    Args:
        catalogue: Where voices are looked for; None takes the usual folders.
        home: The user's own folder; None takes `user_voice_directory`.
    """

    def __init__(self, catalogue: VoiceCatalogue | None = None, home: Path | None = None) -> None:
        self.catalogue = catalogue or VoiceCatalogue()
        self.home = home or user_voice_directory()
        self._writing = threading.Lock()

    def voices(self) -> Sequence[ShelfVoice]:
        """All of them, sorted by name; those that cannot be used say why in their entry."""
        notes = self.notes()
        home = self.home.resolve()
        made = []
        for entry in self.catalogue.list():
            note = notes.get(entry.sha256 or "", Note())
            made.append(ShelfVoice(entry, note, entry.path.resolve().is_relative_to(home)))
        return made

    def load(self, name: str) -> VoiceHistory:
        """The voice of a name.

        Raises:
            BarkError: When it is gone or cannot be read.
        """
        return self.catalogue.find(name)

    def take_in(self, paths: Iterable[Path]) -> Imported:
        """Copies voices into the user's folder: files, and all .npz files below folders.

        Faults that can be mended are (see `VoiceHistory.load`); names are kept, with a number where one is taken.
        """
        known = {entry.sha256 for entry in self.catalogue.list() if entry.sha256}
        saved: list[Path] = []
        seen: list[str] = []
        refused: list[tuple[str, str]] = []
        for path in _files(paths, refused):
            try:
                voice = VoiceHistory.load(path, repair=True)
                if voice.sha256 in known:
                    seen.append(str(path))
                    continue
                saved.append(voice.save(_free(self.home / path.name)))
                known.add(voice.sha256)
            except VoiceFormatError as error:
                refused.append((path.name, str(error)))
        return Imported(tuple(saved), tuple(seen), tuple(refused))

    def keep(self, voice: VoiceHistory, stem: str) -> str:
        """Saves a voice in the user's folder, under a name that nothing has.

        Returns:
            The name by which `load` finds it.

        Raises:
            BarkError: When the folder cannot be written.
        """
        try:
            self.home.mkdir(parents=True, exist_ok=True)
            path = voice.save(_free(self.home / f"{safe_stem(stem, max_bytes=60)}.npz", self.catalogue.names()))
        except OSError as error:
            raise BarkError(f"{self.home} cannot be written ({error}); the voice is not kept") from error
        found = [entry.name for entry in self.catalogue.list() if entry.path.resolve() == path.resolve()]
        return found[0] if found else path.stem

    def notes(self) -> Mapping[str, Note]:
        """By content hash; what cannot be read is left out, with one line in the log."""
        path = self.home / NOTES_NAME
        try:
            if path.stat().st_size > MAX_NOTES_BYTES:
                raise ValueError(f"it has more than {MAX_NOTES_BYTES:,} bytes")
            told = json.loads(path.read_text("utf-8"))
        except FileNotFoundError:
            return MappingProxyType({})
        except (OSError, ValueError, RecursionError) as error:
            logger.warning("%s cannot be read (%s); voices have no tags until it is mended or removed", path, error)
            return MappingProxyType({})
        items = told.items() if isinstance(told, dict) else ()
        return MappingProxyType({key: _note(value) for key, value in items if isinstance(value, dict)})

    def annotate(self, sha256: str, *, tags: Iterable[str] | None = None, pitch_hz: float | None = None) -> Note:
        """Changes a voice's note and keeps it.

        Raises:
            BarkError: When the file cannot be written.
        """
        with self._writing:  # read, changed and written as one
            notes = dict(self.notes())
            note = notes.get(sha256, Note())
            if tags is not None:
                note = dataclasses.replace(note, tags=clean_tags(tags))
            if pitch_hz is not None and math.isfinite(pitch_hz):
                note = dataclasses.replace(note, pitch_hz=round(pitch_hz, 1))
            notes[sha256] = note
            path = self.home / NOTES_NAME
            unfinished = path.with_name(f".{secrets.token_hex(8)}.part")
            try:
                self.home.mkdir(parents=True, exist_ok=True)
                plain = {key: {"tags": list(one.tags), "pitch_hz": one.pitch_hz} for key, one in sorted(notes.items())}
                unfinished.write_text(json.dumps(plain, ensure_ascii=False, indent=1), "utf-8")
                os.replace(unfinished, path)
            except OSError as error:
                unfinished.unlink(missing_ok=True)
                raise BarkError(f"{path} could not be written: {error}; tags are not kept") from error
            return note


def clean_tags(tags: Iterable[str]) -> tuple[str, ...]:
    """Tags without doubles, spaces around them and signs that cannot be seen."""
    cleaned = ("".join(sign for sign in tag if sign.isprintable()).strip()[:MAX_TAG] for tag in tags)
    return tuple(sorted({tag for tag in cleaned if tag}))


def _note(told: Mapping[str, Any]) -> Note:
    tags, pitch = told.get("tags"), told.get("pitch_hz")
    right = isinstance(pitch, int | float) and not isinstance(pitch, bool) and math.isfinite(pitch) and pitch > 0
    strings = [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []
    return Note(clean_tags(strings), float(pitch) if right else None)  # type: ignore[arg-type]


def _files(paths: Iterable[Path], refused: list[tuple[str, str]]) -> Iterable[Path]:
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        found = seen = 0
        for folder, subfolders, names in os.walk(path):
            subfolders.sort()
            for name in sorted(names):
                if name.endswith(".npz"):
                    found += 1
                    yield Path(folder, name)
            seen += len(names) + len(subfolders)
            if seen > MAX_FILES_PER_FOLDER:
                refused.append((path.name, f"it holds more than {MAX_FILES_PER_FOLDER:,} files; the rest was left"))
                break
        if not found:
            refused.append((path.name, "there is no .npz file in it"))


def _free(path: Path, names: Iterable[str] = ()) -> Path:
    """The path, or one with a number that nothing has: no file there, and none of these voices."""
    taken = frozenset(names)
    for number in range(2, 10_000):
        if not path.exists() and path.stem not in taken:
            break
        path = path.with_name(f"{path.stem.rpartition(' ')[0] if number > 2 else path.stem} {number}{path.suffix}")
    return path
