"""What `bark_perform` is going to render: every clip with its text, seeds and files, settled before any work.

Light module: no torch, no weights, nothing written, so that a dry run is the plan itself.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from bark_infinity.error_handling import BarkError
from bark_infinity.perform.flags import FlagValues

if TYPE_CHECKING:
    from bark_infinity.bark_config import BarkConfig
    from bark_infinity.requests import RenderRequest, RenderSettings
    from bark_infinity.text_front_end import TextFrontEnd
    from bark_infinity.voices.history import VoiceHistory

MAX_PROMPT_FILE_BYTES = 16 * 2**20
SUFFIXES = (".wav", ".npz", ".json")  # of the files of one clip
_LATER_FORMATS = (".srt", ".jsonl", ".csv")
_TEMPLATE_FIELD = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True, eq=False)
class PlannedClip:
    """One clip to render.

    Attributes:
        number: From 1, through all prompts and iterations.
        iteration: From 0, of this prompt.
        seed: Of this clip; see `iteration_seed`.
        text_ids: What the checkpoint's front end makes of ``text``; None when it is not known.
        notices: Of the front end.
        stem: Name of its files, without suffix.
    """

    number: int
    text: str
    iteration: int
    seed: int
    voice_name: str | None
    directory: Path
    stem: str
    semantic_seed: int | None = None
    coarse_seed: int | None = None
    fine_seed: int | None = None
    text_ids: tuple[int, ...] = ()
    notices: tuple[str, ...] = ()

    @property
    def audio_path(self) -> Path:
        """Where the sound goes."""
        return self.directory / f"{self.stem}.wav"

    @property
    def voice_path(self) -> Path:
        """Where the voice goes."""
        return self.directory / f"{self.stem}.npz"

    @property
    def record_path(self) -> Path:
        """Where the record goes."""
        return self.directory / f"{self.stem}.json"

    def request(self, voice: VoiceHistory | None, settings: RenderSettings) -> RenderRequest:
        """What the engine is asked for."""
        from bark_infinity.requests import RenderRequest

        return RenderRequest(
            text=self.text if self.text_ids else None,
            text_ids=None if self.text_ids else (),  # only Confused Travolta Mode speaks without a text
            voice=voice,
            seed=self.seed,
            settings=settings,
            semantic_seed=self.semantic_seed,
            coarse_seed=self.coarse_seed,
            fine_seed=self.fine_seed,
        )


def iteration_seed(seed: int, iteration: int) -> int:
    """Seed of one iteration: ``seed`` itself for the first, afterwards a hash of both, below 2**48.

    The hash is the first six bytes, big-endian, of SHA-256 over ``"SEED:ITERATION"``. It does not depend on how
    many iterations there are, so any clip can be rendered again alone.
    """
    if iteration == 0:
        return seed
    return int.from_bytes(hashlib.sha256(f"{seed}:{iteration}".encode()).digest()[:6], "big")


def starting_seed(flags: FlagValues) -> int:
    """The given seed, or one drawn from the system's randomness."""
    given: int | None = flags["seed"]
    return secrets.randbits(32) if given is None else given


def read_prompts(flags: FlagValues, stdin: TextIO) -> list[str]:
    """Collects the prompts with their white space normalised.

    Raises:
        BarkError: When there is none, a file cannot be read, or a prompt is empty outside Confused Travolta Mode.
    """
    given: Sequence[str] = flags["text_prompt"]
    path: str | None = flags["prompt_file"]
    if given:
        texts = [stdin.read() if text == "-" else text for text in given]
    elif path is not None:
        texts = [_file_text(Path(path))]
    else:
        raise BarkError('there is no prompt; give --text_prompt "what to say" or --prompt_file FILE')
    prompts = [" ".join(text.split()) for text in texts]
    for number, prompt in enumerate(prompts, start=1):
        if not prompt and not flags["confused_travolta_mode"]:
            raise BarkError(
                f"prompt {number} is empty; give it a text, or --confused_travolta_mode to let the model find one"
            )
    return prompts


def plan_clips(
    flags: FlagValues,
    prompts: Sequence[str],
    seed: int,
    voice_name: str | None,
    today: date,
) -> list[PlannedClip]:
    """Plans prompts times iterations, each with free file names.

    Raises:
        BarkError: When a count is below 1, a seed is out of range, or the file name's template is wrong.
    """
    for name in ("output_iterations", "batch_size"):
        if flags[name] < 1:
            raise BarkError(f"--{name} is {flags[name]}, expected at least 1")
    for name in ("seed", "semantic_seed", "coarse_seed", "fine_seed"):
        value = flags[name]
        if value is not None and not 0 <= value < 2**64:
            raise BarkError(f"--{name} is {value}, expected an integer from 0 to 2**64 - 1")
    directory = Path(flags["output_dir"])
    if directory.exists() and not directory.is_dir():
        raise BarkError(f"--output_dir {directory} is a file, expected a folder; choose another name")
    taken = set() if flags["overwrite"] else _stems_in(directory)
    clips: list[PlannedClip] = []
    for text in prompts:
        for iteration in range(flags["output_iterations"]):
            number = len(clips) + 1
            clip_seed = iteration_seed(seed, iteration)
            name = file_stem(flags["output_filename"], text, voice_name, clip_seed, number, today)
            clips.append(
                PlannedClip(
                    number=number,
                    text=text,
                    iteration=iteration,
                    seed=clip_seed,
                    voice_name=voice_name,
                    directory=directory,
                    stem=_free(name, taken),
                    semantic_seed=flags["semantic_seed"],
                    coarse_seed=flags["coarse_seed"],
                    fine_seed=flags["fine_seed"],
                )
            )
    return clips


