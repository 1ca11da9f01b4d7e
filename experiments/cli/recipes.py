"""``recipes``: the ready ones, one of them with every setting explained, or all settings there are."""

from __future__ import annotations

import argparse
import textwrap
from typing import TYPE_CHECKING

from experiments.cli.exits import FINE
from experiments.cli.terminal import Painted, Part, Terminal

if TYPE_CHECKING:
    from experiments.cli.main import Verbs
    from experiments.config.tables import FieldDescription


def add(verbs: Verbs) -> None:
    """Describes the verb to the parser."""
    parser = verbs.add("recipes", recipes, "list the recipes, or show one with all its settings explained", json=True)
    parser.add_argument("recipe", metavar="RECIPE", nargs="?", help="show this one: a ready one, or a TOML file")
    add_settings(parser)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--toml", action="store_true", help="show it as a file that `bark-lab run` takes, to be edited")
    what.add_argument("--fields", action="store_true", help="list every setting there is")
    what.add_argument("--names", action="store_true", help="only names, one on a line")


def add_settings(parser: argparse.ArgumentParser) -> None:
    """The option --set."""
    parser.add_argument(
        "--set",
        metavar="TABLE.KEY=VALUE",
        dest="settings",
        action="append",
        default=[],
        help="another value for a setting, as TOML writes it; `bark-lab recipes --fields` lists them (repeatable)",
    )


def recipes(args: argparse.Namespace, terminal: Terminal) -> int:
    """Lists or shows."""
    from experiments.config import load_recipe, recipe_names, to_toml

    if args.names:
        for name in recipe_names():
            terminal.say(name)
        return FINE
    if args.fields:
        return _fields(args, terminal)
    if args.recipe is None:
        found = {name: load_recipe(name).description for name in recipe_names()}
        if args.json:
            terminal.json({"recipes": [{"name": name, "description": text} for name, text in found.items()]})
            return FINE
        terminal.table(("recipe", "what it is for"), list(found.items()))
        terminal.say("see all of one with: ", Painted("bark-lab recipes NAME", "accent"))
        return FINE
    config = load_recipe(args.recipe, args.settings)
    if args.json:
        terminal.json(config.to_json())
        return FINE
    if args.toml:
        for line in to_toml(config).splitlines():
            terminal.say(line)
        return FINE
    terminal.say(Painted(config.name, "bold"), f": {config.description}" if config.description else "")
    for field in _descriptions():
        value: object = config
        for part in field.path.split("."):
            value = getattr(value, part)
        shown = "not set" if value is None else _shown(value)
        changed = value != field.default
        terminal.say(Painted(field.path, "accent"), " = ", Painted(shown, "bold" if changed else "dim"))
        _explain(field, terminal)
    return FINE


def _fields(args: argparse.Namespace, terminal: Terminal) -> int:
    if args.json:
        terminal.json({"settings": [vars(field) for field in _descriptions()]})
        return FINE
    for field in _descriptions():
        default = "not set" if field.default is None else _shown(field.default)
        line: list[Part] = [Painted(field.path, "accent"), f"  {field.type}, without: ", Painted(default, "dim")]
        terminal.say(*line)
        _explain(field, terminal)
    return FINE


def _descriptions() -> list[FieldDescription]:
    from experiments.config import RunConfig
    from experiments.config.tables import descriptions

    return list(descriptions(RunConfig))


def _explain(field: FieldDescription, terminal: Terminal) -> None:
    text = field.doc + (f" ({', '.join(choice or 'nothing' for choice in field.choices)})" if field.choices else "")
    for line in textwrap.wrap(text, max(40, (terminal.width or 100) - 4)):
        terminal.say(f"    {line}")


def _shown(value: object) -> str:
    from experiments.config.tables import plain

    text = str(plain(value))
    return text if text else "''"
