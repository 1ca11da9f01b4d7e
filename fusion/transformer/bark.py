"""Parts of a Bark checkpoint as experts, so that judging works offline with what is there anyway.

The semantic model reads text: its hidden states over the text ids of the checkpoint's own front end. It is causal, so
a word's state knows the words before it and not those after. The codec's encoder listens. Both are built by
transformers' classes from tensors that `bark_infinity` has checked.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bark_infinity.bark_config import BarkConfig
from bark_infinity.checkpoints.checkpoint import Checkpoint, load_checkpoint
from bark_infinity.codec.original import read_original_encodec
from bark_infinity.error_handling import CheckpointError
from bark_infinity.text_front_end import TextFrontEnd
from fusion.transformer.alignment import Float64Array, word_spans
from fusion.transformer.experts import Expert, Window, fingerprint_of
from fusion.transformer.hugging_face import EncodecExpert

_CODEC_TRAINING_ONLY = ("inited", "cluster_size", "embed_avg")


def load_bark_text(name: str, source: str, offline: bool | None) -> Expert:
    """The semantic model of a checkpoint.

    Raises:
        CheckpointError: When the checkpoint is missing, damaged, or came without a text front end.
    """
    checkpoint = load_checkpoint(source, offline=offline)
    if checkpoint.front_end is None:
        raise CheckpointError("the checkpoint came without tokenizer files, so no text can be read")
    return BarkTextExpert(name, checkpoint.config, checkpoint.front_end, checkpoint.load_stage("semantic"))


def load_bark_codec(name: str, source: str, offline: bool | None) -> Expert:
    """The encoder of a checkpoint's codec.

    Raises:
        CheckpointError: When the checkpoint is missing or damaged, or has no codec.
    """
    from transformers import EncodecConfig
    from transformers.models.encodec.modeling_encodec import EncodecModel

    config, state = _codec_of(load_checkpoint(source, offline=offline))
    model = EncodecModel(EncodecConfig(**dict(config)))
    outcome = model.load_state_dict(dict(state), strict=False)
    missing = [key for key in outcome.missing_keys if not key.endswith(_CODEC_TRAINING_ONLY)]
    if missing or outcome.unexpected_keys:
        raise CheckpointError(f"the codec's weights do not fit its configuration: {missing or outcome.unexpected_keys}")
    return EncodecExpert(name, model)


class BarkTextExpert(Expert):
    """Stage 1 of Bark as a reader: the text block as Bark lays it out, with no voice in the history block."""

    def __init__(self, name: str, config: BarkConfig, front_end: TextFrontEnd, state: Mapping[str, Tensor]) -> None:
        from transformers import BarkSemanticConfig, BarkSemanticModel

        gpt = config.semantic_gpt
        settings = {"config": dataclasses.asdict(config.semantic), "front_end": front_end.name}
        super().__init__(name, "text", gpt.hidden_size, fingerprint_of("bark semantic", settings, state))
        self.encoder: Any = BarkSemanticModel(
            BarkSemanticConfig(
                num_layers=gpt.num_layers,
                num_heads=gpt.num_heads,
                hidden_size=gpt.hidden_size,
                block_size=gpt.block_size,
                input_vocab_size=gpt.input_vocab_size,
                output_vocab_size=gpt.output_vocab_size,
                bias=gpt.bias,
                dropout=0.0,
            )
        )
        # Not strict: the causal masks are buffers that no checkpoint holds; `load_stage` has checked the rest.
        self.encoder.load_state_dict({key: tensor.float() for key, tensor in state.items()}, strict=False)
        self._stage, self._front_end = config.semantic, front_end
        self.pad_values = {"ids": self._stage.text_pad_token}  # a causal model never looks right

    def windows(self, content: str) -> tuple[Window, ...]:
        """As many text blocks as the ids need."""
        ids, spans = located_ids(self._front_end, content)
        slots = self._stage.max_input_semantic_length
        offset = self._stage.text_encoding_offset
        return tuple(
            Window({"ids": torch.tensor(ids[i : i + slots], dtype=torch.int64) + offset}, spans[i : i + slots])
            for i in range(0, len(ids), slots)
        )

    def forward(self, arrays: Mapping[str, Tensor]) -> Tensor:
        """Hidden states (B, T, D) after the final normalisation."""
        table = self.encoder.get_input_embeddings()
        no_voice = torch.full_like(arrays["ids"], self._stage.semantic_pad_token)
        embedded = table(arrays["ids"]) + table(no_voice)  # Bark sums the two blocks
        # Its name differs between versions of transformers.
        known = inspect.signature(self.encoder.forward).parameters
        name = "inputs_embeds" if "inputs_embeds" in known else "input_embeds"
        answer = self.encoder(**{name: embedded}, use_cache=False, output_hidden_states=True)
        return answer.hidden_states[-1]  # type: ignore[no-any-return]


def located_ids(front_end: TextFrontEnd, text: str) -> tuple[tuple[int, ...], Float64Array]:
    """Text ids with the characters they stand for, from a front end that tells ids only.

    The ids of the text up to a word's end, where they begin the ids of the whole text, end where the word ends. A
    word for which that does not hold (because what follows changes how it is read) shares its span with the next.

    Returns:
        The ids, and (T, 2) begin and end characters.
    """
    ids = front_end.encode(text).ids
    spans = np.zeros((len(ids), 2))
    done, begin = 0, 0.0
    words = word_spans(text)
    for index, (_, end) in enumerate(words):
        last = index == len(words) - 1
        so_far = ids if last else front_end.encode(text[: int(end)]).ids
        if ids[: len(so_far)] != so_far:
            continue
        if len(so_far) > done:
            spans[done : len(so_far)] = (begin, end)
            done, begin = len(so_far), end
    return ids, spans


def _codec_of(checkpoint: Checkpoint) -> tuple[Mapping[str, Any], Mapping[str, Tensor]]:
    if checkpoint.codec_config is not None:
        return checkpoint.codec_config, checkpoint.load_stage("codec")
    if checkpoint.original_codec_file is not None:
        return read_original_encodec(checkpoint.original_codec_file)
    raise CheckpointError("the checkpoint has no codec")
