"""Builds small Barks for tests: live transformers models as oracles, and their files in every dialect.

Everything is drawn from seeds and written into a directory that the test gives. Importing this module imports
neither torch nor transformers.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    import torch
    from transformers import BarkModel

    from bark_infinity.voices.history import VoiceHistory

Stage = Literal["semantic", "coarse", "fine"]
State = dict[str, "torch.Tensor"]

GOLDEN_FILE = Path(__file__).parent / "data" / "suno_tokens.json"
STAGES: tuple[Stage, ...] = ("semantic", "coarse", "fine")
SUNO_FILE = {"semantic": "text", "coarse": "coarse", "fine": "fine"}
HF_KEY = {"semantic": "semantic", "coarse": "coarse_acoustics", "fine": "fine_acoustics"}
_SUNO_NAMES = (
    ("input_embeds_layers.", "transformer.wtes."),
    ("input_embeds_layer.", "transformer.wte."),
    ("position_embeds_layer.", "transformer.wpe."),
    ("layernorm_final.", "transformer.ln_f."),
    ("layers.", "transformer.h."),
    ("layernorm_1", "ln_1"),
    ("layernorm_2", "ln_2"),
    ("att_proj", "c_attn"),
    ("out_proj", "c_proj"),
    ("in_proj", "c_fc"),
)


@dataclass(frozen=True)
class BarkShape:
    """Sizes of a test Bark; the defaults are tiny and unlike Suno's in every number.

    Special tokens are packed directly behind the vocabularies they follow.
    """

    num_layers: int = 2
    num_heads: int = 2
    hidden_size: int = 32
    bias: bool = False
    semantic_vocab_size: int = 60
    text_vocab_size: int = 50
    codebook_size: int = 32  # a power of 2, as EnCodec demands
    n_coarse_codebooks: int = 2
    n_fine_codebooks: int = 8
    text_slots: int = 16
    semantic_block_size: int = 64
    coarse_block_size: int = 128
    fine_block_size: int = 64
    max_fine_history_length: int = 32
    max_coarse_input_length: int = 32
    max_coarse_history: int = 60
    sliding_window_len: int = 24
    semantic_rate_hz: float = 49.9
    coarse_rate_hz: float = 75.0
    suno_vocabulary: bool = False  # Suno's ids, blocks and windows; only layers, heads and width are then ours


TINY = BarkShape()
OTHER_TINY = BarkShape(
    num_layers=1, num_heads=4, hidden_size=48, bias=True, semantic_vocab_size=33, text_vocab_size=17, codebook_size=16,
    text_slots=8, semantic_block_size=40, coarse_block_size=100, fine_block_size=48, max_fine_history_length=20,
    max_coarse_input_length=24, max_coarse_history=44, sliding_window_len=18, semantic_rate_hz=50.0,
)  # fmt: skip
SUNO_TINY = BarkShape(suno_vocabulary=True)
BARK_SMALL = BarkShape(num_layers=12, num_heads=12, hidden_size=768, suno_vocabulary=True)


def generation_config(shape: BarkShape = TINY) -> dict[str, Any]:
    """Content of ``generation_config.json`` for a shape."""
    semantic: dict[str, Any]
    coarse: dict[str, Any]
    if shape.suno_vocabulary:
        semantic = {
            "semantic_rate_hz": 49.9, "semantic_vocab_size": 10_000, "eos_token_id": 10_000,
            "semantic_pad_token": 10_000, "text_encoding_offset": 10_048, "text_pad_token": 129_595,
            "semantic_infer_token": 129_599, "max_input_semantic_length": 256, "max_new_tokens": 768,
        }  # fmt: skip
        coarse = {
            "coarse_rate_hz": 75, "n_coarse_codebooks": 2, "coarse_semantic_pad_token": 12_048,
            "coarse_infer_token": 12_050, "max_coarse_input_length": 256, "max_coarse_history": 630,
            "sliding_window_len": 60,
        }  # fmt: skip
        fine = {"n_fine_codebooks": 8, "max_fine_history_length": 512, "max_fine_input_length": 1_024}
        codebook_size = 1_024
    else:
        end = shape.semantic_vocab_size
        offset = end + 1
        acoustic_end = end + shape.n_coarse_codebooks * shape.codebook_size
        semantic = {
            "semantic_rate_hz": shape.semantic_rate_hz, "semantic_vocab_size": end, "eos_token_id": end,
            "semantic_pad_token": end, "text_encoding_offset": offset,
            "text_pad_token": offset + shape.text_vocab_size,
            "semantic_infer_token": offset + shape.text_vocab_size + 1,
            "max_input_semantic_length": shape.text_slots,
            "max_new_tokens": shape.semantic_block_size - shape.text_slots,
        }  # fmt: skip
        coarse = {
            "coarse_rate_hz": shape.coarse_rate_hz, "n_coarse_codebooks": shape.n_coarse_codebooks,
            "coarse_semantic_pad_token": acoustic_end, "coarse_infer_token": acoustic_end + 1,
            "max_coarse_input_length": shape.max_coarse_input_length,
            "max_coarse_history": shape.max_coarse_history, "sliding_window_len": shape.sliding_window_len,
        }  # fmt: skip
        fine = {
            "n_fine_codebooks": shape.n_fine_codebooks,
            "max_fine_history_length": shape.max_fine_history_length,
            "max_fine_input_length": shape.fine_block_size,
        }
        codebook_size = shape.codebook_size
    return {
        "semantic_config": {**semantic, "temperature": 0.7},
        "coarse_acoustics_config": {**coarse, "temperature": 0.7},
        "fine_acoustics_config": {**fine, "temperature": 0.5},
        "codebook_size": codebook_size,
        "sample_rate": 24_000,
    }


def codec_config(shape: BarkShape = TINY) -> dict[str, Any]:
    """Fields of a very small causal EnCodec with the shape's codebooks, 320 samples a frame."""
    return {
        "model_type": "encodec", "sampling_rate": 24_000, "audio_channels": 1, "normalize": False,
        "target_bandwidths": [6.0], "num_filters": 4, "hidden_size": 8, "codebook_dim": 8,
        "codebook_size": 1_024 if shape.suno_vocabulary else shape.codebook_size,
        "upsampling_ratios": [8, 5, 4, 2], "num_lstm_layers": 1, "use_causal_conv": True,
    }  # fmt: skip


