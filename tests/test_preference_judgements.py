"""Judgements are kept as they were said, can be taken back, and come back from their file the same."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bark_infinity.error_handling import BarkError
from fusion.preference import Judgement, JudgementLog, Shown
from fusion.preference.judgements import RATED_WEIGHT

names = st.text(max_size=8)
ids = st.one_of(st.integers(), names)
shown = st.builds(Shown, ids, names, names)


def several(least: int, most: int) -> st.SearchStrategy[tuple[Shown, ...]]:
    groups = st.lists(shown, min_size=least, max_size=most, unique_by=lambda one: one.candidate)
    return groups.map(tuple)


@st.composite
def judgements(draw: st.DrawFn) -> Judgement:
    kind = draw(st.sampled_from(["better", "worst", "tie", "both_bad", "rated"]))
    heard = draw(several(2, 5 if kind == "worst" else 2))
    chosen = draw(st.integers(0, len(heard) - 1)) if kind in ("better", "worst", "rated") else None
    strength = draw(st.floats(0, 1, exclude_min=True)) if kind == "rated" else 1.0
    return Judgement(kind, heard, chosen, draw(names), strength)


def better(first: int, second: int, chosen: int, rater: str = "r") -> Judgement:
    return Judgement("better", (Shown(first, "t", "l"), Shown(second, "t", "l")), chosen, rater)


@settings(max_examples=40, deadline=None)
@given(said=st.lists(judgements(), max_size=8), data=st.data())
def test_a_saved_log_comes_back_exactly_undone_or_not(tmp_path_factory, said, data):
    log = JudgementLog()
    for judgement in said:
        log.append(judgement)
        if log.standing() and data.draw(st.booleans()):
            log.undo()
    path = tmp_path_factory.mktemp("log") / "judgements.jsonl"
    log.save(path)
    loaded = JudgementLog.load(path)
    assert loaded == log
    assert loaded.standing() == log.standing()
    again = path.with_name("again.jsonl")
    loaded.save(again)
    assert again.read_bytes() == path.read_bytes()


@given(judgements())
def test_the_worst_of_n_loses_to_every_other_and_counts_as_one_choice_of_n(judgement):
    comparisons = judgement.comparisons()
    if judgement.kind != "worst":
        expected = RATED_WEIGHT * judgement.strength if judgement.kind == "rated" else 1.0
        assert [one.weight for one in comparisons] == [expected]
        return
    n = len(judgement.shown)
    worst = judgement.shown[judgement.chosen].candidate
    assert len(comparisons) == n - 1
    assert {one.winner for one in comparisons} == {one.candidate for one in judgement.shown} - {worst}
    assert all(worst in one.pair for one in comparisons)
    assert sum(one.weight for one in comparisons) == pytest.approx(2 * (n - 1) / n)
    order = [one.candidate for one in judgement.shown]
    assert all(order.index(one.first.candidate) < order.index(one.second.candidate) for one in comparisons)


def test_undoing_takes_one_judgement_back_and_keeps_its_record():
    log = JudgementLog()
    for answer in range(3):
        log.append(better(answer, 9, 0))
    assert log.undo(1) == 1
    assert [number for number, _ in log.standing()] == [0, 2]
    assert log.undo() == 2
    assert len(log) == 3
    with pytest.raises(BarkError, match="undone before"):
        log.undo(1)
    with pytest.raises(BarkError, match="does not exist"):
        log.undo(7)
    log.undo()
    with pytest.raises(BarkError, match="none to undo"):
        log.undo()


def test_repeated_pairs_show_how_far_a_rater_agrees_with_themselves():
    log = JudgementLog()
    for judgement in (better(1, 2, 0), better(2, 1, 1), better(3, 4, 0), better(4, 3, 0), better(5, 6, 0)):
        log.append(judgement)  # 1 over 2 twice, 3 over 4 and then 4 over 3
    log.append(better(1, 2, 1, rater="other"))
    assert (log.consistency("r").same, log.consistency("r").asked) == (1, 2)
    assert log.consistency("other").share is None
    assert log.agreement_between("r", "other").share == 0
    low, high = log.consistency("r").interval()
    assert 0 < low < 0.5 < high < 1


def test_the_interval_is_wilsons():
    from fusion.preference.consistency import Consistency

    scipy_stats = pytest.importorskip("scipy.stats")
    for same, asked in [(0, 5), (7, 9), (50, 50)]:
        expected = scipy_stats.binomtest(same, asked).proportion_ci(0.95, method="wilson")
        assert Consistency(same, asked).interval(1.959963984540054) == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize(
    ("kind", "heard", "chosen"),
    [("better", 2, None), ("better", 3, 0), ("better", 2, 2), ("tie", 2, 0), ("worst", 1, 0), ("best", 2, 0)],
)
def test_a_judgement_that_says_nothing_is_refused(kind, heard, chosen):
    with pytest.raises(BarkError):
        Judgement(kind, tuple(Shown(i, "t", "l") for i in range(heard)), chosen, "r")


def test_a_candidate_cannot_be_compared_with_itself():
    with pytest.raises(BarkError, match="twice"):
        better(1, 1, 0)


@pytest.mark.parametrize(
    "line",
    ["nonsense", "[]", "{}", '{"undo": 5}', '{"undo": true}', '{"kind": "better"}', "[" * 100_000,
     '{"kind":"better","shown":[[1,"t","l"],[2.5,"t","l"]],"chosen":0,"rater":"r"}',
     '{"kind":"better","shown":[[1,"t","l"],[2,"t","l"]],"chosen":true,"rater":"r"}'],
)  # fmt: skip
def test_a_damaged_line_is_named_and_nothing_of_it_is_run(tmp_path, line):
    log = JudgementLog()
    log.append(better(1, 2, 0))
    path = tmp_path / "judgements.jsonl"
    log.save(path)
    with path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    with pytest.raises(BarkError, match="line 3"):
        JudgementLog.load(path)


def test_a_log_of_another_format_is_refused(tmp_path):
    path = tmp_path / "judgements.jsonl"
    for first in ("", json.dumps({"format": "other", "version": 1}), json.dumps({"format": "victor-bark-judgements"})):
        path.write_text(first + "\n", "utf-8")
        with pytest.raises(BarkError):
            JudgementLog.load(path)
    path.write_text('{"format": "victor-bark-judgements", "version": 1}', "utf-8")
    with pytest.raises(BarkError, match="cut"):
        JudgementLog.load(path)
    with pytest.raises(BarkError, match="cannot be read"):
        JudgementLog.load(tmp_path / "missing.jsonl")


def test_two_ratings_are_a_soft_choice_that_repeats_no_question():
    pair = (Shown(1, "t", "l"), Shown(2, "t", "l"))
    one = Judgement("rated", pair, 1, "r", 0.75)
    [comparison] = one.comparisons()
    assert comparison.winner == 2
    assert comparison.weight == 0.75 * RATED_WEIGHT
    log = JudgementLog()
    for judgement in (one, one):
        log.append(judgement)
    assert log.consistency("r").asked == 0
    for strength in (0.0, 1.5):
        with pytest.raises(BarkError, match="strength"):
            Judgement("rated", pair, 1, "r", strength)
    with pytest.raises(BarkError, match="strength"):
        Judgement("better", pair, 1, "r", 0.5)
