"""Two runs of a file side by side: settings that differ, the first birth at which they part, and what they came to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from digital_evolution import Candidate
from experiments.lineage import Outcome, Run, browse
from experiments.lineage.reading import LineageReader
from experiments.lineage.rows import MAX_BIRTH, row_id
from experiments.lineage.tallies import TOTAL
from experiments.replay.history import as_asked
from experiments.replay.settings import recorded_settings
from fusion.score import Score

Aspect = Literal["operator", "parents", "genome", "seed", "score", "tokens", "end"]
_SHOWN = 60  # letters of a value


@dataclass(frozen=True)
class Parting:
    """The first birth that is not the same in both runs.

    Attributes:
        birth: Which.
        aspect: In what: of how it was born first, then its score, then its tokens; ``end`` when only one run has it,
            or its result.
        one: How it is in the first run.
        other: And in the second.
    """

    birth: int
    aspect: Aspect
    one: str
    other: str


@dataclass(frozen=True)
class RunDiff:
    """Two runs, compared.

    Attributes:
        runs: Names of the two.
        settings: By path, such as ``breeding.step_size``, where they differ; None where one has none.
        conduct: As ``settings``, for what may change while a run goes on and does not decide what comes of it.
        parting: None when every birth that both have is the same and both have as many.
        counts: How many births came to what, of both.
        best: By term, the best birth and its value of both; None where there is none.
        operators: By operator, what its children came to in both; None where it was not used.
    """

    runs: tuple[str, str]
    settings: Mapping[str, tuple[Any, Any]]
    conduct: Mapping[str, tuple[Any, Any]]
    parting: Parting | None
    counts: tuple[browse.Counts, browse.Counts]
    best: Mapping[str, tuple[tuple[int, float] | None, tuple[int, float] | None]]
    operators: Mapping[str, tuple[browse.OperatorStatistics | None, browse.OperatorStatistics | None]]

    def text(self) -> str:
        """For a terminal."""
        return "\n".join(_lines(self))


def diff(lineage: LineageReader, run_a: int, run_b: int) -> RunDiff:
    """Compares two runs of one file.

    Raises:
        LineageError: ``missing`` when there is no such run.
    """
    one, other = lineage.run(run_a), lineage.run(run_b)
    terms = list(dict.fromkeys(term for run in (run_a, run_b) for term in browse.terms(lineage, run)))
    terms.sort(key=lambda term: term != TOTAL)
    used = [{_called(each): each for each in browse.operator_statistics(lineage, run)} for run in (run_a, run_b)]
    return RunDiff(
        (one.name, other.name),
        _differing(_deciding(one), _deciding(other)),
        _differing(_conduct(one), _conduct(other)),
        _parting(lineage, run_a, run_b),
        (browse.counts(lineage, run_a), browse.counts(lineage, run_b)),
        {term: (_best(lineage, run_a, term), _best(lineage, run_b, term)) for term in terms},
        {name: (used[0].get(name), used[1].get(name)) for name in sorted({*used[0], *used[1]})},
    )


def _called(one: browse.OperatorStatistics) -> str:
    return one.operator if one.version == 1 else f"{one.operator} (version {one.version})"


def _best(lineage: LineageReader, run_id: int, term: str) -> tuple[int, float] | None:
    return next(iter(browse.best(lineage, run_id, term, 1)), None)


# -- settings ---------------------------------------------------------------------------------------------------


def _deciding(run: Run) -> dict[str, Any]:
    origin = None if run.branched_from is None else f"run {run.branched_from[0]}, birth {run.branched_from[1]}"
    facts = {"seed": run.seed, "weights": run.weights, "checkpoints": run.checkpoints, "branched from": origin}
    return dict(_flat({**{key: value for key, value in run.config.items() if key not in ("name", "weights")}, **facts}))


def _conduct(run: Run) -> dict[str, Any]:
    settings = {key: value for key, value in recorded_settings(run).items() if key not in run.config}
    return dict(_flat({**settings, "versions": run.versions}))


def _flat(table: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


def _differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    paths = list(dict.fromkeys((*one, *other)))
    return {path: (one.get(path), other.get(path)) for path in paths if one.get(path) != other.get(path)}


# -- where they part --------------------------------------------------------------------------------------------


def _parting(lineage: LineageReader, run_a: int, run_b: int) -> Parting | None:
    births = tuple(_first(lineage, sql, run_a, run_b) for sql in (_OTHERWISE_BORN, _OTHERWISE_TOLD))
    lasts = lineage.last_birth(run_a), lineage.last_birth(run_b)
    found = [birth for birth in births if birth is not None]
    if lasts[0] != lasts[1]:
        found.append(min(lasts) + 1)
    if not found:
        return None
    birth = min(found)
    if birth > min(lasts):
        return Parting(birth, "end", _last(lasts[0]), _last(lasts[1]))
    one, other = (as_asked(lineage, run, lineage.candidates(run, [birth]))[0] for run in (run_a, run_b))
    told = lineage.outcome(run_a, birth), lineage.outcome(run_b, birth)
    return _described(birth, (one, other), told)


# Births are compared by the digests of all that decides them, so only one of a million is read.
_OTHERWISE_BORN = (
    "SELECT min(births.birth) FROM births JOIN births AS others ON others.id = births.id + ? "
    "WHERE births.id BETWEEN ? AND ? AND births.digest != others.digest"
)
_OTHERWISE_TOLD = (
    "SELECT min(births.birth) FROM births JOIN births AS others ON others.id = births.id + ? "
    "LEFT JOIN evaluations AS told ON told.birth_id = births.id AND told.replicate = 0 "
    "LEFT JOIN evaluations AS told_other ON told_other.birth_id = others.id AND told_other.replicate = 0 "
    "WHERE births.id BETWEEN ? AND ? AND (told.digest IS NOT told_other.digest OR births.genome != others.genome)"
)


def _first(lineage: LineageReader, sql: str, run_a: int, run_b: int) -> int | None:
    with lineage.turn("comparing births"):
        values = row_id(run_b, 0) - row_id(run_a, 0), row_id(run_a, 1), row_id(run_a, MAX_BIRTH)
        [(birth,)] = lineage.query(sql, values)
    return None if birth is None else int(birth)


def _described(birth: int, born: tuple[Candidate, Candidate], told: tuple[Outcome | None, Outcome | None]) -> Parting:
    one, other = born
    for aspect, say in _ASPECTS:
        if say(one) != say(other):
            return Parting(birth, aspect, say(one), say(other))
    if one.parameters != other.parameters or (one.rate, one.island) != (other.rate, other.island):
        return Parting(birth, "operator", _drawn(one), _drawn(other))
    mine, theirs = told
    if mine is None or theirs is None:
        return Parting(birth, "end", _ended(mine), _ended(theirs))
    if mine.score != theirs.score:
        return Parting(birth, "score", _score(mine.score, theirs.score), _score(theirs.score, mine.score))
    return Parting(birth, "tokens", _tokens(mine), _tokens(theirs))


def _last(birth: int) -> str:
    return f"its last birth is {birth}" if birth else "it has no births"


def _operator(one: Candidate) -> str:
    return f"{one.operator} (version {one.operator_version})"


def _parents(one: Candidate) -> str:
    return ", ".join(f"{parent.birth} ({parent.role})" for parent in one.parents) or "none"


def _seed(one: Candidate) -> str:
    return str(one.seed)


def _drawn(one: Candidate) -> str:
    return f"{one.operator} on island {one.island} at rate {one.rate:.4g} with {dict(one.parameters)}"


def _ended(told: Outcome | None) -> str:
    return "is pending" if told is None else "has a result"


def _tokens(told: Outcome) -> str:
    return "none" if told.output_sha256 is None else f"sha256:{told.output_sha256[:12]}"


def _genome(one: Candidate) -> str:
    genome, first = one.genome, one.render_first
    voice = "no voice" if genome.voice is None else f"voice {genome.voice.sha256[:12]}"
    if first is not None:
        voice = f"a voice to be rendered with seed {first.seed}"
    settings = {name: value for name, value in vars(genome.settings).items() if value is not None}
    lock = "words kept" if genome.content_lock else "words free"
    return f"{genome.prompt!r}, {voice}, {lock}, {settings}"


def _score(score: Score, other: Score) -> str:
    """What there is to say of a score that differs from another."""
    if score.status != "ok":
        return f"{score.status}: {score.reason}"
    terms = [f"{name} {term.value:.6g}" for name, term in score.terms.items() if other.terms.get(name) != term]
    return ", ".join(terms) or "ok, with other measures"


_ASPECTS: tuple[tuple[Aspect, Callable[[Candidate], str]], ...] = (
    ("operator", _operator),
    ("parents", _parents),
    ("genome", _genome),
    ("seed", _seed),
)


# -- as text ----------------------------------------------------------------------------------------------------


def _lines(found: RunDiff) -> Iterator[str]:
    one, other = found.runs
    yield f"{one}  |  {other}"
    for title, settings in (("what decides the run", found.settings), ("how it is carried out", found.conduct)):
        yield ""
        yield f"{title} differs in" if settings else f"{title} is the same"
        for path, (mine, theirs) in settings.items():
            yield f"  {path}: {_short(mine)}  |  {_short(theirs)}"
    yield ""
    yield from _parting_lines(found)
    yield ""
    mine, theirs = found.counts
    rows = [("", one, other)]
    for name in ("asked", "ok", "rejected", "failed", "pending"):
        rows.append((name, str(getattr(mine, name)), str(getattr(theirs, name))))
    rows += [(f"best {term}*", _top(top), _top(other_top)) for term, (top, other_top) in found.best.items()]
    yield from _table(rows)
    yield "  * of all births, the control arm included"
    yield ""
    yield "children of each operator: how many ok of all, mean total, better than their best parent"
    credit = [(name, _credit(used), _credit(other_used)) for name, (used, other_used) in found.operators.items()]
    yield from _table([("", one, other), *credit])


def _parting_lines(found: RunDiff) -> Iterator[str]:
    parting = found.parting
    if parting is None:
        yield f"all {found.counts[0].asked} births are the same"
        return
    same = f"the same up to birth {parting.birth - 1}" if parting.birth > 1 else "no birth is the same"
    how = (
        "then only one goes on" if parting.aspect == "end" else f"birth {parting.birth} differs in its {parting.aspect}"
    )
    yield f"{same}; {how}:"
    yield f"  {found.runs[0]}: {parting.one}"
    yield f"  {found.runs[1]}: {parting.other}"


def _short(value: Any) -> str:
    text = "not set" if value is None else str(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def _top(top: tuple[int, float] | None) -> str:
    return "none" if top is None else f"{top[1]:.4f} (birth {top[0]})"


def _credit(one: browse.OperatorStatistics | None) -> str:
    if one is None:
        return "not used"
    mean = "-" if one.mean is None else f"{one.mean:.3f}"
    better = f", {one.better} of {one.compared} better" if one.compared else ""
    return f"{one.counts.ok} of {one.counts.asked}, {mean}{better}"


def _table(rows: list[tuple[str, str, str]]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    for name, mine, theirs in rows:
        yield f"  {name:<{widths[0]}}  {mine:<{widths[1]}}  {theirs}".rstrip()
