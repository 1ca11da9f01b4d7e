"""FusionTransformer: a mixture of experts over pretrained encoders of texts and clips.

Every expert reads with its own tokenizer or feature extractor. Their hidden states meet on a common grid (words,
characters or slices of time), are projected to a common width, and are mixed by a learned gate. Experts are frozen
unless asked otherwise; projections and gate learn::

    model = FusionTransformer(["bert-base-uncased", "roberta-base"])
    inputs = model.encode("hello world")
    output = model(**inputs)
    output.pooled, output.usage_by_expert

Shapes: B passages, T cells of the grid, E experts, D common width, D_e width of expert e.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import os
import typing
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from bark_infinity.checkpoints.sources import read_json, require_file
from bark_infinity.error_handling import BarkError, CheckpointError
from fusion.transformer.aligned_states import AlignedStates, align_states, read_passages
from fusion.transformer.alignment import Float64Array, Grid
from fusion.transformer.embedding_cache import EmbeddingCache
from fusion.transformer.experts import Expert, load_expert
from fusion.transformer.gate import Gate, GateKind, load_balance_loss
from fusion.transformer.passages import Audio, FusionInputs, Reading, prepare

__all__ = ["AlignedStates", "FusionConfig", "FusionInputs", "FusionOutput", "FusionTransformer"]

CONFIG_FILE, WEIGHTS_FILE = "fusion_config.json", "fusion.safetensors"
_FORMAT = 1
_ROWS_ON_ACCELERATOR = 32
_PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class FusionConfig:
    """How experts are combined. None leaves a choice to the experts; the model's own config has it resolved.

    Attributes:
        width: D. None: the widest expert's.
        grid: Where states meet. None: an only expert's own positions; else time when any expert hears, words
            otherwise.
        cells_per_second: Of the grid ``time``; a tenth of a second is about half a syllable.
        gate: What mixing weights depend on.
        top_k: Experts that take part in a cell; None lets all.
        temperature: Of the gate's softmax.
        normalise: Whether states are brought to mean 0 and variance 1 before projection, so that no expert is loud
            merely by its scale. None: yes when there are several.
    """

    width: int | None = None
    grid: Grid | None = None
    cells_per_second: float = 10.0
    gate: GateKind = "input"
    top_k: int | None = None
    temperature: float = 1.0
    normalise: bool | None = None


@dataclass(frozen=True, eq=False)
class FusionOutput:
    """What the mixture says.

    Attributes:
        last_hidden_state: (B, T, D) mixed states; 0 where ``mask`` is off.
        mask: (B, T) bool, cells where at least one expert has a state.
        pooled: (B, D) mean of the mixed states of a passage.
        gate_weights: (B, T, E) how much each expert counted in each cell; 0 where ``mask`` is off.
        load_balance_loss: Scalar; 1 when experts are used evenly, E when always the same one is. Add a small
            multiple (0.01) to a training loss.
        spans: (B, T, 2) the cells, in characters or seconds.
        expert_names: E names, in the order of the last axis of ``gate_weights``.
    """

    last_hidden_state: Tensor
    mask: Tensor
    pooled: Tensor
    gate_weights: Tensor
    load_balance_loss: Tensor
    spans: Tensor
    expert_names: tuple[str, ...]

    @property
    def usage(self) -> Tensor:
        """(E,) mean gate weight of each expert over all cells of the batch."""
        return self.gate_weights.sum(dim=(0, 1)) / self.mask.sum().clamp(min=1)

    @property
    def usage_by_expert(self) -> dict[str, float]:
        """`usage` by name."""
        return dict(zip(self.expert_names, self.usage.tolist(), strict=True))


class FusionTransformer(nn.Module):
    """See the module's docstring.

    Args:
        experts: Names for `fusion.transformer.experts.load_expert`, or experts that are loaded already. Those stay as
            they are: a model that keeps them frozen, on their device and in their precision, shares them, any other
            works on copies. Each name once.
        config: How they are combined.
        seed: Draws the initial projections and gate: a number, or a generator to draw from.
        frozen: Whether experts stay as they are. If not, they learn too, are saved whole, and nothing is cached.
        device: Where everything computes.
        dtype: Precision of everything.
        cache: Keeps what frozen experts say.
        batch_rows: Windows an expert reads together. None: one on a CPU, where its states then do not depend on the
            batch even in the last bit; 32 elsewhere.
        offline: True never uses the network; None follows ``HF_HUB_OFFLINE``.

    Raises:
        CheckpointError: When an expert cannot be loaded.
        BarkError: When the configuration does not fit the experts.
    """

    def __init__(
        self,
        experts: str | Path | Expert | Sequence[str | Path | Expert],
        config: FusionConfig | None = None,
        *,
        seed: int | torch.Generator = 0,
        frozen: bool = True,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        cache: EmbeddingCache | None = None,
        batch_rows: int | None = None,
        offline: bool | None = None,
    ) -> None:
        super().__init__()
        experts = [experts] if isinstance(experts, str | Path | Expert) else experts
        self.expert_names = tuple(e.name if isinstance(e, Expert) else str(e) for e in experts)
        _check_names(self.expert_names)
        loaded = [
            _own(e, frozen, torch.device(device), dtype) if isinstance(e, Expert) else load_expert(e, offline=offline)
            for e in experts
        ]
        for expert in loaded:
            expert.learns = not frozen
        self.config = _resolved(config or FusionConfig(), loaded)
        self.frozen, self.cache, self.batch_rows = frozen, cache, batch_rows
        generator = seed if isinstance(seed, torch.Generator) else torch.Generator().manual_seed(seed)
        width = self.width
        self.experts = nn.ModuleList(loaded).requires_grad_(not frozen)
        self.projections = nn.ModuleList(_projection(expert.width, width, generator) for expert in loaded)
        self.gate = Gate(len(loaded), width, self.config.gate, self.config.top_k, self.config.temperature, generator)
        self.to(device=device, dtype=dtype)
        self.eval()

    @property
    def width(self) -> int:
        """D."""
        assert self.config.width is not None, "resolved on construction"
        return self.config.width

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.gate.bias.device

    @property
    def dtype(self) -> torch.dtype:
        """Precision it computes in."""
        return self.gate.bias.dtype

    def train(self, mode: bool = True) -> FusionTransformer:
        """As in torch, but frozen experts keep their dropout off."""
        super().train(mode)
        if self.frozen:
            self.experts.eval()
        return self

    def encode(
        self,
        text: str | Sequence[str | None] | None = None,
        audio: Audio | Sequence[Audio | None] | None = None,
        sample_rate: int | None = None,
    ) -> FusionInputs:
        """Prepares passages: one string or clip, or many. With both, the n-th text is what the n-th clip says.

        Args:
            text: None, for all or some, when there is none.
            audio: (S,) mono samples, full scale 1.0; None, for all or some, when there are none.
            sample_rate: Of all the clips, in Hz.

        Returns:
            A mapping, so that ``model(**inputs)`` works.

        Raises:
            BarkError: When there is nothing to read, a clip holds NaN, or the grid needs what was not given.
        """
        assert self.config.grid is not None, "resolved on construction"
        return prepare(self._experts, self.config.grid, self.config.cells_per_second, text, audio, sample_rate)

    def forward(
        self,
        readings: Sequence[Sequence[Reading]],
        cells: Sequence[Float64Array | None],
        extents: Sequence[tuple[float, float]],
    ) -> FusionOutput:
        """Reads and mixes; takes what `encode` gives: ``model(**inputs)``."""
        return self.mix(self.align(readings, cells, extents))

    def align(
        self,
        readings: Sequence[Sequence[Reading]],
        cells: Sequence[Float64Array | None],
        extents: Sequence[tuple[float, float]],
        progress: Callable[[int, int], None] | None = None,
    ) -> AlignedStates:
        """Lets the experts read, and brings their states onto the grid: ``model.align(**inputs)``.

        With frozen experts the result has no gradient, depends on nothing that learns, and can be kept for training.

        Args:
            readings: See `FusionInputs`, like the next two.
            cells: See `FusionInputs`.
            extents: See `FusionInputs`.
            progress: Told how many passages of how many are read, counted for each expert.
        """
        assert self.config.grid is not None, "resolved on construction"
        most = self.batch_rows or (1 if self.device.type == "cpu" else _ROWS_ON_ACCELERATOR)
        cache = self.cache if self.frozen else None
        done, total = 0, sum(1 for reading in readings for passage in reading if passage)

        def tell() -> None:
            nonlocal done
            done += 1
            if progress is not None:
                progress(done, total)

        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            states = [
                read_passages(expert, reading, most, cache, tell)
                for expert, reading in zip(self._experts, readings, strict=True)
            ]
            return align_states(self._experts, readings, states, self.config.grid, cells, extents)

    def mix(self, aligned: AlignedStates) -> FusionOutput:
        """Projects, weighs and adds up: all of the model that learns when experts are frozen."""
        available = aligned.available
        projected = []
        for index, (projection, states) in enumerate(zip(self.projections, aligned.states, strict=True)):
            if self.config.normalise:
                states = functional.layer_norm(states, states.shape[-1:])
            projected.append(projection(states) * available[..., index : index + 1])
        stacked = torch.stack(projected, dim=2)  # (B, T, E, D)
        routing = self.gate(stacked, available)
        mixed = (routing.weights.to(stacked.dtype)[..., None] * stacked).sum(dim=2)  # (B, T, D)
        mask = available.any(dim=-1)
        count = mask.sum(dim=1, keepdim=True).clamp(min=1)
        return FusionOutput(
            last_hidden_state=mixed,
            mask=mask,
            # Summed in float32, for half precision loses count of long passages.
            pooled=(mixed.float().sum(dim=1) / count).to(mixed.dtype),
            gate_weights=routing.weights,
            load_balance_loss=load_balance_loss(routing, available.all(dim=-1)),
            spans=aligned.spans,
            expert_names=self.expert_names,
        )

    def save_pretrained(self, directory: str | Path) -> None:
        """Writes what was learned, and which experts it was learned over; frozen experts are not copied.

        Raises:
            BarkError: When the directory cannot be written.
        """
        from safetensors.torch import save

        target = Path(directory)
        described = {
            "format": _FORMAT,
            "config": dataclasses.asdict(self.config),
            "frozen": self.frozen,
            "dtype": str(self.dtype).removeprefix("torch."),
            "experts": [
                {"name": name, "modality": expert.modality, "width": expert.width, "fingerprint": expert.fingerprint}
                for name, expert in zip(self.expert_names, self._experts, strict=True)
            ],
        }
        try:
            target.mkdir(parents=True, exist_ok=True)
            _write_whole(target / WEIGHTS_FILE, save(self._learned()))
            _write_whole(target / CONFIG_FILE, json.dumps(described, indent=2, ensure_ascii=False).encode())
        except OSError as error:
            raise BarkError(
                f"cannot save the FusionTransformer to {target}: {error.strerror or error}; name another directory"
            ) from error

    @classmethod
    def from_pretrained(
        cls,
        directory: str | Path,
        *,
        moved: Mapping[str, str | Path | Expert] | None = None,
        device: torch.device | str = "cpu",
        dtype: torch.dtype | None = None,
        cache: EmbeddingCache | None = None,
        batch_rows: int | None = None,
        offline: bool | None = None,
    ) -> FusionTransformer:
        """Loads what `save_pretrained` wrote, exactly, over the very experts it was learned with.

        Args:
            directory: Where it was saved.
            moved: Where an expert is now, by the name it was saved under, or the expert itself.
            device: As for the constructor, like the rest.
            dtype: None takes the precision it was saved in.
            cache: As for the constructor.
            batch_rows: As for the constructor.
            offline: As for the constructor.

        Raises:
            CheckpointError: When files are missing or damaged, or an expert is gone or no longer the same.
        """
        folder = Path(directory)
        saved = _checked(read_json(folder / CONFIG_FILE), folder / CONFIG_FILE)
        experts: list[Expert] = []
        for name, fingerprint in saved.experts.items():
            source = (moved or {}).get(name, name)
            expert = source if isinstance(source, Expert) else load_expert(source, offline=offline)
            if expert.fingerprint != fingerprint:
                raise CheckpointError(
                    f"expert '{name}' of {folder} is not the one it was learned with: weights, configuration and "
                    f"tokenizer hash to {expert.fingerprint[:12]}, expected {fingerprint[:12]}; get that version "
                    "again, or learn anew"
                )
            experts.append(expert)
        model = cls(
            experts,
            saved.config,
            frozen=saved.frozen,
            device=device,
            dtype=dtype or saved.dtype,
            cache=cache,
            batch_rows=batch_rows,
        )
        model.expert_names = tuple(saved.experts)
        model._take(folder / WEIGHTS_FILE)
        return model

    @property
    def _experts(self) -> tuple[Expert, ...]:
        return tuple(typing.cast(Expert, expert) for expert in self.experts)

    def _learned(self) -> dict[str, Tensor]:
        """Everything that `save_pretrained` writes: all parameters but those of frozen experts."""
        return {
            name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
            for name, tensor in self.state_dict().items()
            if not (self.frozen and name.startswith("experts."))
        }

    def _take(self, path: Path) -> None:
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            state = load_file(require_file(path))
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"{path} could not be read ({error}); expected what save_pretrained wrote") from error
        own = self._learned()
        wrong = [name for name in own if name not in state or state[name].shape != own[name].shape]
        wrong += [name for name in state if name not in own]
        if wrong:
            raise CheckpointError(
                f"{path} does not fit its {CONFIG_FILE}: {wrong[0]} is missing, unexpected or of another shape; "
                "both files must be of one save"
            )
        self.load_state_dict(state, strict=False)


@dataclass(frozen=True)
class _Saved:
    """A configuration file, checked: experts as name to fingerprint, in order."""

    config: FusionConfig
    frozen: bool
    dtype: torch.dtype
    experts: dict[str, str]


def _checked(saved: Mapping[str, Any], path: Path) -> _Saved:
    try:
        if saved["format"] != _FORMAT:
            raise ValueError(f"format is {saved['format']!r}, this version reads {_FORMAT}")
        experts = {entry["name"]: entry["fingerprint"] for entry in saved["experts"]}
        if not all(isinstance(text, str) for text in (*experts, *experts.values())):
            raise ValueError("an expert's name or fingerprint is no text")
        if not isinstance(saved["frozen"], bool):
            raise ValueError(f"frozen is {saved['frozen']!r}")
        return _Saved(FusionConfig(**saved["config"]), saved["frozen"], _PRECISIONS[saved["dtype"]], experts)
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path} is not the configuration of a FusionTransformer ({type(error).__name__}: {error}); expected what "
            "save_pretrained wrote"
        ) from error


def _check_names(names: Sequence[str]) -> None:
    if not names:
        raise BarkError("a FusionTransformer of no experts has nothing to mix; name at least one encoder")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise BarkError(f"expert '{twice}' is named {names.count(twice)} times; name each encoder once")


def _own(expert: Expert, frozen: bool, device: torch.device, dtype: torch.dtype) -> Expert:
    """The expert itself where a model will not change it, a copy where it would."""
    if not frozen:
        return copy.deepcopy(expert)
    here = expert.device.type == device.type and device.index in (None, expert.device.index)
    return expert if here and expert.dtype == dtype and not expert.learns else expert.frozen_copy()


def _resolved(config: FusionConfig, experts: Sequence[Expert]) -> FusionConfig:
    """The configuration with every None decided, checked against the experts."""
    several = len(experts) > 1
    hears = any(expert.modality == "audio" for expert in experts)
    grid: Grid = config.grid or ("tokens" if not several else "time" if hears else "words")
    width = max(expert.width for expert in experts) if config.width is None else config.width
    if grid not in typing.get_args(Grid) or config.gate not in typing.get_args(GateKind):
        raise BarkError(
            f"grid is {grid!r} and gate {config.gate!r}, expected one of {', '.join(typing.get_args(Grid))} and one of "
            f"{', '.join(typing.get_args(GateKind))}"
        )
    if grid == "tokens" and several:
        raise BarkError(
            f"{len(experts)} experts have no tokens in common; set grid to words, characters or time, or None"
        )
    if not (width >= 1 and 0 < config.temperature < math.inf and 0 < config.cells_per_second < math.inf):
        raise BarkError(
            f"width is {width}, temperature {config.temperature}, cells_per_second {config.cells_per_second}; "
            "all must be above 0 and finite"
        )
    if config.top_k is not None and not 1 <= config.top_k <= len(experts):
        raise BarkError(f"top_k is {config.top_k}, expected 1 to the number of experts, {len(experts)}")
    normalise = several if config.normalise is None else config.normalise
    return dataclasses.replace(config, grid=grid, width=width, normalise=normalise)


def _projection(from_width: int, to_width: int, generator: torch.Generator) -> nn.Linear:
    """The identity where widths agree, so that training starts from the experts as they are; else an isometry."""
    linear: nn.Linear = nn.utils.skip_init(nn.Linear, from_width, to_width)
    with torch.no_grad():
        linear.bias.zero_()
        if from_width == to_width:
            nn.init.eye_(linear.weight)
        else:
            nn.init.orthogonal_(linear.weight, generator=generator)
    return linear


def _write_whole(path: Path, content: bytes) -> None:
    part = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        part.write_bytes(content)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
