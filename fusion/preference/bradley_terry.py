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
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from fusion.preference.candidates import Array, Standardised
from fusion.preference.pairs import Pairs

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
        inside: Array = ((columns @ self.covariance) * columns).sum(axis=1)
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
class Posterior:
    """What is believed about all P + R + 3 parameters after some answers: a Gaussian, from which others go on.

    Attributes:
        mean: (P + R + 3,) weights, log sharpness by rater, position, tie, bar.
        precision: (P + R + 3,) squared, inverse of the covariance.
        raters: Names of the R.
        feature_scale: See `BradleyTerry`.
        feature_deviation: See `BradleyTerry`.
        evidence: See `BradleyTerry`.
    """

    mean: Array
    precision: Array
    raters: tuple[str, ...]
    feature_scale: float
    feature_deviation: float
    evidence: float = 0.0

    def model(self) -> BradleyTerry:
        """The model that it is."""
        n_raters = len(self.raters)
        n_columns = len(self.mean) - n_raters - _NUISANCES
        covariance: Array = np.linalg.inv(self.precision).astype(np.float64)
        position, tie, bar = (float(one) for one in self.mean[-_NUISANCES:])
        return BradleyTerry(
            weights=self.mean[:n_columns],
            covariance=covariance[:n_columns, :n_columns],
            log_sharpness=self.mean[n_columns:-_NUISANCES],
            position=position,
            tie=tie,
            bar=bar,
            raters=self.raters,
            feature_scale=self.feature_scale,
            feature_deviation=self.feature_deviation,
            evidence=self.evidence,
        )

    def with_raters(self, raters: Sequence[str]) -> Posterior:
        """The same before others have answered, whose names come after those of the known."""
        new = len(raters) - len(self.raters)
        if not new:
            return self
        place, at = len(self.mean) - _NUISANCES, np.r_[0 : len(self.mean) - _NUISANCES, -_NUISANCES:0]
        mean = np.insert(self.mean, [place] * new, LOG_SHARPNESS[0])
        precision = np.diag(np.full(len(mean), LOG_SHARPNESS[1] ** -2.0))
        precision[np.ix_(at, at)] = self.precision
        return replace(self, mean=mean, precision=precision, raters=tuple(raters))


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
    return learnt(candidates, pairs, use=use, scales=scales).model()


def learnt(
    candidates: Standardised,
    pairs: Pairs,
    *,
    use: Literal["composite", "features"] = "features",
    scales: Sequence[float] = FEATURE_SCALES,
) -> Posterior:
    """`fit`, as what other answers go on from."""
    columns = candidates.columns if use == "features" else candidates.columns[:, :1]
    if use == "composite" or not len(pairs):
        scales = (DEFAULT_FEATURE_SCALE,)
    found: list[Posterior] = []
    for scale in sorted(scales):
        prior = _prior(columns.shape[1], pairs.raters, scale, candidates.columns.shape[1] - 1)
        found.append(_after(prior, columns, pairs, found[-1].mean if found else prior.mean))
    return max(found, key=lambda one: one.evidence)


def learnt_more(before: Posterior, candidates: Standardised, pairs: Pairs) -> Posterior:
    """What is believed after further answers, without those that came before.

    The belief until then is their prior (assumed-density filtering; Opper 1998, On-line Learning in Neural Networks,
    ch. 16); its Gaussian stands for the earlier answers, at the feature scale that they chose.

    Args:
        before: What was believed; its raters come first among those of ``pairs``.
        candidates: Those of ``pairs``.
        pairs: Only the further answers.
    """
    before = before.with_raters(pairs.raters)
    return _after(before, candidates.columns, pairs, before.mean)


def _after(prior: Posterior, columns: Array, pairs: Pairs, start: Array) -> Posterior:
    """Laplace's approximation of the posterior; the search for its maximum begins at ``start``."""
    parameters = start
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
    log_determinant = float(np.linalg.slogdet(information)[1] - np.linalg.slogdet(prior.precision)[1])
    return replace(prior, mean=parameters, precision=information, evidence=prior.evidence + value - log_determinant / 2)


def _prior(n_columns: int, raters: tuple[str, ...], scale: float, n_features: int) -> Posterior:
    """What is believed before anyone has answered."""
    deviation = scale / math.sqrt(max(1, n_features))
    weights = [COMPOSITE_WEIGHT, *[(0.0, deviation)] * (n_columns - 1)]
    mean, deviations = np.array([*weights, *[LOG_SHARPNESS] * len(raters), POSITION, TIE, BAR]).T
    precision = np.diag(deviations**-2.0)
    of_raters = slice(n_columns, n_columns + len(raters))
    precision[of_raters, of_raters] += (MEAN_LOG_SHARPNESS * max(1, len(raters))) ** -2.0
    return Posterior(mean, precision, raters, scale, deviation)


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
