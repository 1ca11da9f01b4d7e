"""Writes the asset: the four trained parts in Hugging Face's ``BarkModel`` layout, half precision, with its voices.

transformers cannot save a model that carries a Bark generation config, so the files are written by hand. Causal masks
are rebuilt on loading and tied heads are the embeddings themselves: neither is stored.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from transformers import EncodecModel

from bark_infinity.tokens import TokenSpace
from bark_infinity.voices.history import VoiceHistory
from experiments.micro import codec, corpus, front_end, gpt, labels, layout, speakers, train_coarse, train_semantic
from experiments.micro.training import load_weights

FAMILY = "micro"
TEMPERATURES = {"semantic": 0.6, "coarse": 0.5, "fine": 0.1}  # fine: all but the likeliest; transformers divides by it
VOICE_TEXT = "hello, this is my natural voice, how do you like it today."
SPACE = TokenSpace(
    semantic_vocab_size=layout.SEMANTIC_VOCAB,
    codebook_size=layout.CODEBOOK,
    n_coarse_codebooks=layout.N_COARSE,
    n_fine_codebooks=layout.N_FINE,
    semantic_rate_hz=float(layout.SEMANTIC_RATE_HZ),
    coarse_rate_hz=float(layout.COARSE_RATE_HZ),
)
# name: (espeak-ng variant or random voice, pitch, words a minute)
VOICES: dict[str, tuple[str, int, int]] = {
    "adam": ("m1", 62, 165),
    "boris": ("m7", 60, 140),
    "carl": ("m2", 50, 195),
    "dieter": ("m5", 60, 175),
    "frog": ("croak", 60, 150),
    "greta": ("f1", 45, 170),
    "helen": ("f3", 70, 160),
    "irene": ("f5", 35, 190),
    "julia": ("steph", 30, 180),
    "klara": ("f4", 40, 205),
    "robot": ("klatt2", 50, 150),
    "ghost": ("whisper", 50, 150),
    "lena": ("vbf0012", 65, 135),
    "max": ("vbf0031", 40, 210),
    "nils": ("vbf0047", 45, 185),
    "olga": ("vbf0111", 50, 190),
}


def config_json() -> dict[str, Any]:
    """``config.json`` of the family."""

    def stage(shape: gpt.Shape, kind: str, block: int, n_ids: int, **more: int) -> dict[str, Any]:
        return {
            "model_type": kind,
            "block_size": block,
            "input_vocab_size": n_ids,
            "output_vocab_size": n_ids,
            "num_layers": shape.layers,
            "num_heads": shape.heads,
            "hidden_size": shape.width,
            "dropout": 0.0,
            "bias": False,
            **more,
        }

    fine = stage(gpt.FINE, "fine_acoustics", layout.FINE_BLOCK, layout.FINE_TABLE, n_codes_total=8, n_codes_given=1)
    return {
        "architectures": ["BarkModel"],
        "model_type": "bark",
        "dtype": "float16",
        "initializer_range": 0.02,
        "semantic_config": stage(gpt.SEMANTIC, "semantic", layout.SEMANTIC_BLOCK, layout.SEMANTIC_TABLE),
        "coarse_acoustics_config": stage(gpt.COARSE, "coarse_acoustics", layout.COARSE_BLOCK, layout.COARSE_TABLE),
        "fine_acoustics_config": fine,
        "codec_config": codec.config().to_dict(),
    }


def generation_config_json() -> dict[str, Any]:
    """``generation_config.json`` of the family; ``history_start`` is our engine's one extra key."""
    sampled = {stage: {"do_sample": True, "temperature": t} for stage, t in TEMPERATURES.items()}
    return {
        "_from_model_config": False,
        "semantic_config": {
            **sampled["semantic"],
            "eos_token_id": layout.SEMANTIC_PAD,
            "semantic_pad_token": layout.SEMANTIC_PAD,
            "semantic_vocab_size": layout.SEMANTIC_VOCAB,
            "semantic_infer_token": layout.SEMANTIC_INFER,
            "semantic_rate_hz": layout.SEMANTIC_RATE_HZ,
            "text_encoding_offset": layout.TEXT_OFFSET,
            "text_pad_token": layout.TEXT_PAD,
            "max_input_semantic_length": layout.TEXT_BLOCK,
            "history_start": layout.HISTORY_START,
            "max_new_tokens": layout.MAX_SEMANTIC,
        },
        "coarse_acoustics_config": {
            **sampled["coarse"],
            "coarse_rate_hz": layout.COARSE_RATE_HZ,
            "n_coarse_codebooks": layout.N_COARSE,
            "coarse_semantic_pad_token": layout.COARSE_PAD,
            "coarse_infer_token": layout.COARSE_INFER,
            "max_coarse_input_length": layout.COARSE_SEMANTIC_BLOCK,
            "max_coarse_history": layout.COARSE_HISTORY,
            "sliding_window_len": layout.COARSE_WINDOW,
        },
        "fine_acoustics_config": {
            **sampled["fine"],
            "n_fine_codebooks": layout.N_FINE,
            "max_fine_history_length": layout.FINE_HISTORY,
            "max_fine_input_length": layout.FINE_BLOCK,
        },
        "codebook_size": layout.CODEBOOK,
        "sample_rate": layout.SAMPLE_RATE,
    }


