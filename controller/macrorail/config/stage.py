"""The ``stage`` section of a rig: what brings specimens under the lens.

Positions are the stage's own: micrometres from its home switches along X and Y, degrees of the
turntable. A stage moves only while the focus axis is out of the way; whoever moves it sees to that.
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

    def trouble(self, where: StagePosition) -> str | None:
        """Why the stage cannot go somewhere, in words; ``None`` when it can."""
        raise NotImplementedError

    def move_s(self, here: StagePosition, there: StagePosition) -> float:
        """World time that a move takes."""
        raise NotImplementedError


@dataclass(frozen=True)
class StagePosition:
    """A place of the stage; what is ``None`` stays as it is, or is not the stage's to move.

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
        """As the journal has it."""
        return {"x_um": self.x_um, "y_um": self.y_um, "turn_deg": self.turn_deg}
