"""Programs that render for hours keep little of what torch prepared; the library leaves its user's process alone."""

from __future__ import annotations

import os
import queue
import subprocess
import sys

import pytest

from bark_infinity import prepared_shapes
from bark_infinity.prepared_shapes import OLD_VARIABLE, SHAPES, VARIABLE, keep_few
from experiments.executors import frames
from experiments.executors.worker_process import WorkerProcess


@pytest.fixture
def unset(monkeypatch):
    for name in (VARIABLE, OLD_VARIABLE):
        monkeypatch.setenv(name, "")  # so that what a program sets is taken back after the test
        monkeypatch.delenv(name)


@pytest.mark.parametrize("name", [VARIABLE, OLD_VARIABLE])
def test_what_the_user_has_set_stays(name):
    environ = {name: "7"}
    keep_few(environ)
    assert environ == {name: "7"}
    environ = {}
    keep_few(environ)
    assert environ == {VARIABLE: str(SHAPES)}


def test_bark_lab_and_bark_perform_set_it_before_anything_is_rendered(unset, monkeypatch, tmp_path, capsys):
    from bark_infinity.perform.main import main as bark_perform
    from experiments.cli.main import main as bark_lab

    monkeypatch.chdir(tmp_path)
    for program, arguments in ((bark_lab, ["recipes"]), (bark_perform, ["--list_speakers"])):
        monkeypatch.delenv(VARIABLE, raising=False)
        program(arguments)
        assert os.environ[VARIABLE] == str(SHAPES)


class Teller:
    """No evaluator, but says what its process was told."""

    def __init__(self) -> None:
        self.runs_on = os.environ.get(VARIABLE, "")


@pytest.mark.parametrize(("given", "found"), [({}, str(SHAPES)), ({VARIABLE: "9"}, "9")])
def test_a_worker_process_sets_it_too_whoever_started_it(unset, given, found):
    inbox: queue.SimpleQueue = queue.SimpleQueue()
    worker = WorkerProcess("teller", frames.packed(Teller), 60, given, inbox)
    try:
        said = inbox.get(timeout=60)
        assert (said.kind, said.content) == ("ready", found)
    finally:
        worker.kill()


@pytest.mark.gui
def test_the_window_sets_it(unset, tmp_path):
    pytest.importorskip("dearpygui")
    from window.app import App
    from window.settings import Settings

    app = App(Settings(output_folder=str(tmp_path)), vsync=False)
    app.show()
    assert os.environ[VARIABLE] == str(SHAPES)
    assert app.close()


PREPARE = """
import os, sys
os.environ["ONEDNN_VERBOSE"] = "profile_create"
import torch, bark_infinity.engine
from bark_infinity import prepared_shapes
assert prepared_shapes.VARIABLE not in os.environ, "importing the library has set it"
if sys.argv[1] == "few":
    prepared_shapes.keep_few()
weights = torch.ones(8, 8, 3)
with torch.inference_mode():
    for _ in range(2):
        print("all lengths", flush=True)
        for length in range(40, 40 + 2 * prepared_shapes.SHAPES):
            torch.nn.functional.conv1d(torch.ones(2, 8, length), weights)
"""


@pytest.mark.parametrize(("keep", "prepared_anew"), [("few", True), ("as many as usual", False)])
def test_torch_goes_by_it_when_it_is_set_before_the_first_product(unset, keep, prepared_anew):
    torch = pytest.importorskip("torch")
    if not torch.backends.mkldnn.is_available():
        pytest.skip("torch was built without oneDNN")
    done = subprocess.run([sys.executable, "-c", PREPARE, keep], capture_output=True, text=True, check=True)
    _, first, again = done.stdout.split("all lengths")
    assert first.count("create:cache_miss") >= 2 * prepared_shapes.SHAPES
    assert (again.count("create:cache_miss") >= 2 * prepared_shapes.SHAPES) == prepared_anew
    if not prepared_anew:
        assert "create:cache_miss" not in again
