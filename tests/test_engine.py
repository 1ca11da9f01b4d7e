"""What `BarkEngine` promises around the stages: refusals, cancel, progress, memory, offload, streaming."""

from __future__ import annotations

import dataclasses
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from bark_builders import SUNO_TINY, TINY, build_model, generation_config, write_hf_directory

from bark_infinity import (
    BarkEngine,
    BarkError,
    RenderRequest,
    RenderSettings,
    VoiceFormatError,
    VoiceHistory,
    memory,
    render_run,
)
from bark_infinity.memory import plan_memory

SHORT = RenderSettings(semantic_max_tokens=12, semantic_allow_early_stop=False)
PRESETS = Path(__file__).resolve().parents[2] / "shared" / "voices"


@pytest.fixture(scope="module")
def engine() -> BarkEngine:
    return BarkEngine.load("random-tiny", "cpu")


@pytest.fixture(scope="module")
def tiny_directory(tmp_path_factory) -> Path:
    return write_hf_directory(build_model(TINY), tmp_path_factory.mktemp("tiny"), generation_config(TINY))


def tokens(rendering) -> tuple[list, list, list]:
    return tuple(part.tolist() for part in dataclasses.astuple(rendering.tokens))


def test_a_rendering_holds_all_that_was_made(engine):
    (rendering,) = engine.render([RenderRequest(text="hello", seed=3, settings=SHORT)])
    frames = engine.space.frames_for(12)
    assert rendering.tokens.semantic.shape == (12,)
    assert rendering.tokens.coarse.shape == (2, frames)
    assert rendering.tokens.fine.shape == (8, frames)
    assert rendering.audio.shape == (frames * 320,)
    assert rendering.audio.dtype == np.float32
    assert np.isfinite(rendering.audio).all()
    assert rendering.stopped == "max_tokens"
    assert rendering.duration_s == frames * 320 / rendering.sample_rate
    assert rendering.stats["semantic"].count == 12
    assert rendering.stats["coarse"].mean_log_prob < 0
    assert min(dataclasses.astuple(rendering.timings)) > 0
    voice = rendering.as_voice()
    assert np.array_equal(voice.fine, rendering.tokens.fine)
    assert voice.space == engine.space


def test_no_requests_give_no_renderings(engine):
    assert engine.render([]) == []


def test_stages_one_by_one_give_what_render_gives(engine):
    request = RenderRequest(text="step by step", seed=9, settings=SHORT)
    (whole,) = engine.render([request])
    (semantic,) = engine.text_to_semantic([request])
    given = RenderRequest(semantic=semantic, seed=9, settings=SHORT)
    (coarse,) = engine.semantic_to_coarse([given])
    (fine,) = engine.coarse_to_fine([dataclasses.replace(given, coarse=coarse)])
    (audio,) = engine.decode([fine])
    assert np.array_equal(semantic, whole.tokens.semantic)
    assert np.array_equal(coarse, whole.tokens.coarse)
    assert np.array_equal(fine, whole.tokens.fine)
    assert np.array_equal(audio, whole.audio)
    (from_semantic,) = engine.render([given])
    assert from_semantic.stopped == "given"
    assert np.array_equal(from_semantic.audio, whole.audio)


@pytest.mark.parametrize("n_frames", [1, 2, 17])
def test_coarse_codes_alone_are_enough_for_the_rest(engine, n_frames):
    coarse = np.arange(2 * n_frames).reshape(2, n_frames) % engine.space.codebook_size
    (rendering,) = engine.render([RenderRequest(coarse=coarse, seed=1)])
    assert np.array_equal(rendering.tokens.fine[:2], coarse)
    assert rendering.tokens.semantic.size == 0
    assert len(rendering.audio) == n_frames * 320


def test_a_progress_callback_may_use_the_engine(engine):
    heard = []

    def listen(progress):
        if progress.stage == "codec":
            heard.append(engine.decode([np.zeros((8, 3), np.int64)])[0])

    engine.render([RenderRequest(text="x", settings=SHORT)], listen)
    assert len(heard) == 1


def test_dropping_more_frames_than_a_voice_has_leaves_no_history(engine):
    frames = engine.space.frames_for(10)
    fine = np.arange(8 * frames).reshape(8, frames) % engine.space.codebook_size
    voice = VoiceHistory(np.arange(10), fine[:2], fine, space=engine.space)
    dropped = [
        RenderRequest(
            semantic=np.arange(12), voice=voice, settings=RenderSettings(coarse_history_time_alignment_hack=-n)
        )
        for n in (30, 300)
    ]
    first, second = engine.semantic_to_coarse(dropped)
    assert np.array_equal(first, second)


