"""What evaluation measures in sound: pitch, timbre, spectral distance, phone errors. numpy on 24 kHz samples."""

from __future__ import annotations

import numpy as np

from experiments.micro import labels, layout
from experiments.micro.recogniser import edit_distance

_SCALE = 24_000  # the pitch tracker expects int16 scale


def scaled(samples: np.ndarray) -> np.ndarray:
    """Samples (S,) with their peak at int16 scale, as the tracker and the recogniser like them."""
    return np.asarray(samples, np.float32) / (float(np.abs(samples).max(initial=0.0)) + 1e-9) * _SCALE


def median_pitch(samples: np.ndarray) -> float:
    """Median F0 in Hz, 0.0 when hardly anything is voiced."""
    return labels.median_f0(labels.f0_track(scaled(samples), between_lags=True))


def semitones(a_hz: float | np.ndarray, b_hz: float | np.ndarray) -> np.ndarray:
    """Signed distance of two pitches."""
    return np.asarray(12 * np.log2(np.asarray(a_hz) / np.asarray(b_hz)))


def pitch_error(reference: np.ndarray, made: np.ndarray) -> float | None:
    """Median distance in semitones over frames that are voiced in both; None when there are too few."""
    a, b = (labels.f0_track(scaled(samples), between_lags=True) for samples in (reference, made))
    n = min(len(a), len(b))
    both = (a[:n] > 0) & (b[:n] > 0)
    return float(np.median(np.abs(semitones(a[:n][both], b[:n][both])))) if both.sum() > 8 else None


def log_mel(samples: np.ndarray) -> np.ndarray:
    """Log-mel spectrum (T, 80), window 1024, hop 256."""
    import librosa

    power = librosa.feature.melspectrogram(
        y=np.asarray(samples, np.float32), sr=layout.SAMPLE_RATE, n_fft=1024, hop_length=256, n_mels=80, power=1.0
    )
    return np.asarray(np.log(np.maximum(power, 1e-3)).T)


def log_mel_distance(reference: np.ndarray, made: np.ndarray) -> float:
    """Mean absolute difference of the log-mel spectra."""
    n = min(len(reference), len(made))
    return float(np.abs(log_mel(reference[:n]) - log_mel(made[:n])).mean())


def timbre(samples: np.ndarray) -> np.ndarray:
    """Mean cepstrum 1 to 20 of the loud frames (20,): the voice, whatever it says and however loud."""
    from scipy.fft import dct

    spectrum = log_mel(np.asarray(samples, np.float32) / (float(np.abs(samples).max(initial=0.0)) + 1e-9))
    loudness = spectrum.mean(1)
    loud = loudness > np.quantile(loudness, 0.5)
    return np.asarray(dct(spectrum, norm="ortho", axis=1)[loud, 1:21].mean(0))


def own_ranks(histories: list[np.ndarray], made: list[np.ndarray]) -> np.ndarray:
    """For every output, the rank (1 is best) of its own history's timbre among all histories (N,)."""
    a = np.stack([timbre(h) for h in histories])
    b = np.stack([timbre(m) for m in made])
    distance = np.linalg.norm(b[:, None] - a[None], axis=2)
    return np.asarray((distance <= np.diag(distance)[:, None]).sum(1))


def phone_errors(wanted: np.ndarray, got: np.ndarray) -> tuple[int, int]:
    """Edit distance and length in dictionary phones between two semantic token sequences."""
    reference = labels.folded_phones(np.asarray(wanted))
    return edit_distance(reference, labels.folded_phones(np.asarray(got))), len(reference)
