"""Limits the travel of a rail, and refuses positions outside the travel."""

from __future__ import annotations

from macrorail.errors import LimitError
from macrorail.quantity import format_length


def limited_travel(
    allowed_um: tuple[float, float], closest_approach_um: float | None
) -> tuple[float, float]:
    """Return the rig's travel in micrometres, limited by the closest approach of this specimen.

    Raises
    ------
    LimitError
        The closest approach leaves no travel.
    """
    low_um, high_um = allowed_um
    if closest_approach_um is not None:
        high_um = min(high_um, closest_approach_um)
    if not low_um < high_um:
        raise LimitError(
            f"a closest approach of {format_length(high_um)} leaves the rail no travel: "
            f"its travel starts at {format_length(low_um)}"
        )
    return low_um, high_um


def refuse_outside(position_um: float, travel_um: tuple[float, float]) -> None:
    """Raise an error if the position is outside the travel.

    Raises
    ------
    LimitError
        The position is outside the travel.
    """
    low_um, high_um = travel_um
    if not low_um <= position_um <= high_um:
        raise LimitError(
            f"{format_length(position_um)} is outside the rail's travel of "
            f"{format_length(low_um)} to {format_length(high_um)}; nothing has moved"
        )
