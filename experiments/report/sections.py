"""The sections of a report but its winners: curves, operators, map, what came to nothing, people."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.lineage import people
from experiments.lineage.reading import LineageReader
from experiments.report.archive_map import ArchiveMap, picture
from experiments.report.charts import Dots, Line, chart, interval
from experiments.report.findings import CONTROL, Arm, Cause, Credit, Findings, Generations
from experiments.report.markup import Content, Html, counted, foreign, joined, number, signed, tag

_MOST_ROWS = 40  # of a table; the rest is summed up
_BINS = 40  # of a mean by birth


def section(name: str, title: str, *content: Content) -> Html:
    """A section that the page's list of contents can link to."""
    return tag("section", tag("h2", title), joined(content), id=name, aria_label=title)


def table(heads: Sequence[tuple[str, str]], rows: Sequence[Html], caption: str | None = None) -> Html:
    """A table that scrolls on its own when it is too wide.

    Args:
        heads: Title and class of every column.
        rows: Made by `tag`.
        caption: What it shows.
    """
    head = tag("tr", joined(tag("th", title, scope="col", class_=kind or None) for title, kind in heads))
    inner = joined(tag("caption", caption) if caption else None, tag("thead", head), tag("tbody", joined(rows)))
    return tag(
        "div", tag("table", inner), class_="scroll", tabindex="0", role="group", aria_label=caption or heads[0][0]
    )


def cells(*values: Content, kinds: str = "") -> list[Html]:
    """Cells of a row; a letter of ``kinds`` for each: n right-aligned, h its header, anything else plain."""
    made = []
    for value, kind in zip(values, kinds.ljust(len(values)), strict=True):
        if kind == "h":
            made.append(tag("th", joined(value), scope="row"))
        else:
            made.append(tag("td", joined(value), class_="n" if kind == "n" else None))
    return made


# -- curves -----------------------------------------------------------------------------------------------------


def curves(findings: Findings) -> Html:
    """Best and mean, by birth under equal budget and by generation."""
    shown = findings.shown or "value"
    arms = [(findings.evolved, "evolved", "Evolved"), (findings.control, "control", "Control")]
    lines: list[Line] = []
    dots: list[Dots] = []
    for arm, style, name in arms:
        spent = np.arange(1, len(arm) + 1)
        lines.append(Line(f"{name}, best so far", style, spent, arm.best, steps=True))
        lines.append(Line(f"{name}, mean", f"{style} thin", *_mean_by_birth(arm)))
        dots.append(Dots(style, spent, arm.values))
    unequal = 0 < findings.budget < max(len(findings.evolved), len(findings.control))
    by_birth = chart(
        lines,
        dots=dots,
        words=f"{shown} by births spent in each arm",
        x_label="births of the arm",
        mark=(findings.budget, "equal budget") if unequal else None,
    )
    two = tag(
        "div",
        tag(
            "figure",
            by_birth,
            tag("figcaption", f"By birth: {shown}. Dots are single births; those that came to nothing count as spent."),
        ),
        tag("figure", _by_generation(findings), tag("figcaption", f"By generation: {shown} of the evolved births.")),
        class_="pair",
    )
    return section("curves", "Progress", two, _by_term(findings.by_term), _generation_numbers(findings))


def _by_generation(findings: Findings) -> Html:
    one = findings.generations
    if len(one.generations) < 2:
        return tag("p", "No second generation came through yet.", class_="empty")
    return chart(
        [
            Line("Best of the generation", "evolved", one.generations, one.best),
            Line("Mean", "evolved thin", one.generations, one.mean),
            *_control_levels(findings),
        ],
        words=f"{findings.shown} by generation of the evolved births",
        x_label="generation",
    )


