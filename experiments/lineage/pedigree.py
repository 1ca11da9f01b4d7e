"""Parents in memory: births never change theirs, so whole blocks of a run are read once and kept.

A walk over half a million births then takes a fraction of a second, where queries would take several.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from experiments.lineage.rows import MAX_BIRTH, row_id

_BLOCK = 8_192  # births
_KEPT = 1_024  # blocks, of about 100 KB each


class Pedigree:
    """Child and parent, of all births of a block.

    Args:
        query: Gives all rows of a SELECT.
    """

    def __init__(self, query: Callable[[str, Sequence[Any]], list[tuple[Any, ...]]]) -> None:
        self._query = query
        # By run and block: the last birth there was, children, latest first, and beside each of them a parent.
        self._blocks: dict[tuple[int, int], tuple[int, array[int], array[int]]] = {}

    def back_from(self, run_id: int, birth: int, last_birth: int) -> Iterator[tuple[int, Iterator[tuple[int, int]]]]:
        """Every birth down from this one, block by block, latest first.

        Args:
            run_id: The run.
            birth: Where to begin; a few later ones may come before it.
            last_birth: Births that the run has by now.

        Yields:
            The first birth of a block; pairs of a birth of it and one of its parents, latest births first.
        """
        for number in range(birth // _BLOCK, -1, -1):
            yield number * _BLOCK, zip(*self._block(run_id, number, last_birth), strict=True)

    def forget(self) -> None:
        """Drops all blocks."""
        self._blocks.clear()

    def _block(self, run_id: int, number: int, last_birth: int) -> tuple[array[int], array[int]]:
        key, end = (run_id, number), min((number + 1) * _BLOCK - 1, last_birth)
        if key not in self._blocks or self._blocks[key][0] < end:
            # Both numbers in one, which Python takes over in two thirds of the time.
            found = self._query(
                f"SELECT (child << 32) | (parent & {MAX_BIRTH}) FROM parents WHERE child BETWEEN ? AND ? "
                "ORDER BY child DESC",
                (row_id(run_id, number * _BLOCK), row_id(run_id, end)),
            )
            both = np.fromiter((code for (code,) in found), np.int64, len(found)).view(np.uint64)
            children, parents = (
                array("I", part.astype(np.uint32).tobytes()) for part in (both >> 32, both & MAX_BIRTH)
            )
            if len(self._blocks) >= _KEPT:
                self._blocks.clear()
            self._blocks[key] = (end, children, parents)
        return self._blocks[key][1:]
