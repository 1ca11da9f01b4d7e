"""Files that are not ours, not whole, not now, or not for us to write: refused in plain words, and left as they are."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from lineage_builders import FIXTURE_CONTENT, begin, candidate, evolve, fixture, heard, rendering, score

from experiments.lineage import Lineage, LineageError, ancestry, browse, people, verification
from experiments.lineage.errors import explained
from experiments.lineage.migrations import MIGRATIONS, backup_path
from experiments.lineage.schema import STATEMENTS, VERSION, expected_objects, objects
from experiments.lineage.writer_lock import current_writer, lock_path


def bytes_of(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


@pytest.mark.parametrize("version", range(1, VERSION + 1))
def test_every_released_schema_opens_and_says_what_it_said(version, tmp_path):
    path = fixture(version, tmp_path / "old.db")
    if version < VERSION:
        with pytest.raises(LineageError, match=f"has schema {version}, this program reads {VERSION}") as refusal:
            Lineage.view(path)
        assert refusal.value.trouble == "older"
    with Lineage.write(path) as lineage:
        assert verification.verify(lineage) == []
        assert verification.content_sha256(lineage) == FIXTURE_CONTENT
        run_id = evolve(lineage, 16)  # asks again for what was asked, and goes on
        people.tag(lineage, run_id, 3, "elite")
        assert verification.verify(lineage) == []
    backup = backup_path(path, version)
    assert backup.exists() == (version < VERSION)
    if backup.exists():
        connection = sqlite3.connect(backup)
        assert connection.execute("PRAGMA user_version").fetchone() == (version,)
        assert connection.execute("SELECT count(*) FROM births").fetchone() == (12,)
        connection.close()


def test_migrations_and_statements_name_the_same_versions():
    assert sorted(STATEMENTS) == list(range(1, VERSION + 1))
    assert [step.name[:4] for step in MIGRATIONS.pending(_Empty())] == [
        f"m{number:03}" for number in sorted(STATEMENTS)
    ]


class _Empty:
    """A database in which nothing was applied."""

    def __getitem__(self, name: str) -> _Empty:
        return self

    def exists(self) -> bool:
        return False


def test_fixtures_hold_the_schema_of_their_version(tmp_path):
    for version in STATEMENTS:
        path = fixture(version, tmp_path / f"{version}.db")
        connection = sqlite3.connect(path)
        assert objects(connection).keys() == expected_objects(version).keys()
        connection.close()


def made(path: Path, *statements: str) -> Path:
    with Lineage.write(path) as lineage:
        evolve(lineage, 6)
    if statements:
        connection = sqlite3.connect(path)
        for statement in statements:
            connection.execute(statement)
        connection.commit()
        connection.close()
    return path


FOREIGN = {
    "a newer version": (["PRAGMA user_version = 99"], "newer", "has schema 99"),
    "another program's": (["PRAGMA application_id = 1"], "foreign", "of another program"),
    "no version": (["PRAGMA user_version = 0"], "foreign", "not that of a lineage"),
    "a trigger": (
        ["CREATE TRIGGER sneaky AFTER INSERT ON births BEGIN DELETE FROM runs; END"],
        "foreign",
        "differs in sneaky",
    ),
    "a changed view": (
        ["DROP VIEW lineage_tree", "CREATE VIEW lineage_tree AS SELECT load_extension('evil')"],
        "foreign",
        "differs in lineage_tree",
    ),
    "a missing table": (["DROP TABLE clips"], "foreign", "differs in clips"),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_file_is_refused_with(kind, tmp_path):
    statements, trouble, told = FOREIGN[kind]
    path = made(tmp_path / "run.db", *statements)
    before = bytes_of(path)
    for how in (Lineage.view, Lineage.write):
        with pytest.raises(LineageError, match=told) as refusal:
            how(path)
        assert refusal.value.trouble == trouble
    assert bytes_of(path) == before


def test_files_that_are_no_database_are_refused(tmp_path):
    for name, content, trouble in (("text.db", b"hello" * 99, "foreign"), ("gone.db", None, "missing")):
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
            with pytest.raises(LineageError, match="no SQLite database"):
                Lineage.write(path)
        with pytest.raises(LineageError) as refusal:
            Lineage.view(path)
        assert refusal.value.trouble == trouble
        assert bytes_of(path) == (content or b"")
    with pytest.raises(LineageError) as refusal:
        Lineage.write(tmp_path / "no" / "folder" / "run.db")
    assert refusal.value.trouble == "unusable"


@pytest.mark.parametrize("with_its_lock", [False, True])
def test_a_damaged_file_from_elsewhere_is_found_out_at_once(with_its_lock, tmp_path):
    there = made(tmp_path / "there.db")
    path = tmp_path / "run.db"
    if with_its_lock:
        lock_path(path).write_bytes(lock_path(there).read_bytes())
    path.write_bytes(there.read_bytes())
    content = bytearray(path.read_bytes())
    for page in range(8, len(content) // 4096):
        content[page * 4096 + 2 : page * 4096 + 8] = b"\xff" * 6
    path.write_bytes(content)
    for how in (Lineage.view, Lineage.write):
        with pytest.raises(LineageError, match="the database is damaged") as refusal:
            how(path)
        assert refusal.value.trouble == "damaged"


def test_a_cut_off_file_is_damaged_not_a_crash(tmp_path):
    path = made(tmp_path / "run.db")
    whole = path.read_bytes()
    lock_path(path).unlink()
    for length in (20, 100, 4096, len(whole) // 2, len(whole) - 4096):
        path.write_bytes(whole[:length])
        with pytest.raises(LineageError) as refusal:
            Lineage.view(path)
        assert refusal.value.trouble in ("damaged", "foreign", "unusable")


def test_schema_cannot_call_functions_that_do_harm(tmp_path):
    path = made(tmp_path / "run.db")
    with Lineage.view(path) as lineage, lineage.turn("looking"):
        assert lineage.query("PRAGMA trusted_schema") == [(0,)]
        assert lineage.query("PRAGMA query_only") == [(1,)]
        with pytest.raises(sqlite3.OperationalError, match="not authorized"):
            lineage.query("SELECT load_extension('evil')")


def test_an_empty_file_is_a_lineage_to_be(tmp_path):
    path = tmp_path / "run.db"
    path.touch()
    with pytest.raises(LineageError, match="nothing is recorded in it yet"):
        Lineage.view(path)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")  # as far as a writer that was killed at once had come
    connection.close()
    with pytest.raises(LineageError, match="nothing is recorded in it yet"):
        Lineage.view(path)
    Lineage.write(path).close()
    Lineage.view(path).close()


def test_a_viewer_cannot_write(tmp_path):
    path = made(tmp_path / "run.db")
    with Lineage.view(path) as lineage, pytest.raises(LineageError, match="opened for viewing"):
        begin(lineage, "other")


def test_a_second_writer_is_told_who_the_first_is(tmp_path):
    path = tmp_path / "run.db"
    with Lineage.write(path, who="bark-lab run overnight"):
        with pytest.raises(LineageError, match=r"this process itself \(bark-lab run overnight\)") as refusal:
            Lineage.write(path)
        assert refusal.value.trouble == "locked"
        program = (
            "import sys; from experiments.lineage import Lineage, LineageError\n"
            "try: Lineage.write(sys.argv[1])\n"
            "except LineageError as error: print(error.trouble, error)"
        )
        told = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=True).stdout
        assert told.startswith("locked")
        assert f"bark-lab run overnight, process {os.getpid()} on " in told
        Lineage.view(path).close()
        with pytest.raises(LineageError):  # looking has not dropped the lock
            Lineage.write(path)
    Lineage.write(path).close()


def test_viewers_beside_a_writer_leave_its_locks_alone(tmp_path):
    """Had a viewer opened and closed the file itself, SQLite's locks of this process would be gone."""
    path = tmp_path / "run.db"
    with Lineage.write(path) as lineage:
        run_id = evolve(lineage, 4)
        for _ in range(3):
            Lineage.view(path).close()
        program = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('SELECT count(*) FROM births').fetchall()"
        subprocess.run([sys.executable, "-c", program, path], check=True)  # the last to close a WAL file removes it
        assert Path(f"{path}-wal").exists()
        lineage.record_asked(run_id, [candidate(5)])
    with Lineage.view(path) as lineage:
        assert lineage.last_birth(run_id) == 5


