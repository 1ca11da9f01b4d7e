"""What an expert is: one frozen encoder that reads windows of a text or a clip, and says where each state belongs.

`load_expert` finds one by name: a Hugging Face id or directory, or a part of a Bark checkpoint, which needs no
download. Files of foreign origin never execute code: ``trust_remote_code`` is never on, weights are safetensors or
pickles read with ``weights_only``.

Shapes: B windows read together, T positions, D width of the encoder.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import hashlib
import itertools
import json
import logging
import math
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from bark_infinity.error_handling import BarkError, CheckpointError
from fusion.transformer.alignment import Float64Array
from fusion.transformer.embedding_cache import tensor_bytes

logger = logging.getLogger(__name__)

Modality = Literal["text", "audio"]

BARK_TEXT, BARK_CODEC = "bark:", "bark-codec:"
_NOT_OF_THE_MODEL = ("_name_or_path", "name_or_path", "transformers_version", "dtype", "torch_dtype")


@dataclass(frozen=True, eq=False)
class Window:
    """A stretch of one passage, as one expert takes it in.

    Attributes:
        arrays: The encoder's inputs by name, without the batch axis.
        spans: (T, 2) where its positions lie, in characters of the text or seconds of the clip; empty spans for
            special tokens. Positions that the encoder answers beyond T are padding and dropped.
    """

    arrays: Mapping[str, Tensor]
    spans: Float64Array

    @functools.cached_property
    def content_hash(self) -> str:
        """SHA-256 of what is read."""
        digest = hashlib.sha256(f"{len(self.spans)}".encode())
        for name in sorted(self.arrays):
            digest.update(name.encode())
            digest.update(tensor_bytes(self.arrays[name]))
        return digest.hexdigest()


class Expert(nn.Module, ABC):
    """One encoder with the tokenizer or feature extractor that it was trained with.

    Attributes:
        name: What it was loaded by.
        modality: What it reads.
        width: D of its states.
        fingerprint: SHA-256 of its weights, configuration and tokenizer or feature extractor; of those it began with,
            while it learns.
        learns: A model owns it and changes its weights.
        sample_rate: Hz of the clips it hears; None for readers of text.
        pad_values: What short windows are filled up with, by input, where that changes no state; None when only
            windows of equal shape may share a batch.
    """

    sample_rate: int | None = None
    pad_values: Mapping[str, int] | None = None

    def __init__(self, name: str, modality: Modality, width: int, fingerprint: str) -> None:
        super().__init__()
        self.name, self.modality, self.width, self.fingerprint = name, modality, width, fingerprint
        self.learns = False

    @abstractmethod
    def windows(self, content: Any) -> tuple[Window, ...]:
        """Cuts a text, or (S,) samples at `sample_rate`, into what the encoder can read at once."""

    @abstractmethod
    def forward(self, arrays: Mapping[str, Tensor]) -> Tensor:
        """Hidden states (B, T, D) of inputs with a batch axis."""

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """Precision of its weights."""
        return next(self.parameters()).dtype

    def frozen_copy(self) -> Expert:
        """As it is now, to stay so; what has learned is told from what it began with by another fingerprint."""
        own = copy.deepcopy(self).eval()
        if own.learns:
            own.fingerprint = fingerprint_of("learned", {"from": self.fingerprint}, own.state_dict())
            own.learns = False
        return own

    def cache_key(self, window: Window) -> str:
        """SHA-256 of everything that a window's states depend on."""
        parts = (self.fingerprint, window.content_hash, str(self.dtype), self.device.type)
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def read(self, windows: Sequence[Window], most_rows: int) -> Iterator[tuple[int, Tensor]]:
        """Hidden states of windows, batch by batch, so that what is done can be kept before all is.

        Args:
            windows: Of any shapes.
            most_rows: Windows that may share a batch. Alone, a window's states do not depend on the others even in
                the last bit.

        Yields:
            Index of a window and its states (T, D), on the expert's device; every window once, in any order.

        Raises:
            BarkError: When the encoder answers fewer positions than its configuration promises.
        """
        for batch in self._batches(windows, most_rows):
            answered = self(self._collated([windows[i] for i in batch]))
            for row, index in zip(answered, batch, strict=True):
                expected = len(windows[index].spans)
                if len(row) < expected:
                    raise BarkError(
                        f"expert '{self.name}' answered {len(row)} positions, its configuration promises {expected}; "
                        "check its config.json, or leave it out"
                    )
                yield index, row[:expected]

    def _batches(self, windows: Sequence[Window], most_rows: int) -> Iterator[list[int]]:
        """Indices of windows that share a batch: of equal shape, or of similar length where padding is harmless."""

        def shapes(index: int) -> tuple[tuple[str, tuple[int, ...]], ...]:
            return tuple(sorted((name, tuple(array.shape)) for name, array in windows[index].arrays.items()))

        batch: list[int] = []
        for index in sorted(range(len(windows)), key=shapes):
            fits = not batch or self.pad_values is not None or shapes(batch[0]) == shapes(index)
            if batch and (len(batch) == most_rows or not fits):
                yield batch
                batch = []
            batch.append(index)
        if batch:
            yield batch

    def _collated(self, windows: Sequence[Window]) -> dict[str, Tensor]:
        batch = {}
        for name in windows[0].arrays:
            rows = [window.arrays[name] for window in windows]
            if self.pad_values is not None:
                longest = max(row.shape[-1] for row in rows)
                rows = [functional.pad(row, (0, longest - row.shape[-1]), value=self.pad_values[name]) for row in rows]
            stacked = torch.stack(rows).to(self.device)
            batch[name] = stacked.to(self.dtype) if stacked.is_floating_point() else stacked
        return batch


