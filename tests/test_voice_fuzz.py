"""Whatever is in a voice file: it loads as a valid voice, or VoiceFormatError says why, within the memory promised."""

from __future__ import annotations

import io
import math
import struct
import tracemalloc
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from bark_infinity.error_handling import VoiceFormatError
from bark_infinity.tokens import SUNO_TOKENS, TokenSpace
from bark_infinity.voices import bounded_npz
from bark_infinity.voices.history import MAX_LOAD_MEMORY_BYTES, VoiceHistory

REAL_VOICES = Path(__file__).parents[2] / "shared" / "voices"
KEYS = ("semantic_prompt", "coarse_prompt", "fine_prompt")

Maker = Callable[[Random], bytes]

outcomes = {"voice": 0, "refused": 0}


def arrays_of(n_semantic: int, dtype: str = "<i8", space: TokenSpace = SUNO_TOKENS) -> dict[str, np.ndarray]:
    draws = np.random.default_rng(n_semantic)
    fine = draws.integers(0, space.codebook_size, (space.n_fine_codebooks, space.frames_for(n_semantic)))
    semantic = draws.integers(0, space.semantic_vocab_size, n_semantic)
    arrays = dict(zip(KEYS, (semantic, fine[: space.n_coarse_codebooks], fine), strict=True))
    return {key: array.astype(dtype) for key, array in arrays.items()}


def packed(arrays: dict[str, np.ndarray], compressed: bool = True) -> bytes:
    file = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


def plain_npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def zipped(members: list[tuple[str, bytes]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of duplicate names
        for name, content in members:
            archive.writestr(name, content)
    return file.getvalue()


def npy(header: str, content: bytes, version: int = 1, claimed: int | None = None) -> bytes:
    text = header.encode("latin-1", "replace")
    length = len(text) if claimed is None else claimed
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H" if version == 1 else "<I", length) + text + content


def base_files() -> list[bytes]:
    other = TokenSpace(semantic_vocab_size=50, codebook_size=16, n_fine_codebooks=4, semantic_rate_hz=25.0)
    space = '{"token_space": {"semantic_vocab_size": 50, "codebook_size": 16, "n_coarse_codebooks": 2, '
    space += '"n_fine_codebooks": 4, "semantic_rate_hz": 25, "coarse_rate_hz": 75}, "model_family": "tiny"}'
    files = [
        packed(arrays_of(5)),
        packed(arrays_of(3, "<u2"), compressed=False),
        packed({key: np.asfortranarray(array) for key, array in arrays_of(4, ">i4").items()}, compressed=False),
        packed(
            arrays_of(4, "u1", other) | {"metadata": np.array(space), "name": np.array("Ann"), "desc": np.array([1.5])}
        ),
        VoiceHistory.from_arrays(arrays_of(6)).to_bytes(),
    ]
    real = sorted(REAL_VOICES.rglob("*.npz"))
    return files + [path.read_bytes() for path in real[:2]]


BASES = base_files()


def edited_bytes(r: Random) -> bytes:
    """A good file with a few bytes changed, cut or inserted, near its end or anywhere."""
    content = bytearray(r.choice(BASES))
    for _ in range(r.randint(1, 3)):
        at = r.randrange(max(0, len(content) - r.choice([300, 10**6])), len(content))
        action = r.randrange(7)
        if action < 2:
            content[at] = r.randrange(256)
        elif action == 2:
            content[at] ^= 1 << r.randrange(8)
        elif action == 3:
            del content[at : at + r.randint(1, 40)]
        elif action == 4:
            content[at:at] = r.randbytes(r.randint(1, 20))
        elif action == 5:
            content[at : at + 4] = struct.pack("<L", word(r))
        else:
            del content[max(at, 1) :]
    return bytes(content)


def edited_members(r: Random) -> bytes:
    """A sound zip whose members' bytes were edited before packing, so that checksums agree with the damage."""
    members = []
    for key, plain in MEMBERS[r.randrange(len(MEMBERS))].items():
        content = bytearray(plain)
        if r.random() < 0.5:
            at = r.randrange(min(len(content), 200))
            content[at : at + r.randrange(4)] = r.randbytes(r.randrange(4))
        members.append((f"{key}.npy", bytes(content)))
    return zipped(members, zipfile.ZIP_STORED)


def lying_headers(r: Random) -> bytes:
    """Members with headers that were never numpy's."""
    members = []
    for key in r.choices([*KEYS, "metadata", "name", "x"], k=r.randint(1, 4)):
        descr = r.choice(DESCRS) if r.random() < 0.9 else "".join(r.choices("<>|biufcSUOVM?0139'(", k=r.randrange(7)))
        n_axes = r.choice([0, 1, 1, 2, 2, 3, 40])
        shape = tuple(r.choice([0, 1, 2, 3, 8, r.randrange(20), 2**31, 10**18]) for _ in range(n_axes))
        order = r.choice(["True", "False", "False", "1"])
        header = f"{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}"
        header += r.choice(["\n", "\n", "", "  ", "}", "((((" * 500])
        n_bytes = r.choice([r.randrange(200), 8 * min(200, math.prod(shape)), min(200, math.prod(shape))])
        claimed = r.choice([None, None, None, r.randrange(2**16)])
        members.append((f"{key}.npy", npy(header, r.randbytes(n_bytes), r.choice([1, 1, 2, 3, 9]), claimed)))
    return zipped(members, r.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED, zipfile.ZIP_BZIP2]))


