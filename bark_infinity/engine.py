"""The engine: a checkpoint, where it runs, and rendering whole populations of requests through its four stages.

Requests of one call share batches, and never influence each other: on CPU in float32 a request's tokens are bit
for bit what they would be alone (`BarkEngine.batch_invariant`), elsewhere up to the rounding of the device.
"""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from bark_infinity.bark_config import BarkConfig
from bark_infinity.checkpoints.checkpoint import Checkpoint, load_checkpoint
from bark_infinity.codec.codec import Codec
from bark_infinity.codec.stream import CodecStream
from bark_infinity.error_handling import BarkError
from bark_infinity.memory import MemoryPlan, Offload, free_memory, plan_memory
from bark_infinity.requests import Rendering, RenderProgress, RenderRequest, RenderSettings, Stage, Watch
from bark_infinity.stages.coarse import coarse_job, run_coarse
from bark_infinity.stages.fine import fine_job, run_fine
from bark_infinity.stages.model import CausalGPT, FineGPT
from bark_infinity.stages.semantic import run_semantic, semantic_job
from bark_infinity.text_front_end import TextFrontEnd
from bark_infinity.tokens import Int64Array, TokenSpace
from bark_infinity.utterance import Utterance, prepare, stage_seconds, stage_stats

logger = logging.getLogger(__name__)

ProgressCallback = Callable[[RenderProgress], None]
_Job = TypeVar("_Job")
_Result = TypeVar("_Result")

