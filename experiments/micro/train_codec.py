"""Trains the codec, and later its decoder alone.

The first steps run without quantiser, then the codebooks start from k-means. Half of the batches use two codebooks,
because two must carry speech on their own. Once the coarse stage trains on the codes, encoder and codebooks are
fixed and only the decoder goes on improving (`train_decoder`).
"""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import numpy as np
import torch
from transformers import EncodecModel

from experiments.micro import codec, corpus, layout
from experiments.micro.training import Progress, Schedule, Trainer

log = logging.getLogger(__name__)
BATCH, CROP = 4, 48 * layout.SAMPLES_PER_FRAME
WARM_UP_WITHOUT_QUANTISER = 300
COLOUR = 2.0  # weight of the voice's colour


class AudioCrops:
    """Random crops of the corpus."""

    def __init__(self, directory: Path, numbers: list[int]):
        self._shards = [corpus.audio_of(directory, n) for n in numbers]

    def batch(self, rng: np.random.Generator, size: int = BATCH, length: int = CROP) -> torch.Tensor:
        """Float crops (B, 1, S) in [-1, 1]."""
        crops = []
        for shard in rng.integers(len(self._shards), size=size):
            audio = self._shards[shard]
            start = int(rng.integers(len(audio) - length))
            crops.append(np.asarray(audio[start : start + length], np.float32) / 32768)
        return torch.from_numpy(np.stack(crops))[:, None]


def validation_clips(directory: Path, number: int, count: int = 20) -> list[torch.Tensor]:
    """Whole utterances (1, 1, S) of different speakers."""
    audio = corpus.audio_of(directory, number)
    chosen = corpus.load(directory, [number])[::20][:count]
    return [
        torch.from_numpy(np.array(audio[u.audio_start : u.audio_start + u.n_samples], np.float32) / 32768)[None, None]
        for u in chosen
    ]


def reconstruction(
    model: EncodecModel,
    distance: codec.SpectralDistance,
    clips: list[torch.Tensor],
    books: tuple[int, ...] = (2, 8),
) -> dict[str, float]:
    """Mean log-mel L1 and distance of colour, per number of codebooks."""
    quantise = codec.Quantiser(model)
    figures: dict[str, float] = {}
    for n in books:
        errors, colours = [], []
        for clip in clips:
            made = model.decoder(quantise(model.encoder(clip), n)[0])[..., codec.DELAY :]
            clip = clip[..., : -codec.DELAY]
            errors.append(float((distance.log_mel(made[:, 0]) - distance.log_mel(clip[:, 0])).abs().mean()))
            colours.append(float(distance.colour(made[:, 0], clip[:, 0])))
        figures |= {f"logmel_{n}cb": float(np.mean(errors)), f"colour_{n}cb": float(np.mean(colours))}
    return figures


def train(out: Path, schedule: Schedule, seed: int, restart: bool = False, device: str = "cpu") -> None:
    """Trains encoder, codebooks and decoder together; what was encoded with them before is removed."""
    codec.adopt_decoder(out)
    shutil.rmtree(out / "codes", ignore_errors=True)
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    directory = out / "corpus"
    numbers = corpus.available(directory, audio=True)
    crops = AudioCrops(directory, [n for n in numbers if n != corpus.VALIDATION_SHARD])
    clips = validation_clips(directory, corpus.VALIDATION_SHARD)
    model = codec.build()
    distance = codec.SpectralDistance().to(device)
    quantise = codec.Quantiser(model)
    model.to(device)
    clips = [clip.to(device) for clip in clips]
    trainer = Trainer("codec", model, schedule, out / "checkpoints", seed)
    if not trainer.resume(restart):
        first = crops.batch(np.random.default_rng(seed), 16, 40 * layout.SAMPLES_PER_FRAME)
        codec.unit_variance_init(model, first.to(device))

    def step(progress: Progress, rng: np.random.Generator) -> tuple[torch.Tensor, dict[str, float]]:
        generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
        audio = crops.batch(rng).to(device)
        latent = model.encoder(audio)
        commitment = latent.new_zeros(())
        quantised = latent
        if progress.step >= WARM_UP_WITHOUT_QUANTISER:
            if progress.step == WARM_UP_WITHOUT_QUANTISER:
                with torch.no_grad():
                    many = torch.cat([model.encoder(crops.batch(rng).to(device)) for _ in range(32)])
                quantise.initialise(many, generator)
            n_books = layout.N_COARSE if rng.random() < 0.5 else layout.N_FINE
            quantised, commitment, _ = quantise(latent, n_books, generator)
        made = model.decoder(quantised)[..., codec.DELAY :]
        audio = audio[..., : -codec.DELAY]
        spectral = distance(made[:, 0], audio[:, 0])
        waveform = (made - audio).abs().mean() / audio.abs().mean()  # keeps the phase honest
        variance = latent.var()
        # Relative to the variance the commitment could be had for nothing by growing; the last term holds the scale.
        colour = distance.colour(made[:, 0], audio[:, 0])
        loss = (
            spectral
            + COLOUR * colour
            + 0.5 * waveform
            + 0.1 * commitment / variance.detach()
            + 0.1 * variance.log().square()
        )
        figures = {"commitment": (commitment / variance).item(), "variance": variance.item()}
        figures |= {"waveform": waveform.item(), "colour": colour.item()}
        return loss, {"spectral": spectral.item(), **figures}

    def validate() -> dict[str, float]:
        return reconstruction(model, distance, clips)

    trainer.run(step, validate, validate_every=500)
