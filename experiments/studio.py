"""`Studio`: an engine and a critic that evaluate candidates; what executors run in this process or in others."""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from bark_infinity.engine import BarkEngine
from bark_infinity.error_handling import BarkError
from bark_infinity.requests import Rendering, RenderProgress, RenderRequest, RenderSettings
from bark_infinity.voice_edits.history_window import HistoryWindow
from digital_evolution import Candidate
from experiments.config.run_config import RunConfig
from experiments.evaluation import Evaluated, Job, Rendered, failed
from fusion.critic import Critic
from fusion.recipe import build_critic
from fusion.replicates import aggregate
from fusion.score import Score

logger = logging.getLogger(__name__)

OnProgress = Callable[[RenderProgress], None]


class Studio:
    """Evaluates candidates of one run.

    Args:
        engine: Renders.
        critic: Judges; as it has no state, it may do so on another thread while the engine renders.
        reliability: Standard deviations taken off where a candidate has several trials.
        on_progress: Told how rendering goes on.
    """

    def __init__(
        self, engine: BarkEngine, critic: Critic, *, reliability: float = 0.5, on_progress: OnProgress | None = None
    ) -> None:
        self.engine, self.critic = engine, critic
        self._reliability = reliability
        self._on_progress = on_progress
        self._window = HistoryWindow.of(engine.config)
        self._cancel = threading.Event()

    @classmethod
    def open(cls, config: Mapping[str, Any], base: str | Path = ".", on_progress: OnProgress | None = None) -> Studio:
        """Loads what a run's configuration names.

        Args:
            config: As `RunConfig.to_json` writes it, so that it can travel to another process.
            base: Relative paths of the configuration begin here.
            on_progress: See the class.

        Raises:
            BarkError: When the checkpoint, a reference or a judge is not there or not usable.
        """
        read = RunConfig.from_json(config)
        engine = BarkEngine.load(
            read.model.checkpoint,
            device=read.execution.device,
            precision=read.model.precision,
            offload=read.execution.offload,  # type: ignore[arg-type]  # one of its choices, see Execution
        )
        critic = build_critic(read.judge, base=Path(base), decode=_decoder(engine))
        return cls(engine, critic, reliability=read.trials.reliability, on_progress=on_progress)

    @property
    def runs_on(self) -> str:
        """Device and precision that the engine came to, whatever was asked for."""
        return f"{self.engine.device}, {self.engine.precision}"

    # -- rendering ----------------------------------------------------------------------------------------------

    def render(self, jobs: Sequence[Job]) -> list[Rendered]:
        """See `Evaluator.render`. Voices that have to be made first are rendered together, then all trials."""
        started = time.perf_counter()
        grown = self._with_voices([job.candidate for job in jobs])
        first_s = time.perf_counter() - started
        alive = [(job, one) for job, one in zip(jobs, grown, strict=True) if isinstance(one, Candidate)]
        requests = [_request(one, trial.text, trial.seed) for job, one in alive for trial in job.trials]
        rendered = iter(self._render_or_say_why(requests))
        made: dict[int, Rendered] = {}
        for job, one in alive:
            results = [next(rendered) for _ in job.trials]
            whys = [why for why in results if isinstance(why, str)]
            clips = tuple(clip for clip in results if isinstance(clip, Rendering))
            made[id(job)] = Rendered(job, one, () if whys else clips, whys[0] if whys else None, first_s / len(jobs))
        return [
            made[id(job)] if isinstance(one, Candidate) else Rendered(job, job.candidate, failure=one)
            for job, one in zip(jobs, grown, strict=True)
        ]

    def _with_voices(self, candidates: Sequence[Candidate]) -> list[Candidate | str]:
        """Candidates whose voices are there; for others why not."""
        first = [one.render_first for one in candidates if one.render_first is not None]
        rendered = iter(self._render_or_say_why(first, decode=False))
        grown: list[Candidate | str] = []
        for one in candidates:
            if one.render_first is None:
                grown.append(one)
                continue
            result = next(rendered)
            if isinstance(result, str):
                grown.append(f"its voice could not be rendered: {result}")
                continue
            try:
                grown.append(one.with_voice(self._window.canonical(result.as_voice())))
            except BarkError as error:
                why = result.reason or f"rendering it was {result.stopped}"
                grown.append(f"its voice could not be rendered: {why} ({error})")
        return grown

    def _render_or_say_why(self, requests: Sequence[RenderRequest], decode: bool = True) -> list[Rendering | str]:
        """Renders all as one batch; when it is refused, each alone, so that a bad request costs only itself."""
        if not requests:
            return []
        try:
            return list(self.engine.render(requests, self._on_progress, self._cancel, decode))
        except BarkError as error:
            if len(requests) == 1:
                return [str(error)]
        return [self._render_or_say_why([request], decode)[0] for request in requests]

    # -- judging ------------------------------------------------------------------------------------------------

    def judge(self, rendered: Sequence[Rendered]) -> list[Evaluated]:
        """See `Evaluator.judge`."""
        return [self._judged(one) for one in rendered]

    def _judged(self, rendered: Rendered) -> Evaluated:
        if rendered.failure is not None:
            return failed(rendered.candidate, rendered.failure)
        if self._cancel.is_set():  # a recogniser may take seconds for each clip
            return failed(rendered.candidate, "cancelled before it was judged")
        started = time.perf_counter()
        open_ended = not rendered.candidate.genome.settings.semantic_allow_early_stop
        scores = [
            self.critic.score(clip, text=trial.text, open_ended=open_ended)
            for trial, clip in zip(rendered.job.trials, rendered.renderings, strict=True)
        ]
        judge_s = time.perf_counter() - started
        timings = MappingProxyType({"first_s": rendered.seconds, "judge_s": judge_s})
        if len(scores) == 1:
            return Evaluated(rendered.candidate, scores[0], rendered.renderings[0], timings=timings)
        whole: Score = aggregate(scores, self._reliability)
        trials = tuple(zip(scores, rendered.renderings, strict=True))
        return Evaluated(rendered.candidate, whole, rendered.renderings[0], trials, timings)

    def cancel(self) -> None:
        """Ends a rendering that is under way; its candidates come back failed and are not to be recorded."""
        self._cancel.set()

    def close(self) -> None:
        """Gives the models' memory back."""
        self.engine.close()


def _request(candidate: Candidate, text: str, seed: int) -> RenderRequest:
    return RenderRequest(text=text, voice=candidate.genome.voice, seed=seed, settings=candidate.genome.settings)


def _decoder(engine: BarkEngine) -> Callable[[Any], tuple[Any, int]]:
    """Makes a voice audible, for references that come as tokens."""
    return lambda voice: (engine.decode([voice.fine])[0], engine.sample_rate)


def default_settings(config: RunConfig) -> RenderSettings:
    """A checkpoint's own sampling settings, without loading its weights.

    Raises:
        CheckpointError: When the checkpoint is missing or damaged.
    """
    from bark_infinity.checkpoints.checkpoint import load_checkpoint

    return RenderSettings(**dataclasses.asdict(load_checkpoint(config.model.checkpoint).config.sampling))
