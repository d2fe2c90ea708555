"""Loop closure: every third frame is also aligned directly to the frame three steps before it.

Small errors between neighbours add up along a chain. So the transform from the chain between two
frames three steps apart is compared with the transform from their direct alignment.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from macrorail.stacking.agreement import agreement
from macrorail.stacking.look import Look, shrink_factor
from macrorail.stacking.register import Motion, Prior, Transform, enlarge, register, shrink

# Number of steps. Frames further apart have little in common; nearer frames give no new
# information.
_STEPS = 3
# Largest difference between direct alignment and chain, in pixels of the pictures it is made in.
_LEEWAY_PX = 3.0
# Largest expected difference: in pixels of the frame, and in pixels of the picture used for
# alignment; the larger of the two counts.
_BOUND_PX = 2
# Fine detail with a lower correlation matches only by chance.
_LEAST_CORRELATION = 0.15
# A direct alignment with at least this trust can contradict the chain.
_CONFIRMED = 0.7


@dataclass(frozen=True)
class ClosureError:
    """A frame's chain of transforms compared with its direct alignment.

    Attributes
    ----------
    error_px
        Largest distance between the corner positions from the chain and from the direct alignment.
    bound_px
        Largest expected distance: two pixels, or in large pictures one pixel of the picture used
        for alignment.
    onto
        Name of the frame to which the direct alignment was made.
    confirmed
        Whether more places in the two frames agree with the direct alignment than with the chain.
    """

    error_px: float
    bound_px: int
    onto: str
    confirmed: bool = True

    @property
    def is_doubtful(self) -> bool:
        """Whether the chain is likely to be wrong."""
        return self.error_px > self.bound_px and self.confirmed


class LoopClosure:
    """Follows a chain of neighbours and checks it after every three steps."""

    def __init__(self, motion: Motion) -> None:
        self._motion = motion
        self._start: Look | None = None
        self._last: Look | None = None
        self._to_start: Transform = np.eye(3)
        self._steps = 0

    def check(self, neighbour: Look, frame: Look, to_neighbour: Transform) -> ClosureError | None:
        """Add one step to the chain: ``to_neighbour`` (3, 3) transforms ``frame`` to ``neighbour``.

        Returns
        -------
        ClosureError or None
            The chain compared with the direct alignment; ``None`` unless this is the third step and
            the frames have enough in common.
        """
        if self._start is None or neighbour is not self._last:
            self._begin(neighbour)
        assert self._start is not None
        self._last = frame
        self._to_start = self._to_start @ to_neighbour
        self._steps += 1
        if self._steps < _STEPS:
            return None
        closing = self._compare(self._start, frame)
        self._begin(frame)
        return closing

    def _begin(self, start: Look) -> None:
        self._start = self._last = start
        self._to_start = np.eye(3)
        self._steps = 0

    def _compare(self, start: Look, frame: Look) -> ClosureError | None:
        # Half as fine as alignment itself, because the differences looked for exceed a pixel.
        level = min(1, len(start.scales) - 1)
        fixed, moving = start.scales[level:], frame.scales[level:]
        factor = shrink_factor(frame.shape) * 2**level
        warp = shrink(np.linalg.inv(self._to_start).astype(np.float64), factor)
        corner = _LEEWAY_PX / (float(np.hypot(*fixed[0].even.shape)) / 2)
        spread = np.array([corner, corner, _LEEWAY_PX, corner, corner, _LEEWAY_PX])
        found = register(fixed, moving, self._motion, Prior(warp, spread))
        if found.correlation < _LEAST_CORRELATION:
            return None
        height, width = frame.shape[:2]
        corners = np.array([[x, y, 1] for x in (0, width - 1) for y in (0, height - 1)])
        apart = (np.linalg.inv(enlarge(found.warp, factor)) - self._to_start) @ corners.T
        error_px = float(np.hypot(apart[0], apart[1]).max())
        bound_px = max(_BOUND_PX, shrink_factor(frame.shape))
        confirmed = error_px > bound_px and self._is_better(start, frame, found.warp, factor)
        return ClosureError(error_px, bound_px, start.name, confirmed)

    def _is_better(self, start: Look, frame: Look, direct: Transform, factor: int) -> bool:
        """Return whether the two frames agree better with the direct alignment than with the chain.

        Frames three steps apart are sharp in different places, so the direct alignment may be the
        worse of the two.
        """
        finest = shrink_factor(frame.shape)
        chain = shrink(np.linalg.inv(self._to_start).astype(np.float64), finest)
        directly = shrink(enlarge(direct, factor), finest)
        by_chain, by_pair = (
            agreement(start.scales, frame.scales, warp) for warp in (chain, directly)
        )
        return by_pair.trust > _CONFIRMED and by_pair.agreeing > by_chain.agreeing
