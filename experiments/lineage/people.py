"""What people said of births: pairwise choices, ratings, tags, notes. Nothing is deleted; what is taken back is marked.

Every judgement and every withdrawal is an event of its run too, in its place among what was asked and told, so that a
swarm that listens to people resumes as it was.
"""

from __future__ import annotations

import math
import sqlite3
import time
from dataclasses import dataclass
from typing import Any, Literal

from experiments.lineage.errors import LineageError
from experiments.lineage.reading import LineageReader
from experiments.lineage.rows import birth_of, row_id
from experiments.lineage.store import Lineage

Kind = Literal["better", "equal", "both_bad", "rating"]


@dataclass(frozen=True)
class Judgement:
    """One answer of one person.

    Attributes:
        judgement_id: Number in the file.
        kind: ``better``: ``one`` was preferred to ``other``; ``equal``: neither; ``both_bad``: neither is any good;
            ``rating``: ``one`` got ``value``.
        one: A birth.
        other: Another; None for ratings.
        value: Of a rating, in [0, 1]; a like is 1, a dislike 0.
        rater: Who.
        session: In which sitting.
        latency_s: Seconds from hearing to answering.
        at: Seconds since 1970.
        withdrawn: Whether it was taken back.
    """

    judgement_id: int
    kind: Kind
    one: int
    other: int | None
    value: float | None
    rater: str
    session: str
    latency_s: float | None
    at: float
    withdrawn: bool


@dataclass(frozen=True)
class Remark:
    """A tag or a note.

    Attributes:
        remark_id: Number in the file.
        birth: What it is about.
        text: The tag's name, or the note.
        at: Seconds since 1970.
    """

    remark_id: int
    birth: int
    text: str
    at: float


# -- judgements -------------------------------------------------------------------------------------------------


def judge(
    lineage: Lineage,
    run_id: int,
    kind: Kind,
    one: int,
    other: int | None = None,
    *,
    value: float | None = None,
    rater: str = "",
    session: str = "",
    latency_s: float | None = None,
) -> int:
    """Records one answer, in one transaction; see `Judgement` for the arguments.

    Returns:
        Its number, for `withdraw`.

    Raises:
        LineageError: ``invalid`` when births or value do not fit the kind; ``conflict`` when a birth is not there.
    """
    fits = (other is None, value is not None) == ((True, True) if kind == "rating" else (False, False))
    if not fits or one == other or (value is not None and not (math.isfinite(value) and 0 <= value <= 1)):
        raise LineageError(
            f"a judgement {kind!r} of births {one} and {other} with value {value} makes no sense; a rating has one "
            "birth and a value from 0 to 1, the others two different births and no value",
            "invalid",
        )
    with lineage.transaction("recording a judgement") as write:
        cursor = write.execute(
            "INSERT INTO judgements (run_id, kind, one, other, value, rater, session, latency_s, at) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                run_id,
                kind,
                row_id(run_id, one),
                None if other is None else row_id(run_id, other),
                value,
                rater,
                session,
                latency_s,
                time.time(),
            ),
        )
        number = int(cursor.lastrowid or 0)
        payload = {"judgement": _ordinal(write, run_id, number), "kind": kind, "one": one, "other": other}
        lineage.record_event(run_id, "judged", payload | {"value": value, "rater": rater})
    return number


def withdraw(lineage: Lineage, judgement_id: int) -> None:
    """Takes a judgement back; it stays in the file, marked.

    Raises:
        LineageError: ``missing`` when there is none of that number that still stands.
    """
    with lineage.transaction("taking a judgement back") as write:
        found = write.execute(
            "UPDATE judgements SET withdrawn = 1, withdrawn_at = ? WHERE judgement_id = ? AND NOT withdrawn "
            "RETURNING run_id",
            (time.time(), judgement_id),
        ).fetchall()
        if not found:
            raise LineageError(f"{lineage.path} has no judgement {judgement_id} that still stands", "missing")
        [(run_id,)] = found
        lineage.record_event(run_id, "withdrawn", {"judgement": _ordinal(write, run_id, judgement_id)})


def judgements(lineage: LineageReader, run_id: int, *, withdrawn: bool = False) -> list[Judgement]:
    """Judgements of a run in the order they were given.

    Args:
        lineage: The file.
        run_id: The run.
        withdrawn: Also those that were taken back.
    """
    with lineage.turn("reading judgements"):
        found = lineage.query(
            "SELECT judgement_id, kind, one, other, value, rater, session, latency_s, at, withdrawn FROM judgements "
            "WHERE run_id = ? AND withdrawn <= ? ORDER BY judgement_id",
            (run_id, int(withdrawn)),
        )
    return [
        Judgement(
            number,
            kind,
            birth_of(one),
            None if other is None else birth_of(other),
            value,
            rater,
            session,
            latency,
            at,
            bool(gone),
        )
        for number, kind, one, other, value, rater, session, latency, at, gone in found
    ]


