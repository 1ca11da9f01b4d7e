"""Every figure in the model card, measured on the packed asset through the shipped engine.

Speakers are held out (two espeak-ng variants and random voices never trained on), phrases too, and half of them have
a shape that training never saw. Next to every figure stand its ceiling (espeak-ng's own recording, judged the same
way) and, for speech, the untrained control: random transformers behind the trained codec.
"""

from __future__ import annotations

import dataclasses
import logging
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bark_infinity.engine import BarkEngine
from bark_infinity.requests import Rendering, RenderRequest
from bark_infinity.voices.history import VoiceHistory
from experiments.micro import codec, corpus, labels, layout, measures, pack, speakers, texts
from experiments.micro.recogniser import Recogniser, WordScore, phrase_grammar, sentence_grammar

log = logging.getLogger(__name__)
HISTORY_TEXTS = (
    "hello, this is my natural voice, how do you like it today.",
    "please listen to the way that i am speaking now.",
)
BATCH = 16


@dataclass(frozen=True)
class Bar:
    """One figure against its bar."""

    name: str
    value: float
    bar: float
    at_least: bool = True

    @property
    def met(self) -> bool:
        """Whether the bar is met."""
        return self.value >= self.bar if self.at_least else self.value <= self.bar

    def __str__(self) -> str:
        sign = ">=" if self.at_least else "<="
        return f"{'met   ' if self.met else 'MISSED'} {self.name}: {self.value:.3f} (bar {sign} {self.bar})"


@dataclass(frozen=True)
class Case:
    """A phrase by a held-out speaker: espeak-ng's rendering, and a history of the same speaker."""

    text: str
    speaker: speakers.Speaker
    samples: np.ndarray  # float32 (S,) in [-1, 1]
    semantic: np.ndarray
    codes: np.ndarray
    history_samples: np.ndarray
    voice: VoiceHistory


