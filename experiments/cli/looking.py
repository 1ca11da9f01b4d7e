"""Verbs that only look: ``status`` of a file's runs, also while another process writes it; ``verify``."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from typing import TYPE_CHECKING, Any

from bark_infinity.error_handling import BarkError
from experiments.cli import chosen
from experiments.cli.exits import FINE, NOT_FINE
from experiments.cli.terminal import Painted, Part, Style, Terminal, counted, duration, size

if TYPE_CHECKING:
    from experiments.cli.main import Verbs
    from experiments.lineage import Lineage, Run

_MANY = 20_000  # births from which on checking takes long
_RECENT = 50  # births whose failures are told
_SHORTEST_WATCH_S, _LONGEST_WATCH_S = 0.2, 86_400.0
_STATE_STYLES: dict[str, Style] = {"running": "accent", "done": "good", "paused": "warn", "failed": "bad"}


def add(verbs: Verbs) -> None:
    """Describes the verbs to the parser."""
    parser = verbs.add("status", status, "how far the runs of a file are, also while they go on", json=True)
    chosen.add_file(parser, optional=True)
    chosen.add_run(parser)
    parser.add_argument("--watch", metavar="SECONDS", type=float, help="look again every so many seconds, until Ctrl-C")

    parser = verbs.add("verify", verify, "check every promise of a file, and print its content hash", json=True)
    chosen.add_file(parser, optional=True)
    parser.add_argument(
        "--order", action="store_true", help="hash the order of births and results too: equal for equal workers"
    )


def status(args: argparse.Namespace, terminal: Terminal) -> int:
    """Prints one line for each run, and more about the one that is meant."""
    while True:
        with chosen.view(args.file) as lineage:
            if args.json:
                facts = _facts(lineage, args.run)
                terminal.json(facts) if args.watch is None else terminal.json_line(facts)
            else:
                _print_status(lineage, args.run, terminal)
        if args.watch is None:
            return FINE
        terminal.out.flush()
        time.sleep(min(max(_SHORTEST_WATCH_S, args.watch), _LONGEST_WATCH_S))
        if not args.json:
            terminal.say()


def verify(args: argparse.Namespace, terminal: Terminal) -> int:
    """Checks a file; NOT_FINE when something is wrong with it."""
    from experiments.lineage import verification

    with chosen.view(args.file) as lineage:
        _say_how_much(lineage)
        problems = verification.verify(lineage)
        births = sum(lineage.last_birth(run.run_id) for run in lineage.runs()) if not problems else None
        content = verification.content_sha256(lineage, order=args.order) if not problems else None
        path = lineage.path
    if args.json:
        terminal.json({"file": str(path), "problems": problems, "births": births, "content_sha256": content})
        return NOT_FINE if problems else FINE
    for problem in problems:
        terminal.say(Painted("problem: ", "bad"), problem)
    if problems:
        found = counted(len(problems), "problem")
        terminal.say(f"{path}: {found}; keep a copy of the file, and restore a backup if you have one")
        return NOT_FINE
    terminal.say(f"{path}: ", Painted("every promise holds", "good"), f", {counted(births or 0, 'birth')}")
    terminal.say(f"content sha256: {content}")
    return FINE


def _say_how_much(lineage: Lineage) -> None:
    """A word to whoever waits, where it takes long."""
    waiting = Terminal.of(sys.stderr)
    births = 0
    with contextlib.suppress(BarkError):  # verify tells what is the matter
        births = sum(lineage.last_birth(run.run_id) for run in lineage.runs())
    if waiting.is_terminal and births > _MANY:
        waiting.say(f"reading {births:,} births again, each with its hashes; this takes about a minute per 100,000")


def _print_status(lineage: Lineage, name: str | None, terminal: Terminal) -> None:
    facts = _facts(lineage, name)
    writer = facts["writer"]
    terminal.say(
        Painted(facts["file"], "bold"),
        f", {size(facts['bytes'])}, ",
        f"being written by {writer}" if writer else "nobody is writing it",
    )
    rows: list[list[Part]] = []
    for run in facts["runs"]:
        best = run["best"]
        rows.append(
            [
                run["name"],
                Painted(run["state"], _STATE_STYLES.get(run["state"], "dim")),
                f"{run['births']:,}" + (f" of {run['limit']:,}" if run["limit"] else ""),
                f"{run['ok']:,}",
                f"{run['rejected']:,}",
                f"{run['failed']:,}",
                "" if best is None else f"{best['total']:.4f}",
                "" if best is None else f"#{best['birth']}",
                duration(time.time() - run["last_result_at"]) + " ago" if run["last_result_at"] else "",
            ]
        )
    if not rows:
        terminal.say("no run has begun in it yet")
        return
    headers = ("run", "state", "births", "ok", "rejected", "failed", "best", "birth", "last result")
    terminal.table(headers, rows, right=frozenset({2, 3, 4, 5, 6, 7}))
    for run in facts["runs"]:
        if run["reason"]:
            terminal.say(f"{run['name']}: {run['reason']}")
    run = facts["runs"][-1]
    if run["births_per_hour"]:
        eta = "" if run["eta_s"] is None else f", about {duration(run['eta_s'])} to go"
        terminal.say(f"{run['name']}: {run['births_per_hour']:.0f} births per hour{eta}")
    if run["why_not"]:
        told = "; ".join(f"{count} {reason}" for reason, count in run["why_not"].items())
        terminal.say(f"{run['name']}: not ok of the last {_RECENT}: {told}", cut=True)
    if not writer and run["state"] in ("running", "paused", "failed", "new"):
        terminal.say("go on with: ", Painted(run["resume"], "accent"))


def _facts(lineage: Lineage, name: str | None) -> dict[str, Any]:
    from experiments.lineage.writer_lock import current_writer

    everything = lineage.runs()
    runs = everything if name is None else (lineage.run(name),)
    writer = current_writer(lineage.path)
    size_bytes = sum(
        path.stat().st_size
        for path in (lineage.path, lineage.path.with_name(f"{lineage.path.name}-wal"))
        if path.exists()
    )
    return {
        "file": str(lineage.path),
        "bytes": size_bytes,
        "writer": writer,
        "runs": [_run_facts(lineage, run, everything, writer is not None) for run in runs],
    }


def _run_facts(lineage: Lineage, run: Run, runs: tuple[Run, ...], written: bool) -> dict[str, Any]:
    from experiments.lineage import browse
    from experiments.replay.pace import limit_of, pace_of

    counts = browse.counts(lineage, run.run_id)
    best = chosen.best_evolved(lineage, run.run_id)
    last = lineage.last_birth(run.run_id)
    recent = lineage.outcomes(run.run_id, range(max(1, last - _RECENT + 1), last + 1))
    pace = pace_of(lineage, run.run_id)
    goes_on = written and run.state == "running"
    reasons = (outcome.score.reason for outcome in recent.values())
    why_not = chosen.kinds_of((reason, 1) for reason in reasons if reason)
    return {
        "name": run.name,
        "state": run.state if written or run.state != "running" else "paused",
        "reason": run.reason if written or run.state != "running" else "its process ended before it could say why",
        "births": counts.asked,
        "ok": counts.ok,
        "rejected": counts.rejected,
        "failed": counts.failed,
        "pending": counts.pending,
        "best": {"birth": best[0], "total": best[1]} if best else None,
        "last_result_at": max((outcome.told_at for outcome in recent.values()), default=None),
        "births_per_hour": pace.births_per_hour or None,
        "hours": pace.hours,
        "eta_s": pace.eta_hours * 3_600 if goes_on and pace.eta_hours is not None else None,
        "limit": limit_of(run),
        "why_not": dict(list(why_not.items())[:5]),
        "branched_from": list(run.branched_from) if run.branched_from else None,
        "created_at": run.created_at,
        "resume": chosen.command("resume", lineage.path, run, runs=runs),
    }
