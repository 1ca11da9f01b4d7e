"""Measures how much room every limit of the gates has, and prints the confusion table of `docs/judging.md`.

    python -m experiments.calibrate_gates [--voices DIRECTORY] [--no-recogniser]

Run from a checkout: the labelled clips are made by ``tests/labelled_clips.py`` (needs the program espeak-ng) and by the
embedded model, published voices come from a directory of .npz files. Nothing is written: limits are changed by hand in
`fusion.gates.thresholds`, with the reason beside the number, and `VERSION` there is raised; so is the reference of
usual speech in `fusion.preference.usual_speech`.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from types import ModuleType

import numpy as np

from bark_infinity.error_handling import BarkError
from bark_infinity.voices.history import VoiceHistory
from fusion.features.features import AcousticFeatures, Float32Array, summarise
from fusion.features.spectra import Frames, analyse
from fusion.gates import thresholds
from fusion.gates.audio import SHORT_TEXT_S, judge_audio, measure_audio
from fusion.gates.speaking_time import speaking_time
from fusion.gates.thresholds import THRESHOLDS
from fusion.gates.tokens import judge_tokens, measure_tokens, repeats_itself
from fusion.gates.verdict import GateVerdict, first_rejection
from fusion.preference.candidates import Block
from fusion.speaker import voice_print as speaker
from fusion.words.intelligibility import compare, judge_reading
from fusion.words.recognisers import default_recogniser

_CHECKOUT = Path(__file__).resolve().parents[1]
_MICRO_TEXTS = 6  # of the texts: longer ones do not fit into the embedded model's 7.7 s

# Threshold -> the measure it limits, and the degenerate classes that it alone must catch.
_LIMITS: dict[str, tuple[str, tuple[str, ...]]] = {
    "max_adjacent_repeats": ("adjacent_repeats", ("stuck voice", "every token 4 times")),
    "max_run_s": ("longest_run_s", ("stuck voice", "one pause of 4 s")),
    "max_frame_repeats": ("frame_repeats", ("stuck voice",)),
    "max_loop_share": ("loop_share", ("loop", "loop, 7 % of tokens changed", "two tokens in turn")),
    "min_semantic_s": ("semantic_s", ("three tokens",)),
    "min_loudest_db": ("loudest_db", ("silence",)),
    "min_sound_s": ("sound_s", ("click",)),
    "max_dc_offset": ("dc_offset", ("dc",)),
    "max_flatness": ("flatness", ("static",)),
    "min_level_range_db": ("rms_range_db", ("noise",)),
    "min_change_db": ("change_db", ("sine",)),
    "max_clipped_share": ("clipped_share", ("clipped at full scale",)),
    "max_flat_top_share": ("flat_top_share", ("clipped at full scale", "clipped, then made quieter")),
    "max_repeated_share": ("repeated_share", ("doubled", "stuttered")),
    "max_trailing_silence_s": ("trailing_silence_s", ("long tail",)),
    "max_end_level_db": ("end_level_db", ("cut",)),
    "min_time_ratio": ("time_ratio", ("too short",)),
    "max_time_ratio": ("time_ratio_beyond_slack", ("too long",)),
    "max_letter_error": ("letter_error", ("another text",)),
    "max_voice_change": ("voice_change", ("man and woman",)),
}


@dataclass
class Observations:
    """Measures by class and name, and which gate each clip met first."""

    measures: dict[str, dict[str, list[float]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    confusion: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    usual: dict[str, list[Float32Array]] = field(default_factory=lambda: defaultdict(list))  # features of good clips

    def note(self, label: str, values: dict[str, float]) -> None:
        """Adds one clip's measures to its class."""
        for name, value in values.items():
            self.measures[label][name].append(value)


