"""Calibrates a lens: the plane in focus at each motor step, focus breathing and backlash.

The camera photographs a tilted ruling (``ruling.py``). The sharp zone moves across the ruling as
the motor turns. Its position times the slope gives the plane in focus, and the spacing of the
ruling's lines at this position gives the scale of the picture. The method uses only the target; it
needs neither the rig's magnification nor an existing lens file.

A camera body with fixed drive sizes (a Canon EOS) reports neither its end stop nor the sizes of its
drives. With such a body, the lens is at a stop when a drive does not change the picture. The table
counts in units of the smallest drive, and the larger drives are measured against the table.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from macrorail.calibration.ruling import SharpestColumn
from macrorail.config.lens_file import LensFile
from macrorail.errors import CalibrationError, FocusLimit

_LONGEST_TRAVEL_STEPS = 200_000
_FEWEST_POINTS = 4
_SLACK_POSITIONS = 10
_REPEATS = 2
_SEARCH_DRIVES = 5
"""Number of drives of the largest size between two pictures in a search for an unreported stop."""
_LONGEST_SEARCH_DRIVES = 500
_NOT_MOVED = 0.01
"""Fraction of the picture's width: if the sharp zone moves less, the lens has not moved."""
_CUT_SHORT = 0.1
"""Fraction of the previous step: if a step is shorter, the lens is at the far stop."""
_MEASURED_SHARE = 0.6
"""Fraction of the table over which a drive size is measured."""

Floats = npt.NDArray[np.float64]


class FocusMotor(Protocol):
    """The camera's focus motor; see :class:`macrorail.devices.lens.FocusDrive`."""

    def drive_focus(self, steps: int, size: int = 1) -> None:
        """Drive by ``steps`` (not 0), towards far when positive, and wait for the motor to stop."""
        ...


@dataclass(frozen=True)
class LensMeasurement:
    """The result of a lens calibration.

    Attributes
    ----------
    steps
        Motor steps from the near stop when driving towards far, without the backlash.
    plane_um
        Plane in focus at each entry of ``steps``, micrometres from the plane at the near stop.
    scale
        Size of the image at each entry of ``steps``, relative to the size at the near stop.
    slack_steps, slack_spread_steps
        Mean backlash over several positions, and the standard deviation of this mean.
    repeatability_um
        Standard deviation of the plane when approached repeatedly from the same side.
    px_per_um
        Scale at the near stop: pixels per micrometre on the specimen.
    larger_drives
        Sizes of the second, third, ... drive, in units of the smallest.
    end_reason
        Why the measurement ended, as text.
    """

    steps: tuple[int, ...]
    plane_um: tuple[float, ...]
    scale: tuple[float, ...]
    slack_steps: float
    slack_spread_steps: float
    repeatability_um: float
    px_per_um: float
    larger_drives: tuple[float, ...]
    end_reason: str

    def to_lens_file(self, name: str, largest_drive_steps: int) -> LensFile:
        """Return the result as a lens file, planes rounded to 0.1 um and scales to six digits."""
        rows = zip(self.steps, self.plane_um, self.scale, strict=True)
        return LensFile.model_validate(
            {
                "name": name,
                "slack": round(self.slack_steps),
                "largest_drive": largest_drive_steps,
                "repeatability": round(self.repeatability_um, 1),
                "end_stop": "silent" if self.larger_drives else "reported",
                "larger_drives": [round(size, 3) for size in self.larger_drives],
                "table": [
                    {"at": steps, "plane": round(plane_um, 1), "scale": round(scale, 6)}
                    for steps, plane_um, scale in rows
                ],
            }
        )


@dataclass(frozen=True)
class _Observation:
    """The sharpest column of the target at a motor position."""

    motor: int
    sharpest: SharpestColumn


