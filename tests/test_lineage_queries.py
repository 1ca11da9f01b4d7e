"""Who came from whom, and what became of them, against a plain computation over the candidates themselves."""

from __future__ import annotations

import sqlite3
import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lineage_builders import WEIGHTS, begin, candidate, evolve, generation, score, voice

from digital_evolution import Candidate, Genome, Parent
from experiments.lineage import Lineage, LineageError, ancestry, browse, verification

BIRTHS = 120


@pytest.fixture(scope="module")
def lineage(tmp_path_factory):
    with Lineage.write(tmp_path_factory.mktemp("queries") / "run.db") as lineage:
        evolve(lineage, BIRTHS)
        evolve(lineage, 20, name="another run in the same file")
        yield lineage


def forebears(birth: int) -> set[int]:
    found: set[int] = set()
    todo = [birth]
    while todo:
        for parent in candidate(todo.pop()).parents:
            if parent.birth not in found:
                found.add(parent.birth)
                todo.append(parent.birth)
    return found


def test_ancestors_and_descendants_are_the_closure_of_parents(lineage):
    closure = {birth: forebears(birth) for birth in range(1, BIRTHS + 1)}
    for birth in range(1, BIRTHS + 1):
        assert ancestry.ancestors(lineage, 1, birth) == sorted(closure[birth], reverse=True)
        assert ancestry.descendants(lineage, 1, birth) == [other for other in closure if birth in closure[other]]
    assert ancestry.ancestors(lineage, 1, BIRTHS, limit=3) == sorted(closure[BIRTHS], reverse=True)[:3]
    assert ancestry.children(lineage, 1, 1) == [
        birth for birth in closure if any(parent.birth == 1 for parent in candidate(birth).parents)
    ]


def test_the_common_ancestor_is_the_latest_of_all_lines(lineage):
    rng = np.random.default_rng(0)
    for _ in range(60):
        births = [int(one) for one in rng.choice(np.arange(1, BIRTHS + 1), int(rng.integers(1, 4)), replace=False)]
        shared = set.intersection(*(forebears(birth) | {birth} for birth in births))
        assert ancestry.common_ancestor(lineage, 1, births) == max(shared, default=None)
    with pytest.raises(LineageError, match="of no births"):
        ancestry.common_ancestor(lineage, 1, [])


def test_the_common_ancestor_is_the_same_in_blocks_that_grow(tmp_path, monkeypatch):
    monkeypatch.setattr("experiments.lineage.pedigree._BLOCK", 8)
    monkeypatch.setattr("experiments.lineage.pedigree._KEPT", 5)
    rng = np.random.default_rng(1)
    with Lineage.write(tmp_path / "run.db") as lineage, Lineage.view(lineage.path) as viewer:
        run_id = begin(lineage)
        for birth in range(1, 61):
            lineage.record_asked(run_id, [candidate(birth)])
            births = [birth, int(rng.integers(1, birth + 1))]
            shared = set.intersection(*(forebears(one) | {one} for one in births))
            for reader in (lineage, viewer):
                assert ancestry.common_ancestor(reader, run_id, births) == max(shared, default=None)
        with pytest.raises(LineageError):  # a batch that fails after a child of 60 and 59 was there
            lineage.record_asked(run_id, [Candidate(61, Genome("a"), (Parent(60, "first"),)), candidate(63)])
        lineage.record_asked(run_id, [Candidate(61, Genome("a"), (Parent(1, "first"),))])
        assert ancestry.common_ancestor(lineage, run_id, [61, 1]) == 1
        assert ancestry.common_ancestor(lineage, run_id, [61, 60]) == (1 if 1 in forebears(60) else None)


def test_the_primary_line_follows_first_parents(lineage):
    for birth in (1, 50, BIRTHS):
        line = [birth]
        while candidate(line[-1]).parents:
            line.append(next(parent.birth for parent in candidate(line[-1]).parents if parent.role == "first"))
        assert ancestry.primary_line(lineage, 1, birth) == line


def test_unknown_births_are_told(lineage):
    for question in (ancestry.ancestors, ancestry.descendants, ancestry.primary_line, ancestry.children):
        with pytest.raises(LineageError, match="has no birth 999"):
            question(lineage, 1, 999)


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_any_family_is_walked_once_however_often_lines_cross(tmp_path_factory, data):
    families: list[list[int]] = [[]]
    for birth in range(2, 25):
        families.append(data.draw(st.lists(st.integers(1, birth - 1), max_size=3, unique=True), label=f"birth {birth}"))
    with Lineage.write(tmp_path_factory.mktemp("family") / "run.db") as lineage:
        run_id = begin(lineage)
        roles = ("first", "second", "donor")
        lineage.record_asked(
            run_id,
            [
                Candidate(
                    number, Genome("a"), tuple(Parent(one, role) for one, role in zip(family, roles, strict=False))
                )
                for number, family in enumerate(families, start=1)
            ],
        )
        closure: dict[int, set[int]] = {}
        for number, family in enumerate(families, start=1):
            closure[number] = set(family).union(*(closure[parent] for parent in family))
        for number in closure:
            assert set(ancestry.ancestors(lineage, run_id, number)) == closure[number]
        shared = (closure[24] | {24}) & (closure[23] | {23})
        assert ancestry.common_ancestor(lineage, run_id, [24, 23]) == max(shared, default=None)


