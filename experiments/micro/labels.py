"""Semantic tokens and text alignment from espeak-ng's events.

A token says which phone, how many frames of it remain, and whether it lies low or high against the utterance's own
median pitch: what is said and how, but not by whom. Frames come in even numbers, so that two semantic frames are
three codec frames exactly. The alignment (which text token is being spoken in every frame) only guides training.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.signal import resample_poly

from experiments.micro import layout
from experiments.micro.espeak import ESPEAK_RATE, Speech

PHONE_ID = {name: index for index, name in enumerate(layout.PHONES)}

# espeak-ng names several shades of one sound; those that no listener would miss are one phone here.
MERGED = {
    **dict.fromkeys(("0", "A~"), "A:"),
    **{"I2": "I", "@2": "@", "@-": "@", "aa": "a", "t2": "t", "?": "t", "r-": "r", "O@": "o@", "o": "o@"},
    **{"O": "O2", "x": "k", "l#": "l", "n-": "n", "aI@": "aI3"},
}

_DICTIONARY_PHONES = (
    "AA AE AH AO AW AY B CH D DH EH ER EY F G HH IH IY JH K L M N NG OW OY P R S SH T TH UH UW V W Y Z ZH"
)
ARPABET = _DICTIONARY_PHONES.split()
TEXT_SYMBOLS = (*ARPABET, "|", ",", ".", "?")
TEXT_ID = {symbol: index for index, symbol in enumerate(TEXT_SYMBOLS)}

# Each of our phones in dictionary phones: the model may be given espeak's own pronunciation in training, and phone
# errors are counted in these 39, the distinctions that a dictionary without stress can express.
_FOLD_TEXT = (
    "_= ;= I=IH I#=IH i=IY i:=IY E=EH a=AE aI=AY aU=AW A:=AA A@=AA_R aI3=AY_ER O:=AO o@=AO_R oU=OW OI=OY O2=AO V=AH "
    "@=AH a#=AH @L=AH_L 3=ER 3:=ER e@=EH_R eI=EY i@=IY_AH i@3=IH_R u:=UW U=UH U@=UH_R p=P b=B t=T d=D t#=T k=K g=G "
    "f=F v=V T=TH D=DH s=S z=Z S=SH Z=ZH h=HH m=M n=N N=NG l=L r=R w=W j=Y tS=CH dZ=JH"
)
FOLD = {
    name: tuple(folded.split("_")) if folded else ()
    for name, _, folded in (entry.rpartition("=") for entry in _FOLD_TEXT.split())
}
FOLDED_BY_ID = tuple(FOLD[name] for name in layout.PHONES)


def phone_of(name: str) -> int:
    """espeak-ng's phone name to our phone id; anything unknown is silence."""
    return 0 if name.startswith("_") else PHONE_ID.get(MERGED.get(name, name), 0)


def to_24khz(samples: np.ndarray) -> np.ndarray:
    """espeak-ng's 22 050 Hz int16 to float32 at 24 kHz, same scale."""
    resampled: np.ndarray = resample_poly(samples.astype(np.float32), 160, 147)
    return resampled.astype(np.float32)


