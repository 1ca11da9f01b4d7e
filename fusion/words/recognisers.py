"""Recognisers: sound to words. pocketsphinx is the embedded default; any Hugging Face recogniser by id or directory.

A recogniser is asked about one clip at a time and gives the same answer for the same clip: dither comes from a fixed
seed, and pocketsphinx gets a fresh decoder per clip, because its decoder adapts to what it has heard before.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bark_infinity.audio import checked_mono, resample
from bark_infinity.checkpoints.sources import is_offline
from bark_infinity.error_handling import BarkError, CheckpointError
from fusion.pretrained import content_of, load_whole

_POCKETSPHINX_RATE = 16_000  # Hz, of its model
_LEVEL = 20_000  # of 32768, the peak that its model is given
_DITHER = 100.0  # standard deviation: without noise the model mistakes digital silence for speech, .79 -> .99 words
_LEAD_S, _TAIL_S = 0.2, 0.3
_PRONUNCIATION = re.compile(r"\(\d+\)$")  # pocketsphinx marks the second way to say a word as word(2)


@dataclass(frozen=True)
class Transcript:
    """What a recogniser heard.

    Attributes:
        text: As it wrote it; empty when it heard no words.
        recogniser: Its name and version.
    """

    text: str
    recogniser: str


class Recogniser(Protocol):
    """Turns sound into text."""

    @property
    def name(self) -> str:
        """What it is, version included, for records: readings of different names are never compared."""
        ...

    @property
    def languages(self) -> frozenset[str] | None:
        """Two-letter codes of what it understands; None for every language."""
        ...

    def transcribe(self, audio: NDArray[np.float32], sample_rate: int) -> Transcript:
        """What is said in (S,) samples at ``sample_rate`` Hz."""
        ...


class PocketsphinxRecogniser:
    """American English by the model inside pocketsphinx's wheel (extra ``asr``).

    Raises:
        BarkError: When the package is not installed.
    """

    languages: frozenset[str] | None = frozenset({"en"})

    def __init__(self) -> None:
        if not has_pocketsphinx():
            raise BarkError(
                "the recogniser pocketsphinx is not installed; install it with: pip install 'victor-bark-fusion[asr]'"
            )
        self.name = f"pocketsphinx {importlib.metadata.version('pocketsphinx')} en-us"

    def transcribe(self, audio: NDArray[np.float32], sample_rate: int) -> Transcript:
        """What is said; about 1.3 s of CPU for a 3 s clip.

        Raises:
            BarkError: When the samples are empty or not finite.
        """
        from pocketsphinx import Decoder

        samples = resample(checked_mono(audio, "clip"), sample_rate, _POCKETSPHINX_RATE).astype(np.float64)
        samples *= _LEVEL / max(float(np.abs(samples).max()), 1e-9)
        padded = np.pad(samples, (round(_LEAD_S * _POCKETSPHINX_RATE), round(_TAIL_S * _POCKETSPHINX_RATE)))
        padded += np.random.default_rng(0).normal(0, _DITHER, len(padded))
        decoder = Decoder(samprate=_POCKETSPHINX_RATE, loglevel="FATAL")
        decoder.start_utt()
        decoder.process_raw(np.clip(padded, -32_767, 32_767).astype("<i2").tobytes(), full_utt=True)
        decoder.end_utt()
        best = decoder.hyp()
        words = [] if best is None else [_PRONUNCIATION.sub("", word) for word in best.hypstr.split()]
        return Transcript(" ".join(words), self.name)


class HuggingFaceRecogniser:
    """Whisper, wav2vec2 or any other recogniser that transformers' speech recognition pipeline runs.

    Args:
        model: Hub id or directory.
        allow_download: Fetch what is not in the local cache; otherwise only local files are read.
        device: As torch names it.
        languages: Two-letter codes of what it understands; None for every language.

    Raises:
        CheckpointError: When it cannot be loaded, or its weights are not all there; names it and the cause.
    """

    def __init__(
        self,
        model: str,
        *,
        allow_download: bool = False,
        device: str = "cpu",
        languages: frozenset[str] | None = None,
    ) -> None:
        from transformers import AutoConfig, AutoModelForCTC, AutoModelForSpeechSeq2Seq, AutoProcessor, pipeline

        local: dict[str, Any] = {"local_files_only": not allow_download or is_offline(None), "trust_remote_code": False}
        try:
            config = AutoConfig.from_pretrained(model, **local)
            head = AutoModelForSpeechSeq2Seq if getattr(config, "is_encoder_decoder", False) else AutoModelForCTC
            network = load_whole(head, model, config=config, **local)
            processor = AutoProcessor.from_pretrained(model, **local)
            self._pipeline = pipeline(
                "automatic-speech-recognition",
                model=network,
                tokenizer=processor.tokenizer,
                feature_extractor=processor.feature_extractor,
                device=device,
            )
        except Exception as error:  # transformers raises a dozen kinds for what a directory may lack
            reason = str(error).strip().splitlines()
            raise CheckpointError(
                f"the recogniser {model} cannot be loaded: {reason[0] if reason else type(error).__name__}; give a "
                "directory with config, weights, tokenizer and feature extractor, or allow_download=True"
            ) from error
        self.name = f"{config.model_type} {content_of(model, network, processor.feature_extractor.to_dict())}"
        self.languages = languages
        self.sample_rate = int(processor.feature_extractor.sampling_rate)
        # Whisper hears so much at once; its long form needs timestamps, which not every checkpoint writes.
        chunk_s = getattr(processor.feature_extractor, "chunk_length", None)
        self._most_samples = None if chunk_s is None else int(chunk_s * self.sample_rate)

    def transcribe(self, audio: NDArray[np.float32], sample_rate: int) -> Transcript:
        """What is said.

        Raises:
            BarkError: When the samples are empty or not finite, or the model broke on them.
        """
        from fusion.transformer.experts import even_parts

        samples = resample(checked_mono(audio, "clip"), sample_rate, self.sample_rate)
        heard = []
        for begin, end in even_parts(len(samples), self._most_samples or len(samples)):
            try:
                heard.append(self._pipeline({"raw": samples[begin:end], "sampling_rate": self.sample_rate})["text"])
            except (IndexError, ValueError, RuntimeError) as error:  # Whisper's, when it ends before its first word
                raise BarkError(
                    f"the recogniser {self.name} broke on a clip of {len(samples) / self.sample_rate:.1f} s "
                    f"({type(error).__name__}: {error})"
                ) from error
        return Transcript(" ".join(" ".join(heard).split()), self.name)


def has_pocketsphinx() -> bool:
    """Whether the embedded recogniser is installed."""
    return importlib.util.find_spec("pocketsphinx") is not None


def default_recogniser() -> Recogniser | None:
    """The embedded recogniser, or None where its package is not installed: intelligibility is unknown then."""
    return PocketsphinxRecogniser() if has_pocketsphinx() else None
