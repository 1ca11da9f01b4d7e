"""The names of Suno's ``bark.api``, for notebooks that import from there; they live in `classic`."""

from __future__ import annotations

from bark_infinity.classic import generate_audio, save_as_prompt, semantic_to_waveform, text_to_semantic

__all__ = ["generate_audio", "save_as_prompt", "semantic_to_waveform", "text_to_semantic"]
