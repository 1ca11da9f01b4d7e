"""A voice says a text once, to be heard; a recording becomes a voice. On the run's engine where one is at hand.

An engine that a run has in this process, of the same checkpoint, is lent: calls of one engine take turns by themselves,
so an audition waits for the batch under way, and the run waits for the audition. Where there is none, one is loaded, on
the same device, kept for the next audition, and let go after minutes in which nobody asked.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bark_infinity.error_handling import BarkError
from bark_infinity.requests import RenderRequest
from bark_infinity.voices.history import VoiceHistory
from experiments.cloning import clone_voice, require_recording
from experiments.events import Clip

if TYPE_CHECKING:
    from bark_infinity.engine import BarkEngine

logger = logging.getLogger(__name__)

MICRO = "micro"
SEED = 7  # the same for all voices, so that differences are the voices' own
TEXT = "I am a small voice, and this is how I sound."
REST_S = 180.0  # without an audition; then the engine of its own is let go

_MIB = 2**20

Lender = Callable[[], "BarkEngine | None"]


def _nobody() -> BarkEngine | None:
    return None


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
    """Speaks one text at a time, whichever thread asks.

    Args:
        lend: The engine of the run that is shown, where it has one in this process; asked each time.
        device: Where an engine of its own runs; asked when one is loaded.
        rest_s: How long an engine of its own is kept without work.
        say: Told in a sentence when an engine is loaded, and what it costs; on the thread that asked.
    """

    def __init__(
        self,
        lend: Lender = _nobody,
        device: Callable[[], str] = lambda: "auto",
        rest_s: float = REST_S,
        say: Callable[[str], None] = lambda _said: None,
    ) -> None:
        self._lend, self._device, self._rest_s, self._say = lend, device, rest_s, say
        self._turn = threading.Lock()
        self._engine: BarkEngine | None = None
        self._loaded = ""
        self._bed_time: threading.Timer | None = None

    @property
    def resting(self) -> bool:
        """Whether no engine of its own is loaded."""
        return self._engine is None

    def speak(self, voice: VoiceHistory, text: str, run_checkpoint: str = MICRO) -> Clip:
        """The text in that voice.

        Raises:
            BarkError: When there is nothing to say, no model for the voice, or nothing came of it.
        """
        if not text.strip():
            raise BarkError("there is nothing to say; type a text for the audition")
        wanted = checkpoint_for(voice, run_checkpoint)
        with self._engine_for(wanted) as engine:
            voice.require_space(engine.space, wanted)
            [made] = engine.render([RenderRequest(text, voice=voice, seed=SEED)])
        if made.audio is None or not made.audio.size:
            raise BarkError(f"voice {voice.label} said nothing: {made.reason or made.stopped}; try another text")
        return Clip(made.audio, made.sample_rate)

    def clone(self, recording: Clip, text: str, name: str, run_checkpoint: str = MICRO) -> VoiceHistory:
        """A recording as a voice of the run's checkpoint; see `clone_voice`.

        Raises:
            BarkError: When nothing comes of it, and why.
        """
        require_recording(recording, text)
        with self._engine_for(run_checkpoint or MICRO) as engine:
            return clone_voice(engine, recording, text, name)

    @contextmanager
    def _engine_for(self, wanted: str) -> Iterator[BarkEngine]:
        with self._turn:
            lent = self._lend()
            if lent is not None and lent.source == wanted:
                self._close()
                try:
                    yield lent
                finally:
                    if self._lend() is not lent:  # its run let go of it meanwhile, and this call has loaded it again
                        lent.close()
                return
            if self._engine is None or self._loaded != wanted:
                from bark_infinity.engine import BarkEngine
                from experiments.trusted_engines import require_trusted

                require_trusted(wanted, "the run that is open")
                self._close()
                self._engine, self._loaded = BarkEngine.load(wanted, self._device()), wanted
                self._say(
                    f"{wanted} is loaded for auditions ({self._engine.plan.weight_bytes / _MIB:.0f} MB more); "
                    f"it is let go after {self._rest_s / 60:.0f} minutes without one"
                )
            if self._bed_time is not None:
                self._bed_time.cancel()
            try:
                yield self._engine
            finally:
                self._bed_time = threading.Timer(self._rest_s, self.close)
                self._bed_time.daemon = True
                self._bed_time.start()

    def close(self) -> None:
        """Gives the memory back."""
        with self._turn:
            self._close()

    def _close(self) -> None:
        if self._bed_time is not None:
            self._bed_time.cancel()
            self._bed_time = None
        if self._engine is not None:
            self._engine.close()
            self._engine = None
            logger.info("the engine of auditions is let go")
