"""How a run ends, and goes on where it ended: whole steps, audits, limits that are moved, what people say meanwhile."""

from __future__ import annotations

import dataclasses
import threading
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up_studio import MadeUpStudio, made_up_voice
from runner_builders import config, in_process, micro_space, run_at_once

from bark_infinity.audio import write_audio
from bark_infinity.error_handling import BarkError
from digital_evolution import Genome
from evolution.interventions import Breed, Pin, Plant
from experiments import events
from experiments.evaluation import Job, Rendered
from experiments.executors.in_process import InProcess
from experiments.lineage import Lineage, LineageError, people
from experiments.lineage.verification import content_sha256, verify
from experiments.recorded_run import RecordedRun
from experiments.replay.history import events_of
from experiments.runner import Runner
from experiments.sitting import Sitting


def content(path: Path) -> str:
    with Lineage.view(path) as lineage:
        assert verify(lineage) == []
        return content_sha256(lineage)


def whole(path: Path, **how: Any) -> list[events.Event]:
    said: list[events.Event] = []
    runner = Runner.begin(path, config(**how), said.append, make_executor=in_process)
    assert runner.run() == "done", runner.reason
    return said


def gone_on(path: Path, **conduct: Any) -> list[events.Event]:
    said: list[events.Event] = []
    runner = Runner.resume(path, 1, said.append, conduct=conduct, make_executor=in_process)
    assert runner.run() == "done", runner.reason
    return said


@pytest.mark.parametrize("lag", [0, 1, 2])
def test_what_was_begun_is_finished_also_after_a_kill_at_the_limit(tmp_path: Path, lag: int):
    """With a lag, births of later steps are under way when the last step that counts is over."""
    how = {"breeding": {"lag": lag}, "trials": {"held_out": ["Never heard before."]}}
    whole(tmp_path / "whole.db", **how)
    path = tmp_path / "killed.db"
    with Lineage.write(path) as lineage:
        run = RecordedRun.begin(lineage, config(**how))
        studio = MadeUpStudio(micro_space())
        while run.over() is None:
            run.ask()
            [evaluated] = studio.judge(studio.render([run.jobs.popleft()]))
            run.tell(evaluated)
        assert len(lineage.pending(1)) == 4 * lag
    told = gone_on(path)
    assert sum(isinstance(event, events.Told) for event in told) == 4 * lag
    assert content(path) == content(tmp_path / "whole.db")


@pytest.mark.parametrize("lag", [0, 1])
def test_a_run_that_is_over_goes_on_as_if_it_had_the_higher_limit_from_the_start(tmp_path: Path, lag: int):
    how = {"breeding": {"lag": lag}}
    whole(tmp_path / "whole.db", **how, stop={"evaluations": 40})
    whole(tmp_path / "longer.db", **how)
    gone_on(tmp_path / "longer.db", stop={"evaluations": 40})
    assert content(tmp_path / "longer.db") == content(tmp_path / "whole.db")


def test_what_people_do_when_a_run_is_over_takes_effect_when_it_goes_on(tmp_path: Path):
    path = tmp_path / "run.db"
    whole(path, breeding={"lag": 1})
    with Lineage.write(path) as lineage:
        run = RecordedRun.resume(lineage, 1)
        alive = [one.birth for one in run.swarm.algorithm.members()]
        run.intervene(Plant(Genome("Planted words.", made_up_voice(micro_space(), "planted"))))
        run.intervene(Breed((alive[0], alive[1])))
        run.intervene(Pin(run.swarm.planned))  # planned, and not even asked for
        run.conduct({"stop": {"evaluations": 60}})
        run_at_once(run, 5)
    gone_on(path)  # the same again, from the file
    with Lineage.view(path) as lineage:
        born = lineage.candidates(1, range(1, lineage.last_birth(1) + 1))
    assert [one.genome.prompt for one in born].count("Planted words.") >= 1
    assert any({parent.birth for parent in one.parents} == set(alive[:2]) for one in born)
    assert content(path)


class PatientStudio(MadeUpStudio):
    """Waits before it renders what is held out."""

    begun, go_on = threading.Event(), threading.Event()

    def render(self, jobs: list[Job]) -> list[Rendered]:  # type: ignore[override]
        if any(trial.text == "held out" for job in jobs for trial in job.trials):
            self.begun.set()
            assert self.go_on.wait(30)
        return super().render(jobs)


