"""Fusion: listening to renderings and judging them.

* `score`: what a judgement is: a status first, then named terms
* `features`: what a clip is like, measured in one pass, in physical units
* `gates`: what is rejected, with reason and evidence
* `words`, `speaker`: does it say the text, is it the same voice
* `objectives`: what a recipe can ask for, as terms in [0, 1]
* `critic` (`heard`, `replicates`): all of it in order, cheapest first
* `transformer`: FusionTransformer, a mixture of Hugging Face encoders
* `pretrained`: weights of the Hugging Face Hub, whole or not at all
* `preference`: learning what people like from pairwise choices

Names are imported when they are first used, so importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fusion.transformer.model import FusionConfig, FusionTransformer

_HOME_OF = {
    "FusionConfig": "transformer.model",
    "FusionTransformer": "transformer.model",
}

__all__ = ["FusionConfig", "FusionTransformer"]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'fusion' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"fusion.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
