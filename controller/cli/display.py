"""What a run looks like in a terminal: state, slice n of m, time left, and what went wrong."""

from __future__ import annotations

import time
from contextlib import suppress
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from controller.journal import Entry
from controller.quantity import format_duration, format_length
from controller.states import State
from controller.view import REMEDIES

#: Without a terminal a line is printed at most this often.
_LINE_EVERY_S = 5.0


class RunDisplay:
    """Listens to a run and shows it; a bar on a terminal, plain lines elsewhere.

    Parameters
    ----------
    console
        On standard error: standard output is for the result.
    slices
        How many are planned; inserted ones are added as they come.
    done
        How many an interrupted run had counted already.
    """

    def __init__(self, console: Console, slices: int, done: int = 0) -> None:
        self._console = console
        self._slices = slices
        self._done = done
        self._last_line_s = time.monotonic()
        self._progress = Progress(
            TextColumn("{task.description:<11}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[where]:>10}"),
            TimeRemainingColumn(compact=True),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("starting", total=slices, completed=done, where="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def entered(self, state: State) -> None:
        """Show the state a run is in now."""
        self._progress.update(self._task, description=state.value)

    def heard(self, entry: Entry) -> None:
        """Show what a journal entry says."""
        fields = entry.fields
        if entry.event == "counted":
            self._counted(fields["achieved_um"])
        elif entry.event == "inserted":
            self._slices += len(fields["positions_um"])
            self._progress.update(self._task, total=self._slices)
            self._say(f"{len(fields['positions_um'])} slice(s) inserted: {fields['why']}")
        elif entry.event == "fault":
            self._say(f"{fields['message']} ({REMEDIES[fields['remedy']]})")
        elif entry.event == "left_out":
            self._say(f"slice {fields['slice']} is left out for now")
        elif entry.event == "paused":
            self._say(f"paused: {fields['why']}")
        elif entry.event == "unpaused":
            self._say(f"going on after {format_duration(fields['paused_s'])}: {fields['why']}")
        elif entry.event == "drained" and fields["files"]:
            self._say(f"left in the camera by somebody else: {', '.join(fields['files'])}")
        elif entry.event == "homed":
            self._say(f"axis homed at {format_length(fields['position_um'])}")

    def _counted(self, achieved_um: float) -> None:
        self._done += 1
        self._progress.update(
            self._task, completed=self._done, where=format_length(achieved_um, digits=5)
        )
        if self._console.is_terminal:
            return
        now_s = time.monotonic()
        if now_s - self._last_line_s >= _LINE_EVERY_S or self._done == self._slices:
            self._last_line_s = now_s
            self._say(f"slice {self._done} of {self._slices} at {format_length(achieved_um)}")

    def _say(self, text: str) -> None:
        # A run does not end because nobody can read along: a closed terminal fails every word.
        with suppress(OSError):
            self._console.print(text, markup=False)
