"""Judges frames one by one as they arrive; a verdict that needs the next slice lags by one.

What a frame shows by itself or against the frame before is judged at once. Smear and missed moves
need a neighbour on either side. Nothing here is random: the same frames in the same order get the
same verdicts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from macrorail.errors import FrameError
from macrorail.proof.faults import (
    Fault,
    blur_fault,
    change,
    exposure_fault,
    frozen_fault,
    missed_move_fault,
    shift_fault,
)
from macrorail.proof.measure import Measurement, measure
from macrorail.proof.settings import FUSE, PAUSE, RESHOOT, STOP, ProofSettings

# Shorter moves change too little, and longer ones no more than these do.
_LEAST_MOVE_DOF, _LONGEST_MOVE_DOF = 0.25, 1.5
_WITHOUT_PICTURE = frozenset({"damaged", "frozen"})


@dataclass(frozen=True)
class Look:
    """A measured frame.

    Attributes
    ----------
    slice, attempt
        Whose frame it is.
    position_um, dof_um
        Where the axis says it was, and the depth of field there.
    seen
        What was measured.
    faults
        Why it is not to be trusted for measuring positions; it may have been fused all the same.
    """

    slice: int
    attempt: int
    position_um: float
    dof_um: float
    seen: Measurement
    faults: tuple[Fault, ...] = ()


class Judge:
    """Takes frames in the order of time, gives verdicts in the same order.

    Attributes
    ----------
    accepted
        Frames that are fused, by slice number, in the order of time.
    """

    def __init__(self, settings: ProofSettings) -> None:
        self._settings = settings
        self.accepted: dict[int, Look] = {}
        self._reference: Look | None = None
        self._pending: Look | None = None
        self._suspect: Look | None = None
        self._changes: list[float] = []
        self._places_um: Mapping[int, float] = {}
        self._lost_um = 0.0

    def add(
        self, number: int, attempt: int, frame: Path, position_um: float, dof_um: float
    ) -> list[dict[str, Any]]:
        """Measure a frame; returns the verdicts that it makes possible."""
        try:
            seen = measure(frame)
        except FrameError as error:
            faults = (Fault("damaged", str(error)),)
            return [self._verdict(number, attempt, faults)]
        look = Look(number, attempt, position_um, dof_um, seen)
        return [*self._settle_first(look), *self._take(look)]

    def _take(self, look: Look) -> list[dict[str, Any]]:
        """Judge what can be judged at once; the rest waits for the next frame."""
        reference = self._pending or self._reference
        fault = None if reference is None else _at_once(look.seen, reference.seen)
        if fault is None:
            verdicts = self._judge_pending(look)
            self._pending = look
            return verdicts
        if self._reference is None and self._pending is not None and fault.kind != "frozen":
            # The first two differ and nothing says yet which is right.
            self._suspect = look
            return []
        verdict = self._verdict(look.slice, look.attempt, (fault,))
        if verdict["action"] != FUSE:
            return [verdict]
        verdicts = self._judge_pending(None)
        self._accept(replace(look, faults=(fault,)))
        return [*verdicts, verdict]

    def located(self, positions_um: Mapping[int, float], lost_um: float) -> bool:
        """Some accepted frames were shot elsewhere, as the images show: here, by slice number.

        Parameters
        ----------
        lost_um
            By how much the axis stands off its own account now.

        Returns
        -------
        Whether a frame is no longer held to be blurred.
        """
        moved = bool(positions_um) or bool(self._places_um)
        self._places_um, self._lost_um = positions_um, lost_um
        return moved and self._clear_blur()

    def _clear_blur(self) -> bool:
        """What looked blurred beside the wrong neighbours is held against the right ones."""
        cleared = False
        for look in list(self.accepted.values()):
            if any(fault.kind == "blur" for fault in look.faults) and not self._blurred(look, None):
                faults = tuple(fault for fault in look.faults if fault.kind != "blur")
                self.accepted[look.slice] = replace(look, faults=faults)
                cleared = True
        return cleared

    def _place_um(self, look: Look) -> float:
        if self.accepted.get(look.slice) is look and look.slice in self._places_um:
            return self._places_um[look.slice]
        return look.position_um + self._lost_um

    def relocate(self, positions_um: Mapping[int, float]) -> None:
        """Some accepted frames were shot elsewhere, as the axis's reference shows: here, by slice
        number. It is believed: the images' account of lost steps has been made good."""
        self._places_um, self._lost_um = {}, 0.0
        for number, position_um in positions_um.items():
            self.accepted[number] = replace(self.accepted[number], position_um=position_um)
        self._clear_blur()
        if self._reference is not None:
            self._reference = self.accepted[self._reference.slice]

    def flush(self) -> list[dict[str, Any]]:
        """The verdict on the last frame, which has no next one."""
        verdicts = [] if self._suspect is None else self._settle_first(self._suspect)
        return [*verdicts, *self._judge_pending(None)]

    def _settle_first(self, third: Look) -> list[dict[str, Any]]:
        """When the first two frames differed, the one that the third takes after is right."""
        first, second = self._pending, self._suspect
        if first is None or second is None:
            return []
        self._suspect = None
        fault = _at_once(second.seen, first.seen)
        faults = () if fault is None else (fault,)
        bad = second
        if _at_once(third.seen, first.seen) is not None:
            bad, self._pending = first, second
        verdict = self._verdict(bad.slice, bad.attempt, faults)
        if verdict["action"] == FUSE:
            self._accept(replace(bad, faults=faults))
        return [verdict]

    def _judge_pending(self, following: Look | None) -> list[dict[str, Any]]:
        look, self._pending = self._pending, None
        if look is None:
            return []
        found = (self._blurred(look, following), self._unmoved(look, following))
        faults = tuple(fault for fault in found if fault is not None)
        verdict = self._verdict(look.slice, look.attempt, faults)
        if verdict["action"] == FUSE:
            self._accept(replace(look, faults=faults))
        return [verdict]

    def _blurred(self, look: Look, following: Look | None) -> Fault | None:
        # A frame with a fault is no measure; after a missed move it is not even where it says.
        others = [
            other
            for other in self.accepted.values()
            if other.slice != look.slice and not other.faults
        ]
        others += [following] if following is not None else []
        here_um = self._place_um(look)
        before = [other for other in others if self._place_um(other) < here_um]
        behind = [other for other in others if self._place_um(other) > here_um]
        near = max(before, key=self._place_um, default=None)
        far = min(behind, key=self._place_um, default=None)
        neighbours = [other.seen for other in (near, far) if other is not None]
        unjudged = next((other.seen for other in (near, far) if other and other is following), None)
        return blur_fault(look.seen, neighbours, unjudged)

    def _unmoved(self, look: Look, following: Look | None) -> Fault | None:
        """Compare what the move to this frame changed with what other moves changed."""
        before = self._reference
        if before is None:
            return None
        moved = _per_dof(look, before)
        if moved is None:
            return None
        usual = list(self._changes)
        if following is not None and (after := _per_dof(following, look)) is not None:
            usual.append(after)
        self._changes.append(moved)
        if not usual:
            return None
        fault = missed_move_fault(moved, sorted(usual)[len(usual) // 2])
        if fault is not None:
            self._changes.pop()
        return fault

    def _accept(self, look: Look) -> None:
        self.accepted.pop(look.slice, None)
        self.accepted[look.slice] = look
        self._reference = look

    def _verdict(self, number: int, attempt: int, faults: tuple[Fault, ...]) -> dict[str, Any]:
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


def _at_once(seen: Measurement, reference: Measurement) -> Fault | None:
    for test in (frozen_fault, shift_fault, exposure_fault):
        fault = test(seen, reference)
        if fault is not None:
            return fault
    return None


def _per_dof(look: Look, before: Look) -> float | None:
    moved_dof = abs(look.position_um - before.position_um) / look.dof_um
    if not _LEAST_MOVE_DOF <= moved_dof <= _LONGEST_MOVE_DOF:
        return None
    return change(look.seen, before.seen) / moved_dof
