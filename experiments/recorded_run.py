"""`RecordedRun`: a swarm whose every move is in the lineage before anybody hears of it. No threads, no models.

Whatever happens to the program, the file tells it where it was: births are recorded as they are planned, a result in
one transaction with everything that follows from it, and a person's doing with the step it takes effect in. Resuming
builds the swarm anew and tells it all of that again. Nothing here looks at a clock, so a run that was killed any number
of times has the very lineage of one that was not.

An error of the lineage leaves the swarm in memory ahead of the file: let the run go then, and resume it from the file.
"""

from __future__ import annotations

import dataclasses
import itertools
import logging
import math
import platform
from collections import deque
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from bark_infinity.error_handling import BarkError
from bark_infinity.requests import Rendering
from digital_evolution import Candidate, Evaluation, Genome
from evolution.interventions import Intervention, Plant, Revise, from_json, to_json
from experiments import breeding
from experiments.config.run_config import MOST_TRIALS, RunConfig
from experiments.evaluation import Evaluated, Job, evaluation_of
from experiments.events import Asked, Audited, Begun, Clip, Committed, Event, Intervened, Judged, Notice, Rescored, Told
from experiments.lineage import Lineage, LineageError, Run, browse, clips
from experiments.lineage.tallies import weighted_total
from experiments.listeners import Listeners
from experiments.replay.settings import recorded_settings
from fusion.recipe import check_recipe, reference_hashes
from fusion.score import Score

logger = logging.getLogger(__name__)

AUDITED = 5
"""So many of the best are heard on held-out texts when a run is over."""

AUDIT = MOST_TRIALS + 1
"""Replicates from this number on are of held-out texts."""


