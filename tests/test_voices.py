"""A voice history keeps Suno's rules, says which one is broken, and comes back from disk as it went."""

from __future__ import annotations

import copy
import dataclasses
import io
import json
import math
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bark_infinity.error_handling import VoiceFormatError
from bark_infinity.tokens import SUNO_TOKENS, TokenSpace
from bark_infinity.voices.history import MAX_FILE_TOKENS, VoiceHistory

REPOSITORY = Path(__file__).parents[1]
REAL_VOICES = REPOSITORY.parent / "shared" / "voices"
KEYS = ("semantic_prompt", "coarse_prompt", "fine_prompt")
TINY = TokenSpace(
    semantic_vocab_size=50, codebook_size=16, n_coarse_codebooks=2, n_fine_codebooks=4, semantic_rate_hz=25.0
)

needs_real_voices = pytest.mark.skipif(not REAL_VOICES.is_dir(), reason=f"no folder of real voices at {REAL_VOICES}")


def arrays_of(n_semantic: int = 20, space: TokenSpace = SUNO_TOKENS, seed: int = 0) -> dict[str, Any]:
    draws = np.random.default_rng(seed)
    fine = draws.integers(0, space.codebook_size, (space.n_fine_codebooks, space.frames_for(n_semantic)))
    semantic = draws.integers(0, space.semantic_vocab_size, n_semantic)
    return dict(zip(KEYS, (semantic, fine[: space.n_coarse_codebooks].copy(), fine), strict=True))


def voice_of(n_semantic: int = 20, space: TokenSpace = SUNO_TOKENS, seed: int = 0, **options: Any) -> VoiceHistory:
    return VoiceHistory(*arrays_of(n_semantic, space, seed).values(), space=space, **options)


