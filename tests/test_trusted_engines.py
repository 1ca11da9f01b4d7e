"""Which checkpoint speaks is a person's to say: a lineage file from elsewhere opens none that nobody here has named."""

from __future__ import annotations

import json
import os
import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import board_events
import pytest
from made_up_studio import MadeUpStudio
from runner_builders import RECIPE, config, in_process, micro_space

from bark_infinity.audio import write_audio
from bark_infinity.checkpoints.sources import MICRO_DIRECTORY
from bark_infinity.error_handling import BarkError
from experiments import trusted_engines
from experiments.cli.main import main
from experiments.config import RunConfig
from experiments.evaluation import Evaluated, Rendered
from experiments.executors.in_process import InProcess
from experiments.lineage import Lineage
from experiments.runner import Runner
from experiments.trusted_engines import Model
from fusion.score import Term


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> Path:
    """Somebody's machine, on which nothing was named yet; runs need no models."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("experiments.runner.executor_of", in_process)
    return tmp_path


def foreign(folder: Path) -> Path:
    """A file, made by somebody else, that speaks with a model in a folder."""
    model = folder / "a model"
    shutil.copytree(MICRO_DIRECTORY, model)
    path = folder / "foreign.db"
    voices = {"voices": ["micro/adam", "micro/klara"]}
    how = config(model={"checkpoint": str(model)}, founders=voices, stop={"evaluations": 8})
    assert Runner.begin(path, how, lambda event: None, make_executor=in_process).run() == "done"
    return path


@pytest.mark.parametrize("verb", [["resume", "foreign.db", "--births", "16"], ["branch", "foreign.db", "1"]])
def test_a_checkpoint_that_only_a_file_names_is_told_and_not_opened(here, capsys, monkeypatch, verb):
    model = str(foreign(here).parent / "a model")
    with monkeypatch.context() as opened:
        opened.setattr("experiments.breeding.load_checkpoint", lambda *_: pytest.fail("it was opened"))
        assert main([*verb, "--quiet", "--no-report"]) == 2
    told = capsys.readouterr().err
    assert f"the checkpoint {model} (a folder), which you have not named" in told
    assert f"bark-lab trust '{model}'" in told
    with Lineage.view("foreign.db") as lineage:
        assert [(run.state, lineage.last_birth(run.run_id)) for run in lineage.runs()] == [("done", 8)]

    assert main(["trust", model]) == 0
    assert main([*verb, "--no-report"]) == 0
    assert f"speaks with the checkpoint {model}" in capsys.readouterr().err


def test_whoever_begins_a_run_has_named_its_checkpoint(here, capsys):
    shutil.copytree(MICRO_DIRECTORY, here / "mine")
    tables = {**RECIPE, "model": {"checkpoint": "mine"}, "stop": {"evaluations": 8}}
    lines = [f"{key} = {json.dumps(value)}" for key, value in tables.items() if not isinstance(value, dict)]
    for name, table in tables.items():
        if isinstance(table, dict):
            lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
    Path("mine.toml").write_text("\n".join(lines), "utf-8")
    assert main(["run", "mine.toml", "--db", "mine.db", "--quiet", "--no-report"]) == 0
    assert main(["resume", "mine.db", "--births", "16", "--quiet", "--no-report"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("how", "named"),
    [
        ({"variation": {"genes": ["voice", "prompt"], "masked_lm": "their/words"}}, "their/words"),
        ({"judge": {"recogniser": "their ears"}}, "their ears"),
        ({"judge": {"speaker_encoder": "their/speakers"}}, "their/speakers"),
        ({"judge": {"objectives": ["preference"], "experts": ["bark:their/bark"]}}, "their/bark"),
    ],
)
def test_models_that_judge_and_vary_are_named_by_people_too(here, how, named):
    theirs, base = config(founders={"voices": ["micro/adam"]}, **how), here / "elsewhere"
    with pytest.raises(BarkError, match=f"with the .*{named} .*bark-lab trust '?{named}"):
        trusted_engines.require_run_trusted(theirs, base, "it")
    trusted_engines.trust(named)
    trusted_engines.require_run_trusted(theirs, base, "it")


def test_a_judge_in_a_folder_beside_the_recipe_is_that_folder_wherever_the_run_goes_on(here, monkeypatch):
    (here / "recipes" / "ears").mkdir(parents=True)
    mine = config(judge={"recogniser": "ears"})
    trusted_engines.named(trusted_engines.opened_by(mine, here / "recipes"))
    monkeypatch.chdir("/")
    trusted_engines.require_run_trusted(mine, here / "recipes", "it")
    with pytest.raises(BarkError, match="ears"):
        trusted_engines.require_run_trusted(mine, here / "elsewhere", "it")


@pytest.mark.parametrize(
    ("objective", "named"),
    [
        ("similarity to ../their.wav", "elsewhere/../their.wav"),
        ("similarity to their", "elsewhere/their"),
        ("novelty against their clips", "elsewhere/their clips"),
        ("preference of their ears", "elsewhere/their ears"),
    ],
)
def test_what_clips_are_compared_with_is_named_by_people_too(here, monkeypatch, objective, named):
    theirs, base = config(judge={"objectives": ["cleanliness", objective]}), here / "elsewhere"
    with monkeypatch.context() as opened:
        for name in ("stat", "lstat", "open"):
            opened.setattr(os, name, lambda path, *_, **__: pytest.fail(f"{path} was looked at"))
        opened.setattr(trusted_engines, "known", frozenset)
        with pytest.raises(BarkError, match=r"it compares clips with .*their.* you have not named") as refused:
            trusted_engines.require_run_trusted(theirs, base, "it")
    said = str(Path(os.path.abspath(here / named)))
    [told] = shlex.split(str(refused.value).partition("bark-lab trust ")[2])
    assert told == said
    assert main(["trust", told]) == 0
    trusted_engines.require_run_trusted(theirs, base, "it")
    with pytest.raises(BarkError, match="compares clips with"):  # the folder is the file's word too
        trusted_engines.require_run_trusted(theirs, here / "a" / "b", "it")


class Alike(MadeUpStudio):
    """Makes up how alike clips are."""

    def _judged(self, one: Rendered) -> Evaluated:
        made = super()._judged(one)
        alike = {"similarity": Term("similarity", 0.5, 1)} if made.score.status == "ok" else {}
        return replace(made, score=replace(made.score, terms=alike))


def alike(config: RunConfig, base: Path, say: object) -> InProcess:
    return InProcess(lambda: Alike(micro_space()), 4)


def test_a_recording_that_only_a_file_names_is_not_opened_until_somebody_trusts_it(here, capsys, monkeypatch):
    monkeypatch.setattr("experiments.runner.executor_of", alike)
    write_audio(here / "her.wav", board_events.clip(1, 2.0).audio, board_events.SAMPLE_RATE)
    how = config(judge={"objectives": ["similarity to her.wav"]}, stop={"evaluations": 8})
    run = Runner.begin("foreign.db", how, lambda event: None, base=here)
    assert run.run() == "done", run.reason
    asked = ["resume", "foreign.db", "--births", "16", "--quiet", "--no-report"]
    with monkeypatch.context() as opened:
        opened.setattr("fusion.objectives.references.content_sha256", lambda *_: pytest.fail("it was opened"))
        opened.setattr("fusion.recipe.content_sha256", lambda *_: pytest.fail("it was opened"))
        assert main(asked) == 2
    assert f"bark-lab trust {here / 'her.wav'}" in capsys.readouterr().err
    assert main(["trust", "her.wav"]) == 0  # in its folder: that file
    assert main(asked) == 0


def test_whoever_types_objectives_for_a_branch_has_named_their_recordings(here, capsys, monkeypatch):
    write_audio(here / "mine.wav", board_events.clip(1, 2.0).audio, board_events.SAMPLE_RATE)
    begun = Runner.begin("run.db", config(stop={"evaluations": 8}), lambda event: None, make_executor=in_process)
    assert begun.run() == "done", begun.reason
    monkeypatch.setattr("experiments.runner.executor_of", alike)
    objectives = 'judge.objectives=["similarity to mine.wav"]'
    assert main(["branch", "run.db", "1", "--set", objectives, "--quiet", "--no-report"]) == 0, capsys.readouterr().err
    trusted_engines.require_run_trusted(config(judge={"objectives": ["similarity to mine.wav"]}), here, "it")


def test_a_window_asks_too(here):
    from window.sources import branched_run, resumed_run

    path = foreign(here)
    for make in (lambda: resumed_run(path, "made up"), lambda: branched_run(path, "made up", 1)):
        with pytest.raises(BarkError, match="bark-lab trust"):
            make()


def test_clips_of_a_foreign_file_are_decoded_by_no_foreign_checkpoint(here, capsys):
    from experiments.cli.hearing import Ears

    path = foreign(here)
    with Lineage.view(path) as lineage, pytest.raises(BarkError, match="bark-lab trust"):
        _ = Ears(lineage, lineage.run(1)).engine
    assert main(["replay", str(path), "--regenerate", "1"]) == 2
    assert "bark-lab trust" in capsys.readouterr().err


def test_shipped_checkpoints_need_no_word_and_names_mean_one_thing(here, monkeypatch):
    for name in trusted_engines.FREE:
        trusted_engines.require_trusted(name, "it")
    with pytest.raises(BarkError, match=r"suno/bark-small \(to be looked for here, then on the Hugging Face Hub\)"):
        trusted_engines.require_trusted("suno/bark-small", "it")
    trusted_engines.trust("suno/bark-small")
    trusted_engines.require_trusted("suno/bark-small", "it")

    (here / "models" / "one").mkdir(parents=True)
    trusted_engines.trust("models/one")
    assert trusted_engines.is_trusted(Model(str(here / "models" / "one")))
    assert trusted_engines.is_trusted(Model("models/one"))
    monkeypatch.chdir(here / "models")
    assert not trusted_engines.is_trusted(Model("models/one"))  # here it would be somebody's repository


def test_a_spoilt_memory_forgets_and_one_that_cannot_be_written_says_so(here, caplog):
    trusted_engines.trust("a/b")
    [file] = (here / "state").rglob("*.jsonl")
    file.write_bytes(b"\xff\x00\n{]\n[1]\n3\n" + b"[" * 100_000 + b'\n"c/d"\n')
    assert trusted_engines.known() == {"c/d"}
    file.unlink()
    file.mkdir()
    with pytest.raises(BarkError, match="make its folder writable"):
        trusted_engines.trust("a/b")
    trusted_engines.named([Model("a/b")])  # a run begins all the same
    assert "is not remembered" in caplog.text
