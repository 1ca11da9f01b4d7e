"""One birth in full: how it sounds, looks and is made of, what it changed of its parents, and a form to change it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import dearpygui.dearpygui as dpg
import numpy as np

from experiments.board.board import Board
from experiments.board.genome_diff import GenomeDiff, genome_diff
from experiments.board.sound_picture import HEIGHT, WIDTH, SoundPicture, coloured, draw_sound, height_of
from experiments.board.text import Run, runs, shortened
from experiments.board.token_strips import BAND, TokenStrips, picture, strips
from experiments.board.token_strips import WIDTH as STRIP_WIDTH
from window.canvas import Canvas, place_for
from window.panel import Desk, Item, Recalled
from window.panels.detail_sides import LineSide, MeasuresSide, Side
from window.panels.edit_form import EditForm
from window.passage import Passage, diff_runs

_BANDS = 3
_PARENTS = 2
_SIDES = ("measures", "line", "edit")
_SIDE_TITLES: Mapping[str, str] = MappingProxyType({"measures": "Measures", "line": "Primary line", "edit": "Edit"})
_BUTTONS = (("play", "▶ play", 72), ("voice", "save voice", 84), ("clip", "save clip", 74), ("branch", "branch", 62))
_TICKS = (100, 250, 500, 1000, 2000, 4000, 8000)


@dataclass(frozen=True, eq=False)
class _Prepared:
    """What a worker made of a birth."""

    sound: SoundPicture | None
    tokens: TokenStrips | None
    diffs: tuple[tuple[int, str, GenomeDiff], ...]  # parent, role


class DetailPanel:
    """Sound, tokens and differences at the left; measures, line and form at the right."""

    def build(self, parent: Item, desk: Desk) -> None:
        """See `Panel`."""
        self._desk = desk
        self._width = self._height = 0
        self._board: Board | None = None
        self._birth: int | None = None
        self._asked: tuple[object, ...] = ()
        self._shown: tuple[object, ...] = ()
        self._recalled: Recalled | None = None
        self._prepared: _Prepared | None = None
        self._side = "measures"
        p, px = desk.palette, desk.px
        self._empty = dpg.add_text("", parent=parent, color=p.muted, show=False)
        self._left = dpg.add_child_window(parent=parent, no_scrollbar=True, no_scroll_with_mouse=True)
        self._right = dpg.add_child_window(parent=parent, no_scrollbar=True, no_scroll_with_mouse=True)
        for box in (self._left, self._right):
            dpg.bind_item_theme(box, desk.theme("panel"))
        self._title = dpg.add_text("", parent=self._left, tag="detail.title", pos=(px(12), px(9)))
        dpg.bind_item_font(self._title, desk.font("#", "title"))
        self._line = dpg.add_text("", parent=self._left, color=p.muted)
        dpg.bind_item_font(self._line, desk.font("0", "small"))
        self._buttons: dict[str, Item] = {}
        for name, label, _ in _BUTTONS:
            button = dpg.add_button(
                label=label, parent=self._left, tag=f"detail.{name}", callback=self._press, user_data=name
            )
            dpg.bind_item_font(button, desk.font(label))
            self._buttons[name] = button
        self._prompt = Passage(self._left, desk)
        self._reason = dpg.add_text("", parent=self._left, color=p.warn, show=False)
        self._build_sound()
        self._strip = Canvas(self._left, desk, "detail.tokens")
        self._strip_word = dpg.add_text("", parent=self._left, color=p.faint)
        dpg.bind_item_font(self._strip_word, desk.font("0", "small"))
        self._parents = [
            (
                dpg.add_button(
                    parent=self._left, tag=f"detail.parent.{number}", callback=self._go, user_data=0, show=False
                ),
                Passage(self._left, desk),
                Passage(self._left, desk, 8, "small"),
            )
            for number in range(_PARENTS)
        ]
        for button, _, _ in self._parents:
            dpg.bind_item_theme(button, desk.theme("quiet"))
        self._tabs = {
            name: dpg.add_button(
                label=_SIDE_TITLES[name], parent=self._right, tag=f"detail.side.{name}", callback=self._turn,
                user_data=name,
            )
            for name in _SIDES
        }  # fmt: skip
        self._form = EditForm(self._right, desk)
        self._sides: dict[str, Side] = {
            "measures": MeasuresSide(self._right, desk),
            "line": LineSide(self._right, desk),
            "edit": self._form,
        }
        desk.every_frame(self._every_frame)

    def _build_sound(self) -> None:
        desk, p = self._desk, self._desk.palette
        # Textures are made once and rewritten, never deleted: deleting one at run time crashes some drivers.
        for tag, width, height in (
            ("detail.texture.sound", WIDTH, HEIGHT),
            ("detail.texture.tokens", STRIP_WIDTH, _BANDS * BAND),
        ):
            if not dpg.does_item_exist(tag):
                with dpg.texture_registry():
                    empty = np.zeros(width * height * 4, np.float32)
                    dpg.add_raw_texture(width, height, empty, format=dpg.mvFormat_Float_rgba, tag=tag)
        self._plot_at = place_for(self._left, self._desk)
        self._plot = dpg.add_plot(
            parent=self._plot_at, tag="detail.sound", width=-1, height=-1, no_menus=True, no_box_select=True,
            no_mouse_pos=True, no_title=True, no_inputs=True,
        )  # fmt: skip
        dpg.bind_item_theme(self._plot, desk.theme("plot"))
        dpg.bind_item_font(self._plot, desk.font("0", "small"))
        self._time = dpg.add_plot_axis(dpg.mvXAxis, parent=self._plot, no_gridlines=True, no_highlight=True)
        self._hz = dpg.add_plot_axis(dpg.mvYAxis, parent=self._plot, no_gridlines=True, no_highlight=True)
        dpg.set_axis_limits(self._hz, 0, 1)
        self._image = dpg.add_image_series("detail.texture.sound", (0, 0), (1, 1), parent=self._hz)
        self._pitch = dpg.add_scatter_series([], [], parent=self._hz)
        with dpg.theme() as dots, dpg.theme_component(dpg.mvScatterSeries):
            for target in (dpg.mvPlotCol_MarkerFill, dpg.mvPlotCol_MarkerOutline):
                dpg.add_theme_color(target, p.good, category=dpg.mvThemeCat_Plots)
            dpg.add_theme_style(dpg.mvPlotStyleVar_MarkerSize, desk.px(2) * 0.8, category=dpg.mvThemeCat_Plots)
        dpg.bind_item_theme(self._pitch, dots)
        self._head = dpg.add_draw_node(parent=self._plot)
        self._head_at = -1.0
        steps = np.linspace(0, 1, 64)
        ground, low, high = (np.array(one[:3]) / 255 for one in (p.ground, p.low, p.accent))
        part = np.clip(steps * 2, 0, 1)[:, None], np.clip(steps * 2 - 1, 0, 1)[:, None]
        colours = ground + (low - ground) * part[0] + (high - low) * part[1]
        self._ramp = np.concatenate([colours, np.ones((64, 1))], axis=1).astype(np.float32)

    # -- sizes --------------------------------------------------------------------------------------------------

    def resize(self, width: int, height: int) -> None:
        """See `Panel`."""
        self._width, self._height = width, height
        self._shown = ()
        px = self._desk.px
        left = int(width * 0.57)
        dpg.configure_item(self._left, pos=(0, px(4)), width=max(left, 1), height=max(height - px(4), 1))
        right_x = left + px(8)
        dpg.configure_item(
            self._right, pos=(right_x, px(4)), width=max(width - right_x, 1), height=max(height - px(4), 1)
        )
        self._inner = max(left - px(24), 1)
        x = left - px(10)
        for name, _, wide in reversed(_BUTTONS):
            x -= px(wide + 4)
            dpg.configure_item(self._buttons[name], pos=(x, px(8)), width=px(wide), height=px(25))
        x = px(8)
        for name, tab in self._tabs.items():
            wide = int(self._desk.width(_SIDE_TITLES[name])) + px(20)
            dpg.configure_item(tab, pos=(x, px(8)), width=wide, height=px(25))
            x += wide + px(4)
        for side in self._sides.values():
            side.move(px(8), px(42), max(width - right_x - px(18), 1), max(height - px(54), 1))

    # -- showing ------------------------------------------------------------------------------------------------

    def show(self, board: Board) -> None:
        """See `Panel`."""
        self._board = board
        if self._width <= 1:
            return
        birth = board.selection.birth if board.selection.birth in board.births else None
        facts = None if birth is None else board.births[birth]
        asked = (birth, board.run_state.opened, facts is not None and facts.status != "waiting")
        if asked != self._asked:
            if birth != self._birth:
                self._recalled, self._prepared = None, None
                self._form.forget()
            self._asked, self._birth = asked, birth
            if birth is not None:
                self._desk.recall(birth, lambda recalled, asked=asked: self._came(asked, recalled))  # type: ignore[misc]
        now = (
            board.detail.revision,
            board.selection.revision,
            self._side,
            birth,
            id(self._recalled),
            id(self._prepared),
        )
        if now == self._shown:
            return
        self._shown = now
        there = facts is not None
        dpg.configure_item(self._left, show=there)
        dpg.configure_item(self._right, show=there)
        dpg.configure_item(self._empty, show=not there)
        if facts is None:
            said = "Choose a birth: click a card, a cell of the map, or a node of the tree."
            dpg.set_value(self._empty, said)
            wide = self._desk.width(said)
            dpg.configure_item(self._empty, pos=(max(int((self._width - wide) / 2), 0), int(self._height * 0.45)))
            return
        for name, tab in self._tabs.items():
            dpg.bind_item_theme(tab, self._desk.theme("quiet.on" if name == self._side else "quiet"))
        for name, side in self._sides.items():
            side.appear(name == self._side)
        self._show_left(board)
        self._sides[self._side].show(board, facts.number)

    def _show_left(self, board: Board) -> None:
        desk, px = self._desk, self._desk.px
        assert self._birth is not None
        facts = board.births[self._birth]
        title = f"#{facts.number}"
        dpg.set_value(self._title, title)
        words = [f"gen {facts.generation}", facts.operator.replace("_", " ")]
        words.append(facts.status if facts.total is None else f"{facts.total:.3f}")
        if facts.number == board.births.best:
            words.append("the best")
        elif facts.number in board.births.population:
            words.append("alive")
        x = px(22) + int(desk.width(title, "latin", "title"))
        room = self._inner - x - px(sum(wide + 4 for _, _, wide in _BUTTONS)) + px(8)
        said = shortened(" · ".join(words), room, lambda one, script: desk.width(one, script, "small"))
        dpg.set_value(self._line, said)
        dpg.configure_item(self._line, pos=(x, px(12)))
        playing = board.selection.playing == facts.number
        dpg.configure_item(self._buttons["play"], label="■ stop" if playing else "▶ play")
        y = px(42)
        y += self._prompt.show(runs(facts.prompt), px(12), y, self._inner, 3) + px(4)
        dpg.configure_item(self._reason, show=bool(facts.reason))
        if facts.reason:
            tone = desk.palette.warn if facts.status == "rejected" else desk.palette.bad
            desk.set_text(self._reason, f"{facts.status}: {facts.reason}", "small")
            dpg.configure_item(self._reason, pos=(px(12), y), color=tone, wrap=px(12) + self._inner)
            y += px(20) * (1 + int(desk.width(facts.reason, "latin", "small") > self._inner * 0.9))
        below = self._diff_height()
        tall = min(max(self._height - y - below - px(86), px(90)), px(400))
        dpg.configure_item(self._plot_at, pos=(px(4), y), width=self._inner + px(12), height=tall)
        few = tall < px(170)
        shown = [hz for hz in _TICKS if not (few and hz == 250)]
        names = [f"{hz} Hz" if hz < 1000 else f"{hz // 1000} kHz" for hz in shown]
        dpg.set_axis_ticks(self._hz, tuple(zip(names, map(height_of, shown), strict=True)))
        y += tall + px(4)
        self._strip.move(px(12), y, self._inner, px(42))
        dpg.configure_item(self._strip_word, pos=(px(12), y + px(43)))
        self._show_diffs(board, y + px(64))

    def _diff_height(self) -> int:
        px = self._desk.px
        parents = 1 if self._prepared is None else max(len(self._prepared.diffs[:_PARENTS]), 1)
        return px(66) * parents

    # -- what is read back --------------------------------------------------------------------------------------

    def _came(self, asked: tuple[object, ...], recalled: Recalled) -> None:
        if asked != self._asked:
            return
        self._recalled = recalled

        def prepare() -> _Prepared:
            child = recalled.candidate
            sound = None if recalled.clip is None else draw_sound(recalled.clip)
            tokens = None
            if recalled.spoken is not None and recalled.spoken.semantic.size:
                seconds = sound.duration_s if sound is not None else 0.0
                tokens = strips(recalled.spoken.semantic, recalled.spoken.coarse, seconds)
            elif child.genome.voice is not None:
                voice = child.genome.voice
                tokens = strips(voice.semantic, voice.coarse, voice.duration_s)
            roles = {one.birth: one.role for one in child.parents}
            diffs = tuple(
                (one.birth, roles.get(one.birth, "first"), genome_diff(child.genome, one.genome))
                for one in recalled.parents[:_PARENTS]
            )
            return _Prepared(sound, tokens, diffs)

        self._desk.background(prepare, lambda prepared: self._ready(asked, prepared))
        self._form.offer(recalled)

    def _ready(self, asked: tuple[object, ...], prepared: _Prepared) -> None:
        if asked != self._asked:
            return
        self._prepared = prepared
        self._draw_sound(prepared.sound)
        self._draw_tokens(prepared.tokens)

    def _draw_sound(self, sound: SoundPicture | None) -> None:
        levels = np.zeros((HEIGHT, WIDTH), np.float32) if sound is None else sound.levels
        dpg.set_value("detail.texture.sound", coloured(levels, self._ramp).ravel())
        span = 1.0 if sound is None else sound.span_s
        dpg.configure_item(self._image, bounds_min=(0, 0), bounds_max=(span, 1))
        dpg.set_axis_limits(self._time, 0, span)
        at = [] if sound is None else sound.pitch_at_s.tolist()
        heights = [] if sound is None else [height_of(float(hz)) for hz in sound.pitch_hz]
        dpg.set_value(self._pitch, [at, heights])

    def _draw_tokens(self, shown: TokenStrips | None) -> None:
        ground = tuple(part / 255 for part in self._desk.palette.panel)
        none = TokenStrips((), (), 0.0)
        image = picture(shown or none, _BANDS, ground)  # type: ignore[arg-type]
        dpg.set_value("detail.texture.tokens", image.ravel())
        self._strip.clear()
        wide, tall = self._strip.width, self._strip.height
        dpg.draw_image("detail.texture.tokens", (0, 0), (wide, tall), parent=self._strip.item)
        self._strip_said = ""

    def _show_diffs(self, board: Board, y: int) -> None:
        desk, px = self._desk, self._desk.px
        diffs = () if self._prepared is None else self._prepared.diffs
        for number, (button, words, facts) in enumerate(self._parents):
            if number >= len(diffs):
                for passage in (words, facts):
                    passage.hide()
                dpg.configure_item(button, show=number == 0 and self._prepared is not None)
                if number == 0 and self._prepared is not None:
                    label = "no parents: born as it is"
                    dpg.configure_item(button, label=label, pos=(px(4), y), enabled=False)
                continue
            parent, role, diff = diffs[number]
            dpg.configure_item(button, label=f"from #{parent}, {role} parent", user_data=parent, pos=(px(4), y),
                               show=True, enabled=parent in board.births)  # fmt: skip
            y += px(23)
            y += words.show(diff_runs(diff.words), px(12), y, self._inner, 1)
            y += facts.show(_changes(diff), px(12), y, self._inner, 1) + px(6)
        if self._prepared is not None and self._prepared.tokens is not None and not self._strip_said:
            told = "tokens: " + ", ".join(self._prepared.tokens.names) + "; equal tokens have equal colours"
            desk.set_text(self._strip_word, told, "small")

    # -- the mouse and the playhead -----------------------------------------------------------------------------

    def _every_frame(self) -> None:
        if self._board is None or self._birth is None or not dpg.is_item_visible(self._plot):
            return
        self._move_head()
        tokens = None if self._prepared is None else self._prepared.tokens
        if tokens is None:
            return
        said = ""
        if self._strip.hovered():
            x, y = self._strip.mouse()
            band = int(y / self._strip.height * _BANDS)
            token = tokens.at(x / self._strip.width, band)
            if token is not None:
                said = f"{tokens.names[band]} token {token} at {x / self._strip.width * tokens.duration_s:.2f} s"
        if said != self._strip_said:
            self._strip_said = said
            self._shown = self._shown if said else ()
            if said:
                self._desk.set_text(self._strip_word, said, "small")

    def _move_head(self) -> None:
        birth, share = self._desk.playhead()
        sound = None if self._prepared is None else self._prepared.sound
        at = share * sound.duration_s if birth == self._birth and birth is not None and sound is not None else -1.0
        if at == self._head_at:
            return
        self._head_at = at
        dpg.delete_item(self._head, children_only=True)
        if at >= 0:
            dpg.draw_line((at, 0), (at, 1), parent=self._head, color=self._desk.palette.text, thickness=0)

    # -- acting -------------------------------------------------------------------------------------------------

    def _press(self, _sender: Item, _data: object, name: str) -> None:
        birth, desk = self._birth, self._desk
        if birth is None or self._board is None:
            return
        match name:
            case "play" if self._board.selection.playing == birth:
                desk.stop_sound()
            case "play":
                desk.play(birth)
            case "voice":
                desk.save_voice(birth)
            case "clip":
                desk.save_clip(birth)
            case "branch":
                desk.branch(birth)

    def _go(self, _sender: Item, _data: object, birth: int) -> None:
        if self._board is not None and birth in self._board.births:
            self._desk.select(birth)

    def _turn(self, _sender: Item, _data: object, side: str) -> None:
        self._side = side


def _changes(diff: GenomeDiff) -> list[Run]:
    """Settings and voice, in words."""
    parts = [f"{one.name} {one.before} > {one.after}" for one in diff.settings]
    voice = diff.voice
    if voice.same:
        parts.append("same voice" if voice.after != "none" else "no voice")
    elif voice.semantic is None or voice.frames is None:
        parts.append(f"voice {voice.before} > {voice.after}")
    else:
        parts.append(
            f"voice {voice.after}: {voice.semantic:.0%} of semantic tokens, {voice.frames:.0%} of frames shared"
        )
    return runs(" · ".join(parts))
