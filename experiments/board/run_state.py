"""What the run is doing, in the words of the bar at the top and the bar at the bottom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from experiments.board.model import Model
from experiments.events import Begun, Event, Progress, State, StateChanged, Told

Shown = Literal["idle"] | State
Source = Literal[
    "none",
    "own",  # this window's own runner: it takes commands
    "file",  # a lineage file, finished or being written by another process: it is only watched
]


@dataclass(frozen=True)
class Opened:
    """Where the events come from.

    Attributes:
        source: What kind of place that is.
        path: The lineage file.
        run: Name of the run in it.
    """

    source: Source = "none"
    path: str = ""
    run: str = ""


@dataclass(frozen=True)
class Controls:
    """What a person can do now."""

    start: bool = False
    pause: bool = False
    proceed: bool = False
    step: bool = False
    stop: bool = False
    resume: bool = False
    judge: bool = False
    branch: bool = False


class RunState(Model):
    """State, progress and origin of the run.

    Attributes:
        opened: Where the events come from.
        state: ``idle`` while there is no run.
        reason: Of the state: what is loaded, why it failed and what to do.
        run_id: Of the run in its file.
        name: Of the run.
        seed: Of the run.
        config: As it was begun.
        progress: The last that was said; None before.
        told: Births told so far.
        at: The birth that replay shows, None for the present.
        engine: What speaks, and where, such as ``micro on cpu, fp32``.
    """

    def __init__(self) -> None:
        super().__init__()
        self.opened = Opened()
        self.state: Shown = "idle"
        self.reason = ""
        self.run_id = 0
        self.name = ""
        self.seed = 0
        self.config: Mapping[str, Any] = {}
        self.progress: Progress | None = None
        self.told = 0
        self.at: int | None = None
        self.engine = ""

    def __getstate__(self) -> dict[str, object]:
        return vars(self) | {"config": {}}  # of the run, not of the moment: see `of_present`

    def of_present(self, present: RunState) -> None:
        """Takes over what does not depend on the moment that is shown: which run it is, and what that does now."""
        at, told = self.at, self.told
        vars(self).update(vars(present))
        self.at, self.told = at, told
        self.changed()

    def apply(self, event: Event) -> None:
        """Takes in state, beginning, progress."""
        match event:
            case StateChanged():
                self.state, self.reason = event.state, event.reason
            case Begun():
                self.run_id, self.name, self.seed = event.run_id, event.name, event.seed
                self.config, self.told, self.progress = event.config, 0, None
                self.engine = _engine(event.config)
            case Progress():
                self.progress = event
                self.engine = _engine(self.config, event.engine)
            case Told():
                self.told += 1
            case _:
                return
        self.changed()

    def open(self, opened: Opened) -> None:
        """Another place of events, before the first of them."""
        self.opened = opened
        self.state, self.reason = ("idle" if opened.source == "none" else "loading"), ""
        self.changed()

    def go_to(self, birth: int | None) -> None:
        """Replay shows another birth; None: the present."""
        if birth != self.at:
            self.at = birth
            self.changed()

    @property
    def controls(self) -> Controls:
        """What a person can do now; buttons are dim where this says no."""
        own, state = self.opened.source == "own", self.state
        ended = state in ("done", "stopped", "failed")
        return Controls(
            start=state == "idle",
            pause=own and state == "running",
            proceed=own and state in ("paused", "pausing"),
            step=own and state == "paused",
            stop=own and state in ("loading", "running", "pausing", "paused"),
            resume=self.opened.source != "none" and ended,
            judge=own and state in ("running", "paused", "pausing"),
            branch=self.opened.source != "none" and self.told > 0,
        )

    def facts(self) -> tuple[str, ...]:
        """Short facts for the bar at the bottom, most lasting first."""
        told = []
        if self.engine:
            told.append(self.engine)
        if self.progress is not None:
            progress = self.progress
            if progress.births_per_hour > 0:
                told.append(f"{progress.births_per_hour:.0f} births/h")
            told.append(f"{lasting(progress.hours)} of work")
            if progress.eta_hours is not None and self.state in ("running", "pausing", "paused"):
                told.append(f"{lasting(progress.eta_hours)} to go")
        return tuple(told)

    @property
    def limit(self) -> int | None:
        """Births after which the run is over, where that is a limit."""
        stop = self.config.get("stop")
        evaluations = stop.get("evaluations") if isinstance(stop, Mapping) else None
        return evaluations if isinstance(evaluations, int) else None


def _engine(config: Mapping[str, Any], really: str = "") -> str:
    """What speaks and where: as the configuration names it, until it is known where it ``really`` does."""
    model, execution = config.get("model"), config.get("execution")
    checkpoint = model.get("checkpoint") if isinstance(model, Mapping) else None
    if not isinstance(checkpoint, str):
        return ""
    device = execution.get("device") if isinstance(execution, Mapping) else None
    where = really or (device if isinstance(device, str) and device != "auto" else "")
    return checkpoint.rstrip("/").rsplit("/", 1)[-1] + (f" on {where}" if where else "")


def lasting(hours: float) -> str:
    """A duration in the two units that matter."""
    seconds = round(max(hours, 0.0) * 3600)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"
