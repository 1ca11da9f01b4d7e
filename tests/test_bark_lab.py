"""`bark-lab` as a person meets it: from another folder, with good files, rubbish, and files that others are writing."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lineage_builders import candidate, evolve, fixture, score, voice

from bark_infinity.error_handling import BarkError
from digital_evolution import Candidate, Genome
from experiments.cli import chosen, terminal
from experiments.cli.main import build_parser, main
from experiments.cli.terminal import Painted, Terminal, fitted, printable, width_of
from experiments.lineage import Lineage, clips, people, verification
from experiments.lineage.schema import VERSION

ROOT = Path(__file__).resolve().parents[1]
VERBS = [
    "evolve",
    "run",
    "resume",
    "branch",
    "replay",
    "report",
    "diff",
    "status",
    "verify",
    "tree",
    "judge",
    "export",
    "import",
    "gc",
    "migrate",
    "trust",
    "voices",
    "clone",
    "recipes",
    "doctor",
    "completion",
]
EVIL = "say \x1b]0;owned\x07\x1b[2Jhello \u202egnp\u202c \x9b31m\nnext"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder of a person's own, with a run in it."""
    monkeypatch.chdir(tmp_path)
    with Lineage.write("runs.db") as lineage:
        run_id = evolve(lineage, 40)
        lineage.set_state(run_id, "paused", "asked to stop")
        for birth in (1, 2, 4, 6, 7, 8):
            tone = np.sin(np.arange(4_800) * 0.05 * birth).astype(np.float32) * 0.02 * birth
            clips.keep_clip(lineage, run_id, birth, tone, 24_000)
    return tmp_path


def lab(*words: str, capsys) -> tuple[int, str, str]:
    code = main(list(words))
    told = capsys.readouterr()
    return code, told.out, told.err


def process(*words: str, cwd: Path, **more) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100", **more.pop("env", {})}
    return subprocess.run(
        [sys.executable, "-m", "experiments.cli", *words],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        **more,
    )


# -- help and usage -----------------------------------------------------------------------------------------------


def test_every_verb_has_help_and_none_loads_anything_heavy(tmp_path):
    program = (
        "import contextlib, io, sys\n"
        "from experiments.cli.main import main\n"
        "for verb in sys.argv[1:]:\n"
        "    with contextlib.redirect_stdout(io.StringIO()) as told:\n"
        "        assert main([verb, '--help']) == 0, verb\n"
        "    assert 'Exit codes' in told.getvalue(), verb\n"
        "heavy = 'torch numpy transformers librosa scipy sqlite3 soundfile shtab sounddevice'\n"
        "print(*sorted(set(heavy.split()) & set(sys.modules)))\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", program, *verbs()], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert told.stdout.split() == []


def test_help_takes_less_than_a_third_of_a_second_of_computing(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for words in (["--help"], ["evolve", "--help"]):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, "-m", "experiments.cli", *words]
        subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.3


def verbs() -> Sequence[str]:
    return list(build_parser()._subparsers._group_actions[0].choices)  # argparse has no public way


def test_all_verbs_are_there():
    assert set(VERBS) <= set(verbs())


@pytest.mark.parametrize("words", [["nonsense"], ["tree"], ["export", "runs.db", "png"], ["status", "--jason"], []])
def test_wrong_usage_is_exit_2(words, capsys):
    code, out, _ = lab(*words, capsys=capsys)
    assert (code, out) == (2, "")


def test_completion_scripts_are_complete(capsys, tmp_path):
    for shell in ("bash", "zsh", "fish"):
        code, script, _ = lab("completion", shell, capsys=capsys)
        assert code == 0
        assert all(verb in script for verb in VERBS)
        assert "bark-lab recipes --names" in script
        if shell == "bash":
            subprocess.run(["bash", "-n"], input=script, text=True, check=True)


# -- status, verify -----------------------------------------------------------------------------------------------


