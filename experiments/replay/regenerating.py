"""Hearing a recorded birth again: decoded from its tokens, or rendered anew from genome and seed and compared.

Decoding needs the codec only. Rendering anew is the test of reproducibility: the same genome, texts and seeds through
the same models have to give the same tokens. `cautions` says when that cannot be expected.
"""

from __future__ import annotations

import itertools
import platform
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from bark_infinity.requests import Rendering
from bark_infinity.tokens import BarkTokens, Int64Array, TokenSpace
from bark_infinity.voices.history import VoiceHistory
from experiments.evaluation import Job, Rendered
from experiments.lineage import LineageError, Run, clips
from experiments.lineage.reading import LineageReader
from experiments.replay.history import as_asked
from experiments.replay.settings import run_config

if TYPE_CHECKING:
    from bark_infinity.engine import BarkEngine


class Decoder(Protocol):
    """Makes codes audible; a `BarkEngine` is one."""

    @property
    def sample_rate(self) -> int:
        """Hz."""

    @property
    def space(self) -> TokenSpace:
        """Of its codes."""

    def decode(self, codes: Sequence[Int64Array]) -> list[NDArray[np.float32]]:
        """(C, T) codes to (S,) audio each."""


class Renderer(Protocol):
    """Renders jobs; a `Studio` is one."""

    def render(self, jobs: Sequence[Job]) -> list[Rendered]:
        """Renders all trials of some jobs, in order."""


def decode(lineage: LineageReader, run_id: int, birth: int, engine: Decoder) -> tuple[NDArray[np.float32], int]:
    """What people heard of a birth: the clip that was kept, else its tokens through the codec.

    Args:
        lineage: The file.
        run_id: The run.
        birth: Which.
        engine: Of the same token space.

    Returns:
        (S,) float32 samples in [-1, 1], and their rate in Hz.

    Raises:
        LineageError: ``missing`` when there is nothing to hear: it is pending, failed, empty, or let go by gc.
        VoiceFormatError: When the engine is of another token space.
    """
    try:
        kept = clips.clip(lineage, run_id, birth)
    except LineageError as error:
        if error.trouble not in ("damaged", "missing"):
            raise
        kept = None  # the tokens are the truth, a clip is a copy
    if kept is not None:
        return kept
    rendering = lineage.rendering(run_id, birth)
    if rendering is None or not rendering.tokens.fine.size:
        outcome = lineage.outcome(run_id, birth)
        lineage.candidate(run_id, birth)  # says when there is no such birth
        why = "it is not rendered yet" if outcome is None else outcome.score.reason or "its rendering was empty"
        raise LineageError(f"{lineage.path}: birth {birth} of run {run_id} has no sound: {why}", "missing")
    rendering.as_voice().require_space(engine.space, "the codec")
    return engine.decode([rendering.tokens.fine])[0], engine.sample_rate


@dataclass(frozen=True)
class Regenerated:
    """What came of rendering a birth again.

    Attributes:
        birth: Which.
        same: Whether all its tokens are the recorded ones; None when there is nothing to compare with.
        first_difference: Where they differ first, or why there is nothing to compare; None when they are the same.
        audits: Renderings on held-out texts that are the same, too.
    """

    birth: int
    same: bool | None
    first_difference: str | None
    audits: int = 0


def regenerate(
    lineage: LineageReader, run_id: int, births: Iterable[int], renderer: Renderer, *, batch_size: int = 8
) -> Iterator[Regenerated]:
    """Renders births again, as they were asked for, with the run's texts and seeds, and compares the tokens.

    Voices that had to be rendered first are rendered again too, and so are audits on held-out texts, where there were
    some. Tokens let go by gc are compared by their hash.

    Args:
        lineage: The file.
        run_id: The run.
        births: Which.
        renderer: With the run's models.
        batch_size: Rendered together.

    Raises:
        BarkError: When the run's configuration cannot be read.
        LineageError: ``missing`` when there is no such birth.
    """
    from experiments.breeding import audit_of, job_of
    from experiments.recorded_run import AUDIT

    config = run_config(lineage.run(run_id))
    remaining = iter(births)
    while batch := list(itertools.islice(remaining, batch_size)):
        outcomes = lineage.outcomes(run_id, batch)
        grown = {one.birth: one for one in lineage.candidates(run_id, batch)}
        wanted = [birth for birth in batch if birth in outcomes]
        jobs = [job_of(config, one) for one in as_asked(lineage, run_id, lineage.candidates(run_id, wanted))]
        rendered = {one.job.candidate.birth: one for one in renderer.render(jobs)}
        audited = (audit_of(config, grown[birth]) for birth in lineage.outcomes(run_id, wanted, replicate=AUDIT))
        audits = [audit for audit in audited if audit is not None]
        again = {one.job.candidate.birth: one for one in renderer.render(audits)} if audits else {}
        for birth in batch:
            if birth not in rendered:
                yield Regenerated(birth, None, "it was never rendered")
            else:
                yield _compared(lineage, run_id, rendered[birth], again.get(birth), grown[birth].genome.voice)


