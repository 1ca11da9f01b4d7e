"""The archive map: the best birth of every cell of a grid over two measures.

MAP-Elites runs bring their grid along. For others the same picture is drawn over two measures that every clip has,
between the 1st and 99th percentile, so that one odd clip does not squeeze all others into a corner.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments.lineage.columns import Columns
from experiments.report.findings import Floats, Ints
from experiments.report.markup import Html, joined, number, tag

FAVOURITES = ("f0_median_hz", "centroid_hz", "onset_rate_hz", "duration_s")  # where the run names no axes
_CELLS = (24, 16)
_WIDTH, _HEIGHT = 640, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 12, 10, 46
_MOST_CELLS = 60  # along an axis of a picture
_SHADES = 6


@dataclass(frozen=True)
class Axis:
    """A measure, cut into equal cells from low to high; what lies outside is in the outermost ones."""

    measure: str
    low: float
    high: float
    cells: int

    def cell(self, values: Floats) -> Ints:
        """(N,) index of each value's cell; -1 where it is NaN."""
        share = (np.clip(values, self.low, self.high) - self.low) / (self.high - self.low)
        at = np.minimum(np.nan_to_num(share) * self.cells, self.cells - 1).astype(np.int64)
        return np.where(np.isnan(values), -1, at)

    def edges(self, cell: int) -> tuple[float, float]:
        """Where a cell begins and ends."""
        width = (self.high - self.low) / self.cells
        return self.low + cell * width, self.low + (cell + 1) * width


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


def configured_axes(config: Mapping[str, Any]) -> tuple[tuple[Axis, ...], tuple[str, ...]]:
    """The measured axes that a run's config asks for, and the names of others; none for runs without a map."""
    algorithm = config.get("algorithm")
    given = algorithm.get("axes") if isinstance(algorithm, Mapping) else None
    axes: list[Axis] = []
    others: list[str] = []
    for one in given if isinstance(given, Sequence) and not isinstance(given, str) else ():
        if not isinstance(one, Mapping):
            continue
        try:
            axis = Axis(str(one["measure"]), float(one["low"]), float(one["high"]), int(one["cells"]))
        except (KeyError, TypeError, ValueError, OverflowError):
            axis = Axis("", 0, 0, 0)
        drawable = axis.measure and -math.inf < axis.low < axis.high < math.inf and 1 <= axis.cells <= _MOST_CELLS
        if drawable and len(axes) < 2:
            axes.append(axis)
        else:
            others.append(str(one.get("category") or one.get("measure") or one.get("name") or "?"))
    return tuple(axes), tuple(others)


def draw_from(
    table: Columns, values: Floats, members: np.ndarray[Any, np.dtype[np.bool_]], config: Mapping[str, Any]
) -> ArchiveMap | None:
    """The map of some births of a run; None when nothing can be placed.

    Args:
        table: All births, with the measures of the axes, or of `FAVOURITES`.
        values: (N,) what elites are best in.
        members: (N,) which births count.
        config: Of the run.
    """
    axes, left_out = configured_axes(config)
    own = bool(axes)
    known = members & ~np.isnan(values)
    if not own:
        axes = _chosen_axes(table, known)
    if not axes or not known.any():
        return None
    cells = np.stack([axis.cell(np.asarray(table.measures[axis.measure])) for axis in axes])  # (axes, N)
    placed = np.flatnonzero(known & (cells >= 0).all(axis=0))
    elites: dict[tuple[int, ...], tuple[int, float]] = {}
    births: dict[tuple[int, ...], int] = {}
    for row in placed:  # in birth order: among equals the first stays, as in MAP-Elites
        cell = tuple(int(one) for one in cells[:, row])
        births[cell] = births.get(cell, 0) + 1
        if cell not in elites or values[row] > elites[cell][1]:
            elites[cell] = (int(table.births[row]), float(values[row]))
    return ArchiveMap(axes, own, elites, births, left_out) if elites else None


