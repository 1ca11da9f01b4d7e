"""A run in other people's formats: ALife-standard CSV, Newick, JSON, voices as .npz files.

The CSV follows the phylogeny standard of https://github.com/alife-data-standards/alife-data-standards (phylogeny.md):
``id`` is the birth number, ``ancestor_list`` holds all parents or ``none``, and times count births, so a birth
originates at its own number. Newick knows one parent, so it follows the primary line.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bark_infinity.audio import safe_stem
from experiments.lineage.errors import LineageError, explained
from experiments.lineage.reading import LineageReader
from experiments.lineage.records import Life
from experiments.lineage.rows import MAX_BIRTH, birth_of, row_id

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

_PIECE = 2_000  # rows per query


def alife_csv(lineage: LineageReader, run_id: int, file: SupportsWrite[str]) -> int:
    """Writes a run's phylogeny by the ALife standard.

    Args:
        lineage: The file.
        run_id: The run.
        file: Opened as text with ``newline=""``.

    Returns:
        Rows written.
    """
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(
        [
            "id",
            "ancestor_list",
            "origin_time",
            "destruction_time",
            "generation",
            "operator",
            "status",
            "total",
            "genome",
        ]
    )
    count = 0
    for birth, parents, died, generation, operator, status, total, genome in _family(lineage, run_id):
        ancestors = ",".join(map(str, dict.fromkeys(parents))) or "none"
        times = [birth, "none" if died is None else died]
        writer.writerow(
            [birth, f"[{ancestors}]", *times, generation, operator, status, "" if total is None else total, genome]
        )
        count += 1
    return count


def newick(lineage: LineageReader, run_id: int) -> Iterator[str]:
    """One tree per founder or immigrant, along primary lines; branch lengths count births."""
    children: dict[int, list[int]] = {}
    roots: list[int] = []
    with lineage.turn("reading the primary lines"):
        low, high = row_id(run_id, 1), row_id(run_id, MAX_BIRTH)
        found = lineage.query(
            "SELECT id, parent FROM births LEFT JOIN parents ON child = id AND role = 'first' "
            "WHERE id BETWEEN ? AND ? ORDER BY id",
            (low, high),
        )
    for row, parent in found:
        (roots if parent is None else children.setdefault(birth_of(parent), [])).append(birth_of(row))
    return (f"{_tree(root, children)};" for root in roots)


def _tree(root: int, children: dict[int, list[int]]) -> str:
    """Written without recursion: a primary line may be longer than Python's stack."""
    parts: list[str] = []
    todo: list[tuple[int, int, bool]] = [(root, root, False)]  # birth, its parent, whether its children are written
    while todo:
        birth, parent, written = todo.pop()
        below = children.get(birth, [])
        if below and not written:
            parts.append("(")
            todo.append((birth, parent, True))
            todo += [(child, birth, False) for child in reversed(below)]
            continue
        parts.append(f"){birth}" if below else str(birth))
        if birth != root:
            parts.append(f":{birth - parent}")
            last = children[parent][-1] == birth
            parts.append("" if last else ",")
    return "".join(parts)


def run_json(lineage: LineageReader, run_id: int, file: SupportsWrite[str]) -> None:
    """Writes a run with all its births and results as one JSON object; voices by hash."""
    run = lineage.run(run_id)
    facts = {
        "name": run.name,
        "state": run.state,
        "reason": run.reason,
        "config": run.config,
        "seed": run.seed,
        "versions": run.versions,
        "checkpoints": run.checkpoints,
        "weights": run.weights,
        "branched_from": run.branched_from,
        "created_at": run.created_at,
        "execution": run.execution,
    }
    file.write(
        f'{{"format": "victor-bark-fusion lineage 1",\n"run": {json.dumps(facts, ensure_ascii=False)},\n"births": ['
    )
    for number, life in enumerate(lineage.lives(run_id)):
        file.write(",\n" if number else "\n")
        json.dump(_life_json(life), file, ensure_ascii=False)
    file.write("\n]}\n")