def _mean_by_birth(arm: Arm) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Middles and means of up to `_BINS` stretches with equally many births."""
    edges = np.linspace(0, len(arm), min(_BINS, max(1, len(arm) // 4)) + 1).round().astype(int)
    middles, means = [], []
    for begin, end in itertools.pairwise(edges):
        own = arm.values[begin:end]
        if not np.isnan(own).all():
            middles.append((begin + 1 + end) / 2)
            means.append(float(np.nanmean(own)))
    return np.array(middles), np.array(means)


def _control_levels(findings: Findings) -> list[Line]:
    control, generations = findings.control, findings.generations.generations
    if control.mean is None:
        return []
    ends = np.array([generations[0], generations[-1]])
    best = control.best_after(len(control))
    return [
        Line("Control, best of all", "control", ends, np.full(2, best)),
        Line("Control, mean", "control thin", ends, np.full(2, control.mean)),
    ]


def _by_term(by_term: Mapping[str, Generations]) -> Html | None:
    charts = []
    for name, one in by_term.items():
        if len(one.generations) < 2:
            continue
        drawn = chart(
            [
                Line("best", "evolved", one.generations, one.best),
                Line("mean", "evolved thin", one.generations, one.mean),
            ],
            words=f"{name} by generation: best and mean",
            x_label="generation",
            size=(400, 200),
            legend=False,
        )
        charts.append(tag("figure", tag("h3", foreign(name, 60)), drawn))
    if not charts:
        return None
    words = "Every term by generation, 1 is best: the thick line is the best birth, the thin one the mean."
    return joined(tag("div", joined(charts), class_="many"), tag("p", words, class_="soft small"))


def _generation_numbers(findings: Findings) -> Html | None:
    one = findings.generations
    if not len(one.generations):
        return None
    chosen = np.unique(np.linspace(0, len(one.generations) - 1, min(_MOST_ROWS, len(one.generations))).astype(int))
    rows = [
        tag("tr", cells(f"{one.generations[at]}", number(one.best[at]), number(one.mean[at]), kinds="hnn"))
        for at in chosen
    ]
    heads = (("Generation", ""), ("Best", "n"), ("Mean", "n"))
    what = f"The numbers of {counted(len(chosen), 'generation')}"
    what += f" of {len(one.generations):,}" if len(chosen) < len(one.generations) else ""
    return tag("details", tag("summary", what), table(heads, rows))


# -- operators --------------------------------------------------------------------------------------------------


def operators(findings: Findings) -> Html:
    """What each operator's children came to, beside the control arm."""
    credits = findings.credits
    reference = next((one.mean for one in credits if one.name == CONTROL), None)
    means = [one.mean for one in credits if one.mean is not None]
    spreads = [
        (one.mean or 0) + sign * (one.half_width or 0) for one in credits if one.mean is not None for sign in (1, -1)
    ]
    low, high = (min(spreads), max(spreads)) if means else (0.0, 1.0)
    rows = [_operator_row(one, reference, low, high) for one in credits[:_MOST_ROWS]]
    heads = (
        ("Operator", ""), ("Births", "n"), ("Ok", "n"), ("Rejected", "n"), ("Failed", "n"), ("Improved", "n"),
        ("Mean gain", "n"), ("Mean", "n"), ("Against control", "n"), ("Mean and 95 % interval", ""), ("Best", "n"),
    )  # fmt: skip
    words = (
        "Improved: ok children above their best parent, of those whose parents were ok. Mean gain: to the best parent. "
        "The dashed line is the mean of the control arm, random births that never breed. Operators that get better "
        "parents have better children, so a mean above the control arm's is not the operator's merit alone."
    )
    more = len(credits) - _MOST_ROWS
    return section(
        "operators",
        "Operators",
        table(
            heads,
            rows,
            f"By {findings.shown}, the best mean first" if findings.counts.ok else "What became of their births",
        ),
        tag("p", f"{counted(more, 'operator')} more are not shown.", class_="soft small") if more > 0 else None,
        tag("p", words, class_="soft small"),
    )


def _operator_row(one: Credit, reference: float | None, low: float, high: float) -> Html:
    against = None if one.mean is None or reference is None or one.name == CONTROL else one.mean - reference
    improved = f"{one.better:,} of {one.compared:,}" if one.compared else "–"
    drawn = None if one.mean is None else interval(one.mean, one.half_width, reference, low, high)
    return tag(
        "tr",
        cells(
            foreign(one.name, 60), one.asked, one.ok, one.rejected, one.failed, improved, signed(one.mean_gain),
            number(one.mean), signed(against), drawn, number(one.best), kinds="hnnnnnnnn n",
        ),
        class_="control" if one.name == CONTROL else None,
    )  # fmt: skip


# -- the map ----------------------------------------------------------------------------------------------------


def archive_map(drawn: ArchiveMap | None, shown: str | None) -> Html:
    """The best birth of every cell."""
    if drawn is None:
        words = "No birth has a value and the measures that a map needs."
        return section("map", "Map", tag("p", words, class_="empty"))
    names = " × ".join(axis.name for axis in drawn.axes)
    what = "The run's own map of elites" if drawn.own else "Drawn over two measures; the run itself keeps no map"
    left_out = f" Not drawn: {', '.join(drawn.left_out)}; a cell shows the best over it." if drawn.left_out else ""
    words = (
        f"{what}: {names}. {len(drawn.elites):,} of {drawn.size:,} cells are filled. The stronger the colour, "
        f"the better the best birth of a cell by {shown}.{left_out}"
    )
    ranked = sorted(drawn.elites.items(), key=lambda item: (-item[1][1], item[1][0]))[:_MOST_ROWS]
    rows = []
    for cell, (birth, value) in ranked:
        spans = [axis.label(at) for axis, at in zip(drawn.axes, cell, strict=True)]
        kinds = "h" + "n" * len(spans) + "nn"
        rows.append(tag("tr", cells(f"{birth}", *spans, number(value), drawn.births[cell], kinds=kinds)))
    heads = [("Birth", ""), *((axis.name, "n") for axis in drawn.axes), (shown or "", "n"), ("Births there", "n")]
    map_drawn = tag("div", picture(drawn, shown or "value"), class_="scroll", tabindex="0", role="group",
                    aria_label=f"Map of {names}")  # fmt: skip
    numbers = tag("details", tag("summary", f"The best {counted(len(rows), 'cell')} in numbers"), table(heads, rows))
    return section("map", "Map", tag("figure", map_drawn, tag("figcaption", words)), numbers)


