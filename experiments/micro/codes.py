"""The corpus as codec tokens: what the coarse and fine stages read."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from transformers import EncodecModel

from experiments.micro import codec, corpus, layout

log = logging.getLogger(__name__)


def encode_corpus(directory: Path, target: Path, model: EncodecModel, numbers: Sequence[int] | None = None) -> None:
    """Encodes audio shards, utterance by utterance as at use, into ``target/codes_NNN.npy`` (8, T) int16.

    Args:
        directory: The corpus.
        target: Created.
        model: The codec.
        numbers: Which shards; every one with audio by default.
    """
    target.mkdir(parents=True, exist_ok=True)
    for number in corpus.available(directory, audio=True) if numbers is None else numbers:
        path = target / f"codes_{number:03d}.npy"
        if path.exists():
            continue
        audio = corpus.audio_of(directory, number)
        pieces = [
            codec.encode(model, np.asarray(audio[u.audio_start : u.audio_start + u.n_samples], np.float32) / 32768)
            for u in corpus.load(directory, [number])
        ]
        partial = path.with_suffix(".partial.npy")
        np.save(partial, np.concatenate(pieces, 1))
        os.replace(partial, path)
        log.info("codes: shard %d", number)


@dataclass(frozen=True)
class Coded:
    """One utterance as tokens: semantic (T2,) and codes (8, T), T = 1.5 * T2."""

    session: int
    semantic: np.ndarray
    codes: np.ndarray


def load(directory: Path, coded: Path, numbers: list[int]) -> list[Coded]:
    """Joins labels and codes."""
    result = []
    for number in numbers:
        codes = np.load(coded / f"codes_{number:03d}.npy")
        for u in corpus.load(directory, [number]):
            start = u.audio_start // layout.SAMPLES_PER_FRAME
            end = start + u.n_samples // layout.SAMPLES_PER_FRAME
            result.append(Coded(u.session, u.semantic, codes[:, start:end]))
    return result


def numbers_on_disk(coded: Path) -> list[int]:
    """Encoded shards."""
    return sorted(int(path.stem.split("_")[1]) for path in coded.glob("codes_???.npy"))


def flatten(codes: np.ndarray) -> np.ndarray:
    """Two codebooks (2, T) as coarse ids (2T,): frame by frame, every codebook in its own range."""
    offsets = layout.COARSE_OFFSET + layout.CODEBOOK * np.arange(layout.N_COARSE)
    return (codes[: layout.N_COARSE].astype(np.int64) + offsets[:, None]).T.reshape(-1)


def unflatten(ids: np.ndarray) -> np.ndarray:
    """The inverse of `flatten`."""
    offsets = layout.COARSE_OFFSET + layout.CODEBOOK * np.arange(layout.N_COARSE)
    return (np.asarray(ids).reshape(-1, layout.N_COARSE) - offsets).T.astype(np.int16)
