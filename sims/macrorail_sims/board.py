"""The interfaces of simulated boards, whether compiled for this computer or emulated."""

from __future__ import annotations

from typing import Protocol

from macrorail_sims.carriage import CarriageState


class SerialBoard(Protocol):
    """A device at the other end of a serial line, simulated in world time."""

    def run_until(self, world_s: float) -> None:
        """Simulate up to a world time, seconds."""
        ...

    def rx(self, data: bytes) -> None:
        """Send bytes from the host to the board."""
        ...

    def tx(self) -> bytes:
        """Return the bytes that the board has sent since the last call."""
        ...

    def reset(self, cause: str = "pin") -> None:
        """Reset the board; ``cause`` is ``power``, ``pin``, ``brownout`` or ``watchdog``."""
        ...


class RailBoard(SerialBoard, Protocol):
    """A board with the rail firmware and its carriage."""

    @property
    def state(self) -> CarriageState:
        """The state of the carriage."""
        ...

    def run_us(self, duration_us: float) -> None:
        """Simulate for a number of microseconds of world time."""
        ...

    def is_quiet(self) -> bool:
        """Return whether the board stays idle until the host sends something."""
        ...
