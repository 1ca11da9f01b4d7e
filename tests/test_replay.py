"""What was recorded is told again: the same events in the same order, to a follower, at any speed, from any point."""

from __future__ import annotations

import dataclasses
import json
import pickle
import sqlite3
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lineage_builders import WEIGHTS, candidate, heard
from replay_builders import STEP, Recorder, facts, whole_run

from bark_infinity.error_handling import BarkError
from bark_infinity.voices.history import VoiceHistory
from experiments.events import (
    Asked,
    Begun,
    Committed,
    StateChanged,
    Told,
)
from experiments.lineage import Lineage, LineageError
from experiments.replay.following import Follower
from experiments.replay.history import History, event_of_birth, events_of, moments, population_at
from experiments.replay.player import Player, Recording


@pytest.fixture
def recorded(tmp_path):
    with Lineage.write(tmp_path / "a.db", who="the test") as lineage:
        recorder = whole_run(lineage)
    with Lineage.view(tmp_path / "a.db") as lineage:
        yield recorder, lineage


@pytest.fixture(scope="module")
def recorded_for_all(tmp_path_factory):
    path = tmp_path_factory.mktemp("replay") / "a.db"
    with Lineage.write(path) as lineage:
        recorder = whole_run(lineage)
    with Lineage.view(path) as lineage:
        yield recorder, lineage


def test_the_events_of_a_recorded_run_are_those_that_were_sent(recorded):
    recorder, lineage = recorded
    told = list(events_of(lineage, recorder.run_id))
    assert facts(told) == facts([*recorder.sent, StateChanged("done", "20 evaluations are done")])
    voices = [event.candidates for event in told if isinstance(event, Asked)]
    assert any(one.render_first is not None and one.genome.voice is None for asked in voices for one in asked)


def test_voices_stay_in_the_file_until_their_tokens_are_looked_at(recorded):
    recorder, lineage = recorded
    told = {one.candidate.birth: one.candidate for one in events_of(lineage, recorder.run_id) if isinstance(one, Told)}
    for birth, found in told.items():
        known, spoken = heard(candidate(birth)), found.genome.voice
        assert "fine" not in vars(spoken)
        assert (spoken, spoken.label, found.genome.sha256) == (
            known.genome.voice,
            known.genome.voice.label,
            known.genome.sha256,
        )
        assert (spoken.fine == known.genome.voice.fine).all()
        assert "fine" not in vars(spoken)
        sent = pickle.loads(pickle.dumps(spoken))
        assert type(sent) is VoiceHistory
        assert sent == spoken
        assert dataclasses.replace(spoken, name="x").to_bytes() == dataclasses.replace(sent, name="x").to_bytes()
    lineage.forget()
    lineage.close()
    with pytest.raises(LineageError):
        told[1].genome.voice.semantic  # noqa: B018


@given(st.integers(0, 40), st.integers(0, 40))
@settings(max_examples=25, deadline=None)
def test_any_stretch_of_events_knows_who_lived_before_it(recorded_for_all, after, upto):
    recorder, lineage = recorded_for_all
    everything = list(moments(lineage, recorder.run_id))
    stretch = [one for one in everything if after < one.seq <= upto]
    wanted = stretch if after else [everything[0], *stretch]
    found = list(moments(lineage, recorder.run_id, after=after, upto=upto))
    assert [(one.seq, one.at) for one in found] == [(one.seq, one.at) for one in wanted]
    assert facts(one.event for one in found) == facts(one.event for one in wanted)


def test_the_population_at_a_birth_is_that_of_its_step(recorded):
    recorder, lineage = recorded
    populations = [event.population for event in recorder.sent if isinstance(event, Committed)]
    assert [population_at(lineage, recorder.run_id, step * STEP) for step in range(1, 6)] == populations
    assert population_at(lineage, recorder.run_id, 22) == populations[-1]  # pending


