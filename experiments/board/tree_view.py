"""The tree as it is seen through a window: pan, zoom, what is drawn where, and what is under the mouse.

Everything is in pixels of a drawing that is as large as its window, never as large as the tree. The camera is the
panel's and outlives the board that replay swaps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from experiments.board.births import Status
from experiments.board.tree import ROOT, Tree

MOST_NODES = 900  # drawn at once; beyond it only every n-th generation
_LEAST_X, _MOST_X = 2.0, 160.0  # pixels of a generation
_LEAST_Y, _MOST_Y = 2.0, 60.0  # pixels of a slot
_MARGIN = 22.0
_READABLE = 26.0  # pixels of a generation from which counts are written
_LEAST_COLUMNS_PX = 5.0  # narrower generations are not fitted in; the latest are shown instead


@dataclass(frozen=True)
class Camera:
    """Where the tree is seen from: pixel = position * scale + offset.

    Attributes:
        scale_x: Pixels of a generation.
        scale_y: Pixels of a slot.
        offset_x: Pixels.
        offset_y: Pixels.
        follows: Moves with the tree; no person has panned or zoomed since.
    """

    scale_x: float = 40.0
    scale_y: float = 20.0
    offset_x: float = _MARGIN
    offset_y: float = 100.0
    follows: bool = True

    def panned(self, dx: float, dy: float) -> Camera:
        """Moved by so many pixels."""
        return Camera(self.scale_x, self.scale_y, self.offset_x + dx, self.offset_y + dy, follows=False)

    def zoomed(self, factor: float, x: float, y: float) -> Camera:
        """Nearer by a factor, so that what is at a pixel stays there."""
        scale_x = min(max(self.scale_x * factor, _LEAST_X), _MOST_X)
        scale_y = min(max(self.scale_y * factor, _LEAST_Y), _MOST_Y)
        return Camera(
            scale_x,
            scale_y,
            x - (x - self.offset_x) * scale_x / self.scale_x,
            y - (y - self.offset_y) * scale_y / self.scale_y,
            follows=False,
        )

    def fitted(self, tree: Tree, width: float, height: float) -> Camera:
        """All that is shown, as large as fits; the latest generations when there are too many to tell apart."""
        generations = max(tree.generations, 1)
        inside_x, inside_y = max(width - 2 * _MARGIN, 1), max(height - 2.5 * _MARGIN, 1)
        scale_x = min(max(inside_x / generations, _LEAST_COLUMNS_PX), 70.0)
        low, high = tree.slots(max(generations - int(inside_x / scale_x), 0))
        scale_y = min(max(inside_y / max(high - low, 1), _LEAST_Y), 30.0)
        first = _MARGIN + min(0.0, inside_x - generations * scale_x)
        middle = _MARGIN * 1.5 + inside_y / 2 - (low + high) / 2 * scale_y
        return Camera(scale_x, scale_y, first, middle, follows=True)

    def centred(self, place: tuple[int, int], width: float, height: float) -> Camera:
        """A place in the middle."""
        generation, slot = place
        return Camera(
            self.scale_x, self.scale_y, width / 2 - generation * self.scale_x, height / 2 - slot * self.scale_y, False
        )

    def pixel(self, place: tuple[int, int]) -> tuple[float, float]:
        """Where a place is seen."""
        return place[0] * self.scale_x + self.offset_x, place[1] * self.scale_y + self.offset_y


@dataclass(frozen=True)
class Node:
    """One birth as it is drawn."""

    birth: int
    x: float
    y: float
    radius: float
    status: Status
    total: float | None
    living: bool
    best: bool
    marked: bool  # liked or pinned
    ancestor: bool  # of the one looked at, or that one itself
    looked_at: bool


@dataclass(frozen=True)
class Link:
    """From a parent to a child: ``first`` along a primary line, ``main`` along that of the birth looked at."""

    from_x: float
    from_y: float
    to_x: float
    to_y: float
    first: bool
    ancestor: bool
    main: bool


@dataclass(frozen=True)
class Bundle:
    """Births that are not shown, where they hang."""

    birth: int
    x: float
    y: float
    count: int
    opened: bool
    written: bool  # there is room for the number


@dataclass(frozen=True)
class Scene:
    """All that is drawn; links first, then bundles, then nodes.

    Attributes:
        links: Faint before highlighted.
        nodes: In the order of drawing.
        bundles: Where others hang.
        generations: (x, number) of the generations that are labelled.
        rootless: Births that hang nowhere and are not shown.
        every: Only every n-th generation is drawn, 1 for all.
    """

    links: Sequence[Link]
    nodes: Sequence[Node]
    bundles: Sequence[Bundle]
    generations: Sequence[tuple[float, int]]
    rootless: int
    every: int

    def under(self, x: float, y: float) -> Node | Bundle | None:
        """What is at a pixel: the nearest node in reach, else a bundle whose number can be read."""
        nearest, reach = None, math.inf
        for node in self.nodes:
            distance = math.hypot(node.x - x, node.y - y)
            if distance <= max(node.radius + 3, 7) and distance < reach:
                nearest, reach = node, distance
        if nearest is not None:
            return nearest
        written = (one for one in self.bundles if one.written)
        return next((one for one in written if abs(one.x - x) <= 14 and abs(one.y - y) <= 8), None)


def scene(tree: Tree, camera: Camera, width: float, height: float) -> Scene:
    """What is seen of the tree in a window of ``width`` x ``height`` pixels."""
    first = max(math.floor(-camera.offset_x / camera.scale_x) - 1, 0)
    last = min(math.ceil((width - camera.offset_x) / camera.scale_x) + 1, tree.generations)
    columns = [(generation, list(tree.column(generation))) for generation in range(first, last + 1)]
    count = sum(len(column) for _, column in columns)
    every = -(-count // MOST_NODES) if count else 1
    births = tree.births
    living, best = set(births.population), births.best
    radius = min(max(min(camera.scale_x / 5, camera.scale_y / 2.6), 1.6), 7.0)
    links: list[Link] = []
    nodes: list[Node] = []
    bundles: list[Bundle] = []
    for generation, column in columns:
        for slot, birth in column:
            if every > 1 and generation % every and birth not in living and birth != tree.looked_at:
                continue
            facts = births[birth]
            x, y = camera.pixel((generation, slot))
            ancestor = birth in tree.ancestry
            links += _links(tree, camera, birth, x, y, ancestor, every)
            if not -10 <= y <= height + 10:
                continue
            liked = facts.rating is not None and facts.rating > 0.5
            nodes.append(
                Node(
                    birth,
                    x,
                    y,
                    radius * (1.35 if birth in living or birth == tree.looked_at else 1.0),
                    facts.status,
                    facts.total,
                    birth in living,
                    birth == best,
                    liked or birth in tree.pinned,
                    ancestor,
                    birth == tree.looked_at,
                )
            )
            hidden = tree.bundles[birth]
            if hidden > 0 or birth in tree.opened:
                written = camera.scale_x >= _READABLE and camera.scale_y >= 12
                below = y + radius + (8 if written else 3)
                bundles.append(Bundle(birth, x, below, max(hidden, 0), birth in tree.opened, written))
    links = [link for link in links if _seen(link, width, height)]
    links.sort(key=lambda link: (link.main, link.ancestor, link.first))
    nodes.sort(key=lambda node: (node.looked_at, node.ancestor, node.living))
    step = next(one for one in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 10**9) if one * camera.scale_x >= 34)
    labels = [(camera.pixel((g, 0))[0], g) for g in range(-(-first // step) * step, last + 1, step)]
    return Scene(links, nodes, bundles, labels, tree.bundles[ROOT], every)


def _links(tree: Tree, camera: Camera, birth: int, x: float, y: float, ancestor: bool, every: int) -> list[Link]:
    made = []
    parent = tree.first_parent(birth)
    line = [] if parent is None else [parent]
    for _ in range(every - 1):  # to the next one that is drawn
        above = tree.first_parent(line[-1]) if line and tree.places[line[-1]][0] % every else None
        if above is None:
            break
        line.append(above)
    if line:
        both = ancestor and line[-1] in tree.ancestry
        main = birth in tree.main_line and line[-1] in tree.main_line
        made.append(Link(*camera.pixel(tree.places[line[-1]]), x, y, True, both, main))
    if every == 1:
        for other in tree.other_parents(birth):
            both = ancestor and other in tree.ancestry
            made.append(Link(*camera.pixel(tree.places[other]), x, y, False, both, False))
    return made


def _seen(link: Link, width: float, height: float) -> bool:
    return (
        max(link.from_x, link.to_x) >= 0
        and min(link.from_x, link.to_x) <= width
        and max(link.from_y, link.to_y) >= 0
        and min(link.from_y, link.to_y) <= height
    )
