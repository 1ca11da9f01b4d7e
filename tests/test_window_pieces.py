"""The window's parts without a screen: real widgets that are never drawn, settings, sound, regions, exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from board_events import clip, synthetic_run
from hypothesis import given
from hypothesis import strategies as st

from bark_infinity.audio import read_audio
from experiments.events import Clip
from window import settings as settings_file
from window.palette import DARK, LIGHT, PALETTES
from window.player import LOUDNESS_DB, Player, matched
from window.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
dpg = pytest.importorskip("dearpygui.dearpygui")

from window.app import App  # noqa: E402  # needs Dear PyGui
from window.layout import places_of  # noqa: E402

# -- widgets that are never drawn -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    """One window for all of these; a second one in this process might crash."""
    made = App(Settings(scale=1.0, output_folder=str(tmp_path_factory.mktemp("out"))))
    made.layout.resize(1600, 1000)
    for event in synthetic_run(40, clip_share=1.0):
        made.presenter.take_in(event)
    made.layout.show(made.presenter.board)
    yield made
    made.close()


def test_cards_show_their_births(app):
    board = app.presenter.board
    for place, birth in enumerate(board.cards.places):
        assert dpg.get_value(f"board.{place}.title") == f"#{birth}"
        total = board.births[birth].total
        assert dpg.get_item_configuration(f"board.{place}.bar")["show"] == (total is not None)
        if total is not None:
            assert dpg.get_value(f"board.{place}.bar") == pytest.approx(total)
        assert len(dpg.get_item_children(f"board.{place}.wave", 2)) == 98


def test_other_births_take_the_same_widgets(app):
    board = app.presenter.board
    before = len(dpg.get_all_items())
    for chosen in ("best", "population", "liked", "newest"):
        board.cards.show(chosen)
        app.layout.show(board)
    for birth in (5, 20, None):
        app.presenter.travel(birth)
        app.layout.show(app.presenter.board)
    board.cards.show(count=24)
    app.layout.show(board)
    board.cards.show(count=12)
    app.layout.show(board)
    grown = len(dpg.get_all_items()) - before
    assert grown <= 80, "only drawings of plots and trees may come and go"


def test_a_job_that_fails_is_reported_and_the_next_one_is_done(app):
    done = []
    app.loop.guarded(lambda: dpg.set_value("there is no such item", 1))
    app.loop.guarded(lambda: done.append(1))
    assert done == [1]
    assert "that did not work" in app.presenter.present.log.last.text


def test_commands_without_a_run_are_answered(app):
    assert app.presenter.send(None) is False
    assert "nothing is open" in app.presenter.present.log.last.text


# -- regions ----------------------------------------------------------------------------------------------------


@given(st.integers(900, 4000), st.integers(600, 2500), st.sampled_from((0.75, 1.0, 1.5, 2.0)))
def test_regions_lie_in_the_window_and_apart_from_each_other(width, height, scale):
    rects = places_of(width, height, lambda length: round(length * scale))
    names = list(rects)
    for name, one in rects.items():
        assert min(one.width, one.height) >= 1
        if scale <= 1.0:
            assert one.x >= 0
            assert one.x + one.width <= width, name
            assert one.y + one.height <= height, name
            for other_name in names[names.index(name) + 1 :]:
                other = rects[other_name]
                apart = (
                    one.x + one.width <= other.x
                    or other.x + other.width <= one.x
                    or one.y + one.height <= other.y
                    or other.y + other.height <= one.y
                )
                assert apart, (name, other_name)


# -- colours ----------------------------------------------------------------------------------------------------


def luminance(colour):
    parts = [part / 255 for part in colour[:3]]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("name", PALETTES)
def test_what_is_read_has_contrast(name):
    palette = PALETTES[name]
    for ground in (palette.ground, palette.panel, palette.card):
        for text, least in ((palette.text, 7.0), (palette.muted, 4.5), (palette.bad, 3.0), (palette.accent, 3.0)):
            bright, dark = sorted((luminance(text), luminance(ground)), reverse=True)
            assert (bright + 0.05) / (dark + 0.05) >= least, (name, text, ground)


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_every_number_has_a_colour(value):
    for palette in (DARK, LIGHT):
        assert all(0 <= part <= 255 for part in palette.ramp(value))


# -- sound ------------------------------------------------------------------------------------------------------


class FakeSound:
    """A sound card that remembers; it may break."""

    def __init__(self, broken=False):
        self.broken, self.played = broken, []

    def query_devices(self):
        return [{"max_output_channels": 2}]

    def play(self, audio, sample_rate):
        if self.broken:
            raise RuntimeError("unplugged")
        self.played.append(len(audio) / sample_rate)

    def stop(self):
        self.played.append(None)


def missing():
    raise ImportError("No module named 'sounddevice'")


def test_a_clip_is_played_followed_and_stopped(tmp_path):
    sound, now = FakeSound(), [0.0]
    player = Player(lambda: tmp_path, lambda: sound, lambda: now[0])
    assert player.play(clip(1, 2.0), "one").outcome == "playing"
    now[0] = 0.5
    assert player.progress() == pytest.approx(0.25)
    now[0] = 2.5
    assert player.progress() is None
    player.play(clip(2, 1.0), "two")
    player.stop()
    assert player.progress() is None
    assert sound.played == [2.0, 1.0, None]


@pytest.mark.parametrize("backend", [missing, lambda: FakeSound(broken=True)], ids=["no library", "unplugged"])
def test_what_cannot_be_played_is_saved_and_said(tmp_path, backend):
    result = Player(lambda: tmp_path, backend).play(clip(3), "run-3")
    assert result.outcome == "saved"
    assert str(result.path) in result.sentence
    audio, rate = read_audio(result.path)
    assert rate == 24_000
    assert len(audio) == len(clip(3).audio)


def test_a_folder_that_cannot_be_written_is_said(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    result = Player(lambda: blocked, missing).play(clip(3), "run-3")
    assert result.outcome == "failed"
    assert "run-3" in result.sentence


@given(st.floats(0.01, 1.0), st.integers(0, 5))
def test_compared_clips_are_equally_loud_and_never_clip(gain, number):
    made = clip(number)
    loud = matched(Clip(made.audio * np.float32(gain), made.sample_rate))
    frames = loud[: len(loud) // 1200 * 1200].reshape(-1, 1200).astype(np.float64)
    power = np.sort((frames**2).mean(axis=1))
    level = 10 * np.log10(power[len(power) // 2 :].mean())
    assert np.abs(loud).max() <= 0.98
    assert level == pytest.approx(LOUDNESS_DB, abs=0.2) or np.abs(loud).max() == pytest.approx(0.97, abs=0.01)


# -- settings ---------------------------------------------------------------------------------------------------


def test_settings_are_read_back(tmp_path):
    path = tmp_path / "deep" / "window.json"
    wanted = Settings(theme="light", scale=1.5, density=24, output_folder="/somewhere", lineage="night.db")
    assert settings_file.save(wanted, path) == ""
    assert settings_file.load(path) == (wanted, "")


@given(st.binary(max_size=200) | st.recursive(st.none() | st.integers() | st.text(max_size=5), st.lists).map(
    lambda value: json.dumps(value).encode()))  # fmt: skip
def test_no_settings_file_keeps_the_window_from_opening(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("settings") / "window.json"
    path.write_bytes(content)
    settings, said = settings_file.load(path)
    assert settings == Settings()
    assert str(path) in said or content in (b"{}",)


@given(
    st.dictionaries(
        st.sampled_from([*Settings.__dataclass_fields__, "unknown"]),
        st.none() | st.integers() | st.text() | st.floats(),
    )
)
def test_every_setting_that_makes_no_sense_is_replaced_and_named(tmp_path_factory, given_values):
    path = tmp_path_factory.mktemp("settings") / "window.json"
    path.write_text(json.dumps(given_values))
    settings, said = settings_file.load(path)
    for name, value in given_values.items():
        if name in Settings.__dataclass_fields__:
            assert getattr(settings, name) == value or name in said


# -- the command ------------------------------------------------------------------------------------------------


def gui(*arguments, **environment):
    clean = {key: value for key, value in os.environ.items() if key not in ("DISPLAY", "WAYLAND_DISPLAY")}
    command = [sys.executable, "victor_bark_fusion_gui.py", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, env=clean | environment, capture_output=True, text=True, timeout=60)


def test_without_a_screen_it_says_what_to_do_and_ends(tmp_path):
    ran = gui()
    assert ran.returncode == 2
    assert "xvfb-run" in ran.stderr
    assert len(ran.stderr.splitlines()) == 1
    ran = gui(DISPLAY=":4711")
    assert ran.returncode == 2
    assert ":4711" in ran.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere.db"], "no lineage file nowhere.db"),
        (["--screenshot", "x.png"], "needs the lineage"),
        (["--at-birth", "3"], "goes with --screenshot"),
        (["--size", "10x10"], "is no size"),
        (["--scale", "nan"], "is no scale"),
        (["--at-birth", "0"], "is no birth number"),
    ],
)
def test_wrong_arguments_are_refused_in_words(arguments, words):
    ran = gui(*arguments)
    assert ran.returncode == 2
    assert words in ran.stderr
    assert "Traceback" not in ran.stderr


def test_help_is_quick_and_loads_no_library():
    program = "import sys, victor_bark_fusion_gui; print({'dearpygui', 'numpy', 'torch'} & set(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "set()"


def test_missing_and_broken_fonts_are_replaced_and_said(tmp_path):
    (tmp_path / "broken.ttf").write_bytes(b"this is no font" * 40)
    program = (
        "import sys; from pathlib import Path; import dearpygui.dearpygui as dpg; from window import fonts\n"
        "fonts._FILES = {'latin': (Path(sys.argv[1]),), 'cjk': (Path('nowhere.ttf'),)}\n"
        "dpg.create_context(); made = fonts.Fonts(1.0); made.bind()\n"
        "print(made.of('cjk'), made.of('latin', 'title'), made.drop('cjk'), made.notices[0])\n"
        "dpg.destroy_context()"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "broken.ttf")]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("0 0 0 no font for Latin")
    assert "Korean" in ran.stdout
