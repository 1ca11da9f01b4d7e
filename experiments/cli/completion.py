"""``completion``: a script that teaches a shell to complete `bark-lab`.

shtab writes it once, from the parser; pressing Tab then costs no start of Python, except where recipes are listed.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from experiments.cli.exits import FINE
from experiments.cli.terminal import Terminal

if TYPE_CHECKING:
    from experiments.cli.main import Verbs

_WHERE = {
    "bash": "~/.local/share/bash-completion/completions/bark-lab",
    "zsh": "a file _bark-lab in a folder of your $fpath",
    "fish": "~/.config/fish/completions/bark-lab.fish",
}
_FOLDERS = frozenset({"folder", "folders"})
_FILES = frozenset({"file", "other_file", "to", "db", "output", "recording"})


def add(verbs: Verbs) -> None:
    """Describes the verb to the parser."""
    parser = verbs.add("completion", completion, "print a script that completes bark-lab in your shell")
    parser.add_argument("shell", choices=tuple(_WHERE), help="; ".join(f"{name}: {to}" for name, to in _WHERE.items()))


def completion(args: argparse.Namespace, terminal: Terminal) -> int:
    """Prints the script."""
    import shtab

    from experiments.cli.main import build_parser

    parser = build_parser()
    for action in _actions(parser):
        completer = None
        if action.dest in _FOLDERS:
            completer = shtab.DIRECTORY
        elif action.dest in _FILES:
            completer = shtab.FILE
        elif action.dest == "recipe":
            completer = shtab.cmd("bark-lab recipes --names")
        if completer is not None:
            action.complete = completer  # type: ignore[attr-defined]  # shtab's way
    terminal.write(shtab.complete(parser, shell=args.shell) + "\n")
    return FINE


def _actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    found = []
    for action in parser._actions:
        found.append(action)
        if isinstance(action, argparse._SubParsersAction):
            for below in dict.fromkeys(action.choices.values()):
                found += _actions(below)
    return found
