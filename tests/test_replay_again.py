"""Births of a recorded run heard again, rendered again, branched from; and two runs compared."""

from __future__ import annotations

import dataclasses
import sqlite3

import numpy as np
import pytest
from lineage_builders import begin, candidate, evolve, heard, rendering, score
from replay_builders import facts

from bark_infinity.engine import BarkEngine
from bark_infinity.error_handling import BarkError, VoiceFormatError
from bark_infinity.requests import Rendering
from experiments.config.run_config import RunConfig
from experiments.events import Told
from experiments.lineage import Lineage, LineageError, clips, collection
from experiments.lineage.rows import row_id
from experiments.recorded_run import AUDIT, RecordedRun
from experiments.replay.branching import branch
from experiments.replay.comparing import diff
from experiments.replay.history import as_asked, events_of
from experiments.replay.regenerating import cautions, decode, regenerate
from experiments.studio import Studio
from fusion.score import Score, Term

BIRTHS = 12


class Loudness:
    """A critic with a taste for long clips."""

    def score(self, clip: Rendering, *, text: str, open_ended: bool) -> Score:
        if clip.audio is None:
            return Score("rejected", reason="empty: nothing is heard")
        return Score("ok", {"duration_s": Term("duration_s", min(len(clip.audio) / 48_000, 1.0), 1)})


def settings(**tables: object) -> RunConfig:
    given = {
        "name": "tiny",
        "seed": 5,
        "model": {"checkpoint": "random-tiny", "precision": "fp32"},
        "founders": {"prompts": ["Hello there.", "Good morning."]},
        "variation": {"genes": ["voice"], "operators": ["immigrant", "continuation", "rerender", "crop"]},
        "breeding": {"step_size": 6, "initial": 6},
        "judge": {"objectives": ["duration_s = 0.5..9"]},
        "execution": {"device": "cpu", "clips": "none"},
    }
    return RunConfig.from_json({**given, **tables})


@pytest.fixture(scope="module")
def studio():
    engine = BarkEngine.load("random-tiny", "cpu", "fp32")
    yield Studio(engine, Loudness())
    engine.close()


def carry_on(run: RecordedRun, studio: Studio, births: int) -> list[object]:
    """What was told of it."""
    sent: list[object] = [run.begun()]
    while run.swarm.committed < births:
        sent += run.ask()
        jobs = [run.jobs.popleft() for _ in range(len(run.jobs))]
        for evaluated in reversed(studio.judge(studio.render(jobs))):
            sent += run.tell(evaluated)
    return sent


@pytest.fixture(scope="module")
def lineage(studio, tmp_path_factory):
    with Lineage.write(tmp_path_factory.mktemp("again") / "a.db", who="the test") as lineage:
        lineage.sent = carry_on(RecordedRun.begin(lineage, settings()), studio, BIRTHS)
        trials = {"texts": ["One.", "Two."], "seeds": 2}
        breeding = {"step_size": 3, "initial": 3}
        carry_on(RecordedRun.begin(lineage, settings(name="trials", trials=trials, breeding=breeding)), studio, 3)
        yield lineage


def spoken(lineage: Lineage, run_id: int = 1) -> list[int]:
    return [
        life.candidate.birth
        for life in lineage.lives(run_id)
        if life.outcome is not None and life.outcome.output_sha256 is not None
    ]


def told_alike(events) -> list[object]:
    """Events without clips and durations, which are not recorded or only rounded."""
    return facts(
        dataclasses.replace(event, clip=None, seconds={}) if isinstance(event, Told) else event for event in events
    )


def test_a_real_run_is_told_again_as_it_told_itself(lineage):
    *told, state = events_of(lineage, 1)
    assert told_alike(told) == told_alike(lineage.sent)
    assert state.state == "loading"  # nobody set another


# -- heard again ------------------------------------------------------------------------------------------------


def test_a_birth_without_a_clip_is_decoded_from_its_tokens(lineage, studio):
    birth = spoken(lineage)[0]
    [again] = studio.render([_job(lineage, birth)])
    audio, rate = decode(lineage, 1, birth, studio.engine)
    assert rate == studio.engine.sample_rate
    np.testing.assert_allclose(audio, again.renderings[0].audio, atol=1e-6)


