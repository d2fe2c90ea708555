"""A lens as focus axis: the camera drives its motor, a lens file converts steps to positions.

The position is an estimate: steps are counted from the near stop, and the true position of the lens
is not measured. So every target is approached in the far direction. A move back goes past the
target and returns, so that backlash is always taken up in the same direction. On a body with fixed
drive sizes, large drives cover most of the distance, and drives of the smallest size cover the
rest.
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
"""How far a lens is driven to find its stop, as a multiple of its travel."""


@runtime_checkable
class FocusDrive(Protocol):
    """A camera that can drive the focus of its lens."""

    @property
    def drive_sizes(self) -> int:
        """Number of drive sizes; 0 if the camera accepts any number of steps at once."""
        ...

    def drive_focus(self, steps: int, size: int = 1) -> None:
        """Drive by ``steps`` (never 0), in the far direction if positive, and wait for the motor.

        If the body has drive sizes, make ``steps`` drives of one ``size`` (1 is the smallest).

        Raises
        ------
        FocusLimit
            The lens is at an end stop. How far the motor turned is not known.
        """
        ...


def split_into_drives(distance_steps: float, sizes: Sequence[float]) -> list[tuple[int, int]]:
    """Split a distance into drives: pairs of count and size, the largest size first.

    The last drives have the smallest size; there is at least one of them unless the distance is
    zero. A remainder of less than half the smallest drive is dropped.

    Parameters
    ----------
    distance_steps
        Distance in units of the smallest drive, >= 0.
    sizes
        Distance of one drive of each size, ascending; the first is 1.
    """
    drives, left = [], distance_steps
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
        Options that name the lens file.
    context
        Context whose camera drives the lens.
    """

    class Options(AxisSection):
        """Axis section of a camera that focuses with its own lens.

        Attributes
        ----------
        lens
            Name of a lens file that comes with macrorail, or the path of a lens file. Example:
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
                    f"must be within the range of lens file {self.lens}: 0 um to "
                    f"{format_length(known_um)}",
                )
            return self

        @property
        def lens_file(self) -> LensFile:
            """The loaded lens file."""
            return self._lens_file

        def magnification_at(self, position_um: float, magnification: float) -> float:
            """Return the magnification at a position.

            The magnification in the rig file is valid at the near stop; a lens changes its
            magnification as it focuses.
            """
            if self.far_focus is not None:
                return self.far_focus.magnification(position_um, pupil_ratio=1.0)
            return magnification * self._lens_file.scale_at(position_um)

        finer_steps: ClassVar[str] = (
            "use a lens with a finer focus drive, or shoot from a rail (the smallest drive of a "
            "lens is fixed)"
        )

        def resolution_um_at(self, position_um: float) -> float:
            """See ``AxisSection``; the resolution is the smallest drive."""
            return self._lens_file.resolution_um_at(position_um)

        @property
        def far_focus(self) -> FarFocus | None:
            """Focus distances up to infinity, if the lens file has them; otherwise ``None``."""
            return self._lens_file.far_focus

    def __init__(self, options: Options, context: Context) -> None:
        self._lens = options.lens_file
        self._file_name = options.lens
        self._rig_limits_um = options.allowed_um
        self._allowed_um = options.allowed_um
        self._clock = context.clock
        self._camera = context.camera
        # Motor steps from the near stop; None while the position is not known.
        self._motor: float | None = None
        self._target_um: float | None = None

    @property
    def shares_camera(self) -> bool:
        """Always true: frames and focus drives share one connection."""
        return True

    @property
    def lost_step_check(self) -> None:
        """``None``: the stop of a lens is not exact enough to measure lost steps."""
        return

    def open(self, closest_approach_um: float | None = None) -> AxisReport:
        """Set the limits; see :class:`macrorail.devices.interfaces.FocusAxis`."""
        self._focus_drive()
        lowest_um, highest_um = self._rig_limits_um
        if closest_approach_um is not None:
            highest_um = min(highest_um, closest_approach_um)
        if highest_um <= lowest_um:
            raise LimitError(
                f"closest_approach {format_length(highest_um)} leaves the lens no travel: "
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
        """Drive to the near stop and return 0.

        Most bodies report the stop. If a body does not, the lens is driven further than its travel:
        the motor then slips at the stop, or the body stops the motor there.

        Raises
        ------
        PositionInDoubt
            The body should have reported the stop but did not.
        """
        self._motor, self._target_um = None, None
        size = len(self._lens.drive_sizes)
        piece = self._most_at_once(size)
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
            f"the lens was driven {searched:g} steps in the near direction and never reported its "
            f"stop, although its travel is {self._lens.travel_steps}. Check that it is the lens of "
            f"{self._file_name} and that its focus switch allows the motor to move"
        )

    def start_move(self, position_um: float) -> None:
        """Check and accept a target; see :class:`macrorail.devices.interfaces.FocusAxis`.

        The motor moves in :meth:`finish_move`, because a drive returns only when it is over.
        """
        lowest_um, highest_um = self._allowed_um
        if not lowest_um <= position_um <= highest_um:
            raise LimitError(
                f"the lens may focus from {format_length(lowest_um)} to "
                f"{format_length(highest_um)}, not at {format_length(position_um)}"
            )
        self._motor_or_raise()
        self._target_um = position_um

    def finish_move(self) -> float:
        """Drive to the target; return the position in micrometres according to the step count."""
        if self._target_um is not None:
            target_um, self._target_um = self._target_um, None
            self._approach(self._lens.steps_at(target_um) + self._lens.slack_steps)
        return self._position_um(self._motor_or_raise())

    def stop(self) -> None:
        """Forget the target. Each drive ends before its call returns, so the motor is at rest."""
        self._target_um = None

    def halt(self) -> None:
        """Do the same as :meth:`stop`: between drives the motor is at rest."""
        self.stop()

    def close(self) -> None:
        """Forget the position: from now on the lens may be turned by hand."""
        self._motor, self._target_um = None, None

    def _approach(self, motor: float) -> None:
        """Move as near to step count ``motor`` as drives allow; the last drive is towards far."""
        sizes = self._lens.drive_sizes
        way = motor - self._motor_or_raise()
        if round(way) < 0:
            aim = max(0.0, motor - self._lens.slack_steps - 1)
            self._drive(-1, split_into_drives(math.ceil(self._motor_or_raise() - aim), sizes))
            way = motor - self._motor_or_raise()
        self._drive(1, split_into_drives(max(0.0, way), sizes))

    def _drive(self, towards: int, drives: Sequence[tuple[int, int]]) -> None:
        for count, size in drives:
            left = count
            while left:
                piece = min(left, self._most_at_once(size))
                self._drive_once(towards * piece, size)
                left -= piece

    def _drive_once(self, count: int, size: int) -> None:
        self._clock.check()
        here = self._motor_or_raise()
        there = here + count * self._lens.drive_sizes[size - 1]
        self._motor = None  # not known until the drive has succeeded
        try:
            self._focus_drive().drive_focus(count, size)
        except FocusLimit as error:
            raise PositionInDoubt(
                f"the lens met an end stop between steps {here:g} and {there:g}, where "
                f"{self._file_name} has none. Home the lens; if this happens again, calibrate "
                f"the lens again"
            ) from error
        self._motor = max(0.0, there)  # a stop that is not reported keeps the lens at 0

    def _most_at_once(self, size: int) -> int:
        """Return the largest number of drives of a size in one request."""
        return max(1, int(self._lens.largest_drive_steps // self._lens.drive_sizes[size - 1]))

    def _motor_or_raise(self) -> float:
        if self._motor is None:
            raise PositionInDoubt("the position of the lens is unknown; home it first")
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