def test_workers_that_a_killed_writer_forked_do_not_keep_the_lock(tmp_path):
    path = tmp_path / "run.db"
    report, told = os.pipe()
    writer = os.fork()
    if writer == 0:
        with contextlib.suppress(BaseException):
            lineage = Lineage.write(path)
            worker = os.fork()
            if worker == 0:
                time.sleep(30)
                os._exit(0)
            with pytest.raises(LineageError, match="this process itself"):
                Lineage.write(path)
            os.write(told, json.dumps([worker, lineage.writable]).encode())
            time.sleep(30)
        os._exit(1)
    worker, writable = json.loads(os.read(report, 100))
    try:
        assert writable
        os.kill(writer, signal.SIGKILL)
        os.waitpid(writer, 0)
        os.kill(worker, 0)  # it lives
        Lineage.write(path).close()
    finally:
        os.kill(worker, signal.SIGKILL)


def test_anyone_can_ask_who_writes_without_being_in_the_way(tmp_path):
    path = tmp_path / "run.db"
    assert current_writer(path) is None
    report, told = os.pipe()
    writer = os.fork()
    if writer == 0:
        with contextlib.suppress(BaseException), Lineage.write(path, who="bark-lab run overnight"):
            os.write(told, b"!")
            time.sleep(30)
        os._exit(1)
    try:
        os.read(report, 1)
        for _ in range(3):
            assert str(current_writer(path)).startswith(f"bark-lab run overnight, process {writer} on ")
        with pytest.raises(LineageError, match="is being written by"):
            Lineage.write(path)
    finally:
        os.kill(writer, signal.SIGKILL)
        os.waitpid(writer, 0)
    assert current_writer(path) is None  # though its name is still in the lock file
    with Lineage.write(path, who="me"):
        assert current_writer(path) == "me"
        program = "import sys; from pathlib import Path; from experiments.lineage.writer_lock import current_writer\n"
        program += "print(current_writer(Path(sys.argv[1])))"
        seen = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=True).stdout
        assert seen.startswith(f"me, process {os.getpid()} on ")  # asking in this process has not dropped the lock


