"""Starts and ends the process that runs a simulated rail behind a pseudo terminal."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from macrorail.clock import WorldClock
from macrorail.errors import DeviceTimeout
from macrorail_sims.carriage import Carriage
from macrorail_sims.firmware_native import build_library

_END_WAIT_S = 5.0


class FirmwareProcess:
    """A simulated rail in a separate process that uses the clock of the simulated world.

    Parameters
    ----------
    folder
        Folder of the log and of the file through which the carriage is shared.
    clock
        Clock of the simulated world.
    um_per_microstep
        Length of one microstep in micrometres, as in the rig's axis section.
    start_um, length_um, play_um
        Initial position of the carriage, distance between the switches, play of the screw's nut,
        in micrometres.
    emulated
        Run the real firmware image in an emulator of the chip (``firmware_avr``), not the firmware
        compiled for this computer. The emulator is fast enough for a time scale of at most 2.

    Attributes
    ----------
    port
        Path of the terminal to open as the rail's serial port.
    carriage
        The true carriage.
    """

    def __init__(
        self,
        folder: Path,
        clock: WorldClock,
        *,
        um_per_microstep: float = 0.625,
        start_um: float = 5_000.0,
        length_um: float = 100_000.0,
        play_um: float = 0.0,
        emulated: bool = False,
    ) -> None:
        build_library()
        world = folder / "carriage"
        command = [
            sys.executable,
            "-P",
            "-m",
            "macrorail_sims.serial_bridge",
            "--world",
            str(world),
        ]
        command += ["--time-scale", str(clock.time_scale), "--epoch", repr(clock.epoch_s)]
        command += ["--start-place", str(round(start_um / um_per_microstep))]
        command += ["--length", str(round(length_um / um_per_microstep))]
        command += ["--play", str(round(play_um / um_per_microstep))]
        command += ["--emulated"] if emulated else []
        log = folder / "firmware.log"
        with log.open("ab") as error:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=error
            )
        assert self._process.stdout is not None
        greeting = self._process.stdout.readline()
        if not greeting:
            self.close()
            raise DeviceTimeout(
                f"the simulated rail ended while starting "
                f"(exit code {self._process.returncode}); the reason is in {log}"
            )
        self.port: str = json.loads(greeting)["port"]
        self.carriage = Carriage.of_file(world, um_per_microstep)

    def close(self) -> None:
        """End the simulated rail's process. Safe to call twice."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(_END_WAIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
