"""Voices: the same one saying different words is nearer than another, and a clip made of two speakers is caught."""

from __future__ import annotations

import itertools
import json

import labelled_clips
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labelled_clips import HAS_ESPEAK, MEN, RATE, TEXTS, WOMEN, speak

from bark_infinity.error_handling import BarkError, CheckpointError
from fusion.features.spectra import analyse
from fusion.speaker.encoders import HuggingFaceSpeakerEncoder, encoder_consistency, judge_speaker_by
from fusion.speaker.voice_print import (
    REFERENCE_SCALE,
    VoicePrint,
    halves,
    judge_speaker,
    measured_scale,
    voice_change,
    voice_distance,
    voice_print,
)

needs_espeak = pytest.mark.skipif(not HAS_ESPEAK, reason="the program espeak-ng is not installed")
SENTENCES = TEXTS[:6]

prints = st.builds(
    VoicePrint,
    st.lists(st.floats(-200, 200), min_size=19, max_size=19).map(tuple),
    st.one_of(st.none(), st.floats(-12, 24)),
)


@given(a=prints, b=prints)
def test_distance_is_symmetric_bounded_and_zero_only_between_equals(a, b):
    assert voice_distance(a, a) == 0
    assert voice_distance(a, b) == voice_distance(b, a)
    assert 0 <= voice_distance(a, b) <= 4


@given(a=prints, index=st.integers(0, 18), nearer=st.floats(0, 50), further=st.floats(0, 50))
def test_moving_a_voice_away_never_makes_it_nearer(a, index, nearer, further):
    def moved(by: float) -> VoicePrint:
        timbre = list(a.timbre)
        timbre[index] += by
        return VoicePrint(tuple(timbre), a.pitch_st)

    assert voice_distance(a, moved(nearer + further)) >= voice_distance(a, moved(nearer)) - 1e-9


def test_distance_of_a_hand_computed_pair():
    a = VoicePrint((0.0,) * 19, 0.0)
    one_scale_each = VoicePrint(REFERENCE_SCALE[:-1], REFERENCE_SCALE[-1])
    assert voice_distance(a, one_scale_each) == pytest.approx(1)
    assert voice_distance(a, VoicePrint(REFERENCE_SCALE[:-1], None)) == pytest.approx(1)
    assert voice_distance(a, VoicePrint((0.0,) * 19, REFERENCE_SCALE[-1])) == pytest.approx(np.sqrt(0.2))


@pytest.fixture(scope="module")
def clips():
    """Frames by (speaker, text): three men, three women, six sentences."""
    voices = (*MEN, *WOMEN)
    return {(who, what): analyse(speak(text, voice), RATE)
            for who, voice in enumerate(voices) for what, text in enumerate(SENTENCES)}  # fmt: skip


@needs_espeak
def test_one_voice_saying_different_texts_is_nearer_than_different_voices(clips):
    prints = {key: voice_print(frames) for key, frames in clips.items()}
    pairs = list(itertools.combinations(prints, 2))
    same = [voice_distance(prints[a], prints[b]) for a, b in pairs if a[0] == b[0]]
    other = [voice_distance(prints[a], prints[b]) for a, b in pairs if a[0] != b[0] and a[1] != b[1]]
    # Mann-Whitney: the chance that a pair of one voice is nearer than a pair of two.
    nearer = np.mean(np.array(same)[:, None] < np.array(other)[None])
    assert nearer >= 0.9
    found = [
        min(range(6), key=lambda who: voice_distance(prints[asked], prints[who, (asked[1] + 1) % len(SENTENCES)]))
        for asked in prints
    ]
    assert np.mean([who == asked[0] for who, asked in zip(found, prints, strict=True)]) >= 0.8, "chance is 0.17"


@needs_espeak
def test_loudness_and_sample_rate_do_not_change_a_voice(clips):
    import soxr

    audio = speak(SENTENCES[0], MEN[0])
    usual = voice_print(clips[0, 0])
    quiet = voice_print(analyse(0.2 * audio, RATE))
    high = voice_print(analyse(soxr.resample(audio, RATE, 48_000, quality="HQ"), 48_000))
    assert voice_distance(usual, quiet) < 0.05
    assert voice_distance(usual, high) < 0.1


@needs_espeak
def test_one_speaker_passes(clips):
    rejected = [key for key, frames in clips.items() if not judge_speaker(frames).passed]
    assert len(rejected) <= 0.05 * len(clips), rejected


@needs_espeak
def test_one_speaker_with_two_sentences_passes():
    for index, speaker in enumerate((*MEN, *WOMEN)):
        both = np.concatenate([speak(SENTENCES[index], speaker), speak(SENTENCES[index - 1], speaker)])
        assert judge_speaker(analyse(both, RATE)).passed, speaker


@needs_espeak
def test_a_clip_of_a_man_and_a_woman_is_caught_near_the_moment_of_change():
    missed = []
    for label, first, second in labelled_clips.two_speaker_clips():
        verdict = judge_speaker(analyse(np.concatenate([first, second]), RATE))
        if verdict.passed:
            missed.append(label)
            continue
        assert verdict.gate == "speaker_switch"
        assert abs(verdict.evidence["voice_change_at_s"] - len(first) / RATE) < 1.0
    assert "man and woman" not in missed
    assert len(missed) <= 1


