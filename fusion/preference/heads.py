"""An ensemble of small networks that learns what a weighted sum cannot: optima, and tastes that depend on the voice.

Each member adds to the linear model's utility what a mixture of experts makes of the features and of frozen
embeddings: every expert's numbers are projected to a common width, a gate that sees all of them picks the two that
matter for this candidate, and one readout turns the mix into a utility. With one expert the gate is gone, and a member
is a plain network of one hidden layer. The loss is the linear model's own likelihood. Members differ in their random
projections, to which a Gaussian prior holds them, and in how much each answer counts for them (Bayesian bootstrap,
Rubin 1981, Ann. Statist. 9:130); where they disagree, nobody knows. The gate is kept from leaving experts idle by the
load-balancing loss of Fedus et al. (2022, JMLR 23:120, eq. 4).

Any number of folds trains at once, as one batched network: axes are candidates N, comparisons n, models M, experts E,
columns D, width W.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import log_softmax, logsigmoid

from bark_infinity.error_handling import BarkError
from fusion.preference.bradley_terry import BradleyTerry
from fusion.preference.candidates import Array, Standardised
from fusion.preference.pairs import Pairs

Float32 = NDArray[np.float32]

MEMBERS = 5
WIDTH = 24
TOP = 2  # experts that speak for one candidate
STEPS = 150
RATE = 0.03
SCALE = 2.0  # prior deviation of what a member adds, in logits, as far as tanh lets it
BALANCE = 0.02  # of the load-balancing loss, per answer


@dataclass(frozen=True, eq=False)
class Heads:
    """Weights of M members over E experts, in units of their prior deviation.

    Attributes:
        projections: By expert, (D_e, M, W).
        shifts: (E, M, W).
        gates: By expert, (D_e, M, E).
        gate_shift: (M, E).
        readout: (M, W).
    """

    projections: tuple[Float32, ...]
    shifts: Float32
    gates: tuple[Float32, ...]
    gate_shift: Float32
    readout: Float32

    def residuals(self, experts: Sequence[Array]) -> Array:
        """(M, N) what every member adds to the linear model's utility."""
        with torch.no_grad():
            added, _ = _forward(_tensors(self), _inputs(experts))
        residuals: Array = added.T.double().numpy()
        return residuals

    def check(self, columns: Sequence[int]) -> None:
        """Raises a `BarkError` when shapes do not fit each other, or experts of so many columns each."""
        columns = [one for one in columns if one]
        members, width = self.readout.shape if self.readout.ndim == 2 else (0, 0)
        expected = [
            *((one, members, width) for one in columns),
            (len(columns), members, width),
            *((one, members, len(columns)) for one in columns),
            (members, len(columns)),
        ]
        shapes = [array.shape for array in (*self.projections, self.shifts, *self.gates, self.gate_shift)]
        if not members or shapes != expected:
            raise BarkError(f"heads have shapes {shapes}, expected {expected} for experts of {columns} columns")

    def usage(self, experts: Sequence[Array]) -> Array:
        """(E,) share of the candidates' mix that each expert makes, over all members."""
        with torch.no_grad():
            _, mix = _forward(_tensors(self), _inputs(experts))
        usage: Array = mix.double().mean(dim=(0, 1)).numpy()
        return usage


@dataclass(frozen=True, eq=False)
class HeadEnsemble:
    """The linear model and what the members add to it: a belief about utilities like the linear model's own.

    Attributes:
        base: What they add to.
        heads: The members.
        trust: Factor on what they add, from cross-validation.
    """

    base: BradleyTerry
    heads: Heads
    trust: float = 1.0

    def mean(self, candidates: Standardised) -> Array:
        """(N,) expected utility, in logits."""
        mean: Array = self.base.mean(candidates) + self._added(candidates).mean(axis=0)
        return mean

    def covariance_of(self, candidates: Standardised) -> Array:
        """(N, N) covariance of utilities: the linear model's, and between members."""
        away = self._disagreement(candidates)
        covariance: Array = self.base.covariance_of(candidates) + away.T @ away
        return covariance

    def variance(self, candidates: Standardised) -> Array:
        """(N,) variance of utilities."""
        variance: Array = self.base.variance(candidates) + np.square(self._disagreement(candidates)).sum(axis=0)
        return variance

    def sample(self, candidates: Standardised, rng: np.random.Generator) -> Array:
        """(N,) utilities under one draw of the linear weights and of the members' disagreement."""
        away = self._disagreement(candidates)
        added = self._added(candidates).mean(axis=0) + rng.standard_normal(len(away)) @ away
        drawn: Array = self.base.sample(candidates, rng) + added
        return drawn

    def _disagreement(self, candidates: Standardised) -> Array:
        """(M, N) such that its square sums to the members' variance."""
        added = self._added(candidates)
        away: Array = (added - added.mean(axis=0)) / math.sqrt(max(1, len(added) - 1))
        return away

    def _added(self, candidates: Standardised) -> Array:
        return self.trust * self.heads.residuals(candidates.experts)


