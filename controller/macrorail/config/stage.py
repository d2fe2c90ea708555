"""The schema of a rig's ``stage`` section, and positions of the stage.

Positions are micrometres from the home switches along X and Y, and degrees of the turntable. The
caller moves the stage only while the focus axis is retracted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from macrorail.config.document import Section


class StageSection(Section):
    """What every stage section has.

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
        """Why the stage cannot reach a position, as text; ``None`` when it can."""
        raise NotImplementedError

    def move_s(self, here: StagePosition, there: StagePosition) -> float:
        """World time that a move takes, seconds."""
        raise NotImplementedError


@dataclass(frozen=True)
class StagePosition:
    """A position of the stage. ``None`` leaves an axis where it is, or the stage has no such axis.

    Attributes
    ----------
    x_um, y_um
        Micrometres from the home switches.
    turn_deg
        Of the turntable.
    """

    x_um: float | None = None
    y_um: float | None = None
    turn_deg: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """As written to the journal."""
        return {"x_um": self.x_um, "y_um": self.y_um, "turn_deg": self.turn_deg}
