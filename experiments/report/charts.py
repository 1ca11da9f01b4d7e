"""Charts as inline SVG: lines over births and generations, and means with their intervals; styled by the page.

Colours are classes, so that a chart follows light, dark and print. Lines are thinned to what a screen can show, so a
chart of a million births is as small as one of a thousand.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from experiments.report.markup import Html, counted, joined, tag

Floats = NDArray[np.float64]

_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 10, 10, 38
_MOST_POINTS = 400  # of a line
_MOST_DOTS = 700


@dataclass(frozen=True, eq=False)
class Line:
    """One line of a chart.

    Attributes:
        name: In the legend.
        style: CSS class.
        x: (n,), rising.
        y: (n,); NaN breaks the line.
        steps: Holds each value until the next, as a best-so-far does.
    """

    name: str
    style: str
    x: ArrayLike
    y: ArrayLike
    steps: bool = False


@dataclass(frozen=True, eq=False)
class Dots:
    """Single values behind the lines."""

    style: str
    x: ArrayLike
    y: ArrayLike


def chart(
    lines: Sequence[Line],
    *,
    words: str,
    x_label: str,
    dots: Sequence[Dots] = (),
    mark: tuple[float, str] | None = None,
    size: tuple[int, int] = (500, 270),
    legend: bool = True,
) -> Html:
    """Lines over a common x axis, with their legend.

    Args:
        lines: What is drawn; those without a value are left out.
        words: What it shows, for those who do not see it.
        x_label: Below the axis.
        dots: Drawn first.
        mark: An x with a label: a dashed vertical line.
        size: Width and height in the picture's own units.
        legend: Whether names stand above it.
    """
    shown = [(one, *_known(one.x, one.y)) for one in lines]
    shown = [(one, x, y) for one, x, y in shown if x.size]
    points = [(one, *_known(one.x, one.y)) for one in dots]
    points = [(one, x, y) for one, x, y in points if x.size]
    everything = [(x, y) for _, x, y in (*shown, *points)]
    if not everything:
        return tag("p", "There is no value to draw yet.", class_="empty")
    width, height = size
    right = max(float(x.max()) for x, _ in everything)
    left = min(float(x.min()) for x, _ in everything)
    ticks = nice_ticks(min(float(y.min()) for _, y in everything), max(float(y.max()) for _, y in everything))
    low, high = ticks[0], ticks[-1]
    span = max(right - left, 1e-9)

    def place(x: float, y: float) -> tuple[float, float]:
        return (
            round(_LEFT + (x - left) / span * (width - _LEFT - _RIGHT), 1),
            round(height - _BOTTOM - (y - low) / (high - low) * (height - _TOP - _BOTTOM), 1),
        )

    parts: list[Html] = [tag("title", words)]
    for value in ticks:
        _, y = place(left, value)
        parts.append(tag("line", class_="grid", x1=_LEFT, x2=width - _RIGHT, y1=y, y2=y))
        parts.append(tag("text", _tick(value, ticks), x=_LEFT - 6, y=y + 4, text_anchor="end"))
    for value in nice_ticks(left, right, inside=True, whole=True):
        x, _ = place(value, low)
        anchor = "end" if x > width - 25 else "middle"
        parts.append(tag("text", f"{value:,.0f}", x=x, y=height - _BOTTOM + 16, text_anchor=anchor))
    parts.append(
        tag("text", x_label, class_="axis", x=(_LEFT + width - _RIGHT) / 2, y=height - 5, text_anchor="middle")
    )
    if mark is not None and left <= mark[0] <= right:
        x, _ = place(mark[0], low)
        beyond = x > 0.7 * width
        parts.append(tag("line", class_="mark", x1=x, x2=x, y1=_TOP, y2=height - _BOTTOM))
        parts.append(
            tag("text", mark[1], class_="note", x=x - 5 if beyond else x + 5, y=_TOP + 11,
                text_anchor="end" if beyond else "start")
        )  # fmt: skip
    for single, across, up in points:
        chosen = _spread(len(across), _MOST_DOTS)
        at = [place(float(a), float(b)) for a, b in zip(across[chosen], up[chosen], strict=True)]
        parts.append(tag("path", class_=f"dots {single.style}", d="".join(f"M{a:g} {b:g}h0" for a, b in at)))
    for one, across, up in shown:
        parts.append(tag("path", class_=f"line {one.style}", d=_path(one, across, up, place)))
    picture = tag("svg", joined(parts), class_="chart", viewBox=f"0 0 {width} {height}", role="img")
    if not legend:
        return picture
    names = [(one.name, f"line {one.style}") for one, _, _ in shown]
    return joined(_legend(names), tag("div", picture, class_="scroll", tabindex="0", role="group", aria_label=words))


def interval(mean: float, half_width: float | None, reference: float | None, low: float, high: float) -> Html:
    """A mean with its interval on a common scale, and a line where the control arm's mean is."""
    width, height = 150, 18

    def place(value: float) -> float:
        return round(4 + (min(max(value, low), high) - low) / max(high - low, 1e-9) * (width - 8), 1)

    parts = [tag("line", class_="grid", x1=0, x2=width, y1=height / 2, y2=height / 2)]
    if reference is not None:
        parts.append(tag("line", class_="mark", x1=place(reference), x2=place(reference), y1=0, y2=height))
    if half_width is not None:
        parts.append(
            tag("line", class_="whisker", x1=place(mean - half_width), x2=place(mean + half_width), y1=9, y2=9)
        )
    parts.append(tag("circle", class_="mean", cx=place(mean), cy=9, r=4))
    return tag("svg", joined(parts), class_="interval", viewBox=f"0 0 {width} {height}", aria_hidden="true")


