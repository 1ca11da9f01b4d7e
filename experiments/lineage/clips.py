"""Audio that is kept as FLAC files beside the database: for births that people or archives care about.

Audio is a cache: the tokens decode to it again. A file is written whole, under the hash of its bytes, before the row
that names it, so a row never points at half a file; files without a row are left to `collection.collect`.
"""

from __future__ import annotations

import hashlib
import os
import time
import uuid
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bark_infinity.audio import read_audio, write_audio
from experiments.lineage.errors import LineageError, explained
from experiments.lineage.reading import LineageReader
from experiments.lineage.rows import row_id
from experiments.lineage.store import Lineage


def clip_folder(database: Path) -> Path:
    """Where a lineage's clips are."""
    return database.with_name(f"{database.stem}.clips")


def keep_clip(lineage: Lineage, run_id: int, birth: int, audio: NDArray[np.floating], sample_rate: int) -> Path:
    """Keeps a birth's audio, in place of what was kept of it before.

    Args:
        lineage: The file.
        run_id: The run.
        birth: Whose rendering it is.
        audio: (S,) samples, full scale 1.0; stored with 16 bits.
        sample_rate: Hz.

    Returns:
        The file.

    Raises:
        LineageError: When the disk does not take it, or there is no such birth.
        BarkError: When it is no audio.
    """
    folder = clip_folder(lineage.path)
    with explained(folder, "keeping a clip"):
        folder.mkdir(exist_ok=True)
        unfinished = folder / f".{uuid.uuid4().hex}.flac"
        try:
            written = write_audio(unfinished, audio, sample_rate)
            content = unfinished.read_bytes()
            sha256 = hashlib.sha256(content)
            target = folder / f"{sha256.hexdigest()}.flac"
            os.replace(unfinished, target)
        finally:
            unfinished.unlink(missing_ok=True)
    with lineage.transaction("keeping a clip") as write:
        write.execute(
            "INSERT OR REPLACE INTO clips VALUES (?, ?, ?, ?, ?, ?)",
            (
                row_id(run_id, birth),
                sha256.digest(),
                f"{folder.name}/{target.name}",
                written.n_samples,
                sample_rate,
                time.time(),
            ),
        )
    return target


def clip(lineage: LineageReader, run_id: int, birth: int) -> tuple[NDArray[np.float32], int] | None:
    """(S,) samples and their rate in Hz; None when none was kept.

    Raises:
        LineageError: ``missing`` when the file is gone, ``damaged`` when it is another than was kept.
    """
    with lineage.turn("reading a clip"):
        found = lineage.query("SELECT path, sha256 FROM clips WHERE birth_id = ?", (row_id(run_id, birth),))
    if not found:
        return None
    path = resolved(lineage.path, found[0][0])
    problem = clip_problem(path, found[0][1])
    if problem is not None:
        raise LineageError(f"{problem}; decode birth {birth} again from its tokens", "damaged")
    return read_audio(path)


def resolved(database: Path, stored: str) -> Path:
    """The file a row names; only files in the clips' folder are ever opened, whatever a foreign row says.

    Raises:
        LineageError: ``damaged`` when it names another place.
    """
    folder = clip_folder(database)
    name = stored.rpartition("/")[2]
    if stored != f"{folder.name}/{name}" and not stored.endswith(f".clips/{name}"):
        raise LineageError(f"{database}: a clip is said to be at {stored!r}, outside {folder.name}", "damaged")
    if not name.endswith(".flac") or "\\" in name or name.startswith("."):
        raise LineageError(f"{database}: a clip is said to be called {name!r}, expected HASH.flac", "damaged")
    return folder / name  # also after database and folder were renamed together


def clip_problem(path: Path, sha256: bytes) -> str | None:
    """What is wrong with a kept file; None when it is what was kept."""
    try:
        content = path.read_bytes()
    except OSError as error:
        return f"clip {path} cannot be read: {error}"
    return None if hashlib.sha256(content).digest() == sha256 else f"clip {path} is not what was kept"
