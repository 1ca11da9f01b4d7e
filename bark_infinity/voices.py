"""A voice history: the tokens of one utterance that Bark continues, and so speaks like.

On disk it is Suno's .npz file: ``semantic_prompt`` (S,), ``coarse_prompt`` (2, T), ``fine_prompt`` (8, T), any integer
dtype. Every published voice obeys T == floor(S * 75 / 49.9) and coarse == fine[:2]; a voice that does not makes Bark
pair sounds with the wrong moments, so it is refused here, or repaired on request with a report. Voices of other Barks
(other vocabularies or rates) carry their `TokenSpace` in a ``metadata`` key, and the same rules hold in it.

Light module: numpy and the standard library.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO

import numpy as np

from bark_infinity import bounded_npz
from bark_infinity.bounded_npz import Array
from bark_infinity.error_handling import VoiceFormatError
from bark_infinity.tokens import SUNO_TOKENS, Int64Array, TokenSpace

SEMANTIC_KEY, COARSE_KEY, FINE_KEY = "semantic_prompt", "coarse_prompt", "fine_prompt"
METADATA_KEY, NAME_KEY = "metadata", "name"
MAX_FILE_TOKENS = 2**20  # of the three arrays of a file together: about 14 minutes, 8 MiB as int64
MAX_METADATA_CHARS = 65_536
MAX_NAME_CHARS = 200

# The most that any stage of Suno's Bark reads of a history.
VISIBLE_SEMANTIC = 256  # tokens: stage 1's slots; stage 2 reads 209
VISIBLE_FRAMES = 512  # stage 3's; stage 2 reads 314

_HASH_TAG = b"bark-voice-history-v1\n"  # a later form of the hash must have another tag
_OWN_KEYS = frozenset({SEMANTIC_KEY, COARSE_KEY, FINE_KEY, METADATA_KEY, NAME_KEY})
_TOKENS_KEY, _FAMILY_KEY = "token_space", "model_family"


@dataclass(frozen=True, eq=False, repr=False)
class VoiceHistory:
    """One utterance's tokens at all three stages; equal when tokens and space are, whatever they are called.

    Attributes:
        semantic: (S,) ids in [0, space.semantic_vocab_size); read-only.
        coarse: (n_coarse_codebooks, T) codes in [0, space.codebook_size); read-only.
        fine: (n_fine_codebooks, T) codes, the first rows equal to ``coarse``; read-only.
        space: Vocabulary and rates the tokens belong to.
        name: What people call it.
        metadata: JSON-able facts about it, such as ``model_family``; stored in the file.
        extras: Arrays of other keys its file has; stored again.
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
    repairs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        source = "voice" if self.name is None else f"voice {self.name!r}"
        semantic, coarse, fine = _validated(self.semantic, self.coarse, self.fine, self.space, source)
        object.__setattr__(self, "semantic", semantic)
        object.__setattr__(self, "coarse", coarse)
        object.__setattr__(self, "fine", fine)
        object.__setattr__(self, "metadata", _frozen_metadata(self.metadata, source))
        object.__setattr__(self, "extras", _frozen_extras(self.extras, source))
        object.__setattr__(self, "repairs", tuple(self.repairs))

    # -- reading ---------------------------------------------------------------------------------------------------

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
            space: Token space to read it in; None takes the one the file names, and Suno's where it names none.
            repair: Trim to the consistent lengths and rebuild coarse from fine where that is possible; what was
                changed is in the result's ``repairs``.

        Raises:
            VoiceFormatError: Whatever is wrong, a missing file included: the message names file, key and rule.
        """
        data, called, name = _file_bytes(source)
        return cls.from_arrays(
            bounded_npz.read_npz(data, called), source=called, space=space, repair=repair, name=name
        )

    @classmethod
    def from_arrays(
        cls,
        arrays: Mapping[str, Any],
        *,
        source: str = "voice",
        space: TokenSpace | None = None,
        repair: bool = False,
        name: str | None = None,
    ) -> VoiceHistory:
        """Builds a voice from Suno's dictionary of ``semantic_prompt``, ``coarse_prompt`` and ``fine_prompt``.

        Args:
            arrays: The three arrays by key, and any others, as in a file.
            source: How errors call it.
            space: See `load`.
            repair: See `load`.
            name: Name if ``arrays`` has none.

        Raises:
            VoiceFormatError: When a key is missing or a rule is broken.
        """
        metadata, extras = _split_extras({key: np.asarray(value) for key, value in arrays.items()})
        own_space = _space_of(metadata, source)
        if space is not None and space != own_space:
            metadata.pop(_FAMILY_KEY, None)  # the caller knows better what these tokens are
        chosen = space or own_space
        own_name = _name_in(extras)
        if own_name is not None:
            del extras[NAME_KEY]
        elif NAME_KEY in extras:
            extras[_free_key(f"{NAME_KEY}_original", extras)] = extras.pop(NAME_KEY)

        tokens = {key: extras.pop(key) for key in (SEMANTIC_KEY, COARSE_KEY, FINE_KEY) if key in extras}
        count = sum(array.size for array in tokens.values())
        if count > MAX_FILE_TOKENS:
            raise VoiceFormatError(
                f"{source}: it holds {count:,} tokens, at most {MAX_FILE_TOKENS:,} are read; Bark only reads the last "
                "7 seconds of a voice, so keep its end"
            )
        repairs: tuple[str, ...] = ()
        if repair:
            tokens, repairs = _repaired(tokens, chosen, source)
        for key in (SEMANTIC_KEY, COARSE_KEY, FINE_KEY):
            if key not in tokens:
                found = ", ".join(sorted(arrays)) or "nothing"
                hint = "; repair=True rebuilds it from fine_prompt" if key == COARSE_KEY else ""
                raise VoiceFormatError(f"{source}: key '{key}' is missing, found {found[:200]}{hint}")
        checked = _validated(tokens[SEMANTIC_KEY], tokens[COARSE_KEY], tokens[FINE_KEY], chosen, source)
        return cls(*checked, space=chosen, name=own_name or name, metadata=metadata, extras=extras, repairs=repairs)

    # -- writing ---------------------------------------------------------------------------------------------------

    def to_arrays(self) -> dict[str, Int64Array]:
        """Suno's dictionary: ``semantic_prompt`` (S,), ``coarse_prompt`` (C, T), ``fine_prompt`` (C, T)."""
        return {SEMANTIC_KEY: self.semantic, COARSE_KEY: self.coarse, FINE_KEY: self.fine}

    def to_bytes(self, *, file_stem: str | None = None) -> bytes:
        """The .npz file's bytes, the same every time.

        Args:
            file_stem: The name the file itself will tell, and which therefore need not be stored.

        Raises:
            VoiceFormatError: When the voice is too long to be read back.
        """
        n_tokens = self.semantic.size + self.coarse.size + self.fine.size
        if n_tokens > MAX_FILE_TOKENS:
            raise VoiceFormatError(
                f"the voice holds {n_tokens:,} tokens, at most {MAX_FILE_TOKENS:,} can be read back; "
                "save its visible_tail(), which is all that Bark reads"
            )
        arrays: dict[str, Array] = dict(self.to_arrays())
        if self.name is not None and self.name != file_stem:
            arrays[NAME_KEY] = np.array(self.name)
        metadata = dict(self.metadata)
        if self.space != SUNO_TOKENS:
            metadata[_TOKENS_KEY] = space_to_json(self.space)
        if metadata:  # transformers' processor reads files of the three keys only, so add no others without need
            arrays[METADATA_KEY] = np.array(json.dumps(metadata, sort_keys=True, allow_nan=False))
        return bounded_npz.npz_bytes(arrays | dict(self.extras))

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes the voice as a compressed .npz file; a reader sees the old file or the whole new one.

        Args:
            path: Where to; an existing file is replaced, missing folders are made.

        Returns:
            The path.

        Raises:
            VoiceFormatError: When the voice cannot be read back from a file, or the file cannot be written.
        """
        target = Path(path)
        data = self.to_bytes(file_stem=target.stem)
        temporary: str | None = None
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(prefix=f".{target.name[:100]}.", suffix=".part", dir=target.parent)
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o666 & ~_umask())
            os.replace(temporary, target)
        except OSError as error:
            if temporary is not None:
                Path(temporary).unlink(missing_ok=True)
            raise VoiceFormatError(
                f"{target}: the voice could not be written: {error.strerror}; choose a folder you may write to"
            ) from error
        return target

    # -- what it is ------------------------------------------------------------------------------------------------

    @cached_property
    def sha256(self) -> str:
        """Hash of tokens and space, as 64 hex digits; names, metadata, dtypes and compression do not matter."""
        digest = hashlib.sha256(_HASH_TAG)
        digest.update(json.dumps(space_to_json(self.space), sort_keys=True).encode())
        digest.update(f"\n{self.semantic.size} {self.fine.shape[1]}\n".encode())
        for array in (self.semantic, self.fine):  # coarse is part of fine
            digest.update(array.astype("<i8", copy=False).tobytes())
        return digest.hexdigest()

    @property
    def duration_s(self) -> float:
        """Length in seconds, by its codec frames."""
        return self.fine.shape[1] / self.space.coarse_rate_hz

    @property
    def family(self) -> str | None:
        """The family of checkpoints it was made for: what its file says, else ``suno`` for Suno's token space."""
        told = self.metadata.get(_FAMILY_KEY)
        if isinstance(told, str):
            return told
        return "suno" if self.space == SUNO_TOKENS else None

    def visible_tail(self, *, n_semantic: int = VISIBLE_SEMANTIC, n_frames: int = VISIBLE_FRAMES) -> VoiceHistory:
        """The shortest end of this voice with which a checkpoint renders exactly the same.

        Args:
            n_semantic: The most semantic tokens that any stage of the checkpoint reads.
            n_frames: The most codec frames that any stage reads.

        Returns:
            A valid voice, this one itself when nothing can be cut.
        """
        # Stage 2 drops one token of an odd history and rounds to whole frames: two more keep its window full.
        wanted = n_semantic + 2
        per_token = self.space.coarse_rate_hz / self.space.semantic_rate_hz
        wanted = max(wanted, math.floor(n_frames / per_token))
        while self.space.frames_for(wanted) < n_frames:
            wanted += 1
        if wanted >= self.semantic.size:
            return self
        frames = self.space.frames_for(wanted)
        return dataclasses.replace(
            self, semantic=self.semantic[-wanted:], coarse=self.coarse[:, -frames:], fine=self.fine[:, -frames:]
        )

    def canonical(self) -> VoiceHistory:
        """What Suno's Bark can see of this voice; two voices that render alike have the same canonical hash."""
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
        raise VoiceFormatError(
            f"voice {self.name or self.sha256[:12]!r} was made for {family} of checkpoints, {who} cannot read it: "
            f"{differences}; choose a voice of this checkpoint's own, or load the checkpoint it was made with"
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, VoiceHistory):
            return NotImplemented
        return self.sha256 == other.sha256

    def __hash__(self) -> int:
        return hash(self.sha256)

    def __repr__(self) -> str:
        called = "" if self.name is None else f"{self.name!r}, "
        return (
            f"VoiceHistory({called}S={self.semantic.size}, T={self.fine.shape[1]}, "
            f"{self.duration_s:.1f} s, sha256:{self.sha256[:12]})"
        )

    def __reduce__(self) -> tuple[Any, ...]:  # read-only mappings do not pickle, and pickled arrays come back writable
        return _rebuild, (
            *(np.asarray(array) for array in (self.semantic, self.coarse, self.fine)),
            self.space, self.name, dict(self.metadata), dict(self.extras), self.repairs,
        )  # fmt: skip


