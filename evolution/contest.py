"""Does evolution beat chance: the best of the evolved and of the control arm, after equal numbers of births."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping

import numpy as np

_NONE = -math.inf  # of births that were not ok, and before the first that was


class Contest:
    """The fitness of every committed birth, and the best so far of each arm.

    Args:
        control_share: Of all births, those of the control arm, spread evenly.
    """

    def __init__(self, control_share: float) -> None:
        self._share = control_share
        self._fitness = array("d")  # by birth
        self._curves = {True: array("d"), False: array("d")}  # of the control arm, and of the others

    def controls(self, birth: int) -> int:
        """Births of the control arm up to this one."""
        return math.floor(birth * self._share)

    def is_control(self, birth: int) -> bool:
        """Whether a birth belongs to the control arm."""
        return self.controls(birth) > self.controls(birth - 1)

    def fitness(self, birth: int) -> float | None:
        """Of a birth; None when it is not committed, or was not ok."""
        known = birth <= len(self._fitness) and self._fitness[birth - 1] > _NONE
        return self._fitness[birth - 1] if known else None

    def add(self, fitness: float | None) -> None:
        """Commits the next birth; None when it was not ok."""
        self._fitness.append(_NONE if fitness is None else fitness)
        curve = self._curves[self.is_control(len(self._fitness))]
        curve.append(max(curve[-1] if curve else _NONE, self._fitness[-1]))

    def revise(self, fitness: Mapping[int, float]) -> None:
        """Gives births of this contest another fitness."""
        for birth, value in fitness.items():
            self._fitness[birth - 1] = value
        values = np.array(self._fitness)
        control = np.diff(np.floor(np.arange(len(values) + 1) * self._share)) > 0
        for arm in self._curves:
            self._curves[arm] = array("d", np.maximum.accumulate(values[control == arm]))

    def standing(self) -> tuple[int, float, float]:
        """(births of each arm, best of the evolved, best of control); -inf where none was ok."""
        births = min(map(len, self._curves.values()))
        control, evolved = (curve[births - 1] if births else _NONE for curve in self._curves.values())
        return births, evolved, control
