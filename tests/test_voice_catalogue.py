"""A name leads to the voice that is meant, or to a message that helps; never to a file outside the folders."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from bark_infinity.error_handling import BarkError, VoiceFormatError
from bark_infinity.tokens import SUNO_TOKENS
from bark_infinity.voices.catalogue import VoiceCatalogue, default_directories, hub_directories
from bark_infinity.voices.history import VoiceHistory

REPOSITORY = Path(__file__).parents[1]
REAL_VOICES = REPOSITORY.parent / "shared" / "voices"

needs_links = pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")


def voice_of(seed: int, n_semantic: int = 20) -> VoiceHistory:
    draws = np.random.default_rng(seed)
    fine = draws.integers(0, 1_024, (8, SUNO_TOKENS.frames_for(n_semantic)))
    return VoiceHistory(draws.integers(0, 10_000, n_semantic), fine[:2], fine)


def write_preset(folder: Path, name: str, voice: VoiceHistory) -> None:
    """As the hub holds presets: three .npy files."""
    for key, array in voice.to_arrays().items():
        path = folder / f"{name}_{key}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, array)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "library"
    for seed, name in enumerate(
        ["v2/en_speaker_10", "v2/en_speaker_2", "v2/de_speaker_2", "announcer", "micro/voices/ann"]
    ):
        voice_of(seed).save(root / f"{name}.npz")
    return root


@pytest.fixture(autouse=True)
def empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No voice of this machine's user is found."""
    home = tmp_path / "home"
    home.mkdir()
    for variable in ("BARK_VOICES", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME"):
        monkeypatch.delenv(variable, raising=False)
    for variable in ("HOME", "USERPROFILE", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(variable, str(home))
    monkeypatch.chdir(home)
    return home


def test_voices_are_listed_by_name_in_natural_order(folder: Path) -> None:
    (folder / "notes.txt").write_text("no voice")
    catalogue = VoiceCatalogue([folder])
    names = ["announcer", "micro/ann", "v2/de_speaker_2", "v2/en_speaker_2", "v2/en_speaker_10"]
    assert catalogue.names() == names
    entries = catalogue.list()
    assert [entry.name for entry in entries] == names
    assert [entry.language for entry in entries] == [None, None, "de", "en", "en"]
    assert entries[0].path == folder / "announcer.npz"
    assert entries[0].duration_s == pytest.approx(0.4)
    assert entries[0].family == "suno"
    assert entries[0].space == SUNO_TOKENS
    assert entries[0].sha256 == voice_of(3).sha256
    assert all(entry.problem is None for entry in entries)


@pytest.mark.parametrize(
    "name", ["v2/en_speaker_2", "en_speaker_2", "v2/en_speaker_2.npz", "en_speaker_2.npz", "v2\\en_speaker_2"]
)
def test_a_name_may_be_whole_short_or_with_its_suffix(folder: Path, name: str) -> None:
    voice = VoiceCatalogue([folder]).resolve(name)
    assert voice == voice_of(1)
    assert voice.origin == "v2/en_speaker_2"


def test_a_path_leads_to_its_file(folder: Path, tmp_path: Path) -> None:
    path = voice_of(9).save(tmp_path / "elsewhere.npz")
    catalogue = VoiceCatalogue([folder])
    assert catalogue.resolve(path) == voice_of(9)
    assert catalogue.resolve(str(path)) == voice_of(9)
    with pytest.raises(VoiceFormatError, match="there is no such file"):
        catalogue.resolve(str(tmp_path / "missing.npz"))


def test_a_hash_leads_to_its_voice(folder: Path) -> None:
    catalogue = VoiceCatalogue([folder])
    digits = voice_of(3).sha256
    assert catalogue.resolve(f"sha256:{digits}") == voice_of(3)
    assert catalogue.resolve(f"sha256:{digits[:8].upper()}").origin == "announcer"
    with pytest.raises(BarkError, match="6 to 64 hex digits"):
        catalogue.resolve(f"sha256:{digits[:5]}")
    with pytest.raises(BarkError, match=r"no voice has a hash that begins with 0123456789abcdef; searched: "):
        catalogue.resolve("sha256:0123456789abcdef")


def test_an_unknown_name_gets_the_three_nearest_and_the_folders(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BarkError) as raised:
        VoiceCatalogue([folder, tmp_path / "absent"]).resolve("en_speeker_2")
    message = str(raised.value)
    assert "there is no voice 'en_speeker_2', did you mean v2/en_speaker_2, " in message
    assert message.count("speaker_") == 3
    assert f"searched: {folder}, {tmp_path / 'absent'} (not there)" in message


def test_an_absent_preset_comes_with_the_command_that_fetches_it(folder: Path) -> None:
    with pytest.raises(BarkError, match=r'hf download suno/bark --include "speaker_embeddings/v2/fr_speaker_1_\*"'):
        VoiceCatalogue([folder]).resolve("v2/fr_speaker_1")


def test_a_short_name_that_several_voices_have_is_not_guessed(folder: Path) -> None:
    voice_of(8).save(folder / "old" / "en_speaker_2.npz")
    with pytest.raises(BarkError, match="several voices are called 'en_speaker_2': old/en_speaker_2, v2/en_speaker_2"):
        VoiceCatalogue([folder]).resolve("en_speaker_2")
    voice_of(7).save(folder / "en_speaker_2.npz")
    assert VoiceCatalogue([folder]).resolve("en_speaker_2") == voice_of(7)


@pytest.mark.parametrize(
    "name",
    [
        "../outside",
        "..",
        "v2/../../outside",
        "/etc/passwd",
        "C:/outside",
        "v2\\..\\..\\outside",
        "",
        "a\0b",
        "./announcer",
        "a//b",
    ],
)
def test_no_name_leads_out_of_the_folders(folder: Path, name: str) -> None:
    voice_of(6).save(folder.parent / "outside.npz")
    catalogue = VoiceCatalogue([folder])
    for ask in (catalogue.find, catalogue.resolve):
        with pytest.raises(BarkError, match="is no voice name"):
            ask(name)
    with pytest.raises(BarkError):
        catalogue.find(f"{name}.npz")
    with pytest.raises(BarkError):
        catalogue.find(str(folder / "announcer.npz"))


@needs_links
def test_links_that_leave_the_folder_are_not_followed(folder: Path) -> None:
    outside = voice_of(6).save(folder.parent / "secret" / "outside.npz")
    (folder / "linked.npz").symlink_to(outside)
    (folder / "inside.npz").symlink_to(folder / "announcer.npz")
    (folder / "linked_folder").symlink_to(outside.parent, target_is_directory=True)
    catalogue = VoiceCatalogue([folder])
    with pytest.raises(VoiceFormatError, match="the link leads out of"):
        catalogue.resolve("linked")
    assert catalogue.resolve("inside") == voice_of(3)
    assert "linked_folder/outside" not in catalogue.names()
    assert {entry.name for entry in catalogue.list() if entry.problem} == {"linked"}


def test_invalid_files_are_listed_with_their_reason(folder: Path) -> None:
    (folder / "broken.npz").write_bytes(b"PK\x03\x04")
    np.savez(folder / "half.npz", semantic_prompt=np.zeros(3, int))
    problems = {entry.name: entry for entry in VoiceCatalogue([folder]).list() if entry.problem}
    assert sorted(problems) == ["broken", "half"]
    assert "cut short" in str(problems["broken"].problem)
    assert "key coarse_prompt is missing" in str(problems["half"].problem)
    assert problems["half"].duration_s is None
    with pytest.raises(VoiceFormatError, match="key coarse_prompt is missing"):
        VoiceCatalogue([folder]).resolve("half")


def test_the_first_folder_wins_and_the_clash_is_recorded(folder: Path, tmp_path: Path) -> None:
    other = voice_of(9).save(tmp_path / "mine" / "announcer.npz")
    own_first = VoiceCatalogue([tmp_path / "mine", folder])
    assert own_first.resolve("announcer") == voice_of(9)
    assert own_first.list()[0].shadowed == (folder / "announcer.npz",)
    assert VoiceCatalogue([folder, tmp_path / "mine"]).list()[0].shadowed == (other,)


def test_repair_is_passed_on(folder: Path) -> None:
    arrays = dict(voice_of(5).to_arrays())
    np.savez(folder / "cloned.npz", **(arrays | {"semantic_prompt": np.append(arrays["semantic_prompt"], 1)}))
    with pytest.raises(VoiceFormatError, match="repair=True"):
        VoiceCatalogue([folder]).resolve("cloned")
    assert VoiceCatalogue([folder]).resolve("cloned", repair=True).repairs


def test_presets_of_three_npy_files_are_voices(tmp_path: Path) -> None:
    write_preset(tmp_path, "v2/ja_speaker_1", voice_of(1))
    write_preset(tmp_path, "v2/ja_speaker_2", voice_of(2))
    (tmp_path / "v2" / "ja_speaker_2_fine_prompt.npy").unlink()
    np.save(tmp_path / "weights.npy", np.zeros(3))
    catalogue = VoiceCatalogue([tmp_path])
    assert catalogue.names() == ["v2/ja_speaker_1", "v2/ja_speaker_2"]
    assert catalogue.resolve("v2/ja_speaker_1") == voice_of(1)
    problem = catalogue.list()[1].problem
    assert problem is not None
    assert "key fine_prompt is missing" in problem


@needs_links
def test_presets_in_the_hub_cache_are_found_without_the_network(empty_home: Path) -> None:
    repository = empty_home / "huggingface" / "hub" / "models--suno--bark"
    embeddings = repository / "snapshots" / "abc" / "speaker_embeddings"
    write_preset(repository / "blobs", "x", voice_of(4))
    embeddings.mkdir(parents=True)
    for number, blob in enumerate(sorted((repository / "blobs").iterdir())):
        key = blob.stem.removeprefix("x_")
        blob.rename(blob.with_name(f"blob{number}"))
        (embeddings / f"en_speaker_4_{key}.npy").symlink_to(Path("../../../blobs") / f"blob{number}")
    old = voice_of(5)
    write_preset(repository / "snapshots" / "aaa" / "speaker_embeddings", "en_speaker_4", old)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")
    assert hub_directories() == [embeddings, embeddings.parents[1] / "aaa" / "speaker_embeddings"]
    assert VoiceCatalogue().resolve("en_speaker_4") == voice_of(4)


def test_the_users_own_folders_come_first(folder: Path, empty_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BARK_VOICES", os.pathsep.join([str(folder), "~/more"]))
    directories = default_directories()
    assert directories[:3] == (folder, empty_home / "more", Path("custom_speakers"))
    assert directories[3].parts[-2:] == ("victor-bark-fusion", "voices")
    voice_of(11).save("custom_speakers/me.npz")
    assert VoiceCatalogue().resolve("me") == voice_of(11)
    assert VoiceCatalogue().resolve("announcer") == voice_of(3)


@pytest.mark.skipif(not REAL_VOICES.is_dir(), reason=f"no folder of real voices at {REAL_VOICES}")
def test_real_voices_resolve_by_name() -> None:
    catalogue = VoiceCatalogue([REAL_VOICES])
    assert catalogue.resolve("en_speaker_6").semantic.size == 309
    assert {entry.problem for entry in catalogue.list()} == {None}
    assert {entry.language for entry in catalogue.list()} == {None, "de", "en", "es", "fr", "hi", "ja", "ko", "zh"}


def test_three_hundred_voices_are_listed_in_a_moment(tmp_path: Path) -> None:
    content = voice_of(1, 300).to_bytes()
    for number in range(300):
        (tmp_path / f"{number}.npz").write_bytes(content)
    begin = time.process_time()
    assert len(VoiceCatalogue([tmp_path]).list()) == 300
    assert time.process_time() - begin < 2.0


def test_the_catalogue_loads_nothing_heavy() -> None:
    program = (
        "import sys; from bark_infinity.voices.catalogue import VoiceCatalogue; VoiceCatalogue().list(); "
        "print([m for m in ('torch', 'transformers', 'huggingface_hub', 'scipy') if m in sys.modules])"
    )
    told = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        check=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
    )
    assert told.stdout.strip() == "[]"
