"""Seeded clicking and typing over every widget while a run goes on: no crash, no lost judgement, no traceback."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import window_hands


def monkey(folder: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, seed: int) -> dict[str, object]:
    monkeypatch.setenv("XDG_DATA_HOME", str(folder / "data"))
    monkeypatch.setenv("HOME", str(folder))  # where file dialogs begin
    done = window_hands.in_own_process(
        "window_monkey.py", str(folder), str(seconds), str(seed), timeout_s=2 * seconds + 120
    )
    assert done.returncode == 0, done.stderr[-4000:]
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    assert found["tracebacks"] == []
    assert found["problems"] == []
    assert found["closed"]
    assert found["recorded"] == found["taken"] - found["refused"]  # type: ignore[operator]
    return found


@pytest.mark.gui
def test_a_monkey_breaks_nothing_in_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    found = monkey(tmp_path, monkeypatch, 12, 3)
    assert found["actions"] > 3  # type: ignore[operator]


@pytest.mark.gui
@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_a_monkey_breaks_nothing_in_ten_minutes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    found = monkey(tmp_path, monkeypatch, 600, 11)
    assert found["taken"] > 20  # type: ignore[operator]
    # On a quiet machine nearly three in four; fewer where other programs take the time.
    assert found["touched"] > 0.6 * found["widgets"]  # type: ignore[operator]
