"""A window under Xvfb with hands: real mouse and keys by xdotool, frames between, synthetic or recorded runs behind it.

A bare click can begin and end between two frames, so frames are drawn after every press, move and release.
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import board_events
import dearpygui.dearpygui as dpg
from board_recorded import Recorder

from bark_infinity.error_handling import BarkError
from bark_infinity.tokens import BarkTokens
from digital_evolution import Candidate
from experiments.board.run_state import Opened
from experiments.events import Asked, Command, Event, Told
from experiments.lineage import Lineage
from experiments.replay.player import Recording
from window.app import App
from window.panel import Recalled
from window.settings import Settings

_BUTTONS = {1: 0, 2: 2, 3: 1}  # of xdotool: left, middle, right
FOLDER = Path(__file__).resolve().parents[1]


def screen() -> bool:
    """Whether there is a screen, and hands for it."""
    return bool(os.environ.get("DISPLAY")) and shutil.which("xdotool") is not None


def in_own_process(script: str, *arguments: str, timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
    """Runs a script of tests/ that opens a window: one process per window."""
    environment = {**os.environ, "LIBGL_ALWAYS_SOFTWARE": "1", "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = f"{FOLDER}{os.pathsep}{FOLDER / 'tests'}"
    command = [sys.executable, "-X", "faulthandler", str(FOLDER / "tests" / script), *arguments]
    return subprocess.run(command, cwd=FOLDER, env=environment, capture_output=True, text=True, timeout=timeout_s)


def result_of(script: str, scene: str, folder: Path, *arguments: object, timeout_s: float = 280) -> Any:
    """What a scene of a script printed; a crash or a traceback fails the test."""
    ran = in_own_process(script, scene, str(folder), *map(str, arguments), timeout_s=timeout_s)
    assert ran.returncode == 0, ran.stderr[-3000:]
    assert "Traceback" not in ran.stderr, ran.stderr[-3000:]
    [line] = [line for line in ran.stdout.splitlines() if line.startswith("RESULT ")]
    return json.loads(line.removeprefix("RESULT "))


class SyntheticSource:
    """Events that were made before; takes every command and remembers it."""

    def __init__(self, events: Iterable[Event]) -> None:
        self.opened = Opened("own", "synthetic.db", "synthetic")
        self.events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self.sent: list[Command] = []
        self._candidates: dict[int, Candidate] = {}
        self._told: dict[int, Told] = {}
        self._unwritten: list[Event] = []
        self._recorder: Recorder | None = None
        for event in events:
            self.put(event)

    def put(self, event: Event) -> None:
        if isinstance(event, Asked):
            self._candidates |= {one.birth: one for one in event.candidates}
        if isinstance(event, Told):
            self._candidates[event.candidate.birth] = event.candidate
            self._told[event.candidate.birth] = event
        self._unwritten.append(event)
        self.events.put(event)

    def recording(self) -> Recording:
        if self._recorder is None:
            self._folder = tempfile.TemporaryDirectory()
            self._recorder = Recorder(Lineage.write(Path(self._folder.name) / "synthetic.db"))
        with self._recorder.lineage.transaction("writing what happened"):
            for _ in self._recorder.all(self._unwritten):
                pass
        self._unwritten.clear()
        return Recording(self._recorder.lineage, self._recorder.run_id)

    def start(self) -> None:
        pass

    def send(self, command: Command) -> bool:
        self.sent.append(command)
        return True

    def recall(self, birth: int) -> Recalled:
        if birth not in self._candidates:
            raise BarkError(f"there is no birth {birth}")
        candidate, told = self._candidates[birth], self._told.get(birth)
        clip = spoken = None
        if told is not None and told.score.status != "failed":
            clip = board_events.clip(birth, 2.0, told.score.measures.get("f0_median_hz", 150.0))
            voice = board_events.voice(birth, 150)
            spoken = BarkTokens(voice.semantic, voice.coarse, voice.fine)
        parents = tuple(self._candidates[one.birth] for one in candidate.parents)
        return Recalled(candidate, None if told is None else told.score, clip, spoken, parents)

    def engine(self) -> None:
        return None

    def close(self, timeout_s: float) -> bool:
        if self._recorder is not None:
            self._recorder.lineage.close()
            self._folder.cleanup()
        return True


class Hands:
    """An app on the screen, and what a person can do to it."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.app.show()
        self.frames(3)

    @classmethod
    def on(cls, source: object, folder: Path, size: tuple[int, int] = (1280, 800)) -> Hands:
        """A window that shows a source; files go to a folder."""
        app = App(Settings(output_folder=str(folder)), size=size, vsync=False)
        app.open(source)  # type: ignore[arg-type]
        return cls(app)

    def frames(self, count: int = 4) -> None:
        for _ in range(count):
            self.app.loop.frame()

    def until(self, happened: Callable[[], bool], timeout_s: float = 20.0) -> bool:
        """Frames until something has happened; False when it did not."""
        end = time.monotonic() + timeout_s
        while not happened():
            if time.monotonic() > end:
                return False
            self.app.loop.frame()
        self.frames(2)
        return True

    def settle(self) -> None:
        """Until all events are taken in."""
        source = self.app.presenter.source
        assert self.until(source.events.empty)
        self.frames(6)

    # -- mouse and keys -----------------------------------------------------------------------------------------

    def tool(self, *arguments: object) -> None:
        subprocess.run(["xdotool", *map(str, arguments)], check=True)

    def arrived(self, there: Callable[[], bool], frames: int) -> None:
        """Draws so many frames, and more until the window has noticed: on a busy machine the screen server is late."""
        self.frames(frames)
        end = time.monotonic() + 2
        while not there() and time.monotonic() < end:
            self.frames(1)

    def move(self, x: float, y: float) -> None:
        at = max(int(x), 0), max(int(y), 0)
        self.tool("mousemove", *at)
        self.arrived(lambda: tuple(map(int, dpg.get_mouse_pos(local=False))) == at, 2)

    def press(self, button: int = 1) -> None:
        self.tool("mousedown", button)
        self.arrived(lambda: dpg.is_mouse_button_down(_BUTTONS[button]), 1)
        self.frames(1)

    def release(self, button: int = 1) -> None:
        self.tool("mouseup", button)
        self.arrived(lambda: not dpg.is_mouse_button_down(_BUTTONS[button]), 1)
        self.frames(2)

    def click_at(self, x: float, y: float, times: int = 1) -> None:
        self.move(x, y)
        for _ in range(times):
            self.press()
            self.release()
        self.frames(3)

    def click(self, tag: str, across: float = 0.5, down: float = 0.5) -> None:
        self.click_at(*self.inside(tag, across, down))

    def drag(self, begin: tuple[float, float], end: tuple[float, float]) -> None:
        self.move(*begin)
        self.press()
        for share in (0.3, 0.7, 1.0):
            self.move(*(a + (b - a) * share for a, b in zip(begin, end, strict=True)))
        self.release()

    def wheel(self, turns: int) -> None:
        for _ in range(abs(turns)):
            self.tool("click", 4 if turns > 0 else 5)
            self.frames(2)

    def type(self, text: str) -> None:
        for sign in text:
            self.tool("type", "--delay", "60", sign)
            self.frames(2)
        self.frames(3)

    def key(self, name: str) -> None:
        self.tool("key", "--delay", "60", name)
        self.frames(3)

    @staticmethod
    def inside(tag: str, across: float = 0.5, down: float = 0.5) -> tuple[float, float]:
        """A point of an item, by shares of its width and height."""
        x, y = dpg.get_item_rect_min(tag)
        width, height = dpg.get_item_rect_size(tag)
        return x + width * across, y + height * down
