"""How the run goes: scores, the contest with chance, spread, and what the operators bring."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import dearpygui.dearpygui as dpg

from experiments.board.board import Board
from experiments.board.curves import RANKINGS, Curve, Curves, OperatorCredit
from experiments.board.text import shortened
from window.canvas import Canvas, place_for
from window.palette import Colour, faded
from window.panel import Desk, Item

_HEAD = 34
_FOOT = 22
_ROW = 19
_VIEWS = ("scores", "contest", "spread", "operators")
_HINTS: Mapping[str, str] = MappingProxyType(
    {
        "scores": "best and median total of the living, and the best of the control arm, against births",
        "contest": "best so far of each arm against the births of that arm: the same budget for both",
        "spread": "diversity: spread of the living against that of all births; coverage: share of the map's cells",
        "operators": "what came of each operator's children",
    }
)
# Lines of each view, with the palette's series that colours them.
_LINES: Mapping[str, tuple[tuple[str, int], ...]] = MappingProxyType(
    {
        "scores": (("control", 5), ("median", 1), ("best", 0)),
        "contest": (("control births", 5), ("evolved births", 0)),
        "spread": (("diversity", 3), ("coverage", 2)),
    }
)
_COLUMNS = (("births", 0.42), ("improved share", 0.62), ("mean gain", 0.82))  # of the operators' bars, with their left


class CurvesPanel:
    """One plot whose lines belong to views, and bars of operators."""

    def build(self, parent: Item, desk: Desk) -> None:
        """See `Panel`."""
        self._desk = desk
        self._width = self._height = 0
        self._shown: tuple[object, ...] = ()
        self._view = "scores"
        self._ranked_by = "births"
        self._curves: Curves | None = None
        p = desk.palette
        self._buttons = {}
        for name in _VIEWS:
            item = dpg.add_button(
                label=name.capitalize(), parent=parent, tag=f"curves.{name}", callback=self._turn, user_data=name
            )
            with dpg.tooltip(item, delay=0.4):
                dpg.add_text(_HINTS[name], wrap=desk.px(320))
            self._buttons[name] = item
        self._plot_at = place_for(parent, desk)
        self._plot = dpg.add_plot(
            parent=self._plot_at, tag="curves.plot", width=-desk.px(10), height=-1, no_menus=True, no_box_select=True,
            no_mouse_pos=True, no_title=True,
        )  # fmt: skip
        dpg.bind_item_theme(self._plot, desk.theme("plot"))
        dpg.bind_item_font(self._plot, desk.font("0", "small"))
        dpg.add_plot_legend(parent=self._plot, location=dpg.mvPlot_Location_SouthEast, no_buttons=True)
        self._x = dpg.add_plot_axis(dpg.mvXAxis, parent=self._plot, no_highlight=True)
        self._y = dpg.add_plot_axis(dpg.mvYAxis, parent=self._plot, no_highlight=True)
        self._lines: dict[str, Item] = {}
        for lines in _LINES.values():
            for name, colour in lines:
                line = dpg.add_line_series([], [], parent=self._y, label=name.removesuffix(" births"), show=False)
                dpg.bind_item_theme(line, desk.theme(f"line.{colour}"))
                self._lines[name] = line
        self._marks = dpg.add_inf_line_series([], parent=self._y, label="scored anew", show=False)
        with dpg.theme() as marks, dpg.theme_component(dpg.mvInfLineSeries):
            dpg.add_theme_color(dpg.mvPlotCol_Line, faded(p.tag, 120), category=dpg.mvThemeCat_Plots)
        dpg.bind_item_theme(self._marks, marks)
        self._bars = Canvas(parent, desk, "curves.bars", show=False)
        self._said = dpg.add_text("", parent=parent, color=p.muted)
        dpg.bind_item_font(self._said, desk.font("0", "small"))
        with dpg.item_handler_registry() as clicks:
            dpg.add_item_clicked_handler(dpg.mvMouseButton_Left, callback=self._rank)
        dpg.bind_item_handler_registry(self._bars.item, clicks)

    def resize(self, width: int, height: int) -> None:
        """See `Panel`."""
        self._width, self._height = width, height
        self._shown = ()
        px = self._desk.px
        x = px(8)
        for name, item in self._buttons.items():
            wide = int(self._desk.width(name)) + px(18)
            dpg.configure_item(item, pos=(x, px(6)), width=wide, height=px(24))
            x += wide + px(4)
        inner_w, inner_h = max(width - px(12), 1), max(height - px(_HEAD + _FOOT), 1)
        dpg.configure_item(self._plot_at, pos=(px(4), px(_HEAD)), width=inner_w, height=inner_h)
        self._bars.move(px(4), px(_HEAD), inner_w, inner_h)
        dpg.configure_item(self._said, pos=(px(12), height - px(_FOOT) + px(1)))

    def show(self, board: Board) -> None:
        """See `Panel`."""
        curves = board.curves
        now = (curves.revision, self._view, self._ranked_by)
        if now == self._shown or self._width <= 1:
            return
        self._shown = now
        self._curves = curves
        for name, item in self._buttons.items():
            dpg.bind_item_theme(item, self._desk.theme("quiet.on" if name == self._view else "quiet"))
        bars = self._view == "operators"
        dpg.configure_item(self._plot_at, show=not bars)
        self._bars.show(bars)
        if bars:
            self._draw_bars(curves)
        else:
            self._draw_lines(curves)
        said = shortened(
            self._sentence(curves),
            self._width - self._desk.px(24),
            lambda one, script: self._desk.width(one, script, "small"),
        )
        self._desk.set_text(self._said, said, "small")

    # -- drawing ------------------------------------------------------------------------------------------------

    def _draw_lines(self, curves: Curves) -> None:
        drawn: dict[str, Curve] = {}
        evolved, control = curves.arms()
        own = {"control": curves.control(), "evolved births": evolved, "control births": control}
        for name, _ in _LINES[self._view]:
            drawn[name] = own[name] if name in own else curves.curve(name)
        for name, line in self._lines.items():
            here = name in drawn and bool(len(drawn[name].births))
            dpg.configure_item(line, show=here)
            if here:
                dpg.set_value(line, [drawn[name].births.tolist(), drawn[name].values.tolist()])
        marks = curves.rescored if self._view == "scores" else []
        dpg.configure_item(self._marks, show=bool(marks))
        dpg.set_value(self._marks, [[float(birth) for birth in marks]])
        points = [one for one in drawn.values() if len(one.births)]
        last = max((float(one.births[-1]) for one in points), default=1.0)
        low = min((float(one.values.min()) for one in points), default=0.0)
        high = max((float(one.values.max()) for one in points), default=1.0)
        room = max(high - low, 0.05) * 0.08
        dpg.set_axis_limits(self._x, 0, max(last, 1.0))
        dpg.set_axis_limits(self._y, max(low - room, 0.0), high + room)

    def _sentence(self, curves: Curves) -> str:
        if self._view == "contest":
            return curves.contest().sentence
        if self._view == "spread":
            diversity, coverage = curves.curve("diversity").values, curves.curve("coverage").values
            spread = f"diversity {diversity[-1]:.2f}" if len(diversity) else "no diversity yet"
            return f"{spread}, {coverage[-1]:.0%} of the map covered" if len(coverage) else spread
        if self._view == "operators":
            return "bars: births (bright: fit), share better than their parent, mean gain on it"
        best, median = curves.curve("best").values, curves.curve("median").values
        if not len(best):
            return "nothing fit is born yet"
        said = f"best {best[-1]:.3f}" + (f", median of the living {median[-1]:.3f}" if len(median) else "")
        return f"{said}, scored anew {len(curves.rescored)} times" if curves.rescored else said

    def _draw_bars(self, curves: Curves) -> None:
        canvas, px, p = self._bars, self._desk.px, self._desk.palette
        canvas.clear()
        credits = sorted(curves.credits(), key=lambda one: (-RANKINGS[self._ranked_by](one), one.name))
        lefts = [int(canvas.width * share) for _, share in _COLUMNS]
        wides = [b - a - px(10) for a, b in zip(lefts, [*lefts[1:], canvas.width], strict=True)]
        for (name, _), x in zip(_COLUMNS, lefts, strict=True):
            tone = p.accent if name == self._ranked_by else p.faint
            canvas.text(x, 0, name.removesuffix(" share"), tone)
        fit = max((canvas.height - px(_ROW)) // px(_ROW), 1)
        most = max((one.births for one in credits), default=1)
        largest = max((abs(one.gain) for one in credits if one.gain is not None), default=0.0) or 1.0
        for row, one in enumerate(credits[:fit]):
            self._draw_row(one, px(_ROW) * (row + 1), lefts, wides, most, largest)
        if len(credits) > fit:
            canvas.text(px(8), 0, f"{fit} of {len(credits)}", p.faint)

    def _draw_row(
        self, one: OperatorCredit, y: int, lefts: list[int], wides: list[int], most: int, largest: float
    ) -> None:
        desk, canvas, px, p = self._desk, self._bars, self._desk.px, self._desk.palette
        said = shortened(one.name.replace("_", " "), lefts[0] - px(16), lambda text, s: desk.width(text, s, "small"))
        canvas.text(px(8), y, said, p.muted if one.compared else p.faint)
        numbers = px(38)

        def box(column: int, begin: float, end: float, colour: Colour) -> None:
            wide = wides[column] - numbers
            left, right = sorted((lefts[column] + begin * wide, lefts[column] + end * wide))
            dpg.draw_rectangle((left, y + px(4)), (max(right, left + 1), y + px(13)), parent=canvas.item,
                               color=(0, 0, 0, 0), fill=colour, rounding=px(1))  # fmt: skip

        def number(column: int, value: str, colour: Colour = p.muted) -> None:
            canvas.text(lefts[column] + wides[column] - numbers + px(5), y, value, colour)

        box(0, 0, one.births / most, p.raised)
        box(0, 0, one.ok / most, p.accent_dim)
        number(0, str(one.births))
        if one.gain is None:
            return
        box(1, 0, 1, faded(p.raised, 120))
        box(1, 0, one.improved_share, p.series[1])
        number(1, f"{one.improved_share:.0%}")
        box(2, 0.5, 0.5 + one.gain / largest / 2, p.good if one.gain > 0 else p.bad)
        number(2, f"{one.gain:+.2f}", p.good if one.gain > 0 else p.muted)

    # -- acting -------------------------------------------------------------------------------------------------

    def _turn(self, _sender: Item, _data: object, view: str) -> None:
        self._view = view

    def _rank(self) -> None:
        x, y = self._bars.mouse()
        if y > self._desk.px(_ROW):
            return
        chosen = [name for name, share in _COLUMNS if x >= self._bars.width * share - self._desk.px(4)]
        if chosen:
            self._ranked_by = chosen[-1]
