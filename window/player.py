"""Hearing clips: through the sound card where there is one, else saved as files whose place is said.

`sounddevice` is an extra, needs PortAudio, and PortAudio needs a device; any of the three may be missing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bark_infinity.audio import safe_stem, write_audio
from bark_infinity.error_handling import BarkError
from experiments.events import Clip

LOUDNESS_DB = -20.0  # dBFS of the loud half of a clip, when loudness is matched
PEAK = 0.97


@dataclass(frozen=True)
class PlayResult:
    """What became of a wish to hear something.

    Attributes:
        outcome: ``playing``, ``saved`` as a file, or ``failed``.
        sentence: For the status bar.
        path: Of the file, where one was saved.
    """

    outcome: Literal["playing", "saved", "failed"]
    sentence: str
    path: Path | None = None


def matched(clip: Clip) -> NDArray[np.float32]:
    """The clip's samples at the loudness that all compared clips have, so that nobody prefers the louder one.

    The level is the mean square over the louder half of 50 ms frames, so that pauses do not count; the gain is limited
    where the peak would clip.
    """
    audio = np.nan_to_num(np.asarray(clip.audio, np.float32).ravel())  # (S,)
    frame = max(1, clip.sample_rate // 20)
    whole = audio[: len(audio) // frame * frame].reshape(-1, frame)
    if not whole.size:
        return audio
    power = np.sort((whole.astype(np.float64) ** 2).mean(axis=1))
    level = float(power[len(power) // 2 :].mean())
    peak = float(np.abs(audio).max())
    if level <= 1e-10 or peak <= 0:
        return audio
    gain = min(10 ** (LOUDNESS_DB / 20) / np.sqrt(level), PEAK / peak)
    loud: NDArray[np.float32] = (audio * gain).astype(np.float32)
    return loud


def _sound() -> Any:
    import sounddevice  # imported where sound is made: PortAudio may be missing, and opening devices takes time

    return sounddevice


class Player:
    """Plays one clip at a time.

    Args:
        folder: Where clips are saved that cannot be played.
        backend: Gives the module that plays; raises where there is none.
        clock: Seconds that only go up.

    Attributes:
        silent: Why nothing can be played; empty where it can.
    """

    def __init__(
        self,
        folder: Callable[[], Path],
        backend: Callable[[], Any] = _sound,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._folder, self._clock = folder, clock
        self._backend: Any = None
        self.silent = ""
        self._began, self._lasts = 0.0, 0.0
        try:
            self._backend = backend()
            if not any(device["max_output_channels"] > 0 for device in self._backend.query_devices()):
                self.silent = "no sound device"
        except ImportError:
            self.silent = "sounddevice is not installed (pip install sounddevice)"
        except Exception as error:  # PortAudio's own, and OSError where its library is missing
            self.silent = f"no sound: {error}"

    def play(self, clip: Clip, name: str, *, match: bool = False) -> PlayResult:
        """Plays a clip, or saves it.

        Args:
            clip: What to hear.
            name: For the file, such as ``run-birth-17``.
            match: Whether at the common loudness.
        """
        self.stop()
        audio = matched(clip) if match else np.asarray(clip.audio, np.float32)
        if not len(audio):
            return PlayResult("failed", f"{name} has no sound")
        if not self.silent:
            try:
                self._backend.play(audio, clip.sample_rate)
            except Exception as error:
                self.silent = f"the sound device failed: {error}"
            else:
                self._began, self._lasts = self._clock(), len(audio) / clip.sample_rate
                return PlayResult("playing", f"playing {name}")
        return self.save(clip, name, why=self.silent)

    def save(self, clip: Clip, name: str, *, why: str = "") -> PlayResult:
        """Writes a clip as WAV, in place of one of the same name."""
        path = self._folder() / "clips" / f"{safe_stem(name)}.wav"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_audio(path, np.asarray(clip.audio, np.float32), clip.sample_rate, overwrite=True)
        except (OSError, BarkError) as error:
            return PlayResult("failed", f"{name} could not be saved: {error}")
        because = f"{why}: " if why else ""
        return PlayResult("saved", f"{because}saved as {path}", path)

    def stop(self) -> None:
        """Quiet."""
        if self._lasts and self._backend is not None:
            try:
                self._backend.stop()
            except Exception as error:
                self.silent = f"the sound device failed: {error}"
        self._lasts = 0.0

    def progress(self) -> float | None:
        """How far the clip is, from 0 to 1; None when it is quiet."""
        if not self._lasts:
            return None
        share = (self._clock() - self._began) / self._lasts
        if share >= 1:
            self._lasts = 0.0
            return None
        return share
