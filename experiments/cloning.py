"""A voice from a recording: what the codec makes of it, beside semantic tokens of the same words.

A voice history has semantic tokens and codes that belong together moment by moment. The codec gives a recording's
codes. Nothing in a Bark checkpoint gives its semantic tokens: Suno never published what made them. But the model
itself makes semantic tokens for any text, and they say what is said more than by whom. So the model says the
recording's words, without a voice, and its tokens are laid onto the recording where the same sounds are heard
(`same_moments`). Pitch and timbre come from the codes. `keep_clone` is what people ask for: made, kept, and heard once.

How close that comes on micro-Bark is in docs/performance.md (`python -m experiments.benchmarks.cloning`); on Suno's
checkpoints nobody has measured it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bark_infinity.audio import checked_mono, resample, safe_stem
from bark_infinity.error_handling import BarkError
from bark_infinity.requests import RenderRequest
from bark_infinity.tokens import Int64Array, TokenSpace
from bark_infinity.voices.history import VoiceHistory
from experiments.events import Clip

if TYPE_CHECKING:
    from bark_infinity.engine import BarkEngine
    from experiments.audition import Audition
    from experiments.voice_shelf import VoiceShelf

TAG = "clone"  # of every voice that was made of a recording
SHORTEST_S, LONGEST_S = 1.0, 14.0  # one utterance: what Bark says at once
SEED = 3
_LOUD_ENOUGH = 10 ** (-50 / 20)  # peak of full scale
_QUIET = 10 ** (-40 / 20)  # of the peak; at either end it is cut off
_FRAME_S = 0.02


@dataclass(frozen=True, eq=False)
class Kept:
    """A clone that is kept, and how it sounded.

    Attributes:
        name: Of the voice on the shelf; the path of its file where it was saved elsewhere.
        voice: Itself.
        said: What it said at its audition; None when nothing came of it.
        recorded_hz: Median pitch of the recording; None where it has none.
        spoken_hz: Of what it said.
        trouble: What did not work though the voice is kept; empty when everything did.
    """

    name: str
    voice: VoiceHistory
    said: Clip | None = None
    recorded_hz: float | None = None
    spoken_hz: float | None = None
    trouble: str = ""

    @property
    def pitches(self) -> str:
        """Both pitches in words; empty where one is not known."""
        if self.recorded_hz is None or self.spoken_hz is None:
            return ""
        return f"{self.recorded_hz:.0f} Hz recorded, {self.spoken_hz:.0f} Hz spoken"


def keep_clone(
    audition: Audition,
    shelf: VoiceShelf,
    recording: Clip,
    words: str,
    name: str,
    *,
    checkpoint: str,
    says: str,
    to: Path | None = None,
) -> Kept:
    """Makes a voice of a recording, keeps it, lets it speak once, and notes its pitch.

    Args:
        audition: Has the engine, or loads it.
        shelf: Keeps the voice, and the note in any case.
        recording: See `clone_voice`.
        words: What is said in it.
        name: What the voice is called; on the shelf with a number where that is taken.
        checkpoint: That it is for.
        says: At its audition.
        to: A file to save it in instead of the shelf.

    Raises:
        BarkError: When nothing comes of it, or it cannot be kept, and why.
    """
    from experiments.board.sound_picture import draw_sound

    voice = audition.clone(recording, words, name, checkpoint)
    try:
        kept = shelf.keep(voice, name) if to is None else str(voice.save(to))
    except OSError as error:
        raise BarkError(f"{to} cannot be written ({error}); the voice is not kept, choose another place") from error
    said, spoken_hz, trouble = None, None, ""
    try:  # from here on the voice is there, whatever follows
        said = audition.speak(voice, says, checkpoint)
        spoken_hz = draw_sound(said).median_hz
    except BarkError as error:
        trouble = f"it was not heard: {error}"
    try:
        shelf.annotate(voice.sha256, tags=(TAG,), pitch_hz=spoken_hz)
    except BarkError as error:
        trouble = trouble or str(error)
    return Kept(kept, voice, said, draw_sound(recording).median_hz, spoken_hz, trouble)


def require_recording(recording: Clip, text: str) -> None:
    """Refuses what no voice can be made of, before a model is loaded for it.

    Raises:
        BarkError: When the recording is too short, too long or silent, or there is no text.
    """
    if not text.strip():
        raise BarkError("cloning needs the words of the recording; type what is said in it, word for word")
    _sounding(recording)


def clone_voice(engine: BarkEngine, recording: Clip, text: str, name: str = "clone") -> VoiceHistory:
    """The voice of a recording, for the engine's checkpoint.

    Args:
        engine: With a codec.
        recording: One person, `SHORTEST_S` to `LONGEST_S`, the quiet ends not counted.
        text: What is said in it, word for word; with other words the voice is less like it.
        name: What the voice is called.

    Raises:
        BarkError: When the recording is too short, too long or silent, there is no text, the model says nothing, or
            the checkpoint has no codec.
    """
    require_recording(recording, text)
    if not engine.checkpoint.has_codec:
        raise BarkError(f"checkpoint '{engine.family}' has no codec, so it cannot read recordings; take one that has")
    audio = resample(_sounding(recording), recording.sample_rate, engine.sample_rate)
    codes = engine.encode(audio, engine.sample_rate)  # (C, T)
    [spoken] = engine.render([RenderRequest(text, seed=SEED)])
    if spoken.audio is None or not spoken.audio.size:
        why = spoken.reason or spoken.stopped
        raise BarkError(f"the model says nothing of {text!r} ({why}), so the recording's words are not known to it")
    semantic = _laid_onto(spoken.tokens.semantic, spoken.audio, audio, codes.shape[1], engine)
    fine = codes[:, : engine.space.frames_for(len(semantic))]
    return VoiceHistory(
        semantic,
        fine[: engine.space.n_coarse_codebooks],
        fine,
        space=engine.space,
        name=safe_stem(PurePath(name).name, max_bytes=60),
        metadata={"model_family": engine.family, "cloned": True, "text": text},
    )


def _sounding(recording: Clip) -> NDArray[np.float32]:
    """(S,) the recording between its quiet ends."""
    audio = checked_mono(recording.audio, "the recording")
    peak = float(np.abs(audio).max(initial=0.0))
    if peak < _LOUD_ENOUGH:
        raise BarkError("the recording is silent; take one in which somebody speaks")
    frame = max(1, round(_FRAME_S * recording.sample_rate))
    loud = [
        begin for begin in range(0, len(audio), frame) if np.abs(audio[begin : begin + frame]).max() > _QUIET * peak
    ]
    audio = audio[max(0, loud[0] - 2 * frame) : loud[-1] + 3 * frame]
    lasts_s = len(audio) / recording.sample_rate
    if not SHORTEST_S <= lasts_s <= LONGEST_S:
        raise BarkError(
            f"the recording has {lasts_s:.1f} s of sound, expected {SHORTEST_S:.0f} to {LONGEST_S:.0f} s; "
            f"{'take a longer one' if lasts_s < SHORTEST_S else 'cut out one sentence or two'}"
        )
    return audio


def _laid_onto(
    semantic: Int64Array,
    spoken: NDArray[np.float32],
    recording: NDArray[np.float32],
    frames: int,
    engine: BarkEngine,
) -> Int64Array:
    """(S,) semantic tokens of what was ``spoken``, each at the moments where the recording says the same."""
    from fusion.features.alignment import same_moments  # loads librosa

    space = engine.space
    count = _tokens_for(frames, space)
    if count < 2:
        raise BarkError("the recording is too short for one pair of semantic tokens; take a longer one")
    at_s = (np.arange(count) + 0.5) / space.semantic_rate_hz
    moments = same_moments(spoken, recording, engine.sample_rate, at_s)
    taken: Int64Array = np.minimum((moments * space.semantic_rate_hz).astype(np.int64), len(semantic) - 1)
    return semantic[taken]


def _tokens_for(frames: int, space: TokenSpace) -> int:
    """The most semantic tokens whose frames are all there."""
    count = int(frames * space.semantic_rate_hz / space.coarse_rate_hz) + 2
    while count > 0 and space.frames_for(count) > frames:
        count -= 1
    return count
