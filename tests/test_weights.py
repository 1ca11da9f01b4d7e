"""Checkpoints in transformers' layout: every file layout gives the model's own tensors, every defect one error."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from bark_builders import (
    HF_KEY,
    OTHER_TINY,
    STAGES,
    TINY,
    BarkShape,
    bark_config,
    build_model,
    generation_config,
    write_hf_directory,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bark_infinity.checkpoints import digests
from bark_infinity.checkpoints.checkpoint import Checkpoint, CheckpointFile, load_checkpoint
from bark_infinity.checkpoints.sources import MICRO_DIRECTORY
from bark_infinity.checkpoints.state_shapes import expected_shapes
from bark_infinity.checkpoints.transformers_format import transformers_config
from bark_infinity.error_handling import CheckpointError

if TYPE_CHECKING:
    from transformers import BarkModel


@pytest.fixture(scope="module")
def model() -> BarkModel:
    return build_model(TINY)


@pytest.fixture(scope="module")
def saved(model: BarkModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_hf_directory(model, tmp_path_factory.mktemp("saved"), generation_config(TINY))


@pytest.fixture
def copy(saved: Path, tmp_path: Path) -> Path:
    """A copy of the saved directory that a test may damage."""
    return Path(shutil.copytree(saved, tmp_path / "copy"))


def stage_tensors(model: BarkModel, stage: str) -> dict[str, torch.Tensor]:
    state = getattr(model, HF_KEY[stage]).state_dict()
    return {name: tensor for name, tensor in state.items() if not name.endswith(".attn.bias")}


def load_everything(source: Path) -> Checkpoint:
    checkpoint = load_checkpoint(source, offline=True)
    for stage in ("semantic", "coarse", "fine", "codec"):
        checkpoint.load_stage(stage)
    return checkpoint


def edit_json(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    content = json.loads(path.read_text("utf-8"))
    change(content)
    path.write_text(json.dumps(content), "utf-8")


@pytest.mark.parametrize("layout", ["safetensors", "sharded", "bin"])
@pytest.mark.parametrize("masks", [False, True])
@pytest.mark.parametrize("shape", [TINY, OTHER_TINY], ids=["tiny", "other"])
def test_every_layout_gives_the_models_own_tensors(tmp_path: Path, layout: Any, masks: bool, shape: BarkShape) -> None:
    model = build_model(shape, seed=3)
    write_hf_directory(model, tmp_path, generation_config(shape), layout=layout, masks=masks)
    checkpoint = load_checkpoint(tmp_path, offline=True)
    for stage in STAGES:
        loaded, expected = checkpoint.load_stage(stage), stage_tensors(model, stage)
        assert loaded.keys() == expected.keys()
        assert all(torch.equal(loaded[name], expected[name]) for name in expected)
    codec = checkpoint.load_stage("codec")
    assert all(torch.equal(codec[name], tensor) for name, tensor in model.codec_model.state_dict().items())
    assert checkpoint.codec_config is not None
    assert checkpoint.codec_config["upsampling_ratios"] == [8, 5, 4, 2]


def test_what_transformers_itself_saves_loads(model: BarkModel, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    (tmp_path / "generation_config.json").write_text(json.dumps(generation_config(TINY)), "utf-8")
    checkpoint = load_checkpoint(tmp_path)
    for stage in STAGES:
        loaded, expected = checkpoint.load_stage(stage), stage_tensors(model, stage)
        assert loaded.keys() == expected.keys()
        assert all(torch.equal(loaded[name], expected[name]) for name in expected)


def hub_cache(monkeypatch: pytest.MonkeyPatch, home: Path, repo: str) -> Path:
    """An empty Hugging Face cache entry; returns the folder of its one snapshot."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(home))
    entry = home / f"models--{repo.replace('/', '--')}"
    snapshot = entry / "snapshots" / "abc123"
    snapshot.mkdir(parents=True)
    (entry / "refs").mkdir()
    (entry / "refs" / "main").write_text("abc123", "utf-8")
    return snapshot


