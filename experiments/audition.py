"""A voice says a text once, to be heard: one engine, loaded when it is first needed and kept for the next audition."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from bark_infinity.error_handling import BarkError
from bark_infinity.requests import RenderRequest
from bark_infinity.voices.history import VoiceHistory
from experiments.events import Clip

if TYPE_CHECKING:
    from bark_infinity.engine import BarkEngine

MICRO = "micro"
SEED = 7  # the same for all voices, so that differences are the voices' own
TEXT = "I am a small voice, and this is how I sound."
WHY_NO_CLONING = (
    "Cloning needs semantic tokens of a recording. Bark's checkpoints have no encoder for those: their codec gives "
    "only the acoustic codes. A run with the recipe towards-a-recording searches for a voice like it instead."
)


def checkpoint_for(voice: VoiceHistory, run_checkpoint: str) -> str:
    """The checkpoint that can speak with a voice: the embedded one for its own voices, else the run's.

    Raises:
        BarkError: When the run's cannot either.
    """
    if voice.family == MICRO:
        return MICRO
    if run_checkpoint in ("", MICRO):
        raise BarkError(
            f"voice {voice.label} is for {voice.family or 'other'} checkpoints, and no run with such a model is open; "
            "open or start one with model.checkpoint set, such as suno/bark-small"
        )
    return run_checkpoint


class Audition:
    """Speaks one text at a time, whichever thread asks."""

    def __init__(self, device: str = "auto") -> None:
        self._device = device
        self._turn = threading.Lock()
        self._engine: BarkEngine | None = None
        self._loaded = ""

    def speak(self, voice: VoiceHistory, text: str, run_checkpoint: str = MICRO) -> Clip:
        """The text in that voice.

        Raises:
            BarkError: When there is nothing to say, no model for the voice, or nothing came of it.
        """
        if not text.strip():
            raise BarkError("there is nothing to say; type a text for the audition")
        wanted = checkpoint_for(voice, run_checkpoint)
        with self._turn:
            if self._engine is None or self._loaded != wanted:
                from bark_infinity.engine import BarkEngine
                from experiments.trusted_engines import require_trusted

                require_trusted(wanted, "the run that is open")
                self._close()
                self._engine, self._loaded = BarkEngine.load(wanted, self._device), wanted
            voice.require_space(self._engine.space, wanted)
            [made] = self._engine.render([RenderRequest(text, voice=voice, seed=SEED)])
        if made.audio is None or not made.audio.size:
            raise BarkError(f"voice {voice.label} said nothing: {made.reason or made.stopped}; try another text")
        return Clip(made.audio, made.sample_rate)

    def close(self) -> None:
        """Gives the memory back."""
        with self._turn:
            self._close()

    def _close(self) -> None:
        if self._engine is not None:
            self._engine.close()
            self._engine = None
