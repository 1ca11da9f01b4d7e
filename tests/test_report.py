"""A report says what the lineage says, plays what it names, needs nothing but itself, and survives any run."""

from __future__ import annotations

import base64
import contextlib
import errno
import hashlib
import io
import json
import os
import re
import sqlite3
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from html_pages import Element, decoded, read, rows, section
from lineage_builders import candidate, evolve, rendering, score
from report_builders import CONFIG, PROMPTS, RATE, WEIGHTS, evolved_run, tone

from bark_infinity.error_handling import BarkError
from bark_infinity.requests import Rendering
from digital_evolution import Candidate, Genome
from experiments.lineage import Lineage, LineageError, ancestry, browse, people
from experiments.lineage.clips import keep_clip
from experiments.report import shelf, write_report
from experiments.report.sound import encoded
from fusion.score import Score, Term

BIRTHS = 160


@pytest.fixture(scope="module")
def evening(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Lineage, int, Element, Path]]:
    folder = tmp_path_factory.mktemp("evening")
    with Lineage.write(folder / "runs.db") as lineage:
        run_id = evolved_run(lineage, BIRTHS)
    with Lineage.view(folder / "runs.db") as lineage:
        write_report(lineage, run_id, folder / "report.html", clock=lambda: 1_700_000_000.0)
        yield lineage, run_id, read(folder / "report.html"), folder / "report.html"


def totals(lineage: Lineage, run_id: int) -> tuple[list[float | None], list[float | None]]:
    """Totals of both arms in birth order, by the slow way."""
    arms: tuple[list[float | None], list[float | None]] = ([], [])
    for life in lineage.lives(run_id):
        assert life.outcome is not None
        arms[life.candidate.operator == "control"].append(life.outcome.total)
    return arms


# -- what it says -----------------------------------------------------------------------------------------------


def test_the_first_screen_compares_both_arms_after_equally_many_births(evening):
    lineage, run_id, page, _ = evening
    evolved, control = totals(lineage, run_id)
    assert len(control) == BIRTHS // 5
    early = max(value for value in evolved[: len(control)] if value is not None)
    random = max(value for value in control if value is not None)
    verdict = next(page.all("p", class_="verdict")).text
    assert verdict.startswith(f"After {len(control)} births each, evolution reached total {early:.3f}")
    assert f"{random:.3f} of random births" in verdict or f"{random:.3f} of" in verdict
    facts = {fact.children[0].text: fact.children[1].text for fact in next(page.all("dl")).all("div")}
    assert facts["Best total"].startswith(f"{max(v for v in evolved if v is not None):.3f}")
    assert facts["Against control"].replace("−", "-").startswith(f"{early - random:+.3f}")
    assert facts["Births"].startswith(str(BIRTHS))


def test_winners_are_the_best_evolved_births_and_the_best_random_one(evening):
    lineage, run_id, page, _ = evening
    ok = {
        life.candidate.birth: life for life in lineage.lives(run_id) if life.outcome and life.outcome.total is not None
    }
    ranked = sorted(ok.values(), key=lambda life: -life.outcome.total)
    evolved = [life for life in ranked if life.candidate.operator != "control"][:8]
    control = next(life for life in ranked if life.candidate.operator == "control")
    cards = list(page.all("article"))
    assert [one.attributes["id"] for one in cards] == [f"birth-{life.candidate.birth}" for life in (*evolved, control)]
    for shown, life in zip(cards, (*evolved, control), strict=True):
        assert next(shown.all("span", class_="value")).text == f"{life.outcome.total:.3f}"
        assert next(shown.all("p", class_="said")).text == life.candidate.genome.prompt
        terms = {row[0]: row[2] for row in rows(next(shown.all("table"))) if len(row) == 5}
        assert terms == {name: f"{term.value:.2f}" for name, term in life.outcome.score.terms.items()}
        line = ancestry.primary_line(lineage, run_id, life.candidate.birth)
        if len(line) == 1:
            assert not list(shown.all("ol"))
            assert "random, drawn without parents" in shown.text
            continue
        steps = [step.text for step in next(shown.all("ol")).all("li")]
        told = [int(match[1]) for step in steps if (match := re.match(r"Birth (\d+), ", step))]
        assert told == sorted(line) if len(line) <= 16 else told == sorted([*line[:12], *line[-3:]])


