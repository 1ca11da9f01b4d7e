"""From an edit of a prompt to an operator: what is drawn, what is recorded, and what is refused.

An edit chooses, and makes the child's pieces out of what was chosen. Around them, the same for all: a child is never
empty, never longer than the checkpoint reads, never one that the checkpoint cannot tell from a parent, and says the
same words as its parent when the edit promises that. The checkpoint is only asked while drawing: a record repeats
without it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bark_infinity.error_handling import BarkError
from bark_infinity.prompts.pieces import canonical_prompt, pieces, spoken_words
from bark_infinity.variation import Child, NotApplicable, Operator, Parameters

Pieces = Sequence[str]

MAX_TOKENS = 256  # text tokens that Suno's Bark reads; it cuts off the rest

_ATTEMPTS = 12  # draws before a prompt is said not to be variable this way


def most_tokens(prompt: str) -> int:
    """An upper bound of a prompt's WordPiece tokens, for when no tokenizer is at hand: one per character."""
    return sum(map(len, prompt.split()))


@dataclass(frozen=True)
class PromptReader:
    """What a checkpoint reads of a prompt.

    Attributes:
        count_tokens: Text tokens of a prompt.
        limit: Most of them that are read.
        text_ids: The ids themselves, where they are at hand: edits that do not change them are refused.
    """

    count_tokens: Callable[[str], int] = most_tokens
    limit: int = MAX_TOKENS
    text_ids: Callable[[str], Sequence[int]] | None = None

    def view(self, prompt: str) -> Hashable:
        """Equal for two prompts that the checkpoint, as far as is known here, cannot tell apart."""
        if self.text_ids is None:
            return canonical_prompt(prompt)
        return tuple(self.text_ids(prompt)[: self.limit])


@dataclass(frozen=True)
class PromptEdit:
    """One way to vary prompts.

    Attributes:
        name: Of the operator.
        choose: (pieces of each parent, rng) -> parameters; raises `NotApplicable`.
        make: (pieces of each parent, parameters) -> pieces of the child.
        arity: Parents.
        keeps_words: Promises that `spoken_words` stay: allowed under content lock.
        version: Of its meaning.
    """

    name: str
    choose: Callable[[Sequence[Pieces], np.random.Generator], dict[str, Any]]
    make: Callable[[Sequence[Pieces], Parameters], list[str]]
    arity: int = 1
    keeps_words: bool = True
    version: int = 1

    def operator(self, reader: PromptReader) -> Operator[str]:
        """The operator for a checkpoint."""

        def draw(parents: Sequence[str], rng: np.random.Generator) -> Parameters:
            self._require(parents)
            material = [pieces(parent) for parent in parents]
            seen = [reader.view(parent) for parent in parents]
            reason = NotApplicable(f"{self.name}: nothing was drawn")
            for _ in range(_ATTEMPTS):
                try:
                    parameters = self.choose(material, rng)
                    child = apply(parents, parameters).material
                except NotApplicable as error:
                    reason = error
                    continue
                assert child is not None
                count = reader.count_tokens(child)
                if count > reader.limit:
                    reason = NotApplicable(f"{self.name}: the prompt would have {count} tokens of {reader.limit}")
                elif reader.view(child) in seen:
                    reason = NotApplicable(f"{self.name}: the checkpoint reads no difference in the prompt")
                else:
                    return parameters
            raise reason

        def apply(parents: Sequence[str], parameters: Parameters) -> Child[str]:
            self._require(parents)
            child = canonical_prompt(" ".join(self.make([pieces(parent) for parent in parents], parameters)))
            words, before = spoken_words(child), [spoken_words(parent) for parent in parents]
            if not child or (not words and any(before)):
                raise NotApplicable(f"{self.name}: nothing to say would be left of {parents[0]!r}")
            if child in map(canonical_prompt, parents):
                raise NotApplicable(f"{self.name}: the prompt would stay as it is")
            if self.keeps_words and words != before[0]:
                raise NotApplicable(f"{self.name}: the words of {parents[0]!r} would change")
            return Child(child, None, self.name, self.version, parameters)

        return Operator(self.name, self.version, self.arity, "edit", draw, apply)

    def _require(self, parents: Sequence[str]) -> None:
        if len(parents) != self.arity:
            raise BarkError(f"operator {self.name} takes {self.arity} parents, got {len(parents)}")


def whole_number(parameters: Parameters, name: str, low: int, high: int) -> int:
    """A recorded whole number in [low, high].

    Raises:
        NotApplicable: When it is missing, no integer, or outside of what these parents allow.
    """
    value = parameters.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise NotApplicable(
            f"parameter {name} is {value!r}, expected an integer from {low} to {high} for these parents; a record "
            "repeats only with the parents it was made from"
        )
    return value


def recorded_text(parameters: Parameters, name: str) -> str:
    """A recorded text.

    Raises:
        NotApplicable: When it is missing or no text.
    """
    value = parameters.get(name)
    if not isinstance(value, str):
        raise NotApplicable(f"parameter {name} is {value!r}, expected text")
    return value


def one_of(indices: Sequence[int], rng: np.random.Generator, what: str) -> int:
    """One index by chance.

    Raises:
        NotApplicable: When there is none.
    """
    if not indices:
        raise NotApplicable(f"the prompt has no {what}")
    return int(indices[int(rng.integers(len(indices)))])
