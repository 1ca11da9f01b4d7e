"""Another run that begins where a recorded one was: with one of its individuals, or with all who lived then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from digital_evolution import Candidate, Genome
from experiments.lineage import LineageError
from experiments.lineage.reading import LineageReader
from experiments.replay.history import population_at
from experiments.replay.settings import recorded_settings

if TYPE_CHECKING:
    from experiments.config.run_config import RunConfig


@dataclass(frozen=True)
class Branch:
    """What `RecordedRun.begin` needs.

    Attributes:
        config: The recorded run's, with what was changed.
        base: Where relative paths of the configuration begin.
        founders: The individual first, then who lived with it, each genome once.
        branched_from: Run and birth.
    """

    config: RunConfig
    base: Path
    founders: tuple[Genome, ...]
    branched_from: tuple[int, int]


def branch(
    lineage: LineageReader,
    run_id: int,
    birth: int,
    new_name: str = "",
    overrides: Sequence[str] = (),
    *,
    with_population: bool = False,
) -> Branch:
    """Prepares a run that begins with a birth of another.

    Args:
        lineage: The file that both runs are in.
        run_id: The run to branch from.
        birth: The individual.
        new_name: Of the new run; empty makes one.
        overrides: Settings that differ, as ``table.key=value``; see `config.recipes`.
        with_population: Also all who lived when the birth's step was over.

    Raises:
        LineageError: ``missing`` when there is no such run or birth; ``invalid`` when the birth has no voice yet.
        BarkError: When a setting is none or its value is refused.
    """
    from experiments.config.recipes import configured

    run = lineage.run(run_id)
    others = population_at(lineage, run_id, birth) if with_population else ()
    candidates = lineage.candidates(run_id, [birth, *(one for one in others if one != birth)])
    if not _grown(candidates[0]):
        raise LineageError(
            f"birth {birth} of run {run.name!r} has no voice yet, it is still to be rendered; wait, or choose another",
            "invalid",
        )
    given = {**recorded_settings(run), "name": new_name.strip() or f"{run.name}, from {birth}"}
    config = configured(given, overrides, f"the settings of run {run.name!r}")
    founders = {one.genome.sha256: one.genome for one in candidates if _grown(one)}
    base = Path(str(run.execution.get("base", ".")))
    return Branch(config, base, tuple(founders.values()), (run_id, birth))


def _grown(candidate: Candidate) -> bool:
    return candidate.render_first is None
