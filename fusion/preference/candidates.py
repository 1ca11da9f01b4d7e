"""What is known about each candidate, and the frozen reference that its numbers are measured against.

Acoustic features have units and outliers, so they are standardised robustly (median, interquartile range) against a
reference set that does not move while people judge: a utility learnt yesterday means the same today. Beyond
``CLIP`` robust deviations a model must not extrapolate: values are held there, and how far they lie outside comes
back as extra uncertainty. A value that is unknown is NaN (anything not finite will do); it counts as the reference's
median, adds no uncertainty, and takes no part where the reference is fitted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bark_infinity.error_handling import BarkError
from fusion.preference.judgements import CandidateId

Array = NDArray[np.float64]

CLIP = 4.0  # robust standard deviations
MAX_EXCESS = 100.0  # beyond it, further is no stranger; keeps every number finite
_IQR_OF_NORMAL = 1.3489795  # interquartile range of a normal distribution with deviation 1


@dataclass(frozen=True, eq=False)
class CandidateTable:
    """Candidates in rows.

    Attributes:
        ids: (N,) unique.
        features: (N, D) numbers in any units, NaN where unknown, such as `AcousticFeatures.known_vector` gives them.
            Its `vector` has 0 there, and a whisper would be a voice with a pitch of 0 Hz, far outside the reference.
        composite: (N,) the transparent score that counts until people have taught something better; higher is better.
        embeddings: By expert, (N, D_e) frozen embeddings; what the head ensemble mixes besides the features.

    Raises:
        BarkError: When shapes disagree or an id comes twice.
    """

    ids: tuple[CandidateId, ...]
    features: Array
    composite: Array
    embeddings: Mapping[str, Array] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        n = len(self.ids)
        if len(set(self.ids)) < n:
            raise BarkError("a candidate id comes twice in the table; each candidate has one row")
        for name, array, ndim in self._arrays():
            if array.shape[:1] != (n,) or array.ndim != ndim:
                expected = f"({n},)" if ndim == 1 else f"({n}, D)"
                raise BarkError(f"{name} of the candidates has shape {array.shape}, expected {expected} for {n} ids")

    @classmethod
    def of(
        cls,
        ids: Sequence[CandidateId],
        features: ArrayLike,
        composite: ArrayLike | None = None,
        embeddings: Mapping[str, ArrayLike] | None = None,
    ) -> CandidateTable:
        """A table of anything array-like; without a composite, every candidate is as good as the next."""
        zeros = np.zeros(len(ids))
        return cls(
            tuple(ids),
            np.asarray(features, np.float64),
            zeros if composite is None else np.asarray(composite, np.float64),
            MappingProxyType({name: np.asarray(array, np.float64) for name, array in (embeddings or {}).items()}),
        )

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, ids: Sequence[CandidateId]) -> CandidateTable:
        """The rows of ``ids``, in that order.

        Raises:
            BarkError: When one is not in the table.
        """
        return self.at(self.positions(ids))

    def positions(self, ids: Sequence[CandidateId]) -> NDArray[np.int64]:
        """Row numbers of ``ids``; see `rows`."""
        where = {candidate: row for row, candidate in enumerate(self.ids)}
        missing = [candidate for candidate in ids if candidate not in where]
        if missing:
            raise BarkError(f"candidate {missing[0]!r} is not among the {len(self)} in the table; give its features")
        return np.array([where[candidate] for candidate in ids], np.int64)

    def at(self, positions: NDArray[np.int64]) -> CandidateTable:
        """The rows at ``positions``."""
        embeddings = {name: array[positions] for name, array in self.embeddings.items()}
        ids = tuple(self.ids[position] for position in positions)
        return CandidateTable(ids, self.features[positions], self.composite[positions], MappingProxyType(embeddings))

    def _arrays(self) -> list[tuple[str, Array, int]]:
        named = [("features", self.features, 2), ("composite", self.composite, 1)]
        return named + [(f"embedding {name}", array, 2) for name, array in self.embeddings.items()]


@dataclass(frozen=True, eq=False)
class Block:
    """Middle and spread of one group of columns: (D,) each; spread is never 0."""

    middle: Array
    spread: Array

    @classmethod
    def fit(cls, values: Array) -> Block:
        """Median, and interquartile range as a standard deviation; constant columns get a spread of 1."""
        known = np.where(np.isfinite(values), values, np.nan)
        empty = ~np.isfinite(known).any(axis=0) if len(known) else np.ones(values.shape[1], bool)
        known = np.where(empty, 0.0, known) if len(known) else np.zeros((1, values.shape[1]))
        low, middle, high = np.nanpercentile(known, [25, 50, 75], axis=0)
        with np.errstate(over="ignore"):
            spread = (high - low) / _IQR_OF_NORMAL
            deviation = np.nanstd(known, axis=0)
        spread = np.where(_usable(spread), spread, deviation)
        return cls(middle, np.where(_usable(spread), spread, 1.0))

    def standardise(self, values: Array) -> tuple[Array, Array]:
        """(N, D) within ±CLIP, and (N, D) how far outside the values lie."""
        if values.shape[1:] != self.middle.shape:
            raise BarkError(
                f"candidates have {values.shape[1]} columns, the reference has {len(self.middle)}; "
                "use one feature schema, or fit a new reference and learn again"
            )
        with np.errstate(over="ignore", invalid="ignore"):
            z = (values - self.middle) / self.spread
        z = np.where(np.isfinite(values), np.nan_to_num(z, nan=0.0), 0.0)
        inside = np.clip(z, -CLIP, CLIP)
        return inside, np.clip(z - inside, -MAX_EXCESS, MAX_EXCESS)


def _usable(spread: Array) -> NDArray[np.bool_]:
    return np.isfinite(spread) & (spread > np.finfo(np.float64).tiny * 1e6)


@dataclass(frozen=True, eq=False)
class Standardised:
    """Candidates as the models see them.

    Attributes:
        columns: (N, 1 + D) the composite, then the features.
        excess: (N,) squared distance outside the reference's range.
        experts: (N, D_e) each, the features first.
    """

    columns: Array
    excess: Array
    experts: tuple[Array, ...]

    def at(self, positions: NDArray[np.int64]) -> Standardised:
        """The candidates at ``positions``."""
        experts = tuple(expert[positions] for expert in self.experts)
        return Standardised(self.columns[positions], self.excess[positions], experts)


@dataclass(frozen=True, eq=False)
class Reference:
    """What "usual" is, for every column; fitted once on a frozen set and stored with the model."""

    features: Block
    composite: Block
    embeddings: Mapping[str, Block]

    @classmethod
    def fit(cls, table: CandidateTable) -> Reference:
        """Measures a reference set."""
        return cls(
            Block.fit(table.features),
            Block.fit(table.composite[:, None]),
            MappingProxyType({name: Block.fit(array) for name, array in sorted(table.embeddings.items())}),
        )

    def standardise(self, table: CandidateTable) -> Standardised:
        """Measures candidates against the reference.

        Raises:
            BarkError: When columns or experts are not those of the reference.
        """
        if set(table.embeddings) != set(self.embeddings):
            raise BarkError(
                f"candidates have embeddings {sorted(table.embeddings)}, the reference has {sorted(self.embeddings)}; "
                "give every table the same experts"
            )
        features, beyond = self.features.standardise(table.features)
        composite, _ = self.composite.standardise(table.composite[:, None])
        experts = [block.standardise(table.embeddings[name])[0] for name, block in self.embeddings.items()]
        columns = np.concatenate([composite, features], axis=1)
        return Standardised(columns, np.square(beyond).sum(axis=1), (features, *experts))
