"""`bark-lab`: parser, errors in one plain line, exit codes.

Nothing heavy is imported before a verb runs, so that ``--help`` answers at once. Errors of the program's own kind are
one line that says what to do; anything else is a bug, and also one line unless ``--debug`` asks for the traceback.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from types import FrameType

from bark_infinity import prepared_shapes
from bark_infinity.error_handling import BarkError
from experiments.cli import (
    cloning,
    completion,
    doctor,
    exchange,
    judging,
    looking,
    recipes,
    replaying,
    running,
    trees,
    upkeep,
    voices,
)
from experiments.cli.exits import BUG, EXPLAINED, FINE, INTERRUPTED, USAGE
from experiments.cli.terminal import Painted, Terminal

logger = logging.getLogger(__name__)

Verb = Callable[[argparse.Namespace, Terminal], int]


class _Log(logging.Handler):
    """Log messages as plain lines on standard error; where an error came from, only when that was asked for."""

    def __init__(self, debug: bool) -> None:
        super().__init__()
        self._debug = debug

    def emit(self, record: logging.LogRecord) -> None:
        """Prints one message."""
        try:
            terminal = Terminal.of(sys.stderr)
            if terminal.is_terminal:
                terminal.out.write("\r\x1b[K")  # a progress line may stand there
            lines = [record.getMessage()]
            if self._debug:
                lines = self.format(record).splitlines()
            terminal.say(Painted(f"{record.levelname.lower()}: ", "dim"), lines[0])
            for line in lines[1:]:
                terminal.say(line)
        except Exception:
            self.handleError(record)


class Verbs:
    """The parser's verbs, each with the options that all have."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._parsers = parser.add_subparsers(title="verbs", metavar="VERB", dest="verb")

    def add(self, name: str, verb: Verb, what: str, *, json: bool = False) -> argparse.ArgumentParser:
        """A verb.

        Args:
            name: As it is typed.
            verb: What it runs.
            what: One line of help.
            json: Whether it can answer programs.
        """
        parser = self._parsers.add_parser(
            name, help=what, description=f"{what[0].upper()}{what[1:]}.", epilog=EXPLAINED, allow_abbrev=False
        )
        parser.set_defaults(verb_function=verb)
        if json:
            parser.add_argument("--json", action="store_true", help="print one JSON object for programs")
        parser.add_argument("--debug", action="store_true", help="log everything, and show where an error came from")
        return parser


class _Version(argparse.Action):
    """Prints the installed version; looked up only when asked for, because that takes its time."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str | None = None) -> None:
        super().__init__(option_strings, dest, nargs=0, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *rest: object) -> None:
        """Prints it and ends."""
        from importlib.metadata import PackageNotFoundError, version

        try:
            number = version("victor-bark-fusion")
        except PackageNotFoundError:
            number = "of a checkout"
        parser.exit(message=f"bark-lab {number}\n")


def build_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = argparse.ArgumentParser(
        prog="bark-lab",
        description="An evolutionary lab for Bark: evolve voices and prompts, run overnight, replay every ancestor.",
        epilog=f'Begin with: bark-lab evolve "Good morning." {EXPLAINED}',
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version, help="show the version and exit")
    verbs = Verbs(parser)
    groups = (
        running,
        looking,
        trees,
        judging,
        replaying,
        exchange,
        voices,
        cloning,
        recipes,
        upkeep,
        doctor,
        completion,
    )
    for group in groups:
        group.add(verbs)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
        argv: Without the program's name; None takes the process's own.

    Returns:
        The exit code; see `exits`.
    """
    if sys.stdout is None or sys.stderr is None:  # closed by whoever started the program
        nowhere = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  # for the life of the process
        sys.stdout, sys.stderr = sys.stdout or nowhere, sys.stderr or nowhere
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a note in a Latin-1 terminal is no reason to stop
    parser = build_parser()
    try:
        args = parser.parse_args(argv)
    except SystemExit as stop:  # argparse's way of saying that help was shown, or that usage was wrong
        return int(stop.code or 0)
    if args.verb is None:
        parser.print_help(sys.stderr)
        return USAGE
    prepared_shapes.keep_few()
    log = logging.getLogger()
    before = log.level, log.handlers
    log.setLevel(logging.DEBUG if args.debug else logging.WARNING)
    log.handlers = [_Log(args.debug)]
    try:
        return _answered(args)
    finally:
        log.setLevel(before[0])
        log.handlers = before[1]


def _answered(args: argparse.Namespace) -> int:
    complain = Terminal.of(sys.stderr)
    before = signal.signal(signal.SIGTERM, _interrupt) if _in_main_thread() else None
    try:
        code: int = args.verb_function(args, Terminal.of(sys.stdout))
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        complain.say("interrupted")
        return INTERRUPTED
    except BrokenPipeError:  # whoever read the output, such as `head`, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FINE
    except BarkError as error:
        if args.debug:
            logger.exception("the error came from here")
        complain.say(Painted("bark-lab: ", "bad"), str(error))
        return USAGE
    except Exception as error:
        if args.debug:
            logger.exception("the error came from here")
        complain.say(
            Painted("bark-lab: ", "bad"),
            f"a bug in this program ({type(error).__name__}: {error}); what was recorded is safe; please report "
            "it with what the same command prints with --debug",
        )
        return BUG
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _in_main_thread() -> bool:
    import threading

    return threading.current_thread() is threading.main_thread()
