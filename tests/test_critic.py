"""The critic asks the cheap things first, stops at the first rejection, and never turns a failure into a number."""

from __future__ import annotations

import dataclasses
import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from labelled_clips import HAS_ESPEAK, RATE, TEXTS, likely_tokens, speak, with_frames

from bark_infinity.error_handling import BarkError
from bark_infinity.requests import Rendering
from bark_infinity.tokens import BarkTokens
from fusion.critic import GATES, Critic, explain
from fusion.gates import thresholds
from fusion.gates.verdict import GateVerdict
from fusion.objectives.objectives import Intelligibility, Preference, Similarity
from fusion.objectives.spec import parse
from fusion.replicates import ReplicatePlan, aggregate
from fusion.score import Score, Term
from fusion.speaker import voice_print
from fusion.words.intelligibility import TextReading

TEXT = TEXTS[0]
TOKENS = with_frames(likely_tokens(150, 0), 0)
PASS = {"open": lambda heard: [GateVerdict(True, "open", evidence={"looked": 1.0})]}


def tone(hz: float = 150.0) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * hz * np.arange(RATE // 2) / RATE)).astype(np.float32)


def rendering(audio: np.ndarray | None, tokens: BarkTokens = TOKENS, stopped: str = "eos") -> Rendering:
    return Rendering(tokens, stopped, audio)


@dataclasses.dataclass
class Reader:
    """A recogniser that counts how often it is asked."""

    error: float | None = 0.1
    asked: int = 0
    name: str = "counting reader 1"

    def __call__(self, audio, sample_rate, text):
        self.asked += 1
        return TextReading(None if self.error is not None else "it reads English only", self.error)


def recipe() -> list:
    return [Intelligibility(), parse("f0_median_hz = 150 ± 20"), parse("cleanliness")]


# -- stages --------------------------------------------------------------------------------------------------


def test_a_good_rendering_gets_every_term_in_the_order_asked():
    score = Critic(recipe(), gates=PASS, reader=Reader()).score(rendering(tone()), text=TEXT)
    assert score.status == "ok"
    assert list(score.terms) == ["intelligibility", "f0_median_hz", "cleanliness"]
    assert score.terms["f0_median_hz"].value == pytest.approx(1, abs=1e-3)
    assert score.measures["f0_median_hz"] == pytest.approx(150, rel=5e-3)
    assert score.measures["reading_error"] == 0.1
    assert score.measures["looked"] == 1
    assert score.objectives(["intelligibility"]) == (pytest.approx(1 / (1 + 0.2**2)),)


def test_the_first_rejection_ends_it_and_nothing_dearer_is_asked():
    asked = []

    def gate(name: str, passes: bool):
        def judge(heard):
            asked.append(name)
            yield GateVerdict(passes, name, None if passes else "it looks wrong", {"x": 2.0, "x_limit": 1.0})
            asked.append(f"{name}, second verdict")
            yield GateVerdict(True, name)

        return judge

    reader = Reader()
    critic = Critic(
        recipe(),
        gates={"one": gate("one", True), "two": gate("two", False), "three": gate("three", True)},
        reader=reader,
    )
    score = critic.score(rendering(None), text=TEXT)
    assert asked == ["one", "one, second verdict", "two"]
    assert reader.asked == 0
    assert score.status == "rejected"
    assert score.reason == "two: it looks wrong"
    assert score.evidence == {"x": 2.0, "x_limit": 1.0}
    assert not score.terms


def test_the_recogniser_listens_once_however_many_ask():
    reader = Reader()
    second = Intelligibility(half=0.2, name="strict intelligibility")
    Critic([Intelligibility(), second], gates=PASS, reader=reader).score(rendering(tone()), text=TEXT)
    assert reader.asked == 1


def test_cheap_objectives_are_judged_before_the_recogniser_listens():
    reader = Reader()

    def broken(heard):
        raise BarkError("the model is gone")

    critic = Critic([Intelligibility(), Similarity(broken, 1.0)], gates=PASS, reader=reader)
    assert critic.score(rendering(tone()), text=TEXT).status == "failed"
    assert reader.asked == 0


@pytest.mark.parametrize(
    ("text", "reader"), [(TEXT, None), (None, Reader()), (TEXT, Reader(error=None))], ids=["deaf", "no text", "Korean"]
)
def test_what_nobody_can_tell_has_no_term_and_the_rest_stands(text, reader):
    critic = Critic(recipe(), gates=PASS, reader=reader)
    score = critic.score(rendering(tone()), text=text)
    assert score.status == "ok"
    assert list(score.terms) == ["f0_median_hz", "cleanliness"]
    assert "reading_error" not in score.measures
    assert score.objectives(["intelligibility"]) == (0.5,)  # neither good nor bad
    assert "intelligibility: not judged" in critic.explain(score)


def test_two_objectives_of_one_name_are_refused():
    with pytest.raises(BarkError, match="f0_median_hz come twice"):
        Critic([parse("f0_median_hz = 100 ± 5"), parse("f0_median_hz = 200 ± 5")])


# -- failures ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("audio", "says"),
    [(None, "no audio"), (np.array([0.1, np.nan], np.float32), "NaN"), (np.zeros(0, np.float32), "not one sample")],
)
def test_what_cannot_be_heard_is_failed_with_the_reason(audio, says):
    score = Critic(recipe(), gates=PASS).score(rendering(audio))
    assert score.status == "failed"
    assert says in score.reason
    assert not score.terms
    with pytest.raises(BarkError, match="failed"):
        score.objectives(["cleanliness"])


