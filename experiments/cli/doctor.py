"""``doctor``: does this machine have what the lab needs? One line each: ok, warn or missing, with what to do."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bark_infinity.error_handling import BarkError
from experiments.cli.exits import FINE, NOT_FINE
from experiments.cli.terminal import Painted, Part, Style, Terminal, size

if TYPE_CHECKING:
    from experiments.cli.main import Verbs

State = Literal["ok", "warn", "missing"]

_STYLES: dict[State, Style] = {"ok": "good", "warn": "warn", "missing": "bad"}
_NEEDED = ("torch", "numpy", "transformers", "safetensors", "tokenizers", "librosa", "soxr", "soundfile", "deap")
_LITTLE_DISK, _LITTLE_MEMORY = 2e9, 1.5e9  # bytes
_OLDEST_SQLITE = (3, 37, 0)  # the first with STRICT tables
# Scripts that people's prompts use, and files that hold them, by the packages' and systems' own names.
_FONTS = {
    "Latin and Cyrillic": ("DejaVuSans.ttf", "segoeui.ttf", "Arial Unicode.ttf", "HelveticaNeue.ttc"),
    "Chinese, Japanese and Korean": ("NotoSansCJK-Regular.ttc", "malgun.ttf", "msyh.ttc", "AppleSDGothicNeo.ttc"),
    "Hindi": ("NotoSansDevanagari-Regular.ttf", "Nirmala.ttf", "Nirmala.ttc", "Devanagari Sangam MN.ttc"),
}
_FONT_FOLDERS = (
    "/usr/share/fonts",
    "/usr/local/share/fonts",
    "~/.local/share/fonts",
    "~/.fonts",
    "/System/Library/Fonts",
    "/Library/Fonts",
    "C:/Windows/Fonts",
)


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        what: Its name.
        state: ``missing`` only for what every run needs.
        found: What is there.
        advice: What to do; empty when it is ok.
    """

    what: str
    state: State
    found: str
    advice: str = ""


def add(verbs: Verbs) -> None:
    """Describes the verb to the parser."""
    verbs.add("doctor", doctor, "look at this machine: what is there, what is missing, what to do about it", json=True)


def doctor(args: argparse.Namespace, terminal: Terminal) -> int:
    """Looks; NOT_FINE when something is missing that every run needs."""
    findings = []
    for examine in _EXAMINATIONS:
        try:
            found = list(examine())
        except Exception as error:  # one broken library must not hide what else is wrong
            name = examine.__name__.strip("_").replace("_", " ")
            found = [Finding(name, "warn", f"{type(error).__name__}: {error}", "reinstall what it names")]
        findings += found
        if not args.json:
            _print(found, terminal)
    fine = not any(finding.state == "missing" for finding in findings)
    if args.json:
        terminal.json({"fine": fine, "findings": [vars(finding) for finding in findings]})
    else:
        counts = {state: sum(finding.state == state for finding in findings) for state in _STYLES}
        terminal.say(f"{counts['ok']} ok, {counts['warn']} to know about, {counts['missing']} missing")
    return FINE if fine else NOT_FINE


def _print(findings: list[Finding], terminal: Terminal) -> None:
    for finding in findings:
        line: list[Part] = [Painted(f"{finding.state:8}", _STYLES[finding.state]), f"{finding.what:20} ", finding.found]
        terminal.say(*line)
        if finding.advice:
            terminal.say(Painted(f"{'':29}-> {finding.advice}", "dim"))
    terminal.out.flush()


def _programs() -> Iterator[Finding]:
    import sqlite3

    version = sys.version.split()[0]
    fits = sys.version_info >= (3, 11)
    yield Finding("Python", "ok" if fits else "missing", f"{version} at {sys.executable}", "" if fits else "take 3.11")
    try:
        yield Finding("victor-bark-fusion", "ok", metadata.version("victor-bark-fusion"))
    except metadata.PackageNotFoundError:
        yield Finding("victor-bark-fusion", "ok", "run from a checkout, not installed")
    found, missing = [], []
    for package in _NEEDED:
        try:
            found.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            missing.append(package)
    yield Finding("libraries", "ok", ", ".join(found))
    if missing:
        yield Finding("libraries", "missing", ", ".join(missing), f"pip install {' '.join(missing)}")
    enough = sqlite3.sqlite_version_info >= _OLDEST_SQLITE
    yield Finding(
        "SQLite",
        "ok" if enough else "missing",
        sqlite3.sqlite_version,
        "" if enough else "the lineage needs 3.37 or later; take a newer Python",
    )


