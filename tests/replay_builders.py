"""Runs recorded as a runner records them, with the events that it would have sent, in a form that can be compared."""

from __future__ import annotations

import dataclasses

from lineage_builders import begin, candidate, heard, rendering, score, voice

from digital_evolution import AddStatus, Genome
from evolution.interventions import Pin, Plant, to_json
from experiments.events import Asked, Begun, Committed, Intervened, Judged, Rescored, Told
from experiments.lineage import Lineage, people, rows

STEP = 4


def plain(candidate):
    """A candidate that can be compared: requests have no equality of their own."""
    request = candidate.render_first and rows.request_json(candidate.render_first)
    return dataclasses.replace(candidate, render_first=request)


def facts(events) -> list[object]:
    """Events that can be compared: those with candidates have no equality of their own."""
    told: list[object] = []
    for event in events:
        match event:
            case Asked():
                told.append(("asked", [plain(one) for one in event.candidates]))
            case Told():
                assert event.clip is None
                told.append(("told", plain(event.candidate), event.score, event.total, dict(event.seconds)))
            case _:
                told.append(event)
    return told


class Recorder:
    """Records a run as a runner does, and keeps the events that the runner would have sent."""

    def __init__(self, lineage: Lineage, name: str = "voices") -> None:
        self.lineage, self.run_id = lineage, begin(lineage, name)
        run = lineage.run(self.run_id)
        names, weights = tuple(run.weights), tuple(run.weights.values())
        self.sent: list[object] = [Begun(self.run_id, run.name, run.seed, run.config, names, weights)]
        self.living: set[int] = set()
        self.asked = 0

    def ask(self, count: int) -> None:
        asked = [candidate(birth) for birth in range(self.asked + 1, self.asked + count + 1)]
        self.asked += count
        self.lineage.record_asked(self.run_id, asked)
        self.sent.append(Asked(tuple(asked)))

    def tell(self, birth: int) -> None:
        one, judged = heard(candidate(birth)), score(birth)
        self.lineage.record_told(self.run_id, one, judged, rendering(birth), timings={"judge_s": 0.25})
        total = self.lineage.outcome(self.run_id, birth).total
        self.sent.append(Told(one, judged, total, seconds={"judge_s": 0.25}))

    def commit(self, step: int) -> None:
        births = range((step - 1) * STEP + 1, step * STEP + 1)
        ok = {birth for birth in births if score(birth).status == "ok"}
        out = {birth for birth in self.living if birth % 3 == step % 3}
        self.living = self.living - out | ok
        became = {birth: AddStatus.NEW if birth in ok else AddStatus.NOT_ADDED for birth in births}
        best, top = max(self.living, default=None), 0.25 * step
        payload = {"step": step, "became": [int(one) for one in became.values()], "in": sorted(ok), "out": sorted(out)}
        payload |= {"best": best, "generation_best": top}
        self.lineage.record_event(self.run_id, "committed", payload, birth=births.start)
        self.sent.append(Committed(became, tuple(sorted(self.living)), best, top))

    def judge(self, one: int, other: int) -> int:
        number = people.judge(self.lineage, self.run_id, "better", one, other)
        self.sent.append(Judged(number, "better", one, other))
        return number

    def take_back(self, number: int, one: int, other: int) -> None:
        people.withdraw(self.lineage, number)
        self.sent.append(Judged(number, "better", one, other, withdrawn=True))

    def plant(self, step: int) -> None:
        spoken = voice(77)
        self.lineage.keep_voice(spoken)
        for done in (Plant(Genome("♪ by hand", spoken), (1,)), Pin(2)):
            self.lineage.record_event(self.run_id, "intervened", {"step": step, "intervention": to_json(done)})
            self.sent.append(Intervened(step, done))

    def rescore(self, totals: dict[int, float]) -> None:
        self.lineage.record_event(self.run_id, "rescored", {"totals": totals})
        self.sent.append(Rescored(totals))

    def steps(self, first: int, last: int, order=lambda births: births) -> None:
        for step in range(first, last + 1):
            self.ask(STEP)
            for birth in order(list(range((step - 1) * STEP + 1, step * STEP + 1))):
                self.tell(birth)
            self.commit(step)


def whole_run(lineage: Lineage, steps: int = 5) -> Recorder:
    """Everything that there is to record."""
    recorder = Recorder(lineage)
    recorder.steps(1, 2)
    number = recorder.judge(2, 1)
    recorder.lineage.record_event(recorder.run_id, "of a later program", {"what": 1})
    recorder.plant(4)
    recorder.steps(3, steps, order=lambda births: births[::-1])
    recorder.take_back(number, 2, 1)
    recorder.rescore({2: 0.5, 1: 0.25})
    recorder.ask(2)
    lineage.set_state(recorder.run_id, "done", "20 evaluations are done")
    return recorder
