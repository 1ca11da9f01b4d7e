"""Labelled clips for gates, recogniser and speaker comparison: good speech by espeak-ng, and every degenerate class.

Everything degenerate is made from seeds; speech needs the espeak-ng program (`HAS_ESPEAK`).
"""

from __future__ import annotations

import contextlib
import functools
import io
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import soundfile
import soxr

from bark_infinity.requests import Rendering, RenderRequest
from bark_infinity.tokens import SUNO_TOKENS, BarkTokens, TokenSpace

RATE = 24_000
HAS_ESPEAK = shutil.which("espeak-ng") is not None
DITHER = 100 / 32_768  # white noise under synthetic speech, whose pauses are otherwise digitally silent

TEXTS = (
    "The weather in the city is cold and wet today.",
    "She sells fresh bread and butter at the market.",
    "Please call me back before seven o'clock tonight.",
    "The old man walked slowly down the narrow street.",
    "We are going to build a better world together.",
    "My brother has three dogs and a small white cat.",
    "I would like a cup of coffee with milk and sugar.",
    "The train to London leaves in twenty minutes.",
    "Yes, of course!",
    "Have you ever seen the ocean at night, when the moon is full and the wind is still?",
)


@dataclass(frozen=True)
class Speaker:
    """A voice of espeak-ng and how it speaks."""

    voice: str = "en-us"
    rate_wpm: int = 160
    pitch: int = 50


SPEAKERS = (
    Speaker("en-us", 150, 45),
    Speaker("en-us+m3", 170, 30),
    Speaker("en-us+m7", 140, 20),
    Speaker("en-us+f2", 160, 65),
    Speaker("en-us+f4", 190, 75),
    Speaker("en-gb", 120, 40),
    Speaker("en-gb-scotland+f3", 175, 55),
    Speaker("en-us+m1", 220, 50),
)


@dataclass(frozen=True, eq=False)
class LabelledClip:
    """A clip whose fate is known.

    Attributes:
        label: ``good``, or its degenerate class.
        gates: Gates that may reject it; empty for good clips.
        audio: (S,) float32 at `RATE`.
        text: What it should say; None where there is no text.
        about: What it was made from.
    """

    label: str
    gates: frozenset[str]
    audio: np.ndarray
    text: str | None
    about: str


@functools.cache
def speak(text: str, speaker: Speaker = Speaker()) -> np.ndarray:
    """(S,) float32 at `RATE`, peak 0.6, dithered, in espeak-ng's voice. Read-only, since it is cached."""
    command = ["espeak-ng", "-v", speaker.voice, "-s", str(speaker.rate_wpm), "-p", str(speaker.pitch), "--stdout"]
    wav = subprocess.run([*command, text], capture_output=True, check=True).stdout
    samples, rate = soundfile.read(io.BytesIO(wav), dtype="float32")
    samples = soxr.resample(samples, rate, RATE, quality="HQ")
    samples = 0.6 * samples / np.abs(samples).max()
    noise = np.random.default_rng(0).normal(0, DITHER, len(samples))
    audio = (samples + noise).astype(np.float32)
    audio.setflags(write=False)
    return audio


def good_clips(texts: tuple[str, ...] = TEXTS, speakers: tuple[Speaker, ...] = SPEAKERS) -> Iterator[LabelledClip]:
    """Speech in several voices, rates and pitches, loud and quiet, with a little silence or noise."""
    rng = np.random.default_rng(11)
    for speaker_index, speaker in enumerate(speakers):
        for text_index, text in enumerate(texts):
            audio = speak(text, speaker)
            dress = (speaker_index + text_index) % 4
            if dress == 1:
                audio = 0.1 * audio
            elif dress == 2:
                audio = np.concatenate([hush(0.5, rng), audio, hush(1.0, rng)])
            elif dress == 3:
                audio = audio + rng.normal(0, 0.004, len(audio))
            about = f"{speaker.voice} {speaker.rate_wpm} wpm pitch {speaker.pitch}, dress {dress}"
            yield LabelledClip("good", frozenset(), audio.astype(np.float32), text, about)


OTHERS = (
    (Speaker("en-us+whisper", 150), TEXTS[0]),
    (Speaker("en-us+croak", 150), TEXTS[1]),
    (Speaker("de", 160), "Der Zug nach Berlin fährt in zwanzig Minuten ab."),
    (Speaker("fr", 160), "Bonjour, je voudrais un café avec du lait."),
    (Speaker("ko", 150), "안녕하세요 반갑습니다 오늘 날씨가 좋네요"),
    (Speaker("ja", 150), "こんにちは せかい きょうは いい てんき です"),
    (Speaker("cmn", 150), "你好世界今天天气很好"),
    (Speaker("hi", 150), "नमस्ते दुनिया आज मौसम अच्छा है"),
    (Speaker(), "No."),
    (Speaker(), "Ha ha ha ha ha ha!"),
)


def other_good_clips() -> Iterator[LabelledClip]:
    """Whispers, other languages and scripts, very short texts and texts that repeat themselves."""
    for speaker, text in OTHERS:
        yield LabelledClip("good", frozenset(), speak(text, speaker), text, f"{speaker.voice}: {text}")


