"""The codec against transformers' EncodecModel, on random weights that are as loud as speech (RMS 0.1)."""

from __future__ import annotations

import dataclasses
import itertools
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bark_infinity.checkpoints.random_tiny import random_tiny_checkpoint
from bark_infinity.codec import codec as codec_module
from bark_infinity.codec.codec import Codec
from bark_infinity.error_handling import BarkError, CheckpointError

TINY = {
    "num_filters": 8,
    "hidden_size": 16,
    "upsampling_ratios": [4, 3, 2],
    "codebook_size": 64,
    "num_lstm_layers": 1,
    "target_bandwidths": [48.0, 60.0],  # kbps at 1000 frames a second of 6 bits: 8 or 10 codebooks
}
CONFIGS = {
    "tiny": TINY,
    "micro": {  # the shape of the embedded model's codec
        "num_filters": 16,
        "hidden_size": 64,
        "upsampling_ratios": [10, 8, 4],
        "codebook_size": 512,
        "num_lstm_layers": 1,
    },
    # Few samples per frame and dilations up to 4: padding that mirrors many frames in every layer.
    "wide context": TINY
    | {
        "upsampling_ratios": [1, 2],
        "num_residual_layers": 3,
        "residual_kernel_size": 5,
        "target_bandwidths": [720.0],
    },
    "plain skips": TINY | {"use_conv_shortcut": False, "pad_mode": "constant"},
    "24 kHz": {},
}


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Layers this small lose more to threads waiting for each other than they gain."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


SHAPES = pytest.mark.parametrize("shape", CONFIGS)


@cache
def oracle(shape):
    """transformers' EncodecModel with random weights."""
    return make_oracle(CONFIGS[shape])


def make_oracle(config):
    from transformers import EncodecConfig
    from transformers.models.encodec.modeling_encodec import EncodecModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = EncodecModel(EncodecConfig(**config)).eval().requires_grad_(False)
        for layer in model.quantizer.layers:
            layer.codebook.embed.normal_()
        last = list(model.decoder.layers)[-1].conv
        frames = torch.randint(0, model.config.codebook_size, (4, 1, 40))
        loudness = model.decoder(model.quantizer.decode(frames)).std()
        last.parametrizations.weight.original0 *= 0.1 / loudness
    return model


@cache
def codec(shape, **options):
    model = oracle(shape)
    built = Codec.from_state(model.config.to_dict(), model.state_dict(), n_codebooks=8)
    return Codec(built._model, n_codebooks=8, **options) if options else built


def random_codes(shape, *lengths, n_codebooks=8, seed=0):
    rng = np.random.default_rng(seed)
    size = oracle(shape).config.codebook_size
    return [rng.integers(0, size, (n_codebooks, length)) for length in lengths]


def oracle_decode(shape, codes):
    with torch.inference_mode():
        return oracle(shape).decode(torch.from_numpy(codes)[None, None], [None])[0][0, 0].numpy()


@SHAPES
def test_decode_equals_transformers_bitwise(shape):
    rows = random_codes(shape, 1, 2, 7, 20)
    for row, samples in zip(rows, codec(shape).decode(rows), strict=True):
        assert samples.dtype == np.float32
        assert samples.shape == (row.shape[1] * codec(shape).hop_length,)
        assert np.array_equal(samples, oracle_decode(shape, row))


@SHAPES
def test_decode_equals_transformers_with_the_two_coarse_codebooks_alone(shape):
    (row,) = random_codes(shape, 12, n_codebooks=2)
    (samples,) = codec(shape).decode([row])
    assert np.array_equal(samples, oracle_decode(shape, row))


@SHAPES
def test_on_a_cpu_a_row_is_bitwise_the_same_in_any_company(shape):
    rows = random_codes(shape, 20, 3, 9)
    together = codec(shape).decode(rows)
    assert all(np.array_equal(a, codec(shape).decode([row])[0]) for a, row in zip(together, rows, strict=True))


@SHAPES
def test_a_right_padded_batch_equals_solo(shape):
    rows = random_codes(shape, 30, 1, 8, 7, 2, 30, 19) + random_codes(shape, 11, 4, n_codebooks=2)
    batched = codec(shape, batch_frames=200)
    sizes = [len(batch) for batch in batched._batches(rows)]
    assert max(sizes) >= 3, "rows did share a batch"
    for a, b in zip(batched.decode(rows), codec(shape).decode(rows), strict=True):
        assert a.shape == b.shape
        assert np.abs(a - b).max() < 5e-6


