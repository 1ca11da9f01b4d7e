"""The command without a person: pictures of any moment, files that are no lineage, signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from window_hands import result_of

pytestmark = pytest.mark.gui
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A folder with the lineage ``whole.db``, and what was said of its first picture."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, result_of("board_scenes.py", "picture", folder)


def test_pictures_are_drawn_of_any_moment_and_refused_for_none(whole):
    folder, now = whole
    then = result_of("board_scenes.py", "picture", folder, 6)
    assert now["said"] == then["said"] == ""
    assert min(now["bytes"], then["bytes"]) > 20_000
    assert now["bytes"] != then["bytes"]
    never = result_of("board_scenes.py", "picture", folder, 4000)
    assert never == {"said": "birth 4000 was not told in this run, in which 20 were", "bytes": 0}


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


def test_a_signal_closes_the_window_as_a_click_would(whole, tmp_path):
    home = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "config")}
    command = [sys.executable, "victor_bark_fusion_gui.py", "--lineage", str(whole[0] / "whole.db")]
    opened = subprocess.Popen(command, cwd=ROOT, env=os.environ | home, stderr=subprocess.PIPE, text=True)
    remembered = tmp_path / "config" / "victor-bark-fusion" / "window.json"
    end = time.monotonic() + 60
    while not remembered.exists() and time.monotonic() < end:
        time.sleep(0.2)
    time.sleep(1.0)
    opened.send_signal(signal.SIGINT)
    _, said = opened.communicate(timeout=60)
    assert opened.returncode == 0, said
    assert "Traceback" not in said
