"""Reads .npz and .npy bytes that strangers wrote: no code runs, and memory is bounded before anything is unpacked.

``np.load(allow_pickle=False)`` runs no code, but it believes a file's own sizes: a few kilobytes may unpack to
gigabytes, a forged index may list a million members, and damage surfaces as a dozen kinds of exception. This
reader takes what numpy writes for plain arrays (members stored or deflated, one array each) and checks every size
that a file declares against `MAX_UNPACKED_BYTES` before it allocates. Every refusal is a `VoiceFormatError`.
"""

from __future__ import annotations

import io
import math
import os
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bark_infinity.error_handling import VoiceFormatError

Array = NDArray[Any]

MAX_FILE_BYTES = 8 * 2**20  # of the packed file
MAX_UNPACKED_BYTES = 8 * 2**20  # of all members of one file together, headers included
MAX_MEMBERS = 64
MAX_KEY_BYTES = 200
MAX_NPY_HEADER_BYTES = 4_096
MAX_DIMENSIONS = 8

_NPY_MAGIC = b"\x93NUMPY"
_LOCAL_MAGIC, _INDEX_MAGIC, _END_MAGIC = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
_LOCAL = struct.Struct("<4s22xHH")  # magic, name length, extra length
_INDEX = struct.Struct("<4s4xHH4xLLLHHH8xL")  # flags, method, crc, sizes packed and not, 3 lengths, offset
_END = struct.Struct("<4s4xHHLLH")  # entries on this disk, entries, index size, index offset, comment length
_ENCRYPTED = 0x1 | 0x40 | 0x2000
_NAME_IS_UTF8 = 0x800
_STORED, _DEFLATED = 0, 8

# What numpy writes for an array without fields: a Python dict literal with these three keys.
_NPY_HEADER = re.compile(
    r"\{\s*'descr':\s*'(?P<descr>[<>|=]?[a-zA-Z?]\d{0,9})',\s*"
    r"'fortran_order':\s*(?P<fortran>True|False),\s*"
    r"'shape':\s*\((?P<shape>(?:\s*\d{1,18}L?\s*,)*\s*(?:\d{1,18}L?)?\s*)\),?\s*\}\s*",
    re.ASCII,
)
_PLAIN_KINDS = "biufcSU"  # bool, integers, floats, complex, text: none of them can hold Python objects


@dataclass(frozen=True)
class _Member:
    key: str
    deflated: bool
    crc: int
    packed: int
    unpacked: int
    offset: int


def read_npz(data: bytes, source: str) -> dict[str, Array]:
    """Unpacks all arrays of an .npz file.

    Args:
        data: The file's bytes.
        source: How errors call the file.

    Returns:
        Array by key, in the file's order, each with the dtype and shape it was saved with.

    Raises:
        VoiceFormatError: When the bytes are no .npz file, damaged, encrypted, or ask for too much memory.
    """
    if len(data) > MAX_FILE_BYTES:
        raise VoiceFormatError(
            f"{source}: the file holds more than the {MAX_FILE_BYTES:,} bytes that are read; "
            "a voice takes some 30,000, so check that this is one"
        )
    if data[: len(_LOCAL_MAGIC)] != _LOCAL_MAGIC:
        raise VoiceFormatError(
            f"{source}: expected a .npz file, which begins with {_LOCAL_MAGIC!r}, found {data[:4]!r}; "
            "save voices with VoiceHistory.save or numpy.savez"
        )
    members = list(_index(data, source))
    wanted = sum(member.unpacked for member in members)
    if wanted > MAX_UNPACKED_BYTES:
        raise VoiceFormatError(
            f"{source}: its members unpack to {wanted:,} bytes, at most {MAX_UNPACKED_BYTES:,} are allowed; "
            "no voice is that large, do not trust the file"
        )
    return {member.key: read_npy(_unpack(data, member, source), f"{source}: {member.key}") for member in members}


