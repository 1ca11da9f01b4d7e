"""How to repeat a run: its recipe, seed, versions, checkpoints and the commands, as far as the lineage knows them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from bark_infinity.audio import safe_stem
from bark_infinity.error_handling import BarkError
from experiments.lineage.records import Run
from experiments.report.markup import Content, Html, foreign, joined, tag, text
from experiments.report.sections import cells, section, table

_MOST_FACTS = 40  # of a kind


def settings(run: Run, file_name: str) -> Html:
    """All that decides the run: its recipe, seed, versions, checkpoints."""
    from experiments.config import RunConfig, to_toml

    conduct = {key: run.execution[key] for key in RunConfig().conduct() if key in run.execution}
    config = {**run.config, **conduct}
    try:
        recipe, kind = to_toml(RunConfig.from_json(config)), "toml"
    except (BarkError, TypeError, ValueError, AttributeError, KeyError):  # recorded by another version, or by hand
        recipe, kind = json.dumps(config, indent=2, ensure_ascii=False), "json"
    stem = safe_stem(run.name, max_bytes=60)
    if kind == "toml":
        recipe_name, database = shlex.quote(f"{stem}.toml"), shlex.quote(f"{stem}-again.db")
        commands = f"bark-lab run {recipe_name} --db {database}\nbark-lab verify {database}"
        how = joined("Save the recipe as ", tag("code", f"{stem}.toml"), ", then:")
    else:
        commands = f"bark-lab verify {shlex.quote(file_name)}"
        how = joined("The run's config is no recipe of this version, so it is shown as it was recorded.")
    facts: list[tuple[str, Content]] = [
        ("Run", joined(foreign(run.name, 200), f", number {run.run_id} of ", foreign(file_name, 200))),
        ("Seed", tag("code", str(run.seed))),
        ("Begun", day(run.created_at)),
        ("Weights", text(", ".join(f"{name} {weight:g}" for name, weight in run.weights.items()) or "none")),
    ]
    if run.branched_from is not None:
        facts.append(("Branched from", f"run {run.branched_from[0]}, birth {run.branched_from[1]}"))
    facts += [("Version of " + name[:60], foreign(str(value), 120)) for name, value in _first(run.versions)]
    facts += [
        ("Checkpoint " + name[:60], tag("code", text(str(value), 128), class_="hash"))
        for name, value in _first(run.checkpoints)
    ]
    rows = [tag("tr", cells(text(name), value, kinds="h ")) for name, value in facts]
    return section(
        "settings",
        "To repeat it",
        table((("Fact", ""), ("Value", "")), rows),
        tag("p", how),
        tag("pre", tag("code", commands), tabindex="0", aria_label="Commands"),
        tag("details", tag("summary", "The recipe" if kind == "toml" else "The config"),
            tag("pre", tag("code", text(recipe, 60_000)), tabindex="0", dir="ltr")),
    )  # fmt: skip


def _first(facts: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return list(facts.items())[:_MOST_FACTS]


def day(seconds: float) -> str:
    """A moment as people write it."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (OverflowError, OSError, ValueError):
        return "unknown"
