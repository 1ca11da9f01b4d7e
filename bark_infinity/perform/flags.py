"""`bark_perform`'s flags as one table, from which the parser, ``--help`` and the docs' table are made.

Names are Bark Infinity's. A flag of theirs that is not built yet stands in the table too, so that it is
refused by name instead of being taken and ignored. Light module: only the standard library, because
``--help`` waits for it.
"""

from __future__ import annotations

import argparse
import difflib
import math
import re
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn

from bark_infinity.environment import NO_WORDS, YES_WORDS, read_switch
from bark_infinity.error_handling import BarkError

Kind = Literal["text", "integer", "number", "switch", "choice"]

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
CHECKPOINTS_OWN = "the checkpoint's own"


@dataclass(frozen=True)
class Flag:
    """One flag.

    Attributes:
        name: Without dashes; every underscore may also be written as a dash.
        kind: How its value is read.
        help: One sentence.
        default: What holds when the flag is not given.
        default_text: Replaces ``default`` in the help.
        feeds: The field it sets of `RenderSettings` ("settings.NAME") or `RenderRequest` ("request.NAME"); empty
            when it has a meaning of its own.
        choices: Of a choice.
        optional: Takes the literal ``none``.
        repeatable: May be given several times; its value is a tuple.
        aliases: Other names of the same flag.
        only: The one value of a switch that is built; None when both are.
        built: False refuses the flag by name.
    """

    name: str
    kind: Kind
    help: str
    default: Any = None
    default_text: str = ""
    feeds: str = ""
    choices: tuple[str, ...] = ()
    optional: bool = False
    repeatable: bool = False
    aliases: tuple[str, ...] = ()
    only: bool | None = None
    built: bool = True

    def shown_default(self) -> str:
        """The default as help and docs print it."""
        if self.default_text:
            return self.default_text
        return "none" if self.default in (None, ()) else str(self.default).lower()


def _setting(name: str, kind: Kind, text: str, default_text: str = CHECKPOINTS_OWN, **more: Any) -> Flag:
    return Flag(name, kind, text, default_text=default_text, feeds=f"settings.{name}", **more)


def _later(name: str, text: str) -> Flag:
    return Flag(name, "text", text, built=False)


