"""`LineageError`: what happened to the lineage file, what is safe, and what to do."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from bark_infinity.error_handling import BarkError

Trouble = Literal[
    "full",  # the disk does not take more
    "locked",  # another writer holds the file
    "damaged",  # the file's content is broken
    "foreign",  # not a lineage file, or one whose tables were changed
    "newer",  # written by a later version of the program
    "older",  # has to be migrated first, which only a writer may do
    "unusable",  # it cannot be opened, read or written
    "missing",  # what was asked for is not in it
    "conflict",  # what is to be recorded contradicts what is recorded
    "invalid",  # what is to be recorded breaks a rule
]

_SAFE = "everything acknowledged before is safe"


class LineageError(BarkError):
    """The lineage file refused; ``trouble`` says what kind of trouble it is."""

    def __init__(self, message: str, trouble: Trouble) -> None:
        super().__init__(message)
        self.trouble: Trouble = trouble

    def __reduce__(self) -> tuple[type[LineageError], tuple[str, Trouble]]:
        return type(self), (str(self), self.trouble)  # both arguments, so that it crosses process borders


@contextmanager
def explained(path: Path, doing: str) -> Iterator[None]:
    """Turns errors of SQLite and the file system into a `LineageError`, and those of text that no file can hold.

    Args:
        path: The lineage file.
        doing: What was being done, as in ``recording a result``.

    Raises:
        LineageError: For every `sqlite3.Error`, `OSError` and `UnicodeEncodeError` inside.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise _from_sqlite(path, doing, error) from error
    except OSError as error:
        raise _from_system(path, doing, error) from error
    except UnicodeEncodeError as error:
        raise LineageError(
            f"{path}: text holds half a character ({error.object[error.start : error.end]!r}) while {doing}; nothing "
            "was recorded: give it as whole Unicode text",
            "invalid",
        ) from error


def _from_sqlite(path: Path, doing: str, error: sqlite3.Error) -> LineageError:
    code = getattr(error, "sqlite_errorname", "")
    if code == "SQLITE_FULL":
        return LineageError(
            f"{path}: the disk is full while {doing}; {_SAFE}, this step was undone: free some space and resume",
            "full",
        )
    if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return LineageError(
            f"{path}: another program holds the database locked while {doing}; {_SAFE}, this step was undone: close "
            "the other program (a database browser with unsaved changes?) and resume",
            "locked",
        )
    if code == "SQLITE_NOTADB":
        return LineageError(f"{path} is no SQLite database; nothing was changed: choose a lineage file", "foreign")
    if code.startswith(("SQLITE_CORRUPT", "SQLITE_FORMAT")):
        return LineageError(
            f"{path}: the database is damaged ({error}), found while {doing}; nothing was changed: keep a copy, then "
            "restore a backup beside it, or recover rows with `sqlite3 FILE .recover`",
            "damaged",
        )
    if code.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM", "SQLITE_AUTH")):
        return LineageError(
            f"{path}: the database cannot be opened or written ({error}) while {doing}; nothing was changed: check "
            "the path and the rights to the file and its folder",
            "unusable",
        )
    if code.startswith("SQLITE_CONSTRAINT"):
        return LineageError(
            f"{path}: the record contradicts what is recorded ({error}) while {doing}; {_SAFE}, this step was undone",
            "conflict",
        )
    if code.startswith(("SQLITE_IOERR", "SQLITE_PROTOCOL", "SQLITE_NOLFS")):
        return LineageError(
            f"{path}: reading or writing the disk failed ({error}) while {doing}; {_SAFE}, this step was undone: "
            "check the disk, and that the file is not on a network drive, then resume",
            "unusable",
        )
    return LineageError(f"{path}: {error} while {doing}; {_SAFE}, this step was undone", "unusable")


def _from_system(path: Path, doing: str, error: OSError) -> LineageError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return LineageError(
            f"{path}: the disk is full while {doing} ({error}); {_SAFE}: free some space and resume", "full"
        )
    return LineageError(
        f"{path}: {error} while {doing}; {_SAFE}: check the path and the rights to the folder", "unusable"
    )
