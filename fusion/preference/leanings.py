"""What people lean to, in plain words: the weights of the linear model that are surely not zero, strongest first.

The linear model is read whether it speaks or not: it says what the answers so far point to, and `Decision` says whether
that predicts anything.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fusion.preference.bradley_terry import BradleyTerry

SURE_FROM = 1.5  # deviations from zero
MOST = 5

# More of it, less of it.
_WORDS = {
    "duration_s": ("longer clips", "shorter clips"),
    "sound_share": ("less silence", "more silence"),
    "pause_share": ("more time in pauses", "less time in pauses"),
    "pause_count": ("more pauses", "fewer pauses"),
    "pause_longest_s": ("longer pauses", "shorter pauses"),
    "leading_silence_s": ("a later beginning", "an earlier beginning"),
    "trailing_silence_s": ("silence at the end", "no silence at the end"),
    "rms_db": ("louder clips", "quieter clips"),
    "rms_std_db": ("changing loudness", "even loudness"),
    "rms_range_db": ("a wide range of loudness", "a narrow range of loudness"),
    "peak_db": ("higher peaks", "lower peaks"),
    "true_peak_db": ("higher peaks between samples", "lower peaks between samples"),
    "clipped_share": ("clipping", "no clipping"),
    "dc_offset": ("an offset upwards", "an offset downwards"),
    "zero_crossing_rate_hz": ("sharper sound", "rounder sound"),
    "f0_median_hz": ("higher voices", "lower voices"),
    "f0_iqr_hz": ("a wider melody", "a flatter melody"),
    "f0_iqr_st": ("a livelier melody", "a calmer melody"),
    "f0_step_st": ("an unsteady pitch", "a steady pitch"),
    "voiced_share": ("more voice, less whisper", "more whisper, less voice"),
    "harmonicity_db": ("clearer voices", "rougher voices"),
    "centroid_hz": ("brighter voices", "darker voices"),
    "centroid_std_hz": ("changing brightness", "even brightness"),
    "bandwidth_hz": ("a wider spectrum", "a narrower spectrum"),
    "bandwidth_std_hz": ("a spectrum that changes its width", "a spectrum of even width"),
    "rolloff_hz": ("more high sound", "less high sound"),
    "rolloff_std_hz": ("highs that come and go", "even highs"),
    "flatness": ("breathier sound", "less breath and hiss"),
    "flatness_std": ("hiss that comes and goes", "even hiss"),
    "high_band_share": ("stronger s and sh", "softer s and sh"),
    "tilt_db_per_octave": ("a bright balance", "a warm balance"),
    "onset_rate_hz": ("quicker syllables", "slower syllables"),
    "speaking_rate_cps": ("faster speech", "slower speech"),
}
_GROUPS = {
    "contrast_db": "clearer harmonics in band {}",
    "mfcc_mean": "timbre number {}",
    "mfcc_std": "movement of timbre number {}",
}


@dataclass(frozen=True)
class Leaning:
    """One feature that people seem to go by.

    Attributes:
        feature: One of `AcousticFeatures.NAMES`.
        weight: Logits of liking for one usual deviation of the feature.
        deviation: How unsure the weight is.
        words: What is liked, such as ``lower voices``.
    """

    feature: str
    weight: float
    deviation: float
    words: str


def leanings(model: BradleyTerry, names: Sequence[str]) -> tuple[Leaning, ...]:
    """The features whose weight is at least `SURE_FROM` deviations from zero, surest first, at most `MOST`.

    Args:
        model: What was learned; nothing is read out of a model that weighs the composite alone.
        names: Of the features, in the order of its weights after the composite's.
    """
    found = []
    for place, name in enumerate(names, 1):
        if place >= len(model.weights):
            break
        weight, deviation = float(model.weights[place]), math.sqrt(float(model.covariance[place, place]))
        if abs(weight) >= SURE_FROM * deviation:
            found.append(Leaning(name, weight, deviation, in_words(name, weight > 0)))
    return tuple(sorted(found, key=lambda one: -abs(one.weight) / one.deviation)[:MOST])


def in_words(feature: str, more: bool) -> str:
    """What it is to have more, or less, of a feature."""
    if feature in _WORDS:
        return _WORDS[feature][0 if more else 1]
    stem, _, number = feature.rpartition("_")
    return ("more of " if more else "less of ") + _GROUPS.get(stem, f"{stem} {{}}").format(int(number) + 1)
