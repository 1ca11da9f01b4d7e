"""What the people who listen to a run have taught: their answers, in order, and the model that learns from them.

Answers come in one way only, as the lineage keeps them (`Judged`), while a run goes on and when it is resumed, so what
was learned depends on nothing but what is recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from digital_evolution import Candidate, Individual
from experiments.config.run_config import RunConfig
from experiments.events import Judged, Taught
from experiments.lineage import people
from experiments.lineage.reading import LineageReader
from fusion.preference.learner import NAME, PreferenceLearner
from fusion.score import Score

_PLAYABLE = 64  # the latest living births that a question may be about


class Listeners:
    """The listeners of one run.

    Args:
        config: The run's; its objectives say whether the answers decide who survives.
        told: A birth with its result, from the record; None when it has none.

    Attributes:
        answers: Given so far, those that were taken back included.
    """

    def __init__(self, config: RunConfig, told: Callable[[int], tuple[Candidate, Score] | None]) -> None:
        names = config.judge.term_names
        weights = dict(zip(names, config.objective_weights, strict=True))
        self._position = names.index(NAME) if config.judge.learns else None
        self._told = told
        self._learner = PreferenceLearner(
            weights, experts=config.judge.experts, seed=config.seed, recall=self._recalled
        )
        self._seed, self.answers = config.seed, 0

    @property
    def decide(self) -> bool:
        """Whether what they say is one of the run's objectives."""
        return self._position is not None

    def judged(self, score: Score) -> Score:
        """The score with what the listeners would think of it, if that is an objective."""
        return self._learner.judged(score) if self.decide else score

    def hear(self, candidate: Candidate, score: Score) -> None:
        """Takes note of a birth with its result."""
        self._learner.hear(candidate.birth, score, text=candidate.genome.prompt, parents=_parents(candidate))

    def _recalled(self, birth: int) -> tuple[Score, str, Sequence[int]] | None:
        found = self._told(birth)
        return None if found is None else (found[1], found[0].genome.prompt, _parents(found[0]))

    def answered(self, answer: Judged, rater: str = "") -> None:
        """Takes note of an answer, or that one was taken back.

        Raises:
            BarkError: When it is about a birth that has no result yet.
        """
        self.answers += 1
        number = answer.judgement_id
        if answer.withdrawn:
            self._learner.withdraw(number)
        elif answer.kind == "rating":
            self._learner.rate(number, answer.one, answer.value or 0.0, rater=rater)
        elif answer.other is not None:
            births = (answer.one, answer.other)
            if answer.kind == "better":
                self._learner.choose(number, "better", births, 0, rater=rater)
            else:
                self._learner.choose(number, "tie" if answer.kind == "equal" else "both_bad", births, rater=rater)

    def recall(self, lineage: LineageReader, run_id: int) -> None:
        """Takes note of every answer that a lineage holds and that stands."""
        for one in people.judgements(lineage, run_id):
            self.answered(Judged(one.judgement_id, one.kind, one.one, one.other, one.value), one.rater)

    def revised(self, members: Sequence[Individual]) -> dict[int, tuple[float, ...]]:
        """Objectives of the living as of now; nothing where answers do not decide."""
        if self._position is None or not members:
            return {}
        terms = self._learner.terms([one.birth for one in members])
        revised = {}
        for one in members:
            objectives = list(one.evaluation.objectives)
            objectives[self._position] = terms[one.birth].value
            revised[one.birth] = tuple(objectives)
        return revised

    def taught(self, members: Sequence[Individual]) -> Taught:
        """What was learned so far, and which two of the living to ask about next."""
        births = sorted(one.birth for one in members)[-_PLAYABLE:]
        if len(births) < 2:
            return Taught(self._learner.learned(), None)
        rng = np.random.default_rng((self._seed, self.answers))
        question = self._learner.next_pair(births, rng)
        return Taught(self._learner.learned(), (int(question.first), int(question.second)))


def _parents(candidate: Candidate) -> list[int]:
    return [parent.birth for parent in candidate.parents]
