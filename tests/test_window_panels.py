"""The window's panels: real widgets without a screen, and real clicks under Xvfb."""

from __future__ import annotations

import gc
import json
import math
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import window_hands
from board_events import synthetic_run

dpg = pytest.importorskip("dearpygui.dearpygui")

from experiments.events import Event, Intervene  # noqa: E402
from window.app import App  # noqa: E402
from window.layout import PLACES  # noqa: E402
from window.settings import Settings  # noqa: E402


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """All widgets, never shown: no frame may be drawn."""
    made = App(Settings(output_folder=str(tmp_path_factory.mktemp("saved"))), vsync=False)
    made.layout.resize(1500, 950)
    yield made
    made.close()


def show(app: App, events: list[Event]) -> window_hands.SyntheticSource:
    """Takes in all events and brings every panel of every page up to them."""
    source = window_hands.SyntheticSource(events)
    app.open(source)
    while not source.events.empty():
        app.presenter.take_in(source.events.get())
    pages(app)
    return source


def pages(app: App) -> None:
    for place in PLACES:
        app.layout.turn_to(place)
        app.layout.show(app.presenter.board)


def wait(app: App, happened: Callable[[], bool]) -> None:
    """Until work on other threads is done, without a frame."""
    end = time.monotonic() + 20
    while not happened():
        assert time.monotonic() < end
        while app.loop._done.qsize():
            app.loop._done.get()()
        app.layout.show(app.presenter.board)
        time.sleep(0.01)


def act(tag: str, value: object = None) -> None:
    """Calls a widget's callback as Dear PyGui would."""
    if value is not None:
        dpg.set_value(tag, value)
    from window.loop import _called

    _called(dpg.get_item_callback(tag), tag, value, dpg.get_item_user_data(tag))


def test_panels_show_every_kind_of_run_at_every_size(app: App):
    for events in (
        [],
        list(synthetic_run(3, 1))[:4],  # the first births are asked for
        list(synthetic_run(120, 1)),
        list(synthetic_run(700, 2, map_elites=True)),
        list(synthetic_run(64, 3, survivors=False)),
    ):
        show(app, events)
        for width, height in ((1600, 1000), (900, 600), (2400, 1300)):
            app.layout.resize(width, height)
            pages(app)
    app.layout.resize(1500, 950)


@pytest.mark.parametrize("kind", [{}, {"map_elites": True}, {"survivors": False}])
def test_no_heat_map_ever_holds_a_number_that_is_not_finite(app: App, kind: dict[str, bool]):
    """A NaN there ends the process."""
    source = window_hands.SyntheticSource(synthetic_run(160, 5, **kind))
    app.open(source)
    panel = app.layout.panel("voice_map")
    while not source.events.empty():
        app.presenter.take_in(source.events.get())
        if source.events.qsize() % 37 == 0:
            app.layout.show(app.presenter.board)
            values = dpg.get_value(panel._heat)[0]
            assert all(math.isfinite(value) and 0 <= value <= 1 for value in values)
    if "survivors" in kind:
        assert dpg.get_value(panel._empty) == "No birth has passed the gates yet."


def test_curves_draw_what_the_board_knows(app: App):
    show(app, list(synthetic_run(200, 1)))
    panel, curves = app.layout.panel("curves"), app.presenter.board.curves
    for view, names in (("scores", ("best", "median")), ("spread", ("diversity", "coverage"))):
        act(f"curves.{view}")
        app.layout.show(app.presenter.board)
        for name in names:
            births, values = dpg.get_value(panel._lines[name])[:2]
            assert births == pytest.approx(curves.curve(name).births.tolist())
            assert values == pytest.approx(curves.curve(name).values.tolist())
    act("curves.contest")
    app.layout.show(app.presenter.board)
    assert "evolution leads" in dpg.get_value(panel._said)
    act("curves.operators")
    app.layout.show(app.presenter.board)
    assert len(dpg.get_item_children("curves.bars", 2)) > 20
    act("curves.scores")


def test_axes_of_the_map_stay_as_chosen_when_replay_goes_elsewhere(app: App):
    show(app, list(synthetic_run(200, 1)))
    panel = app.layout.panel("voice_map")
    act("voice_map.x", "duration (s)")
    app.layout.show(app.presenter.board)
    assert panel._atlas.x.measure == "duration_s"
    app.presenter.travel(120)
    app.layout.show(app.presenter.board)
    assert panel._atlas.x.measure == "duration_s"
    assert len(app.presenter.board.births) < 200
    app.presenter.travel(None)


def test_replay_shows_every_panel_as_it_was(app: App):
    show(app, list(synthetic_run(240, 1)))
    act("replay.slider", 100)
    app.layout.show(app.presenter.board)
    board = app.presenter.board
    told = [one for one in board.births.values() if one.status != "waiting"]
    assert len(told) == 100
    assert len(board.tree.places) + board.tree.controls == len(board.births)
    assert max(dpg.get_value(app.layout.panel("curves")._lines["best"])[0]) <= 100
    assert all(cell.elite <= 100 for cell in app.layout.panel("voice_map")._atlas.cells.values())
    act("replay.now")
    assert app.presenter.board is app.presenter.present


