"""What experts say of passages, brought onto the common grid: all that a mixture needs, before anything learns.

Shapes: B passages, T cells of the grid, E experts, D_e width of expert e.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from fusion.transformer.alignment import Float64Array, Grid, overlap_weights, stretched
from fusion.transformer.embedding_cache import EmbeddingCache
from fusion.transformer.experts import Expert, Modality, Window

_CELLS_AT_ONCE = 256  # so that the table of weights does not grow with the square of a clip's length


@dataclass(frozen=True, eq=False)
class AlignedStates:
    """All experts' states on the common grid; worth keeping when experts are frozen.

    Attributes:
        states: For each expert (B, T, D_e); 0 where it has no state.
        available: (B, T, E) bool, where it has.
        spans: (B, T, 2) float64 cells in characters or seconds, on the CPU; 0 beyond a passage's end.
    """

    states: tuple[Tensor, ...]
    available: Tensor
    spans: Tensor

    def rows(self, index: Sequence[int]) -> AlignedStates:
        """The same for some of the passages, such as a training batch."""
        keep = torch.as_tensor(index, dtype=torch.int64)
        there = keep.to(self.available.device)
        return AlignedStates(tuple(s[there] for s in self.states), self.available[there], self.spans[keep])


def read_passages(
    expert: Expert,
    reading: Sequence[Sequence[Window]],
    most_rows: int,
    cache: EmbeddingCache | None,
    tell: Callable[[], None],
) -> list[Tensor]:
    """What one expert says of passages.

    Args:
        expert: Reads every different window once.
        reading: For each passage, its windows.
        most_rows: See `Expert.read`.
        cache: Asked first, and given what is new; None keeps nothing, and lets gradients through.
        tell: Called for every passage that is done, its states read or found.

    Returns:
        For each passage the states of all its windows, one after the other, (T, D_e).
    """
    keys = [[expert.cache_key(window) for window in passage] for passage in reading]
    different: dict[str, Window] = {}
    passages_with: dict[str, list[int]] = defaultdict(list)
    for row, passage in enumerate(reading):
        for key, window in zip(keys[row], passage, strict=True):
            different[key] = window
            passages_with[key].append(row)
    missing = [len(passage) for passage in keys]
    known: dict[str, Tensor] = {}

    def learn(key: str, states: Tensor) -> None:
        known[key] = states
        for row in passages_with[key]:
            missing[row] -= 1
            if not missing[row]:
                tell()

    for key, window in different.items():
        kept = None if cache is None else cache.get(key)
        if kept is not None and kept.shape == (len(window.spans), expert.width):
            learn(key, kept.to(expert.device))
    asked = [key for key in different if key not in known]
    for index, states in expert.read([different[key] for key in asked], most_rows):
        learn(asked[index], states)
        if cache is not None:
            cache.put(asked[index], states)
    nothing = torch.zeros((0, expert.width), device=expert.device, dtype=expert.dtype)
    return [torch.cat([nothing, *(known[key] for key in passage)]) for passage in keys]


def align_states(
    experts: Sequence[Expert],
    readings: Sequence[Sequence[Sequence[Window]]],
    states: Sequence[Sequence[Tensor]],
    grid: Grid,
    cells: Sequence[Float64Array | None],
    extents: Sequence[tuple[float, float]],
) -> AlignedStates:
    """Brings states onto the grid.

    Args:
        experts: E of them.
        readings: For each expert, for each passage, its windows.
        states: For each expert, for each passage, the (T_e, D_e) states of all windows.
        grid: What the cells are.
        cells: For each passage its (T, 2) cells; None on the grid ``tokens``.
        extents: For each passage its length in characters and in seconds.
    """
    spans = [[_spans(windows) for windows in reading] for reading in readings]
    own = [spans[0][row] if cell is None else cell for row, cell in enumerate(cells)]
    length = max(len(cell) for cell in own)
    padded: list[Tensor] = []
    covered: list[Tensor] = []
    for expert, placed, said in zip(experts, spans, states, strict=True):
        rows = []
        for row, (cell, there, hidden) in enumerate(zip(cells, placed, said, strict=True)):
            if cell is None:
                rows.append((hidden, torch.ones(len(hidden), dtype=torch.bool, device=hidden.device)))
            else:
                on_grid = _in_unit_of_grid(there, expert.modality, grid, extents[row])
                rows.append(_averaged(hidden, on_grid, cell))
        padded.append(torch.stack([functional.pad(mean, (0, 0, 0, length - len(mean))) for mean, _ in rows]))
        covered.append(torch.stack([functional.pad(any_, (0, length - len(any_))) for _, any_ in rows]))
    boundaries = torch.zeros((len(own), length, 2), dtype=torch.float64)
    for row, cell in enumerate(own):
        boundaries[row, : len(cell)] = torch.from_numpy(cell)
    return AlignedStates(tuple(padded), torch.stack(covered, dim=-1), boundaries)


def _spans(windows: Sequence[Window]) -> Float64Array:
    return np.concatenate([np.zeros((0, 2)), *(window.spans for window in windows)])


def _in_unit_of_grid(spans: Float64Array, modality: Modality, grid: Grid, extent: tuple[float, float]) -> Float64Array:
    """Characters as seconds or seconds as characters, where the grid needs it."""
    characters, seconds = extent
    if not len(spans) or (modality == "audio") == (grid == "time"):
        return spans
    return stretched(spans, characters, seconds) if modality == "text" else stretched(spans, seconds, characters)


def _averaged(states: Tensor, spans: Float64Array, cells: Float64Array) -> tuple[Tensor, Tensor]:
    """(T_e, D_e) states at (T_e, 2) spans to (T, D_e) means over (T, 2) cells, and (T,) whether there is anything."""
    means = torch.zeros((len(cells), states.shape[1]), device=states.device)
    covered = np.zeros(len(cells), np.bool_)
    for first in range(0, len(cells), _CELLS_AT_ONCE):
        block = slice(first, first + _CELLS_AT_ONCE)
        near = (spans[:, 1] > cells[block, 0].min()) & (spans[:, 0] < cells[block, 1].max())
        weights = overlap_weights(cells[block], spans[near])
        covered[block] = weights.any(axis=1)
        there = torch.from_numpy(np.flatnonzero(near)).to(states.device)
        means[block] = torch.from_numpy(weights).to(states.device, torch.float32) @ states[there].float()
    return means.to(states.dtype), torch.from_numpy(covered).to(states.device)
