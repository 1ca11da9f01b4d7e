"""Operators and the choices they drew, in plain words; what is not known here is shown as it was recorded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from digital_evolution import Candidate, Genome

# Format strings over the recorded parameters; `_derived` adds some that read better.
_WORDS = {
    "founder": "given at the start",
    "immigrant": "random, drawn without parents",
    "control": "random, drawn without parents; never breeds",
    "by hand": "made by a person",
    # voices
    "crop": "last {drop} semantic tokens cut off",
    "length": "only the last {keep} semantic tokens kept",
    "tempo": "speed: {length_permille_percent} % of its length",
    "silence_trim": "a pause shortened by {drop} semantic tokens, from token {start}",
    "segment_duplicate": "{length} semantic tokens from token {start} on said twice",
    "segment_delete": "{length} semantic tokens from token {start} on taken out",
    "segment_swap": "two stretches of the voice exchanged: semantic tokens {segments}",
    "splice": "first parent up to semantic token {head_stop}, then second parent from token {tail_start}",
    "codebook_mix": "detail from codebook {codebook} up taken from the second parent: frames {frames} from the end",
    "backcross": "a stretch of {length} semantic tokens of the descendant put into its ancestor",
    "continuation": "the voice went on speaking, and that is the new voice; it said “{text}”",
    "rerender": "the same words said again by the same voice; coarse {coarse_temp}, fine {fine_temp}",
    "rerender_fine": "fine detail rendered again at temperature {fine_temp}",
    "chimera": "says what the first parent says, sounds like the second; coarse {coarse_temp}, fine {fine_temp}",
    # settings
    "temperature": "{setting} set to {to}",
    "top_k": "{setting} set to {to}",
    "top_p": "{setting} set to {to}",
    "min_eos_p": "{setting} set to {to}",
    "settings_crossover": "from the second parent: {from_second}",
    # prompts
    "tag_insert": "tag {tag} put in at place {place}",
    "unofficial_tag_insert": "tag {tag} put in at place {place}",
    "tag_move": "a tag moved from place {place} to {to}",
    "tag_delete": "the tag at place {place} taken out",
    "hesitation_insert": "a hesitation “{mark}” put in behind word {place}",
    "hesitation_remove": "the hesitation at place {place} taken out",
    "capitals": "stress of word {place} changed (CAPITALS)",
    "song": "sung (♪) from word {start} to {stop}",
    "song_end": "no longer sung",
    "speaker": "speaker set to “{speaker}”",
    "punctuation": "punctuation behind word {place} set to “{mark}”",
    "filler_insert": "filler “{text}” put in at place {place}",
    "filler_remove": "the filler at place {place} taken out",
    "clause_crossover": "first parent up to word {head_stop}, then second parent from word {tail_start}",
    "clause_order": "clauses exchanged: words {start} to {middle} and {middle} to {stop}",
    "language_switch": "“{text}” ({language}) in place of {pieces} words at place {place}",
    "masked_substitution": "word {place} replaced by “{text}”",
}


def how_made(candidate: Candidate) -> str:
    """What an operator did to make this candidate, one clause for each time it was applied."""
    times: dict[int, dict[str, Any]] = {1: {}}
    for name, value in candidate.parameters.items():
        if name == "edits":
            continue
        mark, slash, own = name.partition("/")
        repeated = bool(slash) and mark.isdecimal() and len(mark) < 6
        time = int(mark) if repeated else 1
        times.setdefault(time, {})[own if repeated else name] = value
    return "; then ".join(_once(candidate.operator, drawn) for _, drawn in sorted(times.items()))


def _once(operator: str, drawn: Mapping[str, Any]) -> str:
    words = _WORDS.get(operator)
    if words is not None:
        try:
            return words.format_map(_derived(drawn))
        except (KeyError, ValueError, IndexError, TypeError, AttributeError):
            pass  # recorded by another version of the operator
    known = {name: value for name, value in drawn.items() if name != "reads"}
    return ", ".join(f"{name} {_value(value)}" for name, value in known.items()) or "without choices"


def _derived(drawn: Mapping[str, Any]) -> dict[str, str]:
    words = {name: _value(value) for name, value in drawn.items()}
    for name, value in drawn.items():
        if name.endswith("_temp_percent"):
            words[name.removesuffix("_percent")] = f"{value / 100:.2f}"
    if "length_permille" in drawn:
        words["length_permille_percent"] = f"{drawn['length_permille'] / 10:g}"
    if "at" in drawn:
        words["place"] = str(drawn["at"] + 1)
    return words


def _value(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return ", ".join(_value(one) for one in value)
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def settings_in_words(genome: Genome) -> str:
    """Sampling settings that differ from the usual ones."""
    usual = type(genome.settings)()
    changed = {name: value for name, value in vars(genome.settings).items() if value != getattr(usual, name)}
    return ", ".join(f"{name} {_value(value)}" for name, value in changed.items())
