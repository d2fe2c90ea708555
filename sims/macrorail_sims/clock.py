"""Virtual world time: it passes only while something waits, and drives all devices."""

from __future__ import annotations

import threading
from collections.abc import Callable

from macrorail.errors import OperatorStop

_LONGEST_STEP_S = 0.05


class VirtualClock:
    """A ``macrorail.clock.Clock`` whose time passes only during waits.

    Attached devices are simulated along with it. One thread waits; any thread may request a stop.
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
        """Let world time pass; an operator's stop does not interrupt it.

        Raises
        ------
        ValueError
            The duration is negative.
        RuntimeError
            A device calls this while it is being simulated.
        """
        if duration_s < 0:
            raise ValueError(f"cannot wait for {duration_s} s")
        if self._advancing:
            raise RuntimeError("an attached device must not wait itself")
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
            # Short steps keep the devices in step and let a stop requested by a device act soon.
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