def f0_track(samples: np.ndarray, between_lags: bool = False) -> np.ndarray:
    """F0 in Hz at 50 frames a second, 0.0 where unvoiced: normalised autocorrelation.

    Args:
        samples: At 24 kHz, on int16 scale (S,).
        between_lags: Interpolate between whole lags; for measuring, labels do without.
    """
    n_frames = len(samples) // layout.SAMPLES_PER_SEMANTIC
    if n_frames == 0:
        return np.zeros(0, np.float32)
    rate, window, hop = 8000, 400, 160
    low = resample_poly(np.pad(samples.astype(np.float32), (600, 1200)), 1, 3)
    frames = np.lib.stride_tricks.sliding_window_view(low, window)[::hop][:n_frames]  # (T, 400)
    frames = frames - frames.mean(1, keepdims=True)
    taper = np.hanning(window)
    correlation = np.fft.irfft(np.abs(np.fft.rfft(frames * taper, 1024)) ** 2)[:, :window]
    of_taper = np.fft.irfft(np.abs(np.fft.rfft(taper, 1024)) ** 2)[:window]
    correlation = correlation / (correlation[:, :1] + 1e-3) / (of_taper / of_taper[0] + 1e-3)
    shortest, longest = rate // 450, rate // 55
    rows = np.arange(len(frames))
    lag = correlation[:, shortest:longest].argmax(1) + shortest
    strength = correlation[rows, lag]
    for divisor in (2, 3):  # a shorter period that is almost as strong is the true one
        shorter = np.maximum(np.round(lag / divisor).astype(int), shortest)
        lag = np.where(correlation[rows, shorter] > 0.88 * strength, shorter, lag)
    period = lag.astype(np.float64)
    if between_lags:
        before, at, after = (correlation[rows, np.minimum(lag + step, window - 1)] for step in (-1, 0, 1))
        period += np.clip(0.5 * (before - after) / (before - 2 * at + after - 1e-9), -0.5, 0.5)
    loud = np.sqrt((frames**2).mean(1)) > 120
    return np.where((strength > 0.5) & loud, rate / period, 0.0).astype(np.float32)


def median_f0(track: np.ndarray) -> float:
    """Median of the voiced frames, 0.0 when hardly anything is voiced."""
    voiced = track[track > 0]
    return float(np.median(voiced)) if len(voiced) > 5 else 0.0


@dataclass(frozen=True)
class Labelled:
    """One utterance with everything training reads.

    Attributes:
        text: What was said.
        semantic: int16 (T,) semantic tokens.
        f0_hz: Median F0, 0.0 for whispered voices.
        spoken_ids, spoken_at: The phones espeak-ng spoke as text ids, and their index for every frame.
        spelled_ids, spelled_at: The dictionary's spelling as text ids, and their index for every frame.
    """

    text: str
    semantic: np.ndarray
    f0_hz: float
    spoken_ids: np.ndarray
    spoken_at: np.ndarray
    spelled_ids: np.ndarray
    spelled_at: np.ndarray


