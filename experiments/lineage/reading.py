"""Reading births back: `LineageReader`, what a writer and a viewer of a lineage file have in common."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar
from weakref import WeakValueDictionary

from bark_infinity.error_handling import BarkError, VoiceFormatError
from bark_infinity.requests import Rendering, RenderSettings
from bark_infinity.voices.history import VoiceHistory
from bark_infinity.voices.metadata import space_from_json
from digital_evolution import Candidate, Genome, Parent
from experiments.lineage import rows
from experiments.lineage.errors import LineageError, explained
from experiments.lineage.pedigree import Pedigree
from experiments.lineage.records import Event, Life, Outcome, Run
from experiments.lineage.rows import row_id
from experiments.lineage.stored_voice import StoredVoice
from experiments.lineage.token_blobs import unpacked_voice

_CHUNK = 500  # rows per query
_CACHED_TEXTS = 20_000
_CACHED_VOICES = 1_024

_RUN_COLUMNS = (
    "run_id, name, state, reason, config, seed, versions, checkpoints, weights, branched_from, created_at, execution"
)
_BIRTH_COLUMNS = (
    "id, prompt_id, voice_id, settings_id, content_lock, operator_id, operator_version, parameters, generation, seed, "
    "island, rate, render_first, first_voice_id"
)
_OUTCOME_COLUMNS = (
    "birth_id, replicate, status, total, terms, layout_id, numbers, reason_id, evidence, voices.sha256, timings, "
    "told_at, unknown_id"
)

P = ParamSpec("P")
R = TypeVar("R")
Self = TypeVar("Self", bound="LineageReader")


def in_turn(method: Callable[Concatenate[Self, P], R]) -> Callable[Concatenate[Self, P], R]:
    """One thread at a time, and SQLite's errors in plain words."""

    @functools.wraps(method)
    def taken_in_turn(self: Self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with self.turn(method.__name__.replace("_", " ")):
            return method(self, *args, **kwargs)

    return taken_in_turn


class LineageReader:
    """Everything that reads single births; any thread may call it."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        self._pid = os.getpid()
        self._guard = threading.RLock()
        self._texts: dict[int, str] = {}
        self._voices: dict[int, VoiceHistory] = {}
        self.pedigree = Pedigree(self.query)
        self._named_voices: WeakValueDictionary[int, VoiceHistory] = WeakValueDictionary()

    @in_turn
    def runs(self) -> tuple[Run, ...]:
        """All runs, oldest first."""
        return tuple(self._run(row) for row in self.query(f"SELECT {_RUN_COLUMNS} FROM runs ORDER BY run_id"))

    @in_turn
    def run(self, which: str | int) -> Run:
        """A run by name or number.

        Raises:
            LineageError: ``missing``, with the names there are.
        """
        column = "run_id" if isinstance(which, int) else "name"
        found = self.query(f"SELECT {_RUN_COLUMNS} FROM runs WHERE {column} = ?", (which,))
        if not found:
            names = ", ".join(repr(name) for (name,) in self.query("SELECT name FROM runs ORDER BY run_id LIMIT 20"))
            raise LineageError(f"{self.path} has no run {which!r}; there are {names or 'none'}", "missing")
        return self._run(found[0])

    @in_turn
    def last_birth(self, run_id: int) -> int:
        """The number of births asked for in a run."""
        return self._last_birth(run_id)

    @in_turn
    def candidate(self, run_id: int, birth: int) -> Candidate:
        """A birth as it was asked for, with its voice where that has been rendered since.

        Raises:
            LineageError: ``missing`` when there is none; ``damaged`` when it cannot be read.
        """
        return self.candidates(run_id, [birth])[0]

    @in_turn
    def candidates(self, run_id: int, births: Iterable[int], *, tokens: bool = True) -> list[Candidate]:
        """Several births, in the order given.

        Args:
            run_id: The run.
            births: Which.
            tokens: False leaves the voices' tokens in the file until they are looked at; see `StoredVoice`.

        Raises:
            LineageError: As `candidate`.
        """
        wanted = list(births)
        voice_of = self._voice if tokens else self._named_voice
        found: dict[int, Candidate] = {}
        for chunk in _chunks(sorted(set(wanted))):
            keys = [row_id(run_id, birth) for birth in chunk]
            marks = ",".join("?" * len(keys))
            parents: dict[int, list[Parent]] = {}
            for child, parent, role in self.query(
                f"SELECT child, parent, role FROM parents WHERE child IN ({marks}) ORDER BY child, slot", keys
            ):
                if parent >> 32 != child >> 32 or parent >= child:  # a line of descent has to come to an end
                    raise LineageError(
                        f"{self.path}: birth {rows.birth_of(child)} has the parent {rows.birth_of(parent)} of run "
                        f"{parent >> 32}, which is no earlier one of its run: the file was altered; restore a backup",
                        "damaged",
                    )
                parents.setdefault(child, []).append(Parent(rows.birth_of(parent), role))
            for row in self.query(f"SELECT {_BIRTH_COLUMNS} FROM births WHERE id IN ({marks})", keys):
                birth = rows.birth_of(row[0])
                found[birth] = self._candidate(row, tuple(parents.get(row[0], ())), voice_of)
        missing = [birth for birth in wanted if birth not in found]
        if missing:
            raise LineageError(f"run {run_id} of {self.path} has no birth {missing[0]}", "missing")
        return [found[birth] for birth in wanted]

    @in_turn
    def outcome(self, run_id: int, birth: int, replicate: int = 0) -> Outcome | None:
        """What came of a birth; None while it is pending."""
        return self.outcomes(run_id, [birth], replicate).get(birth)

    @in_turn
    def outcomes(self, run_id: int, births: Iterable[int], replicate: int = 0) -> dict[int, Outcome]:
        """What came of several births, without those that are pending."""
        found: dict[int, Outcome] = {}
        for chunk in _chunks(sorted(set(births))):
            keys = [row_id(run_id, birth) for birth in chunk]
            for row in self.query(
                f"SELECT {_OUTCOME_COLUMNS} FROM evaluations LEFT JOIN voices USING (voice_id) "
                f"WHERE birth_id IN ({','.join('?' * len(keys))}) AND replicate = ?",
                [*keys, replicate],
            ):
                found[rows.birth_of(row[0])] = self._outcome(row)
        return found

    @in_turn
    def rendering(self, run_id: int, birth: int, replicate: int = 0) -> Rendering | None:
        """What was heard, without its audio, which its tokens decode to; None while the birth is pending or unheard.

        Raises:
            LineageError: ``missing`` when its tokens were let go by gc: render its genome and seed again.
        """
        found = self.query(
            "SELECT rendering, voice_id FROM evaluations WHERE birth_id = ? AND replicate = ?",
            (row_id(run_id, birth), replicate),
        )
        if not found or found[0][0] is None:
            return None
        text, voice_id = found[0]
        return rows.rendering_from(text, None if voice_id is None else self._voice(voice_id))

    @in_turn
    def voice(self, sha256: str) -> VoiceHistory:
        """A stored voice, by the hexadecimal digits its hash begins with (at least six).

        Raises:
            LineageError: ``missing`` when there is none, or more than one, or its tokens were let go.
        """
        digits = sha256.lower()
        if len(digits) < 6 or not set(digits) <= set("0123456789abcdef"):
            raise LineageError(f"{sha256!r} names no voice; give 6 or more hexadecimal digits of its hash", "invalid")
        low, high = bytes.fromhex(digits.ljust(64, "0")), bytes.fromhex(digits.ljust(64, "f"))
        found = self.query("SELECT voice_id FROM voices WHERE sha256 BETWEEN ? AND ? LIMIT 2", (low, high))
        if len(found) != 1:
            what = "more than one voice" if found else "no voice"
            raise LineageError(f"{self.path} has {what} whose hash begins with {digits}", "missing")
        return self._voice(found[0][0])

    @in_turn
    def stored_voice(self, voice_id: int) -> VoiceHistory:
        """A voice by its row's number.

        Raises:
            LineageError: ``damaged`` when its tokens cannot be read, ``missing`` when they were let go.
        """
        return self._voice(voice_id)

    @in_turn
    def pending(self, run_id: int) -> list[int]:
        """Births that were asked for and not told, in order."""
        return [
            rows.birth_of(row)
            for (row,) in self.query(
                "SELECT id FROM births WHERE id BETWEEN ? AND ? AND NOT EXISTS "
                "(SELECT 1 FROM evaluations WHERE birth_id = id AND replicate = 0) ORDER BY id",
                (row_id(run_id, 1), row_id(run_id, rows.MAX_BIRTH)),
            )
        ]

    def events(self, run_id: int, after: int = 0) -> Iterator[Event]:
        """What happened in a run, in order: a swarm that is asked and told the same resumes exactly.

        Read in pieces, so that a writer is never held up; what is recorded meanwhile is seen too.

        Args:
            run_id: The run.
            after: Number of the last event that is known already.
        """
        while True:
            with self.turn("reading events"):
                found = self.query(
                    "SELECT seq, kind, birth, count, payload, at FROM events WHERE run_id = ? AND seq > ? "
                    "ORDER BY seq LIMIT ?",
                    (run_id, after, _CHUNK),
                )
            for seq, kind, birth, count, payload, at in found:
                births = range(0) if birth is None else range(birth, birth + (1 if count is None else count))
                what = f"{self.path}: event {seq} of run {run_id}"
                yield Event(seq, kind, births, None if payload is None else rows.decoded(payload, what), at)
                after = seq
            if len(found) < _CHUNK:
                return

    def lives(self, run_id: int, first: int = 1, last: int | None = None) -> Iterator[Life]:
        """Births with what came of them, in birth order, read in pieces."""
        end = self.last_birth(run_id) if last is None else min(last, self.last_birth(run_id))
        for begin in range(first, end + 1, _CHUNK):
            births = range(begin, min(begin + _CHUNK, end + 1))
            with self.turn("reading births"):
                candidates, outcomes = self.candidates(run_id, births), self.outcomes(run_id, births)
            yield from (Life(candidate, outcomes.get(candidate.birth)) for candidate in candidates)

    # -- for the other modules of this package ------------------------------------------------------------------

    @contextmanager
    def turn(self, doing: str) -> Iterator[None]:
        """Lets one thread in, and turns SQLite's errors into `LineageError`."""
        with self._guard, explained(self.path, doing):
            if self._pid != os.getpid():
                raise LineageError(
                    f"{self.path} was opened before this process was forked; open it again in this process", "unusable"
                )
            yield

    def query(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a SELECT; called within a `turn`."""
        return self._connection.execute(sql, values).fetchall()

    def text(self, text_id: int) -> str:
        """The interned text of a number; called within a `turn`."""
        if text_id not in self._texts:
            if len(self._texts) >= _CACHED_TEXTS:
                self._texts.clear()
            found = self.query("SELECT text FROM texts WHERE text_id = ?", (text_id,))
            if not found:
                raise LineageError(f"{self.path}: text {text_id} is gone; restore a backup", "damaged")
            self._texts[text_id] = found[0][0]
        return self._texts[text_id]

    # -- inside -------------------------------------------------------------------------------------------------

    def _last_birth(self, run_id: int) -> int:
        self._require_run(run_id)
        [(last,)] = self.query(
            "SELECT max(id) FROM births WHERE id BETWEEN ? AND ?", (row_id(run_id, 0), row_id(run_id, rows.MAX_BIRTH))
        )
        return 0 if last is None else rows.birth_of(last)

    def _require_run(self, run_id: int) -> None:
        if not self.query("SELECT 1 FROM runs WHERE run_id = ?", (run_id,)):
            raise LineageError(f"{self.path} has no run number {run_id}; begin_run gives one", "missing")

    def _voice(self, voice_id: int) -> VoiceHistory:
        if voice_id in self._voices:
            return self._voices[voice_id]
        found = self.query(
            "SELECT sha256, n_semantic, n_frames, space_id, name, metadata, tokens FROM voices WHERE voice_id = ?",
            (voice_id,),
        )
        if not found:
            raise LineageError(f"{self.path}: voice {voice_id} is gone; restore a backup", "damaged")
        sha256, n_semantic, n_frames, space_id, name, metadata, tokens = found[0]
        if tokens is None:
            raise LineageError(
                f"{self.path}: the tokens of voice {sha256.hex()[:12]} were let go by gc; render the birth again from "
                "its genome and seed",
                "missing",
            )
        try:
            voice = unpacked_voice(
                tokens,
                n_semantic,
                n_frames,
                space_from_json(json.loads(self.text(space_id)), str(self.path)),
                name=name,
                metadata=None if metadata is None else json.loads(metadata),
            )
        except (VoiceFormatError, ValueError, TypeError, RecursionError) as error:
            raise LineageError(
                f"{self.path}: voice {sha256.hex()[:12]} cannot be read: {error}; restore a backup", "damaged"
            ) from error
        if len(self._voices) >= _CACHED_VOICES:
            self._voices.clear()
        self._voices[voice_id] = voice
        return voice

    def _named_voice(self, voice_id: int) -> VoiceHistory:
        """A voice without its tokens."""
        known = self._named_voices.get(voice_id)
        if known is not None:
            return known
        found = self.query("SELECT sha256, space_id, name, metadata FROM voices WHERE voice_id = ?", (voice_id,))
        if not found:
            raise LineageError(f"{self.path}: voice {voice_id} is gone; restore a backup", "damaged")
        sha256, space_id, name, metadata = found[0]
        try:
            space = space_from_json(json.loads(self.text(space_id)), str(self.path))
            facts = {} if metadata is None else json.loads(metadata)
            read = functools.partial(self.stored_voice, voice_id)
            self._named_voices[voice_id] = voice = StoredVoice.of(read, sha256.hex(), space, name, facts)
            return voice
        except (VoiceFormatError, ValueError, TypeError, AttributeError, RecursionError) as error:
            raise LineageError(
                f"{self.path}: voice {sha256.hex()[:12]} cannot be read: {error}; restore a backup", "damaged"
            ) from error

    def _candidate(
        self, row: tuple[Any, ...], parents: tuple[Parent, ...], voice_of: Callable[[int], VoiceHistory]
    ) -> Candidate:
        (identity, prompt, voice_id, settings, lock, operator, version, parameters, generation, seed) = row[:10]
        island, rate, render_first, first_voice_id = row[10:]
        try:
            genome = Genome(
                self.text(prompt),
                None if voice_id is None else voice_of(voice_id),
                RenderSettings(**json.loads(self.text(settings))),
                bool(lock),
            )
            first = None
            if render_first is not None and voice_id is None:
                first = rows.request_from(render_first, None if first_voice_id is None else voice_of(first_voice_id))
            drawn = rows.tuples(_table(parameters))
        except (ValueError, TypeError, RecursionError) as error:
            raise LineageError(
                f"{self.path}: birth {rows.birth_of(identity)} cannot be read: {error}; restore a backup", "damaged"
            ) from error
        return Candidate(
            rows.birth_of(identity),
            genome,
            parents,
            self.text(operator),
            version,
            drawn,
            generation,
            rows.unsigned(seed),
            island,
            rate,
            first,
        )

    def _outcome(self, row: tuple[Any, ...]) -> Outcome:
        identity, replicate, status, total, terms, layout, numbers, reason, evidence, sha256, timings, at, unknown = row
        whose = f"{self.path}: birth {rows.birth_of(identity)}"
        try:
            seconds = {} if timings is None else _table(timings, int, float)
        except (ValueError, TypeError, RecursionError) as error:
            raise LineageError(
                f"{self.path}: the timings of birth {rows.birth_of(identity)} cannot be read: {error}; restore a "
                "backup",
                "damaged",
            ) from error
        for name, value in ((f"timing {name}", value) for name, value in seconds.items()):
            rows.finite(value, f"{whose}: {name}")
        columns = rows.ScoreColumns(
            status,
            terms,
            self.text(layout),
            numbers,
            None if reason is None else self.text(reason),
            evidence,
            None if unknown is None else self.text(unknown),
        )
        try:
            score = rows.score_from(columns)
        except LineageError as error:
            raise LineageError(f"{whose}: {error}", error.trouble) from error
        except BarkError as error:
            raise LineageError(
                f"{whose} has a result that cannot be used: {error}; restore a backup", "damaged"
            ) from error
        return Outcome(
            rows.birth_of(identity),
            replicate,
            score,
            None if total is None else rows.finite(total, f"{whose}: its total"),
            None if sha256 is None else sha256.hex(),
            seconds,
            rows.finite(at, f"{whose}: the time of its result"),
        )

    def _run(self, row: tuple[Any, ...]) -> Run:
        run_id, name, state, reason, config, seed, versions, checkpoints, weights, origin, created_at, execution = row
        try:
            return Run(
                run_id,
                name,
                state,
                reason,
                _table(config),
                rows.unsigned(seed),
                _table(versions, str),
                _table(checkpoints, str),
                _table(weights, int, float),
                None if origin is None else (origin >> 32, rows.birth_of(origin)),
                rows.finite(created_at, f"{self.path}: the time when run {name!r} began"),
                _table(execution),
            )
        except (ValueError, TypeError, RecursionError) as error:
            raise LineageError(
                f"{self.path}: the settings of run {name!r} cannot be read: {error}; restore a backup", "damaged"
            ) from error


def text_key(text: str) -> int:
    """What an interned text is looked up by: eight bytes of its hash as a signed integer."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big", signed=True)


def _table(text: str, *kinds: type) -> dict[str, Any]:
    """A JSON object, whose values may have to be of some types."""
    found = json.loads(text)
    if not isinstance(found, dict) or (kinds and not all(isinstance(value, kinds) for value in found.values())):
        raise TypeError(f"{text[:60]!r} is no JSON object" + (f" of {kinds[-1].__name__}s" if kinds else ""))
    return found


def _chunks(births: Sequence[int]) -> Iterator[Sequence[int]]:
    return (births[begin : begin + _CHUNK] for begin in range(0, len(births), _CHUNK))
