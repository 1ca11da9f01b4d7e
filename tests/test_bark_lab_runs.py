"""`bark-lab` running things: evolve, run, resume, branch, replay, report, signals; with a made-up studio."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import time
from pathlib import Path

import made_up_studio
import pytest
import runner_builders
from runner_builders import RECIPE, in_process

from bark_infinity.error_handling import BarkError
from experiments.cli.main import main
from experiments.lineage import Lineage, browse, people
from experiments.lineage.verification import content_sha256, verify

SMALL = ["--set", "judge.objectives=['intelligibility','cleanliness']", "--set", "weights=[1, 1]"]
VOICES = ["--voice", "micro/adam", "--voice", "micro/klara"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder of a person's own, a recipe file in it, and no models."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("experiments.runner.executor_of", in_process)
    tables = [f"{key} = {json.dumps(value)}" for key, value in RECIPE.items() if not isinstance(value, dict)]
    for name, table in RECIPE.items():
        if isinstance(table, dict):
            tables += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
    Path("mine.toml").write_text("\n".join(tables), "utf-8")
    return tmp_path


def lab(*words: str, capsys) -> tuple[int, str, str]:
    code = main(list(words))
    told = capsys.readouterr()
    return code, told.out, told.err


def content(path: str | Path, *, order: bool = True) -> str:
    with Lineage.view(path) as lineage:
        assert verify(lineage) == []
        return content_sha256(lineage, order=order)


# -- evolve and run -------------------------------------------------------------------------------------------------


def test_evolve_makes_a_new_file_and_ends_with_everything_to_go_on_from(here, capsys):
    code, out, error = lab("evolve", "Good morning. \u266a", *VOICES, *SMALL, "--births", "24", capsys=capsys)
    assert code == 0, error
    assert "recording voices in Good_morning._\u266a.db" in error
    assert "step 3: 24/24 births" in error
    assert "evolved" in out
    assert "chance" in out
    told = {line.split()[0]: line.split(maxsplit=1)[1] for line in out.splitlines() if line}
    assert told["lineage"] == "Good_morning._\u266a.db"
    assert Path(told["report"]).read_text("utf-8").startswith("<!DOCTYPE html>")
    clips = [word for line in out.splitlines() for word in line.split() if word.endswith(".wav")]
    assert clips
    with Lineage.view(told["lineage"]) as lineage:
        assert {life.candidate.genome.prompt for life in lineage.lives(1)} == {"Good morning. \u266a"}
    resume = next(line for line in out.splitlines() if "bark-lab resume" in line)
    assert resume.endswith("--births 48")
    code, out, error = lab(
        "evolve", "Good morning. \u266a", *VOICES, *SMALL, "--births", "8", "--quiet", "--no-report", capsys=capsys
    )
    assert (code, error) == (0, "")
    assert "Good_morning._\u266a_2.db" in out  # never into the file of another evening


@pytest.mark.parametrize(
    "text", ["Hi \U0001f600!", 'a "no" \\ [laughs]', "tab\tand \x7f and \x1b[31m red", "it's # = 1"]
)
def test_any_text_reaches_evolution_as_it_was_typed(here, capsys, text):
    words = ["evolve", text, *VOICES, *SMALL, "--births", "1", "--quiet", "--no-report", "--db", "a.db"]
    code, out, error = lab(*words, capsys=capsys)
    assert code in (0, 1), error
    assert "\x1b" not in out + error
    with Lineage.view("a.db") as lineage:
        assert lineage.candidate(1, 1).genome.prompt == text


def test_bytes_that_are_no_text_are_refused(here, capsys):
    code, _, error = lab("evolve", os.fsdecode(b"caf\xe9"), capsys=capsys)
    assert code == 2
    assert "is no text" in error


def test_run_answers_programs(here, capsys):
    code, out, error = lab("run", "mine.toml", "--db", "a.db", "--json", "--quiet", "--no-report", capsys=capsys)
    assert (code, error) == (0, "")
    told = json.loads(out)
    assert (told["run"], told["state"], told["births"]) == ("made up", "done", 24)
    assert told["ok"] + told["rejected"] + told["failed"] == 24
    assert told["equal_budget"]["births_of_each_arm"] > 0
    with Lineage.view("a.db") as lineage:
        [best] = browse.best(lineage, 1, count=1)
        assert told["best"]["value"] <= best[1]
    assert all(Path(path).is_file() for path in [told["report"], *told["clips"].values()] if path)


def test_settings_change_with_set_and_typos_are_told(here, capsys):
    code, out, error = lab("run", "mine.toml", "--set", "stop.evaluation=3", capsys=capsys)
    assert (code, out) == (2, "")
    assert "did you mean stop.evaluations?" in error
    for words in (
        ["run", "nonsense"],
        ["run", "mine.toml", "--db", "no/folder/x.db"],
        ["run", "mine.toml", "--seed", "-1"],
    ):
        code, out, error = lab(*words, capsys=capsys)
        assert (code, out, error.count("\n")) == (2, "", 1), error
    code, out, error = lab("run", "mine.toml", "--set", "founders.voices=['nobody']", "--db", "n.db", capsys=capsys)
    assert code == 2
    assert "nobody" in error
    assert not list(here.glob("n.db*"))  # no empty file is left behind


def test_a_run_that_fails_is_exit_3_and_says_how_to_go_on(here, monkeypatch, capsys):
    def broken(config, base, say):
        raise BarkError("the checkpoint is gone; bring it back")

    monkeypatch.setattr("experiments.runner.executor_of", broken)
    code, _, error = lab("run", "mine.toml", "--db", "a.db", capsys=capsys)
    assert code == 3
    assert "the checkpoint is gone" in error
    monkeypatch.setattr("experiments.runner.executor_of", in_process)
    assert lab("resume", "a.db", "--quiet", "--no-report", capsys=capsys)[0] == 0


def test_texts_that_cannot_be_said_and_recordings_that_are_not_there_begin_nothing(here, capsys):
    for words in (["evolve", "안녕하세요"], ["evolve", "word " * 300], ["run", "towards-a-recording"]):
        code, out, error = lab(*words, capsys=capsys)
        assert (code, out, error.count("\n")) == (2, "", 1), error
    assert not list(here.glob("*.db*"))


def test_a_run_in_which_nothing_was_ok_is_not_fine(here, monkeypatch, capsys):
    from experiments.evaluation import failed

    monkeypatch.setattr(made_up_studio.MadeUpStudio, "_judged", lambda studio, one: failed(one.candidate, "made up"))
    code, out, _ = lab("run", "mine.toml", "--db", "a.db", "--births", "4", "--quiet", "--no-report", capsys=capsys)
    assert code == 1
    assert "no birth was ok" in out
    assert "4 failed: made up" in out


def test_two_runs_at_once_are_refused_with_the_name_of_the_writer(here, capsys):
    with Lineage.write("a.db", who="bark-lab, somebody else"):
        code, _, error = lab("run", "mine.toml", "--db", "a.db", capsys=capsys)
    assert code == 2
    assert "somebody else" in error


# -- resume, branch, diff -------------------------------------------------------------------------------------------


def test_resume_goes_on_to_a_later_limit_and_refuses_to_become_another_run(here, capsys):
    assert lab("run", "mine.toml", "--db", "a.db", "--births", "8", "--quiet", "--no-report", capsys=capsys)[0] == 0
    assert "bark-lab resume a.db" in lab("status", "a.db", capsys=capsys)[1] or True
    code, out, _ = lab("resume", "a.db", "--births", "24", "--quiet", "--no-report", capsys=capsys)
    assert code == 0
    assert "is done (24 evaluations are done)" in out
    assert lab("run", "mine.toml", "--db", "b.db", "--quiet", "--no-report", capsys=capsys)[0] == 0
    assert content("a.db") == content("b.db")
    code, _, error = lab("resume", "a.db", "--set", "algorithm.population=9", capsys=capsys)
    assert code == 2
    assert "bark-lab branch" in error
    assert lab("resume", "a.db", "--run", "nobody", capsys=capsys)[0] == 2


def test_branch_begins_with_a_birth_and_diff_says_where_runs_part(here, capsys):
    assert lab("run", "mine.toml", "--db", "a.db", "--quiet", "--no-report", capsys=capsys)[0] == 0
    code, _, error = lab(
        "branch", "a.db", "5", "--name", "deeper", "--births", "8", "--quiet", "--no-report", capsys=capsys
    )
    assert code == 0, error
    with Lineage.view("a.db") as lineage:
        run = lineage.run("deeper")
        assert run.branched_from == (1, 5)
        assert lineage.candidate(run.run_id, 1).genome == lineage.candidate(1, 5).genome
    code, out, _ = lab("diff", "a.db", "made up", "deeper", capsys=capsys)
    assert code == 0
    assert "stop.evaluations: 24  |  8" in out
    status = json.loads(lab("status", "a.db", "--json", capsys=capsys)[1])
    assert [run["name"] for run in status["runs"]] == ["made up", "deeper"]
    assert status["runs"][1]["resume"] == "bark-lab resume a.db --run deeper"
    assert lab("branch", "a.db", "99", capsys=capsys)[0] == 2


# -- looking back ---------------------------------------------------------------------------------------------------


def test_replay_tells_what_was_recorded_in_order(here, capsys):
    assert lab("run", "mine.toml", "--db", "a.db", "--quiet", "--no-report", capsys=capsys)[0] == 0
    code, out, _ = lab("replay", "a.db", "--json", capsys=capsys)
    events = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert events[0]["event"] == "begun"
    assert [one["birth"] for one in events if one["event"] == "told"] == list(range(1, 25))
    assert sum(one["event"] == "committed" for one in events) == 6
    assert events[-1] == {"event": "statechanged", "state": "done", "reason": "24 evaluations are done"}
    code, out, _ = lab("replay", "a.db", "--at-birth", "3", capsys=capsys)
    assert code == 0
    assert "#3 " in out
    assert "#4 " not in out
    began = time.monotonic()
    assert lab("replay", "a.db", "--at-birth", "10", "--speed", "50", capsys=capsys)[0] == 0
    assert time.monotonic() - began >= 0.2
    assert lab("replay", "a.db", "--at-birth", "99", capsys=capsys)[0] == 2
    assert lab("replay", "a.db", "--speed", "0", capsys=capsys)[0] == 2
    assert lab("replay", "a.db", "--times", "nan", capsys=capsys)[0] == 2
    _, everything, _ = lab("replay", "a.db", capsys=capsys)
    assert lab("replay", "a.db", "--times", "1e6", capsys=capsys)[1] == everything
    _, late, _ = lab("replay", "a.db", "--from-birth", "15", capsys=capsys)
    assert late.splitlines() == [everything.splitlines()[0], *everything[everything.index("  #15 ") :].splitlines()]


def test_regenerated_births_are_compared_and_a_difference_is_exit_1(here, monkeypatch, capsys):
    class Opened(made_up_studio.MadeUpStudio):
        engine = None

    def opened(config, base):
        return Opened(runner_builders.micro_space())

    monkeypatch.setattr("experiments.studio.Studio.open", opened)
    monkeypatch.setattr("experiments.replay.regenerating.cautions", lambda run, engine: ["another device"])
    assert lab("run", "mine.toml", "--db", "a.db", "--quiet", "--no-report", capsys=capsys)[0] == 0
    with Lineage.view("a.db") as lineage:
        rendered = [birth for birth, one in lineage.outcomes(1, range(1, 25)).items() if one.output_sha256][:4]
    births = ",".join(map(str, rendered))
    code, out, _ = lab("replay", "a.db", "--regenerate", births, capsys=capsys)
    assert code == 0, out
    assert "4 of 4 births have the very tokens recorded" in out
    assert "another device" in out
    voice = made_up_studio.made_up_voice
    monkeypatch.setattr(made_up_studio, "made_up_voice", lambda space, *facts: voice(space, "other", *facts))
    code, out, _ = lab("replay", "a.db", "--regenerate", births, "--json", capsys=capsys)
    assert code == 1
    assert [one["same"] for one in json.loads(out)["births"]] == [False] * 4


def test_report_is_written_where_asked(here, capsys):
    assert lab("run", "mine.toml", "--db", "a.db", "--quiet", "--no-report", capsys=capsys)[0] == 0
    assert not list(here.glob("*.html"))
    assert lab("report", "a.db", "-o", "r.html", capsys=capsys)[:2] == (0, "r.html\n")
    assert "made up" in Path("r.html").read_text("utf-8")
    assert lab("report", "a.db", "-o", "no/folder/r.html", capsys=capsys)[0] == 2


def test_what_was_judged_between_two_sittings_is_known_to_the_next(here, monkeypatch, capsys):
    kept = ["--set", "execution.clips='all'"]
    assert (
        lab("run", "mine.toml", "--db", "a.db", "--births", "8", *kept, "--quiet", "--no-report", capsys=capsys)[0] == 0
    )
    monkeypatch.setattr(sys, "stdin", io.StringIO("1\nb\nt\n\n"))
    assert lab("judge", "a.db", "--silent", capsys=capsys)[0] == 0
    assert lab("resume", "a.db", "--births", "16", "--quiet", "--no-report", capsys=capsys)[0] == 0
    with Lineage.view("a.db") as lineage:
        assert [one.kind for one in people.judgements(lineage, 1)] == ["better", "both_bad", "equal"]
        assert verify(lineage) == []


# -- signals --------------------------------------------------------------------------------------------------------


class Forked:
    """`bark-lab` in a process of its own, in no hurry; forked, because loading torch anew would take seconds."""

    def __init__(self, *words: str, seconds_per_batch: float = 0.1) -> None:
        ours, theirs = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            code = 99
            try:
                signal.signal(signal.SIGHUP, signal.SIG_DFL)  # these tests may run under nohup
                os.dup2(theirs, 2)
                os.dup2(os.open("out.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
                sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w", buffering=1)
                render = made_up_studio.MadeUpStudio.render

                def slowly(studio, jobs):
                    time.sleep(seconds_per_batch)
                    return render(studio, jobs)

                made_up_studio.MadeUpStudio.render = slowly
                code = main(list(words))
            finally:
                sys.stdout.flush()
                os._exit(code)
        os.close(theirs)
        self.errors = os.fdopen(ours)
        self.told = ""

    def wait_for(self, word: str) -> None:
        """Until it has said that."""
        for line in self.errors:
            self.told += line
            if word in line:
                return
        raise AssertionError(self.told)

    def end(self) -> int:
        """Its exit code, when it has ended by itself."""
        self.told += self.errors.read()
        self.errors.close()
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def same_as_uninterrupted(capsys) -> bool:
    assert lab("resume", "a.db", "--quiet", "--no-report", capsys=capsys)[0] == 0
    assert lab("run", "mine.toml", "--db", "b.db", "--quiet", "--no-report", capsys=capsys)[0] == 0
    return content("a.db", order=False) == content("b.db", order=False)


@pytest.mark.parametrize(
    ("number", "why"), [(signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM"), (signal.SIGHUP, "closed")]
)
def test_one_signal_finishes_and_says_how_to_resume_exactly(here, capsys, number, why):
    process = Forked("run", "mine.toml", "--db", "a.db")
    process.wait_for("step 1")
    os.kill(process.pid, number)
    assert process.end() == 130, process.told
    assert "finishing what is being rendered" in process.told
    resume = next(line for line in process.told.splitlines() if line.startswith("go on later with: "))
    assert resume == "go on later with: bark-lab resume a.db --run 'made up'"
    out = Path("out.txt").read_text("utf-8")
    assert "made up is paused" in out
    assert why in out.splitlines()[0]
    assert same_as_uninterrupted(capsys)


def test_a_second_signal_ends_at_once_and_loses_nothing(here, capsys):
    process = Forked("run", "mine.toml", "--db", "a.db", seconds_per_batch=1.0)
    process.wait_for("step 1")
    os.kill(process.pid, signal.SIGINT)
    process.wait_for("finishing")
    os.kill(process.pid, signal.SIGINT)
    began = time.monotonic()
    assert process.end() == 130
    assert time.monotonic() - began < 8
    with Lineage.view("a.db") as lineage:
        assert lineage.last_birth(1) >= 4
    assert same_as_uninterrupted(capsys)


def test_a_killed_run_is_told_as_such_and_resumes(here, capsys):
    process = Forked("run", "mine.toml", "--db", "a.db")
    process.wait_for("step 2")
    os.kill(process.pid, signal.SIGKILL)
    assert process.end() == -signal.SIGKILL
    code, out, _ = lab("status", "a.db", capsys=capsys)
    assert code == 0
    assert "its process ended before it could say why" in out
    assert "bark-lab resume a.db" in out
    assert same_as_uninterrupted(capsys)


# -- the line that says how it goes -----------------------------------------------------------------------------------


class Screen(io.StringIO):
    """A terminal that remembers what it was sent."""

    def isatty(self) -> bool:
        return True


def test_progress_line_tells_births_the_best_and_the_time_left(here, monkeypatch, capsys):
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("COLUMNS", "70")
    monkeypatch.setattr("experiments.cli.progress._LEAST_BETWEEN_S", 0.0)
    assert main(["run", "mine.toml", "--db", "a.db", "--no-report"]) == 0
    frames = screen.getvalue().split("\r\x1b[K")
    drawn = [frame for frame in frames if "/24 births" in frame]
    assert len(drawn) > 10
    assert all(len(frame) < 70 for frame in drawn)
    assert any("left" in frame and "best 0." in frame for frame in drawn)
    assert drawn[-1].startswith("█" * 16)
    assert frames[-1] == ""  # the line is taken away in the end


def test_a_terminal_that_is_gone_does_not_disturb_the_run(here, monkeypatch, capsys):
    class Gone(Screen):
        def write(self, text: str) -> int:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(sys, "stderr", Gone())
    assert main(["run", "mine.toml", "--db", "a.db", "--quiet", "--no-report"]) == 0
    assert main(["run", "mine.toml", "--db", "b.db", "--no-report"]) == 0
    assert content("a.db") == content("b.db")
