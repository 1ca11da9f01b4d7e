"""Seeded clicking and typing over every widget while a run goes on: no crash, no lost judgement, no traceback."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import window_hands

pytestmark = pytest.mark.gui


def let_loose(folder: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, seed: int) -> dict[str, Any]:
    """What a monkey did; it broke nothing, and every judgement that a run took is recorded or was refused."""
    monkeypatch.setenv("XDG_DATA_HOME", str(folder / "data"))
    monkeypatch.setenv("HOME", str(folder))  # where file dialogs begin
    done = window_hands.in_own_process(
        "window_monkey.py", str(folder), str(seconds), str(seed), timeout_s=2 * seconds + 120
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert "Traceback" not in done.stderr, done.stderr[-4000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert found["tracebacks"] == []
    assert found["problems"] == []
    assert found["closed"]
    assert found["recorded"] == found["taken"] - found["refused"]
    return found


def test_a_monkey_breaks_nothing_and_loses_no_judgement(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    found = let_loose(tmp_path, monkeypatch, 12, 3)
    assert found["actions"] > 3


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_ten_minutes_of_a_monkey_break_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    found = let_loose(tmp_path, monkeypatch, 600, 11)
    assert found["storms"] > 0
    assert found["taken"] > 200 * found["storms"], "clicks are taken too"
    # On a quiet machine nearly three in four; fewer where other programs take the time.
    assert found["touched"] > 0.6 * found["widgets"]
