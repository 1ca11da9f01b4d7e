"""From a configuration to a swarm: founders, operators and algorithm for a checkpoint, whose weights stay on disk."""

from __future__ import annotations

import dataclasses
import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from bark_infinity.checkpoints.checkpoint import Checkpoint, load_checkpoint
from bark_infinity.error_handling import BarkError
from bark_infinity.prompts import KEEPS_WORDS, prompt_operators
from bark_infinity.requests import RenderSettings
from bark_infinity.settings_edits import settings_operators
from bark_infinity.variation import Operator
from bark_infinity.voice_edits import CARRIER_TEXTS, HistoryWindow, voice_operators
from bark_infinity.voices.catalogue import VoiceCatalogue
from bark_infinity.voices.history import VoiceHistory
from digital_evolution import Candidate, Genome, Swarm
from evolution.selection import NSGA2, Algorithm, CategoryAxis, GridAxis, Islands, MapElites, MuPlusLambda, Novelty
from experiments.categories import CATEGORIES
from experiments.config import run_config
from experiments.config.run_config import RunConfig
from experiments.config.tables import nearest_key
from experiments.evaluation import Job, Trial

_TRIALS_KEY = 0x747269616C  # spawn key of seeds that all candidates share


@dataclass(frozen=True, eq=False)
class Species:
    """What a checkpoint makes of a configuration: everything that a swarm is made of, but its seed.

    Attributes:
        checkpoint: Found, its weights not loaded.
        founders: Canonical genomes.
        operators: By gene, then by name.
    """

    checkpoint: Checkpoint
    founders: tuple[Genome, ...]
    operators: Mapping[str, Mapping[str, Operator[Any]]]


def species_of(config: RunConfig, base: Path = Path("."), founders: Sequence[Genome] | None = None) -> Species:
    """Finds the checkpoint, the founders' voices, and the operators.

    Args:
        config: The run.
        base: Relative paths begin here.
        founders: Those of a run that resumes or branches; None makes them from the configuration.

    Raises:
        CheckpointError: When the checkpoint is missing or damaged.
        VoiceFormatError: When a voice is damaged or made for another family of checkpoints.
        BarkError: When there is no prompt, no such voice, or no such operator, or a text that it cannot say.
    """
    checkpoint = load_checkpoint(config.model.checkpoint)
    operators = _operators(config, checkpoint)
    if founders is None:
        _require_speakable((*config.founders.prompts, *config.trials.texts, *config.trials.held_out), checkpoint)
        founders = _founders(config, checkpoint, base)
    _require_variable(config, founders, operators)
    return Species(checkpoint, tuple(founders), operators)


def swarm_of(config: RunConfig, species: Species) -> Swarm:
    """A fresh swarm; the same arguments always make the same."""
    settings = config.breeding.settings(config.seed, config.objective_weights)
    return Swarm(
        species.founders,
        species.operators,  # type: ignore[arg-type]  # genes are checked when the configuration is read
        _algorithm(config.algorithm),
        settings,
        keeps_words=KEEPS_WORDS,
    )


def job_of(config: RunConfig, candidate: Candidate) -> Job:
    """How a candidate is evaluated: depends on the configuration and the candidate alone."""
    texts = config.trials.texts or (candidate.genome.prompt,)
    seeds = trial_seeds(config, candidate)
    return Job(candidate, tuple(Trial(text, seed) for text in texts for seed in seeds))


def audit_of(config: RunConfig, candidate: Candidate) -> Job | None:
    """How a candidate is heard on the texts that selection never hears; None without such texts."""
    texts, seeds = config.trials.held_out, trial_seeds(config, candidate)
    trials = tuple(Trial(text, seed) for text in texts for seed in seeds)
    return Job(candidate, trials) if trials else None


def trial_seeds(config: RunConfig, candidate: Candidate) -> list[int]:
    """Seeds of a candidate's renderings of each text; with ``same_seeds`` those of every candidate."""
    root = config.seed if config.trials.same_seeds else candidate.seed
    sequence = np.random.SeedSequence(root, spawn_key=(_TRIALS_KEY,))
    return [int(seed) for seed in sequence.generate_state(config.trials.seeds, np.uint64)]


# -- founders ---------------------------------------------------------------------------------------------------


def _founders(config: RunConfig, checkpoint: Checkpoint, base: Path) -> list[Genome]:
    given = config.founders
    if not given.prompts:
        raise BarkError("founders.prompts is empty; say what the founders say, for example founders.prompts=['Hello.']")
    settings = RenderSettings(**dataclasses.asdict(checkpoint.config.sampling))
    window = HistoryWindow.of(checkpoint.config)
    voices: list[VoiceHistory | None] = [
        window.canonical(voice) for voice in found_voices(given.voices, checkpoint, base)
    ]
    founders = [
        Genome(prompt, voice, settings, given.content_lock) for prompt in given.prompts for voice in voices or [None]
    ]
    if len(founders) > given.most:
        raise BarkError(
            f"{len(given.prompts)} prompts with {max(len(voices), 1)} voices are {len(founders)} founders, more than "
            f"founders.most ({given.most}); name fewer, or allow more"
        )
    return founders


