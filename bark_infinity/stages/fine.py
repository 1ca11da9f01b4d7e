"""Stage 3: coarse codes (and a voice) to all fine codes.

From suno-ai/bark ``generate_fine``: windows of 1024 frames, moved by 512, over [voice tail, coarse codes, padding];
in each window the missing codebooks are predicted one after another from the sum of all below. The model looks
both ways and is never masked, so windows of different utterances share a batch as they are.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from bark_infinity.bark_config import BarkConfig
from bark_infinity.requests import RenderRequest, RenderSettings, Watch
from bark_infinity.stages.model import FineGPT
from bark_infinity.stages.sampling import Filters, Sampler, stage_uniforms
from bark_infinity.tokens import Int64Array


@dataclass(frozen=True)
class FineWindow:
    """Where one window reads and writes, in frames of the buffer.

    Attributes:
        start: First frame read.
        fill: First frame written; up to the window's end.
    """

    start: int
    fill: int


@dataclass(frozen=True, eq=False)
class FineJob:
    """One utterance as stage 3 sees it.

    Attributes:
        buffer: (C, L) voice tail, coarse codes with the pad above them, padding to at least one window.
        n_history: Frames of the voice tail.
        n_frames: Frames T to return.
        windows: In order.
        temperature: 0 takes the likeliest code.
        uniforms: (windows, C to predict, window length) random numbers.
    """

    buffer: Int64Array
    n_history: int
    n_frames: int
    windows: tuple[FineWindow, ...]
    temperature: float
    uniforms: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class FineResult:
    """(C, T) fine codes and the log-probability of each predicted one (C - C_coarse, T); None when cancelled."""

    codes: Int64Array | None
    log_probs: NDArray[np.float32]


def fine_job(config: BarkConfig, request: RenderRequest, settings: RenderSettings, coarse: Int64Array) -> FineJob:
    """Lays out one request whose coarse codes (C, T) are there."""
    stage, pad = config.fine, config.codebook_size
    length, most_history = stage.max_fine_input_length, stage.max_fine_history_length
    n_frames = coarse.shape[1]
    known = np.full((stage.n_fine_codebooks, n_frames), pad, np.int64)
    known[: len(coarse)] = coarse
    tail = np.zeros((stage.n_fine_codebooks, 0), np.int64)
    if request.voice is not None:
        tail = request.voice.fine[:, -most_history:]
    n_history = tail.shape[1]
    missing = max(0, length - n_history - n_frames)
    padding = np.full((stage.n_fine_codebooks, missing), pad, np.int64)
    buffer = np.concatenate([tail, known, padding], axis=1)

    hop = most_history  # Suno's 512 is both; transformers moves by the history length, and so do we
    n_windows = max(0, math.ceil((n_frames - (length - n_history)) / hop)) + 1
    end = buffer.shape[1]
    windows = tuple(
        FineWindow(start=min(hop * n, end - length), fill=min(n_history + hop * n, end - hop)) for n in range(n_windows)
    )
    shape = (n_windows, stage.n_fine_codebooks - len(coarse), length)
    uniforms = stage_uniforms(request.stage_seed("fine"), "fine", math.prod(shape)).reshape(shape)
    return FineJob(buffer, n_history, n_frames, windows, settings.fine_temp or 0.0, uniforms)


def run_fine(model: FineGPT, jobs: Sequence[FineJob], config: BarkConfig, watch: Watch) -> list[FineResult]:
    """Renders all jobs, the n-th windows of all of them as one batch.

    Returns:
        One result per job, in order; jobs that ``watch`` cut short have no codes.
    """
    with torch.inference_mode():
        return _Batch(model, jobs, config).run(watch)


class _Batch:
    """The buffers of all jobs, filled window by window."""

    def __init__(self, model: FineGPT, jobs: Sequence[FineJob], config: BarkConfig) -> None:
        self.model, self.jobs = model, jobs
        self.n_coarse, self.n_codebooks = config.coarse.n_coarse_codebooks, config.fine.n_fine_codebooks
        self.length = config.fine.max_fine_input_length
        self.buffers = [torch.from_numpy(job.buffer).to(model.device) for job in jobs]
        self.log_probs = [torch.zeros(buffer.shape, device=model.device) for buffer in self.buffers]
        self.uniforms = [torch.from_numpy(job.uniforms).to(model.device) for job in jobs]
        self.samplers = [Sampler([Filters(job.temperature)], model.device) for job in jobs]

    def run(self, watch: Watch) -> list[FineResult]:
        finished: set[int] = set()
        for n, codebook, together in self._passes():
            self._predict(codebook, n, together)
            if codebook == self.n_codebooks - 1:
                finished.update(i for i in together if n == len(self.jobs[i].windows) - 1)
            if watch(len(together)):
                break
        return [self._result(i, i in finished) for i in range(len(self.jobs))]

    def _passes(self) -> Iterator[tuple[int, int, Sequence[int]]]:
        """Window number, codebook and jobs of every pass, in order."""
        for n in range(max(len(job.windows) for job in self.jobs)):
            active = [i for i, job in enumerate(self.jobs) if n < len(job.windows)]
            for codebook in range(self.n_coarse, self.n_codebooks):
                for first in range(0, len(active), self.model.rows_per_pass):
                    yield n, codebook, active[first : first + self.model.rows_per_pass]

    def _predict(self, codebook: int, n: int, active: Sequence[int]) -> None:
        """Predicts one codebook in the n-th window of the given jobs."""
        starts = [self.jobs[i].windows[n].start for i in active]
        windows = torch.stack(
            [self.buffers[i][:, start : start + self.length] for i, start in zip(active, starts, strict=True)]
        )  # (B, C, length)
        hidden = self.model.hidden(windows, codebook)
        for row, i in enumerate(active):
            window = self.jobs[i].windows[n]
            written = slice(window.fill, window.start + self.length)
            logits = self.model.logits(hidden[row, window.fill - window.start :], codebook)
            uniforms = self.uniforms[i][n, codebook - self.n_coarse, window.fill - window.start :]
            draw = self.samplers[i](logits, uniforms)
            self.buffers[i][codebook, written] = draw.tokens
            self.log_probs[i][codebook, written] = draw.log_prob

    def _result(self, i: int, finished: bool) -> FineResult:
        job = self.jobs[i]
        if not finished:
            return FineResult(None, np.zeros((self.n_codebooks - self.n_coarse, 0), np.float32))
        frames = slice(job.n_history, job.n_history + job.n_frames)
        codes = self.buffers[i][:, frames].cpu().numpy().copy()  # a view would keep the whole buffer alive
        return FineResult(codes, self.log_probs[i][self.n_coarse :, frames].cpu().numpy())
