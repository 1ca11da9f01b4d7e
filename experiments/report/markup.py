"""HTML that cannot be broken by what is put into it: text is escaped unless it is `Html` already.

Prompts, names and reasons come from people, models and foreign files. A `str` given to `tag` is always text. What
would change how the text around it is read (control characters, direction overrides, half surrogates) is made visible.
"""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import TypeAlias

MAX_TEXT = 4_000  # characters of one text that are shown

_VOID = frozenset({"meta", "br", "hr", "image", "path", "line", "rect", "circle"})
_XML = frozenset({"image", "path", "line", "rect", "circle"})  # inside SVG
_VISIBLE = {code: chr(0x2400 + code) for code in range(32) if chr(code) not in "\n\t"}
_VISIBLE |= {code: "�" for code in (*range(0x7F, 0xA0), *range(0xD800, 0xE000), 0xFFFE, 0xFFFF)}
_VISIBLE |= {code: f"[U+{code:04X}]" for code in (0x202D, 0x202E)}


class Html(str):
    """Markup made by this module; everything else is text."""

    __slots__ = ()


Content: TypeAlias = "str | int | Iterable[Content] | None"


def text(value: str, limit: int = MAX_TEXT) -> Html:
    """A text as markup, cut where it is longer than anybody reads."""
    cut = value if len(value) <= limit else f"{value[:limit]} … ({len(value) - limit:,} more characters)"
    return Html(html.escape(cut.translate(_VISIBLE)))


def joined(*content: Content) -> Html:
    """Several pieces of content one after the other; None is nothing."""
    parts: list[str] = []
    for one in content:
        if one is None:
            continue
        if isinstance(one, Html):
            parts.append(one)
        elif isinstance(one, str):
            parts.append(text(one))
        elif isinstance(one, int):
            parts.append(f"{one:,}")
        else:
            parts.append(joined(*one))
    return Html("".join(parts))


def tag(name: str, *content: Content, **attributes: str | float | bool | None) -> Html:
    """An element.

    Args:
        name: Of the element.
        content: Text, numbers, `Html`, or iterables of these.
        attributes: ``class_`` is class, ``aria_label`` aria-label, and so on; None and False leave one out, True
            gives it without a value.
    """
    written = [name]
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        label = key.rstrip("_").replace("_", "-")
        shown = f"{value:g}" if isinstance(value, float) else str(value)
        escaped = shown if isinstance(value, Html) else text(shown, len(shown))
        written.append(label if value is True else f'{label}="{escaped}"')
    start = " ".join(written)
    if name in _VOID:
        return Html(f"<{start}/>" if name in _XML else f"<{start}>")
    return Html(f"<{start}>{joined(*content)}</{name}>")


def foreign(value: str, limit: int = MAX_TEXT) -> Html:
    """A text from elsewhere inside a line: its direction is its own and does not reach its neighbours."""
    return tag("bdi", text(value, limit))


def number(value: float | None, digits: int = 3) -> str:
    """A number for reading: fixed digits below 10, fewer above; a dash where there is none."""
    if value is None or value != value:
        return "–"
    if value and not 1e-4 <= abs(value) < 1e15:
        return f"{value:.2e}".replace("-", "−")
    places = digits if abs(value) < 10 else 1 if abs(value) < 1_000 else 0
    return f"{value:,.{places}f}".replace("-", "−")


def signed(value: float | None, digits: int = 3) -> str:
    """As `number`, with a plus sign where it is above 0."""
    return f"+{number(value, digits)}" if value is not None and value > 0 else number(value, digits)


def counted(count: int, one: str, many: str | None = None) -> str:
    """A number with its noun."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
