"""How much of a voice each stage of a checkpoint reads: an edit outside of that changes nothing that can be heard."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bark_infinity.tokens import TokenSpace
from bark_infinity.voices.history import VISIBLE_FRAMES, VISIBLE_SEMANTIC, VoiceHistory

if TYPE_CHECKING:
    from bark_infinity.bark_config import BarkConfig

_DROPPED_FLAT = 2  # `RenderSettings.coarse_history_time_alignment_hack`, as every published voice is used


@dataclass(frozen=True)
class HistoryWindow:
    """The ends of a voice's streams that a checkpoint's stages read; the defaults are Suno's.

    Attributes:
        semantic_slots: Semantic tokens that stage 1 sums onto the text.
        coarse_history: Flat coarse tokens that stage 2 looks back on.
        fine_frames: Frames that stage 3 reads.
    """

    semantic_slots: int = VISIBLE_SEMANTIC
    coarse_history: int = 630
    fine_frames: int = VISIBLE_FRAMES

    @classmethod
    def of(cls, config: BarkConfig) -> HistoryWindow:
        """The window of a checkpoint."""
        return cls(config.semantic.history_slots, config.coarse.max_coarse_history, config.fine.max_fine_history_length)

    def reads(self, space: TokenSpace) -> tuple[int, int]:
        """The most semantic tokens and the most frames that any stage reads, for `VoiceHistory.visible_tail`."""
        looked_back = math.floor(self.coarse_history / space.flat_coarse_per_semantic)
        coarse_frames = math.ceil(looked_back * space.flat_coarse_per_semantic / space.n_coarse_codebooks)
        return max(self.semantic_slots, looked_back), max(self.fine_frames, coarse_frames)

    def canonical(self, voice: VoiceHistory) -> VoiceHistory:
        """The end of a voice that is read, rendered children's included: voices of equal views share it."""
        n_semantic, n_frames = self.reads(voice.space)
        return voice.visible_tail(n_semantic=n_semantic, n_frames=n_frames)

    def view(self, voice: VoiceHistory) -> tuple[bytes, ...]:
        """What the stages get of a voice; a checkpoint renders two voices of equal views alike.

        The rules are those of Suno's ``bark/generation.py``: stage 1 takes the last slots, stage 2 an even number of
        semantic tokens and the flat codes that belong to them less the last two, stage 3 the last frames.
        """
        space = voice.space
        ratio = space.flat_coarse_per_semantic
        n_semantic, n_flat = voice.semantic.size, voice.coarse.size
        paired = min(math.floor(self.coarse_history / ratio), n_semantic - n_semantic % 2, math.floor(n_flat / ratio))
        flat = voice.coarse.T.reshape(-1)[max(0, n_flat - round(paired * ratio)) : max(0, n_flat - _DROPPED_FLAT)]
        heard = (flat, voice.semantic[n_semantic - paired :]) if paired else (flat[:0], voice.semantic[:0])
        return tuple(
            array.tobytes()
            for array in (voice.semantic[-self.semantic_slots :], *heard, voice.fine[:, -self.fine_frames :])
        )
