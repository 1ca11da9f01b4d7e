"""The control arm is chance: newcomers that nobody selected, each another, also where only prompts vary."""

from __future__ import annotations

import pytest

from bark_infinity.prompts import KEEPS_WORDS, prompt_operators, spoken_words
from bark_infinity.settings_edits import settings_operators
from digital_evolution import Evaluation, Genome, MuPlusLambda, Stop, Swarm, SwarmSettings

WORDS = "Well, I did not expect to see you here, but I am very glad that you came."


def bred(*, content_lock: bool, births: int = 120) -> tuple[Swarm, list[str], list[Genome]]:
    """A swarm of prompts and settings in which everything is worth the same; who made each birth, and its genome."""
    operators = {"prompt": prompt_operators(), "settings": settings_operators()}
    founder = Genome(WORDS, content_lock=content_lock)
    settings = SwarmSettings(control_share=0.25)
    swarm = Swarm([founder], operators, MuPlusLambda(6), settings, keeps_words=KEEPS_WORDS)
    made: list[tuple[str, Genome]] = []

    def judge(candidate: object) -> Evaluation:
        made.append((candidate.operator, candidate.genome))  # type: ignore[attr-defined]
        return Evaluation("ok", (0.5,))

    swarm.evolve(judge, Stop(evaluations=births))
    return swarm, [name for name, _ in made], [genome for _, genome in made]


@pytest.mark.parametrize("content_lock", [True, False])
def test_newcomers_of_prompts_differ_from_founders_and_each_other(content_lock: bool):
    _, names, genomes = bred(content_lock=content_lock)
    controls = [genome for name, genome in zip(names, genomes, strict=True) if name == "control"]
    assert len(controls) == 30
    assert len({genome.sha256 for genome in controls}) > 24
    assert sum(genome.prompt == WORDS for genome in controls) < 15
    assert any(genome.settings != controls[0].settings for genome in controls)


def test_newcomers_keep_the_words_where_they_are_locked():
    _, names, genomes = bred(content_lock=True)
    for name, genome in zip(names, genomes, strict=True):
        if name in ("control", "immigrant"):
            assert spoken_words(genome.prompt) == spoken_words(WORDS)


def test_the_control_arm_stands_in_nobodys_way():
    """What chance made first may be bred as well, so that evolution is not worse off for being compared."""
    operators = {"prompt": prompt_operators()}
    swarm = Swarm(
        [Genome("Hi.")], operators, MuPlusLambda(4), SwarmSettings(control_share=0.5), keeps_words=KEEPS_WORDS
    )
    born: dict[str, set[str]] = {"control": set(), "bred": set()}

    def judge(candidate: object) -> Evaluation:
        arm = "control" if candidate.operator == "control" else "bred"  # type: ignore[attr-defined]
        born[arm].add(candidate.genome.sha256)  # type: ignore[attr-defined]
        return Evaluation("ok", (0.5,))

    swarm.evolve(judge, Stop(evaluations=200))
    assert born["control"] & born["bred"] - {Genome("Hi.").sha256}
