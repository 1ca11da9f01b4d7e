"""What people said about what they heard: immutable records in an append-only log, undone by a tombstone.

A judgement is relative, because absolute ratings drift: one of two is better, they tie, both are bad, or one of n is
the worst; and where people rate clips one by one, one of two was rated higher, which counts for less. Models read it as
comparisons of two candidates in the order in which they were shown. The log is a file of JSON lines, so that reading it
never executes anything, and saying the same twice is possible: repeated pairs show how far a rater agrees with
themselves, and no model can be expected to agree with them more than that.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from bark_infinity.error_handling import BarkError
from fusion.preference.consistency import Consistency, Tally

CandidateId = int | str
Kind = Literal["better", "worst", "tie", "both_bad", "rated"]
Outcome = Literal["first", "second", "tie", "both_bad"]

FORMAT = "victor-bark-judgements"
FORMAT_VERSION = 1
MAX_SHOWN = 64
RATED_WEIGHT = 0.5  # of a direct answer: the two were not heard side by side


@dataclass(frozen=True)
class Shown:
    """One candidate as it was presented.

    Attributes:
        candidate: Its id; whatever the caller's features are filed under.
        text: Group of the text it spoke; choices about one text are held out together.
        lineage: Group of its ancestry, such as the founder of its family; relatives are held out together.
    """

    candidate: CandidateId
    text: str
    lineage: str


@dataclass(frozen=True)
class Judgement:
    """One answer of one person.

    Attributes:
        kind: ``better`` and ``worst`` choose one of those shown; ``tie`` and ``both_bad`` choose none of two;
            ``rated``: two were rated one by one, and one of them higher.
        shown: What was heard, in the order in which it was presented.
        chosen: Position in ``shown`` of the better of two, or of the worst of n; None otherwise.
        rater: Who answered.
        strength: Of ``rated``: difference of the ratings, above 0 and at most 1.

    Raises:
        BarkError: When kind, number shown and choice do not go together.
    """

    kind: Kind
    shown: tuple[Shown, ...]
    chosen: int | None
    rater: str
    strength: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise BarkError(f"a judgement is {self.kind!r}, expected one of {', '.join(get_args(Kind))}")
        chooses = self.kind in ("better", "worst", "rated")
        if chooses != (self.chosen is not None):
            raise BarkError(
                f"a judgement {self.kind!r} chose {self.chosen}; better, worst and rated choose one, the others none"
            )
        if not 0 < self.strength <= 1 or (self.strength != 1 and self.kind != "rated"):
            raise BarkError(
                f"a judgement {self.kind!r} has strength {self.strength}; only rated has one, above 0 and at most 1"
            )
        most = MAX_SHOWN if self.kind == "worst" else 2
        if not 2 <= len(self.shown) <= most:
            raise BarkError(f"a judgement {self.kind!r} shows {len(self.shown)} candidates, expected 2 to {most}")
        if self.chosen is not None and not 0 <= self.chosen < len(self.shown):
            raise BarkError(f"candidate {self.chosen} was chosen of {len(self.shown)} shown; count from 0")
        if len({shown.candidate for shown in self.shown}) < len(self.shown):
            raise BarkError("a judgement shows a candidate twice; each can be shown once")

    def comparisons(self) -> tuple[Comparison, ...]:
        """What it says about pairs: one comparison, or n-1 for the worst of n."""
        if self.kind == "worst":
            assert self.chosen is not None
            worst = self.chosen
            pairs = [(min(worst, other), max(worst, other)) for other in range(len(self.shown)) if other != worst]
            # n-1 comparisons with one loser are not independent. Weighed by 2/n they hold as much information about
            # the utilities (trace of Fisher's matrix, at equal utilities) as the choice of one among n does.
            weight = 2 / len(self.shown)
            return tuple(
                Comparison(self.shown[i], self.shown[j], "second" if i == worst else "first", self.rater, weight, True)
                for i, j in pairs
            )
        first, second = self.shown
        outcome: Outcome
        if self.kind == "rated":
            outcome = "first" if self.chosen == 0 else "second"
            return (Comparison(first, second, outcome, self.rater, RATED_WEIGHT * self.strength, True),)
        if self.kind == "better":
            outcome = "first" if self.chosen == 0 else "second"
        else:
            outcome = "tie" if self.kind == "tie" else "both_bad"
        return (Comparison(first, second, outcome, self.rater, 1.0, False),)


@dataclass(frozen=True)
class Comparison:
    """Two candidates in the order shown, and what came of it.

    Attributes:
        first: Shown before ``second``.
        second: Shown after ``first``.
        outcome: Which is better, or neither.
        rater: Who said so.
        weight: How much it counts, in whole independent answers.
        forced: Whether neither ``tie`` nor ``both_bad`` could be answered.
    """

    first: Shown
    second: Shown
    outcome: Outcome
    rater: str
    weight: float
    forced: bool

    @property
    def pair(self) -> frozenset[CandidateId]:
        """The two ids, in no order."""
        return frozenset((self.first.candidate, self.second.candidate))

    @property
    def winner(self) -> CandidateId | None:
        """Id of the better one; None when neither is."""
        if self.outcome == "first":
            return self.first.candidate
        return self.second.candidate if self.outcome == "second" else None


class JudgementLog:
    """Append-only judgements; undoing one appends a tombstone and keeps the record."""

    def __init__(self) -> None:
        self._entries: list[Judgement | int] = []  # a number is the tombstone of the judgement with that number
        self._numbers: list[int] = []  # positions in _entries that are judgements
        self._undone: set[int] = set()
        self._heard: tuple[list[Comparison], Tally] | None = ([], Tally())  # of what stands; None: to be read again

    def append(self, judgement: Judgement) -> int:
        """Records a judgement and returns its number, by which it can be undone."""
        self._entries.append(judgement)
        self._numbers.append(len(self._entries) - 1)
        if self._heard is not None:
            _hear(judgement, *self._heard)
        return len(self._numbers) - 1

    def undo(self, number: int | None = None) -> int:
        """Takes back judgement ``number``, or the last that stands; returns its number.

        Raises:
            BarkError: When there is no such judgement, or it was taken back before.
        """
        if number is None:
            number = next((n for n in range(len(self._numbers) - 1, -1, -1) if n not in self._undone), None)
            if number is None:
                raise BarkError("no judgement stands, so there is none to undo")
        if not 0 <= number < len(self._numbers):
            raise BarkError(f"judgement {number} does not exist; the log has {len(self._numbers)}, counted from 0")
        if number in self._undone:
            raise BarkError(f"judgement {number} was undone before; append a new one to change your mind again")
        self._entries.append(number)
        self._undone.add(number)
        self._heard = None
        return number

    def standing(self) -> tuple[tuple[int, Judgement], ...]:
        """Numbers and judgements that were not undone, oldest first."""
        return tuple((number, judgement) for number, judgement in self._all() if number not in self._undone)

    @property
    def standing_count(self) -> int:
        """Number of judgements that were not undone."""
        return len(self._numbers) - len(self._undone)

    def comparisons(self) -> tuple[Comparison, ...]:
        """Comparisons of everything that stands, oldest first; the same objects every time, until one is undone."""
        return tuple(self._read()[0])

    def __len__(self) -> int:
        """Number of judgements ever made, undone ones included."""
        return len(self._numbers)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, JudgementLog) and self._entries == other._entries

    __hash__ = None  # type: ignore[assignment]  # it grows

    def consistency(self, rater: str) -> Consistency:
        """How often a rater answered a repeated pair as they did the time before, in whatever order it was shown."""
        return self._read()[1].own(rater)

    def agreement_between(self, rater: str, other: str) -> Consistency:
        """How often two raters' last answers to the same pair are the same."""
        return self._read()[1].between(rater, other)

    def copy(self) -> JudgementLog:
        """The log as it is now, which later judgements do not change."""
        log = JudgementLog()
        log._entries, log._numbers, log._undone = list(self._entries), list(self._numbers), set(self._undone)
        log._heard = None
        return log

    def raters(self) -> tuple[str, ...]:
        """Everyone whose judgements stand, in order of appearance."""
        return self._read()[1].raters

    def save(self, path: Path) -> None:
        """Writes the whole log as JSON lines; the file is replaced at once or not at all."""
        lines = [json.dumps({"format": FORMAT, "version": FORMAT_VERSION})]
        lines += [json.dumps(_to_json(entry)) for entry in self._entries]
        beside = path.with_name(path.name + ".part")
        with beside.open("w", encoding="utf-8", newline="\n") as file:
            file.write("\n".join(lines) + "\n")
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)

    @classmethod
    def load(cls, path: Path) -> JudgementLog:
        """Reads what `save` wrote.

        Raises:
            BarkError: When a line is not what it should be; it names the line.
        """
        log = cls()
        try:
            lines = path.read_text("utf-8").split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise BarkError(f"judgements {path.name} cannot be read ({error}); check the path") from error
        if lines[-1]:
            raise BarkError(f"judgements {path.name} ends within a line, so it is cut; restore it from a backup")
        if len(lines) < 2:
            raise BarkError(f"judgements {path.name} is empty, expected a header line; restore it from a backup")
        for number, line in enumerate(lines[:-1], 1):
            try:
                entry = json.loads(line)
                if number == 1:
                    _check_header(entry)
                elif isinstance(entry, dict) and set(entry) == {"undo"} and type(entry["undo"]) is int:
                    log.undo(entry["undo"])
                else:
                    log.append(_from_json(entry))
            except (ValueError, KeyError, TypeError, RecursionError, BarkError) as error:
                raise BarkError(
                    f"judgements {path.name}, line {number} is not a judgement ({error}); restore it from a backup"
                ) from error
        return log

    def _read(self) -> tuple[list[Comparison], Tally]:
        if self._heard is None:
            self._heard = ([], Tally())
            for _, judgement in self.standing():
                _hear(judgement, *self._heard)
        return self._heard

    def _all(self) -> Iterator[tuple[int, Judgement]]:
        for number, position in enumerate(self._numbers):
            entry = self._entries[position]
            assert isinstance(entry, Judgement)
            yield number, entry


