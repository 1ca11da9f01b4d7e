"""The board and comparing in a real window: clicks and keys become judgements, sounds, voices and parents."""

from __future__ import annotations

import pytest
from window_hands import result_of

pytestmark = pytest.mark.gui


def test_buttons_of_cards_do_what_they_say(tmp_path):
    found = result_of("board_scenes.py", "cards", tmp_path)
    first, second, third, fourth, fifth, sixth = found["places"][:6]
    assert found["marked"] == [fourth, fifth]
    assert found["looked"] == sixth
    assert found["sent"] == [
        f"Rate(birth={first}, value=1.0)",
        f"Rate(birth={second}, value=0.0)",
        f"Intervene(intervention=Pin(birth={third}))",
        f"Intervene(intervention=Breed(parents=({fourth}, {fifth})))",
    ]
    assert found["saved"] == [f"synthetic-{found['played']}.wav"], "without a sound device clips are saved"
    assert found["voices"]
    assert len(found["best"]) == 12
    assert found["count"] == found["settings"] == 24


def test_everything_on_the_board_can_be_done_by_keys(tmp_path):
    found = result_of("board_scenes.py", "keys", tmp_path)
    assert found["walked"] == [0, 1, 5, 4, 0]
    birth = found["places"][0]
    assert found["marked"] == [birth]
    assert found["saved"] == [f"synthetic-{found['played']}.wav"]
    assert found["sent"][:4] == [
        f"Rate(birth={birth}, value=1.0)",
        f"Rate(birth={birth}, value=0.0)",
        f"Intervene(intervention=Pin(birth={birth}))",
        "TakeBack(judgement_id=None)",
    ]
    assert found["page"] == "compare"
    assert found["question"][1] == found["looked"], "B is what was looked at"
    first, second = found["question"]
    assert found["sent"][4].startswith(f"JudgePair(one={first}, other={second}, equal=False, bad=False")
    assert "equal=True" in found["sent"][5]
    assert "bad=True" in found["sent"][6]
    assert found["heard"] == 1, "1 plays A"
    assert found["back"] == "board"
    assert found["detail"] == [True, "detail"]
    assert found["all"] >= found["audible"], "1 to 9 play what is in their places"


def test_pairs_and_the_worst_of_four_are_judged_and_taken_back(tmp_path):
    found = result_of("board_scenes.py", "compare", tmp_path)
    first, second = found["first"]
    assert found["heard"] == sorted(found["first"])
    kinds = [command.split("(")[0] for command in found["sent"]]
    assert kinds == ["JudgePair", "JudgePair", "JudgePair", "ChooseWorst", "TakeBack"]
    assert found["sent"][0].startswith(f"JudgePair(one={second}, other={first}, equal=False, bad=False")
    assert "equal=True" in found["sent"][1]
    assert "bad=True" in found["sent"][2]
    assert found["sent"][3].startswith(f"ChooseWorst(worst={found['four'][2]}")
    assert len(found["given"]) == 4