def _life_json(life: Life) -> dict[str, Any]:
    candidate, outcome = life.candidate, life.outcome
    facts: dict[str, Any] = {
        "birth": candidate.birth,
        "parents": [{"birth": parent.birth, "role": parent.role} for parent in candidate.parents],
        "operator": candidate.operator,
        "operator_version": candidate.operator_version,
        "parameters": candidate.parameters,
        "generation": candidate.generation,
        "island": candidate.island,
        "rate": candidate.rate,
        "seed": candidate.seed,
        "genome": candidate.genome.canonical(),
        "genome_sha256": candidate.genome.sha256,
        "status": "pending",
    }
    if outcome is not None:
        score = outcome.score
        facts |= {
            "status": score.status,
            "reason": score.reason,
            "total": outcome.total,
            "terms": {
                name: {"value": term.value, "version": term.version, "measure": term.measure, "unit": term.unit}
                for name, term in score.terms.items()
            },
            "measures": dict(score.measures),
            "evidence": dict(score.evidence),
            "unknown": dict(score.unknown),
            "output_sha256": outcome.output_sha256,
            "timings": dict(outcome.timings),
            "told_at": outcome.told_at,
        }
    return facts


def export_voices(lineage: LineageReader, run_id: int, births: Iterable[int], folder: Path) -> list[Path]:
    """Writes what births rendered as voices that any Bark reads, one .npz file each.

    Returns:
        The files, named after run and birth.

    Raises:
        LineageError: ``missing`` when a birth rendered no tokens, or they were let go by gc.
        VoiceFormatError: When a file cannot be written.
    """
    stem = safe_stem(lineage.run(run_id).name)
    written = []
    for birth in births:
        rendering = lineage.rendering(run_id, birth)
        if rendering is None or not rendering.tokens.fine.size:
            raise LineageError(f"birth {birth} of run {run_id} rendered no voice; choose one that is ok", "missing")
        written.append(rendering.as_voice().save(folder / f"{stem}_{birth}.npz"))
    return written


def export_file(lineage: LineageReader, run_id: int, path: Path) -> None:
    """Writes a run to a file whose suffix names the format: .csv, .nwk or .json; whole, or not at all.

    Raises:
        LineageError: ``invalid`` for other suffixes; ``full`` or ``unusable`` when it cannot be written.
    """
    if path.suffix not in (".csv", ".nwk", ".json"):
        raise LineageError(f"{path}: no export is called {path.suffix!r}; use .csv, .nwk or .json", "invalid")
    unfinished = path.with_name(f".{path.name}.part")
    with explained(path, "exporting"):
        try:
            with unfinished.open("w", encoding="utf-8", newline="") as file:
                if path.suffix == ".csv":
                    alife_csv(lineage, run_id, file)
                elif path.suffix == ".nwk":
                    file.writelines(f"{tree}\n" for tree in newick(lineage, run_id))
                else:
                    run_json(lineage, run_id, file)
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)


def _family(lineage: LineageReader, run_id: int) -> Iterator[tuple[Any, ...]]:
    last = lineage.last_birth(run_id)
    for begin in range(1, last + 1, _PIECE):
        values = (row_id(run_id, begin), row_id(run_id, min(begin + _PIECE - 1, last)))
        with lineage.turn("exporting"):
            parents: dict[int, list[int]] = {}
            for child, parent in lineage.query(
                "SELECT child, parent FROM parents WHERE child BETWEEN ? AND ? ORDER BY child, slot", values
            ):
                parents.setdefault(child, []).append(birth_of(parent))
            found = lineage.query(
                "SELECT id, died, generation, text, status, total, genome FROM births "
                "JOIN texts ON text_id = operator_id "
                "LEFT JOIN evaluations ON birth_id = id AND replicate = 0 WHERE id BETWEEN ? AND ? ORDER BY id",
                values,
            )
        for row, died, generation, operator, status, total, genome in found:
            family = parents.get(row, [])
            yield birth_of(row), family, died, generation, operator, status or "pending", total, genome.hex()
