"""The archive as a map of two measures."""

from __future__ import annotations

from experiments.board.births import Births
from experiments.board.model import Model
from experiments.events import Event


class VoiceMap(Model):
    """The archive as a map of two measures."""

    def __init__(self, births: Births) -> None:
        super().__init__()
        self.births = births

    def apply(self, event: Event) -> None:
        """Takes in what concerns it."""
