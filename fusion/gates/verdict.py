"""What a gate is: it lets a rendering pass or rejects it with a reason and evidence, and never gives a score.

A gate that had nothing to judge by (no text, no recogniser, another language) lets pass and says so in its reason:
what is unknown is no fault. The gates are in `fusion.gates.tokens`, `fusion.gates.audio`,
`fusion.words.intelligibility` and `fusion.speaker.voice_print`; their limits in `fusion.gates.thresholds`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from bark_infinity.error_handling import BarkError

_NOTHING: Mapping[str, float] = MappingProxyType({})


@dataclass(frozen=True)
class GateVerdict:
    """What one gate says of one rendering.

    Attributes:
        passed: Whether the rendering may go on.
        gate: The gate's name, such as ``stuck`` or ``clipped``.
        reason: Of a rejection, in plain words; of a pass, why nothing could be judged, or None.
        evidence: The numbers it went by, and the limits they broke (``..._limit``); finite.

    Raises:
        BarkError: When a rejection comes without a reason, or evidence is not finite.
    """

    passed: bool
    gate: str
    reason: str | None = None
    evidence: Mapping[str, float] = field(default_factory=lambda: _NOTHING)

    def __post_init__(self) -> None:
        if not self.passed and not self.reason:
            raise BarkError(f"the gate {self.gate} rejected without a reason; say what was found")
        bad = [name for name, value in self.evidence.items() if not math.isfinite(value)]
        if bad:
            raise BarkError(f"evidence {', '.join(bad)} of the gate {self.gate} is not finite; leave it out")
        object.__setattr__(self, "evidence", MappingProxyType(dict(self.evidence)))


def first_rejection(verdicts: Iterable[GateVerdict]) -> GateVerdict | None:
    """The first verdict that rejects; None when all pass. Verdicts of an iterator after it are never asked for."""
    return next((verdict for verdict in verdicts if not verdict.passed), None)
