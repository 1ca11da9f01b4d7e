"""Small swarms for tests: every algorithm, results of all kinds, and everything a lineage would record of a run."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from planted import OPERATORS, genome, measures, one_max, random_bits, random_genomes

from bark_infinity.voices.history import VoiceHistory
from digital_evolution import (
    NSGA2,
    Algorithm,
    Candidate,
    CategoryAxis,
    Evaluation,
    Genome,
    GridAxis,
    Islands,
    MapElites,
    MuPlusLambda,
    Novelty,
    Swarm,
    SwarmSettings,
)

ALGORITHMS: dict[str, Callable[[], Algorithm]] = {
    "one plus one": lambda: MuPlusLambda(1),
    "mu plus lambda": lambda: MuPlusLambda(4),
    "nsga2": lambda: NSGA2(4),
    "map-elites": lambda: MapElites([GridAxis("ones", 0, 12, 6), CategoryAxis("first bit", lambda one: one.prompt[0])]),
    "novelty": lambda: Novelty({"ones": 2.0}, k=3, capacity=8),
    "islands": lambda: Islands([MuPlusLambda(2), NSGA2(2), Novelty({"ones": 1.0}, k=2, capacity=4)], migrate_every=2),
}


def voice(seed: int, length: int = 40) -> VoiceHistory:
    rng = np.random.default_rng(seed)
    fine = rng.integers(0, 1_024, (8, int(length * 75 / 49.9)))
    return VoiceHistory(rng.integers(0, 10_000, length), fine[:2], fine)


def founders(count: int, length: int = 12) -> list[Genome]:
    rng = np.random.default_rng(99)
    return [genome(random_bits(rng, length)) for _ in range(count)]


def make(algorithm: str = "mu plus lambda", **options: object) -> Swarm:
    chosen = SwarmSettings(**{"seed": 5, "step_size": 6, "initial": 8, **options})  # type: ignore[arg-type]
    return Swarm(founders(3), OPERATORS, ALGORITHMS[algorithm](), chosen, immigrate=random_genomes(12))


def moody(candidate: Candidate) -> Evaluation:
    """Some bits cannot be judged, some are refused, some give NaN: by the genome, as with a real engine."""
    kind = int(candidate.genome.sha256[:4], 16) % 8
    if kind == 0:
        return Evaluation("failed")
    if kind == 1:
        return Evaluation("rejected", measures=measures(candidate.genome.prompt))
    if kind == 2:
        return Evaluation("ok", (math.nan,))
    return one_max(candidate)


def run(swarm: Swarm, births: int, batch: int, order: Callable[[Sequence[Candidate]], list[Candidate]] = list) -> list:
    """Evaluates until so many births are committed; returns everything that was told, as a log holds it."""
    log, pending = [], []
    while swarm.committed < births:
        pending += swarm.ask(batch)
        pending = order(pending)
        candidate = pending.pop(0)
        log.append((candidate, moody(candidate)))
        swarm.tell(*log[-1])
    return log


def lineage(swarm: Swarm, log: Sequence[tuple[Candidate, Evaluation]]) -> list[tuple[object, ...]]:
    """Everything a lineage would record of complete steps, in birth order."""
    told = sorted((one for one, _ in log if one.birth <= swarm.committed), key=lambda one: one.birth)
    facts = [(one, one.genome.sha256, swarm.status(one.birth)) for one in told]
    return [*facts, sorted(one.birth for one in swarm.algorithm.members()), swarm.best, swarm.against_control()]
