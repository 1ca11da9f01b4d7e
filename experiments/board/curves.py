"""How the run went, step by step: best, median, diversity, coverage, the control arm, credit of operators."""

from __future__ import annotations

from experiments.board.births import Births
from experiments.board.model import Model
from experiments.events import Event


class Curves(Model):
    """How the run went, step by step: best, median, diversity, coverage, the control arm, credit of operators."""

    def __init__(self, births: Births) -> None:
        super().__init__()
        self.births = births

    def apply(self, event: Event) -> None:
        """Takes in what concerns it."""