def count_tokens(
    clips: Sequence[PlannedClip], front_end: TextFrontEnd, limit: int, travolta: bool
) -> list[PlannedClip]:
    """Encodes every text and refuses what the checkpoint cannot take in.

    Args:
        clips: Of `plan_clips`.
        front_end: Of the checkpoint.
        limit: Slots of the text block.
        travolta: Whether a text may come to nothing.

    Raises:
        BarkError: When a text has more ids than slots, or none; says how many.
    """
    encodings = {text: front_end.encode(text) for text in {clip.text for clip in clips}}
    for clip in clips:
        n_tokens = len(encodings[clip.text].ids)
        if n_tokens > limit:
            raise BarkError(
                f"the text {_quoted(clip.text)} has {n_tokens} tokens, at most {limit} fit; shorten it to about "
                f"{len(clip.text) * limit // n_tokens} characters, or give it in parts with several --text_prompt"
            )
        if not n_tokens and not travolta:
            why = "; ".join(encodings[clip.text].notices) or "the checkpoint knows none of its characters"
            raise BarkError(f"the text {_quoted(clip.text)} has no token ({why}); write it with letters")
    return [
        dataclasses.replace(clip, text_ids=encodings[clip.text].ids, notices=encodings[clip.text].notices)
        for clip in clips
    ]


def longest_duration_s(config: BarkConfig, settings: RenderSettings) -> float:
    """Upper bound of one clip's length in seconds: the model's room, or the user's limits."""
    n_tokens = config.max_semantic_tokens
    if settings.semantic_max_tokens is not None:
        n_tokens = min(n_tokens, settings.semantic_max_tokens)
    if settings.semantic_max_gen_duration_s is not None:  # stage 1 may run one token past it
        n_tokens = min(n_tokens, int(settings.semantic_max_gen_duration_s * config.semantic.semantic_rate_hz) + 1)
    return config.space.frames_for(n_tokens) / config.coarse.coarse_rate_hz


def file_stem(template: str, text: str, voice_name: str | None, seed: int, number: int, today: date) -> str:
    """Fills the file name's template.

    Args:
        template: May hold {prompt} {voice} {seed} {date} {n} {sha}.
        text: The prompt; {sha} is the start of its SHA-256.
        voice_name: None is written "random".
        seed: Of the clip.
        number: Of the clip.
        today: For {date}.

    Raises:
        BarkError: When the template is empty, names a folder, or holds an unknown field.
    """
    from bark_infinity.audio import safe_stem

    if not template.strip() or "/" in template or os.sep in template:
        raise BarkError(f"--output_filename is {template!r}, expected a plain file name; folders go to --output_dir")
    fields = {
        "prompt": safe_stem(text, max_bytes=60) if text else "travolta",
        "voice": safe_stem(Path(voice_name).stem, max_bytes=40) if voice_name else "random",
        "seed": str(seed),
        "date": today.isoformat(),
        "n": f"{number:03d}",
        "sha": hashlib.sha256(text.encode()).hexdigest()[:8],
    }

    def value(match: re.Match[str]) -> str:
        if match[1] not in fields:
            known = " ".join(f"{{{name}}}" for name in fields)
            raise BarkError(f"--output_filename holds {match[0]}, expected only {known}")
        return fields[match[1]]

    plain = template.removesuffix(".wav")
    return safe_stem(_TEMPLATE_FIELD.sub(value, plain), max_bytes=200)


def _file_text(path: Path) -> str:
    if path.suffix.lower() in _LATER_FORMATS:
        raise BarkError(f"--prompt_file {path}: {path.suffix} files are not built yet; give plain UTF-8 text")
    try:
        with path.open("rb") as file:
            content = file.read(MAX_PROMPT_FILE_BYTES + 1)
        if len(content) > MAX_PROMPT_FILE_BYTES:
            raise BarkError(f"--prompt_file {path} is larger than {MAX_PROMPT_FILE_BYTES} bytes; give one prompt")
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BarkError(f"--prompt_file {path} is not UTF-8 (byte {error.start}); save it as UTF-8") from error
    except OSError as error:
        raise BarkError(f"--prompt_file {path} cannot be read: {error.strerror}; check the path") from error


def _stems_in(directory: Path) -> set[str]:
    """Stems of clip files in a folder, case-folded because some file systems ignore case."""
    if not directory.is_dir():
        return set()
    return {
        name[: -len(suffix)]
        for name in (entry.casefold() for entry in os.listdir(directory))
        for suffix in SUFFIXES
        if name.endswith(suffix)
    }


def _free(stem: str, taken: set[str]) -> str:
    """The stem itself or its first free ``stem_N``; takes it."""
    candidate, count = stem, 1
    while candidate.casefold() in taken:
        count += 1
        candidate = f"{stem}_{count}"
    taken.add(candidate.casefold())
    return candidate


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")
