"""Answers of one run in order, as judgements: choices as they are, ratings in pairs.

A rating says little by itself, for people's scales drift. It counts as a comparison with the same rater's latest other
rating that differs, worth half an answer times the difference: a like and a dislike are half an answer.
"""

from __future__ import annotations

from dataclasses import dataclass

from fusion.preference.judgements import Judgement, JudgementLog, Shown


@dataclass(frozen=True)
class Rating:
    """What one person said about one birth.

    Attributes:
        shown: The birth as it was presented.
        birth: Its number.
        value: 1 for a like, 0 for a dislike, or anything between.
        rater: Who.
    """

    shown: Shown
    birth: int
    value: float
    rater: str


class Answers:
    """Answers in the order of their numbers.

    Attributes:
        log: What they come to, as judgements.
    """

    def __init__(self) -> None:
        self.log = JudgementLog()
        self._last: int | None = None
        self._rated: dict[str, dict[int, Rating]] = {}  # by rater and birth, the latest rating at the end

    def add(self, number: int, answer: Judgement | Rating) -> bool:
        """Takes one more; False when it comes before one that was taken."""
        if self._last is not None and number <= self._last:
            return False
        self._last = number
        if isinstance(answer, Judgement):
            self.log.append(answer)
            return True
        before = self._rated.setdefault(answer.rater, {})
        before.pop(answer.birth, None)  # rated anew
        other = next((one for one in reversed(before.values()) if one.value != answer.value), None)
        if other is not None:
            pair = sorted((answer, other), key=lambda one: one.birth)
            chosen = 0 if pair[0].value > pair[1].value else 1
            shown = (pair[0].shown, pair[1].shown)
            self.log.append(Judgement("rated", shown, chosen, answer.rater, abs(answer.value - other.value)))
        before[answer.birth] = answer
        return True
