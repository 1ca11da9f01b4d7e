"""Crossings of two voices that need no model: in time, in detail, and back to an ancestor.

Both voices are aligned at their ends, because that is where Bark reads them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bark_infinity.tokens import Int64Array
from bark_infinity.variation import NotApplicable, Parameters
from bark_infinity.voice_edits.in_time import SHORTEST_S
from bark_infinity.voice_edits.operators import Edit, Voices, integer, integers
from bark_infinity.voice_edits.rearranged import child_of, rearranged, run_starts, tokens_in
from bark_infinity.voices.history import VoiceHistory

_DONOR_SHARE = (0.15, 0.4)  # of a backcross: the descendant's part
_MIX_S = (0.2, 3.0)  # length of a stretch whose detail is exchanged


def _cuts(voice: VoiceHistory, low: int, high: int) -> Int64Array:
    """Where runs begin, in [low, high]."""
    starts = run_starts(voice)
    starts = starts[(starts >= low) & (starts <= high)]
    if not starts.size:
        raise NotApplicable(f"voice {voice.label} does not change between its tokens {low} and {high}")
    return starts


def _choose_splice(voices: Voices, rng: np.random.Generator) -> dict[str, Any]:
    head, tail = voices
    part = tokens_in(head, SHORTEST_S)
    stop = int(rng.choice(_cuts(head, part, head.semantic.size)))
    # Of a long tail nothing else would be heard.
    longest = max(part, 6 * int(tail.semantic.size) // 10)
    start = int(rng.choice(_cuts(tail, max(0, tail.semantic.size - longest), tail.semantic.size - part)))
    return {"head_stop": stop, "tail_start": start}


def _make_splice(voices: Voices, parameters: Parameters) -> VoiceHistory:
    head, tail = voices
    stop = integer(parameters, "head_stop", 1, int(head.semantic.size))
    start = integer(parameters, "tail_start", 0, int(tail.semantic.size) - 1)
    return rearranged(voices, (0, np.arange(stop)), (1, np.arange(start, tail.semantic.size)))


def _choose_mix(voices: Voices, rng: np.random.Generator) -> dict[str, Any]:
    first, second = voices
    space = first.space
    # Codebooks build on those below them: only the upper half is mere detail.
    lowest = max(space.n_coarse_codebooks, space.n_fine_codebooks // 2)
    if lowest >= space.n_fine_codebooks:
        raise NotApplicable(f"voices of {space.n_fine_codebooks} codebooks hold no detail to exchange")
    both = min(first.fine.shape[1], second.fine.shape[1])
    length = min(both, max(1, round(rng.uniform(*_MIX_S) * space.coarse_rate_hz)))
    before_end = int(rng.integers(length, both + 1))
    return {"codebook": int(rng.integers(lowest, space.n_fine_codebooks)), "frames": (before_end, length)}


def _make_mix(voices: Voices, parameters: Parameters) -> VoiceHistory:
    first, second = voices
    space = first.space
    codebook = integer(parameters, "codebook", space.n_coarse_codebooks, space.n_fine_codebooks - 1)
    both = min(first.fine.shape[1], second.fine.shape[1])
    before_end, length = integers(parameters, "frames", (1, 1), (both, both))
    if length > before_end:
        raise NotApplicable(f"parameter frames is {(before_end, length)}: the stretch would go on after the end")
    fine = first.fine.copy()
    own, other = fine.shape[1] - before_end, second.fine.shape[1] - before_end
    fine[codebook:, own : own + length] = second.fine[codebook:, other : other + length]
    return child_of(first, first.semantic, fine)


def _choose_backcross(voices: Voices, rng: np.random.Generator) -> dict[str, Any]:
    ancestor, descendant = voices
    size, other = int(ancestor.semantic.size), int(descendant.semantic.size)
    length = round(rng.uniform(*_DONOR_SHARE) * min(size, other))
    if length < 1:
        raise NotApplicable(f"voices {ancestor.label} and {descendant.label} are too short to be crossed back")
    start = int(rng.choice(_cuts(descendant, max(0, other - size), other - length)))
    return {"before_end": other - start, "length": length}


def _make_backcross(voices: Voices, parameters: Parameters) -> VoiceHistory:
    ancestor, descendant = voices
    size, other = int(ancestor.semantic.size), int(descendant.semantic.size)
    before_end = integer(parameters, "before_end", 1, min(size, other))
    length = integer(parameters, "length", 1, before_end)
    start = size - before_end
    return rearranged(
        voices,
        (0, np.arange(start)),
        (1, np.arange(other - before_end, other - before_end + length)),
        (0, np.arange(start + length, size)),
    )


CROSSING = (
    Edit("splice", 2, _choose_splice, _make_splice),  # the beginning of the first, the end of the second
    Edit("codebook_mix", 2, _choose_mix, _make_mix),  # the first, with detail of the second
    Edit("backcross", 2, _choose_backcross, _make_backcross),  # an ancestor, with a stretch of its descendant
)
