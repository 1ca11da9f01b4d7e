"""Recipes: run configurations as TOML files, the ready ones beside this package and people's own."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bark_infinity.error_handling import BarkError
from experiments.config.run_config import RunConfig
from experiments.config.tables import descriptions, nearest_key, plain

READY = Path(__file__).resolve().parents[1] / "recipes"
_LARGEST_BYTES = 1 << 20


def recipe_names() -> list[str]:
    """Names of the ready recipes."""
    return sorted(path.stem for path in READY.glob("*.toml"))


def load_recipe(name: str | Path, overrides: Sequence[str] = ()) -> RunConfig:
    """Reads a recipe.

    Args:
        name: Of a ready recipe, or the path of a TOML file.
        overrides: ``table.key=value``, values as TOML writes them; a bare word is taken as text.

    Raises:
        BarkError: When it is not there, no TOML, or has a setting that is none or a value that is refused.
    """
    path = Path(name)
    if str(name) in recipe_names():
        path = READY / f"{name}.toml"
    elif not path.is_file():
        raise BarkError(
            f"there is no recipe {str(name)!r}; {nearest_key(str(name), recipe_names())}; or give a TOML file's path"
        )
    given = _parsed(_read(path), str(name))
    given.setdefault("name", path.stem)
    return configured(given, overrides, str(name))


def configured(given: Mapping[str, Any], overrides: Sequence[str], source: str) -> RunConfig:
    """A configuration from plain data and overrides; errors name the source."""
    merged = _deep(given)
    for override in overrides:
        _override(merged, override)
    try:
        return RunConfig.from_json(merged)
    except BarkError as error:
        raise BarkError(f"{source}: {error}") from None


def to_toml(config: RunConfig) -> str:
    """A recipe that `load_recipe` reads back as an equal configuration, every setting with its documentation."""
    lines: list[str] = []
    table = ""
    for field in descriptions(RunConfig):
        where, _, key = field.path.rpartition(".")
        if where != table:
            lines += ["", f"[{where}]"]
            table = where
        value: Any = config
        for part in field.path.split("."):
            value = getattr(value, part)
        lines.append(f"# {field.doc}")
        lines.append(f"# {key} =" if value is None else f"{key} = {_written(plain(value))}")
    return "\n".join(lines) + "\n"


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_quoted(key)} = {_written(one)}" for key, one in value.items()) + " }"
    return "[" + ", ".join(_written(one) for one in value) + "]"


_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r", "\b": "\\b", "\f": "\\f"}


def _quoted(text: str) -> str:
    def one(char: str) -> str:
        if char in _ESCAPES:
            return _ESCAPES[char]
        return f"\\u{ord(char):04x}" if ord(char) < 32 or ord(char) == 127 else char

    return '"' + "".join(map(one, text)) + '"'


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise BarkError(f"{path} has {path.stat().st_size} bytes, which is no recipe; recipes are small TOML files")
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise BarkError(f"{path} is not UTF-8 text; recipes are TOML files in UTF-8") from None
    except OSError as error:
        raise BarkError(f"{path} cannot be read: {error.strerror}") from None


def _parsed(text: str, source: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise BarkError(f"{source} is no TOML: {error}") from None


def _deep(given: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _deep(value) if isinstance(value, Mapping) else value for key, value in given.items()}


def _override(given: dict[str, Any], override: str) -> None:
    path, sign, text = override.partition("=")
    keys = [key.strip() for key in path.split(".")]
    if not sign or not all(keys):
        raise BarkError(f"{override!r} is no setting, expected table.key=value such as stop.evaluations=200")
    try:
        value = tomllib.loads(f"value = {text.strip()}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError):
        value = text.strip()  # a bare word; the table says whether text is allowed there
    for key in keys[:-1]:
        inner = given.setdefault(key, {})
        if not isinstance(inner, dict):
            raise BarkError(f"{override!r}: {key} is a value, not a table")
        given = inner
    given[keys[-1]] = value