class LensCalibration:
    """Calibrates one lens with one target.

    Parameters
    ----------
    drive
        The focus motor.
    take_picture
        Takes a picture and finds the sharpest column of the ruling.
    tilt_deg
        Angle between the target and the plane in focus, above 0 and below 90.
    every_steps
        Distance between two rows of the table; more than the backlash.
    largest_drive_steps
        Longest drive in one request.
    sizes
        Number of drive sizes of the body; 0 when the body can drive any number of steps.
    field_um
        Approximate width of the picture on the specimen.
    on_progress
        Called with a text about the progress.
    """

    def __init__(
        self,
        drive: FocusMotor,
        take_picture: Callable[[], SharpestColumn | None],
        tilt_deg: float,
        every_steps: int,
        largest_drive_steps: int,
        sizes: int,
        field_um: float,
        on_progress: Callable[[str], None],
    ) -> None:
        self._drive = drive
        self._take_picture = take_picture
        self._slope = math.tan(math.radians(tilt_deg))
        self._every = every_steps
        self._largest = largest_drive_steps
        self._sizes = sizes
        self._not_moved_um = _NOT_MOVED * field_um
        self._on_progress = on_progress
        self._motor = 0

    def measure(self, last_steps: int | None = None) -> LensMeasurement:
        """Measure the table from the near stop, then backlash and repeatability; return all.

        Parameters
        ----------
        last_steps
            Last motor step of the table. By default the table ends when the sharp zone leaves the
            picture or the lens reaches its far stop.

        Raises
        ------
        CalibrationError
            The target is not sharp at the near stop, too few rows were measured, or the
            measurements contradict each other.
        """
        observations, end_reason = self._sweep(last_steps)
        if len(observations) < _FEWEST_POINTS:
            raise CalibrationError(
                f"the target was sharp at {len(observations)} motor position(s) only, then "
                f"{end_reason}; at least {_FEWEST_POINTS} positions are needed. Tilt the target "
                f"more, or take pictures every {max(1, self._every // 4)} steps"
            )
        across_um = np.array([each.sharpest.across_um for each in observations])
        # Driving towards far, the plane moves away, whichever end of the target is nearer.
        towards_far = math.copysign(self._slope, across_um[-1] - across_um[0])
        motor = np.array([float(each.motor) for each in observations])
        plane_um = towards_far * across_um
        slack_result = self._measure_slack(motor, plane_um, towards_far)
        # The first row is the near stop, where the backlash is not yet taken up.
        larger = self._larger_drives(motor[1:], plane_um[1:], towards_far)
        return self._table(observations, plane_um - plane_um[0], slack_result, larger, end_reason)

    def _sweep(self, last_steps: int | None) -> tuple[list[_Observation], str]:
        self._home()
        last = _LONGEST_TRAVEL_STEPS if last_steps is None else last_steps
        at_stop = self._take_picture()
        if at_stop is None:
            raise CalibrationError(
                "no sharp lines are visible with the lens at its near stop. Move the target until "
                "its near end is sharp at one side of the picture, with the lines running from "
                "left to right"
            )
        observations = [_Observation(0, at_stop)]
        for motor in range(self._every, last + 1, self._every):
            try:
                self._drive_to(motor)
            except FocusLimit:
                return observations, "the lens reached its far stop"
            sharpest = self._take_picture()
            if sharpest is None:
                return observations, "the sharp lines left the picture"
            if self._sizes and self._cut_short(observations, sharpest):
                # The previous row may have been at the stop as well.
                return observations[:-1], "the lens reached its far stop"
            observations.append(_Observation(motor, sharpest))
            self._on_progress(f"{motor} steps: sharp {sharpest.across_um:.0f} um from the middle")
        return observations, f"{last} steps were reached"

    @staticmethod
    def _cut_short(observations: list[_Observation], sharpest: SharpestColumn) -> bool:
        """Return whether the last drive moved the plane much less than the previous drive."""
        if len(observations) < _FEWEST_POINTS:
            return False
        before, last = observations[-2].sharpest.across_um, observations[-1].sharpest.across_um
        return abs(sharpest.across_um - last) < _CUT_SHORT * abs(last - before)

    def _larger_drives(
        self, motor: Floats, plane_um: Floats, towards_far: float
    ) -> tuple[float, ...]:
        """Measure the drives above the smallest; return their sizes in multiples of it."""

        def motor_position() -> float:
            seen_um = towards_far * self._look_again(self._motor).across_um
            return float(np.interp(seen_um, plane_um, motor))

        found: list[float] = []
        for size in range(2, self._sizes + 1):
            self._home()
            self._drive_to(int(motor[0]))
            start = motor_position()
            self._drive.drive_focus(1, size)
            size_steps = motor_position() - start
            smaller = found[-1] if found else 1.0
            if not size_steps > smaller:
                raise CalibrationError(
                    f"a drive of size {size} moved the lens by {size_steps:.1f} smallest drives, "
                    f"which is not more than the next smaller size ({smaller:.1f}). Choose another "
                    f"distance between rows (--every), and do not touch the target during the "
                    f"calibration"
                )
            more = max(1, int(_MEASURED_SHARE * (motor[-1] - start) / size_steps) - 1)
            for _ in range(more):
                self._drive.drive_focus(1, size)
            found.append((motor_position() - start) / (1 + more))
            self._on_progress(f"a drive of size {size} is {found[-1]:.2f} smallest drives")
        return tuple(found)

    def _measure_slack(
        self, motor: Floats, plane_um: Floats, towards_far: float
    ) -> tuple[float, float, float]:
        """Return the backlash and the standard deviation of its mean in steps, and repeatability.

        The repeatability is in micrometres. The same motor position is approached from near and
        from far; the difference is the backlash.
        """
        self._home()
        # The first row is the near stop, where the backlash is not yet taken up.
        way_um = np.gradient(plane_um[1:], motor[1:])
        slacks, deviations_um = [], []
        for index in self._spread_rows(len(motor)):
            at = int(motor[index])
            from_near_um, from_far_um = [], []
            for _ in range(_REPEATS):
                self._drive_to(at - self._every)
                self._drive_to(at)
                from_near_um.append(towards_far * self._look_again(at).across_um)
                self._drive_to(at + self._every)
                self._drive_to(at)
                from_far_um.append(towards_far * self._look_again(at).across_um)
            slacks.append((np.mean(from_far_um) - np.mean(from_near_um)) / way_um[index - 1])
            deviations_um += [each - np.mean(from_near_um) for each in from_near_um]
            self._on_progress(f"backlash at {at} steps: {slacks[-1]:.1f} steps")
        slack = float(np.mean(slacks))
        if not -0.5 <= slack < self._every:
            raise CalibrationError(
                f"the measured backlash is {slack:.1f} steps, which cannot be measured reliably "
                f"with rows {self._every} steps apart; choose a larger distance (--every)"
            )
        freedom = len(deviations_um) * (1 - 1 / _REPEATS)
        spread = float(np.std(slacks, ddof=1) / math.sqrt(len(slacks)))
        return max(0.0, slack), spread, math.sqrt(float(np.sum(np.square(deviations_um))) / freedom)

    @staticmethod
    def _spread_rows(rows: int) -> Iterator[int]:
        """Yield some rows of the table, evenly spread, without the first and the last row."""
        inner = np.linspace(2, rows - 2, min(_SLACK_POSITIONS, rows - 3))
        yield from dict.fromkeys(round(each) for each in inner)

    def _table(
        self,
        observations: list[_Observation],
        plane_um: Floats,
        slack_result: tuple[float, float, float],
        larger: tuple[float, ...],
        end_reason: str,
    ) -> LensMeasurement:
        slack, spread, repeatability_um = slack_result
        px_per_um = np.array([each.sharpest.px_per_um for each in observations])
        if not (np.diff(plane_um) > 0).all():
            raise CalibrationError(
                "the plane in focus did not move away steadily while the lens was driven towards "
                "far. Check that the lines run from left to right and that nothing moves. Check "
                "also that the plane moves farther between rows (--every) than the lens's "
                "repeatability"
            )
        return LensMeasurement(
            steps=tuple(max(0, each.motor - round(slack)) for each in observations),
            plane_um=tuple(float(each) for each in plane_um),
            scale=tuple(float(each) for each in px_per_um / px_per_um[0]),
            slack_steps=slack,
            slack_spread_steps=spread,
            repeatability_um=repeatability_um,
            px_per_um=float(px_per_um[0]),
            larger_drives=larger,
            end_reason=end_reason,
        )

    def _look_again(self, motor: int) -> SharpestColumn:
        sharpest = self._take_picture()
        if sharpest is None:
            raise CalibrationError(
                f"at {motor} steps the target was sharp before and no longer is; do not touch the "
                f"target during the calibration"
            )
        return sharpest

    # The motor.

    def _home(self) -> None:
        if self._sizes:
            self._home_by_picture()
            return
        for _ in range(_LONGEST_TRAVEL_STEPS // self._largest + 1):
            try:
                self._drive.drive_focus(-self._largest)
            except FocusLimit:
                self._motor = 0
                return
        raise CalibrationError(
            f"the lens was driven {_LONGEST_TRAVEL_STEPS} steps towards near and never reported "
            f"its stop; this body cannot be calibrated in this way"
        )

    def _home_by_picture(self) -> None:
        """Find a stop that the body does not report: drive until the picture no longer changes."""
        before = None
        for _ in range(_LONGEST_SEARCH_DRIVES // _SEARCH_DRIVES):
            self._drive.drive_focus(-_SEARCH_DRIVES, self._sizes)
            now = self._take_picture()
            if now and before and abs(now.across_um - before.across_um) < self._not_moved_um:
                self._motor = 0
                return
            before = now
        raise CalibrationError(
            f"after {_LONGEST_SEARCH_DRIVES} of the largest drives towards near, the sharp lines "
            f"still moved or were not visible. With the lens at its near stop, move the target "
            f"until its near end is sharp at one side of the picture, with the lines running from "
            f"left to right"
        )

    def _drive_to(self, motor: int) -> None:
        while self._motor != motor:
            piece = max(-self._largest, min(self._largest, motor - self._motor))
            self._drive.drive_focus(piece)
            self._motor += piece
