"""Tables of settings: frozen dataclasses whose fields say what they are, read from TOML or JSON with every key checked.

A field made with `described` carries its documentation, and where it helps its choices. From that come the messages
of `read_table`, the documentation that `bark-lab recipes` prints, and the form of the window.
"""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from bark_infinity.error_handling import BarkError

T = TypeVar("T")


@dataclass(frozen=True)
class FieldDescription:
    """One setting, for people.

    Attributes:
        path: Such as ``stop.hours``.
        type: As a word, such as ``text`` or ``whole number``.
        default: What it is when nobody says; None where ``optional``, too.
        doc: What it does.
        choices: All values that are allowed; empty when there is no list.
        optional: Whether it may be left unset (``None``).
    """

    path: str
    type: str
    default: Any
    doc: str
    choices: tuple[str, ...] = ()
    optional: bool = False


def described(default: Any, doc: str, choices: Sequence[str] = ()) -> Any:
    """A field with its default and what people should know of it."""
    metadata = {"doc": doc, "choices": tuple(choices)}
    if callable(default):
        return dataclasses.field(default_factory=default, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def descriptions(table: type, path: str = "") -> Iterator[FieldDescription]:
    """Every setting of a table and of the tables in it, in the order they are written down."""
    hints = typing.get_type_hints(table)
    for field in dataclasses.fields(table):
        kind, optional = _without_none(hints[field.name])
        where = f"{path}{field.name}"
        if dataclasses.is_dataclass(kind) and isinstance(kind, type):
            yield from descriptions(kind, f"{where}.")
            continue
        default = field.default if field.default is not dataclasses.MISSING else None
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        yield FieldDescription(
            where, _word(kind), default, field.metadata["doc"], field.metadata.get("choices", ()), optional
        )


def read_table(table: type[T], given: Mapping[str, Any], path: str = "", *, base: T | None = None) -> T:
    """Makes a table from plain data.

    Args:
        table: A dataclass of `described` fields.
        given: Keys and values, tables in it as mappings.
        path: Where it was found, for messages; ends with a dot unless empty.
        base: Where settings come from that are not given; the defaults without.

    Raises:
        BarkError: For a key that is none (with the nearest that is), a value of another type, or one that the table
            refuses.
    """
    if not isinstance(given, Mapping):
        raise BarkError(f"{path.rstrip('.') or 'a recipe'} is {given!r}, expected a table of settings")
    hints = typing.get_type_hints(table)
    names = [field.name for field in dataclasses.fields(table)]  # type: ignore[arg-type]
    values: dict[str, Any] = {} if base is None else {name: getattr(base, name) for name in names}
    for key, value in given.items():
        if key not in names:
            raise BarkError(f"there is no setting {path}{key}; {nearest_key(key, names, path)}")
        kind, optional = _without_none(hints[key])
        if value is None and optional:
            values[key] = None
        elif dataclasses.is_dataclass(kind) and isinstance(kind, type):
            values[key] = read_table(kind, value, f"{path}{key}.", base=values.get(key))
        else:
            values[key] = _converted(kind, value, f"{path}{key}")
            _require_choice(table, key, values[key], path)
    try:
        return table(**values)
    except BarkError as error:
        raise BarkError(f"{path.rstrip('.')}: {error}" if path else str(error)) from None


def plain(value: Any) -> Any:
    """A table as JSON has it: mappings, lists, and values."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, tuple):
        return [plain(one) for one in value]
    if isinstance(value, Mapping):
        return {key: plain(one) for key, one in value.items()}
    return value


def nearest_key(key: str, names: Sequence[str], path: str = "") -> str:
    """The nearest name in words, or all of them when none is near."""
    close = difflib.get_close_matches(key, names, n=1, cutoff=0.5)
    if close:
        return f"did you mean {path}{close[0]}?"
    return f"there are {', '.join(names)}"


def _require_choice(table: type, key: str, value: Any, path: str) -> None:
    field = next(one for one in dataclasses.fields(table) if one.name == key)
    choices = field.metadata.get("choices", ())
    for one in value if isinstance(value, tuple) else (value,):
        if choices and one not in choices:
            raise BarkError(f"{path}{key} is {one!r}; {nearest_key(str(one), choices)}")


def _without_none(kind: Any) -> tuple[Any, bool]:
    if isinstance(kind, types.UnionType) and type(None) in typing.get_args(kind):
        [inner] = [one for one in typing.get_args(kind) if one is not type(None)]
        return inner, True
    return kind, False


_WORDS: Mapping[Any, str] = types.MappingProxyType(
    {str: "text", int: "whole number", float: "number", bool: "true or false"}
)


def _word(kind: Any) -> str:
    if kind in _WORDS:
        return _WORDS[kind]
    arguments = typing.get_args(kind)
    if typing.get_origin(kind) is tuple:
        inner = arguments[0]
        return "list of tables" if dataclasses.is_dataclass(inner) else f"list of {_WORDS[inner]}s"
    return f"table of {_WORDS[arguments[1]]}s"


def _converted(kind: Any, value: Any, path: str) -> Any:
    if typing.get_origin(kind) is tuple:
        if not isinstance(value, (list, tuple)):
            raise BarkError(f"{path} is {value!r}, expected a {_word(kind)}")
        inner = typing.get_args(kind)[0]
        return tuple(_one(inner, one, f"{path}[{at}]") for at, one in enumerate(value))
    if typing.get_origin(kind) is not None and issubclass(typing.get_origin(kind), Mapping):
        if not isinstance(value, Mapping):
            raise BarkError(f"{path} is {value!r}, expected a {_word(kind)}")
        inner = typing.get_args(kind)[1]
        return types.MappingProxyType({str(name): _one(inner, one, f"{path}.{name}") for name, one in value.items()})
    return _one(kind, value, path)


def _one(kind: Any, value: Any, path: str) -> Any:
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return read_table(kind, value, f"{path}.")
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
        if kind is str and any("\ud800" <= char <= "\udfff" for char in value):
            raise BarkError(f"{path} is {value!r}, which holds half a character; give it as whole Unicode text")
        return value
    raise BarkError(f"{path} is {value!r}, expected a {_word(kind)}")
