"""Meta's own EncodecModel and ours are one network: same samples, same codes, from the same file."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
import types

import numpy as np
import pytest
import torch

from bark_infinity.codec.codec import Codec
from bark_infinity.codec.original import read_original_encodec, transformers_name
from bark_infinity.error_handling import CheckpointError


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Layers this small lose more to threads waiting for each other than they gain."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


needs_encodec = pytest.mark.skipif(
    importlib.util.find_spec("encodec") is None,
    reason="needs pip install --no-deps encodec",
)


def _rearrange(x, pattern):
    """The three patterns of einops that Meta's quantizer uses, where encodec is there and einops is not."""
    return x.reshape(-1, x.shape[-1]) if "(...)" in pattern else x.transpose(1, 2)


@pytest.fixture(scope="module")
def meta_model():
    """Meta's 24 kHz architecture with random weights; its torchaudio only reads and writes files."""
    with pytest.MonkeyPatch.context() as patch:  # for the import alone: transformers also looks for torchaudio
        if importlib.util.find_spec("torchaudio") is None:
            patch.setitem(sys.modules, "torchaudio", types.ModuleType("torchaudio"))
        if importlib.util.find_spec("einops") is None:
            einops = types.ModuleType("einops")
            einops.rearrange, einops.repeat = _rearrange, None
            patch.setitem(sys.modules, "einops", einops)
        package = importlib.import_module("encodec.model")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = package.EncodecModel.encodec_model_24khz(pretrained=False).eval().requires_grad_(False)
        found = model.encoder(torch.randn(1, 1, 4_800).cumsum(-1) / 50)[0]
        for index, layer in enumerate(model.quantizer.vq.layers):
            layer._codebook.embed.normal_().mul_(found.std(-1) / (index + 1))
        model.quantizer.vq.layers[0]._codebook.embed += found.mean(-1)
    model.set_target_bandwidth(6.0)
    return model


@pytest.fixture(scope="module")
def codec_file(meta_model, tmp_path_factory):
    path = tmp_path_factory.mktemp("codec") / "random.th"
    torch.save(meta_model.state_dict(), path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return path.rename(path.with_name(f"encodec_24khz-{digest[:8]}.th"))


@pytest.fixture(scope="module")
def codec(codec_file):
    return Codec.from_state(*read_original_encodec(codec_file), n_codebooks=8)


@needs_encodec
@pytest.mark.parametrize("n_frames", [1, 5, 60])
def test_decodes_as_metas_code_does(meta_model, codec, n_frames):
    codes = np.random.default_rng(1).integers(0, 1_024, (8, n_frames))
    with torch.inference_mode():
        theirs = meta_model.decode([(torch.from_numpy(codes)[None], None)])[0, 0].numpy()
    (ours,) = codec.decode([codes])
    assert ours.shape == theirs.shape
    assert np.abs(theirs).max() > 1e-3
    assert np.abs(ours - theirs).max() < 1e-6


@needs_encodec
@pytest.mark.parametrize("n_samples", [1, 4_800, 9_999])
def test_encodes_as_metas_code_does(meta_model, codec, n_samples):
    rng = np.random.default_rng(2)
    audio = np.cumsum(rng.standard_normal(n_samples)).astype(np.float32) / 50
    with torch.inference_mode():
        theirs = meta_model.encode(torch.from_numpy(audio)[None, None])[0][0][0].numpy()
    ours = codec.encode(audio, 24_000)
    assert np.array_equal(ours, theirs)
    if n_samples > 1:
        assert len(np.unique(ours)) > 20, "the comparison is not of one code with itself"


@needs_encodec
def test_a_file_that_does_not_match_the_hash_in_its_name_is_refused(codec_file, tmp_path):
    other = tmp_path / "encodec_24khz-d7cc33bc.th"
    other.write_bytes(codec_file.read_bytes())
    with pytest.raises(CheckpointError, match="its name says d7cc33bc"):
        read_original_encodec(other)


class Malicious:
    def __reduce__(self):
        return exec, ("import pathlib; pathlib.Path('pwned').touch()",)


def test_nothing_in_the_file_is_executed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"encoder.model.0.conv.conv.bias": Malicious()}, tmp_path / "bad.th")
    with pytest.raises(CheckpointError, match="plain tensors"):
        read_original_encodec(tmp_path / "bad.th")
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04nonsense", b"not a checkpoint at all"])
def test_a_damaged_file_is_refused(tmp_path, content):
    path = tmp_path / "codec.th"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="plain tensors"):
        read_original_encodec(path)


def test_a_missing_file_and_another_networks_file_are_refused(tmp_path):
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_original_encodec(tmp_path / "none.th")
    torch.save({"lm.weight": torch.zeros(2)}, tmp_path / "lm.th")
    with pytest.raises(CheckpointError, match=r"unexpected lm\.weight"):
        Codec.from_state(*read_original_encodec(tmp_path / "lm.th"), n_codebooks=8)
    torch.save([torch.zeros(2)], tmp_path / "list.th")
    with pytest.raises(CheckpointError, match="no state dict"):
        read_original_encodec(tmp_path / "list.th")


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("encoder.model.1.block.3.conv.conv.weight_g", "encoder.layers.1.block.3.conv.weight_g"),
        ("encoder.model.13.lstm.weight_ih_l1", "encoder.layers.13.lstm.weight_ih_l1"),
        ("decoder.model.3.convtr.convtr.bias", "decoder.layers.3.conv.bias"),
        ("decoder.model.4.shortcut.conv.conv.weight_v", "decoder.layers.4.shortcut.conv.weight_v"),
        ("quantizer.vq.layers.31._codebook.embed", "quantizer.layers.31.codebook.embed"),
    ],
)
def test_names_are_translated(theirs, ours):
    assert transformers_name(theirs) == ours
