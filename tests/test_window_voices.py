"""The voices panel without widgets: engine work takes turns, and a voice that was made is told of whatever follows."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import board_events
import pytest

pytest.importorskip("dearpygui.dearpygui")

from bark_infinity.audio import write_audio
from bark_infinity.error_handling import BarkError
from bark_infinity.voices.catalogue import VoiceCatalogue
from experiments.voice_shelf import VoiceShelf
from window.panels.voices import VoicesPanel


class Desk:
    """Notes what is given to workers, and what is said."""

    def __init__(self) -> None:
        self.given: list[tuple[Callable[[], Any], Callable[[Any], None], Callable[[str], None]]] = []
        self.said: list[tuple[str, str]] = []

    def background(self, work, then, failed=None) -> None:
        self.given.append((work, then, failed))

    def say(self, text: str, level: str = "info") -> None:
        self.said.append((text, level))


@pytest.fixture
def panel() -> VoicesPanel:
    made = VoicesPanel()
    made._desk = Desk()
    made._turns = deque()
    made._library, made._shown = None, ()
    return made


def test_engine_work_takes_one_worker_of_the_window_however_many_voices_are_to_be_heard(panel):
    told: list[str] = []
    for name in ("one", "two", "three"):
        panel._in_turn(lambda name=name: name, told.append, told.append)
    given = panel._desk.given
    assert len(given) == 1
    given[0][1](given[0][0]())
    assert (told, len(given)) == (["one"], 2)
    given[1][2]("two failed")
    given[2][1](given[2][0]())
    assert told == ["one", "two failed", "three"]
    panel._in_turn(lambda: "four", told.append, told.append)
    assert len(given) == 4, "nothing waits, so it begins"


def test_a_clone_that_cannot_be_heard_yet_is_on_the_shelf_and_told_of(panel, tmp_path: Path, monkeypatch):
    def mute(*_: object) -> None:
        raise BarkError("voice it said nothing")

    voice = VoiceCatalogue().resolve("micro/carl")
    panel._shelf = VoiceShelf(VoiceCatalogue([tmp_path]), tmp_path)
    panel._audition = SimpleNamespace(clone=lambda *_: voice, speak=mute)
    panel._checkpoint, panel._text = "micro", "text"
    monkeypatch.setattr("window.panels.voices.dpg.get_value", lambda _item: "Hello.")
    recording = tmp_path / "me.wav"
    write_audio(recording, board_events.clip(1).audio, board_events.SAMPLE_RATE)
    panel._clone_from(recording, "Hello.")
    work, then, _ = panel._desk.given[0]
    then(work())
    [(said, level)] = panel._desk.said
    assert said.startswith("me.wav is the voice ")
    assert said.endswith("but it was not heard: voice it said nothing")
    assert level == "warning"
    assert panel._shelf.load(panel._wanted).sha256 == voice.sha256