def load_expert(name: str | Path, *, offline: bool | None = None) -> Expert:
    """Loads one expert in float32 on the CPU.

    Args:
        name: Hugging Face id or directory of an encoder (text: anything with a fast tokenizer; audio: wav2vec2 and
            its kin, Whisper, EnCodec, CLAP), ``bark:SOURCE`` for the semantic model of a Bark checkpoint as a reader
            of text, or ``bark-codec:SOURCE`` for its codec's encoder as a listener.
        offline: True never uses the network; None follows ``HF_HUB_OFFLINE``.

    Raises:
        CheckpointError: When it cannot be loaded, for whatever reason; names the expert and what to do.
    """
    asked = str(name)
    # Layers that a checkpoint lacks are drawn at random by transformers before anyone can refuse them.
    with torch.random.fork_rng(devices=[]), _no_loading_bars():
        try:
            expert = _load(asked, offline)
        except Exception as error:  # transformers, tokenizers and safetensors have no common type for bad files
            raise CheckpointError(
                f"expert '{asked}' could not be loaded: {_first_sentence(error)}; {_next_step(asked)}"
            ) from error
    return expert.eval().requires_grad_(False)


def fingerprint_of(kind: str, settings: Mapping[str, Any], state: Mapping[str, Tensor]) -> str:
    """SHA-256 of an expert: what it is, how it is set, and every weight.

    Args:
        kind: Name of the architecture.
        settings: JSON values of configuration, tokenizer and feature extractor; notes on where and by which version
            a file was written are left out.
        state: Weights by name.
    """
    digest = hashlib.sha256(kind.encode())
    digest.update(json.dumps(_scrubbed(settings), sort_keys=True, default=str).encode())
    for name in sorted(state):
        digest.update(name.encode())
        digest.update(tensor_bytes(state[name]))
    return digest.hexdigest()


def even_parts(total: int, most: int) -> Iterator[tuple[int, int]]:
    """Cuts ``total`` samples into as few nearly equal parts of at most ``most`` as possible."""
    count = max(1, math.ceil(total / most))
    edges = [round(total * i / count) for i in range(count + 1)]
    yield from itertools.pairwise(edges)


def _load(name: str, offline: bool | None) -> Expert:
    if name.startswith(BARK_TEXT):
        from fusion.transformer.bark import load_bark_text

        return load_bark_text(name, name.removeprefix(BARK_TEXT), offline)
    if name.startswith(BARK_CODEC):
        from fusion.transformer.bark import load_bark_codec

        return load_bark_codec(name, name.removeprefix(BARK_CODEC), offline)
    from fusion.transformer.hugging_face import load_hugging_face

    return load_hugging_face(name, offline)


def _scrubbed(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _scrubbed(inner) for key, inner in value.items() if key not in _NOT_OF_THE_MODEL}
    return [_scrubbed(inner) for inner in value] if isinstance(value, list | tuple) else value


def _first_sentence(error: Exception) -> str:
    """The first line of a message, and the next one where the first only announces it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    said = " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]
    return said.rstrip(".;:")


def _next_step(name: str) -> str:
    if name.startswith((BARK_TEXT, BARK_CODEC)):
        return "name a Bark checkpoint that is here, such as 'bark:random-tiny' or 'bark-codec:random-tiny'"
    if os.path.isdir(name):
        return (
            "expected config.json, weights (model.safetensors) and tokenizer or feature extractor files of one encoder "
            "in that directory; save or download it again"
        )
    return f"expected a directory or a Hugging Face id; fetch a published one with: hf download {name}"


@contextlib.contextmanager
def _no_loading_bars() -> Iterator[None]:
    """A library draws no bars; transformers would, for every encoder. Downloads keep theirs: they take minutes."""
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars
    from transformers.utils import logging as transformers_logging

    shown, downloads_shown = transformers_logging.is_progress_bar_enabled(), not are_progress_bars_disabled()
    transformers_logging.disable_progress_bar()  # switches both
    if downloads_shown:
        enable_progress_bars()
    try:
        yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()
        if not downloads_shown:
            disable_progress_bars()
