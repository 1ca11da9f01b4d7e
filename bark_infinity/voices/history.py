"""A voice history: the tokens of one utterance that Bark continues, and so speaks like.

On disk it is Suno's .npz file: ``semantic_prompt`` (S,), ``coarse_prompt`` (2, T), ``fine_prompt`` (8, T), of any
integer dtype. Every published voice obeys T == floor(S * 75 / 49.9) and coarse == fine[:2]; a voice that does not
makes Bark pair sounds with the wrong moments, so it is refused, or repaired on request with a report. Voices of other
Barks (other vocabularies or rates) name their `TokenSpace` in a ``metadata`` key and keep the same rules in it.

Light module: numpy and the standard library.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO

import numpy as np

from bark_infinity.error_handling import VoiceFormatError
from bark_infinity.tokens import SUNO_TOKENS, Int64Array, TokenSpace
from bark_infinity.voices import bounded_npz
from bark_infinity.voices.bounded_npz import Array
from bark_infinity.voices.metadata import (
    FAMILY_KEY,
    METADATA_KEY,
    NAME_KEY,
    frozen_metadata,
    metadata_array,
    require_name,
    space_to_json,
    take_metadata,
    take_name,
    take_space,
)
from bark_infinity.voices.rules import (
    COARSE_KEY,
    FINE_KEY,
    SEMANTIC_KEY,
    TOKEN_KEYS,
    as_array,
    checked_tokens,
    repaired_tokens,
)

MAX_FILE_TOKENS = 1_000_000  # of a file's three arrays together: 14 minutes, 8 MB as int64
MAX_LOAD_MEMORY_BYTES = 4 * bounded_npz.MAX_UNPACKED_BYTES  # reading a file never holds more, whatever is in it

# The most that any stage of Suno's Bark reads of a history.
VISIBLE_SEMANTIC = 256  # tokens: stage 1's slots; stage 2 reads 209
VISIBLE_FRAMES = 512  # stage 3's; stage 2 reads 314

_HASH_TAG = b"bark-voice-history-v1\n"  # another form of the hash must have another tag
_OWN_KEYS = frozenset({*TOKEN_KEYS, METADATA_KEY, NAME_KEY})


@dataclass(frozen=True, eq=False, repr=False)
class VoiceHistory:
    """One utterance's tokens at all three stages; equal when tokens and space are, whatever they are called.

    Attributes:
        semantic: (S,) ids in [0, space.semantic_vocab_size); read-only int64, as are the others.
        coarse: (n_coarse_codebooks, T) codes in [0, space.codebook_size).
        fine: (n_fine_codebooks, T) codes, whose first rows are ``coarse``.
        space: Vocabulary and rates the tokens belong to.
        name: What people call it; stored in its file.
        metadata: JSON-able facts about it, such as ``model_family``; stored in its file.
        extras: Arrays of other keys its file has; stored again.
        origin: The path or catalogue name it was read from; not stored.
        repairs: What `load` changed when it was asked to repair, one sentence each.

    Raises:
        VoiceFormatError: When a rule of the format is broken.
    """

    semantic: Int64Array
    coarse: Int64Array
    fine: Int64Array
    _: dataclasses.KW_ONLY
    space: TokenSpace = SUNO_TOKENS
    name: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    extras: Mapping[str, Array] = field(default_factory=dict)
    origin: str | None = None
    repairs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        source = self.origin or ("voice" if self.name is None else f"voice {self.name!r}")
        tokens = checked_tokens(self.semantic, self.coarse, self.fine, self.space, source)
        for name, array in zip(("semantic", "coarse", "fine"), tokens, strict=True):
            object.__setattr__(self, name, array)
        if self.name is not None:
            require_name(self.name, source)
        object.__setattr__(self, "metadata", frozen_metadata(self.metadata, source))
        object.__setattr__(self, "extras", _frozen_extras(self.extras, source))
        object.__setattr__(self, "repairs", tuple(self.repairs))

    # -- reading --------------------------------------------------------------------------------------------

    @classmethod
    def load(
        cls,
        source: str | os.PathLike[str] | BinaryIO | bytes,
        *,
        space: TokenSpace | None = None,
        repair: bool = False,
    ) -> VoiceHistory:
        """Reads a voice file, trusting nothing in it.

        Args:
            source: Path of a .npz file, a file opened in binary mode, or the file's bytes.
            space: Token space to read it in; None takes the one the file names, or Suno's.
            repair: Trim to lengths that match and rebuild coarse from fine where that is possible; the result's
                ``repairs`` tell what was changed.

        Raises:
            VoiceFormatError: Whatever is wrong, a missing file included; names the file, the key and the rule.
        """
        data, called = _file_bytes(source)
        arrays = bounded_npz.read_npz(data, called)
        del data  # it may be as large as all arrays
        return cls.from_arrays(arrays, source=called, space=space, repair=repair)

    @classmethod
    def from_arrays(
        cls,
        arrays: Mapping[str, Any],
        *,
        source: str | None = None,
        space: TokenSpace | None = None,
        repair: bool = False,
    ) -> VoiceHistory:
        """Builds a voice from Suno's dictionary of ``semantic_prompt``, ``coarse_prompt`` and ``fine_prompt``.

        Args:
            arrays: The three arrays by key, and any others, as in a file.
            source: Where it is from: its ``origin``, and how errors call it.
            space: See `load`.
            repair: See `load`.

        Raises:
            VoiceFormatError: When a key is missing or a rule is broken.
        """
        called = source or "voice"
        extras = {key: as_array(value, key, called) for key, value in arrays.items()}
        metadata = take_metadata(extras)
        name = take_name(extras)
        chosen = take_space(metadata, space, called)
        tokens = {key: extras.pop(key) for key in TOKEN_KEYS if key in extras}
        count = sum(array.size for array in tokens.values())
        if count > MAX_FILE_TOKENS:
            raise VoiceFormatError(
                f"{called}: it holds {count:,} tokens, at most {MAX_FILE_TOKENS:,} are read; Bark only sees the last "
                "7 seconds of a voice, so keep its end"
            )
        repairs: tuple[str, ...] = ()
        if repair:
            tokens, repairs = repaired_tokens(tokens, chosen, called)
        for key in TOKEN_KEYS:
            if key not in tokens:
                found = ", ".join(map(repr, arrays)) or "nothing"
                mends = key == COARSE_KEY and FINE_KEY in tokens
                hint = "load it with repair=True to rebuild it" if mends else "it may be no Bark voice"
                raise VoiceFormatError(f"{called}: key {key} is missing, found {found[:200]}; {hint}")
        checked = checked_tokens(tokens[SEMANTIC_KEY], tokens[COARSE_KEY], tokens[FINE_KEY], chosen, called)
        del tokens
        return cls(*checked, space=chosen, name=name, metadata=metadata, extras=extras, origin=source, repairs=repairs)

    # -- writing --------------------------------------------------------------------------------------------

    def to_arrays(self) -> dict[str, Int64Array]:
        """Suno's dictionary: ``semantic_prompt`` (S,), ``coarse_prompt`` and ``fine_prompt`` (C, T)."""
        return {SEMANTIC_KEY: self.semantic, COARSE_KEY: self.coarse, FINE_KEY: self.fine}

    def to_bytes(self) -> bytes:
        """The .npz file's bytes; equal voices of equal names, metadata and extras give equal bytes.

        A voice without those is stored as Suno's three keys alone: transformers' processor reads no others.

        Raises:
            VoiceFormatError: When the voice is so large that it could not be read back.
        """
        n_tokens = self.semantic.size + self.coarse.size + self.fine.size
        if n_tokens > MAX_FILE_TOKENS:
            raise VoiceFormatError(
                f"the voice holds {n_tokens:,} tokens, at most {MAX_FILE_TOKENS:,} can be read back; "
                "save its visible_tail(), which is all that Bark sees"
            )
        arrays: dict[str, Array] = dict(self.to_arrays())
        if self.name is not None:
            arrays[NAME_KEY] = np.array(self.name)
        metadata = metadata_array(self.metadata, self.space)
        if metadata is not None:
            arrays[METADATA_KEY] = metadata
        return bounded_npz.npz_bytes(arrays | dict(self.extras))

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes a compressed .npz file; whoever reads sees the old file or the whole new one.

        Args:
            path: Where to; ``.npz`` is appended if it is missing, an existing file is replaced, folders are made.

        Returns:
            The path that was written.

        Raises:
            VoiceFormatError: When the voice is too large to be read back, or the file cannot be written.
        """
        target = Path(path)
        if target.suffix != ".npz":
            target = target.with_name(f"{target.name}.npz")
        data = self.to_bytes()
        unfinished = target.with_name(f".{secrets.token_hex(8)}.part")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with unfinished.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(target)
        except (OSError, ValueError) as error:
            raise VoiceFormatError(
                f"{target}: the voice could not be written: {error}; choose a folder you may write to"
            ) from error
        finally:
            _remove_if_there(unfinished)
        return target

    # -- what it is -----------------------------------------------------------------------------------------

    @cached_property
    def sha256(self) -> str:
        """Hash of tokens and space, 64 hex digits; names, metadata, dtypes and compression do not matter."""
        digest = hashlib.sha256(_HASH_TAG)
        digest.update(json.dumps(space_to_json(self.space), sort_keys=True).encode())
        digest.update(f"\n{self.semantic.size} {self.fine.shape[1]}\n".encode())
        for array in (self.semantic, self.fine):  # coarse is part of fine
            digest.update(array.astype("<i8", copy=False).data)
        return digest.hexdigest()

    @property
    def duration_s(self) -> float:
        """Length in seconds, by its codec frames."""
        return float(self.fine.shape[1] / self.space.coarse_rate_hz)

    @property
    def family(self) -> str | None:
        """The family of checkpoints it was made for: as its file says, else ``suno`` for Suno's token space."""
        told = self.metadata.get(FAMILY_KEY)
        if isinstance(told, str):
            return told
        return "suno" if self.space == SUNO_TOKENS else None

    @property
    def label(self) -> str:
        """What to call it in front of people: its name, where it is from, or the beginning of its hash."""
        return self.name or self.origin or f"sha256:{self.sha256[:12]}"

    def visible_tail(self, *, n_semantic: int = VISIBLE_SEMANTIC, n_frames: int = VISIBLE_FRAMES) -> VoiceHistory:
        """The shortest end of this voice with which a checkpoint renders exactly the same.

        Args:
            n_semantic: The most semantic tokens that any stage of the checkpoint reads.
            n_frames: The most codec frames that any stage reads.

        Returns:
            A valid voice; this one itself when nothing can be cut.
        """
        # Stage 2 gives up one token of an odd history and rounds to whole frames: two more keep its window full.
        per_token = self.space.coarse_rate_hz / self.space.semantic_rate_hz
        length = max(n_semantic + 2, math.floor(n_frames / per_token))
        while self.space.frames_for(length) < n_frames:
            length += 1
        if length >= self.semantic.size:
            return self
        frames = self.space.frames_for(length)
        return dataclasses.replace(
            self,
            semantic=self.semantic[-length:],
            coarse=self.coarse[:, -frames:],
            fine=self.fine[:, -frames:],
        )

    def canonical(self) -> VoiceHistory:
        """What Suno's Bark sees of this voice; voices that it cannot tell apart share this one's hash."""
        return self.visible_tail()

    def require_space(self, space: TokenSpace, who: str) -> None:
        """Checks that a checkpoint can read this voice.

        Args:
            space: The checkpoint's token space.
            who: How errors call the checkpoint.

        Raises:
            VoiceFormatError: When the spaces differ.
        """
        if self.space == space:
            return
        own, wanted = space_to_json(self.space), space_to_json(space)
        differences = ", ".join(f"{key} {own[key]} instead of {wanted[key]}" for key in own if own[key] != wanted[key])
        family = "another family" if self.family is None else f"the family '{self.family}'"
        held = "Suno's token space" if space == SUNO_TOKENS else "another token space"
        raise VoiceFormatError(
            f"voice {self.label} was made for {family} of checkpoints, but {who} holds {held}: "
            f"{differences}; choose one of that checkpoint's own voices, or load the checkpoint this one is from"
        )

    def __eq__(self, other: object) -> bool:
        return self.sha256 == other.sha256 if isinstance(other, VoiceHistory) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.sha256)

    def __repr__(self) -> str:
        size = f"S={self.semantic.size}, T={self.fine.shape[1]}, {self.duration_s:.1f} s"
        return f"VoiceHistory({self.label!r}, {size}, sha256:{self.sha256[:12]})"

    def __reduce__(
        self,
    ) -> tuple[Any, ...]:  # read-only mappings do not pickle, and arrays would come back writable
        options = {
            "space": self.space,
            "name": self.name,
            "metadata": dict(self.metadata),
            "extras": dict(self.extras),
            "origin": self.origin,
            "repairs": self.repairs,
        }
        return _unpickled, (self.semantic, self.coarse, self.fine, options)


