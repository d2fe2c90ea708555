"""Checks each frame when it arrives and returns its verdict, at the latest one slice later.

Faults that show in the frame itself or by comparison with the previous frame are found at once.
Motion blur and missed moves need a neighbour on both sides. Nothing is random: the same frames in
the same order get the same verdicts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from macrorail.errors import FrameError
from macrorail.proof.frame_faults import (
    FrameFault,
    blur_fault,
    exposure_fault,
    frozen_fault,
    missed_move_fault,
    sharpness_change,
    shift_fault,
)
from macrorail.proof.measure import Measurement, measure
from macrorail.proof.settings import FUSE, PAUSE, RESHOOT, STOP, ProofSettings

# Moves, in depths of field. A move below the first value changes the picture too little. A move
# above the second value changes the picture no more than a move of the second value.
_SHORTEST_MOVE_DOF, _LONGEST_MOVE_DOF = 0.25, 1.5
_WITHOUT_PICTURE = frozenset({"damaged", "frozen"})


@dataclass(frozen=True)
class MeasuredFrame:
    """A frame with its position, measurements and faults.

    Attributes
    ----------
    slice, attempt
        Number of the slice, and of the exposure of that slice.
    path
        Path of the frame's file.
    position_um, dof_um
        Position reported by the axis, and depth of field at that position.
    measurement
        What was measured in the frame.
    faults
        Faults found. A frame with a fault is not used to measure positions; it may still be fused.
    """

    slice: int
    attempt: int
    path: Path
    position_um: float
    dof_um: float
    measurement: Measurement
    faults: tuple[FrameFault, ...] = ()


class FrameChecker:
    """Checks frames in the order of shooting and returns their verdicts in the same order.

    Attributes
    ----------
    accepted
        Frames to fuse, by slice number, in the order of shooting.
    """

    def __init__(self, settings: ProofSettings) -> None:
        self._settings = settings
        self.accepted: dict[int, MeasuredFrame] = {}
        self._reference: MeasuredFrame | None = None
        self._pending: MeasuredFrame | None = None
        self._suspect: MeasuredFrame | None = None
        self._changes: list[float] = []
        self._positions_um: Mapping[int, float] = {}
        self._lost_um = 0.0

    def add(
        self, number: int, attempt: int, path: Path, position_um: float, dof_um: float
    ) -> list[dict[str, Any]]:
        """Measure a frame and return the verdicts that are now possible."""
        try:
            measurement = measure(path)
        except FrameError as error:
            faults = (FrameFault("damaged", str(error)),)
            return [self._verdict(number, attempt, faults)]
        frame = MeasuredFrame(number, attempt, path, position_um, dof_um, measurement)
        return [*self._resolve_first_two(frame), *self._check(frame)]

    def _check(self, frame: MeasuredFrame) -> list[dict[str, Any]]:
        """Check for faults that show at once; the other checks wait for the next frame."""
        reference = self._pending or self._reference
        fault = (
            None
            if reference is None
            else _immediate_fault(frame.measurement, reference.measurement)
        )
        if fault is None:
            verdicts = self._check_pending(frame)
            self._pending = frame
            return verdicts
        if self._reference is None and self._pending is not None and fault.kind != "frozen":
            # The first two frames differ, and it is not yet known which of the two is right.
            self._suspect = frame
            return []
        verdict = self._verdict(frame.slice, frame.attempt, (fault,))
        if verdict["action"] != FUSE:
            return [verdict]
        verdicts = self._check_pending(None)
        self._accept(replace(frame, faults=(fault,)))
        return [*verdicts, verdict]

    def apply_true_positions(self, positions_um: Mapping[int, float], lost_um: float) -> bool:
        """Use true positions of accepted frames found from the images, given by slice number.

        Parameters
        ----------
        lost_um
            Distance between the axis's reported and true position now.

        Returns
        -------
        bool
            Whether at least one frame that had been judged blurred is now judged good.
        """
        moved = bool(positions_um) or bool(self._positions_um)
        self._positions_um, self._lost_um = positions_um, lost_um
        return moved and self._clear_blur()

    def _clear_blur(self) -> bool:
        """Check blurred frames again, now with the neighbours at their true positions."""
        cleared = False
        for frame in list(self.accepted.values()):
            if any(fault.kind == "blur" for fault in frame.faults) and not self._blur_of(
                frame, None
            ):
                faults = tuple(fault for fault in frame.faults if fault.kind != "blur")
                self.accepted[frame.slice] = replace(frame, faults=faults)
                cleared = True
        return cleared

    def _true_position_um(self, frame: MeasuredFrame) -> float:
        if self.accepted.get(frame.slice) is frame and frame.slice in self._positions_um:
            return self._positions_um[frame.slice]
        return frame.position_um + self._lost_um

    def relocate(self, positions_um: Mapping[int, float]) -> None:
        """Use true positions of accepted frames found with the home switch, given by slice number.

        These positions replace the positions found from the images.
        """
        self._positions_um, self._lost_um = {}, 0.0
        for number, position_um in positions_um.items():
            self.accepted[number] = replace(self.accepted[number], position_um=position_um)
        self._clear_blur()
        if self._reference is not None:
            self._reference = self.accepted[self._reference.slice]

    def flush(self) -> list[dict[str, Any]]:
        """Return the verdict on the last frame, which has no next frame to wait for."""
        verdicts = [] if self._suspect is None else self._resolve_first_two(self._suspect)
        return [*verdicts, *self._check_pending(None)]

    def _resolve_first_two(self, third: MeasuredFrame) -> list[dict[str, Any]]:
        """Decide which of two differing first frames is right: the one that the third resembles."""
        first, second = self._pending, self._suspect
        if first is None or second is None:
            return []
        self._suspect = None
        fault = _immediate_fault(second.measurement, first.measurement)
        faults = () if fault is None else (fault,)
        bad = second
        if _immediate_fault(third.measurement, first.measurement) is not None:
            bad, self._pending = first, second
        verdict = self._verdict(bad.slice, bad.attempt, faults)
        if verdict["action"] == FUSE:
            self._accept(replace(bad, faults=faults))
        return [verdict]

    def _check_pending(self, following: MeasuredFrame | None) -> list[dict[str, Any]]:
        frame, self._pending = self._pending, None
        if frame is None:
            return []
        found = (self._blur_of(frame, following), self._missed_move_of(frame, following))
        faults = tuple(fault for fault in found if fault is not None)
        verdict = self._verdict(frame.slice, frame.attempt, faults)
        if verdict["action"] == FUSE:
            self._accept(replace(frame, faults=faults))
        return [verdict]

    def _blur_of(self, frame: MeasuredFrame, following: MeasuredFrame | None) -> FrameFault | None:
        # Frames with a fault are not used as a reference; after a missed move even the reported
        # position is wrong.
        others = [
            other
            for other in self.accepted.values()
            if other.slice != frame.slice and not other.faults
        ]
        others += [following] if following is not None else []
        here_um = self._true_position_um(frame)
        before = [other for other in others if self._true_position_um(other) < here_um]
        behind = [other for other in others if self._true_position_um(other) > here_um]
        near = max(before, key=self._true_position_um, default=None)
        far = min(behind, key=self._true_position_um, default=None)
        neighbours = [other.measurement for other in (near, far) if other is not None]
        unjudged = next(
            (other.measurement for other in (near, far) if other and other is following), None
        )
        return blur_fault(frame.measurement, neighbours, unjudged)

    def _missed_move_of(
        self, frame: MeasuredFrame, following: MeasuredFrame | None
    ) -> FrameFault | None:
        """Return a missed-move fault if the move to this frame changed the picture too little."""
        before = self._reference
        if before is None:
            return None
        moved = _change_per_dof(frame, before)
        if moved is None:
            return None
        usual = list(self._changes)
        if following is not None and (after := _change_per_dof(following, frame)) is not None:
            usual.append(after)
        self._changes.append(moved)
        if not usual:
            return None
        fault = missed_move_fault(moved, sorted(usual)[len(usual) // 2])
        if fault is not None:
            self._changes.pop()
        return fault

    def _accept(self, frame: MeasuredFrame) -> None:
        if self._reference is not None and self._reference.slice in self.accepted:
            # Only the newest frame's picture is compared with the next one.
            before = self.accepted[self._reference.slice]
            self.accepted[before.slice] = replace(
                before, measurement=before.measurement.without_picture()
            )
        self.accepted.pop(frame.slice, None)
        self.accepted[frame.slice] = frame
        self._reference = frame

    def _verdict(self, number: int, attempt: int, faults: tuple[FrameFault, ...]) -> dict[str, Any]:
        action = FUSE
        for fault in faults:
            wanted = self._settings.policy[fault.kind]
            if wanted in (RESHOOT, PAUSE) and attempt > self._settings.reshoots:
                wanted = STOP if fault.kind in _WITHOUT_PICTURE else FUSE
            action = max(action, wanted, key=(FUSE, RESHOOT, PAUSE, STOP).index)
        return {
            "slice": number,
            "attempt": attempt,
            "action": action,
            "faults": [fault.kind for fault in faults],
            "why": "; ".join(fault.message for fault in faults),
        }


def _immediate_fault(measurement: Measurement, reference: Measurement) -> FrameFault | None:
    for test in (frozen_fault, shift_fault, exposure_fault):
        fault = test(measurement, reference)
        if fault is not None:
            return fault
    return None


def _change_per_dof(frame: MeasuredFrame, before: MeasuredFrame) -> float | None:
    moved_dof = abs(frame.position_um - before.position_um) / frame.dof_um
    if not _SHORTEST_MOVE_DOF <= moved_dof <= _LONGEST_MOVE_DOF:
        return None
    return sharpness_change(frame.measurement, before.measurement) / moved_dof