_STAGE_ORDER: tuple[Stage, ...] = ("semantic", "coarse", "fine", "codec")
_PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class BarkEngine:
    """Renders requests with one checkpoint. Several engines may live in one process; calls are thread-safe.

    Use `BarkEngine.load`, not the constructor.
    """

    def __init__(self, checkpoint: Checkpoint, plan: MemoryPlan) -> None:
        self.checkpoint, self.plan = checkpoint, plan
        self._lock = threading.Lock()
        self._stages = _Stages(checkpoint, plan)

    @classmethod
    def load(
        cls,
        source: str | Path = "micro",
        device: str = "auto",
        precision: str = "auto",
        *,
        offload: Offload = "auto",
        offline: bool | None = None,
        prefer_small: bool = False,
    ) -> BarkEngine:
        """Finds a checkpoint, plans its memory, and loads it.

        Args:
            source: Hugging Face id, directory in transformers' or suno's own format, ``micro``, or ``random-tiny``.
            device: ``auto`` (CUDA where there is one), ``cpu``, ``cuda``, ``cuda:n`` or ``mps``.
            precision: ``auto`` (float32 on CPU, bfloat16 or float16 on CUDA), ``fp32``, ``bf16``, or ``fp16``.
            offload: ``on`` holds one stage at a time, ``off`` all of them, ``auto`` whichever fits.
            offline: True never uses the network; None follows ``HF_HUB_OFFLINE``.
            prefer_small: Of a legacy directory that holds both sizes of a stage, take the small one.

        Raises:
            CheckpointError: When the checkpoint is missing, incomplete, damaged or not to be trusted.
            BarkError: When the device or precision is not there, or the memory does not suffice.
        """
        where = _device(device)
        dtype = _precision(precision, where)
        checkpoint = load_checkpoint(source, offline=offline, prefer_small=prefer_small)
        plan = plan_memory(checkpoint.config, where, dtype, free_memory(where), offload)
        logger.info("%s: %s", checkpoint.family, plan.describe())
        engine = cls(checkpoint, plan)
        if not plan.offload:
            engine._stages.load_all()
        return engine

    @property
    def config(self) -> BarkConfig:
        """All numbers of the checkpoint."""
        return self.checkpoint.config

    @property
    def space(self) -> TokenSpace:
        """Token space of voices this checkpoint reads and makes."""
        return self.config.space

    @property
    def sample_rate(self) -> int:
        """Samples per second of what it renders."""
        return self.config.sample_rate

    @property
    def source(self) -> str:
        """What was asked for."""
        return self.checkpoint.source

    @property
    def family(self) -> str:
        """Short name of the checkpoint, for reports."""
        return self.checkpoint.family

    @property
    def notices(self) -> tuple[str, ...]:
        """What the user should know about the checkpoint."""
        return self.checkpoint.notices

    @property
    def front_end(self) -> TextFrontEnd | None:
        """Turns text into ids; None when the checkpoint came without tokenizer files."""
        return self.checkpoint.front_end

    @property
    def device(self) -> torch.device:
        """Where the models run."""
        return self.plan.device

    @property
    def precision(self) -> str:
        """``fp32``, ``bf16`` or ``fp16``."""
        return next(name for name, dtype in _PRECISIONS.items() if dtype == self.plan.dtype)

    @property
    def default_settings(self) -> RenderSettings:
        """Settings of a request that brings none: the checkpoint's temperatures, Bark's defaults otherwise."""
        return RenderSettings(**dataclasses.asdict(self.config.sampling))

    @property
    def batch_invariant(self) -> bool:
        """Whether tokens are bit for bit independent of the batch, not only up to rounding."""
        with self._lock:
            return all(self._stages.gpt(stage).rows_are_independent for stage in ("semantic", "coarse", "fine"))

    def render(
        self,
        requests: Sequence[RenderRequest],
        progress: ProgressCallback | None = None,
        cancel: threading.Event | None = None,
        decode: bool = True,
    ) -> list[Rendering]:
        """Renders requests of any texts, voices, seeds and settings together.

        Args:
            requests: Checked, all of them, before any work starts.
            progress: Told after every step of a batch; called from this thread.
            cancel: Once set, rendering stops within a step; unfinished requests come back as ``cancelled``.
            decode: False stops at fine tokens and needs no codec.

        Returns:
            One rendering per request, in order.

        Raises:
            BarkError: When a request cannot be rendered by this checkpoint, or one alone exceeds the memory.
            VoiceFormatError: When a voice belongs to another family of checkpoints.
        """
        return self._render(requests, "codec" if decode else "fine", progress, cancel)

    def text_to_semantic(
        self,
        requests: Sequence[RenderRequest],
        progress: ProgressCallback | None = None,
        cancel: threading.Event | None = None,
    ) -> list[Int64Array]:
        """Stage 1 alone: one (S,) array per request; empty when the utterance ended before its first token."""
        return [r.tokens.semantic for r in self._render(requests, "semantic", progress, cancel)]

    def semantic_to_coarse(
        self,
        requests: Sequence[RenderRequest],
        progress: ProgressCallback | None = None,
        cancel: threading.Event | None = None,
    ) -> list[Int64Array]:
        """Stages up to 2 for requests that bring ``semantic``: one (n_coarse_codebooks, T) array per request."""
        return [r.tokens.coarse for r in self._render(requests, "coarse", progress, cancel)]

    def coarse_to_fine(
        self,
        requests: Sequence[RenderRequest],
        progress: ProgressCallback | None = None,
        cancel: threading.Event | None = None,
    ) -> list[Int64Array]:
        """Stages up to 3 for requests that bring ``coarse``: one (n_fine_codebooks, T) array per request."""
        return [r.tokens.fine for r in self._render(requests, "fine", progress, cancel)]

    def decode(self, codes: Sequence[Int64Array]) -> list[NDArray[np.float32]]:
        """Stage 4 alone: (C, T) codes, fine or coarse, to (S,) float32 audio each."""
        self._require_codec()
        with self._lock:
            return self._stages.codec().decode(codes)

    def decode_stream(self) -> CodecStream:
        """A decoder that takes codes piece by piece; its pieces of audio add up to what `decode` gives."""
        self._require_codec()
        with self._lock:
            return self._stages.codec().stream()

    def encode(self, audio: NDArray[np.floating], sample_rate: int) -> Int64Array:
        """A recording (S,) to (n_fine_codebooks, T) codes, resampled to the codec's rate."""
        self._require_codec()
        with self._lock:
            return self._stages.codec().encode(audio, sample_rate)

    def close(self) -> None:
        """Lets the weights go; the next call loads them again."""
        with self._lock:
            self._stages.drop()

    def _render(
        self,
        requests: Sequence[RenderRequest],
        last: Stage,
        progress: ProgressCallback | None,
        cancel: threading.Event | None,
    ) -> list[Rendering]:
        who = f"checkpoint '{self.family}'"
        defaults = self.default_settings
        utterances = [prepare(r, self.config, defaults, self.front_end, who) for r in requests]
        if last == "codec":
            self._require_codec()
        for notice in (notice for utterance in utterances for notice in utterance.notices):
            logger.warning("%s", notice)
        steps = {
            "semantic": self._text_to_semantic,
            "coarse": self._semantic_to_coarse,
            "fine": self._coarse_to_fine,
            "codec": self._decode,
        }
        with self._lock:
            for stage in _STAGE_ORDER[: _STAGE_ORDER.index(last) + 1]:
                steps[stage](utterances, _Meter(stage, progress, cancel))
        return [utterance.rendering(self.config) for utterance in utterances]

    def _require_codec(self) -> None:
        if not self.checkpoint.has_codec:
            raise BarkError(
                f"checkpoint '{self.family}' has no codec, so there is no audio: render with decode=False, or put its "
                "EnCodec (encodec_24khz-d7cc33bc.th, or a directory named encodec) beside its files"
            )

    def _text_to_semantic(self, utterances: Sequence[Utterance], meter: _Meter) -> None:
        todo = [u for u in utterances if u.semantic is None]
        if not todo:
            return
        jobs = [semantic_job(self.config, u.request, u.settings, u.text_ids) for u in todo]
        meter.total = sum(job.limit for job in jobs)
        model = self._stages.semantic()
        results = self._in_batches(
            todo, jobs, meter, lambda batch: run_semantic(model, batch, self.config, meter.watch)
        )
        for utterance, result in zip(todo, results, strict=True):
            utterance.semantic, utterance.stopped = result.tokens, result.stopped
            utterance.stats["semantic"] = stage_stats(result.tokens, result.log_probs)

    def _semantic_to_coarse(self, utterances: Sequence[Utterance], meter: _Meter) -> None:
        todo = [u for u in utterances if u.goes_on and u.coarse is None]
        jobs = [coarse_job(self.config, u.request, u.settings, _there(u.semantic)) for u in todo]
        meter.total = sum(job.n_tokens for job in jobs)
        groups: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for index, job in enumerate(jobs):
            groups[job.lockstep].append(index)
        for members in groups.values():
            model = self._stages.coarse()
            group = [todo[i] for i in members]
            results = self._in_batches(
                group,
                [jobs[i] for i in members],
                meter,
                lambda batch, model=model: run_coarse(model, batch, self.config, meter.watch),  # type: ignore[misc]
            )
            for utterance, result in zip(group, results, strict=True):
                if result.codes is None:
                    utterance.cancel()
                    continue
                utterance.coarse = result.codes
                utterance.stats["coarse"] = stage_stats(result.codes, result.log_probs)

    def _coarse_to_fine(self, utterances: Sequence[Utterance], meter: _Meter) -> None:
        todo = [u for u in utterances if u.goes_on]
        if not todo:
            return
        jobs = [fine_job(self.config, u.request, u.settings, _there(u.coarse)) for u in todo]
        n_predicted = self.config.fine.n_fine_codebooks - self.config.coarse.n_coarse_codebooks
        meter.total = sum(len(job.windows) for job in jobs) * n_predicted
        model = self._stages.fine()
        results = self._in_batches(todo, jobs, meter, lambda batch: run_fine(model, batch, self.config, meter.watch))
        for utterance, result in zip(todo, results, strict=True):
            if result.codes is None:
                utterance.cancel()
                continue
            utterance.fine = result.codes
            predicted = result.codes[self.config.coarse.n_coarse_codebooks :]
            utterance.stats["fine"] = stage_stats(predicted, result.log_probs)

    def _decode(self, utterances: Sequence[Utterance], meter: _Meter) -> None:
        for utterance in utterances:
            if utterance.stopped == "empty":
                utterance.audio = np.zeros(0, np.float32)
        todo = [u for u in utterances if u.goes_on]
        meter.total = len(todo)
        if not todo:
            return
        codec = self._stages.codec()

        def decode(codes: Sequence[Int64Array]) -> list[NDArray[np.float32] | None]:
            if meter.watch(0):
                return [None] * len(codes)
            audio = codec.decode(codes)
            meter.watch(len(codes))
            return list(audio)

        # On CPU the codec decodes row by row anyway; asked one by one, it can be stopped in between.
        most = 1 if self.device.type == "cpu" else self.plan.max_rows
        decoded = self._in_batches(todo, [_there(u.fine) for u in todo], meter, decode, most)
        for utterance, audio in zip(todo, decoded, strict=True):
            utterance.audio = audio
            if audio is None:
                utterance.cancel()

    def _in_batches(
        self,
        utterances: Sequence[Utterance],
        jobs: Sequence[_Job],
        meter: _Meter,
        run: Callable[[Sequence[_Job]], list[_Result]],
        most: int | None = None,
    ) -> list[_Result]:
        """Runs jobs in batches that fit; when one does not, it is halved and nothing else is lost."""
        results: list[_Result] = []
        most = most or self.plan.max_rows
        while len(results) < len(jobs):
            batch = slice(len(results), len(results) + most)
            done_before = meter.done
            try:
                with _timed(utterances[batch], meter.stage):
                    results += run(jobs[batch])
            except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
                rows = len(jobs[batch])
                if not _is_out_of_memory(error):
                    raise
                if rows == 1:
                    raise BarkError(
                        f"one utterance alone exceeds the memory of {self.device} in the {meter.stage} stage: {error}; "
                        "load with offload='on', precision='bf16', or a smaller checkpoint"
                    ) from error
                most = rows // 2
                meter.done = done_before
                logger.warning("out of memory with %d utterances at once, going on with %d", rows, most)
            if self.device.type == "cuda" and most < self.plan.max_rows:
                torch.cuda.empty_cache()
        return results


