"""The numbers behind a report are those of the births, read the slow way; and a long run makes no longer page."""

from __future__ import annotations

import math
import re
import sqlite3
import tomllib
from contextlib import closing

import numpy as np
import pytest
from html_pages import read, rows, section
from hypothesis import given, settings
from hypothesis import strategies as st
from lineage_builders import candidate, evolve, heard, rendering, score
from report_builders import WEIGHTS, evolved_run

from digital_evolution import Candidate, Genome
from experiments.cli.main import main
from experiments.config import RunConfig, load_recipe
from experiments.lineage import Lineage, LineageError, browse, people
from experiments.lineage.columns import STATUSES, columns, prompts
from experiments.report import write_report
from experiments.report.charts import Dots, Line, chart, nice_ticks
from experiments.report.findings import best_births, find
from experiments.report.markup import Html, number, tag
from experiments.report.plain_words import how_made
from fusion.score import Score, Term

MEASURES = ("f0_median_hz", "pauses", "nothing such")


@pytest.fixture
def lineage(tmp_path):
    with Lineage.write(tmp_path / "runs.db") as opened:
        yield opened


# -- births as columns ------------------------------------------------------------------------------------------


def test_columns_are_the_births_as_they_were_recorded(lineage):
    evolve(lineage, 9, name="another run")
    run_id = evolve(lineage, 60)
    lineage.record_asked(run_id, [candidate(61)])
    table = columns(lineage, run_id, terms=["pitch", "nothing"], measures=MEASURES)
    assert len(table) == 61
    for row, life in enumerate(lineage.lives(run_id)):
        assert table.births[row] == life.candidate.birth
        assert table.generations[row] == life.candidate.generation
        assert table.operator_names[table.operators[row]] == life.candidate.operator
        if life.outcome is None:
            assert STATUSES[table.statuses[row]] == "pending"
            assert math.isnan(table.totals[row])
            assert math.isnan(table.told_at[row])
            continue
        told = life.outcome.score
        assert STATUSES[table.statuses[row]] == told.status
        assert table.told_at[row] == life.outcome.told_at
        expected = [life.outcome.total, told.terms["pitch"].value if told.terms else None, None]
        expected += [told.measures.get(name) for name in MEASURES]
        found = [table.totals[row], table.terms["pitch"][row], table.terms["nothing"][row]]
        found += [table.measures[name][row] for name in MEASURES]
        assert [None if math.isnan(one) else one for one in found] == expected
    assert prompts(lineage, run_id) == [life.candidate.genome.prompt for life in lineage.lives(run_id)]
    assert list(table.births[table.made_by("splice")]) == [
        life.candidate.birth for life in lineage.lives(run_id) if life.candidate.operator == "splice"
    ]
    assert not table.made_by("no such operator").any()


def test_columns_of_a_damaged_birth_are_refused(lineage, tmp_path):
    run_id = evolve(lineage, 8)
    with closing(sqlite3.connect(tmp_path / "runs.db")) as foreign, foreign:
        foreign.execute("UPDATE evaluations SET numbers = x'6600' WHERE status = 'ok'")
    with pytest.raises(LineageError, match="fewer numbers than its layout names") as refused:
        columns(lineage, run_id, measures=["pauses"])
    assert refused.value.trouble == "damaged"


def test_reasons_and_remarks_of_a_run_leave_other_runs_out(lineage):
    first, second = evolve(lineage, 40, name="first"), evolve(lineage, 16, name="second")
    told = {birth: score(birth) for birth in range(1, 17)}
    for status, reason, count, example in browse.reasons(lineage, second):
        births = [birth for birth, one in told.items() if (one.status, one.reason) == (status, reason)]
        assert (count, example) == (len(births), births[0])
    assert sum(count for _, _, count, _ in browse.reasons(lineage, second)) == sum(
        one.status != "ok" for one in told.values()
    )
    people.tag(lineage, first, 3, "elite")
    people.note(lineage, second, 2, "second's")
    assert [(one.birth, one.text) for one in people.remarks(lineage, first, "tag")] == [(3, "elite")]
    assert [(one.birth, one.text) for one in people.remarks(lineage, second, "note")] == [(2, "second's")]
    assert people.remarks(lineage, second, "tag") == []


