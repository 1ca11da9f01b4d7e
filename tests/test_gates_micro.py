"""What the embedded model says passes the gates, and what is spoilt of it does not: the first minute depends on it."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from labelled_clips import RATE, TEXTS, degenerate_tokens, micro_speech, spoilt, with_frames

from bark_infinity.requests import Rendering
from fusion.critic import GATES, Critic
from fusion.gates.tokens import judge_tokens
from fusion.gates.verdict import first_rejection
from fusion.recipe import CriticRecipe

SAID = (TEXTS[5], TEXTS[8])  # the second is short


@cache
def spoken() -> tuple[tuple[str, str, Rendering], ...]:
    return tuple(micro_speech(SAID))


def test_at_least_95_of_100_clips_of_the_embedded_model_pass_the_gates_that_recipes_ask():
    critic = Critic([], gates={name: GATES[name] for name in CriticRecipe().gates})
    ended = [(text, rendering) for _, text, rendering in spoken() if rendering.stopped == "eos"]
    assert len(ended) >= 30
    rejected = [
        score.reason for text, rendering in ended if (score := critic.score(rendering, text=text)).status != "ok"
    ]
    assert len(rejected) <= 0.05 * len(ended), rejected


@pytest.mark.parametrize("index", [0, 5, 11])
def test_what_is_spoilt_of_it_is_rejected_for_a_reason_that_fits(index):
    voice, text, rendering = spoken()[index]
    critic = Critic([], gates={"sound": GATES["sound"]})
    for clip in spoilt(rendering.audio, text, voice, np.random.default_rng(index)):
        score = critic.score(Rendering(rendering.tokens, "eos", clip.audio, RATE), text=text)
        # What is spoilt may show another fault first; it never passes.
        assert score.status == "rejected", f"{clip.label} of {voice}"
    for label, gate, semantic in degenerate_tokens(rendering.tokens.semantic, 3):
        tokens = with_frames(semantic, index, rendering.voice_space)
        rejection = first_rejection(judge_tokens(tokens, rendering.voice_space))
        assert rejection is not None, label
        assert rejection.gate == gate
