"""The engine reproduces, token for token, what suno's own code made on the same weights (tests/data)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bark_builders import (
    SUNO_TINY,
    generation_config,
    golden_cases,
    golden_model,
    golden_voice,
    write_hf_directory,
    write_legacy_directory,
)

from bark_infinity import BarkEngine, RenderRequest, RenderSettings

PRESETS = Path(__file__).resolve().parents[2] / "shared" / "voices"
CASES = {case["name"]: case for case in golden_cases()["cases"]}


@pytest.fixture(scope="module")
def golden_engines(tmp_path_factory):
    model = golden_model()
    legacy = write_legacy_directory(model, tmp_path_factory.mktemp("legacy"))
    twin = write_hf_directory(model, tmp_path_factory.mktemp("twin"), generation_config(SUNO_TINY))
    return {"suno .pt": BarkEngine.load(legacy, "cpu"), "transformers": BarkEngine.load(twin, "cpu")}


def request_of(case: dict) -> RenderRequest:
    voice = case["voice"]
    if isinstance(voice, str) and not (PRESETS / f"{voice}.npz").exists():
        pytest.skip(f"needs the published voice {voice}, which the project does not ship")
    options, coarse = case["options"], case["coarse_options"]
    settings = RenderSettings(
        semantic_temp=0,
        semantic_min_eos_p=options.get("min_eos_p", 0.2),
        semantic_allow_early_stop=options.get("allow_early_stop", True),
        semantic_max_tokens=case["semantic_max_tokens"],
        coarse_temp=0,
        coarse_max_coarse_history=coarse.get("max_coarse_history"),
        coarse_sliding_window_len=coarse.get("sliding_window_len"),
        fine_temp=0,
    )
    return RenderRequest(text_ids=case["text_ids"], voice=golden_voice(voice, PRESETS), settings=settings)


@pytest.mark.parametrize("format_name", ["suno .pt", "transformers"])
@pytest.mark.parametrize("name", CASES)
def test_sunos_own_tokens_are_reproduced(golden_engines, format_name, name):
    case = CASES[name]
    (rendering,) = golden_engines[format_name].render([request_of(case)], decode=False)
    assert rendering.tokens.semantic.tolist() == case["semantic"]
    assert np.array_equal(rendering.tokens.coarse, case["coarse"])
    assert np.array_equal(rendering.tokens.fine, case["fine"])


def test_sunos_own_tokens_are_reproduced_in_one_batch(golden_engines):
    cases = [case for case in CASES.values() if not isinstance(case["voice"], str)]
    renderings = golden_engines["suno .pt"].render([request_of(case) for case in cases], decode=False)
    for case, rendering in zip(cases, renderings, strict=True):
        assert rendering.tokens.semantic.tolist() == case["semantic"], case["name"]
        assert np.array_equal(rendering.tokens.fine, case["fine"]), case["name"]
