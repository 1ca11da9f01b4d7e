"""Alignment: words in any script, slices of time, and what of which encoder belongs where."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bark_infinity.error_handling import BarkError
from fusion.transformer.alignment import (
    character_spans,
    frame_spans,
    overlap_weights,
    stretched,
    time_cells,
    word_spans,
)


def words(text):
    return [text[int(a) : int(b)] for a, b in word_spans(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello 안녕하세요 ♪", ["Hello", "안녕하세요", "♪"]),
        ("don't [laughs] — OK!", ["don't", "[", "laughs", "]", "—", "OK", "!"]),
        ("l’été 3,5", ["l’été", "3", ",", "5"]),
        ("'quoted'", ["'", "quoted", "'"]),
        ("我爱你 mixed", ["我", "爱", "你", "mixed"]),
        ("नमस्ते दुनिया", ["नमस्ते", "दुनिया"]),
        ("♪♪ la", ["♪", "♪", "la"]),
        ("  \n\t", []),
        ("", []),
    ],
)
def test_words_are_found_in_any_script(text, expected):
    assert words(text) == expected


def test_a_letter_with_combining_marks_is_one_character():
    assert character_spans("e\u0301a ♪").tolist() == [[0, 2], [2, 3], [4, 5]]


@given(st.text(max_size=40))
def test_words_and_characters_cover_the_same_visible_text_in_order(text):
    for spans in (word_spans(text), character_spans(text)):
        assert (spans[:, 0] < spans[:, 1]).all()
        assert (spans[1:, 0] >= spans[:-1, 1]).all()
    visible = {i for a, b in character_spans(text) for i in range(int(a), int(b))}
    in_words = {i for a, b in word_spans(text) for i in range(int(a), int(b))}
    assert visible <= in_words
    assert all(text[i] == "\u200d" for i in in_words - visible)  # a joiner inside a word shows nothing


def test_the_last_cell_of_a_clip_ends_with_it():
    assert time_cells(0.25, 10).tolist() == [[0, 0.1], [0.1, 0.2], [0.2, 0.25]]
    assert len(time_cells(0.3, 10)) == 3  # 0.3 * 10 is 3.0000000000000004 in binary, yet three cells
    assert time_cells(0.001, 10).tolist() == [[0, 0.001]]
    with pytest.raises(BarkError, match="above 0"):
        time_cells(0, 10)


@given(st.integers(1, 50), st.floats(0.001, 0.1), st.floats(1, 4))
def test_frames_cover_a_clip_without_gaps(count, hop_s, field_in_hops):
    duration = (count - 1 + field_in_hops) * hop_s
    spans = frame_spans(count, hop_s, field_in_hops * hop_s, duration)
    assert spans[0, 0] == 0
    assert spans[-1, 1] == duration
    assert np.array_equal(spans[1:, 0], spans[:-1, 1])


def test_a_wav2vec2_frame_speaks_for_the_middle_of_what_it_sees():
    # hop 320 and receptive field 400 samples at 16 kHz: frame 1 sees 320..719, whose middle 320 are 360..679.
    spans = frame_spans(3, 320 / 16_000, 400 / 16_000, 1_100 / 16_000)
    assert spans[1] * 16_000 == pytest.approx([360, 680])


def test_a_word_is_the_mean_of_its_tokens_weighted_by_characters():
    # "Hello 안녕 ♪" as hel lo 안 녕 and a note of two tokens, between two special tokens
    cells = word_spans("Hello 안녕 ♪")
    spans = np.array([[0, 0], [0, 3], [3, 5], [6, 7], [7, 8], [9, 10], [9, 10], [0, 0]], float)
    expected = [
        [0, 0.6, 0.4, 0, 0, 0, 0, 0],
        [0, 0, 0, 0.5, 0.5, 0, 0, 0],
        [0, 0, 0, 0, 0, 0.5, 0.5, 0],
    ]
    assert np.allclose(overlap_weights(cells, spans), expected, atol=1e-15)


def test_tokens_that_share_a_character_share_its_weight():
    # one word of two characters: three tokens for the first, one for the second
    weights = overlap_weights(np.array([[0, 2.0]]), np.array([[0, 1], [0, 1], [0, 1], [1, 2]], float))
    assert np.allclose(weights, [[1 / 6, 1 / 6, 1 / 6, 1 / 2]])


def test_what_two_windows_both_read_counts_once():
    # positions 1..3 and 2..4 of a cell 0..4: 1..2 is the first's, 2..3 both's, 3..4 the second's
    assert np.allclose(overlap_weights(np.array([[0, 4.0]]), np.array([[1, 3], [2, 4]], float)), [[0.5, 0.5]])
    assert np.allclose(overlap_weights(np.array([[0, 3.0]]), np.array([[1, 3], [2, 4]], float)), [[0.75, 0.25]])


def test_a_cell_that_nothing_covers_has_no_weights():
    weights = overlap_weights(np.array([[0, 1], [1, 2]], float), np.array([[0, 1.0]]))
    assert weights.tolist() == [[1], [0]]


_spans = st.lists(st.tuples(st.floats(0, 9), st.floats(0.01, 3)), min_size=1, max_size=12).map(
    lambda pairs: np.array([[a, a + d] for a, d in pairs])
)


@given(_spans, _spans, st.floats(0.01, 100))
def test_weights_add_up_to_one_and_do_not_depend_on_the_unit(cells, spans, scale):
    weights = overlap_weights(cells, spans)
    total = weights.sum(axis=1)
    assert ((np.abs(total - 1) < 1e-9) | (total == 0)).all()
    moved = overlap_weights(stretched(cells, 1, scale), stretched(spans, 1, scale))
    assert np.allclose(moved, weights, atol=1e-6)
