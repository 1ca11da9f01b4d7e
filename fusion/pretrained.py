"""Models of the Hugging Face Hub: present, whole, and known by their content.

transformers fills tensors that a file lacks with random numbers and only warns: a recogniser without its head would
hear other words at every start. Here that is an error, and loading leaves torch's global generator as it was.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
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


def resolve_model(name: str, base: Path, what: str) -> str:
    """The directory, or the Hub id, that a setting names; looks at no weights.

    Args:
        name: Id, or a directory relative to ``base``.
        base: What relative directories start from.
        what: What the model is for, for the message.

    Raises:
        CheckpointError: When it is neither a directory with a ``config.json`` nor an id whose files are here.
    """
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    directory = base / Path(name).expanduser()
    if directory.is_dir():
        if not (directory / "config.json").is_file():
            raise CheckpointError(f"{what} {name}: {directory} has no config.json, expected a model's directory")
        return str(directory)
    try:
        cached = try_to_load_from_cache(name, "config.json")
    except HFValidationError as error:
        raise CheckpointError(
            f"{what} {name!r} is no directory ({directory}) and no Hugging Face id such as owner/name; check it"
        ) from error
    if not isinstance(cached, str):
        raise CheckpointError(f"{what} {name} is not on this machine; fetch it first with: hf download {name}")
    return name


def content_of(name: str, model: Any, settings: Mapping[str, Any]) -> str:
    """What a model is, for records: its short name, and a hash of weights, configuration and what else it is set by.

    Args:
        name: Id or directory it was loaded by; of a directory only the last part counts.
        model: A transformers model.
        settings: Of its tokenizer or feature extractor, as JSON values.
    """
    from fusion.transformer.experts import fingerprint_of

    told = {"config": json.loads(model.config.to_json_string()), "input": settings}
    state = {key: tensor for key, tensor in model.state_dict().items() if not is_unread(key)}
    return f"{Path(name).name} {fingerprint_of(type(model).__name__, told, state)[:16]}"
