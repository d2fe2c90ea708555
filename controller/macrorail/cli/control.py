"""Every way to command a run that is under way: signals, keys, the socket in its folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from rich.console import Console

from macrorail.cli.command_socket import CommandServer
from macrorail.cli.keyboard import KEYS, keyboard_of
from macrorail.cli.signals import stopped_by_signals
from macrorail.cli.status import RunStatus
from macrorail.clock import Clock
from macrorail.run.commands import Commands


@contextmanager
def commanded(
    folder: Path, clock: Clock, status: RunStatus, console: Console
) -> Iterator[Commands]:
    """While the block runs, take commands from everywhere.

    Parameters
    ----------
    folder
        The run folder, whose journal is locked by us.
    clock
        The run's.
    status
        What the socket answers.
    console
        Told which keys there are.
    """
    commands = Commands(clock)
    with stopped_by_signals(clock), ExitStack() as closings:
        try:
            closings.enter_context(closing(CommandServer(folder, commands, status)))
        except OSError as error:
            console.print(f"No command socket in {folder}: {error.strerror}", markup=False)
        keyboard = keyboard_of(commands)
        if keyboard is not None:
            closings.enter_context(closing(keyboard))
            if not console.is_terminal:  # there the display shows them all the time
                console.print(f"Keys: {KEYS}", markup=False)
        yield commands
