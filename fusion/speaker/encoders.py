"""Speaker encoders: networks that turn a clip into a vector whose direction is its speaker.

Any encoder of the Hugging Face Hub by id or directory: x-vectors where the model has them, the mean hidden state
elsewhere. Where a recipe names one, it replaces `fusion.speaker.voice_print` for likeness and for changes of speaker.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bark_infinity.audio import checked_mono, resample
from bark_infinity.checkpoints.sources import is_offline
from bark_infinity.error_handling import BarkError, CheckpointError
from fusion.gates.thresholds import THRESHOLDS, Thresholds
from fusion.gates.verdict import GateVerdict
from fusion.pretrained import content_of, load_whole

SAME_OR_NOT_COSINE = 0.4  # one minus the cosine at which likeness is one half; encoders differ, none was at hand
PARTS = 3
MIN_PART_S = 1.0  # shorter parts say too little about their speaker

_XVECTOR = "ForXVector"  # how transformers names architectures trained to tell speakers apart


class SpeakerEncoder(Protocol):
    """Anything that turns a clip into a vector whose direction is its speaker."""

    @property
    def name(self) -> str:
        """What it is, hash of its weights included, for records: vectors of different encoders never compare."""
        ...

    def embed(self, audio: NDArray[np.float32], sample_rate: int) -> NDArray[np.float32]:
        """(D,) of unit length, for (S,) samples at ``sample_rate`` Hz."""
        ...


def encoder_consistency(
    encoder: SpeakerEncoder, audio: NDArray[np.float32], sample_rate: int, n_parts: int = PARTS
) -> float:
    """Smallest cosine between equal parts of one clip, -1 to 1; low when the speaker changes.

    Raises:
        BarkError: When the clip has too few samples for its parts.
    """
    if n_parts < 2 or len(audio) < n_parts:
        raise BarkError(f"a clip of {len(audio)} samples cannot be compared in {n_parts} parts; take at least 2 parts")
    vectors = np.stack([encoder.embed(part, sample_rate) for part in np.array_split(audio, n_parts)])  # (parts, D)
    return float(np.clip((vectors @ vectors.T).min(), -1, 1))


def judge_speaker_by(
    encoder: SpeakerEncoder,
    audio: NDArray[np.float32],
    sample_rate: int,
    *,
    thresholds: Thresholds = THRESHOLDS,
) -> GateVerdict:
    """The gate ``speaker_switch`` by an encoder: `PARTS` equal parts of the clip have one speaker."""
    if len(audio) < PARTS * MIN_PART_S * sample_rate:
        return GateVerdict(True, "speaker_switch", "not judged: the clip is too short to hold two voices")
    least = encoder_consistency(encoder, audio, sample_rate)
    evidence = {"part_cosine": least, "part_cosine_limit": thresholds.min_part_cosine}
    reason = None if least >= thresholds.min_part_cosine else "its parts have different voices"
    return GateVerdict(reason is None, "speaker_switch", reason, evidence)


class HuggingFaceSpeakerEncoder:
    """A `SpeakerEncoder` that transformers knows.

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
        kind = "x-vector" if self._is_xvector else "mean hidden state"
        self.name = f"{kind} of {content_of(model, self._network, self._extractor.to_dict())}"
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
