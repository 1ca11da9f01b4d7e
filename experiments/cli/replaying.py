"""Verbs that look back at a run: ``replay``, ``report``, ``diff``."""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bark_infinity.error_handling import BarkError
from experiments.cli import chosen
from experiments.cli.exits import FINE, NOT_FINE
from experiments.cli.hearing import Ears
from experiments.cli.terminal import Painted, Terminal, counted

if TYPE_CHECKING:
    from experiments.cli.main import Verbs
    from experiments.events import Event
    from experiments.lineage import Lineage, Run

_LONGEST_SLEEP_S = 0.05
_LOOK_S = 0.5  # between two looks for what another process has recorded
_PIECE = 500.0  # births read at a time when they are printed as fast as it goes
_SAME: dict[bool | None, Painted] = {
    True: Painted("same tokens", "good"),
    False: Painted("differs", "bad"),
    None: Painted("nothing to compare", "dim"),
}


def add(verbs: Verbs) -> None:
    """Describes the verbs to the parser."""
    parser = verbs.add(
        "replay", replay, "play a run back as it happened, or render births again and compare", json=True
    )
    chosen.add_file(parser)
    chosen.add_run(parser)
    pace = parser.add_mutually_exclusive_group()
    pace.add_argument("--speed", metavar="N", type=float, help="births per second (without: as fast as it goes)")
    pace.add_argument("--times", metavar="N", type=float, help="so many times as fast as it happened; pauses are cut")
    parser.add_argument("--from-birth", metavar="N", type=int, help="begin with this birth")
    parser.add_argument("--at-birth", metavar="N", type=int, help="stop when this birth was told")
    parser.add_argument("--follow", action="store_true", help="go on with what another process records, until Ctrl-C")
    parser.add_argument(
        "--regenerate",
        metavar="1,5-9",
        nargs="?",
        const="best",
        help="render these births (without numbers: the 8 best) again and compare their tokens",
    )

    parser = verbs.add("report", report, "write a run's report: one HTML file with curves, winners and their clips")
    chosen.add_file(parser, optional=True)
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, help="where (without: named after file and run)")
    chosen.add_run(parser)
    parser.add_argument("--winners", metavar="N", type=int, default=8, help="how many of the best to show (default: 8)")

    parser = verbs.add("diff", diff, "compare two runs of one file: settings, where they part, what came of them")
    chosen.add_file(parser)
    parser.add_argument("one", metavar="RUN", help="name of a run")
    parser.add_argument("other", metavar="OTHER", help="name of another")


# -- replay -----------------------------------------------------------------------------------------------------------


def replay(args: argparse.Namespace, terminal: Terminal) -> int:
    """Plays, or renders again; NOT_FINE when a birth is not what was recorded."""
    for flag, speed in (("--speed", args.speed), ("--times", args.times)):
        if speed is not None and not 0 < speed < float("inf"):
            raise BarkError(f"{flag} is {speed}, expected a number above 0")
    with chosen.view(args.file) as lineage:
        run = chosen.chosen_run(lineage, args.run)
        if args.regenerate is not None:
            return _regenerate(args, lineage, run, terminal)
        return _play(args, lineage, run, terminal)


def _play(args: argparse.Namespace, lineage: Lineage, run: Run, terminal: Terminal) -> int:
    from experiments.events import Told

    teller = _Teller(terminal, as_json=args.json)
    for event in _events(args, lineage, run, terminal):
        teller.tell(event)
        if isinstance(event, Told) and event.candidate.birth == args.at_birth:
            return FINE
    if args.at_birth is not None:
        raise _never_told(lineage, run, args.at_birth)
    return FINE


def _never_told(lineage: Lineage, run: Run, birth: int) -> BarkError:
    return BarkError(f"run {run.name!r} has no result of birth {birth}; it has {lineage.last_birth(run.run_id)} births")


def _events(args: argparse.Namespace, lineage: Lineage, run: Run, terminal: Terminal) -> Iterator[Event]:
    """A run's events when they are due, until it ends, or for ever when it is followed."""
    from experiments.events import Begun, Told
    from experiments.replay.player import Player, Recording

    hurry = args.speed is None and args.times is None
    player = Player(
        Recording(lineage, run.run_id),
        speed=args.times or args.speed or _PIECE,
        by="births" if args.times is None else "time",
        clock=itertools.count().__next__ if hurry else time.monotonic,
    )
    if args.from_birth is not None:
        before = True
        for event in player.seek(args.from_birth).events:
            before = before and not (isinstance(event, Told) and event.candidate.birth == args.from_birth)
            if isinstance(event, Begun) or not before:
                yield event
        if before:
            raise _never_told(lineage, run, args.from_birth)
    player.play()
    while True:
        yield from player.poll()
        if player.at_end and not args.follow:
            return
        if not hurry or player.at_end:
            terminal.out.flush()
            time.sleep(_LOOK_S if player.at_end else _LONGEST_SLEEP_S)