def bark_config(shape: BarkShape = TINY) -> dict[str, Any]:
    """Content of ``config.json`` for a shape."""
    generation = generation_config(shape)
    semantic, coarse = generation["semantic_config"], generation["coarse_acoustics_config"]
    if shape.suno_vocabulary:
        vocabularies = [(129_600, 10_048), (12_096, 12_096), (1_056, 1_056)]
        blocks = [1_024] * 3
    else:
        coarse_ids = coarse["coarse_infer_token"] + 1
        codes = shape.codebook_size + 4
        vocabularies = [
            (semantic["semantic_infer_token"] + 1, semantic["eos_token_id"] + 1),
            (coarse_ids, coarse_ids),
            (codes, codes),
        ]
        blocks = [shape.semantic_block_size, shape.coarse_block_size, shape.fine_block_size]
    parts: dict[str, Any] = {"model_type": "bark"}
    for stage, (inputs, outputs), block in zip(STAGES, vocabularies, blocks, strict=True):
        parts[f"{HF_KEY[stage]}_config"] = {
            "num_layers": shape.num_layers, "num_heads": shape.num_heads, "hidden_size": shape.hidden_size,
            "block_size": block, "bias": shape.bias, "dropout": 0.0,
            "input_vocab_size": inputs, "output_vocab_size": outputs, "model_type": HF_KEY[stage],
        }  # fmt: skip
    parts["fine_acoustics_config"] |= {"n_codes_total": shape.n_fine_codebooks, "n_codes_given": 1}
    parts["codec_config"] = codec_config(shape)
    return parts


def build_model(shape: BarkShape = TINY, *, seed: int = 0, scale: float = 0.15) -> BarkModel:
    """A live transformers Bark with weights drawn from ``seed``, float32, CPU, eval.

    Head rows of the coarse model beyond the acoustic ids are zero, because transformers samples them.
    """
    import torch

    model = _empty_model(bark_config(shape))
    generation = generation_config(shape)
    coarse_ids = generation["semantic_config"]["semantic_vocab_size"] + (
        generation["coarse_acoustics_config"]["n_coarse_codebooks"] * generation["codebook_size"]
    )
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.startswith("codec_model."):
                continue
            draws = np.random.default_rng([seed, zlib.crc32(name.encode())]).standard_normal(
                tuple(parameter.shape), np.float32
            )
            values = torch.from_numpy(draws) * (0.1 if "layernorm" in name else scale)
            parameter.copy_(values + 1 if "layernorm" in name and name.endswith("weight") else values)
        model.coarse_acoustics.lm_head.weight[coarse_ids:] = 0
    return model