def labelled_clips() -> ModuleType:
    """The tests' module that makes labelled clips.

    Raises:
        BarkError: When this is no checkout, or espeak-ng is missing.
    """
    tests = _CHECKOUT / "tests"
    if not (tests / "labelled_clips.py").is_file():
        raise BarkError(f"there is no {tests / 'labelled_clips.py'}; calibrate from a checkout of the repository")
    sys.path.insert(0, str(tests))
    found = importlib.import_module("labelled_clips")
    if not found.HAS_ESPEAK:
        raise BarkError("the program espeak-ng is not installed, and no good speech can be made without it; install it")
    return found


def observe_voices(directory: Path, clips: ModuleType, seen: Observations) -> None:
    """Token gates on published voices, and on what becomes of their tokens when they are spoilt."""
    for path in sorted(directory.rglob("*.npz")):
        voice = VoiceHistory.load(path)
        label = "stuck voice" if path.stem == "fr_speaker_2" else "good voice"
        tokens = clips.BarkTokens(voice.semantic, voice.coarse, voice.fine)
        _meet(label, judge_tokens(tokens, voice.space), seen)
        seen.note(label, asdict(measure_tokens(tokens, voice.space)))
        if label == "good voice":
            for index, (fault, _, semantic) in enumerate(clips.degenerate_tokens(voice.semantic, 3)):
                spoilt = clips.with_frames(semantic, index)
                _meet(fault, judge_tokens(spoilt), seen)
                seen.note(fault, asdict(measure_tokens(spoilt)))


def observe_sound(clips: ModuleType, seen: Observations) -> None:
    """Audio gates on good, synthetic and spoilt clips."""
    for clip in itertools.chain(
        clips.good_clips(), clips.other_good_clips(), clips.synthetic_clips(), clips.spoilt_clips()
    ):
        frames, features = _looked_at(clip.audio, clips.RATE, clip.text)
        _meet(clip.label, judge_audio(frames, features, text=clip.text), seen)
        seen.note(clip.label, _sound_measures(frames, features, clip.text))
        if clip.label == "good":
            seen.usual["espeak-ng"].append(features.known_vector())


def observe_micro(clips: ModuleType, seen: Observations) -> None:
    """All gates but the recogniser's on what the embedded model says, and on what becomes of it when it is spoilt.

    A rendering that the model did not end itself is a fault of its own and has a class of its own.
    """
    rng = np.random.default_rng(7)
    for index, (voice, text, rendering) in enumerate(clips.micro_speech(clips.TEXTS[:_MICRO_TEXTS])):
        ended = rendering.stopped == "eos"
        frames, features = _looked_at(rendering.audio, rendering.sample_rate, text)
        token_gates = judge_tokens(rendering.tokens, rendering.voice_space, stopped=rendering.stopped, text=text)
        sound_gates = judge_audio(frames, features, text=text)
        label = "good micro" if ended else "micro, not ended"
        _meet(label, [*token_gates, *sound_gates, speaker.judge_speaker(frames)], seen)
        if not ended:
            continue
        seen.note(label, asdict(measure_tokens(rendering.tokens, rendering.voice_space)))
        seen.note(label, _sound_measures(frames, features, text))
        change = speaker.voice_change(frames)
        seen.note(label, {} if change is None else {"voice_change": change.distance})
        seen.usual["micro-Bark"].append(features.known_vector())
        if index % 7 == 0:  # one of every text, in turning voices
            for clip in clips.spoilt(rendering.audio, text, voice, rng):
                of_spoilt = _looked_at(clip.audio, rendering.sample_rate, text)
                _meet(f"micro, {clip.label}", judge_audio(*of_spoilt, text=text), seen)
            for fault, _, semantic in clips.degenerate_tokens(rendering.tokens.semantic, 3):
                spoilt = clips.with_frames(semantic, index, rendering.voice_space)
                _meet(f"micro, {fault}", judge_tokens(spoilt, rendering.voice_space), seen)