def test_operators_stand_beside_the_control_arm_with_what_came_of_their_births(evening):
    lineage, run_id, page, _ = evening
    evolved = {life.candidate.birth: life for life in lineage.lives(run_id)}
    shown = {row[0]: row[1:] for row in rows(section(page, "operators"))[1:]}
    values = {
        name: [life.outcome.total for life in evolved.values()
               if life.candidate.operator == name and life.outcome.total is not None]
        for name in shown
    }  # fmt: skip
    for one in browse.operator_statistics(lineage, run_id):
        births, ok, rejected, failed, improved, _, mean, against, _, best = shown[one.operator]
        assert [births, ok, rejected, failed] == [
            str(count) for count in (one.counts.asked, one.counts.ok, one.counts.rejected, one.counts.failed)
        ]
        assert improved == (f"{one.better} of {one.compared}" if one.compared else "–")
        assert mean == f"{np.mean(values[one.operator]):.3f}"
        assert best == f"{max(values[one.operator]):.3f}"
        if one.operator != "control":
            difference = np.mean(values[one.operator]) - np.mean(values["control"])
            assert against.replace("−", "-") == f"{difference:+.3f}"
    assert {"control", "splice", "founder"} <= shown.keys()


def test_reasons_that_differ_in_numbers_alone_are_counted_together(evening):
    lineage, run_id, page, _ = evening
    reasons = [life.outcome.score.reason for life in lineage.lives(run_id) if life.outcome.score.reason]
    looping = [reason for reason in reasons if reason.startswith("looping")]
    assert len(set(looping)) > 3
    shown = {row[0]: row[1:] for row in rows(section(page, "causes"))[1:]}
    assert shown["looping: … of the tokens were said before"][:2] == ["rejected", str(len(looping))]
    assert shown["rendering: out of memory"][0] == "failed"
    assert sum(int(row[1]) for row in shown.values()) == len(reasons)


def test_what_people_said_is_there_with_how_often_the_judge_agreed(evening):
    _, _, page, _ = evening
    said = section(page, "people").text
    assert "in 2 of 3 the chosen one also had the higher total" in said
    assert "1 rating, mean 1.00 of 1" in said
    assert "Ada (3)" in said
    assert "favourite (1)" in said
    assert "Warm, and no lisp any more. <em>Keep!</em>" in said


