"""What frozen encoders make of a clip and its text, as a few numbers that travel with the other measures.

The head ensemble mixes experts (`fusion.preference.heads`). Their hidden states come from a `FusionTransformer`, each
expert's averaged over the passage and turned, by a fixed random projection, into `WIDTH` numbers: nearly as good as
all of them for telling passages apart (Johnson and Lindenstrauss 1984), and few enough to be recorded with every birth,
so that what people taught can be learned again from the record alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

WIDTH = 24


def measure_name(expert: str, place: int) -> str:
    """Under which name a number of an expert is among the measures."""
    return f"{expert}[{place:02d}]"


def embedding_from(expert: str, measures: Mapping[str, float]) -> NDArray[np.float32]:
    """(WIDTH,) numbers of one expert; NaN where measures lack them."""
    return np.array([measures.get(measure_name(expert, place), math.nan) for place in range(WIDTH)], np.float32)
