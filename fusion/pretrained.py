"""Weights of the Hugging Face Hub, whole or not at all.

transformers fills tensors that a file lacks with random numbers and only warns: a recogniser without its head would
hear other words at every start. Here that is an error, and loading leaves torch's global generator as it was.
"""

from __future__ import annotations

from typing import Any

from bark_infinity.error_handling import CheckpointError

_UNREAD = ("pooler.", "masked_spec_embed")  # weights that hidden states do not depend on, and that files may lack


def load_whole(family: Any, name: str, **options: Any) -> Any:
    """Loads a model whose file has every tensor that counts.

    Args:
        family: Class of transformers with ``from_pretrained``, such as ``AutoModel``.
        name: Hub id or directory.
        options: Passed on to ``from_pretrained``.

    Returns:
        The model, ready for inference.

    Raises:
        CheckpointError: When tensors are missing; says how many and one of them. Whatever else transformers raises
            for bad files passes through, for the caller to explain.
    """
    import torch

    with torch.random.fork_rng(devices=[]):
        model, report = family.from_pretrained(name, weights_only=True, output_loading_info=True, **options)
    missing = sorted(key for key in report["missing_keys"] if not is_unread(key))
    if missing:
        raise CheckpointError(
            f"its weights lack {len(missing)} tensors that {type(model).__name__} needs, such as {missing[0]}"
        )
    return model.eval()


def is_unread(key: str) -> bool:
    """Whether hidden states do not depend on the tensor of this name."""
    return any(key.startswith(part) or f".{part}" in key for part in _UNREAD)
