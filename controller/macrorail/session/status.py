"""The present status of a run for the command socket: state, slices, and reason of a pause."""

from __future__ import annotations

from typing import Any

from macrorail.run_folder.events import (
    PauseEnded,
    RunEnded,
    RunPaused,
    SliceCounted,
    SlicesInserted,
)
from macrorail.run_folder.journal import Entry
from macrorail.states import State


class RunStatus:
    """The status of a run, updated from its states and journal; other threads may read it.

    Parameters
    ----------
    run
        Identifier of the run.
    slices
        Number of planned slices.
    done
        Number of slices that were finished before the run was resumed; 0 for a new run.
    """

    def __init__(self, run: str, slices: int, done: int = 0) -> None:
        self._now: dict[str, Any] = {
            "run": run,
            "state": State.IDLE.value,
            "slices": slices,
            "counted": done,
            "position_um": None,
            "why": "",
        }

    @property
    def state(self) -> State:
        """The run's state."""
        return State(self._now["state"])

    def to_dict(self) -> dict[str, Any]:
        """Return the status as JSON values; ``why`` is the reason of a pause or a run's end."""
        return dict(self._now)

    def on_state(self, state: State) -> None:
        """Update the status with the state that the run has entered."""
        self._now["state"] = state.value

    def on_entry(self, entry: Entry) -> None:
        """Update the status with a journal entry."""
        match entry.event:
            case SliceCounted(achieved_um=achieved_um):
                self._now["counted"] += 1
                self._now["position_um"] = achieved_um
            case SlicesInserted(slices=slices):
                self._now["slices"] += len(slices)
            case RunPaused(why=why) | RunEnded(message=why):
                self._now["why"] = why
            case PauseEnded():
                self._now["why"] = ""
