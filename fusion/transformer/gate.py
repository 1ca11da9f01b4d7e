"""The gate of a mixture of experts: how much each expert counts, and what keeps it from always choosing the same one.

Weights are a softmax over the experts that have a state in the cell, at a temperature, of logits that are either read
from the experts' states (per cell) or learned as they are (one per expert). With ``top_k`` only the k largest
logits enter the softmax, as in the sparsely-gated layer of Shazeer et al. 2017 (arXiv 1701.06538, equations 3-5,
without its noise: nothing here draws random numbers while it runs).

Shapes: B rows, T cells, E experts, D width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

GateKind = Literal[
    "input",  # logits are a linear function of all experts' states in the cell
    "fixed",  # one learned logit per expert, the same for every input
]

_INITIAL_LOGIT_STD = 0.1  # for states of unit variance: the experts start nearly equal, without ties


@dataclass(frozen=True)
class Routing:
    """What the gate decided.

    Attributes:
        weights: (B, T, E) mixing weights; they add up to 1 in every cell where an expert has a state.
        probabilities: (B, T, E) softmax over all available experts, before ``top_k``.
    """

    weights: Tensor
    probabilities: Tensor


class Gate(nn.Module):
    """See the module's docstring.

    Args:
        n_experts: E.
        width: D of the projected states.
        kind: Where logits come from.
        top_k: Experts that take part in a cell; None lets all.
        temperature: Above 1 evens the weights out, below 1 sharpens them.
        generator: Draws the initial weights.
    """

    def __init__(
        self,
        n_experts: int,
        width: int,
        kind: GateKind,
        top_k: int | None,
        temperature: float,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.n_experts, self.top_k, self.temperature = n_experts, top_k, temperature
        self.bias = nn.Parameter(torch.zeros(n_experts))
        self.weight: nn.Parameter | None = None
        if kind == "input":
            fan_in = n_experts * width
            drawn = torch.randn((n_experts, fan_in), generator=generator)
            self.weight = nn.Parameter(drawn * (_INITIAL_LOGIT_STD * fan_in**-0.5))

    def forward(self, states: Tensor, available: Tensor) -> Routing:
        """Decides for every cell.

        Args:
            states: (B, T, E, D) projected states, 0 where an expert has none.
            available: (B, T, E) bool.
        """
        logits = self.bias.expand(available.shape)
        if self.weight is not None:
            logits = logits + states.flatten(2) @ self.weight.T
        # In float32: half precision would round small weights away, and with them their gradient.
        logits = (logits.float() / self.temperature).masked_fill(~available, -torch.inf)
        probabilities = _softmax_where_any(logits)
        if self.top_k is None or self.top_k >= self.n_experts:
            return Routing(probabilities, probabilities)
        chosen = torch.zeros_like(available).scatter(-1, logits.topk(self.top_k, dim=-1).indices, True)
        return Routing(_softmax_where_any(logits.masked_fill(~chosen, -torch.inf)), probabilities)


def load_balance_loss(routing: Routing, counted: Tensor) -> Tensor:
    """How unevenly the experts are used: 1 when evenly, up to E when one expert is used for everything.

    E times the sum over experts of (share of the work) x (mean probability), equation 4 of Fedus et al. 2021,
    "Switch Transformers" (arXiv 2101.03961). With ``top_k`` the share of the work counts which experts were chosen,
    and only the probability carries gradient. Without, it is the probability itself, and the loss is one plus the
    squared coefficient of variation of the experts' importance, as in Shazeer et al. 2017 (equations 6 and 7).

    Args:
        routing: Of one batch.
        counted: (B, T) bool, cells where there was a choice between all experts; others tell nothing of the gate.

    Returns:
        A scalar; 1 when no cell counts.
    """
    n_experts = routing.weights.shape[-1]
    if not bool(counted.any()):
        return routing.probabilities.sum() * 0 + 1
    probability = routing.probabilities[counted].mean(dim=0)  # (E,)
    if routing.weights is routing.probabilities:
        share = probability
    else:
        used = (routing.weights[counted] > 0).to(probability.dtype)
        share = (used / used.sum(dim=-1, keepdim=True)).mean(dim=0)
    return n_experts * (share * probability).sum()


def _softmax_where_any(logits: Tensor) -> Tensor:
    """Softmax of the last axis; zeros, with gradient zero, where all logits are -inf."""
    nothing = torch.isneginf(logits).all(dim=-1, keepdim=True)
    return torch.softmax(logits.masked_fill(nothing, 0), dim=-1).masked_fill(nothing, 0)
