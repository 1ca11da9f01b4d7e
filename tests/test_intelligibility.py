"""Whether a clip says its text: alignment by hand-computed cases, tags, numbers, languages, and real recognisers."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json

import labelled_clips
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labelled_clips import HAS_ESPEAK, RATE, TEXTS, Speaker, speak

from bark_infinity.error_handling import BarkError, CheckpointError
from bark_infinity.prompts.pieces import is_tag
from fusion.features.features import spoken_characters
from fusion.gates.speaking_time import speaking_time
from fusion.words.alignment import align, edit_distance, letter_error
from fusion.words.intelligibility import TextReader, TextReading, compare, judge_reading
from fusion.words.recognisers import HuggingFaceRecogniser, PocketsphinxRecogniser, Transcript
from fusion.words.spoken import guess_language, spoken_words

needs_pocketsphinx = pytest.mark.skipif(
    not HAS_ESPEAK or importlib.util.find_spec("pocketsphinx") is None,
    reason="espeak-ng or pocketsphinx is not installed",
)


class Says:
    """A recogniser that always hears the same."""

    name = "says"

    def __init__(self, text: str, languages: frozenset[str] | None = None):
        self.text, self.languages, self.asked = text, languages, 0

    def transcribe(self, audio, sample_rate):
        self.asked += 1
        return Transcript(self.text, self.name)


# -- alignment ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expected", "heard", "substituted", "missing", "invented", "word_error"),
    [
        ("a b c", "a b c", (), (), (), 0.0),
        ("a b c", "a x c", (("b", "x"),), (), (), 1 / 3),
        ("a b c", "a c", (), ("b",), (), 1 / 3),
        ("a b c", "a b z c", (), (), ("z",), 1 / 3),
        ("a b c", "", (), ("a", "b", "c"), (), 1.0),
        ("a", "x a y z", (), (), ("x", "y", "z"), 3.0),
        ("the cat sat on the mat", "the cat sat mat", (), ("on", "the"), (), 2 / 6),
        ("the cat sat", "the hat sat down", (("cat", "hat"),), (), ("down",), 2 / 3),
        ("a b", "b a", (), ("b",), ("b",), 1.0),  # keeping a word beats two substitutions
    ],
)
def test_alignment_of_hand_computed_cases(expected, heard, substituted, missing, invented, word_error):
    found = align(expected.split(), heard.split())
    assert (found.substituted, found.missing, found.invented) == (substituted, missing, invented)
    assert found.word_error == pytest.approx(word_error)


words = st.lists(st.sampled_from("abcd"), max_size=8)


def fewest_edits(a: tuple[str, ...], b: tuple[str, ...]) -> int:
    """The definition, by trying everything."""
    if not a or not b:
        return len(a) + len(b)
    if a[0] == b[0]:
        return fewest_edits(a[1:], b[1:])
    return 1 + min(fewest_edits(a[1:], b[1:]), fewest_edits(a[1:], b), fewest_edits(a, b[1:]))


@given(a=st.lists(st.sampled_from("abc"), max_size=5), b=st.lists(st.sampled_from("abc"), max_size=5))
@settings(deadline=None)
def test_alignment_has_the_fewest_edits(a, b):
    assert align(a, b).errors == edit_distance(a, b) == fewest_edits(tuple(a), tuple(b))


@given(a=words, b=words)
def test_alignment_accounts_for_every_word(a, b):
    found = align(a, b)
    assert found.correct + len(found.substituted) + len(found.missing) == len(a)
    assert found.correct + len(found.substituted) + len(found.invented) == len(b)


@given(a=words, b=words, c=words)
def test_edit_distance_is_a_metric(a, b, c):
    assert edit_distance(a, b) == edit_distance(b, a)
    assert (edit_distance(a, b) == 0) == (a == b)
    assert edit_distance(a, c) <= edit_distance(a, b) + edit_distance(b, c)


def test_letter_error_forgives_word_boundaries_and_near_misses():
    assert letter_error(["into", "it"], ["in", "to", "it"]) == 0
    assert letter_error(["cold"], ["gold"]) == 0.25
    assert letter_error([], ["gold"]) is None


# -- words --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("I can't see 21 cats.", "i cannot see twenty one cats"),
        ("It's $5, isn't it?", "it is five dollars is not it"),
        ("DON'T go!", "do not go"),
        ("We're gonna leave at 7:30", "we are going to leave at seven thirty"),
        ("Dr. Smith’s dog", "doctor smiths dog"),
        ("The USA won", "the u.s.a. won"),
        ("seven o'clock", "seven oclock"),
    ],
)
def test_two_ways_to_write_the_same_words(one, other):
    assert spoken_words(one).words == spoken_words(other).words


def test_tags_are_no_words_to_say():
    spoken = spoken_words("Well [laughs] hello ♪ la la ♪ [clears throat]")
    assert spoken.words == ("well", "hello", "la", "la")
    assert spoken.tags == ("laughs", "clears", "throat")


@pytest.mark.parametrize(
    ("text", "tag"),
    [("[laughs]", True), (f"[{'a' * 60}]", True), (f"[{'a' * 61}]", False), ("[a\nb]", False), ("[a", False)],
)
def test_what_is_a_tag_is_the_same_for_prompts_words_times_and_features(text, tag):
    assert is_tag(text) == tag
    assert (spoken_words(text).words == ()) == tag
    assert (speaking_time(text).usual_s == 0) == tag
    assert (spoken_characters(text) == 0) == tag


def test_a_tag_read_aloud_is_told_and_costs():
    text = "Well [laughs] hello there"
    quiet, aloud = compare(text, "well hello there"), compare(text, "well laughs hello there")
    assert (quiet.error, quiet.tags_read) == (0, ())
    assert aloud.tags_read == ("laughs",)
    assert aloud.alignment.invented == ("laughs",)
    assert aloud.error > 0


def test_a_word_of_a_tag_that_is_also_expected_is_not_read_aloud():
    assert compare("[laughs] she laughs", "she laughs").tags_read == ()


ENGLISH = (
    *TEXTS, "The cat is on the mat", "Hello world", "Yes.", "It costs $1,000,000,000.", "Don’t go!",
    "Population: 1,000,000,000,000.", "In 2,000,000,000 years the sun will be brighter.", "No, do not do that to me!",
    "I met Anna at the old café near Prague.", "So come with me, my son.",
)  # fmt: skip
NOT_ENGLISH = (
    "Guten Morgen, meine Damen! Heute scheint endlich wieder Sonne.", "Buenos días, señores pasajeros, bienvenidos.",
    "Bonne nuit, mes amis, dormez bien.", "Günaydın arkadaşlar, hoş geldiniz!",
    "Dzień dobry państwu, miłego dnia życzę!", "Wann kommt der nächste Zug?", "Dove andiamo stasera, amico mio?",
    "Det regnar hela dagen i staden.", "No me digas", "Come va", "In the Mood spielte Dieter Hund mit Begleitung.",
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "language"),
    [
        *((text, "en") for text in ENGLISH), ("[laughs] ♪", None), ("", None),
        ("안녕하세요, 반갑습니다", "ko"), ("你好，世界", "zh"), ("こんにちは、世界", "ja"), ("Привет, мир", "ru"),
        ("Der Hund ist nicht zu Hause", "de"), ("Bonjour, je suis dans la rue avec vous", "fr"),
        ("Hola, el perro está en la casa", "es"), ("नमस्ते दुनिया", "hi"), ("Günaydın arkadaşlar, hoş geldiniz!", "tr"),
        ("Zap!", "unknown"), ("42", "unknown"), ("So, no.", "unknown"), ("Minä rakastan sinua paljon", "unknown"),
    ],
)  # fmt: skip
def test_language_is_guessed_from_script_words_and_dictionary(text, language):
    assert guess_language(text) == language


@pytest.mark.parametrize("text", NOT_ENGLISH)
def test_other_languages_are_not_taken_for_english_and_not_rejected(text):
    assert guess_language(text) not in ("en", None)
    listener = Says("word salad", frozenset({"en"}))
    assert judge_reading(TextReader(listener)(SILENCE, RATE, text)).passed
    assert listener.asked == 0


@given(text=st.text(max_size=60))
def test_any_text_has_a_language_or_an_unknown_one(text):
    assert guess_language(text) is None or len(guess_language(text)) == 2 or guess_language(text) == "unknown"


def test_a_stated_language_is_not_guessed():
    assert TextReader(Says("zap"), language="en")(SILENCE, RATE, "Zap!").error == 0
    assert "state it" in TextReader(Says("zap"))(SILENCE, RATE, "Zap!").unknown
    assert "'de'" in TextReader(Says("zap"), language="de")(SILENCE, RATE, TEXTS[0]).unknown


@given(text=st.text(max_size=60), heard=st.text(max_size=60))
@settings(deadline=None, max_examples=60)
def test_any_two_texts_compare_to_a_rate_or_to_unknown(text, heard):
    reading = compare(text, heard)
    assert (reading.error is None) == (reading.unknown is not None)
    assert reading.error is None or reading.error >= 0
    same = compare(text, text)
    assert same.error in (None, 0)


# -- unknown is never a number ------------------------------------------------------------------------------

SILENCE = np.zeros(RATE, np.float32)


@pytest.mark.parametrize(
    ("reader", "text", "why"),
    [
        (TextReader(None), "Hello there", "no recogniser"),
        (TextReader(Says("hello")), None, "no text"),
        (TextReader(Says("hello")), "[sighs] ♪", "nothing in the text"),
        (TextReader(Says("hello")), "안녕하세요", "'ko'"),
        (TextReader(Says("hello", frozenset({"fr"}))), "Hello there", "does not understand"),
        (TextReader(Says("hello"), language="de"), "Zap", "'de'"),
    ],
)
def test_what_cannot_be_judged_is_unknown_and_passes(reader, text, why):
    reading = reader(SILENCE, RATE, text)
    assert reading.error is None
    assert reading.word_error is None
    assert why in reading.unknown
    verdict = judge_reading(reading)
    assert verdict.passed
    assert verdict.reason.startswith("not judged")
    assert reader.recogniser is None or reader.recogniser.asked == 0


def test_a_reading_is_known_or_unknown_but_not_both():
    with pytest.raises(BarkError, match="either"):
        TextReading("unknown", error=0.0)
    with pytest.raises(BarkError, match="either"):
        TextReading(None)


def test_the_gate_tells_what_was_heard_instead():
    verdict = judge_reading(TextReader(Says("completely different"))(SILENCE, RATE, "The weather is cold today"))
    assert not verdict.passed
    assert "completely different" in verdict.reason
    assert verdict.evidence["letter_error"] > verdict.evidence["letter_error_limit"]
    assert "no words" in judge_reading(TextReader(Says(""))(SILENCE, RATE, "Hello there")).reason


def test_a_reader_is_what_the_critic_takes():
    from fusion.heard import Reader

    reader: Reader = TextReader(Says("hello there"))
    reading = reader(SILENCE, RATE, "Hello there")
    assert (reading.error, reading.unknown) == (0, None)


# -- real recognisers ---------------------------------------------------------------------------------------


@needs_pocketsphinx
def test_pocketsphinx_tells_the_right_text_from_another_and_is_repeatable():
    reader = TextReader(PocketsphinxRecogniser())
    speaker = Speaker("en-us", 150, 45)
    audio = speak(TEXTS[4], speaker)
    right = reader(audio, RATE, TEXTS[4])
    assert right.word_error <= 0.34
    assert judge_reading(right).passed
    wrong = compare(TEXTS[0], right.heard)
    assert not judge_reading(wrong).passed
    reader(speak(TEXTS[6], speaker), RATE, TEXTS[6])
    assert reader(audio, RATE, TEXTS[4]) == right, "a clip heard in between changes nothing"


@needs_pocketsphinx
def test_a_transcript_says_which_version_heard_it():
    name = f"pocketsphinx {importlib.metadata.version('pocketsphinx')} en-us"
    assert PocketsphinxRecogniser().transcribe(SILENCE, RATE) == Transcript("", name)


@needs_pocketsphinx
def test_pocketsphinx_hears_no_text_in_noise_and_silence():
    reader = TextReader(PocketsphinxRecogniser())
    for audio in (SILENCE, np.random.default_rng(0).normal(0, 0.1, RATE).astype(np.float32)):
        assert not judge_reading(reader(audio, RATE, TEXTS[4])).passed


@needs_pocketsphinx
def test_a_clip_said_twice_has_invented_words():
    once = speak(TEXTS[4], Speaker("en-us", 150, 45))
    reading = TextReader(PocketsphinxRecogniser())(np.concatenate([once, once]), RATE, TEXTS[4])
    assert len(reading.alignment.invented) >= 6
    assert not judge_reading(reading).passed


def test_a_missing_recogniser_is_named():
    with pytest.raises(CheckpointError, match=r"no/such-recogniser cannot be loaded.*allow_download"):
        HuggingFaceRecogniser("no/such-recogniser")


def save_tiny_recogniser(directory, *, with_head: bool) -> None:
    """A random wav2vec2 for letters; without its head the file holds the encoder alone."""
    import torch
    from transformers import (
        Wav2Vec2Config,
        Wav2Vec2CTCTokenizer,
        Wav2Vec2FeatureExtractor,
        Wav2Vec2ForCTC,
        Wav2Vec2Model,
    )

    letters = ["<pad>", "<s>", "</s>", "<unk>", "|", *"abcdefghijklmnopqrstuvwxyz"]
    directory.mkdir()
    vocabulary = directory / "letters.json"
    vocabulary.write_text(json.dumps({letter: index for index, letter in enumerate(letters)}))
    torch.manual_seed(0)
    config = Wav2Vec2Config(
        vocab_size=len(letters), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        conv_dim=(8, 8), conv_stride=(10, 8), conv_kernel=(10, 8), num_conv_pos_embeddings=4,
        num_conv_pos_embedding_groups=2, pad_token_id=0,
    )  # fmt: skip
    (Wav2Vec2ForCTC if with_head else Wav2Vec2Model)(config).save_pretrained(directory)
    Wav2Vec2CTCTokenizer(str(vocabulary), pad_token="<pad>", word_delimiter_token="|").save_pretrained(directory)
    Wav2Vec2FeatureExtractor(sampling_rate=16_000).save_pretrained(directory)


def test_a_hugging_face_recogniser_is_loaded_from_its_directory(tmp_path):
    directory = tmp_path / "tiny"
    save_tiny_recogniser(directory, with_head=True)
    recogniser = HuggingFaceRecogniser(str(directory))
    audio = labelled_clips.coloured(RATE, 0.5, np.random.default_rng(0)).astype(np.float32)
    heard = recogniser.transcribe(audio, RATE)
    assert heard == recogniser.transcribe(audio, RATE)
    assert set(heard.text) <= set(" abcdefghijklmnopqrstuvwxyz<unk>")
    assert "wav2vec2" in heard.recogniser
    assert TextReader(recogniser)(audio, RATE, "hello there").error is not None


def save_tiny_whisper(directory) -> None:
    """A random Whisper that writes bytes: its own kind of tokenizer, with a vocabulary of 256 bytes and its marks."""
    import torch
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import (
        GenerationConfig,
        WhisperConfig,
        WhisperFeatureExtractor,
        WhisperForConditionalGeneration,
        WhisperProcessor,
        WhisperTokenizer,
    )

    directory.mkdir()
    vocabulary = {character: index for index, character in enumerate(sorted(ByteLevel.alphabet()))}
    marks = ["<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|transcribe|>", "<|translate|>", "<|notimestamps|>"]
    vocabulary |= {mark: 256 + index for index, mark in enumerate(marks)}
    tokenizer = WhisperTokenizer(vocab=vocabulary, merges=[])
    extractor = WhisperFeatureExtractor(feature_size=8, chunk_length=4, n_fft=400)
    WhisperProcessor(extractor, tokenizer).save_pretrained(directory)
    torch.manual_seed(0)
    config = WhisperConfig(
        vocab_size=len(vocabulary), num_mel_bins=8, d_model=16, encoder_layers=1, decoder_layers=1,
        encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16,
        max_source_positions=200, max_target_positions=24, pad_token_id=256, bos_token_id=256, eos_token_id=256,
        decoder_start_token_id=257, suppress_tokens=None, begin_suppress_tokens=None,
    )  # fmt: skip
    model = WhisperForConditionalGeneration(config)
    model.generation_config = GenerationConfig(
        decoder_start_token_id=257, eos_token_id=256, pad_token_id=256, bos_token_id=256, max_length=20,
        no_timestamps_token_id=261, is_multilingual=False, begin_suppress_tokens=[256],
    )  # fmt: skip
    model.save_pretrained(directory)


def test_a_whisper_is_loaded_from_its_directory_and_gives_a_typed_reading(tmp_path):
    save_tiny_whisper(tmp_path / "whisper")
    recogniser = HuggingFaceRecogniser(str(tmp_path / "whisper"))
    for audio in (
        labelled_clips.coloured(2 * RATE, 0.5, np.random.default_rng(0)).astype(np.float32),
        np.zeros(100, np.float32),
        np.zeros(9 * RATE, np.float32),  # longer than it hears at once
    ):
        heard = recogniser.transcribe(audio, RATE)
        assert isinstance(heard.text, str)
        assert heard == recogniser.transcribe(audio, RATE)
        reading = TextReader(recogniser)(audio, RATE, "She sells fresh bread at the market.")
        assert reading.error is not None
        assert np.isfinite(reading.error)
    assert heard.recogniser.startswith("whisper whisper ")
    assert TextReader(recogniser, language="de")(audio, RATE, "Guten Tag.").error is None


def test_a_hugging_face_recogniser_without_its_head_is_refused(tmp_path):
    import torch

    directory = tmp_path / "tiny"
    save_tiny_recogniser(directory, with_head=False)
    before = torch.get_rng_state()
    with pytest.raises(CheckpointError, match=r"tiny cannot be loaded: its weights lack 2 tensors .* lm_head\."):
        HuggingFaceRecogniser(str(directory))
    assert torch.equal(torch.get_rng_state(), before), "loading draws nothing from the global generator"