def test_a_birth_is_found_among_the_events(recorded):
    recorder, lineage = recorded
    for moment in moments(lineage, recorder.run_id):
        if isinstance(moment.event, Told):
            assert event_of_birth(lineage, recorder.run_id, moment.event.candidate.birth) == moment.seq
    assert event_of_birth(lineage, recorder.run_id, 22) is None


def test_a_run_left_by_its_program_is_stopped_and_one_at_work_is_running(tmp_path):
    path = tmp_path / "a.db"
    with Lineage.write(path, who="the test") as lineage:
        recorder = Recorder(lineage)
        lineage.set_state(recorder.run_id, "running")
        with Lineage.view(path) as viewer:
            assert list(events_of(viewer, recorder.run_id))[-1] == StateChanged("running")
    with Lineage.view(path) as viewer:
        last = list(events_of(viewer, recorder.run_id))[-1]
        assert last.state == "stopped"
        assert "resume" in last.reason


RUBBISH = [
    ("committed", None, 1),
    ("committed", {"became": [9], "in": [], "out": [], "best": None, "generation_best": None}, 1),
    ("committed", {"became": [1], "in": ["x"], "out": [], "best": None, "generation_best": None}, 1),
    ("committed", {"became": 3, "in": [], "out": [], "best": 1, "generation_best": "NaN"}, 1),
    ("judged", {"judgement": 7}, None),
    ("judged", [], None),
    ("intervened", {"step": 2, "intervention": {"kind": "format the disk"}}, None),
    ("intervened", {"step": 2}, None),
    ("rescored", {"totals": {"one": 1.0}}, None),
    ("rescored", {"totals": [1]}, None),
]


@pytest.mark.parametrize(("kind", "payload", "birth"), RUBBISH)
def test_an_event_that_makes_no_sense_is_named(tmp_path, kind, payload, birth):
    with Lineage.write(tmp_path / "a.db") as lineage:
        recorder = Recorder(lineage)
        recorder.steps(1, 1)
        seq = lineage.record_event(recorder.run_id, kind, payload, birth)
        with pytest.raises(LineageError, match=rf"event {seq} \({kind}\)") as caught:
            list(events_of(lineage, recorder.run_id))
        assert caught.value.trouble == "damaged"


_KINDS = ("asked", "told", "committed", "judged", "withdrawn", "intervened", "rescored")
_KEYS = ("became", "in", "out", "best", "generation_best", "judgement", "step", "intervention", "totals", "kind", "1")
_ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=4)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(_KEYS), inner, max_size=6)),
    max_leaves=8,
)


@given(st.sampled_from(_KINDS), st.one_of(_ANYTHING, st.dictionaries(st.sampled_from(_KEYS), _ANYTHING)))
@settings(max_examples=150, deadline=None)
def test_whatever_a_file_says_happened_is_told_or_named(recorded_for_all, kind, payload):
    class Foreign(Lineage):
        said = ((1, kind, 1, None, json.dumps(payload), 0.0),)

        def query(self, sql, values=()):
            if "payload" not in sql:
                return super().query(sql, values)
            said, self.said = self.said, ()
            return list(said)

    recorder, lineage = recorded_for_all
    with Foreign.view(lineage.path) as foreign:
        try:
            told: object = len(History(foreign, recorder.run_id).piece())
        except LineageError as error:
            told = error.trouble
        assert told in (1, "damaged")


@pytest.mark.parametrize(("birth", "count"), [(1, 1 << 40), (0, 1), (1, 4), (-5, 2), (5, -3)])
def test_events_that_ask_for_births_that_are_not_there_are_named(tmp_path, birth, count):
    with Lineage.write(tmp_path / "a.db") as lineage:
        recorder = Recorder(lineage)
        recorder.ask(4)
    connection = sqlite3.connect(tmp_path / "a.db")
    with connection:
        connection.execute("INSERT INTO events VALUES (1, 2, 'asked', ?, ?, NULL, NULL)", (birth, count))
    connection.close()
    with Lineage.view(tmp_path / "a.db") as lineage, pytest.raises(LineageError, match=r"event 2 \(asked\)"):
        list(events_of(lineage, recorder.run_id))


