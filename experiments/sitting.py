"""A person's sitting at a running evolution: what they say is recorded, and can be taken back in order."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

from bark_infinity.error_handling import BarkError
from experiments.events import (
    ChooseWorst,
    Command,
    Event,
    Intervene,
    Judged,
    JudgePair,
    Rate,
    Remember,
    TakeBack,
)
from experiments.lineage import people
from experiments.recorded_run import RecordedRun


@dataclass
class Sitting:
    """Takes what people say to a run.

    Args:
        run: Which.
        rater: Who says it.
        session: Name of this sitting in the lineage.
    """

    run: RecordedRun
    rater: str = ""
    session: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    _answers: list[list[Judged]] = field(default_factory=list)  # what one click recorded belongs together
    _follows: bool = True  # whether the run learns from an answer at once

    def hear(self, command: Command) -> list[Event]:
        """Records what somebody said, and what follows from it.

        Raises:
            BarkError: When it makes no sense, such as a judgement of a birth that is not there; nothing is recorded.
        """
        match command:
            case JudgePair(one, other, equal, bad, latency_s):
                self.run.require_told((one, other))
                kind: people.Kind = "both_bad" if bad else "equal" if equal else "better"
                return self._answer(lambda: [self._pair(kind, one, other, latency_s)])
            case Rate(birth, value):
                self.run.require_told((birth,))
                return self._answer(lambda: [self._rating(birth, value)])
            case ChooseWorst(worst, others):
                self.run.require_told((worst, *others))
                return self._answer(lambda: [self._pair("better", other, worst) for other in others])
            case TakeBack(judgement_id):
                return self._taken_back(judgement_id)
            case Intervene(intervention):
                return self.run.intervene(intervention)
            case Remember(birth, tag, note, away):
                self._remember(birth, tag, note, away)
                return []
        raise BarkError(f"{type(command).__name__} is nothing that can be said to a run while it goes on")

    def write_down(self, command: Command) -> list[Event]:
        """Records an answer, that one was taken back, a tag or a note; what follows from it is the next sitting's.

        Raises:
            BarkError: For anything else, and as `hear`; nothing is recorded.
        """
        if not isinstance(command, JudgePair | Rate | ChooseWorst | TakeBack | Remember):
            raise BarkError("only answers, tags and notes are taken when a run has failed; say it when it goes on")
        self._follows = False
        try:
            return self.hear(command)
        finally:
            self._follows = True

    def _pair(self, kind: people.Kind, one: int, other: int, latency_s: float | None = None) -> Judged:
        number = people.judge(
            self.run.lineage,
            self.run.run.run_id,
            kind,
            one,
            other,
            rater=self.rater,
            session=self.session,
            latency_s=latency_s,
        )
        return Judged(number, kind, one, other)

    def _rating(self, birth: int, value: float) -> Judged:
        number = people.judge(
            self.run.lineage,
            self.run.run.run_id,
            "rating",
            birth,
            value=value,
            rater=self.rater,
            session=self.session,
        )
        return Judged(number, "rating", birth, value=value)

    def _answer(self, record: Callable[[], list[Judged]]) -> list[Event]:
        """Records one click's answers with what follows, all or nothing."""
        with self.run.lineage.transaction("recording an answer"):
            answers = record()
            followed = self.run.answered(answers, self.rater) if self._follows else []
        self._answers.append(answers)
        return [*answers, *followed]

    def _taken_back(self, judgement_id: int | None) -> list[Event]:
        if judgement_id is None:
            if not self._answers:
                raise BarkError("nothing was judged in this sitting, so there is nothing to take back")
            answers = self._answers.pop()
        else:
            answers = [one for group in self._answers for one in group if one.judgement_id == judgement_id]
            self._answers = [kept for group in self._answers if (kept := [one for one in group if one not in answers])]
            if not answers:
                raise BarkError(f"judgement {judgement_id} was not given in this sitting, so it is not taken back here")
        withdrawn = [dataclasses.replace(one, withdrawn=True) for one in answers]
        with self.run.lineage.transaction("taking an answer back"):
            for one in answers:
                people.withdraw(self.run.lineage, one.judgement_id)
            followed = self.run.answered(withdrawn, self.rater) if self._follows else []
        return [*withdrawn, *followed]

    def _remember(self, birth: int, tag: str, note: str, away: bool) -> None:
        run_id = self.run.run.run_id
        if tag and away:
            people.untag(self.run.lineage, run_id, birth, tag)
        elif tag:
            people.tag(self.run.lineage, run_id, birth, tag)
        if note:
            people.note(self.run.lineage, run_id, birth, note)
