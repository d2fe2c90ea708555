"""What brings specimens under the lens: the rig's ``stage`` section, and what a stage can do.

Positions are the stage's own: micrometres from its home switches along X and Y, degrees of the
turntable. A stage moves only while the focus axis is out of the way; whoever moves it sees to that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from controller.document import Section


class StageSection(Section):
    """What every stage section says; a driver adds its axes.

    Attributes
    ----------
    driver
        Import string ``package.module:Class``.
    port
        Serial port, or ``bench``.
    """

    driver: str
    port: str

    def trouble(self, where: Where) -> str | None:
        """Why the stage cannot go somewhere, in words; ``None`` when it can."""
        raise NotImplementedError

    def move_s(self, here: Where, there: Where) -> float:
        """World time that a move takes."""
        raise NotImplementedError


@dataclass(frozen=True)
class Where:
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


class Stage(Protocol):
    """Anything that moves specimens under the lens."""

    @property
    def turns(self) -> bool:
        """Whether it has a turntable."""
        ...

    def open(self) -> str:
        """Connect and check, without moving; returns what it is, in words.

        Raises
        ------
        ConnectError, DeviceTimeout, WireError, LimitError
        """
        ...

    def home(self) -> None:
        """Find the references of all axes."""
        ...

    def move(self, there: Where) -> Where:
        """Go there, axis by axis, and come to rest; returns where it is.

        Raises
        ------
        LimitError
            Before anything moves.
        PositionInDoubt
            It has to be homed first.
        """
        ...

    def stop(self) -> None:
        """Bring it to rest now."""
        ...

    def close(self) -> None:
        """Stop, release the device. Safe to call twice and after any failure."""
        ...