def test_an_utterance_that_ends_at_once_is_recorded_as_empty(engine):
    at_once = RenderSettings(semantic_min_eos_p=1e-9)
    empty, spoken = engine.render([RenderRequest(text="x", settings=at_once), RenderRequest(text="x", settings=SHORT)])
    assert empty.stopped == "empty"
    assert empty.audio.shape == (0,)
    assert empty.tokens.coarse.shape == (2, 0)
    assert spoken.audio.size > 0
    with pytest.raises(VoiceFormatError):
        empty.as_voice()


def test_the_longest_duration_is_counted_as_suno_counts_it(engine):
    settings = RenderSettings(semantic_max_gen_duration_s=0.5, semantic_allow_early_stop=False)
    (rendering,) = engine.render([RenderRequest(text="x", settings=settings)], decode=False)
    assert rendering.stopped == "max_duration"
    rate = engine.space.semantic_rate_hz
    assert 0.5 < len(rendering.tokens.semantic) / rate <= 0.5 + 1 / rate + 1e-9


def test_text_beyond_the_block_is_cut_and_the_rendering_says_so(engine):
    slots = engine.config.semantic.max_input_semantic_length
    long, cut = engine.render(
        [
            RenderRequest(text_ids=[i % 50 for i in range(slots + 9)], settings=SHORT),
            RenderRequest(text_ids=[i % 50 for i in range(slots)], settings=SHORT),
        ],
        decode=False,
    )
    assert f"{slots + 9} tokens" in long.notices[0]
    assert cut.notices == ()
    assert tokens(long) == tokens(cut)


@pytest.mark.parametrize(
    ("request_fields", "named"),
    [
        ({"text": ""}, "nothing to say"),
        ({"text_ids": []}, "nothing to say"),
        ({"text_ids": [10**6]}, "1000000"),
        ({"text_ids": [-1]}, "-1"),
        ({"text_ids": [1.5]}, "1.5"),
        ({"coarse": np.zeros((3, 2), np.int64)}, r"\(3, 2\)"),
        ({"semantic": np.array([0, 10**5])}, "100000"),
        ({"semantic": np.zeros(0, np.int64)}, r"\(0,\)"),
        ({"semantic": np.zeros(4)}, "float64"),
        ({"semantic": np.zeros(4, np.int64), "coarse": np.zeros((2, 99), np.int64)}, r"\(2, 99\)"),
        ({"text": "x", "settings": RenderSettings(coarse_sliding_window_len=7)}, "coarse_sliding_window_len 7"),
        ({"text": "x", "settings": RenderSettings(coarse_max_coarse_history=10**6)}, "room for"),
        ({"text": "x", "settings": RenderSettings(coarse_history_time_alignment_hack=-3)}, "-3"),
    ],
)
def test_bad_requests_are_refused_before_any_work(engine, request_fields, named):
    told = []
    good = RenderRequest(text="fine", settings=SHORT)
    with pytest.raises(BarkError, match=named):
        engine.render([good, RenderRequest(**request_fields)], progress=told.append)
    assert told == []


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"text": "a", "text_ids": [1]},
        {"text": "a", "seed": -1},
        {"text": "a", "coarse_seed": 1.5},
        {"text": "a", "coarse": np.zeros((2, 3), int)},
    ],
)
def test_a_request_that_contradicts_itself_cannot_be_made(fields):
    with pytest.raises(BarkError):
        RenderRequest(**fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"semantic_temp": -0.1},
        {"semantic_temp": None},
        {"coarse_temp": float("nan")},
        {"semantic_top_k": 0},
        {"semantic_top_p": 1.5},
        {"semantic_max_gen_duration_s": 0.0},
        {"coarse_history_time_alignment_hack": 2},
    ],
)
def test_settings_outside_their_range_cannot_be_made(fields):
    with pytest.raises(BarkError, match=next(iter(fields))):
        RenderSettings(**fields)


def test_a_voice_of_another_family_is_refused_with_the_reason(engine):
    fine = np.zeros((8, 150), np.int64)
    bark_voice = VoiceHistory(np.zeros(100, np.int64), fine[:2], fine)
    with pytest.raises(VoiceFormatError, match="random-tiny"):
        engine.render([RenderRequest(text="x", voice=bark_voice)])


@pytest.mark.parametrize("stage", ["semantic", "coarse", "fine", "codec"])
def test_cancelling_in_any_stage_keeps_what_was_made(engine, stage):
    cancel = threading.Event()

    def watch(progress):
        if progress.stage == stage:
            cancel.set()

    requests = [RenderRequest(text=text, settings=SHORT) for text in ("one", "two", "three")]
    renderings = engine.render(requests, progress=watch, cancel=cancel)
    assert "cancelled" in {r.stopped for r in renderings}
    done = ["semantic", "coarse", "fine", "codec"].index(stage)
    for rendering in renderings:
        finished = [rendering.tokens.semantic, rendering.tokens.coarse, rendering.tokens.fine]
        assert all(part.size for part in finished[:done])
    if stage == "codec":
        assert renderings[0].audio is not None, "what was decoded is not lost"
    (again,) = engine.render(requests[:1])
    assert again.stopped == "max_tokens"


