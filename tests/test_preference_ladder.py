"""A bigger model speaks only when it predicts unheard choices better: not on coins, and no further than it must."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.benchmarks.preference import (
    ladder_decision,
    linear_taste,
    no_taste,
    nonlinear_taste,
    pair_accuracy,
    world,
)
from fusion.preference import CandidateTable, Judgement, JudgementLog, PreferenceModel, Reference, Shown
from fusion.preference.bradley_terry import fit
from fusion.preference.ladder import (
    FEWEST_LINEAGES,
    FIRST_HEADS,
    FIRST_LOOK,
    SIGNIFICANCE,
    decide,
    grouped_folds,
    last_look,
    sign_flip_p,
    threshold,
)
from fusion.preference.pairs import Pairs

NONLINEAR_SEED, NONLINEAR_ANSWERS = 0, 982  # where the ladder is climbed


@pytest.fixture(scope="module")
def taught():
    """A decision, model and world per planted taste."""
    return {
        "coins": ladder_decision(no_taste, 0, 100),
        "sum": ladder_decision(linear_taste, 0, 130),
        "not a sum": ladder_decision(nonlinear_taste, NONLINEAR_SEED, NONLINEAR_ANSWERS),
    }


def test_random_answers_teach_nothing_and_the_ladder_says_so(taught):
    decision, model, planted = taught["coins"]
    assert decision.speaks == "composite"
    assert "composite speaks" in decision.why
    assert "does not beat" in decision.why
    believed = model.predict(planted.table)
    assert believed.speaks == "composite"
    assert (np.argsort(believed.mean) == np.argsort(planted.table.composite)).all()


def test_on_a_weighted_sum_the_linear_model_takes_over_and_the_heads_do_not(taught):
    decision, model, planted = taught["sum"]
    assert decision.speaks == "linear"
    assert [climb.bigger for climb in decision.climbs] == ["linear", "heads"]
    assert [climb.passed for climb in decision.climbs] == [True, False]
    assert pair_accuracy(planted.utility, model.predict(planted.table).mean) > 0.88


def test_on_a_taste_that_is_no_sum_the_mixture_of_experts_takes_over(taught):
    decision, model, planted = taught["not a sum"]
    assert decision.speaks == "heads"
    composite, linear, heads = decision.rungs
    assert heads.log_loss < min(composite.log_loss, linear.log_loss)
    believed = pair_accuracy(planted.utility, model.predict(planted.table).mean)
    straight = pair_accuracy(planted.utility, model.linear.mean(model.reference.standardise(planted.table)))
    assert believed > straight + 0.05


def test_a_saved_mixture_predicts_to_the_bit(taught, tmp_path):
    _, model, planted = taught["not a sum"]
    model.save(tmp_path / "model")
    loaded = type(model).load(tmp_path / "model")
    before, after = model.predict(planted.table), loaded.predict(planted.table)
    assert (before.mean == after.mean).all()
    assert (before.deviation == after.deviation).all()
    assert loaded.decision == model.decision
    assert loaded.agreement() == model.agreement()
    questions = [one.next_pair(planted.table, np.random.default_rng(5)) for one in (model, loaded)]
    assert questions[0] == questions[1]


def test_the_mixtures_uncertainty_is_that_of_its_samples(taught):
    _, model, planted = taught["not a sum"]
    few = planted.table.at(np.arange(5))
    rng = np.random.default_rng(0)
    samples = np.array([model.sample(few, rng) for _ in range(600)])
    believed = model.predict(few)
    np.testing.assert_allclose(samples.std(axis=0), believed.deviation, rtol=0.2)
    np.testing.assert_allclose(samples.mean(axis=0), believed.mean, atol=0.2)


@settings(max_examples=30, deadline=None)
@given(lineages=st.integers(1, 20), texts=st.integers(1, 6), seed=st.integers(0, 99), mixed_texts=st.booleans())
def test_no_model_is_tested_on_a_family_or_text_that_it_has_heard(lineages, texts, seed, mixed_texts):
    rng = np.random.default_rng(seed)
    log = JudgementLog()
    for _ in range(40):
        i, j = (int(k) for k in rng.choice(60, 2, replace=False))
        text = f"t{rng.integers(texts)}"
        other = f"t{rng.integers(texts)}" if mixed_texts else text
        log.append(
            Judgement("better", (Shown(i, text, f"l{i % lineages}"), Shown(j, other, f"l{j % lineages}")), 0, "r")
        )
    comparisons = log.comparisons()
    folds = grouped_folds(comparisons)
    for held, heard in itertools.product(range(40), repeat=2):
        if folds.kept[folds.cell[held], heard]:
            families = [{one.first.lineage, one.second.lineage} for one in (comparisons[held], comparisons[heard])]
            assert not families[0] & families[1]
            spoken = [{one.first.text, one.second.text} for one in (comparisons[held], comparisons[heard])]
            assert not folds.texts_held_out or not spoken[0] & spoken[1]


def test_with_the_fewest_lineages_every_fold_has_something_to_learn_from():
    for lineages in (FEWEST_LINEAGES, FEWEST_LINEAGES + 1):
        log = JudgementLog()
        for i, j in itertools.combinations(range(lineages), 2):
            log.append(Judgement("better", (Shown(i, "t", f"l{i}"), Shown(j, "t", f"l{j}")), 0, "r"))
        assert grouped_folds(log.comparisons()).kept.any(axis=1).all()


def test_few_answers_or_one_family_leave_the_composite_speaking():
    one = world(linear_taste, 0)
    candidates = Reference.fit(one.table).standardise(one.table)
    rows = {i: i for i in range(len(one.table))}
    few = one.random_log(10, np.random.default_rng(0)).comparisons()
    assert "too few" in decide(few, candidates, Pairs.of(few, rows)).why
    log = JudgementLog()
    for _, judgement in one.random_log(40, np.random.default_rng(0)).standing():
        shown = tuple(Shown(each.candidate, each.text, "the only family") for each in judgement.shown)
        log.append(Judgement("better", shown, judgement.chosen, "r"))
    related = log.comparisons()
    decision = decide(related, candidates, Pairs.of(related, rows))
    assert decision.speaks == "composite"
    assert "1 lineages" in decision.why


def test_the_composite_that_is_tested_is_the_one_that_speaks():
    """A taste for the opposite of the composite: it must not be credited with what only its opposite predicts."""
    rng = np.random.default_rng(0)
    features, composite = rng.normal(size=(120, 6)), rng.normal(size=120)
    table = CandidateTable.of(range(120), features, composite)
    log = JudgementLog()
    for _ in range(169):
        i, j = (int(k) for k in rng.choice(120, 2, replace=False))
        chance = 1 / (1 + np.exp(2 * (composite[i] - composite[j])))
        shown = (Shown(i, f"t{i % 7}", f"l{i % 20}"), Shown(j, f"t{j % 7}", f"l{j % 20}"))
        log.append(Judgement("better", shown, int(rng.random() > chance), "r"))
    silent = PreferenceModel(Reference.fit(table), heads=False)
    order = silent.predict(table).mean
    decision = silent.learn(log, table)
    one, other = zip(*(judgement.shown for _, judgement in log.standing()), strict=True)
    chosen = np.array([judgement.chosen for _, judgement in log.standing()])
    away = order[[each.candidate for each in one]] - order[[each.candidate for each in other]]
    assert decision.rungs[0].accuracy == pytest.approx(np.mean((away < 0) == (chosen == 1)))
    assert decision.rungs[0].accuracy < 0.3
    assert decision.rungs[0].log_loss > 0.67
    assert decision.speaks == "linear"
    assert pair_accuracy(-composite, silent.predict(table).mean) > 0.9


def test_the_ladder_is_climbed_ever_more_rarely():
    looks = [last_look(n) for n in range(2_000)]
    assert looks[19] == 0
    assert looks[20] == 20
    assert all(look <= n < 1.35 * look + 1 for n, look in enumerate(looks) if n >= 20)
    assert len(set(looks)) < 30


def test_all_looks_together_spend_one_significance():
    looks = sorted({last_look(n) for n in range(20, 100_000)})
    for first in (FIRST_LOOK, FIRST_HEADS):
        thresholds = [threshold(look, first) for look in looks if look >= first]
        assert thresholds == sorted(thresholds, reverse=True)
        assert 0.9 * SIGNIFICANCE < sum(thresholds) < SIGNIFICANCE


def test_coins_seldom_convince_the_ladder_however_often_it_looks():
    took_over = lucky = 0
    worlds = 12
    for seed in range(worlds):
        rng = np.random.default_rng(seed)
        table = CandidateTable.of(range(40), rng.normal(size=(40, 3)), rng.normal(size=40))
        candidates, rows = Reference.fit(table).standardise(table), {i: i for i in range(40)}
        log = JudgementLog()
        for _ in range(68):
            i, j = (int(k) for k in rng.choice(40, 2, replace=False))
            shown = (Shown(i, "t", f"l{i % 13}"), Shown(j, "t", f"l{j % 13}"))
            log.append(Judgement("better", shown, int(rng.integers(2)), "r"))
        heard = log.comparisons()
        looks = [decide(heard[:n], candidates, Pairs.of(heard[:n], rows), heads=False) for n in (20, 27, 37, 50, 68)]
        took_over += any(look.speaks != "composite" for look in looks)
        lucky += any(look.climbs[0].p < SIGNIFICANCE for look in looks)
    assert took_over <= 2
    assert lucky >= took_over  # a single look's significance would have let no fewer in


def test_the_sign_flip_test_is_the_exact_one():
    gains = np.array([0.5, 1.2, -0.3, 0.9, 0.1, 0.8, -0.2, 0.4])
    flips = np.array(list(itertools.product((-1, 1), repeat=len(gains)))) @ gains
    exact = (flips >= gains.sum() - 1e-12).mean()
    assert sign_flip_p(gains, np.random.default_rng(0)) == pytest.approx(exact, abs=0.01)
    assert sign_flip_p(-gains, np.random.default_rng(0)) > 0.9
    assert sign_flip_p(np.zeros(5), np.random.default_rng(0)) == 1


def test_heads_learn_by_the_same_likelihood_as_the_linear_model():
    torch = pytest.importorskip("torch")
    from fusion.preference.bradley_terry import _scores
    from fusion.preference.heads import _Choices

    one = world(linear_taste, 1)
    log = one.random_log(60, np.random.default_rng(0))
    for i, kind in enumerate(["tie", "both_bad", "tie", "both_bad"]):
        log.append(Judgement(kind, (one.shown(i), one.shown(i + 4)), None, "planted"))
    log.append(Judgement("worst", tuple(one.shown(i) for i in range(20, 24)), 1, "other"))
    candidates = Reference.fit(one.table).standardise(one.table)
    pairs = Pairs.of(log.comparisons(), {i: i for i in range(len(one.table))})
    model = fit(candidates, pairs)
    parameters = np.concatenate([model.weights, model.log_sharpness, [model.position, model.tie, model.bar]])
    chances, _ = _scores(parameters, candidates.columns, pairs)
    ours = _Choices.of(candidates, pairs, [model], 1).log_likelihood(torch.zeros(len(one.table), 1))
    expected = np.log(chances[np.arange(len(pairs)), pairs.outcome])
    np.testing.assert_allclose(ours[:, 0].numpy(), expected, atol=1e-4)


def test_top_two_experts_speak_and_none_is_idle(taught):
    from fusion.preference.heads import _forward, _inputs, _tensors

    _, model, planted = taught["not a sum"]
    experts = model.reference.standardise(planted.table).experts
    assert len(experts) == 3
    _, mix = _forward(_tensors(model._ensemble.heads), _inputs(experts))
    assert ((mix > 0).sum(dim=-1) == 2).all()
    usage = model._ensemble.heads.usage(experts)
    assert usage.sum() == pytest.approx(1, abs=1e-5)
    assert usage.min() > 0.08
