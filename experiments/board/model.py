"""What every part of the board is: facts gathered from events, and a revision that says whether they changed.

Revisions come from one counter for all parts of all boards. So a panel that remembers the revision it has drawn knows
by comparing two numbers whether to draw again, also after it was given another board (replay goes to another moment).
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from experiments.events import Event

_revisions = itertools.count(1)


class Shared:
    """Marks what is kept once for all boards of a window: never copied with a board, whichever moment that shows."""


class Model:
    """A part of the board. Only `apply` and its own verbs change it, and each change raises ``revision``."""

    def __init__(self) -> None:
        self.revision = next(_revisions)

    def apply(self, event: Event) -> None:
        """Takes in one event; what does not concern this part leaves it, and its revision, as they are."""
        raise NotImplementedError

    def adopt(self, before: Self) -> None:
        """Takes over what people chose (filters, axes), and what never changes, from the same part of another board.

        Facts that depend on the moment come from events. Parts without choices leave this as it is.
        """

    def changed(self) -> None:
        """Says that panels have to look again."""
        self.revision = next(_revisions)
