"""Which births the board of cards shows, in which order, and what each card says."""

from __future__ import annotations

from typing import Literal

from experiments.board.births import Births
from experiments.board.model import Model
from experiments.events import Event

Filter = Literal["newest", "best", "population", "liked"]
DENSITIES = (12, 15, 18, 24)


class Cards(Model):
    """The births on the board.

    Attributes:
        births: Facts of births.
        filter: Which births are shown.
        count: How many at most.
    """

    def __init__(self, births: Births) -> None:
        super().__init__()
        self.births = births
        self.filter: Filter = "newest"
        self.count = DENSITIES[0]

    def apply(self, event: Event) -> None:
        """Follows the births."""
