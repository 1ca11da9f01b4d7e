"""The rules that a voice's three token arrays keep, and the repairs that are possible when they do not.

A rule that is broken is told with the file, the key, the rule and what was found instead. Repairs are limited to what
cannot change how a voice sounds to Bark: lengths that do not match, and coarse codes that differ from the fine ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from bark_infinity.error_handling import VoiceFormatError
from bark_infinity.tokens import Int64Array, TokenSpace
from bark_infinity.voices.bounded_npz import Array

SEMANTIC_KEY, COARSE_KEY, FINE_KEY = "semantic_prompt", "coarse_prompt", "fine_prompt"
TOKEN_KEYS = (SEMANTIC_KEY, COARSE_KEY, FINE_KEY)


def as_array(value: Any, key: str, source: str) -> Array:
    """Any array-like thing as a numpy array.

    Raises:
        VoiceFormatError: When numpy cannot make one of it.
    """
    try:
        return np.asarray(value)
    except (TypeError, ValueError) as error:
        raise VoiceFormatError(
            f"{source}: {key} cannot be read as an array: {error}; pass numpy arrays, or lists of equal lengths"
        ) from error


def checked_tokens(
    semantic: Any, coarse: Any, fine: Any, space: TokenSpace, source: str
) -> tuple[Int64Array, Int64Array, Int64Array]:
    """The three arrays in canonical form, when every rule holds.

    Args:
        semantic: (S,) integers.
        coarse: (n_coarse_codebooks, T) integers.
        fine: (n_fine_codebooks, T) integers.
        space: Decides ranges, rows and the lengths' ratio.
        source: How errors call the voice.

    Returns:
        Read-only, contiguous int64 arrays of the same shapes.

    Raises:
        VoiceFormatError: When a rule is broken.
    """
    semantic_ids = _canonical(semantic, SEMANTIC_KEY, None, space.semantic_vocab_size, source)
    coarse_codes = _canonical(coarse, COARSE_KEY, space.n_coarse_codebooks, space.codebook_size, source)
    fine_codes = _canonical(fine, FINE_KEY, space.n_fine_codebooks, space.codebook_size, source)
    n_semantic, n_frames = semantic_ids.size, fine_codes.shape[1]
    if coarse_codes.shape[1] != n_frames:
        raise VoiceFormatError(
            f"{source}: {COARSE_KEY} has {coarse_codes.shape[1]} frames and {FINE_KEY} has {n_frames}, "
            "expected the same number; load it with repair=True to rebuild coarse from fine"
        )
    expected = space.frames_for(n_semantic)
    if n_frames != expected:
        raise VoiceFormatError(
            f"{source}: {FINE_KEY} has {n_frames} frames, expected T = floor(S * {space.coarse_rate_hz:g} / "
            f"{space.semantic_rate_hz:g}) = {expected} for the S = {n_semantic} tokens of {SEMANTIC_KEY}; "
            "load it with repair=True to trim it"
        )
    different = coarse_codes != fine_codes[: space.n_coarse_codebooks]
    if different.any():
        row, frame = _first(different)
        raise VoiceFormatError(
            f"{source}: {COARSE_KEY} differs from the first {space.n_coarse_codebooks} rows of {FINE_KEY} in "
            f"{int(different.sum())} places, first in row {row}, frame {frame} ({coarse_codes[row, frame]} and "
            f"{fine_codes[row, frame]}), expected them equal; load it with repair=True to rebuild coarse from fine"
        )
    return semantic_ids, coarse_codes, fine_codes


def repaired_tokens(
    tokens: Mapping[str, Array], space: TokenSpace, source: str
) -> tuple[dict[str, Array], tuple[str, ...]]:
    """Mends lengths, extra axes and coarse codes.

    Bark reads the ends of the three arrays as simultaneous, so what is too long is cut at its beginning: what is
    left is exactly the pairs of sound and moment that Bark would have used.

    Args:
        tokens: Arrays by key; coarse may be missing.
        space: See `checked_tokens`.
        source: How errors call the voice.

    Returns:
        The arrays, and one sentence for each thing that was changed.

    Raises:
        VoiceFormatError: When a rule is broken that no repair mends.
    """
    fixed = dict(tokens)
    if SEMANTIC_KEY not in fixed or FINE_KEY not in fixed:
        return fixed, ()
    done: list[str] = []
    for key, n_rows in ((SEMANTIC_KEY, None), (FINE_KEY, space.n_fine_codebooks)):
        bare = _without_batch(fixed[key], n_rows)
        if bare is not None:
            done.append(f"{key}: dropped the extra axes of shape {fixed[key].shape}")
            fixed[key] = bare
    semantic = _canonical(fixed[SEMANTIC_KEY], SEMANTIC_KEY, None, space.semantic_vocab_size, source)
    fine = _canonical(fixed[FINE_KEY], FINE_KEY, space.n_fine_codebooks, space.codebook_size, source)

    n_semantic, n_frames = semantic.size, fine.shape[1]
    kept_semantic = min(n_semantic, math.ceil((n_frames + 1) * space.semantic_rate_hz / space.coarse_rate_hz))
    while kept_semantic > 0 and space.frames_for(kept_semantic) > n_frames:
        kept_semantic -= 1
    kept_frames = space.frames_for(kept_semantic)
    if kept_frames < 1:
        raise VoiceFormatError(
            f"{source}: {n_semantic} tokens of {SEMANTIC_KEY} and {n_frames} frames of {FINE_KEY} cannot be "
            "trimmed to matching lengths, nothing would be left; render the voice again"
        )
    if kept_semantic < n_semantic:
        done.append(f"{SEMANTIC_KEY}: kept the last {kept_semantic} of {n_semantic} tokens")
    if kept_frames < n_frames:
        done.append(f"{FINE_KEY}: kept the last {kept_frames} of {n_frames} frames")

    coarse = fine[: space.n_coarse_codebooks]
    given = fixed.get(COARSE_KEY)
    if given is None:
        done.append(f"{COARSE_KEY}: it was missing, rebuilt from {FINE_KEY}")
    elif given.shape != coarse.shape or not bool((given == coarse).all()):
        done.append(f"{COARSE_KEY}: it did not match {FINE_KEY}, rebuilt from it")
    elif kept_frames < n_frames:
        done.append(f"{COARSE_KEY}: kept the last {kept_frames} of {n_frames} frames")
    return {
        SEMANTIC_KEY: semantic[-kept_semantic:],
        COARSE_KEY: coarse[:, -kept_frames:],
        FINE_KEY: fine[:, -kept_frames:],
    }, tuple(done)


def _canonical(value: Any, key: str, n_rows: int | None, n_ids: int, source: str) -> Int64Array:
    """One array as read-only, contiguous int64; ``n_rows`` None asks for a single axis."""
    array = as_array(value, key, source)
    if array.dtype.kind not in "iu":
        raise VoiceFormatError(
            f"{source}: {key} has dtype {array.dtype}, expected integers; token ids are whole numbers, "
            "so look for what saved them otherwise"
        )
    if array.ndim != (1 if n_rows is None else 2) or (n_rows is not None and array.shape[0] != n_rows):
        wanted = "(S,)" if n_rows is None else f"({n_rows}, T)"
        mends = _without_batch(array, n_rows) is not None or key == COARSE_KEY
        hint = "load it with repair=True to mend that" if mends else "it may come from another Bark"
        raise VoiceFormatError(f"{source}: {key} has shape {array.shape}, expected {wanted}; {hint}")
    if array.size < 1:
        raise VoiceFormatError(
            f"{source}: {key} has shape {array.shape}, expected at least one token; an empty rendering is no voice"
        )
    low, high = int(array.min()), int(array.max())
    if low < 0 or high >= n_ids:
        wrong = low if low < 0 else high
        index = _first(array == array.dtype.type(wrong))
        raise VoiceFormatError(
            f"{source}: {key} holds {wrong} at index {index[0] if n_rows is None else index}, expected ids from 0 "
            f"to {n_ids - 1}; it may come from another Bark, or hold the padding of one"
        )
    already_ours = array.base is None and not array.flags.writeable and array.flags.c_contiguous
    if already_ours and array.dtype == np.dtype(np.int64):
        return array
    canonical: Int64Array = np.array(array, dtype=np.int64, order="C")
    canonical.setflags(write=False)
    return canonical


def _first(marks: Array) -> tuple[int, ...]:
    """Index of the first True; unlike ``argwhere`` it needs no memory for the others."""
    index = np.unravel_index(int(marks.argmax()), marks.shape)
    return tuple(int(position) for position in index)


def _without_batch(array: Array, n_rows: int | None) -> Array | None:
    """The array without leading axes of length 1, when those are all that is wrong with its shape."""
    extra = array.ndim - (1 if n_rows is None else 2)
    if extra <= 0 or any(size != 1 for size in array.shape[:extra]):
        return None
    bare: Array = array.reshape(array.shape[extra:])
    return bare if n_rows is None or bare.shape[0] == n_rows else None
