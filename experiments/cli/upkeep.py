"""Verbs that look after things: a file (``gc``, ``migrate``), and what files from elsewhere may open (``trust``)."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from experiments.cli import chosen
from experiments.cli.exits import FINE
from experiments.cli.terminal import Terminal, counted, size

if TYPE_CHECKING:
    from experiments.cli.main import Verbs


def add(verbs: Verbs) -> None:
    """Describes the verbs to the parser."""
    parser = verbs.add("gc", gc, "let go of tokens and clips that nobody cares about; births always stay", json=True)
    chosen.add_file(parser, optional=True)
    parser.add_argument(
        "--ancestors",
        choices=("all", "primary", "none"),
        default="all",
        help="whose tokens stay besides those of births that are judged, tagged or among the best (default: all)",
    )
    parser.add_argument("--compact", action="store_true", help="give the space back to the disk, too")

    parser = verbs.add("migrate", migrate, "bring a file of an earlier version up to date, after a backup")
    chosen.add_file(parser)

    parser = verbs.add("trust", trust, "let lineage files from elsewhere open this model or recording on this machine")
    parser.add_argument(
        "name", metavar="NAME", help="as the refusal says it: a Hugging Face id, a folder, a file or a voice"
    )


def gc(args: argparse.Namespace, terminal: Terminal) -> int:
    """Collects, and says what was let go."""
    from experiments.lineage.collection import collect

    with chosen.write(args.file, "gc") as lineage:
        before = lineage.path.stat().st_size
        gone = collect(lineage, ancestors=args.ancestors, compact=args.compact)
        path = lineage.path
    after = path.stat().st_size
    if args.json:
        terminal.json({"file": str(path), **vars(gone), "bytes_before": before, "bytes_after": after})
        return FINE
    terminal.say(
        f"{path}: let go of the tokens of {counted(gone.voices, 'rendering')} ({size(gone.token_bytes)}), "
        f"{counted(gone.clips, 'clip')} and {counted(gone.files, 'file')} ({size(gone.file_bytes)})"
    )
    if args.compact:
        terminal.say(f"the file shrank from {size(before)} to {size(after)}")
    elif gone.voices:
        terminal.say("the space is used again by later births; --compact gives it back to the disk")
    return FINE


def migrate(args: argparse.Namespace, terminal: Terminal) -> int:
    """Opens a file for writing once, which migrates it."""
    from experiments.cli.chosen import is_lineage
    from experiments.lineage import Lineage

    if not is_lineage(args.file):
        chosen.view(args.file).close()  # says what is the matter
    backups = set(args.file.parent.glob(f"{args.file.stem}.v*.backup.db"))
    with Lineage.write(args.file, who="bark-lab migrate") as lineage:
        terminal.say(f"{lineage.path} is of the current schema, with {counted(len(lineage.runs()), 'run')}")
    for backup in sorted(set(args.file.parent.glob(f"{args.file.stem}.v*.backup.db")) - backups):
        terminal.say(f"a copy as it was before is in {backup}")
    return FINE


def trust(args: argparse.Namespace, terminal: Terminal) -> int:
    """Remembers that a person has named a model or a recording."""
    from experiments import trusted_engines

    trusted_engines.trust(args.name)
    terminal.say(f"lineage files may open {args.name} on this machine")
    return FINE
