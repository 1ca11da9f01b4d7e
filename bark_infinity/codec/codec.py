"""The codec: acoustic codes to samples and back, through transformers' EncodecModel.

Always float32. The decoder of a causal codec never looks right, save for the reflection at the very start of
the signal, so rows of different lengths can be decoded in one right-padded batch, each with exactly the
samples it would have alone; `Codec.stream` carries the same fact further and decodes frame by frame.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bark_infinity.audio import checked_mono, resample
from bark_infinity.codec.original import read_original_encodec
from bark_infinity.codec.stream import CodecStream, StreamingDecoder, frames_before_first_sample
from bark_infinity.error_handling import BarkError, CheckpointError
from bark_infinity.tokens import Int64Array

if TYPE_CHECKING:
    from transformers import EncodecModel

    from bark_infinity.checkpoints.checkpoint import Checkpoint

Float32Array = NDArray[np.float32]

# Padded frames of one batch on an accelerator: EnCodec's widest activation holds 40 KB a frame, 2 GB in all.
BATCH_FRAMES = 16_384
# A longer row (109 s) is decoded as a stream, so that memory does not grow with its length; transformers'
# convolutions also compute their padding in float32, which is wrong beyond 2**24 samples.
MAX_ROW_FRAMES = 8_192
_STREAM_CHUNK_FRAMES = 2_048

# A quantizer's running statistics; they matter to training alone and some files leave them out.
_TRAINING_ONLY = re.compile(r"quantizer\.layers\.\d+\.codebook\.(inited|cluster_size|embed_avg)")


class Codec:
    """A mono EnCodec that speaks Bark's codes.

    Args:
        model: Taken over, not copied: it is moved to ``device``, set to float32 and eval, and its weight
            normalisation is folded into plain weights.
        n_codebooks: C, codebooks in use; the model may hold more.
        device: Where it computes; None stays where the model is.
        batch_frames: Most padded frames decoded at once. None: one row at a time on a CPU, where batches are
            slower, and `BATCH_FRAMES` elsewhere.

    Raises:
        CheckpointError: When the model is not mono, works in chunks or on loudness-normalised audio (as the
            48 kHz EnCodec does), or has fewer than ``n_codebooks`` codebooks.
    """

    def __init__(
        self,
        model: EncodecModel,
        *,
        n_codebooks: int,
        device: torch.device | str | None = None,
        batch_frames: int | None = None,
    ) -> None:
        config = model.config
        if config.audio_channels != 1 or config.normalize or config.chunk_length_s is not None:
            raise CheckpointError(
                f"the codec has audio_channels {config.audio_channels}, normalize {config.normalize} and "
                f"chunk_length_s {config.chunk_length_s}, expected 1, False and None as in EnCodec 24 kHz; "
                "use the codec the checkpoint was published with"
            )
        available = len(model.quantizer.layers)
        if not 1 <= n_codebooks <= available:
            raise CheckpointError(
                f"the codec holds {available} codebooks, the checkpoint's fine stage speaks {n_codebooks}; "
                "use the codec the checkpoint was published with, or check target_bandwidths in its "
                "configuration"
            )
        module: nn.Module = model
        self._device = torch.device(device) if device is not None else model.device
        module.to(device=self._device, dtype=torch.float32).eval().requires_grad_(False)
        _fold_weight_norm(module)
        self._model = model
        self._n_codebooks = n_codebooks
        self._batch_frames = batch_frames
        self._first_frames = frames_before_first_sample(model.decoder)

    @classmethod
    def from_state(
        cls,
        config: Mapping[str, Any],
        state: Mapping[str, Tensor],
        *,
        n_codebooks: int,
        device: torch.device | str | None = None,
    ) -> Codec:
        """Builds a codec from its configuration and its weights.

        Args:
            config: Fields of transformers' ``EncodecConfig`` (``codec_config`` of a Bark checkpoint).
            state: Weights under ``EncodecModel``'s names, weight normalisation in either spelling:
                ``parametrizations.weight.original0/1`` or the older ``weight_g``/``weight_v``. Float32
                tensors are shared, not copied.
            n_codebooks: C, codebooks in use.
            device: Where it computes; None is the CPU.

        Raises:
            CheckpointError: When the configuration is none, or a weight is missing, unexpected or of another
                shape.
        """
        from transformers import EncodecConfig
        from transformers.models.encodec.modeling_encodec import EncodecModel

        try:
            with torch.device("meta"):  # shapes only: no memory, no random numbers, no time
                model = EncodecModel(EncodecConfig(**dict(config)))
        except Exception as error:  # transformers has no one type for a configuration that makes no sense
            raise CheckpointError(
                f"the codec's configuration makes no EncodecModel: {error}; check codec_config in config.json"
            ) from error
        _assign_weights(model, state)
        return cls(model, n_codebooks=n_codebooks, device="cpu" if device is None else device)

    @classmethod
    def from_checkpoint(cls, checkpoint: Checkpoint, *, device: torch.device | str | None = None) -> Codec:
        """Builds the codec of a Bark checkpoint, in transformers' format or Meta's original file.

        Raises:
            CheckpointError: When the checkpoint has no codec, or one whose codebooks or rate are not Bark's.
        """
        if checkpoint.codec_config is not None:
            config, state = checkpoint.codec_config, checkpoint.load_stage("codec")
        elif checkpoint.original_codec_file is not None:
            config, state = read_original_encodec(checkpoint.original_codec_file)
        else:
            raise CheckpointError(f"'{checkpoint.source}' has no codec; decode with another checkpoint's")
        bark = checkpoint.config
        codec = cls.from_state(config, state, n_codebooks=bark.fine.n_fine_codebooks, device=device)
        if (codec.codebook_size, codec.sample_rate) != (bark.codebook_size, bark.sample_rate):
            raise CheckpointError(
                f"the codec of '{checkpoint.source}' has codebooks of {codec.codebook_size} at "
                f"{codec.sample_rate} Hz, its GPTs speak codebooks of {bark.codebook_size} at "
                f"{bark.sample_rate} Hz; use the codec it was published with"
            )
        return codec

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self._device

    @property
    def sample_rate(self) -> int:
        """Samples per second."""
        return int(self._model.config.sampling_rate)

    @property
    def hop_length(self) -> int:
        """Samples per frame."""
        return int(self._model.config.hop_length)

    @property
    def codebook_size(self) -> int:
        """K: codes lie in [0, K)."""
        return int(self._model.config.codebook_size)

    @property
    def n_codebooks(self) -> int:
        """C: codebooks in use."""
        return self._n_codebooks

    @property
    def is_causal(self) -> bool:
        """Whether a sample depends on earlier frames only, so that rows can be padded and streams are exact.

        EnCodec's first samples are the exception: they also see a few frames ahead, mirrored.
        """
        config = self._model.config
        return bool(config.use_causal_conv and config.norm_type == "weight_norm" and config.trim_right_ratio == 1.0)

    def to(self, device: torch.device | str) -> Codec:
        """Moves the codec, and returns it."""
        self._device = torch.device(device)
        self._model.to(self._device)
        return self

    def decode(self, codes: Sequence[NDArray[np.integer]]) -> list[Float32Array]:
        """Turns codes into samples, neither clipped nor normalised.

        A row decoded alone (as on a CPU) is bitwise the same whatever comes with it; rows that share a batch
        may differ from that in float32's last bits.

        Args:
            codes: Rows of (C, T) integers in [0, codebook_size). Fewer rows than ``n_codebooks`` decode more
                coarsely.

        Returns:
            For each row (S,) samples, S = T * hop_length; empty for T = 0.

        Raises:
            BarkError: When a row has another shape or type, or a code out of range.
        """
        rows = [self._checked_codes(row, f"row {index} of the codes") for index, row in enumerate(codes)]
        audio: list[Float32Array] = [np.zeros(0, np.float32)] * len(rows)
        for batch in self._batches(rows):
            for index, samples in zip(batch, self._decode_batch([rows[i] for i in batch]), strict=True):
                audio[index] = samples
        return audio

    def encode(self, audio: NDArray[np.floating], sample_rate: int) -> Int64Array:
        """Turns a recording into codes.

        Args:
            audio: (S,) mono samples, full scale 1.0.
            sample_rate: Its rate; resampled to the codec's where they differ.

        Returns:
            (C, T) codes, T = ceil(S / hop_length) with S counted at the codec's rate: the last frame may
            reach beyond the end.

        Raises:
            BarkError: When the recording is empty, not mono, longer than `MAX_ROW_FRAMES`, or holds NaN or
                infinite samples.
        """
        samples = resample(checked_mono(audio, "the recording to encode"), sample_rate, self.sample_rate)
        limit = MAX_ROW_FRAMES * self.hop_length
        if not 1 <= samples.size <= limit:
            raise BarkError(
                f"the recording to encode has {samples.size} samples at {self.sample_rate} Hz, expected 1 to "
                f"{limit} ({limit / self.sample_rate:.0f} s); cut out the part to import"
            )
        with torch.inference_mode(), _plain_float32():
            signal = torch.from_numpy(samples).to(self._device)
            residual = self._model.encoder(signal[None, None])  # (1, D, T)
            found = []
            for layer in self._model.quantizer.layers[: self._n_codebooks]:
                indices = layer.encode(residual)  # (1, T)
                residual = residual - layer.decode(indices)
                found.append(indices[0])
            return torch.stack(found).cpu().numpy().astype(np.int64)

    def stream(self) -> CodecStream:
        """Starts a decoder that takes frames as they come.

        Raises:
            BarkError: When the codec is not causal.
        """
        if not self.is_causal:
            raise BarkError(
                "this codec is not causal, a sample depends on frames that are yet to come; exact streaming "
                "needs a causal codec such as EnCodec 24 kHz, otherwise decode whole utterances"
            )
        return CodecStream(
            decoder=StreamingDecoder(self._model.decoder),
            first_frames=self._first_frames,
            checked=lambda codes: self._checked_codes(codes, "the codes pushed"),
            decode_whole=lambda codes: self._decode_tensor(torch.from_numpy(codes)[None])[0],
            decode_chunk=self._decode_chunk,
        )

    def _checked_codes(self, codes: NDArray[np.integer], name: str) -> Int64Array:
        array = np.asarray(codes)
        if array.ndim != 2 or array.dtype.kind not in "iu":
            raise BarkError(
                f"{name}: expected integers of shape (C, T), got {array.dtype} of shape {array.shape}; "
                "pass one array of codes per utterance"
            )
        if array.shape[1] == 0:
            return array.astype(np.int64)
        if not 1 <= array.shape[0] <= self._n_codebooks:
            raise BarkError(
                f"{name}: {array.shape[0]} codebooks, expected 1 to {self._n_codebooks}; shape is (C, T), "
                "codebooks first"
            )
        low, high = int(array.min()), int(array.max())
        if low < 0 or high >= self.codebook_size:
            raise BarkError(
                f"{name}: codes from {low} to {high}, expected 0 to {self.codebook_size - 1}; take the "
                "vocabulary's offsets off before decoding"
            )
        return array.astype(np.int64)

    def _batches(self, rows: Sequence[Int64Array]) -> Iterator[list[int]]:
        """Indices of the rows with frames, grouped by what may be decoded together and change no row."""
        order = sorted((i for i, row in enumerate(rows) if row.shape[1]), key=lambda i: rows[i].shape)
        batch: list[int] = []
        for index in order:
            if batch and not self._may_join(rows, batch, index):
                yield batch
                batch = []
            batch.append(index)
        if batch:
            yield batch

    def _may_join(self, rows: Sequence[Int64Array], batch: Sequence[int], index: int) -> bool:
        (n_codebooks, shortest), (other, length) = rows[batch[0]].shape, rows[index].shape
        limit = self._batch_frames
        if limit is None:
            limit = 0 if self._device.type == "cpu" else BATCH_FRAMES
        if n_codebooks != other or (len(batch) + 1) * length > limit:
            return False
        # The first samples of a short row see silence mirrored from beyond its end; padding is no silence.
        return length == shortest or (self.is_causal and shortest >= self._first_frames)

    def _decode_batch(self, rows: Sequence[Int64Array]) -> list[Float32Array]:
        lengths = [row.shape[1] for row in rows]
        if len(rows) == 1 and lengths[0] > MAX_ROW_FRAMES and self.is_causal:
            return [self._decode_long(rows[0])]
        padded = torch.zeros(len(rows), rows[0].shape[0], max(lengths), dtype=torch.int64)
        for row, target in zip(rows, padded, strict=True):
            target[:, : row.shape[1]] = torch.from_numpy(row)
        decoded = self._decode_tensor(padded)
        # A copy of each part, so that keeping one row does not keep the batch.
        return [row[: length * self.hop_length].copy() for row, length in zip(decoded, lengths, strict=True)]

    def _decode_long(self, codes: Int64Array) -> Float32Array:
        stream = self.stream()
        starts = range(0, codes.shape[1], _STREAM_CHUNK_FRAMES)
        parts = [stream.push(codes[:, start : start + _STREAM_CHUNK_FRAMES]) for start in starts]
        return np.concatenate([*parts, stream.finish()])

    def _decode_tensor(self, codes: Tensor) -> Float32Array:
        """(B, C, T) codes to (B, S) samples."""
        with torch.inference_mode(), _plain_float32():
            embeddings = self._model.quantizer.decode(codes.to(self._device).transpose(0, 1))  # (B, D, T)
            samples: Float32Array = self._model.decoder(embeddings)[:, 0].cpu().numpy()
        return samples

    def _decode_chunk(self, decoder: StreamingDecoder, codes: Int64Array) -> Float32Array:
        """(C, T) codes to the (S,) samples that follow those ``decoder`` has made so far."""
        with torch.inference_mode(), _plain_float32():
            embeddings = self._model.quantizer.decode(torch.from_numpy(codes).to(self._device)[:, None])
            samples: Float32Array = decoder.advance(embeddings)[0, 0].cpu().numpy()
        return samples


@contextlib.contextmanager
def _plain_float32() -> Iterator[None]:
    """Keeps cuDNN from TF32's 10-bit mantissas and from choosing its algorithms by a race."""
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
        yield


