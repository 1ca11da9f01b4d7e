"""The corpus on disk: shards of sessions, every one a function of (seed, shard number).

A session is one speaker saying four sentences, so that a history by the same voice always exists. Sessions in the
held-out pitch band are dropped. Audio is kept for as many shards as the acoustic stages need; the semantic stage
needs labels only.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from experiments.micro import espeak, labels, layout, speakers, texts
from experiments.micro.pronunciations import dictionary

log = logging.getLogger(__name__)
UTTERANCES_PER_SESSION = 4
VALIDATION_SHARD = 0
_SLOT = "vbf"  # the one voice file that every random voice in turn is written to
PEAK = 24_000  # each session is scaled to this int16 peak


@dataclass(frozen=True)
class CorpusPlan:
    """How much to generate, and from which seed."""

    seed: int = 1
    sessions_per_shard: int = 100
    audio_shards: int = 48  # about 14 minutes each
    label_shards: int = 60  # the audio shards included


def recipe_hash(plan: CorpusPlan) -> str:
    """A short name of the data: changes when the generating code or the plan changes."""
    digest = hashlib.sha256(json.dumps(asdict(plan), sort_keys=True).encode())
    for module in (espeak, labels, layout, speakers, texts):
        digest.update(Path(module.__file__ or "").read_bytes())
    return digest.hexdigest()[:16]


class Studio:
    """Records labelled speech: espeak-ng with our random voices, resampled, trimmed and labelled."""

    def __init__(self, directory: Path):
        self._espeak = espeak.Espeak(espeak.data_directory(directory / "espeak-ng-data"))
        self._spell = dictionary()

    def record(self, text: str, speaker: speakers.Speaker) -> tuple[np.ndarray, labels.Labelled] | None:
        """One utterance as float32 samples on int16 scale (S,) and labels; None when it cannot be aligned."""
        definition = speakers.definition_of(speaker.variant)
        variant = speaker.variant if definition is None else _SLOT
        if definition is not None:
            self._espeak.define(_SLOT, definition)
        speech = self._espeak.speak(text, variant, speaker.rate_wpm, speaker.pitch)
        samples = labels.to_24khz(speech.samples)
        length = labels.trimmed_length(samples)
        samples = np.pad(samples, (0, max(0, length - len(samples))))[:length]
        labelled = labels.label(text, speech, samples, lambda word: self._spell.get(word.lower(), ()))
        return None if labelled is None else (samples, labelled)


def fits(labelled: labels.Labelled) -> bool:
    """Whether an utterance fits the semantic block."""
    longest = max(len(labelled.spoken_ids), len(labelled.spelled_ids))
    return 24 <= len(labelled.semantic) <= layout.MAX_SEMANTIC - 2 and 1 <= longest <= layout.HISTORY_START


def _session(
    studio: Studio, source: texts.TextSource, rng: np.random.Generator
) -> tuple[speakers.Speaker, list[tuple[np.ndarray, labels.Labelled]]]:
    while True:
        speaker = speakers.draw(rng)
        takes: list[tuple[np.ndarray, labels.Labelled]] = []
        tries = 0
        while len(takes) < UTTERANCES_PER_SESSION and tries < 12:
            tries += 1
            take = studio.record(source(), speaker)
            if take is not None and fits(take[1]):
                takes.append(take)
        if len(takes) < UTTERANCES_PER_SESSION:
            continue
        voiced = [t.f0_hz for _, t in takes if t.f0_hz > 0]
        if voiced and speakers.held_out_pitch(float(np.median(voiced))):
            continue
        peak = max(float(np.abs(samples).max()) for samples, _ in takes)
        return speaker, [((samples * (PEAK / max(peak, 1.0))).astype(np.int16), t) for samples, t in takes]


def write_shard(directory: Path, plan: CorpusPlan, number: int, studio: Studio) -> None:
    """Generates one shard; the labels file appears last, and only when everything is on disk."""
    rng = np.random.default_rng((plan.seed, number))
    source = texts.TextSource(rng)
    audio, labelled, session_of, names = [], [], [], []
    for session in range(plan.sessions_per_shard):
        speaker, takes = _session(studio, source, rng)
        for samples, take in takes:
            audio.append(samples)
            labelled.append(take)
            session_of.append(session)
            names.append(asdict(speaker))
    if number < plan.audio_shards:
        np.concatenate(audio).tofile(directory / f"shard_{number:03d}.pcm")
    fields = ("semantic", "spoken_ids", "spoken_at", "spelled_ids", "spelled_at")
    arrays = {name: np.concatenate([getattr(t, name) for t in labelled]) for name in fields}
    lengths = {f"{name}_length": np.array([len(getattr(t, name)) for t in labelled]) for name in fields}
    partial = directory / f"shard_{number:03d}.partial.npz"
    everything: dict[str, Any] = {
        **arrays,
        **lengths,
        "session": np.array(session_of),
        "f0_hz": np.array([t.f0_hz for t in labelled], np.float32),
        "about": np.array(json.dumps({"texts": [t.text for t in labelled], "speakers": names})),
    }
    np.savez(partial, **everything)
    os.replace(partial, directory / f"shard_{number:03d}.npz")


def generate(directory: Path, plan: CorpusPlan, shards: Sequence[int] | None = None) -> None:
    """Generates the shards that are not on disk yet."""
    directory.mkdir(parents=True, exist_ok=True)
    studio = Studio(directory)
    for number in range(plan.label_shards) if shards is None else shards:
        if not (directory / f"shard_{number:03d}.npz").exists():
            write_shard(directory, plan, number, studio)
            log.info("corpus: shard %d of %d", number + 1, plan.label_shards)


@dataclass(frozen=True)
class Utterance:
    """A labelled utterance as training sees it; ``audio_start`` counts samples in the shard's audio."""

    shard: int
    session: int  # unique over shards
    text: str
    speaker: speakers.Speaker
    f0_hz: float
    semantic: np.ndarray
    spoken_ids: np.ndarray
    spoken_at: np.ndarray
    spelled_ids: np.ndarray
    spelled_at: np.ndarray
    audio_start: int

    @property
    def n_samples(self) -> int:
        """Length of the audio."""
        return len(self.semantic) * layout.SAMPLES_PER_SEMANTIC