def test_a_cached_hub_id_loads_offline(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = hub_cache(monkeypatch, tmp_path, "suno/bark-small")
    for file in saved.iterdir():
        (snapshot / file.name).symlink_to(file)
    checkpoint = load_checkpoint("suno/bark-small", offline=True)
    assert checkpoint.family == "suno/bark-small"
    assert torch.equal(
        checkpoint.load_stage("coarse")["lm_head.weight"], load_checkpoint(saved).load_stage("coarse")["lm_head.weight"]
    )
    (snapshot / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"the weights missing.*hf download suno/bark-small"):
        load_checkpoint("suno/bark-small", offline=True)


@pytest.mark.parametrize("layout", ["bin", "sharded"])
def test_an_uncached_hub_id_downloads_what_loading_needs_and_no_more(
    model: BarkModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: Any
) -> None:
    published = write_hf_directory(model, tmp_path / "hub", generation_config(TINY), layout=layout)
    (published / "text_2.pt").write_bytes(b"gigabytes")
    snapshot = hub_cache(monkeypatch, tmp_path / "cache", "someone/bark")
    fetched = []

    def fetch(repo: str, name: str) -> str:
        if not (published / name).exists():
            raise FileNotFoundError(name)
        fetched.append(name)
        return str(shutil.copy(published / name, snapshot / name))

    monkeypatch.setattr("huggingface_hub.list_repo_files", lambda repo: [p.name for p in published.iterdir()])
    monkeypatch.setattr("huggingface_hub.hf_hub_download", fetch)
    load_checkpoint("someone/bark", offline=False).load_stage("fine")
    assert sorted(fetched) == sorted(p.name for p in published.iterdir() if p.name != "text_2.pt")


def test_a_failed_download_is_one_message_with_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(repo: str) -> list[str]:
        raise ConnectionError("no route")

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.list_repo_files", refuse)
    with pytest.raises(CheckpointError, match=r"no route.*hf download someone/bark$"):
        load_checkpoint("someone/bark", offline=False)


def test_numbers_are_those_of_the_files(saved: Path) -> None:
    config = load_checkpoint(saved).config
    generation = generation_config(TINY)
    assert config.semantic.text_pad_token == generation["semantic_config"]["text_pad_token"]
    assert config.coarse.sliding_window_len == TINY.sliding_window_len
    assert config.fine.max_fine_history_length == TINY.max_fine_history_length
    assert config.codebook_size == TINY.codebook_size
    assert config.semantic_gpt.block_size == TINY.semantic_block_size
    assert config.fine_gpt.n_codes_total == 8


def test_half_precision_stays_as_stored(model: BarkModel, tmp_path: Path) -> None:
    write_hf_directory(model, tmp_path, generation_config(TINY), dtype=torch.float16)
    state = load_checkpoint(tmp_path).load_stage("coarse")
    assert {tensor.dtype for tensor in state.values()} == {torch.float16}


def test_tied_heads_share_memory_whether_or_not_they_are_stored(model: BarkModel, tmp_path: Path) -> None:
    for masks in (False, True):
        write_hf_directory(model, tmp_path / str(masks), generation_config(TINY), masks=masks)
        fine = load_checkpoint(tmp_path / str(masks)).load_stage("fine")
        for index in range(7):
            table = fine[f"input_embeds_layers.{index + 1}.weight"]
            assert fine[f"lm_heads.{index}.weight"].data_ptr() == table.data_ptr()


def test_a_head_that_differs_from_its_table_is_kept_as_stored(model: BarkModel, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    write_hf_directory(model, tmp_path, generation_config(TINY), masks=True)
    state = load_file(tmp_path / "model.safetensors")
    state["fine_acoustics.lm_heads.2.weight"] += 1
    save_file(state, tmp_path / "model.safetensors")
    fine = load_checkpoint(tmp_path).load_stage("fine")
    assert torch.equal(fine["lm_heads.2.weight"], fine["input_embeds_layers.3.weight"] + 1)


def test_one_stage_is_read_without_the_shards_of_the_others(model: BarkModel, tmp_path: Path) -> None:
    write_hf_directory(model, tmp_path, generation_config(TINY), layout="sharded")
    index = tmp_path / "model.safetensors.index.json"
    names = json.loads(index.read_text("utf-8"))["weight_map"]
    from safetensors.torch import load_file, save_file

    state = {name: tensor for shard in set(names.values()) for name, tensor in load_file(tmp_path / shard).items()}
    weight_map: dict[str, str] = {}
    for stage in ("semantic", "coarse_acoustics", "fine_acoustics", "codec_model"):
        part = {name: tensor for name, tensor in state.items() if name.startswith(f"{stage}.")}
        save_file(part, tmp_path / f"{stage}.safetensors")
        weight_map |= dict.fromkeys(part, f"{stage}.safetensors")
    index.write_text(json.dumps({"weight_map": weight_map}), "utf-8")
    (tmp_path / "fine_acoustics.safetensors").write_bytes(b"damaged")
    checkpoint = load_checkpoint(tmp_path)
    checkpoint.load_stage("semantic")
    with pytest.raises(CheckpointError, match=r"fine_acoustics\.safetensors"):
        checkpoint.load_stage("fine")


def test_expected_shapes_are_those_of_transformers() -> None:
    for shape in (TINY, OTHER_TINY):
        model = build_model(shape)
        config = load_config(shape)
        for stage, gpt in zip(STAGES, (config.semantic_gpt, config.coarse_gpt, config.fine_gpt), strict=True):
            actual = {name: tuple(tensor.shape) for name, tensor in stage_tensors(model, stage).items()}
            assert expected_shapes(gpt) == actual


def load_config(shape: BarkShape) -> Any:
    from bark_infinity.bark_config import BarkConfig

    return BarkConfig.from_transformers(bark_config(shape), generation_config(shape))


def test_fields_that_config_json_leaves_out_take_transformers_defaults(tmp_path: Path) -> None:
    from transformers import BarkConfig

    sparse: dict[str, Any] = {
        "semantic_config": {"input_vocab_size": 129_600, "bias": False},
        "coarse_acoustics_config": {"input_vocab_size": 12_096, "output_vocab_size": 12_096},
        "fine_acoustics_config": {"input_vocab_size": 1_056, "output_vocab_size": 1_056, "num_layers": 2},
    }
    ours, theirs = transformers_config(sparse, tmp_path), BarkConfig(**sparse)
    for mine, stage in ((ours.semantic_gpt, "semantic"), (ours.coarse_gpt, "coarse"), (ours.fine_gpt, "fine")):
        oracle = getattr(theirs, f"{HF_KEY[stage]}_config")
        for name in ("num_layers", "num_heads", "hidden_size", "block_size", "output_vocab_size", "bias"):
            assert getattr(mine, name) == getattr(oracle, name), (stage, name)
    assert ours.fine_gpt.n_codes_total == theirs.fine_acoustics_config.n_codes_total
    assert ours.semantic.text_pad_token == 129_595  # no generation_config.json: Suno's vocabularies imply Suno's


def test_without_generation_config_other_vocabularies_are_refused(copy: Path) -> None:
    (copy / "generation_config.json").unlink()
    with pytest.raises(CheckpointError, match=r"no generation_config\.json"):
        load_checkpoint(copy)


@pytest.mark.parametrize(
    ("stage", "change"),
    [
        ("semantic", lambda s: s.pop("semantic.layers.1.mlp.in_proj.weight")),
        ("coarse", lambda s: s.update({"coarse_acoustics.lm_head.weight": torch.zeros(3, 4)})),
        ("fine", lambda s: s.update({"fine_acoustics.surprise": torch.zeros(1)})),
        ("fine", lambda s: s.pop("fine_acoustics.input_embeds_layers.0.weight")),
        ("semantic", lambda s: s.update({"semantic.layernorm_final.weight": torch.zeros(32, dtype=torch.int32)})),
    ],
    ids=["missing", "shape", "unexpected", "missing table", "integers"],
)
def test_a_wrong_tensor_is_named(copy: Path, stage: Any, change: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    from safetensors.torch import load_file, save_file

    state = load_file(copy / "model.safetensors")
    before = dict(state)
    change(state)
    changed = [n for n in before.keys() | state.keys() if n not in state or state.get(n) is not before.get(n)]
    save_file(state, copy / "model.safetensors")
    with pytest.raises(CheckpointError, match=changed[0].split(".", 1)[1]):
        load_checkpoint(copy).load_stage(stage)


def test_a_wrong_shape_says_what_came_and_what_was_expected(copy: Path) -> None:
    edit_json(copy / "config.json", lambda c: c["coarse_acoustics_config"].update(hidden_size=64))
    with pytest.raises(CheckpointError, match=r"\(126, 32\), expected \(126, 64\)"):
        load_checkpoint(copy).load_stage("coarse")


@pytest.mark.parametrize("key", ["semantic.layers.0.attn.att_proj.lora_A.weight", "semantic.lm_head.0.weight"])
def test_lora_fine_tunes_are_named_as_such(copy: Path, key: str) -> None:
    from safetensors.torch import load_file, save_file

    state = load_file(copy / "model.safetensors")
    if key == "semantic.lm_head.0.weight":
        state[key] = state.pop("semantic.lm_head.weight")
    else:
        state[key] = torch.zeros(2, 32)
    save_file(state, copy / "model.safetensors")
    with pytest.raises(CheckpointError, match="LoRA"):
        load_checkpoint(copy).load_stage("semantic")


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "..", "", "sub/model.safetensors", "a\\b", "C:x", 7, None])
def test_an_index_cannot_lead_out_of_its_directory(model: BarkModel, tmp_path: Path, name: Any) -> None:
    home = tmp_path / "home"
    write_hf_directory(model, home, generation_config(TINY), layout="sharded")
    index = home / "model.safetensors.index.json"
    edit_json(index, lambda c: c["weight_map"].update({"semantic.lm_head.weight": name}))
    shutil.copy(home / "model-00001-of-00002.safetensors", tmp_path / "x")
    with pytest.raises(CheckpointError, match="plain file name"):
        load_checkpoint(home)


@pytest.mark.parametrize(
    "content", [{}, {"weight_map": {}}, {"weight_map": [1]}, {"weight_map": {"a": "gone.safetensors"}}]
)
def test_a_useless_index_is_a_checkpoint_error(model: BarkModel, tmp_path: Path, content: Any) -> None:
    write_hf_directory(model, tmp_path, generation_config(TINY), layout="sharded")
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(content), "utf-8")
    with pytest.raises(CheckpointError):
        load_checkpoint(tmp_path)


