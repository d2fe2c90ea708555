"""The clock of the world a run lives in: real, faster than life, and able to be interrupted.

Settle, pulse and motion times are waited on the world's clock; timeouts that guard real I/O are
not (they stay in wall time). An operator's stop arrives at every wait: ``sleep`` and ``check``
raise it once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol

from macrorail.errors import OperatorStop

#: Wall time between two signs of life in a long wait.
_LONGEST_SILENCE_S = 1.0


class Clock(Protocol):
    """World time in seconds, and waiting in it."""

    def now(self) -> float:
        """Seconds of world time since the world's start, >= 0, never running backwards."""
        ...

    def sleep(self, duration_s: float) -> None:
        """Let ``duration_s`` (>= 0) of world time pass.

        Raises
        ------
        OperatorStop
            A stop was asked for before or while waiting; asked once, raised once.
        """
        ...

    def check(self) -> None:
        """Raise ``OperatorStop`` if a stop was asked for, as ``sleep`` would."""
        ...

    def request_stop(self, reason: str) -> None:
        """Ask for a stop; safe to call from a signal handler or another thread."""
        ...


class WorldClock:
    """A clock tied to the machine's monotonic clock.

    Parameters
    ----------
    time_scale
        Seconds of world time in a second of the wall's, > 0. 1 is real life.
    epoch_s
        ``time.monotonic()`` at the world's start. Processes that share it share the world's time.
    """

    def __init__(self, time_scale: float = 1.0, epoch_s: float | None = None) -> None:
        if not time_scale > 0:
            raise ValueError(f"time_scale must be above 0, got {time_scale}")
        self.time_scale = time_scale
        self.epoch_s = time.monotonic() if epoch_s is None else epoch_s
        self._stop = threading.Event()
        self._reason = ""
        #: Called at every wait, and again and again in a long one, as a sign of life.
        self.on_wait: Callable[[], None] | None = None

    def now(self) -> float:
        return (time.monotonic() - self.epoch_s) * self.time_scale

    def sleep(self, duration_s: float) -> None:
        if duration_s < 0:
            raise ValueError(f"cannot sleep for {duration_s} s")
        end_s = time.monotonic() + duration_s / self.time_scale
        while (left_s := end_s - time.monotonic()) > 0:
            # Event.wait returns at once when a stop is asked for, from whichever thread or signal.
            if self._stop.wait(min(left_s, _LONGEST_SILENCE_S)):
                break
            if self.on_wait is not None:
                self.on_wait()
        self.check()

    def check(self) -> None:
        if self.on_wait is not None:
            self.on_wait()
        if self._stop.is_set():
            self._stop.clear()
            raise OperatorStop(self._reason)

    def request_stop(self, reason: str) -> None:
        self._reason = reason
        self._stop.set()
