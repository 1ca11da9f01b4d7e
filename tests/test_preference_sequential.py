"""One more answer costs the same after thousands, and teaches what learning from all of them at once would."""

from __future__ import annotations

import itertools
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.benchmarks.preference import linear_taste, world
from fusion.features.features import AcousticFeatures
from fusion.preference import Judgement, JudgementLog, Reference, Shown
from fusion.preference import bradley_terry as model_of_choices
from fusion.preference.ask import AskedPairs
from fusion.preference.bradley_terry import fit
from fusion.preference.judgements import Comparison
from fusion.preference.ladder import last_look
from fusion.preference.learner import PreferenceLearner
from fusion.preference.pairs import Pairs
from fusion.preference.sequential import BLOCK, WHOLE, Sequential, last_whole
from fusion.preference.usual_speech import USUAL
from fusion.score import Score, Term

PLANTED = world(linear_taste, 3)
REFERENCE = Reference.fit(PLANTED.table)


def mixed_log(answers: int) -> JudgementLog:
    """Answers of every kind; the second rater and the first "tie" and "both bad" come late, within a block."""
    log, rng = JudgementLog(), np.random.default_rng(1)
    for number, (_, judgement) in enumerate(PLANTED.random_log(answers, rng).standing()):
        rater = "late" if number > WHOLE + 5 and number % 3 == 0 else "early"
        if number > WHOLE + 20 and number % 7 == 0:
            log.append(Judgement(("tie", "both_bad")[number % 2], judgement.shown, None, rater))
        else:
            log.append(Judgement("better", judgement.shown, judgement.chosen, rater))
    return log


@pytest.fixture
def work(monkeypatch) -> list[int]:
    """Comparisons gone through by each step of every fit."""
    steps: list[int] = []
    posterior = model_of_choices.posterior

    def counted(parameters, columns, pairs, *prior):
        steps.append(len(pairs))
        return posterior(parameters, columns, pairs, *prior)

    monkeypatch.setattr(model_of_choices, "posterior", counted)
    return steps


# -- the work ------------------------------------------------------------------------------------------------


def test_the_thousandth_answer_costs_no_more_than_the_two_hundredth(work):
    comparisons = PLANTED.random_log(1_400, np.random.default_rng(0)).comparisons()
    sequential = Sequential(REFERENCE)
    spent = {}
    for n in range(1, len(comparisons) + 1):
        work.clear()
        sequential.fit(comparisons[:n], PLANTED.table)
        spent[n] = sum(work)
    between = {n: cost for n, cost in spent.items() if n > WHOLE and n != last_whole(n)}
    assert max(between.values()) <= 12 * BLOCK
    assert sum(n == last_whole(n) for n in range(WHOLE, 1_401)) < 30
    early, late = (np.mean([spent[n] for n in part]) for part in (range(WHOLE, 400), range(700, 1_400)))
    assert late < 1.3 * early, "whole fits are as much rarer as they are longer"


def test_what_is_read_for_an_answer_of_a_run_does_not_grow(monkeypatch):
    read = []
    table = PreferenceLearner._table

    def counted(learner, births):
        read.append(len(births))
        return table(learner, births)

    monkeypatch.setattr(PreferenceLearner, "_table", counted)
    learner, ask = taught_up_to(360)
    assert last_look(364) == last_look(360)
    assert last_whole(364) == last_whole(360)
    for number in range(361, 365):
        read.clear()
        ask(number)
        learner.next_pair([1, 2, 3], np.random.default_rng(0))
        learner.learned()
        assert sum(read) <= 2 * BLOCK + 3


def test_after_one_was_taken_back_the_others_are_compared_once(monkeypatch):
    learner, ask = taught_up_to(200)
    learner.withdraw(200)
    learner.terms([1])
    compared = []
    equal = Comparison.__eq__

    def counted(one, other):
        compared.append(one)
        return equal(one, other)

    monkeypatch.setattr(Comparison, "__eq__", counted)
    for number in range(201, 204):
        ask(number)
        learner.learned()
    assert not compared, "every other time it is seen that they are the same objects"


