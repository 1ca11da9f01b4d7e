"""How children are made: an operator applied to one gene, and a record from which the child can be made again."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from bark_infinity.error_handling import BarkError
from bark_infinity.variation import Operator, Parameters
from evolution.genome import Draft, Gene, Genome, Rng


def vary(gene: Gene, operator: Operator[Any], parents: Sequence[Genome], rng: Rng, times: int = 1) -> Draft:
    """Applies an operator to one gene; everything else comes from the first parent.

    Args:
        times: How often an edit of one parent is applied; the choices of its n-th time (n > 1) are called ``n/name``.

    Raises:
        BarkError: When these parents cannot be varied this way, or the child is no valid genome.
    """
    draft = _applied(gene, operator, parents, operator.draw([getattr(one, gene) for one in parents], rng))
    for time in range(2, times + 1 if operator.cost == "edit" and operator.arity == 1 else 2):
        try:
            drawn = operator.draw([getattr(draft.genome, gene)], rng)
            again = _applied(gene, operator, [draft.genome], drawn)
        except BarkError:
            break  # there is no more to change
        named = {f"{time}/{name}": value for name, value in drawn.items()}
        draft = dataclasses.replace(again, parameters={**draft.parameters, "edits": time, **named})
    return draft


def remake(gene: Gene, operator: Operator[Any], parents: Sequence[Genome], parameters: Parameters) -> Draft:
    """Makes a child again from its parents and its recorded choices, as `vary` made it."""
    draft = Draft(parents[0])
    first = {name: value for name, value in parameters.items() if name != "edits" and "/" not in name}
    for time in range(1, int(str(parameters.get("edits", 1))) + 1):
        mark = f"{time}/"
        own = {name.removeprefix(mark): value for name, value in parameters.items() if name.startswith(mark)}
        draft = _applied(gene, operator, [draft.genome, *parents[1:]], own if time > 1 else first)
    return dataclasses.replace(draft, parameters=parameters)


def _applied(gene: Gene, operator: Operator[Any], parents: Sequence[Genome], drawn: Parameters) -> Draft:
    child = operator.apply([getattr(one, gene) for one in parents[: operator.arity]], drawn)
    inherited: dict[str, Any] = {gene: child.material}
    return Draft(dataclasses.replace(parents[0], **inherited), child.render, drawn)


Immigrate = Callable[[Rng], Draft]


def immigrants(founders: Sequence[Genome], makers: Sequence[tuple[Gene, Operator[Any]]]) -> Immigrate:
    """Founders drawn at random, with a gene that an operator without parents makes; unchanged where there is none."""

    def immigrate(rng: Rng) -> Draft:
        founder = founders[int(rng.integers(len(founders)))]
        if not makers:
            return Draft(founder)
        gene, operator = makers[int(rng.integers(len(makers)))]
        return _applied(gene, operator, [founder], operator.draw([], rng))

    return immigrate
