"""A score holds finite numbers or none at all, and nobody changes it afterwards."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bark_infinity.error_handling import BarkError
from fusion.score import NEUTRAL, Score, Term

NOT_FINITE = [math.nan, math.inf, -math.inf]
A_AND_B = Score("ok", {"a": Term("a", 0.25, 1), "b": Term("b", 0.75, 1)})


@pytest.mark.parametrize("number", NOT_FINITE)
def test_no_number_of_a_judgement_may_be_other_than_finite(number):
    with pytest.raises(BarkError, match="0 to 1"):
        Term("a", number, 1)
    with pytest.raises(BarkError, match="measured"):
        Term("a", 0.5, 1, number)
    with pytest.raises(BarkError, match="evidence e"):
        Score("rejected", reason="too loud", evidence={"e": number})
    with pytest.raises(BarkError, match="measures m"):
        Score("ok", measures={"m": number})


@pytest.mark.parametrize("value", [-1e-9, 1 + 1e-9])
def test_a_value_is_a_share(value):
    with pytest.raises(BarkError, match="0 to 1"):
        Term("a", value, 1)


@pytest.mark.parametrize("weight", [*NOT_FINITE, -1.0])
def test_weights_are_finite_and_not_negative(weight):
    for weights in ({"a": weight}, {"a": weight, "b": 1.0}, {"b": 1.0, "a": weight}):
        with pytest.raises(BarkError, match="weights"):
            A_AND_B.total(weights)


@pytest.mark.parametrize("weights", [{}, {"a": 0.0}, {"a": 0, "b": 0}, {"a": 1e308, "b": 1e308}])
def test_weights_have_a_finite_sum_above_nothing(weights):
    with pytest.raises(BarkError, match="weights"):
        A_AND_B.total(weights)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1e300), st.floats(1e-300, 1e300))
def test_a_total_lies_between_its_terms(one, other, weight, positive):
    score = Score("ok", {"a": Term("a", one, 1), "b": Term("b", other, 1)})
    total = score.total({"a": weight, "b": positive})
    assert min(one, other) - 1e-12 <= total <= max(one, other) + 1e-12
    assert 0 <= total <= 1


def test_a_status_is_one_of_three_and_only_ok_has_terms_and_no_reason():
    with pytest.raises(BarkError, match="'fine'"):
        Score("fine")
    with pytest.raises(BarkError, match="terms a"):
        Score("failed", A_AND_B.terms, "no memory")
    for status, reason in (("ok", "why"), ("failed", None), ("rejected", None)):
        with pytest.raises(BarkError, match="reason"):
            Score(status, reason=reason)


def test_what_is_not_ok_or_not_judged_has_no_value():
    for status in ("failed", "rejected"):
        with pytest.raises(BarkError, match="no memory"):
            Score(status, reason="no memory").total({"a": 1.0})
    with pytest.raises(BarkError, match="c were not asked for"):
        A_AND_B.objectives(["a", "c"])
    assert A_AND_B.objectives(["b", "a"]) == (0.75, 0.25)


def test_a_score_stays_what_it_was():
    measures = {"m": 1.0}
    score = Score("ok", measures=measures, unknown={"b": "no text"})
    measures["m"] = math.nan
    assert score.measures == {"m": 1.0}
    for mapping in (score.terms, score.evidence, score.measures, score.unknown):
        with pytest.raises(TypeError):
            mapping["x"] = 1.0
    assert score == Score("ok", measures={"m": 1.0}, unknown={"b": "no text"})


def test_a_term_that_could_not_be_judged_counts_as_neutral():
    score = Score("ok", {"a": Term("a", 1.0, 1)}, unknown={"b": "there is no recogniser"})
    assert score.objectives(["b", "a"]) == (NEUTRAL, 1.0)
    assert score.total({"a": 1.0, "b": 1.0}) == (1.0 + NEUTRAL) / 2
