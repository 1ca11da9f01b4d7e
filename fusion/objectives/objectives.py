"""What a recipe can ask for: each objective turns one measure of a clip into a term from 0 to 1.

Every transform is fixed, versioned and monotone: a worse measure never gives a better term. There are no cliffs; each
objective names the distance at which its term is one half, and falls off as 1 / (1 + (distance / half)^2), which still
tells bad from worse.

An objective that had nothing to judge by (no recogniser, no text) answers `Unknown`, which is no number. What a clip
is known not to have is judged: a clip without any voiced frame is as far from a wished pitch as can be.
"""

from __future__ import annotations

import difflib
import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bark_infinity.error_handling import BarkError
from fusion.features.features import AcousticFeatures, spoken_characters, unit_of
from fusion.features.spectra import analyse
from fusion.heard import Heard
from fusion.preference.candidates import CandidateTable
from fusion.score import Term
from fusion.speaker.encoders import SAME_OR_NOT_COSINE, SpeakerEncoder
from fusion.speaker.voice_print import SAME_OR_NOT, voice_distance, voice_print
from fusion.speaker.voice_print import VERSION as voice_print_version

if TYPE_CHECKING:
    from fusion.preference.model import PreferenceModel


@dataclass(frozen=True)
class Unknown:
    """A term that could not be judged, and why: nothing is wrong with the clip."""

    name: str
    why: str


class Objective(Protocol):
    """What a `fusion.critic.Critic` needs of an objective."""

    VERSION: ClassVar[int]

    @property
    def name(self) -> str:
        """Of the term."""
        ...

    @property
    def listens(self) -> bool:
        """Whether it needs the recogniser, so that it is asked last."""
        ...

    @property
    def settings(self) -> str:
        """Everything that decides the term besides ``VERSION``: scores compare only where both are equal."""
        ...

    def judge(self, heard: Heard) -> Term | Unknown:
        """The term of one clip.

        Raises:
            BarkError: When a measure is no finite number.
        """
        ...

    def describe(self) -> str:
        """What is asked for, in a few plain words."""
        ...


def closeness(distance: float, half: float) -> float:
    """1 at distance 0, one half at ``half``, falling for ever: 1 / (1 + (distance / half)^2).

    Raises:
        BarkError: When the distance is not a number of at least 0.
    """
    if not distance >= 0:
        raise BarkError(f"a distance is {distance}, expected a number of at least 0")
    ratio = distance / half
    return 1 / (1 + ratio * ratio)


@dataclass(frozen=True)
class FeatureRange:
    """A feature within bounds: 1 from ``low`` to ``high``, one half at ``half`` beyond either.

    A target is a range of no width. `parse` reads it from a recipe.

    Attributes:
        feature: One of `AcousticFeatures.NAMES`.
        low: In the feature's unit; minus infinity for "at most".
        high: In the feature's unit; infinity for "at least".
        half: How far beyond a bound the term is one half, in the feature's unit.

    Raises:
        BarkError: When there is no such feature, or the numbers make no range.
    """

    VERSION: ClassVar[int] = 1
    listens: ClassVar[bool] = False

    feature: str
    low: float
    high: float
    half: float

    def __post_init__(self) -> None:
        if self.feature not in AcousticFeatures.NAMES:
            raise BarkError(f"there is no feature {self.feature!r}; {nearest(self.feature, AcousticFeatures.NAMES)}")
        if not self.low <= self.high or not (math.isfinite(self.low) or math.isfinite(self.high)):
            raise BarkError(f"{self.feature} from {self.low} to {self.high} is no range; give the lower bound first")
        if not 0 < self.half < math.inf:
            raise BarkError(f"{self.feature}: the tolerance is {self.half}, expected a number above 0 after ±")

    @property
    def name(self) -> str:
        """The feature's."""
        return self.feature

    @property
    def settings(self) -> str:
        """The range, to the last digit."""
        return f"{self.low!r} to {self.high!r}, half {self.half!r}"

    def judge(self, heard: Heard) -> Term | Unknown:
        """The feature's distance from the range; 0 when the clip has none of it."""
        unit = unit_of(self.feature)
        if self.feature in heard.features.unknown:
            if self.feature == "speaking_rate_cps" and not (heard.text and spoken_characters(heard.text)):
                return Unknown(self.name, "no text says what the clip should say")
            return Term(self.name, 0.0, self.VERSION, None, unit)
        value = heard.features.named()[self.feature]
        distance = max(self.low - value, value - self.high, 0.0)
        return Term(self.name, closeness(distance, self.half), self.VERSION, value, unit)

    def describe(self) -> str:
        """As in a recipe."""
        unit = unit_of(self.feature)
        if self.low == self.high:
            wanted = f"{self.low:g} ± {self.half:g}"
        elif math.isinf(self.low):
            wanted = f"at most {self.high:g} ± {self.half:g}"
        elif math.isinf(self.high):
            wanted = f"at least {self.low:g} ± {self.half:g}"
        else:
            wanted = f"{self.low:g} to {self.high:g} ± {self.half:g}"
        return f"{wanted} {unit}".rstrip()


