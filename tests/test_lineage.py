"""What is recorded comes back exactly, once, and nothing else is ever taken in its place."""

from __future__ import annotations

import dataclasses
import sqlite3
import threading

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lineage_builders import begin, candidate, evolve, heard, rendering, score, voice

from bark_infinity.requests import RenderRequest, RenderSettings
from bark_infinity.tokens import TokenSpace
from bark_infinity.voices.history import VoiceHistory
from digital_evolution import Candidate, Genome, Parent
from experiments.lineage import Lineage, LineageError, clips, collection, people, verification
from experiments.lineage.token_blobs import packed_tokens, unpacked_voice
from fusion.score import Score, Term

BIRTHS = 30


@pytest.fixture
def lineage(tmp_path):
    with Lineage.write(tmp_path / "run.db", who="a test") as lineage:
        yield lineage


def test_candidates_scores_and_renderings_come_back_equal(lineage):
    run_id = evolve(lineage, BIRTHS)
    with Lineage.view(lineage.path) as viewer:
        for birth in range(1, BIRTHS + 1):
            assert viewer.candidate(run_id, birth) == heard(candidate(birth))
            assert viewer.outcome(run_id, birth).score == score(birth)
            told = rendering(birth)
            back = viewer.rendering(run_id, birth)
            assert (back is None) == (told is None)
            if told is not None:
                assert back.stopped == told.stopped
                assert back.notices == told.notices
                np.testing.assert_array_equal(back.tokens.fine, told.tokens.fine)
                assert str(back.stats) == str(told.stats)  # NaN equals NaN in text
        run = viewer.run("voices")
        assert run.seed == 2**64 - 1
        assert run.config["texts"] == ["Hello."]


def test_every_field_of_a_candidate_comes_back(lineage):
    plain = Candidate(1, Genome("Hello."))
    full = Candidate(
        birth=2,
        genome=Genome("[laughs] Hi. ♪", voice(3), RenderSettings(coarse_top_k=9, fine_temp=None), content_lock=False),
        parents=(Parent(1, "first"),),
        operator="semantic_temp",
        operator_version=3,
        parameters={"by": -0.1, "at": (1, 2), "word": "♪", "edits": 2, "2/by": 0.3},
        generation=1,
        seed=2**63 - 1,
        island=2,
        rate=1.7320508075688772,
        render_first=RenderRequest(text="Once.", voice=voice(4), seed=5),
    )
    for field in dataclasses.fields(Candidate):
        assert getattr(full, field.name) != getattr(plain, field.name), f"{field.name} would not be noticed"
    full = dataclasses.replace(full, genome=dataclasses.replace(full.genome, voice=None))
    run_id = begin(lineage)
    lineage.record_asked(run_id, [plain, full])
    back = lineage.candidate(run_id, 2)
    assert lineage.candidate(run_id, 1) == plain
    assert back.render_first.voice == voice(4)
    assert (back.render_first.text, back.render_first.seed) == ("Once.", 5)
    assert dataclasses.replace(back, render_first=None) == dataclasses.replace(full, render_first=None)
    assert {type(value) for value in back.parameters.values()} == {float, tuple, str, int}


def test_terms_that_could_not_be_judged_come_back_with_why(lineage):
    run_id = begin(lineage)
    lineage.record_asked(run_id, [candidate(1), candidate(2)])
    unknown = {"likeness": "no reference ♪", "words": "no recogniser speaks ko"}
    told = Score("ok", {"pitch": Term("pitch", 0.5, 2)}, unknown=unknown)
    lineage.record_told(run_id, candidate(1), told)
    lineage.record_told(run_id, candidate(2), Score("ok", {"pitch": Term("pitch", 0.5, 2)}))
    with Lineage.view(lineage.path) as viewer:
        assert viewer.outcome(run_id, 1).score == told
        assert list(viewer.outcome(run_id, 1).score.unknown) == list(unknown)
        assert viewer.outcome(run_id, 2).score.unknown == {}
        assert verification.verify(viewer) == []
    with pytest.raises(LineageError, match="another result"):
        lineage.record_told(run_id, candidate(1), Score("ok", {"pitch": Term("pitch", 0.5, 2)}))
    with lineage.transaction("forgetting") as write:
        write.execute("UPDATE evaluations SET unknown_id = NULL")
    assert "its result is not what was recorded" in "".join(verification.verify(lineage))


