"""Sound files keep their samples, are whole or absent, and get names that no system refuses."""

from __future__ import annotations

import errno
import os
import stat
import unicodedata

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bark_infinity import audio as audio_module
from bark_infinity.audio import read_audio, resample, safe_stem, unique_path, write_audio
from bark_infinity.error_handling import BarkError

RATE = 24_000


def tone(n_samples=2_400, hz=440.0, rate=RATE):
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(n_samples) / rate)).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "form", "subtype", "error"),
    [
        ("a.wav", None, "PCM_16", 1 / 32_767),
        ("a.flac", None, "PCM_16", 1 / 32_767),
        ("a.WAV", "wav", "PCM_16", 1 / 32_767),
        ("a.wav", "wav-float", "FLOAT", 0.0),
    ],
)
def test_what_is_written_is_what_is_read(tmp_path, name, form, subtype, error):
    written = write_audio(tmp_path / "new folder" / name, tone(), RATE, format=form)
    assert (written.n_samples, written.sample_rate, written.n_clipped) == (2_400, RATE, 0)
    assert written.duration_s == pytest.approx(0.1)
    assert soundfile.info(written.path).subtype == subtype
    samples, rate = read_audio(written.path)
    assert (samples.dtype, samples.shape, rate) == (np.float32, (2_400,), RATE)
    assert np.abs(samples - tone()).max() <= error


def test_clipping_is_counted_and_limits_instead_of_wrapping_around(tmp_path, caplog):
    loud = np.array([0.0, 1.5, -2.0, 1.0, -1.0, 0.5], np.float32)
    assert write_audio(tmp_path / "a.wav", loud, RATE).n_clipped == 2
    assert "2 of 6 samples were clipped" in caplog.text
    pcm, _ = soundfile.read(tmp_path / "a.wav", dtype="int16")
    assert pcm.tolist() == [0, 32_767, -32_767, 32_767, -32_767, 16_384]
    assert write_audio(tmp_path / "b.wav", loud, RATE, format="wav-float").n_clipped == 0
    assert np.array_equal(read_audio(tmp_path / "b.wav")[0], loud)


def test_equal_audio_makes_equal_bytes(tmp_path):
    for form, suffix in (("wav", ".wav"), ("wav-float", ".wav"), ("flac", ".flac")):
        one = write_audio(tmp_path / f"1{form}{suffix}", tone(), RATE, format=form)
        two = write_audio(tmp_path / f"2{form}{suffix}", tone(), RATE, format=form)
        assert one.path.read_bytes() == two.path.read_bytes()


def test_a_file_is_replaced_only_on_request(tmp_path):
    path = tmp_path / "a.wav"
    write_audio(path, tone(10), RATE)
    with pytest.raises(BarkError, match="exists already"):
        write_audio(path, tone(20), RATE)
    assert read_audio(path)[0].size == 10
    write_audio(path, tone(20), RATE, overwrite=True)
    assert read_audio(path)[0].size == 20
    assert os.listdir(tmp_path) == ["a.wav"]


def test_a_file_system_without_hard_links_still_refuses_to_overwrite(tmp_path, monkeypatch):
    def no_links(*_):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(audio_module.os, "link", no_links)
    write_audio(tmp_path / "a.wav", tone(10), RATE)
    with pytest.raises(BarkError, match="exists already"):
        write_audio(tmp_path / "a.wav", tone(20), RATE)
    assert os.listdir(tmp_path) == ["a.wav"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_full_disk_leaves_no_partial_file(tmp_path, monkeypatch, overwrite):
    write_audio(tmp_path / "old.wav", tone(10), RATE)
    before = (tmp_path / "old.wav").read_bytes()

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(audio_module.os, "fsync", full)
    name = "old.wav" if overwrite else "new.wav"
    with pytest.raises(BarkError, match=r"No space left on device; make room"):
        write_audio(tmp_path / name, tone(), RATE, overwrite=overwrite)
    assert os.listdir(tmp_path) == ["old.wav"]
    assert (tmp_path / "old.wav").read_bytes() == before


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_files_get_the_permissions_that_the_user_asks_for(tmp_path):
    before = os.umask(0o027)
    try:
        path = write_audio(tmp_path / "a.wav", tone(), RATE).path
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.parametrize(
    ("name", "audio", "rate", "says"),
    [
        ("a.mp3", tone(), RATE, "audio format of a.mp3"),
        ("a", tone(), RATE, "audio format"),
        ("a.wav", np.zeros(0, np.float32), RATE, "not one sample"),
        ("a.wav", np.zeros((2, 5), np.float32), RATE, "mono"),
        ("a.wav", np.zeros(5, np.int16), RATE, "int16"),
        ("a.wav", np.array([np.inf], np.float32), RATE, "1 of 1 samples are NaN or infinite"),
        ("a.wav", tone(), 0, "sample_rate is 0"),
    ],
)
def test_what_cannot_be_written_is_refused_and_leaves_nothing(tmp_path, name, audio, rate, says):
    with pytest.raises(BarkError, match=says):
        write_audio(tmp_path / name, audio, rate)
    assert os.listdir(tmp_path) == []


def test_a_directory_that_is_a_file_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BarkError, match=r"cannot make the directory .*file: "):
        write_audio(tmp_path / "file" / "a.wav", tone(), RATE)


