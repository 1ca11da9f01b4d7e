"""The linear model, kept up with answer by answer, at a cost that does not grow with how many there were.

Up to `WHOLE` comparisons every fit is of all of them. From then on all are fitted only whenever there is a tenth more;
what came since is added in blocks, to the Gaussian belief that all before have left (`learnt_more`), and only the last
block, which is not full yet, is added anew with every answer. So an answer costs a few steps over `BLOCK` comparisons,
and the whole fits, spread over the answers between them, as much as ever: each is a tenth longer and a tenth rarer.

Where whole fits and blocks begin depends on nothing but the number of comparisons, so what is believed is a pure
function of them, in their order: the same whether they came one by one or all at once, and whether one was taken back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from fusion.preference.bradley_terry import BradleyTerry, Posterior, learnt, learnt_more
from fusion.preference.candidates import CandidateTable, Reference, Standardised
from fusion.preference.judgements import CandidateId, Comparison
from fusion.preference.pairs import Pairs, Raters

WHOLE = 128
GROWTH = 1.1
BLOCK = 32


class Candidates(Protocol):
    """Where the numbers of candidates are found."""

    def rows(self, ids: Sequence[CandidateId]) -> CandidateTable:
        """Those of ``ids``, in that order; raises a `BarkError` when one is not known."""
        ...


@dataclass(frozen=True, eq=False)
class _Stage:
    """What the first comparisons have taught."""

    comparisons: tuple[Comparison, ...]
    posterior: Posterior
    raters: Raters

    @property
    def count(self) -> int:
        return len(self.comparisons)


class Sequential:
    """Fits the linear model to comparisons that grow in number.

    Args:
        reference: What candidates are measured against.
    """

    def __init__(self, reference: Reference) -> None:
        self._reference = reference
        self._comparisons: tuple[Comparison, ...] = ()
        self._stages: list[_Stage] = []  # the last whole fit and the last full block after it
        self._model: BradleyTerry | None = None

    def fit(self, comparisons: tuple[Comparison, ...], candidates: Candidates) -> BradleyTerry:
        """The model as these comparisons make it.

        Args:
            comparisons: All of them, at least one.
            candidates: Everything judged; the numbers of one stay as they are.
        """
        if self._model is not None and comparisons == self._comparisons:
            return self._model
        whole = last_whole(len(comparisons))
        self._stages = [
            replace(stage, comparisons=comparisons[: stage.count])  # the latest objects are compared fastest
            for stage in self._stages
            if stage.count >= whole and comparisons[: stage.count] == stage.comparisons
        ]
        if not self._stages or self._stages[0].count != whole:
            self._stages = [self._whole(comparisons[:whole], candidates)]
        stage = self._stages[-1]
        while stage.count + BLOCK <= len(comparisons):
            stage = self._more(stage, comparisons[: stage.count + BLOCK], candidates)
            self._stages[1:] = [stage]
        if stage.count < len(comparisons):
            stage = self._more(stage, comparisons, candidates)
        self._comparisons, self._model = comparisons, stage.posterior.model()
        return self._model

    def _whole(self, comparisons: tuple[Comparison, ...], candidates: Candidates) -> _Stage:
        standardised, rows = arranged(comparisons, candidates, self._reference)
        raters = Raters().having_said(comparisons)
        return _Stage(comparisons, learnt(standardised, Pairs.of(comparisons, rows)), raters)

    def _more(self, before: _Stage, comparisons: tuple[Comparison, ...], candidates: Candidates) -> _Stage:
        new = comparisons[before.count :]
        standardised, rows = arranged(new, candidates, self._reference)
        pairs = Pairs.of(new, rows, before.raters)
        posterior = learnt_more(before.posterior, standardised, pairs)
        return _Stage(comparisons, posterior, before.raters.having_said(new))


def last_whole(comparisons: int) -> int:
    """How many of so many comparisons were last fitted together."""
    if comparisons <= WHOLE:
        return comparisons
    whole = later = WHOLE
    while later <= comparisons:
        whole, later = later, int(later * GROWTH) + 1
    return whole


def arranged(
    comparisons: Sequence[Comparison], candidates: Candidates, reference: Reference
) -> tuple[Standardised, dict[CandidateId, int]]:
    """What was compared, in an order that depends on nothing but the ids, and the row of each."""
    heard = {candidate for one in comparisons for candidate in one.pair}
    ids = sorted(heard, key=lambda one: (str(one), isinstance(one, str)))
    return reference.standardise(candidates.rows(ids)), {candidate: row for row, candidate in enumerate(ids)}
