"""What a newcomer does in the first minutes, with real clicks on real micro-Bark, and a picture of every step.

    xvfb-run -a -s "-screen 0 1600x1000x24 +extension GLX" python tests/newcomer_session.py FOLDER

Start, accept the demo recipe, hear (save) a clip, like three, dislike two, breed by hand, pause, close; then, in
another process, reopen, resume, replay to birth 10, branch, export a voice.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import dearpygui.dearpygui as dpg
from window_hands import Hands

from window.app import App
from window.settings import Settings

PATIENCE_S = 900.0  # for births, on a machine that is shared


class Newcomer(Hands):
    """Hands that take a picture of what they did."""

    def __init__(self, app: App, pictures: Path) -> None:
        self._pictures, self._taken = pictures, len(list(pictures.glob("*.png")))
        super().__init__(app)

    def picture(self, name: str) -> None:
        self._taken += 1
        self.frames(6)
        assert self.app.loop.photograph(self._pictures / f"{self._taken:02d}_{name}.png")

    def wait(self, what: str, condition) -> None:  # type: ignore[no-untyped-def]
        state = self.app.presenter.present.run_state
        assert self.until(condition, PATIENCE_S), f"{what}: {state.state}, {state.reason}, {state.told} births"

    def slide_to(self, place: int) -> None:
        """The replay slider to the moment of a birth: a click near it, then nearer, as with a hand."""
        count = len(self.app.presenter.moments())
        share = (place + 0.5) / (count + 1)
        for _ in range(12):
            self.click("replay.slider", share)
            at = self.app.presenter.board.run_state.at
            reached = count if at is None else list(self.app.presenter.moments()).index(at) + 1
            if reached == place:
                return
            share += (place - reached) / (count + 1)
        raise AssertionError(f"the slider is at {reached} of {count}, not at {place}")


def first_sitting(folder: Path) -> dict[str, object]:
    hands = Newcomer(App(Settings(scale=1.0, output_folder=str(folder)), vsync=False), folder)
    app = hands.app
    hands.picture("empty")
    hands.click("control.new")
    hands.wait("the form", lambda: dpg.does_item_exist("new.start"))
    hands.picture("recipe")
    hands.click("new.start")
    hands.wait("a first card", lambda: app.presenter.present.run_state.told >= 8)
    board = app.presenter.present
    hands.wait("eight cards", lambda: len(board.cards.shown()) >= 8)

    def place(birth: int) -> int:
        return board.cards.places.index(birth)

    ok = [birth for birth in board.cards.shown() if board.births[birth].status == "ok"]
    first = max(ok, key=lambda birth: board.births[birth].total or 0.0)
    hands.click(f"board.{place(first)}.play")
    hands.wait("a clip", lambda: any(folder.rglob("*.wav")))
    hands.picture("heard")
    liked, disliked = ok[:3], [birth for birth in board.cards.shown() if birth not in ok[:3]][:2]
    for birth in liked:
        hands.click(f"board.{place(birth)}.like")
    for birth in disliked:
        hands.click(f"board.{place(birth)}.dislike")
    hands.wait("ratings", lambda: all(board.births[birth].rating is not None for birth in (*liked, *disliked)))
    for birth in liked[:2]:
        hands.click(f"board.{place(birth)}.breed")
    hands.picture("judged")
    hands.click("board.breed")
    hands.wait("a child by hand", lambda: any("will be born" in line.text for line in board.log.lines))
    hands.wait("ten births", lambda: board.run_state.told >= 12)
    hands.picture("running")
    hands.click("control.go")
    hands.wait("a pause", lambda: board.run_state.state == "paused")
    hands.picture("paused")
    said = {"told": board.run_state.told, "liked": liked, "disliked": disliked}
    said["lineage"] = board.run_state.opened.path
    assert app.close()
    return said


def second_sitting(folder: Path, lineage: Path) -> dict[str, object]:
    """In an empty window: opens the file by its path, and goes on from there; only the mouse and keys."""
    hands = Newcomer(App(Settings(scale=1.0, output_folder=str(folder)), vsync=False), folder)
    app = hands.app
    hands.click("control.open")
    hands.wait("the question for a file", lambda: dpg.does_item_exist("paths.path"))
    hands.click("paths.path")
    hands.key("ctrl+a")
    hands.type(str(lineage))
    hands.key("Return")
    hands.wait("its runs", lambda: dpg.does_item_exist("open.watch"))
    hands.picture("runs")
    hands.click("open.watch")
    hands.wait("its births", lambda: app.presenter.present.run_state.state == "stopped")
    before = app.presenter.present.run_state.told
    hands.wait("its outlines", lambda: not app.presenter.waiting())
    hands.picture("reopened")
    hands.click("control.go")
    hands.wait("more births", lambda: app.presenter.present.run_state.told > before)
    hands.picture("resumed")
    hands.slide_to(10)
    then = len(app.presenter.board.cards.shown())
    hands.wait("its outlines", lambda: not app.presenter.waiting())
    hands.picture("replay_to_10")
    hands.click("replay.now")
    hands.click("layout.compare")
    hands.wait("a pair", lambda: dpg.is_item_enabled("compare.a.play"))
    hands.click("compare.a.play")
    hands.picture("compare")
    hands.click("layout.board")
    hands.click("board.filter.best")
    hands.frames(4)
    board = app.presenter.board
    best = board.births.best
    hands.click(f"board.{board.cards.places.index(best)}.title")
    hands.wait("the card that is looked at", lambda: board.selection.birth == best)
    hands.key("Return")
    hands.wait("the detail", lambda: app.layout.page == "detail")
    hands.until(lambda: False, 3.0)
    hands.picture("detail")
    hands.click("detail.voice")
    hands.wait("a voice", lambda: any(folder.rglob("*.npz")))
    hands.picture("exported")
    hands.click("detail.branch")
    hands.wait("its name", lambda: dpg.does_item_exist("branch.start"))
    hands.picture("branch")
    hands.click("branch.start")
    hands.wait("the branch", lambda: app.presenter.present.run_state.state == "paused")
    name = app.presenter.present.run_state.name
    assert app.layout.page == "board", "another run begins on the board"
    hands.picture("branched")
    assert app.close()
    return {"before": before, "then": then, "best": best, "branch": name}


if __name__ == "__main__":
    where = Path(sys.argv[1])
    if len(sys.argv) > 2:
        print(json.dumps(second_sitting(where, Path(sys.argv[2]))))
        sys.exit()
    where.mkdir(parents=True, exist_ok=True)
    said = first_sitting(where)
    again = subprocess.run(
        [sys.executable, "-X", "faulthandler", __file__, str(where), str(said["lineage"])],
        capture_output=True,
        text=True,
        check=False,
    )
    if again.returncode:
        sys.exit(again.stderr[-3000:])
    print("RESULT " + json.dumps({**said, **json.loads(again.stdout.splitlines()[-1])}))