def hush(seconds: float, rng: np.random.Generator) -> np.ndarray:
    """Silence as a codec makes it: noise at -76 dBFS."""
    return rng.normal(0, 10 ** (-76 / 20), round(seconds * RATE))


def bad(label: str, gates: str, audio: np.ndarray, text: str | None, about: str) -> LabelledClip:
    return LabelledClip(label, frozenset(gates.split()), np.asarray(audio, np.float32), text, about)


def synthetic_clips() -> Iterator[LabelledClip]:
    """Degenerate clips that need no speech."""
    rng = np.random.default_rng(5)
    time = np.arange(4 * RATE) / RATE
    for hertz in (60, 220, 440, 1_000, 5_000):
        yield bad("sine", "tone", 0.5 * np.sin(2 * np.pi * hertz * time), None, f"{hertz} Hz")
    chord = sum(np.sin(2 * np.pi * hertz * time) for hertz in (200, 400, 600, 800))
    yield bad("sine", "tone", 0.15 * chord, None, "200 Hz with harmonics")
    for level in (0.02, 0.3):
        yield bad("noise", "static", rng.normal(0, level, len(time)), None, f"white, {level}")
    for slope, name in ((0.5, "pink"), (1.0, "brown")):
        yield bad("noise", "static", coloured(len(time), slope, rng), None, name)
    for level in (0.0, 1e-4, 1e-3):
        yield bad("silence", "silent", rng.normal(0, level, len(time)) if level else 0 * time, None, f"{level}")
    click = np.zeros(len(time))
    click[RATE : RATE + 40] = 0.5
    yield bad("click", "silent", click, None, "one click")
    for level in (0.05, 0.3, -0.6):
        yield bad("dc", "dc_offset", np.full(len(time), level), None, f"constant {level}")
    yield bad("static", "static", 0.4 * np.sign(rng.normal(size=len(time))), None, "random telegraph")
    bursts = np.repeat(rng.uniform(0, 1, 80) > 0.5, len(time) // 80 + 1)[: len(time)]
    yield bad("static", "static", rng.normal(0, 0.2, len(time)) * bursts, None, "bursts of white noise")
    crackle = np.where(rng.uniform(size=len(time)) < 0.02, rng.normal(0, 0.5, len(time)), 0)
    yield bad("static", "static", crackle, None, "crackle")


def coloured(n: int, slope: float, rng: np.random.Generator) -> np.ndarray:
    """Noise whose amplitude falls as frequency ** -slope, at RMS 0.1."""
    spectrum = np.fft.rfft(rng.normal(size=n))
    spectrum[1:] /= np.arange(1, len(spectrum)) ** slope
    spectrum[: max(1, 30 * n // RATE)] = 0  # nothing below 30 Hz
    noise = np.fft.irfft(spectrum, n)
    return 0.1 * noise / noise.std()


def spoilt_clips(
    texts: tuple[str, ...] = TEXTS[:6], speakers: tuple[Speaker, ...] = SPEAKERS
) -> Iterator[LabelledClip]:
    """Good speech, spoilt: one speaker per text, every class for each."""
    rng = np.random.default_rng(7)
    for index, text in enumerate(texts):
        speaker = speakers[index % len(speakers)]
        yield from spoilt(speak(text, speaker), text, f"{speaker.voice} {speaker.rate_wpm} wpm", rng)


def spoilt(audio: np.ndarray, text: str, about: str, rng: np.random.Generator) -> Iterator[LabelledClip]:
    """One good clip, spoilt in every way."""
    yield bad("clipped at full scale", "clipped", np.clip(8 * audio, -1, 1), text, about)
    yield bad("clipped, then made quieter", "clipped", 0.4 * np.clip(8 * audio, -1, 1), text, about)
    yield bad("dc", "dc_offset", 0.5 * audio + 0.1, text, about)
    yield bad("static", "static", audio + rng.normal(0, 0.25, len(audio)), text, f"{about}, buried in noise")
    yield bad("long tail", "trailing_silence", np.concatenate([audio, hush(4, rng)]), text, about)
    yield bad("stuttered", "looping_sound too_long", stuttered(audio, rng), text, about)
    yield bad("doubled", "looping_sound", np.concatenate([audio, audio]), text, about)
    yield bad("cut", "cut_off too_short", cut(audio, 0.55), text, f"{about}, at the middle")
    yield bad("cut", "cut_off too_short", cut(audio, 0.25), text, f"{about}, at a quarter")
    yield bad("too long", "too_long", slow(audio, 4), text, f"{about}, 4 times slower")
    yield bad("too short", "too_short", slow(audio, 0.25), text, f"{about}, 4 times faster")


def stuttered(audio: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A quarter of the clip as it was, then one piece of 120 to 300 ms over and over, then the rest."""
    length = round(rng.uniform(0.12, 0.30) * RATE)
    at = loud_place(audio, 0.25, length)
    piece = audio[at : at + length]
    rounds = int(1.5 * len(audio) / length)
    return np.concatenate([audio[:at], np.tile(piece, rounds), audio[at + length :]])


def cut(audio: np.ndarray, share: float) -> np.ndarray:
    """The clip up to about ``share`` of it, ending where it is loud."""
    at = loud_place(audio, share, RATE // 25)
    return audio[: at + RATE // 25]


def loud_place(audio: np.ndarray, share: float, length: int) -> int:
    """The loudest place within 10 % around ``share`` of the clip."""
    starts = np.arange(int((share - 0.1) * len(audio)), int((share + 0.1) * len(audio)), 120)
    return int(max(starts, key=lambda start: float(np.square(audio[start : start + length]).sum())))


def slow(audio: np.ndarray, factor: float) -> np.ndarray:
    """The clip stretched in time, pitch kept, by overlapping grains of 40 ms."""
    grain, hop = 960, 480
    window = np.hanning(grain)
    n_out = int(factor * (len(audio) - grain) / hop)
    out, mass = np.zeros(n_out * hop + grain), np.full(n_out * hop + grain, 1e-9)
    for index in range(n_out):
        start = int(index * hop / factor)
        out[index * hop : index * hop + grain] += window * audio[start : start + grain]
        mass[index * hop : index * hop + grain] += window
    return out / np.maximum(mass, 0.1)


# -- the embedded model -------------------------------------------------------------------------------------


def micro_speech(texts: tuple[str, ...], seed: int = 0) -> Iterator[tuple[str, str, Rendering]]:
    """(voice, text, rendering) of every voice of micro-Bark saying every text."""
    from bark_infinity.engine import BarkEngine
    from bark_infinity.voices.catalogue import VoiceCatalogue

    catalogue = VoiceCatalogue()
    names = [name for name in catalogue.names() if name.startswith("micro/")]
    with contextlib.closing(BarkEngine.load("micro")) as engine:
        for text in texts:
            requests = [RenderRequest(text, voice=catalogue.find(name), seed=seed) for name in names]
            for name, rendering in zip(names, engine.render(requests), strict=True):
                yield name, text, rendering


# -- tokens -------------------------------------------------------------------------------------------------


def likely_tokens(n: int, seed: int, space: TokenSpace = SUNO_TOKENS) -> np.ndarray:
    """(n,) semantic tokens with runs like those of published voices: a quarter repeat the one before."""
    rng = np.random.default_rng(seed)
    fresh = rng.integers(0, space.semantic_vocab_size, n)
    keep = np.concatenate([[True], rng.uniform(size=n - 1) > 0.25])
    return fresh[np.maximum.accumulate(np.where(keep, np.arange(n), 0))]


def with_frames(semantic: np.ndarray, seed: int, space: TokenSpace = SUNO_TOKENS) -> BarkTokens:
    """Semantic tokens with as many lively codec frames as they stand for."""
    fine = np.random.default_rng(seed).integers(
        0, space.codebook_size, (space.n_fine_codebooks, space.frames_for(len(semantic)))
    )
    return BarkTokens(semantic, fine[: space.n_coarse_codebooks], fine)


def degenerate_tokens(semantic: np.ndarray, seed: int) -> Iterator[tuple[str, str, np.ndarray]]:
    """(class, gate, semantic tokens) made from a good voice's tokens."""
    rng = np.random.default_rng(seed)
    n = len(semantic)
    stuck = semantic.copy()
    stuck[n // 4 :] = semantic[n // 4]
    yield "stuck", "stuck", stuck
    yield "one pause of 4 s", "stuck", np.concatenate([semantic, np.full(200, semantic[-1]), semantic])
    crawling = np.repeat(semantic, 4)
    yield "every token 4 times", "stuck", crawling
    round_length = int(rng.integers(45, 80))
    loop = np.concatenate([semantic[:60], np.tile(semantic[60 : 60 + round_length], 5)])
    yield "loop", "looping", loop
    noisy = np.where(rng.uniform(size=len(loop)) < 0.07, rng.integers(0, 1000, len(loop)), loop)
    yield "loop, 7 % of tokens changed", "looping", noisy
    yield "two tokens in turn", "looping", np.concatenate([semantic[:40], np.tile([3, 5], 120)])
    yield "empty", "empty", semantic[:0]
    yield "three tokens", "empty", semantic[:3]


# -- speakers -----------------------------------------------------------------------------------------------

MEN = (Speaker("en-us+m7", 140, 20), Speaker("en-us+m3", 170, 30), Speaker("en-us", 150, 45))
WOMEN = (Speaker("en-us+f2", 160, 65), Speaker("en-us+f4", 190, 75), Speaker("en-us+f3", 175, 65))


def two_speaker_clips() -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """(class, first part, second part): a man then a woman or the other way, each half a sentence or a whole one."""
    for index, (man, woman) in enumerate((man, woman) for man in MEN for woman in WOMEN):
        first, second = speak(TEXTS[index % 8], man), speak(TEXTS[(index + 3) % 8], woman)
        if index % 2:
            first, second = second, first
        yield "man and woman", first, second
        yield "man and woman, half a sentence each", first[: len(first) // 2], second[len(second) // 2 :]
