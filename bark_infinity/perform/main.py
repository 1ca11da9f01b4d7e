"""`bark_perform`: from a command line to sound files.

Plan (texts, seeds, files, token counts), then render all prompts and iterations in batches, then say what became of
each clip. Exit codes: 0 everything rendered, 1 something failed (loading, a clip), 2 wrong usage, 130 interrupted;
what is finished when it is interrupted is saved. Heavy imports wait until something is rendered.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import logging
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bark_infinity import prepared_shapes
from bark_infinity.error_handling import BarkError, CheckpointError
from bark_infinity.perform.flags import FlagValues, parse_flags

if TYPE_CHECKING:
    from bark_infinity.bark_config import BarkConfig
    from bark_infinity.default_engine import EngineChoice
    from bark_infinity.engine import BarkEngine
    from bark_infinity.perform.bars import RenderBars
    from bark_infinity.perform.plan import PlannedClip
    from bark_infinity.perform.record import RunFacts
    from bark_infinity.requests import Rendering, RenderRequest
    from bark_infinity.text_front_end import TextFrontEnd
    from bark_infinity.voices.catalogue import VoiceEntry
    from bark_infinity.voices.history import VoiceHistory

logger = logging.getLogger(__name__)

RENDERED, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of one clip: a record of what was written, or the reason why nothing was."""

    clip: PlannedClip
    record: Mapping[str, Any] | None = None
    reason: str = ""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
        argv: Without the program's name; None takes the process's own.

    Returns:
        The exit code.
    """
    try:
        flags = parse_flags(sys.argv[1:] if argv is None else argv)
    except SystemExit as stop:  # argparse's way of saying that help was shown, or that usage was wrong
        return int(stop.code or 0)
    prepared_shapes.keep_few()
    logging.basicConfig(level=flags["loglevel"], format="%(levelname)s: %(message)s", stream=sys.stderr)
    try:
        if flags["list_speakers"]:
            return _list_speakers(flags)
        return _perform(flags)
    except KeyboardInterrupt:
        _complain("interrupted")
        return INTERRUPTED
    except CheckpointError as error:
        _complain(str(error))
        return FAILED
    except BarkError as error:  # of the plan; loading and rendering answer for themselves
        _complain(str(error))
        return USAGE


def _perform(flags: FlagValues) -> int:
    from bark_infinity.default_engine import choose_engine, load_engine
    from bark_infinity.perform import plan
    from bark_infinity.requests import RenderSettings

    RenderSettings(**flags.settings())  # refuses values out of range before anything is looked for
    prompts = plan.read_prompts(flags, sys.stdin)
    if flags["text_prompt"] and flags["prompt_file"] is not None:
        _complain(f"--prompt_file {flags['prompt_file']} is not read, --text_prompt wins over it")
    seed = plan.starting_seed(flags)
    voice_name: str | None = flags["history_prompt"]
    clips = plan.plan_clips(flags, prompts, seed, voice_name, datetime.date.today())
    choice = choose_engine(
        model=flags["model"],
        device=flags["device"],
        precision=flags["precision"],
        small=flags["use_smaller_models"],
        offload=flags["OFFLOAD_CPU"],
        enable_mps=flags["GLOBAL_ENABLE_MPS"],
        use_gpu={part: flags[f"{part}_use_gpu"] for part in ("text", "coarse", "fine", "codec")},
        use_small={
            part: flags[f"{part}_use_small"]
            for part in ("text", "coarse", "fine")
            if f"{part}_use_small" in flags.given
        },
    )
    _tell(flags, f"checkpoint {choice.source}: {choice.reason}")
    voice = _voice(voice_name)
    config, front_end = _checkpoint_facts(choice, dry_run=flags["dry_run"])
    if voice is not None:
        voice.require_space(config.space, f"checkpoint {choice.source}")
    clips = plan.count_tokens(
        clips, front_end, config.semantic.max_input_semantic_length, bool(flags["confused_travolta_mode"])
    )
    drawn = "" if flags["seed"] is not None else f" (drawn; --seed {seed} repeats this run)"
    _tell(flags, f"seed {seed}{drawn}")
    if flags["dry_run"]:
        settings = RenderSettings(**flags.settings())
        return _dry_run(flags, clips, seed, plan.longest_duration_s(config, settings), config)

    try:
        engine = load_engine(choice)
    except Exception as error:  # what was asked for is right, but this machine cannot do it
        unexpected = not isinstance(error, BarkError)
        logger.log(logging.ERROR if unexpected else logging.INFO, "loading failed", exc_info=error)
        _complain(f"{type(error).__name__}: {error}" if unexpected else str(error))
        return FAILED
    try:
        facts = _facts(engine, seed, voice, flags)
        outcomes = _render_all(engine, clips, facts, flags)
    finally:
        engine.close()
    return _report(flags, clips, outcomes, facts)


def _facts(engine: BarkEngine, seed: int, voice: VoiceHistory | None, flags: FlagValues) -> RunFacts:
    from bark_infinity.perform.record import RunFacts

    return RunFacts(
        starting_seed=seed,
        source=engine.source,
        family=engine.family,
        notices=engine.notices,
        file_hashes={file.name: file.sha256 for file in engine.checkpoint.files},
        device=str(engine.device),
        precision=str(engine.precision),
        settings=dataclasses.replace(engine.default_settings, **flags.settings()),
        voice=voice,
    )


def _render_all(engine: BarkEngine, clips: Sequence[PlannedClip], facts: RunFacts, flags: FlagValues) -> list[Outcome]:
    """Renders and saves batch by batch, so that a long run loses at most one batch to a crash."""
    from bark_infinity.perform.bars import RenderBars
    from bark_infinity.perform.record import save_clip

    outcomes: list[Outcome] = []
    size = flags["batch_size"]
    with RenderBars(len(clips), silent=flags["silent"]) as bars, _cancel_on_interrupt() as cancel:
        for start in range(0, len(clips), size):
            if cancel.is_set():
                break
            batch = clips[start : start + size]
            requests = [clip.request(facts.voice, facts.settings) for clip in batch]
            for clip, rendering in zip(batch, _render_batch(engine, requests, bars, cancel), strict=True):
                outcome = _failure(clip, rendering)
                if outcome is None:
                    assert not isinstance(rendering, Exception)
                    try:
                        record = save_clip(
                            clip,
                            rendering,
                            facts,
                            save_voice=flags["always_save_speaker"],
                            overwrite=flags["overwrite"],
                        )
                        outcome = Outcome(clip, record=record)
                    except BarkError as error:
                        outcome = Outcome(clip, reason=str(error))
                outcomes.append(outcome)
                bars.finish_clips(1)
                if outcome.record is not None and not flags["silent"] and not flags["json"]:
                    bars.write(_clip_line(outcome))
    return outcomes


def _render_batch(
    engine: BarkEngine, requests: list[RenderRequest], bars: RenderBars, cancel: threading.Event
) -> list[Rendering | Exception]:
    """Renders a batch; when it fails, each request alone, so that only the guilty one is lost."""
    try:
        return list(engine.render(requests, progress=bars, cancel=cancel))
    except Exception as error:  # whatever one clip does wrong, the night's other clips go on
        failure = error
    if len(requests) == 1:
        unexpected = not isinstance(failure, BarkError)
        logger.log(logging.ERROR if unexpected else logging.INFO, "a clip failed", exc_info=failure)
        return [failure]
    logger.warning("a batch failed (%s), its clips are rendered one by one", failure)
    return [_render_batch(engine, [request], bars, cancel)[0] for request in requests]


def _failure(clip: PlannedClip, rendering: Rendering | Exception) -> Outcome | None:
    """The outcome of a rendering that cannot be saved; None when it can."""
    if isinstance(rendering, BarkError):
        return Outcome(clip, reason=str(rendering))
    if isinstance(rendering, Exception):
        return Outcome(clip, reason=f"{type(rendering).__name__}: {rendering}")
    if rendering.stopped == "cancelled":
        return Outcome(clip, reason="interrupted before it was finished")
    if rendering.stopped == "failed":
        return Outcome(clip, reason=rendering.reason or "it could not be rendered")
    if rendering.stopped == "empty" or rendering.audio is None:
        return Outcome(clip, reason="the model ended it before its first sound; try another seed")
    return None


@contextlib.contextmanager
def _cancel_on_interrupt() -> Iterator[threading.Event]:
    """Turns the first Ctrl-C into a request to stop; a second one stops at once."""
    cancel = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield cancel
        return

    def stop(number: int, frame: object) -> None:
        cancel.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        _complain("stopping, finished clips are saved; press Ctrl-C again to stop at once")

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield cancel
    finally:
        signal.signal(signal.SIGINT, before)


def _report(flags: FlagValues, clips: Sequence[PlannedClip], outcomes: Sequence[Outcome], facts: RunFacts) -> int:
    """Lists failures, prints the JSON object, and settles the exit code."""
    failures = [outcome for outcome in outcomes if outcome.record is None]
    started = {outcome.clip.number for outcome in outcomes}
    failures += [Outcome(c, reason="interrupted before it began") for c in clips if c.number not in started]
    interrupted = any(outcome.reason.startswith("interrupted") for outcome in failures)
    if flags["json"]:
        _print_json(
            {
                "seed": facts.starting_seed,
                "checkpoint": {"source": facts.source, "family": facts.family},
                "interrupted": interrupted,
                "clips": [_clip_json(o.clip) | {"record": o.record} for o in outcomes if o.record is not None],
                "failures": [_clip_json(o.clip) | {"reason": o.reason} for o in failures],
            }
        )
    if failures:
        _complain(f"{len(failures)} of {len(clips)} clips failed:")
        for outcome in failures:
            clip = outcome.clip
            print(f"  clip {clip.number}, seed {clip.seed}: {outcome.reason}", file=sys.stderr)
    if interrupted:
        return INTERRUPTED
    return FAILED if failures else RENDERED


def _dry_run(flags: FlagValues, clips: Sequence[PlannedClip], seed: int, longest_s: float, config: BarkConfig) -> int:
    slots = config.semantic.max_input_semantic_length
    if flags["json"]:
        _print_json(
            {
                "dry_run": True,
                "seed": seed,
                "text_slots": slots,
                "clips": [_clip_json(clip) | {"longest_s": round(longest_s, 2)} for clip in clips],
            }
        )
        return RENDERED
    for clip in clips:
        print(f"{clip.audio_path}: {len(clip.text_ids)} of {slots} tokens, at most {longest_s:.1f} s, seed {clip.seed}")
        for notice in clip.notices:
            print(f"  note: {notice}")
    print("nothing was rendered or written (--dry_run)")
    return RENDERED


def _checkpoint_facts(choice: EngineChoice, *, dry_run: bool) -> tuple[BarkConfig, TextFrontEnd]:
    """A checkpoint's numbers and its front end; reads and hashes no weights.

    Raises:
        CheckpointError: When it is missing or damaged, or brings no front end.
    """
    from bark_infinity.checkpoints.sources import load_front_end

    source = choice.source
    if source == "random-tiny":
        from bark_infinity.checkpoints.random_tiny import BytesFrontEnd, random_tiny_config

        return random_tiny_config(), BytesFrontEnd()
    from bark_infinity.checkpoints.checkpoint import find_checkpoint

    try:
        checkpoint = find_checkpoint(source, offline=True if dry_run else None, prefer_small=choice.prefer_small)
        config, front_end = checkpoint.config, checkpoint.front_end
    except CheckpointError:
        if not dry_run or not source.startswith("suno/"):
            raise
        config, front_end = _suno_config(), load_front_end(source)  # the tokenizer alone is small
        if front_end is None:
            raise
    if front_end is None:
        raise CheckpointError(
            f"checkpoint {source} brings no tokenizer, so text cannot be read; put the tokenizer.json or vocab.txt it "
            "was trained with beside it"
        )
    return config, front_end


def _suno_config() -> BarkConfig:
    """Suno's published numbers, for a checkpoint that is not here yet."""
    from bark_infinity.bark_config import BarkConfig, GPTConfig

    def gpt(inputs: int, outputs: int, codes: int = 0) -> GPTConfig:
        return GPTConfig(24, 16, 1_024, 1_024, inputs, outputs, n_codes_total=codes, n_codes_given=1 if codes else 0)

    return BarkConfig(gpt(129_600, 10_048), gpt(12_096, 12_096), gpt(1_056, 1_056, codes=8))


