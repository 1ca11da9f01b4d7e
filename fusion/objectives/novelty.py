"""Novelty: how unlike everything known a clip is, in a space that does not move while evolution runs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from bark_infinity.error_handling import BarkError
from fusion.features.features import AcousticFeatures
from fusion.heard import Heard
from fusion.objectives.objectives import Unknown, check_half, closeness, finite, nearest
from fusion.preference.candidates import Block
from fusion.score import Term

TIMBRE_AND_MELODY = (
    "f0_median_hz", "f0_iqr_st", "harmonicity_db", "voiced_share", "pause_share", "onset_rate_hz", "rms_std_db",
    "centroid_hz", "bandwidth_hz", "rolloff_hz", "tilt_db_per_octave", *(f"mfcc_mean_{i:02d}" for i in range(1, 14)),
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class FrozenSpace:
    """Features in robust deviations of a reference set that does not move while evolution runs.

    Attributes:
        names: The features that count.
        scale: Their median and spread, see `fusion.preference.candidates.Block`; beyond 4 deviations nothing is
            more novel, so broken clips gain nothing by being absurd.
        points: (R, D) the reference set.
    """

    names: tuple[str, ...]
    scale: Block
    points: NDArray[np.float64]

    @classmethod
    def fit(cls, reference: Sequence[AcousticFeatures], names: Sequence[str] = TIMBRE_AND_MELODY) -> FrozenSpace:
        """A space from at least two clips.

        Raises:
            BarkError: When there are fewer, or a name is no feature.
        """
        if len(reference) < 2:
            raise BarkError(f"a space needs at least 2 reference clips, got {len(reference)}; measure some voices")
        for name in names:
            if name not in AcousticFeatures.NAMES:
                raise BarkError(f"there is no feature {name!r}; {nearest(name, AcousticFeatures.NAMES)}")
        raw = np.stack([_columns(features, names) for features in reference])
        scale = Block.fit(raw)
        return cls(tuple(names), scale, scale.standardise(raw)[0])

    @property
    def sha256(self) -> str:
        """Of names, scale and points: equal only for equal spaces."""
        digest = hashlib.sha256(" ".join(self.names).encode())
        for array in (self.scale.middle, self.scale.spread, self.points):
            digest.update(array.tobytes())
        return digest.hexdigest()

    def distance(self, features: AcousticFeatures, neighbours: int = 3) -> float:
        """Mean distance to the nearest reference clips, per feature (root mean square): 1 is one deviation."""
        point = self.scale.standardise(_columns(features, self.names)[None])[0]
        distances = np.sqrt(np.mean(np.square(self.points - point), axis=1))
        return float(np.sort(distances)[:neighbours].mean())


@dataclass(frozen=True)
class Novelty:
    """Unlike what exists. Values of different spaces do not compare."""

    VERSION: ClassVar[int] = 1
    listens: ClassVar[bool] = False

    space: FrozenSpace
    half: float = 1.0  # deviations
    neighbours: int = 3
    name: str = "novelty"

    def __post_init__(self) -> None:
        check_half(self.name, self.half)

    @property
    def settings(self) -> str:
        """The space by its hash, and how distances count."""
        return f"{self.space.sha256}, {self.neighbours} neighbours, half {self.half!r}"

    def judge(self, heard: Heard) -> Term | Unknown:
        """Rises with the distance to the nearest clips of the reference set."""
        distance = finite(self.name, self.space.distance(heard.features, self.neighbours))
        return Term(self.name, 1 - closeness(distance, self.half), self.VERSION, distance, "deviations")

    def describe(self) -> str:
        """What is asked for."""
        return f"unlike {len(self.space.points)} known clips; one half at {self.half:g} deviations"


def _columns(features: AcousticFeatures, names: Sequence[str]) -> NDArray[np.float64]:
    places = [AcousticFeatures.NAMES.index(name) for name in names]
    return features.known_vector()[places].astype(np.float64)
