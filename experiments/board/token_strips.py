"""Tokens as coloured bands: one column per stretch of time, equal tokens in equal colours.

What repeats, loops or stands still is seen at once; so is what a child shares with its parent. A band holds the most
frequent token of each column, so long histories lose detail but no pattern.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Int64Array = NDArray[np.int64]
Float32Array = NDArray[np.float32]

WIDTH = 320  # columns of every picture
BAND = 12  # pixel rows of a band, the last of which are a gap
_GAP = 2


@dataclass(frozen=True, eq=False)
class TokenStrips:
    """Bands of one history or utterance.

    Attributes:
        names: Of the bands, top first.
        tokens: One row of ids per band, with its own length.
        duration_s: That each band stands for.
    """

    names: tuple[str, ...]
    tokens: tuple[Int64Array, ...]
    duration_s: float

    def at(self, share: float, band: int) -> int | None:
        """The token at a share of the width; None outside."""
        if not (0 <= band < len(self.tokens) and 0 <= share < 1 and self.tokens[band].size):
            return None
        return int(self.tokens[band][int(share * self.tokens[band].size)])


def strips(semantic: Int64Array, coarse: Int64Array, duration_s: float) -> TokenStrips:
    """Bands of semantic (S,) and coarse (C, T) tokens."""
    names = ("semantic", *(f"coarse {row + 1}" for row in range(len(coarse))))
    return TokenStrips(names, (semantic, *coarse), duration_s)


def picture(shown: TokenStrips, bands: int, ground: tuple[float, float, float, float]) -> Float32Array:
    """(bands * BAND, WIDTH, 4) colours for a texture; bands that are not there are ground."""
    image = np.empty((bands * BAND, WIDTH, 4), np.float32)
    image[:] = ground
    for band, tokens in enumerate(shown.tokens[:bands]):
        if tokens.size:
            image[band * BAND : (band + 1) * BAND - _GAP] = _colours(_sampled(tokens))
    return image


def _sampled(tokens: Int64Array) -> Int64Array:
    """(WIDTH,) one token per column: the most frequent where a column holds several, the first of equals."""
    edges = np.linspace(0, tokens.size, WIDTH + 1)
    low = np.minimum(np.floor(edges[:-1]).astype(int), tokens.size - 1)
    high = np.maximum(np.floor(edges[1:]).astype(int), low + 1)
    chosen: Int64Array = tokens[low].copy()
    for column in np.flatnonzero(high - low > 1):
        values, counts = np.unique(tokens[low[column] : high[column]], return_counts=True)
        chosen[column] = values[np.argmax(counts)]
    return chosen


def _colours(tokens: Int64Array) -> Float32Array:
    """(N, 4) a colour for every id, far apart for neighbours: hues by the golden ratio, two levels of lightness."""
    hue = (tokens.astype(np.float64) * 0.6180339887498949) % 1.0
    value = np.where(tokens % 3 == 0, 0.5, np.where(tokens % 3 == 1, 0.66, 0.82))
    saturation = 0.4
    sector = hue[:, None] * 6 + np.array([5.0, 3.0, 1.0])  # HSV to RGB (Smith 1978)
    k = sector % 6
    rgb = value[:, None] * (1 - saturation * np.clip(np.minimum(k, 4 - k), 0, 1))
    return np.concatenate([rgb, np.ones((len(tokens), 1))], axis=1).astype(np.float32)
