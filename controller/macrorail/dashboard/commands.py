"""Sends the operator's commands to running runs."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from macrorail.dashboard.runs import running_process
from macrorail.errors import MacrorailError
from macrorail.run_folder.run_socket import ask_run
from macrorail.states import FINAL, State

COMMANDS = ("pause", "resume", "stop", "abort")
_TIMEOUT_S = 3.0
_STATUS_TIMEOUT_S = 1.0


class RunCommandRefused(MacrorailError):
    """A command was not carried out; the message gives the reason."""


def send_command(folder: Path, command: str) -> None:
    """Send one of :data:`COMMANDS` to the run in ``folder``; return when the run has accepted it.

    Raises
    ------
    RunCommandRefused
        No run is in progress in the folder, or the run refuses the command.
    """
    process = running_process(folder)
    if process is None:
        raise RunCommandRefused("this run is not in progress")
    try:
        answer = ask_run(folder, command, _TIMEOUT_S, by="the page")
    except OSError as error:
        if command not in {"stop", "abort"}:
            raise RunCommandRefused(
                f"the run does not accept commands: {error.strerror or error}"
            ) from error
        # A stop works as long as the run's process is alive, even without a socket. SIGINT is not
        # used, because a run that a script started in the background ignores this signal.
        os.kill(process, signal.SIGTERM)
        return
    if "error" in answer:
        raise RunCommandRefused(str(answer["error"]))


def reported_state(folder: Path) -> str | None:
    """Ask the run in ``folder`` for its state and return the state.

    Returns
    -------
    str or None
        A value of ``macrorail.states.State``; ``None`` before the run enters its first state,
        after its end, and when the run does not answer.
    """
    try:
        state = State(ask_run(folder, "status", _STATUS_TIMEOUT_S, by="the page").get("state"))
    except (OSError, ValueError):
        return None
    return None if state in FINAL or state is State.IDLE else state.value
