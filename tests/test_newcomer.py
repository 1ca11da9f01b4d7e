"""A newcomer's first minutes on real micro-Bark, from an empty window to an exported voice and a branch."""

from __future__ import annotations

import json

import pytest
from window_hands import in_own_process

from experiments.lineage import Lineage, people, verification

pytestmark = [pytest.mark.gui, pytest.mark.slow, pytest.mark.timeout(3200)]


def test_a_newcomer_gets_from_an_empty_window_to_a_voice_and_a_branch(tmp_path):
    ran = in_own_process("newcomer_session.py", str(tmp_path), timeout_s=3000)
    assert ran.returncode == 0, ran.stderr[-3000:]
    said = json.loads(ran.stdout.splitlines()[-1].removeprefix("RESULT "))
    assert len(list(tmp_path.glob("*.png"))) == 15
    assert said["before"] >= said["told"], "closing loses nothing"
    assert 10 <= said["then"] <= 12, "with two workers a later batch may have been told before birth 10"
    with Lineage.view(said["lineage"]) as lineage:
        first, branch = lineage.runs()
        judgements = people.judgements(lineage, first.run_id)
        assert {one.one: one.value for one in judgements} == dict.fromkeys(said["liked"], 1.0) | dict.fromkeys(
            said["disliked"], 0.0
        )
        assert branch.branched_from == (first.run_id, said["best"])
        assert verification.verify(lineage) == []
