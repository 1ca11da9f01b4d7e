"""A learnt model on disk: numbers in safetensors, everything else in JSON; reading it never executes anything.

What is read is checked before it is believed: a model with numbers that are missing, of another shape or not finite
would judge candidates wrongly for as long as nobody notices. Each file is written beside and then renamed, and the JSON
holds the hash of the numbers it belongs to: a save that was cut between the two is refused, never read as a mixture.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from numpy.typing import NDArray

from bark_infinity.error_handling import BarkError
from fusion.preference.bradley_terry import BradleyTerry
from fusion.preference.candidates import Array, Block, Reference
from fusion.preference.ladder import Climb, Decision, Level, Rung

if TYPE_CHECKING:
    from fusion.preference.heads import HeadEnsemble

FORMAT = "victor-bark-preference"
FORMAT_VERSION = 2
MODEL = "preference.json"
NUMBERS = "preference.safetensors"

_SCALARS = ("position", "tie", "bar", "feature_scale", "feature_deviation", "evidence")
_VECTORS = ("weights", "covariance", "log_sharpness")


@dataclass(frozen=True, eq=False)
class State:
    """Everything a `PreferenceModel` is, but its judgements."""

    reference: Reference
    seed: int
    heads: bool
    look: str
    decision: Decision
    linear: BradleyTerry
    ensemble: HeadEnsemble | None


def save(directory: Path, state: State) -> None:
    """Writes two files into ``directory``, each replaced at once or not at all."""
    from safetensors.numpy import save as serialise

    arrays: dict[str, NDArray[Any]] = {}
    for name, block in _blocks(state.reference).items():
        arrays[f"reference/{name}/middle"], arrays[f"reference/{name}/spread"] = block.middle, block.spread
    models = {"linear": state.linear}
    if state.ensemble is not None:
        models["base"] = state.ensemble.base
        heads = state.ensemble.heads
        for i, (projection, gate) in enumerate(zip(heads.projections, heads.gates, strict=True)):
            arrays[f"heads/projection/{i}"], arrays[f"heads/gate/{i}"] = projection, gate
        arrays["heads/shifts"], arrays["heads/gate_shift"] = heads.shifts, heads.gate_shift
        arrays["heads/readout"] = heads.readout
    for name, model in models.items():
        arrays |= {f"{name}/{field}": getattr(model, field) for field in _VECTORS}
    numbers = serialise({name: np.ascontiguousarray(array) for name, array in arrays.items()})
    document = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "numbers": hashlib.sha256(numbers).hexdigest(),
        "experts": list(state.reference.embeddings),
        "seed": state.seed,
        "heads": state.heads,
        "look": state.look,
        "decision": asdict(state.decision),
        "models": {
            name: {"raters": model.raters} | {field: getattr(model, field) for field in _SCALARS}
            for name, model in models.items()
        },
    }
    _replace(directory / NUMBERS, numbers)
    _replace(directory / MODEL, json.dumps(document, indent=1).encode("utf-8"))


def load(directory: Path) -> State:
    """Reads what `save` wrote.

    Raises:
        BarkError: When a file is missing or not what it should be, or the two are not of one save.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load as deserialise

    try:
        document = json.loads((directory / MODEL).read_text("utf-8"))
        _check_format(document)
        numbers = (directory / NUMBERS).read_bytes()
        if hashlib.sha256(numbers).hexdigest() != document["numbers"]:
            raise BarkError(f"{NUMBERS} is not the file that {MODEL} was saved with")
        return _state(document, deserialise(numbers))
    except (OSError, ValueError, KeyError, TypeError, RecursionError, SafetensorError, BarkError) as error:
        raise BarkError(
            f"{directory.name} is not a preference model ({type(error).__name__}: {error}); "
            "learn it again from its judgements"
        ) from error


