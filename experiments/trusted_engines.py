"""Checkpoints that the person at this machine has named; no lineage file from elsewhere chooses one for them.

A lineage file names the checkpoint that its runs speak with: a Hugging Face id, which may have to be downloaded, or a
folder. Loading one never executes code, but what is fetched and which folder is opened is a person's to say. Whoever
begins a run with a checkpoint has named it; one that only a file names is asked for once (``bark-lab trust``). Names
are compared as text, because looking at a path can already mean asking another machine for it.
"""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

import platformdirs

from bark_infinity.error_handling import BarkError

logger = logging.getLogger(__name__)

FREE = ("micro", "random-tiny", "suno-legacy")  # shipped, made up, and the original package's own folder
_LARGEST_BYTES = 1 << 20


def trust(checkpoint: str) -> None:
    """Remembers that a person has named a checkpoint.

    Raises:
        BarkError: When that cannot be written down.
    """
    if is_trusted(checkpoint):
        return
    file = _file()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a", encoding="ascii") as lines:
            # A folder that is there now is that folder, not a Hub id of the same name in another place.
            meant = os.path.abspath(checkpoint) if os.path.isdir(checkpoint) else _keys(checkpoint)[0]
            lines.write(json.dumps(meant) + "\n")
    except OSError as error:
        raise BarkError(
            f"{file} cannot be written ({error.strerror}), so {checkpoint} is not remembered; make its folder writable"
        ) from error


def named(checkpoint: str) -> None:
    """Remembers a checkpoint that a run begins with; where that cannot be written, the run goes on without."""
    try:
        trust(checkpoint)
    except BarkError as error:
        logger.warning("%s", error)


def is_trusted(checkpoint: str) -> bool:
    """Whether it is one that may be opened whoever names it."""
    return checkpoint in FREE or not known().isdisjoint(_keys(checkpoint))


def require_trusted(checkpoint: str, whose: str) -> None:
    """Refuses a checkpoint that only a file has named so far.

    Args:
        checkpoint: As the file names it.
        whose: What speaks with it, for the message.

    Raises:
        BarkError: With the words that allow it.
    """
    if is_trusted(checkpoint):
        return
    import shlex

    where = "a folder" if len(_keys(checkpoint)) == 1 else "to be looked for here, then on the Hugging Face Hub"
    raise BarkError(
        f"{whose} speaks with the checkpoint {checkpoint} ({where}), which you have not named on this machine "
        f"before; if you know it, say so once: {shlex.join(['bark-lab', 'trust', checkpoint])}"
    )


def known() -> frozenset[str]:
    """What was named so far; unreadable lines count for nothing."""
    try:
        with _file().open("rb") as file:
            lines = file.read(_LARGEST_BYTES).splitlines()
    except OSError:
        return frozenset()
    found = set()
    for line in lines:
        try:
            name = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(name, str):
            found.add(name)
    return frozenset(found)


def _keys(checkpoint: str) -> tuple[str, ...]:
    """Under which names it may have been remembered: a name that may be a Hub id or a folder under both."""
    folder = os.path.abspath(checkpoint)
    may_be_an_id = checkpoint.count("/") == 1 and not checkpoint.startswith((".", "/"))
    return (checkpoint, folder) if may_be_an_id else (folder,)


def _file() -> Path:
    return Path(platformdirs.user_state_dir("victor-bark-fusion", appauthor=False)) / "engines.jsonl"
