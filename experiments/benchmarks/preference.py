"""How fast the preference ladder learns planted tastes, and when it keeps quiet.

    python -m experiments.benchmarks.preference --seeds 10 [--first-seed 100] [--only learning ladder ...]

Prints how many answers the linear model needs for 80 % and 90 % held-out accuracy, with informative and with random
questions; how often each model of the ladder speaks when answers are random, when taste is a weighted sum and when it
is not; how often coins convince it; how soon tastes for micro-Bark's voices are found; and what an answer costs. Takes
half an hour on one core. Worlds from seed 100 on were never looked at while anything was tuned.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from fusion.preference.ask import information_of_pairs
from fusion.preference.bradley_terry import fit
from fusion.preference.candidates import Array, Block, CandidateTable, Reference
from fusion.preference.judgements import CandidateId, Judgement, JudgementLog, Shown
from fusion.preference.ladder import Decision, last_look
from fusion.preference.model import PreferenceModel
from fusion.preference.pairs import Pairs

SPREAD = 2.0  # deviation of planted utilities, in logits: a judge names the better of two at random about 82 % right
COMPOSITE_CORRELATION = 0.3  # of the composite with what people like
LINEAGES = 26
TEXTS = 4
TABLES = ("learning", "ladder", "coins", "voices", "costs", "heads")


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
    """A liking of one feature that turns over with what an embedding says."""
    return features[:, 1] * np.tanh(2 * experts[0][:, 0])


def optimum_taste(features: Array, experts: Sequence[Array], rng: np.random.Generator) -> Array:
    """One feature should be neither little nor much."""
    return -np.square(features[:, 0])


def together_taste(features: Array, experts: Sequence[Array], rng: np.random.Generator) -> Array:
    """Two features should go together."""
    return features[:, 0] * features[:, 2]


def no_taste(features: Array, experts: Sequence[Array], rng: np.random.Generator) -> Array:
    """Answers are coins."""
    return np.zeros(len(features))


def world(
    taste: Taste, seed: int, *, candidates: int = 200, features: int = 5, embedding: int = 3, experts: int = 2
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
    """Held-out accuracy of the linear model every ``every`` answers; half the candidates are never asked about."""
    rng = np.random.default_rng([seed, 3])
    n = len(planted.table) // 2
    standard = Reference.fit(planted.table).standardise(planted.table)
    heard, unheard = standard.at(np.arange(n)), standard.at(np.arange(n, len(planted.table)))
    rows: dict[CandidateId, int] = {row: row for row in range(n)}
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
    planted = world(taste, seed, candidates=300)
    model = PreferenceModel(Reference.fit(planted.table), seed=seed)
    return model.learn(planted.random_log(answers, np.random.default_rng([seed, 4])), planted.table), model, planted


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the benchmark and prints its tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10, help="worlds of each kind")
    parser.add_argument("--answers", type=int, default=250, help="longest learning curve")
    parser.add_argument("--first-seed", type=int, default=0, help="of the worlds")
    parser.add_argument("--only", nargs="+", choices=TABLES, default=TABLES, help="tables to print")
    options = parser.parse_args(argv)
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    if "learning" in options.only:
        print_learning(seeds, options.answers)
    if "ladder" in options.only:
        print_ladder(seeds)
    if "coins" in options.only:
        print_coins(seeds)
    if "voices" in options.only:
        print_voices(seeds)
    if "costs" in options.only:
        print_costs()
    if "heads" in options.only:
        print_heads()
    return 0


def print_learning(seeds: range, answers: int) -> None:
    """Answers that the linear model needs, by way of asking."""
    print(f"Answers until the linear model names the better of two unheard candidates; median of {len(seeds)} worlds.")
    print(f"The judge itself is right {judge_accuracy():.0%} of the time.\n")
    print("| features | questions | for 80 % | for 90 % | accuracy after 50 | after 100 | after 200 |")
    print("| --- | --- | --- | --- | --- | --- | --- |", flush=True)
    for features in (10, 30):
        for informative in (True, False):
            curves = [
                learning_curve(
                    world(linear_taste, seed, features=features), informative=informative, answers=answers, seed=seed
                )
                for seed in seeds
            ]
            needed = [_median_needed(curves, accuracy, answers) for accuracy in (0.8, 0.9)]
            after = [_after(curves, n) for n in (50, 100, 200)]
            how = "informative" if informative else "random"
            print(f"| {features} | {how} | {' | '.join(needed)} | {' | '.join(after)} |", flush=True)


def print_ladder(seeds: range) -> None:
    """Who speaks, by planted taste."""
    print(
        f"\nWho speaks, of {len(seeds)} worlds; accuracy on held-out families and texts, against the judge's noise.\n"
    )
    print("| taste | answers | composite speaks | linear | heads | accuracy of composite | of linear | of heads |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |", flush=True)
    for name, taste, answers in (
        ("none: coins", no_taste, 60),
        ("none: coins", no_taste, 150),
        ("weighted sum", linear_taste, 60),
        ("weighted sum", linear_taste, 100),
        ("weighted sum", linear_taste, 150),
        ("weighted sum", linear_taste, 600),
        ("a liking that an embedding turns over", nonlinear_taste, 300),
        ("a liking that an embedding turns over", nonlinear_taste, 700),
        ("an optimum in one feature", optimum_taste, 300),
        ("an optimum in one feature", optimum_taste, 700),
        ("two features that go together", together_taste, 300),
        ("two features that go together", together_taste, 700),
    ):
        decisions = [ladder_decision(taste, seed, answers)[0] for seed in seeds]
        speaks = Counter(decision.speaks for decision in decisions)
        rungs = [[decision.rungs[i].accuracy for decision in decisions if len(decision.rungs) > i] for i in range(3)]
        shares = [f"{statistics.mean(rung):.0%}" if rung else "" for rung in rungs]
        counts = f"{speaks['composite']} | {speaks['linear']} | {speaks['heads']}"
        print(f"| {name} | {answers} | {counts} | {' | '.join(shares)} |", flush=True)


def print_coins(seeds: range, answers: int = 170) -> None:
    """How often coin-flip answers about 13 families and one text ever let the linear model speak."""
    convinced = 0
    for seed in seeds:
        rng = np.random.default_rng([seed, 5])
        table = CandidateTable.of(range(78), rng.standard_normal((78, 20)), rng.standard_normal(78))
        model, log = PreferenceModel(Reference.fit(table), heads=False), JudgementLog()
        for answer in range(1, answers + 1):
            i, j = (int(row) for row in rng.choice(78, 2, replace=False))
            shown = (Shown(i, "text", f"family {i % 13}"), Shown(j, "text", f"family {j % 13}"))
            log.append(Judgement("better", shown, int(rng.integers(2)), "coin"))
            if last_look(answer) == answer and model.learn(log, table).speaks != "composite":
                convinced += 1
                break
    print(
        f"\nCoins: the linear model ever spoke in {convinced} of {len(seeds)} worlds of {answers} answers.", flush=True
    )


SENTENCES = (
    "My brother has three dogs and a small white cat.",
    "We are going to build a better world together.",
    "She sells fresh bread and butter at the market.",
    "The weather in the city is cold and wet today.",
    "Yes, of course!",
    "I have seen the sea.",
)
LIKINGS: tuple[tuple[str, dict[str, float]], ...] = (
    ("low voices", {"f0_median_hz": -1.5}),
    ("bright and fast", {"centroid_hz": 1.0, "speaking_rate_cps": 1.0}),
)


def micro_voices() -> tuple[Array, list[str]]:
    """(N, features) of micro-Bark's voices saying `SENTENCES`, and whose each is."""
    from bark_infinity.engine import BarkEngine
    from bark_infinity.requests import RenderRequest
    from bark_infinity.voices.catalogue import VoiceCatalogue
    from fusion.features.features import measure

    catalogue = VoiceCatalogue()
    names = [name for name in catalogue.names() if name.startswith("micro/")]
    rows, families = [], []
    with contextlib.closing(BarkEngine.load("micro")) as engine:
        for text in SENTENCES:
            clips = engine.render([RenderRequest(text, voice=catalogue.find(name)) for name in names])
            for name, clip in zip(names, clips, strict=True):
                if clip.audio is not None:
                    rows.append(measure(clip.audio, clip.sample_rate, text=text).known_vector())
                    families.append(name)
    return np.stack(rows).astype(np.float64), families