def _replace(path: Path, content: bytes) -> None:
    beside = path.with_name(path.name + ".part")
    with beside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def _check_format(document: Any) -> None:
    if document["format"] != FORMAT or document["version"] != FORMAT_VERSION:
        raise BarkError(f"format {document['format']} {document['version']}, expected {FORMAT} {FORMAT_VERSION}")


def _state(document: Any, arrays: Mapping[str, NDArray[Any]]) -> State:
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise BarkError(f"{name} has numbers that are not finite")
    blocks = {
        name: Block(_array(arrays, f"reference/{name}/middle", 1), _array(arrays, f"reference/{name}/spread", 1))
        for name in ["features", "composite", *(f"expert/{expert}" for expert in document["experts"])]
    }
    if any(block.middle.shape != block.spread.shape or not (block.spread > 0).all() for block in blocks.values()):
        raise BarkError("a column of the reference has no spread")
    embeddings = {expert: blocks[f"expert/{expert}"] for expert in document["experts"]}
    reference = Reference(blocks["features"], blocks["composite"], MappingProxyType(embeddings))
    models = {name: _model(name, fields, arrays, reference) for name, fields in document["models"].items()}
    decision = _decision(document["decision"])
    ensemble = None
    if "base" in models:
        from fusion.preference.heads import HeadEnsemble, Heads

        n = sum(name.startswith("heads/projection/") for name in arrays)
        heads = Heads(
            tuple(arrays[f"heads/projection/{i}"] for i in range(n)),
            arrays["heads/shifts"],
            tuple(arrays[f"heads/gate/{i}"] for i in range(n)),
            arrays["heads/gate_shift"],
            arrays["heads/readout"],
        )
        heads.check([len(block.middle) for name, block in blocks.items() if name != "composite"])
        ensemble = HeadEnsemble(models["base"], heads, decision.trust)
    if decision.speaks == "heads" and ensemble is None:
        raise BarkError("the heads speak, but are not there")
    return State(
        reference, int(document["seed"]), bool(document["heads"]), str(document["look"]), decision, models["linear"],
        ensemble,
    )  # fmt: skip


def _blocks(reference: Reference) -> dict[str, Block]:
    experts = {f"expert/{name}": block for name, block in reference.embeddings.items()}
    return {"features": reference.features, "composite": reference.composite, **experts}


def _model(name: str, fields: Any, arrays: Mapping[str, NDArray[Any]], reference: Reference) -> BradleyTerry:
    n = 1 + len(reference.features.middle)
    weights, covariance = _array(arrays, f"{name}/weights", 1), _array(arrays, f"{name}/covariance", 2)
    log_sharpness, raters = _array(arrays, f"{name}/log_sharpness", 1), tuple(str(one) for one in fields["raters"])
    if weights.shape != (n,) or covariance.shape != (n, n) or log_sharpness.shape != (len(raters),):
        raise BarkError(f"{name} has {weights.shape} weights and {len(raters)} raters, expected ({n},) weights")
    scalars = {field: float(fields[field]) for field in _SCALARS}
    if not np.isfinite(list(scalars.values())).all():
        raise BarkError(f"{name} has numbers that are not finite")
    return BradleyTerry(weights, covariance, log_sharpness, raters=raters, **scalars)


def _decision(fields: Any) -> Decision:
    if fields["speaks"] not in get_args(Level):
        raise BarkError(f"{fields['speaks']} speaks, expected one of {', '.join(get_args(Level))}")
    rungs = tuple(Rung(**rung) for rung in fields["rungs"])
    trust = float(fields["trust"])
    climbs = tuple(Climb(**climb) for climb in fields["climbs"])
    return Decision(fields["speaks"], str(fields["why"]), int(fields["comparisons"]), rungs, climbs, trust)


def _array(arrays: Mapping[str, NDArray[Any]], name: str, axes: int) -> Array:
    array = arrays[name]
    if array.dtype != np.float64 or array.ndim != axes:
        raise BarkError(f"{name} is {array.dtype} with {array.ndim} axes, expected float64 with {axes}")
    return array
