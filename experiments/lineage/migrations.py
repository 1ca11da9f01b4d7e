"""Numbered steps from one schema version to the next, each with its record in one transaction.

A file that holds anything is copied first, by VACUUM INTO, to ``NAME.vN.backup.db`` beside it. Killed at any instant,
the file is of one of these versions, and the next writer goes on from there.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from pathlib import Path

from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

from experiments.lineage.schema import APPLICATION_ID, STATEMENTS, VERSION

logger = logging.getLogger(__name__)

MIGRATIONS = Migrations("lineage")


def _apply(db: Database, version: int) -> None:
    for statement in STATEMENTS[version]:
        db.conn.execute(statement)
    db.conn.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.conn.execute(f"PRAGMA user_version = {version}")


@MIGRATIONS()
def m001_what_runs_did(db: Database) -> None:
    """Runs, births, parents, evaluations, events."""
    _apply(db, 1)


@MIGRATIONS()
def m002_what_people_said(db: Database) -> None:
    """Judgements, tags, notes; audio that is kept."""
    _apply(db, 2)


@MIGRATIONS()
def m003_how_runs_are_conducted(db: Database) -> None:
    """Execution of runs; terms that could not be judged."""
    _apply(db, 3)


@MIGRATIONS()
def m004_both_of_a_pair_are_bad(db: Database) -> None:
    """A kind of judgement that two ratings cannot say."""
    _apply(db, 4)


def backup_path(path: Path, version: int) -> Path:
    """Where the copy of a file goes before it is migrated from ``version``."""
    return path.with_name(f"{path.stem}.v{version}.backup.db")


def migrate(path: Path, connection: sqlite3.Connection, version: int) -> Path | None:
    """Brings a database to `VERSION`; the caller holds the writer's lock.

    Args:
        path: Of the file.
        connection: To it, in Python's default transaction mode (sqlite-utils begins and commits itself).
        version: What it is now; 0 for an empty file.

    Returns:
        The backup that was written; None when there was nothing to lose.

    Raises:
        sqlite3.Error: When SQLite refuses; the file then is of its old version, and whole.
        OSError: When the backup cannot be written.
    """
    backup = None
    if version:
        backup = backup_path(path, version)
        back_up(connection, backup)
        logger.info("%s: schema %d becomes %d; a copy is in %s", path, version, VERSION, backup)
    MIGRATIONS.apply(Database(connection))
    return backup


def back_up(connection: sqlite3.Connection, target: Path) -> None:
    """Copies the database into a file that is whole or not there at all."""
    unfinished = target.with_name(f".{target.name}.part")
    unfinished.unlink(missing_ok=True)  # of a copy that was killed
    connection.execute("VACUUM INTO ?", (str(unfinished),))
    with unfinished.open("rb+") as file:
        os.fsync(file.fileno())
    unfinished.replace(target)
