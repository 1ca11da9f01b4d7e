"""One request on its way through the stages: checked before any work, filled stage by stage, read out at the end."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bark_infinity.bark_config import BarkConfig
from bark_infinity.error_handling import BarkError
from bark_infinity.requests import Rendering, RenderRequest, RenderSettings, Stage, StageStats, StopReason, Timings
from bark_infinity.text_front_end import TextFrontEnd
from bark_infinity.tokens import BarkTokens, Int64Array


@dataclass(eq=False)
class Utterance:
    """A request, what it needs resolved, and what the stages have made of it so far."""

    request: RenderRequest
    settings: RenderSettings
    text_ids: tuple[int, ...]
    notices: tuple[str, ...]
    semantic: Int64Array | None = None
    coarse: Int64Array | None = None
    fine: Int64Array | None = None
    audio: NDArray[np.float32] | None = None
    stopped: StopReason = "given"
    reason: str | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    stats: dict[str, StageStats] = field(default_factory=dict)

    @property
    def goes_on(self) -> bool:
        """Whether there is anything left to render."""
        return self.stopped not in ("empty", "cancelled", "failed")

    def has(self, stage: Stage) -> bool:
        """Whether what the stage makes is there already, or is not needed for what was given."""
        if stage == "semantic":
            return self.semantic is not None or self.coarse is not None
        made = {"coarse": self.coarse, "fine": self.fine, "codec": self.audio}
        return made[stage] is not None

    def cancel(self) -> None:
        """Notes that the caller stopped before this utterance was finished."""
        self.stopped = "cancelled"

    def fail(self, reason: str) -> None:
        """Notes that this utterance cannot be rendered; the others go on."""
        self.stopped, self.reason = "failed", reason

    def rendering(self, config: BarkConfig) -> Rendering:
        """What the caller gets."""
        space = config.space
        semantic = np.zeros(0, np.int64) if self.semantic is None else self.semantic
        coarse = np.zeros((space.n_coarse_codebooks, 0), np.int64) if self.coarse is None else self.coarse
        fine = np.zeros((space.n_fine_codebooks, 0), np.int64) if self.fine is None else self.fine
        audio = np.zeros(0, np.float32) if self.stopped == "empty" else self.audio
        return Rendering(
            tokens=BarkTokens(semantic, coarse, fine),
            stopped=self.stopped,
            audio=audio,
            sample_rate=config.sample_rate,
            timings=Timings(**{f"{stage}_s": seconds for stage, seconds in self.seconds.items()}),
            stats=self.stats,
            notices=self.notices,
            reason=self.reason,
            voice_space=space,
        )


def prepare(
    request: RenderRequest, config: BarkConfig, defaults: RenderSettings, front_end: TextFrontEnd | None, who: str
) -> Utterance:
    """Checks one request against a checkpoint and resolves its text.

    Args:
        request: What the caller wants.
        config: The checkpoint's numbers.
        defaults: Settings of a request that brings none.
        front_end: Turns text into ids; None when the checkpoint has no tokenizer files.
        who: How errors call the checkpoint.

    Raises:
        BarkError: When the request cannot be rendered by this checkpoint.
        VoiceFormatError: When its voice belongs to another family of checkpoints.
    """
    settings = request.settings or defaults
    _check_windows(settings, config)
    if request.voice is not None:
        request.voice.require_space(config.space, who)
    if request.semantic is None and request.coarse is not None:
        return Utterance(request, settings, (), (), coarse=_coarse(request.coarse, None, config))
    if request.semantic is not None:
        semantic = _codes(request.semantic, config.space.semantic_vocab_size, "semantic tokens")
        if semantic.ndim != 1 or len(semantic) == 0:
            raise BarkError(f"semantic tokens have shape {semantic.shape}, expected (S,) with S of at least 1")
        utterance = Utterance(request, settings, (), (), semantic=semantic)
        if request.coarse is not None:
            utterance.coarse = _coarse(request.coarse, len(semantic), config)
        return utterance
    text_ids, notices = _text_ids(request, config, front_end, who)
    if not text_ids and settings.semantic_allow_early_stop:
        raise BarkError(
            f"there is nothing to say: the text is {request.text!r}; give text, or switch "
            "semantic_allow_early_stop off to let the model talk by itself"
        )
    slots = config.semantic.max_input_semantic_length
    if len(text_ids) > slots:
        notices = (*notices, f"the text has {len(text_ids)} tokens, only the first {slots} are spoken; split the text")
    return Utterance(request, settings, text_ids, notices)


def _text_ids(
    request: RenderRequest, config: BarkConfig, front_end: TextFrontEnd | None, who: str
) -> tuple[tuple[int, ...], tuple[str, ...]]:
    if request.text is not None:
        if front_end is None:
            raise BarkError(
                f"{who} has no tokenizer files, so it cannot read text: put tokenizer.json or vocab.txt into its "
                "directory, or pass text_ids"
            )
        encoding = front_end.encode(request.text)
        ids, notices = encoding.ids, encoding.notices
    else:
        given = () if request.text_ids is None else request.text_ids
        if not all(hasattr(i, "__index__") for i in given):
            raise BarkError(f"text ids are {given!r}, expected integers")
        ids, notices = tuple(operator.index(i) for i in given), ()
    room = config.semantic_gpt.input_vocab_size - config.semantic.text_encoding_offset
    for text_id in ids:
        if not 0 <= text_id < room:
            raise BarkError(f"text id {text_id} is outside 0..{room - 1}, the ids that {who} knows")
    return ids, notices


def _check_windows(settings: RenderSettings, config: BarkConfig) -> None:
    stage = config.coarse
    history = settings.coarse_max_coarse_history
    history = stage.max_coarse_history if history is None else history
    window = settings.coarse_sliding_window_len
    window = stage.sliding_window_len if window is None else window
    codebooks = stage.n_coarse_codebooks
    if history < 1 or window < 1 or window % codebooks:
        raise BarkError(
            f"coarse_max_coarse_history is {history} and coarse_sliding_window_len {window}; expected at least 1, "
            f"and a window that holds whole frames of {codebooks} codebooks"
        )
    positions = config.coarse_positions(history, window)
    if positions > config.coarse_gpt.block_size:
        most = config.coarse_gpt.block_size - (positions - history - window)
        raise BarkError(
            f"coarse_max_coarse_history {history} and coarse_sliding_window_len {window} are {history + window} "
            f"together, this checkpoint has room for {most}"
        )
    if settings.coarse_history_time_alignment_hack % codebooks:
        raise BarkError(
            f"coarse_history_time_alignment_hack is {settings.coarse_history_time_alignment_hack}, expected a "
            f"multiple of {codebooks}: a part of a frame would swap the codebooks"
        )


def _codes(values: Int64Array, size: int, what: str) -> Int64Array:
    codes = np.asarray(values)
    if codes.dtype.kind not in "iu":
        raise BarkError(f"{what} are {codes.dtype}, expected integers")
    if codes.size and not (int(codes.min()) >= 0 and int(codes.max()) < size):
        raise BarkError(f"{what} run from {codes.min()} to {codes.max()}, this checkpoint holds 0..{size - 1}")
    return codes.astype(np.int64)


def _coarse(values: Int64Array, n_semantic: int | None, config: BarkConfig) -> Int64Array:
    """Checks coarse codes, against the semantic tokens they belong to where those are given."""
    space = config.space
    codes = _codes(values, space.codebook_size, "coarse tokens")
    if n_semantic is None:
        if codes.ndim != 2 or len(codes) != space.n_coarse_codebooks or codes.shape[1] == 0:
            raise BarkError(f"coarse tokens have shape {codes.shape}, expected ({space.n_coarse_codebooks}, T)")
        return codes
    expected = (space.n_coarse_codebooks, space.frames_for(n_semantic))
    if codes.shape != expected:
        raise BarkError(
            f"coarse tokens have shape {codes.shape}, expected {expected}, the frames of {n_semantic} semantic tokens"
        )
    return codes


def stage_stats(codes: Int64Array, log_probs: NDArray[np.float32]) -> StageStats:
    """Summarises one stage's tokens.

    Args:
        codes: (T,) or (C, T), what was sampled.
        log_probs: Natural logs of their probabilities, any shape.
    """
    rows = np.atleast_2d(codes)
    return StageStats(
        count=int(codes.size),
        distinct=len(np.unique(codes)),
        longest_run=max((_longest_run(row) for row in rows), default=0),
        mean_log_prob=float(log_probs.mean()) if log_probs.size else float("nan"),
    )


def _longest_run(codes: Sequence[int] | Int64Array) -> int:
    if len(codes) == 0:
        return 0
    changes = np.flatnonzero(np.diff(codes)) + 1
    return int(np.diff(np.concatenate([[0], changes, [len(codes)]])).max())
