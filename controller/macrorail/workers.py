"""Runs code in a child process; used for libraries that can crash, hang or occupy a core.

The parent sends ``{"id": 1, "do": "verb", ...}`` on the child's standard input; the child answers
``{"id": 1, ...}`` or ``{"id": 1, "error": "ClassName", "message": "..."}`` on its original
standard output. When the parent is killed, the child's input ends and the child exits.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from macrorail import errors
from macrorail.errors import DeviceTimeout, MacrorailError, WorkerCrashed

_POLL_S = 0.05


def module_command(module: str) -> list[str]:
    """Return the command that runs a module in a separate process.

    The option ``-P`` prevents Python from importing files in the working directory, such as a
    file named ``numpy.py``.
    """
    return [sys.executable, "-P", "-m", module]


class Worker:
    """The parent's end of a worker process.

    Parameters
    ----------
    module
        Module run with ``python -m``; it calls :func:`serve`.
    name
        Name of the worker in messages ("camera", "stacker").
    env
        Environment variables to add to those of this process.
    log
        File for the child's standard error; ``None`` discards this output.
    """

    def __init__(
        self,
        module: str,
        name: str,
        env: Mapping[str, str] | None = None,
        log: Path | None = None,
    ) -> None:
        self.name = name
        self._next_id = 0
        self._answers: dict[int, dict[str, Any]] = {}
        # Lines of the child's answers; None marks the end of the child.
        self._lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        with _open_log(log) as stderr:
            self._process = subprocess.Popen(
                module_command(module),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env={**os.environ, **(env or {})},
            )
        # A thread, because not every system can wait for a pipe with a timeout.
        self._reader = threading.Thread(target=self._read_lines, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def send(self, verb: str, **arguments: Any) -> int:
        """Send a request and return its id for :meth:`receive`, without waiting for an answer."""
        self._next_id += 1
        message = {"id": self._next_id, "do": verb, **arguments}
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()
        except OSError as error:
            raise self._crashed(verb) from error
        return self._next_id

    def receive(
        self, request: int, timeout_s: float, check: Callable[[], None] | None = None
    ) -> dict[str, Any]:
        """Wait for the answer to ``request`` and return the answer.

        Parameters
        ----------
        timeout_s
            Longest wait in seconds of wall time. After this time the child is killed, because a
            call into a C library cannot be cancelled.
        check
            Called every 50 ms while waiting. An exception that ``check`` raises ends the wait; the
            answer can still be received later.

        Raises
        ------
        DeviceTimeout
            The child did not answer in time and has been killed.
        WorkerCrashed
            The child exited unexpectedly.
        MacrorailError
            The child raised this error; its class is the same as in the child.
        """
        deadline = time.monotonic() + timeout_s
        while request not in self._answers:
            if check is not None:
                check()
            left = deadline - time.monotonic()
            if left <= 0:
                self.kill()
                raise DeviceTimeout(
                    f"the {self.name} worker did not answer within {timeout_s:g} s and was killed"
                )
            self._take_answers(min(left, _POLL_S), request)
        answer = self._answers.pop(request)
        if "error" in answer:
            cls = errors.BY_NAME.get(answer["error"], MacrorailError)
            raise cls(answer["message"])
        return answer

    def ready(self, request: int) -> bool:
        """Return whether the answer to ``request`` has arrived."""
        self._take_answers(0, request)
        return request in self._answers

    def request(
        self,
        verb: str,
        timeout_s: float,
        check: Callable[[], None] | None = None,
        **arguments: Any,
    ) -> dict[str, Any]:
        """Send a request, wait for the answer and return it; see :meth:`receive`."""
        return self.receive(self.send(verb, **arguments), timeout_s, check)

    def close(self, timeout_s: float = 5.0) -> None:
        """End the child by closing its input; kill it if it does not exit in time."""
        if self._process.stdin is not None and not self._process.stdin.closed:
            try:
                self._process.stdin.close()
            except OSError:  # the child has exited already, with unsent bytes in the pipe
                self.kill()
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
        self._reader.join(timeout_s)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def kill(self) -> None:
        """Kill the child now."""
        self._process.kill()
        self._process.wait()

    def _read_lines(self) -> None:
        assert self._process.stdout is not None
        descriptor, rest = self._process.stdout.fileno(), b""
        while data := os.read(descriptor, 1 << 16):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self._lines.put(line)
        self._lines.put(None)

    def _take_answers(self, wait_s: float, request: int) -> None:
        """Wait up to ``wait_s`` seconds for an answer, then store all answers that have arrived."""
        with suppress(queue.Empty):
            line = self._lines.get(timeout=wait_s) if wait_s > 0 else self._lines.get_nowait()
            while line is not None:
                answer = json.loads(line)
                self._answers[answer["id"]] = answer
                line = self._lines.get_nowait()
            self._lines.put(None)
            if request not in self._answers:
                raise self._crashed(f"request {request}")

    def _crashed(self, during: str) -> WorkerCrashed:
        self.kill()
        code = self._process.returncode
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return WorkerCrashed(f"the {self.name} worker ended with {how} during {during}")


def _open_log(log: Path | None) -> BinaryIO:
    """Open the log file and return it; return the null device if there is no log file."""
    if log is not None:
        with suppress(OSError):
            return log.open("ab")
    return Path(os.devnull).open("ab")


def serve(handlers: Mapping[str, Callable[..., dict[str, Any]]]) -> None:
    """Answer requests from standard input until it ends; called in the child.

    Standard output carries answers only; the output of C libraries goes to standard error.
    Ctrl-C and a closed terminal signal all processes of the group. The child ignores both signals:
    the parent handles them and needs its children until it has shut down cleanly.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    # Keep both pipes away from C libraries: they print to standard output, and libgphoto2 closes
    # descriptor 0 when it disconnects a PTP/IP camera.
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    run = os.environ.get("MACRORAIL_RUN")
    if run is not None:
        print(f"process {os.getpid()} works for run {run}", file=sys.stderr, flush=True)
    for line in requests:
        message = json.loads(line)
        request, verb = message.pop("id"), message.pop("do")
        try:
            answer = handlers[verb](**message)
        except MacrorailError as error:
            answer = {"error": type(error).__name__, "message": str(error)}
        except Exception as error:
            traceback.print_exc()
            answer = {
                "error": "MacrorailError",
                "message": f"{verb} failed inside the worker: {type(error).__name__}: {error}",
            }
        try:
            answers.write(json.dumps({"id": request, **answer}).encode() + b"\n")
            answers.flush()
        except OSError:  # the parent has exited
            return