def file_of(arrays: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


# -- real voices --------------------------------------------------------------------------------------------


@needs_real_voices
def test_real_voices_load_and_round_trip(tmp_path: Path) -> None:
    paths = sorted(REAL_VOICES.rglob("*.npz"))
    assert len(paths) >= 12
    for path in paths:
        voice = VoiceHistory.load(path)
        with np.load(path, allow_pickle=False) as stored:
            assert np.array_equal(voice.semantic, stored["semantic_prompt"])
            assert np.array_equal(voice.coarse, stored["coarse_prompt"])
            assert np.array_equal(voice.fine, stored["fine_prompt"])
        again = VoiceHistory.load(voice.save(tmp_path / "saved.npz"))
        assert again == voice
        assert hash(again) == hash(voice)
        assert voice.family == "suno"
        assert not voice.repairs


@needs_real_voices
def test_the_hash_of_a_real_voice_never_changes() -> None:
    voice = VoiceHistory.load(REAL_VOICES / "v2" / "en_speaker_6.npz")
    assert voice.sha256 == "c26de4ef6b960fdb80d68ac61316f20d3679ede0fae703a6fa4624deda2ae7c5"
    assert voice.duration_s == pytest.approx(464 / 75)


# -- every rule ---------------------------------------------------------------------------------------------


def changed(key: str, change: Any) -> dict[str, Any]:
    arrays = arrays_of()
    arrays[key] = change(arrays[key])
    return arrays


def with_value(value: int, *index: int) -> Any:
    def change(array: np.ndarray) -> np.ndarray:
        array = array.copy()
        array[index] = value
        return array

    return change


BROKEN = {
    "semantic of two axes": (
        changed("semantic_prompt", lambda a: a.reshape(2, 10)),
        r"semantic_prompt has shape \(2, 10\), expected \(S,\)",
    ),
    "batched semantic": (
        changed("semantic_prompt", lambda a: a[None]),
        r"shape \(1, 20\), expected \(S,\); .*repair=True",
    ),
    "coarse of three rows": (
        changed("coarse_prompt", lambda a: np.vstack([a, a[:1]])),
        r"coarse_prompt has shape \(3, 30\), expected \(2, T\)",
    ),
    "fine of seven rows": (
        changed("fine_prompt", lambda a: a[:7]),
        r"fine_prompt has shape \(7, 30\), expected \(8, T\); it may come from another Bark",
    ),
    "floats": (changed("fine_prompt", lambda a: a.astype("f4")), "fine_prompt has dtype float32, expected integers"),
    "bools": (changed("semantic_prompt", lambda a: a > 5), "semantic_prompt has dtype bool, expected integers"),
    "text": (changed("semantic_prompt", lambda a: a.astype("U5")), "semantic_prompt has dtype <U5, expected integers"),
    "semantic end token": (
        changed("semantic_prompt", with_value(10_000, 3)),
        "semantic_prompt holds 10000 at index 3, expected ids from 0 to 9999",
    ),
    "negative coarse": (
        changed("coarse_prompt", with_value(-1, 1, 4)),
        r"coarse_prompt holds -1 at index \(1, 4\), expected ids from 0 to 1023",
    ),
    "fine pad": (
        changed("fine_prompt", with_value(1_024, 7, 29)),
        r"fine_prompt holds 1024 at index \(7, 29\), expected ids from 0 to 1023",
    ),
    "ids beyond int64": (
        changed("semantic_prompt", lambda a: a.astype("u8") + np.uint64(2**63)),
        r"semantic_prompt holds 9223372036854\d+ at index",
    ),
    "empty semantic": (changed("semantic_prompt", lambda a: a[:0]), r"shape \(0,\), expected at least one token"),
    "empty fine": (changed("fine_prompt", lambda a: a[:, :0]), r"fine_prompt has shape \(8, 0\), expected at least"),
    "coarse shorter than fine": (
        changed("coarse_prompt", lambda a: a[:, 1:]),
        "coarse_prompt has 29 frames and fine_prompt has 30, expected the same number; .*repair=True",
    ),
    "one semantic token too many": (
        changed("semantic_prompt", lambda a: np.append(a, 7)),
        r"fine_prompt has 30 frames, expected T = floor\(S \* 75 / 49.9\) = 31 for the S = 21 .*repair=True",
    ),
    "coarse is not fine": (
        changed("coarse_prompt", lambda a: with_value((int(a[1, 2]) + 1) % 1_024, 1, 2)(a)),
        "coarse_prompt differs from the first 2 rows of fine_prompt in 1 places, first in row 1, frame 2 .*repair=True",
    ),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_rule_is_named_with_file_key_and_value(broken: str, tmp_path: Path) -> None:
    arrays, message = BROKEN[broken]
    path = tmp_path / "odd voice.npz"
    np.savez(path, **arrays)
    with pytest.raises(VoiceFormatError, match=message) as raised:
        VoiceHistory.load(path)
    assert str(raised.value).startswith(f"{path}: ")
    with pytest.raises(VoiceFormatError, match=message):
        VoiceHistory(*arrays.values())


@pytest.mark.parametrize("key", KEYS)
def test_a_missing_key_is_named(key: str) -> None:
    arrays = arrays_of()
    del arrays[key]
    with pytest.raises(VoiceFormatError, match=f"key {key} is missing, found '"):
        VoiceHistory.load(file_of(arrays))


@pytest.mark.parametrize("dtype", ["u2", ">i4", "<i8", ">u8", "i2"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_any_integer_dtype_and_order_is_the_same_voice(dtype: str, order: Any) -> None:
    stored = {key: np.asarray(array.astype(dtype), order=order) for key, array in arrays_of().items()}
    voice = VoiceHistory.load(file_of(stored))
    assert voice == voice_of()
    assert voice.sha256 == voice_of().sha256
    for array in (voice.semantic, voice.coarse, voice.fine):
        assert array.dtype == np.int64
        assert array.flags.c_contiguous
        assert not array.flags.writeable


def test_pickled_objects_are_refused_and_not_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "ran"),)

    arrays = arrays_of() | {"fine_prompt": np.array([Trap()], dtype=object)}
    np.savez(tmp_path / "trap.npz", **arrays)
    with pytest.raises(VoiceFormatError, match=r"fine_prompt: dtype '\|O' is refused"):
        VoiceHistory.load(tmp_path / "trap.npz", repair=True)
    assert not (tmp_path / "ran").exists()


# -- files --------------------------------------------------------------------------------------------------


def test_a_voice_is_read_from_path_bytes_and_open_file(tmp_path: Path) -> None:
    path = voice_of().save(tmp_path / "new folder" / "voice")
    assert path.name == "voice.npz"
    assert os.listdir(path.parent) == ["voice.npz"]
    with path.open("rb") as file:
        voices = [VoiceHistory.load(source) for source in (path, str(path), path.read_bytes(), file)]
    assert set(voices) == {voice_of()}
    assert voices[0].origin == str(path)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nowhere/voice.npz", "nowhere/voice.npz: there is no such file"),
        (".", "it is no plain file"),
        ("a\0b.npz", "could not be opened"),
        ("x" * 5_000, "could not be opened"),
        (b"", "expected a .npz file"),
        (b"\x93NUMPY\x01\x00", "expected a .npz file"),
        (io.StringIO("PK"), "expected bytes; open the file in binary mode"),
        (None, "could not be read"),
    ],
    ids=["missing", "folder", "NUL", "long", "empty", "npy", "text mode", "None"],
)
def test_what_is_no_voice_file_is_refused(source: Any, message: str) -> None:
    with pytest.raises(VoiceFormatError, match=message):
        VoiceHistory.load(source)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the platform has no named pipes")