def test_progress_only_grows_and_ends_at_its_total(engine):
    told = []
    engine.render([RenderRequest(text="a", settings=SHORT), RenderRequest(text="b", settings=SHORT)], told.append)
    for stage in ("semantic", "coarse", "fine", "codec"):
        done = [p.done for p in told if p.stage == stage]
        totals = {p.total for p in told if p.stage == stage}
        assert done == sorted(done)
        assert totals == {done[-1]}


@pytest.mark.parametrize("stage", ["semantic", "coarse", "fine"])
def test_out_of_memory_halves_the_batch_and_loses_nothing(engine, monkeypatch, stage):
    requests = [RenderRequest(text=f"number {i}", seed=i, settings=SHORT) for i in range(7)]
    expected = [tokens(r) for r in engine.render(requests, decode=False)]
    real = getattr(render_run, f"run_{stage}")
    engine, sizes = BarkEngine.load("random-tiny", "cpu"), []

    def crowded(model, jobs, config, watch):
        sizes.append(len(jobs))
        if len(jobs) > 2:
            watch(5)
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(model, jobs, config, watch)

    monkeypatch.setattr(render_run, f"run_{stage}", crowded)
    told = []
    assert [tokens(r) for r in engine.render(requests, told.append, decode=False)] == expected
    assert sizes[:2] == [7, 3]
    last = [p for p in told if p.stage == stage][-1]
    assert last.done == last.total, "work that was thrown away must not count twice"


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("x"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_one_utterance_too_large_for_the_memory_fails_alone_and_says_what_to_do(engine, monkeypatch, error):
    real = render_run.run_coarse

    def crowded(model, jobs, config, watch):
        if any(job.n_tokens > 40 for job in jobs):
            raise error
        return real(model, jobs, config, watch)

    long = dataclasses.replace(SHORT, semantic_max_tokens=40)
    requests = [RenderRequest(text="x", seed=i, settings=long if i == 1 else SHORT) for i in range(4)]
    expected = [tokens(r) for r in engine.render(requests)]
    monkeypatch.setattr(render_run, "run_coarse", crowded)
    fresh = BarkEngine.load("random-tiny", "cpu")
    renderings = fresh.render(requests)
    assert [r.stopped for r in renderings] == ["max_tokens", "failed", "max_tokens", "max_tokens"]
    assert "offload" in renderings[1].reason
    assert [tokens(r) for r in renderings[2:]] == expected[2:]


def test_a_stage_alone_raises_when_a_request_does_not_fit(engine, monkeypatch):
    def never(*_):
        raise MemoryError

    monkeypatch.setattr(render_run, "run_semantic", never)
    with pytest.raises(BarkError, match="alone exceeds the memory"):
        engine.text_to_semantic([RenderRequest(text="x")])


def test_a_batch_that_did_not_fit_is_not_tried_again(engine, monkeypatch):
    fresh, sizes, real = BarkEngine.load("random-tiny", "cpu"), [], render_run.run_fine

    def crowded(model, jobs, config, watch):
        sizes.append(len(jobs))
        if len(jobs) > 2:
            raise MemoryError
        return real(model, jobs, config, watch)

    monkeypatch.setattr(render_run, "run_fine", crowded)
    requests = [RenderRequest(text="x", seed=i, settings=SHORT) for i in range(4)]
    fresh.render(requests, decode=False)
    fresh.render(requests, decode=False)
    assert sizes == [4, 2, 2, 2, 2]


def test_other_errors_are_not_taken_for_memory(engine, monkeypatch):
    def broken(*_):
        raise RuntimeError("size mismatch")

    monkeypatch.setattr(render_run, "run_fine", broken)
    with pytest.raises(RuntimeError, match="size mismatch"):
        engine.render([RenderRequest(text="x", settings=SHORT)])


def test_offloading_changes_memory_and_not_tokens(engine):
    lean = BarkEngine.load("random-tiny", "cpu", offload="on")
    assert lean.plan.weight_bytes < engine.plan.weight_bytes
    request = RenderRequest(text="same", seed=4, settings=SHORT)
    assert tokens(lean.render([request])[0]) == tokens(engine.render([request])[0])


def test_a_closed_engine_loads_again(engine):
    other = BarkEngine.load("random-tiny", "cpu")
    request = RenderRequest(text="again", settings=SHORT)
    before = tokens(other.render([request])[0])
    other.close()
    assert tokens(other.render([request])[0]) == before


def test_engine_can_be_called_from_several_threads(engine):
    requests = [RenderRequest(text=f"thread {i}", seed=i, settings=SHORT) for i in range(4)]
    expected = [tokens(engine.render([request], decode=False)[0]) for request in requests]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda request: engine.render([request], decode=False)[0], requests))
    assert [tokens(r) for r in together] == expected


