"""Opens dialogs, and does with their answers what needs another source: new, resumed and branched runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.config import RunConfig
from experiments.lineage import Lineage, LineageError, Run
from window.dialogs.branch import BranchDialog
from window.dialogs.dialog import Dialog
from window.dialogs.more import MoreDialog
from window.dialogs.new_run import NewRunDialog
from window.dialogs.older import OlderDialog
from window.dialogs.open_run import ENDINGS, OpenDialog, runs_of
from window.dialogs.paths import PathDialog
from window.dialogs.preferences import SettingsDialog
from window.presenter import Presenter
from window.sources import Source, WatchedRun, branched_run, new_run, resumed_run

if TYPE_CHECKING:
    from window.app import App


class Dialogs:
    """At most one dialog is open.

    Args:
        presenter: What they act on.
        app: Opens sources, and makes the looks.
    """

    def __init__(self, presenter: Presenter, app: App) -> None:
        self._presenter, self._app = presenter, app
        self._dialog: Dialog | None = None

    def openers(self) -> dict[str, Callable[[], None]]:
        """By name, what opens each."""
        return {
            "new run": lambda: self._show(NewRunDialog(self._presenter, self.begin)),
            "open": self.ask_for_lineage,
            "settings": lambda: self._show(SettingsDialog(self._presenter, self._app.rebuild)),
        }

    def any_open(self) -> bool:
        """Whether one is open."""
        return self._dialog is not None and self._dialog.is_open

    def close(self) -> None:
        """Takes an open one down."""
        if self._dialog is not None:
            self._dialog.close()
            self._dialog = None

    def _show(self, dialog: Dialog) -> None:
        self.close()
        self._dialog = dialog
        # The dialog before is gone only after this frame, and a modal over a modal never shows.
        self._presenter.later(dialog.open)

    def ask_for_path(
        self, title: str, then: Callable[[Path], None], *, endings: tuple[str, ...] = (), folder: bool = False
    ) -> None:
        """See `Desk.ask_for_path`."""
        self._show(PathDialog(self._presenter, title, then, endings=endings, folder=folder))

    # -- runs ---------------------------------------------------------------------------------------------------

    def ask_for_lineage(self) -> None:
        """Asks which file, then which run."""
        self.ask_for_path("Open a lineage", self.look_into, endings=ENDINGS)

    def look_into(self, path: Path) -> None:
        """Asks which run of a file; one of an older version has to be brought up to date first."""

        def runs() -> tuple[Run, ...] | None:
            try:
                return runs_of(path)
            except LineageError as error:
                if error.trouble != "older":
                    raise
                return None

        def found(there: tuple[Run, ...] | None) -> None:
            if there is None:
                self._show(OlderDialog(self._presenter, path, lambda: self._renew(path)))
            else:
                self._choose_run(path, there)

        self._presenter.background(runs, found)

    def _renew(self, path: Path) -> None:
        def renewed() -> tuple[Run, ...]:
            with Lineage.write(path, who="the window, which brings it up to date"):
                pass
            return runs_of(path)

        self._presenter.say(f"{path.name} is brought up to date")
        self._presenter.background(renewed, lambda runs: self._choose_run(path, runs))

    def _choose_run(self, path: Path, runs: tuple[Run, ...]) -> None:
        self._show(OpenDialog(self._presenter, path, runs, self.watch, self.resume))

    def watch(self, path: Path, run: str) -> None:
        """Shows a run of a file."""
        self._change(lambda: WatchedRun(path, run))

    def begin(self, path: Path, config: RunConfig, base: Path, paused: bool) -> None:
        """Begins a run, on the device of the settings unless the recipe names one."""
        device = self._presenter.settings.device
        if config.execution.device == "auto" and device != "auto":
            config = dataclasses.replace(config, execution=dataclasses.replace(config.execution, device=device))
        self._change(lambda: new_run(path, config, base=base, paused=paused))

    def resume(self, path: Path, run: str) -> None:
        """Goes on with a run in this window."""
        self._change(lambda: resumed_run(path, run, device=self._presenter.settings.device))

    def resume_shown(self) -> None:
        """Goes on with the run that is shown."""
        state = self._presenter.present.run_state
        run = state.opened.run or state.name
        if not state.opened.path or not run:
            return
        path = Path(state.opened.path)
        if state.state == "done":
            self._show(MoreDialog(self._presenter, state.told, lambda births: self._go_on(path, run, births)))
        else:
            self.resume(path, run)

    def _go_on(self, path: Path, run: str, births: int) -> None:
        device = self._presenter.settings.device
        self._change(lambda: resumed_run(path, run, device=device, births=births))

    def ask_to_branch(self, birth: int) -> None:
        """Asks for the name of a run that begins with a birth."""
        self._show(BranchDialog(self._presenter, birth, self._branch))

    def _branch(self, birth: int, name: str) -> None:
        state = self._presenter.present.run_state
        path, run = Path(state.opened.path), state.opened.run or state.name
        self._change(lambda: branched_run(path, run, birth, name))

    def _change(self, make: Callable[[], Source]) -> None:
        """Ends what is shown, then shows something else; both may take long."""
        before = self._presenter.source
        own = before.opened.source == "own"
        self._presenter.say("one moment, the run before is ending" if own else "opening")

        def work() -> Source:
            if own:
                before.close(self._app.closing_s)  # it may be the very file that is to be written
                return make()
            made = make()  # what is only looked at stays when this fails
            before.close(self._app.closing_s)
            return made

        self._presenter.background(work, self._presenter.open, lambda why: self._presenter.say(why, "error"))
