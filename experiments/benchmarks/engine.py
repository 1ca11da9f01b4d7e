"""Our engine beside transformers' BarkModel: the same random weights in bark-small's true shape, in one run.

    python -m experiments.benchmarks.engine --threads 1

Prints, for every stage, milliseconds per token and per candidate at several batch sizes, and how many times the
throughput of transformers at batch 1 in float32 that is. Random weights cost exactly what real ones do; lengths are
fixed, and every candidate has a text of its own. Nothing else should run on the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bark_infinity.bark_config import BarkConfig, GPTConfig
from bark_infinity.checkpoints.checkpoint import Checkpoint
from bark_infinity.engine import BarkEngine
from bark_infinity.memory import MemoryPlan
from bark_infinity.requests import RenderRequest, RenderSettings
from bark_infinity.tokens import SUNO_TOKENS
from bark_infinity.voices.history import VoiceHistory

SMALL = GPTConfig(num_layers=12, num_heads=12, hidden_size=768, block_size=1_024,
                  input_vocab_size=129_600, output_vocab_size=10_048)  # fmt: skip
CONFIG = BarkConfig(
    semantic_gpt=SMALL,
    coarse_gpt=replace(SMALL, input_vocab_size=12_096, output_vocab_size=12_096),
    fine_gpt=replace(SMALL, input_vocab_size=1_056, output_vocab_size=1_056, n_codes_total=8, n_codes_given=1),
)
N_SEMANTIC = 40  # 0.8 s: 60 frames, 120 flat coarse tokens, two coarse windows, one fine window
TEXT_LENGTH = 30
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Figure:
    """One measurement.

    Attributes:
        stage: What was run.
        who: Which implementation, precision included.
        batch: Candidates together.
        ms_per_candidate: Wall time divided by candidates.
        ms_per_token: Per token and candidate: of decoding alone in the semantic stage, windows' prefixes included in
            the coarse one; None where tokens are not made one by one.
    """

    stage: str
    who: str
    batch: int
    ms_per_candidate: float
    ms_per_token: float | None


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the benchmark and prints its tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=1, help="threads of torch, the same for both sides")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 16])
    parser.add_argument("--precisions", nargs="+", choices=sorted(PRECISIONS), default=["fp32"])
    parser.add_argument("--stages", nargs="+", choices=sorted(STAGES), default=list(STAGES))
    parser.add_argument("--repeats", type=int, default=3, help="runs of each measurement; the median counts")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args(argv)
    torch.set_num_threads(options.threads)
    torch.set_grad_enabled(False)
    print(f"torch {torch.__version__}, {options.threads} thread(s), bark-small's shape, random weights", flush=True)
    figures: list[Figure] = []
    for stage in options.stages:
        for figure in STAGES[stage](options.batches, options.precisions, options.repeats):
            figures.append(figure)
            print(_line(figure, figures), flush=True)
    for line in _totals(figures):
        print(line)
    if options.json:
        options.json.write_text(json.dumps([asdict(figure) for figure in figures], indent=1), "utf-8")
    return 0


def _line(figure: Figure, figures: Sequence[Figure]) -> str:
    unit = next(f for f in figures if f.stage == figure.stage and f.batch == 1)
    per_token, ratio_token = "", ""
    if figure.ms_per_token is not None and unit.ms_per_token is not None:
        per_token = f"{figure.ms_per_token:8.2f} ms/token"
        ratio_token = f" ({unit.ms_per_token / figure.ms_per_token:5.1f}x)"
    ratio = unit.ms_per_candidate / figure.ms_per_candidate
    return (
        f"{figure.stage:28s} {figure.who:20s} batch {figure.batch:2d} "
        f"{figure.ms_per_candidate:9.1f} ms/candidate ({ratio:5.1f}x) {per_token}{ratio_token}"
    )


def _totals(figures: Sequence[Figure]) -> list[str]:
    """Whole candidates without a voice: the three stages' figures of equal batch added up."""
    parts = {"semantic", "coarse, no voice", "fine"}
    sums: dict[tuple[str, int], list[float]] = {}
    for figure in figures:
        if figure.stage in parts:
            sums.setdefault((figure.who, figure.batch), []).append(figure.ms_per_candidate)
    whole = {key: sum(values) for key, values in sums.items() if len(values) == len(parts)}
    unit = whole.get(("transformers fp32", 1))
    return [
        _line(Figure("whole candidate", who, batch, ms, None), [Figure("whole candidate", "", 1, unit, None)])
        for (who, batch), ms in whole.items()
        if unit is not None
    ]


