"""What a critic judges by, as a recipe says it: plain text and numbers, checked before any model is loaded.

`CriticRecipe` is the data, `check_recipe` refuses what cannot work and names what is near, `build_critic` loads what
is needed and makes the `fusion.critic.Critic`. Two critics of equal `Critic.versions` give equal scores; a run that
goes on with another judge than it began with can refuse by comparing them.

``preference`` is asked for here and judged elsewhere: what people say changes while a run goes on, so its driver keeps
a `fusion.preference.learner.PreferenceLearner` and adds the term. The critic of a worker knows nothing of it.
"""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bark_infinity.error_handling import BarkError
from fusion.critic import GATES, Critic
from fusion.features.features import measure
from fusion.objectives.novelty import FrozenSpace, Novelty
from fusion.objectives.objectives import Objective, Preference, Similarity
from fusion.objectives.references import (
    Decode,
    check_folder,
    check_recording,
    content_sha256,
    read_folder,
    read_recording,
)
from fusion.objectives.spec import PREFERENCE, Comparison, comparison_in, parse
from fusion.preference.experts import Experts, resolve_expert
from fusion.preference.storage import MODEL as SAVED_PREFERENCE
from fusion.pretrained import resolve_model
from fusion.speaker.encoders import HuggingFaceSpeakerEncoder, SpeakerEncoder
from fusion.words.intelligibility import TextReader
from fusion.words.recognisers import (
    HuggingFaceRecogniser,
    PocketsphinxRecogniser,
    Recogniser,
    default_recogniser,
)

AUTO, NONE, POCKETSPHINX = "auto", "none", "pocketsphinx"
_LANGUAGE = re.compile(r"[a-z]{2}")


def _described(default: Any, doc: str) -> Any:
    return field(default=default, metadata={"doc": doc})


@dataclass(frozen=True)
class CriticRecipe:
    """What a critic judges by; every field's metadata says under ``doc`` what it does.

    Raises:
        BarkError: When something is misspelt or contradicts itself; whether files are there, `check_recipe` sees.
    """

    objectives: tuple[str, ...] = _described(
        ("intelligibility", "cleanliness"),
        "what is wanted, each a score from 0 to 1: intelligibility, cleanliness, expressiveness; a target or range of "
        "any feature, such as 'f0_median_hz = 110 ± 20' or 'pause_share <= 0.2 ± 0.1'; 'similarity to FILE-OR-VOICE'; "
        "'novelty against FOLDER'; preference (what you say while it runs), or 'preference of FOLDER' (a saved one)",
    )
    gates: tuple[str, ...] = _described(
        ("tokens", "sound", "speaker"),
        "what rejects a clip before it is scored, in this order: tokens, sound, speaker, words; words only with a "
        "recogniser that understands the model, for pocketsphinx mishears micro-Bark's good clips too",
    )
    recogniser: str = _described(
        AUTO,
        "who hears the words: auto (pocketsphinx where it is installed, else nobody), none, pocketsphinx, or the "
        "Hugging Face id or directory of a speech recogniser",
    )
    language: str = _described(
        "", "two-letter code of the language of all texts; empty: guessed from each, and unknown without evidence"
    )
    speaker_encoder: str = _described(
        "", "Hugging Face id or directory of a speaker encoder that tells voices apart; empty: the embedded voice print"
    )

    experts: tuple[str, ...] = _described(
        (),
        "for preference: encoders of texts or clips that it may learn from besides the features; Hugging Face ids or "
        "directories, bark:SOURCE or bark-codec:SOURCE",
    )

    def __post_init__(self) -> None:
        if not self.objectives:
            raise BarkError("objectives is empty, expected at least one thing that is wanted, such as intelligibility")
        names = self.term_names  # reads every objective
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise BarkError(f"objectives: {', '.join(twice)} comes twice; ask for each once, or for a range")
        for name in self.gates:
            if name not in GATES:
                raise BarkError(f"gates: there is no gate {name!r}; {_nearest(name, tuple(GATES))}")
        if len(set(self.gates)) < len(self.gates):
            raise BarkError(f"gates: one comes twice in {', '.join(self.gates)}; name each once")
        if self.experts and not self.learns:
            raise BarkError("experts are heard for the objective preference only; ask for it, or leave them out")
        if len(set(self.experts)) < len(self.experts):
            raise BarkError(f"experts: one comes twice in {', '.join(self.experts)}; name each once")
        if self.language and not _LANGUAGE.fullmatch(self.language):
            raise BarkError(f"language is {self.language!r}, expected a two-letter code such as en, or nothing")

    @property
    def term_names(self) -> tuple[str, ...]:
        """Names of the terms of a score, one for each objective, in order."""
        return tuple(_name_of(spec) for spec in self.objectives)

    @property
    def learns(self) -> bool:
        """Whether people's choices in the run count: its driver adds the term ``preference``."""
        return any(spec.strip() == PREFERENCE for spec in self.objectives)

    def models(self) -> tuple[str, ...]:
        """Hugging Face ids and directories of the models it asks for, as they are named; saved preferences are none."""
        heard_by = () if self.recogniser in (AUTO, NONE, POCKETSPHINX) else (self.recogniser,)
        return (*heard_by, *filter(None, (self.speaker_encoder,)), *self.experts)

    def comparisons(self) -> Iterator[Comparison]:
        """The objectives that compare with something outside the recipe."""
        return (found for spec in self.objectives if (found := comparison_in(spec)) is not None)


