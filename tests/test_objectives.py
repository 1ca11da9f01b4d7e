"""Terms are monotone in their measure, finite, in [0, 1], and absent where there was nothing to judge by."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import math

import numpy as np
import pytest
import scipy.signal
from hypothesis import given
from hypothesis import strategies as st

from bark_infinity.error_handling import BarkError
from bark_infinity.requests import Rendering
from bark_infinity.tokens import BarkTokens
from experiments.benchmarks.features import RATE, speech_like
from fusion.features.features import AcousticFeatures, measure
from fusion.features.melody import Melody
from fusion.heard import Heard
from fusion.objectives.novelty import TIMBRE_AND_MELODY, FrozenSpace, Novelty
from fusion.objectives.objectives import (
    FAULTS,
    Cleanliness,
    Expressiveness,
    Fault,
    FeatureRange,
    Intelligibility,
    Preference,
    Similarity,
    Unknown,
    closeness,
)
from fusion.objectives.spec import parse
from fusion.preference import CandidateTable, Judgement, JudgementLog, PreferenceModel, Reference, Shown
from fusion.score import Term
from fusion.words.intelligibility import TextReading

GOOD = measure(speech_like(0, 1.5), RATE, text="a few words to say")

numbers = st.floats(-1e30, 1e30)
distances = st.floats(0, 1e300)
halves = st.floats(1e-6, 1e6)


def read(error: float | None, unknown: str | None = None) -> TextReading:
    return TextReading(unknown, error)


def heard(features: AcousticFeatures = GOOD, text: str | None = "a few words to say", reader=None) -> Heard:
    """A rendering whose features are given instead of measured."""
    result = Heard(Rendering(BarkTokens(), "eos", np.zeros(1, np.float32)), text, reader)
    result.__dict__["features"] = features
    return result


def with_features(**changes: float) -> AcousticFeatures:
    return dataclasses.replace(GOOD, **changes)


def value(objective, features: AcousticFeatures) -> float:
    term = objective.judge(heard(features))
    assert isinstance(term, Term)
    assert math.isfinite(term.value)
    assert 0 <= term.value <= 1
    return term.value


@given(distances, distances, halves)
def test_closeness_never_rises_with_distance(one, other, half):
    near, far = sorted([one, other])
    assert 1 >= closeness(near, half) >= closeness(far, half) >= 0
    assert closeness(half, half) == 0.5
    assert closeness(0, half) == 1


@pytest.mark.parametrize("distance", [-1e-9, math.nan])
def test_what_is_no_distance_has_no_closeness(distance):
    with pytest.raises(BarkError, match="distance"):
        closeness(distance, 1.0)


@given(st.sampled_from(["f0_median_hz", "rms_db", "pause_share", "flatness"]), numbers, halves, numbers, numbers)
def test_a_feature_further_from_its_target_never_scores_better(name, target, half, one, other):
    objective = FeatureRange(name, target, target, half)
    one, other = sorted((float(np.float32(one)), float(np.float32(other))), key=lambda x: abs(x - target))
    assert value(objective, with_features(**{name: one})) >= value(objective, with_features(**{name: other}))


@given(st.floats(-100, 100), st.floats(0, 50), st.floats(0.01, 50), numbers)
def test_inside_its_range_a_feature_scores_one_and_outside_less(low, width, half, measured):
    objective = FeatureRange("rms_db", low, low + width, half)
    measured = float(np.float32(measured))
    inside = low <= measured <= low + width
    assert (value(objective, with_features(rms_db=measured)) == 1) >= inside
    assert value(objective, with_features(rms_db=low + width + 2 * half + 1)) < 0.5


def test_a_tolerance_away_is_one_half():
    objective = parse("f0_median_hz = 110 ± 20")
    assert value(objective, with_features(f0_median_hz=110.0)) == 1
    assert value(objective, with_features(f0_median_hz=130.0)) == 0.5
    assert value(objective, with_features(f0_median_hz=90.0)) == 0.5


def test_a_clip_without_voice_is_as_far_from_any_pitch_as_can_be():
    term = parse("f0_median_hz <= 110 ± 20").judge(heard(with_features(voiced_share=0.0, f0_median_hz=0.0)))
    assert isinstance(term, Term)
    assert term.value == 0
    assert term.measure is None


def test_speaking_rate_without_a_text_is_unknown_and_no_number():
    features = with_features(speaking_rate_cps=0.0)
    objective = parse("speaking_rate_cps = 12 to 18")
    assert isinstance(objective.judge(heard(features, None)), Unknown)
    assert isinstance(objective.judge(heard(features, "♪ [laughs]")), Unknown)


@given(st.floats(0, 1e6), st.floats(0, 1e6))
def test_a_higher_error_never_reads_better(one, other):
    low, high = (
        Intelligibility().judge(heard(reader=lambda *_, error=error: read(error))).value
        for error in sorted([one, other])
    )
    assert 1 >= low >= high >= 0


@pytest.mark.parametrize(
    ("text", "reader", "why"),
    [
        ("words", None, "no recogniser"),
        (None, lambda *_: read(0.1), "no text"),
        ("안녕", lambda *_: read(None, "it reads English only"), "English only"),
    ],
)
def test_intelligibility_that_nobody_can_tell_is_unknown_never_zero(text, reader, why):
    result = Intelligibility().judge(heard(text=text, reader=reader))
    assert isinstance(result, Unknown)
    assert why in result.why


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.feature} {'+' if fault.half > 0 else '-'}")
@given(st.floats(0, 1e6), st.floats(0, 1e6))
def test_a_bigger_fault_is_never_cleaner(fault, one, other):
    cleaner, dirtier = (
        value(Cleanliness(), with_features(**{fault.feature: fault.free + excess * fault.half}))
        for excess in sorted([one, other])
    )
    assert cleaner >= dirtier


def test_one_whole_fault_halves_cleanliness_at_least():
    for fault in FAULTS:
        spoiled = with_features(**{fault.feature: fault.free + fault.half})
        assert value(Cleanliness(), spoiled) <= 0.5001


def test_noise_clipping_and_silence_are_less_clean_than_speech():
    speech = speech_like(1, 1.5)
    clean = value(Cleanliness(), measure(speech, RATE))
    assert clean > 0.7
    noise = 0.1 * np.random.default_rng(0).standard_normal(RATE)
    assert value(Cleanliness(), measure(noise, RATE)) < 0.15
    assert value(Cleanliness(), measure(np.clip(8 * speech, -1, 1), RATE)) < 0.1
    hissing = speech + 0.1 * np.random.default_rng(0).standard_normal(len(speech))
    assert value(Cleanliness(), measure(hissing, RATE)) < clean
    assert value(Cleanliness(), measure(np.zeros(RATE), RATE)) == 0


def test_the_more_noise_the_less_clean():
    speech = speech_like(1, 1.5)
    noise = np.random.default_rng(0).standard_normal(len(speech))
    rough = scipy.signal.lfilter(*scipy.signal.butter(4, 1_800 / (RATE / 2)), noise)  # below what flatness can tell
    for kind in (noise, rough):
        kind = kind * (speech.std() / kind.std())
        ramp = [(1 - share) * speech + share * kind for share in (0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 0.9, 1)]
        values = [value(Cleanliness(), measure(clip, RATE)) for clip in ramp]
        assert all(after <= before + 0.01 for before, after in itertools.pairwise(values)), values
        assert values[0] > 0.7
        assert values[-1] < 0.15


def test_what_a_fault_cannot_be_measured_by_is_never_cleaner():
    pitch = Cleanliness(faults=(Fault("f0_step_st", 0.5, 1.0),))
    assert value(pitch, with_features(f0_step_st=9.0)) > 0
    assert value(pitch, with_features(voiced_share=0.0, f0_step_st=0.0)) == 0


def test_the_chance_pitch_of_thumps_is_no_melody():
    rng = np.random.default_rng(0)
    thumps = np.zeros(4 * RATE)
    for start in rng.integers(0, len(thumps) - 2_000, 30):
        thumps[start : start + 1_500] += rng.standard_normal(1_500) * np.hanning(1_500) * rng.uniform(0.05, 0.2)
    thumps = scipy.signal.lfilter(*scipy.signal.butter(2, 1_500 / (RATE / 2)), thumps)
    assert Expressiveness().judge(Heard(Rendering(BarkTokens(), "eos", thumps.astype(np.float32)))).value < 0.1


def expressive(melody: Melody) -> float:
    clip = heard()
    clip.__dict__["melody"] = melody
    term = Expressiveness().judge(clip)
    assert 0 <= term.value <= 1
    return term.value


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 60), st.floats(0, 60))
def test_less_voice_is_never_more_expressive(share_1, share_2, seconds_1, seconds_2):
    (less, more), (short, long) = sorted([share_1, share_2]), sorted([seconds_1, seconds_2])
    best = expressive(Melody(4.0, 0.1, long, more))
    assert best >= expressive(Melody(4.0, 0.1, long, less))
    assert best >= expressive(Melody(4.0, 0.1, short, more))


@given(st.floats(0, 40), st.floats(0, 40), st.floats(0, 20), st.floats(0, 20))
def test_more_melody_is_never_less_expressive_and_more_jumps_never_more(range_1, range_2, step_1, step_2):
    (small, large), (steady, jumpy) = sorted([range_1, range_2]), sorted([step_1, step_2])
    best = expressive(Melody(large, steady, 2.0, 0.5))
    assert best >= expressive(Melody(small, steady, 2.0, 0.5))
    assert best >= expressive(Melody(large, jumpy, 2.0, 0.5))


@given(distances, distances)
def test_a_greater_distance_never_looks_more_similar(one, other):
    near, far = (Similarity(lambda _, d=d: d, 1.0).judge(heard()).value for d in sorted([one, other]))
    assert near >= far


def test_similarity_to_itself_is_one():
    reference = GOOD.vector()
    objective = Similarity(lambda clip: float(np.linalg.norm(clip.features.vector() - reference)), 10.0, "like her")
    assert value(objective, GOOD) == 1
    assert value(objective, with_features(f0_median_hz=GOOD.f0_median_hz + 10)) == pytest.approx(0.5)


def test_a_recording_sounds_like_itself_and_less_like_another_voice():
    one, same, other = (speech_like(seed, 1.5) for seed in (0, 0, 3))
    objective = Similarity.to_voice(one, RATE, reference="my voice")
    clips = [Heard(Rendering(BarkTokens(), "eos", audio)) for audio in (same, other)]
    itself, another = (objective.judge(clip).value for clip in clips)
    assert itself == 1
    assert another < 0.5
    assert "my voice" in objective.describe()


@given(numbers, numbers, st.floats(0, 1e6), st.floats(0, 1e6))
def test_preference_rises_with_liking_and_falls_with_doubt(mean_1, mean_2, doubt_1, doubt_2):
    (less, more), (sure, unsure) = sorted([mean_1, mean_2]), sorted([doubt_1, doubt_2])
    best = value(Preference(lambda _: (more, sure)), GOOD)
    assert best >= value(Preference(lambda _: (less, sure)), GOOD)
    assert best >= value(Preference(lambda _: (more, unsure)), GOOD)


def test_preference_is_the_chance_of_being_chosen_over_the_usual():
    assert value(Preference(lambda _: (0.0, 0.0)), GOOD) == 0.5
    assert value(Preference(lambda _: (math.log(3), 0.0)), GOOD) == pytest.approx(0.75)
    assert value(Preference(lambda _: (-math.log(3), 0.0)), GOOD) == pytest.approx(0.25)


def table(features: list[AcousticFeatures], embeddings=None) -> CandidateTable:
    return CandidateTable.of(range(len(features)), [one.known_vector() for one in features], None, embeddings)


def test_a_model_of_peoples_choices_judges_as_it_predicts():
    rng = np.random.default_rng(0)
    clips = [
        with_features(f0_median_hz=float(hz), centroid_hz=float(rng.normal(1_500, 200)), speaking_rate_cps=0.0)
        for hz in rng.normal(150, 30, 40)
    ]
    known = table(clips)
    model = PreferenceModel(Reference.fit(known), heads=False)
    objective = Preference.by_model(model)
    before = value(objective, clips[0])
    assert 0 < before < 0.5  # nobody has been asked
    log = JudgementLog()
    for _ in range(150):
        a, b = (int(i) for i in rng.choice(len(clips), 2, replace=False))
        better = int(clips[b].f0_median_hz < clips[a].f0_median_hz)
        log.append(Judgement("better", (Shown(a, "text", f"{a}"), Shown(b, "text", f"{b}")), better, "her"))
    model.learn(log, known)
    assert model.decision.speaks == "linear"
    low, high = min(clips, key=lambda one: one.f0_median_hz), max(clips, key=lambda one: one.f0_median_hz)
    assert value(objective, low) > 0.5 > value(objective, high)
    utilities = model.predict(known)
    row = clips.index(low)
    assert objective.utility(heard(low)) == pytest.approx((utilities.mean[row], utilities.deviation[row]))


def test_until_people_have_spoken_a_composite_may():
    clips = [with_features(f0_median_hz=float(hz)) for hz in (100, 150, 200)]
    known = dataclasses.replace(table(clips), composite=np.array([0.2, 0.5, 0.8]))
    objective = Preference.by_model(
        PreferenceModel(Reference.fit(known), heads=False), composite=lambda clip: clip.features.f0_median_hz / 200
    )
    assert value(objective, clips[0]) < value(objective, clips[2])


def test_a_model_of_other_columns_or_of_embeddings_nobody_gives_is_refused():
    narrow = Reference.fit(CandidateTable.of([0, 1], np.zeros((2, 3))))
    with pytest.raises(BarkError, match="3 columns"):
        Preference.by_model(PreferenceModel(narrow, heads=False))
    model = PreferenceModel(Reference.fit(table([GOOD, GOOD], {"ear": np.eye(2)})), heads=False)
    with pytest.raises(BarkError, match="embeddings ear"):
        Preference.by_model(model)
    value(Preference.by_model(model, embeddings=lambda _: {"ear": [1.0, 0.0]}), GOOD)


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_a_broken_measure_is_an_error_and_never_a_term(number):
    for objective in (
        Similarity(lambda _: number, 1.0),
        Preference(lambda _: (number, 1.0)),
        Preference(lambda _: (0.0, number)),
        Intelligibility(),
    ):
        with pytest.raises(BarkError, match="finite"):
            objective.judge(heard(reader=lambda *_: read(number)))


def voices(n: int) -> list[AcousticFeatures]:
    return [measure(speech_like(seed, 1.0), RATE) for seed in range(n)]


def test_what_is_known_is_not_novel_and_what_differs_is():
    known = voices(6)
    space = FrozenSpace.fit(known)
    objective = Novelty(space, neighbours=1)
    assert value(objective, known[2]) == 0
    other = dataclasses.replace(known[2], f0_median_hz=known[2].f0_median_hz * 2)
    further = dataclasses.replace(known[2], f0_median_hz=known[2].f0_median_hz * 2, harmonicity_db=40.0)
    assert 0 < value(objective, other) < value(objective, further)


def test_novelty_is_the_nearest_neighbours_distance_in_robust_deviations():
    rng = np.random.default_rng(0)
    *known, new = (AcousticFeatures.from_vector(rng.random(len(AcousticFeatures.NAMES)) + 0.1) for _ in range(6))
    space = FrozenSpace.fit(known)
    raw = np.array([[one.named()[name] for name in TIMBRE_AND_MELODY] for one in known])
    spread = np.subtract(*np.percentile(raw, [75, 25], axis=0)) / 1.3489795
    x = np.array([new.named()[name] for name in TIMBRE_AND_MELODY])
    z, points = (np.clip((a - np.median(raw, axis=0)) / spread, -4, 4) for a in (x, raw))
    expected = np.sort(np.sqrt(((points - z) ** 2).mean(axis=1)))[:3].mean()
    assert space.distance(new) == pytest.approx(expected, rel=1e-6)


def test_the_absurd_is_not_endlessly_novel():
    space = FrozenSpace.fit(voices(4))
    absurd = dataclasses.replace(GOOD, centroid_hz=1e30, f0_median_hz=1e30)
    assert space.distance(absurd) < 8


def test_recipes_read_every_form():
    assert parse("f0_median_hz=110 Hz +- 20 Hz") == FeatureRange("f0_median_hz", 110, 110, 20)
    assert parse("speaking_rate_cps = 12..18") == FeatureRange("speaking_rate_cps", 12, 18, 3)
    assert parse("rms_db = -20 to -14 dB ± 1") == FeatureRange("rms_db", -20, -14, 1)
    assert parse("pause_share <= 0.2 +/- .1") == FeatureRange("pause_share", -math.inf, 0.2, 0.1)
    assert parse("harmonicity_db >= 8 ± 4") == FeatureRange("harmonicity_db", 8, math.inf, 4)
    assert parse(" cleanliness ") == Cleanliness()


@given(st.sampled_from(AcousticFeatures.NAMES), st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_a_target_is_read_back_as_written(name, target, half):
    objective = parse(f"{name} = {target!r} ± {half!r}")
    assert objective == FeatureRange(name, target, target, half)
    assert "±" in objective.describe()


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("f0_medain_hz = 110 ± 20", "did you mean f0_median_hz"),
        ("cleanlines", "did you mean cleanliness"),
        ("f0_median_hz", "does not say what is wanted"),
        ("f0_median_hz = 110", "no tolerance"),
        ("f0_median_hz = 110 ± 0", "above 0"),
        ("f0_median_hz = 140 to 100", "lower bound first"),
        ("f0_median_hz <= 100 to 140", "takes ="),
        ("f0_median_hz = 110 dB ± 20", "is in Hz, not in dB"),
        ("f0_median_hz ~ 110", "cannot be read"),
        ("novelty", "does not say compared with what"),
        ("preference", "compares with something outside"),
        ("similarty to her.wav", "write 'similarity to"),
        ("", "cannot be read"),
    ],
)
def test_a_spec_that_cannot_be_meant_says_why(spec, says):
    with pytest.raises(BarkError, match=says):
        parse(spec)


@given(st.text(max_size=40))
def test_any_text_is_an_objective_or_a_clear_error(spec):
    with contextlib.suppress(BarkError):
        assert parse(spec).describe()
