"""Which model may speak: a bigger one only once it predicts choices it has not heard significantly better.

The rungs are the composite, the linear model, the head ensemble. Held-out choices are about other families and other
texts: siblings sound alike and a text has its own pitfalls, so a model that has heard either would be tested on what it
knows. But a choice is between two families, and holding out every pair of families by itself would take too many
trainings. So lineages are dealt into 13 blocks, the points of a projective plane: any two lie on exactly one of its 13
lines of four. A cell of held-out choices is a line and one of four blocks of texts; they are predicted by a model that
learnt from no choice that touches any of them. Every choice is predicted once.

The composite is tested as it speaks: by the order it puts candidates in, which no answer changes. Only how sure it is
is fitted (one factor, never below 0), so that nobody takes over for being more modest; where it is wrong more often
than right, it is a coin. What the heads add to the linear model is trusted as far as it predicted other cells. A bigger
model's gain is in log loss, summed by pair of lineage blocks and texts, and tested against chance by flipping the signs
of these sums. Whoever does not pass stays shadow: learning, reported, silent. Looking after every answer would cost
more with every answer, so the ladder is climbed only whenever there is a third more to learn from. Looking often finds
luck, so the k-th look at a model must find it better at p < 0.05 / (k (k + 1)), which sums to 0.05 over all looks there
will ever be.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fusion.preference.bradley_terry import BradleyTerry, chance_of_first, fit
from fusion.preference.candidates import Array, Standardised
from fusion.preference.judgements import Comparison
from fusion.preference.pairs import Pairs

Level = Literal["composite", "linear", "heads"]

FIRST_LOOK = 20  # comparisons before the linear model is tried
FIRST_HEADS = 120  # before the head ensemble is
GROWTH = 1.35
SIGNIFICANCE = 0.05  # of a model's trials altogether, however often it is looked at
LINEAGE_BLOCKS = 13
_LINE = (0, 1, 3, 9)  # differences of which take every value modulo 13 once: Singer's plane of 13 points and 13 lines
TEXT_BLOCKS = 4
FEWEST_LINEAGES = 6  # so that a line, with up to four of them, leaves two to learn from
TRIAL_MEMBERS = 3  # of an ensemble in cross-validation; the five that speak are better, if anything
TRUST = tuple(np.linspace(0, 1.5, 16).tolist())  # factors on what the heads add, to choose from
_FLIPS = 99_999  # enough to tell p from the threshold of the fiftieth look
_FLIPS_AT_ONCE = 1_000  # so that hundreds of gains take megabytes


@dataclass(frozen=True)
class Rung:
    """How well one model predicts choices that it has not heard.

    Attributes:
        level: Which model.
        accuracy: Share of held-out choices whose better one it names; a tie of utilities counts half. The composite
            names it by the order in which it speaks.
        log_loss: Mean negative log chance that it gave to what was chosen; log 2 = 0.693 is a coin's. The composite
            is as sure as its record elsewhere allows.
        choices: Held-out choices.
    """

    level: Level
    accuracy: float
    log_loss: float
    choices: int


@dataclass(frozen=True)
class Climb:
    """A bigger model's trial against the one that spoke before it.

    Attributes:
        smaller: Who spoke.
        bigger: Who asked to.
        gain: Mean log loss saved per choice; positive when the bigger one is better.
        p: Chance of such a gain when both are equally good.
        threshold: What p must stay below at this look.
        passed: Whether the bigger one took over.
    """

    smaller: Level
    bigger: Level
    gain: float
    p: float
    threshold: float
    passed: bool


@dataclass(frozen=True)
class Decision:
    """Who speaks, and why.

    Attributes:
        speaks: The model that predicts.
        why: In plain words.
        comparisons: How many it rests on.
        rungs: What was measured, smallest model first.
        climbs: Trials, in order.
        trust: Factor on what the heads add to the linear model; 0 before they were tried.
    """

    speaks: Level
    why: str
    comparisons: int = 0
    rungs: tuple[Rung, ...] = ()
    climbs: tuple[Climb, ...] = ()
    trust: float = 0.0


@dataclass(frozen=True, eq=False)
class Folds:
    """Held-out cells.

    Attributes:
        cell: (n,) number of the cell in which each comparison is held out.
        group: (n,) number of its pair of lineage blocks and its texts: what may be equal by more than chance.
        kept: (F, n) comparisons that may be learnt from when cell F is held out.
        texts_held_out: Whether there was more than one text to hold out.
    """

    cell: NDArray[np.int64]
    group: NDArray[np.int64]
    kept: NDArray[np.bool_]
    texts_held_out: bool


def last_look(comparisons: int) -> int:
    """Number of comparisons at which the ladder was last climbed, 0 before the first time."""
    return max(_looks(comparisons), default=0)


def threshold(comparisons: int, first: int) -> float:
    """What p must stay below, when the model is looked at from ``first`` comparisons on.

    The k-th look spends 1 / (k (k + 1)) of `SIGNIFICANCE`; over all k that is all of it.
    """
    k = max(1, sum(look >= first for look in _looks(comparisons)))
    return SIGNIFICANCE / (k * (k + 1))


def _looks(comparisons: int) -> Iterator[int]:
    look = FIRST_LOOK
    while look <= comparisons:
        yield look
        look = int(np.ceil(look * GROWTH))


def grouped_folds(comparisons: Sequence[Comparison]) -> Folds:
    """Cells of lineage blocks and text blocks; see the module's first words."""
    lineage_blocks = _deal((group for one in comparisons for group in _lineages(one)), LINEAGE_BLOCKS)
    text_blocks = _deal((group for one in comparisons for group in _texts(one)), TEXT_BLOCKS)
    texts_held_out = len(set(text_blocks.values())) > 1
    lineages = [frozenset(lineage_blocks[group] for group in _lineages(one)) for one in comparisons]
    texts = [frozenset(text_blocks[group] for group in _texts(one)) for one in comparisons]
    keys = [(_line_through(held), of_texts) for held, of_texts in zip(lineages, texts, strict=True)]
    number = {key: i for i, key in enumerate(dict.fromkeys(keys))}
    kept = np.array(
        [
            [
                not (held_line & of_lineages) and not (texts_held_out and held_texts & of_texts)
                for of_lineages, of_texts in zip(lineages, texts, strict=True)
            ]
            for held_line, held_texts in number
        ]
    )
    cell = np.array([number[key] for key in keys], np.int64)
    pairs = list(zip(lineages, texts, strict=True))
    pair_number = {pair: i for i, pair in enumerate(dict.fromkeys(pairs))}
    group = np.array([pair_number[pair] for pair in pairs], np.int64)
    return Folds(cell, group, kept, texts_held_out)


