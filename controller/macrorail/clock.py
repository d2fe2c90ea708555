"""The clock of a run: real time, or simulated time that runs faster; waits can be interrupted.

*World time* is the time of the real or simulated instrument. Texts for users call this run time.
Waits for settling, pulses and moves are in world time. Timeouts of real input and output are in
wall time. When the operator asks for a stop, the current or next ``sleep`` or ``check`` raises
``OperatorStop`` once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol

from macrorail.errors import OperatorStop

#: Wall time between two heartbeats in a long wait.
_HEARTBEAT_S = 1.0


class Clock(Protocol):
    """Gives the world time in seconds, and waits for durations of world time."""

    def now(self) -> float:
        """Return the seconds of world time since the clock started, >= 0; never decreases."""
        ...

    def sleep(self, duration_s: float) -> None:
        """Wait for ``duration_s`` (>= 0) of world time.

        Raises
        ------
        OperatorStop
            A stop was requested before or during the wait. Each request raises this error once.
        """
        ...

    def check(self) -> None:
        """Raise ``OperatorStop`` if a stop was requested."""
        ...

    def request_stop(self, reason: str) -> None:
        """Request a stop; safe to call from a signal handler or another thread."""
        ...


class WorldClock:
    """World time that follows the computer's monotonic clock.

    Parameters
    ----------
    time_scale
        Seconds of world time that pass in one second of wall time, > 0; 1 is real time.
    epoch_s
        ``time.monotonic()`` at world time 0. Processes with the same epoch share one world time.
    """

    def __init__(self, time_scale: float = 1.0, epoch_s: float | None = None) -> None:
        if not time_scale > 0:
            raise ValueError(f"time_scale must be above 0, got {time_scale}")
        self.time_scale = time_scale
        self.epoch_s = time.monotonic() if epoch_s is None else epoch_s
        self._stop = threading.Event()
        self._reason = ""
        #: Called at every wait, and once a second during a long wait, as a heartbeat.
        self.on_wait: Callable[[], None] | None = None

    def now(self) -> float:
        return (time.monotonic() - self.epoch_s) * self.time_scale

    def sleep(self, duration_s: float) -> None:
        if duration_s < 0:
            raise ValueError(f"cannot sleep for {duration_s} s")
        end_s = time.monotonic() + duration_s / self.time_scale
        while (left_s := end_s - time.monotonic()) > 0:
            # Event.wait returns as soon as any thread or signal handler requests a stop.
            if self._stop.wait(min(left_s, _HEARTBEAT_S)):
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
