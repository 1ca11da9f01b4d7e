"""One rendering, listened to no further than anyone asks.

Gates and objectives share a `Heard`: the clip is analysed once, and the recogniser, by far the dearest ear, runs only
when a rendering has survived everything cheaper and somebody wants to know what it says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bark_infinity.error_handling import BarkError
from bark_infinity.requests import Rendering
from fusion.features.features import AcousticFeatures, summarise
from fusion.features.melody import Melody, melody_of
from fusion.features.spectra import Frames, analyse
from fusion.words.intelligibility import TextReading


class Reader(Protocol):
    """Compares a clip with the text it should say; such as `fusion.words.intelligibility.TextReader`."""

    @property
    def name(self) -> str:
        """What it is, version included, for records."""
        ...

    def __call__(self, audio: NDArray[np.float32], sample_rate: int, text: str) -> TextReading:
        """What it made of (S,) samples at ``sample_rate`` Hz."""
        ...


@dataclass(frozen=True, eq=False)
class Heard:
    """A rendering and what it was asked to say.

    Attributes:
        rendering: With audio, unless only token gates look at it.
        text: What it should say; None when nobody knows.
        reader: Does it say the text? None when nobody can read.
        open_ended: It was meant to run to its limit (Confused Travolta Mode, previews).
    """

    rendering: Rendering
    text: str | None = None
    reader: Reader | None = None
    open_ended: bool = False

    @property
    def audio(self) -> NDArray[np.float32]:
        """(S,) samples at ``rendering.sample_rate``.

        Raises:
            BarkError: When the rendering was not decoded.
        """
        if self.rendering.audio is None:
            raise BarkError("the rendering has no audio, its tokens were not decoded; decode it before it is judged")
        return self.rendering.audio

    @cached_property
    def frames(self) -> Frames:
        """The clip frame by frame."""
        return analyse(self.audio, self.rendering.sample_rate)

    @cached_property
    def features(self) -> AcousticFeatures:
        """The clip in 80 numbers."""
        return summarise(self.frames, text=self.text)

    @cached_property
    def melody(self) -> Melody:
        """How its pitch moves."""
        return melody_of(self.frames)

    @cached_property
    def reading(self) -> TextReading | None:
        """What the reader made of it; None without a reader or a text."""
        if self.reader is None or self.text is None:
            return None
        return self.reader(self.audio, self.rendering.sample_rate, self.text)

    def measures(self) -> Mapping[str, float]:
        """Everything that has been measured so far and means something; measures nothing more."""
        found: dict[str, float] = {}
        if "features" in self.__dict__:
            unknown = self.features.unknown
            found |= {name: value for name, value in self.features.named().items() if name not in unknown}
        reading = self.__dict__.get("reading")
        if reading is not None and reading.error is not None:
            found["reading_error"] = reading.error
        return found