@pytest.mark.parametrize(
    ("reasons", "kind"),
    [
        (["too_long: 2.9 times", "too_long: 11 times", "too_long: 1e-05 times"], "too_long: … times"),
        (["heard 'the kids' twice", 'heard "it\'s five" twice'], "heard … twice"),
        (["its text's time, 'a' and 'b'", "its text's time, 'c d' and ''"], "its text's time, … and …"),
        (["ends at -12 dB in en_speaker_5", "ends at −3.5 dB in en_speaker_5"], "ends at … dB in en_speaker_5"),
    ],
)
def test_reasons_that_differ_in_particulars_are_one(lineage, reasons, kind):
    run_id = lineage.begin_run("reasons").run_id
    for birth, reason in enumerate(reasons, 1):
        lineage.record_asked(run_id, [Candidate(birth, Genome("a"))])
        lineage.record_told(run_id, Candidate(birth, Genome("a")), Score("rejected", reason=reason))
    [cause] = find(lineage, run_id).causes
    assert (cause.status, cause.reason, cause.count, cause.example) == ("rejected", kind, len(reasons), 1)


# -- both arms --------------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.one_of(st.none(), st.floats(0, 1))), max_size=30))
def test_arms_are_compared_after_equally_many_births_of_their_own(tmp_path_factory, births):
    with Lineage.write(tmp_path_factory.mktemp("arms") / "runs.db") as lineage:
        run_id = lineage.begin_run("arms", weights={"it": 1.0}).run_id
        for birth, (control, value) in enumerate(births, 1):
            one = Candidate(birth, Genome("Hello."), operator="control" if control else "founder")
            lineage.record_asked(run_id, [one])
            came = Score("failed", reason="no") if value is None else Score("ok", {"it": Term("it", value, 1)})
            lineage.record_told(run_id, one, came)
        found = find(lineage, run_id)
    arms = [[value for control, value in births if control == which] for which in (False, True)]
    budget = min(map(len, arms))
    assert found.budget == budget
    best = [max((value for value in arm[:budget] if value is not None), default=None) for arm in arms]
    assert found.advantage() == (None if None in best else tuple(best))
    ranked = sorted(
        ((-value, birth) for birth, (control, value) in enumerate(births, 1) if not control and value is not None)
    )
    assert best_births(found, 5) == [birth for _, birth in ranked[:5]]
    assert found.evolved.best_birth() == (ranked[0][1] if ranked else None)


def test_generations_are_those_of_the_evolved_arm_alone(lineage):
    run_id = evolved_run(lineage, 90, clips=0)
    found = find(lineage, run_id)
    members: dict[int, list[float]] = {}
    for life in lineage.lives(run_id):
        if life.candidate.operator != "control" and life.outcome.total is not None:
            members.setdefault(life.candidate.generation, []).append(life.outcome.total)
    assert found.generations.generations.tolist() == sorted(members)
    assert found.generations.best.tolist() == [max(members[one]) for one in sorted(members)]
    assert found.generations.mean == pytest.approx([np.mean(members[one]) for one in sorted(members)])
    assert set(found.by_term) == set(WEIGHTS)


def test_an_operators_interval_is_that_of_its_childrens_mean(lineage):
    run_id = evolved_run(lineage, 90, clips=0)
    for credit in find(lineage, run_id).credits:
        own = [
            life.outcome.total
            for life in lineage.lives(run_id)
            if life.candidate.operator == credit.name and life.outcome.total is not None
        ]
        assert credit.ok == len(own)
        assert credit.mean == pytest.approx(np.mean(own))
        if len(own) < 5:
            assert credit.half_width is None
        else:
            assert credit.half_width == pytest.approx(1.96 * np.std(own, ddof=1) / math.sqrt(len(own)))


# -- the page of special runs -----------------------------------------------------------------------------------


def test_a_long_run_makes_no_longer_page(tmp_path):
    sizes = {}
    with Lineage.write(tmp_path / "runs.db") as lineage:
        for count in (200, 1_600):
            run_id = evolved_run(lineage, count, name=f"{count}", clips=0, said=False)
            sizes[count] = write_report(lineage, run_id, tmp_path / "report.html").n_bytes
    assert sizes[1_600] < 1.6 * sizes[200]
    assert sizes[1_600] < 200_000


