"""Passages, texts and the clips that say them, made ready for experts: windows for each, and the cells of the grid."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bark_infinity.audio import checked_mono, resample
from bark_infinity.error_handling import BarkError
from fusion.transformer.alignment import Float64Array, Grid, character_spans, time_cells, word_spans
from fusion.transformer.experts import Expert, Window

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")

Audio = NDArray[np.floating]
Reading = tuple[Window, ...]  # what one expert reads of one passage


@dataclass(frozen=True, eq=False)
class FusionInputs(Mapping[str, Any]):
    """What `FusionTransformer.encode` makes of passages, and the model takes as ``model(**inputs)``.

    Attributes:
        readings: For each expert, for each passage, its windows; none where the passage has nothing for it.
        cells: For each passage the (T, 2) cells of the grid, in characters or seconds; None on the grid ``tokens``,
            where the expert's own positions are the cells.
        extents: For each passage its length in characters and in seconds, 0 where it has none.
    """

    readings: tuple[tuple[Reading, ...], ...]
    cells: tuple[Float64Array | None, ...]
    extents: tuple[tuple[float, float], ...]

    def __getitem__(self, name: str) -> Any:
        return vars(self)[name]

    def __iter__(self) -> Iterator[str]:
        return (field.name for field in dataclasses.fields(self))

    def __len__(self) -> int:
        return len(dataclasses.fields(self))


@dataclass(frozen=True, eq=False)
class _Passage:
    """One passage: what is written, what is heard at each rate an expert asks for, and how long both are."""

    text: str | None
    clips: Mapping[int, NDArray[np.float32]]
    duration_s: float


def prepare(
    experts: Sequence[Expert],
    grid: Grid,
    cells_per_second: float,
    text: str | Sequence[str | None] | None,
    audio: Audio | Sequence[Audio | None] | None,
    sample_rate: int | None,
) -> FusionInputs:
    """Makes passages ready; see `FusionTransformer.encode`.

    Raises:
        BarkError: When there is nothing to read, a clip holds NaN, or the grid needs what was not given.
    """
    passages = _passages(text, audio, sample_rate, {e.sample_rate for e in experts if e.sample_rate is not None})
    readings = tuple(tuple(_reading(expert, passage) for passage in passages) for expert in experts)
    for row in range(len(passages)):
        if not any(reading[row] for reading in readings):
            raise BarkError(
                f"passage {row} has nothing that the experts {', '.join(e.name for e in experts)} read; give a text "
                "to readers of text, a clip to listeners"
            )
    return FusionInputs(
        readings,
        tuple(_cells(passage, grid, cells_per_second, row) for row, passage in enumerate(passages)),
        tuple((float(len(passage.text or "")), passage.duration_s) for passage in passages),
    )


def _passages(
    text: str | Sequence[str | None] | None,
    audio: Audio | Sequence[Audio | None] | None,
    sample_rate: int | None,
    rates: set[int],
) -> list[_Passage]:
    texts: list[str | None] = [text] if isinstance(text, str) else list(text or ())
    clips: list[Audio | None] = [audio] if isinstance(audio, np.ndarray) else list(audio or ())
    rows = max(len(texts), len(clips))
    texts, clips = texts or [None] * rows, clips or [None] * rows
    if not rows or len(texts) != len(clips):
        raise BarkError(
            f"there are {len(texts)} texts and {len(clips)} clips, expected at least one, and as many of both; "
            "put None where a passage has no text or no clip"
        )
    return [
        _passage(passage, clip, sample_rate, rates, row)
        for row, (passage, clip) in enumerate(zip(texts, clips, strict=True))
    ]


def _passage(text: str | None, clip: Audio | None, sample_rate: int | None, rates: set[int], row: int) -> _Passage:
    if text is not None:
        # Of equal length, so that offsets hold; tokenizers refuse halves of surrogate pairs.
        text = _LONE_SURROGATE.sub("\ufffd", text)
        if not len(character_spans(text)):
            raise BarkError(f"text {row} is {text[:40]!r}, which has nothing to read; give None where there is no text")
    if clip is None:
        return _Passage(text, {}, 0.0)
    if sample_rate is None:
        raise BarkError("audio was given without its rate; pass sample_rate in Hz")
    samples = checked_mono(clip, f"clip {row}")
    heard = {rate: resample(samples, sample_rate, rate) for rate in rates}
    return _Passage(text, heard, len(samples) / sample_rate)


def _reading(expert: Expert, passage: _Passage) -> Reading:
    if expert.sample_rate is None:
        return () if passage.text is None else expert.windows(passage.text)
    samples = passage.clips.get(expert.sample_rate)
    return () if samples is None or not len(samples) else expert.windows(samples)


def _cells(passage: _Passage, grid: Grid, cells_per_second: float, row: int) -> Float64Array | None:
    if grid == "tokens":
        return None
    if grid == "time":
        if not passage.duration_s:
            raise BarkError(f"passage {row} has no clip, and the grid is time; give audio, or set grid='words'")
        return time_cells(passage.duration_s, cells_per_second)
    if passage.text is None:
        raise BarkError(f"passage {row} has no text, and the grid is {grid}; give text, or set grid='time'")
    return word_spans(passage.text) if grid == "words" else character_spans(passage.text)
