"""Digests of a checkpoint's files; those of large files are remembered between runs, so that each is read once.

A digest is remembered for the file as it was: its path, size, time of change and inode. The store only saves time:
when it is missing, damaged or cannot be written, files are hashed again, and nothing else happens.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from bark_infinity.checkpoints.sources import require_file
from bark_infinity.error_handling import CheckpointError

logger = logging.getLogger(__name__)

REMEMBERED_FROM_BYTES = 64 * 2**20  # smaller files are hashed in no time
_SETTLED_NS = 2_000_000_000  # a younger file may change again within the same tick of its file system's clock
_SLOW_S = 2.0  # after so long the user is told what takes time
_CHUNK_BYTES = 2**20
_MAX_ENTRIES = 256
_MAX_STORE_BYTES = 2**20


class DigestStore:
    """Digests of files, remembered in one JSON file; any thread or process may use it.

    Args:
        file: Where to remember; None takes `default_store_file`.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._measured: dict[str, dict[str, Any]] = {}  # by this process; serves where the file cannot be written

    def digest(self, path: Path, algorithm: str) -> str:
        """Digest of a file's content as it is now.

        Args:
            path: Of a regular file.
            algorithm: As `hashlib.new` takes it.

        Returns:
            Lower-case hex.

        Raises:
            CheckpointError: When the file is not there or cannot be read.
        """
        try:
            status = require_file(path).stat()
            if status.st_size < REMEMBERED_FROM_BYTES:
                return _hash(path, algorithm)
            key, state = f"{algorithm}:{path.resolve()}", _state(status)
            known = self._known(key, state)
            if known is not None:
                return known
            settled = time.time_ns() - status.st_mtime_ns > _SETTLED_NS
            digest = _hash(path, algorithm)
            if settled and _state(path.stat()) == state:
                self._remember(key, state | {"digest": digest})
        except OSError as error:
            raise CheckpointError(f"{path} cannot be read: {error.strerror}; check the file and the disk") from error
        return digest

    def _known(self, key: str, state: dict[str, Any]) -> str | None:
        with self._lock:
            entry = self._measured.get(key) or self._read().get(key)
        if not isinstance(entry, dict) or {name: entry.get(name) for name in state} != state:
            return None
        digest = entry.get("digest")
        size = 2 * hashlib.new(key.split(":")[0], usedforsecurity=False).digest_size
        return digest if isinstance(digest, str) and len(digest) == size else None

    def _remember(self, key: str, entry: dict[str, Any]) -> None:
        with self._lock:
            self._measured[key] = entry
            entries = self._read()
            entries.pop(key, None)
            entries[key] = entry  # to the end: the oldest are dropped first
            self._write(dict(list(entries.items())[-_MAX_ENTRIES:]))

    def _read(self) -> dict[str, Any]:
        file = self._file or default_store_file()
        try:
            with file.open("rb") as store:
                entries = json.loads(store.read(_MAX_STORE_BYTES))
        except (OSError, ValueError, RecursionError) as error:
            logger.debug("no digests are remembered in %s: %s", file, error)
            return {}
        return entries if isinstance(entries, dict) else {}

    def _write(self, entries: dict[str, Any]) -> None:
        file = self._file or default_store_file()
        part = ""
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            handle, part = tempfile.mkstemp(prefix=".", suffix=".part", dir=file.parent)
            with os.fdopen(handle, "w", encoding="ascii") as store:
                json.dump(entries, store, indent=1)
            os.replace(part, file)
        except OSError as error:
            logger.debug("digests cannot be remembered in %s: %s", file, error)
            if part:
                with contextlib.suppress(OSError):
                    os.unlink(part)


def default_store_file() -> Path:
    """Where digests are remembered, by the platform's custom for caches; it need not exist."""
    import platformdirs

    return platformdirs.user_cache_path("victor-bark-fusion", appauthor=False) / "file_digests.json"


STORE = DigestStore()
"""The store of this process."""


def _state(status: os.stat_result) -> dict[str, Any]:
    """What changes when a file's content does."""
    return {"size": status.st_size, "mtime_ns": status.st_mtime_ns, "inode": status.st_ino}


def _hash(path: Path, algorithm: str) -> str:
    hasher = hashlib.new(algorithm, usedforsecurity=False)
    chunk = memoryview(bytearray(_CHUNK_BYTES))
    started, told = time.monotonic(), False
    with path.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        while n_read := file.readinto(chunk):
            hasher.update(chunk[:n_read])
            if not told and time.monotonic() - started > _SLOW_S:
                told = True
                logger.warning(
                    "verifying %s (%.1f GB); a file that does not change is verified once", path.name, size / 1e9
                )
    return hasher.hexdigest()
