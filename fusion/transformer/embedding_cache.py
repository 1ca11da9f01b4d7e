"""What frozen encoders have said already, on disk: read once, never computed twice.

An entry is one tensor in a safetensors file named by the hash of everything that determines it (the encoder's
weights, its input, precision and device). A file is written under another name and then renamed, so a killed process
leaves either a whole entry or none. When the directory outgrows its bound, the entries used longest ago go.
"""

from __future__ import annotations

import logging
import os
import re
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from bark_infinity.error_handling import BarkError

logger = logging.getLogger(__name__)

_KEY = re.compile(r"[0-9a-f]{64}")
_LEFT_BEHIND_S = 3_600.0  # no write takes this long, so an older unfinished file is a killed one's
_KEPT_SHARE = 0.9  # evict a little more than needed, so that not every write has to look at all files


class EmbeddingCache:
    """A bounded directory of tensors; any number of threads and processes may share it.

    Args:
        directory: Made if need be; nothing else should live in it.
        max_bytes: Bound on the size of all entries together.

    Raises:
        BarkError: When the directory cannot be made, or the bound is not above 0.
    """

    def __init__(self, directory: str | Path, max_bytes: int = 2 * 2**30) -> None:
        if max_bytes <= 0:
            raise BarkError(f"an embedding cache of {max_bytes} bytes holds nothing; give max_bytes above 0")
        self.directory, self.max_bytes = Path(directory), max_bytes
        self._lock = threading.Lock()
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BarkError(
                f"cannot make the embedding cache {self.directory}: {error.strerror or error}; name another directory"
            ) from error
        self._remove_left_behind()
        self._bytes = sum(size for _, _, size in self._entries())

    def get(self, key: str) -> Tensor | None:
        """The tensor kept under a key, on the CPU; None when there is none, or its file is damaged (and removed)."""
        from safetensors import SafetensorError
        from safetensors.torch import load

        path = self._path(key)
        try:
            content = path.read_bytes()
        except OSError:
            return None
        try:
            tensor: Tensor = load(content)["states"]
        except (SafetensorError, KeyError, ValueError) as error:
            logger.warning("%s is damaged (%s); it is computed again", path, error)
            path.unlink(missing_ok=True)
            return None
        try:
            os.utime(path)
        except OSError:  # another process evicted it since; what was read is whole
            logger.debug("%s was evicted while it was read", path)
        return tensor

    def put(self, key: str, tensor: Tensor) -> None:
        """Keeps a tensor. A full or read-only disk costs the entry, not the run; a warning says so."""
        from safetensors.torch import save

        content = save({"states": tensor.detach().cpu().contiguous()})
        if len(content) > self.max_bytes:
            logger.warning("an entry of %d bytes exceeds the embedding cache's %d", len(content), self.max_bytes)
            return
        path = self._path(key)
        part = path.with_name(f".{uuid.uuid4().hex}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with part.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, path)
        except OSError as error:
            part.unlink(missing_ok=True)
            logger.warning("cannot keep an entry in the embedding cache %s: %s", self.directory, error)
            return
        with self._lock:
            self._bytes += len(content)
            if self._bytes > self.max_bytes:
                self._evict()

    def __len__(self) -> int:
        return sum(1 for _ in self._entries())

    def _path(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise BarkError(f"cache key {key!r} is not 64 hexadecimal digits; use a SHA-256")
        return self.directory / key[:2] / f"{key}.safetensors"

    def _entries(self) -> Iterator[tuple[float, Path, int]]:
        """Time of last use, path and bytes of every entry."""
        for path in self.directory.glob("??/*.safetensors"):
            try:
                status = path.stat()
            except OSError:  # evicted by another process meanwhile
                continue
            yield status.st_mtime, path, status.st_size

    def _evict(self) -> None:
        entries = sorted(self._entries(), key=lambda entry: (entry[0], entry[1].name))
        total = sum(size for _, _, size in entries)
        while entries and total > self.max_bytes * _KEPT_SHARE:
            _, path, size = entries.pop(0)
            path.unlink(missing_ok=True)
            total -= size
        self._bytes = total

    def _remove_left_behind(self) -> None:
        for path in self.directory.glob("??/.*.part"):
            try:
                if time.time() - path.stat().st_mtime > _LEFT_BEHIND_S:
                    path.unlink()
            except OSError:
                logger.debug("%s was removed by another process", path)


def tensor_bytes(tensor: Tensor) -> bytes:
    """A tensor's dtype, shape and values as bytes, for hashing; any precision, on any device."""
    plain = tensor.detach().cpu().contiguous()
    head = f"{plain.dtype}{tuple(plain.shape)}".encode()
    return head + plain.reshape(-1).view(torch.uint8).numpy().tobytes()
