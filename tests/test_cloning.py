"""Voices from recordings, on micro-Bark: they speak at the recording's pitch; what is no recording is refused."""

from __future__ import annotations

import json
import math
from pathlib import Path

import board_events
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_studio import MadeUpStudio
from runner_builders import config, micro_space

from bark_infinity.audio import write_audio
from bark_infinity.engine import BarkEngine
from bark_infinity.error_handling import BarkError
from bark_infinity.perform.main import main as perform
from bark_infinity.requests import RenderRequest
from bark_infinity.voices.catalogue import VoiceCatalogue
from experiments.audition import Audition
from experiments.board.sound_picture import draw_sound
from experiments.cli.main import main
from experiments.cloning import TAG, clone_voice
from experiments.events import Clip, Told
from experiments.executors.in_process import InProcess
from experiments.runner import Runner
from experiments.voice_shelf import VoiceShelf
from fusion.features.alignment import same_moments

SAID = "The old clock in the hall struck nine, and nobody said a word."


@pytest.fixture(scope="module")
def engine() -> BarkEngine:
    return BarkEngine.load("micro", "cpu")


@pytest.fixture(scope="module")
def recordings(engine) -> dict[str, Clip]:
    """What a deep and a high speaker say, with silence around it, at another rate: sound alone, no tokens."""
    voices = [VoiceCatalogue().find(f"micro/{name}") for name in ("carl", "greta")]
    made = engine.render([RenderRequest(SAID, voice=voice, seed=5) for voice in voices])
    quiet = np.zeros(12_000, np.float32)
    return {
        name: Clip(np.concatenate([quiet, one.audio, quiet]), one.sample_rate)
        for name, one in zip(("deep", "high"), made, strict=True)
    }


def test_a_cloned_voice_speaks_at_the_pitch_of_the_recording(engine, recordings):
    pitches = {}
    for name, recording in recordings.items():
        voice = clone_voice(engine, recording, SAID, "somebody's recording")
        assert voice.family == "micro"
        assert voice.metadata["text"] == SAID
        assert voice.fine.shape[1] < len(recording.audio) / 320 - 60, "the silence around it is cut off"
        clip = Audition(lambda: engine).speak(voice, "I am a small voice, and this is how I sound.")
        heard, spoken = draw_sound(recording).median_hz, draw_sound(clip).median_hz
        assert abs(12 * math.log2(spoken / heard)) < 4.0, (name, heard, spoken)
        pitches[name] = spoken
    assert pitches["high"] > 1.4 * pitches["deep"]


def test_a_cloned_voice_is_on_the_shelf_under_a_free_name(engine, recordings, tmp_path):
    shelf = VoiceShelf(VoiceCatalogue([tmp_path]), tmp_path)
    voice = clone_voice(engine, recordings["deep"], SAID)
    names = [shelf.keep(voice, "a/b: me") for _ in range(2)]
    assert len(set(names)) == 2
    assert {shelf.load(name).sha256 for name in names} == {voice.sha256}


@pytest.mark.parametrize(
    ("audio", "text", "why"),
    [
        (np.zeros(48_000, np.float32), SAID, "silent"),
        (np.zeros(0, np.float32), SAID, "not one sample"),
        (board_events.clip(1, 0.5).audio, SAID, "0.* s of sound, expected 1 to 14 s; take a longer one"),
        (board_events.clip(1, 20.0).audio, SAID, "cut out one sentence or two"),
        (board_events.clip(1, 3.0).audio, "  ", "type what is said"),
        (np.full(48_000, np.nan, np.float32), SAID, "the recording"),
    ],
)
def test_what_is_no_recording_of_a_voice_is_refused_with_the_reason(engine, audio, text, why):
    with pytest.raises(BarkError, match=why):
        clone_voice(engine, Clip(audio, 24_000), text)