@pytest.mark.parametrize("kind", ["asked", "told"])
def test_births_with_gaps_between_their_numbers_are_named_before_anybody_makes_room_for_them(tmp_path, kind):
    with Lineage.write(tmp_path / "a.db") as lineage:
        recorder = Recorder(lineage)
        recorder.ask(4)
    connection = sqlite3.connect(tmp_path / "a.db")
    far = 4_000_000_000
    with connection:
        connection.execute("UPDATE births SET id = id + ? WHERE id & 4294967295 = 4", (far - 4,))
        connection.execute("UPDATE events SET count = 3 WHERE seq = 1")
        connection.execute("INSERT INTO events VALUES (1, 2, ?, ?, 1, NULL, NULL)", (kind, far))
    connection.close()
    with Lineage.view(tmp_path / "a.db") as lineage, pytest.raises(LineageError, match=rf"event 2 \({kind}\).*after 3"):
        list(events_of(lineage, recorder.run_id))


def test_an_event_that_asks_for_more_births_than_there_are_is_named_at_once(tmp_path):
    with Lineage.write(tmp_path / "a.db") as lineage:
        recorder = Recorder(lineage)
        recorder.ask(4)
    connection = sqlite3.connect(tmp_path / "a.db")
    with connection:
        connection.execute("UPDATE births SET id = id + ? WHERE id & 4294967295 = 4", (4_000_000_000 - 4,))
        connection.execute("UPDATE events SET count = 4000000000 WHERE seq = 1")
    connection.close()
    with Lineage.view(tmp_path / "a.db") as lineage, pytest.raises(LineageError, match=r"event 1 \(asked\)"):
        list(events_of(lineage, recorder.run_id))


@pytest.mark.parametrize("parent", [0, 1, 1 << 32])
def test_a_birth_whose_parent_is_no_earlier_birth_of_its_run_is_damage(tmp_path, parent):
    """Whoever follows a line of descent would never come to its end."""
    with Lineage.write(tmp_path / "a.db") as lineage:
        recorder = Recorder(lineage)
        recorder.steps(1, 6)
    connection = sqlite3.connect(tmp_path / "a.db")
    connection.execute("PRAGMA ignore_check_constraints = ON")
    with connection:
        assert connection.execute("UPDATE parents SET parent = child + ?", (parent,)).rowcount
    connection.close()
    with Lineage.view(tmp_path / "a.db") as lineage, pytest.raises(LineageError, match="is no earlier one") as refusal:
        list(events_of(lineage, recorder.run_id))
    assert refusal.value.trouble == "damaged"


@pytest.mark.parametrize("birth", [-5, 0, 1 << 40])
def test_a_step_with_a_member_that_can_be_no_birth_is_damage(tmp_path, birth):
    with Lineage.write(tmp_path / "a.db") as lineage:
        recorder = Recorder(lineage)
        recorder.steps(1, 2)
        payload = {"became": [2], "in": [birth], "out": [], "best": None, "generation_best": None}
        lineage.record_event(recorder.run_id, "committed", payload, birth=1)
        with pytest.raises(LineageError, match=rf"committed.*{birth} is no birth"):
            list(events_of(lineage, recorder.run_id))


# -- following --------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 7), min_size=1, max_size=12), st.integers(1, 9))
@settings(max_examples=8, deadline=None)
def test_a_follower_hears_everything_once_however_often_it_looks(looks, most):
    with tempfile.TemporaryDirectory() as folder, Lineage.write(Path(folder) / "a.db", who="x") as lineage:
        recorder = Recorder(lineage)
        lineage.set_state(recorder.run_id, "running")
        with Lineage.view(Path(folder) / "a.db") as viewer:
            follower = Follower(viewer, recorder.run_id)
            heard_of = []
            for step, times in enumerate(looks, 1):
                recorder.steps(step, step)
                for _ in range(times):
                    heard_of += follower.poll(most)
            while news := follower.poll(most):
                heard_of += news
            assert facts(one for one in heard_of if not isinstance(one, StateChanged)) == facts(recorder.sent)
            assert {one for one in heard_of if isinstance(one, StateChanged)} <= {StateChanged("running")}
            assert follower.seq == lineage.record_event(recorder.run_id, "last", None) - 1