def _voice(name: str | None) -> VoiceHistory | None:
    if name is None:
        return None
    from bark_infinity.voices.catalogue import VoiceCatalogue

    return VoiceCatalogue().resolve(name)


def _list_speakers(flags: FlagValues) -> int:
    """Prints the catalogue by language; voices that cannot be used are listed with the reason."""
    from bark_infinity.voices.catalogue import LANGUAGES, VoiceCatalogue

    catalogue = VoiceCatalogue()
    entries = catalogue.list()
    if flags["json"]:
        _print_json({"speakers": [_entry_json(entry) for entry in entries]})
        return RENDERED
    for language in sorted({entry.language for entry in entries}, key=lambda code: (code is None, code)):
        print(f"{LANGUAGES.get(language or '', language or 'no language told')}:")
        for entry in entries:
            if entry.language == language:
                length = "unusable" if entry.duration_s is None else f"{entry.duration_s:5.1f} s"
                print(f"  {entry.name:32} {length:9} {entry.family or '-':14} {entry.problem or entry.path}")
    if not entries:
        print("there are no voices; every rendered clip saves one, which can be moved into one of these folders:")
        for folder in catalogue.directories:
            print(f"  {folder}")
    return RENDERED


def _entry_json(entry: VoiceEntry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "path": str(entry.path),
        "language": entry.language,
        "duration_s": entry.duration_s,
        "family": entry.family,
        "sha256": entry.sha256,
        "problem": entry.problem,
        "shadowed": [str(path) for path in entry.shadowed],
    }


def _clip_json(clip: PlannedClip) -> dict[str, Any]:
    return {
        "number": clip.number,
        "iteration": clip.iteration,
        "text": clip.text,
        "text_tokens": len(clip.text_ids),
        "voice": clip.voice_name,
        "seed": clip.seed,
        "audio_path": str(clip.audio_path),
        "voice_path": str(clip.voice_path),
        "record_path": str(clip.record_path),
    }


def _clip_line(outcome: Outcome) -> str:
    assert outcome.record is not None
    result = outcome.record["result"]
    return f"{outcome.clip.audio_path}  {result['duration_s']:.2f} s  {result['stopped']}  seed {outcome.clip.seed}"


def _print_json(content: Mapping[str, Any]) -> None:
    print(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False))


def _tell(flags: FlagValues, line: str) -> None:
    if not flags["silent"]:
        print(line, file=sys.stderr)


def _complain(line: str) -> None:
    print(f"bark_perform: {line}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
