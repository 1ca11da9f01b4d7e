"""Comparing by ear: which births are asked about, and what was learned from the answers."""

from __future__ import annotations

from experiments.board.births import Births
from experiments.board.model import Model
from experiments.events import Event


class Compare(Model):
    """The question that is open, and what is known of people's taste."""

    def __init__(self, births: Births) -> None:
        super().__init__()
        self.births = births

    def apply(self, event: Event) -> None:
        """Takes in answers and what was learned."""
