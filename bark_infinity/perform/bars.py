"""Progress bars for people: the engine's progress reports drawn on standard error, with the time that is left."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from tqdm import tqdm

    from bark_infinity.requests import RenderProgress

_UNITS = {"semantic": "tok", "coarse": "tok", "fine": "win", "codec": "clip"}


class RenderBars:
    """One bar per stage, and one over all clips when there are several.

    Use it as a context manager; pass it as the engine's ``progress``. Draws only on a terminal.

    Args:
        n_clips: Clips of the whole run.
        silent: Draw nothing.
    """

    def __init__(self, n_clips: int = 1, *, silent: bool = False) -> None:
        self._disable = True if silent else None  # None: tqdm draws only when standard error is a terminal
        self._clips: tqdm[NoReturn] | None = None
        self._stage: tqdm[NoReturn] | None = None
        self._stage_name = ""
        if n_clips > 1 and not silent:
            from tqdm import tqdm

            self._clips = tqdm(total=n_clips, desc="clips", unit="clip", disable=self._disable)

    def __call__(self, progress: RenderProgress) -> None:
        """Draws one step."""
        if self._disable:
            return
        if self._stage is None or self._stage_name != progress.stage:
            self._start(progress)
        assert self._stage is not None
        self._stage.total = progress.total
        self._stage.update(progress.done - self._stage.n)

    def finish_clips(self, count: int) -> None:
        """Counts clips that are rendered."""
        self._close_stage()
        if self._clips is not None:
            self._clips.update(count)

    def write(self, line: str) -> None:
        """Prints a line on standard output without tearing the bars."""
        from tqdm import tqdm

        tqdm.write(line, file=sys.stdout)

    def __enter__(self) -> RenderBars:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close_stage()
        if self._clips is not None:
            self._clips.close()

    def _start(self, progress: RenderProgress) -> None:
        from tqdm import tqdm

        self._close_stage()
        self._stage_name = progress.stage
        self._stage = tqdm(
            total=progress.total,
            desc=progress.stage,
            unit=_UNITS[progress.stage],
            leave=False,
            disable=self._disable,
        )

    def _close_stage(self) -> None:
        if self._stage is not None:
            self._stage.close()
            self._stage = None
