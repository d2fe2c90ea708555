"""Reads and prints quantities with units, as written in YAML: ``40 um``, ``1/60 s``, ``30 %``.

A value from YAML is text and must have a unit. A Python number is in the unit with which the
attribute's name ends: micrometres for ``step_um``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import AllowInfNan, BeforeValidator

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_QUANTITY = re.compile(rf"({_NUMBER})(?:\s*/\s*({_NUMBER}))?\s*(.*)", re.DOTALL)


@dataclass(frozen=True)
class Notation:
    """How a value is written in YAML; the source of the reference pages and the JSON Schemas.

    Attributes
    ----------
    kind
        Kind of quantity: ``length``, ``duration`` ...
    example
        An example of a value as text.
    units
        Factor from each unit to the base unit; empty for values without a unit.
    pattern
        Regular expression that the complete text must match; made from the units when not given.
    words
        Words that are allowed in place of a number and unit, such as ``infinity``.
    """

    kind: str
    example: str
    units: Mapping[str, float] = field(default_factory=dict, hash=False)
    pattern: str = ""
    words: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.pattern:
            units = "|".join(_any_sign(unit) for unit in self.units)
            pattern = rf"^\s*{_NUMBER}(?:\s*/\s*{_NUMBER})?\s*(?:{units})\s*$"
            object.__setattr__(self, "pattern", pattern)

    def write(self, value: float) -> str:
        """Return YAML text for a value in base units: ``2 mm`` for 2000 micrometres."""
        usual = [unit for unit in self.units if unit not in _RARE]
        fitting = [unit for unit in usual if abs(value) >= self.units[unit]]
        if fitting and value:
            unit = max(fitting, key=self.units.__getitem__)
        else:
            unit = min(usual, key=lambda unit: abs(self.units[unit] - 1), default="")
        return f"{value / self.units.get(unit, 1.0):.10g} {unit}".strip()


#: Units that are accepted in YAML, but not used when values are written.
_RARE = ("cm", "in", "cm/s", "in/s", "cm/s2", "in/s2", "nm/s", "nm/s2", "slice", "step", "°", "C")


def _any_sign(unit: str) -> str:
    """Return a regular expression for a unit, with both micro signs for ``u`` and ² for ``2``."""
    return unit.replace("u", "[uµμ]").replace("s2", "s(2|²|\\^2)")


_FACTORS_UM = {"nm": 1e-3, "um": 1.0, "mm": 1e3, "cm": 1e4, "m": 1e6, "in": 25.4e3}
LENGTH = Notation("length", "40 um", _FACTORS_UM)
DISTANCE = Notation("length", "1.5 m", _FACTORS_UM, words=("infinity",))
DURATION = Notation(
    "duration", "0.8 s", {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}
)
SPEED = Notation("speed", "2 mm/s", {f"{unit}/s": by for unit, by in _FACTORS_UM.items()})
ACCELERATION = Notation(
    "acceleration", "20 mm/s2", {f"{unit}/s2": by for unit, by in _FACTORS_UM.items()}
)
DATA_SIZE = Notation("size", "12 MB", {"B": 1.0, "kB": 1e3, "MB": 1e6, "GB": 1e9})
SHARE = Notation("share", "30 %", {"%": 0.01})
SLICES = Notation("number of slices", "50 slices", {"slices": 1.0, "slice": 1.0})
ANGLE = Notation("angle", "45 deg", {"deg": 1.0, "°": 1.0})
TEMPERATURE = Notation("temperature", "80 °C", {"°C": 1.0, "C": 1.0})
F_NUMBER = Notation("f-number", "f/5.6", pattern=rf"^\s*[fF]\s*/?\s*{_NUMBER}\s*$")
EXPOSURE_VALUE = Notation("exposure value", "-2 EV", {"EV": 1.0})
_STEP_UNITS = {"steps": 1.0, "step": 1.0}
STEPS = Notation("number of motor steps", "14 steps", _STEP_UNITS, r"^\s*\d+\s*steps?\s*$")
STEP_SIZE = Notation("size in motor steps", "29.71 steps", _STEP_UNITS)

LARGEST_EV = 6.0
"""Largest exposure difference in a bracket, brighter or darker, in EV."""


def _parse(value: object, notation: Notation) -> float:
    """Return ``value`` in the base unit of ``notation``; the public parsers document the rules."""
    kind, units, example = notation.kind, notation.units, notation.example
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"must be a {kind} such as '{example}'")
    if not isinstance(value, str):
        return _finite(float(value), value)
    text = value.strip()
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(f"must be a {kind} such as '{example}', got '{text}'")
    number, divisor, unit = match.groups()
    # Both micro signs (U+00B5, U+03BC) are read as 'u'. The superscript two is read as '2'.
    unit = unit.strip().replace("µ", "u").replace("μ", "u").replace("²", "2").replace("^2", "2")
    if not unit:
        # A singular such as 'step' is accepted but not suggested.
        *others, last = [each for each in units if f"{each}s" not in units]
        listed = f"{', '.join(others)} or {last}" if others else last
        raise ValueError(f"needs a unit: write '{text}' followed by {listed}")
    if unit not in units:
        raise ValueError(_unknown_unit(text, unit, kind, units, example))
    if divisor is not None and float(divisor) == 0:
        raise ValueError(f"divides by zero: '{text}'")
    factor = units[unit]
    ratio = float(number) / float(divisor or 1)
    # 95 / 100 gives exactly the float 0.95; 95 * 0.01 does not.
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
    """Return a length in micrometres from text such as ``40 um``, ``1.2 mm``, ``1/4 in``.

    Raises
    ------
    ValueError
        The text has no unit or an unknown unit, or its number is missing or not finite. The
        message says what to write instead.
    """
    return _parse(value, LENGTH)


def parse_distance(value: object) -> float:
    """Return a distance in micrometres from text such as ``1.5 m``, or from ``infinity``.

    Raises
    ------
    ValueError
        The text is invalid, as for :func:`parse_length`.
    """
    if value == math.inf or (isinstance(value, str) and value.strip() == "infinity"):
        return math.inf
    return parse_length(value)


def parse_duration(value: object) -> float:
    """Return a duration in seconds from text such as ``0.8 s``, ``250 ms``, ``1/60 s``, ``2 min``.

    Raises
    ------
    ValueError
        The text is invalid, as for :func:`parse_length`.
    """
    return _parse(value, DURATION)


def parse_fraction(value: object) -> float:
    """Return a fraction (1 is 100 %) from text such as ``30 %``.

    Raises
    ------
    ValueError
        The text is invalid, as for :func:`parse_length`.
    """
    return _parse(value, SHARE)


def parse_speed(value: object) -> float:
    """Return a speed in micrometres per second from text such as ``2 mm/s``.

    Raises
    ------
    ValueError
        The text is invalid, as for :func:`parse_length`.
    """
    return _parse(value, SPEED)


def parse_acceleration(value: object) -> float:
    """Return an acceleration in micrometres per second squared from text such as ``20 mm/s2``.

    Raises
    ------
    ValueError
        The text is invalid, as for :func:`parse_length`.
    """
    return _parse(value, ACCELERATION)


def parse_size(value: object) -> float:
    """Return an amount of data in bytes from text such as ``12 MB`` (1 MB is 10**6 bytes).

    Raises
    ------
    ValueError
        The text is invalid, as for :func:`parse_length`.
    """
    return _parse(value, DATA_SIZE)


def parse_angle(value: object) -> float:
    """Return an angle in degrees from text such as ``45 deg``.

    Raises
    ------
    ValueError
        The text is invalid, as for :func:`parse_length`.
    """
    return _parse(value, ANGLE)


def parse_temperature(value: object) -> float:
    """Return a temperature in degrees Celsius from text such as ``80 °C``.

    Raises
    ------
    ValueError
        The text is invalid, as for :func:`parse_length`.
    """
    return _parse(value, TEMPERATURE)


def parse_count(value: object) -> int:
    """Return a number of slices from text such as ``50 slices``.

    Raises
    ------
    ValueError
        The text is invalid, as for :func:`parse_length`, or the number is not whole.
    """
    number = _parse(value, SLICES)
    if number != int(number):
        raise ValueError(f"must be a whole number of slices, got '{value}'")
    return int(number)


def parse_ev(value: object) -> float:
    """Return an exposure value in EV from text such as ``-2 EV`` or ``+0.7 EV``.

    Raises
    ------
    ValueError
        The text is invalid, as for :func:`parse_length`, or the value is not from -6 EV to +6 EV.
    """
    ev = _parse(value, EXPOSURE_VALUE)
    if abs(ev) > LARGEST_EV:
        raise ValueError(f"must be from -{LARGEST_EV:g} EV to +{LARGEST_EV:g} EV, got {ev:g} EV")
    return ev


def parse_steps(value: object) -> int:
    """Return a whole number of motor steps from text such as ``14 steps``.

    Raises
    ------
    ValueError
        The text is invalid, as for :func:`parse_length`, or the number is not whole.
    """
    number = _parse(value, STEPS)
    if number != int(number):
        raise ValueError(f"must be a whole number of motor steps such as '14 steps', got '{value}'")
    return int(number)


def parse_step_size(value: object) -> float:
    """Return a number of motor steps, which may have a fraction, from text such as ``29.71 steps``.

    Raises
    ------
    ValueError
        The text is invalid, as for :func:`parse_length`.
    """
    return _parse(value, STEP_SIZE)


def parse_f_number(value: object) -> float:
    """Return the f-number from text such as ``f/5.6``; the number is used as written.

    Raises
    ------
    ValueError
        The text is not an f-number, or the number is not above 0. The message says what to write
        instead.
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


