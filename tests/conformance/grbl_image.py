"""A real grbl 1.1 image, built outside this project, in the emulator of its chip.

``MACRORAIL_GRBL_IMAGE=/path/to/main.elf pytest tests/conformance/test_axis.py -k grbl-image`` runs
the axis suite on it. grbl's code is no part of macrorail: get and build it yourself
(https://github.com/gnea/grbl, ``make``). ``python -m tests.conformance.grbl_image IMAGE`` records
``tests/transcripts/grbl/recorded.txt`` from it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

_F_CPU = 16_000_000
_SLICE_CYCLES = _F_CPU // 1000
_STEPS = ("PD2", "PD3", "PD4")
_DIRECTIONS = ("PD5", "PD6", "PD7")
_LIMITS = ("PB1", "PB2", "PB4")
_BUTTONS = ("PC0", "PC1", "PC2")
_STEPS_PER_MM = 250

#: A frame that homes, keeps its motors on, and is not larger than a test can wait for.
SETTINGS = (
    *("$1=255", "$22=1", "$20=1", "$24=300", "$25=1500", "$26=10", "$27=1.000"),
    *("$110=3000", "$111=3000", "$112=3000", "$120=400", "$121=400", "$122=400"),
    *("$130=30", "$131=30", "$132=30"),
)


def image_path() -> Path:
    """The image that the environment names; skips the test without one."""
    pytest.importorskip("yasimavr", reason="needs the hil extra: pip install -e '.[hil]'")
    named = os.environ.get("MACRORAIL_GRBL_IMAGE")
    if not named:
        pytest.skip("no grbl image named: MACRORAIL_GRBL_IMAGE=/path/to/main.elf")
    return Path(named)


class GrblImage:
    """An emulated Uno with grbl and three carriages; a ``macrorail_sims.board.SerialBoard``."""

    def __init__(self, image: Path, start_mm: float = 4.0) -> None:
        import yasimavr.lib.core as core
        from yasimavr.device_library import load_device

        self._core: Any = core
        core.global_logger().set_level(core.Logger.Level.Silent)
        self._device: Any = load_device("atmega328p")
        self._device.logger().set_level(core.Logger.Level.Silent)
        self._device.set_option(core.Device.Option.InfiniteLoopDetect, False)
        self._loop = core.SimLoop(self._device)
        self._loop.set_fast_mode(True)
        firmware = core.Firmware.read_elf(str(image))
        firmware.frequency, firmware.vcc, firmware.aref = _F_CPU, 5.0, 1.0
        self._device.load_firmware(firmware)
        self._received = bytearray()
        self._hooks: list[Any] = []
        # Steps from each home switch, and which way the next step goes.
        self._places = [round(start_mm * _STEPS_PER_MM)] * 3
        self._ways = [-1] * 3
        self._pressed: list[bool | None] = [None] * 3
        for axis in range(3):
            self._watch(_STEPS[axis], lambda high, axis=axis: self._step(axis, high))
            self._watch(_DIRECTIONS[axis], lambda high, axis=axis: self._turn(axis, high))
        self._connect_uart()
        self._drive_all()
        self._set_up()

    def from_switch_mm(self, axis: int) -> float:
        """How far a carriage truly is from its home switch."""
        return self._places[axis] / _STEPS_PER_MM

    @property
    def now_s(self) -> float:
        return float(self._loop.cycle()) / _F_CPU

    def run_until(self, world_s: float) -> None:
        end = round(world_s * _F_CPU)
        while (left := end - self._loop.cycle()) > 0:
            self._loop.run(min(left, _SLICE_CYCLES))

    def rx(self, data: bytes) -> None:
        if not data:
            return
        request = self._core.ctlreq_data_t()
        request.data = self._core.vardata_t(bytes(data))
        self._device.ctlreq(self._uart, self._core.CTLREQ_USART_BYTES, request)

    def tx(self) -> bytes:
        taken = bytes(self._received)
        self._received.clear()
        return taken

    def reset(self, cause: str = "pin") -> None:
        del cause
        self._device.reset(self._core.Device.ResetFlag.Ext)
        # The reset takes effect with the next cycles, and takes the levels at the pins along.
        self._loop.run(_SLICE_CYCLES // 100)
        self._received.clear()
        self._drive_all()

    def _set_up(self) -> None:
        self.run_until(self.now_s + 0.5)
        self.tx()
        for setting in SETTINGS:
            self.rx(f"{setting}\n".encode())
            self.run_until(self.now_s + 0.08)
            said = self.tx()
            assert said == b"ok\r\n", f"{setting}: {said!r}"

    def _step(self, axis: int, high: bool) -> None:
        if high:
            self._places[axis] += self._ways[axis]
            self._drive_limits()

    def _turn(self, axis: int, high: bool) -> None:
        # High is grbl's negative direction, which leads away from a switch at the positive end.
        self._ways[axis] = 1 if high else -1

    def _drive_all(self) -> None:
        for pin in (*_BUTTONS, *_LIMITS):
            # The emulator forgets a level at a reset and does not look again until it changes.
            self._device.find_pin(pin).set_external_state("L")
            self._device.find_pin(pin).set_external_state("H")
        self._pressed = [None] * 3
        self._drive_limits()

    def _drive_limits(self) -> None:
        for axis in range(3):
            pressed = self._places[axis] <= 0
            if self._pressed[axis] is not pressed:
                self._pressed[axis] = pressed
                self._device.find_pin(_LIMITS[axis]).set_external_state("L" if pressed else "H")

    def _watch(self, pin: str, react: Any) -> None:
        change = self._core.Wire.SignalId.DigitalChange

        def raised(signal: Any, tag: Any) -> None:
            del tag
            if signal.sigid == change:
                react(bool(signal.data.value()))

        hook = self._core.CallableSignalHook(raised)
        self._device.find_pin(pin).signal().connect(hook)
        self._hooks.append(hook)

    def _connect_uart(self) -> None:
        core = self._core
        self._uart = core.IOCTL_UART("0")
        _, request = self._device.ctlreq(self._uart, core.CTLREQ_GET_SIGNAL)

        def raised(signal: Any, tag: Any) -> None:
            del tag
            if signal.sigid == core.UART.SignalId.TX_Data:
                self._received.append(signal.data.value())

        hook = core.CallableSignalHook(raised)
        request.data.value(core.Signal).connect(hook)
        self._hooks.append(hook)


def play(machine: Any, script: str) -> list[str]:
    """Play the host's part of a transcript; the whole conversation as it went."""
    spoken: list[str] = []
    for line in script.splitlines():
        mark, _, text = line.partition(" ")
        if mark in ("<", ""):
            continue
        spoken.append(line)
        if mark == "#":
            continue
        wait_s = 0.1
        if mark == "~":
            wait_s = float(text) / 1000
        elif mark == ">raw":
            machine.rx(text.encode("ascii").decode("unicode_escape").encode("latin-1"))
        else:
            machine.rx(f"{text}\n".encode())
        machine.run_until(machine.now_s + wait_s)
        spoken += [f"< {said.strip()}" for said in machine.tx().decode().splitlines() if said]
    return spoken


def main() -> None:
    """Record the transcript again from the image that the first argument names."""
    path = Path(__file__).parents[1] / "transcripts" / "grbl" / "recorded.txt"
    machine = GrblImage(Path(sys.argv[1]))
    machine.reset()
    machine.run_until(machine.now_s + 1.0)
    machine.tx()
    path.write_text("\n".join(play(machine, path.read_text())) + "\n")


if __name__ == "__main__":
    main()
