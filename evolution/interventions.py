"""What people do to a running swarm: values that take effect when a step is planned, and so replay exactly.

`Swarm.intervene` says at which step that is; the lineage records the step with `to_json` of the intervention, and
`Swarm.replay` is given both again. When within a step a person clicked, and how many workers there were, changes
nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeAlias

from bark_infinity.error_handling import BarkError
from bark_infinity.requests import RenderSettings
from bark_infinity.voices.history import VoiceHistory
from evolution.genome import Genome
from evolution.individuals import LARGEST


@dataclass(frozen=True)
class Plant:
    """A person's genome is born: as a founder, or, with ``parents``, as their child, made by the operator ``by hand``.

    Attributes:
        genome: What is born.
        parents: Births that it was edited from; most of it comes from the first.
    """

    genome: Genome
    parents: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        _require_births("Plant", self.parents)

    @property
    def births(self) -> tuple[int, ...]:
        """Births that it names."""
        return self.parents


@dataclass(frozen=True)
class Breed:
    """A child of exactly these births, the first of which gives most; the swarm chooses the operator.

    Where no operator takes so many parents, or none can vary them, the last of them are left out; where the first
    cannot be varied at all, it is born again with another seed, ``by hand``; its voice too, where that never came.
    """

    parents: tuple[int, ...]

    def __post_init__(self) -> None:
        _require_births("Breed", self.parents)
        if not self.parents:
            raise BarkError("Breed names no parents, expected one or more births")

    @property
    def births(self) -> tuple[int, ...]:
        """Births that it names."""
        return self.parents


@dataclass(frozen=True)
class Pin:
    """This individual stays alive, and may have children, whatever selection says; failures cannot."""

    birth: int

    def __post_init__(self) -> None:
        _require_births("Pin", self.births)

    @property
    def births(self) -> tuple[int, ...]:
        """Births that it names."""
        return (self.birth,)


@dataclass(frozen=True)
class Unpin:
    """From now on, selection decides about this individual as about any other."""

    birth: int

    def __post_init__(self) -> None:
        _require_births("Unpin", self.births)

    @property
    def births(self) -> tuple[int, ...]:
        """Births that it names."""
        return (self.birth,)


@dataclass(frozen=True)
class Revise:
    """Ok births are scored anew, such as by a model that has learned more; the living are ranked again.

    Attributes:
        objectives: By birth, what takes the place of its objectives. Births that are not named keep theirs, so name
            all who live; others matter to the contest with the control arm only. Failures stay failures.

    Raises:
        BarkError: When a number is not finite: what cannot be scored anew keeps its score, and is not named.
    """

    objectives: Mapping[int, tuple[float, ...]]

    def __post_init__(self) -> None:
        _require_births("Revise", tuple(self.objectives))
        revised = {birth: tuple(float(value) for value in self.objectives[birth]) for birth in sorted(self.objectives)}
        for birth, values in revised.items():
            if not all(abs(value) <= LARGEST for value in values):  # not for NaN either
                raise BarkError(f"Revise gives birth {birth} the objectives {values}, expected finite numbers; leave "
                                "out births that cannot be scored")  # fmt: skip
        object.__setattr__(self, "objectives", MappingProxyType(revised))

    @property
    def births(self) -> tuple[int, ...]:
        """Births that it names."""
        return tuple(self.objectives)


Intervention: TypeAlias = Plant | Breed | Pin | Unpin | Revise


def to_json(intervention: Intervention) -> dict[str, Any]:
    """A JSON object that stands for it; a voice is named by its hash, so keep the voice itself beside it."""
    match intervention:
        case Plant(genome, parents):
            return {"kind": "plant", "genome": genome.canonical(), "parents": list(parents)}
        case Breed(parents):
            return {"kind": "breed", "parents": list(parents)}
        case Pin(birth):
            return {"kind": "pin", "birth": birth}
        case Unpin(birth):
            return {"kind": "unpin", "birth": birth}
        case Revise(objectives):
            return {"kind": "revise", "objectives": {str(birth): list(each) for birth, each in objectives.items()}}


def from_json(obj: Any, voice_of: Callable[[str], VoiceHistory]) -> Intervention:
    """The intervention of a `to_json` object.

    Args:
        obj: Decoded JSON.
        voice_of: Finds a voice by its hash.

    Raises:
        BarkError: When it is none.
    """
    try:
        match obj:
            case {"kind": "plant", "genome": told, "parents": list(parents)}:
                return Plant(_genome(told, voice_of), tuple(parents))
            case {"kind": "breed", "parents": list(parents)}:
                return Breed(tuple(parents))
            case {"kind": "pin", "birth": birth}:
                return Pin(birth)
            case {"kind": "unpin", "birth": birth}:
                return Unpin(birth)
            case {"kind": "revise", "objectives": dict(objectives)}:
                return Revise({int(birth): tuple(values) for birth, values in objectives.items()})
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as error:
        raise BarkError(f"a recorded intervention cannot be read: {error}") from error
    raise BarkError(f"a recorded intervention is {str(obj)[:80]}, expected plant, breed, pin, unpin or revise")


def _genome(told: Mapping[str, Any], voice_of: Callable[[str], VoiceHistory]) -> Genome:
    prompt, voice, lock = told["prompt"], told["voice"], told["content_lock"]
    if not isinstance(prompt, str) or not isinstance(voice, str | None) or not isinstance(lock, bool):
        raise TypeError("a genome's prompt and voice are text, its content_lock is true or false")
    return Genome(prompt, None if voice is None else voice_of(voice), RenderSettings(**told["settings"]), lock)


def _require_births(what: str, births: tuple[int, ...]) -> None:
    if any(type(birth) is not int or not 0 < birth < math.inf for birth in births) or len(set(births)) < len(births):
        raise BarkError(f"{what} names the births {births}, expected different whole numbers from 1")
