"""Measures a lens: which plane is in focus after how many motor steps, its breathing, its play.

The camera looks at a leaning ruling (``ruling.py``). The line of sharpness wanders over it as the
motor turns; where it stands, times the slope, is how far the plane in focus has gone, and the
spacing of the lines there is the scale of the picture. Nothing but the target is trusted: neither
the rig's magnification nor an earlier lens file.

A body whose drives come in fixed sizes (a Canon EOS) reports no end stop and does not say what its
sizes are worth. There the lens is at a stop when a drive leaves the picture as it was, the table
counts in the smallest drive, and the larger ones are measured against the table.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from macrorail.calibration.ruling import Sharpest
from macrorail.config.lens_file import LensFile
from macrorail.errors import CalibrationError, FocusLimit

_LONGEST_TRAVEL_STEPS = 200_000
_FEWEST_POINTS = 4
_BACKLASH_PLACES = 10
_REPEATS = 2
_SEARCH_DRIVES = 5
"""Largest drives from one look to the next on the way to a stop that is not reported."""
_LONGEST_SEARCH_DRIVES = 500
_STANDS_STILL = 0.01
"""Of the picture's width: the sharp place moved by less, so the lens did not move at all."""
_CUT_SHORT = 0.1
"""Of the way before: a step of the sweep that is shorter met the far stop."""
_MEASURED_SHARE = 0.6
"""Of the table, over which a size of drive is measured."""

Floats = npt.NDArray[np.float64]


class Drive(Protocol):
    """The camera's focus motor, as :class:`macrorail.devices.lens.FocusDrive` has it."""

    def drive_focus(self, steps: int, size: int = 1) -> None:
        """Drive by ``steps`` (never 0), towards far when positive, and wait for the motor."""
        ...


@dataclass(frozen=True)
class LensMeasured:
    """What was found.

    Attributes
    ----------
    steps
        Motor steps from the near stop, driving towards far, play taken up.
    plane_um
        Plane in focus there, micrometres from that of the near stop.
    scale
        Size of the image there relative to that at the near stop.
    slack_steps, slack_spread_steps
        Play of the gear: mean over several places, and the standard deviation of that mean.
    repeatability_um
        Standard deviation of the plane when it is driven to again from the same side.
    px_per_um
        Scale at the near stop: pixels per micrometre on the specimen.
    larger_drives
        What the second size of drive, the third and so on are worth, in the smallest.
    ended
        Why the sweep ended where it did, in words.
    """

    steps: tuple[int, ...]
    plane_um: tuple[float, ...]
    scale: tuple[float, ...]
    slack_steps: float
    slack_spread_steps: float
    repeatability_um: float
    px_per_um: float
    larger_drives: tuple[float, ...]
    ended: str

    def to_lens_file(self, name: str, largest_drive_steps: int) -> LensFile:
        """As a lens file; planes to a tenth of a micrometre, scales to six digits."""
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
class _Seen:
    """A look at the target with the motor at a count from the near stop."""

    motor: int
    sharpest: Sharpest


