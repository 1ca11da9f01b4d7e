"""The tree of births as a view model: what is shown, what is counted, where it is drawn and what is under the mouse."""

from __future__ import annotations

import random

import board_events
import pytest

from experiments.board.board import Board
from experiments.board.tree import ALL_SHOWN, ROOT, Tree
from experiments.board.tree_view import MOST_NODES, Bundle, Camera, Node, scene
from experiments.events import Event, Judged, Told


def board_of(events: list[Event]) -> Board:
    board = Board(clock=lambda: 0.0)
    for event in events:
        board.apply(event)
    return board


@pytest.fixture(scope="module")
def run() -> list[Event]:
    return list(board_events.synthetic_run(400, 1))


@pytest.fixture(scope="module")
def long_run() -> list[Event]:
    return list(board_events.synthetic_run(5_000, 2))


def check(tree: Tree) -> None:
    """What holds of every tree at every moment."""
    for birth, (generation, slot) in tree.places.items():
        parent = tree.first_parent(birth)
        assert parent is None or parent in tree.places
        assert (slot, birth) in tree.column(generation)
    shown = set(tree.places)
    hidden = [birth for birth in tree.births if birth not in shown and not tree.births[birth].control]
    assert sum(tree.bundles[birth] for birth in (*shown, ROOT)) == len(hidden)
    assert min(tree.bundles[birth] for birth in (*shown, ROOT)) >= 0
    assert len(set(tree.places.values())) == len(tree.places)


def test_a_small_tree_shows_everybody_but_the_control_arm(run):
    tree = board_of(run).tree
    assert len(tree.places) == 320
    assert tree.controls == 80
    assert not tree.crowded
    check(tree)


@pytest.mark.parametrize("map_elites", [False, True])
def test_whatever_people_do_nothing_is_lost_from_the_tree(map_elites):
    rng = random.Random(5)
    board = Board(clock=lambda: 0.0)
    for index, event in enumerate(board_events.synthetic_run(1_600, 5, map_elites=map_elites)):
        board.apply(event)
        if index % 41 == 7:
            board.tree.look_at(rng.choice([None, rng.randint(1, max(len(board.births), 1))]))
        if index % 29 == 3 and board.tree.places:
            board.tree.open_bundle(rng.choice(list(board.tree.places)))
        if index % 23 == 0:
            check(board.tree)
    check(board.tree)


def test_a_crowded_tree_shows_the_lines_of_the_living_and_counts_the_rest(long_run):
    board = board_of(long_run)
    tree = board.tree
    assert tree.crowded
    for birth in board.births.population:
        line = tree.primary_line(birth)
        assert set(line) <= set(tree.places)
    assert len(tree.places) < 700
    assert sum(tree.bundles) > 0
    check(tree)


def test_a_birth_costs_the_tree_the_same_late_as_early(long_run):
    placed, shown = [], []

    class Counting(Tree):
        def _place(self, birth: int) -> None:
            placed[-1] += 1
            super()._place(birth)

    board = Board(clock=lambda: 0.0)
    tree = Counting(board.births)
    for event in long_run:
        board.births.apply(event)
        placed.append(0)
        tree.apply(event)
        shown.append(len(tree.places))
    births = sum(isinstance(event, Told) for event in long_run)
    assert sum(placed) < 2.5 * births
    assert sum(placed[-len(placed) // 4 :]) < 1.5 * births / 4 + 700
    assert max(shown[len(shown) // 2 :]) < 2 * ALL_SHOWN


def test_looking_at_a_birth_shows_all_its_ancestors(long_run):
    board = board_of(long_run)
    tree = board.tree
    hidden = next(birth for birth in board.births if birth not in tree.places and board.births[birth].parents)
    count = len(tree.places)
    tree.look_at(hidden)
    waiting, ancestors = [hidden], {hidden}
    while waiting:
        for parent in board.births[waiting.pop()].parents:
            if parent.birth not in ancestors:
                ancestors.add(parent.birth)
                waiting.append(parent.birth)
    assert tree.ancestry == ancestors
    assert ancestors <= set(tree.places)
    tree.look_at(None)
    assert len(tree.places) == count
    check(tree)


def test_an_opened_bundle_shows_children_and_closes_again(long_run):
    board = board_of(long_run)
    tree = board.tree
    birth = max(tree.places, key=lambda one: tree.bundles[one])
    before = dict(tree.places)
    tree.open_bundle(birth)
    assert set(tree.opened[birth]) <= set(tree.places)
    check(tree)
    tree.open_bundle(birth)
    assert tree.places == before


def test_what_people_like_stays_in_sight(long_run):
    board = board_of(long_run)
    hidden = next(birth for birth in board.births if birth not in board.tree.places and not board.births[birth].control)
    board.apply(Judged(1, "rating", hidden, value=1.0))
    assert hidden in board.tree.places
    board.apply(Judged(1, "rating", hidden, value=1.0, withdrawn=True))
    assert hidden not in board.tree.places
    check(board.tree)


def test_what_is_drawn_is_found_under_the_mouse(run):
    tree = board_of(run).tree
    camera = Camera().fitted(tree, 900, 300)
    drawn = scene(tree, camera, 900, 300)
    assert len(drawn.nodes) == 320
    for node in drawn.nodes[::7]:
        found = drawn.under(node.x, node.y)
        assert isinstance(found, Node)
        assert (found.x - node.x) ** 2 + (found.y - node.y) ** 2 < 1
    assert drawn.under(-500, -500) is None


def test_zooming_keeps_what_is_under_the_mouse(run):
    tree = board_of(run).tree
    camera = Camera().fitted(tree, 900, 300)
    birth = next(iter(tree.places))
    x, y = camera.pixel(tree.places[birth])
    nearer = camera.zoomed(1.7, x, y).panned(5, -3)
    assert nearer.pixel(tree.places[birth]) == pytest.approx((x + 5, y - 3))
    assert not nearer.follows
    far = camera
    for _ in range(60):
        far = far.zoomed(0.5, 100, 100)
    assert len(scene(tree, far, 900, 300).nodes) <= MOST_NODES


def test_a_window_draws_only_what_it_can_show(long_run):
    board = board_of(long_run)
    camera = Camera().fitted(board.tree, 900, 300)
    drawn = scene(board.tree, camera, 900, 300)
    assert 0 < len(drawn.nodes) <= MOST_NODES
    assert all(-60 <= node.x <= 960 for node in drawn.nodes)
    assert max(node.x for node in drawn.nodes) > 700  # the latest generations
    bundle = next(one for one in drawn.bundles if one.count)
    assert isinstance(drawn.under(bundle.x, bundle.y + 100), Node | Bundle | None)


def test_of_a_tree_that_is_too_long_to_fit_the_latest_generations_are_seen(long_run):
    tree = board_of(long_run).tree
    assert tree.generations * 5 > 300, "generations are narrower than they may be"
    camera = Camera().fitted(tree, 300, 60)
    drawn = scene(tree, camera, 300, 60)
    latest = [birth for generation in range(tree.generations - 20, tree.generations + 1)
              for _, birth in tree.column(generation)]  # fmt: skip
    assert {node.birth for node in drawn.nodes} >= set(latest)
