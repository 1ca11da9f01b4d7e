"""Stage 2: semantic tokens (and a voice) to coarse acoustic tokens, for many utterances at once.

From suno-ai/bark ``generate_coarse``: coarse codes are flattened frame by frame and made in windows of 60. A
window reads a block of semantic tokens around the present, an infer token, and the last 630 flat coarse tokens;
positions restart with every window. Utterances whose histories have equal lengths step in lockstep, so they
share a batch without any mask. As long as neither the semantic block nor the coarse history has moved, the next
window continues the same prefix, and the cache is simply kept.

Two edges of Suno's code are settled here. A voice too short to give any history gives none (Suno's slice then
takes everything). A coarse limit below one semantic token's worth likewise means no history.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bark_infinity.bark_config import BarkConfig
from bark_infinity.requests import RenderRequest, RenderSettings, Watch
from bark_infinity.stages.model import CausalGPT
from bark_infinity.stages.sampling import Filters, Sampler, stage_uniforms
from bark_infinity.tokens import Int64Array


@dataclass(frozen=True, eq=False)
class CoarseJob:
    """One utterance as stage 2 sees it.

    Attributes:
        semantic: (S_h + S,) semantic tokens, the voice's first.
        n_semantic_history: S_h.
        history: (F_h,) flat coarse history, as input ids.
        n_tokens: Flat coarse tokens to make.
        max_history: Most flat coarse tokens in view.
        window: Flat coarse tokens per window.
        filters: How tokens are drawn.
        uniforms: (n_tokens,) random numbers.
    """

    semantic: Int64Array
    n_semantic_history: int
    history: Int64Array
    n_tokens: int
    max_history: int
    window: int
    filters: Filters
    uniforms: NDArray[np.float32]

    @property
    def lockstep(self) -> tuple[int, int, int, int]:
        """Jobs with equal values see windows of equal shape at every step."""
        return self.n_semantic_history, len(self.history), self.max_history, self.window


@dataclass(frozen=True, eq=False)
class CoarseResult:
    """(C, T) coarse codes of one utterance and the log-probability of each; None when cancelled."""

    codes: Int64Array | None
    log_probs: NDArray[np.float32]


def coarse_job(config: BarkConfig, request: RenderRequest, settings: RenderSettings, semantic: Int64Array) -> CoarseJob:
    """Lays out one request whose semantic tokens (S,) are there."""
    stage, space = config.coarse, config.space
    ratio = space.flat_coarse_per_semantic
    max_history = settings.coarse_max_coarse_history or stage.max_coarse_history
    history_semantic, history = np.zeros(0, np.int64), np.zeros(0, np.int64)
    if request.voice is not None:
        voice = request.voice
        flat = flatten(voice.coarse, config)
        n_semantic = min(
            math.floor(max_history / ratio),
            len(voice.semantic) - len(voice.semantic) % 2,
            math.floor(len(flat) / ratio),
        )
        n_coarse = round(n_semantic * ratio)
        if n_semantic > 0:
            history_semantic = voice.semantic[-n_semantic:]
            history = flat[-n_coarse:]
            # Suno drops the last frame: histories then line up better in time, and it sounds better.
            history = history[: max(0, len(history) + settings.coarse_history_time_alignment_hack)]
    n_tokens = space.frames_for(len(semantic)) * stage.n_coarse_codebooks
    return CoarseJob(
        semantic=np.concatenate([history_semantic, semantic]),
        n_semantic_history=len(history_semantic),
        history=history,
        n_tokens=n_tokens,
        max_history=max_history,
        window=settings.coarse_sliding_window_len or stage.sliding_window_len,
        filters=Filters(settings.coarse_temp, settings.coarse_top_k, settings.coarse_top_p),
        uniforms=stage_uniforms(request.stage_seed("coarse"), "coarse", n_tokens),
    )


def flatten(codes: Int64Array, config: BarkConfig) -> Int64Array:
    """(C, T) codes to (C * T,) input ids: frame by frame, each codebook in its own id range."""
    offsets = np.arange(len(codes))[:, None] * config.codebook_size + config.semantic.semantic_vocab_size
    flat: Int64Array = (codes + offsets).T.reshape(-1)
    return flat


def run_coarse(model: CausalGPT, jobs: Sequence[CoarseJob], config: BarkConfig, watch: Watch) -> list[CoarseResult]:
    """Renders jobs of one lockstep group as one batch.

    Returns:
        One result per job, in order; jobs that ``watch`` cut short have no codes.
    """
    assert len({job.lockstep for job in jobs}) == 1, "the engine groups jobs by lockstep"
    with torch.inference_mode():
        return _Batch(model, jobs, config).run(watch)


class _Batch:
    """Rows in lockstep, longest first: the ones that are done are always the last."""

    def __init__(self, model: CausalGPT, jobs: Sequence[CoarseJob], config: BarkConfig) -> None:
        self.model, self.config, self.stage = model, config, config.coarse
        self.order = sorted(range(len(jobs)), key=lambda i: -jobs[i].n_tokens)
        self.jobs = [jobs[i] for i in self.order]
        first = self.jobs[0]
        self.n_history, self.n_semantic_history = len(first.history), first.n_semantic_history
        self.max_history, self.window = first.max_history, first.window
        self.ratio = config.space.flat_coarse_per_semantic
        device = model.device
        slots = self.stage.max_coarse_input_length
        longest = max(len(job.semantic) for job in self.jobs)
        semantic = np.full((len(jobs), longest + slots), self.stage.coarse_semantic_pad_token, np.int64)
        flat = np.zeros((len(jobs), self.n_history + first.n_tokens), np.int64)
        uniforms = np.zeros((len(jobs), first.n_tokens), np.float32)
        for row, job in enumerate(self.jobs):
            semantic[row, : len(job.semantic)] = job.semantic
            flat[row, : self.n_history] = job.history
            uniforms[row, : job.n_tokens] = job.uniforms
        self.semantic = torch.from_numpy(semantic).to(device)
        self.flat = torch.from_numpy(flat).to(device)  # history, then what is made
        self.uniforms = torch.from_numpy(uniforms).to(device)
        self.log_probs = torch.zeros(uniforms.shape, device=device)
        self.sampler = Sampler([job.filters for job in self.jobs], device)
        room = slots + 1 + min(self.max_history, self.n_history + first.n_tokens) + self.window
        self.cache = model.new_cache(len(jobs), min(room, model.config.block_size))

    def run(self, watch: Watch) -> list[CoarseResult]:
        done, seen = 0, (-1, -1)
        while rows := self._still_speaking(done):
            if done % self.window == 0 and (starts := self._starts(done)) != seen:
                prefilled, seen = self._prefill(rows, done, *starts, watch), starts
                if prefilled is None:
                    break
                hidden = prefilled
            else:
                hidden = self._decode(rows, done, seen[1])
            self._draw(hidden, done)
            done += 1
            if watch(rows):
                break
        return self._results(done)

    def _still_speaking(self, done: int) -> int:
        return sum(job.n_tokens > done for job in self.jobs)

    def _starts(self, done: int) -> tuple[int, int]:
        """Where the semantic block and the coarse history of the window at ``done`` begin."""
        present = self.n_semantic_history + round(done / self.ratio)
        look_back = math.floor(self.max_history / self.ratio)
        return max(0, present - look_back), max(0, self.n_history + done - self.max_history)

    def _prefill(self, rows: int, done: int, semantic_start: int, flat_start: int, watch: Watch) -> Tensor | None:
        """Reads the window's prefix of every row; None when the caller cancelled, which is asked between rows."""
        slots = self.stage.max_coarse_input_length
        infer = torch.full((rows, 1), self.stage.coarse_infer_token, device=self.model.device)
        block = self.semantic[:rows, semantic_start : semantic_start + slots]
        past = self.flat[:rows, flat_start : self.n_history + done]
        ids = torch.cat([block, infer, past], dim=1)
        hidden = []
        for first in range(0, rows, self.model.rows_per_pass):
            if watch(0):
                return None
            x = self.model.embed(ids[first : first + self.model.rows_per_pass])
            hidden.append(self.model.prefill(x, self.cache, first))
        return torch.cat(hidden)

    def _decode(self, rows: int, done: int, flat_start: int) -> Tensor:
        last = self.n_history + done - 1
        position = self.stage.max_coarse_input_length + 1 + last - flat_start
        return self.model.decode(self.model.embed(self.flat[:rows, last]), self.cache, position)

    def _draw(self, hidden: Tensor, done: int) -> None:
        """One flat token per row; codebooks take turns."""
        rows = len(hidden)
        if self.sampler.rows != rows:
            self.sampler.keep(range(rows))
        codebook = done % self.stage.n_coarse_codebooks
        draw = self.sampler(self.model.logits(hidden, codebook), self.uniforms[:rows, done])
        first_id = self.config.semantic.semantic_vocab_size + codebook * self.config.codebook_size
        self.flat[:rows, self.n_history + done] = draw.tokens + first_id
        self.log_probs[:rows, done] = draw.log_prob

    def _results(self, done: int) -> list[CoarseResult]:
        flat, log_probs = self.flat[:, self.n_history :].cpu().numpy(), self.log_probs.cpu().numpy()
        results: dict[int, CoarseResult] = {}
        n_codebooks, size = self.stage.n_coarse_codebooks, self.config.codebook_size
        offsets = np.arange(n_codebooks)[:, None] * size + self.config.semantic.semantic_vocab_size
        for row, (index, job) in enumerate(zip(self.order, self.jobs, strict=True)):
            if job.n_tokens > done:
                results[index] = CoarseResult(None, log_probs[row, :done])
                continue
            codes = flat[row, : job.n_tokens].reshape(-1, n_codebooks).T - offsets
            results[index] = CoarseResult(codes, log_probs[row, : job.n_tokens])
        return [results[index] for index in range(len(self.jobs))]
