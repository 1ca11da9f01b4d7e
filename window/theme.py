"""Themes of widgets from a palette: one for everything, and named ones for single items.

========================  ======================================================================
``accent``                the one button that matters most here
``quiet``                 buttons without a body: icons, links
``quiet.on``              the same, switched on
``good``, ``bad``         quiet buttons that are switched on and mean like, dislike
``danger``                a button that ends something
``card``, ``card.at``     cards and boxes; the one that is looked at; ``card.empty``: a place without one
``bare``                  a child window without border, padding or colour
``panel``                 a child window with the panel's colour and border
``bar``                   the bars at the top and the bottom
``bar.N``                 score bars, by their colour
``field.bad``             an input whose value is refused
``plot``                  plots
``line.N``, ``shade.N``   a plot's line or shade in the N-th colour of the palette's series
``scatter.N``             points in that colour
``text.muted`` ...        texts: ``muted``, ``faint``, ``accent``, ``good``, ``bad``, ``warn``, ``tag``
========================  ======================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import dearpygui.dearpygui as dpg

from window.palette import Colour, Palette, faded
from window.panel import Item

CLEAR: Colour = (0, 0, 0, 0)
BARS = 10  # colours of score bars, from low to high


class Themes:
    """Every theme, made once for a palette and a scale."""

    def __init__(self, palette: Palette, px: Callable[[float], int]) -> None:
        self._palette, self._px = palette, px
        self.everything = self._everything()
        self._named: dict[str, Item] = {}
        self._buttons()
        self._boxes()
        self._plots()
        for number in range(BARS):
            with self._theme(f"bar.{number}"), dpg.theme_component(dpg.mvProgressBar):
                _colour(dpg.mvThemeCol_PlotHistogram, palette.ramp((number + 0.5) / BARS))
                _colour(dpg.mvThemeCol_FrameBg, palette.line)
                dpg.add_theme_style(dpg.mvStyleVar_FrameRounding, px(2), category=dpg.mvThemeCat_Core)
                dpg.add_theme_style(dpg.mvStyleVar_FramePadding, 0, 0, category=dpg.mvThemeCat_Core)
        for name in ("muted", "faint", "accent", "good", "bad", "warn", "tag", "text"):
            with self._theme(f"text.{name}"), dpg.theme_component(dpg.mvText):
                _colour(dpg.mvThemeCol_Text, getattr(palette, name))

    def __getitem__(self, name: str) -> Item:
        return self._named[name]

    @contextmanager
    def _theme(self, name: str) -> Iterator[None]:
        with dpg.theme() as theme:
            yield
        self._named[name] = theme

    def _everything(self) -> Item:
        p, px = self._palette, self._px
        theme: Item
        with dpg.theme() as theme:
            with dpg.theme_component(dpg.mvAll):
                for target, colour in (
                    (dpg.mvThemeCol_WindowBg, p.ground),
                    (dpg.mvThemeCol_ChildBg, p.panel),
                    (dpg.mvThemeCol_PopupBg, p.card),
                    (dpg.mvThemeCol_Border, p.line),
                    (dpg.mvThemeCol_BorderShadow, CLEAR),
                    (dpg.mvThemeCol_FrameBg, p.card),
                    (dpg.mvThemeCol_FrameBgHovered, p.raised),
                    (dpg.mvThemeCol_FrameBgActive, p.raised),
                    (dpg.mvThemeCol_TitleBg, p.panel),
                    (dpg.mvThemeCol_TitleBgActive, p.panel),
                    (dpg.mvThemeCol_TitleBgCollapsed, p.panel),
                    (dpg.mvThemeCol_MenuBarBg, p.panel),
                    (dpg.mvThemeCol_ScrollbarBg, CLEAR),
                    (dpg.mvThemeCol_ScrollbarGrab, p.raised),
                    (dpg.mvThemeCol_ScrollbarGrabHovered, p.hover),
                    (dpg.mvThemeCol_ScrollbarGrabActive, p.hover),
                    (dpg.mvThemeCol_CheckMark, p.accent),
                    (dpg.mvThemeCol_SliderGrab, p.accent),
                    (dpg.mvThemeCol_SliderGrabActive, p.accent),
                    (dpg.mvThemeCol_Button, p.raised),
                    (dpg.mvThemeCol_ButtonHovered, p.hover),
                    (dpg.mvThemeCol_ButtonActive, p.accent_dim),
                    (dpg.mvThemeCol_Header, p.raised),
                    (dpg.mvThemeCol_HeaderHovered, p.hover),
                    (dpg.mvThemeCol_HeaderActive, p.hover),
                    (dpg.mvThemeCol_Separator, p.line),
                    (dpg.mvThemeCol_SeparatorHovered, p.line),
                    (dpg.mvThemeCol_SeparatorActive, p.line),
                    (dpg.mvThemeCol_ResizeGrip, CLEAR),
                    (dpg.mvThemeCol_Tab, p.panel),
                    (dpg.mvThemeCol_TabHovered, p.hover),
                    (dpg.mvThemeCol_TabActive, p.raised),
                    (dpg.mvThemeCol_TabUnfocused, p.panel),
                    (dpg.mvThemeCol_TabUnfocusedActive, p.raised),
                    (dpg.mvThemeCol_PlotHistogram, p.accent_dim),
                    (dpg.mvThemeCol_PlotHistogramHovered, p.accent_dim),
                    (dpg.mvThemeCol_TableHeaderBg, p.panel),
                    (dpg.mvThemeCol_TableBorderStrong, p.line),
                    (dpg.mvThemeCol_TableBorderLight, p.line),
                    (dpg.mvThemeCol_TableRowBg, CLEAR),
                    (dpg.mvThemeCol_TableRowBgAlt, faded(p.card, 90)),
                    (dpg.mvThemeCol_Text, p.text),
                    (dpg.mvThemeCol_TextDisabled, p.faint),
                    (dpg.mvThemeCol_TextSelectedBg, faded(p.accent, 70)),
                    (dpg.mvThemeCol_DragDropTarget, p.accent),
                    (dpg.mvThemeCol_NavHighlight, p.accent),
                    (dpg.mvThemeCol_ModalWindowDimBg, (0, 0, 0, 110)),
                ):
                    _colour(target, colour)
                for style, *values in (
                    (dpg.mvStyleVar_WindowPadding, 0, 0),
                    (dpg.mvStyleVar_WindowBorderSize, 0),
                    (dpg.mvStyleVar_ChildBorderSize, 1),
                    (dpg.mvStyleVar_ChildRounding, px(6)),
                    (dpg.mvStyleVar_FrameRounding, px(4)),
                    (dpg.mvStyleVar_FramePadding, px(8), px(3)),
                    (dpg.mvStyleVar_ItemSpacing, px(8), px(6)),
                    (dpg.mvStyleVar_ItemInnerSpacing, px(6), px(4)),
                    (dpg.mvStyleVar_ScrollbarSize, px(10)),
                    (dpg.mvStyleVar_ScrollbarRounding, px(5)),
                    (dpg.mvStyleVar_GrabRounding, px(4)),
                    (dpg.mvStyleVar_GrabMinSize, px(12)),
                    (dpg.mvStyleVar_PopupRounding, px(6)),
                    (dpg.mvStyleVar_PopupBorderSize, 1),
                    (dpg.mvStyleVar_TabRounding, px(4)),
                    (dpg.mvStyleVar_CellPadding, px(6), px(3)),
                    (dpg.mvStyleVar_IndentSpacing, px(14)),
                ):
                    dpg.add_theme_style(style, *values, category=dpg.mvThemeCat_Core)
            for kind in (dpg.mvButton, dpg.mvInputText, dpg.mvCombo, dpg.mvCheckbox, dpg.mvSliderInt, dpg.mvSelectable):
                with dpg.theme_component(kind, enabled_state=False):
                    _colour(dpg.mvThemeCol_Text, p.faint)
                    for target in (dpg.mvThemeCol_Button, dpg.mvThemeCol_ButtonHovered, dpg.mvThemeCol_ButtonActive):
                        _colour(target, faded(p.raised, 110))
            with dpg.theme_component(dpg.mvTooltip):
                dpg.add_theme_style(dpg.mvStyleVar_WindowPadding, px(10), px(7), category=dpg.mvThemeCat_Core)
        return theme

    def _button(self, name: str, body: Colour, hover: Colour, text: Colour) -> None:
        p = self._palette
        with self._theme(name):
            with dpg.theme_component(dpg.mvButton):
                _colour(dpg.mvThemeCol_Button, body)
                _colour(dpg.mvThemeCol_ButtonHovered, hover)
                _colour(dpg.mvThemeCol_ButtonActive, hover)
                _colour(dpg.mvThemeCol_Text, text)
            with dpg.theme_component(dpg.mvButton, enabled_state=False):
                _colour(dpg.mvThemeCol_Button, faded(body, body[3] // 3))
                _colour(dpg.mvThemeCol_ButtonHovered, faded(body, body[3] // 3))
                _colour(dpg.mvThemeCol_Text, p.faint)

    def _buttons(self) -> None:
        p = self._palette
        bright: Colour = (*(min(255, part + 16) for part in p.accent[:3]), 255)  # type: ignore[assignment]
        self._button("accent", p.accent, bright, p.on_accent)
        self._button("quiet", CLEAR, p.hover, p.muted)
        self._button("quiet.on", p.raised, p.hover, p.accent)
        self._button("good", faded(p.good, 46), faded(p.good, 80), p.good)
        self._button("bad", faded(p.bad, 46), faded(p.bad, 80), p.bad)
        self._button("danger", p.raised, faded(p.bad, 90), p.bad)

    def _box(self, name: str, body: Colour, border: Colour, padding: tuple[int, int] = (0, 0)) -> None:
        with self._theme(name), dpg.theme_component(dpg.mvChildWindow):
            _colour(dpg.mvThemeCol_ChildBg, body)
            _colour(dpg.mvThemeCol_Border, border)
            dpg.add_theme_style(dpg.mvStyleVar_WindowPadding, *map(self._px, padding), category=dpg.mvThemeCat_Core)
            width = 0.0 if border == CLEAR else 1.5 if border == self._palette.accent else 1.0
            dpg.add_theme_style(dpg.mvStyleVar_ChildBorderSize, width, category=dpg.mvThemeCat_Core)

    def _boxes(self) -> None:
        p = self._palette
        self._box("card", p.card, p.line)
        self._box("card.at", p.card, p.accent)
        self._box("card.empty", CLEAR, faded(p.line, 130))
        self._box("bare", CLEAR, CLEAR)
        self._box("panel", p.panel, p.line)
        with self._theme("bar"), dpg.theme_component(dpg.mvChildWindow):
            _colour(dpg.mvThemeCol_ChildBg, p.panel)
            dpg.add_theme_style(dpg.mvStyleVar_ChildBorderSize, 0, category=dpg.mvThemeCat_Core)
            dpg.add_theme_style(dpg.mvStyleVar_ChildRounding, 0, category=dpg.mvThemeCat_Core)
            dpg.add_theme_style(dpg.mvStyleVar_WindowPadding, 0, 0, category=dpg.mvThemeCat_Core)
        with self._theme("dialog"):
            with dpg.theme_component(dpg.mvWindowAppItem):
                _colour(dpg.mvThemeCol_WindowBg, p.panel)
                _colour(dpg.mvThemeCol_PopupBg, p.panel)
                _colour(dpg.mvThemeCol_TitleBgActive, p.card)
                padding = self._px(18), self._px(14)
                dpg.add_theme_style(dpg.mvStyleVar_WindowPadding, *padding, category=dpg.mvThemeCat_Core)
                dpg.add_theme_style(dpg.mvStyleVar_WindowBorderSize, 1, category=dpg.mvThemeCat_Core)
                dpg.add_theme_style(dpg.mvStyleVar_WindowRounding, self._px(8), category=dpg.mvThemeCat_Core)
            with dpg.theme_component(dpg.mvAll):
                _colour(dpg.mvThemeCol_FrameBg, p.card)
                _colour(dpg.mvThemeCol_ChildBg, p.panel)
                dpg.add_theme_style(dpg.mvStyleVar_ChildBorderSize, 0, category=dpg.mvThemeCat_Core)
        with self._theme("field.bad"), dpg.theme_component(dpg.mvAll):
            _colour(dpg.mvThemeCol_Border, p.bad)
            dpg.add_theme_style(dpg.mvStyleVar_FrameBorderSize, 1, category=dpg.mvThemeCat_Core)

    def _plots(self) -> None:
        p, plots = self._palette, dpg.mvThemeCat_Plots
        with self._theme("plot"), dpg.theme_component(dpg.mvPlot):
            for target, colour in (
                (dpg.mvPlotCol_PlotBg, CLEAR),
                (dpg.mvPlotCol_FrameBg, CLEAR),
                (dpg.mvPlotCol_PlotBorder, CLEAR),
                (dpg.mvPlotCol_AxisGrid, faded(p.line, 160)),
                (dpg.mvPlotCol_AxisTick, p.line),
                (dpg.mvPlotCol_AxisText, p.muted),
                (dpg.mvPlotCol_AxisBg, CLEAR),
                (dpg.mvPlotCol_AxisBgHovered, CLEAR),
                (dpg.mvPlotCol_AxisBgActive, CLEAR),
                (dpg.mvPlotCol_LegendBg, faded(p.card, 220)),
                (dpg.mvPlotCol_LegendBorder, p.line),
                (dpg.mvPlotCol_LegendText, p.text),
                (dpg.mvPlotCol_TitleText, p.muted),
                (dpg.mvPlotCol_InlayText, p.text),
                (dpg.mvPlotCol_Crosshairs, p.faint),
                (dpg.mvPlotCol_Selection, p.accent),
            ):
                _colour(target, colour, plots)
            dpg.add_theme_style(dpg.mvPlotStyleVar_PlotPadding, self._px(6), self._px(6), category=plots)
            dpg.add_theme_style(dpg.mvPlotStyleVar_LabelPadding, self._px(4), self._px(4), category=plots)
            dpg.add_theme_style(dpg.mvPlotStyleVar_LegendPadding, self._px(6), self._px(4), category=plots)
            dpg.add_theme_style(dpg.mvPlotStyleVar_MajorTickLen, 0, 0, category=plots)
            dpg.add_theme_style(dpg.mvPlotStyleVar_MinorTickLen, 0, 0, category=plots)
            dpg.add_theme_style(dpg.mvPlotStyleVar_MinorAlpha, 0.0, category=plots)
        for number, colour in enumerate(p.series):
            with self._theme(f"line.{number}"), dpg.theme_component(dpg.mvLineSeries):
                _colour(dpg.mvPlotCol_Line, colour, plots)
                dpg.add_theme_style(dpg.mvPlotStyleVar_LineWeight, 1.6 * self._px(10) / 10, category=plots)
            with self._theme(f"shade.{number}"), dpg.theme_component(dpg.mvShadeSeries):
                _colour(dpg.mvPlotCol_Fill, faded(colour, 46), plots)
                _colour(dpg.mvPlotCol_Line, CLEAR, plots)
            with self._theme(f"scatter.{number}"), dpg.theme_component(dpg.mvScatterSeries):
                _colour(dpg.mvPlotCol_MarkerFill, colour, plots)
                _colour(dpg.mvPlotCol_MarkerOutline, colour, plots)
                dpg.add_theme_style(dpg.mvPlotStyleVar_MarkerSize, self._px(3), category=plots)


def _colour(target: int, colour: Colour, category: int = 0) -> None:
    dpg.add_theme_color(target, colour, category=category)
