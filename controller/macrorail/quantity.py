"""Quantities with their units, as people write them in YAML: ``40 um``, ``1/60 s``, ``30 %``.

A value that comes from YAML is always text and must carry its unit; a number that comes from
Python is taken to be in the unit that the attribute's name ends with (``step_um``).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Annotated

from pydantic import AllowInfNan, BeforeValidator

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_QUANTITY = re.compile(rf"({_NUMBER})(?:\s*/\s*({_NUMBER}))?\s*(.*)", re.DOTALL)

_LENGTHS_UM = {"nm": 1e-3, "um": 1.0, "mm": 1e3, "cm": 1e4, "m": 1e6, "in": 25.4e3}
_DURATIONS_S = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}
_SPEEDS_UM_S = {f"{unit}/s": factor for unit, factor in _LENGTHS_UM.items()}
_ACCELERATIONS_UM_S2 = {f"{unit}/s2": factor for unit, factor in _LENGTHS_UM.items()}
_SIZES_BYTES = {"B": 1.0, "kB": 1e3, "MB": 1e6, "GB": 1e9}
_FRACTIONS = {"%": 0.01}
_COUNTS = {"slices": 1.0, "slice": 1.0}
_ANGLES_DEG = {"deg": 1.0, "°": 1.0}
_TEMPERATURES_C = {"°C": 1.0, "C": 1.0}


def _parse(value: object, kind: str, units: Mapping[str, float], example: str) -> float:
    """Turn ``value`` into the base unit of ``units``; see the public parsers for the rules."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"must be a {kind} such as '{example}'")
    if not isinstance(value, str):
        return _finite(float(value), value)
    text = value.strip()
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(f"must be a {kind} such as '{example}', got '{text}'")
    number, divisor, unit = match.groups()
    # Both micro signs (U+00B5, U+03BC) and the raised two mean what 'u' and '2' mean.
    unit = unit.strip().replace("µ", "u").replace("μ", "u").replace("²", "2").replace("^2", "2")
    if not unit:
        *others, last = units
        listed = f"{', '.join(others)} or {last}" if others else last
        raise ValueError(f"needs a unit: write '{text}' followed by {listed}")
    if unit not in units:
        raise ValueError(_unknown_unit(text, unit, kind, units, example))
    if divisor is not None and float(divisor) == 0:
        raise ValueError(f"divides by zero: '{text}'")
    factor = units[unit]
    ratio = float(number) / float(divisor or 1)
    # 95 / 100 is the nearest number to 0.95; 95 * 0.01 is not.
    return _finite(ratio * factor if factor >= 1 else ratio / round(1 / factor), text)


def _finite(number: float, written: object) -> float:
    if not math.isfinite(number):
        raise ValueError(f"is not a finite number: '{written}'")
    return number


def _unknown_unit(text: str, unit: str, kind: str, units: Mapping[str, float], example: str) -> str:
    if re.fullmatch(r",\d.*", unit):
        return f"has a comma: '{text}'; write the decimal point as '{text.replace(',', '.')}'"
    if unit.startswith(":"):
        return f"is not a {kind}: '{text}'; write one number and its unit, such as '{example}'"
    same = [known for known in units if known.casefold() == unit.casefold()]
    hint = f"; did you mean '{same[0]}'?" if same else ""
    return f"has the unknown unit '{unit}' in '{text}'{hint}; a {kind} is in {', '.join(units)}"


def parse_length(value: object) -> float:
    """Length in micrometres from text such as ``40 um``, ``1.2 mm``, ``1/4 in``.

    Raises
    ------
    ValueError
        No unit, unknown unit, not a number, not finite; says what to write instead.
    """
    return _parse(value, "length", _LENGTHS_UM, "40 um")


def parse_distance(value: object) -> float:
    """Distance in micrometres as :func:`parse_length`, or ``infinity``.

    Raises
    ------
    ValueError
        As :func:`parse_length`.
    """
    if value == math.inf or (isinstance(value, str) and value.strip() == "infinity"):
        return math.inf
    return parse_length(value)


def parse_duration(value: object) -> float:
    """Duration in seconds from text such as ``0.8 s``, ``250 ms``, ``1/60 s``, ``2 min``.

    Raises
    ------
    ValueError
        As :func:`parse_length`.
    """
    return _parse(value, "duration", _DURATIONS_S, "0.8 s")


def parse_fraction(value: object) -> float:
    """Fraction (1 is the whole) from text such as ``30 %``.

    Raises
    ------
    ValueError
        As :func:`parse_length`.
    """
    return _parse(value, "share", _FRACTIONS, "30 %")


def parse_speed(value: object) -> float:
    """Speed in micrometres per second from text such as ``2 mm/s``.

    Raises
    ------
    ValueError
        As :func:`parse_length`.
    """
    return _parse(value, "speed", _SPEEDS_UM_S, "2 mm/s")


