"""Imports point one way, heavy libraries have one home each, and light modules stay light."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# Every part of the program, and the parts it may import.
MAY_IMPORT = {
    "bark_infinity": set(),
    "fusion": {"bark_infinity"},
    "evolution": {"bark_infinity"},
    "digital_evolution": {"bark_infinity", "evolution"},
    "experiments": {"bark_infinity", "fusion", "digital_evolution", "evolution"},
    "window": {"bark_infinity", "fusion", "digital_evolution", "evolution", "experiments"},
    "victor_bark_fusion_gui": {"bark_infinity", "window"},
    "bark_perform": {"bark_infinity"},
}
# Recipes for one model sit with the experiments, but know nothing of evolution.
MICRO_MAY_IMPORT = {"bark_infinity"}
# Of bark_infinity.
EVOLUTION_MAY_IMPORT = {"voices", "voice_edits", "prompts", "variation", "requests", "tokens", "error_handling"}

ONE_HOME = {
    "dearpygui": {"window/"},  # a whole folder
    "sounddevice": {"window/player.py", "experiments/cli/playback.py"},
    "shtab": {"experiments/cli/completion.py"},
    "sqlite_utils": {"experiments/lineage/migrations.py"},
    "deap": {"evolution/selection.py"},
    "ray": {"experiments/executors/ray_actors.py"},
    "gradio": {"bark_infinity/webui.py"},
    "streamlit": {"bark_infinity/streamlit_app.py"},
    "tqdm": {"bark_infinity/perform/bars.py"},
    "psutil": {
        "bark_infinity/memory.py",
        "experiments/benchmarks/replay.py",
        "experiments/benchmarks/window.py",
        "window/presenter.py",
        "experiments/executors/worker_process.py",
    },
    "platformdirs": {
        "bark_infinity/voices/catalogue.py",
        "bark_infinity/checkpoints/digests.py",
        "window/settings.py",
        "experiments/trusted_engines.py",
    },
}
NO_TORCH = [
    "bark_infinity",
    "bark_infinity.tokens",
    "bark_infinity.voices.history",
    "bark_infinity.voices.catalogue",
    "bark_infinity.requests",
    "bark_infinity.text_front_end",
    "bark_infinity.bert_front_end",
    "bark_infinity.api",
    "bark_infinity.generation",
    "bark_infinity.checkpoints.sources",
    "bark_infinity.checkpoints.digests",
    "bark_infinity.bark_config",
    "bark_infinity.perform.main",
    "bark_infinity.audio",
    "experiments.board.board",
    "experiments.board.recipe_form",
]
HEAVY = {"torch", "transformers", "dearpygui", "librosa", "scipy", "sqlite_utils", "deap", "gradio", "streamlit"}


def sources() -> Iterator[Path]:
    for part in MAY_IMPORT:
        yield from (path for path in (ROOT / part).rglob("*.py"))
        if (ROOT / f"{part}.py").exists():
            yield ROOT / f"{part}.py"


def imports_of(path: Path) -> Iterator[str]:
    """Dotted names of everything a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide where a name comes from"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_imports_point_one_way():
    for path in sources():
        name = relative(path)
        part = name.split("/")[0].removesuffix(".py")
        allowed = MICRO_MAY_IMPORT | {"experiments"} if name.startswith("experiments/micro/") else MAY_IMPORT[part]
        for imported in imports_of(path):
            top = imported.split(".")[0]
            if top in MAY_IMPORT and top != part:
                assert top in allowed, f"{name} imports {imported}; {part} may import only {sorted(allowed)}"


def test_the_micro_recipe_imports_nothing_of_the_runner():
    for path in (ROOT / "experiments" / "micro").rglob("*.py"):
        for imported in imports_of(path):
            if imported.startswith("experiments"):
                assert imported.startswith("experiments.micro"), f"{relative(path)} imports {imported}"


def test_evolution_sees_only_light_modules_of_bark():
    for path in (ROOT / "digital_evolution.py", *(ROOT / "evolution").glob("*.py")):
        for imported in imports_of(path):
            if imported.startswith("bark_infinity."):
                assert imported.split(".")[1] in EVOLUTION_MAY_IMPORT, f"{relative(path)} imports {imported}"
            assert imported.split(".")[0] not in {"torch", "sqlite3"}, f"{relative(path)} imports {imported}"


def test_every_heavy_library_has_one_home():
    for path in sources():
        for imported in imports_of(path):
            homes = ONE_HOME.get(imported.split(".")[0])
            name = relative(path)
            at_home = homes is None or name in homes or f"{name.split('/')[0]}/" in homes
            assert at_home, f"{name} imports {imported}, home is {homes}"


def test_no_import_cycles_inside_bark_infinity():
    graph = {}
    for path in (ROOT / "bark_infinity").rglob("*.py"):
        own = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        tree = ast.parse(path.read_text("utf-8"))
        top_level = (node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module)
        graph[own] = {node.module for node in top_level if node.module.startswith("bark_infinity.")}
    done: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, f"import cycle: {' -> '.join((*trail, module))}"
        if module not in done:
            for imported in graph.get(module, ()):
                visit(imported, (*trail, module))
            done.add(module)

    for module in graph:
        visit(module, ())


@pytest.mark.parametrize("module", NO_TORCH)
def test_light_modules_load_nothing_heavy(module):
    program = f"import sys, {module}; print(*(set(m.split('.')[0] for m in sys.modules) & {HEAVY!r}))"
    loaded = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == []


def test_the_board_opens_no_database():
    program = "import sys, experiments.board.board; print('sqlite3' in sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == ["False"]