@pytest.mark.parametrize("error", [ZeroDivisionError("0"), MemoryError(), RuntimeError("CUDA error"), BarkError("no")])
@pytest.mark.parametrize("where", ["gate", "objective", "reader"])
def test_any_exception_is_a_failed_score_and_never_a_number(error, where):
    def broken(*_):
        raise error

    gates = {"broken gate": broken} if where == "gate" else PASS
    objective = Similarity(broken, 1.0) if where == "objective" else Intelligibility()
    score = Critic([objective], gates=gates, reader=broken).score(rendering(tone()), text=TEXT)
    assert score.status == "failed"
    assert str(error) in score.reason
    assert score.reason.startswith({"gate": "broken gate", "objective": "similarity", "reader": "intell"}[where])


def test_a_nan_from_a_model_is_failed():
    score = Critic([Preference(lambda heard: (math.nan, 1.0))], gates=PASS).score(rendering(tone()))
    assert score.status == "failed"
    assert "finite" in score.reason


def test_interrupting_is_not_swallowed():
    def stop(heard):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Critic([Similarity(stop, 1.0)], gates=PASS).score(rendering(tone()))


def test_a_cancelled_or_failed_rendering_is_failed_and_not_rejected_for_being_empty():
    cancelled = Critic(recipe()).score(rendering(None, BarkTokens(), "cancelled"))
    assert cancelled.status == "failed"
    assert "unfinished" in cancelled.reason
    broken = dataclasses.replace(rendering(None, BarkTokens(), "failed"), reason="out of memory")
    assert Critic(recipe(), gates=PASS).score(broken).reason == "rendering: out of memory"


# -- same clip, same score -----------------------------------------------------------------------------------


def test_same_clip_same_score_whatever_was_judged_between():
    critic = Critic(recipe(), gates=PASS, reader=Reader())
    clips = [rendering(tone(120)), rendering(None), rendering(tone(200)), rendering(tone(120))]
    texts = [TEXT, TEXT, None, TEXT]
    scores = [critic.score(clip, text=text) for clip, text in zip(clips, texts, strict=True)]
    assert scores[0] == scores[3]
    assert [score.status for score in scores] == ["ok", "failed", "ok", "ok"]


def test_a_critic_holds_the_analysis_of_one_clip_at_a_time():
    critic = Critic(recipe(), gates={"sound": GATES["sound"]})
    clip = rendering(np.tile(tone(), 10))

    def peak(count: int) -> int:
        tracemalloc.start()
        kept = [critic.score(clip, text=TEXT) for _ in range(count)]
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert len(kept) == count
        return used

    peak(1)  # filters and compiled functions stay
    assert peak(8) < 1.1 * peak(1)


# -- the real gates ------------------------------------------------------------------------------------------


def test_degenerate_tokens_are_rejected_before_anything_is_decoded():
    stuck = with_frames(np.concatenate([likely_tokens(40, 1), np.full(200, 87)]), 1)
    score = Critic(recipe()).score(rendering(None, stuck), text=TEXT)
    assert score.status == "rejected"
    assert score.reason.startswith("stuck")
    assert Critic(recipe()).score(rendering(None, BarkTokens(), "empty")).reason.startswith("empty")


