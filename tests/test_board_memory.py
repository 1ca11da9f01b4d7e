"""A night of births fits into the window: what is kept of each is a few hundred bytes, whoever holds it."""

from __future__ import annotations

import gc
import io
import pickle
import tracemalloc

import pytest
from board_events import pack, synthetic_run

from experiments.board import log, scores, waves
from experiments.board.board import Board
from experiments.events import Rescored, Told
from experiments.replay import boards
from experiments.replay.boards import Boards

MOST_BYTES = 500  # of a birth with ten measures and a prompt that is often its own


@pytest.fixture(scope="module")
def packed() -> list[bytes]:
    """Events as bytes, so that nobody but the board holds an object of theirs; one birth in twelve has a clip."""
    found = []
    for event in synthetic_run(3_000, 7, clip_share=1 / 12):
        out = io.BytesIO()
        pack(event, out)
        found.append(out.getvalue())
    return found


def test_a_birth_leaves_a_few_hundred_bytes_and_heavy_things_stay_few(packed, monkeypatch):
    for module, name in ((scores, "KEPT"), (waves, "KEPT"), (boards, "MOST"), (log, "KEPT")):
        monkeypatch.setattr(module, name, 16)  # full before counting begins: what is left grows with births
    board = Board(clock=lambda: 0.0)
    past = Boards(lambda: None)  # type: ignore[arg-type, return-value]
    held: dict[int, int] = {}
    tracemalloc.start()
    try:
        for one in packed:
            event = pickle.loads(one)
            past.watch(event, board)
            board.apply(event)
            told = board.births.told if isinstance(event, Told) else 0
            del event
            if told in (1_000, 3_000):
                gc.collect()
                held[told] = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    each = (held[3_000] - held[1_000]) / 2_000
    assert each < MOST_BYTES, f"{each:.0f} bytes a birth"
    assert len(board.scores._known) == len(board.waves._known) == 16
    assert len(past._stops) <= 16
    latest = board.births[3_000]
    assert latest.score is not None, "of the newest everything is at hand"
    assert board.births[1].score is None
    assert board.births[1].prompt
    assert board.scores.missing([1, 3_000]) == [1]


def test_what_is_inherited_is_the_parents_own_object(packed):
    board = Board(clock=lambda: 0.0)
    for one in packed[:800]:
        board.apply(pickle.loads(one))
    births = board.births
    heirs = [one for one in births.values() if one.parents and one.prompt == births[one.parents[0].birth].prompt]
    assert len(heirs) > 50
    assert all(one.prompt is births[one.parents[0].birth].prompt for one in heirs)
    assert len({id(one.settings) for one in births.values()}) < len(births) / 2


def test_the_newest_births_cost_no_look_at_all_that_were_scored_anew(packed, monkeypatch):
    board = Board(clock=lambda: 0.0)
    for one in packed[:1_200]:
        board.apply(pickle.loads(one))
    births = board.births
    anew = {birth: birth / 10_000 for birth, facts in births.items() if facts.total is not None}
    board.apply(Rescored(anew))
    whole = births.totals()
    looks: list[int] = []
    place = births.register.place
    monkeypatch.setattr(births.register, "place", lambda number: looks.append(number) or place(number))
    assert births.totals(births.told - 8).tolist() == pytest.approx(whole[-8:].tolist(), nan_ok=True)
    assert len(looks) <= 8 < len(anew)
    assert [births.total(birth) for birth in anew] == list(anew.values())
    told = births.numbers().tolist()
    assert [whole[told.index(birth)] for birth in anew] == list(anew.values())
