"""A monkey at the window: seeded clicks, drags, wheel and typing on every widget, storms of judgements, a run going on.

Prints as JSON what became of it. Nothing is lost when every judgement that a run took is in its lineage, or was refused
with a reason. Runs are made up (`made_up_studio`) and take their time, so that the machine's goes into the window.

    xvfb-run -a -s "-screen 0 1280x800x24 +extension GLX -noreset" python tests/window_monkey.py FOLDER SECONDS SEED
"""

from __future__ import annotations

import itertools
import json
import logging
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import board_events
import dearpygui.dearpygui as dpg
import psutil
from runner_builders import config, in_process
from window_hands import Hands

from bark_infinity.error_handling import BarkError
from experiments import runner
from experiments.audition import Audition
from experiments.config import RunConfig
from experiments.evaluation import Executor, Job
from experiments.events import ChooseWorst, Clip, Command, Event, JudgePair, Rate
from experiments.lineage import Lineage, people, verification
from experiments.runner import Runner
from experiments.sitting import Sitting
from window.app import App
from window.settings import Settings
from window.sources import OwnRun

KINDS = {"mvButton", "mvCombo", "mvInputText", "mvCheckbox", "mvSliderInt", "mvPlot", "mvDrawlist", "mvSelectable"}
WORDS = ("Hello there.", "[laughs]", "0.4", "-1", "nan", "../../x", "%s%n", "a" * 30, "carl", "warm, low", "")
KEYS = [*"123456789ldpmabtxs", "space", "Left", "Right", "Up", "Down", "Return", "Escape", "Tab", "BackSpace", "ctrl+z",
        "ctrl+a"]  # fmt: skip
LEAVE = ("settings.browse",)  # a file browser shows whatever is on the machine
STORM = 200  # judgements between two frames
JOB_S = 0.1
PATIENCE = 12  # actions without a run going on


class Accounts:
    """What runs took, and what they refused."""

    def __init__(self) -> None:
        self.taken: list[tuple[Path, int]] = []  # lineage, answers
        self.refused = 0
        send, hear = OwnRun.send, Sitting.hear

        def noted(source: OwnRun, command: Command) -> bool:
            answer = send(source, command)
            if answer and (count := answers(command)):
                self.taken.append((source.path, count))
            return answer

        def heard(sitting: Sitting, command: Command) -> list[Event]:
            try:
                return hear(sitting, command)
            except BarkError:
                self.refused += answers(command)
                raise

        OwnRun.send, Sitting.hear = noted, heard  # type: ignore[method-assign]


def answers(command: Command) -> int:
    """How many judgements a command asks for."""
    match command:
        case Rate() | JudgePair():
            return 1
        case ChooseWorst():
            return len(command.others)
    return 0


def unhurried(config: RunConfig, base: Path, say: Callable[[str], None]) -> Executor:
    """Takes so long for a job as if it rendered something."""
    executor = in_process(config, base, say)
    submit = executor.submit

    def submitted(jobs: Sequence[Job]) -> None:
        time.sleep(JOB_S)
        submit(jobs)

    executor.submit = submitted  # type: ignore[method-assign]
    return executor


