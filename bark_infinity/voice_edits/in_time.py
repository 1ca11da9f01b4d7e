"""Edits of one voice in time: what it ends with, how long it is, how fast, which stretches come how often.

All cuts are made where the semantic tokens change, so that no sound is torn. Lengths are in semantic tokens.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bark_infinity.tokens import Int64Array
from bark_infinity.variation import NotApplicable, Parameters
from bark_infinity.voice_edits.operators import Edit, Voices, integer, integers
from bark_infinity.voice_edits.rearranged import rearranged, run_starts, tokens_in
from bark_infinity.voices.history import VoiceHistory

SHORTEST_S = 0.5  # a voice of less says nothing about its speaker
_SEGMENT_S = (0.2, 1.0)
_TEMPO_PERMILLE = (800, 1_200)
_SILENCE_S = 0.2  # one sound held for longer is a pause: speech moves on


def _span(start: int, stop: int) -> Int64Array:
    return np.arange(start, stop)


def _room(voice: VoiceHistory) -> int:
    """Tokens that may be taken away."""
    room = int(voice.semantic.size) - tokens_in(voice, SHORTEST_S)
    if room < 1:
        raise NotApplicable(f"voice {voice.label} has {voice.duration_s:.2f} s, expected more than {SHORTEST_S} s")
    return room


# -- which part of it is heard ------------------------------------------------------------------------------


def _choose_crop(voices: Voices, rng: np.random.Generator) -> dict[str, Any]:
    (voice,) = voices
    ends = run_starts(voice)[1:]
    ends = ends[ends >= voice.semantic.size - _room(voice)]
    if not ends.size:
        raise NotApplicable(f"voice {voice.label} never changes where it could be cut")
    return {"drop": int(voice.semantic.size - rng.choice(ends))}


def _make_crop(voices: Voices, parameters: Parameters) -> VoiceHistory:
    (voice,) = voices
    drop = integer(parameters, "drop", 1, _room(voice))
    return rearranged(voices, (0, _span(0, voice.semantic.size - drop)))


def _choose_length(voices: Voices, rng: np.random.Generator) -> dict[str, Any]:
    (voice,) = voices
    size = int(voice.semantic.size)
    # Suno's published voices are at least 128 tokens of the 341 that are read.
    shortest = max(size - _room(voice), 3 * size // 8)
    return {"keep": int(rng.integers(shortest, size))}


def _make_length(voices: Voices, parameters: Parameters) -> VoiceHistory:
    (voice,) = voices
    size = int(voice.semantic.size)
    keep = integer(parameters, "keep", size - _room(voice), size - 1)
    return rearranged(voices, (0, _span(size - keep, size)))


# -- how fast -----------------------------------------------------------------------------------------------


def _choose_tempo(voices: Voices, rng: np.random.Generator) -> dict[str, Any]:
    return {"length_permille": int(rng.integers(_TEMPO_PERMILLE[0], _TEMPO_PERMILLE[1] + 1))}


def _make_tempo(voices: Voices, parameters: Parameters) -> VoiceHistory:
    (voice,) = voices
    permille = integer(parameters, "length_permille", *_TEMPO_PERMILLE)
    starts = run_starts(voice)
    bounds = np.append(starts, voice.semantic.size)
    lengths = np.diff(bounds)  # (runs,)
    scaled = np.maximum(1, np.diff((bounds * permille + 500) // 1_000))  # every sound stays
    within = np.arange(scaled.sum()) - np.repeat(np.cumsum(scaled) - scaled, scaled)  # place in the new run
    token = np.repeat(starts, scaled) + within * np.repeat(lengths, scaled) // np.repeat(scaled, scaled)
    return rearranged(voices, (0, token))


def _choose_silence(voices: Voices, rng: np.random.Generator) -> dict[str, Any]:
    (voice,) = voices
    starts = run_starts(voice)
    lengths = np.diff(np.append(starts, voice.semantic.size))
    silences = np.flatnonzero(lengths >= tokens_in(voice, _SILENCE_S))
    if not silences.size:
        raise NotApplicable(f"voice {voice.label} holds no sound for {_SILENCE_S} s: there is no pause to trim")
    run = rng.choice(silences)
    most = min(int(lengths[run]) - 1, _room(voice))
    least = min(most, max(1, int(lengths[run]) // 2))
    return {"start": int(starts[run]), "drop": int(rng.integers(least, most + 1))}


def _make_silence(voices: Voices, parameters: Parameters) -> VoiceHistory:
    return _without(voices, *_start_and_length(voices, parameters, "drop"))


# -- which stretches, how often -----------------------------------------------------------------------------


def _choose_segment(voices: Voices, rng: np.random.Generator) -> dict[str, Any]:
    (voice,) = voices
    start, stop = _segment(voice, rng, 0, int(voice.semantic.size))
    return {"start": start, "length": stop - start}


def _segment(voice: VoiceHistory, rng: np.random.Generator, low: int, high: int) -> tuple[int, int]:
    """Start and stop of a stretch of 0.2 to 1 s inside [low, high), both where runs begin or the voice ends."""
    cuts = np.append(run_starts(voice), voice.semantic.size)
    cuts = cuts[(cuts >= low) & (cuts <= high)]
    if cuts.size < 2:
        raise NotApplicable(f"voice {voice.label} does not change often enough to cut a stretch out of it")
    first = int(rng.integers(0, cuts.size - 1))
    wanted = cuts[first] + rng.uniform(*_SEGMENT_S) * voice.space.semantic_rate_hz
    last = first + 1 + int(np.abs(cuts[first + 1 :] - wanted).argmin())
    start, stop = int(cuts[first]), int(cuts[last])
    if stop - start > tokens_in(voice, 2 * _SEGMENT_S[1]):
        raise NotApplicable(f"voice {voice.label} holds one sound for more than {2 * _SEGMENT_S[1]} s")
    return start, stop


def _start_and_length(voices: Voices, parameters: Parameters, length: str) -> tuple[int, int]:
    (voice,) = voices
    size = int(voice.semantic.size)
    start = integer(parameters, "start", 0, size - 1)
    return start, integer(parameters, length, 1, size - start)


def _without(voices: Voices, start: int, length: int) -> VoiceHistory:
    (voice,) = voices
    if length > _room(voice):
        raise NotApplicable(f"without {length} tokens voice {voice.label} would be shorter than {SHORTEST_S} s")
    return rearranged(voices, (0, _span(0, start)), (0, _span(start + length, voice.semantic.size)))


def _make_duplicate(voices: Voices, parameters: Parameters) -> VoiceHistory:
    start, length = _start_and_length(voices, parameters, "length")
    size = voices[0].semantic.size
    return rearranged(voices, (0, _span(0, start + length)), (0, _span(start, size)))


def _make_delete(voices: Voices, parameters: Parameters) -> VoiceHistory:
    return _without(voices, *_start_and_length(voices, parameters, "length"))


def _choose_swap(voices: Voices, rng: np.random.Generator) -> dict[str, Any]:
    (voice,) = voices
    size = int(voice.semantic.size)
    first = _segment(voice, rng, 0, size)
    second = _segment(voice, rng, first[1], size)
    return {"segments": (*first, *second)}


def _make_swap(voices: Voices, parameters: Parameters) -> VoiceHistory:
    (voice,) = voices
    size = int(voice.semantic.size)
    a, b, c, d = integers(parameters, "segments", (0, 1, 1, 2), (size - 2, size - 1, size - 1, size))
    if not a < b <= c < d:
        raise NotApplicable(f"parameter segments is {(a, b, c, d)}, expected two stretches one after the other")
    spans = (_span(0, a), _span(c, d), _span(b, c), _span(a, b), _span(d, size))
    return rearranged(voices, *((0, span) for span in spans))


IN_TIME = (
    Edit("crop", 1, _choose_crop, _make_crop, whole=True),
    Edit("length", 1, _choose_length, _make_length),
    Edit("tempo", 1, _choose_tempo, _make_tempo),
    Edit("silence_trim", 1, _choose_silence, _make_silence),
    Edit("segment_duplicate", 1, _choose_segment, _make_duplicate),
    Edit("segment_delete", 1, _choose_segment, _make_delete),
    Edit("segment_swap", 1, _choose_swap, _make_swap),
)
