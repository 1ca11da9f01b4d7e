"""Playing a clip in a terminal: through sounddevice where it and a device exist, else the system's own player.

Nothing is found out by failing in the middle: `find_player` looks once, and says what will play.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bark_infinity.error_handling import BarkError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_COMMANDS = (("afplay",), ("pw-play",), ("paplay",), ("aplay", "-q"))
_EVEN_RMS = 0.08  # -22 dB, where speech rarely clips
_LONGEST_S = 120.0


@dataclass(frozen=True)
class Player:
    """Something that plays a .wav file.

    Attributes:
        name: For people.
        command: Of the system's player; None plays through sounddevice.
    """

    name: str
    command: tuple[str, ...] | None = None

    def play(self, path: Path) -> None:
        """Plays to the end; Ctrl-C stops the clip.

        Raises:
            BarkError: When it cannot be played.
        """
        if self.command is None:
            self._through_device(path)
            return
        try:
            done = subprocess.run(
                [*self.command, str(path.absolute())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                timeout=_LONGEST_S,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise BarkError(f"{self.name} cannot play {path}: {error}; play the file by hand") from error
        if done.returncode:
            told = done.stderr.decode("utf-8", "replace").strip().splitlines()
            raise BarkError(f"{self.name} cannot play {path}: {told[-1] if told else 'it failed'}; play it by hand")

    def _through_device(self, path: Path) -> None:
        import sounddevice

        from bark_infinity.audio import read_audio

        try:
            sounddevice.play(*read_audio(path))
            sounddevice.wait()
        except sounddevice.PortAudioError as error:
            raise BarkError(f"the audio device cannot play {path}: {error}; play the file by hand") from error
        except KeyboardInterrupt:
            sounddevice.stop()
            raise


def find_player() -> Player | None:
    """What can play here; None when nothing can, as over ssh."""
    try:
        import sounddevice

        device = sounddevice.query_devices(kind="output")
    except Exception:  # not installed, no PortAudio library, no device: sounddevice raises three kinds
        device = None
    if device is not None:
        return Player(f"{device['name']} (sounddevice)")
    if sys.platform == "linux" and not Path("/proc/asound/pcm").exists() and not _has_sound_server():
        return None  # a player would only complain
    for command in _COMMANDS:
        if shutil.which(command[0]):
            return Player(command[0], command)
    return None


def evened(audio: NDArray[np.floating]) -> NDArray[np.float32]:
    """A clip (S,) as loud as any other, so that the louder of two is not taken for the better; never clipped."""
    import numpy as np

    samples = np.asarray(audio, np.float32)
    rms, peak = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))), float(np.abs(samples).max(initial=0.0))
    if rms == 0.0:
        return samples
    even: NDArray[np.float32] = samples * np.float32(min(_EVEN_RMS / rms, 0.99 / peak))
    return even


def _has_sound_server() -> bool:
    import os

    runtime = os.environ.get("XDG_RUNTIME_DIR")
    folder = Path(runtime) if runtime else None
    there = folder is not None and ((folder / "pulse" / "native").exists() or (folder / "pipewire-0").exists())
    return there or bool(os.environ.get("PULSE_SERVER"))