def _chosen_axes(table: Columns, known: np.ndarray[Any, np.dtype[np.bool_]]) -> tuple[Axis, ...]:
    axes: list[Axis] = []
    for name, column in table.measures.items():
        own = column[known]
        own = own[~np.isnan(own)]
        if len(own) < 2 or len(axes) == 2:
            continue
        low, high = (float(one) for one in np.percentile(own, (1, 99)))
        if low < high:
            axes.append(Axis(name, low, high, _CELLS[len(axes)]))
    return tuple(axes) if len(axes) == 2 else ()


def picture(drawn: ArchiveMap, shown: str) -> Html:
    """The map as SVG: the better the elite of a cell, the stronger its colour."""
    across = drawn.axes[0]
    up = drawn.axes[1] if len(drawn.axes) > 1 else None
    rows = up.cells if up else 1
    height = _HEIGHT if up else 120
    width_px = (_WIDTH - _LEFT - _RIGHT) / across.cells
    height_px = (height - _TOP - _BOTTOM) / rows
    best = [value for _, value in drawn.elites.values()]
    low, high = min(best), max(best)
    parts: list[Html] = []
    bottom = height - _BOTTOM
    parts.append(tag("rect", class_="ground", x=_LEFT, y=_TOP, width=_WIDTH - _LEFT - _RIGHT, height=bottom - _TOP))
    for cell, (birth, value) in sorted(drawn.elites.items()):
        row = cell[1] if up else 0
        shade = 1 + min(_SHADES - 1, int((value - low) / (high - low) * _SHADES)) if high > low else _SHADES
        where = f"{across.measure} {_range(across, cell[0])}"
        if up:
            where += f", {up.measure} {_range(up, row)}"
        parts.append(
            tag(
                "rect",
                tag("title", f"{where}: best {number(value)}, birth {birth} (of {drawn.births[cell]})"),
                class_=f"cell s{shade}",
                x=round(_LEFT + cell[0] * width_px + 0.5, 1),
                y=round(bottom - (row + 1) * height_px + 0.5, 1),
                width=round(max(width_px - 1, 1), 1),
                height=round(max(height_px - 1, 1), 1),
            )
            if len(drawn.elites) <= 2_000
            else tag(
                "rect",
                class_=f"cell s{shade}",
                x=round(_LEFT + cell[0] * width_px, 1),
                y=round(bottom - (row + 1) * height_px, 1),
                width=round(width_px, 1),
                height=round(height_px, 1),
            )
        )
    parts += _labels(across, bottom, up)
    words = f"{len(drawn.elites)} of {drawn.size} cells are filled; the best of each by {shown}"
    return tag(
        "svg", tag("title", words), joined(parts), class_="chart map", viewBox=f"0 0 {_WIDTH} {height}", role="img"
    )


def _labels(across: Axis, bottom: float, up: Axis | None) -> list[Html]:
    width = _WIDTH - _LEFT - _RIGHT
    parts: list[Html] = []
    for share in (0, 0.25, 0.5, 0.75, 1):
        value = across.low + share * (across.high - across.low)
        anchor = "start" if share == 0 else "end" if share == 1 else "middle"
        parts.append(tag("text", number(value, 2), x=_LEFT + share * width, y=bottom + 17, text_anchor=anchor))
    parts.append(tag("text", across.measure, class_="axis", x=_LEFT + width / 2, y=bottom + 37, text_anchor="middle"))
    if up:
        for share in (0, 0.25, 0.5, 0.75, 1):
            y = bottom - share * (bottom - _TOP)
            value = up.low + share * (up.high - up.low)
            parts.append(tag("text", number(value, 2), x=_LEFT - 7, y=min(max(y + 4, 18), bottom), text_anchor="end"))
        middle = (bottom + _TOP) / 2
        turned = f"rotate(-90 14 {middle:g})"
        parts.append(tag("text", up.measure, class_="axis", x=14, y=middle, text_anchor="middle", transform=turned))
    return parts


def _range(axis: Axis, cell: int) -> str:
    low, high = axis.edges(cell)
    return f"{number(low, 2)} to {number(high, 2)}"
