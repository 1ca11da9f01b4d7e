"""What frozen encoders make of a clip and its text, as a few numbers that travel with the other measures.

The head ensemble mixes experts (`fusion.preference.heads`). Their hidden states come from a `FusionTransformer`, each
expert's averaged over the passage and turned, by a fixed random projection, into `WIDTH` numbers: nearly as good as
all of them for telling passages apart (Johnson and Lindenstrauss 1984), and few enough to be recorded with every birth,
so that what people taught can be learned again from the record alone.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bark_infinity.checkpoints.sources import locate
from fusion.pretrained import resolve_model

if TYPE_CHECKING:
    from fusion.heard import Heard

WIDTH = 24
_OF_BARK = ("bark:", "bark-codec:")  # as `fusion.transformer.experts.load_expert` names parts of a checkpoint


def measure_name(expert: str, place: int) -> str:
    """Under which name a number of an expert is among the measures."""
    return f"{expert}[{place:02d}]"


def embedding_from(expert: str, measures: Mapping[str, float]) -> NDArray[np.float32]:
    """(WIDTH,) numbers of one expert; NaN where measures lack them."""
    return np.array([measures.get(measure_name(expert, place), math.nan) for place in range(WIDTH)], np.float32)


def resolve_expert(name: str, base: Path) -> str:
    """The expert that a recipe names, for `fusion.transformer.experts.load_expert`; loads no weights.

    Raises:
        CheckpointError: When it is not on this machine.
    """
    if name.startswith(_OF_BARK):
        locate(name.partition(":")[2], offline=True)
        return name
    return resolve_model(name, base, "the expert")


class Experts:
    """Frozen encoders that read texts or hear clips.

    Args:
        sources: Where each is, by the name that its measures carry; see `resolve_expert`.

    Raises:
        CheckpointError: When one cannot be loaded; names it.
    """

    def __init__(self, sources: Mapping[str, str]) -> None:
        from fusion.transformer.experts import load_expert
        from fusion.transformer.model import FusionTransformer

        experts = {name: load_expert(source, offline=True) for name, source in sources.items()}
        self._hears = {name: expert.modality == "audio" for name, expert in experts.items()}
        self._models = {name: FusionTransformer(expert) for name, expert in experts.items()}
        self.name = ", ".join(f"{name} {expert.fingerprint[:16]}" for name, expert in experts.items())
        """What they are, for records."""

    def measures(self, heard: Heard) -> dict[str, float]:
        """`WIDTH` numbers of every expert, by `measure_name`; readers have none for a clip without a text."""
        import torch

        found: dict[str, float] = {}
        for name, model in self._models.items():
            if self._hears[name]:
                inputs = model.encode(audio=heard.audio, sample_rate=heard.rendering.sample_rate)
            elif heard.text is not None and heard.text.strip():
                inputs = model.encode(heard.text)
            else:
                continue
            with torch.inference_mode():
                pooled = model(**inputs).pooled[0].double().numpy()  # (D,)
            numbers = pooled @ _projection(len(pooled))
            found |= {measure_name(name, place): float(np.float32(one)) for place, one in enumerate(numbers)}
        return found


@functools.cache
def _projection(width: int) -> NDArray[np.float64]:
    """(D, WIDTH) that keeps lengths, on average."""
    return np.random.default_rng(0).normal(0, 1 / math.sqrt(WIDTH), (width, WIDTH))
