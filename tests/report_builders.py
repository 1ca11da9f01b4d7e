"""A run as an evening leaves it, for reports: both arms, several operators, rejections, failures, clips, judgements."""

from __future__ import annotations

from typing import Any

import numpy as np
from lineage_builders import voice

from bark_infinity.requests import Rendering, StageStats
from bark_infinity.tokens import BarkTokens
from digital_evolution import Candidate, Genome, Parent
from experiments.lineage import Lineage, people
from experiments.lineage.clips import keep_clip
from fusion.score import Score, Term

RATE = 24_000
WEIGHTS = {"f0_median_hz": 2.0, "intelligibility": 1.0, "cleanliness": 1.0}
OPERATORS = {
    "splice": {"head_stop": 31, "tail_start": 12, "reads": (341, 256)},
    "tempo": {"length_permille": 1084, "reads": (341, 256)},
    "rerender_fine": {"fine_temp_percent": 55, "reads": (341, 256)},
    "tag_insert": {"at": 2, "tag": "[laughs]"},
    "hesitation_insert": {"at": 1, "mark": "…", "edits": 2, "2/at": 4, "2/mark": "—"},
}
PROMPTS = (
    "Good morning, and welcome.",
    "안녕하세요, 만나서 반갑습니다.",
    "صباح الخير يا أصدقاء",
    "♪ Row, row, row your boat ♪",
)
CONFIG: dict[str, Any] = {"algorithm": {"kind": "mu-plus-lambda", "population": 12}, "founders": {"prompts": PROMPTS}}


def tone(hz: float, seconds: float = 1.2) -> np.ndarray:
    """(S,) a note with overtones that fades."""
    at = np.arange(round(seconds * RATE)) / RATE
    return sum(np.sin(2 * np.pi * hz * n * at) * 0.2 / n for n in range(1, 7)) * np.exp(-at)  # type: ignore[return-value]


def evolved_run(
    lineage: Lineage,
    births: int = 240,
    *,
    name: str = "An evening's run",
    config: dict[str, Any] = CONFIG,
    prompts: tuple[str, ...] = PROMPTS,
    clips: int = 12,
    said: bool = True,
    seed: int = 5,
) -> int:
    """Records a run whose children are a little better than their parents; every fifth birth is of the control arm."""
    rng = np.random.default_rng(seed)
    run = lineage.begin_run(
        name,
        config=config,
        seed=2**64 - 3,
        versions={"victor-bark-fusion": "0.1.0", "torch": "2.13.0", "python": "3.11.9"},
        checkpoints={"micro": "9f" * 32},
        weights=WEIGHTS,
    )
    living: list[tuple[float, int, Candidate]] = []
    pitch: dict[int, float] = {}
    totals: dict[int, float] = {}
    for birth in range(1, births + 1):
        candidate, quality, pitch[birth] = _born(rng, birth, living, pitch, prompts)
        lineage.record_asked(run.run_id, [candidate])
        score = _judged(rng, birth, quality, pitch[birth])
        lineage.record_told(run.run_id, candidate, score, _rendered(birth))
        if score.status == "ok":
            totals[birth] = score.total(WEIGHTS)
            if candidate.operator != "control":
                living = sorted([*living, (quality, birth, candidate)], key=lambda one: -one[0])[:12]
    best = sorted(totals, key=lambda birth: -totals[birth])
    for birth in best[:clips]:
        keep_clip(lineage, run.run_id, birth, tone(pitch[birth]).astype(np.float32), RATE)
    if said:
        _said(lineage, run.run_id, best)
    lineage.set_state(run.run_id, "done", f"{births} evaluations are done")
    return run.run_id


def _born(
    rng: np.random.Generator,
    birth: int,
    living: list[tuple[float, int, Candidate]],
    pitch: dict[int, float],
    prompts: tuple[str, ...],
) -> tuple[Candidate, float, float]:
    seed = int(rng.integers(2**62))
    genome = Genome(prompts[birth % len(prompts)], voice(birth % 13))
    if birth % 5 == 0 or birth <= 4 or not living:
        operator = "control" if birth % 5 == 0 else "founder"
        return Candidate(birth, genome, operator=operator, seed=seed), rng.normal(0.42, 0.08), rng.uniform(80, 260)
    chosen = [living[int(at)] for at in rng.integers(0, len(living), 2)]
    operator = list(OPERATORS)[int(rng.integers(len(OPERATORS)))]
    parents = [Parent(chosen[0][1], "first")]
    if operator == "splice" and chosen[1][1] != chosen[0][1]:
        parents.append(Parent(chosen[1][1], "second"))
    generation = 1 + chosen[0][2].generation
    drift = {"splice": 0.0, "tempo": -0.01, "rerender_fine": -0.02, "tag_insert": -0.03, "hesitation_insert": -0.05}
    said = chosen[0][2].genome.prompt
    if operator == "tag_insert" and "[laughs]" not in said:
        said += " [laughs]"
    genome = Genome(said, genome.voice)
    candidate = Candidate(birth, genome, tuple(parents), operator, 1, OPERATORS[operator], generation, seed, rate=1.25)
    return candidate, chosen[0][0] + rng.normal(drift[operator], 0.04), pitch[chosen[0][1]] + rng.normal(0, 12)


def _judged(rng: np.random.Generator, birth: int, quality: float, hz: float) -> Score:
    if birth % 17 == 6:
        share = f"{rng.uniform(0.4, 0.9):.2f}"
        return Score("rejected", reason=f"looping: {share} of the tokens were said before", evidence={"share": 0.5})
    if birth % 23 == 9:
        return Score("rejected", reason="too_long: 2.9 times its text's usual time")
    if birth % 61 == 7:
        return Score("failed", reason="rendering: out of memory")
    value = float(np.clip(quality, 0.02, 0.98))
    terms = {
        "f0_median_hz": Term("f0_median_hz", value, 1, hz, "Hz"),
        "intelligibility": Term(
            "intelligibility", float(np.clip(value + rng.normal(0, 0.1), 0, 1)), 1, 0.3, "letter errors"
        ),
        "cleanliness": Term("cleanliness", float(np.clip(value + rng.normal(0, 0.05), 0, 1)), 1),
    }
    measures = {"f0_median_hz": hz, "centroid_hz": 1_000 + 8 * hz * rng.uniform(0.8, 1.2), "duration_s": 2.1}
    return Score("ok", terms, measures=measures)


def _rendered(birth: int) -> Rendering:
    made = voice(3_000 + birth % 40)
    stats = {"semantic": StageStats(20, 19, 2, -1.25)}
    return Rendering(BarkTokens(made.semantic, made.coarse, made.fine), "eos", stats=stats)


def _said(lineage: Lineage, run_id: int, best: list[int]) -> None:
    people.judge(lineage, run_id, "better", best[0], best[9], rater="Ada", session="evening")
    people.judge(lineage, run_id, "better", best[1], best[8], rater="Ada", session="evening")
    people.judge(lineage, run_id, "better", best[7], best[2], rater="Grace <b>", session="evening")
    people.judge(lineage, run_id, "equal", best[3], best[4], rater="Ada")
    people.judge(lineage, run_id, "rating", best[0], value=1.0, rater="Grace <b>")
    people.tag(lineage, run_id, best[0], "favourite")
    people.tag(lineage, run_id, best[0], "narrator")
    people.note(lineage, run_id, best[0], "Warm, and no lisp any more. <em>Keep!</em>")
