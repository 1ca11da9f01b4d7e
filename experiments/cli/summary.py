"""What came of a run, in the terminal: both arms under equal budget, the winners, and where everything is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from bark_infinity.error_handling import BarkError
from experiments.cli import chosen
from experiments.cli.hearing import Ears
from experiments.cli.terminal import Painted, Part, Terminal

if TYPE_CHECKING:
    from experiments.lineage import Lineage, Run
    from experiments.report.findings import Findings

_WINNERS = 3  # whose clips are written out
_ROWS = 4  # of the table that compares the arms


def write_results(lineage: Lineage, run: Run, *, report: bool) -> dict[str, Any]:
    """Writes the winners' clips and the report beside the lineage file.

    Returns:
        ``clips`` (paths by birth), ``report`` (a path or None), ``notices``.
    """
    from experiments.report import write_report
    from experiments.report.findings import best_births, find

    stem = chosen.beside(lineage.path, run)
    findings = find(lineage, run.run_id)
    notices: list[str] = []
    written: dict[int, Path] = {}
    ears = Ears(lineage, run)
    folder = lineage.path.with_name(f"{stem}-best")
    control = best_births(findings, 1, arm="control")
    for rank, birth in enumerate([*best_births(findings, _WINNERS), *control], 1):
        name = f"control_{birth}.wav" if birth in control else f"{rank}_{birth}.wav"
        try:
            written[birth] = ears.write(birth, folder / name, overwrite=True)
        except BarkError as error:
            notices.append(f"birth {birth}: {error}")
    page = None
    if report and findings.counts.asked:
        try:
            page = write_report(lineage, run.run_id, lineage.path.with_name(f"{stem}.html"), decode=ears.decode).path
        except BarkError as error:
            notices.append(str(error))
    return {"clips": written, "report": page, "notices": notices, "findings": findings}


def facts(lineage: Lineage, run: Run, results: dict[str, Any]) -> dict[str, Any]:
    """The same for programs."""
    findings: Findings = results["findings"]
    ahead = findings.advantage()
    return {
        "file": str(lineage.path),
        "run": run.name,
        "state": run.state,
        "reason": run.reason,
        "births": findings.counts.asked,
        "ok": findings.counts.ok,
        "rejected": findings.counts.rejected,
        "failed": findings.counts.failed,
        "best": _best(findings),
        "equal_budget": None
        if ahead is None
        else {"births_of_each_arm": findings.budget, "evolved": ahead[0], "control": ahead[1]},
        "clips": {str(birth): str(path) for birth, path in results["clips"].items()},
        "report": None if results["report"] is None else str(results["report"]),
        "notices": results["notices"],
    }


def tell(lineage: Lineage, run: Run, results: dict[str, Any], terminal: Terminal) -> None:
    """Prints it."""
    findings: Findings = results["findings"]
    _tell_arms(findings, terminal)
    _tell_winners(lineage, findings, results["clips"], terminal)
    causes = chosen.kinds_of((f"{cause.status}: {cause.reason}", cause.count) for cause in findings.causes)
    for what, count in list(causes.items())[:3]:
        terminal.say(Painted(f"{count} ", "warn"), what)
    for notice in results["notices"]:
        terminal.say(Painted("note: ", "warn"), notice)
    terminal.say(Painted("lineage  ", "bold"), str(lineage.path))
    if results["report"] is not None:
        terminal.say(Painted("report   ", "bold"), str(results["report"]))
    runs = lineage.runs()
    what = "more    " if run.state == "done" else "go on   "
    more = ("--births", str(2 * findings.counts.asked)) if run.state == "done" else ()
    terminal.say(Painted(f"{what} ", "bold"), chosen.command("resume", lineage.path, run, *more, runs=runs))


def _tell_arms(findings: Findings, terminal: Terminal) -> None:
    """How the best rose in either arm, at equally many births of each."""
    counts = sorted({max(1, findings.budget * row // _ROWS) for row in range(1, _ROWS + 1)})
    rows: list[list[Part]] = []
    for count in counts if findings.budget else ():
        evolved, control = findings.evolved.best_after(count), findings.control.best_after(count)
        ahead = None if evolved is None or control is None else evolved - control
        rows.append(
            [
                f"{count}",
                _number(evolved),
                _number(control),
                "" if ahead is None else Painted(f"{ahead:+.4f}", "good" if ahead > 0 else "warn"),
            ]
        )
    best = _best(findings)
    if rows:
        terminal.say("best so far, evolved and by chance, after equally many births of each:")
        terminal.table(("births", "evolved", "chance", "ahead"), rows, right=frozenset({0, 1, 2, 3}))
    if best is not None:
        whose = f"#{best['birth']}, {best['made_by']}"
        terminal.say(f"best of all {len(findings.evolved)} evolved births: {best['value']:.4f} ({whose})")
    elif findings.counts.asked > findings.counts.pending:
        terminal.say(Painted("no birth was ok", "bad"))
    else:
        terminal.say("no birth has a result yet")


def _tell_winners(lineage: Lineage, findings: Findings, clips: dict[int, Path], terminal: Terminal) -> None:
    from experiments.lineage import browse

    rows: list[list[Part]] = []
    for card in browse.cards(lineage, findings.run.run_id, list(clips)):
        terms = ", ".join(f"{name} {value:.2f}" for name, value in card.terms.items())
        total = "" if card.total is None else f"{card.total:.4f}"
        rows.append([f"#{card.birth}", card.operator, total, str(clips[card.birth]), terms])
    if rows:
        terminal.table(("birth", "made by", "total", "clip", "terms"), rows, right=frozenset({0, 2}))


def _best(findings: Findings) -> dict[str, Any] | None:
    birth, value = findings.evolved.best_birth(), findings.evolved.best_after(len(findings.evolved))
    if birth is None or value is None:
        return None
    table = findings.table
    operator = table.operator_names[int(table.operators[int((table.births == birth).argmax())])]
    return {"birth": birth, "value": value, "made_by": operator}


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
