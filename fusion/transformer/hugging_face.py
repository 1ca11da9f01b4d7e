"""Encoders of the Hugging Face Hub as experts: which class of model is read how.

Text goes through the model's own fast tokenizer, whose offsets say which characters a token stands for. A clip goes
through the model's own feature extractor; where its frames lie follows from strides and sampling rate. Only the
encoder is kept: no decoder, no pooler, no head.
"""

from __future__ import annotations

import json
import math
import os
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bark_infinity.checkpoints.sources import is_offline
from bark_infinity.error_handling import CheckpointError
from fusion.pretrained import is_unread, load_whole
from fusion.transformer.alignment import frame_spans
from fusion.transformer.experts import Expert, Window, even_parts, fingerprint_of

MAX_CLIP_S = 30.0  # of one window where the encoder has no limit: attention grows with its square
_MAX_TEXT_TOKENS = 512  # of one window where neither tokenizer nor positions set a limit

Float32Array = NDArray[np.float32]


def load_hugging_face(name: str, offline: bool | None) -> Expert:
    """Loads an encoder by Hub id or directory; raises whatever its files provoke, for `load_expert` to explain."""
    from transformers import AutoConfig, AutoModel

    trusted: dict[str, Any] = {"trust_remote_code": False, "local_files_only": is_offline(offline)}
    if os.path.isdir(name):
        trusted["local_files_only"] = True
    config = AutoConfig.from_pretrained(name, **trusted)
    model = load_whole(AutoModel, name, config=config, dtype=torch.float32, **trusted)
    kind = str(config.model_type)
    if kind == "clap":
        return ClapExpert(name, model, _feature_extractor(name, trusted))
    if kind == "encodec":
        return EncodecExpert(name, model)
    if kind == "whisper":
        return WhisperExpert(name, model.get_encoder(), _feature_extractor(name, trusted))
    if getattr(config, "conv_stride", None) and getattr(config, "conv_kernel", None):
        return FrameExpert(name, model, _feature_extractor(name, trusted))
    if not getattr(config, "vocab_size", None):
        raise CheckpointError(f"models of type '{kind}' are neither text encoders nor listeners that are known here")
    if getattr(config, "is_encoder_decoder", False):
        model = model.get_encoder()
    return TextExpert(name, model, _tokenizer(name, trusted))


