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
MayVary = Callable[[str, Sequence[Genome]], bool]  # an operator's name, and parents
_BLIND_EDITS = 4  # of a newcomer, at most


def immigrants(
    founders: Sequence[Genome],
    makers: Sequence[tuple[Gene, Operator[Any]]],
    edits: Sequence[tuple[Gene, Operator[Any]]] = (),
    may_vary: MayVary = lambda name, parents: True,
) -> Immigrate:
    """Founders drawn at random, with a gene that an operator without parents makes.

    Where there is none, as for prompts, newcomers are founders after a few edits that nobody selected: what chance
    finds. The choices of the n-th edit are called ``n/name``, the edit itself ``n/operator``.

    Args:
        founders: At least one.
        makers: Operators of no parents, by gene.
        edits: Operators of one parent that render nothing, by gene.
        may_vary: Whether an edit is allowed.
    """

    def immigrate(rng: Rng) -> Draft:
        founder = founders[int(rng.integers(len(founders)))]
        if makers:
            gene, operator = makers[int(rng.integers(len(makers)))]
            return _applied(gene, operator, [founder], operator.draw([], rng))
        draft = Draft(founder)
        for time in range(1, int(rng.integers(1, _BLIND_EDITS + 1)) + 1):
            fit = [(gene, operator) for gene, operator in edits if may_vary(operator.name, [draft.genome])]
            if not fit:
                break
            gene, operator = fit[int(rng.integers(len(fit)))]
            try:
                edited = vary(gene, operator, [draft.genome], rng)
            except BarkError:
                continue  # this one cannot be edited so
            named = {f"{time}/{name}": value for name, value in edited.parameters.items()}
            parameters = {**draft.parameters, f"{time}/operator": operator.name, **named}
            draft = dataclasses.replace(edited, parameters=parameters)
        return draft

    return immigrate
