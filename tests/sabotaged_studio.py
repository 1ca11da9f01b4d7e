"""A made-up studio in which chosen births go wrong, each in its way and each time they are tried."""

from __future__ import annotations

import faulthandler
import math
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path

from made_up_studio import MadeUpStudio

from bark_infinity.error_handling import BarkError
from bark_infinity.tokens import TokenSpace
from experiments.evaluation import Evaluated, Job, Rendered
from fusion.score import Score, Term


class SabotagedStudio(MadeUpStudio):
    """Goes wrong as ``deeds`` says, by birth: what happens, and whether while it is rendered or judged."""

    def __init__(self, space: TokenSpace, deeds: Mapping[int, str]) -> None:
        super().__init__(space)
        self._deeds = deeds

    def _rendered(self, job: Job) -> Rendered:
        match self._deeds.get(job.candidate.birth):
            case "raise":
                raise ZeroDivisionError("a planted error")
            case "hang":
                time.sleep(3600)
            case "exit":
                os._exit(3)
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "crash":
                faulthandler._sigsegv()
            case "memory":
                raise MemoryError
        return super()._rendered(job)

    def _judged(self, one: Rendered) -> Evaluated:
        match self._deeds.get(one.candidate.birth):
            case "nan":
                terms = {"intelligibility": Term("intelligibility", math.nan, 1)}
                return Evaluated(one.candidate, Score("ok", terms), one.renderings[0])
            case "nan measure":
                return Evaluated(one.candidate, Score("ok", measures={"f0_median_hz": math.nan}), one.renderings[0])
        return super()._judged(one)


def sabotaged_studio(space: TokenSpace, deeds: Mapping[int, str], model: Path | None = None) -> SabotagedStudio:
    """Makes one; ``model`` is a folder that has to be there, like a checkpoint's."""
    if model is not None and not model.is_dir():
        raise BarkError(f"there is no checkpoint {model}; bring it back, or give another one")
    return SabotagedStudio(space, deeds)