def test_a_shard_that_lacks_what_the_index_says_is_named(model: BarkModel, tmp_path: Path) -> None:
    write_hf_directory(model, tmp_path, generation_config(TINY), layout="sharded")
    edit_json(
        tmp_path / "model.safetensors.index.json",
        lambda c: c["weight_map"].update({"semantic.ghost": "model-00001-of-00002.safetensors"}),
    )
    with pytest.raises(CheckpointError, match=r"semantic\.ghost"):
        load_checkpoint(tmp_path).load_stage("semantic")


def test_links_are_followed_to_files_and_to_nothing_else(copy: Path, saved: Path) -> None:
    weights = copy / "model.safetensors"
    weights.unlink()
    weights.symlink_to(saved / "model.safetensors")  # as in the Hugging Face cache
    load_everything(copy)
    for target in ("model.safetensors", "/nowhere/at/all", "/dev/zero", str(copy)):
        weights.unlink()
        weights.symlink_to(target)
        with pytest.raises(CheckpointError, match=r"model\.safetensors"):
            load_everything(copy)
    weights.unlink()
    os.mkfifo(weights)
    with pytest.raises(CheckpointError, match="not a regular file"):
        load_everything(copy)


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.pop("semantic_config"),
        lambda c: c.update(semantic_config=3),
        lambda c: c.update(codec_config=[1]),
        lambda c: c["semantic_config"].update(num_heads=0),
        lambda c: c["semantic_config"].update(num_layers=10**9),
        lambda c: c["semantic_config"].update(hidden_size="32"),
        lambda c: c["fine_acoustics_config"].update(n_codes_total=10**12),
        lambda c: c["fine_acoustics_config"].update(n_codes_given=0),
        lambda c: c["coarse_acoustics_config"].update(block_size=-4),
    ],
)
def test_senseless_shapes_are_checkpoint_errors(copy: Path, change: Callable[[dict[str, Any]], None]) -> None:
    edit_json(copy / "config.json", change)
    with pytest.raises(CheckpointError):
        load_everything(copy)


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.update(semantic_config=[1]),
        lambda c: c.update(codebook_size=[3]),
        lambda c: c.update(codebook_size=-32),
        lambda c: c.update(sample_rate=0),
        lambda c: c["semantic_config"].update(semantic_rate_hz=0),
        lambda c: c["semantic_config"].update(temperature="hot"),
        lambda c: c["semantic_config"].update(text_encoding_offset=-1),
        lambda c: c["semantic_config"].update(max_input_semantic_length=10**400),
        lambda c: c["coarse_acoustics_config"].update(sliding_window_len=0),
        lambda c: c["coarse_acoustics_config"].update(n_coarse_codebooks=0),
        lambda c: c["fine_acoustics_config"].update(max_fine_input_length=10**9),
    ],
)
def test_senseless_numbers_are_checkpoint_errors(copy: Path, change: Callable[[dict[str, Any]], None]) -> None:
    edit_json(copy / "generation_config.json", change)
    with pytest.raises(CheckpointError):
        load_everything(copy)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "generation_config.json"])
