"""Runs of files that are anyone's: whatever settings, events and results hold, resuming says so in plain words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from runner_builders import config, run_at_once

from bark_infinity.error_handling import BarkError
from experiments.lineage import Lineage
from experiments.lineage.verification import verify
from experiments.recorded_run import RecordedRun

DEEP = "[" * 100_000


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("foreign") / "run.db"
    with Lineage.write(path) as lineage:
        run_at_once(RecordedRun.begin(lineage, config()), 6)
        lineage.vacuum()
        lineage.query("PRAGMA wal_checkpoint(TRUNCATE)")
    return path.read_bytes()


def resume_with(recorded: bytes, path: Path, sql: str, *values: Any) -> None:
    """Changes a file, and goes on with its run for some births."""
    path.write_bytes(recorded)
    with Lineage.write(path) as lineage, lineage.transaction("tampering") as write:
        write.execute(sql, values)
    with Lineage.write(path) as lineage:
        run_at_once(RecordedRun.resume(lineage, 1), 3)


@pytest.mark.parametrize("column", ["config", "execution", "weights", "versions", "checkpoints"])
@pytest.mark.parametrize("text", ["[]", "3", '"text"', "null", '{"x": 1', DEEP])
def test_settings_that_are_no_table_are_damage(recorded: bytes, tmp_path: Path, column: str, text: str):
    with pytest.raises(BarkError, match=r"settings of run 'made up' cannot be read.*restore a backup"):
        resume_with(recorded, tmp_path / "run.db", f"UPDATE runs SET {column} = ?", text)


@pytest.mark.parametrize(
    ("column", "text", "why"),
    [
        ("config", '{"seeed": 3}', "did you mean seed"),
        ("execution", '{"worked_s": []}', "seconds of work"),
        ("execution", '{"worked_s": "long"}', "seconds of work"),
        ("execution", '{"worked_s": NaN}', "seconds of work"),
        ("execution", '{"stop": 3}', "stop is 3, expected a table"),
        ("weights", '{"intelligibility": "much"}', "cannot be read"),
        ("checkpoints", '{"model.safetensors": []}', "cannot be read"),
        ("checkpoints", '{"model.safetensors": "00"}', "another checkpoint"),
    ],
)
def test_settings_of_other_kinds_are_refused(recorded: bytes, tmp_path: Path, column: str, text: str, why: str):
    with pytest.raises(BarkError, match=why):
        resume_with(recorded, tmp_path / "run.db", f"UPDATE runs SET {column} = ?", text)


@pytest.mark.parametrize("text", [None, "3", "[3]", "{", '"text"', DEEP])
def test_founders_that_are_none_are_damage(recorded: bytes, tmp_path: Path, text: str | None):
    with pytest.raises(BarkError, match=r"cannot be read|a recorded intervention is"):
        resume_with(recorded, tmp_path / "run.db", "UPDATE events SET payload = ? WHERE kind = 'founded'", text)


@pytest.mark.parametrize(
    "text",
    [
        None,
        "{}",
        "[]",
        DEEP,
        '{"step": "3", "intervention": {"kind": "pin", "birth": 1}}',
        '{"step": [], "intervention": {"kind": "unpin", "birth": 1}}',
        '{"step": 3, "intervention": {"kind": "pin", "birth": "first"}}',
        '{"step": 3, "intervention": {"kind": "revise", "objectives": {"1": [NaN, 1]}}}',
        '{"step": 1, "intervention": {"kind": "pin", "birth": 1}}',
    ],
)
def test_interventions_that_are_none_are_damage(recorded: bytes, tmp_path: Path, text: str | None):
    sql = "INSERT INTO events (run_id, seq, kind, payload) VALUES (1, 900, 'intervened', ?)"
    with pytest.raises(BarkError):
        resume_with(recorded, tmp_path / "run.db", sql, text)


@pytest.mark.parametrize(
    "column",
    [
        *("births.parameters", "births.render_first", "texts.text", "voices.metadata"),
        *("evaluations.timings", "evaluations.terms", "evaluations.evidence", "evaluations.rendering"),
    ],
)
@pytest.mark.parametrize("text", ["[]", "3", "{", '{"a": "b"}', DEEP])
def test_results_that_are_none_are_refused_or_passed_over(recorded: bytes, tmp_path: Path, column: str, text: str):
    table, name = column.split(".")
    path = tmp_path / "run.db"
    try:
        resume_with(recorded, path, f"UPDATE {table} SET {name} = ?", text)
    except BarkError:
        return
    with Lineage.view(path) as lineage:  # what resuming does not read may be anything; `verify` finds it
        # What a voice is called decides nothing.
        assert verify(lineage) != [] or column == "voices.metadata"
