"""What people like, as one object: learn from judgements, predict utilities with their uncertainty, ask what helps.

`learn` is a pure function of the judgements, the candidates' numbers, the frozen reference and the seed, however many
calls the judgements came in; undoing one is learning without it. The linear model knows every answer at once, at a cost
that does not grow with their number (`sequential`). Cross-validation and the head ensemble take seconds, linear in that
number, but run only when there is a third more to learn from, so that their cost, spread over the answers, stays
constant. Between such looks the ensemble knows the answers up to the last look.

Until a model has proved itself the composite speaks, unchanged by any answer: utility is the composite in robust
deviations, and its uncertainty is the prior's.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fusion.preference import storage
from fusion.preference.ask import REPEAT_SHARE, AskedPairs, Belief, Question, next_pair
from fusion.preference.bradley_terry import DEFAULT_FEATURE_SCALE, BradleyTerry, chance_of_first, fit
from fusion.preference.candidates import Array, CandidateTable, Reference
from fusion.preference.consistency import Consistency
from fusion.preference.judgements import CandidateId, Comparison, JudgementLog
from fusion.preference.ladder import Decision, Level, decide, last_look
from fusion.preference.pairs import Pairs
from fusion.preference.sequential import Candidates, Sequential, arranged

if TYPE_CHECKING:
    from fusion.preference.heads import HeadEnsemble  # imports torch, which is loaded when there is enough to learn

JUDGEMENTS = "judgements.jsonl"


@dataclass(frozen=True, eq=False)
class Utilities:
    """How much candidates are liked, as far as is known.

    Attributes:
        ids: (N,).
        mean: (N,) in logits: of two candidates a difference of 1 means that 73 % choose the better one; finite.
        deviation: (N,) standard deviation of the same; finite, positive where anything is unknown.
        speaks: The model that says so.
    """

    ids: tuple[CandidateId, ...]
    mean: Array
    deviation: Array
    speaks: Level


@dataclass(frozen=True)
class Agreement:
    """How far raters agree with themselves, with each other and with the models.

    Attributes:
        answers: Judgements that stand.
        decision: Who speaks and why, with held-out accuracy of each model.
        own: By rater, agreement with their own earlier answers.
        between: By pair of raters, agreement on pairs that both answered.
        sharpness: By rater, as the linear model sees it: 1 is usual, near 0 is chance.
        position_bias: Odds, as a logarithm, that the first shown is chosen of two equals.
    """

    answers: int
    decision: Decision
    own: dict[str, Consistency]
    between: dict[tuple[str, str], Consistency]
    sharpness: dict[str, float]
    position_bias: float

    def sentences(self) -> list[str]:
        """The report in plain words, most useful first."""
        said = [f"{self.answers} answers; {self.decision.why}."]
        for rater, one in self.own.items():
            if one.share is not None:
                low, high = one.interval()
                said.append(
                    f"{rater} answers {one.share:.0%} of {one.asked} repeated pairs alike ({low:.0%} to {high:.0%})."
                )
        for (rater, other), one in self.between.items():
            if one.share is not None:
                said.append(f"{rater} and {other} agree on {one.share:.0%} of {one.asked} pairs.")
        return said


class PreferenceModel:
    """A ladder of models of what people like.

    Args:
        reference: What candidates are measured against; frozen for the model's life.
        seed: Of the head ensemble.
        heads: Whether the ensemble (and with it torch) may be tried at all.
    """

    def __init__(self, reference: Reference, *, seed: int = 0, heads: bool = True) -> None:
        self.reference = reference
        self.seed = seed
        self.heads = heads
        nothing = self.reference.standardise(_empty(reference))
        self._prior = fit(nothing, Pairs.of((), {}), scales=(DEFAULT_FEATURE_SCALE,))
        self._sequential = Sequential(reference)
        self._asked = AskedPairs()
        self._take(JudgementLog())
        self._forget()

    def _forget(self) -> None:
        self._linear: BradleyTerry = self._prior
        self._ensemble: HeadEnsemble | None = None
        self._decision = Decision("composite", "nobody has judged yet")
        self._looked_at: tuple[Comparison, ...] | None = None  # what the decision rests on
        self._look = ""  # digest of that and of its candidates' numbers

    @property
    def decision(self) -> Decision:
        """Which model speaks, and why."""
        return self._decision

    @property
    def linear(self) -> BradleyTerry:
        """The linear model, whether it speaks or not."""
        return self._linear

    def learn(self, judgements: JudgementLog, candidates: Candidates) -> Decision:
        """Learns from everything that stands.

        Args:
            judgements: All of them, not only new ones.
            candidates: At least everything that was judged. The numbers of a candidate stay as they are for the
                model's life; where they change, learn by a new model.

        Raises:
            BarkError: When a judged candidate has no features, or columns are not the reference's.
        """
        comparisons = judgements.comparisons()
        if comparisons:
            self._linear = self._sequential.fit(comparisons, candidates)
        else:
            self._forget()
        self._take(judgements)
        if comparisons:
            self._climb(comparisons[: last_look(len(comparisons))], candidates)
        return self._decision

    def predict(self, candidates: CandidateTable) -> Utilities:
        """Mean and uncertainty of every candidate's utility."""
        standardised = self.reference.standardise(candidates)
        belief = self._belief()
        deviation = np.sqrt(belief.variance(standardised))
        return Utilities(candidates.ids, belief.mean(standardised), deviation, self._decision.speaks)

    def probability(self, candidates: CandidateTable, first: CandidateId, second: CandidateId) -> float:
        """Chance that a usual rater prefers ``first``, when they prefer one; over the model's uncertainty."""
        standardised = self.reference.standardise(candidates.rows([first, second]))
        mean, covariance = self._belief().mean(standardised), self._belief().covariance_of(standardised)
        variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
        return float(chance_of_first(mean[:1] - mean[1:], np.maximum(variance, 0.0))[0])

    def lower_bound(self, candidates: CandidateTable, deviations: float = 1.0) -> Array:
        """(N,) utility that a candidate has at least, so many standard deviations below its mean; for champions."""
        utilities = self.predict(candidates)
        return utilities.mean - deviations * utilities.deviation

    def sample(self, candidates: CandidateTable, rng: np.random.Generator) -> Array:
        """(N,) one joint draw of utilities (Thompson's sampling); for parents."""
        return self._belief().sample(self.reference.standardise(candidates), rng)

    def next_pair(
        self,
        candidates: CandidateTable,
        rng: np.random.Generator,
        rater: str | None = None,
        *,
        repeat_share: float = REPEAT_SHARE,
    ) -> Question:
        """The pair whose answer would teach most; see `ask`. Until heads speak, what the linear model would learn."""
        belief = self._belief() if self._decision.speaks == "heads" else self._linear
        standardised = self.reference.standardise(candidates)
        return next_pair(belief, candidates.ids, standardised, self._asked, rng, rater=rater, repeat_share=repeat_share)

    def usage(self, candidates: CandidateTable) -> dict[str, float]:
        """Share that each expert, features among them, has in what the heads say; empty unless they speak."""
        if self._decision.speaks != "heads" or not len(candidates):
            return {}
        assert self._ensemble is not None
        shares = self._ensemble.heads.usage(self.reference.standardise(candidates).experts)
        return dict(zip(("features", *self.reference.embeddings), shares.tolist(), strict=True))

    def agreement(self) -> Agreement:
        """How far raters agree with themselves, with each other and with the models."""
        sharpness = zip(self._linear.raters, np.exp(self._linear.log_sharpness), strict=True)
        return Agreement(
            self._log.standing_count,
            self._decision,
            dict(self._own),
            dict(self._between),
            {rater: float(value) for rater, value in sharpness},
            self._linear.position,
        )

    def save(self, directory: Path) -> None:
        """Writes model and judgements: JSON, JSON lines and safetensors; nothing that could be executed."""
        directory.mkdir(parents=True, exist_ok=True)
        self._log.save(directory / JUDGEMENTS)
        storage.save(
            directory,
            storage.State(
                self.reference, self.seed, self.heads, self._look, self._decision, self._linear, self._ensemble
            ),
        )

    @classmethod
    def load(cls, directory: Path) -> PreferenceModel:
        """Reads what `save` wrote; predictions are equal to the bit.

        Raises:
            BarkError: When a file is missing or not what it should be.
        """
        state = storage.load(directory)
        model = cls(state.reference, seed=state.seed, heads=state.heads)
        model._linear, model._decision, model._look = state.linear, state.decision, state.look
        model._ensemble = state.ensemble
        model._take(JudgementLog.load(directory / JUDGEMENTS))
        return model

    def _belief(self) -> Belief:
        if self._decision.speaks == "heads":
            assert self._ensemble is not None
            return self._ensemble
        return self._linear if self._decision.speaks == "linear" else self._prior

    def _take(self, judgements: JudgementLog) -> None:
        """Keeps what was said, also what was undone, and who agreed and which pairs were asked."""
        self._log = judgements.copy()
        raters = judgements.raters()
        between = [(a, b) for i, a in enumerate(raters) for b in raters[i + 1 :]]
        self._own: dict[str, Consistency] = {rater: judgements.consistency(rater) for rater in raters}
        self._between = {pair: judgements.agreement_between(*pair) for pair in between}
        self._asked = self._asked.having_said(judgements.comparisons())

    def _climb(self, heard: tuple[Comparison, ...], candidates: Candidates) -> None:
        """Decides anew when what the decision rests on has changed."""
        if heard == self._looked_at:
            self._looked_at = heard  # the latest objects are compared fastest
            return
        standardised, rows = arranged(heard, candidates, self.reference)
        digest = hashlib.sha256(repr(heard).encode())
        for array in (standardised.columns, *standardised.experts):
            digest.update(array.tobytes())
        if digest.hexdigest() != self._look:
            pairs = Pairs.of(heard, rows)
            self._decision = decide(heard, standardised, pairs, heads=self.heads, seed=self.seed)
            self._ensemble = None
            if self._decision.speaks == "heads":
                from fusion.preference.heads import train

                everything = np.ones((1, len(pairs)), np.bool_)
                (ensemble,) = train(standardised, pairs, [fit(standardised, pairs)], everything, seed=self.seed)
                self._ensemble = replace(ensemble, trust=self._decision.trust)
            self._look = digest.hexdigest()
        self._looked_at = heard


def _empty(reference: Reference) -> CandidateTable:
    embeddings = {name: np.zeros((0, len(block.middle))) for name, block in reference.embeddings.items()}
    return CandidateTable.of((), np.zeros((0, len(reference.features.middle))), None, embeddings)
