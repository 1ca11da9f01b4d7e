"""PreferenceModel: the same however judgements arrive, undone without a trace, and it asks what teaches."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest

from bark_infinity.error_handling import BarkError
from experiments.benchmarks.preference import linear_taste, pair_accuracy, world
from fusion.features.features import AcousticFeatures, measure
from fusion.preference import CandidateTable, Judgement, JudgementLog, PreferenceModel, Reference, Shown


@pytest.fixture(scope="module")
def planted():
    return world(linear_taste, 0)


def fresh(planted, **options) -> PreferenceModel:
    return PreferenceModel(Reference.fit(planted.table), heads=False, **options)


def part_of(log: JudgementLog, n: int) -> JudgementLog:
    part = JudgementLog()
    for _, judgement in log.standing()[:n]:
        part.append(judgement)
    return part


def test_nobody_has_judged_so_the_composite_speaks(planted):
    model = fresh(planted)
    believed = model.predict(planted.table)
    assert believed.speaks == "composite"
    assert pair_accuracy(planted.table.composite, believed.mean) == 1
    assert (believed.deviation > 0).all()
    assert model.agreement().sentences() == ["0 answers; nobody has judged yet."]


def test_learning_at_once_or_answer_by_answer_is_the_same(planted):
    log = planted.random_log(70, np.random.default_rng(0))
    at_once, step_by_step = fresh(planted), fresh(planted)
    at_once.learn(log, planted.table)
    for n in (3, 20, 31, 55, 69, 70):
        step_by_step.learn(part_of(log, n), planted.table)
    assert at_once.decision == step_by_step.decision
    assert (at_once.predict(planted.table).mean == step_by_step.predict(planted.table).mean).all()


def test_an_undone_judgement_leaves_no_trace(planted):
    log = planted.random_log(40, np.random.default_rng(1))
    model, never_said = fresh(planted), fresh(planted)
    model.learn(log, planted.table)
    mistake = log.append(planted.answer(0, 1, np.random.default_rng(2)))
    model.learn(log, planted.table)
    log.undo(mistake)
    model.learn(log, planted.table)
    never_said.learn(part_of(log, 40), planted.table)
    assert (model.linear.weights == never_said.linear.weights).all()
    for number, _ in log.standing():
        log.undo(number)
    model.learn(log, planted.table)
    assert model.decision.speaks == "composite"


def test_undoing_the_only_answer_keeps_its_record(planted, tmp_path):
    log = JudgementLog()
    log.append(planted.answer(0, 1, np.random.default_rng(0)))
    model = fresh(planted)
    model.learn(log, planted.table)
    log.undo()
    model.learn(log, planted.table)
    model.save(tmp_path)
    assert JudgementLog.load(tmp_path / "judgements.jsonl") == log


def test_other_rows_in_the_table_change_nothing(planted):
    log = planted.random_log(30, np.random.default_rng(3))
    some = sorted({candidate for one in log.comparisons() for candidate in one.pair})
    whole, part = fresh(planted), fresh(planted)
    whole.learn(log, planted.table)
    part.learn(log, planted.table.rows(some[::-1]))
    assert (whole.linear.weights == part.linear.weights).all()
    one_by_one = [whole.predict(planted.table.at(np.array([i]))).mean[0] for i in range(8)]
    np.testing.assert_allclose(one_by_one, whole.predict(planted.table).mean[:8], rtol=1e-12)


def test_what_is_unknown_of_a_clip_counts_as_usual_and_not_as_0():
    rng = np.random.default_rng(13)
    seconds = np.arange(12_000) / 24_000
    voiced = [
        measure((0.3 * np.sin(2 * np.pi * f * seconds) + 0.01 * rng.normal(size=12_000)).astype(np.float32), 24_000)
        for f in (110, 130, 150, 170, 190)
    ]
    noise = measure((0.1 * rng.normal(size=12_000)).astype(np.float32), 24_000)
    assert "f0_median_hz" in noise.unknown
    unknown = [1 + AcousticFeatures.NAMES.index(name) for name in noise.unknown]
    clips = [clip.known_vector() for clip in [*voiced, noise]]
    reference = Reference.fit(CandidateTable.of(range(6), clips))
    without = Reference.fit(CandidateTable.of(range(5), clips[:5]))
    pitch = AcousticFeatures.NAMES.index("f0_median_hz")
    assert reference.features.middle[pitch] == without.features.middle[pitch]
    standardised = without.standardise(CandidateTable.of(["noise"], [noise.known_vector()]))
    assert (standardised.columns[0, unknown] == 0).all()
    as_zero = without.standardise(CandidateTable.of(["noise"], [noise.vector()]))
    assert as_zero.columns[0, 1 + pitch] < -3


def test_a_judged_candidate_without_features_is_named(planted):
    log = planted.random_log(5, np.random.default_rng(4))
    with pytest.raises(BarkError, match="not among"):
        fresh(planted).learn(log, planted.table.rows([0, 1]))


def test_other_columns_or_experts_than_the_references_are_refused(planted):
    model = fresh(planted)
    with pytest.raises(BarkError, match="experts"):
        model.predict(CandidateTable.of([0], planted.table.features[:1]))
    embeddings = {name: array[:1] for name, array in planted.table.embeddings.items()}
    with pytest.raises(BarkError, match="columns"):
        model.predict(CandidateTable.of([0], [[1.0]], None, embeddings))
    with pytest.raises(BarkError, match="shape"):
        CandidateTable.of([0, 1], [[1.0]])
    with pytest.raises(BarkError, match="twice"):
        CandidateTable.of([0, 0], [[1.0], [1.0]])


@pytest.fixture(scope="module")
def taught(planted):
    model = fresh(planted)
    model.learn(planted.random_log(150, np.random.default_rng(5)), planted.table)
    return model


def test_chances_bounds_and_samples_agree_with_the_prediction(planted, taught):
    assert taught.decision.speaks == "linear"
    believed = taught.predict(planted.table)
    best, worst = int(believed.mean.argmax()), int(believed.mean.argmin())
    chance = taught.probability(planted.table, best, worst)
    assert chance > 0.9
    assert chance + taught.probability(planted.table, worst, best) == pytest.approx(1)
    np.testing.assert_allclose(taught.lower_bound(planted.table, 2), believed.mean - 2 * believed.deviation)
    rng = np.random.default_rng(0)
    samples = np.array([taught.sample(planted.table, rng) for _ in range(1_000)])
    np.testing.assert_allclose(samples.std(axis=0), believed.deviation, rtol=0.15)
    again = taught.sample(planted.table, np.random.default_rng(0))
    assert (again == samples[0]).all()


def test_chances_are_calibrated(planted, taught):
    rng = np.random.default_rng(6)
    pairs = [tuple(int(k) for k in rng.choice(len(planted.table), 2, replace=False)) for _ in range(400)]
    said = np.array([taught.probability(planted.table, i, j) for i, j in pairs])
    true = np.array([1 / (1 + np.exp(planted.utility[j] - planted.utility[i])) for i, j in pairs])
    for low in (0.0, 0.25, 0.5, 0.75):
        inside = (said >= low) & (said < low + 0.25)
        assert abs(said[inside].mean() - true[inside].mean()) < 0.12


def test_no_pair_is_asked_twice_but_one_in_ten_the_other_way_round(planted):
    few = planted.table.at(np.arange(30))
    model, log, rng = fresh(planted), JudgementLog(), np.random.default_rng(7)
    asked: dict[frozenset, int] = {}
    repeats = 0
    for _ in range(80):
        question = model.next_pair(few, rng)
        pair = frozenset((question.first, question.second))
        assert np.isfinite(question.information)
        if question.reason == "repeat":
            repeats += 1
            assert asked[pair] == question.second  # what came first then comes second now
        else:
            assert pair not in asked
        asked[pair] = question.first
        log.append(planted.answer(question.first, question.second, rng))
        model.learn(log, planted.table)
    assert 2 <= repeats <= 18
    assert model.agreement().own["planted"].asked == repeats


def test_what_the_worst_of_several_says_of_a_pair_is_not_asked_again_as_a_repeat(planted):
    model, log, rng = fresh(planted), JudgementLog(), np.random.default_rng(12)
    few = planted.table.at(np.arange(12))
    for start in (0, 4, 8):
        log.append(Judgement("worst", tuple(planted.shown(row) for row in range(start, start + 4)), 0, "planted"))
    model.learn(log, planted.table)
    for rater in ("planted", None):
        assert all(model.next_pair(few, rng, rater).reason == "informative" for _ in range(60))
    log.append(planted.answer(0, 5, rng))
    model.learn(log, planted.table)
    questions = [model.next_pair(few, rng, "planted") for _ in range(60)]
    repeats = [(one.first, one.second) for one in questions if one.reason == "repeat"]
    assert set(repeats) == {(5, 0)}


def test_when_every_pair_was_asked_they_are_asked_again(planted):
    model, log, rng = fresh(planted), JudgementLog(), np.random.default_rng(8)
    two = planted.table.at(np.arange(2))
    log.append(planted.answer(0, 1, rng))
    model.learn(log, planted.table)
    assert {model.next_pair(two, rng).first, model.next_pair(two, rng).second} <= {0, 1}
    with pytest.raises(BarkError, match="two candidates"):
        model.next_pair(planted.table.at(np.arange(1)), rng)


def test_thousands_of_candidates_are_asked_about_from_a_pool(planted, taught):
    many = world(linear_taste, 1, candidates=3_000)
    question = taught.next_pair(many.table, np.random.default_rng(9))
    assert question.first != question.second


def test_the_agreement_report_reads_as_sentences(planted):
    log = planted.random_log(40, np.random.default_rng(10))
    for _, judgement in log.standing():
        log.append(judgement)
        log.append(Judgement("better", judgement.shown, 1 - judgement.chosen, "contrarian"))
    model = fresh(planted)
    model.learn(log, planted.table)
    report = model.agreement()
    assert report.own["planted"].share == 1
    assert report.between[("planted", "contrarian")].share == 0
    text = " ".join(report.sentences())
    assert "120 answers" in text
    assert "planted answers 100% of 40 repeated pairs alike" in text


@pytest.mark.parametrize("damage", ["missing", "json", "nan", "shape"])
def test_a_damaged_model_is_refused(planted, taught, tmp_path, damage):
    from safetensors.numpy import load_file, save_file

    taught.save(tmp_path / "model")
    document, numbers = tmp_path / "model" / "preference.json", tmp_path / "model" / "preference.safetensors"
    arrays = load_file(numbers)
    if damage == "missing":
        numbers.unlink()
    elif damage == "json":
        document.write_text(json.dumps({"format": "other"}), "utf-8")
    elif damage == "nan":
        save_file(arrays | {"linear/weights": arrays["linear/weights"] * np.nan}, numbers)
    else:
        save_file(arrays | {"linear/weights": arrays["linear/weights"][:-1]}, numbers)
    if damage in ("nan", "shape"):  # even where the hash is right
        fields = json.loads(document.read_text("utf-8"))
        fields["numbers"] = hashlib.sha256(numbers.read_bytes()).hexdigest()
        document.write_text(json.dumps(fields), "utf-8")
    with pytest.raises(BarkError, match="learn it again"):
        PreferenceModel.load(tmp_path / "model")


@pytest.mark.parametrize("interrupted", ["preference.safetensors", "preference.json"])
def test_a_save_that_was_cut_between_its_files_is_refused(planted, taught, tmp_path, interrupted):
    fresh(planted).save(tmp_path)
    older = (tmp_path / interrupted).read_bytes()
    taught.save(tmp_path)
    assert not list(tmp_path.glob("*.part"))
    assert PreferenceModel.load(tmp_path).decision == taught.decision
    (tmp_path / interrupted).write_bytes(older)
    with pytest.raises(BarkError, match="saved with"):
        PreferenceModel.load(tmp_path)


def test_a_loaded_model_goes_on_learning_as_if_it_had_never_left(planted, tmp_path):
    log = planted.random_log(50, np.random.default_rng(11))
    model = fresh(planted)
    model.learn(part_of(log, 45), planted.table)
    model.save(tmp_path)
    loaded = PreferenceModel.load(tmp_path)
    model.learn(log, planted.table)
    loaded.learn(log, planted.table)
    assert (model.predict(planted.table).mean == loaded.predict(planted.table).mean).all()
    assert loaded.decision == model.decision


def test_a_number_and_a_name_that_look_alike_are_two_candidates():
    table = CandidateTable.of([1, "1"], [[0.0], [1.0]])
    log = JudgementLog()
    log.append(Judgement("better", (Shown(1, "t", "l"), Shown("1", "t", "m")), 1, "r"))
    model = PreferenceModel(Reference.fit(table), heads=False)
    model.learn(log, table)
    liked = dict(zip(table.ids, model.linear.mean(model.reference.standardise(table)), strict=True))
    assert liked["1"] > liked[1]


def test_ids_may_be_names():
    table = CandidateTable.of(["a", "b"], [[0.0], [1.0]])
    log = JudgementLog()
    log.append(Judgement("better", (Shown("a", "t", "l"), Shown("b", "t", "m")), 1, "r"))
    model = PreferenceModel(Reference.fit(table), heads=False)
    model.learn(log, table)
    assert model.linear.weights[1] > 0
