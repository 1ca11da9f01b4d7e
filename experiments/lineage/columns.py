"""Births as columns: what charts and counts over a whole run are made from, a few numbers for each birth.

Pages and curves (`browse`) answer from sums that are kept; this reads every birth once, in pieces, without its genome:
100,000 births take about a second.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.lineage.errors import LineageError
from experiments.lineage.reading import LineageReader
from experiments.lineage.rows import MAX_BIRTH, birth_of, finite, row_id, terms_from

_PIECE = 5_000  # births per query
STATUSES = ("pending", "ok", "rejected", "failed")


@dataclass(frozen=True, eq=False)
class Columns:
    """All births of a run in birth order; N of them.

    Attributes:
        births: (N,) birth numbers, rising.
        generations: (N,).
        operators: (N,) indices into ``operator_names``.
        operator_names: In order of appearance.
        statuses: (N,) indices into `STATUSES`.
        totals: (N,) weighted totals; NaN where there is none.
        terms: By name, (N,) values in [0, 1]; NaN where there is none.
        measures: By name, (N,) in the measure's unit; NaN where there is none.
        told_at: (N,) seconds since 1970; NaN while pending.
    """

    births: NDArray[np.int64]
    generations: NDArray[np.int64]
    operators: NDArray[np.int64]
    operator_names: tuple[str, ...]
    statuses: NDArray[np.int8]
    totals: NDArray[np.float64]
    terms: Mapping[str, NDArray[np.float64]]
    measures: Mapping[str, NDArray[np.float64]]
    told_at: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.births)

    def is_status(self, status: str) -> NDArray[np.bool_]:
        """(N,) whether a birth came to this."""
        return np.asarray(self.statuses == STATUSES.index(status))

    def made_by(self, operator: str) -> NDArray[np.bool_]:
        """(N,) whether a birth was made by this operator, in any version."""
        if operator not in self.operator_names:
            return np.zeros(len(self), bool)
        return np.asarray(self.operators == self.operator_names.index(operator))


def columns(lineage: LineageReader, run_id: int, *, terms: Sequence[str] = (), measures: Sequence[str] = ()) -> Columns:
    """Reads a run.

    Args:
        lineage: The file.
        run_id: The run.
        terms: Names of terms to read besides the total.
        measures: Names of measures to read.

    Raises:
        LineageError: ``missing`` when there is no such run, ``damaged`` when a birth's numbers do not fit their layout.
    """
    lineage.run(run_id)
    operators: dict[int, int] = {}  # text to index
    places: dict[int, tuple[int | None, ...]] = {}  # layout to where the measures are
    pieces: list[tuple[NDArray[Any], ...]] = []
    after = 0
    while True:
        with lineage.turn("reading births"):
            found = lineage.query(
                "SELECT births.id, generation, operator_id, status, total, told_at, terms, layout_id, numbers "
                "FROM births LEFT JOIN evaluations ON birth_id = births.id AND replicate = 0 "
                "WHERE births.id BETWEEN ? AND ? ORDER BY births.id LIMIT ?",
                (row_id(run_id, after + 1), row_id(run_id, MAX_BIRTH), _PIECE),
            )
            if found:
                for layout in {row[7] for row in found} - places.keys() - {None}:
                    places[layout] = _places(lineage, layout, measures)
        if not found:
            break
        ids, generations, made_by, statuses, totals, told_at, term_texts, layouts, numbers = zip(*found, strict=True)
        after = birth_of(ids[-1])
        pieces.append(
            (
                np.array(ids, np.int64) - row_id(run_id, 0),
                np.array(generations, np.int64),
                np.array([operators.setdefault(one, len(operators)) for one in made_by], np.int64),
                np.array([STATUSES.index(status or "pending") for status in statuses], np.int8),
                np.array(totals, np.float64),
                np.array(told_at, np.float64),
                _term_values(term_texts, terms),
                _measure_values(lineage, layouts, numbers, places, len(measures)),
            )
        )
    with lineage.turn("reading operators"):
        names = [lineage.text(number) for number in operators]
    if pieces:
        births, generation, operator, status, total, told, term, measure = (
            np.concatenate(column) for column in zip(*pieces, strict=True)
        )
    else:
        births = generation = operator = np.zeros(0, np.int64)
        status, total, told = np.zeros(0, np.int8), np.zeros(0), np.zeros(0)
        term, measure = np.zeros((0, len(terms))), np.zeros((0, len(measures)))
    named = {"total": total, "the time of its result": told}
    named |= {f"term {name}": term[:, index] for index, name in enumerate(terms)}
    named |= {name: measure[:, index] for index, name in enumerate(measures)}
    for what, values in named.items():
        if np.isinf(values).any():
            at = int(np.flatnonzero(np.isinf(values))[0])
            finite(float(values[at]), f"{lineage.path}: birth {births[at]}: {what}")
    return Columns(
        births,
        generation,
        operator,
        tuple(names),
        status,
        total,
        {name: term[:, index] for index, name in enumerate(terms)},
        {name: measure[:, index] for index, name in enumerate(measures)},
        told,
    )


def prompts(lineage: LineageReader, run_id: int) -> list[str]:
    """The prompt of every birth, in birth order; equal ones are one string."""
    found: list[str] = []
    while True:
        with lineage.turn("reading prompts"):
            piece = lineage.query(
                "SELECT prompt_id FROM births WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ?",
                (row_id(run_id, len(found) + 1), row_id(run_id, MAX_BIRTH), _PIECE),
            )
            found += [lineage.text(prompt) for (prompt,) in piece]
        if len(piece) < _PIECE:
            return found


def _term_values(texts: Sequence[str | None], names: Sequence[str]) -> NDArray[np.float64]:
    values = np.full((len(texts), len(names)), np.nan)
    if names:
        for row, text in enumerate(texts):
            known = terms_from(text)
            values[row] = [known.get(name, np.nan) for name in names]
    return values


def _places(lineage: LineageReader, layout_id: int, names: Sequence[str]) -> tuple[int | None, ...]:
    """Where the measures are in a blob of this layout: after the measures of the terms."""
    try:
        layout = json.loads(lineage.text(layout_id))
        before = sum(bool(measured) for _, _, _, measured in layout["terms"])
        at = {name: before + index for index, name in enumerate(layout["measures"])}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise LineageError(f"{lineage.path}: a score's layout cannot be read: {error}", "damaged") from error
    return tuple(at.get(name) for name in names)


def _measure_values(
    lineage: LineageReader,
    layouts: Sequence[int | None],
    blobs: Sequence[bytes | None],
    places: Mapping[int, tuple[int | None, ...]],
    count: int,
) -> NDArray[np.float64]:
    values = np.full((len(blobs), count), np.nan)
    if count:
        for row, (layout, blob) in enumerate(zip(layouts, blobs, strict=True)):
            if layout is None or not blob:
                continue
            kind, size = ("<f", 4) if blob[:1] == b"f" else ("<d", 8)
            for column, place in enumerate(places[layout]):
                if place is not None:
                    try:
                        [values[row, column]] = struct.unpack_from(kind, blob, 1 + size * place)
                    except struct.error as error:
                        raise LineageError(
                            f"{lineage.path}: a score has fewer numbers than its layout names; restore a backup",
                            "damaged",
                        ) from error
    return values
