"""A tiny EnCodec: Hugging Face's own module, the initialisation that lets it train, its quantiser's updates, its loss.

With PyTorch's default initialisation the signal shrinks about two thousandfold on its way through SEANet, the
latent collapses to a constant and training never leaves that plateau. `unit_variance_init` rescales every
convolution on real audio so that its output has unit variance, and training starts at once.

Being causal asks for two more things. A random causal kernel looks into the past on average, and over the whole
network that adds up to a tenth of a second of delay that training would have to undo; so kernels start with their
weight on the newest samples. And the decoder speaks one frame late (`DELAY`), so that both frames that saw a sample
are known when it is spoken. With either missing, the waveform is never matched and the latent loses its rank.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from transformers import EncodecConfig, EncodecModel
from transformers.models.encodec import modeling_encodec as hf

from experiments.micro import layout

BITS = int(math.log2(layout.CODEBOOK))
AUDIBLE = -5.5  # mean log-mel magnitude; silence lies at -6.9
DELAY = layout.SAMPLES_PER_FRAME  # samples by which decoded audio lags what was encoded
BANDWIDTH_KBPS = tuple(n * BITS * layout.COARSE_RATE_HZ / 1000 for n in (layout.N_COARSE, layout.N_FINE))


def config() -> EncodecConfig:
    """The codec's shape: 24 kHz, 75 frames a second, 8 codebooks of 512, causal so that decoding can stream."""
    return EncodecConfig(
        target_bandwidths=list(BANDWIDTH_KBPS),
        sampling_rate=layout.SAMPLE_RATE,
        audio_channels=1,
        num_filters=16,
        hidden_size=64,
        upsampling_ratios=[10, 8, 4],
        codebook_size=layout.CODEBOOK,
        kernel_size=3,
        last_kernel_size=3,
        num_lstm_layers=1,
        norm_type="weight_norm",
        use_causal_conv=True,
    )


def build() -> EncodecModel:
    """An untrained codec."""
    return EncodecModel(config())


def _newest_first(module: nn.Conv1d | nn.ConvTranspose1d) -> torch.Tensor:
    """How strongly each tap of a causal kernel starts (K,): the newest samples most."""
    taps = torch.arange(module.kernel_size[0], dtype=torch.float32)
    stride = module.stride[0]
    if isinstance(module, nn.ConvTranspose1d):
        return torch.where(taps < stride, 1.0, 0.3)
    if stride > 1:
        return torch.where(taps >= len(taps) - stride, 1.0, 0.3)
    return 0.35 ** taps.flip(0)


@torch.no_grad()
def unit_variance_init(model: EncodecModel, audio: torch.Tensor) -> None:
    """Initialises the convolutions so that each one's output has a set deviation on real audio (B, 1, S)."""
    deviation: dict[nn.Module, float] = {model.decoder.layers[-1].conv: 0.08}  # the level of speech
    for part in (model.encoder, model.decoder):
        for layer in part.layers:
            if isinstance(layer, hf.EncodecResnetBlock):
                deviation[layer.block[-1].conv] = 0.3  # a residual branch starts as a small correction
            elif isinstance(layer, hf.EncodecLSTM):
                for parameter in layer.lstm.parameters():
                    nn.init.orthogonal_(parameter) if parameter.dim() == 2 else nn.init.zeros_(parameter)

    def rescale(module: Any, _inputs: Any, output: torch.Tensor) -> torch.Tensor:
        centred: torch.Tensor = output - module.bias[None, :, None]
        scale = deviation.get(module, 1.0) / centred.std()
        module.parametrizations.weight.original0.mul_(scale)
        module.bias.zero_()
        return centred * scale

    hooks = []
    for module in model.modules():
        if isinstance(module, (nn.Conv1d, nn.ConvTranspose1d)):
            weight: Any = module.parametrizations.weight  # type: ignore[union-attr]
            direction = weight.original1
            nn.init.orthogonal_(direction)
            direction.mul_(_newest_first(module))
            length = weight.original0
            length.copy_(direction.flatten(1).norm(dim=1).view_as(length))
            hooks.append(module.register_forward_hook(rescale))
    model.decoder(model.encoder(audio))
    for hook in hooks:
        hook.remove()