def test_a_recorded_recipe_reads_back_as_the_same_run(lineage, tmp_path):
    config = load_recipe("demo", ['name="Ⅳ \\"quoted\\" ünd ♪"', "execution.workers=3"])
    run_id = lineage.begin_run(
        config.name,
        config=config.identity(),
        execution={**config.conduct(), "base": "/somebody/s/home", "worked_s": 7_260.5},
        seed=7,
    ).run_id
    write_report(lineage, run_id, tmp_path / "report.html")
    page = read(tmp_path / "report.html")
    blocks = [block.text for block in section(page, "settings").all("pre")]
    [recipe] = [block for block in blocks if "[founders]" in block]
    assert RunConfig.from_json(tomllib.loads(recipe)) == config
    assert "/somebody/s/home" not in (tmp_path / "report.html").read_text("utf-8")
    assert any(block.startswith("bark-lab run ") for block in blocks)


def test_a_map_over_a_category_has_a_column_for_each_of_its_values(lineage, tmp_path):
    axes = [{"category": "tag"}, {"measure": "f0_median_hz", "low": 50.0, "high": 250.0, "cells": 4, "category": ""}]
    run_id = lineage.begin_run(
        "tags", config={"algorithm": {"kind": "map-elites", "axes": [*axes, {"category": "script"}]}}, weights={"it": 1}
    ).run_id
    for birth, (prompt, hz) in enumerate([("[laughs] a", 60), ("b", 60), ("♪ c ♪", 240), ("[laughs] d", 61)], 1):
        one = Candidate(birth, Genome(prompt))
        lineage.record_asked(run_id, [one])
        term = {"it": Term("it", birth / 10, 1)}
        lineage.record_told(run_id, one, Score("ok", term, measures={"f0_median_hz": float(hz)}))
    report = write_report(lineage, run_id, tmp_path / "report.html")
    drawn = section(read(tmp_path / "report.html"), "map")
    assert report.winners == (4, 3, 2)
    assert "3 of 12 cells are filled" in drawn.text
    assert "Not drawn: script" in drawn.text
    assert {tuple(row[1:3]) for row in rows(drawn)[1:]} == {
        ("[laughs]", "50.0 to 100.0"),
        ("none", "50.0 to 100.0"),
        ("♪", "200.0 to 250.0"),
    }


def test_terms_that_could_not_be_judged_are_named_with_the_reason(lineage, tmp_path):
    run_id = lineage.begin_run("unknown", weights={"it": 1.0}).run_id
    lineage.record_asked(run_id, [Candidate(1, Genome("Hallo."))])
    came = Score("ok", {"it": Term("it", 0.5, 1)}, unknown={"intelligibility": "not English"})
    lineage.record_told(run_id, Candidate(1, Genome("Hallo.")), came)
    write_report(lineage, run_id, tmp_path / "report.html")
    [card] = read(tmp_path / "report.html").all("article")
    assert ["intelligibility", "not judged: not English"] in rows(card)


def test_a_running_run_is_shown_as_far_as_it_is(lineage, tmp_path):
    run_id = evolve(lineage, 12)
    lineage.set_state(run_id, "running")
    lineage.set_execution(run_id, {"worked_s": 7_260.5})
    lineage.record_asked(run_id, [candidate(birth) for birth in (13, 14, 15)])
    lineage.record_told(run_id, heard(candidate(13)), score(13), rendering(13))
    with Lineage.view(tmp_path / "runs.db") as viewer:
        write_report(viewer, run_id, tmp_path / "report.html")
    page = read(tmp_path / "report.html")
    assert "running or interrupted" in next(page.all("header")).text
    assert "2 pending" in next(page.all("dl")).text
    assert "in 2.0 h" in next(page.all("dl")).text


# -- small parts ------------------------------------------------------------------------------------------------


