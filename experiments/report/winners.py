"""The winners of a report: player, spectrogram, terms, and the primary line back to a founder with its clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bark_infinity.error_handling import BarkError
from digital_evolution import Candidate
from experiments.lineage import LineageError, ancestry, people
from experiments.lineage.reading import LineageReader
from experiments.lineage.records import Outcome
from experiments.report.charts import bar
from experiments.report.markup import Content, Html, counted, foreign, joined, number, signed, tag, text
from experiments.report.plain_words import how_made, settings_in_words
from experiments.report.shelf import Shelf
from experiments.report.sound import data_uri, mel, png, spectrogram

_OLDEST, _LATEST = 3, 12  # births of a primary line that are shown
_HEARD = 6  # ancestors of a winner with a player: the founder and the latest
_MOST_SAID = 1_200  # characters of a prompt; Bark reads about 256 tokens
_TOP_HZ = 8_000.0
_PICTURE = (480, 96)


def heard_ancestors(line: Sequence[int]) -> list[int]:
    """Which of a primary line (latest first, the winner itself in front) get a player, where they can."""
    shown = _shown(line)[1:]
    return shown if len(shown) <= _HEARD else [*shown[: _HEARD - 1], shown[-1]]


def card(
    lineage: LineageReader,
    run_id: int,
    birth: int,
    shelf: Shelf,
    *,
    title: str,
    shown: str,
    values: Mapping[int, float],
    weights: Mapping[str, float],
    unfolded: bool,
) -> Html:
    """One winner.

    Args:
        lineage: The file.
        run_id: The run.
        birth: Which.
        shelf: Where its clips are.
        title: Such as ``1st``.
        shown: Name of the value that ranks births.
        values: Of births, what ranks them; NaN where there is none.
        weights: Of the terms in the total.
        unfolded: Whether its primary line is open.
    """
    line = ancestry.primary_line(lineage, run_id, birth)
    candidate, outcome = lineage.candidate(run_id, birth), lineage.outcome(run_id, birth)
    assert outcome is not None  # winners have a value
    heading = tag(
        "header",
        tag("h3", f"{title}: birth {birth}"),
        tag("span", f"{shown} ", tag("span", number(values[birth]), class_="value")),
        tag("span", _voice(candidate), class_="soft small"),
    )
    remarks = _said_of(lineage, run_id, birth)
    return tag(
        "article",
        heading,
        tag("p", text(candidate.genome.prompt, _MOST_SAID), class_="said", dir="auto"),
        tag("div", _heard(birth, shelf), class_="hear"),
        tag("div", _terms(outcome, weights), remarks, _notices(lineage, run_id, birth)),
        tag(
            "details",
            tag("summary", f"Primary line: {counted(len(line), 'birth')}, from birth {line[-1]}"),
            _primary_line(lineage, run_id, line, shelf, values),
            open=unfolded,
        )
        if len(line) > 1
        else tag("p", f"{candidate.operator}: {how_made(candidate)}", class_="small soft"),
        class_="winner",
        id=f"birth-{birth}",
    )


def _voice(candidate: Candidate) -> str:
    voice = candidate.genome.voice
    spoken = "voice chosen by the model" if voice is None else f"voice {voice.name or voice.sha256[:12]}"
    return f"{spoken}, generation {candidate.generation}, seed {candidate.seed}"


# -- what is heard and seen -------------------------------------------------------------------------------------


def _heard(birth: int, shelf: Shelf) -> Html:
    player = shelf.player(birth, home=True)
    if player is None:
        return tag("p", "No clip was kept, and its tokens were not decoded for this report.", class_="empty")
    return joined(_spectrogram(birth, shelf), player)


def _spectrogram(birth: int, shelf: Shelf) -> Html | None:
    audio = shelf.samples(birth)
    if audio is None:
        return None
    samples, rate = audio
    top = min(_TOP_HZ, rate / 2)
    width, height = _PICTURE
    try:
        image = png(spectrogram(samples, rate, width=width, height=height, top_hz=top))
    except BarkError:
        return None  # the shelf has said why
    seconds = len(samples) / rate
    left, tall = 34, 150
    parts: list[Html] = [
        tag("image", href=Html(data_uri("image/png", image)), x=left, y=0, width=width, height=tall,
            preserveAspectRatio="none")
    ]  # fmt: skip
    for hz in (250, 1_000, 2_000, 4_000):
        if hz < top:
            y = tall * (1 - float(mel(hz) / mel(top)))
            label = f"{hz // 1000}k" if hz >= 1_000 else str(hz)
            parts.append(tag("text", label, x=left - 5, y=round(y + 4, 1), text_anchor="end"))
    for share in (0, 0.25, 0.5, 0.75, 1):
        anchor = "start" if share == 0 else "end" if share == 1 else "middle"
        label = f"{share * seconds:.1f}" + (" s" if share == 1 else "")
        parts.append(tag("text", label, x=left + share * width, y=tall + 16, text_anchor=anchor))
    words = f"Spectrogram of birth {birth}: {seconds:.1f} seconds, up to {top:g} Hz"
    return tag(
        "svg",
        tag("title", words),
        joined(parts),
        class_="spectrogram",
        viewBox=f"0 0 {left + width} {tall + 20}",
        role="img",
    )


# -- how it was judged ------------------------------------------------------------------------------------------


def _terms(outcome: Outcome, weights: Mapping[str, float]) -> Html:
    rows = []
    for name, term in outcome.score.terms.items():
        measured = "" if term.measure is None else f"{number(term.measure, 2)} {term.unit}".strip()
        weight = weights.get(name)
        rows.append(
            tag(
                "tr",
                tag("th", foreign(name, 60), scope="row"),
                tag("td", bar(term.value), class_="b"),
                tag("td", number(term.value, 2), class_="n"),
                tag("td", text(measured, 60), class_="n"),
                tag("td", "" if weight is None else f"{weight:g}", class_="n"),
            )
        )
    for name, why in outcome.score.unknown.items():
        unknown = tag("td", "not judged: ", foreign(why, 200), colspan="4", class_="soft")
        rows.append(tag("tr", tag("th", foreign(name, 60), scope="row"), unknown))
    heads = tag(
        "tr",
        tag("th", "Term", scope="col", colspan="2"),
        tag("th", "Value", scope="col", class_="n"),
        tag("th", "Measured", scope="col", class_="n"),
        tag("th", "Weight", scope="col", class_="n"),
    )
    table = tag("table", tag("thead", heads), tag("tbody", joined(rows)), class_="terms")
    return tag("div", table, class_="scroll")


def _said_of(lineage: LineageReader, run_id: int, birth: int) -> Html | None:
    tags = [foreign(name, 60) for name in people.tags(lineage, run_id, birth)]
    notes = people.notes(lineage, run_id, birth)
    parts: list[Content] = []
    if tags:
        parts.append(tag("p", "Tags: ", joined(_with_commas(tags)), class_="small"))
    parts += [tag("p", "Note: ", foreign(note.text), class_="small") for note in notes[:5]]
    return joined(parts) if parts else None


def _notices(lineage: LineageReader, run_id: int, birth: int) -> Html | None:
    """What the engine said while it rendered, such as tags that the model does not know."""
    try:
        rendering = lineage.rendering(run_id, birth)
    except LineageError:  # its tokens were let go
        return None
    notices = () if rendering is None else rendering.notices[:5]
    return joined(tag("p", foreign(one, 300), class_="small soft") for one in notices)


def _with_commas(items: Sequence[Html]) -> Sequence[Content]:
    return [part for item in items for part in (", ", item)][1:]


# -- where it comes from ----------------------------------------------------------------------------------------


def _shown(line: Sequence[int]) -> list[int]:
    return list(line) if len(line) <= _OLDEST + _LATEST + 1 else [*line[:_LATEST], *line[-_OLDEST:]]


def _primary_line(
    lineage: LineageReader, run_id: int, line: Sequence[int], shelf: Shelf, values: Mapping[int, float]
) -> Html:
    births = _shown(line)
    outcomes = lineage.outcomes(run_id, births)
    items: list[Html] = []
    before: Candidate | None = None
    value_before: float | None = None
    for candidate in reversed(lineage.candidates(run_id, births)):  # founder first
        first = next((parent.birth for parent in candidate.parents if parent.role == "first"), None)
        if before is not None and first != before.birth:
            left_out = len(line) - len(births)
            items.append(
                tag("li", tag("span", f"… {counted(left_out, 'birth')} between …", class_="soft"), class_="gap")
            )
            before, value_before = None, None
        outcome = outcomes.get(candidate.birth)
        value = values.get(candidate.birth)
        value = None if value != value else value
        player = None if candidate.birth == line[0] else shelf.player(candidate.birth)  # its own is right above
        items.append(_step(candidate, before, value, value_before, outcome, player))
        before, value_before = candidate, value
    return tag("ol", joined(items), class_="line-of")


def _step(
    candidate: Candidate,
    before: Candidate | None,
    value: float | None,
    value_before: float | None,
    outcome: Outcome | None,
    player: Html | None,
) -> Html:
    others = [str(parent.birth) for parent in candidate.parents if parent.role != "first"]
    came = number(value) if value is not None else "not judged yet" if outcome is None else outcome.score.status
    gained = "" if value is None or value_before is None else f" ({signed(value - value_before)})"
    head = tag(
        "div",
        f"Birth {candidate.birth}, ",
        tag("b", foreign(candidate.operator, 60)),
        f", generation {candidate.generation}: ",
        tag("span", came, class_="value"),
        gained,
        f"; second parent: birth {', '.join(others)}" if others else "",
    )
    details: list[Content] = [foreign(how_made(candidate), 600)]
    settings = settings_in_words(candidate.genome)
    if settings and (before is None or before.genome.settings != candidate.genome.settings):
        details.append(tag("div", "Settings: ", foreign(settings, 600), class_="soft"))
    if before is None or before.genome.prompt != candidate.genome.prompt:
        details.append(tag("div", foreign(candidate.genome.prompt, 600), class_="quote"))
    return tag(
        "li",
        head,
        player,
        tag("div", joined(details), class_="how small"),
    )
