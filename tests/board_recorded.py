"""Events of a made-up run written into a lineage, as a runner writes them, so that the window can go back in it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

from evolution.interventions import to_json
from experiments.events import Asked, Begun, Committed, Event, Intervened, Judged, Rescored, Told
from experiments.lineage import Lineage, people


class Recorder:
    """Writes one run; judgements get the numbers that the lineage gives them."""

    def __init__(self, lineage: Lineage) -> None:
        self.lineage = lineage
        self.run_id = 0
        self._living: set[int] = set()
        self._judgements: dict[int, int] = {}  # the lineage's numbers by the events'

    def record(self, event: Event) -> Event:
        """Writes an event, and returns it as the runner would send it."""
        lineage, run_id = self.lineage, self.run_id
        match event:
            case Begun():
                weights = dict(zip(event.objectives, event.weights, strict=True))
                run = lineage.begin_run(event.name, config=event.config, seed=event.seed, weights=weights)
                self.run_id, self._living = run.run_id, set()
                return dataclasses.replace(event, run_id=run.run_id)
            case Asked():
                lineage.record_asked(run_id, event.candidates)
            case Told():
                lineage.record_told(run_id, event.candidate, event.score, timings=event.seconds)
            case Committed():
                living = set(event.population)
                became = dict(sorted(event.became.items()))
                payload = {
                    "became": [int(one) for one in became.values()],
                    "in": sorted(living - self._living),
                    "out": sorted(self._living - living),
                    "best": event.best,
                    "generation_best": event.generation_best,
                }
                lineage.record_event(run_id, "committed", payload, birth=min(became))
                self._living = living
                return dataclasses.replace(event, became=became, population=tuple(sorted(living)))
            case Judged(withdrawn=False):
                number = people.judge(lineage, run_id, event.kind, event.one, event.other, value=event.value)
                self._judgements[event.judgement_id] = number
                return dataclasses.replace(event, judgement_id=number)
            case Judged():
                number = self._judgements[event.judgement_id]
                people.withdraw(lineage, number)
                return dataclasses.replace(event, judgement_id=number)
            case Intervened():
                payload = {"step": event.step, "intervention": to_json(event.intervention)}
                lineage.record_event(run_id, "intervened", payload)
            case Rescored():
                lineage.record_event(run_id, "rescored", {"totals": dict(event.totals)})
        return event

    def all(self, events: Iterable[Event]) -> Iterator[Event]:
        """Writes each before it is sent."""
        for event in events:
            yield self.record(event)
