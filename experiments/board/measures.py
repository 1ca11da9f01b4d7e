"""What was measured of every birth, as one table: the ground of maps, percentiles and diversity.

Rows are in the order in which births were told; columns appear as measures do. What was not measured is NaN here, and
every reader has to say what it does with that.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from experiments.board.births import Births
from experiments.board.model import Model
from experiments.events import Begun, Event, Rescored, Told

Float32Array = NDArray[np.float32]

_UNITS = {"hz": "Hz", "s": "s", "db": "dB", "st": "semitones", "cps": "letters/s", "share": "share",
          "octave": "dB/octave", "count": ""}  # fmt: skip
_FIRST = ("f0_median_hz", "centroid_hz", "speaking_rate_cps", "onset_rate_hz", "duration_s", "f0_iqr_st",
          "harmonicity_db", "voiced_share", "tilt_db_per_octave", "rms_db")  # fmt: skip


class Measures(Model):
    """Measures and totals of all births that were told.

    Attributes:
        births: Facts of births.
        names: Measures seen so far, in the order of their columns.
    """

    def __init__(self, births: Births) -> None:
        super().__init__()
        self.births = births
        self._clear()

    def _clear(self) -> None:
        self.names: list[str] = []
        self._columns: dict[str, int] = {}
        self._rows: dict[int, int] = {}  # by birth
        self._values = np.full((64, 16), np.nan, np.float32)
        self._totals = np.full(64, np.nan, np.float32)
        self._numbers = np.zeros(64, np.int64)
        self._evolved = np.zeros(64, bool)
        self._moments = np.zeros((3, 16))  # count, mean and sum of squared deviations of every column

    def apply(self, event: Event) -> None:
        """Takes in results, and totals that changed."""
        match event:
            case Begun():
                self._clear()
            case Told():
                self._told(event)
            case Rescored():
                for birth, total in event.totals.items():
                    if birth in self._rows:
                        self._totals[self._rows[birth]] = total
            case _:
                return
        self.changed()

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, birth: object) -> bool:
        return birth in self._rows

    @property
    def numbers(self) -> NDArray[np.int64]:
        """(N,) birth numbers, in the order of telling."""
        return self._numbers[: len(self)]

    @property
    def totals(self) -> Float32Array:
        """(N,) totals; NaN for births that are not ok."""
        return self._totals[: len(self)]

    @property
    def evolved(self) -> NDArray[np.bool_]:
        """(N,) whether a birth is none of the control arm."""
        return self._evolved[: len(self)]

    def column(self, name: str) -> Float32Array:
        """(N,) values of a measure; NaN where it was not measured, everywhere when it is unknown."""
        if name not in self._columns:
            return np.full(len(self), np.nan, np.float32)
        return self._values[: len(self), self._columns[name]]

    def rows(self, births: tuple[int, ...]) -> NDArray[np.int64]:
        """Rows of those births that were told."""
        return np.array([self._rows[birth] for birth in births if birth in self._rows], np.int64)

    def table(self, rows: NDArray[np.int64]) -> Float32Array:
        """(len(rows), measures) values; NaN where something was not measured."""
        return self._values[rows, : len(self.names)]

    def value(self, birth: int, name: str) -> float | None:
        """A birth's measure; None when there is none."""
        if birth not in self._rows or name not in self._columns:
            return None
        value = float(self._values[self._rows[birth], self._columns[name]])
        return None if math.isnan(value) else value

    def percentile(self, birth: int, name: str) -> float | None:
        """Share of the measured births with a smaller value, ties counting half; None when there is no value."""
        value = self.value(birth, name)
        if value is None:
            return None
        column = self.column(name)
        below, level = np.count_nonzero(column < value), np.count_nonzero(column == np.float32(value))
        return float((below + level / 2) / np.count_nonzero(~np.isnan(column)))

    def deviations(self) -> NDArray[np.float64]:
        """(measures,) standard deviation of every measure over all births, as they came (Welford 1962)."""
        count, _, squares = self._moments[:, : len(self.names)]
        deviations: NDArray[np.float64] = np.sqrt(squares / np.maximum(count, 1))
        return deviations

    def known_names(self) -> tuple[str, ...]:
        """All measures, those that people ask for first."""
        first = [name for name in _FIRST if name in self._columns]
        return (*first, *sorted(name for name in self.names if name not in first))

    def _told(self, event: Told) -> None:
        birth = event.candidate.birth
        if birth in self._rows:
            return
        row = self._rows[birth] = len(self._rows)
        if row >= len(self._totals):
            self._values = np.concatenate([self._values, np.full_like(self._values, np.nan)])
            self._totals = np.concatenate([self._totals, np.full_like(self._totals, np.nan)])
            self._numbers = np.concatenate([self._numbers, np.zeros_like(self._numbers)])
            self._evolved = np.concatenate([self._evolved, np.zeros_like(self._evolved)])
        for name in event.score.measures:
            if name not in self._columns:
                self._columns[name] = len(self.names)
                self.names.append(name)
        if len(self.names) > self._values.shape[1]:
            more = np.full((len(self._values), 2 * len(self.names) - self._values.shape[1]), np.nan, np.float32)
            self._values = np.concatenate([self._values, more], axis=1)
            self._moments = np.concatenate([self._moments, np.zeros((3, more.shape[1]))], axis=1)
        columns = [self._columns[name] for name in event.score.measures]
        self._values[row] = np.nan
        self._values[row, columns] = measured = np.array(list(event.score.measures.values()))
        count, mean, squares = self._moments[:, columns]
        delta = measured - mean
        mean += delta / (count + 1)
        self._moments[:, columns] = count + 1, mean, squares + delta * (measured - mean)
        self._totals[row] = np.nan if event.total is None else event.total
        self._numbers[row] = birth
        self._evolved[row] = event.candidate.operator != "control"


def measure_title(name: str) -> str:
    """A measure's name for people, with its unit: ``f0 median (Hz)``."""
    words = name.split("_")
    if len(words) > 2 and words[-2] == "per":
        return f"{' '.join(words[:-3])} ({words[-3]}/{words[-1]})".replace("(db/", "(dB/")
    unit = _UNITS.get(words[-1]) if len(words) > 1 else None
    if not unit:
        return " ".join(words)
    return " ".join(words) if unit == "share" else f"{' '.join(words[:-1])} ({unit})"
