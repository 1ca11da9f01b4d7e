"""The whole page: what the run is, whether it was worth it, and the sections in the order a morning asks for them.

One file, no script, nothing fetched: the Content-Security-Policy allows this page's own style by its hash, images and
sound from inside the page, and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping

from experiments.lineage.reading import LineageReader
from experiments.report import sections
from experiments.report.archive_map import ArchiveMap
from experiments.report.findings import Findings
from experiments.report.markup import Content, Html, counted, foreign, joined, number, signed, tag, text
from experiments.report.repeating import day, settings
from experiments.report.sections import section
from experiments.report.shelf import Shelf
from experiments.report.style import STYLE
from experiments.report.winners import card

_PLACES = ("1st", "2nd", "3rd")


def page(
    lineage: LineageReader,
    findings: Findings,
    drawn: ArchiveMap | None,
    winners: list[int],
    control_best: int | None,
    shelf: Shelf,
    *,
    now: float,
) -> str:
    """The report as HTML.

    Args:
        lineage: The file.
        findings: The run's numbers.
        drawn: Its map.
        winners: Births, best first.
        control_best: The best birth of the control arm, shown after them.
        shelf: Clips of winners and their ancestors, taken already.
        now: Seconds since 1970.
    """
    told = findings.counts.asked - findings.counts.pending
    parts: list[tuple[str, str, Html]] = []
    causes = ("causes", "Rejected and failed", sections.causes(findings))
    if told and findings.counts.ok:
        parts += [
            ("curves", "Progress", sections.curves(findings)),
            ("winners", "Winners", _winners(lineage, findings, winners, control_best, shelf)),
            ("operators", "Operators", sections.operators(findings)),
            ("map", "Map", sections.archive_map(drawn, findings.shown)),
            causes,
        ]
    elif told:  # nobody came through: why is what matters
        parts += [causes, ("operators", "Operators", sections.operators(findings))]
    if findings.counts.asked:
        parts.append(("people", "People", sections.judgements(lineage, findings)))
    parts.append(("settings", "To repeat it", settings(findings.run, lineage.path.name)))
    links = joined(tag("li", tag("a", title, href=f"#{name}")) for name, title, _ in parts)
    body = joined(
        tag("a", "Skip to the content", href="#content", class_="skip"),
        tag("header", _head(findings), _facts(findings), tag("nav", tag("ul", links), aria_label="Sections")),
        tag("main", joined(one for _, _, one in parts), id="content"),
        tag("footer", _foot(lineage, shelf, now)),
    )
    return _document(findings.run.name, body)


def _document(name: str, body: Html) -> str:
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; media-src data:; base-uri 'none'; "
        "form-action 'none'"
    )
    head = joined(
        tag("meta", charset="utf-8"),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{policy}">'),
        tag("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name_="referrer", content="no-referrer"),
        tag("title", text(name, 200), " – report"),
        tag("style", Html(STYLE)),
    )
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head>\n<body>{body}</body></html>\n'


# -- the first screen -------------------------------------------------------------------------------------------

_STATES = {
    "new": "not begun",
    "running": "running or interrupted",
    "paused": "paused",
    "done": "finished",
    "failed": "failed",
}


def _head(findings: Findings) -> Html:
    run = findings.run
    state = tag("span", _STATES[run.state], class_=f"state {run.state}")
    why: Content = joined(": ", foreign(run.reason, 300)) if run.reason and run.state != "failed" else None
    description = run.execution.get("description")
    return joined(
        tag("p", "Run report, begun ", day(run.created_at), ", ", state, why, class_="over"),
        tag("h1", text(run.name, 300), dir="auto"),
        tag("p", foreign(str(description), 600), class_="soft") if description else None,
        _asked_for(findings),
        tag("p", tag("b", "The run failed. "), foreign(run.reason or "No reason was recorded.", 2_000), class_="alarm",
            role="alert")
        if run.state == "failed"
        else None,
        tag("p", _verdict(findings), class_="verdict"),
    )  # fmt: skip


def _asked_for(findings: Findings) -> Html | None:
    """The objectives as the recipe writes them."""
    judge = findings.run.config.get("judge")
    objectives = judge.get("objectives") if isinstance(judge, Mapping) else None
    if not isinstance(objectives, list) or not objectives:
        return None
    listed = [part for one in objectives[:20] for part in (", ", foreign(str(one), 120))][1:]
    return tag("p", "Asked for: ", joined(listed), class_="soft")


def _verdict(findings: Findings) -> Html:
    counts, shown = findings.counts, findings.shown
    told = counts.asked - counts.pending
    if not counts.asked:
        return joined("Nothing was born in this run yet.")
    if not told:
        return joined(f"{counted(counts.asked, 'birth')} asked for, none judged yet.")
    if not counts.ok:
        return joined(
            f"No birth came through: of {told:,}, {counts.rejected:,} were rejected and {counts.failed:,} failed."
        )
    if shown is None:
        return joined(
            f"{counted(counts.ok, 'birth')} came through; the run scores nothing, so none is better than another."
        )
    both = findings.advantage()
    best = findings.evolved.best_after(len(findings.evolved))
    if both is None:
        return joined(f"The best {shown} is ", tag("b", number(best)), "; there is no control arm to compare it with.")
    evolved, control = both
    ahead = evolved - control
    words = "more than" if ahead > 0 else "less than" if ahead < 0 else "no more than"
    return joined(
        f"After {counted(findings.budget, 'birth')} each, evolution reached {shown} ",
        tag("b", number(evolved)),
        f", {number(abs(ahead))} {words} " if ahead else f", {words} ",
        f"the {number(control)} of random births." if ahead else "random births.",
        f" By its end, after {counted(len(findings.evolved), 'birth')}, it had {number(best)}."
        if best is not None and best > evolved
        else "",
    )


def _facts(findings: Findings) -> Html | None:
    counts = findings.counts
    if not counts.asked:
        return None
    told = counts.asked - counts.pending
    both = findings.advantage()
    evolved, control = findings.evolved, findings.control
    at = evolved.best_birth()
    facts: list[tuple[str, str, str]] = [
        (
            f"Best {findings.shown or 'value'}",
            number(evolved.best_after(len(evolved))),
            f"birth {at}" if at else "none yet",
        ),
        (
            "Against control",
            signed(both[0] - both[1]) if both else "–",
            f"after {counted(findings.budget, 'birth')} each" if both else f"{len(control):,} control births",
        ),
        ("Births", f"{counts.asked:,}", f"{counts.pending:,} pending" if counts.pending else "all judged"),
        (
            "Came through",
            f"{100 * counts.ok / told:.0f} %" if told else "–",
            f"{counts.rejected:,} rejected, {counts.failed:,} failed",
        ),
        ("Generations", f"{int(findings.table.generations.max()):,}", _pace(findings.seconds, told)),
    ]
    return tag(
        "dl",
        joined(tag("div", tag("dt", name), tag("dd", value, tag("small", note))) for name, value, note in facts),
        class_="facts",
    )


def _pace(seconds: float | None, told: int) -> str:
    if seconds is None or seconds < 0 or not told:
        return ""
    minutes = round(seconds / 60)
    took = f"{seconds:.0f} s" if seconds < 120 else f"{minutes} min" if minutes < 120 else f"{minutes / 60:.1f} h"
    return f"in {took}"


# -- winners and the end ----------------------------------------------------------------------------------------


def _winners(
    lineage: LineageReader, findings: Findings, winners: list[int], control_best: int | None, shelf: Shelf
) -> Html:
    run = findings.run
    shown = findings.shown or "value"
    values = dict(zip(findings.table.births.tolist(), findings.values.tolist(), strict=True))
    cards = [
        card(lineage, run.run_id, birth, shelf, title=_PLACES[place] if place < 3 else f"{place + 1}th", shown=shown,
            values=values,
             weights=run.weights, unfolded=place == 0)
        for place, birth in enumerate(winners)
    ]  # fmt: skip
    if control_best is not None:
        cards.append(
            card(lineage, run.run_id, control_best, shelf, title="Best of the control arm", shown=shown,
            values=values,
                 weights=run.weights, unfolded=False)
        )  # fmt: skip
    words = f"The best evolved births by {shown}, each with the way it came about; last, the best random one."
    return section("winners", "Winners", tag("p", words, class_="soft small"), joined(cards))


def _foot(lineage: LineageReader, shelf: Shelf, now: float) -> Html:
    notices = joined(tag("li", foreign(one, 400)) for one in shelf.notices[:20])
    more = len(shelf.notices) - 20
    return joined(
        tag(
            "p", f"Written {day(now)} from ", foreign(lineage.path.name, 200), ". Needs no network and runs no script."
        ),
        tag("ul", notices) if notices else None,
        tag("p", f"{counted(more, 'notice')} more.") if more > 0 else None,
    )
