"""How a pool and its workers talk: pickled messages over pipes, each with its length in front.

Both ends are this program, the child started by its parent, so pickles are safe here; nothing else is ever read with
this. A message that ends early means that the other side died while it was writing.
"""

from __future__ import annotations

import copyreg
import io
import pickle
import struct
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, BinaryIO

_LENGTH = struct.Struct("!Q")


def _read_only(content: dict[Any, Any]) -> Mapping[Any, Any]:
    return MappingProxyType(content)


# Read-only mappings, which scores and candidates are full of, do not pickle by themselves.
_REDUCERS: dict[type, Any] = copyreg.dispatch_table | {MappingProxyType: lambda one: (_read_only, (dict(one),))}


def packed(message: Any) -> bytes:
    """A message as bytes.

    Raises:
        Exception: Whatever a part of it that cannot be pickled throws.
    """
    buffer = io.BytesIO()
    pickler = pickle.Pickler(buffer, protocol=pickle.HIGHEST_PROTOCOL)
    pickler.dispatch_table = _REDUCERS
    pickler.dump(message)
    return buffer.getvalue()


def unpacked(data: bytes) -> Any:
    """The message again."""
    return pickle.loads(data)


def write(pipe: BinaryIO, data: bytes) -> None:
    """Writes one message's bytes.

    Raises:
        OSError: When nobody reads any more.
    """
    pipe.write(_LENGTH.pack(len(data)))
    pipe.write(data)
    pipe.flush()


def read(pipe: BinaryIO) -> bytes | None:
    """Waits for one message's bytes; None when the other side is gone."""
    try:
        header = pipe.read(_LENGTH.size)
        if len(header) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack(header)
        data = pipe.read(length)
    except (OSError, ValueError):  # ValueError: this side closed the pipe while waiting
        return None
    return data if len(data) == length else None
