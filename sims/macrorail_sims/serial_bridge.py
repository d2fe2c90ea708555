"""Runs a simulated board behind a pseudo terminal, in world time, in a separate process."""

from __future__ import annotations

import argparse
import ctypes
import json
import mmap
import os
import pty
import select
import sys
import tty
from pathlib import Path

from macrorail.clock import WorldClock
from macrorail_sims.board import RailBoard
from macrorail_sims.carriage import CarriageState
from macrorail_sims.firmware_avr import AvrBoard
from macrorail_sims.firmware_native import NativeBoard

_BUSY_WAIT_MS = 1
_QUIET_WAIT_MS = 20
_CLOSED_WAIT_MS = 5


class SerialBridge:
    """Connects a board with the pseudo terminal that a host opens as its serial port.

    Parameters
    ----------
    board
        The board; its world time must equal that of the clock at the start.
    clock
        Clock of the simulated world.
    """

    def __init__(self, board: RailBoard, clock: WorldClock) -> None:
        self.board = board
        self.clock = clock
        self._master, slave = pty.openpty()
        tty.setraw(slave)
        self.port = os.ttyname(slave)
        # This end is closed here, so that the terminal reports a hang-up while no host has it open.
        os.close(slave)
        os.set_blocking(self._master, False)
        self._is_open = False
        self._resets_asked = int(board.state.reset)
        self._unsent = b""

    def serve(self, until_closed: int) -> None:
        """Run until the file descriptor ``until_closed`` reaches its end."""
        owner = select.poll()
        owner.register(until_closed, select.POLLIN)
        both = select.poll()
        both.register(until_closed, select.POLLIN)
        both.register(self._master, select.POLLIN)
        line = select.poll()
        line.register(self._master, select.POLLIN)
        while True:
            # poll() returns at once for a terminal that no program has open, so it cannot wait for
            # this terminal.
            ready = dict((both if self._is_open else owner).poll(self._patience_ms()))
            if until_closed in ready and not os.read(until_closed, 4096):
                return
            self.board.run_until(self.clock.now())
            if self.board.state.reset != self._resets_asked:
                self._resets_asked = int(self.board.state.reset)
                self.board.reset("pin")
            self._serve_line(dict(line.poll(0)).get(self._master, 0))

    def _patience_ms(self) -> int:
        if not self._is_open:
            return _CLOSED_WAIT_MS
        return _QUIET_WAIT_MS if self.board.is_quiet() and not self._unsent else _BUSY_WAIT_MS

    def _serve_line(self, events: int) -> None:
        is_open = not events & select.POLLHUP
        if is_open and not self._is_open:
            # Opening the port changes DTR, which is wired to the reset pin of an Uno.
            self.board.reset("pin")
            self._unsent = b""
        self._is_open = is_open
        if events & select.POLLIN:
            self.board.rx(os.read(self._master, 4096))
        self._unsent += self.board.tx()
        if not is_open:
            self._unsent = b""
        if self._unsent:
            try:
                self._unsent = self._unsent[os.write(self._master, self._unsent) :]
            except BlockingIOError:
                return  # the host does not read, and the terminal's buffer is full


def main() -> None:
    """Print ``{"port": ...}``, then serve one board until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--world", type=Path, required=True, help="file that shares the carriage")
    parser.add_argument("--time-scale", type=float, default=1.0)
    parser.add_argument("--epoch", type=float, help="time.monotonic() at world time 0")
    parser.add_argument("--start-place", type=int, default=5_000, help="microsteps")
    parser.add_argument("--length", type=int, default=160_000, help="microsteps between switches")
    parser.add_argument("--play", type=int, default=0, help="microsteps")
    parser.add_argument("--emulated", action="store_true", help="emulate the board's chip")
    asked = parser.parse_args()
    clock = WorldClock(asked.time_scale, asked.epoch)
    size = ctypes.sizeof(CarriageState)
    with asked.world.open("w+b") as file:
        file.truncate(size)
        memory = mmap.mmap(file.fileno(), size)
    make: type[NativeBoard] | type[AvrBoard] = AvrBoard if asked.emulated else NativeBoard
    board = make(
        CarriageState.from_buffer(memory),
        start_place=asked.start_place,
        length=asked.length,
        now_s=clock.now(),
    )
    board.state.play = asked.play
    bridge = SerialBridge(board, clock)
    print(json.dumps({"port": bridge.port}), flush=True)
    bridge.serve(sys.stdin.fileno())


if __name__ == "__main__":
    main()