def test_thirty_doublings_of_ancestors_are_a_moment(tmp_path):
    """Two parents, both children of the same two: 2^60 paths, 121 births."""
    with Lineage.write(tmp_path / "run.db") as lineage:
        run_id = begin(lineage)
        both = [Candidate(1, Genome("a")), Candidate(2, Genome("b"))]
        for birth in range(3, 123):
            last = birth - 1 - (birth % 2 == 0)
            both.append(Candidate(birth, Genome("c"), (Parent(last, "first"), Parent(last - 1, "second"))))
        lineage.record_asked(run_id, both)
        assert ancestry.ancestors(lineage, run_id, 122) == list(range(120, 0, -1))
        assert ancestry.common_ancestor(lineage, run_id, [121, 122]) == 120


def test_a_page_shows_every_birth_once_in_order(lineage):
    for wanted in (None, 3):
        shown, after = [], 0
        while page := browse.page(lineage, 1, generation=wanted, after=after, size=7):
            shown += page
            after = page[-1].birth
        expected = [birth for birth in range(1, BIRTHS + 1) if wanted is None or candidate(birth).generation == wanted]
        assert [card.birth for card in shown] == expected
        for card in shown:
            assert card.parents == tuple(parent.birth for parent in candidate(card.birth).parents)
            assert card.status == score(card.birth).status
            assert card.terms == {name: term.value for name, term in score(card.birth).terms.items()}
    assert [card.birth for card in browse.cards(lineage, 1, [9, 2, 999])] == [9, 2]


def test_curves_operators_and_the_best_are_sums_over_the_births(lineage):
    told = {birth: score(birth) for birth in range(1, BIRTHS + 1)}
    total = {birth: one.total(WEIGHTS) for birth, one in told.items() if one.status == "ok"}
    for point in browse.curve(lineage, 1):
        members = {birth: value for birth, value in total.items() if candidate(birth).generation == point.generation}
        assert point.n == len(members)
        assert point.mean == pytest.approx(statistics.fmean(members.values()))
        assert point.best == max(members.values()) == members[point.best_birth]
        assert point.best_so_far == max(
            value for birth, value in total.items() if candidate(birth).generation <= point.generation
        )
    fine = browse.curve(lineage, 1)
    for most in (1, 2, 5, 12, 13, 99):
        coarse = browse.curve(lineage, 1, most=most)
        assert min(most, len(fine)) // 2 <= len(coarse) <= most
        assert sum(point.n for point in coarse) == len(total)
        assert coarse[-1].best_so_far == fine[-1].best_so_far
        for point, after in zip(coarse, [*coarse[1:], None], strict=True):
            parts = [one for one in fine if point.generation <= one.generation < (after.generation if after else 99)]
            assert point.n == sum(one.n for one in parts)
            assert point.mean == pytest.approx(sum(one.n * one.mean for one in parts) / point.n)
            assert point.best == max(one.best for one in parts) == total[point.best_birth]
    assert browse.curve(lineage, 1, "no such term", most=3) == []
    ranked = sorted(total.items(), key=lambda pair: -pair[1])
    assert browse.best(lineage, 1, count=5) == ranked[:5]
    assert browse.terms(lineage, 1) == ["intelligibility", "pitch", "total"]
    counts = browse.counts(lineage, 1)
    assert (counts.asked, counts.pending) == (BIRTHS, 0)
    for statistic in browse.operator_statistics(lineage, 1):
        made = [candidate(birth) for birth in told if candidate(birth).operator == statistic.operator]
        assert statistic.counts.asked == len(made)
        assert statistic.counts.failed == sum(told[one.birth].status == "failed" for one in made)
        gains = [
            total[one.birth] - max(total[parent.birth] for parent in one.parents if parent.birth in total)
            for one in made
            if one.birth in total and any(parent.birth in total for parent in one.parents)
        ]
        assert statistic.compared == len(gains)
        assert statistic.better == sum(gain > 0 for gain in gains)
        assert (statistic.mean_gain or 0) == pytest.approx(statistics.fmean(gains) if gains else 0)


def test_the_view_for_browsers_shows_every_birth_once_below_its_first_parent(lineage):
    plain = sqlite3.connect(lineage.path)  # as any SQLite browser opens it
    rows = plain.execute("SELECT birth, depth, tree, status FROM lineage_tree WHERE run = 'voices'").fetchall()
    plain.close()
    assert sorted(birth for birth, *_ in rows) == list(range(1, BIRTHS + 1))
    above: list[int] = []
    for birth, depth, tree, status in rows:
        parents = [parent.birth for parent in candidate(birth).parents if parent.role == "first"]
        assert above[depth - 1 : depth] == parents
        above[depth:] = [birth]
        assert tree == f"{'  ' * depth}{birth} {candidate(birth).operator}"
        assert status == score(birth).status


def test_lives_are_candidates_with_what_came_of_them(lineage):
    lives = list(lineage.lives(1, first=5, last=9))
    assert [life.candidate.birth for life in lives] == [5, 6, 7, 8, 9]
    assert all(life.outcome.score == score(life.candidate.birth) for life in lives)
    assert lives[1].candidate.generation == generation(6)


def test_a_branch_knows_where_it_came_from(tmp_path):
    with Lineage.write(tmp_path / "run.db") as lineage:
        run_id = evolve(lineage, 8)
        branch = lineage.begin_run("branch", branched_from=(run_id, 6))
        lineage.record_asked(branch.run_id, [Candidate(1, Genome("Begin here.", voice(6)))])
        assert lineage.run("branch").branched_from == (run_id, 6)
        assert [run.name for run in lineage.runs()] == ["voices", "branch"]
        assert verification.verify(lineage) == []
        with pytest.raises(LineageError, match="there are 'voices', 'branch'"):
            lineage.run("gone")