def _rebuild(
    semantic: Int64Array, coarse: Int64Array, fine: Int64Array, space: TokenSpace, name: str | None,
    metadata: dict[str, Any], extras: dict[str, Array], repairs: tuple[str, ...],
) -> VoiceHistory:  # fmt: skip
    return VoiceHistory(
        semantic, coarse, fine, space=space, name=name, metadata=metadata, extras=extras, repairs=repairs
    )


def space_to_json(space: TokenSpace) -> dict[str, int | float]:
    """The token space as it is stored in a voice file and hashed into `VoiceHistory.sha256`."""
    return {
        "semantic_vocab_size": int(space.semantic_vocab_size),
        "codebook_size": int(space.codebook_size),
        "n_coarse_codebooks": int(space.n_coarse_codebooks),
        "n_fine_codebooks": int(space.n_fine_codebooks),
        "semantic_rate_hz": float(space.semantic_rate_hz),
        "coarse_rate_hz": float(space.coarse_rate_hz),
    }


# -- the rules -----------------------------------------------------------------------------------------------------


def _validated(
    semantic: Any, coarse: Any, fine: Any, space: TokenSpace, source: str
) -> tuple[Int64Array, Int64Array, Int64Array]:
    """Canonical arrays, when every rule of the format holds."""
    semantic_ids = _tokens(semantic, SEMANTIC_KEY, None, space.semantic_vocab_size, source)
    coarse_codes = _tokens(coarse, COARSE_KEY, space.n_coarse_codebooks, space.codebook_size, source)
    fine_codes = _tokens(fine, FINE_KEY, space.n_fine_codebooks, space.codebook_size, source)
    n_semantic, n_frames = semantic_ids.size, fine_codes.shape[1]
    if coarse_codes.shape[1] != n_frames:
        raise VoiceFormatError(
            f"{source}: {COARSE_KEY} has {coarse_codes.shape[1]} frames and {FINE_KEY} has {n_frames}, expected the "
            "same number; load it with repair=True to rebuild coarse from fine"
        )
    expected = space.frames_for(n_semantic)
    if n_frames != expected:
        raise VoiceFormatError(
            f"{source}: {FINE_KEY} has {n_frames} frames, expected T = floor(S * {space.coarse_rate_hz:g} / "
            f"{space.semantic_rate_hz:g}) = {expected} for the S = {n_semantic} tokens of {SEMANTIC_KEY}; "
            "load it with repair=True to trim it"
        )
    different = np.argwhere(coarse_codes != fine_codes[: space.n_coarse_codebooks])
    if len(different):
        row, frame = (int(index) for index in different[0])
        raise VoiceFormatError(
            f"{source}: {COARSE_KEY} differs from the first {space.n_coarse_codebooks} rows of {FINE_KEY} in "
            f"{len(different)} places, first in row {row}, frame {frame} ({coarse_codes[row, frame]} and "
            f"{fine_codes[row, frame]}), expected them equal; load it with repair=True to rebuild coarse from fine"
        )
    return semantic_ids, coarse_codes, fine_codes


