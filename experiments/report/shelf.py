"""The clips of a page: each is taken from the lineage or decoded once, within a bound on the page's size.

A clip that belongs in several places (winners share ancestors, and descend from each other) stands once, at home or at
the first of them, and is linked from the others.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection

import numpy as np
from numpy.typing import NDArray

from bark_infinity.error_handling import BarkError
from bark_infinity.requests import Rendering
from experiments.lineage import clips
from experiments.lineage.reading import LineageReader
from experiments.report.markup import Html, tag
from experiments.report.sound import Sound, encoded

logger = logging.getLogger(__name__)

MAX_SOUND_BYTES = 3_000_000  # of all clips of a page, encoded; a third more in the page
LONGEST_S = 30.0  # of a clip; longer ones are cut

Decode = Callable[[Rendering], tuple[NDArray[np.float32], int]]
Audio = tuple[NDArray[np.float32], int]


class Shelf:
    """Clips by birth.

    Args:
        lineage: The file.
        run_id: The run.
        decode: Makes audio of a rendering's tokens; None: only clips that were kept.
        at_home: Births that have a place of their own on the page.
    """

    def __init__(
        self, lineage: LineageReader, run_id: int, decode: Decode | None, at_home: Collection[int] = ()
    ) -> None:
        self.notices: list[str] = []
        self._lineage = lineage
        self._run_id = run_id
        self._decode = decode
        self._sounds: dict[int, Sound | None] = {}
        self._audio: dict[int, Audio] = {}
        self._placed: set[int] = set(at_home)
        self._n_bytes = 0
        self._full = False

    def take(self, birth: int, *, keep_samples: bool = False) -> bool:
        """Makes sure that a birth can be heard, while there is room.

        Args:
            birth: Which.
            keep_samples: Whether `samples` is going to be asked for.

        Returns:
            Whether it can be heard.
        """
        if birth not in self._sounds and not self._full:
            audio = self._audio_of(birth)
            self._sounds[birth] = None if audio is None else self._encoded(birth, audio)
            if audio is not None and keep_samples:
                self._audio[birth] = audio
        return self._sounds.get(birth) is not None

    def samples(self, birth: int) -> Audio | None:
        """(S,) samples and their rate, of a birth that was taken with its samples."""
        return self._audio.get(birth)

    def player(self, birth: int, *, home: bool = False) -> Html | None:
        """Its player, or a link to where that is; None when it cannot be heard.

        Args:
            birth: Which.
            home: Whether this is the place of its own that it has.
        """
        sound = self._sounds.get(birth)
        if sound is None:
            return None
        if birth in self._placed and not home:
            return tag("a", f"hear birth {birth}", href=f"#clip-{birth}", class_="elsewhere")
        self._placed.add(birth)
        return tag(
            "audio",
            controls=True,
            preload="metadata",
            id=f"clip-{birth}",
            src=Html(sound.uri),
            aria_label=f"Birth {birth}, {sound.duration_s:.1f} seconds",
        )

    def _audio_of(self, birth: int) -> Audio | None:
        try:
            kept = clips.clip(self._lineage, self._run_id, birth)
        except BarkError as error:
            self._notice(f"the clip of birth {birth} that was kept cannot be used: {error}")
            kept = None
        if kept is not None or self._decode is None:
            return kept
        try:
            rendering = self._lineage.rendering(self._run_id, birth)
            return None if rendering is None or not rendering.tokens.fine.size else self._decode(rendering)
        except BarkError as error:
            self._notice(f"birth {birth} cannot be heard: {error}")
            return None

    def _encoded(self, birth: int, audio: Audio) -> Sound | None:
        try:
            sound = encoded(*audio, longest_s=LONGEST_S)
        except BarkError as error:
            self._notice(f"birth {birth} cannot be heard: {error}")
            return None
        if self._n_bytes + len(sound.content) > MAX_SOUND_BYTES:
            self._full = True
            self._notice(f"clips over {MAX_SOUND_BYTES / 1e6:g} MB in all were left out, from birth {birth} on")
            return None
        if len(audio[0]) > LONGEST_S * audio[1]:
            self._notice(f"birth {birth} lasts {len(audio[0]) / audio[1]:.0f} s; the first {LONGEST_S:g} s are here")
        self._n_bytes += len(sound.content)
        return sound

    def _notice(self, text: str) -> None:
        logger.info("%s", text)
        self.notices.append(text)
