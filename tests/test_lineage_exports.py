"""Exports that others read: the ALife standard by its own rules, Newick by a parser of its grammar, voices by loading.

Rules of the phylogeny standard (alife-data-standards, phylogeny.md): a CSV with a header; ``id`` unique, a non-negative
integer, best below 2^31; ``ancestor_list`` a bracketed list of ids that are in the file, or ``[none]``; ``origin_time``
and ``destruction_time`` in one unit, ``none`` for those who live.
"""

from __future__ import annotations

import csv
import io
import json
import re

import numpy as np
import pytest
from lineage_builders import begin, candidate, evolve, heard, rendering, score, voice

from bark_infinity.voices.history import VoiceHistory
from digital_evolution import Candidate, Genome, Parent
from experiments.lineage import Lineage, LineageError, ancestry, exports, imports

BIRTHS = 60


@pytest.fixture
def lineage(tmp_path):
    with Lineage.write(tmp_path / "run.db") as lineage:
        evolve(lineage, BIRTHS)
        lineage.record_died(1, [2, 3], at=20)
        yield lineage


def alife_rows(lineage: Lineage, run_id: int = 1) -> list[dict[str, str]]:
    text = io.StringIO(newline="")
    exports.alife_csv(lineage, run_id, text)
    return list(csv.DictReader(io.StringIO(text.getvalue(), newline="")))


def ancestor_ids(told: str) -> list[int]:
    assert re.fullmatch(r"\[(none|\d+(,\d+)*)\]", told)
    return [] if told == "[none]" else [int(number) for number in told[1:-1].split(",")]


def test_the_csv_obeys_the_alife_standard(lineage):
    rows = alife_rows(lineage)
    ids = [int(row["id"]) for row in rows]
    assert len(set(ids)) == len(ids) == BIRTHS
    assert all(0 <= number < 2**31 for number in ids)
    origin = {int(row["id"]): float(row["origin_time"]) for row in rows}
    two_parents = 0
    for row in rows:
        ancestors = ancestor_ids(row["ancestor_list"])
        assert ancestors == [parent.birth for parent in candidate(int(row["id"])).parents]
        assert len(set(ancestors)) == len(ancestors)
        assert all(ancestor in origin for ancestor in ancestors)
        assert all(origin[ancestor] < float(row["origin_time"]) for ancestor in ancestors)
        two_parents += len(ancestors) == 2
        if row["destruction_time"] != "none":
            assert float(row["destruction_time"]) >= float(row["origin_time"])
    assert two_parents > 5
    assert [row["destruction_time"] for row in rows[:4]] == ["none", "20", "20", "none"]
    # The reference loader of the standard's own Python package reads ancestor lists as Python literals.
    assert all(isinstance(json.loads(row["ancestor_list"].replace("none", "null")), list) for row in rows)


def test_an_asexual_run_has_the_phylogeny_of_an_independent_computation(tmp_path):
    rng = np.random.default_rng(1)
    parent_of = {birth: int(rng.integers(1, birth)) for birth in range(2, 200)}
    with Lineage.write(tmp_path / "run.db") as lineage:
        run_id = begin(lineage)
        lineage.record_asked(
            run_id,
            [Candidate(1, Genome("a"))]
            + [Candidate(birth, Genome("a"), (Parent(one, "first"),)) for birth, one in parent_of.items()],
        )
        rows = alife_rows(lineage, run_id)
        [tree] = exports.newick(lineage, run_id)
        assert {int(row["id"]): ancestor_ids(row["ancestor_list"]) for row in rows} == {
            1: [],
            **{birth: [one] for birth, one in parent_of.items()},
        }
        assert parsed(tree) == parent_of
        for birth in (50, 199):
            line = [birth]
            while line[-1] in parent_of:
                line.append(parent_of[line[-1]])
            assert ancestry.primary_line(lineage, run_id, birth) == line