@dataclass
class Bench:
    """What all measurements share."""

    asset: Path
    out: Path
    seed: int = 0
    results: dict[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        torch.set_num_threads(1)
        self.engine = BarkEngine.load(self.asset, device="cpu", precision="fp32")
        self.codec = codec.from_asset(self.asset)
        self.studio = corpus.Studio(self.out / "voices")
        self.phrases = Recogniser(phrase_grammar())
        self.sentences = Recogniser(sentence_grammar(texts.EVERYDAY))

    def record(self, text: str, speaker: speakers.Speaker) -> tuple[np.ndarray, labels.Labelled, np.ndarray]:
        """Codes, labels and samples of one sentence."""
        return pack.encode_voice(self.studio, self.codec, text, speaker)

    def case(self, text: str, speaker: speakers.Speaker, number: int, rate_wpm: int | None = None) -> Case:
        """A test case; the history may be slower or faster than the reference."""
        codes, labelled, samples = self.record(text + ".", speaker)
        of_history = speaker if rate_wpm is None else dataclasses.replace(speaker, rate_wpm=rate_wpm)
        history, history_labels, history_samples = self.record(HISTORY_TEXTS[number % 2], of_history)
        fine = history.astype(np.int64)
        voice = VoiceHistory(history_labels.semantic.astype(np.int64), fine[: layout.N_COARSE], fine, space=pack.SPACE)
        return Case(text, speaker, samples, labelled.semantic, codes, history_samples, voice)

    def cases(self, n: int) -> list[Case]:
        """Held-out phrases by held-out speakers; half of the phrases have a held-out shape."""
        rng = np.random.default_rng((self.seed, 77))
        made = []
        for number in range(n):
            phrase = texts.judged_phrase(rng, held_out_shape=number // 2 % 2 == 1)
            made.append(self.case(phrase, speakers.draw_unseen(rng, number), number))
        return made

    def render(self, requests: list[RenderRequest], engine: BarkEngine | None = None) -> list[Rendering]:
        """Renders in batches."""
        done: list[Rendering] = []
        for start in range(0, len(requests), BATCH):
            done += (engine or self.engine).render(requests[start : start + BATCH])
            log.info("evaluate: rendered %d of %d", len(done), len(requests))
        return done

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """Samples of any number of codebooks, the codec's delay taken off."""
        return codec.decode(self.codec, codes)[codec.DELAY :]

    def words(self, cases: list[Case], heard: list[np.ndarray]) -> dict[str, float]:
        """Recognises what is to be heard for each case."""
        score = WordScore()
        for case, samples in zip(cases, heard, strict=True):
            score.add(case.text, self.phrases(samples))
        return score.summary()


def sound(rendering: Rendering) -> np.ndarray:
    """What is to be heard of a rendering, possibly nothing."""
    return np.zeros(0, np.float32) if rendering.audio is None else rendering.audio


def codec_bars(bench: Bench, cases: list[Case]) -> list[Bar]:
    """Bar 1: the codec against the original."""
    original = bench.words(cases, [case.samples for case in cases])
    bench.results["original"] = original
    bars = []
    for n_books, share, error in ((8, 0.95, 0.2), (2, 0.90, 0.3)):
        made = [bench.decode(case.codes[:n_books]) for case in cases]
        score = bench.words(cases, made)
        errors = [measures.pitch_error(case.samples, made[i]) for i, case in enumerate(cases)]
        pitch = float(np.mean([e for e in errors if e is not None]))
        mel = float(np.mean([measures.log_mel_distance(c.samples, m) for c, m in zip(cases, made, strict=True)]))
        bench.results[f"codec_{n_books}"] = {**score, "pitch_error": pitch, "log_mel": mel}
        relative = score["words"] / original["words"]
        bars.append(Bar(f"codec {n_books} codebooks, words relative to original", relative, share))
        bars.append(Bar(f"codec {n_books} codebooks, pitch error in semitones", pitch, error, at_least=False))
    return bars


def acoustic_bars(bench: Bench, cases: list[Case]) -> list[Bar]:
    """Bar 2: true semantics to speech, and what the fine stage adds."""
    requests = [RenderRequest(semantic=c.semantic, voice=c.voice, seed=i) for i, c in enumerate(cases)]
    done = bench.render(requests)
    full = bench.words(cases, [sound(d) for d in done])
    two = bench.words(cases, [bench.decode(d.tokens.coarse) for d in done])
    given = [
        RenderRequest(semantic=c.semantic, coarse=c.codes[: layout.N_COARSE], voice=c.voice, seed=i)
        for i, c in enumerate(cases)
    ]
    filled = bench.render(given)
    late = codec.DELAY
    mel_fine = [measures.log_mel_distance(c.samples, sound(f)[late:]) for c, f in zip(cases, filled, strict=True)]
    true_two_audio = [bench.decode(c.codes[: layout.N_COARSE]) for c in cases]
    mel_two = [measures.log_mel_distance(c.samples, a) for c, a in zip(cases, true_two_audio, strict=True)]
    true_fine = bench.words(cases, [sound(f) for f in filled])
    true_two = bench.words(cases, true_two_audio)
    bench.results["true_semantics"] = {"fine": full, "two_codebooks": two}
    bench.results["true_coarse"] = {
        "fine": {**true_fine, "log_mel": float(np.mean(mel_fine))},
        "two_codebooks": {**true_two, "log_mel": float(np.mean(mel_two))},
    }
    return [
        Bar("true semantics to speech, words", full["words"], 0.88),
        Bar("fine stage: words gained over two codebooks", true_fine["words"] - true_two["words"], 0.0),
        Bar("fine stage: log-mel gained over two codebooks", float(np.mean(mel_two) - np.mean(mel_fine)), 0.0),
    ]


def speech_bars(bench: Bench, cases: list[Case]) -> list[Bar]:
    """Bars 3, 4 and 5 on the judged phrases."""
    requests = [RenderRequest(text=c.text + ".", voice=c.voice, seed=i) for i, c in enumerate(cases)]
    done = bench.render(requests)
    score = bench.words(cases, [sound(d) for d in done])
    seen = [i for i in range(len(cases)) if i // 2 % 2 == 0]
    bench.results["text_to_speech"] = score
    for name, chosen in (("seen_shapes", seen), ("held_out_shapes", sorted(set(range(len(cases))) - set(seen)))):
        heard = [sound(done[i]) for i in chosen]
        bench.results[f"text_to_speech_{name}"] = bench.words([cases[i] for i in chosen], heard)
    control = _control(bench, cases[: max(8, len(cases) // 4)])
    stopped = float(np.mean([d.stopped == "eos" for d in done]))
    ratios = np.array([len(d.tokens.semantic) / len(c.semantic) for d, c in zip(done, cases, strict=True)])
    return [
        Bar("text to speech, words", score["words"], 0.86),
        Bar("text to speech, whole phrases", score["phrases"], 0.55),
        Bar("untrained control, words", control, 0.20, at_least=False),
        *_voice_bars(bench, cases, done),
        Bar("stops by itself", stopped, 0.98),
        Bar("duration 0.7 to 1.4 of espeak's", float(((ratios >= 0.7) & (ratios <= 1.4)).mean()), 0.90),
    ]


def _control(bench: Bench, cases: list[Case]) -> float:
    with tempfile.TemporaryDirectory() as directory:
        target = Path(directory)
        pack.write_untrained(bench.asset, target)
        engine = BarkEngine.load(target, device="cpu", precision="fp32")
        requests = []
        for number, case in enumerate(cases):  # it never stops by itself: give it the true length
            rng = np.random.default_rng(number)
            noise = rng.integers(layout.SEMANTIC_VOCAB, size=len(case.semantic))
            requests.append(RenderRequest(semantic=noise, voice=case.voice, seed=number))
        done = bench.render(requests, engine)
    score = bench.words(cases, [sound(d) for d in done])
    bench.results["untrained_control"] = score
    return score["words"]


def _voice_bars(bench: Bench, cases: list[Case], done: list[Rendering]) -> list[Bar]:
    """Bar 4: pitch and timbre follow the history."""
    wanted = np.array([measures.median_pitch(c.history_samples) for c in cases])
    got = np.array([measures.median_pitch(sound(d)) for d in done])
    voiced = (wanted > 0) & (got > 0)
    distance = np.abs(measures.semitones(got[voiced][:, None], wanted[voiced][None]))
    own = float(np.median(np.diag(distance)))
    others = float(np.median(distance[~np.eye(len(distance), dtype=bool)]))
    correlation = float(np.corrcoef(np.log(wanted[voiced]), np.log(got[voiced]))[0, 1])
    loud = [i for i, d in enumerate(done) if len(sound(d)) > 4800]
    ranks = measures.own_ranks([cases[i].history_samples for i in loud], [sound(done[i]) for i in loud])
    rank_share = float(np.median(ranks) / len(loud))
    bench.results["voice"] = {
        **{"pitch_correlation": correlation, "pitch_error": own, "pitch_error_shuffled": others},
        **{"voiced": int(voiced.sum()), "timbre_median_rank": float(np.median(ranks)), "n": len(loud)},
    }
    return [
        Bar("log-F0 correlation with the history", correlation, 0.85),
        Bar("pitch error to the history in semitones", own, 2.0, at_least=False),
        Bar("shuffled histories: how many times worse", others / max(own, 1e-3), 2.0),
        Bar("own voice's median timbre rank as a share", rank_share, 1 / 6, at_least=False),
    ]


def rate_bars(bench: Bench, n: int) -> list[Bar]:
    """Bar 4, rate: the same phrases after slow and fast histories."""
    rng = np.random.default_rng((bench.seed, 88))
    lengths = {}
    phrases = [(texts.judged_phrase(rng, number % 2 == 1), speakers.draw_unseen(rng, number)) for number in range(n)]
    for rate in (125, 220):
        cases = [bench.case(text, speaker, i, rate_wpm=rate) for i, (text, speaker) in enumerate(phrases)]
        requests = [RenderRequest(text=c.text + ".", voice=c.voice, seed=i) for i, c in enumerate(cases)]
        lengths[rate] = [len(d.tokens.semantic) for d in bench.render(requests)]
    ratio = float(np.mean(np.array(lengths[125]) / np.maximum(1, np.array(lengths[220]))))
    bench.results["rate"] = {"slow_to_fast_duration": ratio, "n": n}
    return [Bar("slow to fast history, ratio of durations", ratio, 1.25)]


def everyday_bars(bench: Bench) -> list[Bar]:
    """Bar 3: everyday sentences, by held-out speakers."""
    rng = np.random.default_rng((bench.seed, 99))
    cases = [bench.case(text, speakers.draw_unseen(rng, i), i) for i, text in enumerate(texts.EVERYDAY)]
    done = bench.render([RenderRequest(text=c.text + ".", voice=c.voice, seed=i) for i, c in enumerate(cases)])
    errors = [measures.phone_errors(c.semantic, d.tokens.semantic) for c, d in zip(cases, done, strict=True)]
    rate = sum(e for e, _ in errors) / sum(n for _, n in errors)
    picked = float(np.mean([bench.sentences(sound(d)) == c.text.lower() for c, d in zip(cases, done, strict=True)]))
    ceiling = float(np.mean([bench.sentences(c.samples) == c.text.lower() for c in cases]))
    bench.results["everyday"] = {"phone_errors": rate, "picked": picked, "picked_original": ceiling, "n": len(cases)}
    return [
        Bar("everyday sentences, folded phone errors", rate, 0.10, at_least=False),
        Bar("everyday sentences picked among 40", picked, 0.80),
    ]


def speed_bars(bench: Bench) -> list[Bar]:
    """Bar 6: one core, one request at a time, warm."""
    case = bench.case("the red dog runs today", speakers.Speaker("m1", 50, 170), 0)
    request = RenderRequest(text="the red dog runs today.", voice=case.voice, seed=1)
    bench.engine.render([request])
    spent, heard = 0.0, 0.0
    for seed in range(5):
        started = time.process_time()
        done = bench.engine.render([dataclasses.replace(request, seed=seed)])[0]
        spent += time.process_time() - started
        heard += len(sound(done)) / layout.SAMPLE_RATE
    bench.results["speed"] = {"times_real_time": heard / spent, "cpu_seconds": spent / 5, "seconds": heard / 5}
    return [
        Bar("times faster than real time on one core", heard / spent, 2.5),
        Bar("CPU seconds to a short sentence, warm", spent / 5, 1.5, at_least=False),
    ]


PARTS = ("codec", "acoustic", "speech", "everyday", "rate", "speed")


def evaluate(
    asset: Path, out: Path, n: int = 128, only: tuple[str, ...] = PARTS
) -> tuple[list[Bar], dict[str, object]]:
    """Measures every bar and logs them as they come.

    Args:
        asset: Packed model.
        out: Scratch directory for espeak-ng's voices.
        n: Judged phrases.
        only: Which of `PARTS`; several processes may share the work.

    Returns:
        The bars, and all figures behind them.
    """
    bench = Bench(asset, out)
    cases = bench.cases(n) if {"codec", "acoustic", "speech"} & set(only) else []
    measures_by_part: dict[str, Callable[[], list[Bar]]] = {
        "codec": lambda: codec_bars(bench, cases),
        "acoustic": lambda: acoustic_bars(bench, cases),
        "speech": lambda: speech_bars(bench, cases),
        "everyday": lambda: everyday_bars(bench),
        "rate": lambda: rate_bars(bench, max(16, n // 4)),
        "speed": lambda: speed_bars(bench),
    }
    bars: list[Bar] = []
    for part in only:
        bars += _shown(measures_by_part[part]())
    return bars, bench.results


def report_of(bars: list[Bar], figures: dict[str, object]) -> dict[str, Any]:
    """What `card.write` and scripts read."""
    return {"bars": [{**dataclasses.asdict(bar), "met": bar.met} for bar in bars], "figures": figures}


def _shown(bars: list[Bar]) -> list[Bar]:
    for bar in bars:
        log.info("%s", bar)
    return bars
