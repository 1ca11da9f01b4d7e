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

import dataclasses
import json
import logging
import os
import re
import typing
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from bark_infinity.audio import checked_mono, resample
from bark_infinity.checkpoints.sources import read_json, require_file
from bark_infinity.error_handling import BarkError, CheckpointError
from fusion.alignment import (
    Float64Array,
    Grid,
    character_spans,
    overlap_weights,
    stretched,
    time_cells,
    word_spans,
)
from fusion.embedding_cache import EmbeddingCache
from fusion.experts import Expert, Modality, Window, load_expert
from fusion.gate import Gate, GateKind, load_balance_loss

logger = logging.getLogger(__name__)

CONFIG_FILE, WEIGHTS_FILE = "fusion_config.json", "fusion.safetensors"
_FORMAT = 1
_ROWS_ON_ACCELERATOR = 32
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")

Audio = NDArray[np.floating]


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
class FusionInputs(Mapping[str, Any]):
    """What `FusionTransformer.encode` makes of passages, and the model takes as ``model(**inputs)``.

    Attributes:
        readings: For each expert, for each passage, its windows; none where the passage has nothing for it.
        cells: For each passage the (T, 2) cells of the grid, in characters or seconds; None on the grid ``tokens``,
            where the expert's own positions are the cells.
        extents: For each passage its length in characters and in seconds, 0 where it has none.
    """

    readings: tuple[tuple[tuple[Window, ...], ...], ...]
    cells: tuple[Float64Array | None, ...]
    extents: tuple[tuple[float, float], ...]

    def __getitem__(self, name: str) -> Any:
        if name not in self:
            raise KeyError(name)
        return getattr(self, name)

    def __iter__(self) -> Iterator[str]:
        return (field.name for field in dataclasses.fields(self))

    def __len__(self) -> int:
        return len(dataclasses.fields(self))

    def __contains__(self, name: object) -> bool:
        return any(name == own for own in self)

    @property
    def rows(self) -> int:
        """B, passages."""
        return len(self.cells)


