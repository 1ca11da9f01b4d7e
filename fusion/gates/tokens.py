"""Gates on tokens: a stuck, looping, endless or empty rendering shows before anything is decoded.

They read semantic and acoustic tokens of any `TokenSpace`, so they judge stored voices as well as renderings. Times
are in seconds, so that one table of limits serves every token rate. Light module: numpy only.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from bark_infinity.error_handling import BarkError
from bark_infinity.requests import StopReason
from bark_infinity.tokens import SUNO_TOKENS, BarkTokens, Int64Array, TokenSpace
from fusion.gates.thresholds import THRESHOLDS, Thresholds
from fusion.gates.verdict import GateVerdict

LOOP_WINDOW = 25  # tokens: half a second
LOOP_MATCH = 0.7  # of a window's tokens; two rounds may differ here and there
LOOP_MIN_CHANGES = 6  # in a window
MAX_LOOP_S = 8.0  # of one round; a longer one does not fit a rendering twice


@dataclass(frozen=True)
class TokenMeasures:
    """What a rendering's tokens are like; 0 where there are none to tell.

    Attributes:
        semantic_s: Time the semantic tokens stand for.
        adjacent_repeats: Share of semantic tokens equal to the one before.
        longest_run_s: Longest run of one semantic token.
        frame_repeats: Share of codec frames equal to the one before in every coarse codebook.
        loop_share: Share of semantic tokens that repeat an earlier stretch, see `loop_share`.
    """

    semantic_s: float
    adjacent_repeats: float
    longest_run_s: float
    frame_repeats: float
    loop_share: float


def measure_tokens(tokens: BarkTokens, space: TokenSpace = SUNO_TOKENS) -> TokenMeasures:
    """Measures what the token gates go by.

    Args:
        tokens: Of a rendering or a voice; stages that have not run are empty.
        space: Whose tokens they are; gives their rate.
    """
    semantic = np.asarray(tokens.semantic)
    frames = np.asarray(tokens.fine if tokens.fine.size else tokens.coarse)[: space.n_coarse_codebooks]  # (C, T)
    changes = np.diff(semantic) != 0
    frame_changes = (np.diff(frames, axis=1) != 0).any(axis=0)
    edges = np.flatnonzero(np.concatenate([[True], changes, [True]])) if semantic.size else np.zeros(1, np.int64)
    lengths = np.diff(edges)
    return TokenMeasures(
        semantic_s=semantic.size / space.semantic_rate_hz,
        adjacent_repeats=1 - float(changes.mean()) if changes.size else 0.0,
        longest_run_s=int(lengths.max(initial=0)) / space.semantic_rate_hz,
        frame_repeats=1 - float(frame_changes.mean()) if frame_changes.size else 0.0,
        loop_share=loop_share(semantic, round(MAX_LOOP_S * space.semantic_rate_hz)),
    )


def loop_share(semantic: Int64Array, max_lag: int) -> float:
    """Share of tokens that lie in a stretch which was there before.

    A stretch of `LOOP_WINDOW` tokens counts as repeated when `LOOP_MATCH` of them equal those some lag earlier, and
    its token changes often enough to be no pause or long vowel.

    Args:
        semantic: (S,) tokens.
        max_lag: The longest round looked for, in tokens.
    """
    changes = np.concatenate([[False], semantic[1:] != semantic[:-1]])[: semantic.size]
    lively = _in_windows(changes) >= LOOP_MIN_CHANGES
    repeated = np.zeros(semantic.size, bool)
    for lag in range(1, min(max_lag, semantic.size - LOOP_WINDOW) + 1):
        alike = _in_windows(semantic[lag:] == semantic[:-lag]) >= LOOP_MATCH * LOOP_WINDOW
        for start in np.flatnonzero(alike & lively[lag:]) + lag:
            repeated[start : start + LOOP_WINDOW] = True
    return float(repeated.mean()) if repeated.size else 0.0


def _in_windows(marks: NDArray[np.bool_]) -> Int64Array:
    """(n - LOOP_WINDOW + 1,) marks in the window that begins at each place; empty when there is none."""
    total = np.concatenate([[0], np.cumsum(marks)])
    return np.asarray(total[LOOP_WINDOW:] - total[:-LOOP_WINDOW], np.int64)


def judge_tokens(
    tokens: BarkTokens,
    space: TokenSpace = SUNO_TOKENS,
    *,
    stopped: StopReason | None = None,
    text: str | None = None,
    open_ended: bool = False,
    thresholds: Thresholds = THRESHOLDS,
) -> tuple[GateVerdict, ...]:
    """Asks every token gate: ``empty``, ``stuck``, ``looping``, ``never_stopped``, in this order.

    Args:
        tokens: Of a rendering or a voice.
        space: Whose tokens they are.
        stopped: Why stage 1 ended; None for voices, where nobody knows.
        text: What should be said; a text that repeats itself may loop.
        open_ended: The rendering was meant to run to its limit (Confused Travolta Mode, previews).
        thresholds: Limits.

    Raises:
        BarkError: When the rendering was cancelled: it is unfinished, not unfit.
    """
    if stopped == "cancelled":
        raise BarkError("a cancelled rendering cannot be judged, it is unfinished; render it again")
    measures = measure_tokens(tokens, space)
    evidence = asdict(measures)
    return (
        _empty(tokens, measures, stopped, thresholds),
        _stuck(measures, evidence, thresholds),
        _looping(measures, text, thresholds),
        _never_stopped(measures, stopped, open_ended),
    )


def _empty(
    tokens: BarkTokens, measures: TokenMeasures, stopped: StopReason | None, thresholds: Thresholds
) -> GateVerdict:
    evidence = {"semantic_s": measures.semantic_s, "semantic_s_limit": thresholds.min_semantic_s}
    if stopped == "empty" or tokens.semantic.size == 0:
        return GateVerdict(False, "empty", "the utterance ended before its first token", evidence)
    if measures.semantic_s < thresholds.min_semantic_s:
        reason = f"its tokens last {measures.semantic_s:.2f} s, shorter than any word"
        return GateVerdict(False, "empty", reason, evidence)
    return GateVerdict(True, "empty", evidence=evidence)


def _stuck(measures: TokenMeasures, evidence: dict[str, float], thresholds: Thresholds) -> GateVerdict:
    limits = {
        "longest_run_s": (thresholds.max_run_s, "one semantic token is held for {:.1f} s"),
        "adjacent_repeats": (thresholds.max_adjacent_repeats, "{:.0%} of its semantic tokens repeat the one before"),
        "frame_repeats": (thresholds.max_frame_repeats, "{:.0%} of its sound frames repeat the one before"),
    }
    shown = {name: evidence[name] for name in limits}
    for name, (limit, words) in limits.items():
        if evidence[name] > limit:
            return GateVerdict(False, "stuck", words.format(evidence[name]), shown | {f"{name}_limit": limit})
    return GateVerdict(True, "stuck", evidence=shown)


def _looping(measures: TokenMeasures, text: str | None, thresholds: Thresholds) -> GateVerdict:
    evidence = {"loop_share": measures.loop_share, "loop_share_limit": thresholds.max_loop_share}
    if measures.loop_share <= thresholds.max_loop_share:
        return GateVerdict(True, "looping", evidence=evidence)
    if text is not None and repeats_itself(text):
        return GateVerdict(True, "looping", "not judged: the text repeats itself", evidence)
    reason = f"{measures.loop_share:.0%} of its tokens repeat what was said before"
    return GateVerdict(False, "looping", reason, evidence)


def _never_stopped(measures: TokenMeasures, stopped: StopReason | None, open_ended: bool) -> GateVerdict:
    evidence = {"semantic_s": measures.semantic_s}
    if stopped not in ("max_tokens", "max_duration"):
        reason = "not judged: nobody knows how it ended" if stopped is None else None
        return GateVerdict(True, "never_stopped", reason, evidence)
    if open_ended:
        return GateVerdict(True, "never_stopped", "not judged: it was meant to run to its limit", evidence)
    reason = f"the model had not ended the utterance after {measures.semantic_s:.1f} s"
    return GateVerdict(False, "never_stopped", reason, evidence)


def repeats_itself(text: str) -> bool:
    """Whether half of a text's words or more were there before, as in ``no no no no``."""
    words = re.findall(r"\w+", text.lower())
    return len(words) >= 4 and len(set(words)) <= len(words) / 2