def golden_model() -> BarkModel:
    """A live transformers Bark with the weights that suno's code made ``tests/data/suno_tokens.json`` with."""
    import torch

    golden = golden_cases()
    weights = golden["weights"]
    arguments, seeds = weights["model_args"], weights["seeds"]
    model = _empty_model(
        bark_config(
            BarkShape(
                num_layers=arguments["n_layer"],
                num_heads=arguments["n_head"],
                hidden_size=arguments["n_embd"],
                suno_vocabulary=True,
            )
        )
    )
    with torch.no_grad():
        for stage in STAGES:
            part = getattr(model, HF_KEY[stage])
            for name, parameter in part.named_parameters():
                key = suno_name(name)
                draws = np.random.default_rng([seeds[SUNO_FILE[stage]], zlib.crc32(key.encode())]).standard_normal(
                    tuple(parameter.shape), np.float32
                )
                gain = ".ln_" in key and key.endswith(".weight")  # a layer norm's bias is drawn as everything else
                scaled = 1 + 0.1 * draws if gain else 0.15 * draws
                parameter.copy_(torch.from_numpy(scaled.astype(np.float32)))
    return model


def golden_cases() -> dict[str, Any]:
    """The whole file of golden tokens."""
    content: dict[str, Any] = json.loads(GOLDEN_FILE.read_text("utf-8"))
    return content


def golden_voice(voice: str | list[int] | None, voices_directory: Path | None = None) -> VoiceHistory | None:
    """The voice of a golden case: none, a named ``.npz`` file, or one drawn from ``[seed, S]``."""
    if voice is None:
        return None
    from bark_infinity.voices.history import VoiceHistory

    if isinstance(voice, str):
        if voices_directory is None:
            raise ValueError(f"case needs the voice file {voice}")
        with np.load(voices_directory / f"{voice.removesuffix('.npz')}.npz", allow_pickle=False) as file:
            return VoiceHistory(file["semantic_prompt"], file["coarse_prompt"], file["fine_prompt"])
    seed, length = voice
    draws = np.random.default_rng(seed)
    fine = draws.integers(0, 1_024, (8, int(length * 75 / 49.9)))
    return VoiceHistory(draws.integers(0, 10_000, length), fine[:2], fine)


def write_hf_directory(
    model: BarkModel,
    directory: Path,
    generation: Mapping[str, Any] | None,
    *,
    layout: Literal["safetensors", "sharded", "bin"] = "safetensors",
    dtype: torch.dtype | None = None,
    masks: bool = False,
) -> Path:
    """Writes what ``save_pretrained`` would: weights, ``config.json``, and ``generation_config.json`` if given.

    Args:
        dtype: Precision of the weights on disk; None keeps float32.
        masks: Store the ``attn.bias`` mask buffers and tied heads too, as old transformers did.
    """
    import torch
    from safetensors.torch import save_file

    directory.mkdir(parents=True, exist_ok=True)
    config = model.config.to_dict()
    (directory / "config.json").write_text(json.dumps(config, default=str), "utf-8")
    if generation is not None:
        (directory / "generation_config.json").write_text(json.dumps(generation), "utf-8")
    state = {
        name: tensor.to(dtype or tensor.dtype).contiguous().clone() if tensor.is_floating_point() else tensor.clone()
        for name, tensor in model.state_dict().items()
        if masks or not (name.endswith(".attn.bias") or ".lm_heads." in name)
    }
    if layout == "bin":
        torch.save(state, directory / "pytorch_model.bin")
    elif layout == "safetensors":
        save_file(state, directory / "model.safetensors", metadata={"format": "pt"})
    else:
        names = sorted(state)
        weight_map = {name: f"model-0000{1 + index % 2}-of-00002.safetensors" for index, name in enumerate(names)}
        for shard in sorted(set(weight_map.values())):
            save_file({name: state[name] for name in names if weight_map[name] == shard}, directory / shard)
        index_file = directory / "model.safetensors.index.json"
        index_file.write_text(json.dumps({"metadata": {}, "weight_map": weight_map}), "utf-8")
    return directory