GROUPS: dict[str, tuple[Flag, ...]] = {
    "Input": (
        Flag(
            "text_prompt",
            "text",
            "What to say; repeat it for several prompts, '-' reads one from standard input.",
            default=(),
            repeatable=True,
            feeds="request.text",
        ),
        Flag("prompt_file", "text", "UTF-8 text file that holds one prompt; not read when --text_prompt is given."),
        Flag(
            "history_prompt",
            "text",
            "Voice to speak with: a name of --list_speakers or the path of an .npz file.",
            optional=True,
            default_text="none: the model chooses a voice",
            feeds="request.voice",
        ),
        Flag("list_speakers", "switch", "List the voices that can be named, and stop.", default=False),
        Flag(
            "dry_run",
            "switch",
            "Show token counts, seeds, longest duration and output paths; load and write nothing.",
            default=False,
        ),
        _later("split_input_into_separate_prompts_by", "Split the prompt file into separate prompts."),
        _later("split_input_into_separate_prompts_by_value", "Count, literal or pattern of that split."),
        _later("text_splits_only", "Show how a long text would be split, and stop."),
        _later("audio_file_as_history_prompt", "Recording to take the voice from."),
        _later("bark_speaker_as_the_prompt", "Say again what a voice file says."),
        _later("prompt_text_prefix", "Text before every prompt."),
        _later("prompt_text_suffix", "Text after every prompt."),
        _later("demo", "Render the built-in prompts."),
    ),
    "Output": (
        Flag("output_dir", "text", "Folder for the clips; it is created when needed.", default="bark_samples"),
        Flag(
            "output_filename",
            "text",
            "File name without suffix; may hold {prompt} {voice} {seed} {date} {n} {sha}.",
            default="{prompt}-{voice}-{seed}",
            default_text="{prompt}-{voice}-{seed}",
        ),
        Flag(
            "overwrite",
            "switch",
            "Replace files of the same name instead of counting up to a free one.",
            default=False,
        ),
        Flag(
            "output_iterations",
            "integer",
            "Clips per prompt; iteration i uses a seed made from (seed, i).",
            default=1,
        ),
        Flag("always_save_speaker", "switch", "Save the voice of every clip as .npz beside it.", default=True),
        Flag("json", "switch", "Print one JSON object for programs on standard output.", default=False),
        Flag(
            "silent",
            "switch",
            "No progress bar and no line per clip; failures are still told.",
            default=False,
        ),
        Flag("loglevel", "choice", "Least severe log message to show.", default="WARNING", choices=LOG_LEVELS),
        _later("hoarder_mode", "Keep every segment and its voice in a folder."),
        _later("extra_stats", "Token statistics in the file name."),
        _later("speaker_from", "Which segment's voice a long clip saves."),
        _later("show_generation_times", "Print how long each stage took."),
        _later("output_format", "Audio format other than wav."),
        _later("output_format_ffmpeg_parameters", "Parameters for ffmpeg."),
    ),
    "Model": (
        Flag(
            "model",
            "text",
            "Checkpoint: suno/bark, suno/bark-small, micro, random-tiny (noise), or a directory.",
            default_text="$BARK_MODEL, else suno/bark if it is in the cache, else micro",
        ),
        Flag("device", "text", "auto, cpu, cuda, cuda:N or mps.", default="auto"),
        Flag(
            "precision",
            "choice",
            "Arithmetic of the three GPTs.",
            default="auto",
            choices=("auto", "fp32", "bf16", "fp16"),
        ),
        Flag(
            "batch_size",
            "integer",
            "Clips rendered together; changes speed and memory, never a token.",
            default=16,
        ),
        Flag(
            "use_smaller_models",
            "switch",
            "suno/bark-small instead of suno/bark; of a folder with .pt files of both sizes, the small ones.",
            default_text="$SUNO_USE_SMALL_MODELS",
            aliases=("USE_SMALL_MODELS", "SUNO_USE_SMALL_MODELS"),
        ),
        Flag(
            "OFFLOAD_CPU",
            "switch",
            "Keep only the running stage on the GPU.",
            default_text="$SUNO_OFFLOAD_CPU",
            aliases=("offload_cpu", "SUNO_OFFLOAD_CPU"),
        ),
        Flag(
            "GLOBAL_ENABLE_MPS",
            "switch",
            "Let --device auto take Apple's GPU.",
            default_text="$SUNO_ENABLE_MPS",
            aliases=("global_enable_mps", "SUNO_ENABLE_MPS"),
        ),
        *(
            Flag(
                f"{part}_use_gpu",
                "switch",
                f"Run {part} on the GPU; all four parts must agree yet.",
                default=True,
            )
            for part in ("text", "coarse", "fine", "codec")
        ),
        *(
            Flag(
                f"{part}_use_small",
                "switch",
                f"Small {part} model; all three must agree yet.",
                default=False,
                default_text="$SUNO_USE_SMALL_MODELS",
            )
            for part in ("text", "coarse", "fine")
        ),
        Flag(
            "force_reload",
            "switch",
            "Load the weights afresh; a new process always does.",
            default=True,
            only=True,
        ),
        _later("force_download", "Fetch and verify the checkpoint again."),
        _later("SUNO_USE_DIRECTML", "Run through DirectML."),
    ),
    "Sampling": (
        Flag(
            "seed",
            "integer",
            "Seed of all stages; the same seed and request give the same tokens.",
            optional=True,
            default_text="drawn and printed",
            feeds="request.seed",
        ),
        Flag(
            "semantic_seed",
            "integer",
            "Fixes stage 1 while the other seeds vary.",
            optional=True,
            default_text="the clip's seed",
            feeds="request.semantic_seed",
        ),
        Flag(
            "coarse_seed",
            "integer",
            "Fixes stage 2 while the other seeds vary.",
            optional=True,
            default_text="the clip's seed",
            feeds="request.coarse_seed",
        ),
        Flag(
            "fine_seed",
            "integer",
            "Fixes stage 3 while the other seeds vary.",
            optional=True,
            default_text="the clip's seed",
            feeds="request.fine_seed",
        ),
        Flag(
            "text_temp",
            "number",
            "Old name of --semantic_temp, which wins over it.",
            default_text=CHECKPOINTS_OWN,
            feeds="settings.semantic_temp",
        ),
        Flag(
            "waveform_temp",
            "number",
            "Old name of --coarse_temp, which wins over it.",
            default_text=CHECKPOINTS_OWN,
            feeds="settings.coarse_temp",
        ),
        Flag(
            "confused_travolta_mode",
            "switch",
            "Never stop early: the model goes on after the text is said.",
            default=False,
            feeds="settings.semantic_allow_early_stop",
        ),
        _later("extra_confused_travolta_mode", "Go on even longer."),
    ),
    "Stage 1, text to semantic": (
        _setting("semantic_temp", "number", "Temperature; 0 takes the likeliest token."),
        _setting("semantic_top_k", "integer", "Draw only from the k likeliest tokens.", "none", optional=True),
        _setting(
            "semantic_top_p",
            "number",
            "Draw only from the likeliest tokens that sum to p.",
            "none",
            optional=True,
        ),
        _setting("semantic_min_eos_p", "number", "Stop as soon as the end is this probable.", optional=True),
        _setting("semantic_allow_early_stop", "switch", "Let the model end the clip.", "true"),
        _setting("semantic_max_gen_duration_s", "number", "Longest clip in seconds.", "none", optional=True),
        _setting("semantic_max_tokens", "integer", "Longest clip in semantic tokens.", "none", optional=True),
        _setting(
            "semantic_history_oversize_limit",
            "integer",
            "Use only the last N semantic tokens of the voice.",
            "none",
            optional=True,
        ),
        Flag(
            "semantic_use_kv_caching",
            "switch",
            "Cache keys and values; running without is not built yet.",
            default=True,
            only=True,
        ),
    ),
    "Stage 2, semantic to coarse": (
        _setting("coarse_temp", "number", "Temperature; 0 takes the likeliest token."),
        _setting("coarse_top_k", "integer", "Draw only from the k likeliest tokens.", "none", optional=True),
        _setting(
            "coarse_top_p",
            "number",
            "Draw only from the likeliest tokens that sum to p.",
            "none",
            optional=True,
        ),
        _setting("coarse_max_coarse_history", "integer", "Flat coarse tokens that stay in view.", optional=True),
        _setting("coarse_sliding_window_len", "integer", "Flat coarse tokens per window.", optional=True),
        _setting(
            "coarse_history_time_alignment_hack",
            "integer",
            "Coarse tokens dropped from the end of the voice, as -N.",
            "-2",
        ),
        Flag(
            "coarse_kv_caching",
            "switch",
            "Cache keys and values; running without is not built yet.",
            default=True,
            only=True,
        ),
    ),
    "Stage 3, coarse to fine": (
        _setting("fine_temp", "number", "Temperature; 0 or none takes the likeliest code.", optional=True),
    ),
    "Long clips, later": (
        _later("stable_mode_interval", "How often a long clip returns to its first voice."),
        _later("single_starting_seed", "Seed from which the segments' seeds are made."),
        _later("split_character_goal_length", "Characters per segment to aim at."),
        _later("split_character_max_length", "Most characters per segment."),
        _later("split_character_jitter", "Random change of the segment length."),
        _later("add_silence_between_segments", "Seconds of silence between segments."),
        _later("split_each_text_prompt_by", "Split every prompt into segments."),
        _later("split_each_text_prompt_by_value", "Count, literal or pattern of that split."),
        _later("process_text_by_each", "Unit a long text is cut into."),
        _later("group_text_by_counting", "Unit the pieces are grouped by."),
        _later("in_groups_of_size", "Units per group."),
        _later("split_type_string", "Literal to split at."),
        _later("split_type_string_as_regex", "Pattern to split at."),
        _later("separate_prompts", "Treat pieces as separate prompts."),
        _later("absolute_semantic_history_only", "Carry only semantic history."),
        _later("absolute_semantic_history_only_every_x", "Carry only semantic history every x segments."),
        *(
            _later(f"{stage}_{weight}_weight", f"Share of the {stage} history taken from there.")
            for stage in ("semantic", "coarse", "fine")
            for weight in ("history_starting", "history_future", "prev_segment")
        ),
        _later("custom_audio_processing_function", "module:callable that decides what history a segment sees."),
        _later("render_npz_samples", "Render a clip for every voice file in a folder."),
        _later("render_start_from", "Stage at which those renderings begin."),
        _later("variants", "Clips per voice file."),
        *(
            _later(name, "Report about this machine.")
            for name in (
                "detailed_gpu_report",
                "detailed_cuda_report",
                "detailed_hugging_face_cache_report",
                "detailed_numpy_report",
                "run_numpy_benchmark",
                "show_all_reports",
            )
        ),
    ),
}

