"""What is heritable, and what is born: genomes, and the candidates that carry them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np

from bark_infinity.error_handling import BarkError
from bark_infinity.requests import RenderRequest, RenderSettings
from bark_infinity.variation import Parameters
from bark_infinity.voices.history import VoiceHistory

_HASH_TAG = "genome-v1:"  # a later canonical form must have another tag

Role = Literal["first", "second", "donor"]  # first: most of the child comes from it (the primary line)
Gene = Literal["voice", "prompt", "settings"]  # the part of a genome that an operator varies
Rng = np.random.Generator


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
        if any("\ud800" <= char <= "\udfff" for char in self.prompt):
            raise BarkError(f"the prompt {self.prompt!r} holds half a character; give it as whole Unicode text")

    def canonical(self) -> dict[str, Any]:
        """A JSON object that two genomes share exactly when they are the same; the voice by its content hash."""
        return {
            "prompt": self.prompt,
            "voice": None if self.voice is None else self.voice.sha256,
            "settings": vars(self.settings),
            "content_lock": self.content_lock,
        }

    @cached_property
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
        island: The sub-population it belongs to.
        rate: Mean number of times that an edit is applied to its children: the strength of mutation, as edits are
            small. Heritable, not heard.
        render_first: What to render to get the genome's voice, which is None until then; see `with_voice`.
    """

    birth: int
    genome: Genome
    parents: tuple[Parent, ...] = ()
    operator: str = "founder"
    operator_version: int = 1
    parameters: Parameters | Mapping[str, Any] = field(default_factory=dict)
    generation: int = 0
    seed: int = 0
    island: int = 0
    rate: float = 1.0
    render_first: RenderRequest | None = None

    def with_voice(self, voice: VoiceHistory) -> Candidate:
        """This candidate once its voice is rendered: nothing is left to render before it can be heard."""
        return dataclasses.replace(self, genome=dataclasses.replace(self.genome, voice=voice), render_first=None)


@dataclass(frozen=True)
class Draft:
    """A genome before it is born."""

    genome: Genome  # its voice is None while it has to be rendered
    render_first: RenderRequest | None = None  # what to render to get that voice; its seed is filled in at birth
    parameters: Parameters = field(default_factory=dict)  # all choices that were drawn


def short_hash(genome: Genome) -> int:
    """Sixty bits of a genome's content hash, to remember millions by."""
    return int(genome.sha256[:15], 16)
