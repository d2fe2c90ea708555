"""A serial port to a board in the same process; waiting on it advances virtual world time."""

from __future__ import annotations

from collections.abc import Callable

from macrorail_sims.board import SerialBoard
from macrorail_sims.clock import VirtualClock

_STEP_S = 0.0005


class VirtualPort:
    """A port with the interface of ``serial.Serial``; opening it resets the board, as on an Uno.

    Parameters
    ----------
    board
        The board at the other end.
    clock
        Clock of the simulated world, which drives the board.
    """

    def __init__(self, board: SerialBoard, clock: VirtualClock) -> None:
        self.board = board
        self.clock = clock
        self.timeout: float | None = 0.1
        self.is_open = False
        self._unread = bytearray()
        clock.attach(board.run_until)

    def open(self) -> None:
        self.is_open = True
        self._unread.clear()
        self.board.reset("pin")

    def close(self) -> None:
        self.is_open = False

    @property
    def in_waiting(self) -> int:
        self._unread += self.board.tx()
        return len(self._unread)

    def reset_input_buffer(self) -> None:
        self.board.tx()
        self._unread.clear()

    def write(self, data: bytes) -> int:
        self.board.rx(data)
        return len(data)

    def read(self, size: int = 1) -> bytes:
        self._wait_for(lambda: len(self._unread) >= size)
        return self._take(min(size, len(self._unread)))

    def readline(self) -> bytes:
        self._wait_for(lambda: b"\n" in self._unread)
        end = self._unread.find(b"\n") + 1
        return self._take(end if end > 0 else len(self._unread))

    def _wait_for(self, enough: Callable[[], bool]) -> None:
        end_s = float("inf") if self.timeout is None else self.clock.now() + self.timeout
        self._unread += self.board.tx()
        while not enough() and self.clock.now() < end_s:
            self.clock.advance(_STEP_S)
            self._unread += self.board.tx()

    def _take(self, count: int) -> bytes:
        taken = bytes(self._unread[:count])
        del self._unread[:count]
        return taken