def forged_indexes(r: Random) -> bytes:
    """A good file whose index or end record has another number in it."""
    content = bytearray(r.choice(BASES))
    end = content.rfind(b"PK\x05\x06")
    if r.random() < 0.3:
        struct.pack_into("<H", content, end + r.choice([4, 6, 8, 10, 12, 14, 16, 18, 20]), r.randrange(2**16))
        return bytes(content)
    (start,) = struct.unpack_from("<L", content, end + 16)
    at = r.choice([at for at in range(start, end) if content[at : at + 4] == b"PK\x01\x02"])
    if r.random() < 0.5:
        struct.pack_into("<H", content, at + r.choice([8, 10, 28, 30, 32]), r.choice([0, 1, 8, r.randrange(2**16)]))
    else:
        struct.pack_into("<L", content, at + r.choice([16, 20, 24, 42]), word(r))
    return bytes(content)


def odd_voices(r: Random) -> bytes:
    """Well-made files of arrays that may break any rule of the voice format."""
    arrays = dict(VOICES[r.randrange(len(VOICES))])
    for key in r.choices(KEYS, k=r.randrange(3)):
        array = arrays.get(key)
        action = r.randrange(9)
        if array is None or array.dtype.kind not in "iu":
            continue
        if action == 0:
            array = array.astype(r.choice(["i1", "u1", ">i2", "u8", "f4", "b1", "c8", "U4", "M8[s]"]))
        elif action == 1 and array.size:
            array = array.astype("i8")
            array.flat[r.randrange(array.size)] = r.choice([-1, 1_024, 10_000, 2**40, 7])
        elif action == 2:
            array = array[..., r.randrange(4) :]
        elif action == 3:
            array = array[None]
        elif action == 4:
            array = np.concatenate([array, array])
        elif action == 5:
            array = array[..., :0]
        elif action == 6:
            array = np.asfortranarray(array)
        elif action == 7:
            arrays["other"] = arrays.pop(key)
            continue
        arrays[key] = array
    if r.random() < 0.5:
        arrays["metadata"] = np.array(r.choice([*METADATA, "".join(map(chr, r.choices(range(0xD000), k=5)))]))
    if r.random() < 0.2:
        arrays["name"] = np.array(r.choice(["Ann", " Ann ", "", "a\0b", "a\nb", "\ud800", "n" * 201]))
    return packed(arrays, compressed=False)


