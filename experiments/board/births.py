"""The facts of every birth of the run that is shown, once, for all parts of the board.

What never changes of a birth is in the `Register`, which the boards of all moments share. A board itself adds what a
moment decides: who is born and told, what became of them, their totals after people were heard. Voices and audio are
not kept, and full judgements only of the births that people may be looking at: a night has thousands of births.
Whoever needs more recalls the birth from where it is stored (`window.panel.Desk.recall`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bark_infinity.requests import RenderSettings
from digital_evolution import AddStatus, Candidate, Parent
from evolution.interventions import Pin, Unpin
from experiments.board.model import Model
from experiments.board.register import Register
from experiments.board.scores import Scores
from experiments.events import Asked, Begun, Committed, Event, Intervened, Judged, Rescored, Told
from fusion.score import Score

Float64Array = NDArray[np.float64]
Status = Literal["waiting", "ok", "rejected", "failed"]

_STATUSES: tuple[Status, ...] = ("waiting", "ok", "rejected", "failed")
_UNBORN = 0  # otherwise one more than the index of a status
_OPEN = 0  # what became of it is not known; otherwise `AddStatus` + 2


class Birth:
    """One birth, as a board knows it: a view of the board's facts, which reads them when it is asked."""

    __slots__ = ("_births", "number")

    def __init__(self, births: Births, number: int) -> None:
        self._births = births
        self.number = number

    @property
    def prompt(self) -> str:
        """What it says."""
        return self._births.register.prompt(self.number)

    @property
    def voice(self) -> str:
        """Label of its voice, ``""`` where the model chooses one or it is still to be rendered."""
        return self._births.register.voice(self.number, self._births.is_told(self.number))

    @property
    def settings(self) -> RenderSettings:
        """Its sampling settings."""
        return self._births.register.settings(self.number)

    @property
    def content_lock(self) -> bool:
        """Whether operators must keep the prompt's words."""
        return self._births.register.locked(self.number)

    @property
    def parents(self) -> tuple[Parent, ...]:
        """Numbers and roles, the primary line first."""
        return self._births.register.parents(self.number)

    @property
    def operator(self) -> str:
        """What made it."""
        return self._births.register.operator(self.number)

    @property
    def generation(self) -> int:
        """0 for founders."""
        return self._births.register.generation(self.number)

    @property
    def island(self) -> int:
        """Its sub-population."""
        return self._births.register.island(self.number)

    @property
    def seed(self) -> int:
        """Of its rendering."""
        return self._births.register.seed(self.number)

    @property
    def status(self) -> Status:
        """``waiting`` until it is told."""
        return self._births.status(self.number)

    @property
    def score(self) -> Score | None:
        """Its judgement; None while it is waiting, and where it has to be recalled."""
        births = self._births
        return births.scores[self.number] if births.is_told(self.number) else None

    @property
    def total(self) -> float | None:
        """Weighted mean of its objectives; None unless it is ok."""
        return self._births.total(self.number)

    @property
    def became(self) -> AddStatus | None:
        """What the population made of it; None until its step is committed."""
        return self._births.became(self.number)

    @property
    def rating(self) -> float | None:
        """The last rating that stands, from 0 (dislike) to 1 (like)."""
        rated = self._births.rated(self.number)
        return None if rated is None else rated.value

    @property
    def rated_by(self) -> int | None:
        """The judgement that says so."""
        rated = self._births.rated(self.number)
        return None if rated is None else rated.judgement_id

    @property
    def pinned(self) -> bool:
        """Whether a person keeps it in the population."""
        return self.number in self._births.pinned

    @property
    def seconds(self) -> float:
        """Spent on it; 0 while it is waiting."""
        return self._births.register.seconds(self.number) if self._births.is_told(self.number) else 0.0

    @property
    def control(self) -> bool:
        """Whether it belongs to the control arm, which never breeds."""
        return self.operator == "control"

    @property
    def reason(self) -> str:
        """Why it was rejected or failed; empty otherwise."""
        return self._births.register.reason(self.number) if self._births.is_told(self.number) else ""


