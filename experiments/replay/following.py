"""Looking on while another process writes a run: what is new since the last look, as events."""

from __future__ import annotations

from experiments.events import Event, StateChanged
from experiments.lineage import LineageError
from experiments.lineage.reading import LineageReader
from experiments.replay.history import PIECE, History, state_of


class Follower:
    """Follows one run of a lineage file; costs next to nothing while nothing happens.

    Args:
        lineage: Opened for viewing, for this follower's thread: a moment in which the file is locked is waited for.
        run_id: The run.
        after: Number of the last event that is known already; 0 begins with `Begun`.

    Raises:
        LineageError: ``missing`` when there is no such run.
    """

    def __init__(self, lineage: LineageReader, run_id: int, after: int = 0) -> None:
        self._lineage, self._run_id = lineage, run_id
        lineage.run(run_id)
        self._history: History | None = None
        self._after = after
        self._state: StateChanged | None = None

    @property
    def seq(self) -> int:
        """Number of the last event that was read."""
        return self._after if self._history is None else self._history.seq

    def poll(self, most: int = PIECE) -> list[Event]:
        """What happened since the last call, at most ``most`` recorded events; a long run is caught up piece by piece.

        While the file is locked nothing has happened; the next call sees it.

        Raises:
            LineageError: When the file is damaged or gone.
        """
        news: list[Event] = []
        try:
            if self._history is None:
                history = History(self._lineage, self._run_id, self._after)
                begun = [] if self._after else [history.begun().event]
                self._history = history
                news += begun
            found = self._history.piece(most=most)
            news += [moment.event for moment in found]
            if len(found) < most:
                state = state_of(self._lineage, self._run_id)
                if state != self._state:
                    self._state = state
                    news.append(state)
        except LineageError as error:
            if error.trouble != "locked":
                raise
        return news
