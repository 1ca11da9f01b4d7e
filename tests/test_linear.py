"""A row's product does not depend on the other rows, nor on the number of threads."""

from __future__ import annotations

import pytest
import torch

from bark_infinity.stages.linear import PackedLinear, make_linear

WIDTHS = [(2304, 768), (768, 3072), (1024, 4096), (97, 32), (32, 128), (10_001, 48), (129, 1_025)]


@pytest.fixture(autouse=True)
def _threads_as_before():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def product(outputs: int, inputs: int, dtype: torch.dtype) -> tuple[PackedLinear, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(outputs + inputs)
    weight = torch.randn(outputs, inputs, generator=generator) * inputs**-0.5
    linear = make_linear(weight, None, torch.device("cpu"), dtype)
    if not isinstance(linear, PackedLinear):
        pytest.skip(f"this CPU has no packed product for {dtype}")
    return linear, weight, torch.randn(40, inputs, generator=generator)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
@pytest.mark.parametrize("shape", WIDTHS, ids=str)
def test_rows_are_bitwise_independent_of_their_batch(shape, dtype):
    linear, _, x = product(*shape, dtype)
    alone = torch.cat([linear(row) for row in x.split(1)])
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        for rows in (1, 2, 3, 8, 15, 16, 17, 33, 40):
            assert torch.equal(linear(x[:rows]), alone[:rows]), f"{rows} rows, {threads} threads"


@pytest.mark.parametrize("shape", WIDTHS, ids=str)
def test_the_product_is_the_product(shape):
    linear, weight, x = product(*shape, torch.float32)
    expected = (x.double() @ weight.double().T).float()
    torch.testing.assert_close(linear(x), expected, rtol=1e-5, atol=1e-5)


def test_bias_is_added_once():
    weight, bias = torch.randn(8, 2_500), torch.arange(8.0)
    linear = make_linear(weight, bias, torch.device("cpu"), torch.float32)
    torch.testing.assert_close(linear(torch.zeros(3, 2_500)), bias.expand(3, 8))
