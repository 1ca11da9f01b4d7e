"""Every size, offset, pad and rate of a Bark checkpoint, read from its own files and checked once.

The field names are those of transformers' Bark configuration, so that a value can be found in ``config.json``
or ``generation_config.json`` by its name. Defaults are Suno's published numbers (suno-ai/bark
``bark/generation.py``), which legacy ``.pt`` checkpoints imply without storing them.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
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
        """Parameters that the engine holds; heads count apart from tables, also where they are tied."""
        tables = self.n_codes_total or 1
        heads = self.n_codes_total - self.n_codes_given or 1
        rows = tables * self.input_vocab_size + heads * self.output_vocab_size + self.block_size
        return self.num_layers * 12 * self.hidden_size**2 + rows * self.hidden_size


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

    @property
    def text_slots(self) -> int:
        """Text tokens that stage 1 reads before a history covers them, where it keeps the two apart."""
        return self.history_start or self.max_input_semantic_length


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
        for gpt in (self.semantic_gpt, self.coarse_gpt, self.fine_gpt):
            if (
                min(gpt.num_layers, gpt.num_heads, gpt.hidden_size, gpt.block_size) < 1
                or gpt.hidden_size % gpt.num_heads
            ):
                raise CheckpointError(f"a stage's shape is impossible: {gpt}; check config.json")
        problems = self._problems()
        if problems:
            raise CheckpointError(
                f"the checkpoint's configuration does not fit together: {'; '.join(problems)}. "
                "Check config.json and generation_config.json against the checkpoint they were published with"
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
        return [*self._semantic_problems(), *self._coarse_problems(), *self._fine_problems()]

    def _semantic_problems(self) -> Iterator[str]:
        gpt, stage = self.semantic_gpt, self.semantic
        slots = stage.max_input_semantic_length
        if gpt.block_size <= slots:
            yield f"the semantic model's block_size {gpt.block_size} leaves no position after {slots} text slots"
        if not 0 <= stage.history_start < slots:
            yield f"history_start {stage.history_start} lies outside the {slots} text slots"
        special = max(stage.semantic_infer_token, stage.text_pad_token, stage.semantic_pad_token)
        if special >= gpt.input_vocab_size:
            yield f"stage 1 needs input id {special}, the semantic model has {gpt.input_vocab_size}"
        emitted = max(stage.semantic_vocab_size - 1, stage.eos_token_id)
        if emitted >= gpt.output_vocab_size:
            yield f"stage 1 emits ids up to {emitted}, the semantic model has {gpt.output_vocab_size}"
        if stage.eos_token_id < stage.semantic_vocab_size:
            yield f"eos_token_id {stage.eos_token_id} is also a semantic token (ids below {stage.semantic_vocab_size})"

    def _coarse_problems(self) -> Iterator[str]:
        gpt, stage = self.coarse_gpt, self.coarse
        end = self.semantic.semantic_vocab_size + stage.n_coarse_codebooks * self.codebook_size
        special = max(end - 1, stage.coarse_semantic_pad_token, stage.coarse_infer_token)
        if special >= gpt.input_vocab_size or end > gpt.output_vocab_size:
            yield (
                f"stage 2 needs ids up to {special} in and {end - 1} out, the coarse model has "
                f"{gpt.input_vocab_size} in and {gpt.output_vocab_size} out"
            )
        needed = self.coarse_positions(stage.max_coarse_history, stage.sliding_window_len)
        if needed > gpt.block_size:
            yield f"a coarse window may need {needed} positions, the coarse model's block_size is {gpt.block_size}"

    def _fine_problems(self) -> Iterator[str]:
        gpt, stage = self.fine_gpt, self.fine
        if self.codebook_size >= gpt.input_vocab_size or self.codebook_size > gpt.output_vocab_size:
            yield (
                f"codebook_size {self.codebook_size} and its pad do not fit the fine model's "
                f"{gpt.input_vocab_size} ids in and {gpt.output_vocab_size} out"
            )
        if stage.n_fine_codebooks > gpt.n_codes_total or self.coarse.n_coarse_codebooks < gpt.n_codes_given:
            yield (
                f"{self.coarse.n_coarse_codebooks} coarse and {stage.n_fine_codebooks} fine codebooks do not fit the "
                f"fine model's {gpt.n_codes_total} tables, {gpt.n_codes_given} of them given"
            )
        if not 0 < stage.max_fine_history_length < stage.max_fine_input_length <= gpt.block_size:
            yield (
                f"a fine window of {stage.max_fine_input_length} frames with {stage.max_fine_history_length} of "
                f"history does not fit the fine model's block_size {gpt.block_size}"
            )

    def coarse_positions(self, max_history: int, window: int) -> int:
        """Most positions that a window of stage 2 takes; its last token is never read."""
        return self.coarse.max_coarse_input_length + 1 + max_history + window - 1

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
        spec.name for spec in dataclasses.fields(kind) if spec.name not in taken and spec.default is dataclasses.MISSING
    ]
    if missing:
        raise CheckpointError(f"{where} lacks {', '.join(missing)}; expected the fields of a transformers BarkModel")
    return kind(**taken)
