"""What the simulated boards of the rail offer, compiled for this computer or emulated."""

from __future__ import annotations

from typing import Protocol

from macrorail_sims.carriage import CarriageState


class SerialBoard(Protocol):
    """Anything at the other end of a serial line, living in world time."""

    def run_until(self, world_s: float) -> None:
        """Live up to an instant of world time, seconds."""
        ...

    def rx(self, data: bytes) -> None:
        """Put bytes on the line to the board."""
        ...

    def tx(self) -> bytes:
        """Take the bytes that have arrived from the board."""
        ...

    def reset(self, cause: str = "pin") -> None:
        """Reset the board (``power``, ``pin``, ``brownout``, ``watchdog``)."""
        ...


class Board(SerialBoard, Protocol):
    """A board with our firmware and its carriage."""

    @property
    def state(self) -> CarriageState:
        """The carriage's memory."""
        ...

    def run_us(self, duration_us: float) -> None:
        """Live for so many microseconds of world time."""
        ...

    def is_quiet(self) -> bool:
        """True when nothing will happen until the host speaks."""
        ...
