"""Who came from whom: ancestors, descendants, common ancestor, primary line.

A birth with two parents has up to 2^n ancestors n generations back, but never more than were born before it. Every
walk here visits an ancestor once (``UNION``, or a set): with ``UNION ALL`` the same query would not end.
"""

from __future__ import annotations

from experiments.lineage.errors import LineageError
from experiments.lineage.reading import LineageReader
from experiments.lineage.rows import birth_of, row_id


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
        for birth in births:
            _known(lineage, run_id, birth)
        # Parents are born before their children, so going back over all births from the latest one meets each after
        # all its descendants.
        bits = {birth: 1 << place for place, birth in enumerate(set(births))}
        everyone = (1 << len(bits)) - 1
        latest, last = max(births), lineage.last_birth(run_id)
        lines = [0] * (latest + 1)  # which of the births come from this one
        for birth, bit in bits.items():
            lines[birth] = bit
        found = latest if len(bits) == 1 else 0
        for first, pairs in lineage.pedigree.back_from(run_id, latest, last):
            for child, parent in pairs:
                if child <= found:  # all that could follow are earlier
                    return found
                if child <= latest and (line := lines[child]):
                    lines[parent] = line = line | lines[parent]
                    if line == everyone and parent > found:
                        found = parent
            if not found and any(birth >= first and _is_over(lines, bit, first) for birth, bit in bits.items()):
                return None
    return found or None


def _is_over(lines: list[int], bit: int, first: int) -> bool:
    """Whether a line has no birth before the first of a block; looks near it first, where lines that go on have one."""
    return not any(lines[birth] & bit for birth in range(min(first, len(lines)) - 1, 0, -1))


def _known(lineage: LineageReader, run_id: int, birth: int) -> int:
    row = row_id(run_id, birth)
    if not lineage.query("SELECT 1 FROM births WHERE id = ?", (row,)):
        raise LineageError(f"run {run_id} of {lineage.path} has no birth {birth}", "missing")
    return row
