"""A clip as a picture: spectrogram on the mel scale and pitch, made by numpy on a worker thread.

The picture always has the same size, because a texture is made once and rewritten: its height spans 0 to `TOP_HZ` on
the mel scale, its width `SPAN_S` seconds of the clip or, for longer clips, all of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.events import Clip
from fusion.features.pitch import track_pitch

Float32Array = NDArray[np.float32]

WIDTH, HEIGHT = 640, 160  # pixels of every picture
TOP_HZ = 8_000.0
SPAN_S = 4.0  # shorter clips leave the rest of the picture empty, so that lengths can be compared
RANGE_DB = 70.0  # below the loudest point everything is ground
_VOICED = 0.5  # periodicity of a frame that has a pitch, as in fusion.features.spectra
_QUIET_DB = 40.0  # frames so far below the loudest have no pitch
_LONGEST_S = 600.0  # of a clip that is looked at


@dataclass(frozen=True, eq=False)
class SoundPicture:
    """What a clip looks like.

    Attributes:
        levels: (HEIGHT, WIDTH) float32 in [0, 1], the top row is `TOP_HZ`; 0 is silence.
        span_s: Seconds that the width stands for.
        duration_s: Of the clip.
        pitch_at_s: (V,) times of voiced frames.
        pitch_hz: (V,)
    """

    levels: Float32Array
    span_s: float
    duration_s: float
    pitch_at_s: Float32Array
    pitch_hz: Float32Array

    @property
    def median_hz(self) -> float | None:
        """Of the voiced frames; None when there is none."""
        return float(np.median(self.pitch_hz)) if self.pitch_hz.size else None


def height_of(hz: float) -> float:
    """Where a frequency is in the picture, from 0 at the bottom to 1 at the top (mel scale of O'Shaughnessy 1987)."""
    return float(np.log1p(hz / 700) / np.log1p(TOP_HZ / 700))


def draw_sound(clip: Clip) -> SoundPicture:
    """Draws a clip; silence, one sample and samples that are no numbers included. No thread but a worker's."""
    audio = np.asarray(clip.audio, np.float32).reshape(-1)[: int(_LONGEST_S * clip.sample_rate)]
    audio = np.clip(np.nan_to_num(audio, nan=0.0, posinf=1.0, neginf=-1.0), -8, 8)  # beyond, squares lose all else
    duration = audio.size / clip.sample_rate
    span = max(duration, SPAN_S)
    levels = np.zeros((HEIGHT, WIDTH), np.float32)
    if not audio.size or not np.any(audio):
        empty = np.zeros(0, np.float32)
        return SoundPicture(levels, span, duration, empty, empty)
    columns = max(1, min(WIDTH, round(WIDTH * duration / span)))
    levels[:, :columns] = _levels(audio, clip.sample_rate, columns)
    at, hz = _pitch(audio, clip.sample_rate)
    return SoundPicture(levels, span, duration, at, hz)


def coloured(levels: Float32Array, ramp: NDArray[np.float32]) -> Float32Array:
    """(H, W, 4) colours of levels, for a texture.

    Args:
        levels: (H, W) in [0, 1].
        ramp: (N, 4) colours from silence to the loudest, 0 to 1 each.
    """
    places = np.clip(np.nan_to_num(levels) * (len(ramp) - 1), 0, len(ramp) - 1).astype(np.int64)
    return np.ascontiguousarray(ramp[places], np.float32)


def _levels(audio: Float32Array, rate: int, columns: int) -> Float32Array:
    """(HEIGHT, columns) loudness in [0, 1]."""
    window = min(1024, 1 << max(5, (rate // 24).bit_length() - 1))
    centres = np.linspace(0, audio.size - 1, columns).astype(np.int64)
    padded = np.pad(audio - audio.mean(), window // 2)
    taper = np.hanning(window).astype(np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(padded, window)[np.minimum(centres, padded.size - window)]
    power = np.square(np.abs(np.fft.rfft(frames * taper, axis=1)), dtype=np.float64).T  # (bins, columns)
    edges_hz = 700 * np.expm1(np.linspace(0, 1, HEIGHT + 1) * np.log1p(TOP_HZ / 700))
    bins = edges_hz / (rate / window)
    low = np.minimum(np.floor(bins[:-1]).astype(int), len(power) - 1)
    high = np.minimum(np.maximum(np.ceil(bins[1:]).astype(int), low + 1), len(power))
    rows = np.stack([power[a:b].max(axis=0) for a, b in zip(low, high, strict=True)])
    rows[edges_hz[:-1] > rate / 2] = 0  # the clip holds nothing there
    decibels = 10 * np.log10(np.maximum(rows, 1e-12) / max(rows.max(), 1e-12))
    levels: Float32Array = np.clip(1 + decibels / RANGE_DB, 0, 1)[::-1].astype(np.float32)
    return levels


def _pitch(audio: Float32Array, rate: int) -> tuple[Float32Array, Float32Array]:
    """Times and pitch of voiced frames."""
    hop = max(rate // 46, 1)  # just longer than the longest period, as `track_pitch` needs
    count = audio.size // hop + 1
    if rate < 2_000 or audio.size < 4 * hop:
        return np.zeros(0, np.float32), np.zeros(0, np.float32)
    signal = audio - audio.mean()
    track = track_pitch(signal, rate, hop, np.arange(count))
    padded = np.pad(np.square(signal), (hop, 2 * hop))
    sums = np.concatenate([[0.0], np.cumsum(padded, dtype=np.float64)])
    begins = np.arange(count) * hop
    level = 10 * np.log10(np.maximum((sums[begins + 2 * hop] - sums[begins]) / (2 * hop), 1e-12))
    voiced = (track.periodicity > _VOICED) & (level > level.max() - _QUIET_DB)
    return (np.arange(count)[voiced] * hop / rate).astype(np.float32), track.f0_hz[voiced].astype(np.float32)
