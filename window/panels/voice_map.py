"""The archive as a heat map: who is where, the best of each cell, played by a click, bred by dragging over several."""

from __future__ import annotations

import math

import dearpygui.dearpygui as dpg

from experiments.board.board import Board
from experiments.board.map_axes import Axis
from experiments.board.measures import measure_title
from experiments.board.text import shortened, spelled_out
from experiments.board.voice_map import Atlas, MapCell
from window.canvas import place_for
from window.palette import faded
from window.panel import Desk, Item

_HEAD = 34
_FOOT = 22
_DRAG = 6  # pixels from which a click is a drag
_MOST_PARENTS = 4
_BESIDE = 70  # of the panel's width, around the cells
_NARROWEST, _LOWEST = 34, 14  # room for a category's name across and upwards


class VoiceMapPanel:
    """Two axes to choose, and the map over them."""

    def build(self, parent: Item, desk: Desk) -> None:
        """See `Panel`."""
        self._desk = desk
        self._width = self._height = 0
        self._shown: tuple[object, ...] = ()
        self._board: Board | None = None
        self._atlas: Atlas | None = None
        self._chosen: dict[str, str] = {}  # measure by axis, once a person chose
        self._names: dict[str, str] = {}  # measure by title
        self._cells = (0, 0)
        self._pressed: tuple[float, float] | None = None  # where, in the axes' units
        self._pressed_at = (0.0, 0.0)  # where, in pixels
        self._hovered: MapCell | None = None
        p = desk.palette
        caption = self._caption = dpg.add_text("Voice map", parent=parent, color=p.muted)
        dpg.bind_item_font(caption, desk.font("V", "small"))
        self._combos = {
            axis: dpg.add_combo(
                [], parent=parent, tag=f"voice_map.{axis}", callback=self._choose, user_data=axis, height_mode=2
            )
            for axis in ("x", "y")
        }
        self._by = dpg.add_text("by", parent=parent, color=p.faint)
        for item in (*self._combos.values(), self._by):
            dpg.bind_item_font(item, desk.font("0", "small"))
        with dpg.tooltip(self._combos["x"], delay=0.5):
            dpg.add_text("across; any measure of the judgement, or a category such as the operator")
        with dpg.tooltip(self._combos["y"], delay=0.5):
            dpg.add_text("upwards; any measure of the judgement, or a category such as the operator")
        self._plot_at = place_for(parent, desk)
        self._plot = dpg.add_plot(
            parent=self._plot_at, tag="voice_map.plot", width=-desk.px(10), height=-1, no_menus=True,
            no_box_select=True, no_mouse_pos=True, no_title=True,
        )  # fmt: skip
        dpg.bind_item_theme(self._plot, desk.theme("plot"))
        dpg.bind_item_font(self._plot, desk.font("0", "small"))
        self._x = dpg.add_plot_axis(dpg.mvXAxis, parent=self._plot, no_gridlines=True, no_highlight=True)
        self._y = dpg.add_plot_axis(dpg.mvYAxis, parent=self._plot, no_gridlines=True, no_highlight=True)
        # Empty cells are 0, which is the first colour: a NaN in a heat series with a colormap ends the process.
        with dpg.colormap_registry():
            steps = [p.ramp(step / 14) for step in range(15)]
            self._ramp = dpg.add_colormap([faded(p.panel, 255), *steps], False)
        dpg.bind_colormap(self._plot, self._ramp)
        self._heat = dpg.add_heat_series([0.0], 1, 1, parent=self._y, scale_min=0, scale_max=1, format="")
        self._overlay = dpg.add_draw_node(parent=self._plot)
        self._said = dpg.add_text("", parent=parent, color=p.muted)
        dpg.bind_item_font(self._said, desk.font("0", "small"))
        self._empty = dpg.add_text("", parent=parent, color=p.muted, show=False)
        with dpg.item_handler_registry() as clicks:
            dpg.add_item_clicked_handler(dpg.mvMouseButton_Left, callback=self._press)
        dpg.bind_item_handler_registry(self._plot, clicks)
        desk.every_frame(self._follow_mouse)

    def resize(self, width: int, height: int) -> None:
        """See `Panel`."""
        self._width, self._height = width, height
        self._shown = ()
        px = self._desk.px
        left = px(12) + int(self._desk.width("Voice map", "latin", "small")) + px(10)
        wide = max((width - left - px(34)) // 2, px(30))
        dpg.configure_item(self._caption, pos=(px(12), px(10)))
        dpg.configure_item(self._combos["x"], pos=(left, px(6)), width=wide)
        dpg.configure_item(self._by, pos=(left + wide + px(5), px(9)))
        dpg.configure_item(self._combos["y"], pos=(left + wide + px(24), px(6)), width=wide)
        wide, tall = max(width - px(12), 1), max(height - px(_HEAD + _FOOT), 1)
        dpg.configure_item(self._plot_at, pos=(px(4), px(_HEAD)), width=wide, height=tall)
        dpg.configure_item(self._said, pos=(px(12), height - px(_FOOT) + px(1)))

    def show(self, board: Board) -> None:
        """See `Panel`."""
        if self._board is not board:
            self._pressed = self._hovered = None
        self._board = board
        chosen = self._axes(board)
        now = (board.voice_map.revision, board.selection.revision, chosen)
        if now == self._shown or self._width <= 1:
            return
        self._shown = now
        self._offer(board, chosen)
        self._atlas = None if chosen is None else board.voice_map.atlas(*chosen)
        there = self._atlas is not None and bool(self._atlas.cells)
        dpg.configure_item(self._plot_at, show=there)
        dpg.configure_item(self._empty, show=not there)
        if not there or self._atlas is None:
            self._atlas = None
            said = "The map fills as births are judged."
            if len(board.births):
                best = board.births.best
                no_axes = "The judgement measures too little for a map."
                said = "No birth has passed the gates yet." if best is None else no_axes
            dpg.set_value(self._empty, said)
            wide = self._desk.width(said)
            dpg.configure_item(self._empty, pos=(max(int((self._width - wide) / 2), 0), self._height // 2))
            self._tell("")
            return
        self._draw(self._atlas)
        self._draw_overlay(board, self._atlas)
        self._tell(self._words(self._hovered))

    # -- drawing ------------------------------------------------------------------------------------------------

    def _axes(self, board: Board) -> tuple[str, str] | None:
        default = board.voice_map.default_axes()
        if default is None:
            return None
        known = set(board.voice_map.names())
        x, y = (
            self._chosen[axis] if self._chosen.get(axis) in known else own
            for axis, own in zip(("x", "y"), default, strict=True)
        )
        return x, y

    def _offer(self, board: Board, chosen: tuple[str, str] | None) -> None:
        titles = {measure_title(name): name for name in board.voice_map.names()}
        if titles != self._names:
            self._names = titles
            for combo in self._combos.values():
                dpg.configure_item(combo, items=list(titles))
        for combo, name in zip(self._combos.values(), chosen or ("", ""), strict=True):
            dpg.set_value(combo, measure_title(name) if name else "")

    def _draw(self, atlas: Atlas) -> None:
        rows, columns = atlas.shades.shape
        if (rows, columns) != self._cells:
            self._cells = rows, columns
            dpg.configure_item(self._heat, rows=rows, cols=columns)
        dpg.configure_item(self._heat, bounds_min=(atlas.x.low, atlas.y.low), bounds_max=(atlas.x.high, atlas.y.high))
        dpg.set_value(self._heat, [atlas.shades.ravel().tolist(), []])
        dpg.set_axis_limits(self._x, atlas.x.low, atlas.x.high)
        dpg.set_axis_limits(self._y, atlas.y.low, atlas.y.high)
        labels = atlas.x.labels + atlas.y.labels
        dpg.bind_item_font(self._plot, self._desk.font("0".join(labels) or "0", "small"))
        px = self._desk.px
        self._name_cells(self._x, atlas.x, self._width - px(_BESIDE), px(_NARROWEST), shorten=True)
        self._name_cells(self._y, atlas.y, self._height - px(_HEAD + _FOOT + 24), px(_LOWEST), shorten=False)

    def _name_cells(self, item: Item, axis: Axis, length: int, least: int, *, shorten: bool) -> None:
        """Writes a category's values along its axis; where they do not all fit, every second, third, ... of them."""
        if not axis.labels:
            dpg.reset_axis_ticks(item)
            return
        room = max(length, 1) / axis.cells
        every = max(1, math.ceil(least / room))
        most = room * every - 6 if shorten else self._width * 0.3
        ticks = [
            (shortened(spelled_out(label), most, lambda one, script: self._desk.width(one, script, "small")), at + 0.5)
            for at, label in enumerate(axis.labels)
            if at % every == 0
        ]
        dpg.set_axis_ticks(item, tuple(ticks))

    def _draw_overlay(self, board: Board, atlas: Atlas) -> None:
        """Outlines of the cell that is looked at, the one under the mouse, and the rectangle that is dragged."""
        p = self._desk.palette
        dpg.delete_item(self._overlay, children_only=True)
        looked_at = board.selection.birth
        for cell in atlas.cells.values():
            if cell.elite == looked_at or cell.elite in board.selection.marked:
                self._outline(atlas, cell, p.text if cell.elite == looked_at else p.good)
        if self._hovered is not None and self._pressed is None:
            self._outline(atlas, self._hovered, faded(p.text, 150))
        if self._pressed is not None and self._dragging():
            dpg.draw_rectangle(self._pressed, self._mouse(), parent=self._overlay, color=p.text,
                               fill=faded(p.text, 40), thickness=0)  # fmt: skip

    def _outline(self, atlas: Atlas, cell: MapCell, colour: tuple[int, int, int, int]) -> None:
        left, right = atlas.x.span(cell.column)
        low, high = atlas.y.span(cell.row)
        # Thickness inside a plot is in the plot's units; 0 draws one pixel.
        dpg.draw_rectangle((left, low), (right, high), parent=self._overlay, color=colour, thickness=0)

    def _words(self, cell: MapCell | None) -> str:
        atlas, board = self._atlas, self._board
        if atlas is None or board is None:
            return ""
        if self._pressed is not None and self._dragging():
            births = atlas.within(self._pressed, self._mouse())
            return "release to breed " + _names(births[:_MOST_PARENTS]) if births else "nobody is here"
        if cell is None:
            said = f"{len(atlas.cells)} of {atlas.x.cells * atlas.y.cells} cells, {atlas.worst:.2f} to {atlas.best:.2f}"
            return f"{said}; click plays, drag breeds"
        facts = board.births.get(cell.elite)
        prompt = "" if facts is None else f" · {facts.prompt}"
        others = f" · best of {cell.births}" if cell.births > 1 else ""
        named = [axis.labels[at] for axis, at in ((atlas.x, cell.column), (atlas.y, cell.row)) if axis.labels]
        return " · ".join((f"#{cell.elite}", *named, f"{cell.total:.3f}{others}{prompt}"))

    def _tell(self, words: str) -> None:
        desk = self._desk
        said = shortened(words, self._width - desk.px(24), lambda one, script: desk.width(one, script, "small"))
        desk.set_text(self._said, said, "small")

    # -- the mouse ----------------------------------------------------------------------------------------------

    def _mouse(self) -> tuple[float, float]:
        x, y = dpg.get_plot_mouse_pos()
        return float(x), float(y)

    def _dragging(self) -> bool:
        x, y = dpg.get_mouse_pos(local=False)
        return float(abs(x - self._pressed_at[0]) + abs(y - self._pressed_at[1])) > self._desk.px(_DRAG)

    def _press(self) -> None:
        if self._atlas is not None:
            self._pressed = self._mouse()
            x, y = dpg.get_mouse_pos(local=False)
            self._pressed_at = x, y

    def _follow_mouse(self) -> None:
        atlas, board = self._atlas, self._board
        if atlas is None or board is None:
            return
        if self._pressed is not None:
            if dpg.is_mouse_button_down(dpg.mvMouseButton_Left):
                self._draw_overlay(board, atlas)
                self._tell(self._words(None))
            else:
                self._release(atlas, board)
            return
        over = atlas.at(*self._mouse()) if dpg.is_item_hovered(self._plot) else None
        if over != self._hovered:
            self._hovered = over
            self._draw_overlay(board, atlas)
            self._tell(self._words(over))

    def _release(self, atlas: Atlas, board: Board) -> None:
        begin, end = self._pressed or (0.0, 0.0), self._mouse()
        dragged, self._pressed = self._dragging(), None
        if dragged:
            births = atlas.within(begin, end)[:_MOST_PARENTS]
            if births:
                board.selection.mark(births)
                self._desk.breed(births)
        else:
            cell = atlas.at(*begin)
            if cell is not None:
                self._desk.select(cell.elite)
                self._desk.play(cell.elite)
        self._draw_overlay(board, atlas)

    def _choose(self, _sender: Item, title: str, axis: str) -> None:
        if title in self._names:
            self._chosen[axis] = self._names[title]


def _names(births: tuple[int, ...]) -> str:
    return " × ".join(f"#{birth}" for birth in births)
