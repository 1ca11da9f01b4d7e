"""What `bark_perform` leaves on disk for one clip: sound, voice, and a record with all that is needed to repeat it."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import math
import os
import platform
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bark_infinity.audio import write_audio
from bark_infinity.error_handling import BarkError
from bark_infinity.perform.plan import PlannedClip

if TYPE_CHECKING:
    from bark_infinity.requests import Rendering, RenderRequest, RenderSettings
    from bark_infinity.voices.history import VoiceHistory

RECORD_FORMAT = "bark_perform record 1"
_PACKAGES = ("victor-bark-fusion", "torch", "numpy", "transformers", "safetensors")


@dataclass(frozen=True)
class RunFacts:
    """What all clips of one run share.

    Attributes:
        starting_seed: The run's seed, from which the iterations' seeds are made.
        source: Checkpoint as it was asked for.
        family: Its short name.
        notices: What the user should know about it.
        file_hashes: SHA-256 by file name; empty for weights made in memory.
        settings: What every clip was rendered with.
    """

    starting_seed: int
    source: str
    family: str
    notices: tuple[str, ...]
    file_hashes: Mapping[str, str]
    device: str
    precision: str
    settings: RenderSettings
    voice: VoiceHistory | None


def save_clip(
    clip: PlannedClip, rendering: Rendering, facts: RunFacts, *, save_voice: bool, overwrite: bool
) -> dict[str, Any]:
    """Writes one clip's files: sound first, because it refuses a name that was taken meanwhile.

    Args:
        clip: What was planned.
        rendering: What came of it; it has audio.
        facts: Of the run.
        save_voice: Whether to write the .npz file.
        overwrite: Whether files may be replaced.

    Returns:
        The record, as it was written.

    Raises:
        BarkError: When a file cannot be written; says which.
    """
    assert rendering.audio is not None
    written = write_audio(clip.audio_path, rendering.audio, rendering.sample_rate, overwrite=overwrite)
    if save_voice:
        rendering.as_voice().save(clip.voice_path)
    record = clip_record(clip, rendering, facts)
    record["result"]["n_clipped_samples"] = written.n_clipped
    record["files"] = {"audio": clip.audio_path.name, "voice": clip.voice_path.name if save_voice else None}
    _write_json(clip.record_path, record)
    return record


def clip_record(clip: PlannedClip, rendering: Rendering, facts: RunFacts) -> dict[str, Any]:
    """The record of one clip: request, settings, checkpoint, versions and result, ready for JSON."""
    request: RenderRequest = clip.request(facts.voice, facts.settings)
    voice = facts.voice
    record = {
        "format": RECORD_FORMAT,
        "request": {
            "text": clip.text,
            "text_ids": list(clip.text_ids),
            "voice": None if voice is None else {"name": clip.voice_name, "sha256": voice.sha256},
            "seed": clip.seed,
            "semantic_seed": request.stage_seed("semantic"),
            "coarse_seed": request.stage_seed("coarse"),
            "fine_seed": request.stage_seed("fine"),
            "starting_seed": facts.starting_seed,
            "iteration": clip.iteration,
        },
        "settings": dataclasses.asdict(facts.settings),
        "checkpoint": {
            "source": facts.source,
            "family": facts.family,
            "notices": list(facts.notices),
            "sha256": dict(facts.file_hashes),
        },
        "engine": {"device": facts.device, "precision": facts.precision},
        "versions": _versions(),
        "result": {
            "stopped": rendering.stopped,
            "duration_s": round(rendering.duration_s, 3),
            "sample_rate": rendering.sample_rate,
            "n_semantic": int(rendering.tokens.semantic.size),
            "n_frames": int(rendering.tokens.fine.shape[-1]),
            "timings_s": dataclasses.asdict(rendering.timings),
            "stats": {stage: dataclasses.asdict(stats) for stage, stats in rendering.stats.items()},
            "notices": [*clip.notices, *(n for n in rendering.notices if n not in clip.notices)],
        },
    }
    result: dict[str, Any] = _without_nan(record)
    return result


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "not installed"  # run from a checkout
    return versions


def _without_nan(value: Any) -> Any:
    """JSON knows no NaN: what was not measured becomes null."""
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    part: str | None = None
    try:
        handle, part = tempfile.mkstemp(prefix=".", suffix=".part", dir=path.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(part, 0o644)
        os.replace(part, path)
    except OSError as error:
        if part is not None:
            Path(part).unlink(missing_ok=True)
        raise BarkError(f"cannot write {path}: {error.strerror}; check the folder and the disk") from error
