"""The text front end of micro-Bark: spelling to phones, without espeak and without a network.

Words are looked up in a pronouncing dictionary (derived from the CMU dictionary, see the asset's licence file); words
it lacks are read by letter rules learned from it. The ids are 39 phones, ``|`` between words, and ``, . ?``; a pause
inside the text is a comma, because the model was trained on single sentences.

Light module: the standard library only.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bark_infinity.error_handling import CheckpointError
from bark_infinity.phones_rules import LetterRules
from bark_infinity.text_front_end import TextEncoding
from bark_infinity.text_normalisation import LETTER_NAMES, normalise

CONFIG_NAME = "text_front_end.json"
MAX_UNPACKED_BYTES = 32 << 20
MAX_TEXT_CHARS = 10_000  # a model speaks a few dozen words; more is a mistake or an attack

# Sounds of letter names that the dictionary lists as other words or not at all.
_LETTERS = {
    **{"ay": "EY", "bee": "B IY", "see": "S IY", "dee": "D IY", "ee": "IY", "eff": "EH F", "gee": "JH IY"},
    **{"aitch": "EY CH", "eye": "AY", "jay": "JH EY", "kay": "K EY", "ell": "EH L", "em": "EH M", "en": "EH N"},
    **{"oh": "OW", "pee": "P IY", "queue": "K Y UW", "are": "AA R", "ess": "EH S", "tee": "T IY", "you": "Y UW"},
    **{"vee": "V IY", "doubleyou": "D AH B AH L Y UW", "ex": "EH K S", "why": "W AY", "zee": "Z IY"},
}


@dataclass(frozen=True)
class PhoneFrontEnd:
    """Text to phone ids. Never raises on any str.

    Attributes:
        symbols: What each id means: phones, then the word boundary and the marks.
        dictionary: Lower-case word to phones separated by spaces.
        rules: For every other word.
        name: For reports.
    """

    symbols: tuple[str, ...]
    dictionary: Mapping[str, str]
    rules: LetterRules
    name: str = "phones"
    _ids: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_ids", {symbol: index for index, symbol in enumerate(self.symbols)})

    @classmethod
    def load(cls, directory: Path) -> PhoneFrontEnd:
        """Reads a checkpoint's ``text_front_end.json`` and the files it names.

        Raises:
            CheckpointError: When a file is missing or damaged.
        """
        path = Path(directory) / CONFIG_NAME
        try:
            config = json.loads(path.read_text("utf-8"))
            symbols = tuple(str(symbol) for symbol in config["symbols"])
            lines = _unpacked(path.parent / Path(config["dictionary"]).name).splitlines()
            entries = dict(line.split(" ", 1) for line in lines)
            rules = LetterRules.from_text(_unpacked(path.parent / Path(config["letter_rules"]).name))
        except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(
                f"the text front end of {directory} cannot be read ({error}); reinstall or pack the checkpoint again"
            ) from error
        if not {"|", ",", ".", "?"} <= set(symbols):
            raise CheckpointError(f"{path} lists no word boundary and marks among its symbols; pack it again")
        return cls(symbols, entries, rules)

    def spell(self, word: str) -> tuple[str, ...]:
        """Phones of one lower-case word of a-z and apostrophes."""
        listed = self.dictionary.get(word)
        if listed is not None:
            return tuple(listed.split())
        base, _, ending = word.rpartition("'")
        if base and ending in ("", "s"):  # a possessive: the noun and its ending
            noun = self.spell(base)
            if ending and noun:
                return (*noun, "AH", "Z") if noun[-1] in _HISSING else (*noun, "S" if noun[-1] in _VOICELESS else "Z")
            return noun
        if word in _LETTERS:
            return tuple(_LETTERS[word].split())
        if len(word) == 1 or not re.search("[aeiouy]", word):
            named = " ".join(_LETTERS[LETTER_NAMES[letter]] for letter in word if letter in LETTER_NAMES)
            return tuple(named.split())
        return self.rules.spell(word.replace("'", ""))

    def encode(self, text: str) -> TextEncoding:
        """Encodes one text; empty text gives no ids."""
        notices: list[str] = []
        if len(text) > MAX_TEXT_CHARS:
            notices.append(f"Only the first {MAX_TEXT_CHARS} of {len(text)} characters were read.")
            text = text[:MAX_TEXT_CHARS]
        words, left_out = normalise(text, self.dictionary.__contains__)
        ids: list[int] = []
        between: str | None = None
        for token in re.findall(r"[a-z']+|[,.?]", words):
            if token in ",.?":
                between = token
                continue
            phones = [self._ids[phone] for phone in self.spell(token) if phone in self._ids]
            if not phones:
                continue
            if ids:
                ids.append(self._ids["|" if between is None else ","])
            ids += phones
            between = None
        if ids and between is not None:
            ids.append(self._ids["?" if between == "?" else "."])
        return TextEncoding(tuple(ids), (*notices, *left_out))


_HISSING = frozenset(["S", "Z", "SH", "ZH", "CH", "JH"])
_VOICELESS = frozenset(["P", "T", "K", "F", "TH"])


def _unpacked(path: Path) -> str:
    """The text of a gzip file, refusing to unpack more than `MAX_UNPACKED_BYTES`."""
    with gzip.open(path) as stream:
        data = stream.read(MAX_UNPACKED_BYTES + 1)
    if len(data) > MAX_UNPACKED_BYTES:
        raise ValueError(f"{path.name} unpacks to more than {MAX_UNPACKED_BYTES} bytes")
    return data.decode("utf-8")
