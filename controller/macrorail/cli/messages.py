"""Where messages and progress go: standard error, so that standard output is the result alone."""

from __future__ import annotations

from rich.console import Console


def message_console() -> Console:
    """A console on standard error that leaves the breaking of long lines to the terminal."""
    return Console(stderr=True, highlight=False, soft_wrap=True)