def trimmed_length(samples: np.ndarray) -> int:
    """Samples to keep: 0.1 s after the last sound, rounded up to two semantic frames."""
    loud = np.flatnonzero(np.abs(samples) > 60)
    end = min(len(samples), (loud[-1] if len(loud) else 0) + 2400)
    pair = 2 * layout.SAMPLES_PER_SEMANTIC
    return max(1, -(-int(end) // pair)) * pair


def semantic_tokens(phones: np.ndarray, starts: np.ndarray, track: np.ndarray, median: float) -> np.ndarray:
    """Count-down tokens (T,) from phone ids and their first frames (both (P,), frames strictly increasing)."""
    ends = np.append(starts[1:], len(track))
    tokens = np.zeros(len(track), np.int16)
    for phone, start, end in zip(phones, starts, ends, strict=True):
        voiced = track[start:end][track[start:end] > 0]
        pitch = 1
        if phone and len(voiced) and median > 0:
            pitch = int(np.digitize(12 * np.log2(np.median(voiced) / median), [-1.5, 0.5, 2.5]))
        remaining = np.minimum(np.arange(end - start)[::-1], layout.N_REMAINING - 1)
        tokens[start:end] = phone * layout.TOKENS_PER_PHONE + remaining * layout.N_PITCH + pitch
    return tokens


def onsets(tokens: np.ndarray) -> np.ndarray:
    """True at the first frame of every phone (T,)."""
    phone = tokens // layout.TOKENS_PER_PHONE
    remaining = tokens // layout.N_PITCH % layout.N_REMAINING
    first = np.ones(len(tokens), bool)
    first[1:] = (phone[1:] != phone[:-1]) | (remaining[:-1] == 0)
    return first


def folded_phones(tokens: np.ndarray) -> list[str]:
    """The dictionary phones that a token sequence says, for counting phone errors."""
    said: list[str] = []
    for phone in tokens[onsets(tokens)] // layout.TOKENS_PER_PHONE if len(tokens) else ():
        for symbol in FOLDED_BY_ID[int(phone)]:
            if not (symbol == "R" and said and said[-1] == "R"):  # "e@ r" is one R
                said.append(symbol)
    return said


def label(text: str, speech: Speech, samples: np.ndarray, spell: Callable[[str], Sequence[str]]) -> Labelled | None:
    """Labels one utterance.

    Args:
        text: Lower-case words with , . ? only.
        speech: The events.
        samples: The same speech at 24 kHz on int16 scale, already trimmed (S,).
        spell: word -> ARPAbet phones.

    Returns:
        None if the events cannot be aligned with the words.
    """
    track = f0_track(samples)
    n_frames = len(track)
    centre = (np.arange(n_frames) + 0.5) / layout.SEMANTIC_RATE_HZ * ESPEAK_RATE
    events = [(sample, phone_of(name)) for sample, name in speech.phones if name]
    if not events or not speech.words:
        return None
    at_event = np.clip(np.searchsorted([s for s, _ in events], centre, side="right") - 1, 0, None)
    kept, starts = np.unique(at_event, return_index=True)  # phones shorter than a frame vanish
    phones = np.array([events[i][1] for i in kept])
    median = median_f0(track)
    tokens = semantic_tokens(phones, starts, track, median)

    words = [m.start() for m in re.finditer(r"\S+", text)]
    groups: list[int] = []  # the first word of every group that espeak-ng spoke as one
    word_samples: list[int] = []
    for sample, character, _ in speech.words:
        word = int(np.searchsorted(words, character, side="right")) - 1 if groups else 0
        if not groups or word > groups[-1]:
            groups.append(word)
            word_samples.append(sample)
    group_of_phone = np.clip(np.searchsorted(word_samples, [events[i][0] for i in kept], side="right") - 1, 0, None)
    spoken = _Spelling()
    spelled = _Spelling()
    spans = text.split()
    for number, first in enumerate(groups):
        last = groups[number + 1] if number + 1 < len(groups) else len(spans)
        members = np.flatnonzero(group_of_phone == number)
        said = [FOLDED_BY_ID[phones[m]] for m in members]
        mark = spans[last - 1][-1] if spans[last - 1][-1] in ",.?" else "|"
        heard = [symbol for symbols in said for symbol in symbols]
        spellings = [[*spell(word.strip(",.?")), "|"] for word in spans[first:last]]
        written = [symbol for word in spellings for symbol in word][:-1]
        if not written:
            return None
        position = np.cumsum([0] + [len(s) for s in said])
        spoken.add(heard, mark, members, position[:-1])
        scale = (len(written) - 1) / max(1, len(heard) - 1)
        spelled.add(written, mark, members, np.round(np.minimum(position[:-1], len(heard)) * scale).astype(int))
    frames_per_phone = np.diff(np.append(starts, n_frames))
    return Labelled(
        text,
        tokens,
        median,
        *spoken.finish(text, frames_per_phone),
        *spelled.finish(text, frames_per_phone),
    )


class _Spelling:
    """Collects a sentence's text ids word by word, with the index that each spoken phone belongs to."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.index_of_phone: dict[int, int] = {}

    def add(self, symbols: list[str], mark: str, phones: np.ndarray, offsets: np.ndarray) -> None:
        base = len(self.ids)
        for phone, offset in zip(phones, offsets, strict=True):
            self.index_of_phone[int(phone)] = base + int(min(offset, max(0, len(symbols) - 1)))
        self.ids += [TEXT_ID[symbol] for symbol in symbols]
        if symbols:
            self.ids.append(TEXT_ID[mark])

    def finish(self, text: str, frames_per_phone: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if self.ids and self.ids[-1] == TEXT_ID["|"]:
            self.ids.pop()
        last = max(0, len(self.ids) - 1)
        index = [min(self.index_of_phone.get(p, last), last) for p in range(len(frames_per_phone))]
        return np.array(self.ids, np.uint8), np.repeat(np.array(index, np.uint8), frames_per_phone)