def test_many_answers_told_at_once_are_fitted_once(work):
    comparisons = PLANTED.random_log(1_000, np.random.default_rng(0)).comparisons()
    Sequential(REFERENCE).fit(comparisons, PLANTED.table)
    whole = last_whole(1_000)
    assert sum(size >= whole for size in work) <= 60, "steps over all, at every feature scale"
    assert sum(size for size in work if size < whole) <= 12 * (1_000 - whole)


# -- what is learned -----------------------------------------------------------------------------------------


def test_one_by_one_or_at_once_the_model_is_the_same_to_the_bit():
    comparisons = mixed_log(330).comparisons()
    step_by_step = Sequential(REFERENCE)
    for n in range(1, len(comparisons) + 1):
        live = step_by_step.fit(comparisons[:n], PLANTED.table)
        if n in (WHOLE, WHOLE + 1, 139, 170, 204, 205, 260, 330):
            resumed = Sequential(REFERENCE).fit(comparisons[:n], PLANTED.table)
            assert (live.weights == resumed.weights).all()
            assert (live.covariance == resumed.covariance).all()
            assert (live.log_sharpness == resumed.log_sharpness).all()
            assert (live.position, live.tie, live.bar) == (resumed.position, resumed.tie, resumed.bar)
            assert live.raters == resumed.raters


@pytest.mark.parametrize("gone", [3, 150, 237, 258, 259])
def test_an_answer_that_is_taken_back_leaves_no_trace(gone):
    log = mixed_log(260)
    kept = Sequential(REFERENCE)
    kept.fit(log.comparisons(), PLANTED.table)
    log.undo(gone)
    without = kept.fit(log.comparisons(), PLANTED.table)
    never_said = Sequential(REFERENCE).fit(log.comparisons(), PLANTED.table)
    assert (without.weights == never_said.weights).all()
    assert (without.covariance == never_said.covariance).all()


@pytest.mark.parametrize("answers", [189, 457, 987])
def test_blocks_teach_as_much_as_fitting_all_together(answers):
    log = mixed_log(answers)
    assert last_whole(answers) < answers - 15
    standard = REFERENCE.standardise(PLANTED.table)
    blocks = Sequential(REFERENCE).fit(log.comparisons(), PLANTED.table)
    pairs = Pairs.of(log.comparisons(), {row: row for row in PLANTED.table.ids})
    together = fit(standard, pairs, scales=(blocks.feature_scale,))
    away = blocks.mean(standard) - together.mean(standard)
    doubt = np.sqrt(together.variance(standard))
    assert np.sqrt(np.mean(np.square(away / doubt))) < 0.25
    np.testing.assert_allclose(np.sqrt(blocks.variance(standard)), doubt, rtol=0.1)
    assert blocks.evidence == pytest.approx(together.evidence, rel=0.02)


# -- a run ---------------------------------------------------------------------------------------------------


OTHER = Score("ok", terms={"cleanliness": Term("cleanliness", 0.1, 2)}, measures={"f0_median_hz": 320.0})


def taught_up_to(answers: int, *, asking: bool = True, other: tuple[int, ...] = ()):
    """A learner with so many answers, and what gives it one more."""
    rng = np.random.default_rng(0)
    scores = {
        birth: Score(
            "ok",
            terms={"cleanliness": Term("cleanliness", float(rng.random()), 2)},
            measures={name: float(np.float32(rng.normal(*USUAL[name]))) for name in AcousticFeatures.NAMES},
        )
        for birth in range(1, 61)
    }
    learner = PreferenceLearner({"cleanliness": 1.0})
    for birth, score in scores.items():
        heard = OTHER if birth in other else score
        learner.hear(birth, heard, text="Hello there.", parents=(birth - 12,) if birth > 12 else ())

    def answer(number: int) -> None:
        a, b = (int(one) for one in np.random.default_rng([number, 4]).choice(60, 2, replace=False) + 1)
        lower = scores[b].measures["f0_median_hz"] < scores[a].measures["f0_median_hz"]
        learner.choose(number, "better", (a, b), int(lower), rater="her")

    for number in range(1, answers + 1):
        answer(number)
        if asking and number % 40 == 0:
            learner.next_pair([1, 2, 3], np.random.default_rng(0))
    learner.terms([1])
    return learner, answer


