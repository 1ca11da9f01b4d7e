"""What every variation operator is: a pure function of parents and a random generator, and a record that repeats it.

An operator draws all its choices as *parameters* first and then applies them; the parameters are the provenance, and
applying them again to the same parents gives the same child. An operator that needs a model says what to render
instead of calling one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

import numpy as np

from bark_infinity.error_handling import BarkError
from bark_infinity.requests import RenderRequest

Parameters = Mapping[str, int | float | str | tuple[int, ...] | tuple[str, ...]]
Material = TypeVar("Material")  # what is varied: a VoiceHistory, or a prompt

Cost = Literal[
    "edit",  # tokens are rearranged; nothing is rendered
    "rerender",  # stages after the edited one run again
    "generate",  # a whole utterance is rendered
]


class NotApplicable(BarkError):
    """These parents cannot be varied this way (too short, nothing to change); try another operator."""


@dataclass(frozen=True)
class Child(Generic[Material]):
    """What an operator made.

    Attributes:
        material: The child itself; None while it has to be rendered first.
        render: What to render to get it; its seed is filled in by the caller.
        operator: Name of the operator.
        version: Of the operator's meaning: equal name and version, equal parameters, equal child.
        parameters: All choices that were drawn.
    """

    material: Material | None
    render: RenderRequest | None
    operator: str
    version: int
    parameters: Parameters


@dataclass(frozen=True)
class Operator(Generic[Material]):
    """One way to vary.

    Attributes:
        name: As recorded in the lineage.
        version: See `Child`.
        arity: Parents it takes.
        cost: What a child costs beyond the edit.
        draw: (parents, rng) -> parameters; raises `NotApplicable`.
        apply: (parents, parameters) -> child; deterministic.
    """

    name: str
    version: int
    arity: int
    cost: Cost
    draw: Callable[[Sequence[Material], np.random.Generator], Parameters]
    apply: Callable[[Sequence[Material], Parameters], Child[Material]]

    def __call__(self, parents: Sequence[Material], rng: np.random.Generator) -> Child[Material]:
        """Varies the parents.

        Raises:
            NotApplicable: When these parents cannot be varied this way.
            BarkError: When there are not `arity` parents.
        """
        if len(parents) != self.arity:
            raise BarkError(f"operator {self.name} takes {self.arity} parents, got {len(parents)}")
        return self.apply(parents, self.draw(parents, rng))
