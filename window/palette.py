"""Colours by what they mean; no panel names a colour by its numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Colour = tuple[int, int, int, int]  # red, green, blue, opacity: 0 to 255
ThemeName = Literal["dark", "light"]


def _solid(code: str, opacity: int = 255) -> Colour:
    return int(code[0:2], 16), int(code[2:4], 16), int(code[4:6], 16), opacity


@dataclass(frozen=True)
class Palette:
    """One theme's colours.

    Attributes:
        ground: Behind everything.
        panel: Panels on the ground.
        card: Cards and fields on a panel.
        raised: Buttons and what can be pressed.
        hover: The same under the mouse.
        line: Borders and rules.
        text: What is read.
        muted: What is read second: captions, units.
        faint: What is hardly read: grids, what is switched off.
        accent: The one colour that asks for attention: the selected, the playing, the best.
        accent_dim: Large areas of it: bars, tracks.
        on_accent: Text on accent.
        good: Likes, improvements.
        bad: Dislikes, failures.
        warn: Rejections, warnings.
        tag: Bark's tags in prompts.
        series: Lines in one plot, most important first; the first is accent.
        low: Of the ramp from bad to good totals; ``accent`` is its other end.
    """

    ground: Colour
    panel: Colour
    card: Colour
    raised: Colour
    hover: Colour
    line: Colour
    text: Colour
    muted: Colour
    faint: Colour
    accent: Colour
    accent_dim: Colour
    on_accent: Colour
    good: Colour
    bad: Colour
    warn: Colour
    tag: Colour
    series: tuple[Colour, ...]
    low: Colour

    def ramp(self, value: float, opacity: int = 255) -> Colour:
        """A total from 0 to 1 as a colour; a NaN is as 0."""
        share = min(1.0, max(0.0, value)) if value == value else 0.0
        return (*(round(a + (b - a) * share) for a, b in zip(self.low[:3], self.accent[:3], strict=True)), opacity)  # type: ignore[return-value]


def faded(colour: Colour, opacity: int) -> Colour:
    """The same colour, less opaque."""
    return (*colour[:3], opacity)


DARK = Palette(
    ground=_solid("12141a"),
    panel=_solid("181b23"),
    card=_solid("1f232d"),
    raised=_solid("2a2f3c"),
    hover=_solid("363d4e"),
    line=_solid("2e3441"),
    text=_solid("e3e6ee"),
    muted=_solid("969eb0"),
    faint=_solid("5a6274"),
    accent=_solid("f2b34c"),
    accent_dim=_solid("8f6a2d"),
    on_accent=_solid("1a1406"),
    good=_solid("6fc294"),
    bad=_solid("e07a72"),
    warn=_solid("d9995b"),
    tag=_solid("86b4e0"),
    series=(_solid("f2b34c"), _solid("7fa8e0"), _solid("6fc294"), _solid("c58fd4"), _solid("e07a72"), _solid("8f98aa")),
    low=_solid("544a78"),
)
LIGHT = Palette(
    ground=_solid("ecece8"),
    panel=_solid("f6f6f3"),
    card=_solid("ffffff"),
    raised=_solid("e6e6e1"),
    hover=_solid("d8d8d2"),
    line=_solid("d3d3cc"),
    text=_solid("23262d"),
    muted=_solid("636a76"),
    faint=_solid("a3a8b0"),
    accent=_solid("b86e00"),
    accent_dim=_solid("e9c98f"),
    on_accent=_solid("ffffff"),
    good=_solid("2e8656"),
    bad=_solid("b9433a"),
    warn=_solid("a8641c"),
    tag=_solid("2a6ba8"),
    series=(_solid("b86e00"), _solid("2a6ba8"), _solid("2e8656"), _solid("8a4aa0"), _solid("b9433a"), _solid("6b7280")),
    low=_solid("b9b2d4"),
)
PALETTES: Mapping[ThemeName, Palette] = MappingProxyType({"dark": DARK, "light": LIGHT})
