"""The pronouncing dictionary and the word frequencies that training reads, both from the pocketsphinx wheel."""

from __future__ import annotations

import functools
import importlib.metadata
import re
from pathlib import Path

_WORD = re.compile(r"[a-z][a-z']*")


def _model_directory() -> Path:
    import pocketsphinx

    return Path(pocketsphinx.__file__).parent / "model" / "en-us"


def licence() -> str:
    """Carnegie Mellon University's licence, under which the dictionary may be passed on."""
    for file in importlib.metadata.files("pocketsphinx") or ():
        if file.name == "LICENSE":
            whole = Path(str(file.locate())).read_text(encoding="utf-8")
            return whole.partition("WebRTC VAD code")[0].rstrip() + "\n"  # the rest is about code not used here
    raise FileNotFoundError("the pocketsphinx package holds no LICENSE; install it from PyPI")


@functools.cache
def dictionary() -> dict[str, tuple[str, ...]]:
    """Word to ARPAbet phones without stress; of several pronunciations the first."""
    entries: dict[str, tuple[str, ...]] = {}
    with (_model_directory() / "cmudict-en-us.dict").open(encoding="utf-8") as lines:
        for line in lines:
            word, *phones = line.split()
            if _WORD.fullmatch(word):
                entries.setdefault(word, tuple(phones))
    return entries


class WordModel:
    """How likely a word is, alone or after another: pocketsphinx's own trigram model read as bigrams."""

    def __init__(self) -> None:
        from pocketsphinx import Config, LogMath, NGramModel

        path = str(_model_directory() / "en-us.lm.bin")
        self._log = LogMath()
        self._model = NGramModel(Config(lm=path), self._log, path)

    def probability(self, word: str, previous: str | None = None) -> float:
        """P(word) or P(word | previous); 0.0 for words that the model does not know."""
        value = self._model.prob([word] if previous is None else [word, previous])
        return 0.0 if value < -10_000_000 else float(self._log.exp(value))
