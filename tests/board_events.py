"""Synthetic runs for the window and its view models: a plausible stream of events that depends on the seed alone."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from types import MappingProxyType
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from bark_infinity.requests import RenderRequest, RenderSettings
from bark_infinity.tokens import SUNO_TOKENS
from bark_infinity.voices.history import VoiceHistory
from digital_evolution import AddStatus, Candidate, Genome, Parent
from experiments.events import (
    Asked,
    Begun,
    Clip,
    Committed,
    Event,
    Judged,
    Notice,
    Progress,
    StateChanged,
    Told,
)
from fusion.score import Score, Term

SAMPLE_RATE = 24_000
OBJECTIVES = ("intelligibility", "cleanliness", "expressiveness")
WEIGHTS = (2.0, 1.0, 1.0)
OPERATORS = ("splice", "rerender", "tempo", "codebook_mix", "tags", "hesitations", "clause_crossover")
PROMPTS = (
    "Hello, my name is Suno. [laughs]",
    "♪ In the jungle, the mighty jungle ♪",
    "추석은 내가 가장 좋아하는 명절이다.",
    "WOMAN: I have a silky smooth voice… [sighs]",
    "你好，今天的天气真不错。",
    "Привет, как дела? — хорошо!",
    "नमस्ते दुनिया, कैसे हो?",
    "日本語のプロンプトです。",
    "Zażółć gęślą jaźń… Türkçe ışık",
    "[MAN] CAPITALS for EMPHASIS, 🎵 so anyway",
    "¿Qué tal? [music] ♫♪",
    "Guten Morgen, liebe Sorgen, seid ihr auch schon alle da?",
)
WORDS = ("well", "uh", "so", "[laughs]", "—", "very", "♪", "[gasps]", "really", "then")
_SPREAD = {"f0_median_hz": 8.0, "centroid_hz": 90.0, "onset_rate_hz": 0.25, "duration_s": 0.3, "rms_db": 1.0,
           "harmonicity_db": 1.0, "voiced_share": 0.03, "speaking_rate_cps": 0.7, "flatness": 0.01,
           "tilt_db_per_octave": 0.4}  # fmt: skip
_CENTRE = {"f0_median_hz": 160.0, "centroid_hz": 1700.0, "onset_rate_hz": 4.0, "duration_s": 3.0, "rms_db": -20.0,
           "harmonicity_db": 11.0, "voiced_share": 0.6, "speaking_rate_cps": 13.0, "flatness": 0.1,
           "tilt_db_per_octave": -6.0}  # fmt: skip
AXES = MappingProxyType(
    {
        "f0_median_hz": (80.0, 320.0, 12),
        "centroid_hz": (500.0, 4000.0, 10),
    }
)


def voice(number: int, n_semantic: int = 60) -> VoiceHistory:
    """A small valid voice, by its number."""
    rng = np.random.default_rng([11, number])
    fine = rng.integers(0, SUNO_TOKENS.codebook_size, (8, SUNO_TOKENS.frames_for(n_semantic)))  # (C, T)
    semantic = np.repeat(rng.integers(0, SUNO_TOKENS.semantic_vocab_size, n_semantic), rng.integers(1, 4, n_semantic))
    return VoiceHistory(semantic[:n_semantic], fine[:2], fine, name=f"voice {number}")


def clip(number: int, seconds: float = 2.0, f0_hz: float = 150.0, sample_rate: int = SAMPLE_RATE) -> Clip:
    """Syllables of a buzzing voice with pauses, by its number."""
    rng = np.random.default_rng([13, number])
    n_samples = int(seconds * sample_rate)
    at = np.arange(n_samples) / sample_rate
    glide = f0_hz * (1 + 0.15 * np.sin(2 * np.pi * 0.7 * at + rng.uniform(0, 6)))
    phase = 2 * np.pi * np.cumsum(glide) / sample_rate
    buzz = sum(np.sin(k * phase) / k for k in range(1, 9))
    envelope = np.zeros(n_samples)
    begin = 0.05
    while begin < seconds - 0.2:
        length = rng.uniform(0.12, 0.3)
        inside = (at >= begin) & (at < begin + length)
        envelope[inside] = rng.uniform(0.4, 1) * np.sin(np.pi * (at[inside] - begin) / length)
        begin += length + (rng.uniform(0.2, 0.5) if rng.random() < 0.2 else 0.03)
    audio = 0.35 * envelope * buzz + 0.002 * rng.standard_normal(n_samples)
    return Clip(np.clip(audio, -1, 1).astype(np.float32), sample_rate)


class _Packer(pickle.Pickler):
    """Events hold read-only mappings, which pickle does not know."""

    def reducer_override(self, value: object) -> Any:
        return (dict, (dict(value),)) if isinstance(value, MappingProxyType) else NotImplemented


def pack(event: Event, out: IO[bytes]) -> None:
    """Writes an event for `pickle.load`: for another process, or to have no object of it in this one."""
    _Packer(out).dump(event)


def synthetic_run(
    births: int,
    seed: int = 0,
    *,
    step_size: int = 8,
    mu: int = 12,
    clip_share: float = 0.0,
    map_elites: bool = False,
    judgements: bool = True,
    survivors: bool = True,
    name: str = "synthetic",
) -> Iterator[Event]:
    """A run of ``births`` births: founders, immigrants, a control arm, operators, rejected and failed ones.

    Args:
        births: How many, rounded up to whole steps of ``step_size``.
        seed: Of everything.
        step_size: Births planned at once.
        mu: Members of the population; of the map with ``map_elites`` there is one per cell of `AXES`.
        clip_share: Share of the births whose `Told` carries a clip.
        map_elites: Keep the best of every cell instead.
        judgements: Whether a person rates some.
        survivors: False: everything is rejected or fails.
        name: Of the run.
    """
    rng = np.random.default_rng(seed)
    algorithm: dict[str, Any] = {"kind": "mu-plus-lambda", "population": mu, "axes": []}
    if map_elites:
        axes = [{"measure": key, "low": low, "high": high, "cells": cells} for key, (low, high, cells) in AXES.items()]
        algorithm = {"kind": "map-elites", "axes": axes}
    config = {"algorithm": algorithm, "stop": {"evaluations": births}, "texts": ["Hello there."]}
    yield StateChanged("loading", "micro")
    yield Begun(1, name, seed, config, OBJECTIVES, WEIGHTS)
    yield StateChanged("running")
    living: dict[int, float] = {}
    place: dict[tuple[int, ...], int] = {}
    genomes: dict[int, Genome] = {}
    generations: dict[int, int] = {}
    latent: dict[int, tuple[float, NDArray[np.float64]]] = {}
    for step in range(-(-births // step_size)):
        numbers = range(step * step_size + 1, (step + 1) * step_size + 1)
        asked = [_candidate(birth, rng, list(living), genomes, generations) for birth in numbers]
        yield Asked(tuple(asked))
        told: list[tuple[Candidate, float, dict[str, float]]] = []
        for one in asked:
            if one.render_first is not None:
                one = one.with_voice(voice(one.birth % 40))
            genomes[one.birth], generations[one.birth] = one.genome, one.generation
            quality, measures = _latent(one, rng, latent)
            score = _score(one, quality, measures, rng, survivors)
            total = score.total(dict(zip(OBJECTIVES, WEIGHTS, strict=True))) if score.status == "ok" else None
            sound = None
            if score.status != "failed" and rng.random() < clip_share:
                sound = clip(one.birth, 1.5 + one.birth % 3 * 0.5, measures["f0_median_hz"])
            yield Told(one, score, total, sound, {"render_s": 1.2, "judge_s": 0.2})
            if total is not None:
                told.append((one, total, measures))
        became = {birth: AddStatus.NOT_ADDED for birth in numbers}
        for one, total, measures in told:
            if one.operator == "control":
                continue
            if not map_elites:
                living[one.birth] = total
                continue
            cell = _cell(measures)
            held = place.get(cell)
            if held is None or living[held] < total:
                became[one.birth] = AddStatus.NEW if held is None else AddStatus.IMPROVE_EXISTING
                if held is not None:
                    del living[held]
                place[cell], living[one.birth] = one.birth, total
        if not map_elites:
            room = len(living) <= mu
            living = dict(sorted(living.items(), key=lambda item: (item[1], item[0]), reverse=True)[:mu])
            became |= {one: AddStatus.NEW if room else AddStatus.IMPROVE_EXISTING for one in numbers if one in living}
        best = max(living, key=lambda one: (living[one], one), default=None)
        of_step = [total for one, total, _ in told if one.operator != "control"]
        yield Committed(became, tuple(living), best, max(of_step, default=None))
        if judgements and told and step % 3 == 1:
            yield Judged(step, "rating", told[0][0].birth, value=float(rng.integers(2)))
        done = numbers[-1]
        yield Progress(done, done, done / 900, 900.0, max(births - done, 0) / 900, f"births {done + 1} on")
        if step == 2:
            yield Notice("the recogniser does not know Polish: intelligibility is unknown there", "warning")
    yield StateChanged("done", f"{births} evaluations are done")


def _candidate(
    birth: int,
    rng: np.random.Generator,
    living: list[int],
    genomes: dict[int, Genome],
    generations: dict[int, int],
) -> Candidate:
    seed = int(rng.integers(2**63))
    if birth % 5 == 0 or birth <= len(PROMPTS) or not living or rng.random() < 0.05:
        operator = "control" if birth % 5 == 0 else "founder" if birth <= len(PROMPTS) else "immigrant"
        prompt = PROMPTS[(birth - 1) % len(PROMPTS)]
        return Candidate(birth, Genome(prompt, voice(int(rng.integers(40)))), operator=operator, seed=seed)
    operator = OPERATORS[int(rng.choice(len(OPERATORS), p=[0.25, 0.2, 0.1, 0.1, 0.15, 0.1, 0.1]))]
    crossed = operator in ("splice", "codebook_mix", "clause_crossover") and len(living) > 1
    chosen = [int(one) for one in rng.choice(living, 1 + crossed, replace=False)]
    first = genomes[chosen[0]]
    prompt, spoken, settings, render_first = first.prompt, first.voice, first.settings, None
    if operator in ("tags", "hesitations", "clause_crossover"):
        words = prompt.split()
        words.insert(int(rng.integers(len(words) + 1)), str(rng.choice(WORDS)))
        prompt = " ".join(words[-14:])
    elif operator == "rerender":
        spoken, render_first = None, RenderRequest(semantic=voice(birth % 40).semantic, voice=first.voice, seed=seed)
    elif operator in ("splice", "codebook_mix"):
        spoken = voice(int(rng.integers(40)))
    else:
        settings = RenderSettings(semantic_temp=round(float(rng.uniform(0.5, 0.9)), 2))
    generation = 1 + max(generations[one] for one in chosen)
    parents = tuple(Parent(one, ("first", "second")[i]) for i, one in enumerate(chosen))
    drawn = {"at": int(rng.integers(100)), "share": round(float(rng.random()), 3)}
    genome = Genome(prompt, spoken, settings)
    return Candidate(birth, genome, parents, operator, 1, drawn, generation, seed, render_first=render_first)


def _latent(
    one: Candidate, rng: np.random.Generator, latent: dict[int, tuple[float, NDArray[np.float64]]]
) -> tuple[float, dict[str, float]]:
    """Hidden quality and measures: near the first parent's, better by a little on average."""
    noise = rng.standard_normal(len(_CENTRE))
    if one.parents:
        quality, at = latent[one.parents[0].birth]
        quality, at = quality + rng.normal(-0.02, 0.08), at + noise
    else:
        quality, at = rng.normal(-0.2, 0.25), 3 * noise
    latent[one.birth] = quality, at
    measures = {
        key: max(_CENTRE[key] + _SPREAD[key] * float(offset), 0.01 if _CENTRE[key] > 0 else -60.0)
        for key, offset in zip(_CENTRE, at, strict=True)
    }
    return quality, measures