class _Stages:
    """The models that are loaded now: all of them, or the one that is needed when offloading."""

    def __init__(self, checkpoint: Checkpoint, plan: MemoryPlan) -> None:
        self._checkpoint, self._plan = checkpoint, plan
        self._gpts: dict[str, CausalGPT | FineGPT] = {}
        self._codec: Codec | None = None

    def load_all(self) -> None:
        for stage in ("semantic", "coarse", "fine"):
            self.gpt(stage)

    def drop(self) -> None:
        self._gpts.clear()
        self._codec = None

    def semantic(self) -> CausalGPT:
        return self.gpt("semantic")  # type: ignore[return-value]

    def coarse(self) -> CausalGPT:
        return self.gpt("coarse")  # type: ignore[return-value]

    def fine(self) -> FineGPT:
        return self.gpt("fine")  # type: ignore[return-value]

    def gpt(self, stage: str) -> CausalGPT | FineGPT:
        if stage not in self._gpts:
            if self._plan.offload:
                self._gpts.clear()
            self._gpts[stage] = self._load(stage)
        return self._gpts[stage]

    def codec(self) -> Codec:
        if self._codec is None:
            if self._plan.offload:
                self._gpts.clear()
            self._codec = self._load_codec()
        return self._codec

    def _load(self, stage: str) -> CausalGPT | FineGPT:
        config, where, dtype = self._checkpoint.config, self._plan.device, self._plan.dtype
        if stage == "fine":
            state = self._checkpoint.load_stage("fine")
            return FineGPT(config.fine_gpt, state, config.codebook_size, where, dtype)
        vocab = config.semantic.semantic_vocab_size
        if stage == "semantic":
            heads = [[*range(vocab), config.semantic.eos_token_id]]
            return CausalGPT(config.semantic_gpt, self._checkpoint.load_stage("semantic"), heads, where, dtype)
        size = config.codebook_size
        heads = [
            list(range(vocab + codebook * size, vocab + (codebook + 1) * size))
            for codebook in range(config.coarse.n_coarse_codebooks)
        ]
        return CausalGPT(config.coarse_gpt, self._checkpoint.load_stage("coarse"), heads, where, dtype)

    def _load_codec(self) -> Codec:
        return Codec.from_checkpoint(self._checkpoint, device=self._plan.device)


