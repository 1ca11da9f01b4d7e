"""Suno's functions: same names, same signatures, same shapes of results, over the engine."""

from __future__ import annotations

import inspect
import runpy
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bark_infinity as bark
from bark_infinity import classic
from bark_infinity.default_engine import EngineChoice, choose_engine, load_engine
from bark_infinity.engine import BarkEngine
from bark_infinity.environment import EnvironmentSwitches
from bark_infinity.error_handling import BarkError, CheckpointError, VoiceFormatError
from bark_infinity.requests import Rendering, RenderRequest
from bark_infinity.tokens import BarkTokens
from bark_infinity.voices.history import VoiceHistory

SHORT: dict[str, Any] = {"semantic_max_tokens": 24, "silent": True}


@pytest.fixture(autouse=True)
def random_tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """A default engine that is there at once, and variables that say nothing else."""
    for name in ("SUNO_USE_SMALL_MODELS", "SUNO_OFFLOAD_CPU", "SUNO_ENABLE_MPS", "BARK_VOICES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("BARK_MODEL", "random-tiny")


@pytest.fixture
def nothing_loaded() -> Iterator[None]:
    """No default engine before the test, nor after it."""
    classic._default.forget()
    yield
    classic._default.forget()


SUNO_SIGNATURES = {
    "text_to_semantic": "text, history_prompt=None, temp=0.7, silent=False",
    "semantic_to_waveform": "semantic_tokens, history_prompt=None, temp=0.7, silent=False, output_full=False",
    "save_as_prompt": "filepath, full_generation",
    "generate_audio": ("text, history_prompt=None, text_temp=0.7, waveform_temp=0.7, silent=False, output_full=False"),
    "generate_text_semantic": (
        "text, history_prompt=None, temp=0.7, top_k=None, top_p=None, silent=False, min_eos_p=0.2, "
        "max_gen_duration_s=None, allow_early_stop=True, use_kv_caching=False"
    ),
    "generate_coarse": (
        "x_semantic, history_prompt=None, temp=0.7, top_k=None, top_p=None, silent=False, "
        "max_coarse_history=630, sliding_window_len=60, use_kv_caching=False"
    ),
    "generate_fine": "x_coarse_gen, history_prompt=None, temp=0.5, silent=True",
    "codec_decode": "fine_tokens",
    "load_codec_model": "use_gpu=True, force_reload=False",
    "preload_models": (
        "text_use_gpu=True, text_use_small=False, coarse_use_gpu=True, coarse_use_small=False, fine_use_gpu=True, "
        "fine_use_small=False, codec_use_gpu=True, force_reload=False"
    ),
}


@pytest.mark.parametrize("name", SUNO_SIGNATURES)
def test_signatures_are_sunos(name: str) -> None:
    parameters = inspect.signature(getattr(bark, name)).parameters.values()
    positional = [p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    told = [p.name if p.default is p.empty else f"{p.name}={p.default}" for p in positional]
    assert ", ".join(told) == SUNO_SIGNATURES[name]


def test_everything_in_all_can_be_imported_from_the_package() -> None:
    for name in classic.__all__:
        assert getattr(bark, name) is getattr(classic, name)


@pytest.mark.usefixtures("nothing_loaded")
def test_sunos_readme_script_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        """
from bark_infinity import SAMPLE_RATE, generate_audio, preload_models
from scipy.io.wavfile import write as write_wav

preload_models()
text_prompt = '''
     Hello, my name is Suno. And, uh — and I like pizza.
'''
audio_array = generate_audio(text_prompt)
write_wav("bark_generation.wav", SAMPLE_RATE, audio_array)
""",
        encoding="utf-8",
    )
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(script), run_name="__main__")
    assert "loading checkpoint random-tiny: environment variable BARK_MODEL names it" in caplog.text
    assert (tmp_path / "bark_generation.wav").stat().st_size > 1_000