def test_a_pipe_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "voice.npz")
    with pytest.raises(VoiceFormatError, match="no plain file"):
        VoiceHistory.load(tmp_path / "voice.npz")


def test_every_truncation_of_a_file_is_refused() -> None:
    content = voice_of(3).to_bytes()
    for length in range(len(content)):
        with pytest.raises(VoiceFormatError):
            VoiceHistory.load(content[:length])


def test_encrypted_and_doubled_members_are_refused() -> None:
    content = bytearray(voice_of(3).to_bytes())
    entry = content.find(b"PK\x01\x02")
    content[entry + 8] |= 1
    with pytest.raises(VoiceFormatError, match="semantic_prompt: the member is encrypted"):
        VoiceHistory.load(bytes(content))
    file = io.BytesIO(voice_of(3).to_bytes())
    with zipfile.ZipFile(file, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("fine_prompt.npy", b"")
    with pytest.raises(VoiceFormatError, match="the key fine_prompt is there twice"):
        VoiceHistory.load(file.getvalue())


def test_a_plain_voice_is_saved_as_sunos_three_keys(tmp_path: Path) -> None:
    path = voice_of().save(tmp_path / "plain.npz")
    with np.load(path, allow_pickle=False) as stored:
        assert sorted(stored.files) == sorted(KEYS)
        semantic, coarse, fine = (stored[key] for key in KEYS)
    # What suno's own code asserts of a history prompt.
    assert semantic.ndim == 1
    assert len(semantic) > 0
    assert coarse.shape[0] == 2
    assert fine.shape[0] == 8
    assert round(coarse.shape[-1] / len(semantic), 1) == 1.5


def test_equal_voices_have_equal_bytes() -> None:
    assert voice_of().to_bytes() == VoiceHistory.load(voice_of().to_bytes()).to_bytes()


def test_a_failed_save_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = voice_of(seed=1).save(tmp_path / "voice.npz")
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(VoiceFormatError, match=r"voice\.npz: the voice could not be written: .*No space left"):
        voice_of(seed=2).save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["voice.npz"]


def test_too_long_voices_are_not_saved_but_their_ends_are() -> None:
    n_semantic = MAX_FILE_TOKENS // 15
    long = voice_of(n_semantic)
    with pytest.raises(VoiceFormatError, match=r"at most 1,000,000 can be read back; save its visible_tail\(\)"):
        long.to_bytes()
    assert VoiceHistory.load(long.visible_tail().to_bytes()) == long.canonical()


# -- names, metadata, other keys ----------------------------------------------------------------------------


def test_unknown_keys_name_and_metadata_survive(tmp_path: Path) -> None:
    stored = arrays_of() | {
        "name": np.array("Ann"),
        "desc": np.array("warm, low"),
        "scores": np.array([[1.5, 2.5]], dtype=">f4"),
        "metadata": np.array(json.dumps({"language": "de", "tags": ["näselnd"]})),
    }
    voice = VoiceHistory.load(file_of(stored))
    again = VoiceHistory.load(voice.save(tmp_path / "again.npz"))
    for one in (voice, again, pickle.loads(pickle.dumps(voice)), copy.deepcopy(voice)):
        assert one.name == "Ann"
        assert one.metadata == {"language": "de", "tags": ["näselnd"]}
        assert sorted(one.extras) == ["desc", "scores"]
        assert one.extras["scores"].tolist() == [[1.5, 2.5]]
        assert not one.fine.flags.writeable
        assert one == voice_of()
    assert again.extras["scores"].dtype == ">f4"


@pytest.mark.parametrize("text", ["", "no json", "[1]", "null", "{" * 50_000, '{"a": NaN}', "x" * 200_000])
def test_metadata_that_is_no_object_is_kept_as_it_is(text: str) -> None:
    stored = np.array(text)
    voice = VoiceHistory.load(file_of(arrays_of() | {"metadata": stored}))
    assert voice.metadata == {}
    again = VoiceHistory.load(voice.to_bytes())
    assert again.extras["metadata_original"].item() == text


def test_what_cannot_be_stored_is_refused_at_once() -> None:
    with pytest.raises(VoiceFormatError, match="metadata cannot be written as JSON"):
        voice_of(metadata={"when": object()})
    with pytest.raises(VoiceFormatError, match="metadata cannot be written as JSON"):
        voice_of(metadata={"score": float("nan")})
    with pytest.raises(VoiceFormatError, match="extras cannot hold 'fine_prompt'"):
        voice_of(extras={"fine_prompt": np.zeros(1)})
    with pytest.raises(VoiceFormatError, match="x has dtype object"):
        voice_of(extras={"x": np.array([None])})
    with pytest.raises(VoiceFormatError, match="name is '', expected printable text"):
        voice_of(name="")


def test_changing_the_callers_arrays_changes_no_voice() -> None:
    arrays = arrays_of()
    voice = VoiceHistory(*arrays.values())
    arrays["semantic_prompt"][0] += 1
    assert voice == voice_of()
    with pytest.raises(ValueError, match="read-only"):
        voice.fine[0, 0] = 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        voice.name = "other"  # type: ignore[misc]


# -- token spaces -------------------------------------------------------------------------------------------


def test_another_space_travels_in_the_file() -> None:
    voice = voice_of(12, TINY, metadata={"model_family": "tiny"})
    again = VoiceHistory.load(voice.to_bytes())
    assert again.space == TINY
    assert again == voice
    assert again.family == "tiny"
    with np.load(io.BytesIO(voice.to_bytes()), allow_pickle=False) as stored:
        told = json.loads(str(stored["metadata"]))
    assert told["token_space"]["semantic_rate_hz"] == 25.0
    assert told["model_family"] == "tiny"


def test_the_callers_space_wins_and_drops_the_family() -> None:
    arrays = arrays_of(12, TINY)
    voice = VoiceHistory.load(file_of(arrays), space=TINY)
    assert voice.space == TINY
    with pytest.raises(VoiceFormatError, match=r"coarse_prompt|fine_prompt has shape \(4, 36\), expected \(8, T\)"):
        VoiceHistory.load(file_of(arrays))
    wider = dataclasses.replace(TINY, codebook_size=32)
    moved = VoiceHistory.load(voice_of(12, TINY, metadata={"model_family": "tiny"}).to_bytes(), space=wider)
    assert moved.family is None
    assert moved != voice


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("codebook_size", 0),
        ("codebook_size", "many"),
        ("n_fine_codebooks", 1),
        ("semantic_rate_hz", 0),
        ("coarse_rate_hz", True),
    ],
)
def test_a_senseless_space_is_named(field: str, value: Any) -> None:
    told = dataclasses.asdict(TINY) | {field: value}
    stored = arrays_of(12, TINY) | {"metadata": np.array(json.dumps({"token_space": told}))}
    with pytest.raises(VoiceFormatError, match=r"metadata: token_space"):
        VoiceHistory.load(file_of(stored))
    assert VoiceHistory.load(file_of(stored), space=TINY).space == TINY


