"""Spelling to text ids: the one place where a checkpoint brings its own code path.

Suno's checkpoints read text through the tokenizer of ``bert-base-multilingual-cased``; another checkpoint may
read phones. Both are a `TextFrontEnd`: text in, ids (before the checkpoint's text offset) and notices out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class TextEncoding:
    """What a front end made of one text.

    Attributes:
        ids: Token ids before the checkpoint's ``text_encoding_offset`` is added.
        notices: What was dropped or ignored, one sentence each, for the user to read.
    """

    ids: tuple[int, ...]
    notices: tuple[str, ...] = ()


class TextFrontEnd(Protocol):
    """Turns normalised text into token ids. Implementations never raise on any str."""

    @property
    def name(self) -> str:
        """What errors and records call it."""
        ...

    def encode(self, text: str) -> TextEncoding:
        """Encodes one text; empty text gives no ids."""
        ...
