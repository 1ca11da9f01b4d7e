"""One birth in full: its terms, its measures against everybody's, its primary line."""

from __future__ import annotations

from dataclasses import dataclass

from experiments.board.births import Births
from experiments.board.measures import Measures, measure_title
from experiments.board.model import Model
from experiments.events import Begun, Committed, Event, Rescored, Told

LONGEST_LINE = 200  # births of a primary line that are listed, the youngest


@dataclass(frozen=True)
class FeatureBar:
    """One measure of a birth against all births.

    Attributes:
        name: Of the measure.
        title: For people, with its unit.
        value: As measured.
        percentile: Share of births with less, from 0 to 1.
    """

    name: str
    title: str
    value: float
    percentile: float

    @property
    def unusual(self) -> bool:
        """Whether only one birth in ten is further out."""
        return not 0.05 <= self.percentile <= 0.95


@dataclass(frozen=True)
class Ancestor:
    """One birth of a primary line, and what it changed."""

    birth: int
    operator: str
    prompt: str
    total: float | None
    gain: float | None  # against its own first parent


class Detail(Model):
    """What is known of single births beside what is stored of them."""

    def __init__(self, births: Births, measures: Measures) -> None:
        super().__init__()
        self.births = births
        self.measures = measures

    def apply(self, event: Event) -> None:
        """Looks again when results come or change."""
        if isinstance(event, Begun | Told | Committed | Rescored):
            self.changed()

    def bars(self, birth: int) -> tuple[FeatureBar, ...]:
        """All measures of a birth, those that people ask for first; none before it is told."""
        made = []
        for name in self.measures.known_names():
            value, percentile = self.measures.value(birth, name), self.measures.percentile(birth, name)
            if value is not None and percentile is not None:
                made.append(FeatureBar(name, measure_title(name), value, percentile))
        return tuple(made)

    def primary_line(self, birth: int) -> tuple[Ancestor, ...]:
        """The birth, its first parent and so on, the youngest `LONGEST_LINE`."""
        if birth not in self.births:
            return ()
        line = [birth]
        while len(line) < LONGEST_LINE and (parents := self.births[line[-1]].parents):
            if parents[0].birth not in self.births:
                break
            line.append(parents[0].birth)
        made = []
        for one, parent in zip(line, [*line[1:], None], strict=True):
            facts = self.births[one]
            before = None if parent is None else self.births[parent].total
            gain = None if facts.total is None or before is None else facts.total - before
            made.append(Ancestor(one, facts.operator, facts.prompt, facts.total, gain))
        return tuple(made)
