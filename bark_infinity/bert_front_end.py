"""Suno's text front end: the WordPiece tokenizer of ``bert-base-multilingual-cased``, without special tokens.

Light module: the ``tokenizers`` library, no torch and no transformers. Files come from the checkpoint's directory
or the local Hugging Face cache; see `bark_infinity.checkpoints.sources`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from bark_infinity.error_handling import CheckpointError
from bark_infinity.text_front_end import TextEncoding

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_SPECIAL_TOKENS = ("[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]")
_MAX_VOCAB_BYTES = 64 * 2**20  # the multilingual vocabulary has 1 MB, its tokenizer.json 2 MB
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


class BertFrontEnd:
    """Text to WordPiece ids, spelled exactly as Suno's ``BertTokenizer`` does."""

    name = "bert-base-multilingual-cased"

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._unknown = tokenizer.token_to_id("[UNK]")

    @classmethod
    def load(cls, directory: Path) -> BertFrontEnd:
        """Reads ``tokenizer.json``, or else ``vocab.txt``.

        Raises:
            CheckpointError: When there is neither, or the file is damaged.
        """
        for name in ("tokenizer.json", "vocab.txt"):
            path = directory / name
            if not path.is_file():
                continue
            try:
                if path.stat().st_size > _MAX_VOCAB_BYTES:
                    raise ValueError(f"it has {path.stat().st_size} bytes, at most {_MAX_VOCAB_BYTES} are read")
                return cls(_from_json(path) if name == "tokenizer.json" else _from_vocabulary(path))
            except Exception as error:  # the tokenizers library raises bare Exception for anything it dislikes
                raise CheckpointError(
                    f"{path} could not be read as a BERT tokenizer ({error}); expected the file of "
                    "bert-base-multilingual-cased, fetch it again"
                ) from error
        raise CheckpointError(
            f"{directory} holds neither tokenizer.json nor vocab.txt; fetch one with: "
            f"hf download google-bert/bert-base-multilingual-cased tokenizer.json --local-dir {directory}"
        )

    def encode(self, text: str) -> TextEncoding:
        """Encodes one text; runs of white space count as one space."""
        notices = []
        readable, replaced = _LONE_SURROGATE.subn("", text)
        if replaced:
            notices.append(f"{replaced} characters that are not valid Unicode were dropped")
        encoding = self._tokenizer.encode(re.sub(r"\s+", " ", readable).strip(), add_special_tokens=False)
        unknown = [
            readable_piece
            for readable_piece, piece in zip(encoding.tokens, encoding.ids, strict=True)
            if piece == self._unknown
        ]
        if unknown:
            notices.append(f"{len(unknown)} words or symbols are not in the tokenizer's vocabulary and say nothing")
        return TextEncoding(tuple(encoding.ids), tuple(notices))


def _from_json(path: Path) -> Tokenizer:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_truncation()  # the engine cuts long text itself, and says so
    tokenizer.no_padding()
    return tokenizer


def _from_vocabulary(path: Path) -> Tokenizer:
    from tokenizers import Tokenizer
    from tokenizers.models import WordPiece
    from tokenizers.normalizers import BertNormalizer
    from tokenizers.pre_tokenizers import BertPreTokenizer

    # One piece per line; Python's own line splitting would break at the Unicode separators that are pieces.
    lines = path.read_bytes().decode("utf-8").split("\n")
    pieces = [line.rstrip("\r") for line in (lines[:-1] if lines[-1] == "" else lines)]
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    if "[UNK]" not in vocabulary:
        raise ValueError("it has no line [UNK]")
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = BertNormalizer(
        clean_text=True, handle_chinese_chars=True, strip_accents=False, lowercase=False
    )
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.add_special_tokens([token for token in _SPECIAL_TOKENS if token in vocabulary])
    return tokenizer
