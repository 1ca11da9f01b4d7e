"""A run's event log as the events that the runner sent while it went on; see the package for what has to be recorded.

Read in pieces: memory holds one piece and the numbers of those who live, however long the run is, and a writer at work
is never held up. Voices stay in the file until somebody looks at their tokens, which is possible while it is open.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bark_infinity.error_handling import BarkError
from bark_infinity.requests import RenderRequest
from digital_evolution import AddStatus, Candidate
from evolution.interventions import from_json
from experiments.events import (
    Asked,
    Begun,
    Committed,
    Event,
    Intervened,
    Judged,
    Rescored,
    State,
    StateChanged,
    Told,
)
from experiments.lineage import LineageError, Outcome, people, rows
from experiments.lineage.reading import LineageReader
from experiments.lineage.records import RunState
from experiments.lineage.rows import MAX_BIRTH, birth_of, row_id
from experiments.lineage.writer_lock import current_writer
from experiments.replay.settings import recorded_settings

PIECE = 500  # events read at a time
_STATES: dict[RunState, State] = {"new": "loading", "running": "running", "paused": "stopped", "done": "done"}
_LEFT = "the program that ran it is gone; resume it to go on"

_Row = tuple[int, str, range, Any, float | None]  # seq, kind, births, payload, at
_LAST = 1 << 62
_SENSELESS = (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError)


@dataclass(frozen=True)
class Moment:
    """An event in its place.

    Attributes:
        seq: Its number in the run; 0 for `Begun`.
        at: When it was recorded, in seconds since 1970.
        event: What happened.
    """

    seq: int
    at: float
    event: Event


def events_of(lineage: LineageReader, run_id: int, *, after: int = 0, upto: int | None = None) -> Iterator[Event]:
    """A recorded run as the runner told it, in recorded order: `Begun` first, unless ``after`` is given.

    Args:
        lineage: The file; another process may be writing it.
        run_id: The run.
        after: Number of the last event that is known already; see `event_of_birth`.
        upto: Number of the last event wanted; None also gives what is recorded meanwhile, and the run's state last.

    Raises:
        LineageError: ``missing`` when there is no such run; ``damaged`` when an event makes no sense.
    """
    for moment in moments(lineage, run_id, after=after, upto=upto):
        yield moment.event
    if upto is None:
        yield state_of(lineage, run_id)


def moments(lineage: LineageReader, run_id: int, *, after: int = 0, upto: int | None = None) -> Iterator[Moment]:
    """As `events_of`, with numbers and times, and without the run's state."""
    history = History(lineage, run_id, after)
    if not after:
        yield history.begun()
    while piece := history.piece(upto):
        yield from piece


def event_of_birth(lineage: LineageReader, run_id: int, birth: int) -> int | None:
    """Number of the event that told a birth's result; None while it is pending."""
    with lineage.turn("looking for a birth's event"):
        found = lineage.query(
            "SELECT seq FROM events WHERE run_id = ? AND seq > ? AND kind = 'told' AND birth = ? LIMIT 1",
            (run_id, birth, birth),  # at least one event asked for it before
        )
    return found[0][0] if found else None


def state_of(lineage: LineageReader, run_id: int) -> StateChanged:
    """What a run is doing, as far as its file and its writer's lock tell."""
    with lineage.turn("reading a run's state"):
        found = lineage.query("SELECT state, reason FROM runs WHERE run_id = ?", (run_id,))
    if not found:
        raise LineageError(f"{lineage.path} has no run number {run_id}", "missing")
    state, reason = found[0]
    if state in ("new", "running") and current_writer(lineage.path) is None:
        return StateChanged("stopped", _LEFT)
    return StateChanged(_STATES.get(state, "failed"), reason or "")


def population_at(lineage: LineageReader, run_id: int, birth: int) -> tuple[int, ...]:
    """Who lived when the step of a birth was over, in birth order; who lives now, while it is not."""
    living: frozenset[int] = frozenset()
    for seq, births, payload in _committed(lineage, run_id):
        step = _Step.read(lineage, seq, births, payload)
        living = step.after(living)
        if birth in step.became:
            break
    return tuple(sorted(living))


def as_asked(lineage: LineageReader, run_id: int, candidates: Sequence[Candidate]) -> list[Candidate]:
    """Births as they were asked for: without the voice that was still to be rendered, and with what it is made from."""
    first: dict[int, RenderRequest] = {}
    births = sorted({one.birth for one in candidates})
    for begin in range(0, len(births), PIECE):
        keys = [row_id(run_id, birth) for birth in births[begin : begin + PIECE]]
        with lineage.turn("reading births"):
            for row, request, voice_id in lineage.query(
                "SELECT id, render_first, first_voice_id FROM births WHERE render_first IS NOT NULL "
                f"AND id IN ({','.join('?' * len(keys))})",
                keys,
            ):
                voice = None if voice_id is None else lineage.stored_voice(voice_id)
                first[birth_of(row)] = rows.request_from(request, voice)
    return [
        one
        if one.birth not in first
        else dataclasses.replace(one, genome=dataclasses.replace(one.genome, voice=None), render_first=first[one.birth])
        for one in candidates
    ]


