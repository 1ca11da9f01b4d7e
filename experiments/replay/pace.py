"""How far a recorded run is, how fast it goes and when it is over: what a runner would say, told from its file.

The speed is births told by hours worked, over all sittings, so that the nights in which nobody worked do not count. The
hours are recorded whenever a step is over; before the first one the latest results tell the speed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from experiments.events import Progress
from experiments.lineage import Run, browse
from experiments.lineage.reading import LineageReader

_RECENT = 50  # births whose times tell the speed while no hours are recorded


def pace_of(lineage: LineageReader, run_id: int) -> Progress:
    """Births told, hours of work, births an hour, hours to go; a millisecond, however long the run is.

    Raises:
        LineageError: ``missing`` when there is no such run.
    """
    run = lineage.run(run_id)
    counts = browse.counts(lineage, run_id)
    told = counts.asked - counts.pending
    worked_s = _positive(run.execution.get("worked_s")) or 0.0
    hours = worked_s / 3600
    rate = told / hours if hours else _recent_rate(lineage, run_id)
    stop = run.execution.get("stop")
    limits: Mapping[str, Any] = stop if isinstance(stop, Mapping) else {}
    left = []
    if (births := _positive(limits.get("evaluations"))) is not None and rate:
        left.append(max(0.0, births - told) / rate)
    if (most := _positive(limits.get("hours"))) is not None:
        left.append(max(0.0, most - hours))
    engine = run.execution.get("engine")
    return Progress(
        told, told, hours, rate, min(left, default=None), engine=engine[:80] if isinstance(engine, str) else ""
    )


def limit_of(run: Run) -> int | None:
    """Births after which a run is over; None where that is no limit of it."""
    stop = run.execution.get("stop")
    limit = stop.get("evaluations") if isinstance(stop, Mapping) else None
    return limit if isinstance(limit, int) else None


def _positive(value: object) -> float | None:
    """A number above 0 that somebody recorded; None for anything else: the file may be from anywhere."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        return None
    return float(value)


def _recent_rate(lineage: LineageReader, run_id: int) -> float:
    last = lineage.last_birth(run_id)
    recent = lineage.outcomes(run_id, range(max(1, last - _RECENT + 1), last + 1))
    told_at = sorted(outcome.told_at for outcome in recent.values())
    span = told_at[-1] - told_at[0] if told_at else 0.0
    return 3600 * (len(told_at) - 1) / span if span > 0 else 0.0
