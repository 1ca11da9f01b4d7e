"""Suno's environment switches and ours, read strictly and at the moment they are needed.

``SUNO_OFFLOAD_CPU=False`` must mean false; a word that is neither yes nor no is refused instead of being
taken for true. Light module: nothing but the standard library.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from bark_infinity.error_handling import BarkError

YES_WORDS = ("true", "1", "yes", "on")
NO_WORDS = ("false", "0", "no", "off")


def read_switch(name: str, text: str) -> bool:
    """Reads a yes-or-no word, in any case.

    Args:
        name: Of the variable or flag, for the error.
        text: What the user wrote.

    Raises:
        BarkError: When it is neither a yes word nor a no word.
    """
    word = text.strip().lower()
    if word in YES_WORDS:
        return True
    if word in NO_WORDS:
        return False
    raise BarkError(f"{name} is {text!r}, expected one of {', '.join(YES_WORDS)} or {', '.join(NO_WORDS)}")


@dataclass(frozen=True)
class EnvironmentSwitches:
    """What the environment asks for; None where a variable is unset or empty.

    Attributes:
        model: ``BARK_MODEL``, the checkpoint to load when a call names none.
        use_small_models: ``SUNO_USE_SMALL_MODELS``.
        offload_cpu: ``SUNO_OFFLOAD_CPU``, keep only the running stage on the GPU.
        enable_mps: ``SUNO_ENABLE_MPS``, allow Apple's GPU.
    """

    model: str | None = None
    use_small_models: bool | None = None
    offload_cpu: bool | None = None
    enable_mps: bool | None = None

    @classmethod
    def read(cls, environ: Mapping[str, str] | None = None) -> EnvironmentSwitches:
        """Reads the variables now.

        Args:
            environ: None reads the process's own.

        Raises:
            BarkError: When a switch holds neither a yes word nor a no word; names the variable and the value.
        """
        variables = os.environ if environ is None else environ

        def switch(name: str) -> bool | None:
            text = variables.get(name, "").strip()
            return read_switch(f"environment variable {name}", text) if text else None

        return cls(
            model=variables.get("BARK_MODEL", "").strip() or None,
            use_small_models=switch("SUNO_USE_SMALL_MODELS"),
            offload_cpu=switch("SUNO_OFFLOAD_CPU"),
            enable_mps=switch("SUNO_ENABLE_MPS"),
        )
