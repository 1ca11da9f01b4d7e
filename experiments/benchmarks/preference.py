"""How fast the preference ladder learns planted tastes, and when it keeps quiet.

    python -m experiments.benchmarks.preference --seeds 10

Prints how many answers the linear model needs for 80 % and 90 % held-out accuracy, with informative and with random
questions; how often each model of the ladder speaks when answers are random, when taste is a weighted sum and when it
is not; and what an answer costs. Everything is synthetic and seeded; no audio, no download.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from fusion.preference.ask import information_of_pairs
from fusion.preference.bradley_terry import BradleyTerry, Pairs, fit
from fusion.preference.candidates import Array, CandidateTable, Reference
from fusion.preference.judgements import Judgement, JudgementLog, Shown
from fusion.preference.ladder import Decision
from fusion.preference.model import PreferenceModel

SPREAD = 2.0  # deviation of planted utilities, in logits: a judge names the better of two at random about 82 % right
COMPOSITE_CORRELATION = 0.3  # of the composite with what people like
LINEAGES = 12
TEXTS = 4


@dataclass(frozen=True, eq=False)
class World:
    """Candidates whose worth is known.

    Attributes:
        table: What the model sees.
        utility: (N,) what decides, in logits.
        lineages: (N,) family of each.
        texts: (N,) text of each.
    """

    table: CandidateTable
    utility: Array
    lineages: tuple[str, ...]
    texts: tuple[str, ...]

    def shown(self, row: int) -> Shown:
        """The candidate in ``row`` as it is presented."""
        return Shown(self.table.ids[row], self.texts[row], self.lineages[row])

    def answer(self, first: int, second: int, rng: np.random.Generator, rater: str = "planted") -> Judgement:
        """What a noisy judge says of two rows (Bradley and Terry's law)."""
        chance = 1 / (1 + np.exp(self.utility[second] - self.utility[first]))
        return Judgement("better", (self.shown(first), self.shown(second)), int(rng.random() > chance), rater)

    def random_log(self, answers: int, rng: np.random.Generator) -> JudgementLog:
        """Answers to random pairs that speak the same text."""
        log = JudgementLog()
        texts = np.array(self.texts)
        for _ in range(answers):
            first = int(rng.integers(len(self.texts)))
            others = np.flatnonzero(texts == texts[first])
            second = int(rng.choice(others[others != first]))
            log.append(self.answer(first, second, rng))
        return log


Taste = Callable[[Array, Sequence[Array], np.random.Generator], Array]


def linear_taste(features: Array, experts: Sequence[Array], rng: np.random.Generator) -> Array:
    """A weighted sum of all features."""
    return features @ rng.standard_normal(features.shape[1])


def nonlinear_taste(features: Array, experts: Sequence[Array], rng: np.random.Generator) -> Array:
    """A best value of one feature, and a liking of another that turns over with what an embedding says."""
    return -np.square(features[:, 0] - 0.5) + 1.5 * features[:, 1] * np.tanh(2 * experts[0][:, 0])


def no_taste(features: Array, experts: Sequence[Array], rng: np.random.Generator) -> Array:
    """Answers are coins."""
    return np.zeros(len(features))


def world(
    taste: Taste, seed: int, *, candidates: int = 200, features: int = 10, embedding: int = 6, experts: int = 2
) -> World:
    """A population of families on a few texts; ``taste`` draws its weights from the seed alone, not from the size."""
    rng = np.random.default_rng([seed, 1])
    families = rng.integers(LINEAGES, size=candidates)
    values = 0.6 * rng.standard_normal((LINEAGES, features))[families] + 0.8 * rng.standard_normal(
        (candidates, features)
    )
    embeddings = [rng.standard_normal((candidates, embedding)) for _ in range(experts)]
    worth = taste(values, embeddings, np.random.default_rng([seed, 2]))
    deviation = worth.std()
    utility = SPREAD * (worth - worth.mean()) / deviation if deviation else worth
    noise = rng.standard_normal(candidates)
    composite = COMPOSITE_CORRELATION * utility / SPREAD + np.sqrt(1 - COMPOSITE_CORRELATION**2) * noise
    table = CandidateTable.of(
        range(candidates), values, composite, {f"expert {i}": array for i, array in enumerate(embeddings)}
    )
    texts = rng.integers(TEXTS, size=candidates)
    return World(table, utility, tuple(f"family {i}" for i in families), tuple(f"text {i}" for i in texts))


def pair_accuracy(utility: Array, believed: Array) -> float:
    """Share of all pairs whose better one ``believed`` names."""
    i, j = np.triu_indices(len(utility), 1)
    return float(np.mean((utility[i] - utility[j]) * (believed[i] - believed[j]) > 0))


def learning_curve(planted: World, *, informative: bool, answers: int, seed: int, every: int = 5) -> list[float]:
    """Held-out accuracy of the linear model after every ``every`` answers; half the candidates are never asked about."""
    rng = np.random.default_rng([seed, 3])
    n = len(planted.table) // 2
    standard = Reference.fit(planted.table).standardise(planted.table)
    heard, unheard = standard.at(np.arange(n)), standard.at(np.arange(n, len(planted.table)))
    rows = {row: row for row in range(n)}
    log = JudgementLog()
    asked = np.eye(n, dtype=bool)
    model = fit(heard, Pairs.of((), rows))
    curve: list[float] = []
    for answer in range(1, answers + 1):
        information = information_of_pairs(model, heard) if informative else rng.random((n, n))
        i, j = np.unravel_index(int(np.argmax(np.where(asked, -1.0, information))), (n, n))
        asked[i, j] = asked[j, i] = True
        log.append(planted.answer(int(i), int(j), rng))
        if informative or answer % every == 0:
            model = fit(heard, Pairs.of(log.comparisons(), rows))
        if answer % every == 0:
            curve.append(pair_accuracy(planted.utility[n:], model.mean(unheard)))
    return curve


def answers_needed(curve: Sequence[float], accuracy: float, every: int = 5) -> int | None:
    """Answers after which the curve stays at ``accuracy`` or above; None when it never does."""
    below = [i for i, value in enumerate(curve) if value < accuracy]
    reached = below[-1] + 1 if below else 0
    return (reached + 1) * every if reached < len(curve) else None


def ladder_decision(taste: Taste, seed: int, answers: int) -> tuple[Decision, PreferenceModel, World]:
    """What the ladder decides about a planted taste."""
    planted = world(taste, seed)
    model = PreferenceModel(Reference.fit(planted.table), seed=seed)
    return model.learn(planted.random_log(answers, np.random.default_rng([seed, 4])), planted.table), model, planted
