"""What never changes of a run's births, in columns, once for all boards of a window.

A birth is born once and told once, so the board of an earlier moment needs no copy of either: it knows how many births
had been told by then, and which it has. A board that is played through a run a second time enters what is there
already, and that changes nothing.

A birth comes to about 100 bytes here and 4 for each of its measures. What is inherited (prompt, voice, settings) is the
parent's own object.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from bark_infinity.requests import RenderSettings
from digital_evolution import Candidate, Parent
from experiments.board.model import Shared
from experiments.events import Told

Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]
T = TypeVar("T")

_ALIKE = 512  # values among which an equal one is looked for, where no parent has it
_NOBODY: array[int] = array("I")


class Register(Shared):
    """Facts of births by number, from 1, and of results by place: the n-th that was told is at place n - 1.

    Attributes:
        told: Numbers in the order of telling.
        totals: As they were told, by place; NaN where there is none.
        measures: Names of measures, in the order in which they were first seen.
        series: Points of curves by name, in the order of steps.
    """

    def __init__(self) -> None:
        self.told = array("I")
        self.totals = array("d")
        self.measures: list[str] = []
        self.series: dict[str, array[float]] = {}
        self._columns: dict[str, array[float]] = {}  # by measure: (told,) values, NaN where there is none
        self._prompts: list[str] = [""]
        self._voices: list[str] = [""]  # as born
        self._spoken: list[str] = [""]  # as told
        self._settings: list[RenderSettings | None] = [None]
        self._locked = bytearray(1)
        self._operators = array("I", [0])
        self._generations = array("q", [0])
        self._islands = array("q", [0])
        self._seeds = array("Q", [0])
        self._parents_at = array("I", [0])  # in the two below
        self._parents_many = array("I", [0])
        self._parents = array("I")
        self._roles = array("I")
        self._places = array("I", [0])  # from 1; 0 while it was not told
        self._seconds = array("f", [0.0])
        self._reasons: dict[int, str] = {}
        self._children: dict[int, array[int]] = {}  # along primary lines
        self._names: list[str] = []  # of operators and roles
        self._alike: dict[object, object] = {}

    def __contains__(self, number: int) -> bool:
        return number < len(self._settings) and self._settings[number] is not None

    # -- being entered ------------------------------------------------------------------------------------------

    def born(self, candidate: Candidate) -> None:
        """Enters a birth, unless it is there."""
        number, genome = candidate.birth, candidate.genome
        if number in self:
            return
        while len(self._settings) <= number:  # numbers that a run leaves out are never asked for
            self._prompts.append("")
            self._voices.append("")
            self._spoken.append("")
            self._settings.append(None)
            self._locked.append(0)
            for column in (self._operators, self._generations, self._islands, self._seeds, self._places):
                column.append(0)
            for column in (self._parents_at, self._parents_many):
                column.append(0)
            self._seconds.append(0.0)
        elders = [one.birth for one in candidate.parents if one.birth in self]
        self._prompts[number] = self._one(genome.prompt, [self._prompts[one] for one in elders])
        self._voices[number] = self._label(candidate)
        self._settings[number] = self._one(genome.settings, [self._settings[one] for one in elders])
        self._locked[number] = genome.content_lock
        self._operators[number] = self._name(candidate.operator)
        self._generations[number] = candidate.generation
        self._islands[number] = candidate.island
        self._seeds[number] = candidate.seed
        self._parents_at[number], self._parents_many[number] = len(self._parents), len(candidate.parents)
        for parent in candidate.parents:
            self._parents.append(parent.birth)
            self._roles.append(self._name(parent.role))
        if candidate.operator != "control":
            self._children.setdefault(self.first_parent(number), array("I")).append(number)

    def tell(self, event: Told) -> None:
        """Enters a result, unless it is there."""
        number, score = event.candidate.birth, event.score
        if self._places[number]:
            return
        place = len(self.told)
        self.told.append(number)
        self.totals.append(np.nan if event.total is None else event.total)
        self._places[number] = place + 1
        self._seconds[number] = sum(event.seconds.values())
        self._spoken[number] = self._label(event.candidate)
        if score.reason is not None:
            self._reasons[number] = self._one(score.reason, ())
        for name in score.measures:
            if name not in self._columns:
                self.measures.append(name)
                self._columns[name] = array("f", [np.nan]) * place
        for name, column in self._columns.items():
            column.append(score.measures.get(name, np.nan))

    def draw(self, step: int, points: Mapping[str, float]) -> None:
        """Enters the points of a step, from 0, unless they are there."""
        for name, value in points.items():
            column = self.series.setdefault(name, array("d"))
            if len(column) == step:
                column.append(value)

    # -- being asked --------------------------------------------------------------------------------------------

    def prompt(self, number: int) -> str:
        """What it says."""
        return self._prompts[number]

    def voice(self, number: int, told: bool) -> str:
        """Label of its voice, as it was born or as it was told."""
        return (self._spoken[number] if told else "") or self._voices[number]

    def settings(self, number: int) -> RenderSettings:
        """Its sampling settings."""
        settings = self._settings[number]
        assert settings is not None
        return settings

    def locked(self, number: int) -> bool:
        """Whether operators must keep its words."""
        return bool(self._locked[number])

    def operator(self, number: int) -> str:
        """What made it."""
        return self._names[self._operators[number]]

    def generation(self, number: int) -> int:
        """0 for founders."""
        return self._generations[number]

    def island(self, number: int) -> int:
        """Its sub-population."""
        return self._islands[number]

    def seed(self, number: int) -> int:
        """Of its rendering."""
        return self._seeds[number]

    def parents(self, number: int) -> tuple[Parent, ...]:
        """The primary line first."""
        begin = self._parents_at[number]
        places = range(begin, begin + self._parents_many[number])
        return tuple(Parent(self._parents[one], self._names[self._roles[one]]) for one in places)  # type: ignore[arg-type]

    def first_parent(self, number: int) -> int:
        """The birth it mostly came from; 0 for none."""
        return self._parents[self._parents_at[number]] if self._parents_many[number] else 0

    def children(self, number: int) -> array[int]:
        """Births whose first parent it is, in the order of birth; of 0, the founders; without the control arm."""
        return self._children.get(number, _NOBODY)

    def place(self, number: int) -> int | None:
        """Where it is in the order of telling; None while it was not told."""
        return self._places[number] - 1 if number < len(self._places) and self._places[number] else None

    def seconds(self, number: int) -> float:
        """Spent on it."""
        return self._seconds[number]

    def reason(self, number: int) -> str:
        """Why it was rejected or failed."""
        return self._reasons.get(number, "")

    # What follows is of births at places ``begin`` to before ``end``, and copied: a column that somebody has a view
    # of could not grow.

    def numbers(self, begin: int, end: int) -> NDArray[np.int64]:
        """(end - begin,) births."""
        return np.array(self.told[begin:end], np.int64)

    def totals_told(self, begin: int, end: int) -> Float64Array:
        """(end - begin,) totals as they were told; NaN where there is none."""
        return np.array(self.totals[begin:end], np.float64)

    def operators(self, begin: int, end: int) -> dict[str, NDArray[np.bool_]]:
        """By name, (end - begin,) whether that made a birth."""
        if begin >= end:
            return {}
        codes = np.frombuffer(self._operators, np.uint32)[self.numbers(begin, end)]
        return {self._names[code]: codes == code for code in np.unique(codes)}

    def control(self, begin: int, end: int) -> NDArray[np.bool_]:
        """(end - begin,) whether a birth is of the control arm."""
        if begin >= end or "control" not in self._names:
            return np.zeros(max(end - begin, 0), np.bool_)
        codes = np.frombuffer(self._operators, np.uint32)[self.numbers(begin, end)]
        return np.equal(codes, self._names.index("control"))

    def first_parents(self, begin: int, end: int) -> NDArray[np.int64]:
        """(end - begin,) first parents; 0 for none."""
        numbers = self.numbers(begin, end)
        if not len(numbers) or not self._parents:
            return np.zeros(len(numbers), np.int64)
        places = np.frombuffer(self._parents_at, np.uint32)[numbers]
        some = np.frombuffer(self._parents_many, np.uint32)[numbers] > 0
        parents = np.frombuffer(self._parents, np.uint32)[np.where(some, places, 0)]
        return np.where(some, parents, 0).astype(np.int64)

    def column(self, measure: str, begin: int, end: int) -> Float32Array:
        """(end - begin,) values of a measure; NaN where there is none."""
        if measure not in self._columns:
            return np.full(max(end - begin, 0), np.nan, np.float32)
        return np.array(self._columns[measure][begin:end], np.float32)

    def table(self, rows: NDArray[np.int64], names: list[str]) -> Float32Array:
        """(len(rows), len(names)) values at some places."""
        table = np.full((len(rows), len(names)), np.nan, np.float32)
        if len(rows):
            for index, name in enumerate(names):
                table[:, index] = np.frombuffer(self._columns[name], np.float32)[rows]
        return table

    def value(self, measure: str, place: int) -> float:
        """One value; NaN when there is none."""
        return self._columns[measure][place]

    def points(self, name: str, count: int) -> Float64Array:
        """(count,) points of a curve."""
        return np.array(self.series[name][:count] if count else (), np.float64)

    # -- keeping one of equals ----------------------------------------------------------------------------------

    def _label(self, candidate: Candidate) -> str:
        voice = candidate.genome.voice
        if voice is None:
            return ""
        elders = [self._spoken[one.birth] for one in candidate.parents if one.birth in self]
        return self._one(voice.label, [*elders, self._voices[candidate.birth]])

    def _one(self, value: T, known: list[T] | tuple[()]) -> T:
        for one in known:
            if one == value:
                return one
        if value not in self._alike and len(self._alike) >= _ALIKE:
            self._alike.clear()
        return self._alike.setdefault(value, value)  # type: ignore[return-value]

    def _name(self, name: str) -> int:
        if name not in self._names:
            self._names.append(name)
        return self._names.index(name)
