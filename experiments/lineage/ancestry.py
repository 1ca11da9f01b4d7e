"""Who came from whom: ancestors, descendants, common ancestor, primary line.

A birth with two parents has up to 2^n ancestors n generations back, but never more than were born before it. Every
walk here visits an ancestor once (``UNION``, or a set): with ``UNION ALL`` the same query would not end.
"""

from __future__ import annotations

import heapq

from experiments.lineage.errors import LineageError
from experiments.lineage.reading import LineageReader
from experiments.lineage.rows import birth_of, row_id

_PIECE = 500  # ids per query


def ancestors(lineage: LineageReader, run_id: int, birth: int, *, limit: int | None = None) -> list[int]:
    """All whom a birth comes from, by any parent, latest first.

    Args:
        lineage: The file.
        run_id: The run.
        birth: Whose.
        limit: At most so many of the latest.

    Raises:
        LineageError: ``missing`` when there is no such birth.
    """
    with lineage.turn("looking for ancestors"):
        start = _known(lineage, run_id, birth)
        # The queue is ordered, so that a limit gives the latest without walking the rest.
        found = lineage.query(
            "WITH RECURSIVE line (id) AS (SELECT parent FROM parents WHERE child = ? "
            "UNION SELECT parent FROM line JOIN parents ON child = line.id ORDER BY 1 DESC) "
            "SELECT id FROM line LIMIT ?",
            (start, -1 if limit is None else limit),
        )
    return [birth_of(row) for (row,) in found]


def descendants(lineage: LineageReader, run_id: int, birth: int, *, limit: int | None = None) -> list[int]:
    """All who come from a birth, by any parent, earliest first.

    Raises:
        LineageError: ``missing`` when there is no such birth.
    """
    with lineage.turn("looking for descendants"):
        start = _known(lineage, run_id, birth)
        found = lineage.query(
            "WITH RECURSIVE line (id) AS (SELECT child FROM parents WHERE parent = ? "
            "UNION SELECT child FROM line JOIN parents ON parent = line.id ORDER BY 1) "
            "SELECT id FROM line LIMIT ?",
            (start, -1 if limit is None else limit),
        )
    return [birth_of(row) for (row,) in found]


def children(lineage: LineageReader, run_id: int, birth: int) -> list[int]:
    """Births that have this one as a parent, earliest first.

    Raises:
        LineageError: ``missing`` when there is no such birth.
    """
    with lineage.turn("looking for children"):
        found = lineage.query(
            "SELECT DISTINCT child FROM parents WHERE parent = ? ORDER BY child", (_known(lineage, run_id, birth),)
        )
    return [birth_of(row) for (row,) in found]


def primary_line(lineage: LineageReader, run_id: int, birth: int) -> list[int]:
    """The birth, the parent that most of it comes from, that one's, and so on to a founder or immigrant.

    Raises:
        LineageError: ``missing`` when there is no such birth.
    """
    with lineage.turn("following the primary line"):
        start = _known(lineage, run_id, birth)
        found = lineage.query(
            "WITH RECURSIVE line (id) AS (VALUES (?) "
            "UNION SELECT parent FROM line JOIN parents ON child = line.id AND role = 'first') "
            "SELECT id FROM line ORDER BY id DESC",
            (start,),
        )
    return [birth_of(row) for (row,) in found]


def common_ancestor(lineage: LineageReader, run_id: int, births: list[int]) -> int | None:
    """The latest birth that all of these come from; a birth counts among its own.

    Returns:
        None when they have none in common.

    Raises:
        LineageError: ``missing`` when a birth is not there; ``invalid`` when none is given.
    """
    if not births:
        raise LineageError("the common ancestor of no births was asked for; give one or more", "invalid")
    with lineage.turn("looking for the common ancestor"):
        # Parents are born before their children, so going back from the latest of all lines together meets every
        # birth once, after all its descendants: the first that every line has reached is the answer.
        reached = {_known(lineage, run_id, birth): 0 for birth in births}
        everyone = (1 << len(reached)) - 1
        for bit, row in enumerate(reached):
            reached[row] = 1 << bit
        queue = [-row for row in reached]
        heapq.heapify(queue)
        parents: dict[int, list[int]] = {}
        while queue:
            row = -heapq.heappop(queue)
            if reached[row] == everyone:
                return birth_of(row)
            if row not in parents:
                parents.update(_parents(lineage, [row, *(-other for other in queue[: _PIECE - 1])]))
            for parent in parents.pop(row):
                if parent not in reached:
                    reached[parent] = 0
                    heapq.heappush(queue, -parent)
                reached[parent] |= reached[row]
            del reached[row]
    return None


def _parents(lineage: LineageReader, children: list[int]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {child: [] for child in children}
    marks = ",".join("?" * len(children))
    for child, parent in lineage.query(f"SELECT child, parent FROM parents WHERE child IN ({marks})", children):
        found[child].append(parent)
    return found


def _known(lineage: LineageReader, run_id: int, birth: int) -> int:
    row = row_id(run_id, birth)
    if not lineage.query("SELECT 1 FROM births WHERE id = ?", (row,)):
        raise LineageError(f"run {run_id} of {lineage.path} has no birth {birth}", "missing")
    return row
