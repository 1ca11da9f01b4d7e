"""What a run's listeners taught depends on their answers alone, and decides only what it can predict."""

from __future__ import annotations

import time
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bark_infinity.error_handling import BarkError
from fusion.features.features import AcousticFeatures, measure
from fusion.objectives.objectives import Unknown
from fusion.preference.births import AT_HAND
from fusion.preference.experts import WIDTH, measure_name
from fusion.preference.leanings import in_words
from fusion.preference.learner import PreferenceLearner
from fusion.preference.usual_speech import FEATURES, USUAL
from fusion.recipe import CriticRecipe, build_critic
from fusion.score import Score, Term

WEIGHTS = {"cleanliness": 1.0, "preference": 3.0}


def births(count: int, seed: int = 0) -> dict[int, Score]:
    """Judged births with features of usual speech, by number."""
    rng = np.random.default_rng(seed)
    return {
        birth: Score(
            "ok",
            terms={"cleanliness": Term("cleanliness", float(rng.random()), 2)},
            measures={name: float(np.float32(rng.normal(*USUAL[name]))) for name in AcousticFeatures.NAMES},
        )
        for birth in range(1, count + 1)
    }


def told(scores: dict[int, Score], **options) -> PreferenceLearner:
    """A learner that has heard of births: twelve families."""
    learner = PreferenceLearner(WEIGHTS, **options)
    for birth, score in scores.items():
        learner.hear(birth, score, text="Hello there.", parents=(birth - 12,) if birth > 12 else ())
    return learner


def lower_is_liked(scores: dict[int, Score], a: int, b: int) -> int:
    """Who likes low voices chooses this of two."""
    return int(scores[b].measures["f0_median_hz"] < scores[a].measures["f0_median_hz"])


def answer_pairs(learner: PreferenceLearner, scores: dict[int, Score], count: int, seed: int = 0) -> None:
    rng = np.random.default_rng(seed)
    for number in range(count):
        a, b = (int(one) for one in rng.choice(len(scores), 2, replace=False) + 1)
        learner.choose(number, "better", (a, b), lower_is_liked(scores, a, b), rater="her")


SCORES = births(60)


# -- terms ---------------------------------------------------------------------------------------------------


def test_until_somebody_answers_the_other_objectives_decide():
    learner = told(SCORES)
    terms = learner.terms(list(SCORES))
    by_composite = sorted(SCORES, key=lambda birth: SCORES[birth].terms["cleanliness"].value)
    means = learner.utilities(by_composite).mean
    assert (np.diff(means) > 0).all()
    assert all(0 < term.value < 1 for term in terms.values())
    assert learner.learned().sentences() == ["Nobody has judged yet: the other objectives decide."]


def test_what_people_choose_is_learned_and_said_in_plain_words():
    learner = told(SCORES)
    answer_pairs(learner, SCORES, 160)
    learned = learner.learned()
    assert learned.speaks == "linear"
    assert learned.accuracy is not None
    assert learned.accuracy > 0.7
    assert learned.leanings[0].feature == "f0_median_hz"
    assert learned.leanings[0].words == "lower voices"
    assert any("lower voices" in said for said in learned.sentences())
    new = births(40, seed=9)
    low = [birth for birth in new if new[birth].measures["f0_median_hz"] < 40]
    high = [birth for birth in new if new[birth].measures["f0_median_hz"] > 160]
    value = {birth: learner.term(score).value for birth, score in new.items()}
    assert np.mean([value[birth] for birth in low]) > np.mean([value[birth] for birth in high]) + 0.2


def test_a_score_gets_its_term_and_keeps_the_others():
    learner = told(SCORES)
    judged = learner.judged(SCORES[1])
    assert list(judged.terms) == ["cleanliness", "preference"]
    assert judged.terms["preference"] == learner.terms([1])[1] == learner.term(SCORES[1])
    failed = Score("failed", reason="out of memory")
    assert learner.judged(failed) is failed
    assert isinstance(learner.term(failed), Unknown)


def test_features_travel_through_the_measures_of_a_score():
    from bark_infinity.requests import Rendering
    from bark_infinity.tokens import BarkTokens

    t = np.arange(24_000) / 24_000
    whisper = np.random.default_rng(0).normal(0, 0.1, 24_000).astype(np.float32)
    for audio in (np.sin(2 * np.pi * 150 * t).astype(np.float32), whisper):
        critic = build_critic(CriticRecipe(objectives=("cleanliness",), gates=(), recogniser="none"))
        score = critic.score(Rendering(BarkTokens(), "given", audio, 24_000))
        expected = measure(audio, 24_000).known_vector()
        np.testing.assert_array_equal(AcousticFeatures.known_from_measures(score.measures), expected)


