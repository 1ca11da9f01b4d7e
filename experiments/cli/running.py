"""Verbs that run evolution: ``evolve``, ``run``, ``resume``, ``branch``.

The first Ctrl-C (or SIGTERM, or a closed terminal) finishes what is being rendered and says how to resume; the second
ends at once. Either way everything that was recorded is in the file.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bark_infinity.error_handling import BarkError
from experiments.cli import chosen
from experiments.cli.exits import FINE, INTERRUPTED, NOT_FINE, RUN_FAILED, USAGE
from experiments.cli.recipes import add_settings
from experiments.cli.terminal import Painted, Terminal

if TYPE_CHECKING:
    from types import FrameType

    from experiments.cli.main import Verbs
    from experiments.config import RunConfig
    from experiments.events import Event
    from experiments.lineage import Lineage, Run
    from experiments.lineage.reading import LineageReader
    from experiments.runner import Runner

_RECIPE = "voices"
# `evolve` is for a first look: every candidate says the person's own words, and a few minutes are enough.
_FIRST_LOOK = (
    "trials.held_out=[]",
    'judge.gates=["tokens", "sound", "speaker"]',  # unclear words cost score instead of everything: micro-Bark mumbles
    "algorithm.population=8",
    "breeding.step_size=8",
    "breeding.control_share=0.25",
    "stop.evaluations=48",
)
_SIGNALS = {"SIGINT": "stopped by Ctrl-C", "SIGHUP": "stopped because its terminal was closed"}
_FIRST_VOICES = ("micro/adam", "micro/carl", "micro/greta", "micro/klara", "micro/nils", "micro/olga")
_GRACE_S = 2.0  # between asking the run to end at once and not asking any more

Begin = Callable[["Callable[[Event], None]"], "Runner"]


def add(verbs: Verbs) -> None:
    """Describes the verbs to the parser."""
    parser = verbs.add("evolve", evolve, "evolve voices for your own words; a first result takes minutes", json=True)
    parser.add_argument("texts", metavar="TEXT", nargs="+", help="what to say")
    parser.add_argument(
        "--voice",
        metavar="NAME",
        action="append",
        dest="voices",
        help="voice to begin with: a name of `bark-lab voices`, a .npz file, a pattern such as 'micro/*' (repeatable)",
    )
    parser.add_argument(
        "--recipe", metavar="RECIPE", help="judge and vary as this recipe does (without: voices, small)"
    )
    _add_beginning(parser)

    parser = verbs.add("run", run, "run a recipe", json=True)
    parser.add_argument("recipe", metavar="RECIPE", help="a ready one, see `bark-lab recipes`, or a TOML file")
    _add_beginning(parser)

    parser = verbs.add("resume", resume, "go on with a run, exactly where it was", json=True)
    chosen.add_file(parser, optional=True)
    chosen.add_run(parser)
    _add_conduct(parser)

    parser = verbs.add("branch", branch, "begin another run in the same file, from one of a run's births", json=True)
    chosen.add_file(parser)
    parser.add_argument("birth", metavar="BIRTH", type=int, help="the individual to begin with")
    chosen.add_run(parser)
    parser.add_argument("--name", metavar="NAME", default="", help="what the new run is called")
    parser.add_argument("--with-population", action="store_true", help="begin with all who lived then, too")
    _add_conduct(parser)


def _add_beginning(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--db", metavar="FILE", type=Path, help="lineage file (without: a new one in this folder)")
    parser.add_argument("--name", metavar="NAME", help="what the run is called")
    parser.add_argument("--seed", metavar="N", type=int, help="of everything random in the run")
    _add_conduct(parser)


def _add_conduct(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--births", metavar="N", type=int, help="stop after so many births in all")
    parser.add_argument("--hours", metavar="H", type=float, help="stop after so many hours of work")
    parser.add_argument("--workers", metavar="N", type=int, help="processes that render and judge (0: this one)")
    add_settings(parser)
    parser.add_argument("--no-report", action="store_true", help="do not write the HTML report at the end")
    parser.add_argument("--quiet", action="store_true", help="no progress, only the result")


# -- the verbs ------------------------------------------------------------------------------------------------------


def evolve(args: argparse.Namespace, terminal: Terminal) -> int:
    """Evolves for a person's own words."""
    from bark_infinity.audio import safe_stem

    words = [f"founders.prompts={_toml(args.texts)}", "trials.texts=[]"]  # a recipe's would be said instead
    if args.voices:  # files as they are named here, wherever the recipe lies
        files = [
            str(Path(one).resolve()) if one.endswith(".npz") and Path(one).is_file() else one for one in args.voices
        ]
        words.append(f"founders.voices={_toml(files)}")
    elif args.recipe is None:
        words.append(f"founders.voices={_toml(list(_FIRST_VOICES))}")
    if args.recipe is None:
        words += _FIRST_LOOK
    stem = safe_stem(args.texts[0], max_bytes=40)
    return _begin(args, terminal, args.recipe or _RECIPE, [*words, *_name(args)], stem)


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Runs a recipe."""
    from bark_infinity.audio import safe_stem

    return _begin(args, terminal, args.recipe, _name(args), safe_stem(Path(args.recipe).stem))


def resume(args: argparse.Namespace, terminal: Terminal) -> int:
    """Goes on with a run."""
    from experiments.config.recipes import configured
    from experiments.replay.settings import recorded_settings, run_config
    from experiments.runner import Runner

    path = chosen.chosen_file(args.file)
    with chosen.view(path) as lineage:
        one = chosen.chosen_run(lineage, args.run)
        before = run_config(one)
        best = _best_so_far(lineage, one)
    config = configured(recorded_settings(one), _overrides(args), f"the settings of run {one.name!r}")
    if config.identity() != before.identity():
        raise BarkError(
            f"only stop and execution settings of run {one.name!r} may change when it goes on, the others decide "
            f"what it is; begin another run with them: bark-lab branch {path} BIRTH --set ..."
        )
    conduct = config.conduct() if config != before else None
    _say_what_speaks(config, one, args)
    return _go(
        lambda on_event: Runner.resume(path, one.name, on_event, conduct=conduct), args, terminal, path, best=best
    )


def branch(args: argparse.Namespace, terminal: Terminal) -> int:
    """Begins a run from a birth of another."""
    from experiments import trusted_engines
    from experiments.replay.branching import branch as branched
    from experiments.runner import Runner

    path = args.file
    with chosen.view(path) as lineage:
        one = chosen.chosen_run(lineage, args.run)
        start = branched(
            lineage, one.run_id, args.birth, args.name, _overrides(args), with_population=args.with_population
        )
    typed = {setting.partition("=")[2].strip().strip("\"'") for setting in args.settings}
    compares = any(setting.partition("=")[0].strip() == "judge.objectives" for setting in args.settings)
    trusted_engines.named(
        one
        for one in trusted_engines.opened_by(start.config, start.base)
        if one.name in typed or (compares and isinstance(one, trusted_engines.Reference))
    )
    _say_what_speaks(start.config, one, args)
    return _go(
        lambda on_event: Runner.begin(
            path,
            start.config,
            on_event,
            base=start.base,
            founders=start.founders,
            branched_from=start.branched_from,
        ),
        args,
        terminal,
        path,
    )


# -- settings -------------------------------------------------------------------------------------------------------


def _begin(args: argparse.Namespace, terminal: Terminal, recipe: str, settings: Sequence[str], stem: str) -> int:
    from bark_infinity.audio import unique_path
    from experiments import trusted_engines
    from experiments.config import load_recipe
    from experiments.runner import Runner

    config = load_recipe(recipe, [*settings, *_overrides(args)])
    base = Path(recipe).resolve().parent if Path(recipe).suffix == ".toml" and Path(recipe).is_file() else Path()
    trusted_engines.named(trusted_engines.opened_by(config, base))
    path = args.db or unique_path(".", stem, ".db")
    if not path.parent.is_dir():
        raise BarkError(f"there is no folder {path.parent} for the lineage file; make it, or choose another")
    return _go(lambda on_event: Runner.begin(path, config, on_event, base=base), args, terminal, path)


def _say_what_speaks(config: RunConfig, one: Run, args: argparse.Namespace) -> None:
    """Names the checkpoint that a file names.

    Raises:
        BarkError: When nobody but the file has named something that the run opens.
    """
    from experiments.trusted_engines import require_run_trusted

    require_run_trusted(config, Path(str(one.execution.get("base", "."))), f"run {one.name!r}")
    if not args.quiet:
        Terminal.of(sys.stderr).say(f"run {one.name!r} speaks with the checkpoint {config.model.checkpoint}")


def _overrides(args: argparse.Namespace) -> list[str]:
    """What the options say, as settings; --set comes last, so it wins."""
    short = {"stop.evaluations": args.births, "stop.hours": args.hours, "execution.workers": args.workers}
    short["seed"] = getattr(args, "seed", None)
    return [*(f"{path}={value}" for path, value in short.items() if value is not None), *args.settings]


def _name(args: argparse.Namespace) -> list[str]:
    return [] if args.name is None else [f"name={_toml(args.name)}"]


def _toml(value: str | list[str]) -> str:
    """Text or a list of texts as TOML writes it: as JSON does, but for one character, and none is a surrogate pair.

    Raises:
        BarkError: For bytes of a command line that were no text.
    """
    written = json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if not written.isascii() and any("\ud800" <= char <= "\udfff" for char in written):
        raise BarkError(f"{value!r} is no text in this terminal's encoding; type it in UTF-8")
    return written


def _best_so_far(lineage: LineageReader, one: Run) -> tuple[float, int] | None:
    best = chosen.best_evolved(lineage, one.run_id)
    return (best[1], best[0]) if best else None


# -- a sitting ------------------------------------------------------------------------------------------------------


def _go(
    begin: Begin, args: argparse.Namespace, terminal: Terminal, path: Path, *, best: tuple[float, int] | None = None
) -> int:
    """Runs to the end, and tells what came of it."""
    from experiments.cli.progress import RunProgress
    from experiments.lineage import Lineage

    was_there = path.exists()
    progress = RunProgress(Terminal.of(sys.stderr), path, quiet=args.quiet, best=best)
    runner = begin(progress)
    with _stopped_by_signals(runner):
        state = runner.run()
    progress.close()
    complain = Terminal.of(sys.stderr)
    if not runner.run_name:  # it never began
        if not was_there:
            _remove_new(path)
        complain.say(Painted("bark-lab: ", "bad"), runner.reason)
        return USAGE
    with Lineage.view(path) as lineage:
        any_ok = _tell(lineage, runner.run_name, args, terminal)
    if state == "failed":
        complain.say(Painted("the run failed: ", "bad"), runner.reason)
        return RUN_FAILED
    if state == "stopped":
        return INTERRUPTED
    return FINE if any_ok else NOT_FINE


def _tell(lineage: Lineage, name: str, args: argparse.Namespace, terminal: Terminal) -> bool:
    """Prints what came of a run; returns whether any birth was ok."""
    from experiments.cli import summary

    one = lineage.run(name)
    results = summary.write_results(lineage, one, report=not args.no_report)
    if args.json:
        terminal.json(summary.facts(lineage, one, results))
        return bool(results["findings"].counts.ok)
    why = f" ({one.reason})" if one.reason and one.state != "failed" else ""
    terminal.say(Painted(one.name, "bold"), f" is {one.state}{why}")
    summary.tell(lineage, one, results, terminal)
    return bool(results["findings"].counts.ok)


def _remove_new(path: Path) -> None:
    """Takes away the empty file of a run that could not begin."""
    from experiments.lineage import Lineage, LineageError
    from experiments.lineage.writer_lock import current_writer

    try:
        with Lineage.view(path) as lineage:
            if lineage.runs() or current_writer(path) is not None:
                return
    except LineageError:
        return
    for suffix in ("", "-wal", "-shm", "-writer"):
        path.with_name(f"{path.name}{suffix}").unlink(missing_ok=True)


def _end() -> None:
    with contextlib.suppress(OSError):
        os.write(2, b"\n")  # a progress line may stand there
    os._exit(INTERRUPTED)


@contextlib.contextmanager
def _stopped_by_signals(runner: Runner) -> Iterator[None]:
    """While it lasts, signals stop the run. Nothing is printed here: a signal may come in the middle of printing."""
    from experiments.events import StopRun

    count = 0

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal count
        count += 1
        if count == 1:
            name = signal.Signals(number).name
            runner.send(StopRun(_SIGNALS.get(name, f"stopped by {name}")))
            return
        runner.abandon()
        if count > 2:
            _end()
        last = threading.Timer(_GRACE_S, _end)
        last.daemon = True
        last.start()

    numbers = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup keeps it ignored
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
