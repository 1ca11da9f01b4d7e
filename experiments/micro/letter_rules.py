"""Learns the letter rules that the text front end falls back on, from the pronouncing dictionary.

1. Align: every letter makes nothing, one phone or two; the best alignment under the present counts, a few rounds.
2. Count what each letter becomes in every window of neighbours.
3. Keep a rule only where it says something else than the next narrower window that was kept.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable

from bark_infinity.phones_rules import WINDOWS, LetterRules, contexts

_PRIOR = (0.08, 0.02, 0.0004)  # of a letter making 0, 1, 2 phones in a way not seen before
Entry = tuple[str, tuple[str, ...]]


def _align(
    word: str, phones: tuple[str, ...], cost: Callable[[str, tuple[str, ...]], float]
) -> list[tuple[str, ...]] | None:
    """The phones of each letter, or None when there are more than two per letter."""
    n, m = len(word), len(phones)
    best = [[math.inf] * (m + 1) for _ in range(n + 1)]
    taken = [[0] * (m + 1) for _ in range(n + 1)]
    best[0][0] = 0.0
    for i, letter in enumerate(word):
        for j in range(max(0, m - 2 * (n - i)), min(m, 2 * i) + 1):
            if best[i][j] == math.inf:
                continue
            for k in range(min(2, m - j) + 1):
                value = best[i][j] + cost(letter, phones[j : j + k])
                if value < best[i + 1][j + k]:
                    best[i + 1][j + k] = value
                    taken[i + 1][j + k] = k
    if best[n][m] == math.inf:
        return None
    parts, j = [], m
    for i in range(n, 0, -1):
        k = taken[i][j]
        parts.append(phones[j - k : j])
        j -= k
    return parts[::-1]


def learn(entries: Iterable[Entry], rounds: int = 3, first_rounds: int = 5000) -> LetterRules:
    """Learns rules.

    Args:
        entries: Words and their phones.
        rounds: Alignments; all but the last use only some of the words.
        first_rounds: How many.
    """
    words = list(entries)
    counts: Counter[tuple[str, tuple[str, ...]]] = Counter()
    totals: Counter[str] = Counter()

    def cost(letter: str, made: tuple[str, ...]) -> float:
        return -math.log((counts[letter, made] + _PRIOR[len(made)]) / (totals[letter] + 1))

    aligned: list[tuple[str, list[tuple[str, ...]]]] = []
    for number in range(rounds):
        chosen = words if number == rounds - 1 else words[:first_rounds]
        aligned = [(word, parts) for word, phones in chosen if (parts := _align(word, phones, cost)) is not None]
        counts, totals = Counter(), Counter()
        for word, parts in aligned:
            for letter, made in zip(word, parts, strict=True):
                counts[letter, made] += 1
                totals[letter] += 1

    seen: defaultdict[str, Counter[tuple[str, ...]]] = defaultdict(Counter)
    for word, parts in aligned:
        for position, made in enumerate(parts):
            for name in contexts(word, position):
                seen[name][made] += 1
    return _pruned(seen)


def _pruned(seen: dict[str, Counter[tuple[str, ...]]]) -> LetterRules:
    order = {window: rank for rank, window in enumerate(WINDOWS)}
    by_window: defaultdict[int, list[str]] = defaultdict(list)
    for name in seen:
        left, _, right = name.split("/")
        by_window[order[len(left), len(right)]].append(name)
    table: dict[str, tuple[str, ...]] = {}
    for rank in range(len(WINDOWS) - 1, -1, -1):
        for name in by_window[rank]:
            (made, count), *_ = seen[name].most_common(1)
            left, letter, right = name.split("/")
            narrower = (
                f"{left[len(left) - before :]}/{letter}/{right[:after]}"
                for before, after in WINDOWS[rank + 1 :]
                if before <= len(left) and after <= len(right)
            )
            fallback = next((table[other] for other in narrower if other in table), None)
            if made != fallback and (count >= 2 or len(left) + len(right) <= 2):
                table[name] = made
    return LetterRules(table)
