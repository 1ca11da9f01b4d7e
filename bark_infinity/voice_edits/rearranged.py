"""Voices put together from moments of other voices, so that all three streams stay in step.

An edit in time says, for every semantic token of the child, which token of which parent it is. The frames follow: each
comes from the same place relative to its token. Because T == floor(S * rate) is kept by construction, no edit can tear
semantic tokens and codes apart, whatever the rates are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bark_infinity.tokens import Int64Array
from bark_infinity.variation import NotApplicable
from bark_infinity.voices.history import VoiceHistory
from bark_infinity.voices.metadata import FAMILY_KEY


def child_of(voice: VoiceHistory, semantic: Int64Array, fine: Int64Array) -> VoiceHistory:
    """A voice of new tokens in a parent's space and family; names and files stay with the parent.

    Args:
        voice: The parent.
        semantic: (S,) ids.
        fine: (n_fine_codebooks, T) codes.
    """
    kept = {key: value for key, value in voice.metadata.items() if key == FAMILY_KEY}
    coarse = fine[: voice.space.n_coarse_codebooks]
    return VoiceHistory(semantic, coarse, fine, space=voice.space, metadata=kept)


def rearranged(voices: Sequence[VoiceHistory], *pieces: tuple[int, Int64Array]) -> VoiceHistory:
    """Joins stretches of voices.

    Args:
        voices: Parents in one token space.
        *pieces: Number of the parent, and the indices of its semantic tokens in the order they are to be spoken.

    Returns:
        A valid voice; consecutive tokens bring consecutive frames.

    Raises:
        NotApplicable: When not one frame would be left.
    """
    space = voices[0].space
    token = np.concatenate([indices for _, indices in pieces])  # (S,) in its parent
    source = np.concatenate([np.full(len(indices), number) for number, indices in pieces])  # (S,)
    n_frames = space.frames_for(len(token))
    if n_frames < 1:
        raise NotApplicable(f"{len(token)} semantic tokens would be left, expected enough for one frame")
    per_token = space.coarse_rate_hz / space.semantic_rate_hz
    frame = np.arange(n_frames)
    at = np.minimum(np.floor((frame + 0.5) / per_token).astype(np.int64), len(token) - 1)  # token of each frame
    shifted = frame + np.floor(0.5 + (token[at] - at) * per_token).astype(np.int64)
    semantic = np.empty(len(token), np.int64)
    fine = np.empty((space.n_fine_codebooks, n_frames), np.int64)
    for number, voice in enumerate(voices):
        own_tokens, own_frames = source == number, source[at] == number
        semantic[own_tokens] = voice.semantic[token[own_tokens]]
        fine[:, own_frames] = voice.fine[:, np.clip(shifted[own_frames], 0, voice.fine.shape[1] - 1)]
    return child_of(voices[0], semantic, fine)


def run_starts(voice: VoiceHistory) -> Int64Array:
    """Indices where a run of equal semantic tokens begins, 0 first: cuts there do not tear a sound."""
    changes = np.flatnonzero(voice.semantic[1:] != voice.semantic[:-1]) + 1
    return np.concatenate([[0], changes])


def tokens_in(voice: VoiceHistory, seconds: float) -> int:
    """Semantic tokens of a duration, at least one."""
    return max(1, round(seconds * voice.space.semantic_rate_hz))
