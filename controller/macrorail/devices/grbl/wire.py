"""Parses what grbl 1.1, grblHAL and FluidNC send, and describes their codes as text. No I/O.

Source: their documentation at https://github.com/gnea/grbl/wiki (Interface, Commands, Settings),
https://github.com/grblHAL/core/wiki (Report extensions, Additional or extended settings) and
http://wiki.fluidnc.com (Grbl compatibility, Config file).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

#: Letters of the machine axes. Only grbl's successors for larger boards have the fourth axis.
AXES = "XYZA"
SOFT_RESET = b"\x18"
JOG_CANCEL = b"\x85"
STATUS = b"?"

#: Meaning of each alarm number.
ALARMS: dict[int, str] = {
    1: "a limit switch was pressed during a move",
    2: "a target lay outside the machine's travel",
    3: "it was reset during a move",
    4: "the probe was not as expected before probing",
    5: "the probe touched nothing",
    6: "it was reset during homing",
    7: "the safety door was opened during homing",
    8: "homing could not leave the limit switch: raise $27, or check the switch",
    9: "homing did not find the limit switch: check the switch, its wires and $13x",
    10: "homing did not find the second switch of an axis with two motors",
}

#: Refusals that a macrorail user can meet; others are shown by their number.
ERRORS: dict[int, str] = {
    5: "homing is switched off: set $22=1",
    8: "it is not idle",
    9: "it is locked by an alarm",
    11: "the line was too long",
    13: "the safety door is open",
    15: "the target lies outside the machine's travel",
}

#: Alarms with another meaning in grblHAL, or that exist only there.
_GRBLHAL_ALARMS: dict[int, str] = {
    10: "its emergency stop is pressed",
    11: "it has to be homed first",
    12: "a limit switch is pressed",
    15: "homing did not find the second switch of an axis with two motors",
    17: "a motor driver reports a fault",
}

#: States in which the machine does not continue until the operator does something.
STUCK: dict[str, str] = {
    "Hold": "it was put on hold, by a button or another program",
    "Door": "its safety door is open",
    "Check": "it only checks G-code and moves nothing; send $C",
    "Sleep": "it sleeps; reset it",
    "Run": "another program's G-code is running",
    "Tool": "it waits for a tool to be changed",
    "Starting": "it is starting up",
    "Critical": "it met an error that only a reset of the board ends",
    "ConfigAlarm": "its configuration file has an error",
}
_STATES = frozenset({"Idle", "Jog", "Home", "Alarm", *STUCK})

_NUMBER = r"-?\d+\.\d{3}"
_VECTOR = re.compile(rf"{_NUMBER}(?:,{_NUMBER}){{2,8}}")
_FIELD = re.compile(r"([A-Za-z][A-Za-z0-9]*):([^|<>:]*(?::[^|<>]*)?)")
#: Field names that result when one character of an important name is lost; ``F`` is a valid field.
_SPOILT_NAMES = {
    name[:at] + name[at + 1 :] for name in ("MPos", "WPos", "WCO", "FS") for at in range(len(name))
} - {"F"}
_PRESSED = re.compile(r"[A-Z]*")
_WELCOME = re.compile(r"(Grbl|[Gg]rblHAL) (\d\.\d+\w*) \[(FluidNC v\S+)?.*\]")
_SETTING = re.compile(r"\$(\d+)=(-?\d+(?:\.\d+)?)")
_FINISHED = re.compile(r"ok|error:\d+")


@dataclass(frozen=True)
class Welcome:
    """The greeting that grbl sends after every reset.

    Attributes
    ----------
    dialect
        ``grbl``, ``grblHAL`` or ``FluidNC``.
    version
        Version of the dialect, such as ``1.1h`` or ``v3.7.17``.
    """

    dialect: str
    version: str

    @property
    def is_spoken_here(self) -> bool:
        """Whether the driver supports this dialect and version."""
        return self.dialect != "grbl" or self.version.startswith("1.1")


@dataclass(frozen=True)
class Report:
    """A status report; fields that are not listed here are ignored.

    Attributes
    ----------
    state
        State without its sub-state: ``Idle``, ``Jog``, ``Home``, ``Alarm`` ...
    machine_mm
        Machine position of each axis; ``None`` if the report gives the work position.
    offset_mm
        Machine position of the work zero, if the report contains it.
    pressed
        Letters of the active inputs.
    """

    state: str
    machine_mm: tuple[float, ...] | None
    offset_mm: tuple[float, ...] | None
    pressed: str


def report_of(line: str) -> Report | None:
    """Parse a status report; return ``None`` for any other line or if characters are missing."""
    if not (line.startswith("<") and line.endswith(">")):
        return None
    whole_state, *parts = line[1:-1].split("|")
    state, _, sub_state = whole_state.partition(":")
    matches = [_FIELD.fullmatch(part) for part in parts]
    fields = {match[1]: match[2] for match in matches if match is not None}
    is_whole = len(fields) == len(parts) and (sub_state.isdecimal() or ":" not in whole_state)
    vectors = [fields[name] for name in ("MPos", "WPos", "WCO") if name in fields]
    if (
        not is_whole
        or state not in _STATES
        or not _SPOILT_NAMES.isdisjoint(fields)
        or ("MPos" in fields) == ("WPos" in fields)
        or not all(_VECTOR.fullmatch(vector) for vector in vectors)
        or not _PRESSED.fullmatch(fields.get("Pn", ""))
    ):
        return None
    machine, offset = fields.get("MPos"), fields.get("WCO")
    return Report(
        state=state,
        machine_mm=None if machine is None else _vector(machine),
        offset_mm=None if offset is None else _vector(offset),
        pressed=fields.get("Pn", ""),
    )


def _vector(text: str) -> tuple[float, ...]:
    return tuple(map(float, text.split(",")))


def welcome_of(line: str) -> Welcome | None:
    """Parse the greeting sent after every reset; return ``None`` for any other line."""
    match = _WELCOME.fullmatch(line)
    if match is None:
        return None
    if match[3] is not None:
        return Welcome("FluidNC", match[3].removeprefix("FluidNC "))
    return Welcome("grbl" if match[1] == "Grbl" else "grblHAL", match[2])


def alarm_text(number: int, dialect: str) -> str:
    """Return the meaning of an alarm number in a dialect."""
    if dialect == "grblHAL" and number in _GRBLHAL_ALARMS:
        return _GRBLHAL_ALARMS[number]
    return ALARMS.get(number, f"alarm {number}")


def is_finished(line: str) -> bool:
    """Return whether a line ends the answer to a command."""
    return _FINISHED.fullmatch(line) is not None


def number_of(line: str, kind: str) -> int | None:
    """Return the number in ``error:9`` or ``ALARM:1``; ``None`` for any other line."""
    match = re.fullmatch(rf"{kind}:(\d{{1,3}})", line)
    return None if match is None else int(match[1])


def settings_of(lines: list[str]) -> dict[int, float]:
    """Return the ``$`` settings in the answer to ``$$``, by number."""
    matches = [_SETTING.fullmatch(line) for line in lines]
    return {int(match[1]): float(match[2]) for match in matches if match is not None}
