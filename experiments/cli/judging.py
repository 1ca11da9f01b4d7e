"""``judge``: two clips at a time, which is better? Works over ssh, with files where nothing can play.

Which pair is asked about next is the choice of `fusion.preference.ask`: the one whose answer would teach most. Answers
are recorded one by one, so leaving at any moment loses none. Both clips are made equally loud, and their birth
numbers are told only afterwards.
"""

from __future__ import annotations

import argparse
import functools
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from bark_infinity.error_handling import BarkError
from experiments.cli import chosen
from experiments.cli.exits import FINE
from experiments.cli.playback import Player, evened, find_player
from experiments.cli.terminal import Painted, Terminal

if TYPE_CHECKING:
    from experiments.cli.main import Verbs
    from experiments.lineage import Lineage, Run
    from fusion.preference.ask import Question
    from fusion.preference.candidates import CandidateTable
    from fusion.preference.judgements import JudgementLog
    from fusion.preference.model import PreferenceModel

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
        self._given: list[list[int]] = []  # numbers of the judgements of each answer, for undo
        self._skipped: tuple[int, ...] = ()
        self._questions = 0
        self._table = _candidates(lineage, run)
        self._model = _model(self._table)

    def ask_all(self, pairs: int | None) -> None:
        """Asks ``pairs`` questions, or until the person leaves."""
        while pairs is None or len(self._given) < pairs:
            if not self._ask():
                break
        for sentence in self._learned().agreement().sentences():
            self._terminal.say(sentence)
        self._terminal.say(f"{len(self._given)} answers recorded in {self._lineage.path}")

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

        left = [birth for birth in self._table.ids if birth not in self._skipped]
        table = self._table if len(left) < 2 else self._table.rows(left)
        rng = np.random.default_rng([self._run.seed, len(self._given), self._questions])
        return self._learned().next_pair(table, rng, self._rater)

    def _learned(self) -> PreferenceModel:
        self._model.learn(_log(self._lineage, self._run, frozenset(self._table.ids)), self._table)
        return self._model

    def _record(self, answer: str, question: Question, latency_s: float) -> None:
        from experiments.lineage import people

        first, second = _births(question)
        say = functools.partial(
            people.judge,
            self._lineage,
            self._run.run_id,
            rater=self._rater,
            session=self._session,
            latency_s=round(latency_s, 3),
        )
        if answer in "12":
            one, other = (first, second) if answer == "1" else (second, first)
            self._given.append([say("better", one, other)])
            self._terminal.say(Painted(f"  #{one} over #{other}", "dim"))
            return
        if answer == "t":
            self._given.append([say("equal", first, second)])
        else:
            self._given.append([say("rating", birth, value=0.0) for birth in (first, second)])
        self._terminal.say(Painted(f"  #{first} and #{second}: {'a tie' if answer == 't' else 'both bad'}", "dim"))

    def _undo(self) -> None:
        from experiments.lineage import people

        if not self._given:
            self._terminal.say("nothing of this sitting is left to undo")
            return
        for number in reversed(self._given.pop()):
            people.withdraw(self._lineage, number)
        self._terminal.say("the last answer was taken back; this pair is still to be answered")

    def _write(self, place: int, birth: int) -> Path:
        from bark_infinity.audio import write_audio
        from experiments.lineage import clips

        kept = clips.clip(self._lineage, self._run.run_id, birth)
        assert kept is not None  # only such births are candidates
        return write_audio(self._folder / f"{place}.wav", evened(kept[0]), kept[1], overwrite=True).path

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


def _candidates(lineage: Lineage, run: Run) -> CandidateTable:
    """Births that can be heard, with all that was measured of them.

    Raises:
        BarkError: When there are not two.
    """
    import numpy as np

    from experiments.lineage import browse, clips, people
    from fusion.preference.candidates import CandidateTable

    best = [birth for birth, _ in browse.best(lineage, run.run_id, count=_POOL // 2)]
    last = lineage.last_birth(run.run_id)
    latest = range(max(1, last - _POOL // 2 + 1), last + 1)
    judged = [birth for one in people.judgements(lineage, run.run_id) for birth in (one.one, one.other) if birth]
    wanted = sorted({*best, *latest, *judged})
    outcomes = lineage.outcomes(run.run_id, wanted)
    heard = [
        birth
        for birth in wanted
        if birth in outcomes
        and outcomes[birth].score.status == "ok"
        and clips.clip(lineage, run.run_id, birth) is not None
    ]
    if len(heard) < 2:
        raise BarkError(
            f"run {run.name!r} has {len(heard)} births that can be heard, a pair needs two; let it run on, with "
            "execution.clips = 'elites' or 'all'"
        )
    names = sorted({name for birth in heard for name in outcomes[birth].score.measures})
    features = np.array(
        [[outcomes[birth].score.measures.get(name, np.nan) for name in names] for birth in heard], np.float64
    ).reshape(len(heard), len(names))  # (N, D)
    totals = [np.nan if (total := outcomes[birth].total) is None else total for birth in heard]
    return CandidateTable.of(heard, features, np.array(totals))


def _model(table: CandidateTable) -> PreferenceModel:
    from fusion.preference.candidates import Reference
    from fusion.preference.model import PreferenceModel

    return PreferenceModel(Reference.fit(table), heads=False)


def _log(lineage: Lineage, run: Run, known: frozenset[int | str]) -> JudgementLog:
    """What was said about pairs of these births."""
    from experiments.lineage import ancestry, people
    from fusion.preference.judgements import Judgement, JudgementLog, Shown

    log = JudgementLog()
    shown: dict[int, Shown] = {}
    for one in people.judgements(lineage, run.run_id):
        if one.other is None or not {one.one, one.other} <= known:
            continue
        for birth in (one.one, one.other):
            if birth not in shown:
                prompt = lineage.candidate(run.run_id, birth).genome.prompt
                founder = ancestry.primary_line(lineage, run.run_id, birth)[-1]
                shown[birth] = Shown(birth, prompt, str(founder))
        pair = (shown[one.one], shown[one.other])
        log.append(
            Judgement("better", pair, 0, one.rater) if one.kind == "better" else Judgement("tie", pair, None, one.rater)
        )
    return log
