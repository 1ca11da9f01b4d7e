"""The window under load and at random: floods of events, a monkey."""

from __future__ import annotations

import pytest
from window_hands import result_of

pytestmark = pytest.mark.gui


def test_a_thousand_judgements_and_hundreds_of_births_at_once_all_arrive(tmp_path):
    found = result_of("board_scenes.py", "flood", tmp_path)
    assert found["sent"] == 1000
    assert found["told"][0] == found["told"][1]
    assert found["asked"][0] == found["asked"][1]
    assert found["rating"] == 1.0
    assert found["slowest"] < 1.0, "the picture goes on meanwhile"


def untouched(found):
    assert found["errors"] == []
    assert found["closed"]
    assert found["recorded"] == found["rated"]
    assert found["problems"] == []


def test_a_monkey_breaks_nothing_and_loses_no_judgement(tmp_path):
    found = result_of("board_scenes.py", "monkey", tmp_path, 16, 1)
    assert found["done"] == 16
    untouched(found)


@pytest.mark.slow
@pytest.mark.timeout(1000)
def test_ten_minutes_of_a_monkey_break_nothing(tmp_path):
    untouched(result_of("board_scenes.py", "monkey", tmp_path, 10_000, 2, timeout_s=900))
