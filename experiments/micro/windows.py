"""Suno's windows of the coarse and the fine stage, as pure functions of tokens.

Training rows and reference inference are cut by the same functions, so what the models learn is what they meet.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from experiments.micro import codes as coding
from experiments.micro import layout


@dataclass(frozen=True)
class CoarseHistory:
    """The part of a voice that the coarse stage sees: semantic (S,) and flat coarse ids, two short in time."""

    semantic: np.ndarray
    flat: np.ndarray


NO_HISTORY = CoarseHistory(np.zeros(0, np.int64), np.zeros(0, np.int64))


def coarse_history(semantic: np.ndarray, codes: np.ndarray) -> CoarseHistory:
    """Trims a voice as Suno does: the tail that fits, an even number of semantic tokens, the last frame dropped."""
    flat = coding.flatten(codes)
    n = min(layout.SEMANTIC_LOOKBACK, len(semantic) - len(semantic) % 2, len(flat) // layout.COARSE_PER_SEMANTIC)
    n -= n % 2
    if n == 0:
        return NO_HISTORY
    return CoarseHistory(semantic[-n:].astype(np.int64), flat[-layout.COARSE_PER_SEMANTIC * n :][: -layout.N_COARSE])


def coarse_prompt(history: CoarseHistory, semantic: np.ndarray, made: np.ndarray) -> np.ndarray:
    """Input ids of the window that continues ``made`` (flat ids): semantic block, infer token, recent coarse ids."""
    everything = np.concatenate([history.semantic, semantic])
    now = len(history.semantic) + round(len(made) / layout.COARSE_PER_SEMANTIC)
    block = everything[max(0, now - layout.SEMANTIC_LOOKBACK) :][: layout.COARSE_SEMANTIC_BLOCK]
    block = np.pad(block, (0, layout.COARSE_SEMANTIC_BLOCK - len(block)), constant_values=layout.COARSE_PAD)
    recent = np.concatenate([history.flat, made])[-layout.COARSE_HISTORY :]
    return np.concatenate([block, [layout.COARSE_INFER], recent]).astype(np.int64)


def coarse_length(n_semantic: int) -> int:
    """Flat coarse tokens that ``n_semantic`` semantic tokens become."""
    return n_semantic * layout.COARSE_RATE_HZ // layout.SEMANTIC_RATE_HZ * layout.N_COARSE


@dataclass(frozen=True)
class FineWindow:
    """One window of the fine stage: buffer frames [start, start + FINE_BLOCK), predicted from ``first`` on."""

    start: int
    first: int  # index in the window of the first predicted frame


def fine_windows(n_history: int, n_frames: int) -> list[FineWindow]:
    """Suno's schedule for a buffer of ``n_history`` known frames and ``n_frames`` to fill."""
    total = max(n_history + n_frames, layout.FINE_BLOCK)
    hop = layout.FINE_BLOCK - layout.FINE_HISTORY
    n_windows = max(0, -(-(n_frames - (layout.FINE_BLOCK - n_history)) // hop)) + 1
    windows = []
    for number in range(n_windows):
        start = min(number * hop, total - layout.FINE_BLOCK)
        fill = min(n_history + number * hop, total - hop)
        windows.append(FineWindow(start, fill - start))
    return windows
