"""Common grids: where different encoders' positions meet.

Encoders cut a text into different pieces and a clip into different frames. Each position of each encoder has a
*span*: characters of the text, or seconds of the clip. A grid has *cells*, spans of the same kind: words, characters,
or slices of time. A cell's state is the mean of an encoder's states, weighted by how much of the cell each covers; a
character that several tokens stand for is shared among them. Special tokens have empty spans, so they take part in
nothing.

A text beside a clip: nothing here knows when which word is said, so the text is taken to run evenly through the clip
(or the clip through the text).

Shapes: T positions of one encoder, G cells.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bark_infinity.error_handling import BarkError

Float64Array = NDArray[np.float64]

Grid = Literal[
    "words",  # a run of letters, digits and marks; an ideograph or any other visible symbol alone
    "characters",  # every visible character
    "time",  # slices of a clip
    "tokens",  # one encoder's own positions, special tokens included
]

_JOINERS = "'’\u200d"  # inside a word they belong to it: don't, l’eau, and the zero-width joiner of Indic scripts


def word_spans(text: str) -> Float64Array:
    """Where the words of a text are, in any script.

    Returns:
        (G, 2) begin and end characters. An ideograph is a word, for Chinese and Japanese put no spaces between them;
        so is every symbol that is neither letter, digit nor mark, such as ``♪``.
    """
    spans: list[tuple[int, int]] = []
    begin = None
    for i, char in enumerate(text):
        if _is_of_word(char) or (char in _JOINERS and begin is not None and _is_of_word(text[i + 1 : i + 2])):
            begin = i if begin is None else begin
            continue
        if begin is not None:
            spans.append((begin, i))
            begin = None
        if _is_visible(char):
            spans.append((i, i + 1))
    if begin is not None:
        spans.append((begin, len(text)))
    return _as_spans(spans)


def character_spans(text: str) -> Float64Array:
    """(G, 2) spans of the visible characters, each with the marks that combine with it."""
    spans: list[tuple[int, int]] = []
    for i, char in enumerate(text):
        if unicodedata.category(char)[0] == "M" and spans and spans[-1][1] == i:
            spans[-1] = (spans[-1][0], i + 1)
        elif _is_visible(char):
            spans.append((i, i + 1))
    return _as_spans(spans)


def time_cells(duration_s: float, cells_per_second: float) -> Float64Array:
    """(G, 2) seconds: equal slices from 0 on; the last one ends with the clip, and at least one is there.

    Raises:
        BarkError: When the duration or the rate is not above 0.
    """
    if not (duration_s > 0 and cells_per_second > 0):
        raise BarkError(
            f"a clip of {duration_s} s cannot be cut into {cells_per_second} cells a second, expected both above 0"
        )
    # A remainder below a millionth of a cell is rounding of the duration, not a cell.
    count = max(1, int(np.ceil(duration_s * cells_per_second - 1e-6)))
    edges = np.minimum(np.arange(count + 1) / cells_per_second, duration_s)
    edges[-1] = duration_s
    return np.stack([edges[:-1], edges[1:]], axis=1)


def frame_spans(count: int, hop_s: float, field_s: float, duration_s: float) -> Float64Array:
    """Spans of the frames of a strided encoder.

    Frame t sees ``[t hop, t hop + field)``; it speaks for the hop around the middle of that. The first and the last
    frame also speak for what no frame is centred on, so the spans cover the clip without gaps.

    Args:
        count: T, frames.
        hop_s: Product of the strides, in seconds.
        field_s: Receptive field, in seconds; the hop itself for encoders that pad so that frame t starts at t hop.
        duration_s: Of the clip.

    Returns:
        (T, 2) seconds.
    """
    edges = np.arange(count + 1) * hop_s + (field_s - hop_s) / 2
    edges = np.clip(edges, 0, duration_s)
    edges[0], edges[-1] = 0, duration_s
    return np.stack([edges[:-1], edges[1:]], axis=1)


def overlap_weights(cells: Float64Array, spans: Float64Array) -> Float64Array:
    """How much each position counts in each cell.

    Every bit of a cell counts once, shared equally by the positions that cover it: with n(x) positions at x, the
    weight of one is the integral of 1/n over the cell's and its own common part.

    Args:
        cells: (G, 2) begin and end of the cells.
        spans: (T, 2) begin and end of the positions, in the cells' unit; they may overlap.

    Returns:
        (G, T) weights that add up to 1; rows of zeros for cells that no position covers.
    """
    measured_cells, measured_spans = _measured(spans, cells), _measured(spans, spans)
    begins = np.maximum(measured_cells[:, None, 0], measured_spans[None, :, 0])
    ends = np.minimum(measured_cells[:, None, 1], measured_spans[None, :, 1])
    overlap = np.maximum(ends - begins, 0)
    total = overlap.sum(axis=1, keepdims=True)
    weights: Float64Array = np.divide(overlap, total, out=np.zeros_like(overlap), where=total > 0)
    return weights


def stretched(spans: Float64Array, from_extent: float, to_extent: float) -> Float64Array:
    """Spans of one unit in another, both running evenly: characters of a text as seconds of its clip, say."""
    return spans * (to_extent / from_extent)


def _measured(spans: Float64Array, places: Float64Array) -> Float64Array:
    """Places under the integral of 1/n, n being how many spans cover a point; it stands still where none does."""
    edges, index = np.unique(spans, return_inverse=True)
    if len(edges) < 2:
        return np.zeros_like(places)
    steps = np.zeros(len(edges), np.int64)
    np.add.at(steps, index.reshape(-1, 2)[:, 0], 1)
    np.add.at(steps, index.reshape(-1, 2)[:, 1], -1)
    covering = np.cumsum(steps)[:-1]
    share = np.divide(np.diff(edges), covering, out=np.zeros(len(covering)), where=covering > 0)
    measured: Float64Array = np.interp(places, edges, np.concatenate([[0.0], np.cumsum(share)]))
    return measured


def _as_spans(spans: Sequence[tuple[int, int]]) -> Float64Array:
    return np.asarray(spans, np.float64).reshape(-1, 2)


def _is_of_word(char: str) -> bool:
    return bool(char) and unicodedata.category(char)[0] in "LNM" and not _is_ideograph(char)


def _is_visible(char: str) -> bool:
    return unicodedata.category(char)[0] not in "ZC"


def _is_ideograph(char: str) -> bool:
    return unicodedata.name(char, "").startswith(("CJK UNIFIED", "CJK COMPATIBILITY IDEOGRAPH"))
