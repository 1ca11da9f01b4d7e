"""Which births the board of cards shows, in which order, and what each card says.

The newest births keep their places: a new one takes the place of the oldest, never of one that is looked at or heard,
so that nothing moves under the mouse. Lists that have an order (best, population, liked) are shown in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from experiments.board.births import Birth, Births
from experiments.board.model import Model
from experiments.board.selection import Selection
from experiments.events import Asked, Event, Notice, Progress, StateChanged, Told

Filter = Literal["newest", "best", "population", "liked"]
FILTERS: tuple[Filter, ...] = get_args(Filter)
DENSITIES = (12, 15, 18, 24)
GRIDS = {12: (4, 3), 15: (5, 3), 18: (6, 3), 24: (6, 4)}  # columns, rows

Tone = Literal["accent", "muted", "warn", "bad", "good"]


@dataclass(frozen=True)
class Badge:
    """A word or two in the corner of a card."""

    text: str
    tone: Tone


@dataclass(frozen=True)
class CardFacts:
    """What one card says.

    Attributes:
        birth: Its number.
        line: Where it comes from, in few words.
        badges: Most important first.
        prompt: What it says.
        total: From 0 to 1; None where there is no number.
        verdict: Instead of a number: why it was rejected or failed, or that it is still to be heard.
        tone: Of the verdict.
        rating: From 0 to 1; None when nobody rated it.
        pinned: Whether it is kept by hand.
        audible: Whether there may be something to hear.
    """

    birth: int
    line: str
    badges: tuple[Badge, ...]
    prompt: str
    total: float | None
    verdict: str
    tone: Tone
    rating: float | None
    pinned: bool
    audible: bool


def facts(birth: Birth, births: Births) -> CardFacts:
    """What a birth's card says."""
    badges = []
    if birth.number == births.best:
        badges.append(Badge("★ best", "accent"))
    elif birth.number in births.living:
        badges.append(Badge("★ elite", "accent"))
    if birth.status == "rejected":
        badges.append(Badge("rejected", "warn"))
    if birth.status == "failed":
        badges.append(Badge("failed", "bad"))
    if birth.control:
        badges.append(Badge("control", "muted"))
    if birth.pinned:
        badges.append(Badge("pinned", "good"))
    line = "" if birth.control else birth.operator.replace("_", " ")
    if birth.generation:
        line = f"gen {birth.generation} · {line}"
    tone: Tone = {"rejected": "warn", "failed": "bad"}.get(birth.status, "muted")  # type: ignore[assignment]
    verdict = birth.reason or ("" if birth.status == "ok" else "waiting to be heard")
    audible = birth.status in ("ok", "rejected")
    return CardFacts(birth.number, line, tuple(badges), birth.prompt, birth.total, verdict, tone, birth.rating,
                     birth.pinned, audible)  # fmt: skip


class Cards(Model):
    """The births on the board.

    Attributes:
        filter: Which births are shown.
        count: How many places there are.
        page: From 0, newest or best first.
        places: (count,) births by place; None where a place is empty.
    """

    def __init__(self, births: Births, selection: Selection) -> None:
        super().__init__()
        self.births = births
        self.selection = selection
        self.filter: Filter = "newest"
        self.count = DENSITIES[0]
        self.page = 0
        self.places: list[int | None] = [None] * self.count

    def apply(self, event: Event) -> None:
        """Follows the births."""
        match event:
            case Progress() | StateChanged() | Notice() | Asked():
                return
            case Told():
                if self.filter == "newest" and self.page == 0:
                    self._take_in(event.candidate.birth)
                    self.changed()
            case _:
                if self.filter != "newest" or not self.births.told:
                    self._arrange()

    def adopt(self, before: Cards) -> None:
        """Keeps filter, page and number of places."""
        chosen = before.filter, before.count, before.page
        if chosen != (self.filter, self.count, self.page) or self.filter != "newest":
            self.filter, self.count, self.page = chosen
            self.page = min(self.page, self.pages - 1)
            self._arrange()

    def show(self, chosen: Filter | None = None, *, count: int | None = None, page: int | None = None) -> None:
        """Shows other births, or another number of them."""
        if chosen is not None and chosen != self.filter:
            self.filter, self.page = chosen, 0
        if count is not None:
            self.count = count
        if page is not None:
            self.page = min(max(page, 0), self.pages - 1)
        self._arrange()

    def matching(self) -> list[int]:
        """All births of the filter, in its order."""
        births = self.births
        match self.filter:
            case "newest":
                return list(reversed(births.register.told[: births.told]))
            case "population":
                return [one for one in births.population if one in births]
            case "best":
                numbers, totals = births.numbers(), births.totals()
                order = np.lexsort((numbers, -totals))  # those without a total come last
                return [int(one) for one in numbers[order[: np.count_nonzero(~np.isnan(totals))]]]
            case "liked":
                liked = {*births.rated_births(), *births.pinned}
                chosen = [one for one in sorted(liked) if one in births]
                return [one for one in reversed(chosen) if (births[one].rating or 0) > 0.5 or births[one].pinned]

    @property
    def matches(self) -> int:
        """How many births the filter has."""
        if self.filter == "newest":
            return self.births.told
        if self.filter == "population":
            return len(self.births.population)
        return len(self.matching())

    @property
    def pages(self) -> int:
        """At least 1."""
        return max(1, -(-self.matches // self.count))

    def shown(self) -> list[int]:
        """The births in places, in the order of places."""
        return [birth for birth in self.places if birth is not None]

    def _arrange(self) -> None:
        first = self.page * self.count
        chosen: list[int | None] = [*self.matching()[first : first + self.count]]
        if self.filter == "newest" and self.page == 0:
            chosen.reverse()  # as they came, so that the next one takes the first place
        self.places = chosen + [None] * (self.count - len(chosen))
        self.changed()

    def _take_in(self, birth: int) -> None:
        if birth in self.places:
            return
        if None in self.places:
            self.places[self.places.index(None)] = birth
            return
        kept = {self.selection.birth, self.selection.playing, *self.selection.marked}
        free = [place for place, held in enumerate(self.places) if held not in kept] or [0]
        self.places[min(free, key=lambda place: self._age(self.places[place]))] = birth

    def _age(self, birth: int | None) -> int:
        return -1 if birth is None else birth
