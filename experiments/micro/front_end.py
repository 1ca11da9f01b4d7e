"""Writes the text front end's files: dictionary, letter rules and the list of symbols."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np

from experiments.micro import labels, letter_rules, texts
from experiments.micro.pronunciations import dictionary, licence

WORDS_FOR_RULES = 40_000


def _write_packed(path: Path, text: str) -> None:
    path.write_bytes(gzip.compress(text.encode("utf-8"), 9, mtime=0))  # no time stamp: equal input, equal file


def write(directory: Path, seed: int = 1) -> None:
    """Writes ``text_front_end.json`` and its two files. Rules are learned from words that are not held out."""
    directory.mkdir(parents=True, exist_ok=True)
    entries = dictionary()
    lines = (f"{word} {' '.join(phones)}\n" for word, phones in sorted(entries.items()))
    _write_packed(directory / "dictionary.txt.gz", "".join(lines))
    candidates = [word for word in entries if word.isalpha() and not texts.held_out_word(word)]
    chosen = np.random.default_rng(seed).permutation(len(candidates))[:WORDS_FOR_RULES]
    rules = letter_rules.learn((candidates[i], entries[candidates[i]]) for i in chosen)
    _write_packed(directory / "letter_rules.txt.gz", rules.to_text())
    (directory / "LICENSE-cmudict.txt").write_text(licence(), encoding="utf-8")
    config = {
        "type": "phones",
        "symbols": list(labels.TEXT_SYMBOLS),
        "dictionary": "dictionary.txt.gz",
        "letter_rules": "letter_rules.txt.gz",
    }
    (directory / "text_front_end.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
