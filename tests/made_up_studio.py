"""A studio without models: it makes up what it hears, the same for the same job in any process. Light to import."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from bark_infinity.requests import Rendering
from bark_infinity.tokens import BarkTokens, TokenSpace
from bark_infinity.voices.history import VoiceHistory
from experiments.evaluation import Evaluated, Job, Rendered, failed
from fusion.score import Score, Term


def drawn(*facts: Any) -> np.random.Generator:
    """A generator that depends on facts alone."""
    digest = hashlib.sha256(json.dumps(facts, default=str).encode()).digest()
    return np.random.default_rng(list(digest))


def made_up_voice(space: TokenSpace, *facts: Any) -> VoiceHistory:
    """A short voice of random tokens."""
    rng = drawn("voice", *facts)
    frames = space.frames_for(40)
    fine = rng.integers(0, space.codebook_size, (space.n_fine_codebooks, frames))
    semantic = rng.integers(0, space.semantic_vocab_size, 40)
    return VoiceHistory(semantic, fine[: space.n_coarse_codebooks], fine, space=space)


class MadeUpStudio:
    """Evaluates by hashing; one in nine is rejected, one in eleven fails."""

    def __init__(self, space: TokenSpace) -> None:
        self.space = space

    def render(self, jobs: Sequence[Job]) -> list[Rendered]:
        return [self._rendered(job) for job in jobs]

    def _rendered(self, job: Job) -> Rendered:
        one = job.candidate
        if one.render_first is not None:
            one = one.with_voice(made_up_voice(self.space, "first", one.birth, one.seed))
        renderings = []
        for trial in job.trials:
            made = made_up_voice(self.space, one.genome.sha256, trial.text, trial.seed)
            tokens = BarkTokens(made.semantic, made.coarse, made.fine)
            audio = drawn("audio", one.genome.sha256).uniform(-0.1, 0.1, 480).astype(np.float32)
            renderings.append(Rendering(tokens, "eos", audio, voice_space=self.space))
        return Rendered(job, one, tuple(renderings))

    def judge(self, rendered: Sequence[Rendered]) -> list[Evaluated]:
        return [self._judged(one) for one in rendered]

    def _judged(self, one: Rendered) -> Evaluated:
        rng = drawn("score", one.candidate.genome.sha256, one.job.trials[0].seed)
        fate = rng.random()
        if fate < 1 / 11:
            return failed(one.candidate, "made up to fail")
        if fate < 1 / 5:
            return Evaluated(one.candidate, Score("rejected", reason="made up to be rejected"), one.renderings[0])
        terms = {name: Term(name, float(rng.random()), 1) for name in ("intelligibility", "cleanliness")}
        score = Score("ok", terms, measures={"f0_median_hz": float(rng.uniform(80, 300))})
        trials = tuple((score, each) for each in one.renderings) if len(one.renderings) > 1 else ()
        return Evaluated(one.candidate, score, one.renderings[0], trials)

    def close(self) -> None:
        pass


def made_up_studio(space: TokenSpace) -> MadeUpStudio:
    return MadeUpStudio(space)