def print_voices(seeds: range, answers: int = 125) -> None:
    """Tastes for real renderings: how well unheard voices are predicted, with the reference stretched and not."""
    from fusion.features.features import AcousticFeatures
    from fusion.preference.usual_speech import FEATURES, USUAL

    rows, families = micro_voices()
    spread = np.array([USUAL[name][1] for name in AcousticFeatures.NAMES])
    composite = np.random.default_rng(0).normal(0.5, 0.2, len(rows))
    table = CandidateTable.of(range(len(rows)), rows, composite)
    middle, usual = np.nanmedian(rows, axis=0), np.maximum(np.nanstd(rows, axis=0), 1e-9)
    z = dict(zip(AcousticFeatures.NAMES, np.clip(np.nan_to_num((rows - middle) / usual), -3, 3).T, strict=True))
    print(f"\n{len(rows)} renderings by {len(set(families))} voices; accuracy on voices that were not asked about.\n")
    print("| taste | reference | after 50 answers | after 125 | the ladder trusts it after 125 |")
    print("| --- | --- | --- | --- | --- |", flush=True)
    for taste, weights in LIKINGS:
        utility = sum((weight * z[name] for name, weight in weights.items()), start=np.zeros(len(rows)))
        for how, block in (("as it is", FEATURES), ("unstretched", Block(FEATURES.middle, spread))):
            reference = Reference(block, Block(np.array([0.5]), np.array([0.2])), {})
            found: dict[int, list[float]] = {50: [], answers: []}
            trusted = 0
            for seed in seeds:
                rng = np.random.default_rng([seed, 6])
                away = set(rng.choice(sorted(set(families)), 4, replace=False))
                asked = np.array([row for row, family in enumerate(families) if family not in away])
                unheard = np.array([row for row, family in enumerate(families) if family in away])
                planted = World(table, utility, tuple(families), ("text",) * len(rows))
                model, log = PreferenceModel(reference, heads=False), JudgementLog()
                for answer in range(1, answers + 1):
                    first, second = (int(row) for row in rng.choice(asked, 2, replace=False))
                    log.append(planted.answer(first, second, rng))
                    if answer in found:
                        speaks = model.learn(log, table).speaks
                        believed = model.linear.mean(reference.standardise(table).at(unheard))
                        found[answer].append(pair_accuracy(utility[unheard], believed))
                trusted += speaks == "linear"
            shares = " | ".join(f"{statistics.mean(values):.0%}" for values in found.values())
            print(f"| {taste} | {how} | {shares} | {trusted} of {len(seeds)} |", flush=True)


