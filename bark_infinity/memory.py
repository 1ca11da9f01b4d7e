"""What fits: a plan made before anything is loaded, from a checkpoint's numbers and the memory that is free."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil
import torch

from bark_infinity.bark_config import BarkConfig, GPTConfig
from bark_infinity.error_handling import BarkError
from bark_infinity.stages.model import KeyValueCache

_USABLE_SHARE = 0.85  # of the free memory; the rest is for activations, the codec and everybody else
_MOST_ROWS = {
    "cpu": 16,
    "cuda": 64,
    "mps": 16,
}  # beyond, a row's share of the time hardly falls (docs/performance.md)
_GIB = 2**30
_CGROUP = Path("/sys/fs/cgroup")

Offload = Literal["auto", "on", "off"]


@dataclass(frozen=True)
class MemoryPlan:
    """What the engine will hold, and how many utterances it renders at once.

    Attributes:
        device: Where the models run.
        dtype: Precision of their weights.
        offload: Whether one stage at a time is loaded, instead of all of them.
        max_rows: Utterances in one batch.
        weight_bytes: Weights held at the same time.
        row_bytes: Cache of one utterance in the stage that needs most.
        free_bytes: Free memory the plan was made for.
    """

    device: torch.device
    dtype: torch.dtype
    offload: bool
    max_rows: int
    weight_bytes: int
    row_bytes: int
    free_bytes: int

    def describe(self) -> str:
        """One sentence for the log."""
        stages = "one stage at a time" if self.offload else "all stages"
        return (
            f"{self.weight_bytes / _GIB:.2f} GiB of {str(self.dtype).removeprefix('torch.')} weights ({stages}) on "
            f"{self.device}, up to {self.max_rows} utterances at once at {self.row_bytes / _GIB:.3f} GiB each; "
            f"{self.free_bytes / _GIB:.1f} GiB are free"
        )


def free_memory(device: torch.device) -> int:
    """Bytes that can be allocated on a device now."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free)
    return min(int(psutil.virtual_memory().available), _container_allowance())  # MPS shares the machine's memory


def _container_allowance() -> int:
    """Bytes a container or batch job may still take; the machine's free memory says nothing of such a limit."""
    try:
        limit = (_CGROUP / "memory.max").read_text("ascii").strip()
        used = int((_CGROUP / "memory.current").read_text("ascii"))
    except (OSError, ValueError):
        return sys.maxsize
    return sys.maxsize if limit == "max" else max(0, int(limit) - used)


def plan_memory(
    config: BarkConfig, device: torch.device, dtype: torch.dtype, free_bytes: int, offload: Offload = "auto"
) -> MemoryPlan:
    """Decides between all stages and one at a time, and how many utterances share a batch.

    Raises:
        BarkError: When not even one utterance fits.
    """
    stages = [_weight_bytes(gpt, dtype) for gpt in (config.semantic_gpt, config.coarse_gpt, config.fine_gpt)]
    row_bytes = _row_bytes(config, torch.float32 if device.type == "cpu" else dtype)
    usable = int(free_bytes * _USABLE_SHARE)
    one_at_a_time = offload == "on" or (offload == "auto" and sum(stages) + row_bytes > usable)
    weight_bytes = max(stages) if one_at_a_time else sum(stages)
    if weight_bytes + row_bytes > usable:
        raise BarkError(
            f"this checkpoint needs {(weight_bytes + row_bytes) / _GIB:.2f} GiB on {device} "
            f"{'with one stage loaded at a time' if one_at_a_time else 'with offloading switched off'}, "
            f"{usable / _GIB:.2f} GiB can be used; take a smaller checkpoint (suno/bark-small), precision bf16, "
            f"{'' if one_at_a_time else 'offload, '}or another device"
        )
    rows = min(_MOST_ROWS.get(device.type, 16), (usable - weight_bytes) // row_bytes)
    return MemoryPlan(device, dtype, one_at_a_time, rows, weight_bytes, row_bytes, free_bytes)


def _weight_bytes(gpt: GPTConfig, dtype: torch.dtype) -> int:
    return gpt.parameter_count() * dtype.itemsize


def _row_bytes(config: BarkConfig, cache_dtype: torch.dtype) -> int:
    """Cache of one utterance where it is largest: every position of stage 1 or of a window of stage 2."""
    return max(
        gpt.block_size * KeyValueCache.bytes_per_position(gpt, cache_dtype.itemsize)
        for gpt in (config.semantic_gpt, config.coarse_gpt)
    )
