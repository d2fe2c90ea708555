"""Reads single keys that control a run: p pauses, r resumes, s stops, q quits, ! halts."""

from __future__ import annotations

import os
import select
import sys
import termios
import threading
import tty
from collections.abc import Callable

from macrorail.running.commands import Commands

KEYS = "p pause   r resume   s stop after this slice   q stop now   ! emergency stop"
_POLL_S = 0.2
_BY = "the keyboard"


class Keyboard:
    """Reads keys during a run, and restores the terminal's settings at the end.

    Parameters
    ----------
    commands
        Receives the commands of the keys.
    descriptor
        File descriptor of the terminal.
    """

    def __init__(self, commands: Commands, descriptor: int) -> None:
        self._descriptor = descriptor
        self._commands: dict[str, Callable[[str], None]] = {
            "p": commands.pause,
            "r": commands.resume,
            "s": commands.stop,
            "q": commands.abort,
            "!": commands.emergency,
        }
        self._before = termios.tcgetattr(descriptor)
        self._ended = threading.Event()
        # Keys arrive immediately and are not echoed; Ctrl-C still sends a signal.
        tty.setcbreak(descriptor)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop reading and restore the terminal."""
        self._ended.set()
        self._thread.join()
        try:
            if _is_ours(self._descriptor):
                termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._before)
        except (termios.error, OSError):
            return  # the terminal was closed: there is nothing to restore

    def _read(self) -> None:
        while not self._ended.is_set():
            try:
                # In the background a read would suspend the complete process.
                if not _is_ours(self._descriptor):
                    self._ended.wait(_POLL_S)
                    continue
                readable, _, _ = select.select([self._descriptor], [], [], _POLL_S)
                keys = os.read(self._descriptor, 64) if readable else None
            except OSError:
                return
            if keys is None:
                continue
            if not keys:
                return
            for key in keys.decode(errors="replace").lower():
                if key in self._commands:
                    self._commands[key](_BY)


def keyboard_of(commands: Commands) -> Keyboard | None:
    """Return the terminal's keyboard; ``None`` without a terminal and in a background process."""
    try:
        descriptor = sys.stdin.fileno()
        if os.isatty(descriptor) and _is_ours(descriptor):
            return Keyboard(commands, descriptor)
    except (OSError, ValueError, termios.error):
        return None
    return None


def _is_ours(descriptor: int) -> bool:
    """Return whether this process is the foreground job of the terminal."""
    return os.tcgetpgrp(descriptor) == os.getpgrp()
