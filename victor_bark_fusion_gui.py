"""Victor Bark Fusion's window: evolve voices and prompts by ear.

    python victor_bark_fusion_gui.py                          the window, empty
    python victor_bark_fusion_gui.py --lineage night.db       a run: finished, or being written by another process
    python victor_bark_fusion_gui.py --screenshot board.png --at-birth 40 night.db

Exit codes: 0 all is well; 1 the picture could not be made, or a run did not end in time; 2 wrong arguments, no screen,
no OpenGL, Dear PyGui missing, or a file that is no lineage.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import logging
import re
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

_SCALES = (0.5, 4.0)
_EDGES = (600, 8192)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the window; returns the process's exit code."""
    parser = _parser()
    given = parser.parse_args(arguments)
    path = given.run or given.lineage
    if given.screenshot is not None and path is None:
        parser.error("--screenshot needs the lineage to draw: --screenshot FILE LINEAGE")
    if given.at_birth is not None and given.screenshot is None:
        parser.error("--at-birth goes with --screenshot; in the window, replay is at the bottom")
    logging.basicConfig(level=logging.INFO if given.verbose else logging.WARNING, format="%(levelname)s %(message)s")
    if path is not None and not path.is_file():
        return _refuse(f"there is no lineage file {path}")
    if importlib.util.find_spec("dearpygui") is None:
        return _refuse("the window needs Dear PyGui: pip install 'victor-bark-fusion[gui,playback]'")
    from window.screen import trouble

    if said := trouble():
        return _refuse(said)
    return _window(given, path)


def _window(given: argparse.Namespace, path: Path | None) -> int:
    from bark_infinity.error_handling import BarkError
    from window import settings as settings_file
    from window.app import App, remembering
    from window.screenshot import take
    from window.sources import WatchedRun

    where = settings_file.settings_path()
    settings, notice = settings_file.load(where)
    if given.screenshot is not None:
        settings = dataclasses.replace(settings_file.Settings(), theme=given.theme or "dark", scale=given.scale or 1.0)
    elif given.scale:
        settings = dataclasses.replace(settings, scale=given.scale)
    if given.theme:
        settings = dataclasses.replace(settings, theme=given.theme)
    older = None  # a file that is shown once a person lets it be brought up to date
    try:
        source = None if path is None else WatchedRun(path, given.name)
    except BarkError as error:
        if getattr(error, "trouble", "") != "older" or given.screenshot is not None:
            return _refuse(str(error))
        source, older = None, path
    if given.screenshot is not None:
        assert source is not None
        said = take(settings, source, given.screenshot, size=given.size, at=given.at_birth, page=given.page)
        if said:
            print(f"victor_bark_fusion_gui: {said}", file=sys.stderr)
        return 1 if said else 0
    app = App(settings, remembering(where), size=given.size)
    try:
        app.show()
        if notice:
            app.presenter.say(notice, "warning")
        if source is not None:
            app.open(source)
        if older is not None:
            app.dialogs.look_into(older)
        for asked in (signal.SIGTERM, signal.SIGINT):  # as closing the window
            signal.signal(asked, lambda _number, _frame: app.stop())
        app.run()
    finally:
        if app.presenter.source.working():
            print("victor_bark_fusion_gui: the run finishes what is under way, and can be resumed", file=sys.stderr)
        ended = app.close()
    if not ended:
        print(
            "victor_bark_fusion_gui: the run did not end in time; what was acknowledged is in its file", file=sys.stderr
        )
    return 0 if ended else 1


def _refuse(sentence: str) -> int:
    print(f"victor_bark_fusion_gui: {sentence}", file=sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="victor_bark_fusion_gui", description="The window of Victor Bark Fusion: evolve voices and prompts by ear."
    )
    parser.add_argument("run", nargs="?", type=Path, metavar="LINEAGE", help="lineage file to open")
    parser.add_argument("--lineage", type=Path, metavar="FILE", help="the same")
    parser.add_argument("--name", metavar="RUN", help="which run of the file; the latest without")
    parser.add_argument("--theme", choices=("dark", "light"), help="instead of the one that was set")
    parser.add_argument(
        "--scale", type=_scale, metavar="X", help="size of everything, 0.5 to 4; without, the desktop's"
    )
    parser.add_argument("--screenshot", type=Path, metavar="FILE", help="draw the window into a PNG and exit")
    parser.add_argument("--size", type=_size, default=(1600, 1000), metavar="WxH", help="of the window, 1600x1000")
    parser.add_argument("--at-birth", type=_birth, metavar="N", help="of a screenshot: as it was when N was told")
    parser.add_argument(
        "--page",
        choices=("board", "compare", "detail", "voices"),
        default="board",
        help="of a screenshot: the page shown",
    )
    parser.add_argument("--verbose", action="store_true", help="say more on the terminal")
    return parser


def _size(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d{3,5})x(\d{3,5})", text)
    size = (int(found[1]), int(found[2])) if found else (0, 0)
    if not all(_EDGES[0] <= edge <= _EDGES[1] for edge in size):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no size, expected such as 1600x1000, edges {_EDGES[0]} to {_EDGES[1]}"
        )
    return size


def _scale(text: str) -> float:
    try:
        scale = float(text)
    except ValueError:
        scale = 0.0
    if not _SCALES[0] <= scale <= _SCALES[1]:
        raise argparse.ArgumentTypeError(f"{text!r} is no scale, expected {_SCALES[0]} to {_SCALES[1]}")
    return scale


def _birth(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no birth number, expected a whole number from 1")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
