"""A picture of the window for any run at any moment, without anybody at the screen."""

from __future__ import annotations

import time
from pathlib import Path

from window.app import App
from window.panel import Place
from window.settings import Settings
from window.sources import WatchedRun

READ_S = 600.0  # to read a long run
DRAW_S = 60.0  # to decode the clips that the picture shows
SETTLING = 6  # frames in which layouts and plots find their sizes


def take(
    settings: Settings, source: WatchedRun, path: Path, *, size: tuple[int, int], at: int | None, page: Place = "board"
) -> str:
    """Draws a run into a PNG file.

    Args:
        settings: Looks.
        source: The run, not started yet.
        path: The PNG; replaced when it is there.
        size: Of the picture in pixels.
        at: As it was when this birth was told; None: as it is now.
        page: Of the middle.

    Returns:
        What was wrong, in one sentence; empty when the picture is there.
    """
    app = App(settings, size=size, vsync=False)
    app.loop.deaf = True  # a mouse that happens to be there changes nothing
    try:
        app.show()
        app.open(source)
        end = time.monotonic() + READ_S
        while not (source.caught_up.is_set() and source.events.empty()):
            app.loop.frame()
            if time.monotonic() > end:
                return f"{source.path} could not be read within {READ_S:.0f} s"
        app.loop.frame()
        presenter = app.presenter
        if presenter.present.run_state.state == "failed" and not presenter.present.births:
            return presenter.present.run_state.reason
        if at is not None:
            births = presenter.present.births
            if not births.is_told(at):
                return f"birth {at} was not told in this run, in which {births.told} were"
            presenter.travel(at)
            if presenter.board is presenter.present:
                return f"birth {at} could not be read back: {presenter.present.log.lines[-1].text}"
        if page == "detail" and presenter.board.births.best is not None:
            presenter.select(presenter.board.births.best)
        presenter.turn_to(page)
        end = time.monotonic() + DRAW_S
        while presenter.waiting() and time.monotonic() < end:
            app.loop.frame()
            time.sleep(0.01)
        for _ in range(SETTLING):
            app.loop.frame()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            drawn = app.loop.photograph(path)
        except OSError as error:
            return f"{path} cannot be written: {error.strerror}"
        return "" if drawn else f"{path} could not be drawn"
    finally:
        app.close()