class History:
    """Reads a run's events one piece after the other, from any of them on; remembers who lives.

    Args:
        lineage: The file.
        run_id: The run.
        after: Number of the last event that is known already.
        living: Who lived after some earlier event, and its number; spares reading from the beginning.
    """

    def __init__(
        self, lineage: LineageReader, run_id: int, after: int = 0, living: tuple[int, frozenset[int]] = (0, frozenset())
    ) -> None:
        self.lineage, self.run_id = lineage, run_id
        self.seq = after
        self._born: int | None = None  # births that had been asked for by then, once somebody needs it
        known, self.living = living
        for seq, births, payload in _committed(lineage, run_id, known, after):
            self.living = _Step.read(lineage, seq, births, payload).after(self.living)

    def begun(self) -> Moment:
        """The run itself.

        Raises:
            LineageError: ``missing`` when there is none of that number.
        """
        run = self.lineage.run(self.run_id)
        born = self._born_before()
        objectives, weights = tuple(run.weights), tuple(run.weights.values())
        begun = Begun(run.run_id, run.name, run.seed, recorded_settings(run), objectives, weights, born)
        return Moment(0, run.created_at, begun)

    def piece(self, upto: int | None = None, most: int = PIECE) -> list[Moment]:
        """The next events, at most so many; none when there are no more for now.

        Raises:
            LineageError: ``damaged`` when an event makes no sense.
        """
        told: list[Moment] = []
        while not told:  # a piece of nothing but kinds that are passed over must not look like the end
            with self.lineage.turn("reading events"):
                found = self.lineage.query(
                    "SELECT seq, kind, birth, count, payload, at FROM events WHERE run_id = ? AND seq > ? AND seq <= ? "
                    "ORDER BY seq LIMIT ?",
                    (self.run_id, self.seq, _LAST if upto is None else upto, most),
                )
            if not found:
                break
            if self._born is None:
                self._born = self._born_before()
            facts = _Facts.read(self.lineage, self.run_id, [_row(self.lineage, row) for row in found], self._born)
            living = self.living
            for row in facts.rows:
                moment = self._moment(row, facts, living)
                if moment is not None:
                    told.append(moment)
                    if isinstance(moment.event, Committed):
                        living = frozenset(moment.event.population)
            self.seq, self.living, self._born = found[-1][0], living, facts.born
        return told

    def _moment(self, row: _Row, facts: _Facts, living: frozenset[int]) -> Moment | None:
        seq, kind, births, payload, at = row
        when = 0.0 if at is None else at
        try:
            match kind:
                case "asked":
                    asked = tuple(facts.asked[birth] for birth in births)
                    return Moment(seq, facts.born_at[births.start], Asked(asked))
                case "told":
                    outcome = facts.outcomes[births.start]
                    told = Told(facts.told[births.start], outcome.score, outcome.total, seconds=outcome.timings)
                    return Moment(seq, outcome.told_at, told)
                case "committed":
                    step = _Step.read(self.lineage, seq, births, payload)
                    population = tuple(sorted(step.after(living)))
                    return Moment(seq, when, Committed(step.became, population, step.best, step.generation_best))
                case "judged" | "withdrawn":
                    place = int(payload["judgement"]) - 1
                    if place < 0:
                        raise IndexError(f"judgement {place + 1}")
                    one = facts.judgements[place]
                    number, what, value = one.judgement_id, one.kind, one.value
                    judged = Judged(number, what, one.one, one.other, value, withdrawn=kind == "withdrawn")
                    return Moment(seq, when, judged)
                case "intervened":
                    done = from_json(payload["intervention"], self.lineage.voice)
                    return Moment(seq, when, Intervened(int(payload["step"]), done))
                case "rescored":
                    totals = {int(birth): _number(total) for birth, total in payload["totals"].items()}
                    return Moment(seq, when, Rescored(totals))
        except LineageError:
            raise
        except (*_SENSELESS, BarkError) as error:
            raise _senseless(self.lineage, seq, kind, error) from error
        return None

    def _born_before(self) -> int:
        with self.lineage.turn("reading events"):
            found = self.lineage.query(
                "SELECT birth + count - 1 FROM events WHERE run_id = ? AND seq <= ? AND kind = 'asked' "
                "ORDER BY seq DESC LIMIT 1",
                (self.run_id, self.seq),
            )
        return int(found[0][0]) if found else 0


