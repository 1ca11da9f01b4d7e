"""Spelling to phones for words that no dictionary lists: letter rules learned from the dictionary.

A rule says what one letter becomes between given neighbours: nothing, one phone or two. The widest window of
neighbours that was learned decides; every letter alone is learned too, so every word gets some pronunciation.
Rules are a text file, one per line: ``left/letter/right<TAB>phones``, ``#`` marking the edge of the word.

Light module: the standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

EDGE = "#"
WINDOWS = ((3, 3), (2, 3), (3, 2), (2, 2), (1, 3), (3, 1), (1, 2), (2, 1), (1, 1), (0, 1), (1, 0), (0, 0))


def contexts(word: str, position: int) -> list[str]:
    """The rule names that may decide one letter of a word, widest first."""
    padded = EDGE * 3 + word + EDGE * 3
    at = position + 3
    return [f"{padded[at - left : at]}/{padded[at]}/{padded[at + 1 : at + 1 + right]}" for left, right in WINDOWS]


@dataclass(frozen=True)
class LetterRules:
    """Rule name to phones."""

    table: Mapping[str, tuple[str, ...]]

    def spell(self, word: str) -> tuple[str, ...]:
        """Phones of a lower-case word; letters without any rule are silent."""
        phones: list[str] = []
        for position in range(len(word)):
            for name in contexts(word, position):
                found = self.table.get(name)
                if found is not None:
                    phones += found
                    break
        return tuple(phones)

    def to_text(self) -> str:
        """The rules as a file's content."""
        return "".join(f"{name}\t{' '.join(phones)}\n" for name, phones in sorted(self.table.items()))

    @classmethod
    def from_text(cls, text: str) -> LetterRules:
        """The opposite of `to_text`.

        Raises:
            ValueError: When a line is no rule.
        """
        table: dict[str, tuple[str, ...]] = {}
        for number, line in enumerate(text.splitlines(), 1):
            name, tab, phones = line.partition("\t")
            if not tab or name.count("/") != 2:
                raise ValueError(f"line {number} is {line[:40]!r}, expected 'left/letter/right<TAB>phones'")
            table[name] = tuple(phones.split())
        return cls(table)
