"""The source ``random-tiny``: a complete, very small Bark whose weights are random numbers. It speaks noise.

It exists so that tests and a first run exercise the whole path within a second, offline. Every tensor is drawn
from its own name, so the same weights come out on every machine and in any order of loading.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from bark_infinity.bark_config import (
    BarkConfig,
    CoarseConfig,
    FineConfig,
    GPTConfig,
    SemanticConfig,
)
from bark_infinity.text_front_end import TextEncoding

if TYPE_CHECKING:
    import torch

    from bark_infinity.checkpoints.checkpoint import Checkpoint, WeightStage


_SEED = 20_230_420
_NOTICE = (
    "'random-tiny' has random weights and speaks NOISE, not words: it only proves that the program runs; "
    "name a real checkpoint such as 'suno/bark-small' to hear speech"
)

_SEMANTIC_VOCAB, _CODEBOOK = 96, 32
_TEXT_SLOTS, _BLOCK = 64, 256
_TEXT_OFFSET = _SEMANTIC_VOCAB + 1  # after the end token
_TEXT_PAD = _TEXT_OFFSET + 256  # after one id per byte
_OUTPUT_LAYER, _OUTPUT_GAIN = "decoder.layers.15.", 0.2  # keeps the noise at a fifth of full scale
_ACOUSTIC_END = _SEMANTIC_VOCAB + 2 * _CODEBOOK

RANDOM_TINY_CODEC: dict[str, Any] = {
    "model_type": "encodec",
    "sampling_rate": 24_000,
    "audio_channels": 1,
    "normalize": False,
    "chunk_length_s": None,
    "target_bandwidths": [6.0],  # 8 codebooks, as transformers counts them
    "num_filters": 4,
    "hidden_size": 16,
    "codebook_dim": 16,
    "codebook_size": _CODEBOOK,
    "upsampling_ratios": [8, 5, 4, 2],  # 320 samples a frame
    "num_lstm_layers": 1,
    "use_causal_conv": True,
}


class BytesFrontEnd:
    """Text to its UTF-8 bytes."""

    name = "bytes"

    def encode(self, text: str) -> TextEncoding:
        """Encodes one text; runs of white space count as one space."""
        return TextEncoding(tuple(" ".join(text.split()).encode("utf-8", errors="replace")))


def random_tiny_config() -> BarkConfig:
    """Numbers of the random model: Bark's layout, everything small."""

    def gpt(block_size: int, inputs: int, outputs: int, codes_total: int = 0) -> GPTConfig:
        return GPTConfig(
            num_layers=2,
            num_heads=2,
            hidden_size=32,
            block_size=block_size,
            input_vocab_size=inputs,
            output_vocab_size=outputs,
            n_codes_total=codes_total,
            n_codes_given=1 if codes_total else 0,
        )

    return BarkConfig(
        semantic_gpt=gpt(_BLOCK, _TEXT_PAD + 2, _SEMANTIC_VOCAB + 1),
        coarse_gpt=gpt(128, _ACOUSTIC_END + 2, _ACOUSTIC_END),
        fine_gpt=gpt(128, _CODEBOOK + 1, _CODEBOOK + 1, codes_total=8),
        semantic=SemanticConfig(
            semantic_vocab_size=_SEMANTIC_VOCAB,
            eos_token_id=_SEMANTIC_VOCAB,
            semantic_pad_token=_SEMANTIC_VOCAB,
            text_encoding_offset=_TEXT_OFFSET,
            text_pad_token=_TEXT_PAD,
            semantic_infer_token=_TEXT_PAD + 1,
            max_input_semantic_length=_TEXT_SLOTS,
            max_new_tokens=_BLOCK - _TEXT_SLOTS,
        ),
        coarse=CoarseConfig(
            coarse_semantic_pad_token=_ACOUSTIC_END,
            coarse_infer_token=_ACOUSTIC_END + 1,
            max_coarse_input_length=32,
            max_coarse_history=60,
            sliding_window_len=30,
        ),
        fine=FineConfig(max_fine_history_length=64, max_fine_input_length=128),
        codebook_size=_CODEBOOK,
    )


def random_tiny_checkpoint() -> Checkpoint:
    """The random model as a checkpoint; its notice says loudly what it is."""
    from bark_infinity.checkpoints.checkpoint import Checkpoint

    return Checkpoint(
        source="random-tiny",
        family="random-tiny",
        config=random_tiny_config(),
        front_end=BytesFrontEnd(),
        files=(),
        codec_config=RANDOM_TINY_CODEC,
        read_stage=_draw_stage,
        notices=(_NOTICE,),
    )


def _draw_stage(stage: WeightStage) -> dict[str, torch.Tensor]:
    import torch

    from bark_infinity.checkpoints.state_shapes import expected_shapes

    if stage == "codec":
        return _draw_codec()
    config = random_tiny_config()
    gpt = {"semantic": config.semantic_gpt, "coarse": config.coarse_gpt, "fine": config.fine_gpt}[stage]
    state = {}
    for name, shape in expected_shapes(gpt).items():
        if name.startswith("lm_heads."):
            continue  # tied to the next table
        values = _draw(f"{stage}.{name}", shape)
        if "layernorm" in name:
            values = np.float32(name.endswith(".weight")) + np.float32(0.1) * values
        else:
            values *= np.float32(0.15)
        state[name] = torch.from_numpy(values)
    return state


def _draw_codec() -> dict[str, torch.Tensor]:
    import torch
    from transformers import EncodecConfig
    from transformers.models.encodec.modeling_encodec import EncodecModel

    with torch.random.fork_rng(devices=[]):  # its own draws are only there for their shapes
        drawn = EncodecModel(EncodecConfig(**RANDOM_TINY_CODEC)).state_dict()
    state = {}
    for name, tensor in drawn.items():
        shape = tuple(tensor.shape)
        if name.endswith(("inited", "cluster_size", "embed_avg")):
            continue  # running statistics of training
        values = _draw(f"codec.{name}", shape)
        if name.endswith("original0"):  # magnitudes of weight normalisation: every channel keeps its loudness
            values = np.full(shape, _OUTPUT_GAIN if name.startswith(_OUTPUT_LAYER) else 1, np.float32)
        elif not name.endswith(("original1", "embed")):
            values *= np.float32(0 if name.startswith(_OUTPUT_LAYER) else 0.2)
        state[name] = torch.from_numpy(values)
    return state


def _draw(name: str, shape: tuple[int, ...]) -> np.ndarray[Any, np.dtype[np.float32]]:
    generator = np.random.default_rng([_SEED, zlib.crc32(name.encode())])
    return generator.standard_normal(shape, np.float32)