def _tokens(value: Any, key: str, n_rows: int | None, n_ids: int, source: str) -> Int64Array:
    """One token array as read-only, contiguous int64; ``n_rows`` None asks for one dimension."""
    array = np.asarray(value)
    wanted = "(S,)" if n_rows is None else f"({n_rows}, T)"
    if array.dtype.kind not in "iu":
        raise VoiceFormatError(
            f"{source}: {key} has dtype {array.dtype}, expected integers; token ids are whole numbers, "
            "so look for what saved them otherwise"
        )
    if array.ndim != (1 if n_rows is None else 2) or (n_rows is not None and array.shape[0] != n_rows):
        hint = "; load it with repair=True to drop the extra axes" if _without_batch(array, n_rows) is not None else ""
        raise VoiceFormatError(f"{source}: {key} has shape {array.shape}, expected {wanted}{hint}")
    if array.shape[-1] < 1:
        raise VoiceFormatError(
            f"{source}: {key} has shape {array.shape}, expected at least one token; an empty rendering is no voice"
        )
    low, high = int(array.min()), int(array.max())
    if low < 0 or high >= n_ids:
        wrong = low if low < 0 else high
        where = tuple(int(index) for index in np.argwhere(array == wrong)[0])
        raise VoiceFormatError(
            f"{source}: {key} holds {wrong} at index {where[0] if n_rows is None else where}, expected ids from 0 to "
            f"{n_ids - 1}; it may come from another Bark, or hold the padding of one"
        )
    if array.dtype == np.int64 and array.dtype.isnative and array.base is None and not array.flags.writeable:
        if array.flags.c_contiguous:
            return array  # already ours
    canonical: Int64Array = np.array(array, dtype=np.int64, order="C")
    canonical.setflags(write=False)
    return canonical


