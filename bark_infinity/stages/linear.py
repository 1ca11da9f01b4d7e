"""Matrix products in which a row's result does not depend on the rows that share its batch.

Evolution needs a candidate's tokens to be the same whoever is rendered beside it, and sampling turns a last-bit
difference of a logit into another token. On CPU, MKL picks another kernel for every number of rows; oneDNN with
prepacked weights sums each row in one fixed order, as long as the inner dimension is not split, which begins
above `_UNSPLIT_INPUTS`. Wider products are therefore summed here, block by block, in a fixed order. The packed
kernels are also the faster ones (docs/performance.md).
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

# Measured on oneDNN as built into torch 2.13: rows are bitwise independent up to here, not at 1280.
# tests/test_linear.py holds every release to it.
_UNSPLIT_INPUTS = 1_024


class Linear(Protocol):
    """y = x W^T + b for x (rows, in) -> (rows, out)."""

    def __call__(self, x: Tensor) -> Tensor:
        """Multiplies; the result is float32 or the weights' type."""
        ...


def make_linear(weight: Tensor, bias: Tensor | None, device: torch.device, dtype: torch.dtype) -> Linear:
    """Chooses the product for a weight (out, in): packed on CPU where oneDNN is there, plain elsewhere."""
    weight = weight.to(device=device, dtype=dtype)
    bias = None if bias is None else bias.to(device=device, dtype=dtype)
    if rows_are_independent(device, dtype):
        return PackedLinear(weight, bias)
    return PlainLinear(weight, bias)


def rows_are_independent(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether products of this precision are bitwise the same in any batch there: the packed ones are."""
    if device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    if dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return dtype == torch.float32


class PlainLinear:
    """The framework's own product; rows agree with any batch only to rounding."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self.weight, self.bias = weight, bias

    def __call__(self, x: Tensor) -> Tensor:
        """Multiplies; the result has the weights' type."""
        return functional.linear(x.to(self.weight.dtype), self.weight, self.bias)


class PackedLinear:
    """oneDNN product over weights reordered once, in blocks of inputs that it does not split."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        n_blocks = -(-weight.shape[1] // _UNSPLIT_INPUTS)
        blocks = weight.tensor_split(n_blocks, dim=1)
        self.dtype = weight.dtype
        self.bias = bias
        self.widths = [block.shape[1] for block in blocks]
        self.packed = [torch.ops.mkldnn._reorder_linear_weight(block.contiguous()) for block in blocks]

    def __call__(self, x: Tensor) -> Tensor:
        """Multiplies; the result is float32 where several blocks were summed."""
        parts = x.to(self.dtype).split(self.widths, dim=1)
        total: Tensor = torch.ops.mkldnn._linear_pointwise(parts[0], self.packed[0], self.bias, "none", [], "")
        if self.dtype == torch.float32:
            for part, packed in zip(parts[1:], self.packed[1:], strict=True):
                total = torch.ops.mkldnn._linear_pointwise.binary(part, total, packed, None, "add")
            return total
        for part, packed in zip(parts[1:], self.packed[1:], strict=True):
            # bfloat16 blocks are summed in float32: rounding every partial sum would add an error per block.
            total = total.float() + torch.ops.mkldnn._linear_pointwise(part, packed, None, "none", [], "").float()
        return total
