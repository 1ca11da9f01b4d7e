"""Bark: text and a voice to tokens to audio.

The engine::

    from bark_infinity import BarkEngine, RenderRequest

    engine = BarkEngine.load("micro")
    (rendering,) = engine.render([RenderRequest(text="Hello there.", seed=7)])

Scripts written for ``import bark`` run with ``import bark_infinity as bark``; those functions live in
`bark_infinity.classic`. Names are imported when they are first used, so importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bark_infinity.classic import (
        codec_decode,
        generate_audio,
        generate_coarse,
        generate_fine,
        generate_text_semantic,
        list_speakers,
        load_codec_model,
        preload_models,
        save_as_prompt,
        semantic_to_waveform,
        text_to_semantic,
    )
    from bark_infinity.engine import BarkEngine
    from bark_infinity.error_handling import BarkError, CheckpointError, VoiceFormatError
    from bark_infinity.requests import Rendering, RenderProgress, RenderRequest, RenderSettings
    from bark_infinity.tokens import SAMPLE_RATE, BarkTokens, TokenSpace
    from bark_infinity.voices.history import VoiceHistory

# Bark Infinity offered its FusionTransformer here, so the name stays; it lives above this package, which therefore
# never imports it by itself.
_FUSION_TRANSFORMER = "fusion.transformer.model"

_HOME_OF = {
    "BarkEngine": "engine",
    "BarkError": "error_handling",
    "CheckpointError": "error_handling",
    "VoiceFormatError": "error_handling",
    "RenderProgress": "requests",
    "Rendering": "requests",
    "RenderRequest": "requests",
    "RenderSettings": "requests",
    "SAMPLE_RATE": "tokens",
    "BarkTokens": "tokens",
    "TokenSpace": "tokens",
    "VoiceHistory": "voices.history",
    "codec_decode": "classic",
    "generate_audio": "classic",
    "generate_coarse": "classic",
    "generate_fine": "classic",
    "generate_text_semantic": "classic",
    "list_speakers": "classic",
    "load_codec_model": "classic",
    "preload_models": "classic",
    "save_as_prompt": "classic",
    "semantic_to_waveform": "classic",
    "text_to_semantic": "classic",
}

__all__ = [
    "SAMPLE_RATE",
    "BarkEngine",
    "BarkError",
    "BarkTokens",
    "CheckpointError",
    "FusionTransformer",
    "RenderProgress",
    "RenderRequest",
    "RenderSettings",
    "Rendering",
    "TokenSpace",
    "VoiceFormatError",
    "VoiceHistory",
    "codec_decode",
    "generate_audio",
    "generate_coarse",
    "generate_fine",
    "generate_text_semantic",
    "list_speakers",
    "load_codec_model",
    "preload_models",
    "save_as_prompt",
    "semantic_to_waveform",
    "text_to_semantic",
]


def __getattr__(name: str) -> Any:
    if name == "FusionTransformer":
        home = _FUSION_TRANSFORMER
    elif name in _HOME_OF:
        home = f"bark_infinity.{_HOME_OF[name]}"
    else:
        raise AttributeError(f"module 'bark_infinity' has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
