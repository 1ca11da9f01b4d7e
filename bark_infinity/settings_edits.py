"""Variation operators for render settings: how boldly tokens are drawn, as genes that drift and cross.

Temperatures and the end threshold take log-normal steps, which suit numbers above 0; filters are switched on and off,
and drift while they are on. No step leaves the ranges that Bark speaks well in, and settings that a person put outside
of them go no further. What is not varied (limits, window sizes, Confused Travolta Mode) comes from the first parent.

The record names the setting and its new value, so that it repeats without the ranges.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from bark_infinity.error_handling import BarkError
from bark_infinity.requests import RenderSettings
from bark_infinity.tokens import SUNO_TOKENS, TokenSpace
from bark_infinity.variation import Child, NotApplicable, Operator, Parameters

Settings = Sequence[RenderSettings]

_OFF = "off"  # how a record writes None
_SWITCH_OFF = 0.25  # of the edits of a filter that is on
_ATTEMPTS = 12  # draws before settings are said not to be variable this way


@dataclass(frozen=True)
class SettingRange:
    """Where a setting may drift.

    Attributes:
        low: Least value.
        high: Most.
        step: Standard deviation of the change of its logarithm, or of that of 1 - value (``from_one``).
        filters: It may be off, and is switched on at any value of the range.
        whole: It is an integer.
        from_one: What matters is how far below 1 it is.
    """

    low: float
    high: float
    step: float
    filters: bool = False
    whole: bool = False
    from_one: bool = False

    def drifted(self, value: float, rng: np.random.Generator) -> float:
        """A value some steps away, in the range; never further out than before."""
        factor = math.exp(self.step * rng.standard_normal())
        moved = 1 - (1 - value) * factor if self.from_one else value * factor
        return self._tidy(min(max(moved, min(self.low, value)), max(self.high, value)))

    def anywhere(self, rng: np.random.Generator) -> float:
        """Any value of the range, evenly by its logarithm."""
        low, high = (1 - self.high, 1 - self.low) if self.from_one else (self.low, self.high)
        value = math.exp(rng.uniform(math.log(low), math.log(high)))
        return self._tidy(1 - value if self.from_one else value)

    def _tidy(self, value: float) -> float:
        return round(value) if self.whole else round(value, 4)


def setting_ranges(space: TokenSpace = SUNO_TOKENS) -> Mapping[str, Mapping[str, SettingRange]]:
    """What each operator varies, and how far.

    Bark Infinity re-rendered voices within these ranges: coarse temperatures of 0.3 to 0.9, fine ones to 0.8, the 25 to
    400 likeliest tokens, 0.8 to 0.97 of the probability. Filters that keep more than half of a checkpoint's tokens are
    none to speak of.
    """

    def likeliest(tokens: int) -> SettingRange:
        most = min(400, max(2, tokens // 2))
        return SettingRange(min(25, max(1, most // 4)), most, 0.4, filters=True, whole=True)

    probable = SettingRange(0.8, 0.97, 0.3, filters=True, from_one=True)
    ranges = {
        "temperature": {
            "semantic_temp": SettingRange(0.3, 1.1, 0.15),
            "coarse_temp": SettingRange(0.3, 0.9, 0.15),
            "fine_temp": SettingRange(0.3, 0.8, 0.15),
        },
        "top_k": {
            "semantic_top_k": likeliest(space.semantic_vocab_size),
            "coarse_top_k": likeliest(space.codebook_size),
        },
        "top_p": {"semantic_top_p": probable, "coarse_top_p": probable},
        "min_eos_p": {"semantic_min_eos_p": SettingRange(0.05, 0.5, 0.25)},
    }
    return MappingProxyType({name: MappingProxyType(group) for name, group in ranges.items()})


HERITABLE = tuple(setting for group in setting_ranges().values() for setting in group)


def settings_operators(space: TokenSpace = SUNO_TOKENS) -> Mapping[str, Operator[RenderSettings]]:
    """All operators, by name.

    Args:
        space: The checkpoint's tokens: filters keep fewer than there are.
    """
    drifts = {name: _drift(name, group) for name, group in setting_ranges(space).items()}
    return MappingProxyType({**drifts, "settings_crossover": _CROSSOVER})


def _drift(name: str, group: Mapping[str, SettingRange]) -> Operator[RenderSettings]:
    """Varies one setting of a group, by chance."""

    def draw(parents: Settings, rng: np.random.Generator) -> Parameters:
        _require_parents(name, 1, parents)
        able = [setting for setting, limits in group.items() if _may_drift(parents[0], setting, limits)]
        if not able:
            raise NotApplicable(f"{name}: {' and '.join(group)} are switched off by other settings, or always greedy")
        for _ in range(_ATTEMPTS):
            setting = able[int(rng.integers(len(able)))]
            limits, value = group[setting], getattr(parents[0], setting)
            to: float | str
            if value is None:
                to = limits.anywhere(rng)
            elif limits.filters and rng.random() < _SWITCH_OFF:
                to = _OFF
            else:
                to = limits.drifted(value, rng)
            if to != value:
                return {"setting": setting, "to": to}
        raise NotApplicable(f"{name}: nothing else was drawn than what is set")

    def apply(parents: Settings, parameters: Parameters) -> Child[RenderSettings]:
        _require_parents(name, 1, parents)
        setting, to = str(parameters.get("setting")), parameters.get("to")
        if setting not in group:
            raise NotApplicable(f"parameter setting is {setting}, expected {' or '.join(group)}")
        limits = group[setting]
        off = limits.filters and to == _OFF
        if not off and (isinstance(to, bool) or not isinstance(to, int if limits.whole else int | float)):
            raise NotApplicable(f"parameter to is {to!r}, expected a number for {setting}")
        value: Any = None if off else to
        child = dataclasses.replace(parents[0], **{setting: value})
        return _child(name, parents, child, parameters)

    return Operator(name, 1, 1, "edit", draw, apply)


def _may_drift(settings: RenderSettings, setting: str, limits: SettingRange) -> bool:
    """Whether the model would notice; a temperature of 0 and an end threshold of None are choices, not values."""
    if setting == "semantic_min_eos_p" and not settings.semantic_allow_early_stop:
        return False
    if limits.filters:
        return not _greedy(settings, setting)
    return bool(getattr(settings, setting))


def _greedy(settings: RenderSettings, setting: str) -> bool:
    """Whether the stage of a filter takes the likeliest token anyway."""
    return not getattr(settings, f"{setting.split('_')[0]}_temp")


def _draw_crossover(parents: Settings, rng: np.random.Generator) -> Parameters:
    _require_parents("settings_crossover", 2, parents)
    first, second = parents
    differ = [setting for setting in HERITABLE if getattr(first, setting) != getattr(second, setting)]
    if len(differ) < 2:
        raise NotApplicable("settings_crossover: these settings differ in fewer than two values")
    take = rng.integers(2, size=len(differ))
    if take.all() or not take.any():  # all or nothing would be a parent
        take[int(rng.integers(len(differ)))] ^= 1
    return {"from_second": tuple(setting for setting, taken in zip(differ, take, strict=True) if taken)}


def _apply_crossover(parents: Settings, parameters: Parameters) -> Child[RenderSettings]:
    _require_parents("settings_crossover", 2, parents)
    taken = parameters.get("from_second")
    if not isinstance(taken, list | tuple) or not all(setting in HERITABLE for setting in taken):
        raise NotApplicable(f"parameter from_second is {taken!r}, expected names of {', '.join(HERITABLE)}")
    first, second = parents
    child = dataclasses.replace(first, **{str(setting): getattr(second, str(setting)) for setting in taken})
    return _child("settings_crossover", parents, child, parameters)


def _child(name: str, parents: Settings, child: RenderSettings, parameters: Parameters) -> Child[RenderSettings]:
    if child in parents:
        raise NotApplicable(f"{name}: the child would be equal to a parent; a record repeats only with its own parents")
    return Child(child, None, name, 1, parameters)


def _require_parents(name: str, arity: int, parents: Settings) -> None:
    if len(parents) != arity:
        raise BarkError(f"operator {name} takes {arity} parents, got {len(parents)}")


_CROSSOVER = Operator("settings_crossover", 1, 2, "edit", _draw_crossover, _apply_crossover)
SETTINGS_OPERATORS = settings_operators()