def _without_batch(array: Array, n_rows: int | None) -> Array | None:
    """The array without leading axes of length 1, when that gives it the right number of axes and rows."""
    n_axes = 1 if n_rows is None else 2
    extra = array.ndim - n_axes
    if extra <= 0 or any(size != 1 for size in array.shape[:extra]):
        return None
    bare = array.reshape(array.shape[extra:])
    return bare if n_rows is None or bare.shape[0] == n_rows else None


def _repaired(
    tokens: Mapping[str, Array], space: TokenSpace, source: str
) -> tuple[dict[str, Array], tuple[str, ...]]:
    """Arrays that keep the rules of length and equality, and what was done; other rules are left to `_validated`.

    Bark reads the ends of the three arrays as simultaneous, so what is too long is cut at its beginning: that leaves
    exactly the pairs of sounds and moments that Bark would have used.
    """
    done: list[str] = []
    fixed = dict(tokens)
    for key, n_rows in ((SEMANTIC_KEY, None), (FINE_KEY, space.n_fine_codebooks)):
        if key not in fixed:
            return fixed, ()
        bare = _without_batch(fixed[key], n_rows)
        if bare is not None:
            done.append(f"{key}: dropped the extra axes of shape {fixed[key].shape}")
            fixed[key] = bare
    semantic = _tokens(fixed[SEMANTIC_KEY], SEMANTIC_KEY, None, space.semantic_vocab_size, source)
    fine = _tokens(fixed[FINE_KEY], FINE_KEY, space.n_fine_codebooks, space.codebook_size, source)

    n_semantic, n_frames = semantic.size, fine.shape[1]
    kept_semantic = min(n_semantic, math.ceil((n_frames + 1) * space.semantic_rate_hz / space.coarse_rate_hz))
    while kept_semantic > 0 and space.frames_for(kept_semantic) > n_frames:
        kept_semantic -= 1
    kept_frames = space.frames_for(kept_semantic)
    if kept_frames < 1:
        raise VoiceFormatError(
            f"{source}: {n_semantic} tokens of {SEMANTIC_KEY} and {n_frames} frames of {FINE_KEY} cannot be trimmed "
            "to matching lengths, nothing would be left; render the voice again"
        )
    if kept_semantic < n_semantic:
        done.append(f"{SEMANTIC_KEY}: kept the last {kept_semantic} of {n_semantic} tokens")
    if kept_frames < n_frames:
        done.append(f"{FINE_KEY}: kept the last {kept_frames} of {n_frames} frames")
    fixed[SEMANTIC_KEY], fixed[FINE_KEY] = semantic[-kept_semantic:], fine[:, -kept_frames:]

    rebuilt = fixed[FINE_KEY][: space.n_coarse_codebooks]
    given = fixed.get(COARSE_KEY)
    if given is None:
        done.append(f"{COARSE_KEY}: it was missing, rebuilt from {FINE_KEY}")
    elif given.ndim != 2 or not np.array_equal(given, fine[: space.n_coarse_codebooks]):
        done.append(f"{COARSE_KEY}: it did not match {FINE_KEY}, rebuilt from it")
    elif kept_frames < n_frames:
        done.append(f"{COARSE_KEY}: kept the last {kept_frames} of {n_frames} frames")
    fixed[COARSE_KEY] = rebuilt
    return fixed, tuple(done)