def _score(one: Candidate, quality: float, measures: dict[str, float], rng: np.random.Generator, fit: bool) -> Score:
    fate = rng.random() if fit else 0.1 * rng.random()
    if fate < 0.02:
        return Score("failed", reason="out of memory in the coarse stage; give a smaller batch")
    if fate < 0.1:
        reason, evidence = ("loop: 0.52 of its tokens were said before; the limit is 0.35", {"loop_share": 0.52})
        if one.birth % 2:
            reason, evidence = ("silent: its loudest frame has -61 dBFS; the limit is -50", {"loudest_db": -61.0})
        return Score("rejected", reason=reason, evidence=evidence, measures={"duration_s": measures["duration_s"]})
    terms = {}
    for index, key in enumerate(OBJECTIVES):
        value = float(1 / (1 + np.exp(-2.5 * quality - rng.normal(0, 0.3) - 0.3 * index)))
        terms[key] = Term(key, value, 1, 1 - value, "word error rate" if index == 0 else "share")
    return Score("ok", terms, measures=measures)


def _cell(measures: dict[str, float]) -> tuple[int, ...]:
    return tuple(
        min(int((min(max(measures[key], low), high) - low) / (high - low) * cells), cells - 1)
        for key, (low, high, cells) in AXES.items()
    )
