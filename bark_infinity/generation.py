"""The names of Suno's ``bark.generation``, for notebooks that import from there; they live in `classic`."""

from __future__ import annotations

from bark_infinity.classic import (
    SAMPLE_RATE,
    codec_decode,
    generate_coarse,
    generate_fine,
    generate_text_semantic,
    load_codec_model,
    preload_models,
)

__all__ = [
    "SAMPLE_RATE",
    "codec_decode",
    "generate_coarse",
    "generate_fine",
    "generate_text_semantic",
    "load_codec_model",
    "preload_models",
]
