"""What comes out of the lineage: frozen records, by run and birth number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from digital_evolution import Candidate
from fusion.score import Score, Status

RunState = Literal["new", "running", "paused", "done", "failed"]


@dataclass(frozen=True)
class Run:
    """One run.

    Attributes:
        run_id: Number in its file, from 1.
        name: Unique in its file.
        state: What became of it so far.
        reason: Of the state, in plain words.
        config: All settings.
        seed: Of everything random in it.
        versions: Of the program and its libraries.
        checkpoints: Content hashes of the models, by name.
        weights: Of the terms in `Outcome.total`; empty when there is no total.
        branched_from: Run and birth whose genome it began with.
        created_at: Seconds since 1970.
        execution: How it is conducted, which does not decide what comes of it; may change while it runs.
    """

    run_id: int
    name: str
    state: RunState
    reason: str | None
    config: Mapping[str, Any]
    seed: int
    versions: Mapping[str, str]
    checkpoints: Mapping[str, str]
    weights: Mapping[str, float]
    branched_from: tuple[int, int] | None
    created_at: float
    execution: Mapping[str, Any]


@dataclass(frozen=True)
class Outcome:
    """What came of one rendering of a birth.

    Attributes:
        birth: Which.
        replicate: 0 for what the swarm was told, others for renderings with other seeds or texts.
        score: The judgement.
        total: Terms weighted by the run's weights; None without weights, or when the status is not ``ok``.
        output_sha256: The rendered tokens, as `VoiceHistory.sha256`; None when there are none.
        timings: Seconds by stage.
        told_at: Seconds since 1970.
    """

    birth: int
    replicate: int
    score: Score
    total: float | None
    output_sha256: str | None
    timings: Mapping[str, float]
    told_at: float


@dataclass(frozen=True)
class Event:
    """One thing that happened in a run, in order.

    Attributes:
        seq: From 1, without gaps.
        kind: ``asked``, ``told``, or what the recorder called it.
        births: The births it is about, in order.
        payload: What else there is to know.
        at: Seconds since 1970; None for what was asked and told.
    """

    seq: int
    kind: str
    births: range
    payload: Any
    at: float | None


@dataclass(frozen=True)
class Card:
    """One birth as a page shows it."""

    birth: int
    generation: int
    operator: str
    prompt: str
    voice_sha256: str | None
    parents: tuple[int, ...]
    status: Status | Literal["pending"]
    total: float | None
    terms: Mapping[str, float]
    reason: str | None


@dataclass(frozen=True)
class Life:
    """A birth with what came of it, as it is replayed."""

    candidate: Candidate
    outcome: Outcome | None