def noise(r: Random) -> bytes:
    """No file at all, or its first bytes."""
    return r.choice([b"", b"PK\x03\x04", b"PK\x05\x06" + bytes(18), b"\x93NUMPY"]) + r.randbytes(r.randrange(60))


def word(r: Random) -> int:
    return r.choice([0, 1, 2**16, 2**23, 2**31, 2**32 - 1, r.getrandbits(32)])


DESCRS = [
    "<i8",
    ">i4",
    "|u1",
    "|i1",
    "<u2",
    "|O",
    "|b1",
    "<f8",
    "<U3",
    "|S9",
    "<U0",
    "|V8",
    "<M8[s]",
    "<i3",
    "<U999999999",
    "<U9999999999",
    "?",
]
METADATA = [
    "", "{}", "[]", "null", "{", '{"token_space": null}', '{"token_space": {"codebook_size": 1e400}}', '{"a": NaN}',
    '{"a": "\\ud800"}', "[" * 3_000, '{"a":' * 3_000 + "1" + "}" * 3_000, '{"a": ' + "9" * 5_000 + "}",
    '{"token_space": {"semantic_vocab_size": 10000, "codebook_size": 1024, "n_coarse_codebooks": 2, '
    '"n_fine_codebooks": 8, "semantic_rate_hz": 49.9, "coarse_rate_hz": 75}}',
    '{"token_space": {"semantic_vocab_size": 10000, "codebook_size": 1024, "n_coarse_codebooks": 9, '
    '"n_fine_codebooks": 8, "semantic_rate_hz": 0.01, "coarse_rate_hz": 100000}}',
]  # fmt: skip
VOICES = [arrays_of(n, dtype) for n in range(1, 13) for dtype in ("<i8", "<u2")]
MEMBERS = [{key: plain_npy(array) for key, array in arrays.items()} for arrays in VOICES]
MAKERS = [
    edited_bytes,
    edited_bytes,
    edited_bytes,
    edited_members,
    lying_headers,
    forged_indexes,
    odd_voices,
    odd_voices,
    noise,
]


def check(content: bytes | Path, repair: bool) -> VoiceHistory | None:
    """The voice in these bytes, or None; anything but VoiceFormatError, or too much memory, fails."""
    voice, message = None, ""
    tracemalloc.start()
    try:
        voice = VoiceHistory.load(content, repair=repair)
    except VoiceFormatError as error:
        message = str(error)
    finally:
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert voice is not None or message.startswith(("voice of ", str(content)))
    assert used <= MAX_LOAD_MEMORY_BYTES, f"loading took {used:,} bytes"
    outcomes["refused" if voice is None else "voice"] += 1
    return voice


@seed(7)
@settings(
    max_examples=10_000,
    deadline=None,
    database=None,
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)
@given(st.sampled_from(MAKERS), st.integers(0, 2**63), st.booleans())
def test_ten_thousand_broken_files_are_refused_or_valid(make: Maker, number: int, repair: bool) -> None:
    voice = check(make(Random(number)), repair)  # one number for all choices: hypothesis's own draws are slow
    if voice is None:
        return
    assert repair or not voice.repairs
    assert voice.fine.shape[1] == voice.space.frames_for(voice.semantic.size) >= 1
    assert np.array_equal(voice.coarse, voice.fine[: voice.space.n_coarse_codebooks])
    again = VoiceHistory.load(voice.to_bytes())
    assert again == voice
    assert again.name == voice.name
    assert again.metadata == voice.metadata
    assert {key: array.tobytes() for key, array in again.extras.items()} == {
        key: array.tobytes() for key, array in voice.extras.items()
    }


def test_the_broken_files_were_of_both_kinds() -> None:
    if sum(outcomes.values()) < 10_000:
        pytest.skip("needs the run of ten thousand files before it")
    assert outcomes["voice"] > 500
    assert outcomes["refused"] > 5_000


