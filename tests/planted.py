"""Problems with known answers for the swarm, judged without rendering anything.

In some, prompts are strings of bits. In others they are places in a plane, such as ``3,-7``: immigrants appear around
its middle, as fresh voices come from what the model likes best, and operators take small strides.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bark_infinity.variation import Child, NotApplicable, Operator, Parameters
from digital_evolution import Candidate, Draft, Evaluation, Genome, Immigrate

LENGTH = 40  # bits
REACH = 20  # of the plane, in every direction
BEACON = (16, -12)  # optimum of the plain problem in the plane
EDGE = 12  # where the deceptive problem turns round


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


def two_ends(candidate: Candidate) -> Evaluation:
    """Two goals that pull apart: leading ones and trailing zeros."""
    bits = candidate.genome.prompt
    leading = len(bits) - len(bits.lstrip("1"))
    trailing = len(bits) - len(bits.rstrip("0"))
    return Evaluation("ok", (leading / len(bits), trailing / len(bits)), measures(bits))


def place(prompt: str) -> tuple[int, int]:
    x, y = map(int, prompt.split(","))
    return x, y


def places() -> Immigrate:
    return lambda rng: Draft(genome(_written(rng.normal(0, REACH / 5, 2))))


def _written(values: Sequence[float]) -> str:
    return ",".join(str(int(min(max(round(value), -REACH), REACH))) for value in values)


def _draw_stride(parents: Sequence[str], rng: np.random.Generator) -> Parameters:
    return {"by": tuple(int(value) for value in rng.normal(0, 2, 2).round())}


def _stride(parents: Sequence[str], parameters: Parameters) -> Child[str]:
    (x, y), (dx, dy) = place(parents[0]), parameters["by"]
    return Child(_written((x + dx, y + dy)), None, "stride", 1, parameters)


def _draw_meet(parents: Sequence[str], rng: np.random.Generator) -> Parameters:
    return {}


def _meet(parents: Sequence[str], parameters: Parameters) -> Child[str]:
    return Child(_written((place(parents[0])[0], place(parents[1])[1])), None, "meet", 1, parameters)


STRIDE = Operator("stride", 1, 1, "edit", _draw_stride, _stride)
MEET = Operator("meet", 1, 2, "edit", _draw_meet, _meet)
IN_THE_PLANE = {"prompt": {"stride": STRIDE, "meet": MEET}}


def beacon(candidate: Candidate) -> Evaluation:
    """Nearness to a place that immigrants hardly reach; the optimum is 1."""
    x, y = place(candidate.genome.prompt)
    return Evaluation("ok", (1 - np.hypot(x - BEACON[0], y - BEACON[1]) / REACH,), {"x": x, "y": y})


def mirage(candidate: Candidate) -> Evaluation:
    """Deceptive, like a trap function: it gets better westwards, up to 0.8; the optimum, 1, is the eastern end."""
    x, y = place(candidate.genome.prompt)
    value = 0.8 * (EDGE - x) / (EDGE + REACH) if x < EDGE else (x - EDGE) / (REACH - EDGE)
    return Evaluation("ok", (value,), {"x": x, "y": y})
