"""Maps whose axes are categories: a cell for each value, named, the archive of runs that evolve such a map."""

from __future__ import annotations

import dataclasses
from collections import Counter
from types import SimpleNamespace

import board_events
import numpy as np
import pytest

from experiments.board.board import Board
from experiments.board.map_axes import MOST_VALUES, OF_BIRTHS, OTHERS, CategoryColumn
from experiments.categories import CATEGORIES, script_of_most, tag_of
from experiments.config.run_config import Axis
from experiments.events import Begun


def board_of(events) -> Board:
    board = Board(clock=lambda: 0.0)
    for event in events:
        board.apply(event)
    return board


@pytest.fixture(scope="module")
def events():
    return list(board_events.synthetic_run(400, 5))


def evolving(events, axes):
    """The same births, as of a run that evolves a map over other axes."""
    for event in events:
        if isinstance(event, Begun):
            config = {**event.config, "algorithm": {"kind": "map-elites", "axes": axes}}
            event = dataclasses.replace(event, config=config)
        yield event


def on_maps(board):
    return [one for one in board.births.values() if one.status == "ok" and not one.control]


def test_every_category_of_a_recipe_can_be_drawn():
    assert set(CATEGORIES) <= set(OF_BIRTHS)
    for name in CATEGORIES:
        Axis(category=name)  # a recipe takes it


def test_a_map_of_categories_has_the_best_of_every_pair_of_values(events):
    board = board_of(events)
    atlas = board.voice_map.atlas("operator", "script")
    best = {}
    for one in on_maps(board):
        key = (one.operator.replace("_", " "), script_of_most(one.prompt))
        if key not in best or one.total > best[key].total:
            best[key] = one
    drawn = {(atlas.x.labels[c], atlas.y.labels[r]): cell.elite for (c, r), cell in atlas.cells.items()}
    assert drawn == {key: one.number for key, one in best.items()}
    assert "control" not in atlas.x.labels, "the control arm is on no map, so it has no cell"
    assert atlas.shades.shape == (atlas.y.cells, atlas.x.cells)
    counts = Counter((one.operator.replace("_", " "), script_of_most(one.prompt)) for one in on_maps(board))
    assert {(atlas.x.labels[c], atlas.y.labels[r]): cell.births for (c, r), cell in atlas.cells.items()} == counts


def test_a_category_beside_a_measure_is_found_under_the_mouse(events):
    atlas = board_of(events).voice_map.atlas("f0_median_hz", "tag")
    for (column, row), cell in atlas.cells.items():
        assert atlas.at(sum(atlas.x.span(column)) / 2, row + 0.5) == cell
    assert atlas.y.labels[atlas.y.place(0.5)] == atlas.y.labels[0]
    assert atlas.at(atlas.x.low, atlas.y.high + 0.1) is None


def test_the_own_axes_of_a_run_may_be_categories(events):
    axes = [
        {"measure": "f0_median_hz", "low": 80.0, "high": 320.0, "cells": 12, "category": ""},
        {"measure": "", "low": 0.0, "high": 1.0, "cells": 10, "category": "tag"},
    ]
    board = board_of(evolving(events, axes))
    assert board.voice_map.own_axes == ("f0_median_hz", "tag")
    assert board.voice_map.default_axes() == ("f0_median_hz", "tag")
    atlas = board.voice_map.atlas("f0_median_hz", "tag")
    assert set(atlas.y.labels) == {tag_of(one.prompt) for one in on_maps(board)}
    assert board.voice_map.coverage() == pytest.approx(atlas.covered)


def test_one_category_alone_is_drawn_beside_a_measure(events):
    board = board_of(evolving(events, [{"category": "script"}]))
    assert board.voice_map.default_axes() == ("script", "f0_median_hz")


def test_names_offer_categories_that_divide_the_births(events):
    names = board_of(events).voice_map.names()
    assert {"operator", "script", "tag"} <= set(names)
    assert "island" not in names, "there is one island only"


def test_categories_are_met_as_births_are_told_whenever_somebody_looks(events):
    looking, late = Board(clock=lambda: 0.0), board_of(events)
    for event in events:
        looking.apply(event)
        looking.voice_map.atlas("operator", "script")
    one, other = (board.voice_map.atlas("operator", "script") for board in (looking, late))
    assert one.x == other.x
    assert np.array_equal(one.shades, other.shades)


def test_the_rarer_of_too_many_values_share_a_cell():
    column = CategoryColumn("operator")
    for number in range(200):
        column.add(SimpleNamespace(operator=f"operator {number}"))
    column.add(None)
    assert column.axis.cells == MOST_VALUES + 1
    assert column.axis.labels[-1] == OTHERS
    assert column.places[-2:].tolist() == [MOST_VALUES, -1]
    assert len(column) == 201


def test_a_recipe_with_a_category_that_nobody_knows_has_no_such_axis(events):
    board = board_of(evolving(events, [{"category": "shoe size"}, "nonsense", {"measure": 3}]))
    assert board.voice_map.own_axes == ()
