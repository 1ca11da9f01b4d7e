"""Comparing by ear, and forms of recipes, as values."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
from board_events import synthetic_run
from hypothesis import given
from hypothesis import strategies as st

from bark_infinity.error_handling import BarkError
from experiments.board.board import Board
from experiments.board.recipe_form import FIRST, RecipeForm, ready_recipes
from experiments.config import load_recipe, to_toml
from experiments.events import ChooseWorst, Judged, JudgePair, Rate, Taught


def board_after(births, **settings):
    board = Board(clock=lambda: 0.0)
    for event in synthetic_run(births, judgements=False, **settings):
        board.apply(event)
    return board


# -- asking and answering ---------------------------------------------------------------------------------------


def test_questions_are_about_births_that_passed_and_never_the_same_twice_in_a_row():
    board = board_after(80)
    seen = []
    for number in range(30):
        one, other = board.compare.question
        assert one != other
        assert {board.births[one].status, board.births[other].status} == {"ok"}
        seen.append(frozenset((one, other)))
        [command] = board.compare.answer("first")
        assert isinstance(command, JudgePair)
        board.apply(Judged(number, "better", command.one, command.other))
    assert len(set(seen)) == len(seen), "every answer is about another pair"


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        ("first", lambda a, b: JudgePair(a, b, latency_s=1.5)),
        ("second", lambda a, b: JudgePair(b, a, latency_s=1.5)),
        ("tie", lambda a, b: JudgePair(a, b, equal=True, latency_s=1.5)),
        ("bad", lambda a, b: JudgePair(a, b, bad=True, latency_s=1.5)),
    ],
)
def test_every_answer_about_a_pair_is_one_command(answer, wanted):
    board = board_after(40)
    question = board.compare.question
    assert board.compare.answer(answer, 1.5) == (wanted(*question),)
    assert board.compare.question != question


def test_the_worst_of_four_and_all_bad():
    board = board_after(60)
    board.compare.choose_mode("worst")
    four = board.compare.question
    assert len(set(four)) == 4
    assert board.compare.answer("first") == (), "a pair's answer is none here"
    assert board.compare.worst(2) == (ChooseWorst(four[2], (four[0], four[1], four[3])),)
    again = board.compare.question
    assert board.compare.bad() == tuple(Rate(birth, 0.0) for birth in again)


def test_what_the_run_wants_to_know_is_asked_first_and_once():
    board = board_after(60)
    ok = [one.number for one in board.births.values() if one.status == "ok"]
    wanted = (ok[3], ok[7])
    board.apply(Taught(SimpleNamespace(), wanted))
    board.compare.skip()
    assert board.compare.question == wanted
    board.compare.skip()
    assert board.compare.question != wanted


def test_skipping_records_nothing():
    board = board_after(60)
    question = board.compare.question
    board.compare.skip()
    assert board.compare.question != question
    assert not board.compare.given


def test_what_is_taken_back_leaves_the_list_and_nothing_else_does():
    board = board_after(60)
    [tie] = board.compare.answer("tie")
    [first] = board.compare.answer("first")
    [bad] = board.compare.answer("bad")
    said = [
        Judged(1, "equal", tie.one, tie.other),
        Judged(2, "better", first.one, first.other),
        Judged(3, "rating", bad.one, value=0.0),
        Judged(4, "rating", bad.other, value=0.0),
        Judged(5, "rating", tie.one, value=1.0),  # a like on the board
    ]
    for event in said:
        board.apply(event)
    words = [one.words for one in board.compare.given]
    board.apply(replace(said[4], withdrawn=True))
    assert [one.words for one in board.compare.given] == words
    board.apply(replace(said[3], withdrawn=True))
    board.apply(replace(said[2], withdrawn=True))
    assert [one.words for one in board.compare.given] == words[1:]
    board.apply(replace(said[0], withdrawn=True))
    assert [one.words for one in board.compare.given] == words[1:2]


def test_answers_that_stand_are_counted():
    board = board_after(40)
    board.apply(Judged(1, "better", 3, 4))
    board.apply(Judged(2, "rating", 3, value=1.0))
    board.apply(Judged(1, "better", 3, 4, withdrawn=True))
    assert board.compare.answers == 1


def test_nothing_is_asked_while_there_is_nothing_to_compare():
    board = board_after(24, survivors=False)
    assert board.compare.question == ()
    assert board.compare.answer("first") == ()
    assert board.compare.bad() == ()
    board.compare.skip()
    board.compare.choose_mode("worst")
    assert board.compare.question == ()


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(0, 1)), max_size=12))
def test_births_put_by_hand_are_two_different_ones_or_none(moves):
    board = board_after(40)
    for birth, place in moves:
        board.compare.put(birth, place)
        question = board.compare.question
        assert len(question) in (0, 2)
        assert len(set(question)) == len(question)
        if question:
            assert question[place] == birth


# -- forms ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name, _ in ready_recipes()])
def test_a_form_gives_back_the_recipe_it_was_filled_with(name):
    form = RecipeForm(name)
    assert form.problems == {}
    assert form.check() == load_recipe(name)


def test_every_setting_has_a_field_with_its_documentation():
    form = RecipeForm()
    assert all(field.doc and field.label for field in form.fields)
    assert set(FIRST) <= {field.path for field in form.fields}
    assert len({field.path for field in form.fields}) == len(form.fields)


@pytest.mark.parametrize(
    ("path", "text", "words"),
    [
        ("stop.hours", "-1", "expected a number above 0"),
        ("stop.hours", "soon", "is no number"),
        ("stop.evaluations", "1.5", "is no whole number"),
        ("judge.objectives", "beauty", "beauty"),
        ("judge.objectives", "", "objectives"),
        ("founders.prompts", " \n ", "one prompt to a line"),
        ("weights", "1", "weights"),
        ("algorithm.axes", "[{", "not as TOML writes it"),
        ("execution.batch_size", "0", "at least 1"),
    ],
)
def test_what_is_wrong_is_said_at_its_field_and_nothing_can_begin(path, text, words):
    form = RecipeForm("demo")
    form.enter(path, text)
    assert list(form.problems) == [path]
    assert form.check() is None
    assert words in form.summary()
    form.load("demo")
    assert form.problems == {}


def test_a_recipe_from_a_file_is_read_and_its_folder_is_where_paths_begin(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(to_toml(load_recipe("voices")), "utf-8")
    form = RecipeForm("demo")
    form.load(path)
    assert form.check() == load_recipe(path)
    assert form.base == tmp_path
    path.write_text("no = [", "utf-8")
    with pytest.raises(BarkError):
        form.load(path)
    assert form.problems == {}, "the form stays as it was"


@given(st.sampled_from([field.path for field in RecipeForm().fields]), st.text(max_size=30))
def test_no_text_in_any_field_breaks_the_form(path, text):
    form = RecipeForm("demo")
    form.enter(path, text)
    assert (form.check() is None) == bool(form.problems)
    assert form.summary()
