"""What goes into the engine and what comes out: settings, requests, renderings. Light module: numpy only."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bark_infinity.error_handling import BarkError
from bark_infinity.tokens import SUNO_TOKENS, BarkTokens, Int64Array, TokenSpace
from bark_infinity.voices.history import VoiceHistory

Stage = Literal["semantic", "coarse", "fine", "codec"]

StopReason = Literal[
    "eos",  # the model ended the utterance (token sampled, or its probability reached semantic_min_eos_p)
    "max_tokens",  # the model's room or semantic_max_tokens was used up
    "max_duration",  # semantic_max_gen_duration_s was reached
    "given",  # semantic tokens came with the request, stage 1 did not run
    "empty",  # the utterance ended before its first token: there is nothing to hear
    "cancelled",  # the caller's event was set before this request was finished
    "failed",  # it could not be rendered; `Rendering.reason` says why
]


@dataclass(frozen=True)
class RenderSettings:
    """Sampling settings, named after Bark Infinity's flags.

    Filters are applied in Suno's order: top_p, then top_k, then temperature; temperature 0 takes the likeliest token.
    ``None`` means "off" for filters and limits, and "the checkpoint's own" for window sizes.

    Raises:
        BarkError: When a value lies outside its range.
    """

    semantic_temp: float = 0.7
    semantic_top_k: int | None = None
    semantic_top_p: float | None = None
    semantic_min_eos_p: float | None = 0.2  # stop as soon as P(end) reaches this; None: only when it is drawn
    semantic_allow_early_stop: bool = True  # False: Confused Travolta Mode, never stops before the limit
    semantic_max_gen_duration_s: float | None = None
    semantic_max_tokens: int | None = None
    semantic_history_oversize_limit: int | None = None  # use only the last N semantic tokens of the voice in stage 1

    coarse_temp: float = 0.7
    coarse_top_k: int | None = None
    coarse_top_p: float | None = None
    coarse_max_coarse_history: int | None = None  # flat coarse tokens in view (Suno: 630)
    coarse_sliding_window_len: int | None = None  # flat coarse tokens per window (Suno: 60)
    coarse_history_time_alignment_hack: int = -2  # flat coarse tokens dropped at the end of the voice, as -n

    fine_temp: float | None = 0.5  # None or 0: the likeliest code

    def __post_init__(self) -> None:
        for name in ("semantic_temp", "coarse_temp", "fine_temp"):
            value = getattr(self, name)
            if value is None and name == "fine_temp":
                continue
            if value is None or not 0 <= value < float("inf"):
                raise BarkError(
                    f"{name} is {value}, expected a finite number of at least 0; 0 takes the likeliest token"
                )
        for name in (
            "semantic_top_k",
            "coarse_top_k",
            "semantic_max_tokens",
            "semantic_history_oversize_limit",
        ):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise BarkError(f"{name} is {value}, expected at least 1, or None to switch it off")
        for name in ("semantic_top_p", "coarse_top_p", "semantic_min_eos_p"):
            value = getattr(self, name)
            if value is not None and not 0 < value <= 1:
                raise BarkError(f"{name} is {value}, expected a probability in (0, 1], or None to switch it off")
        limit = self.semantic_max_gen_duration_s
        if limit is not None and not 0 < limit < float("inf"):
            raise BarkError(f"semantic_max_gen_duration_s is {limit}, expected seconds above 0, or None for no limit")
        if self.coarse_history_time_alignment_hack > 0:
            raise BarkError(
                f"coarse_history_time_alignment_hack is {self.coarse_history_time_alignment_hack}, expected 0 or a "
                "negative number of flat coarse tokens to drop"
            )


@dataclass(frozen=True, eq=False)
class RenderRequest:
    """One utterance to render.

    ``text``, ``text_ids`` or tokens that are already there say what is spoken: exactly one of the three.

    Attributes:
        text: What to say.
        text_ids: Ids of the checkpoint's front end (before its text offset), instead of ``text``.
        voice: History to continue; None lets the model choose a voice.
        seed: Seed of all three stages. Same request, same tokens, whatever shares its batch.
        settings: None takes `BarkEngine.default_settings`.
        semantic_seed: Replaces ``seed`` in stage 1 only; so do ``coarse_seed`` and ``fine_seed`` in theirs.
        semantic: (S,) semantic tokens that are already there: rendering begins at stage 2.
        coarse: (n_coarse_codebooks, T) coarse tokens that are already there, with the semantic tokens they belong to
            or without: rendering begins at stage 3.

    Raises:
        BarkError: When what is spoken is missing or given twice, or a seed is not an integer in range.
    """

    text: str | None = None
    text_ids: Sequence[int] | None = None
    voice: VoiceHistory | None = None
    seed: int = 0
    settings: RenderSettings | None = None
    semantic_seed: int | None = None
    coarse_seed: int | None = None
    fine_seed: int | None = None
    semantic: Int64Array | None = None
    coarse: Int64Array | None = None

    def __post_init__(self) -> None:
        tokens = self.semantic is not None or self.coarse is not None
        given = [name for name in ("text", "text_ids") if getattr(self, name) is not None] + ["tokens"] * tokens
        if len(given) != 1:
            raise BarkError(
                f"a request needs exactly one of text, text_ids and tokens (semantic, coarse), got "
                f"{' and '.join(given) or 'none'}"
            )
        for name in ("seed", "semantic_seed", "coarse_seed", "fine_seed"):
            seed = getattr(self, name)
            if seed is None and name != "seed":
                continue
            if not hasattr(seed, "__index__") or not 0 <= operator.index(seed) < 2**64:
                raise BarkError(f"{name} is {seed!r}, expected an integer from 0 to 2**64 - 1")

    def stage_seed(self, stage: str) -> int:
        """The seed that a stage draws from."""
        own: int | None = getattr(self, f"{stage}_seed")
        return self.seed if own is None else own


@dataclass(frozen=True)
class StageStats:
    """What one stage's tokens were like; a looping or stuck model shows here first.

    Attributes:
        count: Tokens sampled.
        distinct: Different ids among them.
        longest_run: Longest run of one id (per codebook, the longest of all).
        mean_log_prob: Mean natural log of the probability each token had when it was drawn, after filters and
            temperature; NaN when nothing was drawn.
    """

    count: int
    distinct: int
    longest_run: int
    mean_log_prob: float


@dataclass(frozen=True)
class Timings:
    """Seconds this request's share of its batches took, by stage (batch time divided by rows)."""

    semantic_s: float = 0.0
    coarse_s: float = 0.0
    fine_s: float = 0.0
    codec_s: float = 0.0

    @property
    def total_s(self) -> float:
        """All four stages together."""
        return self.semantic_s + self.coarse_s + self.fine_s + self.codec_s


