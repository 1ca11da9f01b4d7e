"""Features are librosa's numbers in physical units, finite for any clip, or a failure that says why."""

from __future__ import annotations

import dataclasses

import librosa
import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st

from bark_infinity.error_handling import BarkError
from experiments.benchmarks.features import RATE, naive, speech_like
from fusion.features.features import (
    AcousticFeatures,
    measure,
    spoken_characters,
    summarise,
    true_peak,
    unit_of,
)
from fusion.features.pitch import track_pitch
from fusion.features.spectra import HOP, analyse

T = np.arange(2 * RATE) / RATE


def sine(hz: float, amplitude: float = 0.5, seconds: float = 2.0, rate: int = RATE) -> np.ndarray:
    return (amplitude * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def buzz(hz: float) -> np.ndarray:
    """Twenty harmonics falling by 6 dB per octave: what a throat does."""
    return sum(sine(hz * k, 0.3 / k) for k in range(1, 21))


def noise(seed: int = 0, seconds: float = 2.0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(round(seconds * RATE))).astype(np.float32)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_values_equal_one_librosa_call_per_feature(seed):
    clip = speech_like(seed, 4.0)
    ours, theirs = measure(clip, RATE).named(), naive(clip)
    for name, value in theirs.items():
        if not name.startswith("f0_"):  # librosa.yin does not say which frames are voiced; see the next test
            assert ours[name] == pytest.approx(value, rel=1e-3, abs=1e-3), name
    assert len(theirs) > 60


@pytest.mark.parametrize("seed", [3, 4])
def test_the_pitch_track_is_librosas_yin(seed):
    clip = speech_like(seed, 4.0)
    frames = analyse(clip, RATE)
    theirs = librosa.yin(clip, fmin=60, fmax=500, sr=RATE)[frames.sound]
    assert np.mean(np.abs(frames.f0_hz - theirs) < 1e-3 * theirs) >= 0.99
    assert np.median(frames.f0_hz) == pytest.approx(np.median(theirs), rel=1e-4)


def test_periodicity_is_the_correlation_with_one_period_later():
    clip = speech_like(5, 1.0)
    wanted = np.arange(6, 40)
    track = track_pitch(clip, RATE, HOP, wanted)
    padded = np.pad(clip, 1_024)
    for frame, f0, periodicity in zip(wanted, track.f0_hz, track.periodicity, strict=True):
        window = padded[frame * HOP : frame * HOP + 2_048].astype(float)
        lags = round(RATE / f0) + np.arange(-2, 3)
        best = max(
            window[:-lag] @ window[lag:] / np.sqrt((window[:-lag] @ window[:-lag]) * (window[lag:] @ window[lag:]))
            for lag in lags
        )
        assert periodicity == pytest.approx(max(best, 0), abs=0.02)


def test_pitch_of_harmonic_sounds_is_found_within_half_a_percent():
    for hz in (70, 110.5, 221, 333.3, 440):
        features = measure(buzz(hz), RATE)
        assert features.f0_median_hz == pytest.approx(hz, rel=0.005)
        assert features.f0_iqr_st < 0.05
        assert features.voiced_share > 0.95
        assert features.harmonicity_db > 15


def test_noise_is_not_voiced_flat_and_without_tilt():
    features = measure(noise(), RATE)
    assert features.voiced_share == 0
    assert "f0_median_hz" in features.unknown
    assert features.harmonicity_db < -5
    assert features.flatness > 0.5
    assert features.tilt_db_per_octave == pytest.approx(0, abs=0.3)
    assert features.high_band_share == pytest.approx(8 / 12, abs=0.02)


def test_harmonicity_never_rises_with_noise():
    voice, hiss = buzz(150), noise(3, 2.0)
    # Loud and weak syllables: noise drowns the weak ones first.
    voice = voice * np.where(np.arange(len(voice)) // (RATE // 4) % 2, 1.0, 0.1).astype(np.float32)
    heard = [measure(voice + level * hiss[: len(voice)], RATE) for level in (0, 0.01, 0.03, 0.1, 0.3, 1, 3, 9)]
    harmonicity = [features.harmonicity_db for features in heard]
    assert harmonicity == sorted(harmonicity, reverse=True)
    assert "harmonicity_db" not in heard[-1].unknown
    assert harmonicity[-1] < -5


def test_steps_of_pitch_are_unknown_without_two_voiced_frames_in_a_row():
    whole = analyse(buzz(120), RATE)
    periodicity = np.where(np.arange(len(whole.periodicity)) % 2, whole.periodicity, 0).astype(np.float32)
    features = summarise(dataclasses.replace(whole, periodicity=periodicity))
    assert features.voiced_share > 0.4
    assert "f0_step_st" in features.unknown
    assert "f0_iqr_st" not in features.unknown
    assert "f0_step_st" not in measure(buzz(120), RATE).unknown


def test_tilt_of_integrated_noise_is_minus_six_decibels_per_octave():
    integrated = scipy.signal.lfilter([1], [1, -0.9999], noise(1, 4.0))
    assert measure(0.1 * integrated, RATE).tilt_db_per_octave == pytest.approx(-6.02, abs=0.3)


def test_spectral_centre_of_a_tone_is_the_tone():
    features = measure(sine(3_000), RATE)
    assert features.centroid_hz == pytest.approx(3_000, abs=15)
    assert features.rolloff_hz == pytest.approx(3_000, abs=24)
    assert features.zero_crossing_rate_hz == pytest.approx(6_000, rel=1e-3)
    assert features.rms_db == pytest.approx(20 * np.log10(0.5 / np.sqrt(2)), abs=0.01)


def test_pauses_and_silence_at_the_ends_are_measured_to_a_frame_or_two():
    tone, hush = buzz(120)[:RATE], np.zeros(RATE // 2, np.float32)
    features = measure(np.concatenate([hush, tone, hush, tone, hush, hush]), RATE)
    assert features.leading_silence_s == pytest.approx(0.5, abs=0.07)
    assert features.trailing_silence_s == pytest.approx(1.0, abs=0.07)
    assert features.pause_count == 1
    assert features.pause_longest_s == pytest.approx(0.5, abs=0.1)
    assert features.pause_share == pytest.approx(0.5 / 2.5, abs=0.05)


def test_clipping_offset_and_true_peak():
    clipped = measure(np.clip(2 * sine(200, 1.0), -1, 1), RATE)
    assert clipped.clipped_share == pytest.approx(2 / 3, abs=0.02)  # |sin| above one half
    assert measure(sine(200) + np.float32(0.1), RATE).dc_offset == pytest.approx(0.1, abs=1e-4)
    between = np.sin(np.pi / 2 * np.arange(4_000) + np.pi / 4).astype(np.float32)  # samples miss every crest
    features = measure(between, RATE)
    assert features.peak_db == pytest.approx(-3.01, abs=0.01)
    assert features.true_peak_db > -0.1


@given(st.integers(0, 2**32 - 1), st.integers(1, 3_000))
@settings(max_examples=40, deadline=None)
def test_true_peak_is_that_of_the_whole_clip_oversampled(seed, n_samples):
    rng = np.random.default_rng(seed)
    samples = (rng.standard_normal(n_samples) * rng.random() * (rng.random(n_samples) < rng.random())).astype("f4")
    whole = np.abs(scipy.signal.resample_poly(samples, 4, 1)).max()
    assert true_peak(samples) == pytest.approx(max(whole, np.abs(samples).max()), rel=1e-5, abs=1e-12)


def test_an_offset_changes_nothing_but_the_offset():
    plain, shifted = (measure(speech_like(6, 2.0) + np.float32(dc), RATE).named() for dc in (0, 0.05))
    of_samples = {"dc_offset", "peak_db", "true_peak_db"}
    for name in set(plain) - of_samples:
        assert shifted[name] == pytest.approx(plain[name], rel=1e-3, abs=2e-3), name


def test_clips_of_other_rates_measure_alike():
    clip = speech_like(7, 2.0)
    wide = librosa.resample(clip, orig_sr=RATE, target_sr=48_000)
    one, other = measure(clip, RATE), measure(wide, 48_000)
    assert other.f0_median_hz == pytest.approx(one.f0_median_hz, rel=0.01)
    assert other.centroid_hz == pytest.approx(one.centroid_hz, rel=0.03)
    assert other.duration_s == pytest.approx(one.duration_s, abs=1e-3)


def test_speaking_rate_counts_letters_that_are_spoken():
    assert spoken_characters("[laughs] Hi, 안녕 ♪ 42!") == 6
    features = measure(buzz(120), RATE, text="[sighs] hello hello hello")
    assert features.speaking_rate_cps == pytest.approx(15 / 2, rel=0.03)
    assert "speaking_rate_cps" not in features.unknown
    assert "speaking_rate_cps" in measure(buzz(120), RATE).unknown


DEGENERATE = {
    "silence": np.zeros(RATE),
    "one sample": np.array([0.7]),
    "constant": np.full(RATE, 0.4),
    "two samples": np.array([1.0, -1.0]),
    "click": np.eye(1, 700)[0],
    "denormal": np.full(3_000, 1e-42),
    "full-scale noise": np.sign(noise()),
    "very loud": 90 * sine(100),
    "alternating": np.resize([1.0, -1.0], RATE),
}


@pytest.mark.parametrize("kind", DEGENERATE)
@pytest.mark.parametrize("rate", [8_000, 24_000, 44_100])
def test_any_finite_clip_has_finite_features(kind, rate):
    features = measure(DEGENERATE[kind], rate, text="hello")
    assert np.isfinite(features.vector()).all()
    assert features.duration_s == pytest.approx(len(DEGENERATE[kind]) / rate)


@pytest.mark.parametrize("kind", ["silence", "one sample", "constant", "denormal"])
def test_nothing_is_known_of_the_voice_in_a_clip_without_sound(kind):
    features = measure(DEGENERATE[kind], RATE)
    assert features.sound_share == 0
    assert {"f0_median_hz", "centroid_hz", "mfcc_mean_03", "speaking_rate_cps", "pause_share"} <= features.unknown
    assert not features.unknown & {"duration_s", "rms_db", "trailing_silence_s"}
    assert set(np.array(AcousticFeatures.NAMES)[np.isnan(features.known_vector())]) == features.unknown


@given(st.integers(1, 5_000), st.integers(0, 2**32 - 1), st.floats(-6, 1.5))
@settings(max_examples=25, deadline=None)
def test_random_clips_of_any_length_have_finite_features(n_samples, seed, log_gain):
    audio = np.random.default_rng(seed).standard_normal(n_samples) * 10**log_gain
    assert np.isfinite(measure(np.clip(audio, -99, 99), RATE).vector()).all()


@pytest.mark.parametrize(
    ("audio", "says"),
    [
        (np.array([0.0, np.nan]), "NaN"),
        (np.array([0.0, np.inf]), "infinite"),
        (np.zeros(0), "not one sample"),
        (np.zeros((2, 100)), "shape"),
        (np.zeros(100, np.int16), "int16"),
        (np.full(100, 3e4), "full scale"),
    ],
)
def test_what_is_no_clip_is_a_failure_and_never_a_number(audio, says):
    with pytest.raises(BarkError, match=says):
        measure(audio, RATE)


def test_vector_and_named_view_are_the_same_data():
    features = measure(speech_like(8, 1.0), RATE, text="some words")
    vector = features.vector()
    assert vector.dtype == np.float32
    assert vector.shape == (len(AcousticFeatures.NAMES),)
    assert AcousticFeatures.from_vector(vector) == features
    assert features.named()["f0_median_hz"] == features.f0_median_hz
    assert features.named()["mfcc_mean_19"] == features.mfcc_mean[19]


@pytest.mark.parametrize("audio", [buzz(120), noise(), np.zeros(RATE)], ids=["voice", "noise", "silence"])
def test_the_known_vector_is_the_vector_with_gaps_where_nothing_is_known(audio):
    features = measure(audio, RATE)
    known = features.known_vector()
    assert known.dtype == np.float32
    gaps = {name for name, value in zip(AcousticFeatures.NAMES, known, strict=True) if np.isnan(value)}
    assert gaps == features.unknown
    there = ~np.isnan(known)
    assert np.array_equal(known[there], features.vector()[there])


def test_a_vector_of_another_schema_or_with_nan_is_refused():
    with pytest.raises(BarkError, match="schema 2"):
        AcousticFeatures.from_vector(np.zeros(7))
    with pytest.raises(BarkError, match="duration_s"):
        AcousticFeatures.from_vector(np.full(len(AcousticFeatures.NAMES), np.nan))


def test_units_follow_from_names():
    assert [unit_of(name) for name in ("f0_median_hz", "rms_db", "pause_share", "flatness", "contrast_db_03")] == [
        "Hz", "dB", "share", "", "dB",
    ]  # fmt: skip


def test_names_are_those_of_schema_two():
    """Whoever changes names, order or definitions raises `SCHEMA` and this test."""
    assert AcousticFeatures.SCHEMA == 2
    assert len(AcousticFeatures.NAMES) == 80
    assert AcousticFeatures.NAMES[:3] == ("duration_s", "sound_share", "pause_share")
