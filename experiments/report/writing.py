"""`write_report`: from a lineage file to one HTML file, written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bark_infinity.error_handling import BarkError
from experiments.lineage import ancestry, browse
from experiments.lineage.reading import LineageReader
from experiments.report.archive_map import FAVOURITES, configured_axes, draw_from
from experiments.report.findings import CONTROL, best_births, find
from experiments.report.page import page
from experiments.report.shelf import Decode, Shelf
from experiments.report.winners import heard_ancestors


@dataclass(frozen=True)
class Report:
    """What was written.

    Attributes:
        path: The file.
        n_bytes: Its size.
        winners: Births shown as winners, best first.
        notices: What the reader should know: clips that could not be heard or did not fit.
    """

    path: Path
    n_bytes: int
    winners: tuple[int, ...]
    notices: tuple[str, ...]


def write_report(
    lineage: LineageReader,
    run_id: int,
    path: Path,
    *,
    decode: Decode | None = None,
    winners: int = 8,
    clock: Callable[[], float] = time.time,
) -> Report:
    """Writes a run's report; a report of that name is replaced.

    At most `experiments.report.shelf.MAX_SOUND_BYTES` of sound are in it, so it has a few megabytes at any size of
    the run.

    Args:
        lineage: The file; a run that is being written is shown as far as it is.
        run_id: The run.
        path: Where; its folder must be there.
        decode: Makes (S,) samples and their rate in Hz of a rendering's tokens; None: only clips that were kept.
        winners: So many of the best evolved births are shown.
        clock: Seconds since 1970.

    Raises:
        LineageError: ``missing`` when there is no such run, ``damaged`` when the file cannot be read.
        BarkError: When the disk does not take the page; nothing stands under its name then but what was there before.
    """
    run = lineage.run(run_id)
    axes, _ = configured_axes(run.config)
    measures = [one.name for one in axes if not isinstance(one, str)]
    if not axes:
        measures = _drawable_measures(lineage, run_id)
    findings = find(lineage, run_id, measures=measures)
    drawn = draw_from(lineage, run, findings.table, findings.values, ~findings.table.made_by(CONTROL))
    if drawn is not None and drawn.own:
        ranked = sorted(drawn.elites.values(), key=lambda elite: (-elite[1], elite[0]))
        chosen = [birth for birth, _ in ranked[:winners]]
    else:
        chosen = best_births(findings, winners)
    control = best_births(findings, 1, arm=CONTROL)
    shelf = Shelf(lineage, run_id, decode, at_home=(*chosen, *control))
    for birth in (*chosen, *control):
        shelf.take(birth, keep_samples=True)
    for birth in chosen:
        for ancestor in heard_ancestors(ancestry.primary_line(lineage, run_id, birth)):
            shelf.take(ancestor)
    written = page(lineage, findings, drawn, chosen, control[0] if control else None, shelf, now=clock())
    content = written.encode()
    _write_whole(path, content)
    return Report(path, len(content), tuple(chosen), tuple(shelf.notices))


def _drawable_measures(lineage: LineageReader, run_id: int) -> list[str]:
    """Measures for a map of a run that names none: those that the best birth has."""
    for name in browse.terms(lineage, run_id):
        for birth, _ in browse.best(lineage, run_id, name, 1):
            outcome = lineage.outcome(run_id, birth)
            known = {} if outcome is None else outcome.score.measures
            favourites = [one for one in FAVOURITES if one in known]
            return [*favourites, *(one for one in list(known)[:8] if one not in favourites)]
    return []


def _write_whole(path: Path, content: bytes) -> None:
    part = path.parent / f".{uuid.uuid4().hex}.part"
    try:
        with part.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        todo = (
            "make room on the disk and write it again" if full else "check that the folder is there and may be written"
        )
        raise BarkError(f"cannot write the report {path}: {error.strerror or error}; {todo}") from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