def test_commands_are_heard_while_the_best_are_audited_and_a_stop_leaves_the_rest_for_later(tmp_path: Path):
    path, said, judged = tmp_path / "run.db", [], threading.Event()

    def hear(event: events.Event) -> None:
        said.append(event)
        if isinstance(event, events.Judged):
            judged.set()

    how = {"trials": {"held_out": ["held out"]}}
    make = partial(InProcess, partial(PatientStudio, micro_space()), 1, overlap=False)
    runner = Runner.begin(path, config(**how), hear, make_executor=lambda config, base, say: make())
    runner.start()
    assert PatientStudio.begun.wait(30)
    runner.send(events.Rate(1, 1.0))
    runner.send(events.StopRun("enough"))
    assert judged.wait(30)
    PatientStudio.go_on.set()
    assert runner.join(30)
    assert (runner.state, runner.reason) == ("stopped", "enough")
    assert sum(isinstance(event, events.Audited) for event in said) < 5
    rest = gone_on(path)
    assert sum(isinstance(event, events.Audited) for event in [*said, *rest]) == 5


def test_a_paused_run_waits_also_when_its_limit_is_reached(tmp_path: Path):
    path = tmp_path / "run.db"
    whole(path)
    states: list[str] = []
    paused = threading.Event()

    def hear(event: events.Event) -> None:
        if isinstance(event, events.StateChanged):
            states.append(event.state)
            paused.set() if event.state == "paused" else None

    runner = Runner.resume(path, 1, hear, make_executor=in_process, paused=True)
    runner.start()
    assert paused.wait(30)
    runner.send(events.Continue())
    assert runner.join(30)
    assert states[-1] == "done"


def test_objectives_and_weights_that_are_told_belong_together(tmp_path: Path):
    weighted = dataclasses.replace(config(), weights=(3.0, 1.0))
    said: list[events.Event] = []
    runner = Runner.begin(tmp_path / "run.db", weighted, said.append, make_executor=in_process, paused=True)
    runner.abandon()
    runner.run()
    [begun] = [event for event in said if isinstance(event, events.Begun)]
    assert dict(zip(begun.objectives, begun.weights, strict=True)) == {"intelligibility": 3.0, "cleanliness": 1.0}


def test_a_listener_that_breaks_does_not_end_the_run(tmp_path: Path):
    def broken(event: events.Event) -> None:
        raise RuntimeError("no window any more")

    runner = Runner.begin(tmp_path / "run.db", config(stop={"evaluations": 4}), broken, make_executor=in_process)
    assert runner.run() == "done"


@pytest.mark.parametrize("resumed", [False, True])
def test_power_safe_run_waits_for_the_disk_in_every_sitting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resumed: bool
):
    waited: list[int] = []
    begun = RecordedRun.begun

    def asked(run: RecordedRun) -> events.Begun:
        [(synchronous,)] = run.lineage.query("PRAGMA synchronous")
        waited.append(synchronous)
        return begun(run)

    monkeypatch.setattr(RecordedRun, "begun", asked)
    how = config(execution={"power_safe": True}, stop={"evaluations": 4})
    assert Runner.begin(tmp_path / "run.db", how, lambda event: None, make_executor=in_process).run() == "done"
    if resumed:
        gone_on(tmp_path / "run.db", stop={"evaluations": 8})
    assert waited == [2] * (1 + resumed)  # FULL


def test_largest_seed_runs(tmp_path: Path):
    largest = dataclasses.replace(config(stop={"evaluations": 4}), seed=2**64 - 1)
    runner = Runner.begin(tmp_path / "run.db", largest, lambda event: None, make_executor=in_process)
    assert runner.run() == "done", runner.reason


def test_run_that_cannot_be_bred_is_not_recorded(tmp_path: Path):
    refused = config(algorithm={"kind": "novelty", "scales": {"f0_median_hz": -1.0}})
    with Lineage.write(tmp_path / "run.db") as lineage:
        with pytest.raises(BarkError, match="scales of novelty"):
            RecordedRun.begin(lineage, refused)
        assert lineage.runs() == ()


def test_half_characters_of_commands_are_refused_and_the_run_goes_on(tmp_path: Path):
    with pytest.raises(BarkError, match="half a character"):
        Genome("half \ud800")
    said: list[events.Event] = []
    runner = Runner.begin(
        tmp_path / "run.db", config(stop={"evaluations": 4}), said.append, make_executor=in_process, paused=True
    )
    runner.send(events.Remember(1, tag="half \ud800"))
    runner.send(events.Continue())
    assert runner.run() == "done"
    assert "half a character" in next(event.text for event in said if isinstance(event, events.Notice))


def test_one_answer_of_a_click_can_be_taken_back_and_then_the_other(tmp_path: Path):
    with Lineage.write(tmp_path / "run.db") as lineage:
        run = RecordedRun.begin(lineage, config())
        run_at_once(run, 4)
        sitting = Sitting(run)
        first, second, *_ = sitting.hear(events.ChooseWorst(3, (1, 2)))
        assert isinstance(first, events.Judged)
        assert isinstance(second, events.Judged)
        assert sitting.hear(events.TakeBack(first.judgement_id))[0] == dataclasses.replace(first, withdrawn=True)
        assert sitting.hear(events.TakeBack())[0] == dataclasses.replace(second, withdrawn=True)


