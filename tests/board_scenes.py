"""Scenes of the board, the bars, comparing and dialogs: real clicks and keys; each prints what came of it as JSON."""

from __future__ import annotations

import json
import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import dearpygui.dearpygui as dpg
from board_events import synthetic_run
from runner_builders import config, in_process
from window_hands import Hands, SyntheticSource

from experiments import runner
from experiments.events import Asked, Judged, Rate, Told
from experiments.lineage import Lineage, people, verification
from experiments.runner import Runner
from window.app import App
from window.screenshot import take
from window.settings import Settings, load, save
from window.sources import OwnRun, WatchedRun


def scene_cards(folder: Path) -> object:
    source = SyntheticSource(synthetic_run(24, 1, clip_share=1.0, judgements=False))
    hands = Hands.on(source, folder)
    hands.settle()
    board = hands.app.presenter.board
    places = list(board.cards.places)
    for place in (0, 1, 2):
        hands.click(f"board.{place}.{('like', 'dislike', 'pin')[place]}")
    hands.click("board.3.breed")
    hands.click("board.4.breed")
    marked = board.selection.marked
    hands.click("board.breed")
    hands.click("board.5.wave")
    looked = board.selection.birth
    playable = next(place for place in range(9) if board.births[places[place]].status == "ok")
    hands.click(f"board.{playable}.play")
    saved = [path.name for path in folder.rglob("*.wav")]
    hands.click("board.7.more")
    hands.frames(2)
    hands.click("board.menu.voice")
    voices = hands.until(lambda: any(folder.rglob("*.npz")), 10)
    hands.click("board.filter.best")
    best = list(board.cards.shown())
    hands.click("board.density.24")
    found = {
        "places": places, "marked": marked, "looked": looked, "played": places[playable], "saved": saved,
        "voices": voices, "best": best, "count": board.cards.count, "settings": hands.app.presenter.settings.density,
        "sent": [repr(command) for command in source.sent],
    }  # fmt: skip
    hands.app.close()
    return found


def scene_keys(folder: Path) -> object:
    source = SyntheticSource(synthetic_run(24, 1, clip_share=1.0, judgements=False))
    hands = Hands.on(source, folder)
    hands.settle()
    board = hands.app.presenter.board
    places = list(board.cards.places)
    walked = []
    for key in ("Right", "Right", "Down", "Left", "Up"):
        hands.key(key)
        walked.append(places.index(board.selection.birth))
    hands.key("l")
    hands.key("d")
    hands.key("p")
    hands.key("m")
    marked = board.selection.marked
    hands.key("ctrl+z")
    playable = next(place for place in range(9) if board.births[places[place]].status == "ok")
    hands.key(str(playable + 1))
    saved = [path.name for path in folder.rglob("*.wav")]
    looked = board.selection.birth
    hands.key("b")
    page, question = hands.app.layout.page, board.compare.question
    hands.key("a")
    hands.key("t")
    hands.key("x")
    hands.key("s")
    hands.key("1")
    heard = set(board.compare.heard)
    hands.key("Escape")
    back = hands.app.layout.page
    hands.key("Right")
    stays = board.selection.birth
    hands.key("Return")
    detail = hands.app.layout.page
    hands.key("Escape")
    for key in range(9):
        hands.key(str(key + 1))
        if board.births[places[key]].status == "ok":
            hands.until(lambda: board.selection.birth == places[key], 5.0)  # noqa: B023
    hands.key("space")
    found = {
        "heard": len(heard), "detail": [stays in board.births, detail], "all": len(list(folder.rglob("*.wav"))),
        "audible": sum(board.births[places[key]].status != "failed" for key in range(9)),
        "walked": walked, "marked": marked, "saved": saved, "played": places[playable], "looked": looked, "page": page,
        "question": question, "back": back, "sent": [repr(command) for command in source.sent],
        "places": places,
    }  # fmt: skip
    hands.app.close()
    return found


