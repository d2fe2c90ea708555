"""The slices still to be shot, and the range covered by the slices already shot."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace

from macrorail.errors import OverlapError
from macrorail.optics.overlap import Band, Coverage, missing_positions, prove_coverage
from macrorail.planning.plan import Plan
from macrorail.run_folder.events import Event, SlicesInserted
from macrorail.running.resume import Target

#: How often a slice is inserted at the same position before its gap is left open.
_TRIES = 2
#: Positions that differ by less than this count as the same.
_SAME_UM = 0.01


class Worklist:
    """The slices of one run: a queue of those to be shot, and those already shot.

    Parameters
    ----------
    plan
        Plan that gives the depth of a slice at each position and the overlap required.
    targets
        Slices to be shot, in this order.
    numbers
        Highest slice number in use; a new slice gets the next number.
    log_event
        Function that writes an event to the journal.

    Attributes
    ----------
    resolution_um
        Smallest step in micrometres that the opened axis reports. It is used if the rig file does
        not give the smallest step.
    """

    def __init__(
        self,
        plan: Plan,
        targets: list[Target],
        numbers: int,
        log_event: Callable[[Event], None],
    ) -> None:
        self._plan = plan
        self._queue = deque(targets)
        self._numbers = numbers
        self._log_event = log_event
        self._shot: dict[int, Band] = {}
        # Inserted slices and the positions requested for them, micrometres.
        self._inserted: dict[int, float] = {}
        self.resolution_um = 0.0

    def __bool__(self) -> bool:
        """Return whether there are slices in the queue."""
        return bool(self._queue)

    def take_first(self) -> Target:
        """Remove the first slice from the queue and return it."""
        return self._queue.popleft()

    def put_first(self, target: Target) -> None:
        """Put a slice at the front of the queue."""
        self._queue.appendleft(target)

    def put_first_again(self, target: Target) -> None:
        """Put a slice at the front of the queue for another exposure."""
        self._queue.appendleft(replace(target, attempt=target.attempt + 1))

    def remove(self, target: Target) -> None:
        """Remove a slice from the queue, because it is being shot."""
        self._queue.remove(target)

    def leave_gap_for_the_end(self) -> None:
        """After a slice was left out, fill its gap at the end of the sweep and not at once."""
        if self._queue:
            self._queue[0] = replace(self._queue[0], fills_left=0)

    def insert(self, positions_um: list[float], why: str) -> None:
        """Put new slices at these positions (micrometres) at the front of the queue.

        ``why`` is the reason, as text for the journal.
        """
        first = self._numbers + 1
        self._numbers += len(positions_um)
        added = [
            Target(number, position_um, fills_left=0)
            for number, position_um in enumerate(positions_um, first)
        ]
        self._log_event(
            SlicesInserted(
                slices=[target.number for target in added], positions_um=positions_um, why=why
            )
        )
        self._inserted |= {target.number: target.position_um for target in added}
        self._queue.extendleft(reversed(added))

    def is_shot(self, number: int) -> bool:
        """Return whether the slice with this number counts as shot."""
        return number in self._shot

    def shot(self, number: int, achieved_um: float) -> None:
        """Record the position at which a slice was exposed; replaces a position recorded before."""
        if number in self._shot:
            # The axis had lost steps, so the slices inserted for a gap were shot at other
            # positions.
            self._inserted.pop(number, None)
        self._shot[number] = self._band(achieved_um)

    def not_shot(self, number: int) -> None:
        """Record that the frame of a slice is bad."""
        del self._shot[number]

    def coverage(self) -> Coverage:
        """Return the coverage that the shot slices prove by their achieved positions."""
        return prove_coverage(
            list(self._shot.values()),
            self._plan.near_um,
            self._plan.far_um,
            self._plan.minimum_overlap,
        )

    def missing_um(self) -> list[float]:
        """Return positions (um) at which slices are missing and have not been tried too often."""
        coverage = self.coverage()
        return self._worth_trying(missing_positions(coverage, self._finest_um(coverage)))

    def unproven(self) -> OverlapError:
        """Return an error that says why the achieved positions do not prove the coverage."""
        coverage = self.coverage()
        finest_um = self._finest_um(coverage)
        wanted = missing_positions(coverage, finest_um)
        return coverage.error(finest_um, tried=len(self._worth_trying(wanted)) < len(wanted))

    def missing_before_um(self, achieved_um: float) -> list[float]:
        """Return positions (um) of missing slices between ``achieved_um`` and the slice before."""
        before = [band for band in self._shot.values() if band.position_um < achieved_um]
        if not before:
            return []
        nearest = max(before, key=lambda band: band.position_um)
        pair = [nearest, self._band(achieved_um)]
        between = prove_coverage(pair, nearest.position_um, achieved_um, self._plan.minimum_overlap)
        return self._worth_trying(missing_positions(between, self._finest_um(between)))

    def _finest_um(self, coverage: Coverage) -> float:
        """Return the axis's smallest step (um) at the nearest gap, otherwise at the near end."""
        at_um = coverage.gaps[0].near.position_um if coverage.gaps else coverage.near_um
        return self._plan.resolution_um_at(at_um) or self.resolution_um

    def _worth_trying(self, positions_um: list[float]) -> list[float]:
        """Return the positions at which slices were not yet inserted as often as allowed."""
        tried = [um for number, um in self._inserted.items() if number in self._shot]
        return [
            position_um
            for position_um in positions_um
            if sum(abs(position_um - um) < _SAME_UM for um in tried) < _TRIES
        ]

    def _band(self, position_um: float) -> Band:
        return Band(position_um, self._plan.dof_um_at(position_um))
