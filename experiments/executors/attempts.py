"""One bad candidate costs one failure: a batch that breaks is done again one by one, and only the culprit fails.

Evaluators are asked not to raise, but below them are models and libraries; whatever they throw, MemoryError included,
becomes a ``failed`` outcome with its reason. Both stages are repeated on their own, so that what was rendered is not
rendered again because it could not be judged.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

from bark_infinity.error_handling import BarkError
from experiments.evaluation import Evaluated, Evaluator, Job, Rendered, failed

logger = logging.getLogger(__name__)

_Given = TypeVar("_Given")
_Made = TypeVar("_Made")


def evaluate(evaluator: Evaluator, jobs: Sequence[Job]) -> list[Evaluated]:
    """Renders and judges a batch; outcomes in the order of the jobs, never an exception for a candidate's sake."""
    return judge(evaluator, render(evaluator, jobs))


def render(evaluator: Evaluator, jobs: Sequence[Job]) -> list[Rendered | Evaluated]:
    """Renders a batch; an `Evaluated` stands where rendering broke, and needs no judgement."""
    rendered = _one_by_one_if_it_breaks(evaluator.render, jobs, [job.candidate.birth for job in jobs], "rendering")
    return [
        failed(job.candidate, made) if isinstance(made, str) else made for job, made in zip(jobs, rendered, strict=True)
    ]


def judge(evaluator: Evaluator, rendered: Sequence[Rendered | Evaluated]) -> list[Evaluated]:
    """Judges what `render` made."""
    alive = [one for one in rendered if isinstance(one, Rendered)]
    births = [one.candidate.birth for one in alive]
    judged = iter(_one_by_one_if_it_breaks(evaluator.judge, alive, births, "judging"))
    outcomes = []
    for one in rendered:
        made = one if isinstance(one, Evaluated) else next(judged)
        outcomes.append(failed(one.candidate, made) if isinstance(made, str) else made)
    return outcomes


def _one_by_one_if_it_breaks(
    work: Callable[[Sequence[_Given]], Sequence[_Made]], batch: Sequence[_Given], births: Sequence[int], doing: str
) -> list[_Made | str]:
    """What ``work`` makes of a batch; where it breaks even for one alone, why."""
    if not batch:
        return []
    try:
        made = work(batch)
        found = [_birth(one) for one in made]
        if found != list(births):
            raise BarkError(f"the evaluator answered for births {found}, expected {list(births)}")
        return list(made)
    except (Exception, SystemExit) as error:
        why = f"{doing}: {explained(error)}"
        retry = "; once more, one by one" if len(batch) > 1 else ""
        logger.info("births %s: %s%s", ", ".join(map(str, births)), why, retry, exc_info=True)
    # Outside of the except block, so that the traceback no longer holds what filled the memory.
    if len(batch) == 1:
        return [why]
    return [_one_by_one_if_it_breaks(work, [one], [birth], doing)[0] for one, birth in zip(batch, births, strict=True)]


def _birth(made: object) -> int:
    assert isinstance(made, (Rendered, Evaluated)), f"an evaluator made a {type(made).__name__}"
    return made.candidate.birth


def explained(error: BaseException) -> str:
    """An exception in plain words."""
    if isinstance(error, BarkError):
        return str(error)
    if isinstance(error, MemoryError):
        return f"not enough memory ({str(error) or 'MemoryError'}); take a smaller batch_size or fewer workers"
    return f"{type(error).__name__}: {error}"
