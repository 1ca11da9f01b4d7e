"""The archive map: the best birth of every cell of a grid over two measures or categories.

MAP-Elites runs bring their grid along. For others the same picture is drawn over two measures that every clip has,
between the 1st and 99th percentile, so that one odd clip does not squeeze all others into a corner.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from experiments.categories import CATEGORIES
from experiments.lineage.columns import Columns, prompts
from experiments.lineage.reading import LineageReader
from experiments.lineage.records import Run
from experiments.report.findings import Floats, Ints
from experiments.report.markup import Html, joined, number, tag

Flags = NDArray[np.bool_]

FAVOURITES = ("f0_median_hz", "centroid_hz", "onset_rate_hz", "duration_s")  # where the run names no axes
_FINEST = (24, 16)  # cells of a grid that is chosen here
_WIDTH, _HEIGHT = 640, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 84, 12, 10, 46
_INNER = _WIDTH - _LEFT - _RIGHT
_MOST_TITLES = 2_000  # cells that say what they are; in finer maps nobody meets one with a pointer
_MOST_CELLS = 60  # along an axis of a picture
_SHADES = 6


class Axis(Protocol):
    """One direction of a map."""

    @property
    def name(self) -> str:
        """What is along it."""

    @property
    def cells(self) -> int:
        """How many there are."""

    def label(self, cell: int) -> str:
        """What a cell stands for."""

    def ticks(self) -> list[tuple[float, str]]:
        """Places, as shares of the axis, and what is written there."""


@dataclass(frozen=True)
class Measured:
    """A measure, cut into equal cells from low to high; what lies outside is in the outermost ones."""

    name: str
    low: float
    high: float
    cells: int

    def cell(self, values: Floats) -> Ints:
        """(N,) index of each value's cell; -1 where it is NaN."""
        share = (np.clip(values, self.low, self.high) - self.low) / (self.high - self.low)
        at = np.minimum(np.nan_to_num(share) * self.cells, self.cells - 1).astype(np.int64)
        return np.where(np.isnan(values), -1, at)

    def label(self, cell: int) -> str:
        """Where a cell begins and ends."""
        width = (self.high - self.low) / self.cells
        return f"{number(self.low + cell * width, 2)} to {number(self.low + (cell + 1) * width, 2)}"

    def ticks(self) -> list[tuple[float, str]]:
        """At every quarter."""
        return [(at / 4, number(self.low + at / 4 * (self.high - self.low), 2)) for at in range(5)]


@dataclass(frozen=True)
class Categories:
    """A property of the prompt, a cell for each of its values."""

    name: str
    values: tuple[str, ...]

    @property
    def cells(self) -> int:
        """How many there are."""
        return len(self.values)

    def label(self, cell: int) -> str:
        """The value itself."""
        return self.values[cell]

    def ticks(self) -> list[tuple[float, str]]:
        """In the middle of every cell."""
        return [((at + 0.5) / self.cells, value[:14]) for at, value in enumerate(self.values)]


@dataclass(frozen=True, eq=False)
class ArchiveMap:
    """A grid and who is in it.

    Attributes:
        axes: One or two.
        own: Whether they are the run's own (MAP-Elites), not chosen for the picture.
        elites: Birth and value by cell.
        births: How many fell into each cell.
        left_out: Axes of the run that the picture does not have.
    """

    axes: tuple[Axis, ...]
    own: bool
    elites: Mapping[tuple[int, ...], tuple[int, float]]
    births: Mapping[tuple[int, ...], int]
    left_out: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Cells of the grid."""
        return math.prod(axis.cells for axis in self.axes)


def configured_axes(config: Mapping[str, Any]) -> tuple[list[Measured | str], list[str]]:
    """The axes that a run's config asks for, the first two of them and the names of the others.

    Returns:
        Measures as axes, categories by their names; nothing for runs without a map.
    """
    algorithm = config.get("algorithm")
    given = algorithm.get("axes") if isinstance(algorithm, Mapping) else None
    axes: list[Measured | str] = []
    others: list[str] = []
    for one in given if isinstance(given, Sequence) and not isinstance(given, str) else ():
        if not isinstance(one, Mapping):
            continue
        category = one.get("category")
        axis: Measured | str | None = category if isinstance(category, str) and category else _measured(one)
        if axis is not None and len(axes) < 2:
            axes.append(axis)
        else:
            others.append(str(category or one.get("measure") or "an axis"))
    return axes, others


def _measured(given: Mapping[str, Any]) -> Measured | None:
    """An axis that can be drawn; None for any other."""
    try:
        axis = Measured(str(given["measure"]), float(given["low"]), float(given["high"]), int(given["cells"]))
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    fits = axis.name and -math.inf < axis.low < axis.high < math.inf and 1 <= axis.cells <= _MOST_CELLS
    return axis if fits else None


def draw_from(lineage: LineageReader, run: Run, table: Columns, values: Floats, members: Flags) -> ArchiveMap | None:
    """The map of some births of a run; None when nothing can be placed.

    Args:
        lineage: The file.
        run: The run.
        table: All births, with the measures of its axes, or of `FAVOURITES`.
        values: (N,) what elites are best in.
        members: (N,) which births count.
    """
    given, left_out = configured_axes(run.config)
    known = members & ~np.isnan(values)
    placed = [
        _categorised(lineage, run, one, len(table)) if isinstance(one, str) else _placed(one, table) for one in given
    ]
    if not placed:
        placed = [_placed(one, table) for one in _chosen_axes(table, known)]
    if not placed or not known.any():
        return None
    cells = np.stack([own for _, own in placed])  # (axes, N)
    elites: dict[tuple[int, ...], tuple[int, float]] = {}
    births: dict[tuple[int, ...], int] = {}
    for row in np.flatnonzero(known & (cells >= 0).all(axis=0)):
        # In birth order: among equals the first stays, as in MAP-Elites.
        cell = tuple(cells[:, row].tolist())
        births[cell] = births.get(cell, 0) + 1
        if cell not in elites or values[row] > elites[cell][1]:
            elites[cell] = (int(table.births[row]), float(values[row]))
    return (
        ArchiveMap(tuple(axis for axis, _ in placed), bool(given), elites, births, tuple(left_out)) if elites else None
    )


def _placed(axis: Measured, table: Columns) -> tuple[Axis, Ints]:
    return axis, axis.cell(np.asarray(table.measures[axis.name]))


def _categorised(lineage: LineageReader, run: Run, name: str, count: int) -> tuple[Axis, Ints]:
    """The most frequent categories, and each birth's; -1 for births of others, or of a category unknown here."""
    texts = prompts(lineage, run.run_id)[:count]  # more may have been born meanwhile
    of = CATEGORIES.get(name)
    found = {one: of(one) if of else "" for one in dict.fromkeys(texts)}
    frequent = Counter(found[one] for one in texts).most_common(_FINEST[0])
    axis = Categories(name, tuple(sorted(value for value, _ in frequent)))
    places = {value: at for at, value in enumerate(axis.values)}
    return axis, np.array([places.get(found[one], -1) for one in texts], np.int64)