class TextExpert(Expert):
    """A text encoder and its tokenizer. Texts longer than it reads at once are read in overlapping windows."""

    def __init__(self, name: str, encoder: Any, tokenizer: Any) -> None:
        settings = json.loads(tokenizer.backend_tokenizer.to_str())
        # These two are how the tokenizer was last called, not what it is.
        settings = {key: value for key, value in settings.items() if key not in ("truncation", "padding")}
        super().__init__(name, "text", int(encoder.config.hidden_size), _hash_of(encoder, settings))
        vocabulary = encoder.get_input_embeddings().num_embeddings
        if len(tokenizer) > vocabulary:
            raise CheckpointError(f"its tokenizer has {len(tokenizer)} ids, its embedding only {vocabulary}")
        self.encoder, self._tokenizer = encoder, tokenizer
        self._max_tokens = _max_tokens(encoder, tokenizer)
        if tokenizer.pad_token_id is not None and "attention_mask" in tokenizer.model_input_names:
            self.pad_values = {
                "input_ids": tokenizer.pad_token_id,
                "attention_mask": 0,
                "token_type_ids": tokenizer.pad_token_type_id,
            }

    def windows(self, content: str) -> tuple[Window, ...]:
        """One window for most texts."""
        encoding = self._tokenizer(
            [content],
            truncation=True,
            max_length=self._max_tokens,
            stride=self._max_tokens // 4,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )
        names = [name for name in ("input_ids", "attention_mask", "token_type_ids") if name in encoding]
        return tuple(
            Window(
                {name: torch.tensor(encoding[name][i], dtype=torch.int64) for name in names},
                np.asarray(offsets, np.float64).reshape(-1, 2),
            )
            for i, offsets in enumerate(encoding["offset_mapping"])
        )

    def forward(self, arrays: Mapping[str, Tensor]) -> Tensor:
        """Last hidden states (B, T, D)."""
        return self.encoder(**arrays).last_hidden_state  # type: ignore[no-any-return]


class _Listener(Expert):
    """What encoders of clips share: windows of nearly equal length, each through the feature extractor."""

    sample_rate: int

    def __init__(self, name: str, encoder: nn.Module, width: int, fingerprint: str, sample_rate: int) -> None:
        super().__init__(name, "audio", width, fingerprint)
        self.encoder, self.sample_rate = encoder, sample_rate
        self.max_samples = round(MAX_CLIP_S * sample_rate)

    def windows(self, content: Float32Array) -> tuple[Window, ...]:
        """One window for most clips."""
        windows = []
        for begin, end in even_parts(len(content), self.max_samples):
            window = self._window(content[begin:end])
            windows.append(Window(window.arrays, window.spans + begin / self.sample_rate))
        return tuple(windows)

    @abstractmethod
    def _window(self, samples: Float32Array) -> Window:
        """What the encoder takes in of at most `max_samples` samples, its spans counted from their begin."""


class FrameExpert(_Listener):
    """wav2vec2, HuBERT, WavLM and their kin: strided convolutions over the waveform, then a transformer."""

    def __init__(self, name: str, encoder: Any, extractor: Any) -> None:
        config = encoder.config
        fingerprint = _hash_of(encoder, extractor.to_dict())
        super().__init__(name, encoder, int(config.hidden_size), fingerprint, int(extractor.sampling_rate))
        self._extractor = extractor
        self._layers = list(zip(config.conv_kernel, config.conv_stride, strict=True))
        self._hop = math.prod(config.conv_stride)
        self._field = 1
        for kernel, stride in reversed(self._layers):
            self._field = (self._field - 1) * stride + kernel

    def _window(self, samples: Float32Array) -> Window:
        heard = np.pad(samples, (0, max(0, self._field - len(samples))))
        values = self._extractor(heard, sampling_rate=self.sample_rate, padding=False, return_tensors="pt")
        count = len(heard)
        for kernel, stride in self._layers:
            count = (count - kernel) // stride + 1
        rate = self.sample_rate
        spans = frame_spans(count, self._hop / rate, self._field / rate, len(samples) / rate)
        return Window({"input_values": values["input_values"][0]}, spans)

    def forward(self, arrays: Mapping[str, Tensor]) -> Tensor:
        """Last hidden states (B, T, D)."""
        return self.encoder(**arrays).last_hidden_state  # type: ignore[no-any-return]


class WhisperExpert(_Listener):
    """Whisper's encoder. It always hears its full window; states of the silence after the clip are dropped."""

    def __init__(self, name: str, encoder: Any, extractor: Any) -> None:
        fingerprint = _hash_of(encoder, extractor.to_dict())
        super().__init__(name, encoder, int(encoder.config.hidden_size), fingerprint, int(extractor.sampling_rate))
        self._extractor = extractor
        self.max_samples = int(extractor.n_samples)
        self._hop = int(extractor.hop_length) * encoder.conv1.stride[0] * encoder.conv2.stride[0]

    def _window(self, samples: Float32Array) -> Window:
        features = self._extractor(samples, sampling_rate=self.sample_rate, return_tensors="pt")["input_features"][0]
        hop_s = self._hop / self.sample_rate
        spans = frame_spans(math.ceil(len(samples) / self._hop), hop_s, hop_s, len(samples) / self.sample_rate)
        return Window({"input_features": features}, spans)

    def forward(self, arrays: Mapping[str, Tensor]) -> Tensor:
        """Last hidden states (B, T, D)."""
        return self.encoder(**arrays).last_hidden_state  # type: ignore[no-any-return]


class ClapExpert(_Listener):
    """CLAP's audio half: one vector for each window of at most ten seconds, in the space it shares with texts."""

    def __init__(self, name: str, encoder: Any, extractor: Any) -> None:
        encoder.text_model = encoder.text_projection = None
        fingerprint = _hash_of(encoder, extractor.to_dict())
        super().__init__(name, encoder, int(encoder.config.projection_dim), fingerprint, int(extractor.sampling_rate))
        self._extractor = extractor
        self.max_samples = int(extractor.nb_max_samples)  # longer clips would be cropped at random

    def _window(self, samples: Float32Array) -> Window:
        features = self._extractor(samples, sampling_rate=self.sample_rate, return_tensors="pt")
        arrays = {
            "input_features": features["input_features"][0],
            "is_longer": torch.as_tensor(features["is_longer"][0]),
        }
        return Window(arrays, np.array([[0.0, len(samples) / self.sample_rate]]))

    def forward(self, arrays: Mapping[str, Tensor]) -> Tensor:
        """One unit vector per window, (B, 1, D)."""
        vectors: Tensor = self.encoder.get_audio_features(**arrays).pooler_output  # type: ignore[operator]
        return vectors[:, None]


class EncodecExpert(_Listener):
    """An EnCodec's encoder, before its codebooks round the states."""

    def __init__(self, name: str, model: Any) -> None:
        config = model.config
        fingerprint = fingerprint_of("EnCodec encoder", config.to_diff_dict(), model.encoder.state_dict())
        super().__init__(name, model.encoder, int(config.hidden_size), fingerprint, int(config.sampling_rate))
        self._channels, self._loudness_free = int(config.audio_channels), bool(config.normalize)
        self._hop = math.prod(config.upsampling_ratios)

    def _window(self, samples: Float32Array) -> Window:
        heard = samples / np.sqrt(np.mean(samples**2) + 1e-8) if self._loudness_free else samples
        hop_s = self._hop / self.sample_rate
        spans = frame_spans(math.ceil(len(samples) / self._hop), hop_s, hop_s, len(samples) / self.sample_rate)
        return Window({"samples": torch.from_numpy(np.ascontiguousarray(heard, np.float32))}, spans)

    def forward(self, arrays: Mapping[str, Tensor]) -> Tensor:
        """States (B, T, D) that the codebooks would round."""
        states: Tensor = self.encoder(arrays["samples"][:, None].expand(-1, self._channels, -1))
        return states.transpose(1, 2)


def _tokenizer(name: str, trusted: Mapping[str, Any]) -> Any:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(name, **trusted)
    if not tokenizer.is_fast:
        raise CheckpointError("its tokenizer gives no character offsets; a fast one (tokenizer.json) is needed")
    if len(tokenizer) <= len(tokenizer.all_special_ids):  # what transformers makes of missing files
        raise CheckpointError("its tokenizer has no vocabulary; tokenizer.json or vocab.txt is missing")
    return tokenizer


def _feature_extractor(name: str, trusted: Mapping[str, Any]) -> Any:
    from transformers import AutoFeatureExtractor

    return AutoFeatureExtractor.from_pretrained(name, **trusted)


def _max_tokens(encoder: Any, tokenizer: Any) -> int:
    """Tokens of one window, special ones included."""
    limit = min(int(tokenizer.model_max_length), int(getattr(encoder.config, "max_position_embeddings", 0) or 10**9))
    table = getattr(getattr(encoder, "embeddings", None), "position_embeddings", None)
    if isinstance(table, nn.Embedding) and table.padding_idx is not None:  # RoBERTa counts from behind its pad
        limit = min(limit, table.num_embeddings - table.padding_idx - 1)
    return limit if limit < 10**6 else _MAX_TEXT_TOKENS


def _hash_of(model: Any, settings: Mapping[str, Any]) -> str:
    state = {key: tensor for key, tensor in model.state_dict().items() if not is_unread(key)}
    return fingerprint_of(type(model).__name__, {"config": model.config.to_diff_dict(), "input": settings}, state)
