"""The archive as a map: two axes cut into cells, the best birth of each cell, how much of the map is covered.

The axes of a run that evolves a map (MAP-Elites) are the run's own; of any other run, two measures over the range that
its births have come to, or categories such as the operator. Which axes are shown is the panel's choice, so that it
outlives the board that replay swaps.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.board.births import Births
from experiments.board.map_axes import OF_BIRTHS, Axis, CategoryColumn, MapAxis
from experiments.board.measures import Measures
from experiments.board.model import Model
from experiments.categories import CATEGORIES
from experiments.events import Begun, Event, Rescored, Told

DEFAULT_CELLS = 12
LEAST_SHADE = 0.08  # of the cell with the worst elite: empty cells alone are 0
_LEAST_SPAN = 0.02  # of totals that the shades are spread over
_OUTSIDE = 0.02  # share of births at each end that an axis chosen by the data may leave to its outermost cells


@dataclass(frozen=True)
class MapCell:
    """One cell with somebody in it.

    Attributes:
        column: From 0, along x.
        row: From 0, along y, upwards.
        elite: The best birth that fell into it.
        total: Its total.
        births: How many fell into it.
    """

    column: int
    row: int
    elite: int
    total: float
    births: int


@dataclass(frozen=True, eq=False)
class Atlas:
    """A map as it is drawn.

    Attributes:
        x: Its axes.
        y: See ``x``.
        cells: Those that are not empty, by (column, row).
        shades: (rows, columns) float32, the top row first: 0 where a cell is empty, otherwise from `LEAST_SHADE` for
            the worst elite to 1 for the best; finite.
        covered: Share of the cells that are not empty.
        worst: Total of the worst elite.
        best: Total of the best elite.
    """

    x: Axis
    y: Axis
    cells: Mapping[tuple[int, int], MapCell]
    shades: NDArray[np.float32]
    covered: float
    worst: float
    best: float

    def at(self, x: float, y: float) -> MapCell | None:
        """The cell at a position, in the axes' units; None where it is empty or outside."""
        column, row = self.x.place(x), self.y.place(y)
        return None if column is None or row is None else self.cells.get((column, row))

    def within(self, one: tuple[float, float], other: tuple[float, float]) -> tuple[int, ...]:
        """Elites of all cells that a rectangle between two corners touches, best first."""
        left, right = sorted((one[0], other[0]))
        bottom, top = sorted((one[1], other[1]))
        touched = []
        for cell in self.cells.values():
            begins, ends = self.x.span(cell.column)
            lower, upper = self.y.span(cell.row)
            if begins <= right and ends >= left and lower <= top and upper >= bottom:
                touched.append(cell)
        return tuple(cell.elite for cell in sorted(touched, key=lambda cell: (-cell.total, cell.elite)))