def test_a_map_of_elites_has_the_cells_of_the_runs_own_grid(tmp_path):
    axes = [
        {"measure": "f0_median_hz", "low": 80.0, "high": 260.0, "cells": 6, "category": ""},
        {"measure": "centroid_hz", "low": 800.0, "high": 3_000.0, "cells": 4, "category": ""},
    ]
    with Lineage.write(tmp_path / "runs.db") as lineage:
        run_id = evolved_run(lineage, 80, config={"algorithm": {"kind": "map-elites", "axes": axes}}, clips=10)
        report = write_report(lineage, run_id, tmp_path / "map.html")
        cells: dict[tuple[int, int], tuple[float, int]] = {}
        for life in lineage.lives(run_id):
            if life.candidate.operator != "control" and life.outcome.total is not None:
                at = tuple(
                    int(np.clip((life.outcome.score.measures[one["measure"]] - one["low"])
                                // ((one["high"] - one["low"]) / one["cells"]), 0, one["cells"] - 1))
                    for one in axes
                )  # fmt: skip
                cells[at] = max(cells.get(at, (-1.0, 0)), (life.outcome.total, -life.candidate.birth))
    page = read(tmp_path / "map.html")
    drawn = section(page, "map")
    assert f"{len(cells)} of 24 cells are filled" in drawn.text
    assert len([one for one in drawn.all("rect") if "cell" in (one.attributes["class"] or "")]) == len(cells)
    ranked = sorted(cells.values(), reverse=True)
    assert report.winners == tuple(-birth for _, birth in ranked[:8])


def test_the_recipe_seed_versions_and_commands_are_there(evening):
    _, _, page, _ = evening
    settings = section(page, "settings")
    facts = dict(row for row in rows(settings)[1:])
    assert facts["Seed"] == str(2**64 - 3)
    assert facts["Version of torch"] == "2.13.0"
    assert facts["Checkpoint micro"] == "9f" * 32
    assert facts["Weights"] == ", ".join(f"{name} {WEIGHTS[name]:g}" for name in sorted(WEIGHTS))
    blocks = [block.text for block in settings.all("pre")]
    assert any("bark-lab" in block for block in blocks)
    assert any(PROMPTS[1] in block for block in blocks)


# -- what it plays and shows ------------------------------------------------------------------------------------


def test_players_hold_the_clips_at_their_length_and_each_only_once(evening):
    lineage, run_id, page, _ = evening
    players = list(page.all("audio"))
    assert len(players) >= 8
    births = [one.attributes["id"] for one in players]
    assert len(set(births)) == len(births)
    for player in players:
        kind, content = decoded(player.attributes["src"])
        assert kind in ("audio/ogg", "audio/flac")
        assert "controls" in player.attributes
        heard, rate = soundfile.read(io.BytesIO(content))
        assert len(heard) / rate == pytest.approx(1.2, abs=0.02)
        birth = int((player.attributes["id"] or "").removeprefix("clip-"))
        hz = lineage.outcome(run_id, birth).score.measures["f0_median_hz"]
        spectrum = np.abs(np.fft.rfft(heard * np.hanning(len(heard))))
        loudest = np.argmax(spectrum[: 400 * len(heard) // rate]) * rate / len(heard)
        assert loudest == pytest.approx(hz, abs=3)
    links = {one.attributes["href"] for one in page.all("a")}
    ids = {one.attributes["id"] for one in page.all() if "id" in one.attributes}
    assert {link[1:] for link in links} <= ids


def test_spectrograms_are_images_whose_lowest_bright_row_is_the_voices_pitch(tmp_path):
    with Lineage.write(tmp_path / "runs.db") as lineage:
        run_id = evolve(lineage, 12)
        winner = browse.best(lineage, run_id)[0][0]
        keep_clip(lineage, run_id, winner, np.sin(2 * np.pi * 1_000 * np.arange(RATE) / RATE) * 0.5, RATE)
        write_report(lineage, run_id, tmp_path / "report.html")
    [image] = read(tmp_path / "report.html").all("image")
    kind, content = decoded(image.attributes["href"])
    assert kind == "image/png"
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = (int.from_bytes(content[at : at + 4], "big") for at in (16, 20))
    at = content.index(b"IDAT")
    size = int.from_bytes(content[at - 4 : at], "big")
    pixels = np.frombuffer(zlib.decompress(content[at + 4 : at + 4 + size]), np.uint8).reshape(height, width + 1)[:, 1:]
    brightest = int(np.argmax(pixels[:, width // 2]))
    mel_of = lambda hz: 2595 * np.log10(1 + hz / 700)  # noqa: E731
    assert brightest == pytest.approx((height - 1) * (1 - mel_of(1_000) / mel_of(8_000)), abs=1.5)


def test_without_kept_clips_tokens_are_decoded_and_failures_to_do_so_are_told(tmp_path):
    def decode(one: Rendering) -> tuple[np.ndarray, int]:
        if one.tokens.semantic[0] % 2:
            raise BarkError("the codec has other codebooks")
        return tone(200, 0.7).astype(np.float32), RATE

    with Lineage.write(tmp_path / "runs.db") as lineage:
        run_id = evolve(lineage, 40)
        report = write_report(lineage, run_id, tmp_path / "report.html", decode=decode)
        silent = write_report(lineage, run_id, tmp_path / "silent.html")
    page = read(tmp_path / "report.html")
    durations = [soundfile.info(io.BytesIO(decoded(one.attributes["src"])[1])).duration for one in page.all("audio")]
    assert durations
    assert durations == pytest.approx([0.7] * len(durations), abs=0.02)
    assert any("the codec has other codebooks" in notice for notice in report.notices)
    assert "the codec has other codebooks" in next(page.all("footer")).text
    assert not list(read(silent.path).all("audio"))


def test_a_clip_that_was_exchanged_is_not_played(tmp_path):
    with Lineage.write(tmp_path / "runs.db") as lineage:
        run_id = evolved_run(lineage, 60, clips=10)
        for clip in (tmp_path / "runs.clips").glob("*.flac"):
            clip.write_bytes(b"fLaC, not")
        report = write_report(lineage, run_id, tmp_path / "report.html")
    assert not list(read(tmp_path / "report.html").all("audio"))
    assert len(report.notices) >= 8
    assert all("is not what was kept" in notice for notice in report.notices)


def test_sound_is_bounded_and_what_does_not_fit_is_told(tmp_path, monkeypatch):
    with Lineage.write(tmp_path / "runs.db") as lineage:
        run_id = evolved_run(lineage, 60, clips=10)
        whole = write_report(lineage, run_id, tmp_path / "whole.html")
        monkeypatch.setattr(shelf, "MAX_SOUND_BYTES", 20_000)
        monkeypatch.setattr(shelf, "LONGEST_S", 0.5)
        report = write_report(lineage, run_id, tmp_path / "report.html")
    players = list(read(report.path).all("audio"))
    contents = [decoded(one.attributes["src"])[1] for one in players]
    assert 0 < sum(map(len, contents)) <= 20_000
    assert {soundfile.info(io.BytesIO(one)).duration for one in contents} == {0.5}
    assert len(players) < len(list(read(whole.path).all("audio")))
    assert any("clips over 0.02 MB in all were left out" in one for one in report.notices)
    assert any("lasts 1 s; the first 0.5 s are here" in one for one in report.notices)


@pytest.mark.parametrize(("rate", "kind"), [(24_000, "audio/ogg"), (22_050, "audio/flac"), (44_100, "audio/flac")])
def test_rates_that_opus_does_not_have_are_kept_as_flac(rate, kind):
    clip = encoded(np.sin(np.arange(rate) * 0.1) * 2, rate, longest_s=30)  # beyond full scale: limited, not wrapped
    heard, back = soundfile.read(io.BytesIO(clip.content))
    assert clip.mime.startswith(kind)
    assert (len(heard), back, clip.duration_s) == (rate, rate, 1.0)
    assert np.mean(np.abs(heard) > 0.9) > 0.5


# -- it stands alone --------------------------------------------------------------------------------------------

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</title></style><script src=//evil.example/x.js></script>",
    "\u202eevil\u202c \x00\x07 \ud7ff & &amp; ' ` ${x} {{x}}",
    "مرحبا <b> שלום 👩‍👩‍👧 ♪ 日本語 " + "長" * 9_000,
)


def assert_stands_alone(path: Path, page: Element) -> None:
    """Nothing on the page fetches or runs anything, and its policy would not let it."""
    source = path.read_text("utf-8")
    allowed = {
        "html", "head", "meta", "title", "style", "body", "a", "header", "main", "footer", "nav", "section", "article",
        "div", "p", "span", "b", "bdi", "small", "code", "pre", "ul", "ol", "li", "dl", "dt", "dd", "h1", "h2", "h3",
        "table", "caption", "thead", "tbody", "tr", "th", "td", "figure", "figcaption", "details", "summary", "audio",
        "svg", "path", "line", "rect", "circle", "text", "image",
    }  # fmt: skip
    for one in page.all():
        assert one.name in allowed
        for key, value in one.attributes.items():
            assert not key.startswith("on"), key
            assert key != "style"
            if key in ("src", "href", "action", "data"):
                assert re.match(r"data:(audio|image)/|#", value or ""), value
    style = next(page.all("style")).text
    assert "url(" not in style
    assert "@import" not in style
    policy = next(page.all("meta", **{"http-equiv": "Content-Security-Policy"})).attributes["content"] or ""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}';")
    assert "unsafe" not in policy
    assert "script" not in policy
    assert not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\u202d\u202e]", source)


def test_nothing_is_fetched_and_nothing_runs(evening):
    _, _, page, path = evening
    assert_stands_alone(path, page)
    assert not re.search(r"https?://|//\w+\.", re.sub(r'"data:[^"]+"', "", path.read_text("utf-8")))


def test_hostile_and_foreign_text_is_shown_as_text(tmp_path):
    config = {"founders": {"prompts": HOSTILE}, HOSTILE[0]: {"half a character": "\ud800"}}
    with Lineage.write(tmp_path / "runs.db") as lineage:
        run_id, birth = lineage.begin_run(HOSTILE[1], weights={HOSTILE[0]: 1.0}).run_id, 1
        for number, prompt in enumerate(HOSTILE, 1):
            one = Candidate(number, Genome(prompt), operator=HOSTILE[2], parameters={HOSTILE[1]: HOSTILE[0]})
            term = Term(HOSTILE[0], number / 10, 1, 1.0, HOSTILE[1])
            lineage.record_asked(run_id, [one])
            lineage.record_told(run_id, one, Score("ok", {term.name: term}, measures={HOSTILE[2]: number, "b": number}))
        people.tag(lineage, run_id, birth, HOSTILE[2])
        people.note(lineage, run_id, birth, HOSTILE[3])
        people.judge(lineage, run_id, "rating", birth, value=0.5, rater=HOSTILE[0])
        lineage.set_state(run_id, "failed", HOSTILE[2])
    with contextlib.closing(sqlite3.connect(tmp_path / "runs.db")) as foreign, foreign:
        foreign.execute("UPDATE runs SET config = ?", (json.dumps(config),))  # as no writer of ours would
    with Lineage.view(tmp_path / "runs.db") as lineage:
        write_report(lineage, run_id, tmp_path / "report.html", winners=20)
    page = read(tmp_path / "report.html")
    assert_stands_alone(tmp_path / "report.html", page)
    said = [one.text for one in page.all("p", class_="said")][::-1]  # the best was born last
    assert said[:3] == list(HOSTILE[:3])
    assert said[3] == "[U+202E]evil\u202c ␀␇ \ud7ff & &amp; ' ` ${x} {{x}}"
    assert said[4].startswith("مرحبا <b> שלום 👩‍👩‍👧 ♪ 日本語 長長")
    assert said[4].endswith(" more characters)")
    assert f"{HOSTILE[1]} {HOSTILE[0]}" in next(page.all("article")).text
    assert any("half a character" in block.text and "\ufffd" in block.text for block in page.all("pre"))
    assert next(page.all("h1")).text == HOSTILE[1]
    assert all(one.attributes.get("dir") == "auto" for one in page.all("p", class_="said"))


# -- any run ----------------------------------------------------------------------------------------------------


def test_an_empty_run_has_a_page(tmp_path):
    with Lineage.write(tmp_path / "runs.db") as lineage:
        run_id = lineage.begin_run("nothing yet", config=CONFIG).run_id
        report = write_report(lineage, run_id, tmp_path / "report.html")
        with pytest.raises(LineageError, match="no run") as refused:
            write_report(lineage, 7, tmp_path / "other.html")
    page = read(tmp_path / "report.html")
    assert next(page.all("p", class_="verdict")).text == "Nothing was born in this run yet."
    assert [one.attributes["id"] for one in page.all("section")] == ["settings"]
    assert report.winners == ()
    assert refused.value.trouble == "missing"
    assert not (tmp_path / "other.html").exists()


def test_a_run_without_survivors_says_why_first(tmp_path):
    with Lineage.write(tmp_path / "runs.db") as lineage:
        run_id = lineage.begin_run("hopeless", weights=WEIGHTS).run_id
        for birth in (1, 2, 3):
            lineage.record_asked(run_id, [candidate(birth)])
            lineage.record_told(run_id, candidate(birth), score(3 if birth < 3 else 5), rendering(3))
        write_report(lineage, run_id, tmp_path / "report.html")
    page = read(tmp_path / "report.html")
    verdict = next(page.all("p", class_="verdict")).text
    assert verdict == "No birth came through: of 3, 2 were rejected and 1 failed."
    assert next(page.all("section")).attributes["id"] == "causes"
    assert not list(page.all("article"))


def test_a_failed_run_says_so_above_everything(tmp_path):
    with Lineage.write(tmp_path / "runs.db") as lineage:
        run_id = evolve(lineage, 20)
        lineage.record_asked(run_id, [candidate(21)])
        lineage.set_state(run_id, "failed", "the model's folder is gone")
        write_report(lineage, run_id, tmp_path / "report.html")
    page = read(tmp_path / "report.html")
    assert next(page.all("p", role="alert")).text == "The run failed. the model's folder is gone"
    assert "1 pending" in next(page.all("dl")).text
    assert list(page.all("article"))


def test_a_run_that_scores_nothing_has_a_page(tmp_path):
    with Lineage.write(tmp_path / "runs.db") as lineage:
        run_id = lineage.begin_run("only gates").run_id
        lineage.record_asked(run_id, [candidate(1)])
        lineage.record_told(run_id, candidate(1), Score("ok"), rendering(1))
        write_report(lineage, run_id, tmp_path / "report.html")
    assert "the run scores nothing" in next(read(tmp_path / "report.html").all("p", class_="verdict")).text


def test_a_report_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    with Lineage.write(tmp_path / "runs.db") as lineage:
        run_id = evolve(lineage, 8)
        target = tmp_path / "report.html"
        target.write_text("the old one")

        def full(_: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", full)
            with pytest.raises(BarkError, match=r"cannot write the report .*No space left.*make room"):
                write_report(lineage, run_id, target)
        assert target.read_text() == "the old one"
        assert not list(tmp_path.glob("*.part"))
        assert not list(tmp_path.glob(".*.part"))
        with pytest.raises(BarkError, match="check that the folder is there"):
            write_report(lineage, run_id, tmp_path / "nowhere" / "report.html")
        report = write_report(lineage, run_id, target)
        assert target.stat().st_size == report.n_bytes