def cautions(run: Run, engine: BarkEngine) -> list[str]:
    """Why the same tokens cannot be promised when this engine renders a run again; none: they are."""
    config = run_config(run)
    now = {file.path.name: file.sha256 for file in engine.checkpoint.files}
    found: list[str] = []
    differing = sorted(
        name for name in now.keys() | run.checkpoints.keys() if now.get(name) != run.checkpoints.get(name)
    )
    if differing:
        found.append(f"the checkpoint is another one: {', '.join(differing)} differ from what was recorded")
    precision, device = config.model.precision, config.execution.device
    if precision not in ("auto", engine.precision):
        found.append(f"it was rendered in {precision}, this engine computes in {engine.precision}")
    if device == "auto":
        found.append(f"it chose its device itself, and which is not recorded; this engine runs on {engine.device}")
    elif device not in (engine.device.type, str(engine.device)):
        found.append(f"it was rendered on {device}, this engine runs on {engine.device}")
    here = {"machine": f"{platform.system()} {platform.machine()}", "torch": metadata.version("torch")}
    for what, this in here.items():
        was = run.versions.get(what, this)
        if was != this:
            found.append(f"it was rendered with {what} {was}, here it is {this}: rounding may differ")
    if not engine.batch_invariant:
        found.append(
            f"on {engine.device} in {engine.precision} rounding depends on what shares a batch, which is not recorded"
        )
    return found


def _compared(
    lineage: LineageReader, run_id: int, now: Rendered, audit: Rendered | None, voice: VoiceHistory | None
) -> Regenerated:
    from experiments.recorded_run import AUDIT

    birth = now.job.candidate.birth
    if now.job.candidate.render_first is not None:
        grown = now.candidate.genome.voice
        if voice is None:
            return Regenerated(birth, None, "its voice was never rendered")
        if grown is None:
            return Regenerated(birth, False, f"its voice: {now.failure or 'not rendered'}, recorded was one")
        if grown != voice:
            return Regenerated(birth, False, f"its voice: {_first_difference(_tokens(grown), _tokens(voice))}")
    heard, why = _trials_compared(lineage, run_id, now, 0)
    if why is None and audit is not None:
        audits, why = _trials_compared(lineage, run_id, audit, AUDIT)
        why = why and f"on held-out texts, {why}"
    else:
        audits = 0
    if why is not None:
        return Regenerated(birth, False, why)
    if heard or audits:
        return Regenerated(birth, True, None, audits)
    outcome = lineage.outcome(run_id, birth)
    why = None if outcome is None else outcome.score.reason
    return Regenerated(birth, None, f"no tokens were recorded: {why or 'its rendering was empty'}")


def _trials_compared(lineage: LineageReader, run_id: int, now: Rendered, whole: int) -> tuple[int, str | None]:
    """How many renderings are the recorded ones, and the first difference.

    A single trial was recorded under the number of the ``whole`` (0: what the swarm was told; `AUDIT`), several under
    the numbers that follow it.
    """
    birth, count = now.job.candidate.birth, len(now.job.trials)
    compared = 0
    for trial in range(count):
        where = f"trial {trial + 1}: " if count > 1 else ""
        replicate = whole if count == 1 else whole + trial + 1
        outcome = lineage.outcome(run_id, birth, replicate)
        if outcome is None or outcome.output_sha256 is None:
            continue
        if trial >= len(now.renderings):
            return compared, f"{where}{now.failure or 'not rendered'}, recorded were tokens"
        compared += 1
        why = _differs(lineage, run_id, birth, replicate, now.renderings[trial], outcome.output_sha256)
        if why is not None:
            return compared, f"{where}{why}"
    return compared, None


def _differs(
    lineage: LineageReader, run_id: int, birth: int, replicate: int, rendering: Rendering, sha256: str
) -> str | None:
    if not rendering.tokens.fine.size:
        return f"{rendering.reason or f'rendering it was {rendering.stopped}'}, recorded were tokens"
    if rendering.as_voice().sha256 == sha256:
        return None
    try:
        recorded = lineage.rendering(run_id, birth, replicate)
    except LineageError as error:
        if error.trouble != "missing":
            raise
        recorded = None
    if recorded is None:
        return "its tokens were let go by gc, and their hash is another one"
    return _first_difference(rendering.tokens, recorded.tokens)


def _tokens(voice: VoiceHistory) -> BarkTokens:
    return BarkTokens(voice.semantic, voice.coarse, voice.fine)


def _first_difference(now: BarkTokens, recorded: BarkTokens) -> str:
    for stage in ("semantic", "coarse", "fine"):
        mine, theirs = np.atleast_2d(getattr(now, stage)), np.atleast_2d(getattr(recorded, stage))  # (C, T)
        length = min(mine.shape[1], theirs.shape[1])
        differing = np.argwhere((mine[:, :length] != theirs[:, :length]).T)  # (N, 2): time step, codebook
        if len(differing):
            at, row = (int(index) for index in differing[0])
            place = f"{stage} token {at + 1} of {theirs.shape[1]}" + (f", codebook {row + 1}," if len(mine) > 1 else "")
            return f"{place} is {mine[row, at]}, recorded was {theirs[row, at]}"
        if mine.shape[1] != theirs.shape[1]:
            return f"{mine.shape[1]} {stage} tokens, recorded were {theirs.shape[1]}"
    return "the tokens are the same, their token space is another one"
