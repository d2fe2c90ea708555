"""Reads the settings of a grbl, grblHAL or FluidNC machine and checks them before any move."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from macrorail.devices.grbl.wire import AXES, settings_of
from macrorail.errors import ConnectError, WireError

_KEPT_ON = 255
_REPORT_MASK = 10
#: From this number on, there is one setting for each axis.
_PER_AXIS = 100

Ask = Callable[[str], list[str]]


@dataclass(frozen=True)
class MachineSettings:
    """Settings that the machine reports.

    Attributes
    ----------
    dialect
        ``grbl``, ``grblHAL`` or ``FluidNC``.
    axis
        Index of the axis used.
    values
        Values by grbl's setting number, in grbl's units.
    homes_alone
        Whether ``$HX`` homes a single axis.
    """

    dialect: str
    axis: int
    values: dict[int, float]
    homes_alone: bool


def read_settings(ask: Ask, dialect: str, axis: int) -> MachineSettings:
    """Read and return the machine's settings that concern an axis.

    Parameters
    ----------
    ask
        Function that sends a line that moves nothing, and returns the lines of the answer.
    dialect, axis
        See ``MachineSettings``.
    """
    values = settings_of(ask("$$"))
    if dialect == "grblHAL":
        # Bits: homing enabled, homing of single axes, and what to do at the start.
        homing = int(values.get(22, 0))
        if 22 in values:
            values[22] = homing & 1
        return MachineSettings(dialect, axis, values, bool(homing & 2))
    if dialect == "FluidNC":
        for number, name in _fluidnc_names(axis).items():
            value = _fluidnc_setting(number, axis, name, ask(f"${name}"))
            if value is not None:
                values[number + (axis if number >= _PER_AXIS else 0)] = value
        # FluidNC reports millimetres unless $13 says otherwise; older versions do not have $13.
        values.setdefault(13, 0)
    built = "".join(ask("$I")).partition("[OPT:")[2]
    options = re.match(r"[A-Z+*]*", built)
    return MachineSettings(dialect, axis, values, options is not None and "H" in options[0])


def check_settings(settings: MachineSettings) -> None:
    """Raise an error if macrorail cannot work with the settings.

    Raises
    ------
    ConnectError
        A setting has to be changed; the message names the setting and the required value.
    WireError
        The machine did not report a setting that is needed.
    """
    axis, values, dialect = settings.axis, settings.values, settings.dialect
    names = _fluidnc_names(axis) if dialect == "FluidNC" else {}
    wanted = {
        _REPORT_MASK: (1, "it reports work positions"),
        22: (1, "homing is switched off"),
        20: (1, "soft limits are switched off"),
        13: (0, "it reports inches"),
        1: (_KEPT_ON, "it switches its motors off at rest, and a motor forgets its microstep"),
    }
    needed = (*wanted, 23, 25, 27, *(of_x + axis for of_x in (100, 110, 120, 130)))
    lacking = [
        names.get(key, names.get(key - axis, f"${key}")) for key in needed if key not in values
    ]
    if lacking:
        raise WireError(
            f"{dialect} did not give its settings {', '.join(lacking)}; check that axis "
            f"{AXES[axis]} is set up, then open it again"
        )
    for key, (value, why) in wanted.items():
        has = values[key]
        if (int(has) & 1 if key == _REPORT_MASK else has) != value:
            name = names.get(key)
            remedy = f"${key}={value}" if name is None else _fluidnc_remedy(name, key, value)
            raise ConnectError(f"{dialect} has {name or f'${key}'}={has:g}: {why}; set {remedy}")


def _fluidnc_remedy(name: str, number: int, value: int) -> str:
    text = {20: "true", 22: "1 or more"}.get(number, str(value))
    return f"{name.lstrip('/')} to {text} in its configuration file"


#: FluidNC keeps its settings in a tree of names, and reports few of grbl's numbers for ``$$``.
_FLUIDNC_AXIS: dict[int, str] = {
    100: "steps_per_mm",
    110: "max_rate_mm_per_min",
    120: "acceleration_mm_per_sec2",
    130: "max_travel_mm",
    20: "soft_limits",
    22: "homing/cycle",
    23: "homing/positive_direction",
    25: "homing/seek_mm_per_min",
    27: "motor0/pulloff_mm",
}


def _fluidnc_names(axis: int) -> dict[int, str]:
    """Return FluidNC's names of the settings of an axis, by grbl's setting number."""
    tree = f"/axes/{AXES[axis].lower()}/"
    names = {number: tree + name for number, name in _FLUIDNC_AXIS.items()}
    return names | {1: "/stepping/idle_ms"}


def _fluidnc_setting(number: int, axis: int, name: str, lines: list[str]) -> float | None:
    """Return a setting in grbl's form from FluidNC's answer to ``$name``; ``None`` if absent.

    In ``$23`` a cleared bit means homing in the positive direction, which is grbl's default. An
    axis with a homing cycle of 0 or less is never homed.
    """
    said = [line.partition("=")[2].strip() for line in lines if name in line and "=" in line]
    if len(said) != 1:
        return None
    text = {"true": "1", "false": "0"}.get(said[0].lower(), said[0])
    if re.fullmatch(r"-?\d+(\.\d+)?", text) is None:
        return None
    value = float(text)
    if number == 23:
        return float((not value) << axis)
    if number == 22:
        return float(value > 0)
    return value
