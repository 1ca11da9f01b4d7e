"""Speech with phone and word events, through libespeak-ng.

The library is called through ctypes because only its callback interface tells when each phone begins, and that is
what the semantic tokens are made of. Voices may come from a directory of our own: espeak-ng reads variants from
its data directory, so `data_directory` builds one that links to the installed data and adds our voice files.
"""

from __future__ import annotations

import ctypes
import ctypes.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ESPEAK_RATE = 22_050  # Hz, what espeak-ng's formant synthesiser produces

_AUDIO_OUTPUT_SYNCHRONOUS = 2
_PHONEME_EVENTS = 1
_UTF8 = 1
_EVENT_END, _EVENT_WORD, _EVENT_PHONEME = 0, 1, 7
_PARAMETER_RATE, _PARAMETER_PITCH, _PARAMETER_RANGE = 1, 3, 4


class EspeakMissing(RuntimeError):
    """libespeak-ng cannot be used on this machine."""


class _EventId(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    )


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


@dataclass(frozen=True)
class Speech:
    """One synthesised utterance.

    Attributes:
        samples: int16 (S,) at `ESPEAK_RATE`.
        phones: (sample, espeak phone name) at every phone's first sample.
        words: (sample, first character, length) at every word's first sample; characters count from 0.
    """

    samples: np.ndarray
    phones: tuple[tuple[int, str], ...]
    words: tuple[tuple[int, int, int], ...]


def library() -> ctypes.CDLL:
    """Loads libespeak-ng, or says how to get it."""
    try:
        return ctypes.CDLL(ctypes.util.find_library("espeak-ng") or "libespeak-ng.so.1")
    except OSError as error:
        raise EspeakMissing(
            f"libespeak-ng was not found ({error}); training needs it: apt-get install espeak-ng"
        ) from error


def installed_data() -> Path:
    """The espeak-ng-data directory of this machine."""
    found = library()
    found.espeak_Info.restype = ctypes.c_char_p
    path = ctypes.c_char_p()
    found.espeak_Initialize(_AUDIO_OUTPUT_SYNCHRONOUS, 0, None, 0)
    found.espeak_Info(ctypes.byref(path))
    return Path((path.value or b"").decode())


def data_directory(target: Path) -> Path:
    """Makes a data directory of our own, links to the installed one, in which `Espeak.define` may write voices.

    Args:
        target: Created; may exist from an earlier run.

    Returns:
        The directory to give to `Espeak`.
    """
    installed = installed_data()
    own_variants = target / "voices" / "!v"
    own_variants.mkdir(parents=True, exist_ok=True)
    for source, destination in (
        *((path, target / path.name) for path in installed.iterdir() if path.name != "voices"),
        *((path, own_variants / path.name) for path in (installed / "voices" / "!v").iterdir()),
    ):
        if not destination.exists():
            destination.symlink_to(source)
    return target


class Espeak:
    """The synthesiser. The library has global state: use one per process."""

    def __init__(self, data: Path | None = None):
        self._library = library()
        self._data = data
        path = None if data is None else str(data).encode()
        rate = self._library.espeak_Initialize(_AUDIO_OUTPUT_SYNCHRONOUS, 500, path, _PHONEME_EVENTS)
        if rate != ESPEAK_RATE:
            raise EspeakMissing(
                f"espeak-ng synthesises at {rate} Hz instead of {ESPEAK_RATE}; install espeak-ng 1.51 or newer"
            )
        self._pieces: list[np.ndarray] = []
        self._phones: list[tuple[int, str]] = []
        self._words: list[tuple[int, int, int]] = []
        self._callback = _Callback(self._receive)  # kept: ctypes does not hold a reference
        self._library.espeak_SetSynthCallback(self._callback)

    def _receive(self, samples: Any, count: int, events: Any) -> int:
        if samples and count > 0:
            self._pieces.append(np.ctypeslib.as_array(samples, (count,)).copy())
        index = 0
        while events[index].type != _EVENT_END:
            event = events[index]
            if event.type == _EVENT_PHONEME:
                self._phones.append((event.sample, event.id.string.decode("latin1")))
            elif event.type == _EVENT_WORD:
                self._words.append((event.sample, event.text_position - 1, event.length))
            index += 1
        return 0

    def define(self, name: str, definition: str) -> None:
        """Writes or replaces a voice variant. espeak-ng lists at most 349 voices, so reuse a few names."""
        if self._data is None:
            raise ValueError("voices can only be defined in a data directory of our own; pass data=")
        (self._data / "voices" / "!v" / name).write_text(definition, encoding="utf-8")

    def speak(
        self, text: str, variant: str = "", rate_wpm: int = 170, pitch: int = 50, pitch_range: int = 50
    ) -> Speech:
        """Synthesises one utterance in American English.

        Args:
            text: Plain text.
            variant: Voice variant name, "" for the plain voice.
            rate_wpm: Words per minute.
            pitch: 0 to 99.
            pitch_range: 0 to 99.
        """
        self._pieces.clear()
        self._phones.clear()
        self._words.clear()
        voice = f"en-us+{variant}" if variant else "en-us"
        if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise ValueError(f"espeak-ng has no voice {voice!r}; list them with: espeak-ng --voices=variant")
        for parameter, value in (
            (_PARAMETER_RATE, rate_wpm),
            (_PARAMETER_PITCH, pitch),
            (_PARAMETER_RANGE, pitch_range),
        ):
            self._library.espeak_SetParameter(parameter, int(value), 0)
        encoded = text.encode() + b"\0"
        self._library.espeak_Synth(encoded, len(encoded), 0, 1, 0, _UTF8, None, None)
        self._library.espeak_Synchronize()
        samples = np.concatenate(self._pieces) if self._pieces else np.zeros(0, np.int16)
        return Speech(samples, tuple(self._phones), tuple(self._words))
