"""The socket in the run folder through which other programs control a run.

Requests and answers are JSON objects, one on each line. The answer to ``{"do": "pause"}`` (or
``resume``, ``stop``, ``abort``, ``emergency``, ``status``) is the run's status. A refused request
is answered with ``{"error": "..."}`` and has no effect. The optional ``"by"`` names the sender for
the journal (``"by": "the page"``).
"""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from macrorail.run_folder.run_socket import SOCKET, short_address
from macrorail.running.commands import Commands
from macrorail.session.status import RunStatus
from macrorail.states import FINAL, State

_LONGEST_LINE = 4096
#: States of a run in which no slice is left to shoot, so that a pause is refused.
_PAST_PAUSING = FINAL | {State.FINISHING}
_BY = "the command socket"
_LONGEST_NAME = 40


class LineServer:
    """Answers lines of JSON on a socket in a folder, until the server is closed.

    Parameters
    ----------
    folder
        Run folder or campaign folder, whose journal this process has locked.
    answer
        Called with each received line, from other threads; returns the answer to send.

    Raises
    ------
    OSError
        The folder's file system does not support sockets.
    """

    def __init__(self, folder: Path, answer: Callable[[bytes], dict[str, Any]]) -> None:
        self._path = folder / SOCKET
        with suppress(FileNotFoundError):
            self._path.unlink()  # left by a killed controller: this process locked the journal
        with short_address(self._path) as address:
            self._server = socketserver.ThreadingUnixStreamServer(address, _handler(answer))
        self._server.daemon_threads = True
        # A connection that stays open must not keep a finished run from ending.
        self._server.block_on_close = False
        # Only users who may write the run's files may control the run.
        self._path.chmod(0o600)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.2}, daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop answering and remove the socket."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        with suppress(FileNotFoundError):
            self._path.unlink()


class CommandServer:
    """Answers requests on a run's socket, until the server is closed.

    Parameters
    ----------
    folder
        The run folder.
    commands
        Receives the operator's commands.
    status
        Status of the run, which is sent as the answer.

    Raises
    ------
    OSError
        The folder's file system does not support sockets.
    """

    def __init__(self, folder: Path, commands: Commands, status: RunStatus) -> None:
        self._commands = commands
        self._status = status
        self._server = LineServer(folder, self.answer)

    def close(self) -> None:
        """Stop answering and remove the socket."""
        self._server.close()

    def answer(self, line: bytes) -> dict[str, Any]:
        """Carry out the request in a line of JSON and return the answer."""
        try:
            asked = json.loads(line)
            verb, by = asked["do"], asked.get("by", _BY)
        except (ValueError, TypeError, KeyError, AttributeError):
            return {"error": 'write one JSON object on a line, such as {"do": "status"}'}
        if not isinstance(by, str) or len(by) > _LONGEST_NAME or not by.isprintable():
            return {"error": f"'by' is a name of up to {_LONGEST_NAME} letters"}
        verbs: dict[str, Callable[[], str | None]] = {
            "status": lambda: None,
            "pause": lambda: self._pause(by),
            "resume": lambda: self._resume(by),
            "stop": lambda: self._commands.stop(by),
            "abort": lambda: self._commands.abort(by),
            "emergency": lambda: self._commands.emergency(by),
        }
        if not isinstance(verb, str) or verb not in verbs:
            return {"error": f"unknown command '{verb}'; the commands are {', '.join(verbs)}"}
        refused = verbs[verb]()
        return {"error": refused} if refused else self._status.to_dict()

    def _pause(self, by: str) -> str | None:
        if self._status.state in _PAST_PAUSING:
            return f"the run is {self._status.state.value} and can no longer be paused"
        self._commands.pause(by)
        return None

    def _resume(self, by: str) -> str | None:
        if self._status.state is not State.PAUSED and self._commands.wants_pause is None:
            return f"the run is {self._status.state.value}, not paused"
        self._commands.resume(by)
        return None


def _handler(answer: Callable[[bytes], dict[str, Any]]) -> type[socketserver.StreamRequestHandler]:
    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):  # the client may have disconnected
                while line := self.rfile.readline(_LONGEST_LINE):
                    self.wfile.write(json.dumps(answer(line)).encode() + b"\n")

    return Handler