def _seconds(run: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def _oracle(stage: str) -> Any:
    """transformers' model of one stage, weights as its own initialisation draws them."""
    from transformers.models.bark.configuration_bark import BarkCoarseConfig, BarkFineConfig, BarkSemanticConfig
    from transformers.models.bark.modeling_bark import BarkCoarseModel, BarkFineModel, BarkSemanticModel

    config_type, model_type, gpt = {
        "semantic": (BarkSemanticConfig, BarkSemanticModel, CONFIG.semantic_gpt),
        "coarse": (BarkCoarseConfig, BarkCoarseModel, CONFIG.coarse_gpt),
        "fine": (BarkFineConfig, BarkFineModel, CONFIG.fine_gpt),
    }[stage]
    shape = {key: value for key, value in asdict(gpt).items() if value or key == "bias"}
    torch.manual_seed(0)
    return model_type(config_type(**shape)).eval()


def _engine(stage: str, model: Any, precision: str) -> BarkEngine:
    """Our engine over the very same tensors; only this stage is there."""

    def read_stage(asked: str) -> dict[str, torch.Tensor]:
        assert asked == stage, f"the benchmark of {stage} needs no {asked}"
        return dict(model.state_dict())

    checkpoint = Checkpoint("bark-small's shape", "bark-small's shape", CONFIG, None, (), None, read_stage)
    plan = MemoryPlan(torch.device("cpu"), PRECISIONS[precision], True, max_rows=64, weight_bytes=0, row_bytes=0,
                      free_bytes=0)  # fmt: skip
    return BarkEngine(checkpoint, plan)


def _texts(batch: int) -> list[list[int]]:
    rng = np.random.default_rng(1)
    return [rng.integers(1_000, 100_000, TEXT_LENGTH).tolist() for _ in range(batch)]


def _semantics(batch: int) -> list[np.ndarray]:
    return list(np.random.default_rng(2).integers(0, 10_000, (batch, N_SEMANTIC)))


def _voice() -> VoiceHistory:
    rng = np.random.default_rng(3)
    fine = rng.integers(0, 1_024, (8, SUNO_TOKENS.frames_for(400)))
    return VoiceHistory(rng.integers(0, 10_000, 400), fine[:2], fine)


def _stage_configs() -> dict[str, Any]:
    from transformers.models.bark.generation_configuration_bark import (
        BarkCoarseGenerationConfig,
        BarkFineGenerationConfig,
        BarkSemanticGenerationConfig,
    )

    sampled = {"do_sample": True, "temperature": 0.7, "top_k": 0}
    return {
        "semantic": BarkSemanticGenerationConfig(**sampled),
        "coarse": BarkCoarseGenerationConfig(**sampled),
        "fine": BarkFineGenerationConfig(temperature=0.5),
    }


def semantic_figures(batches: Sequence[int], precisions: Sequence[str], repeats: int) -> Any:
    """Stage 1 on different texts; decoding is what is left when the prefill's time is taken off."""
    model, configs = _oracle("semantic"), _stage_configs()

    def theirs(batch: int, tokens: int) -> Callable[[], object]:
        ids = torch.zeros((batch, 256), dtype=torch.int64)
        ids[:, :TEXT_LENGTH] = torch.tensor(_texts(batch))
        mask = (torch.arange(256) < TEXT_LENGTH).long().expand(batch, -1)
        end = CONFIG.semantic.eos_token_id
        return lambda: model.generate(
            ids.clone(), semantic_generation_config=configs["semantic"], attention_mask=mask,
            min_eos_p=None, max_new_tokens=tokens, bad_words_ids=[[end]],
        )  # fmt: skip

    def ours(engine: BarkEngine, batch: int, tokens: int) -> Callable[[], object]:
        settings = RenderSettings(semantic_max_tokens=tokens, semantic_allow_early_stop=False)
        requests = [RenderRequest(text_ids=ids, seed=i, settings=settings) for i, ids in enumerate(_texts(batch))]
        return lambda: engine.text_to_semantic(requests)

    yield from _decoding_figures("semantic", model, theirs, ours, batches, precisions, repeats)


def _decoding_figures(
    stage: str,
    model: Any,
    theirs: Callable[[int, int], Callable[[], object]],
    ours: Callable[[BarkEngine, int, int], Callable[[], object]],
    batches: Sequence[int],
    precisions: Sequence[str],
    repeats: int,
) -> Any:
    def measured(who: str, batch: int, run: Callable[[int], Callable[[], object]]) -> Figure:
        run(2)()  # first calls allocate
        first, whole = _seconds(run(1), repeats), _seconds(run(N_SEMANTIC), repeats)
        per_token = (whole - first) / (N_SEMANTIC - 1) / batch
        return Figure(stage, who, batch, whole / batch * 1e3, per_token * 1e3)

    for batch in sorted({1, max(batches)}):
        yield measured("transformers fp32", batch, lambda tokens, batch=batch: theirs(batch, tokens))  # type: ignore[misc]
    for precision in precisions:
        engine = _engine(stage, model, precision)
        for batch in batches:
            yield measured(f"ours {precision}", batch, lambda tokens, e=engine, b=batch: ours(e, b, tokens))  # type: ignore[misc]


def _coarse_figures(
    stage: str, voice: VoiceHistory | None, batches: Sequence[int], precisions: Sequence[str], repeats: int
) -> Any:
    model, configs = _oracle("coarse"), _stage_configs()
    history = None
    if voice is not None:
        parts = {"semantic_prompt": voice.semantic, "coarse_prompt": voice.coarse, "fine_prompt": voice.fine}
        history = {key: torch.from_numpy(value.copy()) for key, value in parts.items()}
    tokens = SUNO_TOKENS.frames_for(N_SEMANTIC) * 2

    def theirs() -> object:
        return model.generate(
            torch.from_numpy(np.stack(_semantics(1))), semantic_generation_config=configs["semantic"],
            coarse_generation_config=configs["coarse"], history_prompt=history, codebook_size=1_024,
        )  # fmt: skip

    theirs()  # first calls allocate
    seconds = _seconds(theirs, repeats)
    yield Figure(stage, "transformers fp32", 1, seconds * 1e3, seconds * 1e3 / tokens)
    for precision in precisions:
        engine = _engine("coarse", model, precision)
        for batch in batches:
            requests = [RenderRequest(semantic=s, voice=voice, seed=i) for i, s in enumerate(_semantics(batch))]
            engine.semantic_to_coarse(requests[:1])
            seconds = _seconds(lambda e=engine, r=requests: e.semantic_to_coarse(r), repeats) / batch  # type: ignore[misc]
            yield Figure(stage, f"ours {precision}", batch, seconds * 1e3, seconds * 1e3 / tokens)


def coarse_figures(batches: Sequence[int], precisions: Sequence[str], repeats: int) -> Any:
    """Stage 2 without a voice: windows continue one cache."""
    yield from _coarse_figures("coarse, no voice", None, batches, precisions, repeats)


def coarse_voice_figures(batches: Sequence[int], precisions: Sequence[str], repeats: int) -> Any:
    """Stage 2 with a full voice: every window is read anew."""
    yield from _coarse_figures("coarse, full voice", _voice(), batches, precisions, repeats)


def fine_figures(batches: Sequence[int], precisions: Sequence[str], repeats: int) -> Any:
    """Stage 3 of a clip of one window: six passes over 1024 frames."""
    model, configs = _oracle("fine"), _stage_configs()
    frames = SUNO_TOKENS.frames_for(N_SEMANTIC)
    codes = np.random.default_rng(4).integers(0, 1_024, (2, frames))
    flat = torch.from_numpy((codes + np.array([[10_000], [11_024]])).T.reshape(1, -1).copy())

    def theirs() -> object:
        return model.generate(
            flat, semantic_generation_config=configs["semantic"], coarse_generation_config=configs["coarse"],
            fine_generation_config=configs["fine"], codebook_size=1_024, temperature=0.5,
        )  # fmt: skip

    theirs()  # first calls allocate
    yield Figure("fine", "transformers fp32", 1, _seconds(theirs, repeats) * 1e3, None)
    for precision in precisions:
        engine = _engine("fine", model, precision)
        for batch in batches:
            requests = [RenderRequest(semantic=s, coarse=codes, seed=i) for i, s in enumerate(_semantics(batch))]
            seconds = _seconds(lambda e=engine, r=requests: e.coarse_to_fine(r), 1 if batch > 1 else repeats)  # type: ignore[misc]
            yield Figure("fine", f"ours {precision}", batch, seconds * 1e3 / batch, None)


STAGES: dict[str, Callable[[Sequence[int], Sequence[str], int], Any]] = {
    "semantic": semantic_figures,
    "coarse": coarse_figures,
    "coarse-voice": coarse_voice_figures,
    "fine": fine_figures,
}

if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    sys.exit(main())
