"""Every size, offset, pad and rate of a Bark checkpoint, read from its own files and checked once.

The field names are those of transformers' Bark configuration, so that a value can be found in ``config.json`` or
``generation_config.json`` by its name. Defaults are Suno's published numbers (suno-ai/bark ``bark/generation.py``),
which legacy ``.pt`` checkpoints imply without storing them.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from bark_infinity.error_handling import CheckpointError
from bark_infinity.tokens import TokenSpace

JsonObject = Mapping[str, Any]
_Config = TypeVar("_Config", bound="GPTConfig | SemanticConfig | CoarseConfig | FineConfig")


@dataclass(frozen=True)
class GPTConfig:
    """Shape of one of the three GPTs."""

    num_layers: int
    num_heads: int  # H
    hidden_size: int  # D
    block_size: int  # positions
    input_vocab_size: int
    output_vocab_size: int
    bias: bool = False  # of Linear and LayerNorm; the fine model's LayerNorms always have one
    n_codes_total: int = 0  # fine model only: input tables
    n_codes_given: int = 0  # fine model only: codebooks that are never predicted

    def parameter_count(self) -> int:
        """Parameters that are kept in memory (tied heads once, biases left out)."""
        tables = max(1, self.n_codes_total)
        heads = self.n_codes_total - self.n_codes_given
        per_layer = 12 * self.hidden_size**2
        tied = self.n_codes_total > 0
        head_rows = 0 if tied else self.output_vocab_size
        if tied and heads > tables - 1:
            head_rows = (heads - (tables - 1)) * self.output_vocab_size
        rows = tables * self.input_vocab_size + head_rows + self.block_size
        return self.num_layers * per_layer + rows * self.hidden_size


@dataclass(frozen=True)
class SemanticConfig:
    """Stage 1, text to semantic tokens."""

    semantic_rate_hz: float = 49.9
    semantic_vocab_size: int = 10_000
    eos_token_id: int = 10_000
    semantic_pad_token: int = 10_000
    text_encoding_offset: int = 10_048
    text_pad_token: int = 129_595
    semantic_infer_token: int = 129_599
    max_input_semantic_length: int = 256  # slots of the text, and of the history summed onto it
    history_start: int = 0  # first slot of the history; Suno's covers the text from its first token
    max_new_tokens: int = 768

    @property
    def history_slots(self) -> int:
        """Semantic history tokens that stage 1 can see."""
        return self.max_input_semantic_length - self.history_start


@dataclass(frozen=True)
class CoarseConfig:
    """Stage 2, semantic to coarse tokens."""

    coarse_rate_hz: float = 75.0
    n_coarse_codebooks: int = 2
    coarse_semantic_pad_token: int = 12_048
    coarse_infer_token: int = 12_050
    max_coarse_input_length: int = 256  # slots of the semantic block
    max_coarse_history: int = 630  # flat coarse tokens kept in view
    sliding_window_len: int = 60  # flat coarse tokens per window


@dataclass(frozen=True)
class FineConfig:
    """Stage 3, coarse to fine tokens."""

    n_fine_codebooks: int = 8
    max_fine_history_length: int = 512
    max_fine_input_length: int = 1_024


@dataclass(frozen=True)
class SamplingDefaults:
    """Temperatures a checkpoint asks for; Bark's own where it says nothing."""

    semantic_temp: float = 0.7
    coarse_temp: float = 0.7
    fine_temp: float = 0.5
    semantic_min_eos_p: float | None = 0.2


