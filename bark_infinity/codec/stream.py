"""Decoding frame by frame: the EnCodec decoder with its memory carried from one chunk to the next.

Each layer remembers what the next chunk needs of this one: a convolution the inputs under its left padding, a
transposed convolution the tail that overlaps into later samples, the LSTM its state. What the chunks decode
to, concatenated, is what the whole would have; the cost of a chunk does not depend on how much came before.

Works on the module tree of transformers' ``EncodecDecoder``. The first samples of such a decoder see a few
frames ahead, because its padding mirrors the start of the signal, so nothing is heard before
`frames_before_first_sample` frames are there (7 in EnCodec 24 kHz, 93 ms).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, cat, nn

from bark_infinity.error_handling import BarkError
from bark_infinity.tokens import Int64Array

Float32Array = NDArray[np.float32]


class _Layer(Protocol):
    """A layer that has seen the chunks before: (B, D, T) in, the (B, D', T') that follow out."""

    def __call__(self, chunk: Tensor) -> Tensor: ...


class StreamingDecoder:
    """One utterance's decoder; `advance` it chunk by chunk.

    Args:
        decoder: transformers' ``EncodecDecoder`` of a causal codec; its weights are shared, not copied.
    """

    def __init__(self, decoder: nn.Module) -> None:
        self._layers = [_streaming(layer) for layer in decoder.get_submodule("layers").children()]

    def advance(self, embeddings: Tensor) -> Tensor:
        """Decodes the next chunk.

        Args:
            embeddings: (B, D, T) quantised frames; the first chunk must hold `frames_before_first_sample` at
                least.

        Returns:
            (B, 1, S) samples.
        """
        chunk = embeddings
        for layer in self._layers:
            chunk = layer(chunk)
        return chunk


class CodecStream:
    """Codes in as they come, samples out as soon as they are settled. Made by `Codec.stream`.

    Not to be shared between threads.
    """

    def __init__(
        self,
        *,
        decoder: StreamingDecoder,
        first_frames: int,
        checked: Callable[[NDArray[np.integer]], Int64Array],
        decode_whole: Callable[[Int64Array], Float32Array],
        decode_chunk: Callable[[StreamingDecoder, Int64Array], Float32Array],
    ) -> None:
        self._decoder = decoder
        self._first_frames = first_frames
        self._checked = checked
        self._decode_whole = decode_whole
        self._decode_chunk = decode_chunk
        self._waiting: Int64Array | None = None  # frames of the start, until there are enough
        self._n_codebooks: int | None = None
        self._started = False
        self._finished = False

    def push(self, codes: NDArray[np.integer]) -> Float32Array:
        """Decodes the next frames.

        Args:
            codes: (C, t) codes, any t; C as in the first push.

        Returns:
            (s,) samples that are settled now: t * hop_length, or none while the start waits for frames.

        Raises:
            BarkError: When the codes are malformed, C changes, or the stream is finished.
        """
        if self._finished:
            raise BarkError("push after finish: this stream has ended; start another with Codec.stream()")
        frames = self._checked(codes)
        if not frames.shape[1]:
            return np.zeros(0, np.float32)
        if self._n_codebooks not in (None, frames.shape[0]):
            raise BarkError(
                f"the codes pushed have {frames.shape[0]} codebooks, those before had {self._n_codebooks}; "
                "use one number of codebooks throughout a stream"
            )
        self._n_codebooks = frames.shape[0]
        if not self._started:
            frames = frames if self._waiting is None else np.concatenate([self._waiting, frames], axis=1)
            if frames.shape[1] < self._first_frames:
                self._waiting = frames
                return np.zeros(0, np.float32)
            self._started, self._waiting = True, None
        return self._decode_chunk(self._decoder, frames)

    def finish(self) -> Float32Array:
        """Ends the stream.

        Returns:
            (s,) samples still owed: none, unless the whole utterance was too short to start.
        """
        waiting, self._waiting, self._finished = self._waiting, None, True
        return np.zeros(0, np.float32) if waiting is None else self._decode_whole(waiting)


def frames_before_first_sample(decoder: nn.Module) -> int:
    """Frames that transformers' ``EncodecDecoder`` must see before its first sample is settled."""
    needed = 1
    steps_per_frame = 1
    for layer in _convolutions(decoder):
        if isinstance(layer.conv, nn.ConvTranspose1d):
            steps_per_frame *= layer.conv.stride[0]
        elif isinstance(layer.conv, nn.Conv1d) and layer.pad_mode == "reflect":
            needed = max(needed, _left_padding(layer.conv) // steps_per_frame + 1)
    return needed


class _Convolution:
    def __init__(self, module: nn.Module) -> None:
        self._conv: nn.Conv1d = module.conv  # type: ignore[assignment]
        self._pad_mode = str(module.pad_mode)
        self._padding = _left_padding(self._conv)
        self._left: Tensor | None = None  # (B, D, padding) inputs before the next chunk

    def __call__(self, chunk: Tensor) -> Tensor:
        if self._left is None:
            chunk = nn.functional.pad(chunk, (self._padding, 0), mode=self._pad_mode)
        else:
            chunk = cat([self._left, chunk], dim=-1)
        self._left = chunk[..., chunk.shape[-1] - self._padding :]
        out: Tensor = self._conv(chunk)
        return out


class _TransposedConvolution:
    def __init__(self, module: nn.Module) -> None:
        self._conv: nn.ConvTranspose1d = module.conv  # type: ignore[assignment]
        self._tail: Tensor | None = None  # (B, D, kernel - stride) parts of samples to come, without bias

    def __call__(self, chunk: Tensor) -> Tensor:
        conv = self._conv
        overlap = conv.kernel_size[0] - conv.stride[0]
        spread: Tensor = nn.functional.conv_transpose1d(chunk, conv.weight, None, conv.stride)
        if self._tail is not None:
            spread[..., :overlap] += self._tail
        settled = chunk.shape[-1] * conv.stride[0]
        self._tail = spread[..., settled:]
        assert conv.bias is not None, "EnCodec's transposed convolutions have a bias"
        return spread[..., :settled] + conv.bias[:, None]


class _Recurrence:
    def __init__(self, module: nn.Module) -> None:
        self._lstm: nn.LSTM = module.lstm  # type: ignore[assignment]
        self._state: tuple[Tensor, Tensor] | None = None

    def __call__(self, chunk: Tensor) -> Tensor:
        steps = chunk.permute(2, 0, 1)  # (T, B, D)
        out: Tensor
        out, self._state = self._lstm(steps, self._state)
        return (out + steps).permute(1, 2, 0)


class _Residual:
    def __init__(self, module: nn.Module) -> None:
        self._block = [_streaming(layer) for layer in module.block]  # type: ignore[union-attr]
        self._shortcut = _streaming(module.shortcut)  # type: ignore[arg-type]

    def __call__(self, chunk: Tensor) -> Tensor:
        out = chunk
        for layer in self._block:
            out = layer(out)
        return self._shortcut(chunk) + out


def _streaming(layer: nn.Module) -> _Layer:
    """The streaming twin of one layer of ``EncodecDecoder``."""
    from transformers.models.encodec import modeling_encodec as hf

    twins: dict[type[nn.Module], Callable[[nn.Module], _Layer]] = {
        hf.EncodecConv1d: _Convolution,
        hf.EncodecConvTranspose1d: _TransposedConvolution,
        hf.EncodecLSTM: _Recurrence,
        hf.EncodecResnetBlock: _Residual,
        nn.ELU: lambda elementwise: elementwise,
        nn.Identity: lambda elementwise: elementwise,
    }
    if type(layer) not in twins:
        raise BarkError(
            f"the codec's decoder has a {type(layer).__name__}, which cannot be streamed; decode whole "
            "utterances, or use a transformers whose EncodecDecoder is the one known here"
        )
    return twins[type(layer)](layer)


def _convolutions(module: nn.Module) -> Iterator[nn.Module]:
    """EnCodec's convolutions in the order in which the signal meets them."""
    for child in module.modules():
        if isinstance(getattr(child, "conv", None), nn.Conv1d | nn.ConvTranspose1d):
            yield child


def _left_padding(conv: nn.Conv1d) -> int:
    return (conv.kernel_size[0] - 1) * conv.dilation[0] - (conv.stride[0] - 1)
