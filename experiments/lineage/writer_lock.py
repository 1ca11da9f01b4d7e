"""One writer per lineage file: a lock that dies with its process, and says who holds it.

The lock is on ``NAME-writer`` beside the database, so it does not stand in the way of viewers. It is a POSIX record
lock: worker processes that the writer forks do not inherit it, as they would an flock, so they cannot keep it after
their parent was killed. Record locks do not tell two openers in one process apart and vanish when the process closes
*any* handle of the file, so this module keeps its own list, and a holder never opens the file again.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from experiments.lineage.errors import LineageError, explained

_LOCKED_BYTE = 1 << 30  # beyond the text: Windows locks keep others from reading what they cover

_held: dict[Path, WriterLock] = {}
_guard = threading.Lock()


@dataclass
class WriterLock:
    """The right to write one lineage file, held until `release` or the end of the process."""

    path: Path
    who: str
    _handle: int
    _owner_pid: int

    @classmethod
    def acquire(cls, database: Path, who: str, identity: str = "") -> WriterLock:
        """Takes the lock, or says who has it.

        Args:
            database: The lineage file.
            who: What the holder calls itself, such as ``bark-lab run overnight``.
            identity: Written beside the holder: the database this lock file belongs to.

        Raises:
            LineageError: When there is a writer already (``locked``), or no lock file can be made (``unusable``).
        """
        path = lock_path(database)
        with _guard:
            mine = _held.get(path)
            if mine is not None and mine._owner_pid == os.getpid():
                raise _refusal(database, f"this process itself ({mine.who})")
            with explained(database, "taking the writer's lock"):
                handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
            if not _try_lock(handle):
                holder = _read(handle).get("holder", "another process")
                os.close(handle)
                raise _refusal(database, str(holder))
            lock = cls(path, who, handle, os.getpid())
            _held[path] = lock
        lock.sign(identity)
        return lock

    def sign(self, identity: str) -> None:
        """Writes the holder and the database's identity into the lock file."""
        since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
        holder = f"{self.who or 'a writer'}, process {os.getpid()} on {socket.gethostname()}, since {since}"
        text = json.dumps({"identity": identity or _read(self._handle).get("identity", ""), "holder": holder}).encode()
        with explained(self.path, "signing the writer's lock"):
            os.lseek(self._handle, 0, os.SEEK_SET)
            os.write(self._handle, text)
            os.ftruncate(self._handle, len(text))

    def signed_identity(self) -> str:
        """The database that the lock file was last signed for; empty when it is new."""
        return str(_read(self._handle).get("identity", ""))

    def release(self) -> None:
        """Gives the lock back; the file stays, and tells later openers that the database was written here."""
        with _guard:
            if _held.get(self.path) is self:
                del _held[self.path]
            with contextlib.suppress(OSError):
                os.close(self._handle)


def lock_path(database: Path) -> Path:
    """The lock file of a database."""
    return database.with_name(f"{database.name}-writer")


def known_identity(database: Path) -> str:
    """As `WriterLock.signed_identity`, for those who do not write."""
    path = lock_path(database)
    with _guard:
        mine = _held.get(path)
        if mine is not None and mine._owner_pid == os.getpid():  # opening and closing the file would drop the lock
            return mine.signed_identity()
        try:
            handle = os.open(path, os.O_RDONLY)
        except OSError:
            return ""
        try:
            return str(_read(handle).get("identity", ""))
        finally:
            os.close(handle)


def current_writer(database: Path) -> str | None:
    """Who writes a file now, as it says itself; None when nobody does. Does not disturb anyone.

    On Windows a file's last writer is told, because asking would take the lock.
    """
    path = lock_path(database)
    with _guard:
        mine = _held.get(path)
        if mine is not None and mine._owner_pid == os.getpid():
            return mine.who
        try:
            handle = os.open(path, os.O_RDONLY)
        except OSError:
            return None
        try:
            return str(_read(handle).get("holder", "another process")) if _is_locked(handle) else None
        finally:
            os.close(handle)


def _refusal(database: Path, holder: str) -> LineageError:
    return LineageError(
        f"{database} is being written by {holder}; a lineage has one writer at a time: stop that one first, or open "
        "the file for viewing",
        "locked",
    )


def _read(handle: int) -> dict[str, str]:
    try:
        os.lseek(handle, 0, os.SEEK_SET)
        told = json.loads(os.read(handle, 4096).decode("utf-8"))
    except (OSError, ValueError):
        return {}
    return {key: value for key, value in told.items() if isinstance(value, str)} if isinstance(told, dict) else {}


if sys.platform == "win32":
    import msvcrt

    def _try_lock(handle: int) -> bool:
        os.lseek(handle, _LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _is_locked(handle: int) -> bool:
        return True
else:
    import fcntl
    import struct

    # struct flock: macOS and the BSDs begin with the numbers, Linux with type and whence.
    _FLOCK = ("hhqqi4x", 0, 1, 2, 3, 4) if sys.platform == "linux" else ("qqihh", 3, 4, 0, 1, 2)

    def _try_lock(handle: int) -> bool:
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _LOCKED_BYTE)
        except OSError:
            return False
        return True

    def _is_locked(handle: int) -> bool:
        """Whether another process holds the lock; only asks."""
        form, kind, whence, start, length, _ = _FLOCK
        fields = [0] * 5
        fields[kind], fields[whence], fields[start], fields[length] = fcntl.F_WRLCK, os.SEEK_SET, _LOCKED_BYTE, 1
        answer = struct.unpack(form, fcntl.fcntl(handle, fcntl.F_GETLK, struct.pack(form, *fields)))
        return bool(answer[kind] != fcntl.F_UNLCK)