def test_damaged_files_give_checkpoint_errors_or_a_whole_checkpoint(
    copy: Path, saved: Path, name: str, data: Any
) -> None:
    content = bytearray((saved / name).read_bytes())
    head = min(len(content), 4_096) - 1
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        for place in data.draw(st.lists(st.integers(0, head), min_size=1, max_size=8)):
            content[place] = data.draw(st.integers(0, 255))
    (copy / name).write_bytes(content)
    try:
        checkpoint = load_everything(copy)
    except CheckpointError:
        return
    assert checkpoint.config.semantic_gpt.hidden_size == TINY.hidden_size


def test_hashes_are_recorded_and_a_known_one_is_verified(copy: Path) -> None:
    digest = hashlib.sha256((copy / "model.safetensors").read_bytes()).hexdigest()
    (copy / "SHA256SUMS").write_text(f"{digest}  model.safetensors\n", "utf-8")
    checkpoint = load_checkpoint(copy)
    assert {file.name: file.sha256 for file in checkpoint.files}["model.safetensors"] == digest
    assert checkpoint.verify() == ()
    with (copy / "model.safetensors").open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\x77")
    with pytest.raises(CheckpointError, match="SHA-256"):
        load_checkpoint(copy)
    with pytest.raises(CheckpointError, match="SHA-256"):
        checkpoint.verify()


