"""Objectives as recipes write them: ``f0_median_hz = 110 ± 20``, ``cleanliness``, ``similarity to her_voice.wav``.

`parse` makes those that stand alone. `comparison_in` reads those that compare with something outside the recipe, a
voice, known clips or people's choices; `fusion.recipe` makes them, because it knows where to look.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from bark_infinity.error_handling import BarkError
from fusion.features.features import AcousticFeatures, unit_of
from fusion.objectives.objectives import Cleanliness, Expressiveness, FeatureRange, Intelligibility, Objective, nearest

_BY_NAME: dict[str, Callable[[], Objective]] = {
    "intelligibility": Intelligibility,
    "cleanliness": Cleanliness,
    "expressiveness": Expressiveness,
}
_WITH_MORE = {
    "similarity": "'similarity to voices/her.wav', or a voice of the catalogue",
    "novelty": "'novelty against folder/of/clips'",
}
_COMPARISON = re.compile(r"\s*(?:(similarity)\s+to|(novelty)\s+against|(preference)\s+of)\s+(\S.*?)\s*")

PREFERENCE = "preference"
"""What people of the run say; its term comes from a `fusion.preference.learner.PreferenceLearner`."""

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_WORDS = r"[A-Za-z][A-Za-z ]*?"
_SPEC = re.compile(
    rf"\s*(?P<name>\w+)\s*(?P<sign><=|>=|≤|≥|=)"
    rf"\s*(?P<first>{_NUMBER})(?:\s*(?:\.\.|to)\s*(?P<second>{_NUMBER}))?\s*(?P<unit1>{_WORDS})?"
    rf"(?:\s*(?:±|\+-|\+/-)\s*(?P<half>{_NUMBER})\s*(?P<unit2>{_WORDS})?)?\s*"
)


@dataclass(frozen=True)
class Comparison:
    """An objective that compares with something outside the recipe.

    Attributes:
        name: Of the objective and its term.
        reference: A path, or the name of a voice; for ``preference`` the folder of a saved model, empty for the
            choices that people make in the run.
    """

    name: Literal["similarity", "novelty", "preference"]
    reference: str


def comparison_in(spec: str) -> Comparison | None:
    """What an objective compares with; None for one that `parse` reads.

    ``similarity to PATH-OR-VOICE``; ``novelty against FOLDER``; ``preference``, or ``preference of FOLDER`` for what
    was learned in another run.
    """
    if spec.strip() == PREFERENCE:
        return Comparison("preference", "")
    match = _COMPARISON.fullmatch(spec)
    if match is None:
        return None
    if match[1]:
        return Comparison("similarity", match[4])
    return Comparison("novelty" if match[2] else "preference", match[4])


def parse(spec: str) -> Objective:
    """Reads an objective that stands alone, as recipes write it.

    ``intelligibility``, ``cleanliness``, ``expressiveness``; ``f0_median_hz = 110 ± 20`` (or ``+-``);
    ``speaking_rate_cps = 12 to 18`` (or ``12..18``; the tolerance is half the width unless ``±`` says otherwise);
    ``pause_share <= 0.2 ± 0.1`` and ``harmonicity_db >= 8 ± 4``. A unit may follow a number.

    Raises:
        BarkError: When it cannot be read, a name is unknown (the nearest one is named), or the unit is another.
    """
    plain = spec.strip()
    if plain in _BY_NAME:
        return _BY_NAME[plain]()
    if plain in _WITH_MORE:
        raise BarkError(f"{plain!r} does not say compared with what; write {_WITH_MORE[plain]}")
    if comparison_in(plain) is not None:
        raise BarkError(f"{plain!r} compares with something outside the recipe; `fusion.recipe.build_critic` makes it")
    if re.fullmatch(r"\w+", plain):
        if plain in AcousticFeatures.NAMES:
            raise BarkError(f"{plain!r} does not say what is wanted; write for example '{plain} = 110 ± 20'")
        known = (*_BY_NAME, *_WITH_MORE, PREFERENCE, *AcousticFeatures.NAMES)
        raise BarkError(f"there is no objective {plain!r}; {nearest(plain, known)}")
    match = _SPEC.fullmatch(spec)
    if match is None:
        word = plain.partition(" ")[0]
        close = difflib.get_close_matches(word, (*_WITH_MORE, PREFERENCE), n=1, cutoff=0.7)
        if close:
            raise BarkError(f"the objective {spec!r} cannot be read; write {_WITH_MORE.get(close[0], close[0])}")
        raise BarkError(
            f"the objective {spec!r} cannot be read, expected a name, =, <= or >=, a number or a range, and a "
            "tolerance, as in 'f0_median_hz = 110 ± 20' or 'pause_share <= 0.2 ± 0.1'"
        )
    name, sign = match["name"], match["sign"]
    if name not in AcousticFeatures.NAMES:
        raise BarkError(f"there is no feature {name!r}; {nearest(name, AcousticFeatures.NAMES)}")
    for unit in (match["unit1"], match["unit2"]):
        if unit is not None and unit.strip() != unit_of(name):
            raise BarkError(f"{spec!r}: {name} is in {unit_of(name) or 'plain numbers'}, not in {unit.strip()}")
    first = float(match["first"])
    second = first if match["second"] is None else float(match["second"])
    half = None if match["half"] is None else float(match["half"])
    if sign != "=" and match["second"] is not None:
        raise BarkError(f"{spec!r} gives a range after {sign}; a range takes =")
    if half is None:
        if first == second:
            raise BarkError(f"{spec!r} has no tolerance; add ± and how far off makes the term one half")
        half = abs(second - first) / 2
    low = -math.inf if sign in ("<=", "≤") else first
    high = math.inf if sign in (">=", "≥") else second
    return FeatureRange(name, low, high, half)