def test_a_kept_clip_is_heard_and_a_damaged_one_is_not(lineage, studio):
    birth = spoken(lineage)[1]
    decoded, _ = decode(lineage, 1, birth, studio.engine)
    path = clips.keep_clip(lineage, 1, birth, np.full(480, 0.25, np.float32), 24_000)
    assert decode(lineage, 1, birth, studio.engine)[0].shape == (480,)
    path.write_bytes(b"something else")
    assert np.array_equal(decode(lineage, 1, birth, studio.engine)[0], decoded)
    path.unlink()
    assert np.array_equal(decode(lineage, 1, birth, studio.engine)[0], decoded)


def test_what_cannot_be_heard_says_why(tmp_path, studio):
    with Lineage.write(tmp_path / "a.db") as lineage:
        run_id = evolve(lineage, 12)
        lineage.record_asked(run_id, [candidate(13)])
        for birth, why in ((13, "not rendered yet"), (5, "out of memory"), (3, "it does not end"), (99, "no birth 99")):
            with pytest.raises(LineageError, match=why) as caught:
                decode(lineage, run_id, birth, studio.engine)
            assert caught.value.trouble == "missing"


def test_tokens_of_another_family_are_not_decoded_into_noise(tmp_path, studio):
    with Lineage.write(tmp_path / "a.db") as lineage:
        run_id = evolve(lineage, 2)  # in Suno's token space
        with pytest.raises(VoiceFormatError, match=r"token space"):
            decode(lineage, run_id, 1, studio.engine)


# -- rendered again ---------------------------------------------------------------------------------------------


def _job(lineage: Lineage, birth: int, run_id: int = 1):
    from experiments.breeding import job_of
    from experiments.replay.settings import run_config

    [asked] = as_asked(lineage, run_id, [lineage.candidate(run_id, birth)])
    return job_of(run_config(lineage.run(run_id)), asked)


def test_every_birth_renders_to_the_recorded_tokens(lineage, studio):
    came = list(regenerate(lineage, 1, range(1, BIRTHS + 1), studio, batch_size=5))
    assert [one.birth for one in came] == list(range(1, BIRTHS + 1))
    assert {one.birth for one in came if one.same} == set(spoken(lineage))
    assert not [one for one in came if one.same is False]
    assert any(_job(lineage, birth).candidate.render_first is not None for birth in spoken(lineage))
    assert cautions(lineage.run(1), studio.engine) == []


def test_every_trial_renders_to_the_recorded_tokens(lineage, studio):
    came = list(regenerate(lineage, 2, spoken(lineage, 2), studio))
    assert len(came) >= 2
    assert all(one.same for one in came)


@pytest.mark.parametrize("seeds", [1, 2])
def test_audits_on_held_out_texts_are_rendered_again_too(studio, tmp_path, seeds):
    trials = {"texts": ["One."], "held_out": ["Two."], "seeds": seeds}
    with Lineage.write(tmp_path / "a.db") as lineage:
        breeding = {"step_size": 3, "initial": 3}
        run = RecordedRun.begin(lineage, settings(trials=trials, breeding=breeding, stop={"evaluations": 3}))
        carry_on(run, studio, 3)
        run.ask()
        for evaluated in studio.judge(studio.render(list(run.jobs))):
            run.tell(evaluated)
        audited = list(lineage.outcomes(1, range(1, 4), replicate=AUDIT))
        assert audited
        came = {one.birth: one for one in regenerate(lineage, 1, spoken(lineage), studio)}
        assert all(one.same for one in came.values())
        assert {birth: one.audits for birth, one in came.items() if one.audits} == dict.fromkeys(audited, seeds)

        class Forgetful:
            """Says held-out texts otherwise than before."""

            def render(self, jobs):
                return (studio if jobs[0].trials[0].text == "One." else Another(studio)).render(jobs)

        for one in regenerate(lineage, 1, audited, Forgetful()):
            assert one.same is False
            assert one.first_difference.startswith("on held-out texts, ")


def test_what_is_not_there_to_compare_is_neither_same_nor_different(lineage, studio, tmp_path):
    with Lineage.write(tmp_path / "a.db") as other:
        run = RecordedRun.begin(other, settings())
        run.ask()
        [came] = regenerate(other, 1, [1], studio)
        assert (came.same, came.first_difference) == (None, "it was never rendered")
        with pytest.raises(LineageError, match="no birth 77"):
            list(regenerate(other, 1, [77], studio))


