"""The environment's switches mean what they say, or are refused by name."""

from __future__ import annotations

import subprocess
import sys

import pytest

from bark_infinity.environment import EnvironmentSwitches, read_switch
from bark_infinity.error_handling import BarkError

SWITCHES = {
    "SUNO_USE_SMALL_MODELS": "use_small_models",
    "SUNO_OFFLOAD_CPU": "offload_cpu",
    "SUNO_ENABLE_MPS": "enable_mps",
}


@pytest.mark.parametrize("variable", SWITCHES)
@pytest.mark.parametrize(
    ("word", "meaning"),
    [
        ("True", True),
        ("1", True),
        ("YES", True),
        ("on", True),
        ("False", False),
        ("0", False),
        ("no", False),
        (" Off ", False),
    ],
)
def test_every_spelling_of_yes_and_no_is_understood(variable: str, word: str, meaning: bool) -> None:
    assert getattr(EnvironmentSwitches.read({variable: word}), SWITCHES[variable]) is meaning


@pytest.mark.parametrize("variable", SWITCHES)
@pytest.mark.parametrize("word", ["maybe", "2", "truee", "None", "-1"])
def test_other_words_are_refused_naming_variable_and_value(variable: str, word: str) -> None:
    with pytest.raises(BarkError) as refused:
        EnvironmentSwitches.read({variable: word})
    assert variable in str(refused.value)
    assert repr(word) in str(refused.value)


def test_unset_and_empty_are_no_opinion() -> None:
    assert EnvironmentSwitches.read({}) == EnvironmentSwitches()
    assert EnvironmentSwitches.read({"SUNO_OFFLOAD_CPU": "", "BARK_MODEL": " "}) == EnvironmentSwitches()


def test_variables_are_read_at_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUNO_OFFLOAD_CPU", "True")
    assert EnvironmentSwitches.read().offload_cpu is True
    monkeypatch.setenv("SUNO_OFFLOAD_CPU", "False")
    assert EnvironmentSwitches.read().offload_cpu is False


def test_error_names_what_was_asked_about() -> None:
    with pytest.raises(BarkError, match="--dry_run"):
        read_switch("--dry_run", "perhaps")


def test_a_wrong_variable_does_not_break_the_import() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import bark_infinity.environment, bark_infinity.perform.flags"],
        env={"SUNO_OFFLOAD_CPU": "maybe", "PYTHONPATH": ":".join(p for p in sys.path if p)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
