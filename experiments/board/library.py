"""Voices at hand: files, folders, tags, search."""

from __future__ import annotations

from experiments.board.births import Births
from experiments.board.model import Model
from experiments.events import Event


class Library(Model):
    """Voices at hand: files, folders, tags, search."""

    def __init__(self, births: Births) -> None:
        super().__init__()
        self.births = births

    def apply(self, event: Event) -> None:
        """Takes in what concerns it."""