def available(directory: Path, audio: bool = False) -> list[int]:
    """Numbers of the shards on disk, with audio only if asked."""
    numbers = sorted(int(path.stem.split("_")[1]) for path in directory.glob("shard_???.npz"))
    return [n for n in numbers if not audio or (directory / f"shard_{n:03d}.pcm").exists()]


def load(directory: Path, numbers: Sequence[int]) -> list[Utterance]:
    """Reads the labels of some shards."""
    utterances: list[Utterance] = []
    for number in numbers:
        with np.load(directory / f"shard_{number:03d}.npz", allow_pickle=False) as data:
            about = json.loads(str(data["about"]))
            fields = ("semantic", "spoken_ids", "spoken_at", "spelled_ids", "spelled_at")
            pieces = {name: np.split(data[name], np.cumsum(data[f"{name}_length"])[:-1]) for name in fields}
            start = 0
            for i, text in enumerate(about["texts"]):
                utterance = Utterance(
                    number,
                    number * 10_000 + int(data["session"][i]),
                    text,
                    speakers.Speaker(**about["speakers"][i]),
                    float(data["f0_hz"][i]),
                    **{name: pieces[name][i] for name in fields},
                    audio_start=start,
                )
                utterances.append(utterance)
                start += utterance.n_samples
    return utterances


def sessions(utterances: Sequence[Utterance]) -> list[list[int]]:
    """Indices of the utterances of every session."""
    members: dict[int, list[int]] = {}
    for index, utterance in enumerate(utterances):
        members.setdefault(utterance.session, []).append(index)
    return list(members.values())


def audio_of(directory: Path, number: int) -> np.ndarray:
    """A shard's samples, int16 (S,), memory-mapped."""
    return np.memmap(directory / f"shard_{number:03d}.pcm", np.int16, "r")