class RecordedRun:
    """One run of a lineage that is being written; `begin` or `resume` it.

    Attributes:
        lineage: Open for writing; the caller closes it.
        run: Its facts.
        config: What decides it, and how it is carried out for now.
        swarm: Where it is.
        worked_s: Seconds of work, over all sittings; whoever has a clock adds to it.
        engine: What it is rendered on in this sitting, in words; whoever knows says it.
        steps: Steps that are over.
        jobs: What is asked for and nobody has begun yet, in order; take it from the left.
    """

    def __init__(self, lineage: Lineage, run: Run, config: RunConfig, species: breeding.Species) -> None:
        self.lineage, self.run, self.config, self.species = lineage, run, config, species
        self.swarm = breeding.swarm_of(config, species)
        self.base = Path(str(run.execution.get("base", ".")))  # relative paths of the configuration begin here
        self.worked_s = _worked_s(run)
        self.engine = ""
        self._names = config.judge.term_names
        self._listeners = Listeners(config, self._recorded)
        self.steps = 0
        self.jobs: deque[Job] = deque()
        self._turn = 1  # the birth that the swarm is told next: in order, every result completes one step at most
        self._asked = self._begun = 0  # the last birth that was asked for in this sitting, and in earlier ones
        self._audited: set[int] = set()  # births whose audits are under way
        self._out_of_turn: dict[int, tuple[Candidate, Evaluation]] = {}
        self._alive: frozenset[int] = frozenset()
        self._heard: dict[int, Rendering] = {}  # of steps that are not committed

    # -- where it comes from ------------------------------------------------------------------------------------

    @property
    def told(self) -> int:
        """Births with a result."""
        return self._turn - 1 + len(self._out_of_turn)

    @classmethod
    def begin(
        cls,
        lineage: Lineage,
        config: RunConfig,
        *,
        base: Path = Path("."),
        founders: Sequence[Genome] | None = None,
        branched_from: tuple[int, int] | None = None,
    ) -> RecordedRun:
        """Records a new run; its name gets a number when it is taken.

        Args:
            lineage: Open for writing.
            config: All settings.
            base: Relative paths of the configuration begin here.
            founders: Instead of the configuration's.
            branched_from: Run and birth that it begins with.

        Raises:
            BarkError: When the configuration cannot be carried out; nothing is recorded then.
            LineageError: When it cannot be recorded.
        """
        if not config.judge.term_names:
            raise BarkError("judge.objectives is empty; say what is wanted, for example ['intelligibility']")
        check_recipe(config.judge, base)
        species = breeding.species_of(config, base, founders)
        config = dataclasses.replace(config, name=_free_name(config.name, {run.name for run in lineage.runs()}))
        breeding.swarm_of(config, species)  # whatever it refuses, it refuses before anything is recorded
        with lineage.transaction("beginning a run"):
            run = lineage.begin_run(
                config.name,
                config=config.identity(),
                seed=config.seed,
                versions=_versions(),
                checkpoints=_files(config, species, base),
                weights=dict(zip(config.judge.term_names, config.objective_weights, strict=True)),
                branched_from=branched_from,
                execution={**config.conduct(), "base": str(base.resolve())},
            )
            for founder in species.founders:
                if founder.voice is not None:
                    lineage.keep_voice(founder.voice)
            lineage.record_event(run.run_id, "founded", [to_json(Plant(founder)) for founder in species.founders])
        return cls(lineage, run, config, species)

    @classmethod
    def resume(cls, lineage: Lineage, name: str | int, conduct: Mapping[str, Any] | None = None) -> RecordedRun:
        """Takes up a run where the file says it is.

        Args:
            lineage: Open for writing.
            name: The run's name or number.
            conduct: Other settings of `StopLimits` and `Execution` than it had; see `RunConfig.conduct`.

        Raises:
            BarkError: When the checkpoint is another one by now, or what is recorded cannot be repeated.
            LineageError: When there is no such run.
        """
        run = lineage.run(name)
        config = _conducted(run, _merged(run.execution, conduct or {}))
        if conduct:
            lineage.set_execution(run.run_id, {**run.execution, **config.conduct()})
            run = lineage.run(run.run_id)
        founders, interventions = _recorded_by_people(lineage, run)
        base = Path(str(run.execution.get("base", ".")))
        species = breeding.species_of(config, base, founders)
        _require_same_files(run, _files(config, species, base))
        resumed = cls(lineage, run, config, species)
        resumed._replay(interventions)
        return resumed

    def _replay(self, interventions: Mapping[int, Sequence[Intervention]]) -> None:
        """Tells the swarm all results up to the first that is missing; the others wait for their turn."""

        def in_turn() -> Iterator[tuple[Candidate, Evaluation]]:
            for life in self.lineage.lives(self.run.run_id):
                if life.outcome is None:
                    continue
                self._listeners.hear(life.candidate, life.outcome.score)
                told = (life.candidate, evaluation_of(life.outcome.score, self._names))
                if life.candidate.birth == self._turn:
                    self._turn += 1
                    yield told
                else:
                    self._out_of_turn[life.candidate.birth] = told

        self.swarm.replay(in_turn(), interventions)
        self.steps = self.swarm.committed // self.swarm.settings.step_size
        self._alive = self._living()
        self._asked, self._begun = self._turn - 1, self.lineage.last_birth(self.run.run_id)
        self._listeners.recall(self.lineage, self.run.run_id)

    # -- what happens -------------------------------------------------------------------------------------------

    def begun(self) -> Begun:
        """The first event."""
        run = self.run
        return Begun(
            run.run_id,
            run.name,
            run.seed,
            self.config.to_json(),
            tuple(run.weights),
            tuple(run.weights.values()),
            self.lineage.last_birth(run.run_id),
        )

    def cautions(self) -> list[Event]:
        """What is not as it was when the run began, so that what is rendered from now on may differ by rounding."""
        now = _versions()
        other = [
            f"{name} {then}, now {now[name]}" for name, then in self.run.versions.items() if now.get(name, then) != then
        ]
        if not other:
            return []
        return [Notice(f"begun with {'; '.join(other)}: tokens may differ from what they would have been", "warning")]

    def taught(self) -> list[Event]:
        """What was learned from answers of earlier sittings; nothing when there are none."""
        return [self._listeners.taught(self.swarm.algorithm.members())] if self._listeners.answers else []

    def ask(self) -> list[Event]:
        """Records everything that can be evaluated now, and adds it to ``jobs``.

        After resuming, that is also what was asked for before and never told. When the run is over, nothing new is
        asked for: what was begun is finished, and then the best are audited.
        """
        over = self.over() is not None
        step = self.swarm.settings.step_size * (self.swarm.settings.lag + 1)
        candidates = self.swarm.ask(max(0, self._begun - self._asked) if over else step)
        if not candidates:
            if over and self._turn > self._asked and not self._audited:
                audits = self._audits()
                self._audited = {audit.candidate.birth for audit in audits}
                self.jobs.extend(audits)
            return []
        self._asked = candidates[-1].birth
        self.lineage.record_asked(self.run.run_id, candidates)
        waiting = [one for one in candidates if one.birth not in self._out_of_turn]
        self.jobs.extend(breeding.job_of(self.config, one) for one in waiting)
        return [Asked(tuple(candidates))]

    def tell(self, evaluated: Evaluated) -> list[Event]:
        """Records a result with everything that follows from it, in one transaction: whole or not at all."""
        candidate, run_id = evaluated.candidate, self.run.run_id
        score = self._listeners.judged(evaluated.score)
        if candidate.birth in self._audited:
            return [self._record_audit(evaluated, score)]
        with self.lineage.transaction("recording a result"):
            self.lineage.record_told(run_id, candidate, score, evaluated.rendering, timings=evaluated.timings)
            for number, (each, rendering) in enumerate(evaluated.trials, 1):
                self.lineage.record_told(run_id, candidate, each, rendering, replicate=number)
            self._out_of_turn[candidate.birth] = (candidate, evaluation_of(score, self._names))
            followed = list(self._tell_in_turn())
            self._keep_clips(evaluated, [event for event in followed if isinstance(event, Committed)])
        self._listeners.hear(candidate, score)
        clip = None if evaluated.rendering is None else _clip(evaluated.rendering)
        total = weighted_total(self.run.weights, score)
        return [Told(candidate, score, total, clip, evaluated.timings), *followed]

    def _tell_in_turn(self) -> Iterator[Event]:
        """A step that is over is recorded, and with it the one that it allows, unless the run is over too."""
        size = self.swarm.settings.step_size
        while self._turn in self._out_of_turn:
            self.swarm.tell(*self._out_of_turn.pop(self._turn))
            if self._turn % size == 0:
                yield self._commit(range(self._turn - size + 1, self._turn + 1))
                if self.over() is None:
                    yield from self.ask()
            self._turn += 1

    def _commit(self, births: range) -> Committed:
        """Records what became of a step."""
        self.steps += 1
        run_id, alive = self.run.run_id, self._living()
        became = {birth: self.swarm.status(birth) for birth in births}
        totals = [one.total for one in self.lineage.outcomes(run_id, births).values() if one.total is not None]
        best = None if self.swarm.best is None else self.swarm.best.birth
        left = sorted(self._alive - alive)
        payload = {
            "step": self.steps,
            "became": [int(became[birth]) for birth in births],
            "in": sorted(alive - self._alive),
            "out": left,
            "best": best,
            "generation_best": max(totals, default=None),
        }
        self.lineage.record_event(run_id, "committed", payload, birth=births[0])
        self.lineage.record_died(run_id, left, births[-1])
        self._alive = alive
        return Committed(became, tuple(sorted(alive)), best, max(totals, default=None))

    def _living(self) -> frozenset[int]:
        return frozenset(one.birth for one in self.swarm.algorithm.members())

    def _keep_clips(self, evaluated: Evaluated, committed: Sequence[Committed]) -> None:
        """Keeps audio as the configuration asks.

        Whether a birth is an elite is known when its step is committed, and by then its audio may be gone; those of a
        step are remembered until then.
        """
        if self.config.execution.clips == "none":
            return
        if evaluated.rendering is not None and evaluated.rendering.audio is not None:
            self._heard[evaluated.candidate.birth] = evaluated.rendering
        if self.config.execution.clips == "all":
            kept = list(self._heard)
        else:
            kept = [birth for step in committed for birth, status in step.became.items() if status]
        for birth in kept:
            rendering = self._heard.pop(birth, None)
            if rendering is not None and rendering.audio is not None:
                clips.keep_clip(self.lineage, self.run.run_id, birth, rendering.audio, rendering.sample_rate)
        for step in committed:
            for birth in step.became:
                self._heard.pop(birth, None)

    def _audits(self) -> list[Job]:
        """The best evolved births, as they have yet to be heard on held-out texts when the run is over."""
        if not self.config.trials.held_out:
            return []
        run_id = self.run.run_id
        leading = [birth for birth, _ in browse.best(self.lineage, run_id, count=5 * AUDITED)]
        evolved = [one for one in self.lineage.candidates(run_id, leading) if one.operator != "control"]
        best = sorted(evolved, key=lambda one: leading.index(one.birth))[:AUDITED]
        heard = self.lineage.outcomes(run_id, [one.birth for one in best], replicate=AUDIT)
        audits = (breeding.audit_of(self.config, one) for one in best if one.birth not in heard)
        return [audit for audit in audits if audit is not None]

    def _record_audit(self, evaluated: Evaluated, score: Score) -> Audited:
        """Records how a birth did on held-out texts, as replicates from `AUDIT` on; the first is the whole."""
        run_id, candidate = self.run.run_id, evaluated.candidate
        with self.lineage.transaction("recording an audit"):
            self.lineage.record_told(run_id, candidate, score, evaluated.rendering, replicate=AUDIT)
            for number, (each, rendering) in enumerate(evaluated.trials, AUDIT + 1):
                self.lineage.record_told(run_id, candidate, each, rendering, replicate=number)
        self._audited.discard(candidate.birth)
        return Audited(candidate.birth, score, weighted_total(self.run.weights, score))

    def intervene(self, intervention: Intervention) -> list[Event]:
        """Records a person's doing.

        Raises:
            BarkError: When it cannot be done, such as with births that are not there; nothing is recorded then.
        """
        with self.lineage.transaction("recording an intervention"):
            if isinstance(intervention, Plant) and intervention.genome.voice is not None:
                self.lineage.keep_voice(intervention.genome.voice)
            step = self.swarm.intervene(intervention, self._as_told(intervention.births))
            payload = {"step": step, "intervention": to_json(intervention)}
            self.lineage.record_event(self.run.run_id, "intervened", payload)
        return [Intervened(step, intervention)]

    def _as_told(self, births: Sequence[int]) -> Iterator[tuple[Candidate, Evaluation]]:
        """Births that the swarm may have forgotten, as it was told of them."""
        known = [birth for birth in births if birth <= self.swarm.committed]
        outcomes = self.lineage.outcomes(self.run.run_id, known)
        for candidate in self.lineage.candidates(self.run.run_id, [birth for birth in known if birth in outcomes]):
            yield candidate, evaluation_of(outcomes[candidate.birth].score, self._names)

    def _recorded(self, birth: int) -> tuple[Candidate, Score] | None:
        outcome = self.lineage.outcome(self.run.run_id, birth)
        if outcome is None:
            return None
        [candidate] = self.lineage.candidates(self.run.run_id, [birth], tokens=False)
        return candidate, outcome.score

    def require_told(self, births: Iterable[int]) -> None:
        """Refuses births that nobody can have heard yet.

        Raises:
            BarkError: For the first.
        """
        for birth in births:
            if not (0 < birth < self._turn or birth in self._out_of_turn):
                raise BarkError(f"birth {birth} has no result yet, so nobody can have heard it; judge one that has")

    def answered(self, answers: Sequence[Judged], rater: str = "") -> list[Event]:
        """What follows from answers that were recorded: where they decide, the living are ranked anew.

        Raises:
            BarkError: When an answer is about a birth that has no result yet.
        """
        for answer in answers:
            self._listeners.answered(answer, rater)
        members = self.swarm.algorithm.members()
        said: list[Event] = []
        if objectives := self._listeners.revised(members):
            said += self.intervene(Revise(objectives))
            total, weights = sum(self.config.objective_weights), self.config.objective_weights
            totals = {
                birth: sum(weight * value for weight, value in zip(weights, values, strict=True)) / total
                for birth, values in objectives.items()
            }
            payload = {"totals": {str(birth): value for birth, value in totals.items()}}
            self.lineage.record_event(self.run.run_id, "rescored", payload)
            said.append(Rescored(totals))
        return [*said, self._listeners.taught(members)]

    def remember_time(self) -> None:
        """Records ``worked_s`` and ``engine``; not part of what the run is."""
        facts = {"worked_s": round(self.worked_s, 3)} | ({"engine": self.engine} if self.engine else {})
        execution = {**self.lineage.run(self.run.run_id).execution, **facts}
        self.lineage.set_execution(self.run.run_id, execution)

    def conduct(self, settings: Mapping[str, Any]) -> None:
        """Changes how the run is carried out from now on; see `RunConfig.conduct`.

        Raises:
            BarkError: When a setting is refused.
        """
        execution = _merged(self.lineage.run(self.run.run_id).execution, settings)
        self.config = _conducted(self.run, execution)
        self.lineage.set_execution(self.run.run_id, execution)

    def over(self) -> str | None:
        """Why the run is over; None while it is not."""
        return self.config.stop.stop().reason(self.swarm, self.worked_s / 3600)


