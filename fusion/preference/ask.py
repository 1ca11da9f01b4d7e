"""Which pair to ask about next: the one whose answer would teach most.

An answer teaches much when the model is unsure about the difference (its posterior variance is large) and the answer
is open (both are about as good): the information is log(1 + p (1 - p) variance) / 2, the gain of Laplace's posterior
(as in MacKay 1992, Neural Comp. 4:590). Pairs that were judged are not asked again, except one question in ten, which
repeats a pair the other way round: it shows how far raters agree with themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from bark_infinity.error_handling import BarkError
from fusion.preference.bradley_terry import chance_of_first
from fusion.preference.candidates import Array, Standardised
from fusion.preference.judgements import CandidateId, Comparison

REPEAT_SHARE = 0.1
POOL = 256  # candidates compared with each other; more are drawn from at random, so that a question takes milliseconds


class Belief(Protocol):
    """What is believed about utilities; the linear model and the head ensemble are ones."""

    def mean(self, candidates: Standardised) -> Array:
        """(N,) expected utility, in logits."""
        ...

    def variance(self, candidates: Standardised) -> Array:
        """(N,) variance of utilities."""
        ...

    def covariance_of(self, candidates: Standardised) -> Array:
        """(N, N) covariance of utilities."""
        ...

    def sample(self, candidates: Standardised, rng: np.random.Generator) -> Array:
        """(N,) one joint draw of utilities."""
        ...


@dataclass(frozen=True)
class Asked:
    """What became of a pair so far.

    Attributes:
        times: Answers, among them what the worst of n says about its pairs.
        first: Which was shown first, the last time.
        raters: Everyone who was asked about this pair alone; only such an answer can be repeated and compared.
    """

    times: int
    first: CandidateId
    raters: frozenset[str]


class AskedPairs:
    """What became of every pair so far, found by candidate."""

    def __init__(self) -> None:
        self._comparisons: tuple[Comparison, ...] = ()
        self._beside: dict[CandidateId, dict[CandidateId, Asked]] = {}

    def having_said(self, comparisons: tuple[Comparison, ...]) -> AskedPairs:
        """All that was asked by now; this very object where ``comparisons`` go on from those it knows."""
        if comparisons[: len(self._comparisons)] != self._comparisons:
            return AskedPairs().having_said(comparisons)
        for one in comparisons[len(self._comparisons) :]:
            self._add(one)
        self._comparisons = comparisons
        return self

    def among(self, ids: Sequence[CandidateId]) -> dict[tuple[CandidateId, CandidateId], Asked]:
        """The pairs of these candidates that were asked about, each once."""
        place = {candidate: i for i, candidate in enumerate(ids)}
        found = {}
        for i, candidate in enumerate(ids):
            beside = self._beside.get(candidate, {})
            for other in beside if len(beside) < len(ids) else place:
                if place.get(other, -1) > i and other in beside:
                    found[candidate, other] = beside[other]
        return found

    def _add(self, one: Comparison) -> None:
        a, b = one.first.candidate, one.second.candidate
        before = self._beside.get(a, {}).get(b)
        times, raters = (before.times, before.raters) if before else (0, frozenset[str]())
        heard_as_a_pair = frozenset[str]() if one.forced else frozenset({one.rater})
        now = Asked(times + 1, a, raters | heard_as_a_pair)
        self._beside.setdefault(a, {})[b] = self._beside.setdefault(b, {})[a] = now


@dataclass(frozen=True)
class Question:
    """Two candidates to be heard, in this order.

    Attributes:
        first: Id of the one to play first.
        second: Id of the other.
        reason: ``informative``, or ``repeat`` of an earlier question.
        information: Expected gain of an answer, in nats; asking can stop when it stays small.
    """

    first: CandidateId
    second: CandidateId
    reason: Literal["informative", "repeat"]
    information: float


def information_of_pairs(belief: Belief, candidates: Standardised) -> Array:
    """(N, N) expected information of asking about each pair, in nats; 0 on the diagonal."""
    mean, covariance = belief.mean(candidates), belief.covariance_of(candidates)
    own = np.diag(covariance)
    variance = np.maximum(own[:, None] + own[None] - 2 * covariance, 0.0)
    p = chance_of_first(mean[:, None] - mean[None], variance)
    information: Array = np.log1p(p * (1 - p) * variance) / 2
    return information


def next_pair(
    belief: Belief,
    ids: Sequence[CandidateId],
    candidates: Standardised,
    asked: AskedPairs,
    rng: np.random.Generator,
    *,
    rater: str | None = None,
    repeat_share: float = REPEAT_SHARE,
) -> Question:
    """The next question.

    Args:
        belief: What is believed so far.
        ids: Of the candidates that can be played.
        candidates: The same, in the same order.
        asked: What was asked before.
        rng: Draws repeats, the order of presentation, and the pool where there are many candidates.
        rater: Who will answer; repeats are of their own answers. None: of anyone's.
        repeat_share: Share of questions that repeat an earlier one.

    Raises:
        BarkError: When there are not two candidates.
    """
    if len(ids) < 2:
        raise BarkError(f"a question needs two candidates, {len(ids)} can be played; render more first")
    row = {candidate: i for i, candidate in enumerate(ids)}
    known = asked.among(ids)
    repeats = [
        pair
        for pair, said in known.items()
        if said.times == 1 and (said.raters if rater is None else rater in said.raters)
    ]
    if rng.random() < repeat_share and repeats:
        pair = repeats[int(rng.integers(len(repeats)))]
        second = known[pair].first
        first = pair[1] if second == pair[0] else pair[0]
        both = np.array([row[first], row[second]])
        information = information_of_pairs(belief, candidates.at(both))[0, 1]
        return Question(first, second, "repeat", float(information))
    pool = np.arange(len(ids)) if len(ids) <= POOL else rng.choice(len(ids), POOL, replace=False)
    place = {int(i): j for j, i in enumerate(pool)}
    matrix = information_of_pairs(belief, candidates.at(pool))
    times = np.zeros(matrix.shape)
    for pair, said in known.items():
        here = [place[row[candidate]] for candidate in pair if row[candidate] in place]
        if len(here) == 2:
            times[here[0], here[1]] = times[here[1], here[0]] = said.times
    np.fill_diagonal(times, np.inf)
    open_pairs = times == times.min()  # new ones, or those asked least often when none is new
    i, j = np.unravel_index(int(np.argmax(np.where(open_pairs, matrix, -1.0))), matrix.shape)
    order = (i, j) if rng.random() < 0.5 else (j, i)
    return Question(ids[int(pool[order[0]])], ids[int(pool[order[1]])], "informative", float(matrix[i, j]))