def test_a_voice_of_another_family_is_refused_by_name() -> None:
    voice = voice_of(12, TINY, metadata={"model_family": "tiny"})
    voice.require_space(TINY, "checkpoint tiny")
    with pytest.raises(
        VoiceFormatError,
        match=r"was made for the family 'tiny' of checkpoints, but suno/bark holds Suno's token space: "
        r"semantic_vocab_size 50 instead of 10000, codebook_size 16 instead of 1024",
    ):
        voice.require_space(SUNO_TOKENS, "suno/bark")


# -- hashes and tails ---------------------------------------------------------------------------------------


def test_the_hash_covers_tokens_and_space_only() -> None:
    voice = voice_of()
    assert voice_of(name="Ann", metadata={"a": 1}, extras={"x": np.zeros(3)}).sha256 == voice.sha256
    assert voice_of(seed=1).sha256 != voice.sha256
    same_tokens = VoiceHistory(
        voice.semantic, voice.coarse, voice.fine, space=dataclasses.replace(SUNO_TOKENS, codebook_size=1_025)
    )
    assert same_tokens.sha256 != voice.sha256
    whole_number = VoiceHistory(
        voice.semantic, voice.coarse, voice.fine, space=dataclasses.replace(SUNO_TOKENS, coarse_rate_hz=75)
    )
    assert whole_number.sha256 == voice.sha256
    assert voice != "voice"