# -- facts that a run stands on ---------------------------------------------------------------------------------


def _clip(rendering: Rendering) -> Clip | None:
    return None if rendering.audio is None else Clip(rendering.audio, rendering.sample_rate)


def _free_name(name: str, taken: Container[str]) -> str:
    numbered = (f"{name} {number}" for number in itertools.count(2))
    return name if name not in taken else next(one for one in numbered if one not in taken)


def _worked_s(run: Run) -> float:
    worked_s = run.execution.get("worked_s", 0.0)
    if not isinstance(worked_s, int | float) or not 0 <= worked_s < math.inf:
        raise LineageError(
            f"run {run.name!r} has {str(worked_s)[:40]!r} seconds of work recorded, expected a number from 0; restore "
            "a backup",
            "damaged",
        )
    return float(worked_s)


def _merged(execution: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """What a run's ``execution`` becomes with other settings: tables are merged key by key."""
    merged = {**execution}
    for key, value in settings.items():
        merged[key] = {**merged.get(key, {}), **value} if isinstance(value, Mapping) else value
    return merged


def _conducted(run: Run, execution: Mapping[str, Any]) -> RunConfig:
    """The configuration of a run that is carried out like this."""
    return RunConfig.from_json(recorded_settings(dataclasses.replace(run, execution=execution)))


def _recorded_by_people(lineage: Lineage, run: Run) -> tuple[list[Genome], dict[int, list[Intervention]]]:
    """Founders, and interventions by step."""
    founders: list[Genome] = []
    interventions: dict[int, list[Intervention]] = {}
    for event in lineage.events(run.run_id):
        match event.kind, event.payload:
            case "founded", list(payload):
                planted = (from_json(one, lineage.voice) for one in payload)
                founders = [one.genome for one in planted if isinstance(one, Plant)]
            case "intervened", {"step": int(step), "intervention": told}:
                interventions.setdefault(step, []).append(from_json(told, lineage.voice))
            case "founded" | "intervened", _:
                raise LineageError(
                    f"{lineage.path}: event {event.seq} of run {run.name!r}, {event.kind}, cannot be read; restore a "
                    "backup, or branch a new run from one of its births",
                    "damaged",
                )
    if not founders:
        raise LineageError(
            f"{lineage.path}: run {run.name!r} has no founders recorded, so it was not begun by a runner and cannot be "
            "resumed; branch a new run from one of its births instead",
            "missing",
        )
    return founders, interventions


def _files(config: RunConfig, species: breeding.Species, base: Path) -> dict[str, str]:
    """Hashes of the files that decide the run: the checkpoint's, and what clips are compared with."""
    compared = reference_hashes(config.judge, base).items()
    return {file.path.name: file.sha256 for file in species.checkpoint.files} | {
        f"compared with {name}": sha256 for name, sha256 in compared
    }


def _require_same_files(run: Run, now: Mapping[str, str]) -> None:
    if now != dict(run.checkpoints):
        names = now.keys() | run.checkpoints.keys()
        differing = sorted(name for name in names if now.get(name) != run.checkpoints.get(name))
        raise BarkError(
            f"run {run.name!r} began with another checkpoint or other recordings than are here now "
            f"({', '.join(differing)}); bring those back, or branch a new run from one of its births"
        )


_NAMED = ("victor-bark-fusion", "torch", "transformers", "numpy", "librosa", "deap")


def _versions() -> dict[str, str]:
    """Of the program, Python, and the libraries whose arithmetic is heard."""
    found = {"python": platform.python_version(), "machine": f"{platform.system()} {platform.machine()}"}
    for name in _NAMED:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed as a package"
    return found
