"""A genome that a person edits by hand: what is in the fields, what is wrong with it, and the genome it makes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from bark_infinity.error_handling import BarkError
from bark_infinity.prompts import MAX_TOKENS, canonical_prompt, most_tokens
from bark_infinity.requests import RenderSettings
from bark_infinity.voices.history import VoiceHistory
from digital_evolution import Genome
from evolution.interventions import Plant
from experiments.board.genome_diff import said


@dataclass(frozen=True)
class SettingField:
    """One setting that can be edited; ``optional`` ones may be empty, which switches them off."""

    name: str
    title: str
    whole: bool
    optional: bool
    doc: str


SETTING_FIELDS = (
    SettingField("semantic_temp", "melody", False, False, "temperature of what is said and how; 0 takes the likeliest"),
    SettingField("coarse_temp", "timbre", False, False, "temperature of the voice's sound"),
    SettingField("fine_temp", "detail", False, True, "temperature of the fine sound; empty takes the likeliest"),
    SettingField("semantic_top_k", "melody top k", True, True, "only so many of the likeliest tokens; empty for all"),
    SettingField("semantic_top_p", "melody top p", False, True, "only the likeliest up to this share; empty for all"),
    SettingField("coarse_top_k", "timbre top k", True, True, "only so many of the likeliest tokens; empty for all"),
    SettingField("coarse_top_p", "timbre top p", False, True, "only the likeliest up to this share; empty for all"),
    SettingField("semantic_min_eos_p", "end at", False, True, "stops when the end is so probable; empty: when drawn"),
)  # fmt: skip


@dataclass
class GenomeDraft:
    """What is in the form.

    Attributes:
        origin: The genome it began as.
        birth: Whose genome that is.
        prompt: As typed.
        settings: As typed, by name.
        voice: The chosen one; None lets the model choose.
        content_lock: As chosen.
    """

    origin: Genome
    birth: int
    prompt: str = ""
    settings: dict[str, str] = field(default_factory=dict)
    voice: VoiceHistory | None = None
    content_lock: bool = True

    @classmethod
    def of(cls, genome: Genome, birth: int) -> GenomeDraft:
        """The form as it opens."""
        values = {one.name: shown(getattr(genome.settings, one.name)) for one in SETTING_FIELDS}
        return cls(genome, birth, genome.prompt, values, genome.voice, genome.content_lock)

    def problems(self) -> Mapping[str, str]:
        """What is wrong, by field: ``prompt``, names of settings, or ``form`` for the whole."""
        found: dict[str, str] = {}
        if not canonical_prompt(self.prompt) and self.origin.settings.semantic_allow_early_stop:
            found["prompt"] = "there is nothing to say; give it words"
        for one in SETTING_FIELDS:
            try:
                self._value(one)
            except BarkError as error:
                found[one.name] = str(error)
        if not found:
            try:
                if self._made().sha256 == self.origin.sha256:
                    found["form"] = "nothing is changed; breed it to vary it, or change a field"
            except BarkError as error:
                found["form"] = str(error)
        return MappingProxyType(found)

    def hints(self) -> Mapping[str, str]:
        """What is allowed and yet worth knowing, by field."""
        if most_tokens(self.prompt) > MAX_TOKENS:
            text = f"long: Bark reads {MAX_TOKENS} text tokens, about 13 seconds of speech, and cuts off the rest"
            return MappingProxyType({"prompt": text})
        return MappingProxyType({})

    def plant(self) -> Plant:
        """The command's value that lets it be born as a child of the birth it was edited from.

        Raises:
            BarkError: When there are `problems`; the first of them.
        """
        for where, problem in self.problems().items():
            raise BarkError(f"{where}: {problem}")
        return Plant(self._made(), (self.birth,))

    def _made(self) -> Genome:
        values = {one.name: self._value(one) for one in SETTING_FIELDS}
        settings = dataclasses.replace(self.origin.settings, **values)  # type: ignore[arg-type]
        return Genome(canonical_prompt(self.prompt), self.voice, settings, self.content_lock)

    def _value(self, one: SettingField) -> float | int | None:
        """The typed value of a setting.

        Raises:
            BarkError: When it is none; says what was expected.
        """
        typed = self.settings.get(one.name, "").strip().replace(",", ".")
        if not typed or typed == "off":
            if one.optional:
                return None
            raise BarkError("expected a number")
        try:
            value: float | int = int(typed) if one.whole else float(typed)
        except ValueError:
            raise BarkError(f"{typed[:20]!r} is no {'whole ' if one.whole else ''}number") from None
        try:
            RenderSettings(**{one.name: value})  # type: ignore[arg-type]
        except BarkError as error:
            raise BarkError(str(error).removeprefix(f"{one.name} is ")) from None
        return value


def shown(value: object) -> str:
    """A setting's value as a field shows it."""
    return "" if value is None else said(value)
