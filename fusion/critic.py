"""The critic: gates, features, recogniser and objectives in one order, cheapest first, stopping at the first rejection.

Tokens are looked at before sound, sound before words: a stuck rendering costs microseconds, and the recogniser hears
only what survived. Whatever goes wrong becomes a `failed` score with its reason; it is never a number. A critic has
no state: the same clip always gets the same score, alone or among others.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType

from bark_infinity.error_handling import BarkError
from bark_infinity.requests import Rendering
from fusion.features.features import AcousticFeatures
from fusion.gates import thresholds
from fusion.gates.audio import judge_audio
from fusion.gates.tokens import judge_tokens
from fusion.gates.verdict import GateVerdict
from fusion.heard import Heard, Reader
from fusion.objectives.objectives import Objective, Unknown
from fusion.preference.experts import Experts
from fusion.score import Score, Term
from fusion.speaker import voice_print
from fusion.speaker.encoders import SpeakerEncoder, judge_speaker_by
from fusion.words.intelligibility import judge_reading

logger = logging.getLogger(__name__)

Gate = Callable[[Heard], Iterable[GateVerdict]]
"""Some verdicts on a rendering; an iterator is asked no further than its first rejection."""


def tokens_gate(heard: Heard) -> Iterable[GateVerdict]:
    """Stuck, looping, endless or empty tokens; needs no audio."""
    rendering = heard.rendering
    return judge_tokens(
        rendering.tokens,
        rendering.voice_space,
        stopped=rendering.stopped,
        text=heard.text,
        open_ended=heard.open_ended,
    )


def sound_gate(heard: Heard) -> Iterable[GateVerdict]:
    """Silent, clipped, static, cut, too short or too long sound."""
    return judge_audio(heard.frames, heard.features, text=heard.text)


def speaker_gate(heard: Heard) -> Iterable[GateVerdict]:
    """Two voices in one clip."""
    return [voice_print.judge_speaker(heard.frames)]


def words_gate(heard: Heard) -> Iterable[GateVerdict]:
    """Says something else than its text, or no words at all; passes what nobody can read."""
    return [judge_reading(heard.reading)]


GATES: Mapping[str, Gate] = MappingProxyType(
    {"tokens": tokens_gate, "sound": sound_gate, "speaker": speaker_gate, "words": words_gate}
)
"""The gates a critic asks unless told otherwise, in order, by what they look at."""


class Critic:
    """Judges renderings by the objectives of a recipe.

    Args:
        objectives: What is asked for; names differ.
        gates: What must be passed first, in this order; cheapest first.
        reader: Compares a clip with its text; None when there is no recogniser, and then what needs one is unknown.
        encoder: Tells voices apart instead of voice prints, in the gate ``speaker``.
        experts: Whose numbers go into the measures of what is ``ok``, for who learns from them.

    Raises:
        BarkError: When two objectives have one name.
    """

    def __init__(
        self,
        objectives: Sequence[Objective],
        *,
        gates: Mapping[str, Gate] = GATES,
        reader: Reader | None = None,
        encoder: SpeakerEncoder | None = None,
        experts: Experts | None = None,
    ) -> None:
        names = [objective.name for objective in objectives]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise BarkError(f"objectives {', '.join(twice)} come twice; give one a name of its own, or ask for a range")
        self.objectives = tuple(objectives)
        given = dict(gates)
        if encoder is not None and "speaker" in given:
            given["speaker"] = lambda heard: [judge_speaker_by(encoder, heard.audio, heard.rendering.sample_rate)]
        self.gates = MappingProxyType(given)
        self.reader, self.experts = reader, experts
        self.speaker = f"voice print {voice_print.VERSION}" if encoder is None else encoder.name

    def score(self, rendering: Rendering, *, text: str | None = None, open_ended: bool = False) -> Score:
        """Judges one rendering.

        Args:
            rendering: With audio, if it should get past the token gates.
            text: What it should say; None when nobody knows.
            open_ended: It was meant to run to its limit (Confused Travolta Mode, previews).

        Returns:
            ``ok`` with a term for every objective that could be judged, ``rejected`` by the first gate that found it
            unfit, or ``failed`` with the reason.
        """
        if rendering.stopped in ("failed", "cancelled"):
            why = rendering.reason or f"it was {rendering.stopped} and is unfinished"
            return Score("failed", reason=f"rendering: {why}")
        heard = Heard(rendering, text, self.reader, open_ended)
        evidence: dict[str, float] = {}
        doing = "reading the rendering"
        try:
            for name, gate in self.gates.items():
                doing = name
                for verdict in gate(heard):
                    if not verdict.passed:
                        return Score(
                            "rejected",
                            reason=f"{verdict.gate}: {verdict.reason}",
                            evidence=dict(verdict.evidence),
                            measures=evidence | dict(heard.measures()),
                        )
                    evidence |= {key: value for key, value in verdict.evidence.items() if not key.endswith("_limit")}
            judged: dict[str, Term] = {}
            unknown: dict[str, str] = {}
            for objective in sorted(self.objectives, key=lambda one: one.listens):
                doing = objective.name
                result = objective.judge(heard)
                if isinstance(result, Unknown):
                    unknown[objective.name] = result.why
                else:
                    judged[objective.name] = result
            terms = {one.name: judged[one.name] for one in self.objectives if one.name in judged}
            measures = evidence | dict(heard.measures())
            if self.experts is not None:
                doing = "experts"
                measures |= self.experts.measures(heard)
            return Score("ok", terms=terms, measures=measures, unknown=unknown)
        except BarkError as error:
            return Score("failed", reason=f"{doing}: {error}")
        except Exception as error:
            # Whatever a model or a library throws at one clip must not end a night's run, nor look like a score.
            logger.warning("judging failed at %s", doing, exc_info=True)
            return Score("failed", reason=f"{doing}: {type(error).__name__}: {error}")

    def explain(self, score: Score) -> str:
        """A score of this critic in plain words, one line for each aspect."""
        if score.status != "ok":
            return explain(score)
        wanted = {objective.name: objective.describe() for objective in self.objectives}
        lines = [_line(term, wanted.get(term.name)) for term in score.terms.values()]
        lines += [f"{name}: not judged, {why} (wanted: {wanted[name]})" for name, why in score.unknown.items()]
        return "\n".join(lines) or "It passed every gate; nothing else was asked for."

    @property
    def versions(self) -> Mapping[str, str]:
        """Everything that decides a score, by what it decides; scores with different versions are never compared."""
        of_terms = {one.name: f"{type(one).__name__} {one.VERSION}: {one.settings}" for one in self.objectives}
        return of_terms | {
            "experts": "none" if self.experts is None else self.experts.name,
            "features": f"{AcousticFeatures.SCHEMA}",
            "gates": f"{', '.join(self.gates) or 'none'}; limits {thresholds.VERSION}",
            "speaker": self.speaker,
            "words": "none" if self.reader is None else self.reader.name,
        }


def explain(score: Score) -> str:
    """Any score in plain words; `Critic.explain` also says what was wanted."""
    if score.status == "failed":
        return f"Not judged, something went wrong: {score.reason}"
    if score.status == "rejected":
        shown = [f"{name} {value:.3g}" for name, value in score.evidence.items() if not name.endswith("_limit")]
        limits = [f"{name.removesuffix('_limit')} limit {value:.3g}" for name, value in score.evidence.items()
                  if name.endswith("_limit")]  # fmt: skip
        numbers = f" ({', '.join(shown + limits)})" if shown or limits else ""
        return f"Rejected: {score.reason}{numbers}"
    return "\n".join(_line(term, None) for term in score.terms.values()) or "It passed every gate."


_GRADES = ((0.9, "very good"), (0.7, "good"), (0.4, "fair"), (0.1, "poor"), (0.0, "bad"))


def _line(term: Term, wanted: str | None) -> str:
    grade = next(word for least, word in _GRADES if term.value >= least)
    measured = "the clip has none" if term.measure is None else f"{term.measure:.3g} {term.unit}".rstrip()
    return f"{term.name}: {grade} ({term.value:.2f}): {measured}" + (f"; wanted: {wanted}" if wanted else "")
