"""Sums kept beside the births: per generation, per operator, and the best of each term.

They are made in the transaction of the row they count, so they are as true as it is; curves and operator statistics
then take milliseconds at any number of births.
"""

from __future__ import annotations

import bisect
import json
import sqlite3
from collections.abc import Callable, Mapping
from typing import Any

from bark_infinity.error_handling import BarkError
from digital_evolution import Candidate
from experiments.lineage.errors import LineageError
from experiments.lineage.rows import row_id
from fusion.score import Score

LEADERS = 100  # kept of each term
TOTAL = "total"
_COUNTED = frozenset({"asked", "ok", "rejected", "failed", TOTAL})

_GENERATION = """INSERT INTO generation_tallies VALUES (?, ?, ?, 1, ?, ?, ?)
ON CONFLICT DO UPDATE SET n = n + 1, total = total + excluded.total,
    best_birth = CASE WHEN excluded.best > best OR (excluded.best = best AND excluded.best_birth < best_birth)
        THEN excluded.best_birth ELSE best_birth END,
    best = max(best, excluded.best)"""
_OPERATOR = """INSERT INTO operator_tallies VALUES (?, ?, ?, ?, 1, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET n = n + 1, total = total + excluded.total, best = max(best, excluded.best),
    compared = compared + excluded.compared, better = better + excluded.better, gain = gain + excluded.gain"""


class Tallies:
    """Keeps the tally tables of one connection."""

    def __init__(self, connection: sqlite3.Connection, text_id: Callable[[str], int]) -> None:
        self._connection = connection
        self._text_id = text_id
        self._weights: dict[int, Mapping[str, float]] = {}
        self._leaders: dict[tuple[int, int], list[tuple[float, int]]] = {}  # (value, -birth), worst first

    def total(self, run_id: int, score: Score) -> float | None:
        """The score's terms weighted by the run's weights; None without weights, or without all of the terms."""
        if run_id not in self._weights:
            [text] = self._connection.execute("SELECT weights FROM runs WHERE run_id = ?", (run_id,)).fetchone()
            self._weights[run_id] = json.loads(text)
        return weighted_total(self._weights[run_id], score)

    def asked(self, write: sqlite3.Connection, run_id: int, candidate: Candidate, operator: int) -> None:
        """Counts a birth."""
        name = self._text_id("asked")
        write.execute(_GENERATION, (run_id, candidate.generation, name, 0.0, 0.0, candidate.birth))
        write.execute(_OPERATOR, (run_id, operator, candidate.operator_version, name, 0.0, 0.0, 0, 0, 0.0))

    def told(self, write: sqlite3.Connection, run_id: int, birth: int, score: Score, total: float | None) -> None:
        """Counts a result, and compares it with the parents' where these have one."""
        row = row_id(run_id, birth)
        generation, operator, version = write.execute(
            "SELECT generation, operator_id, operator_version FROM births WHERE id = ?", (row,)
        ).fetchone()
        status = self._text_id(score.status)
        generations: list[tuple[Any, ...]] = [(run_id, generation, status, 0.0, 0.0, birth)]
        operators: list[tuple[Any, ...]] = [(run_id, operator, version, status, 0.0, 0.0, 0, 0, 0.0)]
        parents = self._parents(write, row) if score.status == "ok" else []
        for name, value in tallied_values(score, total).items():
            number = self._text_id(name)
            known = [there[name] for there in parents if name in there]
            gain = value - max(known) if known else 0.0
            generations.append((run_id, generation, number, value, value, birth))
            operators.append((run_id, operator, version, number, value, value, len(known) > 0, gain > 0, gain))
            self._lead(write, run_id, number, value, birth)
        write.executemany(_GENERATION, generations)
        write.executemany(_OPERATOR, operators)

    def _parents(self, write: sqlite3.Connection, row: int) -> list[dict[str, float]]:
        found = write.execute(
            "SELECT terms, total FROM parents JOIN evaluations ON birth_id = parent AND replicate = 0 "
            "WHERE child = ? AND status = 'ok'",
            (row,),
        )
        return [{**json.loads(terms or "{}"), **({} if total is None else {TOTAL: total})} for terms, total in found]

    def _lead(self, write: sqlite3.Connection, run_id: int, name: int, value: float, birth: int) -> None:
        key = (run_id, name)
        if key not in self._leaders:
            found = write.execute("SELECT value, -birth FROM leaders WHERE run_id = ? AND name_id = ?", key)
            self._leaders[key] = sorted(found)
        leaders = self._leaders[key]
        if len(leaders) >= LEADERS:
            if (value, -birth) <= leaders[0]:
                return
            _, last = leaders.pop(0)
            write.execute("DELETE FROM leaders WHERE run_id = ? AND name_id = ? AND birth = ?", (*key, -last))
        bisect.insort(leaders, (value, -birth))
        write.execute("INSERT INTO leaders VALUES (?, ?, ?, ?)", (*key, birth, value))


def weighted_total(weights: Mapping[str, float], score: Score) -> float | None:
    """As `Score.total`, and None where that has no answer."""
    if not weights or score.status != "ok":
        return None
    try:
        return score.total(weights)
    except BarkError:  # a term that the weights name was not judged
        return None


def tallied_values(score: Score, total: float | None) -> dict[str, float]:
    """The numbers of a score that are summed, by name."""
    taken = _COUNTED & score.terms.keys()
    if taken:
        raise LineageError(f"a term is called {min(taken)!r}, which counts births; choose another name", "invalid")
    values = {name: float(term.value) for name, term in score.terms.items()}
    return values if total is None else {**values, TOTAL: total}