@needs_espeak
def test_the_scale_is_that_of_one_voice(clips):
    pairs = [pair for frames in clips.values() for pair in halves(frames)]
    now = np.array(measured_scale(pairs))
    assert now.shape == (20,)
    assert (np.abs(np.log2(now / REFERENCE_SCALE)) < 1).all(), "within a factor of 2 of the frozen one"


def test_a_clip_too_short_for_two_voices_passes_and_says_so():
    tone = np.sin(2 * np.pi * 200 * np.arange(RATE) / RATE).astype(np.float32)
    assert voice_change(analyse(tone, RATE)) is None
    verdict = judge_speaker(analyse(tone, RATE))
    assert verdict.passed
    assert "too short" in verdict.reason


def test_silence_has_no_voice():
    silence = analyse(np.zeros(RATE, np.float32), RATE)
    with pytest.raises(BarkError, match="no voice"):
        voice_print(silence)
    assert judge_speaker(silence).passed


@given(seed=st.integers(0, 2**32 - 1), length=st.integers(1, 2 * RATE))
@settings(max_examples=8, deadline=None)
def test_any_sound_gets_a_verdict(seed, length):
    audio = np.random.default_rng(seed).normal(0, 0.1, length).astype(np.float32)
    assert judge_speaker(analyse(audio, RATE)).gate == "speaker_switch"


# -- encoders -----------------------------------------------------------------------------------------------


class Spectrum:
    """A speaker encoder that a test can follow: the magnitude spectrum of the clip."""

    name = "spectrum"

    def embed(self, audio, sample_rate):
        spectrum = np.abs(np.fft.rfft(audio, 1024)).astype(np.float32)
        return spectrum / np.linalg.norm(spectrum)


def test_an_encoder_compares_clips_and_parts_of_one():
    time = np.arange(RATE) / RATE
    low, high = (np.sin(2 * np.pi * f * time).astype(np.float32) for f in (200, 3_000))
    assert encoder_consistency(Spectrum(), low, RATE) > 0.9
    assert encoder_consistency(Spectrum(), np.concatenate([low, high]), RATE, n_parts=2) < 0.1
    with pytest.raises(BarkError, match="2 parts"):
        encoder_consistency(Spectrum(), low, RATE, n_parts=1)


def test_an_encoder_rejects_a_clip_whose_parts_have_different_voices():
    time = np.arange(3 * RATE) / RATE
    low, high = (np.sin(2 * np.pi * f * time).astype(np.float32) for f in (200, 3_000))
    assert judge_speaker_by(Spectrum(), low, RATE).passed
    switched = judge_speaker_by(Spectrum(), np.concatenate([low, high]), RATE)
    assert not switched.passed
    assert switched.gate == "speaker_switch"
    assert switched.evidence["part_cosine"] < switched.evidence["part_cosine_limit"]
    short = judge_speaker_by(Spectrum(), np.concatenate([low[:RATE], high[:RATE]]), RATE)
    assert short.passed
    assert short.reason.startswith("not judged")


@pytest.mark.parametrize("xvector", [False, True])
def test_a_hugging_face_encoder_is_loaded_from_its_directory(tmp_path, xvector):
    import torch
    from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2ForXVector, Wav2Vec2Model

    torch.manual_seed(0)
    config = Wav2Vec2Config(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, conv_dim=(8, 8),
        conv_stride=(10, 8), conv_kernel=(10, 8), num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2,
        tdnn_dim=(16, 16), tdnn_kernel=(3, 1), tdnn_dilation=(1, 1), xvector_output_dim=12,
    )  # fmt: skip
    (Wav2Vec2ForXVector if xvector else Wav2Vec2Model)(config).save_pretrained(tmp_path)
    Wav2Vec2FeatureExtractor(sampling_rate=16_000).save_pretrained(tmp_path)
    encoder = HuggingFaceSpeakerEncoder(str(tmp_path))
    audio = np.random.default_rng(0).normal(0, 0.1, RATE).astype(np.float32)
    vector = encoder.embed(audio, RATE)
    assert vector.shape == ((12,) if xvector else (16,))
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    assert encoder_consistency(encoder, np.tile(audio, 2), RATE, n_parts=2) == pytest.approx(1, abs=1e-5)
    assert ("x-vector" in encoder.name) == xvector


def test_an_encoder_without_its_head_is_refused(tmp_path):
    import torch
    from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

    config = Wav2Vec2Config(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, conv_dim=(8, 8),
        conv_stride=(10, 8), conv_kernel=(10, 8), num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2,
        tdnn_dim=(16, 16), tdnn_kernel=(3, 1), tdnn_dilation=(1, 1), xvector_output_dim=12,
    )  # fmt: skip
    Wav2Vec2Model(config).save_pretrained(tmp_path)
    Wav2Vec2FeatureExtractor(sampling_rate=16_000).save_pretrained(tmp_path)
    claims = json.loads((tmp_path / "config.json").read_text()) | {"architectures": ["Wav2Vec2ForXVector"]}
    (tmp_path / "config.json").write_text(json.dumps(claims))
    before = torch.get_rng_state()
    with pytest.raises(CheckpointError, match=r"cannot be loaded: its weights lack \d+ tensors"):
        HuggingFaceSpeakerEncoder(str(tmp_path))
    assert torch.equal(torch.get_rng_state(), before), "loading draws nothing from the global generator"


def test_a_missing_encoder_is_named():
    with pytest.raises(CheckpointError, match=r"no/such-encoder cannot be loaded.*allow_download"):
        HuggingFaceSpeakerEncoder("no/such-encoder")
