"""One line that says how a run goes on: births, the best so far, the time that is left.

On a terminal the line is drawn over and over; elsewhere, in a log of a night, one line is printed when a step of the
swarm is over. A terminal that is gone (a closed ssh session) never disturbs the run.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from experiments.cli.terminal import Painted, Part, Terminal, duration, fitted, printable, width_of
from experiments.events import Audited, Begun, Committed, Event, Notice, Progress, Rescored, StateChanged, Told

_BAR = 16  # columns
_LEAST_BETWEEN_S = 0.1  # two drawings of the line
_CLEAR = "\r\x1b[K"


class RunProgress:
    """Draws what a run says; pass it to `Runner` as ``on_event``.

    Args:
        terminal: Where; standard error, so that results can be piped.
        path: The lineage file.
        quiet: Print nothing but notices.
        best: Best total of earlier sittings, and the birth that has it.
        clock: Seconds.
    """

    def __init__(
        self,
        terminal: Terminal,
        path: Path,
        *,
        quiet: bool = False,
        best: tuple[float, int] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._terminal, self._path, self._quiet, self._clock = terminal, path, quiet, clock
        self._run = ""
        self._live = terminal.is_terminal and not quiet
        self._best = best
        self._limit: int | None = None
        self._told = self._steps = self._rejected = self._failed = 0
        self._progress: Progress | None = None
        self._state = ""
        self._drawn_at = float("-inf")
        self._is_drawn = self._to_tell = False

    def __call__(self, event: Event) -> None:
        """Takes in one event."""
        try:
            self._take(event)
        except (OSError, ValueError):  # the terminal is closed; the run goes on
            self._live, self._quiet = False, True

    def note(self, *parts: Part) -> None:
        """Prints a line that stays."""
        try:
            self._erase()
            self._terminal.say(*parts)
            self._draw()
            self._terminal.out.flush()
        except (OSError, ValueError):
            self._live, self._quiet = False, True

    def close(self) -> None:
        """Takes the line away."""
        try:
            self._erase()
            self._terminal.out.flush()
        except (OSError, ValueError):
            self._quiet = True
        self._live = False

    def _take(self, event: Event) -> None:
        match event:
            case Begun():
                self._run = event.name
                if not self._quiet:
                    self.note("recording ", Painted(event.name, "bold"), " in ", Painted(str(self._path), "accent"))
                stop = event.config.get("stop")
                limit = stop.get("evaluations") if isinstance(stop, Mapping) else None
                self._limit = limit if isinstance(limit, int) else None
            case StateChanged(state, reason):
                self._state = "" if state == "running" else state + (f": {reason}" if reason else "")
                if state == "stopping":
                    self.note(
                        "finishing what is being rendered; a second signal ends at once. Nothing recorded is lost."
                    )
                    resume = shlex.join(["bark-lab", "resume", str(self._path), "--run", self._run])
                    self.note("go on later with: ", Painted(resume, "accent"))
            case Told():
                self._told += 1
                self._rejected += event.score.status == "rejected"
                self._failed += event.score.status == "failed"
                self._compare(event.total, event.candidate.birth, event.candidate.operator)
            case Audited(birth, score, total) if not self._quiet:
                result = score.reason or score.status if total is None else f"{total:.4f}"
                self.note(f"#{birth} on texts that selection never heard: {result}")
            case Rescored(totals):
                if self._best is not None and self._best[1] in totals:
                    self._best = max((value, birth) for birth, value in totals.items())
            case Committed():
                self._steps += 1
                self._to_tell = not self._live and not self._quiet
            case Progress():
                self._progress = event
                if self._to_tell:  # only now is it known how long it will take
                    self._to_tell = False
                    self._terminal.say(f"step {self._steps}: {self._text()}")
                    self._terminal.out.flush()
            case Notice(text, level):
                self.note(Painted(f"{level}: ", "bad" if level == "error" else "warn"), text)
        if self._live and (isinstance(event, StateChanged) or self._clock() - self._drawn_at >= _LEAST_BETWEEN_S):
            self._draw()

    def _compare(self, total: float | None, birth: int, operator: str) -> None:
        if total is not None and operator != "control" and (self._best is None or total > self._best[0]):
            self._best = (total, birth)

    def _text(self) -> str:
        told = max(self._told, self._progress.told if self._progress is not None else 0)
        parts = [f"{told}/{self._limit} births" if self._limit else f"{told} births"]
        if self._best is not None:
            parts.append(f"best {self._best[0]:.4f} (#{self._best[1]})")
        is_over = self._limit is not None and told >= self._limit
        if self._progress is not None and self._progress.eta_hours is not None and not is_over:
            parts.append(f"{duration(self._progress.eta_hours * 3_600)} left")
        counts = {"rejected": self._rejected, "failed": self._failed}
        parts += [f"{count} {what}" for what, count in counts.items() if count]
        doing = self._state or ("" if self._progress is None else self._progress.rendering)
        return "  ".join([*parts, doing]) if doing else "  ".join(parts)

    def _draw(self) -> None:
        if not self._live:
            return
        text = printable(self._text())
        if self._limit:
            full, empty = ("█", "░") if self._terminal.boxes else ("#", ".")
            done = round(_BAR * min(1.0, self._told_share()))
            text = f"{full * done}{empty * (_BAR - done)}  {text}"
        width = (self._terminal.width or 80) - 1
        self._terminal.out.write(_CLEAR + fitted(text, width) if width_of(text) > width else _CLEAR + text)
        self._terminal.out.flush()
        self._is_drawn, self._drawn_at = True, self._clock()

    def _told_share(self) -> float:
        told = max(self._told, self._progress.told if self._progress is not None else 0)
        return told / self._limit if self._limit else 0.0

    def _erase(self) -> None:
        if self._is_drawn:
            self._terminal.out.write(_CLEAR)
            self._is_drawn = False