@dataclass(frozen=True)
class _Step:
    """What a ``committed`` event says."""

    became: dict[int, AddStatus]
    into: set[int]
    out: set[int]
    best: int | None
    generation_best: float | None

    def after(self, living: frozenset[int]) -> frozenset[int]:
        return living - self.out | self.into

    @classmethod
    def read(cls, lineage: LineageReader, seq: int, births: range, payload: Any) -> _Step:
        try:
            best, top = payload["best"], payload["generation_best"]
            return cls(
                {births.start + place: AddStatus(status) for place, status in enumerate(payload["became"])},
                {_birth(birth) for birth in payload["in"]},
                {_birth(birth) for birth in payload["out"]},
                None if best is None else _birth(best),
                None if top is None else _number(top),
            )
        except _SENSELESS as error:
            raise _senseless(lineage, seq, "committed", error) from error


@dataclass(frozen=True, eq=False)
class _Facts:
    """All that a piece's events speak of, read together."""

    rows: Sequence[_Row]
    born: int  # births that had been asked for by then
    asked: dict[int, Candidate]
    told: dict[int, Candidate]
    born_at: dict[int, float]
    outcomes: dict[int, Outcome]
    judgements: Sequence[people.Judgement]

    @classmethod
    def read(cls, lineage: LineageReader, run_id: int, rows: Sequence[_Row], born: int) -> _Facts:
        """Everything; ``born`` births had been asked for before.

        Raises:
            LineageError: ``damaged`` when births are not numbered on, or are not there: whoever takes in events makes
                room by number.
        """
        first = born + 1
        told: list[int] = []
        for seq, kind, births, _, _ in rows:
            if kind == "asked":
                if births.start != born + 1 or not births:
                    raise _senseless(lineage, seq, kind, f"births are numbered on after {born}, not {births}")
                born = births.stop - 1
                with lineage.turn("reading births"):
                    ends = row_id(run_id, births.start), row_id(run_id, min(born, MAX_BIRTH))
                    [(there,)] = lineage.query("SELECT count(*) FROM births WHERE id BETWEEN ? AND ?", ends)
                if there != born + 1 - births.start:
                    raise _senseless(lineage, seq, kind, f"{there} of births {births.start} to {born} are there")
            elif kind == "told":
                if len(births) != 1 or not 0 < births.start <= born:
                    raise _senseless(lineage, seq, kind, f"after {born} births were asked for, {births} is told")
                told.extend(births)
        asked = range(first, born + 1)
        born_at: dict[int, float] = {}
        if asked:
            with lineage.turn("reading births"):
                found = lineage.query(
                    "SELECT id, born_at FROM births WHERE id BETWEEN ? AND ?",
                    (row_id(run_id, first), row_id(run_id, born)),
                )
            born_at = {birth_of(row): at for row, at in found}
        candidates = {one.birth: one for one in lineage.candidates(run_id, sorted({*asked, *told}), tokens=False)}
        said = any(kind in ("judged", "withdrawn") for _, kind, *_ in rows)
        return cls(
            rows,
            born,
            {one.birth: one for one in as_asked(lineage, run_id, [candidates[birth] for birth in asked])},
            candidates,
            born_at,
            lineage.outcomes(run_id, told),
            people.judgements(lineage, run_id, withdrawn=True) if said else (),
        )


def _committed(
    lineage: LineageReader, run_id: int, after: int = 0, upto: int | None = None
) -> Iterator[tuple[int, range, Any]]:
    while after != upto:
        with lineage.turn("reading events"):
            found = lineage.query(
                "SELECT seq, kind, birth, count, payload, at FROM events WHERE run_id = ? AND seq > ? AND seq <= ? "
                "AND kind = 'committed' ORDER BY seq LIMIT ?",
                (run_id, after, _LAST if upto is None else upto, PIECE),
            )
        for row in found:
            after, _, births, payload, _ = _row(lineage, row)
            yield after, births, payload
        if len(found) < PIECE:
            return


def _row(lineage: LineageReader, row: tuple[Any, ...]) -> _Row:
    seq, kind, birth, count, payload, at = row
    births = range(0) if birth is None else range(birth, birth + (1 if count is None else count))
    try:
        return seq, kind, births, None if payload is None else json.loads(payload), at
    except (ValueError, RecursionError) as error:
        raise _senseless(lineage, seq, kind, error) from error


def _birth(value: Any) -> int:
    birth = int(value)
    if not 0 < birth <= MAX_BIRTH:
        raise ValueError(f"{birth} is no birth")
    return birth


def _number(value: Any) -> float:
    number = float(value)
    if not abs(number) < float("inf"):
        raise ValueError(f"{value} is no finite number")
    return number


def _senseless(lineage: LineageReader, seq: int, kind: str, why: object) -> LineageError:
    what = f"{type(why).__name__}: {why}" if isinstance(why, KeyError | IndexError) else str(why)
    return LineageError(f"{lineage.path}: event {seq} ({kind}) cannot be read: {what}; restore a backup", "damaged")
