"""The linear model's likelihood is a probability, its gradient is exact, and its posterior says what it knows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from experiments.benchmarks.preference import answers_needed, learning_curve, linear_taste, world
from fusion.preference import CandidateTable, Judgement, JudgementLog, Reference, Shown
from fusion.preference.bradley_terry import BradleyTerry, chance_of_first, fit, posterior
from fusion.preference.pairs import OUTCOMES, Pairs

N, D = 30, 4


def planted(seed: int, n: int = 60) -> tuple[np.ndarray, Pairs]:
    """Columns and comparisons of every kind by two raters."""
    rng = np.random.default_rng(seed)
    first = rng.integers(N, size=n)
    second = (first + 1 + rng.integers(N - 1, size=n)) % N
    outcome = rng.integers(4, size=n)
    pairs = Pairs(
        first, second, outcome, rng.integers(2, size=n), rng.random(n), outcome != 3, outcome != 2, ("a", "b")
    )
    may_tie, may_refuse = rng.random(n) < 0.7, rng.random(n) < 0.7
    pairs = Pairs(first, second, outcome, pairs.rater, pairs.weight,
                  may_tie | (outcome == 2), may_refuse | (outcome == 3), ("a", "b"))  # fmt: skip
    return rng.standard_normal((N, 1 + D)), pairs


def value_at(columns, pairs, parameters):
    prior = np.eye(len(parameters)) * 0.5
    return posterior(parameters, columns, pairs, np.zeros(len(parameters)), prior)


@pytest.mark.parametrize("seed", range(4))
def test_the_gradient_is_exact(seed):
    columns, pairs = planted(seed)
    parameters = 0.5 * np.random.default_rng(seed + 50).standard_normal(1 + D + 2 + 3)
    _, gradient, _ = value_at(columns, pairs, parameters)
    step = 1e-6 * np.eye(len(parameters))
    numeric = [
        (value_at(columns, pairs, parameters + one)[0] - value_at(columns, pairs, parameters - one)[0]) / 2e-6
        for one in step
    ]
    np.testing.assert_allclose(gradient, numeric, rtol=1e-6, atol=1e-6)


def test_the_information_is_the_expected_square_of_the_gradient_over_all_outcomes():
    columns, pairs = planted(1, n=1)
    parameters = 0.5 * np.random.default_rng(3).standard_normal(1 + D + 2 + 3)
    nothing = np.zeros((len(parameters), len(parameters)))
    everything = np.ones(1, bool)
    expected, total = nothing.copy(), 0.0
    for outcome in range(4):
        one = Pairs(
            pairs.first,
            pairs.second,
            np.array([outcome]),
            pairs.rater,
            np.ones(1),
            everything,
            everything,
            pairs.raters,
        )
        value, gradient, information = posterior(parameters, columns, one, np.zeros(len(parameters)), nothing)
        expected += np.exp(value) * np.outer(gradient, gradient)
        total += np.exp(value)
    assert total == pytest.approx(1)  # the four outcomes are all there is
    np.testing.assert_allclose(information, expected, atol=1e-12)


def test_without_ties_and_refusals_it_is_logistic_regression():
    optimize = pytest.importorskip("scipy.optimize")
    rng = np.random.default_rng(0)
    table = CandidateTable.of(range(N), rng.standard_normal((N, D)), rng.standard_normal(N))
    candidates = Reference.fit(table).standardise(table)
    log = JudgementLog()
    for _ in range(80):
        i, j = rng.choice(N, 2, replace=False)
        log.append(
            Judgement("better", (Shown(int(i), "t", "l"), Shown(int(j), "t", "l")), int(rng.random() < 0.5), "r")
        )
    pairs = Pairs.of(log.comparisons(), {i: i for i in range(N)})
    model = fit(candidates, pairs, scales=(1.0,))
    away = candidates.columns[pairs.first] - candidates.columns[pairs.second]
    sign = np.where(pairs.outcome == 0, 1.0, -1.0)

    def loss(p):  # weights, position; a lone rater's sharpness is 1 (its mean is held there)
        prior = (p[0] - 1) ** 2 / 2 + (p[1:-1] ** 2).sum() / (2 * 0.25) + p[-1] ** 2 / (2 * 0.09)
        return np.logaddexp(0, -sign * (away @ p[:-1] + p[-1])).sum() + prior

    best = optimize.minimize(loss, np.zeros(D + 2), tol=1e-10).x
    np.testing.assert_allclose(model.weights, best[:-1], atol=0.02)
    assert model.position == pytest.approx(best[-1], abs=0.02)
    assert abs(model.log_sharpness[0]) < 0.02


def test_more_answers_leave_less_uncertainty():
    one = world(linear_taste, 0)
    candidates = Reference.fit(one.table).standardise(one.table)
    comparisons = one.random_log(160, np.random.default_rng(0)).comparisons()
    rows = {i: i for i in range(len(one.table))}
    sizes = [
        fit(candidates, Pairs.of(comparisons[:n], rows), scales=(1.0,)).variance(candidates).mean()
        for n in (0, 20, 160)
    ]
    assert sizes[0] > sizes[1] > 2 * sizes[2]


def test_posterior_intervals_hold_what_they_promise():
    inside, total = 0, 0
    for seed in range(12):
        one = world(linear_taste, seed, candidates=60)
        candidates = Reference.fit(one.table).standardise(one.table)
        rows = {i: i for i in range(60)}
        model = fit(candidates, Pairs.of(one.random_log(80, np.random.default_rng(seed)).comparisons(), rows))
        mean, covariance = model.mean(candidates), model.covariance_of(candidates)
        i, j = np.triu_indices(60, 1)
        deviation = np.sqrt(covariance[i, i] + covariance[j, j] - 2 * covariance[i, j])
        error = (mean[i] - mean[j]) - (one.utility[i] - one.utility[j])
        inside, total = inside + (np.abs(error) < 1.645 * deviation).sum(), total + len(i)
    assert 0.75 < inside / total < 0.99  # of 90 % intervals, over few worlds


def test_a_careless_rater_counts_for_less():
    one = world(linear_taste, 3)
    rng = np.random.default_rng(0)
    log = one.random_log(150, rng)
    for judgement in [judgement for _, judgement in log.standing()]:
        log.append(Judgement("better", judgement.shown, int(rng.random() < 0.5), "careless"))
    candidates = Reference.fit(one.table).standardise(one.table)
    model = fit(candidates, Pairs.of(log.comparisons(), {i: i for i in range(len(one.table))}))
    sharpness = dict(zip(model.raters, np.exp(model.log_sharpness), strict=True))
    assert sharpness["planted"] > 2 * sharpness["careless"]


def test_a_habit_of_choosing_the_first_is_told_from_taste():
    one = world(linear_taste, 4)
    rng = np.random.default_rng(1)
    log = JudgementLog()
    for _ in range(300):
        i, j = (int(k) for k in rng.choice(len(one.table), 2, replace=False))
        chance = 1 / (1 + np.exp(-(one.utility[i] - one.utility[j] + 1.0)))
        log.append(Judgement("better", (one.shown(i), one.shown(j)), int(rng.random() > chance), "r"))
    candidates = Reference.fit(one.table).standardise(one.table)
    model = fit(candidates, Pairs.of(log.comparisons(), {i: i for i in range(len(one.table))}))
    assert 0.4 < model.position < 1.4


def bad_log(kind: str) -> BradleyTerry:
    table = CandidateTable.of(range(6), np.arange(6.0)[:, None] - 2.5)
    log = JudgementLog()
    for i, j in [(4, 5), (5, 4), (3, 5)]:
        log.append(Judgement(kind, (Shown(i, "t", "l"), Shown(j, "t", "l")), None, "r"))
    log.append(Judgement("better", (Shown(0, "t", "l"), Shown(2, "t", "l")), 0, "r"))
    candidates = Reference.fit(table).standardise(table)
    return fit(candidates, Pairs.of(log.comparisons(), {i: i for i in range(6)}), scales=(1.0,))


def test_both_bad_lowers_both_and_a_tie_does_not():
    assert bad_log("both_bad").weights[1] < bad_log("tie").weights[1] - 0.1
    assert OUTCOMES[3] == "both_bad"


@settings(max_examples=40, deadline=None)
@given(values=arrays(np.float64, (6, 3)), seed=st.integers(0, 9))
def test_any_numbers_give_finite_utilities(values, seed):
    """Infinite, missing, huge and constant features included."""
    reference = Reference.fit(CandidateTable.of(range(6), values, values[:, 0]))
    candidates = reference.standardise(CandidateTable.of(range(6), values[::-1], values[:, 1]))
    log = JudgementLog()
    rng = np.random.default_rng(seed)
    for _ in range(5):
        i, j = (int(k) for k in rng.choice(6, 2, replace=False))
        log.append(Judgement("better", (Shown(i, "t", "l"), Shown(j, "t", "l")), 0, "r"))
    model = fit(candidates, Pairs.of(log.comparisons(), {i: i for i in range(6)}))
    for numbers in (model.mean(candidates), model.variance(candidates), model.sample(candidates, rng)):
        assert np.isfinite(numbers).all()
    assert (model.variance(candidates) >= 0).all()


def test_a_stranger_is_uncertain_and_not_extrapolated_to():
    rng = np.random.default_rng(0)
    table = CandidateTable.of(range(50), rng.standard_normal((50, 2)))
    reference = Reference.fit(table)
    model = fit(reference.standardise(table), Pairs.of((), {}), scales=(1.0,))
    edge, far, further = (reference.standardise(CandidateTable.of([0], [[x, 0.0]])) for x in (5.0, 50.0, 500.0))
    assert model.mean(far) == model.mean(further)
    assert model.variance(edge) < model.variance(far) < model.variance(further)


@given(st.floats(-50, 50), st.floats(0, 1e6))
def test_chances_are_symmetric_and_uncertainty_moves_them_to_one_half(difference, variance):
    chance = chance_of_first(np.array([difference, -difference]), np.array([variance, variance]))
    assert chance.sum() == pytest.approx(1)
    certain = chance_of_first(np.array([difference]), np.zeros(1))
    assert abs(chance[0] - 0.5) <= abs(certain[0] - 0.5) + 1e-12


def test_a_planted_taste_is_found_in_fewer_answers_when_the_questions_are_informative():
    needed = {}
    for informative in (True, False):
        curves = [
            learning_curve(world(linear_taste, seed, features=10), informative=informative, answers=110, seed=seed)
            for seed in range(3)
        ]
        mean = np.mean(curves, axis=0)
        needed[informative] = [answers_needed(mean, accuracy) or 999 for accuracy in (0.8, 0.88)]
        assert mean[-1] > 0.85
    assert needed[True][0] <= 60
    assert needed[True][1] <= 100
    assert needed[True][1] < needed[False][1]