def train(
    candidates: Standardised,
    pairs: Pairs,
    bases: Sequence[BradleyTerry],
    kept: NDArray[np.bool_],
    *,
    seed: int,
    members: int = MEMBERS,
) -> list[HeadEnsemble]:
    """One ensemble per fold; a pure function of its arguments.

    Args:
        candidates: Everything judged.
        pairs: n comparisons.
        bases: F linear models, one per fold.
        kept: (F, n) comparisons that a fold may learn from.
        seed: Of projections and bootstrap.
        members: Of each ensemble.
    """
    experts = _inputs(candidates.experts)
    generator = torch.Generator().manual_seed(seed)
    # Every fold has the same members, so that folds differ in what they have heard and in nothing else.
    draws = [_tiled(torch.randn(shape, generator=generator), len(bases)) for shape in _shapes(experts, members)]
    anchors = [*draws, torch.zeros(len(bases) * members, WIDTH)]
    parameters = [anchor.clone().requires_grad_() for anchor in anchors]
    luck = torch.empty(len(pairs), members).exponential_(generator=generator)
    weight = torch.as_tensor(pairs.weight[:, None] * kept.T, dtype=torch.float32).repeat_interleave(members, dim=1)
    weight = weight * luck.repeat(1, len(bases))  # (n, M)
    choices = _Choices.of(candidates, pairs, bases, members)
    optimiser = torch.optim.Adam(parameters, lr=RATE)
    for _ in range(STEPS):
        optimiser.zero_grad()
        added, mix = _forward(parameters, experts)
        loss = -(weight * choices.log_likelihood(added)).sum()
        for parameter, anchor in zip(parameters, anchors, strict=True):
            loss = loss + (parameter - anchor).square().sum() / 2
        if len(experts) > 1:
            loss = loss + BALANCE * (weight.sum(dim=0) * _imbalance(mix)).sum()
        loss.backward()
        optimiser.step()
    trained = [parameter.detach().numpy() for parameter in parameters]
    return [
        HeadEnsemble(base, _member_slice(trained, slice(fold * members, (fold + 1) * members)))
        for fold, base in enumerate(bases)
    ]


@dataclass(frozen=True, eq=False)
class _Choices:
    """The likelihood of `bradley_terry`, with everything but utilities held at the linear models' values."""

    first: Tensor  # (n,)
    second: Tensor
    outcome: Tensor  # (n, 1)
    may_tie: Tensor  # (n, 1)
    may_refuse: Tensor
    base: Tensor  # (N, M)
    sharpness: Tensor  # (n, M)
    position: Tensor  # (M,)
    tie: Tensor
    bar: Tensor

    @classmethod
    def of(cls, candidates: Standardised, pairs: Pairs, bases: Sequence[BradleyTerry], members: int) -> _Choices:
        def by_model(values: Sequence[Array] | Sequence[float]) -> Tensor:
            """One row per fold to one last column per model."""
            columns = torch.as_tensor(np.stack([np.asarray(value) for value in values]), dtype=torch.float32)
            return columns.repeat_interleave(members, dim=0).movedim(0, -1)

        return cls(
            torch.as_tensor(pairs.first),
            torch.as_tensor(pairs.second),
            torch.as_tensor(pairs.outcome)[:, None],
            torch.as_tensor(pairs.may_tie)[:, None],
            torch.as_tensor(pairs.may_refuse)[:, None],
            by_model([base.mean(candidates) for base in bases]),
            by_model([np.exp(base.log_sharpness)[pairs.rater] for base in bases]),
            by_model([base.position for base in bases]),
            by_model([base.tie for base in bases]),
            by_model([base.bar for base in bases]),
        )

    def log_likelihood(self, added: Tensor) -> Tensor:
        """(n, M) of what was said, when ``added`` (N, M) is added to the linear utilities."""
        utility = self.base + added
        first, second = utility[self.first], utility[self.second]
        d = self.sharpness * (first - second) + self.position
        tie = torch.where(self.may_tie, self.tie, -torch.inf)
        of_three = log_softmax(torch.stack([d / 2, -d / 2, tie]), dim=0)
        both = logsigmoid(self.sharpness * (self.bar - first)) + logsigmoid(self.sharpness * (self.bar - second))
        neither = torch.log1p(-both.exp().clamp(max=1 - 1e-6))
        stage = torch.where(self.may_refuse, neither, 0.0)
        said = of_three.gather(0, self.outcome.clamp(max=2).expand_as(d)[None])[0] + stage
        return torch.where(self.outcome == 3, both, said)


