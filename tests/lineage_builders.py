"""Small lineages for tests: voices, candidates and results that depend on their numbers alone."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np

from bark_infinity.requests import Rendering, RenderRequest, RenderSettings, StageStats
from bark_infinity.tokens import SUNO_TOKENS, BarkTokens
from bark_infinity.voices.history import VoiceHistory
from digital_evolution import Candidate, Genome, Parent
from experiments.lineage import Lineage
from fusion.score import Score, Term

DATA = Path(__file__).parent / "data"
FIXTURE_CONTENT = "a76e1fe9a6907859b76137898a342377288464e4e9b675123644096f1510e2fc"  # of the 12 births in all fixtures

WEIGHTS = {"intelligibility": 2.0, "pitch": 1.0}


def voice(number: int, n_semantic: int = 20) -> VoiceHistory:
    rng = np.random.default_rng(number)
    fine = rng.integers(0, SUNO_TOKENS.codebook_size, (8, SUNO_TOKENS.frames_for(n_semantic)))  # (C, T)
    return VoiceHistory(rng.integers(0, SUNO_TOKENS.semantic_vocab_size, n_semantic), fine[:2], fine)


def candidate(birth: int) -> Candidate:
    """Births 1 to 4 are founders; later ones have one or two parents, and every seventh is an immigrant."""
    rng = np.random.default_rng([7, birth])
    seed = int(rng.integers(2**63)) * 2 + 1  # beyond what SQLite's integers hold
    if birth <= 4 or birth % 7 == 0:
        operator = "founder" if birth <= 4 else "immigrant"
        return Candidate(birth, Genome(f"Hello {birth}.", voice(birth)), operator=operator, seed=seed)
    first, second = (int(one) for one in rng.choice(np.arange(1, birth), 2, replace=False))
    parents = (Parent(first, "first"), Parent(second, "second"))[: 1 + birth % 2]
    settings = RenderSettings(semantic_temp=0.5 + 0.1 * (birth % 3))
    drawn = {"begin": birth, "share": 1 / birth, "codebooks": (0, 1), "words": ("♪", "uh")}
    if birth % 5 == 0:
        first_step = RenderRequest(semantic=voice(birth).semantic, voice=voice(first), seed=birth)
        genome = Genome("… render me", None, settings, content_lock=False)
        return Candidate(birth, genome, parents, "rerender", 2, drawn, generation(birth), seed, 1, 0.5, first_step)
    genome = Genome(f"Hello ♪ {first}", voice(birth % 9), settings)
    return Candidate(birth, genome, parents, ("splice", "crop")[birth % 2], 1, drawn, generation(birth), seed)


def generation(birth: int) -> int:
    return birth // 10 + 1


def heard(one: Candidate) -> Candidate:
    """The candidate as it is told: with the voice that had to be rendered first."""
    return one if one.render_first is None else one.with_voice(voice(1000 + one.birth))


def score(birth: int) -> Score:
    if birth % 8 == 3:
        return Score("rejected", reason="it does not end", evidence={"longest_run": float(birth)})
    if birth % 11 == 5:
        return Score("failed", reason="out of memory")
    rng = np.random.default_rng([3, birth])
    terms = {
        "intelligibility": Term("intelligibility", float(rng.random()), 1, float(rng.random()), "word error rate"),
        "pitch": Term("pitch", float(rng.random()), 2),
    }
    # Not among the 12 births of the fixtures: schemas 1 and 2 could not keep it.
    unknown = {"likeness": "no reference is given"} if birth % 13 == 0 else {}
    return Score("ok", terms, measures={"f0_median_hz": float(rng.random() * 200), "pauses": 3.0}, unknown=unknown)


def rendering(birth: int) -> Rendering | None:
    if score(birth).status == "failed":
        return None
    if birth % 8 == 3:
        return Rendering(BarkTokens(), "empty", stats={"semantic": StageStats(0, 0, 0, float("nan"))})
    made = voice(2000 + birth)
    return Rendering(
        BarkTokens(made.semantic, made.coarse, made.fine),
        "eos",
        np.zeros(480, np.float32),
        stats={"semantic": StageStats(20, 19, 2, -1.25)},
        notices=("dropped 'ﬀ'",),
    )


def begin(lineage: Lineage, name: str = "voices") -> int:
    config = {"algorithm": "mu+lambda", "texts": ["Hello."], "mu": 4}
    return lineage.begin_run(
        name,
        config=config,
        seed=2**64 - 1,
        versions={"python": "3"},
        checkpoints={"m": "00ff"},
        weights=WEIGHTS,
        execution={"workers": 2},
    ).run_id


def evolve(lineage: Lineage, births: int, *, batch: int = 4, name: str = "voices", first: int = 1) -> int:
    """Asks for births and tells all of them, batch by batch; returns the run."""
    run_id = begin(lineage, name)
    for start in range(first, births + 1, batch):
        asked = [candidate(birth) for birth in range(start, min(start + batch, births + 1))]
        lineage.record_asked(run_id, asked)
        for one in asked:
            lineage.record_told(run_id, heard(one), score(one.birth), rendering(one.birth))
    return run_id


def fixture(version: int, path: Path) -> Path:
    """A file of 12 births as the program of that schema version left it."""
    connection = sqlite3.connect(path)
    connection.executescript((DATA / f"lineage_v{version}.sql").read_text("utf-8"))
    connection.close()
    return path
