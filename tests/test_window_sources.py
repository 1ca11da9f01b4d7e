"""Where a window's events come from: what is said to a run while its past is still being read is answered."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from runner_builders import config, in_process, run_at_once

from experiments import events
from experiments.board.log import Log
from experiments.lineage import Lineage, LineageError, people
from experiments.recorded_run import RecordedRun
from experiments.runner import Runner
from window import sources
from window.sources import OwnRun, Recap, WatchedRun

TROUBLES = [
    LineageError("page 7 is damaged", "damaged"),
    OSError("the disk is gone"),
    RuntimeError("a mistake of ours"),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A run of 8 births that can go on."""
    path = tmp_path / "run.db"
    with Lineage.write(path) as lineage:
        run_at_once(RecordedRun.begin(lineage, config()), 8)
    return path


class SlowReading:
    """Reads some events of the past, then waits; what comes then, a test decides."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached, self.goes_on = threading.Event(), threading.Event()
        self.trouble: Exception | None = None
        self._read = sources.events_of
        monkeypatch.setattr(sources, "events_of", self._events_of)

    def _events_of(self, *which: Any) -> Iterator[events.Event]:
        for number, event in enumerate(self._read(*which)):
            if number == 3:
                self.reached.set()
                assert self.goes_on.wait(30)
                if self.trouble is not None:
                    raise self.trouble
            yield event


def resumed(path: Path, reading: SlowReading) -> OwnRun:
    """A run that goes on, in the midst of reading its past."""
    source = OwnRun(path, lambda tell: Runner.resume(path, 1, tell, make_executor=in_process, paused=True), "made up")
    source.start()
    assert reading.reached.wait(30)
    return source


def all_of(source: OwnRun | WatchedRun) -> list[Any]:
    """What the window was told so far."""
    told: list[Any] = []
    while True:
        try:
            told.append(source.events.get_nowait())
        except queue.Empty:
            return told


def log_of(told: list[Any]) -> list[str]:
    """What stands in the window's log after all that."""
    log = Log(lambda: 0.0)
    for event in told:
        if isinstance(event, Recap):
            log.recording = event.over
        else:
            log.apply(event)
    return [line.text for line in log.lines]


def ratings(path: Path) -> list[tuple[int | None, float | None]]:
    with Lineage.view(path) as lineage:
        return [(one.one, one.value) for one in people.judgements(lineage, 1)]


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda one: type(one).__name__)
def test_a_command_is_answered_when_the_past_cannot_be_read(path, monkeypatch, trouble):
    reading = SlowReading(monkeypatch)
    reading.trouble = trouble
    source = resumed(path, reading)
    assert source.send(events.Rate(2, 1.0))
    assert source.send(events.Continue()), "its answer is that the run has failed"
    reading.goes_on.set()
    source._thread.join(30)
    failed, refused = log_of(all_of(source))
    assert failed.startswith("failed: ")
    assert str(trouble) in failed
    assert refused.startswith("Rate came too late and was not recorded")
    assert not source.send(events.Rate(2, 1.0)), "nobody listens any more"
    assert source.close(5)
    assert ratings(path) == []


def test_a_command_is_done_once_the_past_is_read(path, monkeypatch):
    reading = SlowReading(monkeypatch)
    source = resumed(path, reading)
    assert source.send(events.Rate(2, 1.0))
    assert source.send(events.StopRun())
    reading.goes_on.set()
    source._thread.join(30)
    told = all_of(source)
    over = told.index(Recap(over=True))
    assert any(isinstance(event, events.Judged) for event in told[over:])
    assert ratings(path) == [(2, 1.0)]


def test_a_window_that_closes_waits_for_no_past_and_what_was_said_is_recorded(path, monkeypatch):
    reading = SlowReading(monkeypatch)
    monkeypatch.setattr(sources, "MOST_WAITING", 0)  # nobody takes the events, so reading waits from here on
    source = OwnRun(path, lambda tell: Runner.resume(path, 1, tell, make_executor=in_process, paused=True), "made up")
    source.start()
    assert source.send(events.Rate(2, 1.0))
    assert source.close(30)
    assert not reading.reached.is_set()
    assert ratings(path) == [(2, 1.0)]


def test_judgements_that_wait_when_the_window_closes_are_recorded_though_learning_from_them_would_take_too_long(
    path, monkeypatch
):
    learned: list[object] = []

    def slowly(self: object, answers: object, rater: str) -> list[events.Event]:
        learned.append(answers)
        time.sleep(0.2)
        return []

    monkeypatch.setattr(RecordedRun, "answered", slowly)
    source = OwnRun(path, lambda tell: Runner.resume(path, 1, tell, make_executor=in_process, paused=True), "made up")
    source.start()
    for number in range(60):
        assert source.send(events.Rate(1 + number % 8, float(number % 2)))
    assert source.close(1.0)
    assert len(ratings(path)) == 60
    assert len(learned) < 60


def test_a_watched_run_whose_past_cannot_be_read_says_so_in_the_log(path, monkeypatch):
    def broken(self: object) -> list[events.Event]:
        raise LineageError("page 7 is damaged", "damaged")

    monkeypatch.setattr(sources.Follower, "poll", broken)
    source = WatchedRun(path)
    source.start()
    assert source.caught_up.wait(30)
    source._thread.join(30)
    assert log_of(all_of(source)) == ["failed: page 7 is damaged"]
    source.close(5)
