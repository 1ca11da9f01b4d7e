"""The board as values: which cards are shown, what they say, what can be done."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from board_events import clip, synthetic_run
from hypothesis import given
from hypothesis import strategies as st

from evolution.interventions import Pin, Unpin
from experiments.board.board import Board
from experiments.board.cards import DENSITIES, GRIDS, facts
from experiments.board.explaining import explained
from experiments.board.run_state import Opened, lasting
from experiments.board.waves import KEPT, MOMENTS, Waves, outline
from experiments.events import Clip, Intervened, Judged, StateChanged, Told


def board_after(births, seed=0, **settings):
    board = Board(clock=lambda: 0.0)
    for event in synthetic_run(births, seed, **settings):
        board.apply(event)
    return board


# -- cards ------------------------------------------------------------------------------------------------------


def test_the_newest_births_are_shown_and_keep_their_places():
    board = Board()
    seen: dict[int, int] = {}
    for event in synthetic_run(80):
        board.apply(event)
        if isinstance(event, Told):
            places = board.cards.places
            moved = [birth for birth, place in seen.items() if birth in places and places.index(birth) != place]
            assert moved == [], "a card moved under the mouse"
            seen = {birth: place for place, birth in enumerate(places) if birth is not None}
    assert sorted(board.cards.shown()) == list(range(80 - 12 + 1, 81))


def test_what_is_looked_at_or_heard_or_marked_is_never_replaced():
    events = list(synthetic_run(60))
    board = Board()
    for event in events[:30]:
        board.apply(event)
    looked, heard, marked = board.cards.shown()[:3]
    board.selection.select(looked)
    board.selection.play(heard)
    board.selection.mark((marked,))
    places = {birth: board.cards.places.index(birth) for birth in (looked, heard, marked)}
    for event in events[30:]:
        board.apply(event)
    assert {birth: board.cards.places.index(birth) for birth in places} == places


def test_best_are_sorted_and_liked_holds_likes_and_pins():
    board = board_after(120)
    board.cards.show("best")
    totals = [board.births[birth].total for birth in board.cards.shown()]
    assert totals == sorted(totals, reverse=True)
    assert all(board.births[birth].status == "ok" for birth in board.cards.shown())
    board.apply(Judged(900, "rating", 5, value=1.0))
    board.apply(Judged(901, "rating", 6, value=0.0))
    board.apply(Intervened(3, Pin(7)))
    board.cards.show("liked")
    assert {5, 7} <= set(board.cards.matching())
    assert 6 not in board.cards.matching()
    board.apply(Judged(900, "rating", 5, value=1.0, withdrawn=True))
    board.apply(Intervened(4, Unpin(7)))
    assert not {5, 7} & set(board.cards.matching())


@pytest.mark.parametrize("count", DENSITIES)
def test_every_density_has_a_grid_with_so_many_places(count):
    columns, rows = GRIDS[count]
    board = board_after(40)
    board.cards.show(count=count)
    assert columns * rows == count == len(board.cards.places)
    pages = board.cards.pages
    seen = []
    for page in range(pages):
        board.cards.show(page=page)
        seen += board.cards.shown()
    assert sorted(seen) == list(range(1, 41)), "every birth is on exactly one page"


def test_a_run_without_survivors_shows_cards_with_their_reasons():
    board = board_after(24, survivors=False)
    assert board.births.best is None
    said = [facts(board.births[birth], board.births) for birth in board.cards.shown()]
    assert all(one.total is None and one.verdict for one in said)
    assert {badge.text for one in said for badge in one.badges} >= {"rejected"}
    board.cards.show("population")
    assert board.cards.shown() == []


def test_a_card_is_explained_by_its_terms_weights_and_measures():
    board = board_after(120)
    best = board.births[board.births.best]
    said = explained(best, board.births)
    assert f"total {best.total:.3f}" in said
    assert "intelligibility" in said
    assert "× 2" in said
    rejected = next(one for one in board.births.values() if one.status == "rejected")
    assert rejected.reason in explained(rejected, board.births)


# -- outlines ---------------------------------------------------------------------------------------------------


@given(st.lists(st.floats(width=32), max_size=500))
def test_an_outline_bounds_every_clip_and_is_finite(samples):
    made = outline(Clip(np.array(samples, np.float32), 24_000))
    assert made.low.shape == made.high.shape == (MOMENTS,)
    assert np.isfinite(made.low).all()
    assert np.isfinite(made.high).all()
    assert (made.low <= made.high).all()
    assert made.low.min() >= -1
    assert made.high.max() <= 1


def test_outlines_show_what_is_loud_where_it_is_loud():
    audio = np.zeros(24_000, np.float32)
    audio[12_000:18_000] = np.sin(np.arange(6_000)) * 0.8
    made = outline(Clip(audio, 24_000))
    assert made.high[: MOMENTS // 2 - 1].max() == 0
    assert made.high[MOMENTS // 2 + 1 : 3 * MOMENTS // 4 - 1].min() > 0.7


def test_outlines_are_forgotten_oldest_first_and_asked_for_again():
    waves = Waves()
    one = outline(clip(1))
    for birth in range(KEPT + 5):
        waves.put(birth, one)
    assert waves.missing([0, 4, 5, KEPT]) == [0, 4]
    waves.put(0, None)
    assert waves.missing([0, 4]) == [4], "what cannot be heard is not asked for for ever"


# -- state ------------------------------------------------------------------------------------------------------


def test_only_a_run_of_this_window_takes_commands():
    board = Board()
    assert board.run_state.controls.start
    board.run_state.open(Opened("file", "night.db", "night"))
    board.apply(StateChanged("running"))
    can = board.run_state.controls
    allowed = {name for name, value in dataclasses.asdict(can).items() if value}
    assert allowed == set(), "another process is at it"
    board.apply(StateChanged("stopped"))
    assert board.run_state.controls.resume


@pytest.mark.parametrize(
    ("state", "wanted"),
    [
        ("loading", {"stop"}),
        ("running", {"pause", "stop", "judge"}),
        ("pausing", {"proceed", "stop", "judge"}),
        ("paused", {"proceed", "step", "stop", "judge"}),
        ("stopping", set()),
        ("done", {"resume"}),
        ("stopped", {"resume"}),
        ("failed", {"resume"}),
    ],
)
def test_every_state_allows_what_makes_sense_in_it(state, wanted):
    board = Board()
    board.run_state.open(Opened("own", "mine.db", "mine"))
    board.apply(StateChanged(state, "why"))
    allowed = {name for name, value in dataclasses.asdict(board.run_state.controls).items() if value}
    assert allowed == wanted
    assert board.run_state.reason == "why"


def test_durations_are_said_in_the_units_that_matter():
    assert [lasting(hours) for hours in (0, 0.01, 0.5, 8.27, -1)] == ["0 s", "36 s", "30 min", "8 h 16 min", "0 s"]


def test_the_log_says_failures_and_steps_and_forgets_the_oldest():
    board = board_after(400)
    texts = [line.text for line in board.log.lines]
    assert len(texts) <= 300
    assert any("failed: out of memory" in text for text in texts)
    assert board.log.last.text.startswith("done")
