"""Evolution of voices and prompts: genomes, candidates, and the swarm that breeds them.

Light module: numpy and deap, no torch, no files. Rendering and judging happen elsewhere; the swarm only asks for
candidates to be evaluated and is told what came of them.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from bark_infinity.error_handling import BarkError
from bark_infinity.requests import RenderSettings
from bark_infinity.variation import Parameters
from bark_infinity.voices.history import VoiceHistory

_HASH_TAG = "genome-v1:"  # a later canonical form must have another tag

Role = Literal["first", "second", "donor"]  # first: most of the child comes from it (the primary line)


@dataclass(frozen=True)
class Genome:
    """What is heritable: all that decides how a candidate sounds, except its seed.

    Attributes:
        prompt: Text to say, with Bark's tags and marks.
        voice: Voice to speak with; None lets the model choose one.
        settings: Sampling settings.
        content_lock: Whether operators must keep the prompt's words.
    """

    prompt: str
    voice: VoiceHistory | None = None
    settings: RenderSettings = field(default_factory=RenderSettings)
    content_lock: bool = True

    def __post_init__(self) -> None:
        if not self.prompt.strip() and self.settings.semantic_allow_early_stop:
            raise BarkError("a genome's prompt is empty; give words, or switch semantic_allow_early_stop off")

    def canonical(self) -> dict[str, Any]:
        """A JSON object that two genomes share exactly when they are the same; the voice by its content hash."""
        return {
            "prompt": self.prompt,
            "voice": None if self.voice is None else self.voice.sha256,
            "settings": dataclasses.asdict(self.settings),
            "content_lock": self.content_lock,
        }

    @property
    def sha256(self) -> str:
        """Content hash over the canonical form."""
        text = json.dumps(self.canonical(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256((_HASH_TAG + text).encode()).hexdigest()


@dataclass(frozen=True)
class Parent:
    """One parent of a candidate: its birth number, and what it gave."""

    birth: int
    role: Role


@dataclass(frozen=True)
class Candidate:
    """One birth of a run.

    Attributes:
        birth: Number in its run, from 1, in the order of asking.
        genome: What it inherited and what was changed.
        parents: Empty for founders and immigrants.
        operator: What made it: ``founder``, ``immigrant``, ``control``, or a variation operator's name.
        operator_version: Of that operator's meaning.
        parameters: All choices the operator drew.
        generation: 0 for founders, one more than the oldest parent's otherwise.
        seed: Seed of its rendering.
    """

    birth: int
    genome: Genome
    parents: tuple[Parent, ...] = ()
    operator: str = "founder"
    operator_version: int = 1
    parameters: Parameters | Mapping[str, Any] = field(default_factory=dict)
    generation: int = 0
    seed: int = 0