def _computing() -> Iterator[Finding]:
    if util.find_spec("torch") is None:
        return
    import torch

    cores = os.cpu_count() or 1
    yield Finding("threads", "ok", f"torch uses {torch.get_num_threads()} of {cores} cores")
    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            free, total = torch.cuda.mem_get_info(number)
            name = torch.cuda.get_device_name(number)
            yield Finding("device", "ok", f"cuda:{number} {name}, {size(free)} of {size(total)} free")
    elif torch.backends.mps.is_available():
        yield Finding("device", "ok", 'mps (Apple\'s GPU); used when SUNO_ENABLE_MPS=1 or device = "mps" says so')
    else:
        built = "without CUDA" if torch.version.cuda is None else f"for CUDA {torch.version.cuda}, no GPU found"
        yield Finding("device", "ok", f"CPU (torch {torch.__version__} is built {built}); enough for micro-Bark")
    from bark_infinity.memory import free_memory

    free = free_memory(torch.device("cpu"))
    little = free < _LITTLE_MEMORY
    yield Finding("memory", "warn" if little else "ok", f"{size(free)} free", "close something" if little else "")


def _disk() -> Iterator[Finding]:
    free = shutil.disk_usage(".").free
    little = free < _LITTLE_DISK
    advice = "free some space; a birth takes about 8 kB, a kept clip about 200 kB" if little else ""
    yield Finding("disk", "warn" if little else "ok", f"{size(free)} free in this folder", advice)


def _folders() -> Iterator[Finding]:
    from bark_infinity.checkpoints.digests import default_store_file
    from bark_infinity.voices.catalogue import user_voice_directory

    for what, folder in (
        ("this folder", Path()),
        ("folder for voices", user_voice_directory()),
        ("cache folder", default_store_file().parent),
    ):
        there = next(one for one in (folder.absolute(), *folder.absolute().parents) if one.exists())
        writable = os.access(there, os.W_OK) and there.is_dir()
        state: State = "ok" if writable else "warn"
        note = "" if folder.exists() else " (made when needed)"
        yield Finding(what, state, f"{folder.absolute()}{note}", "" if writable else f"{there} is not writable")


def _checkpoints() -> Iterator[Finding]:
    from bark_infinity.checkpoints.sources import locate
    from bark_infinity.environment import EnvironmentSwitches

    for source in ("micro", "suno/bark-small", "suno/bark"):
        try:
            location = locate(source, offline=True)
        except BarkError:
            if source == "micro":
                yield Finding("checkpoint", "missing", "micro is not in this installation", "reinstall the program")
            else:
                advice = f"only if you want it: hf download {source}"
                yield Finding("checkpoint", "ok", f"{source} is not on this machine", advice)
        else:
            yield Finding("checkpoint", "ok", f"{source} in {location.directory}")
    try:
        named = EnvironmentSwitches.read().model
    except BarkError as error:
        yield Finding("environment", "warn", str(error), "correct or unset the variable")
        return
    if named:
        yield Finding("environment", "ok", f"BARK_MODEL names {named}")


def _listening() -> Iterator[Finding]:
    from fusion.words.recognisers import default_recogniser

    recogniser = default_recogniser()
    if recogniser is None:
        yield Finding(
            "recogniser",
            "warn",
            "none: whether a clip says its text stays unknown",
            "pip install 'victor-bark-fusion[asr]'",
        )
    else:
        yield Finding("recogniser", "ok", recogniser.name)


def _playing() -> Iterator[Finding]:
    from experiments.cli.playback import find_player

    player = find_player()
    if player is None:
        yield Finding(
            "audio device",
            "warn",
            "none that plays; clips are written to files instead",
            "pip install 'victor-bark-fusion[playback]', or install alsa-utils; over ssh, copy the files",
        )
    else:
        yield Finding("audio device", "ok", player.name)


def _window() -> Iterator[Finding]:
    if util.find_spec("dearpygui") is None:
        yield Finding("window", "warn", "Dear PyGui is not installed", "pip install 'victor-bark-fusion[gui]'")
    else:
        yield Finding("window", "ok", f"Dear PyGui {metadata.version('dearpygui')}")
    if sys.platform == "linux":
        import ctypes.util

        screen = os.environ.get("WAYLAND_DISPLAY") or os.environ.get("DISPLAY")
        found = f"display {screen}" if screen else "no display: the window cannot open here"
        yield Finding(
            "screen", "ok" if screen else "warn", found, "" if screen else "ssh -X, or xvfb-run for --screenshot"
        )
        gl = ctypes.util.find_library("GL")
        yield Finding("OpenGL", "ok" if gl else "warn", gl or "libGL is not there", "" if gl else "apt install libgl1")
    names = {name for folder in _FONT_FOLDERS for _, _, files in os.walk(Path(folder).expanduser()) for name in files}
    for script, files in _FONTS.items():
        font = next((file for file in files if file in names), None)
        package = {"Hindi": "fonts-noto-core", "Latin and Cyrillic": "fonts-dejavu-core"}.get(script, "fonts-noto-cjk")
        yield Finding(
            "font",
            "ok" if font else "warn",
            f"{script}: {font or 'no font for the window'}",
            "" if font else f"apt install {package}",
        )


_EXAMINATIONS: tuple[Callable[[], Iterator[Finding]], ...] = (
    _programs,
    _computing,
    _disk,
    _folders,
    _checkpoints,
    _listening,
    _playing,
    _window,
)
