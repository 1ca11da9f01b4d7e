"""What turns text into ids: Suno's tokenizer, bytes, and which of them a source gets."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bark_infinity.bert_front_end import BertFrontEnd
from bark_infinity.checkpoints.random_tiny import BytesFrontEnd, random_tiny_config
from bark_infinity.checkpoints.sources import is_offline, load_front_end, locate, read_json
from bark_infinity.error_handling import CheckpointError

PIECES = [
    "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]",
    *"abcdefghijklmnopqrstuvwxyzHWNÜüéßñçабвгдежзиклмнопрстуыьяПр",
    *(f"##{c}" for c in "abcdefghijklmnopqrstuvwxyzéüñабвгдежзиклмнопрстуыья0123456789"),
    *".,!?'-[]♪():;\"/&0123456789", "\u2028",
    "Hello", "world", "##ld", "wor", "Привет", "мир", "你", "好", "世", "界", "안녕", "##하", "नम", "##स्ते", "مرحبا",
    "laugh", "##ing", "##s", "Straße", "Über", "naïve", "e\u0301",
]  # fmt: skip
TEXTS = [
    "Hello world",
    "  Hello\t\n world \u00a0 again ",
    "HELLO hello Hello",
    "[laughs] Hello... [SEP] world [MASK]!",
    "[MAN] ♪ la la ♪ [WOMAN]: don't-stop",
    "你好世界, hello你好",
    "Привет, мир!",
    "안녕하세요",
    "नमस्ते दुनिया",
    "مرحبا بالعالم",
    "Straße Über naïve cafe\u0301 café",
    "a" * 150,
    "x\u200by\ufeffz\x00q\ufffd",
    '1234567890 12:34 (a/b) & "c"',
    "line\u2028separator\u2029paragraph\x85next",
    "😀 emoji 👩‍👩‍👧",
    "",
    "   ",
]


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("tokenizer")
    pieces = list(dict.fromkeys(PIECES))
    (directory / "vocab.txt").write_text("".join(f"{piece}\n" for piece in pieces), "utf-8", newline="\n")
    return directory


@pytest.fixture
def no_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty Hugging Face cache, and no network."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("bark_infinity.checkpoints.sources._cached_first", lambda repo, names: None)


def test_vocabulary_file_gives_the_ids_of_transformers_bert_tokenizer(vocabulary: Path) -> None:
    from transformers import BertTokenizer

    oracle = BertTokenizer(vocab=str(vocabulary / "vocab.txt"), do_lower_case=False)
    front_end = BertFrontEnd.load(vocabulary)
    for text in TEXTS:
        expected = oracle.encode(" ".join(text.split()), add_special_tokens=False)
        assert list(front_end.encode(text).ids) == expected, text


def test_tokenizer_json_gives_the_ids_of_vocab_txt_even_when_it_pads_and_truncates(
    vocabulary: Path, tmp_path: Path
) -> None:
    from transformers import BertTokenizer

    backend = BertTokenizer(vocab=str(vocabulary / "vocab.txt"), do_lower_case=False).backend_tokenizer
    backend.enable_truncation(4)
    backend.enable_padding(length=9)
    backend.save(str(tmp_path / "tokenizer.json"))
    from_json, from_text = BertFrontEnd.load(tmp_path), BertFrontEnd.load(vocabulary)
    for text in TEXTS:
        assert from_json.encode(text) == from_text.encode(text)


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(), max_size=40))
def test_no_text_makes_a_front_end_raise(vocabulary: Path, text: str) -> None:
    for front_end in (BertFrontEnd.load(vocabulary), BytesFrontEnd()):
        assert all(number >= 0 for number in front_end.encode(text).ids)


def test_unknown_symbols_and_broken_unicode_are_reported(vocabulary: Path) -> None:
    front_end = BertFrontEnd.load(vocabulary)
    assert front_end.encode("Hello world").notices == ()
    assert "not in the tokenizer" in front_end.encode("Hello 😀").notices[0]
    broken = front_end.encode("Hello \ud800world")
    assert broken.ids == front_end.encode("Hello world").ids
    assert "not valid Unicode" in broken.notices[0]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("tokenizer.json", b"{}"),
        ("tokenizer.json", b"\xff\xfe not json"),
        ("tokenizer.json", b"[" * 5_000),
        ("vocab.txt", b"no\nunknown\ntoken\n"),
        ("vocab.txt", b"[UNK]\n\xff\xff\n"),
        ("vocab.txt", b""),
    ],
)
def test_damaged_tokenizer_files_are_named(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=name):
        BertFrontEnd.load(tmp_path)


def test_a_folder_without_tokenizer_names_the_command_that_fetches_one(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="hf download google-bert/bert-base-multilingual-cased"):
        BertFrontEnd.load(tmp_path)


def test_random_tiny_reads_bytes_that_fit_its_vocabulary() -> None:
    front_end = load_front_end("random-tiny")
    assert front_end is not None
    ids = front_end.encode("Hi \n é").ids
    assert ids == tuple("Hi é".encode())
    config = random_tiny_config().semantic
    assert config.text_encoding_offset + 255 < config.text_pad_token


@pytest.mark.usefixtures("no_cache")
def test_a_directory_without_tokenizer_files_has_no_front_end(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"semantic_config": {"input_vocab_size": 99}}), "utf-8")
    (tmp_path / "model.safetensors").write_bytes(b"")
    assert load_front_end(tmp_path) is None


def test_a_directory_front_end_is_found_without_reading_weights(tmp_path: Path, vocabulary: Path) -> None:
    (tmp_path / "config.json").write_text("{}", "utf-8")
    (tmp_path / "model.safetensors").write_bytes(b"not weights at all")
    (tmp_path / "vocab.txt").write_bytes((vocabulary / "vocab.txt").read_bytes())
    front_end = load_front_end(tmp_path)
    assert front_end is not None
    assert front_end.encode("Hello world").ids


def test_an_unknown_front_end_type_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}", "utf-8")
    (tmp_path / "model.safetensors").write_bytes(b"")
    (tmp_path / "text_front_end.json").write_text('{"type": "telepathy"}', "utf-8")
    with pytest.raises(CheckpointError, match="telepathy"):
        load_front_end(tmp_path)


def test_a_suno_source_reads_text_through_a_cached_bert(
    monkeypatch: pytest.MonkeyPatch, vocabulary: Path, tmp_path: Path
) -> None:
    def only_bert(repo: str, names: tuple[str, ...]) -> Path | None:
        return vocabulary / "vocab.txt" if repo.startswith("google-bert/") else None

    monkeypatch.setattr("bark_infinity.checkpoints.sources._cached_first", only_bert)
    front_end = load_front_end("suno/bark-small", offline=True)
    assert front_end is not None
    assert front_end.name == "bert-base-multilingual-cased"
    assert load_front_end("someone/other-bark", offline=True) is None
    for name in ("text.pt", "coarse.pt", "fine.pt"):
        (tmp_path / name).write_bytes(b"")
    assert load_front_end(tmp_path) is not None


@pytest.mark.usefixtures("no_cache")
def test_an_uncached_hub_id_offline_names_the_command_that_fetches_it() -> None:
    for offline in (True, None):
        with pytest.raises(CheckpointError, match=r"hf download suno/bark-small config\.json .*pytorch_model\.bin"):
            locate("suno/bark-small", offline=offline)


@pytest.mark.usefixtures("no_cache")
@pytest.mark.parametrize("source", ["nonsense", "a/b/c", "../up/x", "", "x" * 5_000, "nul\0name", "suno-legacy"])
def test_sources_that_are_not_there_give_one_checkpoint_error(
    source: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(CheckpointError):
        locate(source)


def test_a_file_as_source_is_answered_with_its_directory(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"")
    with pytest.raises(CheckpointError, match="is a file, expected the directory"):
        locate(file)


def test_the_original_cache_folder_is_found_as_suno_legacy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "suno" / "bark_v0"
    folder.mkdir(parents=True)
    for name in ("text.pt", "text_2.pt", "coarse_2.pt", "fine.pt"):
        (folder / name).write_bytes(b"")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    large, small = locate("suno-legacy"), locate("suno-legacy", prefer_small=True)
    assert [p.name for p in large.stage_files.values()] == ["text_2.pt", "coarse_2.pt", "fine.pt"]
    assert [p.name for p in small.stage_files.values()] == ["text.pt", "coarse_2.pt", "fine.pt"]
    assert "both sizes" in large.notices[0]


def test_a_missing_legacy_stage_is_named(tmp_path: Path) -> None:
    (tmp_path / "text.pt").write_bytes(b"")
    (tmp_path / "fine_2.pt").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"no coarse\.pt or coarse_2\.pt"):
        locate(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"a": NaN}',
        b'{"a": 1e999}',
        b"[" * 100_000,
        b"\xff{}",
        b'{"a": %s}' % (b"9" * 9_000),
    ],
)
def test_json_rubbish_is_a_checkpoint_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"config\.json"):
        read_json(tmp_path / "config.json")


def test_offline_follows_the_environment_unless_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRANSFORMERS_OFFLINE", raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "yes")
    assert is_offline(None)
    assert not is_offline(False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    assert not is_offline(None)


def test_finding_a_checkpoint_loads_no_torch() -> None:
    code = (
        "import sys; from bark_infinity.checkpoints.sources import load_front_end; load_front_end('random-tiny'); "
        "sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent.parent).returncode == 0
