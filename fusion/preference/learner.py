"""What the listeners of one run have taught, kept up with while it goes on: births in, answers in, terms out.

The driver of a run tells it of every birth that was judged (`hear`), of every answer (`choose`, `rate`, `withdraw`),
and asks for the term ``preference`` of a score. What it says then depends on nothing but the answers that stand, in
their order, the births they are about and the score asked for: not on when it was asked, nor on other births. So a run
that is resumed by telling it the same again goes on as it would have.

Features are measured against a frozen reference, usual speech (`usual_speech`), so that a utility means the same from
the first birth on, and in another run. Fitting waits until somebody asks, so a thousand answers told at once are
fitted once. What one more answer costs does not grow with how many there were (`sequential`), terms of 2,000 births
20 ms. Taking back the latest costs as little, an older one as much as learning from all again. Only when there is a
third more to learn from (after 20, 27, 37, ... comparisons) are models compared on held-out choices, which takes 0.3 s
at 100 and 3 s at 3,000; see `fusion.preference.ladder`. The head ensemble is tried only where experts are named, for
that takes 10 s to a minute, at 125 comparisons and at every third more.

Relatives are tested together: the family of a birth is its grandparent on the primary line, so that families do not
run out when all that lives descends from one founder.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np

from bark_infinity.error_handling import BarkError
from bark_infinity.prompts.pieces import spoken_words
from fusion.features.features import AcousticFeatures
from fusion.objectives.objectives import Unknown, liking
from fusion.preference import usual_speech
from fusion.preference.answers import Answers, Rating
from fusion.preference.ask import REPEAT_SHARE, Question
from fusion.preference.births import Birth, Births
from fusion.preference.candidates import Block, CandidateTable, Reference
from fusion.preference.experts import WIDTH, embedding_from
from fusion.preference.judgements import CandidateId, Comparison, Judgement, JudgementLog, Kind, Shown
from fusion.preference.ladder import Decision, Level
from fusion.preference.leanings import Leaning, leanings
from fusion.preference.model import Agreement, PreferenceModel, Utilities
from fusion.score import NEUTRAL, Score, Term

NAME = "preference"
COMPOSITE = Block(np.array([0.5]), np.array([0.2]))  # of a weighted mean of terms in [0, 1]
EXPERT_BIRTHS = 32  # the first that were judged say what is usual for the experts' numbers


Recall = Callable[[int], tuple[Score, str, Sequence[int]] | None]
"""Score, text and parents of a birth, as they were told; None when it has no result."""


@dataclass(frozen=True)
class Learned:
    """What has been learned so far, and how sure that is.

    Attributes:
        speaks: The model that decides now.
        why: In plain words, with every model's record.
        answers: Judgements that stand, ratings included.
        comparisons: What they come to, in pairs.
        accuracy: Share of held-out choices that the speaking model predicted; None before that was tried.
        choices: Held-out choices behind that share.
        leanings: The features that the answers point to, surest first.
        usage: How much each expert counts for the births that were judged, features among them; empty unless the
            ensemble of networks decides.
        agreement: Of raters with themselves and each other.
    """

    speaks: Level
    why: str
    answers: int
    comparisons: int
    accuracy: float | None
    choices: int
    leanings: tuple[Leaning, ...]
    usage: Mapping[str, float]
    agreement: Agreement = field(repr=False)

    def sentences(self) -> list[str]:
        """The same for people, most useful first."""
        if not self.answers:
            return ["Nobody has judged yet: the other objectives decide."]
        who = {
            "composite": "the other objectives decide",
            "linear": "a weighted sum of features decides",
            "heads": "an ensemble of networks decides",
        }[self.speaks]
        said = [f"{self.answers} answers so far: {who}."]
        if self.accuracy is not None:
            said.append(f"It predicted {self.accuracy:.0%} of {self.choices} choices that it had not heard.")
        if self.leanings:
            said.append(f"You seem to like {', '.join(one.words for one in self.leanings)}.")
        if len(self.usage) > 1:
            shares = sorted(self.usage.items(), key=lambda one: -one[1])
            said.append(f"It goes by {', '.join(f'{name} ({share:.0%})' for name, share in shares)}.")
        return said + self.agreement.sentences()[1:]


class PreferenceLearner:
    """Learns from the listeners of one run.

    Args:
        weights: Of the other terms, whose weighted mean (`NEUTRAL` for what could not be judged) counts until people
            have taught something better; none: every birth is as good as the next until then.
        experts: Names of the encoders whose numbers births' measures carry; see `fusion.preference.experts`.
        seed: Of the head ensemble.
        heads: Whether the ensemble, and with it torch, may be tried at all; None: where experts are named. It takes
            10 s to a minute of a core whenever it is tried.
        caution: Deviations of doubt taken off the utility in a term.
        recall: Score, text and parents of a birth that was told of, from the record of the run; with it only births
            that were judged and the latest are kept in memory, and what is said is the same.
    """

    def __init__(
        self,
        weights: Mapping[str, float] | None = None,
        *,
        experts: Sequence[str] = (),
        seed: int = 0,
        heads: bool | None = None,
        caution: float = 1.0,
        recall: Recall | None = None,
    ) -> None:
        self._weights = MappingProxyType({name: one for name, one in (weights or {}).items() if name != NAME and one})
        self._mass = sum(self._weights.values())
        self._experts = tuple(experts)
        self._seed, self._caution = seed, caution
        self._heads = bool(self._experts) if heads is None else heads
        self._births = Births(None if recall is None else lambda birth: self._recalled(recall(birth)))
        self._answers: dict[int, Judgement | Rating] = {}
        self._said: Answers | None = Answers()  # the same in order; None: to be put in order again
        self._fitted: PreferenceModel | None = None  # None: something was said since
        self._model: PreferenceModel | None = None
        self._usual: tuple[int, ...] = ()  # births that say what is usual for the experts' numbers
        self._usage: tuple[Decision, dict[str, float]] | None = None  # as of a decision

    # -- what happens in the run --------------------------------------------------------------------------------

    def hear(self, birth: int, score: Score, *, text: str, parents: Sequence[int] = ()) -> None:
        """Takes note of a birth that was judged by the critic.

        Args:
            birth: Its number in the run.
            score: With the measures that features are read from; a rejected one may lack some.
            text: What it says.
            parents: Numbers of its parents, the primary one first.
        """
        known = self._read(score, text, parents)
        if self._births.judged(birth) and not known.measures_like(self._births.get(birth)):
            self._model = self._fitted = None  # what was learned rests on other numbers
        self._births.put(birth, known)

    def choose(
        self, number: int, kind: Kind, births: Sequence[int], chosen: int | None = None, *, rater: str = ""
    ) -> None:
        """Takes note of an answer about births shown together.

        Args:
            number: Of the judgement, by which it can be withdrawn.
            kind: ``better``, ``tie`` or ``both_bad`` of two, ``worst`` of several.
            births: In the order in which they were shown.
            chosen: Position of the better, or of the worst.
            rater: Who.

        Raises:
            BarkError: When a birth was never heard, or the answer makes no sense.
        """
        answer = Judgement(kind, tuple(map(self._shown, births)), chosen, rater)
        self._note(number, answer, births)

    def rate(self, number: int, birth: int, value: float, *, rater: str = "") -> None:
        """Takes note of a rating: 1 for a like, 0 for a dislike, or anything between.

        Raises:
            BarkError: When the birth was never heard, or the value is not from 0 to 1.
        """
        if not 0 <= value <= 1:
            raise BarkError(f"birth {birth} is rated {value}, expected a number from 0 (dislike) to 1 (like)")
        self._note(number, Rating(self._shown(birth), birth, float(value), rater), (birth,))

    def withdraw(self, number: int) -> None:
        """Forgets a judgement.

        Raises:
            BarkError: When there is none of that number that still stands.
        """
        if number not in self._answers:
            raise BarkError(f"judgement {number} does not stand, so it cannot be withdrawn")
        del self._answers[number]
        self._fitted = self._said = None

    @property
    def version(self) -> str:
        """Everything that decides a term besides answers and births, for records."""
        settings = f"usual speech {usual_speech.VERSION}, caution {self._caution!r}, weights {dict(self._weights)}"
        return f"{settings}, seed {self._seed}, experts {', '.join(self._experts) or 'none'}"

    # -- what it says -------------------------------------------------------------------------------------------

    def term(self, score: Score) -> Term | Unknown:
        """How much what was judged is liked, as far as is known: the chance of being chosen over something usual."""
        if score.status != "ok":
            return Unknown(NAME, f"a {score.status} rendering is not compared")
        found = self._taught().predict(self._table([(0, self._read(score))]))
        return liking(float(found.mean[0]), float(found.deviation[0]), self._caution)

    def judged(self, score: Score) -> Score:
        """The score with its term ``preference``; one that is not ``ok`` stays as it is."""
        term = self.term(score)
        return score if isinstance(term, Unknown) else replace(score, terms={**score.terms, NAME: term})

    def terms(self, births: Sequence[int]) -> dict[int, Term]:
        """`term` of births that were heard, as of now: what changes when people have answered."""
        found = self.utilities(births)
        return {
            birth: liking(float(mean), float(deviation), self._caution)
            for birth, mean, deviation in zip(births, found.mean, found.deviation, strict=True)
        }

    def utilities(self, births: Sequence[int]) -> Utilities:
        """Mean and deviation, in logits, of births that were heard."""
        return self._taught().predict(self._table([(birth, self._births.get(birth)) for birth in births]))

    def next_pair(
        self,
        births: Sequence[int],
        rng: np.random.Generator,
        *,
        rater: str | None = None,
        repeat_share: float = REPEAT_SHARE,
    ) -> Question:
        """Which two births to ask about next; see `fusion.preference.ask`.

        Args:
            births: Those that can be played, each heard and ``ok``.
            rng: Draws among questions that are as good.
            rater: Who will answer.
            repeat_share: Share of questions that repeat an earlier one, to see how far raters agree with themselves.

        Raises:
            BarkError: When there are not two.
        """
        table = self._table([(birth, self._births.get(birth)) for birth in births])
        return self._taught().next_pair(table, rng, rater, repeat_share=repeat_share)

    def learned(self) -> Learned:
        """What was learned so far, and how sure that is."""
        model = self._taught()
        decision, agreement = model.decision, model.agreement()
        rung = next((one for one in decision.rungs if one.level == decision.speaks), None)
        return Learned(
            speaks=decision.speaks,
            why=decision.why,
            answers=len(self._answers),
            comparisons=len(self._log().comparisons()),
            accuracy=None if rung is None else rung.accuracy,
            choices=0 if rung is None else rung.choices,
            leanings=leanings(model.linear, AcousticFeatures.NAMES) if self._answers else (),
            usage=self._used(model),
            agreement=agreement,
        )

    def save(self, directory: Path) -> None:
        """Writes what was learned, for another run: a recipe asks for it by ``preference of FOLDER``."""
        self._taught().save(directory)

    # -- inside -------------------------------------------------------------------------------------------------

    def _note(self, number: int, answer: Judgement | Rating, births: Sequence[int]) -> None:
        for birth in births:
            self._births.judge(birth)
        self._answers[number] = answer
        if self._said is not None and not self._said.add(number, answer):
            self._said = None
        self._fitted = None

    def _recalled(self, told: tuple[Score, str, Sequence[int]] | None) -> Birth | None:
        return None if told is None else self._read(*told)

    def _read(self, score: Score, text: str = "", parents: Sequence[int] = ()) -> Birth:
        composite = math.nan
        if score.status != "ok":
            composite = 0.0
        elif self._weights:
            values = {name: score.terms[name].value if name in score.terms else NEUTRAL for name in self._weights}
            composite = sum(weight * values[name] for name, weight in self._weights.items()) / self._mass
        row = AcousticFeatures.known_from_measures(score.measures)
        experts = {name: embedding_from(name, score.measures) for name in self._experts}
        return Birth(row, composite, experts, text, parents[0] if parents else None)

    def _shown(self, birth: int) -> Shown:
        return Shown(birth, " ".join(spoken_words(self._births.get(birth).text)), str(self._family(birth)))

    def _family(self, birth: int) -> int:
        for _ in range(2):
            known = self._births.find(birth)
            if known is None or known.parent is None:
                break
            birth = known.parent
        return birth

    def _table(self, births: Sequence[tuple[int, Birth]]) -> CandidateTable:
        return CandidateTable.of(
            [birth for birth, _ in births],
            np.array([known.row for _, known in births]).reshape(-1, len(AcousticFeatures.NAMES)),
            [known.composite for _, known in births],
            {name: np.array([one.experts[name] for _, one in births]).reshape(-1, WIDTH) for name in self._experts},
        )

    def _log(self) -> JudgementLog:
        """The answers that stand as judgements, ratings in pairs, in order."""
        if self._said is None:
            self._said = Answers()
            for number in sorted(self._answers):
                self._said.add(number, self._answers[number])
        return self._said.log

    def _judged(self, comparisons: Iterable[Comparison]) -> Iterator[int]:
        """Births that these are about, in the order in which they come up."""
        seen: set[int] = set()
        for one in comparisons:
            for shown in (one.first, one.second):
                birth = int(shown.candidate)
                if birth not in seen:
                    seen.add(birth)
                    yield birth

    def rows(self, ids: Sequence[CandidateId]) -> CandidateTable:
        """Births as a model's candidates; see `fusion.preference.sequential.Candidates`."""
        return self._table([(int(birth), self._births.get(int(birth))) for birth in ids])

    def _used(self, model: PreferenceModel) -> dict[str, float]:
        """How much each expert counts, for the births that the decision rests on."""
        decision = model.decision
        if decision.speaks != "heads":
            return {}
        if self._usage is None or self._usage[0] is not decision:
            births = list(self._judged(self._log().comparisons()[: decision.comparisons]))
            self._usage = decision, model.usage(self.rows(births))
        return self._usage[1]

    def _taught(self) -> PreferenceModel:
        """The model as the answers that stand make it."""
        if self._fitted is None:
            log = self._log()
            usual: tuple[int, ...] = ()
            if self._experts:
                usual = tuple(itertools.islice(self._judged(log.comparisons()), EXPERT_BIRTHS))
            if self._model is None or usual != self._usual:
                # A model keeps what it found on held-out choices, so it is made anew only for another reference.
                self._model = PreferenceModel(self._reference(usual), seed=self._seed, heads=self._heads)
                self._usual = usual
            self._model.learn(log, self)
            self._fitted = self._model
        return self._fitted

    def _reference(self, usual: Sequence[int]) -> Reference:
        experts = {}
        for name in sorted(self._experts):
            rows = [self._births.get(birth).experts[name] for birth in usual] or [np.zeros(WIDTH, np.float32)]
            experts[name] = Block.fit(np.asarray(rows, np.float64))
        return Reference(usual_speech.FEATURES, COMPOSITE, MappingProxyType(experts))