@dataclass(frozen=True)
class Similarity:
    """Closeness to a reference: a recording, a voice, a point in any embedding space.

    Attributes:
        distance: From the clip to the reference, at least 0; such as the distance of voice prints
            (`fusion.speaker.voice_print`).
        half: The distance at which the term is one half.
        name: Of the term.
        reference: What it is compared with, for people.
        measured: Which distance from what content, for records.
    """

    VERSION: ClassVar[int] = 1
    listens: ClassVar[bool] = False

    distance: Callable[[Heard], float]
    half: float
    name: str = "similarity"
    reference: str = "the reference"
    measured: str = ""

    def __post_init__(self) -> None:
        check_half(self.name, self.half)

    @property
    def settings(self) -> str:
        """Distance, content of the reference, and half."""
        return f"{self.measured}, half {self.half!r}"

    @classmethod
    def to_voice(
        cls,
        audio: NDArray[np.floating],
        sample_rate: int,
        *,
        name: str = "similarity",
        reference: str = "the reference",
        content: str | None = None,
        encoder: SpeakerEncoder | None = None,
    ) -> Similarity:
        """Likeness of voice to a recording, whatever either says.

        Args:
            audio: (S,) samples of the reference.
            sample_rate: Hz.
            name: Of the term.
            reference: What it is, for people.
            content: Hash by which records know it; None hashes the samples.
            encoder: Compares by the cosine of its vectors; None compares by `fusion.speaker.voice_print`.

        Raises:
            BarkError: When the recording cannot be measured, or holds no sound.
        """
        frames = analyse(audio, sample_rate)
        wanted = voice_print(frames)
        if content is None:
            content = hashlib.sha256(f"{sample_rate} Hz".encode() + frames.samples.tobytes()).hexdigest()
        if encoder is None:
            told = f"voice print {voice_print_version} from {content}"
            return cls(
                lambda heard: voice_distance(voice_print(heard.frames), wanted), SAME_OR_NOT, name, reference, told
            )
        vector = encoder.embed(frames.samples, sample_rate)
        told = f"angle of {encoder.name} from {content}"

        def away(heard: Heard) -> float:
            here = encoder.embed(heard.audio, heard.rendering.sample_rate)
            return max(0.0, 1.0 - float(here @ vector))

        return cls(away, SAME_OR_NOT_COSINE, name, reference, told)

    def judge(self, heard: Heard) -> Term | Unknown:
        """Falls with the distance."""
        distance = finite(self.name, self.distance(heard))
        return Term(self.name, closeness(distance, self.half), self.VERSION, distance, "distance")

    def describe(self) -> str:
        """What it should be near to."""
        return f"close to {self.reference}; one half at a distance of {self.half:g}"


@dataclass(frozen=True)
class Intelligibility:
    """Does it say the text? Unknown without a recogniser, and for what the recogniser cannot read."""

    VERSION: ClassVar[int] = 1
    listens: ClassVar[bool] = True

    half: float = 0.5  # half of the text wrong
    name: str = "intelligibility"

    def __post_init__(self) -> None:
        check_half(self.name, self.half)

    @property
    def settings(self) -> str:
        """Its half."""
        return f"half {self.half!r}"

    def judge(self, heard: Heard) -> Term | Unknown:
        """Falls with the recogniser's error."""
        reading = heard.reading
        if reading is None:
            missing = "no text says what the clip should say" if heard.text is None else "there is no recogniser"
            return Unknown(self.name, missing)
        if reading.error is None:
            return Unknown(self.name, reading.unknown or "the recogniser cannot tell")
        error = finite(self.name, reading.error)
        return Term(self.name, closeness(error, self.half), self.VERSION, error, "error rate")

    def describe(self) -> str:
        """What is asked for."""
        return f"the recogniser hears the text; one half at an error rate of {self.half:g}"