def test_a_full_disk_undoes_the_step_and_the_run_goes_on_once_there_is_room(tmp_path):
    with Lineage.write(tmp_path / "run.db") as lineage:
        run_id = evolve(lineage, 8)
        with lineage.turn("filling the disk"):
            [(pages,)] = lineage.query("PRAGMA page_count")
            lineage.query(f"PRAGMA max_page_count = {pages + 2}")
        with pytest.raises(LineageError, match="the disk is full while record") as refusal:
            evolve(lineage, 40)
        assert refusal.value.trouble == "full"
        assert verification.verify(lineage) == []
        recorded = lineage.last_birth(run_id)
        assert 8 <= recorded < 40
        with lineage.turn("making room"):
            lineage.query("PRAGMA max_page_count = 1000000")
        evolve(lineage, 40)
        interrupted = verification.content_sha256(lineage)
        assert verification.verify(lineage) == []
    with Lineage.write(tmp_path / "other.db") as lineage:
        evolve(lineage, 40)
        assert verification.content_sha256(lineage) == interrupted


def test_a_browser_with_unsaved_changes_is_named_as_the_trouble(tmp_path, monkeypatch):
    monkeypatch.setattr("experiments.lineage.opening._BUSY_S", 0.05)
    with Lineage.write(tmp_path / "run.db") as lineage:
        run_id = evolve(lineage, 4)
        browser = sqlite3.connect(tmp_path / "run.db", isolation_level=None)
        browser.execute("BEGIN IMMEDIATE")
        with pytest.raises(LineageError, match="another program holds the database locked") as refusal:
            lineage.record_asked(run_id, [candidate(5)])
        assert refusal.value.trouble == "locked"
        browser.execute("ROLLBACK")
        browser.close()
        assert lineage.record_asked(run_id, [candidate(5)]) == 1