class _Meter:
    """Counts a stage's steps for the caller, and tells the stage when the caller has had enough."""

    def __init__(self, stage: Stage, progress: ProgressCallback | None, cancel: threading.Event | None) -> None:
        self.stage, self._progress, self._cancel = stage, progress, cancel
        self.done, self.total = 0, 0

    @property
    def watch(self) -> Watch:
        return self._watch

    def _watch(self, steps: int) -> bool:
        self.done += steps
        if self._progress is not None and steps:
            self._progress(RenderProgress(self.stage, self.done, self.total))
        return self._cancel is not None and self._cancel.is_set()


@contextmanager
def _timed(utterances: Sequence[Utterance], stage: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    stage_seconds(utterances, stage, time.perf_counter() - started)


def _there(tokens: Int64Array | None) -> Int64Array:
    assert tokens is not None, "an earlier stage has run"
    return tokens


def _is_out_of_memory(error: BaseException) -> bool:
    # The CPU allocator has no exception of its own.
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise BarkError(f"device is {name!r}, expected auto, cpu, cuda, cuda:n or mps") from error
    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if not there.get(device.type, False):
        raise BarkError(
            f"device {name!r} is not there: this torch ({torch.__version__}) sees {torch.cuda.device_count()} CUDA "
            "devices; use device='cpu', or install a torch built for your GPU"
        )
    return device


def _precision(name: str, device: torch.device) -> torch.dtype:
    if name == "auto":
        if device.type != "cuda":
            return torch.float32
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    if name not in _PRECISIONS:
        raise BarkError(f"precision is {name!r}, expected auto, {', '.join(_PRECISIONS)}")
    if name == "fp16" and device.type == "cpu":
        raise BarkError("precision fp16 is for CUDA and MPS; on CPU use fp32 or bf16")
    return _PRECISIONS[name]
