"""The outside judge: pocketsphinx with a small grammar, dithered, a fresh decoder for every utterance.

Two traps are closed here. Digital silence confuses the recogniser (0.79 of words instead of 0.99 on the same
speech), so white noise is added; and its channel adaptation carries over between utterances, so no decoder is used
twice.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.signal import resample_poly

from experiments.micro import texts

FUNCTION_WORDS = frozenset({"the", "give", "me", "my"})


def phrase_grammar() -> str:
    """A grammar of the judged template shapes."""
    shapes = (*texts.JUDGED_SHAPES, *texts.HELD_OUT_SHAPES)
    rules = [f"<{slot}> = {' | '.join(words)};" for slot, words in texts.SLOTS.items() if slot != "s"]
    body = " | ".join(shape.replace("{", "<").replace("}", ">") for shape in shapes)
    return "#JSGF V1.0;\ngrammar phrases;\n" + "\n".join(rules) + f"\npublic <phrase> = {body};\n"


def sentence_grammar(sentences: tuple[str, ...]) -> str:
    """A grammar that allows exactly these sentences."""
    return "#JSGF V1.0;\ngrammar sentences;\npublic <s> = " + " | ".join(s.lower() for s in sentences) + ";\n"


class Recogniser:
    """Recognises one utterance at a time under a grammar."""

    def __init__(self, grammar: str):
        self._directory = tempfile.TemporaryDirectory()
        self._path = Path(self._directory.name) / "grammar.gram"
        self._path.write_text(grammar, encoding="ascii")

    def __call__(self, samples: np.ndarray) -> str:
        """The words heard in 24 kHz samples (S,) of any scale; "" for nothing."""
        from pocketsphinx import Decoder

        if len(samples) < 2400:
            return ""
        low = resample_poly(np.asarray(samples, np.float64), 2, 3)
        low = low / (np.abs(low).max() + 1e-9) * 20_000
        padded = np.concatenate([np.zeros(3200), low, np.zeros(4800)])
        dithered = padded + np.random.default_rng(0).normal(0, 100, len(padded))
        decoder = Decoder(jsgf=str(self._path), samprate=16_000, loglevel="FATAL")
        decoder.start_utt()
        decoder.process_raw(np.clip(dithered, -32767, 32767).astype(np.int16).tobytes(), full_utt=True)
        decoder.end_utt()
        heard = decoder.hyp()
        return heard.hypstr if heard else ""


def edit_distance(wanted: Sequence[str], got: Sequence[str]) -> int:
    """Insertions, deletions and substitutions between two sequences."""
    row = list(range(len(got) + 1))
    for i, a in enumerate(wanted, 1):
        previous, row[0] = row[0], i
        for j, b in enumerate(got, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (a != b))
    return row[-1]


@dataclass
class WordScore:
    """Counts over phrases; a word error is an edit."""

    errors: int = 0
    words: int = 0
    content_errors: int = 0
    content_words: int = 0
    whole: int = 0
    phrases: int = 0

    def add(self, wanted: str, heard: str) -> None:
        """Scores one phrase."""
        want, got = wanted.lower().split(), heard.split()
        mistakes = edit_distance(want, got)
        self.errors += mistakes
        self.words += len(want)
        self.whole += mistakes == 0
        self.phrases += 1
        content = [[w for w in ws if w not in FUNCTION_WORDS] for ws in (want, got)]
        self.content_errors += edit_distance(*content)
        self.content_words += len(content[0])

    def summary(self) -> dict[str, float]:
        """Shares: words and content words right, whole phrases right."""
        return {
            "words": 1 - self.errors / max(1, self.words),
            "content_words": 1 - self.content_errors / max(1, self.content_words),
            "phrases": self.whole / max(1, self.phrases),
            "n": self.phrases,
        }
