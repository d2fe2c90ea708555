"""One conversation with grbl: a line, its answer, and reports that are believed when said twice.

grbl's serial line has no check: characters that get lost can leave a command or a number that is
well formed and wrong. So nothing is taken from one report alone, and the driver makes
sure beforehand that no part of the line would be a move elsewhere (``grbl.py``).
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

#: Silences after which a board still starting is asked again: an ESP32 takes some seconds.
_RESETS = 24
#: Lines of a board that is starting, at most; an ESP32 sends a page of them.
_START_LINES = 400
#: Lines without a silence after a greeting, from a board that reports by itself.
_GREETED_LINES = 40
_QUIET_LINES = 8
_REPORT_ATTEMPTS = 24
#: Wall time of silence in which a line's answer is given up, in reads of the port's timeout.
_SILENT_READS = 12


class GrblRefused(Exception):
    """grbl answered a line with an error and did nothing.

    Attributes
    ----------
    code
        Its number.
    """

    def __init__(self, line: str, code: int) -> None:
        super().__init__(f"grbl refused '{line}': {ERRORS.get(code, f'error {code}')}")
        self.code = code


class GrblLink:
    """A session with grbl behind an opened port.

    Parameters
    ----------
    port
        As ``link.open_port`` gives it.
    name
        Of the port, for messages.
    clock
        The world's clock.
    """

    def __init__(self, port: Port, name: str, clock: Clock) -> None:
        self._port = port
        self._name = name
        self._clock = clock
        self._dialect = "grbl"

    def reset(self) -> Welcome:
        """Have grbl drop whatever it was doing or reading.

        A board that starts when its port is opened greets twice: for its start and for our reset.
        Both greetings are waited for, so that none is taken for a reset later. At rest grbl keeps
        its count through this.

        Raises
        ------
        ConnectError
            Nothing like grbl answers.
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
        """Have grbl carry out a line; returns what it said before its ``ok``.

        Parameters
        ----------
        line
            Without its end.
        patience_s
            World time for which silence is all right, for a command that takes so long.

        Raises
        ------
        GrblRefused
            Nothing has happened.
        RailAlarm, DeviceLost
        DeviceTimeout
            The line or its answer got lost: it may or may not have been carried out.
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
        """What grbl is doing now, said twice in the same words but for a changing position.

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
            f"grbl on {self._name} does not say twice the same of itself; check the cable and what "
            f"disturbs it, then open it again"
        )

    def offset(self) -> tuple[float, ...] | None:
        """The newest work offset, machine millimetres; ``None`` when no report had it."""
        for _ in range(_REPORT_ATTEMPTS):
            report = self._one_report()
            if report is not None and report.offset_mm is not None:
                return report.offset_mm
        return None

    def send_now(self, byte: bytes) -> None:
        """Send a real-time command, which no line can hold up."""
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
        """The next line that is not empty; ``None`` when it is silent."""
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
