"""Variation operators for voices: pure functions of parent voices and a generator, each with a record that repeats it.

* `history_window`: how much of a voice a checkpoint reads
* `rearranged`: voices from moments of other voices, all three streams in step
* `operators`: what is the same for all: drawing, recording, refusing
* `in_time`, `crossing`, `rendered`: the edits

`VOICE_OPERATORS` is for checkpoints that read as much of a voice as Suno's; `voice_operators` makes them for others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from bark_infinity.error_handling import BarkError
from bark_infinity.variation import Operator
from bark_infinity.voice_edits.crossing import CROSSING
from bark_infinity.voice_edits.history_window import HistoryWindow
from bark_infinity.voice_edits.in_time import IN_TIME
from bark_infinity.voice_edits.rendered import CARRIER_TEXTS, rendered
from bark_infinity.voices.history import VoiceHistory

__all__ = ["CARRIER_TEXTS", "VOICE_OPERATORS", "HistoryWindow", "voice_operators"]


def voice_operators(
    window: HistoryWindow = HistoryWindow(),  # noqa: B008 - frozen
    texts: Sequence[str] = CARRIER_TEXTS,
) -> Mapping[str, Operator[VoiceHistory]]:
    """All operators, by name.

    Args:
        window: What the checkpoint reads of a voice: no operator makes an edit outside of it.
        texts: What continuations and immigrants say, in the language of the run.

    Raises:
        BarkError: When there is no text.
    """
    if not texts or not all(text.strip() for text in texts):
        raise BarkError(f"carrier texts are {list(texts)!r}, expected at least one, none of them empty")
    edits = (*IN_TIME, *CROSSING, *rendered(window, tuple(texts)))
    return MappingProxyType({edit.name: edit.operator(window) for edit in edits})


VOICE_OPERATORS = voice_operators()
