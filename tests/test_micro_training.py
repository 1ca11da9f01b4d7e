"""micro-Bark's trainers: equal to Hugging Face's layers, exact after a kill, and the whole recipe runs on seconds."""

from __future__ import annotations

import ctypes.util
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BarkCoarseConfig, BarkFineConfig
from transformers.models.bark.modeling_bark import BarkCoarseModel, BarkFineModel

from experiments.micro import (
    codec,
    gpt,
    layout,
    letter_rules,
    pack,
    recogniser,
    snapshot,
    train_expectation,
    train_fine,
    train_semantic,
    whole,
)
from experiments.micro.codes import Coded
from experiments.micro.train_coarse import Material
from experiments.micro.training import Progress, Schedule, Trainer

SMALL = gpt.Shape(layers=2, heads=2, width=16)


def test_our_causal_gpt_is_hugging_face_s_on_equal_weights():
    ours = gpt.CausalGpt(SMALL, 50, 24).eval()
    config = BarkCoarseConfig(
        block_size=24, input_vocab_size=50, output_vocab_size=50, num_layers=2, num_heads=2, hidden_size=16, bias=False
    )
    theirs = BarkCoarseModel(config).eval()
    result = theirs.load_state_dict(ours.state_dict(), strict=False)
    assert not result.unexpected_keys
    assert all(name.endswith("attn.bias") for name in result.missing_keys)
    ids = torch.randint(50, (2, 20), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.allclose(ours(ids), theirs(ids).logits, atol=1e-5)


def test_a_cached_step_equals_the_whole_sequence():
    model = gpt.CausalGpt(SMALL, 50, 24).eval()
    ids = torch.randint(50, (1, 12), generator=torch.Generator().manual_seed(1))
    caches: list[gpt.Cache] = [[] for _ in model.layers]
    with torch.no_grad():
        whole = model.hidden(model.input_embeds_layer(ids))
        model.hidden(model.input_embeds_layer(ids[:, :11]), 0, caches)
        last = model.hidden(model.input_embeds_layer(ids[:, 11:]), 11, caches)
    assert torch.allclose(whole[:, -1:], last, atol=1e-5)


def test_our_fine_gpt_is_hugging_face_s_on_equal_weights():
    ours = gpt.FineGpt(SMALL).eval()
    config = BarkFineConfig(
        block_size=layout.FINE_BLOCK,
        input_vocab_size=layout.FINE_TABLE,
        output_vocab_size=layout.FINE_TABLE,
        num_layers=2,
        num_heads=2,
        hidden_size=16,
        bias=False,
        n_codes_total=8,
        n_codes_given=1,
    )
    theirs = BarkFineModel(config).eval()
    assert not theirs.load_state_dict(ours.state_dict(), strict=False).unexpected_keys
    codes = torch.randint(layout.CODEBOOK, (1, 30, 8), generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        assert torch.allclose(ours(4, codes), theirs(4, codes).logits, atol=1e-5)


def test_factored_tables_fold_into_plain_ones():
    model = train_semantic.SemanticTrainee(SMALL).eval()
    model.start(3.7)
    text = torch.full((1, layout.TEXT_BLOCK), layout.TEXT_PAD)
    history = torch.full((1, layout.TEXT_BLOCK), layout.SEMANTIC_PAD)
    tokens = torch.arange(6)[None]
    with torch.no_grad():
        factored = model(text, history, tokens)
        plain = model.plain()
        embed = plain.input_embeds_layer
        infer = embed(torch.full((1, 1), layout.SEMANTIC_INFER))
        hidden = plain.hidden(torch.cat([embed(text) + embed(history), infer, embed(tokens)], 1))
        folded = plain.lm_head(hidden[:, layout.TEXT_BLOCK :])[:, :, : layout.SEMANTIC_PAD + 1]
    assert torch.allclose(factored, folded, atol=1e-5)


def test_unit_variance_initialisation_lets_the_signal_through():
    torch.manual_seed(0)
    model = codec.build()
    noise = torch.randn(4, 1, 20 * layout.SAMPLES_PER_FRAME) * 0.1
    codec.unit_variance_init(model, noise)
    with torch.no_grad():
        latent = model.encoder(noise)
        assert 0.5 < float(latent.std()) < 2
        assert 0.03 < float(model.decoder(latent).std()) < 0.2


def test_colour_hears_a_darker_voice_but_not_how_its_mistakes_are_spread():
    time_s = torch.arange(24_000) / layout.SAMPLE_RATE
    real = sum(torch.sin(2 * torch.pi * f * time_s) for f in range(120, 6000, 120))[None] / 50 + 0.02
    darker = torch.nn.functional.avg_pool1d(real, 9, stride=1, padding=4)
    fading = 10 ** (0.3 * torch.sin(2 * torch.pi * 5 * time_s))  # as often too loud as too quiet
    distance = codec.SpectralDistance()
    assert distance.colour(real, real) == 0
    assert distance.colour(darker, real) > 0.5
    assert distance.colour(fading * real, real) < 0.02 < 0.2 < distance(fading * real, real)
    assert distance.colour(real, torch.zeros_like(real)) == 0  # silence has none


def test_a_codec_that_learns_on_takes_its_better_decoder_with_it(tmp_path: Path):
    (tmp_path / "checkpoints").mkdir()
    first, better = codec.build(), codec.build()
    torch.save({"model": first.state_dict(), "optimiser": None, "step": 3}, tmp_path / "checkpoints" / "codec.pt")
    codec.adopt_decoder(tmp_path)  # there is none yet
    torch.save({"model": better.state_dict()}, tmp_path / "checkpoints" / "decoder.pt")
    before = codec.load(tmp_path).state_dict()
    codec.adopt_decoder(tmp_path)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["codec.pt"]
    after = codec.load(tmp_path).state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before)
    for name in before:
        source = better if name.startswith("decoder.") else first
        assert torch.equal(after[name], source.state_dict()[name])


def test_the_codec_is_causal():
    torch.manual_seed(0)
    model = codec.build().eval()
    codes = np.random.default_rng(0).integers(layout.CODEBOOK, size=(8, 20))
    head = codec.decode(model, codes[:, :12])
    assert np.allclose(codec.decode(model, codes)[: len(head)], head, atol=1e-5)


def _trainer(directory: Path, steps: int, learned: torch.nn.Module) -> Trainer:
    schedule = Schedule(1e9, 1e-2, warm_up_steps=2, max_steps=steps, save_every_s=1e9, average_decay=0.9)
    return Trainer("toy", learned, schedule, directory, seed=3)


def _step(model: torch.nn.Module, stop_at: int | None = None):
    def step(progress: Progress, rng: np.random.Generator) -> tuple[torch.Tensor, dict[str, float]]:
        if progress.step == stop_at:
            raise KeyboardInterrupt
        x = torch.from_numpy(rng.normal(size=(8, 4)).astype(np.float32))
        return (model(x) - x.sum(1, keepdim=True)).square().mean(), {}

    return step


def test_a_killed_run_resumes_to_the_very_same_weights(tmp_path: Path):
    torch.manual_seed(0)
    whole, killed = torch.nn.Linear(4, 1), torch.nn.Linear(4, 1)
    killed.load_state_dict(whole.state_dict())
    _trainer(tmp_path / "whole", 20, whole).run(_step(whole))
    first = _trainer(tmp_path / "killed", 20, killed)
    with pytest.raises(KeyboardInterrupt):
        first.run(_step(killed, stop_at=9))
    first.save()
    resumed = torch.nn.Linear(4, 1)
    second = _trainer(tmp_path / "killed", 20, resumed)
    assert second.resume()
    assert second.progress.step == 9
    second.run(_step(resumed))
    assert torch.equal(whole.weight, resumed.weight)


def test_a_killed_warm_restart_goes_on_at_its_own_lower_rate(tmp_path: Path):
    model = torch.nn.Linear(4, 1)
    schedule = Schedule(1e9, 1e-2, restart_rate=1e-3, warm_up_steps=1, max_steps=10)
    Trainer("toy", model, schedule, tmp_path, seed=3).save()
    warm = Trainer("toy", model, schedule, tmp_path, seed=3)
    warm.resume(restart=True)
    with pytest.raises(KeyboardInterrupt):
        warm.run(_step(model, stop_at=4))
    warm.save()
    resumed = Trainer("toy", model, schedule, tmp_path, seed=3)
    resumed.resume()
    with pytest.raises(KeyboardInterrupt):
        resumed.run(_step(model, stop_at=5))
    assert 0 < resumed.optimiser.param_groups[0]["lr"] < 1e-3


def test_a_kill_while_saving_leaves_the_old_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    model = torch.nn.Linear(4, 1)
    trainer = _trainer(tmp_path, 5, model)
    trainer.save()
    before = trainer.path.read_bytes()
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        trainer.save()
    assert trainer.path.read_bytes() == before


def test_a_snapshot_starts_a_new_run_from_its_weights(tmp_path: Path):
    torch.manual_seed(0)
    model = gpt.FineGpt()
    Trainer("fine", model, Schedule(1.0, 1e-3), tmp_path / "old" / "checkpoints", seed=1).save()
    pytest.importorskip("pocketsphinx", reason="the data recipe reads its dictionary")
    snapshot.write(tmp_path / "old", tmp_path / "snapshot", seed=1)
    assert snapshot.restore(tmp_path / "new", tmp_path / "snapshot") == ["fine"]
    again = gpt.FineGpt()
    trainer = Trainer("fine", again, Schedule(1.0, 1e-3), tmp_path / "new" / "checkpoints", seed=1)
    assert trainer.resume()
    assert trainer.progress.schedules_done == 1
    assert torch.allclose(again.lm_heads[0].weight, model.lm_heads[0].weight, atol=1e-3)
    assert snapshot.restore(tmp_path / "new", tmp_path / "snapshot") == []


def test_learned_letter_rules_read_regular_words():
    words = {"bat": "B AE T", "tab": "T AE B", "cat": "K AE T", "chat": "CH AE T"}
    entries = [(word, tuple(phones.split())) for word, phones in words.items()]
    rules = letter_rules.learn(entries * 3)
    assert rules.spell("tat") == ("T", "AE", "T")
    assert rules.spell("bab") == ("B", "AE", "B")


def test_an_expected_sum_is_written_as_the_codes_that_come_nearest():
    rng = np.random.default_rng(0)
    books = torch.from_numpy(rng.normal(size=(layout.N_FINE, layout.CODEBOOK, 16)).astype(np.float32))
    books *= 0.2 ** torch.arange(layout.N_FINE)[:, None, None]  # each refines the one before, as a trained codec's do
    codes = torch.from_numpy(rng.integers(layout.CODEBOOK, size=(2, 5, layout.N_FINE)))
    found = train_expectation.codes_of(books, train_expectation.sums_of(books, codes))
    assert (found == codes[:, :, layout.N_COARSE :]).float().mean() > 0.95


def _material() -> Material:
    rng = np.random.default_rng(1)
    lengths = (60, 200, 330)
    return Material(
        [
            Coded(7, rng.integers(layout.SEMANTIC_VOCAB, size=n * 2 // 3), rng.integers(layout.CODEBOOK, size=(8, n)))
            for n in lengths
        ]
    )


def test_the_fine_stage_is_asked_for_codes_that_its_input_does_not_show():
    torch.manual_seed(0)
    books = torch.randn(layout.N_FINE, layout.CODEBOOK, 64)
    questions = train_fine.Questions(_material(), train_expectation.Expectation().eval(), books)
    for book in (2, 5, 7):
        inputs, target = (t.numpy() for t in questions.batch(np.random.default_rng(3), book, 8, clean=True))
        asked = target >= 0
        assert asked.any()
        still_open = inputs[asked][:, book:] == layout.FINE_PAD
        assert (still_open.all(1) | ~still_open.any(1)).all(), "open, or filled in by the window before"
        assert still_open.all(1).mean() > 0.8
        assert (inputs[asked][:, :book] < layout.FINE_PAD).all()
        real = ~asked & (inputs[:, :, 0] < layout.FINE_PAD)
        assert (inputs[real] < layout.FINE_PAD).all(), "the history is known in all codebooks"


def test_word_scores_count_edits_and_content_words():
    score = recogniser.WordScore()
    score.add("the red dog runs", "the red cat runs")
    score.add("one two", "one two")
    assert score.summary() == {"words": 1 - 1 / 6, "content_words": 1 - 1 / 5, "phrases": 0.5, "n": 2}


def test_the_generation_config_is_one_the_engine_accepts(tmp_path: Path):
    from bark_infinity.bark_config import BarkConfig

    config = BarkConfig.from_transformers(pack.config_json(), pack.generation_config_json())
    assert config.semantic.history_start == layout.HISTORY_START
    assert config.space == pack.SPACE


@pytest.mark.skipif(ctypes.util.find_library("espeak-ng") is None, reason="needs Debian's espeak-ng")
def test_the_whole_recipe_runs_on_seconds_of_data(tmp_path: Path):
    pytest.importorskip("pocketsphinx", reason="words and pronunciations come with the pocketsphinx wheel")
    from experiments.micro import codes as coding
    from experiments.micro import corpus, train_coarse, train_codec, train_decoder

    plan = corpus.CorpusPlan(seed=1, sessions_per_shard=4, audio_shards=2, label_shards=2)
    corpus.generate(tmp_path / "corpus", plan)
    schedule = Schedule(1e9, 1e-3, max_steps=2)
    train_codec.train(tmp_path, schedule, 1)
    coding.encode_corpus(tmp_path / "corpus", tmp_path / "codes", codec.load(tmp_path))
    for stage in (train_semantic, train_coarse, train_expectation, train_fine, train_decoder):
        stage.train(tmp_path, schedule, 1)
    pack.write_model(tmp_path, tmp_path / "asset")
    assert (tmp_path / "asset" / "model.safetensors").stat().st_size <= 13_000_000
    again = codec.from_asset(tmp_path / "asset")
    assert codec.decode(again, np.zeros((8, 4), np.int64)).shape == (4 * layout.SAMPLES_PER_FRAME,)


@pytest.mark.parametrize("failing", [None, "train-fine"])
def test_the_recipe_runs_its_stages_in_their_order_and_names_the_one_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str | None
):
    ran: list[str] = []

    def run(command: list[str], check: bool) -> subprocess.CompletedProcess[bytes]:
        ran.append(command[3])
        return subprocess.CompletedProcess(command, 3 if command[3] == failing else 0)

    monkeypatch.setattr(whole.subprocess, "run", run)
    monkeypatch.setattr(whole.snapshot, "restore", lambda out: [])
    if failing:
        with pytest.raises(RuntimeError, match="fine ended with status 3"):
            whole.train(tmp_path, 1.0, 1, "cpu", tmp_path / "asset")
        assert "train-decoder" not in ran
        assert "pack" not in ran
        return
    whole.train(tmp_path, 1.0, 1, "cpu", tmp_path / "asset")
    assert ran[0] == "corpus"
    assert ran[-1] == "pack"
    needs = ["train-codec", "encode", "train-expectation", "train-fine", "train-decoder"]
    assert [one for one in ran if one in needs] == needs
    assert {"train-semantic", "train-coarse"} <= set(ran)