def test_batches_stay_within_their_frames_and_hold_every_row_once():
    rows = random_codes("tiny", 5, 50, 8, 0, 9, 31, 30, 12)
    batches = list(codec("tiny", batch_frames=60)._batches(rows))
    assert sorted(itertools.chain(*batches)) == [0, 1, 2, 4, 5, 6, 7]
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(rows[i].shape[1] for i in batch) <= 60


def test_a_codec_that_looks_ahead_only_batches_equal_lengths():
    config = TINY | {"use_causal_conv": False}
    blind = Codec(make_oracle(config), n_codebooks=4, batch_frames=1_000)
    assert not blind.is_causal
    rows = [row[:4] for row in random_codes("tiny", 9, 9, 10)]
    assert sorted(map(sorted, blind._batches(rows))) == [[0, 1], [2]]
    reference = make_oracle(config)
    for row, samples in zip(rows, blind.decode(rows), strict=True):
        with torch.inference_mode():
            expected = reference.decode(torch.from_numpy(row)[None, None], [None])[0][0, 0].numpy()
        assert np.abs(samples - expected).max() < 5e-6
    with pytest.raises(BarkError, match="causal"):
        blind.stream()


def test_no_frames_make_no_samples():
    empty = np.zeros((8, 0), np.int64)
    assert codec("tiny").decode([]) == []
    first, second, third = codec("tiny").decode([empty, *random_codes("tiny", 3), np.zeros((0, 0), np.int64)])
    assert (first.size, second.size, third.size) == (0, 72, 0)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (np.full((8, 3), 64), "codes from 64 to 64, expected 0 to 63"),
        (np.full((8, 3), -1), "codes from -1"),
        (np.full((9, 3), 0), "9 codebooks, expected 1 to 8"),
        (np.zeros((8, 3)), "float64"),
        (np.zeros(3, int), r"shape \(3,\)"),
        (np.full((8, 3), 2**63, np.uint64), "codes from"),
    ],
)
def test_wrong_codes_are_refused_by_name(row, says):
    with pytest.raises(BarkError, match=f"row 1 .*{says}"):
        codec("tiny").decode([*random_codes("tiny", 3), row])


def streamed(shape, codes, cuts):
    stream = codec(shape).stream()
    edges = [0, *sorted(cuts), codes.shape[1]]
    parts = [stream.push(codes[:, a:b]) for a, b in itertools.pairwise(edges)]
    return np.concatenate([*parts, stream.finish()])


@pytest.mark.parametrize("shape", ["tiny", "wide context", "plain skips"])
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_a_stream_in_any_chunks_equals_the_whole(shape, data):
    length = data.draw(st.integers(0, 30))
    cuts = data.draw(st.lists(st.integers(0, length), max_size=8))
    seed = data.draw(st.integers(0, 99))
    (codes,) = random_codes(shape, length, n_codebooks=data.draw(st.integers(1, 8)), seed=seed)
    (whole,) = codec(shape).decode([codes])
    parts = streamed(shape, codes, cuts)
    assert parts.shape == whole.shape
    assert np.abs(parts - whole).max(initial=0) < 1e-5


@SHAPES
def test_a_stream_of_single_frames_equals_the_whole(shape):
    (codes,) = random_codes(shape, 14)
    (whole,) = codec(shape).decode([codes])
    assert np.abs(streamed(shape, codes, range(1, 14)) - whole).max() < 1e-5


def test_each_frame_is_heard_at_once_after_the_first_seven():
    stream = codec("24 kHz").stream()
    (codes,) = random_codes("24 kHz", 10)
    heard = [stream.push(codes[:, i : i + 1]).size for i in range(10)]
    assert heard == [0] * 6 + [7 * 320] + [320] * 3
    assert stream.finish().size == 0


def test_two_streams_of_one_codec_do_not_mix():
    (a, b) = random_codes("tiny", 20, 20)
    one, two = codec("tiny").stream(), codec("tiny").stream()
    heard = [(one.push(a[:, i : i + 5]), two.push(b[:, i : i + 5])) for i in range(0, 20, 5)]
    for parts, codes in zip(zip(*heard, strict=True), (a, b), strict=True):
        assert np.abs(np.concatenate(parts) - codec("tiny").decode([codes])[0]).max() < 1e-5