@dataclass(frozen=True)
class Fault:
    """One way of not being clean: how far a feature lies beyond what a good clip has.

    Attributes:
        feature: One of `AcousticFeatures.NAMES`.
        free: What costs nothing; beyond it is worse, in the direction of ``half``'s sign.
        half: How far beyond, alone, makes the term one half.
    """

    feature: str
    free: float
    half: float

    def size(self, features: AcousticFeatures) -> float:
        """0 when clean, 1 at ``half`` beyond."""
        return max(0.0, (features.named()[self.feature] - self.free) / self.half)


# What is free comes from 80 clips by eight espeak-ng voices, with room; real voices may move it, with a new VERSION.
FAULTS = (
    Fault("clipped_share", 0.0, 1e-3),
    Fault("true_peak_db", 0.0, 3.0),  # louder than full scale between samples: players distort it
    Fault("dc_offset", 0.005, 0.03),
    Fault("dc_offset", -0.005, -0.03),
    Fault("flatness", 0.23, 0.12),  # hiss and static: speech has 0.03 to 0.23, white noise 0.56
    Fault("high_band_share", 0.2, 0.2),  # fizz: speech has 0.01 to 0.06, and s and sh are short
    Fault("harmonicity_db", 3.0, -3.0),  # buzz, metal, hoarseness: creak has 0, most voices 4 to 16, white noise -11
)


@dataclass(frozen=True)
class Cleanliness:
    """Free of clipping, offset, hiss, fizz and roughness.

    The measure adds up squared faults, each relative to its own ``half``; so any one of them spoils the term.
    """

    VERSION: ClassVar[int] = 2
    listens: ClassVar[bool] = False

    name: str = "cleanliness"
    faults: tuple[Fault, ...] = FAULTS

    @property
    def settings(self) -> str:
        """Every fault with its numbers."""
        return ", ".join(f"{one.feature} {one.free!r} half {one.half!r}" for one in self.faults)

    def judge(self, heard: Heard) -> Term | Unknown:
        """Falls with every fault; 0 for a clip without sound, or without something that a fault is measured by."""
        features = heard.features
        # A clip must never be cleaner for having lost what its faults show in.
        if not features.sound_share or any(fault.feature in features.unknown for fault in self.faults):
            return Term(self.name, 0.0, self.VERSION, None, "faults")
        size = math.sqrt(sum(one * one for one in (fault.size(features) for fault in self.faults)))
        return Term(self.name, closeness(size, 1.0), self.VERSION, size, "faults")

    def describe(self) -> str:
        """What is asked for."""
        return "no clipping, offset, hiss, fizz or roughness; one half at one whole fault"


MELODY_FROM_S = 0.4  # of voice: two syllables
MELODY_FROM_SHARE = 0.2  # of the frames with sound: espeak-ng's clear voices have 0.42 and more


@dataclass(frozen=True)
class Expressiveness:
    """A melody that moves.

    The measure is the interquartile range of pitch in semitones (`fusion.features.melody`: surely voiced, octave errors
    moved back), less twice the median step between frames: a pitch that trembles is broken, not lively. Reading aloud
    has 3 to 5, acting twice that, a monotone 0. A clip with less voice than `MELODY_FROM_S` or `MELODY_FROM_SHARE` has
    its movement counted in proportion.
    """

    VERSION: ClassVar[int] = 3
    listens: ClassVar[bool] = False

    half: float = 3.0  # semitones
    name: str = "expressiveness"

    def __post_init__(self) -> None:
        check_half(self.name, self.half)

    @property
    def settings(self) -> str:
        """Its half."""
        return f"half {self.half!r}"

    def judge(self, heard: Heard) -> Term | Unknown:
        """Rises with movement; 0 for a clip without a voice."""
        melody = heard.melody
        enough = min(1.0, melody.voiced_s / MELODY_FROM_S, melody.voiced_share / MELODY_FROM_SHARE)
        movement = enough * max(0.0, melody.range_st - 2 * melody.step_st)
        return Term(self.name, 1 - closeness(movement, self.half), self.VERSION, movement, "semitones")

    def describe(self) -> str:
        """What is asked for."""
        return f"a moving melody; one half at {self.half:g} semitones"


