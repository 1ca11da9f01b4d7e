"""Evaluators without models: what comes of a candidate is written in its prompt, so any process finds the same.

A prompt is a deed and what it needs: ``fine 0.7``, ``slow 0.2`` (seconds), ``raise in judge``, ``hang``, ``exit 3``,
``signal 9``, ``crash`` (native code), ``eat 8`` (GiB), ``unsendable``, ``print``. Everything but the first two goes
wrong, each time it is tried.
"""

from __future__ import annotations

import faulthandler
import hashlib
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from types import MappingProxyType

import numpy as np

from bark_infinity.error_handling import BarkError
from bark_infinity.requests import Rendering
from bark_infinity.tokens import BarkTokens
from digital_evolution import Candidate, Genome
from experiments.evaluation import Evaluated, Job, Rendered, Trial, failed
from fusion.score import Score, Term

RATE = 24_000


def job(birth: int, prompt: str) -> Job:
    return Job(Candidate(birth, Genome(prompt, content_lock=False), seed=birth), (Trial(prompt, birth),))


def jobs(*prompts: str) -> list[Job]:
    return [job(birth, prompt) for birth, prompt in enumerate(prompts, 1)]


class FakeEvaluator:
    """Does what prompts say."""

    def __init__(self, folder: str | None = None, clip_s: float = 0.01) -> None:
        self.folder = folder  # where a file tells of every attempt
        self.clip_s = clip_s
        self.cancelled = threading.Event()
        self.closed = False

    def render(self, jobs: Sequence[Job]) -> list[Rendered]:
        for one in jobs:
            self._note(one)
        return [self._rendered(one) for one in jobs]

    def judge(self, rendered: Sequence[Rendered]) -> list[Evaluated]:
        return [self._judged(one) for one in rendered]

    def cancel(self) -> None:
        self.cancelled.set()

    def close(self) -> None:
        self.closed = True

    def _note(self, one: Job) -> None:
        if self.folder is not None:
            with open(os.path.join(self.folder, f"{one.candidate.birth}.tries"), "a", encoding="ascii") as file:
                file.write(f"{os.getpid()}\n")

    def _rendered(self, one: Job) -> Rendered:
        match one.candidate.genome.prompt.split():
            case ["slow", seconds]:
                self.cancelled.wait(float(seconds))
            case ["raise", "in", "render"]:
                raise ValueError("a planted error")
            case ["hang"]:
                time.sleep(3600)
            case ["exit", code]:
                os._exit(int(code))
            case ["leave"]:
                sys.exit(4)
            case ["signal", number]:
                os.kill(os.getpid(), int(number))
            case ["crash"]:
                faulthandler._sigsegv()
            case ["eat", gib]:
                np.ones(int(float(gib) * 2**30), np.uint8)
            case ["print"]:
                print("something a library says")
                os.write(1, b"\x00\xff" * 50)
                logging.getLogger("a.library").warning("a warning of a library")
        rng = np.random.default_rng(one.trials[0].seed)
        audio = rng.uniform(-0.5, 0.5, int(self.clip_s * RATE)).astype(np.float32)
        return Rendered(one, one.candidate, (Rendering(BarkTokens(rng.integers(0, 99, 20)), "eos", audio),))

    def _judged(self, one: Rendered) -> Evaluated:
        if one.failure is not None:
            return failed(one.candidate, one.failure)
        prompt = one.candidate.genome.prompt
        if prompt == "raise in judge":
            raise ValueError("a planted error")
        if prompt == "hang in judge":
            time.sleep(3600)
        value = int.from_bytes(hashlib.sha256(prompt.encode()).digest()[:4]) / 2**32
        words = prompt.split()
        if words[0] == "fine":
            value = float(words[1])
        clip = one.renderings[0]
        assert clip.audio is not None
        score = Score(
            "ok", {"planted": Term("planted", value, 1)}, measures={"level": float(np.abs(clip.audio).mean())}
        )
        timings = MappingProxyType({"judge_s": threading.Lock() if prompt == "unsendable" else 0.0})
        return Evaluated(one.candidate, score, clip, timings=timings)


def broken_factory() -> FakeEvaluator:
    raise BarkError("no model in a/b; give another folder")


def dying_factory() -> FakeEvaluator:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def hanging_factory() -> FakeEvaluator:
    time.sleep(3600)
    raise AssertionError


def hungry_factory() -> FakeEvaluator:
    """An evaluator in a process that may not grow by more than 2 GiB."""
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
    return FakeEvaluator()


def outcome(one: Evaluated) -> tuple[object, ...]:
    """Everything about an outcome that must not depend on where it was made."""
    clip = None if one.rendering is None or one.rendering.audio is None else one.rendering.audio.tobytes()
    terms = {name: term.value for name, term in one.score.terms.items()}
    return one.candidate.birth, one.candidate, one.score.status, one.score.reason, terms, dict(one.score.measures), clip
