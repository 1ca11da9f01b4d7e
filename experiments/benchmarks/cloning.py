"""How near a cloned voice comes: pitch of recordings and of what their clones say, on micro-Bark.

    python -m experiments.benchmarks.cloning

espeak-ng (``apt-get install espeak-ng``) records the two speakers that micro-Bark's training never heard, at six
pitches each. Each recording is cloned with its words and, to see what they are worth, with others. The shipped voices
are the measure of what can be had.
"""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray

from bark_infinity.engine import BarkEngine
from bark_infinity.requests import RenderRequest
from bark_infinity.voices.catalogue import VoiceCatalogue
from bark_infinity.voices.history import VoiceHistory
from experiments.cloning import clone_voice
from experiments.events import Clip
from experiments.micro.espeak import ESPEAK_RATE, Espeak
from experiments.micro.speakers import HELD_OUT_VARIANTS
from fusion.features.features import measure

WORDS = "The old clock in the hall struck nine, and nobody said a word to anyone."
OTHERS = "Please bring me seven cups of tea and a spoon, and then go home to sleep."
SAYS = ("I am a small voice, and this is how I sound.", "We walked along the river until it was dark.")
PITCHES = (12, 27, 41, 56, 71, 86)  # of espeak-ng


def main() -> int:
    """Prints the table."""
    engine = BarkEngine.load("micro", "cpu")
    espeak = Espeak()
    recordings = [
        Clip((espeak.speak(WORDS, variant, 165, pitch).samples / 32_768).astype(np.float32), ESPEAK_RATE)
        for variant in HELD_OUT_VARIANTS
        for pitch in PITCHES
    ]
    heard = _pitches(recordings)
    for name, words in (("cloned, with its words", WORDS), ("cloned, with other words", OTHERS)):
        _row(name, heard, engine, [clone_voice(engine, one, words) for one in recordings])
    shipped = [entry.name for entry in VoiceCatalogue().list() if entry.name.startswith("micro/")]
    voices = [VoiceCatalogue().find(name) for name in shipped]
    own = [Clip(audio, engine.sample_rate) for audio in engine.decode([voice.fine for voice in voices])]
    _row("shipped voices", _pitches(own), engine, voices)
    return 0


def _row(name: str, heard: NDArray[np.float64], engine: BarkEngine, voices: list[VoiceHistory]) -> None:
    made = engine.render([RenderRequest(text, voice=voice, seed=1) for voice in voices for text in SAYS])
    spoken = _pitches([Clip(one.audio, one.sample_rate) for one in made if one.audio is not None])
    heard = np.repeat(heard, len(SAYS))
    off = 12 * np.log2(spoken / heard)  # semitones
    related = np.corrcoef(np.log(heard), np.log(spoken))[0, 1]
    print(
        f"{name:26s} {len(voices):3d} voices: {np.median(np.abs(off)):.2f} semitones off (median), "
        f"{np.mean(np.abs(off)):.2f} (mean), {np.mean(off):+.2f} on average; correlation of pitches {related:.3f}"
    )


def _pitches(clips: list[Clip]) -> NDArray[np.float64]:
    """(clips,) median f0 in Hz."""
    return np.array([measure(one.audio, one.sample_rate).named()["f0_median_hz"] for one in clips])


if __name__ == "__main__":
    sys.exit(main())