def bomb(n_bytes: int, declared: int | None = None) -> bytes:
    """A member that unpacks to ``n_bytes`` zeros, and says ``declared``."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = bytes(2**20)
    crc, body = 0, b""
    for _ in range(n_bytes // len(block)):
        body += packer.compress(block)
        crc = zlib.crc32(block, crc)
    body += packer.flush()
    size = n_bytes if declared is None else declared
    name = b"semantic_prompt.npy"
    local = struct.pack("<4s5HLLLHH", b"PK\x03\x04", 20, 0, 8, 0, 0, crc, len(body), size, len(name), 0) + name + body
    index = struct.pack(
        "<4s6HLLLHHHHHLL", b"PK\x01\x02", 20, 20, 0, 8, 0, 0, crc, len(body), size, len(name), 0, 0, 0, 0, 0, 0
    )
    index += name
    return local + index + struct.pack("<4s4HLLH", b"PK\x05\x06", 0, 0, 1, 1, len(index), len(local), 0)


def crowd(n_members: int) -> bytes:
    """A well-formed index of very many empty members."""
    entry = struct.pack("<4s6HLLLHHHHHLL", b"PK\x01\x02", 20, 20, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0) + b".npy"
    index = entry * n_members
    return b"PK\x03\x04" + index + struct.pack("<4s4HLLH", b"PK\x05\x06", 0, 0, n_members, n_members, len(index), 4, 0)


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        pytest.param(bomb(64 * 2**20), "at most 8,388,608 are allowed", id="honest bomb"),
        pytest.param(bomb(64 * 2**20, declared=4_000), "does not unpack to the 4,000 bytes", id="lying bomb"),
        pytest.param(bomb(2**20, declared=2**32 - 1), "at most 8,388,608 are allowed", id="declares 4 GB"),
        pytest.param(
            zipped([(f"{key}.npy", bytes(4 * 2**20)) for key in KEYS]),
            "at most 8,388,608 are allowed",
            id="three halves",
        ),
        pytest.param(zipped([(f"{i}.npy", b"") for i in range(65)]), "lists 65 members", id="65 members"),
        pytest.param(crowd(60_000), "lists 60,000 members", id="60,000 members"),
        pytest.param(
            zipped(
                [
                    (
                        "semantic_prompt.npy",
                        npy("{'descr': '<i8', 'fortran_order': False, 'shape': (100000000000,), }", b""),
                    )
                ]
            ),
            "promises shape",
            id="header of 800 GB",
        ),
        pytest.param(
            zipped([("x.npy", npy("{'descr': '<U0', 'fortran_order': False, 'shape': (100000000000,), }", b""))]),
            "dtype '<U0' is refused",
            id="endless nothing",
        ),
        pytest.param(bytes(9 * 2**20), "more than the 8,388,608 bytes", id="large file"),
    ],
)
def test_bombs_are_refused_before_they_unpack(content: bytes, rule: str) -> None:
    with pytest.raises(VoiceFormatError, match=rule):
        VoiceHistory.load(content)
    assert check(content, repair=True) is None


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("dtype", ["u1", "<i4", ">f8"])
def test_the_largest_files_stay_within_the_promised_memory(dtype: str, compressed: bool, tmp_path: Path) -> None:
    file = tmp_path / "large.npz"
    n_frames = 99_000
    tokens = np.zeros((10, n_frames), dtype)
    arrays = {"semantic_prompt": tokens[0, :9_000], "coarse_prompt": tokens[:2], "fine_prompt": tokens[2:]}
    file.write_bytes(packed(arrays, compressed))
    check(file, repair=True)
    filler = np.zeros(bounded_npz.MAX_UNPACKED_BYTES - 100_000, "i1")
    file.write_bytes(packed(arrays_of(700) | {"x": filler}, compressed))
    assert check(file, repair=True) is not None
    file.write_bytes(packed(arrays_of(62_000, "<u2"), compressed))
    assert check(file, repair=True) is not None
