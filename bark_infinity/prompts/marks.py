"""Edits that change how a prompt is said, never what: tags, hesitations, capitals, song, speaker, punctuation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bark_infinity.prompts.operators import Pieces, PromptEdit, one_of, recorded_text, whole_number
from bark_infinity.prompts.pieces import DASHES, SONG, SPEAKERS, around_word, clauses, is_tag, is_word
from bark_infinity.variation import NotApplicable, Parameters

# Those of Suno's README, and what users say works sometimes: told apart, so that each earns its own credit.
TAGS = ("[laughter]", "[laughs]", "[sighs]", "[music]", "[gasps]", "[clears throat]")
UNOFFICIAL_TAGS = ("[whispers]", "[sings]", "[cries]", "[yawns]", "[coughs]", "[chuckles]", "[groans]", "[applause]")

_ELLIPSES = ("...", "…")
_MARKS_INSIDE, _MARKS_AT_END = ("", ",", ".", "!", "?"), (".", "!", "?")
_SHORTEST_STRESSED = 4  # letters; shorter words are mostly articles and pronouns


def _at(indices: Sequence[int], rng: np.random.Generator, what: str) -> dict[str, Any]:
    return {"at": one_of(indices, rng, what)}


def _index(parts: Pieces, parameters: Parameters) -> int:
    return whole_number(parameters, "at", 0, len(parts) - 1)


def _replaced(parts: Pieces, at: int, *new: str) -> list[str]:
    return [*parts[:at], *new, *parts[at + 1 :]]


def _words(parts: Pieces) -> list[int]:
    return [index for index, part in enumerate(parts) if is_word(part)]


# -- tags ---------------------------------------------------------------------------------------------------


def _tags(parts: Pieces) -> list[int]:
    return [index for index, part in enumerate(parts) if is_tag(part) and part not in SPEAKERS]


def _tag_insert(name: str, tags: Sequence[str]) -> PromptEdit:
    def choose(prompts: Sequence[Pieces], rng: np.random.Generator) -> dict[str, Any]:
        return {"at": int(rng.integers(len(prompts[0]) + 1)), "tag": tags[int(rng.integers(len(tags)))]}

    def make(prompts: Sequence[Pieces], parameters: Parameters) -> list[str]:
        (parts,) = prompts
        at, tag = whole_number(parameters, "at", 0, len(parts)), recorded_text(parameters, "tag")
        if not is_tag(tag):
            raise NotApplicable(f"parameter tag is {tag!r}, expected a word or two in square brackets")
        if tag in parts[max(0, at - 1) : at + 1]:
            raise NotApplicable(f"{tag} stands there already")
        return [*parts[:at], tag, *parts[at:]]

    return PromptEdit(name, choose, make)


def _choose_tag_move(prompts: Sequence[Pieces], rng: np.random.Generator) -> dict[str, Any]:
    (parts,) = prompts
    return {"at": one_of(_tags(parts), rng, "tag"), "to": int(rng.integers(len(parts)))}


def _make_tag_move(prompts: Sequence[Pieces], parameters: Parameters) -> list[str]:
    rest = _make_tag_delete(prompts, parameters)
    to = whole_number(parameters, "to", 0, len(rest))
    return [*rest[:to], prompts[0][_index(prompts[0], parameters)], *rest[to:]]


def _choose_tag_delete(prompts: Sequence[Pieces], rng: np.random.Generator) -> dict[str, Any]:
    return _at(_tags(prompts[0]), rng, "tag")


def _make_tag_delete(prompts: Sequence[Pieces], parameters: Parameters) -> list[str]:
    (parts,) = prompts
    at = _index(parts, parameters)
    if at not in _tags(parts):
        raise NotApplicable(f"{parts[at]!r} is no tag")
    return _replaced(parts, at)


# -- hesitations --------------------------------------------------------------------------------------------


def _choose_hesitation(prompts: Sequence[Pieces], rng: np.random.Generator) -> dict[str, Any]:
    marks = (DASHES[0], _ELLIPSES[0])
    return _at(_words(prompts[0]), rng, "word") | {"mark": marks[int(rng.integers(len(marks)))]}


def _make_hesitation(prompts: Sequence[Pieces], parameters: Parameters) -> list[str]:
    (parts,) = prompts
    at, mark = _index(parts, parameters), recorded_text(parameters, "mark")
    if mark in DASHES:
        if parts[at] in DASHES or (at + 1 < len(parts) and parts[at + 1] in DASHES):
            raise NotApplicable("the prompt hesitates there already")
        return _replaced(parts, at, parts[at], mark)
    before, word, after = around_word(parts[at])
    if mark not in _ELLIPSES or after not in ("", ","):
        raise NotApplicable(f"no {mark} fits behind {parts[at]!r}")
    return _replaced(parts, at, before + word + mark)


def _choose_no_hesitation(prompts: Sequence[Pieces], rng: np.random.Generator) -> dict[str, Any]:
    (parts,) = prompts
    return _at([i for i, part in enumerate(parts) if part in DASHES or part.endswith(_ELLIPSES)], rng, "hesitation")


def _make_no_hesitation(prompts: Sequence[Pieces], parameters: Parameters) -> list[str]:
    (parts,) = prompts
    at = _index(parts, parameters)
    if parts[at] in DASHES:
        return _replaced(parts, at)
    bare = parts[at].rstrip(".…")
    return _replaced(parts, at, bare) if bare else _replaced(parts, at)


# -- stress, song, speaker, punctuation ---------------------------------------------------------------------


def _choose_capitals(prompts: Sequence[Pieces], rng: np.random.Generator) -> dict[str, Any]:
    (parts,) = prompts
    stressable = [
        index
        for index in _words(parts)
        if (parts[index].isupper() and sum(map(str.isalpha, parts[index])) > 1)
        or (parts[index].upper() != parts[index] and sum(map(str.isalpha, parts[index])) >= _SHORTEST_STRESSED)
    ]
    return _at(stressable, rng, "word to stress")


def _make_capitals(prompts: Sequence[Pieces], parameters: Parameters) -> list[str]:
    (parts,) = prompts
    at = _index(parts, parameters)
    word = parts[at]
    return _replaced(parts, at, word.lower() if word.isupper() else word.upper())


def _choose_song(prompts: Sequence[Pieces], rng: np.random.Generator) -> dict[str, Any]:
    (parts,) = prompts
    spans = [(0, len(parts)), *clauses(parts)]
    start, stop = spans[int(rng.integers(len(spans)))]
    while start < stop and parts[start] in SPEAKERS:
        start += 1
    return {"start": start, "stop": stop}


def _make_song(prompts: Sequence[Pieces], parameters: Parameters) -> list[str]:
    (parts,) = prompts
    start = whole_number(parameters, "start", 0, len(parts) - 1)
    stop = whole_number(parameters, "stop", start + 1, len(parts))
    if any(SONG in part for part in parts):
        raise NotApplicable("the prompt is sung already")
    return [*parts[:start], SONG, *parts[start:stop], SONG, *parts[stop:]]


def _choose_no_song(prompts: Sequence[Pieces], rng: np.random.Generator) -> dict[str, Any]:
    return {}


def _make_no_song(prompts: Sequence[Pieces], parameters: Parameters) -> list[str]:
    return [part.replace(SONG, "") for part in prompts[0]]


def _choose_speaker(prompts: Sequence[Pieces], rng: np.random.Generator) -> dict[str, Any]:
    choices = (*SPEAKERS, "")
    return {"speaker": choices[int(rng.integers(len(choices)))]}


def _make_speaker(prompts: Sequence[Pieces], parameters: Parameters) -> list[str]:
    speaker = recorded_text(parameters, "speaker")
    if speaker not in (*SPEAKERS, ""):
        raise NotApplicable(f"parameter speaker is {speaker!r}, expected {' or '.join(SPEAKERS)}, or nothing")
    rest = [part for part in prompts[0] if part not in SPEAKERS]
    return [speaker, *rest] if speaker else rest


def _choose_punctuation(prompts: Sequence[Pieces], rng: np.random.Generator) -> dict[str, Any]:
    (parts,) = prompts
    words = _words(parts)
    at = one_of(words, rng, "word")
    marks = _MARKS_AT_END if at == words[-1] else _MARKS_INSIDE
    return {"at": at, "mark": marks[int(rng.integers(len(marks)))]}


def _make_punctuation(prompts: Sequence[Pieces], parameters: Parameters) -> list[str]:
    (parts,) = prompts
    at, mark = _index(parts, parameters), recorded_text(parameters, "mark")
    before, word, after = around_word(parts[at])
    if mark not in _MARKS_INSIDE or after not in _MARKS_INSIDE:
        raise NotApplicable(f"{after!r} behind {word!r} cannot become {mark!r}")
    return _replaced(parts, at, before + word + mark)


MARKS = (
    _tag_insert("tag_insert", TAGS),
    _tag_insert("unofficial_tag_insert", UNOFFICIAL_TAGS),
    PromptEdit("tag_move", _choose_tag_move, _make_tag_move),
    PromptEdit("tag_delete", _choose_tag_delete, _make_tag_delete),
    PromptEdit("hesitation_insert", _choose_hesitation, _make_hesitation),
    PromptEdit("hesitation_remove", _choose_no_hesitation, _make_no_hesitation),
    PromptEdit("capitals", _choose_capitals, _make_capitals),
    PromptEdit("song", _choose_song, _make_song),
    PromptEdit("song_end", _choose_no_song, _make_no_song),
    PromptEdit("speaker", _choose_speaker, _make_speaker),
    PromptEdit("punctuation", _choose_punctuation, _make_punctuation),
)