class VoiceMap(Model):
    """Maps of the evolved births that are ok; the control arm is on none.

    Attributes:
        births: Facts of births.
        measures: What was measured of them.
        own_axes: Names of the run's own, where it evolves a map.
    """

    def __init__(self, births: Births, measures: Measures) -> None:
        super().__init__()
        self.births = births
        self.measures = measures
        self.own_axes: tuple[str, ...] = ()
        self._measured: dict[str, MapAxis] = {}  # those of the run's own that are measures
        self._categories = {name: CategoryColumn(name) for name in OF_BIRTHS}
        self._fitted: dict[str, tuple[int, MapAxis]] = {}  # by measure: an axis, and after how many births
        self._atlas: tuple[int, Atlas] | None = None
        self._coverage: tuple[int, tuple[Axis, Axis], NDArray[np.int64]] | None = None

    def __getstate__(self) -> dict[str, object]:
        return vars(self) | {"_atlas": None}  # it is drawn again

    def apply(self, event: Event) -> None:
        """Follows results."""
        match event:
            case Begun():
                self.own_axes, self._measured = _axes_of(event.config)
                self._categories = {name: CategoryColumn(name) for name in OF_BIRTHS}
                self._fitted.clear()
            case Told() | Rescored():
                pass
            case _:
                return
        self.changed()

    def default_axes(self) -> tuple[str, str] | None:
        """Names to begin with: the run's own, else the first two measures; None before there are two."""
        names = self._first_names()
        return (names[0], names[1]) if len(names) > 1 else None

    def names(self) -> tuple[str, ...]:
        """All axes that can be chosen: the run's own, measures, and categories with more than one value."""
        first = self._first_names()
        more = [name for name in OF_BIRTHS if name not in first and self._category(name).axis.cells > 1]
        return (*first, *more)

    def _first_names(self) -> tuple[str, ...]:
        return (*self.own_axes, *(name for name in self.measures.known_names() if name not in self.own_axes))

    def axis(self, name: str) -> Axis | None:
        """The axis of a measure or category: the run's own, else one that holds the births; None while it is empty.

        One of a measure is fitted again only when there are twice as many births, so that a map does not move under
        the mouse; one of a category grows when a value is met for the first time.
        """
        if name in self._measured:
            return self._measured[name]
        if name in OF_BIRTHS:
            axis = self._category(name).axis
            return axis if axis.cells else None
        return self._fitted_axis(name)

    def _category(self, name: str) -> CategoryColumn:
        column = self._categories[name]
        begin = len(column)
        for number, on_map in zip(self.measures.numbers(begin), self.measures.on_map(begin), strict=True):
            column.add(self.births[int(number)] if on_map else None)
        return column

    def _places(self, axis: Axis, begin: int = 0) -> NDArray[np.int64]:
        """(N - begin,) cell of every birth that was told, from a row on, along an axis; -1 where it has none."""
        if isinstance(axis, MapAxis):
            return axis.places(self.measures.column(axis.measure, begin))
        return self._category(axis.name).places[begin:]

    def _fitted_axis(self, measure: str) -> MapAxis | None:
        told = len(self.measures)
        if measure in self._fitted and told < 2 * self._fitted[measure][0]:
            return self._fitted[measure][1]
        values = self.measures.column(measure)
        values = values[~np.isnan(values)]
        if not values.size:
            return None
        low, high = _round_range(*np.quantile(values.astype(np.float64), [_OUTSIDE, 1 - _OUTSIDE]))
        self._fitted[measure] = max(told, 8), MapAxis(measure, low, high, DEFAULT_CELLS)
        return self._fitted[measure][1]

    def atlas(self, x: str, y: str) -> Atlas | None:
        """The map over two axes; None while one of them is empty."""
        across, up = self.axis(x), self.axis(y)
        if across is None or up is None:
            return None
        if self._atlas is not None and self._atlas[0] == self.revision:
            known = self._atlas[1]
            if (known.x, known.y) == (across, up):
                return known
        self._atlas = self.revision, self._drawn(across, up)
        return self._atlas[1]

    def coverage(self) -> float:
        """Share of the default axes' cells that are not empty; 0 while there is no map."""
        names = self.default_axes()
        axes = None if names is None else (self.axis(names[0]), self.axis(names[1]))
        if axes is None or axes[0] is None or axes[1] is None:
            return 0.0
        pair = (axes[0], axes[1])
        told = len(self.measures)
        begin, seen = 0, np.zeros(0, np.int64)
        if self._coverage is not None and self._coverage[1] == pair and self._coverage[0] <= told:
            begin, _, seen = self._coverage
        columns, rows = (self._places(axis, begin) for axis in pair)  # only births since the last time
        counts = (columns >= 0) & (rows >= 0) & self.measures.on_map(begin)
        seen = np.union1d(seen, (rows * pair[0].cells + columns)[counts])
        self._coverage = told, pair, seen
        return len(seen) / (pair[0].cells * pair[1].cells)

    def _drawn(self, x: Axis, y: Axis) -> Atlas:
        totals, numbers = self.measures.totals(), self.measures.numbers()
        columns, rows = self._places(x), self._places(y)
        here = np.flatnonzero((columns >= 0) & (rows >= 0) & self.measures.on_map())
        flat = rows[here] * x.cells + columns[here]
        counts = np.bincount(flat, minlength=x.cells * y.cells)
        order = here[np.lexsort((here, -totals[here]))]  # best first, the older of equals
        _, firsts = np.unique(rows[order] * x.cells + columns[order], return_index=True)
        elites = order[firsts]
        best, worst = (float(totals[elites].max()), float(totals[elites].min())) if len(elites) else (0.0, 0.0)
        span = max(best - worst, _LEAST_SPAN)
        shades = np.zeros((y.cells, x.cells), np.float32)
        cells = {}
        for index in elites:
            column, row, total = int(columns[index]), int(rows[index]), float(totals[index])
            count = int(counts[row * x.cells + column])
            cells[column, row] = MapCell(column, row, int(numbers[index]), total, count)
            shades[y.cells - 1 - row, column] = 1 - (1 - LEAST_SHADE) * min(1.0, (best - total) / span)
        return Atlas(x, y, cells, shades, len(cells) / (x.cells * y.cells), worst, best)


def _axes_of(config: Mapping[str, Any]) -> tuple[tuple[str, ...], dict[str, MapAxis]]:
    """Names of the axes of a run that evolves a map, and those that are measures."""
    algorithm = config.get("algorithm")
    if not isinstance(algorithm, Mapping) or algorithm.get("kind") != "map-elites":
        return (), {}
    given = algorithm.get("axes", ())
    names: dict[str, None] = {}
    measured: dict[str, MapAxis] = {}
    for axis in given if isinstance(given, Sequence) else ():
        match axis:
            case {"category": str(category)} if category in CATEGORIES:
                names[category] = None
            case {"measure": str(measure), "low": low, "high": high, "cells": int(cells)} if measure and low < high:
                names[measure] = None
                measured[measure] = MapAxis(measure, float(low), float(high), cells)
    return tuple(names), measured


def _round_range(low: float, high: float) -> tuple[float, float]:
    """The nearest round numbers around a range; never an empty one."""
    width = high - low
    if not width > 1e-9 * max(abs(low), abs(high), 1e-9):
        width = max(abs(low) * 0.2, 1e-6)
        low, high = low - width / 2, high + width / 2
    step = 10.0 ** math.floor(math.log10(width / 4))
    step *= next(times for times in (1, 2, 5, 10) if width / (step * times) <= 8)
    return math.floor(low / step) * step, math.ceil(high / step) * step