def usual_speech(seen: Observations) -> Iterator[str]:
    """Middle and spread of every feature, as `fusion.preference.usual_speech` freezes them; sources count alike."""
    fewest = min(len(rows) for rows in seen.usual.values())
    rng = np.random.default_rng(0)
    rows = [np.stack(rows)[rng.choice(len(rows), fewest, replace=False)] for rows in seen.usual.values()]
    values = np.concatenate(rows).astype(np.float64)
    block = Block.fit(values)
    spread = np.maximum(np.where(block.spread == 1, 0, block.spread), np.nanstd(values, axis=0))
    yield f"USUAL measured now, of {fewest} clips each by {' and '.join(seen.usual)}:"
    for name, middle, width in zip(AcousticFeatures.NAMES, block.middle, spread, strict=True):
        least = {"clipped_share": 1e-3, "dc_offset": 5e-3}.get(name, 0.0)  # good clips have next to none
        yield f'    "{name}": ({middle:.3g}, {max(width, least):.3g}),'


def _looked_at(audio: Float32Array, rate: int, text: str | None) -> tuple[Frames, AcousticFeatures]:
    frames = analyse(audio, rate)
    return frames, summarise(frames, text=text)


def _sound_measures(frames: Frames, features: AcousticFeatures, text: str | None) -> dict[str, float]:
    measures = measure_audio(frames, features)
    values = asdict(measures) | {
        name: getattr(features, name) for name in ("flatness", "rms_range_db", "trailing_silence_s", "clipped_share")
    }
    values["dc_offset"] = abs(features.dc_offset)
    if text is not None:
        time = speaking_time(text)
        values["time_ratio"] = measures.spoken_s / time.usual_s
        values["time_ratio_beyond_slack"] = (measures.spoken_s - time.slack_s - SHORT_TEXT_S) / time.usual_s
        if repeats_itself(text):
            del values["repeated_share"]  # the gate does not judge it
    return values


def observe_speakers(clips: ModuleType, seen: Observations) -> Iterator[str]:
    """The speaker gate on one and two speakers, distances of one voice and of two, and the frozen scale anew."""
    texts = [text for text in clips.TEXTS if len(text) > 30]
    speakers: Sequence[object] = clips.SPEAKERS
    frames: dict[tuple[int, int], Frames] = {
        (who, what): analyse(clips.speak(text, voice), clips.RATE)
        for who, voice in enumerate(speakers)
        for what, text in enumerate(texts)
    }
    scale = speaker.measured_scale([pair for clip in frames.values() for pair in speaker.halves(clip)])
    yield f"REFERENCE_SCALE measured now: {scale}"

    for clip in frames.values():
        _meet("one speaker", [speaker.judge_speaker(clip)], seen)
        change = speaker.voice_change(clip)
        seen.note("good", {} if change is None else {"voice_change": change.distance})
    for label, first, second in clips.two_speaker_clips():
        clip = analyse(np.concatenate([first, second]), clips.RATE)
        _meet(label, [speaker.judge_speaker(clip)], seen)
        change = speaker.voice_change(clip)
        seen.note(label, {} if change is None else {"voice_change": change.distance})

    prints = {key: speaker.voice_print(clip) for key, clip in frames.items()}
    pairs = list(itertools.combinations(prints, 2))
    same = np.array([speaker.voice_distance(prints[a], prints[b]) for a, b in pairs if a[0] == b[0]])
    other = np.array([speaker.voice_distance(prints[a], prints[b]) for a, b in pairs if a[0] != b[0] and a[1] != b[1]])
    edges = np.sort(np.concatenate([same, other]))
    equal = min(edges, key=lambda edge: abs(float(np.mean(same > edge)) - float(np.mean(other <= edge))))
    yield (
        f"voices: one voice, two texts: median distance {np.median(same):.2f}, 95 % {np.percentile(same, 95):.2f}; "
        f"two voices: median {np.median(other):.2f}, 5 % {np.percentile(other, 5):.2f}; "
        f"equal error {np.mean(same > equal):.1%} at SAME_OR_NOT = {equal:.2f}"
    )


