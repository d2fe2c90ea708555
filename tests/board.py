"""A host that speaks the wire to a simulated board by hand, with noise on the line if wanted."""

from __future__ import annotations

import random
from collections.abc import Callable

from macrorail.devices.rail import wire
from macrorail_sims.board import RailBoard
from macrorail_sims.carriage import TICKS_PER_S
from macrorail_sims.firmware_native import NativeBoard

Distort = Callable[[bytes], bytes]


def clean(data: bytes) -> bytes:
    """A line without noise."""
    return data


class Noise:
    """Corrupts, drops or repeats each byte with the same chance, reproducibly."""

    def __init__(self, seed: int, chance: float) -> None:
        self._random = random.Random(seed)
        self._chance = chance
        self.faults = 0

    def __call__(self, data: bytes) -> bytes:
        out = bytearray()
        for byte in data:
            if self._random.random() >= self._chance:
                out.append(byte)
                continue
            self.faults += 1
            match self._random.randrange(4):
                case 0:
                    out.append(byte ^ 1 << self._random.randrange(8))
                case 1:
                    pass
                case 2:
                    out += bytes([byte, byte])
                case 3:
                    # One in 256 of these is the emergency byte.
                    out.append(self._random.randrange(256))
        return bytes(out)


class Host:
    """Asks and waits; repeats a command until an undamaged answer arrives."""

    def __init__(self, board: RailBoard | None = None, distort: Distort = clean) -> None:
        self.board: RailBoard = NativeBoard(bootloader_s=0.0) if board is None else board
        self.distort = distort
        self.sequence = 0
        self.repeats = 0
        self.notices: list[str] = []
        self._unread = b""
        self.run_ms(1)

    def run_ms(self, duration_ms: float) -> None:
        """Let world time pass."""
        self.board.run_us(duration_ms * 1000)

    @property
    def now_s(self) -> float:
        """World time, seconds."""
        return float(self.board.state.now) / TICKS_PER_S

    def lines(self) -> list[bytes]:
        """Every whole line that has arrived, with its noise."""
        self._unread += self.distort(self.board.tx())
        *whole, self._unread = self._unread.split(b"\n")
        return whole

    def send(self, data: bytes, wait_ms: float = 25) -> list[str]:
        """Send raw bytes; the undamaged lines that come back within ``wait_ms``."""
        self.board.rx(self.distort(data))
        self.run_ms(wait_ms)
        texts = [wire.check(line) for line in self.lines()]
        return [text for text in texts if text is not None]

    def ask(self, verb: str, *arguments: int, attempts: int = 5_000) -> wire.Answer:
        """Send a command with the next sequence number until it is answered."""
        self.sequence = wire.next_sequence(self.sequence)
        return self.ask_again(verb, *arguments, attempts=attempts)

    def ask_again(self, verb: str, *arguments: int, attempts: int = 5_000) -> wire.Answer:
        """Send a command with the same sequence number as the last one."""
        line = wire.encode(self.sequence, verb, *arguments)
        for _ in range(attempts):
            for text in self.send(line):
                message = wire.decode(text)
                if isinstance(message, wire.Notice):
                    self.notices.append(text)
                elif message.sequence == self.sequence:
                    return message
            self.repeats += 1
        raise AssertionError(f"no answer to {verb} in {attempts} attempts")

    def status(self) -> wire.Status:
        """What the board says it is doing."""
        return wire.status_of(self.ask("STATUS"))

    def greet(self, silence_ms: int = 60_000) -> None:
        """Open a session with usual settings."""
        assert self.ask("HELLO", wire.WIRE_VERSION, 77).error is None
        assert self.ask("PACE", 8_000, 40_000).error is None
        assert self.ask("LIMITS", 0, 150_000).error is None
        assert self.ask("SILENCE", silence_ms).error is None

    def home(self) -> wire.Status:
        """Find the home switch."""
        assert self.ask("HOME", 200_000, 4_000, 320).error is None
        return self.wait()

    def wait(self, longest_s: float = 120.0) -> wire.Status:
        """Poll until the board is at rest."""
        end_s = self.now_s + longest_s
        while self.now_s < end_s:
            status = self.status()
            if status.state == "idle":
                return status
            self.run_ms(50)
        raise AssertionError(f"still moving after {longest_s} s")

    def go(self, target: int) -> wire.Status:
        """Go there and wait."""
        assert self.ask("GO", target).error is None
        return self.wait()


def homed_host(distort: Distort = clean, board: RailBoard | None = None) -> Host:
    """A host with a homed board; the noise begins afterwards."""
    host = Host(board)
    host.greet()
    assert host.home().stop == "done"
    host.distort = distort
    return host
