"""Features of a clip beside one librosa call per feature: equal values, milliseconds per clip, in one run.

    python -m experiments.benchmarks.features
    python -m experiments.benchmarks.features --model micro

With a model, also what features and gates cost beside rendering the clip they judge.

The naive side calls librosa's functions as their documentation shows, each on the waveform, and takes the same
frames into its means. It leaves out what librosa has no function for (periodicity, pauses, spectral tilt), which our
side does include. Both sides alternate, so that a busy machine slows both. Processor time, one thread.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy loads its linear algebra

import numpy as np
from numpy.typing import NDArray

from bark_infinity.requests import Rendering, RenderRequest
from bark_infinity.tokens import BarkTokens
from fusion.critic import GATES
from fusion.features.features import AcousticFeatures, measure
from fusion.heard import Heard

RATE = 24_000  # Hz


def naive(audio: NDArray[np.float32]) -> dict[str, float]:
    """Means, deviations and levels of a clip at 24 kHz, by one librosa call per feature.

    Args:
        audio: (S,) samples, at least one STFT window, without offset.
    """
    import librosa
    from librosa.effects import split
    from librosa.onset import onset_detect

    y, sr = audio, RATE
    values = {}
    rms = librosa.feature.rms(y=y)[0]
    intervals = split(y, top_db=40)
    sound = np.zeros(len(rms), bool)
    for start, end in intervals:
        sound[start // 512 : -(-end // 512)] = True
    level = 20 * np.log10(rms[sound])
    values["rms_std_db"] = level.std()
    values["rms_range_db"] = np.percentile(level, 95) - np.percentile(level, 5)
    values["sound_share"] = sound.mean()
    crossings = librosa.zero_crossings(y, pad=False, zero_pos=False)
    values["zero_crossing_rate_hz"] = crossings.sum() * sr / len(y)
    for name, unit, track in (
        ("centroid", "_hz", librosa.feature.spectral_centroid(y=y, sr=sr)),
        ("bandwidth", "_hz", librosa.feature.spectral_bandwidth(y=y, sr=sr)),
        ("rolloff", "_hz", librosa.feature.spectral_rolloff(y=y, sr=sr)),
        ("flatness", "", librosa.feature.spectral_flatness(y=y)),
    ):
        values[f"{name}{unit}"] = track[0, sound].mean()
        values[f"{name}_std{unit}"] = track[0, sound].std()
    contrast = librosa.feature.spectral_contrast(y=y, sr=sr)[:, sound].mean(axis=1)
    values |= {f"contrast_db_{band:02d}": value for band, value in enumerate(contrast)}
    mfcc = librosa.feature.mfcc(y=y, sr=sr)[:, sound]
    values |= {f"mfcc_mean_{index:02d}": value for index, value in enumerate(mfcc.mean(axis=1))}
    values |= {f"mfcc_std_{index:02d}": value for index, value in enumerate(mfcc.std(axis=1))}
    f0 = librosa.yin(y, fmin=60, fmax=500, sr=sr)[sound]
    values["f0_median_hz"] = np.median(f0)
    values["f0_iqr_hz"] = np.percentile(f0, 75) - np.percentile(f0, 25)
    span = np.flatnonzero(sound)
    onsets = onset_detect(y=y, sr=sr)
    inside = np.count_nonzero((onsets >= span[0]) & (onsets <= span[-1]))
    values["onset_rate_hz"] = inside / (len(range(span[0], span[-1] + 1)) * 512 / sr)
    fine = librosa.resample(y, orig_sr=sr, target_sr=4 * sr, res_type="polyphase")
    values["true_peak_db"] = 20 * np.log10(np.abs(fine).max())
    return {name: float(value) for name, value in values.items()}


def speech_like(seed: int, seconds: float) -> NDArray[np.float32]:
    """A buzz with moving pitch and formants, in syllables, with some noise: (S,) at 24 kHz, without offset."""
    import scipy.signal

    rng = np.random.default_rng(seed)
    n = round(seconds * RATE)
    t = np.arange(n) / RATE
    f0 = rng.uniform(90, 220) * 2 ** (0.2 * np.sin(2 * np.pi * 0.6 * t + rng.uniform(0, 6)))
    buzz = scipy.signal.sawtooth(2 * np.pi * np.cumsum(f0) / RATE) + 0.05 * rng.standard_normal(n)
    for formant, width in ((rng.uniform(400, 800), 80), (rng.uniform(1_000, 2_200), 120), (2_600, 180)):
        radius, angle = np.exp(-np.pi * width / RATE), 2 * np.pi * formant / RATE
        buzz = scipy.signal.lfilter([1 - radius], [1, -2 * radius * np.cos(angle), radius**2], buzz)
    syllables = np.clip(np.sin(2 * np.pi * 2 * t) + 0.6, 0, 1) * (np.sin(2 * np.pi * 0.21 * t) > -0.9)
    audio = buzz * syllables
    audio = 0.5 * audio / np.abs(audio).max()
    return np.asarray(audio - audio.mean(), np.float32)


def largest_difference(ours: AcousticFeatures, theirs: dict[str, float]) -> tuple[float, str]:
    """How far two measurements are apart, relative to 1 or the value, and where most."""
    named = ours.named()
    gaps = {name: abs(named[name] - value) / max(1.0, abs(value)) for name, value in theirs.items()}
    worst = max(gaps, key=gaps.__getitem__)
    return gaps[worst], worst


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the benchmark and prints its table; fails when values differ."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--repeats", type=int, default=5, help="of every clip; the fastest counts")
    parser.add_argument("--model", help="also render with it (micro, suno/bark-small, a directory)")
    options = parser.parse_args(argv)
    clips = [speech_like(seed, options.seconds) for seed in range(options.clips)]
    naive(clips[0]), measure(clips[0], RATE)  # librosa compiles and caches on first use
    ours_ms, theirs_ms, gated_ms, worst = [], [], [], (0.0, "")
    for clip in clips:
        ours_s, theirs_s, gated_s = [], [], []
        rendering = Rendering(BarkTokens(), "given", clip, RATE)
        for _ in range(options.repeats):
            seconds, ours = _timed(measure, clip, RATE)
            ours_s.append(seconds)
            seconds, theirs = _timed(naive, clip)
            theirs_s.append(seconds)
            gated_s.append(_timed(_ask_all_gates, rendering, None)[0])
        ours_ms.append(1_000 * min(ours_s))
        theirs_ms.append(1_000 * min(theirs_s))
        gated_ms.append(1_000 * min(gated_s))
        worst = max(worst, largest_difference(ours, _without_voicing(theirs, ours)))
    one, other, gated = (statistics.median(times) for times in (ours_ms, theirs_ms, gated_ms))
    print(f"{options.clips} clips of {options.seconds:g} s, processor time, median of clips")
    print(f"fusion.features.features.measure  {one:7.1f} ms per clip   ({len(AcousticFeatures.NAMES)} features)")
    print(f"one librosa call each    {other:7.1f} ms per clip   ({len(theirs)} features)")
    print(f"ratio                    {other / one:7.1f}x")
    print(f"largest difference       {worst[0]:7.1e} ({worst[1]})")
    print(f"features and gates       {gated:7.1f} ms per clip, {gated / 10 / options.seconds:.2f} % of its duration")
    print(f"ratio with gates         {other / gated:7.1f}x")
    if options.model:
        print(_share_of_rendering(options.model))
    return 0 if worst[0] < 1e-3 else 1


def _timed(run: Callable[..., Any], *arguments: Any) -> tuple[float, Any]:
    """Seconds of processor time, and the result."""
    started = time.process_time()
    result = run(*arguments)
    return time.process_time() - started, result


def _ask_all_gates(rendering: Rendering, text: str | None) -> None:
    """Features, and every gate but the recogniser's, which is not there; none is left out for an earlier rejection."""
    heard = Heard(rendering, text)
    for gate in GATES.values():
        list(gate(heard))


def _share_of_rendering(model: str) -> str:
    """Renders a sentence, judges it, and compares the processor time of both."""
    from bark_infinity.engine import BarkEngine

    text = "The old man walked slowly down the narrow street, and we followed him to the market by the river."
    with contextlib.closing(BarkEngine.load(model)) as engine:
        request = RenderRequest(text)
        engine.render([request])  # the first call allocates
        rendered_s, (rendering,) = _timed(engine.render, [request])
    judged_s, _ = _timed(_ask_all_gates, rendering, text)
    return (
        f"{model}: rendering {1_000 * rendered_s:.0f} ms for {rendering.duration_s:.1f} s, features and all gates "
        f"{1_000 * judged_s:.1f} ms: {judged_s / rendered_s:.2%} of rendering"
    )


def _without_voicing(theirs: dict[str, float], ours: AcousticFeatures) -> dict[str, float]:
    """Pitch compares only where every frame is voiced, because `librosa.yin` does not say which are."""
    if ours.voiced_share == 1:
        return theirs
    return {name: value for name, value in theirs.items() if not name.startswith("f0_")}


if __name__ == "__main__":
    sys.exit(main())