def write_legacy_directory(
    model: BarkModel,
    directory: Path,
    *,
    large: Iterable[Stage] = (),
    compiled: bool = False,
    one_vocabulary: bool = False,
    masks: bool = True,
    best_val_loss: Any = None,
    stages: Iterable[Stage] = STAGES,
) -> Path:
    """Writes the model's three GPTs as suno's ``.pt`` files, and its codec as an HF directory ``encodec``.

    Args:
        large: Stages written under the large model's file name (``_2``).
        compiled: Keys carry ``_orig_mod.``, as torch.compile leaves them.
        one_vocabulary: ``vocab_size`` instead of the input and output sizes, where they are equal.
        masks: Store the causal masks that suno's files hold.
        best_val_loss: None stores a numpy float64, as suno did.
    """
    import torch
    from safetensors.torch import save_file

    directory.mkdir(parents=True, exist_ok=True)
    big = set(large)
    for stage in stages:
        config = getattr(model.config, f"{HF_KEY[stage]}_config")
        arguments: dict[str, Any] = {
            "n_layer": config.num_layers, "n_head": config.num_heads, "n_embd": config.hidden_size,
            "block_size": config.block_size, "bias": config.bias, "dropout": 0.0,
        }  # fmt: skip
        if one_vocabulary and config.input_vocab_size == config.output_vocab_size:
            arguments["vocab_size"] = config.input_vocab_size
        else:
            arguments |= {
                "input_vocab_size": config.input_vocab_size,
                "output_vocab_size": config.output_vocab_size,
            }
        if stage == "fine":
            arguments |= {"n_codes_total": config.n_codes_total, "n_codes_given": config.n_codes_given}
        prefix = "_orig_mod." if compiled else ""
        state: State = {
            prefix + suno_name(name): tensor.clone()
            for name, tensor in getattr(model, HF_KEY[stage]).state_dict().items()
            if not name.endswith(".attn.bias")
        }
        if masks and stage != "fine":
            mask = torch.ones(config.block_size, config.block_size).tril()[None, None]
            state |= {f"{prefix}transformer.h.{n}.attn.bias": mask for n in range(config.num_layers)}
        name = f"{SUNO_FILE[stage]}{'_2' if stage in big else ''}.pt"
        torch.save(
            {
                "model_args": arguments,
                "model": state,
                "best_val_loss": np.float64(2.5) if best_val_loss is None else best_val_loss,
                "iter_num": 7,
            },
            directory / name,
        )
    codec = directory / "encodec"
    codec.mkdir(exist_ok=True)
    (codec / "config.json").write_text(json.dumps(model.config.codec_config.to_dict(), default=str), "utf-8")
    save_file(
        {name: tensor.contiguous().clone() for name, tensor in model.codec_model.state_dict().items()},
        codec / "model.safetensors",
    )
    return directory


def oracle_generation_configs(generation: Mapping[str, Any], **semantic: Any) -> dict[str, Any]:
    """Generation configs that make transformers' stages greedy and Suno-like, by stage name.

    Args:
        generation: As from `generation_config`.
        **semantic: Overrides of the semantic stage's config.
    """
    from transformers.models.bark.generation_configuration_bark import (
        BarkCoarseGenerationConfig,
        BarkFineGenerationConfig,
        BarkSemanticGenerationConfig,
    )

    return {
        "semantic": BarkSemanticGenerationConfig(
            **{**generation["semantic_config"], "temperature": 1.0, "do_sample": False, **semantic}
        ),
        "coarse": BarkCoarseGenerationConfig(
            **{**generation["coarse_acoustics_config"], "temperature": 1.0, "do_sample": False}
        ),
        "fine": BarkFineGenerationConfig(**{**generation["fine_acoustics_config"], "temperature": 1.0}),
    }


def suno_name(name: str) -> str:
    """Suno's key for a tensor that transformers calls ``name`` within its stage."""
    for ours, theirs in _SUNO_NAMES:
        name = name.replace(ours, theirs)
    return name


def _empty_model(config: Mapping[str, Any]) -> BarkModel:
    """A transformers Bark of a configuration; its own draws leave the global generator as it was."""
    import torch
    from transformers import BarkConfig, BarkModel, EncodecConfig

    parts = {key: value for key, value in config.items() if key not in ("model_type", "codec_config")}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = BarkModel(BarkConfig(**parts, codec_config=EncodecConfig(**config["codec_config"]).to_dict()))
    for layer in model.codec_model.quantizer.layers:  # all-zero by construction
        shape = tuple(layer.codebook.embed.shape)
        layer.codebook.embed.copy_(torch.from_numpy(np.random.default_rng(5).standard_normal(shape, np.float32)))
    return model.eval().requires_grad_(False)
