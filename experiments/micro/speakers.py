"""Who speaks: randomised voice definitions, and who is held out.

A model that has heard sixteen voices recognises them; one that has heard hundreds must copy its history. espeak-ng
reads voices from small text files, so `random_definition` draws vocal tract length, formant levels and widths,
pitch, spectral tilt, roughness and breath. Two of espeak-ng's own variants and a band of pitch are never trained on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

N_RANDOM_VOICES = 1200
N_UNSEEN_VOICES = 40  # further random voices, for evaluation only
HELD_OUT_VARIANTS = ("m3", "f2")
HELD_OUT_F0_HZ = (150.0, 170.0)
_OWN_VARIANTS = "m1 m2 m4 m5 m6 m7 m8 f1 f3 f4 f5 croak steph steph2 klatt klatt2 klatt4 whisper"
TRAINED_VARIANTS = tuple(_OWN_VARIANTS.split())
RATE_WPM = (120, 225)


@dataclass(frozen=True)
class Speaker:
    """A voice with its pitch and rate, as espeak-ng understands them."""

    variant: str
    pitch: int
    rate_wpm: int


def voice_name(index: int) -> str:
    """The variant name of a random voice."""
    return f"vbf{index:04d}"


def random_definition(index: int) -> str:
    """The text of one random voice file; the index is the seed."""
    rng = np.random.default_rng((7001, index))
    tract = np.exp(rng.uniform(np.log(0.86), np.log(1.30)))  # formant scale: below 1 is a long vocal tract
    base = float(np.clip(98 * tract**2.2 * np.exp(rng.normal(0, 0.26)), 58, 190))
    lines = [
        "language variant",
        f"name {voice_name(index)}",
        "gender female" if base > 150 else "gender male",
        f"pitch {base:.0f} {base * rng.uniform(1.2, 1.7):.0f}",
        f"flutter {rng.integers(0, 12)}",
        f"roughness {rng.choice([0, 1, 2, 3, 4, 6])}",
        f"voicing {rng.integers(75, 125)}",
        f"consonants {rng.integers(75, 130)} {rng.integers(75, 130)}",
        f"formant 0 100 {rng.integers(70, 120)} {rng.integers(90, 150)}",
    ]
    for formant in range(1, 9):
        scale = 100 * tract * np.exp(rng.normal(0, 0.035))
        level = rng.integers(65, 130) if formant <= 3 else rng.integers(35, 120)
        lines.append(f"formant {formant} {scale:.0f} {level} {rng.integers(75, 150)}")
    if rng.random() < 0.5:
        slope = rng.uniform(0.2, 0.9)
        levels = " ".join(f"{hz} {255 * np.exp(-slope * hz / 1000):.0f}" for hz in (600, 1200, 2000, 3000))
        lines.append(f"tone 100 255 {levels}")
    if rng.random() < 0.2:
        lines.append("breath 0 " + " ".join(str(rng.integers(1, 9)) for _ in range(7)))
    return "\n".join(lines) + "\n"


def definition_of(variant: str) -> str | None:
    """The voice file of one of our random voices, None for espeak-ng's own."""
    return random_definition(int(variant[3:])) if re.fullmatch(r"vbf\d{4}", variant) else None


def draw(rng: np.random.Generator) -> Speaker:
    """A speaker for training: mostly random voices, sometimes one of espeak-ng's own."""
    own = rng.random() < 0.22
    variant = rng.choice(TRAINED_VARIANTS) if own else voice_name(int(rng.integers(N_RANDOM_VOICES)))
    pitch = int(rng.integers(12, 88)) if own else int(rng.integers(30, 75))
    return Speaker(str(variant), pitch, int(rng.integers(*RATE_WPM)))


def draw_unseen(rng: np.random.Generator, index: int) -> Speaker:
    """A speaker for evaluation: the held-out variants at any pitch, and random voices never trained on."""
    if index % 2 == 0:
        return Speaker(HELD_OUT_VARIANTS[index // 2 % 2], int(rng.integers(12, 88)), int(rng.integers(*RATE_WPM)))
    voice = voice_name(N_RANDOM_VOICES + int(rng.integers(N_UNSEEN_VOICES)))
    return Speaker(voice, int(rng.integers(30, 75)), int(rng.integers(*RATE_WPM)))


def held_out_pitch(median_f0_hz: float) -> bool:
    """Whether a session's pitch lies in the band that training never hears."""
    return HELD_OUT_F0_HZ[0] <= median_f0_hz < HELD_OUT_F0_HZ[1]
