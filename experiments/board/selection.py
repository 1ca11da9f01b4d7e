"""Which birth a person is looking at, which is playing, and which are marked for breeding."""

from __future__ import annotations

from experiments.board.model import Model, Shared
from experiments.events import Event


class Selection(Model, Shared):
    """What is chosen; no event changes it, only people do.

    Attributes:
        birth: The birth looked at, in all panels alike; None for none.
        marked: Births marked together, in the order of marking: parents to breed, candidates to compare.
        playing: The birth that is heard now; None when it is quiet.
    """

    def __init__(self) -> None:
        super().__init__()
        self.birth: int | None = None
        self.marked: tuple[int, ...] = ()
        self.playing: int | None = None

    def apply(self, event: Event) -> None:
        """Events choose nothing."""

    def adopt(self, before: Selection) -> None:
        """Goes on looking at the same."""
        self.birth, self.marked, self.playing = before.birth, before.marked, before.playing
        self.changed()

    def select(self, birth: int | None) -> None:
        """Looks at a birth."""
        if birth != self.birth:
            self.birth = birth
            self.changed()

    def mark(self, births: tuple[int, ...]) -> None:
        """Marks exactly these."""
        if births != self.marked:
            self.marked = births
            self.changed()

    def toggle_mark(self, birth: int) -> None:
        """Marks a birth, or takes its mark away."""
        marked = tuple(one for one in self.marked if one != birth)
        self.mark(marked if len(marked) < len(self.marked) else (*marked, birth))

    def play(self, birth: int | None) -> None:
        """Says which birth is heard now."""
        if birth != self.playing:
            self.playing = birth
            self.changed()
