"""What the window remembers between two starts, in the platform's folder for settings.

A file that cannot be read is put aside and replaced by the defaults, with one sentence: settings never keep the window
from opening.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import platformdirs

from experiments.board.cards import DENSITIES
from window.palette import ThemeName

SCALES = (0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0)
_LARGEST_BYTES = 1 << 16


@dataclass(frozen=True)
class Settings:
    """All that is remembered.

    Attributes:
        theme: ``dark`` or ``light``.
        scale: Real pixels per pixel of the design; 0 asks the desktop.
        density: Cards on the board.
        device: Where the engine runs: ``auto``, ``cpu``, ``cuda``, ``mps``.
        output_folder: Where clips, voices and new lineages are saved; empty: ``Victor Bark Fusion`` among documents.
        lineage: The file that was open last.
    """

    theme: ThemeName = "dark"
    scale: float = 0.0
    density: int = DENSITIES[0]
    device: str = "auto"
    output_folder: str = ""
    lineage: str = ""

    @property
    def folder(self) -> Path:
        """Where things are saved."""
        return Path(self.output_folder).expanduser() if self.output_folder else _default_folder()


def _default_folder() -> Path:
    return Path(platformdirs.user_documents_dir()) / "Victor Bark Fusion"


def settings_path() -> Path:
    """Where settings are kept."""
    return Path(platformdirs.user_config_dir("victor-bark-fusion", appauthor=False)) / "window.json"


def load(path: Path) -> tuple[Settings, str]:
    """Reads settings.

    Returns:
        Them, and a sentence when something was wrong; the defaults stand in for what is wrong.
    """
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise ValueError("it is far too large")
        given = json.loads(path.read_text("utf-8"))
        if not isinstance(given, dict):
            raise ValueError("it holds no settings")
    except FileNotFoundError:
        return Settings(), ""
    except (OSError, ValueError, RecursionError) as error:
        return Settings(), f"the settings in {path} could not be read ({error}); the window uses its defaults"
    values, refused = {}, []
    for field in dataclasses.fields(Settings):
        if field.name in given:
            if _fits(field.name, given[field.name]):
                values[field.name] = given[field.name]
            else:
                refused.append(field.name)
    said = f"settings {', '.join(refused)} in {path} make no sense; the window uses its defaults" if refused else ""
    return Settings(**values), said


def _fits(name: str, value: Any) -> bool:
    match name:
        case "theme":
            return value in get_args(ThemeName)
        case "scale":
            return type(value) in (int, float) and (value == 0 or (math.isfinite(value) and 0.5 <= value <= 4))
        case "density":
            return type(value) is int and value in DENSITIES
        case _:
            return isinstance(value, str) and len(value) < 4096 and "\0" not in value


def save(settings: Settings, path: Path) -> str:
    """Writes settings; returns a sentence when that was not possible."""
    part = path.with_suffix(".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(dataclasses.asdict(settings), indent=1), "utf-8")
        os.replace(part, path)
    except OSError as error:
        return f"settings could not be saved to {path}: {error.strerror or error}"
    return ""
