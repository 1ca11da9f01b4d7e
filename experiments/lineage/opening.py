"""Opening a lineage file that may be anyone's: nothing in it is trusted, nothing in it is executed.

Extensions stay off, functions that a schema could abuse are refused (``trusted_schema``), cell sizes are checked, and
the tables must be exactly those of the version the file claims, without triggers. A file that was not written here
before is checked page by page.
"""

from __future__ import annotations

import sqlite3
import stat
import uuid
from pathlib import Path

from experiments.lineage.errors import LineageError, explained
from experiments.lineage.schema import APPLICATION_ID, VERSION, expected_objects, objects
from experiments.lineage.writer_lock import WriterLock, known_identity

_BUSY_S = 10.0
_WRITER_CACHE_KIB = 65_536
_WAL_LIMIT_BYTES = 64 * 2**20


def open_for_viewing(path: Path) -> sqlite3.Connection:
    """A read-only connection to a lineage file of the current schema; a writer may be at work.

    Raises:
        LineageError: When there is no such file, or it is foreign, damaged, older or newer.
    """
    _require_file(path)
    with explained(path, "opening it"):
        connection = _connect(path, "ro")
    try:
        with explained(path, "opening it"):
            connection.execute("PRAGMA query_only = ON")
            version = _checked_version(path, connection)
            if version == 0:
                raise _nothing_yet(path)
            if version < VERSION:
                raise LineageError(
                    f"{path} has schema {version}, this program reads {VERSION}; open it once for writing, which "
                    "makes a backup and migrates it",
                    "older",
                )
            if known_identity(path) != _identity(path, connection):
                _check_pages(path, connection)
    except BaseException:
        connection.close()
        raise
    return connection


def open_for_writing(path: Path, lock: WriterLock) -> sqlite3.Connection:
    """A connection in autocommit mode to a lineage file, which is created or migrated as need be.

    Args:
        path: The file; its folder must be there.
        lock: Held for it.

    Raises:
        LineageError: When it is foreign, damaged or newer, or cannot be written.
    """
    with explained(path, "opening it"):
        connection = _connect(path, "rwc")
    try:
        with explained(path, "opening it"):
            version = _checked_version(path, connection)
            if version and lock.signed_identity() != _identity(path, connection):
                _check_pages(path, connection)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")  # see `Lineage.wait_for_disk`
        if version < VERSION:
            _migrate(path, version)
        with explained(path, "opening it"):
            connection.execute("INSERT OR IGNORE INTO store (key, value) VALUES ('uid', ?)", (uuid.uuid4().hex,))
            lock.sign(_identity(path, connection))
            connection.execute(f"PRAGMA journal_size_limit = {_WAL_LIMIT_BYTES}")
            connection.execute(f"PRAGMA cache_size = -{_WRITER_CACHE_KIB}")
    except BaseException:
        connection.close()
        raise
    return connection


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=_BUSY_S,
        isolation_level=None,  # transactions are begun and ended by name
        check_same_thread=False,  # `Lineage` lets one thread in at a time
        cached_statements=256,
    )
    for pragma in ("trusted_schema = OFF", "cell_size_check = ON", "foreign_keys = ON", "temp_store = MEMORY"):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def _require_file(path: Path) -> None:
    """Looks at the file without opening it: closing it again would drop SQLite's locks of this process on it."""
    try:
        there = path.stat()
    except OSError as error:
        raise LineageError(
            f"there is no lineage file {path} ({error.strerror}); check the path, or start a run there", "missing"
        ) from None
    if stat.S_ISREG(there.st_mode) and not there.st_size:
        raise _nothing_yet(path)


def _nothing_yet(path: Path) -> LineageError:
    return LineageError(f"{path}: nothing is recorded in it yet; wait until its first run begins", "missing")


def _checked_version(path: Path, connection: sqlite3.Connection) -> int:
    """The schema version of an untrusted file; 0 when nothing is in it yet."""
    [application] = connection.execute("PRAGMA application_id").fetchone()
    [version] = connection.execute("PRAGMA user_version").fetchone()
    found = objects(connection)
    if not found and application in (0, APPLICATION_ID) and version == 0:
        return 0
    if application != APPLICATION_ID:
        raise LineageError(
            f"{path} is a database of another program (application id {application:#x}, expected "
            f"{APPLICATION_ID:#x}); nothing was changed: choose a lineage file or a new name",
            "foreign",
        )
    if version > VERSION:
        raise LineageError(
            f"{path} has schema {version}, this program knows up to {VERSION}; nothing was changed: update the "
            "program, or open the backup that the newer one made",
            "newer",
        )
    expected = expected_objects(version) if version > 0 else {}
    changed = sorted(name for name, what in expected.items() if found.get(name) != what)
    added = sorted(name for name, (kind, _) in found.items() if kind in ("trigger", "index") and name not in expected)
    if changed or added or version < 1:
        what = ", ".join([*changed, *added]) or f"version {version}"
        raise LineageError(
            f"{path}: its schema is not that of a lineage of version {version} (differs in {what}); nothing was "
            "changed: it was altered by another program, so restore a backup",
            "foreign",
        )
    return int(version)


def _check_pages(path: Path, connection: sqlite3.Connection) -> None:
    problems = [text for (text,) in connection.execute("PRAGMA quick_check(5)")]
    if problems != ["ok"]:
        raise LineageError(
            f"{path}: the database is damaged ({'; '.join(map(str, problems))}); nothing was changed: keep a copy, "
            "then restore a backup beside it, or recover rows with `sqlite3 FILE .recover`",
            "damaged",
        )


def _identity(path: Path, connection: sqlite3.Connection) -> str:
    """This database as this file: a copy has another, so it is checked even when its lock file came with it."""
    row = connection.execute("SELECT value FROM store WHERE key = 'uid'").fetchone()
    there = path.stat()
    return f"{'' if row is None else row[0]} {there.st_dev} {there.st_ino}"


def _migrate(path: Path, version: int) -> None:
    from experiments.lineage.migrations import migrate  # sqlite-utils takes its time to load

    with explained(path, f"migrating it from schema {version} to {VERSION}"):
        connection = sqlite3.connect(path, timeout=_BUSY_S)
        try:
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.execute("PRAGMA synchronous = FULL")
            migrate(path, connection, version)
        finally:
            connection.close()
