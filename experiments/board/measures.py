"""What was measured of every birth, as one table: the ground of maps, percentiles and diversity.

Rows are in the order in which births were told; columns appear as measures do. What was not measured is NaN here, and
every reader has to say what it does with that. The values themselves are in the `Register`.
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
        self._told = 0
        self._moments = np.zeros((3, 16))  # count, mean and sum of squared deviations of every column

    def apply(self, event: Event) -> None:
        """Takes in results, and totals that changed."""
        match event:
            case Begun():
                self._clear()
            case Told():
                self._tell(event)
            case Rescored():
                pass
            case _:
                return
        self.changed()

    def __len__(self) -> int:
        return self.births.told

    def __contains__(self, birth: object) -> bool:
        return isinstance(birth, int) and self.births.is_told(birth)

    def numbers(self, begin: int = 0) -> NDArray[np.int64]:
        """(N - begin,) birth numbers from a row on."""
        return self.births.numbers(begin)

    def totals(self, begin: int = 0) -> NDArray[np.float64]:
        """(N - begin,) totals of today from a row on; NaN for births that are not ok."""
        return self.births.totals(begin)

    def on_map(self, begin: int = 0) -> NDArray[np.bool_]:
        """(N - begin,) whether a birth is ok and none of the control arm, from a row on."""
        return ~self.births.register.control(begin, len(self)) & ~np.isnan(self.totals(begin))

    def column(self, name: str, begin: int = 0) -> Float32Array:
        """(N - begin,) values of a measure from a row on; NaN where it was not measured, or is unknown."""
        return self.births.register.column(name if name in self._columns else "", begin, len(self))

    def rows(self, births: tuple[int, ...]) -> NDArray[np.int64]:
        """Rows of those births that were told."""
        return np.array([self.births.register.place(birth) for birth in births if birth in self], np.int64)

    def table(self, rows: NDArray[np.int64]) -> Float32Array:
        """(len(rows), measures) values; NaN where something was not measured."""
        return self.births.register.table(rows, self.names)

    def value(self, birth: int, name: str) -> float | None:
        """A birth's measure; None when there is none."""
        place = self.births.register.place(birth) if birth in self and name in self._columns else None
        value = math.nan if place is None else self.births.register.value(name, place)
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

    def _tell(self, event: Told) -> None:
        if self._told == self.births.told:
            return  # it was told before
        self._told = self.births.told
        for name in event.score.measures:
            if name not in self._columns:
                self._columns[name] = len(self.names)
                self.names.append(name)
        if len(self.names) > self._moments.shape[1]:
            more = np.zeros((3, 2 * len(self.names) - self._moments.shape[1]))
            self._moments = np.concatenate([self._moments, more], axis=1)
        columns = [self._columns[name] for name in event.score.measures]
        measured = np.array(list(event.score.measures.values()))
        count, mean, squares = self._moments[:, columns]
        delta = measured - mean
        mean += delta / (count + 1)
        self._moments[:, columns] = count + 1, mean, squares + delta * (measured - mean)


def measure_title(name: str) -> str:
    """A measure's name for people, with its unit: ``f0 median (Hz)``."""
    words = name.split("_")
    if len(words) > 2 and words[-2] == "per":
        return f"{' '.join(words[:-3])} ({words[-3]}/{words[-1]})".replace("(db/", "(dB/")
    unit = _UNITS.get(words[-1]) if len(words) > 1 else None
    if not unit:
        return " ".join(words)
    return " ".join(words) if unit == "share" else f"{' '.join(words[:-1])} ({unit})"
