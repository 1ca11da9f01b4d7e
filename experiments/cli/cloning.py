"""``clone``: a recording becomes a voice that can be named here.

Everything that can be wrong with the recording, the words and the file is said before a model is loaded. The voice
lies where the window's clones lie, with the same note, and the last line is a command that lets it speak.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bark_infinity.error_handling import BarkError
from experiments.cli.exits import FINE
from experiments.cli.terminal import Painted, Terminal

if TYPE_CHECKING:
    from experiments.cli.main import Verbs


def add(verbs: Verbs) -> None:
    """Describes the verb to the parser."""
    parser = verbs.add("clone", clone, "make a voice of a recording, and keep it", json=True)
    parser.add_argument(
        "recording", metavar="RECORDING", type=Path, help="1 to 14 seconds of one person: wav, flac, ogg, mp3, aiff"
    )
    parser.add_argument("--text", metavar="WORDS", required=True, help="what is said in it, word for word")
    parser.add_argument(
        "--model",
        metavar="CHECKPOINT",
        default="micro",
        help="whose voice it becomes: a Hugging Face id or a folder (default: micro)",
    )
    parser.add_argument("--name", metavar="NAME", help="what it is called (without: as the recording)")
    parser.add_argument(
        "-o", "--output", metavar="FILE", type=Path, help="save it as this .npz file (without: among your voices)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace FILE if it is there")


def clone(args: argparse.Namespace, terminal: Terminal) -> int:
    """Makes, keeps and tries a voice."""
    from bark_infinity.audio import read_audio
    from experiments import trusted_engines
    from experiments.cloning import keep_clone, require_recording
    from experiments.events import Clip
    from experiments.voice_shelf import VoiceShelf

    recording = Clip(*read_audio(args.recording))
    require_recording(recording, args.text)
    if args.output is not None:
        _require_room(args.output, overwrite=args.overwrite)

    from bark_infinity.engine import BarkEngine  # loads torch
    from experiments.audition import TEXT, Audition

    complain = Terminal.of(sys.stderr)
    complain.say(f"loading {args.model}, then making the voice")
    shelf = VoiceShelf()
    with contextlib.closing(BarkEngine.load(args.model)) as engine:
        trusted_engines.named([trusted_engines.Model(args.model)])
        kept = keep_clone(
            Audition(lambda: engine),
            shelf,
            recording,
            args.text,
            args.name or args.recording.stem,
            checkpoint=engine.source,
            says=TEXT,
            to=args.output,
        )
    path = next((entry.path for entry in shelf.catalogue.list() if entry.name == kept.name), Path(kept.name))
    next_words = ["bark_perform", "--model", args.model, "--history_prompt", kept.name, "--text_prompt", TEXT]
    if kept.trouble:
        complain.say(Painted("warning: ", "warn"), f"the voice is kept, but {kept.trouble}")
    if args.json:
        terminal.json(
            {
                "name": kept.name,
                "path": path.absolute(),
                "sha256": kept.voice.sha256,
                "family": kept.voice.family,
                "duration_s": kept.voice.duration_s,
                "recorded_hz": kept.recorded_hz,
                "spoken_hz": kept.spoken_hz,
                "trouble": kept.trouble or None,
                "hear": next_words,
            }
        )
        return FINE
    about = f"{kept.voice.duration_s:.1f} s, for {kept.voice.family} checkpoints"
    terminal.say("voice    ", Painted(kept.name, "bold"), f"  {about}")
    if kept.pitches:
        terminal.say(f"pitch    {kept.pitches}")
    terminal.say("file     ", Painted(str(path), "accent"))
    terminal.say("hear it  ", Painted(shlex.join(next_words), "accent"))
    return FINE


def _require_room(path: Path, *, overwrite: bool) -> None:
    """Refuses a file that could not be written, or should not be."""
    if path.suffix != ".npz":
        raise BarkError(f"{path}: a voice's file ends with .npz; name it so")
    if path.is_dir() or (path.exists() and not overwrite):
        raise BarkError(f"{path} is there already; choose another name{'' if path.is_dir() else ', or --overwrite'}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BarkError(f"the folder {path.parent} cannot be made: {error.strerror}; choose another") from error
    if not os.access(path.parent, os.W_OK):
        raise BarkError(f"the folder {path.parent} cannot be written; choose another")