def print_costs() -> None:
    """What one more answer costs a run, and what learning all of them again does; in processor time."""
    print(
        "\nOne answer after the other, 80 features, questions about 64 of 2,000 births; processor time in ms. Usual is"
    )
    print("the median; the mean has the answers in it at which all are fitted together or models are compared.\n")
    print("| answers | one more, usual | mean | longest | next question |")
    print("| --- | --- | --- | --- | --- |", flush=True)
    planted = world(linear_taste, 0, candidates=2_000, features=80)
    living, reference, rng = planted.table.at(np.arange(64)), Reference.fit(planted.table), np.random.default_rng(0)
    model, log = PreferenceModel(reference, heads=False), JudgementLog()
    begin = 0
    for end in (100, 200, 300, 1_000, 2_000, 3_000):
        learning, asking = [], []
        for _, judgement in planted.random_log(end - begin, rng).standing():
            log.append(judgement)
            learning.append(1e3 * _seconds(lambda: model.learn(log, planted.table)))
            asking.append(1e3 * _seconds(lambda: model.next_pair(living, rng)))
        usual, mean = statistics.median(learning), statistics.mean(learning)
        print(f"| {begin + 1} to {end} | {usual:.1f} | {mean:.1f} | {max(learning):.0f} | ", end="")
        print(f"{statistics.mean(asking):.1f} |", flush=True)
        begin = end
    again = PreferenceModel(reference, heads=False)
    at_once = _seconds(lambda: again.learn(log, planted.table))
    print(f"\nAll {begin} at once, as where a run is resumed: {at_once:.1f} s of processor time.", flush=True)


def print_heads() -> None:
    """What it costs to compare models where the ensemble may be tried."""
    print("\nComparing models with heads, at every third more answers; 5 features and two embeddings of 3 numbers.\n")
    print("| answers so far | processor time, s |")
    print("| --- | --- |", flush=True)
    planted = world(linear_taste, 0, candidates=200)
    for answers in (100, 300, 1_000):
        log = planted.random_log(answers, np.random.default_rng(0))
        model = PreferenceModel(Reference.fit(planted.table))
        climb = _seconds(lambda model=model, log=log: model.learn(log, planted.table))  # type: ignore[misc]
        print(f"| {answers} | {climb:.1f} |", flush=True)


def judge_accuracy() -> float:
    """How often the planted judge names the better one, over worlds."""
    shares = []
    for seed in range(5):
        utility = world(linear_taste, seed).utility
        i, j = np.triu_indices(len(utility), 1)
        shares.append(float(np.mean(1 / (1 + np.exp(-np.abs(utility[i] - utility[j]))))))
    return statistics.mean(shares)


def _median_needed(curves: Sequence[Sequence[float]], accuracy: float, answers: int) -> str:
    needed = [answers_needed(curve, accuracy) or answers + 1 for curve in curves]
    median = statistics.median(needed)
    return f"{median:.0f}" if median <= answers else f"over {answers}"


def _after(curves: Sequence[Sequence[float]], answers: int, every: int = 5) -> str:
    index = answers // every - 1
    values = [curve[index] for curve in curves if len(curve) > index]
    return f"{statistics.median(values):.0%}" if values else ""


def _seconds(run: Callable[[], object]) -> float:
    started = time.process_time()
    run()
    return time.process_time() - started


if __name__ == "__main__":
    sys.exit(main())