def read_npy(data: bytes, source: str) -> Array:
    """Reads one array as ``np.save`` writes it.

    Args:
        data: The .npy bytes; the array's data must fill them to the end.
        source: How errors call them.

    Returns:
        A new array, writable, with the dtype and shape it was saved with.

    Raises:
        VoiceFormatError: When the bytes are no .npy array of a plain dtype, or their header lies.
    """
    if data[: len(_NPY_MAGIC)] != _NPY_MAGIC or len(data) < 12:
        raise VoiceFormatError(f"{source}: expected a .npy array, found bytes that begin with {data[:8]!r}")
    major = data[6]
    if major not in (1, 2, 3):
        raise VoiceFormatError(f"{source}: .npy format version {major} is unknown, expected 1, 2 or 3")
    length_at = struct.Struct("<H" if major == 1 else "<I")
    (header_length,) = length_at.unpack_from(data, 8)
    start = 8 + length_at.size
    if header_length > MAX_NPY_HEADER_BYTES or start + header_length > len(data):
        raise VoiceFormatError(
            f"{source}: the .npy header claims {header_length:,} bytes, expected at most "
            f"{MAX_NPY_HEADER_BYTES:,} and no more than the {len(data) - start:,} that follow; the file is damaged"
        )
    header = data[start : start + header_length].decode("latin-1")
    found = _NPY_HEADER.fullmatch(header)
    if found is None:
        raise VoiceFormatError(
            f"{source}: expected a plain array of numbers or text, found the .npy header "
            f"{header.strip()[:120]!r}; save it with numpy.savez"
        )
    dtype = _plain_dtype(found["descr"], source)
    shape = tuple(int(size.rstrip("L")) for size in found["shape"].replace(" ", "").split(",") if size)
    if len(shape) > MAX_DIMENSIONS:
        raise VoiceFormatError(
            f"{source}: the array has {len(shape)} dimensions, at most {MAX_DIMENSIONS} are read; tokens have two"
        )
    count = math.prod(shape)
    held = len(data) - start - header_length
    if count * dtype.itemsize != held:
        raise VoiceFormatError(
            f"{source}: the .npy header promises shape {shape} of {found['descr']}, that is "
            f"{count * dtype.itemsize:,} bytes, but {held:,} follow; the file is damaged or lies"
        )
    order: Literal["F", "C"] = "F" if found["fortran"] == "True" else "C"
    if held == 0:
        return np.zeros(shape, dtype)
    flat: Array = np.frombuffer(data, dtype, offset=start + header_length)
    return flat.reshape(shape, order=order).copy(order="C")


def file_bytes(path: str | os.PathLike[str]) -> bytes:
    """A file's bytes; of one that is too large, one more than are allowed, for the readers to refuse.

    Raises:
        VoiceFormatError: When there is no such file, it is not a plain one, or it cannot be read.
    """
    shown = shown_path(path)
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):  # to open a pipe would be to wait for ever
            raise VoiceFormatError(f"{shown}: it is no plain file, expected a voice file such as en_speaker_6.npz")
        with open(path, "rb") as file:
            return file.read(min(MAX_FILE_BYTES, status.st_size) + 1)
    except FileNotFoundError:
        raise VoiceFormatError(
            f"{shown}: there is no such file, expected a voice (.npz); check the path, a relative one begins at the "
            "current folder"
        ) from None
    except (OSError, ValueError, TypeError) as error:
        raise VoiceFormatError(f"{shown}: the voice file could not be opened: {error}; check the path") from error


def shown_path(path: str | os.PathLike[str]) -> str:
    """A path as messages show it: always printable."""
    text = str(os.fspath(path))
    return text if text.isprintable() else ascii(text)


def npz_bytes(arrays: Mapping[str, Array]) -> bytes:
    """Packs arrays as ``np.savez_compressed`` does, but equal arrays always give equal bytes.

    Args:
        arrays: Array by key; the order is kept.

    Raises:
        VoiceFormatError: When `read_npz` would refuse the result.
    """
    unpacked = sum(array.nbytes + MAX_NPY_HEADER_BYTES for array in arrays.values())
    if len(arrays) > MAX_MEMBERS or unpacked > MAX_UNPACKED_BYTES:
        raise VoiceFormatError(
            f"{len(arrays)} arrays of {unpacked:,} bytes are to be stored, expected at most {MAX_MEMBERS} arrays and "
            f"{MAX_UNPACKED_BYTES:,} bytes, since no more are read back; leave out what is no part of the voice"
        )
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for key, array in arrays.items():
            require_storable(key, array, "voice")
            member = zipfile.ZipInfo(f"{key}.npy")  # dated 1980, so that the time of saving leaves no trace
            member.compress_type = zipfile.ZIP_DEFLATED
            member.create_system = 3  # the same on every system
            content = io.BytesIO()
            np.lib.format.write_array(content, array, allow_pickle=False)
            archive.writestr(member, content.getvalue())
    return packed.getvalue()


def require_storable(key: str, array: Array, source: str) -> None:
    """Checks that `read_npz` will read back what is stored under this key.

    Raises:
        VoiceFormatError: When the key or the dtype is not of the plain kinds.
    """
    if not _fits(key):
        raise VoiceFormatError(
            f"{source}: an array cannot be stored under the key {key[:60]!r}, expected printable text of at most "
            f"{MAX_KEY_BYTES} bytes; choose another key"
        )
    if array.dtype.kind not in _PLAIN_KINDS or array.ndim > MAX_DIMENSIONS or array.dtype.itemsize == 0:
        raise VoiceFormatError(
            f"{source}: {key} has dtype {array.dtype} and {array.ndim} axes, expected numbers or text and at most "
            f"{MAX_DIMENSIONS} axes, since no others are read back; convert it"
        )