def test_experts_of_a_recipe_are_learned_from(tmp_path: Path):
    from experiments.listeners import Listeners

    expert = str(tmp_path)
    judge = {"objectives": ["intelligibility", "preference"], "experts": [expert]}
    assert expert in Listeners(config(judge=judge), lambda birth: None)._learner.version


def test_a_run_that_goes_on_with_other_libraries_says_so(tmp_path: Path):
    path = tmp_path / "run.db"
    said = whole(path, stop={"evaluations": 4})
    assert not any(isinstance(event, events.Notice) for event in said)
    with Lineage.write(path) as lineage, lineage.transaction("pretending") as write:
        write.execute("UPDATE runs SET versions = json_set(versions, '$.torch', '1.0')")
    [notice] = [event for event in gone_on(path) if isinstance(event, events.Notice)]
    assert "begun with torch 1.0, now" in notice.text


def test_a_recording_that_was_replaced_between_sittings_is_noticed(tmp_path: Path):
    sought = tmp_path / "me.wav"
    write_audio(sought, np.sin(np.arange(48_000) / 20) * 0.3, 24_000, overwrite=True)
    path = tmp_path / "run.db"
    how = {"judge": {"objectives": ["similarity to me.wav", "cleanliness"]}}
    with Lineage.write(path) as lineage:
        RecordedRun.begin(lineage, config(**how), base=tmp_path)
    with Lineage.write(path) as lineage:
        RecordedRun.resume(lineage, "made up")
    write_audio(sought, np.sin(np.arange(48_000) / 30) * 0.3, 24_000, overwrite=True)
    with Lineage.write(path) as lineage, pytest.raises(BarkError, match=r"compared with me\.wav"):
        RecordedRun.resume(lineage, "made up")


def test_what_earlier_sittings_taught_is_told_when_a_run_goes_on(tmp_path: Path):
    path = tmp_path / "run.db"
    with Lineage.write(path) as lineage:
        run = RecordedRun.begin(lineage, config())
        run_at_once(run, 8)
        assert run.taught() == []
        first, second, *_ = sorted(one.birth for one in run.swarm.algorithm.members())
        Sitting(run).hear(events.JudgePair(first, second))
    said: list[events.Event] = []
    runner = Runner.resume(path, "made up", said.append, make_executor=in_process)
    assert runner.run() == "done"
    taught = [event for event in said if isinstance(event, events.Taught)]
    assert [event.learned.answers for event in taught] == [1]


def ratings(path: Path) -> list[tuple[int, float | None]]:
    with Lineage.view(path) as lineage:
        return [(one.one, one.value) for one in people.judgements(lineage, 1)]


def test_what_is_said_in_the_instant_a_run_ends_is_done_or_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "run.db"
    taken: list[bool] = []
    over = RecordedRun.over

    def said_at_the_last_moment(run: RecordedRun) -> str | None:
        reason = over(run)
        if reason is not None and len(taken) < 9:
            taken.append(runner.send(events.Rate(1, 1.0)))
        return reason

    monkeypatch.setattr(RecordedRun, "over", said_at_the_last_moment)
    runner = Runner.begin(path, config(), lambda event: None, make_executor=in_process)
    assert runner.run() == "done"
    assert taken == [True] * 9
    assert ratings(path) == [(1, 1.0)] * 9
    assert runner.send(events.Rate(2, 1.0)) is False
    assert len(ratings(path)) == 9


def test_an_answer_given_in_the_instant_a_run_fails_is_recorded_and_the_rest_refused(tmp_path: Path):
    path = tmp_path / "run.db"
    said: list[events.Event] = []

    class Broken(InProcess):
        collected = 0

        def collect(self, timeout_s: float) -> list[Any]:
            done = super().collect(timeout_s)
            self.collected += len(done)
            if self.collected < 12:
                return done
            assert runner.send(events.Rate(2, 1.0))
            assert runner.send(events.JudgePair(3, 4))
            assert runner.send(events.Intervene(Pin(3)))
            assert runner.send(events.Rate(999, 1.0))
            assert runner.send(events.Pause())
            raise BarkError("the last worker is gone")

    def broken(config: Any, base: Path, say: Any) -> InProcess:
        return Broken(partial(MadeUpStudio, micro_space()), config.execution.batch_size)

    runner = Runner.begin(path, config(), said.append, make_executor=broken)
    assert runner.run() == "failed"
    assert runner.reason == "the last worker is gone"
    assert ratings(path) == [(2, 1.0), (3, None)]
    assert [event.one for event in said if isinstance(event, events.Judged)] == [2, 3]
    notices = [event.text for event in said if isinstance(event, events.Notice)]
    assert [text.split(" came too late")[0] for text in notices] == ["Intervene", "Rate"]
    assert "999" in notices[1]
    assert runner.send(events.Rate(2, 0.0)) is False
    learned = [event for event in gone_on(path) if isinstance(event, events.Taught)]
    assert learned[0].learned.answers == 2  # the next sitting knows them


