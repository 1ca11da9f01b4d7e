"""Speaker encoders from the Hugging Face Hub: x-vectors where the model has them, the mean hidden state elsewhere."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bark_infinity.audio import checked_mono, resample
from bark_infinity.checkpoints.sources import is_offline
from bark_infinity.error_handling import CheckpointError
from fusion.pretrained import load_whole

_XVECTOR = "ForXVector"  # how transformers names architectures trained to tell speakers apart


class HuggingFaceSpeakerEncoder:
    """A speaker encoder that transformers knows; satisfies `fusion.speaker.voice_print.SpeakerEncoder`.

    Args:
        model: Hub id or directory, such as ``microsoft/wavlm-base-plus-sv``.
        allow_download: Fetch what is not in the local cache; otherwise only local files are read.
        device: As torch names it.

    Raises:
        CheckpointError: When it cannot be loaded, or its weights are not all there; names it and the cause.
    """

    def __init__(self, model: str, *, allow_download: bool = False, device: str = "cpu") -> None:
        from transformers import AutoConfig, AutoFeatureExtractor, AutoModel, AutoModelForAudioXVector

        local: dict[str, Any] = {"local_files_only": not allow_download or is_offline(None), "trust_remote_code": False}
        try:
            config = AutoConfig.from_pretrained(model, **local)
            self._is_xvector = any(name.endswith(_XVECTOR) for name in config.architectures or ())
            family = AutoModelForAudioXVector if self._is_xvector else AutoModel
            self._network = load_whole(family, model, config=config, **local).to(device)
            self._extractor = AutoFeatureExtractor.from_pretrained(model, **local)
        except Exception as error:  # transformers raises a dozen kinds for what a directory may lack
            reason = str(error).strip().splitlines()
            raise CheckpointError(
                f"the speaker encoder {model} cannot be loaded: {reason[0] if reason else type(error).__name__}; give "
                "a directory with config, weights and feature extractor, or allow_download=True"
            ) from error
        self.name = f"{model} ({'x-vector' if self._is_xvector else 'mean hidden state'})"
        self.sample_rate = int(self._extractor.sampling_rate)

    def embed(self, audio: NDArray[np.float32], sample_rate: int) -> NDArray[np.float32]:
        """(D,) of unit length.

        Raises:
            BarkError: When the samples are empty or not finite.
        """
        import torch

        samples = resample(checked_mono(audio, "clip"), sample_rate, self.sample_rate)
        inputs = self._extractor(samples, sampling_rate=self.sample_rate, return_tensors="pt").to(self._network.device)
        with torch.inference_mode():
            output = self._network(**inputs)
        vector = output.embeddings[0] if self._is_xvector else output.last_hidden_state[0].mean(dim=0)
        array = vector.float().cpu().numpy()
        return np.asarray(array / max(float(np.linalg.norm(array)), 1e-12), np.float32)
