"""A request's tokens do not depend on who shares its batch: the count of differing tokens is zero."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from bark_builders import SUNO_TINY, BarkShape, build_model, generation_config, write_hf_directory

from bark_infinity import BarkEngine, RenderRequest, RenderSettings, VoiceHistory

WIDE = BarkShape(num_heads=12, hidden_size=768)  # the inner dimensions of bark-small: 768 and 3072
GREEDY = {"semantic_temp": 0.0, "coarse_temp": 0.0, "fine_temp": 0.0}


@pytest.fixture(scope="module")
def suno_directory(tmp_path_factory) -> Path:
    """Suno's ids, blocks and windows in a tiny width; text blocks hold 256 ids."""
    model = build_model(SUNO_TINY, scale=0.3)
    return write_hf_directory(model, tmp_path_factory.mktemp("suno"), generation_config(SUNO_TINY))


@pytest.fixture(scope="module")
def wide_engine(tmp_path_factory) -> BarkEngine:
    model = build_model(WIDE, scale=0.05)
    return BarkEngine.load(write_hf_directory(model, tmp_path_factory.mktemp("wide"), generation_config(WIDE)), "cpu")


def random_voice(space, n_semantic: int, seed: int) -> VoiceHistory:
    rng = np.random.default_rng(seed)
    fine = rng.integers(0, space.codebook_size, (space.n_fine_codebooks, space.frames_for(n_semantic)))
    return VoiceHistory(rng.integers(0, space.semantic_vocab_size, n_semantic), fine[:2], fine, space=space)


def mixed_requests(engine: BarkEngine, count: int, most_tokens: int, greedy: bool) -> list[RenderRequest]:
    """Different texts, voices, lengths, seeds and settings; some requests share text, or text and voice."""
    rng = np.random.default_rng(11)
    slots = engine.config.semantic.max_input_semantic_length
    known_ids = engine.config.semantic_gpt.input_vocab_size - engine.config.semantic.text_encoding_offset - 5
    voices = [None, *(random_voice(engine.space, n, n) for n in (1, 9, 40, 260))]
    requests = []
    for index in range(count):
        length = [1, slots][index] if index < 2 else int(rng.integers(1, slots + 1))
        settings = RenderSettings(
            semantic_temp=float(rng.choice([0.4, 0.7, 1.0])),
            semantic_top_k=[None, 5, 20_000][index % 3],
            semantic_top_p=[None, 0.6][index % 2],
            semantic_min_eos_p=[None, 0.2, 0.02][index % 3],
            semantic_allow_early_stop=index % 5 != 0,
            semantic_max_tokens=int(rng.integers(2, most_tokens + 1)),
            coarse_temp=float(rng.choice([0.3, 0.7])),
            coarse_top_p=[None, 0.9][index % 2],
            fine_temp=float(rng.choice([0.0, 0.5])),
        )
        requests.append(
            RenderRequest(
                text_ids=rng.integers(0, known_ids, length).tolist(),
                voice=voices[index % len(voices)],
                seed=index // 2,
                settings=dataclasses.replace(settings, **GREEDY) if greedy else settings,
            )
        )
    requests[-1] = dataclasses.replace(requests[-1], text_ids=requests[0].text_ids, voice=requests[0].voice)
    requests[-2] = dataclasses.replace(requests[-2], text_ids=requests[0].text_ids)
    return requests


def tokens_of(renderings) -> list[np.ndarray]:
    return [
        np.concatenate([r.tokens.semantic, r.tokens.coarse.reshape(-1), r.tokens.fine.reshape(-1)]) for r in renderings
    ]


def differing_tokens(left: list[np.ndarray], right: list[np.ndarray]) -> int:
    return sum(abs(len(a) - len(b)) + int((a[: len(b)] != b[: len(a)]).sum()) for a, b in zip(left, right, strict=True))


@pytest.mark.parametrize("greedy", [False, True], ids=["sampled", "greedy"])
def test_32_mixed_requests_render_as_they_would_alone(suno_directory, greedy):
    engine = BarkEngine.load(suno_directory, "cpu")
    requests = mixed_requests(engine, 32, most_tokens=40, greedy=greedy)
    solo = tokens_of(engine.render([request], decode=False)[0] for request in requests)
    assert differing_tokens(tokens_of(engine.render(requests, decode=False)), solo) == 0
    assert engine.batch_invariant

    order = np.random.default_rng(1).permutation(len(requests))
    shuffled = tokens_of(engine.render([requests[i] for i in order], decode=False))
    assert differing_tokens(shuffled, [solo[i] for i in order]) == 0

    split = [*engine.render(requests[:5], decode=False), *engine.render(requests[5:], decode=False)]
    assert differing_tokens(tokens_of(split), solo) == 0
    assert len({tokens.tobytes() for tokens in solo}) > 20, "the requests were not different enough to prove anything"


@pytest.mark.parametrize("greedy", [False, True], ids=["sampled", "greedy"])
def test_the_inner_widths_of_bark_small_do_not_break_it(wide_engine, greedy):
    requests = mixed_requests(wide_engine, 12, most_tokens=24, greedy=greedy)
    solo = tokens_of(wide_engine.render([request], decode=False)[0] for request in requests)
    assert differing_tokens(tokens_of(wide_engine.render(requests, decode=False)), solo) == 0


PROGRAM = """
import sys, torch
torch.set_num_threads(int(sys.argv[2]))
sys.path.insert(0, sys.argv[3])
from test_batch_equals_solo import BarkEngine, mixed_requests, tokens_of
import hashlib
engine = BarkEngine.load(sys.argv[1], "cpu")
requests = mixed_requests(engine, 6, most_tokens=30, greedy=False)
print(hashlib.sha256(b"".join(t.tobytes() for t in tokens_of(engine.render(requests, decode=False)))).hexdigest())
"""


def test_same_seed_gives_same_tokens_across_processes_and_thread_counts(suno_directory):
    root = Path(__file__).resolve().parents[1]
    environment = {**os.environ, "OMP_NUM_THREADS": "3", "PYTHONPATH": str(root)}
    digests = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM, str(suno_directory), str(threads), str(Path(__file__).parent)],
            capture_output=True, text=True, check=True, cwd=root, env=environment,
        ).stdout.split()[-1]
        for threads in (1, 1, 2, 3)
    }  # fmt: skip
    assert len(digests) == 1


def test_different_seeds_differ_and_a_stage_can_be_rolled_alone(suno_directory):
    engine = BarkEngine.load(suno_directory, "cpu")
    settings = RenderSettings(semantic_max_tokens=20, semantic_allow_early_stop=False)
    request = RenderRequest(text_ids=[3, 1, 4], seed=5, settings=settings)
    base, other, coarse_rerolled, fine_rerolled = (
        r.tokens
        for r in engine.render(
            [
                request,
                dataclasses.replace(request, seed=6),
                dataclasses.replace(request, coarse_seed=6),
                dataclasses.replace(request, fine_seed=6),
            ],
            decode=False,
        )
    )
    assert not np.array_equal(base.semantic, other.semantic)
    assert np.array_equal(base.semantic, coarse_rerolled.semantic)
    assert not np.array_equal(base.coarse, coarse_rerolled.coarse)
    assert np.array_equal(base.coarse, fine_rerolled.coarse)
    assert not np.array_equal(base.fine[2:], fine_rerolled.fine[2:])
