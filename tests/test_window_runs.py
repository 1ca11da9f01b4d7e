"""Runs and settings in a real window: begun, stepped, stopped, resumed, closed in mid-run; forms that refuse."""

from __future__ import annotations

import pytest
from window_hands import result_of

pytestmark = pytest.mark.gui


def test_a_run_is_stepped_judged_stopped_resumed_and_survives_the_closing_of_its_window(tmp_path):
    found = result_of("board_scenes.py", "run", tmp_path)
    assert found["states"] == ["paused", "paused", "stopped"]
    assert found["liked"] == 1.0, "a resumed run remembers what was said"
    assert found["then"] == [1, 2, 3, 4], "birth 3 was told when the first step was planned"
    assert found["closed"]
    assert found["problems"] == []
    assert found["said"] == [["rating", found["birth"], 1.0]]
    assert found["state"] in ("paused", "done")


def test_forms_refuse_nonsense_and_settings_are_applied_and_remembered(tmp_path):
    found = result_of("board_scenes.py", "dialogs", tmp_path)
    assert found["recipe"] == "voices"
    assert found["refused"] == "stop.evaluations: 'soon' is no whole number"
    assert found["enabled"] is False
    assert found["accepted"].endswith("ends after 16 births.")
    assert found["closed"]
    assert found["begun"] == [str(tmp_path / "demo.db"), 16, True]
    assert (found["theme"], found["scale"]) == ("light", 1.25)
    assert sum(found["ground"][:3]) > 600, "the window is light now"
    assert found["again"], "dialogs work after everything was made anew"


def test_an_older_file_is_brought_up_to_date_when_a_person_says_so(tmp_path):
    found = result_of("board_scenes.py", "older", tmp_path)
    assert found["asked"]
    assert found["listed"]
    assert found["shown"]
    assert "old.db.v3.backup.db" in found["files"] or "old.v3.backup.db" in found["files"], found["files"]