def test_a_stream_says_how_it_is_misused():
    (codes,) = random_codes("tiny", 9)
    stream = codec("tiny").stream()
    stream.push(codes)
    with pytest.raises(BarkError, match="2 codebooks, those before had 8"):
        stream.push(codes[:2])
    with pytest.raises(BarkError, match="the codes pushed"):
        stream.push(codes + 64)
    stream.finish()
    assert stream.finish().size == 0
    with pytest.raises(BarkError, match="push after finish"):
        stream.push(codes)


def test_a_very_long_row_is_decoded_piecewise_and_equal(monkeypatch):
    (codes,) = random_codes("tiny", 300)
    (whole,) = codec("tiny").decode([codes])
    monkeypatch.setattr(codec_module, "MAX_ROW_FRAMES", 100)
    monkeypatch.setattr(codec_module, "_STREAM_CHUNK_FRAMES", 64)
    (pieces,) = codec("tiny").decode([codes])
    assert pieces.shape == whole.shape
    assert np.abs(pieces - whole).max() < 1e-5


def speech_like(n_samples, seed=0):
    rng = np.random.default_rng(seed)
    return np.cumsum(rng.standard_normal(n_samples)).astype(np.float32) / 50


@cache
def spread_encoder(shape):
    """A codec whose codebooks have the encoder's own spread, so that many different codes are found."""
    model = make_oracle(CONFIGS[shape])
    with torch.inference_mode():
        embeddings = model.encoder(torch.from_numpy(speech_like(6_000))[None, None])
    generator = torch.Generator().manual_seed(1)
    centre, spread = embeddings[0].mean(-1), embeddings[0].std(-1)
    for index, layer in enumerate(model.quantizer.layers):
        noise = torch.randn(layer.codebook.embed.shape, generator=generator)
        layer.codebook.embed.copy_(noise * spread / (index + 1) + (centre if index == 0 else 0))
    return model, Codec.from_state(model.config.to_dict(), model.state_dict(), n_codebooks=8)