class Quantiser:
    """Residual vector quantisation on the model's own codebooks, with moving-average updates in training."""

    def __init__(self, model: EncodecModel, decay: float = 0.99):
        self._layers = model.quantizer.layers
        self._decay = decay

    @torch.no_grad()
    def initialise(self, latent: torch.Tensor, generator: torch.Generator, iterations: int = 8) -> None:
        """k-means, codebook by codebook, from latents (B, D, T)."""
        residual = latent.transpose(1, 2).reshape(-1, latent.shape[1])
        for layer in self._layers:
            book = layer.codebook
            size = layout.CODEBOOK
            centres = residual[torch.randperm(len(residual), generator=generator)[:size].to(latent.device)].clone()
            for _ in range(iterations):
                nearest = torch.cdist(residual, centres).argmin(1)
                counts = torch.bincount(nearest, minlength=size).float()
                sums = torch.zeros_like(centres).index_add_(0, nearest, residual)
                spare = residual[torch.randint(len(residual), (size,), generator=generator).to(latent.device)]
                centres = torch.where(counts[:, None] > 0, sums / counts.clamp(min=1)[:, None], spare)
            book.embed.copy_(centres)
            book.cluster_size.copy_(counts.clamp(min=0.5))
            book.embed_avg.copy_(centres * book.cluster_size[:, None])
            residual = residual - centres[torch.cdist(residual, centres).argmin(1)]

    def __call__(
        self, latent: torch.Tensor, n_books: int, generator: torch.Generator | None = None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Quantises latents (B, D, T).

        Args:
            latent: The encoder's output.
            n_books: How many codebooks to use.
            generator: Given in training: codebooks then follow the data and dead entries are replaced.

        Returns:
            Quantised latent with straight-through gradient (B, D, T), commitment loss, codes (n_books, B, T).
        """
        n_batch, width, n_frames = latent.shape
        flat = latent.transpose(1, 2).reshape(-1, width)
        residual = flat
        quantised = torch.zeros_like(flat)
        commitment = flat.new_zeros(())
        codes = []
        for layer in self._layers[:n_books]:
            book = layer.codebook
            target = residual.detach()
            distance = book.embed.pow(2).sum(1)[None] - 2 * target @ book.embed.t()
            nearest = distance.argmin(1)
            chosen = book.embed[nearest]
            commitment = commitment + F.mse_loss(residual, chosen)
            codes.append(nearest.view(n_batch, n_frames))
            if generator is not None:
                self._follow(book, target, nearest, generator)
            quantised = quantised + chosen
            residual = residual - chosen
        straight = flat + (quantised - flat).detach()
        return straight.view(n_batch, n_frames, width).transpose(1, 2), commitment, torch.stack(codes)

    @torch.no_grad()
    def _follow(self, book: Any, target: torch.Tensor, nearest: torch.Tensor, generator: torch.Generator) -> None:
        counts = torch.bincount(nearest, minlength=layout.CODEBOOK).float()
        sums = torch.zeros_like(book.embed).index_add_(0, nearest, target)
        book.cluster_size.mul_(self._decay).add_(counts, alpha=1 - self._decay)
        book.embed_avg.mul_(self._decay).add_(sums, alpha=1 - self._decay)
        book.embed.copy_(book.embed_avg / (book.cluster_size[:, None] + 1e-4))
        fair_share = len(nearest) / layout.CODEBOOK
        dead = book.cluster_size < 0.03 * fair_share
        if dead.any():
            picks = target[torch.randint(len(target), (int(dead.sum()),), generator=generator).to(target.device)]
            book.embed[dead] = picks
            book.cluster_size[dead] = 0.3 * fair_share
            book.embed_avg[dead] = picks * 0.3 * fair_share


class SpectralDistance(nn.Module):
    """Mean L1 between log-mel spectra at three resolutions, plus log-magnitude at the two longer ones."""

    def __init__(self) -> None:
        super().__init__()
        from librosa.filters import mel

        self.shapes = ((256, 64, 24), (1024, 256, 80), (2048, 512, 160))  # window, hop, mel bands
        for n_fft, _, n_mels in self.shapes:
            bank = mel(sr=layout.SAMPLE_RATE, n_fft=n_fft, n_mels=n_mels, fmin=0, fmax=12_000)
            self.register_buffer(f"bank{n_fft}", torch.from_numpy(bank))
            self.register_buffer(f"window{n_fft}", torch.hann_window(n_fft))

    def _magnitude(self, audio: torch.Tensor, n_fft: int, hop: int) -> torch.Tensor:
        spectrum = torch.stft(audio, n_fft, hop, window=getattr(self, f"window{n_fft}"), return_complex=True)
        return torch.sqrt(spectrum.real**2 + spectrum.imag**2 + 1e-9)

    def log_mel(self, audio: torch.Tensor, n_fft: int = 1024, hop: int = 256) -> torch.Tensor:
        """Log-mel spectrum (B, M, T) of audio (B, S)."""
        return self._log_mel(self._magnitude(audio, n_fft, hop), n_fft)

    def _log_mel(self, magnitude: torch.Tensor, n_fft: int) -> torch.Tensor:
        return torch.log(torch.clamp(getattr(self, f"bank{n_fft}") @ magnitude, min=1e-3 * math.sqrt(n_fft / 1024)))

    def colour(self, made: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
        """Mean squared difference between the mean log-mel spectra of the loud half of the frames, audio (B, S).

        The other distance asks for every moment's likeliest spectrum, and so for an average voice where the codes
        leave a doubt. This one asks that a speaker's doubts cancel out.
        """
        wanted = self.log_mel(real)
        loudness = wanted.mean(1)
        loud = (loudness > loudness.quantile(0.5, 1, keepdim=True)) & (loudness > AUDIBLE)
        share = loud / loud.sum(1, keepdim=True).clamp(min=1)  # (B, T)
        return ((self.log_mel(made) - wanted) * share[:, None]).sum(2).square().mean()

    def forward(self, made: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
        """Distance of audio (B, S) from audio (B, S)."""
        total = made.new_zeros(())
        for n_fft, hop, _ in self.shapes:
            a, b = self._magnitude(made, n_fft, hop), self._magnitude(real, n_fft, hop)
            total = total + (self._log_mel(a, n_fft) - self._log_mel(b, n_fft)).abs().mean()
            if n_fft >= 1024:
                total = total + 0.3 * (torch.log(a + 5e-3) - torch.log(b + 5e-3)).abs().mean()
        return total / len(self.shapes)


@torch.no_grad()
def encode(model: EncodecModel, samples: np.ndarray, n_books: int = layout.N_FINE) -> np.ndarray:
    """Codes (n_books, T) of float samples in [-1, 1] (S,), S a multiple of the frame length."""
    audio = torch.from_numpy(np.ascontiguousarray(samples, np.float32))[None, None]
    latent = model.encoder(audio.to(next(model.parameters()).device))
    return Quantiser(model)(latent, n_books)[2][:, 0].cpu().numpy().astype(np.int16)


@torch.no_grad()
def decode(model: EncodecModel, codes: np.ndarray) -> np.ndarray:
    """Samples float32 (S,) of codes (C, T), any number of codebooks from the first."""
    device = next(model.parameters()).device
    latent = model.quantizer.decode(torch.from_numpy(codes.astype(np.int64))[:, None].to(device))
    samples: np.ndarray = model.decoder(latent)[0, 0].cpu().numpy()
    return samples


def load(out: Path) -> EncodecModel:
    """The trained codec of a run directory, with the decoder that was trained further if there is one."""
    path = out / "checkpoints" / "codec.pt"
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist; run: python -m experiments.micro train-codec --out {out}")
    model = build()
    tensors = torch.load(path, map_location="cpu", weights_only=True)["model"]
    model.load_state_dict({**tensors, **_improved_decoder(out)})
    return model.eval()


def adopt_decoder(out: Path) -> None:
    """Puts the decoder that was trained further into ``codec.pt``, from where all of the codec goes on learning."""
    path, improved = out / "checkpoints" / "codec.pt", out / "checkpoints" / "decoder.pt"
    if not (path.exists() and improved.exists()):
        return
    state = torch.load(path, map_location="cpu", weights_only=True)
    state["model"] |= _improved_decoder(out)
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    os.replace(partial, path)
    improved.unlink()


def _improved_decoder(out: Path) -> dict[str, torch.Tensor]:
    path = out / "checkpoints" / "decoder.pt"
    if not path.exists():
        return {}
    tensors = torch.load(path, map_location="cpu", weights_only=True)["model"]
    return {name: tensor for name, tensor in tensors.items() if name.startswith("decoder.")}


def from_asset(asset: Path) -> EncodecModel:
    """The codec of a packed asset."""
    from safetensors.torch import load_file

    prefix = "codec_model."
    tensors = load_file(asset / "model.safetensors")
    model = build()
    model.load_state_dict({k.removeprefix(prefix): v.float() for k, v in tensors.items() if k.startswith(prefix)})
    return model.eval()