def test_a_file_of_any_size_is_verified_at_load(copy: Path) -> None:
    weights = copy / "model.safetensors"
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    (copy / "SHA256SUMS").write_text(f"{digest}  model.safetensors\n", "utf-8")
    load_checkpoint(copy)
    os.truncate(weights, 65 * 2**20)
    with pytest.raises(CheckpointError, match=f"expected {digest}"):
        load_checkpoint(copy)


@pytest.fixture
def settled(copy: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that counts as large and has not changed for a minute."""
    monkeypatch.setattr(digests, "REMEMBERED_FROM_BYTES", 1)
    path = copy / "model.safetensors"
    minute_ago = time.time() - 60
    os.utime(path, (minute_ago, minute_ago))
    return path


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Collects the files that are really read."""
    read: list[Path] = []
    really = digests._hash
    monkeypatch.setattr(digests, "_hash", lambda path, algorithm: read.append(path) or really(path, algorithm))
    return read


def test_a_large_file_is_hashed_once_and_again_when_it_changes(
    settled: Path, hashed: list[Path], tmp_path: Path
) -> None:
    store = tmp_path / "cache" / "digests.json"
    digest = hashlib.sha256(settled.read_bytes()).hexdigest()
    for _ in range(2):
        assert digests.DigestStore(store).digest(settled, "sha256") == digest  # a new process each time
    assert len(hashed) == 1
    assert digests.DigestStore(store).digest(settled, "md5") == hashlib.md5(settled.read_bytes()).hexdigest()
    status = settled.stat()
    content = bytearray(settled.read_bytes())
    content[-1] ^= 1
    settled.write_bytes(content)
    os.utime(settled, ns=(status.st_atime_ns, status.st_mtime_ns + 1))  # same size and inode, another time
    changed = hashlib.sha256(content).hexdigest()
    assert digests.DigestStore(store).digest(settled, "sha256") == changed
    other = settled.with_name("other")  # same size and time, another inode
    other.write_bytes(bytes(len(content)))
    os.utime(other, ns=(settled.stat().st_atime_ns, settled.stat().st_mtime_ns))
    os.replace(other, settled)
    assert digests.DigestStore(store).digest(settled, "sha256") == hashlib.sha256(bytes(len(content))).hexdigest()


def test_a_file_that_may_still_be_written_is_not_remembered(settled: Path, hashed: list[Path], tmp_path: Path) -> None:
    os.utime(settled)
    store = digests.DigestStore(tmp_path / "digests.json")
    assert store.digest(settled, "sha256") == store.digest(settled, "sha256")
    assert len(hashed) == 2


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[1]", b'{"x": 1}', b"\xff\xfe", b"[" * 100_000, b'{"KEY": 7}', b'{"KEY": {"digest": "0"}}']
)
def test_a_damaged_store_means_hashing_again(settled: Path, tmp_path: Path, content: bytes) -> None:
    store = tmp_path / "digests.json"
    store.write_bytes(content.replace(b"KEY", f"sha256:{settled}".encode()))
    digest = hashlib.sha256(settled.read_bytes()).hexdigest()
    assert digests.DigestStore(store).digest(settled, "sha256") == digest
    assert json.loads(store.read_bytes())[f"sha256:{settled.resolve()}"]["digest"] == digest
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []  # nothing half-written


def test_a_store_that_cannot_be_written_still_serves_its_process(
    settled: Path, hashed: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"")
    store = digests.DigestStore(tmp_path / "file" / "digests.json")
    assert store.digest(settled, "sha256") == store.digest(settled, "sha256")
    assert len(hashed) == 1


def test_the_store_lies_in_the_users_cache_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name, appauthor: Path("/cache") / name)
    assert digests.default_store_file() == Path("/cache/victor-bark-fusion/file_digests.json")


