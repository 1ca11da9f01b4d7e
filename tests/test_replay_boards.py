"""The board of any moment, made again from the lineage, is the board that was live then, whatever people did since."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from board_events import synthetic_run
from board_recorded import Recorder
from runner_builders import config, in_process

from evolution.interventions import Pin, Unpin
from experiments.board.board import Board
from experiments.events import (
    Committed,
    Event,
    Intervene,
    Intervened,
    Judged,
    JudgePair,
    Rate,
    Rescored,
    TakeBack,
    Taught,
    Told,
)
from experiments.lineage import Lineage, LineageError
from experiments.replay import boards as boards_module
from experiments.replay.boards import Boards
from experiments.replay.player import Recording
from experiments.runner import Runner
from fusion.preference.learner import Learned


def lesson(answers: int) -> Taught:
    return Taught(Learned("composite", "few answers", answers, answers, None, 0, (), {}, None), None)  # type: ignore[arg-type]


def judged_run(births: int, seed: int = 3) -> Iterator[Event]:
    """A run in which people like, take back, compare, pin, and teach; totals change by it."""
    number, told, rated = 999, [], 0
    for event in synthetic_run(births, seed, judgements=False):
        yield event
        if isinstance(event, Told) and event.total is not None:
            told.append(event.candidate.birth)
        if isinstance(event, Committed) and len(told) > 8:
            number += 1
            match number % 5:
                case 0:
                    rated = told[-1]
                    yield Judged(number, "rating", rated, value=1.0)
                    yield lesson(number - 999)
                case 1:
                    yield Judged(number, "better", told[-1], told[-2])
                    yield Rescored({birth: 0.1 + (birth * number) % 70 / 100 for birth in event.population})
                case 2:
                    yield Judged(number - 2, "rating", rated, value=1.0, withdrawn=True)
                case 3:
                    yield Intervened(number, Pin(told[-3]))
                case 4:
                    yield Intervened(number, Unpin(told[-4]))


def seen(board: Board) -> dict[str, object]:
    """Everything that panels show of a moment. Of a copy, because looking at a map fits its axes."""
    board = Board.taken_up(board.laid_by())
    births, tree = board.births, board.tree
    latest = births.latest
    facts = {
        number: (one.prompt, one.voice, one.settings, one.parents, one.operator, one.generation, one.island, one.seed,
                 one.status, one.total, one.became, one.rating, one.rated_by, one.pinned, one.reason, one.content_lock,
                 round(one.seconds, 5))
        for number, one in births.items()
    }  # fmt: skip
    names = ("best", "median", "step best", "diversity", "coverage")
    curves = [*map(board.curves.curve, names), *board.curves.arms(), board.curves.control()]
    found: dict[str, object] = {
        "births": facts,
        "living": (births.population, births.living, births.best, births.objectives, births.weights, births.told),
        "cards": (board.cards.places, board.cards.matches),
        "curves": [(one.name, one.births.tolist(), one.values.tolist()) for one in curves],
        "contest": (board.curves.contest(), board.curves.rescored),
        "credits": [[round(one, 9) if isinstance(one, float) else one for one in dataclasses.astuple(credit)]
                    for credit in board.curves.credits()],
        "tree": (tree.places, [tree.bundles[one] for one in (0, *tree.places)], tree.generations, tree.controls,
                 tree.slots(), tree.pinned),
        "measures": (board.measures.names, np.nan_to_num(board.measures.column("f0_median_hz"), nan=-1).tolist(),
                     np.round(board.measures.deviations(), 9).tolist(), len(board.measures)),
        "taught": (board.compare.answers, board.compare.learned),
        "told": board.run_state.told,
        "config": board.run_state.name,
    }  # fmt: skip
    if latest is not None:
        found["detail"] = (board.detail.bars(latest), board.detail.primary_line(latest))
        atlas = board.voice_map.atlas("f0_median_hz", "centroid_hz")
        found["map"] = None if atlas is None else (atlas.x, atlas.y, dict(atlas.cells), atlas.shades.tolist())
    return found


class Shown:
    """A run that goes on before somebody's eyes and into a file."""

    def __init__(self, path: Path, events: Iterable[Event], look_at: Iterable[int] = ()) -> None:
        self.lineage = Lineage.write(path)
        self.recorder = Recorder(self.lineage)
        self.present = Board(clock=lambda: 0.0)
        self.boards = Boards(lambda: Recording(Lineage.view(path), self.recorder.run_id, pages=4))
        self.then: dict[int, dict[str, object]] = {}
        look_at = set(look_at)
        with self.lineage.transaction("writing a run"):
            for event in self.recorder.all(events):
                if isinstance(event, Told) and self.present.births.told in look_at:
                    self.then[self.present.births.told] = seen(self.present)
                self.boards.watch(event, self.present)
                self.present.apply(event)


