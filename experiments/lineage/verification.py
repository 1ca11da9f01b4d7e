"""Does the file still mean what it said: every promise re-derived from what is read back, and one hash of it all.

`verify` reads everything and trusts no stored hash, sum or number. `content_sha256` stands for all that is recorded
but wall-clock facts (times, durations, versions, names of hosts) and the order in which results came in, which differ
between equal runs of one and of seven workers; and but what other rows give (tallies, kept audio, tokens let go by gc).
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Iterator
from typing import Any

from bark_infinity.error_handling import BarkError
from digital_evolution import Candidate
from experiments.lineage import rows
from experiments.lineage.clips import clip_problem, resolved
from experiments.lineage.errors import LineageError
from experiments.lineage.people import judgements
from experiments.lineage.reading import LineageReader, text_key
from experiments.lineage.records import Outcome
from experiments.lineage.rows import birth_of, row_id
from experiments.lineage.tallies import LEADERS, tallied_values, weighted_total

_PIECE = 2_000  # rows per query
_TOLERANCE = 1e-9  # of sums, relative: floats are added in another order here


def content_sha256(lineage: LineageReader, *, order: bool = False) -> str:
    """A hash that two files share exactly when the same was recorded in them; as true as `verify` finds the file.

    Args:
        lineage: The file.
        order: Also in which order births were asked for and told: equal for runs of equal workers and batches.
    """
    digest = hashlib.sha256(b"lineage-content-v1\n")
    for run in lineage.runs():
        digest.update(f"run {run.run_id}\n".encode())
        for piece in _run_content(lineage, run.run_id, order):
            digest.update(piece)
    return digest.hexdigest()


def _run_content(lineage: LineageReader, run_id: int, order: bool) -> Iterator[bytes]:
    with lineage.turn("hashing"):
        [(run_digest, state, reason)] = lineage.query(
            "SELECT digest, state, reason FROM runs WHERE run_id = ?", (run_id,)
        )
    yield run_digest
    yield rows.canonical_json([state, reason], "a state").encode()
    low, end = row_id(run_id, 0), row_id(run_id, rows.MAX_BIRTH)
    for row, digest, genome, died in _by_id(
        lineage, "SELECT id, digest, genome, died FROM births WHERE id > ? AND id <= ? ORDER BY id LIMIT ?", low, end
    ):
        yield b"%d %b %b %d\n" % (birth_of(row), digest, genome, -1 if died is None else died)
    after = (low, rows.MAX_BIRTH)
    while True:
        with lineage.turn("hashing"):
            found = lineage.query(
                "SELECT birth_id, replicate, digest FROM evaluations WHERE (birth_id, replicate) > (?, ?) "
                "AND birth_id <= ? ORDER BY birth_id, replicate LIMIT ?",
                (*after, end, _PIECE),
            )
        for row, replicate, digest in found:
            yield b"%d.%d %b\n" % (birth_of(row), replicate, digest)
        if len(found) < _PIECE:
            break
        after = (found[-1][0], found[-1][1])
    for event in lineage.events(run_id):
        if order or event.kind not in ("asked", "told"):
            yield rows.sorted_json([event.kind, list(event.births), event.payload], "an event").encode()
    yield from _said(lineage, run_id, low, end)


def _said(lineage: LineageReader, run_id: int, low: int, end: int) -> Iterator[bytes]:
    for one in judgements(lineage, run_id, withdrawn=True):
        said = [one.kind, one.one, one.other, one.value, one.rater, one.session, one.withdrawn]
        yield rows.canonical_json(said, "a judgement").encode()
    with lineage.turn("hashing"):
        remarks = lineage.query(
            "SELECT birth_id & 4294967295, kind, text, withdrawn FROM remarks WHERE birth_id BETWEEN ? AND ? "
            "ORDER BY remark_id",
            (low, end),
        )
    for remark in remarks:
        yield rows.canonical_json(remark, "a remark").encode()


def _by_id(lineage: LineageReader, sql: str, low: int, end: int) -> Iterator[tuple[Any, ...]]:
    while True:
        with lineage.turn("hashing"):
            found = lineage.query(sql, (low, end, _PIECE))
        yield from found
        if len(found) < _PIECE:
            return
        low = found[-1][0]


def verify(lineage: LineageReader) -> list[str]:
    """Everything that is wrong with a lineage file, one sentence each; an empty list means all is well.

    Every hash is derived again from what is read back, every rule of the records is checked, every sum is added up
    again, and SQLite checks its own pages. Reads the whole file.
    """
    try:
        with lineage.turn("checking pages"):
            problems = [f"SQLite: {text}" for (text,) in lineage.query("PRAGMA integrity_check(20)") if text != "ok"]
            problems += [
                f"table {table}, row {row}: refers to {target}, where there is no such row"
                for table, row, target, _ in lineage.query("PRAGMA foreign_key_check")
            ]
        if problems:
            return problems  # what is read from broken pages says nothing more
        problems += [*_text_problems(lineage), *_voice_problems(lineage)]
        for run in lineage.runs():
            problems += [f"run {run.name!r}: {text}" for text in _run_problems(lineage, run.run_id)]
    except LineageError as error:
        problems.append(str(error))
    return problems


def _text_problems(lineage: LineageReader) -> Iterator[str]:
    for number, key, text in _by_id(
        lineage,
        "SELECT text_id, key, text FROM texts WHERE text_id > ? AND text_id <= ? ORDER BY 1 LIMIT ?",
        0,
        1 << 62,
    ):
        if key != text_key(text):
            yield f"text {number} is not what was stored"


def _voice_problems(lineage: LineageReader) -> Iterator[str]:
    needed = (
        "SELECT voice_id, sha256, tokens IS NULL, EXISTS (SELECT 1 FROM births WHERE births.voice_id = "
        "voices.voice_id OR first_voice_id = voices.voice_id) FROM voices WHERE voice_id > ? AND voice_id <= ? "
        "ORDER BY 1 LIMIT ?"
    )
    for number, sha256, let_go, spoken_with in _by_id(lineage, needed, 0, 1 << 62):
        name = f"voice {sha256.hex()[:12]}"
        if let_go:
            if spoken_with:
                yield f"{name}: its tokens are gone, but births speak with it"
            continue
        try:
            voice = lineage.stored_voice(number)
        except BarkError as error:
            yield f"{name}: {error}"
            continue
        if voice.sha256 != sha256.hex():
            yield f"{name}: its tokens have hash {voice.sha256[:12]}"


def _run_problems(lineage: LineageReader, run_id: int) -> Iterator[str]:
    run = lineage.run(run_id)
    with lineage.turn("checking the run"):
        [(stored, first)] = lineage.query(
            "SELECT digest, (SELECT min(id) FROM births WHERE run_id = runs.run_id) FROM runs WHERE run_id = ?",
            (run_id,),
        )
    if rows.run_digest(run.name, run.config, run.checkpoints, run.weights, run.seed, run.branched_from) != stored:
        yield "its config, seed, weights or checkpoints are not what was recorded"
    if first is not None and birth_of(first) != 1:
        yield f"its first birth is {birth_of(first)}, expected 1"
    sums = _Sums()
    for piece in range(1, lineage.last_birth(run_id) + 1, _PIECE):
        births = range(piece, min(piece + _PIECE, lineage.last_birth(run_id) + 1))
        digests = _digests(lineage, run_id, births)
        outcomes = lineage.outcomes(run_id, births)
        for birth in births:
            if birth not in digests:
                yield f"birth {birth} is missing"
                continue
            genome, digest, render_first = digests[birth]
            try:
                candidate = lineage.candidate(run_id, birth)
            except BarkError as error:
                yield f"birth {birth}: {error}"
                continue
            if candidate.genome.sha256 != genome.hex():
                yield f"birth {birth}: its genome has hash {candidate.genome.sha256[:12]}, recorded {genome.hex()[:12]}"
            asked = candidate
            if render_first is not None and candidate.genome.voice is not None:
                asked = dataclasses.replace(candidate, genome=dataclasses.replace(candidate.genome, voice=None))
            if rows.digest(rows.candidate_line(asked, asked.genome.sha256, render_first)) != digest:
                yield f"birth {birth}: it is not what was asked for"
            outcome = outcomes.get(birth)
            total = None if outcome is None else weighted_total(run.weights, outcome.score)
            if outcome is not None and outcome.total != total:
                yield f"birth {birth}: its total is {outcome.total}, its terms give {total}"
            sums.add(candidate, None if outcome is None else tallied_values(outcome.score, total), outcome)
    yield from _evaluation_problems(lineage, run_id)
    yield from _event_problems(lineage, run_id)
    yield from sums.problems(lineage, run_id)
    yield from _clip_problems(lineage, run_id)


def _clip_problems(lineage: LineageReader, run_id: int) -> Iterator[str]:
    with lineage.turn("checking clips"):
        found = lineage.query(
            "SELECT path, sha256 FROM clips WHERE birth_id BETWEEN ? AND ?",
            (row_id(run_id, 1), row_id(run_id, rows.MAX_BIRTH)),
        )
    for stored, sha256 in found:
        try:
            problem = clip_problem(resolved(lineage.path, stored), sha256)
        except LineageError as error:
            problem = str(error)
        if problem is not None:
            yield problem


def _digests(lineage: LineageReader, run_id: int, births: range) -> dict[int, tuple[bytes, bytes, str | None]]:
    with lineage.turn("checking births"):
        found = lineage.query(
            "SELECT id, genome, digest, render_first FROM births WHERE id BETWEEN ? AND ?",
            (row_id(run_id, births[0]), row_id(run_id, births[-1])),
        )
    return {birth_of(row): (genome, digest, first) for row, genome, digest, first in found}


def _evaluation_problems(lineage: LineageReader, run_id: int) -> Iterator[str]:
    with lineage.turn("checking results"):
        replicates = lineage.query(
            "SELECT DISTINCT replicate FROM evaluations WHERE birth_id BETWEEN ? AND ?",
            (row_id(run_id, 1), row_id(run_id, rows.MAX_BIRTH)),
        )
    for (replicate,) in replicates:
        for begin in range(1, lineage.last_birth(run_id) + 1, _PIECE):
            births = range(begin, begin + _PIECE)
            with lineage.turn("checking results"):
                found = lineage.query(
                    "SELECT birth_id, digest, rendering FROM evaluations "
                    "WHERE birth_id BETWEEN ? AND ? AND replicate = ?",
                    (row_id(run_id, births[0]), row_id(run_id, births[-1]), replicate),
                )
            outcomes = lineage.outcomes(run_id, births, replicate)
            for row, digest, rendering in found:
                outcome = outcomes[birth_of(row)]
                if rows.digest(rows.evaluation_line(outcome.score, rendering, outcome.output_sha256)) != digest:
                    yield f"birth {birth_of(row)}, replicate {replicate}: its result is not what was recorded"


def _event_problems(lineage: LineageReader, run_id: int) -> Iterator[str]:
    asked, told, seq = 0, 0, 0
    last = lineage.last_birth(run_id)
    seen = bytearray(last + 1)
    for event in lineage.events(run_id):
        seq += 1
        if event.seq != seq:
            yield f"event {seq} is missing"
            seq = event.seq
        if event.kind == "asked":
            if event.births.start != asked + 1:
                yield f"event {seq} asks for birth {event.births.start}, expected {asked + 1}"
            asked = event.births.stop - 1
        elif event.kind == "told":
            birth = event.births.start
            if not 0 < birth <= min(asked, last) or seen[birth]:
                yield f"event {seq} tells birth {birth}, which was not asked for or told already"
            else:
                seen[birth] = 1
                told += 1
    if asked != last:
        yield f"its events ask for {asked} births, there are {last}"
    with lineage.turn("checking events"):
        [(results,)] = lineage.query(
            "SELECT count(*) FROM evaluations WHERE birth_id BETWEEN ? AND ? AND replicate = 0",
            (row_id(run_id, 1), row_id(run_id, rows.MAX_BIRTH)),
        )
    if told != results:
        yield f"its events tell {told} results, there are {results}"


class _Sums:
    """The tallies, added up again."""

    def __init__(self) -> None:
        self.generations: dict[tuple[int, str], list[tuple[float, int]]] = {}
        self.operators: dict[tuple[str, int, str], list[float]] = {}
        self.values: dict[str, list[tuple[float, int]]] = {}

    def add(self, candidate: Candidate, values: dict[str, float] | None, outcome: Outcome | None) -> None:
        counted: dict[str, float] = {"asked": 0.0}
        if outcome is not None and values is not None:
            counted |= {outcome.score.status: 0.0, **values}
            for name, value in values.items():
                self.values.setdefault(name, []).append((value, candidate.birth))
        for name, value in counted.items():
            self.generations.setdefault((candidate.generation, name), []).append((value, candidate.birth))
            self.operators.setdefault((candidate.operator, candidate.operator_version, name), []).append(value)

    def problems(self, lineage: LineageReader, run_id: int) -> Iterator[str]:
        with lineage.turn("checking sums"):
            generations = lineage.query(
                "SELECT generation, text, n, total, best, best_birth FROM generation_tallies "
                "JOIN texts ON text_id = name_id WHERE run_id = ?",
                (run_id,),
            )
            operators = lineage.query(
                "SELECT operators.text, operator_version, names.text, n, total, best FROM operator_tallies "
                "JOIN texts AS operators ON operators.text_id = operator_id "
                "JOIN texts AS names ON names.text_id = name_id WHERE run_id = ?",
                (run_id,),
            )
            leaders = lineage.query(
                "SELECT text, value, birth FROM leaders JOIN texts ON text_id = name_id WHERE run_id = ?", (run_id,)
            )
        stored = {(generation, name): row for generation, name, *row in generations}
        for key in stored.keys() | self.generations.keys():
            found = self.generations.get(key, [])
            best, birth = min(((-value, birth) for value, birth in found), default=(math.nan, 0))
            if not _same(stored.get(key, []), [len(found), math.fsum(value for value, _ in found), -best, birth]):
                yield f"the sums of {key[1]} in generation {key[0]} are not those of its births"
        by_operator = {(operator, version, name): row for operator, version, name, *row in operators}
        for place in by_operator.keys() | self.operators.keys():
            values = self.operators.get(place, [])
            if not _same(by_operator.get(place, []), [len(values), math.fsum(values), max(values, default=math.nan)]):
                yield f"the sums of {place[2]} of operator {place[0]} are not those of its births"
        led: dict[str, list[tuple[float, int]]] = {}
        for name, value, birth in leaders:
            led.setdefault(name, []).append((value, birth))
        for name in led.keys() | self.values.keys():
            ranked = sorted(self.values.get(name, []), key=lambda pair: (-pair[0], pair[1]))[:LEADERS]
            if sorted(led.get(name, [])) != sorted(ranked):
                yield f"the leaders of {name} are not the best births"


def _same(stored: list[Any], derived: list[float]) -> bool:
    return len(stored) == len(derived) and all(
        math.isclose(one, other, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)
        for one, other in zip(stored, derived, strict=True)
    )
