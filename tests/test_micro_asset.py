"""The shipped micro-Bark: transformers agrees with the engine, words are recognised, pitch follows the voice."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from bark_builders import oracle_generation_configs

import bark_infinity
from bark_infinity import BarkEngine, RenderRequest, RenderSettings, VoiceHistory

ASSET = Path(bark_infinity.__file__).parent / "assets" / "micro"
pytestmark = pytest.mark.skipif(
    not (ASSET / "model.safetensors").exists(), reason="this checkout holds no trained micro-Bark yet"
)
GREEDY = RenderSettings(semantic_temp=0, coarse_temp=0, fine_temp=0, semantic_min_eos_p=None, semantic_max_tokens=40)
PHRASES = ("the red dog runs today", "the black horse jumps again", "seven two nine four", "the green bird sings here")


@pytest.fixture(scope="module")
def engine() -> BarkEngine:
    return BarkEngine.load("micro", device="cpu", precision="fp32")


def voices() -> dict[str, VoiceHistory]:
    return {path.stem: VoiceHistory.load(path) for path in sorted((ASSET / "voices").glob("*.npz"))}


def test_the_asset_is_small_and_complete():
    sizes = {path: path.stat().st_size for path in ASSET.rglob("*") if path.is_file()}
    assert sizes[ASSET / "model.safetensors"] <= 13_000_000
    assert sum(sizes.values()) <= 16_000_000
    assert {"README.md", "config.json", "generation_config.json", "text_front_end.json"} <= {p.name for p in sizes}


def test_at_least_twelve_voices_say_where_they_come_from(engine: BarkEngine):
    shipped = voices()
    assert len(shipped) >= 12
    for voice in shipped.values():
        assert voice.space == engine.space
        assert voice.family == "micro"
        assert "espeak-ng" in voice.metadata["provenance"]


def test_transformers_loads_it_and_says_the_same_greedily(engine: BarkEngine):
    from transformers import BarkModel

    model, report = BarkModel.from_pretrained(ASSET, output_loading_info=True, dtype=torch.float32)
    assert not report["unexpected_keys"]
    assert all(name.endswith("attn.bias") for name in report["missing_keys"]), "only masks, which it rebuilds"
    generation = json.loads((ASSET / "generation_config.json").read_text("utf-8"))
    configs = oracle_generation_configs(generation)
    voice = voices()["adam"]
    assert engine.front_end is not None
    ids = engine.front_end.encode("the red dog runs today.").ids
    request = RenderRequest(text_ids=ids, voice=voice, settings=GREEDY)
    (semantic,) = engine.text_to_semantic([request])

    n_slots, start = generation["semantic_config"]["max_input_semantic_length"], engine.config.semantic.history_start
    pad = np.full(start, generation["semantic_config"]["semantic_pad_token"])
    shifted = np.concatenate([pad, voice.semantic[-(n_slots - start) :]])  # transformers knows no history_start
    history = {
        "semantic_prompt": torch.from_numpy(shifted),
        "coarse_prompt": torch.from_numpy(voice.coarse.copy()),
        "fine_prompt": torch.from_numpy(voice.fine.copy()),
    }
    padded = torch.zeros((1, n_slots), dtype=torch.int64)
    padded[0, : len(ids)] = torch.tensor(ids)
    said = model.semantic.generate(
        padded,
        semantic_generation_config=configs["semantic"],
        history_prompt=dict(history),
        attention_mask=(torch.arange(n_slots) < len(ids)).long()[None],
        do_sample=False,
        max_new_tokens=GREEDY.semantic_max_tokens,
        min_eos_p=None,
    )[0]
    said = said[said != generation["semantic_config"]["eos_token_id"]].numpy()
    assert semantic.tolist() == said[: len(semantic)].tolist()

    semantic = semantic[: len(semantic) // 2 * 2]
    history["semantic_prompt"] = torch.from_numpy(voice.semantic.copy())
    (coarse,) = engine.semantic_to_coarse([RenderRequest(semantic=semantic, voice=voice, settings=GREEDY)])
    flat = model.coarse_acoustics.generate(
        torch.from_numpy(semantic.copy())[None],
        semantic_generation_config=configs["semantic"],
        coarse_generation_config=configs["coarse"],
        history_prompt=dict(history),
        codebook_size=generation["codebook_size"],
        do_sample=False,
    )
    offset = generation["semantic_config"]["semantic_vocab_size"]
    assert coarse.T.reshape(-1).tolist() == ((flat[0] - offset) % generation["codebook_size"]).tolist()

    (fine,) = engine.coarse_to_fine([RenderRequest(semantic=semantic, coarse=coarse, voice=voice, settings=GREEDY)])
    theirs = model.fine_acoustics.generate(
        flat,
        semantic_generation_config=configs["semantic"],
        coarse_generation_config=configs["coarse"],
        fine_generation_config=configs["fine"],
        history_prompt=dict(history),
        codebook_size=generation["codebook_size"],
        temperature=None,
    )
    assert np.array_equal(fine, theirs[0].numpy())
    with torch.no_grad():
        audio = model.codec_decode(theirs)[0].numpy()
    assert np.abs(engine.decode([fine])[0] - audio).max() < 1e-4


def test_equal_seeds_give_equal_speech_and_others_do_not(engine: BarkEngine):
    voice = voices()["greta"]
    first, again, other = engine.render(
        [RenderRequest(text="hello there.", voice=voice, seed=seed) for seed in (4, 4, 5)]
    )
    assert np.array_equal(first.tokens.fine, again.tokens.fine)
    assert first.tokens.fine.shape != other.tokens.fine.shape or (first.tokens.fine != other.tokens.fine).any()


def test_words_are_recognised_and_pitch_follows_the_voice(engine: BarkEngine):
    pytest.importorskip("pocketsphinx", reason="the recogniser is in the 'asr' extra")
    from experiments.micro import measures, recogniser

    shipped = voices()
    judged = [name for name, voice in shipped.items() if voice.metadata["f0_hz"] > 0]
    said = [PHRASES[i % len(PHRASES)] for i in range(len(judged))]
    done = engine.render(
        [RenderRequest(text=f"{said[i]}.", voice=shipped[name], seed=i) for i, name in enumerate(judged)]
    )
    listen = recogniser.Recogniser(recogniser.phrase_grammar())
    score = recogniser.WordScore()
    for i, rendering in enumerate(done):
        assert rendering.audio is not None
        score.add(said[i], listen(rendering.audio))
    assert score.summary()["words"] >= 0.75, "an untrained model reaches 0.05, see the model card"

    wanted = np.array([shipped[name].metadata["f0_hz"] for name in judged])
    got = np.array([measures.median_pitch(r.audio) for r in done if r.audio is not None])
    assert np.corrcoef(np.log(wanted), np.log(np.maximum(got, 30)))[0, 1] > 0.8