def test_channels_are_averaged_and_rates_changed(tmp_path):
    stereo = np.stack([tone(48_000, rate=48_000), np.zeros(48_000, np.float32)], axis=1)
    soundfile.write(tmp_path / "a.wav", stereo, 48_000, subtype="FLOAT")
    samples, rate = read_audio(tmp_path / "a.wav", RATE)
    assert rate == RATE
    assert samples.shape == (RATE,)
    middle = slice(2_000, 22_000)
    assert np.abs(samples[middle] - tone(RATE)[middle] / 2).max() < 1e-3


def test_resampling_keeps_the_pitch():
    there = resample(tone(44_100, rate=44_100), 44_100, RATE)
    assert there.dtype == np.float32
    assert np.argmax(np.abs(np.fft.rfft(there))) * RATE / there.size == pytest.approx(440, abs=1)
    with pytest.raises(BarkError, match="cannot resample from 0"):
        resample(tone(), 0, RATE)


@pytest.mark.parametrize("content", [b"", b"RIFF", b"RIFF\xff\xff\xff\xffWAVEfmt ", b"not sound at all" * 99])
def test_files_that_are_no_sound_are_refused(tmp_path, content):
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(BarkError, match="cannot be read as sound"):
        read_audio(tmp_path / "a.wav")


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
@given(cut=st.integers(0, 300), at=st.integers(0, 199), byte=st.integers(0, 255))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_file_reads_or_is_refused(tmp_path, suffix, cut, at, byte):
    path = tmp_path / f"a{suffix}"
    content = bytearray(write_audio(path, tone(128), RATE, overwrite=True).path.read_bytes())
    content[at % len(content)] = byte
    path.write_bytes(content[:cut] if cut % 2 else content)
    try:
        samples, rate = read_audio(path)
    except BarkError:
        return
    assert samples.ndim == 1
    assert samples.size <= 2 * 128, "no more than the file holds, whatever its header claims"
    assert np.isfinite(samples).all()
    assert rate >= 1


def test_missing_files_directories_and_overlong_files_are_refused(tmp_path, monkeypatch):
    with pytest.raises(BarkError, match="there is no file"):
        read_audio(tmp_path / "none.wav")
    with pytest.raises(BarkError, match="no regular file"):
        read_audio(tmp_path)
    path = write_audio(tmp_path / "a.wav", tone(), RATE).path
    monkeypatch.setattr(audio_module, "MAX_DURATION_S", 0.05)
    with pytest.raises(BarkError, match=r"lasts .* expected at most"):
        read_audio(path)
    monkeypatch.setattr(audio_module, "MAX_FILE_BYTES", 100)
    with pytest.raises(BarkError, match="expected a sound file of at most 100"):
        read_audio(path)


@pytest.mark.parametrize(
    ("text", "stem"),
    [
        ("Hello there", "Hello_there"),
        ("[laughs] What?! a/b\\c: <d>", "[laughs]_What_!_a_b_c_d"),
        ("../../etc/passwd", "etc_passwd"),
        ("♪ La la ♪", "♪_La_la_♪"),
        ("Cafe\u0301", "Café"),
        ("con", "x_con"),
        ("NUL.tar", "x_NUL.tar"),
        ("Com¹", "x_Com¹"),
        ("console", "console"),
        ("-rf .hidden. ", "rf_.hidden"),
        ("a\u202eb\x00c\ud800", "abc"),
        ("???", "audio"),
        ("", "audio"),
    ],
)
def test_names_say_what_the_text_says(text, stem):
    assert safe_stem(text) == stem


@given(text=st.text(max_size=200), limit=st.integers(8, 120))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_makes_a_name_that_every_system_takes(tmp_path, text, limit):
    stem = safe_stem(text, max_bytes=limit)
    assert 1 <= len(stem.encode()) <= limit
    assert safe_stem(stem, max_bytes=limit) == stem, "a safe name stays as it is"
    assert not set(stem) & set('<>:"/\\|?* ')
    assert all(unicodedata.category(char)[0] != "C" for char in stem)
    assert stem[0] not in ".-"
    assert stem[-1] not in ". "
    path = tmp_path / f"{stem}.wav"
    path.touch()
    assert path.name in os.listdir(tmp_path)


def test_taken_names_are_counted_up(tmp_path):
    names = []
    for _ in range(3):
        path = unique_path(tmp_path, "hello", ".wav")
        write_audio(path, tone(10), RATE)
        names.append(path.name)
    assert names == ["hello.wav", "hello_2.wav", "hello_3.wav"]
    assert unique_path(tmp_path, "hello", ".flac").name == "hello.flac"
    assert unique_path(tmp_path, "HELLO", ".wav").name == "HELLO_4.wav"
    assert unique_path(tmp_path, "hell", ".wav").name == "hell.wav"
    assert unique_path(tmp_path / "none yet", "hello", ".wav") == tmp_path / "none yet" / "hello.wav"