class Births(Model, Mapping[int, Birth]):
    """All births by number, in the order of birth.

    Args:
        scores: Where full judgements are kept.

    Attributes:
        register: What never changes of births.
        scores: Full judgements of those told or looked at last.
        told: How many were told.
        population: Who lives, in the order of the last commit.
        living: The same as a set.
        best: The best evolved birth so far.
        objectives: Names of the terms that the run is about, in order.
        weights: One for each.
        pinned: Births that a person keeps in the population.
    """

    def __init__(self, scores: Scores) -> None:
        super().__init__()
        self.scores = scores
        self._clear()

    def _clear(self) -> None:
        self.register = Register()
        self.told = 0
        self.population: tuple[int, ...] = ()
        self.living: frozenset[int] = frozenset()
        self.best: int | None = None
        self.objectives: tuple[str, ...] = ()
        self.weights: tuple[float, ...] = ()
        self.pinned: set[int] = set()
        self._born = 0
        self._statuses = bytearray()  # by number, one more than the index in `_STATUSES`
        self._became = bytearray()  # by number
        self._rescored: dict[int, float] = {}
        self._ratings: dict[int, dict[int, Judged]] = {}  # by birth and judgement, those that stand

    def __getitem__(self, number: int) -> Birth:
        if number not in self:
            raise KeyError(number)
        return Birth(self, number)

    def __contains__(self, number: object) -> bool:
        return isinstance(number, int) and 0 < number < len(self._statuses) and self._statuses[number] != _UNBORN

    def __iter__(self) -> Iterator[int]:
        return (number for number, status in enumerate(self._statuses) if status != _UNBORN)

    def __len__(self) -> int:
        return self._born

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = object.__hash__

    @property
    def most(self) -> int:
        """The highest number."""
        return max(len(self._statuses) - 1, 0)

    @property
    def latest(self) -> int | None:
        """The birth that was told last."""
        return self.register.told[self.told - 1] if self.told else None

    def status(self, number: int) -> Status:
        """Of a birth that is there."""
        return _STATUSES[self._statuses[number] - 1]

    def is_told(self, number: int) -> bool:
        """Whether a birth was told."""
        return number in self and self._statuses[number] > 1

    def total(self, number: int) -> float | None:
        """A birth's total of today; None where it has none."""
        if number in self._rescored:
            return self._rescored[number]
        place = self.register.place(number) if self.is_told(number) else None
        total = np.nan if place is None else self.register.totals[place]
        return None if total != total else total

    def became(self, number: int) -> AddStatus | None:
        """What the population made of a birth; None until its step is committed."""
        return AddStatus(self._became[number] - 2) if self._became[number] != _OPEN else None

    def rated(self, number: int) -> Judged | None:
        """The last rating of a birth that stands."""
        return next(reversed(self._ratings[number].values()), None) if number in self._ratings else None

    def rated_births(self) -> tuple[int, ...]:
        """Births with a rating that stands."""
        return tuple(self._ratings)

    def numbers(self, begin: int = 0) -> NDArray[np.int64]:
        """(told - begin,) births in the order of telling."""
        return self.register.numbers(begin, self.told)

    def totals(self, begin: int = 0) -> Float64Array:
        """(told - begin,) totals of today, in the order of telling; NaN where there is none."""
        totals = self.register.totals_told(begin, self.told)
        latest = self.register.told[begin : self.told]
        for number in latest if len(latest) < len(self._rescored) else self._rescored:
            place = self.register.place(number)
            if number in self._rescored and place is not None and begin <= place < self.told:
                totals[place - begin] = self._rescored[number]
        return totals

    def apply(self, event: Event) -> None:
        """Takes in what was born, told, judged, and what became of it."""
        match event:
            case Begun():
                self._clear()
                self.objectives, self.weights = event.objectives, event.weights
            case Asked():
                for candidate in event.candidates:
                    self._bear(candidate)
            case Told():
                self._tell(event)
            case Committed():
                for number, became in event.became.items():
                    if number in self:
                        self._became[number] = became + 2
                self.population, self.best = event.population, event.best
                self.living = frozenset(event.population)
            case Rescored():
                self._rescored |= {number: total for number, total in event.totals.items() if number in self}
            case Judged(kind="rating"):
                self._rate(event)
            case Intervened(intervention=Pin() | Unpin() as pin):
                (self.pinned.add if isinstance(pin, Pin) else self.pinned.discard)(pin.birth)
            case _:
                return
        self.changed()

    def _bear(self, candidate: Candidate) -> None:
        number = candidate.birth
        if number in self:
            return
        self.register.born(candidate)
        missing = number + 1 - len(self._statuses)
        self._statuses.extend(bytes(max(missing, 0)))
        self._became.extend(bytes(max(missing, 0)))
        self._statuses[number] = 1
        self._born += 1

    def _tell(self, event: Told) -> None:
        number = event.candidate.birth
        self._bear(event.candidate)
        if self.is_told(number):
            return
        self.register.tell(event)
        self.scores.put(number, event.score)
        self._statuses[number] = _STATUSES.index(event.score.status) + 1
        self.told += 1

    def _rate(self, event: Judged) -> None:
        standing = self._ratings.setdefault(event.one, {})
        if event.withdrawn:
            standing.pop(event.judgement_id, None)
        else:
            standing[event.judgement_id] = event
        if not standing:
            del self._ratings[event.one]