@dataclass(frozen=True, eq=False)
class AlignedStates:
    """All experts' states on the common grid, before anything that learns; worth keeping when experts are frozen.

    Attributes:
        states: For each expert (B, T, D_e); 0 where it has no state.
        available: (B, T, E) bool, where it has.
        spans: (B, T, 2) float64 cells in characters or seconds; 0 beyond a passage's end.
    """

    states: tuple[Tensor, ...]
    available: Tensor
    spans: Tensor

    def rows(self, index: Sequence[int] | slice) -> AlignedStates:
        """The same for some of the passages, such as a training batch."""
        keep = torch.arange(len(self.available))[index if isinstance(index, slice) else list(index)]
        keep = keep.to(self.available.device)
        return AlignedStates(tuple(s[keep] for s in self.states), self.available[keep], self.spans[keep.cpu()])


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
        experts: Names for `fusion.experts.load_expert`, or experts that are loaded already (several models may share
            one). Each name once.
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
        experts: Sequence[str | Path | Expert],
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
        if isinstance(experts, str | Path | Expert):
            experts = [experts]
        _check_names([e.name if isinstance(e, Expert) else str(e) for e in experts])
        loaded = [e if isinstance(e, Expert) else load_expert(e, offline=offline) for e in experts]
        self.experts = nn.ModuleList(loaded)
        self.config = _resolved(config or FusionConfig(), loaded)
        self.frozen, self.cache, self.batch_rows = frozen, cache, batch_rows
        generator = seed if isinstance(seed, torch.Generator) else torch.Generator().manual_seed(seed)
        width = self.width
        self.projections = nn.ModuleList(_projection(expert.width, width, generator) for expert in loaded)
        self.gate = Gate(len(loaded), width, self.config.gate, self.config.top_k, self.config.temperature, generator)
        for expert in loaded:
            expert.requires_grad_(not frozen)
        self.to(device=device, dtype=dtype)
        self.eval()

    @property
    def width(self) -> int:
        """D."""
        assert self.config.width is not None, "resolved on construction"
        return self.config.width

    @property
    def expert_names(self) -> tuple[str, ...]:
        """E names."""
        return tuple(expert.name for expert in self._experts)

    @property
    def _experts(self) -> tuple[Expert, ...]:
        return tuple(typing.cast(Expert, expert) for expert in self.experts)

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
        texts: list[str | None] = [text] if isinstance(text, str) else list(text or ())
        clips: list[Audio | None] = [audio] if isinstance(audio, np.ndarray) else list(audio or ())
        rows = max(len(texts), len(clips))
        texts, clips = texts or [None] * rows, clips or [None] * rows
        if not rows or len(texts) != len(clips):
            raise BarkError(
                f"there are {len(texts)} texts and {len(clips)} clips, expected at least one, and as many of both; "
                "put None where a passage has no text or no clip"
            )
        heard = _resampled(clips, sample_rate, {expert.sample_rate for expert in self._experts} - {None})
        contents: list[dict[Any, Any]] = []
        extents: list[tuple[float, float]] = []
        for row, passage in enumerate(texts):
            contents.append({"text": _readable(passage, row), **heard[row]})
            duration_s = heard[row]["duration_s"] if heard[row] else 0.0
            extents.append((float(len(passage or "")), duration_s))
        cells = tuple(
            self._cells(content, extent[1], row)
            for row, (content, extent) in enumerate(zip(contents, extents, strict=True))
        )
        readings = tuple(tuple(_windows(expert, content) for content in contents) for expert in self._experts)
        for row in range(rows):
            if not any(reading[row] for reading in readings):
                raise BarkError(
                    f"passage {row} has nothing that any of the experts {', '.join(self.expert_names)} reads; "
                    "give a text to readers of text, a clip to listeners"
                )
        return FusionInputs(readings, cells, tuple(extents))

    def forward(
        self,
        readings: Sequence[Sequence[Sequence[Window]]],
        cells: Sequence[Float64Array | None],
        extents: Sequence[tuple[float, float]],
    ) -> FusionOutput:
        """Reads and mixes; takes what `encode` gives: ``model(**inputs)``."""
        return self.mix(self.align(readings, cells, extents))

    def align(
        self,
        readings: Sequence[Sequence[Sequence[Window]]],
        cells: Sequence[Float64Array | None],
        extents: Sequence[tuple[float, float]],
    ) -> AlignedStates:
        """Lets the experts read, and brings their states onto the grid: ``model.align(**inputs)``.

        With frozen experts the result has no gradient, depends on nothing that learns, and can be kept for training.
        """
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            placed = [
                [
                    self._on_grid(expert, windows, states, cells[row], extents[row])
                    for row, (windows, states) in enumerate(zip(reading, self._read(expert, reading), strict=True))
                ]
                for expert, reading in zip(self._experts, readings, strict=True)
            ]
            own = [_own_cells(placed[0][row].spans, cell) for row, cell in enumerate(cells)]
            length = max(len(cell) for cell in own)
            states = tuple(
                torch.stack([functional.pad(p.states, (0, 0, 0, length - len(p.states))) for p in rows])
                for rows in placed
            )
            available = torch.stack(
                [
                    torch.stack([functional.pad(p.covered, (0, length - len(p.covered))) for p in rows])
                    for rows in placed
                ],
                dim=-1,
            )
            spans = torch.zeros((len(own), length, 2), dtype=torch.float64)
            for row, cell in enumerate(own):
                spans[row, : len(cell)] = torch.from_numpy(cell)
        return AlignedStates(states, available.to(self.device), spans)

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
        mask = available.any(dim=-1)
        mixed = (routing.weights.to(stacked.dtype)[..., None] * stacked).sum(dim=2)  # (B, T, D)
        count = mask.sum(dim=1, keepdim=True).clamp(min=1)
        return FusionOutput(
            last_hidden_state=mixed,
            mask=mask,
            pooled=mixed.sum(dim=1) / count,
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
                {"name": e.name, "modality": e.modality, "width": e.width, "fingerprint": e.fingerprint}
                for e in self._experts
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
            device: As for the constructor; likewise the rest.
            dtype: None takes the precision it was saved in.
            cache: See the constructor.
            batch_rows: See the constructor.
            offline: See the constructor.

        Raises:
            CheckpointError: When files are missing or damaged, or an expert is gone or no longer the same.
        """
        folder = Path(directory)
        saved = read_json(folder / CONFIG_FILE)
        config, entries, precision = _checked(saved, folder / CONFIG_FILE)
        experts: list[Expert] = []
        for entry in entries:
            source = (moved or {}).get(entry["name"], entry["name"])
            expert = source if isinstance(source, Expert) else load_expert(source, offline=offline)
            if expert.fingerprint != entry["fingerprint"]:
                raise CheckpointError(
                    f"expert '{entry['name']}' of {folder} is not the one it was learned with: its weights, "
                    f"configuration or tokenizer hash to {expert.fingerprint[:12]}, expected "
                    f"{entry['fingerprint'][:12]}; get that version again, or learn anew"
                )
            expert.name = entry["name"]
            experts.append(expert)
        model = cls(experts, config, frozen=bool(saved["frozen"]), cache=cache, batch_rows=batch_rows)
        model._take(folder / WEIGHTS_FILE)
        return model.to(device=device, dtype=dtype or precision)

    def _learned(self) -> dict[str, Tensor]:
        """Everything that `save_pretrained` writes: all parameters but those of frozen experts."""
        state = self.state_dict()
        return {
            name: tensor.detach().cpu().contiguous()
            for name, tensor in state.items()
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

    def _cells(self, content: Mapping[str, Any], duration_s: float, row: int) -> Float64Array | None:
        grid, text = self.config.grid, content["text"]
        if grid == "tokens":
            return None
        if grid == "time":
            if not duration_s:
                raise BarkError(f"passage {row} has no clip, and the grid is time; give audio, or set grid='words'")
            return time_cells(duration_s, self.config.cells_per_second)
        if text is None:
            raise BarkError(f"passage {row} has no text, and the grid is {grid}; give text, or set grid='time'")
        return word_spans(text) if grid == "words" else character_spans(text)

    def _read(self, expert: Expert, reading: Sequence[Sequence[Window]]) -> list[Tensor]:
        """For each passage, the states of all its windows one after the other, (T, D_e)."""
        windows = [window for passage in reading for window in passage]
        keys = [expert.cache_key(window) for window in windows] if self.cache and self.frozen else []
        known = {key: states for key in set(keys) if self.cache and (states := self.cache.get(key)) is not None}
        asked = {key: window for key, window in zip(keys, windows, strict=True) if key not in known} if keys else {}
        most = self.batch_rows or (1 if self.device.type == "cpu" else _ROWS_ON_ACCELERATOR)
        if keys and self.cache:
            for key, states in zip(asked, expert.read(list(asked.values()), most), strict=True):
                self.cache.put(key, states)
                known[key] = states
            answers = iter([known[key].to(expert.device) for key in keys])
        else:
            answers = iter(expert.read(windows, most))
        empty = torch.zeros((0, expert.width), device=expert.device, dtype=expert.dtype)
        return [torch.cat([empty, *(next(answers) for _ in passage)]) for passage in reading]

    def _on_grid(
        self,
        expert: Expert,
        windows: Sequence[Window],
        states: Tensor,
        cells: Float64Array | None,
        extent: tuple[float, float],
    ) -> _Placed:
        spans = np.concatenate([np.zeros((0, 2)), *(window.spans for window in windows)])
        if cells is None:
            return _Placed(states, torch.ones(len(states), dtype=torch.bool, device=states.device), spans)
        if len(spans):
            grid_modality = 1 if self.config.grid == "time" else 0
            own_modality = 0 if expert.modality == "text" else 1
            if grid_modality != own_modality:
                spans = stretched(spans, extent[own_modality], extent[grid_modality])
        weights = overlap_weights(cells, spans)
        covered = torch.from_numpy(weights.any(axis=1)).to(states.device)
        mean = torch.from_numpy(weights).to(states.device, torch.float32) @ states.float()
        return _Placed(mean.to(states.dtype), covered, spans)


@dataclass(frozen=True, eq=False)
class _Placed:
    """One expert's states of one passage on the grid: (T, D_e) states, (T,) where there are any, own spans."""

    states: Tensor
    covered: Tensor
    spans: Float64Array


def _own_cells(spans: Float64Array, cells: Float64Array | None) -> Float64Array:
    return spans if cells is None else cells


def _check_names(names: Sequence[str]) -> None:
    if not names:
        raise BarkError("a FusionTransformer of no experts has nothing to mix; name at least one encoder")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise BarkError(f"expert '{twice[0]}' is named {names.count(twice[0])} times; name each encoder once")


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
    if not (width >= 1 and config.temperature > 0 and config.cells_per_second > 0):
        raise BarkError(
            f"width is {width}, temperature {config.temperature}, cells_per_second {config.cells_per_second}; "
            "all must be above 0"
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


def _readable(text: str | None, row: int) -> str | None:
    if text is None:
        return None
    # Of equal length, so that offsets hold; tokenizers refuse halves of surrogate pairs.
    readable = _LONE_SURROGATE.sub("\ufffd", text)
    if not len(character_spans(readable)):
        raise BarkError(f"text {row} is {text[:40]!r}, which has nothing to read; give None where there is no text")
    return readable


def _resampled(clips: Sequence[Audio | None], sample_rate: int | None, rates: set[int | None]) -> list[dict[Any, Any]]:
    """For each clip its samples by rate, and ``duration_s``."""
    found: list[dict[Any, Any]] = []
    for row, clip in enumerate(clips):
        if clip is None:
            found.append({})
            continue
        if sample_rate is None:
            raise BarkError("audio was given without its rate; pass sample_rate in Hz")
        samples = checked_mono(clip, f"clip {row}")
        at_rates = {rate: resample(samples, sample_rate, rate) for rate in rates if rate is not None}
        found.append({"duration_s": len(samples) / sample_rate, **at_rates})
    return found


def _windows(expert: Expert, content: Mapping[Any, Any]) -> tuple[Window, ...]:
    own = content.get("text" if expert.modality == "text" else expert.sample_rate)
    return () if own is None else expert.windows(own)


def _checked(saved: Mapping[str, Any], path: Path) -> tuple[FusionConfig, list[dict[str, Any]], torch.dtype]:
    """Configuration, experts and precision out of a file of foreign origin."""
    try:
        if saved["format"] != _FORMAT:
            raise ValueError(f"format is {saved['format']!r}, this version reads {_FORMAT}")
        config = FusionConfig(**saved["config"])
        entries = [dict(entry) for entry in saved["experts"]]
        if not entries or not isinstance(saved["frozen"], bool):
            raise ValueError("it names no experts, or does not say whether they are frozen")
        for entry in entries:
            if not all(isinstance(entry[key], str) for key in ("name", "fingerprint")):
                raise ValueError("an expert has no name or fingerprint")
        precision = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[saved["dtype"]]
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path} is not the configuration of a FusionTransformer ({type(error).__name__}: {error}); expected what "
            "save_pretrained wrote"
        ) from error
    return config, entries, precision


def _write_whole(path: Path, content: bytes) -> None:
    part = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        part.write_bytes(content)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


__all__ = ["AlignedStates", "FusionConfig", "FusionInputs", "FusionOutput", "FusionTransformer", "Modality"]