# -- files ---------------------------------------------------------------------------------------------------------


def _file_bytes(source: str | os.PathLike[str] | BinaryIO | bytes) -> tuple[bytes, str, str | None]:
    """Bytes (at most one more than allowed), what errors call them, and the name that a path gives the voice."""
    limit = bounded_npz.MAX_FILE_BYTES + 1
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source[:limit]), f"voice of {len(source):,} bytes", None
    if isinstance(source, str | os.PathLike):
        called = os.fspath(source)
        try:
            path = Path(called)
            if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for ever
                raise VoiceFormatError(f"{called}: it is not a file, expected a voice file such as en_speaker_6.npz")
            with path.open("rb") as file:
                return file.read(limit), str(path), path.stem
        except FileNotFoundError:
            raise VoiceFormatError(
                f"{called}: there is no such file, expected a voice (.npz); check the path, relative ones begin at "
                "the current folder"
            ) from None
        except (OSError, ValueError, TypeError) as error:
            raise VoiceFormatError(f"{called!r}: the voice file could not be opened: {error}") from error
    called = str(getattr(source, "name", "voice file"))
    try:
        data = source.read(limit)
    except (OSError, ValueError, AttributeError) as error:
        raise VoiceFormatError(f"{called}: the voice could not be read: {error}; pass a path or an open file") from error
    if not isinstance(data, bytes):
        raise VoiceFormatError(f"{called}: reading gave {type(data).__name__}, expected bytes; open the file with 'rb'")
    return data, called, None


