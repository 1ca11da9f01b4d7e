"""``judge``: two clips at a time, which is better? Works over ssh, with files where nothing can play.

Which pair is asked about next is the choice of `fusion.preference.ask`: the one whose answer would teach most. Answers
are recorded one by one, so leaving at any moment loses none. Both clips are made equally loud, and their birth
numbers are told only afterwards.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from bark_infinity.error_handling import BarkError
from experiments.cli import chosen
from experiments.cli.exits import FINE
from experiments.cli.hearing import Ears
from experiments.cli.playback import Player, evened, find_player
from experiments.cli.terminal import Painted, Terminal, counted

if TYPE_CHECKING:
    from experiments.cli.main import Verbs
    from experiments.lineage import Lineage, Run
    from experiments.lineage.people import Judgement, Kind
    from fusion.preference.ask import Question
    from fusion.preference.learner import PreferenceLearner

_POOL = 96  # births that questions are about: half the best, half the latest
_ANSWERS = "1 or 2 is better, t tie, b both bad, r again, s skip, u undo, q quit"


def add(verbs: Verbs) -> None:
    """Describes the verb to the parser."""
    parser = verbs.add("judge", judge, "listen to pairs and say which is better; the run learns from it")
    chosen.add_file(parser, optional=True)
    chosen.add_run(parser)
    parser.add_argument("--rater", metavar="NAME", help="who answers (without: your user name)")
    parser.add_argument("--pairs", metavar="N", type=int, help="stop after so many answers")
    parser.add_argument("--folder", metavar="FOLDER", type=Path, help="write the clips here (without: a temporary one)")
    parser.add_argument("--silent", action="store_true", help="only show the files; play nothing")


def judge(args: argparse.Namespace, terminal: Terminal) -> int:
    """Asks until there is nothing left to ask, or the person has enough."""
    with chosen.write(args.file, "judge") as lineage, tempfile.TemporaryDirectory(prefix="bark-lab-") as temporary:
        run = chosen.chosen_run(lineage, args.run)
        folder = args.folder or Path(temporary)
        player = None if args.silent else find_player()
        sitting = _Sitting(lineage, run, args.rater or _user(), folder, player, terminal)
        if player is None:
            terminal.say(f"nothing plays here; listen to the files yourself, they are in {folder}")
        sitting.ask_all(args.pairs)
    return FINE


class _Sitting:
    """One person, one run, until they leave."""

    def __init__(
        self, lineage: Lineage, run: Run, rater: str, folder: Path, player: Player | None, terminal: Terminal
    ) -> None:
        self._lineage, self._run, self._rater = lineage, run, rater
        self._folder, self._player, self._terminal = folder, player, terminal
        self._session = uuid.uuid4().hex[:12]
        self._given: list[int] = []  # numbers of the judgements, for undo
        self._skipped: tuple[int, ...] = ()
        self._questions = 0
        self._ears = Ears(lineage, run)
        self._births = _births_to_ask_about(lineage, run, self._ears)
        self._learner = _learner(lineage, run, self._births)

    def ask_all(self, pairs: int | None) -> None:
        """Asks ``pairs`` questions, or until the person leaves."""
        while pairs is None or len(self._given) < pairs:
            if not self._ask():
                break
        for sentence in self._learner.learned().sentences():
            self._terminal.say(sentence)
        self._terminal.say(f"{counted(len(self._given), 'answer')} recorded in {self._lineage.path}")

    def _ask(self) -> bool:
        question = self._question()
        files = [self._write(place, int(birth)) for place, birth in enumerate((question.first, question.second), 1)]
        self._questions += 1
        prompts = [self._lineage.candidate(self._run.run_id, int(birth)).genome.prompt for birth in _births(question)]
        self._terminal.say(Painted(f"pair {len(self._given) + 1}", "bold"))
        for place, (file, prompt) in enumerate(zip(files, prompts, strict=True), 1):
            self._terminal.say(Painted(f"  {place}  ", "accent"), f"{file}  ", Painted(f"says: {prompt}", "dim"))
        self._play(files)
        heard = time.monotonic()
        while True:
            answer = self._line(f"{_ANSWERS}: ")
            if answer in ("", "q", "quit"):
                return False
            if answer in ("1", "2", "t", "b"):
                self._record(answer, question, time.monotonic() - heard)
                return True
            if answer == "s":
                self._skipped = _births(question)
                return True
            if answer == "u":
                self._undo()
            elif answer == "r":
                self._play(files)
            else:
                self._terminal.say("that is no answer")

    def _question(self) -> Question:
        import numpy as np

        left = [birth for birth in self._births if birth not in self._skipped]
        rng = np.random.default_rng([self._run.seed, len(self._given), self._questions])
        return self._learner.next_pair(self._births if len(left) < 2 else left, rng, rater=self._rater)

    def _record(self, answer: str, question: Question, latency_s: float) -> None:
        from experiments.lineage import people

        first, second = _births(question)
        kind: Kind = "both_bad" if answer == "b" else "equal" if answer == "t" else "better"
        pair = (second, first) if answer == "2" else (first, second)
        with self._lineage.transaction("recording an answer"):
            number = people.judge(
                self._lineage,
                self._run.run_id,
                kind,
                *pair,
                rater=self._rater,
                session=self._session,
                latency_s=round(latency_s, 3),
            )
        self._given.append(number)
        told = {"1": f"#{first} over #{second}", "2": f"#{second} over #{first}", "t": f"#{first} and #{second}: a tie"}
        self._terminal.say(Painted(f"  {told.get(answer, f'#{first} and #{second}: both bad')}", "dim"))
        _choose(self._learner, number, kind, pair, self._rater)  # as recorded; what was said before is known already

    def _undo(self) -> None:
        from experiments.lineage import people

        if not self._given:
            self._terminal.say("nothing of this sitting is left to undo")
            return
        number = self._given.pop()
        people.withdraw(self._lineage, number)
        self._learner.withdraw(number)
        self._terminal.say("the last answer was taken back; this pair is still to be answered")

    def _write(self, place: int, birth: int) -> Path:
        from bark_infinity.audio import write_audio

        audio, rate = self._ears.hear(birth)
        return write_audio(self._folder / f"{place}.wav", evened(audio), rate, overwrite=True).path

    def _play(self, files: list[Path]) -> None:
        if self._player is None:
            return
        self._terminal.out.flush()
        try:
            for file in files:
                self._player.play(file)
                time.sleep(0.3)
        except BarkError as error:
            self._terminal.say(Painted(str(error), "warn"))
            self._player = None

    def _line(self, prompt: str) -> str:
        self._terminal.out.write(prompt)
        self._terminal.out.flush()
        return sys.stdin.readline().strip().lower()


def _births(question: Question) -> tuple[int, int]:
    return int(question.first), int(question.second)


def _user() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container without a user's name
        return "somebody"


def _births_to_ask_about(lineage: Lineage, run: Run, ears: Ears) -> list[int]:
    """Births that were rendered and are ok: the best and the latest.

    Raises:
        BarkError: When there are not two.
    """
    from experiments.lineage import browse

    best = [birth for birth, _ in browse.best(lineage, run.run_id, count=_POOL // 2)]
    last = lineage.last_birth(run.run_id)
    wanted = sorted({*best, *range(max(1, last - _POOL // 2 + 1), last + 1)})
    outcomes = lineage.outcomes(run.run_id, wanted)
    heard = ears.can_hear(
        birth
        for birth, outcome in sorted(outcomes.items())
        if outcome.score.status == "ok" and outcome.output_sha256 is not None
    )
    if len(heard) < 2:
        raise BarkError(f"run {run.name!r} has {len(heard)} births to listen to, a pair needs two; let it run on")
    return heard


def _learner(lineage: Lineage, run: Run, births: list[int]) -> PreferenceLearner:
    """What was said so far, about these births and all others."""
    from experiments.lineage import people
    from fusion.preference.learner import PreferenceLearner

    said = people.judgements(lineage, run.run_id)
    judged = {birth for one in said for birth in (one.one, one.other) if birth is not None}
    wanted = sorted({*births, *judged})
    outcomes = lineage.outcomes(run.run_id, wanted)
    known = [outcome.score.terms.keys() for outcome in outcomes.values() if outcome.score.status == "ok"]
    weights = {name: weight for name, weight in run.weights.items() if all(name in terms for terms in known)}
    learner = PreferenceLearner(weights, seed=run.seed, heads=False)
    for candidate in lineage.candidates(run.run_id, sorted(outcomes)):
        parents = [parent.birth for parent in candidate.parents]
        learner.hear(candidate.birth, outcomes[candidate.birth].score, text=candidate.genome.prompt, parents=parents)
    for one in said:
        _teach(learner, one)
    return learner


def _teach(learner: PreferenceLearner, one: Judgement) -> None:
    if one.kind == "rating":
        learner.rate(one.judgement_id, one.one, one.value or 0.0, rater=one.rater)
    elif one.other is not None:
        _choose(learner, one.judgement_id, one.kind, (one.one, one.other), one.rater)


def _choose(learner: PreferenceLearner, number: int, kind: Kind, pair: tuple[int, int], rater: str) -> None:
    if kind == "better":
        learner.choose(number, "better", pair, 0, rater=rater)
    else:
        learner.choose(number, "tie" if kind == "equal" else "both_bad", pair, rater=rater)