def decide(
    comparisons: Sequence[Comparison], candidates: Standardised, pairs: Pairs, *, heads: bool = True, seed: int = 0
) -> Decision:
    """Climbs the ladder; a pure function of its arguments.

    Args:
        comparisons: What was said.
        candidates: Everything judged.
        pairs: ``comparisons`` as arrays.
        heads: Whether the head ensemble may be tried.
        seed: Of the heads and of the test's sign flips.
    """
    decided = pairs.outcome < 2
    if len(pairs) < FIRST_LOOK:
        return Decision("composite", f"{len(pairs)} comparisons are too few to learn from; {FIRST_LOOK} are needed")
    lineages = {group for one in comparisons for group in _lineages(one)}
    if len(lineages) < FEWEST_LINEAGES or not decided.any():
        return Decision(
            "composite",
            f"choices are about {len(lineages)} lineages; to test a model, {FEWEST_LINEAGES} and a choice are needed",
            len(pairs),
        )
    folds = grouped_folds(comparisons)
    trust = 0.0
    names: list[Level] = ["composite", "linear"]
    flats = [_as_it_speaks(fit(candidates, pairs.where(kept), use="composite")) for kept in folds.kept]
    linears = [fit(candidates, pairs.where(kept)) for kept in folds.kept]
    chances = [
        _held_out(folds, _chances(flats, candidates, pairs)),
        _held_out(folds, _chances(linears, candidates, pairs)),
    ]
    if heads and len(pairs) >= FIRST_HEADS:
        names.append("heads")
        head_chances, trust = _head_chances(linears, folds, candidates, pairs, seed)
        chances.append(head_chances)
    losses = [_losses(chance, pairs)[decided] for chance in chances]
    weight, group = pairs.weight[decided], folds.group[decided]
    composite = candidates.columns[:, 0]
    named = [0.5 + np.sign(composite[pairs.first] - composite[pairs.second]) / 2, *chances[1:]]
    rungs = tuple(
        Rung(
            name,
            _accuracy(first[decided], pairs.outcome[decided], weight),
            float(np.average(loss, weights=weight)),
            len(loss),
        )
        for name, first, loss in zip(names, named, losses, strict=True)
    )
    speaker = 0
    climbs: list[Climb] = []
    for bigger in range(1, len(names)):
        saved = losses[speaker] - losses[bigger]
        p = sign_flip_p(np.bincount(group, weight * saved).astype(np.float64), np.random.default_rng([seed, bigger]))
        best = all(rungs[bigger].log_loss < rung.log_loss for rung in rungs[:bigger])
        enough = threshold(len(pairs), FIRST_HEADS if names[bigger] == "heads" else FIRST_LOOK)
        passed = p < enough and best
        climbs.append(Climb(names[speaker], names[bigger], float(np.average(saved, weights=weight)), p, enough, passed))
        speaker = bigger if passed else speaker
    return Decision(names[speaker], _why(names[speaker], rungs, climbs, folds), len(pairs), rungs, tuple(climbs), trust)


