"""What a window or a report shows of many births: pages, curves, operator statistics, the best; in milliseconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from experiments.lineage.reading import LineageReader, text_key
from experiments.lineage.records import Card
from experiments.lineage.rows import MAX_BIRTH, birth_of, finite, row_id, terms_from
from experiments.lineage.tallies import TOTAL


@dataclass(frozen=True)
class Counts:
    """How many births came to what."""

    asked: int = 0
    ok: int = 0
    rejected: int = 0
    failed: int = 0

    @property
    def pending(self) -> int:
        """Asked for and not told yet."""
        return self.asked - self.ok - self.rejected - self.failed


@dataclass(frozen=True)
class CurvePoint:
    """A term in one generation, or in several that follow each other.

    Attributes:
        generation: Which, the first of several.
        n: Births with a value.
        mean: Of these.
        best: Of these.
        best_birth: The earliest that has it; of several generations, one that has it.
        best_so_far: In this and all earlier generations.
    """

    generation: int
    n: int
    mean: float
    best: float
    best_birth: int
    best_so_far: float


@dataclass(frozen=True)
class OperatorStatistics:
    """What an operator's children came to, by one term.

    Attributes:
        operator: Its name.
        version: Of its meaning.
        counts: Of its children.
        n: Children with a value.
        mean: Of these; None without any.
        best: Of these.
        compared: Children whose parents have a value too.
        better: Of these, children above their best parent.
        mean_gain: Of these, mean difference to the best parent; None without any.
    """

    operator: str
    version: int
    counts: Counts
    n: int
    mean: float | None
    best: float | None
    compared: int
    better: int
    mean_gain: float | None


def page(
    lineage: LineageReader,
    run_id: int,
    *,
    generation: int | None = None,
    after: int = 0,
    size: int = 50,
) -> list[Card]:
    """Births in birth order, one page at a time.

    Args:
        lineage: The file.
        run_id: The run.
        generation: Only births of this one.
        after: The last birth of the page before.
        size: Births per page.
    """
    with lineage.turn("reading a page"):
        if generation is None:
            where, values = "id BETWEEN ? AND ?", [row_id(run_id, after + 1), row_id(run_id, MAX_BIRTH)]
        else:
            where, values = "run_id = ? AND generation = ? AND id > ?", [run_id, generation, row_id(run_id, after)]
        found = lineage.query(f"SELECT id FROM births WHERE {where} ORDER BY id LIMIT ?", [*values, size])
        return _cards(lineage, [row for (row,) in found])


def cards(lineage: LineageReader, run_id: int, births: Sequence[int]) -> list[Card]:
    """These births as pages show them, in the order given; unknown ones are left out."""
    with lineage.turn("reading births"):
        return _cards(lineage, [row_id(run_id, birth) for birth in births])


def best(lineage: LineageReader, run_id: int, term: str = TOTAL, count: int = 10) -> list[tuple[int, float]]:
    """Births and their values, best first, the earlier before the later; at most `tallies.LEADERS`."""
    with lineage.turn("looking for the best"):
        found = lineage.query(
            "SELECT birth, value FROM leaders WHERE run_id = ? AND name_id = (SELECT text_id FROM texts "
            "WHERE key = ? AND text = ?) ORDER BY value DESC, birth LIMIT ?",
            (run_id, text_key(term), term, count),
        )
    return [(birth, finite(value, f"{lineage.path}: birth {birth}: {term}")) for birth, value in found]


def curve(lineage: LineageReader, run_id: int, term: str = TOTAL, *, most: int | None = None) -> list[CurvePoint]:
    """A term by generation; generations without a value are left out.

    Args:
        lineage: The file.
        run_id: The run.
        term: Which.
        most: Of the points: where there are more generations, equally many that follow each other become one.
    """
    with lineage.turn("reading a curve"):
        where = (
            "FROM generation_tallies WHERE run_id = ? AND name_id = "
            "(SELECT text_id FROM texts WHERE key = ? AND text = ?)"
        )
        values = (run_id, text_key(term), term)
        together = 1
        if most is not None:
            [(first, last)] = lineage.query(f"SELECT min(generation), max(generation) {where}", values)
            together = 1 if first is None else -(-(last - first + 1) // most)
        if together == 1:
            found = lineage.query(f"SELECT generation, n, total, best, best_birth {where} ORDER BY generation", values)
        else:
            # SQLite takes best_birth from a row that has the maximum.
            found = lineage.query(
                f"SELECT ? + (generation - ?) / ? * ?, sum(n), sum(total), max(best), best_birth {where} "
                "GROUP BY 1 ORDER BY 1",
                (first, first, together, together, *values),
            )
    points: list[CurvePoint] = []
    for generation, n, total, top, birth in found:
        for value in (total, top):
            finite(value, f"{lineage.path}: the sum of {term} in generation {generation}")
        so_far = max(top, points[-1].best_so_far) if points else top
        points.append(CurvePoint(generation, n, total / n, top, birth, so_far))
    return points


def terms(lineage: LineageReader, run_id: int) -> list[str]:
    """Names that `curve` and `best` know in a run."""
    with lineage.turn("reading the terms"):
        found = lineage.query(
            "SELECT DISTINCT text FROM operator_tallies JOIN texts ON text_id = name_id WHERE run_id = ? ORDER BY text",
            (run_id,),
        )
    return [name for (name,) in found if name not in ("asked", "ok", "rejected", "failed")]


def counts(lineage: LineageReader, run_id: int) -> Counts:
    """How far a run is."""
    with lineage.turn("counting births"):
        found: list[tuple[Any, ...]] = lineage.query(
            "SELECT text, sum(n) FROM operator_tallies JOIN texts ON text_id = name_id WHERE run_id = ? AND text IN "
            "('asked', 'ok', 'rejected', 'failed') GROUP BY text",
            (run_id,),
        )
    return Counts(**dict(found))


def operator_statistics(lineage: LineageReader, run_id: int, term: str = TOTAL) -> list[OperatorStatistics]:
    """What each operator's children came to, by one term; the control arm is among them."""
    with lineage.turn("reading operator statistics"):
        found = lineage.query(
            "SELECT operators.text, operator_version, names.text, n, total, best, compared, better, gain "
            "FROM operator_tallies JOIN texts AS operators ON operators.text_id = operator_id "
            "JOIN texts AS names ON names.text_id = name_id "
            "WHERE run_id = ? AND names.text IN ('asked', 'ok', 'rejected', 'failed', ?) ORDER BY 1, 2",
            (run_id, term),
        )
    tallies: dict[tuple[str, int], dict[str, tuple[Any, ...]]] = {}
    for operator, version, name, *numbers in found:
        tallies.setdefault((operator, version), {})[name] = tuple(numbers)
    return [_statistics(operator, version, tally, term) for (operator, version), tally in tallies.items()]