@dataclass(frozen=True)
class Preference:
    """What people like, as far as is known; doubt counts against a clip, so that nobody wins by being strange.

    Attributes:
        utility: Mean and standard deviation in logits; `by_model` takes those of a `PreferenceModel`.
        caution: Standard deviations taken off the mean.
        learned: Which model it is, for records.
    """

    VERSION: ClassVar[int] = 1
    listens: ClassVar[bool] = False

    utility: Callable[[Heard], tuple[float, float]]
    caution: float = 1.0
    name: str = "preference"
    learned: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.caution < math.inf:
            raise BarkError(f"{self.name}: caution is {self.caution}, expected a number of at least 0")

    @property
    def settings(self) -> str:
        """The model, and the caution."""
        return f"{self.learned}, caution {self.caution!r}"

    @classmethod
    def by_model(
        cls,
        model: PreferenceModel,
        *,
        composite: Callable[[Heard], float] | None = None,
        embeddings: Callable[[Heard], Mapping[str, ArrayLike]] | None = None,
        caution: float = 1.0,
        learned: str = "",
    ) -> Preference:
        """What a model has learned from people, over `AcousticFeatures.known_vector`; as it is when a clip is judged.

        Args:
            model: Its reference was fitted on `AcousticFeatures.known_vector` rows.
            composite: What counts until the model has learned something; None counts every clip as usual.
            embeddings: (D_e,) vectors of a clip by expert; needed when the model's reference has any.
            caution: See `Preference`.
            learned: See `Preference`.

        Raises:
            BarkError: When the model's reference has other columns, or embeddings that nothing gives.
        """
        n_features, experts = len(model.reference.features.middle), sorted(model.reference.embeddings)
        if n_features != len(AcousticFeatures.NAMES):
            raise BarkError(
                f"the preference model's reference has {n_features} columns, expected {len(AcousticFeatures.NAMES)}, "
                "those of AcousticFeatures.known_vector; fit it on those and learn again"
            )
        if experts and embeddings is None:
            raise BarkError(f"the preference model knows embeddings {', '.join(experts)}; say how a clip gets them")

        def utility(heard: Heard) -> tuple[float, float]:
            vectors = {} if embeddings is None else embeddings(heard)
            table = CandidateTable.of(
                ("clip",),
                heard.features.known_vector()[None],
                [math.nan if composite is None else composite(heard)],  # not known counts as the reference's median
                {name: np.asarray(vector)[None] for name, vector in vectors.items()},
            )
            found = model.predict(table)
            return float(found.mean[0]), float(found.deviation[0])

        return cls(utility, caution, learned=learned)

    def judge(self, heard: Heard) -> Term | Unknown:
        """Chance of being chosen over a clip of utility 0, judged with caution."""
        mean, deviation = (finite(self.name, number) for number in self.utility(heard))
        if deviation < 0:
            raise BarkError(f"{self.name}: the utility's deviation is {deviation}, expected at least 0")
        return liking(mean, deviation, self.caution, self.name)

    def describe(self) -> str:
        """What is asked for."""
        return f"liked by people, less {self.caution:g} deviations of doubt"


def nearest(name: str, known: Sequence[str]) -> str:
    """A hint for a name that does not exist: the ones that look like it."""
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    alike = [one for one in known if one not in close and one.split("_")[0] == name.split("_")[0]]
    close = [*close, *alike][:3]
    return f"did you mean {' or '.join(close)}?" if close else "`AcousticFeatures.NAMES` lists all"


def check_half(name: str, half: float) -> None:
    """Raises when the distance of one half is no distance."""
    if not 0 < half < math.inf:
        raise BarkError(f"{name}: half is {half}, expected a finite number above 0")


def finite(name: str, value: float) -> float:
    """The number, or an error that says which measure broke."""
    number = float(value)
    if not math.isfinite(number):
        raise BarkError(f"{name}: what was measured is {number}, expected a finite number; the measure is broken")
    return number


def liking(mean: float, deviation: float, caution: float, name: str = "preference") -> Term:
    """The term of a utility in logits: the chance of being chosen over a clip of utility 0, judged with caution."""
    cautious = mean - caution * deviation
    return Term(name, _logistic(cautious), Preference.VERSION, cautious, "logits")


def _logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else 1 - 1 / (1 + math.exp(max(x, -700.0)))
