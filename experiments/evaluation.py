"""What is done with a candidate between ask and tell: rendered, judged, brought back. The contract of executors.

A `Job` says everything that decides its outcome, so it may run anywhere, in any batch, twice: an `Evaluated` depends on
its job alone. An `Evaluator` (see `studio`) has the models; an executor (see `executors`) has evaluators.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol

from bark_infinity.requests import Rendering
from digital_evolution import Candidate, Evaluation
from fusion.score import Score


@dataclass(frozen=True)
class Trial:
    """One rendering of a candidate: what it says, and the seed it says it with."""

    text: str
    seed: int


@dataclass(frozen=True)
class Job:
    """A candidate to evaluate.

    Attributes:
        candidate: As the swarm asked for it; its voice may still have to be rendered (``render_first``).
        trials: At least one; people hear the first.
    """

    candidate: Candidate
    trials: tuple[Trial, ...]


@dataclass(frozen=True, eq=False)
class Rendered:
    """A job between rendering and judging.

    Attributes:
        job: Which.
        candidate: With its voice, if that could be rendered.
        renderings: One for each trial; none when there is nothing to judge.
        failure: Why there are none, in plain words.
        seconds: Spent on it so far.
    """

    job: Job
    candidate: Candidate
    renderings: tuple[Rendering, ...] = ()
    failure: str | None = None
    seconds: float = 0.0


@dataclass(frozen=True, eq=False)
class Evaluated:
    """What came of a job.

    Attributes:
        candidate: With its voice, where that had to be rendered first.
        score: Of all trials together.
        rendering: Of the first trial, what people hear; None when nothing was rendered.
        trials: Score and rendering of every trial, where there is more than one.
        timings: Seconds by stage besides the rendering's own: ``judge_s``, ``first_s`` (the voice).
    """

    candidate: Candidate
    score: Score
    rendering: Rendering | None = None
    trials: tuple[tuple[Score, Rendering], ...] = ()
    timings: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))


def failed(candidate: Candidate, why: str) -> Evaluated:
    """The outcome of a job that never came to a judgement."""
    return Evaluated(candidate, Score("failed", reason=why))


def evaluation_of(score: Score, names: Sequence[str]) -> Evaluation:
    """What the swarm is told of a score: the named terms as objectives."""
    return Evaluation(score.status, score.objectives(names) if score.status == "ok" else (), score.measures)


class Evaluator(Protocol):
    """Has the models. Never raises for a single candidate's sake: whatever goes wrong becomes a ``failed`` score.

    One that has a ``runs_on`` tells people in a few words where it computes, such as ``cpu, fp32``.
    """

    def render(self, jobs: Sequence[Job]) -> list[Rendered]:
        """Renders all trials of some jobs as one batch, in order."""

    def judge(self, rendered: Sequence[Rendered]) -> list[Evaluated]:
        """Judges them, in order; may run on another thread while the next batch is rendered."""

    def close(self) -> None:
        """Gives the memory back."""


EvaluatorFactory = Callable[[], Evaluator]
"""Makes an evaluator in the thread or process that will use it; picklable."""


class Executor(Protocol):
    """Runs jobs somewhere. Results come in any order; each depends on its job alone."""

    @property
    def slots(self) -> int:
        """Jobs that it can keep busy with at once; the runner keeps about so many submitted."""

    def submit(self, jobs: Sequence[Job]) -> None:
        """Takes jobs; returns at once."""

    def collect(self, timeout_s: float) -> list[Evaluated]:
        """Waits until something is done, at most ``timeout_s``; a dead or hanging worker's jobs come back failed.

        Raises:
            BarkError: When no job can be run at all any more: the model is gone, workers die at once.
        """

    def waiting(self) -> int:
        """Jobs submitted and not collected."""

    def withdraw(self) -> list[Job]:
        """Takes back the jobs that wait for a worker, in the order of submission; no longer submitted."""

    def status(self) -> Mapping[str, Any]:
        """For people: workers, what they do, restarts, memory; ``engine``: what evaluators say they run on."""

    def close(self) -> None:
        """Stops soon; what was not collected is dropped."""