def _shapes(experts: Sequence[Tensor], members: int) -> list[tuple[int, ...]]:
    """Of projections, shifts, gates and gate shift, in the order of `Heads`; the models' axis is last but one."""
    n_experts = len(experts)
    return [
        *((expert.shape[1], members, WIDTH) for expert in experts),
        (n_experts, members, WIDTH),
        *((expert.shape[1], members, n_experts) for expert in experts),
        (members, n_experts),
    ]


def _tiled(draw: Tensor, folds: int) -> Tensor:
    return draw.repeat(*(1,) * (draw.ndim - 2), folds, 1)


def _forward(parameters: Sequence[Tensor], experts: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """(N, M) utilities to add, (N, M, E) how experts were mixed."""
    n_experts = len(experts)
    projections, shifts = parameters[:n_experts], parameters[n_experts]
    gates, gate_shift, readout = parameters[n_experts + 1 : 2 * n_experts + 1], parameters[-2], parameters[-1]
    hidden = torch.stack(
        [
            torch.tanh(_project(expert, projection) + shift)
            for expert, projection, shift in zip(experts, projections, shifts, strict=True)
        ],
        dim=2,
    )  # (N, M, E, W)
    logits = gate_shift + torch.stack(
        [_project(expert, gate) for expert, gate in zip(experts, gates, strict=True)]
    ).sum(dim=0) / math.sqrt(n_experts)  # (N, M, E)
    if n_experts > TOP:
        least = logits.topk(TOP, dim=-1).values[..., -1:]
        logits = logits.masked_fill(logits < least, -torch.inf)
    mix = logits.softmax(dim=-1)
    mixed = (mix[..., None] * hidden).sum(dim=2)  # (N, M, W)
    return (mixed * readout).sum(dim=-1) * (SCALE / math.sqrt(WIDTH)), mix


def _project(expert: Tensor, weights: Tensor) -> Tensor:
    """(N, D) by (D, M, X) to (N, M, X), at the scale of one column."""
    projected: Tensor = (expert @ weights.flatten(1)).unflatten(1, weights.shape[1:])
    return projected / math.sqrt(expert.shape[1])


def _imbalance(mix: Tensor) -> Tensor:
    """(M,) 0 when experts share the work evenly: E sum(share routed * mean weight) - 1."""
    routed = (mix > 0).float() / (mix > 0).float().sum(dim=-1, keepdim=True)
    return mix.shape[-1] * (routed.mean(dim=0) * mix.mean(dim=0)).sum(dim=-1) - 1


def _inputs(experts: Sequence[Array]) -> list[Tensor]:
    return [torch.as_tensor(expert, dtype=torch.float32) for expert in experts if expert.shape[1]]


def _tensors(heads: Heads) -> list[Tensor]:
    arrays = [*heads.projections, heads.shifts, *heads.gates, heads.gate_shift, heads.readout]
    return [torch.as_tensor(array) for array in arrays]


def _member_slice(trained: Sequence[Float32], models: slice) -> Heads:
    n_experts = (len(trained) - 3) // 2
    of_models = [np.ascontiguousarray(array[..., models, :]) for array in trained]
    return Heads(
        tuple(of_models[:n_experts]),
        of_models[n_experts],
        tuple(of_models[n_experts + 1 : 2 * n_experts + 1]),
        of_models[-2],
        of_models[-1],
    )
