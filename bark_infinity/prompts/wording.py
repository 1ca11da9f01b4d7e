"""Edits that change what is said: filler words, clauses of two prompts, clauses in another order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bark_infinity.prompts.operators import Pieces, PromptEdit, one_of, recorded_text, whole_number
from bark_infinity.prompts.pieces import SONG, clauses, is_word, spoken_words
from bark_infinity.variation import NotApplicable, Parameters

FILLERS = ("uh", "um", "er", "hmm", "well", "so", "like", "okay", "right", "actually")
_NOTHING_ELSE = ("uh", "um", "er", "hmm")  # the others are fillers only where a comma sets them apart


def _choose_filler(prompts: Sequence[Pieces], rng: np.random.Generator) -> dict[str, Any]:
    at = one_of([index for index, part in enumerate(prompts[0]) if is_word(part)], rng, "word")
    filler = FILLERS[int(rng.integers(len(FILLERS)))]
    return {"at": at, "text": f"{filler.capitalize() if at == 0 else filler},"}


def _make_filler(prompts: Sequence[Pieces], parameters: Parameters) -> list[str]:
    (parts,) = prompts
    at = whole_number(parameters, "at", 0, len(parts))
    return [*parts[:at], recorded_text(parameters, "text"), *parts[at:]]


def _choose_no_filler(prompts: Sequence[Pieces], rng: np.random.Generator) -> dict[str, Any]:
    (parts,) = prompts
    fillers = [index for index, part in enumerate(parts) if is_word(part) and _is_filler(part)]
    return {"at": one_of(fillers, rng, "filler word")}


def _is_filler(part: str) -> bool:
    word = spoken_words(part)[0]
    return word in _NOTHING_ELSE or (word in FILLERS and part.endswith(","))


def _make_no_filler(prompts: Sequence[Pieces], parameters: Parameters) -> list[str]:
    (parts,) = prompts
    at = whole_number(parameters, "at", 0, len(parts) - 1)
    return [*parts[:at], *parts[at + 1 :]]


def _choose_crossover(prompts: Sequence[Pieces], rng: np.random.Generator) -> dict[str, Any]:
    if not all(prompts):
        raise NotApplicable("one of the prompts is empty")
    stops = [stop for _, stop in clauses(prompts[0])]
    starts = [start for start, _ in clauses(prompts[1])]
    return {"head_stop": one_of(stops, rng, "clause"), "tail_start": one_of(starts, rng, "clause")}


def _make_crossover(prompts: Sequence[Pieces], parameters: Parameters) -> list[str]:
    first, second = prompts
    stop = whole_number(parameters, "head_stop", 1, len(first))
    child = [*first[:stop], *second[whole_number(parameters, "tail_start", 0, len(second) - 1) :]]
    sung = sum(part.count(SONG) for part in child)
    return [*child, SONG] if sung % 2 else child  # a song that was cut open is closed


def _choose_order(prompts: Sequence[Pieces], rng: np.random.Generator) -> dict[str, Any]:
    starts = [start for start, _ in clauses(prompts[0])]
    # Two neighbouring stretches change places: three cuts among where clauses begin and where the prompt ends.
    cuts = [*starts, len(prompts[0])]
    if len(cuts) < 3:
        raise NotApplicable("the prompt has only one clause")
    chosen = sorted(int(cut) for cut in rng.choice(cuts, 3, replace=False))
    return {"start": chosen[0], "middle": chosen[1], "stop": chosen[2]}


def _make_order(prompts: Sequence[Pieces], parameters: Parameters) -> list[str]:
    (parts,) = prompts
    start = whole_number(parameters, "start", 0, len(parts) - 1)
    middle = whole_number(parameters, "middle", start, len(parts))
    stop = whole_number(parameters, "stop", middle, len(parts))
    return [*parts[:start], *parts[middle:stop], *parts[start:middle], *parts[stop:]]


WORDING = (
    PromptEdit("filler_insert", _choose_filler, _make_filler, keeps_words=False),
    PromptEdit("filler_remove", _choose_no_filler, _make_no_filler, keeps_words=False),
    PromptEdit("clause_crossover", _choose_crossover, _make_crossover, arity=2, keeps_words=False),
    PromptEdit("clause_order", _choose_order, _make_order, keeps_words=False),
)