def _ordinal(write: sqlite3.Connection, run_id: int, judgement_id: int) -> int:
    """Place among its run's judgements: unlike the row's number, equal in equal runs of different files."""
    [ordinal] = write.execute(
        "SELECT count(*) FROM judgements WHERE run_id = ? AND judgement_id <= ?", (run_id, judgement_id)
    ).fetchone()
    return int(ordinal)


# -- tags and notes ---------------------------------------------------------------------------------------------


def tag(lineage: Lineage, run_id: int, birth: int, name: str) -> None:
    """Gives a birth a tag, such as ``elite`` or ``favourite``; once is enough.

    Raises:
        LineageError: ``invalid`` when the name is empty; ``conflict`` when the birth is not there.
    """
    if not name.strip():
        raise LineageError("a tag's name is empty; give it one", "invalid")
    with lineage.transaction("tagging") as write:
        if not _standing(write, row_id(run_id, birth), name):
            _remark(write, run_id, birth, "tag", name)


def untag(lineage: Lineage, run_id: int, birth: int, name: str) -> None:
    """Takes a tag back, if the birth has it."""
    with lineage.transaction("taking a tag back") as write:
        for number in _standing(write, row_id(run_id, birth), name):
            write.execute(
                "UPDATE remarks SET withdrawn = 1, withdrawn_at = ? WHERE remark_id = ?", (time.time(), number)
            )


def note(lineage: Lineage, run_id: int, birth: int, text: str) -> int:
    """Adds a note to a birth; returns its number, for `withdraw_note`.

    Raises:
        LineageError: ``conflict`` when the birth is not there.
    """
    with lineage.transaction("adding a note") as write:
        return _remark(write, run_id, birth, "note", text)


def withdraw_note(lineage: Lineage, remark_id: int) -> None:
    """Takes a note back; it stays in the file, marked.

    Raises:
        LineageError: ``missing`` when there is none of that number that still stands.
    """
    with lineage.transaction("taking a note back") as write:
        changed = write.execute(
            "UPDATE remarks SET withdrawn = 1, withdrawn_at = ? WHERE remark_id = ? AND kind = 'note' "
            "AND NOT withdrawn",
            (time.time(), remark_id),
        ).rowcount
        if not changed:
            raise LineageError(f"{lineage.path} has no note {remark_id} that still stands", "missing")


def tags(lineage: LineageReader, run_id: int, birth: int) -> list[str]:
    """A birth's tags, in the order they were given."""
    return [remark.text for remark in _remarks(lineage, run_id, birth, "tag")]


def notes(lineage: LineageReader, run_id: int, birth: int) -> list[Remark]:
    """A birth's notes, oldest first."""
    return _remarks(lineage, run_id, birth, "note")


def remarks(lineage: LineageReader, run_id: int, kind: Literal["tag", "note"]) -> list[Remark]:
    """All tags or all notes of a run, in the order they were given."""
    with lineage.turn(f"reading {kind}s"):
        found = lineage.query(
            "SELECT remark_id, birth_id, text, at FROM remarks WHERE kind = ? AND NOT withdrawn "
            "AND birth_id BETWEEN ? AND ? ORDER BY remark_id",
            (kind, row_id(run_id, 0), row_id(run_id + 1, 0)),
        )
    return [Remark(number, birth_of(row), text, at) for number, row, text, at in found]


def tagged(lineage: LineageReader, run_id: int, name: str) -> list[int]:
    """Births with a tag, in birth order."""
    with lineage.turn("looking for tags"):
        found = lineage.query(
            "SELECT DISTINCT birth_id FROM remarks WHERE kind = 'tag' AND text = ? AND NOT withdrawn "
            "AND birth_id BETWEEN ? AND ? ORDER BY birth_id",
            (name, row_id(run_id, 0), row_id(run_id + 1, 0)),
        )
    return [birth_of(row) for (row,) in found]


def _standing(write: sqlite3.Connection, row: int, name: str) -> list[int]:
    found: list[tuple[Any, ...]] = write.execute(
        "SELECT remark_id FROM remarks WHERE birth_id = ? AND kind = 'tag' AND text = ? AND NOT withdrawn", (row, name)
    ).fetchall()
    return [int(number) for (number,) in found]


def _remark(write: sqlite3.Connection, run_id: int, birth: int, kind: str, text: str) -> int:
    cursor = write.execute(
        "INSERT INTO remarks (birth_id, kind, text, at) VALUES (?, ?, ?, ?)",
        (row_id(run_id, birth), kind, text, time.time()),
    )
    return int(cursor.lastrowid or 0)


def _remarks(lineage: LineageReader, run_id: int, birth: int, kind: str) -> list[Remark]:
    with lineage.turn(f"reading {kind}s"):
        found = lineage.query(
            "SELECT remark_id, text, at FROM remarks WHERE birth_id = ? AND kind = ? AND NOT withdrawn "
            "ORDER BY remark_id",
            (row_id(run_id, birth), kind),
        )
    return [Remark(number, birth, text, at) for number, text, at in found]