def test_status_tells_how_far_a_run_is(here, capsys):
    code, out, _ = lab("status", "runs.db", capsys=capsys)
    assert code == 0
    assert "voices" in out
    assert "paused" in out
    assert "go on with: bark-lab resume runs.db" in out
    code, out, _ = lab("status", "--json", capsys=capsys)  # the newest file of the folder
    told = json.loads(out)
    assert code == 0
    assert told["writer"] is None
    [run] = told["runs"]
    assert run["births"] == 40 == run["ok"] + run["rejected"] + run["failed"]
    assert run["why_not"]["it does not end"] > 0


def test_status_sees_a_run_that_another_process_is_writing(here):
    with Lineage.write("runs.db", who="bark-lab run voices") as lineage:
        run = lineage.run("voices")
        lineage.set_state(run.run_id, "running")
        told = process("status", "runs.db", cwd=here)
        assert told.returncode == 0, told.stderr
        assert "being written by bark-lab run voices" in told.stdout
        assert "running" in told.stdout
        lineage.record_asked(run.run_id, [candidate(41)])
        again = json.loads(process("status", "runs.db", "--json", cwd=here).stdout)
        assert again["runs"][0]["births"] == 41
        assert again["runs"][0]["pending"] == 1
    told = process("status", "runs.db", cwd=here)
    assert "its process ended before it could say why" in told.stdout


def test_verify_prints_the_content_hash_and_finds_what_was_altered(here, capsys):
    code, out, _ = lab("verify", "runs.db", capsys=capsys)
    with Lineage.view("runs.db") as lineage:
        expected = verification.content_sha256(lineage)
    assert code == 0
    assert f"content sha256: {expected}" in out
    altered = sqlite3.connect("runs.db")
    altered.execute("UPDATE births SET seed = seed + 1 WHERE id = (SELECT min(id) FROM births)")
    altered.commit()
    altered.close()
    code, out, _ = lab("verify", "runs.db", capsys=capsys)
    assert code == 1
    assert "problem: " in out
    assert "content sha256" not in out
    code, out, _ = lab("verify", "runs.db", "--json", capsys=capsys)
    assert code == 1
    assert json.loads(out)["problems"]


