"""Meta's own codec file, ``encodec_24khz-d7cc33bc.th``, read into the codec used here.

The ``encodec`` package downloads that file, and Suno's code used it; transformers' EncodecModel is the same
network under other names. Only names are translated, so neither the package nor its torchaudio is needed; the
package serves the test that holds both networks equal.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bark_infinity.error_handling import CheckpointError

# What transformers' default EncodecConfig says, written out because the file stores no configuration.
ENCODEC_24KHZ: Mapping[str, Any] = {
    "target_bandwidths": [1.5, 3.0, 6.0, 12.0, 24.0],  # kbps; the last decides the number of codebooks, 32
    "sampling_rate": 24_000,
    "audio_channels": 1,
    "normalize": False,
    "hidden_size": 128,
    "num_filters": 32,
    "num_residual_layers": 1,
    "upsampling_ratios": [8, 5, 4, 2],
    "norm_type": "weight_norm",
    "use_causal_conv": True,
    "pad_mode": "reflect",
    "num_lstm_layers": 2,
    "trim_right_ratio": 1.0,
    "codebook_size": 1_024,
    "use_conv_shortcut": True,
}

_RENAMES = (
    (re.compile(r"^(encoder|decoder)\.model\."), r"\1.layers."),
    (re.compile(r"\.conv\.conv\.|\.convtr\.convtr\."), ".conv."),
    (re.compile(r"^quantizer\.vq\.layers\.(\d+)\._codebook\."), r"quantizer.layers.\1.codebook."),
)
_HASH_IN_NAME = re.compile(r"-([0-9a-f]{8,64})\.th")


def read_original_encodec(path: str | os.PathLike[str]) -> tuple[Mapping[str, Any], dict[str, Tensor]]:
    """Reads the original 24 kHz codec; nothing in the file is executed.

    Args:
        path: The ``.th`` file. Where its name ends in the start of a sha256, as Meta's does, the content must
            match.

    Returns:
        What `Codec.from_state` takes: fields of transformers' ``EncodecConfig``, and weights by its names.

    Raises:
        CheckpointError: When the file is missing, damaged, or holds anything but tensors.
    """
    source = Path(path)
    try:
        with source.open("rb") as file:
            wanted = _HASH_IN_NAME.search(source.name)
            if wanted:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                if not digest.startswith(wanted[1]):
                    raise CheckpointError(
                        f"{source} is damaged: its sha256 begins {digest[:8]}, its name says {wanted[1]}; "
                        "delete it and download it again"
                    )
                file.seek(0)
            state = torch.load(file, map_location="cpu", weights_only=True)
    except CheckpointError:
        raise
    except OSError as error:
        raise CheckpointError(f"{source} cannot be read: {error.strerror or error}; check the path") from error
    except Exception as error:  # torch.load has no one type for a bad file
        raise CheckpointError(
            f"{source} is not a file of plain tensors: {error}; expected Meta's encodec_24khz-d7cc33bc.th"
        ) from error
    if not isinstance(state, dict) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise CheckpointError(f"{source} holds no state dict of tensors; expected Meta's encodec_24khz-d7cc33bc.th")
    return ENCODEC_24KHZ, {transformers_name(str(name)): tensor for name, tensor in state.items()}


def transformers_name(name: str) -> str:
    """The name of one weight of Meta's EncodecModel in transformers' EncodecModel."""
    for pattern, replacement in _RENAMES:
        name = pattern.sub(replacement, name)
    return name