def _fits(key: str) -> bool:
    return key.isprintable() and len(key.encode("utf-8")) <= MAX_KEY_BYTES


def _index(data: bytes, source: str) -> Iterator[_Member]:
    """Walks the zip's index, whose place the end record names, without unpacking anything."""
    end = data.rfind(_END_MAGIC)
    if end < 0 or end + _END.size > len(data):
        raise VoiceFormatError(f"{source}: the .npz file has no index at its end; it is cut short, fetch it again")
    _, on_disk, entries, index_size, at, comment = _END.unpack_from(data, end)
    if end + _END.size + comment != len(data) or on_disk != entries or at + index_size != end:
        raise VoiceFormatError(
            f"{source}: the .npz file's index is not where its end record says; it is damaged, fetch it again"
        )
    if entries > MAX_MEMBERS:
        raise VoiceFormatError(
            f"{source}: the .npz file lists {entries:,} members, at most {MAX_MEMBERS} are read; "
            "a voice has three, do not trust the file"
        )
    seen: set[str] = set()
    for _ in range(entries):
        if at + _INDEX.size > end:
            raise VoiceFormatError(f"{source}: the .npz file's index is cut short; fetch it again")
        magic, flags, method, crc, packed, unpacked, *lengths, offset = _INDEX.unpack_from(data, at)
        name_at = at + _INDEX.size
        name = data[name_at : name_at + lengths[0]]
        at = name_at + sum(lengths)  # of name, extra field and comment
        if magic != _INDEX_MAGIC or at > end:
            raise VoiceFormatError(f"{source}: the .npz file's index is damaged; fetch it again")
        file_name = name.decode("utf-8" if flags & _NAME_IS_UTF8 else "cp437", "replace")
        key = file_name.removesuffix(".npy")
        if key == file_name or not _fits(key):
            raise VoiceFormatError(
                f"{source}: member {file_name[:60]!r} is no array, expected short names that end in .npy; "
                "save voices with VoiceHistory.save or numpy.savez"
            )
        if key in seen:
            raise VoiceFormatError(
                f"{source}: the key {key} is there twice and either could be meant; save the voice anew"
            )
        seen.add(key)
        if flags & _ENCRYPTED:
            raise VoiceFormatError(
                f"{source}: {key}: the member is encrypted, expected it readable; save the voice without a password"
            )
        if method not in (_STORED, _DEFLATED):
            raise VoiceFormatError(
                f"{source}: {key}: compression method {method} is not read, expected 0 (stored) or "
                "8 (deflate); save it with numpy.savez_compressed"
            )
        yield _Member(key, method == _DEFLATED, crc, packed, unpacked, offset)
    if at != end:
        raise VoiceFormatError(
            f"{source}: the .npz file's index holds more than the {entries} members it counts; fetch it again"
        )


def _unpack(data: bytes, member: _Member, source: str) -> bytes:
    """One member's bytes; never more of them than it declared."""
    damaged = VoiceFormatError(
        f"{source}: {member.key}: the member does not unpack to the {member.unpacked:,} bytes and the checksum "
        "that the index declares; the file is damaged, fetch it again"
    )
    if member.offset + _LOCAL.size > len(data):
        raise damaged
    magic, n_name, n_extra = _LOCAL.unpack_from(data, member.offset)
    start = member.offset + _LOCAL.size + n_name + n_extra
    if magic != _LOCAL_MAGIC or start + member.packed > len(data):
        raise damaged
    content = data[start : start + member.packed]
    if member.deflated:
        unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            content = unpacker.decompress(content, member.unpacked + 1)  # one more shows that there is more
        except zlib.error:
            raise damaged from None
        if not unpacker.eof:
            raise damaged
    if len(content) != member.unpacked or zlib.crc32(content) != member.crc:
        raise damaged
    return content


def _plain_dtype(descr: str, source: str) -> np.dtype[Any]:
    if descr.lstrip("<>|=")[0] in _PLAIN_KINDS:
        try:
            dtype = np.dtype(descr)
            if dtype.itemsize > 0:  # else a header alone could ask for any number of elements
                return dtype
        except (TypeError, ValueError, OverflowError):
            pass
    raise VoiceFormatError(
        f"{source}: dtype {descr!r} is refused, expected numbers or text; arrays of Python objects may run code "
        "when they are read, so save it with an integer dtype"
    )