def test_moments_of_the_same_clip_are_the_same_and_a_pause_moves_them():
    clip = board_events.clip(3, 2.0).audio
    at_s = np.arange(0.1, 1.9, 0.1)
    assert np.abs(same_moments(clip, clip, 24_000, at_s) - at_s).max() < 0.05
    later = np.concatenate([np.zeros(12_000, np.float32), clip])
    moved = same_moments(clip, later, 24_000, at_s + 0.5)
    assert np.median(np.abs(moved - at_s)) < 0.08


@given(st.integers(0, 40), st.integers(0, 40), st.lists(st.floats(0, 3), min_size=1, max_size=20))
@settings(deadline=None, max_examples=15)
def test_moments_never_fall_and_stay_inside(one, other, at_s):
    first, second = board_events.clip(one, 1.0).audio, board_events.clip(other, 1.6).audio
    moments = same_moments(first, second, 24_000, np.sort(at_s))
    assert (np.diff(moments) >= 0).all()
    assert (moments >= 0).all()
    assert (moments <= 1.05).all()


def test_a_voice_is_kept_under_a_name_that_means_it_and_no_voice_of_another_folder(tmp_path):
    earlier, home = tmp_path / "custom_speakers", tmp_path / "mine"
    carl, klara = (VoiceCatalogue().find(f"micro/{name}") for name in ("carl", "klara"))
    carl.save(earlier / "me.npz")
    shelf = VoiceShelf(VoiceCatalogue([earlier, home]), home)
    name = shelf.keep(klara, "me")
    assert name != "me"
    assert shelf.load(name).sha256 == klara.sha256


# -- from the shell ----------------------------------------------------------------------------------------------


@pytest.fixture
def here(tmp_path, monkeypatch, recordings) -> Path:
    """A folder with a recording in it, on a machine of its own."""
    monkeypatch.chdir(tmp_path)
    for variable in ("XDG_DATA_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    monkeypatch.delenv("BARK_VOICES", raising=False)
    write_audio(tmp_path / "old clock.wav", recordings["deep"].audio, recordings["deep"].sample_rate)
    (tmp_path / "text.wav").write_bytes(b"not a sound")
    (tmp_path / "mine.npz").write_bytes(b"somebody's")
    return tmp_path


def test_a_clone_from_the_shell_lies_where_the_windows_do_and_its_last_line_lets_it_speak(here, capsys):
    assert main(["clone", "old clock.wav", "--text", SAID, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    shelf = VoiceShelf()
    [one] = [one for one in shelf.voices() if one.own]
    assert (one.entry.name, str(one.entry.path), one.entry.sha256) == (told["name"], told["path"], told["sha256"])
    assert one.note.tags == (TAG,)
    assert one.note.pitch_hz == pytest.approx(told["spoken_hz"], abs=0.1)
    assert shelf.load(told["name"]).metadata["text"] == SAID
    program, *words = told["hear"]
    assert program == "bark_perform"
    assert perform([*words, "--output_dir", "heard", "--seed", "1"]) == 0
    assert list((here / "heard").glob("*.wav"))


def test_a_clone_is_saved_where_asked_and_replaces_only_when_told_so(here, capsys, monkeypatch, engine):
    monkeypatch.setattr(BarkEngine, "load", lambda source: engine)
    before = (here / "mine.npz").read_bytes()
    asked = ["clone", "old clock.wav", "--text", SAID, "--output"]
    assert main([*asked, "mine.npz"]) == 2
    assert "choose another name, or --overwrite" in capsys.readouterr().err
    assert (here / "mine.npz").read_bytes() == before
    assert main([*asked, "mine.npz", "--overwrite"]) == 0
    out = capsys.readouterr().out
    assert "--history_prompt mine.npz" in out
    voice = VoiceCatalogue().resolve("mine.npz")
    assert voice.family == "micro"
    assert VoiceShelf().notes()[voice.sha256].tags == (TAG,)
    assert not any(one.own for one in VoiceShelf().voices())


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["nobody.wav", "--text", SAID], "there is no file nobody.wav"),
        (["text.wav", "--text", SAID], "cannot be read as sound"),
        (["old clock.wav", "--text", " "], "type what is said"),
        (["old clock.wav"], "--text"),
        (["quiet.wav", "--text", SAID], "silent"),
        (["long.wav", "--text", SAID], "cut out one sentence or two"),
        (["old clock.wav", "--text", SAID, "--output", "me.wav"], "ends with .npz"),
        (["old clock.wav", "--text", SAID, "--output", "text.wav/me.npz"], "cannot be made"),
    ],
)
def test_the_clone_verb_refuses_what_it_cannot_use_before_a_model_is_loaded(here, capsys, monkeypatch, words, why):
    write_audio(here / "quiet.wav", np.zeros(48_000, np.float32), 24_000)
    write_audio(here / "long.wav", board_events.clip(1, 20.0).audio, 24_000)
    monkeypatch.setattr(BarkEngine, "load", lambda *_, **__: pytest.fail("a model was loaded"))
    assert main(["clone", *words]) == 2
    assert why in capsys.readouterr().err


