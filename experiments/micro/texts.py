"""Generated sentences: what is trained on, and what is kept back to be tested on.

A fifth are simple templates over small word lists (a recogniser can judge those), the rest are strings of words:
half of them flow like English (each word drawn in proportion to how likely it is after the last), half hold rare
words drawn evenly from the dictionary, which is where reading is learned. Nothing is copied from any text.

Held out: one word in fifty of the less common ones; one template phrase in four; two template shapes; and the
everyday sentences below, written for the test.
"""

from __future__ import annotations

import functools
import re
import zlib

import numpy as np

from experiments.micro.pronunciations import WordModel, dictionary

SLOTS = {
    "c": ["red", "blue", "green", "black", "white", "yellow", "brown", "purple", "orange", "golden"],
    "a": ["dog", "cat", "horse", "bird", "fish", "lion", "tiger", "monkey", "rabbit", "elephant"],
    "v": ["runs", "jumps", "sleeps", "sings", "dances", "walks", "swims", "talks", "waits", "works"],
    "d": ["today", "tomorrow", "slowly", "quickly", "again", "never", "always", "here", "outside", "tonight"],
    "n": ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"],
    "s": ["I", "you", "we", "they", "he", "she", "people", "children", "everybody", "nobody"],
}
JUDGED_SHAPES = ("the {c} {a} {v} {d}", "{n} {n} {n} {n}")
HELD_OUT_SHAPES = ("give me {n} {c} {a} {d}", "my {a} {v} {d}")
TRAINED_SHAPES = (
    *JUDGED_SHAPES,
    "{n} {c} {a}s",
    "{s} saw the {c} {a}",
    "hello, the {a} {v} {d}",
    "give me {n} {c} {a}s",
    "{s} want {n} {a}s",
    "the {a} and the {a}",
    "where is the {c} {a}?",
    "please wait, the {a} {v}",
    "{d} the {a} {v}",
    "good morning, {s} said",
    "my {a} is {c}",
    "is the {a} {c}?",
)

EVERYDAY = (
    "she put the bread back in the oven",
    "our neighbour plays the piano every evening",
    "the bus was full so we had to stand",
    "can you lend me your umbrella for an hour",
    "there is nothing left in the fridge",
    "he painted the fence before the storm came",
    "my sister works at the hospital near the station",
    "the bridge was closed because of the flood",
    "we should leave early to avoid the traffic",
    "this road leads straight to the old harbour",
    "the teacher explained the problem twice",
    "I cannot find the other shoe anywhere",
    "a tall woman waved at us from the balcony",
    "they moved to the countryside last spring",
    "the soup needs a little more salt",
    "his phone rang in the middle of the film",
    "most of the shops close at six on Sunday",
    "you will need a warm coat and gloves",
    "the baby laughed at the shadow on the wall",
    "nobody answered when I knocked on the door",
    "they are building a new school across the street",
    "the plane landed an hour behind schedule",
    "please turn the radio down a little",
    "her father taught her how to swim",
    "the candle burned out during dinner",
    "we planted tomatoes and beans behind the house",
    "he reads the newspaper on his way to work",
    "the museum is free on the first day of the month",
    "somebody left a bicycle in the corridor",
    "I would rather stay at home tonight",
    "the lake freezes over in a cold winter",
    "she wrote down the address on a piece of paper",
    "do not forget to water the plants",
    "the old clock in the hall has stopped",
    "they laughed all the way back to the hotel",
    "the farmer sold his last two cows",
    "is there a bank close to the market",
    "my uncle fixed the roof with his own hands",
    "the girls were dancing in the rain",
    "it takes ten minutes to walk to the beach",
)

_COMMON = 400  # the most frequent words are never held out
_FREQUENT = 6000


def held_out_word(word: str) -> bool:
    """Whether a word outside the common ones is kept for tests."""
    return zlib.crc32(word.encode()) % 50 == 7


