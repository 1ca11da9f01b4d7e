"""Voices at hand: what is shown of the collection, searched, sorted, tagged, two of them side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Self

from bark_infinity.voices.catalogue import LANGUAGES
from experiments.board.model import Model, Shared
from experiments.events import Event
from experiments.voice_shelf import ShelfVoice

ORDERS: Mapping[str, Callable[[ShelfVoice], object]] = MappingProxyType(
    {
        "name": lambda one: (),  # as the collection is sorted
        "length": lambda one: -(one.entry.duration_s or 0.0),
        "pitch": lambda one: one.note.pitch_hz or 1e9,
    }
)


class Library(Model, Shared):
    """The collection as people look at it.

    Attributes:
        voices: Everything that was found; empty until it was looked for.
        loaded: Whether it was.
        query: Words that names, tags and languages must hold, all of them.
        order: A key of `ORDERS`.
        chosen: Names of at most two voices: the one looked at, and the one it is compared with.
    """

    def __init__(self) -> None:
        super().__init__()
        self.voices: tuple[ShelfVoice, ...] = ()
        self.loaded = False
        self.query = ""
        self.order = "name"
        self.chosen: tuple[str, ...] = ()

    def apply(self, event: Event) -> None:
        """No event of a run changes the collection."""

    def adopt(self, before: Self) -> None:
        """The collection does not depend on the moment that is shown."""
        self.voices, self.loaded = before.voices, before.loaded
        self.query, self.order, self.chosen = before.query, before.order, before.chosen
        self.changed()

    def fill(self, voices: Sequence[ShelfVoice]) -> None:
        """Takes in what was found; forgets choices that are gone."""
        self.voices, self.loaded = tuple(voices), True
        names = {one.entry.name for one in self.voices}
        self.chosen = tuple(name for name in self.chosen if name in names)
        self.changed()

    def search(self, query: str, order: str | None = None) -> None:
        """Shows what fits, in an order."""
        self.query, self.order = query, order or self.order
        self.changed()

    def choose(self, name: str, *, beside: bool = False) -> None:
        """Looks at a voice; ``beside`` another one compares the two."""
        if beside and self.chosen and name != self.chosen[0]:
            self.chosen = (self.chosen[0], name)
        else:
            self.chosen = (name,)
        self.changed()

    def shown(self) -> tuple[ShelfVoice, ...]:
        """What fits the query, in order; voices that cannot be used come last."""
        words = self.query.casefold().split()
        fitting = [one for one in self.voices if all(word in _text(one) for word in words)]
        key = ORDERS[self.order]
        return tuple(sorted(fitting, key=lambda one: (one.entry.problem is not None, key(one))))

    def voice(self, name: str) -> ShelfVoice | None:
        """A voice by its name."""
        return next((one for one in self.voices if one.entry.name == name), None)

    def tags(self) -> tuple[str, ...]:
        """All tags in use, the commonest first."""
        counts: dict[str, int] = {}
        for one in self.voices:
            for tag in one.note.tags:
                counts[tag] = counts.get(tag, 0) + 1
        return tuple(sorted(counts, key=lambda tag: (-counts[tag], tag)))

    @property
    def sentence(self) -> str:
        """How many there are."""
        if not self.loaded:
            return "looking for voices…"
        broken = sum(one.entry.problem is not None for one in self.voices)
        told = f"{len(self.shown())} of {len(self.voices)} voices"
        return f"{told}, {broken} of them unusable" if broken else told


def _text(one: ShelfVoice) -> str:
    language = LANGUAGES.get(one.entry.language or "", "")
    return f"{one.entry.name} {one.entry.language or ''} {language} {' '.join(one.note.tags)}".casefold()
