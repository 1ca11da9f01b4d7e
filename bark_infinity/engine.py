"""The engine: a checkpoint, where it runs, and rendering whole populations of requests through its four stages.

Requests of one call share batches, and never influence each other: on CPU in float32 a request's tokens are bit
for bit what they would be alone (`BarkEngine.batch_invariant`), elsewhere up to the rounding of the device.
"""

from __future__ import annotations

import dataclasses
import logging
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from numpy.typing import NDArray

from bark_infinity.bark_config import BarkConfig
from bark_infinity.checkpoints.checkpoint import Checkpoint, load_checkpoint
from bark_infinity.codec.stream import CodecStream
from bark_infinity.error_handling import BarkError
from bark_infinity.loaded_stages import LoadedStages
from bark_infinity.memory import MemoryPlan, Offload, free_memory, plan_memory
from bark_infinity.render_run import ProgressCallback, RenderRun
from bark_infinity.requests import Rendering, RenderRequest, RenderSettings, Stage
from bark_infinity.stages.linear import rows_are_independent
from bark_infinity.text_front_end import TextFrontEnd
from bark_infinity.tokens import Int64Array, TokenSpace
from bark_infinity.utterance import prepare

logger = logging.getLogger(__name__)

_PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class BarkEngine:
    """Renders requests with one checkpoint. Several engines may live in one process; calls are thread-safe.

    Use `BarkEngine.load`, not the constructor.
    """

    def __init__(self, checkpoint: Checkpoint, plan: MemoryPlan) -> None:
        self.checkpoint, self.plan = checkpoint, plan
        self._models = LoadedStages(checkpoint, plan)
        self._batch_limits: dict[Stage, int] = dict.fromkeys(get_args(Stage), plan.max_rows)
        # Re-entrant: a progress callback may decode what it has just been told of.
        self._lock = threading.RLock()

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
            engine._models.load_all()
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
        return rows_are_independent(self.plan.device, self.plan.dtype)

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
            progress: Told as a batch goes on (on a GPU, every few steps); called from this thread.
            cancel: Once set, rendering stops at the next such moment; unfinished requests come back ``cancelled``.
            decode: False stops at fine tokens and needs no codec.

        Returns:
            One rendering per request, in order. A request that alone exceeds the memory comes back ``failed`` with
            the reason; the others are rendered.

        Raises:
            BarkError: When a request cannot be rendered by this checkpoint: before any work, for all of them.
            VoiceFormatError: When a voice belongs to another family of checkpoints.
        """
        return self._render(requests, "codec" if decode else "fine", progress, cancel)

    def text_to_semantic(
        self,
        requests: Sequence[RenderRequest],
        progress: ProgressCallback | None = None,
        cancel: threading.Event | None = None,
    ) -> list[Int64Array]:
        """Stage 1 alone: one (S,) array per request; empty when the utterance ended before its first token.

        Raises:
            BarkError: As `render`, and when a request alone exceeds the memory; so do the other stages.
        """
        return [r.tokens.semantic for r in self._stage(requests, "semantic", progress, cancel)]

    def semantic_to_coarse(
        self,
        requests: Sequence[RenderRequest],
        progress: ProgressCallback | None = None,
        cancel: threading.Event | None = None,
    ) -> list[Int64Array]:
        """Stages up to 2 for requests that bring ``semantic``: one (n_coarse_codebooks, T) array per request."""
        return [r.tokens.coarse for r in self._stage(requests, "coarse", progress, cancel)]

    def coarse_to_fine(
        self,
        requests: Sequence[RenderRequest],
        progress: ProgressCallback | None = None,
        cancel: threading.Event | None = None,
    ) -> list[Int64Array]:
        """Stages up to 3 for requests that bring ``coarse``: one (n_fine_codebooks, T) array per request."""
        return [r.tokens.fine for r in self._stage(requests, "fine", progress, cancel)]

    def decode(self, codes: Sequence[Int64Array]) -> list[NDArray[np.float32]]:
        """Stage 4 alone: (C, T) codes, fine or coarse, to (S,) float32 audio each."""
        self._require_codec()
        with self._lock:
            return self._models.codec().decode(codes)

    def decode_stream(self) -> CodecStream:
        """A decoder that takes codes piece by piece; its pieces of audio add up to what `decode` gives."""
        self._require_codec()
        with self._lock:
            return self._models.codec().stream()

    def encode(self, audio: NDArray[np.floating], sample_rate: int) -> Int64Array:
        """A recording (S,) to (n_fine_codebooks, T) codes, resampled to the codec's rate."""
        self._require_codec()
        with self._lock:
            return self._models.codec().encode(audio, sample_rate)

    def close(self) -> None:
        """Lets the weights go; the next call loads them again."""
        with self._lock:
            self._models.drop()

    def _stage(
        self,
        requests: Sequence[RenderRequest],
        last: Stage,
        progress: ProgressCallback | None,
        cancel: threading.Event | None,
    ) -> list[Rendering]:
        """As `_render`, for callers who get bare arrays back, which cannot say that something failed."""
        renderings = self._render(requests, last, progress, cancel)
        for rendering in renderings:
            if rendering.stopped == "failed":
                raise BarkError(rendering.reason)
        return renderings

    def _render(
        self,
        requests: Sequence[RenderRequest],
        last: Stage,
        progress: ProgressCallback | None,
        cancel: threading.Event | None,
    ) -> list[Rendering]:
        who, defaults = f"checkpoint '{self.family}'", self.default_settings
        utterances = [prepare(request, self.config, defaults, self.front_end, who) for request in requests]
        if last == "codec":
            self._require_codec()
        with self._lock:
            run = RenderRun(self.config, self._models, self._batch_limits, self.device, progress, cancel)
            run.run(utterances, last)
        return [utterance.rendering(self.config) for utterance in utterances]

    def _require_codec(self) -> None:
        if not self.checkpoint.has_codec:
            raise BarkError(
                f"checkpoint '{self.family}' has no codec, so there is no audio: render with decode=False, or put its "
                "EnCodec (encodec_24khz-d7cc33bc.th, or a directory named encodec) beside its files"
            )


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
        # Older GPUs only emulate bfloat16, slowly.
        native = torch.version.hip is not None or torch.cuda.get_device_capability(device) >= (8, 0)
        return torch.bfloat16 if native else torch.float16
    if name not in _PRECISIONS:
        raise BarkError(f"precision is {name!r}, expected auto, {', '.join(_PRECISIONS)}")
    if name == "fp16" and device.type == "cpu":
        raise BarkError("precision fp16 is for CUDA and MPS; on CPU use fp32 or bf16")
    return _PRECISIONS[name]
