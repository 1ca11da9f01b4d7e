"""A voice's tokens in a few kilobytes, and back: semantic and fine codes; coarse codes are fine's first rows.

A blob is one letter and a payload: ``r`` for the codes as little-endian uint16 (uint32 for vocabularies beyond it),
``z`` for the same bytes, all low ones first, deflated. Apart, the high bytes of ten-bit codes hold two bits each, and
shrink; together they do not. The shorter form is kept.
"""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

from bark_infinity.tokens import TokenSpace
from bark_infinity.voices.history import VoiceHistory
from experiments.lineage.errors import LineageError

_RAW, _DEFLATED = b"r", b"z"


def packed_tokens(voice: VoiceHistory) -> bytes:
    """The blob of a voice."""
    width = _width(voice.space)
    codes = np.concatenate([voice.semantic, voice.fine.reshape(-1)]).astype(f"<u{width}")
    raw = codes.tobytes()
    planes = np.frombuffer(raw, np.uint8).reshape(-1, width).T.tobytes()
    deflated = zlib.compress(planes, 6)
    return _DEFLATED + deflated if len(deflated) < len(raw) else _RAW + raw


def unpacked_voice(
    blob: bytes,
    n_semantic: int,
    n_frames: int,
    space: TokenSpace,
    *,
    name: str | None = None,
    metadata: dict[str, object] | None = None,
) -> VoiceHistory:
    """The voice of a blob; what does not fit the numbers beside it is refused, without reading further.

    Raises:
        LineageError: ``damaged``, when the blob is not one of these numbers' tokens.
        VoiceFormatError: When its tokens break a rule of voices.
    """
    width = _width(space)
    n_bytes = width * (n_semantic + space.n_fine_codebooks * n_frames)
    codes = _codes(blob, n_bytes, width)
    fine = codes[n_semantic:].reshape(space.n_fine_codebooks, n_frames)  # (C, T)
    return VoiceHistory(
        codes[:n_semantic], fine[: space.n_coarse_codebooks], fine, space=space, name=name, metadata=metadata or {}
    )


def _width(space: TokenSpace) -> int:
    return 2 if max(space.semantic_vocab_size, space.codebook_size) <= 1 << 16 else 4


def _codes(blob: bytes, n_bytes: int, width: int) -> NDArray[np.int64]:
    form, payload = blob[:1], blob[1:]
    if form == _DEFLATED:
        inflater = zlib.decompressobj()
        try:
            planes = inflater.decompress(payload, n_bytes + 1)
        except zlib.error as error:
            raise LineageError(f"stored tokens do not inflate: {error}; restore a backup", "damaged") from error
        whole = inflater.eof and len(planes) == n_bytes  # the end of the stream holds a checksum
        raw = np.frombuffer(planes, np.uint8).reshape(width, -1).T.tobytes() if whole else planes[:-1]
    else:
        raw = payload if form == _RAW else b""
    if n_bytes < 0 or len(raw) != n_bytes or form not in (_RAW, _DEFLATED):
        raise LineageError(f"stored tokens are {len(raw)} bytes, expected {n_bytes}; restore a backup", "damaged")
    return np.frombuffer(raw, f"<u{width}").astype(np.int64)