# -- whose engine speaks ----------------------------------------------------------------------------------------


def test_an_audition_borrows_the_runs_engine_and_loads_none(engine):
    said: list[str] = []
    audition = Audition(lambda: engine, say=said.append)
    voice = VoiceCatalogue().find("micro/carl")
    clip = audition.speak(voice, "Hello there.")
    assert clip.audio.size
    assert audition.resting
    assert said == []


def test_an_engine_of_its_own_says_what_it_costs_and_is_let_go_after_a_rest():
    said: list[str] = []
    audition = Audition(device=lambda: "cpu", rest_s=0.2, say=said.append)
    audition.speak(VoiceCatalogue().find("micro/carl"), "Hello there.")
    [sentence] = said
    assert "MB more" in sentence
    let_go = audition._bed_time
    if let_go is not None:
        let_go.join(10)
    assert audition.resting


def test_an_engine_of_another_checkpoint_is_not_borrowed(engine):
    class Other:
        source = "suno/bark"

    audition = Audition(lambda: Other(), device=lambda: "cpu")  # type: ignore[arg-type,return-value]
    assert audition.speak(VoiceCatalogue().find("micro/carl"), "Hello there.").audio.size
    assert not audition.resting
    audition.close()
    assert audition.resting


def test_a_lent_engine_that_its_run_lets_go_of_meanwhile_keeps_nothing_loaded():
    engine = BarkEngine.load("micro", "cpu")
    asked = 0

    def lend() -> BarkEngine | None:
        nonlocal asked
        asked += 1
        if asked > 1:
            return None
        engine.close()  # the run ends just after it has lent it
        return engine

    assert Audition(lend).speak(VoiceCatalogue().find("micro/carl"), "Hello there.").audio.size
    assert engine._models._fine is None


def test_a_refused_audition_keeps_no_engine_of_its_own_awake():
    audition = Audition(device=lambda: "cpu", rest_s=0.4)
    audition.speak(VoiceCatalogue().find("micro/carl"), "Hello there.")
    bedtime = audition._bed_time
    with pytest.raises(BarkError, match="bark-lab trust"):
        audition.clone(board_events.clip(1, 3.0), SAID, "it", "somebody/else")
    bedtime.join(10)
    if audition._bed_time is not None:
        audition._bed_time.join(10)
    assert audition.resting


def test_a_run_lends_its_engine_while_it_is_loaded_in_this_process(tmp_path):
    class Equipped(MadeUpStudio):
        engine = "the engine"

    lent: list[object] = []

    def heard(event: object) -> None:
        if isinstance(event, Told):
            lent.append(runner.engine())

    runner = Runner.begin(
        tmp_path / "run.db", config(), heard, make_executor=lambda *_: InProcess(lambda: Equipped(micro_space()), 2)
    )
    assert runner.engine() is None, "nothing is loaded yet"
    assert runner.run() == "done", runner.reason
    assert set(lent) == {"the engine"}
    assert runner.engine() is None, "what is closed is not lent"
