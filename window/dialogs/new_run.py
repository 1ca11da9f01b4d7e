"""A new run: a recipe, what most people change at the top, every other setting below, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import dearpygui.dearpygui as dpg

from bark_infinity.audio import safe_stem, unique_path
from bark_infinity.error_handling import BarkError
from experiments.board.recipe_form import FIRST, FormField, RecipeForm, ready_recipes
from experiments.config import RunConfig
from window.dialogs.dialog import Dialog
from window.panel import Item
from window.presenter import Presenter

_LEFT = 210
_TALL = {"founders.prompts": 76, "founders.voices": 60, "judge.objectives": 60}
_LABELS = {"founders.prompts": "Prompts, one to a line", "founders.voices": "Voices, one to a line",
           "judge.objectives": "What is wanted, one to a line", "stop.evaluations": "Births", "stop.hours": "Hours",
           "algorithm.population": "Population", "model.checkpoint": "What speaks", "name": "Name"}  # fmt: skip

Begin = Callable[[Path, RunConfig, Path, bool], None]


class NewRunDialog(Dialog):
    """The form.

    Args:
        presenter: What it acts on.
        begin: Given the lineage file, the configuration, where its relative paths begin, and whether to wait.
    """

    def __init__(self, presenter: Presenter, begin: Begin) -> None:
        super().__init__(presenter, "new", "New run", (980, 720))
        self._begin = begin
        self._form = RecipeForm()
        self._inputs: dict[str, list[tuple[Item, FormField]]] = {}

    def fill(self, width: int, height: int) -> None:
        """See `Dialog`."""
        px = self.presenter.px
        self._inputs = {}
        tall = height - px(176)
        with self.row():
            with dpg.child_window(width=px(_LEFT), height=tall, border=False):
                self.caption("Begin with a recipe")
                self._recipes = {}
                for name, description in ready_recipes():
                    item = dpg.add_selectable(
                        label=name, tag=f"new.recipe.{name}", callback=self._load, user_data=name, width=px(_LEFT - 20)
                    )
                    with dpg.tooltip(item, delay=0.2):
                        dpg.add_text(description, wrap=px(360))
                    self._recipes[name] = item
                self.space()
                dpg.add_button(label="From a file …", tag="new.file", callback=self._from_file)
                self.space(14)
                dpg.add_text("", tag="new.description", wrap=px(_LEFT - 16), color=self.presenter.palette.muted)
                dpg.bind_item_font("new.description", self.presenter.font("x", "small"))
            with dpg.child_window(tag="new.form", width=width - px(_LEFT + 8), height=tall, border=False):
                inner = width - px(_LEFT + 8) - px(16)
                self._fill_first(inner)
                self.space(10)
                with dpg.collapsing_header(label="All settings", tag="new.all"):
                    self._fill_all(inner)
        self.space(4)
        with self.row():
            self.caption("Lineage file")
            dpg.add_input_text(tag="new.lineage", width=width - px(92), default_value=str(self._free_path()))
        dpg.add_text("", tag="new.said", wrap=width)
        with self.row():
            self.button("Start", "start", self._start, accent=True)
            self.button("Start paused", "paused", self._start_paused, width=120)
            self.button("Cancel", "cancel", self.close)
        self._show_values()

    def _fill_first(self, width: int) -> None:
        px = self.presenter.px
        fields = {field.path: field for field in self._form.fields}
        narrow = ("name", "model.checkpoint"), ("stop.evaluations", "stop.hours", "algorithm.population")
        for path in ("founders.prompts", "founders.voices", "judge.objectives"):
            self._field(fields[path], width, _LABELS[path], "new.first")
        for paths in narrow:
            with self.row():
                for path in paths:
                    with dpg.group():
                        self._field(fields[path], width // len(paths) - px(10), _LABELS[path], "new.first")
        assert {*_LABELS} == {*FIRST}

    def _fill_all(self, width: int) -> None:
        px = self.presenter.px
        table = ""
        for field in self._form.fields:
            if field.table != table:
                table = field.table
                self.space(6)
                title = dpg.add_text(table)
                dpg.bind_item_font(title, self.presenter.font(table, "title"))
            with self.row():
                label = dpg.add_text(field.label, color=self.presenter.palette.muted)
                dpg.bind_item_font(label, self.presenter.font(field.label, "small"))
                dpg.add_spacer(width=max(px(150) - round(self.presenter.width(field.label, "latin", "small")), 1))
                self._field(field, width - px(175), "", "new.all")

    def _field(self, field: FormField, width: int, label: str, where: str) -> None:
        tag = f"{where}.{field.path}"
        if label:
            self.caption(label)
        px = self.presenter.px
        user = {"tag": tag, "callback": self._entered, "user_data": field}
        match field.kind:
            case "tick":
                item = dpg.add_checkbox(**user)
            case "choice":
                item = dpg.add_combo([one or "none" for one in field.choices], width=min(width, px(240)), **user)
            case "lines":
                height = px(_TALL.get(field.path, 48)) if label else px(46)
                item = dpg.add_input_text(multiline=True, width=width, height=height, **user)
            case "line":
                item = dpg.add_input_text(width=width if label else min(width, px(320)), **user)
        with dpg.tooltip(item, delay=0.4):
            dpg.add_text(f"{field.path}: {field.doc}", wrap=px(420))
        self._inputs.setdefault(field.path, []).append((item, field))

    # -- values -------------------------------------------------------------------------------------------------

    def _show_values(self, but: Item | None = None) -> None:
        """Writes the form's texts into the fields; not into the one that is being typed in."""
        for path, inputs in self._inputs.items():
            text = self._form.texts[path]
            for item, field in inputs:
                if item != but:
                    dpg.set_value(item, text == "yes" if field.kind == "tick" else text)
                    if field.kind in ("line", "lines"):
                        self.follow_script(item, text)
                bad = path in self._form.problems
                dpg.bind_item_theme(item, self.presenter.theme("field.bad") if bad else 0)
        self._show_summary()
        for name, item in self._recipes.items():
            dpg.set_value(item, name == self._form.recipe)
        dpg.set_value("new.description", self._form.texts["description"])

    def _show_summary(self) -> None:
        said = self._form.summary()
        fine = not self._form.problems
        p = self.presenter.palette
        dpg.set_value("new.said", said)
        dpg.configure_item("new.said", color=p.muted if fine else p.bad)
        dpg.configure_item("new.start", enabled=fine)
        dpg.configure_item("new.paused", enabled=fine)

    def _entered(self, sender: Item, value: object, field: FormField) -> None:
        text = ("yes" if value else "no") if field.kind == "tick" else str(value)
        self._form.enter(field.path, text)
        item = next(item for item, _ in self._inputs[field.path] if sender in (item, dpg.get_item_alias(item)))
        if field.kind in ("line", "lines"):
            self.follow_script(item, text)
        self._show_values(but=item)

    def _load(self, _sender: Item, _value: object, name: str) -> None:
        try:
            self._form.load(name)
        except BarkError as error:
            self.presenter.say(str(error), "warning")
        self._show_values()
        dpg.set_value("new.lineage", str(self._free_path()))

    def _from_file(self) -> None:
        self.close()  # a second modal over a modal never shows

        def chosen(path: Path) -> None:
            try:
                self._form.load(path)
            except BarkError as error:
                self.presenter.say(str(error), "warning")
            self.open()

        self.presenter.ask_for_path("A recipe", chosen, endings=(".toml",))

    def _free_path(self) -> Path:
        return unique_path(self.presenter.output_folder, safe_stem(self._form.texts["name"] or "run"), ".db")

    # -- starting -----------------------------------------------------------------------------------------------

    def _start(self, *, paused: bool = False) -> None:
        config = self._form.check()
        if config is None:
            self._show_summary()
            return
        path = Path(dpg.get_value("new.lineage").strip()).expanduser()
        if not path.is_absolute() or path.is_dir():
            said = f"{path} is no place for a lineage file; give a full path such as {self._free_path()}"
            dpg.set_value("new.said", said)
            dpg.configure_item("new.said", color=self.presenter.palette.bad)
            return
        self.close()
        self._begin(path, config, self._form.base, paused)

    def _start_paused(self) -> None:
        self._start(paused=True)
