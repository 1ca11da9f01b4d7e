"""When frames are drawn: at once for the first news, never more often than 30 times a second in a stream of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("dearpygui.dearpygui")

from window.loop import BUSY_FPS, IDLE_FPS, frame_due

_AWAKE = st.booleans()


@given(st.floats(0, 1), _AWAKE)
def test_the_first_news_is_drawn_at_once(waited_s, awake):
    assert frame_due(waited_s, awake=awake, news=True, in_stream=False)


@given(st.floats(0, 1), _AWAKE)
def test_a_stream_of_news_has_the_pace_of_what_moves(waited_s, awake):
    assert frame_due(waited_s, awake=awake, news=True, in_stream=True) == (waited_s >= 1 / BUSY_FPS)


@given(st.floats(0, 1), _AWAKE, st.booleans())
def test_without_news_frames_come_by_the_clock(waited_s, awake, in_stream):
    due = frame_due(waited_s, awake=awake, news=False, in_stream=in_stream)
    assert due == (waited_s >= 1 / (BUSY_FPS if awake else IDLE_FPS))
