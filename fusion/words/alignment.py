"""Which words were heard: the alignment of two word sequences with the fewest edits, and error rates from it.

The word error rate is (substituted + missing + invented) / expected; the letter error rate is the same over letters
with word boundaries left out, so that "in to" for "into" costs nothing and a near miss costs little.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Alignment:
    """How what was heard differs from what was expected.

    Attributes:
        n_expected: Words expected.
        correct: Words heard as expected.
        substituted: (expected, heard) pairs.
        missing: Expected words that were not heard.
        invented: Heard words that were not expected.
    """

    n_expected: int
    correct: int
    substituted: tuple[tuple[str, str], ...]
    missing: tuple[str, ...]
    invented: tuple[str, ...]

    @property
    def errors(self) -> int:
        """Edits; the fewest possible."""
        return len(self.substituted) + len(self.missing) + len(self.invented)

    @property
    def word_error(self) -> float | None:
        """Edits per expected word; above 1 when more was invented than expected; None when nothing was expected."""
        return self.errors / self.n_expected if self.n_expected else None


def align(expected: Sequence[str], heard: Sequence[str]) -> Alignment:
    """Aligns two word sequences with the fewest edits (Wagner and Fischer 1974).

    Of several such alignments, the one that keeps most words wins, then the one that substitutes rather than
    dropping one word and inventing another, read from the end.
    """
    # Edits weigh far more than kept words, so the number of edits is smallest first of all.
    edit, keep = len(expected) + len(heard) + 1, -1
    table = [[edit * j for j in range(len(heard) + 1)]]
    for i, wanted in enumerate(expected, 1):
        above, row = table[-1], [edit * i]
        for j, got in enumerate(heard, 1):
            diagonal = above[j - 1] + (keep if wanted == got else edit)
            row.append(min(diagonal, above[j] + edit, row[j - 1] + edit))
        table.append(row)
    correct = 0
    substituted: list[tuple[str, str]] = []
    missing: list[str] = []
    invented: list[str] = []
    i, j = len(expected), len(heard)
    while i or j:
        here = table[i][j]
        if i and j and expected[i - 1] == heard[j - 1] and here == table[i - 1][j - 1] + keep:
            correct, i, j = correct + 1, i - 1, j - 1
        elif i and j and here == table[i - 1][j - 1] + edit:
            substituted.append((expected[i - 1], heard[j - 1]))
            i, j = i - 1, j - 1
        elif i and here == table[i - 1][j] + edit:
            missing.append(expected[i - 1])
            i -= 1
        else:
            invented.append(heard[j - 1])
            j -= 1
    in_order = (tuple(reversed(substituted)), tuple(reversed(missing)), tuple(reversed(invented)))
    return Alignment(len(expected), correct, *in_order)


def letter_error(expected: Sequence[str], heard: Sequence[str]) -> float | None:
    """Edits between the letters of two word sequences, per expected letter; None when there are none."""
    wanted, got = "".join(expected), "".join(heard)
    return edit_distance(wanted, got) / len(wanted) if wanted else None


def edit_distance(a: Sequence[object], b: Sequence[object]) -> int:
    """Fewest insertions, deletions and substitutions that turn ``a`` into ``b``."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        diagonal, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (x != y))
    return row[-1]
