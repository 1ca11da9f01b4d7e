"""What a run says while it goes on (events), and what people say to it (commands): frozen values, no widget, no row.

The runner puts events out as they happen; `replay` reads the same events from a lineage file, of a finished run or of
one that another process is writing. So a window, a report or a progress line has one thing to understand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from digital_evolution import AddStatus, Candidate, Stop
from evolution.interventions import Intervention
from fusion.score import Score

if TYPE_CHECKING:
    from fusion.preference.learner import Learned

# -- from the run -----------------------------------------------------------------------------------------------

State = Literal[
    "loading",  # models are being loaded
    "running",
    "pausing",  # what is under way is being finished
    "paused",
    "stopping",
    "done",  # a stopping limit was reached
    "stopped",  # somebody asked; it can be resumed
    "failed",  # it cannot go on; the reason says what to do
]


@dataclass(frozen=True, eq=False)
class Clip:
    """Audio (S,) float32 in [-1, 1] at ``sample_rate`` Hz."""

    audio: NDArray[np.float32]
    sample_rate: int


@dataclass(frozen=True)
class StateChanged:
    """The run is in another state."""

    state: State
    reason: str = ""


@dataclass(frozen=True)
class Begun:
    """A run is there: always the first event."""

    run_id: int
    name: str
    seed: int
    config: Mapping[str, object]
    objectives: tuple[str, ...]
    weights: tuple[float, ...]
    born: int = 0  # births recorded before


@dataclass(frozen=True)
class Asked:
    """Births were planned and recorded."""

    candidates: tuple[Candidate, ...]


@dataclass(frozen=True, eq=False)
class Told:
    """A birth was judged and recorded."""

    candidate: Candidate
    score: Score
    total: float | None
    clip: Clip | None = None  # None when it was not kept; `replay.decode` can make it again from its tokens
    seconds: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True)
class Audited:
    """One of the best was heard on texts that selection never heard; ``total`` is None when it was not ok there."""

    birth: int
    score: Score
    total: float | None


@dataclass(frozen=True)
class Committed:
    """A step is over: what became of its births, and the population now."""

    became: Mapping[int, AddStatus]
    population: tuple[int, ...]
    best: int | None
    generation_best: float | None = None


@dataclass(frozen=True)
class Rescored:
    """Births have other totals now, because the preference model learned."""

    totals: Mapping[int, float]


@dataclass(frozen=True)
class Judged:
    """A person's answer was recorded; ``withdrawn`` when it was taken back."""

    judgement_id: int
    kind: Literal["better", "equal", "both_bad", "rating"]
    one: int
    other: int | None = None
    value: float | None = None
    withdrawn: bool = False


@dataclass(frozen=True, eq=False)
class Taught:
    """What the listeners' answers have taught so far, and the two births to ask about next."""

    learned: Learned
    question: tuple[int, int] | None


@dataclass(frozen=True)
class Intervened:
    """A person's doing was recorded and takes effect in the planning of ``step``."""

    step: int
    intervention: Intervention


@dataclass(frozen=True)
class Progress:
    """How far it is."""

    committed: int
    told: int
    hours: float  # of this run's work, over all its sittings
    births_per_hour: float
    eta_hours: float | None  # None when no limit says how long
    rendering: str = ""  # what the engine is doing now
    engine: str = ""  # where it really runs and how exactly, such as "cpu, fp32"; empty before it is loaded


@dataclass(frozen=True)
class Notice:
    """Something people should know."""

    text: str
    level: Literal["info", "warning", "error"] = "info"


Event = (
    StateChanged
    | Begun
    | Asked
    | Told
    | Committed
    | Rescored
    | Judged
    | Taught
    | Intervened
    | Audited
    | Progress
    | Notice
)

# -- to the run -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pause:
    """Finish what is under way, then wait."""


@dataclass(frozen=True)
class Continue:
    """Go on after a pause."""


@dataclass(frozen=True)
class StepOnce:
    """One more step of the swarm, then pause."""


@dataclass(frozen=True)
class StopRun:
    """Finish what is being rendered and judged, record it, and end; the run can be resumed."""

    reason: str = "asked to stop"


@dataclass(frozen=True)
class ChangeStop:
    """Other stopping limits from now on."""

    stop: Stop


@dataclass(frozen=True)
class JudgePair:
    """``one`` is better than ``other``, or neither is (``equal``); ``bad``: both are bad."""

    one: int
    other: int
    equal: bool = False
    bad: bool = False
    latency_s: float | None = None


@dataclass(frozen=True)
class Rate:
    """A rating from 0 (dislike) to 1 (like)."""

    birth: int
    value: float


@dataclass(frozen=True)
class ChooseWorst:
    """The worst of several."""

    worst: int
    others: tuple[int, ...]


@dataclass(frozen=True)
class TakeBack:
    """Withdraw a judgement; None: the latest of this sitting."""

    judgement_id: int | None = None


@dataclass(frozen=True)
class Intervene:
    """Plant, breed, pin, unpin."""

    intervention: Intervention


@dataclass(frozen=True)
class Remember:
    """Tag a birth, take a tag away (``away``), or write a note; a tagged birth keeps its tokens and audio."""

    birth: int
    tag: str = ""
    note: str = ""
    away: bool = False


Command = (
    Pause
    | Continue
    | StepOnce
    | StopRun
    | ChangeStop
    | JudgePair
    | Rate
    | ChooseWorst
    | TakeBack
    | Intervene
    | Remember
)
