"""Prompts on the screen: nothing of a prompt is lost, every run has one script, and lines fit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.board.text import in_lines, lay_out, runs, script_of, script_of_sign, shortened, spelled_out

# What Bark speaks, and the script whose font shows it.
LANGUAGES = {
    "Hello, my name is Suno.": "latin",
    "Guten Tag, schöne Grüße!": "latin",
    "¿Qué tal, señor?": "latin",
    "Ça va très bien.": "latin",
    "Perché no? È così.": "latin",
    "Zażółć gęślą jaźń": "latin",
    "Não, não é.": "latin",
    "Привет, как дела?": "latin",
    "Günaydın, ışık": "latin",
    "नमस्ते दुनिया": "devanagari",
    "日本語のプロンプトです。": "cjk",
    "추석은 내가 가장 좋아하는 명절이다.": "cjk",
    "你好，今天的天气真不错。": "cjk",
}
PROMPTS = st.text(st.one_of(st.characters(), st.sampled_from("♪[]— .,WMAN자日नम🎵\n")), max_size=80)


def width(text, _script):
    return 7.0 * len(text)


@pytest.mark.parametrize(("prompt", "script"), LANGUAGES.items())
def test_every_language_of_bark_gets_one_font(prompt, script):
    assert script_of(prompt) == script
    assert {run.script for run in runs(prompt)} == {script}


def test_tags_speakers_and_song_are_told_apart():
    kinds = {run.text: run.kind for run in runs("[MAN] ♪ la [laughs] la")}
    assert kinds["[MAN]"] == "speaker"
    assert kinds["♪"] == "song"
    assert kinds["[laughs]"] == "tag"
    assert kinds["la"] == "plain"


def test_a_sign_that_no_font_has_is_spelled_out_and_is_no_tag():
    assert spelled_out("so 🎵 anyway\ufe0f") == "so [U+1F3B5] anyway"
    assert all(run.kind == "plain" for run in runs("🎵"))


@given(PROMPTS)
def test_runs_hold_the_whole_prompt_in_runs_of_one_script(prompt):
    found = runs(prompt)
    assert "".join(run.text for run in found) == spelled_out(prompt)
    for run in found:
        assert {script_of_sign(sign) for sign in run.text} <= {run.script, None}


@given(PROMPTS, st.integers(40, 400), st.integers(1, 4))
def test_lines_fit_and_follow_each_other(prompt, room, lines):
    placed = lay_out(runs(prompt), room, lines, width)
    assert [(one.line, one.x) for one in placed] == sorted((one.line, one.x) for one in placed)
    assert all(one.line < lines for one in placed)
    for one in placed:
        assert one.x + width(one.text.rstrip(), one.script) <= room + 7


@given(PROMPTS, st.integers(1, 300))
def test_a_shortened_line_fits_or_is_nothing_but_an_ellipsis(text, room):
    said = shortened(text, room, width)
    assert width(said, "latin") <= room or said == "…"
    if width(text, "latin") <= room:
        assert said == text


@given(st.text(max_size=120), st.floats(20.0, 300.0), st.integers(1, 4))
def test_a_text_in_lines_fits_and_loses_nothing_but_its_end(text, room, lines):
    text = text.replace("\n", " ")
    said = in_lines(text, room, lines, width).split("\n")
    assert len(said) <= lines
    assert all(width(line, "latin") <= room for line in said)
    assert in_lines(text, 1e9, lines, width) == text


def test_a_sentence_in_lines_is_broken_at_spaces():
    said = in_lines("the disk is full: free some space and resume", 140.0, 3, width)
    assert said == "the disk is full:\nfree some space and\nresume"
