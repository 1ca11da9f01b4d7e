"""A birth's audio for commands: the clip that was kept, else its tokens through the run's codec, loaded when needed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from bark_infinity.error_handling import BarkError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bark_infinity.engine import BarkEngine
    from bark_infinity.requests import Rendering
    from experiments.lineage import Run
    from experiments.lineage.reading import LineageReader


class Ears:
    """Hears the births of one run."""

    def __init__(self, lineage: LineageReader, run: Run) -> None:
        self._lineage, self._run = lineage, run
        self._engine: BarkEngine | None = None
        self._trouble: BarkError | None = None

    def hear(self, birth: int) -> tuple[NDArray[np.float32], int]:
        """(S,) samples of a birth, and their rate in Hz.

        Raises:
            BarkError: When there is nothing to hear, or the codec cannot be loaded.
        """
        from experiments.lineage import clips
        from experiments.replay.regenerating import decode

        kept = clips.clip(self._lineage, self._run.run_id, birth)
        return kept if kept is not None else decode(self._lineage, self._run.run_id, birth, self.engine)

    def can_hear(self, births: Iterable[int]) -> list[int]:
        """Those of some rendered births that can be heard: all, or where the run's codec is unknown, kept clips."""
        from experiments.lineage import clips
        from experiments.replay.settings import run_config

        try:
            run_config(self._run)
        except BarkError:
            return [one for one in births if clips.clip(self._lineage, self._run.run_id, one) is not None]
        return list(births)

    def decode(self, rendering: Rendering) -> tuple[NDArray[np.float32], int]:
        """(S,) samples of a rendering's tokens, and their rate in Hz.

        Raises:
            BarkError: When the codec cannot be loaded.
        """
        return self.engine.decode([rendering.tokens.fine])[0], self.engine.sample_rate

    @property
    def engine(self) -> BarkEngine:
        """The run's engine.

        Raises:
            BarkError: When it cannot be loaded; the same, without another attempt, from then on.
        """
        if self._trouble is not None:
            raise self._trouble
        if self._engine is None:
            from bark_infinity.engine import BarkEngine
            from experiments.replay.settings import run_config
            from experiments.trusted_engines import require_trusted

            try:
                config = run_config(self._run)
                require_trusted(config.model.checkpoint, f"run {self._run.name!r}")
                # One stage at a time: only the codec is ever loaded.
                self._engine = BarkEngine.load(config.model.checkpoint, device="cpu", offload="on")
            except BarkError as error:
                self._trouble = error
                raise
        return self._engine

    def write(self, birth: int, path: Path, *, overwrite: bool = False) -> Path:
        """Writes a birth's audio as a .wav file.

        Raises:
            BarkError: When it cannot be heard or written.
        """
        from bark_infinity.audio import write_audio

        return write_audio(path, *self.hear(birth), overwrite=overwrite).path
