"""Half-precision weights of every stage, small enough to commit: where a later training run starts from.

A snapshot holds no optimiser, so a run that starts from it warms up again (a warm restart). ``state.json`` says how
far each stage was trained and on which data.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from experiments.micro import corpus

log = logging.getLogger(__name__)
DIRECTORY = Path(__file__).parent / "checkpoints"
STAGES = ("codec", "decoder", "semantic", "coarse", "expectation", "fine")


def progress_of(out: Path) -> dict[str, dict[str, float]]:
    """Steps and CPU seconds of every stage of a run."""
    told = {}
    for stage in STAGES:
        path = out / "checkpoints" / f"{stage}.pt"
        if path.exists():
            checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
            told[stage] = {name: checkpoint[name] for name in ("step", "cpu_seconds", "schedules_done")}
    return told


def write(out: Path, target: Path, seed: int) -> None:
    """Writes what a run has reached."""
    target.mkdir(parents=True, exist_ok=True)
    for stage in STAGES:
        path = out / "checkpoints" / f"{stage}.pt"
        if not path.exists():
            continue
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        tensors = {
            name: tensor.half().contiguous().clone()
            for name, tensor in checkpoint["model"].items()
            if not ("lm_heads." in name or name in ("body.input_embeds_layer.weight", "body.lm_head.weight"))
        }
        if stage == "decoder":
            tensors = {name: tensor for name, tensor in tensors.items() if name.startswith("decoder.")}
        weights = target / f"{stage}.safetensors"
        save_file(tensors, weights)
        weights.chmod(0o644)  # safetensors writes files that only their owner can read
    state = {
        "seed": seed,
        "data_recipe": corpus.recipe_hash(corpus.CorpusPlan(seed=seed)),
        "stages": progress_of(out),
        "resume": "python -m experiments.micro train --out DIR --hours H",
    }
    (target / "state.json").write_text(json.dumps(state, indent=1) + "\n", encoding="utf-8")


def restore(out: Path, source: Path = DIRECTORY) -> list[str]:
    """Turns a committed snapshot into checkpoints of a run that has none yet.

    Returns:
        The stages that will start from the snapshot.
    """
    state_path = source / "state.json"
    if not state_path.exists() or any((out / "checkpoints" / f"{stage}.pt").exists() for stage in STAGES):
        return []
    state = json.loads(state_path.read_text(encoding="utf-8"))
    (out / "checkpoints").mkdir(parents=True, exist_ok=True)
    for stage, progress in state["stages"].items():
        tensors = {name: tensor.float() for name, tensor in load_file(source / f"{stage}.safetensors").items()}
        checkpoint = {
            "model": tensors,
            "average": {},
            "optimiser": None,  # a run that finds none begins a new schedule
            "step": progress["step"],
            "cpu_seconds": 0.0,
            "schedules_done": progress["schedules_done"],
        }
        torch.save(checkpoint, out / "checkpoints" / f"{stage}.pt")
    if state["data_recipe"] != corpus.recipe_hash(corpus.CorpusPlan(seed=state["seed"])):
        log.warning("the data recipe has changed since the snapshot was taken; training goes on with new data")
    return list(state["stages"])
