"""How a protocol writes a bracket: exposure values relative to its shutter time."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

from macrorail.quantity import Notation

LARGEST_EV = 6.0
_MOST = 9
#: The largest distance of a camera's own shutter time from the wanted one: menus round (1/250 s
#: stands for 1/256 s), and a bracket is none the worse for a third of a stop.
_ROUNDING_EV = 1 / 3


def parse_ev(value: object) -> float:
    """An exposure value from text such as ``-2 EV`` or ``+0.7 EV``.

    Raises
    ------
    ValueError
        No number, without its unit, or more than 6 EV.
    """
    if isinstance(value, float):
        return value
    match = (
        re.fullmatch(r"([+-]?\d+(?:\.\d+)?)\s*EV", value.strip())
        if isinstance(value, str)
        else None
    )
    if match is None:
        raise ValueError(f"must be an exposure value such as '-2 EV' or '0 EV', got '{value}'")
    ev = float(match.group(1))
    if abs(ev) > LARGEST_EV:
        raise ValueError(
            f"must lie between -{LARGEST_EV:g} EV and +{LARGEST_EV:g} EV, got {ev:g} EV"
        )
    return ev


def _a_bracket(values: tuple[float, ...]) -> tuple[float, ...]:
    if not 2 <= len(values) <= _MOST or len(set(values)) != len(values):
        raise ValueError(
            f"must list 2 to {_MOST} different exposure values, such as [-2 EV, 0 EV, +2 EV]"
        )
    return values


EXPOSURE_VALUE = Notation("exposure value", "-2 EV", pattern=r"^\s*[+-]?\d+(?:\.\d+)?\s*EV\s*$")

Bracket = Annotated[
    tuple[Annotated[float, BeforeValidator(parse_ev), EXPOSURE_VALUE], ...],
    AfterValidator(_a_bracket),
]
"""Exposure values of one slice, in the order in which they are shot."""


def format_ev(ev: float) -> str:
    """``-2 EV``, ``0 EV``, ``+0.7 EV``."""
    return f"{ev:+g} EV" if ev else "0 EV"


def shutter_s(base_s: float, ev: float) -> float:
    """Exposure time that gives ``ev`` more light than ``base_s``, seconds."""
    return base_s * math.exp2(ev)


def nearest_offered(wanted_s: float, offered: Sequence[tuple[float, str]]) -> str | None:
    """The camera's own name of a time, ``None`` when it has none within a third of a stop.

    Parameters
    ----------
    offered
        Seconds and how they are written.
    """
    if not offered:
        return None
    seconds, text = min(offered, key=lambda one: abs(math.log2(one[0] / wanted_s)))
    return text if abs(math.log2(seconds / wanted_s)) <= _ROUNDING_EV + 1e-9 else None
