"""What a face learns of a run, and what a run may ask of it: terminal, page and scripts alike."""

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
    """Follows one run after the other. A face overrides what it needs; by default nothing happens.

    What a method raises reaches the run. A face that runs code which is not macrorail's catches
    its errors itself.
    """

    def message(self, text: str, tone: Tone = "plain") -> None:
        """Take a sentence for the person who looks on."""

    def on_folder(self, folder: Path) -> None:
        """Take the run's folder, before anything is connected."""

    def on_event(self, event: Entry) -> None:
        """Take an entry of the run's journal, which is on disk by now."""

    def on_state(self, state: State) -> None:
        """Take the state that the run has entered."""

    @contextmanager
    def watching(self, view: RunView, commands: Commands) -> Iterator[None]:
        """Wrap the shooting: show ``view`` meanwhile, and pass the operator's ``commands``."""
        del view, commands
        yield

    @contextmanager
    def searching(self) -> Iterator[None]:
        """Wrap the search for a range; each look is an event."""
        yield

    def on_question(self, question: str) -> None:
        """Show a question that is answered elsewhere: on standard input or a command socket."""

    def ask(self, question: str) -> str:
        """Return the person's answer to a question.

        Raises
        ------
        IdentityError
            There is nobody to ask.
        """
        raise IdentityError(f"nobody can be asked here: {question.rstrip(': ')}; name the specimen")