def sign_flip_p(gains: Array, rng: np.random.Generator) -> float:
    """One-sided chance of a sum at least as large, when the sign of every gain is a coin's (Fisher's randomisation)."""
    gains = gains[gains != 0]
    if not len(gains):
        return 1.0
    least = gains.sum() - 1e-12 * np.abs(gains).sum()
    as_large = 0
    for begin in range(0, _FLIPS, _FLIPS_AT_ONCE):
        flips = min(_FLIPS_AT_ONCE, _FLIPS - begin)
        signs = rng.integers(0, 2, (flips, len(gains)), np.int8) * 2.0 - 1
        as_large += int((signs @ gains >= least).sum())
    return (1 + as_large) / (1 + _FLIPS)


def _as_it_speaks(fitted: BradleyTerry) -> BradleyTerry:
    """The composite's model with the order in which it speaks: a weight below 0 would test its opposite."""
    return fitted if fitted.weights[0] > 0 else replace(fitted, weights=np.zeros(1), covariance=np.zeros((1, 1)))


def _held_out(folds: Folds, by_fold: Iterable[Array]) -> Array:
    """(n,) every comparison's value in the fold that has not heard it."""
    return np.stack(list(by_fold))[folds.cell, np.arange(len(folds.cell))]


def _chances(models: Sequence[BradleyTerry], candidates: Standardised, pairs: Pairs) -> Iterable[Array]:
    """(n,) chance that the first was chosen, by fold."""
    for model in models:
        difference, variance = _difference(model, candidates, pairs)
        yield chance_of_first(difference, variance)


def _difference(model: BradleyTerry, candidates: Standardised, pairs: Pairs) -> tuple[Array, Array]:
    """(n,) mean and variance, in logits of each comparison's rater, by which the first is better."""
    columns = candidates.columns[:, : len(model.weights)]
    away = columns[pairs.first] - columns[pairs.second]
    sharpness = np.exp(model.log_sharpness)[pairs.rater]
    variance = np.square(sharpness) * ((away @ model.covariance) * away).sum(axis=1)
    return sharpness * (away @ model.weights) + model.position, np.maximum(variance, 0.0)


