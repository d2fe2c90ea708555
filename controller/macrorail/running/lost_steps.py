"""The lost-step check: finds slices that may have been shot at other positions than recorded.

A check moves the axis to its reference, such as the home switch. If the axis's step count was wrong
there, every slice shot since the previous check is in doubt.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from macrorail.devices.interfaces import FocusAxis
from macrorail.errors import RailAlarm
from macrorail.quantity import format_length
from macrorail.run_folder.events import (
    AxisHomed,
    Event,
    ExposureMade,
    FrameRejected,
    SliceCounted,
    StepsChecked,
)
from macrorail.run_folder.journal import Entry
from macrorail.running.resume import Target

#: A single loss of steps may be caused by a hair; a second loss has a lasting cause.
_LOSSES_AT_MOST = 1


@dataclass(frozen=True)
class LostSteps:
    """A loss of steps, and the slices that were shot during it.

    Attributes
    ----------
    error_um
        Error of the axis position after the last slice, micrometres; above 0 the axis was farther
        from the specimen than it reported.
    targets
        Slices in doubt, from near to far.
    """

    error_um: float
    targets: tuple[Target, ...]


class LostStepMonitor:
    """Checks an axis's step count against its reference during a run.

    The journal entries show which slices were shot and when the axis was homed.

    Parameters
    ----------
    axis
        Axis to check. An axis without a reference is never checked.
    log_event
        Function that writes an event to the journal.
    """

    def __init__(self, axis: FocusAxis, log_event: Callable[[Event], None]) -> None:
        self._check = axis.lost_step_check
        self._log_event = log_event
        self._losses = 0
        self._newest_um = 0.0
        self._start_over()

    def _start_over(self) -> None:
        self._unchecked: dict[int, Target] = {}
        self._exposures = 0

    def on_entry(self, entry: Entry) -> None:
        """Update the unchecked slices from a journal entry."""
        match entry.event:
            case ExposureMade():
                self._exposures += 1
            case SliceCounted() as counted:
                self._unchecked[counted.slice] = Target(
                    counted.slice, counted.target_um, counted.attempt
                )
            case FrameRejected(slice=number):
                self._unchecked.pop(number, None)
            case AxisHomed():
                # Homing restarted the step count, so the error of the previous count is unknown.
                self._start_over()

    def is_due(self, at_the_end: bool) -> bool:
        """Return whether the axis's step count has to be checked now."""
        if self._check is None:
            return False
        if at_the_end:
            return bool(self._unchecked)
        every = self._check.every_slices
        return every is not None and self._exposures >= every

    def check(self) -> LostSteps | None:
        """Touch the reference; return the loss of steps, or ``None`` if no steps were lost.

        Touching the reference restarts the step count, so the count is right afterwards.

        Raises
        ------
        DeviceError
            The axis could not touch its reference.
        """
        assert self._check is not None
        error_um = self._check.measure()
        in_doubt = abs(error_um) > self._check.tolerance_um
        checked = sorted(self._unchecked.values(), key=lambda target: target.position_um)
        self._log_event(
            StepsChecked(
                error_um=error_um,
                tolerance_um=self._check.tolerance_um,
                slices=[target.number for target in checked],
                in_doubt=in_doubt,
            )
        )
        self._start_over()
        if not in_doubt:
            return None
        self._losses += 1
        self._newest_um = error_um
        return LostSteps(error_um, tuple(checked))

    def fail_if_repeated(self) -> None:
        """Raise an error if the motor has lost steps more than once in this run.

        Raises
        ------
        RailAlarm
            Steps were lost more than once; the code is ``lost_steps``.
        """
        if self._losses > _LOSSES_AT_MOST:
            raise RailAlarm(
                "lost_steps",
                f"the rail lost steps again, {format_length(abs(self._newest_um))} this time. "
                f"Check what jams it, lower 'speed' or 'acceleration' in the rig file, or give the "
                f"motor more current. Then resume the run, which shoots the missing slices",
            )
