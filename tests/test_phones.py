"""The text front end of micro-Bark: everything people write is spoken or named as left out, nothing fails."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bark_infinity
from bark_infinity.error_handling import CheckpointError
from bark_infinity.phones import CONFIG_NAME, PhoneFrontEnd
from bark_infinity.phones_rules import LetterRules, contexts
from bark_infinity.spoken_numbers import cardinal, number, ordinal, year
from bark_infinity.text_normalisation import normalise

ASSET = Path(bark_infinity.__file__).parent / "assets" / "micro"


@pytest.fixture(scope="module")
def front_end() -> PhoneFrontEnd:
    return PhoneFrontEnd.load(ASSET)


def spoken(front_end: PhoneFrontEnd, text: str) -> str:
    return " ".join(front_end.symbols[i] for i in front_end.encode(text).ids)


def words(front_end: PhoneFrontEnd, text: str) -> str:
    return normalise(text, front_end.dictionary.__contains__)[0]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0, "zero"),
        (13, "thirteen"),
        (40, "forty"),
        (101, "one hundred one"),
        (1_000_000, "one million"),
        (999_999_999_999_999, None),
    ],
)
def test_cardinals_are_read_out(value: int, said: str | None):
    assert said is None or cardinal(value) == said
    assert cardinal(value).replace(" ", "").isalpha()


def test_ordinals_and_years_are_read_as_people_say_them():
    assert [ordinal(n) for n in (1, 2, 3, 5, 12, 20, 21, 100)] == [
        *("first", "second", "third", "fifth", "twelfth", "twentieth", "twenty first", "one hundredth"),
    ]
    assert [year(n) for n in (1066, 1900, 1984, 2000, 2007, 2026)] == [
        *("ten sixty six", "nineteen hundred", "nineteen eighty four", "two thousand", "two thousand seven"),
        "twenty twenty six",
    ]
    assert number("1,234.50") == "one thousand two hundred thirty four point five zero"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("$5.50", "five dollars and fifty cents"),
        ("$1.01 or £0.05", "one dollar and one cent or five pence"),
        ("€1.2 million", "one point two million euros"),
        ("$3m", "three million dollars"),
        ("2024-05-17", "may seventeenth, twenty twenty four"),
        ("17/05/2024", "may seventeenth, twenty twenty four"),
        ("on May 3rd, 1999", "on may third, nineteen ninety nine"),
        ("3 June 2020", "third of june, twenty twenty"),
        ("the 1990s", "the nineteen nineties"),
        ("at 10:05 or 7:00", "at ten oh five or seven o'clock"),
        ("5pm", "five pee em"),
        ("20°C, 1 km and 10kg", "twenty degrees celsius, one kilometer and ten kilograms"),
        ("50% off", "fifty percent off"),
        ("1/2 and ¾", "one half and three quarters"),
        ("-5, 3-5, 007", "minus five, three to five, zero zero seven"),
        ("v2.0.1", "v two point zero point one"),
        ("Dr. Smith vs. Mr. Jones, e.g. now", "doctor smith versus mister jones, for example now"),
        ("the FBI and NASA in the U.S.A.", "the eff bee eye and nasa in the you ess ay"),
        ("THE BIG DOG", "the big dog"),
        ("example.com", "example dot com"),
        ("Café naïve", "cafe naive"),
        ("wait -- what?! no... yes", "wait, what? no, yes"),
    ],
)
def test_written_forms_become_words(front_end: PhoneFrontEnd, text: str, said: str):
    assert words(front_end, text) == said


def test_words_are_separated_and_pauses_are_commas(front_end: PhoneFrontEnd):
    assert spoken(front_end, "Hi. The cat?") == "HH AY , DH AH | K AE T ?"


def test_a_word_nobody_ever_wrote_is_still_spoken(front_end: PhoneFrontEnd):
    assert "floogendorf" not in front_end.dictionary
    assert len(front_end.spell("floogendorf")) >= 7
    assert front_end.spell("zqx") == front_end.spell("z") + front_end.spell("q") + front_end.spell("x")
    assert front_end.spell("floogendorf's") == (*front_end.spell("floogendorf"), "S")


def test_tags_are_accepted_and_named_as_left_out(front_end: PhoneFrontEnd):
    encoding = front_end.encode("Hello [laughs] there ♪")
    assert encoding.ids == front_end.encode("Hello there").ids
    assert len(encoding.notices) == 1
    assert "[laughs]" in encoding.notices[0]
    assert "♪" in encoding.notices[0]


def test_symbols_without_a_sound_are_dropped_with_a_notice(front_end: PhoneFrontEnd):
    encoding = front_end.encode("good 日本 day 😀")
    assert encoding.ids == front_end.encode("good day").ids
    assert "日" in encoding.notices[0]


@pytest.mark.parametrize("text", ["", "   ", "...", "[laughs]", "日本語", "''''", "\x00\x1b"])
def test_nothing_speakable_gives_no_ids(front_end: PhoneFrontEnd, text: str):
    assert front_end.encode(text).ids == ()


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=200))
def test_any_text_at_all_is_encoded_without_a_crash(text: str):
    front_end = _cached()
    encoding = front_end.encode(text)
    assert all(0 <= i < len(front_end.symbols) for i in encoding.ids)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="0123456789.,:/-$£%°' aApPmMsthkKgbdxX[]()", max_size=40))
def test_any_jumble_of_figures_and_signs_is_encoded_without_a_crash(text: str):
    assert set(words(_cached(), text)) <= set("abcdefghijklmnopqrstuvwxyz',.? ")


def _cached(loaded: list[PhoneFrontEnd] = []) -> PhoneFrontEnd:  # noqa: B006 - loaded once for all examples
    if not loaded:
        loaded.append(PhoneFrontEnd.load(ASSET))
    return loaded[0]


RUNS = ["1", "1,", "111,", "1/", ".", "'", " ", "\n", "a' ", "A.", "[a", "$", "- ", "may 1 "]


@pytest.mark.parametrize("piece", RUNS)
def test_endless_runs_are_read_in_a_moment(front_end: PhoneFrontEnd, piece: str):
    started = time.process_time()
    front_end.encode(f"a {piece * 10_000} b")
    assert time.process_time() - started < 3, "a pattern takes quadratic time"


def test_a_huge_text_is_cut_and_said_so(front_end: PhoneFrontEnd):
    assert any("characters" in notice for notice in front_end.encode("a " * 50_000).notices)


def test_letter_rules_survive_their_file():
    rules = LetterRules({"/a/": ("AE",), "#/b/a": ("B",), "/k/": ()})
    assert LetterRules.from_text(rules.to_text()).table == rules.table
    assert rules.spell("bak") == ("B", "AE")
    assert contexts("ab", 0)[0] == "###/a/b##"


def test_a_damaged_front_end_names_the_directory(tmp_path: Path):
    with pytest.raises(CheckpointError, match=tmp_path.name):
        PhoneFrontEnd.load(tmp_path)
    config = json.loads((ASSET / CONFIG_NAME).read_text("utf-8"))
    (tmp_path / CONFIG_NAME).write_text(json.dumps(config), "utf-8")
    (tmp_path / config["dictionary"]).write_bytes(gzip.compress(b"word\nwithout phones"))
    (tmp_path / config["letter_rules"]).write_bytes(b"not gzip")
    with pytest.raises(CheckpointError, match="pack the checkpoint again"):
        PhoneFrontEnd.load(tmp_path)


def test_the_front_end_needs_no_heavy_library():
    code = "import sys, bark_infinity.phones; print(sorted({'torch', 'transformers', 'scipy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "torch" not in done.stdout
    assert "transformers" not in done.stdout