# -- what came to nothing ---------------------------------------------------------------------------------------


def causes(findings: Findings) -> Html:
    """Rejections and failures by reason."""
    told = findings.counts.asked - findings.counts.pending
    if not findings.causes:
        words = "Nothing was rejected, and nothing failed." if told else "Nothing was judged yet."
        return section("causes", "Rejected and failed", tag("p", words, class_="empty"))
    rows = [_cause_row(one, told) for one in findings.causes[:_MOST_ROWS]]
    rest = findings.causes[_MOST_ROWS:]
    if rest:
        many = sum(one.count for one in rest)
        words = f"{counted(len(rest), 'other reason')}"
        rows.append(tag("tr", cells(words, "", many, _percent(many, told), "", kinds="h nn ")))
    heads = (("Reason", ""), ("Came to", ""), ("Births", "n"), ("Of all judged", "n"), ("First", "n"))
    return section(
        "causes",
        "Rejected and failed",
        tag(
            "p",
            "Numbers and quotations in a reason are left out (…), so that like stands with like.",
            class_="soft small",
        ),
        table(heads, rows),
    )


def _cause_row(one: Cause, told: int) -> Html:
    return tag(
        "tr",
        cells(
            foreign(one.reason, 400), one.status, one.count, _percent(one.count, told), f"{one.example}", kinds="h nnn"
        ),
    )


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "–"


# -- people -----------------------------------------------------------------------------------------------------


def judgements(lineage: LineageReader, findings: Findings) -> Html:
    """What people said, and how often the judge's order agreed."""
    run_id = findings.run.run_id
    given = people.judgements(lineage, run_id)
    tags, notes = people.remarks(lineage, run_id, "tag"), people.remarks(lineage, run_id, "note")
    if not (given or tags or notes):
        words = "Nobody has judged, tagged or annotated anything in this run."
        return section("people", "People", tag("p", words, class_="empty"))
    values = dict(zip(findings.table.births.tolist(), findings.values.tolist(), strict=True))
    choices = [one for one in given if one.kind == "better" and one.other is not None]
    comparable = [(values.get(one.one, np.nan), values.get(one.other or 0, np.nan)) for one in choices]
    comparable = [(a, b) for a, b in comparable if a == a and b == b and a != b]
    agreed = sum(a > b for a, b in comparable)
    ratings = [one.value for one in given if one.kind == "rating" and one.value is not None]
    lines: list[Content] = []
    if choices:
        words = f"{counted(len(choices), 'choice')} between two births"
        words += (
            f"; in {agreed} of {len(comparable)} the chosen one also had the higher {findings.shown}"
            if comparable
            else ""
        )
        lines.append(tag("li", f"{words}."))
    ties = sum(one.kind == "equal" for one in given)
    if ties:
        lines.append(tag("li", f"{counted(ties, 'pair')} judged equal."))
    bad = sum(one.kind == "both_bad" for one in given)
    if bad:
        lines.append(tag("li", f"{counted(bad, 'pair')} of which both were called bad."))
    if ratings:
        lines.append(tag("li", f"{counted(len(ratings), 'rating')}, mean {number(float(np.mean(ratings)), 2)} of 1."))
    raters = Counter(one.rater or "unnamed" for one in given).most_common(8)
    if raters:
        listed = [part for name, count in raters for part in (", ", foreign(name, 60), f" ({count:,})")][1:]
        lines.append(tag("li", "Judged by ", joined(listed), "."))
    named = Counter(one.text for one in tags).most_common(20)
    if named:
        listed = [part for name, count in named for part in (", ", foreign(name, 60), f" ({count:,})")][1:]
        lines.append(tag("li", "Tags: ", joined(listed), "."))
    latest = [tag("tr", cells(*_judgement(one, values), kinds="hnnn ")) for one in reversed(given[-_MOST_ROWS:])]
    heads = (("Answer", ""), ("Chosen or rated", "n"), ("Other", "n"), ("Difference", "n"), ("By", ""))
    return section(
        "people",
        "People",
        tag("ul", joined(lines)),
        tag("details", tag("summary", f"The latest {counted(len(latest), 'answer')}"), table(heads, latest))
        if latest
        else None,
        tag("ul", joined(tag("li", f"Birth {note.birth}: ", foreign(note.text, 600)) for note in notes[-20:]))
        if notes
        else None,
    )


def _judgement(one: people.Judgement, values: Mapping[int, float]) -> list[Content]:
    words = {"better": "better", "equal": "equal", "both_bad": "both bad", "rating": f"rated {number(one.value, 2)}"}[
        one.kind
    ]
    other = "" if one.other is None else f"{one.other}"
    difference = None if one.other is None else values.get(one.one, np.nan) - values.get(one.other, np.nan)
    return [words, f"{one.one}", other, "" if difference is None else signed(difference), foreign(one.rater or "–", 60)]
