"""A run configuration as a form: every documented setting as a text, a choice or a tick, and what is wrong with it.

The form knows no setting by name but the few that stand at its top: fields, documentation, choices and messages come
from `experiments.config`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from bark_infinity.error_handling import BarkError
from experiments.config import RunConfig, load_recipe, recipe_names
from experiments.config.tables import FieldDescription, descriptions, plain

Kind = Literal["line", "lines", "choice", "tick"]

FIRST = (
    "name",
    "founders.prompts",
    "founders.voices",
    "judge.objectives",
    "stop.evaluations",
    "stop.hours",
    "algorithm.population",
    "model.checkpoint",
)
"""What most people change; the form begins with these."""

_TABLES: Mapping[str, str] = MappingProxyType(
    {
        "": "The run",
        "model": "What speaks",
        "founders": "Founders",
        "variation": "Variation",
        "algorithm": "Selection",
        "breeding": "Breeding",
        "judge": "Judging",
        "trials": "Trials",
        "stop": "When it is over",
        "execution": "Execution",
    }
)


@dataclass(frozen=True)
class FormField:
    """One setting of the form.

    Attributes:
        path: Such as ``stop.hours``.
        label: Its last word, readable.
        table: Title of the group it belongs to.
        kind: How it is entered; ``lines`` has one item to a line.
        doc: What it does.
        choices: For ``choice``.
    """

    path: str
    label: str
    table: str
    kind: Kind
    doc: str
    choices: tuple[str, ...] = ()


def ready_recipes() -> list[tuple[str, str]]:
    """Names of the ready recipes with what they are for; the demo first."""
    names = sorted(recipe_names(), key=lambda name: (name != "demo", name))
    return [(name, load_recipe(name).description) for name in names]


class RecipeForm:
    """A configuration that is being filled in.

    Attributes:
        fields: In the order of the recipe.
        texts: By path, what stands in each field.
        problems: By path, what is wrong; ``""`` holds what concerns no single field.
        recipe: Where it began.
    """

    def __init__(self, recipe: str = "demo", base: Path = Path(".")) -> None:
        self._described = {one.path: one for one in descriptions(RunConfig)}
        self.fields = tuple(_field(one) for one in self._described.values())
        self.texts: dict[str, str] = {}
        self.problems: dict[str, str] = {}
        self.base = base
        self.recipe = ""
        self.load(recipe)

    def load(self, recipe: str | Path) -> None:
        """Fills the form with a recipe: a ready one, or a TOML file.

        Raises:
            BarkError: When it is not there, or no recipe; the form stays as it was.
        """
        config = load_recipe(recipe)
        self.recipe = Path(recipe).stem
        if str(recipe) not in recipe_names():
            self.base = Path(recipe).resolve().parent
        self.fill(config)

    def fill(self, config: RunConfig) -> None:
        """Fills the form with a configuration."""
        for path, described in self._described.items():
            value: Any = config
            for part in path.split("."):
                value = getattr(value, part)
            self.texts[path] = _text(described, plain(value))
        self.check()

    def enter(self, path: str, text: str) -> None:
        """Writes into one field, and checks the whole."""
        if path not in self._described:
            raise KeyError(path)
        self.texts[path] = text
        self.check()

    def changed(self) -> list[str]:
        """Paths whose text differs from the recipe's defaults of the program."""
        fresh = RunConfig()
        found = []
        for path, described in self._described.items():
            value: Any = fresh
            for part in path.split("."):
                value = getattr(value, part)
            if self.texts[path] != _text(described, plain(value)):
                found.append(path)
        return found

    def check(self) -> RunConfig | None:
        """The configuration; None, with `problems` said, while something is wrong."""
        self.problems = {}
        given: dict[str, Any] = {}
        for path, described in self._described.items():
            try:
                value = _value(described, self.texts[path])
            except ValueError as error:
                self.problems[path] = str(error)
                continue
            table, _, key = path.rpartition(".")
            (given.setdefault(table, {}) if table else given)[key] = value
        if self.problems:
            return None
        try:
            config = RunConfig.from_json(given)
        except BarkError as error:
            self.problems[self._place(str(error))] = str(error)
            return None
        if not config.founders.prompts:
            self.problems["founders.prompts"] = "say what the founders say: one prompt to a line"
        if not config.judge.objectives:
            self.problems["judge.objectives"] = "say what is wanted, such as intelligibility"
        return None if self.problems else config

    def _place(self, message: str) -> str:
        """The field that a message is about: it names the table and the key, or speaks of what the key lists."""
        words = re.findall(r"\w+", message)
        tables = [word for word in words[:2] if any(path.startswith(f"{word}.") for path in self._described)]
        for path in self._described:
            table, _, key = path.rpartition(".")
            if (tables[:1] == [table] or (not tables and not table)) and (key in words or key.rstrip("s") in words):
                return path
        return ""

    def summary(self) -> str:
        """What would be run, or what is wrong, in one sentence."""
        config = self.check()
        if config is None:
            path, problem = next(iter(self.problems.items()))
            table = path.rpartition(".")[0]
            said = problem.removeprefix(f"{table}: ") if table else problem
            return f"{path}: {said}" if path and not said.startswith(path) else said
        prompts, voices = len(config.founders.prompts), len(config.founders.voices)
        begins = f"{_count(prompts, 'prompt')} with {_count(voices, 'voice entry', 'voice entries')}"
        if not voices:
            begins = f"{_count(prompts, 'prompt')} with a voice of the model's choice"
        stop = config.stop
        limits = [f"{stop.evaluations} births"] if stop.evaluations else []
        limits += [f"{stop.hours:g} h"] if stop.hours else []
        limits += [f"a total of {stop.target:g}"] if stop.target else []
        limits += [f"{stop.stagnation} births without a better one"] if stop.stagnation else []
        return f"Begins with {begins}; ends after {' or '.join(limits) or 'you stop it'}."


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def _field(described: FieldDescription) -> FormField:
    table, _, key = described.path.rpartition(".")
    kind: Kind = "line"
    if described.type == "true or false":
        kind = "tick"
    elif described.type == "list of texts":
        kind = "lines"
    elif described.choices:
        kind = "choice"
    doc = described.doc + ("; empty: no limit" if described.optional else "")
    return FormField(described.path, key.replace("_", " "), _TABLES.get(table, table), kind, doc, described.choices)


