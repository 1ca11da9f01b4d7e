"""Sound inside a page: clips as data URIs, spectrograms as PNG; numpy and libsndfile, no drawing library.

Clips are Opus (about 4 KB a second) where this libsndfile has it and the rate is one of Opus's, FLAC otherwise. Chrome,
Firefox and Safari from 18.4 on play both. A PNG is three chunks around zlib, so it is written here.
"""

from __future__ import annotations

import base64
import io
import struct
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bark_infinity.audio import checked_mono

_OPUS_RATES = (8_000, 12_000, 16_000, 24_000, 48_000)  # Hz
_RANGE_DB = 70.0  # below the loudest point of a spectrogram is black
_LEVELS = 48
_RAMP = ((0.0, (9, 16, 20)), (0.35, (12, 62, 70)), (0.7, (38, 160, 148)), (1.0, (250, 240, 205)))  # share, RGB


@dataclass(frozen=True)
class Sound:
    """An encoded clip: its kind, its bytes, and how long it is."""

    mime: str
    content: bytes
    duration_s: float

    @property
    def uri(self) -> str:
        """For a ``src`` attribute."""
        return data_uri(self.mime, self.content)


def data_uri(mime: str, content: bytes) -> str:
    """Bytes as an address that needs no file."""
    return f"data:{mime};base64,{base64.b64encode(content).decode()}"


def encoded(audio: NDArray[np.floating], rate: int, *, longest_s: float) -> Sound:
    """A clip as browsers play it.

    Args:
        audio: (S,) samples, full scale 1.0.
        rate: Hz.
        longest_s: Only so much of its beginning.

    Raises:
        BarkError: When it is no audio.
    """
    import soundfile

    samples = np.clip(checked_mono(audio, "a clip"), -1, 1)[: max(1, int(longest_s * rate))]
    opus = rate in _OPUS_RATES and "OPUS" in soundfile.available_subtypes("OGG")
    stream = io.BytesIO()
    if opus:
        soundfile.write(stream, samples, rate, format="OGG", subtype="OPUS")
    else:
        soundfile.write(stream, samples, rate, format="FLAC", subtype="PCM_16")
    return Sound("audio/ogg; codecs=opus" if opus else "audio/flac", stream.getvalue(), len(samples) / rate)


# -- spectrograms -----------------------------------------------------------------------------------------------


def mel(hz: NDArray[np.floating] | float) -> NDArray[np.float64]:
    """Pitch as it is heard: 2595 log10(1 + f / 700) (O'Shaughnessy 1987)."""
    return np.asarray(2595 * np.log10(1 + np.asarray(hz, np.float64) / 700))


def spectrogram(
    audio: NDArray[np.floating], rate: int, *, width: int = 480, height: int = 96, top_hz: float = 8_000.0
) -> NDArray[np.float64]:
    """Power by time and mel pitch, in shares of the range shown.

    Returns:
        (height, width), from 0 (70 dB below the loudest) to 1; the highest pitch in row 0.
    """
    samples = checked_mono(audio, "a clip").astype(np.float64)
    size = 1 << max(6, round(np.log2(0.032 * rate)))  # 32 ms
    padded = np.pad(samples, size // 2)
    starts = np.linspace(0, len(padded) - size, width).astype(np.int64)
    frames = padded[starts[:, None] + np.arange(size)] * np.hanning(size)  # (width, size)
    power = np.abs(np.fft.rfft(frames)) ** 2
    top = min(top_hz, rate / 2)
    wanted = 700 * (10 ** (np.linspace(mel(0.0), mel(top), height) / 2595) - 1)  # Hz, of each row
    bins = np.arange(power.shape[1]) * rate / size
    rows = np.array([np.interp(wanted, bins, frame) for frame in power]).T[::-1]  # (height, width)
    loudest = float(rows.max())
    if loudest <= 1e-12:
        return np.zeros((height, width))
    level = 10 * np.log10(np.maximum(rows / loudest, 1e-12))
    return np.asarray(np.clip(1 + level / _RANGE_DB, 0, 1))


def png(shares: NDArray[np.floating]) -> bytes:
    """An image of shares (H, W) from 0 to 1, dark to light, with a palette of few colours so that it stays small."""
    height, width = shares.shape
    index = np.round(shares * (_LEVELS - 1)).astype(np.uint8)
    at = np.linspace(0, 1, _LEVELS)
    stops = [share for share, _ in _RAMP]
    palette = np.stack([np.interp(at, stops, [colour[channel] for _, colour in _RAMP]) for channel in range(3)], 1)
    lines = b"".join(b"\0" + row.tobytes() for row in index)  # filter 0 before each
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
            _chunk(b"PLTE", palette.round().astype(np.uint8).tobytes()),
            _chunk(b"IDAT", zlib.compress(lines, 9)),
            _chunk(b"IEND", b""),
        )
    )


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
