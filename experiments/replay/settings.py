"""A recorded run's configuration, as it was begun and as it is carried out now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bark_infinity.error_handling import BarkError
from experiments.lineage import LineageError, Run

if TYPE_CHECKING:
    from experiments.config.run_config import RunConfig

_CONDUCT = ("description", "stop", "execution")  # of `Run.execution`; the rest of it is the runner's own


def recorded_settings(run: Run) -> dict[str, Any]:
    """All settings as plain data."""
    return {**run.config, **{key: run.execution[key] for key in _CONDUCT if key in run.execution}}


def run_config(run: Run) -> RunConfig:
    """All settings.

    Raises:
        LineageError: ``invalid`` when the run was not begun by this program, or by another version of it.
    """
    from experiments.config.run_config import RunConfig

    try:
        return RunConfig.from_json(recorded_settings(run))
    except BarkError as error:
        raise LineageError(
            f"run {run.name!r} was not begun from a recipe of this program: {error}", "invalid"
        ) from error
