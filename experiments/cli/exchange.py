"""Verbs that bring runs into other formats, and voices in: ``export``, ``import``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bark_infinity.error_handling import BarkError
from experiments.cli import chosen
from experiments.cli.exits import FINE, NOT_FINE
from experiments.cli.hearing import Ears
from experiments.cli.terminal import Painted, Terminal, counted

if TYPE_CHECKING:
    from experiments.cli.main import Verbs
    from experiments.lineage import Lineage, Run

_SUFFIXES = {"csv": ".csv", "newick": ".nwk", "json": ".json"}
_WINNERS = 8  # births that are exported when none are named


def add(verbs: Verbs) -> None:
    """Describes the verbs to the parser."""
    parser = verbs.add("export", export, "write a run in other programs' formats, or its voices and clips", json=False)
    chosen.add_file(parser)
    parser.add_argument(
        "format",
        metavar="FORMAT",
        choices=(*_SUFFIXES, "voices", "clips"),
        help="csv (ALife phylogeny standard), newick, json, voices (.npz that any Bark reads), clips (.wav)",
    )
    parser.add_argument(
        "to",
        metavar="TO",
        type=Path,
        nargs="?",
        help="file, or folder for voices and clips; - is standard output (without: named after file and run)",
    )
    chosen.add_run(parser)
    chosen.add_births(parser, "births whose voices or clips are written", f"the {_WINNERS} best")
    parser.add_argument("--overwrite", action="store_true", help="replace what is there")

    parser = verbs.add("import", import_, "store the voices of folders in a lineage file", json=True)
    chosen.add_file(parser)
    parser.add_argument("folders", metavar="FOLDER", type=Path, nargs="+", help="folder that holds .npz voices")


def export(args: argparse.Namespace, terminal: Terminal) -> int:
    """Writes one format."""
    with chosen.view(args.file) as lineage:
        run = chosen.chosen_run(lineage, args.run)
        if args.format in _SUFFIXES:
            return _export_run(args, lineage, run, terminal)
        folder = args.to or _named(lineage, run, f"-{args.format}")
        if folder.exists() and not folder.is_dir():
            raise BarkError(f"{folder} is a file, expected a folder for {args.format}; choose another name")
        births = chosen.chosen_births(args, lineage, run.run_id, _WINNERS)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BarkError(f"the folder {folder} cannot be made: {error.strerror}; choose another") from error
        ears = Ears(lineage, run)
        missing = 0
        for birth in births:
            try:
                if args.format == "voices":
                    path = _export_voice(lineage, run, birth, folder, args.overwrite)
                else:
                    path = ears.write(birth, folder / f"{_stem(run)}_{birth}.wav", overwrite=args.overwrite)
                terminal.say(str(path))
            except BarkError as error:
                missing += 1
                Terminal.of(sys.stderr).say(Painted(f"birth {birth}: ", "bad"), str(error))
    return NOT_FINE if missing else FINE


def _export_run(args: argparse.Namespace, lineage: Lineage, run: Run, terminal: Terminal) -> int:
    from experiments.lineage import exports

    if str(args.to) == "-":
        if args.format == "csv":
            exports.alife_csv(lineage, run.run_id, terminal)
        elif args.format == "newick":
            for tree in exports.newick(lineage, run.run_id):
                terminal.write(f"{tree}\n")
        else:
            exports.run_json(lineage, run.run_id, terminal)
        return FINE
    path = args.to or _named(lineage, run, _SUFFIXES[args.format])
    if path.suffix != _SUFFIXES[args.format]:
        raise BarkError(f"{path}: a {args.format} export ends with {_SUFFIXES[args.format]}; name it so")
    if path.exists() and not args.overwrite:
        raise BarkError(f"{path} is there already; choose another name, or --overwrite")
    exports.export_file(lineage, run.run_id, path)
    terminal.say(str(path))
    return FINE


def _export_voice(lineage: Lineage, run: Run, birth: int, folder: Path, overwrite: bool) -> Path:
    from experiments.lineage import exports

    path = folder / f"{_stem(run)}_{birth}.npz"
    if path.exists() and not overwrite:
        raise BarkError(f"{path} is there already; choose another folder, or --overwrite")
    [written] = exports.export_voices(lineage, run.run_id, [birth], folder)
    return written


def import_(args: argparse.Namespace, terminal: Terminal) -> int:
    """Stores voices; what cannot be read is told."""
    from experiments.lineage import Lineage
    from experiments.lineage.imports import import_voices

    for folder in args.folders:
        if not folder.is_dir():  # before a file is made
            raise BarkError(f"{folder} is no folder; name one that holds .npz voices")
    told = []
    with Lineage.write(args.file, who="bark-lab import") as lineage:
        for folder in args.folders:
            imported = import_voices(lineage, folder)
            told.append((folder, imported))
    if args.json:
        terminal.json(
            {
                "file": str(args.file),
                "folders": [
                    {
                        "folder": str(folder),
                        "voices": {name: voice.sha256 for name, voice in imported.voices.items()},
                        "duplicates": imported.duplicates,
                        "problems": imported.problems,
                    }
                    for folder, imported in told
                ],
            }
        )
        return NOT_FINE if any(imported.problems for _, imported in told) else FINE
    for folder, imported in told:
        terminal.say(f"{folder}: {counted(len(imported.voices), 'voice')} stored in {args.file}")
        for name, voice in imported.voices.items():
            terminal.say(f"  {voice.sha256[:12]}  {voice.duration_s:5.1f} s  {name}", cut=True)
        for name in imported.duplicates:
            terminal.say(f"  {name} says the same as an earlier one")
        for name, problem in imported.problems.items():
            terminal.say(Painted(f"  {name} was left out: ", "warn"), problem)
    return NOT_FINE if any(imported.problems for _, imported in told) else FINE


def _named(lineage: Lineage, run: Run, ending: str) -> Path:
    return Path(f"{chosen.beside(lineage.path, run)}{ending}")


def _stem(run: Run) -> str:
    from bark_infinity.audio import safe_stem

    return safe_stem(run.name)