@dataclass(frozen=True, eq=False)
class Rendering:
    """One rendered utterance.

    Attributes:
        audio: (S,) float32 at ``sample_rate``; None when decoding was not asked for or the request was cancelled.
        tokens: All that was generated. Cancelled half-way, stage 1 gives the tokens it had; the others all or nothing.
        stopped: Why stage 1 ended, or ``empty``, ``cancelled``, ``failed``.
        reason: What went wrong, when it failed.
        stats: By stage name.
        notices: What the user should know: dropped symbols, truncated text.
    """

    tokens: BarkTokens
    stopped: StopReason
    audio: NDArray[np.float32] | None = None
    sample_rate: int = 24_000
    timings: Timings = field(default_factory=Timings)
    stats: dict[str, StageStats] = field(default_factory=dict)
    notices: tuple[str, ...] = ()
    reason: str | None = None
    voice_space: TokenSpace = SUNO_TOKENS

    @property
    def duration_s(self) -> float:
        """Length of the audio in seconds; 0 without audio."""
        return 0.0 if self.audio is None else len(self.audio) / self.sample_rate

    def as_voice(self) -> VoiceHistory:
        """This rendering as a voice that others can continue.

        Raises:
            VoiceFormatError: When a stage's tokens are not there: it is empty, was cancelled before, or failed.
        """
        return VoiceHistory(self.tokens.semantic, self.tokens.coarse, self.tokens.fine, space=self.voice_space)


@dataclass(frozen=True)
class RenderProgress:
    """One step forward, as told to ``progress``.

    Attributes:
        stage: The stage that is running.
        done: Sampling steps (semantic, coarse), passes over a window (fine) or clips (codec) of this call so far.
        total: Upper bound of ``done``; stage 1 usually ends earlier.
    """

    stage: Stage
    done: int
    total: int


Watch = Callable[[int], bool]
"""What a stage calls with the tokens made since its last call; True asks it to stop."""
