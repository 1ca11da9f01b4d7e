"""Which engine a face loads when the user leaves the choice open: checkpoint, device, offload, and why.

The command line and the classic API share this, so that both read the same flags, variables and defaults
alike. Nothing is loaded before `load_engine`; noise (``random-tiny``) is never chosen, only asked for.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bark_infinity.environment import EnvironmentSwitches
from bark_infinity.error_handling import BarkError, CheckpointError

if TYPE_CHECKING:
    from bark_infinity.engine import BarkEngine
    from bark_infinity.memory import Offload

logger = logging.getLogger(__name__)

LARGE, SMALL, EMBEDDED = "suno/bark", "suno/bark-small", "micro"
_OF_ONE_SIZE = (SMALL, EMBEDDED, "random-tiny")  # all small: a wish for small models is met


@dataclass(frozen=True)
class EngineChoice:
    """What to load.

    Attributes:
        source: Checkpoint, as `BarkEngine.load` takes it.
        reason: Why this checkpoint, for the user to read.
        enable_mps: Whether ``device="auto"`` may take Apple's GPU.
        prefer_small: As for `BarkEngine.load`: of a directory of suno's ``.pt`` files, take the small ones.
    """

    source: str
    reason: str
    device: str = "auto"
    precision: str = "auto"
    offload: Offload = "auto"
    enable_mps: bool = False
    prefer_small: bool = False


def choose_engine(
    *,
    model: str | None = None,
    device: str = "auto",
    precision: str = "auto",
    small: bool | None = None,
    offload: bool | None = None,
    enable_mps: bool | None = None,
    use_gpu: Mapping[str, bool] | None = None,
    use_small: Mapping[str, bool] | None = None,
    environment: EnvironmentSwitches | None = None,
) -> EngineChoice:
    """Settles what to load; what the caller says wins over the environment, and that over the defaults.

    Args:
        model: Checkpoint; None takes ``BARK_MODEL``, else Suno's in the local cache, else the embedded one.
        device: As for `BarkEngine.load`.
        precision: As for `BarkEngine.load`.
        small: Suno's small checkpoint instead of the large one, and of a directory with both sizes the small one;
            None follows ``use_small``.
        offload: Keep only the running stage on the GPU; None follows ``SUNO_OFFLOAD_CPU``, else the engine
            decides.
        enable_mps: None follows ``SUNO_ENABLE_MPS``.
        use_gpu: Suno's wish for each part: ``text``, ``coarse``, ``fine``, ``codec``.
        use_small: Suno's wish for each stage that has one: ``text``, ``coarse``, ``fine``; the others follow
            ``SUNO_USE_SMALL_MODELS``.
        environment: None reads it now.

    Raises:
        BarkError: When wishes contradict each other, or ask for a mixture of sizes or devices.
        CheckpointError: When nothing was named and no checkpoint is there.
    """
    environment = environment or EnvironmentSwitches.read()
    if small is None and use_small:
        others = bool(environment.use_small_models)
        wishes = {stage: use_small.get(stage, others) for stage in ("text", "coarse", "fine")}
        instead = "wish the same for all three, or name a directory with suno's .pt files of these sizes as the model"
        small = _agreed(wishes, "use_small", "sizes", instead)
    if small and model == LARGE:
        raise BarkError(f"the checkpoint {model!r} was named and small models were asked for too; give only one")
    gpu = _agreed(use_gpu, "use_gpu", "devices", "choose one device for all")
    if gpu is False:
        if device not in ("auto", "cpu"):
            raise BarkError(f"device is {device!r} but every use_gpu is off; give only one of them")
        device = "cpu"
    if small is None:
        small = bool(environment.use_small_models)
    if offload is None:
        offload = environment.offload_cpu
    offloads: dict[bool | None, Offload] = {None: "auto", True: "on", False: "off"}
    source, reason = _checkpoint(model, small, environment)
    return EngineChoice(
        source=source,
        reason=reason,
        device=device,
        precision=precision,
        offload=offloads[offload],
        enable_mps=bool(environment.enable_mps if enable_mps is None else enable_mps),
        prefer_small=small and source not in _OF_ONE_SIZE,
    )


def load_engine(choice: EngineChoice) -> BarkEngine:
    """Loads what was chosen.

    Raises:
        CheckpointError: When the checkpoint is missing or damaged.
        BarkError: When the device cannot be used.
    """
    from bark_infinity.engine import BarkEngine

    return BarkEngine.load(
        choice.source,
        device=_device(choice),
        precision=choice.precision,
        offload=choice.offload,
        prefer_small=choice.prefer_small,
    )


def _checkpoint(model: str | None, small: bool, environment: EnvironmentSwitches) -> tuple[str, str]:
    from bark_infinity.checkpoints.sources import locate

    if model is not None:
        return model, "it was asked for"
    if environment.model is not None:
        return environment.model, "environment variable BARK_MODEL names it"
    wanted = SMALL if small else LARGE
    for source, reason in (
        (wanted, "it is in the local cache"),
        (EMBEDDED, f"{wanted} is not in the local cache; naming it as the model fetches it"),
    ):
        try:
            locate(source, offline=True)
        except CheckpointError as missing:
            logger.debug("%s is not there: %s", source, missing)
        else:
            return source, reason
    raise CheckpointError(
        f"no checkpoint was named, {wanted} is not in the local cache and this installation has no embedded "
        f"model; name one, which also fetches it: bark_perform --model {SMALL} ..., preload_models(model={SMALL!r}) "
        f"or BARK_MODEL={SMALL} ('random-tiny' works everywhere, but makes noise, not speech)"
    )


def _agreed(wishes: Mapping[str, bool] | None, what: str, things: str, instead: str) -> bool | None:
    """The one wish of all parts; None when there is none."""
    if not wishes:
        return None
    if len(set(wishes.values())) > 1:
        mixture = ", ".join(f"{part}_{what}={wish}" for part, wish in wishes.items())
        raise BarkError(f"a mixture of {things} ({mixture}) is not built yet; {instead}")
    return next(iter(wishes.values()))


def _device(choice: EngineChoice) -> str:
    if choice.device != "auto" or not choice.enable_mps:
        return choice.device
    import torch

    return "mps" if torch.backends.mps.is_available() and not torch.cuda.is_available() else "auto"