def test_hashing_that_takes_long_is_told(
    settled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(digests, "_SLOW_S", -1)
    digests.DigestStore(tmp_path / "digests.json").digest(settled, "sha256")
    assert caplog.text.count("verifying model.safetensors") == 1


def test_a_cache_blob_is_held_to_the_hash_that_names_it(copy: Path, tmp_path: Path) -> None:
    blobs = tmp_path / "blobs"
    blobs.mkdir()
    shutil.move(copy / "model.safetensors", blobs / ("0" * 64))
    (copy / "model.safetensors").symlink_to(blobs / ("0" * 64))
    with pytest.raises(CheckpointError, match="expected 0000"):
        load_checkpoint(copy)


def test_a_codec_file_is_held_to_the_hash_in_its_name(tmp_path: Path, saved: Path) -> None:
    path = tmp_path / "encodec_24khz-d7cc33bc.th"
    path.write_bytes(b"something else")
    original = load_checkpoint(saved)
    with pytest.raises(CheckpointError, match="d7cc33bc"):
        Checkpoint(
            source="x", family="x", config=original.config, front_end=None, codec_config=None,
            files=(CheckpointFile(path.name, path),), read_stage=original.read_stage,
        ).verify()  # fmt: skip


def test_random_tiny_is_complete_repeatable_and_says_that_it_speaks_noise(caplog: pytest.LogCaptureFixture) -> None:
    first, second = load_checkpoint("random-tiny"), load_checkpoint("random-tiny")
    assert "NOISE" in caplog.text
    assert "NOISE" in first.notices[0]
    for stage in ("codec", "fine", "semantic", "coarse"):
        one, two = first.load_stage(stage), second.load_stage(stage)
        assert all(torch.equal(one[name], two[name]) for name in one)


def test_random_tiny_codec_makes_audible_sound_below_full_scale() -> None:
    import numpy as np

    from bark_infinity.codec.codec import Codec

    checkpoint = load_checkpoint("random-tiny")
    assert checkpoint.codec_config is not None
    codec = Codec.from_state(checkpoint.codec_config, checkpoint.load_stage("codec"), n_codebooks=8)
    audio = codec.decode([np.random.default_rng(0).integers(0, 32, (8, 75))])[0]
    assert audio.shape == (24_000,)
    assert 0.01 < audio.std() < 0.5
    assert abs(audio).max() < 1


def test_drawing_random_weights_leaves_the_global_generators_alone() -> None:
    before = torch.random.get_rng_state()
    load_checkpoint("random-tiny").load_stage("codec")
    assert torch.equal(before, torch.random.get_rng_state())


def test_micro_says_when_it_is_not_installed_and_loads_when_it_is() -> None:
    if (MICRO_DIRECTORY / "config.json").is_file():
        assert load_everything(Path(MICRO_DIRECTORY)).has_codec
    else:
        with pytest.raises(CheckpointError, match="random-tiny"):
            load_checkpoint("micro")
