"""Replicates: a candidate is what it does on several texts and seeds, not its one lucky clip.

Every candidate says the same texts with the same seeds, so that differences are the candidates' own. Some texts are
held out: selection never hears them, audits do. A term of the whole is the mean of its replicates less ``lam`` times
their standard deviation, which favours what can be relied on.

A rejected replicate is the candidate's own doing: it counts as the worst a term can be, and too many reject the whole.
A failed one says nothing about the candidate, and the others say too little: if the hard texts were the ones that
failed, their mean would flatter it. So the whole fails until every replicate is judged; render those again.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bark_infinity.error_handling import BarkError
from fusion.score import Score, Term


@dataclass(frozen=True)
class ReplicatePlan:
    """The texts and seeds that every candidate is tried on.

    Attributes:
        texts: For selection.
        seeds: For each text.
        held_out: Texts for audits only.

    Raises:
        BarkError: When there is nothing to try, something comes twice, or a held-out text is also selected by.
    """

    texts: tuple[str, ...]
    seeds: tuple[int, ...] = (0,)
    held_out: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.texts or not self.seeds:
            raise BarkError(
                f"a plan has {len(self.texts)} texts and {len(self.seeds)} seeds, expected at least one each"
            )
        for what, values in (("seed", self.seeds), ("text", (*self.texts, *self.held_out))):
            often, times = Counter(values).most_common(1)[0]
            if times > 1:
                raise BarkError(
                    f"the {what} {often!r} comes twice in a plan; a held-out text is not selected by either"
                )

    def trials(self) -> Iterator[tuple[str, int]]:
        """(text, seed) of every replicate of a candidate, in order."""
        return ((text, seed) for text in self.texts for seed in self.seeds)

    def audits(self) -> Iterator[tuple[str, int]]:
        """(text, seed) on held-out texts."""
        return ((text, seed) for text in self.held_out for seed in self.seeds)


def aggregate(scores: Sequence[Score], lam: float = 0.5, *, max_rejected: float = 0.25) -> Score:
    """The score of a candidate from those of its replicates.

    A better replicate never makes a worse whole. Of n values none lies more than sqrt(n - 1) standard deviations above
    their mean (Samuelson 1968), so the mean less ``lam`` of them rises with every value as long as ``lam`` is at most
    1 / sqrt(n - 1); a greater ``lam`` is lowered to that.

    Args:
        scores: One for each replicate, by one critic; n of them.
        lam: Standard deviations (of the n values, not of their mean) taken off.
        max_rejected: Share of rejected replicates from which the whole is rejected, if exceeded.

    Returns:
        ``ok`` with every term that all judged replicates have, others unknown; measures are their means, with the
        deviation of each term and the counts of replicates. ``rejected`` when too many are, however those that failed
        would have turned out; else ``failed`` when any failed.

    Raises:
        BarkError: When there are no scores, their terms have different versions, or ``lam`` is negative.
    """
    if not scores or not 0 <= lam < math.inf:
        raise BarkError(f"cannot aggregate {len(scores)} scores with lam {lam}; give at least one, and lam from 0 on")
    judged = [score for score in scores if score.status == "ok"]
    rejected = [score for score in scores if score.status == "rejected"]
    failed = [score for score in scores if score.status == "failed"]
    counts = {
        "replicates": float(len(scores)),
        "replicates_rejected": float(len(rejected)),
        "replicates_failed": float(len(failed)),
    }
    if len(rejected) == len(scores) or len(rejected) > max_rejected * len(scores):
        reason = f"{_of(rejected, scores)} were rejected: {_reasons(rejected)}"
        return Score("rejected", reason=reason, evidence=counts, measures=counts)
    if failed:
        return Score("failed", reason=f"{_of(failed, scores)} failed: {_reasons(failed)}", measures=counts)

    lam = min(lam, 1 / math.sqrt(max(1, len(scores) - 1)))
    terms: dict[str, Term] = {}
    unknown: dict[str, str] = {}
    measures = _mean_measures(judged) | counts
    for name in dict.fromkeys(name for score in judged for name in (*score.terms, *score.unknown)):
        found = [score.terms[name] for score in judged if name in score.terms]
        if len({term.version for term in found}) > 1:
            raise BarkError(
                f"term {name} comes in versions {sorted({t.version for t in found})}; judge all of it again"
            )
        lacking = [score for score in judged if name not in score.terms]
        if lacking:  # a mean over the others would compare unlike things
            whys = Counter(score.unknown.get(name, "it was not asked for") for score in lacking)
            unknown[name] = f"{_of(lacking, scores)} could not be judged: {'; '.join(whys)}"
            continue
        values = [term.value for term in found] + [0.0] * len(rejected)
        mean = math.fsum(values) / len(values)
        deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))
        known = [term.measure for term in found if term.measure is not None]
        measure = math.fsum(known) / len(known) if len(known) == len(found) else None
        value = min(1.0, max(0.0, mean - lam * deviation))
        terms[name] = Term(name, value, found[0].version, measure, found[0].unit)
        measures[f"{name}.deviation"] = deviation
    return Score("ok", terms=terms, measures=measures, unknown=unknown)


def _mean_measures(judged: Sequence[Score]) -> dict[str, float]:
    shared = [name for name in judged[0].measures if all(name in score.measures for score in judged)]
    return {name: math.fsum(score.measures[name] for score in judged) / len(judged) for name in shared}


def _of(some: Sequence[Score], scores: Sequence[Score]) -> str:
    return f"{len(some)} of {len(scores)} replicates"


def _reasons(scores: Sequence[Score]) -> str:
    counted = Counter(score.reason for score in scores).most_common(3)
    return "; ".join(f"{reason} ({times})" if times > 1 else f"{reason}" for reason, times in counted)
