"""What grbl 1.1 says, and what it means: its lines read, its numbers put into words. No I/O.

After grbl's own documentation, https://github.com/gnea/grbl/wiki (Interface, Commands, Settings).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

#: The fourth is that of grbl's offspring for larger boards.
AXES = "XYZA"
SOFT_RESET = b"\x18"
JOG_CANCEL = b"\x85"
STATUS = b"?"

#: An alarm's number, and whether the step count survives it.
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

#: Refusals that a macrorail user can meet; the rest are told by their number.
ERRORS: dict[int, str] = {
    5: "homing is switched off: set $22=1",
    8: "it is not idle",
    9: "it is locked by an alarm",
    11: "the line was too long",
    13: "the safety door is open",
    15: "the target lies outside the machine's travel",
}

#: States in which nothing goes on until a hand does something.
STUCK: dict[str, str] = {
    "Hold": "it was put on hold, by a button or another program",
    "Door": "its safety door is open",
    "Check": "it only checks G-code and moves nothing; send $C",
    "Sleep": "it sleeps; reset it",
    "Run": "another program's G-code is running",
}

_NUMBER = r"-?\d+\.\d{3}"
_VECTOR = rf"{_NUMBER},{_NUMBER},{_NUMBER}(?:,{_NUMBER})?"
_REPORT = re.compile(
    rf"<(Idle|Run|Hold:[01]|Jog|Alarm|Door:[0-3]|Check|Home|Sleep)\|([MW])Pos:({_VECTOR})"
    rf"((?:\|(?:Bf:\d+,\d+|Ln:\d+|FS?:\d+(?:,\d+)?|Pn:[XYZPDHRSA]+|WCO:{_VECTOR}|"
    rf"Ov:\d+,\d+,\d+|A:[SCFM]+))*)>"
)
_WELCOME = re.compile(r"Grbl (\d\.\d+\w*) \[.*\]")
_SETTING = re.compile(r"\$(\d+)=(-?\d+(?:\.\d+)?)")
_FINISHED = re.compile(r"ok|error:\d+")


@dataclass(frozen=True)
class Report:
    """A status report.

    Attributes
    ----------
    state
        Without its sub-state: ``Idle``, ``Jog``, ``Home``, ``Alarm`` ...
    machine_mm
        Machine position by axis; ``None`` when the report gives the work position.
    work_mm
        Work position by axis; ``None`` when it gives the machine position.
    offset_mm
        Machine position of the work zero, in the reports that have it.
    pressed
        Letters of the inputs that are active.
    """

    state: str
    machine_mm: tuple[float, ...] | None
    work_mm: tuple[float, ...] | None
    offset_mm: tuple[float, ...] | None
    pressed: str


def report_of(line: str) -> Report | None:
    """A status report; ``None`` for any other line, and for one with characters missing."""
    match = _REPORT.fullmatch(line)
    if match is None:
        return None
    position = _vector(match[3])
    fields = dict(field.split(":", 1) for field in match[4].split("|") if field)
    offset = fields.get("WCO")
    return Report(
        state=match[1].split(":")[0],
        machine_mm=position if match[2] == "M" else None,
        work_mm=position if match[2] == "W" else None,
        offset_mm=None if offset is None else _vector(offset),
        pressed=fields.get("Pn", ""),
    )


def _vector(text: str) -> tuple[float, ...]:
    return tuple(map(float, text.split(",")))


def version_of(line: str) -> str | None:
    """The version in a welcome, which follows every reset; ``None`` for any other line."""
    match = _WELCOME.fullmatch(line)
    return None if match is None else match[1]


def is_finished(line: str) -> bool:
    """Whether a line ends the answer to a command."""
    return _FINISHED.fullmatch(line) is not None


def number_of(line: str, kind: str) -> int | None:
    """The number of ``error:9`` or ``ALARM:1``; ``None`` for any other line."""
    match = re.fullmatch(rf"{kind}:(\d{{1,3}})", line)
    return None if match is None else int(match[1])


def settings_of(lines: list[str]) -> dict[int, float]:
    """The ``$`` settings out of the answer to ``$$``."""
    matches = [_SETTING.fullmatch(line) for line in lines]
    return {int(match[1]): float(match[2]) for match in matches if match is not None}