def test_how_a_run_is_conducted_may_change_and_is_no_part_of_what_it_is(lineage):
    run_id = evolve(lineage, 8)
    before = verification.content_sha256(lineage, order=True)
    assert lineage.run(run_id).execution == {"workers": 2}
    lineage.set_execution(run_id, {"workers": 7, "stop": {"hours": 8.5}, "clips": ["elite"], "base": None})
    with Lineage.view(lineage.path) as viewer:
        assert viewer.run(run_id).execution == {"workers": 7, "stop": {"hours": 8.5}, "clips": ["elite"], "base": None}
        assert verification.content_sha256(viewer, order=True) == before
        assert verification.verify(viewer) == []
    assert begin(lineage) == run_id  # a resumed run is found, and keeps its own
    assert lineage.run(run_id).execution["workers"] == 7
    with pytest.raises(LineageError, match="no run number 9"):
        lineage.set_execution(9, {})
    with pytest.raises(LineageError, match="the execution cannot be recorded"):
        lineage.set_execution(run_id, {"hours": float("nan")})
    assert lineage.run(run_id).execution["workers"] == 7


def test_a_pending_birth_says_what_to_render_first(lineage):
    run_id = begin(lineage)
    asked = [candidate(birth) for birth in range(1, 6)]
    assert asked[4].render_first is not None
    lineage.record_asked(run_id, asked)
    back = lineage.candidate(run_id, 5)
    assert back.genome.voice is None
    np.testing.assert_array_equal(back.render_first.semantic, asked[4].render_first.semantic)
    assert back.render_first.voice == asked[4].render_first.voice
    assert lineage.pending(run_id) == [1, 2, 3, 4, 5]
    assert verification.verify(lineage) == []


def test_events_are_what_was_asked_and_told_in_order(lineage):
    run_id = begin(lineage)
    lineage.record_asked(run_id, [candidate(1), candidate(2)])
    lineage.record_told(run_id, candidate(2), score(2))
    lineage.record_event(run_id, "pinned", {"why": "♪"}, birth=2)
    lineage.record_told(run_id, candidate(1), score(1))
    told = [(event.seq, event.kind, list(event.births), event.payload) for event in lineage.events(run_id)]
    assert told == [
        (1, "asked", [1, 2], None),
        (2, "told", [2], None),
        (3, "pinned", [2], {"why": "♪"}),
        (4, "told", [1], None),
    ]
    assert [event.seq for event in lineage.events(run_id, after=2)] == [3, 4]


def test_recording_the_same_again_changes_nothing(lineage):
    run_id = evolve(lineage, BIRTHS)
    before = verification.content_sha256(lineage, order=True)
    assert lineage.record_asked(run_id, [candidate(birth) for birth in range(1, BIRTHS + 1)]) == 0
    assert not lineage.record_told(run_id, heard(candidate(7)), score(7), rendering(7))
    assert begin(lineage) == run_id
    assert verification.content_sha256(lineage, order=True) == before


def test_recording_something_else_in_its_place_is_refused(lineage):
    run_id = evolve(lineage, 8)
    with pytest.raises(LineageError, match="birth 3 is recorded as another candidate") as refusal:
        lineage.record_asked(run_id, [dataclasses.replace(candidate(3), seed=0)])
    assert refusal.value.trouble == "conflict"
    with pytest.raises(LineageError, match="birth 2, replicate 0 has another result"):
        lineage.record_told(run_id, heard(candidate(2)), score(1), rendering(2))
    with pytest.raises(LineageError, match="another config, seed"):
        lineage.begin_run("voices", seed=1)
    lineage.record_asked(run_id, [candidate(9)])
    other = dataclasses.replace(candidate(9), genome=Genome("Other words."))
    with pytest.raises(LineageError, match="another genome"):
        lineage.record_told(run_id, other, score(9))
    assert verification.verify(lineage) == []