# -- answers -------------------------------------------------------------------------------------------------


def test_likes_and_dislikes_count_as_soft_pairs():
    learner = told(SCORES)
    order = sorted(SCORES, key=lambda birth: SCORES[birth].measures["f0_median_hz"])
    for number, birth in enumerate([*order[:12], *order[-12:]]):
        learner.rate(number, birth, 1.0 if birth in order[:12] else 0.0, rater="him")
    learned = learner.learned()
    assert learned.answers == 24
    assert learned.comparisons == 12  # the dislikes, each against the latest like
    one = learner._log().comparisons()[0]
    assert one.weight == 0.5
    assert {one.first.candidate, one.second.candidate} == {order[11], order[-12]}
    assert one.winner == order[11]


def test_only_likes_say_nothing_and_a_new_rating_replaces_the_old():
    learner = told(SCORES)
    for number in range(6):
        learner.rate(number, number + 1, 1.0, rater="him")
    assert learner.learned().comparisons == 0
    learner.rate(6, 1, 0.0, rater="him")
    assert [one.winner for one in learner._log().comparisons()] == [6]
    learner.rate(7, 1, 1.0, rater="him")
    assert learner.learned().comparisons == 1, "the new rating differs from none of the others"


def test_every_kind_of_answer_is_taken():
    learner = told(SCORES)
    learner.choose(1, "better", (1, 2), 0)
    learner.choose(2, "tie", (3, 4))
    learner.choose(3, "both_bad", (5, 6))
    learner.choose(4, "worst", (7, 8, 9, 10), 2)
    learner.rate(5, 11, 1.0)
    learner.rate(6, 12, 0.25)
    learned = learner.learned()
    assert learned.answers == 6
    assert learned.comparisons == 1 + 1 + 1 + 3 + 1


def test_what_was_never_heard_or_never_said_is_refused_by_name():
    learner = told(SCORES)
    with pytest.raises(BarkError, match="birth 999 was never heard"):
        learner.choose(1, "better", (1, 999), 0)
    with pytest.raises(BarkError, match="birth 999 was never heard"):
        learner.rate(1, 999, 1.0)
    with pytest.raises(BarkError, match="from 0"):
        learner.rate(1, 1, 2.0)
    with pytest.raises(BarkError, match="judgement 7 does not stand"):
        learner.withdraw(7)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 60), st.integers(1, 60), st.booleans()), max_size=30), st.data())
def test_withdrawing_is_learning_without_it_whenever_anyone_asks(answers, data):
    answers = [one for one in answers if one[0] != one[1]]
    gone = data.draw(st.sets(st.sampled_from(range(len(answers))))) if answers else set()
    eager, lazy = told(SCORES), told(SCORES)
    for number, (a, b, first) in enumerate(answers):
        eager.choose(number, "better", (a, b), int(not first))
        eager.term(SCORES[1])
    for number in gone:
        eager.withdraw(number)
        eager.term(SCORES[2])
    for number, (a, b, first) in enumerate(answers):
        if number not in gone:
            lazy.choose(number, "better", (a, b), int(not first))
    assert eager.terms([1, 2, 3]) == lazy.terms([1, 2, 3])
    assert eager.learned().why == lazy.learned().why


def test_births_nobody_judged_change_nothing():
    few, many = told(births(60)), told(births(200))
    answer_pairs(few, SCORES, 30)
    answer_pairs(many, SCORES, 30)
    assert few.terms([1, 2, 3]) == many.terms([1, 2, 3])


def test_families_are_grandparents_so_that_they_do_not_run_out():
    learner = PreferenceLearner(WEIGHTS)
    for birth in range(1, 30):
        learner.hear(birth, SCORES[birth], text="Hello.", parents=(birth - 1,) if birth > 1 else ())
    assert [learner._family(birth) for birth in (1, 2, 3, 4, 10)] == [1, 1, 1, 2, 8]


# -- questions, memory, time ---------------------------------------------------------------------------------


def test_the_next_question_is_about_births_that_can_be_played_and_reproducible():
    learner = told(SCORES)
    answer_pairs(learner, SCORES, 10)
    playable = [3, 5, 8, 13, 21]
    questions = [learner.next_pair(playable, np.random.default_rng(4)) for _ in range(2)]
    assert questions[0] == questions[1]
    assert {questions[0].first, questions[0].second} <= set(playable)
    with pytest.raises(BarkError, match="two candidates"):
        learner.next_pair([3], np.random.default_rng(4))