def test_a_resumed_run_goes_on_as_it_would_have():
    live, _ = taught_up_to(190)
    resumed, _ = taught_up_to(190, asking=False)
    births = list(range(1, 61))
    assert live.terms(births) == resumed.terms(births)
    assert live.learned() == resumed.learned()
    for seed in range(12):
        questions = [one.next_pair(births, np.random.default_rng(seed)) for one in (live, resumed)]
        assert questions[0] == questions[1]
    for one in (live, resumed):
        one.withdraw(150)
    without, _ = taught_up_to(149, asking=False)
    for number in range(151, 191):
        taught = np.random.default_rng([number, 4]).choice(60, 2, replace=False) + 1
        said = live._answers[number]
        without.choose(number, "better", [int(one) for one in taught], said.chosen, rater="her")
    assert live.terms(births) == resumed.terms(births) == without.terms(births)


def test_a_judged_birth_that_is_heard_anew_with_other_numbers_is_learned_anew():
    learner, _ = taught_up_to(30)
    for birth in (12, 5, 9):
        learner.hear(birth, OTHER, text="Hello there.")
    from_the_start, _ = taught_up_to(30, other=(12, 5, 9))
    assert (learner._taught().linear.weights == from_the_start._taught().linear.weights).all()
    as_before, _ = taught_up_to(30)
    assert (learner._taught().linear.weights != as_before._taught().linear.weights).any()


# -- pairs and raters ----------------------------------------------------------------------------------------


ANSWERS = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 4), st.sampled_from("ab"), st.sampled_from("abc"), st.booleans()),
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(ANSWERS)
def test_agreement_and_asked_pairs_are_what_going_through_all_answers_finds(answers):
    log, said = JudgementLog(), []
    for first, second, chosen, rater, rated in answers:
        if first == second:
            continue
        shown = (Shown(first, "t", "l"), Shown(second, "t", "l"))
        log.append(Judgement("rated" if rated else "better", shown, int(chosen == "b"), rater))
        said.append((frozenset((first, second)), (first, second)[chosen == "b"], rater, rated, first))
    direct = [one for one in said if not one[3]]
    last = {(rater, pair): winner for pair, winner, rater, _, _ in direct}
    for rater in "abc":
        by_pair = defaultdict(list)
        for pair, winner, who, _, _ in direct:
            if who == rater:
                by_pair[pair].append(winner)
        repeated = [two for winners in by_pair.values() for two in itertools.pairwise(winners)]
        own = log.consistency(rater)
        assert (own.same, own.asked) == (sum(a == b for a, b in repeated), len(repeated))
    for rater, other in itertools.combinations("abc", 2):
        both = [pair for who, pair in last if who == rater and (other, pair) in last]
        between = log.agreement_between(rater, other)
        assert (between.same, between.asked) == (sum(last[rater, p] == last[other, p] for p in both), len(both))
    assert log.raters() == tuple(dict.fromkeys(rater for _, _, rater, _, _ in said))
    asked = AskedPairs().having_said(log.comparisons()).among([3, 0, 2, 1])
    expected = {pair for pair, *_ in said if 4 not in pair}
    assert {frozenset(pair) for pair in asked} == expected
    assert len(asked) == len(expected)
    for pair, one in asked.items():
        about = [each for each in said if each[0] == frozenset(pair)]
        assert one.times == len(about)
        assert one.first == about[-1][4]
        assert one.raters == {who for _, _, who, rated, _ in about if not rated}
