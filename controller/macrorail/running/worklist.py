"""Which slices are still to be shot, and what range the shot ones cover."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace

from macrorail.optics.overlap import Band, Coverage, missing_positions, prove_coverage
from macrorail.planning.plan import Plan
from macrorail.run_folder.events import Event, SlicesInserted
from macrorail.running.resume import Target


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
        self._queue.extendleft(reversed(added))

    def is_shot(self, number: int) -> bool:
        """Whether the slice of this number counts as shot."""
        return number in self._shot

    def shot(self, number: int, achieved_um: float) -> None:
        """The slice of this number was exposed here; an earlier position is replaced."""
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
        """Where slices are missing between those shot, micrometres."""
        return missing_positions(self.coverage())

    def missing_before_um(self, achieved_um: float) -> list[float]:
        """Where slices are missing between this place and the slice before it, micrometres."""
        before = [band for band in self._shot.values() if band.position_um < achieved_um]
        if not before:
            return []
        nearest = max(before, key=lambda band: band.position_um)
        pair = [nearest, self._band(achieved_um)]
        return missing_positions(
            prove_coverage(pair, nearest.position_um, achieved_um, self._plan.minimum_overlap)
        )

    def _band(self, position_um: float) -> Band:
        return Band(position_um, self._plan.dof_um_at(position_um))
