"""Recipes: every setting documented, every mistake named with what was meant, TOML and back without loss."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bark_infinity.error_handling import BarkError
from experiments.config import RunConfig, load_recipe, recipe_names, to_toml
from experiments.config.recipes import configured
from experiments.config.tables import descriptions

TEXT = st.text(st.characters(codec="utf-8"), max_size=60)
MINIMAL = "[founders]\nprompts = ['Hello.']\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_there_is_a_recipe_for_everything_that_is_promised():
    assert set(recipe_names()) == {"demo", "voices", "prompts", "voice-map", "towards-a-recording", "overnight"}


@pytest.mark.parametrize("name", recipe_names())
def test_ready_recipes_say_what_they_are_for_and_survive_a_round_trip(name: str):
    config = load_recipe(name)
    assert config.name == name
    assert config.description.endswith(".")
    assert configured(tomllib.loads(to_toml(config)), (), "again") == config
    assert RunConfig.from_json(config.to_json()) == config


def test_every_setting_is_documented():
    fields = list(descriptions(RunConfig))
    assert len({field.path for field in fields}) == len(fields) > 50
    assert all(len(field.doc) > 10 for field in fields), [field.path for field in fields if len(field.doc) <= 10]
    hours = next(field for field in fields if field.path == "stop.hours")
    assert (hours.type, hours.optional, hours.default) == ("number", True, None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[founders]\npromts = ['x']", "there is no setting founders.promts; did you mean founders.prompts?"),
        ("[algoritm]\nkind = 'nsga2'", "there is no setting algoritm; did you mean algorithm?"),
        ("[algorithm]\nkind = 'nsga3'", "algorithm.kind is 'nsga3'; did you mean nsga2?"),
        ("[algorithm]\nkind = 'map-elites'", "map-elites needs axes"),
        ("[algorithm]\npopulation = 0", "population is 0, expected at least 1"),
        ("[algorithm]\npopulation = 1.5", "algorithm.population is 1.5, expected a whole number"),
        ("[algorithm]\npopulation = true", "algorithm.population is True, expected a whole number"),
        ("[variation]\ngenes = ['voices']", "variation.genes is 'voices'; did you mean voice?"),
        ("[founders]\nprompts = 'Hello.'", "founders.prompts is 'Hello.', expected a list of texts"),
        ("[stop]\nhours = -1", "hours is -1.0, expected a number above 0"),
        ("weights = [1.0]", "weights has 1 numbers, expected 2"),
        ("weights = [0.0, 0.0]", "weights are all 0"),
        ("seed = -1", "seed is -1"),
        ("name = ' '", "name is empty"),
        ("[trials]\ntexts = ['a', 'a']", "one comes twice"),
        ("[trials]\nseeds = 1000", "1000 renderings, expected at most 999"),
        ("[variation]\ngenes = ['prompt']\n[trials]\ntexts = ['a']", "nobody would hear what varies"),
        ("[breeding]\ncontrol_share = 2.0", "control_share is 2.0"),
        ("[judge]\nobjectives = ['inteligibility']", "intelligibility"),
        ("[[algorithm.axes]]\nmeasure = 'f0_median_hz'\nlow = 3.0\nhigh = 2.0", "low must be below high"),
        ("[algorithm]\naxes = 3", "algorithm.axes is 3, expected a list of tables"),
        ("founders = 3", "founders is 3, expected a table of settings"),
        ("name = ", "is no TOML"),
    ],
)
def test_a_mistake_is_named_with_what_was_meant(tmp_path: Path, text: str, expected: str):
    with pytest.raises(BarkError) as caught:
        load_recipe(written(tmp_path, text))
    assert expected in str(caught.value)
    assert "mine.toml" in str(caught.value)


def test_overrides_are_toml_values_or_bare_words(tmp_path: Path):
    overrides = ["stop.evaluations=5", "algorithm.kind = nsga2", "founders.voices=['a', 'b']", "weights=[1, 2]"]
    config = load_recipe(written(tmp_path, MINIMAL), overrides)
    assert config.stop.evaluations == 5
    assert config.algorithm.kind == "nsga2"
    assert config.founders.voices == ("a", "b")
    assert config.weights == (1.0, 2.0)
    with pytest.raises(BarkError, match=r"expected table\.key=value"):
        load_recipe(written(tmp_path, MINIMAL), ["stop.evaluations"])
    with pytest.raises(BarkError, match="seed is a value, not a table"):
        load_recipe(written(tmp_path, "seed = 3"), ["seed.x=1"])
    with pytest.raises(BarkError, match="expected a whole number"):
        load_recipe(written(tmp_path, MINIMAL), ["stop.evaluations=many"])


def test_half_characters_are_refused():
    with pytest.raises(BarkError, match="half a character"):
        RunConfig.from_json({"founders": {"prompts": ["\ud800"]}})


def test_a_recipe_that_is_not_there_names_the_nearest():
    with pytest.raises(BarkError, match="did you mean overnight"):
        load_recipe("overnigth")


def test_files_that_are_no_recipes_are_refused(tmp_path: Path):
    path = tmp_path / "x.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BarkError, match="not UTF-8"):
        load_recipe(path)
    path.write_bytes(b"#" * (2 << 20))
    with pytest.raises(BarkError, match="no recipe"):
        load_recipe(path)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_a_recipe_or_an_error_that_says_so(text: str):
    try:
        config = configured(tomllib.loads(text), (), "here")
    except (BarkError, tomllib.TOMLDecodeError):
        return
    assert RunConfig.from_json(config.to_json()) == config


@settings(max_examples=100, deadline=None)
@given(st.lists(TEXT.filter(str.strip), min_size=1, max_size=3), TEXT)
def test_any_prompt_survives_the_way_to_toml_and_back(prompts: list[str], description: str):
    config = RunConfig.from_json({"founders": {"prompts": prompts}, "description": description})
    again = configured(tomllib.loads(to_toml(config)), (), "again")
    assert again == config


def test_what_may_change_is_not_part_of_what_a_run_is():
    one = load_recipe("demo")
    other = load_recipe("demo", ["stop.hours=3.0", "execution.workers=7", "execution.clips='none'"])
    assert one.identity() == other.identity()
    assert one.conduct() != other.conduct()
    assert RunConfig.from_json({**other.identity(), **other.conduct()}) == other
    assert load_recipe("demo", ["model.precision='bf16'"]).identity() != one.identity()
