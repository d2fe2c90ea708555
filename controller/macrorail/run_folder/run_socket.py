"""The socket in a run folder on which the running controller accepts commands."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

#: Name of the socket in the run folder; it exists while a controller is running in the folder.
SOCKET = "command.sock"
_LARGEST_ANSWER = 64_000


def ask_run(
    folder: Path, verb: str, timeout_s: float = 5.0, by: str | None = None
) -> dict[str, Any]:
    """Send one command to the run in ``folder`` and return its answer.

    Parameters
    ----------
    folder
        The run folder.
    verb
        The command: ``status``, ``pause``, ``resume``, ``stop``, ``abort`` or ``emergency``.
    timeout_s
        Longest wall time for each step (connecting, sending, receiving).
    by
        Name of the program that sends the command, for the run's journal.

    Raises
    ------
    OSError
        No controller is running in the folder, or its answer cannot be understood.
    """
    with socket.socket(socket.AF_UNIX) as connection, short_address(folder / SOCKET) as address:
        connection.settimeout(timeout_s)
        connection.connect(address)
        message = {"do": verb} if by is None else {"do": verb, "by": by}
        connection.sendall(json.dumps(message).encode() + b"\n")
        with connection.makefile("rb") as lines:
            line = lines.readline(_LARGEST_ANSWER)
    try:
        answer = json.loads(line)
    except ValueError as error:
        raise ConnectionError("the run's answer cannot be understood") from error
    if not isinstance(answer, dict):
        raise ConnectionError("the run's answer cannot be understood")
    return answer


@contextmanager
def short_address(path: Path) -> Iterator[str]:
    """Yield a short path for a socket, since socket paths are limited to about 100 bytes."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