def bar(share: float) -> Html:
    """A share of 1 as a bar; the number stands beside it."""
    filled = round(100 * min(max(share, 0), 1), 1)
    parts = joined(
        tag("rect", class_="ground", x=0, y=0, width=100, height=6, rx=3),
        tag("rect", class_="fill", x=0, y=0, width=filled, height=6, rx=3),
    )
    return tag("svg", parts, class_="bar", viewBox="0 0 100 6", preserveAspectRatio="none", aria_hidden="true")


def nice_ticks(low: float, high: float, *, inside: bool = False, whole: bool = False) -> list[float]:
    """About five round numbers around a range, or inside of it."""
    if high - low < 1e-9:
        pad = max(abs(low) * 0.05, 0.05)
        low, high = (low, high + 1) if whole else (low - pad, high + pad)
    rough = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
    if whole:
        step = max(1.0, round(step))
    first, last = (
        (math.ceil(low / step), math.floor(high / step)) if inside else (math.floor(low / step), math.ceil(high / step))
    )
    return [step * index for index in range(first, last + 1)]


def _tick(value: float, ticks: Sequence[float]) -> str:
    """As many decimals as tell the ticks apart."""
    step = ticks[1] - ticks[0]
    places = next((count for count in range(6) if abs(step * 10**count - round(step * 10**count)) < 1e-6), 6)
    return f"{value:,.{places}f}".replace("-", "−")


def _known(x: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
    across, up = np.asarray(x, float), np.asarray(y, float)
    known = ~np.isnan(up)
    return across[known], up[known]


def _spread(count: int, most: int) -> NDArray[np.int64]:
    """Indices of at most so many, evenly spread, the first and last among them."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int))


def _path(one: Line, x: Floats, y: Floats, place: Callable[[float, float], tuple[float, float]]) -> str:
    if one.steps:  # only where it changes, and its end
        kept = np.flatnonzero(np.append(True, np.diff(y) != 0))
        kept = np.union1d(kept[_spread(len(kept), _MOST_POINTS)], [len(x) - 1])
    else:
        kept = _spread(len(x), _MOST_POINTS)
    at = [place(float(a), float(b)) for a, b in zip(x[kept], y[kept], strict=True)]
    if len(at) == 1:
        return f"M{at[0][0]:g} {at[0][1]:g}h0"
    steps = [f"H{a:g}V{b:g}" if one.steps else f"L{a:g} {b:g}" for a, b in at[1:]]
    return f"M{at[0][0]:g} {at[0][1]:g}" + "".join(steps)


def _legend(names: Sequence[tuple[str, str]]) -> Html:
    items = []
    for name, style in names:
        stroke = tag("path", class_=style, d="M1 6H25")
        items.append(tag("li", tag("svg", stroke, viewBox="0 0 26 12", class_="key", aria_hidden="true"), name))
    return tag("ul", joined(items), class_="legend", aria_label=counted(len(items), "line"))
