"""The facts of every birth of the run that is shown, once, for all parts of the board.

Voices and audio are not kept here: a night has thousands of births. Whoever needs them recalls the birth from where it
is stored (`window.panel.Desk.recall`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from bark_infinity.requests import RenderSettings
from digital_evolution import AddStatus, Candidate, Parent
from evolution.interventions import Pin, Unpin
from experiments.board.model import Model
from experiments.events import Asked, Begun, Committed, Event, Intervened, Judged, Rescored, Told
from fusion.score import Score

Status = Literal["waiting", "ok", "rejected", "failed"]


@dataclass(slots=True)
class Birth:
    """One birth; changed by `Births` only.

    Attributes:
        number: Its birth number.
        prompt: What it says.
        voice: Label of its voice, ``""`` where the model chooses one or it is still to be rendered.
        settings: Its sampling settings.
        content_lock: Whether operators must keep the prompt's words.
        parents: Numbers and roles, the primary line first.
        operator: What made it.
        generation: 0 for founders.
        island: Its sub-population.
        seed: Of its rendering.
        status: ``waiting`` until it is told.
        score: Its judgement; None while it is waiting.
        total: Weighted mean of its objectives; None unless it is ok.
        became: What the population made of it; None until its step is committed.
        rating: The last rating that stands, from 0 (dislike) to 1 (like).
        rated_by: The judgement that says so.
        pinned: Whether a person keeps it in the population.
        seconds: Spent on it, by stage.
    """

    number: int
    prompt: str
    voice: str
    settings: RenderSettings
    content_lock: bool
    parents: tuple[Parent, ...]
    operator: str
    generation: int
    island: int
    seed: int
    status: Status = "waiting"
    score: Score | None = None
    total: float | None = None
    became: AddStatus | None = None
    rating: float | None = None
    rated_by: int | None = None
    pinned: bool = False
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def control(self) -> bool:
        """Whether it belongs to the control arm, which never breeds."""
        return self.operator == "control"

    @property
    def reason(self) -> str:
        """Why it was rejected or failed; empty otherwise."""
        return "" if self.score is None or self.score.reason is None else self.score.reason


class Births(Model):
    """All births by number.

    Attributes:
        known: In the order of birth.
        population: Who lives, in the order of the last commit.
        living: The same as a set.
        best: The best evolved birth so far.
        objectives: Names of the terms that the run is about, in order.
        weights: One for each.
        latest: The birth that was told last.
    """

    def __init__(self) -> None:
        super().__init__()
        self.known: dict[int, Birth] = {}
        self.population: tuple[int, ...] = ()
        self.living: frozenset[int] = frozenset()
        self.best: int | None = None
        self.objectives: tuple[str, ...] = ()
        self.weights: tuple[float, ...] = ()
        self.latest: int | None = None
        self._ratings: dict[int, Judged] = {}  # by judgement, those that stand
        self._labels: dict[int, str] = {}

    def __getitem__(self, number: int) -> Birth:
        return self.known[number]

    def __contains__(self, number: object) -> bool:
        return number in self.known

    def __len__(self) -> int:
        return len(self.known)

    def apply(self, event: Event) -> None:
        """Takes in what was born, told, judged, and what became of it."""
        match event:
            case Begun():
                self.known.clear()
                self._ratings.clear()
                self.population, self.living, self.best, self.latest = (), frozenset(), None, None
                self.objectives, self.weights = event.objectives, event.weights
            case Asked():
                for candidate in event.candidates:
                    self._born(candidate)
            case Told():
                birth = self._born(event.candidate)
                birth.status, birth.score, birth.total = event.score.status, event.score, event.total
                birth.seconds = event.seconds
                self.latest = birth.number
            case Committed():
                for number, became in event.became.items():
                    if number in self.known:
                        self.known[number].became = became
                self.population, self.best = event.population, event.best
                self.living = frozenset(event.population)
            case Rescored():
                for number, total in event.totals.items():
                    if number in self.known:
                        self.known[number].total = total
            case Judged(kind="rating"):
                self._rated(event)
            case Intervened(intervention=Pin() | Unpin() as pin):
                if pin.birth in self.known:
                    self.known[pin.birth].pinned = isinstance(pin, Pin)
            case _:
                return
        self.changed()

    def adopt(self, before: Births) -> None:
        """Keeps the labels of voices, which `timeline.slim` leaves out of events."""
        self._labels = before._labels

    def _born(self, candidate: Candidate) -> Birth:
        genome = candidate.genome
        if genome.voice is not None:
            self._labels[candidate.birth] = genome.voice.label
        voice = self._labels.get(candidate.birth, "")
        birth = self.known.get(candidate.birth)
        if birth is None:
            birth = Birth(
                candidate.birth,
                genome.prompt,
                voice,
                genome.settings,
                genome.content_lock,
                candidate.parents,
                candidate.operator,
                candidate.generation,
                candidate.island,
                candidate.seed,
            )
            self.known[candidate.birth] = birth
        elif voice:
            birth.voice = voice  # rendered since
        return birth

    def _rated(self, event: Judged) -> None:
        if event.withdrawn:
            self._ratings.pop(event.judgement_id, None)
        else:
            self._ratings[event.judgement_id] = event
        if event.one in self.known:
            standing = [one for one in self._ratings.values() if one.one == event.one]
            birth = self.known[event.one]
            birth.rating = standing[-1].value if standing else None
            birth.rated_by = standing[-1].judgement_id if standing else None