PLACES = (1, 7, 8, 30, 63, 64, 65, 100, 150, 199, 255, 256, 290)


@pytest.fixture(scope="module")
def shown(tmp_path_factory) -> Iterator[Shown]:
    made = Shown(tmp_path_factory.mktemp("boards") / "run.db", judged_run(296), PLACES)
    yield made
    made.lineage.close()


def same(board: Board, then: dict[str, object]) -> None:
    now = seen(board)
    for part, facts in then.items():
        assert now[part] == facts, part


def test_the_board_of_a_moment_is_the_board_that_was_live_then_also_when_people_judged_since(shown):
    for place in (256, 1, 290, 65, 30, 7, 199, 8, 100, 64, 63, 150, 255):
        board = shown.boards.at(place, shown.present)
        board.run_state.of_present(shown.present.run_state)
        same(board, shown.then[place])
    assert shown.present.births.told == 296, "the present stays where it is"


def test_going_on_birth_by_birth_is_going_there_at_once_and_applies_only_what_is_new(shown, monkeypatch):
    board = shown.boards.at(63, shown.present)
    applied: list[Event] = []
    monkeypatch.setattr(board, "apply", lambda event: (applied.append(event), Board.apply(board, event)))
    for place in (64, 65):
        again = shown.boards.at(place, board)
        if again is board:
            same(board, shown.then[place])
    assert sum(isinstance(event, Told) for event in applied) <= 2
    for place in range(66, 101):
        board = shown.boards.at(place, board)
    same(board, shown.then[100])


def test_the_last_moment_is_the_present(shown):
    board = shown.boards.at(296, shown.present)
    board.run_state.of_present(shown.present.run_state)
    same(board, seen(shown.present))


def test_going_back_says_nothing_new_and_keeps_what_was_chosen(shown):
    shown.present.cards.show("best", count=24)
    shown.present.selection.select(7)
    lines = len(shown.present.log.lines)
    again = shown.boards.at(20, shown.present)
    assert len(again.log.lines) == lines
    assert (again.cards.filter, again.cards.count, again.selection.birth) == ("best", 24, 7)
    assert again.cards.shown() == again.cards.matching()[:24]
    assert again.waves is shown.present.waves, "a birth sounds the same at any moment"
    shown.present.cards.show("newest", count=12)
    shown.present.selection.select(None)


def test_boards_that_are_laid_by_stay_few_and_small_however_long_the_run_is(tmp_path, monkeypatch):
    monkeypatch.setattr(boards_module, "MOST", 8)
    monkeypatch.setattr(boards_module, "_CLOSEST", 8)
    shown = Shown(tmp_path / "run.db", synthetic_run(1_000, 5), [333])
    assert 4 <= len(shown.boards._stops) <= 8
    assert max(len(stop.board.moment) for stop in shown.boards._stops.values()) < 20_000
    board = shown.boards.at(333, shown.present)
    board.run_state.of_present(shown.present.run_state)
    same(board, shown.then[333])
    shown.lineage.close()


def test_a_run_that_cannot_be_read_is_said_and_read_when_it_can_be(shown, tmp_path):
    there = shown.boards._record

    def gone() -> Recording:
        raise LineageError("the file is gone", "missing")

    boards = Boards(gone)
    boards._stops = shown.boards._stops
    with pytest.raises(LineageError, match="gone"):
        boards.at(8, shown.present)
    boards._record = there
    assert boards.at(8, shown.present).births.told == 8


def test_what_a_real_runner_tells_and_what_it_records_give_the_same_boards(tmp_path):
    path, places = tmp_path / "run.db", (1, 12, 31, 32, 64, 65, 90, 119)
    present, then = Board(clock=lambda: 0.0), {}
    past = Boards(lambda: Recording(Lineage.view(path), 1, pages=4))

    def tell(event: Event) -> None:
        if isinstance(event, Told) and present.births.told in places:
            then[present.births.told] = seen(present)
        past.watch(event, present)
        present.apply(event)
        if isinstance(event, Committed) and len(present.births.population) > 1:
            one, other = present.births.population[:2]
            step = present.births.told // 4 % 4
            runner.send((Rate(one, 1.0), JudgePair(one, other), TakeBack(), Intervene(Pin(other)))[step])

    runner = Runner.begin(path, config(stop={"evaluations": 120}), tell, make_executor=in_process)
    assert runner.run() == "done", runner.reason
    assert set(then) == set(places)
    assert present.compare.answers > 1
    for place in (64, 1, 119, 12, 90, 32, 65, 31):
        board = past.at(place, present)
        board.run_state.of_present(present.run_state)
        same(board, then[place])
