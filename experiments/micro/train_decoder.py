"""Goes on training the codec's decoder alone, on fixed codes, the fine stage's own predictions among them.

Encoder and codebooks must not move once the transformers have learned their codes, but the decoder may. It hears
two codebooks, all eight, and two filled up to eight by the fine stage, which is what it decodes at use: so it learns
what a predicted code is worth, and the fine stage, which sees the future, becomes useful to a causal decoder.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch

from experiments.micro import codec, corpus, gpt, layout, train_codec, windows
from experiments.micro import codes as coding
from experiments.micro.train_coarse import Material
from experiments.micro.training import Progress, Schedule, Trainer, load_weights

log = logging.getLogger(__name__)
BATCH = 4
PREDICTED, TWO_BOOKS = 0.7, 0.1  # shares of the steps: what is decoded at use comes first; the rest are true codes
SETTLING, HEARD = 4, 48  # frames: the first ones let the causal decoder find its state
PREDICTED_SHARDS = 3


@torch.no_grad()
def predict(model: gpt.FineGpt, codes: np.ndarray, history: np.ndarray | None) -> np.ndarray:
    """Codes (8, T) whose first two rows are kept and the others predicted, by Suno's windows, likeliest first."""
    known = np.zeros((layout.N_FINE, 0), np.int64) if history is None else history[:, -layout.FINE_HISTORY :]
    n_history, n_frames = known.shape[1], codes.shape[1]
    buffer = np.full((layout.N_FINE, max(n_history + n_frames, layout.FINE_BLOCK)), layout.FINE_PAD, np.int64)
    buffer[:, :n_history] = known
    buffer[: layout.N_COARSE, n_history : n_history + n_frames] = codes[: layout.N_COARSE]
    filled = torch.from_numpy(buffer.T.copy())  # (T, 8)
    for window in windows.fine_windows(n_history, n_frames):
        rows = filled[window.start : window.start + layout.FINE_BLOCK]
        for book in range(layout.N_COARSE, layout.N_FINE):
            logits = model(book, rows[None])[0, window.first :, : layout.CODEBOOK]
            rows[window.first :, book] = logits.argmax(-1)
    return filled[n_history : n_history + n_frames].numpy().T.astype(np.int16)


def write_predictions(out: Path, model: gpt.FineGpt, numbers: list[int]) -> None:
    """Predicts some shards with the fine stage, six in ten utterances with a history; kept on disk."""
    model.eval()
    for number in numbers:
        path = out / "codes" / f"predicted_{number:03d}.npy"
        if path.exists():
            continue
        material = Material(coding.load(out / "corpus", out / "codes", [number]))
        rng = np.random.default_rng(number)
        pieces = [
            predict(model, u.codes, material.history(i, rng)[1] if rng.random() < 0.6 else None)
            for i, u in enumerate(material.utterances)
        ]
        np.save(path, np.concatenate(pieces, 1))
        log.info("decoder: predicted shard %d", number)


def train(out: Path, schedule: Schedule, seed: int, restart: bool = False, device: str = "cpu") -> None:
    """Trains the decoder of ``codec.pt`` into ``decoder.pt``; packing prefers the latter's decoder."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    directory, coded = out / "corpus", out / "codes"
    numbers = [n for n in coding.numbers_on_disk(coded) if n != corpus.VALIDATION_SHARD]
    fine = gpt.FineGpt()
    path = out / "checkpoints" / "fine.pt"
    load_weights(fine, torch.load(path, map_location="cpu", weights_only=True)["model"], path)
    write_predictions(out, fine, [corpus.VALIDATION_SHARD, *numbers[:PREDICTED_SHARDS]])
    audio = {n: corpus.audio_of(directory, n) for n in numbers}
    true = {n: np.load(coded / f"codes_{n:03d}.npy", mmap_mode="r") for n in numbers}
    predicted = {n: np.load(coded / f"predicted_{n:03d}.npy", mmap_mode="r") for n in numbers[:PREDICTED_SHARDS]}
    model = codec.load(out).to(device)
    model.requires_grad_(False)
    model.decoder.requires_grad_(True)
    model.train()
    trainer = Trainer("decoder", model, schedule, out / "checkpoints", seed + 500, list(model.decoder.parameters()))
    trainer.resume(restart)
    distance = codec.SpectralDistance().to(device)
    clips = [clip.to(device) for clip in train_codec.validation_clips(directory, corpus.VALIDATION_SHARD)]
    check = _validation_codes(directory, coded, len(clips))
    length, settled = SETTLING + HEARD, SETTLING * layout.SAMPLES_PER_FRAME

    def step(progress: Progress, rng: np.random.Generator) -> tuple[torch.Tensor, dict[str, float]]:
        kind = rng.random()
        source = predicted if kind < PREDICTED else true
        n_books = layout.N_COARSE if kind > 1 - TWO_BOOKS else layout.N_FINE
        choices = list(source)
        codes, wanted = [], []
        for _ in range(BATCH):
            number = choices[int(rng.integers(len(choices)))]
            first = int(rng.integers(true[number].shape[1] - length))
            codes.append(np.asarray(source[number][:n_books, first : first + length], np.int64))
            start = first * layout.SAMPLES_PER_FRAME
            wanted.append(np.asarray(audio[number][start : start + length * layout.SAMPLES_PER_FRAME], np.float32))
        real = torch.from_numpy(np.stack(wanted) / 32768)[:, None].to(device)
        latent = model.quantizer.decode(torch.from_numpy(np.stack(codes, 1)).to(device))
        made = model.decoder(latent)[..., settled + codec.DELAY :]
        real = real[..., settled : -codec.DELAY]
        spectral, colour = distance(made[:, 0], real[:, 0]), distance.colour(made[:, 0], real[:, 0])
        waveform = (made - real).abs().mean() / real.abs().mean()
        weight = 0.15 if source is predicted else 0.5  # the phase of predicted codes is nobody's fault
        loss = spectral + train_codec.COLOUR * colour + weight * waveform
        return loss, {"spectral": spectral.item(), "colour": colour.item()}

    def validate() -> dict[str, float]:
        figures: dict[str, list[float]] = defaultdict(list)
        for clip, (codes, filled) in zip(clips, check, strict=True):
            real = clip[:, 0, : -codec.DELAY]
            for name, given in (("2cb", codes[:2]), ("8cb", codes), ("fine", filled)):
                made = torch.from_numpy(codec.decode(model, given))[None, codec.DELAY :].to(device)
                figures[f"logmel_{name}"].append(float((distance.log_mel(made) - distance.log_mel(real)).abs().mean()))
                figures[f"colour_{name}"].append(float(distance.colour(made, real)))
        return {name: float(np.mean(values)) for name, values in figures.items()}

    trainer.run(step, validate, validate_every=500)


def _validation_codes(directory: Path, coded: Path, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """True and predicted codes of the utterances that `train_codec.validation_clips` gives."""
    number = corpus.VALIDATION_SHARD
    codes = np.load(coded / f"codes_{number:03d}.npy")
    filled = np.load(coded / f"predicted_{number:03d}.npy")
    pairs = []
    for u in corpus.load(directory, [number])[::20][:count]:
        first, n = u.audio_start // layout.SAMPLES_PER_FRAME, u.n_samples // layout.SAMPLES_PER_FRAME
        pairs.append((codes[:, first : first + n], filled[:, first : first + n]))
    return pairs
