"""The interface through which a terminal, page or script follows a run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from macrorail.errors import IdentityError
from macrorail.run_folder.journal import Entry
from macrorail.run_folder.view import RunView
from macrorail.running.commands import Commands
from macrorail.states import State

Tone = Literal["plain", "good", "warning"]


class RunObserver:
    """Follows runs; the methods do nothing unless a subclass overrides them.

    An exception in a method ends the run. So a subclass that calls a user's code must catch the
    errors of that code.
    """

    def message(self, text: str, tone: Tone = "plain") -> None:
        """Show a sentence to the operator."""

    def on_folder(self, folder: Path) -> None:
        """Receive the run folder; called before any device is connected."""

    def on_event(self, event: Entry) -> None:
        """Receive an entry of the run's journal, which is already on disk."""

    def on_state(self, state: State) -> None:
        """Receive the state that the run has entered."""

    @contextmanager
    def watching(self, view: RunView, commands: Commands) -> Iterator[None]:
        """Surround the shooting: show ``view``, and pass the operator's input to ``commands``."""
        del view, commands
        yield

    @contextmanager
    def searching(self) -> Iterator[None]:
        """Surround the search for a range; each picture taken is passed to :meth:`on_event`."""
        yield

    def on_question(self, question: str) -> None:
        """Show a question; the answer arrives separately, on standard input or a command socket."""

    def ask(self, question: str) -> str:
        """Ask the operator a question, wait for the answer, and return it.

        Raises
        ------
        IdentityError
            No operator can be asked.
        """
        raise IdentityError(
            f"no operator can be asked here: {question.rstrip(': ')}; give the specimen's id"
        )