def parts(out: Path) -> dict[str, torch.nn.Module]:
    """The four parts under their names in ``BarkModel``; a stage without a checkpoint is left untrained."""
    modules = untrained_stages()
    semantic = train_semantic.SemanticTrainee()
    for module, name in (
        (semantic, "semantic"),
        (modules["coarse_acoustics"], "coarse"),
        (modules["fine_acoustics"], "fine"),
    ):
        path = out / "checkpoints" / f"{name}.pt"
        if path.exists():
            load_weights(module, torch.load(path, map_location="cpu", weights_only=True)["model"], path)
    _fill_spare_rows(modules["coarse_acoustics"])
    return {**modules, "semantic": semantic.plain(), "codec_model": codec.load(out)}


@torch.no_grad()
def _fill_spare_rows(coarse: torch.nn.Module) -> None:
    """Makes the pad and infer rows of the coarse head average ones: transformers does not mask them, as Suno does."""
    assert isinstance(coarse, gpt.CausalGpt)
    rows = coarse.lm_head.weight
    rows[layout.COARSE_PAD :] = rows[layout.COARSE_PAD - layout.CODEBOOK : layout.COARSE_PAD].mean(0)


def untrained_stages() -> dict[str, torch.nn.Module]:
    """The three transformers as they start."""
    torch.manual_seed(0)
    return {
        "semantic": train_semantic.SemanticTrainee().plain(),
        "coarse_acoustics": train_coarse.build(),
        "fine_acoustics": gpt.FineGpt(),
    }


def state_dict(modules: dict[str, torch.nn.Module]) -> dict[str, torch.Tensor]:
    """All tensors by their names in ``BarkModel``, half precision.

    The codebooks' running sums only matter to training; their place is kept by small zeros, so that no key is missing.
    """
    tensors: dict[str, torch.Tensor] = {}
    for part, module in modules.items():
        for name, tensor in module.state_dict().items():
            if name.endswith("embed_avg"):
                tensors[f"{part}.{name}"] = torch.zeros(tensor.shape, dtype=torch.float8_e4m3fn)
            elif "lm_heads" not in name:
                tensors[f"{part}.{name}"] = tensor.detach().half().contiguous().clone()
    return tensors


def write_model(out: Path, target: Path) -> None:
    """Writes weights and configs of a training run."""
    _write(state_dict(parts(out)), target)


def write_untrained(asset: Path, target: Path) -> None:
    """The control of the evaluation: random transformers behind the asset's trained codec."""
    trained = load_file(asset / "model.safetensors")
    codec_tensors = {name: tensor for name, tensor in trained.items() if name.startswith("codec_model.")}
    _write({**state_dict(untrained_stages()), **codec_tensors}, target)


def _write(tensors: dict[str, torch.Tensor], target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    weights = target / "model.safetensors"
    save_file(tensors, weights, metadata={"format": "pt"})
    weights.chmod(0o644)  # safetensors writes files that only their owner can read
    for name, content in (("config.json", config_json()), ("generation_config.json", generation_config_json())):
        (target / name).write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def encode_voice(
    studio: corpus.Studio, model: EncodecModel, text: str, speaker: speakers.Speaker
) -> tuple[np.ndarray, labels.Labelled, np.ndarray]:
    """Records a sentence: codes (8, T), labels, and the samples float32 (S,) in [-1, 1] that were encoded."""
    take = studio.record(text, speaker)
    if take is None:
        raise ValueError(f"espeak-ng's events for {text!r} cannot be aligned; choose another sentence")
    samples, labelled = take
    scaled = samples * (corpus.PEAK / max(1.0, float(np.abs(samples).max()))) / 32768
    return codec.encode(model, scaled), labelled, scaled


def write_voices(out: Path, target: Path) -> None:
    """Records, encodes and writes the shipped voices."""
    studio, model = corpus.Studio(out / "voices"), codec.load(out)
    target.mkdir(parents=True, exist_ok=True)
    for name, (variant, pitch, rate) in VOICES.items():
        codes, labelled, _ = encode_voice(studio, model, VOICE_TEXT, speakers.Speaker(variant, pitch, rate))
        metadata = {
            "model_family": FAMILY,
            "provenance": "synthesised by espeak-ng 1.51, encoded by micro-Bark's codec",
            "espeak_variant": variant if speakers.definition_of(variant) is None else "randomised",
            "espeak_pitch": pitch,
            "rate_wpm": rate,
            "text": VOICE_TEXT,
            "f0_hz": round(labelled.f0_hz, 1),
            "licence": "CC0-1.0",
        }
        fine = codes.astype(np.int64)
        semantic = labelled.semantic.astype(np.int64)
        VoiceHistory(
            semantic, fine[: layout.N_COARSE], fine, space=SPACE, name=f"micro/{name}", metadata=metadata
        ).save(target / f"{name}.npz")


def write(out: Path, target: Path, seed: int = 1) -> None:
    """Writes the whole asset but its model card."""
    write_model(out, target)
    write_voices(out, target / "voices")
    if not (target / "text_front_end.json").exists():
        front_end.write(target, seed)