def held_out_phrase(text: str) -> bool:
    """Whether a template phrase is kept for tests."""
    return zlib.crc32(text.encode()) % 4 == 1


def fill(shape: str, rng: np.random.Generator) -> str:
    """Fills a template's slots at random."""
    return re.sub(r"\{(\w)\}", lambda slot: str(rng.choice(SLOTS[slot[1]])), shape)


@functools.cache
def _vocabulary() -> tuple[list[str], np.ndarray, list[str], list[str], WordModel]:
    """Frequent words with drawing weights, rare words, held-out words, and the model they were ranked by."""
    model = WordModel()
    entries = dictionary()
    slot_words = {word.lower() for words in SLOTS.values() for word in words}
    ranked = sorted(((model.probability(w), w) for w in entries if len(w) > 1 or w in "ai"), reverse=True)
    frequent = [
        (probability, word)
        for rank, (probability, word) in enumerate(ranked[:_FREQUENT])
        if rank < _COMMON or word in slot_words or not held_out_word(word)
    ]
    names = {word for _, word in frequent}
    rest = [w for w in entries if w.isalpha() and len(w) > 2 and w not in names]
    held_out = [w for w in rest if held_out_word(w)]
    rare = [w for w in rest if not held_out_word(w)]
    weights = np.array([probability for probability, _ in frequent]) ** 0.6
    return [w for _, w in frequent], weights / weights.sum(), rare, held_out, model


class TextSource:
    """An endless supply of training sentences from one generator."""

    def __init__(self, rng: np.random.Generator):
        self._rng = rng
        self._frequent, self._weights, self._rare, _, self._model = _vocabulary()
        self._pool: list[str] = []

    def _candidates(self, n: int) -> list[str]:
        if len(self._pool) < n:  # drawing many at once is a hundred times cheaper
            self._pool = [str(w) for w in self._rng.choice(self._frequent, 20_000, p=self._weights)]
        taken, self._pool = self._pool[:n], self._pool[n:]
        return taken

    def _next_word(self, previous: str | None) -> str:
        options = self._candidates(16)
        weights = np.array([self._model.probability(w, previous) ** 0.5 + 1e-5 for w in options])
        return options[int(self._rng.choice(len(options), p=weights / weights.sum()))]

    def _words(self, rare_share: float) -> str:
        rng = self._rng
        n = int(rng.integers(1, 9)) if rng.random() < 0.85 else int(rng.integers(8, 15))
        words: list[str] = []
        for _ in range(n):
            if rng.random() < rare_share:
                words.append(self._rare[int(rng.integers(len(self._rare)))])
            else:
                words.append(self._next_word(words[-1].strip(",") if words else None))
            if len(words) > 1 and len(words) < n - 1 and rng.random() < 0.05:
                words[-1] += ","
        return " ".join(words)

    def __call__(self) -> str:
        """One sentence: lower-case words, commas, and mostly a final mark."""
        rng = self._rng
        kind = rng.random()
        if kind < 0.2:
            text = fill(str(rng.choice(TRAINED_SHAPES)), rng)
            while held_out_phrase(text):
                text = fill(str(rng.choice(TRAINED_SHAPES)), rng)
        else:
            text = self._words(0.06 if kind < 0.6 else 0.5)
        return text if text.endswith("?") else text + str(rng.choice([".", ".", ".", "", "?"]))


def judged_phrase(rng: np.random.Generator, held_out_shape: bool) -> str:
    """A phrase for the recogniser, never trained on; its shape may be held out as well."""
    shapes = HELD_OUT_SHAPES if held_out_shape else JUDGED_SHAPES
    while True:
        text = fill(str(rng.choice(shapes)), rng)
        if held_out_shape or held_out_phrase(text):
            return text


def unseen_words(rng: np.random.Generator, n: int) -> str:
    """A string of words that training never saw."""
    words = _vocabulary()[3]
    return " ".join(str(w) for w in rng.choice(words, n))
