"""`RunConfig`: everything that decides a run, as tables of documented settings.

What decides *which lineage* a run has (`RunConfig.identity`) is fixed when it begins. How it is carried out, how many
workers, how long (`Stop` and `Execution`), may change at any time and never changes a single token.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from bark_infinity.error_handling import BarkError
from digital_evolution import Stop, SwarmSettings
from experiments.config.tables import described, plain, read_table
from fusion.recipe import CriticRecipe

GENES = ("voice", "prompt", "settings")
MOST_TRIALS = 999  # a result's replicates, numbered from 1; audits have numbers above
ALGORITHMS = ("mu-plus-lambda", "nsga2", "map-elites", "novelty", "islands")


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise BarkError(message)


@dataclass(frozen=True)
class Model:
    """What speaks."""

    checkpoint: str = described(
        "micro", "Bark checkpoint: micro, a Hugging Face id like suno/bark-small, or a directory"
    )
    precision: str = described(
        "auto",
        "arithmetic: auto takes fp32 on a CPU and half precision on a GPU",
        ("auto", "fp32", "bf16", "fp16"),
    )


@dataclass(frozen=True)
class Founders:
    """What evolution begins with: every prompt with every voice."""

    prompts: tuple[str, ...] = described((), "what founders say; at least one")
    voices: tuple[str, ...] = described(
        (),
        "names from the catalogue, paths of .npz files, or a pattern such as micro/*; none: the model chooses voices",
    )
    content_lock: bool = described(True, "keep the words of a prompt; off: variation may change what is said")
    most: int = described(64, "refuse more founders than this")

    def __post_init__(self) -> None:
        _require(all(prompt.strip() for prompt in self.prompts), "prompts: one is empty; remove it or give it words")
        _require(self.most >= 1, f"most is {self.most}, expected at least 1")


@dataclass(frozen=True)
class Variation:
    """What may change from parent to child, and by which operators."""

    genes: tuple[str, ...] = described(("voice",), "what is heritable and varied", GENES)
    operators: tuple[str, ...] = described((), "variation operators to use; none named: all that fit the genes")
    without: tuple[str, ...] = described((), "variation operators not to use")
    carrier_texts: tuple[str, ...] = described(
        (), "what continued and new voices say while they are made; none: the operators' own English texts"
    )
    masked_lm: str = described("", "Hugging Face id or directory of a masked language model that proposes words")

    def __post_init__(self) -> None:
        _require(bool(self.genes), "genes is empty, expected at least one of voice, prompt, settings")


@dataclass(frozen=True)
class Axis:
    """One axis of a map of elites: a measure cut into cells, or a category."""

    measure: str = described("", "a measure of the judgement, such as f0_median_hz; empty for a category")
    low: float = described(0.0, "where the first cell begins")
    high: float = described(1.0, "where the last cell ends")
    cells: int = described(8, "how many")
    category: str = described("", "instead of a measure: a property of the prompt", ("", "tag", "script"))

    def __post_init__(self) -> None:
        _require(
            bool(self.measure) != bool(self.category), "an axis has a measure or a category, exactly one of the two"
        )
        if self.measure:
            _require(
                self.low < self.high and self.cells >= 1,
                f"axis {self.measure} has {self.cells} cells from {self.low} to {self.high}; low must be below high",
            )


@dataclass(frozen=True)
class Algorithm:
    """Who survives and who has children."""

    kind: str = described(
        "mu-plus-lambda", "how: the fittest, Pareto fronts, a map of elites, novelty, or islands", ALGORITHMS
    )
    population: int = described(12, "individuals that live (mu); of every island; the archive's size for novelty")
    tournament: int = described(2, "a parent is the best of so many drawn at random; 1 draws any")
    axes: tuple[Axis, ...] = described((), "of the map, for map-elites")
    islands: int = described(4, "how many, for islands")
    migrate_every: int = described(5, "steps between migrations, for islands")
    migrants: int = described(1, "how many migrate at a time, for islands")
    scales: Mapping[str, float] = described(
        lambda: MappingProxyType({}), "for novelty: measures that count, each with a difference that matters equally"
    )
    neighbours: int = described(8, "for novelty: distance to so many nearest others")

    def __post_init__(self) -> None:
        for name in ("population", "tournament", "islands", "migrate_every", "neighbours"):
            _require(getattr(self, name) >= 1, f"{name} is {getattr(self, name)}, expected at least 1")
        _require(self.migrants >= 0, f"migrants is {self.migrants}, expected at least 0")
        _require(self.kind != "map-elites" or bool(self.axes), "map-elites needs axes; add [[algorithm.axes]] tables")
        _require(self.kind != "novelty" or bool(self.scales), "novelty needs scales; add an [algorithm.scales] table")


@dataclass(frozen=True)
class Breeding:
    """How births are planned; see `digital_evolution.SwarmSettings`."""

    step_size: int = described(8, "births planned together; results count when all of a step are in")
    lag: int = described(0, "steps under way besides the oldest; 1 keeps many workers busy")
    initial: int = described(0, "births before variation begins: founders, then immigrants up to this number")
    control_share: float = described(0.2, "share of births in the control arm: random immigrants that never breed")
    immigrant_share: float = described(0.05, "share of the other births that are immigrants and may breed")
    operator_floor: float = described(0.03, "least probability of every operator")
    operator_memory: float = described(0.98, "what an operator's credit is worth after one more child of it")
    edits: float = described(1.25, "mean number of edits of a founder's children")
    edits_drift: float = described(0.3, "how much that number drifts from parent to child; 0 keeps it")

    def __post_init__(self) -> None:
        self.settings(0, (1.0,))

    def settings(self, seed: int, weights: tuple[float, ...]) -> SwarmSettings:
        """What the swarm takes."""
        return SwarmSettings(
            seed=seed,
            step_size=self.step_size,
            lag=self.lag,
            weights=weights,
            initial=self.initial,
            control_share=self.control_share,
            immigrant_share=self.immigrant_share,
            floor=self.operator_floor,
            discount=self.operator_memory,
            rate=self.edits,
            rate_drift=self.edits_drift,
        )


@dataclass(frozen=True)
class Trials:
    """What every candidate is heard on."""

    texts: tuple[str, ...] = described((), "said by every candidate; none: each says its own prompt")
    held_out: tuple[str, ...] = described((), "texts for audits, which selection never hears")
    seeds: int = described(1, "renderings of every text")
    same_seeds: bool = described(
        True, "every candidate is rendered with the same seeds, so that differences are its own; off: with its own"
    )
    reliability: float = described(0.5, "standard deviations between renderings that are taken off a term's mean")

    def __post_init__(self) -> None:
        _require(self.seeds >= 1, f"seeds is {self.seeds}, expected at least 1")
        _require(0 <= self.reliability < math.inf, f"reliability is {self.reliability}, expected at least 0")
        _require(all(text.strip() for text in (*self.texts, *self.held_out)), "texts: one is empty")
        trials = max(len(self.texts), len(self.held_out), 1) * self.seeds
        _require(trials <= MOST_TRIALS, f"texts times seeds are {trials} renderings, expected at most {MOST_TRIALS}")
        texts = (*self.texts, *self.held_out)
        _require(len(set(texts)) == len(texts), "texts and held_out: one comes twice")


@dataclass(frozen=True)
class StopLimits:
    """When the run is over: as soon as one is reached; without any it runs until somebody stops it."""

    evaluations: int | None = described(None, "births that were judged, failures and the control arm included")
    hours: float | None = described(None, "hours of work, over all sittings")
    target: float | None = described(None, "fitness of the best, from 0 to 1")
    stagnation: int | None = described(None, "individuals in a row that were no better than the best")

    def __post_init__(self) -> None:
        for name in ("evaluations", "hours", "target", "stagnation"):
            value = getattr(self, name)
            _require(value is None or value > 0, f"{name} is {value}, expected a number above 0, or leave it out")

    def stop(self) -> Stop:
        """What the swarm takes."""
        return Stop(self.evaluations, self.hours, self.target, self.stagnation)


@dataclass(frozen=True)
class Execution:
    """How the work is done; changes nothing in the result, but for rounding on another device."""

    workers: int = described(
        1, "processes that render and judge; 0: this one, without protection from a model that hangs"
    )
    batch_size: int = described(4, "candidates rendered together")
    time_limit_s: float = described(
        600.0, "longest time for one batch of a worker; after that each is tried once more, alone"
    )
    device: str = described("auto", "auto, cpu, cuda, cuda:n or mps")
    offload: str = described("auto", "one stage in memory at a time", ("auto", "on", "off"))
    clips: str = described("elites", "audio kept as files; tokens are always kept", ("all", "elites", "none"))
    power_safe: bool = described(False, "every record waits for the disk, so that not even a power cut loses one")

    def __post_init__(self) -> None:
        _require(0 <= self.workers <= 1024, f"workers is {self.workers}, expected 0 to 1024")
        _require(self.batch_size >= 1, f"batch_size is {self.batch_size}, expected at least 1")
        _require(0 < self.time_limit_s < math.inf, f"time_limit_s is {self.time_limit_s}, expected seconds above 0")


@dataclass(frozen=True)
class RunConfig:
    """All settings of a run; a recipe is one of these as a TOML file."""

    name: str = described("run", "what the run is called; a number is added when the name is taken")
    description: str = described("", "what it is for")
    seed: int = described(0, "of everything random in the run")
    weights: tuple[float, ...] = described((), "of the judge's objectives in the one number `fitness`; none: all equal")
    model: Model = dataclasses.field(default_factory=Model)
    founders: Founders = dataclasses.field(default_factory=Founders)
    variation: Variation = dataclasses.field(default_factory=Variation)
    algorithm: Algorithm = dataclasses.field(default_factory=Algorithm)
    breeding: Breeding = dataclasses.field(default_factory=Breeding)
    judge: CriticRecipe = dataclasses.field(default_factory=CriticRecipe)
    trials: Trials = dataclasses.field(default_factory=Trials)
    stop: StopLimits = dataclasses.field(default_factory=StopLimits)
    execution: Execution = dataclasses.field(default_factory=Execution)

    def __post_init__(self) -> None:
        _require(bool(self.name.strip()), "name is empty; give the run one")
        _require(0 <= self.seed < 2**64, f"seed is {self.seed}, expected 0 to 2**64 - 1")
        count = len(self.judge.objectives)
        _require(
            len(self.weights) in (0, count),
            f"weights has {len(self.weights)} numbers, expected {count}, one per objective",
        )
        _require(all(0 <= one < math.inf for one in self.weights), f"weights are {self.weights}, expected at least 0")
        _require(not self.weights or sum(self.weights) > 0, "weights are all 0; at least one objective must count")
        _require(
            "prompt" not in self.variation.genes or not self.trials.texts,
            "trials.texts are said instead of the prompts, so nobody would hear what varies when variation.genes has "
            "prompt; leave trials.texts empty, or prompt out of the genes",
        )

    @property
    def objective_weights(self) -> tuple[float, ...]:
        """One weight for each objective."""
        return self.weights or (1.0,) * len(self.judge.objectives)

    def to_json(self) -> dict[str, Any]:
        """Plain data; `from_json` gives an equal config."""
        made: dict[str, Any] = plain(self)
        return made

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> RunConfig:
        """Reads plain data.

        Raises:
            BarkError: When a key is none, or a value is refused; names it, what was expected, and the nearest name.
        """
        return read_table(cls, given)

    def identity(self) -> dict[str, Any]:
        """Plain data without what may change between two sittings of one run."""
        return {key: value for key, value in self.to_json().items() if key not in ("stop", "execution", "description")}

    def conduct(self) -> dict[str, Any]:
        """The rest of `to_json`: what may change."""
        return {"description": self.description, "stop": plain(self.stop), "execution": plain(self.execution)}
