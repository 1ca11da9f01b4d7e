"""Comparing by ear: which births are asked about, what was answered, and what the answers have taught.

A question is a pair, or four of which the worst is chosen. The run's own learner knows which pair would teach most
(`Taught.question`); until it has said so, the pair is taken about which least is known: asked least often, of births
that were heard least often, of totals that are close.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from experiments.board.births import Births
from experiments.board.model import Model, Shared
from experiments.events import Begun, ChooseWorst, Command, Committed, Event, Judged, JudgePair, Rate, Taught, Told

if TYPE_CHECKING:
    from fusion.preference.learner import Learned

Mode = Literal["pair", "worst"]
Answer = Literal["first", "second", "tie", "bad"]
POOL = 40  # births that questions are made of: who lives, and the newest
RECENT = 1_000  # births that are looked through when few live
KEPT = 12  # answers that are listed


@dataclass(frozen=True)
class Given:
    """An answer of this sitting, in words; ``number`` tells equal ones apart, ``about`` are its births."""

    number: int
    words: str
    about: frozenset[int] = frozenset()


@dataclass(frozen=True, eq=False)
class _Lesson(Shared):
    learned: Learned | None = None


class Compare(Model):
    """The question that is open, and what is known of people's taste.

    Attributes:
        mode: Pairs, or the worst of four.
        question: Births to be heard; empty while there are too few.
        why: Why these.
        heard: Those of the question that were played.
        given: Answers of this sitting, newest first.
        answers: How many stand in the run.
    """

    def __init__(self, births: Births) -> None:
        super().__init__()
        self.births = births
        self.mode: Mode = "pair"
        self.question: tuple[int, ...] = ()
        self.why = ""
        self.heard: set[int] = set()
        self.given: deque[Given] = deque(maxlen=KEPT)
        self.answers = 0
        self._taught = _Lesson()
        self._suggested: tuple[int, int] | None = None
        self._skipped: set[frozenset[int]] = set()
        self._pairs: Counter[frozenset[int]] = Counter()
        self._times: Counter[int] = Counter()
        self._standing: set[int] = set()  # judgements
        self._came_of: dict[int, Given] = {}  # by judgement, the answer that it was part of

    def apply(self, event: Event) -> None:
        """Takes in answers, what was learned, and births that can be asked about."""
        match event:
            case Begun():
                self.__init__(self.births)  # type: ignore[misc]
            case Judged():
                self._count(event)
            case Taught():
                self._taught, self._suggested = _Lesson(event.learned), event.question
            case Told() | Committed() if not self.question:
                self.ask()
                if not self.question:
                    return
            case _:
                return
        self.changed()

    @property
    def learned(self) -> Learned | None:
        """What the run's learner makes of the answers; None before it has said so."""
        return self._taught.learned

    def adopt(self, before: Compare) -> None:
        """Keeps the mode and what was answered in this sitting."""
        self.given = before.given
        if before.mode != self.mode:
            self.mode = before.mode
            self.ask()

    def _count(self, event: Judged) -> None:
        by = -1 if event.withdrawn else 1
        (self._standing.discard if event.withdrawn else self._standing.add)(event.judgement_id)
        self.answers = len(self._standing)
        self._belongs(event)
        if event.other is not None:
            self._pairs[frozenset((event.one, event.other))] += by
            self._times[event.one] += by
            self._times[event.other] += by

    def _belongs(self, event: Judged) -> None:
        """Answers are recorded as judgements; when one is taken back, its answer leaves the list."""
        if event.withdrawn:
            given = self._came_of.pop(event.judgement_id, None)
            if given in self.given:
                self.given.remove(given)  # type: ignore[arg-type]  # it is in there
            return
        births = {event.one} if event.other is None else {event.one, event.other}
        given = next((one for one in self.given if births <= one.about), None)
        rated_bad = given is not None and given.words.endswith("bad") and event.value == 0
        if given is not None and (event.other is not None or rated_bad):
            self._came_of[event.judgement_id] = given

    # -- asking -------------------------------------------------------------------------------------------------

    def ask(self) -> None:
        """Opens the next question."""
        self.question, self.why = self._next()
        self.heard = set()
        self.changed()

    def _next(self) -> tuple[tuple[int, ...], str]:
        pool = self._pool()
        if self.mode == "worst":
            if len(pool) < 4:
                return (), ""
            chosen = sorted(pool, key=lambda birth: (self._times[birth], birth))[:4]
            return tuple(chosen), "four that were compared least often"
        if len(pool) < 2:
            return (), ""
        pair = self._suggested
        if pair is not None and all(one in self.births for one in pair) and frozenset(pair) not in self._skipped:
            self._suggested = None
            return pair, "the pair whose answer would teach most"
        pairs = [
            (one, other)
            for place, one in enumerate(pool)
            for other in pool[place + 1 :]
            if frozenset((one, other)) not in self._skipped
        ]
        if not pairs:
            self._skipped.clear()
            return self._next()
        return min(pairs, key=self._known_of), "a close pair that was compared least often"

    def _known_of(self, pair: tuple[int, int]) -> tuple[int, int, float, tuple[int, int]]:
        one, other = pair
        apart = abs((self.births.total(one) or 0.0) - (self.births.total(other) or 0.0))
        return self._pairs[frozenset(pair)], self._times[one] + self._times[other], apart, pair

    def _pool(self) -> list[int]:
        ok = [birth for birth in self.births.population if birth in self.births][-POOL:]
        if len(ok) < 4:
            most = self.births.most
            for birth in range(most, max(most - RECENT, 0), -1):
                if birth not in self.births or self.births.status(birth) != "ok":
                    continue
                if birth not in ok:
                    ok.append(birth)
                if len(ok) >= POOL:
                    break
        return ok

    def choose_mode(self, mode: Mode) -> None:
        """Asks for pairs, or for the worst of four."""
        if mode != self.mode:
            self.mode = mode
            self.ask()

    def put(self, birth: int, place: int) -> None:
        """A person puts a birth into a place of a pair, 0 for A; an equal one at the other place is replaced."""
        pair = list(self.question if self.mode == "pair" and len(self.question) == 2 else ())
        self.mode = "pair"
        if len(pair) < 2:
            others = [one for one in self._pool() if one != birth]
            pair = [birth, others[0]] if others else [birth]
        elif pair[1 - place] == birth:
            pair.reverse()
        if place < len(pair):
            pair[place] = birth
        self.question = tuple(pair) if len(pair) == 2 and pair[0] != pair[1] else ()
        self.why, self.heard = "chosen by hand", set()
        self.changed()

    def listen(self, birth: int) -> None:
        """A birth of the question was played."""
        if birth in self.question and birth not in self.heard:
            self.heard.add(birth)
            self.changed()

    # -- answering ----------------------------------------------------------------------------------------------

    def answer(self, answer: Answer, latency_s: float | None = None) -> tuple[Command, ...]:
        """An answer about the pair, as commands; none while no pair is open. The next question is opened."""
        if self.mode != "pair" or len(self.question) != 2:
            return ()
        one, other = self.question
        if answer == "second":
            one, other = other, one
        words = {"tie": f"#{one} and #{other} alike", "bad": f"#{one} and #{other} both bad"}.get(
            answer, f"#{one} better than #{other}"
        )
        command = JudgePair(one, other, equal=answer == "tie", bad=answer == "bad", latency_s=latency_s)
        self._note(words)
        return (command,)

    def worst(self, place: int) -> tuple[Command, ...]:
        """The worst of four, as commands."""
        if self.mode != "worst" or not 0 <= place < len(self.question):
            return ()
        worst = self.question[place]
        others = tuple(birth for birth in self.question if birth != worst)
        self._note(f"#{worst} worst of {', '.join(f'#{birth}' for birth in others)}")
        return (ChooseWorst(worst, others),)

    def bad(self) -> tuple[Command, ...]:
        """All of them are bad: a dislike each."""
        if self.mode == "pair":
            return self.answer("bad")
        commands = tuple(Rate(birth, 0.0) for birth in self.question)
        if commands:
            self._note(f"{', '.join(f'#{birth}' for birth in self.question)} all bad")
        return commands

    def skip(self) -> None:
        """Another question instead; nothing is recorded."""
        self._skipped.add(frozenset(self.question))
        for birth in self.question:
            self._times[birth] += 1 if self.mode == "worst" else 0
        self.ask()

    def took_back(self) -> None:
        """The latest answer was not taken: there is no run that takes any."""
        if self.given:
            self.given.popleft()
            self.changed()

    def _note(self, words: str) -> None:
        number = self.given[0].number + 1 if self.given else 1
        self.given.appendleft(Given(number, words, frozenset(self.question)))
        self._pairs.update([frozenset(self.question)] if self.mode == "pair" else ())
        asked = self.question
        self.ask()
        if asked and self.mode == "pair":
            self._pairs[frozenset(asked)] -= 1  # `Judged` counts it when it is recorded