class Monkey:
    """Chooses what to do by its seed."""

    def __init__(self, hands: Hands, seed: int) -> None:
        self.hands, self.rng = hands, random.Random(seed)
        self.touched: Counter[str] = Counter()
        self.seen: set[str] = set()
        self.storms = 0

    def widgets(self) -> list[tuple[str, tuple[float, float], tuple[float, float]]]:
        """Everything that can be clicked now: name, corner, size."""
        found = []
        width, height = dpg.get_viewport_client_width(), dpg.get_viewport_client_height()
        for item in dpg.get_all_items():
            kind = dpg.get_item_type(item).rsplit("::", 1)[-1]
            if kind not in KINDS or not dpg.is_item_visible(item):
                continue
            (x, y), (wide, tall) = dpg.get_item_rect_min(item), dpg.get_item_rect_size(item)
            if wide > 1 and tall > 1 and 0 <= x < width and 0 <= y < height:
                name = dpg.get_item_alias(item) or f"{kind}:{dpg.get_item_label(item)}"
                if name not in LEAVE:
                    found.append((name, (x, y), (wide, tall)))
        self.seen |= {name for name, _, _ in found if not name.endswith("/")}  # folders are not ours
        return found

    def act(self) -> None:
        hands, rng = self.hands, self.rng
        chance = rng.random()
        if chance < 0.08:
            hands.key(rng.choice(KEYS))
            return
        if chance < 0.11:
            hands.wheel(rng.choice((-4, -1, 1, 4)))
            return
        if chance < 0.125:
            self.storm()
            return
        if chance < 0.16:
            width, height = dpg.get_viewport_client_width(), dpg.get_viewport_client_height()
            self.click((rng.uniform(0, width - 1), rng.uniform(0, height - 1)), rng.choice((1, 2, 5)))
            return
        widgets = self.widgets()
        if not widgets:
            hands.frames(3)
            return
        least = min(self.touched[name] for name, _, _ in widgets)
        rare = [one for one in widgets if self.touched[one[0]] == least]
        name, (x, y), (wide, tall) = rng.choice(rare if rng.random() < 0.6 else widgets)
        self.touched[name] += 1
        at = x + wide * rng.uniform(0.1, 0.9), y + tall * rng.uniform(0.1, 0.9)
        if chance < 0.25:
            hands.drag(at, (at[0] + rng.uniform(-250, 250), at[1] + rng.uniform(-150, 150)))
        elif chance < 0.35:
            self.click(at, rng.choice((2, 3, 8)))
        else:
            self.click(at)
        if "search" in name or "edit" in name or "tags" in name or "text" in name or rng.random() < 0.03:
            if rng.random() < 0.4:
                hands.key("ctrl+a")
            hands.type(rng.choice(WORDS))

    def storm(self) -> None:
        """More judgements at once than anybody gives; what follows from them comes back in a flood of events."""
        presenter = self.hands.app.presenter
        births = list(presenter.present.births)[-STORM:]  # none in a run that was opened this moment
        said = [
            presenter.send(Rate(birth, float(self.rng.random() < 0.5)))
            for birth in itertools.islice(itertools.cycle(births), STORM)
        ]
        self.storms += bool(said) and all(said)
        self.hands.frames(3)

    def click(self, at: tuple[float, float], times: int = 1) -> None:
        """Quicker than a person's hand."""
        self.hands.tool("mousemove", max(int(at[0]), 0), max(int(at[1]), 0))
        self.hands.frames(2)
        for _ in range(times):
            for what in ("mousedown", "mouseup"):
                self.hands.tool(what, 1)
                self.hands.frames(1)


class Complaints(logging.Handler):
    """Tracebacks that were logged."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            self.found.append(logging.Formatter().formatException(record.exc_info)[-1500:])


def play(folder: Path, seconds: float, seed: int) -> object:
    runner.executor_of = unhurried
    Audition.speak = lambda *_: Clip(board_events.clip(1, 1.0).audio, 24_000)  # type: ignore[method-assign, assignment]
    complaints, accounts = Complaints(), Accounts()
    logging.getLogger().addHandler(complaints)
    path = folder / "monkey.db"
    whole = config(stop={"evaluations": 100_000}, execution={"batch_size": 1, "clips": "none"})
    app = App(Settings(output_folder=str(folder)), size=(1280, 800), vsync=False)
    app.open(OwnRun(path, lambda tell: Runner.begin(path, whole, tell)))
    hands = Hands(app)
    hands.until(lambda: len(app.presenter.present.births) > 8)
    monkey = Monkey(hands, seed)
    memory = psutil.Process().memory_info
    begin, before = time.monotonic(), memory().rss
    actions, quiet = 0, 0
    slowest = 0.0
    while time.monotonic() - begin < seconds:
        started = time.monotonic()
        monkey.act()
        actions += 1
        slowest = max(slowest, time.monotonic() - started)
        state = app.presenter.present.run_state
        quiet = quiet + 1 if state.state != "running" else 0
        if quiet > PATIENCE:  # somebody stopped or paused it: a person would go on
            quiet = 0
            if app.dialogs.any_open():
                app.dialogs.close()
            elif state.state == "paused":
                hands.click("control.go")
            elif state.state in ("failed", "done"):  # a run that the monkey began itself
                app.dialogs.resume(path, whole.name)
            else:
                app.presenter.resume()
            hands.frames(10)
    births, after = len(app.presenter.present.births), memory().rss
    closed = app.close()
    recorded, problems = 0, []
    for lineage_path in {one.resolve() for one in (path, *(taken for taken, _ in accounts.taken))}:
        with Lineage.view(lineage_path) as lineage:
            recorded += sum(len(people.judgements(lineage, run.run_id, withdrawn=True)) for run in lineage.runs())
            problems += verification.verify(lineage)
    return {
        "actions": actions, "births": births, "seconds": time.monotonic() - begin,
        "widgets": len(monkey.seen), "touched": len(monkey.touched),
        "storms": monkey.storms, "untouched": sorted(monkey.seen - set(monkey.touched))[:40],
        "taken": sum(count for _, count in accounts.taken), "refused": accounts.refused, "recorded": recorded,
        "problems": [str(one) for one in problems], "closed": closed, "tracebacks": complaints.found[:5],
        "grown_mb": (after - before) / 2**20, "slowest_s": slowest,
    }  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(play(Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]))))
