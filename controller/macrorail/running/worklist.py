"""Which slices are still to be shot, and what range the shot ones cover."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace

from macrorail.errors import OverlapError
from macrorail.optics.overlap import Band, Coverage, missing_positions, prove_coverage
from macrorail.planning.plan import Plan
from macrorail.run_folder.events import Event, SlicesInserted
from macrorail.running.resume import Target

#: How often a slice is inserted at one position before its gap is left open.
_TRIES = 2
#: Positions that differ by less are the same.
_SAME_UM = 0.01


class Worklist:
    """The slices of one run: those in the queue, first to shoot first, and those shot.

    Parameters
    ----------
    plan
        Says how deep a slice is at a position and how much slices must overlap.
    targets
        To be shot, in this order.
    numbers
        How many slice numbers are in use.
    log_event
        Writes to the journal.

    Attributes
    ----------
    resolution_um
        Smallest step that the opened axis reports, for an axis whose rig file does not give it.
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
        # Inserted slices and where they were wanted, micrometres.
        self._inserted: dict[int, float] = {}
        self.resolution_um = 0.0

    def __bool__(self) -> bool:
        """Whether anything is in the queue."""
        return bool(self._queue)

    def take_first(self) -> Target:
        """The slice to shoot now; it leaves the queue."""
        return self._queue.popleft()

    def put_first(self, target: Target) -> None:
        """Shoot this slice before all others."""
        self._queue.appendleft(target)

    def put_first_again(self, target: Target) -> None:
        """The same slice, another exposure."""
        self._queue.appendleft(replace(target, attempt=target.attempt + 1))

    def remove(self, target: Target) -> None:
        """It is being shot."""
        self._queue.remove(target)

    def leave_gap_for_the_end(self) -> None:
        """A slice was left out: its gap is filled after the sweep, not at once with more of it."""
        if self._queue:
            self._queue[0] = replace(self._queue[0], fills_left=0)

    def insert(self, positions_um: list[float], why: str) -> None:
        """Shoot new slices at these places, micrometres, before all others."""
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
        """Whether the slice of this number counts as shot."""
        return number in self._shot

    def shot(self, number: int, achieved_um: float) -> None:
        """The slice of this number was exposed here; an earlier position is replaced."""
        if number in self._shot:
            # The axis had lost steps: what was inserted for a gap was shot elsewhere.
            self._inserted.pop(number, None)
        self._shot[number] = self._band(achieved_um)

    def not_shot(self, number: int) -> None:
        """Its frame is no good."""
        del self._shot[number]

    def coverage(self) -> Coverage:
        """The coverage that the shot slices prove, from their achieved positions."""
        return prove_coverage(
            list(self._shot.values()),
            self._plan.near_um,
            self._plan.far_um,
            self._plan.minimum_overlap,
        )

    def missing_um(self) -> list[float]:
        """Where slices are missing between those shot and can be shot, micrometres."""
        coverage = self.coverage()
        return self._worth_trying(missing_positions(coverage, self._finest_um(coverage)))

    def unproven(self) -> OverlapError:
        """Why the achieved positions do not prove the coverage."""
        coverage = self.coverage()
        finest_um = self._finest_um(coverage)
        wanted = missing_positions(coverage, finest_um)
        return coverage.error(finest_um, tried=len(self._worth_trying(wanted)) < len(wanted))

    def missing_before_um(self, achieved_um: float) -> list[float]:
        """Where slices are missing between this place and the slice before it, micrometres."""
        before = [band for band in self._shot.values() if band.position_um < achieved_um]
        if not before:
            return []
        nearest = max(before, key=lambda band: band.position_um)
        pair = [nearest, self._band(achieved_um)]
        between = prove_coverage(pair, nearest.position_um, achieved_um, self._plan.minimum_overlap)
        return self._worth_trying(missing_positions(between, self._finest_um(between)))

    def _finest_um(self, coverage: Coverage) -> float:
        """Smallest step of the axis at the nearest gap."""
        at_um = coverage.gaps[0].near.position_um if coverage.gaps else coverage.near_um
        return self._plan.resolution_um_at(at_um) or self.resolution_um

    def _worth_trying(self, positions_um: list[float]) -> list[float]:
        """Without those where slices were shot before and did not close the gap."""
        tried = [um for number, um in self._inserted.items() if number in self._shot]
        return [
            position_um
            for position_um in positions_um
            if sum(abs(position_um - um) < _SAME_UM for um in tried) < _TRIES
        ]

    def _band(self, position_um: float) -> Band:
        return Band(position_um, self._plan.dof_um_at(position_um))
