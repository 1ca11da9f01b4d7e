"""Models and recordings that the person at this machine has named; no lineage file from elsewhere chooses for them.

A lineage file names the checkpoint that its runs speak with, and models that judge and vary: Hugging Face ids, which
may have to be downloaded, or folders. Its objectives name recordings, voices and folders that clips are compared with.
Reading one never executes code, but what is fetched and what is opened is a person's to say. Whoever begins a run with
something has named it; what only a file names is asked for once (``bark-lab trust``). Names are compared as text,
because looking at a path can already mean asking another machine for it.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from bark_infinity.error_handling import BarkError

if TYPE_CHECKING:
    from experiments.config import RunConfig

logger = logging.getLogger(__name__)

FREE = ("micro", "random-tiny", "suno-legacy")  # shipped, made up, and the original package's own folder
_LARGEST_BYTES = 1 << 20


@dataclass(frozen=True)
class Model:
    """A model as a configuration names it.

    Attributes:
        name: A Hugging Face id or a folder.
        base: Where a relative folder begins.
        speaks: Whether it is a Bark checkpoint, of which some are shipped.
    """

    name: str
    base: str = "."
    speaks: bool = True

    @property
    def free(self) -> bool:
        """Whether it may be opened whoever names it."""
        return self.speaks and self.name in FREE

    @property
    def place(self) -> str:
        """Where it is if it is a folder."""
        return os.path.abspath(os.path.join(self.base, self.name))

    @property
    def keys(self) -> tuple[str, ...]:
        """Under which names it may have been remembered: one that may be a Hub id or a folder under both."""
        may_be_an_id = self.name.count("/") <= 1 and not self.name.startswith((".", "/", "~"))
        return (self.name, self.place) if may_be_an_id else (self.place,)

    @property
    def told(self) -> str:
        """What a run does with it, for messages."""
        where = "a folder" if len(self.keys) == 1 else "to be looked for here, then on the Hugging Face Hub"
        what = "speaks with the checkpoint" if self.speaks else "judges or varies with the model"
        return f"{what} {self.name} ({where})"


@dataclass(frozen=True)
class Reference:
    """What an objective compares clips with: a recording, a voice, a folder of clips or a saved preference.

    Attributes:
        name: A path, or the name of a voice.
        base: Where a relative path begins.
        voice: Whether it may be the name of a voice.
    """

    name: str
    base: str
    voice: bool

    free = False  # even a voice's name is looked for as a path first

    @property
    def place(self) -> str:
        """Where it is if it is a path."""
        return os.path.abspath(os.path.join(self.base, os.path.expanduser(self.name)))

    @property
    def keys(self) -> tuple[str, ...]:
        """Under which name it may have been remembered: the path, as a voice is looked for there first."""
        return (self.place,)

    @property
    def told(self) -> str:
        """What a run does with it, for messages."""
        may_be_a_voice = self.voice and not os.path.splitext(self.name)[1] and not self.name.startswith((".", "/", "~"))
        return f"compares clips with {self.name} ({self.place}{', or a voice here' if may_be_a_voice else ''})"


Opened = Model | Reference


def opened_by(config: RunConfig, base: Path) -> Iterator[Opened]:
    """What a run opens: what speaks first, then the models that judge and vary, and what clips are compared with.

    Args:
        config: The run's.
        base: Where the relative paths of judges and objectives begin.
    """
    yield Model(config.model.checkpoint)
    if config.variation.masked_lm:
        yield Model(config.variation.masked_lm, speaks=False)
    for name in config.judge.models():
        kind, colon, source = name.partition(":")
        if colon and kind in ("bark", "bark-codec"):
            yield Model(source)
        else:
            yield Model(os.path.expanduser(name), str(base), speaks=False)
    for one in config.judge.comparisons():
        if one.reference:
            yield Reference(one.reference, str(base), voice=one.name == "similarity")


def trust(name: str) -> None:
    """Remembers that a person has named a model, or a path of any kind.

    Raises:
        BarkError: When that cannot be written down.
    """
    _remember(Model(name))


def named(begun_with: Iterable[Opened]) -> None:
    """Remembers what a run begins with; where that cannot be written, the run goes on without."""
    try:
        for one in begun_with:
            _remember(one)
    except BarkError as error:
        logger.warning("%s", error)


def is_trusted(one: Opened) -> bool:
    """Whether it is one that may be opened whoever names it."""
    return one.free or not known().isdisjoint(one.keys)


def require_trusted(checkpoint: str, whose: str) -> None:
    """Refuses a checkpoint that only a file has named so far.

    Args:
        checkpoint: As the file names it.
        whose: What speaks with it, for the message.

    Raises:
        BarkError: With the words that allow it.
    """
    _require(Model(checkpoint), whose)


def require_run_trusted(config: RunConfig, base: Path, whose: str) -> None:
    """Refuses a run of which only a file has named something that it opens; see `opened_by`.

    Args:
        config: As the file has it.
        base: As the file has it: where relative paths begin.
        whose: For the message.

    Raises:
        BarkError: With the words that allow it.
    """
    for one in opened_by(config, base):
        _require(one, whose)


def _require(one: Opened, whose: str) -> None:
    if is_trusted(one):
        return
    import shlex

    raise BarkError(
        f"{whose} {one.told}, which you have not named on this machine before; if you know it, say so once: "
        f"{shlex.join(['bark-lab', 'trust', one.keys[0]])}"
    )


def _remember(one: Opened) -> None:
    if is_trusted(one):
        return
    file = _file()
    # What is there now is that folder or file, not a Hub id or a voice of the same name.
    meant = one.place if os.path.exists(one.place) else one.keys[0]
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a", encoding="ascii") as lines:
            lines.write(json.dumps(meant) + "\n")
    except OSError as error:
        raise BarkError(
            f"{file} cannot be written ({error.strerror}), so {one.name} is not remembered; make its folder writable"
        ) from error


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


def _file() -> Path:
    return Path(platformdirs.user_state_dir("victor-bark-fusion", appauthor=False)) / "engines.jsonl"