def test_an_error_of_the_disk_is_told_as_one(tmp_path):
    with pytest.raises(LineageError, match="disk is full while exporting") as refusal, explained(tmp_path, "exporting"):
        raise OSError(28, "No space left on device")
    assert refusal.value.trouble == "full"


def test_a_viewer_reads_in_a_loop_while_another_process_writes(tmp_path):
    path = tmp_path / "run.db"
    with Lineage.write(path) as lineage:
        run_id = evolve(lineage, 8)
    writer = os.fork()
    if writer == 0:
        try:
            with Lineage.write(path) as lineage:
                until = time.monotonic() + 3
                birth = 9
                while time.monotonic() < until:
                    one = candidate(birth)
                    lineage.record_asked(run_id, [one])
                    lineage.record_told(run_id, heard(one), score(birth), rendering(birth))
                    birth += 1
            os._exit(0)
        except BaseException:
            os._exit(1)
    seen, rounds = 0, 0
    while True:
        with Lineage.view(path) as viewer:
            for _ in range(5):
                born = viewer.last_birth(run_id)
                assert born >= seen
                seen = born
                page = browse.page(viewer, run_id, after=max(0, born - 20))
                assert page[0].birth <= born
                assert ancestry.primary_line(viewer, run_id, born)[0] == born
                assert browse.counts(viewer, run_id).asked >= born
                browse.curve(viewer, run_id)
            viewer.query("SELECT * FROM lineage_tree LIMIT 20")
        rounds += 1
        done, status = os.waitpid(writer, os.WNOHANG)
        if done:
            break
    assert os.waitstatus_to_exitcode(status) == 0
    assert rounds > 5
    with Lineage.view(path) as viewer:
        assert viewer.last_birth(run_id) > 20
        assert verification.verify(viewer) == []


def test_what_people_said_survives_the_migration_to_schema_4_and_both_bad_is_new(tmp_path):
    path = fixture(3, tmp_path / "old.db")
    said = [
        (1, 1, "better", (1 << 32) + 2, (1 << 32) + 3, None, "ada", "s", 1.5, 10.0, 0, None),
        (4, 1, "rating", (1 << 32) + 5, None, 0.0, "ada", "s", None, 11.0, 1, 12.0),  # 2 and 3 were never given
    ]
    connection = sqlite3.connect(path)
    with connection:
        connection.executemany(f"INSERT INTO judgements VALUES ({', '.join('?' * 12)})", said)
    connection.close()
    with Lineage.write(path) as lineage:
        assert lineage.query("SELECT * FROM judgements ORDER BY 1") == said
        number = people.judge(lineage, 1, "both_bad", 6, 7, rater="ada")
        assert number == 5
        assert people.judgements(lineage, 1)[-1].kind == "both_bad"
        with pytest.raises(LineageError, match="makes no sense"):
            people.judge(lineage, 1, "both_bad", 6, value=0.0)
    with Lineage.view(path) as lineage:
        assert lineage.query(
            "SELECT kind, one & 4294967295, other & 4294967295 FROM judgements WHERE judgement_id = 5"
        ) == [("both_bad", 6, 7)]