def _hear(judgement: Judgement, comparisons: list[Comparison], tally: Tally) -> None:
    for one in judgement.comparisons():
        comparisons.append(one)
        tally.add(one)


def _check_header(header: Any) -> None:
    if not isinstance(header, Mapping) or header.get("format") != FORMAT:
        raise BarkError(f"the first line is not a header of format {FORMAT}")
    if header.get("version") != FORMAT_VERSION:
        raise BarkError(f"version {header.get('version')} is not {FORMAT_VERSION}, the one this program reads")


def _to_json(entry: Judgement | int) -> dict[str, Any]:
    if isinstance(entry, int):
        return {"undo": entry}
    shown = [[one.candidate, one.text, one.lineage] for one in entry.shown]
    told = {"kind": entry.kind, "shown": shown, "chosen": entry.chosen, "rater": entry.rater}
    return told if entry.kind != "rated" else told | {"strength": entry.strength}


def _from_json(entry: Any) -> Judgement:
    shown: Sequence[Any] = entry["shown"]
    for candidate, text, lineage in shown:
        if type(candidate) not in (int, str) or not isinstance(text, str) or not isinstance(lineage, str):
            raise BarkError("a shown candidate is not [id, text, lineage]")
    chosen, rater = entry["chosen"], entry["rater"]
    if type(chosen) not in (int, type(None)) or not isinstance(rater, str):
        raise BarkError("chosen is not a position, or rater is not a name")
    strength = entry["strength"] if entry["kind"] == "rated" else 1.0
    if not isinstance(strength, float):
        raise BarkError("strength is not a number")
    return Judgement(entry["kind"], tuple(Shown(*one) for one in shown), chosen, rater, strength)