class Another:
    """A studio with other seeds."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio

    def render(self, jobs):
        other = [
            dataclasses.replace(
                job, trials=tuple(dataclasses.replace(trial, seed=trial.seed ^ 1) for trial in job.trials)
            )
            for job in jobs
        ]
        return [dataclasses.replace(one, job=job) for one, job in zip(self.studio.render(other), jobs, strict=True)]


def test_the_first_difference_is_named(lineage, studio):
    came = [one for one in regenerate(lineage, 1, spoken(lineage)[-5:], Another(studio)) if not one.same]
    assert came
    for one in came:
        assert "recorded" in one.first_difference
        recorded = lineage.rendering(1, one.birth).tokens
        if " token " in one.first_difference:
            stage, _, at = one.first_difference.split()[:3]
            value = int(one.first_difference.split()[-1])
            assert value in np.atleast_2d(getattr(recorded, stage))[:, int(at) - 1]


def test_tokens_let_go_are_compared_by_their_hash(studio, tmp_path):
    with Lineage.write(tmp_path / "a.db") as lineage:
        carry_on(RecordedRun.begin(lineage, settings()), studio, 6)
        birth = spoken(lineage)[0]
        connection = sqlite3.connect(tmp_path / "a.db")
        with connection:  # what gc does to births that nobody cares about
            connection.execute("DELETE FROM leaders")
        connection.close()
        assert collection.collect(lineage).voices
        assert [one.same for one in regenerate(lineage, 1, [birth], studio)] == [True]
        [came] = regenerate(lineage, 1, [birth], Another(studio))
        assert "let go by gc" in came.first_difference
        with pytest.raises(LineageError, match="let go by gc"):
            decode(lineage, 1, birth, studio.engine)


def test_a_run_says_when_equality_cannot_be_expected(lineage, studio, tmp_path):
    run = lineage.run(1)
    checkpoints = {**run.checkpoints, min(run.checkpoints, default="x"): "00"}
    config = {**run.config, "model": {"checkpoint": "random-tiny", "precision": "fp16"}}
    other = dataclasses.replace(
        run, checkpoints=checkpoints, config=config, execution={"execution": {"device": "cuda"}}
    )
    found = cautions(other, studio.engine)
    assert len(found) == 3
    assert "checkpoint" in found[0]
    assert "fp16" in found[1]
    assert "cuda" in found[2]
    assert "chose its device itself" in cautions(dataclasses.replace(run, execution={}), studio.engine)[0]


def test_a_run_that_was_not_begun_here_cannot_be_rendered_again(tmp_path, studio):
    with Lineage.write(tmp_path / "a.db") as lineage:
        run_id = evolve(lineage, 2)
        with pytest.raises(LineageError, match="settings"):
            list(regenerate(lineage, run_id, [1], studio))


# -- branched from ----------------------------------------------------------------------------------------------


def test_a_branch_begins_with_the_individual(lineage, studio):
    birth = spoken(lineage)[-1]
    branched = branch(lineage, 1, birth, "again", ["breeding.step_size=3", "seed=9"])
    assert branched.branched_from == (1, birth)
    assert [one.sha256 for one in branched.founders] == [lineage.candidate(1, birth).genome.sha256]
    assert (branched.config.name, branched.config.breeding.step_size, branched.config.seed) == ("again", 3, 9)
    assert branched.config.execution.device == "cpu"
    run = RecordedRun.begin(
        lineage, branched.config, base=branched.base, founders=branched.founders, branched_from=branched.branched_from
    )
    carry_on(run, studio, 3)
    assert lineage.run("again").branched_from == (1, birth)
    assert lineage.candidate(run.run.run_id, 1).genome == lineage.candidate(1, birth).genome
    resumed = RecordedRun.resume(lineage, "again")
    carry_on(resumed, studio, 6)
    assert lineage.last_birth(run.run.run_id) >= 6


def test_a_branch_can_begin_with_all_who_lived(lineage):
    living = [one.population for one in events_of(lineage, 1) if type(one).__name__ == "Committed"]
    for step in (1, 2):
        birth = step * 6
        founders = branch(lineage, 1, birth, with_population=True).founders
        wanted = {lineage.candidate(1, one).genome.sha256 for one in (birth, *living[step - 1])}
        assert founders[0].sha256 == lineage.candidate(1, birth).genome.sha256
        assert {one.sha256 for one in founders} == wanted


def test_a_branch_that_makes_no_sense_is_refused(lineage, tmp_path):
    with pytest.raises(LineageError, match="no birth 999"):
        branch(lineage, 1, 999)
    with pytest.raises(BarkError, match="step_size"):
        branch(lineage, 1, 1, "x", ["breeding.stepsize=3"])
    with Lineage.write(tmp_path / "a.db") as other:
        run_id = begin(other)
        other.record_asked(run_id, [candidate(birth) for birth in range(1, 11)])
        with pytest.raises(LineageError, match="no voice yet"):
            branch(other, run_id, 10)


# -- compared ---------------------------------------------------------------------------------------------------


def test_equal_runs_do_not_part(tmp_path):
    with Lineage.write(tmp_path / "a.db") as lineage:
        one, other = evolve(lineage, 12), evolve(lineage, 12, name="again", batch=3)
        found = diff(lineage, one, other)
        assert found.parting is None
        assert not found.settings
        assert "all 12 births are the same" in found.text()
        assert found.best["total"][0] == found.best["total"][1]


def changed(birth: int, **facts: object):
    return dataclasses.replace(candidate(birth), **facts)


def longer(birth: int) -> Rendering:
    had = rendering(birth)
    return dataclasses.replace(had, tokens=rendering(birth + 1).tokens)


@pytest.mark.parametrize(
    ("aspect", "born", "judged", "spoken"),
    [
        ("operator", changed(6, operator="tempo"), score(6), rendering(6)),
        ("operator", changed(6, parameters={"begin": 7}), score(6), rendering(6)),
        ("parents", changed(6, parents=candidate(6).parents[::1][:0], operator=candidate(6).operator), score(6), None),
        ("genome", changed(6, genome=candidate(9).genome), score(6), rendering(6)),
        ("seed", changed(6, seed=4), score(6), rendering(6)),
        ("score", candidate(6), Score("failed", reason="a fire"), None),
        ("tokens", candidate(6), score(6), longer(6)),
    ],
)
def test_the_first_birth_where_two_runs_part_is_found_and_in_what(tmp_path, aspect, born, judged, spoken):
    with Lineage.write(tmp_path / "a.db") as lineage:
        one, other = evolve(lineage, 9), begin(lineage, "other")
        for birth in range(1, 10):
            now = born if birth == 6 else candidate(birth)
            lineage.record_asked(other, [now])
            result = (judged, spoken) if birth == 6 else (score(birth), rendering(birth))
            lineage.record_told(other, heard(now), *result)
        parting = diff(lineage, one, other).parting
        assert (parting.birth, parting.aspect) == (6, aspect)
        assert parting.one != parting.other
        assert diff(lineage, other, one).parting.one == parting.other


def test_a_run_that_ends_first_is_told_from_one_that_differs(tmp_path):
    with Lineage.write(tmp_path / "a.db") as lineage:
        one, other = evolve(lineage, 4), evolve(lineage, 7, name="longer")
        parting = diff(lineage, one, other).parting
        assert (parting.birth, parting.aspect) == (5, "end")
        lineage.record_asked(one, [candidate(5)])
        parting = diff(lineage, one, other).parting
        assert (parting.birth, parting.aspect, parting.one) == (5, "end", "is pending")
        empty = begin(lineage, "empty")
        assert diff(lineage, empty, one).parting.one == "it has no births"
        assert diff(lineage, empty, begin(lineage, "empty, too")).parting is None


def test_settings_and_credit_are_side_by_side(lineage):
    text = diff(lineage, 1, 2).text()
    found = diff(lineage, 1, 2)
    assert found.settings["trials.seeds"] == (1, 2)
    assert "  trials.seeds: 1  |  2" in text
    assert set(found.operators) >= {"founder", "control"}
    assert max(map(len, text.splitlines())) <= 200
    assert row_id(1, 1) == 1 << 32 | 1
    with pytest.raises(LineageError, match="no run 9"):
        diff(lineage, 1, 9)
