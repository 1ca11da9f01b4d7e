"""The embedding cache: what comes out is what went in, and nothing ever is half an entry."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

from bark_infinity.error_handling import BarkError
from fusion.transformer.embedding_cache import EmbeddingCache, tensor_bytes

ROOT = Path(__file__).resolve().parents[1]


def key(name):
    return hashlib.sha256(str(name).encode()).hexdigest()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_an_entry_comes_back_bit_for_bit(tmp_path, dtype):
    tensor = torch.randn(7, 5, generator=torch.Generator().manual_seed(1)).to(dtype)
    EmbeddingCache(tmp_path).put(key("a"), tensor)
    kept = EmbeddingCache(tmp_path).get(key("a"))
    assert kept.dtype == dtype
    assert torch.equal(kept, tensor)


def test_what_was_never_kept_is_none(tmp_path):
    assert EmbeddingCache(tmp_path).get(key("nothing")) is None


def test_a_damaged_entry_is_removed_and_not_returned(tmp_path, caplog):
    cache = EmbeddingCache(tmp_path)
    cache.put(key("a"), torch.ones(100))
    (path,) = tmp_path.glob("??/*.safetensors")
    for broken in (path.read_bytes()[:-1], b"", b"\0" * 500, b"\xff" * 500):
        path.write_bytes(broken)
        assert cache.get(key("a")) is None
        assert not path.exists()
    assert "damaged" in caplog.text


def test_a_pickle_under_an_entrys_name_is_not_executed(tmp_path):
    cache = EmbeddingCache(tmp_path / "cache")
    cache.put(key("a"), torch.ones(3))
    (path,) = (tmp_path / "cache").glob("??/*.safetensors")
    path.write_bytes(f"cos\nsystem\n(S'touch {tmp_path}/executed'\ntR.".encode())
    assert cache.get(key("a")) is None
    assert not (tmp_path / "executed").exists()


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX")
def test_a_process_killed_while_writing_leaves_no_half_entry(tmp_path):
    program = (
        "import os, signal, sys, torch\n"
        "from fusion.transformer.embedding_cache import EmbeddingCache\n"
        "cache = EmbeddingCache(sys.argv[1])\n"
        "cache.put(sys.argv[2], torch.ones(50))\n"
        "os.replace = lambda *paths: os.kill(os.getpid(), signal.SIGKILL)\n"
        "cache.put(sys.argv[3], torch.ones(50))\n"
    )
    killed = subprocess.run([sys.executable, "-c", program, str(tmp_path), key("a"), key("b")], cwd=ROOT, check=False)
    assert killed.returncode == -signal.SIGKILL
    (part,) = tmp_path.glob("??/.*.part")
    cache = EmbeddingCache(tmp_path)
    assert torch.equal(cache.get(key("a")), torch.ones(50))
    assert cache.get(key("b")) is None
    assert part.exists()  # it may belong to a process that still writes
    cache.put(key("b"), torch.zeros(50))
    assert torch.equal(cache.get(key("b")), torch.zeros(50))
    long_ago = time.time() - 7_200
    os.utime(part, (long_ago, long_ago))
    EmbeddingCache(tmp_path)
    assert not part.exists()


def test_the_entries_used_longest_ago_go_when_the_bound_is_reached(tmp_path):
    cache = EmbeddingCache(tmp_path, max_bytes=25_000)  # six entries of about 4 KB
    for number in range(5):
        cache.put(key(number), torch.full((1_000,), float(number)))
        long_ago = time.time() - 1_000 + number
        os.utime(tmp_path / key(number)[:2] / f"{key(number)}.safetensors", (long_ago, long_ago))
    assert cache.get(key(0)) is not None  # used now, so the next two are older
    for number in range(5, 8):
        cache.put(key(number), torch.full((1_000,), float(number)))
    assert sum(path.stat().st_size for path in tmp_path.glob("??/*.safetensors")) <= 25_000
    assert cache.get(key(0)) is not None
    assert cache.get(key(1)) is None
    assert cache.get(key(7)) is not None


def test_an_entry_above_the_bound_is_not_kept(tmp_path):
    cache = EmbeddingCache(tmp_path, max_bytes=100)
    cache.put(key("a"), torch.ones(1_000))
    assert len(cache) == 0


def test_a_disk_that_takes_no_more_costs_the_entry_only(tmp_path, monkeypatch, caplog):
    def full(source, target):
        raise OSError(28, "No space left on device")

    cache = EmbeddingCache(tmp_path)
    monkeypatch.setattr(os, "replace", full)
    cache.put(key("a"), torch.ones(3))
    assert cache.get(key("a")) is None
    assert "No space left" in caplog.text
    assert not list(tmp_path.glob("??/.*.part"))


def test_threads_may_share_a_cache(tmp_path):
    cache = EmbeddingCache(tmp_path, max_bytes=40_000)
    wrong = []

    def work(seed):
        for number in range(30):
            cache.put(key(number % 12), torch.full((1_000,), float(number % 12)))
            kept = cache.get(key((number + seed) % 12))
            if kept is not None and not torch.equal(kept, torch.full((1_000,), float((number + seed) % 12))):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_keys_are_hashes_and_never_paths(tmp_path):
    with pytest.raises(BarkError, match="64 hexadecimal"):
        EmbeddingCache(tmp_path).get("../../etc/passwd")


def test_the_bytes_of_a_tensor_tell_dtype_shape_and_values_apart():
    ones = torch.ones(2, 3)
    different = [ones, ones.T, ones.half(), ones.bfloat16(), torch.zeros(2, 3), torch.ones(6), torch.ones(2, 3).bool()]
    assert len({tensor_bytes(tensor) for tensor in different}) == len(different)
    assert tensor_bytes(torch.arange(6).reshape(2, 3).T.contiguous()) == tensor_bytes(torch.arange(6).reshape(2, 3).T)
