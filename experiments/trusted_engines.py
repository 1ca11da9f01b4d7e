"""Models that the person at this machine has named; no lineage file from elsewhere chooses one for them.

A lineage file names the checkpoint that its runs speak with, and models that judge and vary: Hugging Face ids, which
may have to be downloaded, or folders. Loading one never executes code, but what is fetched and which folder is opened
is a person's to say. Whoever begins a run with a model has named it; one that only a file names is asked for once
(``bark-lab trust``). Names are compared as text, because looking at a path can already mean asking another machine for
it.
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
    def folder(self) -> str:
        """What it is if it is a folder."""
        return os.path.abspath(os.path.join(self.base, self.name))

    @property
    def keys(self) -> tuple[str, ...]:
        """Under which names it may have been remembered: one that may be a Hub id or a folder under both."""
        may_be_an_id = self.name.count("/") <= 1 and not self.name.startswith((".", "/", "~"))
        return (self.name, self.folder) if may_be_an_id else (self.folder,)


def models_of(config: RunConfig, base: Path) -> Iterator[Model]:
    """The models that a run opens: what speaks first, then those that judge and vary.

    Args:
        config: The run's.
        base: Where the relative folders of judges begin.
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


def trust(name: str) -> None:
    """Remembers that a person has named a model.

    Raises:
        BarkError: When that cannot be written down.
    """
    _remember(Model(name))


def named(models: Iterable[Model]) -> None:
    """Remembers the models that a run begins with; where that cannot be written, the run goes on without."""
    try:
        for model in models:
            _remember(model)
    except BarkError as error:
        logger.warning("%s", error)


def is_trusted(model: Model) -> bool:
    """Whether it is one that may be opened whoever names it."""
    return model.free or not known().isdisjoint(model.keys)


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
    """Refuses a run of which only a file has named a model so far, be it one that judges.

    Args:
        config: As the file has it.
        base: As the file has it: where relative folders begin.
        whose: For the message.

    Raises:
        BarkError: With the words that allow it.
    """
    for model in models_of(config, base):
        _require(model, whose)


def _require(model: Model, whose: str) -> None:
    if is_trusted(model):
        return
    import shlex

    where = "a folder" if len(model.keys) == 1 else "to be looked for here, then on the Hugging Face Hub"
    what = "speaks with the checkpoint" if model.speaks else "judges or varies with the model"
    raise BarkError(
        f"{whose} {what} {model.name} ({where}), which you have not named on this machine before; if you know it, say "
        f"so once: {shlex.join(['bark-lab', 'trust', model.keys[0]])}"
    )


def _remember(model: Model) -> None:
    if is_trusted(model):
        return
    file = _file()
    # A folder that is there now is that folder, not a Hub id of the same name in another place.
    meant = model.folder if os.path.isdir(model.folder) else model.keys[0]
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a", encoding="ascii") as lines:
            lines.write(json.dumps(meant) + "\n")
    except OSError as error:
        raise BarkError(
            f"{file} cannot be written ({error.strerror}), so {model.name} is not remembered; make its folder writable"
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