# -- files that are not what they should be -----------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["status", "verify", "tree", "judge", "gc"])
def test_wrong_files_are_one_plain_line(verb, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("junk.db").write_bytes(b"no database at all" * 50)
    Path("empty.db").touch()
    sqlite3.connect("foreign.db").execute("CREATE TABLE cooking (recipe)").connection.close()
    with Lineage.write("future.db"):
        pass
    future = sqlite3.connect("future.db")
    future.execute(f"PRAGMA user_version = {VERSION + 1}")
    future.close()
    Path("folder.db").mkdir()
    for file in ("missing.db", "junk.db", "empty.db", "foreign.db", "future.db", "folder.db", "a\x1b[31m.db"):
        before = {path.name: path.stat().st_size for path in tmp_path.iterdir() if path.suffix == ".db"}
        code, out, error = lab(verb, file, capsys=capsys)
        assert (code, out) == (2, ""), (file, out)
        assert error.count("\n") == 1, error
        assert "Traceback" not in error
        assert "\x1b" not in error
        assert {p.name: p.stat().st_size for p in tmp_path.iterdir() if p.suffix == ".db"} == before, file


def test_a_file_that_is_being_written_is_refused_by_name_of_its_writer(here):
    with Lineage.write("runs.db", who="bark-lab run overnight"):
        for verb in (["gc", "runs.db"], ["judge", "runs.db"]):
            told = process(*verb, cwd=here)
            assert told.returncode == 2
            assert "bark-lab run overnight" in told.stderr
            assert told.stderr.count("\n") == 1


def test_files_of_released_schemas_say_how_to_migrate_and_do(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    fixture(1, tmp_path / "old.db")
    code, _, error = lab("status", "old.db", capsys=capsys)
    assert code == 2
    assert "bark-lab migrate old.db" in error
    code, out, _ = lab("migrate", "old.db", capsys=capsys)
    assert code == 0
    assert "old.v1.backup.db" in out
    assert lab("verify", "old.db", capsys=capsys)[0] == 0
    assert lab("migrate", "nothing.db", capsys=capsys)[0] == 2
    assert not Path("nothing.db").exists()


def test_an_error_shows_where_it_came_from_only_when_asked(here, capsys):
    assert "Traceback" not in lab("tree", "runs.db", "99", capsys=capsys)[2]
    assert "Traceback" in process("tree", "runs.db", "99", "--debug", cwd=here).stderr


# -- tree -----------------------------------------------------------------------------------------------------------


def test_tree_draws_every_ancestor_once_and_says_so(here, capsys):
    code, out, _ = lab("tree", "runs.db", "38", capsys=capsys)
    with Lineage.view("runs.db") as lineage:
        from experiments.lineage import ancestry

        ancestors = ancestry.ancestors(lineage, 1, 38)
    assert code == 0
    lines = [line for line in out.splitlines() if "#" in line][:-1]
    drawn = [line for line in lines if "(drawn above)" not in line]
    numbers = [int(line.split("#")[1].split()[0]) for line in drawn]
    assert sorted(numbers) == sorted([38, *ancestors])
    assert f"#38 has {len(ancestors)} ancestors" in out


def test_tree_of_a_generation_hangs_from_its_founders(here, capsys):
    code, out, _ = lab("tree", "runs.db", "--generation", "3", "--json", capsys=capsys)
    told = json.loads(out)
    births = {one["birth"]: one for one in told["births"]}
    assert code == 0
    assert all(not births[root]["parents"] for root in told["roots"])
    with Lineage.view("runs.db") as lineage:
        expected = {life.candidate.birth for life in lineage.lives(1) if life.candidate.generation == 3}
    assert {one for one in births if births[one]["generation"] == 3} == expected != set()
    assert lab("tree", "runs.db", "--generation", "99", capsys=capsys)[0] == 2


def test_tree_of_ten_thousand_generations_needs_no_stack(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    from digital_evolution import Parent

    with Lineage.write("long.db") as lineage:
        run_id = lineage.begin_run("long").run_id
        line = [
            Candidate(birth, Genome("on"), (Parent(birth - 1, "first"),) if birth > 1 else (), generation=birth - 1)
            for birth in range(1, 3_001)
        ]
        lineage.record_asked(run_id, line)
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = lab("tree", "long.db", "3000", "--depth", "5000", "--limit", "5000", capsys=capsys)
    assert code == 0
    assert "not all is drawn" in out
    assert max(map(len, out.splitlines()[:-2])) <= 80
    assert "primary line is 3,000 long" in out


def test_prompts_with_terminal_controls_are_shown_not_obeyed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with Lineage.write("evil.db") as lineage:
        run_id = lineage.begin_run(EVIL).run_id
        lineage.record_asked(run_id, [Candidate(1, Genome(EVIL)), Candidate(2, Genome("\u001b[0m" * 9))])
        lineage.set_state(run_id, "paused", EVIL)
        people.tag(lineage, run_id, 1, EVIL)
    for words in (["status"], ["tree", "evil.db", "1"], ["tree", "evil.db", "1", "--json"], ["verify"]):
        code, out, error = lab(*words, capsys=capsys)
        assert code == 0, error
        assert not set(out + error) & set("\x1b\x07\x9b\u202e"), words
    assert "\\x1b]0;owned" in lab("tree", "evil.db", "1", capsys=capsys)[1]


def test_exports_for_programs_are_exact_and_for_terminals_harmless():
    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return True

    file, screen = io.StringIO(), Screen()
    for stream in (file, screen):
        Terminal.of(stream).write(f"{EVIL}\n")
    assert file.getvalue() == f"{EVIL}\n"
    assert not set(screen.getvalue()) & set("\x1b\x07\x9b\u202e")
    assert screen.getvalue().count("\n") == 2


@given(st.text(alphabet=st.characters()))
@settings(max_examples=300, deadline=None)
def test_no_text_reaches_the_terminal_with_anything_it_would_obey(text):
    stream = io.StringIO()
    plain = Terminal(stream, width=20)
    plain.say(text, Painted(text, "bad"), cut=True)
    plain.table(("a", "b"), [(text, text)])
    sent = stream.getvalue()
    assert sent.count("\n") == 3
    assert all(
        char == "\n" or char.isprintable() or char in "\u200c\u200d \u00a0\u3000" or char.isspace() for char in sent
    )
    assert not any(0x7F <= ord(char) < 0xA0 or ord(char) < 0x20 for char in sent.replace("\n", ""))
    assert printable(printable(text)) == printable(text)
    assert width_of(fitted(printable(text), 10)) <= 10


def test_colours_are_for_terminals_and_not_for_those_who_set_no_color(here):
    def on_a_terminal(**env: str) -> str:
        leader, follower = pty.openpty()
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", **env}
        environment = {key: value for key, value in environment.items() if value}
        done = subprocess.Popen(
            [sys.executable, "-m", "experiments.cli", "tree", "runs.db", "9"],
            cwd=here, env=environment, stdout=follower, stderr=follower, stdin=follower,
        )  # fmt: skip
        os.close(follower)
        told = b""
        try:
            while piece := os.read(leader, 65_536):
                told += piece
        except OSError:  # the end, as Linux says it
            pass
        os.close(leader)
        assert done.wait(30) == 0
        return told.decode()

    assert "\x1b[1m#9\x1b[0m" in on_a_terminal(NO_COLOR="")
    assert "\x1b" not in on_a_terminal(NO_COLOR="1")
    assert "\x1b" not in process("tree", "runs.db", "9", cwd=here).stdout


def test_a_terminal_without_box_drawing_gets_ascii(here):
    told = process("tree", "runs.db", "9", cwd=here, env={"PYTHONIOENCODING": "ascii"})
    assert told.returncode == 0
    assert told.stdout.isascii()
    assert "`- " in told.stdout


def test_a_reader_who_has_enough_is_no_error(here):
    shown = subprocess.run(
        f"'{sys.executable}' -m experiments.cli export runs.db json - | head -c 10; echo ${{PIPESTATUS[0]}}",
        shell=True, executable="/bin/bash", cwd=here, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True,
    )  # fmt: skip
    assert shown.stdout.endswith("\n0\n") or shown.stdout.endswith("0\n")
    assert shown.stderr == ""


# -- export, import, gc, voices -------------------------------------------------------------------------------------


def test_exports_are_what_the_store_says(here, capsys):
    assert lab("export", "runs.db", "csv", capsys=capsys)[0] == 0
    with open("runs-voices.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["id"]) for row in rows] == list(range(1, 41))
    code, out, _ = lab("export", "runs.db", "newick", "-", capsys=capsys)
    assert code == 0
    assert out.count(";\n") == out.count("\n") > 1
    code, _, error = lab("export", "runs.db", "csv", capsys=capsys)
    assert code == 2
    assert "--overwrite" in error
    assert lab("export", "runs.db", "csv", "--overwrite", capsys=capsys)[0] == 0
    assert lab("export", "runs.db", "csv", "wrong.txt", capsys=capsys)[0] == 2
    assert lab("export", "runs.db", "json", "no/such/folder.json", capsys=capsys)[0] == 2


def test_exported_voices_can_be_imported(here, capsys):
    code, out, _ = lab("export", "runs.db", "voices", "out", "--births", "1,7-8", capsys=capsys)
    assert code == 0
    assert len(out.splitlines()) == 3
    (here / "out" / "broken.npz").write_bytes(b"PK nonsense")
    code, out, _ = lab("import", "new.db", "out", capsys=capsys)
    assert code == 1
    assert "3 voices stored" in out
    assert "broken was left out" in out
    with Lineage.view("new.db") as lineage:
        assert lineage.voice(voice(2001).sha256) == voice(2001)
    assert lab("import", "other.db", "nowhere", capsys=capsys)[0] == 2
    assert not Path("other.db").exists()


def test_exported_clips_are_those_that_were_kept(here, capsys):
    code, out, error = lab("export", "runs.db", "clips", "--births", "1,2", capsys=capsys)
    assert code == 0, error
    from bark_infinity.audio import read_audio

    audio, rate = read_audio(out.splitlines()[1])
    assert rate == 24_000
    assert np.allclose(audio, np.sin(np.arange(4_800) * 0.1) * 0.04, atol=1e-4)


def test_births_are_chosen_by_number_rank_or_tag(here, capsys):
    with Lineage.write("runs.db") as lineage:
        people.tag(lineage, 1, 7, "favourite")
    assert lab("export", "runs.db", "voices", "a", "--tagged", "favourite", capsys=capsys)[1] == "a/voices_7.npz\n"
    assert len(lab("export", "runs.db", "voices", "b", "--best", "3", capsys=capsys)[1].splitlines()) == 3
    for wrong in (["--births", "0"], ["--births", "5-2"], ["--births", "1,x"], ["--births", "77"], ["--tagged", "no"]):
        assert lab("export", "runs.db", "voices", "c", *wrong, capsys=capsys)[0] == 2


@pytest.mark.parametrize(("text", "expected"), [("1,5-7", [1, 5, 6, 7]), (" 3 ", [3]), ("2,1,2", [1, 2])])
def test_birth_ranges(text, expected):
    assert chosen.numbers(text) == expected


@given(st.text(alphabet="0123456789,- x²", max_size=12))
def test_birth_ranges_are_numbers_or_an_error(text):
    try:
        births = chosen.numbers(text)
    except BarkError:
        return
    assert births == sorted(set(births))
    assert births[0] >= 1


def test_gc_says_what_it_let_go(here, capsys):
    code, out, _ = lab("gc", "runs.db", "--json", "--ancestors", "none", "--compact", capsys=capsys)
    told = json.loads(out)
    assert code == 0
    assert told["voices"] >= 0
    assert lab("verify", "runs.db", capsys=capsys)[0] == 0


def test_voices_lists_what_can_be_named(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    voice(1).save(tmp_path / "mine.npz")
    (tmp_path / "bad.npz").write_bytes(b"nothing")
    code, out, _ = lab("voices", "--folder", ".", capsys=capsys)
    assert code == 0
    assert "mine" in out
    assert "unusable" in out
    code, out, _ = lab("voices", "mi", "--folder", ".", "--json", capsys=capsys)
    assert [entry["name"] for entry in json.loads(out)["voices"]] == ["mine"]
    assert lab("voices", "nobody", "--folder", ".", capsys=capsys)[0] == 1


# -- judge, doctor --------------------------------------------------------------------------------------------------


def test_judging_in_the_terminal_records_undoes_and_tells_which_was_which(here, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO("what\n1\nt\nu\nb\ns\n2\nq\n"))
    code, out, error = lab("judge", "runs.db", "--rater", "ada", "--folder", "ears", "--silent", capsys=capsys)
    assert code == 0, error
    assert "that is no answer" in out
    assert "3 answers recorded" in out
    with Lineage.view("runs.db") as lineage:
        said = people.judgements(lineage, 1, withdrawn=True)
        assert [one.kind for one in said] == ["better", "equal", "both_bad", "better"]
        assert [one.withdrawn for one in said] == [False, True, False, False]
        assert {one.rater for one in said} == {"ada"}
        assert len({one.session for one in said}) == 1
        assert verification.verify(lineage) == []
        assert all(score(birth).status == "ok" for one in said for birth in (one.one, one.other) if birth)
    assert {path.name for path in (here / "ears").iterdir()} == {"1.wav", "2.wav"}


def test_earlier_answers_are_read_once_and_not_after_each_answer(here, monkeypatch, capsys):
    read = []
    query = Lineage.query

    def counted(self, sql, *rest):
        rows = query(self, sql, *rest)
        read.extend(rows if "judgements" in sql else ())
        return rows

    monkeypatch.setattr(Lineage, "query", counted)
    for answers, known in (("1\n2\nt\n1\nb\n1\n", 0), ("1\n1\nu\n2\n1\n", 6)):
        read.clear()
        monkeypatch.setattr(sys, "stdin", io.StringIO(answers))
        assert lab("judge", "runs.db", "--silent", capsys=capsys)[0] == 0
        assert len(read) == known
    with Lineage.view("runs.db") as lineage:
        assert len(people.judgements(lineage, 1)) == 9


def test_what_a_sitting_learns_is_what_the_next_one_learns_from_the_file(here, monkeypatch, capsys):
    from experiments.cli import judging

    sittings = []
    made = judging._learner
    monkeypatch.setattr(judging, "_learner", lambda *given: sittings.append(made(*given)) or sittings[-1])
    for answers in ("1\n2\nt\nb\n1\n", ""):
        monkeypatch.setattr(sys, "stdin", io.StringIO(answers))
        assert lab("judge", "runs.db", "--silent", capsys=capsys)[0] == 0
    taught, read = sittings
    assert taught._answers == read._answers
    assert len(taught._answers) == 5


def test_judged_clips_are_equally_loud(here):
    from experiments.cli.playback import evened

    rng = np.random.default_rng(0)
    quiet, loud = rng.normal(0, 0.001, 24_000), rng.normal(0, 0.2, 24_000)
    rms = [float(np.sqrt(np.mean(evened(one) ** 2))) for one in (quiet, loud)]
    assert rms[0] == pytest.approx(rms[1], rel=1e-3)
    assert np.abs(evened(np.r_[1.0, np.zeros(100_000)])).max() <= 0.99
    assert not evened(np.zeros(10)).any()


def test_players_that_fail_say_so_and_judging_goes_on_without(here, monkeypatch, capsys):
    from experiments.cli.playback import Player

    works, fails = Player("works", ("true",)), Player("fails", ("false",))
    works.play(Path("any.wav"))
    with pytest.raises(BarkError, match="play it by hand"):
        fails.play(Path("any.wav"))
    monkeypatch.setattr("experiments.cli.judging.find_player", lambda: fails)
    monkeypatch.setattr(sys, "stdin", io.StringIO("2\n1\n"))  # and then the terminal is closed
    code, out, _ = lab("judge", "runs.db", capsys=capsys)
    assert code == 0
    assert out.count("play it by hand") == 1
    assert "2 answers recorded" in out


def test_judging_needs_two_clips(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with Lineage.write("bare.db") as lineage:
        evolve(lineage, 4)
    code, _, error = lab("judge", "bare.db", "--silent", capsys=capsys)
    assert code == 2
    assert "a pair needs two" in error


def test_doctor_tells_what_is_there_and_what_to_do(here):
    told = process("doctor", "--json", cwd=here)
    findings = {one["what"]: one for one in json.loads(told.stdout)["findings"]}
    assert told.returncode == 0, told.stdout
    assert findings["checkpoint"]
    assert all(one["advice"] for one in findings.values() if one["state"] != "ok")
    assert {
        "Python",
        "libraries",
        "threads",
        "device",
        "memory",
        "disk",
        "recogniser",
        "audio device",
        "window",
    } <= set(findings)


def test_doctor_survives_a_broken_library(here, monkeypatch, capsys):
    monkeypatch.setattr("fusion.words.recognisers.default_recogniser", lambda: 1 / 0)
    code, out, _ = lab("doctor", capsys=capsys)
    assert code == 0
    assert "ZeroDivisionError" in out


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (42, "42 s"), (185, "3 min 5 s"), (7_800, "2 h 10 min"), (273_600, "3 d 4 h")]
)
def test_durations_read_well(seconds, text):
    assert terminal.duration(seconds) == text
