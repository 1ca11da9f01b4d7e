"""Which lineage file, which run in it and which births a command is about."""

from __future__ import annotations

import argparse
import re
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bark_infinity.error_handling import BarkError

if TYPE_CHECKING:
    from experiments.lineage import Card, Lineage, Run
    from experiments.lineage.reading import LineageReader

_APPLICATION_ID_AT = 68  # in SQLite's header (https://www.sqlite.org/fileformat2.html#application_id)
_MOST_BIRTHS = 1_000_000


def add_file(parser: argparse.ArgumentParser, *, optional: bool = False) -> None:
    """The argument FILE; where it may be left out, the newest lineage in the current folder is meant."""
    more = " (without: the newest lineage file in the current folder)" if optional else ""
    parser.add_argument("file", metavar="FILE", type=Path, nargs="?" if optional else None, help=f"lineage file{more}")


def add_run(parser: argparse.ArgumentParser) -> None:
    """The option --run."""
    parser.add_argument("--run", metavar="NAME", help="which run of the file (without: the latest)")


def add_births(parser: argparse.ArgumentParser, what: str, default: str) -> None:
    """The options that choose births."""
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--births", metavar="1,5-9", help=f"{what}: these (without: {default})")
    choice.add_argument("--best", metavar="N", type=int, help=f"{what}: so many of the best")
    choice.add_argument("--tagged", metavar="NAME", help=f"{what}: all with this tag")


def chosen_file(given: Path | None) -> Path:
    """The file that is meant.

    Raises:
        BarkError: When none was named and none is in the current folder.
    """
    if given is not None:
        return given
    found = [path for path in Path().glob("*.db") if is_lineage(path) and ".backup" not in path.name]
    if not found:
        raise BarkError('there is no lineage file in this folder; name one, or make one with: bark-lab evolve "text"')
    return max(found, key=lambda path: path.stat().st_mtime)


def is_lineage(path: Path) -> bool:
    """Whether a file calls itself a lineage, by its first bytes."""
    from experiments.lineage.schema import APPLICATION_ID

    try:
        with path.open("rb") as file:
            header = file.read(100)
    except OSError:
        return False
    if len(header) < 100 or not header.startswith(b"SQLite format 3\0"):
        return False
    return bool(struct.unpack_from(">I", header, _APPLICATION_ID_AT) == (APPLICATION_ID,))


def view(given: Path | None) -> Lineage:
    """Opens the file for reading; another process may be writing it.

    Raises:
        BarkError: When it cannot be, with what to do.
    """
    from experiments.lineage import Lineage, LineageError

    path = chosen_file(given)
    try:
        return Lineage.view(path)
    except LineageError as error:
        if error.trouble == "older":
            raise BarkError(f"{error}: bark-lab migrate {path}") from error
        raise


def write(given: Path | None, verb: str) -> Lineage:
    """Opens a file that is there already for writing.

    Raises:
        BarkError: When it is not there, or cannot be written.
    """
    from experiments.lineage import Lineage

    path = chosen_file(given)
    if not path.is_file() or not path.stat().st_size:
        view(path).close()  # says what is the matter
    return Lineage.write(path, who=f"bark-lab {verb}")


def chosen_run(lineage: LineageReader, name: str | None) -> Run:
    """The run of that name; the latest where none is given.

    Raises:
        BarkError: When there is none.
    """
    if name is not None:
        return lineage.run(name)
    runs = lineage.runs()
    if not runs:
        raise BarkError(f"{lineage.path} holds no run yet; start one with: bark-lab run demo --db {lineage.path}")
    return runs[-1]


def chosen_births(args: argparse.Namespace, lineage: LineageReader, run_id: int, default: int) -> list[int]:
    """The births that the options of `add_births` name; by default so many of the best.

    Raises:
        BarkError: When a number is none, or there is no such birth.
    """
    from experiments.lineage import browse, people

    if args.births is not None:
        births = numbers(args.births)
        last = lineage.last_birth(run_id)
        if births[-1] > last:
            raise BarkError(f"there is no birth {births[-1]}; the run has {last}")
        return births
    if args.tagged is not None:
        tagged = people.tagged(lineage, run_id, args.tagged)
        if not tagged:
            raise BarkError(f"no birth has the tag {args.tagged!r}; the window and `bark-lab judge` give tags")
        return tagged
    if args.best is not None and args.best < 1:
        raise BarkError(f"--best is {args.best}, expected at least 1")
    best = [birth for birth, _ in browse.best(lineage, run_id, count=args.best or default)]
    if not best:
        raise BarkError("no birth of this run has a total yet; name births with --births")
    return best


def best_evolved(lineage: LineageReader, run_id: int) -> tuple[int, float] | None:
    """The birth with the highest total, and that; the control arm, which is there to be beaten, does not count."""
    from experiments.lineage import browse
    from experiments.lineage.tallies import LEADERS

    best = browse.best(lineage, run_id, count=LEADERS)
    by_chance = {one.birth for one in browse.cards(lineage, run_id, [birth for birth, _ in best]) if is_control(one)}
    return next((one for one in best if one[0] not in by_chance), None)


def is_control(card: Card) -> bool:
    """Whether a birth is of the control arm."""
    return card.operator == "control"


def best_birth(lineage: LineageReader, run: Run) -> int:
    """The best evolved birth; the latest where none has a total.

    Raises:
        BarkError: When there is no birth yet.
    """
    best = best_evolved(lineage, run.run_id)
    birth = best[0] if best else lineage.last_birth(run.run_id)
    if not birth:
        raise BarkError(f"run {run.name!r} has no birth yet; wait until it asks for its first")
    return birth


def numbers(text: str) -> list[int]:
    """Birth numbers of a text like ``1,5-9``, in order, each once.

    Raises:
        BarkError: When it is something else.
    """
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not (first.isascii() and first.isdecimal() and (not dash or (last.isascii() and last.isdecimal()))):
            raise BarkError(f"births are {text!r}, expected numbers and ranges such as 1,5-9")
        low, high = int(first), int(last) if dash else int(first)
        if not 1 <= low <= high or high - low >= _MOST_BIRTHS:
            raise BarkError(f"births are {text!r}; {part.strip()} is no range of births, which count from 1")
        found.update(range(low, high + 1))
    return sorted(found)


def beside(path: Path, run: Run) -> str:
    """What files about a run are called, without suffix: after the lineage file and the run."""
    from bark_infinity.audio import safe_stem

    stem = safe_stem(run.name)
    return stem if stem == path.stem else f"{path.stem}-{stem}"


def kinds_of(reasons: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Reasons and how often, those that differ only in what they quote as one; the most frequent first."""
    counts: dict[str, int] = {}
    for reason, count in reasons:
        kind = re.sub(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"", "…", reason)
        counts[kind] = counts.get(kind, 0) + count
    return dict(sorted(counts.items(), key=lambda item: -item[1]))


def command(verb: str, path: Path, run: Run | None = None, *more: str, runs: Sequence[Run] = ()) -> str:
    """A command that a person can copy; the run is named where the file has several."""
    import shlex

    named = ["--run", run.name] if run is not None and len(runs) > 1 else []
    return shlex.join(["bark-lab", verb, str(path), *named, *more])