def test_the_hash_is_the_same_in_another_process() -> None:
    program = "import sys; from bark_infinity import VoiceHistory as V; print(V.load(sys.stdin.buffer).sha256)"
    told = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, input=voice_of().to_bytes(), capture_output=True, check=True
    )
    assert told.stdout.decode().strip() == voice_of().sha256


def what_suno_reads(voice: VoiceHistory) -> tuple[bytes, ...]:
    """The parts of a history that suno's three stages take, by its own arithmetic."""
    ratio = 75 / 49.9 * 2
    flat = voice.coarse.T.reshape(-1)
    n_semantic = min(209, len(voice.semantic) - len(voice.semantic) % 2, int(np.floor(len(flat) / ratio)))
    n_flat = round(n_semantic * ratio)
    parts = (voice.semantic[-256:], voice.semantic[-n_semantic:], flat[-n_flat:][:-2], voice.fine[:, -512:])
    return tuple(part.tobytes() for part in parts)


@pytest.mark.parametrize("n_semantic", [2, 3, 208, 209, 210, 211, 257, 340, 341, 342, 343, 500, 767, 768])
def test_the_canonical_voice_is_all_that_bark_sees(n_semantic: int) -> None:
    voice = voice_of(n_semantic)
    canonical = voice.canonical()
    assert what_suno_reads(canonical) == what_suno_reads(voice)
    assert canonical.semantic.size == min(n_semantic, 341)
    assert canonical.canonical() == canonical


def test_voices_that_differ_only_where_bark_is_blind_have_one_canonical_hash() -> None:
    voice, other = voice_of(600), voice_of(400, seed=3)
    spliced = VoiceHistory(
        np.concatenate([other.semantic[:59], voice.semantic[-341:]]),
        np.concatenate([other.coarse[:, :89], voice.coarse[:, -512:]], axis=1),
        np.concatenate([other.fine[:, :89], voice.fine[:, -512:]], axis=1),
    )
    assert spliced != voice
    assert spliced.canonical().sha256 == voice.canonical().sha256


@given(st.integers(1, 300), st.integers(1, 60), st.integers(1, 60), st.sampled_from([5.0, 25.0, 49.9, 75.0, 130.0]))
@settings(max_examples=200, deadline=None, database=None)
def test_a_tail_is_valid_and_holds_what_was_asked(length: int, semantic: int, frames: int, rate: float) -> None:
    space = dataclasses.replace(TINY, semantic_rate_hz=rate)
    if space.frames_for(length) < 1:
        return
    voice = voice_of(length, space)
    tail = voice.visible_tail(n_semantic=semantic, n_frames=frames)
    assert tail.semantic.size >= min(length, semantic)
    assert tail.fine.shape[1] >= min(voice.fine.shape[1], frames)
    assert np.array_equal(tail.semantic, voice.semantic[-tail.semantic.size :])
    assert np.array_equal(tail.fine, voice.fine[:, -tail.fine.shape[1] :])