def test_births_without_number_parents_or_request_are_refused(lineage):
    run_id = begin(lineage)
    lineage.record_asked(run_id, [candidate(1)])
    with pytest.raises(LineageError, match="birth 3 follows 1"):
        lineage.record_asked(run_id, [candidate(3)])
    with pytest.raises(LineageError, match="not born before it"):
        lineage.record_asked(run_id, [Candidate(2, Genome("a"), (Parent(2, "first"),))])
    with pytest.raises(LineageError, match="exactly one of role 'first'"):
        lineage.record_asked(run_id, [Candidate(2, Genome("a"), (Parent(1, "donor"),))])
    with pytest.raises(LineageError, match="never asked for"):
        lineage.record_told(run_id, candidate(2), score(2))
    with pytest.raises(LineageError, match="no run number 9"):
        lineage.record_asked(9, [candidate(1)])
    with pytest.raises(LineageError, match="cannot be recorded"):
        lineage.record_asked(run_id, [Candidate(2, Genome("a"), parameters={"gain": float("nan")})])
    assert lineage.last_birth(run_id) == 1
    assert verification.verify(lineage) == []


def test_a_batch_that_fails_half_way_leaves_nothing(lineage):
    run_id = begin(lineage)
    with pytest.raises(LineageError):
        lineage.record_asked(run_id, [candidate(1), candidate(2), candidate(4)])
    assert lineage.last_birth(run_id) == 0
    assert lineage.record_asked(run_id, [candidate(1), candidate(2)]) == 2
    assert lineage.candidate(run_id, 2) == candidate(2)
    assert verification.verify(lineage) == []


def test_content_does_not_depend_on_batches_or_on_the_order_of_results(tmp_path):
    hashes, orders = set(), set()
    for batch in (1, 4, 16):
        with Lineage.write(tmp_path / f"{batch}.db") as lineage:
            run_id = begin(lineage)
            for start in range(1, BIRTHS + 1, batch):
                asked = [candidate(birth) for birth in range(start, min(start + batch, BIRTHS + 1))]
                lineage.record_asked(run_id, asked)
                for one in reversed(asked):
                    lineage.record_told(run_id, heard(one), score(one.birth), rendering(one.birth))
            hashes.add(verification.content_sha256(lineage))
            orders.add(verification.content_sha256(lineage, order=True))
    assert len(hashes) == 1
    assert len(orders) == 3


def test_replicates_stand_beside_what_the_swarm_was_told(lineage):
    run_id = evolve(lineage, 4)
    assert lineage.record_told(run_id, candidate(1), score(2), rendering(2), replicate=1)
    assert lineage.outcome(run_id, 1, 1).score == score(2)
    assert lineage.outcome(run_id, 1).score == score(1)
    assert sum(event.kind == "told" for event in lineage.events(run_id)) == 4
    assert verification.verify(lineage) == []


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 40),
    st.sampled_from([TokenSpace(), TokenSpace(semantic_vocab_size=512, n_fine_codebooks=4), TokenSpace(100_000)]),
    st.integers(0, 2**32),
    st.booleans(),
)
def test_tokens_of_any_space_come_back_and_damage_is_told(n_semantic, space, seed, constant):
    rng = np.random.default_rng(seed)
    n_semantic += 1
    shape = (space.n_fine_codebooks, space.frames_for(n_semantic))
    fine = np.full(shape, 7) if constant else rng.integers(0, space.codebook_size, shape)
    one = VoiceHistory(rng.integers(0, space.semantic_vocab_size, n_semantic), fine[:2], fine, space=space)
    blob = packed_tokens(one)
    assert unpacked_voice(blob, n_semantic, shape[1], space).sha256 == one.sha256
    with pytest.raises(LineageError, match="stored tokens"):
        unpacked_voice(blob[:-3], n_semantic, shape[1], space)
    with pytest.raises(LineageError, match="stored tokens"):
        unpacked_voice(blob, n_semantic + 1, shape[1], space)