def test_operators_are_put_in_plain_words_and_unknown_ones_as_recorded():
    def words(operator: str, **drawn: object) -> str:
        return how_made(Candidate(1, Genome("a"), operator=operator, parameters=drawn))  # type: ignore[arg-type]

    assert words("crop", drop=12, reads=(341, 256)) == "last 12 semantic tokens cut off"
    assert words("rerender_fine", fine_temp_percent=55) == "fine detail rendered again at temperature 0.55"
    twice = words("hesitation_insert", **{"at": 1, "mark": "…", "edits": 2, "2/at": 4, "2/mark": "—"})
    assert twice == "a hesitation “…” put in behind word 2; then a hesitation “—” put in behind word 5"
    assert words("crop", other=3) == "other 3"
    assert words("from next year", share=0.25, of=("a", "b"), reads=(1, 2)) == "share 0.25, of a, b"
    assert words("from next year") == "without choices"
    assert words("crop", drop="{0.__class__}") == "last {0.__class__} semantic tokens cut off"


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_ticks_are_few_rise_evenly_and_hold_the_range(low, width):
    ticks = nice_ticks(low, low + width)
    assert 2 <= len(ticks) <= 8
    assert ticks[0] <= low + 1e-6 * width
    assert ticks[-1] >= low + width - 1e-6 * width
    assert np.diff(ticks) == pytest.approx([ticks[1] - ticks[0]] * (len(ticks) - 1), rel=1e-6)


def test_a_chart_of_a_million_points_is_small_and_keeps_its_last_value():
    y = np.maximum.accumulate(np.random.default_rng(0).random(1_000_000))
    drawn = chart([Line("best", "evolved", np.arange(1_000_000), y, steps=True)], words="w", x_label="x")
    assert len(drawn) < 20_000
    dotted = chart([], dots=[Dots("evolved", np.arange(1_000_000), y)], words="w", x_label="x")
    paths = re.findall(r' d="([^"]*)"', drawn + dotted)
    assert all(re.fullmatch(r"(?:[MLHVh][-\d. ]+)+", path) for path in paths)
    assert max(map(len, paths)) > 5_000
    assert isinstance(chart([Line("none", "evolved", [1.0], [math.nan])], words="w", x_label="x"), Html)


def test_numbers_read_as_people_write_them():
    assert [number(one) for one in (0.5, -0.25, 12.34, 1234.5, 0.0, 1e-9, None, math.nan)] == [
        "0.500", "−0.250", "12.3", "1,234" if round(1234.5) == 1234 else "1,235", "0.000", "1.00e−09", "–", "–",
    ]  # fmt: skip
    assert tag("p", "a < b", 1_234, None, ["&"], title='"') == '<p title="&quot;">a &lt; b1,234&amp;</p>'


@pytest.mark.parametrize(
    ("sql", "what"),
    [
        ("UPDATE evaluations SET total = 9e999 WHERE birth_id % 16 = 4", r"birth 4: total is inf"),
        ("UPDATE evaluations SET total = -9e999 WHERE total IS NOT NULL", r"birth \d+: .*total is -inf"),
        ("UPDATE evaluations SET told_at = 9e999", r"birth \d+: the time of its result is inf"),
        ("UPDATE leaders SET value = 9e999", r"birth \d+: \w+ is inf"),
        ("""UPDATE evaluations SET terms = '{"intelligibility": 1e999}' WHERE total IS NOT NULL""", r"birth \d+"),
        ("""UPDATE evaluations SET timings = '{"judge_s": 1e999}'""", r"birth \d+: timing judge_s is inf"),
        ("UPDATE runs SET created_at = 9e999", r"the time when run 'voices' began is inf"),
    ],
)
def test_infinite_numbers_of_an_altered_file_are_damage_and_no_bug(tmp_path, capsys, sql, what):
    path = tmp_path / "altered.db"
    with Lineage.write(path) as lineage:
        evolve(lineage, 12)
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(sql)
    connection.close()
    assert main(["report", str(path), "-o", str(tmp_path / "report.html")]) == 2
    told = capsys.readouterr().err
    assert re.search(what, told)
    assert "altered.db" in told
    assert "restore a backup" in told
    assert main(["verify", str(path)]) == 1


def test_an_infinite_working_time_is_left_out_of_a_report(tmp_path):
    path = tmp_path / "altered.db"
    with Lineage.write(path) as lineage:
        run_id = evolve(lineage, 12)
        lineage.set_execution(run_id, {"worked_s": 60.0})
        assert find(lineage, run_id).seconds == 60
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("""UPDATE runs SET execution = '{"worked_s": 1e999}'""")
    connection.close()
    with Lineage.view(path) as lineage:
        assert find(lineage, run_id).seconds != math.inf
