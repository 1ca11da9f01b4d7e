"""Garbage collection: tokens and audio of births that nobody cares about are let go; the births themselves never are.

Every birth stays in the tree with its genome, parents, score and the hash of what it rendered, and can be rendered
again from genome and seed. What is let go are the rendered tokens of births that are not judged, tagged or among the
best of a term, nor ancestors of such (by choice: of their primary line only), nor a voice that any birth speaks with;
and clips of births that are not judged, tagged or among the best.

Work is done in short transactions, rows before files, so a kill at any instant leaves a whole lineage, and the next
collection goes on from there.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal

from experiments.lineage.clips import clip_folder, resolved
from experiments.lineage.errors import explained
from experiments.lineage.store import Lineage

_PIECE = 500  # rows per transaction
_GRACE_S = 3_600.0  # age of a file that no row names before it is garbage: it may be about to get one

Ancestors = Literal["all", "primary", "none"]

_CARED_FOR = (
    "SELECT one FROM judgements WHERE NOT withdrawn "
    "UNION SELECT other FROM judgements WHERE NOT withdrawn AND other IS NOT NULL "
    "UNION SELECT birth_id FROM remarks WHERE NOT withdrawn "
    "UNION SELECT run_id << 32 | birth FROM leaders "
    "UNION SELECT branched_from FROM runs WHERE branched_from IS NOT NULL"
)
_LINES = {
    "all": "SELECT parent FROM kept JOIN parents ON child = kept.id",
    "primary": "SELECT parent FROM kept JOIN parents ON child = kept.id AND role = 'first'",
}


@dataclass(frozen=True)
class Collected:
    """What a collection let go.

    Attributes:
        voices: Token sequences.
        token_bytes: Of these.
        clips: Kept audio, by row.
        files: Clips and leftovers of killed writers, on disk.
        file_bytes: Of these.
    """

    voices: int
    token_bytes: int
    clips: int
    files: int
    file_bytes: int


def collect(
    lineage: Lineage, *, ancestors: Ancestors = "all", compact: bool = False, grace_s: float = _GRACE_S
) -> Collected:
    """Lets go of what nobody cares about.

    Args:
        lineage: Opened for writing.
        ancestors: Whose tokens stay besides those of births that are cared for: of all their ancestors, of their
            primary lines, or of none.
        compact: Give the space back to the disk (SQLite's VACUUM; needs as much free space again while it runs).
        grace_s: Files that no row names are removed when they are older than so many seconds.

    Raises:
        LineageError: When the file is not writable or the disk is full.
    """
    voices, token_bytes = _let_tokens_go(lineage, ancestors)
    clips = _let_clips_go(lineage)
    files, file_bytes = _remove_files(lineage, grace_s)
    if compact:
        lineage.vacuum()
    return Collected(voices, token_bytes, clips, files, file_bytes)


def _let_tokens_go(lineage: Lineage, ancestors: Ancestors) -> tuple[int, int]:
    with lineage.transaction("choosing what may be let go") as write:
        write.execute("CREATE TEMP TABLE IF NOT EXISTS needed (voice_id INTEGER PRIMARY KEY)")
        write.execute("DELETE FROM needed")
        line = f" UNION {_LINES[ancestors]}" if ancestors in _LINES else ""
        write.execute(
            f"INSERT OR IGNORE INTO needed WITH RECURSIVE kept (id) AS (SELECT * FROM ({_CARED_FOR}){line}) "
            "SELECT voice_id FROM kept JOIN evaluations ON birth_id = kept.id WHERE voice_id IS NOT NULL"
        )
        write.execute("INSERT OR IGNORE INTO needed SELECT voice_id FROM births WHERE voice_id IS NOT NULL")
        write.execute("INSERT OR IGNORE INTO needed SELECT first_voice_id FROM births WHERE first_voice_id IS NOT NULL")
        garbage = lineage.query(
            "SELECT voice_id, length(tokens) FROM voices WHERE tokens IS NOT NULL "
            "AND voice_id IN (SELECT voice_id FROM evaluations) AND voice_id NOT IN (SELECT voice_id FROM needed)"
        )
        write.execute("DROP TABLE needed")
    for begin in range(0, len(garbage), _PIECE):
        with lineage.transaction("letting tokens go") as write:
            write.executemany(
                "UPDATE voices SET tokens = NULL WHERE voice_id = ?",
                [(one,) for one, _ in garbage[begin : begin + _PIECE]],
            )
    lineage.forget()
    return len(garbage), sum(size for _, size in garbage)


def _let_clips_go(lineage: Lineage) -> int:
    with lineage.transaction("letting clips go") as write:
        return write.execute(f"DELETE FROM clips WHERE birth_id NOT IN ({_CARED_FOR})").rowcount


def _remove_files(lineage: Lineage, grace_s: float) -> tuple[int, int]:
    folder = clip_folder(lineage.path)
    with lineage.turn("looking for files that no row names"):
        named = {resolved(lineage.path, path).name for (path,) in lineage.query("SELECT path FROM clips")}
    files = size = 0
    with explained(folder, "removing files that no row names"):
        for path in sorted(folder.glob("*.flac")) if folder.is_dir() else []:
            there = path.lstat()
            if path.name not in named and time.time() - there.st_mtime >= grace_s:
                path.unlink()
                files += 1
                size += there.st_size
    return files, size
