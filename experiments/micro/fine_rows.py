"""Training rows of the fine stage: Suno's windows, with known history, frames to fill, padding, and overlaps."""

from __future__ import annotations

import numpy as np

from experiments.micro import layout, windows
from experiments.micro.train_coarse import Material

HISTORY_SHARE = 0.6
GIVEN = layout.N_COARSE
BOOKS = range(GIVEN, layout.N_FINE)


def row(material: Material, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, int]:
    """One window: true codes (FINE_BLOCK, 8), what is known of them likewise, and the first frame to predict."""
    index = int(rng.integers(len(material.utterances)))
    target = material.utterances[index].codes.astype(np.int64)
    known = np.zeros((layout.N_FINE, 0), np.int64)
    if rng.random() < HISTORY_SHARE:
        known = material.history(index, rng)[1][:, -layout.FINE_HISTORY :].astype(np.int64)
    n_history, n_frames = known.shape[1], target.shape[1]
    buffer = np.concatenate([known, target], 1)
    buffer = np.pad(buffer, ((0, 0), (0, max(0, layout.FINE_BLOCK - buffer.shape[1]))), constant_values=layout.FINE_PAD)
    schedule = windows.fine_windows(n_history, n_frames)
    number = int(rng.integers(len(schedule)))
    window = schedule[number]
    true = buffer[:, window.start : window.start + layout.FINE_BLOCK].T
    given = true.copy()
    filled = schedule[number - 1].start + layout.FINE_BLOCK - window.start if number else 0
    given[max(window.first, filled) :, GIVEN:] = layout.FINE_PAD
    return true, given, window.first


def rows(material: Material, rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True and known codes (B, FINE_BLOCK, 8), and which frames are to be predicted (B, FINE_BLOCK)."""
    true, given, first = zip(*(row(material, rng) for _ in range(size)), strict=True)
    codes = np.stack(true)
    asked = (codes[:, :, 0] < layout.FINE_PAD) & (np.arange(layout.FINE_BLOCK) >= np.array(first)[:, None])
    return codes, np.stack(given), asked


def corrupted(given: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Codes (B, T, 8) with some replaced by noise: at use they come from the coarse stage and from this one."""
    noise = rng.integers(layout.CODEBOOK, size=given.shape)
    rate = np.where(np.arange(layout.N_FINE) < GIVEN, 0.1, 0.4) * rng.random((len(given), 1, 1))
    return np.where((rng.random(given.shape) < rate) & (given < layout.FINE_PAD), noise, given)