FLAGS: dict[str, Flag] = {flag.name: flag for flags in GROUPS.values() for flag in flags}

EPILOG = """\
examples:
  bark_perform --text_prompt "Hello there. [laughs]" --history_prompt v2/en_speaker_6 --seed 7
  bark_perform --prompt_file lines.txt --output_iterations 4 --semantic_temp 0.8 --semantic_top_k none
  bark_perform --text_prompt "How long is this?" --dry_run

Every _ in a flag may be written as -. Switches: --flag, --no_flag, or --flag true|false|1|0|yes|no|on|off.
exit codes: 0 everything rendered, 1 something failed, 2 wrong usage, 130 interrupted.
"""


@dataclass(frozen=True)
class FlagValues:
    """What a command line said.

    Attributes:
        given: Only the flags that were given, by their names in the table.
    """

    given: dict[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Any:
        """The given value, else the table's default."""
        return self.given.get(name, FLAGS[name].default)

    def settings(self) -> dict[str, Any]:
        """Fields of `RenderSettings` that the user set; a stage's own flag wins over its older name."""
        changes: dict[str, Any] = {}
        if self["confused_travolta_mode"]:
            changes["semantic_allow_early_stop"] = False
        for name, value in self.given.items():
            owner, _, target = FLAGS[name].feeds.partition(".")
            if owner != "settings" or name == "confused_travolta_mode":
                continue
            if target == name or target not in self.given:
                changes[target] = value
        if self["confused_travolta_mode"] and changes["semantic_allow_early_stop"]:
            raise BarkError(
                "--confused_travolta_mode never stops early, --semantic_allow_early_stop does; give one of them"
            )
        return changes


def parse_flags(argv: Sequence[str]) -> FlagValues:
    """Reads a command line.

    Args:
        argv: Without the program's name.

    Raises:
        SystemExit: 0 after ``--help``, 2 after a wrong command line, which is explained on standard error.
    """
    parser = make_parser()
    known, unknown = parser.parse_known_args([_with_underscores(word) for word in argv])
    if unknown:
        parser.error(_unknown_message(unknown[0]))
    return FlagValues(vars(known))


def make_parser() -> argparse.ArgumentParser:
    """Makes the argparse parser of the whole table."""
    later = [f"--{flag.name}" for flag in FLAGS.values() if not flag.built]
    parser = argparse.ArgumentParser(
        prog="bark_perform",
        usage="bark_perform --text_prompt TEXT [--flag value ...]",
        description="Speak text with Bark: text (and a voice) in, wav files, voices and records out.",
        epilog=EPILOG + _fill("Bark Infinity's flags that are not built yet, and refused:", later),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
    )
    for title, flags in GROUPS.items():  # argparse leaves out a group in which every flag is hidden
        group = parser.add_argument_group(title)
        for flag in flags:
            _add(group, flag)
    return parser


def flags_as_markdown() -> str:
    """The table as the docs show it."""
    lines: list[str] = []
    for title, flags in GROUPS.items():
        lines += [f"### {title}", "", "| flag | value | default | meaning |", "| --- | --- | --- | --- |"]
        for flag in flags:
            meaning = flag.help if flag.built else f"{flag.help} **Not built yet: refused.**"
            names = ", ".join(f"`--{name}`" for name in (flag.name, *flag.aliases))
            default = flag.shown_default() if flag.built else ""
            lines.append(f"| {names} | {_metavar(flag, ', ')} | {default} | {meaning} |")
        lines.append("")
    return "\n".join(lines)


class _Refuse(argparse.Action):
    """Stops at a flag of Bark Infinity that does nothing here yet."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> NoReturn:
        """Refuses the flag, whatever its value."""
        parser.error(f"{option_string} is not built yet; leave it out (see --help for what is)")


def _add(group: argparse._ArgumentGroup, flag: Flag) -> None:
    names = [f"--{name}" for name in (flag.name, *flag.aliases)]
    if not flag.built:
        group.add_argument(*names, action=_Refuse, nargs="?", help=argparse.SUPPRESS, dest=flag.name)
        return
    text = f"{flag.help} [{flag.shown_default()}]".replace("%", "%%")
    read = _reader(flag)
    if flag.kind == "switch":
        group.add_argument(*names, nargs="?", const=True, type=read, help=text, metavar="yes|no", dest=flag.name)
        if flag.only is None:
            negations = [f"--no_{name}" for name in (flag.name, *flag.aliases)]
            group.add_argument(*negations, action="store_const", const=False, help=argparse.SUPPRESS, dest=flag.name)
    else:
        action = "append" if flag.repeatable else "store"
        group.add_argument(*names, action=action, type=read, help=text, metavar=_metavar(flag, "|"), dest=flag.name)


def _fill(title: str, names: Sequence[str]) -> str:
    lines = textwrap.fill(" ".join(names), 100, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)
    return f"\n{title}\n{lines}\n"


def _metavar(flag: Flag, between: str) -> str:
    value = {
        "switch": "yes/no",
        "integer": "N",
        "number": "X",
        "text": "TEXT",
        "choice": between.join(flag.choices),
    }
    return value[flag.kind] + (f"{between}none" if flag.optional else "")


def _reader(flag: Flag) -> Callable[[str], Any]:
    """The function that reads one value of a flag; argparse prints what it raises."""

    def read(text: str) -> Any:
        if flag.optional and text.strip().lower() == "none":
            return None
        hint = ", or none" if flag.optional else ""
        if flag.kind == "integer":
            return _number(int, text, f"a whole number{hint}")
        if flag.kind == "number":
            return _number(float, text, f"a number{hint}")
        if flag.kind == "switch":
            return _switch(flag, text)
        if flag.kind == "choice":
            chosen = {choice.lower(): choice for choice in flag.choices}.get(text.strip().lower())
            if chosen is None:
                raise argparse.ArgumentTypeError(f"{text!r} is not one of {', '.join(flag.choices)}")
            return chosen
        return text

    return read


def _number(kind: type[int] | type[float], text: str, expected: str) -> float:
    try:
        value = kind(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not {expected}") from None
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not {expected}")
    return value


def _switch(flag: Flag, text: str) -> bool:
    try:
        value = read_switch(f"--{flag.name}", text)
    except BarkError:
        words = "|".join((*YES_WORDS, *NO_WORDS))
        raise argparse.ArgumentTypeError(f"{text!r} is not one of {words}") from None
    if flag.only is not None and value is not flag.only:
        raise argparse.ArgumentTypeError(f"{text!r} is not built yet; leave the flag out")
    return value


def _with_underscores(word: str) -> str:
    """Turns the dashes inside a flag's name into underscores, and leaves everything else alone."""
    name = re.match(r"--[A-Za-z][\w-]*(?==|$)", word)
    if name is None:
        return word
    return "--" + name[0][2:].replace("-", "_") + word[name.end() :]


def _unknown_message(word: str) -> str:
    if not word.startswith("--"):
        return f"{word!r} belongs to no flag; put the text to say after --text_prompt, in quotes"
    name = word[2:].split("=")[0]
    nearest = difflib.get_close_matches(name, FLAGS, n=1)
    hint = f"did you mean --{nearest[0]}?" if nearest else "see --help for all flags"
    return f"there is no flag --{name}; {hint}"