def test_what_runs_to_its_limit_is_rejected_unless_it_was_meant_to():
    critic = Critic([], gates={"tokens": GATES["tokens"]})
    endless = rendering(tone(), stopped="max_tokens")
    assert critic.score(endless, text=TEXT).reason.startswith("never_stopped")
    assert critic.score(endless, text=TEXT, open_ended=True).status == "ok"


@pytest.mark.parametrize("audio", [np.zeros(RATE, np.float32), tone()], ids=["silence", "tone"])
def test_sound_that_is_no_voice_is_rejected_by_the_sound_gate(audio):
    score = Critic(recipe()).score(rendering(audio), text=TEXT)
    assert score.status == "rejected"
    assert score.reason.split(":")[0] in {"silent", "tone"}


@pytest.mark.skipif(not HAS_ESPEAK, reason="espeak-ng is not installed")
@pytest.mark.parametrize(("error", "status"), [(0.2, "ok"), (0.95, "rejected"), (None, "ok")])
def test_speech_of_other_words_is_rejected_last_and_what_nobody_can_read_passes(error, status):
    score = Critic([Intelligibility()], reader=Reader(error)).score(rendering(speak(TEXT)), text=TEXT)
    assert score.status == status
    assert ("intelligibility" in score.terms) == (error == 0.2)
    if status == "rejected":
        assert score.reason.startswith("intelligibility: it does not say its text")


@pytest.mark.skipif(not HAS_ESPEAK, reason="espeak-ng is not installed")
def test_real_speech_passes_and_is_explained():
    critic = Critic([parse("f0_median_hz = 110 ± 30"), parse("expressiveness"), parse("cleanliness")])
    score = critic.score(rendering(speak(TEXT)), text=TEXT)
    assert score.status == "ok", score.reason
    assert score.terms["cleanliness"].value > 0.5
    said = critic.explain(score)
    assert "wanted: 110 ± 30 Hz" in said
    assert len(said.splitlines()) == 3


def test_explanations_name_reason_and_numbers():
    rejected = Score("rejected", reason="stuck: one token is held", evidence={"run_s": 3.0, "run_s_limit": 2.2})
    assert explain(rejected) == "Rejected: stuck: one token is held (run_s 3, run_s limit 2.2)"
    assert explain(Score("failed", reason="x: y")).startswith("Not judged, something went wrong: x: y")
    assert explain(Score("ok", terms={"a": Term("a", 0.75, 1, 3.0, "Hz")})) == "a: good (0.75): 3 Hz"


def test_versions_of_everything_that_decides_are_told():
    versions = Critic(recipe(), reader=Reader()).versions
    assert versions == {
        "intelligibility": "Intelligibility 1: half 0.5",
        "f0_median_hz": "FeatureRange 1: 150.0 to 150.0, half 20.0",
        "cleanliness": versions["cleanliness"],
        "experts": "none",
        "features": "2",
        "gates": f"tokens, sound, speaker, words; limits {thresholds.VERSION}",
        "speaker": f"voice print {voice_print.VERSION}",
        "words": "counting reader 1",
    }
    assert versions["cleanliness"].startswith("Cleanliness 2: clipped_share 0.0 half 0.001")


@pytest.mark.parametrize(
    "other",
    [
        Critic([parse("f0_median_hz = 150.0001 ± 20")]),
        Critic([parse("f0_median_hz = 150 ± 21")]),
        Critic([parse("f0_median_hz = 150 ± 20")], gates=PASS),
        Critic([parse("f0_median_hz = 150 ± 20")], reader=Reader()),
    ],
    ids=["target", "tolerance", "gates", "reader"],
)
def test_another_judge_has_other_versions(other):
    assert other.versions != Critic([parse("f0_median_hz = 150 ± 20")]).versions


# -- replicates ----------------------------------------------------------------------------------------------


def ok(value: float, version: int = 1, **measures: float) -> Score:
    return Score("ok", terms={"a": Term("a", value, version, 10 * value, "Hz")}, measures=measures)


REJECTED = Score("rejected", reason="silent: nothing", evidence={"rms_db": -90.0})
FAILED = Score("failed", reason="CUDA error")

values = st.lists(st.floats(0, 1), min_size=1, max_size=8)


@given(values, st.floats(0, 2))
def test_a_whole_is_the_mean_less_deviations_within_bounds(numbers, lam):
    whole = aggregate([ok(number) for number in numbers], lam)
    capped = min(lam, 1 / math.sqrt(max(1, len(numbers) - 1)))
    expected = np.clip(np.mean(numbers) - capped * np.std(numbers), 0, 1)
    assert whole.terms["a"].value == pytest.approx(expected, abs=1e-9)
    assert whole.terms["a"].measure == pytest.approx(10 * np.mean(numbers), abs=1e-9)
    assert whole.measures["a.deviation"] == pytest.approx(np.std(numbers), abs=1e-9)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.floats(0, 10), st.data())
