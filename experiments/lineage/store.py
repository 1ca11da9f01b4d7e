"""`Lineage`: the only reader and writer of a lineage file.

Whatever returns has been committed: one transaction per call, and a killed program loses nothing that was
acknowledged. Recording the same thing again changes nothing; recording something else in its place is refused, so a
run that does not resume exactly as it was is found out at once.

Queries over many births are functions of their own, in `ancestry` and `browse`.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any

from bark_infinity.error_handling import VoiceFormatError
from bark_infinity.requests import Rendering
from bark_infinity.voices.history import VoiceHistory
from bark_infinity.voices.metadata import space_to_json
from digital_evolution import Candidate
from experiments.lineage import rows
from experiments.lineage.errors import LineageError
from experiments.lineage.opening import open_for_viewing, open_for_writing
from experiments.lineage.reading import LineageReader, in_turn, text_key
from experiments.lineage.records import Run, RunState
from experiments.lineage.rows import row_id
from experiments.lineage.tallies import Tallies
from experiments.lineage.token_blobs import packed_tokens
from experiments.lineage.writer_lock import WriterLock
from fusion.score import Score

_CACHED_TEXTS = 20_000
_CACHED_VOICES = 4_096


class Lineage(LineageReader):
    """One lineage file, opened by `view` or `write`; a context manager. Any thread may call it."""

    def __init__(self, path: Path, connection: sqlite3.Connection, lock: WriterLock | None) -> None:
        super().__init__(path, connection)
        self._lock = lock
        self._whole_path = path.absolute()  # wherever the program goes
        self._file = None if lock is None else _file_at(self._whole_path)
        self._forget()

    @classmethod
    def view(cls, path: str | os.PathLike[str]) -> Lineage:
        """Opens a file for reading only; another process may be writing it.

        Raises:
            LineageError: When there is no such file, or it is foreign, damaged, older or newer.
        """
        where = Path(path)
        return cls(where, open_for_viewing(where), None)

    @classmethod
    def write(cls, path: str | os.PathLike[str], *, who: str = "") -> Lineage:
        """Opens a file for writing, after creating or migrating it as need be.

        Args:
            path: The file; its folder must be there, on a local disk.
            who: What others are told is writing, such as ``bark-lab run overnight``.

        Raises:
            LineageError: When another process writes it, or it is foreign, damaged, newer or not writable.
        """
        where = Path(path)
        lock = WriterLock.acquire(where, who)
        try:
            return cls(where, open_for_writing(where, lock), lock)
        except BaseException:
            lock.release()
            raise

    @property
    def writable(self) -> bool:
        """Whether it was opened for writing."""
        return self._lock is not None

    def close(self) -> None:
        """Ends the use of the file; a writer's lock is given back."""
        with self._guard:
            if self._pid == os.getpid():  # a forked child must leave its parent's connection alone
                self._connection.close()
            if self._lock is not None:
                self._lock.release()

    def __enter__(self) -> Lineage:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- writing ------------------------------------------------------------------------------------------------

    @in_turn
    def begin_run(
        self,
        name: str,
        *,
        config: Mapping[str, Any] = MappingProxyType({}),
        seed: int = 0,
        versions: Mapping[str, str] = MappingProxyType({}),
        checkpoints: Mapping[str, str] = MappingProxyType({}),
        weights: Mapping[str, float] = MappingProxyType({}),
        branched_from: tuple[int, int] | None = None,
        execution: Mapping[str, Any] = MappingProxyType({}),
    ) -> Run:
        """Records a new run, or finds the one of that name that began with just these facts.

        Args:
            name: Unique in this file.
            config: All settings, as JSON has them.
            seed: 0 to 2**64 - 1.
            versions: Of the program and its libraries; wall-clock facts like these may differ when it resumes.
            checkpoints: Content hashes of the models.
            weights: Of the terms in each birth's total; without any there are no totals.
            branched_from: Run and birth of this file that it begins with.
            execution: How it is conducted at first; a run that is found keeps its own. See `set_execution`.

        Raises:
            LineageError: ``conflict`` when the name is taken by a run that began otherwise.
        """
        if not name.strip():
            raise LineageError("a run's name is empty; give it one", "invalid")
        plain = {key: float(value) for key, value in weights.items()}
        origin = None if branched_from is None else row_id(*branched_from)
        digest = rows.run_digest(name, config, checkpoints, plain, seed, branched_from)
        with self._transaction() as write:
            found = write.execute("SELECT run_id, digest FROM runs WHERE name = ?", (name,)).fetchone()
            if found is not None and found[1] != digest:
                raise LineageError(
                    f"{self.path}: run {name!r} began with another config, seed, weights or checkpoints; resume it "
                    "with its own, or choose another name",
                    "conflict",
                )
            if found is None:
                write.execute(
                    "INSERT INTO runs (name, state, config, seed, versions, checkpoints, weights, digest, "
                    "branched_from, created_at, execution) VALUES (?, 'new', ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        name,
                        rows.sorted_json(config, "the config"),
                        rows.signed(seed),
                        rows.sorted_json(versions, "versions"),
                        rows.sorted_json(checkpoints, "checkpoints"),
                        rows.sorted_json(plain, "weights"),
                        digest,
                        origin,
                        time.time(),
                        rows.sorted_json(execution, "the execution"),
                    ),
                )
        return self.run(name)

    @in_turn
    def set_state(self, run_id: int, state: RunState, reason: str | None = None) -> None:
        """Records what became of a run."""
        with self._transaction() as write:
            write.execute("UPDATE runs SET state = ?, reason = ? WHERE run_id = ?", (state, reason, run_id))

    @in_turn
    def set_execution(self, run_id: int, execution: Mapping[str, Any]) -> None:
        """Records how a run is conducted from now on: workers, batches, limits, and whatever else JSON has a form for.

        None of it decides what comes of the run, so it is in no hash, and may change at any time.

        Raises:
            LineageError: ``missing`` when there is no such run.
        """
        with self._transaction() as write:
            self._require_run(run_id)
            text = rows.sorted_json(execution, "the execution")
            write.execute("UPDATE runs SET execution = ? WHERE run_id = ?", (text, run_id))

    @in_turn
    def record_asked(self, run_id: int, candidates: Sequence[Candidate]) -> int:
        """Records births, in their order, in one transaction.

        Those that are there already must be the same; a run that resumes asks again for what it had asked.

        Returns:
            How many were new.

        Raises:
            LineageError: ``conflict`` when a birth is recorded as another one; ``invalid`` when births are not
                numbered on from the last, or a parent is unknown, or there are parents but not one ``first``.
        """
        with self._transaction() as write:
            last = self._born(run_id)
            new = 0
            for candidate in candidates:
                genome = candidate.genome.sha256
                digest = rows.digest(_asked_line(candidate, genome))
                if candidate.birth <= last:
                    self._require_same_birth(run_id, candidate.birth, digest)
                    continue
                if candidate.birth != last + 1 or candidate.birth > rows.MAX_BIRTH:
                    raise LineageError(
                        f"run {run_id}: birth {candidate.birth} follows {last}; births are recorded without gaps",
                        "invalid",
                    )
                self._insert_birth(write, run_id, candidate, bytes.fromhex(genome), digest)
                last = self._last_births[run_id] = candidate.birth
                new += 1
            if new:
                self._insert_event(write, run_id, "asked", birth=last - new + 1, count=new)
        return new

    @in_turn
    def record_told(
        self,
        run_id: int,
        candidate: Candidate,
        score: Score,
        rendering: Rendering | None = None,
        *,
        replicate: int = 0,
        timings: Mapping[str, float] = MappingProxyType({}),
    ) -> bool:
        """Records what came of a birth, in one transaction.

        Args:
            run_id: Its run.
            candidate: As it was rendered: with its voice, where that had to be rendered first.
            score: The judgement.
            rendering: What was heard; its tokens are kept, its audio is not (see `clips`).
            replicate: 0 for what the swarm is told.
            timings: Seconds by stage; those of the rendering are taken without.

        Returns:
            Whether it was new.

        Raises:
            LineageError: ``missing`` when it was not asked for; ``conflict`` when something else was recorded.
        """
        birth = candidate.birth
        told = None if rendering is None else rows.rendering_json(rendering)
        output = _voice_of(rendering)
        line = rows.evaluation_line(score, told, None if output is None else output.sha256)
        digest, columns, row = rows.digest(line), rows.score_columns(score), row_id(run_id, birth)
        with self._transaction() as write:
            if birth > self._born(run_id):
                raise LineageError(f"run {run_id}: birth {birth} was told but never asked for", "missing")
            found = write.execute(
                "SELECT digest FROM evaluations WHERE birth_id = ? AND replicate = ?", (row, replicate)
            ).fetchone()
            if found is not None:
                if found[0] != digest:
                    raise LineageError(
                        f"run {run_id}: birth {birth}, replicate {replicate} has another result already; results are "
                        "never replaced, so record it under a new replicate",
                        "conflict",
                    )
                return False
            self._complete_genome(write, row, candidate)
            total = self._tallies.total(run_id, score)
            write.execute(
                "INSERT INTO evaluations VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    row,
                    replicate,
                    columns.status,
                    total,
                    columns.terms,
                    self._text_id(columns.layout),
                    columns.numbers,
                    None if columns.reason is None else self._text_id(columns.reason),
                    columns.evidence,
                    told,
                    None if output is None else self._voice_id(write, output),
                    digest,
                    _seconds(rendering, timings),
                    time.time(),
                    None if columns.unknown is None else self._text_id(columns.unknown),
                ),
            )
            if replicate == 0:
                self._tallies.told(write, run_id, birth, score, total)
                self._insert_event(write, run_id, "told", birth=birth)
        return True

    @in_turn
    def record_event(self, run_id: int, kind: str, payload: Any = None, birth: int | None = None) -> int:
        """Records anything else that happened, in its place among what was asked and told.

        Returns:
            Its number in the run.

        Raises:
            LineageError: ``invalid`` for the kinds ``asked`` and ``told``, which have methods of their own.
        """
        if kind in ("asked", "told"):
            raise LineageError(f"event {kind!r} is recorded by record_{kind}; choose another kind", "invalid")
        with self._transaction() as write:
            return self._insert_event(write, run_id, kind, birth=birth, payload=payload, at=time.time())

    @in_turn
    def record_died(self, run_id: int, births: Iterable[int], at: int) -> None:
        """Records that births left the population when ``at`` births had been asked for."""
        with self._transaction() as write:
            write.executemany(
                "UPDATE births SET died = ? WHERE id = ? AND died IS NULL",
                [(at, row_id(run_id, birth)) for birth in births],
            )

    @in_turn
    def keep_voice(self, voice: VoiceHistory) -> str:
        """Stores a voice that no birth has yet; returns its hash."""
        with self._transaction() as write:
            self._voice_id(write, voice)
        return voice.sha256

    @in_turn
    def wait_for_disk(self) -> None:
        """From now on every commit waits for the disk, so that not even a power cut loses one.

        Without, a killed program loses nothing, and a power cut at most the last moments, never the file's consistency.
        """
        self._require_writable()
        self._connection.execute("PRAGMA synchronous = FULL")

    @in_turn
    def vacuum(self) -> None:
        """Rewrites the file without gaps; whole or not at all."""
        self._require_writable()
        self._connection.execute("VACUUM")

    def forget(self) -> None:
        """Drops what is remembered of rows, after another module changed some."""
        with self.turn("forgetting"):
            self._forget()

    # -- inside -------------------------------------------------------------------------------------------------

    @contextmanager
    def transaction(self, doing: str) -> Iterator[sqlite3.Connection]:
        """A turn whose changes are committed together, or undone."""
        with self.turn(doing), self._transaction() as write:
            yield write

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._require_writable()
        write = self._connection
        if write.in_transaction:
            yield write  # part of the caller's
            return
        write.execute("BEGIN IMMEDIATE")
        try:
            yield write
            self._require_in_its_place()
            write.execute("COMMIT")
        except BaseException:
            self._forget()
            if self._connection.in_transaction:  # SQLite has ended it itself after some errors
                write.execute("ROLLBACK")
            raise

    def _require_writable(self) -> None:
        if self._lock is None:
            raise LineageError(f"{self.path} was opened for viewing; open it with Lineage.write", "unusable")

    def _require_in_its_place(self) -> None:
        """SQLite goes on writing a file that was moved or deleted, and nobody would find what it wrote."""
        if _file_at(self._whole_path) != self._file:
            raise LineageError(
                f"{self.path} was moved, renamed or deleted while it was being written; this step was undone. Put it "
                f"back where it was, beside {self.path.name}-wal, which holds the latest births, and resume",
                "unusable",
            )

    def _forget(self) -> None:
        """Drops everything remembered about rows, which may be undone now."""
        self._text_ids: dict[str, int] = {}
        self._voice_ids: dict[bytes, int] = {}
        self._last_births: dict[int, int] = {}
        self._last_events: dict[int, int] = {}
        self._tallies = Tallies(self._connection, self._text_id)
        self._texts.clear()
        self._voices.clear()
        self.pedigree.forget()

    def _born(self, run_id: int) -> int:
        if run_id not in self._last_births:
            self._last_births[run_id] = self._last_birth(run_id)
        return self._last_births[run_id]

    def _require_same_birth(self, run_id: int, birth: int, digest: bytes) -> None:
        [(there,)] = self.query("SELECT digest FROM births WHERE id = ?", (row_id(run_id, birth),))
        if there != digest:
            raise LineageError(
                f"run {run_id}: birth {birth} is recorded as another candidate than is asked for now; the run does "
                "not resume as it was (other settings, or another version of the program?): branch a new run instead",
                "conflict",
            )

    def _insert_birth(
        self, write: sqlite3.Connection, run_id: int, candidate: Candidate, genome_sha256: bytes, digest: bytes
    ) -> None:
        row, genome, first = row_id(run_id, candidate.birth), candidate.genome, candidate.render_first
        if candidate.parents and sum(parent.role == "first" for parent in candidate.parents) != 1:
            raise LineageError(
                f"run {run_id}: birth {candidate.birth} has parents but not exactly one of role 'first', which its "
                "primary line goes through",
                "invalid",
            )
        if any(not 1 <= parent.birth < candidate.birth for parent in candidate.parents):
            raise LineageError(
                f"run {run_id}: birth {candidate.birth} has a parent that was not born before it", "invalid"
            )
        operator = self._text_id(candidate.operator)
        write.execute(
            "INSERT INTO births (id, generation, operator_id, operator_version, parameters, prompt_id, voice_id, "
            "settings_id, content_lock, render_first, first_voice_id, island, rate, seed, genome, digest, born_at) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                row,
                candidate.generation,
                operator,
                candidate.operator_version,
                rows.sorted_json(candidate.parameters, f"the parameters of birth {candidate.birth}"),
                self._text_id(genome.prompt),
                None if genome.voice is None else self._voice_id(write, genome.voice),
                self._text_id(rows.settings_json(genome.settings)),
                int(genome.content_lock),
                None if first is None else rows.request_json(first),
                None if first is None or first.voice is None else self._voice_id(write, first.voice),
                candidate.island,
                float(candidate.rate),
                rows.signed(candidate.seed),
                genome_sha256,
                digest,
                time.time(),
            ),
        )
        write.executemany(
            "INSERT INTO parents VALUES (?, ?, ?, ?)",
            [(row, slot, row_id(run_id, parent.birth), parent.role) for slot, parent in enumerate(candidate.parents)],
        )
        self._tallies.asked(write, run_id, candidate, operator)

    def _complete_genome(self, write: sqlite3.Connection, row: int, candidate: Candidate) -> None:
        """Checks that the candidate is the one that was asked for; enters the voice that was rendered for it."""
        sha256 = bytes.fromhex(candidate.genome.sha256)
        [(recorded, voice_id, render_first)] = self.query(
            "SELECT genome, voice_id, render_first FROM births WHERE id = ?", (row,)
        )
        if recorded == sha256:
            return
        voice = candidate.genome.voice
        if render_first is None or voice_id is not None or voice is None:
            raise LineageError(
                f"birth {candidate.birth} was told with another genome than it was asked for", "conflict"
            )
        write.execute(
            "UPDATE births SET voice_id = ?, genome = ? WHERE id = ?", (self._voice_id(write, voice), sha256, row)
        )

    def _insert_event(
        self,
        write: sqlite3.Connection,
        run_id: int,
        kind: str,
        *,
        birth: int | None = None,
        count: int | None = None,
        payload: Any = None,
        at: float | None = None,
    ) -> int:
        last = self._last_events.get(run_id)
        if last is None:
            self._require_run(run_id)
            [(last,)] = self.query("SELECT coalesce(max(seq), 0) FROM events WHERE run_id = ?", (run_id,))
        text = None if payload is None else rows.sorted_json(payload, f"event {kind}")
        write.execute(
            "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?)", (run_id, last + 1, kind, birth, count, text, at)
        )
        self._last_events[run_id] = last + 1
        return int(last + 1)

    def _text_id(self, text: str) -> int:
        """The number of an interned text; only a writer adds any."""
        found = self._text_ids.get(text)
        if found is not None:
            return found
        key = text_key(text)
        rows_found = self.query("SELECT text_id FROM texts WHERE key = ? AND text = ?", (key, text))
        if rows_found:
            number = int(rows_found[0][0])
        else:
            cursor = self._connection.execute("INSERT INTO texts (key, text) VALUES (?, ?)", (key, text))
            number = int(cursor.lastrowid or 0)
        if len(self._text_ids) >= _CACHED_TEXTS:
            self._text_ids.clear()
        self._text_ids[text] = number
        return number

    def _voice_id(self, write: sqlite3.Connection, voice: VoiceHistory) -> int:
        sha256 = bytes.fromhex(voice.sha256)
        if sha256 in self._voice_ids:
            return self._voice_ids[sha256]
        found = self.query("SELECT voice_id, tokens IS NULL FROM voices WHERE sha256 = ?", (sha256,))
        if not found:
            space = rows.sorted_json(space_to_json(voice.space), "a token space")
            cursor = write.execute(
                "INSERT INTO voices (sha256, n_semantic, n_frames, space_id, name, metadata, tokens) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    sha256,
                    voice.semantic.size,
                    voice.fine.shape[1],
                    self._text_id(space),
                    voice.name,
                    rows.sorted_json(voice.metadata, "a voice's metadata") if voice.metadata else None,
                    packed_tokens(voice),
                ),
            )
            number = int(cursor.lastrowid or 0)
        else:
            number = int(found[0][0])
            if found[0][1]:  # rendered again after gc
                write.execute("UPDATE voices SET tokens = ? WHERE voice_id = ?", (packed_tokens(voice), number))
        if len(self._voice_ids) >= _CACHED_VOICES:
            self._voice_ids.clear()
        self._voice_ids[sha256] = number
        return number


def _asked_line(candidate: Candidate, genome_sha256: str) -> str:
    first = candidate.render_first
    return rows.candidate_line(candidate, genome_sha256, None if first is None else rows.request_json(first))


def _voice_of(rendering: Rendering | None) -> VoiceHistory | None:
    """What was rendered, when every stage gave its tokens."""
    if rendering is None or not rendering.tokens.fine.size:
        return None
    try:
        return rendering.as_voice()
    except VoiceFormatError:  # stages that were given, not rendered, need not fit each other
        return None


def _seconds(rendering: Rendering | None, timings: Mapping[str, float]) -> str | None:
    spent = dict(timings)
    if rendering is not None:
        took = rendering.timings
        spent |= {"semantic": took.semantic_s, "coarse": took.coarse_s, "fine": took.fine_s, "codec": took.codec_s}
    known = {name: round(float(seconds), 4) for name, seconds in spent.items() if seconds}
    return rows.canonical_json(known, "timings") if known else None


def _file_at(path: Path) -> tuple[int, int] | None:
    """Which file is in a place, whatever it is called elsewhere; None when there is none."""
    try:
        there = path.stat()
    except OSError:
        return None
    return there.st_dev, there.st_ino
