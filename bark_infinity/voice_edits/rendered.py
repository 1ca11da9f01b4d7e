"""Variation through the model itself, as what to render: such children always sound like something Bark says.

Seeds are left 0: whoever renders fills in the candidate's own. Sampling settings of re-renders lie in the ranges that
Bark Infinity's users found good.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bark_infinity.requests import RenderRequest, RenderSettings
from bark_infinity.variation import NotApplicable, Parameters
from bark_infinity.voice_edits.history_window import HistoryWindow
from bark_infinity.voice_edits.operators import Choose, Edit, Voices, integer

CARRIER_TEXTS = (
    "I went down to the market this morning, and the whole street smelled of fresh bread.",
    "Well, that is a good question. Give me a moment, and I will tell you what I think.",
    "The old clock in the hall struck nine, and nobody said a word.",
    "When the rain had stopped, we walked along the river and talked about the summer.",
    "Please remember to close the window before you leave; the nights are getting cold.",
    "My brother plays the piano, my sister sings, and I just listen.",
)

_OFF = 0  # of a filter: parameters have no None
_COARSE_TEMP_PERCENT, _FINE_TEMP_PERCENT = (30, 90), (30, 80)
_TOP_K, _TOP_P_PERCENT = (25, 400), (80, 97)
_FILTERED = 2 / 3  # share of re-renders with each filter
_SHORTER_HISTORY = 1 / 3  # share that looks back on less of the voice


def _choose_text(texts: Sequence[str]) -> Choose:
    def choose(voices: Voices, rng: np.random.Generator) -> dict[str, Any]:
        return {"text": texts[int(rng.integers(len(texts)))]}

    return choose


def _make_speech(voices: Voices, parameters: Parameters) -> RenderRequest:
    text = parameters.get("text")
    if not isinstance(text, str) or not text.strip():
        raise NotApplicable(f"parameter text is {text!r}, expected something to say")
    return RenderRequest(text=text, voice=voices[0] if voices else None)


def _choose_rerender(window: HistoryWindow) -> Choose:
    def choose(voices: Voices, rng: np.random.Generator) -> dict[str, Any]:
        space = voices[-1].space
        if len(voices) == 2 and voices[0] == voices[1]:
            raise NotApplicable("a chimera needs two voices that differ")
        top_k = int(rng.integers(_TOP_K[0], _TOP_K[1] + 1)) if rng.random() < _FILTERED else _OFF
        top_p = int(rng.integers(_TOP_P_PERCENT[0], _TOP_P_PERCENT[1] + 1)) if rng.random() < _FILTERED else _OFF
        most = window.coarse_history // space.n_coarse_codebooks  # frames
        shorter = int(rng.integers(max(1, most // 10), most + 1)) if rng.random() < _SHORTER_HISTORY else _OFF
        return {
            "coarse_temp_percent": int(rng.integers(_COARSE_TEMP_PERCENT[0], _COARSE_TEMP_PERCENT[1] + 1)),
            "coarse_top_k": min(top_k, space.codebook_size),
            "coarse_top_p_percent": top_p,
            "coarse_history_frames": shorter,
            "fine_temp_percent": _fine_temp(rng),
        }

    return choose


def _make_rerender(voices: Voices, parameters: Parameters) -> RenderRequest:
    """The first voice's words and melody, said again by the last voice."""
    said, speaker = voices[0], voices[-1]
    frames = integer(parameters, "coarse_history_frames", 0, 2**20)
    settings = RenderSettings(
        coarse_temp=integer(parameters, "coarse_temp_percent", 1, 200) / 100,
        coarse_top_k=integer(parameters, "coarse_top_k", 0, speaker.space.codebook_size) or None,
        coarse_top_p=integer(parameters, "coarse_top_p_percent", 0, 100) / 100 or None,
        coarse_max_coarse_history=frames * speaker.space.n_coarse_codebooks or None,
        fine_temp=integer(parameters, "fine_temp_percent", 0, 200) / 100,
    )
    return RenderRequest(voice=speaker, semantic=said.semantic, settings=settings)


def _fine_temp(rng: np.random.Generator) -> int:
    return int(rng.integers(_FINE_TEMP_PERCENT[0], _FINE_TEMP_PERCENT[1] + 1))


def _choose_fine(voices: Voices, rng: np.random.Generator) -> dict[str, Any]:
    return {"fine_temp_percent": _fine_temp(rng)}


def _make_fine(voices: Voices, parameters: Parameters) -> RenderRequest:
    (voice,) = voices
    settings = RenderSettings(fine_temp=integer(parameters, "fine_temp_percent", 0, 200) / 100)
    return RenderRequest(voice=voice, semantic=voice.semantic, coarse=voice.coarse, settings=settings)


def rendered(window: HistoryWindow, texts: Sequence[str]) -> tuple[Edit, ...]:
    """Edits for checkpoints with this window that speak these texts to find out how a voice goes on."""
    rerender = _choose_rerender(window)
    return (
        Edit("continuation", 1, _choose_text(texts), _make_speech, "generate"),
        Edit("rerender", 1, rerender, _make_rerender, "rerender"),
        Edit("rerender_fine", 1, _choose_fine, _make_fine, "rerender"),
        Edit("chimera", 2, rerender, _make_rerender, "rerender"),  # says what the first says, sounds like the second
        Edit("immigrant", 0, _choose_text(texts), _make_speech, "generate"),
    )
