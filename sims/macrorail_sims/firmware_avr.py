"""Runs the rail's real firmware image in an emulator of the board's chip, the ATmega328P.

Needs the ``hil`` extra (yasimavr) and avr-gcc. ``carriage.c`` simulates the mechanics.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from macrorail.errors import ConfigError
from macrorail.extras import needs_extra
from macrorail.shipped import BUILD, FIRMWARE
from macrorail_sims.carriage import TICKS_PER_S, CarriageState
from macrorail_sims.firmware_native import build_library

IMAGE = BUILD / "macrorail.elf"
F_CPU = 16_000_000
_CYCLES_PER_TICK = F_CPU // TICKS_PER_S
_SLICE_CYCLES = F_CPU // 1000
_RESET_CYCLES = 100

_STEP, _DIRECTION, _ENABLE = "PD2", "PD5", "PB0"
_FOCUS, _RELEASE = "PB4", "PB3"
_MIN, _MAX, _ESTOP, _SHOE = "PB1", "PB2", "PC0", "PC3"


def build_image() -> Path:
    """Build the firmware image if it is missing or older than its sources; return its path.

    Raises
    ------
    ConfigError
        The image cannot be built.
    """
    if shutil.which("avr-gcc") is None or shutil.which("make") is None:
        raise ConfigError(
            "the emulated rail needs avr-gcc and make "
            "(Debian: apt install gcc-avr avr-libc binutils-avr make)"
        )
    made = subprocess.run(
        ["make", "-s", "-C", str(FIRMWARE), "avr", f"BUILD={BUILD}"],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode != 0:
        raise ConfigError(
            f"the firmware image cannot be built; 'make -C {FIRMWARE} avr' printed:\n"
            f"{made.stderr.strip()}"
        )
    return IMAGE


class AvrBoard:
    """One emulated Uno with its carriage; the same interface as ``firmware_native.NativeBoard``.

    Parameters
    ----------
    state
        Memory for the carriage, such as a shared file; newly allocated when ``None``.
    start_place, length
        Initial position of the carriage, and distance between the switches, in microsteps.
    now_s
        World time at power-on, seconds.
    """

    def __init__(
        self,
        state: CarriageState | None = None,
        *,
        start_place: int = 5_000,
        length: int = 160_000,
        now_s: float = 0.0,
    ) -> None:
        with needs_extra("hil", "the emulated rail"):
            import yasimavr.lib.core as core
            from yasimavr.device_library import load_device

        #: The emulator's library, also used for measurements.
        self.core: Any = core
        core.global_logger().set_level(core.Logger.Level.Silent)
        self.state = CarriageState() if state is None else state
        self._mechanics = ctypes.CDLL(str(build_library()))
        for name in ("min", "max", "estop"):
            getattr(self._mechanics, f"carriage_{name}_reads_pressed").restype = ctypes.c_bool
        self._carriage = ctypes.byref(self.state)
        self._mechanics.carriage_init(
            self._carriage, ctypes.c_int64(start_place), ctypes.c_int64(length)
        )
        self.device: Any = load_device("atmega328p")
        self.device.logger().set_level(core.Logger.Level.Silent)
        self.device.set_option(core.Device.Option.InfiniteLoopDetect, False)
        self.loop = core.SimLoop(self.device)
        self.loop.set_fast_mode(True)
        image = core.Firmware.read_elf(str(build_image()))
        image.frequency, image.vcc, image.aref = F_CPU, 5.0, 1.0
        self.device.load_firmware(image)
        self._epoch_ticks = round(now_s * TICKS_PER_S)
        self._received = bytearray()
        self._levels: dict[str, bool] = {}
        # The emulator keeps no references to the hooks that it calls.
        self._hooks: list[Any] = []
        self._pins = {
            name: self.device.find_pin(name)
            for name in (
                *(_STEP, _DIRECTION, _ENABLE, _FOCUS, _RELEASE),
                *(_MIN, _MAX, _ESTOP, _SHOE),
            )
        }
        for name, react in (
            (_STEP, self._on_step),
            (_DIRECTION, self._on_direction),
            (_ENABLE, self._on_enable),
            (_FOCUS, self._on_focus),
            (_RELEASE, self._on_release),
        ):
            self._connect_pin(name, react)
        self._connect_uart()
        self._take_time()
        self._drive_inputs()

    def run_until(self, world_s: float) -> None:
        """Simulate up to a world time, seconds."""
        self._run_to(round(world_s * TICKS_PER_S))

    def run_us(self, duration_us: float) -> None:
        """Simulate for a number of microseconds of world time."""
        self._run_to(int(self.state.now) + round(duration_us * TICKS_PER_S / 1e6))

    def rx(self, data: bytes) -> None:
        """Send bytes to the board; the transfer takes as long as at 115200 baud."""
        if not data:
            return
        request = self.core.ctlreq_data_t()
        request.data = self.core.vardata_t(bytes(data))
        self.device.ctlreq(self._uart, self.core.CTLREQ_USART_BYTES, request)

    def tx(self) -> bytes:
        """Return the bytes that have arrived from the board since the last call."""
        taken = bytes(self._received)
        self._received.clear()
        return taken

    def reset(self, cause: str = "pin") -> None:
        """Reset the board; the carriage stays where it is.

        Parameters
        ----------
        cause
            ``power``, ``pin``, ``brownout`` or ``watchdog``.
        """
        flags = self.core.Device.ResetFlag
        kinds = {
            "power": flags.PowerOn,
            "pin": flags.Ext,
            "brownout": flags.BOD,
            "watchdog": flags.WDT,
        }
        self.device.reset(kinds[cause])
        self.state.enabled = self.state.focus = 0
        self._on_release(False)
        self.state.resets += 1
        # The reset takes effect in the next cycles. The emulator then forgets the levels of the
        # pins and reads a pin again only when its level changes.
        self.loop.run(_RESET_CYCLES)
        self._received.clear()
        self._levels.clear()
        for name in (_MIN, _MAX, _ESTOP, _SHOE):
            self._pins[name].set_external_state("Z")
        self._drive_inputs()

    def is_quiet(self) -> bool:
        """Return False, because an emulated chip is never idle."""
        return False

    def _run_to(self, tick: int) -> None:
        end = (tick - self._epoch_ticks) * _CYCLES_PER_TICK
        while (left := end - self.loop.cycle()) > 0:
            self._drive_inputs()
            self.loop.run(min(left, _SLICE_CYCLES))
            self._take_time()
            self._mechanics.carriage_sample(self._carriage)

    def _take_time(self) -> None:
        self.state.now = self._epoch_ticks + self.loop.cycle() // _CYCLES_PER_TICK

    def _on_step(self, level: bool) -> None:
        if level:
            self._take_time()
            self._mechanics.carriage_step(self._carriage)
            self._drive_inputs()

    def _on_direction(self, level: bool) -> None:
        self.state.direction = 1 if level else -1

    def _on_enable(self, level: bool) -> None:
        self.state.enabled = int(not level)

    def _on_focus(self, level: bool) -> None:
        self.state.focus = int(level)

    def _on_release(self, level: bool) -> None:
        self._take_time()
        self._mechanics.carriage_release(self._carriage, ctypes.c_bool(level))

    def _drive_inputs(self) -> None:
        levels = {
            _MIN: self._mechanics.carriage_min_reads_pressed(self._carriage),
            _MAX: self._mechanics.carriage_max_reads_pressed(self._carriage),
            _ESTOP: self._mechanics.carriage_estop_reads_pressed(self._carriage),
            _SHOE: not self.state.shoe,
        }
        for name, level in levels.items():
            if self._levels.get(name) is not level:
                self._levels[name] = level
                self._pins[name].set_external_state("H" if level else "L")

    def _connect_pin(self, name: str, react: Callable[[bool], None]) -> None:
        change = self.core.Wire.SignalId.DigitalChange

        def raised(signal: Any, tag: Any) -> None:
            del tag
            if signal.sigid == change:
                react(bool(signal.data.value()))

        hook = self.core.CallableSignalHook(raised)
        self._pins[name].signal().connect(hook)
        self._hooks.append(hook)

    def _connect_uart(self) -> None:
        core = self.core
        self._uart = core.IOCTL_UART("0")
        _, request = self.device.ctlreq(self._uart, core.CTLREQ_GET_SIGNAL)

        def raised(signal: Any, tag: Any) -> None:
            del tag
            if signal.sigid == core.UART.SignalId.TX_Data:
                self._received.append(signal.data.value())

        hook = core.CallableSignalHook(raised)
        request.data.value(core.Signal).connect(hook)
        self._hooks.append(hook)
