"""Tells a run that is under way what the operator wants of it."""

from __future__ import annotations

import json
import os
import signal
import socket
from pathlib import Path

from controller.dashboard.runs import holder
from controller.errors import MacrorailError

#: The socket on which a run takes commands, in its folder.
SOCKET = "command.sock"
COMMANDS = ("pause", "resume", "stop", "abort")
_TIMEOUT_S = 3.0
_LARGEST_ANSWER = 64_000


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
        answer = _ask(folder / SOCKET, {"do": what})
    except OSError as error:
        if what not in {"stop", "abort"}:
            raise NotDone(f"the run takes no commands: {error.strerror or error}") from error
        # Stopping works as long as the process does, whatever became of its socket.
        os.kill(process, signal.SIGINT)
        return
    if "error" in answer:
        raise NotDone(str(answer["error"]))


def _ask(address: Path, message: dict[str, str]) -> dict[str, object]:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_TIMEOUT_S)
        # A socket's address is limited to some 100 bytes; a run folder's path is not.
        descriptor = os.open(address.parent, os.O_PATH)
        try:
            connection.connect(f"/proc/self/fd/{descriptor}/{address.name}")
        finally:
            os.close(descriptor)
        connection.sendall(json.dumps(message).encode() + b"\n")
        line = b""
        while not line.endswith(b"\n") and len(line) < _LARGEST_ANSWER:
            data = connection.recv(4096)
            if not data:
                break
            line += data
    try:
        answer: dict[str, object] = json.loads(line)
    except ValueError as error:
        raise NotDone("the run's answer cannot be understood") from error
    return answer
