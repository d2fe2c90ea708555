"""Virtual world time, which passes only during waits and drives all simulated devices."""

from __future__ import annotations

import threading
from collections.abc import Callable

from macrorail.errors import OperatorStop

_LONGEST_STEP_S = 0.05


class VirtualClock:
    """A ``macrorail.clock.Clock`` whose time passes only during waits.

    Attached devices are simulated as time passes. Only one thread may wait; any thread may request
    a stop.
    """

    def __init__(self) -> None:
        self._now_s = 0.0
        self._devices: list[Callable[[float], None]] = []
        self._advancing = False
        self._stop = threading.Event()
        self._reason = ""

    def attach(self, advance: Callable[[float], None]) -> None:
        """Attach a device: ``advance(world_s)`` is called with the time to simulate up to."""
        self._devices.append(advance)

    def now(self) -> float:
        return self._now_s

    def advance(self, duration_s: float) -> None:
        """Let world time pass; a stop request does not interrupt this call.

        Raises
        ------
        ValueError
            The duration is negative.
        RuntimeError
            A device calls this method while it is being simulated.
        """
        if duration_s < 0:
            raise ValueError(f"cannot wait for {duration_s} s")
        if self._advancing:
            raise RuntimeError("an attached device must not call advance() or sleep()")
        self._advancing = True
        try:
            self._now_s += duration_s
            for device in self._devices:
                device(self._now_s)
        finally:
            self._advancing = False

    def sleep(self, duration_s: float) -> None:
        if duration_s < 0:
            raise ValueError(f"cannot sleep for {duration_s} s")
        end_s = self._now_s + duration_s
        self.check()
        while self._now_s < end_s:
            # With short steps the devices stay synchronous, and a device's stop request acts soon.
            left_s = end_s - self._now_s
            if left_s > _LONGEST_STEP_S:
                self.advance(_LONGEST_STEP_S)
            else:
                self.advance(left_s)
                self._now_s = end_s
            self.check()

    def check(self) -> None:
        if self._stop.is_set():
            self._stop.clear()
            raise OperatorStop(self._reason)

    def request_stop(self, reason: str) -> None:
        self._reason = reason
        self._stop.set()
