"""The axes of a map: a measure cut into equal parts, or a category with a cell for each of its values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from experiments.board.births import Birth
from experiments.board.measures import measure_title
from experiments.categories import script_of_most, tag_of

MOST_VALUES = 24  # of a category that have a cell of their own
OTHERS = "others"


class Axis(Protocol):
    """One direction of a map; positions on it run from ``low`` to ``high``."""

    @property
    def name(self) -> str:
        """The measure or category along it."""

    @property
    def low(self) -> float:
        """Where its first cell begins."""

    @property
    def high(self) -> float:
        """Where its last cell ends."""

    @property
    def cells(self) -> int:
        """How many there are."""

    @property
    def labels(self) -> tuple[str, ...]:
        """A name for each cell; none where positions say it."""

    def place(self, value: float) -> int | None:
        """The cell that a position on the map is in; None outside of it."""

    def span(self, cell: int) -> tuple[float, float]:
        """Where a cell begins and ends."""


@dataclass(frozen=True)
class MapAxis:
    """``cells`` equal parts of [low, high] of a measure; what lies outside is in the outermost ones."""

    measure: str
    low: float
    high: float
    cells: int

    @property
    def name(self) -> str:
        """The measure."""
        return self.measure

    @property
    def title(self) -> str:
        """For people."""
        return measure_title(self.measure)

    @property
    def labels(self) -> tuple[str, ...]:
        """None: numbers along the axis say where a cell is."""
        return ()

    def places(self, values: NDArray[np.float32]) -> NDArray[np.int64]:
        """(N,) cell of each value, from 0; -1 where it is not known."""
        known = ~np.isnan(values)
        share = (np.clip(np.where(known, values, self.low), self.low, self.high) - self.low) / (self.high - self.low)
        return np.where(known, np.minimum((share * self.cells).astype(np.int64), self.cells - 1), -1)

    def place(self, value: float) -> int | None:
        """The cell that a position on the map is in; None outside of it."""
        if not self.low <= value <= self.high:
            return None
        return min(int((value - self.low) / (self.high - self.low) * self.cells), self.cells - 1)

    def span(self, cell: int) -> tuple[float, float]:
        """Where a cell begins and ends."""
        width = (self.high - self.low) / self.cells
        return self.low + cell * width, self.low + (cell + 1) * width


@dataclass(frozen=True)
class CategoryAxis:
    """A cell for each value of a category, one unit wide, in the order in which the values were first met."""

    category: str
    labels: tuple[str, ...]

    @property
    def name(self) -> str:
        """The category."""
        return self.category

    @property
    def low(self) -> float:
        """Cells begin at whole numbers."""
        return 0.0

    @property
    def high(self) -> float:
        """As many as there are cells."""
        return float(self.cells)

    @property
    def cells(self) -> int:
        """How many values there are."""
        return len(self.labels)

    def place(self, value: float) -> int | None:
        """The cell that a position on the map is in; None outside of it."""
        return min(int(value), self.cells - 1) if 0 <= value <= self.cells else None

    def span(self, cell: int) -> tuple[float, float]:
        """Where a cell begins and ends."""
        return float(cell), float(cell + 1)


OF_BIRTHS: Mapping[str, Callable[[Birth], str]] = MappingProxyType(
    {
        "operator": lambda birth: birth.operator.replace("_", " "),
        "island": lambda birth: f"island {birth.island + 1}",
        "tag": lambda birth: tag_of(birth.prompt),
        "script": lambda birth: script_of_most(birth.prompt),
    }
)
"""Categories that births belong to, by name; a recipe's are among them (`experiments.categories`)."""


class CategoryColumn:
    """Which value of a category every birth has, row by row as births are told."""

    def __init__(self, category: str) -> None:
        self.category = category
        self._values: dict[str, int] = {}
        self._places = np.full(64, -1, np.int64)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def places(self) -> NDArray[np.int64]:
        """(N,) cell of each birth, from 0; -1 for those that are on no map."""
        return self._places[: self._count]

    @property
    def axis(self) -> CategoryAxis:
        """With the values met so far."""
        return CategoryAxis(self.category, tuple(self._values))

    def add(self, birth: Birth | None) -> None:
        """The next row; None for a birth that is on no map, whose value gets no cell."""
        if self._count == len(self._places):
            self._places = np.concatenate([self._places, np.full_like(self._places, -1)])
        self._places[self._count] = -1 if birth is None else self._place(OF_BIRTHS[self.category](birth))
        self._count += 1

    def _place(self, value: str) -> int:
        if value not in self._values and len(self._values) >= MOST_VALUES:
            value = OTHERS
        return self._values.setdefault(value, len(self._values))