def test_a_birth_is_edited_by_hand_and_born(app: App):
    source = show(app, list(synthetic_run(160, 1)))
    birth = app.presenter.board.births.best
    app.presenter.open_detail(birth)
    panel = app.layout.panel("detail")
    wait(app, lambda: panel._prepared is not None and panel._birth == birth)
    act("detail.side.edit")
    app.layout.show(app.presenter.board)
    assert not dpg.get_item_configuration("detail.edit.plant")["enabled"]  # nothing is changed
    act("detail.edit.prompt", " ")
    assert "nothing to say" in dpg.get_value("detail.edit.problem.prompt")
    act("detail.edit.prompt", "Quite another thing. [laughs]")
    act("detail.edit.coarse_temp", "-3")
    assert dpg.get_value("detail.edit.problem.prompt") == ""
    assert dpg.get_value("detail.edit.problem.coarse_temp")
    act("detail.edit.plant")
    assert source.sent == []
    act("detail.edit.coarse_temp", "0.4")
    act("detail.edit.plant")
    [command] = source.sent
    assert isinstance(command, Intervene)
    assert command.intervention.parents == (birth,)
    assert command.intervention.genome.prompt == "Quite another thing. [laughs]"
    assert command.intervention.genome.settings.coarse_temp == 0.4


def test_what_was_typed_survives_events_of_the_run(app: App):
    events = list(synthetic_run(160, 1))
    show(app, events[:-60])
    app.presenter.open_detail(app.presenter.board.births.best)
    panel = app.layout.panel("detail")
    wait(app, lambda: panel._prepared is not None)
    act("detail.edit.prompt", "Half a sen")
    for event in events[-60:]:
        app.presenter.take_in(event)
        app.layout.show(app.presenter.board)
    assert dpg.get_value("detail.edit.prompt") == "Half a sen"


def test_looks_change_and_textures_are_not_made_again(app: App):
    show(app, list(synthetic_run(80, 1)))
    before = dpg.get_alias_id("detail.texture.sound")
    assert before
    app.rebuild()
    app.layout.resize(1500, 950)
    pages(app)
    assert dpg.get_alias_id("detail.texture.sound") == before


def test_of_old_looks_nothing_stays_and_auditions_go_on_with_their_engine(app: App):
    show(app, list(synthetic_run(80, 1)))
    kinds = ("mvAppItemType::mvTheme", "mvAppItemType::mvItemHandlerRegistry", "mvAppItemType::mvWindowAppItem")

    def count() -> int:
        return sum(dpg.get_item_type(item) in kinds for item in dpg.get_all_items())

    before, audition = count(), app.layout.panel("voices")._audition
    old = weakref.ref(app.layout.panel("board"))
    app.rebuild()
    app.layout.resize(1500, 950)
    pages(app)
    gc.collect()
    assert count() == before
    assert old() is None, "its widgets' callbacks are gone"
    assert app.layout.panel("voices")._audition is audition


# -- with a screen ----------------------------------------------------------------------------------------------


@pytest.fixture
def scene(tmp_path: Path) -> Callable[[str], dict[str, object]]:
    if not window_hands.screen():
        pytest.skip("needs a screen and xdotool: run it under xvfb-run")

    def play(name: str) -> dict[str, object]:
        done = window_hands.in_own_process("panel_scenes.py", name, str(tmp_path))
        assert done.returncode == 0, done.stderr[-3000:]
        assert "Traceback" not in done.stderr, done.stderr[-3000:]
        found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
        return found

    return play


@pytest.mark.gui
def test_a_click_on_the_map_plays_and_a_drag_breeds(scene: Callable[[str], dict[str, object]]):
    found = scene("map")
    assert found["selected"] == found["elite"]
    assert found["saved"]
    assert len(found["sent"]) == 1
    assert f"Breed(parents={tuple(found['marked'])!r})" in found["sent"][0]


@pytest.mark.gui
def test_the_tree_is_panned_zoomed_clicked_and_heard(scene: Callable[[str], dict[str, object]]):
    found = scene("tree")
    assert found["crowded"]
    assert found["selected"] == found["node"]
    assert found["ancestry"] > 1
    assert found["nearer"] == pytest.approx(1.15**6, rel=0.2)
    assert found["panned"] > 50
    assert found["opened"] > 0
    assert found["heard"]
    assert found["picture"] > 50_000


@pytest.mark.gui
def test_the_detail_page_leads_to_parents_and_to_children_by_hand(scene: Callable[[str], dict[str, object]]):
    found = scene("detail")
    assert 60 < found["pitch"] < 500
    assert found["bands"] == ["semantic", "coarse 1", "coarse 2"]
    assert found["selected"] == found["parent"]
    assert found["problem"] == "'warm' is no number"
    assert found["refused"]
    assert found["temperature"] == 0.55
    assert found["planted"] == [found["parent"]]


@pytest.mark.gui
def test_the_replay_bar_moves_the_whole_window(scene: Callable[[str], dict[str, object]]):
    found = scene("replay")
    assert 150 < found["at"] < 250
    assert found["drawn"] == found["points"] < 40
    assert found["moved"]
    assert found["present"]


@pytest.mark.gui
def test_voices_are_found_compared_tagged_and_exported(
    scene: Callable[[str], dict[str, object]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    found = scene("voices")
    assert found["voices"] >= 16
    assert found["fitting"] == ["micro/carl"]
    assert found["exported"]
    assert found["tags"] == ["calm", "low"]
    assert found["compared"]