def _chosen_axes(table: Columns, known: Flags) -> list[Measured]:
    axes: list[Measured] = []
    for name, column in table.measures.items():
        own = column[known]
        own = own[~np.isnan(own)]
        if len(own) < 2 or len(axes) == 2:
            continue
        low, high = (float(one) for one in np.percentile(own, (1, 99)))
        if low < high:
            cells = max(6, round(math.sqrt(len(own))))  # so that some cells hold more than one birth
            axes.append(Measured(name, low, high, min(cells, _FINEST[len(axes)])))
    return axes if len(axes) == 2 else []


def picture(drawn: ArchiveMap, shown: str) -> Html:
    """The map as SVG: the better the elite of a cell, the stronger its colour."""
    across = drawn.axes[0]
    up = drawn.axes[1] if len(drawn.axes) > 1 else None
    height = _HEIGHT if up else _TOP + 64 + _BOTTOM
    bottom = height - _BOTTOM
    width_px, height_px = _INNER / across.cells, (bottom - _TOP) / (up.cells if up else 1)
    best = [value for _, value in drawn.elites.values()]
    low, high = min(best), max(best)
    titled = len(drawn.elites) <= _MOST_TITLES
    parts = [tag("rect", class_="ground", x=_LEFT, y=_TOP, width=_INNER, height=bottom - _TOP)]
    for cell, (birth, value) in sorted(drawn.elites.items()):
        row = cell[1] if up else 0
        shade = 1 + min(_SHADES - 1, int((value - low) / (high - low) * _SHADES)) if high > low else _SHADES
        where = ", ".join(f"{axis.name} {axis.label(at)}" for axis, at in zip(drawn.axes, cell, strict=True))
        words = f"{where}: best {number(value)}, birth {birth} (of {drawn.births[cell]})"
        parts.append(
            tag(
                "rect",
                tag("title", words) if titled else None,
                class_=f"cell s{shade}",
                x=round(_LEFT + cell[0] * width_px + 0.5, 1),
                y=round(bottom - (row + 1) * height_px + 0.5, 1),
                width=round(max(width_px - 1, 1), 1),
                height=round(max(height_px - 1, 1), 1),
            )
        )
    for share, label in across.ticks():
        anchor = "start" if share == 0 else "end" if share == 1 else "middle"
        parts.append(tag("text", label, x=round(_LEFT + share * _INNER, 1), y=bottom + 17, text_anchor=anchor))
    parts.append(tag("text", across.name, class_="axis", x=_LEFT + _INNER / 2, y=bottom + 37, text_anchor="middle"))
    for share, label in up.ticks() if up else ():
        y = min(max(bottom - share * (bottom - _TOP) + 4, _TOP + 8), bottom)
        parts.append(tag("text", label, x=_LEFT - 7, y=round(y, 1), text_anchor="end"))
    if up:
        middle = (bottom + _TOP) / 2
        turned = f"rotate(-90 14 {middle:g})"
        parts.append(tag("text", up.name, class_="axis", x=14, y=middle, text_anchor="middle", transform=turned))
    words = f"{len(drawn.elites)} of {drawn.size} cells are filled; the best of each by {shown}"
    return tag(
        "svg", tag("title", words), joined(parts), class_="chart map", viewBox=f"0 0 {_WIDTH} {height}", role="img"
    )
