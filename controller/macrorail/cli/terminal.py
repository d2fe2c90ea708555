"""Shows runs on a terminal: messages, the drawing of a run, keys, and questions."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from macrorail.cli.keyboard import KEYS, keyboard_of
from macrorail.cli.messages import can_redraw
from macrorail.cli.run_display import RunDisplay
from macrorail.run_folder.events import SearchSampled
from macrorail.run_folder.journal import Entry
from macrorail.run_folder.view import RunView
from macrorail.running.commands import Commands
from macrorail.session.observer import RunObserver, Tone
from macrorail.states import State

_STYLES: dict[Tone, str] = {"plain": "", "good": "green", "warning": "yellow"}


class TerminalObserver(RunObserver):
    """Shows runs on a console.

    Parameters
    ----------
    console
        Console on standard error, because standard output is for the result.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._display: RunDisplay | None = None
        self._search: Progress | None = None

    def message(self, text: str, tone: Tone = "plain") -> None:
        """See :class:`RunObserver`."""
        # A closed terminal fails every line; the run must not end because of that.
        with suppress(OSError):
            self._console.print(Text(text, style=_STYLES[tone]))

    def on_event(self, event: Entry) -> None:
        """See :class:`RunObserver`."""
        if self._display is not None:
            self._display.on_entry(event)
        elif self._search is not None and isinstance(event.event, SearchSampled):
            self._search.advance(self._search.task_ids[0])

    def on_state(self, state: State) -> None:
        """See :class:`RunObserver`."""
        if self._display is not None:
            self._display.on_state(state)

    def on_question(self, question: str) -> None:
        """See :class:`RunObserver`."""
        self._console.print(f"[bold yellow]?[/] {question}", end="")

    def ask(self, question: str) -> str:
        """Print the question, and return a line of standard input, typed or from a scanner."""
        self._console.print(question, end="", markup=False)
        return sys.stdin.readline()

    @contextmanager
    def watching(self, view: RunView, commands: Commands) -> Iterator[None]:
        """See :class:`RunObserver`."""
        with ExitStack() as closings:
            self._display = closings.enter_context(RunDisplay(self._console, view))
            keyboard = keyboard_of(commands)
            if keyboard is not None:
                closings.enter_context(closing(keyboard))
                if not can_redraw(self._console):  # the drawing shows the keys
                    self.message(f"Keys: {KEYS}")
            try:
                yield
            finally:
                self._display = None

    @contextmanager
    def searching(self) -> Iterator[None]:
        """See :class:`RunObserver`."""
        bar = Progress(
            TextColumn("{task.description:<11}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            console=self._console,
            disable=not can_redraw(self._console),
        )
        with bar:
            bar.add_task("searching", total=None)
            self._search = bar
            try:
                yield
            finally:
                self._search = None