def test_a_follower_survives_the_end_of_the_writer_and_a_checkpoint(tmp_path):
    path = tmp_path / "a.db"
    with Lineage.write(path, who="x") as lineage:
        recorder = Recorder(lineage)
        lineage.set_state(recorder.run_id, "running")
        viewer = Lineage.view(path)
        follower = Follower(viewer, recorder.run_id)
        assert facts(follower.poll()) == facts([*recorder.sent, StateChanged("running")])
        recorder.steps(1, 3)
        with lineage.turn("checkpoint"):
            lineage.query("PRAGMA wal_checkpoint(TRUNCATE)")
        assert facts(follower.poll()) == facts(recorder.sent[1:])
        lineage.vacuum()
        assert follower.poll() == []
    assert [event.state for event in follower.poll()] == ["stopped"]
    before = len(recorder.sent)
    with Lineage.write(path, who="x") as lineage:  # resumed
        recorder.lineage = lineage
        recorder.steps(4, 5)
        lineage.set_state(recorder.run_id, "running")
        assert facts(follower.poll()) == facts([*recorder.sent[before:], StateChanged("running")])
        lineage.set_state(recorder.run_id, "done", "over")
        assert follower.poll() == [StateChanged("done", "over")]
    viewer.close()


def test_a_locked_moment_is_no_news(tmp_path):
    with Lineage.write(tmp_path / "a.db", who="x") as lineage:
        recorder = Recorder(lineage)
        recorder.steps(1, 2)
        locked = True

        class Sometimes(Lineage):
            def query(self, sql, values=()):
                if locked and "FROM events" in sql:
                    raise LineageError("another program holds the database locked", "locked")
                return super().query(sql, values)

        with Sometimes.view(tmp_path / "a.db") as viewer:
            follower = Follower(viewer, recorder.run_id)
            assert follower.poll() == []
            locked = False
            assert facts(follower.poll()) == facts([*recorder.sent, StateChanged("loading")])


def test_following_no_run_is_refused(tmp_path):
    with Lineage.write(tmp_path / "a.db") as lineage, pytest.raises(LineageError, match="no run 3"):
        Follower(lineage, 3)


# -- playing ----------------------------------------------------------------------------------------------------


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def told_births(events) -> list[int]:
    return [event.candidate.birth for event in events if isinstance(event, Told)]


def test_playing_by_births_keeps_its_speed_and_ends_with_everything(recorded):
    recorder, lineage = recorded
    clock = Clock()
    player = Player(Recording(lineage, recorder.run_id), speed=4.0, clock=clock)
    assert player.poll() == []
    player.play()
    heard_of, counts = [], []
    for _ in range(50):
        heard_of += player.poll()
        counts.append(player.birth)
        clock.now += 0.125
    assert counts[:12] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert facts(heard_of) == facts(events_of(lineage, recorder.run_id))
    assert player.at_end
    player.pause()
    clock.now += 100
    assert player.poll() == []


@given(st.lists(st.one_of(st.integers(0, 25), st.floats(0, 3)), max_size=12), st.integers(1, 3))
@settings(max_examples=40, deadline=None)
def test_wherever_it_goes_the_events_applied_are_the_run_up_to_there(recorded_for_all, moves, pages):
    recorder, lineage = recorded_for_all
    everything = facts(events_of(lineage, recorder.run_id))
    clock = Clock()
    player = Player(Recording(lineage, recorder.run_id, pages=pages), speed=5.0, clock=clock)
    player.play()
    applied, states = [], {}
    for move in moves:
        if isinstance(move, int):
            jump = player.seek(move, sorted(states))
            applied = applied if jump.begin is None else list(states.get(jump.begin, ()))
            applied += jump.events
            if not player.at_end:  # the state of the run is told there, which is no part of its history
                states[player._seq] = list(applied)
            births = told_births(applied)
            assert move == 0 or births[-1] == move or (move > 20 and len(births) == 20)
            assert move or not births
        else:
            clock.now += move
            applied += player.poll()
        assert facts(applied) == everything[: len(applied)]
        assert player.birth == len(told_births(applied))