def _umask() -> int:
    """The process's file mode mask, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


# -- what a file says besides tokens -------------------------------------------------------------------------------


def _split_extras(arrays: dict[str, Array]) -> tuple[dict[str, Any], dict[str, Array]]:
    """The metadata object, and all arrays but it; metadata that is no JSON object stays an array under a free key."""
    if METADATA_KEY not in arrays:
        return {}, arrays
    stored = arrays.pop(METADATA_KEY)
    try:
        metadata = json.loads(_text(stored) or "", parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        metadata = None
    if isinstance(metadata, dict):
        return metadata, arrays
    arrays[_free_key(f"{METADATA_KEY}_original", arrays)] = stored
    return {}, arrays


def _refuse_constant(constant: str) -> float:
    raise ValueError(f"{constant} is no JSON")


def _free_key(key: str, taken: Mapping[str, Any]) -> str:
    while key in taken:
        key += "_"
    return key


def _text(array: Array | None) -> str | None:
    """Text of a 0-d string array; None for all else."""
    if array is None or array.ndim != 0 or array.dtype.kind not in "SU":
        return None
    if array.dtype.itemsize > 4 * MAX_METADATA_CHARS:
        return None
    try:
        value = array.item()
        return value.decode() if isinstance(value, bytes) else str(value)
    except (ValueError, UnicodeError):  # bytes that are no text, code points that do not exist
        return None


def _name_in(arrays: Mapping[str, Array]) -> str | None:
    name = (_text(arrays.get(NAME_KEY)) or "").strip()
    return name if name and len(name) <= MAX_NAME_CHARS and name.isprintable() else None


def _space_of(metadata: dict[str, Any], source: str) -> TokenSpace:
    """The token space that metadata tell, which is taken out of them."""
    if _TOKENS_KEY not in metadata:
        return SUNO_TOKENS
    told = metadata.pop(_TOKENS_KEY)
    limits: dict[str, tuple[type, float, float]] = {
        "semantic_vocab_size": (int, 1, 2**31),
        "codebook_size": (int, 1, 2**31),
        "n_coarse_codebooks": (int, 1, 64),
        "n_fine_codebooks": (int, 1, 64),
        "semantic_rate_hz": (float, 0.01, 100_000),
        "coarse_rate_hz": (float, 0.01, 100_000),
    }
    values: dict[str, Any] = {}
    for key, (kind, low, high) in limits.items():
        value = told.get(key) if isinstance(told, dict) else None
        fits = isinstance(value, int if kind is int else int | float) and not isinstance(value, bool)
        if not fits or not low <= value <= high:
            raise VoiceFormatError(
                f"{source}: {METADATA_KEY}: {_TOKENS_KEY}.{key} is {str(value)[:60]}, expected a number from {low} to "
                f"{high}; pass space= to say which token space the voice belongs to"
            )
        values[key] = kind(value)
    space = TokenSpace(**values)
    if space.n_coarse_codebooks > space.n_fine_codebooks:
        raise VoiceFormatError(
            f"{source}: {METADATA_KEY}: {_TOKENS_KEY} has {space.n_coarse_codebooks} coarse codebooks and "
            f"{space.n_fine_codebooks} fine ones, expected no more coarse than fine"
        )
    return space


def _frozen_metadata(metadata: Mapping[str, Any], source: str) -> Mapping[str, Any]:
    try:
        text = json.dumps(dict(metadata), allow_nan=False)
        copied = json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise VoiceFormatError(
            f"{source}: {METADATA_KEY} cannot be written as JSON: {error}; use text, finite numbers, lists and objects"
        ) from error
    if len(text) > 2 * MAX_METADATA_CHARS:
        raise VoiceFormatError(
            f"{source}: {METADATA_KEY} takes {len(text):,} characters of JSON, at most {2 * MAX_METADATA_CHARS:,} fit"
        )
    return MappingProxyType(copied)


def _frozen_extras(extras: Mapping[str, Array], source: str) -> Mapping[str, Array]:
    frozen: dict[str, Array] = {}
    for key, value in extras.items():
        if key in _OWN_KEYS:
            raise VoiceFormatError(f"{source}: extras cannot hold '{key}', the voice stores its own; choose another key")
        array = np.array(value)
        if array.dtype.hasobject:
            raise VoiceFormatError(
                f"{source}: extra '{key}' has dtype {array.dtype}, expected numbers or text; objects are never stored"
            )
        array.setflags(write=False)
        frozen[key] = array
    return MappingProxyType(frozen)
