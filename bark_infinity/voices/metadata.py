"""What a voice file says besides its tokens: name, JSON metadata, and the token space of Barks other than Suno's.

Others write these keys too (TTS-WebUI a ``metadata`` text, Bark Infinity ``name`` and ``desc``), so anything may be in
them: what is understood is taken, what is not stays an array that is stored again. Only a token space that makes no
sense is an error, because guessing another would change what the tokens mean.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from bark_infinity.error_handling import VoiceFormatError
from bark_infinity.tokens import SUNO_TOKENS, TokenSpace
from bark_infinity.voices.bounded_npz import Array

METADATA_KEY, NAME_KEY = "metadata", "name"
SPACE_KEY, FAMILY_KEY = "token_space", "model_family"  # inside the metadata
MAX_METADATA_CHARS = 65_536
MAX_NAME_CHARS = 200

# Each field of a token space: its type, and the range that is believed.
_SPACE_FIELDS: dict[str, tuple[type[int] | type[float], float, float]] = {
    "semantic_vocab_size": (int, 1, 2**31),
    "codebook_size": (int, 1, 2**31),
    "n_coarse_codebooks": (int, 1, 64),
    "n_fine_codebooks": (int, 1, 64),
    "semantic_rate_hz": (float, 0.01, 100_000),
    "coarse_rate_hz": (float, 0.01, 100_000),
}


def space_to_json(space: TokenSpace) -> dict[str, int | float]:
    """The token space as voice files store it and voice hashes cover it."""
    return {name: kind(getattr(space, name)) for name, (kind, _, _) in _SPACE_FIELDS.items()}


def space_from_json(told: Any, source: str) -> TokenSpace:
    """The opposite of `space_to_json`, for an object that strangers wrote.

    Raises:
        VoiceFormatError: When a field is missing, no number, or outside its range.
    """
    values: dict[str, Any] = {}
    for name, (kind, low, high) in _SPACE_FIELDS.items():
        value = told.get(name) if isinstance(told, dict) else None
        fits = isinstance(value, int if kind is int else int | float) and not isinstance(value, bool)
        if not fits or not low <= value <= high:  # type: ignore[operator]
            raise VoiceFormatError(
                f"{source}: {METADATA_KEY}: {SPACE_KEY}.{name} is {str(value)[:60]!r}, expected a number from {low} "
                f"to {high}; pass space= to say which token space the voice belongs to"
            )
        values[name] = kind(value)  # type: ignore[arg-type]
    space = TokenSpace(**values)
    if space.n_coarse_codebooks > space.n_fine_codebooks:
        raise VoiceFormatError(
            f"{source}: {METADATA_KEY}: {SPACE_KEY} has {space.n_coarse_codebooks} coarse codebooks and "
            f"{space.n_fine_codebooks} fine ones, expected no more coarse than fine; pass space= to say which it is"
        )
    return space


def take_metadata(arrays: dict[str, Array]) -> dict[str, Any]:
    """Takes the JSON object out of ``arrays``; text that is none stays there, under ``metadata_original``."""
    if METADATA_KEY not in arrays:
        return {}
    stored = arrays.pop(METADATA_KEY)
    try:
        metadata = json.loads(_text(stored, 2 * MAX_METADATA_CHARS) or "")
        if isinstance(metadata, dict):
            return dict(frozen_metadata(metadata, METADATA_KEY))
    except (ValueError, RecursionError, VoiceFormatError):
        pass
    arrays[_free_key(f"{METADATA_KEY}_original", arrays)] = stored
    return {}


def take_name(arrays: dict[str, Array]) -> str | None:
    """Takes the name out of ``arrays``; one that cannot be shown stays there, under ``name_original``."""
    if NAME_KEY not in arrays:
        return None
    stored = arrays.pop(NAME_KEY)
    name = (_text(stored, MAX_NAME_CHARS) or "").strip()
    if _is_name(name):
        return name
    arrays[_free_key(f"{NAME_KEY}_original", arrays)] = stored
    return None


def require_name(name: str, source: str) -> None:
    """Checks that a name can be shown and stored.

    Raises:
        VoiceFormatError: When it cannot.
    """
    if not _is_name(name):
        raise VoiceFormatError(
            f"{source}: {NAME_KEY} is {ascii(name)[:80]}, expected printable text of 1 to {MAX_NAME_CHARS} characters "
            "without space around it; choose another"
        )


def take_space(metadata: dict[str, Any], given: TokenSpace | None, source: str) -> TokenSpace:
    """Takes the token space out of ``metadata``; ``given`` wins, and the family goes when it belongs to another.

    Raises:
        VoiceFormatError: When nothing is given and the metadata's own space makes no sense.
    """
    told = metadata.pop(SPACE_KEY, None)
    if given is None:
        return SUNO_TOKENS if told is None else space_from_json(told, source)
    try:
        own = SUNO_TOKENS if told is None else space_from_json(told, source)
    except VoiceFormatError:
        own = None
    if own != given:
        metadata.pop(FAMILY_KEY, None)
    return given


def metadata_array(metadata: Mapping[str, Any], space: TokenSpace) -> Array | None:
    """The 0-d text array to store; None when there is nothing to say."""
    told = dict(metadata)
    if space != SUNO_TOKENS:
        told[SPACE_KEY] = space_to_json(space)
    return np.array(_json(told)) if told else None


def frozen_metadata(metadata: Mapping[str, Any], source: str) -> Mapping[str, Any]:
    """A read-only copy.

    Raises:
        VoiceFormatError: When it cannot be stored as JSON of at most `MAX_METADATA_CHARS` characters.
    """
    try:
        text = _json(dict(metadata))
        copied = json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise VoiceFormatError(
            f"{source}: {METADATA_KEY} cannot be written as JSON: {error}; use text, finite numbers, lists, objects"
        ) from error
    if len(text) > MAX_METADATA_CHARS:
        raise VoiceFormatError(
            f"{source}: {METADATA_KEY} takes {len(text):,} characters of JSON, expected at most "
            f"{MAX_METADATA_CHARS:,}; store large things elsewhere"
        )
    return MappingProxyType(copied)


def _json(metadata: dict[str, Any]) -> str:
    return json.dumps(metadata, sort_keys=True, allow_nan=False, ensure_ascii=False, separators=(",", ":"))


def _is_name(name: str) -> bool:
    return 0 < len(name) <= MAX_NAME_CHARS and name.isprintable() and name == name.strip()


def _free_key(key: str, taken: Mapping[str, Any]) -> str:
    while key in taken:
        key += "_"
    return key


def _text(array: Array, max_chars: int) -> str | None:
    """Text of a 0-d string array; None for all else."""
    if array.ndim != 0 or array.dtype.kind not in "SU" or array.dtype.itemsize > 4 * max_chars:
        return None
    try:
        value = array.item()
        return value.decode() if isinstance(value, bytes) else str(value)
    except ValueError:  # bytes that are no UTF-8, code points that do not exist
        return None