def _text(described: FieldDescription, value: Any) -> str:
    if value is None:
        return ""
    match described.type:
        case "true or false":
            return "yes" if value else "no"
        case "list of texts":
            return "\n".join(value)
        case "list of numbers":
            return ", ".join(f"{one:g}" for one in value)
        case "number":
            return f"{value:.12g}"
        case "list of tables" | "table of numbers":
            return _inline(value) if value else ""
        case _:
            return str(value)


def _inline(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_inline(one)}" for key, one in value.items()) + " }"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(_inline(one) for one in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return f'"{value}"' if isinstance(value, str) else repr(value)


def _value(described: FieldDescription, text: str) -> Any:
    """What a field's text means.

    Raises:
        ValueError: When it means nothing, with the reason.
    """
    bare = text.strip()
    if described.optional and not bare:
        return None
    match described.type:
        case "true or false":
            return bare == "yes"
        case "list of texts":
            return [line.strip() for line in text.splitlines() if line.strip()]
        case "list of numbers":
            return [_number(part) for part in re.split(r"[,\s]+", bare) if part]
        case "whole number":
            return _whole(bare)
        case "number":
            return _number(bare)
        case "list of tables" | "table of numbers":
            empty: Any = {} if described.type == "table of numbers" else []
            return _toml(bare) if bare else empty
        case _:
            return bare


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{text!r} is no number") from None


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{text!r} is no whole number") from None


def _toml(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ValueError(f"not as TOML writes it: {error}") from None
