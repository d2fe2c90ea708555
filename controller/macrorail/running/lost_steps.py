"""The lost-step check: which slices rest on a step count that is not checked yet.

A check touches the axis's reference. When the count was off, every slice shot since the check
before is in doubt.
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

#: A motor that loses steps once may have met a hair; one that loses them again has a cause.
_LOSSES_AT_MOST = 1


@dataclass(frozen=True)
class LostSteps:
    """Steps that the axis has lost, and the slices that were shot meanwhile.

    Attributes
    ----------
    error_um
        Above 0 the axis stood farther from the specimen than it reported, after the last of them.
    targets
        From near to far.
    """

    error_um: float
    targets: tuple[Target, ...]


class LostStepMonitor:
    """Checks an axis's step count against its reference in the course of a run.

    It listens to the journal for what was shot and homed.

    Parameters
    ----------
    axis
        With or without a reference to check against.
    log_event
        Writes to the journal.
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
        """Take in a journal entry."""
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
                # The count has started from zero: what it was worth before can no longer be known.
                self._start_over()

    def is_due(self, at_the_end: bool) -> bool:
        """Whether the count is to be checked now."""
        if self._check is None:
            return False
        if at_the_end:
            return bool(self._unchecked)
        every = self._check.every_slices
        return every is not None and self._exposures >= every

    def check(self) -> LostSteps | None:
        """Touch the reference; ``None`` when no steps were lost. The count is right afterwards.

        Raises
        ------
        DeviceError
            The axis could not do it.
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
        """End a run whose motor loses steps again.

        Raises
        ------
        RailAlarm
            With code ``lost_steps``.
        """
        if self._losses > _LOSSES_AT_MOST:
            raise RailAlarm(
                "lost_steps",
                f"the rail lost steps again, {format_length(abs(self._newest_um))} this time. See "
                f"what jams it, lower 'speed' or 'acceleration' in the rig file, or give the motor "
                f"more current; then resume the run, which shoots what it lacks",
            )
