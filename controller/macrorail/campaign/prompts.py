"""Asks the operator of a campaign, and receives answers from keyboard, scanner or socket.

Requests and answers on the socket in the campaign folder are JSON objects, one on each line. The
requests are ``{"do": "status"}``, ``{"do": "continue"}`` (with ``"text"`` if an id was asked for),
``{"do": "skip"}``, ``{"do": "stop"}`` (ends the campaign after the present stack) and
``{"do": "abort"}`` (ends it at once).
"""

from __future__ import annotations

import json
import os
import select
import termios
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from macrorail.campaign.progress import CampaignProgress
from macrorail.campaign.runner import Skipped
from macrorail.clock import Clock
from macrorail.errors import OperatorStop, PausedTooLong
from macrorail.quantity import format_duration
from macrorail.run_folder.events import Event, OperatorAnswered, OperatorAsked
from macrorail.session.command_socket import LineServer
from macrorail.session.observer import RunObserver

_POLL_S = 0.2
_STDIN = 0
_BY = "the command socket"


class OperatorPrompts:
    """Asks questions and receives the operator's answers and commands; usable from any thread.

    Parameters
    ----------
    clock
        Clock that gives the run time (real or simulated).
    observer
        Shows the questions.
    log_event
        Writes an event to the campaign's journal.
    progress
        Progress of the campaign, which is the answer to ``status``.
    at_most_s
        Longest wait for an answer, in seconds of run time.
    """

    def __init__(
        self,
        clock: Clock,
        observer: RunObserver,
        log_event: Callable[[Event], Any],
        progress: CampaignProgress,
        at_most_s: float,
    ) -> None:
        self._clock = clock
        self._observer = observer
        self._log_event = log_event
        self._progress = progress
        self._at_most_s = at_most_s
        self._question = ""
        self._answer: str | None = None
        self._skip = ""
        self._stop = ""
        self._now = ""
        self._can_read = _is_open(_STDIN)
        self._read = b""
        self._server: LineServer | None = None

    def serve(self, folder: Path) -> None:
        """Open the socket in the campaign folder, if the file system supports sockets."""
        try:
            self._server = LineServer(folder, self.answer)
        except OSError as error:
            self._observer.message(f"No command socket in {folder}: {error.strerror}", "warning")

    def close(self) -> None:
        """Stop answering requests and close the socket."""
        if self._server is not None:
            self._server.close()

    def at_work_on(self, key: str) -> None:
        """Set the present stack, which ``status`` reports; discard the skip of an earlier stack."""
        self._now, self._skip = key, ""

    def check(self) -> None:
        """Raise ``OperatorStop`` if the operator has ended the campaign; called between stacks."""
        if self._stop:
            raise OperatorStop(self._stop)
        try:
            self._clock.check()
        except OperatorStop:
            # The stop was requested to skip a stack, but this stack was finished before the stop.
            if not self._skip:
                raise

    def refuse_if_skipped(self) -> None:
        """Raise ``Skipped`` if the run was stopped only because the operator skipped this stack."""
        if self._skip and not self._stop:
            raise Skipped(self._skip)

    def ask(self, question: str, takes_text: bool = False) -> str:
        """Show a question, wait for the answer, and return the typed or scanned text.

        Raises
        ------
        Skipped
            The operator postponed the stack.
        OperatorStop
            The operator ended the campaign.
        PausedTooLong
            No operator responded in time.
        """
        self._discard_typed_ahead()
        self._question, self._answer, self._skip = question, None, ""
        self._log_event(OperatorAsked(question=question))
        keys = "" if takes_text else ", then press Enter ('skip' postpones the stack, 'stop' ends)"
        self._observer.on_question(f"{question.rstrip(': ')}{keys}: ")
        began_s = self._clock.now()
        try:
            while True:
                answer = self._poll()
                if answer is not None:
                    self._log_event(OperatorAnswered(answer=answer))
                    return answer
                self._clock.check()
                if self._clock.now() - began_s > self._at_most_s:
                    raise PausedTooLong(
                        f"waited {format_duration(self._at_most_s)}, and no operator responded: "
                        f"{question}"
                    )
        finally:
            self._question = ""

    def _poll(self) -> str | None:
        """Wait a moment for an answer and return it; ``None`` if there is none."""
        line = self._answer if self._answer is not None else self._typed()
        if line is None and self._skip:
            raise Skipped(self._skip)
        if line is None and self._stop:
            raise OperatorStop(self._stop)
        if line == "skip":
            raise Skipped("postponed at the terminal")
        if line == "stop":
            raise OperatorStop("stopped at the terminal")
        return line

    def _typed(self) -> str | None:
        """Wait a moment for a line of standard input and return it; ``None`` if there is none.

        ``sys.stdin`` is not used, because ``select()`` does not see data in the buffer of
        ``sys.stdin``.
        """
        if b"\n" not in self._read and not self._can_read:
            self._clock.sleep(_POLL_S)
            return None
        if b"\n" not in self._read and select.select([_STDIN], [], [], _POLL_S)[0]:
            try:
                data = os.read(_STDIN, 4096)
            except OSError:
                data = b""
            # The end of the input is not an answer; an answer may still come through the socket.
            self._can_read = bool(data)
            self._read += data
        line, end, rest = self._read.partition(b"\n")
        if not end:
            return None
        self._read = rest
        return line.decode(errors="replace").strip()

    def _discard_typed_ahead(self) -> None:
        """Discard keys pressed before the question was shown; input from a pipe is kept."""
        with suppress(OSError, termios.error):
            if os.isatty(_STDIN):
                termios.tcflush(_STDIN, termios.TCIFLUSH)
                self._read = b""

    def answer(self, line: bytes) -> dict[str, Any]:
        """Carry out a request line from the socket and return the answer."""
        try:
            asked = json.loads(line)
            verb, text = asked["do"], str(asked.get("text", ""))
        except (ValueError, TypeError, KeyError, AttributeError):
            return {"error": 'write one JSON object on a line, such as {"do": "status"}'}
        if verb == "continue":
            if not self._question:
                return {"error": "the campaign is not waiting for an answer"}
            self._answer = text
        elif verb == "skip":
            self._skip = f"postponed by {_BY}"
            if self._now and not self._question:
                self._clock.request_stop(self._skip)
        elif verb == "stop":
            self._stop = f"stopped after this stack by {_BY}"
        elif verb == "abort":
            self._stop = f"stopped by {_BY}"
            self._clock.request_stop(self._stop)
        elif verb != "status":
            return {
                "error": f"unknown command '{verb}'; known: status, continue, skip, stop, abort"
            }
        return self.status()

    def status(self) -> dict[str, Any]:
        """Return the progress of the campaign, the present stack and the open question."""
        return {**self._progress.to_dict(), "now": self._now, "question": self._question}


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True
