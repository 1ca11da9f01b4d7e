"""SIGKILL at any instant: what was acknowledged is there, and the run ends as if nothing had happened.

A forked child counts every statement and every few hundred steps inside SQLite, and kills itself at one of them; the
instants are spread over the whole of what it does, between and inside transactions.
"""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from lineage_builders import FIXTURE_CONTENT, begin, candidate, evolve, fixture, heard, rendering, score

from experiments.lineage import Lineage, clips, collection, people, verification
from experiments.lineage.migrations import backup_path
from experiments.lineage.schema import VERSION, expected_objects, objects

BIRTHS = 12
_STEPS = 300  # of SQLite's machine between two instants

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a forked child")


def in_child(work: Callable[[Callable[[int], None]], None], kill_at: int = 0) -> tuple[int, list[int], int]:
    """Runs work in a child that is killed at an instant; 0 lets it live.

    Returns:
        Its exit code (negative: the signal), what it acknowledged, and the instants it went through.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            instants = 0
            connect = sqlite3.connect

            def step(*_: object) -> int:
                nonlocal instants
                instants += 1
                if instants == kill_at:
                    os.kill(os.getpid(), signal.SIGKILL)
                return 0

            def watched(*args: object, **kwargs: object) -> sqlite3.Connection:
                connection = connect(*args, **kwargs)
                connection.set_trace_callback(step)
                connection.set_progress_handler(step, _STEPS)
                return connection

            sqlite3.connect = watched
            work(lambda number: os.write(writer, number.to_bytes(4, "big")))
            os.write(writer, (instants | 1 << 31).to_bytes(4, "big"))
            code = 0
        finally:
            os._exit(code)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        numbers = [int.from_bytes(word, "big") for word in iter(lambda: pipe.read(4), b"")]
    _, status = os.waitpid(child, 0)
    instants = numbers.pop() & ~(1 << 31) if numbers and numbers[-1] >> 31 else 0
    return os.waitstatus_to_exitcode(status), numbers, instants


def spread(instants: int, count: int) -> list[int]:
    return sorted({int(at) for at in np.linspace(1, instants, count)})


def run_to_the_end(path: Path, acknowledge: Callable[[int], None] = lambda number: None) -> None:
    with Lineage.write(path) as lineage:
        run_id = begin(lineage)
        for start in range(1, BIRTHS + 1, 4):
            asked = [candidate(birth) for birth in range(start, start + 4)]
            lineage.record_asked(run_id, asked)
            for one in asked:
                lineage.record_told(run_id, heard(one), score(one.birth), rendering(one.birth))
                acknowledge(one.birth)
        lineage.set_state(run_id, "done")


def test_killed_while_recording(tmp_path):
    code, acknowledged, instants = in_child(lambda tell: run_to_the_end(tmp_path / "whole.db", tell))
    assert (code, acknowledged) == (0, list(range(1, BIRTHS + 1)))
    with Lineage.view(tmp_path / "whole.db") as lineage:
        whole = verification.content_sha256(lineage, order=True)
    for at in spread(instants, 40):
        path = tmp_path / f"{at}.db"
        code, acknowledged, _ = in_child(lambda tell, path=path: run_to_the_end(path, tell), at)
        assert code == -signal.SIGKILL
        if acknowledged:
            with Lineage.view(path) as lineage:
                assert all(lineage.outcome(1, birth).score == score(birth) for birth in acknowledged)
                assert verification.verify(lineage) == []
        run_to_the_end(path)
        with Lineage.view(path) as lineage:
            assert verification.content_sha256(lineage, order=True) == whole
            assert verification.verify(lineage) == []


def test_killed_while_migrating(tmp_path):
    def migrated(path: Path) -> None:
        Lineage.write(path).close()

    first = fixture(1, tmp_path / "whole.db")
    code, _, instants = in_child(lambda tell: migrated(first))
    assert code == 0
    reached = set()
    for at in spread(instants, 40):
        path = fixture(1, tmp_path / f"{at}.db")
        code, _, _ = in_child(lambda tell, path=path: migrated(path), at)
        assert code == -signal.SIGKILL
        connection = sqlite3.connect(path)
        [(version,)] = connection.execute("PRAGMA user_version").fetchall()
        assert objects(connection) == expected_objects(version)  # a step is done as a whole, or not at all
        connection.close()
        reached.add(version)
        with Lineage.write(path) as lineage:
            assert verification.verify(lineage) == []
            assert verification.content_sha256(lineage) == FIXTURE_CONTENT
        assert backup_path(path, 1).exists()
        assert not list(tmp_path.glob(f".{at}.*.part"))
    assert reached == set(range(1, VERSION + 1))  # kills fell before, between and after the commits


def test_killed_while_collecting(tmp_path):
    def prepared(path: Path) -> Path:
        with Lineage.write(path) as lineage:
            run_id = evolve(lineage, BIRTHS)
            with lineage.transaction("forgetting the best") as write:
                write.execute("DELETE FROM leaders")  # with so few births all are among the best
            people.tag(lineage, run_id, 9, "elite")
            for birth in (1, 2, 9):
                clips.keep_clip(lineage, run_id, birth, np.full(100, birth / 100, np.float32), 24_000)
        return path

    def collected(path: Path) -> None:
        with Lineage.write(path) as lineage:
            collection.collect(lineage, ancestors="none", grace_s=0, compact=True)

    def facts(path: Path) -> tuple[str, object, object, list[str]]:
        with Lineage.view(path) as lineage, lineage.turn("comparing"):
            problems = [problem for problem in verification.verify(lineage) if "leaders" not in problem]
            assert problems == []
            return (
                verification.content_sha256(lineage),
                lineage.query("SELECT hex(sha256) FROM voices WHERE tokens IS NULL ORDER BY sha256"),
                lineage.query("SELECT birth_id FROM clips"),
                sorted(file.name for file in clips.clip_folder(path).iterdir()),
            )

    first = prepared(tmp_path / "whole.db")
    before = facts(first)
    code, _, instants = in_child(lambda tell: collected(first))
    assert code == 0
    whole = facts(first)
    assert whole[0] == before[0]
    assert len(whole[1]) > 3
    assert len(whole[3]) == 1
    for at in spread(instants, 25):
        path = prepared(tmp_path / f"{at}.db")
        code, _, _ = in_child(lambda tell, path=path: collected(path), at)
        assert code == -signal.SIGKILL
        assert facts(path)[0] == whole[0]
        collected(path)
        assert facts(path) == whole