def test_what_was_learned_serves_another_run(tmp_path):
    learner = told(SCORES)
    answer_pairs(learner, SCORES, 80)
    learner.save(tmp_path)
    recipe = CriticRecipe(objectives=(f"preference of {tmp_path}",), gates=(), recogniser="none")
    assert not recipe.learns
    before = build_critic(recipe).versions
    assert before == build_critic(recipe).versions
    learner.choose(1_000, "better", (1, 2), 0)
    learner.save(tmp_path)
    assert before != build_critic(recipe).versions


def test_what_experts_heard_reaches_the_head_ensemble():
    rng = np.random.default_rng(2)
    scores = {}
    for birth, score in births(40).items():
        heard = {measure_name("ear", place): float(np.float32(rng.normal())) for place in range(WIDTH)}
        scores[birth] = Score("ok", terms=score.terms, measures={**score.measures, **heard})
    learner = PreferenceLearner(WEIGHTS, experts=("ear",))
    for birth, score in scores.items():
        learner.hear(birth, score, text="Hello there.", parents=(birth - 12,) if birth > 12 else ())
    answer_pairs(learner, scores, 125)
    learned = learner.learned()
    assert "heads" in learned.why, "the ensemble was tried"
    assert learned.usage == {} or set(learned.usage) == {"features", "ear"}
    model = learner._taught()
    assert model.reference.embeddings["ear"].middle.shape == (WIDTH,)
    assert model.reference.standardise(learner.rows(list(scores))).experts[1].any()
    assert "ear" in learner.version


def test_how_much_each_expert_counts_is_told_once_the_ensemble_decides():
    learner = told(SCORES)
    answer_pairs(learner, SCORES, 4)
    shares = {"features": 0.7, "ear": 0.3}
    said = replace(learner.learned(), usage=shares).sentences()
    assert "It goes by features (70%), ear (30%)." in said


def test_a_fit_at_200_answers_and_2000_births_is_fast():
    scores = births(2_000)
    learner = told(scores)
    answer_pairs(learner, scores, 200)
    learner.term(scores[1])
    a, b = 5, 6
    spent = []
    for number in range(200, 205):
        learner.choose(number, "better", (a, b + number), 0)
        began = time.process_time()
        learner.terms(list(scores))
        spent.append(time.process_time() - began)
    assert min(spent) < 0.1, spent  # about 0.03 s alone on this machine


def test_every_feature_has_words_and_a_place_in_usual_speech():
    assert set(USUAL) == set(AcousticFeatures.NAMES)
    assert np.isfinite(FEATURES.middle).all()
    assert (FEATURES.spread > 0).all()
    said = [in_words(name, more) for name in AcousticFeatures.NAMES for more in (True, False)]
    assert len(set(said)) == len(said)


# -- memory --------------------------------------------------------------------------------------------------


def test_a_long_run_costs_little_memory_and_teaches_the_same(monkeypatch):
    monkeypatch.setattr("fusion.preference.births.AT_HAND", 16)
    scores = births(120)
    asked: list[int] = []

    def recall(birth):
        asked.append(birth)
        return None if birth not in scores else (scores[birth], "Hello there.", (birth - 12,) if birth > 12 else ())

    bounded, whole = told(scores, recall=recall), told(scores)
    for learner in (bounded, whole):
        answer_pairs(learner, scores, 40)
        learner.rate(100, 7, 1.0, rater="her")
        learner.rate(101, 95, 0.0, rater="her")
        learner.withdraw(3)
    assert asked
    assert bounded.learned() == replace(whole.learned(), agreement=bounded.learned().agreement)
    assert bounded.terms(list(scores)) == whole.terms(list(scores))
    assert bounded.judged(scores[5]) == whole.judged(scores[5])
    questions = [learner.next_pair([3, 50, 118], np.random.default_rng(4)) for learner in (bounded, whole)]
    assert questions[0] == questions[1]
    judged = len({birth for number in range(40) for birth in pair(number)} | {7, 95})
    assert len(bounded._births) <= judged + 16
    with pytest.raises(BarkError, match="birth 999 was never heard"):
        bounded.rate(102, 999, 1.0)


def pair(number: int) -> list[int]:
    """The births of `answer_pairs`' question."""
    rng = np.random.default_rng(0)
    return [[int(one) for one in rng.choice(120, 2, replace=False) + 1] for _ in range(number + 1)][-1]


def test_a_hundred_thousand_births_stay_under_a_few_megabytes():
    one = births(1)[1]
    tracemalloc.start()
    learner = PreferenceLearner(WEIGHTS, recall=lambda birth: (one, "Hello there.", ()))
    for birth in range(1, 20_001):
        learner.hear(birth, one, text=f"Hello {birth}.", parents=(birth - 1,))
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert len(learner._births) == AT_HAND  # from then on it grows no more
    assert used < 3e6
