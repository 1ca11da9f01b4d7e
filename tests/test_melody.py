"""A melody is what a voice does: octave errors, chance, hum and the edge of the search are the tracker's doing."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bark_infinity.requests import Rendering
from bark_infinity.tokens import BarkTokens
from fusion.features.melody import LARGEST_STEP_ST, Melody, melody_of
from fusion.features.spectra import FRAME_RATE_HZ, Frames, analyse
from fusion.heard import Heard
from fusion.objectives.objectives import Expressiveness

RATE = 24_000
ANY = analyse(np.random.default_rng(0).normal(0, 0.1, RATE).astype(np.float32), RATE)


def tracked(f0_hz, periodicity=0.9) -> Frames:
    """Frames with sound in which a tracker found this; a pitch of 0: silence."""
    f0 = np.asarray(f0_hz, np.float32)
    sound = f0 > 0
    sure = np.broadcast_to(np.asarray(periodicity, np.float32), f0.shape)[sound]
    return dataclasses.replace(ANY, sound=sound, f0_hz=f0[sound], periodicity=sure)


def monotone(frames: int, hz: float = 110.0) -> np.ndarray:
    """A steady voice: its pitch trembles by 0.1 semitones from frame to frame, as no machine's does."""
    return hz * 2 ** (0.05 * (-1.0) ** np.arange(frames) / 12)


def test_a_monotone_with_octave_errors_is_the_monotone():
    for factor, hz in ((2, 110), (4, 110), (0.5, 140)):
        erring = monotone(120, hz)
        erring[20:40] *= factor
        erring[60:65] *= factor
        erring[70:110] *= factor  # 65 of 120 frames: more often wrong than right
        low, high = np.percentile(12 * np.log2(erring), (25, 75))
        assert high - low > 11.8  # as it was tracked
        found = melody_of(tracked(erring))
        assert found.range_st == pytest.approx(0.1, abs=1e-5)
        assert found.step_st == pytest.approx(0.1, abs=1e-5)
        assert found.voiced_s == pytest.approx(120 / FRAME_RATE_HZ)


def test_a_glide_keeps_its_range():
    octave = 110 * 2 ** (np.linspace(-0.5, 0.5, 101))
    found = melody_of(tracked(octave))
    assert found.range_st == pytest.approx(6.0, abs=1e-4)  # the middle half of an octave
    assert found.step_st == pytest.approx(0.12, abs=1e-4)
    two_octaves = 220 * 2 ** (np.linspace(-1, 1, 101))
    assert melody_of(tracked(two_octaves)).range_st == pytest.approx(12.0, abs=1e-4)  # one piece, never folded


def test_a_leap_between_syllables_is_kept_and_an_octave_is_not():
    low, high = monotone(30), monotone(30, 110 * 2 ** (7 / 12))  # a fifth
    assert melody_of(tracked([*low, 0, 0, *high])).range_st == pytest.approx(7, abs=0.11)
    assert melody_of(tracked([*low, 0, 0, *(2 * low)])).range_st == pytest.approx(0.1, abs=1e-5)


def test_what_is_no_voice_does_not_count():
    voice = monotone(60)
    alone = melody_of(tracked(voice))
    rng = np.random.default_rng(0)
    chance = rng.uniform(62, 480, 60)  # no two frames alike
    hum = np.full(60, 75.0)  # a codec that repeats its frames
    edge = np.full(60, 500.0)
    blips = np.tile([180.0, 181.0, 182.0, 0], 15)
    for other in (chance, hum, edge, blips):
        found = melody_of(tracked([*voice, 0, *other]))
        assert (found.range_st, found.step_st, found.voiced_s) == pytest.approx(
            (alone.range_st, alone.step_st, alone.voiced_s), abs=1e-6
        )
        assert melody_of(tracked(other)) == Melody(0.0, 0.0, 0.0, 0.0)
    unsure = tracked([*voice, *monotone(60, 170)], np.repeat([0.9, 0.4], 60))
    assert melody_of(unsure).voiced_share == 0.5
    assert melody_of(unsure).range_st == pytest.approx(alone.range_st)


@given(st.lists(st.floats(61.5, 489), max_size=80), st.floats(0, 1))
def test_any_track_has_a_melody(f0_hz, periodicity):
    frames = tracked(np.asarray(f0_hz, np.float32), periodicity)
    found = melody_of(frames)
    assert all(np.isfinite(dataclasses.astuple(found)))
    assert 0 <= found.voiced_share <= 1
    assert 0 <= found.step_st <= LARGEST_STEP_ST


def pulses(f0_hz: np.ndarray, weak: np.ndarray) -> np.ndarray:
    """(S,) a voice of this pitch in Hz at every sample; where ``weak``, every other pulse is, as in a creaky voice."""
    phase = np.cumsum(f0_hz) / RATE
    count = np.floor(phase).astype(int)
    at = np.flatnonzero(np.diff(count, prepend=0))
    train = np.zeros(len(f0_hz))
    train[at] = np.where((count[at] % 2 == 0) & weak[at], 0.05, 1.0)
    decay = np.exp(-np.arange(480) / 60) * np.sin(2 * np.pi * 600 * np.arange(480) / RATE)  # one formant
    noise = np.random.default_rng(0).normal(0, 1e-3, len(train))
    return (0.3 * np.convolve(train, decay)[: len(train)] + noise).astype(np.float32)


def test_expressiveness_hears_a_glide_and_is_not_fooled_by_half_of_the_pitch():
    time = np.arange(3 * RATE) / RATE
    tremble = 2 ** (0.1 * np.sin(2 * np.pi * 5 * time) / 12)
    never, in_turn = np.zeros(len(time), bool), (time // 0.5).astype(int) % 2 == 1

    def judged(f0_hz, weak):
        clip = Heard(Rendering(BarkTokens(), "eos", pulses(f0_hz, weak)))
        return Expressiveness().judge(clip).value, clip.features.f0_iqr_st

    flat, _ = judged(180 * tremble, never)
    creaky, tracked_st = judged(180 * tremble, in_turn)
    lively, _ = judged(130 * 2 ** ((time / 3) % 1) * tremble, never)
    assert tracked_st > 11  # the tracker does take the octave
    assert flat < 0.02
    assert creaky < 0.02
    assert lively > 0.7
