"""The schema of a rig's ``stage`` section, and positions of the stage.

Positions are micrometres from the home switches along X and Y, and degrees of the turntable. The
caller moves the stage only while the focus axis is retracted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from macrorail.config.document import Section


class StageSection(Section):
    """The keys that every stage section has.

    Attributes
    ----------
    driver
        A short name such as ``grbl``, or ``package.module:Class`` for a driver of your own.
        Example: ``grbl``
    port
        Serial port, or ``bench`` for a simulated stage. Example: ``/dev/ttyUSB0``
    """

    driver: str
    port: str

    def unreachable_reason(self, where: StagePosition) -> str | None:
        """Return why the stage cannot reach a position, as text; ``None`` if reachable."""
        raise NotImplementedError

    def move_s(self, here: StagePosition, there: StagePosition) -> float:
        """Return the world time of a move, in seconds."""
        raise NotImplementedError


@dataclass(frozen=True)
class StagePosition:
    """A position of the stage. ``None`` means: do not move this axis, or the stage lacks the axis.

    Attributes
    ----------
    x_um, y_um
        Distances from the home switches, micrometres.
    turn_deg
        Angle of the turntable, degrees.
    """

    x_um: float | None = None
    y_um: float | None = None
    turn_deg: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the position as written to the journal."""
        return {"x_um": self.x_um, "y_um": self.y_um, "turn_deg": self.turn_deg}
