"""Variation operators for prompts: pure functions of parent prompts and a generator, with a record that repeats each.

* `pieces`: a prompt as words, tags and marks; `spoken_words`
* `operators`: what is the same for all: drawing, recording, refusing
* `marks`: how it is said; `wording`, `languages`, `masked_lm`: what is said

`KEEPS_WORDS` names the operators that content lock allows; the others belong to exploration. `PROMPT_OPERATORS` know no
tokenizer and no model, which repeating a record does not need; `prompt_operators` makes them for a checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from bark_infinity.prompts.languages import LANGUAGE_SWITCH
from bark_infinity.prompts.marks import MARKS
from bark_infinity.prompts.masked_lm import HuggingFaceMaskedLM, MaskedLanguageModel, masked_substitution
from bark_infinity.prompts.operators import MAX_TOKENS, PromptEdit, PromptReader, most_tokens
from bark_infinity.prompts.pieces import canonical_prompt, spoken_words
from bark_infinity.prompts.wording import WORDING
from bark_infinity.variation import Operator

__all__ = [
    "KEEPS_WORDS",
    "MAX_TOKENS",
    "PROMPT_OPERATORS",
    "HuggingFaceMaskedLM",
    "MaskedLanguageModel",
    "canonical_prompt",
    "most_tokens",
    "prompt_operators",
    "spoken_words",
]


def _edits(masked_lm: MaskedLanguageModel | None) -> tuple[PromptEdit, ...]:
    return (*MARKS, *WORDING, LANGUAGE_SWITCH, masked_substitution(masked_lm))


def prompt_operators(
    count_tokens: Callable[[str], int] = most_tokens,
    *,
    limit: int = MAX_TOKENS,
    text_ids: Callable[[str], Sequence[int]] | None = None,
    masked_lm: MaskedLanguageModel | None = None,
) -> Mapping[str, Operator[str]]:
    """All operators, by name.

    Args:
        count_tokens: Text tokens of a prompt in the checkpoint; an upper bound will do.
        limit: Most text tokens that the checkpoint reads: no child has more.
        text_ids: The checkpoint's ids of a prompt: no child has those of a parent. Without it, prompts count as
            different when their canonical text is; a checkpoint that reads phones tells fewer apart.
        masked_lm: Proposes words for ``masked_substitution``, which draws nothing without.
    """
    reader = PromptReader(count_tokens, limit, text_ids)
    return MappingProxyType({edit.name: edit.operator(reader) for edit in _edits(masked_lm)})


PROMPT_OPERATORS = prompt_operators()
KEEPS_WORDS = frozenset(edit.name for edit in _edits(None) if edit.keeps_words)