def test_a_better_replicate_never_makes_a_worse_whole(numbers, lam, data):
    index = data.draw(st.integers(0, len(numbers) - 1))
    better = list(numbers)
    better[index] = data.draw(st.floats(numbers[index], 1))
    before, after = (aggregate([ok(n) for n in some], lam).terms["a"].value for some in (numbers, better))
    assert after >= before - 1e-9


def test_one_replicate_is_itself():
    assert aggregate([ok(0.3)], 1.0).terms["a"].value == 0.3


def test_a_rejected_replicate_counts_as_the_worst_and_is_counted():
    whole = aggregate([ok(0.8), ok(0.8), ok(0.8), REJECTED], 0.0)
    assert whole.terms["a"].value == pytest.approx(0.6)
    assert whole.measures["replicates_rejected"] == 1
    assert whole.terms["a"].measure == pytest.approx(8)


@given(values, st.floats(0, 1), st.floats(0, 10))
def test_being_rejected_never_beats_being_judged(numbers, other, lam):
    judged = aggregate([*map(ok, numbers), ok(other)], lam)
    rejected = aggregate([*map(ok, numbers), REJECTED], lam, max_rejected=1.0)
    assert rejected.terms["a"].value <= judged.terms["a"].value + 1e-9


def test_too_many_rejections_reject_the_whole_with_their_reasons():
    whole = aggregate([ok(0.8), REJECTED, REJECTED])
    assert whole.status == "rejected"
    assert whole.reason == "2 of 3 replicates were rejected: silent: nothing (2)"


@given(values, st.integers(1, 4))
def test_failing_never_stands_in_for_being_judged(numbers, n_failed):
    whole = aggregate([*map(ok, numbers), *[FAILED] * n_failed])
    assert whole.status == "failed"
    assert whole.measures["replicates_failed"] == n_failed
    assert f"{n_failed} of {len(numbers) + n_failed} replicates failed: CUDA error" in whole.reason


def test_a_failure_hides_no_rejection_that_stands_without_it():
    assert aggregate([FAILED, REJECTED]).status == "rejected"
    assert aggregate([ok(0.9), ok(0.9), REJECTED, FAILED]).status == "failed"
    assert aggregate([FAILED]).status == "failed"


def test_a_term_that_some_replicates_lack_is_unknown_for_the_whole():
    both = Score("ok", terms={"a": Term("a", 0.5, 1), "b": Term("b", 0.5, 1)}, measures={"m": 1.0, "n": 2.0})
    deaf = dataclasses.replace(ok(0.5, m=3.0), unknown={"b": "there is no recogniser"})
    for order in ([both, deaf], [deaf, both]):
        assert aggregate(order).unknown == {"b": "1 of 2 replicates could not be judged: there is no recogniser"}
    assert "not asked for" in aggregate([both, ok(0.5)]).unknown["b"]
    assert aggregate([deaf, deaf]).unknown["b"].startswith("2 of 2")
    whole = aggregate([both, deaf])
    assert list(whole.terms) == ["a"]
    assert whole.measures["m"] == 2
    assert "n" not in whole.measures


def test_versions_do_not_mix_and_nothing_has_no_whole():
    with pytest.raises(BarkError, match="versions"):
        aggregate([ok(0.5), ok(0.5, version=2)])
    with pytest.raises(BarkError, match="at least one"):
        aggregate([])
    with pytest.raises(BarkError, match="lam"):
        aggregate([ok(0.5)], -1.0)


def test_a_plan_tries_every_text_with_every_seed_and_keeps_audits_apart():
    plan = ReplicatePlan(("one", "two"), (1, 2), held_out=("three",))
    assert list(plan.trials()) == [("one", 1), ("one", 2), ("two", 1), ("two", 2)]
    assert list(plan.audits()) == [("three", 1), ("three", 2)]
    for twice in ({"texts": ("a", "a")}, {"texts": ("a",), "held_out": ("a",)}, {"texts": ("a",), "seeds": (1, 1)}):
        with pytest.raises(BarkError, match="twice"):
            ReplicatePlan(**twice)
    with pytest.raises(BarkError, match="0 texts"):
        ReplicatePlan(())