def observe_recogniser(clips: ModuleType, seen: Observations) -> str:
    """Letter and word errors of clear speech against its own text and against another."""
    recogniser = default_recogniser()
    if recogniser is None:
        return "recogniser: none is installed"
    texts = [text for text in clips.TEXTS if len(text) > 30][:8]
    words: dict[str, list[float]] = defaultdict(list)

    def compare_both(audio: Float32Array, index: int, prefix: str) -> None:
        heard = recogniser.transcribe(audio, clips.RATE).text
        for label, wanted in (("own text", texts[index]), ("another text", texts[(index + 1) % len(texts)])):
            reading = compare(wanted, heard)
            _meet(f"{prefix}{label}", [judge_reading(reading)], seen)
            if reading.error is not None and reading.word_error is not None:
                seen.note(f"{prefix}{label}", {"letter_error": reading.error})
                words[f"{prefix}{label}"].append(reading.word_error)

    for voice in clips.SPEAKERS:
        for index, text in enumerate(texts):
            compare_both(clips.speak(text, voice), index, "")
    for _, _, rendering in clips.micro_speech(texts[3:4]):
        compare_both(rendering.audio, 3, "micro, ")
    return f"recogniser {recogniser.name}: mean word error " + ", ".join(
        f"{np.mean(errors):.2f} ({label})" for label, errors in words.items()
    )


def _meet(label: str, verdicts: Iterable[GateVerdict], seen: Observations) -> None:
    rejection = first_rejection(verdicts)
    seen.confusion[label]["passed" if rejection is None else rejection.gate] += 1


def room_table(seen: Observations) -> Iterator[str]:
    """One line per limit: how near good clips and the classes it must catch come to it."""
    yield (
        f"| limit (version {thresholds.VERSION}) | value | unit | good clips come to | 97 % of micro-Bark's come to | "
        "degenerate begin at | why |"
    )
    yield "| --- | ---: | --- | ---: | ---: | ---: | --- |"
    for f in fields(THRESHOLDS):
        value = getattr(THRESHOLDS, f.name)
        good = micro = bad = "-"
        if f.name in _LIMITS:
            measure, classes = _LIMITS[f.name]
            upper = f.name.startswith("max")
            ours = [x for label in ("good", "good voice", "own text") for x in seen.measures[label][measure]]
            theirs = [x for label in classes for x in seen.measures[label][measure]]
            spoken = seen.measures["good micro"][measure]
            micro = f"{np.percentile(spoken, 97 if upper else 3):.3g}" if spoken else "-"
            good = f"{(max if upper else min)(ours):.3g}" if ours else "-"
            bad = f"{(min if upper else max)(theirs):.3g}" if theirs else "-"
        why = thresholds.reason_of(f.name)
        yield f"| `{f.name}` | {value:g} | {thresholds.unit_of(f.name)} | {good} | {micro} | {bad} | {why} |"


def confusion_table(seen: Observations) -> Iterator[str]:
    """One line per class: how many clips met which gate first."""
    yield "| class | clips | met |"
    yield "| --- | ---: | --- |"
    for label, met in seen.confusion.items():
        told = ", ".join(f"{gate} {count}" for gate, count in met.most_common())
        yield f"| {label} | {met.total()} | {told} |"


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints both tables as Markdown."""
    parser = argparse.ArgumentParser(prog="python -m experiments.calibrate_gates", description=__doc__.split("\n")[0])
    parser.add_argument("--voices", type=Path, help="directory of published .npz voices; without it they are left out")
    parser.add_argument("--no-recogniser", action="store_true", help="leave out intelligibility, which takes minutes")
    options = parser.parse_args(arguments)
    seen = Observations()
    try:
        clips = labelled_clips()
        if options.voices is not None:
            observe_voices(options.voices, clips, seen)
        observe_sound(clips, seen)
        observe_micro(clips, seen)
        notes = list(observe_speakers(clips, seen))
        if not options.no_recogniser:
            notes.append(observe_recogniser(clips, seen))
    except BarkError as error:
        print(f"calibration stopped: {error}", file=sys.stderr)
        return 1
    print(*room_table(seen), "", *confusion_table(seen), "", *notes, "", *usual_speech(seen), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
