"""Candidates, scores and renderings as columns, and back, exactly; and the digests that say what a row means.

A digest is taken over a canonical JSON line. Floats are written by their shortest exact form, so equal numbers give
equal lines on every machine. Wall-clock facts (times, durations) are in no line.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bark_infinity.requests import Rendering, RenderRequest, RenderSettings, StageStats
from bark_infinity.tokens import SUNO_TOKENS, BarkTokens
from bark_infinity.voices.history import VoiceHistory
from digital_evolution import Candidate
from experiments.lineage.errors import LineageError
from fusion.score import Score, Status, Term

_DIGEST_BYTES = 16
_TWO_64, _TWO_63 = 1 << 64, 1 << 63
MAX_BIRTH = (1 << 32) - 1
_REQUEST_PLAIN = ("text", "text_ids", "seed", "semantic_seed", "coarse_seed", "fine_seed")


def row_id(run_id: int, birth: int) -> int:
    """The integer that stands for a birth in every table."""
    return run_id << 32 | birth


def birth_of(row: int) -> int:
    """The birth number in a `row_id`."""
    return row & MAX_BIRTH


def signed(seed: int) -> int:
    """A seed of 0 to 2**64 - 1 as SQLite's signed integer."""
    return seed - _TWO_64 if seed >= _TWO_63 else seed


def unsigned(seed: int) -> int:
    """The seed of a `signed` one."""
    return seed + _TWO_64 if seed < 0 else seed


def canonical_json(value: Any, what: str) -> str:
    """Compact JSON with the keys in their order; numpy numbers become Python's, tuples lists.

    Raises:
        LineageError: When it holds something that JSON has no form for, NaN and infinity included.
    """
    return _encoded(_IN_ORDER, value, what)


def sorted_json(value: Any, what: str) -> str:
    """As `canonical_json`, with all keys sorted: equal mappings give equal texts."""
    return _encoded(_SORTED, value, what)


def _encoded(encoder: json.JSONEncoder, value: Any, what: str) -> str:
    try:
        return encoder.encode(value)
    except (TypeError, ValueError) as error:
        raise LineageError(
            f"{what} cannot be recorded: {error}; use text, finite numbers, lists and mappings", "invalid"
        ) from error