def scene_compare(folder: Path) -> object:
    source = SyntheticSource(synthetic_run(40, 2, clip_share=1.0, judgements=False))
    hands = Hands.on(source, folder)
    hands.settle()
    compare = hands.app.presenter.board.compare
    hands.click("layout.compare")
    hands.frames(3)
    first = compare.question
    hands.click("compare.a.play")
    hands.click("compare.b.play")
    heard = sorted(compare.heard)
    hands.click("compare.b.choose")
    second = compare.question
    hands.click("compare.tie")
    hands.click("compare.bad")
    hands.click("compare.skip")
    hands.click("compare.mode.worst")
    four = compare.question
    hands.click("compare.c.choose")
    given = [one.words for one in compare.given]
    hands.click("compare.undo")
    found = {
        "first": first, "heard": heard, "second": second, "four": four, "given": given,
        "sent": [repr(command) for command in source.sent],
    }  # fmt: skip
    hands.app.close()
    return found


def scene_dialogs(folder: Path) -> object:
    path = folder / "window.json"
    app = App(Settings(output_folder=str(folder)), lambda settings: save(settings, path), vsync=False)
    hands = Hands(app)
    begun: list[object] = []
    app.dialogs.begin = lambda *facts: begun.append(facts)  # type: ignore[method-assign]
    hands.click("control.new")
    assert hands.until(lambda: dpg.does_item_exist("new.start"))
    hands.click("new.recipe.voices")
    recipe = dpg.get_value("new.first.name")
    hands.click("new.recipe.demo")
    hands.click("new.first.stop.evaluations")
    hands.key("ctrl+a")
    hands.type("soon")
    refused, enabled = dpg.get_value("new.said"), dpg.get_item_configuration("new.start")["enabled"]
    hands.key("ctrl+a")
    hands.type("16")
    accepted = dpg.get_value("new.said")
    hands.click("new.paused")
    hands.frames(3)
    closed = not app.dialogs.any_open()
    hands.click("control.settings")
    assert hands.until(lambda: dpg.does_item_exist("settings.apply"))
    dpg.set_value("settings.theme", "light")
    dpg.set_value("settings.scale", "1.25")
    hands.click("settings.apply")
    hands.frames(8)
    remembered, _ = load(path)
    hands.click("control.new")
    again = hands.until(lambda: dpg.does_item_exist("new.cancel"))
    hands.click("new.cancel")
    found = {
        "recipe": recipe, "refused": refused, "enabled": enabled, "accepted": accepted, "closed": closed,
        "begun": [str(begun[0][0]), begun[0][1].stop.evaluations, begun[0][3]],  # type: ignore[index]
        "theme": remembered.theme, "scale": remembered.scale, "again": again,
        "ground": list(app.presenter.palette.ground),
    }  # fmt: skip
    app.close()
    return found


def scene_run(folder: Path) -> object:
    """A run of this window: step, judge, stop, go on, close in mid-run; the lineage holds everything."""
    runner.executor_of = in_process
    path = folder / "mine.db"
    hands = Hands.on(OwnRun(path, lambda tell: Runner.begin(path, config(), tell, paused=True)), folder)
    state = hands.app.presenter.present.run_state
    states = []

    def now(name: str) -> None:
        assert hands.until(lambda: hands.app.presenter.present.run_state.state == name), state.state
        states.append(name)

    now("paused")
    hands.click("control.step")
    assert hands.until(lambda: state.told >= 4)
    now("paused")
    board = hands.app.presenter.present
    birth = next(one.number for one in board.births.values() if one.status == "ok")
    hands.click(f"board.{board.cards.places.index(birth)}.like")
    assert hands.until(lambda: board.births[birth].rating == 1.0)
    hands.click("control.stop")
    now("stopped")
    hands.click("control.go")  # it says resume now
    assert hands.until(lambda: hands.app.presenter.present.run_state.told > 6)
    resumed = hands.app.presenter.present
    liked = resumed.births[birth].rating
    hands.app.presenter.travel(3)
    hands.frames(4)
    then = sorted(hands.app.presenter.board.births)
    hands.app.presenter.travel(None)
    closed = hands.app.close()
    with Lineage.view(path) as lineage:
        run = lineage.runs()[0]
        problems = verification.verify(lineage)
        said = [(one.kind, one.one, one.value) for one in people.judgements(lineage, run.run_id)]
        return {
            "states": states, "liked": liked, "then": then, "closed": closed, "problems": problems, "said": said,
            "birth": birth, "state": run.state,
        }  # fmt: skip