def parse_acceleration(value: object) -> float:
    """Acceleration in micrometres per second squared from text such as ``20 mm/s2``.

    Raises
    ------
    ValueError
        As :func:`parse_length`.
    """
    return _parse(value, "acceleration", _ACCELERATIONS_UM_S2, "20 mm/s2")


def parse_size(value: object) -> float:
    """Amount of data in bytes from text such as ``12 MB`` (1 MB is 10**6 bytes).

    Raises
    ------
    ValueError
        As :func:`parse_length`.
    """
    return _parse(value, "size", _SIZES_BYTES, "12 MB")


def parse_angle(value: object) -> float:
    """Angle in degrees from text such as ``45 deg``.

    Raises
    ------
    ValueError
        As :func:`parse_length`.
    """
    return _parse(value, "angle", _ANGLES_DEG, "45 deg")


def parse_temperature(value: object) -> float:
    """Temperature in degrees Celsius from text such as ``80 °C``.

    Raises
    ------
    ValueError
        As :func:`parse_length`.
    """
    return _parse(value, "temperature", _TEMPERATURES_C, "80 °C")


def parse_count(value: object) -> int:
    """A number of slices from text such as ``50 slices``.

    Raises
    ------
    ValueError
        As :func:`parse_length`, or not a whole number.
    """
    number = _parse(value, "number of slices", _COUNTS, "50 slices")
    if number != int(number):
        raise ValueError(f"must be a whole number of slices, got '{value}'")
    return int(number)


def parse_f_number(value: object) -> float:
    """F-number from text such as ``f/5.6``; the number is taken as written.

    Raises
    ------
    ValueError
        Not written as an f-number, or not above 0; says what to write instead.
    """
    if isinstance(value, str):
        match = re.fullmatch(rf"[fF]\s*/?\s*({_NUMBER})", value.strip())
        if match is None:
            raise ValueError(f"must be an f-number written as 'f/5.6', got '{value.strip()}'")
        value = match[1]
    return _positive(float(str(value)), value)


def _positive(number: float, written: object) -> float:
    if not _finite(number, written) > 0:
        raise ValueError(f"must be above 0, got '{written}'")
    return number


def _typed(parse: Callable[[object], float]) -> BeforeValidator:
    return BeforeValidator(parse)


Length = Annotated[float, _typed(parse_length)]
"""Micrometres."""
Distance = Annotated[float, AllowInfNan(True), _typed(parse_distance)]
"""Micrometres, up to infinity."""
Duration = Annotated[float, _typed(parse_duration)]
"""Seconds."""
Fraction = Annotated[float, _typed(parse_fraction)]
"""1 is the whole."""
Speed = Annotated[float, _typed(parse_speed)]
"""Micrometres per second."""
Acceleration = Annotated[float, _typed(parse_acceleration)]
"""Micrometres per second squared."""
Angle = Annotated[float, _typed(parse_angle)]
"""Degrees."""
Temperature = Annotated[float, _typed(parse_temperature)]
"""Degrees Celsius."""
Count = Annotated[int, _typed(parse_count)]
"""Of slices."""
FNumber = Annotated[float, _typed(parse_f_number)]
"""Focal length over entrance pupil diameter, as written."""
DataSize = Annotated[float, _typed(parse_size)]
"""Bytes."""


def format_length(length_um: float, digits: int = 4) -> str:
    """A length for people, to ``digits`` significant digits: ``850 nm``, ``40 µm``, ``1.2 mm``."""
    if math.isinf(length_um):
        return "infinity"
    size = abs(length_um)
    # Compared after rounding, so that 999.99 µm reads '1 mm' and not '1000 µm'.
    rounded = float(f"{size:.{digits}g}")
    if size == 0:
        return "0 µm"
    if rounded < 1:
        return f"{length_um * 1e3:.{digits}g} nm"
    if rounded < 1e3:
        return f"{length_um:.{digits}g} µm"
    if rounded < 1e6:
        return f"{length_um * 1e-3:.{digits}g} mm"
    return f"{length_um * 1e-6:.{digits}g} m"


def format_duration(duration_s: float) -> str:
    """A duration for people: ``350 ms``, ``12.5 s``, ``3 min 20 s``, ``2 h 05 min``."""
    if duration_s < 1:
        return f"{duration_s * 1e3:.3g} ms"
    if duration_s < 59.95:
        return f"{duration_s:.3g} s"
    minutes, seconds = divmod(round(duration_s), 60)
    if minutes < 60:
        return f"{minutes} min {seconds:02d} s"
    hours, minutes = divmod(round(duration_s / 60), 60)
    return f"{hours} h {minutes:02d} min"


def format_fraction(fraction: float) -> str:
    """A share for people: ``30 %``."""
    return f"{fraction * 100:.3g} %"


def format_size(size_bytes: float) -> str:
    """An amount of data for people: ``3.2 MB``."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size_bytes >= factor:
            return f"{size_bytes / factor:.3g} {unit}"
    return f"{size_bytes:.0f} B"
