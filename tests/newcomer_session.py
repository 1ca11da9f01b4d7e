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
from window.sources import WatchedRun

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
    app = App(Settings(scale=1.0, output_folder=str(folder)), vsync=False)
    app.open(WatchedRun(lineage))
    hands = Newcomer(app, folder)
    hands.wait("its births", lambda: app.presenter.present.run_state.state == "stopped")
    before = app.presenter.present.run_state.told
    hands.wait("its outlines", lambda: not app.presenter.waiting())
    hands.picture("reopened")
    hands.click("control.go")
    hands.wait("more births", lambda: app.presenter.present.run_state.told > before)
    hands.picture("resumed")
    app.presenter.travel(10)
    hands.frames(4)
    then = len(app.presenter.board.cards.shown())
    hands.picture("replay_to_10")
    app.presenter.travel(None)
    hands.frames(3)
    hands.click("layout.compare")
    hands.frames(3)
    hands.click("compare.a.play")
    hands.picture("compare")
    hands.click("layout.board")
    board = app.presenter.board
    best = board.births.best
    app.presenter.open_detail(best)
    hands.frames(3)
    hands.wait("the detail", lambda: not app.presenter.waiting())
    hands.until(lambda: False, 2.0)
    hands.picture("detail")
    hands.click("layout.board")
    app.presenter.save_voice(best)
    hands.wait("a voice", lambda: any(folder.rglob("*.npz")))
    app.presenter.branch(best)
    hands.wait("its name", lambda: dpg.does_item_exist("branch.start"))
    hands.picture("branch")
    hands.click("branch.start")
    hands.wait("the branch", lambda: app.presenter.present.run_state.state == "paused")
    name = app.presenter.present.run_state.name
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