def decoded(text: str, what: str) -> Any:
    """What a JSON column holds.

    Raises:
        LineageError: ``damaged``, when it is no JSON, or nested without end.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise LineageError(f"{what} cannot be read: {error}; restore a backup", "damaged") from error


def tuples(value: Any) -> Any:
    """Decoded JSON with tuples for lists, as recorded parameters have them."""
    if isinstance(value, list):
        return tuple(tuples(part) for part in value)
    if isinstance(value, dict):
        return {key: tuples(part) for key, part in value.items()}
    return value


def digest(line: str) -> bytes:
    """Sixteen bytes that stand for a canonical line."""
    return hashlib.sha256(line.encode()).digest()[:_DIGEST_BYTES]


def run_digest(
    name: str,
    config: Mapping[str, Any],
    checkpoints: Mapping[str, str],
    weights: Mapping[str, float],
    seed: int,
    branched_from: tuple[int, int] | None,
) -> bytes:
    """Hash of all that decides a run."""
    facts = [name, config, checkpoints, _floats(weights), seed, branched_from]
    return hashlib.sha256(sorted_json(facts, "a run").encode()).digest()


# -- candidates -------------------------------------------------------------------------------------------------


def candidate_line(candidate: Candidate, genome_sha256: str, render_first: str | None) -> str:
    """The canonical line of a birth as it was asked for; its run is not in it."""
    parents = [[parent.birth, parent.role] for parent in candidate.parents]
    facts = [candidate.birth, genome_sha256, parents, candidate.operator, candidate.operator_version]
    facts += [candidate.parameters, candidate.generation, candidate.seed, candidate.island, candidate.rate]
    return sorted_json([*facts, render_first], f"birth {candidate.birth}")


def settings_json(settings: RenderSettings) -> str:
    """All fields, so that a default of a later program does not change what was rendered."""
    return sorted_json(vars(settings), "render settings")


def request_json(request: RenderRequest) -> str:
    """A request; its voice by hash, its tokens as deflated little-endian uint32 in base64."""
    facts: dict[str, Any] = {
        name: getattr(request, name) for name in _REQUEST_PLAIN if getattr(request, name) is not None
    }
    if request.settings is not None:
        facts["settings"] = vars(request.settings)
    if request.voice is not None:
        facts["voice"] = request.voice.sha256
    for name in ("semantic", "coarse"):
        tokens = getattr(request, name)
        if tokens is not None:
            blob = zlib.compress(np.ascontiguousarray(tokens, "<u4").tobytes())
            facts[name] = [list(np.shape(tokens)), base64.b64encode(blob).decode()]
    return sorted_json(facts, "what is rendered first")


def request_from(text: str, voice: VoiceHistory | None) -> RenderRequest:
    """The request of `request_json`, with the voice that its hash stands for.

    Raises:
        LineageError: ``damaged``, when the text is none of `request_json`.
        BarkError: When it breaks a rule of requests.
    """
    try:
        facts = json.loads(text)
        facts.pop("voice", None)
        if "settings" in facts:
            facts["settings"] = RenderSettings(**facts["settings"])
        for name in ("semantic", "coarse"):
            if name in facts:
                shape, blob = facts[name]
                size = math.prod(shape)
                raw = zlib.decompressobj().decompress(base64.b64decode(blob), 4 * size + 1)
                facts[name] = np.frombuffer(raw, "<u4").astype(np.int64).reshape(shape)
        return RenderRequest(voice=voice, **facts)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, zlib.error) as error:
        raise LineageError(f"a stored request cannot be read: {error}; restore a backup", "damaged") from error


# -- scores -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ScoreColumns:
    """A score as `evaluations` keeps it."""

    status: Status
    terms: str | None
    layout: str
    numbers: bytes
    reason: str | None
    evidence: str | None
    unknown: str | None


def score_columns(score: Score) -> ScoreColumns:
    """Splits a score into what differs per birth and what does not (names, versions, units)."""
    terms = {name: float(term.value) for name, term in score.terms.items()}
    layout = {
        "terms": [[term.name, term.version, term.unit, term.measure is not None] for term in score.terms.values()],
        "measures": list(score.measures),
    }
    for key, term in score.terms.items():
        if key != term.name:
            raise LineageError(f"a score has term {term.name!r} under the name {key!r}; use one name", "invalid")
    measured = [float(term.measure) for term in score.terms.values() if term.measure is not None]
    return ScoreColumns(
        score.status,
        canonical_json(terms, "terms") if terms else None,
        canonical_json(layout, "a score's layout"),
        _packed_numbers([*measured, *map(float, score.measures.values())]),
        score.reason,
        canonical_json(_floats(score.evidence), "evidence") if score.evidence else None,
        canonical_json(score.unknown, "unknown terms") if score.unknown else None,
    )


def terms_from(text: str | None) -> dict[str, float]:
    """Values of terms by name.

    Raises:
        LineageError: ``damaged``, when the text is none of `score_columns`.
    """
    try:
        return _floats(json.loads(text)) if text else {}
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise LineageError(f"stored terms cannot be read: {error}; restore a backup", "damaged") from error


def score_from(columns: ScoreColumns) -> Score:
    """The score of its columns.

    Raises:
        LineageError: ``damaged``, when they do not fit each other.
        BarkError: When they break a rule of scores.
    """
    try:
        layout = json.loads(columns.layout)
        values = terms_from(columns.terms)
        numbers = iter(_unpacked_numbers(columns.numbers))
        terms = {
            name: Term(name, values[name], version, next(numbers) if measured else None, unit)
            for name, version, unit, measured in layout["terms"]
        }
        measures = {name: next(numbers) for name in layout["measures"]}
        evidence = _floats(json.loads(columns.evidence)) if columns.evidence else {}
        unknown = json.loads(columns.unknown) if columns.unknown else {}
        if next(numbers, None) is not None or len(terms) != len(values):
            raise ValueError("more numbers than names")
        return Score(columns.status, terms, columns.reason, evidence, measures, unknown)
    except (ValueError, KeyError, TypeError, StopIteration, AttributeError, RecursionError) as error:
        raise LineageError(f"a stored score does not fit its layout: {error}; restore a backup", "damaged") from error


def score_line(score: Score) -> str:
    """The canonical line of a score."""
    terms = [
        [term.name, float(term.value), term.version, None if term.measure is None else float(term.measure), term.unit]
        for term in score.terms.values()
    ]
    facts: list[Any] = [score.status, terms, score.reason, _floats(score.evidence), _floats(score.measures)]
    if score.unknown:  # files of schema 2 and before could not keep any
        facts.append(list(score.unknown.items()))
    return sorted_json(facts, "a score")


# -- renderings -------------------------------------------------------------------------------------------------


def rendering_json(rendering: Rendering) -> str:
    """All of a rendering but its tokens, audio and timings."""
    stats = {
        stage: [had.count, had.distinct, had.longest_run, None if math.isnan(had.mean_log_prob) else had.mean_log_prob]
        for stage, had in rendering.stats.items()
    }
    facts: dict[str, Any] = {
        "stopped": rendering.stopped,
        "sample_rate": rendering.sample_rate,
        "n_samples": 0 if rendering.audio is None else len(rendering.audio),
        "stats": stats,
    }
    if rendering.notices:
        facts["notices"] = list(rendering.notices)
    if rendering.reason is not None:
        facts["reason"] = rendering.reason
    return canonical_json(facts, "a rendering")


def rendering_from(text: str, voice: VoiceHistory | None) -> Rendering:
    """A rendering without its audio, which its tokens decode to, and without its timings.

    Raises:
        LineageError: ``damaged``, when the text is none of `rendering_json`.
    """
    try:
        facts = json.loads(text)
        stats = {
            stage: StageStats(count, distinct, run, math.nan if log_prob is None else log_prob)
            for stage, (count, distinct, run, log_prob) in facts["stats"].items()
        }
        return Rendering(
            BarkTokens() if voice is None else BarkTokens(voice.semantic, voice.coarse, voice.fine),
            facts["stopped"],
            sample_rate=facts["sample_rate"],
            stats=stats,
            notices=tuple(facts.get("notices", ())),
            reason=facts.get("reason"),
            voice_space=SUNO_TOKENS if voice is None else voice.space,
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise LineageError(f"a stored rendering cannot be read: {error}; restore a backup", "damaged") from error


def evaluation_line(score: Score, rendering: str | None, output_sha256: str | None) -> str:
    """The canonical line of an evaluation."""
    return canonical_json([score_line(score), rendering, output_sha256], "an evaluation")


# -- numbers ----------------------------------------------------------------------------------------------------


def _packed_numbers(values: list[float]) -> bytes:
    """float64, or float32 where that loses nothing; little-endian, after a letter."""
    wide = np.array(values, "<f8")
    if not np.isfinite(wide).all():
        raise LineageError("a measure is NaN or infinite; leave out what could not be measured", "invalid")
    with np.errstate(over="ignore"):
        narrow = wide.astype("<f4")
    return b"f" + narrow.tobytes() if (narrow.astype("<f8") == wide).all() else b"d" + wide.tobytes()


def _unpacked_numbers(blob: bytes) -> list[float]:
    values: list[float] = np.frombuffer(blob[1:], {b"f": "<f4", b"d": "<f8"}[blob[:1]]).astype(float).tolist()
    return values


def finite(value: float, what: str) -> float:
    """A stored number as it is.

    Raises:
        LineageError: ``damaged``, when it is infinite or none: no program writes such a thing.
    """
    if not math.isfinite(value):
        raise LineageError(
            f"{what} is {value}, expected a finite number: the file was altered or damaged; restore a backup, or see "
            "what else is wrong with: bark-lab verify",
            "damaged",
        )
    return value


def _floats(values: Mapping[str, float]) -> dict[str, float]:
    return {name: float(value) for name, value in values.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")


_STYLE: dict[str, Any] = {"separators": (",", ":"), "ensure_ascii": False, "allow_nan": False, "default": _plain}
_IN_ORDER, _SORTED = json.JSONEncoder(**_STYLE), json.JSONEncoder(**_STYLE, sort_keys=True)