def scene_older(folder: Path) -> object:
    """A file of an older version: refused, then brought up to date by a click, with a copy beside it."""
    path = folder / "old.db"
    with closing(sqlite3.connect(path)) as database:
        database.executescript((Path(__file__).parent / "data" / "lineage_v3.sql").read_text("utf-8"))
    app = App(Settings(output_folder=str(folder)), size=(1280, 800), vsync=False)
    hands = Hands(app)
    app.dialogs.look_into(path)
    asked = hands.until(lambda: dpg.does_item_exist("older.renew"))
    hands.frames(4)
    hands.click("older.renew")
    listed = hands.until(lambda: dpg.does_item_exist("open.watch"))
    hands.frames(4)
    hands.click("open.watch")
    shown = hands.until(lambda: app.presenter.present.run_state.told > 0)
    found = {"asked": asked, "listed": listed, "shown": shown, "files": sorted(one.name for one in folder.iterdir())}
    app.close()
    return found


def scene_picture(folder: Path, at: int = 0) -> object:
    """A picture of a recorded run; one window in one process, for a second one may crash."""
    path, picture = folder / "whole.db", folder / f"{at}.png"
    if not path.exists():
        from runner_builders import in_process

        Runner.begin(
            path,
            config(stop={"evaluations": 20}, execution={"batch_size": 2, "clips": "all"}),
            lambda event: None,
            make_executor=in_process,
        ).run()
    said = take(Settings(scale=1.0), WatchedRun(path), picture, size=(1100, 760), at=at or None)
    return {"said": said, "bytes": picture.stat().st_size if picture.exists() else 0}


def scene_flood(folder: Path) -> object:
    """A thousand clicks on one card and thousands of events at once: all arrive, and the picture goes on."""
    events = list(synthetic_run(400, 5, judgements=False))
    source = SyntheticSource(events[:60])
    hands = Hands.on(source, folder)
    hands.settle()
    board = hands.app.presenter.present
    place = 2
    x, y = hands.inside(f"board.{place}.like")
    hands.move(x, y)
    for number in range(1000):
        hands.app.presenter.send(Rate(1, float(number % 2)))
    for event in events[60:]:
        source.put(event)
    source.put(Judged(5000, "rating", 1, value=1.0))
    began, slowest = time.perf_counter(), 0.0
    while not source.events.empty():
        frame = time.perf_counter()
        hands.app.loop.frame()
        slowest = max(slowest, time.perf_counter() - frame)
    hands.frames(3)
    told = sum(isinstance(event, Told) for event in events)
    asked = sum(len(event.candidates) for event in events if isinstance(event, Asked))
    found = {
        "sent": len(source.sent), "told": [told, board.run_state.told], "asked": [asked, len(board.births)],
        "seconds": time.perf_counter() - began, "slowest": slowest, "rating": board.births[1].rating,
    }  # fmt: skip
    hands.app.close()
    return found


SCENES: dict[str, Callable[..., object]] = {
    name.removeprefix("scene_"): scene for name, scene in globals().items() if name.startswith("scene_")
}

if __name__ == "__main__":
    scene, folder, *rest = sys.argv[1:]
    made = SCENES[scene](Path(folder), *map(int, rest))
    print("RESULT " + json.dumps(made, default=str))
