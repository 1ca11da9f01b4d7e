"""The window under a flood: a thousand judgements and thousands of events at once."""

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
