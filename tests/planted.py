"""Problems with known answers for the swarm: prompts are strings of bits, judged without rendering anything."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bark_infinity.variation import Child, NotApplicable, Operator, Parameters
from digital_evolution import Candidate, Draft, Evaluation, Genome, Immigrate

LENGTH = 40
EDGE = 0.75  # share of ones at which the deceptive problem turns round


def genome(bits: str) -> Genome:
    return Genome(bits, content_lock=False)


def random_bits(rng: np.random.Generator, length: int = LENGTH) -> str:
    return "".join(map(str, rng.integers(2, size=length)))


def random_genomes(length: int = LENGTH) -> Immigrate:
    return lambda rng: Draft(genome(random_bits(rng, length)))


def _draw_flip(parents: Sequence[str], rng: np.random.Generator) -> Parameters:
    return {"at": int(rng.integers(len(parents[0])))}


def _flip(parents: Sequence[str], parameters: Parameters) -> Child[str]:
    at = int(parameters["at"])
    bits = parents[0][:at] + "10"[int(parents[0][at])] + parents[0][at + 1 :]
    return Child(bits, None, "flip", 1, parameters)


def _draw_cross(parents: Sequence[str], rng: np.random.Generator) -> Parameters:
    if parents[0] == parents[1]:
        raise NotApplicable("equal parents")
    return {"mask": tuple(int(bit) for bit in rng.integers(2, size=len(parents[0])))}


def _cross(parents: Sequence[str], parameters: Parameters) -> Child[str]:
    picked = zip(parameters["mask"], *parents, strict=True)
    return Child("".join(b if take else a for take, a, b in picked), None, "cross", 1, parameters)


def _refuse(parents: Sequence[str], rng: np.random.Generator) -> Parameters:
    raise NotApplicable("never applicable")


FLIP = Operator("flip", 1, 1, "edit", _draw_flip, _flip)
CROSS = Operator("cross", 1, 2, "edit", _draw_cross, _cross)
REFUSE = Operator("refuse", 1, 1, "edit", _refuse, _flip)
OPERATORS = {"prompt": {"flip": FLIP, "cross": CROSS}}


def measures(bits: str) -> dict[str, float]:
    """How many ones there are: what maps and novelty see."""
    return {"ones": float(bits.count("1"))}


def one_max(candidate: Candidate) -> Evaluation:
    """Share of ones; the optimum is 1."""
    bits = candidate.genome.prompt
    return Evaluation("ok", (bits.count("1") / len(bits),), measures(bits))


def trap(candidate: Candidate) -> Evaluation:
    """Deceptive (Deb and Goldberg 1993): fewer ones are better, up to 0.8, but all ones are best, at 1."""
    bits = candidate.genome.prompt
    share = bits.count("1") / len(bits)
    value = 0.8 * (EDGE - share) / EDGE if share < EDGE else (share - EDGE) / (1 - EDGE)
    return Evaluation("ok", (value,), measures(bits))


def two_ends(candidate: Candidate) -> Evaluation:
    """Two goals that pull apart: leading ones and trailing zeros."""
    bits = candidate.genome.prompt
    leading = len(bits) - len(bits.lstrip("1"))
    trailing = len(bits) - len(bits.rstrip("0"))
    return Evaluation("ok", (leading / len(bits), trailing / len(bits)), measures(bits))
