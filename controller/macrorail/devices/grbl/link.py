"""The connection to grbl: sends lines, receives answers, and trusts only reports received twice.

grbl's serial line has no checksum: if characters get lost, a command or a number may still be well
formed but wrong. So no information is taken from one report alone, and the driver makes sure that
no incomplete part of a line would be a move to another place (``axis.py``).
"""

from __future__ import annotations

import serial

from macrorail.clock import Clock
from macrorail.devices.grbl.wire import (
    ERRORS,
    SOFT_RESET,
    STATUS,
    Report,
    Welcome,
    alarm_text,
    is_finished,
    number_of,
    report_of,
    welcome_of,
)
from macrorail.devices.rail.link import Port
from macrorail.errors import ConnectError, DeviceLost, DeviceTimeout, RailAlarm

#: Number of silent periods for which a starting board is asked again; an ESP32 needs some seconds.
_RESETS = 24
#: Largest number of lines from a starting board; an ESP32 sends a page of them.
_START_LINES = 400
#: Largest number of lines without a pause after a greeting, from a board that reports by itself.
_GREETED_LINES = 40
_QUIET_LINES = 8
_REPORT_ATTEMPTS = 24
#: Number of reads without an answer after which waiting ends; each lasts the port's timeout.
_SILENT_READS = 12


class GrblRefused(Exception):
    """grbl answered a line with an error and did not carry it out.

    Attributes
    ----------
    code
        Number of the error.
    """

    def __init__(self, line: str, code: int) -> None:
        super().__init__(f"grbl refused '{line}': {ERRORS.get(code, f'error {code}')}")
        self.code = code


class GrblLink:
    """A session with grbl at an opened port.

    Parameters
    ----------
    port
        Port from ``macrorail.devices.rail.link.open_port``.
    name
        Name of the port in messages.
    clock
        Clock that gives the run's time (real or simulated).
    """

    def __init__(self, port: Port, name: str, clock: Clock) -> None:
        self._port = port
        self._name = name
        self._clock = clock
        self._dialect = "grbl"

    def reset(self) -> Welcome:
        """Reset grbl, so that it discards whatever it was doing or reading; return its greeting.

        A board that starts when its port is opened greets twice: for its start and for this reset.
        Both greetings are awaited, so that neither is mistaken for a reset later. At rest grbl
        keeps its step count during a reset.

        Raises
        ------
        ConnectError
            Nothing answers like grbl.
        """
        welcome: Welcome | None = None
        silences = greeted = 0
        self._port.reset_input_buffer()
        self._write(SOFT_RESET)
        for _ in range(_START_LINES):
            line = self._read()
            if line is not None:
                welcome = welcome_of(line) or welcome
                greeted += welcome is not None
                if greeted <= _GREETED_LINES:
                    continue
            if welcome is not None:
                self._dialect = welcome.dialect
                return welcome
            silences += 1
            if silences == _RESETS:
                break
            self._write(SOFT_RESET)
        raise ConnectError(
            f"nothing on {self._name} answers as grbl; check that it is the machine's port and "
            f"that no other program has it open"
        )

    def ask(self, line: str, patience_s: float = 0.0) -> list[str]:
        """Send a line for grbl to carry out; return what grbl sent before its ``ok``.

        Parameters
        ----------
        line
            Text of the line without its end.
        patience_s
            Run time for which grbl may stay silent, for a command that takes that long.

        Raises
        ------
        GrblRefused
            grbl refused the line; nothing has happened.
        RailAlarm, DeviceLost
        DeviceTimeout
            The line or its answer got lost; the line may or may not have been carried out.
        """
        self._port.reset_input_buffer()
        self._write(line.encode("ascii") + b"\n")
        deadline_s = self._clock.now() + patience_s
        said: list[str] = []
        silent = 0
        while silent < _SILENT_READS or self._clock.now() < deadline_s:
            self._clock.check()
            answer = self._read()
            if answer is None:
                silent += 1
                continue
            silent = 0
            self._check_line(answer)
            if is_finished(answer):
                code = number_of(answer, "error")
                if code is not None:
                    raise GrblRefused(line, code)
                return said
            said.append(answer)
        raise DeviceTimeout(
            f"grbl on {self._name} did not answer '{line}'; check the cable, then open it again"
        )

    def report(self) -> Report:
        """Return grbl's present status, from two successive reports that agree.

        While the axis moves, only the states must agree; otherwise also the positions.

        Raises
        ------
        RailAlarm, DeviceLost, DeviceTimeout
        """
        before: Report | None = None
        for _ in range(_REPORT_ATTEMPTS):
            now = self._one_report()
            if now is None:
                continue
            if before is not None and _agree(before, now):
                return now
            before = now
        raise DeviceTimeout(
            f"grbl on {self._name} does not report the same state twice; check the cable and "
            f"sources of interference, then open it again"
        )

    def offset(self) -> tuple[float, ...] | None:
        """Return the newest work offset in machine millimetres; ``None`` if no report has it."""
        for _ in range(_REPORT_ATTEMPTS):
            report = self._one_report()
            if report is not None and report.offset_mm is not None:
                return report.offset_mm
        return None

    def send_now(self, byte: bytes) -> None:
        """Send a real-time command, which grbl carries out even while it processes a line."""
        self._write(byte)

    def close(self) -> None:
        """Close the port."""
        self._port.close()

    def _one_report(self) -> Report | None:
        self._port.reset_input_buffer()
        self._write(STATUS)
        for _ in range(_QUIET_LINES):
            line = self._read()
            if line is None:
                return None
            self._check_line(line)
            report = report_of(line)
            if report is not None:
                return report
        return None

    def _check_line(self, line: str) -> None:
        if welcome_of(line) is not None:
            raise DeviceLost(
                f"grbl on {self._name} was reset; its position is in doubt, open it again and home "
                f"it"
            )
        alarm = number_of(line, "ALARM")
        if alarm is not None:
            raise self._alarm(alarm)

    def _read(self) -> str | None:
        """Return the next line that is not empty; ``None`` if nothing is received."""
        try:
            while True:
                line = self._port.readline()
                if not line.endswith(b"\n"):
                    return None
                text = line.strip().decode("ascii", "replace")
                if text:
                    return text
        except (serial.SerialException, OSError) as error:
            raise self._lost(error) from error

    def _write(self, data: bytes) -> None:
        try:
            self._port.write(data)
        except (serial.SerialException, OSError) as error:
            raise self._lost(error) from error

    def _lost(self, error: Exception) -> DeviceLost:
        return DeviceLost(
            f"lost grbl on {self._name}: {error}; its position is in doubt, open it again and home "
            f"it"
        )

    def _alarm(self, number: int) -> RailAlarm:
        return RailAlarm(
            f"grbl_{number}",
            f"grbl stopped with an alarm: {alarm_text(number, self._dialect)}; its position is in "
            f"doubt, see what happened, then home it",
        )


def _agree(before: Report, now: Report) -> bool:
    if before.state != now.state:
        return False
    if now.state in ("Jog", "Home", "Run"):
        return True
    return before.machine_mm == now.machine_mm
