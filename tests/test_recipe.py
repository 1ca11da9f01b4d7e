"""A critic's recipe is refused before work begins when it cannot be meant, and builds one judge and no other."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bark_infinity.audio import write_audio
from bark_infinity.error_handling import BarkError
from bark_infinity.requests import Rendering
from bark_infinity.tokens import BarkTokens
from bark_infinity.voices.catalogue import VoiceCatalogue
from fusion.critic import GATES
from fusion.preference.experts import embedding_from
from fusion.recipe import CriticRecipe, build_critic, check_recipe

RATE = 24_000
ALONE = {"gates": (), "recogniser": "none"}


def buzz(hz: float, seconds: float = 0.8, seed: int = 0) -> np.ndarray:
    """A voice-like clip: harmonics of a slowly moving pitch."""
    t = np.arange(round(RATE * seconds)) / RATE
    phase = 2 * np.pi * np.cumsum(hz * (1 + 0.1 * np.sin(2 * np.pi * 2 * t))) / RATE
    tone = sum(np.sin(k * phase) / k for k in range(1, 12))
    return (0.1 * tone + 0.001 * np.random.default_rng(seed).normal(size=len(t))).astype(np.float32)


def score_of(critic, audio: np.ndarray):
    return critic.score(Rendering(BarkTokens(), "given", audio, RATE), text="Some words.")


def tiny_encoder(directory: Path, seed: int = 0) -> Path:
    """A random x-vector model with its feature extractor."""
    import torch
    from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2ForXVector

    torch.manual_seed(seed)
    config = Wav2Vec2Config(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, conv_dim=(8, 8),
        conv_stride=(10, 8), conv_kernel=(10, 8), num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2,
        tdnn_dim=(16, 16), tdnn_kernel=(3, 1), tdnn_dilation=(1, 1), xvector_output_dim=12,
    )  # fmt: skip
    Wav2Vec2ForXVector(config).save_pretrained(directory)
    Wav2Vec2FeatureExtractor(sampling_rate=16_000).save_pretrained(directory)
    return directory


# -- refusals ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"objectives": ()}, "at least one"),
        ({"objectives": ("f0_medain_hz = 110 ± 20",)}, "did you mean f0_median_hz"),
        ({"objectives": ("cleanliness", "cleanliness")}, "cleanliness comes twice"),
        ({"objectives": ("similarity to a.wav", "similarity to b.wav")}, "similarity comes twice"),
        ({"objectives": ("similarity",)}, "compared with what"),
        ({"objectives": ("preferense",)}, "did you mean preference"),
        ({"gates": ("sond",)}, "did you mean sound"),
        ({"gates": ("sound", "sound")}, "comes twice"),
        ({"language": "english"}, "two-letter code"),
        ({"experts": ("bark:random-tiny",)}, "ask for it"),
        ({"objectives": ("preference",), "experts": ("bark:random-tiny",) * 2}, "comes twice"),
    ],
)
def test_what_cannot_be_meant_is_refused_when_it_is_written(fields, says):
    with pytest.raises(BarkError, match=says):
        CriticRecipe(**fields)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"objectives": ("similarity to hers.wav",)}, r"did you mean her\.wav"),
        ({"objectives": ("similarity to micro/nobody-of-that-name",)}, "there is no voice"),
        ({"objectives": ("novelty against elsewhere",)}, "no folder"),
        ({"objectives": ("novelty against few",)}, "holds 1 sound files"),
        ({"objectives": ("preference of elsewhere",)}, "no saved preference"),
        ({"recogniser": "pocketsfinx"}, "did you mean pocketsphinx"),
        ({"recogniser": "nobody/not-on-this-machine"}, "hf download nobody/not-on-this-machine"),
        ({"recogniser": "few"}, r"no config\.json"),
        ({"speaker_encoder": "what is this?"}, "no directory"),
        ({"objectives": ("preference",), "experts": ("bark:no-such-checkpoint",)}, "no-such-checkpoint"),
        ({"objectives": ("preference",), "experts": ("nobody/no-such-encoder",)}, "hf download"),
    ],
)
def test_what_is_not_there_is_refused_before_any_model_is_loaded(tmp_path, fields, says):
    write_audio(tmp_path / "her.wav", buzz(200), RATE)
    write_audio(tmp_path / "few" / "only.wav", buzz(200), RATE)
    with pytest.raises(BarkError, match=says):
        check_recipe(CriticRecipe(**fields), tmp_path)


@given(st.lists(st.text(max_size=30), max_size=3), st.text(max_size=20), st.text(max_size=20))
def test_any_text_is_a_recipe_or_a_clear_error(objectives, recogniser, encoder):
    with contextlib.suppress(BarkError):
        check_recipe(
            CriticRecipe(
                objectives=tuple(objectives) or ("cleanliness",), recogniser=recogniser, speaker_encoder=encoder
            )
        )


# -- what is built -------------------------------------------------------------------------------------------


def test_every_setting_is_documented_and_plain():
    for f in dataclasses.fields(CriticRecipe):
        assert len(f.metadata["doc"]) > 20, f.name
    assert json.loads(json.dumps(dataclasses.asdict(CriticRecipe())))["gates"] == ["tokens", "sound", "speaker"]
    assert set(CriticRecipe().gates) < set(GATES)


def test_terms_come_in_the_order_of_the_objectives_and_preference_is_left_to_the_run():
    recipe = CriticRecipe(objectives=("preference", "f0_median_hz = 150 ± 20", "cleanliness"), **ALONE)
    assert recipe.term_names == ("preference", "f0_median_hz", "cleanliness")
    assert recipe.learns
    critic = build_critic(recipe)
    assert [one.name for one in critic.objectives] == ["f0_median_hz", "cleanliness"]
    assert list(score_of(critic, buzz(150)).terms) == ["f0_median_hz", "cleanliness"]


def test_a_recording_is_read_once_and_what_sounds_like_it_scores_best(tmp_path):
    for name, hz in (("low", 110), ("high", 220)):
        write_audio(tmp_path / f"{name}.wav", buzz(hz), RATE, format="wav-float")
    critic = build_critic(CriticRecipe(objectives=("similarity to low.wav",), **ALONE), base=tmp_path)
    (tmp_path / "low.wav").unlink()
    near, far = (score_of(critic, buzz(hz, seed=1)).terms["similarity"].value for hz in (110, 220))
    assert near > 0.9 > far


def test_a_voice_needs_somebody_who_makes_it_audible():
    name = VoiceCatalogue().names()[0]
    recipe = CriticRecipe(objectives=(f"similarity to {name}",), **ALONE)
    with pytest.raises(BarkError, match="no engine was given"):
        build_critic(recipe)
    asked = []

    def decode(voice):
        asked.append(voice.sha256)
        return buzz(150), RATE

    critic = build_critic(recipe, decode=decode)
    assert len(asked) == 1
    assert asked[0] in critic.versions["similarity"]
    assert score_of(critic, buzz(150)).terms["similarity"].value > 0.99


def test_known_clips_are_what_novelty_is_measured_against(tmp_path):
    for seed in range(6):
        write_audio(tmp_path / "known" / f"{seed}.wav", buzz(120 + 2 * seed, seed=seed), RATE)
    critic = build_critic(CriticRecipe(objectives=("novelty against known",), **ALONE), base=tmp_path)
    same, other = (score_of(critic, buzz(hz, seed=9)).terms["novelty"].value for hz in (124, 320))
    assert same < 0.6
    assert other > 0.85


def test_a_speaker_encoder_replaces_the_voice_print_in_objective_and_gate(tmp_path):
    write_audio(tmp_path / "her.wav", buzz(200), RATE, format="wav-float")
    tiny_encoder(tmp_path / "encoder")
    recipe = CriticRecipe(
        objectives=("similarity to her.wav",), gates=("speaker",), recogniser="none", speaker_encoder="encoder"
    )
    score = score_of(build_critic(recipe, base=tmp_path), buzz(200, 3.5))
    assert score.status == "ok", score.reason
    assert 0 <= score.terms["similarity"].value <= 1
    assert "part_cosine" in score.measures


def test_experts_read_and_hear_what_passes_and_their_numbers_travel_with_the_measures():
    recipe = CriticRecipe(
        objectives=("cleanliness", "preference"), experts=("bark:random-tiny", "bark-codec:random-tiny"), **ALONE
    )
    critic = build_critic(recipe)
    one, again, other = (
        critic.score(Rendering(BarkTokens(), "given", buzz(hz), RATE), text=text)
        for hz, text in ((150, "One."), (150, "One."), (250, "Other."))
    )
    for name in recipe.experts:
        numbers = embedding_from(name, one.measures)
        assert np.isfinite(numbers).all()
        np.testing.assert_array_equal(numbers, embedding_from(name, again.measures))
        assert (numbers != embedding_from(name, other.measures)).any()
    silent = critic.score(Rendering(BarkTokens(), "given", buzz(150), RATE))
    assert np.isnan(embedding_from("bark:random-tiny", silent.measures)).all()
    assert "bark-codec:random-tiny" in critic.versions["experts"]


# -- one judge and no other ----------------------------------------------------------------------------------


def versions(base: Path, **fields) -> dict[str, str]:
    return dict(build_critic(CriticRecipe(**{**ALONE, **fields}), base=base).versions)


def test_the_same_recipe_builds_the_same_judge_and_another_content_another(tmp_path):
    write_audio(tmp_path / "her.wav", buzz(200), RATE)
    tiny_encoder(tmp_path / "one")
    tiny_encoder(tmp_path / "two", seed=1)
    fields = {"objectives": ("similarity to her.wav",), "speaker_encoder": "one"}
    before = versions(tmp_path, **fields)
    assert before == versions(tmp_path, **fields)
    assert before != versions(tmp_path, **{**fields, "speaker_encoder": "two"})
    assert before != versions(tmp_path, **{**fields, "speaker_encoder": ""})
    assert before != versions(tmp_path, **fields, gates=("sound",))
    assert before != versions(tmp_path, **fields, language="de", recogniser="auto")
    write_audio(tmp_path / "her.wav", buzz(201), RATE, overwrite=True)
    assert before != versions(tmp_path, **fields)


def test_a_model_that_moved_is_still_the_same_judge(tmp_path):
    tiny_encoder(tmp_path / "a" / "encoder")
    (tmp_path / "b").mkdir()
    before = versions(tmp_path, objectives=("cleanliness",), speaker_encoder="a/encoder")
    (tmp_path / "a" / "encoder").rename(tmp_path / "b" / "encoder")
    assert before == versions(tmp_path, objectives=("cleanliness",), speaker_encoder="b/encoder")
