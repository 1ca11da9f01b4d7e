"""One word is replaced by another that fits its place, as a masked language model sees it.

The model only proposes: what was chosen is recorded as the word itself, so that a record repeats without any model.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from bark_infinity.error_handling import CheckpointError
from bark_infinity.prompts.operators import Pieces, PromptEdit, one_of, recorded_text, whole_number
from bark_infinity.prompts.pieces import around_word, is_word, spoken_words
from bark_infinity.variation import NotApplicable, Parameters

_PROPOSALS = 32


class MaskedLanguageModel(Protocol):
    """Proposes words for a gap."""

    def proposals(self, before: str, after: str, count: int) -> Sequence[tuple[str, float]]:
        """The likeliest whole words between two texts, with their probabilities, best first."""
        ...


class HuggingFaceMaskedLM:
    """A masked language model of the Hugging Face Hub that is already on this machine.

    Args:
        source: Hub id in the local cache, or a directory; ``google-bert/bert-base-multilingual-cased`` has the very
            tokens Bark reads.

    Raises:
        CheckpointError: When it is not there, damaged, or no masked language model.
    """

    def __init__(self, source: str | os.PathLike[str]) -> None:
        from transformers import AutoModelForMaskedLM, AutoTokenizer

        self.source = os.fspath(source)
        local: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(self.source, **local)
            self._model, report = AutoModelForMaskedLM.from_pretrained(
                self.source, weights_only=True, output_loading_info=True, **local
            )
        except Exception as error:  # transformers raises whatever a file provokes
            raise CheckpointError(
                f"masked language model {self.source} could not be loaded ({error}); give a directory, or fetch it "
                f"with: hf download {self.source}"
            ) from error
        missing = sorted(report["missing_keys"])
        if missing or self._tokenizer.mask_token_id is None:
            lacking = f"weights such as {missing[0]}" if missing else "a mask token"
            raise CheckpointError(
                f"{self.source} lacks {lacking}: it is an encoder without the head that names words; choose a masked "
                "language model such as google-bert/bert-base-multilingual-cased"
            )
        self._model.eval()
        # Byte-level and SentencePiece vocabularies mark where words begin, WordPiece marks where they go on.
        pieces = self._tokenizer.tokenize("a b")
        self._word_start = next((mark for mark in "Ġ▁" if any(piece.startswith(mark) for piece in pieces)), "")

    def proposals(self, before: str, after: str, count: int) -> Sequence[tuple[str, float]]:
        """See `MaskedLanguageModel`; pieces of words and punctuation are left out."""
        import torch

        tokenizer = self._tokenizer
        text = " ".join(filter(None, (before, tokenizer.mask_token, after)))
        encoded = tokenizer(text, return_tensors="pt", truncation=True, max_length=self._most_tokens)
        places = (encoded["input_ids"][0] == tokenizer.mask_token_id).nonzero()
        if len(places) != 1:  # cut off, or the prompt itself holds a mask
            return ()
        with torch.inference_mode():
            logits = self._model(**encoded).logits[0, places[0, 0]]  # (V,)
        likeliest = torch.softmax(logits, 0).topk(min(4 * count, logits.numel()))
        words = tokenizer.convert_ids_to_tokens(likeliest.indices.tolist())
        named = zip((self._word(token) for token in words), likeliest.values.tolist(), strict=True)
        return [(word, p) for word, p in named if word.isalpha()][:count]

    @property
    def _most_tokens(self) -> int:
        return min(int(self._tokenizer.model_max_length), int(self._model.config.max_position_embeddings))

    def _word(self, token: str) -> str:
        """The word a token stands for; empty when it only continues one."""
        if token in self._tokenizer.all_special_tokens or not token.startswith(self._word_start):
            return ""
        return token.removeprefix(self._word_start)


def masked_substitution(model: MaskedLanguageModel | None) -> PromptEdit:
    """The edit; without a model it repeats records, and draws nothing new."""

    def choose(prompts: Sequence[Pieces], rng: np.random.Generator) -> dict[str, Any]:
        (parts,) = prompts
        if model is None:
            raise NotApplicable("no masked language model is loaded; pass masked_lm to prompt_operators")
        at = one_of([index for index, part in enumerate(parts) if is_word(part)], rng, "word")
        before, word, after = around_word(parts[at])
        proposed = model.proposals(
            " ".join([*parts[:at], before]).strip(), " ".join([after, *parts[at + 1 :]]).strip(), _PROPOSALS
        )
        others = [(text, p) for text, p in proposed if p > 0 and text.casefold() != word.casefold()]
        if not others:
            raise NotApplicable(f"the masked language model knows no other word for {word!r}")
        shares = np.array([p for _, p in others])
        text = others[int(rng.choice(len(others), p=shares / shares.sum()))][0]
        return {"at": at, "text": text[0].upper() + text[1:] if word[:1].isupper() else text}

    def make(prompts: Sequence[Pieces], parameters: Parameters) -> list[str]:
        (parts,) = prompts
        at, text = whole_number(parameters, "at", 0, len(parts) - 1), recorded_text(parameters, "text")
        if not spoken_words(text):
            raise NotApplicable(f"parameter text is {text!r}, expected a word")
        before, _, after = around_word(parts[at])
        return [*parts[:at], before + text + after, *parts[at + 1 :]]

    return PromptEdit("masked_substitution", choose, make, keeps_words=False)