def test_playing_by_time_follows_the_recorded_clock_but_not_through_the_night(tmp_path, monkeypatch):
    now = 1000.0
    monkeypatch.setattr("time.time", lambda: now)
    with Lineage.write(tmp_path / "a.db") as lineage:
        recorder = Recorder(lineage)
        for step in (1, 2):
            recorder.ask(STEP)
            for birth in range((step - 1) * STEP + 1, step * STEP + 1):
                now += 2.0
                recorder.tell(birth)
            recorder.commit(step)
            now += 8 * 3600
        clock = Clock()
        player = Player(Recording(lineage, recorder.run_id), speed=2.0, by="time", clock=clock, longest_gap_s=10.0)
        player.play()
        assert [type(one) for one in player.poll()] == [Begun, Asked]
        births = []
        for _ in range(12):
            clock.now += 1.0
            births.append(told_births(player.poll()))
        assert births == [[1], [2], [3], [4], [], [], [], [], [], [5], [6], [7]]
        assert player.at == 1000.0 + 8 + 8 * 3600 + 6


def test_a_player_at_the_end_goes_on_when_more_is_recorded(tmp_path):
    with Lineage.write(tmp_path / "a.db", who="x") as lineage:
        recorder = Recorder(lineage)
        recorder.steps(1, 1)
        lineage.set_state(recorder.run_id, "running")
        player = Player(Recording(lineage, recorder.run_id), speed=1e6, clock=(clock := Clock()))
        player.play()
        clock.now += 1
        assert facts(player.poll()) == facts([*recorder.sent, StateChanged("running")])
        before = len(recorder.sent)
        recorder.steps(2, 4)
        clock.now += 1
        assert facts(player.poll()) == facts(recorder.sent[before:])
        assert player.poll() == []
        lineage.set_state(recorder.run_id, "done", "over")
        assert player.poll() == [StateChanged("done", "over")]
        assert player.poll() == []


def test_a_recording_reads_long_runs_page_by_page(tmp_path, monkeypatch):
    monkeypatch.setattr("experiments.replay.player.PIECE", 3)
    monkeypatch.setattr("experiments.replay.player._KEYFRAME", 4)
    with Lineage.write(tmp_path / "a.db") as lineage:
        recorder = Recorder(lineage)
        recorder.steps(1, 12)
        everything = list(moments(lineage, recorder.run_id))[1:]
        recording = Recording(lineage, recorder.run_id, pages=2)
        for after, upto in ((0, 72), (60, 72), (3, 5), (70, 71), (11, 50), (0, 0), (72, 72)):
            wanted = [one for one in everything if after < one.seq <= upto]
            assert facts(one.event for one in recording.between(after, upto)) == facts(one.event for one in wanted)
        assert len(recording._pages) == 2


def test_speeds_and_births_that_make_no_sense_are_refused(recorded):
    recorder, lineage = recorded
    player = Player(Recording(lineage, recorder.run_id))
    for speed in (0, -1, float("nan"), float("inf")):
        with pytest.raises(BarkError, match="speed"):
            player.set_speed(speed)
    with pytest.raises(BarkError, match="birth -1"):
        player.seek(-1)


def test_the_builders_weights_are_told_by_name(recorded):
    begun = recorded[0].sent[0]
    assert dict(zip(begun.objectives, begun.weights, strict=True)) == WEIGHTS
    assert dataclasses.is_dataclass(begun)
