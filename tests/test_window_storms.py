"""The window under load, at random, and without a person: floods of events, a monkey, pictures for documents."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from window_hands import result_of

pytestmark = pytest.mark.gui
ROOT = Path(__file__).resolve().parents[1]


def test_a_thousand_judgements_and_hundreds_of_births_at_once_all_arrive(tmp_path):
    found = result_of("board_scenes.py", "flood", tmp_path)
    assert found["sent"] == 1000
    assert found["told"][0] == found["told"][1]
    assert found["asked"][0] == found["asked"][1]
    assert found["rating"] == 1.0
    assert found["slowest"] < 1.0, "the picture goes on meanwhile"


def test_pictures_are_drawn_of_any_moment_and_refused_for_none(tmp_path):
    now = result_of("board_scenes.py", "picture", tmp_path)
    then = result_of("board_scenes.py", "picture", tmp_path, 6)
    assert now["said"] == then["said"] == ""
    assert min(now["bytes"], then["bytes"]) > 20_000
    assert now["bytes"] != then["bytes"]
    never = result_of("board_scenes.py", "picture", tmp_path, 4000)
    assert never == {"said": "birth 4000 was not told in this run, in which 20 were", "bytes": 0}


@pytest.mark.parametrize(
    ("actions", "seed"), [pytest.param(16, 1, id="short"), pytest.param(1200, 2, marks=pytest.mark.slow, id="long")]
)
def test_a_monkey_breaks_nothing_and_loses_no_judgement(tmp_path, actions, seed):
    found = result_of("board_scenes.py", "monkey", tmp_path, actions, seed)
    assert found["done"] == actions
    assert found["errors"] == []
    assert found["closed"]
    assert found["recorded"] == found["rated"]
    assert found["problems"] == []


@pytest.mark.parametrize(
    "content", [b"", b"SQLite format 3\0 and then rubbish" * 50, b"\x89PNG"], ids=["empty", "torn", "foreign"]
)
def test_a_file_that_is_no_lineage_is_refused_in_one_sentence(tmp_path, content):
    path = tmp_path / "night.db"
    path.write_bytes(content)
    command = [sys.executable, "victor_bark_fusion_gui.py", "--lineage", str(path)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 2
    assert "night.db" in ran.stderr
    assert "Traceback" not in ran.stderr
