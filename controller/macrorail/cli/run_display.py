"""Shows a run on the terminal: a drawing updated in place, or plain lines."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import suppress
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from macrorail.cli.keyboard import KEYS
from macrorail.cli.messages import can_redraw
from macrorail.cli.run_drawing import FINE, PLAIN, draw_run
from macrorail.quantity import format_duration, format_length
from macrorail.run_folder import events
from macrorail.run_folder.journal import Entry
from macrorail.run_folder.view import RunView
from macrorail.run_folder.wording import VERDICTS, remedy_now
from macrorail.states import State

#: Shortest time between two lines of output when there is no terminal, seconds.
_LINE_EVERY_S = 5.0
#: Drawings per second: enough to follow a run, but little data for a slow connection.
_DRAWN_PER_S = 4


class RunDisplay:
    """Shows a run: a drawing updated in place on a terminal, plain lines elsewhere.

    Parameters
    ----------
    console
        Console on standard error, because standard output is for the result.
    view
        View of the run, which each journal entry updates.
    """

    def __init__(self, console: Console, view: RunView) -> None:
        self._console = console
        self._view = view
        self._state = view.state
        self._counted_s = self._last_line_s = time.monotonic()
        # A separate thread draws on the terminal.
        self._lock = threading.Lock()
        self._live: Live | None = None
        if can_redraw(console):
            self._live = Live(
                console=console, get_renderable=self._draw, refresh_per_second=_DRAWN_PER_S
            )

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            with suppress(OSError):
                self._live.stop()

    def on_state(self, state: State) -> None:
        """Show the present state of the run."""
        self._state = state.value

    def on_entry(self, entry: Entry) -> None:
        """Show a journal entry."""
        with self._lock:
            self._view.on_entry(entry, time.time())
        match entry.event:
            case events.SliceCounted(achieved_um=achieved_um):
                self._counted(achieved_um)
            case events.SlicesInserted(slices=slices, why=why):
                self._print(f"{len(slices)} slice(s) inserted: {why}")
            case events.FaultOccurred(message=message, remedy=remedy):
                self._print(f"{message} ({remedy_now(remedy)})")
            case events.FrameJudged(slice=number, why=why, action=action) if entry.event.faults:
                self._print(f"slice {number}: {why} ({VERDICTS.get(action, action)})")
            case events.SliceLeftOut(slice=number):
                self._print(f"slice {number} is left out for now")
            case events.RunPaused(why=why):
                self._print(f"paused: {why}")
            case events.PauseEnded(paused_s=paused_s, why=why):
                self._print(f"resumed after {format_duration(paused_s)}: {why}")
            case events.CameraDrained(files=files) if files:
                self._print(f"files already on the camera: {', '.join(files)}")
            case events.AxisHomed(position_um=position_um):
                self._print(f"axis homed at {format_length(position_um)}")

    def _counted(self, achieved_um: float) -> None:
        now_s = self._counted_s = time.monotonic()
        if self._live is not None:
            return
        done, slices = self._view.done, len(self._view.slices)
        if now_s - self._last_line_s >= _LINE_EVERY_S or done == slices:
            self._last_line_s = now_s
            self._print(f"slice {done} of {slices} at {format_length(achieved_um)}")

    def _draw(self) -> Group:
        console, waited_s = self._console, time.monotonic() - self._counted_s
        glyphs = PLAIN if console.options.ascii_only else FINE
        with self._lock:
            drawn = draw_run(self._view, self._state, console.width, waited_s, glyphs)
        if sys.stdin.isatty() and self._state not in _OVER and console.width > len(KEYS):
            drawn.renderables.append(Text(KEYS, style="dim"))
        return drawn

    def _print(self, text: str) -> None:
        # A closed terminal fails every write; the run must not end because of that.
        with suppress(OSError):
            self._console.print(text, markup=False)


_OVER = {State.DONE.value, State.ABORTED.value, State.FAILED.value}