def test_bfloat16_renders_and_stays_close_to_float32(engine):
    half = BarkEngine.load("random-tiny", "cpu", "bf16")
    assert half.precision == "bf16"
    request = RenderRequest(text="half", seed=4, settings=dataclasses.replace(SHORT, semantic_temp=0))
    (exact,), (rounded,) = engine.text_to_semantic([request]), half.text_to_semantic([request])
    assert (exact == rounded).mean() > 0.5, "greedy tokens should mostly survive the rounding"
    assert half.render([request])[0].audio.size > 0


def test_streaming_decode_adds_up_to_the_offline_decode(engine):
    (rendering,) = engine.render([RenderRequest(text="stream me", settings=SHORT)])
    stream, pieces = engine.decode_stream(), []
    for start in range(0, rendering.tokens.fine.shape[1], 5):
        pieces.append(stream.push(rendering.tokens.fine[:, start : start + 5]))
    pieces.append(stream.finish())
    assert np.abs(np.concatenate(pieces) - rendering.audio).max() < 1e-5


def test_a_recording_becomes_codes_of_this_checkpoint(engine):
    audio = np.sin(np.arange(24_000) * 0.05).astype(np.float32)
    codes = engine.encode(audio, 24_000)
    assert codes.shape == (8, 75)
    assert codes.max() < engine.space.codebook_size


def test_without_a_codec_tokens_are_rendered_and_audio_is_refused_at_once(tiny_directory):
    engine = BarkEngine.load(tiny_directory, "cpu")
    bare = BarkEngine(dataclasses.replace(engine.checkpoint, codec_config=None), engine.plan)
    request = RenderRequest(text_ids=[1, 2], settings=SHORT)
    told = []
    with pytest.raises(BarkError, match="no codec"):
        bare.render([request], told.append)
    assert told == []
    assert bare.render([request], decode=False)[0].tokens.fine.size > 0


def test_a_checkpoint_without_tokenizer_reads_ids_and_says_why_it_cannot_read_text(tiny_directory):
    engine = BarkEngine.load(tiny_directory, "cpu")
    assert engine.front_end is None
    with pytest.raises(BarkError, match="tokenizer"):
        engine.render([RenderRequest(text="hello")])


@pytest.mark.parametrize("device", ["tpu", "cuda:99", "meta"])
def test_devices_that_are_not_there_are_refused(device):
    with pytest.raises(BarkError, match="device"):
        BarkEngine.load("random-tiny", device)


@pytest.mark.parametrize("precision", ["fp8", "fp16"])
def test_precisions_that_a_cpu_does_not_have_are_refused(precision):
    with pytest.raises(BarkError, match="precision"):
        BarkEngine.load("random-tiny", "cpu", precision)


def test_the_plan_offloads_when_all_stages_do_not_fit_and_refuses_when_one_does_not(engine):
    config, cpu = engine.config, torch.device("cpu")
    roomy = plan_memory(config, cpu, torch.float32, 2**33)
    assert not roomy.offload
    tight = plan_memory(config, cpu, torch.float32, int((roomy.weight_bytes + roomy.row_bytes) / 0.85) - 2**10)
    assert tight.offload
    assert tight.max_rows >= 1
    with pytest.raises(BarkError, match="bark-small"):
        plan_memory(config, cpu, torch.float32, roomy.row_bytes)
    assert "all stages" in roomy.describe()


@pytest.mark.skipif(not PRESETS.exists(), reason="the published voices are not shipped with the project")
def test_published_voices_condition_a_render(tmp_path_factory):
    directory = tmp_path_factory.mktemp("suno")
    write_hf_directory(build_model(SUNO_TINY), directory, generation_config(SUNO_TINY))
    engine = BarkEngine.load(directory, "cpu")
    voices = [VoiceHistory.load(path) for path in sorted(PRESETS.rglob("*.npz"))]
    requests = [RenderRequest(text_ids=[7, 8, 9], voice=voice, seed=1, settings=SHORT) for voice in (None, *voices)]
    renderings = engine.render(requests, decode=False)
    assert len({r.tokens.semantic.tobytes() for r in renderings}) == len(requests)
    assert len({r.tokens.fine.tobytes() for r in renderings}) == len(requests)


def test_a_containers_limit_counts_as_much_as_the_machines_free_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    unlimited = memory.free_memory(torch.device("cpu"))
    (tmp_path / "memory.current").write_text("1000")
    (tmp_path / "memory.max").write_text("5096\n")
    assert memory.free_memory(torch.device("cpu")) == 4096
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.free_memory(torch.device("cpu")) > 4096
    assert unlimited > 4096
