"""Written pages for tests: a strict tree of a page's elements, and what is inside their data URIs."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

VOID = {"meta", "br", "hr", "image", "path", "line", "rect", "circle"}


@dataclass
class Element:
    name: str
    attributes: dict[str, str | None]
    children: list[Element | str] = field(default_factory=list)

    def all(self, name: str | None = None, **attributes: str) -> Iterator[Element]:
        for child in self.children:
            if isinstance(child, Element):
                fits = all(child.attributes.get(key.rstrip("_")) == value for key, value in attributes.items())
                if (name is None or child.name == name) and fits:
                    yield child
                yield from child.all(name, **attributes)

    @property
    def text(self) -> str:
        return "".join(child if isinstance(child, str) else child.text for child in self.children)


class Tree(HTMLParser):
    """The page as a tree; refuses one that is not balanced."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("root", {})
        self._open = [self.root]
        self.feed(source)
        self.close()
        assert len(self._open) == 1, [one.name for one in self._open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, dict(attrs))
        self._open[-1].children.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open[-1].children.append(Element(tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open[-1].name == tag, f"</{tag}> closes <{self._open[-1].name}>"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        self._open[-1].children.append(data)


def read(path: Path) -> Element:
    return Tree(path.read_text("utf-8")).root


def section(page: Element, name: str) -> Element:
    return next(page.all("section", id=name))


def rows(part: Element) -> list[list[str]]:
    return [[cell.text for cell in row.children if isinstance(cell, Element)] for row in part.all("tr")]


def decoded(uri: str | None) -> tuple[str, bytes]:
    match = re.fullmatch(r"data:([\w/]+)(?:; ?codecs=\w+)?;base64,([A-Za-z0-9+/=]+)", uri or "")
    assert match, (uri or "")[:80]
    return match[1], base64.b64decode(match[2])