@pytest.mark.usefixtures("nothing_loaded")
def test_sunos_notebooks_find_their_names_in_generation_and_api(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook = tmp_path / "notebook.py"
    notebook.write_text(
        """
from bark_infinity.generation import (
    SAMPLE_RATE, codec_decode, generate_coarse, generate_fine, generate_text_semantic, load_codec_model, preload_models
)
from bark_infinity.api import generate_audio, save_as_prompt, semantic_to_waveform, text_to_semantic
import numpy as np

preload_models()
semantic_tokens = generate_text_semantic("Hey, have you heard?", temp=0.6, min_eos_p=0.05)
pieces = [semantic_to_waveform(semantic_tokens), np.zeros(int(0.25 * SAMPLE_RATE), np.float32)]
pieces.append(codec_decode(generate_fine(generate_coarse(text_to_semantic("And on.")))))
full_generation, audio = generate_audio("Hey.", output_full=True)
save_as_prompt("mine.npz", full_generation)
load_codec_model(use_gpu=True)
spoken = np.concatenate(pieces)
""",
        encoding="utf-8",
    )
    monkeypatch.chdir(tmp_path)
    spoken = runpy.run_path(str(notebook), run_name="__main__")["spoken"]
    assert len(spoken) > 6_000
    assert (tmp_path / "mine.npz").exists()


def test_coarse_tokens_of_every_length_become_fine_ones() -> None:
    for n_frames in range(1, 8):
        coarse = np.arange(2 * n_frames).reshape(2, n_frames)
        fine = bark.generate_fine(coarse, seed=1)
        assert fine.shape == (8, n_frames)
        np.testing.assert_array_equal(fine[:2], coarse)


def test_a_rendering_that_failed_is_an_error_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = Rendering(BarkTokens(), "failed", reason="it alone exceeds the memory")
    monkeypatch.setattr(BarkEngine, "render", lambda *_, **__: [failed])
    for speak in (
        lambda: bark.generate_audio("Hello.", silent=True),
        lambda: bark.semantic_to_waveform(np.arange(9), silent=True),
    ):
        with pytest.raises(BarkError, match="it alone exceeds the memory"):
            speak()


def test_a_text_becomes_the_engines_own_rendering() -> None:
    audio = bark.generate_audio("Hello there.", text_temp=0.6, waveform_temp=0.8, seed=5, **SHORT)
    engine = BarkEngine.load("random-tiny")
    settings = classic._settings(engine, {"semantic_temp": 0.6, "coarse_temp": 0.8, "semantic_max_tokens": 24})
    (expected,) = engine.render([RenderRequest(text="Hello there.", seed=5, settings=settings)])
    assert isinstance(audio, np.ndarray)
    assert audio.dtype == np.float32
    np.testing.assert_array_equal(audio, expected.audio)


def test_stage_by_stage_equals_the_whole() -> None:
    full, audio = bark.generate_audio("Hello there.", seed=5, output_full=True, **SHORT)
    semantic = bark.generate_text_semantic("Hello there.", seed=5, **SHORT)
    np.testing.assert_array_equal(semantic, full["semantic_prompt"])
    np.testing.assert_array_equal(bark.text_to_semantic("Hello there.", seed=5, **SHORT), semantic)
    coarse = bark.generate_coarse(semantic, seed=5)
    np.testing.assert_array_equal(coarse, full["coarse_prompt"])
    fine = bark.generate_fine(coarse, seed=5)
    np.testing.assert_array_equal(fine, full["fine_prompt"])
    np.testing.assert_allclose(bark.codec_decode(fine), audio, atol=1e-6)
    again, waveform = bark.semantic_to_waveform(semantic, seed=5, silent=True, output_full=True)
    np.testing.assert_array_equal(again["fine_prompt"], fine)
    np.testing.assert_allclose(waveform, audio, atol=1e-6)


def test_without_a_seed_two_calls_differ() -> None:
    first, second = (bark.text_to_semantic("Hello there.", **SHORT) for _ in range(2))
    assert first.tolist() != second.tolist()


def test_a_saved_generation_is_a_voice_in_every_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full, _ = bark.generate_audio("Hello there.", seed=5, output_full=True, **SHORT)
    bark.save_as_prompt(str(tmp_path / "mine.npz"), full)
    monkeypatch.setenv("BARK_VOICES", str(tmp_path))
    voice = VoiceHistory.load(tmp_path / "mine.npz")
    forms: list[Any] = [full, voice, str(tmp_path / "mine.npz"), tmp_path / "mine.npz", "mine"]
    spoken = [bark.text_to_semantic("And on.", history_prompt=form, seed=6, **SHORT).tolist() for form in forms]
    assert all(tokens == spoken[0] for tokens in spoken)
    assert spoken[0] != bark.text_to_semantic("And on.", seed=6, **SHORT).tolist()
    assert "mine" in [entry.name for entry in bark.list_speakers()]


def test_a_voice_of_odd_lengths_is_repaired_and_that_is_told(caplog: pytest.LogCaptureFixture) -> None:
    full, _ = bark.generate_audio("Hello there.", seed=5, output_full=True, **SHORT)
    full["coarse_prompt"], full["fine_prompt"] = full["coarse_prompt"][:, 1:], full["fine_prompt"][:, 1:]
    bark.text_to_semantic("And on.", history_prompt=full, seed=6, **SHORT)
    assert any("voice" in record.message and record.levelname == "WARNING" for record in caplog.records)


def test_a_text_that_is_too_long_is_cut_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    long, cut = "a" * 80, "a" * 64
    assert bark.text_to_semantic(long, seed=1, **SHORT).tolist() == bark.text_to_semantic(cut, seed=1, **SHORT).tolist()
    assert "80 tokens, 64 fit" in caplog.text


@pytest.mark.parametrize(
    ("call", "error", "named"),
    [
        (lambda: bark.generate_audio(""), BarkError, "nothing to say"),
        (lambda: bark.generate_audio(b"bytes"), BarkError, "bytes"),  # type: ignore[arg-type]
        (lambda: bark.generate_audio("hi", temprature=1), TypeError, "temprature"),
        (lambda: bark.generate_audio("hi", history_prompt="no_such_voice"), BarkError, "no_such_voice"),
        (lambda: bark.generate_audio("hi", history_prompt={}), VoiceFormatError, "semantic_prompt"),
        (lambda: bark.generate_audio("hi", text_temp=-1), BarkError, "semantic_temp is -1"),
        (lambda: bark.generate_coarse(np.zeros(0, np.int64)), BarkError, "x_semantic"),
        (lambda: bark.generate_coarse(np.zeros(3)), BarkError, "float64"),  # type: ignore[arg-type]
        (lambda: bark.generate_fine(np.zeros((3, 2), np.int64)), BarkError, "(3, 2)"),
        (lambda: bark.codec_decode(np.zeros(3, np.int64)), BarkError, "fine_tokens"),
        (lambda: bark.save_as_prompt("voice.txt", {}), BarkError, "voice.txt"),
        (lambda: bark.preload_models(text_use_gpu=False), BarkError, "text_use_gpu=False"),
        (lambda: bark.preload_models(coarse_use_small=True), BarkError, "coarse_use_small=True"),
    ],
)
def test_errors_name_what_is_wrong(call: Any, error: type[Exception], named: str) -> None:
    with pytest.raises(error) as raised:
        call()
    assert named in str(raised.value)


@pytest.mark.usefixtures("nothing_loaded")
def test_preloading_again_keeps_what_is_loaded() -> None:
    engine = bark.load_codec_model()
    bark.preload_models()
    assert bark.load_codec_model() is engine
    bark.preload_models(model="random-tiny")  # the same checkpoint for another reason
    bark.preload_models(force_reload=True)
    assert bark.load_codec_model() is not engine


@pytest.mark.usefixtures("nothing_loaded")
def test_threads_share_one_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    loads: list[str] = []

    def load(choice: Any) -> BarkEngine:
        loads.append(choice.source)
        return BarkEngine.load(choice.source)

    monkeypatch.setattr(classic, "load_engine", load)
    results: list[list[int]] = []
    threads = [
        threading.Thread(target=lambda: results.append(bark.text_to_semantic("Hi.", seed=3, **SHORT).tolist()))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert loads == ["random-tiny"]
    assert len(results) == 4
    assert all(tokens == results[0] for tokens in results)


@pytest.mark.usefixtures("nothing_loaded")
def test_a_wrong_switch_is_refused_when_the_engine_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUNO_OFFLOAD_CPU", "maybe")
    with pytest.raises(BarkError, match="SUNO_OFFLOAD_CPU is 'maybe'"):
        bark.generate_audio("hi")


# -- which engine is chosen


def present(monkeypatch: pytest.MonkeyPatch, *sources: str) -> None:
    def locate(source: str, *, offline: bool) -> None:
        assert offline, "choosing a default must not touch the network"
        if source not in sources:
            raise CheckpointError(f"{source} is not there")

    monkeypatch.setattr("bark_infinity.checkpoints.sources.locate", locate)


@pytest.mark.parametrize(
    ("there", "environment", "expected"),
    [
        (("suno/bark", "suno/bark-small", "micro"), EnvironmentSwitches(), "suno/bark"),
        (
            ("suno/bark", "suno/bark-small", "micro"),
            EnvironmentSwitches(use_small_models=True),
            "suno/bark-small",
        ),
        (("micro",), EnvironmentSwitches(), "micro"),
        ((), EnvironmentSwitches(model="some/where"), "some/where"),
    ],
)
def test_the_default_checkpoint_follows_environment_cache_and_package(
    monkeypatch: pytest.MonkeyPatch, there: tuple[str, ...], environment: EnvironmentSwitches, expected: str
) -> None:
    present(monkeypatch, *there)
    assert choose_engine(environment=environment).source == expected


def test_noise_is_never_chosen_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    present(monkeypatch)
    with pytest.raises(CheckpointError, match="BARK_MODEL"):
        choose_engine(environment=EnvironmentSwitches())


def test_the_callers_word_wins_over_the_environment() -> None:
    asked = EnvironmentSwitches(model="a", offload_cpu=True, enable_mps=True, use_small_models=True)
    choice = choose_engine(model="b", offload=False, enable_mps=False, environment=asked)
    assert (choice.source, choice.offload, choice.enable_mps) == ("b", "off", False)
    choice = choose_engine(environment=asked)
    assert (choice.source, choice.offload, choice.enable_mps) == ("a", "on", True)


def test_no_gpu_for_all_parts_means_the_cpu() -> None:
    parts = dict.fromkeys(("text", "coarse", "fine", "codec"), False)
    assert choose_engine(model="x", use_gpu=parts).device == "cpu"
    with pytest.raises(BarkError, match="cuda:1"):
        choose_engine(model="x", device="cuda:1", use_gpu=parts)
    with pytest.raises(BarkError, match="give only one"):
        choose_engine(model="suno/bark", small=True)


def preloaded(monkeypatch: pytest.MonkeyPatch, **wishes: Any) -> EngineChoice:
    """What `preload_models` asks for when all of suno's checkpoints are in the cache."""
    present(monkeypatch, "suno/bark", "suno/bark-small", "micro")
    asked: list[EngineChoice] = []
    monkeypatch.setattr(classic, "load_engine", lambda choice: asked.append(choice) or StandIn())
    classic._default.forget()
    bark.preload_models(**wishes)
    return asked[0]


class StandIn:
    """An engine that is never asked for anything."""


@pytest.mark.usefixtures("nothing_loaded")
def test_preloading_follows_the_switch_for_small_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BARK_MODEL")
    assert preloaded(monkeypatch).source == "suno/bark"
    all_small = dict.fromkeys(("text_use_small", "coarse_use_small", "fine_use_small"), True)
    assert preloaded(monkeypatch, **all_small).source == "suno/bark-small"
    monkeypatch.setenv("SUNO_USE_SMALL_MODELS", "True")
    assert preloaded(monkeypatch).source == "suno/bark-small"
    assert preloaded(monkeypatch, text_use_small=True).source == "suno/bark-small"  # as Suno: the rest follows


@pytest.mark.usefixtures("nothing_loaded")
def test_small_models_can_be_wished_of_a_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    all_small = dict.fromkeys(("text_use_small", "coarse_use_small", "fine_use_small"), True)
    assert preloaded(monkeypatch, model="some/where", **all_small).prefer_small
    assert not preloaded(monkeypatch, model="some/where").prefer_small
    monkeypatch.setenv("SUNO_USE_SMALL_MODELS", "True")
    for source in ("some/where", "suno-legacy"):
        choice = preloaded(monkeypatch, model=source)
        assert (choice.source, choice.prefer_small) == (source, True)
    assert not preloaded(monkeypatch, model="micro").prefer_small  # it is small


def test_the_wish_for_small_models_reaches_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}
    monkeypatch.setattr(BarkEngine, "load", lambda source, **options: asked.update(options))
    load_engine(choose_engine(model="suno-legacy", small=True))
    assert asked["prefer_small"] is True
