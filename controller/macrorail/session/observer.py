"""The interface between a run and what shows it: terminal, page or script."""

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
    """Follows runs. Subclasses override what they need; by default nothing happens.

    An exception in a method reaches the run: a subclass that calls a user's code catches its
    errors.
    """

    def message(self, text: str, tone: Tone = "plain") -> None:
        """Take a sentence for the operator."""

    def on_folder(self, folder: Path) -> None:
        """Take the run's folder, before anything is connected."""

    def on_event(self, event: Entry) -> None:
        """Take an entry of the run's journal; it is on disk already."""

    def on_state(self, state: State) -> None:
        """Take the state that the run has entered."""

    @contextmanager
    def watching(self, view: RunView, commands: Commands) -> Iterator[None]:
        """Wrap the shooting: show ``view``, and pass on the operator's ``commands``."""
        del view, commands
        yield

    @contextmanager
    def searching(self) -> Iterator[None]:
        """Wrap the search for a range; each picture is an event."""
        yield

    def on_question(self, question: str) -> None:
        """Show a question that is answered elsewhere: on standard input or a command socket."""

    def ask(self, question: str) -> str:
        """Return the person's answer to a question.

        Raises
        ------
        IdentityError
            No operator can be asked.
        """
        raise IdentityError(
            f"no operator can be asked here: {question.rstrip(': ')}; give the specimen's id"
        )
