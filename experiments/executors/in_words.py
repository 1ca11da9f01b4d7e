"""An executor's status in a few plain words, for a progress line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_STATES = {"busy": "evaluating"}


def in_words(status: Mapping[str, Any], rendering: str = "") -> str:
    """What is done to which births, such as ``rendering 5, 6 (coarse 30/90); judging 3, 4``.

    Args:
        status: As `Executor.status` gives it.
        rendering: How far the rendering is.

    Returns:
        Empty while nothing is being evaluated: models are loading, or there is no work.
    """
    parts = []
    for worker in status.get("workers", ()):
        if worker["births"]:
            state, births = worker["state"], ", ".join(map(str, worker["births"]))
            far = f" ({rendering})" if rendering and state == "rendering" else ""
            parts.append(f"{_STATES.get(state, state)} {births}{far}")
    restarts = status.get("restarts", 0)
    if parts and restarts:
        parts.append("1 restart" if restarts == 1 else f"{restarts} restarts")
    return "; ".join(parts)
