"""Where messages and progress go: standard error, so that standard output is the result alone."""

from __future__ import annotations

from rich.console import Console


def message_console() -> Console:
    """A console on standard error that does not wrap long lines."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def can_redraw(console: Console) -> bool:
    """Whether the console is a terminal that lets what is drawn be replaced.

    A dumb terminal (``TERM=dumb``: an editor's shell, some CI) gets plain lines, as a file does.
    """
    return console.is_terminal and not console.is_dumb_terminal
