"""Exposure brackets: exposure values relative to the shutter time of the protocol."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator

from macrorail.quantity import ExposureValue

_LARGEST_BRACKET = 9
#: Largest difference between a shutter time that the camera offers and the wanted time. Camera
#: menus round (1/250 s means 1/256 s), and a third of a stop does not harm a bracket.
_TOLERANCE_EV = 1 / 3


def _check_bracket(values: tuple[float, ...]) -> tuple[float, ...]:
    if not 2 <= len(values) <= _LARGEST_BRACKET or len(set(values)) != len(values):
        raise ValueError(
            f"must list 2 to {_LARGEST_BRACKET} different exposure values, such as [-2 EV, 0 "
            f"EV, +2 EV]"
        )
    return values


Bracket = Annotated[tuple[ExposureValue, ...], AfterValidator(_check_bracket)]
"""Exposure values of one slice, in the order of shooting."""


def format_ev(ev: float) -> str:
    """Return an exposure value as text: ``-2 EV``, ``0 EV``, ``+0.7 EV``."""
    return f"{ev:+g} EV" if ev else "0 EV"


def shutter_s(base_s: float, ev: float) -> float:
    """Return the exposure time, in seconds, that is ``ev`` stops longer than ``base_s``."""
    return base_s * math.exp2(ev)


def nearest_offered(wanted_s: float, offered: Sequence[tuple[float, str]]) -> str | None:
    """Return the shutter time in the camera's menu that is nearest to the wanted time.

    Returns ``None`` when the menu has no time within a third of a stop.

    Parameters
    ----------
    offered
        Each shutter time of the menu, in seconds and as the menu's text.
    """
    if not offered:
        return None
    seconds, text = min(offered, key=lambda one: abs(math.log2(one[0] / wanted_s)))
    return text if abs(math.log2(seconds / wanted_s)) <= _TOLERANCE_EV + 1e-9 else None
