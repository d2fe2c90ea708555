"""World time without waiting: it passes only when somebody waits, and every device lives in it."""

from __future__ import annotations

import threading
from collections.abc import Callable

from macrorail.errors import OperatorStop

_LONGEST_STRIDE_S = 0.05


class VirtualClock:
    """A ``macrorail.clock.Clock`` whose time passes only while somebody waits on it.

    Devices that live in the same world are attached and carried along. One thread waits; a stop
    may be asked for from any.
    """

    def __init__(self) -> None:
        self._now_s = 0.0
        self._devices: list[Callable[[float], None]] = []
        self._advancing = False
        self._stop = threading.Event()
        self._reason = ""

    def attach(self, advance: Callable[[float], None]) -> None:
        """Carry a device along: ``advance(world_s)`` is called with the time to live up to."""
        self._devices.append(advance)

    def now(self) -> float:
        return self._now_s

    def advance(self, duration_s: float) -> None:
        """Let world time pass without heeding an operator's stop, for devices that answer.

        Raises
        ------
        ValueError
            A duration below 0.
        RuntimeError
            Called by a device while it is being carried along.
        """
        if duration_s < 0:
            raise ValueError(f"cannot wait for {duration_s} s")
        if self._advancing:
            raise RuntimeError("a device that is carried along must not wait itself")
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
            # Strides keep devices in step with each other and let a stop from inside act soon.
            left_s = end_s - self._now_s
            if left_s > _LONGEST_STRIDE_S:
                self.advance(_LONGEST_STRIDE_S)
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