# -- repair -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arrays", "repairs"),
    [
        (
            changed("semantic_prompt", lambda a: np.append(a, [7, 8])),
            ["semantic_prompt: kept the last 20 of 22 tokens"],
        ),
        (
            changed("coarse_prompt", lambda a: a[:, ::-1]),
            ["coarse_prompt: it did not match fine_prompt, rebuilt from it"],
        ),
        (changed("coarse_prompt", lambda a: a[0]), ["coarse_prompt: it did not match fine_prompt, rebuilt from it"]),
        (
            {key: array for key, array in arrays_of().items() if key != "coarse_prompt"},
            ["coarse_prompt: it was missing, rebuilt from fine_prompt"],
        ),
        (
            changed("semantic_prompt", lambda a: a[4:]),
            [
                "fine_prompt: kept the last 24 of 30 frames",
                "coarse_prompt: kept the last 24 of 30 frames",
            ],
        ),
        (
            {key: array[None] for key, array in arrays_of().items()},
            [
                "semantic_prompt: dropped the extra axes of shape (1, 20)",
                "fine_prompt: dropped the extra axes of shape (1, 8, 30)",
                "coarse_prompt: it did not match fine_prompt, rebuilt from it",
            ],
        ),
        (arrays_of(), []),
    ],
    ids=["long semantic", "other coarse", "flat coarse", "no coarse", "long fine", "batched", "sound"],
)
def test_repair_mends_and_tells(arrays: dict[str, Any], repairs: list[str]) -> None:
    voice = VoiceHistory.load(file_of(arrays), repair=True)
    assert list(voice.repairs) == repairs
    if repairs:
        with pytest.raises(VoiceFormatError):
            VoiceHistory.load(file_of(arrays))
    semantic = arrays["semantic_prompt"].reshape(-1)
    fine = arrays["fine_prompt"].reshape(8, -1)
    assert np.array_equal(voice.semantic, semantic[-voice.semantic.size :])
    assert np.array_equal(voice.fine, fine[:, -voice.fine.shape[1] :])
    assert VoiceHistory.load(voice.to_bytes()) == voice


@pytest.mark.parametrize(
    "broken", ["fine of seven rows", "floats", "semantic end token", "fine pad", "empty semantic", "empty fine"]
)
def test_what_cannot_be_repaired_still_raises(broken: str) -> None:
    arrays, message = BROKEN[broken]
    with pytest.raises(VoiceFormatError, match=message):
        VoiceHistory.load(file_of(arrays), repair=True)


@given(st.integers(1, 400), st.integers(1, 600), st.booleans())
@settings(max_examples=100, deadline=None, database=None)
def test_repair_of_any_two_lengths_keeps_as_much_as_the_ratio_allows(semantic: int, frames: int, space: bool) -> None:
    chosen = TINY if space else SUNO_TOKENS
    fine = np.zeros((chosen.n_fine_codebooks, frames), int)
    arrays = {"semantic_prompt": np.zeros(semantic, int), "fine_prompt": fine}
    if chosen.frames_for(1) > frames:
        with pytest.raises(VoiceFormatError, match="cannot be trimmed"):
            VoiceHistory.from_arrays(arrays, space=chosen, repair=True)
        return
    voice = VoiceHistory.from_arrays(arrays, space=chosen, repair=True)
    best = max(n for n in range(1, semantic + 1) if chosen.frames_for(n) <= frames)
    assert voice.semantic.size == best


@pytest.mark.parametrize("codebooks", range(1, 9))
def test_ten_seconds_are_all_their_frames_whatever_the_number_of_codebooks(codebooks):
    space = TokenSpace(n_coarse_codebooks=codebooks)
    assert space.frames_for(499) == 750  # 499 / 49.9 Hz = 10 s, and 10 s * 75 Hz = 750
    assert space.frames_for(498) == 748  # 748.497
    assert space.frames_for(0) == 0


def test_frames_are_counted_as_suno_counts_them():
    ratio = 75 / 49.9 * 2
    assert [SUNO_TOKENS.frames_for(n) for n in range(20_000)] == [math.floor(n * ratio / 2) for n in range(20_000)]
