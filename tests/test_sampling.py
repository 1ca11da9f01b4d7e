"""Filters in Suno's order, draws from the right distribution, one random number per row and step."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bark_infinity.stages.sampling import Filters, Sampler, stage_uniforms

CPU = torch.device("cpu")


def sunos_probabilities(logits: np.ndarray, filters: Filters) -> np.ndarray:
    """Suno's filters written out for one row: top_p on the plain softmax, top_k, then temperature."""
    logits = logits.astype(np.float64).copy()
    if filters.top_p is not None:
        order = np.argsort(-logits, kind="stable")
        probs = np.exp(logits[order] - logits.max())
        cumulative = np.cumsum(probs / probs.sum())
        remove = np.concatenate([[False], (cumulative > filters.top_p)[:-1]])
        logits[order[remove]] = -np.inf
    if filters.top_k is not None:
        kth = np.sort(logits)[-min(filters.top_k, len(logits))]
        logits[logits < kth] = -np.inf
    scaled = np.exp((logits - logits.max()) / filters.temperature)
    return scaled / scaled.sum()


FILTERS = [
    Filters(0.7),
    Filters(1.0, top_k=3),
    Filters(0.5, top_p=0.7),
    Filters(1.3, top_k=4, top_p=0.9),
    Filters(0.7, top_k=1_000),
    Filters(0.7, top_p=1e-9),
]


@pytest.mark.parametrize("filters", FILTERS, ids=str)
def test_draws_follow_sunos_filtered_distribution(filters):
    logits = torch.tensor([2.0, 1.0, 0.5, 0.5, -1.0, -3.0, 1.9, 0.0])
    n = 40_000
    uniforms = torch.from_numpy((np.arange(n, dtype=np.float32) + 0.5) / n)  # an even grid: no luck involved
    draw = Sampler([filters] * n, CPU)(logits.expand(n, -1), uniforms)
    expected = sunos_probabilities(logits.numpy(), filters)
    seen = np.bincount(draw.tokens.numpy(), minlength=len(logits)) / n
    np.testing.assert_allclose(seen, expected, atol=2e-4)
    np.testing.assert_allclose(draw.last_prob.numpy(), expected[-1], atol=1e-5)
    np.testing.assert_allclose(draw.log_prob.exp().numpy(), expected[draw.tokens.numpy()], atol=1e-5)


def test_rows_with_different_filters_do_not_disturb_each_other():
    logits = torch.randn(len(FILTERS), 50, generator=torch.Generator().manual_seed(0))
    uniforms = torch.linspace(0.05, 0.95, len(FILTERS))
    together = Sampler(FILTERS, CPU)(logits, uniforms)
    for row, filters in enumerate(FILTERS):
        alone = Sampler([filters], CPU)(logits[row : row + 1], uniforms[row : row + 1])
        assert together.tokens[row] == alone.tokens[0]
        assert together.log_prob[row] == alone.log_prob[0]


def test_ties_at_the_kth_place_are_kept():
    logits = torch.tensor([[1.0, 1.0, 1.0, 0.0]])
    sampler = Sampler([Filters(1.0, top_k=2)], CPU)
    drawn = {int(sampler(logits, torch.tensor([u])).tokens) for u in (0.1, 0.5, 0.9)}
    assert drawn == {0, 1, 2}


def test_temperature_zero_takes_the_likeliest_token_whatever_the_number():
    logits = torch.tensor([[0.0, 3.0, 2.9], [5.0, 3.0, 9.0]])
    draw = Sampler([Filters(0.0), Filters(0.0)], CPU)(logits, torch.tensor([0.999, 0.999]))
    assert draw.tokens.tolist() == [1, 2]
    assert draw.last_prob.tolist() == [0.0, 1.0]


@pytest.mark.parametrize("uniform", [0.0, float(np.float32(1 - 2**-24))])
def test_a_token_without_probability_is_never_drawn(uniform):
    logits = torch.tensor([[-torch.inf, 0.0, 0.0, -torch.inf]])
    assert int(Sampler([Filters(1.0)], CPU)(logits, torch.tensor([uniform])).tokens) in (1, 2)


def test_rows_that_stay_keep_their_filters():
    sampler = Sampler([Filters(0.0), Filters(1.0), Filters(0.0, top_k=2)], CPU)
    sampler.keep([2, 0])
    assert sampler.rows == 2
    assert sampler(torch.tensor([[0.0, 1.0], [1.0, 0.0]]), torch.zeros(2)).tokens.tolist() == [1, 0]


def test_random_numbers_depend_on_seed_and_stage_and_never_on_how_many_are_asked_for():
    long = stage_uniforms(7, "semantic", 100)
    assert np.array_equal(stage_uniforms(7, "semantic", 10), long[:10])
    assert not np.array_equal(stage_uniforms(7, "coarse", 100), long)
    assert not np.array_equal(stage_uniforms(8, "semantic", 100), long)
    assert long.min() >= 0
    assert long.max() < 1
    assert abs(stage_uniforms(2**64 - 1, "fine", 20_000).mean() - 0.5) < 0.01


def test_the_meaning_of_a_seed_never_changes():
    # Recorded runs are replayed from their seeds: these numbers are part of the file format.
    np.testing.assert_array_equal(
        stage_uniforms(7, "semantic", 3), np.array(RECORDED, np.float32), err_msg="seeds mean something else now"
    )


RECORDED = [0.7480382323265076, 0.8824667930603027, 0.40150731801986694]
