"""One call's way through the stages: batches that fit, progress, cancel, and what to do when memory runs out."""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from bark_infinity.bark_config import BarkConfig
from bark_infinity.loaded_stages import LoadedStages
from bark_infinity.requests import RenderProgress, Stage
from bark_infinity.stages.coarse import CoarseJob, CoarseResult, coarse_job, run_coarse
from bark_infinity.stages.fine import FineJob, FineResult, fine_job, run_fine
from bark_infinity.stages.semantic import SemanticJob, SemanticResult, run_semantic, semantic_job
from bark_infinity.tokens import Int64Array
from bark_infinity.utterance import Utterance, stage_stats

logger = logging.getLogger(__name__)

ProgressCallback = Callable[[RenderProgress], None]
Audio = NDArray[np.float32]
_Job = TypeVar("_Job")
_Result = TypeVar("_Result")

_STAGE_ORDER: tuple[Stage, ...] = ("semantic", "coarse", "fine", "codec")
# Allocators that raise a plain RuntimeError, by what they say.
_OUT_OF_MEMORY_WORDS = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "ALLOC_FAILED",
    "bad_alloc",
    "could not create a memory object",
)


class RenderRun:
    """Takes utterances through the stages, in place.

    Args:
        config: The checkpoint's numbers.
        models: Where the stages' models come from.
        batch_limits: Most utterances per batch and stage; lowered here when a batch did not fit, and kept by the
            engine, so that a lesson is paid for once.
        device: Where the models run.
        progress: Told after every step.
        cancel: Once set, whatever is not finished is cancelled.
    """

    def __init__(
        self,
        config: BarkConfig,
        models: LoadedStages,
        batch_limits: dict[Stage, int],
        device: torch.device,
        progress: ProgressCallback | None,
        cancel: threading.Event | None,
    ) -> None:
        self._config, self._models, self._batch_limits, self._device = config, models, batch_limits, device
        self._progress, self._cancel = progress, cancel
        self._stage: Stage = "semantic"
        self._done = self._total = 0

    def run(self, utterances: Sequence[Utterance], last: Stage) -> None:
        """Runs all stages up to and including ``last``; what each has made is in the utterances."""
        for utterance, notice in ((u, notice) for u in utterances for notice in u.notices):
            logger.warning("%r: %s", utterance.request.text, notice)
        steps = {
            "semantic": self._text_to_semantic,
            "coarse": self._semantic_to_coarse,
            "fine": self._coarse_to_fine,
            "codec": self._decode,
        }
        for stage in _STAGE_ORDER[: _STAGE_ORDER.index(last) + 1]:
            todo = [u for u in utterances if u.goes_on and not u.has(stage)]
            self._stage, self._done = stage, 0
            if self._watch(0):
                for utterance in todo:
                    utterance.cancel()
            elif todo:
                steps[stage](todo)

    def _watch(self, steps: int) -> bool:
        """Counts steps for the caller; True once the caller has had enough."""
        self._done += steps
        if self._progress is not None and steps:
            self._progress(RenderProgress(self._stage, self._done, self._total))
        return self._cancel is not None and self._cancel.is_set()

    def _text_to_semantic(self, todo: Sequence[Utterance]) -> None:
        jobs = [semantic_job(self._config, u.request, u.settings, u.text_ids) for u in todo]
        self._total = sum(job.limit for job in jobs)
        model = self._models.semantic()

        def run(batch: Sequence[SemanticJob]) -> list[SemanticResult]:
            return run_semantic(model, batch, self._config, self._watch)

        def take(utterance: Utterance, result: SemanticResult) -> None:
            utterance.semantic, utterance.stopped = result.tokens, result.stopped
            utterance.stats["semantic"] = stage_stats(result.tokens, result.log_probs)

        self._in_batches(todo, jobs, run, take)

    def _semantic_to_coarse(self, todo: Sequence[Utterance]) -> None:
        jobs = [coarse_job(self._config, u.request, u.settings, _there(u.semantic)) for u in todo]
        self._total = sum(job.n_tokens for job in jobs)
        model = self._models.coarse()

        def run(batch: Sequence[CoarseJob]) -> list[CoarseResult]:
            return run_coarse(model, batch, self._config, self._watch)

        def take(utterance: Utterance, result: CoarseResult) -> None:
            if result.codes is None:
                return utterance.cancel()
            utterance.coarse = result.codes
            utterance.stats["coarse"] = stage_stats(result.codes, result.log_probs)

        groups: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for index, job in enumerate(jobs):
            groups[job.lockstep].append(index)
        for members in groups.values():
            self._in_batches([todo[i] for i in members], [jobs[i] for i in members], run, take)

    def _coarse_to_fine(self, todo: Sequence[Utterance]) -> None:
        jobs = [fine_job(self._config, u.request, u.settings, _there(u.coarse)) for u in todo]
        n_coarse = self._config.coarse.n_coarse_codebooks
        self._total = sum(len(job.windows) for job in jobs) * (self._config.fine.n_fine_codebooks - n_coarse)
        model = self._models.fine()

        def run(batch: Sequence[FineJob]) -> list[FineResult]:
            return run_fine(model, batch, self._config, self._watch)

        def take(utterance: Utterance, result: FineResult) -> None:
            if result.codes is None:
                return utterance.cancel()
            utterance.fine = result.codes
            utterance.stats["fine"] = stage_stats(result.codes[n_coarse:], result.log_probs)

        self._in_batches(todo, jobs, run, take)

    def _decode(self, todo: Sequence[Utterance]) -> None:
        self._total = len(todo)
        codec = self._models.codec()

        def run(codes: Sequence[Int64Array]) -> list[Audio | None]:
            if self._watch(0):
                return [None] * len(codes)
            audio = codec.decode(codes)
            self._watch(len(codes))
            return list(audio)

        def take(utterance: Utterance, audio: Audio | None) -> None:
            if audio is None:
                return utterance.cancel()
            utterance.audio = audio

        # On CPU the codec decodes row by row anyway; asked one by one, it can be stopped in between.
        most = 1 if self._device.type == "cpu" else None
        self._in_batches(todo, [_there(u.fine) for u in todo], run, take, most)

    def _in_batches(
        self,
        utterances: Sequence[Utterance],
        jobs: Sequence[_Job],
        run: Callable[[Sequence[_Job]], list[_Result]],
        take: Callable[[Utterance, _Result], None],
        most: int | None = None,
    ) -> None:
        """Runs jobs in batches that fit; one that does not is halved, and one that never will fails alone."""
        start = 0
        while start < len(jobs):
            batch = slice(start, start + (most or self._batch_limits[self._stage]))
            done_before, began = self._done, time.perf_counter()
            try:
                results = run(jobs[batch])
            except (MemoryError, RuntimeError) as error:
                if not _is_out_of_memory(error):
                    raise
                self._done = done_before
                rows = len(jobs[batch])
                if rows == 1:
                    utterances[start].fail(self._too_large(error))
                    start += 1
                else:
                    self._batch_limits[self._stage] = rows // 2
                    logger.warning("out of memory with %d utterances at once, going on with %d", rows, rows // 2)
                if self._device.type == "cuda":
                    torch.cuda.empty_cache()
                continue
            seconds = (time.perf_counter() - began) / len(results)
            for utterance, result in zip(utterances[batch], results, strict=True):
                utterance.seconds[self._stage] = seconds
                take(utterance, result)
            start += len(results)

    def _too_large(self, error: BaseException) -> str:
        return (
            f"this utterance alone exceeds the memory of {self._device} in the {self._stage} stage ({error}); load the "
            "checkpoint with offload='on' or precision='bf16', take a smaller one, or shorten the text"
        )


def _there(tokens: Int64Array | None) -> Int64Array:
    assert tokens is not None, "an earlier stage has run"
    return tokens


def _is_out_of_memory(error: BaseException) -> bool:
    known = isinstance(error, torch.OutOfMemoryError | MemoryError)
    return known or any(words in str(error) for words in _OUT_OF_MEMORY_WORDS)
