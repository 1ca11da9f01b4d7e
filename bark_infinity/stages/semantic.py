"""Stage 1: text (and a voice's semantic history) to semantic tokens, for many utterances at once.

Layout, from suno-ai/bark ``generate_text_semantic``: the text block and the history block have the same slots and
their embeddings are summed, then comes the infer token; emitted tokens follow. The prefix has the same length
for every utterance, so rows need no mask: they step together and leave when they stop.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bark_infinity.bark_config import BarkConfig
from bark_infinity.requests import RenderRequest, RenderSettings, StopReason, Watch
from bark_infinity.stages.model import CausalGPT
from bark_infinity.stages.sampling import Filters, Sampler, stage_uniforms
from bark_infinity.tokens import Int64Array

_STEPS_BETWEEN_LOOKS = {"cuda": 16}  # reading a flag from the GPU waits for it; a few wasted steps cost less


@dataclass(frozen=True, eq=False)
class SemanticJob:
    """One utterance as stage 1 sees it.

    Attributes:
        text: (max_input_semantic_length,) input ids, offset and padded.
        history: (max_input_semantic_length,) input ids summed onto the text.
        filters: How tokens are drawn.
        limit: Most tokens to emit.
        limit_reason: What reaching the limit is called.
        allow_early_stop: Whether the utterance may end before the limit.
        min_eos_p: End once the end's probability reaches this.
        uniforms: (limit,) random numbers.
    """

    text: Int64Array
    history: Int64Array
    filters: Filters
    limit: int
    limit_reason: StopReason
    allow_early_stop: bool
    min_eos_p: float
    uniforms: NDArray[np.float32]

    @property
    def prefix(self) -> bytes:
        """Equal for two utterances with the same text and history."""
        return self.text.tobytes() + self.history.tobytes()


@dataclass(frozen=True, eq=False)
class SemanticResult:
    """Tokens of one utterance, why it ended, and the log-probability of each token."""

    tokens: Int64Array
    stopped: StopReason
    log_probs: NDArray[np.float32]


def semantic_job(
    config: BarkConfig, request: RenderRequest, settings: RenderSettings, text_ids: Sequence[int]
) -> SemanticJob:
    """Lays out one request; ``text_ids`` longer than the text block are cut, as Suno does."""
    stage = config.semantic
    slots = stage.max_input_semantic_length
    text = np.full(slots, stage.text_pad_token, np.int64)
    kept = np.asarray(text_ids[:slots], np.int64)
    text[: len(kept)] = kept + stage.text_encoding_offset

    history = np.full(slots, stage.semantic_pad_token, np.int64)
    if request.voice is not None:
        seen = min(stage.history_slots, settings.semantic_history_oversize_limit or stage.history_slots)
        tail = request.voice.semantic[-seen:]
        history[stage.history_start : stage.history_start + len(tail)] = tail

    limit, reason = _limit(config, settings)
    never = 2.0  # no probability reaches it
    return SemanticJob(
        text=text,
        history=history,
        filters=Filters(settings.semantic_temp, settings.semantic_top_k, settings.semantic_top_p),
        limit=limit,
        limit_reason=reason,
        allow_early_stop=settings.semantic_allow_early_stop,
        min_eos_p=never if settings.semantic_min_eos_p is None else settings.semantic_min_eos_p,
        uniforms=stage_uniforms(request.stage_seed("semantic"), "semantic", limit),
    )


def _limit(config: BarkConfig, settings: RenderSettings) -> tuple[int, StopReason]:
    most = min(config.max_semantic_tokens, settings.semantic_max_tokens or config.max_semantic_tokens)
    longest = settings.semantic_max_gen_duration_s
    if longest is not None:
        # Suno adds 1 / rate after every token and stops once the sum is above the limit: up to one token over.
        sums = itertools.accumulate(itertools.repeat(1 / config.semantic.semantic_rate_hz, most))
        for count, seconds in enumerate(sums, start=1):
            if seconds > longest and count < most:
                return count, "max_duration"
    return most, "max_tokens"


def run_semantic(
    model: CausalGPT, jobs: Sequence[SemanticJob], config: BarkConfig, watch: Watch
) -> list[SemanticResult]:
    """Renders all jobs as one batch; every job's tokens are what they would be alone.

    Returns:
        One result per job, in order; ``cancelled`` with the tokens so far when ``watch`` asked to stop.
    """
    with torch.inference_mode():
        return _Batch(model, jobs, config).run(watch)


class _Batch:
    """The rows that are still speaking, and what the finished ones said."""

    def __init__(self, model: CausalGPT, jobs: Sequence[SemanticJob], config: BarkConfig) -> None:
        self.model, self.jobs, self.stage = model, jobs, config.semantic
        first_with: dict[bytes, int] = {}
        for index, job in enumerate(jobs):
            first_with.setdefault(job.prefix, index)
        repeated = [index for index in range(len(jobs)) if index not in first_with.values()]
        self.rows = [*first_with.values(), *repeated]  # job of each cache row; rows with a prefix of their own first
        self.distinct = len(first_with)
        self.results: dict[int, SemanticResult] = {}
        longest = max(job.limit for job in jobs)
        self.prefix_length = self.stage.max_input_semantic_length + 1
        self.cache = model.new_cache(len(jobs), self.prefix_length + longest)
        device = model.device
        self.tokens = torch.zeros((len(jobs), longest), dtype=torch.int64, device=device)
        self.log_probs = torch.zeros((len(jobs), longest), dtype=torch.float32, device=device)
        self.stopped_at = torch.full((len(jobs),), -1, dtype=torch.int64, device=device)
        uniforms = np.zeros((len(jobs), longest), np.float32)
        in_row = [jobs[index] for index in self.rows]
        for row, job in enumerate(in_row):
            uniforms[row, : job.limit] = job.uniforms
        self.uniforms = torch.from_numpy(uniforms).to(device)
        self.sampler = Sampler([job.filters for job in in_row], device)
        self.min_eos_p = torch.tensor([job.min_eos_p for job in in_row], device=device)
        self.may_stop = torch.tensor([job.allow_early_stop for job in in_row], device=device)

    def run(self, watch: Watch) -> list[SemanticResult]:
        hidden = self._prefill(watch)
        if hidden is None:
            self._abandon(0)
            return [self.results[job] for job in range(len(self.jobs))]
        look_every = _STEPS_BETWEEN_LOOKS.get(self.model.device.type, 1)
        unreported = 0
        for step in itertools.count():
            tokens = self._draw(hidden, step)
            unreported += len(self.rows)
            at_limit = any(self.jobs[job].limit == step + 1 for job in self.rows)
            if at_limit or (step + 1) % look_every == 0:
                kept = self._retire(step + 1)
                if not self.rows:
                    watch(unreported)
                    break
                if kept is not None:
                    tokens = tokens[kept]
                if watch(unreported):
                    self._abandon(step + 1)
                    break
                unreported = 0
            hidden = self.model.decode(self.model.embed(tokens), self.cache, self.prefix_length + step)
        return [self.results[job] for job in range(len(self.jobs))]

    def _prefill(self, watch: Watch) -> Tensor | None:
        """Reads every different prefix once and copies it to the rows that share it; None when cancelled."""
        in_row = [self.jobs[index] for index in self.rows]
        text, history = (
            torch.from_numpy(np.stack([getattr(job, part) for job in in_row[: self.distinct]])).to(self.model.device)
            for part in ("text", "history")
        )
        infer = torch.full((self.distinct, 1), self.stage.semantic_infer_token, device=self.model.device)
        hidden = []
        for first in range(0, self.distinct, self.model.rows_per_pass):
            if watch(0):
                return None
            rows = slice(first, first + self.model.rows_per_pass)
            summed = self.model.embed(text[rows]) + self.model.embed(history[rows])
            x = torch.cat([summed, self.model.embed(infer[rows])], dim=1)  # (B, slots + 1, D)
            hidden.append(self.model.prefill(x, self.cache, first))
        row_with = {job.prefix: row for row, job in enumerate(in_row[: self.distinct])}
        source = [row_with[job.prefix] for job in in_row]
        for row in range(self.distinct, len(source)):
            self.cache.copy_row(source[row], row, self.prefix_length)
        return torch.cat(hidden)[source]

    def _draw(self, hidden: Tensor, step: int) -> Tensor:
        """One token for every row; the last column of the logits is the end of the utterance."""
        n = len(self.rows)
        logits = self.model.logits(hidden, 0)
        end = logits.shape[1] - 1
        logits[:, end] = torch.where(self.may_stop, logits[:, end], -torch.inf)
        draw = self.sampler(logits, self.uniforms[:n, step])
        stops = self.may_stop & ((draw.tokens == end) | (draw.last_prob >= self.min_eos_p))
        self.stopped_at[:n] = torch.where(stops & (self.stopped_at[:n] < 0), step, self.stopped_at[:n])
        # A stopped row waits for the next look; whatever is fed to it meanwhile is thrown away.
        tokens = draw.tokens.clamp(max=end - 1)
        self.tokens[:n, step] = tokens
        self.log_probs[:n, step] = draw.log_prob
        return tokens

    def _retire(self, steps: int) -> Tensor | None:
        """Takes out rows that stopped or reached their limit; answers the kept rows, None when all stay."""
        stopped_at = self.stopped_at[: len(self.rows)].tolist()
        leaving = [
            row
            for row, job in enumerate(self.rows)
            if 0 <= stopped_at[row] < self.jobs[job].limit or self.jobs[job].limit <= steps
        ]
        for row in leaving:
            job = self.jobs[self.rows[row]]
            if stopped_at[row] == 0:
                self._record(row, 0, "empty")
            elif 0 < stopped_at[row] < job.limit:
                self._record(row, stopped_at[row], "eos")
            else:
                self._record(row, job.limit, job.limit_reason)
        if not leaving:
            return None
        return self._fill_holes(set(leaving), self.prefix_length + steps)

    def _fill_holes(self, leaving: set[int], length: int) -> Tensor:
        """Moves the last staying rows into the holes, so that no more than the holes is copied."""
        staying = len(self.rows) - len(leaving)
        order = list(range(staying))
        movers = [row for row in range(staying, len(self.rows)) if row not in leaving]
        for hole in (row for row in range(staying) if row in leaving):
            order[hole] = movers.pop()
            self.cache.copy_row(order[hole], hole, length)
        kept = torch.tensor(order, dtype=torch.int64, device=self.model.device)
        self.rows = [self.rows[row] for row in order]
        self.sampler.keep(order)
        for name in ("tokens", "log_probs", "stopped_at", "uniforms", "min_eos_p", "may_stop"):
            setattr(self, name, getattr(self, name)[kept])
        return kept

    def _record(self, row: int, count: int, why: StopReason) -> None:
        tokens = self.tokens[row, :count].cpu().numpy().copy()  # a view would keep the whole batch's tokens alive
        self.results[self.rows[row]] = SemanticResult(tokens, why, self.log_probs[row, :count].cpu().numpy())

    def _abandon(self, steps: int) -> None:
        for row in range(len(self.rows)):
            self._record(row, steps, "cancelled")