def _unpickled(semantic: Array, coarse: Array, fine: Array, options: dict[str, Any]) -> VoiceHistory:
    return VoiceHistory(semantic, coarse, fine, **options)


def _file_bytes(source: str | os.PathLike[str] | BinaryIO | bytes) -> tuple[bytes, str]:
    """Bytes (at most one more than allowed), and where they are from."""
    limit = bounded_npz.MAX_FILE_BYTES + 1
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source[:limit]), f"voice of {len(source):,} bytes"
    if isinstance(source, str | os.PathLike):
        return bounded_npz.file_bytes(source), bounded_npz.shown_path(source)
    called = str(getattr(source, "name", "voice file"))
    try:
        data = source.read(limit)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise VoiceFormatError(f"{called}: the voice could not be read: {error}; pass a path or open file") from error
    if not isinstance(data, bytes):
        raise VoiceFormatError(
            f"{called}: reading gave {type(data).__name__}, expected bytes; open the file in binary mode ('rb')"
        )
    return data, called


def _frozen_extras(extras: Mapping[str, Array], source: str) -> Mapping[str, Array]:
    frozen: dict[str, Array] = {}
    for key, value in extras.items():
        if key in _OWN_KEYS:
            raise VoiceFormatError(
                f"{source}: extras cannot hold '{key}', which the voice stores itself; choose another key"
            )
        frozen[key] = as_array(value, key, source).copy()
        bounded_npz.require_storable(key, frozen[key], source)
        frozen[key].setflags(write=False)
    return MappingProxyType(frozen)


def _remove_if_there(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except (OSError, ValueError):  # it never came to be, or its folder is gone
        return
