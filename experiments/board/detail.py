"""One birth in full: its features, its genome beside its parents', its primary line."""

from __future__ import annotations

from experiments.board.births import Births
from experiments.board.model import Model
from experiments.events import Event


class Detail(Model):
    """One birth in full: its features, its genome beside its parents', its primary line."""

    def __init__(self, births: Births) -> None:
        super().__init__()
        self.births = births

    def apply(self, event: Event) -> None:
        """Takes in what concerns it."""
