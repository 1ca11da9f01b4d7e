"""View models of the window's panels: curves, voice map, detail, library. No screen, no models."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import board_events
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bark_infinity.error_handling import BarkError
from bark_infinity.requests import RenderSettings
from bark_infinity.voices.catalogue import VoiceCatalogue
from digital_evolution import Genome
from experiments.audition import Audition, checkpoint_for
from experiments.board import token_strips
from experiments.board.board import Board
from experiments.board.curves import MOST_POINTS
from experiments.board.genome_diff import equal_share, genome_diff, word_diff
from experiments.board.genome_draft import SETTING_FIELDS, GenomeDraft
from experiments.board.library import Library
from experiments.board.map_axes import MapAxis
from experiments.board.measures import measure_title
from experiments.board.sound_picture import HEIGHT, WIDTH, coloured, draw_sound, height_of
from experiments.board.voice_map import LEAST_SHADE
from experiments.events import Clip, Committed, Event, Rescored, Told
from experiments.voice_shelf import VoiceShelf, clean_tags

FOLDER = Path(__file__).resolve().parents[1]


def board_of(events: list[Event]) -> Board:
    board = Board(clock=lambda: 0.0)
    for event in events:
        board.apply(event)
    return board


@pytest.fixture(scope="module")
def run() -> list[Event]:
    return list(board_events.synthetic_run(400, 1))


@pytest.fixture(scope="module")
def long_run() -> list[Event]:
    return list(board_events.synthetic_run(5_000, 2))


def test_view_models_load_no_window_no_database_and_no_model():
    modules = ", ".join(f"experiments.board.{path.stem}" for path in (FOLDER / "experiments/board").glob("[a-z]*.py"))
    heavy = {"torch", "transformers", "librosa", "scipy", "dearpygui", "sqlite3", "soundfile"}
    program = f"import sys, {modules}; print(*(set(m.split('.')[0] for m in sys.modules) & {heavy!r}))"
    loaded = subprocess.run([sys.executable, "-c", program], cwd=FOLDER, capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == []


# -- curves -----------------------------------------------------------------------------------------------------


def test_best_never_falls_and_every_curve_is_finite(run):
    curves = board_of(run).curves
    best = curves.curve("best")
    assert (np.diff(best.values) >= 0).all()
    assert best.births[-1] == 400
    for name in ("best", "median", "step best", "diversity", "coverage"):
        assert np.isfinite(curves.curve(name).values).all()
        assert len(curves.curve(name).births) == 50


def test_control_arm_is_compared_under_equal_budget(run):
    board = board_of(run)
    told = [event for event in run if isinstance(event, Told)]
    control = [event.total for event in told if event.candidate.operator == "control"]
    evolved = [event.total for event in told if event.candidate.operator != "control"][: len(control)]
    contest = board.curves.contest()
    assert contest.births == len(control) == 80
    assert contest.control == max(total for total in control if total is not None)
    assert contest.evolved == max(total for total in evolved if total is not None)
    assert "evolution leads by" in contest.sentence


def test_credit_of_operators_counts_every_birth_once(run):
    board = board_of([*run, *(event for event in run if isinstance(event, Told))])  # told twice
    credits = {one.name: one for one in board.curves.credits()}
    assert sum(one.births for one in credits.values()) == 400
    assert credits["control"].gain is None
    assert credits["control"].taken_in == 0
    gains = [
        event.total - board.births[event.candidate.parents[0].birth].total
        for event in run
        if isinstance(event, Told) and event.candidate.operator == "splice" and event.total is not None
    ]
    assert credits["splice"].gain == pytest.approx(np.mean(gains))
    assert credits["splice"].improved == sum(gain > 0 for gain in gains)


def test_rescoring_moves_the_present_and_marks_the_past(run):
    board = board_of(run)
    before = board.curves.curve("best").values
    board.apply(Rescored({birth: 0.25 for birth, facts in board.births.items() if facts.total is not None}))
    assert board.curves.rescored == [400]
    assert (board.curves.curve("best").values == before).all()
    contest = board.curves.contest()
    assert (contest.evolved, contest.control) == (0.25, 0.25)
    assert {one.gain for one in board.curves.credits() if one.compared} == {0.0}


def test_a_run_without_survivors_has_no_curves_and_says_so():
    board = board_of(list(board_events.synthetic_run(64, 3, survivors=False)))
    assert board.curves.curve("best").values.size == 0
    assert "no fit birth in evolved and control" in board.curves.contest().sentence
    assert board.voice_map.default_axes() is None
    assert board.voice_map.atlas("f0_median_hz", "centroid_hz") is None


def test_curves_of_long_runs_are_thinned(long_run):
    curve = board_of(long_run).curves.arms()[0]
    assert len(curve.births) == MOST_POINTS
    assert curve.births[-1] == 4000


# -- voice map --------------------------------------------------------------------------------------------------


def test_the_map_of_a_run_that_evolves_one_is_its_archive():
    events = list(board_events.synthetic_run(600, 4, map_elites=True))
    board = board_of(events)
    assert board.voice_map.own_axes == tuple(board_events.AXES)
    atlas = board.voice_map.atlas(*board.voice_map.default_axes())
    assert {cell.elite for cell in atlas.cells.values()} == set(board.births.population)
    assert atlas.covered == pytest.approx(board.voice_map.coverage())
    assert board.curves.curve("coverage").values[-1] == pytest.approx(atlas.covered)


def test_shades_are_finite_and_zero_exactly_where_a_cell_is_empty(run):
    board = board_of(run)
    for x, y in (("f0_median_hz", "centroid_hz"), ("duration_s", "flatness"), ("rms_db", "rms_db")):
        atlas = board.voice_map.atlas(x, y)
        assert np.isfinite(atlas.shades).all()
        assert ((atlas.shades == 0) | (atlas.shades >= LEAST_SHADE)).all()
        assert np.count_nonzero(atlas.shades) == len(atlas.cells)
        for (column, row), cell in atlas.cells.items():
            assert atlas.shades[atlas.y.cells - 1 - row, column] > 0
            middle = [sum(axis.span(at)) / 2 for axis, at in ((atlas.x, column), (atlas.y, row))]
            assert atlas.at(*middle) == cell


def test_control_and_unfit_births_are_on_no_map(run):
    board = board_of(run)
    atlas = board.voice_map.atlas("f0_median_hz", "centroid_hz")
    for cell in atlas.cells.values():
        assert not board.births[cell.elite].control
        assert board.births[cell.elite].status == "ok"
    assert sum(cell.births for cell in atlas.cells.values()) == sum(
        one.status == "ok" and not one.control for one in board.births.values()
    )


def test_dragging_over_cells_chooses_their_elites_best_first(run):
    atlas = board_of(run).voice_map.atlas("f0_median_hz", "centroid_hz")
    everything = atlas.within((-1e9, -1e9), (1e9, 1e9))
    assert set(everything) == {cell.elite for cell in atlas.cells.values()}
    totals = {cell.elite: cell.total for cell in atlas.cells.values()}
    assert [totals[one] for one in everything] == sorted(totals.values(), reverse=True)
    one = next(iter(atlas.cells.values()))
    middle = sum(atlas.x.span(one.column)) / 2, sum(atlas.y.span(one.row)) / 2
    assert atlas.within(middle, middle) == (one.elite,)


@given(st.lists(st.floats(width=32, allow_nan=True, allow_infinity=False), min_size=1, max_size=30))
@settings(deadline=None, max_examples=50)
def test_every_value_has_a_cell_unless_it_is_unknown(values):
    axis = MapAxis("x", -2.0, 3.0, 7)
    places = axis.places(np.array(values, np.float32))
    assert ((places >= -1) & (places < 7)).all()
    assert ((places == -1) == np.isnan(values)).all()


def test_an_axis_stays_until_there_are_twice_as_many_births(run):
    board = Board(clock=lambda: 0.0)
    axes = []
    for event in run:
        board.apply(event)
        if isinstance(event, Committed):
            axes.append(board.voice_map.axis("f0_median_hz"))
    assert len(set(axes)) <= 7  # 8, 16, 32 ... 400


# -- detail -----------------------------------------------------------------------------------------------------


def test_measures_are_ranked_against_all_births(run):
    board = board_of(run)
    birth = board.births.best
    bars = board.detail.bars(birth)
    assert bars[0].name == "f0_median_hz"
    for bar in bars:
        column = board.measures.column(bar.name)
        column = column[~np.isnan(column)]
        assert (column < bar.value - 1e-6).mean() - 1e-6 <= bar.percentile <= (column <= bar.value + 1e-6).mean() + 1e-6


def test_the_primary_line_goes_to_a_founder_with_every_gain(run):
    board = board_of(run)
    line = board.detail.primary_line(board.births.best)
    assert [one.birth for one in line] == list(board.tree.primary_line(board.births.best))
    assert board.births[line[-1].birth].parents == ()
    assert line[-1].gain is None
    assert sum(one.gain for one in line[:-1]) == pytest.approx(line[0].total - line[-1].total)
    assert board.detail.primary_line(10**6) == ()


def test_titles_of_measures_have_units():
    assert measure_title("f0_median_hz") == "f0 median (Hz)"
    assert measure_title("tilt_db_per_octave") == "tilt (dB/octave)"
    assert measure_title("voiced_share") == "voiced share"
    assert measure_title("speaking_rate_cps") == "speaking rate (letters/s)"
    assert measure_title("flatness") == "flatness"


def test_a_sound_picture_shows_the_pitch_where_it_is():
    picture = draw_sound(board_events.clip(3, 2.0, f0_hz=150.0))
    assert picture.levels.shape == (HEIGHT, WIDTH)
    assert picture.median_hz == pytest.approx(150, rel=0.2)
    assert (picture.levels[:, round(WIDTH * 2 / picture.span_s) + 2 :] == 0).all()  # after its end
    at = np.arange(24_000) / 24_000
    tone = draw_sound(Clip((0.5 * np.sin(2 * np.pi * 1_000 * at)).astype(np.float32), 24_000))
    loudest = tone.levels[:, 10:100].mean(axis=1).argmax()
    assert (HEIGHT - loudest - 0.5) / HEIGHT == pytest.approx(height_of(1_000), abs=2 / HEIGHT)


@given(
    st.lists(st.floats(width=32), max_size=3_000).map(lambda values: np.array(values, np.float32)),
    st.sampled_from([8_000, 24_000, 48_000, 11]),
)
@settings(deadline=None, max_examples=30)
def test_any_clip_at_all_gives_a_finite_picture(audio, rate):
    picture = draw_sound(Clip(audio, rate))
    assert np.isfinite(picture.levels).all()
    assert picture.levels.min() >= 0
    assert picture.levels.max() <= 1
    assert np.isfinite(picture.pitch_hz).all()
    image = coloured(picture.levels, np.array([[0, 0, 0, 1], [1, 1, 1, 1]], np.float32))
    assert image.shape == (HEIGHT, WIDTH, 4)


def test_equal_tokens_have_equal_colours_and_are_found_again():
    voice = board_events.voice(1, 200)
    shown = token_strips.strips(voice.semantic, voice.coarse, voice.duration_s)
    image = token_strips.picture(shown, 3, (0, 0, 0, 1))
    assert image.shape == (3 * token_strips.BAND, token_strips.WIDTH, 4)
    assert shown.at(0.0, 0) == voice.semantic[0]
    assert shown.at(0.999, 1) == voice.coarse[0, -1]
    assert shown.at(0.5, 3) is None
    held = token_strips.strips(np.full(50, 7), np.full((2, 75), 7), 1.0)
    assert len(np.unique(token_strips.picture(held, 3, (0, 0, 0, 1))[0], axis=0)) == 1


def test_a_diff_says_which_words_settings_and_tokens_changed():
    parent = Genome("Hello there, my friend.", board_events.voice(1))
    child = Genome("Hello [laughs] my friend.", board_events.voice(1), RenderSettings(semantic_temp=0.55))
    diff = genome_diff(child, parent)
    assert [(one.kind, one.text) for one in diff.words] == [
        ("same", "Hello"),
        ("removed", "there,"),
        ("added", "[laughs]"),
        ("same", "my friend."),
    ]
    assert [(one.name, one.before, one.after) for one in diff.settings] == [("semantic_temp", "0.7", "0.55")]
    assert diff.voice.same
    assert genome_diff(parent, parent).nothing
    other = genome_diff(Genome("Hi.", board_events.voice(2)), parent).voice
    assert not other.same
    assert other.semantic < 0.5
    assert genome_diff(Genome("Hi."), parent).voice.after == "none"
    assert equal_share([1, 2, 3, 4], [2, 3, 9, 9]) == 0.5


@given(st.text(max_size=60), st.text(max_size=60))
@settings(deadline=None, max_examples=50)
def test_a_word_diff_holds_both_prompts(before, after):
    made = word_diff(before, after)
    for prompt, gone in ((after, "removed"), (before, "added")):
        words = " ".join(one.text for one in made if one.kind != gone).split()
        assert words == " ".join(prompt.split()).split() or set(words) <= set("".join(prompt.split())) | set(words)


def test_a_form_says_what_is_wrong_under_each_field_and_makes_a_child():
    draft = GenomeDraft.of(Genome("Hello.", board_events.voice(1)), 7)
    assert list(draft.problems()) == ["form"]  # nothing is changed
    draft.settings |= {"semantic_temp": "warm", "fine_temp": "-1", "semantic_top_k": "2.5", "coarse_top_p": "7"}
    draft.prompt = " \n"
    assert set(draft.problems()) == {"prompt", "semantic_temp", "fine_temp", "semantic_top_k", "coarse_top_p"}
    with pytest.raises(BarkError, match="prompt"):
        draft.plant()
    draft = GenomeDraft.of(Genome("Hello.", board_events.voice(1)), 7)
    draft.prompt, draft.settings["semantic_temp"], draft.settings["fine_temp"] = "Hello  you.", "0,65", ""
    plant = draft.plant()
    assert plant.parents == (7,)
    assert plant.genome.prompt == "Hello you."
    assert (plant.genome.settings.semantic_temp, plant.genome.settings.fine_temp) == (0.65, None)
    draft.prompt = "word " * 200
    assert "256" in draft.hints()["prompt"]


@given(st.sampled_from(SETTING_FIELDS), st.text(max_size=12))
@settings(deadline=None, max_examples=80)
def test_no_typing_breaks_the_form(one, typed):
    draft = GenomeDraft.of(Genome("Hello."), 1)
    draft.settings[one.name] = typed
    if not draft.problems():
        assert draft.plant().parents == (1,)


# -- voices -----------------------------------------------------------------------------------------------------


def shelf_in(tmp_path: Path) -> VoiceShelf:
    return VoiceShelf(VoiceCatalogue([tmp_path / "home"]), tmp_path / "home")


def test_voices_are_imported_from_files_and_folders_once(tmp_path):
    folder = tmp_path / "given" / "deep"
    folder.mkdir(parents=True)
    board_events.voice(1).save(folder / "anna.npz")
    board_events.voice(2).save(folder.parent / "ben.npz")
    (folder / "broken.npz").write_bytes(b"PK\x03\x04 no voice")
    shelf = shelf_in(tmp_path)
    done = shelf.take_in([tmp_path / "given"])
    assert sorted(path.name for path in done.saved) == ["anna.npz", "ben.npz"]
    assert [name for name, _ in done.refused] == ["broken.npz"]
    board_events.voice(3).save(tmp_path / "anna.npz")
    again = shelf.take_in([folder, tmp_path / "anna.npz", tmp_path / "missing.npz"])
    assert [path.name for path in again.saved] == ["anna 2.npz"]
    assert len(again.known) == 1
    assert len(again.refused) == 2
    assert "1 imported, 1 known already, 2 refused" in again.sentence
    assert sorted(one.entry.name for one in shelf.voices()) == ["anna", "anna 2", "ben"]
    assert all(one.own for one in shelf.voices())


def test_tags_and_pitch_survive_and_rubbish_in_the_notes_does_not(tmp_path):
    shelf = shelf_in(tmp_path)
    voice = board_events.voice(1)
    voice.save(shelf.home / "anna.npz")
    shelf.annotate(voice.sha256, tags=["calm ", "calm", "", "low\x00"])
    shelf.annotate(voice.sha256, pitch_hz=112.34)
    [found] = shelf_in(tmp_path).voices()
    assert found.note.tags == ("calm", "low")
    assert found.note.pitch_hz == 112.3
    for rubbish in ('{"x": {"tags": [1, {}], "pitch_hz": "NaN"}, "y": 3}', "[" * 100_000, "\xff", "", "null"):
        (shelf.home / "notes.json").write_text(rubbish, "latin-1")
        assert all(not note.tags and note.pitch_hz is None for note in shelf.notes().values())
    assert clean_tags(["b", " a", "b "]) == ("a", "b")


def test_notes_that_workers_write_at_once_are_all_kept(tmp_path):
    shelf = shelf_in(tmp_path)
    shas = [f"{number:064x}" for number in range(24)]
    with ThreadPoolExecutor(4) as workers:
        list(workers.map(lambda sha: shelf.annotate(sha, tags=("x",)), shas))
    assert set(shelf.notes()) == set(shas)


def test_an_audition_needs_words_and_a_model_that_fits():
    suno = board_events.voice(1)
    with pytest.raises(BarkError, match="nothing to say"):
        Audition().speak(suno, "  ")
    with pytest.raises(BarkError, match=r"suno/bark-small"):
        Audition().speak(suno, "Hello.", "micro")
    assert checkpoint_for(suno, "suno/bark") == "suno/bark"
    micro = VoiceCatalogue().find("micro/carl")
    assert checkpoint_for(micro, "suno/bark") == "micro"


def test_the_library_searches_names_tags_and_languages(tmp_path):
    shelf = shelf_in(tmp_path)
    for number, name in enumerate(("de_anna", "en_ben", "en_cora")):
        board_events.voice(number, 40 + 20 * number).save(shelf.home / f"{name}.npz")
    (shelf.home / "broken.npz").write_bytes(b"")
    shelf.annotate(board_events.voice(2, 80).sha256, tags=["calm"], pitch_hz=110)
    library = Library()
    assert library.sentence == "looking for voices…"
    library.fill(shelf.voices())
    assert "1 of them unusable" in library.sentence
    assert [one.entry.name for one in library.shown()] == ["de_anna", "en_ben", "en_cora", "broken"]
    library.search("english")
    assert [one.entry.name for one in library.shown()] == ["en_ben", "en_cora"]
    library.search("CALM en")
    assert [one.entry.name for one in library.shown()] == ["en_cora"]
    library.search("", "length")
    assert library.shown()[0].entry.name == "en_cora"
    library.choose("de_anna")
    library.choose("en_ben", beside=True)
    assert library.chosen == ("de_anna", "en_ben")
    other = Library()
    other.adopt(library)
    assert other.chosen == library.chosen
    library.fill([one for one in shelf.voices() if one.entry.name != "en_ben"])
    assert library.chosen == ("de_anna",)
    assert library.tags() == ("calm",)
