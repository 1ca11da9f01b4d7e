"""Suno's ``.pt`` files: every dialect gives the tensors of its transformers twin, and no pickle ever runs."""

from __future__ import annotations

import hashlib
import io
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from bark_builders import (
    STAGES,
    SUNO_TINY,
    TINY,
    build_model,
    generation_config,
    golden_model,
    write_hf_directory,
    write_legacy_directory,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bark_infinity.checkpoints.checkpoint import Checkpoint, load_checkpoint
from bark_infinity.checkpoints.legacy import (
    KNOWN_MD5,
    legacy_config,
    read_legacy_shape,
    read_legacy_tensors,
    read_pickle,
)
from bark_infinity.error_handling import CheckpointError

if TYPE_CHECKING:
    from transformers import BarkModel


@pytest.fixture(scope="module")
def model() -> BarkModel:
    return build_model(SUNO_TINY)


@pytest.fixture(scope="module")
def twin(model: BarkModel, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return load_checkpoint(write_hf_directory(model, tmp_path_factory.mktemp("twin"), generation_config(SUNO_TINY)))


@pytest.fixture(scope="module")
def legacy(model: BarkModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_legacy_directory(model, tmp_path_factory.mktemp("legacy"))


@pytest.fixture(scope="module")
def small_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole ``.pt`` file of a few hundred kilobytes, to damage."""
    return write_legacy_directory(build_model(TINY), tmp_path_factory.mktemp("small")) / "fine.pt"


@pytest.mark.parametrize(
    "dialect",
    [
        {},
        {"compiled": True},
        {"one_vocabulary": True},
        {"masks": False},
        {"large": STAGES},
        {"large": ("coarse",), "compiled": True, "one_vocabulary": True},
        {"best_val_loss": np.float32(1.5)},
        {"best_val_loss": 2.0},
        {"best_val_loss": torch.tensor(2.0)},
        {"best_val_loss": np.int64(3)},
    ],
    ids=["plain", "compiled", "vocab_size", "no masks", "large", "mixture", "float32", "float", "tensor", "int64"],
)
def test_every_dialect_gives_the_tensors_and_numbers_of_its_twin(
    model: BarkModel, twin: Checkpoint, tmp_path: Path, dialect: dict[str, Any]
) -> None:
    checkpoint = load_checkpoint(write_legacy_directory(model, tmp_path, **dialect), offline=True)
    for stage in (*STAGES, "codec"):
        ours, theirs = checkpoint.load_stage(stage), twin.load_stage(stage)  # type: ignore[arg-type]
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert checkpoint.config == twin.config


def test_biases_are_renamed_and_masks_are_not_mistaken_for_them(tmp_path: Path) -> None:
    from dataclasses import replace

    model = build_model(replace(SUNO_TINY, bias=True, num_layers=1))
    checkpoint = load_checkpoint(write_legacy_directory(model, tmp_path))
    state = checkpoint.load_stage("semantic")
    assert torch.equal(state["layers.0.attn.att_proj.bias"], model.semantic.layers[0].attn.att_proj.bias)
    assert "layers.0.attn.bias" not in state


def test_golden_weights_survive_both_formats(tmp_path: Path) -> None:
    model = golden_model()
    old = load_checkpoint(write_legacy_directory(model, tmp_path / "old"))
    new = load_checkpoint(write_hf_directory(model, tmp_path / "new", None))
    assert old.config == new.config
    for stage in STAGES:
        ours, theirs = old.load_stage(stage), new.load_stage(stage)
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_numpy_1_scalars_are_read_as_numpy_2_writes_them(tmp_path: Path, small_file: Path) -> None:
    old = rewritten(small_file, tmp_path / "fine.pt", lambda p: p.replace(b"numpy._core.multi", b"numpy.core.multi"))
    assert old.read_bytes() != small_file.read_bytes()
    assert read_pickle(old)["best_val_loss"] == read_pickle(small_file)["best_val_loss"] == 2.5


def test_numpy_object_scalars_build_nothing(tmp_path: Path) -> None:
    class Scalar:
        def __reduce__(self) -> tuple[Any, ...]:
            return np._core.multiarray.scalar, (np.dtype("O"), b"x")  # type: ignore[attr-defined]

    torch.save({"best_val_loss": Scalar()}, tmp_path / "x.pt")
    assert read_pickle(tmp_path / "x.pt") == {"best_val_loss": None}


def test_with_both_sizes_the_large_one_is_taken_unless_the_small_is_preferred(model: BarkModel, tmp_path: Path) -> None:
    write_legacy_directory(model, tmp_path)
    write_legacy_directory(model, tmp_path, large=("coarse",), stages=("coarse",))
    large, small = load_checkpoint(tmp_path), load_checkpoint(tmp_path, prefer_small=True)
    assert "coarse_2.pt" in [file.name for file in large.files]
    assert "coarse.pt" in [file.name for file in small.files]
    assert any("both sizes" in notice for notice in large.notices)


def test_a_wish_for_small_models_that_cannot_be_met_is_told(model: BarkModel, twin: Checkpoint, tmp_path: Path) -> None:
    write_legacy_directory(model, tmp_path, large=("coarse",))
    told = load_checkpoint(tmp_path, prefer_small=True).notices
    assert any("holds only the large coarse_2.pt" in notice for notice in told)
    assert not any("only the large" in notice for notice in load_checkpoint(tmp_path).notices)
    assert any("one size only" in notice for notice in load_checkpoint(twin.source, prefer_small=True).notices)


def test_a_legacy_directory_without_codec_yields_tokens_only_and_says_so(
    legacy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bark_infinity.checkpoints.sources._cached_first", lambda repo, names: None)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    bare = tmp_path / "bare"
    shutil.copytree(legacy, bare, ignore=shutil.ignore_patterns("encodec"))
    checkpoint = load_checkpoint(bare)
    assert checkpoint.codec_config is None
    assert not checkpoint.has_codec
    assert any("hf download facebook/encodec_24khz" in notice for notice in checkpoint.notices)
    with pytest.raises(CheckpointError, match="no codec"):
        checkpoint.load_stage("codec")
    original = tmp_path / "torch" / "hub" / "checkpoints" / "encodec_24khz-d7cc33bc.th"
    original.parent.mkdir(parents=True)
    original.write_bytes(b"")
    with pytest.raises(CheckpointError, match="expected d7cc33bc"):
        load_checkpoint(bare)
    empty = original.rename(original.with_name(f"encodec_24khz-{hashlib.sha256(b'').hexdigest()[:8]}.th"))
    monkeypatch.setattr("bark_infinity.checkpoints.sources._ENCODEC_FILE", empty.name)
    assert load_checkpoint(bare).original_codec_file == empty


def test_files_that_differ_from_sunos_published_hashes_reach_the_user_as_notices(
    legacy: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = [notice for notice in load_checkpoint(legacy).notices if "MD5" in notice]
    assert [notice.split()[0] for notice in told] == ["text.pt", "coarse.pt", "fine.pt"]
    assert all(notice in caplog.messages for notice in told)
    for name in ("text.pt", "coarse.pt", "fine.pt"):
        monkeypatch.setitem(KNOWN_MD5, name, hashlib.md5((legacy / name).read_bytes()).hexdigest())
    assert not any("MD5" in notice for notice in load_checkpoint(legacy).notices)


class _Call:
    """Pickles as a call of ``function``."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


def attacks(sentinel: Path) -> dict[str, Any]:
    import os
    import subprocess

    code = f"open({str(sentinel)!r}, 'w')"
    shell = _Call(os.system, f"touch {sentinel}")
    return {
        "os.system": shell,
        "nested": {"model_args": {"deep": [({"deeper": shell},)]}},
        "as a key": {(1, shell): 1},
        "eval": _Call(eval, code),
        "exec": _Call(exec, code),
        "subprocess": _Call(subprocess.Popen, ["touch", str(sentinel)]),
        "open": _Call(open, str(sentinel), "w"),
        "torch.load": _Call(torch.load, str(sentinel)),
        "numpy loader": _Call(np.load, str(sentinel)),
    }


@pytest.mark.parametrize("name", sorted(attacks(Path("x"))))
@pytest.mark.parametrize("container", ["zip", "old torch", "bare pickle"])
def test_a_malicious_pickle_is_refused_by_name_and_nothing_runs(
    legacy: Path, tmp_path: Path, name: str, container: str
) -> None:
    sentinel = tmp_path / "it-ran"
    directory = tmp_path / "legacy"
    directory.mkdir()
    for file in ("coarse.pt", "fine.pt"):
        (directory / file).symlink_to(legacy / file)
    target = directory / "text.pt"
    content = {"model_args": {}, "model": {}, "best_val_loss": attacks(sentinel)[name]}
    if container == "bare pickle":
        target.write_bytes(pickle.dumps(content, protocol=2))
    else:
        torch.save(content, target, _use_new_zipfile_serialization=container == "zip")
    with pytest.raises(CheckpointError, match=r"text\.pt was refused: its pickle asks for"):
        load_checkpoint(directory)
    assert not sentinel.exists()


def test_the_refused_global_is_named(tmp_path: Path) -> None:
    for pickled, name in (
        (b"\x80\x02c__builtin__\neval\nX\x01\x00\x00\x001\x85R.", "eval"),
        (b"\x80\x02cposix\nsystem\nX\x04\x00\x00\x00true\x85R.", "posix.system"),
        (b"\x80\x02cbuiltins\ngetattr\n(cbuiltins\neval\nX\x08\x00\x00\x00__call__tR.", "getattr"),
        (b"\x80\x02cnumpy\nload\nX\x01\x00\x00\x00x\x85R.", "numpy.load"),
    ):
        write_zip(tmp_path / "x.pt", pickled)
        with pytest.raises(CheckpointError, match=f"{name}'"):
            read_pickle(tmp_path / "x.pt")


def test_a_malicious_pytorch_model_bin_is_refused(tmp_path: Path) -> None:
    sentinel = tmp_path / "it-ran"
    write_hf_directory(build_model(TINY), tmp_path, generation_config(TINY), layout="bin")
    state = torch.load(tmp_path / "pytorch_model.bin", weights_only=True)
    for attack in attacks(sentinel).values():
        torch.save({**state, "semantic.lm_head.weight": attack}, tmp_path / "pytorch_model.bin")
        with pytest.raises(CheckpointError, match=r"pytorch_model\.bin was refused"):
            load_checkpoint(tmp_path).load_stage("semantic")
    assert not sentinel.exists()


def test_the_allow_list_is_closed_again_after_reading(small_file: Path) -> None:
    before = set(torch.serialization.get_safe_globals())
    read_pickle(small_file)
    assert set(torch.serialization.get_safe_globals()) == before


def test_tensors_that_claim_more_than_they_hold_are_refused(tmp_path: Path, model: BarkModel) -> None:
    write_legacy_directory(model, tmp_path)
    content = torch.load(tmp_path / "coarse.pt", weights_only=False)
    table = content["model"]["transformer.wte.weight"]
    for hollow in (
        torch.zeros(1).expand(table.shape),
        torch.zeros(table.shape, device="meta"),
        torch.zeros(table.shape).to_sparse(),
        "not a tensor",
        [1.0, 2.0],
        None,
    ):
        content["model"]["transformer.wte.weight"] = hollow
        torch.save(content, tmp_path / "coarse.pt")
        with pytest.raises(CheckpointError, match=r"input_embeds_layer\.weight"):
            load_checkpoint(tmp_path).load_stage("coarse")


@pytest.mark.parametrize(
    "content",
    [
        [],
        {},
        {"model": {}},
        {"model_args": {}, "model": {}},
        {"model_args": 3, "model": {}},
        torch.zeros(3),
        "text",
        None,
    ],
)
def test_pickles_of_something_else_are_checkpoint_errors(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "text.pt")
    with pytest.raises(CheckpointError, match=r"text\.pt"):
        read_legacy_shape(tmp_path / "text.pt", "semantic")


@pytest.mark.parametrize("value", [0, -1, 2.5, "12", None, True, 2**40])
@pytest.mark.parametrize("name", ["n_layer", "n_head", "n_embd", "block_size", "output_vocab_size"])
def test_senseless_model_args_are_checkpoint_errors(legacy: Path, tmp_path: Path, name: str, value: Any) -> None:
    arguments = dict(torch.load(legacy / "fine.pt", weights_only=False)["model_args"]) | {name: value}
    torch.save({"model_args": arguments, "model": {}}, tmp_path / "fine.pt")
    files = {"semantic": legacy / "text.pt", "coarse": legacy / "coarse.pt", "fine": tmp_path / "fine.pt"}
    with pytest.raises(CheckpointError):
        legacy_config(files)


def test_the_same_tensor_under_two_prefixes_is_refused(tmp_path: Path) -> None:
    state = {"lm_head.weight": torch.zeros(1), "_orig_mod.lm_head.weight": torch.zeros(1)}
    torch.save({"model_args": {}, "model": state}, tmp_path / "text.pt")
    with pytest.raises(CheckpointError, match="twice"):
        read_legacy_tensors(tmp_path / "text.pt")


def test_serp_lora_files_are_named_as_such(legacy: Path, tmp_path: Path) -> None:
    shutil.copytree(legacy, tmp_path / "lora")
    content = torch.load(tmp_path / "lora" / "fine.pt", weights_only=False)
    content["model"]["lm_heads.0.0.weight"] = content["model"].pop("lm_heads.0.weight")
    torch.save(content, tmp_path / "lora" / "fine.pt")
    with pytest.raises(CheckpointError, match="LoRA"):
        load_checkpoint(tmp_path / "lora").load_stage("fine")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files_give_checkpoint_errors_or_tensors(tmp_path: Path, small_file: Path, data: Any) -> None:
    content = bytearray(small_file.read_bytes())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        # The pickle is the beginning of the archive; its directory is the end.
        places = st.one_of(st.integers(0, 8_000), st.integers(len(content) - 3_000, len(content) - 1))
        for place in data.draw(st.lists(places, min_size=1, max_size=6)):
            content[place] = data.draw(st.integers(0, 255))
    path = tmp_path / "fine.pt"
    path.write_bytes(content)
    try:
        read_legacy_shape(path, "fine")
        tensors = read_legacy_tensors(path)
    except CheckpointError:
        return
    assert tensors


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300))
def test_garbage_is_a_checkpoint_error(tmp_path: Path, garbage: bytes) -> None:
    for prefix in (b"", b"PK\x03\x04", b"\x80\x02"):
        path = tmp_path / "text.pt"
        path.write_bytes(prefix + garbage)
        with pytest.raises(CheckpointError, match=r"text\.pt"):
            read_legacy_tensors(path)


def rewritten(source: Path, target: Path, change: Callable[[bytes], bytes]) -> Path:
    """Copies a torch zip with its pickle changed."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as new:
        for entry in old.infolist():
            content = old.read(entry)
            new.writestr(entry.filename, change(content) if entry.filename.endswith("data.pkl") else content)
    return target


def write_zip(path: Path, pickled: bytes) -> None:
    """Writes a torch zip around a hand-made pickle."""
    buffer = io.BytesIO()
    torch.save({}, buffer)
    with zipfile.ZipFile(buffer) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as new:
        for entry in old.infolist():
            new.writestr(entry.filename, pickled if entry.filename.endswith("data.pkl") else old.read(entry))
