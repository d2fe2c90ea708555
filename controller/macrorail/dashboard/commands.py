"""Tells a run that is under way what the operator wants of it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from macrorail.dashboard.runs import holder
from macrorail.errors import MacrorailError
from macrorail.run_folder.run_socket import ask_run

COMMANDS = ("pause", "resume", "stop", "abort")
_TIMEOUT_S = 3.0


class NotDone(MacrorailError):
    """The run has not taken the command; the message says why."""


def command(folder: Path, what: str) -> None:
    """Give one of :data:`COMMANDS` to the run in ``folder``; returns once it has taken it.

    Raises
    ------
    NotDone
        Nobody is at work there, or the run refuses.
    """
    process = holder(folder)
    if process is None:
        raise NotDone("nothing is running here")
    try:
        answer = ask_run(folder, what, _TIMEOUT_S, by="the page")
    except OSError as error:
        if what not in {"stop", "abort"}:
            raise NotDone(f"the run takes no commands: {error.strerror or error}") from error
        # Stopping works as long as the process does, whatever became of its socket. SIGINT would
        # be ignored by what a script has started in the background.
        os.kill(process, signal.SIGTERM)
        return
    if "error" in answer:
        raise NotDone(str(answer["error"]))
