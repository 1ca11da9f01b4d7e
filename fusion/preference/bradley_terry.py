"""A Bayesian linear model of choices: what is liked is a weighted sum of what is measured.

A candidate's utility is u = w.x, where x is its composite and its features, standardised. Of two candidates, shown
in the order a, b to rater r, with d = sharpness_r (u_a - u_b) + position bias:

    P(both bad) = s_a s_b,                  s_x = sigmoid(sharpness_r (bar - u_x))
    P(a), P(b), P(tie) proportional to      exp(d/2), exp(-d/2), exp(tie)             of the rest

The second line is Bradley and Terry (1952, Biometrika 39:324) with ties after Davidson (1970, JASA 65:317); the first
makes "both bad" an absolute negative. For raters who never use it the first line is left out, for those who never tie
so is exp(tie), and where only a choice was possible both are: then P(a) = sigmoid(d). Weights have a Gaussian
prior around the composite: weight 1 for it, 0 for every feature. The posterior is Laplace's, at the maximum found by
Fisher scoring with exact gradients, with Fisher's expected information as its precision (positive definite always).
How far features may move the utility is chosen by the evidence, so that noise teaches nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bark_infinity.error_handling import BarkError
from fusion.preference.candidates import Array, Standardised
from fusion.preference.judgements import CandidateId, Comparison

OUTCOMES = ("first", "second", "tie", "both_bad")
FEATURE_SCALES = (
    0.1,
    0.3,
    1.0,
    3.0,
    10.0,
)  # prior deviation of a usual candidate's utility about its composite, in logits
DEFAULT_FEATURE_SCALE = 1.0  # before anyone has judged
COMPOSITE_WEIGHT = (1.0, 1.0)  # prior mean and deviation: one robust deviation of composite is worth e:1 odds
LOG_SHARPNESS = (0.0, 0.5)  # of a rater
MEAN_LOG_SHARPNESS = 0.02  # deviation of the raters' mean from 0: utilities are in logits of the usual rater
POSITION = (0.0, 0.3)  # of the first shown, in logits
TIE = (-0.5, 1.0)  # log of Davidson's parameter
BAR = (-2.0, 1.0)  # utility below which a candidate is bad
_NUISANCES = 3  # position, tie, bar
_STEPS = 60
_TOLERANCE = 1e-6  # of the log posterior that another step could gain


@dataclass(frozen=True, eq=False)
class Pairs:
    """Comparisons as arrays, all (n,) except ``raters``.

    Attributes:
        first: Row of the candidate shown first.
        second: Row of the other.
        outcome: Position in `OUTCOMES`.
        rater: Position in ``raters``.
        weight: In whole answers.
        may_tie: Whether its rater is known to use ``tie``, and could.
        may_refuse: Whether its rater is known to use ``both_bad``, and could.
        raters: Names.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    outcome: NDArray[np.int64]
    rater: NDArray[np.int64]
    weight: Array
    may_tie: NDArray[np.bool_]
    may_refuse: NDArray[np.bool_]
    raters: tuple[str, ...]

    @classmethod
    def of(cls, comparisons: Sequence[Comparison], rows: dict[CandidateId, int]) -> Pairs:
        """Looks candidates up in ``rows``.

        Raises:
            BarkError: When a judged candidate has no row.
        """
        unknown = {c for one in comparisons for c in one.pair if c not in rows}
        if unknown:
            raise BarkError(
                f"{len(unknown)} judged candidates have no features, such as {next(iter(unknown))!r}; "
                "give features of every candidate that was judged"
            )
        raters = tuple(dict.fromkeys(one.rater for one in comparisons))
        # Whoever never says "tie" or "both bad" may not know or have that answer: their silence is no evidence.
        ties = {one.rater for one in comparisons if one.outcome == "tie"}
        refusals = {one.rater for one in comparisons if one.outcome == "both_bad"}
        return cls(
            np.array([rows[one.first.candidate] for one in comparisons], np.int64),
            np.array([rows[one.second.candidate] for one in comparisons], np.int64),
            np.array([OUTCOMES.index(one.outcome) for one in comparisons], np.int64),
            np.array([raters.index(one.rater) for one in comparisons], np.int64),
            np.array([one.weight for one in comparisons], np.float64),
            np.array([not one.forced and one.rater in ties for one in comparisons], np.bool_),
            np.array([not one.forced and one.rater in refusals for one in comparisons], np.bool_),
            raters,
        )

    def __len__(self) -> int:
        return len(self.first)

    def where(self, kept: NDArray[np.bool_]) -> Pairs:
        """The comparisons that are kept; raters keep their numbers."""
        return Pairs(
            self.first[kept], self.second[kept], self.outcome[kept], self.rater[kept],
            self.weight[kept], self.may_tie[kept], self.may_refuse[kept], self.raters,
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class BradleyTerry:
    """The posterior.

    Attributes:
        weights: (P,) posterior mean of the composite's weight and, where features count, of theirs.
        covariance: (P, P) of the weights.
        log_sharpness: (R,) by rater.
        position: Bias for what is shown first, in logits.
        tie: Log of Davidson's parameter.
        bar: Utility below which a candidate is bad.
        raters: Names, in the order of ``log_sharpness``.
        feature_scale: Prior deviation of a usual candidate's utility about its composite, in logits.
        feature_deviation: Prior deviation of one feature's weight.
        evidence: Log marginal likelihood, by Laplace's approximation.
    """

    weights: Array
    covariance: Array
    log_sharpness: Array
    position: float
    tie: float
    bar: float
    raters: tuple[str, ...]
    feature_scale: float
    feature_deviation: float
    evidence: float

    def mean(self, candidates: Standardised) -> Array:
        """(N,) expected utility, in logits of a choice by a rater of sharpness 1."""
        mean: Array = self._columns(candidates) @ self.weights
        return mean

    def covariance_of(self, candidates: Standardised) -> Array:
        """(N, N) covariance of utilities, with what lies beyond the reference's range."""
        columns = self._columns(candidates)
        joint: Array = columns @ self.covariance @ columns.T
        joint[np.diag_indices(len(joint))] += self.strangeness(candidates)
        return joint

    def variance(self, candidates: Standardised) -> Array:
        """(N,) variance of utilities: the diagonal of `covariance_of`."""
        columns = self._columns(candidates)
        inside: Array = np.einsum("np,pq,nq->n", columns, self.covariance, columns)
        return np.maximum(inside, 0.0) + self.strangeness(candidates)

    def strangeness(self, candidates: Standardised) -> Array:
        """(N,) variance of utilities because nothing like them is in the reference."""
        strange: Array = np.square(self.feature_deviation) * candidates.excess
        return strange

    def sample(self, candidates: Standardised, rng: np.random.Generator) -> Array:
        """(N,) utilities under one draw of the weights."""
        vectors = _square_root(self.covariance)
        weights = self.weights + vectors @ rng.standard_normal(len(self.weights))
        noise = rng.standard_normal(len(candidates.columns)) * np.sqrt(self.strangeness(candidates))
        return self._columns(candidates) @ weights + noise

    def _columns(self, candidates: Standardised) -> Array:
        return candidates.columns[:, : len(self.weights)]


@dataclass(frozen=True, eq=False)
class _Prior:
    mean: Array  # (P + R + 3,)
    precision: Array  # squared


def fit(
    candidates: Standardised,
    pairs: Pairs,
    *,
    use: Literal["composite", "features"] = "features",
    scales: Sequence[float] = FEATURE_SCALES,
) -> BradleyTerry:
    """Fits the model; a pure function of its arguments.

    Args:
        candidates: Everything judged.
        pairs: What was said.
        use: Whether the features count, or only the composite.
        scales: Candidates for ``feature_scale``; the one with most evidence counts.
    """
    columns = candidates.columns if use == "features" else candidates.columns[:, :1]
    if use == "composite" or not len(pairs):
        scales = (DEFAULT_FEATURE_SCALE,)
    fits: list[BradleyTerry] = []
    start = None
    for scale in sorted(scales):
        one, start = _fit(columns, pairs, scale, candidates.columns.shape[1] - 1, start)
        fits.append(one)
    return max(fits, key=lambda one: one.evidence)


def _fit(
    columns: Array, pairs: Pairs, scale: float, n_features: int, start: Array | None
) -> tuple[BradleyTerry, Array]:
    """The posterior and all its parameters, from which the next scale's search starts."""
    deviation = scale / math.sqrt(max(1, n_features))
    n_columns, n_raters = columns.shape[1], len(pairs.raters)
    prior = _prior(n_columns, n_raters, deviation)
    parameters = prior.mean if start is None else start
    value, gradient, information = posterior(parameters, columns, pairs, prior.mean, prior.precision)
    for _ in range(_STEPS):
        step = np.linalg.solve(information, gradient)
        promise = float(gradient @ step)
        if promise < _TOLERANCE:
            break
        size = 1.0
        while size > 1e-6:
            trial = parameters + size * step
            outcome = posterior(trial, columns, pairs, prior.mean, prior.precision)
            if outcome[0] >= value + 1e-4 * size * promise:
                break
            size /= 2
        else:
            break  # no step is uphill in floating point: this is the maximum
        parameters, (value, gradient, information) = trial, outcome
    covariance: Array = np.linalg.inv(information).astype(np.float64)
    log_determinant = float(np.linalg.slogdet(information)[1] - np.linalg.slogdet(prior.precision)[1])
    position, tie, bar = (float(one) for one in parameters[n_columns + n_raters :])
    fitted = BradleyTerry(
        weights=parameters[:n_columns],
        covariance=covariance[:n_columns, :n_columns],
        log_sharpness=parameters[n_columns : n_columns + n_raters],
        position=position,
        tie=tie,
        bar=bar,
        raters=pairs.raters,
        feature_scale=scale,
        feature_deviation=deviation,
        evidence=value - log_determinant / 2,
    )
    return fitted, parameters


def _prior(n_columns: int, n_raters: int, deviation: float) -> _Prior:
    rows = [COMPOSITE_WEIGHT, *[(0.0, deviation)] * (n_columns - 1), *[LOG_SHARPNESS] * n_raters, POSITION, TIE, BAR]
    mean, deviations = np.array(rows).T
    precision = np.diag(deviations**-2.0)
    raters = slice(n_columns, n_columns + n_raters)
    precision[raters, raters] += (MEAN_LOG_SHARPNESS * max(1, n_raters)) ** -2.0
    return _Prior(mean, precision)


def posterior(
    parameters: Array, columns: Array, pairs: Pairs, prior_mean: Array, prior_precision: Array
) -> tuple[float, Array, Array]:
    """Log posterior, its exact gradient and Fisher's information at ``parameters``.

    Args:
        parameters: (P + R + 3,) weights, log sharpness by rater, position, tie, bar.
        columns: (N, P) standardised candidates.
        pairs: n comparisons.
        prior_mean: (P + R + 3,).
        prior_precision: (P + R + 3,) squared, inverse of the prior's covariance.

    Returns:
        Value without the prior's constant; (P + R + 3,) gradient; (P + R + 3,) squared, expected negative curvature.
    """
    n, n_columns = len(pairs), columns.shape[1]
    chances, scores = _scores(parameters, columns, pairs)  # (n, 4), (n, 4, 6)
    each = np.arange(n)
    said = np.log(np.maximum(chances[each, pairs.outcome], 1e-300))
    away = parameters - prior_mean
    value = float(pairs.weight @ said - away @ prior_precision @ away / 2)
    slopes = pairs.weight[:, None] * scores[each, pairs.outcome]  # (n, 6)
    weighed = scores * (chances * pairs.weight[:, None])[..., None]
    inner = scores.transpose(0, 2, 1) @ weighed  # (n, 6, 6) information about the six numbers of each comparison
    # Chain from those numbers to the parameters: two utilities through the columns, the rest one to one.
    sides = (columns[pairs.first], columns[pairs.second])
    rest = np.zeros((n, 4, len(parameters) - n_columns))
    rest[each, 0, pairs.rater] = 1.0
    rest[:, np.arange(1, 4), np.arange(-_NUISANCES, 0)] = 1.0
    gradient = np.concatenate(
        [slopes[:, 0] @ sides[0] + slopes[:, 1] @ sides[1], np.einsum("nk,nkr->r", slopes[:, 2:], rest)]
    )
    by_utility = [sum(inner[:, i, j, None] * sides[j] for j in (0, 1)) for i in (0, 1)]  # (n, P) each
    across = [np.einsum("nk,nkr->nr", inner[:, i, 2:], rest) for i in (0, 1)]
    information = prior_precision.copy()
    information[:n_columns, :n_columns] += sides[0].T @ by_utility[0] + sides[1].T @ by_utility[1]
    corner = sides[0].T @ across[0] + sides[1].T @ across[1]
    information[:n_columns, n_columns:] += corner
    information[n_columns:, :n_columns] += corner.T
    information[n_columns:, n_columns:] += np.einsum("nkr,nks->rs", rest, inner[:, 2:, 2:] @ rest)
    return value, gradient - prior_precision @ away, information


def _scores(parameters: Array, columns: Array, pairs: Pairs) -> tuple[Array, Array]:
    """(n, 4) chances of outcomes, (n, 4, 6) gradients of their logs by u_first, u_second, log sharpness, position,
    tie, bar."""
    n_columns = columns.shape[1]
    weights, log_sharpness = parameters[:n_columns], parameters[n_columns:-_NUISANCES]
    position, tie, bar = parameters[-_NUISANCES:]
    utility = columns @ weights
    u = np.stack([utility[pairs.first], utility[pairs.second]], axis=1)  # (n, 2)
    sharpness = np.exp(log_sharpness)[pairs.rater]
    # Davidson's stage.
    d = sharpness * (u[:, 0] - u[:, 1]) + position
    logits = np.stack([d / 2, -d / 2, np.where(pairs.may_tie, tie, -np.inf)], axis=1)
    logits = logits - logits.max(axis=1, keepdims=True)
    shares = np.exp(logits)
    shares /= shares.sum(axis=1, keepdims=True)  # (n, 3)
    lean = (shares[:, 0] - shares[:, 1]) / 2
    by_d = np.stack([0.5 - lean, -0.5 - lean, -lean], axis=1)  # (n, 3)
    by_tie = (np.array([0.0, 0.0, 1.0]) - shares[:, 2:]) * pairs.may_tie[:, None]
    # The stage before it: are both bad?
    t = sharpness[:, None] * (bar - u)
    bad = _sigmoid(t)  # (n, 2)
    both = np.where(pairs.may_refuse, bad[:, 0] * bad[:, 1], 0.0)
    by_t_bad = 1 - bad
    by_t_else = -(both / np.maximum(1 - both, 1e-12))[:, None] * by_t_bad
    chances = np.concatenate([shares * (1 - both)[:, None], both[:, None]], axis=1)
    by_t = np.concatenate([np.repeat(by_t_else[:, None], 3, axis=1), by_t_bad[:, None]], axis=1)  # (n, 4, 2)
    by_t *= pairs.may_refuse[:, None, None]
    by_d = np.concatenate([by_d, np.zeros((len(d), 1))], axis=1)  # (n, 4)
    by_tie = np.concatenate([by_tie, np.zeros((len(d), 1))], axis=1)
    slope = sharpness[:, None]
    scores = np.stack(
        [
            slope * (by_d - by_t[..., 0]),
            slope * (-by_d - by_t[..., 1]),
            by_d * (d - position)[:, None] + (by_t * t[:, None]).sum(axis=2),
            by_d,
            by_tie,
            slope * by_t.sum(axis=2),
        ],
        axis=2,
    )
    return chances, scores


def _sigmoid(x: Array) -> Array:
    return np.exp(-np.logaddexp(0.0, -x))


def _square_root(covariance: Array) -> Array:
    values, vectors = np.linalg.eigh(covariance)
    root: Array = vectors * np.sqrt(np.maximum(values, 0.0))
    return root


def chance_of_first(difference: Array, variance: Array) -> Array:
    """Chance that the first is preferred, over the uncertainty of the difference (MacKay 1992, Neural Comp. 4:720)."""
    return _sigmoid(difference / np.sqrt(1 + np.pi * variance / 8))
