"""The console for messages and progress on standard error; standard output has only the result."""

from __future__ import annotations

from rich.console import Console


def message_console() -> Console:
    """Return a console on standard error that does not wrap long lines."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def can_redraw(console: Console) -> bool:
    """Return whether the console is a terminal on which a drawing can be updated in place.

    A dumb terminal (``TERM=dumb``: an editor's shell, some CI) receives plain lines, like a file.
    """
    return console.is_terminal and not console.is_dumb_terminal
