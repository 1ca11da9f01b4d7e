"""The discrete codes Bark speaks in: which ids exist, at which rates, and what one rendering's ids look like.

Light module: numpy only. Figures of `SUNO_TOKENS` are those of suno-ai/bark ``bark/generation.py``.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

Int64Array = NDArray[np.int64]

SAMPLE_RATE = 24_000  # Hz, of Suno's codec; an engine's own is `BarkEngine.sample_rate`


@dataclass(frozen=True)
class TokenSpace:
    """Vocabulary sizes and rates that decide which tokens a checkpoint can hold.

    Two checkpoints whose spaces are equal can read each other's voices.
    """

    semantic_vocab_size: int = 10_000
    codebook_size: int = 1_024  # K, of every acoustic codebook
    n_coarse_codebooks: int = 2
    n_fine_codebooks: int = 8
    semantic_rate_hz: float = 49.9
    coarse_rate_hz: float = 75.0  # codec frames per second

    @property
    def flat_coarse_per_semantic(self) -> float:
        """Flattened coarse tokens per semantic token (about 3.006 in Suno's Bark)."""
        return self.coarse_rate_hz / self.semantic_rate_hz * self.n_coarse_codebooks

    def frames_for(self, n_semantic: int) -> int:
        """Codec frames T that ``n_semantic`` semantic tokens become: as many as are whole within their time.

        Exact in the rates as they are written. Suno's floor(n * (coarse / semantic * codebooks) / codebooks) is the
        same for its 2 codebooks; with 3, rounding makes it 749 frames of the 750 in ten seconds (499 tokens).
        """
        frames, tokens = _frames_per_tokens(self.coarse_rate_hz, self.semantic_rate_hz)
        return int(n_semantic) * frames // tokens


@functools.cache
def _frames_per_tokens(coarse_rate_hz: float, semantic_rate_hz: float) -> tuple[int, int]:
    """So many frames take exactly as long as so many semantic tokens."""
    ratio = Fraction(repr(float(coarse_rate_hz))) / Fraction(repr(float(semantic_rate_hz)))
    return ratio.numerator, ratio.denominator


SUNO_TOKENS = TokenSpace()


def _no_semantic() -> Int64Array:
    return np.zeros(0, np.int64)


def _no_frames() -> Int64Array:
    return np.zeros((0, 0), np.int64)


@dataclass(frozen=True, eq=False)
class BarkTokens:
    """Tokens of one rendering; a stage that has not run is empty.

    Attributes:
        semantic: (S,) ids in [0, semantic_vocab_size).
        coarse: (n_coarse_codebooks, T) codes in [0, codebook_size).
        fine: (n_fine_codebooks, T) codes; its first rows are ``coarse``.
    """

    semantic: Int64Array = field(default_factory=_no_semantic)
    coarse: Int64Array = field(default_factory=_no_frames)
    fine: Int64Array = field(default_factory=_no_frames)