def parsed(tree: str) -> dict[int, int]:
    """Parents by child, from a Newick text: a recursive-descent parser written without recursion."""
    assert tree.endswith(";")
    parents: dict[int, int] = {}
    lengths: dict[int, int] = {}
    open_lists: list[list[int]] = []
    below: list[int] = []
    for token in re.findall(r"\(|\)|,|\d+(?::\d+)?", tree[:-1]):
        if token == "(":
            open_lists.append([])
        elif token == ")":
            below = open_lists.pop()
        elif token != ",":
            name, _, length = token.partition(":")
            if length:
                lengths[int(name)] = int(length)
            parents.update({child: int(name) for child in below})
            below = []
            if open_lists:
                open_lists[-1].append(int(name))
    assert not open_lists
    assert lengths == {child: child - parent for child, parent in parents.items()}
    return parents


def test_newick_follows_primary_lines_from_every_root(lineage):
    trees = list(exports.newick(lineage, 1))
    roots = [birth for birth in range(1, BIRTHS + 1) if not candidate(birth).parents]
    assert len(trees) == len(roots)
    found: dict[int, int] = {}
    for tree in trees:
        found |= parsed(tree)
    assert found == {
        birth: candidate(birth).parents[0].birth for birth in range(1, BIRTHS + 1) if candidate(birth).parents
    }


def test_a_primary_line_longer_than_the_stack_is_written(tmp_path):
    with Lineage.write(tmp_path / "run.db") as lineage:
        run_id = begin(lineage)
        chain = [Candidate(1, Genome("a"))]
        chain += [Candidate(birth, Genome("a"), (Parent(birth - 1, "first"),)) for birth in range(2, 3001)]
        lineage.record_asked(run_id, chain)
        [tree] = exports.newick(lineage, run_id)
        assert tree.startswith("(((")
        assert tree.endswith(")2:1)1;")


def test_json_holds_every_birth_with_its_result(lineage, tmp_path):
    exports.export_file(lineage, 1, tmp_path / "run.json")
    told = json.loads((tmp_path / "run.json").read_text("utf-8"))
    assert told["run"]["name"] == "voices"
    assert [birth["birth"] for birth in told["births"]] == list(range(1, BIRTHS + 1))
    for birth in told["births"]:
        expected = heard(candidate(birth["birth"]))
        assert birth["genome_sha256"] == expected.genome.sha256
        assert birth["seed"] == expected.seed
        assert birth["status"] == score(birth["birth"]).status
        assert set(birth["terms"]) == set(score(birth["birth"]).terms)


def test_export_files_are_whole_or_not_there(lineage, tmp_path):
    for suffix in (".csv", ".nwk", ".json"):
        exports.export_file(lineage, 1, tmp_path / f"out{suffix}")
        assert (tmp_path / f"out{suffix}").stat().st_size > 100
    with pytest.raises(LineageError, match=r"no export is called '\.xml'"):
        exports.export_file(lineage, 1, tmp_path / "out.xml")
    with pytest.raises(LineageError, match="while exporting"):
        exports.export_file(lineage, 1, tmp_path / "no" / "out.csv")
    assert not list(tmp_path.glob(".*part"))


def test_voices_go_out_as_files_and_come_in_as_founders(lineage, tmp_path):
    births = [1, 2, 6]
    written = exports.export_voices(lineage, 1, births, tmp_path / "out")
    assert [VoiceHistory.load(path) for path in written] == [rendering(birth).as_voice() for birth in births]
    with pytest.raises(LineageError, match="rendered no voice"):
        exports.export_voices(lineage, 1, [3], tmp_path / "out")
    voice(77).save(tmp_path / "out" / "deeper" / "mine.npz")
    voice(77).save(tmp_path / "out" / "deeper" / "mine_too.npz")
    (tmp_path / "out" / "broken.npz").write_bytes(b"no zip")
    with Lineage.write(tmp_path / "new.db") as fresh:
        came = imports.import_voices(fresh, tmp_path / "out")
        assert {one.sha256 for one in came.voices.values()} == {
            voice(77).sha256,
            *(rendering(birth).as_voice().sha256 for birth in births),
        }
        assert came.duplicates == ("deeper/mine_too",)
        assert list(came.problems) == ["broken"]
        assert all(fresh.voice(one.sha256) == one for one in came.voices.values())
        with pytest.raises(LineageError, match="is no folder"):
            imports.import_voices(fresh, tmp_path / "gone")
        (tmp_path / "empty").mkdir()
        with pytest.raises(LineageError, match="has no voice to begin with"):
            imports.import_voices(fresh, tmp_path / "empty")