def _head_chances(
    linears: Sequence[BradleyTerry], folds: Folds, candidates: Standardised, pairs: Pairs, seed: int
) -> tuple[Array, float]:
    """(n,) held-out chance that the first was chosen, and how far what the heads add can be trusted.

    The trust is the factor on what they add that predicts best; every cell is predicted with that of the others.
    """
    from fusion.preference.heads import train  # torch is loaded once there is enough to train on

    parts: list[tuple[Array, ...]] = []
    for ensemble in train(candidates, pairs, linears, folds.kept, seed=seed, members=TRIAL_MEMBERS):
        added = ensemble.heads.residuals(candidates.experts)
        added = (added[:, pairs.first] - added[:, pairs.second]) * np.exp(ensemble.base.log_sharpness)[pairs.rater]
        parts.append((*_difference(ensemble.base, candidates, pairs), added.mean(axis=0), added.var(axis=0, ddof=1)))
    difference, variance, added, spread = (_held_out(folds, part) for part in zip(*parts, strict=True))
    chances = np.stack([chance_of_first(difference + t * added, variance + t * t * spread) for t in TRUST])
    losses = pairs.weight * (pairs.outcome < 2) * np.stack([_losses(chance, pairs) for chance in chances])
    in_cell = np.stack([np.bincount(folds.cell, loss) for loss in losses])  # (trust, cells)
    best_elsewhere = (in_cell.sum(axis=1, keepdims=True) - in_cell).argmin(axis=0)
    trust = TRUST[int(in_cell.sum(axis=1).argmin())]
    return chances[best_elsewhere[folds.cell], np.arange(len(pairs))], trust


def _losses(chance: Array, pairs: Pairs) -> Array:
    losses: Array = -np.log(np.clip(np.where(pairs.outcome == 0, chance, 1 - chance), 1e-9, 1.0))
    return losses


def _accuracy(chance: Array, outcome: NDArray[np.int64], weight: Array) -> float:
    right = np.where(chance == 0.5, 0.5, (chance > 0.5) == (outcome == 0))
    return float(np.average(right, weights=weight))


def _lineages(one: Comparison) -> tuple[str, str]:
    return one.first.lineage, one.second.lineage


def _texts(one: Comparison) -> tuple[str, str]:
    return one.first.text, one.second.text


def _line_through(points: frozenset[int]) -> frozenset[int]:
    """The line on which one or two lineage blocks lie; of one, the first of its four."""
    lines = (frozenset((start + step) % LINEAGE_BLOCKS for step in _LINE) for start in range(LINEAGE_BLOCKS))
    return next(line for line in lines if points <= line)


def _deal(groups: Iterable[str], blocks: int) -> dict[str, int]:
    """Groups to blocks of about equal mass: the most frequent first, each to the emptiest block."""
    counts = Counter(groups)
    mass: defaultdict[int, int] = defaultdict(int, dict.fromkeys(range(blocks), 0))
    dealt = {}
    for group, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        block = min(mass, key=lambda b: (mass[b], b))
        dealt[group] = block
        mass[block] += count
    return dealt


def _why(speaks: Level, rungs: Sequence[Rung], climbs: Sequence[Climb], folds: Folds) -> str:
    held_out = "other lineages and texts" if folds.texts_held_out else "other lineages (there is only one text)"
    measured = ", ".join(f"{rung.level} {rung.accuracy:.0%}" for rung in rungs)
    trials = "; ".join(
        f"{climb.bigger} {'beats' if climb.passed else 'does not beat'} {climb.smaller} "
        f"(p = {climb.p:.2g}, needed {climb.threshold:.2g})"
        for climb in climbs
    )
    return f"{speaks} speaks: of {rungs[0].choices} choices about {held_out}, right were {measured}; {trials}"
