"""Receives the operator's commands for a run from signals and from the run folder's socket."""

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
    """Receive the operator's commands in the ``with`` block; yield the object that collects them.

    Parameters
    ----------
    folder
        The run folder, whose journal this process has locked.
    clock
        Clock that gives the run time; signals such as Ctrl-C request a stop from this clock.
    status
        Status of the run, which the socket sends as its answer.
    observer
        Receives a warning when the socket cannot be created.
    """
    commands = Commands(clock)
    with stopped_by_signals(clock), ExitStack() as closings:
        try:
            closings.enter_context(closing(CommandServer(folder, commands, status)))
        except OSError as error:
            observer.message(f"No command socket in {folder}: {error.strerror}", "warning")
        yield commands
