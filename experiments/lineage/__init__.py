"""The lineage: every birth of every run in one SQLite file, who came from whom, and what came of it.

* `Lineage` opens the file, records, and reads births back; `LineageError` says what went wrong.
* `ancestry`: ancestors, descendants, common ancestor, primary line.
* `browse`: pages, curves, operator statistics, the best.
* `people`: judgements, tags, notes; `clips`: audio that is kept.
* `verification`: does the file still mean what it said, and the hash of that; `collection`: what may be let go.
* `exports`, `imports`: other people's formats.
"""

from experiments.lineage.errors import LineageError
from experiments.lineage.records import Card, Event, Life, Outcome, Run
from experiments.lineage.store import Lineage

__all__ = ["Card", "Event", "Life", "Lineage", "LineageError", "Outcome", "Run"]
