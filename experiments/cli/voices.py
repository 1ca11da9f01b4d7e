"""``voices``: the voices that can be named here, and those that a lineage file holds."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.cli.exits import FINE, NOT_FINE
from experiments.cli.terminal import Painted, Part, Terminal

if TYPE_CHECKING:
    from bark_infinity.voices.catalogue import VoiceEntry
    from experiments.cli.main import Verbs


def add(verbs: Verbs) -> None:
    """Describes the verb to the parser."""
    parser = verbs.add("voices", voices, "the voices that recipes and --voice can name, and where they lie", json=True)
    parser.add_argument("search", metavar="TEXT", nargs="?", default="", help="only names that hold this")
    parser.add_argument("--language", metavar="CODE", help="only this language, such as en or ko")
    parser.add_argument("--folder", metavar="FOLDER", type=Path, action="append", help="look here (repeatable)")


def voices(args: argparse.Namespace, terminal: Terminal) -> int:
    """Lists; NOT_FINE when nothing fits."""
    from bark_infinity.voices.catalogue import VoiceCatalogue

    catalogue = VoiceCatalogue(args.folder)
    entries = [
        entry
        for entry in catalogue.list()
        if args.search.casefold() in entry.name.casefold() and args.language in (None, entry.language)
    ]
    if args.json:
        terminal.json({"voices": [_facts(entry) for entry in entries], "folders": catalogue.directories})
        return FINE if entries else NOT_FINE
    rows: list[list[Part]] = []
    for entry in entries:
        length = "" if entry.duration_s is None else f"{entry.duration_s:.1f} s"
        where: Part = str(entry.path) if entry.problem is None else Painted(f"unusable: {entry.problem}", "bad")
        digits = "" if entry.sha256 is None else entry.sha256[:12]
        rows.append([entry.name, entry.language or "", length, entry.family or "", digits, where])
    if rows:
        terminal.table(("voice", "language", "length", "made for", "sha256", "file"), rows, right=frozenset({2}))
        return FINE
    terminal.say("no voice fits; these folders were searched:")
    for folder in catalogue.directories:
        terminal.say(f"  {folder}", "" if folder.is_dir() else " (not there)")
    return NOT_FINE


def _facts(entry: VoiceEntry) -> dict[str, object]:
    return {
        "name": entry.name,
        "language": entry.language,
        "duration_s": entry.duration_s,
        "family": entry.family,
        "sha256": entry.sha256,
        "path": str(entry.path),
        "problem": entry.problem,
    }