@dataclass(frozen=True)
class BarkConfig:
    """A whole checkpoint's numbers.

    Raises:
        CheckpointError: When the parts cannot belong together.
    """

    semantic_gpt: GPTConfig
    coarse_gpt: GPTConfig
    fine_gpt: GPTConfig
    semantic: SemanticConfig = field(default_factory=SemanticConfig)
    coarse: CoarseConfig = field(default_factory=CoarseConfig)
    fine: FineConfig = field(default_factory=FineConfig)
    sampling: SamplingDefaults = field(default_factory=SamplingDefaults)
    codebook_size: int = 1_024
    sample_rate: int = 24_000

    def __post_init__(self) -> None:
        for problem in self._problems():
            raise CheckpointError(
                f"the checkpoint's configuration does not fit together: {problem}; "
                "check config.json and generation_config.json against the checkpoint they were published with"
            )

    @property
    def space(self) -> TokenSpace:
        """The token space of voices made with this checkpoint."""
        return TokenSpace(
            semantic_vocab_size=self.semantic.semantic_vocab_size,
            codebook_size=self.codebook_size,
            n_coarse_codebooks=self.coarse.n_coarse_codebooks,
            n_fine_codebooks=self.fine.n_fine_codebooks,
            semantic_rate_hz=self.semantic.semantic_rate_hz,
            coarse_rate_hz=self.coarse.coarse_rate_hz,
        )

    @property
    def max_semantic_tokens(self) -> int:
        """Longest stage 1 output: what the positions after text and infer token can hold."""
        room = self.semantic_gpt.block_size - self.semantic.max_input_semantic_length
        return min(self.semantic.max_new_tokens, room)

    @property
    def max_semantic_history(self) -> int:
        """Semantic tokens that stage 2 looks back on (209 in Suno's Bark)."""
        return math.floor(self.coarse.max_coarse_history / self.space.flat_coarse_per_semantic)

    def _problems(self) -> list[str]:
        semantic, coarse, fine = self.semantic, self.coarse, self.fine
        acoustic_end = semantic.semantic_vocab_size + coarse.n_coarse_codebooks * self.codebook_size
        coarse_room = coarse.max_coarse_input_length + 1 + coarse.max_coarse_history + coarse.sliding_window_len - 1
        checks = (
            (
                self.semantic_gpt.block_size > semantic.max_input_semantic_length,
                f"block_size of the semantic model is {self.semantic_gpt.block_size}, which leaves no position "
                f"after max_input_semantic_length {semantic.max_input_semantic_length}",
            ),
            (
                0 <= semantic.history_start < semantic.max_input_semantic_length,
                f"history_start {semantic.history_start} lies outside the "
                f"{semantic.max_input_semantic_length} text slots",
            ),
            (
                max(semantic.semantic_infer_token, semantic.text_pad_token, semantic.semantic_pad_token)
                < self.semantic_gpt.input_vocab_size,
                "a special token of stage 1 is not among the semantic model's "
                f"{self.semantic_gpt.input_vocab_size} input ids",
            ),
            (
                max(semantic.semantic_vocab_size - 1, semantic.eos_token_id) < self.semantic_gpt.output_vocab_size,
                f"semantic_vocab_size {semantic.semantic_vocab_size} or eos {semantic.eos_token_id} is not among the "
                f"semantic model's {self.semantic_gpt.output_vocab_size} output ids",
            ),
            (
                max(acoustic_end - 1, coarse.coarse_semantic_pad_token, coarse.coarse_infer_token)
                < self.coarse_gpt.input_vocab_size
                and acoustic_end <= self.coarse_gpt.output_vocab_size,
                f"stage 2 needs ids up to {acoustic_end - 1} and its special tokens, the coarse model has "
                f"{self.coarse_gpt.input_vocab_size} in and {self.coarse_gpt.output_vocab_size} out",
            ),
            (
                coarse_room <= self.coarse_gpt.block_size,
                f"a coarse window may need {coarse_room} positions, block_size is {self.coarse_gpt.block_size}",
            ),
            (
                self.codebook_size < self.fine_gpt.input_vocab_size
                and self.codebook_size <= self.fine_gpt.output_vocab_size,
                f"codebook_size {self.codebook_size} and its pad do not fit the fine model's "
                f"{self.fine_gpt.input_vocab_size} in and {self.fine_gpt.output_vocab_size} out ids",
            ),
            (
                fine.n_fine_codebooks <= self.fine_gpt.n_codes_total
                and coarse.n_coarse_codebooks >= self.fine_gpt.n_codes_given,
                f"n_fine_codebooks {fine.n_fine_codebooks} and n_coarse_codebooks {coarse.n_coarse_codebooks} do not "
                f"fit the fine model's {self.fine_gpt.n_codes_total} tables, {self.fine_gpt.n_codes_given} given",
            ),
            (
                fine.max_fine_history_length < fine.max_fine_input_length <= self.fine_gpt.block_size,
                f"fine window {fine.max_fine_input_length} (history {fine.max_fine_history_length}) does not fit "
                f"block_size {self.fine_gpt.block_size}",
            ),
            (
                all(g.hidden_size % g.num_heads == 0 for g in (self.semantic_gpt, self.coarse_gpt, self.fine_gpt)),
                "hidden_size is not a multiple of num_heads",
            ),
        )
        return [message for holds, message in checks if not holds]

    @classmethod
    def from_transformers(cls, config: JsonObject, generation_config: JsonObject) -> BarkConfig:
        """Builds from the two JSON files of a directory saved by ``BarkModel.save_pretrained``.

        Args:
            config: ``config.json``; each stage's shape under ``semantic_config``, ``coarse_acoustics_config``,
                ``fine_acoustics_config``.
            generation_config: ``generation_config.json``, same three keys; Suno's numbers where it is silent.

        Raises:
            CheckpointError: When a stage's shape is missing or the numbers do not fit together.
        """
        stage = generation_config.get
        semantic = _known_fields(SemanticConfig, stage("semantic_config") or {}, "semantic_config")
        coarse_json = dict(stage("coarse_acoustics_config") or {})
        fine_json = dict(stage("fine_acoustics_config") or {})
        temperatures = {
            name: float(value)
            for name, value in (
                ("semantic_temp", (stage("semantic_config") or {}).get("temperature")),
                ("coarse_temp", coarse_json.get("temperature")),
                ("fine_temp", fine_json.get("temperature")),
            )
            if value is not None
        }
        return cls(
            semantic_gpt=_gpt_config(config, "semantic_config"),
            coarse_gpt=_gpt_config(config, "coarse_acoustics_config"),
            fine_gpt=_gpt_config(config, "fine_acoustics_config"),
            semantic=semantic,
            coarse=_known_fields(CoarseConfig, coarse_json, "coarse_acoustics_config"),
            fine=_known_fields(FineConfig, fine_json, "fine_acoustics_config"),
            sampling=SamplingDefaults(**temperatures),
            codebook_size=int(generation_config.get("codebook_size", 1_024)),
            sample_rate=int(generation_config.get("sample_rate", 24_000)),
        )


def _gpt_config(config: JsonObject, stage: str) -> GPTConfig:
    shape = config.get(stage)
    if not isinstance(shape, Mapping):
        raise CheckpointError(
            f"config.json has no object '{stage}'; expected the configuration of a transformers BarkModel"
        )
    return _known_fields(GPTConfig, shape, stage)


def _known_fields(kind: type[_Config], values: JsonObject, where: str) -> _Config:
    """Takes the fields a dataclass declares out of a JSON object, with the types it declares."""
    taken: dict[str, Any] = {}
    for spec in dataclasses.fields(kind):
        value = values.get(spec.name)
        if value is None:
            continue
        wanted = {"int": int, "float": float, "bool": bool}[str(spec.type)]
        if isinstance(value, bool) != (wanted is bool) or not isinstance(value, int | float):
            raise CheckpointError(f"{where}.{spec.name} is {value!r}, expected {spec.type}; the file may be damaged")
        taken[spec.name] = wanted(value)
    missing = [
        spec.name
        for spec in dataclasses.fields(kind)
        if spec.name not in taken and spec.default is dataclasses.MISSING
    ]
    if missing:
        raise CheckpointError(f"{where} lacks {', '.join(missing)}; expected the fields of a transformers BarkModel")
    return kind(**taken)
