"""Which slices rest on a count of steps that nobody has checked yet, and what a bad check means."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from macrorail.devices.interfaces import FocusAxis
from macrorail.errors import RailAlarm
from macrorail.quantity import format_length
from macrorail.run_folder.journal import Entry
from macrorail.running.resume import Target

#: A motor that loses steps once may have met a hair; one that goes on has a cause.
_LOSSES_AT_MOST = 1


@dataclass(frozen=True)
class Doubt:
    """Steps that the axis has lost, and the slices that were shot meanwhile.

    Attributes
    ----------
    error_um
        Above 0 the axis stood farther from the specimen than it said, after the last of them.
    targets
        From near to far.
    """

    error_um: float
    targets: tuple[Target, ...]


class StepCount:
    """Holds an axis's count against its reference in the course of a run.

    It listens to the journal for what was shot and homed.

    Parameters
    ----------
    axis
        With or without a reference to check against.
    note
        Takes journal entries.
    """

    def __init__(self, axis: FocusAxis, note: Callable[..., Any]) -> None:
        self._check = axis.lost_step_check
        self._note = note
        self._losses = 0
        self._newest_um = 0.0
        self._begin()

    def _begin(self) -> None:
        self._unchecked: dict[int, Target] = {}
        self._exposures = 0

    def heard(self, entry: Entry) -> None:
        """Take note of what the journal says."""
        fields = entry.fields
        if entry.event == "exposed":
            self._exposures += 1
        elif entry.event == "counted":
            number = fields["slice"]
            self._unchecked[number] = Target(number, fields["target_um"], fields["attempt"])
        elif entry.event == "rejected":
            self._unchecked.pop(fields["slice"], None)
        elif entry.event == "homed":
            # The count began anew: nothing tells any more what it was worth before.
            self._begin()

    def is_due(self, at_the_end: bool) -> bool:
        """Whether the count is to be checked now."""
        if self._check is None:
            return False
        if at_the_end:
            return bool(self._unchecked)
        every = self._check.every_slices
        return every is not None and self._exposures >= every

    def check(self) -> Doubt | None:
        """Touch the reference; the axis is where it says again, and what it was not is in doubt.

        Raises
        ------
        DeviceError
            The axis could not do it.
        """
        assert self._check is not None
        error_um = self._check.measure()
        in_doubt = abs(error_um) > self._check.tolerance_um
        checked = sorted(self._unchecked.values(), key=lambda target: target.position_um)
        self._note(
            "count_checked",
            error_um=error_um,
            tolerance_um=self._check.tolerance_um,
            slices=[target.number for target in checked],
            in_doubt=in_doubt,
        )
        self._begin()
        if not in_doubt:
            return None
        self._losses += 1
        self._newest_um = error_um
        return Doubt(error_um, tuple(checked))

    def insist(self) -> None:
        """End a run whose motor loses steps again and again.

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
