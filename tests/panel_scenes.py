"""Scenes for the window's panels: each does something with real clicks and prints what came of it as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import dearpygui.dearpygui as dpg
from board_events import synthetic_run
from window_hands import Hands, SyntheticSource

from experiments.board.tree_view import Bundle, Node
from window.panels.detail import DetailPanel
from window.panels.lineage import LineagePanel


def scene_map(folder: Path) -> object:
    source = SyntheticSource(synthetic_run(300, 4, map_elites=True))
    hands = Hands.on(source, folder)
    hands.settle()
    board = hands.app.presenter.board
    atlas = board.voice_map.atlas(*board.voice_map.default_axes())
    cell = max(atlas.cells.values(), key=lambda one: one.births)
    middles = [sum(axis.span(at)) / 2 for axis, at in ((atlas.x, cell.column), (atlas.y, cell.row))]
    left, right = dpg.get_axis_limits(hands.app.layout.panel("voice_map")._x)
    low, high = dpg.get_axis_limits(hands.app.layout.panel("voice_map")._y)
    hands.move(*hands.inside("voice_map.plot"))
    # Where the plot's own area is: two mouse positions and what they mean.
    one, other = hands.inside("voice_map.plot", 0.4, 0.4), hands.inside("voice_map.plot", 0.8, 0.7)
    hands.move(*one)
    first = dpg.get_plot_mouse_pos()
    hands.move(*other)
    second = dpg.get_plot_mouse_pos()
    slopes = [(b - a) / (v - u) for a, b, u, v in zip(one, other, first, second, strict=True)]
    at = [a + (value - u) * slope for a, value, u, slope in zip(one, middles, first, slopes, strict=True)]
    hands.click_at(*at)
    found = {"elite": cell.elite, "selected": board.selection.birth, "limits": [left, right, low, high]}
    saved = hands.until(lambda: any(folder.rglob("*.wav")))
    hands.drag(hands.inside("voice_map.plot", 0.35, 0.3), hands.inside("voice_map.plot", 0.7, 0.6))
    found |= {"saved": saved, "sent": [repr(one) for one in source.sent], "marked": board.selection.marked}
    hands.app.close()
    return found


def scene_tree(folder: Path) -> object:
    source = SyntheticSource(synthetic_run(1_200, 2))
    hands = Hands.on(source, folder)
    hands.settle()
    panel = hands.app.layout.panel("lineage")
    assert isinstance(panel, LineagePanel)
    board = hands.app.presenter.board
    assert hands.until(lambda: panel._shown[:1] == (board.tree.revision,))  # a crowded tree is drawn now and then only
    corner = dpg.get_item_rect_min("lineage.drawing")

    def pixel(mark: Node | Bundle) -> tuple[float, float]:
        return corner[0] + mark.x, corner[1] + mark.y

    node = panel._scene.nodes[len(panel._scene.nodes) // 2]
    found = {"crowded": board.tree.crowded}
    hands.click_at(*pixel(node))
    found |= {"node": node.birth, "selected": board.selection.birth, "ancestry": len(board.tree.ancestry)}
    before = panel._camera.scale_x
    hands.move(*pixel(next(one for one in panel._scene.nodes if one.birth == node.birth)))
    hands.wheel(6)
    found["nearer"] = panel._camera.scale_x / before
    offset = panel._camera.offset_x
    hands.drag(hands.inside("lineage.drawing", 0.5, 0.15), hands.inside("lineage.drawing", 0.6, 0.15))
    found["panned"] = panel._camera.offset_x - offset
    wide, tall = dpg.get_item_rect_size("lineage.drawing")
    bundle = next(
        one
        for one in panel._scene.bundles
        if one.written and one.count and panel._scene.under(one.x, one.y + 3) is one and 20 < one.x < wide - 20
        and 20 < one.y < tall - 20
    )  # fmt: skip
    hands.click_at(bundle.x + corner[0], bundle.y + corner[1] + 3)
    found |= {"bundle": bundle.count, "opened": len(board.tree.opened.get(bundle.birth, ()))}
    hands.click("lineage.fit")
    last = next(one for one in panel._scene.nodes if one.status == "ok")
    hands.click_at(*pixel(last), times=2)
    found["heard"] = hands.until(lambda: any(folder.rglob("*.wav")))
    hands.app.loop.photograph(folder / "tree.png")
    found["picture"] = (folder / "tree.png").stat().st_size
    hands.app.close()
    return found


def scene_detail(folder: Path) -> object:
    source = SyntheticSource(synthetic_run(240, 1))
    hands = Hands.on(source, folder)
    hands.settle()
    presenter = hands.app.presenter
    panel = hands.app.layout.panel("detail")
    assert isinstance(panel, DetailPanel)
    birth = next(one for one in reversed(presenter.board.births.population) if presenter.board.births[one].parents)
    presenter.open_detail(birth)
    assert hands.until(lambda: panel._prepared is not None)
    prepared = panel._prepared
    found = {"pitch": prepared.sound.median_hz, "bands": prepared.tokens.names, "parents": len(prepared.diffs)}
    hands.click("detail.side.line")
    hands.click("detail.line.1")
    parent = presenter.board.births[birth].parents[0].birth
    found |= {"parent": parent, "selected": presenter.board.selection.birth}
    assert hands.until(lambda: panel._birth == parent and panel._prepared is not None)
    hands.click("detail.side.edit")
    hands.click("detail.edit.semantic_temp")
    hands.key("ctrl+a")
    hands.type("warm")
    hands.until(lambda: "warm" in dpg.get_value("detail.edit.problem.semantic_temp"), 5)
    found["problem"] = dpg.get_value("detail.edit.problem.semantic_temp")
    hands.click("detail.edit.plant")
    found["refused"] = not source.sent
    hands.click("detail.edit.semantic_temp")
    hands.key("ctrl+a")
    hands.type("0.55")
    hands.until(lambda: dpg.get_value("detail.edit.semantic_temp") == "0.55", 5)
    hands.click("detail.edit.plant")
    found["sent"] = [repr(one)[:200] for one in source.sent]
    found["temperature"] = source.sent[0].intervention.genome.settings.semantic_temp if source.sent else None
    found["planted"] = source.sent[0].intervention.parents if source.sent else None
    hands.app.loop.photograph(folder / "detail.png")
    found["picture"] = (folder / "detail.png").stat().st_size
    hands.app.close()
    return found


def scene_replay(folder: Path) -> object:
    source = SyntheticSource(synthetic_run(400, 3))
    hands = Hands.on(source, folder)
    hands.settle()
    presenter = hands.app.presenter
    hands.click("replay.slider", across=0.5)
    board = presenter.board
    found = {"at": board.run_state.at, "births": len(board.births), "points": len(board.curves.curve("best").births)}
    line = dpg.get_value(hands.app.layout.panel("curves")._lines["best"])
    found["drawn"] = len(line[0])
    hands.click("replay.speed.128")
    hands.click("replay.play")
    moved = hands.until(lambda: (presenter.board.run_state.at or 0) > (found["at"] or 0) + 20)
    found["moved"] = moved
    hands.until(lambda: presenter.board.run_state.at == 400, timeout_s=10)
    hands.click("replay.now")
    found["present"] = presenter.board is presenter.present and presenter.board.run_state.at is None
    hands.app.close()
    return found


def scene_voices(folder: Path) -> object:
    hands = Hands.on(SyntheticSource(synthetic_run(40, 3)), folder)
    hands.settle()
    hands.click("layout.voices")
    assert hands.until(lambda: hands.app.layout.page == "voices", 5)
    library = hands.app.presenter.board.library
    assert hands.until(lambda: library.loaded)
    found = {"voices": len(library.voices)}
    hands.click("voices.search")
    hands.type("carl")
    hands.until(lambda: library.query == "carl", 5)
    found["fitting"] = [one.entry.name for one in library.shown()]
    hands.click("voices.0")
    hands.click("voices.export")
    found["exported"] = hands.until(lambda: any(folder.rglob("*.npz")))
    hands.click("voices.tags")
    hands.type("calm, low")
    hands.until(lambda: dpg.get_value("voices.tags") == "calm, low", 5)
    hands.key("Return")
    hands.until(lambda: bool(library.tags()), timeout_s=5)
    found["tags"] = library.tags()
    hands.click("voices.search")
    hands.key("ctrl+a")
    hands.type("micro")
    hands.until(lambda: library.query == "micro", 5)
    hands.click("voices.3.beside")
    panel = hands.app.layout.panel("voices")
    hands.until(lambda: panel._diff[1] is not None, timeout_s=10)
    found |= {"chosen": library.chosen, "compared": panel._diff[1] is not None}
    hands.app.loop.photograph(folder / "voices.png")
    hands.app.close()
    return found


SCENES: dict[str, Callable[[Path], object]] = {
    name.removeprefix("scene_"): scene for name, scene in dict(globals()).items() if name.startswith("scene_")
}

if __name__ == "__main__":
    print(json.dumps(SCENES[sys.argv[1]](Path(sys.argv[2]))))