class _Teller:
    """Prints events, one a line."""

    def __init__(self, terminal: Terminal, *, as_json: bool) -> None:
        self._terminal, self._as_json = terminal, as_json

    def tell(self, event: Event) -> None:
        from experiments.events import Audited, Begun, Committed, Intervened, Judged, Rescored, StateChanged, Told

        say = self._terminal.say
        if self._as_json:
            facts = _facts(event)
            if facts is not None:
                self._terminal.json_line(facts)
            return
        match event:
            case Begun():
                say(Painted(event.name, "bold"), f", seed {event.seed}, for {', '.join(event.objectives) or 'nothing'}")
            case Told(candidate, score, total):
                parents = " ".join(f"#{parent.birth}" for parent in candidate.parents)
                what = f"{total:.4f}" if total is not None else score.status
                line = f"#{candidate.birth} {candidate.operator}" + (f" of {parents}" if parents else "")
                why = f"  {score.reason}" if score.reason else ""
                say(f"  {line}  ", Painted(what, "good" if score.status == "ok" else "warn"), why, cut=True)
            case Committed(became, population, best, generation_best):
                step = max(became, default=0) // max(len(became), 1)  # steps are of equal size
                told = "" if generation_best is None else f", best of this step {generation_best:.4f}"
                top = "nobody is ok yet" if best is None else f"best #{best}"
                say(Painted(f"step {step}", "accent"), f": {len(population)} live, {top}{told}")
            case Audited(birth, score, total):
                result = score.reason or score.status if total is None else f"{total:.4f}"
                say(f"  #{birth} on texts that selection never heard: {result}")
            case Judged():
                between = "over" if event.kind == "better" else "and"
                against = "" if event.other is None else f" {between} #{event.other}"
                value = "" if event.value is None else f" {event.value:g}"
                kind = event.kind.replace("_", " ")
                say(
                    f"  judged {kind}: #{event.one}{against}{value}",
                    " (taken back)" if event.withdrawn else "",
                )
            case Intervened(step, intervention):
                say(f"  by hand, for step {step}: {type(intervention).__name__.lower()} {list(intervention.births)}")
            case Rescored(totals):
                say(f"  {len(totals)} births were scored anew")
            case StateChanged(state, reason):
                say(Painted(state, "bold"), f": {reason}" if reason else "")


def _facts(event: Event) -> dict[str, Any] | None:
    """An event for programs."""
    from experiments.events import Asked, Audited, Begun, Committed, Intervened, Judged, Rescored, StateChanged, Told

    facts: dict[str, Any] = {"event": type(event).__name__.lower()}
    match event:
        case Begun():
            return facts | {"run": event.name, "seed": event.seed, "config": event.config, "weights": event.weights}
        case Asked(candidates):
            return facts | {"births": [one.birth for one in candidates]}
        case Told(candidate, score, total):
            return facts | {
                "birth": candidate.birth,
                "parents": [parent.birth for parent in candidate.parents],
                "operator": candidate.operator,
                "generation": candidate.generation,
                "status": score.status,
                "reason": score.reason,
                "total": total,
                "terms": {name: term.value for name, term in score.terms.items()},
            }
        case Committed(became, population, best, generation_best):
            return facts | {
                "became": {birth: int(status) for birth, status in became.items()},
                "population": population,
                "best": best,
                "generation_best": generation_best,
            }
        case Audited(birth, score, total):
            return facts | {"birth": birth, "status": score.status, "total": total}
        case Judged() | StateChanged():
            return facts | vars(event)
        case Rescored(totals):
            return facts | {"totals": totals}
        case Intervened(step, intervention):
            from evolution.interventions import to_json

            return facts | {"step": step, "intervention": to_json(intervention)}
    return None


def _regenerate(args: argparse.Namespace, lineage: Lineage, run: Run, terminal: Terminal) -> int:
    from experiments.lineage import browse
    from experiments.replay.regenerating import cautions, regenerate
    from experiments.replay.settings import run_config
    from experiments.studio import Studio
    from experiments.trusted_engines import require_run_trusted

    if args.regenerate == "best":
        births = sorted(birth for birth, _ in browse.best(lineage, run.run_id, count=8))
    else:
        births = chosen.numbers(args.regenerate)
    if not births:
        raise BarkError(f"run {run.name!r} has no birth with a total yet; name births: --regenerate 1-4")
    config = run_config(run)
    base = Path(str(run.execution.get("base", ".")))
    require_run_trusted(config, base, f"run {run.name!r}")
    studio = Studio.open(config.to_json(), base)
    try:
        doubts = cautions(run, studio.engine)
        found = []
        for one in regenerate(lineage, run.run_id, births, studio):
            found.append(one)
            if not args.json:
                why = f": {one.first_difference}" if one.first_difference else ""
                audits = f", also of {counted(one.audits, 'rendering')} on held-out texts" if one.audits else ""
                terminal.say(f"#{one.birth} ", _SAME[one.same], why or audits)
                terminal.out.flush()
    finally:
        studio.close()
    differing = [one for one in found if one.same is False]
    if args.json:
        terminal.json({"run": run.name, "births": [vars(one) for one in found], "cautions": doubts})
    else:
        terminal.say(f"{sum(one.same is True for one in found)} of {len(found)} births have the very tokens recorded")
        for doubt in doubts:
            terminal.say(Painted("note: ", "warn"), doubt)
    return NOT_FINE if differing else FINE


# -- report, diff -----------------------------------------------------------------------------------------------------


def report(args: argparse.Namespace, terminal: Terminal) -> int:
    """Writes the report."""
    from experiments.report import write_report

    if args.winners < 1:
        raise BarkError(f"--winners is {args.winners}, expected at least 1")
    with chosen.view(args.file) as lineage:
        run = chosen.chosen_run(lineage, args.run)
        path = args.output or Path(f"{chosen.beside(lineage.path, run)}.html")
        written = write_report(lineage, run.run_id, path, decode=Ears(lineage, run).decode, winners=args.winners)
    for notice in written.notices:
        terminal.say(Painted("note: ", "warn"), notice)
    terminal.say(str(written.path))
    return FINE


def diff(args: argparse.Namespace, terminal: Terminal) -> int:
    """Compares; FINE also when the runs differ, because that is what was asked."""
    from experiments.replay.comparing import diff as compared

    with chosen.view(args.file) as lineage:
        found = compared(lineage, lineage.run(args.one).run_id, lineage.run(args.other).run_id)
    for line in found.text().splitlines():
        terminal.say(line)
    return FINE