def _assign_weights(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Puts ``state`` into a model without storage, whichever way it spells weight normalisation."""
    own = model.state_dict()
    given = {_current_name(name): tensor for name, tensor in state.items()}
    for name in own.keys() - given.keys():
        if _TRAINING_ONLY.fullmatch(name):
            given[name] = torch.zeros(own[name].shape)
    missing, unexpected = sorted(own.keys() - given.keys()), sorted(given.keys() - own.keys())
    if missing or unexpected:
        raise CheckpointError(
            f"the codec's weights do not fit its configuration: missing {_some(missing)}; unexpected "
            f"{_some(unexpected)}; the file may belong to another codec"
        )
    for name, tensor in given.items():
        if tensor.shape != own[name].shape or not tensor.is_floating_point():
            raise CheckpointError(
                f"the codec's weight {name} is {tensor.dtype} of shape {tuple(tensor.shape)}, expected "
                f"floats of shape {tuple(own[name].shape)}; the file may belong to another codec"
            )
    ready = {name: tensor.detach().to(torch.float32).contiguous() for name, tensor in given.items()}
    model.load_state_dict(ready, assign=True)
    for module in model.modules():
        conv = getattr(module, "conv", None)
        if isinstance(conv, nn.Conv1d):  # the numbers that transformers keeps as buffers outside the state
            reach = (conv.kernel_size[0] - 1) * conv.dilation[0] + 1
            module.register_buffer("stride", torch.tensor(conv.stride[0]), persistent=False)
            module.register_buffer("kernel_size", torch.tensor(reach), persistent=False)
            module.register_buffer("padding_total", torch.tensor(reach - conv.stride[0]), persistent=False)


def _current_name(name: str) -> str:
    name = re.sub(r"\.weight_g$", ".parametrizations.weight.original0", name)
    return re.sub(r"\.weight_v$", ".parametrizations.weight.original1", name)


def _some(names: Sequence[str]) -> str:
    if not names:
        return "none"
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _fold_weight_norm(model: nn.Module) -> None:
    """Replaces every weight-normalised weight by its value, which is recomputed at each use otherwise."""
    for module in list(model.modules()):
        if nn.utils.parametrize.is_parametrized(module, "weight"):
            nn.utils.parametrize.remove_parametrizations(module, "weight")