number = st.floats(allow_nan=False, allow_infinity=False)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(st.text(min_size=1), st.tuples(st.floats(0, 1), st.none() | number, st.text()), max_size=5),
    st.dictionaries(st.text(), number, max_size=5),
)
def test_any_score_comes_back_to_the_last_bit(tmp_path_factory, terms, measures):
    terms = {name: what for name, what in terms.items() if name not in ("asked", "ok", "rejected", "failed", "total")}
    told = Score("ok", {name: Term(name, value, 3, *rest) for name, (value, *rest) in terms.items()}, measures=measures)
    with Lineage.write(tmp_path_factory.mktemp("score") / "run.db") as lineage:
        run_id = begin(lineage)
        lineage.record_asked(run_id, [candidate(1)])
        lineage.record_told(run_id, candidate(1), told)
        assert lineage.outcome(run_id, 1).score == told
        assert verification.verify(lineage) == []


DAMAGES = {
    "texts": ("UPDATE texts SET text = text || 'x' WHERE text_id = 1", "text 1 is not what was stored"),
    "parents": ("UPDATE parents SET parent = parent - 1 WHERE parent & 4294967295 = 4", "not what was asked for"),
    "seed": ("UPDATE births SET seed = seed + 1 WHERE birth = 3", "birth 3: it is not what was asked for"),
    "genome": ("UPDATE births SET content_lock = 1 - content_lock WHERE birth = 3", "birth 3: its genome has hash"),
    "terms": ("UPDATE evaluations SET terms = replace(terms, ':0.', ':0.0')", "its result is not what was recorded"),
    "total": ("UPDATE evaluations SET total = 1 WHERE birth_id & 4294967295 = 2", "birth 2: its total is 1"),
    "reason": ("UPDATE evaluations SET rendering = NULL", "its result is not what was recorded"),
    "voices": ("UPDATE voices SET tokens = (SELECT tokens FROM voices WHERE voice_id = 2)", "its tokens have hash"),
    "let go": ("UPDATE voices SET tokens = NULL", "its tokens are gone, but births speak with it"),
    "events": ("DELETE FROM events WHERE seq = 2", "event 2 is missing"),
    "config": ("UPDATE runs SET config = '{}'", "are not what was recorded"),
    "tally": ("UPDATE generation_tallies SET n = n + 1", "sums of asked in generation"),
    "credit": ("UPDATE operator_tallies SET total = total + 1", "of operator splice"),
    "leaders": ("DELETE FROM leaders", "the leaders of pitch are not the best births"),
    "orphan": ("DELETE FROM births WHERE birth = 1", "refers to births"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_verify_finds(damage, tmp_path):
    with Lineage.write(tmp_path / "run.db") as lineage:
        evolve(lineage, 12)
        assert verification.verify(lineage) == []
    statement, finding = DAMAGES[damage]
    editor = sqlite3.connect(tmp_path / "run.db")
    editor.execute(statement)
    editor.commit()
    editor.close()
    with Lineage.view(tmp_path / "run.db") as lineage:
        assert finding in "\n".join(verification.verify(lineage))


def test_judgements_tags_and_notes_are_taken_back_but_never_lost(lineage):
    run_id = evolve(lineage, 6)
    first = people.judge(lineage, run_id, "better", 1, 2, rater="ada", latency_s=1.5)
    people.judge(lineage, run_id, "rating", 3, value=1.0, rater="ada")
    people.tag(lineage, run_id, 4, "favourite")
    people.tag(lineage, run_id, 4, "favourite")
    number = people.note(lineage, run_id, 4, "laughs at the end")
    before = verification.content_sha256(lineage)
    people.withdraw(lineage, first)
    people.withdraw_note(lineage, number)
    assert [one.kind for one in people.judgements(lineage, run_id)] == ["rating"]
    assert [one.withdrawn for one in people.judgements(lineage, run_id, withdrawn=True)] == [True, False]
    assert people.tags(lineage, run_id, 4) == ["favourite"]
    assert people.tagged(lineage, run_id, "favourite") == [4]
    assert people.notes(lineage, run_id, 4) == []
    people.untag(lineage, run_id, 4, "favourite")
    assert people.tagged(lineage, run_id, "favourite") == []
    assert [event.kind for event in lineage.events(run_id) if event.kind not in ("asked", "told")] == [
        "judged",
        "judged",
        "withdrawn",
    ]
    assert verification.content_sha256(lineage) != before
    with pytest.raises(LineageError, match="still stands"):
        people.withdraw(lineage, first)
    with pytest.raises(LineageError, match="makes no sense"):
        people.judge(lineage, run_id, "better", 1, 1)
    with pytest.raises(LineageError, match="contradicts") as unknown:
        people.judge(lineage, run_id, "better", 1, 99)
    assert unknown.value.trouble == "conflict"


def test_clips_are_kept_beside_the_file_and_damage_is_told(lineage):
    run_id = evolve(lineage, 4)
    audio = np.sin(np.arange(2400) / 20).astype(np.float32) / 2
    kept = clips.keep_clip(lineage, run_id, 1, audio, 24_000)
    back, rate = clips.clip(lineage, run_id, 1)
    assert rate == 24_000
    np.testing.assert_allclose(back, audio, atol=1 / 32_000)
    assert clips.clip(lineage, run_id, 2) is None
    assert verification.verify(lineage) == []
    kept.write_bytes(kept.read_bytes()[:-1])
    assert "is not what was kept" in "\n".join(verification.verify(lineage))
    with pytest.raises(LineageError, match="is not what was kept"):
        clips.clip(lineage, run_id, 1)
    with lineage.transaction("planting a path") as write:
        write.execute("UPDATE clips SET path = '../../etc/passwd.clips/../x.flac'")
    with pytest.raises(LineageError):
        clips.clip(lineage, run_id, 1)


def test_collection_lets_go_of_what_nobody_cares_about_and_nothing_else(lineage):
    run_id = evolve(lineage, 200)
    people.tag(lineage, run_id, 12, "favourite")
    people.judge(lineage, run_id, "better", 17, 18)
    for birth in (1, 12):
        clips.keep_clip(lineage, run_id, birth, np.full(100, birth / 100, np.float32), 24_000)
    stray = clips.clip_folder(lineage.path) / ".killed.flac"
    stray.write_bytes(b"half")
    content = verification.content_sha256(lineage)
    led = {birth for (birth,) in lineage.query("SELECT birth FROM leaders")}
    done = collection.collect(lineage, ancestors="none", grace_s=0, compact=True)
    assert done.voices > 20
    assert done.clips == (1 not in led)
    assert not stray.exists()
    assert verification.content_sha256(lineage) == content
    assert verification.verify(lineage) == []
    for birth in range(1, 201):
        assert lineage.candidate(run_id, birth) == heard(candidate(birth))  # what is heritable is always there
        if birth in led | {12, 17, 18} and score(birth).status == "ok":
            assert lineage.rendering(run_id, birth).tokens.fine.size
    let_go = next(
        birth for birth in range(1, 201) if birth not in led | {12, 17, 18} and rendering(birth) and birth % 8 != 3
    )
    with pytest.raises(LineageError, match="let go by gc"):
        lineage.rendering(run_id, let_go)
    assert collection.collect(lineage, ancestors="none", grace_s=0).voices == 0
    assert lineage.record_told(run_id, heard(candidate(let_go)), score(let_go), rendering(let_go), replicate=1)
    assert lineage.rendering(run_id, let_go).tokens.fine.size  # rendered again, so it is there again


def test_threads_may_share_one_lineage(lineage):
    run_id = evolve(lineage, 10)
    problems = []

    def read() -> None:
        try:
            for _ in range(20):
                assert lineage.candidate(run_id, 5).birth == 5
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for birth in range(11, 25):
        lineage.record_asked(run_id, [candidate(birth)])
    for thread in threads:
        thread.join()
    assert not problems


def test_voices_are_found_by_the_beginning_of_their_hash(lineage):
    evolve(lineage, 6)
    assert lineage.voice(voice(1).sha256[:10]) == voice(1)
    for digits, told in (("123", "names no voice"), ("zzzzzzz", "names no voice"), ("0" * 64, "no voice whose hash")):
        with pytest.raises(LineageError, match=told):
            lineage.voice(digits)