def reasons(lineage: LineageReader, run_id: int) -> list[tuple[str, str, int, int]]:
    """Why births came to nothing: (status, reason, how many, the first of them), the most frequent first."""
    with lineage.turn("reading reasons"):
        found = lineage.query(
            "SELECT status, text, count(*), min(birth_id) FROM evaluations JOIN texts ON text_id = reason_id "
            "WHERE birth_id BETWEEN ? AND ? AND replicate = 0 GROUP BY status, reason_id ORDER BY 3 DESC, 4",
            (row_id(run_id, 1), row_id(run_id, MAX_BIRTH)),
        )
    return [(status, reason, count, birth_of(first)) for status, reason, count, first in found]


def _statistics(operator: str, version: int, tally: dict[str, tuple[Any, ...]], term: str) -> OperatorStatistics:
    count = Counts(**{name: numbers[0] for name, numbers in tally.items() if name != term})
    n, total, top, compared, better, gain = tally.get(term, (0, 0.0, None, 0, 0, 0.0))
    return OperatorStatistics(
        operator,
        version,
        count,
        n,
        total / n if n else None,
        top,
        compared,
        better,
        gain / compared if compared else None,
    )


def _cards(lineage: LineageReader, wanted: Sequence[int]) -> list[Card]:
    marks = ",".join("?" * len(wanted))
    parents: dict[int, list[int]] = {}
    for child, parent in lineage.query(
        f"SELECT child, parent FROM parents WHERE child IN ({marks}) ORDER BY child, slot", wanted
    ):
        parents.setdefault(child, []).append(birth_of(parent))
    found = {}
    for row, generation, operator, prompt, voice, status, total, terms_text, reason in lineage.query(
        "SELECT births.id, generation, operators.text, prompts.text, voices.sha256, status, total, terms, reasons.text "
        "FROM births JOIN texts AS operators ON operators.text_id = operator_id "
        "JOIN texts AS prompts ON prompts.text_id = prompt_id "
        "LEFT JOIN voices ON voices.voice_id = births.voice_id "
        "LEFT JOIN evaluations ON birth_id = births.id AND replicate = 0 "
        f"LEFT JOIN texts AS reasons ON reasons.text_id = reason_id WHERE births.id IN ({marks})",
        wanted,
    ):
        found[row] = Card(
            birth_of(row),
            generation,
            operator,
            prompt,
            None if voice is None else voice.hex(),
            tuple(parents.get(row, ())),
            status or "pending",
            None if total is None else finite(total, f"{lineage.path}: birth {birth_of(row)}: its total"),
            terms_from(terms_text),
            reason,
        )
    return [found[row] for row in wanted if row in found]
