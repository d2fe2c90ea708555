"""The simulated stage: a grbl machine behind a pseudo-terminal, in a separate thread."""

from __future__ import annotations

import os
import pty
import select
import threading
import tty
from collections.abc import Callable

from macrorail.clock import Clock
from macrorail_sims.grbl import GrblMachine
from macrorail_sims.tray import TraySpecimen

_POLL_MS = 2
_CLOSED_POLL_S = 0.005
#: A specimen's stage alarms occur within this distance of the specimen.
_ALARM_WITHIN_UM = 5_000.0


class StageThread:
    """A grbl machine with axes X, Y, Z and A; X and Y move the tray.

    Parameters
    ----------
    clock
        Clock of the simulated world.
    lying
        The specimens on the tray.
    at_rest
        Called whenever the stage has come to rest.

    Attributes
    ----------
    port
        Path of the pseudo-terminal to open as the serial port of the stage.
    machine
        The true state of the machine.
    """

    def __init__(
        self, clock: Clock, lying: tuple[TraySpecimen, ...], at_rest: Callable[[], None]
    ) -> None:
        self.machine = GrblMachine(axes=4)
        self.machine.options = "VH"
        self.machine.settings[133] = 400.0
        self._clock = clock
        self._lying = lying
        self._alarms = [one.stage_alarms for one in lying]
        self._at_rest = at_rest
        self._master, slave = pty.openpty()
        tty.setraw(slave)
        self.port = os.ttyname(slave)
        # Closed here, so that the terminal reports a hang-up exactly while no host has it open.
        os.close(slave)
        os.set_blocking(self._master, False)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="stage", daemon=True)

    def start(self) -> None:
        """Start the simulation."""
        self._thread.start()

    def position_um(self) -> tuple[float, float]:
        """Return the true position of the tray: X and Y from their home switches, micrometres."""
        return self.machine.from_switch_mm(0) * 1e3, self.machine.from_switch_mm(1) * 1e3

    def close(self) -> None:
        """End the simulation. Safe to call twice."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        is_open, moving, unsent = False, True, b""
        line = select.poll()
        line.register(self._master, select.POLLIN)
        try:
            while not self._ended.is_set():
                events = dict(line.poll(_POLL_MS)).get(self._master, 0)
                self.machine.run_until(self._clock.now())
                was_open, is_open = is_open, not events & select.POLLHUP
                if is_open and not was_open:
                    self.machine.reset("pin")
                    unsent = b""
                if events & select.POLLIN:
                    self.machine.rx(os.read(self._master, 4096))
                unsent = unsent + self.machine.tx() if is_open else b""
                if unsent:
                    unsent = self._sent(unsent)
                was_moving, moving = moving, self.machine.is_moving
                if moving:
                    self._raise_alarms()
                elif was_moving:
                    self._at_rest()
                if not is_open:
                    self.machine.tx()
                    self._ended.wait(_CLOSED_POLL_S)
        finally:
            os.close(self._master)

    def _sent(self, data: bytes) -> bytes:
        try:
            return data[os.write(self._master, data) :]
        except BlockingIOError:
            return data  # the host does not read, and the buffer of the terminal is full

    def _raise_alarms(self) -> None:
        x_um, y_um = self.position_um()
        for number, one in enumerate(self._lying):
            away_um = max(abs(one.x_um - x_um), abs(one.y_um - y_um))
            if self._alarms[number] and away_um < _ALARM_WITHIN_UM:
                self._alarms[number] -= 1
                self.machine.alarm(1)
                return