class LensCalibration:
    """One lens in front of one target.

    Parameters
    ----------
    drive
        The focus motor.
    look
        Takes a picture and finds the sharpest place of the ruling.
    tilt_deg
        Between the target and a plane in focus, above 0 and below 90.
    every_steps
        Distance between two rows of the table; more than the gear's play.
    largest_drive_steps
        Longest drive at once.
    sizes
        How many sizes of drive the body has; 0 when it takes any number of steps at once.
    field_um
        Width of the picture on the specimen, roughly.
    tell
        Told of the progress, in words.
    """

    def __init__(
        self,
        drive: Drive,
        look: Callable[[], Sharpest | None],
        tilt_deg: float,
        every_steps: int,
        largest_drive_steps: int,
        sizes: int,
        field_um: float,
        tell: Callable[[str], None],
    ) -> None:
        self._drive = drive
        self._look = look
        self._slope = math.tan(math.radians(tilt_deg))
        self._every = every_steps
        self._largest = largest_drive_steps
        self._sizes = sizes
        self._still_um = _STANDS_STILL * field_um
        self._tell = tell
        self._motor = 0

    def measure(self, last_steps: int | None = None) -> LensMeasured:
        """Sweep from the near stop, then measure play and repeatability.

        Parameters
        ----------
        last_steps
            Where to end the sweep; where the target, the picture or the lens ends when not given.

        Raises
        ------
        CalibrationError
            The target is not seen at the near stop, or too short a way is seen, or what is seen
            makes no sense.
        """
        seen, ended = self._sweep(last_steps)
        if len(seen) < _FEWEST_POINTS:
            raise CalibrationError(
                f"the target was seen sharp at {len(seen)} motor position(s) only, and then "
                f"{ended}; it takes {_FEWEST_POINTS}. Let the target lean more, or look at it "
                f"every {max(1, self._every // 4)} steps"
            )
        across_um = np.array([each.sharpest.across_um for each in seen])
        # Whichever end of the target is nearer: driving towards far, the plane moves away.
        towards_far = math.copysign(self._slope, across_um[-1] - across_um[0])
        motor = np.array([float(each.motor) for each in seen])
        plane_um = towards_far * across_um
        play = self._play(motor, plane_um, towards_far)
        # The first row is the stop, where the play is not taken up yet.
        larger = self._larger_drives(motor[1:], plane_um[1:], towards_far)
        return self._table(seen, plane_um - plane_um[0], play, larger, ended)

    def _sweep(self, last_steps: int | None) -> tuple[list[_Seen], str]:
        self._home()
        last = _LONGEST_TRAVEL_STEPS if last_steps is None else last_steps
        at_stop = self._look()
        if at_stop is None:
            raise CalibrationError(
                "no sharp lines are seen with the lens at its near stop; move the target so that "
                "its near end is sharp at one side of the picture, lines running left to right"
            )
        seen = [_Seen(0, at_stop)]
        for motor in range(self._every, last + 1, self._every):
            try:
                self._drive_to(motor)
            except FocusLimit:
                return seen, "the lens met its far stop"
            sharpest = self._look()
            if sharpest is None:
                return seen, "the sharp lines left the picture"
            if self._sizes and self._cut_short(seen, sharpest):
                # The row before may have been cut short as well.
                return seen[:-1], "the lens met its far stop"
            seen.append(_Seen(motor, sharpest))
            self._tell(f"{motor} steps: sharp {sharpest.across_um:.0f} um from the middle")
        return seen, f"{last} steps were reached"

    @staticmethod
    def _cut_short(seen: list[_Seen], sharpest: Sharpest) -> bool:
        """Whether the last drive of a sweep moved next to nothing."""
        if len(seen) < _FEWEST_POINTS:
            return False
        before, last = seen[-2].sharpest.across_um, seen[-1].sharpest.across_um
        return abs(sharpest.across_um - last) < _CUT_SHORT * abs(last - before)

    def _larger_drives(
        self, motor: Floats, plane_um: Floats, towards_far: float
    ) -> tuple[float, ...]:
        """What each larger size of drive is worth in the smallest: as far as the plane moves."""

        def standing_at() -> float:
            seen_um = towards_far * self._seen_again(self._motor).across_um
            return float(np.interp(seen_um, plane_um, motor))

        found: list[float] = []
        for size in range(2, self._sizes + 1):
            self._home()
            self._drive_to(int(motor[0]))
            start = standing_at()
            self._drive.drive_focus(1, size)
            worth = standing_at() - start
            smaller = found[-1] if found else 1.0
            if not worth > smaller:
                raise CalibrationError(
                    f"a drive of size {size} moved the lens like {worth:.1f} of its smallest, and "
                    f"the one before like {smaller:.1f}; look at the target at other "
                    f"distances (--every), and leave it alone while it is measured"
                )
            more = max(1, int(_MEASURED_SHARE * (motor[-1] - start) / worth) - 1)
            for _ in range(more):
                self._drive.drive_focus(1, size)
            found.append((standing_at() - start) / (1 + more))
            self._tell(f"a drive of size {size} is worth {found[-1]:.2f} of the smallest")
        return tuple(found)

    def _play(
        self, motor: Floats, plane_um: Floats, towards_far: float
    ) -> tuple[float, float, float]:
        """Play in steps, the deviation of that mean, and the repeatability in micrometres.

        The same motor count is driven to from near and from far: from far the glass stands
        further by the play.
        """
        self._home()
        # The first row is the stop, where the play is not taken up yet.
        way_um = np.gradient(plane_um[1:], motor[1:])
        plays, strays_um = [], []
        for index in self._places(len(motor)):
            at = int(motor[index])
            from_near_um, from_far_um = [], []
            for _ in range(_REPEATS):
                self._drive_to(at - self._every)
                self._drive_to(at)
                from_near_um.append(towards_far * self._seen_again(at).across_um)
                self._drive_to(at + self._every)
                self._drive_to(at)
                from_far_um.append(towards_far * self._seen_again(at).across_um)
            plays.append((np.mean(from_far_um) - np.mean(from_near_um)) / way_um[index - 1])
            strays_um += [each - np.mean(from_near_um) for each in from_near_um]
            self._tell(f"play at {at} steps: {plays[-1]:.1f} steps")
        slack = float(np.mean(plays))
        if not -0.5 <= slack < self._every:
            raise CalibrationError(
                f"the play of the gear came out as {slack:.1f} steps, which cannot be measured "
                f"{self._every} steps apart; look at the target at greater distances"
            )
        freedom = len(strays_um) * (1 - 1 / _REPEATS)
        spread = float(np.std(plays, ddof=1) / math.sqrt(len(plays)))
        return max(0.0, slack), spread, math.sqrt(float(np.sum(np.square(strays_um))) / freedom)

    @staticmethod
    def _places(rows: int) -> Iterator[int]:
        """Rows with a neighbour on either side, spread over the table, each once."""
        inner = np.linspace(2, rows - 2, min(_BACKLASH_PLACES, rows - 3))
        yield from dict.fromkeys(round(each) for each in inner)

    def _table(
        self,
        seen: list[_Seen],
        plane_um: Floats,
        play: tuple[float, float, float],
        larger: tuple[float, ...],
        ended: str,
    ) -> LensMeasured:
        slack, spread, repeatability_um = play
        px_per_um = np.array([each.sharpest.px_per_um for each in seen])
        if not (np.diff(plane_um) > 0).all():
            raise CalibrationError(
                "the plane in focus did not move steadily away while the lens was driven towards "
                "far; check that the lines run left to right, that nothing moves, and that one "
                "row of the table is further from the next than the lens repeats"
            )
        return LensMeasured(
            steps=tuple(max(0, each.motor - round(slack)) for each in seen),
            plane_um=tuple(float(each) for each in plane_um),
            scale=tuple(float(each) for each in px_per_um / px_per_um[0]),
            slack_steps=slack,
            slack_spread_steps=spread,
            repeatability_um=repeatability_um,
            px_per_um=float(px_per_um[0]),
            larger_drives=larger,
            ended=ended,
        )

    def _seen_again(self, motor: int) -> Sharpest:
        sharpest = self._look()
        if sharpest is None:
            raise CalibrationError(
                f"at {motor} steps the target was sharp before and is not any more; leave it "
                f"alone while it is measured"
            )
        return sharpest

    # The motor.

    def _home(self) -> None:
        if self._sizes:
            self._home_by_sight()
            return
        for _ in range(_LONGEST_TRAVEL_STEPS // self._largest + 1):
            try:
                self._drive.drive_focus(-self._largest)
            except FocusLimit:
                self._motor = 0
                return
        raise CalibrationError(
            f"the lens was driven {_LONGEST_TRAVEL_STEPS} steps towards near and never reported "
            f"its stop; this body cannot be calibrated so"
        )

    def _home_by_sight(self) -> None:
        """To a stop that is not reported: until a drive leaves the picture as it was."""
        before = None
        for _ in range(_LONGEST_SEARCH_DRIVES // _SEARCH_DRIVES):
            self._drive.drive_focus(-_SEARCH_DRIVES, self._sizes)
            now = self._look()
            if now and before and abs(now.across_um - before.across_um) < self._still_um:
                self._motor = 0
                return
            before = now
        raise CalibrationError(
            f"after {_LONGEST_SEARCH_DRIVES} of its largest drives towards near the lens still "
            f"showed no sharp lines that stand still; move the target so that its near end is "
            f"sharp at one side of the picture with the lens at its near stop, lines running left "
            f"to right"
        )

    def _drive_to(self, motor: int) -> None:
        while self._motor != motor:
            piece = max(-self._largest, min(self._largest, motor - self._motor))
            self._drive.drive_focus(piece)
            self._motor += piece
