"""micro-Bark's tokens: what the labels say survives the round trip, and training rows are cut like inference."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.micro import codes as coding
from experiments.micro import labels, layout, speakers, texts, train_coarse, windows


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def test_the_vocabulary_is_bark_s_layout_with_smaller_numbers():
    assert len(layout.PHONES) == layout.N_PHONES
    assert layout.SEMANTIC_PAD == layout.SEMANTIC_VOCAB == layout.COARSE_OFFSET
    assert len(labels.TEXT_SYMBOLS) <= layout.TEXT_VOCAB
    assert layout.SAMPLES_PER_SEMANTIC * 2 == layout.SAMPLES_PER_FRAME * 3


def test_every_phone_has_dictionary_phones_or_is_silent():
    silent = [name for name in layout.PHONES if not labels.FOLD[name]]
    assert silent == ["_", ";"]
    assert {p for folded in labels.FOLD.values() for p in folded} <= set(labels.ARPABET)


def test_semantic_tokens_tell_their_phones_and_lengths():
    phones, starts = np.array([5, 5, 9]), np.array([0, 3, 12])
    tokens = labels.semantic_tokens(phones, starts, np.zeros(14, np.float32), 0.0)
    assert np.flatnonzero(labels.onsets(tokens)).tolist() == starts.tolist()
    assert (tokens[labels.onsets(tokens)] // layout.TOKENS_PER_PHONE).tolist() == phones.tolist()
    remaining = tokens // layout.N_PITCH % layout.N_REMAINING
    assert remaining.tolist() == [2, 1, 0, 7, 7, 6, 5, 4, 3, 2, 1, 0, 1, 0]


def test_relative_pitch_does_not_depend_on_the_speaker():
    track = np.repeat(np.array([100.0, 130.0], np.float32), 10)
    phones, starts = np.array([5, 6]), np.array([0, 10])
    low = labels.semantic_tokens(phones, starts, track, float(np.median(track)))
    high = labels.semantic_tokens(phones, starts, 2 * track, float(np.median(2 * track)))
    assert low.tolist() == high.tolist()
    assert low[0] % layout.N_PITCH < low[-1] % layout.N_PITCH


def test_pitch_is_tracked_to_a_tenth_of_a_semitone():
    time = np.arange(24_000) / layout.SAMPLE_RATE
    for f0_hz in (80.0, 160.0, 320.0):
        voice = sum(np.sin(2 * np.pi * f0_hz * k * time) / k for k in range(1, 9)) * 5000
        found = labels.median_f0(labels.f0_track(np.asarray(voice), between_lags=True))
        assert abs(12 * np.log2(found / f0_hz)) < 0.1


def test_coarse_ids_survive_flattening(rng: np.random.Generator):
    codes = rng.integers(layout.CODEBOOK, size=(2, 30)).astype(np.int16)
    assert (coding.unflatten(coding.flatten(codes)) == codes).all()


def test_training_rows_are_the_prompts_of_inference(rng: np.random.Generator):
    def utterance(n: int) -> coding.Coded:
        return coding.Coded(0, rng.integers(layout.SEMANTIC_VOCAB, size=n), rng.integers(512, size=(8, n * 3 // 2)))

    said = [utterance(n) for n in (60, 84, 120)]
    inputs, target = train_coarse.Material(said).row(2, rng)
    assert inputs[layout.COARSE_SEMANTIC_BLOCK] == layout.COARSE_INFER
    judged = np.flatnonzero(target >= 0)
    assert judged[0] == layout.COARSE_SEMANTIC_BLOCK
    assert (target[judged] == inputs[judged + 1]).all()


def test_a_history_loses_its_last_frame_and_keeps_its_alignment(rng: np.random.Generator):
    semantic, codes = rng.integers(layout.SEMANTIC_VOCAB, size=200), rng.integers(layout.CODEBOOK, size=(8, 300))
    history = windows.coarse_history(semantic, codes)
    assert len(history.semantic) == layout.SEMANTIC_LOOKBACK
    assert len(history.flat) == layout.COARSE_HISTORY - layout.N_COARSE
    prompt = windows.coarse_prompt(history, semantic, np.zeros(0, np.int64))
    assert prompt[: layout.SEMANTIC_LOOKBACK].tolist() == semantic[-layout.SEMANTIC_LOOKBACK :].tolist()


@pytest.mark.parametrize(("n_history", "n_frames"), [(0, 10), (0, 192), (0, 500), (96, 96), (96, 300), (50, 143)])
def test_fine_windows_cover_every_frame_once_at_least(n_history: int, n_frames: int):
    covered = np.zeros(max(n_history + n_frames, layout.FINE_BLOCK), bool)
    for window in windows.fine_windows(n_history, n_frames):
        assert 0 <= window.start <= len(covered) - layout.FINE_BLOCK
        covered[window.start + window.first : window.start + layout.FINE_BLOCK] = True
    assert covered[n_history : n_history + n_frames].all()


def test_held_out_voices_and_words_are_never_drawn(rng: np.random.Generator):
    drawn = [speakers.draw(rng) for _ in range(500)]
    unseen = {speakers.draw_unseen(rng, i).variant for i in range(100)}
    assert not unseen & {speaker.variant for speaker in drawn}
    assert set(speakers.HELD_OUT_VARIANTS) <= unseen
    assert speakers.random_definition(7) == speakers.random_definition(7)


def test_training_text_holds_no_held_out_phrase_or_word(rng: np.random.Generator):
    pytest.importorskip("pocketsphinx", reason="word frequencies come with the pocketsphinx wheel")
    source = texts.TextSource(rng)
    drawn = [source().rstrip(".?") for _ in range(400)]
    tests = {texts.judged_phrase(rng, held_out_shape=i % 2 == 1) for i in range(200)}
    assert not tests & set(drawn)
    rare = set(texts.unseen_words(rng, 50).split())
    assert not rare & {word.strip(",") for text in drawn for word in text.split()}