@pytest.mark.parametrize("ends", ["failed", "stopped"])
def test_an_answer_that_is_taken_back_in_the_instant_a_run_ends_does_not_stand(tmp_path: Path, ends: str):
    path = tmp_path / "run.db"
    said: list[events.Event] = []

    class Ending(InProcess):
        collected = 0

        def collect(self, timeout_s: float) -> list[Any]:
            done = super().collect(timeout_s)
            self.collected += len(done)
            if self.collected == 12:
                for command in (events.Rate(2, 1.0), events.Rate(3, 1.0), events.TakeBack()):
                    assert runner.send(command)
                if ends == "failed":
                    raise BarkError("the last worker is gone")
                runner.abandon()
            return done

    def ending(config: Any, base: Path, say: Any) -> InProcess:
        return Ending(partial(MadeUpStudio, micro_space()), config.execution.batch_size)

    runner = Runner.begin(path, config(), said.append, make_executor=ending)
    assert runner.run() == ends
    assert not [event.text for event in said if isinstance(event, events.Notice)]
    assert [(event.one, event.withdrawn) for event in said if isinstance(event, events.Judged)] == [
        (2, False),
        (3, False),
        (3, True),
    ]
    assert ratings(path) == [(2, 1.0)]


def test_what_a_full_disk_refuses_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    said: list[events.Event] = []

    def full(*_: Any, **__: Any) -> int:
        raise LineageError("the disk is full; make room", "full")

    def on_event(event: events.Event) -> None:
        said.append(event)
        if isinstance(event, events.Committed):
            monkeypatch.setattr("experiments.lineage.people.judge", full)
            runner.send(events.Rate(1, 1.0))

    runner = Runner.begin(tmp_path / "run.db", config(), on_event, make_executor=in_process)
    assert runner.run() == "failed"
    [notice] = [event.text for event in said if isinstance(event, events.Notice)]
    assert notice == "Rate came too late and was not recorded: the disk is full; make room"


def test_both_bad_is_remembered_as_that_and_lowers_both_though_nothing_was_ever_liked(tmp_path: Path):
    path = tmp_path / "run.db"
    preference = {"objectives": ["intelligibility", "cleanliness", "preference"]}
    said: list[events.Event] = []
    with Lineage.write(path) as lineage:
        run = RecordedRun.begin(lineage, config(judge=preference))
        run_at_once(run, 12)
        ok = [one.birth for one in run.swarm.algorithm.members()]
        sitting = Sitting(run)
        for _ in range(3):
            said = sitting.hear(events.JudgePair(ok[0], ok[1], bad=True))
        assert [one.kind for one in people.judgements(lineage, 1)] == ["both_bad"] * 3
        [taught] = [event.learned for event in said if isinstance(event, events.Taught)]
        assert (taught.answers, taught.comparisons) == (3, 3)  # two dislikes each would come to no comparison
        hashed = content_sha256(lineage, order=True)
    with Lineage.write(path) as lineage:
        resumed = RecordedRun.resume(lineage, "made up")
        [event] = resumed.taught()
        assert isinstance(event, events.Taught)
        assert event.learned.comparisons == 3
        assert content_sha256(lineage, order=True) == hashed
    with Lineage.view(path) as lineage:
        told = [event for event in events_of(lineage, 1) if isinstance(event, events.Judged)]
    assert [(event.kind, event.one, event.other) for event in told] == [("both_bad", ok[0], ok[1])] * 3


def test_a_learner_that_keeps_few_births_leaves_the_run_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    preference = {"objectives": ["intelligibility", "cleanliness", "preference"]}

    def judged_run(path: Path) -> str:
        with Lineage.write(path) as lineage:
            run = RecordedRun.begin(lineage, config(judge=preference))
            sitting = Sitting(run, session="tonight")
            run_at_once(run, 12)
            first, second, third, *_ = sorted(one.birth for one in run.swarm.algorithm.members())
            sitting.hear(events.JudgePair(second, first))
            sitting.hear(events.Rate(third, 1.0))
            sitting.hear(events.Rate(2, 0.0))
            run_at_once(run)
        return content(path)

    expected = judged_run(tmp_path / "whole.db")
    monkeypatch.setattr("fusion.preference.births.AT_HAND", 1)
    assert judged_run(tmp_path / "bounded.db") == expected