def _require_speakable(texts: Sequence[str], checkpoint: Checkpoint) -> None:
    """Refuses texts that would fail in every rendering, before anything is recorded."""
    front_end = checkpoint.front_end
    if front_end is None:
        return  # the engine says so when it is loaded
    slots, who = checkpoint.config.semantic.text_slots, checkpoint.family
    for text in dict.fromkeys(texts):
        encoding = front_end.encode(text)
        if not encoding.ids:
            why = "; ".join(encoding.notices) or "it knows none of its characters"
            raise BarkError(f"{who} cannot say {text!r}: {why}; write it otherwise, or take another checkpoint")
        if len(encoding.ids) > slots:
            room = len(text) * slots // len(encoding.ids)
            raise BarkError(
                f"the text {text[:40]!r}... has {len(encoding.ids)} tokens, {who} takes at most {slots}; shorten it to "
                f"about {room} characters"
            )


def found_voices(names: Sequence[str], checkpoint: Checkpoint, base: Path = Path(".")) -> list[VoiceHistory]:
    """Voices by name, path or pattern, in order, each once.

    Raises:
        BarkError: When there is none of that name or pattern.
        VoiceFormatError: When one is damaged or of another family.
    """
    catalogue = VoiceCatalogue()
    space = checkpoint.config.space
    found: dict[str, VoiceHistory] = {}
    for name in names:
        if any(mark in name for mark in "*?["):
            matching = [one for one in catalogue.names() if fnmatch.fnmatchcase(one, name)]
            if not matching:
                raise BarkError(f"no voice matches {name!r}; bark-lab voices lists them all")
        elif name.endswith(".npz") and (base / name).is_file():
            matching = [str(base / name)]
        else:
            matching = [name]
        for one in matching:
            voice = catalogue.resolve(one, space=space)
            voice.require_space(space, f"checkpoint {checkpoint.family}")
            found.setdefault(voice.sha256, voice)
    return list(found.values())


# -- operators --------------------------------------------------------------------------------------------------


def _operators(config: RunConfig, checkpoint: Checkpoint) -> Mapping[str, Mapping[str, Operator[Any]]]:
    wanted = config.variation
    every: dict[str, Mapping[str, Operator[Any]]] = {}
    if "voice" in wanted.genes:
        every["voice"] = voice_operators(HistoryWindow.of(checkpoint.config), wanted.carrier_texts or CARRIER_TEXTS)
    if "prompt" in wanted.genes:
        every["prompt"] = _prompt_operators(wanted.masked_lm, checkpoint)
    if "settings" in wanted.genes:
        every["settings"] = settings_operators()
    known = [name for group in every.values() for name in group]
    for name in (*wanted.operators, *wanted.without):
        if name not in known:
            raise BarkError(f"there is no operator {name!r} for {', '.join(wanted.genes)}; {nearest_key(name, known)}")
    kept = [name for name in wanted.operators or known if name not in wanted.without]
    return MappingProxyType(
        {
            gene: MappingProxyType({name: operator for name, operator in group.items() if name in kept})
            for gene, group in every.items()
        }
    )


def _prompt_operators(masked_lm: str, checkpoint: Checkpoint) -> Mapping[str, Operator[str]]:
    model = None
    if masked_lm:
        from bark_infinity.prompts.masked_lm import HuggingFaceMaskedLM

        model = HuggingFaceMaskedLM(masked_lm)
    front_end = checkpoint.front_end
    if front_end is None:
        return prompt_operators(masked_lm=model)
    return prompt_operators(
        lambda prompt: len(front_end.encode(prompt).ids),
        limit=checkpoint.config.semantic.text_slots,
        text_ids=lambda prompt: front_end.encode(prompt).ids,
        masked_lm=model,
    )


def _require_variable(
    config: RunConfig, founders: Sequence[Genome], operators: Mapping[str, Mapping[str, Operator[Any]]]
) -> None:
    if not any(group for group in operators.values()):
        raise BarkError("no variation operator is left; name some in variation.operators, fewer in variation.without")
    voiceless = config.variation.genes == ("voice",) and all(one.voice is None for one in founders)
    if voiceless and all(operator.arity for operator in operators["voice"].values()):
        raise BarkError("founders have no voice and no operator makes one; name founders.voices, or allow immigrants")


# -- algorithm --------------------------------------------------------------------------------------------------


def _algorithm(config: run_config.Algorithm) -> Algorithm:
    if config.kind == "nsga2":
        return NSGA2(config.population, config.tournament)
    if config.kind == "map-elites":
        return MapElites([_axis(axis) for axis in config.axes])
    if config.kind == "novelty":
        return Novelty(config.scales, config.neighbours, max(config.population, 2))
    if config.kind == "islands":
        populations = [MuPlusLambda(config.population, config.tournament) for _ in range(config.islands)]
        return Islands(populations, config.migrate_every, config.migrants)
    return MuPlusLambda(config.population, config.tournament)


def _axis(axis: run_config.Axis) -> GridAxis | CategoryAxis:
    if axis.measure:
        return GridAxis(axis.measure, axis.low, axis.high, axis.cells)
    of = CATEGORIES[axis.category]
    return CategoryAxis(axis.category, lambda genome: of(genome.prompt))
