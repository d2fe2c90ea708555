"""A lens as focus axis: the camera drives its focus motor, a lens file turns steps into position.

The position is an estimate: steps are counted from the near stop, nothing measures where the
glass is. So every target is approached driving towards far; a move back goes past the target and
returns, which takes the play out of the gear the same way each time. A body whose drives come in
fixed sizes goes the long way in large ones and the last of it in its smallest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Protocol, Self, runtime_checkable

from pydantic import PrivateAttr, model_validator

from macrorail.config.document import key_error
from macrorail.config.lens_file import LensFile, find_lens_file, load_lens_file
from macrorail.config.rig import AxisSection
from macrorail.devices.interfaces import AxisReport, Context
from macrorail.errors import CameraUnsupported, ConfigError, FocusLimit, LimitError, PositionInDoubt
from macrorail.optics.image_space import FarFocus
from macrorail.quantity import format_length

_HOMING_MARGIN = 1.2
"""Times the known travel that a lens is driven in search of its stop."""


@runtime_checkable
class FocusDrive(Protocol):
    """A camera that can drive its lens."""

    @property
    def drive_sizes(self) -> int:
        """How many sizes of drive it has; 0 when it takes any number of steps at once."""
        ...

    def drive_focus(self, steps: int, size: int = 1) -> None:
        """Drive by ``steps`` (never 0), towards far when positive, and wait for the motor.

        Of a body with sizes of drive, so many drives of a ``size``, from 1, the smallest.

        Raises
        ------
        FocusLimit
            At an end stop; how far the motor turned is unknown.
        """
        ...


def split_way(way_steps: float, sizes: Sequence[float]) -> list[tuple[int, int]]:
    """Drives for a way towards far: pairs of how many and of which size, the largest first.

    The last are of the smallest size, at least one of them unless there is no way to go; what is
    less than half of one is left over.

    Parameters
    ----------
    way_steps
        In the smallest drive, >= 0.
    sizes
        What each size is worth, the first, 1, the smallest.
    """
    drives, left = [], way_steps
    for number in range(len(sizes), 1, -1):
        count = int(max(0.0, left - 1) // sizes[number - 1])
        left -= count * sizes[number - 1]
        drives.append((count, number))
    drives.append((round(left), 1))
    return [(count, number) for count, number in drives if count]


class LensAxis:
    """The focus motor of the camera's lens.

    Parameters
    ----------
    options
        Names the lens file.
    context
        Its camera drives the lens.
    """

    class Options(AxisSection):
        """Axis section of a camera that focuses with its own lens.

        Attributes
        ----------
        lens
            Name of a lens file that comes with macrorail, or the path of one. Example:
            ``simulated-105mm``
        """

        lens: str
        shares_camera: ClassVar[bool] = True
        _lens_file: LensFile = PrivateAttr()

        @model_validator(mode="after")
        def _load(self) -> Self:
            try:
                self._lens_file = load_lens_file(find_lens_file(self.lens))
            except ConfigError as error:
                raise key_error("lens", str(error)) from error
            known_um = self._lens_file.travel_um
            if self.travel.from_um < 0 or self.travel.to_um > known_um:
                raise key_error(
                    "travel",
                    f"must lie within what lens file {self.lens} knows of this lens: 0 um to "
                    f"{format_length(known_um)}",
                )
            return self

        @property
        def lens_file(self) -> LensFile:
            """What the lens file says."""
            return self._lens_file

        def magnification_at(self, position_um: float, magnification: float) -> float:
            """The optics' magnification holds at the near stop; from there the lens breathes."""
            if self.far_focus is not None:
                return self.far_focus.magnification(position_um, pupil_ratio=1.0)
            return magnification * self._lens_file.scale_at(position_um)

        @property
        def far_focus(self) -> FarFocus | None:
            """Set when the lens file tells distances up to infinity."""
            return self._lens_file.far_focus

    def __init__(self, options: Options, context: Context) -> None:
        self._lens = options.lens_file
        self._file_name = options.lens
        self._rig_allows_um = options.allowed_um
        self._allowed_um = options.allowed_um
        self._clock = context.clock
        self._camera = context.camera
        # The motor's count from the near stop; None while nobody knows it.
        self._motor: float | None = None
        self._target_um: float | None = None

    @property
    def shares_camera(self) -> bool:
        """Always true: frames and drives travel on the same line."""
        return True

    @property
    def count_check(self) -> None:
        """A lens's stop is too soft to measure lost steps with."""
        return

    def open(self, closest_approach_um: float | None = None) -> AxisReport:
        """Set the limits; see :class:`macrorail.devices.interfaces.FocusAxis`."""
        self._focus_drive()
        lowest_um, highest_um = self._rig_allows_um
        if closest_approach_um is not None:
            highest_um = min(highest_um, closest_approach_um)
        if highest_um <= lowest_um:
            raise LimitError(
                f"closest_approach {format_length(highest_um)} leaves the lens no room to move: "
                f"its travel starts at {format_length(lowest_um)}"
            )
        self._allowed_um = lowest_um, highest_um
        return AxisReport(
            model=self._lens.name,
            version=f"lens file {self._file_name}",
            travel_um=self._allowed_um,
            resolution_um=self._lens.resolution_um,
            position_um=None if self._motor is None else self._position_um(self._motor),
            estimated=True,
        )

    def home(self) -> float:
        """Drive to the near stop; returns 0.

        Most bodies report it. With one that does not, driving further than the whole travel must
        do: the motor slips at the stop, or the body stops it there.

        Raises
        ------
        PositionInDoubt
            A stop that should be reported never was.
        """
        self._motor, self._target_um = None, None
        size = len(self._lens.drive_sizes)
        piece = self._at_once(size)
        searched = 0.0
        while searched < _HOMING_MARGIN * (self._lens.travel_steps + self._lens.slack_steps):
            self._clock.check()
            try:
                self._focus_drive().drive_focus(-piece, size)
            except FocusLimit:
                self._motor = 0
                return 0.0
            searched += piece * self._lens.drive_sizes[size - 1]
        if self._lens.end_stop == "silent":
            self._motor = 0
            return 0.0
        raise PositionInDoubt(
            f"the lens was driven {searched:g} steps towards near and never reported its stop, "
            f"though its whole travel is {self._lens.travel_steps}; check that it is the lens of "
            f"{self._file_name} and that the switch on its barrel allows the motor"
        )

    def start_move(self, position_um: float) -> None:
        """Check and accept a target; see :class:`macrorail.devices.interfaces.FocusAxis`.

        The motor turns in :meth:`finish_move`: the camera answers a drive only when it is over.
        """
        lowest_um, highest_um = self._allowed_um
        if not lowest_um <= position_um <= highest_um:
            raise LimitError(
                f"the lens may focus from {format_length(lowest_um)} to "
                f"{format_length(highest_um)}, so not at {format_length(position_um)}"
            )
        self._known_motor()
        self._target_um = position_um

    def finish_move(self) -> float:
        """Drive to the target; returns the position as counted, micrometres."""
        if self._target_um is not None:
            target_um, self._target_um = self._target_um, None
            self._approach(self._lens.steps_at(target_um) + self._lens.slack_steps)
        return self._position_um(self._known_motor())

    def stop(self) -> None:
        """Forget the target: a drive is over before its call returns, so the motor is at rest."""
        self._target_um = None

    def halt(self) -> None:
        """As :meth:`stop`: there is nothing that moves by itself."""
        self.stop()

    def close(self) -> None:
        """Forget where the lens is: others may turn it now. The camera closes by itself."""
        self._motor, self._target_um = None, None

    def _approach(self, motor: float) -> None:
        """Bring the motor as near to a count as whole drives can, the last towards far."""
        sizes = self._lens.drive_sizes
        way = motor - self._known_motor()
        if round(way) < 0:
            aim = max(0.0, motor - self._lens.slack_steps - 1)
            self._drive(-1, split_way(math.ceil(self._known_motor() - aim), sizes))
            way = motor - self._known_motor()
        self._drive(1, split_way(max(0.0, way), sizes))

    def _drive(self, towards: int, drives: Sequence[tuple[int, int]]) -> None:
        for count, size in drives:
            left = count
            while left:
                piece = min(left, self._at_once(size))
                self._drive_once(towards * piece, size)
                left -= piece

    def _drive_once(self, count: int, size: int) -> None:
        self._clock.check()
        here = self._known_motor()
        there = here + count * self._lens.drive_sizes[size - 1]
        self._motor = None  # until the drive has succeeded nobody knows how far it went
        try:
            self._focus_drive().drive_focus(count, size)
        except FocusLimit as error:
            raise PositionInDoubt(
                f"the lens met an end stop between steps {here:g} and {there:g}, where "
                f"{self._file_name} knows none; home it, and calibrate it anew if this happens "
                f"again"
            ) from error
        self._motor = max(0.0, there)  # a stop that keeps silent holds it at 0

    def _at_once(self, size: int) -> int:
        """So many drives of a size are asked for at once."""
        return max(1, int(self._lens.largest_drive_steps // self._lens.drive_sizes[size - 1]))

    def _known_motor(self) -> float:
        if self._motor is None:
            raise PositionInDoubt("nobody knows where the lens is; home it first")
        return self._motor

    def _position_um(self, motor: float) -> float:
        return self._lens.position_at(max(0, motor - self._lens.slack_steps))

    def _focus_drive(self) -> FocusDrive:
        if not isinstance(self._camera, FocusDrive):
            raise CameraUnsupported(
                "a lens axis needs a camera that can drive its lens, and this rig's camera "
                "cannot; use a rail"
            )
        return self._camera
