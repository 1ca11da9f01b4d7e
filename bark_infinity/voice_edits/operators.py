"""From an edit to an operator: what is drawn, what is recorded, and what is refused.

An edit is two small functions: one chooses, the other makes the child out of what was chosen. Around them, the same for
all: only what the checkpoint reads of the parents is varied, the child is cut to what it reads, the lengths it reads
are part of the record (so that a record repeats without the checkpoint), and a draw whose result the checkpoint could
not tell from a parent is thrown away.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bark_infinity.error_handling import BarkError
from bark_infinity.requests import RenderRequest
from bark_infinity.variation import Child, Cost, NotApplicable, Operator, Parameters
from bark_infinity.voice_edits.history_window import HistoryWindow
from bark_infinity.voices.history import VoiceHistory

Voices = Sequence[VoiceHistory]
Choose = Callable[[Voices, np.random.Generator], dict[str, Any]]

_ATTEMPTS = 12  # draws before a voice is said not to be variable this way
_READS = "reads"  # parameter: the most semantic tokens and frames the checkpoint reads


@dataclass(frozen=True)
class Edit:
    """One way to vary voices.

    Attributes:
        name: Of the operator.
        arity: Parents.
        choose: (voices, rng) -> parameters; raises `NotApplicable`.
        make: (voices, parameters) -> the child, or what to render to get it.
        cost: See `Operator`.
        whole: Gets whole parents, not only what the checkpoint reads of them.
        version: Of its meaning.
    """

    name: str
    arity: int
    choose: Choose
    make: Callable[[Voices, Parameters], VoiceHistory | RenderRequest]
    cost: Cost = "edit"
    whole: bool = False
    version: int = 1

    def operator(self, window: HistoryWindow) -> Operator[VoiceHistory]:
        """The operator for checkpoints that read this much of a voice."""

        def draw(parents: Voices, rng: np.random.Generator) -> Parameters:
            _require_parents(self.name, self.arity, parents)
            reads = {_READS: window.reads(parents[0].space)} if parents else {}
            tails = [_tail(parent, reads) for parent in parents]
            seen = [window.view(tail) for tail in tails]
            reason = NotApplicable(f"{self.name}: nothing was drawn")
            for _ in range(_ATTEMPTS):
                try:
                    parameters = self.choose(parents if self.whole else tails, rng) | reads
                    made = self._made(parents, tails, parameters)
                except NotApplicable as error:
                    reason = error
                    continue
                if isinstance(made, RenderRequest) or window.view(made) not in seen:
                    return parameters
                reason = NotApplicable(f"{self.name}: the model reads too little of these voices to see a change")
            raise reason

        def apply(parents: Voices, parameters: Parameters) -> Child[VoiceHistory]:
            _require_parents(self.name, self.arity, parents)
            made = self._made(parents, [_tail(parent, parameters) for parent in parents], parameters)
            if isinstance(made, RenderRequest):
                return Child(None, made, self.name, self.version, parameters)
            return Child(made, None, self.name, self.version, parameters)

        return Operator(self.name, self.version, self.arity, self.cost, draw, apply)

    def _made(self, parents: Voices, tails: Voices, parameters: Parameters) -> VoiceHistory | RenderRequest:
        made = self.make(parents if self.whole else tails, parameters)
        if isinstance(made, RenderRequest):
            return made
        child = _tail(made, parameters)
        if child in tails:
            raise NotApplicable(f"{self.name}: the child would be equal to a parent")
        return child


def integer(parameters: Mapping[str, Any], name: str, low: int, high: int) -> int:
    """A recorded whole number in [low, high].

    Raises:
        NotApplicable: When it is missing, no integer, or outside of what these parents allow.
    """
    return integers(parameters, name, (low,), (high,))[0]


def integers(parameters: Mapping[str, Any], name: str, low: Sequence[int], high: Sequence[int]) -> tuple[int, ...]:
    """Recorded whole numbers, as many as there are bounds; one alone may be written without a list.

    Raises:
        NotApplicable: When they are missing, no integers, or outside of what these parents allow.
    """
    value = parameters.get(name)
    values = tuple(value) if isinstance(value, list | tuple) else (value,)
    whole = all(isinstance(number, int) and not isinstance(number, bool) for number in values)
    if not whole or len(values) != len(low) or any(not a <= v <= b for v, a, b in zip(values, low, high, strict=True)):
        raise NotApplicable(
            f"parameter {name} is {value!r}, expected {len(low)} integers from {list(low)} to {list(high)} for these "
            "parents; a record repeats only with the parents it was made from"
        )
    return values


def _tail(voice: VoiceHistory, parameters: Parameters) -> VoiceHistory:
    n_semantic, n_frames = integers(parameters, _READS, (1, 1), (2**31, 2**31))
    return voice.visible_tail(n_semantic=n_semantic, n_frames=n_frames)


def _require_parents(name: str, arity: int, parents: Voices) -> None:
    if len(parents) != arity:
        raise BarkError(f"operator {name} takes {arity} parents, got {len(parents)}")
    if any(parent.space != parents[0].space for parent in parents):
        labels = " and ".join(parent.label for parent in parents)
        raise NotApplicable(f"{name}: {labels} belong to different token spaces; cross voices of one checkpoint")