def check_recipe(recipe: CriticRecipe, base: Path = Path()) -> None:
    """Refuses what cannot be built: looks for files, voices and models, and loads no model.

    Args:
        recipe: What is asked for.
        base: What relative paths start from.

    Raises:
        BarkError: For the first thing that is missing; says what was expected and what is near.
    """
    for found in recipe.comparisons():
        if found.name == "similarity":
            check_recording(found.reference, base)
        elif found.name == "novelty":
            check_folder(found.reference, base)
        elif found.reference:
            _saved_preference(found.reference, base)
    if recipe.recogniser == POCKETSPHINX:
        PocketsphinxRecogniser()
    elif recipe.recogniser not in (AUTO, NONE):
        near = difflib.get_close_matches(recipe.recogniser, (AUTO, NONE, POCKETSPHINX), n=1, cutoff=0.7)
        if near:
            raise BarkError(f"recogniser is {recipe.recogniser!r}; did you mean {near[0]}?")
        resolve_model(recipe.recogniser, base, "the recogniser")
    if recipe.speaker_encoder:
        resolve_model(recipe.speaker_encoder, base, "the speaker encoder")
    for expert in recipe.experts:
        resolve_expert(expert, base)


def reference_hashes(recipe: CriticRecipe, base: Path = Path()) -> dict[str, str]:
    """What the recipe compares with, by name, as hashes of what it holds now.

    Raises:
        BarkError: When something is not there.
    """
    return {one.reference: content_sha256(one.reference, base) for one in recipe.comparisons() if one.reference}


def build_critic(recipe: CriticRecipe, *, base: Path = Path(), decode: Decode | None = None) -> Critic:
    """Loads what a recipe needs, and makes its critic.

    Args:
        recipe: What is asked for.
        base: What relative paths start from.
        decode: Makes a stored voice audible; needed where an objective compares with a voice that is tokens.

    Raises:
        BarkError: As `check_recipe`, and when a file or a model cannot be read.
    """
    check_recipe(recipe, base)
    encoder: SpeakerEncoder | None = None
    if recipe.speaker_encoder:
        encoder = HuggingFaceSpeakerEncoder(resolve_model(recipe.speaker_encoder, base, "the speaker encoder"))
    objectives = [_built(spec, base, decode, encoder) for spec in recipe.objectives if spec.strip() != PREFERENCE]
    recogniser = _recogniser(recipe.recogniser, base)
    return Critic(
        objectives,
        gates={name: GATES[name] for name in recipe.gates},
        reader=None if recogniser is None else TextReader(recogniser, recipe.language or None),
        encoder=encoder,
        experts=Experts({name: resolve_expert(name, base) for name in recipe.experts}) if recipe.experts else None,
    )


def _name_of(spec: str) -> str:
    found = comparison_in(spec)
    return parse(spec).name if found is None else found.name


def _built(spec: str, base: Path, decode: Decode | None, encoder: SpeakerEncoder | None) -> Objective:
    found = comparison_in(spec)
    if found is None:
        return parse(spec)
    if found.name == "similarity":
        recording = read_recording(found.reference, base, decode)
        return Similarity.to_voice(
            recording.audio,
            recording.sample_rate,
            reference=found.reference,
            content=recording.sha256,
            encoder=encoder,
        )
    if found.name == "novelty":
        known = [measure(clip.audio, clip.sample_rate) for clip in read_folder(found.reference, base)]
        return Novelty(FrozenSpace.fit(known))
    from fusion.preference.model import PreferenceModel

    folder = _saved_preference(found.reference, base)
    digest = hashlib.sha256((folder / SAVED_PREFERENCE).read_bytes()).hexdigest()
    return Preference.by_model(PreferenceModel.load(folder), learned=digest)


def _recogniser(name: str, base: Path) -> Recogniser | None:
    if name == NONE:
        return None
    if name == AUTO:
        return default_recogniser()
    if name == POCKETSPHINX:
        return PocketsphinxRecogniser()
    return HuggingFaceRecogniser(resolve_model(name, base, "the recogniser"))


def _saved_preference(name: str, base: Path) -> Path:
    folder = base / Path(name).expanduser()
    if not (folder / SAVED_PREFERENCE).is_file():
        raise BarkError(f"there is no saved preference in {name!r}: {folder / SAVED_PREFERENCE} is missing")
    return folder


def _nearest(name: str, known: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
