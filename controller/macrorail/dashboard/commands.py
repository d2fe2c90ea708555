"""Sends the operator's commands to a run in progress."""

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
    """A command was not carried out; the message says why."""


def send_command(folder: Path, command: str) -> None:
    """Send one of :data:`COMMANDS` to the run in ``folder``; returns once it is accepted.

    Raises
    ------
    RunCommandRefused
        No run is in progress there, or it refuses.
    """
    process = running_process(folder)
    if process is None:
        raise RunCommandRefused("nothing is running here")
    try:
        answer = ask_run(folder, command, _TIMEOUT_S, by="the page")
    except OSError as error:
        if command not in {"stop", "abort"}:
            raise RunCommandRefused(
                f"the run takes no commands: {error.strerror or error}"
            ) from error
        # A stop works as long as the process lives, also without its socket. SIGINT would be
        # ignored by a run that a script has started in the background.
        os.kill(process, signal.SIGTERM)
        return
    if "error" in answer:
        raise RunCommandRefused(str(answer["error"]))


def reported_state(folder: Path) -> str | None:
    """The state that the run in ``folder`` reports.

    Returns
    -------
    str or None
        A value of ``macrorail.states.State``; ``None`` before the first state, after the last,
        and when the run does not answer.
    """
    try:
        state = State(ask_run(folder, "status", _STATUS_TIMEOUT_S, by="the page").get("state"))
    except (OSError, ValueError):
        return None
    return None if state in FINAL or state is State.IDLE else state.value
