"""Takes the operator's commands for a run from signals and from the socket in its folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from macrorail.clock import Clock
from macrorail.running.commands import Commands
from macrorail.session.command_socket import CommandServer
from macrorail.session.observer import RunObserver
from macrorail.session.signals import stopped_by_signals
from macrorail.session.status import RunStatus


@contextmanager
def taking_commands(
    folder: Path, clock: Clock, status: RunStatus, observer: RunObserver
) -> Iterator[Commands]:
    """While the block runs, take commands.

    Parameters
    ----------
    folder
        The run folder, whose journal we have locked.
    clock
        The run's.
    status
        What the socket answers.
    observer
        Told when there can be no socket.
    """
    commands = Commands(clock)
    with stopped_by_signals(clock), ExitStack() as closings:
        try:
            closings.enter_context(closing(CommandServer(folder, commands, status)))
        except OSError as error:
            observer.message(f"No command socket in {folder}: {error.strerror}", "warning")
        yield commands