@pytest.mark.parametrize("shape", ["tiny", "24 kHz"])
@pytest.mark.parametrize("n_samples", [1, 7, 4_801])
def test_encode_equals_transformers(shape, n_samples):
    model, ours = spread_encoder(shape)
    audio = speech_like(n_samples, seed=2)
    codes = ours.encode(audio, ours.sample_rate)
    bandwidth = 8 * np.log2(model.config.codebook_size) * model.config.frame_rate / 1000
    with torch.inference_mode():
        expected = model.encode(torch.from_numpy(audio)[None, None], bandwidth=bandwidth).audio_codes[0, 0]
    assert codes.dtype == np.int64
    assert codes.shape == (8, -(-n_samples // ours.hop_length))
    assert np.array_equal(codes, expected.numpy())
    if n_samples == 4_801:
        assert len(np.unique(codes)) > 20, "the comparison is not of one code with itself"


def test_encode_resamples_to_the_codecs_rate():
    _, ours = spread_encoder("tiny")
    tone = np.sin(2 * np.pi * 220 * np.arange(44_100) / 44_100).astype(np.float32)
    assert ours.encode(tone, 44_100).shape == (8, 1_000)


@pytest.mark.parametrize(
    ("audio", "says"),
    [
        (np.zeros(0, np.float32), "not one sample"),
        (np.zeros((2, 100), np.float32), "mono"),
        (np.zeros(100, np.int16), "int16"),
        (np.array([0.0, np.nan], np.float32), "1 of 2 samples are NaN"),
        (np.zeros(8_192 * 24 + 1, np.float32), "cut out the part"),
    ],
)
def test_recordings_that_cannot_be_encoded_are_refused(audio, says):
    with pytest.raises(BarkError, match=says):
        codec("tiny").encode(audio, 24_000)


def test_older_weight_norm_names_load_the_same_codec():
    model = oracle("tiny")
    old = {
        name.replace("parametrizations.weight.original0", "weight_g").replace(
            "parametrizations.weight.original1", "weight_v"
        ): tensor
        for name, tensor in model.state_dict().items()
        if not name.endswith(("inited", "cluster_size", "embed_avg"))
    }
    assert any(name.endswith("weight_g") for name in old)
    loaded = Codec.from_state(TINY, old, n_codebooks=8)
    rows = random_codes("tiny", 9)
    assert np.array_equal(loaded.decode(rows)[0], codec("tiny").decode(rows)[0])
    assert loaded.encode(speech_like(99), 24_000).shape == (8, 5)


def test_half_precision_weights_compute_in_float32():
    state = {name: tensor.half() for name, tensor in oracle("tiny").state_dict().items()}
    loaded = Codec.from_state(TINY, state, n_codebooks=8)
    assert loaded.decode(random_codes("tiny", 9))[0].dtype == np.float32
    assert {p.dtype for p in loaded._model.parameters()} == {torch.float32}


def test_loading_draws_no_random_numbers_and_leaves_the_state_as_it_was():
    state = {name: tensor.clone() for name, tensor in oracle("tiny").state_dict().items()}
    before = torch.random.get_rng_state()
    Codec.from_state(TINY, state, n_codebooks=8).decode(random_codes("tiny", 9))
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(state[name], tensor) for name, tensor in oracle("tiny").state_dict().items())


def test_weights_that_do_not_fit_are_named():
    state = dict(oracle("tiny").state_dict())
    lacking = {name: t for name, t in state.items() if name != "decoder.layers.1.lstm.bias_hh_l0"}
    with pytest.raises(CheckpointError, match=r"missing decoder\.layers\.1\.lstm\.bias_hh_l0; unexpected none"):
        Codec.from_state(TINY, lacking, n_codebooks=8)
    with pytest.raises(CheckpointError, match=r"missing none; unexpected extra\.weight"):
        Codec.from_state(TINY, state | {"extra.weight": torch.zeros(1)}, n_codebooks=8)
    broken = state | {"quantizer.layers.0.codebook.embed": torch.zeros(16, 3)}
    with pytest.raises(CheckpointError, match=r"shape \(16, 3\)"):
        Codec.from_state(TINY, broken, n_codebooks=8)


@pytest.mark.parametrize(
    "config",
    [{"num_filters": "many"}, {"codebook_size": 1_000}, {"norm_type": "none"}, {"target_bandwidths": []}],
)
def test_a_configuration_that_makes_no_codec_is_refused(config):
    with pytest.raises(CheckpointError, match="configuration makes no EncodecModel"):
        Codec.from_state(TINY | config, oracle("tiny").state_dict(), n_codebooks=8)


def test_codecs_that_bark_cannot_use_are_refused():
    with pytest.raises(CheckpointError, match=r"holds 10 codebooks, .* speaks 11"):
        Codec(make_oracle(TINY), n_codebooks=11)
    with pytest.raises(CheckpointError, match="normalize True"):
        Codec(make_oracle(TINY | {"normalize": True}), n_codebooks=8)


def test_the_24_khz_codec_states_barks_numbers():
    bark = codec("24 kHz")
    assert (bark.sample_rate, bark.hop_length, bark.codebook_size, bark.n_codebooks) == (
        24_000,
        320,
        1_024,
        8,
    )
    assert bark.is_causal


def test_a_checkpoints_codec_speaks_its_tokens():
    checkpoint = random_tiny_checkpoint()
    loaded = Codec.from_checkpoint(checkpoint)
    assert loaded.n_codebooks == checkpoint.config.fine.n_fine_codebooks
    codes = np.full((8, 3), checkpoint.config.codebook_size - 1)
    assert loaded.decode([codes])[0].size == 3 * loaded.hop_length


def test_a_checkpoint_without_its_own_codec_is_refused():
    checkpoint = random_tiny_checkpoint()
    with pytest.raises(CheckpointError, match="has no codec"):
        Codec.from_checkpoint(dataclasses.replace(checkpoint, codec_config=None))
    assert checkpoint.codec_config is not None
    slow = dict(checkpoint.codec_config, sampling_rate=48_000, target_bandwidths=[12.0])
    with pytest.raises(CheckpointError, match=r"at 48000 Hz, its GPTs speak .* at 24000 Hz"):
        Codec.from_checkpoint(dataclasses.replace(checkpoint, codec_config=slow))
