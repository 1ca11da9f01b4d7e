"""One GPU for each worker, where there are several: every worker sees only its own, as its first."""

from __future__ import annotations

import os


def one_gpu_each(device: str) -> list[dict[str, str]]:
    """Environments for `ProcessPool`, one for each GPU that this process may use.

    Args:
        device: As a configuration gives it; ``cuda:1`` and the like are somebody's choice and stay.

    Returns:
        None where there are fewer than two.
    """
    if device not in ("auto", "cuda"):
        return []
    import torch

    count = torch.cuda.device_count()
    if count < 2:
        return []
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES", "").strip()
    names = [name.strip() for name in chosen.split(",")] if chosen else [str(number) for number in range(count)]
    return [{"CUDA_VISIBLE_DEVICES": name} for name in names[:count]]