Length = Annotated[float, _typed(parse_length), LENGTH]
"""Micrometres."""
Distance = Annotated[float, AllowInfNan(True), _typed(parse_distance), DISTANCE]
"""Micrometres, up to infinity."""
Duration = Annotated[float, _typed(parse_duration), DURATION]
"""Seconds."""
Fraction = Annotated[float, _typed(parse_fraction), SHARE]
"""1 is 100 %."""
Speed = Annotated[float, _typed(parse_speed), SPEED]
"""Micrometres per second."""
Acceleration = Annotated[float, _typed(parse_acceleration), ACCELERATION]
"""Micrometres per second squared."""
Angle = Annotated[float, _typed(parse_angle), ANGLE]
"""Degrees."""
Temperature = Annotated[float, _typed(parse_temperature), TEMPERATURE]
"""Degrees Celsius."""
Count = Annotated[int, _typed(parse_count), SLICES]
"""Number of slices."""
ExposureValue = Annotated[float, _typed(parse_ev), EXPOSURE_VALUE]
"""Stops of exposure."""
Steps = Annotated[int, _typed(parse_steps), STEPS]
"""Motor steps, whole."""
StepSize = Annotated[float, _typed(parse_step_size), STEP_SIZE]
"""Motor steps, not necessarily whole."""
FNumber = Annotated[float, _typed(parse_f_number), F_NUMBER]
"""Focal length divided by the diameter of the entrance pupil, as written."""
DataSize = Annotated[float, _typed(parse_size), DATA_SIZE]
"""Bytes."""


def format_length(length_um: float, digits: int = 4) -> str:
    """Return a length as text with ``digits`` significant digits: ``850 nm``, ``1.2 mm``."""
    if math.isinf(length_um):
        return "infinity"
    size = abs(length_um)
    # Compared after rounding, so that 999.99 µm becomes '1 mm', not '1000 µm'.
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
    """Return a duration as text: ``350 ms``, ``12.5 s``, ``3 min 20 s``, ``2 h 05 min``."""
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
    """Return a fraction as a percentage in text: ``30 %`` for 0.3."""
    return f"{fraction * 100:.3g} %"


def format_size(size_bytes: float) -> str:
    """Return an amount of data as text: ``3.2 MB``."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size_bytes >= factor:
            return f"{size_bytes / factor:.3g} {unit}"
    return f"{size_bytes:.0f} B"
